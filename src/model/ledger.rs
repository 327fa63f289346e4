//! Where every frame went. Nothing is lost silently: whoever drops something books it here.
//!
//! Owns the counters and their balance law; prints nothing.
use super::input::Gap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Nodes and sources whose losses are told apart: their names come from the network, and a hostile server has more of them than
/// the largest cluster (5 000 nodes).
const MOST_LOSERS: usize = 16_384;

/// Times of which servers may lack flows that are named, the latest ones.
const MOST_GAPS: usize = 64;

/// Malformed frames kept as examples.
const EXAMPLES: usize = 3;

/// One malformed frame, kept as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// File and line, or server.
    pub place: String,
    pub reason: String,
}

/// Counters of one run. `frames = decoded + malformed + skipped`, `decoded = admitted + refused + notices`, `admitted = held + evicted`
/// (without a store: `= written`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Frames that sources handed over: one a line or one a gRPC message.
    pub frames: u64,
    pub decoded: u64,
    pub malformed: u64,
    /// Blank lines, and lines that a scan proved not to match.
    pub skipped: u64,
    pub admitted: u64,
    /// Did not pass the filter.
    pub refused: u64,
    /// Lost-event, node-status and other records that are no flows: told, not stored.
    pub notices: u64,
    /// Of them events of agents, and of their debugging.
    pub agent_events: u64,
    pub debug_events: u64,
    /// In the store now; without a store: written.
    pub held: u64,
    /// Fell out of the bounded store, oldest first. Intentional.
    pub evicted: u64,
    /// Rows held whose raw frame fell out of the byte budget.
    pub raw_evicted: u64,
    /// Events that servers said they lost, by `node source`; what comes after the first [`MOST_LOSERS`] of those is under `others`.
    pub lost: BTreeMap<String, u64>,
    /// The first three malformed frames.
    pub examples: Vec<Example>,
    /// How often the live connection had to be made anew.
    pub reconnects: u64,
    /// Times of which servers may lack flows, and how many there were; none of them is a number of flows.
    pub gaps: VecDeque<Arc<Gap>>,
    pub gap_count: u64,
    /// Flows of several servers that came too late to stand in their order, by server. They are among the others all the same.
    pub late: BTreeMap<String, u64>,
    /// Older versions of policies, and times in which they were not watched, that found no room.
    pub versions_forgotten: u64,
    /// Pods of which it was forgotten that they once had an address, older versions of nodes, services and address groups, and namespaces
    /// that are gone.
    pub addresses_forgotten: u64,
    /// Entries of agents' dictionaries that found no room, or that name nothing.
    pub ids_left_out: u64,
    /// Flows whose policy an agent gave as a number that names nobody.
    pub ids_unnamed: u64,
}

impl Ledger {
    /// Books a frame that could not be read; keeps the first three as examples.
    pub fn malformed(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.malformed += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example { place: place.into(), reason: reason.into() });
        }
    }

    /// Books events that a server reports as lost.
    pub fn lose(&mut self, node: &str, source: &str, count: u64) {
        let mut who = format!("{node} {source}").trim().to_owned();
        if self.lost.len() >= MOST_LOSERS && !self.lost.contains_key(&who) {
            "others".clone_into(&mut who);
        }
        let at = self.lost.entry(who).or_default();
        *at = at.saturating_add(count);
    }

    /// Books a time of which a server may lack flows.
    pub fn gap(&mut self, gap: Arc<Gap>) {
        self.gap_count += 1;
        if self.gaps.len() == MOST_GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// Adds the books of a part of the run, whose examples come after those that are here.
    pub fn absorb(&mut self, part: &Self) {
        for (sum, n) in [
            (&mut self.frames, part.frames),
            (&mut self.decoded, part.decoded),
            (&mut self.malformed, part.malformed),
            (&mut self.skipped, part.skipped),
            (&mut self.admitted, part.admitted),
            (&mut self.refused, part.refused),
            (&mut self.notices, part.notices),
            (&mut self.agent_events, part.agent_events),
            (&mut self.debug_events, part.debug_events),
            (&mut self.held, part.held),
            (&mut self.evicted, part.evicted),
            (&mut self.raw_evicted, part.raw_evicted),
            (&mut self.reconnects, part.reconnects),
            (&mut self.gap_count, part.gap_count.saturating_sub(part.gaps.len() as u64)),
            (&mut self.versions_forgotten, part.versions_forgotten),
            (&mut self.addresses_forgotten, part.addresses_forgotten),
            (&mut self.ids_left_out, part.ids_left_out),
            (&mut self.ids_unnamed, part.ids_unnamed),
        ] {
            *sum += n;
        }
        for (who, count) in &part.lost {
            self.lose(who, "", *count);
        }
        part.gaps.iter().for_each(|g| self.gap(g.clone()));
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(part.examples.iter().take(room).cloned());
    }

    /// Events of agents and of their debugging.
    pub fn events(&self) -> u64 {
        self.agent_events + self.debug_events
    }

    pub fn lost_total(&self) -> u64 {
        self.lost.values().fold(0, |a, n| a.saturating_add(*n))
    }

    pub fn late_total(&self) -> u64 {
        self.late.values().fold(0, |a, n| a.saturating_add(*n))
    }

    /// The balance law; tests assert it after every run.
    pub fn balanced(&self) -> bool {
        self.frames == self.decoded + self.malformed + self.skipped
            && self.decoded == self.admitted + self.refused + self.notices
            && self.admitted == self.held + self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_examples_and_counts_all() {
        let mut l = Ledger::default();
        for n in 0..10 {
            l.frames += 1;
            l.malformed(format!("f:{n}"), "bad");
        }
        assert_eq!((l.malformed, l.examples.len()), (10, 3));
        assert!(l.balanced());
    }

    #[test]
    fn losses_sum_per_node_and_source() {
        let mut l = Ledger::default();
        l.lose("n1", "HUBBLE_RING_BUFFER", 3);
        l.lose("n1", "HUBBLE_RING_BUFFER", u64::MAX);
        assert_eq!(l.lost_total(), u64::MAX);
        assert_eq!(l.lost.len(), 1);
    }

    #[test]
    fn parts_add_up_and_the_first_examples_stay() {
        let mut part = Ledger { frames: 5, decoded: 1, refused: 1, skipped: 2, ..Ledger::default() };
        part.malformed("f:1", "bad");
        part.malformed("f:2", "bad");
        part.lose("n1", "HUBBLE_RING_BUFFER", 3);
        let mut all = Ledger::default();
        all.absorb(&part);
        all.absorb(&part);
        assert!(all.balanced());
        let places: Vec<_> = all.examples.iter().map(|e| e.place.as_str()).collect();
        assert_eq!((all.malformed, places), (4, vec!["f:1", "f:2", "f:1"]));
        assert_eq!(all.lost["n1 HUBBLE_RING_BUFFER"], 6);
    }

    #[test]
    fn invented_nodes_do_not_fill_the_memory_and_are_counted() {
        let mut l = Ledger::default();
        for n in 0..MOST_LOSERS + 10 {
            l.lose(&format!("n{n}"), "", 1);
        }
        assert_eq!((l.lost.len(), l.lost["others"]), (MOST_LOSERS + 1, 10));
        assert_eq!(l.lost_total(), MOST_LOSERS as u64 + 10);
    }
}
