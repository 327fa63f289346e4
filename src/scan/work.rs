//! One block: which lines are read, which of them match, and what they print.
//!
//! Owns the books of a block. Knows no other block, so blocks can be worked on side by side.
use super::blocks::Block;
use super::find::{Places, Search};
use super::{Options, Print};
use crate::model::input::Codec;
use crate::model::ledger::Ledger;
use crate::model::line::{LONGEST, too_long, without_return};
use crate::model::view::{View, in_window, time_of};
use crate::wire::decode::Decoded;
use crate::wire::json::read_line;
use crate::wire::lean::Lean;
use crate::wire::note::Notes;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::response::Response;

/// Bad lines whose place is remembered; the ledger shows no more.
const EXAMPLES: usize = 3;

/// What came of one block.
#[derive(Debug, Default)]
pub struct Done {
    pub ledger: Ledger,
    pub notes: Notes,
    /// The first bad lines: the line's number in the block, from 1, and why. Booked where the file's line is known.
    pub bad: Vec<(u64, String)>,
    pub malformed: u64,
    /// Responses that passed.
    pub events: u64,
    /// What goes to stdout and to stderr, and where one gives way to the other.
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub turns: Vec<(usize, usize)>,
    /// The lines themselves, where they are printed later.
    pub kept: Kept,
}

/// Lines put aside.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Kept {
    pub fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or(&[]))
    }

    /// For keeping: without room to grow.
    pub fn packed(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self
    }
}

impl Done {
    fn clear(&mut self) {
        let (mut out, mut err) = (std::mem::take(&mut self.out), std::mem::take(&mut self.err));
        out.clear();
        err.clear();
        *self = Self { out, err, ..Self::default() };
    }
}

/// Works on one block after the other.
pub struct Worker<'a> {
    options: &'a Options,
    search: Option<&'a Search>,
    lean: Lean,
    print: Box<dyn Print>,
    pub done: Done,
}

impl<'a> Worker<'a> {
    pub fn new(options: &'a Options, search: Option<&'a Search>, print: Box<dyn Print>) -> Self {
        Self { options, search, lean: options.filters(), print, done: Done::default() }
    }

    /// Works until the block ends or so many responses passed.
    pub fn work(&mut self, block: &Block, most: u64) {
        self.done.clear();
        let text = block.lines();
        let (mut at, mut read, mut places) = (0, 0, Places::default());
        while at < text.len() && self.done.events < most {
            let (begin, end) = match self.search {
                None => (at, memchr::memchr(b'\n', text.get(at..).unwrap_or(&[])).map_or(text.len(), |n| at + n)),
                Some(search) => match search.next(text, at, &mut places) {
                    Some(hit) => (hit.begin, hit.end),
                    None => {
                        at = text.len();
                        break;
                    }
                },
            };
            read += 1;
            self.line(text, begin, end);
            at = (end + 1).min(text.len());
        }
        let through = text.get(..at).unwrap_or(&[]);
        let mut lines = count(through);
        lines += u64::from(through.last().is_some_and(|b| *b != b'\n'));
        self.done.ledger.skipped += lines - read;
        if let Some(why) = block.broken.as_ref().filter(|_| self.done.events < most) {
            lines += 1;
            self.bad(lines, why.clone());
        }
        self.done.ledger.frames = lines;
    }

    fn line(&mut self, text: &[u8], begin: usize, end: usize) {
        let line = without_return(text.get(begin..end).unwrap_or(&[]));
        if line.len() <= LONGEST && self.canonical(line) {
            return;
        }
        let why = if line.len() > LONGEST {
            too_long(LONGEST)
        } else {
            match read_line(line, &mut self.done.notes) {
                Ok(Decoded::Response(r)) => return self.response(&r, line),
                Ok(Decoded::Blank) => {
                    self.done.ledger.skipped += 1;
                    return;
                }
                Ok(other) => {
                    let ledger = &mut self.done.ledger;
                    ledger.decoded += 1;
                    ledger.notices += 1;
                    ledger.agent_events += u64::from(matches!(other, Decoded::AgentEvent(_)));
                    ledger.debug_events += u64::from(matches!(other, Decoded::DebugEvent(_)));
                    return;
                }
                Err(bad) => bad.to_string(),
            }
        };
        let before = if self.done.bad.len() < EXAMPLES { count(text.get(..begin).unwrap_or(&[])) } else { 0 };
        self.bad(before + 1, why);
    }

    /// Handles a flow whose line is as we would write it, without making a message of it; `false` for any other line.
    fn canonical(&mut self, line: &[u8]) -> bool {
        let Some(view) = self.lean.json(line) else { return false };
        let Done { ledger, events, kept, out, .. } = &mut self.done;
        ledger.decoded += 1;
        if !self.options.passes(&view) {
            ledger.refused += 1;
            return true;
        }
        ledger.admitted += 1;
        ledger.held += 1;
        *events += 1;
        if self.options.keeps() {
            kept.push(line);
        } else {
            self.print.line(Response::Part { view, codec: Codec::HubbleJson, bytes: line }, out);
        }
        true
    }

    fn bad(&mut self, line: u64, why: String) {
        self.done.malformed += 1;
        if self.done.bad.len() < EXAMPLES {
            self.done.bad.push((line, why));
        }
    }

    fn response(&mut self, r: &GetFlowsResponse, line: &[u8]) {
        let ledger = &mut self.done.ledger;
        ledger.decoded += 1;
        let passes = self.options.passes(r);
        match &r.response_types {
            Some(ResponseTypes::Flow(_)) if passes => {
                ledger.admitted += 1;
                ledger.held += 1;
            }
            Some(ResponseTypes::Flow(_)) => ledger.refused += 1,
            other => {
                if let Some(ResponseTypes::LostEvents(lost)) = other {
                    ledger.lose(&r.node_name, lost.source().as_str_name(), lost.num_events_lost);
                }
                ledger.notices += 1;
            }
        }
        if !passes {
            return;
        }
        self.done.events += 1;
        if self.options.keeps() {
            return self.done.kept.push(line);
        }
        print(r, &mut *self.print, &mut self.done.out, &mut self.done.err, &mut self.done.turns);
    }
}

/// Appends what is printed of a response to its stream, and notes where stderr comes in.
pub fn print(r: &GetFlowsResponse, print: &mut dyn Print, out: &mut Vec<u8>, err: &mut Vec<u8>, turns: &mut Vec<(usize, usize)>) {
    if let Some(ResponseTypes::NodeStatus(_)) = r.response_types {
        print.status(r, err);
        turns.push((out.len(), err.len()));
    } else {
        print.line(Response::Whole(r), out);
    }
}

impl Options {
    /// Whether a response lies in the window and passes the filter.
    fn passes(&self, r: &dyn View) -> bool {
        in_window(self.window, time_of(r)) && self.admit.matches(r)
    }
}

fn count(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
