//! When nobody listened: a link that was down, a source that has ended, a server that was asked for less. What did not come then says
//! nothing: no cause is quiet by it, and no rate is 0.
//!
//! Owns the breaks. Knows neither engine nor model: it is told what the time is and whether anybody listens.
use crate::engine::causes::QUIET;
use crate::model::time::Nanos;
use std::collections::VecDeque;

/// Breaks that are remembered. When there are more the oldest is forgotten: by then it lies behind every window of the rates.
const MOST: usize = 256;

#[derive(Debug, Default)]
pub struct Heard {
    /// Nobody has listened since.
    deaf: Option<Nanos>,
    /// All there is has been listened for since.
    from: Nanos,
    /// Only a part is asked for since: what has come after that is of this part.
    part: Option<Nanos>,
    breaks: VecDeque<(Nanos, Nanos)>,
}

impl Heard {
    /// Tells whether anybody listens.
    pub fn note(&mut self, listens: bool, now: Nanos) {
        match (listens, self.deaf) {
            (false, None) => self.deaf = Some(now),
            (true, Some(since)) => {
                if self.breaks.len() == MOST {
                    self.breaks.pop_front();
                }
                self.breaks.push_back((since, now));
                (self.deaf, self.from) = (None, self.from.max(now));
            }
            _ => {}
        }
    }

    /// Servers are asked for something else: for a part, or for everything.
    pub fn asked(&mut self, part: bool, now: Nanos) {
        if self.part.is_some() && !part {
            self.from = self.from.max(now);
        }
        self.part = part.then_some(now);
    }

    pub fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    /// Up to when anything could be heard.
    pub fn upto(&self, now: Nanos) -> Nanos {
        self.deaf.map_or(now, |since| since.min(now))
    }

    /// Whether what came last at that time would have been heard, had it gone on.
    pub fn would_hear(&self, last: Nanos, now: Nanos) -> bool {
        self.deaf.is_none() && self.part.is_none_or(|since| last > since) && now.since(last.max(self.from)) > QUIET
    }

    /// Whether there was a moment of a time, its end excepted, at which nobody listened.
    pub fn misses(&self, begin: Nanos, end: Nanos) -> bool {
        self.breaks.iter().any(|(from, to)| *from < end && *to > begin) || self.deaf.is_some_and(|since| since < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: i64) -> Nanos {
        Nanos(n * Nanos::SECOND)
    }

    #[test]
    fn what_nobody_listened_for_is_not_quiet_until_somebody_has_listened_long_enough() {
        let mut h = Heard::default();
        assert!(!h.would_hear(s(100), s(110)) && h.would_hear(s(100), s(140)));
        h.note(false, s(110));
        assert!(!h.would_hear(s(100), s(1_000)) && h.upto(s(1_000)) == s(110));
        h.note(true, s(1_000));
        assert!(!h.would_hear(s(100), s(1_020)) && h.would_hear(s(100), s(1_031)));
        assert!(h.misses(s(200), s(260)) && h.misses(s(100), s(160)) && h.misses(s(990), s(1_050)));
        assert!(!h.misses(s(100), s(110)) && !h.misses(s(1_000), s(1_050)));
    }

    #[test]
    fn what_a_server_is_not_asked_for_is_not_quiet_either() {
        let mut h = Heard::default();
        h.asked(true, s(50));
        assert!(!h.would_hear(s(40), s(200)), "it may be outside of what is asked for");
        assert!(h.would_hear(s(60), s(200)), "it is of what is asked for");
        h.asked(false, s(200));
        assert!(!h.would_hear(s(40), s(210)) && h.would_hear(s(40), s(231)));
    }
}
