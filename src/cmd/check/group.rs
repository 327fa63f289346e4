//! Changes gathered by cause: what lacks the same rule is one entry, however many pods and flows it has. Owns the key and the order;
//! the words of a denial are those of the explanation.
use super::verdict::{Cast, Fate, Found, Heard, Rulings, Turn, Was, denied, port};
use super::{Judged, Subject, Totals};
use crate::model::observed::{Direction, L7, Observed, Verdict};
use crate::model::time::Nanos;
use crate::model::why::{Nearest, Outcome, PolicyRef};
use crate::policy::eval::{Cause, Decision, Judgement};
use crate::policy::ruling::Ruling;
use crate::policy::{PolicySet, explain};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Examples kept of each entry.
const EXAMPLES: usize = 3;
/// Numbers of a policy's drop reasons, and of the records that tell of them.
const DEFAULT_DENY: u32 = 133;
const DENY_RULE: u32 = 181;
const VERDICT_EVENT: (i32, i32) = (5, 0);
const L7_EVENT: (i32, i32) = (129, 0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    NewDrop,
    Undecidable,
    Admitted,
}

/// A policy and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Place {
    #[serde(flatten)]
    pub policy: PolicyRef,
    pub file: String,
    /// Of the rule, where one decides; else of the object.
    pub line: u32,
}

/// One conversation (or request) of an entry.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    pub from: String,
    pub to: String,
    pub port: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    pub records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// One cause, and what it changes.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub change: Change,
    /// The side whose policies deny (or first cannot be decided).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    pub from: String,
    pub to: String,
    pub port: String,
    /// As in the `why` object; absent for what is admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    pub text: String,
    /// Those that deny it, or that admit it.
    pub policies: Vec<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// Those of the other side that would deny it besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Place>,
    /// What the set before said: those that allowed it, or denied it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    pub conversations: u64,
    /// Of these, those that were dropped at times.
    pub partly: u64,
    /// Of these, those that only audit mode let through.
    pub audited: u64,
    /// Of these, those that were dropped whenever they were seen (of what cannot be decided).
    pub dropped: u64,
    pub records: u64,
    #[serde(skip)]
    pub first: Nanos,
    #[serde(skip)]
    pub last: Nanos,
    pub examples: Vec<Example>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    change: Change,
    direction: Option<Direction>,
    from: String,
    to: String,
    port: String,
    policies: Vec<PolicyRef>,
    also: Vec<PolicyRef>,
    missing: Vec<String>,
}

struct Gathering {
    group: Group,
    conversations: HashSet<usize>,
    partly: HashSet<usize>,
    audited: HashSet<usize>,
    dropped: HashSet<usize>,
}

/// The policies by which both sides decide.
fn deciding_all(r: &Ruling) -> Vec<PolicyRef> {
    let denies = r.decision() == Decision::Denied;
    let sides = [&r.egress, &r.ingress].into_iter().filter(|j| !denies || j.decision == Decision::Denied);
    sides.flat_map(Judgement::deciding).collect()
}

/// Where the policies stand.
pub fn places(set: &PolicySet, refs: &[PolicyRef]) -> Vec<Place> {
    let place = |r: &PolicyRef| {
        let policy = set.find(r);
        let rule = policy.and_then(|p| p.find_rule(r.rule.as_deref()?));
        let line = rule.map(|r| r.lines.0).or(policy.map(|p| p.lines.0)).unwrap_or_default();
        Place { policy: r.clone(), file: policy.map_or_else(String::new, |p| p.text.file.clone()), line }
    };
    refs.iter().map(place).collect()
}

fn key(cast: &Cast<'_>, h: &Heard<'_>, fate: &Fate, r: &Rulings, change: Change) -> Key {
    let (from, to, port) = (cast.name(h.src).to_owned(), cast.name(h.dst).to_owned(), port(&h.talk.flow));
    let (mut direction, mut policies, mut also, mut missing) = (None, Vec::new(), Vec::new(), Vec::new());
    match change {
        Change::NewDrop => {
            if let Some((d, j)) = denied(&r.after) {
                (direction, policies) = (Some(d), j.deciding());
                if d == Direction::Egress && r.after.ingress.decision == Decision::Denied {
                    also = r.after.ingress.deciding();
                }
            }
        }
        Change::Admitted => policies = deciding_all(&r.after),
        Change::Undecidable => missing.clone_from(&fate.missing),
    }
    Key { change, direction, from, to, port, policies, also, missing }
}

/// Everything that changes, by cause.
pub fn gather(subject: &Subject<'_>, judged: &Judged<'_>) -> Vec<Group> {
    let mut ids: HashMap<Key, usize> = HashMap::new();
    let mut all: Vec<Gathering> = Vec::new();
    for h in &judged.found.heard {
        let Ok(fate) = &h.fate else { continue };
        let Some(rulings) = &fate.rulings else { continue };
        let change = match fate.turn() {
            Turn::NewDrop => Change::NewDrop,
            Turn::Undecidable | Turn::UndecidableDropped => Change::Undecidable,
            Turn::Admitted => Change::Admitted,
            Turn::Kept | Turn::StillDropped => continue,
        };
        let key = key(&judged.cast, h, fate, rulings, change);
        let id = match ids.get(&key) {
            Some(id) => *id,
            None => {
                all.push(begin(subject, h, rulings, &key));
                ids.insert(key, all.len() - 1);
                all.len() - 1
            }
        };
        if let Some(g) = all.get_mut(id) {
            add(g, h, fate);
        }
    }
    let mut groups: Vec<Group> = all
        .into_iter()
        .map(|g| {
            let n = |s: &HashSet<usize>| s.len() as u64;
            let (conversations, partly) = (n(&g.conversations), n(&g.partly));
            Group { conversations, partly, audited: n(&g.audited), dropped: n(&g.dropped), ..g.group }
        })
        .collect();
    groups.sort_by(|a, b| {
        let order = |g: &Group| (g.change, std::cmp::Reverse(g.conversations));
        order(a)
            .cmp(&order(b))
            .then_with(|| (&a.from, &a.to, &a.port, &a.missing, &a.policies).cmp(&(&b.from, &b.to, &b.port, &b.missing, &b.policies)))
    });
    groups
}

fn begin(subject: &Subject<'_>, h: &Heard<'_>, r: &Rulings, key: &Key) -> Gathering {
    let set = subject.engine.policies();
    let (outcome, text, nearest) = match key.change {
        Change::NewDrop => denial(subject, h, r),
        Change::Undecidable => (Some(Outcome::Undecidable), format!("cannot be decided without {}", key.missing.join(", ")), None),
        Change::Admitted => (None, admission(r), None),
    };
    let before = match (subject.before, &r.before) {
        (Some(set), Some(r)) => places(set, &deciding_all(r)),
        _ => Vec::new(),
    };
    let group = Group {
        change: key.change,
        direction: key.direction,
        from: key.from.clone(),
        to: key.to.clone(),
        port: key.port.clone(),
        outcome,
        text,
        policies: places(set, &key.policies),
        nearest,
        also: places(set, &key.also),
        before,
        missing: key.missing.clone(),
        conversations: 0,
        partly: 0,
        audited: 0,
        dropped: 0,
        records: 0,
        first: h.talk.first,
        last: h.talk.last,
        examples: Vec::new(),
    };
    Gathering { group, conversations: HashSet::new(), partly: HashSet::new(), audited: HashSet::new(), dropped: HashSet::new() }
}

/// What an explanation of the drop to come would say.
fn denial(subject: &Subject<'_>, h: &Heard<'_>, r: &Rulings) -> (Option<Outcome>, String, Option<Nearest>) {
    let Some((direction, j)) = denied(&r.after) else { return (None, String::new(), None) };
    let mut o = Observed { verdict: Verdict::Dropped, direction: Some(direction), ..h.talk.flow.clone() };
    if j.cause == Cause::L7Deny {
        o.event = Some(L7_EVENT);
    } else {
        (o.l7, o.event) = (None, Some(VERDICT_EVENT));
        o.drop_reason = if j.cause == Cause::DenyRule { DENY_RULE } else { DEFAULT_DENY };
    }
    let engine = subject.engine;
    let why = explain(&o, engine.world(), engine.policies(), engine.judging()).why;
    (Some(why.outcome), why.text, why.nearest)
}

fn admission(r: &Rulings) -> String {
    let side = |word: &str, j: &Judgement| match (j.decision, j.cause) {
        (Decision::NotManaged, _) => None,
        (_, Cause::NoPolicy | Cause::DefaultAllow) => Some(format!("nothing isolates its {word}")),
        (_, Cause::AllowLocalhost) => Some("a pod's own node may always reach it".to_owned()),
        _ => j.allowing().first().map(|p| format!("{} of {} allows its {word}", p.rule.as_deref().unwrap_or("a rule"), p.path())),
    };
    let sides: Vec<String> = [side("egress", &r.after.egress), side("ingress", &r.after.ingress)].into_iter().flatten().collect();
    if sides.is_empty() { "neither side has policies of its own".to_owned() } else { sides.join("; ") }
}

fn add(g: &mut Gathering, h: &Heard<'_>, fate: &Fate) {
    let talk = h.talk;
    let records = talk.seen().records() + talk.replies;
    g.conversations.insert(h.conversation);
    match fate.was {
        Was::Partly => _ = g.partly.insert(h.conversation),
        Was::Dropped => _ = g.dropped.insert(h.conversation),
        Was::Passed | Was::Unknown => {}
    }
    if talk.seen().audited > 0 {
        g.audited.insert(h.conversation);
    }
    let group = &mut g.group;
    group.records += records;
    group.first = group.first.min(talk.first);
    group.last = group.last.max(talk.last);
    if group.examples.len() < EXAMPLES {
        let f = &talk.flow;
        let request = match &f.l7 {
            Some(L7::Http { method, url, .. }) => Some(format!("{method} {url}")),
            Some(L7::Dns { query, .. }) => Some(query.clone()),
            _ => None,
        };
        let named = |t: Nanos| (t != Nanos::default()).then(|| t.to_string());
        let (from, to) = (exact(&f.src), exact(&f.dst));
        group.examples.push(Example { from, to, port: port(f), request, records, first: named(talk.first), last: named(talk.last) });
    }
}

/// The pod, or the name and address.
fn exact(p: &crate::model::observed::Party) -> String {
    match (p.display(), p.ip) {
        (name, Some(ip)) if p.pod.is_empty() && name != ip.to_string() => format!("{name} ({ip})"),
        (name, _) => name,
    }
}

/// Each conversation once, under the worst of its requests.
pub fn totals(found: &Found<'_>) -> Totals {
    let mut worst: HashMap<usize, Turn> = HashMap::new();
    for h in &found.heard {
        if let Ok(fate) = &h.fate {
            let turn = fate.turn();
            worst.entry(h.conversation).and_modify(|t| *t = turn.min(*t)).or_insert(turn);
        }
    }
    let mut t = Totals { conversations: worst.len() as u64, ..Totals::default() };
    for turn in worst.into_values() {
        let count = match turn {
            Turn::NewDrop => &mut t.new_drops,
            Turn::Undecidable => &mut t.undecidable,
            Turn::UndecidableDropped => &mut t.undecidable_dropped,
            Turn::Admitted => &mut t.admitted,
            Turn::StillDropped => &mut t.still_dropped,
            Turn::Kept => &mut t.kept,
        };
        *count += 1;
    }
    t
}
