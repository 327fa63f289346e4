//! Times of which records are known to be lacking: events were lost, a server came back with a shorter memory, no recording covers them.
//! That nothing was seen then says nothing.
//!
//! Owns these times; how much was lost, and where, stands in the ledger.
use crate::model::time::Nanos;
use crate::wire::pb::flow::LostEvent;

/// Times kept apart. When there are more, the two that lie nearest become one: what is not known may grow by that, and never shrinks.
const MOST: usize = 256;

/// In order, and none of them touches another.
#[derive(Debug, Default)]
pub struct Lapses(Vec<(Nanos, Nanos)>);

impl Lapses {
    pub fn add(&mut self, from: Nanos, until: Nanos) {
        let (from, until) = (from.min(until), from.max(until));
        let lo = self.0.partition_point(|s| s.1 < from);
        let hi = self.0.partition_point(|s| s.0 <= until).max(lo);
        let met = self.0.get(lo..hi).unwrap_or_default().iter();
        let all = met.fold((from, until), |all, s| (all.0.min(s.0), all.1.max(s.1)));
        self.0.splice(lo..hi, [all]);
        if self.0.len() > MOST {
            self.join();
        }
    }

    /// Events were lost: between the first and the last of them, or, where that is not told, by the time it was said.
    pub fn lost(&mut self, lost: &LostEvent, said: Nanos) {
        let [first, last] = [&lost.first, &lost.last].map(|t| t.as_ref().map(|t| Nanos::from_parts(t.seconds, t.nanos)));
        let (from, until) = (first.or(last).unwrap_or(said), last.or(first).unwrap_or(said));
        if until != Nanos::default() {
            self.add(from, until);
        }
    }

    fn join(&mut self) {
        let pairs = self.0.iter().zip(self.0.iter().skip(1)).enumerate();
        let Some((i, _)) = pairs.min_by_key(|(_, (a, b))| b.0.since(a.1)) else { return };
        if let [a, b] = self.0.get(i..i + 2).unwrap_or_default() {
            let both = (a.0, b.1);
            self.0.splice(i..i + 2, [both]);
        }
    }

    /// Whether something may be lacking at any moment of a time; its end is no part of it.
    pub fn touch(&self, begin: Nanos, end: Nanos) -> bool {
        self.0.get(self.0.partition_point(|s| s.1 < begin)).is_some_and(|s| s.0 < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_meet_become_one_and_beyond_the_most_the_nearest_do() {
        let mut l = Lapses::default();
        for (from, until) in [(10, 20), (40, 50), (15, 30), (5, 10)] {
            l.add(Nanos(from), Nanos(until));
        }
        assert_eq!(l.0, [(Nanos(5), Nanos(30)), (Nanos(40), Nanos(50))]);
        let touched = [(0, 5), (0, 6), (31, 40), (31, 41), (50, 60), (51, 60)].map(|(a, b)| l.touch(Nanos(a), Nanos(b)));
        assert_eq!(touched, [false, true, false, true, true, false]);
        // A moment, and one over two others.
        l.add(Nanos(35), Nanos(35));
        assert!(l.touch(Nanos(31), Nanos(40)) && l.0.len() == 3);
        l.add(Nanos(60), Nanos(33));
        assert_eq!(l.0, [(Nanos(5), Nanos(30)), (Nanos(33), Nanos(60))]);
        for i in 0..MOST as i64 {
            l.add(Nanos(1_000 + i * 10), Nanos(1_001 + i * 10));
        }
        assert_eq!(l.0.len(), MOST);
        assert!(l.touch(Nanos(31), Nanos(32)), "the nearest are one, and what lay between is not known either");
        assert!(l.touch(Nanos(1_000), Nanos(1_001)) && !l.touch(Nanos(1_022), Nanos(1_029)));
    }
}
