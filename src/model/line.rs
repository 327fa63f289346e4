//! What a line of a recording may be, whoever cuts it: its length, its end, and the words for one that cannot be handed over.

/// The longest line that is handed over whole, in bytes without its end.
pub const LONGEST: usize = 64 << 20;
/// UTF-8's byte order mark; dropped at the very beginning of a file.
pub const MARK: &[u8] = b"\xef\xbb\xbf";
/// Why the last line of a file that cannot be read to its end is only a beginning.
pub const BREAKS_OFF: &str = "the file breaks off in this line";

/// Why a line is only a beginning.
pub fn too_long(longest: usize) -> String {
    if longest >= 1 << 20 { format!("line longer than {} MiB", longest >> 20) } else { format!("line longer than {longest} bytes") }
}

/// The line without the `\r` of a `\r\n`.
pub fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_ends() {
        assert_eq!((too_long(LONGEST).as_str(), too_long(100).as_str()), ("line longer than 64 MiB", "line longer than 100 bytes"));
        assert_eq!((without_return(b"a\r"), without_return(b"a"), without_return(b"\r\r")), (&b"a"[..], &b"a"[..], &b"\r"[..]));
    }
}
