//! Timestamps as proto3 JSON has them, and the calendar under them (proleptic Gregorian, UTC), which `out` uses too.
use super::read::Reader;
use super::write::Writer;
use crate::wire::note::Bad;
use prost_types::Timestamp;

/// 0001-01-01T00:00:00Z … 9999-12-31T23:59:59Z
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A second of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: u32,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub nanos: u32,
    /// 0 = Sunday.
    pub weekday: u32,
}

/// The calendar's name for a timestamp; `None` outside the years 1…9999, which protobuf does not allow.
pub fn civil(t: &Timestamp) -> Option<Civil> {
    let nanos = u32::try_from(t.nanos).ok().filter(|n| *n < 1_000_000_000)?;
    if !(FIRST..=LAST).contains(&t.seconds) {
        return None;
    }
    let (days, rest) = (t.seconds.div_euclid(86_400), t.seconds.rem_euclid(86_400));
    // Counted in 400-year eras that begin on the first of March, so that the leap day is the last of its year.
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let n = |n: i64| u32::try_from(n).unwrap_or(0);
    Some(Civil {
        year: n(year),
        month: n(month),
        day: n(doy - (153 * mp + 2) / 5 + 1),
        hour: n(rest / 3600),
        minute: n(rest / 60 % 60),
        second: n(rest % 60),
        nanos,
        weekday: n((days + 4).rem_euclid(7)),
    })
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// RFC 3339 with `Z` or an offset and at most nine digits of fraction.
pub fn parse(s: &str) -> Option<Timestamp> {
    let b = s.as_bytes();
    let number =
        |from: usize, to: usize| b.get(from..to)?.iter().try_fold(0i64, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')));
    let is = |at: usize, c: u8| (b.get(at) == Some(&c)).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (at, c) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        is(at, c)?;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (mut at, mut nanos) = (19, 0);
    if b.get(at) == Some(&b'.') {
        let digits = b.iter().skip(at + 1).take_while(|c| c.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        nanos = number(at + 1, at + 1 + digits)? * 10i64.pow(9 - u32::try_from(digits).ok()?);
        at += 1 + digits;
    }
    let offset = match b.get(at)? {
        b'Z' if b.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if b.len() == at + 6 => {
            is(at + 3, b':')?;
            let (h, m) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if h > 23 || m > 59 {
                return None;
            }
            (h * 3600 + m * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    (FIRST..=LAST).contains(&seconds).then_some(Timestamp { seconds, nanos: i32::try_from(nanos).ok()? })
}

/// `n` with leading zeros.
pub fn padded(n: u32, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut rest = n;
    for d in digits.iter_mut().rev() {
        *d = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    out.extend_from_slice(digits.get(10 - width.min(10)..).unwrap_or(&[]));
}

/// `2025-11-23T08:53:20`, without fraction and zone.
pub fn rfc3339(c: &Civil, out: &mut Vec<u8>) {
    let parts = [(b'-', c.month), (b'-', c.day), (b'T', c.hour), (b':', c.minute), (b':', c.second)];
    padded(c.year, 4, out);
    for (before, n) in parts {
        out.push(before);
        padded(n, 2, out);
    }
}

impl Reader<'_, '_> {
    pub fn timestamp(&mut self) -> Result<Timestamp, Bad> {
        self.blanks();
        let at = self.at;
        let text = self.str()?;
        parse(&text).ok_or_else(|| self.bad_at(at, format!("not a time in RFC 3339: {:?}", text.chars().take(40).collect::<String>())))
    }
}

impl Writer<'_> {
    /// `null`, which reads as unset, for a time that protobuf does not allow.
    pub fn timestamp(&mut self, t: &Timestamp) {
        let Some(c) = civil(t) else { return self.raw("null") };
        self.out.push(b'"');
        rfc3339(&c, self.out);
        if c.nanos != 0 {
            self.out.push(b'.');
            match c.nanos {
                n if n % 1_000_000 == 0 => padded(n / 1_000_000, 3, self.out),
                n if n % 1_000 == 0 => padded(n / 1_000, 6, self.out),
                n => padded(n, 9, self.out),
            }
        }
        self.raw("Z\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_agrees_with_chrono() {
        for seconds in (FIRST..LAST).step_by(86_399 * 977).chain([FIRST, LAST, 0, -1, 951_782_400]) {
            let c = civil(&Timestamp { seconds, nanos: 7 }).unwrap();
            let mut text = Vec::new();
            rfc3339(&c, &mut text);
            let text = String::from_utf8(text).unwrap();
            let theirs = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            assert_eq!(text, theirs.format("%Y-%m-%dT%H:%M:%S").to_string());
            assert_eq!(c.weekday, chrono::Datelike::weekday(&theirs).num_days_from_sunday());
            assert_eq!(parse(&format!("{text}.000000007Z")), Some(Timestamp { seconds, nanos: 7 }));
        }
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:60Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00.1234567890Z",
            "0001-01-01T00:00:00+01:00",
            "2025-01-01 00:00:00Z",
            "2025-01-01T00:00:00Zx",
            "N/A",
            "",
            "２025-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("2025-11-23T02:00:00.1234+02:00"), Some(Timestamp { seconds: 1_763_856_000, nanos: 123_400_000 }));
        assert!(civil(&Timestamp { seconds: 0, nanos: -1 }).is_none());
        assert!(civil(&Timestamp { seconds: i64::MIN, nanos: 0 }).is_none());
    }
}
