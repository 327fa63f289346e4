//! What is held: rows by sequence number, the strings they use, and their raw frames. Bounded in rows and in bytes.
//!
//! Owns eviction and the interner's sweep. Knows nothing of filters or policies.
use super::raw::Raw;
use crate::model::row::Row;
use crate::model::sym::{Interner, Sym};
use crate::wire::pb::observer::GetFlowsResponse;
use prost::Message;
use std::collections::VecDeque;
use std::ops::Range;

/// How much to hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    /// Bytes of compressed raw frames.
    pub raw: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 1_000_000, raw: 256 << 20 }
    }
}

/// Rows and frames, oldest first. A row's number never changes.
#[derive(Debug)]
pub struct Store {
    rows: VecDeque<Row>,
    first: u64,
    syms: Interner,
    raw: Raw,
    limits: Limits,
    /// Interner size after the last sweep.
    swept: usize,
    sweeps: u64,
    scratch: Vec<u8>,
}

impl Store {
    pub fn new(limits: Limits) -> Self {
        Self {
            rows: VecDeque::new(),
            first: 0,
            syms: Interner::default(),
            raw: Raw::new(limits.raw),
            limits,
            swept: 0,
            sweeps: 0,
            scratch: Vec::new(),
        }
    }

    /// Appends a row with its response and returns its number; evicts the oldest row if full.
    pub fn push(&mut self, row: Row, response: &GetFlowsResponse) -> u64 {
        self.scratch.clear();
        // Encoding into a growing Vec cannot fail.
        let _ = response.encode(&mut self.scratch);
        self.raw.push(&self.scratch);
        self.rows.push_back(row);
        if self.rows.len() > self.limits.rows.max(1) {
            self.rows.pop_front();
            self.first += 1;
            self.raw.forget_before(self.first);
            // A sweep costs a pass over all rows, so it waits until the strings have doubled.
            if self.syms.len() > 2 * self.swept + 65_536 {
                self.sweep();
            }
        }
        self.first + self.rows.len() as u64 - 1
    }

    fn sweep(&mut self) {
        let old = std::mem::take(&mut self.syms);
        let syms = &mut self.syms;
        for row in &mut self.rows {
            row.map_syms(|s| syms.intern(old.name(s)));
        }
        self.swept = self.syms.len();
        self.sweeps += 1;
    }

    /// Numbers of the rows held.
    pub fn seqs(&self) -> Range<u64> {
        self.first..self.first + self.rows.len() as u64
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    pub fn name(&self, sym: Sym) -> &str {
        self.syms.name(sym)
    }

    /// How often symbols were given out anew: a symbol read before means nothing after.
    pub fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// How many strings are held, the empty one included.
    #[cfg(test)]
    pub fn names(&self) -> usize {
        self.syms.len()
    }

    pub fn intern(&mut self, s: &str) -> Sym {
        self.syms.intern(s)
    }

    /// The whole response of a row; `None` if its raw frame was evicted.
    pub fn response(&self, seq: u64) -> Option<GetFlowsResponse> {
        self.row(seq)?;
        self.raw.with(seq, |b| GetFlowsResponse::decode(b).ok())?
    }

    /// Rows dropped because the store was full.
    pub fn evicted(&self) -> u64 {
        self.first
    }

    /// Rows held whose frame was dropped because the byte budget was full.
    pub fn raw_evicted(&self) -> u64 {
        self.raw.oldest().saturating_sub(self.first)
    }
}
