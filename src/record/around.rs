//! Only what surrounds drops: what came shortly before is held in memory until a drop makes it worth keeping, what comes shortly after is
//! let through.
//!
//! Owns the two spans and the bound of what is held. What is left out is counted.
use crate::model::input::Frame;
use crate::model::time::Nanos;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes held at most; beyond it the oldest are left out although a drop might still have come.
const ROOM: usize = 64 << 20;

#[derive(Debug)]
pub struct Around {
    before: i64,
    after: i64,
    room: usize,
    held: VecDeque<(Nanos, Frame)>,
    bytes: usize,
    /// What comes until then is kept.
    until: Option<Nanos>,
    /// The latest time that was said; what says none counts as of then.
    now: Nanos,
    left_out: u64,
    crowded: u64,
}

impl Around {
    /// The spans, in nanoseconds.
    pub fn new(before: i64, after: i64) -> Self {
        Self { before, after, room: ROOM, held: VecDeque::new(), bytes: 0, until: None, now: Nanos(i64::MIN), left_out: 0, crowded: 0 }
    }

    /// Takes the next one in; `keep` gets what is to be kept, in order.
    pub fn take(&mut self, at: Option<Nanos>, drop: bool, frame: Frame, keep: &mut dyn FnMut(Frame)) {
        let at = at.unwrap_or(self.now);
        self.now = self.now.max(at);
        if drop {
            self.until = self.until.max(Some(at.plus(self.after)));
            self.bytes = 0;
            for (then, frame) in self.held.drain(..) {
                if at.since(then) <= self.before {
                    keep(frame);
                } else {
                    self.left_out += 1;
                }
            }
            return keep(frame);
        }
        if self.until.is_some_and(|u| at <= u) {
            return keep(frame);
        }
        // A slice would hold the whole stretch of the file that it was cut from.
        let own = Frame { bytes: Bytes::copy_from_slice(&frame.bytes), ..frame };
        self.bytes += own.bytes.len();
        self.held.push_back((at, own));
        while let Some((then, old)) = self.held.front() {
            let late = self.now.since(*then) > self.before;
            if !late && self.bytes <= self.room {
                break;
            }
            self.bytes -= old.bytes.len();
            self.left_out += 1;
            self.crowded += u64::from(!late);
            self.held.pop_front();
        }
    }

    /// How many were left out so far, those included that no drop can make worth keeping any more if nothing else comes.
    pub fn left_out(&self) -> u64 {
        self.left_out + self.held.len() as u64
    }

    /// How many of them for want of room.
    pub fn crowded(&self) -> u64 {
        self.crowded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Codec;

    fn frame(line: u64) -> Frame {
        Frame { codec: Codec::HubbleJson, from: "t".into(), line, bytes: Bytes::from(vec![b'x'; 100]), broken: None }
    }

    fn kept(a: &mut Around, all: &[(i64, bool)]) -> Vec<u64> {
        let mut out = Vec::new();
        for (i, (at, drop)) in all.iter().enumerate() {
            a.take(Some(Nanos(*at)), *drop, frame(i as u64), &mut |f| out.push(f.line));
        }
        out
    }

    #[test]
    fn what_surrounds_drops_is_kept_and_the_rest_is_counted() {
        let mut a = Around::new(10, 5);
        let all = [(0, false), (15, false), (20, false), (25, true), (30, false), (31, false), (45, false), (54, true), (70, false)];
        assert_eq!(kept(&mut a, &all), [1, 2, 3, 4, 6, 7]);
        assert_eq!((a.left_out(), a.crowded()), (3, 0));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut a = Around { room: 1_000, ..Around::new(1_000, 0) };
        let mut all: Vec<_> = (0..50).map(|n| (n, false)).collect();
        all.push((50, true));
        assert_eq!(kept(&mut a, &all).len(), 11);
        assert_eq!((a.left_out(), a.crowded()), (40, 40));
    }
}
