//! DNS answers that a filter refuses, until a record that it lets through may need them.
//!
//! Owns which of them are written, and when: where one answer comes again and again, the last one before each recorded record, but not
//! more often than once in [`AGAIN`]; else a filter that refuses DNS would record little else. Nothing is lost to its bounds: what finds no
//! room is written at once.
use super::names::Answer;
use crate::model::recent::Recent;
use crate::model::time::Nanos;
use indexmap::IndexMap;

/// An answer's life is told in whole seconds.
const AGAIN: i64 = Nanos::SECOND;
/// Answers that wait, and their bytes at most.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Taught {
    /// When it was given, and its record.
    waiting: IndexMap<Answer, (Nanos, Vec<u8>)>,
    bytes: usize,
    /// When those were given that were written last. One that is forgotten is written again.
    written: Recent<Answer, Nanos>,
    /// None of those that wait is to be written for a record before this time.
    due: Option<Nanos>,
}

impl Default for Taught {
    fn default() -> Self {
        Self { waiting: IndexMap::new(), bytes: 0, written: Recent::new(2 * MOST), due: None }
    }
}

impl Taught {
    /// Takes in the record of an answer; `true` if there is no room for another.
    pub fn take(&mut self, answer: Answer, at: Nanos, record: Vec<u8>) -> bool {
        let due = self.written.get(&answer).map_or(Nanos(i64::MIN), |w| w.plus(AGAIN));
        self.due = Some(self.due.map_or(due, |d| d.min(due)));
        self.bytes += record.len();
        if let Some((_, old)) = self.waiting.insert(answer, (at, record)) {
            self.bytes -= old.len();
        }
        self.waiting.len() >= MOST || self.bytes >= MOST_BYTES
    }

    /// What is to be written before a record of that time, in the order of their times.
    pub fn before(&mut self, at: Nanos) -> Vec<Vec<u8>> {
        if self.due.is_none_or(|due| at < due) {
            return Vec::new();
        }
        let (mut now, mut later) = (Vec::new(), IndexMap::new());
        self.due = None;
        for (answer, (given, record)) in std::mem::take(&mut self.waiting) {
            match self.written.get(&answer).map(|w| w.plus(AGAIN)).filter(|due| at < *due) {
                Some(due) => {
                    self.due = Some(self.due.map_or(due, |d| d.min(due)));
                    later.insert(answer, (given, record));
                }
                None => {
                    self.bytes -= record.len();
                    self.written.insert(answer, given);
                    now.push((given, record));
                }
            }
        }
        self.waiting = later;
        now.sort_by_key(|(given, _)| *given);
        now.into_iter().map(|(_, record)| record).collect()
    }

    /// All that wait.
    pub fn all(&mut self) -> Vec<Vec<u8>> {
        self.before(Nanos(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: i64) -> Nanos {
        Nanos(n * Nanos::SECOND)
    }

    #[test]
    fn an_answer_that_is_given_again_and_again_is_written_once_before_each_record_and_once_a_second_at_most() {
        let mut t = Taught::default();
        let give = |t: &mut Taught, at: i64| assert!(!t.take("a".to_owned(), s(at), at.to_string().into_bytes()));
        let text = |records: Vec<Vec<u8>>| records.into_iter().map(|r| String::from_utf8(r).unwrap()).collect::<Vec<_>>();
        (0..50).for_each(|at| give(&mut t, at));
        assert_eq!(text(t.before(s(50))), ["49"]);
        assert!(t.before(s(60)).is_empty());
        give(&mut t, 61);
        assert_eq!(text(t.before(s(61))), ["61"]);
        // Another one of the same second waits until that is over.
        give(&mut t, 61);
        assert!(t.before(s(61)).is_empty());
        assert_eq!(text(t.before(s(62))), ["61"]);
        assert!(t.all().is_empty());
    }

    #[test]
    fn those_that_find_no_room_are_written() {
        let mut t = Taught::default();
        let full = (0..MOST).filter(|n| t.take(n.to_string(), s(1), vec![b'x'])).count();
        assert_eq!((full, t.all().len(), t.bytes), (1, MOST, 0));
        assert!(t.take("large".to_owned(), s(1), vec![b'x'; MOST_BYTES]));
        assert_eq!((t.all().len(), t.bytes), (1, 0));
    }
}
