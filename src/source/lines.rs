//! Lines of any reader, with a bound on memory.
//!
//! Owns the cutting of bytes into lines. Must not look into a line: blank lines and nonsense are passed on, so that the
//! decoder can count them.
use crate::model::line::{BREAKS_OFF, LONGEST, MARK, too_long};
use bytes::{Bytes, BytesMut};
use std::io::{self, Read};

/// How much of a line that cannot be handed over is kept, to show a person.
pub const SAMPLE: usize = 200;
/// Bytes asked for at once. Lines share these chunks, so holding one line holds its chunk.
const CHUNK: usize = 256 << 10;
/// A smaller rest of a chunk is not worth a read.
const LEAST: usize = 16 << 10;

/// One line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    pub bytes: Bytes,
    /// Why `bytes` is only the beginning of the line.
    pub broken: Option<String>,
}

/// A reader cut into lines. `\n` and `\r\n` end a line; the last may lack its end; a UTF-8 byte order mark at the very
/// beginning is dropped. After an error nothing more comes.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    longest: usize,
    buffer: BytesMut,
    /// How much of `buffer` holds no `\n`.
    searched: usize,
    number: u64,
    skipping: bool,
    state: State,
    failed: Option<io::Error>,
    peak: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Beginning,
    Reading,
    Ended,
}

impl<R: Read> Lines<R> {
    pub fn new(from: R) -> Self {
        Self::with_longest(from, LONGEST)
    }

    pub fn with_longest(from: R, longest: usize) -> Self {
        Self {
            from,
            longest,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            skipping: false,
            state: State::Beginning,
            failed: None,
            peak: 0,
        }
    }

    /// The next line; `Ok(None)` at the end. An error of reading comes after the lines read before it.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if self.state == State::Ended {
                return match self.failed.take() {
                    Some(e) => Err(e),
                    None => Ok(None),
                };
            }
            if self.buffer.len() > self.longest {
                return Ok(Some(self.too_long()));
            }
            self.fill();
            if self.state == State::Ended
                && let Some(line) = self.last()
            {
                return Ok(Some(line));
            }
        }
    }

    /// The next line if it needs no reading: when there is none, the next call may block, so a live reader hands on what
    /// it has first.
    pub fn buffered(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.skipping {
                    self.buffer.clear();
                    self.searched = 0;
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.number += 1;
            line.truncate(line.len() - 1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if line.len() > self.longest {
                return Some(self.broken(&line, too_long(self.longest)));
            }
            // An empty slice would hold its chunk for nothing.
            let bytes = if line.is_empty() { Bytes::new() } else { line.freeze() };
            return Some(Line { number: self.number, bytes, broken: None });
        }
    }

    /// How many lines there were so far.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The most bytes this reader has held at once.
    pub fn peak(&self) -> usize {
        self.peak
    }

    fn fill(&mut self) {
        let held = self.buffer.len();
        // What is left of a chunk is used up first: on a slow pipe each line would hold a chunk of its own otherwise.
        let spare = self.buffer.capacity() - held;
        let room = if spare >= LEAST { spare.min(CHUNK) } else { CHUNK };
        self.buffer.resize(held + room, 0);
        let read = loop {
            match self.from.read(&mut self.buffer[held..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.peak = self.peak.max(self.buffer.capacity());
        match read {
            Ok(n) if n > 0 => {
                // A reader that claims more than it was given room for is broken; do not believe it.
                self.buffer.truncate(held + n.min(room));
                self.strip_mark();
            }
            other => {
                self.buffer.truncate(held);
                self.failed = other.err();
                self.state = State::Ended;
            }
        }
    }

    /// Drops the byte order mark, once enough of the beginning is there to know.
    fn strip_mark(&mut self) {
        if self.state != State::Beginning || (self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer)) {
            return;
        }
        self.state = State::Reading;
        if self.buffer.starts_with(MARK) {
            let _ = self.buffer.split_to(MARK.len());
            self.searched = 0;
        }
    }

    /// What stands after the last line end.
    fn last(&mut self) -> Option<Line> {
        if self.buffer.is_empty() {
            return None;
        }
        self.number += 1;
        let mut rest = std::mem::take(&mut self.buffer);
        self.searched = 0;
        if rest.len() > self.longest {
            return Some(self.broken(&rest, too_long(self.longest)));
        }
        if self.failed.is_some() {
            return Some(self.broken(&rest, BREAKS_OFF.to_owned()));
        }
        if rest.last() == Some(&b'\r') {
            rest.truncate(rest.len() - 1);
        }
        Some(Line { number: self.number, bytes: rest.freeze(), broken: None })
    }

    fn too_long(&mut self) -> Line {
        self.number += 1;
        self.skipping = true;
        self.searched = 0;
        let start = std::mem::take(&mut self.buffer);
        self.broken(&start, too_long(self.longest))
    }

    fn broken(&self, start: &[u8], why: String) -> Line {
        let bytes = Bytes::copy_from_slice(&start[..start.len().min(SAMPLE)]);
        Line { number: self.number, bytes, broken: Some(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<R: Read>(from: R, longest: usize) -> (Vec<(u64, String, bool)>, Option<io::ErrorKind>) {
        let mut lines = Lines::with_longest(from, longest);
        let mut out = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(l)) => out.push((l.number, String::from_utf8_lossy(&l.bytes).into_owned(), l.broken.is_some())),
                Ok(None) => return (out, None),
                Err(e) => {
                    assert!(matches!(lines.next_line(), Ok(None)));
                    return (out, Some(e.kind()));
                }
            }
        }
    }

    fn plain(text: &[u8]) -> Vec<String> {
        let (lines, failed) = all(text, 100);
        assert_eq!(failed, None);
        assert!(lines.iter().enumerate().all(|(i, l)| l.0 == i as u64 + 1 && !l.2));
        lines.into_iter().map(|l| l.1).collect()
    }

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(1);
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Gives its bytes, then fails.
    struct Torn<'a>(&'a [u8]);
    impl Read for Torn<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.0.read(to)
        }
    }

    #[test]
    fn line_ends() {
        assert_eq!(plain(b""), Vec::<String>::new());
        assert_eq!(plain(b"\n"), [""]);
        assert_eq!(plain(b"a"), ["a"]);
        assert_eq!(plain(b"a\nb\n"), ["a", "b"]);
        assert_eq!(plain(b"a\r\n\r\nb\r"), ["a", "", "b"]);
        assert_eq!(plain(b"\n\na"), ["", "", "a"]);
    }

    #[test]
    fn byte_order_mark_only_at_the_beginning() {
        assert_eq!(plain(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"), ["a", "\u{feff}b"]);
        assert_eq!(plain(b"\xef\xbb\xbf"), Vec::<String>::new());
        assert_eq!(all(Drip(b"\xef\xbb\xbfa\r\nb"), 100).0, [(1, "a".into(), false), (2, "b".into(), false)]);
        assert_eq!(all(&b"\xef\xbb"[..], 100).0.len(), 1);
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_more_does_not() {
        let text = format!("{}\n{}\nend", "a".repeat(1000), "b".repeat(1001));
        let (lines, _) = all(text.as_bytes(), 1000);
        assert_eq!((lines[0].1.len(), lines[0].2), (1000, false));
        assert_eq!((lines[1].1.len(), lines[1].2), (SAMPLE, true));
        assert_eq!(lines[2], (3, "end".into(), false));
        let (dripped, _) = all(Drip(text.as_bytes()), 1000);
        assert_eq!(dripped, lines);
    }

    #[test]
    fn a_long_line_is_skipped_in_constant_memory() {
        let long = io::repeat(b'x').take(50 << 20).chain(&b"\nafter\n"[..]);
        let mut lines = Lines::with_longest(long, 1 << 20);
        assert_eq!(lines.next_line().unwrap().unwrap().broken.as_deref(), Some("line longer than 1 MiB"));
        let after = lines.next_line().unwrap().unwrap();
        assert_eq!((after.number, &after.bytes[..]), (2, &b"after"[..]));
        assert!(lines.next_line().unwrap().is_none());
        assert!(lines.peak() <= 4 << 20, "{}", lines.peak());
    }

    #[test]
    fn a_read_error_comes_after_the_lines_before_it() {
        let (lines, failed) = all(Torn(b"a\nb\nhal"), 100);
        assert_eq!(lines, [(1, "a".into(), false), (2, "b".into(), false), (3, "hal".into(), true)]);
        assert_eq!(failed, Some(io::ErrorKind::UnexpectedEof));
        let (lines, failed) = all(Torn(b"a\n"), 100);
        assert_eq!((lines.len(), failed), (1, Some(io::ErrorKind::UnexpectedEof)));
    }

    #[test]
    fn what_is_buffered_needs_no_reading() {
        let mut lines = Lines::new(&b"a\nb\nc"[..]);
        assert!(lines.buffered().is_none());
        assert!(lines.next_line().unwrap().is_some());
        assert_eq!(lines.buffered().unwrap().number, 2);
        assert!(lines.buffered().is_none());
        assert_eq!(lines.next_line().unwrap().unwrap().number, 3);
    }
}
