//! Every conversation judged: what it was, and what it becomes. Owns what counts as having worked, and what is not judged at all.
use super::Subject;
use crate::engine::who;
use crate::model::observed::{Direction, L4, Observed, Party};
use crate::model::talk::Talk;
use crate::policy::eval::l7::{Http, Kafka, Request};
use crate::policy::eval::{Decision, Judgement, Traffic};
use crate::policy::ir::{Auth, Policy};
use crate::policy::ruling::{Ruling, ruling_between, traffic};
use crate::policy::{self, Options, PolicySet};
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

/// What the set before and the one to be checked say.
#[derive(Debug)]
pub struct Rulings {
    pub before: Option<Ruling>,
    pub after: Ruling,
}

/// All conversations, in the order of their first record.
#[derive(Debug, Default)]
pub struct Found<'a> {
    pub heard: Vec<Heard<'a>>,
    /// Policies that selected a side of one, by address.
    touched: HashSet<*const Policy>,
}

impl Found<'_> {
    pub fn touched(&self, policy: &Arc<Policy>) -> bool {
        self.touched.contains(&Arc::as_ptr(policy))
    }
}

/// What a conversation was and becomes.
#[derive(Debug)]
pub struct Fate {
    pub was: Was,
    /// What the sets say; let go where nothing changes, because of those there are many.
    pub rulings: Option<Box<Rulings>>,
    /// What the set to be checked decides, but unknown where requests would have to pass rules and none was recorded, or where both sides would have to
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

impl Turn {
    pub fn changes(self) -> bool {
        !matches!(self, Self::StillDropped | Self::Kept)
    }
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

/// Judges all conversations by `set`.
pub fn all<'a>(subject: &Subject<'a>, set: &PolicySet, cast: &Cast<'a>) -> Found<'a> {
    let engine = subject.engine;
    let (world, opt) = (engine.world(), engine.judging());
    // What selects an end is found once for each set.
    let ends = |of: Option<&PolicySet>| -> Vec<policy::End> {
        of.map_or_else(Vec::new, |_| cast.ends.iter().map(|e| policy::End::new(e.endpoint.clone())).collect())
    };
    let (now, then) = (ends(Some(set)), ends(subject.before));
    let mut conversations: HashMap<Connection, usize> = HashMap::new();
    let mut found = Found { heard: Vec::with_capacity(engine.talks().len()), ..Found::default() };
    // Between whom requests were recorded.
    let mut asked: HashSet<(&str, &str, u16)> = HashSet::new();
    for talk in engine.talks().iter() {
        let f = &talk.flow;
        let (src, dst) = (cast.id(&f.src), cast.id(&f.dst));
        let next = conversations.len();
        let conversation = *conversations.entry((end(&f.src), end(&f.dst), f.l4, f.dst_port, f.icmp)).or_insert(next);
        if f.l7.is_some() {
            asked.insert((cast.name(src), cast.name(dst), f.dst_port));
        }
        let fate = match (not_judged(talk, cast.end(dst)), now.get(src), now.get(dst)) {
            (Some(not), _, _) => Err(not),
            (None, Some(from), Some(to)) => {
                let traffic = traffic(f);
                let after = ruling_between(from, to, &traffic, world, set, opt);
                let before = subject.before.and_then(|set| Some(ruling_between(then.get(src)?, then.get(dst)?, &traffic, world, set, opt)));
                found.touched.extend([&after.egress, &after.ingress].into_iter().flat_map(|j| j.selecting.iter()).map(Arc::as_ptr));
                fate(talk, Rulings { before, after }).ok_or(Not::Failed)
            }
            _ => Err(Not::Initiator),
        };
        found.heard.push(Heard { talk, src, dst, conversation, fate });
    }
    // Only now is it known whose requests were recorded.
    for h in &mut found.heard {
        let Ok(fate) = &mut h.fate else { continue };
        let flow = &h.talk.flow;
        let known = flow.l7.is_some() || asked.contains(&(cast.name(h.src), cast.name(h.dst), flow.dst_port));
        let (Some(from), Some(to)) = (now.get(h.src), now.get(h.dst)) else { continue };
        let ask = |t: &Traffic| ruling_between(from, to, t, world, set, opt).decision();
        let picky = || !known && picky(&traffic(flow), &ask);
        if let Some(what) = fate.rulings.as_ref().and_then(|r| condition(r, fate.decision, &picky)) {
            fate.decision = Decision::Unknown;
            fate.missing = vec![format!("{what}:{}", cast.name(h.dst))];
        }
        if !fate.turn().changes() {
            fate.rulings = None;
        }
    }
    found
}

/// What an allowed packet still depends on, unless both sets say so alike.
fn condition(r: &Rulings, decision: Decision, picky: &dyn Fn() -> bool) -> Option<&'static str> {
    if decision != Decision::Allowed || same(r.before.as_ref(), &r.after) {
        return None;
    }
    let rules = |j: &Judgement| !j.l7_rules.is_empty();
    let auth = |j: &Judgement| matches!(j.auth, Some(Auth::Required | Auth::AlwaysFail));
    match () {
        () if (rules(&r.after.egress) || rules(&r.after.ingress)) && picky() => Some("requests"),
        () if auth(&r.after.egress) || auth(&r.after.ingress) => Some("authentication"),
        () => None,
    }
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
fn fate(talk: &Talk, r: Rulings) -> Option<Fate> {
    let (mut decision, mut missing) = (r.after.decision(), r.after.missing());
    let was = match &r.before {
        None => observed(talk)?,
        Some(b) => match b.decision() {
            Decision::Allowed | Decision::NotManaged => Was::Passed,
            Decision::Denied => Was::Dropped,
            // What neither set can decide, and both for the same reasons, does not change.
            Decision::Unknown if decision == Decision::Unknown && same(Some(b), &r.after) => {
                (decision, missing) = (Decision::Allowed, Vec::new());
                Was::Passed
            }
            Decision::Unknown => {
                missing.extend(b.missing().into_iter().filter(|m| !r.after.missing().contains(m)));
                Was::Unknown
            }
        },
    };
    if decision == Decision::Denied {
        missing.clear();
    }
    let plain = |j: &Judgement| j.l7_rules.is_empty() && j.auth.is_none();
    let mut fate = Fate { was, rulings: None, decision, missing };
    if fate.turn().changes() || !plain(&r.after.egress) || !plain(&r.after.ingress) {
        fate.rulings = Some(Box::new(r));
    }
    Some(fate)
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

/// What nobody asks for: rules that let it pass let every request pass.
const NOBODYS: &str = "flowhy.invalid";

/// Whether L7 rules let some requests pass and not others.
fn picky(packet: &Traffic, ask: &dyn Fn(&Traffic) -> Decision) -> bool {
    let refused = |t: &Traffic| !matches!(ask(t), Decision::Allowed | Decision::NotManaged);
    let http = Http { method: "X-NONE".to_owned(), path: format!("/{NOBODYS}"), all_headers: true, ..Http::default() };
    let kafka = Kafka { key: NOBODYS.to_owned(), topic: NOBODYS.to_owned(), version: -1, client: Some(NOBODYS.to_owned()) };
    let requests = [Request::Http(http), Request::Dns(NOBODYS.to_owned()), Request::Kafka(kafka)];
    requests.into_iter().any(|r| refused(&Traffic { request: Some(r), ..packet.clone() }))
        || refused(&Traffic { server_name: Some(NOBODYS.to_owned()), ..packet.clone() })
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
