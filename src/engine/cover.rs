//! When and where anything was recorded: the time spans without a record, and each node's share. Owns the bounds; a filter has no say
//! here, because what it refuses was seen all the same.
use crate::model::time::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// Times are kept to this many seconds.
const STEP: i64 = 10;
/// Steps kept: 115 days of records without a pause. What comes beyond is counted, and the spans are then not known.
const MOST_STEPS: usize = 1_000_000;
/// Nodes told apart; records of further ones are under `others`.
const MOST_NODES: usize = 16_384;

/// What was recorded of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub records: u64,
    pub first: Nanos,
    pub last: Nanos,
}

/// A span of time without a record, from the record before it to the one after it (to the [`STEP`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: Nanos,
    pub to: Nanos,
}

impl Gap {
    pub fn seconds(&self) -> i64 {
        self.to.since(self.from) / Nanos::SECOND
    }
}

/// The coverage of what was read.
#[derive(Debug, Default)]
pub struct Cover {
    steps: BTreeSet<i64>,
    /// The step booked last: most records come in order.
    latest: Option<i64>,
    nodes: BTreeMap<String, Node>,
    pub first: Option<Nanos>,
    pub last: Option<Nanos>,
    pub records: u64,
    /// Records without a time.
    pub timeless: u64,
    /// Records whose step found no room.
    pub overflow: u64,
}

impl Cover {
    pub fn add(&mut self, node: &str, at: Nanos) {
        self.records += 1;
        if at == Nanos::default() {
            self.timeless += 1;
            return;
        }
        self.first = Some(self.first.map_or(at, |f| f.min(at)));
        self.last = Some(self.last.map_or(at, |l| l.max(at)));
        let step = at.0.div_euclid(STEP * Nanos::SECOND);
        if self.latest != Some(step) {
            self.latest = Some(step);
            if self.steps.len() < MOST_STEPS || self.steps.contains(&step) {
                self.steps.insert(step);
            } else {
                self.overflow += 1;
            }
        }
        let node = if self.nodes.len() < MOST_NODES || self.nodes.contains_key(node) { node } else { "others" };
        match self.nodes.get_mut(node) {
            Some(n) => {
                n.records += 1;
                n.first = n.first.min(at);
                n.last = n.last.max(at);
            }
            None => {
                self.nodes.insert(node.to_owned(), Node { records: 1, first: at, last: at });
            }
        }
    }

    /// Spans of at least so many seconds without a record, oldest first; `None` if the times found no room.
    pub fn gaps(&self, seconds: i64) -> Option<Vec<Gap>> {
        if self.overflow > 0 {
            return None;
        }
        let at = |step: i64| Nanos(step.saturating_mul(STEP * Nanos::SECOND));
        let pairs = self.steps.iter().zip(self.steps.iter().skip(1));
        let gaps = pairs.map(|(a, b)| Gap { from: at(a + 1), to: at(*b) });
        Some(gaps.filter(|g| g.seconds() >= seconds).collect())
    }

    /// The nodes that reported something; a record that names none stands under the empty name.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Nanos {
        Nanos(1_700_000_000 * Nanos::SECOND).plus(seconds * Nanos::SECOND)
    }

    #[test]
    fn a_span_without_records_is_a_gap_whatever_their_order() {
        let mut c = Cover::default();
        for s in [400, 0, 5, 11, 405, 100] {
            c.add("n1", at(s));
        }
        c.add("n2", Nanos::default());
        let gaps = c.gaps(60).unwrap();
        assert_eq!(gaps.iter().map(|g| (g.from, g.seconds())).collect::<Vec<_>>(), [(at(20), 80), (at(110), 290)]);
        assert_eq!((c.first, c.last, c.records, c.timeless), (Some(at(0)), Some(at(405)), 7, 1));
        assert_eq!(c.nodes()["n1"], Node { records: 6, first: at(0), last: at(405) });
        assert!(!c.nodes().contains_key("n2"), "a record without a time says nothing of when");
    }

    #[test]
    fn what_finds_no_room_makes_the_gaps_unknown() {
        let mut c = Cover::default();
        for s in 0..i64::try_from(MOST_STEPS).unwrap() + 2 {
            c.add("n", at(s * STEP));
        }
        assert_eq!((c.overflow, c.gaps(60)), (2, None));
    }
}
