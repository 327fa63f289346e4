//! What was asked for of late, within a bound. Owns what is forgotten when it is full; knows nothing of what it holds.
use foldhash::HashMap;
use std::hash::Hash;

/// A bounded memory. When its younger half is full the older half is forgotten: whatever is asked for now and then stays.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), most }
    }

    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(v) = self.young.get(key) {
            return Some(v.clone());
        }
        let (key, v) = self.old.remove_entry(key)?;
        self.insert(key, v.clone());
        Some(v)
    }

    pub fn insert(&mut self, key: K, v: V) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, v);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let mut r: Recent<u32, u32> = Recent::new(8);
        for i in 0..100 {
            assert_eq!(r.get(&i), None);
            r.insert(i, i);
            assert_eq!(r.get(&0), Some(0), "{i}");
            assert!(r.young.len() + r.old.len() <= 8);
        }
        assert_eq!((r.get(&50), r.get(&99)), (None, Some(99)));
    }
}
