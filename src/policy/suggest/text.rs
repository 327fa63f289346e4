//! Edits of a manifest's own text: an item more in a list, a key more, other or less in a map, in the style the text has.
//!
//! Owns finding the place. Whatever is not plainly laid out is left alone (`None`): then another form of the change is tried.
use crate::model::doc::{Doc, Entry, Node, Text, Value};
use crate::world::tree::{Style, Tree};

/// A text on its way to being changed.
pub struct Page<'a> {
    text: &'a Text,
    lines: Vec<&'a str>,
    json: bool,
    style: Style,
}

impl<'a> Page<'a> {
    pub fn new(doc: &'a Doc) -> Self {
        let text: &Text = &doc.text;
        let lines: Vec<&str> = text.body.split_inclusive('\n').collect();
        let json = text.body.trim_start().starts_with(['{', '[']);
        let mut page = Self { text, lines, json, style: Style::default() };
        page.style.list_indent = page.indent_of_lists(&doc.root).unwrap_or(0);
        page
    }

    /// Whether the file is indented as this node is: by the first list that stands below its key.
    fn indent_of_lists(&self, node: &Node) -> Option<usize> {
        for e in node.map() {
            if let (Value::Seq(items), Some(key)) = (&e.value.value, self.column_of_key(e.line, &e.key))
                && let Some(dash) = items.first().and_then(|i| self.dash(i))
            {
                return dash.checked_sub(key).map(|n| n.min(8));
            }
            if let Some(n) = self.indent_of_lists(&e.value) {
                return Some(n);
            }
        }
        node.seq().iter().find_map(|n| self.indent_of_lists(n))
    }

    /// Line `n`, counted from 1, with its end.
    fn line(&self, n: u32) -> Option<&'a str> {
        self.lines.get((n as usize).checked_sub(1)?).copied()
    }

    /// Columns (from 0) of a key that begins its line or follows dashes.
    fn column_of_key(&self, line: u32, key: &str) -> Option<usize> {
        let text = self.line(line)?;
        let at = text.find(|c: char| !matches!(c, ' ' | '-'))?;
        let rest = text.get(at..)?;
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
        rest.starts_with(key).then_some(at)
    }

    /// Column (from 0) of the dash of an item that begins right behind it on the same line.
    fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.line(item.line)?.get(..(item.column as usize).checked_sub(1)?)?;
        let dash = before.trim_end_matches(' ').strip_suffix('-')?.len();
        before.get(..dash)?.chars().all(|c| matches!(c, ' ' | '-')).then_some(dash)
    }

    fn eol(&self) -> &'static str {
        if self.lines.first().is_some_and(|l| l.ends_with("\r\n")) { "\r\n" } else { "\n" }
    }

    /// The text with lines put in after line `after`, which may itself be written anew.
    fn insert(&self, after: u32, anew: Option<&str>, new: &[String]) -> String {
        let eol = self.eol();
        let mut out = String::with_capacity(self.text.body.len() + 256);
        for (i, l) in self.lines.iter().enumerate() {
            if i + 1 != after as usize {
                out.push_str(l);
                continue;
            }
            out.push_str(anew.unwrap_or_else(|| l.trim_end_matches(['\r', '\n'])));
            for n in new {
                out.push_str(eol);
                out.push_str(n);
            }
            // A text without a last line end stays one.
            if l.ends_with('\n') {
                out.push_str(eol);
            }
        }
        out
    }

    /// Byte offset of a node's first character.
    fn offset(&self, node: &Node) -> Option<usize> {
        let line = (node.line as usize).checked_sub(1)?;
        let text = self.lines.get(line)?;
        let column = text.char_indices().nth((node.column as usize).checked_sub(1)?)?.0;
        Some(self.lines.iter().take(line).map(|l| l.len()).sum::<usize>() + column)
    }

    /// Puts `new` before the bracket that closes a flow list or map.
    fn insert_flow(&self, node: &Node, close: u8, empty: bool, new: &str) -> Option<String> {
        let at = self.offset(node)?;
        let end = closing(&self.text.body, at).filter(|e| self.text.body.as_bytes().get(*e) == Some(&close))?;
        let (head, tail) = (self.text.body.get(..end)?, self.text.body.get(end..)?);
        let kept = head.trim_end();
        // A comment may swallow what is put behind it.
        let last = kept.rsplit('\n').next().unwrap_or("");
        if !self.json && last.contains('#') {
            return None;
        }
        let gap = if kept.len() < head.len() && !head.get(kept.len()..)?.contains('\n') { " " } else { "" };
        let space = head.get(kept.len()..)?;
        let (comma, tail_space) = match (empty, kept.ends_with(',')) {
            (true, _) => ("", ""),
            (false, true) => (" ", if space.contains('\n') { space } else { gap }),
            (false, false) => (", ", if space.contains('\n') { space } else { gap }),
        };
        Some(format!("{kept}{comma}{new}{tail_space}{tail}"))
    }

    /// One item more at the end of the list `key` of `parent`; the list may be missing, empty or null.
    pub fn append(&self, parent: &Node, key: &str, item: &Tree) -> Option<String> {
        let Some(entry) = parent.map().iter().find(|e| e.key == key) else {
            return self.add_key(parent, key, &Tree::Seq(vec![item.clone()]));
        };
        let list = &entry.value;
        let items = match &list.value {
            Value::Seq(items) => items.as_slice(),
            Value::Null => &[],
            _ => return None,
        };
        if self.is_flow(list) {
            // An empty list of a block map becomes a block.
            if items.is_empty()
                && !self.json
                && let Some(body) = self.fill(entry.line, key, &Tree::Seq(vec![item.clone()]))
            {
                return Some(body);
            }
            return self.insert_flow(list, b']', items.is_empty(), &item.flow(self.json));
        }
        let Some(last) = items.last() else { return self.fill(entry.line, key, &Tree::Seq(vec![item.clone()])) };
        let dash = self.dash(last)?;
        let pad = " ".repeat(dash);
        let gap = " ".repeat((last.column as usize).checked_sub(dash + 3)?);
        let end = self.end(last)?;
        // As the neighbour is written: in braces, on one line, or in lines of its own.
        let short = last.line == end && last.map().iter().all(|e| self.is_flow(&e.value));
        let lines = match item {
            _ if self.is_flow(last) => vec![format!("{pad}- {gap}{}", item.flow(false))],
            Tree::Map(entries) if short && !last.map().is_empty() && entries.len() == 1 => {
                let inner = item.flow(false);
                vec![format!("{pad}- {gap}{}", inner.strip_prefix('{').and_then(|i| i.strip_suffix('}'))?)]
            }
            _ => {
                let first = |(i, l): (usize, String)| match (i, l.strip_prefix("- ")) {
                    (0, Some(rest)) => format!("{pad}- {gap}{rest}"),
                    _ => format!("{pad}{gap}{l}"),
                };
                Tree::Seq(vec![item.clone()]).block(self.style).into_iter().enumerate().map(first).collect()
            }
        };
        Some(self.insert(end, None, &lines))
    }

    /// One key more at the end of a map.
    pub fn add_key(&self, parent: &Node, key: &str, value: &Tree) -> Option<String> {
        if !matches!(parent.value, Value::Map(_)) || parent.map().iter().any(|e| e.key == key) {
            return None;
        }
        let entry = Tree::Map(vec![(key.to_owned(), value.clone())]);
        if self.is_flow(parent) {
            let text = entry.flow(self.json);
            let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'))?;
            return self.insert_flow(parent, b'}', parent.map().is_empty(), inner);
        }
        let column = (parent.column as usize).checked_sub(1)?;
        let pad = " ".repeat(column);
        let lines: Vec<String> = entry.block(self.style).into_iter().map(|l| format!("{pad}{l}")).collect();
        Some(self.insert(self.end(parent)?, None, &lines))
    }

    /// Another key with its value where one of a map stands, or nothing in its place. What a comment is about is left alone.
    pub fn replace(&self, parent: &Node, key: &str, by: Option<(&str, &Tree)>) -> Option<String> {
        let at = parent.map().iter().position(|e| e.key == key)?;
        let entry = parent.map().get(at)?;
        let entry_of = |(key, value): (&str, &Tree)| Tree::Map(vec![(key.to_owned(), value.clone())]);
        if self.is_flow(parent) {
            let (mut start, mut end) = self.span(entry)?;
            let new = by.map_or_else(String::new, |by| entry_of(by).flow(self.json));
            let body = &self.text.body;
            if by.is_none() {
                // Its comma goes with it: the one behind, or the one before the last.
                let behind = body.get(end..)?;
                if let Some(rest) = behind.trim_start().strip_prefix(',') {
                    end += behind.len() - rest.trim_start().len();
                } else if let Some(rest) = body.get(..start)?.trim_end().strip_suffix(',') {
                    start = rest.len();
                }
            }
            if !self.json && body.get(start..end)?.contains(['#', '\n']) {
                return None;
            }
            let inner = new.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(&new);
            return Some(format!("{}{inner}{}", body.get(..start)?, body.get(end..)?));
        }
        let (first, last) = (entry.line, self.end(&entry.value)?.max(entry.line));
        let column = self.column_of_key(first, key)?;
        let lead = self.line(first)?.get(..column)?;
        if (first..=last).any(|n| self.line(n).is_none_or(|l| l.contains('#'))) {
            return None;
        }
        let lines: Vec<String> = match by {
            // A key behind a dash cannot go without the next one taking its place.
            None if lead.contains('-') || parent.map().len() == 1 => return None,
            None => Vec::new(),
            Some(by) => {
                let pad = " ".repeat(column);
                let one = |(i, l): (usize, String)| format!("{}{l}", if i == 0 { lead } else { &pad });
                entry_of(by).block(self.style).into_iter().enumerate().map(one).collect()
            }
        };
        let eol = self.eol();
        let ends = self.line(last)?.ends_with('\n');
        let before: String = self.lines.get(..(first as usize).checked_sub(1)?)?.concat();
        let after: String = self.lines.get(last as usize..)?.concat();
        let mut new: String = lines.iter().flat_map(|l| [l.as_str(), eol]).collect();
        if !ends && let Some(bare) = new.strip_suffix(eol) {
            new.truncate(bare.len());
        }
        Some(format!("{before}{new}{after}"))
    }

    /// Where an entry of a flow map begins and ends.
    fn span(&self, entry: &Entry) -> Option<(usize, usize)> {
        let body = &self.text.body;
        let value = self.offset(&entry.value)?;
        let before = body.get(..value)?.trim_end().strip_suffix(':')?.trim_end();
        let quoted = before.strip_suffix(['"', '\'']);
        let bare = quoted.unwrap_or(before).strip_suffix(entry.key.as_str())?;
        let start = if quoted.is_some() { bare.strip_suffix(['"', '\''])?.len() } else { bare.len() };
        if !body.get(..start)?.ends_with(['{', ',', ' ', '\n']) {
            return None;
        }
        let bytes = body.as_bytes();
        let end = match bytes.get(value)? {
            b'[' | b'{' => closing(body, value)? + 1,
            b'"' => quote(bytes, value)? + 1,
            b'\'' => single(bytes, value)? + 1,
            _ => value + body.get(value..)?.find([',', '}', '\n'])?,
        };
        Some((start, start + body.get(start..end)?.trim_end().len()))
    }

    /// Gives a key of a block map that has nothing (`key:`, `key: []`) a value in lines of its own.
    fn fill(&self, line: u32, key: &str, value: &Tree) -> Option<String> {
        let text = self.line(line)?;
        let column = self.column_of_key(line, key)?;
        let bare = text.trim_end();
        let bare = bare.strip_suffix("[]").map_or(bare, str::trim_end);
        if bare.get(column..)?.trim_matches(['"', '\'']).trim_end_matches(':').trim_matches(['"', '\'']) != key {
            return None;
        }
        let pad = " ".repeat(column + self.style.list_indent);
        let lines: Vec<String> = value.block(self.style).into_iter().map(|l| format!("{pad}{l}")).collect();
        Some(self.insert(line, Some(bare), &lines))
    }

    fn is_flow(&self, node: &Node) -> bool {
        let first = self.offset(node).and_then(|o| self.text.body.as_bytes().get(o)).copied();
        matches!((&node.value, first), (Value::Seq(_), Some(b'[')) | (Value::Map(_), Some(b'{')))
    }

    /// The line on which a node ends, closing brackets included.
    fn end(&self, node: &Node) -> Option<u32> {
        if self.is_flow(node) {
            let end = closing(&self.text.body, self.offset(node)?)?;
            return u32::try_from(self.text.body.get(..end)?.matches('\n').count() + 1).ok();
        }
        let below = node.map().iter().map(|e| &e.value).chain(node.seq());
        below.map(|n| self.end(n)).try_fold(node.last, |last, end| Some(last.max(end?)))
    }
}

/// Offset of the bracket that closes the one at `open`; strings and comments are passed over.
fn closing(body: &str, open: usize) -> Option<usize> {
    let bytes = body.as_bytes();
    let (mut depth, mut at) = (0usize, open);
    while let Some(b) = bytes.get(at) {
        let spaced = at == 0 || bytes.get(at - 1).is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b'[' | b'{' | b',' | b':'));
        match b {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'"' if spaced => at = quote(bytes, at)?,
            b'\'' if spaced => at = single(bytes, at)?,
            b'#' if spaced => at += bytes.get(at..)?.iter().position(|b| *b == b'\n')?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Offset of the quote that ends a string in single quotes; two of them in a row are one that is meant.
fn single(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == b'\'')?;
        match bytes.get(at + 1) {
            Some(b'\'') => at += 2,
            _ => return Some(at),
        }
    }
}

/// Offset of the quote that ends a string in double quotes.
fn quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tree::{map, text};
    use crate::world::yaml;

    fn edited(body: &str, at: &[&str], key: &str, item: &Tree) -> String {
        let (docs, faults) = yaml::read("f", body);
        assert!(faults.is_empty(), "{faults:?}");
        let parent = docs[0].root.at(at).unwrap();
        let out = Page::new(&docs[0]).append(parent, key, item).unwrap();
        // It says what it said before, and the item.
        let mut wanted = Tree::from(parent);
        let Tree::Map(entries) = &mut wanted else { panic!() };
        match entries.iter_mut().find(|(k, _)| k == key) {
            Some((_, Tree::Seq(items))) => items.push(item.clone()),
            Some((_, v)) => *v = Tree::Seq(vec![item.clone()]),
            None => entries.push((key.to_owned(), Tree::Seq(vec![item.clone()]))),
        }
        let (again, faults) = yaml::read("f", &out);
        assert!(faults.is_empty(), "{faults:?}\n{out}");
        assert_eq!(Tree::from(again[0].root.at(at).unwrap()), wanted, "{out}");
        out
    }

    fn port() -> Tree {
        map([("port", Tree::Int(81)), ("protocol", text("TCP"))])
    }

    #[test]
    fn block_lists_in_the_files_own_style() {
        let out = edited("s:\n  ports:\n  - port: 80 # web\n    protocol: TCP\n  # after\nx: 1\n", &["s"], "ports", &port());
        assert_eq!(out, "s:\n  ports:\n  - port: 80 # web\n    protocol: TCP\n  - port: 81\n    protocol: TCP\n  # after\nx: 1\n");
        let out = edited("s:\n    ports:\n        -   port: 80\n            protocol: TCP", &["s"], "ports", &port());
        assert_eq!(out, "s:\n    ports:\n        -   port: 80\n            protocol: TCP\n        -   port: 81\n            protocol: TCP");
        let out = edited("s:\r\n  ports:\r\n  - {port: 80}\r\n", &["s"], "ports", &port());
        assert_eq!(out, "s:\r\n  ports:\r\n  - {port: 80}\r\n  - {port: 81, protocol: TCP}\r\n");
        let out = edited("s:\n  from:\n  - podSelector: {a: b}\n", &["s"], "from", &map([("podSelector", map([("c", text("d"))]))]));
        assert_eq!(out, "s:\n  from:\n  - podSelector: {a: b}\n  - podSelector: {c: d}\n");
    }

    #[test]
    fn flow_lists_and_json() {
        assert_eq!(edited("s: {ports: [{port: 80}]}\n", &["s"], "ports", &port()), "s: {ports: [{port: 80}, {port: 81, protocol: TCP}]}\n");
        assert_eq!(edited("s: {ports: []}\n", &["s"], "ports", &port()), "s: {ports: [{port: 81, protocol: TCP}]}\n");
        assert_eq!(edited("s: {a: 'it''s ]'}\n", &["s"], "ports", &port()), "s: {a: 'it''s ]', ports: [{port: 81, protocol: TCP}]}\n");
        edited("{\n \"s\": {\n  \"ports\": [\n   {\"port\": 80}\n  ]\n }\n}\n", &["s"], "ports", &port());
        edited("s:\n  ports: [\n    {port: 80},\n  ]\nx: 1\n", &["s"], "ports", &port());
        edited("s:\n  ports:\n  - {port: 80,\n     a: [1\n    ]\n   }\nx: 1\n", &["s"], "ports", &port());
    }

    #[test]
    fn lists_that_are_not_there_yet() {
        let out = edited("l:\n  - a\ns:\n  ports: []\nx: 1\n", &["s"], "ports", &port());
        assert_eq!(out, "l:\n  - a\ns:\n  ports:\n    - port: 81\n      protocol: TCP\nx: 1\n");
        let out = edited("s:\n  ports:\nx: 1\n", &["s"], "ports", &port());
        assert_eq!(out, "s:\n  ports:\n  - port: 81\n    protocol: TCP\nx: 1\n");
        let out = edited("s:\n  a: 1\n", &["s"], "ports", &port());
        assert_eq!(out, "s:\n  a: 1\n  ports:\n  - port: 81\n    protocol: TCP\n");
    }

    /// The text with a key of the map at `at` replaced, which then says what it is to say.
    fn replaced(body: &str, at: &[&str], key: &str, by: Option<(&str, &Tree)>) -> Option<String> {
        let (docs, _) = yaml::read("f", body);
        let parent = docs[0].root.at(at).unwrap();
        let out = Page::new(&docs[0]).replace(parent, key, by)?;
        let Tree::Map(mut wanted) = Tree::from(parent) else { panic!() };
        let i = wanted.iter().position(|(k, _)| k == key).unwrap();
        match by {
            Some((key, value)) => wanted[i] = (key.to_owned(), value.clone()),
            None => _ = wanted.remove(i),
        }
        let (again, faults) = yaml::read("f", &out);
        assert!(faults.is_empty(), "{faults:?}\n{out}");
        assert_eq!(Tree::from(again[0].root.at(at).unwrap()), Tree::Map(wanted), "{out}");
        Some(out)
    }

    #[test]
    fn one_key_in_anothers_place_or_none() {
        let values = Tree::Seq(vec![map([("key", text("app")), ("values", Tree::Seq(vec![text("a"), text("b")]))])]);
        let by = || Some(("in", &values));
        let all = |body: &str, key: &str| {
            let at = ["s"];
            (replaced(body, &at, key, by()), replaced(body, &at, key, None))
        };
        let (put, gone) = all("s:\n  l:\n    app: a\n  x: 1\n", "l");
        assert_eq!(put.as_deref(), Some("s:\n  in:\n  - key: app\n    values:\n    - a\n    - b\n  x: 1\n"));
        assert_eq!(gone.as_deref(), Some("s:\n  x: 1\n"));
        let (put, gone) = all("s: {l: {app: a}, x: 1}\n", "l");
        assert_eq!(put.as_deref(), Some("s: {in: [{key: app, values: [a, b]}], x: 1}\n"));
        assert_eq!(gone.as_deref(), Some("s: {x: 1}\n"));
        let (put, gone) = all("s: {x: 1, \"l\": 'a, b' }\n", "l");
        assert_eq!(put.as_deref(), Some("s: {x: 1, in: [{key: app, values: [a, b]}] }\n"));
        assert_eq!(gone.as_deref(), Some("s: {x: 1 }\n"));
        let (put, gone) = all(r#"{"s": {"l": "a", "x": 1}}"#, "l");
        assert_eq!(put.as_deref(), Some(r#"{"s": {"in": [{"key": "app", "values": ["a", "b"]}], "x": 1}}"#));
        assert_eq!(gone.as_deref(), Some(r#"{"s": {"x": 1}}"#));
        let (put, gone) = all("s:\r\n  x: 1\r\n  l: a", "l");
        assert!(put.unwrap().starts_with("s:\r\n  x: 1\r\n  in:\r\n") && gone.as_deref() == Some("s:\r\n  x: 1\r\n"));
        // What a comment speaks of is not rewritten, nor does the only key go.
        assert_eq!(all("s:\n  l: a # why\n  x: 1\n", "l"), (None, None));
        assert_eq!(replaced("s:\n  l: a\n", &["s"], "l", None), None);
        // Behind a dash another key may stand, but not nothing.
        let (docs, _) = yaml::read("f", "s:\n- l: a\n  x: 1\n");
        let item = &docs[0].root.get("s").unwrap().seq()[0];
        assert_eq!(Page::new(&docs[0]).replace(item, "l", None), None);
        assert_eq!(Page::new(&docs[0]).replace(item, "l", Some(("m", &text("b")))).as_deref(), Some("s:\n- m: b\n  x: 1\n"));
    }

    #[test]
    fn what_is_laid_out_oddly_is_left_alone() {
        let (docs, _) = yaml::read("f", "s:\n  ports:\n  -\n    port: 80\n");
        assert!(Page::new(&docs[0]).append(docs[0].root.get("s").unwrap(), "ports", &port()).is_none());
        let (docs, _) = yaml::read("f", "s:\n  ports: [ # why\n    {port: 80} # this ]\n  ]\n");
        assert!(Page::new(&docs[0]).append(docs[0].root.get("s").unwrap(), "ports", &port()).is_none());
    }
}
