//! Facts by name, each as it is and as it was. Owns how many names are kept that are gone; how much of one fact's past, is its own business.
use super::aged::{Aged, SLACK, Then};
use crate::model::time::Nanos;
use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Names kept that are gone; the oldest end goes first, and is counted.
const MOST_GONE: usize = 4_096;

#[derive(Debug, Clone)]
pub(super) struct Histories<K, T> {
    all: HashMap<K, Aged<T>>,
    /// The oldest end first. One that came again may stand in it too.
    gone: VecDeque<(Nanos, K)>,
    /// Of a name that is not here nothing is known until then.
    from: Option<Nanos>,
    forgotten: u64,
}

impl<K, T> Default for Histories<K, T> {
    fn default() -> Self {
        Self { all: HashMap::new(), gone: VecDeque::new(), from: None, forgotten: 0 }
    }
}

impl<K: Eq + Hash + Clone, T: PartialEq> Histories<K, T> {
    /// Takes in what is so of a name from a time on, `None`: it is gone; `at`, `first` as [`Aged::set`] has them. `true` if that changes it.
    pub fn set(&mut self, key: &K, new: Option<T>, at: Option<Nanos>, first: bool) -> bool {
        let is_gone = new.is_none();
        let fact = match (self.all.get_mut(key), is_gone) {
            (Some(fact), _) => fact,
            (None, true) => return false,
            (None, false) => self.all.entry(key.clone()).or_default(),
        };
        let comes = fact.is_over();
        let changed = fact.set(new, at, first);
        if let (true, Some(_), Some(from)) = (comes, at, self.from) {
            // It may have been another before, which is forgotten.
            fact.forget_before(from.plus(SLACK));
        }
        if fact.is_over() {
            self.all.remove(key);
        } else if let (Some(at), true, true) = (at, is_gone, changed) {
            self.gone.push_back((at, key.clone()));
        }
        while self.gone.len() > MOST_GONE
            && let Some((end, key)) = self.gone.pop_front()
        {
            // One that came again since is no more gone than the next.
            if self.now(&key).is_none() && !self.gone.iter().any(|(_, other)| *other == key) {
                self.all.remove(&key);
                self.from = self.from.max(Some(end));
                self.forgotten += 1;
            }
        }
        changed
    }

    pub fn now<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.all.get(key)?.now()
    }

    /// What it was at a time; `None` asks for now.
    pub fn at<Q: Hash + Eq + ?Sized>(&self, key: &Q, at: Option<Nanos>) -> Then<'_, T>
    where
        K: Borrow<Q>,
    {
        match self.all.get(key) {
            Some(fact) => fact.at(at),
            None if self.forgets(at) => Then::Forgotten,
            None => Then::Nothing,
        }
    }

    /// Another number for each value that it had; 0 for today's.
    pub fn era<Q: Hash + Eq + ?Sized>(&self, key: &Q, at: Option<Nanos>) -> u64
    where
        K: Borrow<Q>,
    {
        self.all.get(key).map_or_else(|| if self.forgets(at) { u64::MAX } else { 0 }, |fact| fact.era(at))
    }

    /// Of a name that is not here: whether it may have been there then.
    fn forgets(&self, at: Option<Nanos>) -> bool {
        at.zip(self.from).is_some_and(|(at, from)| at < from.plus(SLACK))
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&Aged<T>>
    where
        K: Borrow<Q>,
    {
        self.all.get(key)
    }

    /// Every name that there is now.
    pub fn names(&self) -> impl Iterator<Item = &K> {
        self.all.iter().filter(|(_, fact)| fact.now().is_some()).map(|(key, _)| key)
    }

    /// When it became something else, as far as that is remembered, and before when nothing is known of it.
    pub fn moments<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> impl Iterator<Item = Nanos> + use<'_, K, T, Q>
    where
        K: Borrow<Q>,
    {
        let fact = self.all.get(key);
        fact.into_iter().flat_map(Aged::moments).chain(self.from.filter(|_| fact.is_none()))
    }

    /// Names that were forgotten for want of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: usize) -> Option<Nanos> {
        Some(Nanos(n as i64 * 100 * Nanos::SECOND))
    }

    #[test]
    fn names_that_come_and_go_without_end_are_forgotten_and_counted_and_what_they_were_is_not_known() {
        let mut h = Histories::default();
        h.set(&"stays".to_owned(), Some(7), s(1), false);
        for n in 2..3 * MOST_GONE {
            let name = format!("n{n}");
            assert!(h.set(&name, Some(n), s(n), false) && h.set(&name, None, s(n + 1), false));
            assert!(h.all.len() <= MOST_GONE + 2 && h.gone.len() <= MOST_GONE, "{}", h.all.len());
        }
        assert_eq!(h.forgotten as usize, 3 * MOST_GONE - 2 - MOST_GONE);
        let (old, new) = ("n2".to_owned(), format!("n{}", 3 * MOST_GONE - 1));
        assert_eq!((h.at(&old, s(2)), h.at(&old, None)), (Then::Forgotten, Then::Nothing));
        assert_ne!(h.era(&old, s(2)), h.era(&old, s(3 * MOST_GONE)));
        let mid = Some(s(3 * MOST_GONE - 1).unwrap().plus(50 * Nanos::SECOND));
        assert_eq!((h.at(&new, mid), h.at(&"never".to_owned(), mid)), (Then::Known(&(3 * MOST_GONE - 1)), Then::Nothing));
        // It is what it is all the same; and one that comes again was not what it is now.
        assert_eq!(h.at(&"stays".to_owned(), s(2)), Then::Known(&7));
        assert!(h.set(&old, Some(1), s(4 * MOST_GONE), false));
        assert_eq!((h.at(&old, s(2)), h.at(&old, s(5 * MOST_GONE))), (Then::Forgotten, Then::Known(&1)));
    }

    #[test]
    fn a_name_that_comes_and_goes_all_the_time_takes_no_others_place() {
        let mut h = Histories::default();
        h.set(&"gone", Some(0), s(0), false);
        h.set(&"gone", None, s(1), false);
        for n in 2..MOST_GONE + 100 {
            h.set(&"flips", (n % 2 == 0).then_some(n), s(n), false);
        }
        assert_eq!((h.forgotten, h.at(&"gone", None)), (0, Then::Nothing));
        assert!(!h.set(&"never", None, s(9), false) && h.get(&"never").is_none());
    }
}
