//! `flowhy check --propose`: the fewest allow rules that keep what worked, tried out on the traffic they come from.
//!
//! Owns which conversations are to be kept, and the proof; how a rule is made is `policy::suggest`'s. What was dropped before is
//! never asked for, and what the rules cannot say is told with its reason.
use super::group::places;
use super::propose_out as out;
use super::text::{named, stands};
use super::verdict::{self, Cast, Heard, Turn, Was, port};
use super::{Format, Judged, Paint, Report, Subject};
use crate::model::input::Change;
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::policy::eval::{Cause, Decision, Judgement, Traffic};
use crate::policy::ruling::traffic;
use crate::policy::suggest::build::{self, Kind, New, What, Who};
use crate::policy::suggest::proof::Ground;
use crate::policy::suggest::propose::{Need, is_dns, propose as fewest};
use crate::policy::{Engine, PolicySet};
use crate::world::{Endpoint, yaml};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

/// Cilium 1.N from which on a policy may allow without isolating.
const ONLY_ALLOWS: u32 = 16;

/// A policy to be added.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    #[serde(flatten)]
    pub policy: PolicyRef,
    pub yaml: String,
}

/// Conversations between the same two, of which the same is to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub from: String,
    pub to: String,
    pub port: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    pub conversations: u64,
}

/// What is proposed, and what it does.
#[derive(Debug, Default)]
pub struct Proposal {
    pub policies: Vec<Made>,
    /// Conversations that worked and would be dropped.
    pub broken: u64,
    /// Of these, those that the rules keep.
    pub kept: u64,
    pub unsaid: Vec<Line>,
    /// What was dropped, or could not be decided, and would be admitted besides.
    pub also: Vec<Line>,
    /// What the rules themselves would drop: they isolate whom nothing isolated.
    pub breaks: Vec<Line>,
    pub isolates: Vec<String>,
    pub notes: Vec<String>,
}

impl Proposal {
    /// Whether everything that worked is kept.
    pub fn complete(&self) -> bool {
        self.unsaid.is_empty() && self.breaks.is_empty()
    }

    pub fn write(&self, report: &Report, format: Format, paint: &Paint, to: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => out::text(self, report, paint, to),
            Format::Json => out::json(self, report, to),
            Format::Markdown => out::markdown(self, report, to),
        }
    }
}

/// Lines by who, whom, port and reason.
#[derive(Default)]
struct Lines(BTreeMap<(String, String, String, String), BTreeSet<usize>>);

impl Lines {
    fn add(&mut self, cast: &Cast<'_>, h: &Heard<'_>, why: &str) {
        let key = (cast.name(h.src).to_owned(), cast.name(h.dst).to_owned(), port(&h.talk.flow), why.to_owned());
        self.0.entry(key).or_default().insert(h.conversation);
    }

    fn done(self) -> Vec<Line> {
        let line = |((from, to, port, why), ids): (_, BTreeSet<usize>)| Line { from, to, port, why, conversations: ids.len() as u64 };
        self.0.into_iter().map(line).collect()
    }
}

/// A side that has to be opened. There are two of every conversation.
struct Wanted<'a> {
    heard: &'a Heard<'a>,
    direction: Direction,
    subject: &'a Endpoint,
    peer: &'a Endpoint,
}

impl Wanted<'_> {
    /// The packets; requests are for other rules.
    fn traffic(&self) -> Traffic {
        Traffic { request: None, ..traffic(&self.heard.talk.flow) }
    }
}

pub fn propose(subject: &Subject<'_>, judged: &Judged<'_>) -> Proposal {
    let (engine, cast) = (subject.engine, &judged.cast);
    let (set, opt) = (engine.policies(), engine.judging());
    let mut unsaid = Lines::default();
    let mut lost: HashSet<usize> = HashSet::new();
    let mut broken: HashSet<usize> = HashSet::new();
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for h in &judged.found.heard {
        match needs(cast, set, h) {
            None => {}
            Some(Ok(sides)) => {
                broken.insert(h.conversation);
                wanted.extend(sides);
            }
            Some(Err(why)) => {
                broken.insert(h.conversation);
                lost.insert(h.conversation);
                unsaid.add(cast, h, &why);
            }
        }
    }
    let sorts = sorts(cast);
    // A rule for one half of what cannot be kept would open something for nothing.
    wanted.retain(|w| !lost.contains(&w.heard.conversation));
    let mut out = Proposal { broken: broken.len() as u64, ..Proposal::default() };
    let ground = Ground::new(engine.talks().iter(), engine.world(), set, opt);
    let taken = |ns: &str, name: &str| set.iter().any(|p| p.id.namespace.as_deref() == Some(ns) && p.id.name == name);
    let extra = name_servers(cast, judged, &wanted, opt.engine, &mut out.notes);
    // What one rule cannot say is known only when it is tried; what hangs on it is then taken back as a whole.
    let made = loop {
        let asked = ask(&wanted, &extra, &sorts);
        let mut needs = Vec::with_capacity(asked.len());
        for (_, Wanted { direction, subject, peer, .. }, traffic) in &asked {
            needs.push(Need { direction: *direction, subject, peer, traffic });
        }
        let made = fewest(&needs, &ground.crowd, opt, &taken);
        let failed = made.unsaid.iter().filter_map(|(i, why)| Some((wanted.get(asked.get(*i)?.0)?, why)));
        let mut gone: HashMap<usize, String> = HashMap::new();
        let failed: HashMap<Sort, &String> = failed.map(|(w, why)| (sort(w, &sorts), why)).collect();
        for w in wanted.iter().filter(|_| !failed.is_empty()) {
            if let Some(why) = failed.get(&sort(w, &sorts)) {
                gone.entry(w.heard.conversation).or_insert_with(|| (*why).clone());
            }
        }
        if gone.is_empty() {
            break made;
        }
        for w in &wanted {
            if let Some(why) = gone.get(&w.heard.conversation) {
                unsaid.add(cast, w.heard, why);
            }
        }
        wanted.retain(|w| !gone.contains_key(&w.heard.conversation));
    };
    let asked: HashSet<usize> = wanted.iter().map(|w| w.heard.conversation).collect();
    lost.extend(broken.difference(&asked));
    let new: Vec<New> = made.policies.into_iter().map(|p| narrow(p, wanted.iter().chain(&extra), &ground)).collect();
    prove(subject, judged, &ground, &new, (&broken, &lost), unsaid, &mut out);
    out
}

/// The sides that would have to be opened for what worked and would be dropped; `Err`: why no rule can do it.
fn needs<'a>(cast: &'a Cast<'_>, set: &PolicySet, h: &'a Heard<'a>) -> Option<Result<Vec<Wanted<'a>>, String>> {
    let fate = h.fate.as_ref().ok().filter(|f| f.turn() == Turn::NewDrop)?;
    let after = &fate.rulings.as_ref()?.after;
    if fate.was != Was::Passed {
        return Some(Err("it was dropped at times, so it is not known to be wanted".to_owned()));
    }
    let (from, to) = (&cast.end(h.src)?.endpoint, &cast.end(h.dst)?.endpoint);
    let mut sides = Vec::new();
    for (direction, j, subject, peer) in [(Direction::Egress, &after.egress, from, to), (Direction::Ingress, &after.ingress, to, from)] {
        match j.decision {
            Decision::Denied => {}
            Decision::Unknown => return Some(Err(format!("its {} cannot be decided without {}", direction.word(), j.missing.join(", ")))),
            Decision::Allowed | Decision::NotManaged => continue,
        }
        if let Some(why) = no_rule(set, direction, j, peer) {
            return Some(Err(why));
        }
        sides.push(Wanted { heard: h, direction, subject, peer });
    }
    Some(Ok(sides))
}

/// Why no allow rule opens this side.
fn no_rule(set: &PolicySet, direction: Direction, j: &Judgement, peer: &Endpoint) -> Option<String> {
    let by = |refs: &[PolicyRef]| {
        places(set, refs).first().map_or_else(|| "a rule".to_owned(), |p| format!("{} ({})", named(&p.policy), stands(p)))
    };
    match j.cause {
        Cause::DenyRule => return Some(format!("{} denies it, and no allow rule outweighs that", by(&j.attributed))),
        Cause::L7Deny => return Some(format!("the port is open and {} refuses the request: widen that rule", by(&j.l7_rules))),
        _ => {}
    }
    if peer.labels.is_world() && !peer.pod.is_empty() {
        return Some(format!("the records name the pod {} and no label of it", peer.display));
    }
    if peer.labels.is_world() && direction == Direction::Ingress {
        return Some("it comes from outside the cluster, where only an address or all of the world could be named".to_owned());
    }
    if peer.labels.is_world() && peer.names.is_empty() {
        return Some("no DNS answer names its address".to_owned());
    }
    None
}

/// What is the same of two sides that one rule opens: its direction, its two ends, and what is sent.
type Sort = (Direction, [Option<usize>; 2], (Option<L4>, Option<u16>, Option<u8>));

fn sort(w: &Wanted<'_>, sorts: &[usize]) -> Sort {
    let end = |id: usize| sorts.get(id).copied();
    let t = w.traffic();
    (w.direction, [end(w.heard.src), end(w.heard.dst)], (t.l4, t.port, t.icmp))
}

/// Of each end a number that it has in common with those that no rule tells from it.
fn sorts(cast: &Cast<'_>) -> Vec<usize> {
    let mut seen: HashMap<(String, String, Option<std::net::IpAddr>), usize> = HashMap::new();
    let sort = |e: &Endpoint| {
        let told = format!("{:?}{:?}{}", e.labels, e.names, e.host_network);
        let next = seen.len();
        *seen.entry((e.namespace.clone(), told, if e.labels.is_pod() { None } else { e.ip })).or_insert(next)
    };
    cast.ends.iter().map(|e| &e.endpoint).map(sort).collect()
}

/// Each different need once, with the number of the first that has it; needs of `extra` come after all others.
fn ask<'w, 'a>(wanted: &'w [Wanted<'a>], extra: &'w [Wanted<'a>], sorts: &[usize]) -> Vec<(usize, &'w Wanted<'a>, Traffic)> {
    let mut seen = HashSet::new();
    let first = wanted.iter().chain(extra).enumerate().filter(|(_, w)| seen.insert(sort(w, sorts)));
    first.map(|(i, w)| (i, w, w.traffic())).collect()
}

/// A rule by DNS name needs the answers to pass the agent's proxy. Where the queries themselves are not among what is broken, those of
/// the same namespace that were seen tell the server.
fn name_servers<'a>(
    cast: &'a Cast<'_>,
    judged: &'a Judged<'_>,
    wanted: &[Wanted<'a>],
    engine: Engine,
    notes: &mut Vec<String>,
) -> Vec<Wanted<'a>> {
    if engine != Engine::Cilium {
        return Vec::new();
    }
    let dns = |w: &Wanted<'_>| w.direction == Direction::Egress && w.peer.labels.is_pod() && What::of(&w.traffic()).is_some_and(is_dns);
    let served: BTreeSet<&str> = wanted.iter().filter(|w| dns(w)).map(|w| w.subject.namespace.as_str()).collect();
    let by_name = wanted.iter().filter(|w| w.direction == Direction::Egress && w.peer.labels.is_world());
    let lacking: BTreeSet<&str> = by_name.map(|w| w.subject.namespace.as_str()).filter(|ns| !served.contains(ns)).collect();
    let asks = |h: &'a Heard<'_>, subject: &'a Endpoint| -> Option<Wanted<'a>> {
        let peer = &cast.end(h.dst)?.endpoint;
        let w = Wanted { heard: h, direction: Direction::Egress, subject, peer };
        (h.fate.is_ok() && subject.labels.is_pod() && dns(&w)).then_some(w)
    };
    // The first of each namespace.
    let mut found: BTreeMap<&str, Wanted<'a>> = BTreeMap::new();
    for h in &judged.found.heard {
        let Some(subject) = cast.end(h.src).map(|e| &e.endpoint) else { continue };
        let ns = subject.namespace.as_str();
        if lacking.contains(ns)
            && !found.contains_key(ns)
            && let Some(w) = asks(h, subject)
        {
            found.insert(ns, w);
        }
    }
    let mut out = Vec::new();
    for ns in lacking {
        match found.remove(ns) {
            Some(w) => out.push(w),
            None => notes.push(format!(
                "namespace {ns} needs rules by DNS name, and no query of it was seen: without a DNS rule the agent learns no addresses"
            )),
        }
    }
    out
}

/// A policy for a whole namespace that would isolate whom nothing isolated becomes one that only allows, where Cilium can say that.
fn narrow<'a>(new: New, wanted: impl Iterator<Item = &'a Wanted<'a>>, ground: &Ground<'_>) -> New {
    let opt = ground.opt;
    if opt.engine != Engine::Cilium || opt.cilium < ONLY_ALLOWS || compiled(&new.yaml()).iter().all(|p| ground.newly_isolated(p).is_empty())
    {
        return new;
    }
    if new.kind == Kind::Cilium {
        return New { isolates: false, ..new };
    }
    if !new.subject.is_empty() {
        return new;
    }
    let dns = wanted
        .filter(|w| w.direction == Direction::Egress && w.subject.namespace == new.namespace && What::of(&w.traffic()).is_some_and(is_dns));
    let servers: BTreeSet<Who> = dns.filter_map(|w| build::who(w.direction, w.peer, &ground.crowd, opt).ok()).collect();
    let servers: Vec<Who> = servers.into_iter().filter(|w| matches!(w, Who::Pod { .. })).collect();
    match build::rule(Kind::Cilium, Direction::Egress, Some(&new.namespace), &servers, &What::DNS) {
        Some(rule) => New { kind: Kind::Cilium, rules: vec![rule], isolates: false, ..new },
        None => new,
    }
}

fn compiled(body: &str) -> Vec<Arc<crate::policy::ir::Policy>> {
    let mut set = PolicySet::new();
    for doc in yaml::read("proposal", body).0 {
        set.apply(&Change::Apply(Arc::new(doc)));
    }
    set.iter().cloned().collect()
}

/// Reads the proposal back, lays it over the set, and judges everything again.
fn prove(
    subject: &Subject<'_>,
    judged: &Judged<'_>,
    ground: &Ground<'_>,
    new: &[New],
    (broken, lost): (&HashSet<usize>, &HashSet<usize>),
    mut unsaid: Lines,
    out: &mut Proposal,
) {
    let cast = &judged.cast;
    let mut set = subject.engine.policies().clone();
    for n in new {
        let body = n.yaml();
        let (docs, faults) = yaml::read("proposal", &body);
        out.notes.extend(faults.iter().map(ToString::to_string));
        for doc in docs {
            out.notes.extend(set.apply(&Change::Apply(Arc::new(doc))).iter().map(ToString::to_string));
        }
        for p in compiled(&body) {
            out.isolates.extend(ground.newly_isolated(&p));
        }
        let policy = PolicyRef { kind: n.kind.word().to_owned(), namespace: Some(n.namespace.clone()), name: n.name.clone(), rule: None };
        out.policies.push(Made { policy, yaml: body });
    }
    out.isolates.sort();
    out.isolates.dedup();
    let (mut also, mut breaks) = (Lines::default(), Lines::default());
    let mut failed: HashSet<usize> = lost.clone();
    for (h, now) in judged.found.heard.iter().zip(&verdict::all(subject, &set, cast).heard) {
        let (Ok(before), Ok(after)) = (&h.fate, &now.fate) else { continue };
        match (before.turn(), after.turn()) {
            (Turn::NewDrop, Turn::Kept) => {}
            (Turn::NewDrop, Turn::Admitted) => also.add(cast, h, ""),
            (Turn::NewDrop, _) if broken.contains(&h.conversation) && failed.insert(h.conversation) => {
                unsaid.add(cast, h, "the rules that were made for it do not admit it");
            }
            (Turn::NewDrop, _) => {}
            (_, Turn::NewDrop) => breaks.add(cast, h, ""),
            (Turn::StillDropped | Turn::UndecidableDropped, Turn::Admitted) => also.add(cast, h, ""),
            _ => {}
        }
    }
    out.kept = broken.iter().filter(|c| !failed.contains(c)).count() as u64;
    (out.unsaid, out.also, out.breaks) = (unsaid.done(), also.done(), breaks.done());
}
