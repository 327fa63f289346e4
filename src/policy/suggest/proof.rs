//! What a changed set of policies would do to everything at hand.
//!
//! Owns the comparison: every conversation that a changed policy may touch is judged again, whatever caused it.
use super::labels::{Crowd, telling};
use crate::model::observed::{Direction, L4, Party};
use crate::model::suggestion::Ground as Basis;
use crate::model::talk::Talk;
use crate::model::time::Nanos;
use crate::policy::eval::{Case, Decision, Traffic, judge, selects};
use crate::policy::ir::{Policy, Section, Subject};
use crate::policy::ruling::traffic;
use crate::policy::selector::{Op, Selector, Tri};
use crate::policy::{Options, PolicySet};
use crate::world::labels::POD_NAMESPACE;
use crate::world::{Endpoint, World};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Ports from here on are those that clients get when they do not choose (Linux).
const EPHEMERAL: u16 = 32_768;

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
    /// Of everybody, by number: those whose identity names a namespace, and those of whom it is not known whether they have one.
    of_namespace: HashMap<String, Vec<usize>>,
    unsettled: Vec<usize>,
    pub crowd: Crowd,
    /// Who was seen to ask whom at a port that no client has by chance.
    asked: HashSet<(usize, usize)>,
    span: OnceCell<Basis>,
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

/// Whether anything is told of it.
fn somebody(e: &Endpoint) -> bool {
    e.ip.is_some() || !e.pod.is_empty() || !e.namespace.is_empty() || !e.labels.0.is_empty()
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
        let held: Vec<Held<'a>> =
            talks.map(|talk| Held { talk, src: of(&talk.flow.src), dst: of(&talk.flow.dst), before: Default::default() }).collect();
        let described = described(world);
        let crowd = Crowd::new(ends.iter().chain(&described));
        let asked = held.iter().filter(|h| h.talk.flow.dst_port < EPHEMERAL).map(|h| (h.src, h.dst)).collect();
        let (mut of_namespace, mut unsettled) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for (i, e) in ends.iter().chain(&described).enumerate() {
            match e.labels.namespace() {
                Some(ns) => of_namespace.entry(ns.to_owned()).or_default().push(i),
                None if e.known => {}
                None => unsettled.push(i),
            }
        }
        Self { world, set, opt, ends, held, described, of_namespace, unsettled, crowd, asked, span: OnceCell::new() }
    }

    /// Whoever a section may select: no others where it is for some namespaces only.
    fn within<'s>(&'s self, section: &'s Section) -> Box<dyn Iterator<Item = &'s Endpoint> + 's> {
        let by_name =
            |s: &'s Selector| s.all.iter().find(|r| r.op == Op::In && r.key == POD_NAMESPACE && r.source.as_deref() == Some("k8s"));
        let bound = match &section.subject {
            Subject::Endpoints(s) => by_name(s),
            Subject::Nodes(_) => None,
        };
        let Some(bound) = bound else { return Box::new(self.everybody()) };
        let end = |i: &usize| self.ends.get(*i).or_else(|| self.described.get(*i - self.ends.len()));
        let named = bound.values.iter().filter_map(|ns| self.of_namespace.get(ns)).flatten();
        Box::new(named.chain(&self.unsettled).filter_map(end))
    }

    /// Whether the conversation may be one begun by its sender: not what answers another one whose first packets were forgotten.
    pub fn begins(&self, id: usize) -> bool {
        let Some(h) = self.held.get(id) else { return false };
        let o = &h.talk.flow;
        let echo_reply = matches!((o.l4, o.icmp), (Some(L4::Icmp4), Some((0, _))) | (Some(L4::Icmp6), Some((129, _))));
        let answers = o.dst_port >= EPHEMERAL && self.asked.contains(&(h.dst, h.src));
        !echo_reply && !answers && (o.is_reply == Some(false) || o.dst_port < EPHEMERAL)
    }

    pub fn talk(&self, id: usize) -> Option<&'a Talk> {
        self.held.get(id).map(|h| h.talk)
    }

    pub fn talks(&self) -> impl Iterator<Item = &'a Talk> {
        self.held.iter().map(|h| h.talk)
    }

    /// How much there is, and of what time.
    pub fn span(&self) -> &Basis {
        self.span.get_or_init(|| {
            let mut b = Basis::default();
            for t in self.talks() {
                b.conversations += 1;
                b.records += t.seen().records() + t.replies;
                // A record without a time says nothing of when.
                let timed = |t: Nanos| (t != Nanos::default()).then_some(t);
                b.from = [b.from, timed(t.first)].into_iter().flatten().min();
                b.to = b.to.max(timed(t.last));
            }
            b
        })
    }

    /// Subject and peer of one side of a conversation.
    pub fn sides(&self, id: usize, direction: Direction) -> Option<(&Endpoint, &Endpoint)> {
        let h = self.held.get(id)?;
        let (src, dst) = (self.ends.get(h.src)?, self.ends.get(h.dst)?);
        Some(if direction == Direction::Egress { (src, dst) } else { (dst, src) })
    }

    /// Every endpoint that was seen or is described.
    pub fn everybody(&self) -> impl Iterator<Item = &Endpoint> + Clone {
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
        let [senders, receivers] = BOTH.map(|d| self.touched(d, changed));
        for (id, held) in self.held.iter().enumerate() {
            let touched = [senders.get(held.src) == Some(&true), receivers.get(held.dst) == Some(&true)];
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

    /// Which ends a changed policy may select as subjects of this direction: no other conversation can fare differently.
    fn touched(&self, direction: Direction, changed: &[Arc<Policy>]) -> Vec<bool> {
        let sections: Vec<&Section> = changed.iter().flat_map(|p| &p.sections).filter(|s| s.direction == direction).collect();
        let nothing = Traffic::default();
        let may = |e: &Endpoint| {
            let case = Case { direction, subject: e, peer: e, traffic: &nothing, world: self.world, opt: self.opt };
            sections.iter().any(|s| selects(s, &case, &mut Vec::new()) != Tri::No)
        };
        self.ends.iter().map(may).collect()
    }

    /// Workloads that `policy` selects besides those of these conversations, as `shop/app=web`: an edit of it is one for them too.
    pub fn selected_besides(&self, policy: &Policy, ids: &[usize]) -> BTreeSet<String> {
        let nothing = Traffic::default();
        let selected = |s: &Section, e: &Endpoint| {
            let case = Case { direction: s.direction, subject: e, peer: e, traffic: &nothing, world: self.world, opt: self.opt };
            selects(s, &case, &mut Vec::new()) == Tri::Yes
        };
        let name = |e: &Endpoint| {
            let labels: Vec<String> = telling(e, &self.crowd).iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{}/{}", e.namespace, labels.join(","))
        };
        let mut out = BTreeSet::new();
        for s in &policy.sections {
            let own: BTreeSet<String> =
                ids.iter().filter_map(|id| self.sides(*id, s.direction)).filter(|(e, _)| selected(s, e)).map(|(e, _)| name(e)).collect();
            if !own.is_empty() {
                out.extend(self.everybody().filter(|e| e.labels.is_pod() && selected(s, e)).map(name).filter(|n| !own.contains(n)));
            }
        }
        out
    }

    /// Endpoints that `new` isolates, or may, and that nothing isolates for certain now: by name, each once. A side of which a
    /// record told nothing at all (lost, or left out) is nobody in particular, and in no list of who is hit.
    pub fn newly_isolated(&self, new: &Policy) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        let nothing = Traffic::default();
        for section in new.sections.iter().filter(|s| s.default_deny) {
            for e in self.within(section).filter(|e| somebody(e)) {
                let case = Case { direction: section.direction, subject: e, peer: e, traffic: &nothing, world: self.world, opt: self.opt };
                if selects(section, &case, &mut Vec::new()) == Tri::No || out.contains(&e.display) {
                    continue;
                }
                let isolates = |s: &Section| s.default_deny && selects(s, &case, &mut Vec::new()) == Tri::Yes;
                let mut there = self.set.candidates(section.direction, e).into_iter();
                if !there.any(|(p, _, s)| self.opt.enforces(&p.id.kind) && isolates(s)) {
                    out.insert(e.display.clone());
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Change;
    use crate::model::observed::Observed;
    use crate::world::yaml;

    #[test]
    fn a_policy_of_a_namespace_is_not_asked_about_everybody_outside() {
        let party = |ip: &str, labels: &[&str]| {
            let labels = labels.iter().map(|l| (*l).to_owned()).collect();
            Party { present: true, ip: ip.parse().ok(), labels, ..Party::default() }
        };
        let shop = party("10.0.0.1", &["k8s:app=a", "k8s:io.kubernetes.pod.namespace=shop"]);
        let bank = party("10.0.0.2", &["k8s:app=a", "k8s:io.kubernetes.pod.namespace=bank"]);
        let (outside, stranger) = (party("203.0.113.7", &["reserved:world"]), party("10.0.0.3", &[]));
        let talk = |src: &Party, dst: &Party| {
            let (egress, ingress, unsaid) = Default::default();
            let flow = Observed { src: src.clone(), dst: dst.clone(), ..Observed::default() };
            Talk { flow, egress, ingress, unsaid, replies: 0, home: 0, example: None, first: Nanos(1), last: Nanos(1), serial: 0, heard: 0 }
        };
        let talks = [talk(&shop, &outside), talk(&bank, &stranger)];
        let (world, mut set, opt) = (World::new(), PolicySet::new(), Options::default());
        let body = "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}}\n";
        yaml::read("p.yaml", body).0.into_iter().for_each(|d| drop(set.apply(&Change::Apply(Arc::new(d)))));
        let ground = Ground::new(talks.iter(), &world, &set, &opt);
        let section = &set.iter().next().unwrap().sections[0];
        let asked: Vec<_> = ground.within(section).map(|e| e.ip).collect();
        assert_eq!(asked, [shop.ip, stranger.ip], "who is known to have no namespace, or another one, cannot be selected");
    }
}
