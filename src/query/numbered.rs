//! Causes that a filter names by their numbers, which are valid for one run only. Owns finding them in the text; what a cause is the caller
//! knows.
use super::ast::{Expr, Op};
use super::fields::Name;
use super::{Span, parse_expr};

/// An atom that names causes by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    pub at: Span,
    pub ids: Vec<u32>,
    /// Other causes than these.
    pub not: bool,
    /// It names causes by words too.
    pub mixed: bool,
}

/// The atoms of a filter that do so, in their order; none in a text that is no filter.
pub fn numbered(text: &str) -> Vec<Numbered> {
    let mut out = Vec::new();
    if let Ok(expr) = parse_expr(text) {
        collect(&expr, &mut out);
    }
    out.sort_by_key(|n| n.at.start);
    out
}

fn collect(e: &Expr, out: &mut Vec<Numbered>) {
    match e {
        Expr::And(list) | Expr::Or(list) => list.iter().for_each(|e| collect(e, out)),
        Expr::Not(e) => collect(e, out),
        Expr::Atom(a) if a.name == Name::Cause && a.op != Op::Regex => {
            let ids: Vec<u32> = a.values.iter().filter_map(|v| v.text.parse().ok()).collect();
            if !ids.is_empty() {
                let mixed = ids.len() < a.values.len();
                out.push(Numbered { at: a.at.0, ids, not: a.op == Op::Not, mixed });
            }
        }
        _ => {}
    }
}

/// The text with each of them in other words; `None` where one has none.
pub fn spelled(text: &str, words: impl Fn(u32) -> Option<String>) -> Option<String> {
    let mut out = text.to_owned();
    for n in numbered(text).iter().rev().filter(|n| text.get(n.at.start..n.at.end).is_some()) {
        let each: Vec<String> = n.ids.iter().map(|id| words(*id)).collect::<Option<_>>().filter(|_| !n.mixed)?;
        let any = match each.as_slice() {
            [one] => format!("({one})"),
            all => format!("({})", all.iter().map(|w| format!("({w})")).collect::<Vec<_>>().join(" or ")),
        };
        // A filter that is nothing but this needs no parentheses.
        let new = match (n.not, n.at.end - n.at.start == text.trim().len() && each.len() == 1) {
            (true, _) => format!("not {any}"),
            (false, true) => each.concat(),
            (false, false) => any,
        };
        out.replace_range(n.at.start..n.at.end, &new);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_by_its_number_is_no_filter_for_tomorrow() {
        for text in ["cause:4", "ns:shop (cause:12 or port:5)", "Cause:\"4\"", "not cause:7", "!cause:7", "cause!=4", "cause:deny,4"] {
            assert!(!numbered(text).is_empty(), "{text}");
        }
        for text in ["cause:egress", "because:4", "port:4", "", "cause:", "cause~4", "\"cause:4\""] {
            assert_eq!(numbered(text), [], "{text}");
        }
    }

    #[test]
    fn a_number_is_spelled_by_what_its_cause_is() {
        let words = |id: u32| (id < 9).then(|| format!("port:{id} outcome:allowed"));
        for (text, want) in [
            ("cause:4", Some("port:4 outcome:allowed")),
            ("ns:shop cause:4", Some("ns:shop (port:4 outcome:allowed)")),
            ("not cause:\"4\" ns:a", Some("not (port:4 outcome:allowed) ns:a")),
            ("cause!=4", Some("not (port:4 outcome:allowed)")),
            ("cause:4,5", Some("((port:4 outcome:allowed) or (port:5 outcome:allowed))")),
            ("cause:4 or cause:egress", Some("(port:4 outcome:allowed) or cause:egress")),
            ("ns:shop", Some("ns:shop")),
            ("cause:9", None),
            ("cause:4,deny", None),
        ] {
            let got = spelled(text, words);
            assert_eq!(got.as_deref(), want, "{text}");
            assert!(got.is_none_or(|t| numbered(&t).is_empty()), "{text}");
        }
    }
}
