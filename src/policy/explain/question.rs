//! A connection that nobody has seen: would it be allowed, and by which rule of which policy. Both sides, every policy that
//! selects, rule by rule. Owns the shape of that answer; what the datapath would do beyond policy it does not know.
use super::near::check;
use super::side::{Ask, look, required};
use crate::model::observed::Direction;
use crate::model::why::{Agreement, Failed, Outcome, PolicyRef, Side, Why};
use crate::policy::eval::{self, Case, Decision, End, Required, Traffic, selects};
use crate::policy::ir::{Action, Peer, Peers, Ports, Rule};
use crate::policy::selector::Tri;
use crate::policy::{Options, PolicySet, unread};
use crate::world::{Endpoint, World};
use serde::Serialize;

/// One rule held against the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleAnswer {
    /// `ingress[0]`
    pub rule: String,
    /// allow, deny, pass
    pub action: &'static str,
    /// Whether it covers the connection at L3/L4: yes, no, unknown.
    pub covers: &'static str,
    pub line: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failed>,
    /// Facts that would decide it, where it is unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// One policy that selects the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyAnswer {
    #[serde(flatten)]
    pub policy: PolicyRef,
    pub file: String,
    pub line: u32,
    /// Whether it puts the subject into default deny.
    pub isolates: bool,
    pub rules: Vec<RuleAnswer>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SideAnswer {
    pub direction: Direction,
    pub subject: String,
    pub outcome: Outcome,
    /// Why it is so, in a sentence.
    pub text: String,
    /// How many policies select it and what comes of them.
    pub summary: String,
    pub policies: Vec<PolicyAnswer>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub why: Why,
    /// Egress of the sender, then ingress of the receiver; empty where there are no policies to judge by.
    pub judged: Vec<SideAnswer>,
}

/// Judges a connection from `src` to `dst`.
pub fn question(src: &Endpoint, dst: &Endpoint, traffic: &Traffic, world: &World, set: &PolicySet, opt: &Options) -> Answer {
    let ends = [src, dst].map(|e| End::new(e.clone()));
    let [from, to] = &ends;
    let ask = |direction, end, other, subject, peer| {
        let judged = look(Ask { direction, subject: end, peer: other, traffic, world, set, opt: *opt, whole: true }, None);
        let case = Case { direction, subject, peer, traffic, world, opt };
        let requires = required(judged.judgement());
        let policies = judged.judgement().selecting.iter().map(|p| PolicyAnswer {
            policy: p.id.clone(),
            file: p.text.file.clone(),
            line: p.lines.0,
            isolates: judged.judgement().isolating.iter().any(|i| i.id == p.id),
            rules: p
                .sections
                .iter()
                .filter(|s| selects(s, &case, &mut Vec::new()) != Tri::No)
                .flat_map(|s| s.rules.iter().map(|r| rule(r, &case, &requires)))
                .collect(),
        });
        let answer = SideAnswer {
            direction,
            subject: judged.subject().to_owned(),
            outcome: judged.outcome,
            text: judged.text().to_owned(),
            summary: judged.summary(),
            policies: policies.collect(),
        };
        (judged, answer)
    };
    let (egress, ingress) = (ask(Direction::Egress, from, to, src, dst), ask(Direction::Ingress, to, from, dst, src));
    let denied = |d: Decision| [&egress.0, &ingress.0].into_iter().find(|j| j.judgement().decision == d);
    let given = set.given();
    let side = denied(Decision::Denied).or_else(|| denied(Decision::Unknown)).filter(|_| given);
    let mut why = Why {
        cluster: set.cluster().map(str::to_owned),
        outcome: if given { Outcome::Allowed } else { Outcome::Undecidable },
        direction: side.map(|s| s.direction),
        subject: side.map(|s| s.subject().to_owned()),
        policies: Vec::new(),
        reported: None,
        nearest: None,
        agreement: Agreement::Unknown,
        because: ["asked, not observed".to_owned()].into_iter().chain(opt.unenforced.map(super::enforces_nothing)).collect(),
        missing: if given { Vec::new() } else { vec!["policies".to_owned()] },
        inferred: Vec::new(),
        sides: Vec::new(),
        as_of: None,
        changed_since: Vec::new(),
        diagnosis: Vec::new(),
        text: if given { "both sides allow it".to_owned() } else { "there are no policies here to judge it by".to_owned() },
    };
    match side {
        Some(s) => {
            why.outcome = s.outcome;
            why.policies = s.deciding();
            why.nearest = s.nearest().cloned();
            why.missing.clone_from(&s.judgement().missing);
            s.text().clone_into(&mut why.text);
            if s.judgement().decision == Decision::Unknown {
                why.policies.clear();
                let other = [&egress.0, &ingress.0].into_iter().filter(|o| o.direction != s.direction);
                for m in other.flat_map(|o| &o.judgement().missing) {
                    if !why.missing.contains(m) {
                        why.missing.push(m.clone());
                    }
                }
            }
        }
        None if given => {
            why.policies = [&egress.0, &ingress.0].into_iter().flat_map(|j| j.deciding()).collect();
            why.policies.sort();
            why.policies.dedup();
            let auth = [&egress.0, &ingress.0]
                .into_iter()
                .any(|j| matches!(j.judgement().auth, Some(a) if a != crate::policy::ir::Auth::Disabled));
            if auth {
                "both sides allow it, once the two have authenticated each other".clone_into(&mut why.text);
            }
        }
        None => {}
    }
    if !given {
        return Answer { why, judged: Vec::new() };
    }
    for j in [&egress.0, &ingress.0] {
        why.sides.push(Side {
            direction: j.direction,
            subject: j.subject().to_owned(),
            outcome: j.outcome,
            policies: j.deciding(),
            nearest: j.nearest().cloned(),
            missing: j.judgement().missing.clone(),
        });
    }
    unread::doubt(&mut why, set);
    unread::unenforced(&mut why, world, opt);
    Answer { why, judged: vec![egress.1, ingress.1] }
}

fn rule(r: &Rule, case: &Case<'_>, requires: &[Required<'_>]) -> RuleAnswer {
    let mut missing = Vec::new();
    let covers = covers(r, case, requires, &mut missing);
    RuleAnswer {
        rule: r.id.clone(),
        action: match r.action {
            Action::Allow => "allow",
            Action::Deny => "deny",
            Action::Pass => "pass",
        },
        covers: match covers {
            Tri::Yes => "yes",
            Tri::No => "no",
            Tri::Unknown => "unknown",
        },
        line: r.lines.0,
        failed: if covers == Tri::No { check(r, case, requires).failed.into_iter().map(|(f, _)| f).collect() } else { Vec::new() },
        missing: if covers == Tri::Unknown { missing } else { Vec::new() },
    }
}

/// Whether peer and port of a rule both hold.
fn covers(r: &Rule, case: &Case<'_>, requires: &[Required<'_>], missing: &mut Vec<String>) -> Tri {
    let port = match &r.ports {
        Ports::Any => Tri::Yes,
        Ports::Nothing => Tri::No,
        Ports::Icmp(fields) => fields.iter().fold(Tri::No, |t, f| t.or(eval::port::icmp(f, case, missing).0)),
        Ports::Of(list) => list.iter().flat_map(|p| &p.ports).fold(Tri::No, |t, p| t.or(eval::port::matches(p, case, missing).0)),
    };
    if port == Tri::No {
        return port;
    }
    match &r.peers {
        Peers::Any => port,
        Peers::Of(list) => {
            let of = |p: &Peer, missing: &mut Vec<String>| eval::bound(&p.is, r.action, case, requires, missing);
            port.and(list.iter().fold(Tri::No, |t, p| t.or(of(p, missing))))
        }
    }
}
