//! An independent, strict reader of the `why` object: its own types, written from the interface's description, and what must hold between fields.
#![allow(dead_code)] // each test binary uses its own part
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    DefaultDeny,
    DeniedByRule,
    L7Denied,
    DnsRefused,
    AuthRequired,
    HostFirewall,
    NotPolicy,
    NowAllowed,
    Undecidable,
    Allowed,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone, Copy)]
pub enum Direction {
    #[serde(rename = "INGRESS")]
    Ingress,
    #[serde(rename = "EGRESS")]
    Egress,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    Agrees,
    Disagrees,
    Unknown,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum On {
    Peer,
    Namespace,
    Label,
    Cidr,
    Fqdn,
    Entity,
    Service,
    Node,
    Port,
    Protocol,
    Icmp,
    Http,
    Dns,
    Kafka,
    Sni,
    Auth,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub rule: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    pub on: On,
    pub wanted: String,
    pub got: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub rule: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub failed: Vec<Failed>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    #[serde(default)]
    pub policies: Vec<Policy>,
    pub details: Option<serde_json::Value>,
    #[serde(default)]
    pub log: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Side {
    pub direction: Direction,
    pub subject: String,
    pub outcome: Outcome,
    pub policies: Vec<Policy>,
    pub nearest: Option<Nearest>,
    #[serde(default)]
    pub missing: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    pub id: String,
    pub text: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Why {
    pub cluster: Option<String>,
    pub outcome: Outcome,
    pub direction: Option<Direction>,
    pub subject: Option<String>,
    pub policies: Vec<Policy>,
    pub reported: Option<Reported>,
    pub nearest: Option<Nearest>,
    pub agreement: Agreement,
    #[serde(default)]
    pub because: Vec<String>,
    #[serde(default)]
    pub missing: Vec<String>,
    #[serde(default)]
    pub inferred: Vec<String>,
    #[serde(default)]
    pub sides: Vec<Side>,
    pub as_of: Option<serde_json::Value>,
    pub changed_since: Option<serde_json::Value>,
    #[serde(default)]
    pub diagnosis: Vec<Diagnosis>,
    pub text: String,
}

const CLUSTER_SCOPED: &[&str] =
    &["CiliumClusterwideNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"];

/// Reads a `why` object as any stranger would, and checks what must hold between its fields.
pub fn read(json: &str) -> Why {
    let why: Why = serde_json::from_str(json).unwrap_or_else(|e| panic!("not a why object: {e}\n{json}"));
    let check = |ok: bool, what: &str| assert!(ok, "{what}\n{json}");
    check(!why.text.is_empty() && !why.text.ends_with('.') && !why.text.contains('\n'), "text is one sentence without a full stop");
    check(why.missing.is_empty() != (why.outcome == Outcome::Undecidable), "missing[] names facts exactly where it is undecidable");
    check(why.outcome != Outcome::NowAllowed || why.agreement == Agreement::Disagrees, "now-allowed disagrees");
    check(why.agreement == Agreement::Agrees || !why.because.is_empty(), "what does not agree has reasons");
    check(why.agreement != Agreement::Agrees || why.because.is_empty(), "agreement needs no reasons");
    check(
        why.outcome != Outcome::NotPolicy || (why.policies.is_empty() && why.nearest.is_none()),
        "no policy is blamed for what no policy did",
    );
    let decided = !matches!(why.outcome, Outcome::NotPolicy | Outcome::Undecidable | Outcome::NowAllowed | Outcome::Allowed);
    check(!decided || (why.direction.is_some() && why.subject.is_some()), "a decision has a side");
    check(why.outcome != Outcome::DeniedByRule || why.policies.iter().all(|p| p.rule.is_some()), "a deny has its rule");
    check(why.outcome != Outcome::DefaultDeny || why.policies.iter().all(|p| p.rule.is_none()), "default deny has no rule");
    check(why.sides.is_empty() || why.sides.len() == 2, "both sides or none");
    let all = why.policies.iter().chain(why.sides.iter().flat_map(|s| &s.policies));
    for p in all {
        check(p.namespace.is_none() == CLUSTER_SCOPED.contains(&p.kind.as_str()), "only cluster-scoped kinds have no namespace");
    }
    for n in why.nearest.iter().chain(why.sides.iter().filter_map(|s| s.nearest.as_ref())) {
        check(!n.failed.is_empty() && !n.rule.is_empty(), "the nearest rule failed on something");
        check(n.line.is_none_or(|l| l > 0), "lines count from 1");
    }
    let twice = |v: &[Policy]| v.iter().enumerate().any(|(i, p)| v[..i].contains(p));
    check(!twice(&why.policies), "no policy twice");
    why
}

impl Why {
    /// `ns/name` of the policies.
    pub fn names(&self) -> Vec<String> {
        names(&self.policies)
    }

    /// (on, wanted, got) of the nearest rule.
    pub fn failed(&self) -> Vec<(On, &str, &str)> {
        self.nearest.iter().flat_map(|n| &n.failed).map(|f| (f.on, f.wanted.as_str(), f.got.as_str())).collect()
    }
}

pub fn names(policies: &[Policy]) -> Vec<String> {
    policies.iter().map(|p| p.namespace.as_ref().map_or_else(|| p.name.clone(), |ns| format!("{ns}/{}", p.name))).collect()
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub files: Vec<String>,
    pub diff: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Also {
    pub from: String,
    pub to: String,
    pub what: String,
    pub records: u64,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    pub records: u64,
    pub conversations: u64,
    #[serde(default)]
    pub unheld: u64,
    pub from: Option<String>,
    pub to: Option<String>,
    pub lost: u64,
    pub filter: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    pub title: String,
    pub patch: Option<Patch>,
    #[serde(default)]
    pub yaml: String,
    pub admits: u64,
    pub conversations: u64,
    pub of: u64,
    pub also: Vec<Also>,
    #[serde(default)]
    pub also_more: u64,
    pub isolates: Vec<String>,
    #[serde(default)]
    pub isolates_more: u64,
    pub undecided: u64,
    pub basis: Ground,
    pub client: Option<String>,
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Reads a `suggestion` object as any stranger would, and checks what must hold between its fields.
pub fn suggestion(json: &str) -> Suggestion {
    let s: Suggestion = serde_json::from_str(json).unwrap_or_else(|e| panic!("not a suggestion: {e}\n{json}"));
    let check = |ok: bool, what: &str| assert!(ok, "{what}\n{json}");
    check(!s.title.is_empty() && !s.title.contains('\n'), "the title is one line");
    check(s.conversations <= s.of && s.of <= s.basis.conversations, "a cause is a part of what is at hand");
    check(s.yaml.is_empty() != (s.conversations > 0), "an edit admits something, and advice nothing");
    check(s.patch.is_none() || !s.yaml.is_empty(), "what is patched is shown whole too");
    check(
        s.patch.iter().all(|p| !p.files.is_empty() && p.files.iter().all(|f| p.diff.contains(&format!("--- {f}\n")))),
        "files of the patch",
    );
    check(!s.yaml.contains("podSelector: {}") || s.yaml.contains("allow-dns") || s.patch.is_some(), "a whole namespace only for DNS");
    s
}
