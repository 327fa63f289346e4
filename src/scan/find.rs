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

/// The searches for one clause: one of them has to find something.
#[derive(Debug)]
struct Seek(Vec<One>);

#[derive(Debug)]
enum One {
    Text(Finder<'static>),
    Texts(AhoCorasick),
    Member(Finder<'static>, Token),
}

/// A line that has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub begin: usize,
    /// Of its `\n`, or the block's end.
    pub end: usize,
}

/// How far the searches have come in one block.
#[derive(Debug, Default)]
pub struct Places {
    /// One for each search of the driver: a rare text must not be looked for again from each line on in which a common one stands.
    driver: Vec<Next>,
    escape: Next,
    lost: Next,
}

/// What is known of one search: it finds nothing before this place.
#[derive(Debug, Clone, Copy, Default)]
struct Next {
    at: usize,
    /// It finds something at the place.
    found: bool,
}

impl Next {
    /// The first find in the range, looked for only where it is not known.
    fn within(&mut self, from: usize, to: usize, find: impl FnOnce(usize, usize) -> Option<usize>) -> Option<usize> {
        if !(self.found && self.at >= from) {
            let from = from.max(self.at);
            if from >= to {
                return None;
            }
            let found = find(from, to);
            *self = Self { at: found.unwrap_or(to), found: found.is_some() };
        }
        (self.found && self.at < to).then_some(self.at)
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
            let driver = self.driver.first(block, at, &mut places.driver);
            let escape = places.escape.within(at, block.len(), |from, _| escape(block, from));
            let lost = places.lost.within(at, block.len(), |from, _| self.lost.find(block.get(from..)?).map(|n| from + n));
            let first = [driver, escape, lost].into_iter().flatten().min()?;
            let begin = memchr::memrchr(b'\n', block.get(at..first)?).map_or(at, |n| at + n + 1);
            let end = memchr::memchr(b'\n', block.get(first..)?).map_or(block.len(), |n| first + n);
            let hit = Hit { begin, end };
            let inside = |place: Option<usize>| place.is_some_and(|n| n < end);
            if inside(escape) || inside(lost) {
                return Some(hit);
            }
            let line = block.get(begin..end)?;
            if self.rest.iter().all(|s| s.shown(line)) {
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
                Probe::Member { keys, test } => members.extend(keys.iter().map(|k| One::Member(Finder::new(k).into_owned(), test.clone()))),
            }
        }
        let mut all = Vec::new();
        if plain.len() <= 2 {
            all.extend(plain.iter().map(|b| One::Text(Finder::new(b).into_owned())));
        } else {
            all.push(One::Texts(AhoCorasick::new(&plain).ok()?));
        }
        if !folded.is_empty() {
            all.push(One::Texts(AhoCorasick::builder().ascii_case_insensitive(true).build(&folded).ok()?));
        }
        all.extend(members);
        Some(Self(all))
    }

    /// A place in the first line at or after `at` that shows the clause. A find that begins before that place and goes on behind
    /// it is in the same line, so no search has to look beyond what another one has found.
    fn first(&self, block: &[u8], at: usize, places: &mut Vec<Next>) -> Option<usize> {
        places.resize(self.0.len(), Next::default());
        let mut best = None;
        for (one, place) in self.0.iter().zip(places) {
            let to = best.unwrap_or(block.len());
            best = place.within(at, to, |from, to| one.find(block, from, to)).or(best);
        }
        best
    }

    fn shown(&self, line: &[u8]) -> bool {
        self.0.iter().any(|one| one.find(line, 0, line.len()).is_some())
    }
}

impl One {
    fn find(&self, text: &[u8], mut from: usize, to: usize) -> Option<usize> {
        match self {
            Self::Text(f) => f.find(text.get(from..to)?).map(|n| from + n),
            Self::Texts(f) => f.find(Input::new(text).range(from..to)).map(|m| m.start()),
            Self::Member(key, test) => loop {
                let n = from + key.find(text.get(from..to)?)?;
                from = n + key.needle().len();
                if test.passes(text.get(from..)?) {
                    return Some(n);
                }
            },
        }
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
    fn a_rare_text_beside_a_common_one_is_looked_for_once_not_once_a_line() {
        let needs = vec![text("aa"), text("bb")];
        let search = Search::new(&[needs]).unwrap();
        let block = "x bb\nbb\ny\naa bb\nbb aa\n";
        let (mut at, mut begins, mut places) = (0, Vec::new(), Places::default());
        while let Some(h) = search.next(block.as_bytes(), at, &mut places) {
            begins.push(h.begin);
            // What was searched is never searched again: each search knows its way up to this line's find.
            assert!(places.driver.iter().all(|p| p.at >= h.begin), "{places:?}");
            at = h.end + 1;
        }
        assert_eq!(begins, [0, 5, 10, 16]);
        let mut place = Next::default();
        assert_eq!(place.within(0, 10, |_, _| None), None);
        let asked = |from, to| (from == 10 && to == 30).then_some(20);
        assert_eq!(place.within(4, 30, asked), Some(20));
        assert_eq!(place.within(4, 15, |_, _| panic!("known")), None);
        assert_eq!(place.within(5, 30, |_, _| panic!("known")), Some(20));
        assert_eq!(place.within(21, 30, |from, _| Some(from)), Some(21));
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
