//! Files filtered without the engine, side by side, near the speed of a plain search.
//!
//! ```text
//!   files ─ blocks ─┬─ worker ─┐          A worker takes the next block under a lock, works on it alone,
//!    (one reader)   ├─ worker ─┼─ order ─ sink   and waits for its turn to write: the output has the order
//!                   └─ worker ─┘          of the input, and no more blocks are held than there are workers.
//! ```
//!
//! Owns the reading of plain headless runs: what is told is what the engine would tell, but that a line which cannot match is
//! passed over unread, and booked as skipped. Must not know formats (they are handed in), policies or the engine.
pub mod blocks;
mod find;
mod order;
mod work;

pub use blocks::{Block, Blocks, Ending, Part};

use crate::model::ledger::Ledger;
use crate::model::time::Nanos;
use crate::model::view::{Field, FieldSet};
use crate::query::Predicate;
use crate::wire::lean::{Lean, Walk};
use crate::wire::note::Notes;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::response::Response;
use find::Search;
use order::Order;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use work::Worker;

/// What is looked for, and how much of it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub admit: Predicate,
    /// What the format reads of a flow; `None`: everything.
    pub reads: Option<FieldSet>,
    /// Earliest and latest time of a response, both inclusive.
    pub window: (Option<Nanos>, Option<Nanos>),
    /// Stop after so many.
    pub first: Option<u64>,
    /// Print only the last so many, at the end.
    pub last: Option<usize>,
    /// The format looks back at what it printed before, so all lines go through one printer.
    pub in_order: bool,
}

impl Options {
    /// Whether lines that match are put aside, to be printed in their order.
    fn keeps(&self) -> bool {
        self.last.is_some() || self.in_order
    }

    /// A reader of what the filter asks.
    fn filters(&self) -> Lean {
        let reads = if self.keeps() { FieldSet::EMPTY } else { self.reads.unwrap_or_default() };
        Lean::new(self.admit.fields().union(reads).union(FieldSet::from_iter([Field::Time])), Walk::Whole)
    }

    /// A reader of what the format asks.
    fn prints(&self) -> Lean {
        Lean::new(self.reads.unwrap_or_default(), Walk::Whole)
    }
}

/// A format: how a response becomes a line.
pub trait Print: Send {
    /// Appends the line of a flow or of lost events.
    fn line(&mut self, r: Response<'_>, out: &mut Vec<u8>);
    /// Appends the line of a node's status, if it is worth one.
    fn status(&mut self, r: &GetFlowsResponse, err: &mut Vec<u8>);
    /// Appends what was held back until the end.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Where lines go.
pub trait Sink: Send {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn err(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    pub ledger: Ledger,
    /// Unknown fields and values of the lines that were read.
    pub notes: Notes,
    /// Files that came to their end, and how.
    pub ended: Vec<(Arc<str>, Result<(), String>)>,
    /// Why writing ended early.
    pub failed: Option<io::Error>,
}

/// A scan of some files.
pub struct Scan {
    options: Options,
    search: Option<Search>,
    blocks: Mutex<Blocks>,
    order: Mutex<Order>,
    turn: Condvar,
    stop: AtomicBool,
    /// Workers that have not ended; changed under the lock of `order`.
    working: AtomicUsize,
    scanned: AtomicU64,
    printer: Box<dyn Fn() -> Box<dyn Print> + Send + Sync>,
}

/// A lock whose holder panicked is still a lock: the one who panicked has said so.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scan {
    /// `printer` makes a new printer of the format.
    pub fn new(
        options: Options,
        parts: Vec<Part>,
        printer: impl Fn() -> Box<dyn Print> + Send + Sync + 'static,
        sink: Box<dyn Sink>,
    ) -> Self {
        let names = parts.iter().map(|p| p.name.clone()).collect();
        Self {
            search: Search::new(&options.admit.needs()),
            order: Mutex::new(Order::new(names, &options, printer(), sink)),
            blocks: Mutex::new(Blocks::new(parts)),
            turn: Condvar::new(),
            stop: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            scanned: AtomicU64::new(0),
            printer: Box::new(printer),
            options,
        }
    }

    /// Reads to the end, or until there is enough or [`Self::finish`] is called. Blocks as long as that takes, but not for a
    /// worker that is still reading when there is enough: what it waits for may never come.
    pub fn run(self: &Arc<Self>, workers: usize) {
        for n in 0..workers {
            let mut order = lock(&self.order);
            let scan = self.clone();
            match std::thread::Builder::new().name("scan".to_owned()).spawn(move || scan.work()) {
                Ok(_) => self.working.fetch_add(1, Ordering::Relaxed),
                // Fewer do the work too.
                Err(_) if n > 0 => break,
                Err(e) => return order.fail(e),
            };
        }
        let mut order = lock(&self.order);
        while self.working.load(Ordering::Relaxed) > 0 && !self.stopped() {
            order = self.turn.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        let _guard = Guard(self);
        let mut worker = Worker::new(&self.options, self.search.as_ref(), (self.printer)());
        let mut block = Block::default();
        let mut most = self.options.first.unwrap_or(u64::MAX);
        while lock(&self.blocks).next(&mut block, &self.stop) {
            worker.work(&block, most);
            self.scanned.fetch_add(block.lines().len() as u64, Ordering::Relaxed);
            let mut order = lock(&self.order);
            while order.next != block.number && !self.stopped() {
                order = self.turn.wait(order).unwrap_or_else(PoisonError::into_inner);
            }
            if self.stopped() {
                return;
            }
            most = order.left();
            if worker.done.events > most {
                // Others have printed most of what was wanted by now. What is not wanted was not read either.
                worker.work(&block, most);
            }
            if !order.take(&mut worker.done, block.last.take()) {
                self.stop.store(true, Ordering::Relaxed);
            }
            order.next += 1;
            drop(order);
            self.turn.notify_all();
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Bytes of lines worked on so far.
    pub fn scanned(&self) -> u64 {
        self.scanned.load(Ordering::Relaxed)
    }

    /// Stops what is still running, prints what was held back, and gives the books.
    pub fn finish(&self) -> Outcome {
        let mut order = lock(&self.order);
        self.stop.store(true, Ordering::Relaxed);
        self.turn.notify_all();
        order.finish()
    }
}

/// A worker that ends says so; one that panics must not leave the others waiting for its turn.
struct Guard<'a>(&'a Scan);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut order = lock(&self.0.order);
        if std::thread::panicking() {
            order.fail(io::Error::other("a worker failed"));
            self.0.stop.store(true, Ordering::Relaxed);
        }
        self.0.working.fetch_sub(1, Ordering::Relaxed);
        drop(order);
        self.0.turn.notify_all();
    }
}
