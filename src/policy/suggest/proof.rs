//! What a changed set of policies would do to everything at hand.
//!
//! Owns the comparison: every conversation that a changed policy may touch is judged again, whatever caused it.
use crate::model::observed::{Direction, Party};
use crate::model::talk::Talk;
use crate::policy::eval::{Case, Decision, judge, selects};
use crate::policy::ir::Policy;
use crate::policy::ruling::traffic;
use crate::policy::selector::Tri;
use crate::policy::{Options, PolicySet};
use crate::world::{Endpoint, World};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// Everything that a suggestion is tried on.
pub struct Ground<'a> {
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: &'a Options,
    /// Every party of the conversations once.
    ends: Vec<Endpoint>,
    held: Vec<Held<'a>>,
    /// Endpoints that manifests describe, whether they were seen or not.
    described: Vec<Endpoint>,
}

/// A conversation, and what the policies at hand say of it once somebody asks.
struct Held<'a> {
    talk: &'a Talk,
    src: usize,
    dst: usize,
    before: [OnceCell<Decision>; 2],
}

/// Every pod and every workload of the manifests, also those that no flow has shown.
fn described(world: &World) -> Vec<Endpoint> {
    let party = |namespace: &str| Party { present: true, namespace: namespace.to_owned(), ..Party::default() };
    let pods = world.pods().into_iter().filter(|(_, p)| !p.finished);
    let pods = pods.map(|((ns, name), _)| Party { pod: name.clone(), ..party(ns) });
    let workloads = world.workloads().into_iter();
    let workloads = workloads.map(|(ns, kind, name, _)| Party { workloads: vec![(kind.to_owned(), name.to_owned())], ..party(ns) });
    pods.chain(workloads).map(|p| world.endpoint(&p)).collect()
}

/// What changes, by numbers of conversations.
#[derive(Debug, Default)]
pub struct Proof {
    /// Denied before, allowed after.
    pub admitted: BTreeSet<usize>,
    /// The side that was asked about denied before and allows after, whatever the other side says.
    pub opened: BTreeSet<usize>,
    /// Allowed before, and no longer.
    pub broken: usize,
    /// Not known before or not known after, and not the same.
    pub undecided: u64,
}

/// Both sides together: a denial is certain, an unknown is not an allowance.
fn both(a: Decision, b: Decision) -> Decision {
    match (a, b) {
        (Decision::Denied, _) | (_, Decision::Denied) => Decision::Denied,
        (Decision::Unknown, _) | (_, Decision::Unknown) => Decision::Unknown,
        _ => Decision::Allowed,
    }
}

impl<'a> Ground<'a> {
    pub fn new(talks: impl Iterator<Item = &'a Talk>, world: &'a World, set: &'a PolicySet, opt: &'a Options) -> Self {
        let mut ends: Vec<Endpoint> = Vec::new();
        let mut seen: HashMap<&Party, usize> = HashMap::new();
        let mut of = |p: &'a Party| {
            *seen.entry(p).or_insert_with(|| {
                ends.push(world.endpoint(p));
                ends.len() - 1
            })
        };
        let held = talks.map(|talk| Held { talk, src: of(&talk.flow.src), dst: of(&talk.flow.dst), before: Default::default() }).collect();
        Self { world, set, opt, ends, held, described: described(world) }
    }

    pub fn talk(&self, id: usize) -> Option<&'a Talk> {
        self.held.get(id).map(|h| h.talk)
    }

    pub fn talks(&self) -> impl Iterator<Item = &'a Talk> {
        self.held.iter().map(|h| h.talk)
    }

    /// Subject and peer of one side of a conversation.
    pub fn sides(&self, id: usize, direction: Direction) -> Option<(&Endpoint, &Endpoint)> {
        let h = self.held.get(id)?;
        let (src, dst) = (self.ends.get(h.src)?, self.ends.get(h.dst)?);
        Some(if direction == Direction::Egress { (src, dst) } else { (dst, src) })
    }

    /// Every endpoint that was seen or is described.
    pub fn crowd(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        self.ends.iter().chain(&self.described)
    }

    /// Judges one side of a conversation under a set.
    pub fn judge<T>(&self, id: usize, direction: Direction, ask: &dyn Fn(&Case<'_>) -> T) -> Option<T> {
        let (subject, peer) = self.sides(id, direction)?;
        let traffic = traffic(&self.talk(id)?.flow);
        Some(ask(&Case { direction, subject, peer, traffic: &traffic, world: self.world, opt: self.opt }))
    }

    fn decision(&self, id: usize, direction: Direction, set: &PolicySet) -> Decision {
        self.judge(id, direction, &|case| judge(case, set).decision).unwrap_or(Decision::Unknown)
    }

    /// What the policies at hand say of one side.
    pub fn before(&self, id: usize, direction: Direction) -> Decision {
        let slot = self.held.get(id).and_then(|h| h.before.get(usize::from(direction == Direction::Ingress)));
        slot.map_or(Decision::Unknown, |slot| *slot.get_or_init(|| self.decision(id, direction, self.set)))
    }

    /// What `set` does that the policies at hand do not. `changed`: every policy that differs, in its old form and its new.
    /// `side`: whose opening is of interest.
    pub fn compare(&self, set: &PolicySet, changed: &[Arc<Policy>], side: Direction) -> Proof {
        let mut out = Proof::default();
        for id in 0..self.held.len() {
            let touched = BOTH.map(|d| self.touches(id, d, changed));
            if touched == [false, false] {
                continue;
            }
            let before = BOTH.map(|d| self.before(id, d));
            let after = [0, 1].map(|i| match (touched.get(i), BOTH.get(i), before.get(i)) {
                (Some(true), Some(d), _) => self.decision(id, *d, set),
                (_, _, Some(b)) => *b,
                _ => Decision::Unknown,
            });
            let at = usize::from(side == Direction::Ingress);
            if let (Some(Decision::Denied), Some(Decision::Allowed)) = (before.get(at), after.get(at)) {
                out.opened.insert(id);
            }
            let ([b0, b1], [a0, a1]) = (before, after);
            match (both(b0, b1), both(a0, a1)) {
                (Decision::Denied, Decision::Allowed) => {
                    out.admitted.insert(id);
                }
                (Decision::Allowed, Decision::Denied) => out.broken += 1,
                (b, a) if b != a => out.undecided += 1,
                _ => {}
            }
        }
        out
    }

    /// Whether a changed policy may select the subject of this side: no other conversation can fare differently.
    fn touches(&self, id: usize, direction: Direction, changed: &[Arc<Policy>]) -> bool {
        let asked = changed.iter().flat_map(|p| &p.sections).any(|s| s.direction == direction);
        asked
            && self
                .judge(id, direction, &|case| {
                    changed.iter().flat_map(|p| &p.sections).any(|s| selects(s, case, &mut Vec::new()) != Tri::No)
                })
                .unwrap_or(true)
    }

    /// Endpoints that `new` isolates, or may, and that nothing isolates for certain now: by name, each once.
    pub fn newly_isolated(&self, new: &Policy) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        let nothing = crate::policy::eval::Traffic::default();
        for section in new.sections.iter().filter(|s| s.default_deny) {
            for e in self.crowd() {
                let case = Case { direction: section.direction, subject: e, peer: e, traffic: &nothing, world: self.world, opt: self.opt };
                let isolates =
                    |p: &Arc<Policy>| p.sections.iter().any(|s| s.default_deny && selects(s, &case, &mut Vec::new()) == Tri::Yes);
                if selects(section, &case, &mut Vec::new()) != Tri::No && !self.set.iter().any(isolates) {
                    out.insert(e.display.clone());
                }
            }
        }
        out
    }
}
