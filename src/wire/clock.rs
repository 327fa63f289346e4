//! The time of a line of a recording, without reading the line.
use crate::model::time::Nanos;
use memchr::memmem::{Finder, FinderRev};
use std::sync::LazyLock;

const KEY: &[u8] = b"\"time\":";
static FIRST: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));
static LAST: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(KEY));

/// The last `"time":"…"` near the line's end (the response's), else the first near its beginning (the flow's, or that of the cluster's
/// state).
pub fn time_of(line: &[u8]) -> Option<Nanos> {
    let tail = &line[line.len().saturating_sub(200)..];
    let head = &line[..line.len().min(400)];
    let at = LAST.rfind(tail).and_then(|i| value(&tail[i + KEY.len()..]));
    at.or_else(|| FIRST.find(head).and_then(|i| value(&head[i + KEY.len()..])))
}

fn value(after: &[u8]) -> Option<Nanos> {
    let text = after.trim_ascii_start().strip_prefix(b"\"")?;
    let text = &text[..memchr::memchr(b'"', text).filter(|n| *n <= 40)?];
    let text = std::str::from_utf8(text).ok()?;
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| Nanos::from_utc(t.to_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_lines() {
        let t = |s: &str| time_of(s.as_bytes()).map(|t| t.to_string());
        assert_eq!(t(r#"{"flow":{"time":"2024-01-01T00:00:00Z"},"time":"2024-01-01T00:00:01.5Z"}"#).unwrap(), "2024-01-01T00:00:01.500Z");
        assert_eq!(t(r#"{"time": "2024-01-01T01:00:00+01:00","verdict":"DROPPED"}"#).unwrap(), "2024-01-01T00:00:00Z");
        assert_eq!(t(r#"{"time":7}"#), None);
        assert_eq!(t(r#"{"time":"2024"#), None);
        assert_eq!(t(""), None);
    }
}
