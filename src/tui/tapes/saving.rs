//! What is held and passes a filter goes to a file, some rows at a time: the screen goes on meanwhile. Opens no file.
use super::closing::Closing;
use crate::engine::{Engine, Sieve};
use crate::model::input::{Codec, Frame};
use crate::model::words::many;
use crate::query::Predicate;
use crate::record::Recorder;
use prost::Message as _;
use std::sync::Arc;

/// Rows between two questions whether time is up.
const SLICE: u64 = 128;

/// A file on its way, and what is still to come to it.
pub(super) struct Saving {
    to: Recorder,
    next: u64,
    end: u64,
    filter: Sieve,
    /// Rows whose frames are not held any more.
    gone: u64,
}

impl Saving {
    /// Of all that is held now.
    pub fn new(to: Recorder, filter: Predicate, engine: &Engine) -> Self {
        let seqs = engine.store().seqs();
        Self { to, next: seqs.start, end: seqs.end, filter: Sieve::new(filter), gone: 0 }
    }

    /// What was held is not any more.
    pub fn forget(&mut self) {
        self.gone += self.end.saturating_sub(self.next);
        self.next = self.end;
    }

    /// Rows, and what has come to the disk.
    pub fn progress(&self) -> (u64, u64) {
        (self.next, self.to.books().flows)
    }

    pub fn has_room(&self) -> bool {
        self.to.has_room()
    }

    /// Goes on while `more` allows. Returns whether that was all.
    pub fn advance(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
        self.to.flush();
        let from: Arc<str> = Arc::from("");
        // What fell out meanwhile is not there any more.
        let first = engine.store().seqs().start;
        self.gone += first.saturating_sub(self.next).min(self.end.saturating_sub(self.next));
        self.next = self.next.max(first);
        while self.next < self.end && self.to.books().failed.is_none() {
            if !self.to.has_room() {
                return false;
            }
            let seq = self.next;
            self.next += 1;
            if engine.matches(seq, &mut self.filter) {
                match engine.store().response(seq) {
                    Some(r) => {
                        let bytes = r.encode_to_vec().into();
                        self.to.frame(Frame { codec: Codec::Hubble, from: from.clone(), line: 0, bytes, broken: None });
                    }
                    None => self.gone += 1,
                }
            }
            if self.next.is_multiple_of(SLICE) && !more() {
                return false;
            }
        }
        true
    }

    /// That it ended before that, in words.
    pub fn torn(&self) -> String {
        format!("{} is not whole: {} not looked at", self.to.path().display(), many(self.end.saturating_sub(self.next), "row"))
    }

    pub fn close(self) -> Closing {
        Closing { done: "saved", to: self.to, gone: self.gone }
    }
}
