//! The ring of messages that a server holds: bounded, the oldest goes first, and a reader that fell behind learns how many it missed.
//!
//! Owns retention and numbering. Must not know requests or filters. Responses are kept encoded: a tenth of what they weigh decoded.
use crate::model::time::Nanos;
use bytes::Bytes;
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One response as it is held.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Nanos,
    pub bytes: Bytes,
}

/// What stands at a reader's place.
#[derive(Debug)]
pub enum Read {
    Entry(Entry),
    /// The place has been overwritten; the oldest that is left stands at `oldest`.
    Behind {
        oldest: u64,
    },
    /// Nothing has been written there yet.
    Empty,
    /// Nothing will be.
    Closed,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    /// The place of the first entry.
    oldest: u64,
    closed: bool,
}

/// The ring. Places are numbered from 0 in the order of writing and never used twice.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    inner: Mutex<Inner>,
    /// How many have been written; wakes the readers.
    written: watch::Sender<u64>,
}

impl Ring {
    /// Holds at most `capacity` responses, at least one.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity: capacity.max(1), inner: Mutex::default(), written: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock only means that another thread died between two whole steps.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the oldest fell out for it.
    pub fn push(&self, at: Nanos, message: &impl Message) -> bool {
        let entry = Entry { at, bytes: message.encode_to_vec().into() };
        let (end, full) = {
            let mut inner = self.lock();
            let full = inner.entries.len() >= self.capacity;
            if full {
                inner.entries.pop_front();
                inner.oldest += 1;
            }
            inner.entries.push_back(entry);
            (inner.oldest + inner.entries.len() as u64, full)
        };
        self.written.send_replace(end);
        full
    }

    /// No more will be written: readers that follow come to their end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.written.send_modify(|_| ());
    }

    pub fn read(&self, place: u64) -> Read {
        let inner = self.lock();
        if place < inner.oldest {
            return Read::Behind { oldest: inner.oldest };
        }
        let index = usize::try_from(place - inner.oldest).unwrap_or(usize::MAX);
        match inner.entries.get(index) {
            Some(e) => Read::Entry(e.clone()),
            None if inner.closed => Read::Closed,
            None => Read::Empty,
        }
    }

    /// The places `from..to` as far as they are held.
    pub fn range(&self, from: u64, to: u64) -> Vec<(u64, Entry)> {
        let inner = self.lock();
        let skip = usize::try_from(from.saturating_sub(inner.oldest)).unwrap_or(usize::MAX);
        let places = inner.oldest.max(from)..to;
        places.zip(inner.entries.iter().skip(skip).cloned()).collect()
    }

    /// The place of the oldest held, and the one that will be written next.
    pub fn bounds(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.oldest, inner.oldest + inner.entries.len() as u64)
    }

    /// Time of the oldest and of the newest held.
    pub fn span(&self) -> Option<(Nanos, Nanos)> {
        let inner = self.lock();
        Some((inner.entries.front()?.at, inner.entries.back()?.at))
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Wakes at every write.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::observer::GetFlowsResponse;

    fn fill(ring: &Ring, n: i64) {
        for i in 0..n {
            let full = ring.push(Nanos(i), &GetFlowsResponse { node_name: format!("n{i}"), ..GetFlowsResponse::default() });
            assert_eq!(full, i >= 4, "{i}");
        }
    }

    #[test]
    fn the_oldest_goes_first_and_the_reader_learns_it() {
        let ring = Ring::new(4);
        fill(&ring, 10);
        assert_eq!(ring.bounds(), (6, 10));
        assert!(matches!(ring.read(2), Read::Behind { oldest: 6 }));
        assert!(matches!(ring.read(6), Read::Entry(e) if e.at == Nanos(6)));
        assert!(matches!(ring.read(10), Read::Empty));
        ring.close();
        assert!(matches!(ring.read(10), Read::Closed) && matches!(ring.read(9), Read::Entry(_)));
        assert_eq!(ring.span(), Some((Nanos(6), Nanos(9))));
    }

    #[test]
    fn ranges_are_cut_to_what_is_held() {
        let ring = Ring::new(4);
        fill(&ring, 10);
        let places = |from, to| ring.range(from, to).iter().map(|(p, e)| (*p, e.at.0)).collect::<Vec<_>>();
        assert_eq!(places(0, 8), [(6, 6), (7, 7)]);
        assert_eq!(places(8, 99), [(8, 8), (9, 9)]);
        assert!(places(20, 30).is_empty() && places(0, 3).is_empty());
    }
}
