//! The simulated cluster: repeatable to the byte, honest in every record, and every mistake soon and again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
use flowhy::demo::{self, Simulation};
use flowhy::model::input::Change;
use flowhy::model::observed::{Direction, Verdict};
use flowhy::model::time::Nanos;
use flowhy::model::why::Outcome;
use flowhy::policy::eval::{Case, Decision, Judgement, Traffic, judge, l7::Request};
use flowhy::policy::{Options, PolicySet};
use flowhy::wire::observed::observed;
use flowhy::wire::pb::flow::{self as pb, Flow};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::world::{World, yaml};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const START: Nanos = Nanos(1_767_225_600_000_000_000);
const DROP: i32 = 1;
const TRACE: i32 = 4;
const VERDICT: i32 = 5;
const L7: i32 = 129;

fn run(seed: u64, seconds: i64) -> Vec<(Nanos, GetFlowsResponse)> {
    let mut sim = Simulation::new(seed, START);
    let mut all = Vec::new();
    loop {
        let (at, r) = sim.next();
        if at.since(START) >= seconds * Nanos::SECOND {
            return all;
        }
        all.push((at, r));
    }
}

fn flows(all: &[(Nanos, GetFlowsResponse)]) -> impl Iterator<Item = (Nanos, &Flow)> {
    all.iter().filter_map(|(at, r)| match &r.response_types {
        Some(ResponseTypes::Flow(f)) => Some((*at, f)),
        _ => None,
    })
}

fn event(f: &Flow) -> i32 {
    f.event_type.as_ref().map_or(-1, |e| e.r#type)
}

fn bytes(all: &[(Nanos, GetFlowsResponse)]) -> Vec<u8> {
    all.iter().flat_map(|(_, r)| r.encode_length_delimited_to_vec()).collect()
}

#[test]
fn same_seed_same_bytes() {
    let once = bytes(&run(7, 20));
    assert!(once.len() > 1_000_000);
    assert!(once == bytes(&run(7, 20)));
    assert!(once != bytes(&run(8, 20)), "the seed must matter");
}

#[test]
fn another_start_only_moves_the_clock() {
    let mut a = Simulation::new(3, START);
    let mut b = Simulation::new(3, START.plus(86_400 * Nanos::SECOND));
    for _ in 0..5_000 {
        let ((ta, mut ra), (tb, rb)) = (a.next(), b.next());
        assert_eq!(tb.since(ta), 86_400 * Nanos::SECOND);
        ra.time = rb.time;
        if let (Some(ResponseTypes::Flow(f)), Some(ResponseTypes::Flow(g))) = (&mut ra.response_types, &rb.response_types) {
            f.time = g.time;
        }
        assert_eq!(ra, rb);
    }
}

#[test]
fn every_mistake_within_five_seconds_and_again() {
    for seed in 0..12 {
        let all = run(seed, 60);
        for m in demo::mistakes() {
            let seen: Vec<i64> = flows(&all).filter(|(_, f)| m.shows_in(f)).map(|(at, _)| at.since(START)).collect();
            assert!(!seen.is_empty(), "seed {seed}: {} never shows", m.id);
            let mut before = 0;
            for at in seen.iter().copied().chain([60 * Nanos::SECOND]) {
                let gap = at - before;
                assert!(gap < 5 * Nanos::SECOND, "seed {seed}: {} is not seen for {} ms", m.id, gap / 1_000_000);
                before = at;
            }
        }
    }
}

/// What policy stops is written down, all of it, and nothing twice.
#[test]
fn every_stopped_flow_is_one_mistake() {
    for seed in [1, 2] {
        let all = run(seed, 60);
        for (_, f) in flows(&all) {
            let dropped = f.verdict == i32::from(pb::Verdict::Dropped);
            let by_policy = f.verdict == i32::from(pb::Verdict::Audit) || dropped && matches!(f.drop_reason_desc, 0 | 133 | 181 | 189);
            let fit: Vec<&str> = demo::mistakes().iter().filter(|m| m.shows_in(f)).map(|m| m.id).collect();
            assert_eq!(fit.len(), usize::from(by_policy), "{fit:?} for {f:?}");
        }
    }
}

#[test]
fn as_busy_as_a_small_cluster() {
    let all = run(1, 300);
    let rate = all.len() / 300;
    assert!((190..=400).contains(&rate), "{rate} a second");
    // Five minutes fit into the server's ring, whatever the seed.
    for seed in [1, 2, 3] {
        assert!(run(seed, 300).len() < 65_536);
    }
    let of = |p: &dyn Fn(&Flow) -> bool| flows(&all).filter(|(_, f)| p(f)).count();
    let dropped = of(&|f| f.verdict == i32::from(pb::Verdict::Dropped));
    assert!(dropped * 100 / all.len() < 15, "{dropped} of {} dropped", all.len());
    assert!(of(&|f| f.verdict == i32::from(pb::Verdict::Redirected)) > 100);
    assert!(of(&|f| f.verdict == i32::from(pb::Verdict::Audit)) > 50);
    assert!(of(&|f| f.is_reply == Some(true)) > 5_000);
    let http = |f: &Flow| f.l7.as_ref().is_some_and(|l| matches!(l.record, Some(pb::layer7::Record::Http(_))));
    assert!(of(&http) > 2_000, "{} HTTP records", of(&http));
    let not_policy: BTreeSet<i32> = flows(&all).map(|(_, f)| f.drop_reason_desc).filter(|r| !matches!(r, 0 | 133 | 181)).collect();
    assert_eq!(not_policy, BTreeSet::from([132, 139, 151, 163]));
    let lost = all.iter().filter(|(_, r)| matches!(r.response_types, Some(ResponseTypes::LostEvents(_)))).count();
    assert!((3..=20).contains(&lost), "{lost}");
    let nodes: BTreeSet<&str> = all.iter().map(|(_, r)| r.node_name.as_str()).collect();
    assert_eq!(nodes, demo::nodes().into_iter().map(|(n, _)| n).collect());
}

#[test]
fn every_record_is_as_an_agent_makes_it() {
    let all = run(5, 90);
    let mut last = START.plus(-1);
    let mut uuids = BTreeSet::new();
    for (at, r) in &all {
        assert!(*at > last, "time goes back");
        last = *at;
        let (seconds, nanos) = at.parts();
        assert_eq!(r.time, Some(prost_types::Timestamp { seconds, nanos }));
        let f = match &r.response_types {
            Some(ResponseTypes::Flow(f)) => f,
            Some(ResponseTypes::LostEvents(l)) => {
                assert!(l.num_events_lost > 0);
                continue;
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(f.time, r.time);
        assert_eq!(f.node_name, r.node_name);
        assert!(uuids.insert(f.uuid.clone()), "uuid twice");
        record_is_sound(f);
    }
}

#[expect(deprecated, reason = "the old fields are part of what an agent fills")]
fn record_is_sound(f: &Flow) {
    let verdict = pb::Verdict::try_from(f.verdict).unwrap();
    let dropped = verdict == pb::Verdict::Dropped;
    let named = [&f.egress_allowed_by, &f.ingress_allowed_by, &f.egress_denied_by, &f.ingress_denied_by];
    assert_eq!(f.drop_reason, u32::try_from(f.drop_reason_desc).unwrap());
    assert!(!f.node_labels.is_empty() && f.emitter.is_some());
    match event(f) {
        DROP => {
            assert!(dropped && f.drop_reason_desc > 0 && f.file.is_some());
            assert_eq!(f.event_type.as_ref().unwrap().sub_type, f.drop_reason_desc);
            assert!(f.is_reply.is_none() && f.policy_match_type == 0 && named.iter().all(|n| n.is_empty()));
        }
        VERDICT => {
            assert_ne!(f.traffic_direction, 0);
            assert_eq!(dropped, f.drop_reason_desc > 0);
            assert_eq!(f.is_reply, (!dropped).then_some(false));
            let allowed = matches!(verdict, pb::Verdict::Forwarded | pb::Verdict::Redirected);
            assert_eq!(!f.egress_allowed_by.is_empty() || !f.ingress_allowed_by.is_empty(), allowed);
            let denied = f.drop_reason_desc == 181;
            assert_eq!(!f.egress_denied_by.is_empty() || !f.ingress_denied_by.is_empty(), denied);
            assert_eq!(f.policy_match_type > 0, allowed || denied);
            assert_eq!(f.proxy_port > 0, verdict == pb::Verdict::Redirected);
            let ingress = f.traffic_direction == i32::from(pb::TrafficDirection::Ingress);
            assert!(if ingress { f.egress_allowed_by.is_empty() } else { f.ingress_allowed_by.is_empty() });
            // The subject's endpoint is local to the node that judges it.
            let subject = if ingress { &f.destination } else { &f.source };
            assert!(subject.as_ref().is_some_and(|e| e.id > 0));
        }
        TRACE => {
            assert_eq!(verdict, pb::Verdict::Forwarded);
            assert!(f.trace_observation_point > 0 && f.trace_reason > 0 && f.traffic_direction > 0);
            assert_eq!(f.is_reply, Some(f.trace_reason == i32::from(pb::TraceReason::Reply)));
            assert_eq!(f.reply, f.is_reply == Some(true));
        }
        L7 => {
            let said = f.l7.as_ref().unwrap();
            assert!(said.record.is_some() && f.ethernet.is_none() && f.r#type == i32::from(pb::FlowType::L7));
            assert_eq!(said.latency_ns > 0, f.is_reply == Some(true));
            assert!(!f.summary.is_empty() && f.drop_reason_desc == 0);
        }
        other => panic!("event type {other}"),
    }
    if f.ip.is_some() {
        assert!(f.l4.is_some() && f.source.is_some() && f.destination.is_some());
    }
}

/// A denied packet makes two records, some microseconds apart: the verdict, then the drop.
#[test]
fn denials_come_in_pairs_and_are_tried_again() {
    let all = run(4, 60);
    let key = |f: &Flow| {
        let port = match &f.l4.as_ref().unwrap().protocol {
            Some(pb::layer4::Protocol::Tcp(t)) => t.source_port,
            Some(pb::layer4::Protocol::Udp(u)) => u.source_port,
            other => panic!("{other:?}"),
        };
        (f.ip.as_ref().unwrap().source.clone(), port, f.traffic_direction)
    };
    let mut open: BTreeMap<_, Nanos> = BTreeMap::new();
    let mut tries: BTreeMap<_, Vec<Nanos>> = BTreeMap::new();
    for (at, f) in flows(&all).filter(|(_, f)| matches!(f.drop_reason_desc, 133 | 181)) {
        if event(f) == VERDICT {
            assert!(open.insert(key(f), at).is_none(), "two verdicts without a drop");
            tries.entry(key(f)).or_default().push(at);
        } else {
            let since = at.since(open.remove(&key(f)).expect("a drop without a verdict"));
            assert!((1..1_000_000).contains(&since), "{since} ns");
        }
    }
    let pauses: Vec<i64> = tries.values().filter(|t| t.len() > 1).map(|t| t[1].since(t[0]) / 100_000_000).collect();
    assert!(pauses.len() > 20 && pauses.iter().all(|t| matches!(t, 9..=10 | 49..=50)), "{pauses:?}");
}

#[test]
fn manifests_are_whole() {
    let all = demo::manifests();
    let on_disk: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(all.iter().map(|(n, _)| (*n).to_owned()).collect::<BTreeSet<_>>(), on_disk, "a file that is not embedded");
    let mut policies = BTreeSet::new();
    for (file, text) in &all {
        assert!(!text.contains('\t') && !text.contains('\r') && text.ends_with('\n'), "{file}");
        for doc in text.split("\n---\n") {
            let value = |key: &str| doc.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
            let kind = value("kind:").unwrap_or_else(|| panic!("{file}: a document without kind:\n{doc}"));
            assert!(value("apiVersion:").is_some(), "{file}");
            let name = value("  name:").unwrap_or_else(|| panic!("{file}: no name"));
            if kind.ends_with("NetworkPolicy") {
                let ns = value("  namespace:").unwrap_or("");
                assert!(policies.insert((kind.to_owned(), ns.to_owned(), name.to_owned())), "{name} twice");
            }
        }
    }
    let exists = |kind: &str, ns: &str, name: &str| policies.contains(&(kind.to_owned(), ns.to_owned(), name.to_owned()));
    for m in demo::mistakes() {
        for p in m.policies.iter().chain(m.nearest.as_ref().map(|n| &n.policy)) {
            assert!(exists(p.kind, p.namespace, p.name), "{}: {p:?} does not exist", m.id);
        }
    }
    // So does what the records name.
    for (_, f) in flows(&run(1, 60)) {
        let named = [&f.egress_allowed_by, &f.ingress_allowed_by, &f.egress_denied_by, &f.ingress_denied_by];
        for p in named.into_iter().flatten().filter(|p| !p.name.is_empty()) {
            assert!(exists(&p.kind, &p.namespace, &p.name), "{p:?} does not exist");
        }
    }
}

/// The simulation and the policies beside it are one cluster: what it forwards they allow, what it drops they deny, on the side it says and
/// by the policies it names. Where this fails either the table in `demo::traffic` or the evaluator is wrong; neither is made from the other.
#[test]
fn policies_and_traffic_are_of_one_cluster() {
    let (mut world, mut set) = (World::new(), PolicySet::new());
    set.set_given();
    for (file, text) in demo::manifests() {
        let (docs, faults) = yaml::read(file, text);
        assert!(faults.is_empty(), "{faults:?}");
        for doc in docs {
            let change = Change::Apply(Arc::new(doc));
            world.apply(&change);
            assert!(set.apply(&change).is_empty(), "{file}");
        }
    }
    assert!(set.refused().is_empty() && set.not_understood().is_empty() && set.len() > 20);
    let opt = Options::default();
    let all = run(6, 90);
    let mut judged = 0;
    for (_, r) in &all {
        let o = observed(r);
        world.observe(&o);
        // Answers are not judged, nor is what was dropped for another reason than policy.
        if o.src.ip.is_none() || o.is_reply == Some(true) || !matches!(o.drop_reason, 0 | 133 | 181) {
            continue;
        }
        let (src, dst) = (world.endpoint(&o.src), world.endpoint(&o.dst));
        let traffic = Traffic {
            l4: o.l4,
            port: (o.dst_port > 0).then_some(o.dst_port),
            icmp: o.icmp.map(|(kind, _)| kind),
            request: Request::of(&o),
            server_name: None,
        };
        let ask = |direction, subject, peer| judge(&Case { direction, subject, peer, traffic: &traffic, world: &world, opt: &opt }, &set);
        let (egress, ingress) = (ask(Direction::Egress, &src, &dst), ask(Direction::Ingress, &dst, &src));
        let (side, other) = if o.direction == Some(Direction::Egress) { (&egress, &ingress) } else { (&ingress, &egress) };
        let what = || format!("{} -> {}:{} {:?} {:?}", o.src.display(), o.dst.display(), o.dst_port, o.verdict, o.direction);
        let passes = |j: &Judgement| matches!(j.decision, Decision::Allowed | Decision::NotManaged);
        let mistake = flows(std::slice::from_ref(&(START, r.clone()))).find_map(|(_, f)| demo::mistakes().iter().find(|m| m.shows_in(f)));
        match (o.verdict, mistake) {
            (Verdict::Dropped | Verdict::Audit, Some(m)) => {
                assert_eq!(side.decision, Decision::Denied, "{}: {}", m.id, what());
                assert!(o.direction == Some(Direction::Egress) || passes(other), "{}: the sender may send it", m.id);
                if m.outcome == Outcome::DefaultDeny {
                    let isolating: BTreeSet<_> = side.isolating.iter().map(|p| p.id.name.as_str()).collect();
                    assert_eq!(isolating, m.policies.iter().map(|p| p.name).collect(), "{}", m.id);
                } else if m.outcome == Outcome::DeniedByRule {
                    assert_eq!(side.attributed.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), [m.policies[0].name], "{}", m.id);
                }
            }
            // A connection that audit mode let through is traced like any other.
            _ if o.src.pod.starts_with("grafana-") && o.dst.pod.starts_with("loki-") => {}
            _ => assert!(passes(side) && (o.direction == Some(Direction::Egress) || passes(other)), "{}", what()),
        }
        let allowed = if o.direction == Some(Direction::Egress) { &o.reported.egress_allowed } else { &o.reported.ingress_allowed };
        if let Some(named) = allowed.first().filter(|p| !p.name.is_empty()) {
            assert_eq!(side.attributed.iter().map(|p| &p.name).collect::<Vec<_>>(), [&named.name], "{}", what());
        }
        // An agent records verdicts for sides that some policy selects, and for no other.
        assert!(o.event != Some((VERDICT, 0)) || !side.selecting.is_empty(), "{}", what());
        judged += 1;
    }
    assert!(judged > 8_000, "{judged}");
}
