//! Everything along the time: flows, drops, where each cause begins, and the flows at the finger. Live its right edge is now.
use super::stats::Curve;
use super::{drops, flows, row};
use crate::engine::Engine;
use crate::engine::causes::Cause;
use crate::engine::series::{HISTORY, Rate};
use crate::engine::tally::Tally;
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;
use crate::policy::Step;
use crate::source::replay::Remote;
use crate::tui::board::Timeline;
use crate::tui::model::Model;
use crate::tui::text::{count, many, span, width};
use crate::tui::view::View;
use crate::tui::widget::bar;
use crate::tui::widget::pen::Pen;
use crate::tui::widget::spark::{gaps, spark, stretch};
use ratatui::layout::{Position, Rect};

/// Columns before the bars.
const HEAD: u16 = 8;

/// The line of time of one picture.
pub struct Axis {
    /// Begin of the first slot, and how long a slot lasts.
    pub first: Nanos,
    pub slot: i64,
    pub rates: Vec<Rate>,
    /// The slot of the newest: behind it lies what of a recording was not played yet.
    pub edge: usize,
}

impl Axis {
    pub fn of(m: &Model, engine: &Engine, view: &View, tally: &Tally) -> Option<Self> {
        let slot = tally.series.width().saturating_mul(Nanos::SECOND);
        let first = tally.series.history().next()?.0;
        let mut rates: Vec<Rate> = tally.series.history().map(|h| h.1).collect();
        // What has passed since the newest flow belongs to the line too.
        let now = m.upto(view, tally, engine);
        let upto = usize::try_from(now.since(first) / slot).unwrap_or(0).min(2 * HISTORY);
        while rates.len() <= upto {
            rates.push(Rate::default());
        }
        let axis = Self { first, slot, edge: rates.len().saturating_sub(1), rates };
        Some(match m.played().and_then(Remote::end) {
            Some(end) => axis.until(end),
            None => axis,
        })
    }

    /// With what is still to come.
    fn until(self, end: Nanos) -> Self {
        let all = usize::try_from(end.since(self.first).div_euclid(self.slot.max(1))).unwrap_or(0).saturating_add(1);
        if all <= self.rates.len() {
            return self;
        }
        // A slot of so many.
        let n = all.div_ceil(2 * HISTORY).max(1);
        let mut rates: Vec<Rate> = self.rates.chunks(n).map(|c| c.iter().copied().fold(Rate::default(), Rate::plus)).collect();
        rates.resize(all.div_ceil(n), Rate::default());
        Self { slot: self.slot.saturating_mul(i64::try_from(n).unwrap_or(1)), edge: self.edge / n, rates, ..self }
    }

    /// Number of the slot that a time lies in.
    pub fn place(&self, at: Nanos) -> usize {
        let n = usize::try_from(at.since(self.first).div_euclid(self.slot.max(1))).unwrap_or(0);
        n.min(self.rates.len().saturating_sub(1))
    }

    pub fn begin(&self, i: usize) -> Nanos {
        self.first.plus(i64::try_from(i).unwrap_or(0).saturating_mul(self.slot))
    }

    /// The slot under the finger.
    pub fn here(&self, t: &Timeline) -> usize {
        t.at.map_or(self.edge, |at| self.place(at))
    }

    /// Begin of the slot in this column of a screen of that width.
    pub fn at_column(&self, x: u16, width: u16) -> Option<Nanos> {
        let cols = usize::from(width.saturating_sub(HEAD + 1)).max(1);
        let col = usize::from(x.checked_sub(HEAD)?);
        (col < cols).then(|| self.begin(col * self.rates.len().max(1) / cols))
    }

    /// First and last slot of the brush; without one the slot under the finger.
    pub fn brushed(&self, t: &Timeline) -> (usize, usize) {
        let here = self.here(t);
        let other = t.brush.map_or(here, |b| self.place(b));
        (here.min(other), here.max(other))
    }

    /// A filter for what the brush covers.
    pub fn filter(&self, t: &Timeline) -> String {
        let (from, to) = self.brushed(t);
        format!("since:{} until:{}", self.begin(from), self.begin(to + 1).plus(-1))
    }
}

/// The causes of the view that begin within the time, by their first drop: an older one is not new at its left end.
pub fn causes<'a>(m: &'a Model, engine: &'a Engine, axis: &Axis) -> Vec<&'a Cause> {
    let mut out: Vec<&Cause> = m.causes().filter_map(|l| engine.causes().get(l.id)).filter(|c| c.first >= axis.first).collect();
    out.sort_by_key(|c| (c.first, c.id));
    out
}

/// Changes of policies within the time: slot, what changed, when.
pub fn changes(engine: &Engine, axis: &Axis) -> Vec<(usize, String, Nanos)> {
    let end = axis.begin(axis.rates.len());
    let within = |s: &&Step| s.at >= axis.first && s.at < end;
    let told = |s: &Step| {
        let by = s.by().map(|by| format!(" by {by}")).unwrap_or_default();
        format!("{} {}{by}", s.policy().map_or_else(String::new, PolicyRef::path), s.what())
    };
    let mut out: Vec<_> = engine.changes().map(|(_, _, s)| s).filter(within).map(|s| (axis.place(s.at), told(s), s.at)).collect();
    out.sort_by_key(|c| c.2);
    out
}

/// The names of what changed, each where it stands, as many as have room beside each other.
fn labels(pen: &mut Pen<'_>, changes: &[(usize, String, Nanos)], column: &dyn Fn(usize) -> usize, area: Rect) {
    let mut free = 0;
    for (slot, text, _) in changes {
        let text = text.split_once(" by ").map_or(text.as_str(), |(head, _)| head);
        let text = text.split_once('/').map_or(text, |(_, name)| name);
        let w = usize::from(area.width);
        let at = column(*slot).min(w.saturating_sub(width(text)));
        if at >= free && width(text) <= w {
            pen.put(area.x + cut(at), area.y, w - at, text, pen.look.dim());
            free = at + width(text) + 2;
        }
    }
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, t: &Timeline, area: Rect) -> Option<Position> {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if bar::error(pen, m, row(body, 0)) {
        return cursor;
    }
    let found = m.view().and_then(|v| Some((v, Axis::of(m, engine, v, v.tally(engine)?)?)));
    let Some((view, axis)) = found else {
        super::nothing(pen, m, engine, body);
        return cursor;
    };
    let cols = usize::from(area.width.saturating_sub(HEAD + 1)).max(1);
    let n = axis.rates.len().max(1);
    // A slot's first column, and its last.
    let column = |slot: usize| (slot * cols).div_ceil(n).min(cols - 1);
    let end = |slot: usize| ((slot + 1) * cols).div_ceil(n).max(column(slot) + 1).min(cols) - 1;
    let x = area.x + HEAD;
    let lacking: Vec<bool> = (0..axis.rates.len()).map(|i| i <= axis.edge && m.lacks(axis.begin(i), axis.begin(i + 1), engine)).collect();
    let mut unknown = false;
    let lines: [Curve; 2] = [("flows", |r| r.flows, look.plain()), ("drops", |r| r.dropped, look.drop())];
    let (from, to) = axis.brushed(t);
    let brushed = Rect { x: x + cut(column(from)), y: body.y, width: cut(end(to).saturating_sub(column(from)) + 1), height: 2 };
    for (y, (name, get, style)) in (body.y..body.bottom()).zip(lines) {
        pen.put(area.x + 1, y, usize::from(HEAD), name, look.dim());
        let numbers: Vec<u32> = axis.rates.iter().map(get).collect();
        pen.put(x, y, cols, &spark(look, &stretch(&numbers, cols)), style);
        for c in gaps(&numbers, &lacking, cols) {
            unknown = true;
            pen.put(x + cut(c), y, 1, look.g.unknown, look.dim());
        }
        // What was not played yet is not nothing.
        for c in end(axis.edge) + 1..cols {
            pen.put(x + cut(c), y, 1, look.g.dot, look.dim());
        }
    }
    pen.over(Rect { height: brushed.height.min(body.height), ..brushed }, look.selected());
    // Where causes begin.
    let known = causes(m, engine, &axis);
    if body.height > 2 {
        let y = body.y + 2;
        pen.put(area.x + 1, y, usize::from(HEAD), "causes", look.dim());
        for c in 0..cols {
            pen.put(x + cut(c), y, 1, look.g.rule, look.dim());
        }
        for c in &known {
            pen.put(x + cut(column(axis.place(c.first))), y, 1, look.g.up, if c.audit { look.warn() } else { look.drop() });
        }
    }
    // What changed stands under its effect.
    let changed = changes(engine, &axis);
    let mut y = body.y + 3;
    if !changed.is_empty() && body.height > 8 {
        pen.put(area.x + 1, y, usize::from(HEAD), "policy", look.dim());
        for c in 0..cols {
            pen.put(x + cut(c), y, 1, look.g.rule, look.dim());
        }
        for (slot, ..) in &changed {
            pen.put(x + cut(column(*slot)), y, 1, look.g.turn, look.accent());
        }
        labels(pen, &changed, &column, Rect { x, y: y + 1, width: cut(cols), height: 1 });
        y += 2;
    }
    let body = Rect { y: y - 3, height: body.bottom().saturating_sub(y - 3), ..body };
    if body.height > 3 {
        clocks(pen, m, &axis, Rect { x, y: body.y + 3, width: cut(cols), height: 1 });
    }
    if body.height > 5 {
        let sum = axis.rates.get(from..=to).unwrap_or_default().iter().copied().fold(Rate::default(), Rate::plus);
        let time = local(m, axis.begin(from));
        let lasts = span(i64::try_from(to - from + 1).unwrap_or(1).saturating_mul(axis.slot));
        let (flows, dropped) = (many(u64::from(sum.flows), "flow"), count(u64::from(sum.dropped)));
        let lacks = lacking.get(from..=to).is_some_and(|l| l.contains(&true));
        let counted = format!(" {time}, {lasts}: {flows}, {dropped} dropped");
        let whole = format!("{counted}; some may be lacking");
        let text = match (from > axis.edge, lacks) {
            (true, _) => format!(" {time}, {lasts}: not played yet; J plays on from here"),
            (_, true) if width(&whole) <= usize::from(area.width) => whole,
            (_, true) => format!("{counted} {}", look.g.unknown),
            _ => counted,
        };
        pen.put(area.x, body.y + 4, usize::from(area.width), &text, look.plain());
        legend(pen, (unknown, axis.edge + 1 < n), width(&text), Rect { y: body.y + 4, height: 1, ..area });
        let here: Vec<&(usize, String, Nanos)> = changed.iter().filter(|c| (from..=to).contains(&c.0)).collect();
        let new: Vec<&&Cause> = known.iter().filter(|c| (from..=to).contains(&axis.place(c.first))).collect();
        if let Some(c) = new.first() {
            let more = if new.len() > 1 { format!("  and {} more", new.len() - 1) } else { String::new() };
            let room = usize::from(area.width).saturating_sub(6 + width(&more));
            let text = format!(" new: {}{more}", crate::tui::text::clip(&drops::sentence(c), room, look.g.gap));
            pen.put(area.x, body.y + 5, usize::from(area.width), &text, look.strong());
        } else if let Some((_, what, at)) = here.first() {
            let more = if here.len() > 1 { format!("  and {} more", here.len() - 1) } else { String::new() };
            let text = format!(" {} {what}{more}", local(m, *at));
            pen.put(area.x, body.y + 5, usize::from(area.width), &text, look.accent());
        }
    }
    if body.height > 7 {
        let rest = Rect { y: body.y + 6, height: body.height - 6, ..body };
        // At "now" stand the newest flows: its slot may have none yet.
        let newest = view.len(engine).saturating_sub(usize::from(rest.height));
        let first = if t.at.is_none() && t.brush.is_none() { newest } else { first_at(view, engine, axis.begin(from)) };
        flows::from(pen, m, engine, view, first, rest);
    }
    cursor
}

/// What stands in place of bars, as far as there is any of it, and room beside what stands on the line.
fn legend(pen: &mut Pen<'_>, (unknown, ahead): (bool, bool), taken: usize, line: Rect) {
    let look = pen.look;
    let signs = [(look.g.unknown, "not known (8)", unknown), (look.g.dot, "not played yet", ahead)];
    let said: Vec<String> = signs.iter().filter(|s| s.2).map(|s| format!("{} {}", s.0, s.1)).collect();
    let said = said.join("   ");
    if taken + width(&said) + 3 <= usize::from(line.width) {
        pen.put(line.right().saturating_sub(cut(width(&said) + 1)), line.y, width(&said), &said, look.dim());
    }
}

fn cut(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn local(m: &Model, at: Nanos) -> String {
    at.plus(i64::from(m.options.offset) * Nanos::SECOND).utc().format("%H:%M:%S").to_string()
}

/// Times below the line, as many as there is room for.
fn clocks(pen: &mut Pen<'_>, m: &Model, axis: &Axis, area: Rect) {
    let look = pen.look;
    let n = axis.rates.len().max(1);
    let each = 16usize;
    let last = if m.streams_now() { "now".to_owned() } else { local(m, axis.begin(n - 1)) };
    let open = m.played().is_some_and(|r| r.end().is_none());
    let last = if open { format!("{last}, end not known yet") } else { last };
    for c in (0..usize::from(area.width).saturating_sub(8 + 2 + width(&last))).step_by(each) {
        let text = local(m, axis.begin(c * n / usize::from(area.width).max(1)));
        pen.put(area.x + cut(c), area.y, each, &text, look.dim());
    }
    let x = area.right().saturating_sub(cut(width(&last)));
    pen.put(x.saturating_sub(1), area.y, width(&last) + 1, &format!(" {last}"), look.dim());
}

/// The first row of the view that is not older than `at`. Rows are nearly in the order of time.
fn first_at(v: &View, engine: &Engine, at: Nanos) -> usize {
    let (mut lo, mut hi) = (0, v.len(engine));
    while lo < hi {
        let mid = lo + (hi - lo) / 2;
        let before = v.seq(mid, engine).and_then(|s| engine.store().at(s)).is_some_and(|t| t < at);
        if before { lo = mid + 1 } else { hi = mid }
    }
    lo
}
