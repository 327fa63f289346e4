//! From a flow as it was reported to its explanation: warm and cold, over many policies and few, beside what the same flows cost without
//! any memory and what it costs to decode them. One thread, everything in this process.
use crate::measure::{own_peak, own_time};
use flowhy::engine::Fold;
use flowhy::engine::attribute::Attribution;
use flowhy::engine::talks::Talks;
use flowhy::model::input::{Change, Codec, Frame};
use flowhy::model::observed::{Direction, Observed};
use flowhy::model::time::Nanos;
use flowhy::policy::{self, PolicySet};
use flowhy::wire::decode::{Decoded, decode};
use flowhy::wire::note::Notes;
use flowhy::wire::observed::observed;
use flowhy::wire::pb::flow::layer4::Protocol;
use flowhy::wire::pb::flow::{self, Flow, Ip, Layer4, Tcp, TcpFlags, Workload};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::world::{World, yaml};
use prost::Message as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const NAMESPACES: usize = 100;
/// Of each namespace; each has as many workloads as a tenth of it.
const PODS: usize = 100;
const APPS: usize = PODS / 10;
const CONVERSATIONS: usize = 50_000;
const FLOWS: usize = 1_000_000;
/// Flows that are copied before they are timed, so that they lie in the cache as if just decoded.
const BATCH: usize = 64;
/// Of each figure the least of so many rounds stands in the table: whatever else the machine does only adds to it.
const ROUNDS: usize = 3;

/// Prints the table.
pub fn run() {
    println!(
        "\nAttribution: {FLOWS} dropped flows of {CONVERSATIONS} conversations, {} endpoints; time of one core, from `&Observed` to `Arc<Why>`; the least of {ROUNDS} rounds\n",
        NAMESPACES * PODS
    );
    let (world, flows) = (World::new(), conversations());
    let row = |what: &str, each: Duration, than: String, goal: String| {
        let (us, rate) = (each.as_secs_f64() * 1e6, 1.0 / each.as_secs_f64());
        println!("{what:<46} {us:>9.3} µs {rate:>12.0}/s  {than:<34} {goal}");
    };
    let verdict = |met: bool| if met { "met" } else { "MISSED" };

    let frames: Vec<Frame> = flows.iter().take(10_000).map(frame).collect();
    let decoding = least(|| each(frames.len(), || frames.iter().for_each(|f| drop(black_box(read(f))))));
    row("decode of the same flow (protobuf)", decoding, String::new(), String::new());
    drop(frames);
    let drops: Vec<Observed> = flows.iter().map(observed).collect();

    let mut warm = Vec::new();
    for count in [100, 1_000, 10_000] {
        let (mut set, mut reading, mut compiling) = policies(count);
        for _ in 1..ROUNDS {
            let (again, read, compiled) = policies(count);
            (set, reading, compiling) = (again, reading.min(read), compiling.min(compiled));
        }
        let per_policy = |d: Duration| format!("{:.1} µs a policy", d.as_secs_f64() * 1e6 / count as f64);
        let (met, ms) = (compiling.as_secs_f64() < 0.05, compiling.as_secs_f64() * 1e3);
        let goal = if count == 1_000 { format!("goal < 50 ms: {}", verdict(met)) } else { String::new() };
        println!("{:<46} {ms:>9.1} ms {:>14}  {:<34} {goal}", format!("{count} policies: compile"), "", per_policy(compiling));
        println!(
            "{:<46} {:>9.1} ms {:>14}  {}",
            format!("{count} policies: read their YAML"),
            reading.as_secs_f64() * 1e3,
            "",
            per_policy(reading)
        );

        let mut a = Attribution::default();
        let opt = policy::Options::default();
        let cold = least(|| {
            a = Attribution::default();
            each(drops.len(), || drops.iter().for_each(|o| drop(black_box(a.why(o, &world, &set, &opt)))))
        });
        let goal = if count == 10_000 { format!("goal ≤ 20 µs: {}", verdict(cold.as_secs_f64() <= 20e-6)) } else { String::new() };
        row(&format!("{count} policies: cold, a new conversation"), cold, format!("{:.1} × decode", ratio(cold, decoding)), goal);

        let hot = least(|| batched(&drops, |o| drop(black_box(a.why(o, &world, &set, &opt)))));
        let full = least(|| each(2_000, || drops.iter().take(2_000).for_each(|o| drop(black_box(policy::explain(o, &world, &set, &opt))))));
        let goal = if count == 1_000 { format!("goal ≥ 1 000 000/s: {}", verdict(hot.as_secs_f64() <= 1e-6)) } else { String::new() };
        let than = format!("{:.2} × decode, {:.0} × explain", ratio(hot, decoding), 1.0 / ratio(hot, full));
        row(&format!("{count} policies: warm"), hot, than, goal);
        row(&format!("{count} policies: whole explanation, no memory"), full, String::new(), String::new());
        warm.push(hot);
    }
    if let [few, .., many] = warm.as_slice() {
        let times = ratio(*many, *few);
        println!("{:<46} {times:>9.2} × {:>44}  goal ≤ 1.5 ×: {}", "10 000 policies beside 100, warm", "", verdict(times <= 1.5));
    }
    let mut talks = Talks::new(Fold::First);
    drops.iter().for_each(|o| _ = talks.add(o, Nanos(1)));
    assert_eq!(talks.len(), CONVERSATIONS);
    let folding = least(|| batched(&drops, |o| _ = black_box(talks.add(o, Nanos(2)))));
    row("folding a flow into its conversation", folding, format!("{:.2} × decode", ratio(folding, decoding)), String::new());
    println!("{:<46} {:>9} MB", "peak memory of all this, flows included", own_peak() / 1_000_000);
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The least of several rounds.
fn least(mut round: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}

fn each(n: usize, f: impl FnOnce()) -> Duration {
    let began = own_time();
    f();
    (own_time() - began) / u32::try_from(n).unwrap()
}

/// Time of one flow, over all flows in an order that the cache cannot foresee.
fn batched(drops: &[Observed], mut f: impl FnMut(&Observed)) -> Duration {
    let mut spent = Duration::ZERO;
    let mut at = 0usize;
    for _ in 0..FLOWS / BATCH {
        let batch: Vec<Observed> = (0..BATCH)
            .map(|_| {
                at = (at + 30_011) % drops.len();
                Observed { src_port: u16::try_from(at % 60_000).unwrap(), ..drops[at].clone() }
            })
            .collect();
        let began = own_time();
        batch.iter().for_each(&mut f);
        spent += own_time() - began;
    }
    spent / u32::try_from(FLOWS / BATCH * BATCH).unwrap()
}

fn frame(r: &GetFlowsResponse) -> Frame {
    Frame { codec: Codec::Hubble, from: Arc::from("bench"), line: 0, bytes: r.encode_to_vec().into(), broken: None }
}

fn read(f: &Frame) -> Observed {
    let Ok(Decoded::Response(r)) = decode(f, &mut Notes::default()) else { panic!("a flow") };
    observed(&r)
}

/// Policies spread over the namespaces: a default deny each, then one after the other for each workload, of which a third has HTTP
/// rules, a third allows by DNS name, and a third is plain. Also how long reading their text took, and compiling.
fn policies(count: usize) -> (PolicySet, Duration, Duration) {
    let mut set = PolicySet::new();
    let (mut reading, mut compiling) = (Duration::ZERO, Duration::ZERO);
    for i in 0..count {
        let (ns, nth) = (i % NAMESPACES, i / NAMESPACES);
        let (app, from) = (nth % APPS, (nth * 7 + 1) % APPS);
        let head = format!("metadata:\n  name: p{nth}\n  namespace: ns{ns}\nspec:\n");
        let cilium = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n{head}  endpointSelector:\n    matchLabels:\n      app: app{app}\n  ingress:\n  - fromEndpoints:\n    - matchLabels:\n        app: app{from}\n    toPorts:\n    - ports:\n      - port: \"{}\"\n        protocol: TCP\n",
            9_000 + nth
        );
        let text = match nth % 3 {
            0 if nth == 0 => {
                format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{head}  podSelector: {{}}\n  policyTypes: [Ingress]\n")
            }
            0 => format!(
                "{cilium}      rules:\n        http:\n        - method: GET\n          path: /api/v{nth}/[a-z]+/?.*\n        - method: POST\n          path: /api/v{nth}/items\n"
            ),
            1 => format!(
                "{cilium}  egress:\n  - toFQDNs:\n    - matchName: api{nth}.example.com\n    - matchPattern: \"*.s{nth}.example.org\"\n    toPorts:\n    - ports:\n      - port: \"443\"\n        protocol: TCP\n  - toEndpoints:\n    - {{}}\n"
            ),
            _ => format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{head}  podSelector:\n    matchLabels:\n      app: app{app}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: app{from}\n    - namespaceSelector:\n        matchLabels:\n          team: t{nth}\n    ports:\n    - port: {}\n      protocol: TCP\n",
                9_000 + nth
            ),
        };
        let began = own_time();
        let (docs, faults) = yaml::read(&format!("p{i}.yaml"), &text);
        reading += own_time() - began;
        assert!(faults.is_empty(), "{faults:?}");
        let changes: Vec<Change> = docs.into_iter().map(|d| Change::Apply(Arc::new(d))).collect();
        let began = own_time();
        for c in &changes {
            let faults = set.apply(c);
            assert!(faults.is_empty(), "{faults:?}");
        }
        compiling += own_time() - began;
    }
    assert_eq!(set.len(), count);
    (set, reading, compiling)
}

/// One dropped flow of each conversation, as an agent of today reports it.
fn conversations() -> Vec<GetFlowsResponse> {
    let end = |ns: usize, pod: usize| {
        let app = pod % APPS;
        flow::Endpoint {
            identity: u32::try_from(1_000 + ns * APPS + app).unwrap(),
            cluster_name: "default".into(),
            namespace: format!("ns{ns}"),
            pod_name: format!("app{app}-7d9f8b6c4-x{pod:04}"),
            labels: vec![
                format!("k8s:app=app{app}"),
                format!("k8s:app.kubernetes.io/name=app{app}"),
                "k8s:app.kubernetes.io/part-of=shop".into(),
                format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=ns{ns}"),
                format!("k8s:io.cilium.k8s.namespace.labels.team=t{ns}"),
                "k8s:io.cilium.k8s.policy.cluster=default".into(),
                "k8s:io.cilium.k8s.policy.serviceaccount=default".into(),
                format!("k8s:io.kubernetes.pod.namespace=ns{ns}"),
            ],
            workloads: vec![Workload { name: format!("app{app}"), kind: "Deployment".into() }],
            ..flow::Endpoint::default()
        }
    };
    let ip = |ns: usize, pod: usize| format!("10.{ns}.{}.{}", pod / 250, pod % 250 + 1);
    let one = |i: usize| {
        // Each endpoint calls five others, in its own namespace and in others.
        let (ns, pod, nth) = (i % NAMESPACES, i / NAMESPACES % PODS, i / (NAMESPACES * PODS));
        let (to_ns, to) = ((ns + nth % 3) % NAMESPACES, (pod * 3 + nth * 17 + 1) % PODS);
        let tcp = Tcp {
            source_port: 40_000,
            destination_port: u32::try_from(8_000 + nth).unwrap(),
            flags: Some(TcpFlags { syn: true, ..TcpFlags::default() }),
        };
        let flow = Flow {
            verdict: flow::Verdict::Dropped as i32,
            drop_reason_desc: 133,
            ip: Some(Ip { source: ip(ns, pod), destination: ip(to_ns, to), ..Ip::default() }),
            l4: Some(Layer4 { protocol: Some(Protocol::Tcp(tcp)) }),
            source: Some(end(ns, pod)),
            destination: Some(end(to_ns, to)),
            event_type: Some(flow::CiliumEventType { r#type: 1, sub_type: 133 }),
            traffic_direction: flow::TrafficDirection::Ingress as i32,
            is_reply: Some(false),
            emitter: Some(flow::Emitter { name: "Hubble".into(), version: "1.19.4".into() }),
            node_name: format!("node{}", ns % 50),
            ..Flow::default()
        };
        GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() }
    };
    let all: Vec<GetFlowsResponse> = (0..CONVERSATIONS).map(one).collect();
    assert!(all.iter().map(observed).all(|o| o.direction == Some(Direction::Ingress) && o.syn == Some(true)));
    all
}
