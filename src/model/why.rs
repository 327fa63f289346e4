//! The explanation of a flow: the `why` object of the JSON stream, and beside it what only a screen needs.
//!
//! Owns shapes, not judgement. Field order here is the order in the JSON; it is part of the interface.
use super::doc::Text;
use super::observed::{Direction, Told};
use super::time::Nanos;
use super::words::few;
use serde::Serialize;
use std::sync::Arc;

/// What became of the flow, as we derive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Some policy isolates the subject and no rule allows the flow.
    DefaultDeny,
    /// An explicit deny rule matched.
    DeniedByRule,
    /// The proxy refused the request; L3/L4 allowed the connection.
    L7Denied,
    /// The DNS proxy refused the query.
    DnsRefused,
    /// A policy demands mutual authentication that has not happened.
    AuthRequired,
    HostFirewall,
    /// No policy has caused this drop.
    NotPolicy,
    /// Dropped, yet the policies at hand allow it or nothing isolates.
    NowAllowed,
    /// A fact is missing; `missing[]` names it.
    Undecidable,
    /// Passed (only asked for with `--why=all`).
    Allowed,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::DefaultDeny => "default-deny",
            Self::DeniedByRule => "denied-by-rule",
            Self::L7Denied => "l7-denied",
            Self::DnsRefused => "dns-refused",
            Self::AuthRequired => "auth-required",
            Self::HostFirewall => "host-firewall",
            Self::NotPolicy => "not-policy",
            Self::NowAllowed => "now-allowed",
            Self::Undecidable => "undecidable",
            Self::Allowed => "allowed",
        }
    }
}

/// Whether our model and the datapath say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    Agrees,
    Disagrees,
    Unknown,
}

/// A policy object; `rule` where one rule decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PolicyRef {
    pub kind: String,
    /// Absent for cluster-scoped kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl PolicyRef {
    /// `ns/name`, or `name` for cluster-scoped kinds.
    pub fn path(&self) -> String {
        match &self.namespace {
            Some(ns) => format!("{ns}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// One condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Failed {
    /// peer namespace label cidr fqdn entity service node port protocol icmp http dns kafka sni auth
    pub on: &'static str,
    pub wanted: String,
    pub got: String,
}

/// The rule with the fewest failed conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Nearest {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    pub rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of the first failed condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub failed: Vec<Failed>,
}

/// What the agent itself named, untouched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedCause {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRef>,
    /// Which rule and version of them it says it went by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Told>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl ReportedCause {
    /// Of a policy: `rule 3, generation 2`; empty if nothing was told.
    pub fn detail(&self, policy: &PolicyRef) -> String {
        self.details.iter().find(|t| t.is(policy)).map_or_else(String::new, Told::words)
    }
}

impl Told {
    pub fn is(&self, p: &PolicyRef) -> bool {
        self.kind == p.kind && self.name == p.name && self.namespace == p.namespace.as_deref().unwrap_or("")
    }
}

/// One side, where the flow does not say which was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    pub direction: Direction,
    pub subject: String,
    pub outcome: Outcome,
    pub policies: Vec<PolicyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A lint that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub id: &'static str,
    pub text: String,
}

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// When it was written, by its own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Nanos>,
}

/// A change of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    /// `added`, `changed`, `removed`.
    pub what: &'static str,
    /// Of several changes of one policy the last.
    pub at: Nanos,
    /// Who wrote it, as the API keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Version>,
}

/// Which versions were used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AsOf {
    /// Of the policies that decide, where they have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Version>,
    /// What changed about the flow's time, so that a node may have known it or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<Changed>,
    /// Since when policies are known, where the flow is older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_from: Option<Nanos>,
}

/// The `why` object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Whose policies were asked, where there are several clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub policies: Vec<PolicyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<ReportedCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    pub agreement: Agreement,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inferred: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sides: Vec<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
    /// Between the flow and now, of what decides then or now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_since: Vec<Changed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<Diagnosis>,
    pub text: String,
}

/// Missing facts named in a sentence.
const NAMED: usize = 3;

impl Why {
    /// Leaves it undecided for want of these facts, besides those that are missing already: nobody is named, and nothing stays that
    /// rests on an answer.
    pub fn leave_open(&mut self, missing: impl IntoIterator<Item = String>) {
        for fact in missing {
            if !self.missing.contains(&fact) {
                self.missing.push(fact);
            }
        }
        (self.outcome, self.agreement) = (Outcome::Undecidable, Agreement::Unknown);
        (self.policies, self.nearest, self.sides, self.diagnosis) = (Vec::new(), None, Vec::new(), Vec::new());
        // Which side it was followed from the answer.
        if let Some(at) = self.inferred.iter().position(|i| i == "direction") {
            self.inferred.remove(at);
            (self.direction, self.subject) = (None, None);
        }
        self.text = format!("cannot be decided without {}", few(self.missing.iter().cloned(), NAMED));
    }

    /// What changed near the flow's time and since, in sentences.
    pub fn changes(&self) -> Vec<String> {
        let near = self.as_of.iter().flat_map(|a| &a.near).filter(|c| !self.changed_since.contains(c));
        let near = near.map(|c| format!("about then {}", c.words()));
        let known = self.as_of.iter().filter_map(|a| a.known_from).map(|t| format!("policies are known from {t} on, later than the flow"));
        near.chain(self.changed_since.iter().map(|c| format!("since then {}", c.words()))).chain(known).collect()
    }
}

impl Changed {
    /// `NetworkPolicy shop/db was changed at 2026-01-01T10:03:20Z by kubectl-edit (generation 2, then 3)`.
    fn words(&self) -> String {
        let path = self.namespace.as_ref().map_or_else(|| self.name.clone(), |ns| format!("{ns}/{}", self.name));
        let by = self.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let generation = |v: &Option<Version>| v.as_ref().and_then(|v| v.generation);
        let versions = match (generation(&self.before), generation(&self.after)) {
            (Some(a), Some(b)) if a != b => format!(" (generation {a}, then {b})"),
            _ => String::new(),
        };
        format!("{} {path} was {} at {}{by}{versions}", self.kind, self.what, self.at)
    }
}

/// A mark at a line of a policy's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Counted from 1, in the file.
    pub line: u32,
    pub ok: bool,
    /// `sender has app=cart`, `flow has TCP/5433`.
    pub text: String,
}

/// One rule as the *why* screen shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleView {
    pub policy: PolicyRef,
    /// `ingress[0]`; empty for a policy (or direction) without rules.
    pub rule: String,
    pub file: String,
    /// The text of the version that was judged.
    pub text: Arc<Text>,
    /// First and last line of the rule in the file; of the whole object where there is no rule.
    pub lines: (u32, u32),
    pub failed: Vec<Failed>,
    /// Only where the rule's peer or port matched; else empty, and the sentence is that no rule mentions this peer or port.
    pub marks: Vec<Mark>,
    /// Of some condition it is not known whether it holds.
    pub unsure: bool,
}

/// How one direction was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneState {
    /// The side has no policy of its own (world, remote node, unmanaged).
    NotManaged,
    /// Managed, and no policy selects it.
    Open,
    Allowed,
    Denied,
    Undecidable,
}

/// One direction on the *why* screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub direction: Direction,
    pub subject: String,
    pub state: LaneState,
    /// `1 policy selects it; 2 rules, none match`.
    pub text: String,
    /// The policies that select the subject, each with a short note (`isolates, no rules`).
    pub policies: Vec<(PolicyRef, String)>,
}

/// Everything the *why* screen shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub why: Why,
    /// Egress first, then ingress.
    pub lanes: Vec<Lane>,
    /// Rules of the judged side, nearest first.
    pub rules: Vec<RuleView>,
    /// What changed about the flow's time or since, as `why` names it, with both texts.
    pub edits: Vec<Edit>,
}

/// A change of a policy, with the texts of both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub policy: PolicyRef,
    pub at: Nanos,
    pub before: Option<Arc<Text>>,
    pub after: Option<Arc<Text>>,
}
