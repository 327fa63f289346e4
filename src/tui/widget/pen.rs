//! Writing into the buffer: every string is cleaned here and cut to its room, so no screen can forget either.
use crate::tui::text::{clean, clip, width};
use crate::tui::theme::Look;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// A piece of a line.
pub type Seg = (String, Style);

/// As much of a text as there is room for, with a mark where something is missing.
pub fn fitted(text: &[Seg], room: usize, gap: &str) -> Vec<Seg> {
    let mut left = room;
    let mut out = Vec::new();
    for (s, style) in text {
        let w = width(&clean(s));
        if w > left {
            out.push((clip(s, left, gap), *style));
            break;
        }
        left -= w;
        out.push((s.clone(), *style));
    }
    out
}

pub fn seg(s: impl Into<String>, style: Style) -> Seg {
    (s.into(), style)
}

/// Columns of a line.
pub fn length(segs: &[Seg]) -> usize {
    segs.iter().map(|s| width(&clean(&s.0))).sum()
}

pub struct Pen<'a> {
    buf: &'a mut Buffer,
    pub look: Look,
}

impl<'a> Pen<'a> {
    pub fn new(buf: &'a mut Buffer, look: Look) -> Self {
        Self { buf, look }
    }

    /// Writes `s` at a place, at most `room` columns, and returns how many it took. Outside the buffer nothing happens.
    pub fn put(&mut self, x: u16, y: u16, room: usize, s: &str, style: Style) -> u16 {
        if !self.buf.area.contains(Position { x, y }) || room == 0 {
            return 0;
        }
        self.buf.set_stringn(x, y, clean(s), room, style).0 - x
    }

    /// Empties an area: a style laid over another one keeps what it does not set itself.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buf.area);
        for position in area.positions() {
            if let Some(cell) = self.buf.cell_mut(position) {
                cell.reset();
            }
        }
    }

    /// A line of pieces, cut at the right end of `area`.
    pub fn line(&mut self, area: Rect, segs: &[Seg]) -> u16 {
        let mut x = area.x;
        for (s, style) in segs {
            if x >= area.right() || area.height == 0 {
                break;
            }
            x += self.put(x, area.y, usize::from(area.right() - x), s, *style);
        }
        x - area.x
    }

    /// Pieces from the left and pieces up to the right end. The right ones win where both do not fit.
    pub fn ends(&mut self, area: Rect, left: &[Seg], right: &[Seg]) {
        let need = u16::try_from(length(right)).unwrap_or(u16::MAX).min(area.width);
        let at = area.right() - need;
        let gap = u16::from(need > 0);
        self.line(Rect { width: area.width.saturating_sub(need + gap), ..area }, left);
        self.line(Rect { x: at, width: need, ..area }, right);
    }

    /// The same for a text that nobody is writing: what has no room on the left is marked as cut.
    pub fn titled(&mut self, area: Rect, left: &[Seg], right: &[Seg]) {
        let room = usize::from(area.width).saturating_sub(length(right) + usize::from(!right.is_empty()));
        let left = fitted(left, room, self.look.g.gap);
        self.ends(area, &left, right);
    }

    /// A value cut in the middle to its column.
    pub fn cell(&mut self, x: u16, y: u16, w: u16, s: &str, style: Style) {
        let cut = clip(s, usize::from(w), self.look.g.gap);
        self.put(x, y, usize::from(w), &cut, style);
    }

    /// The same, at the right end of its column.
    pub fn number(&mut self, x: u16, y: u16, w: u16, s: &str, style: Style) {
        let pad = w.saturating_sub(u16::try_from(width(s)).unwrap_or(w));
        self.put(x + pad, y, usize::from(w - pad), s, style);
    }

    /// A rule with a title in it: ` title ─────── note`.
    pub fn rule(&mut self, area: Rect, title: &[Seg], note: &str) {
        let dim = self.look.dim();
        if area.height == 0 {
            return;
        }
        for x in area.x..area.right() {
            self.put(x, area.y, 1, self.look.g.rule, dim);
        }
        let used =
            if title.is_empty() { 0 } else { self.line(area, &fitted(title, usize::from(area.width).saturating_sub(1), self.look.g.gap)) };
        if used > 0 {
            self.put(area.x + used, area.y, 1, " ", dim);
        }
        let n = width(note);
        if n > 0 && usize::from(used) + n + 4 < usize::from(area.width) {
            let x = area.right() - u16::try_from(n).unwrap_or(0) - 2;
            self.put(x, area.y, n + 2, &format!(" {note} "), dim);
        }
    }

    /// Lays a style over a rectangle.
    pub fn over(&mut self, area: Rect, style: Style) {
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// Lines of text from `from` on.
    pub fn lines(&mut self, area: Rect, lines: &[Vec<Seg>], from: usize) {
        for (y, l) in (area.y..area.bottom()).zip(lines.iter().skip(from)) {
            self.line(Rect { y, height: 1, ..area }, l);
        }
    }
}
