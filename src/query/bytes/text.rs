//! Tests of a text → what must stand in the line.
use super::{Clause, Probe, and, or};
use crate::query::leaf::Text;
use crate::query::pattern::Glob;
use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A shorter run of bytes is in every line.
const LEAST: usize = 2;

/// Whether a probe may hold this character.
pub fn plain(c: char) -> bool {
    (' '..='~').contains(&c) && !matches!(c, '"' | '\\' | '<' | '>' | '&')
}

/// Characters in a row that must stand in the line; `None` is one that might be spelt otherwise.
type Row = Vec<Option<u8>>;

/// The longest run of a row; nothing if none is long enough.
fn longest(row: &[Option<u8>], fold: bool) -> Option<Probe> {
    let runs = row.split(Option::is_none).map(|run| run.iter().copied().flatten().collect::<Vec<u8>>());
    let bytes = runs.max_by_key(Vec::len).filter(|b| b.len() >= LEAST)?;
    let fold = fold && bytes.iter().any(u8::is_ascii_alphabetic);
    Some(Probe::Text { bytes, fold })
}

fn row(text: &str) -> impl Iterator<Item = Option<u8>> + '_ {
    text.chars().map(|c| u8::try_from(c).ok().filter(|_| plain(c)))
}

/// A text of which the string in the line is the whole, begins with it, or ends with it.
pub fn literal(text: &str, begins: bool, ends: bool, fold: bool) -> Option<Probe> {
    let quote = |is: bool| is.then_some(Some(b'"'));
    let row: Row = quote(begins).into_iter().chain(row(text)).chain(quote(ends)).collect();
    longest(&row, fold)
}

/// One clause of a probe for each, if each has one.
pub fn any<T>(list: &[T], one: impl Fn(&T) -> Option<Probe>) -> Vec<Clause> {
    let clause: Option<Clause> = list.iter().map(one).collect();
    clause.filter(|c| !c.is_empty()).into_iter().collect()
}

/// What stands in a line with a text that passes. A string of the line begins, or ends, where the text does, or the text is a part of
/// one. Whether an absent text passes too is the caller's question.
pub fn of(test: &Text, begins: bool, ends: bool) -> Vec<Clause> {
    match test {
        Text::OneOf(list) => any(list, |s| literal(s, begins, ends, false)),
        // Beyond ASCII there are letters that fold to `k` and `s`.
        Text::Fold(list) => any(list, |s| {
            let row: Row = row(s).map(|b| b.filter(|b| !matches!(b, b'k' | b'K' | b's' | b'S'))).collect();
            longest(&row, true)
        }),
        Text::Glob(list) | Text::Dns(list) => any(list, |g| glob(g, begins, ends)),
        // A cluster may stand before the node, in the same string.
        Text::Node(list) => any(list, |p| p.node().and_then(|g| glob(g, false, false))),
        Text::Regex(list) | Text::RegexSome(list) => regexes(list),
    }
}

fn glob(g: &Glob, begins: bool, ends: bool) -> Option<Probe> {
    let (parts, fold) = g.parts();
    let last = parts.len().saturating_sub(1);
    let probes = parts.iter().enumerate().filter_map(|(n, p)| literal(p, begins && n == 0, ends && n == last, fold));
    probes.max_by_key(|p| match p {
        Probe::Text { bytes, .. } => bytes.len(),
        Probe::Member { .. } => 0,
    })
}

/// What must stand in any text that one of these is found in.
pub fn regexes(list: &[Regex]) -> Vec<Clause> {
    or(list.iter().map(|r| {
        // The pattern was compiled before with the same settings; where it does not parse again, nothing is known.
        regex_syntax::ParserBuilder::new().nest_limit(200).build().parse(r.as_str()).map(|hir| of_hir(&hir)).unwrap_or_default()
    }))
}

fn of_hir(hir: &Hir) -> Vec<Clause> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => concat(std::slice::from_ref(hir)),
        HirKind::Concat(list) => concat(list),
        HirKind::Alternation(list) => or(list.iter().map(of_hir)),
        HirKind::Capture(c) => of_hir(&c.sub),
        HirKind::Repetition(r) if r.min > 0 => of_hir(&r.sub),
        HirKind::Repetition(_) | HirKind::Empty | HirKind::Look(_) => Vec::new(),
    }
}

/// Literals in a row are one; so is a letter in both its cases.
fn concat(list: &[Hir]) -> Vec<Clause> {
    let (mut all, mut run, mut fold) = (Vec::new(), Row::new(), false);
    let flush = |run: &mut Row, fold: &mut bool, all: &mut Vec<Vec<Clause>>| {
        all.extend(longest(run, *fold).map(|p| vec![vec![p]]));
        run.clear();
        *fold = false;
    };
    for hir in list {
        match hir.kind() {
            HirKind::Literal(l) => run.extend(l.0.iter().map(|b| Some(*b).filter(|b| plain(char::from(*b))))),
            HirKind::Class(c) if cases(c).is_some() => {
                run.push(cases(c));
                fold = true;
            }
            // Any other class is one of many characters.
            HirKind::Class(_) => flush(&mut run, &mut fold, &mut all),
            _ => {
                flush(&mut run, &mut fold, &mut all);
                all.push(of_hir(hir));
            }
        }
    }
    flush(&mut run, &mut fold, &mut all);
    and(all)
}

/// The letter of a class that is one ASCII letter in both cases and nothing else.
fn cases(class: &Class) -> Option<u8> {
    let Class::Unicode(c) = class else { return None };
    let mut letters = c.ranges().iter().map(|r| (r.start() == r.end()).then(|| r.start()));
    match (letters.next(), letters.next(), letters.next()) {
        (Some(Some(a)), Some(Some(b)), None) if a.is_ascii_uppercase() && a.to_ascii_lowercase() == b => u8::try_from(b).ok(),
        _ => None,
    }
}
