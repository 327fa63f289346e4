//! Every conversation judged: what it was, and what it becomes. Owns what counts as having worked, and what is not judged at all.
use super::Subject;
use crate::engine::who;
use crate::model::observed::{Direction, L4, Observed, Party};
use crate::model::talk::Talk;
use crate::model::why::PolicyRef;
use crate::policy::eval::{Decision, Judgement, Traffic};
use crate::policy::ir::{Auth, L7Rules, Policy, Ports};
use crate::policy::ruling::{Ruling, ruling, traffic};
use crate::policy::{Options, PolicySet};
use crate::world::{Endpoint, World};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What became of it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Was {
    Passed,
    /// Dropped at times.
    Partly,
    Dropped,
    /// The set before cannot decide it.
    Unknown,
}

/// Why a conversation is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Not {
    /// Nothing says who began it.
    Initiator,
    /// To a service's own address, before it is known which pod will answer; the packet to that pod is a record of its own.
    Frontend,
    /// It failed for a reason that is no policy's, or no verdict is told.
    Failed,
}

/// A side of a conversation as it is called in the report.
#[derive(Debug)]
pub struct End {
    pub endpoint: Endpoint,
    /// The workload, a DNS name, `world`, or a reserved name.
    pub name: String,
}

/// Everybody who speaks, each once.
#[derive(Debug, Default)]
pub struct Cast<'a> {
    pub ends: Vec<End>,
    ids: HashMap<&'a Party, usize>,
}

/// One conversation (or one request of it).
#[derive(Debug)]
pub struct Heard<'a> {
    pub talk: &'a Talk,
    pub src: usize,
    pub dst: usize,
    /// The same for all requests of one conversation.
    pub conversation: usize,
    pub fate: Result<Fate, Not>,
}

/// What a conversation was and becomes.
#[derive(Debug)]
pub struct Fate {
    pub was: Was,
    /// Under the set before.
    pub before: Option<Ruling>,
    pub after: Ruling,
    /// `after.decision()`, but unknown where requests would have to pass rules and none was recorded, or where both sides would have to
    /// prove who they are.
    pub decision: Decision,
    pub missing: Vec<String>,
}

/// Which way a verdict changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    NewDrop,
    Undecidable,
    /// As above, of something that never worked.
    UndecidableDropped,
    Admitted,
    StillDropped,
    Kept,
}

impl Fate {
    pub fn turn(&self) -> Turn {
        match (self.was, self.decision) {
            (Was::Passed, Decision::Allowed | Decision::NotManaged) => Turn::Kept,
            (Was::Partly | Was::Dropped, Decision::Allowed | Decision::NotManaged) => Turn::Admitted,
            (Was::Dropped, Decision::Denied) => Turn::StillDropped,
            (Was::Passed | Was::Partly, Decision::Denied) => Turn::NewDrop,
            (Was::Dropped, Decision::Unknown) => Turn::UndecidableDropped,
            (Was::Passed | Was::Partly, Decision::Unknown) | (Was::Unknown, _) => Turn::Undecidable,
        }
    }
}

impl<'a> Cast<'a> {
    pub fn new(subject: &Subject<'a>) -> Self {
        let mut cast = Self::default();
        let world = subject.engine.world();
        for talk in subject.engine.talks().iter() {
            cast.add(&talk.flow.src, world);
            cast.add(&talk.flow.dst, world);
        }
        cast
    }

    fn add(&mut self, party: &'a Party, world: &World) {
        if !self.ids.contains_key(party) {
            let endpoint = world.endpoint(party);
            self.ids.insert(party, self.ends.len());
            self.ends.push(End { name: name(party, &endpoint, world), endpoint });
        }
    }

    pub fn id(&self, party: &Party) -> usize {
        self.ids.get(party).copied().unwrap_or_default()
    }

    pub fn end(&self, id: usize) -> Option<&End> {
        self.ends.get(id)
    }

    /// What a side is called; `?` for nobody.
    pub fn name(&self, id: usize) -> &str {
        self.end(id).map_or("?", |e| &e.name)
    }
}

fn name(party: &Party, e: &Endpoint, world: &World) -> String {
    if e.labels.is_pod() || !party.pod.is_empty() {
        // A proxy speaks for a pod by its labels alone.
        return if party.pod.is_empty() && !e.namespace.is_empty() && !e.display.contains('/') {
            format!("{}/{}", e.namespace, e.display)
        } else if party.pod.is_empty() {
            e.display.clone()
        } else {
            who(party, world).name
        };
    }
    match e.names.first() {
        Some(name) => name.clone(),
        None if e.labels.is_world() => "world".to_owned(),
        None => e.display.clone(),
    }
}

/// Judges all conversations, in the order of their first record.
pub fn all<'a>(subject: &Subject<'a>, cast: &mut Cast<'a>) -> Vec<Heard<'a>> {
    let engine = subject.engine;
    let (world, set, opt) = (engine.world(), engine.policies(), engine.judging());
    let mut conversations: HashMap<Connection, usize> = HashMap::new();
    let mut found: Vec<Heard<'a>> = Vec::with_capacity(engine.talks().len());
    let mut asked: HashSet<(String, String, u16)> = HashSet::new();
    for talk in engine.talks().iter() {
        let f = &talk.flow;
        let (src, dst) = (cast.id(&f.src), cast.id(&f.dst));
        let next = conversations.len();
        let conversation = *conversations.entry((end(&f.src), end(&f.dst), f.l4, f.dst_port, f.icmp)).or_insert(next);
        if f.l7.is_some() {
            asked.insert((cast.name(src).to_owned(), cast.name(dst).to_owned(), f.dst_port));
        }
        let fate = match (not_judged(talk, cast.end(dst)), cast.end(src), cast.end(dst)) {
            (Some(not), _, _) => Err(not),
            (None, Some(from), Some(to)) => {
                let traffic = traffic(f);
                let rule = |set: &PolicySet| ruling(&from.endpoint, &to.endpoint, &traffic, world, set, opt);
                fate(talk, rule(set), subject.before.map(rule)).ok_or(Not::Failed)
            }
            _ => Err(Not::Initiator),
        };
        found.push(Heard { talk, src, dst, conversation, fate });
    }
    // Only now is it known whose requests were recorded.
    for h in &mut found {
        let Ok(fate) = &mut h.fate else { continue };
        let flow = &h.talk.flow;
        let known = flow.l7.is_some() || asked.contains(&(cast.name(h.src).to_owned(), cast.name(h.dst).to_owned(), flow.dst_port));
        if fate.decision != Decision::Allowed || same(fate.before.as_ref(), &fate.after) {
            continue;
        }
        if !known && picky(&fate.after, set) {
            fate.decision = Decision::Unknown;
            fate.missing = vec![format!("requests:{}", cast.name(h.dst))];
        } else if [&fate.after.egress, &fate.after.ingress].iter().any(|j| matches!(j.auth, Some(Auth::Required | Auth::AlwaysFail))) {
            fate.decision = Decision::Unknown;
            fate.missing = vec![format!("authentication:{}", cast.name(h.dst))];
        }
    }
    found
}

type Name = (Option<IpAddr>, String, String);
type Connection = (Name, Name, Option<L4>, u16, Option<(u8, u8)>);

fn end(p: &Party) -> Name {
    (p.ip, p.namespace.clone(), p.pod.clone())
}

fn not_judged(talk: &Talk, to: Option<&End>) -> Option<Not> {
    let f = &talk.flow;
    let outside = to.is_some_and(|e| e.endpoint.labels.is_world() || !e.endpoint.known);
    match () {
        () if f.is_reply.is_none() => Some(Not::Initiator),
        () if f.dst.service.is_some() && f.dst.pod.is_empty() && outside => Some(Not::Frontend),
        () => None,
    }
}

/// `None`: nothing is told of what it was.
fn fate(talk: &Talk, after: Ruling, before: Option<Ruling>) -> Option<Fate> {
    let (mut decision, mut missing) = (after.decision(), after.missing());
    let was = match &before {
        None => observed(talk)?,
        Some(b) => match b.decision() {
            Decision::Allowed | Decision::NotManaged => Was::Passed,
            Decision::Denied => Was::Dropped,
            // What neither set can decide, and both for the same reasons, does not change.
            Decision::Unknown if decision == Decision::Unknown && same(Some(b), &after) => {
                (decision, missing) = (Decision::Allowed, Vec::new());
                Was::Passed
            }
            Decision::Unknown => {
                missing.extend(b.missing().into_iter().filter(|m| !after.missing().contains(m)));
                Was::Unknown
            }
        },
    };
    Some(Fate { was, before, after, decision, missing })
}

/// What the datapath did with it. In audit mode it was let through. What the sender's side forwarded and the receiver's dropped was
/// dropped.
pub fn observed(talk: &Talk) -> Option<Was> {
    let passed = |s: crate::model::talk::Seen| s.forwarded + s.audited > 0;
    let (e, i, u) = (talk.egress, talk.ingress, talk.unsaid);
    if talk.seen().dropped == 0 {
        return (passed(talk.seen()) || talk.replies > 0).then_some(Was::Passed);
    }
    let arrived = passed(i) || talk.replies > 0;
    let partly = match (e.dropped > 0, i.dropped > 0) {
        (true, _) => arrived || passed(e),
        (false, true) => arrived,
        (false, false) => arrived || passed(u),
    };
    Some(if partly { Was::Partly } else { Was::Dropped })
}

/// Whether requests have to pass L7 rules that do not let every one pass.
fn picky(r: &Ruling, set: &PolicySet) -> bool {
    [&r.egress, &r.ingress].into_iter().any(|j| !j.l7_rules.is_empty() && !j.l7_rules.iter().any(|r| lets_all_pass(r, set)))
}

fn lets_all_pass(r: &PolicyRef, set: &PolicySet) -> bool {
    let of_rule = |id: &str| r.rule.as_deref().is_some_and(|full| full == id || full.strip_prefix(id).is_some_and(|t| t.starts_with('.')));
    let Some(policy) = set.find(r) else { return false };
    let rules = policy.sections.iter().flat_map(|s| &s.rules).filter(|rule| of_rule(&rule.id));
    let mut lists = rules.flat_map(|rule| match &rule.ports {
        Ports::Of(list) => list.iter().filter_map(|p| p.l7.as_ref()).collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    lists.any(|l7| match l7 {
        L7Rules::Dns(list) => list.iter().any(|d| matches!(d.pattern.text.as_str(), "*" | "**")),
        L7Rules::Kafka(list) => list.iter().any(|k| k.keys.is_empty() && k.topic.is_none() && k.client.is_none() && k.version.is_none()),
        L7Rules::Other(_) => false,
        L7Rules::Http(list) => list.iter().any(|h| h.method.is_none() && h.path.is_none() && h.host.is_none() && h.headers.is_empty()),
    })
}

/// Whether both sets speak by the same policies, word for word.
fn same(before: Option<&Ruling>, after: &Ruling) -> bool {
    let policies =
        |a: &[Arc<Policy>], b: &[Arc<Policy>]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.id == y.id && x.doc.root == y.doc.root);
    let side = |a: &Judgement, b: &Judgement| a.decision == b.decision && a.missing == b.missing && policies(&a.selecting, &b.selecting);
    before.is_some_and(|b| side(&b.egress, &after.egress) && side(&b.ingress, &after.ingress))
}

/// `TCP/5432`, `ICMP type 8`, `?`.
pub fn port(o: &Observed) -> String {
    let t: Traffic = traffic(o);
    match (t.l4, t.port, t.icmp) {
        (Some(l4), Some(port), _) => format!("{}/{port}", l4.word()),
        (Some(l4), None, Some(kind)) => format!("{} type {kind}", l4.word()),
        (Some(l4), None, None) => l4.word().to_owned(),
        (None, Some(port), _) => port.to_string(),
        (None, None, _) => "?".to_owned(),
    }
}

/// The side that is denied first: what a sender may not send never arrives.
pub fn denied(r: &Ruling) -> Option<(Direction, &Judgement)> {
    [(Direction::Egress, &r.egress), (Direction::Ingress, &r.ingress)].into_iter().find(|(_, j)| j.decision == Decision::Denied)
}

/// The options under which everything is judged, for what is written about it.
pub fn options(o: &Options) -> String {
    let engine = if o.engine == crate::policy::Engine::Cilium { format!("Cilium 1.{}", o.cilium) } else { "Kubernetes".to_owned() };
    let enforcement = match o.enforcement {
        crate::policy::Enforcement::Default => "",
        crate::policy::Enforcement::Always => ", enforcement always",
        crate::policy::Enforcement::Never => ", enforcement never",
    };
    let host = if o.host_firewall { ", host firewall" } else { "" };
    let local = if o.allow_localhost { "" } else { ", localhost by policy" };
    format!("{engine}{enforcement}{host}{local}")
}
