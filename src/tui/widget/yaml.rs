//! A policy's own text with line numbers, the rule in question, and marks at the conditions that held or failed.
use super::pen::{Pen, Seg, seg};
use crate::model::doc::Text;
use crate::model::why::{Mark, RuleView};
use crate::tui::text::{begin, clean, width, wrap};
use ratatui::layout::Rect;

/// One object cut out of its file.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Number of the first line, from 1.
    pub first: u32,
    pub lines: Vec<String>,
}

/// Lines of one object shown at most.
const LONGEST: usize = 5_000;

impl Sheet {
    /// The object that holds line `at`: from the separator before to the separator after.
    pub fn cut(text: &Text, at: u32) -> Self {
        let lines: Vec<&str> = text.body.lines().collect();
        let at = (at.max(1) as usize - 1).min(lines.len().saturating_sub(1));
        let is_break = |l: &&str| l.trim_end() == "---" || l.starts_with("--- ");
        let from = lines.iter().take(at + 1).rposition(is_break).map_or(0, |i| i + 1);
        let to = lines.iter().skip(at + 1).position(is_break).map_or(lines.len(), |i| at + 1 + i);
        let part = lines.get(from..to).unwrap_or(&[]);
        // A file of one endless object is cut to what surrounds the line.
        let skip = if part.len() > LONGEST { (at - from).saturating_sub(LONGEST / 2) } else { 0 };
        Self {
            first: u32::try_from(from + skip + 1).unwrap_or(1),
            lines: part.iter().skip(skip).take(LONGEST).map(|l| clean(l).into_owned()).collect(),
        }
    }

    /// How many rows it takes on a page of that width.
    pub fn height(&self, rule: &RuleView, w: u16) -> usize {
        self.rows(rule, w).len()
    }

    /// Where to begin so that the rule, or else its first failed line and what is said of it, stands on a page of that many rows.
    pub fn start(&self, rule: &RuleView, page: usize, w: u16) -> usize {
        let rows = self.rows(rule, w);
        let index = |line: u32| (line.saturating_sub(self.first)) as usize;
        let first = |line: u32| rows.iter().position(|r| r.line >= index(line)).unwrap_or(0);
        let end = |line: u32| rows.iter().rposition(|r| r.line <= index(line)).map_or(0, |i| i + 1);
        let most = rows.len().saturating_sub(page);
        let (from, to) = (first(rule.lines.0), end(rule.lines.1));
        let len = to.saturating_sub(from).max(1);
        if len <= page {
            // Rather what stands above (names, selector) than what comes after.
            let above = (page - len) * 2 / 3;
            return from.saturating_sub(above).min(most);
        }
        let hot = worst(&rule.marks).unwrap_or(rule.lines.0);
        let said = end(hot).saturating_sub(page).min(first(hot));
        first(hot).saturating_sub(page / 2).max(from.saturating_sub(1)).max(said).min(most)
    }

    /// From a row on.
    pub fn draw(&self, pen: &mut Pen<'_>, area: Rect, rule: &RuleView, from: usize) {
        let look = pen.look;
        let hot = rule.marks.iter().filter(|m| !m.ok).map(|m| m.line).min();
        let w = usize::from(area.width);
        let (text_at, column) = self.columns(rule, w);
        let note = |m: &Mark| if m.ok { (look.g.ok, look.pass()) } else { (look.g.no, look.drop()) };
        for (y, row) in (area.y..area.bottom()).zip(self.rows(rule, area.width).into_iter().skip(from)) {
            let put = |pen: &mut Pen<'_>, at: usize, text: &str, style| {
                pen.put(area.x + u16::try_from(at).unwrap_or(0), y, w.saturating_sub(at), text, style);
            };
            if let Some((mark, at, nth, text)) = row.said {
                let (glyph, style) = note(mark);
                put(pen, at, &format!("{} {text}", if nth == 0 { glyph } else { " " }), style);
                continue;
            }
            let Some(line) = self.lines.get(row.line) else { continue };
            let n = self.first + row.line as u32;
            let marks: Vec<&Mark> = rule.marks.iter().filter(|m| m.line == n).collect();
            let style = match (marks.iter().any(|m| !m.ok), (rule.lines.0..=rule.lines.1).contains(&n)) {
                (true, _) => look.drop(),
                (false, true) => look.plain(),
                (false, false) => look.dim(),
            };
            let number: [Seg; 2] = [
                seg(if hot == Some(n) { look.g.here } else { " " }, look.drop()),
                seg(format!("{n:>w$}", w = self.digits() + 1), look.dim()),
            ];
            pen.line(Rect { y, height: 1, ..area }, &number);
            // A line in question gives up its indentation rather than its value.
            let room = w.saturating_sub(text_at);
            let over = if marks.is_empty() { 0 } else { width(line).saturating_sub(room).min(indent(line)) };
            put(pen, text_at, &begin(line.get(over..).unwrap_or(line), room, look.g.gap), style);
            if row.beside {
                let mut at = column.min(w.saturating_sub(beside(&marks))).max(text_at + width(line) + 1);
                for m in marks {
                    let (glyph, style) = note(m);
                    put(pen, at, &format!("{glyph} {}", m.text), style);
                    at += note_width(m) + 2;
                }
            }
        }
    }

    /// The lines, and below each what is said of it where there is no room for that beside it.
    fn rows<'r>(&self, rule: &'r RuleView, w: u16) -> Vec<Row<'r>> {
        let w = usize::from(w);
        let (text_at, _) = self.columns(rule, w);
        let mut out = Vec::with_capacity(self.lines.len());
        for (i, line) in self.lines.iter().enumerate() {
            let n = self.first + i as u32;
            let marks: Vec<&Mark> = rule.marks.iter().filter(|m| m.line == n).collect();
            let fits = text_at + width(line) + 1 + beside(&marks) <= w;
            out.push(Row { line: i, beside: fits, said: None });
            for m in marks.into_iter().filter(|_| !fits) {
                let at = (text_at + indent(line)).min(w.saturating_sub(note_width(m))).max(text_at);
                let lines = wrap(&m.text, w.saturating_sub(at + 3));
                out.extend(lines.into_iter().enumerate().map(|(nth, text)| Row { line: i, beside: false, said: Some((m, at, nth, text)) }));
            }
        }
        out
    }

    fn digits(&self) -> usize {
        (self.first as usize + self.lines.len()).to_string().len()
    }

    /// Where the text stands; and where the marks do, right of every line that has room for them, as far as there is room.
    fn columns(&self, rule: &RuleView, w: usize) -> (usize, usize) {
        let text_at = self.digits() + (w / 20).clamp(1, 3) + 3;
        let marked = rule.marks.iter().filter_map(|m| self.lines.get((m.line.checked_sub(self.first)?) as usize));
        let least = text_at + marked.map(|l| width(l)).max().unwrap_or(0) + 2;
        let widest = rule.marks.iter().map(note_width).max().unwrap_or(0);
        let column = if least.max(34) + widest <= w { least.max(34) } else { w.saturating_sub(widest) };
        (text_at, column)
    }
}

/// One row of the page.
struct Row<'a> {
    /// Of the sheet, from 0.
    line: usize,
    /// What is said of it stands beside it.
    beside: bool,
    /// Not the line itself but what is said of it: which mark, in which column, and its how-manyth row of text.
    said: Option<(&'a Mark, usize, usize, String)>,
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| *b == b' ').count()
}

/// Columns of the marks of one line.
fn beside(marks: &[&Mark]) -> usize {
    marks.iter().map(|m| note_width(m) + 2).sum::<usize>().saturating_sub(2)
}

fn note_width(m: &Mark) -> usize {
    width(&m.text) + 3
}

/// The line of the first failed mark, else of the first mark.
fn worst(marks: &[Mark]) -> Option<u32> {
    marks.iter().filter(|m| !m.ok).map(|m| m.line).min().or_else(|| marks.iter().map(|m| m.line).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_question_keeps_its_value_and_what_is_said_of_it_is_read_whole_at_any_width() {
        use crate::tui::theme::{Depth, Look};
        use ratatui::buffer::Buffer;
        let value = "matchPattern: \"*.ecb.europa.eu\"";
        let body = format!("spec:\n  egress:\n{:18}- {value}\n  more:\n", "");
        let sheet = Sheet::cut(&Text { file: "f".into(), body }, 1);
        let mark = |ok: bool, text: &str| Mark { line: 3, ok, text: text.to_owned() };
        let rule = RuleView {
            policy: crate::model::why::PolicyRef { kind: String::new(), namespace: None, name: "p".to_owned(), rule: None },
            rule: "egress[0]".to_owned(),
            file: "f".to_owned(),
            text: std::sync::Arc::new(Text { file: "f".into(), body: String::new() }),
            lines: (2, 4),
            failed: Vec::new(),
            marks: vec![mark(true, "flow has UDP/53"), mark(false, "query is a-rather-long-name-of-a-host.cdn.jsdelivr.net")],
            unsure: false,
        };
        for w in 40..=160 {
            let look = Look::new(Default::default(), Depth::None, false);
            let area = Rect { x: 0, y: 0, width: w, height: 6 };
            let mut buf = Buffer::empty(area);
            sheet.draw(&mut Pen::new(&mut buf, look), area, &rule, sheet.start(&rule, 6, w));
            let lines = (0..6).map(|y| (0..w).map(|x| buf[(x, y)].symbol()).collect::<String>());
            let all = lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" ");
            for part in [value, "flow has UDP/53", "query is"] {
                assert!(all.contains(part), "{part:?} at {w}: {all}");
            }
            assert!(all.replace(' ', "").contains("a-rather-long-name-of-a-host.cdn.jsdelivr.net"), "{w}: {all}");
            // Where there is room for little, the line and what is said of it stand there together.
            let mut buf = Buffer::empty(area);
            let page = Rect { height: 5, ..area };
            sheet.draw(&mut Pen::new(&mut buf, look), page, &rule, sheet.start(&rule, 5, w));
            let all: String = (0..5).flat_map(|y| (0..w).map(move |x| (x, y))).map(|at| buf[at].symbol()).collect();
            assert!(all.contains(value) && all.contains("query is"), "{w}: {all}");
        }
    }

    #[test]
    fn one_object_is_cut_out_of_its_file() {
        let text = Text { file: "f".into(), body: "a: 1\n---\nb: 2\nc: 3\n---\nd: 4\n".into() };
        let at = |n| {
            let s = Sheet::cut(&text, n);
            (s.first, s.lines.join("|"))
        };
        assert_eq!(at(1), (1, "a: 1".into()));
        assert_eq!(at(4), (3, "b: 2|c: 3".into()));
        assert_eq!(at(6), (6, "d: 4".into()));
        assert_eq!(at(99), (6, "d: 4".into()));
        assert_eq!(at(0), (1, "a: 1".into()));
        assert_eq!(Sheet::cut(&Text { file: String::new(), body: String::new() }, 3).lines.len(), 0);
    }
}
