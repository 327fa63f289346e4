//! Objects of one kind by their names, as they are and as they were, and which of them have an address.
//!
//! Owns what is said of a time close to a change, when a node may have gone by either, and how much of the past is kept. Reads no object.
use super::aged::{Aged, SLACK};
use super::turns::Turns;
use crate::model::time::Nanos;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

/// Objects kept that are gone; the same.
const MOST_GONE: usize = 4_096;

/// Addresses kept that one object had and has no more; the same.
const MOST_LOST: usize = 128;

/// Who can have an address besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    Inner,
    /// It is somebody's outside of the cluster as long as no object has it.
    Outer,
}

/// An address as an object has it.
pub(super) type Own = (IpAddr, Reach);

/// What objects of a kind have as addresses.
pub(super) trait Addressed {
    fn addresses(&self) -> impl Iterator<Item = Own>;
}

fn has<T: Addressed>(object: &T, own: Own) -> bool {
    object.addresses().any(|other| other == own)
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

/// One object.
#[derive(Debug, Clone)]
struct Object<T> {
    is: Aged<T>,
    /// Addresses that it has no more, and until when it had them; the oldest first.
    lost: VecDeque<(Own, Nanos)>,
}

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self { is: Aged::default(), lost: VecDeque::new() }
    }
}

/// All objects of one kind.
#[derive(Debug, Clone)]
pub(super) struct Kept<K, T> {
    all: BTreeMap<K, Object<T>>,
    /// Who has an address or had it: what an object was may be forgotten sooner than that it had this.
    by_address: HashMap<Own, Vec<K>>,
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
        let has: HashSet<Own> = new.iter().flat_map(Addressed::addresses).collect();
        for own in &has {
            let claims = self.by_address.entry(*own).or_default();
            if !claims.contains(key) {
                claims.push(key.clone());
            }
        }
        let is_gone = new.is_none();
        let object = self.all.entry(key.clone()).or_default();
        let mut met = has.clone();
        let lost: Vec<Own> = object.is.now().into_iter().flat_map(Addressed::addresses).filter(|own| met.insert(*own)).collect();
        object.is.turn(new, at, first);
        object.lost.retain(|(own, _)| !has.contains(own));
        let until = object.lost.back().map(|(_, last)| *last).max(at).unwrap_or_default();
        object.lost.extend(lost.into_iter().map(|own| (own, until)));
        // Of what has always been so nothing was before.
        let most = if at.is_some() { MOST_LOST } else { 0 };
        let surplus = object.lost.len().saturating_sub(most);
        for (own, until) in object.lost.drain(..surplus) {
            unclaim(&mut self.by_address, own, key);
            if at.is_some() {
                self.turns.forget(Some(until));
            }
        }
        let over = object.is.is_over();
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
        let Some(object) = self.all.remove(key) else { return };
        let has = object.is.now().into_iter().flat_map(Addressed::addresses);
        for own in object.lost.iter().map(|(own, _)| *own).chain(has) {
            unclaim(&mut self.by_address, own, key);
        }
    }

    pub fn now(&self, key: &K) -> Option<&T> {
        self.all.get(key)?.is.now()
    }

    /// Every object there is now, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.all.iter().filter_map(|(key, object)| Some((key, object.is.now()?)))
    }

    /// Everything that any object is or was.
    pub fn ever(&self) -> impl Iterator<Item = &T> {
        self.all.values().flat_map(|object| object.is.ever())
    }

    /// Whether there is such an object, or was.
    pub fn is_known<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.all.contains_key(key)
    }

    /// Each object that there was at a time, or may have been, by name, with all that it may have been; see [`Self::about`].
    pub fn all_about(&self, at: Option<Nanos>) -> impl Iterator<Item = (&K, Option<impl Iterator<Item = Option<&T>> + Clone>)> {
        let all = self.all.iter().map(move |(key, object)| (key, self.values(object, at)));
        all.filter(|(_, values)| values.as_ref().is_none_or(|all| all.clone().any(|value| value.is_some())))
    }

    /// All that an object may have been at a time: more than one close to a change, when a node may have gone by either. In it `None`: it
    /// was not there. `None` of all: that is forgotten.
    pub fn about<'a, Q>(&'a self, key: &Q, at: Option<Nanos>) -> Option<impl Iterator<Item = Option<&'a T>> + use<'a, K, T, Q>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let object = self.all.get(key);
        let values = object.map(|object| self.values(object, at));
        if values.as_ref().map_or_else(|| self.turns.forget_of(at), Option::is_none) {
            return None;
        }
        Some(values.flatten().into_iter().flatten().chain(object.is_none().then_some(None)))
    }

    /// All that those may have been at a time that may have had an address then.
    pub fn having(&self, own: Own, at: Option<Nanos>) -> impl Iterator<Item = &T> {
        let objects = self.met_with(own).filter_map(|key| self.all.get(key));
        objects.filter_map(move |object| self.values(object, at)).flatten().flatten().filter(move |value| has(*value, own))
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

    fn values<'a>(&self, object: &'a Object<T>, at: Option<Nanos>) -> Option<impl Iterator<Item = Option<&'a T>> + Clone + use<'a, K, T>> {
        object.is.about(at).filter(|_| object.is.is_always() || !self.turns.forget_of(at))
    }

    /// Whose an address was. `alone`: nobody else can have it, so that it was no other's before the object came.
    pub fn claim(&self, own: Own, at: Option<Nanos>, alone: bool) -> Claim<'_, K> {
        let (mut found, mut several, mut unsure) = (None, false, None);
        for key in self.met_with(own) {
            let Some(object) = self.all.get(key) else { continue };
            let Some(values) = self.values(object, at) else {
                // When it had it is forgotten, not that it had it.
                unsure = Some(key);
                continue;
            };
            let (mut had, mut lacked, mut came) = (false, false, false);
            for value in values {
                match value {
                    Some(value) if has(value, own) => had = true,
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

    fn met_with(&self, own: Own) -> impl Iterator<Item = &K> {
        self.by_address.get(&own).into_iter().flatten()
    }

    /// Who has an address or had it, however far it reaches.
    pub fn met_at(&self, ip: IpAddr) -> impl Iterator<Item = &K> {
        self.met_with((ip, Reach::Inner)).chain(self.met_with((ip, Reach::Outer)))
    }

    /// Which objects changed since a time or shortly before in what concerns whatever `has` says: whether they were added, changed or
    /// removed, and when last.
    pub fn turned<'a>(&'a self, of: impl Iterator<Item = &'a K>, at: Nanos, has: impl Fn(&T) -> bool) -> Vec<(&'a K, &'static str, Nanos)> {
        let begin = at.plus(-SLACK);
        if !self.turns.any_since(at) {
            return Vec::new();
        }
        let one = |key: &'a K| {
            let concerns = |(at, before, after): &(Nanos, Option<&T>, Option<&T>)| {
                *at >= begin && before.filter(|v| has(v)) != after.filter(|v| has(v))
            };
            let mut steps = self.all.get(key)?.is.steps().filter(concerns);
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

    /// As [`Turns::moments`]; and of one object, when it changed.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        self.turns.moments()
    }

    pub fn moments_of(&self, key: &K) -> impl Iterator<Item = Nanos> {
        self.all.get(key).into_iter().flat_map(|object| object.is.moments().chain(object.lost.iter().map(|(_, until)| *until)))
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

fn unclaim<K: PartialEq>(by_address: &mut HashMap<Own, Vec<K>>, own: Own, key: &K) {
    let Some(claims) = by_address.get_mut(&own) else { return };
    claims.retain(|other| other != key);
    if claims.is_empty() {
        by_address.remove(&own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Addressed for Vec<IpAddr> {
        fn addresses(&self) -> impl Iterator<Item = Own> {
            self.iter().map(|ip| (*ip, Reach::Inner))
        }
    }

    fn s(n: i64) -> Option<Nanos> {
        Some(Nanos(n * Nanos::SECOND))
    }

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn about(k: &Kept<&'static str, Vec<IpAddr>>, key: &'static str, at: i64) -> Option<Vec<Option<Vec<IpAddr>>>> {
        k.about(&key, s(at)).map(|all| all.map(Option::<&Vec<IpAddr>>::cloned).collect())
    }

    fn whose(k: &Kept<&'static str, Vec<IpAddr>>, at: i64, alone: bool) -> String {
        match k.claim((ip(1), Reach::Inner), s(at), alone) {
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
        let told = |at: i64| (k.era(s(at)), about(&k, "a", at));
        let mut seen = HashMap::new();
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
        assert_eq!((about(&k, "0", 50), about(&k, "0", 10_000), k.era(s(50))), (None, Some(vec![None]), u64::MAX));
    }
    #[test]
    fn an_address_that_an_object_had_before_all_that_is_remembered_of_it_is_not_called_nobodys() {
        let mut k = Kept::default();
        k.set(&"a", Some(vec![ip(1)]), s(0), true);
        for n in 2..40 {
            k.set(&"a", Some(vec![ip(n)]), s(1_000 * i64::from(n)), false);
        }
        assert_eq!((whose(&k, 500, true), whose(&k, 500, false), about(&k, "a", 500)), ("a?".to_owned(), "a?".to_owned(), None));
        assert_eq!((whose(&k, 50_000, true), k.forgotten()), ("nobody".to_owned(), 0));
    }

    #[test]
    fn addresses_that_one_object_had_are_bounded_and_what_goes_is_forgotten_for_all() {
        let mut k = Kept::default();
        let nth = |n: u32| IpAddr::from((10 << 24 | n).to_be_bytes());
        k.set(&"b", Some(vec![ip(9)]), s(0), false);
        k.set(&"b", Some(vec![ip(8)]), s(10), false);
        for n in 1..=5_000 {
            k.set(&"a", Some(vec![nth(n)]), s(100 + 100 * i64::from(n)), false);
        }
        assert_eq!((k.by_address.len(), k.forgotten()), (MOST_LOST + 3, 5_000 - 1 - MOST_LOST as u64));
        assert_eq!([250, 600_000].map(|at| whose(&k, at, true)), ["?", "nobody"], "nobody remembers");
        // One that comes back is not lost, and one object's end takes nobody else's.
        k.set(&"a", Some(vec![nth(4_999), ip(8)]), s(600_000), false);
        assert_eq!(k.all["a"].lost.iter().filter(|(own, _)| own.0 == nth(4_999)).count(), 0);
        k.drop(&"a");
        let mut left: Vec<(IpAddr, &[&str])> = k.by_address.iter().map(|(own, keys)| (own.0, keys.as_slice())).collect();
        left.sort();
        assert_eq!(left, [(ip(8), ["b"].as_slice()), (ip(9), ["b"].as_slice())]);
    }

    #[test]
    fn of_what_has_always_been_so_nothing_before_takes_room() {
        let mut k = Kept::default();
        k.set(&"a", Some(vec![ip(1)]), None, false);
        k.set(&"a", Some(vec![ip(2)]), None, false);
        assert_eq!((k.by_address.len(), k.forgotten(), whose(&k, 50, true)), (1, 0, "nobody".to_owned()));
    }
}
