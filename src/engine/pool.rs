//! Things that are alike, kept once and numbered. A million flows have some thousand senders, receivers and forms.
//!
//! Owns the numbers and how many there may be. Knows nothing of what the bytes mean.
use crate::query::recall::NOT_HERE;
use foldhash::quality::RandomState;
use indexmap::IndexSet;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Spelled things kept at most, their bytes, and the longest; of further ones it is only said that they are not here ([`NOT_HERE`]).
const MOST: usize = if cfg!(test) { 256 } else { 1 << 16 };
const MOST_BYTES: usize = 16 << 20;
const LONGEST: usize = 4 << 10;

/// Bytes, numbered.
#[derive(Debug, Default)]
pub struct Spelled {
    /// By 128 bits that stand for them: two of a million have the same by no chance that matters, and by no design, since the seeds
    /// are this process's own.
    ids: HashMap<(u64, u64), u32, foldhash::fast::RandomState>,
    all: Vec<Box<[u8]>>,
    bytes: usize,
    seeds: [RandomState; 2],
}

impl Spelled {
    pub fn add(&mut self, bytes: &[u8]) -> u32 {
        let key = {
            let [a, b] = self.seeds.each_ref().map(|s| s.hash_one(bytes));
            (a, b)
        };
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = match u32::try_from(self.all.len()) {
            Ok(id) if !self.is_full() && bytes.len() <= LONGEST => id,
            _ => return NOT_HERE,
        };
        self.ids.insert(key, id);
        self.bytes += bytes.len();
        self.all.push(Box::from(bytes));
        id
    }

    pub fn get(&self, id: u32) -> Option<&[u8]> {
        self.all.get(id as usize).map(|b| &**b)
    }

    pub fn is_full(&self) -> bool {
        self.all.len() >= MOST || self.bytes >= MOST_BYTES
    }

    /// The number of the same bytes in another pool.
    pub fn moved(&self, id: u32, to: &mut Self) -> u32 {
        self.get(id).map_or(NOT_HERE, |bytes| to.add(bytes))
    }
}

/// Values, numbered; as many as there are.
#[derive(Debug)]
pub struct Values<T>(IndexSet<T, foldhash::fast::RandomState>);

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self(IndexSet::default())
    }
}

impl<T: Hash + Eq + Copy> Values<T> {
    /// A set of 2³² values would not fit in memory.
    pub fn add(&mut self, value: T) -> u32 {
        u32::try_from(self.0.insert_full(value).0).unwrap_or(u32::MAX)
    }

    pub fn get(&self, id: u32) -> Option<&T> {
        self.0.get_index(id as usize)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_has_the_same_number_and_what_finds_no_room_has_none() {
        let mut pool = Spelled::default();
        let (a, b) = (pool.add(b"a"), pool.add(b"b"));
        assert!(a != b && pool.add(b"a") == a && pool.get(b) == Some(b"b"));
        for n in 0..MOST as u64 {
            pool.add(&n.to_le_bytes());
        }
        assert!(pool.is_full() && pool.add(b"c") == NOT_HERE && pool.add(b"b") == b);
        let mut other = Spelled::default();
        assert_eq!((pool.moved(b, &mut other), pool.moved(NOT_HERE, &mut other)), (0, NOT_HERE));
    }
}
