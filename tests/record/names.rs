//! What DNS answers teach outlives a filter that refuses them, and the segment that they stand in.
use super::fine;
use super::runs::{Lines, whys};
use serde_json::{Value, json};

fn time(second: i64) -> String {
    flowhy::model::time::Nanos((1_769_817_600 + second) * flowhy::model::time::Nanos::SECOND).to_string()
}

fn cart() -> Value {
    json!({"namespace": "shop", "pod_name": "cart-0", "identity": 1000, "labels": ["k8s:app=cart", "k8s:io.kubernetes.pod.namespace=shop"]})
}

fn answer(at: i64, query: &str, ip: &str) -> Value {
    json!({"flow": {
        "time": time(at), "verdict": "FORWARDED", "Type": "L7", "node_name": "n1", "event_type": {"type": 129}, "is_reply": true,
        "IP": {"source": "10.0.0.53", "destination": "10.0.0.1", "ipVersion": "IPv4"}, "traffic_direction": "INGRESS",
        "l4": {"UDP": {"source_port": 53, "destination_port": 5000}}, "destination": cart(),
        "l7": {"type": "RESPONSE", "dns": {"query": query, "ips": [ip], "ttl": 3600, "rcode": 0, "observation_source": "proxy", "qtypes": ["A"]}},
    }, "node_name": "n1", "time": time(at)})
}

fn to(at: i64, ip: &str, verdict: &str) -> Value {
    let mut flow = json!({
        "time": time(at), "verdict": verdict, "Type": "L3_L4", "node_name": "n1", "event_type": {"type": 5}, "is_reply": false,
        "IP": {"source": "10.0.0.1", "destination": ip, "ipVersion": "IPv4"}, "traffic_direction": "EGRESS",
        "l4": {"TCP": {"source_port": 40_000 + at, "destination_port": 443, "flags": {"SYN": true}}},
        "source": cart(), "destination": {"identity": 2, "labels": ["reserved:world"]},
    });
    if verdict == "DROPPED" {
        flow["drop_reason"] = json!(133);
        flow["drop_reason_desc"] = json!("POLICY_DENIED");
    }
    json!({"flow": flow, "node_name": "n1", "time": time(at)})
}

/// A policy that lets one name through, its answer, much else, and a drop of its address.
fn recorded(dir: &std::path::Path) -> String {
    let mut l = Lines::default();
    l.snapshot((0, 0), ("", "n1"), &[]);
    let body = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: egress, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: cart}}, egress: [{toFQDNs: [{matchName: api.example.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}]}\n";
    l.world(-86_400, json!({"apply": {"file": "CiliumNetworkPolicy/shop/egress", "body": body}}));
    l.put(&answer(100, "api.example.com.", "203.0.113.3"));
    (110..200).for_each(|at| l.put(&to(at, "10.9.9.9", "FORWARDED")));
    l.put(&to(400, "203.0.113.3", "DROPPED"));
    l.save(dir, "in.jsonl")
}

#[test]
fn a_filter_that_refuses_dns_answers_keeps_what_they_teach_and_no_flow_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = recorded(dir.path());
    let drops = |file: &str| whys(&[file]).into_iter().filter(|w| w.len() > 1).collect::<Vec<_>>();
    let before = drops(&file);
    assert_eq!(before, ["now-allowed egress"]);
    for (name, more) in [("f.jsonl", vec![]), ("r.jsonl", vec!["--redact"])] {
        let out = dir.path().join(name).to_string_lossy().into_owned();
        fine(&[&["record", &out, "-q", "--from", &file, "verdict:dropped"], &more[..]].concat());
        assert_eq!(fine(&["observe", "-q", "--from", &out, "-o", "jsonpb"]).lines().count(), 1, "no flow that the filter refused");
        let again = dir.path().join(format!("again-{name}")).to_string_lossy().into_owned();
        fine(&["record", &again, "-q", "--from", &out]);
        for copy in [out, again] {
            assert!(drops(&copy)[0].starts_with("now-allowed "), "{copy}: {:?}", drops(&copy));
        }
    }
}

#[test]
fn a_segment_that_is_read_alone_knows_the_names_that_were_taught_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = recorded(dir.path());
    let out = dir.path().join("s.jsonl").to_string_lossy().into_owned();
    fine(&["record", &out, "-q", "--from", &file, "--max-size", "8KiB"]);
    let mut segments: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    segments.retain(|p| p.to_string_lossy().contains("s.jsonl.0"));
    segments.sort();
    assert!(segments.len() > 1, "{segments:?}");
    let last = segments.last().unwrap().to_string_lossy().into_owned();
    assert!(!std::fs::read_to_string(&last).unwrap().lines().any(|l| l.starts_with("{\"flow\"") && l.contains("\"dns\"")));
    assert_eq!(whys(&[&last]).last().unwrap(), "now-allowed egress");
    assert_eq!(whys(&[&out]).last().unwrap(), "now-allowed egress");
    assert_eq!(fine(&["observe", "-q", "--from", &out, "-o", "jsonpb"]).lines().count(), 92);
}

#[test]
fn answers_that_come_again_and_again_do_not_push_what_was_asked_for_out_of_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let mut l = Lines::default();
    l.snapshot((0, 0), ("", "n1"), &[]);
    l.put(&to(5, "203.0.113.3", "DROPPED"));
    for n in 0..20_000 {
        l.put(&answer(10 + n / 100, &format!("h{}.example.com.", n % 50), &format!("203.0.113.{}", n % 50)));
    }
    let file = l.save(dir.path(), "in.jsonl");
    let out = dir.path().join("r.jsonl").to_string_lossy().into_owned();
    fine(&["record", &out, "-q", "--from", &file, "--verdict", "DROPPED", "--ring", "1MiB"]);
    assert_eq!(fine(&["observe", "-q", "--from", &out, "-o", "jsonpb"]).lines().count(), 1);
    let names: usize = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().contains("r.jsonl.0"))
        .map(|p| std::fs::read_to_string(p).unwrap().lines().filter(|l| l.contains("\"learnt\"")).count())
        .sum();
    assert!((50..=100).contains(&names), "{names} answers of 50 names");
}
