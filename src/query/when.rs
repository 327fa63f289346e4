//! Points in time as people write them: Hubble's `--since` and `--until`, and the language's `since`, `until`, `at`.
//!
//! Go's durations and layouts, by Go's rules. Must not read a clock: now is given.
use super::Context;
use crate::model::time::Nanos;
use chrono::{NaiveDate, TimeDelta};

const SECOND: i64 = Nanos::SECOND;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// The value of `--since` or `--until`: a Go duration before now, or one of Hubble's layouts.
pub fn since(text: &str, now: Nanos) -> Result<Nanos, String> {
    if let Some(d) = duration(text) {
        return Ok(now.plus(d.saturating_neg()));
    }
    layouts(text).map(|(t, _)| t).ok_or_else(|| format!("failed to convert {text} to time"))
}

/// A moment of the language and how long it lasts as `at:` means it.
pub fn moment(text: &str, ctx: &Context) -> Option<(Nanos, i64)> {
    if let Some(d) = duration(text).filter(|d| *d >= 0) {
        return Some((ctx.now.plus(-d), MINUTE));
    }
    layouts(text).or_else(|| time_of_day(text, ctx))
}

/// `13:57` or `13:57:02`: the latest such time that is not in the future.
fn time_of_day(text: &str, ctx: &Context) -> Option<(Nanos, i64)> {
    let mut s = Scan(text);
    let (h, m) = (s.number(1, 2)?, s.after(':')?.number(2, 2)?);
    let (sec, lasts) = if s.0.is_empty() { (0, MINUTE) } else { (s.after(':')?.number(2, 2)?, SECOND) };
    if !s.0.is_empty() || h > 23 || m > 59 || sec > 59 {
        return None;
    }
    let offset = i64::from(ctx.offset) * SECOND;
    let local = ctx.now.plus(offset).0;
    let midnight = local.div_euclid(DAY).saturating_mul(DAY);
    let t = midnight.saturating_add((h * 3600 + m * 60 + sec) * SECOND);
    let t = if t > local { t.saturating_sub(DAY) } else { t };
    Some((Nanos(t.saturating_sub(offset)), lasts))
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(r) => (text.starts_with('-'), r),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let (int, after) = rest.split_at(whole);
        let (frac, after) = match after.strip_prefix('.') {
            Some(a) => a.split_at(digits(a)),
            None => ("", after),
        };
        if int.is_empty() && frac.is_empty() {
            return None;
        }
        let unit_len = after.bytes().position(|b| b == b'.' || b.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_len)?;
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let int: i128 = if int.is_empty() { 0 } else { i128::from(int.parse::<u64>().ok()?) };
        let frac = frac.get(..18.min(frac.len()))?;
        let part: i128 = if frac.is_empty() { 0 } else { frac.parse::<i128>().ok()? * unit / 10i128.pow(u32::try_from(frac.len()).ok()?) };
        total += int * unit + part;
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = after;
    }
    let n = i64::try_from(total).ok()?;
    Some(if negative { -n } else { n })
}

/// The date layouts, and how long such a moment lasts.
fn layouts(text: &str) -> Option<(Nanos, i64)> {
    date_time(text).or_else(|| rfc1123z(text))
}

/// `2006-01-02`, and with `T15`, `T15:04`, `T15:04:05` and a fraction; with a time also a zone.
fn date_time(text: &str) -> Option<(Nanos, i64)> {
    let mut s = Scan(text);
    let date = (s.number(4, 4)?, s.after('-')?.number(2, 2)?, s.after('-')?.number(2, 2)?);
    if s.0.is_empty() {
        return Some((assemble(date, (0, 0, 0), 0, 0)?, DAY));
    }
    let h = s.after('T')?.number(1, 2)?;
    let (mut m, mut sec, mut nanos, mut lasts) = (0, 0, 0, 60 * MINUTE);
    if s.0.starts_with(':') {
        (m, lasts) = (s.after(':')?.number(2, 2)?, MINUTE);
        if s.0.starts_with(':') {
            (sec, lasts) = (s.after(':')?.number(2, 2)?, SECOND);
            nanos = s.fraction();
        }
    }
    let zone = s.zone(true)?;
    s.0.is_empty().then_some(())?;
    Some((assemble(date, (h, m, sec), nanos, zone)?, lasts))
}

/// `Mon, 02 Jan 2006 15:04:05 -0700`; the weekday need not fit.
fn rfc1123z(text: &str) -> Option<(Nanos, i64)> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let mut s = Scan(text);
    DAYS.contains(&s.word(3)?.as_str()).then_some(())?;
    let day = s.after(',')?.blanks()?.number(2, 2)?;
    let name = s.blanks()?.word(3)?;
    let month = MONTHS.iter().position(|m| *m == name)? + 1;
    let year = s.blanks()?.number(4, 4)?;
    let h = s.blanks()?.number(1, 2)?;
    let (m, sec) = (s.after(':')?.number(2, 2)?, s.after(':')?.number(2, 2)?);
    let nanos = s.fraction();
    let zone = s.blanks()?.zone(false)?;
    s.0.is_empty().then_some(())?;
    Some((assemble((year, i64::try_from(month).ok()?, day), (h, m, sec), nanos, zone)?, SECOND))
}

fn assemble(date: (i64, i64, i64), time: (i64, i64, i64), nanos: i64, zone: i64) -> Option<Nanos> {
    let u = |n: i64| u32::try_from(n).ok();
    let date = NaiveDate::from_ymd_opt(i32::try_from(date.0).ok()?, u(date.1)?, u(date.2)?)?;
    let at = date.and_hms_opt(u(time.0)?, u(time.1)?, u(time.2)?)?.checked_sub_signed(TimeDelta::try_seconds(zone)?)?.and_utc();
    Some(Nanos::from_parts(at.timestamp(), i32::try_from(nanos).ok()?))
}

/// What is left to read.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn after(&mut self, c: char) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(c)?;
        Some(self)
    }

    /// One blank or more.
    fn blanks(&mut self) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(' ')?.trim_start_matches(' ');
        Some(self)
    }

    fn word(&mut self, len: usize) -> Option<String> {
        let (w, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(w.to_ascii_lowercase())
    }

    fn number(&mut self, min: usize, max: usize) -> Option<i64> {
        let len = self.0.bytes().take(max).take_while(u8::is_ascii_digit).count();
        let (d, rest) = self.0.split_at_checked(len).filter(|_| len >= min)?;
        self.0 = rest;
        d.parse().ok()
    }

    /// `.123` or `,123`, in nanoseconds; digits past the ninth are dropped.
    fn fraction(&mut self) -> i64 {
        let Some(rest) = self.0.strip_prefix(['.', ',']).filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) else { return 0 };
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at(len);
        self.0 = rest;
        digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + i64::from(b - b'0'))
    }

    /// Seconds east of UTC: `Z` or `±07:00` with colon, `±0700` without.
    fn zone(&mut self, colon: bool) -> Option<i64> {
        if colon && self.0.starts_with('Z') {
            self.0 = &self.0[1..];
            return Some(0);
        }
        let sign = if self.0.starts_with('-') { -1 } else { 1 };
        self.0 = self.0.strip_prefix(['+', '-'])?;
        let h = self.number(2, 2)?;
        if colon {
            self.after(':')?;
        }
        let m = self.number(2, 2)?;
        (h <= 24 && m < 60).then_some(sign * (h * 3600 + m * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(1_763_888_400 * SECOND); // 2025-11-23T09:00:00Z

    #[test]
    fn durations() {
        for (t, want) in [
            ("3s", 3 * SECOND),
            ("1h43m", 103 * MINUTE),
            ("1.5h", 90 * MINUTE),
            ("100ms", SECOND / 10),
            ("0", 0),
            ("-1h", -60 * MINUTE),
            (".5s", SECOND / 2),
            ("1us", 1000),
        ] {
            assert_eq!(duration(t), Some(want), "{t}");
        }
        for t in ["", "1d", "1h43", "10", ".", "s", "-", "9999999999h", "1 h"] {
            assert_eq!(duration(t), None, "{t}");
        }
    }

    #[test]
    fn hubbles_layouts() {
        for (t, want) in [
            ("2025-11-23", "2025-11-23T00:00:00Z"),
            ("2025-11-23T9Z", "2025-11-23T09:00:00Z"),
            ("2025-11-23T00:30+00:30", "2025-11-23T00:00:00Z"),
            ("2025-11-23T00:30:27.5Z", "2025-11-23T00:30:27.500Z"),
            ("2025-11-23T00:30:27,5-01:00", "2025-11-23T01:30:27.500Z"),
            ("Mon, 23 Nov 2025 00:30:27 +0200", "2025-11-22T22:30:27Z"),
            ("1h", "2025-11-23T08:00:00Z"),
            ("-1h", "2025-11-23T10:00:00Z"),
        ] {
            assert_eq!(since(t, NOW).map(|n| n.to_string()).as_deref(), Ok(want), "{t}");
        }
        for t in [
            "Nov 23 00:00:00.000",
            "2025-11-23t00:00:00z",
            "2025-11-23T00:00:00",
            "2025-11-23T24:00Z",
            "2025-02-30",
            "now",
            "Sun, 23 Nov 2025 00:30:27 GMT",
        ] {
            assert_eq!(since(t, NOW), Err(format!("failed to convert {t} to time")));
        }
    }

    #[test]
    fn times_of_day_are_past() {
        let at = |t: &str, offset| moment(t, &Context { now: NOW, offset }).map(|(n, l)| (n.to_string(), l));
        assert_eq!(at("08:57", 0), Some(("2025-11-23T08:57:00Z".into(), MINUTE)));
        assert_eq!(at("13:57", 0), Some(("2025-11-22T13:57:00Z".into(), MINUTE)));
        assert_eq!(at("09:30:05", 3600), Some(("2025-11-23T08:30:05Z".into(), SECOND)));
        assert_eq!(at("25:00", 0), None);
    }
}
