//! The policies of a cluster over time: as they are now, and every change that led there, so that a flow is judged by what was in force
//! when it happened.
//!
//! Owns what counts as a change, how far back is remembered, and the way back: an older state is today's with the later changes undone,
//! so that a change costs the two versions of one object and nothing else. Judges nothing.
use super::PolicySet;
use super::ir::Policy;
use super::kind;
use super::set::{Standing, Turn};
use crate::model::doc::{Doc, Fault, Node, Value};
use crate::model::input::{Change, KindState};
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Changes remembered. When full the oldest goes, and what was before it is not known any more.
const MOST: usize = 4_096;

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

    /// Who wrote the version that came, as the API keeps it: a program, not a person.
    pub fn by(&self) -> Option<&str> {
        self.after()?.doc.live.as_ref()?.changed.as_ref().map(|c| c.by.as_str())
    }
}

/// The policies of one cluster, now and before.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    now: PolicySet,
    log: VecDeque<Step>,
    /// Changes that are forgotten: a version's number is how many changes came before it.
    forgotten: u64,
    /// Since when every change is known; `None`: nothing here has a time.
    from: Option<Nanos>,
    /// Kinds of policy whose first list is in: (group, kind).
    listed: BTreeSet<(String, String)>,
    /// Kinds whose first list is on its way.
    loading: BTreeSet<(String, String)>,
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
        // What a first list says has been so before; so it has been where nothing was known until this moment.
        let first = match change {
            Change::Apply(doc) => {
                let of = (crate::world::group(doc.api_version()).to_owned(), doc.kind().to_owned());
                self.loading.contains(&of) || (self.listed.contains(&of) && self.from.is_some_and(|from| at <= from))
            }
            _ => false,
        };
        if !turns.is_empty() && self.from.is_none() && !first {
            self.from = Some(at);
        }
        for turn in turns.into_iter().filter(|t| !first && matters(t)) {
            // A clock that went back tells no order.
            let at = self.log.back().map_or(at, |last| at.max(last.at));
            self.log.push_back(Step { at, turn });
        }
        self.forget();
        faults
    }

    /// Takes in an object of a manifest that was written anew at a time. As far as anybody knows what stood there had always been so.
    pub fn edit(&mut self, old: Option<&Doc>, new: Option<&Arc<Doc>>, at: Nanos) -> Vec<Fault> {
        let (faults, turn) = self.now.edit(old, new);
        let at = self.log.back().map_or(at, |last| at.max(last.at));
        self.log.extend(turn.filter(matters).map(|turn| Step { at, turn }));
        self.forget();
        faults
    }

    fn forget(&mut self) {
        while self.log.len() > MOST {
            if let Some(step) = self.log.pop_front() {
                self.forgotten += 1;
                self.from = self.from.max(Some(step.at));
            }
        }
    }

    fn known(&mut self, group: &str, kind: &str, state: &KindState, at: Nanos) {
        let of = (group.to_owned(), kind.to_owned());
        match state {
            KindState::Loading if !self.listed.contains(&of) => {
                self.loading.insert(of);
            }
            KindState::Synced if self.listed.insert(of.clone()) => {
                self.loading.remove(&of);
                self.from = self.from.max(Some(at));
            }
            _ => {}
        }
    }

    /// Since when every change is known.
    pub fn from(&self) -> Option<Nanos> {
        self.from
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

    /// Every change that is remembered, oldest first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.log.iter()
    }

    /// The policies as they were in a version.
    pub fn build(&self, number: u64) -> PolicySet {
        let mut set = self.now.clone();
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
            assert_eq!(names(&v.build(n)), seen[n as usize], "{n}");
        }
        assert_eq!((v.number_at(Nanos(9)), v.number_at(Nanos(10)), v.number_at(Nanos(35)), v.number_at(Nanos(999))), (0, 1, 3, 7));
        let told: Vec<_> = v.steps().map(|s| format!("{} {}", s.policy().unwrap().name, s.what())).collect();
        assert_eq!(told, ["a added", "b added", "a changed", "a removed", "c added", "a added", "b removed"]);
        assert_eq!(v.between(2, 4).count(), 2);
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
            (v.number(), v.from(), names(v.now()), names(&v.build(0))),
            (1, None, vec!["a Some(\"a2\")".to_owned()], vec!["a Some(\"a1\")".to_owned()])
        );
        let faults = v.edit(Some(&second), Some(&refused), Nanos(20));
        assert!(faults.len() == 1 && faults[0].what.contains("so it stays as it was"), "{faults:?}");
        assert_eq!((v.number(), v.now().len(), v.now().refused().len()), (1, 1, 0));
        // What was refused stands in the file now; the one that is in force is found by its name.
        assert!(v.edit(Some(&refused), None, Nanos(30)).is_empty());
        assert_eq!((v.number(), v.now().len(), names(&v.build(1)).len()), (2, 0, 1));
    }

    #[test]
    fn what_is_forgotten_is_not_known() {
        let mut v = Versions::default();
        for i in 0..MOST + 10 {
            v.turn(&policy("a", &i.to_string()), Nanos(i as i64));
        }
        assert_eq!((v.steps().count(), v.number(), v.from()), (MOST, (MOST + 10) as u64, Some(Nanos(9))));
        assert_eq!(names(&v.build(v.number_at(Nanos(0)))), names(&v.build(10)));
    }
}
