//! Drops folded: records of one packet into events, events with one cause into a [`Cause`].
//!
//! Owns the folding rules and the states of a cause. Decides nothing about policies: it is told why each record was dropped.
use crate::model::observed::{Direction, L4, L7, Observed, Party, Verdict};
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::model::why::{Outcome, PolicyRef, Why};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Records of one node, 5-tuple and direction within this time are one event: a denied packet makes two records, a verdict and a drop.
const ONE_EVENT: i64 = Nanos::SECOND;
/// A cause younger than this is new.
const NEW: i64 = 10 * Nanos::SECOND;
/// A cause without a drop for this long is quiet.
const QUIET: i64 = 30 * Nanos::SECOND;
/// Width of a bucket of the rate line.
const BUCKET: i64 = 10 * Nanos::SECOND;
/// Causes held; further ones are folded into `overflow`.
const MOST_CAUSES: usize = 10_000;
/// Open events remembered for folding. When full, those over are forgotten; if none is over, all are, and a packet told twice
/// across that moment counts as two.
const MOST_EVENTS: usize = 65_536;

/// How a cause fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    New,
    Ongoing,
    Quiet,
    /// No drop since, and the same traffic was forwarded.
    Fixed,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ongoing => "ongoing",
            Self::Quiet => "quiet",
            Self::Fixed => "fixed",
        }
    }
}

/// What makes two drops the same: isolating set, missing condition, subject workload, peer workload or name, port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// What was only audited is not mixed with what was dropped.
    audit: bool,
    outcome: Outcome,
    direction: Option<Direction>,
    policies: Vec<PolicyRef>,
    condition: String,
    subject: String,
    peer: String,
    l4: Option<L4>,
    port: u16,
}

/// The traffic a cause stops; a forwarded flow of the same kind may mean that it is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traffic {
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
    /// Numbers of the conversations it stopped, where flows are folded into such.
    talks: BTreeSet<usize>,
    forwarded: Option<Nanos>,
    /// Events per bucket, newest last; the last bucket began at `bucket`.
    rate: [u32; 6],
    bucket: i64,
}

impl Cause {
    /// How the cause fares at `now` (the time of the newest record).
    pub fn state(&self, now: Nanos) -> State {
        if self.forwarded.is_some_and(|t| t > self.last) {
            State::Fixed
        } else if now.since(self.last) > QUIET {
            State::Quiet
        } else if now.since(self.first) < NEW {
            State::New
        } else {
            State::Ongoing
        }
    }

    /// Numbers of the conversations it stopped, in the order of their first record; none unless flows are folded.
    pub fn talks(&self) -> impl Iterator<Item = usize> {
        self.talks.iter().copied()
    }

    /// Events in each of the last six buckets of ten seconds, oldest first.
    pub fn rate(&self, now: Nanos) -> [u32; 6] {
        let mut rate = self.rate;
        shift(&mut rate, now.0.div_euclid(BUCKET) - self.bucket);
        rate
    }
}

fn shift(rate: &mut [u32; 6], by: i64) {
    let by = usize::try_from(by.max(0)).unwrap_or(6).min(6);
    rate.rotate_left(by);
    for r in rate.iter_mut().skip(6 - by) {
        *r = 0;
    }
}

/// What was wanted and not there; what the flow had instead may differ from packet to packet.
fn condition(why: &Why) -> String {
    match (&why.nearest, why.outcome) {
        (Some(n), _) => {
            let wanted: Vec<_> = n.failed.iter().map(|f| format!("{} {}", f.on, f.wanted)).collect();
            format!("{} {}: {}", n.name, n.rule, wanted.join(", "))
        }
        (None, Outcome::NotPolicy) => why.text.clone(),
        (None, Outcome::Undecidable) => why.missing.join(", "),
        (None, _) => String::new(),
    }
}

/// What was refused at L7, as far as it makes another rule: a name, a method. Paths differ with every request.
fn asked(o: &Observed, outcome: Outcome) -> String {
    match (&o.l7, outcome) {
        (Some(L7::Dns { query, .. }), Outcome::DnsRefused) => format!("; {}", query.trim_end_matches('.').to_ascii_lowercase()),
        (Some(L7::Http { method, .. }), Outcome::L7Denied) => format!("; {method}"),
        _ => String::new(),
    }
}

/// Outside the cluster, and nobody knows a name for it.
fn is_nameless_world(party: &Party) -> bool {
    let world = party.labels.iter().any(|l| l.starts_with("reserved:world")) || matches!(party.identity, 2 | 9 | 10);
    world && party.pod.is_empty() && party.names.is_empty()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Packet {
    node: String,
    direction: Option<Direction>,
    from: (Option<std::net::IpAddr>, u16),
    to: (Option<std::net::IpAddr>, u16),
    l4: Option<L4>,
}

/// All causes, oldest first.
#[derive(Debug, Default)]
pub struct Causes {
    causes: Vec<Cause>,
    by_key: HashMap<Key, CauseId>,
    by_traffic: HashMap<Traffic, Vec<CauseId>>,
    open: HashMap<Packet, (Nanos, CauseId)>,
    /// Drops that found no room among the causes.
    pub overflow: u64,
}

impl Causes {
    /// Books one dropped record. `from`, `to`: workload (or name, or address) of each side.
    pub fn add(&mut self, o: &Observed, at: Nanos, why: &Arc<Why>, from: &str, to: &str) -> Option<CauseId> {
        let packet =
            Packet { node: o.node.clone(), direction: o.direction, from: (o.src.ip, o.src_port), to: (o.dst.ip, o.dst_port), l4: o.l4 };
        // Every record of the proxy is a request of its own; a connection carries many.
        let seen = self
            .open
            .get(&packet)
            .filter(|_| o.l7.is_none())
            .filter(|(t, _)| at.since(*t).unsigned_abs() < ONE_EVENT.unsigned_abs())
            .map(|(_, id)| *id);
        // Nameless addresses of the world are one peer: a scanner's thousand addresses are one missing rule.
        let name = |party: &Party, name: &str| if is_nameless_world(party) { "world".to_owned() } else { name.to_owned() };
        let (from_key, to_key) = (name(&o.src, from), name(&o.dst, to));
        let (subject, peer) = match why.direction.or(o.direction) {
            Some(Direction::Ingress) => (to_key, from_key),
            _ => (from_key, to_key),
        };
        let key = Key {
            audit: o.verdict == Verdict::Audit,
            outcome: why.outcome,
            direction: why.direction,
            policies: why.policies.clone(),
            condition: condition(why) + &asked(o, why.outcome),
            subject,
            peer,
            l4: o.l4,
            port: o.dst_port,
        };
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => self.open_cause(key, o, at, why, from, to)?,
        };
        let cause = self.causes.get_mut(id.0.get() as usize - 1)?;
        cause.records += 1;
        cause.first = cause.first.min(at);
        cause.last = cause.last.max(at);
        // The first address stands for the world only as long as it is the only one.
        for (shown, now, party) in [(&mut cause.from, from, &o.src), (&mut cause.to, to, &o.dst)] {
            if shown != now && is_nameless_world(party) {
                "world".clone_into(shown);
            }
        }
        // The same packet may be told twice with different reasons (verdict, then drop): it stays one event of the first cause.
        if seen != Some(id) {
            cause.events += 1;
            let bucket = at.0.div_euclid(BUCKET);
            if bucket > cause.bucket {
                shift(&mut cause.rate, bucket - cause.bucket);
                cause.bucket = bucket;
            }
            let back = usize::try_from(cause.bucket - bucket).unwrap_or(6);
            if let Some(r) = cause.rate.iter_mut().rev().nth(back) {
                *r = r.saturating_add(1);
            }
        }
        if self.open.len() >= MOST_EVENTS {
            self.open.retain(|_, (t, _)| at.since(*t) <= ONE_EVENT);
            if self.open.len() >= MOST_EVENTS {
                self.open.clear();
            }
        }
        // The window is the event's, not the last record's: else a stream of packets would be one event for as long as it lasts.
        if seen != Some(id) {
            self.open.insert(packet, (at, id));
        }
        Some(id)
    }

    fn open_cause(&mut self, key: Key, o: &Observed, at: Nanos, why: &Arc<Why>, from: &str, to: &str) -> Option<CauseId> {
        if self.causes.len() >= MOST_CAUSES {
            self.overflow += 1;
            return None;
        }
        let id = CauseId(NonZeroU32::new(u32::try_from(self.causes.len() + 1).ok()?)?);
        // L7 denials pass as connections, and audited packets are forwarded anyway: neither proves a fix.
        let watch = o.verdict != Verdict::Audit && !matches!(why.outcome, Outcome::L7Denied | Outcome::DnsRefused | Outcome::NotPolicy);
        if let (true, Some(direction)) = (watch, why.direction) {
            let traffic = Traffic { from: from.to_owned(), to: to.to_owned(), direction, l4: o.l4, port: o.dst_port };
            self.by_traffic.entry(traffic).or_default().push(id);
        }
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
            talks: BTreeSet::new(),
            forwarded: None,
            rate: [0; 6],
            bucket: at.0.div_euclid(BUCKET),
        });
        self.by_key.insert(key, id);
        Some(id)
    }

    /// Tells which record of the store shows the cause.
    pub fn shown_by(&mut self, id: CauseId, seq: u64) {
        if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) {
            c.example = seq;
        }
    }

    /// Tells which conversation a record of the cause belongs to.
    pub fn in_talk(&mut self, id: CauseId, talk: usize) {
        if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1) {
            c.talks.insert(talk);
        }
    }

    /// Whether anybody waits for forwarded traffic at all: spares building a [`Traffic`] for every flow.
    pub fn watches(&self) -> bool {
        !self.by_traffic.is_empty()
    }

    /// Books a forwarded flow: a cause whose traffic now passes is fixed.
    pub fn forwarded(&mut self, traffic: &Traffic, at: Nanos) {
        for id in self.by_traffic.get(traffic).into_iter().flatten() {
            if let Some(c) = self.causes.get_mut(id.0.get() as usize - 1)
                && at > c.last
            {
                c.forwarded = Some(at);
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
