//! How many in a second: flows, drops, DNS failures, in rings of slots over a minute, five and an hour, by reason and by node; and one
//! line over everything since the first row, which gets coarser as it gets longer. Knows rows only.
use super::store::Store;
use super::tally::Heard;
use crate::model::observed::Verdict;
use crate::model::row::Proxy;
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use foldhash::HashMap;
use std::collections::VecDeque;

/// Slots of a ring.
pub const SLOTS: usize = 60;
/// Seconds of a slot of each ring.
pub const WIDTHS: [i64; 3] = [1, 5, 60];
/// Nodes and reasons counted apart; what comes beyond is counted in the sums alone.
const MOST: usize = 1_000;
/// Slots of the whole history; when it would have more, two become one.
pub const HISTORY: usize = 240;

/// Sums of one slot, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Records.
    pub flows: u32,
    /// Records by verdict; the rest of `flows` is something else.
    pub passed: u32,
    pub stopped: u32,
    pub audited: u32,
    /// Dropped packets.
    pub dropped: u32,
    /// DNS answers that are none.
    pub dns: u32,
}

impl Rate {
    fn of(h: &Heard<'_>) -> Self {
        let is = |v: &[Verdict]| u32::from(v.contains(&h.row.verdict));
        Self {
            flows: 1,
            passed: is(&[Verdict::Forwarded, Verdict::Redirected]),
            stopped: is(&[Verdict::Dropped, Verdict::Error]),
            audited: is(&[Verdict::Audit]),
            dropped: u32::from(h.dropped),
            dns: u32::from(h.row.l7 == Some(Proxy::Dns) && h.row.failed()),
        }
    }

    #[must_use]
    pub fn plus(self, o: Self) -> Self {
        Self {
            flows: self.flows.saturating_add(o.flows),
            passed: self.passed.saturating_add(o.passed),
            stopped: self.stopped.saturating_add(o.stopped),
            audited: self.audited.saturating_add(o.audited),
            dropped: self.dropped.saturating_add(o.dropped),
            dns: self.dns.saturating_add(o.dns),
        }
    }
}

/// The last [`SLOTS`] slots.
#[derive(Debug, Clone)]
struct Ring<T> {
    slots: [T; SLOTS],
    upto: i64,
}

impl<T: Copy + Default> Default for Ring<T> {
    fn default() -> Self {
        Self { slots: [T::default(); SLOTS], upto: i64::MIN / 2 }
    }
}

impl<T: Copy + Default> Ring<T> {
    fn slot(&mut self, n: i64) -> Option<&mut T> {
        if n > self.upto {
            for gone in (self.upto + 1).max(n - SLOTS as i64 + 1)..=n {
                if let Some(s) = self.slots.get_mut(place(gone)) {
                    *s = T::default();
                }
            }
            self.upto = n;
        }
        if n <= self.upto - SLOTS as i64 { None } else { self.slots.get_mut(place(n)) }
    }

    /// The slots up to `now`, oldest first.
    fn upto(&self, now: i64) -> impl Iterator<Item = T> {
        (now - SLOTS as i64 + 1..=now).map(|n| {
            let held = n <= self.upto && n > self.upto - SLOTS as i64;
            if held { self.slots.get(place(n)).copied().unwrap_or_default() } else { T::default() }
        })
    }
}

fn place(n: i64) -> usize {
    usize::try_from(n.rem_euclid(SLOTS as i64)).unwrap_or(0)
}

/// Counts of one node or reason, in each window.
type Counts = [Ring<u32>; 3];

/// All rates.
#[derive(Debug, Clone, Default)]
pub struct Series {
    rings: [Ring<Rate>; 3],
    nodes: Vec<(String, Counts)>,
    /// Places in `nodes` by the row's symbol, which holds until the store's next sweep.
    by_node: HashMap<Sym, usize>,
    sweeps: u64,
    reasons: Vec<(u16, Counts)>,
    history: VecDeque<Rate>,
    /// Seconds of a slot of the history; 0 before the first row.
    width: i64,
    /// Number of the first slot of the history.
    first: i64,
    newest: Option<Nanos>,
    oldest: Option<Nanos>,
}

impl Series {
    pub fn add(&mut self, heard: &Heard<'_>, store: &Store) {
        let at = heard.row.at;
        self.newest = Some(self.newest.map_or(at, |n| n.max(at)));
        self.oldest = Some(self.oldest.map_or(at, |n| n.min(at)));
        let rate = Rate::of(heard);
        for (ring, width) in self.rings.iter_mut().zip(WIDTHS) {
            if let Some(s) = ring.slot(number(at, width)) {
                *s = s.plus(rate);
            }
        }
        if !heard.row.node.is_empty() {
            self.node(heard.row.node, store, at);
        }
        if heard.dropped {
            let known = self.reasons.iter().position(|(r, _)| *r == heard.row.drop);
            let i = known.unwrap_or_else(|| {
                if self.reasons.len() < MOST {
                    self.reasons.push((heard.row.drop, Counts::default()));
                }
                self.reasons.len() - 1
            });
            if let Some((_, c)) = self.reasons.get_mut(i).filter(|(r, _)| *r == heard.row.drop) {
                count(c, at);
            }
        }
        self.remember(at, rate);
    }

    fn node(&mut self, sym: Sym, store: &Store, at: Nanos) {
        if self.sweeps != store.sweeps() {
            self.by_node.clear();
            self.sweeps = store.sweeps();
        }
        let i = match self.by_node.get(&sym) {
            Some(i) => *i,
            None => {
                let name = store.name(sym);
                let i = match self.nodes.iter().position(|(n, _)| n == name) {
                    Some(i) => i,
                    None if self.nodes.len() >= MOST => return,
                    None => {
                        self.nodes.push((name.to_owned(), Counts::default()));
                        self.nodes.len() - 1
                    }
                };
                self.by_node.insert(sym, i);
                i
            }
        };
        if let Some((_, c)) = self.nodes.get_mut(i) {
            count(c, at);
        }
    }

    fn remember(&mut self, at: Nanos, rate: Rate) {
        if self.width == 0 {
            (self.width, self.first) = (1, number(at, 1));
        }
        loop {
            let n = number(at, self.width);
            let last = self.first + self.history.len() as i64 - 1;
            if n.max(last) - n.min(self.first) < HISTORY as i64 {
                break;
            }
            self.coarsen();
        }
        let n = number(at, self.width);
        while n < self.first {
            self.history.push_front(Rate::default());
            self.first -= 1;
        }
        while n >= self.first + self.history.len() as i64 {
            self.history.push_back(Rate::default());
        }
        let slot = usize::try_from(n - self.first).ok().and_then(|i| self.history.get_mut(i));
        if let Some(s) = slot {
            *s = s.plus(rate);
        }
    }

    /// Two slots become one.
    fn coarsen(&mut self) {
        let first = self.first.div_euclid(2);
        let mut merged: VecDeque<Rate> = VecDeque::with_capacity(HISTORY);
        for (i, r) in self.history.iter().enumerate() {
            let place = usize::try_from((self.first + i as i64).div_euclid(2) - first).unwrap_or(0);
            match merged.get_mut(place) {
                Some(s) => *s = s.plus(*r),
                None => merged.push_back(*r),
            }
        }
        (self.history, self.first, self.width) = (merged, first, self.width.saturating_mul(2));
    }

    /// Slots of a window (its number in [`WIDTHS`]) up to a time, oldest first.
    pub fn window(&self, which: usize, now: Nanos) -> impl Iterator<Item = Rate> {
        let width = WIDTHS.get(which).copied().unwrap_or(1);
        self.rings.get(which).into_iter().flat_map(move |r| r.upto(number(now, width)))
    }

    /// Where a window begins, if it leaves something out.
    pub fn cut(&self, which: usize, now: Nanos) -> Option<Nanos> {
        let width = WIDTHS.get(which).copied().unwrap_or(1);
        let first = number(now, width).saturating_sub(SLOTS as i64 - 1);
        let begin = Nanos(first.saturating_mul(width.saturating_mul(Nanos::SECOND)));
        (self.oldest? < begin).then_some(begin)
    }

    /// All of a window, up to the newest row.
    pub fn sum(&self, which: usize) -> Rate {
        self.window(which, self.newest.unwrap_or_default()).fold(Rate::default(), Rate::plus)
    }

    /// Records of each node in a window, most first.
    pub fn nodes(&self, which: usize, now: Nanos) -> Vec<(&str, u64)> {
        let mut out: Vec<_> = self.nodes.iter().map(|(n, c)| (n.as_str(), total(c, which, now))).filter(|(_, n)| *n > 0).collect();
        out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        out
    }

    /// Dropped packets by reason in a window, most first.
    pub fn reasons(&self, which: usize, now: Nanos) -> Vec<(u16, u64)> {
        let mut out: Vec<_> = self.reasons.iter().map(|(r, c)| (*r, total(c, which, now))).filter(|(_, n)| *n > 0).collect();
        out.sort_by_key(|(r, n)| (std::cmp::Reverse(*n), *r));
        out
    }

    /// Everything since the first row: begin of each slot and its sums.
    pub fn history(&self) -> impl ExactSizeIterator<Item = (Nanos, Rate)> {
        self.history.iter().enumerate().map(|(i, r)| (self.begin(i), *r))
    }

    fn begin(&self, i: usize) -> Nanos {
        Nanos((self.first + i as i64).saturating_mul(self.width).saturating_mul(Nanos::SECOND))
    }

    /// Seconds of a slot of the history.
    pub fn width(&self) -> i64 {
        self.width.max(1)
    }

    /// Time of the first and of the last row.
    pub fn span(&self) -> Option<(Nanos, Nanos)> {
        self.oldest.zip(self.newest)
    }
}

fn number(at: Nanos, width: i64) -> i64 {
    at.0.div_euclid(width.max(1).saturating_mul(Nanos::SECOND))
}

fn count(c: &mut Counts, at: Nanos) {
    for (ring, width) in c.iter_mut().zip(WIDTHS) {
        if let Some(n) = ring.slot(number(at, width)) {
            *n = n.saturating_add(1);
        }
    }
}

fn total(c: &Counts, which: usize, now: Nanos) -> u64 {
    let width = WIDTHS.get(which).copied().unwrap_or(1);
    c.get(which).map_or(0, |r| r.upto(number(now, width)).map(u64::from).sum())
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::{LATE, end, row, store};
    use super::*;
    use crate::engine::tally::Tally;

    #[test]
    fn the_history_gets_coarser_and_loses_nothing() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 1), end(&mut s, "shop", "db", 2));
        let mut t = Tally::default();
        for i in [0i64, 5, 100, 239, 240, 10_000, -300, 86_400] {
            t.add(&row(cart, db, Verdict::Forwarded, i * 1_000), &s, LATE);
        }
        let h = &t.series;
        assert!(h.history().len() <= HISTORY);
        assert_eq!(h.history().map(|(_, r)| r.flows).sum::<u32>(), 8);
        let (first, last) = h.span().unwrap();
        assert!(h.history().next().unwrap().0 <= first && h.history().last().unwrap().0 <= last);
        assert_eq!(last.since(first), 86_700 * Nanos::SECOND);
    }

    #[test]
    fn a_window_forgets_what_lies_before_it() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 1), end(&mut s, "shop", "db", 2));
        let mut t = Tally::default();
        let mut dropped = row(cart, db, Verdict::Dropped, 0);
        dropped.drop = 133;
        dropped.node = s.intern("worker-1");
        t.add(&dropped, &s, LATE);
        t.add(&row(cart, db, Verdict::Forwarded, 61_000), &s, LATE);
        let now = t.series.span().unwrap().1;
        assert_eq!((t.series.sum(0).flows, t.series.sum(1).flows, t.series.sum(1).dropped), (1, 2, 1));
        assert_eq!((t.series.reasons(0, now), t.series.reasons(1, now)), (vec![], vec![(133, 1)]));
        assert_eq!(t.series.nodes(2, now), [("worker-1", 1)]);
    }
}
