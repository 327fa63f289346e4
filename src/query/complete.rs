//! What could be written at the cursor. Knows fields and fixed values; live values (pods, names, counts) are the screen's to add.
use super::ast::{Op, ends_bare};
use super::fields::{FIELDS, Name};
use crate::model::view::End;

/// Proposals for the text from `start` to the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// Where the unfinished word begins, in bytes.
    pub start: usize,
    pub kind: Kind,
    /// What to put in its place; best first. For values: the fixed ones only.
    pub items: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fields (`ns:`) and the words of the grammar.
    Fields,
    /// Values of this field, on this side.
    Values(Name, Option<End>),
    /// Inside quotes that do not belong to a field.
    Nothing,
}

/// Proposals at `cursor` (a byte position; one inside a character counts as its beginning).
pub fn complete(text: &str, cursor: usize) -> Completions {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let (start, value) = token(&text[..cursor]);
    let word = &text[start..cursor];
    let Some((name, side, value)) = value else {
        let kind = if word.starts_with('"') { Kind::Nothing } else { Kind::Fields };
        return Completions { start, kind, items: if kind == Kind::Nothing { Vec::new() } else { fields(word) } };
    };
    let typed = text[value..cursor].trim_start_matches('"').to_ascii_lowercase();
    let items = name.spec().values.iter().filter(|v| v.to_ascii_lowercase().starts_with(&typed)).map(|v| (*v).to_owned());
    Completions { start: value, kind: Kind::Values(name, side), items: items.collect() }
}

/// A value as the language reads it back.
pub fn quoted(v: &str) -> String {
    if v.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"')) {
        format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        v.to_owned()
    }
}

/// Where the last word begins, and, behind a field's operator, its field, side, and where the last value begins.
fn token(text: &str) -> (usize, Option<(Name, Option<End>, usize)>) {
    let (mut start, mut quoted, mut escaped, mut value) = (0, false, false, None);
    for (i, c) in text.char_indices() {
        let next = i + c.len_utf8();
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted || i == start || value == Some(i) => quoted = !quoted,
            _ if quoted => {}
            ',' if value.is_some() => value = Some(next),
            c if ends_bare(c) || (c == '!' && i == start) => (start, value) = (next, None),
            _ if value.is_none() => {
                let known = field(&text[start..i]).is_some();
                value = Op::ALL.iter().find(|o| known && text[i..].starts_with(o.sign())).map(|o| i + o.sign().len());
            }
            _ => {}
        }
    }
    // Right behind `!` of an unfinished `!=` there is no value yet.
    let value = value.filter(|v| *v <= text.len());
    (start, value.and_then(|v| head(&text[start..]).map(|(name, side)| (name, side, v))))
}

fn head(word: &str) -> Option<(Name, Option<End>)> {
    let len = word.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))?;
    field(&word[..len])
}

fn field(word: &str) -> Option<(Name, Option<End>)> {
    let lower = word.to_ascii_lowercase();
    match lower.split_once('.') {
        Some(("from", rest)) => Name::find(rest).filter(|n| n.spec().sided).map(|n| (n, Some(End::Source))),
        Some(("to", rest)) => Name::find(rest).filter(|n| n.spec().sided).map(|n| (n, Some(End::Destination))),
        _ => Name::find(&lower).map(|n| (n, None)),
    }
}

fn fields(typed: &str) -> Vec<String> {
    let typed = typed.to_ascii_lowercase();
    let sign = |n: Name| if matches!(n, Name::Latency) { ">" } else { ":" };
    let (prefix, rest) = ["from.", "to."].into_iter().find_map(|p| typed.strip_prefix(p).map(|r| (p, r))).unwrap_or(("", &typed));
    let specs = FIELDS.iter().filter(|s| prefix.is_empty() || s.sided);
    let mut items: Vec<String> =
        specs.filter_map(|s| s.words.iter().find(|w| w.starts_with(rest)).map(|w| format!("{prefix}{w}{}", sign(s.name)))).collect();
    if prefix.is_empty() {
        items.extend(["from.", "to.", "not ", "and ", "or "].into_iter().filter(|k| k.starts_with(&typed)).map(str::to_owned));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> (usize, Kind, Vec<String>) {
        let c = complete(text, text.len());
        (c.start, c.kind, c.items)
    }

    #[test]
    fn values_that_would_end_a_word_are_quoted() {
        assert_eq!(quoted("kube-system"), "kube-system");
        assert_eq!(quoted("a b"), "\"a b\"");
    }

    #[test]
    fn fields_and_values() {
        assert_eq!(at("ver"), (0, Kind::Fields, vec!["verdict:".into()]));
        assert_eq!(at("ns:shop ver").0, 8);
        assert_eq!(at("from.po"), (0, Kind::Fields, vec!["from.pod:".into(), "from.port:".into()]));
        assert_eq!(at("verdict:dr"), (8, Kind::Values(Name::Verdict, None), vec!["dropped".into()]));
        assert_eq!(at("verdict!=audit,fo"), (15, Kind::Values(Name::Verdict, None), vec!["forwarded".into()]));
        assert_eq!(at("(not to.ns:"), (11, Kind::Values(Name::Ns, Some(End::Destination)), vec![]));
        assert_eq!(at("!dir:in"), (5, Kind::Values(Name::Dir, None), vec!["ingress".into()]));
        assert_eq!(at("label:\"env in (pr"), (6, Kind::Values(Name::Label, None), vec![]));
        assert_eq!(at("\"some wo").1, Kind::Nothing);
        assert!(at("").2.contains(&"ns:".to_owned()));
        assert_eq!(complete("é", 1).start, 0);
    }
}
