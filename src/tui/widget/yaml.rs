//! A policy's own text with line numbers, the rule in question, and marks at the conditions that held or failed.
use super::pen::{Pen, Seg, seg};
use crate::model::doc::Text;
use crate::model::why::{Mark, RuleView};
use crate::tui::text::{clean, width};
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

    /// Where to begin so that the rule, or else its first failed line, stands on a page of that many lines.
    pub fn start(&self, rule: &RuleView, page: usize) -> usize {
        let index = |line: u32| (line.saturating_sub(self.first)) as usize;
        let most = self.lines.len().saturating_sub(page);
        let (from, to) = (index(rule.lines.0), index(rule.lines.1));
        let len = to.saturating_sub(from) + 1;
        if len <= page {
            // Rather what stands above (names, selector) than what comes after.
            let above = (page - len) * 2 / 3;
            return from.saturating_sub(above).min(most);
        }
        let hot = worst(&rule.marks).map_or(from, index);
        hot.saturating_sub(page / 2).max(from.saturating_sub(1)).min(most)
    }

    pub fn draw(&self, pen: &mut Pen<'_>, area: Rect, rule: &RuleView, from: usize) {
        let look = pen.look;
        let digits = (self.first as usize + self.lines.len()).to_string().len();
        let hot = worst(&rule.marks);
        let marked = |n: u32| rule.marks.iter().filter(move |m| m.line == n);
        let indent = usize::from(area.width / 20).clamp(1, 3);
        // Marks stand in one column, right of every line that has one, as far as there is room.
        let longest = self.lines.iter().enumerate().filter(|(i, _)| marked(self.first + *i as u32).next().is_some());
        let longest = longest.map(|(_, l)| width(l)).max().unwrap_or(0);
        let widest = rule.marks.iter().map(|m| width(&m.text) + 3).max().unwrap_or(0);
        let text_at = digits + indent + 3;
        let column = (text_at + longest + 2).max(34).min(usize::from(area.width).saturating_sub(widest));
        for (y, (i, line)) in (area.y..area.bottom()).zip(self.lines.iter().enumerate().skip(from)) {
            let n = self.first + i as u32;
            let inside = (rule.lines.0..=rule.lines.1).contains(&n);
            let bad = marked(n).any(|m| !m.ok);
            let here = hot == Some(n);
            let style = match (bad, inside) {
                (true, _) => look.drop(),
                (false, true) => look.plain(),
                (false, false) => look.dim(),
            };
            let row = Rect { y, height: 1, ..area };
            let head: [Seg; 2] = [
                seg(if here { look.g.here } else { " " }, look.drop()),
                seg(format!("{n:>w$}{:1$}", "", indent + 1, w = digits + 1), look.dim()),
            ];
            pen.line(row, &head);
            let notes: Vec<&Mark> = marked(n).collect();
            let x = area.x + u16::try_from(text_at).unwrap_or(0);
            let end = if notes.is_empty() { usize::from(area.width) } else { column.max(text_at + 6) };
            pen.put(x, y, end.saturating_sub(text_at), line, style);
            let mut at = area.x + u16::try_from((text_at + width(line) + 2).min(column).max(column)).unwrap_or(0);
            for m in notes {
                let (glyph, style) = if m.ok { (look.g.ok, look.pass()) } else { (look.g.no, look.drop()) };
                let room = usize::from(area.right().saturating_sub(at));
                at += pen.put(at, y, room, &format!("{glyph} {}  ", m.text), style);
            }
        }
    }
}

/// The line of the first failed mark, else of the first mark.
fn worst(marks: &[Mark]) -> Option<u32> {
    marks.iter().filter(|m| !m.ok).map(|m| m.line).min().or_else(|| marks.iter().map(|m| m.line).min())
}

#[cfg(test)]
mod tests {
    use super::*;

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
