//! What separates the dropped from the forwarded flows of the same conversation: node, pod, address, identity, age of the DNS
//! answer. Owns the comparison and its ranking; says nothing of policies.
//!
//! One pass over what is held finds the traffic of each cause, a second one compares. Nothing is decoded but DNS records.
use super::Engine;
use super::causes::Cause;
use super::store::Store;
use crate::model::observed::{Direction, L4, L7, Verdict};
use crate::model::row::{CauseId, End, Ip, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use crate::model::why::Outcome;
use crate::wire::observed::observed;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// With fewer on either side, anything would separate them.
const LEAST: u64 = 2;
/// How much larger the share among the dropped has to be than among the forwarded, of 1.
const TELLING: f64 = 0.5;
/// Values told apart for one attribute; the others are left out of the comparison.
const MOST_VALUES: usize = 4096;
/// Answers remembered for one address.
const MOST_ANSWERS: usize = 256;

/// One thing that is so for the dropped and not for the forwarded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// node, sender pod, receiver pod, sender address, receiver address, sender identity, receiver identity, dns answer
    pub on: &'static str,
    pub value: String,
    /// Dropped records with this value, of all dropped ones.
    pub dropped: u64,
    pub of_dropped: u64,
    /// Forwarded records with this value, of all forwarded ones.
    pub forwarded: u64,
    pub of_forwarded: u64,
}

/// Who is on one side, whatever its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Workload(Sym, Sym),
    Name(Sym),
    Reserved(Sym),
    Address(Ip),
}

fn who(e: &End) -> Who {
    match () {
        () if !e.workload.is_empty() => Who::Workload(e.ns, e.workload),
        () if !e.name.is_empty() => Who::Name(e.name),
        () if !e.reserved.is_empty() => Who::Reserved(e.reserved),
        () => Who::Address(e.ip),
    }
}

type Traffic = (Who, Who, Option<L4>, u16, Option<Direction>);

/// The traffic of a row as its initiator sends it, on the side that was judged: a packet that its sender's node lets out and the
/// receiver's node drops is not a forwarded one to compare with, it is the dropped one on its way.
fn traffic(row: &Row) -> Traffic {
    (who(&row.src), who(&row.dst), row.l4, row.dst.port, row.dir)
}

/// What is compared of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Value {
    Text(Sym),
    Address(std::net::IpAddr),
    Number(u32),
    Answer(Answer),
}

/// How old the newest answer was that gave this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Answer {
    Valid,
    Expired,
    Unseen,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Self::Valid => "still valid",
            Self::Expired => "expired",
            Self::Unseen => "none seen before it",
        }
    }
}

const ON: [&str; 8] =
    ["node", "sender pod", "receiver pod", "sender address", "receiver address", "sender identity", "receiver identity", "dns answer"];

/// Dropped and forwarded records by value, for each attribute of [`ON`].
#[derive(Default)]
struct Counts {
    dropped: u64,
    forwarded: u64,
    by: [BTreeMap<Value, (u64, u64)>; 8],
}

/// What each cause of `wanted` is told apart by among these rows, the most telling first. Causes without forwarded flows of the same traffic are
/// not in it: there is nothing to contrast them with.
pub fn contrast(store: &Store, rows: Range<u64>, wanted: &dyn Fn(CauseId) -> bool) -> HashMap<CauseId, Vec<Contrast>> {
    let mut causes: HashMap<Traffic, Vec<CauseId>> = HashMap::new();
    let mut named: HashSet<Ip> = HashSet::new();
    let mut seen: HashSet<(CauseId, Traffic)> = HashSet::new();
    for row in rows.clone().filter_map(|s| store.row(s)) {
        if let Some(id) = row.cause.filter(|id| wanted(*id) && row.reply != Some(true)) {
            let t = traffic(&row);
            if seen.insert((id, t)) {
                causes.entry(t).or_default().push(id);
            }
        }
    }
    if causes.is_empty() {
        return HashMap::new();
    }
    let outside = causes.keys().any(|(_, to, ..)| matches!(to, Who::Name(_) | Who::Reserved(_)));
    if outside {
        named = rows.clone().filter_map(|s| store.row(s)).filter(|r| causes.contains_key(&traffic(r))).map(|r| r.dst.ip).collect();
    }
    let answers = if outside { answers(store, rows.clone(), &named) } else { HashMap::new() };
    let mut counts: HashMap<CauseId, Counts> = HashMap::new();
    for row in rows.clone().filter_map(|s| store.row(s)) {
        let passed = matches!(row.verdict, Verdict::Forwarded | Verdict::Redirected);
        if row.reply == Some(true) || (!passed && row.cause.is_none()) {
            continue;
        }
        let Some(ids) = causes.get(&traffic(&row)) else { continue };
        let values = values(&row, &answers);
        for id in ids.iter().filter(|id| passed || row.cause == Some(**id)) {
            counts.entry(*id).or_default().add(&values, passed);
        }
    }
    counts.into_iter().map(|(id, c)| (id, c.ranked(store))).filter(|(_, c)| !c.is_empty()).collect()
}

impl Engine {
    /// What tells the dropped flows of each cause from the forwarded ones of the same traffic; needs a store.
    pub fn contrast(&self) -> HashMap<CauseId, Vec<Contrast>> {
        // A request is refused on a connection that is forwarded: node and address do not tell those apart.
        let wanted = |id| self.causes.get(id).is_some_and(|c| !matches!(c.why.outcome, Outcome::L7Denied | Outcome::DnsRefused));
        contrast(&self.store, self.store.seqs(), &wanted)
    }

    /// The same as [`Engine::contrast`] for one cause, over so many of the newest rows.
    pub fn contrast_of(&self, id: CauseId, newest: u64) -> Vec<Contrast> {
        let l7 = |c: &Cause| matches!(c.why.outcome, Outcome::L7Denied | Outcome::DnsRefused);
        let all = self.store.seqs();
        let rows = all.start.max(all.end.saturating_sub(newest))..all.end;
        let mut found = contrast(&self.store, rows, &|of| of == id && !self.causes.get(id).is_some_and(l7));
        found.remove(&id).unwrap_or_default()
    }
}

fn values(row: &Row, answers: &HashMap<Ip, Vec<(Nanos, i64)>>) -> [Option<Value>; 8] {
    let text = |s: Sym| (!s.is_empty()).then_some(Value::Text(s));
    let address = |e: &End| e.pod.is_empty().then(|| e.ip.get()).flatten().map(Value::Address);
    let number = |e: &End| (e.identity != 0).then_some(Value::Number(e.identity));
    let answer = answers.get(&row.dst.ip).map(|list| {
        // The newest answer before the packet.
        let before = list.iter().rev().find(|(at, _)| *at <= row.at);
        Value::Answer(match before {
            None => Answer::Unseen,
            Some((at, ttl)) if row.at.since(*at) > *ttl => Answer::Expired,
            Some(_) => Answer::Valid,
        })
    });
    let node = row.dir.and_then(|_| text(row.node));
    [node, text(row.src.pod), text(row.dst.pod), address(&row.src), address(&row.dst), number(&row.src), number(&row.dst), answer]
}

/// Time and lifetime (nanoseconds) of every answer that gave one of these addresses; empty for an address that none gave.
fn answers(store: &Store, rows: Range<u64>, wanted: &HashSet<Ip>) -> HashMap<Ip, Vec<(Nanos, i64)>> {
    let mut out: HashMap<Ip, Vec<(Nanos, i64)>> = HashMap::new();
    for seq in rows {
        let Some(row) = store.row(seq).filter(|r| r.l7.is_some()) else { continue };
        let Some(o) = store.response(seq).map(|r| observed(&r)) else { continue };
        let Some(L7::Dns { ips, ttl, rcode: 0, .. }) = &o.l7 else { continue };
        for ip in ips.iter().filter_map(|ip| ip.parse().ok()) {
            let ip = Ip::new(Some(ip));
            if wanted.contains(&ip) {
                let list = out.entry(ip).or_default();
                if list.len() < MOST_ANSWERS {
                    list.push((row.at, i64::from(*ttl) * Nanos::SECOND));
                }
            }
        }
    }
    // Where answers were seen at all, an address that none gave says something; else it says nothing.
    if !out.is_empty() {
        for ip in wanted {
            out.entry(*ip).or_default();
        }
    }
    out.values_mut().for_each(|l| l.sort_unstable());
    out
}

impl Counts {
    fn add(&mut self, values: &[Option<Value>; 8], passed: bool) {
        *(if passed { &mut self.forwarded } else { &mut self.dropped }) += 1;
        for (by, value) in self.by.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            if by.len() >= MOST_VALUES && !by.contains_key(value) {
                continue;
            }
            let n = by.entry(*value).or_default();
            *(if passed { &mut n.1 } else { &mut n.0 }) += 1;
        }
    }

    fn ranked(&self, store: &Store) -> Vec<Contrast> {
        if self.dropped < LEAST || self.forwarded < LEAST {
            return Vec::new();
        }
        #[allow(clippy::cast_precision_loss, reason = "shares of counts, compared roughly")]
        let share = |n: u64, of: u64| n as f64 / of as f64;
        let mut found: Vec<(f64, usize, Contrast)> = Vec::new();
        for (i, by) in self.by.iter().enumerate() {
            let apart = |(d, f): (u64, u64)| share(d, self.dropped) - share(f, self.forwarded);
            // Of equal values the first in order, so that the same flows always give the same line.
            let best = by.iter().fold(None::<(f64, &Value, (u64, u64))>, |best, (v, n)| match best {
                Some(b) if b.0 >= apart(*n) => Some(b),
                _ => Some((apart(*n), v, *n)),
            });
            let Some((score, value, (dropped, forwarded))) = best.filter(|(s, ..)| *s >= TELLING) else { continue };
            let value = match value {
                Value::Text(s) => store.name(*s).to_owned(),
                Value::Address(ip) => ip.to_string(),
                Value::Number(n) => n.to_string(),
                Value::Answer(a) => a.word().to_owned(),
            };
            let on = ON.get(i).copied().unwrap_or_default();
            found.push((score, i, Contrast { on, value, dropped, of_dropped: self.dropped, forwarded, of_forwarded: self.forwarded }));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.into_iter().map(|(_, _, c)| c).collect()
    }
}
