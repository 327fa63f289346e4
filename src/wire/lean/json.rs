//! The tokens of a canonical line: what our own writer, and so Hubble's command line, would have written, and nothing else.
//!
//! Owns the decision whether a token is canonical. What is rare and hard to check is "not canonical": the full reader decides then.
use super::slots::{Slots, packed};
use crate::wire::json::time;

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Not canonical.
    Other,
    /// Everything wanted is known.
    Known,
}

pub type Step<T = ()> = Result<T, Stop>;

/// Where the inside of a string stands.
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    begin: usize,
    end: usize,
    escapes: bool,
}

impl Raw {
    /// Empty texts are left out, but in lists.
    #[inline]
    pub fn filled(self) -> Step<Self> {
        if self.begin == self.end { Err(Stop::Other) } else { Ok(self) }
    }
}

/// The second that was read last, because the next one is mostly the same.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    text: [u8; 19],
    seconds: i64,
}

impl Default for Second {
    /// A text that is its second: bytes that are no time would be taken for one.
    fn default() -> Self {
        Self { text: *b"1970-01-01T00:00:00", seconds: 0 }
    }
}

/// A place in a line.
pub struct Walker<'a, 's> {
    line: &'a [u8],
    pub at: usize,
    slots: &'s mut Slots,
    second: &'s mut Second,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bits of the bytes at which a run of plain ASCII in a string ends; the lowest of them is exact. Those bytes are `"`,
/// `\`, `<`, `>`, `&`, control characters and all that is not ASCII.
#[inline]
fn stops(x: u64) -> u64 {
    let quote_or_and = (x | (ONES * 0x04)) ^ (ONES * 0x26);
    let angle = (x | (ONES * 0x02)) ^ (ONES * 0x3e);
    let backslash = x ^ (ONES * 0x5c);
    let zero = quote_or_and.wrapping_sub(ONES) | angle.wrapping_sub(ONES) | backslash.wrapping_sub(ONES);
    (zero | x.wrapping_sub(ONES * 0x20) | x) & HIGHS
}

impl<'a, 's> Walker<'a, 's> {
    pub fn new(line: &'a [u8], slots: &'s mut Slots, second: &'s mut Second) -> Self {
        Self { line, at: 0, slots, second }
    }

    #[inline]
    fn eight(&self, at: usize) -> Option<u64> {
        self.line.get(at..)?.first_chunk().map(|c| u64::from_le_bytes(*c))
    }

    #[inline]
    fn byte(&mut self, want: u8) -> Step {
        if self.line.get(self.at) != Some(&want) {
            return Err(Stop::Other);
        }
        self.at += 1;
        Ok(())
    }

    /// Opens an object; whether it closes at once.
    #[inline]
    pub fn empty(&mut self) -> Step<bool> {
        self.byte(b'{')?;
        let empty = self.line.get(self.at) == Some(&b'}');
        self.at += usize::from(empty);
        Ok(empty)
    }

    /// After a member: whether the object ends.
    #[inline]
    pub fn last(&mut self) -> Step<bool> {
        let last = match self.line.get(self.at) {
            Some(b',') => false,
            Some(b'}') => true,
            _ => return Err(Stop::Other),
        };
        self.at += 1;
        Ok(last)
    }

    /// The first eight bytes of a key.
    #[inline]
    pub fn key(&self) -> u64 {
        self.eight(self.at).unwrap_or_else(|| {
            let rest = self.line.get(self.at..).unwrap_or(&[]);
            rest.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
        })
    }

    /// Whether a member's key stands here, of which `k` is the beginning; takes it then.
    #[inline(always)]
    pub fn is<const N: usize>(&mut self, k: u64, mask: u64, want: u64, rest: &[u8; N], length: usize) -> bool {
        if k & mask != want {
            return false;
        }
        if N > 0 && self.line.get(self.at + 8..).and_then(<[u8]>::first_chunk) != Some(rest) {
            return false;
        }
        self.at += length;
        true
    }

    /// A string; stands at its quote.
    #[inline]
    pub fn string(&mut self) -> Step<Raw> {
        self.byte(b'"')?;
        let begin = self.at;
        let mut at = begin;
        let mut escapes = false;
        loop {
            match self.eight(at) {
                Some(x) => match stops(x) {
                    0 => {
                        at += 8;
                        continue;
                    }
                    found => at += (found.trailing_zeros() / 8) as usize,
                },
                None => {
                    while self.line.get(at).is_some_and(|b| stops(u64::from(*b) | (ONES * 0x20) << 8) & 0x80 == 0) {
                        at += 1;
                    }
                }
            }
            match self.line.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Raw { begin, end: at, escapes });
                }
                Some(b'\\') => {
                    at += self.escape(at)?;
                    escapes = true;
                }
                // Whether it is UTF-8 is asked of the whole line.
                Some(0x80..) => at += self.beyond_ascii(at)?,
                _ => return Err(Stop::Other),
            }
        }
    }

    /// Length of the escape here, if the writer would have escaped that, and so.
    fn escape(&self, at: usize) -> Step<usize> {
        match self.line.get(at + 1) {
            Some(b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f') => Ok(2),
            Some(b'u') => match self.line.get(at + 2..at + 6) {
                Some(b"003c" | b"003e" | b"0026" | b"2028" | b"2029") => Ok(6),
                Some([b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f']) => Ok(6),
                Some([b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f']) => Ok(6),
                _ => Err(Stop::Other),
            },
            _ => Err(Stop::Other),
        }
    }

    /// How many bytes to pass over; U+2028 and U+2029 would have been escaped.
    fn beyond_ascii(&self, at: usize) -> Step<usize> {
        match self.line.get(at..at + 3) {
            Some([0xe2, 0x80, 0xa8 | 0xa9]) => Err(Stop::Other),
            _ => Ok(1),
        }
    }

    /// The place of a text: in the line, or in the side buffer if it has escapes and is wanted.
    #[inline]
    fn place(&mut self, raw: Raw, wanted: bool) -> Step<u64> {
        if raw.escapes && wanted {
            return self.unescaped(raw).ok_or(Stop::Other);
        }
        Ok(packed(raw.begin, raw.end - raw.begin))
    }

    fn unescaped(&mut self, raw: Raw) -> Option<u64> {
        let side = self.slots.side();
        let begin = side.len();
        let mut rest = self.line.get(raw.begin..raw.end)?;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            side.push_str(std::str::from_utf8(rest.get(..at)?).ok()?);
            let (c, length) = match rest.get(at + 1)? {
                b'n' => ('\n', 2),
                b'r' => ('\r', 2),
                b't' => ('\t', 2),
                b'b' => ('\u{8}', 2),
                b'f' => ('\u{c}', 2),
                b'u' => {
                    let digits = rest.get(at + 2..at + 6)?;
                    let code = digits.iter().try_fold(0, |n, d| Some(n * 16 + char::from(*d).to_digit(16)?))?;
                    (char::from_u32(code)?, 6)
                }
                c => (char::from(*c), 2),
            };
            side.push(c);
            rest = rest.get(at + length..)?;
        }
        side.push_str(std::str::from_utf8(rest).ok()?);
        Some(self.slots.sided(begin))
    }

    /// These slots hold what they will ever hold.
    #[inline]
    pub fn found(&mut self, bits: u128) -> Step {
        self.slots.missing &= !bits;
        if self.slots.missing == 0 { Err(Stop::Known) } else { Ok(()) }
    }

    #[inline]
    pub fn mark(&mut self, slot: usize) {
        self.slots.mark(slot);
    }

    #[inline]
    pub fn put(&mut self, slot: usize, value: u64) -> Step {
        self.slots.put(slot, value);
        self.found(1 << slot)
    }

    pub fn put_stamp(&mut self, slot: usize, stamp: (i64, i32)) -> Step {
        self.slots.put_stamp(slot, stamp);
        self.found(3 << slot)
    }

    #[inline]
    pub fn text(&mut self, slot: usize) -> Step {
        let raw = self.string()?.filled()?;
        let wanted = self.slots.wants(1 << slot);
        let place = self.place(raw, wanted)?;
        self.put(slot, place)
    }

    /// A text of a list's element, kept in its row if there is one.
    #[inline]
    pub fn part(&mut self, part: Option<usize>) -> Step {
        let raw = self.string()?.filled()?;
        self.keep(raw, part)
    }

    #[inline]
    fn keep(&mut self, raw: Raw, part: Option<usize>) -> Step {
        if let Some(part) = part {
            let place = self.place(raw, true)?;
            self.slots.put_part(part, place);
        }
        Ok(())
    }

    /// A list; empty ones are left out.
    #[inline]
    pub fn each(&mut self, mut element: impl FnMut(&mut Self) -> Step) -> Step {
        self.byte(b'[')?;
        loop {
            element(self)?;
            match self.line.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Stop::Other),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn row(&mut self, slot: usize, columns: usize) -> Step<Option<usize>> {
        if self.slots.wants(1 << slot) { self.slots.row(slot, columns).ok_or(Stop::Other).map(Some) } else { Ok(None) }
    }

    pub fn texts(&mut self, slot: usize) -> Step {
        self.each(|w| {
            let raw = w.string()?;
            let row = w.row(slot, 1)?;
            w.keep(raw, row)
        })?;
        self.found(1 << slot)
    }

    /// A list of messages, of each of which so many texts are kept.
    #[inline]
    pub fn rows(&mut self, slot: usize, columns: usize, item: impl Fn(&mut Self, Option<usize>) -> Step) -> Step {
        self.each(|w| {
            let row = w.row(slot, columns)?;
            item(w, row)
        })?;
        self.found(1 << slot)
    }

    /// `true`; a false one is left out.
    #[inline]
    pub fn yes(&mut self) -> Step {
        if self.line.get(self.at..self.at + 4) != Some(b"true") {
            return Err(Stop::Other);
        }
        self.at += 4;
        Ok(())
    }

    pub fn boolean(&mut self) -> Step<bool> {
        if self.line.get(self.at..self.at + 5) == Some(b"false") {
            self.at += 5;
            return Ok(false);
        }
        self.yes().map(|()| true)
    }

    /// Digits without a leading zero, of a number that is not 0.
    #[inline]
    fn digits(&mut self) -> Step<u64> {
        let begin = self.at;
        let mut n = 0u64;
        while let Some(d) = self.line.get(self.at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            if self.at - begin >= 19 {
                n = n.checked_mul(10).and_then(|n| n.checked_add(u64::from(d))).ok_or(Stop::Other)?;
            } else {
                n = n * 10 + u64::from(d);
            }
            self.at += 1;
        }
        if n == 0 || self.line.get(begin) == Some(&b'0') { Err(Stop::Other) } else { Ok(n) }
    }

    #[inline]
    pub fn unsigned(&mut self) -> Step<u64> {
        let n = self.digits()?;
        if n > u64::from(u32::MAX) { Err(Stop::Other) } else { Ok(n) }
    }

    #[inline]
    pub fn signed(&mut self) -> Step<i32> {
        let negative = self.line.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let n = i64::try_from(self.digits()?).map_err(|_| Stop::Other)?;
        i32::try_from(if negative { -n } else { n }).map_err(|_| Stop::Other)
    }

    /// A number of 64 bits, which stands in quotes.
    pub fn quoted(&mut self) -> Step<u64> {
        self.byte(b'"')?;
        let n = self.digits()?;
        self.byte(b'"')?;
        Ok(n)
    }

    /// An enum: its name, or its number where it has none.
    #[inline]
    pub fn enumeration(&mut self, number: impl Fn(&[u8]) -> Option<i32>, named: impl Fn(i32) -> bool) -> Step<i32> {
        if self.line.get(self.at) != Some(&b'"') {
            let n = self.signed()?;
            return if named(n) { Err(Stop::Other) } else { Ok(n) };
        }
        let rest = self.line.get(self.at + 1..).unwrap_or(&[]);
        let length = rest.iter().position(|b| *b == b'"').ok_or(Stop::Other)?;
        let name = rest.get(..length).unwrap_or(&[]);
        self.at += length + 2;
        number(name).ok_or(Stop::Other)
    }

    /// A time: in UTC, with no, three, six or nine digits of fraction, the last three of them not all zero.
    pub fn stamp(&mut self) -> Step<(i64, i32)> {
        self.byte(b'"')?;
        let text: &[u8; 19] = self.line.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Stop::Other)?;
        if *text != self.second.text {
            *self.second = second(text).ok_or(Stop::Other)?;
        }
        self.at += 19;
        let mut nanos = 0;
        if self.line.get(self.at) == Some(&b'.') {
            self.at += 1;
            let begin = self.at;
            let mut group = 0;
            while let Some(d) = self.line.get(self.at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
                let new = (self.at - begin).is_multiple_of(3);
                group = i32::from(d) + if new { 0 } else { group * 10 };
                if self.at - begin == 9 {
                    return Err(Stop::Other);
                }
                nanos = nanos * 10 + i32::from(d);
                self.at += 1;
            }
            nanos *= match self.at - begin {
                3 => 1_000_000,
                6 => 1_000,
                9 => 1,
                _ => return Err(Stop::Other),
            };
            if group == 0 {
                return Err(Stop::Other);
            }
        }
        if self.line.get(self.at..self.at + 2) != Some(b"Z\"") {
            return Err(Stop::Other);
        }
        self.at += 2;
        Ok((self.second.seconds, nanos))
    }
}

fn second(text: &[u8; 19]) -> Option<Second> {
    let mut whole = [b'Z'; 20];
    whole.first_chunk_mut::<19>()?.copy_from_slice(text);
    let t = time::parse(std::str::from_utf8(&whole).ok()?)?;
    Some(Second { text: *text, seconds: t.seconds })
}
