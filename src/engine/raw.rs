//! The raw frames of held flows: protobuf bytes in compressed blocks, oldest dropped first when the byte budget is full.
//!
//! Owns the blocks and their budget; knows nothing of what the bytes mean.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use zstd::bulk::Compressor;

/// Frames are packed into blocks of this size before compression: large enough to compress well, small enough to open in 0.1 ms.
const BLOCK: usize = 64 * 1024;

#[derive(Debug)]
struct Block {
    /// Sequence number of the first frame.
    first: u64,
    /// End offset of each frame in the uncompressed block.
    ends: Vec<u32>,
    data: Vec<u8>,
    compressed: bool,
}

impl Block {
    fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    fn cost(&self) -> usize {
        self.data.len() + self.ends.len() * 4
    }
}

/// Makes blocks small; its working memory is used again and again. Level 1: this runs on the thread that also draws.
struct Press(Option<Compressor<'static>>);

impl Press {
    fn new() -> Self {
        Self(Compressor::new(1).ok())
    }

    /// `None` where that fails or does not pay.
    fn press(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let mut small = self.0.as_mut()?.compress(data).ok().filter(|small| small.len() < data.len())?;
        // It comes with room for the worst case.
        small.shrink_to_fit();
        Some(small)
    }
}

impl fmt::Debug for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Press")
    }
}

/// Frames by sequence number; numbers are dense and ascending.
#[derive(Debug)]
pub struct Raw {
    sealed: VecDeque<Block>,
    open: Block,
    bytes: usize,
    budget: usize,
    press: Press,
    /// The block opened last, uncompressed: neighbours are read together.
    cache: RefCell<Option<(u64, Vec<u8>)>>,
}

impl Raw {
    /// `budget`: bytes of compressed frames to keep.
    pub fn new(budget: usize) -> Self {
        Self { sealed: VecDeque::new(), open: empty(0), bytes: 0, budget, press: Press::new(), cache: RefCell::new(None) }
    }

    /// Appends the next frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.open.data.extend_from_slice(frame);
        self.open.ends.push(u32::try_from(self.open.data.len()).unwrap_or(u32::MAX));
        if self.open.data.len() >= BLOCK {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let next = self.open.first + self.open.len();
        let (data, compressed) = match self.press.press(&self.open.data) {
            Some(small) => (small, true),
            None => (self.open.data.clone(), false),
        };
        let block = Block { first: self.open.first, ends: self.open.ends.as_slice().into(), data, compressed };
        self.open.first = next;
        self.open.ends.clear();
        self.open.data.clear();
        self.bytes += block.cost();
        self.sealed.push_back(block);
        while self.bytes > self.budget
            && let Some(old) = self.sealed.pop_front()
        {
            self.bytes -= old.cost();
        }
    }

    /// Drops whole blocks that lie before `seq`.
    pub fn forget_before(&mut self, seq: u64) {
        while let Some(b) = self.sealed.front()
            && b.first + b.len() <= seq
        {
            self.bytes -= b.cost();
            self.sealed.pop_front();
        }
    }

    /// Hands the frame to `with`; `None` if it was evicted or never there.
    pub fn with<T>(&self, seq: u64, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if seq >= self.open.first {
            return slice(&self.open.ends, &self.open.data, seq - self.open.first).map(with);
        }
        let at = self.sealed.partition_point(|b| b.first <= seq).checked_sub(1)?;
        let block = self.sealed.get(at)?;
        let n = seq - block.first;
        if !block.compressed {
            return slice(&block.ends, &block.data, n).map(with);
        }
        let mut cache = self.cache.borrow_mut();
        if !matches!(&*cache, Some((first, _)) if *first == block.first) {
            let size = *block.ends.last()? as usize;
            *cache = Some((block.first, zstd::bulk::decompress(&block.data, size).ok()?));
        }
        let (_, data) = cache.as_ref()?;
        slice(&block.ends, data, n).map(with)
    }

    /// Number of the oldest frame that is still there.
    pub fn oldest(&self) -> u64 {
        self.sealed.front().map_or(self.open.first, |b| b.first)
    }
}

fn empty(first: u64) -> Block {
    Block { first, ends: Vec::new(), data: Vec::new(), compressed: false }
}

fn slice<'a>(ends: &[u32], data: &'a [u8], n: u64) -> Option<&'a [u8]> {
    let n = usize::try_from(n).ok()?;
    let start = if n == 0 { 0 } else { *ends.get(n - 1)? as usize };
    data.get(start..*ends.get(n)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_comes_back() {
        let mut raw = Raw::new(1 << 30);
        let frame = |n: u64| format!("frame {n} {}", "x".repeat((n % 700) as usize)).into_bytes();
        for n in 0..2_000 {
            raw.push(&frame(n));
        }
        for n in (0..2_000).rev() {
            assert_eq!(raw.with(n, <[u8]>::to_vec), Some(frame(n)), "{n}");
        }
        assert_eq!(raw.with(2_000, |_| ()), None);
    }

    #[test]
    fn the_budget_holds_and_evictions_are_counted() {
        let mut raw = Raw::new(100_000);
        let mut x = 1u64;
        for _ in 0..5_000 {
            // Incompressible, so that blocks cost what they hold.
            let frame: Vec<u8> = (0..200)
                .map(|_| {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    (x & 255) as u8
                })
                .collect();
            raw.push(&frame);
        }
        assert!(raw.bytes <= 100_000);
        assert!(raw.oldest() > 4_000);
        assert_eq!(raw.with(0, |_| ()), None);
        assert!(raw.with(4_999, |_| ()).is_some());
    }
}
