//! What each policy did to the flows of the session: how many passed by it, and how many it stopped.
//!
//! What it stopped is what the causes of the drops say, as they were explained when they came: it stays when the policy is written
//! anew. What passed by it is judged once a conversation by the policies as they are, in slices between pictures, and counted anew as
//! often as is asked; only flows that did pass count, of conversations that are held. Owns no judging: that is `policy::ruling`.
use super::Engine;
use super::clusters::Home;
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
    /// Place of the cluster whose it is, and its name where there are several.
    pub home: Home,
    pub cluster: String,
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
    fn new(engine: &Engine, home: Home, policy: PolicyRef, gone: bool) -> Self {
        let cluster = engine.policies_of(home).cluster().unwrap_or_default().to_owned();
        Self { home, cluster, policy, allows: 0, denies: 0, isolates: 0, gone, has_say: false }
    }

    /// How it is called: `ns/name`; where there are several clusters, `east: ns/name`.
    pub fn name(&self) -> String {
        if self.cluster.is_empty() { self.policy.path() } else { format!("{}: {}", self.cluster, self.policy.path()) }
    }

    /// No flow met it. One that only decides on what another policy stopped has no numbers, but is of use.
    pub fn is_idle(&self) -> bool {
        !self.has_say && self.allows + self.stopped() == 0
    }

    pub fn stopped(&self) -> u64 {
        self.denies + self.isolates
    }
}

/// All policies, of every cluster.
#[derive(Debug, Default)]
pub struct Usage {
    pub lines: Vec<Used>,
    /// Flows that passed, and of which a fact is missing that would say by which policy.
    pub unknown: u64,
    /// Drops (and audits) of which one is missing.
    pub undecided: u64,
    /// Drops whose causes found no room: which policy stopped them is not held, so that each may have stopped more.
    pub unheld: u64,
    /// Records of conversations that are not held: each policy may have let more pass.
    pub forgotten: u64,
    generation: Option<u64>,
    places: HashMap<(Home, PolicyRef), usize>,
    /// Distinct findings, and which one each conversation has.
    findings: Vec<(Vec<Say>, bool)>,
    ids: HashMap<(Vec<Say>, bool), u32>,
    /// By the conversations' serial numbers, which rise.
    of: Vec<(u64, u32)>,
    sweeps: u64,
}

impl Usage {
    /// Whether a policy without a number may have decided on something all the same, since of some flows or drops nobody knows by which
    /// policy it was.
    pub fn is_unsure(&self) -> bool {
        self.unknown + self.undecided + self.unheld + self.forgotten > 0
    }

    /// Judges conversations that were not judged yet while `more` allows. Returns whether something changed.
    pub fn advance(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
        let generation = engine.clusters.generation();
        if self.generation != Some(generation) {
            *self = Self { generation: Some(generation), ..Self::default() };
            for home in engine.clusters.homes() {
                for p in engine.policies_of(home).iter() {
                    if self.places.insert((home, p.id.clone()), 0).is_none() {
                        self.lines.push(Used::new(engine, home, p.id.clone(), false));
                    }
                }
            }
            self.lines.sort_by_cached_key(|l| (l.policy.path(), l.policy.kind.clone(), l.home));
            self.places = self.lines.iter().enumerate().map(|(i, l)| ((l.home, l.policy.clone()), i)).collect();
        } else if !self.behind(engine) {
            return false;
        }
        self.let_go(engine);
        for n in 1.. {
            let Some(talk) = engine.talks().get(self.of.len()) else { break };
            let mut says = Vec::new();
            // Of which cluster it is may not be known: then nobody knows by which policy it passed.
            let home = engine.home_of_talk(talk);
            let mut unknown = home.is_none();
            if let Some(home) = home {
                let c = engine.clusters.get(home);
                let ruling = ruling_of(&talk.flow, &c.world, c.policies(), c.judging());
                for d in [Direction::Egress, Direction::Ingress] {
                    let j = ruling.side(d);
                    unknown |= j.decision == Decision::Unknown;
                    self.says(j, home, d, &mut says);
                }
            }
            says.sort();
            says.dedup();
            let finding = (says, unknown);
            let next = u32::try_from(self.findings.len()).unwrap_or(u32::MAX);
            let id = *self.ids.entry(finding.clone()).or_insert(next);
            if id == next {
                self.findings.push(finding);
            }
            self.of.push((talk.serial, id));
            if n % SLICE == 0 && !more() {
                break;
            }
        }
        true
    }

    fn says(&self, j: &Judgement, home: Home, d: Direction, out: &mut Vec<Say>) {
        if matches!(j.decision, Decision::Allowed | Decision::Denied) {
            let yes = j.decision == Decision::Allowed;
            let place = |p| self.places.get(&(home, PolicyRef { rule: None, ..p }));
            out.extend(j.deciding().into_iter().filter_map(place).map(|i| (*i, d, yes)));
        }
    }

    /// Whether conversations wait to be judged.
    pub fn behind(&self, engine: &Engine) -> bool {
        (self.generation, self.sweeps) != (Some(engine.clusters.generation()), engine.talks().sweeps())
            || self.of.len() < engine.talks().len()
    }

    /// Conversations that are not held any more count no more; of the others those that were judged come first, as before.
    fn let_go(&mut self, engine: &Engine) {
        if std::mem::replace(&mut self.sweeps, engine.talks().sweeps()) != engine.talks().sweeps() {
            let mut held = engine.talks().iter().map(|t| t.serial).peekable();
            self.of.retain(|(serial, _)| {
                while held.next_if(|s| s < serial).is_some() {}
                held.next_if_eq(serial).is_some()
            });
        }
    }

    /// How many conversations were judged.
    pub fn judged(&self) -> usize {
        self.of.len()
    }

    /// Counts the flows: what passed of the conversations judged so far, and what was stopped.
    pub fn count(&mut self, engine: &Engine) {
        self.let_go(engine);
        // By finding: records that passed in either direction.
        let mut sums = vec![[0u64; 2]; self.findings.len()];
        for (talk, (_, id)) in engine.talks().iter().zip(&self.of) {
            if let Some(passed) = sums.get_mut(*id as usize) {
                for (sum, d) in passed.iter_mut().zip([Direction::Egress, Direction::Ingress]) {
                    *sum += passed_by(talk, d);
                }
            }
        }
        for l in &mut self.lines {
            (l.allows, l.denies, l.isolates, l.has_say) = (0, 0, 0, false);
        }
        (self.unknown, self.undecided, self.unheld, self.forgotten) = (0, 0, engine.causes().overflow, engine.talks().overflow);
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
            let home = engine.home_named(c.why.cluster.as_deref());
            for p in &c.why.policies {
                let policy = PolicyRef { rule: None, ..p.clone() };
                // What it did stays on the list when it is taken away.
                let place = *self.places.entry((home, policy)).or_insert_with_key(|(home, policy)| {
                    self.lines.push(Used::new(engine, *home, policy.clone(), true));
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
    use super::super::store::Limits;
    use super::super::{Explain, Options};
    use super::*;
    use crate::model::input::{At, Change, Codec, Frame, Input};
    use crate::model::time::Nanos;
    use crate::world::yaml;
    use std::sync::Arc;

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

    #[test]
    fn a_policy_of_a_second_cluster_is_at_hand_and_counts_for_its_own() {
        let mut engine = Engine::new(Options {
            explain: Explain::Drops,
            fold: Some(crate::engine::Fold::Latest),
            hold: Some(Limits::default()),
            ..Options::default()
        });
        for cluster in ["east", "west"] {
            let text =
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: pay}\nspec: {podSelector: {}}\n";
            for doc in yaml::read("p.yaml", text).0 {
                let change = Change::Apply(Arc::new(doc));
                engine.feed(Input::World(At { cluster: cluster.into(), at: Some(Nanos(1)), change }), &mut |_| {});
            }
        }
        let line = r#"{"flow":{"time":"2026-04-13T14:02:00Z","verdict":"DROPPED","traffic_direction":"INGRESS","drop_reason":133,"drop_reason_desc":"POLICY_DENY","event_type":{"type":1,"sub_type":133},"IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":40000,"destination_port":80}},"source":{"identity":1000,"namespace":"pay","pod_name":"web-0","labels":["k8s:app=web","k8s:io.kubernetes.pod.namespace=pay"]},"destination":{"identity":1001,"namespace":"pay","pod_name":"db-0","labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=pay"]},"ingress_denied_by":[{"kind":"CiliumNetworkPolicy","namespace":"pay","name":"deny"}]},"time":"2026-04-13T14:02:00Z"}"#;
        let frame = Frame { codec: Codec::HubbleJson, from: "west".into(), line: 0, bytes: line.as_bytes().to_vec().into(), broken: None };
        engine.feed(Input::Frame(frame), &mut |_| {});
        let mut usage = Usage::default();
        usage.advance(&engine, &mut || true);
        usage.count(&engine);
        let lines: Vec<_> = usage.lines.iter().map(|l| (l.name(), l.stopped(), l.gone)).collect();
        assert_eq!(lines, [("east: pay/deny".to_owned(), 0, false), ("west: pay/deny".to_owned(), 1, false)]);
    }

    fn seen(port: u16, dropped: bool, second: u8) -> Input {
        let verdict = if dropped {
            r#""verdict":"DROPPED","drop_reason":133,"drop_reason_desc":"POLICY_DENY","event_type":{"type":1,"sub_type":133}"#
        } else {
            r#""verdict":"FORWARDED","is_reply":false"#
        };
        let side = |name: &str, id: u32| {
            format!(
                r#"{{"identity":{id},"namespace":"pay","pod_name":"{name}-0","labels":["k8s:app={name}","k8s:io.kubernetes.pod.namespace=pay"]}}"#
            )
        };
        let line = format!(
            r#"{{"flow":{{"time":"2026-04-13T14:02:{second:02}Z",{verdict},"traffic_direction":"INGRESS","IP":{{"source":"10.0.0.1","destination":"10.0.0.2"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":{port},"flags":{{"SYN":true}}}}}},"source":{},"destination":{}}},"time":"2026-04-13T14:02:{second:02}Z"}}"#,
            side("web", 1000),
            side("db", 1001)
        );
        Input::Frame(Frame { codec: Codec::HubbleJson, from: "s".into(), line: 0, bytes: line.into_bytes().into(), broken: None })
    }

    #[test]
    fn of_conversations_that_gave_way_nothing_is_counted_and_it_is_said() {
        let fold = Some(crate::engine::Fold::Latest);
        let mut engine = Engine::new(Options { explain: Explain::Drops, fold, hold: Some(Limits::default()), ..Options::default() });
        let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: few, namespace: pay}\nspec: {podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 101, endPort: 199}]}]}\n";
        yaml::read("p.yaml", text).0.into_iter().for_each(|d| engine.give(Change::Apply(Arc::new(d))));
        let mut usage = Usage::default();
        let mut count = |engine: &Engine| {
            while usage.behind(engine) {
                usage.advance(engine, &mut || true);
            }
            usage.count(engine);
            (usage.lines[0].allows, usage.forgotten, usage.is_unsure(), usage.judged())
        };
        // Two that were stopped, one of them still is; thirty that passed.
        engine.feed(seen(79, true, 1), &mut |_| {});
        engine.feed(seen(80, true, 1), &mut |_| {});
        (101..131).for_each(|port| engine.feed(seen(port, false, 2), &mut |_| {}));
        assert_eq!(count(&engine), (30, 0, false, 32));
        let whole = |engine: &Engine| engine.causes().iter().map(super::super::causes::Cause::holds_all_talks).collect::<Vec<_>>();
        assert_eq!(whole(&engine), [true, true]);
        // Those of causes stay, though they are the oldest.
        engine.feed(seen(131, false, 3), &mut |_| {});
        assert_eq!(count(&engine), (27, 4, true, 29));
        assert_eq!(whole(&engine), [true, true]);
        // Many between two looks.
        (132..199).for_each(|port| engine.feed(seen(port, false, 4), &mut |_| {}));
        let (allows, forgotten, unsure, judged) = count(&engine);
        assert_eq!((allows + forgotten, allows + 2, unsure), (98, judged as u64, true));
        let cause = engine.causes().iter().next().unwrap();
        assert_eq!((whole(&engine), engine.suggest(cause, &engine.ground(), "").of), (vec![true, true], 1));
        // Of very many that are stopped not all can be held.
        (200..260).for_each(|port| engine.feed(seen(port, true, 5), &mut |_| {}));
        assert!(whole(&engine).contains(&false));
    }
}
