//! Drops folded: records of one packet into events (`events`), events with one cause into a [`Cause`].
//!
//! Owns the folding rules and the states of a cause. Decides nothing about policies: it is told why each record was dropped.
use super::events::{Event, Events, Packet};
use super::fold::{self, Key};
use super::pulse::{Beats, Rate};
use super::talks::Moved;
use crate::model::observed::{Direction, L4, Observed, Verdict};
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::model::why::{Outcome, Why};
use foldhash::{HashMap, HashSet};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

/// A cause younger than this is new.
const NEW: i64 = 10 * Nanos::SECOND;
/// A cause without a drop for this long is quiet.
pub const QUIET: i64 = 30 * Nanos::SECOND;
/// What passes so soon after a drop shows no fix: of two replicas one may stop what the other lets through.
const SETTLED: i64 = 10 * Nanos::SECOND;
/// Causes held; further ones are folded into `overflow`.
const MOST_CAUSES: usize = 10_000;
/// Pairs of workloads remembered of one cause. Where there were more, nobody can say that all of them pass again: such a cause goes
/// quiet and is never called fixed.
const MOST_PAIRS: usize = 100;
/// Requests remembered of one cause.
const MOST_REQUESTS: usize = 20;

/// How a cause fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    New,
    Ongoing,
    Quiet,
    /// It would be quiet, and nobody was listening: whether it goes on is not known.
    Unheard,
    /// The policies at hand let it pass as they were written anew; no flow has shown it yet, nor the contrary.
    Mended,
    /// No drop since, and the same traffic was forwarded.
    Fixed,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ongoing => "ongoing",
            Self::Quiet => "quiet",
            Self::Unheard => "unheard",
            Self::Mended => "mended",
            Self::Fixed => "fixed",
        }
    }
}

/// The traffic a cause stops; a forwarded flow of the same kind may mean that it is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// Where there are several: what passes in one shows nothing of another.
    pub cluster: Option<String>,
    pub from: String,
    pub to: String,
    pub direction: Direction,
    pub l4: Option<L4>,
    pub port: u16,
}

/// One reason for drops.
#[derive(Debug, Clone)]
pub struct Cause {
    pub id: CauseId,
    /// The explanation of the first drop.
    pub why: Arc<Why>,
    /// Workload on either side, as the flows go: from → to.
    pub from: String,
    pub to: String,
    pub l4: Option<L4>,
    pub port: u16,
    /// Only audited: nothing was dropped, enforcement would.
    pub audit: bool,
    /// Flow records.
    pub records: u64,
    /// Records folded into packets.
    pub events: u64,
    pub first: Nanos,
    pub last: Nanos,
    /// Number of the newest record in the store; 0 without a store.
    pub example: u64,
    /// A conversation that passed and would be stopped by what was written into the policies at hand; nothing was stopped yet.
    pub foreseen: Option<Arc<Observed>>,
    /// Numbers of the conversations it stopped that are held, where flows are folded into such, and whether there were more.
    talks: BTreeSet<usize>,
    more_talks: bool,
    /// Of one that is foreseen: those that it would have stopped by policies as they were saved before.
    before: BTreeSet<usize>,
    /// Everything it stopped would pass by the policies at hand as they were written anew.
    mended: bool,
    /// Its traffic was dropped at that time, after the policies at hand were written anew last.
    defied: Option<Nanos>,
    /// Whether forwarded traffic shows that it is fixed.
    watched: bool,
    pairs: Vec<Pair>,
    /// There were more pairs than are remembered.
    more_pairs: bool,
    /// Requests that were refused, as far as remembered.
    requests: Vec<String>,
    more_requests: bool,
    /// The receiver's policy stops it.
    ingress: bool,
    /// It stands for every workload of a namespace that meets it.
    shared: bool,
    beats: Beats,
}

impl Cause {
    /// How the cause fares at `now` (the time of the newest record) as far as its flows tell; [`super::Engine::state`] knows whether its
    /// silence means anything.
    pub(super) fn state(&self, now: Nanos) -> State {
        if self.fixed() && now.since(self.last) >= SETTLED {
            State::Fixed
        } else if self.mended && self.defied.is_none() {
            State::Mended
        } else if now.since(self.defied.unwrap_or_default().max(self.last)) > QUIET {
            State::Quiet
        } else if now.since(self.first) < NEW {
            State::New
        } else {
            State::Ongoing
        }
    }

    /// Whether the policies at hand, as they were written anew, let everything pass that it stopped; or nothing is foreseen any more.
    pub fn is_mended(&self) -> bool {
        self.mended
    }

    /// Whether it was dropped all the same after that text was saved.
    pub fn is_defied(&self) -> bool {
        self.mended && self.defied.is_some()
    }

    /// Numbers of the conversations it stopped that are held, in the order of their first record; none unless flows are folded.
    pub fn talks(&self) -> impl Iterator<Item = usize> {
        self.talks.iter().copied()
    }

    /// Whether every conversation that a screen has met it with is held: of the others nobody can say what another policy would do.
    pub fn holds_all_talks(&self) -> bool {
        !self.more_talks && (self.foreseen.is_some() || !self.talks.is_empty())
    }

    /// Those from a number on.
    pub fn talks_from(&self, number: usize) -> impl Iterator<Item = usize> {
        self.talks.range(number..).copied()
    }

    /// Whether it stopped, or may have stopped, one on the way to another; of more pairs than are remembered one side tells.
    fn may_have_stopped(&self, from: &str, to: &str) -> bool {
        let is = |p: &Pair| (p.from == from, p.to == to);
        self.pairs.iter().map(is).any(|(from, to)| from && to || self.more_pairs && (from || to))
    }

    /// Everything that was stopped has passed since.
    fn fixed(&self) -> bool {
        self.watched && !self.more_pairs && !self.pairs.is_empty() && self.pairs.iter().all(|p| p.passed.is_some_and(|t| t > p.dropped))
    }

    /// The workloads whose policy stops it, in the order in which they were met, and whether there were more than are remembered.
    pub fn workloads(&self) -> (Vec<&str>, bool) {
        let mut out: Vec<&str> = Vec::new();
        for p in &self.pairs {
            let name = if self.ingress { &p.to } else { &p.from };
            if !out.contains(&name.as_str()) {
                out.push(name);
            }
        }
        (out, self.more_pairs)
    }

    /// Those who were called, as far as remembered.
    pub fn called(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|p| p.to.as_str())
    }

    /// Whether it stands for every workload of a namespace that meets it.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The requests that were refused, and whether there were more than are remembered.
    pub fn requests(&self) -> (&[String], bool) {
        (&self.requests, self.more_requests)
    }

    /// Books what one more record says of whom and what it stops.
    fn book(&mut self, watch: &mut HashMap<Traffic, Vec<CauseId>>, o: &Observed, at: Nanos, why: &Why, from: &str, to: &str) {
        let met = self.meet(from, to, at);
        self.ask(o, why);
        // The first address stands for the world only as long as it is the only one.
        for (shown, now, party) in [(&mut self.from, from, &o.src), (&mut self.to, to, &o.dst)] {
            if shown != now && fold::is_nameless_world(party) {
                "world".clone_into(shown);
            }
        }
        if let (true, true, Some(direction)) = (met, self.watched, self.why.direction) {
            let cluster = self.why.cluster.clone();
            let traffic = Traffic { cluster, from: from.to_owned(), to: to.to_owned(), direction, l4: o.l4, port: o.dst_port };
            watch.entry(traffic).or_default().push(self.id);
        }
    }

    /// Books the two sides of one more drop; `true` if they had not been met.
    fn meet(&mut self, from: &str, to: &str, at: Nanos) -> bool {
        if let Some(p) = self.pairs.iter_mut().find(|p| p.from == from && p.to == to) {
            p.dropped = p.dropped.max(at);
            return false;
        }
        if self.pairs.len() >= MOST_PAIRS {
            self.more_pairs = true;
            return false;
        }
        self.pairs.push(Pair { from: from.to_owned(), to: to.to_owned(), dropped: at, passed: None });
        let (workloads, _) = self.workloads();
        if self.shared && workloads.len() > 1 {
            let who = format!("{} workloads", workloads.len());
            self.why = fold::of_workloads(&self.why, &who);
            *(if self.ingress { &mut self.to } else { &mut self.from }) = who;
        }
        true
    }

    /// Books one more request that was refused.
    fn ask(&mut self, o: &Observed, why: &Why) {
        if why.outcome != Outcome::L7Denied {
            return;
        }
        if let Some(general) = fold::of_requests(&self.why, o, why) {
            self.why = general;
        }
        let Some(request) = fold::request(o).filter(|r| !self.requests.contains(r)) else { return };
        if self.requests.len() < MOST_REQUESTS {
            self.requests.push(request);
        } else {
            self.more_requests = true;
        }
    }

    /// Events in each of the last six buckets of ten seconds, oldest first.
    pub fn rate(&self, now: Nanos) -> Rate {
        self.beats.upto(now)
    }
}

/// Who was stopped on the way to whom, and how it fared since.
#[derive(Debug, Clone)]
struct Pair {
    from: String,
    to: String,
    dropped: Nanos,
    passed: Option<Nanos>,
}

/// Whether forwarded traffic of the same kind shows that it is fixed. What a proxy refuses passes as a connection, whatever the policies at
/// hand make of it, and audited packets are forwarded anyway: neither proves a fix.
fn shows_a_fix(o: &Observed, why: &Why) -> bool {
    let proxys = o.l7.is_some() || matches!(why.outcome, Outcome::L7Denied | Outcome::DnsRefused);
    !proxys && o.verdict != Verdict::Audit && why.outcome != Outcome::NotPolicy
}

/// All causes, oldest first.
#[derive(Debug, Default)]
pub struct Causes {
    causes: Vec<Cause>,
    by_key: HashMap<Key, CauseId>,
    by_traffic: HashMap<Traffic, Vec<CauseId>>,
    events: Events,
    /// When the policies at hand were written anew last.
    saved: Option<Nanos>,
    /// Causes that they let pass as they were written.
    mended: BTreeSet<CauseId>,
    /// Drops that found no room among the causes.
    pub overflow: u64,
}

impl Causes {
    /// Books one dropped record, which will have the number `seq` in the store. `from`, `to`: workload (or name, or address) of each side.
    /// Returns its cause, and the number of the record before it if that told of the same event.
    pub fn add(&mut self, o: &Observed, at: Nanos, seq: u64, why: &Arc<Why>, from: &str, to: &str) -> Option<(CauseId, Option<u64>)> {
        let mut packet = Packet::of(o);
        // Every record of the proxy is a request of its own; a connection carries many.
        let event = if o.l7.is_none() { self.events.seen(&mut packet, at) } else { None };
        let seen = event.map(|e| e.cause);
        let key = Key::of(o, why, from, to);
        let saved = self.saved.is_some_and(|saved| at > saved);
        if saved && why.outcome == Outcome::NowAllowed {
            self.defy(o, at, why, from, to);
        }
        let id = match (self.by_key.get(&key), seen) {
            // A packet's drop record may lack what its verdict record has: what was said of the packet stands.
            (_, Some(first)) if why.outcome == Outcome::Undecidable => first,
            (Some(id), _) => *id,
            (None, _) => self.open_cause(key, o, at, why, from, to)?,
        };
        let joined = seen == Some(id) && why.outcome == Outcome::Undecidable;
        let cause = self.causes.get_mut(id.0.get() as usize - 1)?;
        cause.records += 1;
        cause.first = cause.first.min(at);
        cause.last = cause.last.max(at);
        cause.defied = if saved { cause.defied.max(Some(at)) } else { cause.defied };
        if !joined {
            cause.book(&mut self.by_traffic, o, at, why, from, to);
        }
        // The same packet may be told twice with different reasons (verdict, then drop): that is an event of either.
        let told = event.filter(|e| e.cause == id);
        if told.is_none() {
            cause.events += 1;
            cause.beats.add(at);
            packet.direction = o.direction;
        }
        self.events.put(packet, Event { at: told.map_or(at, |e| e.at), cause: id, last: seq }, at);
        Some((id, told.map(|e| e.last)))
    }

    fn open_cause(&mut self, key: Key, o: &Observed, at: Nanos, why: &Arc<Why>, from: &str, to: &str) -> Option<CauseId> {
        if self.causes.len() >= MOST_CAUSES {
            self.overflow += 1;
            return None;
        }
        let id = CauseId(NonZeroU32::new(u32::try_from(self.causes.len() + 1).ok()?)?);
        self.causes.push(Cause {
            id,
            why: why.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            l4: o.l4,
            port: o.dst_port,
            audit: o.verdict == Verdict::Audit,
            records: 0,
            events: 0,
            first: at,
            last: at,
            example: 0,
            foreseen: None,
            talks: BTreeSet::new(),
            more_talks: false,
            before: BTreeSet::new(),
            mended: false,
            defied: None,
            watched: shows_a_fix(o, why),
            pairs: Vec::new(),
            more_pairs: false,
            requests: Vec::new(),
            more_requests: false,
            ingress: fold::at_receiver(o, why),
            shared: key.is_shared(),
            beats: Beats::from(at),
        });
        self.by_key.insert(key, id);
        Some(id)
    }

    /// Books a conversation of `records` records that passed and would be stopped, with its number.
    pub fn foresee(&mut self, o: &Arc<Observed>, (talk, records): (usize, u64), why: &Arc<Why>, from: &str, to: &str) -> Option<CauseId> {
        let at = o.at.unwrap_or_default();
        let key = Key::foreseen(o, why, from, to);
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => self.open_cause(key, o, at, why, from, to)?,
        };
        let cause = self.causes.get_mut(id.0.get() as usize - 1)?;
        (cause.first, cause.last) = (cause.first.min(at), cause.last.max(at));
        (cause.records, cause.events) = (cause.records + records, cause.events + records);
        cause.foreseen.get_or_insert_with(|| o.clone());
        (cause.watched, cause.mended) = (false, false);
        cause.talks.insert(talk);
        cause.meet(from, to, at);
        Some(id)
    }

    /// A drop that the policies at hand allow: what they were to mend still happens. It stays a cause of its own, for nobody knows which
    /// policies are in force.
    fn defy(&mut self, o: &Observed, at: Nanos, why: &Why, from: &str, to: &str) {
        for id in &self.mended {
            let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) else { continue };
            let same = (c.why.direction, c.l4, c.port, c.audit) == (why.direction, o.l4, o.dst_port, o.verdict == Verdict::Audit)
                && c.why.cluster == why.cluster;
            if same && c.may_have_stopped(from, to) {
                c.defied = c.defied.max(Some(at));
            }
        }
    }

    /// The policies at hand were written anew. What was foreseen is looked at again: until it is met again it is no longer so.
    pub fn look_again(&mut self, saved: Nanos) {
        self.saved = Some(saved);
        self.causes.iter_mut().for_each(|c| c.defied = None);
        for c in self.causes.iter_mut().filter(|c| c.foreseen.is_some()) {
            (c.records, c.events, c.mended) = (0, 0, true);
            c.before.append(&mut c.talks);
        }
    }

    /// Tells whether the policies at hand, as they were written anew, let everything pass that the cause stopped.
    pub fn mend(&mut self, id: CauseId, mended: bool) {
        if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) {
            c.mended = mended;
        }
        if mended {
            self.mended.insert(id)
        } else {
            self.mended.remove(&id)
        };
    }

    /// Another explanation of what a cause stands for, made when more was known; `o` is one of its records. The cause keeps its number.
    /// Where another one stands for the same by now, further drops are that one's. Whom it stops is told anew by [`Causes::again`]: that
    /// somebody passed was seen before it was known what that shows.
    pub fn reconsider(&mut self, id: CauseId, o: &Observed, why: &Arc<Why>, from: &str, to: &str) {
        let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) else { return };
        let key = Key::of(o, why, from, to);
        (c.why, c.from, c.to) = (why.clone(), from.to_owned(), to.to_owned());
        (c.ingress, c.shared, c.watched) = (fold::at_receiver(o, why), key.is_shared(), shows_a_fix(o, why));
        (c.pairs, c.more_pairs, c.requests, c.more_requests) = (Vec::new(), false, Vec::new(), false);
        for of in self.by_traffic.values_mut() {
            of.retain(|other| *other != id);
        }
        self.by_key.retain(|_, other| *other != id);
        self.by_key.entry(key).or_insert(id);
    }

    /// One of the records of a cause that was reconsidered.
    pub fn again(&mut self, id: CauseId, o: &Observed, at: Nanos, why: &Why, from: &str, to: &str) {
        let Some(cause) = self.causes.get_mut(id.0.get() as usize - 1) else { return };
        cause.book(&mut self.by_traffic, o, at, why, from, to);
    }

    /// Tells which record of the store shows the cause.
    pub fn shown_by(&mut self, id: CauseId, seq: u64) {
        if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) {
            c.example = seq;
        }
    }

    /// Numbers of all conversations that causes stopped or would stop.
    pub fn in_talks(&self) -> HashSet<usize> {
        self.causes.iter().flat_map(|c| c.talks.iter().chain(&c.before)).copied().collect()
    }

    /// Conversations have other numbers now, or are not held any more.
    pub fn renumber(&mut self, moved: &Moved) {
        for c in &mut self.causes {
            for talks in [&mut c.talks, &mut c.before] {
                let held: BTreeSet<usize> = talks.iter().filter_map(|n| moved.place(*n)).collect();
                c.more_talks |= held.len() < talks.len();
                *talks = held;
            }
        }
    }

    /// Tells which conversation a record of the cause belongs to.
    pub fn in_talk(&mut self, id: CauseId, talk: usize) -> bool {
        self.causes.get_mut(id.0.get() as usize - 1).is_some_and(|c| c.talks.insert(talk))
    }

    /// Whether anybody waits for forwarded traffic at all: spares building a [`Traffic`] for every flow.
    pub fn watches(&self) -> bool {
        !self.by_traffic.is_empty()
    }

    /// Books a forwarded flow: a cause whose traffic now passes is fixed.
    pub fn forwarded(&mut self, traffic: &Traffic, at: Nanos) {
        for id in self.by_traffic.get(traffic).into_iter().flatten() {
            if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1)
                && let Some(p) = c.pairs.iter_mut().find(|p| p.from == traffic.from && p.to == traffic.to)
                && at > p.dropped
            {
                p.passed = Some(at);
            }
        }
    }

    pub fn get(&self, id: CauseId) -> Option<&Cause> {
        self.causes.get(id.0.get() as usize - 1)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Cause> + ExactSizeIterator {
        self.causes.iter()
    }

    pub fn len(&self) -> usize {
        self.causes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::why::PolicyRef;
    use crate::policy::{self, PolicySet};
    use crate::world::World;

    #[test]
    fn a_packet_sent_again_a_little_early_is_another_event_and_a_drop_after_its_verdict_is_not() {
        let mut causes = Causes::default();
        let drop = Observed { verdict: Verdict::Dropped, src_port: 40_000, ..Observed::default() };
        let (world, set, opt) = (World::new(), PolicySet::new(), policy::Options::default());
        let why = Arc::new(policy::explain(&drop, &world, &set, &opt).why);
        for at in [0, 20_000, 999_980_000, 1_000_010_000] {
            causes.add(&drop, Nanos(at), 0, &why, "a", "b");
        }
        assert_eq!(causes.iter().map(|c| (c.events, c.records)).collect::<Vec<_>>(), [(2, 4)]);
    }

    /// A drop that policies deny, in a cluster.
    fn denied(cluster: &str) -> (Observed, Why) {
        let o = Observed { verdict: Verdict::Dropped, direction: Some(Direction::Ingress), dst_port: 80, ..Observed::default() };
        let (world, set, opt) = (World::new(), PolicySet::new(), policy::Options::default());
        let why = policy::explain(&o, &world, &set, &opt).why;
        let direction = Some(Direction::Ingress);
        (o, Why { outcome: Outcome::DefaultDeny, direction, cluster: Some(cluster.to_owned()), ..why })
    }

    #[test]
    fn what_passes_in_one_cluster_fixes_nothing_in_another() {
        let mut causes = Causes::default();
        let (o, why) = denied("east");
        causes.add(&o, Nanos(0), 0, &Arc::new(why), "shop/cart", "shop/db").unwrap();
        let passes = |cluster: &str| Traffic {
            cluster: Some(cluster.to_owned()),
            from: "shop/cart".to_owned(),
            to: "shop/db".to_owned(),
            direction: Direction::Ingress,
            l4: None,
            port: 80,
        };
        let states = |c: &Causes, s: i64| c.iter().map(|c| c.state(Nanos(s * Nanos::SECOND))).collect::<Vec<_>>();
        causes.forwarded(&passes("west"), Nanos(1));
        assert_eq!(states(&causes, 20), [State::Ongoing]);
        causes.forwarded(&passes("east"), Nanos(2));
        assert_eq!(states(&causes, 20), [State::Fixed]);
        // One of two replicas may let through what the other stops.
        assert_eq!(states(&causes, 5), [State::New]);
    }

    #[test]
    fn a_drop_of_more_pairs_than_are_remembered_defies_a_fix_too() {
        let mut causes = Causes::default();
        let (mut o, why) = denied("east");
        o.dst.namespace = "shop".to_owned();
        let deny = PolicyRef { kind: "NetworkPolicy".to_owned(), namespace: Some("shop".to_owned()), name: "deny".to_owned(), rule: None };
        let why = Arc::new(Why { policies: vec![deny], ..why });
        let mut drop = |n: usize, at: i64, why: &Arc<Why>| causes.add(&o, Nanos(at), 0, why, "shop/cart", &format!("shop/w{n}")).unwrap().0;
        let id = drop(0, 0, &why);
        (1..=MOST_PAIRS).for_each(|n| assert_eq!(drop(n, 0, &why), id));
        causes.look_again(Nanos(10));
        causes.mend(id, true);
        assert_eq!(causes.get(id).unwrap().state(Nanos(15)), State::Mended);
        let now = Arc::new(Why { outcome: Outcome::NowAllowed, ..Why::clone(&why) });
        causes.add(&o, Nanos(20), 0, &now, "shop/cart", &format!("shop/w{MOST_PAIRS}")).unwrap();
        assert!(causes.get(id).unwrap().is_defied());
    }

    #[test]
    fn what_a_proxy_refused_is_not_fixed_by_its_connection_whatever_is_known_of_it() {
        for outcome in [Outcome::Undecidable, Outcome::NowAllowed, Outcome::L7Denied] {
            let mut causes = Causes::default();
            let (o, why) = denied("east");
            let l7 = Some(crate::model::observed::L7::Other);
            causes.add(&Observed { l7, ..o }, Nanos(0), 0, &Arc::new(Why { outcome, ..why }), "a", "b").unwrap();
            assert!(!causes.watches(), "{outcome:?}");
        }
    }
}
