//! Every case of the corpus as the record of an agent that knows addresses and nothing else, beside a cluster that has those addresses.
use super::case::{self, Manifests, Read};
use super::degraded::wrong;
use super::record;
use super::supply::Given;
use flowhy::model::observed::{L7, Observed, Party, Reported};
use flowhy::model::time::Nanos;
use flowhy::model::why::Outcome;
use flowhy::policy::{PolicySet, explain};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NODES: [(&str, &str); 3] = [("n1", "100.126.0.1"), ("n2", "100.126.0.2"), ("n3", "100.126.0.3")];

/// The address of a side, if it can have one: of pods, nodes and the world.
fn address(side: &str, p: &Value) -> Option<String> {
    match (p["kind"].as_str()?, p["entity"].as_str().unwrap_or("")) {
        // Which cluster an address is of, it does not say.
        ("pod", _) => {
            matches!(p["cluster"].as_str(), None | Some("default")).then(|| format!("100.127.0.{}", if side == "src" { 1 } else { 2 }))
        }
        ("ip", _) => p["ip"].as_str().map(str::to_owned),
        (_, "host") => Some(NODES[0].1.into()),
        (_, "remote-node") => Some(NODES[1].1.into()),
        (_, "kube-apiserver") => Some(NODES[2].1.into()),
        _ => None,
    }
}

/// The cluster in which both sides have their addresses.
fn populated(case: &Value) -> Read {
    let mut read = Read::with(case, Manifests { pods: false, namespaces: true });
    let mut objects: Vec<Value> = Vec::new();
    for (name, ip) in NODES {
        let status = json!({"addresses": [{"type": "InternalIP", "address": ip}]});
        objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}));
    }
    for side in ["src", "dst"] {
        if let Some(mut pod) = case::pod(side, &case[side]) {
            pod["spec"]["nodeName"] = json!("n1");
            pod["status"] = json!({"podIPs": [{"ip": address(side, &case[side])}]});
            objects.push(pod);
        }
    }
    objects.push(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander"}, "spec": {}, "status": {"podIP": "100.127.0.9"}}),
    );
    objects.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "kubernetes",
        "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}}, "endpoints": [{"addresses": [NODES[2].1]}]}));
    for o in &objects {
        case::apply(&mut read.world, &mut PolicySet::new(), "cluster", o);
    }
    for side in ["src", "dst"] {
        for name in case[side]["fqdns"].as_array().into_iter().flatten() {
            let query = format!("{}.", name.as_str().unwrap());
            let ips = vec![address(side, &case[side]).unwrap()];
            let l7 = L7::Dns { query, rcode: 0, ips, cnames: Vec::new(), ttl: 60, qtypes: vec!["A".into()] };
            read.world.observe(&Observed { at: Some(Nanos(0)), l7: Some(l7), ..Observed::default() });
        }
    }
    read
}

/// Time, node, addresses, ports, direction, verdict, reason.
fn stripped(o: &Observed, case: &Value) -> Observed {
    let bare = |side: &str| Party { ip: address(side, &case[side]).and_then(|ip| ip.parse().ok()), ..Party::default() };
    Observed {
        at: Some(Nanos(1_000)),
        node: "n1".into(),
        is_reply: None,
        event: None,
        reported: Reported::default(),
        src: bare("src"),
        dst: bare("dst"),
        ..o.clone()
    }
}

#[test]
fn addresses_and_a_cluster_say_as_much_as_the_whole_record() {
    let (mut bad, mut judged, mut dropped) = (Vec::new(), 0, [0, 0]);
    let mut open: BTreeMap<String, u32> = BTreeMap::new();
    for case in &case::corpus("cases.jsonl") {
        if case.get("l7").is_some() || ["src", "dst"].iter().any(|s| address(s, &case[*s]).is_none()) {
            continue;
        }
        let (full, empty) = (populated(case), Read::with(case, Manifests { pods: false, namespaces: false }));
        for ingress in [false, true] {
            let expect = &case["expect"];
            let side = if ingress { "ingress" } else { "egress" };
            if expect[side]["decision"] == "n/a" || (ingress && expect["egress"]["decision"] == "denied") {
                continue;
            }
            let record = stripped(&record::whole(case, ingress), case);
            let about = format!("{} {} {side}", case["id"], case["tags"][1]);
            let given = Given { case, ingress, manifests: Manifests::ALL, record, objects: Vec::new() };
            let ask = |read: &Read| explain(&given.record, &read.world, &read.set, &read.opt).why;
            let why = ask(&full);
            judged += 1;
            bad.extend(wrong(&given, &why).map(|w| format!("{about}: {w}")));
            let denied = expect[side]["decision"] == "denied";
            dropped[0] += u32::from(denied);
            if why.outcome == Outcome::Undecidable {
                dropped[1] += u32::from(denied);
                for m in &why.missing {
                    *open.entry(format!("{} {m}", if denied { "dropped" } else { "passed" })).or_default() += 1;
                }
            } else if !why.inferred.iter().any(|i| i.starts_with("labels:") || i.starts_with("identity:")) {
                bad.push(format!("{about}: nothing is called inferred: {:?}", why.inferred));
            }
            let poor = ask(&empty);
            bad.extend(wrong(&given, &poor).map(|w| format!("{about}, without a cluster: {w}")));
        }
    }
    eprintln!("{judged} directions, {dropped:?} dropped and undecidable; {open:?}");
    assert!(bad.is_empty(), "{} wrong:\n{}", bad.len(), bad.iter().take(40).cloned().collect::<Vec<_>>().join("\n"));
    assert!(judged > 1_000 && dropped[0] > 300 && dropped[1] * 100 <= dropped[0], "{judged} {dropped:?}");
}
