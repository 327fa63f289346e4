//! What each policy does to the conversations at hand: how many flows it allows, denies, isolates. Judged once a conversation, in
//! slices between pictures; counted anew as often as is asked. Owns no judging: that is `policy::ruling`.
use super::Engine;
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use crate::policy::eval::{Cause, Decision, Judgement};
use crate::policy::ruling_of;
use foldhash::HashMap;

/// Conversations looked at between two questions whether time is up.
const SLICE: usize = 16;

/// What a policy did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Role {
    Allows,
    Denies,
    Isolates,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    pub policy: PolicyRef,
    /// Flows let through by a rule of it.
    pub allows: u64,
    /// Flows stopped by a rule of it.
    pub denies: u64,
    /// Flows stopped because it isolates and nothing allows them.
    pub isolates: u64,
}

impl Used {
    pub fn is_idle(&self) -> bool {
        self.allows + self.denies + self.isolates == 0
    }
}

/// All policies of one set.
#[derive(Debug, Default)]
pub struct Usage {
    pub lines: Vec<Used>,
    /// Flows of which a fact is missing that would say by which policy.
    pub unknown: u64,
    generation: Option<u64>,
    places: HashMap<PolicyRef, usize>,
    /// Distinct findings, and which one each conversation has.
    findings: Vec<(Vec<(usize, Role)>, bool)>,
    ids: HashMap<(Vec<(usize, Role)>, bool), u32>,
    of: Vec<u32>,
}

impl Usage {
    /// Judges conversations that were not judged yet while `more` allows. Returns whether something changed.
    pub fn advance(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
        let set = engine.policies();
        if self.generation != Some(set.generation()) {
            *self = Self { generation: Some(set.generation()), ..Self::default() };
            for p in set.iter() {
                if !self.places.contains_key(&p.id) {
                    self.places.insert(p.id.clone(), self.lines.len());
                    self.lines.push(Used { policy: p.id.clone(), allows: 0, denies: 0, isolates: 0 });
                }
            }
            self.lines.sort_by(|a, b| (a.policy.path(), &a.policy.kind).cmp(&(b.policy.path(), &b.policy.kind)));
            self.places = self.lines.iter().enumerate().map(|(i, l)| (l.policy.clone(), i)).collect();
        } else if !self.behind(engine) {
            return false;
        }
        for n in 1.. {
            let Some(talk) = engine.talks().get(self.of.len()) else { break };
            let ruling = ruling_of(&talk.flow, engine.world(), set, engine.judging());
            let mut roles = Vec::new();
            let mut unknown = false;
            for d in [Direction::Egress, Direction::Ingress] {
                let j = ruling.side(d);
                unknown |= j.decision == Decision::Unknown;
                self.roles(j, &mut roles);
            }
            roles.sort();
            roles.dedup();
            let finding = (roles, unknown);
            let next = u32::try_from(self.findings.len()).unwrap_or(u32::MAX);
            let id = *self.ids.entry(finding.clone()).or_insert(next);
            if id == next {
                self.findings.push(finding);
            }
            self.of.push(id);
            if n % SLICE == 0 && !more() {
                break;
            }
        }
        true
    }

    fn roles(&self, j: &Judgement, out: &mut Vec<(usize, Role)>) {
        let role = match (j.decision, j.cause) {
            (Decision::Denied, Cause::DefaultDeny) => Role::Isolates,
            (Decision::Denied, _) => Role::Denies,
            (Decision::Allowed, _) => Role::Allows,
            _ => return,
        };
        for p in j.deciding() {
            out.extend(self.places.get(&PolicyRef { rule: None, ..p }).map(|i| (*i, role)));
        }
    }

    /// Whether conversations wait to be judged.
    pub fn behind(&self, engine: &Engine) -> bool {
        self.generation != Some(engine.policies().generation()) || self.of.len() < engine.talks().len()
    }

    /// Counts the flows of the conversations judged so far.
    pub fn count(&mut self, engine: &Engine) {
        let mut sums = vec![0u64; self.findings.len()];
        for (talk, id) in engine.talks().iter().zip(&self.of) {
            if let Some(s) = sums.get_mut(*id as usize) {
                *s += talk.seen().records();
            }
        }
        for l in &mut self.lines {
            (l.allows, l.denies, l.isolates) = (0, 0, 0);
        }
        self.unknown = 0;
        for ((roles, unknown), n) in self.findings.iter().zip(sums) {
            self.unknown += if *unknown { n } else { 0 };
            for (i, role) in roles {
                let Some(l) = self.lines.get_mut(*i) else { continue };
                *match role {
                    Role::Allows => &mut l.allows,
                    Role::Denies => &mut l.denies,
                    Role::Isolates => &mut l.isolates,
                } += n;
            }
        }
    }
}
