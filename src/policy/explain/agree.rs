//! Whether the policies and the datapath say the same, and if not, what may be the reason.
use super::Facts;
use super::evidence::by_name;
use super::side::Judged;
use crate::model::observed::{Direction, Observed, Party};
use crate::model::reason::Cause as Reason;
use crate::model::why::{Agreement, Diagnosis, Outcome, PolicyRef, Why};
use crate::model::words::few;
use crate::policy::eval::{Cause, Decision};
use crate::policy::ir::{Ports, Rule};
use crate::policy::{PolicySet, valid};
use crate::world::labels::Labels;
use crate::world::{Endpoint, World};

/// Policies named in one sentence.
const NAMED: usize = 3;

/// What may be looked at to find a reason.
pub(super) struct Sight<'a> {
    pub o: &'a Observed,
    pub facts: &'a Facts,
    pub reply: bool,
    /// The one who began, and the other, as the record has them and as they are known.
    pub ends: [(&'a Party, &'a Endpoint); 2],
    pub world: &'a World,
    pub set: &'a PolicySet,
}

/// What Retina's word is worth.
pub(super) const NETFILTER: &str = "Retina reports whatever netfilter drops as a policy's, which shows that it was dropped, not by whom";

fn disagree(why: &mut Why, because: impl Into<String>) {
    why.agreement = Agreement::Disagrees;
    why.because.push(because.into());
}

/// The policies deny it.
pub(super) fn denied(why: &mut Why, s: &Judged<'_>, sight: &Sight<'_>) {
    let Sight { o, facts, set, .. } = *sight;
    if !facts.dropped {
        disagree(why, "the datapath let it pass, and the policies at hand deny it: they may be newer than the flow");
        why.because.extend(invalid(&why.policies, set));
        return;
    }
    why.agreement = Agreement::Agrees;
    let l7 = matches!(why.outcome, Outcome::L7Denied | Outcome::DnsRefused);
    if facts.proxy && !l7 && s.subject() != "ingress" {
        disagree(why, "the proxy refused a request, so the datapath had let the connection pass");
    }
    match (facts.reason, s.judgement().cause) {
        (Reason::DefaultDeny, Cause::DenyRule) => disagree(why, "the datapath says that no rule allowed it, not that one denied it"),
        // Where a rule passes a flow on, Cilium writes default deny down as a rule of its own.
        (Reason::DenyRule, Cause::DefaultDeny) if !s.judgement().passed_on.is_empty() => {}
        (Reason::DenyRule, Cause::DefaultDeny) => {
            disagree(why, "the datapath says that a deny rule matched; none of the policies at hand does")
        }
        (Reason::Auth, _) => disagree(why, "the datapath says that only authentication was missing"),
        (Reason::DefaultDeny | Reason::DenyRule, Cause::L7Deny) => disagree(why, "the datapath dropped the packet itself, not a request"),
        _ => {}
    }
    // What the agent names for this direction has to be among what we name.
    let named = match s.direction {
        Direction::Egress => &o.reported.egress_denied,
        Direction::Ingress => &o.reported.ingress_denied,
    };
    let ours = |name: &str, ns: &str| why.policies.iter().any(|p| p.name == name && p.namespace.as_deref().unwrap_or("") == ns);
    if s.judgement().cause == Cause::DenyRule
        && let Some(n) = named.iter().find(|n| !n.name.is_empty() && !ours(&n.name, &n.namespace))
    {
        let path = if n.namespace.is_empty() { n.name.clone() } else { format!("{}/{}", n.namespace, n.name) };
        disagree(why, format!("the agent names {} {path}", n.kind));
    }
    // What may not be enforced cannot be what the datapath went by.
    if why.agreement == Agreement::Agrees && !why.policies.is_empty() && why.policies.iter().all(|p| not_valid(p, set).is_some()) {
        why.agreement = Agreement::Unknown;
        why.because.extend(invalid(&why.policies, set));
    }
    if why.agreement == Agreement::Disagrees {
        hints(why, set);
    }
}

/// It was dropped, and the policies at hand allow it: what speaks for one reason or another, the likeliest first.
pub(super) fn now_allowed(why: &mut Why, sides: &[&Judged<'_>], sight: &Sight<'_>) {
    let Sight { o, facts, set, .. } = *sight;
    why.agreement = Agreement::Disagrees;
    let what = sides.iter().find(|s| s.judgement().cause == Cause::AllowRule).or(sides.first());
    let verb = if facts.audit { "would be dropped" } else { "was dropped" };
    why.text = match what {
        _ if o.of_retina() => "dropped by iptables, but no policy explains it".to_owned(),
        Some(s) => format!("it {verb}, yet {}", s.text()),
        None => format!("it {verb}, yet the policies at hand allow it"),
    };
    let mut likely: Vec<String> = Vec::new();
    // Of a reply that is said by itself.
    if o.syn == Some(false) && !sight.reply {
        likely.push("the packet is not the first of its connection: the node may not have known the connection any more".to_owned());
    }
    if o.of_retina() {
        likely.push(format!("{NETFILTER}: it may have been another rule of the node's"));
    }
    likely.extend(sight.ends.iter().filter_map(|(p, e)| unresolved(p, e, sight)));
    let named = sides.iter().find_map(|s| s.judgement().attributed.iter().find(|p| by_name(p, set)));
    if let Some(p) = named {
        let peer = sight.ends[1].1;
        let world =
            if peer.labels.is_world() && !peer.labels.has_source("fqdn") { "it was world to the agent, which" } else { "the agent" };
        let rule = p.rule.as_deref().unwrap_or("a rule");
        likely.push(format!(
            "{rule} of {} allows it by name: {world} may have had no DNS answer with this name, or one that had expired",
            p.path()
        ));
    }
    likely.extend(invalid(&why.policies, set));
    for (_, e) in sight.ends.iter().filter(|(_, e)| e.host_network && !e.by_address) {
        likely.push(format!("{} is on the host's network: to the agent it is its node, and no policy of pods applies to it", e.display));
    }
    if facts.proxy && sides.iter().all(|s| s.judgement().l7_rules.is_empty()) {
        likely.push("no policy at hand has L7 rules for this port".to_owned());
    }
    let sure = !likely.is_empty();
    why.because.append(&mut likely);
    for s in sides {
        if s.judgement().decision != Decision::NotManaged || sides.len() == 1 {
            why.because.push(s.text().to_owned());
        }
    }
    hints(why, set);
    if !sure {
        why.because.push("the policies may have changed since".to_owned());
    }
}

/// The agent took an address for something else than the pod that has it here.
fn unresolved(p: &Party, e: &Endpoint, sight: &Sight<'_>) -> Option<String> {
    let (namespace, pod) = sight.world.pod_at(p.ip?)?;
    if !p.pod.is_empty() || sight.world.pod(namespace, pod)?.host_network {
        return None;
    }
    let told = Labels::parse(&p.labels);
    // A number that was left out is no sign of anything, unless the other side has one.
    let numbers = sight.o.src.identity != 0 || sight.o.dst.identity != 0;
    let took = match p.identity {
        _ if told.is_world() => "world",
        _ if told.reserved("init") => "init",
        _ if told.reserved("unknown") => "unknown",
        2 | 9 | 10 if told.0.is_empty() => "world",
        5 if told.0.is_empty() => "init",
        0 if told.0.is_empty() && numbers => "unknown",
        _ => return None,
    };
    let ip = e.ip?;
    Some(format!("{ip} is {namespace}/{pod} here and had identity {took} to the agent: it may not have been resolved yet"))
}

/// Where the policies deny a peer that the agent took for somebody else, that is worth a word.
pub(super) fn unresolved_peer(why: &Why, sight: &Sight<'_>) -> Option<Diagnosis> {
    if !sight.facts.dropped || !matches!(why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule) {
        return None;
    }
    let text = sight.ends.iter().find_map(|(p, e)| unresolved(p, e, sight))?;
    Some(Diagnosis { id: "identity-not-resolved", text })
}

/// A side that is a pod, and none to Cilium: no selector of pods means it, and no policy closes it.
pub(super) fn unmanaged(sight: &Sight<'_>) -> Option<Diagnosis> {
    let (p, e) = sight.ends.iter().find(|(_, e)| e.labels.reserved("unmanaged") && !e.pod.is_empty())?;
    let who = format!("{}/{}", e.namespace, e.pod);
    // What the agent says is its own word; else it is the object that is missing, or was, of a pod that is gone.
    let said = p.identity != 0 || p.labels.iter().any(|l| l == "reserved:unmanaged");
    let missing = !said || sight.world.is_unmanaged(&e.namespace, &e.pod, sight.o.at);
    let because = match (missing, sight.o.at) {
        (false, _) => "",
        (true, None) => " (it has no CiliumEndpoint)",
        (true, Some(_)) => " (it had no CiliumEndpoint)",
    };
    let text = format!(
        "Cilium does not manage {who}{because}: no policy applies to it, and no selector of pods means it; pods that started before Cilium have to be started anew"
    );
    Some(Diagnosis { id: "unmanaged-pod", text })
}

/// A rule by name came nearest, and the address was no answer that anybody saw, though answers were seen.
pub(super) fn unanswered(why: &Why, sight: &Sight<'_>) -> Option<Diagnosis> {
    let by_name = why.nearest.as_ref().is_some_and(|n| matches!(n.failed.as_slice(), [f] if f.on == "fqdn"));
    let (party, peer) = sight.ends[1];
    let ip = peer.ip.filter(|_| by_name && peer.labels.is_world() && peer.names.is_empty() && party.names.is_empty())?;
    if !sight.facts.dropped || !sight.world.has_names() {
        return None;
    }
    let text = format!("no DNS answer with {ip} was seen: a rule by name matches only addresses that the DNS proxy has handed out");
    Some(Diagnosis { id: "no-dns-answer", text })
}

/// Policies of which Cilium itself reports that they are not valid.
fn invalid(policies: &[PolicyRef], set: &PolicySet) -> Vec<String> {
    let mut out: Vec<String> = policies.iter().filter_map(|p| not_valid(p, set)).collect();
    out.dedup();
    out.truncate(NAMED);
    out
}

/// What the agent says it went by, against what is at hand: another version of a policy, or another rule, is not what decided.
pub(super) fn told(why: &mut Why, o: &Observed, set: &PolicySet) {
    if matches!(why.outcome, Outcome::Undecidable | Outcome::NotPolicy) {
        return;
    }
    let mut differs = Vec::new();
    for told in &o.reported.told {
        let Some(p) = why.policies.iter().find(|p| told.is(p)) else { continue };
        let live = set.find(p).and_then(|p| p.doc.live.as_ref());
        match (told.generation, live.and_then(|l| l.generation)) {
            (Some(then), Some(here)) if then != here => {
                differs.push(format!("the agent had generation {then} of {} {}, at hand is generation {here}", p.kind, p.path()));
            }
            _ => {}
        }
        if let Some(l) = live.filter(|l| !told.uid.is_empty() && !l.uid.is_empty() && l.uid != told.uid) {
            differs.push(format!("the agent went by another {} {} (uid {}), at hand is uid {}", p.kind, p.path(), told.uid, l.uid));
        }
        // `ingress[3]`, `specs[1].egressDeny[0]`.
        let index = p.rule.as_deref().and_then(|r| r.split(['[', ']']).filter_map(|n| n.parse::<u32>().ok()).next_back());
        if let (Some(named), Some(ours), true) = (told.rule_index, index, why.outcome == Outcome::DeniedByRule)
            && named != ours
        {
            differs.push(format!("the agent names rule {named} of {} {}", p.kind, p.path()));
        }
    }
    for sentence in differs {
        disagree(why, sentence);
    }
}

/// Which policy the agent went by is not known where its number names nobody; what the policies say stands by itself.
pub(super) fn unnamed(why: &mut Why, o: &Observed) {
    let Some(ruling) = o.ruling.filter(|_| !o.reported.unnamed.is_empty()) else { return };
    why.because.push(o.reported.unnamed.clone());
    if why.outcome == Outcome::Undecidable {
        why.missing.push(format!("policy-number:{}", ruling.policy));
    }
}

/// Without its proxy Cilium refuses policies with L7 rules: what they would say is not what the datapath went by.
pub(super) fn refused_l7(why: &mut Why, set: &PolicySet) {
    let has = |r: &Rule| matches!(&r.ports, Ports::Of(list) if list.iter().any(|p| p.l7.is_some()));
    let l7 = |p: &&PolicyRef| set.find(p).is_some_and(|p| p.sections.iter().flat_map(|s| &s.rules).any(has));
    let named: Vec<String> = why.policies.iter().filter(l7).map(|p| format!("{} {}", p.kind, p.path())).collect();
    if named.is_empty() {
        return;
    }
    if why.agreement == Agreement::Agrees {
        why.agreement = Agreement::Unknown;
    }
    why.because.push(format!("enable-l7-proxy is off, and then Cilium refuses policies with L7 rules: {}", few(named.into_iter(), NAMED)));
}

fn not_valid(p: &PolicyRef, set: &PolicySet) -> Option<String> {
    if !set.has_invalid() {
        return None;
    }
    valid::not_valid(set.find(p)?)
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
        let names = few(list.iter().map(|n| format!("{} {}", n.policy.kind, n.policy.path())), NAMED);
        let count = if list.len() == 1 { "1 policy is".to_owned() } else { format!("{} policies are", list.len()) };
        why.because.push(format!("{count} {what}: {names}"));
    }
}

/// A reply should never meet a policy; what is said is about its connection.
pub(super) fn reply(why: &mut Why) {
    if why.outcome != Outcome::NowAllowed {
        why.agreement = Agreement::Unknown;
    }
    why.because.insert(0, "the packet is a reply, which policies do not judge: this is about the connection it belongs to".to_owned());
}
