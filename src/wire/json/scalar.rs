//! Scalars of proto3 JSON: strings with their escapes, numbers in all the forms Go takes, booleans.
use super::read::Reader;
use crate::wire::note::Bad;
use std::borrow::Cow;

/// Bytes at which a run of plain characters in a string ends.
const STOP: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = b < 0x20 || matches!(b as u8, b'"' | b'\\');
        b += 1;
    }
    table
};

impl<'a> Reader<'a, '_> {
    /// A string, borrowed where it has no escapes. Stands at its quote.
    pub(super) fn str(&mut self) -> Result<Cow<'a, str>, Bad> {
        if self.token() != Some(b'"') {
            return Err(self.not("a string"));
        }
        let begin = self.at + 1;
        let bytes = self.text.as_bytes();
        let rest = bytes.get(begin..).unwrap_or(&[]);
        let at = begin + rest.iter().position(|b| STOP[usize::from(*b)]).unwrap_or(rest.len());
        match bytes.get(at) {
            Some(b'"') => {
                self.at = at + 1;
                Ok(Cow::Borrowed(self.text.get(begin..at).unwrap_or("")))
            }
            Some(b'\\') => self.escaped(begin, at).map(Cow::Owned),
            Some(_) => Err(self.bad_at(at, "a control character inside a string")),
            None => Err(self.bad_at(at, "the line ends inside a string")),
        }
    }

    /// The rest of a string whose first escape stands at `at`.
    fn escaped(&mut self, begin: usize, mut at: usize) -> Result<String, Bad> {
        let bytes = self.text.as_bytes();
        let mut out = String::from(self.text.get(begin..at).unwrap_or(""));
        loop {
            let run = at;
            while bytes.get(at).is_some_and(|b| !STOP[usize::from(*b)]) {
                at += 1;
            }
            out.push_str(self.text.get(run..at).unwrap_or(""));
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(out);
                }
                Some(b'\\') => {}
                Some(_) => return Err(self.bad_at(at, "a control character inside a string")),
                None => return Err(self.bad_at(at, "the line ends inside a string")),
            }
            let c = match bytes.get(at + 1) {
                Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'u') => {
                    let Some((c, length)) = unicode(bytes.get(at + 2..).unwrap_or(&[])) else {
                        return Err(self.bad_at(at, "an invalid \\u escape"));
                    };
                    at += length;
                    c
                }
                _ => return Err(self.bad_at(at, "an invalid escape")),
            };
            out.push(c);
            at += 2;
        }
    }

    pub fn string(&mut self) -> Result<String, Bad> {
        self.str().map(Cow::into_owned)
    }

    pub fn boolean(&mut self) -> Result<bool, Bad> {
        match self.token() {
            Some(b't') => self.word("true").map(|()| true),
            Some(b'f') => self.word("false").map(|()| false),
            _ => Err(self.not("true or false")),
        }
    }

    /// The text of a number, checked against JSON's grammar.
    pub(super) fn number(&mut self) -> Result<&'a str, Bad> {
        self.blanks();
        let rest = self.text.get(self.at..).unwrap_or("");
        let Some(length) = number_length(rest.as_bytes()) else { return Err(self.not("a number")) };
        let after = rest.as_bytes().get(length);
        if after.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-')) {
            return Err(self.bad("a malformed number"));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or(""))
    }

    /// An integer, given as a number or a string, with fraction or exponent as long as its value is whole.
    fn integer(&mut self) -> Result<i128, Bad> {
        let (at, quoted);
        let text = if self.token() == Some(b'"') {
            at = self.at;
            quoted = self.str()?;
            match number_length(quoted.as_bytes()) {
                Some(n) if n == quoted.len() => &*quoted,
                _ => return Err(self.bad_at(at, "expected a number")),
            }
        } else {
            self.blanks();
            at = self.at;
            self.number()?
        };
        whole(text).ok_or_else(|| self.bad_at(at, "expected a whole number that fits"))
    }

    fn fits<T: TryFrom<i128>>(&mut self) -> Result<T, Bad> {
        self.blanks();
        let at = self.at;
        let n = self.integer()?;
        T::try_from(n).map_err(|_| self.bad_at(at, "a number out of range"))
    }

    pub fn int32(&mut self) -> Result<i32, Bad> {
        self.fits()
    }

    pub fn uint32(&mut self) -> Result<u32, Bad> {
        self.fits()
    }

    pub fn int64(&mut self) -> Result<i64, Bad> {
        self.fits()
    }

    pub fn uint64(&mut self) -> Result<u64, Bad> {
        self.fits()
    }

    pub fn double(&mut self) -> Result<f64, Bad> {
        let (at, quoted);
        let text = if self.token() == Some(b'"') {
            at = self.at;
            quoted = self.str()?;
            match &*quoted {
                "NaN" => return Ok(f64::NAN),
                "Infinity" => return Ok(f64::INFINITY),
                "-Infinity" => return Ok(f64::NEG_INFINITY),
                s if number_length(s.as_bytes()) == Some(s.len()) => s,
                _ => return Err(self.bad_at(at, "expected a number")),
            }
        } else {
            self.blanks();
            at = self.at;
            self.number()?
        };
        text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(|| self.bad_at(at, "a number out of range"))
    }
}

/// The character of `XXXX` or `XXXX\uXXXX`, and how many bytes that took. `None` for a lone surrogate.
fn unicode(after_u: &[u8]) -> Option<(char, usize)> {
    let hex = |from: usize| {
        let digits = after_u.get(from..from + 4)?;
        digits.iter().try_fold(0u32, |n, d| Some(n * 16 + char::from(*d).to_digit(16)?))
    };
    let high = hex(0)?;
    if !(0xd800..0xe000).contains(&high) {
        return Some((char::from_u32(high)?, 4));
    }
    if after_u.get(4..6)? != b"\\u" {
        return None;
    }
    let low = hex(6)?;
    if high >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 10))
}

/// How many bytes at the beginning are a JSON number.
fn number_length(b: &[u8]) -> Option<usize> {
    let digits = |from: usize| b.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    let mut at = usize::from(b.first() == Some(&b'-'));
    match b.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at += digits(at),
        _ => return None,
    }
    if b.get(at) == Some(&b'.') {
        let n = digits(at + 1);
        if n == 0 {
            return None;
        }
        at += 1 + n;
    }
    if let Some(b'e' | b'E') = b.get(at) {
        let sign = usize::from(matches!(b.get(at + 1), Some(b'+' | b'-')));
        let n = digits(at + 1 + sign);
        if n == 0 {
            return None;
        }
        at += 1 + sign + n;
    }
    Some(at)
}

/// The value of a JSON number if it is whole and has at most 20 digits.
fn whole(text: &str) -> Option<i128> {
    if text.len() <= 18
        && let Ok(n) = text.parse::<i64>()
    {
        return Some(i128::from(n));
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (int, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let lead = int.len() + fraction.len();
    let digits = || int.bytes().chain(fraction.bytes());
    let zeros = digits().take_while(|d| *d == b'0').count();
    if zeros == lead {
        return Some(0);
    }
    // An exponent too long for i64 is out of range either way, since the mantissa is not zero.
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(int.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok()?;
    if point <= zeros || point - zeros > 20 || digits().skip(point).any(|d| d != b'0') {
        return None;
    }
    let value =
        digits().chain(std::iter::repeat(b'0')).take(point).fold(0i128, |n, d| n.saturating_mul(10).saturating_add(i128::from(d - b'0')));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::note::Notes;

    fn read<T>(text: &str, f: impl Fn(&mut Reader<'_, '_>) -> Result<T, Bad>) -> Option<T> {
        let mut notes = Notes::default();
        let mut r = Reader::new(text.as_bytes(), &mut notes).ok()?;
        let v = f(&mut r).ok()?;
        r.end().ok().map(|()| v)
    }

    #[test]
    fn integers_in_all_their_forms() {
        let u = |s| read(s, |r| r.uint32());
        for (text, want) in [
            ("8.08e3", Some(8080)),
            ("\"8080\"", Some(8080)),
            ("3.0", Some(3)),
            ("100e-2", Some(1)),
            ("0e99999999999999999999", Some(0)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("1.5", None),
            ("-1", None),
            ("01", None),
            ("\" 1\"", None),
            ("+1", None),
            ("1e", None),
            ("1e99999999999999999999", None),
            ("0.00000000000000000000000000001e29", Some(1)),
            ("true", None),
        ] {
            assert_eq!(u(text), want, "{text}");
        }
        assert_eq!(read("-9223372036854775808", |r| r.int64()), Some(i64::MIN));
        assert_eq!(read("18446744073709551615", |r| r.uint64()), Some(u64::MAX));
        assert_eq!(read("18446744073709551616", |r| r.uint64()), None);
        assert_eq!(read("\"9007199254740993\"", |r| r.uint64()), Some(9_007_199_254_740_993));
    }

    #[test]
    fn strings_and_their_escapes() {
        let s = |t| read(t, |r| r.string());
        assert_eq!(s(r#""a\"\\\/\b\f\n\r\tß""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tß"));
        assert_eq!(s(r#""\ud83d\ude00\u00e9""#).as_deref(), Some("😀é"));
        for bad in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00\ud83d""#, r#""\x""#, r#""\u12g4""#, "\"a\nb\"", "\"a", "\"\\", "\"\\u00"] {
            assert_eq!(s(bad), None, "{bad}");
        }
    }
}
