//! YAML text → documents whose every node knows its line. Owns the reading; must not know any kind of object but `List`.
//!
//! A text is cut at its `---` lines first, so that one broken document does not take the others with it. Anchors are
//! expanded under a node budget (a "billion laughs" is a fault, not a dead machine), nesting is limited, and a key that
//! stands twice is a fault that names both lines; the last one counts, as in a lenient reader.
use super::json;
use crate::model::doc::{Doc, Entry, Fault, Node, Text, Twice, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// Nodes that aliases may add beyond one per byte of the file.
const NODE_BUDGET: usize = 100_000;
/// Nesting; Kubernetes objects stay far below.
pub(super) const DEPTH: usize = 100;
/// `List` inside `List`.
const LIST_DEPTH: usize = 8;

/// All objects of a text, in order, and what could not be read.
pub fn read(file: &str, body: &str) -> (Vec<Doc>, Vec<Fault>) {
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let text = Arc::new(Text { file: file.to_owned(), body: body.to_owned() });
    let (mut docs, mut faults) = (Vec::new(), Vec::new());
    if body.trim_start().starts_with(['{', '[']) {
        // JSON proper: tabs, `\/` and surrogate pairs are things a YAML reader stumbles over.
        let mut twice = Vec::new();
        if let Ok(nodes) = json::read(body, &mut twice) {
            faults.extend(twice.iter().map(|t| said_twice(file, t)));
            nodes.into_iter().for_each(|n| push(&text, n, &twice, &mut docs, &mut faults, 0));
            return (docs, faults);
        }
    }
    let mut budget = NODE_BUDGET.saturating_add(body.len());
    for (first, part) in documents(body) {
        let mut out = Vec::new();
        let mut tree = Tree { offset: first, budget: &mut budget, twice: Vec::new(), anchors: HashMap::new() };
        let read = tree.document(part, &mut out);
        let twice = tree.twice;
        faults.extend(twice.iter().map(|t| said_twice(file, t)));
        if let Err((line, what)) = read {
            faults.push(Fault { file: file.to_owned(), line, what });
        }
        // What stood whole before the error is still good.
        out.into_iter().for_each(|n| push(&text, n, &twice, &mut docs, &mut faults, 0));
    }
    (docs, faults)
}

fn said_twice(file: &str, t: &Twice) -> Fault {
    let what = format!("key `{}` stands twice, on lines {} and {}; the last one counts", t.key, t.lines.0, t.lines.1);
    Fault { file: file.to_owned(), line: t.lines.1, what }
}

/// Whether a fault only tells of a key that stands twice: the document was read all the same.
pub fn is_repetition(fault: &Fault) -> bool {
    fault.what.starts_with("key `") && fault.what.ends_with("; the last one counts")
}

/// A `List` is its items; a top-level sequence likewise.
fn push(text: &Arc<Text>, node: Node, twice: &[Twice], docs: &mut Vec<Doc>, faults: &mut Vec<Fault>, depth: usize) {
    let fault = |line, what: &str| Fault { file: text.file.clone(), line, what: what.to_owned() };
    match node.value {
        Value::Null => {}
        _ if depth > LIST_DEPTH => faults.push(fault(node.line, "lists are nested too deeply")),
        Value::Seq(items) => items.into_iter().for_each(|n| push(text, n, twice, docs, faults, depth + 1)),
        Value::Map(ref entries) => {
            let kind = node.get("kind").and_then(Node::str).unwrap_or("");
            let list =
                kind.ends_with("List") && entries.iter().any(|e| e.key == "items" && matches!(e.value.value, Value::Seq(_) | Value::Null));
            if !list {
                let own = twice.iter().filter(|t| (node.line..=node.last).contains(&t.lines.1)).cloned().collect();
                docs.push(Doc { text: text.clone(), root: node, twice: own, live: None });
                return;
            }
            // Items of a typed list may leave out what the list says for all of them.
            let item_kind = (kind != "List").then(|| kind.trim_end_matches("List").to_owned());
            let version = node.get("apiVersion").cloned();
            let Value::Map(entries) = node.value else { return };
            for e in entries.into_iter().filter(|e| e.key == "items") {
                let Value::Seq(items) = e.value.value else { continue };
                for mut item in items {
                    if let (Some(k), Value::Map(fields)) = (&item_kind, &mut item.value) {
                        if !fields.iter().any(|f| f.key == "kind") {
                            let value = Node { value: Value::Str(k.clone()), line: item.line, column: item.column, last: item.line };
                            fields.push(Entry { key: "kind".into(), line: item.line, value });
                        }
                        if let (Some(v), false) = (&version, fields.iter().any(|f| f.key == "apiVersion")) {
                            fields.push(Entry { key: "apiVersion".into(), line: item.line, value: v.clone() });
                        }
                    }
                    push(text, item, twice, docs, faults, depth + 1);
                }
            }
        }
        _ => faults.push(fault(node.line, "this document is not an object")),
    }
}

/// The documents of a text with the number of lines before each. `---` at the beginning of a line ends a document
/// wherever it stands, even inside a quoted string.
fn documents(body: &str) -> Vec<(u32, &str)> {
    let mut out = Vec::new();
    let (mut start, mut first, mut at, mut line) = (0, 0, 0, 0u32);
    for l in body.split_inclusive('\n') {
        let marker = l.strip_prefix("---").is_some_and(|r| r.is_empty() || r.starts_with([' ', '\t', '\r', '\n']));
        if marker && at > start {
            out.push((first, &body[start..at]));
            (start, first) = (at, line);
        }
        at += l.len();
        line = line.saturating_add(1);
    }
    out.push((first, &body[start..]));
    // A part of comments and directives only is no document.
    out.retain(|(_, p)| p.lines().any(|l| !matches!(l.trim_start().as_bytes().first(), None | Some(b'#' | b'%'))));
    out
}

enum Open {
    Seq { items: Vec<Node>, at: (u32, u32), anchor: usize, nodes: usize },
    Map { entries: Vec<Entry>, key: Option<(String, u32, bool)>, at: (u32, u32), anchor: usize, nodes: usize },
}

/// What an anchor names: the node, its size and its depth.
struct Remembered {
    node: Node,
    nodes: usize,
    depth: usize,
}

fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Seq(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|e| depth(&e.value)).max(),
        _ => return 0,
    };
    below.unwrap_or(0) + 1
}

struct Tree<'a> {
    offset: u32,
    budget: &'a mut usize,
    twice: Vec<Twice>,
    anchors: HashMap<usize, Remembered>,
}

impl Tree<'_> {
    fn line(&self, n: usize) -> u32 {
        u32::try_from(n).unwrap_or(u32::MAX).saturating_add(self.offset)
    }

    fn start(&self, span: &Span) -> (u32, u32) {
        (self.line(span.start.line()), u32::try_from(span.start.col()).unwrap_or(u32::MAX).saturating_add(1))
    }

    fn spend(&mut self, nodes: usize, line: u32) -> Result<(), (u32, String)> {
        match self.budget.checked_sub(nodes) {
            Some(left) => {
                *self.budget = left;
                Ok(())
            }
            None => Err((line, "the document grows too large when its aliases are expanded".to_owned())),
        }
    }

    fn document(&mut self, part: &str, out: &mut Vec<Node>) -> Result<(), (u32, String)> {
        let mut parser = Parser::new_from_str(part);
        let mut stack: Vec<Open> = Vec::new();
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|e| (self.line(e.marker().line()), format!("not readable as YAML: {}", e.info())))?;
            let at = self.start(&span);
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
                Event::DocumentEnd => self.anchors.clear(),
                Event::StreamEnd => break,
                Event::SequenceStart(anchor, _) => stack.push(Open::Seq { items: Vec::new(), at, anchor, nodes: 1 }),
                Event::MappingStart(anchor, _) => stack.push(Open::Map { entries: Vec::new(), key: None, at, anchor, nodes: 1 }),
                Event::Scalar(text, style, anchor, tag) => {
                    let last = self.last(&span, at.0);
                    let is_str = tag.as_ref().is_some_and(|t| t.suffix == "str");
                    let plain = style == ScalarStyle::Plain && !is_str;
                    if let Some(Open::Map { key: key @ None, .. }) = stack.last_mut() {
                        *key = Some((text.into_owned(), at.0, plain));
                        self.spend(1, at.0)?;
                        continue;
                    }
                    let value = if plain { resolve(&text) } else { Value::Str(text.into_owned()) };
                    let node = Node { value, line: at.0, column: at.1, last };
                    self.close(node, anchor, 1, &mut stack, out)?;
                }
                Event::Alias(id) => {
                    let Some(known) = self.anchors.get(&id) else {
                        return Err((at.0, "an alias stands inside the very node it names, or names nothing".to_owned()));
                    };
                    let nodes = known.nodes;
                    if stack.len() + known.depth > DEPTH {
                        return Err((at.0, format!("nested more than {DEPTH} deep")));
                    }
                    let node = known.node.clone();
                    self.spend(nodes, at.0)?;
                    if let Some(Open::Map { key: key @ None, .. }) = stack.last_mut() {
                        let Value::Str(s) = node.value else { return Err((at.0, "a key is not a string".to_owned())) };
                        *key = Some((s, at.0, false));
                        continue;
                    }
                    self.close(node, 0, nodes, &mut stack, out)?;
                }
                Event::SequenceEnd => {
                    if let Some(Open::Seq { items, at, anchor, nodes }) = stack.pop() {
                        let last = items.last().map_or(at.0, |n| n.last).max(at.0);
                        self.close(Node { value: Value::Seq(items), line: at.0, column: at.1, last }, anchor, nodes, &mut stack, out)?;
                    }
                }
                Event::MappingEnd => {
                    if let Some(Open::Map { entries, at, anchor, nodes, .. }) = stack.pop() {
                        let entries = self.settle(entries)?;
                        let last = entries.iter().map(|e| e.value.last.max(e.line)).max().unwrap_or(at.0).max(at.0);
                        self.close(Node { value: Value::Map(entries), line: at.0, column: at.1, last }, anchor, nodes, &mut stack, out)?;
                    }
                }
            }
            if stack.len() > DEPTH {
                return Err((at.0, format!("nested more than {DEPTH} deep")));
            }
        }
        Ok(())
    }

    /// The last line of a scalar: a block scalar's span ends at the beginning of the line after it.
    fn last(&self, span: &Span, first: u32) -> u32 {
        let end = self.line(span.end.line());
        let end = if span.end.col() == 0 { end.saturating_sub(1) } else { end };
        end.max(first)
    }

    /// Puts a finished node where it belongs. A node is paid for when it is made, and all of it again when it is remembered or repeated.
    fn close(&mut self, node: Node, anchor: usize, nodes: usize, stack: &mut [Open], out: &mut Vec<Node>) -> Result<(), (u32, String)> {
        self.spend(1, node.line)?;
        if anchor > 0 {
            self.spend(nodes, node.line)?;
            self.anchors.insert(anchor, Remembered { node: node.clone(), nodes, depth: depth(&node) });
        }
        match stack.last_mut() {
            None => out.push(node),
            Some(Open::Seq { items, nodes: n, .. }) => {
                *n = n.saturating_add(nodes);
                items.push(node);
            }
            Some(Open::Map { entries, key, nodes: n, .. }) => match key.take() {
                Some((k, line, plain)) => {
                    *n = n.saturating_add(nodes).saturating_add(1);
                    // A merge key keeps its plainness in its name until the map is settled.
                    let key = if plain && k == "<<" { MERGE.to_owned() } else { k };
                    entries.push(Entry { key, line, value: node });
                }
                None => return Err((node.line, "a key is not a string".to_owned())),
            },
        }
        Ok(())
    }

    /// Duplicate keys and merge keys of a finished map.
    fn settle(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, (u32, String)> {
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        let mut kept: Vec<Option<Entry>> = Vec::with_capacity(entries.len());
        let mut merges = Vec::new();
        for e in entries {
            if e.key == MERGE {
                merges.push(e);
                continue;
            }
            if let Some(i) = seen.insert(e.key.clone(), kept.len())
                && let Some(old) = kept.get_mut(i).and_then(Option::take)
            {
                self.twice.push(Twice { key: e.key.clone(), lines: (old.line, e.line) });
            }
            kept.push(Some(e));
        }
        let mut kept: Vec<Entry> = kept.into_iter().flatten().collect();
        for m in merges {
            let sources = match m.value.value {
                Value::Seq(s) => s,
                _ => vec![m.value],
            };
            for s in sources {
                let Value::Map(more) = s.value else { return Err((m.line, "`<<` wants a map".to_owned())) };
                for e in more {
                    if !seen.contains_key(&e.key) {
                        self.spend(1, m.line)?;
                        seen.insert(e.key.clone(), kept.len());
                        kept.push(e);
                    }
                }
            }
        }
        Ok(kept)
    }
}

/// Stands for a plain `<<` while a map is being read; no document can spell it.
const MERGE: &str = "\u{0}<<";

/// What a plain scalar means to Kubernetes' reader: `yes`, `no`, `on`, `off` are booleans, a bare `y` or `n` is not.
fn resolve(s: &str) -> Value {
    match s {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    if !s.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::Str(s.to_owned());
    }
    let plain = s.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(d) => (-1, d),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let number = |d: &str, radix| i64::from_str_radix(d, radix).ok().filter(|_| !d.starts_with(['+', '-']));
    let int = if let Some(h) = digits.strip_prefix("0x") {
        number(h, 16)
    } else if let Some(b) = digits.strip_prefix("0b") {
        number(b, 2)
    } else if let Some(o) = digits.strip_prefix("0o") {
        number(o, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        number(digits, 8)
    } else {
        number(digits, 10)
    };
    if let Some(i) = int {
        return Value::Int(i.saturating_mul(sign));
    }
    let float = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|b| b.is_ascii_digit());
    match plain.parse::<f64>() {
        Ok(f) if float => Value::Float(f),
        _ => Value::Str(s.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> (Doc, Vec<Fault>) {
        let (mut d, f) = read("f.yaml", body);
        assert_eq!(d.len(), 1, "{f:?}");
        (d.remove(0), f)
    }

    #[test]
    fn lines_survive_several_documents_and_comments() {
        let (docs, faults) = read("f.yaml", "# head\n---\nkind: A\nmetadata:\n  name: x\n---\n# c\nkind: B\nspec: {a: 1,\n  b: 2}\n");
        assert!(faults.is_empty());
        assert_eq!(docs.iter().map(Doc::kind).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(docs[0].root.at(&["metadata", "name"]).map(|n| (n.line, n.column)), Some((5, 9)));
        assert_eq!(docs[1].root.get("spec").map(|n| (n.line, n.last)), Some((9, 10)));
    }

    #[test]
    fn a_broken_document_does_not_take_the_others() {
        let (docs, faults) = read("f.yaml", "kind: A\n---\nkind: [B\n---\nkind: C\n");
        assert_eq!(docs.iter().map(Doc::kind).collect::<Vec<_>>(), ["A", "C"]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].line >= 3, "{}", faults[0]);
    }

    #[test]
    fn a_list_is_its_items() {
        let (docs, _) =
            read("f.yaml", "kind: List\nitems:\n- kind: A\n- kind: PodList\n  apiVersion: v1\n  items:\n  - metadata: {name: p}\n");
        assert_eq!(docs.iter().map(|d| (d.kind(), d.api_version())).collect::<Vec<_>>(), [("A", ""), ("Pod", "v1")]);
    }

    #[test]
    fn a_key_that_stands_twice_names_both_lines() {
        let (d, f) = one("kind: A\nspec: 1\nx: 0\nspec: 2\n");
        assert_eq!(d.root.get("spec").map(|n| &n.value), Some(&Value::Int(2)));
        assert_eq!(f[0].to_string(), "f.yaml:4: key `spec` stands twice, on lines 2 and 4; the last one counts");
        assert!(is_repetition(&f[0]));
    }

    #[test]
    fn billion_laughs_is_a_fault() {
        let mut s = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let r = format!("*a{}", i - 1);
            s.push_str(&format!("a{i}: &a{i} [{}]\n", vec![r; 9].join(",")));
        }
        let (docs, faults) = read("f.yaml", &s);
        assert!(docs.is_empty());
        assert!(faults[0].what.contains("too large"), "{}", faults[0]);
    }

    #[test]
    fn depth_is_limited() {
        for open in ["[", "- ", "{a: "] {
            let (docs, faults) = read("f.yaml", &open.repeat(100_000));
            assert!(docs.is_empty() && !faults.is_empty());
        }
    }

    #[test]
    fn scalars_as_kubernetes_reads_them() {
        let (d, _) = one(
            "a: y\nb: yes\nc: \"yes\"\nd: 8080\ne: 0x10\nf: 1.5\ng: ~\nh: 1.2.3.4\ni: 2026-01-01\nj: !!str 5\nk: 10.0.0.0/8\nl: |\n  t\nm: -1\nn: 1e3x\n",
        );
        let v = |k| d.root.get(k).map(|n| n.value.clone());
        let s = |x: &str| Some(Value::Str(x.to_owned()));
        assert_eq!((v("a"), v("b"), v("c")), (s("y"), Some(Value::Bool(true)), s("yes")));
        assert_eq!(
            (v("d"), v("e"), v("f"), v("g")),
            (Some(Value::Int(8080)), Some(Value::Int(16)), Some(Value::Float(1.5)), Some(Value::Null))
        );
        assert_eq!((v("h"), v("i"), v("j"), v("k")), (s("1.2.3.4"), s("2026-01-01"), s("5"), s("10.0.0.0/8")));
        assert_eq!((v("l"), v("m"), v("n")), (s("t\n"), Some(Value::Int(-1)), s("1e3x")));
    }

    #[test]
    fn aliases_and_merge_keys() {
        let (d, f) = one("base: &b {app: x, tier: y}\nuse:\n  <<: *b\n  tier: z\nagain: *b\n");
        assert!(f.is_empty(), "{f:?}");
        assert_eq!(d.root.at(&["use", "app"]).and_then(Node::str), Some("x"));
        assert_eq!(d.root.at(&["use", "tier"]).and_then(Node::str), Some("z"));
        assert_eq!(d.root.at(&["again", "tier"]).and_then(Node::str), Some("y"));
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark() {
        let (docs, faults) = read("f.yaml", "\u{feff}kind: A\r\n---\r\nkind: B\r\nspec: |\r\n  x\r\n");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(docs.iter().map(|d| (d.kind(), d.root.line)).collect::<Vec<_>>(), [("A", 1), ("B", 3)]);
    }

    #[test]
    fn an_alias_cannot_nest_deeper_than_a_document_may() {
        let mut s = format!("a0: &a0 {}{}\n", "[".repeat(60), "]".repeat(60));
        for i in 1..40 {
            s.push_str(&format!("a{i}: &a{i} {}*a{}{}\n", "[".repeat(60), i - 1, "]".repeat(60)));
        }
        let (_, faults) = read("f.yaml", &s);
        assert!(faults[0].what.contains("deep"), "{}", faults[0]);
    }

    proptest::proptest! {
        /// Whatever the bytes, there is an answer, and every fault has a line.
        #[test]
        fn any_text_has_an_answer(s in "([-?:,{}\\[\\]&*!|>'\"%@`#a0 \t\n\r~.<]|---\n|kind: List\n|items:\n|: |- |&a |\\*a |<<: ){0,60}") {
            let (docs, faults) = read("f", &s);
            proptest::prop_assert!(faults.iter().all(|f| f.line > 0));
            proptest::prop_assert!(docs.iter().all(|d| d.root.line > 0 && d.root.last >= d.root.line));
        }
    }

    #[test]
    fn json_with_tabs_keeps_lines() {
        let (d, f) = one("{\n\t\"kind\": \"A\",\n\t\"spec\": {\n\t\t\"p\": \"a\\/b\\ud83d\\ude00\"\n\t}\n}\n");
        assert!(f.is_empty());
        assert_eq!(d.root.at(&["spec", "p"]).map(|n| (n.line, n.str().map(str::len))), Some((4, Some(7))));
    }
}
