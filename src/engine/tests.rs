mod numbers;
mod saved;

use super::causes::State;
use super::*;
use crate::model::input::Codec;
use crate::model::why::{Agreement, Outcome};
use crate::world::yaml;

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db-ingress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: cart
    ports:
    - protocol: TCP
      port: 5432
";

fn engine(policy: &str) -> Engine {
    let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
    e.policies_given();
    for doc in yaml::read("k8s/db.yaml", policy).0 {
        e.give(Change::Apply(Arc::new(doc)));
    }
    e
}

fn line(e: &mut Engine, text: &str) -> Vec<Option<Why>> {
    let mut seen = Vec::new();
    let frame =
        Frame { codec: Codec::HubbleJson, from: "f".into(), line: e.ledger.frames + 1, bytes: text.to_owned().into(), broken: None };
    e.feed(Input::Frame(frame), &mut |ev| seen.push(ev.why.map(|w| Why::clone(w))));
    seen
}

/// One record of cart → db; `second` within 14:02, source port, verdict, reason, event type.
fn flow(second: f64, sport: u16, dport: u16, verdict: &str, event: u8) -> String {
    let time = format!("2026-04-13T14:02:{second:06.3}Z");
    let reason = if verdict == "DROPPED" { r#","drop_reason_desc":"POLICY_DENIED""# } else { "" };
    format!(
        r#"{{"flow":{{"time":"{time}","verdict":"{verdict}","IP":{{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":{sport},"destination_port":{dport},"flags":{{"SYN":true}}}}}},"source":{{"identity":1001,"namespace":"shop","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"cart-7d4b8c9f5-xk2mh"}},"destination":{{"identity":1002,"namespace":"shop","labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"db-0"}},"node_name":"w2","event_type":{{"type":{event}}},"traffic_direction":"INGRESS","is_reply":false{reason}}},"node_name":"w2","time":"{time}"}}"#
    )
}

#[test]
fn a_drop_is_paired_with_its_policy() {
    let mut e = engine(POLICY);
    let why = line(&mut e, &flow(1.0, 40_000, 5433, "DROPPED", 5)).remove(0).unwrap();
    assert_eq!(why.outcome, Outcome::DefaultDeny);
    assert_eq!(why.policies.iter().map(|p| p.path()).collect::<Vec<_>>(), ["shop/db-ingress"]);
    let nearest = why.nearest.unwrap();
    assert_eq!((nearest.file.as_deref(), nearest.line, nearest.failed[0].on), (Some("k8s/db.yaml"), Some(14), "port"));
    assert_eq!(why.agreement, Agreement::Agrees);
}

#[test]
fn two_records_of_one_packet_are_one_event_and_retransmits_are_more() {
    let mut e = engine(POLICY);
    for (second, event) in [(1.0, 5), (1.0, 1), (2.1, 5), (2.1, 1), (4.2, 5), (4.2, 1)] {
        line(&mut e, &flow(second, 40_000, 5433, "DROPPED", event));
    }
    let causes: Vec<_> = e.causes().iter().collect();
    assert_eq!(causes.len(), 1);
    assert_eq!((causes[0].records, causes[0].events), (6, 3));
    assert_eq!((causes[0].from.as_str(), causes[0].to.as_str()), ("shop/cart", "shop/db"));
    assert_eq!(e.store().row(causes[0].example).unwrap().cause, Some(causes[0].id));
}

#[test]
fn other_port_other_cause_other_replica_same_cause() {
    let mut e = engine(POLICY);
    line(&mut e, &flow(1.0, 1, 5433, "DROPPED", 5));
    line(&mut e, &flow(1.0, 2, 5434, "DROPPED", 5));
    line(&mut e, &flow(1.0, 3, 5433, "DROPPED", 5).replace("xk2mh", "b7x9q").replace("10.0.0.1", "10.0.0.9"));
    assert_eq!(e.causes().iter().map(|c| (c.port, c.events)).collect::<Vec<_>>(), [(5433, 2), (5434, 1)]);
}

#[test]
fn a_cause_goes_from_new_to_ongoing_to_quiet_and_a_forwarded_flow_fixes_it() {
    let mut e = engine(POLICY);
    let state = |e: &Engine| e.causes().iter().next().unwrap().state(e.now());
    line(&mut e, &flow(0.0, 1, 5433, "DROPPED", 5));
    assert_eq!(state(&e), State::New);
    line(&mut e, &flow(20.0, 2, 5433, "DROPPED", 5));
    assert_eq!(state(&e), State::Ongoing);
    line(&mut e, &flow(59.0, 3, 5432, "FORWARDED", 5));
    assert_eq!(state(&e), State::Quiet, "another port's flow proves nothing");
    line(&mut e, &flow(59.5, 4, 5433, "FORWARDED", 5));
    assert_eq!(state(&e), State::Fixed);
}

#[test]
fn every_frame_is_booked() {
    let mut e = engine(POLICY);
    line(&mut e, "");
    line(&mut e, "no json");
    line(&mut e, r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"},"node_name":"w1"}"#);
    line(&mut e, &flow(1.0, 1, 5432, "FORWARDED", 4));
    let l = e.ledger();
    assert_eq!((l.frames, l.skipped, l.malformed, l.notices, l.admitted, l.held), (4, 1, 1, 1, 1, 1));
    assert_eq!(l.lost_total(), 7);
    assert_eq!(l.examples[0].place, "f:2");
    assert!(l.balanced());
}

#[test]
fn a_full_store_evicts_the_oldest_and_says_so() {
    let mut e = Engine::new(Options { hold: Some(Limits { rows: 10, raw: 1 << 20 }), ..Options::default() });
    for n in 0..25 {
        line(&mut e, &flow(1.0, 1000 + n, 5432, "FORWARDED", 4));
    }
    assert_eq!((e.ledger().held, e.ledger().evicted, e.store().seqs()), (10, 15, 15..25));
    assert!(e.ledger().balanced());
    assert_eq!(e.store().row(15).unwrap().src.port, 1015);
    assert!(e.store().row(14).is_none() && e.store().response(14).is_none());
    assert_eq!(e.observed(24).unwrap().src_port, 1024);
}

#[test]
fn only_what_lies_in_the_window_is_admitted() {
    let at = |s| Nanos::from_utc(chrono::DateTime::parse_from_rfc3339(s).unwrap().to_utc());
    let window = (Some(at("2026-04-13T14:02:01Z")), Some(at("2026-04-13T14:02:02Z")));
    let mut e = Engine::new(Options { window, ..Options::default() });
    let seen: Vec<_> = [0.9, 1.0, 2.0, 2.1].map(|s| line(&mut e, &flow(s, 1, 5432, "FORWARDED", 4)).len()).into();
    assert_eq!(seen, [0, 1, 1, 0]);
    assert_eq!((e.ledger().admitted, e.ledger().refused), (2, 2));
}

#[test]
fn without_policies_nobody_is_blamed() {
    let mut e = Engine::new(Options { explain: Explain::Drops, ..Options::default() });
    let why = line(&mut e, &flow(1.0, 1, 5433, "DROPPED", 5)).remove(0).unwrap();
    assert_eq!(why.outcome, Outcome::Undecidable);
    assert_eq!(why.missing, ["policies"]);
    assert!(why.policies.is_empty());
}

#[test]
fn nameless_addresses_of_the_world_are_one_cause() {
    let mut e = engine(POLICY);
    let world = |ip: &str| {
        let pod = r#""source":{"identity":1001,"namespace":"shop","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"cart-7d4b8c9f5-xk2mh"}"#;
        flow(1.0, 1, 5432, "DROPPED", 5).replace(pod, r#""source":{"identity":2,"labels":["reserved:world"]}"#).replace("10.0.0.1", ip)
    };
    line(&mut e, &world("203.0.113.7"));
    assert_eq!(e.causes().iter().map(|c| c.from.as_str()).collect::<Vec<_>>(), ["203.0.113.7"]);
    line(&mut e, &world("203.0.113.8"));
    assert_eq!(e.causes().iter().map(|c| (c.from.as_str(), c.events)).collect::<Vec<_>>(), [("world", 2)]);
}

#[test]
fn times_at_the_ends_of_the_range_do_no_harm() {
    let mut e = engine(POLICY);
    for year in ["2026", "0001", "9999", "0001", "2026"] {
        line(&mut e, &flow(1.0, 1, 5433, "DROPPED", 5).replace("2026", year));
    }
    let cause = e.causes().iter().next().unwrap();
    assert_eq!((e.causes().len(), cause.records, cause.events), (1, 5, 5));
    assert_eq!((cause.first, cause.last), (Nanos(i64::MIN), Nanos(i64::MAX)));
    assert_eq!(cause.rate(e.now()).iter().sum::<u32>(), 1);
}

#[test]
fn a_filter_that_explains_and_holds_nothing_remembers_no_names() {
    let mut e = Engine::new(Options { explain: Explain::All, ..Options::default() });
    for n in 0..50 {
        line(&mut e, &flow(1.0, 1, 5432, "FORWARDED", 4).replace("xk2mh", &format!("xk2m{n}")));
    }
    assert!(e.store().is_empty());
    assert_eq!(e.store().names(), 1, "only the empty string");
}

#[test]
fn faults_that_are_not_kept_are_counted() {
    let mut e = Engine::new(Options::default());
    for line in 0..12_000 {
        e.give(Change::Fault(Fault { file: "f".into(), line, what: "bad".into() }));
    }
    assert_eq!((e.faults().len(), e.fault_count()), (MOST_FAULTS, 12_000));
}

#[test]
fn rows_without_a_raw_record_are_those_held() {
    let mut e = Engine::new(Options { hold: Some(Limits { rows: 2_000, raw: 5_000 }), ..Options::default() });
    for n in 0..6_000 {
        line(&mut e, &flow(1.0, n, 5432, "FORWARDED", 4));
    }
    let without = e.store().seqs().filter(|s| e.store().response(*s).is_none()).count() as u64;
    assert!((1..2_000).contains(&without), "{without}");
    assert_eq!(e.ledger().raw_evicted, without);
}

#[test]
fn one_wrong_clock_does_not_move_now() {
    let mut e = engine(POLICY);
    line(&mut e, &flow(1.0, 1, 5433, "DROPPED", 5));
    let now = e.now();
    let far = |n: u16| flow(2.0, n, 5432, "FORWARDED", 4).replace("2026-04-13", "2099-01-01");
    line(&mut e, &far(1));
    assert_eq!(e.now(), now);
    (2..5).for_each(|n| drop(line(&mut e, &far(n))));
    assert!(e.now() > now, "a recording that goes on years later is believed");
}

#[test]
fn a_packet_from_the_middle_of_a_connection_has_that_as_a_likely_cause() {
    let mut e = engine(POLICY);
    let why = line(&mut e, &flow(1.0, 1, 5432, "DROPPED", 5).replace(r#""SYN":true"#, r#""ACK":true"#)).remove(0).unwrap();
    assert_eq!((why.outcome, why.agreement), (Outcome::NowAllowed, Agreement::Disagrees));
    assert!(why.because.iter().any(|b| b.contains("not the first of its connection")), "{:?}", why.because);
    let why = line(&mut e, &flow(1.0, 1, 5432, "DROPPED", 5)).remove(0).unwrap();
    assert!(!why.because.iter().any(|b| b.contains("not the first")), "{:?}", why.because);
}

#[test]
fn addresses_alone_are_enough_where_manifests_have_the_pods() {
    let pod = |name: &str, app: &str, ip: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}\nstatus: {{podIP: {ip}}}\n"
        )
    };
    let mut e = engine(&format!("{POLICY}{}{}", pod("db-0", "db", "10.0.0.2"), pod("web-0", "web", "10.0.0.1")));
    let bare = r#"{"flow":{"verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":1,"destination_port":5432}},"traffic_direction":"INGRESS"}}"#;
    let why = line(&mut e, bare).remove(0).unwrap();
    assert_eq!((why.outcome, why.subject.as_deref()), (Outcome::DefaultDeny, Some("shop/db-0")));
    assert_eq!(why.nearest.unwrap().failed[0].got, "app=web");
}

#[test]
fn replies_are_remembered_by_the_port_of_their_connection() {
    let mut e = engine(POLICY);
    // Answers of the database: the connection went to the port they come from.
    let answer = |sport: u16| {
        let mut v: serde_json::Value = serde_json::from_str(&flow(1.0, sport, 50_000, "DROPPED", 1)).unwrap();
        let flow = v["flow"].as_object_mut().unwrap();
        let (source, destination) = (flow["source"].take(), flow["destination"].take());
        flow.insert("source".into(), destination);
        flow.insert("destination".into(), source);
        flow.insert("is_reply".into(), true.into());
        v.to_string()
    };
    let allowed = line(&mut e, &answer(5432)).remove(0).unwrap();
    let denied = line(&mut e, &answer(9999)).remove(0).unwrap();
    assert_eq!((allowed.outcome, denied.outcome), (Outcome::NowAllowed, Outcome::DefaultDeny));
}

#[test]
fn a_name_learnt_after_the_first_drop_is_used_for_the_next() {
    let policy = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  endpointSelector: {}
  egress:
  - toFQDNs: [{matchName: api.example}]
";
    let mut e = engine(policy);
    let drop = r#"{"flow":{"time":"2026-04-13T14:02:09Z","verdict":"DROPPED","IP":{"source":"10.0.0.1","destination":"1.2.3.4"},"l4":{"TCP":{"source_port":4,"destination_port":443}},"source":{"namespace":"shop","pod_name":"cart-0","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]},"destination":{"identity":2,"labels":["reserved:world"]},"destination_names":["cdn.example"],"traffic_direction":"EGRESS","drop_reason_desc":"POLICY_DENIED"}}"#;
    assert_eq!(line(&mut e, drop).remove(0).unwrap().outcome, Outcome::DefaultDeny);
    let answer = r#"{"flow":{"time":"2026-04-13T14:02:10Z","verdict":"FORWARDED","is_reply":true,"l7":{"type":"RESPONSE","dns":{"query":"api.example.","ips":["1.2.3.4"],"ttl":30}}}}"#;
    line(&mut e, answer);
    assert_eq!(line(&mut e, drop).remove(0).unwrap().outcome, Outcome::NowAllowed);
}

#[test]
fn a_stream_of_packets_is_not_one_event_for_as_long_as_it_lasts() {
    let mut e = engine(POLICY);
    for i in 0..50 {
        line(&mut e, &flow(f64::from(i) * 0.2, 40_000, 5433, "DROPPED", 1));
    }
    let cause = e.causes().iter().next().unwrap();
    assert_eq!((cause.records, cause.events), (50, 17), "three in a half second");
}

const NAMES: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  endpointSelector: {}
  egress:
  - toPorts:
    - ports: [{port: '53'}]
      rules: {dns: [{matchPattern: '*.good.example'}]}
";

fn refused(query: &str, kind: &str) -> String {
    let (reply, at) = (
        kind == "RESPONSE",
        [
            (r#""namespace":"shop","pod_name":"cart-0","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]"#, 40_000),
            (r#""namespace":"kube-system","pod_name":"dns-0","labels":["k8s:app=dns","k8s:io.kubernetes.pod.namespace=kube-system"]"#, 53),
        ],
    );
    let [(source, sport), (destination, dport)] = if reply { [at[1], at[0]] } else { at };
    format!(
        r#"{{"flow":{{"time":"2026-04-13T14:02:09Z","verdict":"DROPPED","IP":{{"source":"10.0.0.1","destination":"10.0.0.2"}},"l4":{{"UDP":{{"source_port":{sport},"destination_port":{dport}}}}},"source":{{{source}}},"destination":{{{destination}}},"event_type":{{"type":129}},"is_reply":{reply},"l7":{{"type":"{kind}","dns":{{"query":"{query}","rcode":5}}}}}}}}"#
    )
}

#[test]
fn two_names_that_were_refused_are_two_missing_rules() {
    let mut e = engine(NAMES);
    for query in ["api.example.", "API.example.", "evil.example."] {
        line(&mut e, &refused(query, "REQUEST"));
    }
    let causes: Vec<_> = e.causes().iter().map(|c| (c.records, c.why.text.as_str())).collect();
    assert_eq!(causes, [(2, "no DNS rule allows api.example"), (1, "no DNS rule allows evil.example")]);
}

#[test]
fn the_answer_to_a_refused_request_is_explained_by_the_request() {
    let mut e = engine(NAMES);
    let why = line(&mut e, &refused("evil.example.", "RESPONSE")).remove(0).unwrap();
    assert_eq!((why.outcome, why.subject.as_deref()), (Outcome::DnsRefused, Some("shop/cart-0")));
}

#[test]
fn a_sender_on_the_hosts_network_may_be_the_pods_own_node() {
    let pod = "apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: cart}}
spec: {hostNetwork: true}
";
    let mut e = engine(&format!("{POLICY}---\n{pod}"));
    let drop = |port: u16| {
        let mut v: serde_json::Value = serde_json::from_str(&flow(1.0, 40_000, port, "DROPPED", 1)).unwrap();
        v["flow"]["source"] = serde_json::json!({"namespace": "shop", "pod_name": "agent"});
        v.to_string()
    };
    let why = line(&mut e, &drop(5432)).remove(0).unwrap();
    assert_eq!((why.outcome, why.missing), (Outcome::Undecidable, vec!["node:shop/agent".to_owned()]));
}

fn to_world(destination: &str, policy: &str) -> Why {
    let drop = format!(
        r#"{{"flow":{{"time":"2026-04-13T14:02:09Z","verdict":"DROPPED","l4":{{"TCP":{{"source_port":4,"destination_port":443}}}},"source":{{"namespace":"shop","pod_name":"cart-0","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]}},"destination":{destination},"traffic_direction":"EGRESS","drop_reason_desc":"POLICY_DENIED"}}}}"#
    );
    line(&mut engine(policy), &drop).remove(0).unwrap()
}

#[test]
fn an_address_that_was_left_out_is_only_known_by_its_range() {
    let policy = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  endpointSelector: {}
  egress:
  - toCIDR: [1.1.1.0/24, '2001:db8::/32']
";
    let outcome = |labels: &str| to_world(&format!(r#"{{"labels":["reserved:world"{labels}]}}"#), policy).outcome;
    assert_eq!(outcome(r#","cidr:1.1.1.1/32""#), Outcome::NowAllowed);
    assert_eq!(outcome(r#","cidr:2001-db8--1/128""#), Outcome::NowAllowed);
    assert_eq!(outcome(r#","cidr:8.8.8.8/32""#), Outcome::DefaultDeny);
    assert_eq!(outcome(r#","cidr:1.0.0.0/8""#), Outcome::Undecidable);
    assert_eq!(outcome(""), Outcome::Undecidable);
}

#[test]
fn ranges_that_the_api_refuses_are_refused() {
    for block in ["cidr: 1.2.3.4", "cidr: 10.0.0.0/8, except: [11.0.0.0/16]", "cidr: 10.0.0.0/8, except: [10.0.0.0/8]"] {
        let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}, ingress: [{from: [{ipBlock: {BLOCK}}]}]}\n";
        let e = engine(&policy.replace("BLOCK", block));
        assert_eq!((e.policies().len(), e.policies().refused().len()), (0, 1), "{block}");
    }
}

#[test]
fn where_the_direction_was_left_out_the_datapath_still_tells_the_side() {
    let policies = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingressDeny: [{fromEndpoints: [{}]}]
";
    let drop = |reason: &str, more: &str| {
        let text =
            flow(1.0, 40_000, 5432, "DROPPED", 1).replace(r#""traffic_direction":"INGRESS","#, more).replace("POLICY_DENIED", reason);
        line(&mut engine(policies), &text).remove(0).unwrap().outcome
    };
    assert_eq!(drop("POLICY_DENIED", ""), Outcome::DefaultDeny);
    assert_eq!(drop("POLICY_DENY", ""), Outcome::DeniedByRule, "no deny rule stands on the other side");
    let named = r#""ingress_denied_by":[{"name":"deny","namespace":"shop","kind":"CiliumNetworkPolicy"}],"#;
    assert_eq!(drop("DROP_REASON_UNKNOWN", named), Outcome::DeniedByRule);
    assert_eq!(drop("DROP_REASON_UNKNOWN", ""), Outcome::DefaultDeny, "egress is asked first");
}

#[test]
fn refused_requests_of_one_connection_are_counted_each() {
    let mut e = engine(NAMES);
    for _ in 0..3 {
        line(&mut e, &refused("evil.example.", "REQUEST"));
    }
    let cause = e.causes().iter().next().unwrap();
    assert_eq!((cause.records, cause.events), (3, 3));
}

#[test]
fn what_the_dropped_have_and_the_forwarded_have_not_is_told() {
    let mut e = engine(POLICY);
    let node = |text: String, node: &str, ip: &str| text.replace("\"w2\"", &format!("\"{node}\"")).replace("10.0.0.1", ip);
    for i in 0..3u8 {
        let second = f64::from(i) * 2.0;
        line(&mut e, &node(flow(second, 40_000 + u16::from(i), 5432, "DROPPED", 5), "w2", "10.0.0.1"));
        line(&mut e, &node(flow(second + 1.0, 50_000 + u16::from(i), 5432, "FORWARDED", 5), "w1", "10.0.0.1"));
    }
    let all = e.contrast();
    assert_eq!(all.len(), 1, "{all:?}");
    let found: Vec<_> =
        all.values().flatten().map(|c| (c.on, c.value.as_str(), c.dropped, c.of_dropped, c.forwarded, c.of_forwarded)).collect();
    assert_eq!(found, [("node", "w2", 3, 3, 0, 3)], "pods and identities are the same on both sides");
}

#[test]
fn one_packet_on_each_side_is_no_contrast() {
    let mut e = engine(POLICY);
    line(&mut e, &flow(1.0, 40_000, 5432, "DROPPED", 5));
    line(&mut e, &flow(2.0, 40_001, 5432, "FORWARDED", 5).replace("w2", "w1"));
    assert!(e.contrast().is_empty());
}

#[test]
fn the_senders_node_that_lets_the_packet_out_is_no_contrast_to_the_receivers_that_drops_it() {
    let mut e = engine(POLICY);
    for i in 0..3u8 {
        let second = f64::from(i) * 2.0;
        let out = flow(second, 40_000 + u16::from(i), 5432, "FORWARDED", 4).replace("INGRESS", "EGRESS").replace("w2", "w1");
        line(&mut e, &out);
        line(&mut e, &flow(second + 0.001, 40_000 + u16::from(i), 5432, "DROPPED", 5));
    }
    assert!(e.contrast().is_empty(), "{:?}", e.contrast());
}

#[test]
fn the_age_of_the_dns_answer_tells_dropped_from_forwarded() {
    let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
    let dns = r#"{"flow":{"time":"2026-04-13T14:02:00Z","verdict":"FORWARDED","Type":"L7","l4":{"UDP":{"source_port":53,"destination_port":41000}},"source":{"labels":["k8s:k8s-app=kube-dns"]},"destination":{"namespace":"shop","pod_name":"cart-0"},"node_name":"w2","event_type":{"type":129},"traffic_direction":"EGRESS","is_reply":true,"l7":{"type":"RESPONSE","dns":{"query":"api.stripe.com.","ips":["1.2.3.4"],"ttl":10}}},"node_name":"w2","time":"2026-04-13T14:02:00Z"}"#;
    line(&mut e, dns);
    let out = |second: f64, verdict: &str| {
        let text = flow(second, 40_000, 443, verdict, 5).replace("10.0.0.2", "1.2.3.4").replace("INGRESS", "EGRESS");
        let (head, rest) = text.split_once(r#""destination":{"identity":1002"#).unwrap();
        let (_, tail) = rest.split_once(r#""pod_name":"db-0"}"#).unwrap();
        format!(r#"{head}"destination":{{"identity":2,"labels":["reserved:world"]}}{tail}"#)
    };
    for i in 0..3 {
        line(&mut e, &out(2.0 + f64::from(i), "FORWARDED"));
        line(&mut e, &out(20.0 + 2.0 * f64::from(i), "DROPPED"));
    }
    let found: Vec<_> = e.contrast().into_values().flatten().map(|c| (c.on, c.value)).collect();
    assert_eq!(found, [("dns answer", "expired".to_owned())]);
}

/// Every workload of a namespace that lacks the same rule: one missing rule is one cause.
#[test]
fn one_missing_rule_is_one_cause_whatever_number_of_workloads_it_hits() {
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Egress]}\n";
    let mut e = engine(deny);
    let out = |second: f64, workload: &str, verdict: &str| {
        let text = flow(second, 1, 53, verdict, 5)
            .replace("INGRESS", "EGRESS")
            .replace("cart-7d4b8c9f5-xk2mh", &format!("{workload}-7d4b8c9f5-xk2mh"));
        text.replace("\"namespace\":\"shop\",\"labels\":[\"k8s:app=db\"", "\"namespace\":\"kube\",\"labels\":[\"k8s:app=dns\"")
    };
    for (i, w) in ["cart", "web", "mail"].iter().enumerate() {
        line(&mut e, &out(1.0 + f64::from(u8::try_from(i).unwrap()), w, "DROPPED"));
    }
    let now = |e: &Engine| {
        let [c] = e.causes().iter().collect::<Vec<_>>()[..] else { panic!("{:?}", e.causes()) };
        let names: Vec<String> = c.workloads().0.iter().map(|s| (*s).to_owned()).collect();
        (c.from.clone(), c.events, c.why.subject.clone().unwrap(), names, c.state(e.now()))
    };
    assert_eq!(
        now(&e),
        ("3 workloads".into(), 3, "3 workloads".into(), vec!["shop/cart".into(), "shop/web".into(), "shop/mail".into()], State::New)
    );
    // Two of the three pass again: the rule is not there for all.
    line(&mut e, &out(20.0, "cart", "FORWARDED"));
    line(&mut e, &out(21.0, "web", "FORWARDED"));
    assert_ne!(now(&e).4, State::Fixed);
    line(&mut e, &out(22.0, "mail", "FORWARDED"));
    assert_eq!(now(&e).4, State::Fixed);
    line(&mut e, &out(23.0, "web", "DROPPED"));
    assert_ne!(now(&e).4, State::Fixed);
    // Another namespace's workloads are stopped by other policies, and are another cause.
    line(
        &mut e,
        &out(24.0, "x", "DROPPED")
            .replace("\"namespace\":\"shop\"", "\"namespace\":\"web\"")
            .replace("pod.namespace=shop", "pod.namespace=web"),
    );
    assert_eq!(e.causes().len(), 2);
}

/// A cause of many pairs cannot be watched whole, so it is never called fixed.
#[test]
fn more_pairs_than_are_remembered_are_never_called_fixed() {
    let mut e = engine(POLICY);
    let scan = |i: u8, verdict: &str| {
        let text = flow(f64::from(i) / 10.0, 1, 22, verdict, 5).replace("10.0.0.1\"", &format!("203.0.113.{i}\""));
        let (head, rest) = text.split_once("\"source\":{\"identity\"").unwrap();
        format!("{head}\"source\":{{\"identity\":2,\"labels\":[\"reserved:world\"]}}{}", &rest[rest.find(",\"destination\":{").unwrap()..])
    };
    for i in 0..120 {
        line(&mut e, &scan(i, "DROPPED"));
    }
    for i in 120..240 {
        line(&mut e, &scan(i, "FORWARDED"));
    }
    let [c] = e.causes().iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((c.from.as_str(), c.to.as_str(), c.events), ("world", "shop/db", 120));
    assert_ne!(c.state(e.now()), State::Fixed);
}

/// The drop record of a packet may lack the labels that its verdict record has.
#[test]
fn a_verdict_with_labels_and_its_drop_record_without_are_one_cause() {
    let mut e = engine(POLICY);
    line(&mut e, &flow(1.0, 40_000, 5433, "DROPPED", 5));
    let bare = flow(1.0, 40_000, 5433, "DROPPED", 1).replace(r#","labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=shop"]"#, "");
    assert_eq!(line(&mut e, &bare.replace("10.0.0.2", "10.0.0.9")).remove(0).unwrap().outcome, Outcome::Undecidable, "another packet");
    assert_eq!(e.causes().len(), 2);
    line(&mut e, &bare);
    line(&mut e, &bare.replace(r#""traffic_direction":"INGRESS","#, ""));
    let causes: Vec<_> = e.causes().iter().map(|c| (c.why.outcome, c.records, c.events)).collect();
    assert_eq!(causes, [(Outcome::DefaultDeny, 3, 1), (Outcome::Undecidable, 1, 1)]);
}

/// Requests of one method with several paths lack one rule, and the sentence has to be true of all of them.
#[test]
fn what_is_said_of_many_requests_is_true_of_each() {
    let policy = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules: {http: [{method: GET}]}
";
    let mut e = engine(policy);
    let put = |path: &str| {
        let request = format!(r#""event_type":{{"type":129}},"l7":{{"type":"REQUEST","http":{{"method":"PUT","url":"http://db{path}"}}}}"#);
        flow(1.0, 40_000, 80, "DROPPED", 0)
            .replace(r#","drop_reason_desc":"POLICY_DENIED""#, "")
            .replace(r#""event_type":{"type":0}"#, &request)
    };
    line(&mut e, &put("/a?x=1"));
    let text = |e: &Engine| e.causes().iter().next().unwrap().why.text.clone();
    assert_eq!(text(&e), "no HTTP rule allows PUT /a?x=1");
    line(&mut e, &put("/a?x=1"));
    assert_eq!(text(&e), "no HTTP rule allows PUT /a?x=1");
    line(&mut e, &put("/b"));
    line(&mut e, &put("/c"));
    let [c] = e.causes().iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((c.why.text.as_str(), c.records), ("no HTTP rule allows PUT on several paths", 4));
    assert_eq!(c.why.nearest.as_ref().unwrap().failed[0].got, "PUT on several paths");
    assert_eq!(c.requests(), (&["PUT http://db/a".to_owned(), "PUT http://db/b".to_owned(), "PUT http://db/c".to_owned()][..], false));
}

/// Packets of one conversation share their explanation; what names moments is each packet's own.
#[test]
fn what_names_a_moment_is_said_of_one_packet() {
    let policy = POLICY
        .replace("{name: db-ingress, namespace: shop}", "{name: db-ingress, namespace: shop, creationTimestamp: '2026-04-13T14:02:10Z'}");
    let mut e = engine(&policy);
    let mut told = Vec::new();
    for second in [1.0, 5.0, 20.0] {
        told.push(line(&mut e, &flow(second, 40_000, 5432, "DROPPED", 5)).remove(0).unwrap().because[0].clone());
    }
    assert!(told[0].ends_with("created 14:02:10, 9 s after the packet") && told[1].ends_with("5 s after the packet"), "{told:?}");
    assert!(!told[2].contains("created"), "{told:?}");
    assert_eq!(e.causes().len(), 1);
}
