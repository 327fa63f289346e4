//! Every conversation judged: what it was, and what it becomes. Owns what counts as having worked, and what is not judged at all.
use super::Subject;
use crate::engine::who;
use crate::model::observed::{Direction, L4, Observed, Party};
use crate::model::talk::Talk;
use crate::policy::eval::l7::{Http, Kafka, Request};
use crate::policy::eval::{Decision, Judgement, Traffic};
use crate::policy::ir::{Auth, Policy};
use crate::policy::ruling::{Ruling, ruling_between, traffic};
use crate::policy::{self, Kin, Options, PolicySet, Selected};
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
    /// Whom policies cannot tell from another one.
    kin: Kins,
}

/// Pods by all that policies go by in them.
#[derive(Debug, Default)]
struct Kins {
    numbers: HashMap<String, u64>,
    /// Of each end; `None`: it is judged by itself.
    of: Vec<Option<Kin>>,
}

impl Kins {
    fn add(&mut self, e: &Endpoint, opt: &Options) {
        let kin = policy::End::is_by_labels(e, opt).then(|| {
            let next = self.numbers.len() as u64;
            (*self.numbers.entry(format!("{:?}", (&e.labels, &e.namespace, &e.cluster, &e.named_ports))).or_insert(next), 0)
        });
        self.of.push(kin);
    }
}

/// What rulings between such ends depend on, within one run; requests are ruled on one by one.
type Between = (Kin, Kin, Option<L4>, Option<u16>, Option<u8>);

/// Rulings given before: replicas that ask the same of replicas are judged once. Only what lacks no fact is kept, since a fact that is
/// missing is named after the one end that lacks it.
#[derive(Default)]
struct Ruled(HashMap<Between, Arc<Rulings>>);

impl Ruled {
    fn get(&mut self, ends: [&policy::End; 2], t: &Traffic, rule: impl FnOnce() -> Rulings) -> Arc<Rulings> {
        let kin = || Some((ends[0].kin()?, ends[1].kin()?, t.l4, t.port, t.icmp));
        let Some(between) = kin().filter(|_| t.request.is_none() && t.server_name.is_none()) else { return Arc::new(rule()) };
        if let Some(known) = self.0.get(&between) {
            return known.clone();
        }
        let new = Arc::new(rule());
        if new.before.iter().chain([&new.after]).all(|r| r.egress.missing.is_empty() && r.ingress.missing.is_empty()) {
            self.0.insert(between, new.clone());
        }
        new
    }
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
    pub rulings: Option<Arc<Rulings>>,
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
        for e in &cast.ends {
            cast.kin.add(&e.endpoint, subject.engine.judging());
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

    /// All of them to be judged by one set: what selects an end, or those like it, is found once.
    fn judged(&self) -> Vec<policy::End> {
        let mut selected: HashMap<Kin, Arc<Selected>> = HashMap::new();
        let end = |(e, kin): (&End, &Option<Kin>)| match kin {
            Some(kin) => policy::End::of(e.endpoint.clone(), *kin, selected.entry(*kin).or_default().clone()),
            None => policy::End::new(e.endpoint.clone()),
        };
        self.ends.iter().zip(&self.kin.of).map(end).collect()
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
    let (now, then) = (cast.judged(), subject.before.map_or_else(Vec::new, |_| cast.judged()));
    let mut ruled = Ruled::default();
    let mut conversations: HashMap<Connection<'_>, usize> = HashMap::new();
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
                let rulings = ruled.get([from, to], &traffic, || {
                    let after = ruling_between(from, to, &traffic, world, set, opt);
                    let before =
                        subject.before.and_then(|set| Some(ruling_between(then.get(src)?, then.get(dst)?, &traffic, world, set, opt)));
                    found.touched.extend([&after.egress, &after.ingress].into_iter().flat_map(|j| j.selecting.iter()).map(Arc::as_ptr));
                    Rulings { before, after }
                });
                fate(talk, &rulings).ok_or(Not::Failed)
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

type Name<'a> = (Option<IpAddr>, &'a str, &'a str);
type Connection<'a> = (Name<'a>, Name<'a>, Option<L4>, u16, Option<(u8, u8)>);

fn end(p: &Party) -> Name<'_> {
    (p.ip, &p.namespace, &p.pod)
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
fn fate(talk: &Talk, r: &Arc<Rulings>) -> Option<Fate> {
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
        fate.rulings = Some(r.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Label, Labels, World};

    #[test]
    fn replicas_are_ruled_on_once_and_what_lacks_a_fact_or_asks_for_something_by_itself() {
        let (world, set, opt) = (World::new(), PolicySet::new(), Options::default());
        let mut kins = Kins::default();
        let pod = |pod: &str, app: &str| {
            let labels = ["io.kubernetes.pod.namespace=shop", "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop", app];
            let labels = Labels(labels.iter().map(|l| Label::parse(&format!("k8s:{l}"))).collect());
            let (known, namespace_labels) = (true, true);
            Endpoint {
                display: pod.into(),
                pod: pod.into(),
                namespace: "shop".into(),
                labels,
                known,
                namespace_labels,
                ..Endpoint::default()
            }
        };
        let outside = Endpoint { labels: Labels(vec![Label::parse("reserved:world")]), known: true, ..Endpoint::default() };
        let all = [pod("a-1", "app=a"), pod("a-2", "app=a"), pod("b-1", "app=b"), outside];
        all.iter().for_each(|e| kins.add(e, &opt));
        let end = |(e, kin): (Endpoint, &Option<Kin>)| {
            kin.map_or_else(|| policy::End::new(e.clone()), |k| policy::End::of(e.clone(), k, Arc::default()))
        };
        let ends: Vec<policy::End> = all.into_iter().zip(&kins.of).map(end).collect();
        let [a1, a2, b, outside] = &ends[..] else { panic!("{ends:?}") };
        let (mut ruled, mut times) = (Ruled::default(), 0);
        let mut ask = |from: &policy::End, to: &policy::End, t: &Traffic, missing: &[&str]| {
            let before = times;
            _ = ruled.get([from, to], t, || {
                times += 1;
                let mut after = ruling_between(from, to, t, &world, &set, &opt);
                after.egress.missing = missing.iter().map(|m| (*m).to_owned()).collect();
                Rulings { before: None, after }
            });
            times > before
        };
        let port = |port| Traffic { l4: Some(L4::Tcp), port: Some(port), ..Traffic::default() };
        assert_eq!([a1, a2].map(|a| ask(a, b, &port(80), &[])), [true, false]);
        assert_eq!([ask(b, a1, &port(80), &[]), ask(a1, b, &port(81), &[]), ask(a1, a2, &port(80), &[])], [true; 3]);
        assert_eq!([a1, a2].map(|a| ask(a, b, &port(82), &["labels:x"])), [true, true], "a fact is missing of one end");
        assert_eq!([a1, a2].map(|a| ask(a, outside, &port(80), &[])), [true, true], "an address is by itself");
        let request = Traffic { request: Some(Request::Dns("x.org".to_owned())), ..port(80) };
        assert_eq!([a1, a2].map(|a| ask(a, b, &request, &[])), [true, true]);
    }
}
