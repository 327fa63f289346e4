//! The real evaluator's answer in the form of the reference's, and whether they are the same. Judges nothing itself.
use super::case::{self, Read};
use super::reference::{self, Answer};
use flowhy::model::observed::Direction;
use flowhy::model::why::PolicyRef;
use flowhy::policy::eval::{Case, judge};
use serde_json::Value;
use std::collections::BTreeSet;

fn answer(read: &Read, ingress: bool) -> Answer {
    let (src, dst) = (read.world.endpoint(&read.src), read.world.endpoint(&read.dst));
    let (direction, subject, peer) = if ingress { (Direction::Ingress, &dst, &src) } else { (Direction::Egress, &src, &dst) };
    let j = judge(&Case { direction, subject, peer, traffic: &read.traffic, world: &read.world, opt: &read.opt }, &read.set);
    let word = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
    let refs = |l: &mut dyn Iterator<Item = &PolicyRef>| -> BTreeSet<String> {
        l.map(|p| [p.kind.clone(), word(&p.namespace), p.name.clone(), word(&p.rule)].join("/")).collect()
    };
    Answer {
        decision: case::decision(j.decision),
        reason: case::reason(j.cause),
        default_deny: j.default_deny,
        isolating: refs(&mut j.isolating.iter().map(|p| &p.id)),
        selecting: refs(&mut j.selecting.iter().map(|p| &p.id)),
        attributed: refs(&mut j.attributed.iter()),
    }
}

/// Every way in which the two differ, with the case.
pub fn differences(case: &Value, read: &Read) -> Option<String> {
    let places = |is: &dyn Fn(&Value) -> bool| -> Vec<u64> {
        case["policies"].as_array().into_iter().flatten().zip(0..).filter(|(p, _)| is(p)).map(|(_, i)| i).collect()
    };
    let refused = places(&reference::refused);
    if read.refused != refused {
        let why: Vec<&str> = read.set.refused().iter().map(|r| r.what.as_str()).collect();
        return Some(format!("refused: {:?} ({}), the reference {refused:?}\n{case}", read.refused, why.join("; ")));
    }
    for ingress in [false, true] {
        // What stands in another cluster is judged by that cluster's policies.
        if case[if ingress { "dst" } else { "src" }]["cluster"] == "other" {
            continue;
        }
        let (ours, theirs) = (answer(read, ingress), reference::judge(case, ingress));
        // Who lets a refused request's connection in is said elsewhere.
        let deciding = matches!(theirs.reason, "allow-rule" | "deny-rule");
        let same = if deciding { ours == theirs } else { ours.plain() == theirs.plain() };
        if !same {
            return Some(format!("{}\n  ours       {ours:?}\n  reference  {theirs:?}\n{case}", if ingress { "ingress" } else { "egress" }));
        }
    }
    None
}
