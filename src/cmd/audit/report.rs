//! What an audit says, as one object: the JSON is these types, and text and Markdown are read off them.
//!
//! Owns shapes and their order, which are part of the interface: `schema` grows when a field changes its meaning or goes away.
use crate::engine::cover::Gap;
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of this object.
pub const SCHEMA: u32 = 1;

/// How bad a finding is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody may connect whom no rule names. Exit 1.
    Open,
    /// Not answered, and why.
    Unknown,
    /// Worth a look; opens nothing by itself.
    Note,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unknown => "not known",
            Self::Note => "note",
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub schema: u32,
    /// Name and version of the program.
    pub program: &'static str,
    pub judged: Judged,
    pub counts: Counts,
    /// How the pods below are known.
    pub known_from: Known,
    /// All namespaces together.
    pub ingress: Tally,
    pub egress: Tally,
    pub policies: Policies,
    /// Those with the worst findings first.
    pub namespaces: Vec<Namespace>,
    /// In the order of the namespaces, the worst first; those of no namespace come last.
    pub findings: Vec<Finding>,
    /// Absent without a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What this answer does not speak of, in sentences.
    pub not_looked_at: Vec<String>,
    pub inputs: Vec<File>,
}

/// Whose reading of the policies counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    pub engine: &'static str,
    /// `1.20`; absent where another engine is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cilium_version: Option<String>,
    pub policy_enforcement: &'static str,
    pub host_firewall: bool,
    pub allow_localhost: &'static str,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub open: usize,
    pub unknown: usize,
    pub note: usize,
}

/// Where pods are known from, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Known {
    /// Pods by their own manifests.
    pub manifests: usize,
    /// Workloads of whose pods none is at hand.
    pub templates: usize,
    /// How many pods those want, where their kind says it.
    pub replicas: u64,
    /// Pods by the recording alone.
    pub traffic: usize,
}

/// Pods in one direction. `total` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    pub total: usize,
    pub closed: usize,
    pub open: usize,
    pub unknown: usize,
    /// No policy of pods can speak of them: they are on the host's network.
    pub uncovered: usize,
}

impl Tally {
    pub fn add(&mut self, state: State) {
        self.total += 1;
        match state {
            State::Closed => self.closed += 1,
            State::Open => self.open += 1,
            State::Unknown => self.unknown += 1,
            State::Uncovered => self.uncovered += 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Policies {
    pub evaluated: usize,
    /// They enforce nothing.
    pub refused: usize,
    /// Of kinds that are not understood.
    pub not_evaluated: usize,
}

/// One direction of one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Something isolates it: only what a rule names gets through.
    Closed,
    Open,
    Unknown,
    Uncovered,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Unknown => "not known",
            Self::Uncovered => "not covered",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    pub state: State,
    /// The policies that isolate it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<PolicyRef>,
    /// Why it is not closed, where that is more than that nothing selects it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace {
    pub name: String,
    pub ingress: InNamespace,
    pub egress: InNamespace,
    pub pods: Vec<Pod>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InNamespace {
    pub pods: Tally,
    /// What a pod would be that comes tomorrow with labels of its own: the namespace's default.
    pub new_pod: State,
}

/// A pod, or a workload of whose pods none is at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// `Pod`, or the workload's kind.
    pub kind: String,
    pub name: String,
    /// How many of it the workload wants, where its kind says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
    pub known_from: KnownFrom,
    pub ingress: Side,
    pub egress: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownFrom {
    /// Its own manifest.
    Manifest,
    /// The template of its workload.
    Template,
    /// The recording alone.
    Traffic,
}

/// Something to know, to look at, or to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// Stable, in kebab-case.
    pub id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    pub text: String,
    /// Names of the pods or workloads concerned, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
}

/// Where something stands in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub file: String,
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What a recording proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// What was let through, by subject; each conversation under both of its sides that have policy of their own.
    pub admitted: Vec<Admitted>,
    /// Allow rules that decided nothing that was seen; absent where a filter left traffic out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_rules: Option<Vec<Rule>>,
    pub coverage: Coverage,
}

/// All conversations of one subject with one peer on one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admitted {
    pub namespace: String,
    /// Workload, else pod.
    pub subject: String,
    pub direction: Direction,
    pub peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    pub by: By,
    /// The rules that admit it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Facts that would decide it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    pub conversations: u64,
    pub records: u64,
}

/// Why something got through, as the policies at hand say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// No policy selects the subject.
    NothingSelects,
    /// Policies select it, and none isolates.
    DefaultAllow,
    /// A policy denies it, and is only audited, not enforced.
    Audited,
    /// The policies at hand would deny it.
    Denied,
    Unknown,
    /// The subject's own node may always reach it.
    Localhost,
    Rule,
}

impl By {
    pub fn words(self) -> &'static str {
        match self {
            Self::NothingSelects => "nothing selects it",
            Self::DefaultAllow => "nothing isolates it",
            Self::Audited => "denied, but only audited",
            Self::Denied => "these policies deny it",
            Self::Unknown => "not known",
            Self::Localhost => "its own node",
            Self::Rule => "a rule",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule {
    #[serde(flatten)]
    pub policy: PolicyRef,
    #[serde(flatten)]
    pub place: Place,
}

/// What the recording can prove, and what not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub records: u64,
    /// Records without a time.
    pub timeless: u64,
    /// The filter of this run; empty: none.
    pub filter: String,
    /// Records that it left out.
    pub refused: u64,
    /// What the recording was limited to when it was made; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub made_with: String,
    /// Times of which servers may lack flows, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_lack: Vec<String>,
    /// Spans without any record; absent if there were too many to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Vec<Span>>,
    pub nodes: Vec<Node>,
    /// Nodes of the manifests of which nothing was recorded.
    pub silent_nodes: Vec<String>,
    /// Events that servers said they lost, by node and source.
    pub lost: BTreeMap<String, u64>,
    /// Lines that could not be read.
    pub malformed: u64,
    /// Records that are no flows.
    pub no_flows: u64,
    /// Fields and values of flows that are not known here.
    pub unknown_fields: u64,
    /// Conversations of which nobody says who began; they are judged for nobody.
    pub without_initiator: u64,
    /// Records of conversations that found no room.
    pub overflow: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    pub from: String,
    pub to: String,
    pub seconds: i64,
}

impl From<&Gap> for Span {
    fn from(g: &Gap) -> Self {
        Self { from: g.from.to_string(), to: g.to.to_string(), seconds: g.seconds() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    pub name: String,
    pub records: u64,
    pub first: String,
    pub last: String,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    pub path: String,
    pub what: Content,
    /// As the file lies on the disk; absent for standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    Manifest,
    Recording,
    /// What is in a cluster, as its API said it.
    Cluster,
}
