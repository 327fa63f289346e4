//! Diagnoses: small patterns in policies and flows that turn into advice. One file each; a new one is a file and a line in a table.
//!
//! Owns the two tables and what a lint may look at. A lint is silent unless it is sure: it never contradicts the evaluator.
//! Lints of flows run once per distinct conversation, so each asks its cheapest question first and makes no words before it fires.
mod ambient;
mod bypass;
mod cover;
mod dash;
mod dns;
mod fields;
mod fit;
mod fqdn;
mod http;
mod kafka;
mod kube_system;
mod label;
mod refused;
mod scope;
mod service_port;
mod shadow;
mod sides;
#[cfg(test)]
mod testing;
mod types;
mod unknown;

use super::eval::{self, Chosen, Judgement, Traffic};
use super::ir::{Action, Policy, Rule, Section};
use super::{Options, PolicySet};
use crate::model::observed::{Direction, Observed};
use crate::model::why::{Agreement, Diagnosis, Outcome, PolicyRef, Why};
use crate::world::{Endpoint, World};
use std::sync::Arc;

pub use scope::Scope;

/// What a lint of one explained flow may look at: the connection (not the packet), as both sides were judged.
pub struct Case<'a> {
    pub flow: &'a Observed,
    pub src: &'a Endpoint,
    pub dst: &'a Endpoint,
    pub traffic: &'a Traffic,
    pub egress: &'a Judgement,
    pub ingress: &'a Judgement,
    pub why: &'a Why,
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: &'a Options,
    /// Dropped or audited.
    pub dropped: bool,
}

/// The side that the explanation is about.
pub struct Side<'a> {
    pub ask: eval::Case<'a>,
    pub judgement: &'a Judgement,
    pub other: &'a Judgement,
    /// Default deny decided.
    denied: bool,
}

/// A rule and where it stands.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub policy: &'a Arc<Policy>,
    pub section: &'a Section,
    pub rule: &'a Rule,
}

impl<'a> Case<'a> {
    fn ask(&self, direction: Direction) -> eval::Case<'a> {
        let (subject, peer) = if direction == Direction::Egress { (self.src, self.dst) } else { (self.dst, self.src) };
        eval::Case { direction, subject, peer, traffic: self.traffic, world: self.world, opt: self.opt }
    }

    fn side(&self) -> Option<Side<'a>> {
        let direction = self.why.direction?;
        let (judgement, other) = if direction == Direction::Egress { (self.egress, self.ingress) } else { (self.ingress, self.egress) };
        let ask = self.ask(direction);
        let denied = matches!(self.why.outcome, Outcome::DefaultDeny | Outcome::HostFirewall);
        Some(Side { ask, judgement, other, denied })
    }
}

/// The allow rules of sections that speak about a side.
fn allowing<'a>(sections: impl Iterator<Item = Chosen<'a>>) -> impl Iterator<Item = At<'a>> {
    let rules = |c: Chosen<'a>| c.section.rules.iter().map(move |rule| At { policy: c.policy, section: c.section, rule });
    sections.flat_map(rules).filter(|a| a.rule.action == Action::Allow)
}

impl<'a> Side<'a> {
    /// The rules that could have allowed it, of the policies that isolate; none unless default deny decided.
    fn rules(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let judgement = self.judgement;
        self.denied.then(|| allowing(judgement.isolating_sections())).into_iter().flatten()
    }

    /// The rule that the explanation calls the nearest.
    fn nearest(&self, why: &Why) -> Option<At<'a>> {
        let n = why.nearest.as_ref()?;
        let same = |p: &PolicyRef| p.kind == n.kind && p.namespace == n.namespace && p.name == n.name;
        self.rules().find(|a| a.rule.id == n.rule && same(&a.policy.id))
    }
}

impl At<'_> {
    /// `ingress[0] of shop/db`.
    fn words(&self) -> String {
        format!("{} of {}", self.rule.id, self.policy.id.path())
    }

    /// `k8s/db.yaml:15`.
    fn place(&self) -> String {
        place(self.policy, self.rule.lines.0)
    }
}

/// `k8s/db.yaml:15`; a policy that came from no file is named instead.
fn place(policy: &Policy, line: u32) -> String {
    if policy.text.file.is_empty() { policy.id.path() } else { format!("{}:{line}", policy.text.file) }
}

/// The first few of many, in words.
fn few(items: impl IntoIterator<Item = String>) -> String {
    const NAMED: usize = 3;
    let all: Vec<String> = items.into_iter().collect();
    let more = all.len().saturating_sub(NAMED);
    let shown: Vec<String> = all.into_iter().take(NAMED).collect();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// A pattern in the explanation of one flow.
pub trait Lint: Sync {
    fn check(&self, case: &Case<'_>, side: &Side<'_>) -> Option<Diagnosis>;
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The policy does not do what it says.
    Broken,
    /// Worth knowing, and maybe meant.
    Note,
}

/// A pattern in the policies alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: &'static str,
    pub weight: Weight,
    /// Whom it concerns; `None`: the set as a whole.
    pub policy: Option<PolicyRef>,
    pub file: String,
    pub line: u32,
    pub text: String,
    /// Reading the manifest said it already, as a fault.
    pub fault: bool,
}

impl Finding {
    fn new(id: &'static str, weight: Weight, policy: &Policy, line: u32, text: String) -> Self {
        Self { id, weight, policy: Some(policy.id.clone()), file: policy.text.file.clone(), line, text, fault: false }
    }
}

/// A pattern in the policies alone, whatever flows.
pub trait SetLint: Sync {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>);
}

static OF_FLOWS: &[&dyn Lint] = &[
    &sides::Sides,
    &dns::Dns,
    &types::Types,
    &label::NoMatch,
    &service_port::ServicePorts,
    &dash::Dash,
    &fqdn::Fqdn,
    &http::Http,
    &ambient::Ambient,
    &kube_system::KubeSystem,
    &shadow::Shadow,
    &bypass::Bypass,
    &kafka::Kafka,
];

static OF_SETS: &[&dyn SetLint] = &[
    &refused::Refused,
    &unknown::Unknown,
    &kafka::Kafka,
    &types::Types,
    &label::NoMatch,
    &service_port::ServicePorts,
    &dash::Dash,
    &fqdn::Fqdn,
    &http::Http,
    &ambient::Ambient,
    &kube_system::KubeSystem,
    &shadow::Shadow,
    &bypass::Bypass,
    &dns::Dns,
];

/// Every lint that fires on one explained flow, in the order of the table. Where the datapath contradicts our evaluation,
/// nobody is sure of anything, and where it cannot be decided there is nothing to find a pattern in.
pub fn of_flow(case: &Case<'_>) -> Vec<Diagnosis> {
    if case.why.outcome == Outcome::Undecidable || (case.dropped && case.why.agreement == Agreement::Disagrees) {
        return Vec::new();
    }
    let Some(side) = case.side() else { return Vec::new() };
    OF_FLOWS.iter().filter_map(|l| l.check(case, &side)).collect()
}

/// Every finding in a set of policies, in the order of file and line.
pub fn of_set(world: &World, set: &PolicySet, opt: &Options) -> Vec<Finding> {
    let mut out = Vec::new();
    let scope = Scope::new(world, set, opt);
    for lint in OF_SETS {
        lint.check(&scope, &mut out);
    }
    out.sort_by(|a, b| (&a.file, a.line, a.id, &a.text).cmp(&(&b.file, b.line, b.id, &b.text)));
    out.dedup();
    out
}
