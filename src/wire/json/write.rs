//! The token writer under the generated writers: byte for byte what Hubble prints, that is Go's protojson with original field
//! names, compacted and HTML-escaped by Go's `json.Encoder`.
use std::io::Write as _;

/// A message that can be written as JSON.
pub trait WriteJson {
    /// Each member with a comma before it: `,"name":value`.
    fn members(&self, w: &mut Writer<'_>);
}

/// Appends to a buffer.
pub struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// How many `Any`s we are in.
    pub(super) depth: u32,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, depth: 0 }
    }

    pub fn raw(&mut self, s: &str) {
        self.out.extend_from_slice(s.as_bytes());
    }

    pub fn message<T: WriteJson>(&mut self, m: &T) {
        self.braced(b'{', |w| m.members(w));
        self.out.push(b'}');
    }

    pub fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.braced(b'[', |w| {
            for item in items {
                w.out.push(b',');
                each(w, item);
            }
        });
        self.out.push(b']');
    }

    /// Lets `inner` write parts that each begin with a comma, and turns the first comma into the opening bracket.
    pub(super) fn braced(&mut self, open: u8, inner: impl FnOnce(&mut Self)) {
        let begin = self.out.len();
        inner(self);
        match self.out.get_mut(begin) {
            Some(comma) => *comma = open,
            None => self.out.push(open),
        }
    }

    pub fn string(&mut self, s: &str) {
        self.out.push(b'"');
        let bytes = s.as_bytes();
        let (mut done, mut from) = (0, 0);
        while let Some((at, b)) = next(bytes, from) {
            from = at + 1;
            let (text, length): (&[u8], usize) = match b {
                b'"' => (b"\\\"", 1),
                b'\\' => (b"\\\\", 1),
                b'\n' => (b"\\n", 1),
                b'\r' => (b"\\r", 1),
                b'\t' => (b"\\t", 1),
                0x08 => (b"\\b", 1),
                0x0c => (b"\\f", 1),
                b'<' => (b"\\u003c", 1),
                b'>' => (b"\\u003e", 1),
                b'&' => (b"\\u0026", 1),
                0xe2 => match bytes.get(at + 1..at + 3) {
                    Some([0x80, 0xa8]) => (b"\\u2028", 3),
                    Some([0x80, 0xa9]) => (b"\\u2029", 3),
                    _ => continue,
                },
                _ => (b"", 1),
            };
            self.out.extend_from_slice(bytes.get(done..at).unwrap_or(&[]));
            if text.is_empty() {
                let _ = write!(self.out, "\\u{b:04x}");
            }
            self.out.extend_from_slice(text);
            done = at + length;
        }
        self.out.extend_from_slice(bytes.get(done..).unwrap_or(&[]));
        self.out.push(b'"');
    }

    pub fn boolean(&mut self, b: bool) {
        self.raw(if b { "true" } else { "false" });
    }

    pub fn unsigned(&mut self, n: u64) {
        let mut digits = [0u8; 20];
        let (mut rest, mut used) = (n, 0);
        for d in digits.iter_mut().rev() {
            *d = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend_from_slice(digits.get(20 - used..).unwrap_or(&[]));
    }

    pub fn signed(&mut self, n: i64) {
        if n < 0 {
            self.out.push(b'-');
        }
        self.unsigned(n.unsigned_abs());
    }

    pub fn quoted_unsigned(&mut self, n: u64) {
        self.out.push(b'"');
        self.unsigned(n);
        self.out.push(b'"');
    }

    pub fn quoted_signed(&mut self, n: i64) {
        self.out.push(b'"');
        self.signed(n);
        self.out.push(b'"');
    }

    /// As Go's `strconv` shortens it: exponents below 1e-6 and from 1e21 on.
    pub fn double(&mut self, n: f64) {
        let size = n.abs();
        let _ = if n.is_nan() {
            write!(self.out, "\"NaN\"")
        } else if n.is_infinite() {
            write!(self.out, "\"{}Infinity\"", if n < 0.0 { "-" } else { "" })
        } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{n:e}");
            let text = if text.contains("e-") { text } else { text.replace('e', "e+") };
            write!(self.out, "{text}")
        } else {
            write!(self.out, "{n}")
        };
    }

    pub fn enumeration(&mut self, name: Option<&'static str>, number: i32) {
        match name {
            Some(name) => {
                self.out.push(b'"');
                self.raw(name);
                self.out.push(b'"');
            }
            None => self.signed(i64::from(number)),
        }
    }
}

/// Bytes that a string may not hold as they are, and the first byte of U+2028 and U+2029.
const LOOK: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = b < 0x20 || matches!(b as u8, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        b += 1;
    }
    table
};

/// Whether one of eight bytes is such a byte. Hardly any string has one, so eight are asked at once.
fn has_any(eight: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let x = u64::from_ne_bytes(eight);
    // Sets the high bit of a byte that is 0, or of one behind it: of the whole, whether there is one. The second says the same of a
    // byte below 0x20; `<` and `>` differ in one bit, and so do `"` and `&`.
    let zero = |y: u64| y.wrapping_sub(ONES) & !y;
    let control = x.wrapping_sub(ONES * 0x20) & !x;
    let angle = zero((x | (ONES * 2)) ^ (ONES * u64::from(b'>')));
    let quote = zero((x | (ONES * 4)) ^ (ONES * u64::from(b'&')));
    let rest = zero(x ^ (ONES * u64::from(b'\\'))) | zero(x ^ (ONES * 0xe2));
    (control | angle | quote | rest) & (ONES * 0x80) != 0
}

/// The next such byte, and where it stands.
fn next(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    let rest = bytes.get(from..)?;
    let plain = rest.as_chunks::<8>().0.iter().take_while(|eight| !has_any(**eight)).count() * 8;
    if plain + 8 > rest.len() && rest.last_chunk::<8>().is_some_and(|last| !has_any(*last)) {
        return None;
    }
    let (n, b) = rest.iter().enumerate().skip(plain).find(|(_, b)| LOOK[usize::from(**b)])?;
    Some((from + n, *b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: impl Fn(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        f(&mut Writer::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            written(|w| w.string("a\u{1b}\u{0}\n<b>&\u{2028}\u{2029}€\u{7f}\"\\\u{8}\u{c}")),
            "\"a\\u001b\\u0000\\n\\u003cb\\u003e\\u0026\\u2028\\u2029€\u{7f}\\\"\\\\\\b\\f\""
        );
    }

    #[test]
    fn every_byte_is_found_wherever_it_stands() {
        for b in 0..=255u8 {
            for len in 1..20 {
                for at in 0..len {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = b;
                    assert_eq!(next(&bytes, 0), LOOK[usize::from(b)].then_some((at, b)), "{b:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|w| w.signed(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|w| w.quoted_unsigned(u64::MAX)), "\"18446744073709551615\"");
        assert_eq!(written(|w| w.unsigned(0)), "0");
        for (n, want) in
            [(12.35, "12.35"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-7, "1e-7"), (-0.0, "-0"), (f64::NAN, "\"NaN\"")]
        {
            assert_eq!(written(|w| w.double(n)), want);
        }
    }
}
