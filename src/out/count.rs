//! `--count-by`: how many flows have the same values of some fields.
//!
//! Bounded: beyond [`MOST`] groups what is new is counted in one more row, which says so.
use super::csv;
use crate::model::reflect::Message;
use crate::model::text::clean;
use crate::model::view::{Field, Item, Value, View};
use crate::model::why::Why;
use crate::query::group::Column;
use std::collections::HashMap;

/// Groups told apart.
const MOST: usize = 1_000_000;
/// Bytes of one value that tell groups apart: the values come from strangers.
const LONGEST: usize = 1024;

/// How the counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Table,
    Json,
    Csv,
}

/// The counts so far.
#[derive(Debug)]
pub struct Counts {
    columns: Vec<Column>,
    groups: HashMap<Box<[Box<str>]>, u64>,
    other: u64,
    most: usize,
}

impl Counts {
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, groups: HashMap::new(), other: 0, most: MOST }
    }

    /// Counts one flow.
    pub fn add(&mut self, flow: &dyn View) {
        let value = |c: &Column| -> Box<str> {
            let mut s = c.value(flow);
            if s.len() > LONGEST {
                let end = (0..=LONGEST).rev().find(|i| s.is_char_boundary(*i)).unwrap_or(0);
                s.truncate(end);
                s.push('…');
            }
            s.into()
        };
        let key: Box<[Box<str>]> = self.columns.iter().map(value).collect();
        if let Some(n) = self.groups.get_mut(&key) {
            *n += 1;
        } else if self.groups.len() < self.most {
            self.groups.insert(key, 1);
        } else {
            self.other += 1;
        }
    }

    /// Flows that found no group of their own.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// The rows, the largest first, then by their values; `(other)` last.
    fn rows(&self) -> Vec<(Vec<&str>, u64)> {
        let mut rows: Vec<(Vec<&str>, u64)> = self.groups.iter().map(|(k, n)| (k.iter().map(|v| &**v).collect(), *n)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        if self.other > 0 {
            rows.push((vec!["(other)"; self.columns.len()], self.other));
        }
        rows
    }

    /// Appends all counts; of a table at most so many rows, and how many more there are.
    pub fn write(&self, style: Style, most: Option<usize>, out: &mut Vec<u8>) {
        let names: Vec<String> = self.columns.iter().map(|c| c.word()).collect();
        let rows = self.rows();
        match style {
            Style::Csv => {
                csv::row(std::iter::once("count").chain(names.iter().map(String::as_str)), out);
                for (values, n) in rows {
                    csv::row(std::iter::once(n.to_string().as_str()).chain(values), out);
                }
            }
            Style::Json => {
                for (values, n) in rows {
                    let mut line = format!("{{\"count\":{n}");
                    for (name, value) in names.iter().zip(values) {
                        let value = if value.is_empty() { serde_json::Value::Null } else { value.into() };
                        line.push_str(&format!(",{}:{value}", serde_json::Value::from(name.as_str())));
                    }
                    out.extend_from_slice(line.as_bytes());
                    out.extend_from_slice(b"}\n");
                }
            }
            Style::Table => {
                let shown = most.unwrap_or(rows.len()).min(rows.len());
                let mut cells: Vec<Vec<String>> =
                    vec![std::iter::once("COUNT".to_owned()).chain(names.iter().map(|n| n.to_uppercase())).collect()];
                for (values, n) in rows.iter().take(shown) {
                    let value = |v: &&str| if v.is_empty() { "-".to_owned() } else { clean(v).into_owned() };
                    cells.push(std::iter::once(n.to_string()).chain(values.iter().map(value)).collect());
                }
                table(&cells, out);
                if shown < rows.len() {
                    out.extend_from_slice(format!("… and {} more\n", rows.len() - shown).as_bytes());
                }
            }
        }
    }
}

/// Numbers to the right, texts to the left, the last column as long as it is.
fn table(cells: &[Vec<String>], out: &mut Vec<u8>) {
    let width = |i: usize| cells.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells.first().map_or(0, Vec::len)).map(width).collect();
    for row in cells {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            match i {
                0 => line.extend([gap.as_str(), cell]),
                _ => line.extend(["   ", cell, &gap]),
            }
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

/// A flow and its explanation, as one thing to ask.
pub struct Explained<'a> {
    pub flow: &'a dyn View,
    pub why: Option<&'a Why>,
}

impl View for Explained<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        match (field, self.why) {
            (Field::Cause, Some(w)) => Value::Text(&w.text),
            (Field::Outcome, Some(w)) => Value::Text(w.outcome.word()),
            _ => self.flow.field(field),
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        match (field, self.why) {
            (Field::Policies, Some(w)) => w
                .policies
                .iter()
                .any(|p| test(Item::Policy { kind: &p.kind, namespace: p.namespace.as_deref().unwrap_or_default(), name: &p.name })),
            _ => self.flow.any(field, test),
        }
    }

    fn message(&self) -> Option<&dyn Message> {
        self.flow.message()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::group::columns;
    use crate::wire::pb::flow::{Endpoint, Flow};

    fn counted(most: usize) -> Counts {
        let mut c = Counts { most, ..Counts::new(columns(&["verdict".into(), "from.ns".into()]).unwrap()) };
        for (verdict, ns) in [(2, "b"), (1, "a"), (2, "b"), (2, "a"), (1, "a"), (1, ""), (1, "x\u{1b}[2J")] {
            c.add(&Flow { verdict, source: Some(Endpoint { namespace: ns.into(), ..Endpoint::default() }), ..Flow::default() });
        }
        c
    }

    fn text(c: &Counts, style: Style, most: Option<usize>) -> String {
        let mut out = Vec::new();
        c.write(style, most, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_largest_first_then_by_value() {
        let c = counted(MOST);
        let table = text(&c, Style::Table, Some(4));
        assert_eq!(
            table,
            "COUNT   VERDICT     FROM.NS\n    2   DROPPED     b\n    2   FORWARDED   a\n    1   DROPPED     a\n    1   FORWARDED   -\n… and 1 more\n"
        );
        assert!(!text(&c, Style::Table, None).contains('\u{1b}'));
        assert!(text(&c, Style::Json, None).contains("{\"count\":1,\"verdict\":\"FORWARDED\",\"from.ns\":null}\n"));
        assert!(text(&c, Style::Csv, None).starts_with("count,verdict,from.ns\r\n2,DROPPED,b\r\n"));
    }

    #[test]
    fn beyond_the_bound_the_rest_is_one_row() {
        let c = counted(2);
        assert_eq!(c.other(), 3);
        assert!(text(&c, Style::Table, None).ends_with("    3   (other)     (other)\n"), "{}", text(&c, Style::Table, None));
    }
}
