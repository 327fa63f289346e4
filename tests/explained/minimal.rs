//! The demo as an agent would tell it that knows addresses, ports, direction, verdict and reason, beside the cluster's pods and nodes.
use super::engine;
use flowhy::demo::{self, Simulation};
use flowhy::engine::{Engine, Explain, Options, store::Limits};
use flowhy::model::input::{At, Change, Codec, Frame, Input};
use flowhy::model::observed::Verdict;
use flowhy::model::time::Nanos;
use flowhy::model::why::{Outcome, Why};
use flowhy::query;
use flowhy::wire::pb::flow::{Endpoint, Flow};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::world::yaml;
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const START: Nanos = Nanos(1_790_000_000_000_000_000);

pub fn recorded(seed: u64, seconds: i64) -> Vec<GetFlowsResponse> {
    let mut simulation = Simulation::new(seed, START);
    let all = std::iter::from_fn(|| Some(simulation.next()));
    all.take_while(|(at, _)| at.since(START) < seconds * Nanos::SECOND).map(|(_, r)| r).collect()
}

pub fn flow(r: &GetFlowsResponse) -> Option<&Flow> {
    match &r.response_types {
        Some(ResponseTypes::Flow(f)) => Some(f),
        _ => None,
    }
}

/// Pods and nodes as the API of that cluster has them.
pub fn objects(all: &[GetFlowsResponse]) -> Vec<Value> {
    let mut pods: BTreeMap<String, Value> = BTreeMap::new();
    let mut of = |e: &Endpoint, ip: &str, node: &str| {
        // An agent numbers its own endpoints only.
        if e.pod_name.is_empty() || e.id == 0 {
            return;
        }
        let plain = e.labels.iter().filter_map(|l| l.strip_prefix("k8s:")?.split_once('='));
        let own: BTreeMap<_, _> = plain.clone().filter(|(k, _)| !k.starts_with("io.cilium") && !k.starts_with("io.kubernetes")).collect();
        let account = plain.clone().find(|(k, _)| k.ends_with("policy.serviceaccount")).map(|(_, v)| v);
        let owner: Vec<_> = e.workloads.iter().map(|w| json!({"kind": w.kind, "name": w.name, "controller": true})).collect();
        let meta = json!({"name": e.pod_name, "namespace": e.namespace, "labels": own, "ownerReferences": owner});
        let spec = json!({"nodeName": node, "serviceAccountName": account});
        pods.insert(
            e.pod_name.clone(),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"podIP": ip}}),
        );
    };
    for f in all.iter().filter_map(flow) {
        let (Some(ip), node) = (&f.ip, f.node_name.rsplit('/').next().unwrap()) else { continue };
        f.source.iter().for_each(|e| of(e, &ip.source, node));
        f.destination.iter().for_each(|e| of(e, &ip.destination, node));
    }
    let mut nodes = demo::nodes();
    nodes.push(("control-plane", "172.18.0.2"));
    let node = |(i, (name, ip)): (usize, &(&str, &str))| {
        let status = json!({"addresses": [{"type": "InternalIP", "address": ip}]});
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDR": format!("10.244.{}.0/24", i + 1)}, "status": status})
    };
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["172.18.0.2"]}]});
    pods.into_values().chain(nodes.iter().enumerate().map(node)).chain([slice]).collect()
}

pub fn populate(engine: &mut Engine, objects: &[Value]) {
    for o in objects {
        for doc in yaml::read("cluster", &serde_json::to_string_pretty(o).unwrap()).0 {
            engine.feed(Input::World(At { cluster: "".into(), at: Some(START), change: Change::Apply(Arc::new(doc)) }), &mut |_| {});
        }
    }
}

/// Time, node, addresses, ports, direction, verdict, reason.
pub fn stripped(r: &GetFlowsResponse) -> GetFlowsResponse {
    let Some(f) = flow(r) else { return r.clone() };
    let less = Flow {
        time: f.time,
        node_name: f.node_name.clone(),
        ip: f.ip.clone(),
        l4: f.l4.clone(),
        traffic_direction: f.traffic_direction,
        verdict: f.verdict,
        drop_reason_desc: f.drop_reason_desc,
        ..Flow::default()
    };
    GetFlowsResponse { response_types: Some(ResponseTypes::Flow(less)), ..r.clone() }
}

fn fed(engine: &mut Engine, r: &GetFlowsResponse) -> Option<Why> {
    let mut why = None;
    let frame = Frame { codec: Codec::Hubble, from: "agent".into(), line: 0, bytes: r.encode_to_vec().into(), broken: None };
    engine.feed(Input::Frame(frame), &mut |e| why = e.why.map(|w| Why::clone(w)));
    why
}

pub fn explaining() -> Options {
    Options { explain: Explain::Drops, hold: Some(Limits::default()), fold: Some(flowhy::engine::Fold::First), ..Options::default() }
}

#[test]
fn a_minimal_agents_drops_are_the_same_policies() {
    let all = recorded(11, 60);
    let objects = objects(&all);
    let (mut full, mut minimal, mut alone) = (engine(explaining()), engine(explaining()), engine(explaining()));
    populate(&mut full, &objects);
    populate(&mut minimal, &objects);
    let (mut wrong, mut drops, mut open, mut blind) = (BTreeSet::new(), 0, BTreeSet::new(), 0);
    for r in &all {
        let Some(f) = flow(r).filter(|f| f.l7.is_none()) else { continue };
        let told = fed(&mut full, r);
        let less = stripped(r);
        let (got, nobody) = (fed(&mut minimal, &less), fed(&mut alone, &less));
        let (Some(told), Some(got), Some(nobody)) = (told, got, nobody) else { continue };
        drops += 1;
        let about = format!("{:?} {:?} {}: {} / {}", f.source.as_ref().map(|e| &e.pod_name), f.ip, f.drop_reason_desc, told.text, got.text);
        match got.outcome {
            Outcome::Undecidable if told.outcome != Outcome::Undecidable => _ = open.insert(f.ip.clone().unwrap().destination),
            _ if (got.outcome, &got.policies, got.direction) != (told.outcome, &told.policies, told.direction) => _ = wrong.insert(about),
            Outcome::NotPolicy => {}
            _ if !got.inferred.iter().any(|i| i.starts_with("pod:")) => _ = wrong.insert(format!("nothing inferred: {about}")),
            _ => {}
        }
        if nobody.outcome != told.outcome || nobody.policies != told.policies {
            blind += 1;
            assert!(nobody.outcome == Outcome::Undecidable && !nobody.missing.is_empty(), "without a cluster: {nobody:?}");
        }
    }
    assert!(wrong.is_empty(), "{} kinds:\n{}", wrong.len(), wrong.into_iter().take(30).collect::<Vec<_>>().join("\n"));
    assert!(open.is_empty(), "not decided, to {open:?}");
    assert!(drops > 500 && blind > 300, "{drops} drops, {blind} blind");
    let causes = |e: &Engine| -> BTreeSet<String> {
        let policy = |c: &&flowhy::engine::causes::Cause| c.why.outcome == Outcome::DefaultDeny;
        // A DNS name comes with a DNS answer, which such an agent does not send.
        let to = |c: &flowhy::engine::causes::Cause| if c.to.contains('/') { c.to.clone() } else { "outside".to_owned() };
        e.causes().iter().filter(policy).map(|c| format!("{} -> {}:{} {:?}", c.from, to(c), c.port, c.why.policies)).collect()
    };
    let (of_full, of_minimal) = (causes(&full), causes(&minimal));
    assert!(of_minimal.len() > 3 && of_minimal.is_subset(&of_full), "{of_minimal:#?}\n{of_full:#?}");
}

#[test]
fn filters_find_inferred_names() {
    let all = recorded(12, 20);
    let objects = objects(&all);
    for (filter, least) in [("ns:shop", 100), ("label:app=frontend", 20), ("pod:frontend-*", 20), ("!ns:shop", 100)] {
        let admit = query::parse(filter, &query::Context::at(START)).unwrap();
        let mut counts = [0, 0];
        for (count, less) in counts.iter_mut().zip([false, true]) {
            let mut e = engine(Options { admit: admit.clone(), ..explaining() });
            populate(&mut e, &objects);
            let policy = |f: &&GetFlowsResponse| flow(f).is_some_and(|f| f.l7.is_none() && Verdict::from(f.verdict) != Verdict::Traced);
            for r in all.iter().filter(policy) {
                fed(&mut e, &if less { stripped(r) } else { r.clone() });
            }
            *count = e.store().len();
            for seq in e.store().seqs().filter(|_| less).take(200) {
                let row = e.store().row(seq).unwrap();
                assert!(
                    e.matches(seq, &mut flowhy::engine::Sieve::new(admit.clone())) && (row.src.inferred || row.dst.inferred),
                    "{filter}: {row:?}"
                );
            }
        }
        assert!(counts[1] >= least && counts[0] == counts[1], "{filter}: {counts:?}");
    }
}
