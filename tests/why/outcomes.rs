//! Every outcome from the records that agents really send, read as any recording is; and the same with less in them: the drop record
//! for the verdict, no direction, no labels.
use super::SHOP;
use super::reader::{Agreement, Direction, Outcome, Why};
use super::scene::Scene;
use flowhy::model::observed::Observed;
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::read_line;
use flowhy::wire::note::Notes;
use flowhy::wire::observed::observed;
use serde_json::{Value, json};

fn read(flow: &Value) -> Observed {
    let line = json!({"flow": flow, "node_name": "w1", "time": "2026-04-13T14:02:12.481Z"}).to_string();
    match read_line(line.as_bytes(), &mut Notes::default()) {
        Ok(Decoded::Response(r)) => observed(&r),
        other => panic!("{line}: {other:?}"),
    }
}

fn end(ns: &str, app: &str, identity: u32) -> Value {
    json!({"ID": 7, "identity": identity, "namespace": ns, "pod_name": format!("{app}-0"), "labels": [
        format!("k8s:app={app}"),
        format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={ns}"),
        "k8s:io.cilium.k8s.policy.cluster=default", "k8s:io.cilium.k8s.policy.serviceaccount=default",
        format!("k8s:io.kubernetes.pod.namespace={ns}")]})
}

/// A policy verdict as Cilium records it.
fn verdict(from: Value, to: Value, direction: &str, port: u16, reason: Option<&str>) -> Value {
    let mut f = json!({
        "time": "2026-04-13T14:02:12.481Z", "verdict": "DROPPED", "ethernet": {"source": "5a:a5:b9:12:91:61", "destination": "52:54:c2:d2:19:87"},
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": port, "flags": {"SYN": true}}},
        "source": from, "destination": to, "Type": "L3_L4", "node_name": "w1", "event_type": {"type": 5},
        "traffic_direction": direction, "is_reply": false, "Summary": "TCP Flags: SYN"});
    if let Some(r) = reason {
        f["drop_reason_desc"] = r.into();
    }
    f
}

/// The same packet's drop record: its reason is the sub-type, and nothing is named.
fn as_drop(f: &Value, code: i32) -> Value {
    let mut f = f.clone();
    f["event_type"] = json!({"type": 1, "sub_type": code});
    for k in ["is_reply", "ingress_denied_by", "egress_denied_by", "auth_type", "policy_match_type"] {
        f.as_object_mut().unwrap().remove(k);
    }
    f
}

fn without(f: &Value, keys: &[&str]) -> Value {
    let mut f = f.clone();
    for k in keys {
        match k.split_once('.') {
            Some((side, k)) => f[side].as_object_mut().unwrap().remove(k),
            None => f.as_object_mut().unwrap().remove(*k),
        };
    }
    f
}

const MORE: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: evil}}]
  ingress:
  - fromEndpoints: [{matchLabels: {app: secure}}]
    authentication: {mode: required}
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules: {http: [{method: GET, path: /v1/.*}]}
  egress:
  - toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: '53', protocol: ANY}]
      rules: {dns: [{matchName: api.stripe.com}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nodes}
spec:
  nodeSelector: {}
  ingress:
  - fromEntities: [cluster]
";

fn scene() -> Scene {
    Scene::new(&[("shop.yaml", SHOP), ("more.yaml", MORE)])
}

/// The record, what it has to come to, and the policies.
fn cases() -> Vec<(&'static str, Value, i32, Outcome, &'static [&'static str])> {
    let (cart, db, api) = (|| end("shop", "cart", 101), || end("shop", "db", 102), || end("shop", "api", 103));
    let mut deny = verdict(end("shop", "evil", 104), api(), "INGRESS", 80, Some("POLICY_DENY"));
    deny["ingress_denied_by"] = json!([{"name": "api", "namespace": "shop", "kind": "CiliumNetworkPolicy", "revision": "3"}]);
    let mut auth = verdict(end("shop", "secure", 105), api(), "INGRESS", 80, Some("AUTH_REQUIRED"));
    auth["auth_type"] = "SPIRE".into();
    let host = json!({"identity": 1, "labels": ["reserved:host"]});
    let world = json!({"identity": 2, "labels": ["reserved:world"]});
    vec![
        ("default deny", verdict(cart(), db(), "INGRESS", 5433, Some("POLICY_DENIED")), 133, Outcome::DefaultDeny, &["shop/db-ingress"]),
        ("deny rule", deny, 181, Outcome::DeniedByRule, &["shop/api"]),
        ("authentication", auth, 189, Outcome::AuthRequired, &["shop/api"]),
        ("host firewall", verdict(world, host, "INGRESS", 22, Some("POLICY_DENIED")), 133, Outcome::HostFirewall, &["nodes"]),
        ("no policy", verdict(cart(), db(), "INGRESS", 5433, Some("CT_UNKNOWN_L4_PROTOCOL")), 137, Outcome::NotPolicy, &[]),
        ("now allowed", verdict(cart(), db(), "INGRESS", 5432, Some("POLICY_DENIED")), 133, Outcome::NowAllowed, &["shop/db-ingress"]),
    ]
}

fn holds(what: &str, w: &Why, outcome: Outcome, policies: &[&str]) {
    assert_eq!((w.outcome, w.names()), (outcome, policies.iter().map(|p| (*p).to_owned()).collect()), "{what}: {w:?}");
    let agrees = if outcome == Outcome::NowAllowed { Agreement::Disagrees } else { Agreement::Agrees };
    assert_eq!(w.agreement, agrees, "{what}: {:?}", w.because);
}

#[test]
fn outcomes_from_verdicts_and_from_drop_records() {
    let s = scene();
    for (what, flow, code, outcome, policies) in cases() {
        holds(what, &s.why(&read(&flow)), outcome, policies);
        let drop = as_drop(&flow, code);
        holds(what, &s.why(&read(&drop)), outcome, policies);
        // Agents before 1.10 give the number alone.
        holds(what, &s.why(&read(&without(&drop, &["drop_reason_desc"]))), outcome, policies);
    }
}

/// What was left out may cost the answer, and never makes a wrong one.
#[test]
fn outcomes_from_records_with_less_in_them() {
    let s = scene();
    for (what, flow, _, outcome, policies) in cases() {
        let w = s.why(&read(&without(&flow, &["traffic_direction"])));
        assert_eq!((w.outcome, w.names()), (outcome, policies.iter().map(|p| (*p).to_owned()).collect()), "{what}, side not told: {w:?}");
        assert_eq!(w.sides.len(), if outcome == Outcome::NotPolicy { 0 } else { 2 });
        let w = s.why(&read(&without(&flow, &["source.labels", "destination.labels"])));
        let reserved = what == "host firewall";
        if outcome == Outcome::NotPolicy || reserved {
            assert_eq!(w.outcome, outcome, "{what}: the numbers of reserved identities are enough");
        } else {
            assert_eq!(w.outcome, Outcome::Undecidable, "{what}: {w:?}");
            assert!(w.policies.is_empty() && w.missing.iter().any(|m| m.starts_with("labels:shop/")), "{w:?}");
        }
    }
}

#[test]
fn what_the_proxy_refuses() {
    let s = scene();
    let mut http = without(&verdict(end("shop", "web", 106), end("shop", "api", 103), "INGRESS", 80, None), &["Summary"]);
    http["Type"] = "L7".into();
    http["event_type"] = json!({"type": 129});
    http["l7"] = json!({"type": "REQUEST", "http": {"method": "PUT", "url": "http://api.shop/v1/x", "protocol": "HTTP/1.1", "headers": [{"key": "User-Agent", "value": "curl"}]}});
    holds("request", &s.why(&read(&http)), Outcome::L7Denied, &["shop/api"]);
    http["l7"]["type"] = "RESPONSE".into();
    http["l7"]["http"]["code"] = 403.into();
    let (from, to) = (http["source"].take(), http["destination"].take());
    (http["source"], http["destination"], http["is_reply"]) = (to, from, true.into());
    http["l4"] = json!({"TCP": {"source_port": 80, "destination_port": 40000}});
    let w = s.why(&read(&http));
    assert_eq!((w.outcome, w.subject.as_deref(), w.names()), (Outcome::L7Denied, Some("shop/api-0"), vec!["shop/api".to_owned()]));

    let dns = json!({"ID": 9, "identity": 110, "namespace": "kube-system", "pod_name": "coredns-1", "labels": ["k8s:k8s-app=kube-dns",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=kube-system", "k8s:io.kubernetes.pod.namespace=kube-system"]});
    let mut query = without(&verdict(end("shop", "api", 103), dns, "EGRESS", 53, None), &["Summary"]);
    query["l4"] = json!({"UDP": {"source_port": 40000, "destination_port": 53}});
    query["Type"] = "L7".into();
    query["event_type"] = json!({"type": 129});
    query["l7"] = json!({"type": "REQUEST", "dns": {"query": "evil.example.", "observation_source": "proxy", "qtypes": ["A"]}});
    holds("query", &s.why(&read(&query)), Outcome::DnsRefused, &["shop/api"]);
    let w = s.why(&read(&without(&query, &["traffic_direction"])));
    assert_eq!((w.outcome, w.direction), (Outcome::DnsRefused, Some(Direction::Egress)), "queries are refused at the client");
}

/// Audit mode: what enforcement would do, with the agent's own words kept apart.
#[test]
fn what_enforcement_would_do() {
    let s = scene();
    let mut audit = verdict(end("shop", "cart", 101), end("shop", "db", 102), "INGRESS", 5433, None);
    audit["verdict"] = "AUDIT".into();
    holds("audit", &s.why(&read(&audit)), Outcome::DefaultDeny, &["shop/db-ingress"]);
    let mut deny = verdict(end("shop", "evil", 104), end("shop", "api", 103), "INGRESS", 80, None);
    deny["verdict"] = "AUDIT".into();
    deny["ingress_denied_by"] = json!([{"name": "api", "namespace": "shop", "kind": "CiliumNetworkPolicy"}]);
    deny["policy_log"] = json!(["for the auditor"]);
    let w = s.why(&read(&deny));
    holds("audited deny", &w, Outcome::DeniedByRule, &["shop/api"]);
    let reported = w.reported.unwrap();
    assert_eq!((reported.policies[0].name.as_str(), reported.log), ("api", vec!["for the auditor".to_owned()]));
}

/// Retina's flows with the policies of their pods: side and cause, in the words of what is known.
#[test]
fn the_recording_of_retina() {
    let Some(shared) = super::scene::shared() else { return };
    let text = std::fs::read_to_string(shared.join("data/other/synthetic/retina-hubble-flows.ndjson")).unwrap();
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: production}\nspec: {podSelector: {matchLabels: {tier: database}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}\n";
    let s = Scene::new(&[("db.yaml", policy)]);
    let mut seen = 0;
    for line in text.lines() {
        let decoded = read_line(line.as_bytes(), &mut Notes::default()).unwrap_or_else(|e| panic!("{e:?}: {line}"));
        let Decoded::Response(r) = decoded else { panic!("{line}") };
        let o = observed(&r);
        assert!(o.of_retina());
        let w = s.why(&o);
        assert_eq!((w.outcome, w.names(), w.direction), (Outcome::DefaultDeny, vec!["production/db".to_owned()], Some(Direction::Ingress)));
        assert!(w.text.starts_with("dropped by iptables; "), "{}", w.text);
        let bare = Scene::new(&[]);
        assert_eq!(bare.why(&o).outcome, Outcome::Undecidable, "no policies");
        // What it holds comes out as it went in.
        let mut out = Vec::new();
        flowhy::wire::json::Writer::new(&mut out).message(&r);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(r#""extensions":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"bytes":60,"drop_reason":"IPTABLE_RULE_DROP"}}"#), "{out}");
        seen += 1;
    }
    assert!(seen > 0);
}

/// Retina's own form: no reason but netfilter's, always INGRESS, and camel case.
#[test]
fn a_record_of_retina() {
    let out = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress]}\n";
    let s = Scene::new(&[("shop.yaml", SHOP), ("out.yaml", out)]);
    let flow = json!({"verdict": "DROPPED", "dropReasonDesc": "POLICY_DENIED", "IP": {"source": "10.244.1.7", "destination": "10.244.2.9", "ipVersion": "IPv4"},
        "l4": {"TCP": {"sourcePort": 40100, "destinationPort": 5432}}, "eventType": {"type": 1, "subType": 133},
        "source": end("shop", "cart", 101), "destination": end("shop", "db", 102), "trafficDirection": "INGRESS", "traceObservationPoint": "FROM_NETWORK",
        "Type": "L3_L4", "Summary": "Drop Reason: IPTABLE_RULE_DROP"});
    let w = s.why(&read(&flow));
    assert_eq!((w.outcome, w.direction, w.names()), (Outcome::DefaultDeny, Some(Direction::Egress), vec!["shop/out".to_owned()]));
    assert_eq!(w.sides.iter().map(|x| x.outcome).collect::<Vec<_>>(), [Outcome::DefaultDeny, Outcome::Allowed]);
}
