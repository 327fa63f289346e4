//! The blocks in the order of the input: written, put aside or counted, and booked.
use super::work::{Done, Kept, print};
use super::{Options, Outcome, Print, Sink};
use crate::model::input::Codec;
use crate::wire::decode::Decoded;
use crate::wire::json::read_line;
use crate::wire::lean::Lean;
use crate::wire::note::Notes;
use crate::wire::response::Response;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Bytes printed before they are handed on, where lines are printed here.
const ENOUGH: usize = 64 << 10;

/// What is known when it is a block's turn.
pub struct Order {
    /// The block whose turn it is.
    pub next: u64,
    /// The files to come and the one that is read.
    names: VecDeque<Arc<str>>,
    /// Lines of the file before the block.
    lines: u64,
    left: Option<u64>,
    last: Option<usize>,
    kept: VecDeque<Kept>,
    count: usize,
    outcome: Outcome,
    lean: Lean,
    print: Box<dyn Print>,
    sink: Box<dyn Sink>,
}

impl Order {
    pub fn new(names: VecDeque<Arc<str>>, options: &Options, print: Box<dyn Print>, sink: Box<dyn Sink>) -> Self {
        Self {
            next: 0,
            names,
            lines: 0,
            left: options.first,
            last: options.last,
            kept: VecDeque::new(),
            count: 0,
            outcome: Outcome::default(),
            lean: options.prints(),
            print,
            sink,
        }
    }

    /// How many more are wanted.
    pub fn left(&self) -> u64 {
        self.left.unwrap_or(u64::MAX)
    }

    pub fn fail(&mut self, e: io::Error) {
        self.outcome.failed.get_or_insert(e);
    }

    /// Takes the next block; `last` says how its file ended there. Whether more is wanted.
    pub fn take(&mut self, done: &mut Done, last: Option<Result<(), String>>) -> bool {
        self.book(done);
        if let Err(e) = self.write(done) {
            self.fail(e);
            return false;
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(done.events);
            if *left == 0 {
                return false;
            }
        }
        if let Some(how) = last {
            self.lines = 0;
            self.outcome.ended.extend(self.names.pop_front().map(|name| (name, how)));
        }
        true
    }

    fn book(&mut self, done: &mut Done) {
        let ledger = &mut self.outcome.ledger;
        ledger.absorb(&done.ledger);
        let name = self.names.front().map_or("", |n| n);
        let told = done.bad.len() as u64;
        for (line, why) in done.bad.drain(..) {
            ledger.malformed(format!("{name}:{}", self.lines + line), why);
        }
        ledger.malformed += done.malformed - told;
        self.outcome.notes.absorb(&done.notes);
        self.lines += done.ledger.frames;
    }

    fn write(&mut self, done: &mut Done) -> io::Result<()> {
        if done.kept.len() > 0 {
            let kept = std::mem::take(&mut done.kept);
            return match self.last {
                Some(most) => {
                    self.put_aside(kept, most);
                    Ok(())
                }
                None => self.show(&kept, 0),
            };
        }
        let (mut out, mut err) = (0, 0);
        for (to, and) in done.turns.drain(..) {
            self.sink.out(done.out.get(out..to).unwrap_or(&[]))?;
            self.sink.err(done.err.get(err..and).unwrap_or(&[]))?;
            (out, err) = (to, and);
        }
        self.sink.out(done.out.get(out..).unwrap_or(&[]))
    }

    /// Holds the last lines; what is certainly not among them is dropped.
    fn put_aside(&mut self, kept: Kept, most: usize) {
        self.count += kept.len();
        self.kept.push_back(kept.packed());
        while let Some(front) = self.kept.front()
            && self.count - front.len() >= most
        {
            self.count -= front.len();
            self.kept.pop_front();
        }
    }

    /// Prints lines that were put aside, but for the first `skip`.
    fn show(&mut self, kept: &Kept, skip: usize) -> io::Result<()> {
        let (mut out, mut err, mut turns) = (Vec::new(), Vec::new(), Vec::new());
        for line in kept.lines().skip(skip) {
            // What was read once is read again; its notes were taken then.
            if let Some(view) = self.lean.json(line) {
                self.print.line(Response::Part { view, codec: Codec::HubbleJson, bytes: line }, &mut out);
            } else if let Ok(Decoded::Response(r)) = read_line(line, &mut Notes::default()) {
                print(&r, &mut *self.print, &mut out, &mut err, &mut turns);
            }
            if out.len() >= ENOUGH || !turns.is_empty() {
                self.sink.out(&out)?;
                self.sink.err(&err)?;
                out.clear();
                err.clear();
                turns.clear();
            }
        }
        self.sink.out(&out)
    }

    /// Prints what was held back. The books are handed out once.
    pub fn finish(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        let mut skip = self.count.saturating_sub(self.last.unwrap_or(0));
        let mut ending = || -> io::Result<()> {
            if outcome.failed.is_none() {
                while let Some(kept) = self.kept.pop_front() {
                    self.show(&kept, skip)?;
                    skip = skip.saturating_sub(kept.len());
                }
            }
            let mut out = Vec::new();
            self.print.finish(&mut out);
            self.sink.out(&out)?;
            self.sink.flush()
        };
        if let Err(e) = ending() {
            outcome.failed.get_or_insert(e);
        }
        outcome
    }
}
