//! When to try again. Owns the growth of the pause and its jitter; reads no clock.
use std::time::Duration;

/// Pauses that double from `first` to `cap`, each 20 % up or down, so that many clients of one server do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
    state: u64,
}

impl Backoff {
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        // xorshift stands still on 0.
        Self { first, cap, next: first, state: seed | 1 }
    }

    /// The pause before the next try, never longer than `cap`.
    pub fn pause(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(self.cap);
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let percent = 80 + u32::try_from(self.state % 41).unwrap_or(20);
        (base * percent / 100).min(self.cap)
    }

    /// The connection was good: the next pause is a short one again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_again() {
        let (first, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut b = Backoff::new(first, cap, 7);
        let pauses: Vec<_> = (0..12).map(|_| b.pause()).collect();
        for (n, p) in pauses.iter().enumerate() {
            let base = (first * 2u32.pow(u32::try_from(n).unwrap())).min(cap);
            assert!(*p >= base * 80 / 100 && *p <= (base * 120 / 100).min(cap), "{n}: {p:?}");
        }
        b.reset();
        assert!(b.pause() <= first * 120 / 100);
    }

    #[test]
    fn two_seeds_differ_and_one_seed_repeats() {
        let run = |seed| {
            let mut b = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), seed);
            (0..5).map(|_| b.pause()).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(99));
        assert_eq!(run(0).len(), 5);
    }
}
