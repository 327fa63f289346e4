//! Text on its way to a terminal: `clean` takes every string that comes from data; cutting, padding and numbers for people.
//!
//! Nothing from the network reaches the screen but through here; which characters act is `model::text`'s rule. Knows no style.
use crate::model::text::{HIDDEN, acts};
use crate::model::time::Nanos;
pub use crate::model::words::{count, many};
use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// No string on a screen is longer than this, whatever the network says.
const LONGEST: usize = 4096;

fn hidden(c: char) -> bool {
    // Besides what acts: what takes no column of its own (combining marks) would sit on a neighbour's cell.
    acts(c) || !matches!(c.width(), Some(1 | 2))
}

fn safe(c: char) -> char {
    if hidden(c) { HIDDEN } else { c }
}

/// `s` without control, bidi and zero-width characters, each shown as U+FFFD, and of bounded length.
pub fn clean(s: &str) -> Cow<'_, str> {
    if s.len() <= LONGEST && s.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(s);
    }
    Cow::Owned(s.chars().take(LONGEST).map(safe).collect())
}

/// Columns that a cleaned string takes.
pub fn width(s: &str) -> usize {
    s.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cleans `s` and cuts it in the middle to `max` columns, the cut shown as `gap`. Never looks at more of `s` than it prints.
pub fn clip(s: &str, max: usize, gap: &str) -> String {
    let mut head = String::new();
    let mut used = 0;
    let mut fits = true;
    for c in s.chars().map(safe) {
        let w = c.width().unwrap_or(0);
        if used + w > max {
            fits = false;
            break;
        }
        head.push(c);
        used += w;
    }
    if fits {
        return head;
    }
    let room = max.saturating_sub(width(gap));
    if room < 2 {
        return head;
    }
    let (front, back) = (room.div_ceil(2), room / 2);
    let mut out = String::new();
    take(head.chars(), front, |c| out.push(c));
    out.push_str(gap);
    let mut tail = Vec::new();
    take(s.chars().rev().map(safe), back, |c| tail.push(c));
    out.extend(tail.into_iter().rev());
    out
}

fn take(chars: impl Iterator<Item = char>, room: usize, mut keep: impl FnMut(char)) {
    let mut used = 0;
    for c in chars {
        let w = c.width().unwrap_or(0);
        if used + w > room {
            return;
        }
        keep(c);
        used += w;
    }
}

/// Breaks `s` (cleaned) at blanks into lines of at most `max` columns; a longer word is cut hard.
pub fn wrap(s: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let s = clean(s);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in s.split(' ').filter(|w| !w.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > max {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if width(&line) + c.width().unwrap_or(0) > max && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The begin of a text, and a sign where that is not all of it.
pub fn begin(text: &str, room: usize, gap: &str) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = width(gap);
    let fits = |c: &char| {
        used += width(c.encode_utf8(&mut [0; 4]));
        used <= room
    };
    let head: String = text.chars().take_while(fits).collect();
    format!("{}{gap}", head.trim_end())
}

/// `98k`, `1.2k`, `4.8M`: at most four columns.
pub fn short(n: u64) -> String {
    // Rounded to what is shown; what rounds up to the next unit is shown in that.
    let in_units = |unit: u64| {
        let tenths = (n + unit / 20) / (unit / 10);
        if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { ((n + unit / 2) / unit).to_string() }
    };
    match n {
        0..1_000 => n.to_string(),
        1_000..999_500 => in_units(1_000) + "k",
        999_500..999_500_000 => in_units(1_000_000) + "M",
        _ => format!("{}G", n.saturating_add(500_000_000) / 1_000_000_000),
    }
}

/// A span of time in its largest unit: `340 ms`, `12 s`, `5 min`, `3 h`, `2 d`.
pub fn span(nanos: i64) -> String {
    let n = nanos.max(0);
    let s = n / Nanos::SECOND;
    match s {
        0 => format!("{} ms", n / 1_000_000),
        1..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hostile_survives() {
        let evil = "a\x1b[31m\u{202e}b\u{200b}\u{7}\u{9b}\u{2066}\u{feff}\u{e0041}\n\rz\u{301}";
        for s in [clean(evil).into_owned(), clip(evil, 100, "…"), wrap(evil, 9).concat()] {
            assert!(s.chars().all(|c| !hidden(c)), "{s:?}");
            assert!(s.starts_with('a'));
        }
        assert!(clean(&"x".repeat(1_000_000)).len() <= LONGEST);
    }

    #[test]
    fn long_names_are_cut_in_the_middle() {
        assert_eq!(clip("checkout-api-7f9c-x7k2p", 12, "…"), "checko…x7k2p");
        assert_eq!(clip("short", 12, "…"), "short");
        assert_eq!(clip("漢字漢字漢字", 5, "…"), "漢…字");
        for max in 0..30 {
            assert!(width(&clip("a漢字b\u{1b}cdef漢字ghijk", max, "…")) <= max, "{max}");
        }
    }

    #[test]
    fn lines_fit() {
        assert_eq!(wrap("no rule allows port 5433", 10), ["no rule", "allows", "port 5433"]);
        assert_eq!(wrap("aaaaaaaaaaaa b", 5), ["aaaaa", "aaaaa", "aa b"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([short(999), short(1_234), short(98_120), short(4_812_003)], ["999", "1.2k", "98k", "4.8M"]);
        assert_eq!([short(1_275), short(9_960), short(98_700), short(999_600)], ["1.3k", "10k", "99k", "1.0M"], "rounded, not cut");
        assert_eq!([span(340_000_000), span(12 * Nanos::SECOND), span(300 * Nanos::SECOND)], ["340 ms", "12 s", "5 min"]);
    }
}
