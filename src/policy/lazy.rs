//! Regular expressions of policies. Owns when they are compiled: whether one is good is known at once, but most are never asked.
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::sync::OnceLock;

/// Compiled size that one regular expression may have.
const SIZE: usize = 1 << 20;
/// Steps, in the reckoning of `steps`, below which an expression certainly has that size.
const FEW: usize = 1 << 12;

/// A regular expression, compiled when it is first asked.
#[derive(Debug, Clone)]
pub struct Lazy {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Lazy {
    /// `None` if it is none, or too large.
    pub fn new(text: String) -> Option<Self> {
        let parsed = regex_syntax::parse(&text).ok()?;
        let lazy = Self { text, compiled: OnceLock::new() };
        (steps(&parsed) < FEW || lazy.compiled().is_some()).then_some(lazy)
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.compiled().is_some_and(|r| r.is_match(text))
    }

    fn compiled(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| RegexBuilder::new(&self.text).size_limit(SIZE).build().ok()).as_ref()
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
            late += usize::from(lazy.is_some_and(|l| l.compiled.get().is_none()));
        }
        assert!(late > 20, "{late}");
    }

    #[test]
    fn it_is_compiled_when_asked() {
        let lazy = Lazy::new("\\A(?:/v[0-9])\\z".to_owned()).unwrap();
        assert!(lazy.compiled.get().is_none());
        assert!(lazy.is_match("/v1") && !lazy.is_match("/v1/") && lazy.compiled.get().is_some());
    }
}
