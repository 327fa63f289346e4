//! How a broken stream goes on: without a gap, and without flows that were there before.
//!
//! Owns the memory of what was seen last. It asks again for what began a little before the last flow and drops what it
//! knows: by uuid, or by the message's own bytes where an agent gives none. It reads of a message only time, node and uuid. That
//! nothing of it comes again is noticed by `overlap`.
use super::oldest::Oldest;
use super::overlap::{Lapse, Overlap};
use crate::model::time::Nanos;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Messages remembered: two seconds at 64 000 flows a second, 1 MB.
const REMEMBERED: usize = 128 << 10;
/// How far back the next request begins. Relay merges nodes by time, but not perfectly.
pub const OVERLAP: i64 = 2 * Nanos::SECOND;
/// How long after the old end duplicates are still looked for.
const LOOK: i64 = 10 * Nanos::SECOND;
/// The middle of so many times is "now": one node with a wrong clock must not send us into the future or the past.
const MIDDLE: usize = 15;

/// What has been seen on a stream.
#[derive(Debug, Default)]
pub struct Resume {
    recent: VecDeque<u64>,
    times: VecDeque<i64>,
    /// The earliest of the first times: what lies before was never asked for.
    first: Option<i64>,
    /// What may come again, and how often. Empty while nothing is looked for.
    known: HashMap<u64, u32>,
    /// When to stop looking.
    until: i64,
    /// Nothing before this is asked for again, whatever was seen.
    floor: Option<Nanos>,
    overlap: Overlap,
}

impl Resume {
    /// Takes note of a message; `false` if it was there before the connection broke.
    pub fn is_new(&mut self, message: &[u8]) -> bool {
        let mark = mark(message);
        let new = self.is_unknown(message, &mark);
        if let (true, Some(at)) = (mark.flow, mark.time) {
            self.overlap.came(mark.node, at);
        }
        new
    }

    /// Times of which flows may be lost that were found since this was asked last.
    pub fn lapses(&mut self) -> Vec<Lapse> {
        self.overlap.lapses()
    }

    /// Whether it is time to ask how far back the server's memory goes.
    pub fn wants_oldest(&self) -> bool {
        self.overlap.wants()
    }

    /// How far back it goes; `None`: the server did not say.
    pub fn oldest(&mut self, oldest: Option<&Oldest>) {
        self.overlap.answer(oldest);
    }

    fn is_unknown(&mut self, message: &[u8], mark: &Mark<'_>) -> bool {
        let (time, uuid) = (mark.time, mark.uuid);
        let mut hasher = DefaultHasher::new();
        match uuid {
            // With its time: a server that gives all flows the same uuid must not lose them.
            Some(uuid) => (uuid, time.map(|t| t.0)).hash(&mut hasher),
            None => message.hash(&mut hasher),
        }
        let id = hasher.finish();
        if !self.known.is_empty() {
            if let Some(n) = self.known.get_mut(&id) {
                *n -= 1;
                if *n == 0 {
                    self.known.remove(&id);
                }
                return false;
            }
            if time.is_some_and(|t| t.0 > self.until) {
                self.known = HashMap::new();
            }
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        if let Some(time) = time {
            if self.times.len() == MIDDLE {
                self.times.pop_front();
            } else {
                self.first = Some(self.first.map_or(time.0, |first| first.min(time.0)));
            }
            self.times.push_back(time.0);
        }
        true
    }

    /// From where to ask again.
    pub fn since(&self) -> Option<Nanos> {
        let back = self.last().map(|last| last.plus(-OVERLAP).max(Nanos(self.first.unwrap_or(i64::MIN))));
        back.max(self.floor)
    }

    /// Nothing before `at` is asked for again: what lies there cannot be had.
    pub fn skip_to(&mut self, at: Nanos) {
        self.floor = Some(at);
    }

    /// Something else is asked for from now on.
    pub fn changes(&mut self) {
        self.overlap.forget();
    }

    /// A new connection begins: what is remembered may come again. `now` bounds how far a clock that is ahead moves the end; until
    /// `whole` everything came.
    pub fn look_for_duplicates(&mut self, now: Nanos, whole: Option<Nanos>) {
        if let Some(since) = self.since() {
            self.overlap.ask(since, whole);
        }
        self.known.clear();
        for id in &self.recent {
            *self.known.entry(*id).or_insert(0) += 1;
        }
        // Of a stream that was sparse the middle is long ago: where more is asked for now, what is known lies up to the newest.
        let newest = self.times.iter().max().copied().map(Nanos);
        self.until = newest.zip(self.last()).map_or(i64::MAX, |(newest, last)| newest.min(now.max(last)).plus(LOOK).0);
    }

    fn last(&self) -> Option<Nanos> {
        let mut times: Vec<i64> = self.times.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().map(Nanos)
    }
}

/// The time of a `GetFlowsResponse`, as far as its bytes can be read.
pub fn time(message: &[u8]) -> Option<Nanos> {
    mark(message).time
}

/// Node and time of a flow.
pub fn flow_of(message: &[u8]) -> Option<(&[u8], Nanos)> {
    let mark = mark(message);
    mark.time.filter(|_| mark.flow).map(|at| (mark.node, at))
}

/// What is read of a message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mark<'a> {
    flow: bool,
    time: Option<Nanos>,
    uuid: Option<&'a [u8]>,
    node: &'a [u8],
}

/// Of a `GetFlowsResponse`, as far as its bytes can be read.
fn mark(message: &[u8]) -> Mark<'_> {
    let (mut mark, mut flow_time) = (Mark::default(), None);
    walk(message, |field, bytes| match field {
        1 => {
            mark.flow = true;
            walk(bytes, |field, bytes| match field {
                1 => flow_time = Some(timestamp(bytes)),
                34 if !bytes.is_empty() => mark.uuid = Some(bytes),
                _ => {}
            });
        }
        1000 => mark.node = bytes,
        1001 => mark.time = Some(timestamp(bytes)),
        _ => {}
    });
    mark.time = mark.time.or(flow_time);
    mark
}

fn timestamp(message: &[u8]) -> Nanos {
    let (mut seconds, mut nanos) = (0, 0);
    let mut rest = message;
    while let Some(key) = varint(&mut rest) {
        let Some(value) = (if key & 7 == 0 { varint(&mut rest) } else { None }) else { break };
        match key >> 3 {
            1 => seconds = value.cast_signed(),
            2 => nanos = i32::try_from(value & 0x7fff_ffff).unwrap_or(0),
            _ => {}
        }
    }
    Nanos::from_parts(seconds, nanos)
}

/// Calls `each` for every length-delimited field up to the first byte that makes no sense.
fn walk<'a>(message: &'a [u8], mut each: impl FnMut(u64, &'a [u8])) {
    let mut rest = message;
    while let Some(key) = varint(&mut rest) {
        let skip = match key & 7 {
            _ if key >> 3 == 0 => return,
            0 => {
                if varint(&mut rest).is_none() {
                    return;
                }
                0
            }
            1 => 8,
            2 => {
                let Some(bytes) = varint(&mut rest).and_then(|n| usize::try_from(n).ok()).and_then(|n| rest.get(..n)) else { return };
                each(key >> 3, bytes);
                bytes.len()
            }
            5 => 4,
            _ => return,
        };
        let Some(after) = rest.get(skip..) else { return };
        rest = after;
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::{flow, observer};
    use prost::Message;

    const NOW: Nanos = Nanos(2_000 * Nanos::SECOND);

    fn message(second: i64, uuid: &str) -> Vec<u8> {
        let time = Some(prost_types::Timestamp { seconds: second, nanos: 5 });
        let flow = flow::Flow { uuid: uuid.to_owned(), time, node_name: "n".to_owned(), ..Default::default() };
        observer::GetFlowsResponse {
            node_name: "n".to_owned(),
            time,
            response_types: Some(observer::get_flows_response::ResponseTypes::Flow(flow)),
        }
        .encode_to_vec()
    }

    #[test]
    fn reads_time_and_uuid() {
        let m = message(1_700_000_000, "abc");
        let wanted = Mark { flow: true, time: Some(Nanos::from_parts(1_700_000_000, 5)), uuid: Some(b"abc"), node: b"n" };
        assert_eq!(mark(&m), wanted);
        assert_eq!(mark(b""), Mark::default());
        // Any bytes are survived.
        for n in 0..m.len() {
            let mut torn = m.clone();
            torn[n] ^= 0xff;
            mark(&torn);
            mark(&m[..n]);
        }
        mark(&[0xff; 100]);
    }

    #[test]
    fn what_was_seen_is_dropped_once_after_a_break() {
        let mut r = Resume::default();
        let seen: Vec<_> = (0..100).map(|n| message(1000 + n / 10, &n.to_string())).collect();
        assert!(seen.iter().all(|m| r.is_new(m)));
        assert_eq!(r.since().map(|t| t.parts().0), Some(1009 - 2));
        r.look_for_duplicates(NOW, None);
        assert!(seen[80..].iter().all(|m| !r.is_new(m)));
        assert!(r.is_new(&message(1009, "new")));
        r.oldest(None);
        assert_eq!(r.lapses(), []);
        // It breaks again: both what came before and after the first break are known.
        r.look_for_duplicates(NOW, None);
        assert!(!r.is_new(&message(1009, "new")) && !r.is_new(&seen[99]));
    }

    #[test]
    fn where_nothing_of_before_the_break_comes_again_what_lies_between_may_be_lost() {
        let mut r = Resume::default();
        (0..100).for_each(|n| assert!(r.is_new(&message(1000 + n / 10, &n.to_string()))));
        r.look_for_duplicates(NOW, None);
        assert!(r.is_new(&message(1500, "later")));
        r.oldest(None);
        let lapse = r.lapses().remove(0);
        assert_eq!((lapse.node.as_str(), lapse.from.parts().0, lapse.until.parts().0), ("n", 1009, 1500));
        assert!(r.is_new(&message(1501, "and on")) && r.lapses().is_empty());
    }

    #[test]
    fn without_uuid_equal_messages_count() {
        let mut r = Resume::default();
        let m = message(1, "");
        assert!(r.is_new(&m) && r.is_new(&m), "twice on one connection is two flows");
        r.look_for_duplicates(NOW, None);
        assert_eq!([r.is_new(&m), r.is_new(&m), r.is_new(&m)], [false, false, true]);
    }

    #[test]
    fn a_server_that_gives_every_flow_the_same_uuid_loses_none_after_a_break() {
        let mut r = Resume::default();
        assert!((0..5).all(|n| r.is_new(&message(1000 + n, "same"))));
        r.look_for_duplicates(NOW, None);
        assert!(!r.is_new(&message(1004, "same")), "this one was there");
        assert!((5..20).all(|n| r.is_new(&message(1000 + n, "same"))));
    }

    #[test]
    fn one_wrong_clock_does_not_move_the_end() {
        let mut r = Resume::default();
        assert_eq!(r.since(), None);
        r.is_new(&message(99_999_999, "future"));
        for n in 0..40 {
            r.is_new(&message(980 + n, &n.to_string()));
        }
        r.is_new(&message(99_999_999, "future too"));
        assert_eq!(r.since().map(|t| t.parts().0), Some(1013 - 2));
    }

    #[test]
    fn a_sparse_stream_that_is_widened_gives_no_flow_twice() {
        let mut r = Resume::default();
        // Narrowed: one flow a minute is asked for.
        let asked = |n: i64| n % 60 == 0;
        assert!((0..1_000).filter(|n| asked(*n)).all(|n| r.is_new(&message(n, &n.to_string()))));
        // Widened: the server gives everything since then.
        let since = r.since().unwrap().parts().0;
        r.look_for_duplicates(NOW, None);
        let came: Vec<_> = (since..1_000).filter(|n| r.is_new(&message(*n, &n.to_string()))).collect();
        let never: Vec<_> = (since..1_000).filter(|n| !asked(*n)).collect();
        assert_eq!(came, never);
    }

    #[test]
    fn a_clock_that_is_far_ahead_does_not_keep_duplicates_looked_for() {
        let mut r = Resume::default();
        (0..20).for_each(|n| assert!(r.is_new(&message(1_980 + n, &n.to_string()))));
        r.is_new(&message(99_999_999, "future"));
        r.look_for_duplicates(NOW, None);
        assert!(r.is_new(&message(2_009, "a")) && !r.known.is_empty());
        assert!(r.is_new(&message(2_010, "b")) && r.known.is_empty());
    }

    #[test]
    fn what_lies_before_the_first_flow_is_not_asked_for() {
        let mut r = Resume::default();
        r.is_new(&message(1001, "b"));
        r.is_new(&message(1000, "a"));
        assert_eq!(r.since().map(|t| t.parts().0), Some(1000));
        r.skip_to(Nanos::from_parts(1005, 0));
        assert_eq!(r.since().map(|t| t.parts().0), Some(1005));
    }
}
