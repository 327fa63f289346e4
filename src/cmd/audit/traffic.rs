//! What a recording proves: who was let through and by which rule, which rules did nothing, and how much of the truth was seen.
//!
//! Owns the folding of conversations into peers of a workload. Every conversation is judged once; the judging is `policy::ruling`.
use super::Evidence;
use super::report::{Admitted, By, Coverage, Node, Place, Rule, Span, Traffic};
use crate::engine::{Engine, who};
use crate::model::observed::Direction;
use crate::model::talk::Talk;
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;
use crate::policy::eval::port::has_ports;
use crate::policy::eval::{Cause, Decision, Judgement};
use crate::policy::ir::{Action, Peers, Ports};
use crate::policy::{PolicySet, ruling_of};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Shorter pauses than this many seconds are no gap: a quiet cluster makes them too.
const GAP: i64 = 60;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    namespace: String,
    subject: String,
    direction: Direction,
    peer: String,
    port: Option<u16>,
    protocol: Option<&'static str>,
    by: By,
}

#[derive(Default)]
struct Sum {
    rules: BTreeSet<PolicyRef>,
    missing: BTreeSet<String>,
    times: Option<(Nanos, Nanos)>,
    conversations: u64,
    records: u64,
}

pub fn traffic(engine: &Engine, evidence: &Evidence) -> Traffic {
    let (world, set, opt) = (engine.world(), engine.policies(), engine.judging());
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    let mut hits: HashSet<PolicyRef> = HashSet::new();
    let mut without_initiator = 0;
    for talk in engine.talks().iter() {
        let sides = [Direction::Egress, Direction::Ingress].map(|d| (d, talk.passed(d) || audited(talk, d)));
        // A filter that only the answers pass asks for another conversation than the one they belong to.
        let answers_alone = !evidence.filter.is_empty() && talk.seen().records() == 0;
        if answers_alone || sides.iter().all(|(_, passed)| !passed) {
            continue;
        }
        if talk.flow.is_reply.is_none() {
            without_initiator += 1;
            continue;
        }
        let ruling = ruling_of(&talk.flow, world, set, opt);
        let (from, to) = (who(&talk.flow.src, world), who(&talk.flow.dst, world));
        for (direction, _) in sides.into_iter().filter(|(_, passed)| *passed) {
            let judgement = ruling.side(direction);
            let Some(by) = by(judgement).map(|by| if audited(talk, direction) { By::Audited } else { by }) else { continue };
            let egress = direction == Direction::Egress;
            let (party, subject, peer) = if egress { (&talk.flow.src, &from, &to) } else { (&talk.flow.dst, &to, &from) };
            let ports = talk.flow.l4.is_none_or(has_ports);
            let key = Key {
                namespace: party.namespace.clone(),
                subject: if subject.workload.is_empty() { subject.name.clone() } else { subject.workload.clone() },
                direction,
                peer: peer.name.clone(),
                port: (ports && talk.flow.dst_port != 0).then_some(talk.flow.dst_port),
                protocol: talk.flow.l4.map(crate::model::observed::L4::word),
                by,
            };
            let sum = sums.entry(key).or_default();
            if by == By::Rule {
                hits.extend(judgement.allowing().iter().cloned());
                sum.rules.extend(judgement.allowing().iter().cloned());
            }
            if by == By::Unknown {
                sum.missing.extend(judgement.missing.iter().cloned());
            }
            sum.conversations += 1;
            sum.records += talk.seen().forwarded + talk.seen().audited + talk.replies;
            if talk.first != Nanos::default() {
                let (first, last) = sum.times.unwrap_or((talk.first, talk.last));
                sum.times = Some((first.min(talk.first), last.max(talk.last)));
            }
        }
    }
    let places: BTreeMap<PolicyRef, Place> = rules_of(set).into_iter().map(|r| (r.policy, r.place)).collect();
    let rule = |p: &PolicyRef| Rule {
        policy: p.clone(),
        place: places.get(p).cloned().unwrap_or_else(|| {
            let file = set.text(p).map(|t| t.file.clone()).unwrap_or_default();
            Place { file, line: set.lines(p).map_or(0, |l| l.0) }
        }),
    };
    let admitted = sums.into_iter().map(|(k, s)| Admitted {
        namespace: k.namespace,
        subject: k.subject,
        direction: k.direction,
        peer: k.peer,
        port: k.port,
        protocol: k.protocol,
        by: k.by,
        rules: s.rules.iter().map(rule).collect(),
        missing: s.missing.into_iter().collect(),
        first: s.times.map(|t| t.0.to_string()),
        last: s.times.map(|t| t.1.to_string()),
        conversations: s.conversations,
        records: s.records,
    });
    let idle = || rules_of(set).into_iter().filter(|r| !hits.contains(&r.policy)).collect();
    Traffic {
        admitted: admitted.collect(),
        // What a filter left out may have been admitted by any of them.
        idle_rules: evidence.filter.is_empty().then(idle),
        coverage: coverage(engine, evidence, without_initiator),
    }
}

/// Whether the datapath let it pass only because it was not to enforce what it found.
fn audited(talk: &Talk, direction: Direction) -> bool {
    match direction {
        Direction::Egress => talk.egress.audited > 0,
        Direction::Ingress => talk.ingress.audited > 0,
    }
}

/// `None`: the side has no policy of its own.
fn by(j: &Judgement) -> Option<By> {
    Some(match (j.decision, j.cause) {
        (Decision::NotManaged, _) => return None,
        (Decision::Unknown, _) => By::Unknown,
        (Decision::Denied, _) => By::Denied,
        (Decision::Allowed, _) if !j.allowing().is_empty() => By::Rule,
        (Decision::Allowed, Cause::AllowLocalhost) => By::Localhost,
        (Decision::Allowed, Cause::NoPolicy) => By::NothingSelects,
        (Decision::Allowed, _) => By::DefaultAllow,
    })
}

/// Every allow rule, as the evaluator names them: where the kind counts peers as rules of their own, each of those.
fn rules_of(set: &PolicySet) -> Vec<Rule> {
    let mut out = Vec::new();
    for policy in set.iter() {
        for rule in policy.sections.iter().flat_map(|s| &s.rules).filter(|r| r.action == Action::Allow) {
            let place = |line| Place { file: policy.text.file.clone(), line };
            match (&rule.ports, &rule.peers) {
                (Ports::Nothing, _) => {}
                (_, Peers::Of(list)) if list.iter().any(|p| !p.id.is_empty()) => {
                    let one = |id: &str, line| Rule { policy: policy.rule(&format!("{}.{id}", rule.id)), place: place(line) };
                    out.extend(list.iter().map(|p| one(&p.id, p.lines.0)));
                }
                (_, Peers::Of(list)) if list.is_empty() => {}
                _ => out.push(Rule { policy: policy.rule(&rule.id), place: place(rule.lines.0) }),
            }
        }
    }
    out.sort_by(|a, b| (&a.place, &a.policy).cmp(&(&b.place, &b.policy)));
    out
}

fn coverage(engine: &Engine, evidence: &Evidence, without_initiator: u64) -> Coverage {
    let (cover, ledger) = (engine.cover(), engine.ledger());
    let node = |(name, n): (&String, &crate::engine::cover::Node)| Node {
        name: name.clone(),
        records: n.records,
        first: n.first.to_string(),
        last: n.last.to_string(),
    };
    // Hubble writes the cluster's name before the node's.
    let heard: HashSet<&str> = cover.nodes().keys().map(|n| n.rsplit('/').next().unwrap_or(n)).collect();
    Coverage {
        from: cover.first.map(|t| t.to_string()),
        to: cover.last.map(|t| t.to_string()),
        records: cover.records,
        timeless: cover.timeless,
        filter: evidence.filter.clone(),
        refused: ledger.refused,
        made_with: engine.captures().limits(),
        may_lack: ledger.gaps.iter().map(ToString::to_string).collect(),
        gaps: cover.gaps(GAP).map(|gaps| gaps.iter().map(Span::from).collect()),
        nodes: cover.nodes().iter().map(node).collect(),
        silent_nodes: engine.world().nodes().map(|(name, _)| name.clone()).filter(|n| !heard.contains(n.as_str())).collect(),
        lost: ledger.lost.clone(),
        malformed: ledger.malformed,
        no_flows: ledger.notices,
        unknown_fields: engine.notes().total,
        without_initiator,
        overflow: engine.talks().overflow,
    }
}
