//! The evaluator: one direction of one flow against all policies.
//!
//! Owns the decision. Matching is three-valued; a missing fact only makes the answer unknown if the answer depends on it,
//! which is found by judging twice: once with every unknown in favour of the flow, once against it.
mod entry;
pub mod l7;
pub mod peer;
pub mod port;
mod selection;
mod tier;
mod winner;

use super::ir::{Action, Auth, Policy, Section, Subject, Tier};
use super::selector::Tri;
use super::{Enforcement, Engine, Options, PolicySet};
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::world::{Endpoint, World};
use std::sync::Arc;
use tier::{First, Hit, Step};
use winner::{Entry, Origin};

pub use entry::{Required, bound, requirements};
pub use selection::{Chosen, End, Kin, Selected, Selection};

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    pub l4: Option<L4>,
    /// Destination port; `None`: not known.
    pub port: Option<u16>,
    /// ICMP type.
    pub icmp: Option<u8>,
    pub request: Option<l7::Request>,
    /// The name in the TLS greeting; `None`: not known.
    pub server_name: Option<String>,
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
    pub selecting: Arc<[Arc<Policy>]>,
    /// Those of them that isolate it.
    pub isolating: Arc<[Arc<Policy>]>,
    selection: Arc<Selection>,
    /// The rules that decided.
    pub attributed: Vec<PolicyRef>,
    /// The rules that passed the flow on to the next tier.
    pub passed_on: Vec<PolicyRef>,
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
    judge_by(case, || Arc::new(Selection::of(case, set)))
}

/// Judges one direction by what selects the subject.
pub fn judge_by(case: &Case<'_>, selection: impl FnOnce() -> Arc<Selection>) -> Judgement {
    let mut missing = Vec::new();
    match managed(case.subject, case.opt) {
        Tri::No => return Judgement::plain(Decision::NotManaged, Cause::NotManaged),
        Tri::Unknown => missing.push(format!("labels:{}", case.subject.display)),
        Tri::Yes => {}
    }
    let unmanaged_maybe = !missing.is_empty();
    let selection = if case.opt.enforcement == Enforcement::Never { Arc::default() } else { selection() };
    let against = judge_once(case, &selection, false, &mut missing);
    if missing.is_empty() {
        return against;
    }
    let favour = judge_once(case, &selection, true, &mut Vec::new());
    // Either way nothing stood against it.
    let open = |c: Cause| matches!(c, Cause::NoPolicy | Cause::DefaultAllow);
    let same = |a: &[Arc<Policy>], b: &[Arc<Policy>]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| Arc::ptr_eq(x, y));
    let agree = against.decision == favour.decision
        && (against.cause == favour.cause || (open(against.cause) && open(favour.cause)))
        && same(&against.isolating, &favour.isolating)
        // Which rule allows is only of interest when something else than default deny decided.
        && (against.attributed == favour.attributed || against.cause == Cause::DefaultDeny);
    // Where nothing could select it, it does not matter whether it has policy of its own.
    if agree && (!unmanaged_maybe || open(against.cause)) {
        return against;
    }
    Judgement { decision: Decision::Unknown, missing, ..against }
}

impl Judgement {
    /// The rules that decided; for a request that passed the proxy those that let the request pass, not only the packet.
    pub fn allowing(&self) -> &[PolicyRef] {
        if self.passed_by.is_empty() { &self.attributed } else { &self.passed_by }
    }

    /// The sections that select the subject, or may.
    pub fn sections(&self) -> impl Iterator<Item = Chosen<'_>> {
        self.selection.sections()
    }

    /// Those of the policies that isolate it.
    pub fn isolating_sections(&self) -> impl Iterator<Item = Chosen<'_>> {
        self.sections().filter(|c| self.isolating.iter().any(|p| Arc::ptr_eq(p, c.policy)))
    }

    /// The policies by which it decides, as the `why` object names them; none where a fact is missing.
    pub fn deciding(&self) -> Vec<PolicyRef> {
        let mut out: Vec<PolicyRef> = match (self.decision, self.cause) {
            (Decision::Unknown, _) => Vec::new(),
            (_, Cause::DefaultDeny) => self.isolating.iter().map(|p| p.id.clone()).collect(),
            (_, Cause::L7Deny) => self.l7_rules.clone(),
            _ => self.allowing().to_vec(),
        };
        out.sort();
        out.dedup();
        out
    }

    fn plain(decision: Decision, cause: Cause) -> Self {
        Self {
            decision,
            cause,
            l34: decision,
            default_deny: false,
            selecting: Arc::default(),
            isolating: Arc::default(),
            selection: Arc::default(),
            attributed: Vec::new(),
            passed_on: Vec::new(),
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
        Subject::Endpoints(s) => s.matches(case.opt.engine, case.subject, None, missing),
        // An address of which nobody says what it is may be a node's.
        Subject::Nodes(_) if !host && case.subject.is_stranger() && case.opt.host_firewall => {
            missing.push(format!("labels:{}", case.subject.display));
            Tri::Unknown
        }
        Subject::Nodes(_) if !host => Tri::No,
        Subject::Nodes(s) if s.all.is_empty() => Tri::Yes,
        Subject::Nodes(s) => peer::of_node(s, case.subject, case, missing),
    }
}

fn judge_once(case: &Case<'_>, selection: &Arc<Selection>, favour: bool, missing: &mut Vec<String>) -> Judgement {
    let mut out = Judgement::plain(Decision::Allowed, Cause::NoPolicy);
    if case.opt.enforcement == Enforcement::Never {
        return out;
    }
    let chosen: Vec<Chosen<'_>> = selection.sections().collect();
    let held = selection.held(favour);
    (out.selecting, out.isolating, out.selection) = (held.selecting.clone(), held.isolating.clone(), selection.clone());
    for fact in selection.missing() {
        if !missing.contains(fact) {
            missing.push(fact.clone());
        }
    }
    let init = case.subject.labels.reserved("init");
    let forced = case.opt.enforcement == Enforcement::Always || init;
    out.default_deny = !out.isolating.is_empty() || forced;
    if chosen.is_empty() && !forced {
        return out;
    }
    if !out.selecting.is_empty() || forced {
        out.cause = Cause::DefaultAllow;
    }
    Walk { case, chosen: &chosen, favour }.from(tier::order(case.opt.engine), out, missing)
}

/// One way through the tiers.
struct Walk<'a, 'c> {
    case: &'a Case<'c>,
    chosen: &'a [Chosen<'a>],
    favour: bool,
}

impl Walk<'_, '_> {
    /// What the steps that are left come to; `out` is the answer if none of them has one.
    fn from(&self, steps: &[Step], out: Judgement, missing: &mut Vec<String>) -> Judgement {
        let Some((step, rest)) = steps.split_first() else { return out };
        match step {
            Step::FirstMatch(t) => self.first_match(*t, rest, out, missing),
            Step::Union(t) => match self.union(*t, &out, missing) {
                Some(answer) => answer,
                None => self.from(rest, out, missing),
            },
            Step::DefaultDeny if out.default_deny => {
                Judgement { decision: Decision::Denied, l34: Decision::Denied, cause: Cause::DefaultDeny, ..out }
            }
            Step::DefaultDeny => self.from(rest, out, missing),
        }
    }

    /// Of everything that the tier may come to, the best for the flow or the worst; of answers that are equally good another one
    /// each way, so that what may be either is never taken for one.
    fn first_match(&self, t: Tier, rest: &[Step], out: Judgement, missing: &mut Vec<String>) -> Judgement {
        let First { hits, falls } = tier::first_match(self.case, self.chosen, t, missing);
        if hits.is_empty() && falls {
            return self.from(rest, out, missing);
        }
        let decided = |action: Action, rules: &[PolicyRef]| {
            let (decision, cause) = match action {
                Action::Deny => (Decision::Denied, Cause::DenyRule),
                Action::Allow | Action::Pass => (Decision::Allowed, Cause::AllowRule),
            };
            Judgement { decision, l34: decision, cause, attributed: rules.to_vec(), ..out.clone() }
        };
        let mut may: Vec<Judgement> = hits.iter().filter(|h| h.action != Action::Pass).map(|h| decided(h.action, &h.rules)).collect();
        if falls {
            let mut onward = out.clone();
            if let [Hit { action: Action::Pass, rules, .. }] = hits.as_slice() {
                onward.passed_on.extend(rules.iter().cloned());
            }
            may.push(self.from(rest, onward, missing));
        }
        let of = |decision: Decision| may.iter().filter(move |j| j.decision == decision);
        let differs = |a: &Judgement, b: &Judgement| (a.cause, &a.attributed) != (b.cause, &b.attributed);
        let worst = of(Decision::Denied).next().or(may.first());
        let best = match (self.favour, worst) {
            (false, _) | (true, None) => worst,
            (true, Some(worst)) => {
                of(Decision::Allowed).rfind(|j| differs(j, worst)).or_else(|| may.iter().rfind(|j| differs(j, worst))).or(Some(worst))
            }
        };
        best.cloned().unwrap_or(out)
    }

    /// The tier in which every rule counts and the order does not; `None` if no rule speaks of the flow.
    fn union(&self, t: Tier, out: &Judgement, missing: &mut Vec<String>) -> Option<Judgement> {
        let (case, favour) = (self.case, self.favour);
        let mut entries: Vec<Entry<'_>> = Vec::new();
        let of_tier = || self.chosen.iter().filter(|c| c.policy.tier == t);
        let requires = requirements(of_tier().map(|c| (c.section, c.is)));
        for c in of_tier() {
            for rule in &c.section.rules {
                let maybe = favour == (rule.action == Action::Allow);
                if c.is == Tri::Yes || maybe {
                    entry::of_rule(case, c, rule, &requires, maybe, missing, &mut entries);
                }
            }
        }
        let local = case.direction == Direction::Ingress && case.peer.labels.is_host() && case.opt.allow_localhost;
        if local && out.default_deny {
            entries.push(Entry::synthetic(Origin::Localhost));
        }
        // A pod on the host's network is the subject's own node or another one; only its own is exempt.
        if case.direction == Direction::Ingress && case.peer.host_network && !case.peer.known && case.opt.allow_localhost {
            missing.push(format!("node:{}", case.peer.display));
            if favour && out.default_deny {
                entries.push(Entry::synthetic(Origin::Localhost));
            }
        }
        if entries.is_empty() {
            return None;
        }
        if !out.default_deny {
            entries.push(Entry::synthetic(Origin::DefaultAllow));
        }
        let win = winner::pick(&entries)?;
        let mut out = Judgement { attributed: win.rules, auth: win.auth, ..out.clone() };
        if win.deny {
            (out.decision, out.l34, out.cause) = (Decision::Denied, Decision::Denied, Cause::DenyRule);
            return Some(out);
        }
        out.cause = match (out.attributed.is_empty(), win.localhost) {
            (false, _) => Cause::AllowRule,
            (true, true) => Cause::AllowLocalhost,
            (true, false) => Cause::DefaultAllow,
        };
        if win.redirect && !l7::verdict(case, &entries, favour, &mut out, missing) {
            (out.decision, out.cause) = (Decision::Denied, Cause::L7Deny);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests;
