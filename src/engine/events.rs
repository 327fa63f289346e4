//! Which records tell of one event: a denied packet makes two, a verdict and a drop.
//!
//! Owns that rule, and the events that are not over yet, bounded. What an event is one of belongs to `causes`.
use crate::model::observed::{Direction, L4, Observed};
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use foldhash::HashMap;
use std::net::IpAddr;

/// Records of one node, 5-tuple and direction within this time are one event: a denied packet makes two records, a verdict and a drop,
/// some microseconds apart. A client sends its first packet again after a second at the earliest (RFC 6298), by clocks that are never
/// quite exact: half of that tells the two apart.
const ONE_EVENT: i64 = Nanos::SECOND / 2;
/// Open events remembered for folding. When full, those over are forgotten; if none is over, all are, and a packet told twice
/// across that moment counts as two.
const MOST: usize = 65_536;
/// Fewer are not worth looking through for those that are over.
const FEW: usize = 256;

/// Whether two records of a packet tell of one event.
pub(super) fn is_one_event(a: Nanos, b: Nanos) -> bool {
    a.since(b).unsigned_abs() < ONE_EVENT.unsigned_abs()
}

/// The sides of whose event a record may be: one that does not say its side may be of either, and its other record may not say it.
pub(super) fn sides(said: Option<Direction>) -> &'static [Option<Direction>] {
    match said {
        None => &[None, Some(Direction::Egress), Some(Direction::Ingress)],
        Some(Direction::Egress) => &[Some(Direction::Egress), None],
        Some(Direction::Ingress) => &[Some(Direction::Ingress), None],
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Packet {
    node: String,
    pub direction: Option<Direction>,
    from: (Option<IpAddr>, u16),
    to: (Option<IpAddr>, u16),
    l4: Option<L4>,
}

impl Packet {
    pub fn of(o: &Observed) -> Self {
        Self { node: o.node.clone(), direction: o.direction, from: (o.src.ip, o.src_port), to: (o.dst.ip, o.dst_port), l4: o.l4 }
    }
}

/// Whether a record of a packet goes with another one that says more of it: it lacks its side, or says the same.
pub(super) fn is_one_packet(o: &Observed, other: &Observed) -> bool {
    let sides = o.direction.is_none() || other.direction.is_none() || o.direction == other.direction;
    let near = o.at.zip(other.at).is_some_and(|(a, b)| is_one_event(a, b));
    let of = |o: &Observed| Packet { direction: None, ..Packet::of(o) };
    sides && near && of(o) == of(other)
}

/// What a packet's first record began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// When it began: the window is the event's, not the last record's, else a stream of packets would be one event for as long as it
    /// lasts.
    pub at: Nanos,
    pub cause: CauseId,
    /// Number of its last record in the store.
    pub last: u64,
}

/// Events that are not over yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    open: HashMap<Packet, Event>,
    /// How many are to be there before they are looked through again.
    full: usize,
}

impl Events {
    /// The event that a packet's other record opened, if it is still open; the packet is then called as that record called it.
    pub fn seen(&self, packet: &mut Packet, at: Nanos) -> Option<Event> {
        let said = packet.direction;
        for side in sides(said) {
            packet.direction = *side;
            if let Some(event) = self.open.get(packet).filter(|e| is_one_event(at, e.at)) {
                return Some(*event);
            }
        }
        packet.direction = said;
        None
    }

    /// `now`: of the record that tells of it.
    pub fn put(&mut self, packet: Packet, event: Event, now: Nanos) {
        if self.open.len() >= self.full.max(FEW) {
            self.sweep(now);
        }
        self.open.insert(packet, event);
    }

    /// Forgets events that are over. Often enough that these are never many more than the others: what is over would only be carried along.
    fn sweep(&mut self, now: Nanos) {
        self.open.retain(|_, e| now.since(e.at) <= ONE_EVENT);
        if self.open.len() >= MOST {
            self.open.clear();
        }
        self.full = (2 * self.open.len()).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn events_that_are_over_are_not_carried_along_and_those_that_are_not_are_kept() {
        let mut events = Events::default();
        let packet = |n: u16| Packet::of(&Observed { src_port: n, ..Observed::default() });
        let cause = CauseId(NonZeroU32::MIN);
        let mut told = 0;
        let mut tell = |events: &mut Events, n: u16, at: Nanos| {
            let mut packet = packet(n);
            let seen = events.seen(&mut packet, at);
            told += u64::from(seen.is_some());
            events.put(packet, Event { at: seen.map_or(at, |e| e.at), cause, last: 0 }, at);
            told
        };
        // A hundred a second for a minute and a half.
        (0..9_000).for_each(|n| _ = tell(&mut events, n, Nanos(i64::from(n) * Nanos::SECOND / 100)));
        assert!(events.open.len() <= 2 * FEW, "{}", events.open.len());
        // Twenty thousand at once: each is told again at once.
        let late = Nanos(200 * Nanos::SECOND);
        (0..20_000).for_each(|n| assert_eq!(tell(&mut events, n, late), 0));
        (0..20_000u16).for_each(|n| assert_eq!(tell(&mut events, n, late), u64::from(n) + 1));
    }
}
