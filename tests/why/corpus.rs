//! Every case of the policy corpus as a flow that was dropped: what is told of it is what the real engines decided.
#[path = "../policy/protocol.rs"]
mod protocol;

use super::reader::Outcome;
use super::scene::{Scene, drop, reserved, world_ip};
use flowhy::model::observed::{Direction as D, L4, Party};
use serde_json::{Value, json};

/// Every case of the corpus as a flow that was dropped: told its side, and not told.
#[test]
fn the_corpus_as_flows() {
    let body = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/policy/cases.jsonl")).unwrap();
    let mut told = 0;
    for line in body.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let policies = case["policies"].as_array().unwrap();
        if policies.iter().any(|p| p["kind"] == "ClusterNetworkPolicy") || case["options"].is_object() {
            continue;
        }
        let mut s = Scene::default();
        for (i, p) in policies.iter().enumerate() {
            s.add(&format!("{i}.json"), &serde_json::to_string_pretty(p).unwrap());
        }
        for (name, g) in case["cidr_groups"].as_object().into_iter().flatten() {
            let group = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": name, "labels": g["labels"]}, "spec": {"externalCIDRs": g["cidrs"]}});
            s.add("g.json", &group.to_string());
        }
        s.set.set_given();
        let (src, dst) = (party(&mut s, &case, "src"), party(&mut s, &case, "dst"));
        let l4 = protocol::l4(case["protocol"].as_str().unwrap());
        let port = u16::try_from(case["port"].as_u64().unwrap()).unwrap();
        let ports = matches!(l4, L4::Tcp | L4::Udp | L4::Sctp);
        let mut o = drop(src, dst, l4, if ports { port } else { 0 }, None);
        (o.drop_reason, o.icmp) = (0, (!ports).then(|| (u8::try_from(port).unwrap(), 0)));
        for (name, direction) in [("egress", D::Egress), ("ingress", D::Ingress)] {
            let want = &case["expect"][name];
            // What the proxy decides needs a request that the agent saw whole.
            if want["reason"] == "not-a-managed-endpoint" || want["reason"] == "l7-deny" {
                continue;
            }
            o.direction = Some(direction);
            let w = s.why(&o);
            let id = &case["id"];
            let outcome = match want["reason"].as_str().unwrap() {
                "default-deny" => Outcome::DefaultDeny,
                "deny-rule" => Outcome::DeniedByRule,
                _ => Outcome::NowAllowed,
            };
            assert_eq!(w.outcome, outcome, "{id} {name}: {w:?}");
            let mut wanted: Vec<String> = want[if outcome == Outcome::DefaultDeny { "default_deny_by" } else { "attributed" }]
                .as_array()
                .into_iter()
                .flatten()
                .map(|p| p["namespace"].as_str().map_or(String::new(), |n| format!("{n}/")) + p["name"].as_str().unwrap())
                .collect();
            let mut got = w.names();
            wanted.sort();
            got.sort();
            wanted.dedup();
            got.dedup();
            assert_eq!(got, wanted, "{id} {name}");
            told += 1;
        }
        o.direction = None;
        let w = s.why(&o);
        assert!(w.sides.len() == 2);
        if case["expect"]["verdict"] == "denied" && !case["expect"].to_string().contains("l7-deny") {
            let at = case["expect"]["denied_at"].as_str().unwrap();
            assert_eq!(w.direction.map(|d| format!("{d:?}").to_lowercase()).as_deref(), Some(at), "{}", case["id"]);
        }
    }
    assert!(told > 2000, "{told}");
}

/// One side as a flow carries it: labels and all.
fn party(s: &mut Scene, case: &Value, side: &str) -> Party {
    let p = &case[side];
    match p["kind"].as_str().unwrap() {
        "pod" => {
            let ns = p["namespace"].as_str().unwrap();
            let ports: Vec<Value> = p["named_ports"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|n| json!({"name": n["name"], "containerPort": n["port"], "protocol": n["protocol"]}))
                .collect();
            let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": side, "namespace": ns}, "spec": {"containers": [{"ports": ports}]}});
            s.add("pod.json", &manifest.to_string());
            let own = p["labels"].as_object().into_iter().flatten().map(|(k, v)| format!("k8s:{k}={}", v.as_str().unwrap()));
            let of_ns = case["namespaces"][ns].as_object().into_iter().flatten();
            let of_ns = of_ns.map(|(k, v)| format!("k8s:io.cilium.k8s.namespace.labels.{k}={}", v.as_str().unwrap()));
            let mut labels: Vec<String> = own.chain(of_ns).collect();
            labels.push(format!("k8s:io.kubernetes.pod.namespace={ns}"));
            labels.push(format!("k8s:io.cilium.k8s.policy.cluster={}", p["cluster"].as_str().unwrap_or("default")));
            labels.push(format!("k8s:io.cilium.k8s.policy.serviceaccount={}", p["service_account"].as_str().unwrap_or("default")));
            Party { present: true, namespace: ns.into(), pod: side.into(), labels, ..Party::default() }
        }
        "ip" => {
            let names: Vec<&str> = p["fqdns"].as_array().into_iter().flatten().map(|f| f.as_str().unwrap()).collect();
            world_ip(p["ip"].as_str().unwrap(), &names)
        }
        _ => {
            let mut party = reserved(p["entity"].as_str().unwrap());
            if p["entity"] == "kube-apiserver" {
                party.labels.push("reserved:remote-node".into());
            }
            party
        }
    }
}
