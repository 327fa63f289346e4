//! Whether a silence means anything. What came while nobody listened (a link that was down, a node that is away, events that a server lost,
//! flows that servers are not asked for) did not come here: no cause is quiet by it, and no rate is 0.
//!
//! Owns who is listened to and since when, the breaks in which it was nobody, and where each cause was dropped. Decides nothing else about a
//! cause, and reads no clock: it is told what the time is.
use super::causes::QUIET;
use crate::model::ids::Ids;
use crate::model::input::{Gap, Link, names_agents};
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::model::view::{Field, View};
use crate::query::{self, Context, Predicate};
use crate::wire::pb::relay::{NodeState, NodeStatusEvent};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Breaks that are remembered. When there are more the oldest is forgotten: by then it lies behind every window of the rates.
const MOST_BREAKS: usize = 256;
/// Nodes told apart. What is dropped on further ones is silent for certain only where everybody is listened to.
const MOST_PLACES: usize = 16_384;
/// Nodes remembered of one cause; it is the same for further ones.
const MOST_OF_ONE: usize = 64;
/// So long after servers are asked for a part there may still come what they sent before; what comes later is of that part.
const UNDERWAY: i64 = 10 * Nanos::SECOND;

/// Whether somebody is listened to.
#[derive(Debug, Clone, Copy, Default)]
struct Ear {
    /// Not since.
    shut: Option<Nanos>,
    /// Without a break since.
    from: Nanos,
}

impl Ear {
    /// Whether that is new.
    fn shut(&mut self, now: Nanos) -> bool {
        let news = self.shut.is_none();
        self.shut.get_or_insert(now);
        news
    }

    /// Whether that is new.
    fn open(&mut self, now: Nanos) -> bool {
        let news = self.shut.take().is_some();
        if news {
            self.from = self.from.max(now);
        }
        news
    }
}

#[derive(Debug, Default)]
struct Server {
    ear: Ear,
    /// It is one of those that are asked.
    linked: bool,
    /// It was connected once: what came before was never there to be missed.
    met: bool,
    /// Its nodes as it calls them.
    places: HashMap<String, usize>,
    /// Of how many nodes it tells, and how many of them are away.
    told: usize,
    away: usize,
}

impl Server {
    fn is_heard(&self) -> bool {
        self.ear.shut.is_none() && (self.told == 0 || self.away < self.told)
    }
}

/// A node of a server; without a name whatever the server does not say the node of.
#[derive(Debug)]
struct Place {
    server: usize,
    named: bool,
    told: bool,
    ear: Ear,
}

/// Whether what a cause stops is of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Side {
    #[default]
    Unknown,
    Within,
    /// Not all of it.
    Without,
}

/// Where a cause was dropped.
#[derive(Debug, Default)]
struct Met {
    places: Vec<u32>,
    /// There were more than are remembered, or than are told apart.
    more: bool,
    side: Side,
    /// All of it was asked for since.
    from: Nanos,
}

/// The part that servers are asked for, or that a recording holds.
#[derive(Debug)]
struct Part {
    text: Arc<str>,
    since: Nanos,
    /// `None`: what is of it is not known.
    filter: Option<Predicate>,
    /// What is held was not looked through for it yet.
    waits: bool,
}

#[derive(Debug)]
pub struct Heard {
    /// The first stands for everything that is no connection.
    servers: Vec<Server>,
    by_name: HashMap<Arc<str>, usize>,
    places: Vec<Place>,
    /// A node found no room.
    crowded: bool,
    /// Servers and nodes that are not listened to, and when it was last that one was listened to again, or had lost something.
    missing: usize,
    latest: Nanos,
    /// By number of the cause.
    met: Vec<Met>,
    part: Option<Part>,
    /// No source will send anything any more.
    over: bool,
    /// Nobody is listened to.
    all: Ear,
    breaks: VecDeque<(Nanos, Nanos)>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            servers: vec![Server::default()],
            by_name: HashMap::new(),
            places: Vec::new(),
            crowded: false,
            missing: 0,
            latest: Nanos::default(),
            met: Vec::new(),
            part: None,
            over: false,
            all: Ear::default(),
            breaks: VecDeque::new(),
        }
    }
}

impl Heard {
    /// How a connection fares.
    pub(super) fn link(&mut self, link: &Link, now: Nanos) {
        let (Link::Connecting { server }
        | Link::Connected { server }
        | Link::Down { server, .. }
        | Link::Lost { server, .. }
        | Link::Left { server }) = link
        else {
            return;
        };
        if names_agents(server) {
            return;
        }
        let next = self.servers.len();
        let at = *self.by_name.entry(server.clone()).or_insert(next);
        if at == next {
            self.servers.push(Server::default());
        }
        let Some(s) = self.servers.get_mut(at) else { return };
        s.linked = !matches!(link, Link::Left { .. });
        match link {
            Link::Connected { .. } if !s.met => {
                s.met = true;
                self.missing -= usize::from(s.ear.shut.take().is_some());
            }
            Link::Connected { .. } | Link::Left { .. } => {
                if s.ear.open(now) {
                    (self.missing, self.latest) = (self.missing - 1, self.latest.max(now));
                }
            }
            _ => self.missing += usize::from(s.ear.shut(now)),
        }
        // A connection that is made anew tells of all nodes again.
        if !matches!(link, Link::Connected { .. }) {
            (s.told, s.away) = (0, 0);
            for p in self.places.iter_mut().filter(|p| p.server == at) {
                p.told = false;
                self.missing -= usize::from(p.ear.open(now));
            }
        }
        self.note(now);
    }

    /// What a server says of its nodes: one that is away sends nothing over a connection that stands.
    pub(super) fn nodes(&mut self, from: &str, event: &NodeStatusEvent, now: Nanos) {
        for name in &event.node_names {
            let Some(at) = self.place(from, name) else { continue };
            let Some(p) = self.places.get_mut(at) else { continue };
            let Some(s) = self.servers.get_mut(p.server) else { continue };
            let was_told = p.told;
            match event.state_change() {
                NodeState::UnknownNodeState => continue,
                NodeState::NodeUnavailable | NodeState::NodeError => {
                    p.told = true;
                    let news = usize::from(p.ear.shut(now));
                    (s.away, self.missing) = (s.away + news, self.missing + news);
                }
                state => {
                    // One that is no part of the cluster any more is not missed.
                    p.told = state == NodeState::NodeConnected;
                    if p.ear.open(now) {
                        (s.away, self.missing, self.latest) = (s.away - 1, self.missing - 1, self.latest.max(now));
                    }
                }
            }
            s.told = s.told + usize::from(p.told) - usize::from(was_told);
        }
        self.note(now);
    }

    /// A server lost events of a node; without a name of any.
    pub(super) fn lost(&mut self, from: &str, node: &str, at: Nanos) {
        self.latest = self.latest.max(at);
        let place = if node.is_empty() { None } else { self.place(from, node) };
        let server = self.by_name.get(from).copied().unwrap_or(0);
        let ear = match place.and_then(|p| self.places.get_mut(p)) {
            Some(p) => Some(&mut p.ear),
            None => self.servers.get_mut(server).map(|s| &mut s.ear),
        };
        if let Some(ear) = ear {
            ear.from = ear.from.max(at);
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        self.lost(&gap.server, &gap.node, gap.until);
    }

    /// No source will send anything any more.
    pub(super) fn over(&mut self, now: Nanos) {
        self.over = true;
        self.note(now);
    }

    /// Servers are asked for something else, or no more was recorded since: for a part, or for everything where there is no text.
    pub(super) fn asked(&mut self, text: &Arc<str>, now: Nanos) {
        if self.part.as_ref().map_or("", |p| &p.text) == &**text {
            return;
        }
        if self.part.is_some() {
            self.met.iter_mut().filter(|m| m.side != Side::Within).for_each(|m| m.from = m.from.max(now));
        }
        self.met.iter_mut().for_each(|m| m.side = Side::Unknown);
        // A time of then may be another one now, and what no filter says nobody can ask.
        let filter = query::parse(text, &Context::at(now)).ok().filter(|p| !p.fields().contains(Field::Time));
        self.part = (!text.is_empty()).then(|| Part { text: text.clone(), since: now, waits: filter.is_some(), filter });
    }

    /// The filter that what is held was not looked through for yet.
    pub(super) fn waits(&self) -> Option<Predicate> {
        self.part.as_ref().filter(|p| p.waits)?.filter.clone()
    }

    /// What came of that: of each cause how many flows are held, and how many of them are of what is asked for.
    pub(super) fn looked_through(&mut self, held: &[(u64, u64)]) {
        if let Some(p) = &mut self.part {
            p.waits = false;
        }
        for (m, (all, of_it)) in self.met.iter_mut().zip(held).filter(|(m, (all, _))| m.side == Side::Unknown && *all > 0) {
            m.side = if all == of_it { Side::Within } else { Side::Without };
        }
    }

    /// A drop of a cause: on which node, and what it is.
    pub(super) fn dropped(&mut self, id: CauseId, from: &str, node: &str, (flow, at): (&dyn View, Nanos)) {
        let place = self.place(from, node).and_then(|p| u32::try_from(p).ok());
        let i = id.0.get() as usize - 1;
        let known = self.met.len();
        if known <= i {
            self.met.resize_with(i + 1, Met::default);
        }
        let part = self.part.as_ref().and_then(|p| Some((p.filter.as_ref()?, at.since(p.since) > UNDERWAY)));
        let Some(m) = self.met.get_mut(i) else { return };
        match part {
            // What comes all the same was asked for: the words may mean something else to whom they were said.
            Some((f, late)) if !f.matches(flow) => m.side = if late { Side::Unknown } else { Side::Without },
            Some(_) if known <= i => m.side = Side::Within,
            _ => {}
        }
        match place {
            Some(p) if m.places.contains(&p) => {}
            Some(p) if m.places.len() < MOST_OF_ONE => m.places.push(p),
            _ => m.more = true,
        }
    }

    /// The place of a node; `None` if there is no room for it.
    fn place(&mut self, from: &str, node: &str) -> Option<usize> {
        let server = self.by_name.get(from).copied().unwrap_or(0);
        // Who says no cluster means the one that is called so.
        let node = node.strip_prefix("default/").unwrap_or(node);
        let node = if node.len() > Ids::LONGEST { "" } else { node };
        let s = self.servers.get_mut(server)?;
        if let Some(at) = s.places.get(node) {
            return Some(*at);
        }
        if self.places.len() >= MOST_PLACES {
            self.crowded = true;
            return None;
        }
        s.places.insert(node.to_owned(), self.places.len());
        self.places.push(Place { server, named: !node.is_empty(), told: false, ear: Ear::default() });
        Some(self.places.len() - 1)
    }

    /// Books whether anybody is listened to.
    fn note(&mut self, now: Nanos) {
        // Where there never was a server there is something else to listen to.
        let mut linked = self.servers.iter().filter(|s| s.linked);
        let listens = !self.over && (self.by_name.is_empty() || linked.any(Server::is_heard));
        let since = self.all.shut;
        if !listens {
            self.all.shut(now);
        } else if let (true, Some(since)) = (self.all.open(now), since) {
            if self.breaks.len() == MOST_BREAKS {
                self.breaks.pop_front();
            }
            self.breaks.push_back((since, now));
        }
    }

    pub fn is_deaf(&self) -> bool {
        self.all.shut.is_some()
    }

    /// Up to when anything could be heard.
    pub fn upto(&self, now: Nanos) -> Nanos {
        self.all.shut.map_or(now, |since| since.min(now))
    }

    /// Up to when anything of a cause could be heard.
    pub fn upto_of(&self, id: CauseId, now: Nanos) -> Nanos {
        let met = self.met.get(id.0.get() as usize - 1).filter(|m| !m.more);
        let shut = |at: &u32| {
            let p = self.places.get(*at as usize)?;
            p.ear.shut.or(self.servers.get(p.server)?.ear.shut)
        };
        // As long as one of its nodes is listened to it is counted on.
        let since = met.and_then(|m| m.places.iter().map(shut).collect::<Option<Vec<_>>>()?.into_iter().max());
        self.upto(now).min(since.unwrap_or(now))
    }

    /// Since when a place is listened to; `None`: it is not.
    fn since(&self, at: u32) -> Option<Nanos> {
        let p = self.places.get(at as usize)?;
        let s = self.servers.get(p.server)?;
        let heard = s.ear.shut.is_none() && p.ear.shut.is_none() && (p.named || s.away == 0);
        // Whose connection brings it is not known.
        let whose = if p.server == 0 { self.all.from } else { Nanos::default() };
        heard.then(|| s.ear.from.max(p.ear.from).max(whose))
    }

    /// Whether a cause that was dropped last at that time would have been heard, had it gone on.
    pub fn would_hear(&self, id: CauseId, last: Nanos, now: Nanos) -> bool {
        let none = Met::default();
        let met = self.met.get(id.0.get() as usize - 1).unwrap_or(&none);
        let since = match (met.more, met.places.is_empty()) {
            _ if self.is_deaf() => None,
            (true, _) => (self.missing == 0 && !self.crowded).then_some(self.latest),
            (false, true) => Some(self.all.from),
            (false, false) => met.places.iter().try_fold(Nanos::default(), |since, p| Some(since.max(self.since(*p)?))),
        };
        let asked = match (&self.part, met.side) {
            (None, _) | (Some(_), Side::Within) => true,
            (Some(_), Side::Without) => false,
            (Some(part), Side::Unknown) => last.since(part.since) > UNDERWAY,
        };
        asked && since.is_some_and(|since| now.since(last.max(since).max(met.from)) > QUIET)
    }

    /// Whether there was a moment of a time, its end excepted, at which nobody listened.
    pub fn misses(&self, begin: Nanos, end: Nanos) -> bool {
        self.breaks.iter().any(|(from, to)| *from < end && *to > begin) || self.all.shut.is_some_and(|since| since < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::{Item, Value};
    use std::num::NonZeroU32;

    struct Port(u64);

    impl View for Port {
        fn field(&self, field: Field) -> Value<'_> {
            if matches!(field, Field::Port(_)) { Value::Uint(self.0) } else { Value::Missing }
        }

        fn any(&self, _: Field, _: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
            false
        }
    }

    fn s(n: i64) -> Nanos {
        Nanos(n * Nanos::SECOND)
    }

    fn id(n: u32) -> CauseId {
        CauseId(NonZeroU32::new(n).unwrap())
    }

    fn up(h: &mut Heard, server: &str, now: i64) {
        h.link(&Link::Connected { server: Arc::from(server) }, s(now));
    }

    fn down(h: &mut Heard, server: &str, now: i64) {
        h.link(&Link::Down { server: Arc::from(server), cause: String::new(), hint: None, retry_ms: 1 }, s(now));
    }

    fn word(h: &mut Heard, state: NodeState, nodes: &[&str], now: i64) {
        let node_names = nodes.iter().map(|n| (*n).to_owned()).collect();
        h.nodes("a", &NodeStatusEvent { state_change: state.into(), node_names, message: String::new() }, s(now));
    }

    /// Two servers; the first cause was dropped on a node of the one, the second on one of the other.
    fn two() -> Heard {
        let mut h = Heard::default();
        for server in ["a", "b"] {
            up(&mut h, server, 0);
        }
        h.dropped(id(1), "a", "n1", (&Port(80), s(100)));
        h.dropped(id(2), "b", "n2", (&Port(81), s(100)));
        h
    }

    #[test]
    fn what_nobody_listened_for_is_not_quiet_until_somebody_has_listened_long_enough() {
        let mut h = two();
        assert!(!h.would_hear(id(1), s(100), s(110)) && h.would_hear(id(1), s(100), s(140)));
        down(&mut h, "a", 110);
        down(&mut h, "b", 110);
        assert!(!h.would_hear(id(1), s(100), s(1_000)) && h.upto(s(1_000)) == s(110) && h.is_deaf());
        up(&mut h, "a", 1_000);
        assert!(!h.would_hear(id(1), s(100), s(1_020)) && h.would_hear(id(1), s(100), s(1_031)));
        assert!(h.misses(s(200), s(260)) && h.misses(s(100), s(160)) && h.misses(s(990), s(1_050)));
        assert!(!h.misses(s(100), s(110)) && !h.misses(s(1_000), s(1_050)));
    }

    #[test]
    fn when_the_last_server_has_left_nobody_is_heard() {
        let mut h = two();
        for server in ["a", "b"] {
            down(&mut h, server, 110);
            h.link(&Link::Left { server: server.into() }, s(120));
        }
        assert!(h.is_deaf() && h.upto(s(1_000)) == s(110));
    }

    #[test]
    fn one_server_that_is_away_takes_nothing_from_what_the_others_send() {
        let mut h = two();
        down(&mut h, "a", 110);
        assert!(!h.is_deaf() && h.upto(s(1_000)) == s(1_000) && !h.misses(s(200), s(260)));
        assert!(!h.would_hear(id(1), s(100), s(1_000)) && h.would_hear(id(2), s(100), s(1_000)));
        assert!(h.upto_of(id(1), s(1_000)) == s(110) && h.upto_of(id(2), s(1_000)) == s(1_000));
        // Dropped on both, it may go on where nobody listens.
        h.dropped(id(2), "a", "n1", (&Port(81), s(100)));
        assert!(!h.would_hear(id(2), s(100), s(1_000)) && h.upto_of(id(2), s(1_000)) == s(1_000));
        // One that is taken off the list is not missed any more; one that only names the others never was.
        h.link(&Link::Left { server: Arc::from("a") }, s(1_000));
        assert!(h.would_hear(id(1), s(100), s(1_040)));
        down(&mut h, "b", 2_000);
        up(&mut h, "x (names the agents)", 2_000);
        assert!(h.is_deaf());
    }

    #[test]
    fn of_a_node_that_is_away_nothing_is_quiet_though_its_servers_connection_stands() {
        let mut h = two();
        word(&mut h, NodeState::NodeConnected, &["n1", "n3"], 0);
        word(&mut h, NodeState::NodeUnavailable, &["default/n1"], 110);
        assert!(!h.would_hear(id(1), s(100), s(1_000)) && h.would_hear(id(2), s(100), s(1_000)) && !h.is_deaf());
        // Of which node it was is not known.
        h.dropped(id(2), "a", "", (&Port(81), s(100)));
        assert!(!h.would_hear(id(2), s(100), s(1_000)));
        word(&mut h, NodeState::NodeConnected, &["n1"], 1_000);
        assert!(!h.would_hear(id(1), s(100), s(1_020)) && h.would_hear(id(1), s(100), s(1_031)) && h.missing == 0);
        word(&mut h, NodeState::NodeError, &["n1", "n3"], 2_000);
        down(&mut h, "b", 2_000);
        assert!(h.is_deaf(), "nobody is left");
        // A connection that is made anew tells of all nodes again.
        for step in [down, up] {
            step(&mut h, "a", 3_000);
        }
        assert!(!h.is_deaf() && h.would_hear(id(1), s(100), s(3_031)) && h.missing == 1);
    }

    #[test]
    fn what_a_server_has_lost_may_have_been_the_next_drop() {
        let mut h = two();
        h.lost("a", "n1", s(120));
        assert!(!h.would_hear(id(1), s(100), s(140)) && h.would_hear(id(1), s(100), s(151)) && h.would_hear(id(2), s(100), s(140)));
        h.lost("b", "", s(130));
        assert!(!h.would_hear(id(2), s(100), s(140)) && h.would_hear(id(2), s(100), s(161)));
    }

    #[test]
    fn a_cause_of_more_nodes_than_are_remembered_is_quiet_only_where_everybody_is_listened_to() {
        let mut h = two();
        (0..=MOST_OF_ONE).for_each(|n| h.dropped(id(1), "a", &format!("m{n}"), (&Port(80), s(100))));
        assert!(h.would_hear(id(1), s(100), s(140)));
        down(&mut h, "b", 110);
        assert!(!h.would_hear(id(1), s(100), s(1_000)));
        up(&mut h, "b", 1_000);
        assert!(!h.would_hear(id(1), s(100), s(1_020)) && h.would_hear(id(1), s(100), s(1_031)));
    }

    #[test]
    fn what_a_server_is_not_asked_for_is_not_quiet_though_some_of_it_was_still_underway() {
        let mut h = two();
        h.asked(&Arc::from("port:80"), s(100));
        // What came of both after the question was sent before it.
        h.dropped(id(1), "a", "n1", (&Port(80), s(100)));
        h.dropped(id(2), "b", "n2", (&Port(81), s(100)));
        assert!(!h.would_hear(id(1), s(101), s(200)), "what is held of it was not looked through yet");
        assert!(h.waits().is_some());
        h.looked_through(&[(9, 9), (9, 0)]);
        assert!(h.waits().is_none() && h.would_hear(id(1), s(101), s(200)) && !h.would_hear(id(2), s(101), s(200)));
        // All of the one is asked for, some of another is not.
        h.asked(&Arc::from("port:1-80"), s(300));
        h.looked_through(&[(9, 9), (9, 8)]);
        assert!(h.would_hear(id(1), s(101), s(400)) && !h.would_hear(id(2), s(101), s(400)));
        h.dropped(id(3), "a", "n1", (&Port(7), s(100)));
        h.dropped(id(4), "a", "n1", (&Port(700), s(100)));
        assert!(h.would_hear(id(3), s(390), s(430)) && !h.would_hear(id(4), s(390), s(430)));
        h.asked(&Arc::from(""), s(500));
        assert!(h.would_hear(id(1), s(101), s(510)), "it was asked for all along");
        assert!(!h.would_hear(id(2), s(101), s(510)) && h.would_hear(id(2), s(101), s(531)));
    }

    #[test]
    fn where_nobody_can_say_what_is_asked_for_only_what_comes_a_while_after_is_of_it() {
        let mut h = two();
        h.asked(&Arc::from("port:80 since:5m"), s(100));
        assert!(h.waits().is_none() && !h.would_hear(id(1), s(101), s(900)) && h.would_hear(id(1), s(111), s(900)));
        // Words of a recording that only look like a filter.
        h.asked(&Arc::from("what surrounds drops"), s(1_000));
        h.looked_through(&[(9, 0), (9, 0)]);
        h.dropped(id(1), "a", "n1", (&Port(80), s(1_001)));
        assert!(!h.would_hear(id(1), s(1_001), s(1_900)));
        h.dropped(id(1), "a", "n1", (&Port(80), s(1_011)));
        assert!(h.would_hear(id(1), s(1_011), s(1_900)));
    }
}
