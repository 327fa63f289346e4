//! The policies at hand. Owns compiling on arrival, what was refused or not understood, and the text of each object.
use super::ir::Policy;
use super::kind::{self, Verdict};
use crate::model::doc::{Fault, Text};
use crate::model::input::Change;
use crate::model::why::PolicyRef;
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
        Self { cilium, policies: Vec::new(), not_understood: Vec::new(), refused: Vec::new(), given: false, generation: 0 }
    }

    /// Takes in an object; what is no policy is left alone.
    pub fn apply(&mut self, change: &Change) -> Vec<Fault> {
        self.given = true;
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
                // The same place read again is the same object; another place is another object, and both count.
                let place = |p: &Policy| (p.text.file == policy.text.file && p.lines.0 == policy.lines.0, p.id == policy.id);
                match self.policies.iter().position(|p| place(p) == (true, true)) {
                    Some(i) => {
                        if let Some(slot) = self.policies.get_mut(i) {
                            *slot = Arc::new(policy);
                        }
                    }
                    None => {
                        if let Some(twin) = self.policies.iter().find(|p| p.id == policy.id) {
                            let what = format!(
                                "{} {} stands here and at {}:{}; both are judged",
                                policy.id.kind,
                                policy.id.path(),
                                twin.text.file,
                                twin.lines.0
                            );
                            faults.push(Fault { file: policy.text.file.clone(), line: policy.lines.0, what });
                        }
                        self.policies.push(Arc::new(policy));
                    }
                }
            }
        }
        self.generation += 1;
        faults
    }

    /// Whether anybody gave policies at all; an empty or wholly refused set is still a set.
    pub fn given(&self) -> bool {
        self.given
    }

    pub fn set_given(&mut self) {
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
        self.policies.iter().find(|p| p.id.kind == policy.kind && p.id.namespace == policy.namespace && p.id.name == policy.name)
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
