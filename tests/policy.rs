//! Conformance: every case that Cilium's own engine decided, one test a line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
use flowhy::model::input::Change;
use flowhy::model::observed::{Direction, L4, Party};
use flowhy::model::why::PolicyRef;
use flowhy::policy::eval::l7::{Http, Request};
use flowhy::policy::eval::{Case, Cause, Decision, Judgement, Traffic, judge};
use flowhy::policy::{Enforcement, Options, PolicySet};
use flowhy::world::{Endpoint, World, yaml};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Cases whose answer differs from ours, and why.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[];

fn main() {
    let args = Arguments::from_args();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/policy/cases.jsonl");
    let body = std::fs::read_to_string(path).expect("the cases are in the repository");
    let (mut trials, mut later) = (Vec::new(), 0);
    for line in body.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        // Kinds for later.
        if case["policies"].as_array().unwrap().iter().any(|p| p["kind"] == "ClusterNetworkPolicy") {
            later += 1;
            continue;
        }
        let id = case["id"].as_str().unwrap().to_owned();
        let known = KNOWN_DIFFERENCES.iter().find(|(k, _)| *k == id);
        let name = format!("{id} {}", case["tags"][1].as_str().unwrap_or(""));
        trials.push(match known {
            Some((_, reason)) => Trial::test(format!("{name} (differs: {reason})"), move || match run(&case) {
                Ok(()) => Err(Failed::from("it no longer differs: take it off the list")),
                Err(_) => Ok(()),
            }),
            None => Trial::test(name, move || run(&case)),
        });
    }
    eprintln!("{later} cases are of kinds for later (ClusterNetworkPolicy) and skipped; {} known differences", KNOWN_DIFFERENCES.len());
    libtest_mimic::run(&args, trials).exit();
}

fn apply(world: &mut World, set: &mut PolicySet, file: &str, object: &Value) {
    // Pretty-printed JSON goes through the same reader as any manifest.
    let (docs, faults) = yaml::read(file, &serde_json::to_string_pretty(object).unwrap());
    assert!(faults.is_empty(), "{faults:?}");
    for d in docs {
        let change = Change::Apply(Arc::new(d));
        world.apply(&change);
        set.apply(&change);
    }
}

fn party(world: &mut World, side: &str, p: &Value) -> Party {
    let text = |k: &str| p[k].as_str().unwrap_or("").to_owned();
    match p["kind"].as_str().unwrap() {
        "pod" => {
            let ports: Vec<Value> = p["named_ports"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|n| json!({"name": n["name"], "containerPort": n["port"], "protocol": n["protocol"]}))
                .collect();
            let account = p["service_account"].as_str().unwrap_or("default");
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": side, "namespace": p["namespace"], "labels": p["labels"]},
                "spec": {"serviceAccountName": account, "containers": [{"ports": ports}]}});
            apply(world, &mut PolicySet::new(), side, &pod);
            let cluster = p["cluster"].as_str().unwrap_or("default").to_owned();
            Party { present: true, namespace: text("namespace"), pod: side.to_owned(), cluster, ..Party::default() }
        }
        "ip" => Party {
            present: true,
            ip: Some(text("ip").parse().unwrap()),
            labels: vec!["reserved:world".into()],
            names: p["fqdns"].as_array().into_iter().flatten().map(|f| f.as_str().unwrap().to_owned()).collect(),
            ..Party::default()
        },
        "entity" => {
            let mut labels = vec![format!("reserved:{}", text("entity"))];
            if text("entity") == "kube-apiserver" {
                labels.push("reserved:remote-node".into());
            }
            Party { present: true, labels, ..Party::default() }
        }
        other => panic!("peer kind {other}"),
    }
}

fn run(case: &Value) -> Result<(), Failed> {
    let (mut world, mut set) = (World::new(), PolicySet::new());
    for (name, labels) in case["namespaces"].as_object().unwrap() {
        // The corpus takes namespace labels as given; the API server would add the name.
        apply(&mut world, &mut set, "ns", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
    }
    for (name, g) in case["cidr_groups"].as_object().into_iter().flatten() {
        let group = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": name, "labels": g["labels"]}, "spec": {"externalCIDRs": g["cidrs"]}});
        apply(&mut world, &mut set, "group", &group);
    }
    let mut refused = Vec::new();
    for (i, p) in case["policies"].as_array().unwrap().iter().enumerate() {
        let before = set.refused().len();
        apply(&mut world, &mut set, &format!("p{i}"), p);
        if set.refused().len() > before {
            refused.push(i as u64);
        }
    }
    let (src, dst) = (party(&mut world, "src", &case["src"]), party(&mut world, "dst", &case["dst"]));
    let (src, dst) = (world.endpoint(&src), world.endpoint(&dst));
    let mut opt = Options::default();
    if let Some(o) = case.get("options") {
        opt.host_firewall = o["host_firewall"] == true;
        opt.allow_localhost = o["allow_localhost"] != "policy";
        opt.enforcement = match o["policy_enforcement"].as_str() {
            Some("always") => Enforcement::Always,
            Some("never") => Enforcement::Never,
            _ => Enforcement::Default,
        };
    }
    let number = case["port"].as_u64().unwrap();
    let l4 = match case["protocol"].as_str().unwrap() {
        "TCP" => L4::Tcp,
        "UDP" => L4::Udp,
        "SCTP" => L4::Sctp,
        "ICMP" => L4::Icmp4,
        "ICMPv6" => L4::Icmp6,
        p => panic!("protocol {p}"),
    };
    let icmp = matches!(l4, L4::Icmp4 | L4::Icmp6);
    let request = case.get("l7").map(|l7| match l7.get("dns") {
        Some(d) => Request::Dns(d["query"].as_str().unwrap().trim_end_matches('.').to_lowercase()),
        None => {
            let h = &l7["http"];
            let text = |k: &str| h[k].as_str().unwrap_or("").to_owned();
            let headers =
                h["headers"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
            let host = h.get("host").map(|_| text("host"));
            Request::Http(Http { method: text("method"), path: text("path"), host, headers, all_headers: true })
        }
    });
    let traffic = Traffic {
        l4: Some(l4),
        port: (!icmp).then(|| number.try_into().unwrap()),
        icmp: icmp.then(|| number.try_into().unwrap()),
        request,
    };
    let ask = |direction, subject: &Endpoint, peer: &Endpoint| {
        judge(&Case { direction, subject, peer, traffic: &traffic, world: &world, opt: &opt }, &set)
    };
    let egress = ask(Direction::Egress, &src, &dst);
    let ingress = ask(Direction::Ingress, &dst, &src);

    let want = &case["expect"];
    let mut wrong = Vec::new();
    let wanted_refused: Vec<u64> = want["refused"].as_array().into_iter().flatten().map(|v| v.as_u64().unwrap()).collect();
    if refused != wanted_refused {
        wrong.push(format!("refused: {refused:?}, wanted {wanted_refused:?}"));
    }
    let denied_at = [("egress", &egress), ("ingress", &ingress)].into_iter().find(|(_, j)| j.decision == Decision::Denied).map(|(n, _)| n);
    let verdict = if denied_at.is_some() { "denied" } else { "allowed" };
    if verdict != want["verdict"] || denied_at != want["denied_at"].as_str() {
        wrong.push(format!("verdict {verdict} at {denied_at:?}, wanted {} at {}", want["verdict"], want["denied_at"]));
    }
    compare("egress", &egress, &want["egress"], &mut wrong);
    compare("ingress", &ingress, &want["ingress"], &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(Failed::from(format!("{}\n  note: {}", wrong.join("\n"), case["note"]))) }
}

fn compare(side: &str, got: &Judgement, want: &Value, wrong: &mut Vec<String>) {
    let decision = match got.decision {
        Decision::Allowed => "allowed",
        Decision::Denied => "denied",
        Decision::NotManaged => "n/a",
        Decision::Unknown => "unknown",
    };
    let reason = match got.cause {
        Cause::NoPolicy => "no-policy",
        Cause::AllowRule => "allow-rule",
        Cause::DefaultAllow => "default-allow",
        Cause::AllowLocalhost => "allow-localhost",
        Cause::DefaultDeny => "default-deny",
        Cause::DenyRule => "deny-rule",
        Cause::L7Deny => "l7-deny",
        Cause::NotManaged => "not-a-managed-endpoint",
    };
    let mut check = |what: &str, got: String, want: String| {
        if got != want {
            wrong.push(format!("{side} {what}: {got}, wanted {want}"));
        }
    };
    check("decision", decision.into(), want["decision"].as_str().unwrap().into());
    check("reason", reason.into(), want["reason"].as_str().unwrap().into());
    check("default deny", got.default_deny.to_string(), want["default_deny"].to_string());
    let set = |list: &Value| -> BTreeSet<String> {
        let word = |v: &Value| v.as_str().unwrap_or("-").to_owned();
        list.as_array().into_iter().flatten().map(|p| [&p["kind"], &p["namespace"], &p["name"], &p["rule"]].map(word).join("/")).collect()
    };
    let ours = |refs: &mut dyn Iterator<Item = &PolicyRef>| -> BTreeSet<String> {
        let word = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
        refs.map(|p| [p.kind.clone(), word(&p.namespace), p.name.clone(), word(&p.rule)].join("/")).collect()
    };
    let show = |s: BTreeSet<String>| s.into_iter().collect::<Vec<_>>().join(", ");
    check("isolating", show(ours(&mut got.isolating.iter().map(|p| &p.id))), show(set(&want["default_deny_by"])));
    check("selecting", show(ours(&mut got.selecting.iter().map(|p| &p.id))), show(set(&want["selected_by"])));
    check("attributed", show(ours(&mut got.attributed.iter())), show(set(&want["attributed"])));
}
