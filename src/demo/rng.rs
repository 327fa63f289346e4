//! A small random generator, the same on every machine and in every version.
//!
//! Owns the sequence: a recording made with a seed must come out the same to the byte, so no library's generator is used.

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    #[cfg(test)]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one purpose, so that a change in one place does not shift every other.
    pub fn fork(seed: u64, purpose: &str) -> Self {
        // FNV-1a
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut rng = Self(seed ^ hash);
        rng.next_u64();
        rng
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `n`; 0 for `n` = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next_u64() % n }
    }

    /// Both ends included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).unwrap_or(0))
    }

    pub fn port(&mut self) -> u16 {
        u16::try_from(self.between(32_768, 60_999)).unwrap_or(40_000)
    }

    /// A random UUID, version 4.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.next_u64(), self.next_u64());
        let a = a & 0xffff_ffff_ffff_0fff | 0x4000;
        let b = b & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 48, b & 0xffff_ffff_ffff)
    }

    /// A locally administered unicast MAC address.
    pub fn mac(&mut self) -> String {
        let n = self.next_u64();
        let [_, _, a, b, c, d, e, f] = n.to_be_bytes();
        format!("{:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}", a & 0xfc | 0x02)
    }

    /// `n` characters as Kubernetes puts them at the end of generated names.
    pub fn suffix(&mut self, n: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..n).map(|_| self.pick(LETTERS).map_or('x', |b| char::from(*b))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_fixed() {
        // Published test vector of SplitMix64 for seed 1234567.
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.next_u64(), rng.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn uuid_has_its_version_and_variant() {
        let mut rng = Rng::new(7);
        for _ in 0..100 {
            let u = rng.uuid();
            assert_eq!(u.len(), 36);
            assert_eq!(&u[14..15], "4");
            assert!(matches!(&u[19..20], "8" | "9" | "a" | "b"), "{u}");
        }
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| (5..=9).contains(&rng.between(5, 9))));
        assert!(rng.pick::<u8>(&[]).is_none());
    }
}
