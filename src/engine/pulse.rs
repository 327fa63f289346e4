//! How often something happened: in all, from when to when, and of late. Knows neither what nor why.
use crate::model::time::Nanos;

/// Width of a bucket of the rate line.
const BUCKET: i64 = 10 * Nanos::SECOND;

/// Buckets of the last minute, newest last.
pub type Rate = [u32; 6];

/// The rate of late; rows may come in any order.
#[derive(Debug, Clone, Copy)]
pub struct Beats {
    counts: Rate,
    /// Number of the last bucket.
    bucket: i64,
}

impl Beats {
    pub fn from(at: Nanos) -> Self {
        Self { counts: [0; 6], bucket: at.0.div_euclid(BUCKET) }
    }

    pub fn add(&mut self, at: Nanos) {
        let bucket = at.0.div_euclid(BUCKET);
        if bucket > self.bucket {
            shift(&mut self.counts, bucket.saturating_sub(self.bucket));
            self.bucket = bucket;
        }
        let back = usize::try_from(self.bucket.saturating_sub(bucket)).unwrap_or(6);
        if let Some(r) = self.counts.iter_mut().rev().nth(back) {
            *r = r.saturating_add(1);
        }
    }

    fn merge(&mut self, other: &Self) {
        let bucket = self.bucket.max(other.bucket);
        let upto = Nanos(bucket.saturating_mul(BUCKET));
        let (mut counts, others) = (self.upto(upto), other.upto(upto));
        counts.iter_mut().zip(others).for_each(|(n, m)| *n = n.saturating_add(m));
        (self.counts, self.bucket) = (counts, bucket);
    }

    /// Each of the last six buckets of ten seconds, oldest first.
    pub fn upto(&self, now: Nanos) -> Rate {
        let mut counts = self.counts;
        shift(&mut counts, now.0.div_euclid(BUCKET).saturating_sub(self.bucket));
        counts
    }
}

fn shift(rate: &mut Rate, by: i64) {
    let by = usize::try_from(by.max(0)).unwrap_or(6).min(6);
    rate.rotate_left(by);
    for r in rate.iter_mut().skip(6 - by) {
        *r = 0;
    }
}

/// How often, from when to when.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    pub events: u64,
    pub first: Nanos,
    pub last: Nanos,
    beats: Beats,
}

impl Pulse {
    pub fn from(at: Nanos) -> Self {
        Self { events: 0, first: at, last: at, beats: Beats::from(at) }
    }

    /// One more record; whether it is an event of its own.
    pub fn add(&mut self, at: Nanos, event: bool) {
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        if event {
            self.events += 1;
            self.beats.add(at);
        }
    }

    /// With what happened besides.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.beats.merge(&other.beats);
    }

    pub fn rate(&self, now: Nanos) -> Rate {
        self.beats.upto(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_any_order_make_the_same_pulse() {
        let s = |n: i64| Nanos(1_000 * Nanos::SECOND + n * Nanos::SECOND);
        let of = |times: &[i64]| {
            let mut p = Pulse::from(s(times[0]));
            times.iter().for_each(|t| p.add(s(*t), true));
            (p.events, p.first, p.last, p.rate(s(61)))
        };
        assert_eq!(of(&[3, 14, 15, 61]), (4, s(3), s(61), [2, 0, 0, 0, 0, 1]));
        assert_eq!(of(&[61, 15, 14, 3]), of(&[3, 14, 15, 61]));
    }

    #[test]
    fn two_pulses_are_as_one_of_all() {
        let s = |n: i64| Nanos(1_000 * Nanos::SECOND + n * Nanos::SECOND);
        let of = |times: &[i64]| {
            let mut p = Pulse::from(s(times[0]));
            times.iter().for_each(|t| p.add(s(*t), true));
            p
        };
        let told = |p: Pulse| (p.events, p.first, p.last, p.rate(s(61)));
        for (a, b) in [(&[3, 14][..], &[15, 61][..]), (&[61], &[3, 14, 15]), (&[14, 61], &[15, 3])] {
            let mut both = of(a);
            both.merge(&of(b));
            assert_eq!(told(both), told(of(&[3, 14, 15, 61])));
        }
    }
}
