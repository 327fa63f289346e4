//! Go's regular expressions (RE2) on the `regex` crate.
//!
//! The two agree on nearly everything; this file owns the rest, by rewriting the pattern: `\d \w \s \b` are ASCII in Go;
//! `\Q…\E` quotes; inside brackets `[`, `&&`, `--`, `~~` are plain; `{` that is no repetition is plain; `\<` is `<`; `(?x)`,
//! `a**` and repetitions over 1000 are errors. What stays different: `\B` looks at Unicode words, and the error texts.
use regex::{Regex, RegexBuilder};

/// Compiled size limit of one pattern.
const SIZE: usize = 1 << 20;
/// Longest pattern accepted.
const LONGEST: usize = 16 << 10;

/// Compiles a pattern with Go's meaning. The error is one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST {
        return Err(format!("pattern longer than {LONGEST} bytes"));
    }
    let ours = translate(pattern)?;
    RegexBuilder::new(&ours).size_limit(SIZE).nest_limit(200).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "expression nests or repeats too deeply".to_owned(),
        e => {
            let text = e.to_string();
            text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
        }
    })
}

fn translate(p: &str) -> Result<String, String> {
    let mut out = String::with_capacity(p.len() + 8);
    let mut rest = p;
    // Whether the last thing written is a repetition operator: another one after it is an error in Go.
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        let mut repeats = false;
        match c {
            '\\' if rest.starts_with(r"\Q") => {
                let body = &rest[2..];
                let (quoted, used) = body.find(r"\E").map_or((body, rest.len()), |i| (&body[..i], i + 4));
                out.push_str(&regex::escape(quoted));
                len = used;
            }
            '\\' => len = escape(rest, false, &mut out),
            '[' => len = class(rest, &mut out)?,
            '(' if rest.starts_with("(?") => {
                let flags = rest[2..].split([')', ':', 'P', '<']).next().unwrap_or_default();
                if flags.contains(['x', 'u', 'R']) {
                    return Err(format!("invalid or unsupported Perl syntax: `(?{flags}`"));
                }
                // The question mark belongs to the parenthesis.
                out.push_str("(?");
                len = 2;
            }
            '{' => match counted(rest) {
                Some((n, max)) if max <= 1000 => {
                    out.push_str(&rest[..n]);
                    (len, repeats) = (n, true);
                }
                Some((n, _)) => return Err(format!("invalid repeat count: `{}`", &rest[..n])),
                None => out.push_str(r"\{"),
            },
            '*' | '+' | '?' => {
                out.push(c);
                repeats = true;
            }
            c => out.push(c),
        }
        rest = rest.get(len..).unwrap_or_default();
        if repeats {
            if repeated {
                return Err("invalid nested repetition operator".into());
            }
            if let Some(r) = rest.strip_prefix('?') {
                out.push('?');
                rest = r;
            }
        }
        repeated = repeats;
    }
    Ok(out)
}

/// Length of `{n}`, `{n,}`, `{n,m}` at the start, and its greatest number.
fn counted(s: &str) -> Option<(usize, u32)> {
    let end = s.find('}')?;
    let body = &s[1..end];
    let (lo, hi) = body.split_once(',').map_or((body, None), |(a, b)| (a, Some(b)));
    let number = |t: &str| (!t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u32>().unwrap_or(u32::MAX));
    let lo = number(lo)?;
    match hi {
        None | Some("") => Some((end + 1, lo)),
        Some(hi) => number(hi).map(|hi| (end + 1, lo.max(hi))),
    }
}

/// Writes the escape at the start of `s`; how long it was.
fn escape(s: &str, in_class: bool, out: &mut String) -> usize {
    let Some(c) = s[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let set = match c {
        'd' => Some(("0-9", false)),
        'D' => Some(("0-9", true)),
        'w' => Some(("0-9A-Za-z_", false)),
        'W' => Some(("0-9A-Za-z_", true)),
        's' => Some((r"\t\n\f\r ", false)),
        'S' => Some((r"\t\n\f\r ", true)),
        _ => None,
    };
    match (set, c) {
        (Some((set, false)), _) if in_class => out.push_str(set),
        (Some((set, not)), _) => out.push_str(&format!("[{}{set}]", if not { "^" } else { "" })),
        (None, 'b') if !in_class => out.push_str(r"(?-u:\b)"),
        (None, '<' | '>') => out.push(c),
        (None, c) => {
            out.push('\\');
            out.push(c);
        }
    }
    1 + c.len_utf8()
}

/// Writes the bracket expression at the start of `s`; how long it was.
fn class(s: &str, out: &mut String) -> Result<usize, String> {
    out.push('[');
    let mut at = 1;
    if s[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    while let Some(c) = s[at..].chars().next() {
        let here = &s[at..];
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(at + 1);
            }
            '[' if here.starts_with("[:") && here[2..].contains(":]") => {
                let len = here[2..].find(":]").map_or(1, |i| i + 4);
                out.push_str(&here[..len]);
                at += len;
                first = false;
                continue;
            }
            '\\' => {
                at += escape(here, true, out);
                first = false;
                continue;
            }
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if here.starts_with("--") => out.push_str(r"\-"),
            c => out.push(c),
        }
        at += c.len_utf8();
        first = false;
    }
    Err(format!("missing closing ]: `{s}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_meaning() {
        for (p, t, want) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.]+$", "a_.9", true),
            (r"^[\D]+$", "abc", true),
            (r"\Qa.b\E$", "a.b", true),
            (r"\Qa.b\E$", "axb", false),
            (r"^[[a]$", "[", true),
            (r"^[a&&b]$", "&", true),
            (r"a{,2}", "a{,2}", true),
            (r"^a{2}$", "aa", true),
            (r"\bfoo\b", "a foo b", true),
            (r"(?i)API", "/api", true),
            (r"^(?P<n>x)$", "x", true),
            (r"[[:alpha:]]", "9", false),
            (r"^a+?b$", "aab", true),
            (r"a\<b", "a<b", true),
        ] {
            assert_eq!(compile(p).unwrap().is_match(t), want, "{p} {t}");
        }
    }

    #[test]
    fn errors_and_limits() {
        for p in ["[", "(", "a{2,1}", r"\C", "(?=x)", "*", "(?!a)b", "a**", "a{1001}", "(?x)a", r"\"] {
            assert!(compile(p).is_err(), "{p}");
        }
        assert!(compile(&"(a|b)".repeat(20_000)).is_err());
        assert!(compile("((a{1000}){1000}){1000}").is_err());
        assert!(compile(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    }
}
