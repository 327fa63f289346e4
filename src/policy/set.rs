//! The policies at hand. Owns compiling on arrival, what was refused or not understood, and the text of each object.
use super::index::Index;
use super::ir::{Policy, Section};
use super::kind::{self, Verdict};
use crate::model::doc::{Fault, Text};
use crate::model::input::Change;
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use crate::world::Endpoint;
use foldhash::HashMap;
use std::sync::Arc;

/// A policy object of a kind that cannot be judged yet, or one that the API would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    pub policy: PolicyRef,
    pub file: String,
    pub line: u32,
    /// Why; for a refused policy the reason of the refusal.
    pub what: String,
}

/// All policies.
#[derive(Debug, Clone)]
pub struct PolicySet {
    cilium: u32,
    policies: Vec<Arc<Policy>>,
    /// Places in `policies`, in their order; more than one where an object stands in several files.
    by_id: HashMap<PolicyRef, Vec<usize>>,
    index: Index,
    not_understood: Vec<NotUnderstood>,
    refused: Vec<NotUnderstood>,
    given: bool,
    generation: u64,
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
        let (by_id, index) = Default::default();
        Self { cilium, policies: Vec::new(), by_id, index, not_understood: Vec::new(), refused: Vec::new(), given: false, generation: 0 }
    }

    /// Takes in an object; what is no policy is left alone.
    pub fn apply(&mut self, change: &Change) -> Vec<Fault> {
        self.set_given();
        let Change::Apply(doc) = change else { return Vec::new() };
        let mut faults = Vec::new();
        let line = doc.root.line;
        match kind::compile(doc, self.cilium, &mut faults) {
            Verdict::NoPolicy => return faults,
            Verdict::NotUnderstood(policy) => {
                let what = format!("kind {} is not understood yet", policy.kind);
                faults.push(Fault { file: doc.text.file.clone(), line, what: what.clone() });
                self.not_understood.push(NotUnderstood { policy, file: doc.text.file.clone(), line, what });
            }
            Verdict::Refused(policy, fault) => {
                let what = fault.what.clone();
                faults.push(Fault {
                    what: format!("{} {} is refused, so it isolates nothing: {}", policy.kind, policy.path(), fault.what),
                    ..fault
                });
                self.refused.push(NotUnderstood { policy, file: doc.text.file.clone(), line, what });
            }
            Verdict::Policy(policy) => {
                let twin = self.take(policy);
                faults.extend(twin);
            }
        }
        self.generation += 1;
        faults
    }

    /// The same set with some policies as `swap` has them (each the same object as before), and with others besides: what would be, if.
    #[must_use]
    pub fn swapped(&self, swap: &dyn Fn(&Arc<Policy>) -> Option<Arc<Policy>>, more: Vec<Arc<Policy>>) -> Self {
        let mut set = self.clone();
        for (i, old) in self.policies.iter().enumerate() {
            if let (Some(new), Some(slot)) = (swap(old), set.policies.get_mut(i)) {
                set.index.remove(i, old);
                set.index.add(i, &new);
                *slot = new;
            }
        }
        for new in more {
            set.index.add(set.policies.len(), &new);
            set.by_id.entry(new.id.clone()).or_default().push(set.policies.len());
            set.policies.push(new);
        }
        set.generation += 1;
        set
    }

    /// The same place read again is the same object; another place is another object, and both count.
    fn take(&mut self, policy: Policy) -> Option<Fault> {
        let same = self.by_id.entry(policy.id.clone()).or_default();
        let at = |i: &&usize| self.policies.get(**i).is_some_and(|p| p.text.file == policy.text.file && p.lines.0 == policy.lines.0);
        let (old, twin) = (same.iter().find(at).copied(), same.first().and_then(|i| self.policies.get(*i)));
        let fault = twin.filter(|_| old.is_none()).map(|twin| {
            let (kind, path) = (&policy.id.kind, policy.id.path());
            let what = format!("{kind} {path} stands here and at {}:{}; both are judged", twin.text.file, twin.lines.0);
            Fault { file: policy.text.file.clone(), line: policy.lines.0, what }
        });
        let policy = Arc::new(policy);
        let i = old.unwrap_or(self.policies.len());
        if let Some(old) = self.policies.get(i) {
            self.index.remove(i, old);
        }
        self.index.add(i, &policy);
        match self.policies.get_mut(i) {
            Some(slot) => *slot = policy,
            None => {
                same.push(i);
                self.policies.push(policy);
            }
        }
        fault
    }

    /// The sections that may select an endpoint, each with its policy and its place there, in the order of arrival. All others
    /// certainly do not.
    pub fn candidates(&self, direction: Direction, e: &Endpoint) -> impl Iterator<Item = (&Arc<Policy>, usize, &Section)> {
        self.index.of(direction, e).into_iter().filter_map(|place| {
            let policy = self.policies.get(place.policy)?;
            Some((policy, place.section, policy.sections.get(place.section)?))
        })
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
        self.policies.iter()
    }

    pub fn len(&self) -> usize {
        self.policies.len()
    }

    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Policies of kinds that cannot be judged yet.
    pub fn not_understood(&self) -> &[NotUnderstood] {
        &self.not_understood
    }

    /// Policies that the API or Cilium would refuse; they isolate nothing.
    pub fn refused(&self) -> &[NotUnderstood] {
        &self.refused
    }

    /// The compiled policy of a reference, whatever its `rule`.
    pub fn find(&self, policy: &PolicyRef) -> Option<&Arc<Policy>> {
        let places = match policy.rule {
            None => self.by_id.get(policy),
            Some(_) => self.by_id.get(&PolicyRef { rule: None, ..policy.clone() }),
        };
        self.policies.get(*places?.first()?)
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
