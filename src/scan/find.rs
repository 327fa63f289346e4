//! Where in a block of lines a line worth reading may stand.
//!
//! Owns the search for the probes of a filter. Must find every line that could match; a line too many is only read for nothing.
use crate::query::bytes::{Clause, Probe, Token, harmless};
use aho_corasick::{AhoCorasick, Input};
use memchr::memmem::Finder;

/// Every line with this is read: what servers lost is booked even where the filter does not ask for it.
const LOST: &[u8] = b"\"lost";

/// The searches for the clauses of one filter.
#[derive(Debug)]
pub struct Search {
    /// What is looked for over the whole block.
    driver: Seek,
    /// What the line around must show besides.
    rest: Vec<Seek>,
    lost: Finder<'static>,
}

/// The search for one clause.
#[derive(Debug)]
struct Seek {
    one: Vec<Finder<'static>>,
    many: Vec<AhoCorasick>,
    members: Vec<(Finder<'static>, Token)>,
}

/// A line that has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub begin: usize,
    /// Of its `\n`, or the block's end.
    pub end: usize,
}

/// How far the searches have come in one block: each has found nothing before its place.
#[derive(Debug, Default)]
pub struct Places {
    driver: Next,
    escape: Next,
    lost: Next,
}

/// The next find of one search, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
enum Next {
    #[default]
    Unknown,
    At(usize),
    None,
}

impl Next {
    fn from(&mut self, at: usize, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        match *self {
            Self::None => return None,
            Self::At(n) if n >= at => return Some(n),
            Self::At(_) | Self::Unknown => {}
        }
        let found = find();
        *self = found.map_or(Self::None, Self::At);
        found
    }
}

impl Search {
    /// `None` if the clauses say nothing, or cannot be searched for.
    pub fn new(needs: &[Clause]) -> Option<Self> {
        let (driver, rest) = needs.split_first()?;
        let rest = rest.iter().map(Seek::new).collect::<Option<_>>()?;
        Some(Self { driver: Seek::new(driver)?, rest, lost: Finder::new(LOST) })
    }

    /// The next line from `at` on, where a line begins, that has to be read.
    pub fn next(&self, block: &[u8], mut at: usize, places: &mut Places) -> Option<Hit> {
        loop {
            let driver = places.driver.from(at, || self.driver.find(block, at));
            let escape = places.escape.from(at, || escape(block, at));
            let lost = places.lost.from(at, || self.lost.find(block.get(at..)?).map(|n| at + n));
            let first = [driver, escape, lost].into_iter().flatten().min()?;
            let begin = memchr::memrchr(b'\n', block.get(at..first)?).map_or(at, |n| at + n + 1);
            let end = memchr::memchr(b'\n', block.get(first..)?).map_or(block.len(), |n| first + n);
            let hit = Hit { begin, end };
            let inside = |place: Option<usize>| place.is_some_and(|n| n < end);
            if inside(escape) || inside(lost) {
                return Some(hit);
            }
            let line = block.get(begin..end)?;
            if self.rest.iter().all(|s| s.find(line, 0).is_some()) {
                return Some(hit);
            }
            at = end + 1;
            if at > block.len() {
                return None;
            }
        }
    }
}

impl Seek {
    fn new(clause: &Clause) -> Option<Self> {
        let (mut plain, mut folded, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for probe in clause {
            match probe {
                Probe::Text { bytes, fold: false } => plain.push(bytes),
                Probe::Text { bytes, fold: true } => folded.push(bytes),
                Probe::Member { keys, test } => members.extend(keys.iter().map(|k| (Finder::new(k).into_owned(), test.clone()))),
            }
        }
        let mut seek = Self { one: Vec::new(), many: Vec::new(), members };
        if plain.len() <= 2 {
            seek.one.extend(plain.iter().map(|b| Finder::new(b).into_owned()));
        } else {
            seek.many.push(AhoCorasick::new(&plain).ok()?);
        }
        if !folded.is_empty() {
            seek.many.push(AhoCorasick::builder().ascii_case_insensitive(true).build(&folded).ok()?);
        }
        Some(seek)
    }

    /// The first find at or after `at`. Text that begins with the next line cannot be part of this one, so a find never spans two.
    fn find(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut end = text.len();
        let mut best = None;
        let mut found = |n: Option<usize>, end: &mut usize| {
            if let Some(n) = n {
                best = Some(n);
                *end = n;
            }
        };
        for f in &self.one {
            found(text.get(at..end).and_then(|t| f.find(t)).map(|n| at + n), &mut end);
        }
        for f in &self.many {
            found(f.find(Input::new(text).range(at..end)).map(|m| m.start()), &mut end);
        }
        for (key, test) in &self.members {
            let mut from = at;
            while let Some(n) = text.get(from..end).and_then(|t| key.find(t)).map(|n| from + n) {
                let after = n + key.needle().len();
                if text.get(after..).is_some_and(|t| test.passes(t)) {
                    found(Some(n), &mut end);
                    break;
                }
                from = after;
            }
        }
        best
    }
}

/// The next escape that may spell a character of a probe.
fn escape(block: &[u8], at: usize) -> Option<usize> {
    let mut from = at;
    loop {
        let n = from + memchr::memchr(b'\\', block.get(from..)?)?;
        match block.get(n + 1) {
            Some(b'u') if harmless(block.get(n + 2..).unwrap_or(&[])) => from = n + 6,
            Some(b'u' | b'/') => return Some(n),
            _ => from = n + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Probe {
        Probe::Text { bytes: s.as_bytes().to_vec(), fold: false }
    }

    fn hits(needs: &[Clause], block: &str) -> Vec<String> {
        let search = Search::new(needs).unwrap();
        let (mut at, mut out, mut places) = (0, Vec::new(), Places::default());
        while let Some(h) = search.next(block.as_bytes(), at, &mut places) {
            out.push(block[h.begin..h.end].to_owned());
            at = h.end + 1;
            if at > block.len() {
                break;
            }
        }
        out
    }

    #[test]
    fn lines_that_show_every_clause() {
        let block = "ab cd\nab\ncd\n\nxab..cd\n";
        assert_eq!(hits(&[vec![text("ab")], vec![text("cd")]], block), ["ab cd", "xab..cd"]);
        assert_eq!(hits(&[vec![text("ab"), text("cd")]], block), ["ab cd", "ab", "cd", "xab..cd"]);
        assert_eq!(hits(&[vec![text("ab"), text("zz"), text("cd")]], "ab"), ["ab"]);
        assert!(hits(&[vec![text("ef")]], block).is_empty());
    }

    #[test]
    fn an_escape_that_may_spell_a_probe_is_looked_at() {
        let needs = [vec![text("zz")]];
        let block = "a\\u007a\na\\/\na\\u003c\\u2028\\n\\\"\\\\\n\\u00\n\\u00zz\n\\\\u007a\n";
        assert_eq!(hits(&needs, block), ["a\\u007a", "a\\/", "\\u00", "\\u00zz"]);
        // The second of these is an escaped backslash and nothing else; looking at it does no harm, but it need not be.
        assert_eq!(hits(&needs, "{\"lost_events\":{}}\n{\"lostEvents\":{}}\n{}\n").len(), 2);
    }

    #[test]
    fn members_by_their_value() {
        let keys = vec![b"\"p\"".to_vec(), b"\"P\"".to_vec()];
        let number = |lo, hi| vec![Probe::Member { keys: keys.clone(), test: Token::Number(vec![(lo, hi)]) }];
        for (line, is) in [
            (r#"{"p":80}"#, true),
            (r#"{"p" : 80,"x":1}"#, true),
            (r#"{"p":"80"}"#, true),
            (r#"{"p":8.0e1}"#, true),
            (r#"{"P":80}"#, true),
            (r#"{"p":81}"#, false),
            (r#"{"p":"801"}"#, false),
            (r#"{"p":8}"#, false),
            (r#"{"p":1,"P":80}"#, true),
            (r#"{"x":"p","y":80}"#, false),
            (r#"{"p":null}"#, true),
            (r#"{"p":-1}"#, true),
        ] {
            assert_eq!(!hits(&[number(80, 80)], line).is_empty(), is, "{line}");
        }
        let name = [vec![text("\"ON\""), Probe::Member { keys: vec![b"\"v\"".to_vec()], test: Token::NoString }]];
        assert_eq!(hits(&name, "{\"v\":\"ON\"}\n{\"v\":\"OFF\"}\n{\"v\": 2}\n{\"v\":\n").len(), 3);
        let on = [vec![Probe::Member { keys: vec![b"\"v\"".to_vec()], test: Token::True }]];
        assert_eq!(hits(&on, "{\"v\" : true}\n{\"v\":false}\n{\"w\":true}\n").len(), 1);
    }

    #[test]
    fn letters_in_any_case() {
        let needs = [vec![Probe::Text { bytes: b"get".to_vec(), fold: true }, text("zz")]];
        assert_eq!(hits(&needs, "Get\nput\nzz\nZZ\n"), ["Get", "zz"]);
    }
}
