//! Conformance: every case that Cilium's own engine decided, one test a line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
#[path = "policy/case.rs"]
mod case;

use case::Read;
use flowhy::model::observed::Direction;
use flowhy::model::why::PolicyRef;
use flowhy::policy::eval::{Case, Cause, Decision, Judgement, judge};
use flowhy::world::Endpoint;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeSet;

/// Cases whose answer differs from ours, and why.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[];

fn main() {
    let args = Arguments::from_args();
    let (mut trials, mut later) = (Vec::new(), 0);
    for case in case::corpus("cases.jsonl") {
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

fn run(case: &Value) -> Result<(), Failed> {
    let Read { world, set, refused, src, dst, traffic, opt, .. } = Read::of(case);
    let (src, dst) = (world.endpoint(&src), world.endpoint(&dst));
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
