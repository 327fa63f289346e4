//! Whether the policies and the datapath say the same, and if not, what may be the reason.
use super::Facts;
use super::side::Judged;
use crate::model::observed::Observed;
use crate::model::reason::Cause as Reason;
use crate::model::why::{Agreement, Outcome, PolicyRef, Why};
use crate::policy::PolicySet;
use crate::policy::eval::{Cause, Decision};
use crate::policy::ir::{PeerIs, Peers, Policy};

/// Policies named in one sentence.
const NAMED: usize = 3;

fn disagree(why: &mut Why, because: impl Into<String>) {
    why.agreement = Agreement::Disagrees;
    why.because.push(because.into());
}

/// The policies deny it.
pub(super) fn denied(why: &mut Why, s: &Judged, o: &Observed, facts: &Facts, set: &PolicySet) {
    if !facts.dropped {
        return disagree(why, "the datapath let it pass, and the policies at hand deny it: they may be newer than the flow");
    }
    why.agreement = Agreement::Agrees;
    let l7 = matches!(why.outcome, Outcome::L7Denied | Outcome::DnsRefused);
    if facts.proxy && !l7 && s.subject != "ingress" {
        disagree(why, "the proxy refused a request, so the datapath had let the connection pass");
    }
    match (facts.reason, s.judgement.cause) {
        (Reason::DefaultDeny, Cause::DenyRule) => disagree(why, "the datapath says that no rule allowed it, not that one denied it"),
        (Reason::DenyRule, Cause::DefaultDeny) => {
            disagree(why, "the datapath says that a deny rule matched; none of the policies at hand does")
        }
        (Reason::Auth, _) => disagree(why, "the datapath says that only authentication was missing"),
        (Reason::DefaultDeny | Reason::DenyRule, Cause::L7Deny) => disagree(why, "the datapath dropped the packet itself, not a request"),
        _ => {}
    }
    // What the agent names for this direction has to be among what we name.
    let named = match s.direction {
        crate::model::observed::Direction::Egress => &o.reported.egress_denied,
        crate::model::observed::Direction::Ingress => &o.reported.ingress_denied,
    };
    let ours = |name: &str, ns: &str| why.policies.iter().any(|p| p.name == name && p.namespace.as_deref().unwrap_or("") == ns);
    if s.judgement.cause == Cause::DenyRule
        && let Some(n) = named.iter().find(|n| !n.name.is_empty() && !ours(&n.name, &n.namespace))
    {
        let path = if n.namespace.is_empty() { n.name.clone() } else { format!("{}/{}", n.namespace, n.name) };
        disagree(why, format!("the agent names {} {path}", n.kind));
    }
    if why.agreement == Agreement::Disagrees {
        hints(why, set);
    }
}

/// It was dropped, and the policies at hand allow it.
pub(super) fn now_allowed(why: &mut Why, sides: &[&Judged], facts: &Facts, set: &PolicySet) {
    why.agreement = Agreement::Disagrees;
    for s in sides {
        if s.judgement.decision != Decision::NotManaged || sides.len() == 1 {
            why.because.push(s.text.clone());
        }
    }
    let what = sides.iter().find(|s| s.judgement.cause == Cause::AllowRule).or(sides.first());
    let verb = if facts.audit { "would be dropped" } else { "was dropped" };
    why.text = match what {
        Some(s) => format!("it {verb}, yet {}", s.text),
        None => format!("it {verb}, yet the policies at hand allow it"),
    };
    if facts.proxy && sides.iter().all(|s| s.judgement.l7_rules.is_empty()) {
        why.because.push("no policy at hand has L7 rules for this port".to_owned());
    }
    if sides.iter().any(|s| s.judgement.attributed.iter().any(|p| by_name(p, set))) {
        why.because.push(
            "the agent may not have known the address by this name: no DNS answer through its proxy, or one that had expired".to_owned(),
        );
    }
    hints(why, set);
    why.because.push("the policies may have changed since".to_owned());
}

/// Whether the rule allows by DNS name.
fn by_name(p: &PolicyRef, set: &PolicySet) -> bool {
    let fqdn = |policy: &Policy| {
        policy.sections.iter().flat_map(|s| &s.rules).any(|r| {
            Some(r.id.as_str()) == p.rule.as_deref()
                && matches!(&r.peers, Peers::Of(list) if list.iter().any(|p| matches!(p.is, PeerIs::Fqdn(_))))
        })
    };
    set.find(p).is_some_and(|policy| fqdn(policy))
}

/// Neither yes nor no can be said.
pub(super) fn undecided(why: &mut Why, set: &PolicySet) {
    why.agreement = Agreement::Unknown;
    why.because.push(format!("not known: {}", why.missing.join(", ")));
    hints(why, set);
}

/// Policies that could not be judged may be the reason.
pub(super) fn hints(why: &mut Why, set: &PolicySet) {
    for (list, what) in [(set.not_understood(), "not understood yet"), (set.refused(), "refused, so not judged")] {
        if list.is_empty() {
            continue;
        }
        let mut names: Vec<String> = list.iter().take(NAMED).map(|n| format!("{} {}", n.policy.kind, n.policy.path())).collect();
        if list.len() > NAMED {
            names.push(format!("{} more", list.len() - NAMED));
        }
        let count = if list.len() == 1 { "1 policy is".to_owned() } else { format!("{} policies are", list.len()) };
        why.because.push(format!("{count} {what}: {}", names.join(", ")));
    }
}

/// Policies judge the first packet of a connection; the others meet connection tracking.
pub(super) fn midway(why: &mut Why) {
    why.because.push("the packet is not the first of its connection: the node may not have known the connection any more".to_owned());
}

/// Retina tells of netfilter's drops, and policies are only some of its rules.
pub(super) fn netfilter(why: &mut Why) {
    why.because.insert(0, "Retina reports whatever netfilter drops as a policy's: it may have been another rule of the node's".to_owned());
}

/// A reply should never meet a policy; what is said is about its connection.
pub(super) fn reply(why: &mut Why) {
    why.agreement = Agreement::Unknown;
    why.because.insert(0, "the packet is a reply, which policies do not judge: this is about the connection it belongs to".to_owned());
}
