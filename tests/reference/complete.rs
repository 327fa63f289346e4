//! The corpus with whole answers. One of its judges says which rules decide; of the others, which tell the verdict alone, the rest is
//! what the evaluator says with all facts at hand, once its verdict is theirs. Takes no fact away.
use super::case::{self, Read};
use flowhy::model::observed::Direction;
use flowhy::model::why::PolicyRef;
use flowhy::policy::eval::{Case, Decision, Judgement, judge};
use serde_json::{Value, json};

/// The files of the corpus.
pub const FILES: [&str; 3] = ["cases-anp.jsonl", "cases-legacy-requires-kafka.jsonl", WHOLE];

/// The one whose judge names the rules.
pub const WHOLE: &str = "cases.jsonl";

/// Named ports that the judge of the admin kinds does not look up.
pub const DIFFER: [&str; 2] = ["anp-0036", "anp-0039"];

pub fn corpus(file: &str) -> Vec<Value> {
    let cases = case::corpus(file);
    if file == WHOLE {
        return cases;
    }
    cases.into_iter().filter(|c| !DIFFER.contains(&c["id"].as_str().unwrap())).map(filled).collect()
}

fn filled(mut case: Value) -> Value {
    let read = Read::of(&case);
    let (src, dst) = (read.world.endpoint(&read.src), read.world.endpoint(&read.dst));
    let mut verdict = "allowed";
    for (side, direction, subject, peer) in [("egress", Direction::Egress, &src, &dst), ("ingress", Direction::Ingress, &dst, &src)] {
        let j = judge(&Case { direction, subject, peer, traffic: &read.traffic, world: &read.world, opt: &read.opt }, &read.set);
        let answer = answer(&j);
        assert_eq!(answer["decision"], case["expect"][side]["decision"], "{} {side}", case["id"]);
        if j.decision == Decision::Denied {
            verdict = "denied";
        }
        case["expect"][side] = answer;
    }
    case["expect"]["verdict"] = json!(verdict);
    case
}

fn answer(j: &Judgement) -> Value {
    let (decision, reason) = (case::decision(j.decision), case::reason(j.cause));
    let one = |p: &PolicyRef| json!({"kind": p.kind, "namespace": p.namespace, "name": p.name, "rule": p.rule});
    let attributed: Vec<Value> = j.attributed.iter().map(one).collect();
    let isolating: Vec<Value> = j.isolating.iter().map(|p| one(&p.id)).collect();
    json!({"decision": decision, "reason": reason, "attributed": attributed, "default_deny_by": isolating})
}
