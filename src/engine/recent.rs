//! What was met lately, in a table of fixed size: whether a connection is known, and whether a record tells of an event that was told
//! before. Owns the table; when one event is over is the rule of `events`.
use super::events::{is_one_event, sides};
use crate::model::observed::{Direction, Verdict};
use crate::model::row::Row;
use crate::model::time::Nanos;
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash};

/// A connection without a record for this long is another one when its ports come back.
const IDLE: i64 = 60 * Nanos::SECOND;
/// Connections and events remembered. A newer one takes the place of an older one, which then counts anew if it goes on.
const REMEMBERED: usize = 1 << 16;

/// Hashes, and when they were met.
#[derive(Debug, Clone, Default)]
pub struct Recent(Vec<(u64, Nanos)>);

impl Recent {
    /// Whether this is the first record of a connection, whatever names it.
    pub fn begins(&mut self, connection: impl Hash, at: Nanos) -> bool {
        let hash = FixedState::default().hash_one((0u8, connection));
        let known = self.met(hash).is_some_and(|t| at.since(t).unsigned_abs() <= IDLE.unsigned_abs());
        self.put(hash, at);
        !known
    }

    /// Whether a record of something stopped or audited is the first one of its event: a denied packet makes two, and every request
    /// that a proxy saw is an event of its own.
    pub fn is_event(&mut self, row: &Row) -> bool {
        if row.l7.is_some() {
            return true;
        }
        let what = if row.verdict == Verdict::Audit { 2u8 } else { 1 };
        let (a, b) = (&row.src, &row.dst);
        let packet = (a.ip, a.port, a.pod, b.ip, b.port, b.pod, row.l4, row.node);
        let hash = |side: Option<Direction>| FixedState::default().hash_one((what, packet, side));
        if sides(row.dir).iter().any(|d| self.met(hash(*d)).is_some_and(|t| is_one_event(row.at, t))) {
            return false;
        }
        // The window is the event's, not the last record's.
        self.put(hash(row.dir), row.at);
        true
    }

    fn met(&self, hash: u64) -> Option<Nanos> {
        self.0.get(place(hash)).filter(|slot| slot.0 == hash).map(|slot| slot.1)
    }

    fn put(&mut self, hash: u64, at: Nanos) {
        if self.0.is_empty() {
            self.0.resize(REMEMBERED, (0, Nanos(i64::MIN)));
        }
        if let Some(slot) = self.0.get_mut(place(hash)) {
            *slot = (hash, at);
        }
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash).unwrap_or(0) % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::{end, row, store};
    use super::*;
    use crate::model::row::Proxy;

    #[test]
    fn a_verdict_and_its_drop_record_are_one_event_across_a_second_and_a_packet_sent_again_is_another() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 40_000), end(&mut s, "shop", "db", 5432));
        let at = |ms| Row { dir: Some(Direction::Ingress), ..row(cart, db, Verdict::Dropped, ms) };
        let firsts = |rows: &[Row]| {
            let mut r = Recent::default();
            rows.iter().map(|row| r.is_event(row)).collect::<Vec<_>>()
        };
        // What lacks its side goes with either; the other way round too, since views look at what is newest first.
        let told = Row { dir: None, ..at(1_000) };
        assert_eq!(firsts(&[at(999), told]), [true, false]);
        assert_eq!(firsts(&[told, at(999)]), [true, false]);
        assert_eq!(firsts(&[at(999), at(1_998)]), [true, true]);
        assert_eq!(firsts(&[at(0), at(400), at(600)]), [true, false, true]);
        let out = Row { dir: Some(Direction::Egress), ..at(0) };
        assert_eq!(firsts(&[at(0), out, Row { verdict: Verdict::Audit, ..at(0) }]), [true; 3]);
        let request = Row { l7: Some(Proxy::Http), ..at(0) };
        assert_eq!(firsts(&[request, request]), [true, true]);
    }
}
