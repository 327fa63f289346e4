//! A fact that changes now and then, with what it was before. Owns how much of it is kept, and what is said of a time before that.
use crate::model::time::Nanos;
use std::collections::VecDeque;

/// Older values of one fact; the oldest go first.
const MOST: usize = 16;

/// How long after a change a node may not have it yet, and how far clocks may be apart; both sides.
pub(super) const SLACK: i64 = 30 * Nanos::SECOND;

/// What is known of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then<'a, T> {
    Known(&'a T),
    /// There is no such thing, or nobody has said it.
    Nothing,
    /// It was another then, or may have been, and which is not known.
    Forgotten,
}

/// One fact.
#[derive(Debug, Clone)]
pub(super) struct Aged<T> {
    now: Option<T>,
    /// Until when it was something else; the oldest first.
    past: VecDeque<(Nanos, Option<T>)>,
    /// Since when its values are known; `None`: always.
    from: Option<Nanos>,
}

impl<T> Default for Aged<T> {
    fn default() -> Self {
        Self { now: None, past: VecDeque::new(), from: None }
    }
}

impl<T: PartialEq> Aged<T> {
    /// Takes in what it is from a time on; `None`: it has always been so. `first`: it has been so before anybody looked, since its last
    /// write. `true` if that changes it.
    pub fn set(&mut self, new: Option<T>, at: Option<Nanos>, first: bool) -> bool {
        if self.now == new {
            return false;
        }
        let old = std::mem::replace(&mut self.now, new);
        match at {
            None => (self.past, self.from) = (VecDeque::new(), None),
            Some(at) if first => self.from = Some(at),
            // It came while somebody looked: nothing went by it before.
            Some(_) if old.is_none() && self.past.is_empty() => {}
            Some(at) => {
                let at = self.past.back().map_or(at, |(last, _)| at.max(*last));
                self.past.push_back((at, old));
                if self.past.len() > MOST
                    && let Some((until, _)) = self.past.pop_front()
                {
                    self.from = Some(until);
                }
            }
        }
        true
    }

    /// The same, but nothing is taken to have been there before it came.
    pub fn turn(&mut self, new: Option<T>, at: Option<Nanos>, first: bool) -> bool {
        let came = self.now.is_none() && self.past.is_empty() && new.is_some() && !first;
        let changed = self.set(new, at, first);
        if let (true, Some(at)) = (came, at) {
            self.past.push_back((at, None));
        }
        changed
    }

    /// What it was before a time is not known.
    pub fn forget_before(&mut self, from: Nanos) {
        self.from = self.from.max(Some(from));
    }

    pub fn now(&self) -> Option<&T> {
        self.now.as_ref()
    }

    /// What it was at a time; `None` asks for now.
    pub fn at(&self, at: Option<Nanos>) -> Then<'_, T> {
        let value = match (at, self.era(at)) {
            (_, FORGOTTEN) => return Then::Forgotten,
            (Some(at), _) => self.past.iter().find(|(until, _)| at < *until).map_or(&self.now, |(_, old)| old),
            (None, _) => &self.now,
        };
        value.as_ref().map_or(Then::Nothing, Then::Known)
    }

    /// Another number for each value that it had; 0 for today's.
    pub fn era(&self, at: Option<Nanos>) -> u64 {
        let Some(at) = at.filter(|_| !self.past.is_empty() || self.from.is_some()) else { return 0 };
        let near = self.past.iter().any(|(until, _)| at.since(*until).unsigned_abs() <= SLACK.unsigned_abs());
        if near || self.from.is_some_and(|from| at < from) {
            return FORGOTTEN;
        }
        self.past.iter().filter(|(until, _)| at < *until).count() as u64
    }

    /// All that it may have been at a time, the oldest first: more than one close to a change. In it `None`: there was no such thing.
    /// `None` of all: it may have been something that is forgotten.
    pub fn about(&self, at: Option<Nanos>) -> Option<impl Iterator<Item = Option<&T>> + Clone> {
        let (begin, end) = at.map_or((Nanos(i64::MAX), Nanos(i64::MAX)), |at| (at.plus(-SLACK), at.plus(SLACK)));
        if at.is_some() && self.from.is_some_and(|from| begin < from) {
            return None;
        }
        let began = move |i: usize| i.checked_sub(1).and_then(|i| self.past.get(i)).is_none_or(|(since, _)| *since <= end);
        let past = self.past.iter().enumerate().filter(move |(i, (until, _))| *until >= begin && began(*i));
        let now = began(self.past.len()).then_some(&self.now);
        Some(past.map(|(_, (_, old))| old).chain(now).map(Option::as_ref))
    }

    /// Each change that is remembered: when, what it was before, and after; the oldest first.
    pub fn steps(&self) -> impl Iterator<Item = (Nanos, Option<&T>, Option<&T>)> {
        let after = self.past.iter().skip(1).map(|(_, value)| value).chain([&self.now]);
        self.past.iter().zip(after).map(|((at, before), after)| (*at, before.as_ref(), after.as_ref()))
    }

    /// When it became something else, as far as that is remembered, and before when nothing is known of it.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        self.past.iter().map(|(at, _)| *at).chain(self.from)
    }

    /// Everything that it is or was.
    pub fn ever(&self) -> impl Iterator<Item = &T> {
        self.past.iter().filter_map(|(_, old)| old.as_ref()).chain(&self.now)
    }

    /// It has been so always, as far as anybody knows.
    pub fn is_always(&self) -> bool {
        self.past.is_empty() && self.from.is_none()
    }

    /// Nothing of it is worth keeping.
    pub fn is_over(&self) -> bool {
        self.now.is_none() && self.past.is_empty()
    }
}

const FORGOTTEN: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: i64) -> Option<Nanos> {
        Some(Nanos(n * Nanos::SECOND))
    }

    #[test]
    fn an_older_time_has_the_older_value_or_none_that_is_known() {
        let mut a = Aged::default();
        assert!(a.set(Some(1), s(100), true) && !a.set(Some(1), s(200), false));
        assert_eq!((a.at(s(50)), a.at(s(150)), a.at(None)), (Then::Forgotten, Then::Known(&1), Then::Known(&1)));
        assert!(a.set(Some(2), s(1_000), false));
        let told = [900, 990, 1_010, 1_100].map(|n| a.at(s(n)));
        assert_eq!(told, [Then::Known(&1), Then::Forgotten, Then::Forgotten, Then::Known(&2)], "a node may not have it yet");
        assert!(a.set(None, s(2_000), false) && !a.is_over());
        assert_eq!((a.at(s(1_500)), a.at(s(2_100)), a.now()), (Then::Known(&2), Then::Nothing, None));
        for n in 0..2 * MOST as i64 {
            a.set(Some(n), s(3_000 + 100 * n), false);
        }
        assert_eq!((a.past.len(), a.at(s(1_500))), (MOST, Then::Forgotten));
        a.set(Some(7), None, false);
        assert_eq!(a.at(s(1_500)), Then::Known(&7), "a manifest has always been so");
    }

    #[test]
    fn a_time_without_end_is_near_no_change() {
        let mut a = Aged::default();
        a.set(Some(1), s(-100), false);
        a.set(Some(2), s(1_000), false);
        assert_eq!([Nanos(i64::MIN), Nanos(i64::MAX)].map(|at| a.at(Some(at))), [Then::Known(&1), Then::Known(&2)]);
    }

    #[test]
    fn what_came_while_somebody_looked_needs_no_past() {
        let mut a = Aged::default();
        a.set(Some(1), s(100), false);
        assert_eq!((a.at(s(50)), a.era(s(50))), (Then::Known(&1), 0));
    }
}
