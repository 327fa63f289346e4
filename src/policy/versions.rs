//! The policies of a cluster over time: as they are now, and every change that led there, so that a flow is judged by what was in force
//! when it happened.
//!
//! Owns what counts as a change, how far back is remembered, when a kind was not watched, and the way back: an older state is today's
//! with the later changes undone, so that a change costs the two versions of one object and nothing else. Judges nothing.
use super::PolicySet;
use super::ir::Policy;
use super::kind;
use super::set::{Standing, Turn};
use super::unread::Unread;
use super::written::{AllWritten, Written};
use crate::model::doc::{Doc, Fault, Node, Value};
use crate::model::input::{Change, KindState};
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Changes remembered, and about how many bytes their older versions may take. When full the oldest goes, and what was before it is not
/// known any more.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 64 << 20;

/// What a version takes beside its text, and for each byte of it: its tree, its rules, their places.
const OF_VERSION: usize = 1_024;
const OF_BYTE: usize = 12;

/// Times remembered in which a kind was not watched. When full, what lies before the end of the oldest is not known any more.
const MOST_GAPS: usize = 256;

/// How long after a change a node may not have it yet, and how far clocks may be apart; both sides of the flow.
pub const DELAY: i64 = 30 * Nanos::SECOND;

/// One change of one policy.
#[derive(Debug, Clone)]
pub struct Step {
    pub at: Nanos,
    pub turn: Turn,
}

impl Step {
    pub fn policy(&self) -> Option<&PolicyRef> {
        self.turn.after.as_ref().or(self.turn.before.as_ref()).map(Standing::id)
    }

    /// `added`, `changed`, `removed`.
    pub fn what(&self) -> &'static str {
        match (&self.turn.before, &self.turn.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
    }

    pub fn before(&self) -> Option<&Arc<Policy>> {
        self.turn.before.as_ref()?.policy()
    }

    pub fn after(&self) -> Option<&Arc<Policy>> {
        self.turn.after.as_ref()?.policy()
    }

    /// About how many bytes it keeps from being given back.
    fn weight(&self) -> usize {
        OF_VERSION + self.turn.before.as_ref().map_or(0, |s| s.doc().text.body.len().saturating_mul(OF_BYTE))
    }

    /// Who wrote the version that came, as the API keeps it: a program, not a person.
    pub fn by(&self) -> Option<&str> {
        self.after()?.doc.live.as_ref()?.changed.as_ref().map(|c| c.by.as_str())
    }
}

/// A time in which a kind was not watched that had been listed before: what came and went in it, nobody knows.
#[derive(Debug, Clone)]
struct Gap {
    group: String,
    kind: String,
    from: Nanos,
    /// `None`: still.
    to: Option<Nanos>,
}

impl Gap {
    fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Whether a node may have gone by something that was said in it.
    fn covers(&self, at: Nanos) -> bool {
        self.from.plus(-DELAY) <= at && self.to.is_none_or(|to| at <= to.plus(DELAY))
    }
}

/// The policies of one cluster, now and before.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    now: PolicySet,
    /// By their times.
    log: VecDeque<Step>,
    /// What the log weighs.
    bytes: usize,
    /// Changes that are forgotten: a version's number is how many changes came before it.
    forgotten: u64,
    /// How often a change came that is older than one before it: numbers mean other versions since.
    renumbered: u64,
    gaps: VecDeque<Gap>,
    gaps_forgotten: u64,
    /// Since when every change is known; `None`: nothing here has a time.
    from: Option<Nanos>,
    /// What was written shortly before that.
    written: AllWritten,
    /// Kinds of policy whose first list is in: (group, kind).
    listed: BTreeSet<(String, String)>,
    /// Kinds whose first list is on its way, with the latest write that came with it.
    loading: BTreeMap<(String, String), Option<Nanos>>,
}

impl Versions {
    pub fn new(now: PolicySet) -> Self {
        Self { now, ..Self::default() }
    }

    pub fn now(&self) -> &PolicySet {
        &self.now
    }

    pub fn now_mut(&mut self) -> &mut PolicySet {
        &mut self.now
    }

    /// Takes in a change that came about at a time.
    pub fn turn(&mut self, change: &Change, at: Nanos) -> Vec<Fault> {
        if let Change::Kind(k) = change
            && kind::is_policy(&k.group, &k.kind)
        {
            self.known(&k.group, &k.kind, &k.state, at);
        }
        self.now.order_by_name();
        let (faults, turns) = self.now.turn(change);
        if let Change::Kind(k) = change
            && self.listed.contains(&(k.group.clone(), k.kind.clone()))
        {
            self.now.fall_behind(&k.group, &k.kind);
        }
        // What a first list says has been so before; so it has been where nothing was known until this moment.
        let first = match change {
            Change::Apply(doc) => {
                let of = (crate::world::group(doc.api_version()).to_owned(), doc.kind().to_owned());
                let loading = self.loading.get_mut(&of).map(|written| *written = (*written).max(Some(at)));
                loading.is_some() || (self.listed.contains(&of) && self.from.is_some_and(|from| at <= from))
            }
            _ => false,
        };
        if !turns.is_empty() && self.from.is_none() && !first {
            self.from = Some(at);
        }
        for turn in turns.into_iter().filter(matters) {
            let there = self.was_there(&turn);
            match &turn.after {
                Some(found) if first || there => {
                    if let Some(written) = Written::of(found, at) {
                        let from = if first { self.from } else { self.from.max(Some(written.at)) };
                        self.from = self.written.note(written, from);
                    }
                }
                _ => self.book(turn, at),
            }
        }
        self.forget();
        faults
    }

    /// Whether a policy that is met now was there before all that is known, in a version that is not: a ring's beginning had it.
    fn was_there(&self, turn: &Turn) -> bool {
        let (None, Some(after), Some(from)) = (&turn.before, &turn.after, self.from) else { return false };
        let created = after.doc().live.as_ref().and_then(|l| l.created);
        created.is_some_and(|c| c.plus(DELAY) < from) && !self.log.iter().any(|s| s.policy() == Some(after.id()))
    }

    /// Takes in an object of a manifest that was written anew at a time. As far as anybody knows what stood there had always been so.
    pub fn edit(&mut self, old: Option<&Doc>, new: Option<&Arc<Doc>>, at: Nanos) -> Vec<Fault> {
        let (faults, turn) = self.now.edit(old, new);
        if let Some(turn) = turn.filter(matters) {
            self.book(turn, at);
        }
        self.forget();
        faults
    }

    fn forget(&mut self) {
        while self.log.len() > MOST || (self.bytes > MOST_BYTES && !self.log.is_empty()) {
            if let Some(step) = self.log.pop_front() {
                self.bytes -= step.weight();
                self.forgotten += 1;
                self.from = self.from.max(Some(step.at));
            }
        }
    }

    /// Puts a change where its time is. One object's changes stand in the order in which they came, whatever the clocks say; another
    /// object's are not moved by that.
    fn book(&mut self, turn: Turn, mut at: Nanos) {
        let of = |turn: &Turn| turn.after.as_ref().or(turn.before.as_ref()).map(|s| s.id().clone());
        let id = of(&turn);
        let later = self.log.partition_point(|s| s.at <= at);
        let mut own = (later..self.log.len()).rev().filter(|i| self.log.get(*i).is_some_and(|s| of(&s.turn) == id));
        if let Some(last) = own.next() {
            let floor = own.next().and_then(|i| self.log.get(i)).map_or(at, |s| s.at);
            let went = self.log.get(last).is_some_and(|s| s.turn.after.is_none());
            if went && turn.before.is_none() {
                // When it went, nobody but us says; it was gone before it came again.
                if let Some(gone) = self.log.remove(last) {
                    at = floor;
                    self.insert(Step { at, ..gone });
                    self.renumbered += 1;
                }
            } else {
                at = self.log.get(last).map_or(at, |s| s.at);
            }
        }
        self.bytes += self.insert(Step { at, turn });
    }

    /// Returns what it weighs.
    fn insert(&mut self, step: Step) -> usize {
        let (weight, place) = (step.weight(), self.log.partition_point(|s| s.at <= step.at));
        self.renumbered += u64::from(place < self.log.len());
        self.log.insert(place, step);
        weight
    }

    fn known(&mut self, group: &str, kind: &str, state: &KindState, at: Nanos) {
        let of = (group.to_owned(), kind.to_owned());
        let open = self.gaps.iter_mut().find(|g| g.to.is_none() && g.is(group, kind));
        match (state, open) {
            (KindState::Synced | KindState::Absent, open) => {
                if let Some(gap) = open {
                    gap.to = Some(at.max(gap.from));
                }
                // Where our clock is behind the cluster's, writes of the list are newer than it is: before them it may have been otherwise.
                let written = self.loading.remove(&of).flatten();
                if self.listed.insert(of) {
                    self.from = self.from.max(Some(at)).max(written);
                    self.written.settle(self.from);
                }
            }
            (_, None) if self.listed.contains(&of) => {
                self.gaps.push_back(Gap { group: of.0, kind: of.1, from: at, to: None });
                if self.gaps.len() > MOST_GAPS
                    && let Some(gap) = self.gaps.pop_front()
                {
                    self.gaps_forgotten += 1;
                    self.from = self.from.max(gap.to.or(Some(gap.from)));
                }
            }
            (KindState::Loading, None) => _ = self.loading.entry(of).or_default(),
            _ => {}
        }
    }

    /// Kinds of policy of which not everything is known of a time; `None`: those that are not known now.
    pub fn unread_at(&self, at: Nanos) -> Option<Vec<Unread>> {
        let (past, ahead): (Vec<&Gap>, Vec<&Gap>) = {
            let past = self.gaps.iter().filter(|g| g.to.is_some() && g.covers(at)).collect();
            (past, self.gaps.iter().filter(|g| g.to.is_none() && !g.covers(at)).collect())
        };
        if past.is_empty() && ahead.is_empty() {
            return None;
        }
        let mut list: Vec<Unread> = self.now.unread().iter().filter(|u| !ahead.iter().any(|g| u.is(&g.group, &g.kind))).cloned().collect();
        for gap in past {
            if !list.iter().any(|u| u.is(&gap.group, &gap.kind)) {
                list.push(Unread::then(&gap.group, &gap.kind, gap.from, gap.to.unwrap_or(gap.from)));
            }
        }
        Some(list)
    }

    /// Changes and broken watches that were forgotten, for want of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten + self.gaps_forgotten
    }

    /// Grows whenever numbers come to mean other versions than before.
    pub fn renumbered(&self) -> u64 {
        self.renumbered
    }

    /// Since when every change is known.
    pub fn from(&self) -> Option<Nanos> {
        self.from
    }

    /// Policies that a node may not have had yet at a time; what was so before is not known.
    pub fn written(&self, at: Nanos) -> impl Iterator<Item = &Written> {
        self.written.about(at)
    }

    /// Counts the moments until a time at which more or less is known of it than just before.
    pub fn era(&self, at: Nanos) -> u64 {
        self.written.era(at) + u64::from(self.from.is_none_or(|from| from <= at))
    }

    /// When anything changed last.
    pub fn last(&self) -> Option<Nanos> {
        self.log.back().map(|s| s.at)
    }

    /// The number of today's version.
    pub fn number(&self) -> u64 {
        self.forgotten + self.log.len() as u64
    }

    /// The number of the version in force at a moment; of the oldest that is known, if the moment lies before it.
    pub fn number_at(&self, at: Nanos) -> u64 {
        self.forgotten + self.log.partition_point(|s| s.at <= at) as u64
    }

    /// The changes that led from one version to a later one, oldest first.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Step> {
        let place = |n: u64| usize::try_from(n.saturating_sub(self.forgotten)).unwrap_or(usize::MAX).min(self.log.len());
        self.log.range(place(from)..place(to).max(place(from)))
    }

    /// Every change that is remembered, each with the number of the version that it led to.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Step)> {
        (self.forgotten + 1..).zip(&self.log)
    }

    /// Every change that is remembered, oldest first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.log.iter()
    }

    /// When anything changed that is remembered, of the policies those that `concern`; and when watches broke and were mended.
    pub fn moments(&self, concern: impl Fn(&Step) -> bool) -> impl Iterator<Item = Nanos> {
        let gaps = self.gaps.iter().flat_map(|g| std::iter::once(g.from).chain(g.to));
        self.log.iter().filter(move |s| concern(s)).map(|s| s.at).chain(gaps)
    }

    /// The policies as they were in a version, read as this minor version of Cilium does; `unread`: what of them was not known then, if
    /// not the same as now.
    pub fn build(&self, number: u64, unread: Option<&[Unread]>, cilium: u32) -> PolicySet {
        let mut set = self.now.clone();
        set.set_cilium(cilium);
        if let Some(unread) = unread {
            set.set_unread(unread.to_vec());
        }
        let later: Vec<&Step> = self.between(number, self.number()).collect();
        later.into_iter().rev().for_each(|step| set.undo(&step.turn));
        set
    }
}

/// Whether a policy says something else than before. Labels of its own, a status, a field's owner decide nothing.
fn matters(turn: &Turn) -> bool {
    let (Some(Standing::Policy(a)), Some(Standing::Policy(b))) = (&turn.before, &turn.after) else { return true };
    !["spec", "specs"].iter().all(|k| match (a.doc.root.get(k), b.doc.root.get(k)) {
        (Some(a), Some(b)) => alike(a, b),
        (None, None) => true,
        _ => false,
    })
}

/// The same, wherever it stands.
fn alike(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|e| b.iter().any(|o| o.key == e.key && alike(&e.value, &o.value)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Kind, ObjectId};
    use crate::policy::CILIUM;
    use crate::world::yaml;

    fn policy(name: &str, app: &str) -> Change {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: a{app}}}}}}}\n"
        );
        Change::Apply(Arc::new(yaml::read(&format!("NetworkPolicy/shop/{name}"), &text).0.remove(0)))
    }

    fn gone(name: &str) -> Change {
        let own = str::to_owned;
        Change::Remove(ObjectId { group: own("networking.k8s.io"), kind: own("NetworkPolicy"), namespace: own("shop"), name: own(name) })
    }

    fn kind(state: KindState) -> Change {
        Change::Kind(Kind { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into(), state })
    }

    fn names(set: &PolicySet) -> Vec<String> {
        set.iter()
            .map(|p| format!("{} {:?}", p.id.name, p.doc.root.at(&["spec", "podSelector", "matchLabels", "app"]).unwrap().str()))
            .collect()
    }

    #[test]
    fn every_version_can_be_had_again_in_its_order() {
        let mut v = Versions::default();
        let all =
            [policy("a", "1"), policy("b", "1"), policy("a", "2"), gone("a"), policy("c", "1"), policy("a", "3"), gone("b"), gone("x")];
        let mut seen = vec![names(v.now())];
        for (i, change) in all.iter().enumerate() {
            v.turn(change, Nanos(10 * (i as i64 + 1)));
            seen.push(names(v.now()));
        }
        assert_eq!((v.number(), v.from(), v.last()), (7, Some(Nanos(10)), Some(Nanos(70))), "what was not there cannot go");
        for n in 0..=7u64 {
            assert_eq!(names(&v.build(n, None, CILIUM)), seen[n as usize], "{n}");
        }
        assert_eq!((v.number_at(Nanos(9)), v.number_at(Nanos(10)), v.number_at(Nanos(35)), v.number_at(Nanos(999))), (0, 1, 3, 7));
        let told: Vec<_> = v.steps().map(|s| format!("{} {}", s.policy().unwrap().name, s.what())).collect();
        assert_eq!(told, ["a added", "b added", "a changed", "a removed", "c added", "a added", "b removed"]);
        assert_eq!(v.between(2, 4).count(), 2);
    }

    #[test]
    fn an_older_state_shares_with_todays_all_that_did_not_change() {
        let of = |ns: usize, name: usize, app: &str| {
            let text = format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{name}, namespace: n{ns}}}\nspec: {{podSelector: {{matchLabels: {{app: {app}}}}}}}\n"
            );
            Change::Apply(Arc::new(yaml::read(&format!("NetworkPolicy/n{ns}/p{name}"), &text).0.remove(0)))
        };
        let mut v = Versions::default();
        for ns in 0..50 {
            (0..20).for_each(|name| drop(v.turn(&of(ns, name, "a"), Nanos(1))));
        }
        for n in 0..7 {
            v.turn(&of(n, 3, "b"), Nanos(10 + n as i64));
        }
        let built: Vec<PolicySet> = (0..=7).map(|n| v.build(1_000 + n, None, CILIUM)).collect();
        for (n, set) in built.iter().enumerate() {
            // Of each namespace that changed since: its references, and its index.
            let since = 7 - n;
            assert_eq!((set.len(), set.own(v.now())), (1_000, [2 * since, since]), "{n}");
        }
    }

    #[test]
    fn a_first_list_is_no_change_and_what_decides_nothing_neither() {
        let mut v = Versions::default();
        v.turn(&kind(KindState::Loading), Nanos(1));
        v.turn(&policy("a", "1"), Nanos(2));
        assert_eq!((v.number(), v.from()), (0, None));
        v.turn(&kind(KindState::Synced), Nanos(3));
        // A recording tells what a list said after it says that the list is in.
        v.turn(&policy("b", "1"), Nanos(2));
        assert_eq!((v.number(), v.from(), v.now().len()), (0, Some(Nanos(3)), 2));
        let Change::Apply(doc) = policy("a", "1") else { return };
        let labelled = doc.text.body.replace("namespace: shop", "namespace: shop, labels: {x: y}");
        v.turn(&Change::Apply(Arc::new(yaml::read(&doc.text.file, &labelled).0.remove(0))), Nanos(4));
        assert_eq!((v.number(), v.now().len()), (0, 2));
        // A list made anew after a broken watch is a change like any other.
        v.turn(&kind(KindState::Loading), Nanos(5));
        v.turn(&policy("a", "2"), Nanos(6));
        assert_eq!(v.number(), 1);
    }

    #[test]
    fn before_a_write_that_came_with_the_first_list_nothing_is_known_though_our_clock_is_behind() {
        let mut v = Versions::default();
        v.turn(&kind(KindState::Loading), Nanos(1));
        v.turn(&policy("a", "1"), Nanos(500));
        v.turn(&kind(KindState::Synced), Nanos(3));
        assert_eq!((v.number(), v.from()), (0, Some(Nanos(500))));
    }

    #[test]
    fn what_a_ring_whose_beginning_is_gone_knows_in_a_later_version_was_not_added_by_it() {
        let live = |name: &str, created: i64| {
            let Change::Apply(doc) = policy(name, "2") else { panic!() };
            let live = crate::model::live::Live { created: Some(Nanos(created * Nanos::SECOND)), ..Default::default() };
            Change::Apply(Arc::new(Doc { live: Some(Arc::new(live)), ..Doc::clone(&doc) }))
        };
        let s = |n: i64| Nanos(n * Nanos::SECOND);
        let mut v = Versions::default();
        v.turn(&kind(KindState::Synced), s(1_000));
        v.turn(&live("a", 10), s(2_000));
        assert_eq!((v.number(), v.from()), (0, Some(s(2_000))), "before that it was there, and other");
        v.turn(&live("b", 2_500), s(2_500));
        assert_eq!((v.number(), v.from()), (1, Some(s(2_000))));
        // What went comes again as a change, whatever its text says of its making.
        v.turn(&gone("a"), s(3_000));
        v.turn(&live("a", 10), s(3_500));
        assert_eq!(v.number(), 3);
    }

    #[test]
    fn a_manifest_written_anew_makes_a_version_and_one_that_is_refused_none() {
        let doc = |text: &str| Arc::new(yaml::read("p.yaml", text).0.remove(0));
        let text = |app: &str, more: &str| {
            format!(
                "{more}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: {app}}}}}}}\n"
            )
        };
        let (first, second) = (doc(&text("a1", "")), doc(&text("a2", "# further down\n\n")));
        let refused = doc(&text("a3", "").replace("podSelector:", "ingress: [{ports: [{port: 99999}]}], podSelector:"));
        let mut v = Versions::default();
        v.now_mut().apply(&Change::Apply(first.clone()));
        assert!(v.edit(Some(&first), Some(&second), Nanos(10)).is_empty());
        assert_eq!(
            (v.number(), v.from(), names(v.now()), names(&v.build(0, None, CILIUM))),
            (1, None, vec!["a Some(\"a2\")".to_owned()], vec!["a Some(\"a1\")".to_owned()])
        );
        let faults = v.edit(Some(&second), Some(&refused), Nanos(20));
        assert!(faults.len() == 1 && faults[0].what.contains("so it stays as it was"), "{faults:?}");
        assert_eq!((v.number(), v.now().len(), v.now().refused().len()), (1, 1, 0));
        // What was refused stands in the file now; the one that is in force is found by its name.
        assert!(v.edit(Some(&refused), None, Nanos(30)).is_empty());
        assert_eq!((v.number(), v.now().len(), names(&v.build(1, None, CILIUM)).len()), (2, 0, 1));
    }

    #[test]
    fn a_clock_that_is_ahead_moves_no_other_objects_change() {
        let mut v = Versions::default();
        v.turn(&policy("a", "1"), Nanos(10));
        v.turn(&policy("b", "1"), Nanos(20));
        // Seen by a clock that is far ahead: the API does not say when an object went.
        v.turn(&gone("a"), Nanos(5_000));
        let before = v.renumbered();
        v.turn(&policy("b", "2"), Nanos(100));
        assert!(v.renumbered() > before, "what is kept by number is void");
        let at = |v: &Versions, t| names(&v.build(v.number_at(Nanos(t)), None, CILIUM));
        assert_eq!(at(&v, 50), ["a Some(\"a1\")", "b Some(\"a1\")"]);
        assert_eq!(at(&v, 150), ["a Some(\"a1\")", "b Some(\"a2\")"]);
        assert_eq!(at(&v, 5_001), ["b Some(\"a2\")"]);
        // Made again: it had gone before that.
        v.turn(&policy("a", "3"), Nanos(200));
        let mut again = at(&v, 200);
        again.sort();
        assert_eq!((at(&v, 199).len(), again), (2, vec!["a Some(\"a3\")".to_owned(), "b Some(\"a2\")".into()]));
        // One object's own changes stay in their order.
        v.turn(&policy("a", "4"), Nanos(150));
        assert_eq!(at(&v, 199).len(), 2);
        assert!(at(&v, 200).contains(&"a Some(\"a4\")".to_owned()), "{:?}", at(&v, 200));
        let n = v.number();
        assert_eq!((0..=n).map(|n| v.build(n, None, CILIUM).len()).collect::<Vec<_>>(), [0, 1, 2, 2, 1, 2, 2]);
    }

    #[test]
    fn long_texts_push_out_older_versions_and_that_is_counted() {
        let mut v = Versions::default();
        let long = "x".repeat(MOST_BYTES / OF_BYTE / 4);
        for i in 0..10 {
            v.turn(&policy("a", &format!("{i}{long}")), Nanos(i));
        }
        assert!(v.steps().count() <= 5 && v.bytes <= MOST_BYTES, "{} {}", v.steps().count(), v.bytes);
        assert_eq!((v.forgotten() + v.steps().count() as u64, v.number()), (10, 10));
        assert!(v.from() > Some(Nanos(3)));
    }

    #[test]
    fn a_broken_watch_is_remembered_after_it_is_mended() {
        let mut v = Versions::default();
        let s = |n: i64| Nanos(n * Nanos::SECOND);
        v.turn(&kind(KindState::Synced), s(0));
        v.turn(&kind(KindState::Stale("gone".into())), s(1_000));
        assert!(v.unread_at(s(1_100)).is_none(), "as it is now");
        assert_eq!(v.unread_at(s(900)).map(|u| u.len()), Some(0), "before it broke all was known");
        v.turn(&kind(KindState::Synced), s(2_000));
        let then = v.unread_at(s(1_500)).unwrap();
        assert_eq!(then[0].fact(), "policies:networkpolicies stale then");
        assert!(v.unread_at(s(2_029)).is_some() && v.unread_at(s(2_031)).is_none() && v.unread_at(s(900)).is_none());
        // A kind that was never there has no past of which nothing is known.
        let cnp = |state| Change::Kind(Kind { group: "cilium.io".into(), kind: "CiliumNetworkPolicy".into(), state });
        v.turn(&cnp(KindState::Absent), s(10));
        v.turn(&cnp(KindState::Synced), s(3_000));
        assert_eq!(v.from(), Some(s(10)));
        for i in 0..MOST_GAPS as i64 + 5 {
            v.turn(&kind(KindState::Stale("gone".into())), s(4_000 + 2 * i));
            v.turn(&kind(KindState::Synced), s(4_001 + 2 * i));
        }
        assert_eq!((v.forgotten(), v.from()), (6, Some(s(4_009))));
    }

    #[test]
    fn what_is_forgotten_is_not_known() {
        let mut v = Versions::default();
        for i in 0..MOST + 10 {
            v.turn(&policy("a", &i.to_string()), Nanos(i as i64));
        }
        assert_eq!(v.numbered().last().map(|(n, s)| (n, s.at)), Some(((MOST + 10) as u64, Nanos((MOST + 9) as i64))), "numbers go on");
        assert_eq!((v.steps().count(), v.number(), v.from()), (MOST, (MOST + 10) as u64, Some(Nanos(9))));
        assert_eq!(names(&v.build(v.number_at(Nanos(0)), None, CILIUM)), names(&v.build(10, None, CILIUM)));
    }
}
