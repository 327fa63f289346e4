//! Conformance: every case that Cilium's own engine decided (new and old), or another evaluator of the admin kinds; one test a line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
#[path = "policy/case.rs"]
mod case;

use case::Read;
use flowhy::model::observed::Direction;
use flowhy::model::why::PolicyRef;
use flowhy::policy::eval::{Case, Decision, Judgement, judge};
use flowhy::world::Endpoint;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeSet;

/// Cases whose answer differs from ours, and why.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[
    ("pub-1114", "a policy of priority 1001, which no API server takes (0 to 1000); the engine was given it all the same"),
    ("anp-0036", "the evaluator does not look named ports up; the API has them looked up on the receiving pod"),
    ("anp-0039", "the evaluator does not look named ports up; the API has them looked up on the receiving pod"),
];

fn main() {
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for (file, run) in [
        ("cases.jsonl", run as fn(&Value) -> Result<(), Failed>),
        ("cases-anp.jsonl", run_admin),
        ("cases-legacy-requires-kafka.jsonl", run_legacy),
    ] {
        for case in case::corpus(file) {
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
    }
    eprintln!("{} known differences", KNOWN_DIFFERENCES.len());
    libtest_mimic::run(&args, trials).exit();
}

/// Egress and ingress of a case, judged.
fn both(read: &Read) -> [(&'static str, Judgement); 2] {
    let Read { world, set, src, dst, traffic, opt, .. } = read;
    let (src, dst) = (world.endpoint(src), world.endpoint(dst));
    let ask = |direction, subject: &Endpoint, peer: &Endpoint| judge(&Case { direction, subject, peer, traffic, world, opt }, set);
    [("egress", ask(Direction::Egress, &src, &dst)), ("ingress", ask(Direction::Ingress, &dst, &src))]
}

fn outcome(wrong: &[String], case: &Value) -> Result<(), Failed> {
    if wrong.is_empty() { Ok(()) } else { Err(Failed::from(format!("{}\n  note: {}", wrong.join("\n"), case["note"]))) }
}

fn run(case: &Value) -> Result<(), Failed> {
    let read = Read::of(case);
    let sides = both(&read);
    let want = &case["expect"];
    let mut wrong = Vec::new();
    let wanted_refused: Vec<u64> = want["refused"].as_array().into_iter().flatten().map(|v| v.as_u64().unwrap()).collect();
    if read.refused != wanted_refused {
        wrong.push(format!("refused: {:?}, wanted {wanted_refused:?}", read.refused));
    }
    let denied_at = sides.iter().find(|(_, j)| j.decision == Decision::Denied).map(|(n, _)| *n);
    let verdict = if denied_at.is_some() { "denied" } else { "allowed" };
    if verdict != want["verdict"] || denied_at != want["denied_at"].as_str() {
        wrong.push(format!("verdict {verdict} at {denied_at:?}, wanted {} at {}", want["verdict"], want["denied_at"]));
    }
    for (side, judgement) in &sides {
        compare(side, judgement, &want[side], &mut wrong);
    }
    outcome(&wrong, case)
}

/// What older Cilium said of packets; the oracle names no rules and judges no requests.
fn run_legacy(case: &Value) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (side, got) in &both(&Read::of(case)) {
        let want = &case["expect"][side];
        let redirect = got.decision == Decision::Allowed && !got.l7_rules.is_empty();
        if case::decision(got.decision) != want["decision"] || redirect != (want["redirect"] == true) {
            wrong.push(format!("{side}: {}, to the proxy: {redirect}; wanted {want}", case::decision(got.decision)));
        }
    }
    outcome(&wrong, case)
}

/// What the other evaluator said of the admin kinds. Its `flow` names the tiers it went through; the last is the one that decided.
fn run_admin(case: &Value) -> Result<(), Failed> {
    let read = Read::of(case);
    let mut wrong = Vec::new();
    for (side, got) in &both(&read) {
        let want = &case["expect"][side];
        let last = want["flow"].as_str().unwrap().rsplit(" -> ").next().unwrap();
        let rule_name = |r: &PolicyRef| {
            let rules = &read.set.find(r).unwrap().sections.iter().flat_map(|s| &s.rules).collect::<Vec<_>>();
            let id = r.rule.as_deref().unwrap().split('.').next().unwrap();
            rules.iter().find(|x| x.id == id).and_then(|x| x.name.clone()).unwrap_or_default()
        };
        let kinds = |kind: &str| got.attributed.iter().all(|r| r.kind == kind);
        let named: BTreeSet<String> = match last.split_once("] ").map(|(tier, _)| tier.trim_start_matches('[')) {
            Some("ANP") if kinds("AdminNetworkPolicy") => got.attributed.iter().map(rule_name).collect(),
            Some("BANP") if kinds("BaselineAdminNetworkPolicy") => got.attributed.iter().map(rule_name).collect(),
            // Whoever has a say is named, whether it denies or one of them allows.
            Some("NPv1") if kinds("NetworkPolicy") => got.isolating.iter().map(|p| p.id.path()).collect(),
            _ => got.attributed.iter().map(PolicyRef::path).collect(),
        };
        // What passes on or says nothing decides nothing.
        let undecided = last.is_empty() || last.contains("No-Op") || last.contains("Pass");
        let wanted: BTreeSet<String> = match last.split_once('(') {
            Some((_, list)) if !undecided => list.trim_end_matches(')').split(", ").map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        if case::decision(got.decision) != want["decision"] || named != wanted {
            wrong.push(format!(
                "{side}: {} {:?} by {named:?}, wanted {} {last}",
                case::decision(got.decision),
                got.cause,
                want["decision"]
            ));
        }
    }
    outcome(&wrong, case)
}

fn compare(side: &str, got: &Judgement, want: &Value, wrong: &mut Vec<String>) {
    let mut check = |what: &str, got: String, want: String| {
        if got != want {
            wrong.push(format!("{side} {what}: {got}, wanted {want}"));
        }
    };
    check("decision", case::decision(got.decision).into(), want["decision"].as_str().unwrap().into());
    check("reason", case::reason(got.cause).into(), want["reason"].as_str().unwrap().into());
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
