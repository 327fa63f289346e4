//! What is held: flows by sequence number, the things they are made of, and their raw frames. Bounded in rows and in bytes.
//!
//! Owns eviction and the sweep of what no row uses any more. A row is 56 bytes of numbers; whatever repeats (who, what kind, what a
//! proxy read, which policies the agent names) is kept once, and its number is what filters remember an answer by. Knows nothing of
//! filters or policies.
use super::facts::{DESTINATION, Group, KIND, RULED, SAID, SOURCE};
use super::pool::{Spelled, Values};
use super::raw::Raw;
use crate::model::observed::{Direction, L4, Verdict};
use crate::model::row::{CauseId, End, Ip, Proxy, Row};
use crate::model::sym::{Interner, Sym};
use crate::model::time::Nanos;
use crate::model::view::{Field, View};
use crate::query::recall::{ASK, NOT_HERE, ROWS};
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

/// One side, but for its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Side {
    ip: Ip,
    identity: u32,
    ns: Sym,
    pod: Sym,
    workload: Sym,
    reserved: Sym,
    name: Sym,
    present: bool,
    inferred: bool,
    /// What else filters ask of it.
    facts: u32,
}

/// What happened, but for the numbers that differ from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    verdict: Verdict,
    drop: u16,
    event: i16,
    l4: Option<L4>,
    dir: Option<Direction>,
    reply: Option<bool>,
    l7: Option<Proxy>,
    facts: u32,
}

/// A row as it is held.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    at: Nanos,
    /// Until the response, in nanoseconds.
    latency: u64,
    src: u32,
    dst: u32,
    kind: u32,
    said: u32,
    ruled: u32,
    cause: Option<CauseId>,
    node: Sym,
    src_port: u16,
    dst_port: u16,
    status: u16,
    cluster: u8,
    /// Bits of [`PORTS`] and the following.
    marks: u8,
}

/// The transport has ports.
const PORTS: u8 = 1;
/// What else filters ask of a side or of the kind found no room.
const NO_SOURCE: u8 = 2;
const NO_DESTINATION: u8 = 4;
const NO_KIND: u8 = 8;

/// Parts of a row whose number stands for all that they answer.
pub mod part {
    pub const SOURCE: u8 = 0;
    pub const DESTINATION: u8 = 1;
    pub const SOURCE_PORT: u8 = 2;
    pub const DESTINATION_PORT: u8 = 3;
    pub const KIND: u8 = 4;
    pub const SAID: u8 = 5;
    pub const RULED: u8 = 6;
    pub const NODE: u8 = 7;
}

/// In place of a port: the transport has none.
const NO_PORT: u32 = 1 << 16;

/// Strings, sides and what is spelled of them: everything that rows have in common.
#[derive(Debug, Default)]
struct Shared {
    syms: Interner,
    sides: Values<Side>,
    kinds: Values<Kind>,
    /// What is spelled of senders and receivers alike.
    who: Spelled,
    what: Spelled,
    said: Spelled,
    ruled: Spelled,
}

/// Rows and frames, oldest first. A row's number never changes.
#[derive(Debug)]
pub struct Store {
    rows: VecDeque<Cell>,
    first: u64,
    shared: Shared,
    raw: Raw,
    limits: Limits,
    /// Things shared, and the oldest row, after the last sweep.
    swept: (usize, u64),
    sweeps: u64,
    scratch: Vec<u8>,
}

impl Shared {
    fn len(&self) -> usize {
        self.syms.len() + self.sides.len() + self.kinds.len()
    }

    fn is_full(&self) -> bool {
        [&self.who, &self.what, &self.said, &self.ruled].iter().any(|p| p.is_full())
    }

    fn side(&mut self, end: &End, facts: u32) -> u32 {
        let End { ip, identity, ns, pod, workload, reserved, name, present, inferred, port: _ } = *end;
        self.sides.add(Side { ip, identity, ns, pod, workload, reserved, name, present, inferred, facts })
    }

    /// A row in terms of other things shared.
    fn moved(&self, cell: &Cell, to: &mut Self) -> Cell {
        let mut side = |id: u32| {
            let Some(old) = self.sides.get(id) else { return u32::MAX };
            let facts = self.who.moved(old.facts, &mut to.who);
            let mut sym = |s: Sym| to.syms.intern(self.syms.name(s));
            let [ns, pod, workload, reserved, name] = [old.ns, old.pod, old.workload, old.reserved, old.name].map(&mut sym);
            to.sides.add(Side { ns, pod, workload, reserved, name, facts, ..*old })
        };
        let (src, dst) = (side(cell.src), side(cell.dst));
        let kind = self.kinds.get(cell.kind).map_or(u32::MAX, |old| {
            let facts = self.what.moved(old.facts, &mut to.what);
            to.kinds.add(Kind { facts, ..*old })
        });
        Cell {
            src,
            dst,
            kind,
            said: self.said.moved(cell.said, &mut to.said),
            ruled: self.ruled.moved(cell.ruled, &mut to.ruled),
            node: to.syms.intern(self.syms.name(cell.node)),
            ..*cell
        }
    }
}

impl Cell {
    pub fn cause(&self) -> Option<CauseId> {
        self.cause
    }

    /// The number of a [`part`]; [`NOT_HERE`] and [`ASK`] are none.
    pub fn number(&self, part: u8) -> u32 {
        let known = |id: u32, mark: u8| if self.marks & mark == 0 { id } else { NOT_HERE };
        let port = |port: u16| if self.marks & PORTS == 0 { NO_PORT } else { u32::from(port) };
        match part {
            part::SOURCE => known(self.src, NO_SOURCE),
            part::DESTINATION => known(self.dst, NO_DESTINATION),
            part::SOURCE_PORT => port(self.src_port),
            part::DESTINATION_PORT => port(self.dst_port),
            part::KIND => known(self.kind, NO_KIND),
            part::SAID => self.said,
            // What was derived of a cause may become something else.
            part::RULED if self.cause.is_some() && self.ruled != NOT_HERE => ASK,
            part::RULED => self.ruled,
            part::NODE => self.node.number(),
            _ => ASK,
        }
    }
}

impl Store {
    pub fn new(limits: Limits) -> Self {
        Self {
            rows: VecDeque::new(),
            first: 0,
            shared: Shared::default(),
            raw: Raw::new(limits.raw),
            limits,
            swept: (0, 0),
            sweeps: 0,
            scratch: Vec::new(),
        }
    }

    /// Appends a row, with what `view` says of it and its frame (the protobuf of its response), and returns its number; evicts the oldest
    /// row if full.
    pub fn push(&mut self, row: &Row, view: &dyn View, frame: &[u8]) -> u64 {
        let (shared, scratch) = (&mut self.shared, &mut self.scratch);
        let mut spelled = |group: &Group, pool: &mut Spelled| {
            group.spell(view, scratch);
            pool.add(scratch)
        };
        let (src, dst) = (spelled(&SOURCE, &mut shared.who), spelled(&DESTINATION, &mut shared.who));
        let (kind, said) = (spelled(&KIND, &mut shared.what), spelled(&SAID, &mut shared.said));
        let ruled = spelled(&RULED, &mut shared.ruled);
        let marks = [
            (PORTS, matches!(row.l4, Some(L4::Tcp | L4::Udp | L4::Sctp))),
            (NO_SOURCE, src == NOT_HERE),
            (NO_DESTINATION, dst == NOT_HERE),
            (NO_KIND, kind == NOT_HERE),
        ];
        let Row { verdict, drop, event, l4, dir, reply, l7, .. } = *row;
        self.rows.push_back(Cell {
            at: row.at,
            latency: view.field(Field::LatencyNs).uint().unwrap_or(0),
            src: shared.side(&row.src, src),
            dst: shared.side(&row.dst, dst),
            kind: shared.kinds.add(Kind { verdict, drop, event, l4, dir, reply, l7, facts: kind }),
            said,
            ruled,
            cause: row.cause,
            node: row.node,
            src_port: row.src.port,
            dst_port: row.dst.port,
            status: row.status,
            cluster: row.cluster,
            marks: marks.iter().filter(|(_, on)| *on).map(|(bit, _)| bit).sum(),
        });
        self.raw.push(frame);
        if self.rows.len() > self.limits.rows.max(1) {
            self.rows.pop_front();
            self.first += 1;
            self.raw.forget_before(self.first);
            // A sweep costs a pass over all rows, so it waits until what is shared has doubled, or until a quarter of the rows for which
            // there was no room is gone.
            let (things, at) = self.swept;
            let stale = self.shared.is_full() && self.first - at > self.rows.len() as u64 / 4;
            if stale || self.shared.len() > 2 * things + 65_536 {
                self.sweep();
            }
        }
        self.first + self.rows.len() as u64 - 1
    }

    fn sweep(&mut self) {
        let mut new = Shared::default();
        for cell in &mut self.rows {
            *cell = self.shared.moved(cell, &mut new);
        }
        self.shared = new;
        self.swept = (self.shared.len(), self.first);
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

    fn cell(&self, seq: u64) -> Option<&Cell> {
        self.rows.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    pub fn row(&self, seq: u64) -> Option<Row> {
        let cell = self.cell(seq)?;
        let side = |id: u32, port: u16| {
            let Side { ip, identity, ns, pod, workload, reserved, name, present, inferred, facts: _ } = *self.shared.sides.get(id)?;
            Some(End { ip, identity, ns, pod, workload, reserved, name, port, present, inferred })
        };
        let Kind { verdict, drop, event, l4, dir, reply, l7, facts: _ } = *self.shared.kinds.get(cell.kind)?;
        Some(Row {
            at: cell.at,
            src: side(cell.src, cell.src_port)?,
            dst: side(cell.dst, cell.dst_port)?,
            node: cell.node,
            cluster: cell.cluster,
            cause: cell.cause,
            verdict,
            drop,
            event,
            l4,
            dir,
            reply,
            l7,
            status: cell.status,
            wait: u32::try_from(cell.latency / 1_000).unwrap_or(u32::MAX),
        })
    }

    /// Time of a row.
    pub fn at(&self, seq: u64) -> Option<Nanos> {
        self.cell(seq).map(|c| c.at)
    }

    /// The cause of a row's drop.
    pub fn cause(&self, seq: u64) -> Option<CauseId> {
        self.cell(seq)?.cause
    }

    /// The held rows of these numbers, up to [`ROWS`] at a time, each time with the number of the first.
    pub fn cells(&self, seqs: Range<u64>) -> impl Iterator<Item = (u64, &[Cell])> {
        let held = self.seqs();
        let place = |seq: u64| usize::try_from(seq.clamp(held.start, held.end) - held.start).unwrap_or(0);
        let (front, back) = self.rows.as_slices();
        let (from, to) = (place(seqs.start), place(seqs.end).max(place(seqs.start)));
        let front_part = front.get(from.min(front.len())..to.min(front.len())).unwrap_or_default();
        let back_part = back.get(from.saturating_sub(front.len())..to.saturating_sub(front.len())).unwrap_or_default();
        let mut next = held.start + from as u64;
        front_part.chunks(ROWS).chain(back_part.chunks(ROWS)).map(move |chunk| {
            let first = next;
            next += chunk.len() as u64;
            (first, chunk)
        })
    }

    /// What is spelled of a part, and how to read it; `None` if it found no room, or is no such part.
    pub fn told(&self, seq: u64, part: u8) -> Option<(&'static Group, &[u8])> {
        let (cell, shared) = (self.cell(seq)?, &self.shared);
        let who = |id: u32| shared.who.get(shared.sides.get(id)?.facts);
        let (group, bytes) = match part {
            part::SOURCE => (&SOURCE, who(cell.src)),
            part::DESTINATION => (&DESTINATION, who(cell.dst)),
            part::KIND => (&KIND, shared.kinds.get(cell.kind).and_then(|k| shared.what.get(k.facts))),
            part::SAID => (&SAID, shared.said.get(cell.said)),
            part::RULED => (&RULED, shared.ruled.get(cell.ruled)),
            _ => return None,
        };
        Some((group, bytes?))
    }

    /// Until the response, in nanoseconds; 0 if nothing says so.
    pub fn latency(&self, seq: u64) -> u64 {
        self.cell(seq).map_or(0, |c| c.latency)
    }

    pub fn name(&self, sym: Sym) -> &str {
        self.shared.syms.name(sym)
    }

    /// How often symbols and numbers of parts were given out anew: one read before means nothing after.
    pub fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// How many strings are held, the empty one included.
    #[cfg(test)]
    pub fn names(&self) -> usize {
        self.shared.syms.len()
    }

    pub fn intern(&mut self, s: &str) -> Sym {
        self.shared.syms.intern(s)
    }

    /// The whole response of a row; `None` if its raw frame was evicted.
    pub fn response(&self, seq: u64) -> Option<GetFlowsResponse> {
        self.cell(seq)?;
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
