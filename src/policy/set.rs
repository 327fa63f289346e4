//! The policies at hand. Owns compiling on arrival, what was refused or not understood, which kinds cannot be read, and the text of
//! each object. Whether an older state of them is meant is the business of `versions`.
use super::index::Index;
use super::ir::{Policy, Section};
use super::kind::{self, Verdict};
use super::unread::Unread;
use super::valid;
use crate::model::doc::{Doc, Fault, Text};
use crate::model::input::{Change, ObjectId};
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use crate::world::Endpoint;
use foldhash::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A policy object of a kind that cannot be judged yet, or one that the API would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    pub policy: PolicyRef,
    pub file: String,
    pub line: u32,
    /// Why; for a refused policy the reason of the refusal.
    pub what: String,
    object: ObjectId,
    slot: usize,
}

/// How an object stands in a set.
#[derive(Debug, Clone)]
pub enum Standing {
    Policy(Arc<Policy>),
    /// With the object, which another version may read.
    Refused(NotUnderstood, Arc<Doc>),
    NotUnderstood(NotUnderstood, Arc<Doc>),
}

impl Standing {
    pub fn id(&self) -> &PolicyRef {
        match self {
            Self::Policy(p) => &p.id,
            Self::Refused(n, _) | Self::NotUnderstood(n, _) => &n.policy,
        }
    }

    pub fn policy(&self) -> Option<&Arc<Policy>> {
        match self {
            Self::Policy(p) => Some(p),
            _ => None,
        }
    }

    pub fn doc(&self) -> &Arc<Doc> {
        match self {
            Self::Policy(p) => &p.doc,
            Self::Refused(_, doc) | Self::NotUnderstood(_, doc) => doc,
        }
    }
}

/// What a change did to one object of a set; `before` and `after` are not both `None`.
#[derive(Debug, Clone)]
pub struct Turn {
    pub before: Option<Standing>,
    pub after: Option<Standing>,
    slot: usize,
    /// The minor version of Cilium as which both were read.
    cilium: u32,
}

/// All policies.
#[derive(Debug, Clone)]
pub struct PolicySet {
    cilium: u32,
    /// In the order of arrival. An object keeps its slot for as long as it stands; no other is given it afterwards.
    policies: Vec<Option<Arc<Policy>>>,
    /// By namespace (none: empty) and reference the slots of `policies`, in their order; more than one where an object stands in several
    /// files. A namespace is shared with older states of the set in which the same stood there.
    by_id: HashMap<Arc<str>, Arc<HashMap<PolicyRef, Vec<usize>>>>,
    index: Index,
    /// Each by slot.
    not_understood: Vec<NotUnderstood>,
    refused: Vec<NotUnderstood>,
    /// The objects of those two, which another version may read.
    unable: BTreeMap<usize, Arc<Doc>>,
    unread: Vec<Unread>,
    given: bool,
    generation: u64,
    /// The cluster's name, where there are several.
    cluster: Option<Arc<str>>,
    by_name: bool,
    /// How many of the policies an API server told of, with what only it knows.
    live: usize,
    /// How many of them Cilium reports as not valid: hardly ever one, so that nobody has to ask each.
    invalid: usize,
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::for_cilium(super::CILIUM)
    }
}

impl PolicySet {
    pub fn new() -> Self {
        Self::default()
    }

    /// A set whose policies are read as this minor version of Cilium 1.x reads them (`Options.cilium`).
    pub fn for_cilium(cilium: u32) -> Self {
        let (policies, by_id, index, not_understood, refused, unread, unable) = Default::default();
        Self {
            cilium,
            policies,
            by_id,
            index,
            not_understood,
            refused,
            unread,
            unable,
            given: false,
            generation: 0,
            cluster: None,
            by_name: false,
            live: 0,
            invalid: 0,
        }
    }

    /// Takes in what somebody gave as the cluster's state; what is no policy is left alone, and says that there is none.
    pub fn apply(&mut self, change: &Change) -> Vec<Fault> {
        self.set_given();
        self.turn(change).0
    }

    /// Takes in one change, and tells what it did. Policies count as given once one comes, or how well a kind of policy is known.
    pub fn turn(&mut self, change: &Change) -> (Vec<Fault>, Vec<Turn>) {
        match change {
            Change::Apply(doc) => {
                let (faults, turn) = self.take(doc);
                (faults, turn.into_iter().collect())
            }
            Change::Remove(id) => (Vec::new(), self.remove(id)),
            Change::Kind(kind) => {
                if Unread::note(&mut self.unread, kind) {
                    self.set_given();
                    self.generation += 1;
                }
                (Vec::new(), Vec::new())
            }
            // What was written anew is told object by object, with what stood there before.
            Change::Fault(_) | Change::Edited(_) | Change::Ids(_) | Change::Asked(_) | Change::Gap(_) => (Vec::new(), Vec::new()),
        }
    }

    /// Of a cluster that is watched policies come in no order that means anything, and in another one when it is watched again.
    pub(super) fn order_by_name(&mut self) {
        self.by_name = true;
    }

    /// A kind that is not known any more: of it all was known before.
    pub(super) fn fall_behind(&mut self, group: &str, kind: &str) {
        Unread::fall_behind(&mut self.unread, group, kind);
    }

    /// Of an older state: what of it is not known.
    pub(super) fn set_unread(&mut self, unread: Vec<Unread>) {
        self.unread = unread;
        self.generation += 1;
    }

    /// Makes a turn undone; everything that came after it has to be undone before.
    pub(super) fn undo(&mut self, turn: &Turn) {
        let before = match &turn.before {
            Some(then) if turn.cilium != self.cilium => self.compiled(then.doc(), &mut Vec::new()),
            then => then.clone(),
        };
        self.place(turn.slot, before);
        self.generation += 1;
    }

    /// Puts an object of a manifest that was written anew into the place of the one that stood there. One that would be refused takes
    /// nobody's place: the cluster would not take it either.
    pub(super) fn edit(&mut self, old: Option<&Doc>, new: Option<&Arc<Doc>>) -> (Vec<Fault>, Option<Turn>) {
        let slot = old.and_then(|old| {
            let (id, file) = (ObjectId::of(old), &old.text.file);
            let policies = self.policies.iter().enumerate().filter_map(|(slot, p)| Some((slot, p.as_ref()?)));
            let policies = policies.filter(|(_, p)| p.text.file == *file && ObjectId::of(&p.doc) == id).map(|(slot, p)| (p.lines.0, slot));
            let unable =
                self.refused.iter().chain(&self.not_understood).filter(|n| n.object == id && n.file == *file).map(|n| (n.line, n.slot));
            // Where it stands several times in the file, its line says which; what was refused last time left an older text in its place.
            policies.chain(unable).min_by_key(|(line, _)| line.abs_diff(old.root.line)).map(|(_, slot)| slot)
        });
        let (Some(slot), new) = (slot, new) else { return new.map_or_else(Default::default, |new| self.take(new)) };
        let mut faults = Vec::new();
        let after = match new {
            None => None,
            Some(doc) => match self.compiled(doc, &mut faults) {
                Some(Standing::Refused(n, _)) if self.policies.get(slot).is_some_and(Option::is_some) => {
                    faults.pop();
                    let what = format!("{} {} is refused, so it stays as it was: {}", n.policy.kind, n.policy.path(), n.what);
                    faults.push(Fault { file: n.file, line: n.line, what });
                    return (faults, None);
                }
                standing => standing,
            },
        };
        let before = self.place(slot, after.clone());
        self.generation += 1;
        (faults, Some(Turn { before, after, slot, cilium: self.cilium }))
    }

    fn take(&mut self, doc: &Arc<Doc>) -> (Vec<Fault>, Option<Turn>) {
        let (mut faults, line, file) = (Vec::new(), doc.root.line, &doc.text.file);
        let Some(after) = self.compiled(doc, &mut faults) else { return (faults, None) };
        self.set_given();
        let slot = self.slot_of(after.id(), file, line);
        if slot.is_none() {
            faults.extend(self.twin(&after));
        }
        let slot = slot.unwrap_or(self.policies.len());
        let before = self.place(slot, Some(after.clone()));
        self.generation += 1;
        (faults, Some(Turn { before, after: Some(after), slot, cilium: self.cilium }))
    }

    /// What an object is; `None` if it is no policy.
    fn compiled(&self, doc: &Arc<Doc>, faults: &mut Vec<Fault>) -> Option<Standing> {
        let (line, file) = (doc.root.line, &doc.text.file);
        let unable = |policy, what| NotUnderstood { policy, file: file.clone(), line, what, object: ObjectId::of(doc), slot: 0 };
        Some(match kind::compile(doc, self.cilium, faults) {
            Verdict::NoPolicy => return None,
            Verdict::NotUnderstood(policy) => {
                let what = format!("kind {} is not understood yet", policy.kind);
                faults.push(Fault { file: file.clone(), line, what: what.clone() });
                Standing::NotUnderstood(unable(policy, what), doc.clone())
            }
            Verdict::Refused(policy, fault) => {
                let what = fault.what.clone();
                faults.push(Fault {
                    what: format!("{} {} is refused, so it isolates nothing: {}", policy.kind, policy.path(), fault.what),
                    ..fault
                });
                Standing::Refused(unable(policy, what), doc.clone())
            }
            Verdict::Policy(policy) => Standing::Policy(Arc::new(policy)),
        })
    }

    /// Reads every policy as this minor version of Cilium does, and says what of them it would not take.
    pub fn set_cilium(&mut self, minor: u32) -> Vec<Fault> {
        let mut faults = Vec::new();
        if std::mem::replace(&mut self.cilium, minor) == minor {
            return faults;
        }
        let policies = self.policies.iter().enumerate().filter_map(|(slot, p)| Some((slot, p.as_ref()?.doc.clone())));
        let all: Vec<(usize, Arc<Doc>)> = policies.chain(self.unable.iter().map(|(slot, doc)| (*slot, doc.clone()))).collect();
        for (slot, doc) in all {
            if let Some(standing) = self.compiled(&doc, &mut faults) {
                self.place(slot, Some(standing));
            }
        }
        self.generation += 1;
        faults
    }

    /// The same place read again is the same object; another place is another object, and both count.
    fn slot_of(&self, id: &PolicyRef, file: &str, line: u32) -> Option<usize> {
        let of_policy = self.slots(id).into_iter().flatten().copied().find(|slot| {
            let here = |p: &Arc<Policy>| p.text.file == file && p.lines.0 == line;
            self.policies.get(*slot).and_then(Option::as_ref).is_some_and(here)
        });
        let unable = self.refused.iter().chain(&self.not_understood);
        of_policy.or_else(|| unable.filter(|n| n.policy == *id && n.file == file && n.line == line).map(|n| n.slot).next())
    }

    fn slots(&self, id: &PolicyRef) -> Option<&Vec<usize>> {
        self.by_id.get(id.namespace.as_deref().unwrap_or_default())?.get(id)
    }

    /// How many of the parts of both are of its own, and not shared with the other: namespaces, and policies.
    #[cfg(test)]
    pub(super) fn own(&self, other: &Self) -> [usize; 2] {
        let at = |set: &Self| set.by_id.values().map(|of| Arc::as_ptr(of).cast::<()>()).chain(set.index.parts()).collect::<Vec<_>>();
        let theirs = at(other);
        let mine = at(self).into_iter().filter(|p| !theirs.contains(p)).count();
        [mine, self.iter().filter(|p| !other.iter().any(|o| Arc::ptr_eq(o, p))).count()]
    }

    fn twin(&self, new: &Standing) -> Option<Fault> {
        let policy = new.policy()?;
        let twin = self.find(&policy.id)?;
        let (kind, path) = (&policy.id.kind, policy.id.path());
        let what = format!("{kind} {path} stands here and at {}:{}; both are judged", twin.text.file, twin.lines.0);
        Some(Fault { file: policy.text.file.clone(), line: policy.lines.0, what })
    }

    /// Takes an object out, wherever its text stands.
    fn remove(&mut self, id: &ObjectId) -> Vec<Turn> {
        let unable = self.refused.iter().chain(&self.not_understood).filter(|n| n.object.same(id)).map(|n| n.slot);
        let reference = |namespace: &str| PolicyRef {
            kind: id.kind.clone(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: id.name.clone(),
            rule: None,
        };
        let named = match self.slots(&reference(&id.namespace)) {
            None if id.namespace.is_empty() => self.slots(&reference(crate::world::DEFAULT_NAMESPACE)),
            found => found,
        };
        let is = |slot: &usize| self.policies.get(*slot).and_then(Option::as_ref).is_some_and(|p| ObjectId::of(&p.doc).same(id));
        let mut slots: Vec<usize> = named.into_iter().flatten().copied().filter(is).chain(unable).collect();
        slots.sort_unstable();
        let cilium = self.cilium;
        let gone = |slot| Turn { before: self.place(slot, None), after: None, slot, cilium };
        let turns: Vec<Turn> = slots.into_iter().map(gone).collect();
        self.generation += u64::from(!turns.is_empty());
        turns
    }

    /// Puts an object into a slot, and takes out what stood there.
    fn place(&mut self, slot: usize, new: Option<Standing>) -> Option<Standing> {
        while self.policies.len() <= slot {
            self.policies.push(None);
        }
        let old = self.clear(slot);
        let insert = |list: &mut Vec<NotUnderstood>, n: NotUnderstood| {
            let at = list.partition_point(|o| o.slot < slot);
            list.insert(at, NotUnderstood { slot, ..n });
        };
        match new {
            None => {}
            Some(Standing::Refused(n, doc)) => {
                insert(&mut self.refused, n);
                self.unable.insert(slot, doc);
            }
            Some(Standing::NotUnderstood(n, doc)) => {
                insert(&mut self.not_understood, n);
                self.unable.insert(slot, doc);
            }
            Some(Standing::Policy(p)) => {
                self.index.add(slot, &p);
                self.live += usize::from(p.doc.live.is_some());
                self.invalid += usize::from(valid::not_valid(&p).is_some());
                let of = self.by_id.entry(Arc::from(p.id.namespace.as_deref().unwrap_or_default())).or_default();
                let same = Arc::make_mut(of).entry(p.id.clone()).or_default();
                same.insert(same.partition_point(|s| *s < slot), slot);
                if let Some(free) = self.policies.get_mut(slot) {
                    *free = Some(p);
                }
            }
        }
        old
    }

    fn clear(&mut self, slot: usize) -> Option<Standing> {
        let doc = self.unable.remove(&slot);
        if let Some(old) = self.policies.get_mut(slot).and_then(Option::take) {
            self.index.remove(slot, &old);
            self.live -= usize::from(old.doc.live.is_some());
            self.invalid -= usize::from(valid::not_valid(&old).is_some());
            let namespace = old.id.namespace.as_deref().unwrap_or_default();
            if let Some(of) = self.by_id.get_mut(namespace).map(Arc::make_mut) {
                if let Some(same) = of.get_mut(&old.id) {
                    same.retain(|s| *s != slot);
                    if same.is_empty() {
                        of.remove(&old.id);
                    }
                }
                if of.is_empty() {
                    self.by_id.remove(namespace);
                }
            }
            return Some(Standing::Policy(old));
        }
        let take = |list: &mut Vec<NotUnderstood>| list.iter().position(|n| n.slot == slot).map(|i| list.remove(i));
        let doc = doc?;
        if let Some(n) = take(&mut self.refused) {
            return Some(Standing::Refused(n, doc));
        }
        take(&mut self.not_understood).map(|n| Standing::NotUnderstood(n, doc))
    }

    /// The same set with some policies as `swap` has them (each the same object as before), and with others besides: what would be, if.
    #[must_use]
    pub fn swapped(&self, swap: &dyn Fn(&Arc<Policy>) -> Option<Arc<Policy>>, more: Vec<Arc<Policy>>) -> Self {
        let mut set = self.clone();
        for (slot, old) in self.policies.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?))) {
            if let Some(new) = swap(old) {
                set.place(slot, Some(Standing::Policy(new)));
            }
        }
        for new in more {
            set.place(set.policies.len(), Some(Standing::Policy(new)));
        }
        set.generation += 1;
        set
    }

    /// The sections that may select an endpoint, each with its policy and its place there, in the order of arrival or of names. All
    /// others certainly do not.
    pub fn candidates(&self, direction: Direction, e: &Endpoint) -> Vec<(&Arc<Policy>, usize, &Section)> {
        let of = |place: super::index::Place| {
            let policy = self.policies.get(place.policy)?.as_ref()?;
            Some((policy, place.section, policy.sections.get(place.section)?))
        };
        let mut all: Vec<_> = self.index.of(direction, e).into_iter().filter_map(of).collect();
        if self.by_name {
            all.sort_by(|(a, ..), (b, ..)| (&a.id, &a.text.file).cmp(&(&b.id, &b.text.file)));
        }
        all
    }

    /// The minor version of Cilium whose reading counts.
    pub fn cilium(&self) -> u32 {
        self.cilium
    }

    /// Whether anybody gave policies at all; an empty or wholly refused set is still a set.
    pub fn given(&self) -> bool {
        self.given
    }

    pub fn set_given(&mut self) {
        self.generation += u64::from(!self.given);
        self.given = true;
    }

    /// Counts changes; an explanation made under an older number may be stale.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter().flatten()
    }

    pub fn len(&self) -> usize {
        self.by_id.values().flat_map(|of| of.values()).map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Policies of kinds that cannot be judged yet.
    pub fn not_understood(&self) -> &[NotUnderstood] {
        &self.not_understood
    }

    /// Policies that the API or Cilium would refuse; they isolate nothing.
    pub fn refused(&self) -> &[NotUnderstood] {
        &self.refused
    }

    /// The cluster whose policies they are, where there are several.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    pub fn set_cluster(&mut self, cluster: Arc<str>) {
        self.generation += u64::from(self.cluster.is_none());
        self.cluster = Some(cluster);
    }

    /// Kinds of policy of which not everything is known: further policies may stand beside those at hand.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// Whether an API server told of any of them.
    pub fn is_live(&self) -> bool {
        self.live > 0
    }

    /// Whether Cilium reports any of them as not valid.
    pub fn has_invalid(&self) -> bool {
        self.invalid > 0
    }

    /// The compiled policy of a reference, whatever its `rule`.
    pub fn find(&self, policy: &PolicyRef) -> Option<&Arc<Policy>> {
        let places = match policy.rule {
            None => self.slots(policy),
            Some(_) => self.slots(&PolicyRef { rule: None, ..policy.clone() }),
        };
        self.policies.get(*places?.first()?)?.as_ref()
    }

    /// The text a policy came from.
    pub fn text(&self, policy: &PolicyRef) -> Option<Arc<Text>> {
        self.find(policy).map(|p| p.text.clone())
    }

    /// First and last line of a policy in its text.
    pub fn lines(&self, policy: &PolicyRef) -> Option<(u32, u32)> {
        self.find(policy).map(|p| p.lines)
    }
}
