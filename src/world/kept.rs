//! Objects of one kind by their names, as they are and as they were, and which of them have an address.
//!
//! Owns what is said of a time close to a change, when a node may have gone by either, and how much of the past is kept. Reads no object.
use super::aged::{Aged, SLACK};
use crate::model::time::Nanos;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

/// Times of changes kept of one kind; when the oldest goes, what was before it is not known any more.
const MOST_TURNS: usize = 1 << 16;

/// Objects kept that are gone; the same.
const MOST_GONE: usize = 4_096;

/// What objects of a kind have as addresses.
pub(super) trait Addressed {
    fn addresses(&self) -> impl Iterator<Item = IpAddr>;
}

/// Whose an address was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim<'a, K> {
    Nobody,
    One(&'a K),
    /// Of several that have it the one that was met last.
    Several(&'a K),
    /// It came or went about then, or nobody remembers; with an object that may have had it.
    Unsure(Option<&'a K>),
}

/// When anything of a kind changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    /// Each time once; the oldest first.
    all: VecDeque<Nanos>,
    /// What was before is not known any more.
    from: Option<Nanos>,
    pub forgotten: u64,
}

impl Turns {
    pub fn note(&mut self, at: Nanos) {
        let place = self.all.partition_point(|t| *t < at);
        if self.all.get(place) == Some(&at) {
            return;
        }
        self.all.insert(place, at);
        if self.all.len() > MOST_TURNS {
            let oldest = self.all.pop_front();
            self.forget(oldest);
        }
    }

    fn forget(&mut self, until: Option<Nanos>) {
        self.from = self.from.max(until);
        self.forgotten += 1;
    }

    /// Whether what was at a time may be forgotten.
    pub fn forget_of(&self, at: Option<Nanos>) -> bool {
        at.zip(self.from).is_some_and(|(at, from)| at < from.plus(SLACK))
    }

    /// Another number for two times of which not the same is known; 0 where all is as it is now.
    pub fn era(&self, at: Option<Nanos>) -> u64 {
        let Some(at) = at else { return 0 };
        let (begin, end) = (at.plus(-SLACK), at.plus(SLACK));
        if self.all.back().is_none_or(|last| *last < begin) && !self.forget_of(Some(at)) {
            return 0;
        }
        if self.forget_of(Some(at)) {
            return u64::MAX;
        }
        let [before, at_begin, at_end] =
            [self.all.partition_point(|t| *t < begin), self.all.partition_point(|t| *t <= begin), self.all.partition_point(|t| *t <= end)]
                .map(|n| (self.all.len() - n) as u64);
        before << 42 | at_begin << 21 | at_end
    }
}

/// All objects of one kind.
#[derive(Debug, Clone)]
pub(super) struct Kept<K, T> {
    all: BTreeMap<K, Aged<T>>,
    /// Who has an address or had it.
    by_address: HashMap<IpAddr, Vec<K>>,
    turns: Turns,
    /// Those that are gone; the oldest end first.
    gone: VecDeque<(Nanos, K)>,
}

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), by_address: HashMap::new(), turns: Turns::default(), gone: VecDeque::new() }
    }
}

impl<K: Ord + Clone, T: PartialEq + Addressed> Kept<K, T> {
    /// Takes in what an object is from a time on, `None`: it is gone; `at`, `first` as [`Aged::set`] has them. `true` if that changes it.
    pub fn set(&mut self, key: &K, new: Option<T>, at: Option<Nanos>, first: bool) -> bool {
        if self.now(key) == new.as_ref() {
            return false;
        }
        for ip in new.iter().flat_map(Addressed::addresses) {
            let claims = self.by_address.entry(ip).or_default();
            if !claims.contains(key) {
                claims.push(key.clone());
            }
        }
        let is_gone = new.is_none();
        let object = self.all.entry(key.clone()).or_default();
        object.turn(new, at, first);
        let over = object.is_over();
        if let Some(at) = at {
            self.turns.note(at);
            if is_gone && !over {
                self.gone.push_back((at, key.clone()));
            }
        }
        if over {
            self.drop(key);
        }
        while self.gone.len() > MOST_GONE
            && let Some((end, key)) = self.gone.pop_front()
        {
            // One that came again since is no more gone than the next.
            if self.now(&key).is_none() && !self.gone.iter().any(|(_, other)| *other == key) {
                self.turns.forget(Some(end));
                self.drop(&key);
            }
        }
        true
    }

    fn drop(&mut self, key: &K) {
        self.all.remove(key);
        self.by_address.retain(|_, claims| {
            claims.retain(|k| k != key);
            !claims.is_empty()
        });
    }

    pub fn now(&self, key: &K) -> Option<&T> {
        self.all.get(key)?.now()
    }

    /// Every object there is now, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.all.iter().filter_map(|(key, object)| Some((key, object.now()?)))
    }

    /// Everything that any object is or was.
    pub fn ever(&self) -> impl Iterator<Item = &T> {
        self.all.values().flat_map(Aged::ever)
    }

    /// Whether there is such an object, or was.
    pub fn is_known<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.all.contains_key(key)
    }

    /// Each object that there was at a time, or may have been, by name, with all that it may have been; see [`Self::about`].
    pub fn all_about(&self, at: Option<Nanos>) -> impl Iterator<Item = (&K, Option<Vec<Option<&T>>>)> {
        let all = self.all.iter().map(move |(key, object)| (key, self.values(object, at).map(Iterator::collect::<Vec<_>>)));
        all.filter(|(_, values)| values.as_ref().is_none_or(|all| all.iter().any(Option::is_some)))
    }

    /// All that an object may have been at a time: more than one close to a change, when a node may have gone by either. In it `None`: it
    /// was not there. `None` of all: that is forgotten.
    pub fn about(&self, key: &K, at: Option<Nanos>) -> Option<Vec<Option<&T>>> {
        match self.all.get(key) {
            Some(object) => self.values(object, at).map(Iterator::collect),
            None if self.turns.forget_of(at) => None,
            None => Some(vec![None]),
        }
    }

    /// What an object was at a time when it was there, if it was only one thing to `same`; of alike ones the newest.
    pub fn settled(&self, key: &K, at: Option<Nanos>, same: impl Fn(&T, &T) -> bool) -> Option<&T> {
        let mut found: Option<&T> = None;
        for value in self.values(self.all.get(key)?, at)?.flatten() {
            if found.is_some_and(|other| !same(other, value)) {
                return None;
            }
            found = Some(value);
        }
        found
    }

    fn values<'a>(&self, object: &'a Aged<T>, at: Option<Nanos>) -> Option<impl Iterator<Item = Option<&'a T>>> {
        object.about(at).filter(|_| object.is_always() || !self.turns.forget_of(at))
    }

    /// Whose an address was. `has`: whether an object has it as such; `alone`: nobody else can have it, so that it was no other's before
    /// the object came.
    pub fn claim(&self, ip: IpAddr, at: Option<Nanos>, alone: bool, has: impl Fn(&T) -> bool) -> Claim<'_, K> {
        let (mut found, mut several, mut unsure) = (None, false, None);
        for key in self.by_address.get(&ip).into_iter().flatten() {
            let Some(object) = self.all.get(key) else { continue };
            let Some(values) = self.values(object, at) else {
                if object.ever().any(&has) {
                    unsure = Some(key);
                }
                continue;
            };
            let (mut had, mut lacked, mut came) = (false, false, false);
            for value in values {
                match value {
                    Some(value) if has(value) => had = true,
                    None if !had => came = true,
                    _ => lacked = true,
                }
            }
            match (had, lacked || came && !alone) {
                (false, _) => {}
                (true, true) => unsure = Some(key),
                (true, false) => (found, several) = (Some(key), found.is_some()),
            }
        }
        match (unsure, found) {
            (Some(key), _) => Claim::Unsure(Some(key)),
            (None, Some(key)) if several => Claim::Several(key),
            (None, Some(key)) => Claim::One(key),
            (None, None) if self.turns.forget_of(at) => Claim::Unsure(None),
            (None, None) => Claim::Nobody,
        }
    }

    /// Who has an address or had it.
    pub fn met_at(&self, ip: IpAddr) -> impl Iterator<Item = &K> {
        self.by_address.get(&ip).into_iter().flatten()
    }

    /// Which objects changed since a time or shortly before in what concerns whatever `has` says: whether they were added, changed or
    /// removed, and when last.
    pub fn turned<'a>(&'a self, of: impl Iterator<Item = &'a K>, at: Nanos, has: impl Fn(&T) -> bool) -> Vec<(&'a K, &'static str, Nanos)> {
        let begin = at.plus(-SLACK);
        if self.turns.all.back().is_none_or(|last| *last < begin) {
            return Vec::new();
        }
        let one = |key: &'a K| {
            let concerns = |(at, before, after): &(Nanos, Option<&T>, Option<&T>)| {
                *at >= begin && before.filter(|v| has(v)) != after.filter(|v| has(v))
            };
            let mut steps = self.all.get(key)?.steps().filter(concerns);
            let first = steps.next()?;
            let (last, _, after) = steps.last().unwrap_or(first);
            let what = match (first.1, after) {
                (None, Some(_)) => "added",
                (_, None) => "removed",
                (Some(_), Some(_)) => "changed",
            };
            Some((key, what, last))
        };
        of.filter_map(one).collect()
    }

    /// Names of all that there are or were.
    pub fn names(&self) -> impl Iterator<Item = &K> {
        self.all.keys()
    }

    /// As [`Turns::era`].
    pub fn era(&self, at: Option<Nanos>) -> u64 {
        self.turns.era(at)
    }

    /// Changes that were forgotten for want of room.
    pub fn forgotten(&self) -> u64 {
        self.turns.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Addressed for Vec<IpAddr> {
        fn addresses(&self) -> impl Iterator<Item = IpAddr> {
            self.iter().copied()
        }
    }

    fn s(n: i64) -> Option<Nanos> {
        Some(Nanos(n * Nanos::SECOND))
    }

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn whose(k: &Kept<&'static str, Vec<IpAddr>>, at: i64, alone: bool) -> String {
        match k.claim(ip(1), s(at), alone, |all| all.contains(&ip(1))) {
            Claim::Nobody => "nobody".to_owned(),
            Claim::One(key) => (*key).to_owned(),
            Claim::Several(key) => format!("{key} and others"),
            Claim::Unsure(key) => format!("{}?", key.unwrap_or(&"")),
        }
    }

    #[test]
    fn an_address_that_went_from_one_to_another_was_the_firsts_before_and_nobodys_for_certain_about_then() {
        let mut k = Kept::default();
        assert!(k.set(&"a", Some(vec![ip(1)]), s(0), true) && !k.set(&"a", Some(vec![ip(1)]), s(10), false));
        k.set(&"a", Some(vec![ip(2)]), s(1_000), false);
        k.set(&"b", Some(vec![ip(1)]), s(1_000), false);
        assert_eq!([900, 980, 1_020, 1_100].map(|at| whose(&k, at, true)), ["a", "a?", "a?", "b"]);
        k.set(&"c", Some(vec![ip(1)]), s(2_000), false);
        assert_eq!(whose(&k, 2_100, true), "c and others");
        k.set(&"b", None, s(3_000), false);
        assert_eq!((whose(&k, 3_100, true), k.now(&"b"), k.is_known(&"b")), ("c".to_owned(), None, true));
        k.set(&"c", None, s(4_000), false);
        assert_eq!([3_900, 4_010, 4_100].map(|at| whose(&k, at, true)), ["c", "c?", "nobody"]);
    }

    #[test]
    fn before_it_came_an_address_was_nobodys_unless_nobody_else_can_have_it() {
        let mut k = Kept::default();
        k.set(&"a", Some(vec![ip(1)]), s(1_000), false);
        assert_eq!([900, 990, 1_010, 1_100].map(|at| whose(&k, at, false)), ["nobody", "a?", "a?", "a"]);
        assert_eq!([900, 990, 1_010, 1_100].map(|at| whose(&k, at, true)), ["nobody", "a", "a", "a"]);
        k.set(&"b", Some(vec![ip(1)]), None, false);
        assert_eq!([900, 1_010].map(|at| whose(&k, at, false)), ["b", "a?"], "a manifest has always been so");
        k.set(&"b", None, None, false);
        assert!(!k.is_known(&"b"));
    }

    #[test]
    fn times_of_which_not_the_same_is_known_have_other_numbers() {
        let mut k = Kept::default();
        k.set(&"a", Some(vec![ip(1)]), s(100), false);
        k.set(&"a", Some(vec![ip(2)]), s(1_000), false);
        let told = |at: i64| (k.era(s(at)), k.about(&"a", s(at)));
        let mut seen: HashMap<u64, Option<Vec<Option<&Vec<IpAddr>>>>> = HashMap::new();
        for at in 0..1_200 {
            let (era, values) = told(at);
            assert_eq!(*seen.entry(era).or_insert_with(|| values.clone()), values, "{at}");
        }
        assert_eq!((k.era(s(1_031)), k.era(None), told(1_030).0 != 0), (0, 0, true));
    }

    #[test]
    fn what_finds_no_room_is_forgotten_and_not_taken_for_never() {
        let mut k = Kept::default();
        let names: Vec<&'static str> = (0..MOST_GONE + 1).map(|n| &*Box::leak(n.to_string().into_boxed_str())).collect();
        for (n, name) in names.iter().enumerate() {
            k.set(name, Some(vec![ip(1)]), s(0), false);
            k.set(name, None, s(100 + n as i64 / 8), false);
        }
        assert_eq!((k.is_known(&names[0]), k.is_known(&names[1]), k.forgotten()), (false, true, 1));
        assert_eq!((whose(&k, 50, true), whose(&k, 10_000, true)), ("4096?".to_owned(), "nobody".to_owned()));
        assert_eq!((k.about(&"0", s(50)), k.about(&"0", s(10_000)), k.era(s(50))), (None, Some(vec![None]), u64::MAX));
    }
}
