//! Terminal safety: what of a string from the network may reach the reader as it is.
//!
//! Into a pipe Hubble's rule holds: ESC and CR are spelt out, and with colours on its own colour sequences pass even from the
//! data. On a terminal every control and bidi character from the network is spelt out.
use crate::model::text::acts;
pub use crate::model::text::spelt;

/// The same inside a JSON text, as JSON's own escapes: they can only stand in strings.
pub fn spelt_json(out: &mut Vec<u8>, from: usize) {
    let Some(Ok(text)) = out.get(from..).map(std::str::from_utf8) else { return };
    if !text.chars().any(acts) {
        return;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    out.truncate(from);
    out.extend_from_slice(safe.as_bytes());
}

/// Hubble's rule, applied to the finished line that begins at `from`.
pub fn hubble(out: &mut Vec<u8>, from: usize, color: bool) {
    let Some(line) = out.get(from..) else { return };
    if memchr::memchr2(0x1b, b'\r', line).is_none() {
        return;
    }
    let line = line.to_vec();
    out.truncate(from);
    let mut rest = &*line;
    while let Some(at) = memchr::memchr2(0x1b, b'\r', rest) {
        let (before, special) = rest.split_at(at);
        out.extend_from_slice(before);
        let length = if color { sequence(special) } else { 0 };
        if length > 0 {
            out.extend_from_slice(special.get(..length).unwrap_or(&[]));
        } else {
            out.extend_from_slice(if special.first() == Some(&b'\r') { b"\\r" } else { b"^[" });
        }
        rest = special.get(length.max(1)..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

/// Length of the colour sequence at the beginning, if it is one that Hubble itself uses.
fn sequence(s: &[u8]) -> usize {
    match s {
        [0x1b, b'[', b'0', b'm', ..] => 4,
        [0x1b, b'[', b'3', b'1'..=b'6', b'm', ..] => 5,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_nothing_acts() {
        let hostile: String =
            ('\0'..'\u{a0}').chain(['\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}', '\u{feff}', '\u{e0041}', 'é', '한']).collect();
        let mut out = Vec::new();
        spelt(&hostile, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(acts), "{text}");
        assert!(text.contains("^[") && text.contains("\\u{202e}") && text.ends_with("é한"));
    }

    #[test]
    fn json_stays_json() {
        let mut out = b"x".to_vec();
        out.extend_from_slice("{\"a\":\"\u{7f}\u{9b}\u{202e}\u{e0041}\"}\n".as_bytes());
        spelt_json(&mut out, 1);
        assert_eq!(String::from_utf8(out).unwrap(), "x{\"a\":\"\\u007f\\u009b\\u202e\\udb40\\udc41\"}\n");
    }

    #[test]
    fn hubbles_rule() {
        let ruled = |s: &str, color| {
            let mut out = s.as_bytes().to_vec();
            hubble(&mut out, 0, color);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(ruled("a\u{1b}[31mb\r\u{7}\n", false), "a^[[31mb\\r\u{7}\n");
        assert_eq!(ruled("a\u{1b}[31mb\u{1b}[37m\u{1b}[0m\u{1b}[2J\u{1b}", true), "a\u{1b}[31mb^[[37m\u{1b}[0m^[[2J^[");
    }
}
