//! Applies unified diffs, strictly: every line has to stand where the diff says it does.
#![allow(dead_code)]
use std::collections::BTreeMap;

/// `diff` on these files, by name.
pub fn apply(files: &BTreeMap<String, String>, diff: &str) -> BTreeMap<String, String> {
    let mut out = files.clone();
    let mut lines = diff.split_inclusive('\n').peekable();
    while let Some(head) = lines.next() {
        let name = head.strip_prefix("--- ").unwrap_or_else(|| panic!("not a head: {head:?}\n{diff}")).trim_end();
        assert_eq!(lines.next().map(str::trim_end), Some(format!("+++ {name}").as_str()));
        let old: Vec<&str> = files[name].split_inclusive('\n').collect();
        let (mut body, mut at) = (String::new(), 0);
        while let Some(l) = lines.next_if(|l| !l.starts_with("--- ")) {
            if let Some(range) = l.strip_prefix("@@ -") {
                let range = range.split(' ').next().unwrap();
                let (from, count) = range.split_once(',').unwrap_or((range, "1"));
                let from = from.parse::<usize>().unwrap() - usize::from(count != "0");
                body.extend(old[at..from].iter().copied());
                at = from;
                continue;
            }
            let (sign, mut text) = l.split_at(1);
            if lines.next_if(|n| n.starts_with('\\')).is_some() {
                text = text.strip_suffix('\n').unwrap();
            }
            if sign != "+" {
                assert_eq!(old.get(at), Some(&text), "the diff is not of this text");
                at += 1;
            }
            if sign != "-" {
                body.push_str(text);
            }
        }
        body.extend(old[at..].iter().copied());
        out.insert(name.to_owned(), body);
    }
    out
}
