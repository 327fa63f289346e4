//! A policy's own text with line numbers, the rule in question, and marks at the conditions that held or failed.
use super::pen::{Pen, Seg, seg};
use crate::model::doc::Text;
use crate::model::why::{Mark, RuleView};
use crate::tui::text::{clean, clip, width};
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
        let hot = rule.marks.iter().filter(|m| !m.ok).map(|m| m.line).min();
        let indent = usize::from(area.width / 20).clamp(1, 3);
        let text_at = digits + indent + 3;
        let column = self.column(rule, text_at, usize::from(area.width));
        for (y, (i, line)) in (area.y..area.bottom()).zip(self.lines.iter().enumerate().skip(from)) {
            let n = self.first + i as u32;
            let notes: Vec<&Mark> = rule.marks.iter().filter(|m| m.line == n).collect();
            let inside = (rule.lines.0..=rule.lines.1).contains(&n);
            let style = match (notes.iter().any(|m| !m.ok), inside) {
                (true, _) => look.drop(),
                (false, true) => look.plain(),
                (false, false) => look.dim(),
            };
            let head: [Seg; 2] = [
                seg(if hot == Some(n) { look.g.here } else { " " }, look.drop()),
                seg(format!("{n:>w$}{:1$}", "", indent + 1, w = digits + 1), look.dim()),
            ];
            pen.line(Rect { y, height: 1, ..area }, &head);
            let (w, long) = (usize::from(area.width), text_at + width(line));
            let need: usize = notes.iter().map(|m| note_width(m) + 2).sum::<usize>().saturating_sub(2);
            // In the common column; else left of it, as far as the line leaves room; else over the end of the line.
            let at = column.min(w.saturating_sub(need)).max(long + 2).min(w.saturating_sub(need.min(w / 2)));
            let end = if notes.is_empty() { w } else { at.saturating_sub(1) };
            let x = area.x + u16::try_from(text_at).unwrap_or(0);
            pen.put(x, y, end.saturating_sub(text_at), line, style);
            let mut at = area.x + u16::try_from(at).unwrap_or(0);
            for m in notes {
                let (glyph, style) = if m.ok { (look.g.ok, look.pass()) } else { (look.g.no, look.drop()) };
                let room = usize::from(area.right().saturating_sub(at));
                at += pen.put(at, y, room, &format!("{}  ", clip(&format!("{glyph} {}", m.text), room, look.g.gap)), style);
            }
        }
    }

    /// Where the marks stand, right of every line that has one, as far as there is room.
    fn column(&self, rule: &RuleView, text_at: usize, w: usize) -> usize {
        let marked = rule.marks.iter().filter_map(|m| self.lines.get((m.line.checked_sub(self.first)?) as usize));
        let least = text_at + marked.map(|l| width(l)).max().unwrap_or(0) + 2;
        let widest = rule.marks.iter().map(note_width).max().unwrap_or(0);
        if least.max(34) + widest <= w { least.max(34) } else { w.saturating_sub(widest) }
    }
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
