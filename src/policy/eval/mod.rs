//! The evaluator: one direction of one flow against all policies.
//!
//! Owns the decision. Matching is three-valued; a missing fact only makes the answer unknown if the answer depends on it,
//! which is found by judging twice: once with every unknown in favour of the flow, once against it.
pub mod l7;
pub mod peer;
pub mod port;
mod winner;

use super::ir::{Action, Auth, L7Rules, Peers, Policy, PortRule, Ports, Rule, Section, Subject};
use super::selector::Tri;
use super::{Enforcement, Engine, Options, PolicySet};
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::world::{Endpoint, World};
use std::sync::Arc;
use winner::{Entry, Origin};

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    pub l4: Option<L4>,
    /// Destination port; `None`: not known.
    pub port: Option<u16>,
    /// ICMP type.
    pub icmp: Option<u8>,
    pub request: Option<l7::Request>,
}

/// One side to be judged.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub direction: Direction,
    pub subject: &'a Endpoint,
    pub peer: &'a Endpoint,
    pub traffic: &'a Traffic,
    pub world: &'a World,
    pub opt: &'a Options,
}

impl<'a> Case<'a> {
    /// Whose ports have names.
    pub fn destination(&self) -> &'a Endpoint {
        if self.direction == Direction::Ingress { self.subject } else { self.peer }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    Denied,
    /// A fact is missing.
    Unknown,
    /// The subject has no policy of its own.
    NotManaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    NoPolicy,
    AllowRule,
    /// Selected, but nothing isolates.
    DefaultAllow,
    AllowLocalhost,
    DefaultDeny,
    DenyRule,
    L7Deny,
    NotManaged,
}

/// The answer for one direction.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub decision: Decision,
    pub cause: Cause,
    /// What L3/L4 alone says.
    pub l34: Decision,
    pub default_deny: bool,
    /// Every policy object that selects the subject in this direction.
    pub selecting: Vec<Arc<Policy>>,
    /// Those of them that isolate it.
    pub isolating: Vec<Arc<Policy>>,
    /// The rules that decided.
    pub attributed: Vec<PolicyRef>,
    /// The rules whose L7 rules the request had to pass.
    pub l7_rules: Vec<PolicyRef>,
    /// The rules that let the request pass, where one had to.
    pub passed_by: Vec<PolicyRef>,
    pub auth: Option<Auth>,
    /// Facts that would decide it; empty unless `decision` is `Unknown`.
    pub missing: Vec<String>,
}

/// Whether an endpoint has policy of its own.
pub fn managed(e: &Endpoint, opt: &Options) -> Tri {
    if e.host_network || e.labels.is_host() {
        // The host's own firewall speaks for the node, and for pods on its network.
        return Tri::from(opt.host_firewall && opt.engine == Engine::Cilium);
    }
    if e.labels.is_pod() || ["ingress", "health", "init"].iter().any(|r| e.labels.reserved(r)) {
        return Tri::Yes;
    }
    if e.known { Tri::No } else { Tri::Unknown }
}

/// Judges one direction.
pub fn judge(case: &Case<'_>, set: &PolicySet) -> Judgement {
    let mut missing = Vec::new();
    match managed(case.subject, case.opt) {
        Tri::No => return Judgement::plain(Decision::NotManaged, Cause::NotManaged),
        Tri::Unknown => missing.push(format!("labels:{}", case.subject.display)),
        Tri::Yes => {}
    }
    let unmanaged_maybe = !missing.is_empty();
    let against = judge_once(case, set, false, &mut missing);
    if missing.is_empty() {
        return against;
    }
    let favour = judge_once(case, set, true, &mut Vec::new());
    let same = |a: &[Arc<Policy>], b: &[Arc<Policy>]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| Arc::ptr_eq(x, y));
    let agree = against.decision == favour.decision
        && against.cause == favour.cause
        && same(&against.isolating, &favour.isolating)
        // Which rule allows is only of interest when something else than default deny decided.
        && (against.attributed == favour.attributed || against.cause == Cause::DefaultDeny);
    // Where nothing could select it, it does not matter whether it has policy of its own.
    if agree && (!unmanaged_maybe || against.cause == Cause::NoPolicy) {
        return against;
    }
    Judgement { decision: Decision::Unknown, missing, ..against }
}

impl Judgement {
    /// The rules that decided; for a request that passed the proxy those that let the request pass, not only the packet.
    pub fn allowing(&self) -> &[PolicyRef] {
        if self.passed_by.is_empty() { &self.attributed } else { &self.passed_by }
    }

    fn plain(decision: Decision, cause: Cause) -> Self {
        Self {
            decision,
            cause,
            l34: decision,
            default_deny: false,
            selecting: Vec::new(),
            isolating: Vec::new(),
            attributed: Vec::new(),
            l7_rules: Vec::new(),
            passed_by: Vec::new(),
            auth: None,
            missing: Vec::new(),
        }
    }
}

/// The sections of one policy that may speak about a subject, with whether they select it.
pub fn selects(section: &Section, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    if section.direction != case.direction || (case.opt.engine == Engine::Kubernetes && !section.declared) {
        return Tri::No;
    }
    let host = case.subject.host_network || case.subject.labels.is_host();
    match &section.subject {
        Subject::Endpoints(_) if host => Tri::No,
        Subject::Endpoints(s) => s.matches(case.subject, None, missing),
        Subject::Nodes(_) if !host => Tri::No,
        Subject::Nodes(s) if s.all.is_empty() => Tri::Yes,
        Subject::Nodes(s) => match case.subject.ip.and_then(|ip| case.world.node_at(ip)) {
            Some(n) => Tri::from(s.matches_map(&n.labels)),
            None => {
                missing.push(format!("node-labels:{}", case.subject.display));
                Tri::Unknown
            }
        },
    }
}

fn judge_once(case: &Case<'_>, set: &PolicySet, favour: bool, missing: &mut Vec<String>) -> Judgement {
    let mut out = Judgement::plain(Decision::Allowed, Cause::NoPolicy);
    if case.opt.enforcement == Enforcement::Never {
        return out;
    }
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (policy, sections) in set.candidates(case.direction, case.subject) {
        let (mut selected, mut isolates) = (false, false);
        for section in sections {
            let is = selects(section, case, missing);
            if is == Tri::No {
                continue;
            }
            selected |= is == Tri::Yes || !favour;
            isolates |= section.default_deny && (is == Tri::Yes || !favour);
            for rule in &section.rules {
                let usable = match (rule.action, is) {
                    (_, Tri::Yes) => true,
                    (Action::Allow, _) => favour,
                    (Action::Deny | Action::Pass, _) => !favour,
                };
                if usable {
                    rule_entries(case, policy, section, rule, favour, missing, &mut entries);
                }
            }
        }
        if selected {
            out.selecting.push(policy.clone());
        }
        if isolates {
            out.isolating.push(policy.clone());
        }
    }
    let init = case.subject.labels.reserved("init");
    let forced = case.opt.enforcement == Enforcement::Always || init;
    out.default_deny = !out.isolating.is_empty() || forced;
    if out.selecting.is_empty() && !forced {
        return out;
    }
    if !out.default_deny {
        entries.push(Entry::synthetic(Origin::DefaultAllow));
    }
    let local = case.direction == Direction::Ingress && case.peer.labels.is_host() && case.opt.allow_localhost;
    if local {
        entries.push(Entry::synthetic(Origin::Localhost));
    }
    // A pod on the host's network is the subject's own node or another one; only its own is exempt.
    if case.direction == Direction::Ingress && case.peer.host_network && !local && case.opt.allow_localhost {
        missing.push(format!("node:{}", case.peer.display));
        if favour {
            entries.push(Entry::synthetic(Origin::Localhost));
        }
    }
    let Some(win) = winner::pick(&entries) else {
        (out.decision, out.l34, out.cause) = (Decision::Denied, Decision::Denied, Cause::DefaultDeny);
        return out;
    };
    out.attributed = win.rules;
    out.auth = win.auth;
    if win.deny {
        (out.decision, out.l34, out.cause) = (Decision::Denied, Decision::Denied, Cause::DenyRule);
        return out;
    }
    out.cause = match (out.attributed.is_empty(), win.localhost) {
        (false, _) => Cause::AllowRule,
        (true, true) => Cause::AllowLocalhost,
        (true, false) => Cause::DefaultAllow,
    };
    if win.redirect {
        let verdict = l7_verdict(case, &entries, favour, &mut out, missing);
        if !verdict {
            (out.decision, out.cause) = (Decision::Denied, Cause::L7Deny);
        }
    }
    out
}

/// Every way in which a rule covers this flow.
fn rule_entries<'p>(
    case: &Case<'_>,
    policy: &'p Arc<Policy>,
    section: &'p Section,
    rule: &'p Rule,
    favour: bool,
    missing: &mut Vec<String>,
    out: &mut Vec<Entry<'p>>,
) {
    let wanted = |t: Tri| t == Tri::Yes || (t == Tri::Unknown && favour == (rule.action == Action::Allow));
    // Peers first; facts about them only count if the port could match at all.
    let mut ports: Vec<(port::Key, Option<&PortRule>)> = Vec::new();
    let mut port_missing = Vec::new();
    match &rule.ports {
        Ports::Nothing => return,
        Ports::Any => ports.push((port::Key::ALL, None)),
        Ports::Icmp(fields) => {
            for f in fields {
                let (t, key) = port::icmp(f, case, &mut port_missing);
                if wanted(t) {
                    ports.push((key, None));
                }
            }
        }
        Ports::Of(list) => {
            for pr in list {
                for p in &pr.ports {
                    let (mut t, key) = port::matches(p, case, &mut port_missing);
                    // The packet is let through to the proxy, which then asks for the server's name.
                    if pr.sni && t != Tri::No && case.traffic.request.is_some() {
                        port_missing.push("tls-server-name".to_owned());
                        t = Tri::Unknown;
                    }
                    if wanted(t) {
                        ports.push((key, Some(pr)));
                    }
                }
            }
        }
    }
    if ports.is_empty() && port_missing.is_empty() {
        return;
    }
    let mut peers: Vec<(bool, &str)> = Vec::new();
    let mut possible = false;
    match &rule.peers {
        Peers::Any => peers.push((true, "")),
        Peers::Of(list) => {
            for p in list {
                let t = peer::matches(&p.is, case, missing);
                possible |= t != Tri::No;
                if wanted(t) {
                    peers.push((peer::is_wildcard(&p.is), &p.id));
                }
            }
        }
    }
    if possible || matches!(rule.peers, Peers::Any) {
        for m in port_missing {
            if !missing.contains(&m) {
                missing.push(m);
            }
        }
    }
    for (wild, id) in peers {
        let id = if id.is_empty() { rule.id.clone() } else { format!("{}.{id}", rule.id) };
        for (key, pr) in &ports {
            let l7 = pr.and_then(|p| p.l7.as_ref());
            out.push(Entry {
                wild,
                key: *key,
                deny: rule.action == Action::Deny,
                l7,
                // Such a policy isolates nothing, so its L7 rules let everything else pass too.
                l7_open: !section.default_deny,
                auth: rule.auth,
                origin: Origin::Rule(policy.rule(&id)),
            });
        }
    }
}

/// Whether the request passes the L7 rules; books which rules those are, and which of them let it pass.
fn l7_verdict(case: &Case<'_>, entries: &[Entry<'_>], favour: bool, out: &mut Judgement, missing: &mut Vec<String>) -> bool {
    let note = |e: &Entry<'_>, list: &mut Vec<PolicyRef>| {
        if let Origin::Rule(r) = &e.origin
            && !list.contains(r)
        {
            list.push(r.clone());
        }
    };
    let allows = || entries.iter().filter(|e| !e.deny);
    for e in allows().filter(|e| e.l7.is_some()) {
        note(e, &mut out.l7_rules);
    }
    let Some(request) = &case.traffic.request else { return true };
    // Without a rule that speaks of such requests, none refuses them.
    let (mut relevant, mut passes) = (false, false);
    for e in allows() {
        let t = match (e.l7, request) {
            // A synthetic entry opens nothing that a rule has closed.
            (None, _) => Tri::from(matches!(e.origin, Origin::Rule(_) | Origin::DefaultAllow | Origin::Localhost)),
            (Some(L7Rules::Http(list)), l7::Request::Http(h)) => {
                relevant = true;
                if e.l7_open { Tri::Yes } else { list.iter().fold(Tri::No, |t, r| t.or(l7::http(r, h, missing))) }
            }
            (Some(L7Rules::Dns(list)), l7::Request::Dns(q)) => {
                relevant = true;
                Tri::from(e.l7_open || list.iter().any(|r| r.pattern.regex.is_match(q)))
            }
            _ => continue,
        };
        if t == Tri::Yes || (t == Tri::Unknown && favour) {
            passes = true;
            note(e, &mut out.passed_by);
        }
    }
    passes || !relevant
}
