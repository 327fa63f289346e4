//! What reading found besides the fields: why a line is bad, and what in a good line was passed over.
use std::collections::BTreeMap;
use std::fmt;

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Character in the line, counted from 1; 0 where there is no telling.
    pub column: usize,
    /// In words, without a full stop.
    pub reason: String,
}

impl Bad {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { column: 0, reason: reason.into() }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => f.write_str(&self.reason),
            n => write!(f, "column {n}: {}", self.reason),
        }
    }
}

/// What was passed over because this version does not know it, and how often. Bounded: a hostile stream can invent names
/// without end, so only the first [`Notes::NAMES`] are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Keys that no message here has.
    pub fields: BTreeMap<String, u64>,
    /// `field "NAME"`: enum names that the field's enum does not have; the field was left unset.
    pub enums: BTreeMap<String, u64>,
    /// Everything passed over, also what the two maps had no room for.
    pub total: u64,
}

impl Notes {
    pub const NAMES: usize = 64;
    const LENGTH: usize = 80;

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds the notes of later lines.
    pub fn absorb(&mut self, later: &Self) {
        self.total += later.total;
        for (mine, theirs) in [(&mut self.fields, &later.fields), (&mut self.enums, &later.enums)] {
            for (name, n) in theirs {
                count(mine, name, *n);
            }
        }
    }

    pub(super) fn field(&mut self, key: &str) {
        self.total += 1;
        count(&mut self.fields, cut(key), 1);
    }

    pub(super) fn enumeration(&mut self, field: &str, name: &str) {
        self.total += 1;
        count(&mut self.enums, &format!("{} {:?}", cut(field), cut(name)), 1);
    }
}

fn count(names: &mut BTreeMap<String, u64>, name: &str, times: u64) {
    if let Some(n) = names.get_mut(name) {
        *n += times;
    } else if names.len() < Notes::NAMES {
        names.insert(name.to_owned(), times);
    }
}

fn cut(name: &str) -> &str {
    name.char_indices().nth(Notes::LENGTH).and_then(|(at, _)| name.get(..at)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_all_are_counted() {
        let mut n = Notes::default();
        for i in 0..1000 {
            n.field(&format!("{i}{}", "x".repeat(10_000)));
        }
        assert_eq!((n.fields.len(), n.total), (Notes::NAMES, 1000));
        assert!(n.fields.keys().all(|k| k.len() <= 80));
        let mut all = n.clone();
        all.absorb(&n);
        assert_eq!((all.fields.len(), all.total, all.fields.values().sum::<u64>()), (Notes::NAMES, 2000, 128));
    }
}
