//! What each policy did to the flows of the session: how many passed by it, and how many it stopped.
//!
//! What it stopped is what the causes of the drops say, as they were explained when they came: it stays when the policy is written
//! anew. What passed by it is judged once a conversation by the policies as they are, in slices between pictures, and counted anew as
//! often as is asked; only flows that did pass count. Owns no judging: that is `policy::ruling`.
use super::Engine;
use crate::model::observed::Direction;
use crate::model::talk::Talk;
use crate::model::why::{Outcome, PolicyRef};
use crate::policy::eval::{Decision, Judgement};
use crate::policy::ruling_of;
use foldhash::HashMap;

/// Conversations looked at between two questions whether time is up.
const SLICE: usize = 16;

/// A policy, by its place, that has a say in one direction; and whether that is a yes.
type Say = (usize, Direction, bool);

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    pub policy: PolicyRef,
    /// Flows that passed, and that a rule of it lets through.
    pub allows: u64,
    /// Drops (and audits) by a rule of it, each packet once, as the list of causes counts them.
    pub denies: u64,
    /// Drops (and audits) because it isolates and nothing allowed them.
    pub isolates: u64,
    /// It stopped flows and is not among the policies any more, or never was.
    pub gone: bool,
    /// As it is now, it decides on some conversation.
    has_say: bool,
}

impl Used {
    fn new(policy: PolicyRef, gone: bool) -> Self {
        Self { policy, allows: 0, denies: 0, isolates: 0, gone, has_say: false }
    }

    /// No flow met it. One that only decides on what another policy stopped has no numbers, but is of use.
    pub fn is_idle(&self) -> bool {
        !self.has_say && self.allows + self.stopped() == 0
    }

    pub fn stopped(&self) -> u64 {
        self.denies + self.isolates
    }
}

/// All policies of one set.
#[derive(Debug, Default)]
pub struct Usage {
    pub lines: Vec<Used>,
    /// Flows that passed, and of which a fact is missing that would say by which policy.
    pub unknown: u64,
    /// Drops (and audits) of which one is missing.
    pub undecided: u64,
    /// Drops whose causes found no room: which policy stopped them is not held, so that each may have stopped more.
    pub unheld: u64,
    generation: Option<u64>,
    places: HashMap<PolicyRef, usize>,
    /// Distinct findings, and which one each conversation has.
    findings: Vec<(Vec<Say>, bool)>,
    ids: HashMap<(Vec<Say>, bool), u32>,
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
                    self.lines.push(Used::new(p.id.clone(), false));
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
            let mut says = Vec::new();
            let mut unknown = false;
            for d in [Direction::Egress, Direction::Ingress] {
                let j = ruling.side(d);
                unknown |= j.decision == Decision::Unknown;
                self.says(j, d, &mut says);
            }
            says.sort();
            says.dedup();
            let finding = (says, unknown);
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

    fn says(&self, j: &Judgement, d: Direction, out: &mut Vec<Say>) {
        if matches!(j.decision, Decision::Allowed | Decision::Denied) {
            let yes = j.decision == Decision::Allowed;
            out.extend(j.deciding().into_iter().filter_map(|p| self.places.get(&PolicyRef { rule: None, ..p })).map(|i| (*i, d, yes)));
        }
    }

    /// Whether conversations wait to be judged.
    pub fn behind(&self, engine: &Engine) -> bool {
        self.generation != Some(engine.policies().generation()) || self.of.len() < engine.talks().len()
    }

    /// How many conversations were judged.
    pub fn judged(&self) -> usize {
        self.of.len()
    }

    /// Counts the flows: what passed of the conversations judged so far, and what was stopped.
    pub fn count(&mut self, engine: &Engine) {
        // By finding: records that passed in either direction.
        let mut sums = vec![[0u64; 2]; self.findings.len()];
        for (talk, id) in engine.talks().iter().zip(&self.of) {
            if let Some(passed) = sums.get_mut(*id as usize) {
                for (sum, d) in passed.iter_mut().zip([Direction::Egress, Direction::Ingress]) {
                    *sum += passed_by(talk, d);
                }
            }
        }
        for l in &mut self.lines {
            (l.allows, l.denies, l.isolates, l.has_say) = (0, 0, 0, false);
        }
        (self.unknown, self.undecided, self.unheld) = (0, 0, engine.causes().overflow);
        for ((says, unknown), [egress, ingress]) in self.findings.iter().zip(sums) {
            self.unknown += if *unknown { egress.max(ingress) } else { 0 };
            let mut before = None;
            for (i, d, yes) in says {
                let Some(l) = self.lines.get_mut(*i) else { continue };
                l.has_say = true;
                let n = if *d == Direction::Egress { egress } else { ingress };
                // A policy may let one flow out and in: it is one flow all the same.
                match before.filter(|(of, _)| of == i) {
                    _ if !yes => {}
                    Some((_, counted)) => l.allows += n.saturating_sub(counted),
                    None => l.allows += n,
                }
                before = if *yes { Some((*i, n)) } else { before };
            }
        }
        let undecided = engine.causes().iter().filter(|c| c.foreseen.is_none() && c.why.outcome == Outcome::Undecidable);
        self.undecided = undecided.map(|c| c.events).sum();
        // Where the policies at hand allow what was dropped, those that are named are not to blame.
        let blames = |o| !matches!(o, Outcome::Undecidable | Outcome::NowAllowed | Outcome::Allowed | Outcome::NotPolicy);
        for c in engine.causes().iter().filter(|c| c.foreseen.is_none() && blames(c.why.outcome)) {
            let mut places: Vec<usize> = Vec::new();
            for p in &c.why.policies {
                let policy = PolicyRef { rule: None, ..p.clone() };
                // What it did stays on the list when it is taken away.
                let place = *self.places.entry(policy).or_insert_with_key(|policy| {
                    self.lines.push(Used::new(policy.clone(), true));
                    self.lines.len() - 1
                });
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            for i in places {
                let Some(l) = self.lines.get_mut(i) else { continue };
                *(if c.why.outcome == Outcome::DefaultDeny { &mut l.isolates } else { &mut l.denies }) += c.events;
            }
        }
    }
}

/// Records of a conversation that passed in a direction. Whatever came to the receiver had left the sender; the other way round
/// that is so only of a connection that nothing stopped.
fn passed_by(talk: &Talk, d: Direction) -> u64 {
    let seen = talk.seen();
    let stopped = seen.dropped + seen.audited + seen.other > 0;
    if d == Direction::Ingress && stopped { talk.ingress.forwarded + talk.unsaid.forwarded } else { seen.forwarded }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn of_drops_whose_causes_have_no_room_it_is_said_that_they_are_not_counted() {
        let mut engine = Engine::new(Options::default());
        let mut usage = Usage::default();
        usage.count(&engine);
        assert_eq!(usage.unheld, 0);
        engine.causes.overflow = 12;
        usage.count(&engine);
        assert_eq!(usage.unheld, 12);
    }
}
