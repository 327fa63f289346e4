//! What the traffic does not prove. A capture without a gap is no proof of what is impossible: this says what was not seen at all, and
//! what was seen and not judged.
use super::verdict::{Cast, Found, Not, options};
use super::{Judged, Subject};
use crate::model::why::PolicyRef;
use crate::policy::NotUnderstood;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};

/// Spans without a record that are told: shorter ones are how traffic is.
const GAP: i64 = 60;

/// A policy that was not judged.
#[derive(Debug, Clone, Serialize)]
pub struct Unjudged {
    #[serde(flatten)]
    pub policy: PolicyRef,
    pub file: String,
    pub line: u32,
    pub what: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Gap {
    pub from: String,
    pub to: String,
}

/// What lies behind the answer, and what does not.
#[derive(Debug, Clone, Serialize)]
pub struct Unseen {
    /// Time of the first and last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub records: u64,
    /// Nodes that reported something.
    pub nodes: usize,
    /// How policies were judged.
    pub judged: String,
    /// Spans of more than a minute without a record; `None`: not known.
    pub gaps: Option<Vec<Gap>>,
    /// What the recording was limited to when it was made; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub made_with: String,
    /// Times of which servers may lack flows, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_lack: Vec<String>,
    /// Events that the servers lost.
    pub lost: u64,
    pub malformed: u64,
    /// Records that the filter left out.
    pub refused: u64,
    /// Records of conversations beyond those that can be held.
    pub overflow: u64,
    /// Conversations of which nothing says who began them.
    pub initiator_unknown: u64,
    /// Conversations with a service's own address, of which the record does not say the pod.
    pub frontends: u64,
    /// Conversations that failed for another reason than a policy, or of which no verdict is told.
    pub failed: u64,
    /// Workloads and pods of the manifests that neither sent nor received anything.
    pub silent: Vec<String>,
    /// Policies that selected no side of any conversation.
    pub idle: Vec<PolicyRef>,
    /// Policies of kinds that are not evaluated: whatever they would do is not in the answer.
    pub not_evaluated: Vec<Unjudged>,
    /// Policies that the API server or Cilium would refuse: they enforce nothing.
    pub refused_policies: Vec<Unjudged>,
}

pub fn of(subject: &Subject<'_>, judged: &Judged<'_>) -> Unseen {
    let engine = subject.engine;
    let (ledger, cover) = (engine.ledger(), engine.cover());
    let count = |not: Not| {
        let ids: HashSet<usize> =
            judged.found.heard.iter().filter(|h| h.fate.as_ref().err() == Some(&not)).map(|h| h.conversation).collect();
        ids.len() as u64
    };
    let gaps = cover.gaps(GAP).map(|all| all.iter().map(|g| Gap { from: g.from.to_string(), to: g.to.to_string() }).collect());
    Unseen {
        from: cover.first.map(|t| t.to_string()),
        to: cover.last.map(|t| t.to_string()),
        records: cover.records,
        nodes: cover.nodes().keys().filter(|n| !n.is_empty()).count(),
        judged: options(engine.judging()),
        gaps,
        made_with: engine.captures().limits(),
        may_lack: ledger.gaps.iter().map(ToString::to_string).collect(),
        lost: ledger.lost_total(),
        malformed: ledger.malformed,
        refused: ledger.refused,
        overflow: engine.talks().overflow,
        initiator_unknown: count(Not::Initiator),
        frontends: count(Not::Frontend),
        failed: count(Not::Failed),
        silent: silent(subject, &judged.cast),
        idle: idle(subject, &judged.found),
        not_evaluated: unjudged(engine.policies().not_understood()),
        refused_policies: unjudged(engine.policies().refused()),
    }
}

fn unjudged(list: &[NotUnderstood]) -> Vec<Unjudged> {
    list.iter().map(|n| Unjudged { policy: n.policy.clone(), file: n.file.clone(), line: n.line, what: n.what.clone() }).collect()
}

/// Workloads whose pods never spoke, and pods without a workload that never did.
fn silent(subject: &Subject<'_>, cast: &Cast<'_>) -> Vec<String> {
    let world = subject.engine.world();
    let mut heard: HashSet<(&str, &str)> = HashSet::new();
    let mut named: HashSet<&str> = HashSet::new();
    for end in &cast.ends {
        heard.insert((&end.endpoint.namespace, &end.endpoint.pod));
        named.insert(&end.name);
    }
    // A workload is heard if a pod of its making is, whatever the record calls its owner.
    let mut owners: HashSet<(&str, &str)> = HashSet::new();
    for (ns, pod) in &heard {
        if let Some((_, name, _)) = world.workload_of(ns, pod, &[]) {
            owners.insert((ns, name));
        }
    }
    let mut out: BTreeSet<String> = BTreeSet::new();
    for (ns, kind, name, template) in world.workloads() {
        // The pods of a ReplicaSet or Job that another workload makes are that one's.
        if template.owner.is_some() || owners.contains(&(ns, name)) || named.contains(format!("{ns}/{name}").as_str()) {
            continue;
        }
        out.insert(format!("{kind} {ns}/{name}"));
    }
    for ((ns, name), pod) in world.pods() {
        let owned = world.workload_of(ns, name, &[]).is_some();
        if !owned && !pod.finished && !heard.contains(&(ns.as_str(), name.as_str())) {
            out.insert(format!("Pod {ns}/{name}"));
        }
    }
    out.into_iter().collect()
}

fn idle(subject: &Subject<'_>, found: &Found<'_>) -> Vec<PolicyRef> {
    let idle: BTreeSet<PolicyRef> = subject.engine.policies().iter().filter(|p| !found.touched(p)).map(|p| p.id.clone()).collect();
    idle.into_iter().collect()
}
