//! `--time-format`: the layouts Hubble offers, always in UTC.
use crate::wire::json::time::{Civil, civil, padded, rfc3339};
use prost_types::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    #[default]
    StampMilli,
    YearMonthDay,
    YearMonthDayHour,
    YearMonthDayHourMinute,
    Rfc3339,
    Rfc3339Milli,
    Rfc3339Micro,
    Rfc3339Nano,
    Rfc1123Z,
}

impl TimeFormat {
    /// In any case; as in Hubble an unknown name means the default.
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "yearmonthday" => Self::YearMonthDay,
            "yearmonthdayhour" => Self::YearMonthDayHour,
            "yearmonthdayhourminute" => Self::YearMonthDayHourMinute,
            "rfc3339" => Self::Rfc3339,
            "rfc3339milli" => Self::Rfc3339Milli,
            "rfc3339micro" => Self::Rfc3339Micro,
            "rfc3339nano" => Self::Rfc3339Nano,
            "rfc1123z" => Self::Rfc1123Z,
            _ => Self::StampMilli,
        }
    }

    /// Appends the time; `N/A` where there is none, or none that protobuf allows.
    pub fn write(self, t: Option<&Timestamp>, out: &mut Vec<u8>) {
        let Some(c) = t.and_then(civil) else { return out.extend_from_slice(b"N/A") };
        match self {
            Self::StampMilli => {
                name(&MONTHS, c.month.saturating_sub(1), out);
                out.push(b' ');
                if c.day < 10 {
                    out.push(b' ');
                }
                padded(c.day, if c.day < 10 { 1 } else { 2 }, out);
                out.push(b' ');
                clock(&c, out);
                out.push(b'.');
                padded(c.nanos / 1_000_000, 3, out);
            }
            Self::YearMonthDay => prefix(&c, 10, out),
            Self::YearMonthDayHour => {
                prefix(&c, 13, out);
                out.push(b'Z');
            }
            Self::YearMonthDayHourMinute => {
                prefix(&c, 16, out);
                out.push(b'Z');
            }
            Self::Rfc3339 => fraction(&c, 0, out),
            Self::Rfc3339Milli => fraction(&c, 3, out),
            Self::Rfc3339Micro => fraction(&c, 6, out),
            Self::Rfc3339Nano => fraction(&c, 9, out),
            Self::Rfc1123Z => {
                name(&DAYS, c.weekday, out);
                out.extend_from_slice(b", ");
                padded(c.day, 2, out);
                out.push(b' ');
                name(&MONTHS, c.month.saturating_sub(1), out);
                out.push(b' ');
                padded(c.year, 4, out);
                out.push(b' ');
                clock(&c, out);
                out.extend_from_slice(b" +0000");
            }
        }
    }
}

fn name(names: &[&str], n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(names.get(n as usize).unwrap_or(&"").as_bytes());
}

fn clock(c: &Civil, out: &mut Vec<u8>) {
    padded(c.hour, 2, out);
    out.push(b':');
    padded(c.minute, 2, out);
    out.push(b':');
    padded(c.second, 2, out);
}

fn prefix(c: &Civil, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    rfc3339(c, out);
    out.truncate(end);
}

/// At most `digits` of fraction, cut and not rounded, without trailing zeros.
fn fraction(c: &Civil, digits: usize, out: &mut Vec<u8>) {
    rfc3339(c, out);
    let dot = out.len();
    out.push(b'.');
    padded(c.nanos, 9, out);
    out.truncate(dot + 1 + digits);
    while out.len() > dot && matches!(out.last(), Some(b'0' | b'.')) {
        out.pop();
    }
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(f: &str, nanos: i32) -> String {
        let mut out = Vec::new();
        TimeFormat::from_name(f).write(Some(&Timestamp { seconds: 1_764_892_800, nanos }), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn layouts() {
        assert_eq!(at("StampMilli", 1_999_999), "Dec  5 00:00:00.001");
        assert_eq!(at("bogus", 0), "Dec  5 00:00:00.000");
        assert_eq!(at("YearMonthDay", 0), "2025-12-05");
        assert_eq!(at("YEARMONTHDAYHOUR", 0), "2025-12-05T00Z");
        assert_eq!(at("YearMonthDayHourMinute", 0), "2025-12-05T00:00Z");
        assert_eq!(at("RFC3339", 5), "2025-12-05T00:00:00Z");
        assert_eq!(at("RFC3339Milli", 100_999_999), "2025-12-05T00:00:00.1Z");
        assert_eq!(at("RFC3339Micro", 999), "2025-12-05T00:00:00Z");
        assert_eq!(at("RFC3339Nano", 999), "2025-12-05T00:00:00.000000999Z");
        assert_eq!(at("RFC1123Z", 0), "Fri, 05 Dec 2025 00:00:00 +0000");
    }

    #[test]
    fn no_time() {
        let mut out = Vec::new();
        TimeFormat::Rfc3339.write(None, &mut out);
        TimeFormat::Rfc3339.write(Some(&Timestamp { seconds: 0, nanos: 1_000_000_000 }), &mut out);
        assert_eq!(out, b"N/AN/A");
    }
}
