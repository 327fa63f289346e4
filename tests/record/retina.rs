//! Retina's flows by the shapes that its agents send: every drop INGRESS, netfilter's reasons under Hubble's names, verdicts of its own,
//! no port but TCP's and UDP's. Side, cause and words, as they come and from a recording.
use super::{Place, fine, flowhy, text};
use serde_json::{Value, json};

const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: production, name: db-from-api}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: production, name: job-out}
spec:
  podSelector: {matchLabels: {app: job}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 443}]}]
";

const PODS: [(&str, &str); 4] = [("web", "10.244.1.7"), ("api", "10.244.1.8"), ("job", "10.244.1.9"), ("db", "10.244.2.9")];

fn end(name: &str) -> Value {
    json!({"ID": 33001, "identity": 33001, "namespace": "production", "podName": format!("{name}-0"), "labels": [format!("k8s:app={name}")]})
}

/// A flow between two pods, with what is its own.
fn flow(from: &str, to: &str, l4: &Value, own: &Value) -> Value {
    let ip = |name: &str| PODS.iter().find(|p| p.0 == name).unwrap().1;
    let mut f = json!({"time": "2026-09-22T10:00:00.123Z", "IP": {"source": ip(from), "destination": ip(to), "ipVersion": "IPv4"},
        "source": end(from), "destination": end(to), "Type": "L3_L4"});
    let all = f.as_object_mut().unwrap();
    if !l4.is_null() {
        all.insert("l4".to_owned(), l4.clone());
    }
    all.extend(own.as_object().unwrap().clone());
    json!({"flow": f, "nodeName": "aks-1", "time": "2026-09-22T10:00:00.123Z"})
}

fn tcp(port: u16) -> Value {
    json!({"TCP": {"sourcePort": 40100, "destinationPort": port}})
}

/// A drop: Hubble's name and number of the reason, and Retina's.
fn dropped(from: &str, to: &str, l4: &Value, (name, number, own): (&str, u32, &str)) -> Value {
    let value = json!({"drop_reason": own, "bytes": 60});
    let own = json!({"verdict": "DROPPED", "dropReasonDesc": name, "eventType": {"type": 1, "subType": number}, "trafficDirection": "INGRESS",
        "traceObservationPoint": "FROM_NETWORK", "Summary": format!("Drop Reason: {own}"),
        "extensions": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": value}});
    flow(from, to, l4, &own)
}

const RULE: (&str, u32, &str) = ("POLICY_DENIED", 133, "IPTABLE_RULE_DROP");
const NAT: (&str, u32, &str) = ("SNAT_NO_MAP_FOUND", 191, "IPTABLE_NAT_DROP");
const CONNTRACK: (&str, u32, &str) = ("UNKNOWN_CONNECTION_TRACKING_STATE", 163, "CONNTRACK_ADD_DROP");
const SOCKET: (&str, u32, &str) = ("DROP_REASON_UNKNOWN", 0, "TCP_ACCEPT_BASIC");
const WINDOWS: (&str, u32, &str) = ("DROP_REASON_UNKNOWN", 0, "Drop_FailedSecurityPolicy");

/// Outcome, side, policies and the words; of what is not explained nothing.
fn told(line: &str) -> String {
    let v: Value = serde_json::from_str(line).unwrap();
    let why = &v["why"];
    let Some(outcome) = why["outcome"].as_str() else { return "-".to_owned() };
    let names: Vec<_> = why["policies"].as_array().into_iter().flatten().map(|p| p["name"].as_str().unwrap()).collect();
    let missing = why["missing"].as_array().into_iter().flatten().map(|m| m.as_str().unwrap());
    let words = why["text"].as_str().unwrap_or("");
    format!("{outcome} {} {}: {words} {}", why["direction"].as_str().unwrap_or("-"), names.join("+"), missing.collect::<String>())
}

#[test]
fn flows_of_retina_are_explained_by_the_side_that_denies_in_words_of_what_was_seen_and_so_is_their_recording() {
    let trace = |n: u32, more: &Value| {
        let mut own = json!({"verdict": n, "eventType": {"type": 4}, "trafficDirection": "EGRESS", "traceObservationPoint": "TO_NETWORK"});
        own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        own
    };
    let dns = json!({"Type": "L7", "l7": {"type": "REQUEST", "dns": {"query": "db.production.svc.cluster.local.", "qtypes": ["A"]}}});
    let query = json!({"UDP": {"sourcePort": 40100, "destinationPort": 53}});
    let iptables = "dropped by iptables, but no policy explains it";
    let flows = [
        // The receiver's policy, the sender's although it says INGRESS, and both of them: the sender is asked first.
        (
            dropped("web", "db", &tcp(5432), RULE),
            "default-deny INGRESS db-from-api: dropped by iptables; the nearest rule wants app=api, sender has app=web ",
        ),
        (dropped("job", "api", &tcp(8080), RULE), "default-deny EGRESS job-out: dropped by iptables; no rule allows port 8080 "),
        (dropped("job", "db", &tcp(5432), RULE), "default-deny EGRESS job-out: dropped by iptables; no rule mentions this peer or port "),
        // Neither: some other rule of the node's.
        (dropped("web", "api", &tcp(8080), RULE), &*format!("now-allowed - : {iptables} ")),
        (dropped("api", "db", &tcp(5432), RULE), &*format!("now-allowed - db-from-api: {iptables} ")),
        // Of ICMP and SCTP it says no protocol.
        (
            dropped("web", "db", &Value::Null, RULE),
            "default-deny INGRESS db-from-api: dropped by iptables; the nearest rule wants app=api, sender has app=web ",
        ),
        // Netfilter's other hooks are no policy's; their names are Hubble's, their meaning is not.
        (dropped("web", "db", &tcp(5432), NAT), "not-policy - : netfilter dropped it while it translated addresses "),
        (dropped("web", "db", &tcp(5432), CONNTRACK), "not-policy - : netfilter could not keep track of the connection "),
        // What it has no name for, on Windows nearly everything, may be anything.
        (dropped("web", "db", &tcp(5432), SOCKET), "undecidable - : cannot be decided without drop-reason drop-reason"),
        (dropped("web", "db", &tcp(5432), WINDOWS), "undecidable - : cannot be decided without drop-reason drop-reason"),
        // Verdicts of its own: sent again, and DNS.
        (flow("web", "db", &tcp(5432), &trace(15, &json!({}))), "-"),
        (flow("web", "db", &query, &trace(16, &dns)), "-"),
    ];
    let p = Place::new(0);
    std::fs::write(p.at("in.jsonl"), flows.iter().map(|(f, _)| format!("{f}\n")).collect::<String>()).unwrap();
    std::fs::write(p.at("p.yaml"), POLICIES).unwrap();
    let explained = |from: &str, more: &[&str]| fine(&[&["observe", "--from", &p.at(from), "--why", "-o", "jsonpb"], more].concat());
    let live = explained("in.jsonl", &["--policies", &p.at("p.yaml")]);
    let got: Vec<String> = live.lines().map(told).collect();
    assert_eq!(got, flows.iter().map(|(_, wanted)| (*wanted).to_owned()).collect::<Vec<_>>());
    // A drop that nothing but iptables is known of says whose word that is.
    assert!(live.lines().nth(3).unwrap().contains("Retina reports whatever netfilter drops as a policy's"));

    let o = flowhy(&["record", &p.at("out.jsonl.zst"), "--from", &p.at("in.jsonl"), "--policies", &p.at("p.yaml")]);
    assert!(o.status.success() && text(&o.stderr).contains("recorded 12 flows to"), "{}", text(&o.stderr));
    assert_eq!(explained("out.jsonl.zst", &[]), live);
}
