//! What of a string from the network may reach a person's terminal. Owns the rule; every edge that writes to one goes by it.
//!
//! How such a character is shown is the edge's business: where there is room it is spelt out ([`clean`]), where columns are
//! counted it is one [`HIDDEN`].
use std::borrow::Cow;

/// Stands for one character that acts, where it may take one column only.
pub const HIDDEN: char = '\u{fffd}';

/// Whether a terminal may act on the character, or a reader be misled by it.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || ('\u{e0000}'..='\u{e0fff}').contains(&c)
}

/// `c`, or [`HIDDEN`] in its place.
pub fn shown(c: char) -> char {
    if acts(c) { HIDDEN } else { c }
}

/// Appends `s` with every character that acts spelt out.
pub fn spelt(s: &str, out: &mut Vec<u8>) {
    if !s.chars().any(acts) {
        return out.extend_from_slice(s.as_bytes());
    }
    for c in s.chars() {
        match c {
            '\u{1b}' => out.extend_from_slice(b"^["),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if acts(c) => out.extend_from_slice(c.escape_unicode().to_string().as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `s` as a terminal may have it: control and bidi characters spelt out.
pub fn clean(s: &str) -> Cow<'_, str> {
    if !s.chars().any(acts) {
        return Cow::Borrowed(s);
    }
    let mut out = Vec::with_capacity(s.len() + 8);
    spelt(s, &mut out);
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_spelt_out() {
        assert_eq!(clean("shop/cart → db ✓"), "shop/cart → db ✓");
        assert_eq!(clean("a\u{1b}[31mb\r\n"), "a^[[31mb\\r\\n");
        assert_eq!(clean("x\u{202e}y\u{9b}"), "x\\u{202e}y\\u{9b}");
    }
}
