//! A small tree that is written out as YAML (block or flow) or JSON. Owns quoting and indentation; knows no kind of object.
use crate::model::doc::{Node, Value};

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// How lists stand under their key: `0` at the key's column, else further in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub list_indent: usize,
}

pub fn text(s: impl Into<String>) -> Tree {
    Tree::Str(s.into())
}

pub fn map<const N: usize>(entries: [(&str, Tree); N]) -> Tree {
    Tree::Map(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

impl From<&Node> for Tree {
    fn from(n: &Node) -> Self {
        match &n.value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Float(f) => Self::Float(*f),
            Value::Str(s) => Self::Str(s.clone()),
            Value::Seq(items) => Self::Seq(items.iter().map(Self::from).collect()),
            Value::Map(entries) => Self::Map(entries.iter().map(|e| (e.key.clone(), Self::from(&e.value))).collect()),
        }
    }
}

impl Tree {
    /// Lines of block style, without line ends; the first column is 0.
    pub fn block(&self, style: Style) -> Vec<String> {
        let mut out = Vec::new();
        self.lines(0, style, &mut out);
        out
    }

    /// A whole document.
    pub fn document(&self, style: Style) -> String {
        self.block(style).into_iter().map(|l| l + "\n").collect()
    }

    fn lines(&self, indent: usize, style: Style, out: &mut Vec<String>) {
        let pad = " ".repeat(indent);
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (k, v) in entries {
                    let key = scalar(k, false);
                    match v {
                        Self::Map(m) if !m.is_empty() => {
                            out.push(format!("{pad}{key}:"));
                            v.lines(indent + 2, style, out);
                        }
                        Self::Seq(s) if !s.is_empty() => {
                            out.push(format!("{pad}{key}:"));
                            v.lines(indent + style.list_indent, style, out);
                        }
                        _ => out.push(format!("{pad}{key}: {}", v.flow(false))),
                    }
                }
            }
            Self::Seq(items) if !items.is_empty() => {
                for item in items {
                    let first = out.len();
                    item.lines(indent + 2, style, out);
                    if let Some(line) = out.get_mut(first) {
                        *line = format!("{pad}- {}", line.trim_start());
                    }
                }
            }
            _ => out.push(format!("{pad}{}", self.flow(false))),
        }
    }

    /// On one line; `json` quotes whatever JSON wants quoted.
    pub fn flow(&self, json: bool) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => f.to_string(),
            Self::Str(s) if json => quoted(s),
            Self::Str(s) => scalar(s, true),
            Self::Seq(items) => {
                let all: Vec<String> = items.iter().map(|i| i.flow(json)).collect();
                format!("[{}]", all.join(", "))
            }
            Self::Map(entries) => {
                let key = |k: &str| if json { quoted(k) } else { scalar(k, true) };
                let all: Vec<String> = entries.iter().map(|(k, v)| format!("{}: {}", key(k), v.flow(json))).collect();
                format!("{{{}}}", all.join(", "))
            }
        }
    }
}

/// In double quotes, as JSON and YAML both read it.
fn quoted(s: &str) -> String {
    serde_json::Value::from(s).to_string()
}

/// A string as a plain scalar where every YAML reader takes it for that very string, else in quotes.
fn scalar(s: &str, flow: bool) -> String {
    // A leading digit may be the beginning of a number, a date or a sexagesimal, but none of those has a slash.
    let first =
        s.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '_' || (c.is_ascii_digit() && s.contains('/')));
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/') || (!flow && c == ':');
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let word = WORDS.iter().any(|w| s.eq_ignore_ascii_case(w));
    if first && s.chars().all(inner) && !s.ends_with(':') && !word {
        return s.to_owned();
    }
    quoted(s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let t = map([
            ("a", Tree::Seq(vec![map([("k", text("yes")), ("n", Tree::Int(5))]), text("1.5"), Tree::Seq(vec![text("x: y")])])),
            ("k8s:io.kubernetes.pod.namespace", text("kube-system")),
            ("empty", Tree::Map(Vec::new())),
            ("m", map([("deep", map([("re", text("/v1/.*\\.x")), ("q", text("a\"b\u{7}"))]))])),
        ]);
        for list_indent in [0, 2] {
            let body = t.document(Style { list_indent });
            let (docs, faults) = crate::world::yaml::read("t", &body);
            assert!(faults.is_empty(), "{faults:?}\n{body}");
            assert_eq!(Tree::from(&docs[0].root), t, "{body}");
        }
        for json in [false, true] {
            let (docs, faults) = crate::world::yaml::read("t", &t.flow(json));
            assert!(faults.is_empty(), "{faults:?}\n{}", t.flow(json));
            assert_eq!(Tree::from(&docs[0].root), t, "{}", t.flow(json));
        }
    }

    #[test]
    fn lists_stand_as_the_style_says() {
        let t = map([("from", Tree::Seq(vec![map([("a", text("b")), ("c", Tree::Seq(vec![text("d")]))])]))]);
        assert_eq!(t.block(Style { list_indent: 0 }), ["from:", "- a: b", "  c:", "  - d"]);
        assert_eq!(t.block(Style { list_indent: 2 }), ["from:", "  - a: b", "    c:", "      - d"]);
    }
}
