//! Regular expressions of policies. Owns when they are compiled: whether one is good is known at once, but most are never asked, and
//! most that are asked are one word, which is compared and never compiled: a name of a host would take kilobytes.
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use std::sync::OnceLock;

/// Compiled size that one regular expression may have.
const SIZE: usize = 1 << 20;
/// Steps, in the reckoning of `steps`, below which an expression certainly has that size.
const FEW: usize = 1 << 12;

/// A regular expression, compiled when it is first asked.
#[derive(Debug, Clone)]
pub struct Lazy(Form);

#[derive(Debug, Clone)]
enum Form {
    /// It matches this text and no other.
    Word(Box<str>),
    Pattern {
        text: String,
        compiled: OnceLock<Option<Regex>>,
    },
}

impl Lazy {
    /// `None` if it is none, or too large.
    pub fn new(text: String) -> Option<Self> {
        let parsed = regex_syntax::parse(&text).ok()?;
        let few = steps(&parsed) < FEW;
        if let Some(word) = word(&parsed).filter(|_| few) {
            return Some(Self(Form::Word(word.into())));
        }
        let lazy = Self(Form::Pattern { text, compiled: OnceLock::new() });
        (few || lazy.compiled().is_some()).then_some(lazy)
    }

    pub fn is_match(&self, text: &str) -> bool {
        match &self.0 {
            Form::Word(word) => **word == *text,
            Form::Pattern { .. } => self.compiled().is_some_and(|r| r.is_match(text)),
        }
    }

    fn compiled(&self) -> Option<&Regex> {
        let Form::Pattern { text, compiled } = &self.0 else { return None };
        compiled.get_or_init(|| RegexBuilder::new(text).size_limit(SIZE).build().ok()).as_ref()
    }
}

/// The only text that it matches, from the first letter to the last.
fn word(hir: &Hir) -> Option<&str> {
    let HirKind::Concat(list) = hir.kind() else { return None };
    let [start, body, end] = list.as_slice() else { return None };
    match (start.kind(), body.kind(), end.kind()) {
        (HirKind::Look(Look::Start), HirKind::Literal(l), HirKind::Look(Look::End)) => std::str::from_utf8(&l.0).ok(),
        _ => None,
    }
}

/// How large it becomes when it is compiled, about, and never much too small.
fn steps(hir: &Hir) -> usize {
    let all = |list: &[Hir]| list.iter().map(steps).fold(1, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(l) => l.0.len(),
        HirKind::Class(Class::Unicode(c)) => c.ranges().len().saturating_mul(4),
        HirKind::Class(Class::Bytes(c)) => c.ranges().len(),
        HirKind::Repetition(r) => {
            let times = r.max.unwrap_or(r.min).max(1);
            steps(&r.sub).saturating_add(2).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Capture(c) => steps(&c.sub).saturating_add(2),
        HirKind::Concat(list) | HirKind::Alternation(list) => all(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eager(text: &str) -> bool {
        RegexBuilder::new(text).size_limit(SIZE).build().is_ok()
    }

    #[test]
    fn what_is_refused_is_refused_at_once_and_what_is_not_can_be_compiled() {
        let mut all: Vec<String> =
            ["", "(", "a{2,1}", "/api/v[0-9]+/.*", "(?i)x|y", "\\w{20}", "\\w{400}", "(a{100}){100}", "((((a{9}){9}){9}){9}){9}"]
                .map(str::to_owned)
                .to_vec();
        for n in [1, 3, 10, 100, 1_000] {
            all.extend(["a", "[^/]", ".", "\\w", "\\d", "(?:ab|cd)?", "\\pL"].map(|one| one.repeat(n)));
            all.extend(["a", "[^/]", ".", "\\w"].map(|one| format!("(?:{one}){{{n}}}")));
        }
        let mut late = 0;
        for text in all {
            let lazy = Lazy::new(text.clone());
            assert_eq!(lazy.is_some(), eager(&text), "{text:.40}");
            late += usize::from(lazy.is_some_and(|l| asked(&l) == Some(false)));
        }
        assert!(late > 20, "{late}");
    }

    /// Whether it was compiled; `None`: it never is.
    fn asked(lazy: &Lazy) -> Option<bool> {
        match &lazy.0 {
            Form::Word(_) => None,
            Form::Pattern { compiled, .. } => Some(compiled.get().is_some()),
        }
    }

    #[test]
    fn it_is_compiled_when_asked() {
        let lazy = Lazy::new("\\A(?:/v[0-9])\\z".to_owned()).unwrap();
        assert_eq!(asked(&lazy), Some(false));
        assert!(lazy.is_match("/v1") && !lazy.is_match("/v1/") && asked(&lazy) == Some(true));
    }

    #[test]
    fn a_word_is_compared_and_never_compiled_and_matches_what_the_expression_does() {
        let texts = ["", "a", "a.b", "a\\.b", "axb", "é", "(?i)a", "a|b", "a.b\n", "\n", "^a$", "(a)", "ab*", "\\x61", "a{2}"];
        let asks = ["", "a", "A", "a.b", "axb", "a.b\n", "é", "\n", "b", "ab", "aa", "a.bc", "xa.b"];
        let mut words = 0;
        for whole in texts.map(|t| format!("\\A(?:{t})\\z")).into_iter().chain(["^a$", "a", "(?m)^a$", "\\Aa", "a\\z"].map(str::to_owned)) {
            let (lazy, slow) = (Lazy::new(whole.clone()).unwrap(), Regex::new(&whole).unwrap());
            asks.iter().for_each(|a| assert_eq!(lazy.is_match(a), slow.is_match(a), "{whole} on {a:?}"));
            words += usize::from(asked(&lazy).is_none());
        }
        assert!(words >= 5, "{words}");
    }
}
