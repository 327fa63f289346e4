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
use crate::model::view::{self, Field, View};
use crate::query::recall::{ASK, NOT_HERE, ROWS};
use crate::wire::pb::observer::GetFlowsResponse;
use prost::Message;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// [`Row::before`], low byte first.
    before: [u8; 3],
    /// Bits of [`PORTS`] and the following.
    marks: u16,
}

/// The transport has ports.
const PORTS: u16 = 1;
/// What else filters ask of a side or of the kind found no room, or its address is not spelled as we do.
const NO_SOURCE: u16 = 2;
const NO_DESTINATION: u16 = 4;
const NO_KIND: u16 = 8;
/// Its node is its response's: filters speak of the flow's own.
const NO_NODE: u16 = 16;
/// A port that is none.
const NO_PORTS: u16 = 32;
const NO_TIME: u16 = 64;
/// It comes from a proxy.
const L7: u16 = 128;
/// A side has nothing but an address, whose names may be learnt yet.
const BARE_SOURCE: u16 = 256;
const BARE_DESTINATION: u16 = 512;

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
    /// Names that DNS gave an address.
    pub const SOURCE_NAMES: u8 = 8;
    pub const DESTINATION_NAMES: u8 = 9;
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

static STORES: AtomicU64 = AtomicU64::new(0);

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

/// Whether an address is reported in the words in which we would print it; none at all is.
fn is_spelled(ip: Ip, told: &str) -> bool {
    match ip.get() {
        // There is one way to write it.
        Some(IpAddr::V4(_)) => !told.contains(':'),
        Some(v6) => v6.to_string() == told,
        None => told.is_empty(),
    }
}

impl Cell {
    pub fn cause(&self) -> Option<CauseId> {
        self.cause
    }

    fn before(&self) -> u32 {
        let [a, b, c] = self.before;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// The numbers of a part of many.
    pub fn numbers(cells: &[Self], part: u8, of: &mut [u32; ROWS]) {
        fn each(cells: &[Cell], of: &mut [u32; ROWS], number: impl Fn(&Cell) -> u32) {
            of.iter_mut().zip(cells).for_each(|(n, c)| *n = number(c));
        }
        // A loop of its own for each, without a question inside.
        match part {
            part::SOURCE => each(cells, of, |c| c.number(part::SOURCE)),
            part::DESTINATION => each(cells, of, |c| c.number(part::DESTINATION)),
            part::SOURCE_PORT => each(cells, of, |c| c.number(part::SOURCE_PORT)),
            part::DESTINATION_PORT => each(cells, of, |c| c.number(part::DESTINATION_PORT)),
            part::KIND => each(cells, of, |c| c.number(part::KIND)),
            _ => each(cells, of, |c| c.number(part)),
        }
    }

    /// The number of a [`part`]; [`NOT_HERE`] and [`ASK`] are none.
    #[inline(always)]
    pub fn number(&self, part: u8) -> u32 {
        let known = |id: u32, mark: u16| if self.marks & mark == 0 { id } else { NOT_HERE };
        let port = |port: u16| known(if self.marks & PORTS == 0 { NO_PORT } else { u32::from(port) }, NO_PORTS);
        // Of all that are not bare the same is known: nothing.
        let names = |bare: u16| if self.marks & bare == 0 { 0 } else { ASK };
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
            part::NODE => known(self.node.number(), NO_NODE),
            part::SOURCE_NAMES => names(BARE_SOURCE),
            part::DESTINATION_NAMES => names(BARE_DESTINATION),
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
            // No other store of this process has the same, so what was remembered of one is never taken for another's.
            sweeps: STORES.fetch_add(1 << 32, Ordering::Relaxed),
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
        let latency = view.field(Field::LatencyNs).uint();
        let odd = |end: &End, e| view.field(Field::Port(e)).uint().is_some_and(|port| port != u64::from(end.port));
        let bare = |end: &End, e| end.pod.is_empty() && end.ip.get().is_some() && !view.any(Field::Names(e), &mut |_| true);
        let (source, destination) = (view::End::Source, view::End::Destination);
        let marks = [
            (PORTS, matches!(row.l4, Some(L4::Tcp | L4::Udp | L4::Sctp))),
            (NO_SOURCE, src == NOT_HERE || !is_spelled(row.src.ip, view.field(Field::Ip(source)).text())),
            (NO_DESTINATION, dst == NOT_HERE || !is_spelled(row.dst.ip, view.field(Field::Ip(destination)).text())),
            (NO_KIND, kind == NOT_HERE),
            (NO_NODE, view.field(Field::NodeName).text() != shared.syms.name(row.node)),
            (NO_PORTS, odd(&row.src, source) || odd(&row.dst, destination)),
            (NO_TIME, view.field(Field::Time).int().is_none()),
            (L7, latency.is_some()),
            (BARE_SOURCE, bare(&row.src, source)),
            (BARE_DESTINATION, bare(&row.dst, destination)),
        ];
        let Row { verdict, drop, event, l4, dir, reply, l7, .. } = *row;
        self.rows.push_back(Cell {
            at: row.at,
            latency: latency.unwrap_or(0),
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
            before: match row.before.to_le_bytes() {
                [a, b, c, 0] => [a, b, c],
                // So many rows within half a second: both records count.
                _ => [0; 3],
            },
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
            before: cell.before(),
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

    /// Time of a row; the beginning of time where its record has none.
    pub fn at(&self, seq: u64) -> Option<Nanos> {
        self.cell(seq).map(|c| c.at)
    }

    pub fn has_time(&self, seq: u64) -> bool {
        self.cell(seq).is_some_and(|c| c.marks & NO_TIME == 0)
    }

    /// The cause of a row's drop.
    pub fn cause(&self, seq: u64) -> Option<CauseId> {
        self.cell(seq)?.cause
    }

    /// The record before a drop's that tells of the same event, if it is held.
    pub fn before(&self, seq: u64) -> Option<u64> {
        let back = self.cell(seq)?.before();
        seq.checked_sub(u64::from(back)).filter(|before| back > 0 && *before >= self.first)
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

    /// Until the response, in nanoseconds, 0 if nothing says so; `None` if it does not come from a proxy.
    pub fn latency(&self, seq: u64) -> Option<u64> {
        self.cell(seq).filter(|c| c.marks & L7 != 0).map(|c| c.latency)
    }

    /// The number of a part of a row, as [`Cell::number`] has it.
    pub fn number(&self, seq: u64, part: u8) -> u32 {
        self.cell(seq).map_or(NOT_HERE, |c| c.number(part))
    }

    pub fn name(&self, sym: Sym) -> &str {
        self.shared.syms.name(sym)
    }

    /// Another number whenever symbols and numbers of parts are given out anew, and for every store: one read before means nothing after.
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
