//! State of the screens that show sums: map, matrix, stats, timeline, policies. Plain data; `update::board` writes it.
use super::model::Scroll;
use crate::engine::admitted;
use crate::engine::edges::EdgeId;
use crate::engine::usage::Usage;
use crate::model::time::Nanos;
use std::collections::HashSet;
use std::hash::Hash;

/// The order of a list changes at most this often.
const RESORT_MS: u64 = 1_000;

/// A list that stands still under the finger: having moved in it, only what is new comes in, at its end. Until all that was there when it
/// was opened has been looked at, it has no order yet that could stand still: so far it is sorted, and the same line stays chosen.
#[derive(Debug)]
pub struct List<T> {
    pub lines: Vec<T>,
    /// `None`: the first one, whichever that is.
    pub selected: Option<T>,
    sorted_ms: u64,
    /// It was sorted with everything looked at.
    whole: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), selected: None, sorted_ms: 0, whole: false }
    }
}

impl<T: Copy + Eq + Hash> List<T> {
    pub fn at(&self) -> usize {
        self.selected.and_then(|s| self.lines.iter().position(|l| *l == s)).unwrap_or(0)
    }

    pub fn here(&self) -> Option<T> {
        self.lines.get(self.at()).copied()
    }

    pub fn step(&mut self, by: isize) {
        let Some(last) = self.lines.len().checked_sub(1) else { return };
        self.selected = self.lines.get(self.at().saturating_add_signed(by).min(last)).copied();
    }

    /// Takes the lines as they are now, in the order they should have. `whole`: nothing that was there waits to be looked at.
    pub fn renew(&mut self, fresh: Vec<T>, ms: u64, whole: bool) {
        let first = !self.whole;
        let due = ms >= self.sorted_ms.saturating_add(RESORT_MS) || self.lines.is_empty() || (first && whole);
        self.whole |= whole;
        if (self.selected.is_none() || first) && due {
            self.lines = fresh;
            self.sorted_ms = ms;
        } else {
            let now: HashSet<T> = fresh.iter().copied().collect();
            self.lines.retain(|l| now.contains(l));
            let known: HashSet<T> = self.lines.iter().copied().collect();
            self.lines.extend(fresh.into_iter().filter(|l| !known.contains(l)));
        }
        if self.selected.is_some_and(|s| !self.lines.contains(&s)) {
            self.selected = None;
        }
    }

    /// Sorted anew with the next picture, whatever is under the finger.
    pub fn unsettle(&mut self) {
        (self.selected, self.sorted_ms) = (None, 0);
        self.lines.clear();
    }
}

/// By what a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    #[default]
    Count,
    Drops,
    Name,
    /// By when it was first seen, newest first.
    New,
    /// By when it was seen last, newest first.
    Last,
    /// By how many flows it lets through.
    Allows,
}

/// One service, who calls it and whom it calls.
#[derive(Debug, Default)]
pub struct Map {
    /// Its name; `None` until there is anybody.
    pub focus: Option<String>,
    /// The keys go to whom it calls, not to its callers.
    pub out: bool,
    pub callers: List<EdgeId>,
    pub calls: List<EdgeId>,
    pub sort: Sort,
    pub reverse: bool,
}

impl Map {
    pub fn on(focus: Option<String>) -> Self {
        Self { focus, out: true, ..Self::default() }
    }

    pub fn list(&self) -> &List<EdgeId> {
        if self.out { &self.calls } else { &self.callers }
    }

    pub fn list_mut(&mut self) -> &mut List<EdgeId> {
        if self.out { &mut self.calls } else { &mut self.callers }
    }
}

/// Who talks to whom, as a table.
#[derive(Debug, Default)]
pub struct Matrix {
    /// Workloads instead of namespaces.
    pub workloads: bool,
    /// Drops instead of rates.
    pub drops: bool,
    /// The cell under the finger; `None`: the one with the most drops, else the most traffic.
    pub selected: Option<(String, String)>,
}

#[derive(Debug, Default)]
pub struct Stats {
    /// Number of the window in `series::WIDTHS`.
    pub window: usize,
    /// Line under the finger.
    pub at: usize,
    /// How many lines there were in the last picture.
    pub most: usize,
}

/// Everything that is known along the time.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Begin of the slot under the finger; `None`: the newest.
    pub at: Option<Nanos>,
    /// The other end of the brush.
    pub brush: Option<Nanos>,
}

#[derive(Debug, Default)]
pub struct Policies {
    pub usage: Usage,
    /// When its flows were counted last, and of how many conversations.
    pub counted: Option<(u64, usize)>,
    /// All that was there has been judged and counted once: that is what stands while the picture is paused.
    pub whole: bool,
    /// Places in `Usage::lines`.
    pub list: List<usize>,
    pub sort: Sort,
    pub reverse: bool,
}

/// Who was let in.
#[derive(Debug)]
pub struct Admitted {
    pub found: admitted::Admitted,
    /// The filter it was found for.
    pub filter: String,
    /// Places in `found.lines`.
    pub list: List<usize>,
    pub sort: Sort,
    pub reverse: bool,
}

impl Default for Admitted {
    fn default() -> Self {
        let (found, filter, list) = Default::default();
        Self { found, filter, list, sort: Sort::Drops, reverse: false }
    }
}

/// A text with line numbers.
#[derive(Debug)]
pub struct Yaml {
    pub title: String,
    pub first: u32,
    pub lines: Vec<String>,
    pub scroll: Scroll,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stands_still_under_the_finger() {
        let mut l = List::default();
        l.renew(vec![1, 2, 3], 0, true);
        l.renew(vec![3, 2, 1], 500, true);
        assert_eq!(l.lines, [1, 2, 3], "not more than once a second");
        l.renew(vec![3, 2, 1], 1_000, true);
        assert_eq!(l.lines, [3, 2, 1]);
        l.step(1);
        l.renew(vec![4, 1, 2], 9_000, true);
        assert_eq!((l.lines.as_slice(), l.here()), ([2, 1, 4].as_slice(), Some(2)));
        l.renew(vec![4], 9_000, true);
        assert_eq!((l.here(), l.selected), (Some(4), None));
        l.step(isize::MIN);
        l.step(isize::MAX);
        assert_eq!(l.at(), 0);
    }

    #[test]
    fn a_line_that_is_chosen_at_once_does_not_leave_the_list_in_the_order_of_arrival() {
        let mut l = List::default();
        l.renew(vec![1, 2], 0, false);
        l.step(1);
        l.renew(vec![3, 2, 1], 500, false);
        assert_eq!(l.lines, [1, 2, 3], "not more than once a second");
        l.renew(vec![4, 3, 2, 1], 1_000, false);
        assert_eq!((l.lines.as_slice(), l.here(), l.at()), ([4, 3, 2, 1].as_slice(), Some(2), 2), "the same line is chosen");
        l.renew(vec![5, 2, 4, 3, 1], 1_001, true);
        assert_eq!((l.lines.as_slice(), l.here()), ([5, 2, 4, 3, 1].as_slice(), Some(2)), "at once when all has been looked at");
        l.renew(vec![1, 2, 3, 4, 5], 9_000, true);
        assert_eq!(l.lines, [5, 2, 4, 3, 1], "from then on it stands still");
    }
}
