//! `flowhy audit`: where the policies leave the cluster open, and what a recording proves.
//!
//! Owns which questions are asked and how much an answer weighs. Judges nothing itself: what isolates a pod, what a rule admits and
//! what is wrong with a policy come from `policy`.
mod isolation;
mod markdown;
mod pods;
mod report;
mod text;
mod traffic;
mod wide;
mod words;

pub use markdown::markdown;
pub use report::{Content, File, Report, SCHEMA, Severity};
pub use text::text;

use crate::engine::Engine;
use crate::model::doc::Fault;
use crate::model::observed::Direction;
use crate::policy::{Enforcement, Engine as Judging, Options, PolicySet, lint};
use isolation::Judge;
use pods::{Group, Subject};
use report::{By, Counts, Finding, InNamespace, Judged, Known, KnownFrom, Namespace, Place, Pod, Policies, Side, State, Tally, Traffic};
use std::collections::{BTreeMap, BTreeSet};

/// How the report is written for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Glyphs outside ASCII.
    pub unicode: bool,
    pub color: bool,
}

/// What the answer stands on, besides what the engine holds.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Whether a recording was read.
    pub traffic: bool,
    /// The filter of flows, as it was typed; empty: none.
    pub filter: String,
    pub files: Vec<File>,
    /// Manifests, and parts of them, that could not be read.
    pub unread: Vec<Fault>,
}

const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Answers every question.
pub fn audit(engine: &Engine, evidence: Evidence) -> Report {
    let (world, set, opt) = (engine.world(), engine.policies(), engine.judging());
    let judge = Judge::new(world, set, opt);
    let subjects = pods::all(engine);
    let groups = pods::groups(&subjects, set);
    let mut sides: Vec<Option<(Side, Side)>> = vec![None; subjects.len()];
    let mut candidates = Vec::new();
    for Group { members } in &groups {
        let Some(first) = members.first().and_then(|i| subjects.get(*i)) else { continue };
        let [ingress, egress] = BOTH.map(|d| judge.side(d, &first.endpoint));
        let called = members.iter().filter_map(|i| subjects.get(*i)).map(path).collect();
        candidates.push(wide::Candidate { endpoint: &first.endpoint, called, ingress: ingress.state, egress: egress.state });
        for slot in members {
            if let Some(slot) = sides.get_mut(*slot) {
                *slot = Some((ingress.clone(), egress.clone()));
            }
        }
    }
    let mut by_namespace: BTreeMap<String, Vec<(&Subject, Side, Side)>> = BTreeMap::new();
    for ns in world.namespaces().into_iter().chain(set.iter().filter_map(|p| p.id.namespace.as_deref())) {
        by_namespace.entry(ns.to_owned()).or_default();
    }
    for (subject, side) in subjects.iter().zip(sides) {
        if let Some((ingress, egress)) = side {
            by_namespace.entry(subject.namespace.clone()).or_default().push((subject, ingress, egress));
        }
    }
    let newcomers: BTreeMap<&str, _> = by_namespace.keys().map(|ns| (ns.as_str(), pods::newcomer(world, ns))).collect();
    let mut findings = of_set(world, set, opt);
    let (mut namespaces, mut totals) = (Vec::new(), [Tally::default(); 2]);
    for (name, members) in &by_namespace {
        let Some(newcomer) = newcomers.get(name.as_str()) else { continue };
        let new = BOTH.map(|d| judge.side(d, newcomer));
        if members.is_empty() {
            // With no pod at hand the one that may come stands for all.
            let [ingress, egress] = [&new[0], &new[1]].map(|s| s.state);
            candidates.push(wide::Candidate { endpoint: newcomer, called: vec![format!("{name}/(any pod)")], ingress, egress });
        }
        let [ingress, egress] = [0, 1].map(|i| {
            let mut pods = Tally::default();
            members.iter().for_each(|m| pods.add(if i == 0 { m.1.state } else { m.2.state }));
            InNamespace { pods, new_pod: new[i].state }
        });
        for (total, own) in totals.iter_mut().zip([&ingress, &egress]) {
            total.total += own.pods.total;
            total.closed += own.pods.closed;
            total.open += own.pods.open;
            total.unknown += own.pods.unknown;
            total.uncovered += own.pods.uncovered;
        }
        for (direction, new) in BOTH.into_iter().zip(&new) {
            let of = |m: &(&Subject, Side, Side)| (path(m.0), if direction == Direction::Ingress { m.1.clone() } else { m.2.clone() });
            of_namespace(name, direction, &members.iter().map(of).collect::<Vec<_>>(), new, opt, &mut findings);
        }
        let pod = |(s, ingress, egress): &(&Subject, Side, Side)| Pod {
            kind: s.kind.clone(),
            name: s.name.clone(),
            replicas: s.replicas,
            known_from: s.known_from,
            ingress: ingress.clone(),
            egress: egress.clone(),
        };
        namespaces.push(Namespace { name: name.clone(), ingress, egress, pods: members.iter().map(pod).collect() });
    }
    findings.extend(wide::findings(&judge, &candidates));
    let traffic = evidence.traffic.then(|| traffic::traffic(engine, &evidence));
    if let Some(t) = &traffic {
        of_traffic(t, &mut findings);
    }
    findings.extend(evidence.unread.iter().map(|f| Finding {
        place: Some(Place { file: f.file.clone(), line: f.line }),
        ..finding(Severity::Unknown, "unread", format!("not read, so whatever it says is not in this answer: {}", f.what))
    }));
    let known = known(&subjects);
    let not_looked_at = not_looked_at(&known, set, &evidence);
    let mut report = Report {
        schema: SCHEMA,
        program: concat!("flowhy ", env!("CARGO_PKG_VERSION")),
        judged: judged(opt),
        counts: Counts::default(),
        known_from: known,
        ingress: totals[0],
        egress: totals[1],
        policies: Policies { evaluated: set.len(), refused: set.refused().len(), not_evaluated: set.not_understood().len() },
        namespaces,
        findings,
        traffic,
        not_looked_at,
        inputs: evidence.files,
    };
    sort(&mut report);
    report
}

/// `shop/cart`
fn path(s: &Subject) -> String {
    format!("{}/{}", s.namespace, if s.known_from == KnownFrom::Template || s.called.is_empty() { &s.name } else { &s.called })
}

fn finding(severity: Severity, id: &'static str, text: String) -> Finding {
    Finding { severity, id, namespace: None, direction: None, policy: None, place: None, text, pods: Vec::new() }
}

fn judged(opt: &Options) -> Judged {
    let cilium = opt.engine == Judging::Cilium;
    Judged {
        engine: if cilium { "cilium" } else { "kubernetes" },
        cilium_version: cilium.then(|| format!("1.{}", opt.cilium)),
        policy_enforcement: match opt.enforcement {
            Enforcement::Default => "default",
            Enforcement::Always => "always",
            Enforcement::Never => "never",
        },
        host_firewall: opt.host_firewall,
        allow_localhost: if opt.allow_localhost { "always" } else { "policy" },
    }
}

/// What the policies say by themselves: those that enforce nothing, those that are not understood, and the lints.
fn of_set(world: &crate::world::World, set: &PolicySet, opt: &Options) -> Vec<Finding> {
    let mut out = Vec::new();
    if opt.enforcement == Enforcement::Never {
        let why = opt.unenforced.map_or_else(|| "policy enforcement is `never`".to_owned(), |n| format!("{n} enforces no NetworkPolicy"));
        out.push(finding(Severity::Open, "enforcement-off", format!("{why}: no policy does anything")));
    }
    if opt.audit {
        let text = "policy-audit-mode is on: what policies deny is recorded and passes all the same".to_owned();
        out.push(finding(Severity::Open, "audit-mode", text));
    }
    let lists = [
        (set.refused(), Severity::Open, "refused", "is refused and enforces nothing"),
        (set.not_understood(), Severity::Unknown, "kind-not-evaluated", "is not evaluated: what it opens or closes is not known"),
    ];
    for (list, severity, id, what) in lists {
        out.extend(list.iter().map(|n| {
            let reason = if severity == Severity::Open { format!(": {}", n.what) } else { String::new() };
            Finding {
                namespace: n.policy.namespace.clone(),
                policy: Some(n.policy.clone()),
                place: Some(Place { file: n.file.clone(), line: n.line }),
                ..finding(
                    severity,
                    id,
                    format!("{} {} {what}{reason}", words::kind(&n.policy.kind, severity == Severity::Unknown), n.policy.path()),
                )
            }
        }));
    }
    let refused: BTreeSet<_> = set.refused().iter().map(|n| (n.file.as_str(), &n.policy)).collect();
    for l in lint::of_set(world, set, opt) {
        // Said above, with what it means for the answer.
        if l.policy.as_ref().is_some_and(|p| refused.contains(&(l.file.as_str(), p))) {
            continue;
        }
        out.push(Finding {
            namespace: l.policy.as_ref().and_then(|p| p.namespace.clone()),
            policy: l.policy,
            place: Some(Place { file: l.file, line: l.line }),
            ..finding(Severity::Note, l.id, l.text)
        });
    }
    out
}

/// What one direction of one namespace leaves open.
fn of_namespace(name: &str, direction: Direction, members: &[(String, Side)], new: &Side, opt: &Options, out: &mut Vec<Finding>) {
    let word = direction.word();
    let whom = if direction == Direction::Ingress { "anybody may connect to" } else { "any address may be reached from" };
    let open = if words::of_the_cluster(name) { Severity::Note } else { Severity::Open };
    let mut say = |severity: Severity, id: &'static str, text: String, pods: Vec<String>| {
        let (namespace, direction) = (Some(name.to_owned()), Some(direction));
        out.push(Finding { namespace, direction, pods, ..finding(severity, id, text) });
    };
    if opt.enforcement == Enforcement::Never {
        return;
    }
    let mut by_reason: BTreeMap<(u8, &str), Vec<String>> = BTreeMap::new();
    for (pod, side) in members {
        let rank = match side.state {
            State::Open => 0,
            State::Unknown => 1,
            State::Uncovered => 2,
            State::Closed => continue,
        };
        by_reason.entry((rank, &side.because)).or_default().push(pod.clone());
    }
    let all = members.len();
    for ((rank, because), mut pods) in by_reason {
        let n = pods.len();
        pods.sort();
        pods.dedup();
        let some = if n == all { words::count(n, "pod") } else { format!("{n} of {}", words::count(all, "pod")) };
        let because = if because.is_empty() { String::new() } else { format!(" ({because})") };
        let (them, are) = if n == 1 { ("it", "is") } else { ("them", "are") };
        match rank {
            0 => say(open, "not-isolated", format!("no policy closes {some} for {word}: {whom} {them}{because}"), pods),
            1 => say(Severity::Unknown, "isolation-not-known", format!("not known for {word} whether {some} {are} closed{because}"), pods),
            _ => say(Severity::Note, "not-coverable", format!("no policy of pods covers {some} for {word}{because}"), pods),
        }
    }
    let closed = members.iter().filter(|(_, s)| s.state == State::Closed).count();
    match new.state {
        State::Open if all == 0 => {
            let text = format!("no default deny for {word}: no pod is at hand, and one without labels of its own would be open");
            say(open, "no-default-deny", text, Vec::new());
        }
        State::Unknown if all == 0 => {
            let text = format!("whether a new pod is closed for {word} is not known ({})", new.because);
            say(Severity::Unknown, "isolation-not-known", text, Vec::new());
        }
        State::Open if closed == all => {
            let text = format!("no default deny for {word}: every pod at hand is closed, and one with other labels would be open");
            say(Severity::Note, "no-default-deny", text, Vec::new());
        }
        _ => {}
    }
}

/// What got through although nothing speaks of it, or although the policies at hand deny it.
fn of_traffic(t: &Traffic, out: &mut Vec<Finding>) {
    let mut found: BTreeMap<(&str, Direction, By), (u64, BTreeSet<String>)> = BTreeMap::new();
    for a in &t.admitted {
        let (n, pods) = found.entry((&a.namespace, a.direction, a.by)).or_default();
        *n += a.conversations;
        pods.insert(format!("{}/{}", a.namespace, a.subject));
    }
    for ((namespace, direction, by), (n, pods)) in found {
        let open = if words::of_the_cluster(namespace) { Severity::Note } else { Severity::Open };
        let many = words::count(usize::try_from(n).unwrap_or(usize::MAX), "conversation");
        let word = direction.word();
        let (severity, id, text) = match by {
            By::NothingSelects => (open, "forwarded-unselected", format!("{many} got through {word} though no policy selects the pod")),
            By::DefaultAllow => (open, "forwarded-not-isolated", format!("{many} got through {word} though no policy isolates the pod")),
            By::Audited => {
                let why = "a policy that denies them is only audited, not enforced";
                (open, "only-audited", format!("{many} got through {word}: {why}"))
            }
            By::Denied => {
                let why = "the policies are newer than the recording, or are not enforced as written";
                (Severity::Unknown, "forwarded-though-denied", format!("{many} got through {word} that these policies deny: {why}"))
            }
            By::Unknown => (Severity::Unknown, "forwarded-not-known", format!("of {many} that got through {word} the rule is not known")),
            By::Localhost | By::Rule => continue,
        };
        let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
        out.push(Finding { namespace, direction: Some(direction), pods: pods.into_iter().collect(), ..finding(severity, id, text) });
    }
}

fn known(subjects: &[Subject]) -> Known {
    let mut known = Known::default();
    for s in subjects {
        match s.known_from {
            KnownFrom::Manifest => known.manifests += 1,
            KnownFrom::Template => {
                known.templates += 1;
                known.replicas = known.replicas.saturating_add(s.replicas.unwrap_or(0));
            }
            KnownFrom::Traffic => known.traffic += 1,
        }
    }
    known
}

fn not_looked_at(known: &Known, set: &PolicySet, evidence: &Evidence) -> Vec<String> {
    let mut out = Vec::new();
    let kinds: BTreeSet<String> = set.not_understood().iter().map(|n| words::kind(&n.policy.kind, true)).collect();
    if !kinds.is_empty() {
        let kinds: Vec<_> = kinds.into_iter().collect();
        out.push(format!("policies of kinds that are not evaluated: {}", kinds.join(", ")));
    }
    if !evidence.unread.is_empty() {
        out.push(format!("{} of the manifests that could not be read", words::count(evidence.unread.len(), "part")));
    }
    if known.manifests == 0 {
        out.push(match (known.templates, known.traffic) {
            (0, 0) => "pods: none is among the manifests; a pod without labels of its own stands for those of a namespace".to_owned(),
            (0, _) => "pods without traffic: no pod is among the manifests".to_owned(),
            _ => "pods themselves: workloads' templates stand for them, each once".to_owned(),
        });
    }
    let what = |content| evidence.files.iter().any(|f| f.what == content);
    out.push(match what(Content::Cluster) && !what(Content::Manifest) {
        true => "what changed in the cluster after it was read".to_owned(),
        false => "the cluster as it is: the manifests are taken for what is in force".to_owned(),
    });
    out.push("encryption, mutual TLS, and whether the network plugin enforces policies at all".to_owned());
    if evidence.traffic {
        out.push("whether the recording was filtered when it was made: it does not say".to_owned());
        if !evidence.filter.is_empty() {
            out.push("rules without a hit: the filter leaves out traffic that they may have admitted".to_owned());
        }
    } else {
        out.push("traffic: no recording was given (--from)".to_owned());
    }
    out
}

/// Namespaces by their worst findings, findings likewise within each.
fn sort(r: &mut Report) {
    let mut weight: BTreeMap<Option<String>, [usize; 3]> = BTreeMap::new();
    for f in &r.findings {
        let (mine, total) = match f.severity {
            Severity::Open => (0, &mut r.counts.open),
            Severity::Unknown => (1, &mut r.counts.unknown),
            Severity::Note => (2, &mut r.counts.note),
        };
        *total += 1;
        weight.entry(f.namespace.clone()).or_default()[mine] += 1;
    }
    let of = |ns: Option<&String>| {
        let counts = weight.get(&ns.cloned()).copied().unwrap_or_default();
        (ns.is_none(), std::cmp::Reverse(counts), ns.cloned())
    };
    r.namespaces.sort_by_cached_key(|n| of(Some(&n.name)));
    r.findings.sort_by_cached_key(|f| {
        (of(f.namespace.as_ref()), f.severity, f.direction.map(|d| d == Direction::Egress), f.id, f.place.clone(), f.text.clone())
    });
}

impl Report {
    /// Whether something is open.
    pub fn is_open(&self) -> bool {
        self.counts.open > 0
    }
}
