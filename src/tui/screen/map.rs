//! One service, who calls it and whom it calls; and below, the busiest pairs of all. Rates are connections begun, each counted once.
use super::{foot, row};
use crate::engine::Engine;
use crate::engine::edges::{Edge, EdgeId, Edges, Slot, Waits};
use crate::engine::tally::Tally;
use crate::model::time::Nanos;
use crate::tui::board::{List, Map, Sort};
use crate::tui::model::Model;
use crate::tui::text::{many, span, width};
use crate::tui::theme::Look;
use crate::tui::view::View;
use crate::tui::widget::bar;
use crate::tui::widget::name::{fixed_namespace, narrowed};
use crate::tui::widget::pen::{Pen, Seg, length, seg};
use crate::tui::widget::spark::{per_second, percent, spark};
use ratatui::layout::{Position, Rect};

/// Below this width one list is shown at a time.
const NARROW: u16 = 60;

/// The sums of one picture: up to which slot, and over how many seconds.
pub struct Window<'a> {
    pub edges: &'a Edges,
    pub slot: i64,
    pub seconds: i64,
    /// When it begins, if it leaves something out.
    pub since: Option<Nanos>,
}

pub fn window<'a>(m: &Model, engine: &Engine, view: &View, tally: &'a Tally) -> Window<'a> {
    let now = m.upto(view, tally, engine);
    let first = tally.series.span().map(|s| s.0);
    let slot = tally.edges.slot_at(now);
    let begin = tally.edges.begin(slot);
    Window { edges: &tally.edges, slot, seconds: tally.edges.seconds(first, now), since: first.filter(|f| *f < begin).map(|_| begin) }
}

impl Window<'_> {
    /// A filter for the flows of the window only.
    pub fn within(&self, filter: &str) -> String {
        self.since.map_or_else(|| filter.to_owned(), |begin| format!("{filter} since:{begin}"))
    }

    fn sum(&self, e: &Edge) -> Slot {
        e.sum(self.slot)
    }
}

/// The party to begin with: most drops, then most calls.
pub fn busiest(w: &Window<'_>) -> Option<String> {
    let mut sums: std::collections::HashMap<_, (u32, u32)> = std::collections::HashMap::new();
    for (_, e) in w.edges.iter() {
        let s = w.sum(e);
        for node in [e.from, e.to] {
            let t = sums.entry(node).or_default();
            *t = (t.0.saturating_add(s.dropped), t.1.saturating_add(s.calls));
        }
    }
    // The world is in the middle of nothing.
    let inside = sums.into_iter().filter(|(n, _)| w.edges.node_of(*n).is_some_and(|n| n.group != "world"));
    inside.max_by_key(|(n, s)| (*s, std::cmp::Reverse(*n))).map(|(n, _)| w.edges.name(n).to_owned())
}

/// The pairs of a party in the order they should have: callers, or calls.
pub fn pairs(w: &Window<'_>, map: &Map, out: bool) -> Vec<EdgeId> {
    let Some(focus) = map.focus.as_deref().and_then(|f| w.edges.find(f)) else { return Vec::new() };
    let mine = w.edges.iter().filter(|(_, e)| if out { e.from == focus } else { e.to == focus });
    let mut list: Vec<_> = mine.map(|(id, e)| (id, w.sum(e), w.edges.name(if out { e.to } else { e.from }), e.port)).collect();
    list.retain(|l| l.1 != Slot::default());
    list.sort_by(|a, b| {
        let name = || (a.2, a.3).cmp(&(b.2, b.3));
        match map.sort {
            Sort::Count => b.1.calls.cmp(&a.1.calls).then_with(name),
            Sort::Drops => (b.1.dropped, b.1.audited).cmp(&(a.1.dropped, a.1.audited)).then_with(name),
            Sort::Name | Sort::New | Sort::Last | Sort::Allows => name(),
        }
    });
    if map.reverse {
        list.reverse();
    }
    list.into_iter().map(|l| l.0).collect()
}

/// A filter that finds the flows of a pair.
pub fn filter_of(edges: &Edges, e: &Edge) -> String {
    let side = |node, side: &str| {
        let atoms = edges.node_of(node).map(|n| n.atoms.as_slice()).unwrap_or_default();
        atoms.iter().map(|a| format!("{side}.{a}")).collect::<Vec<_>>()
    };
    let port = if e.port == 0 { Vec::new() } else { vec![format!("to.port:{}", e.port)] };
    [side(e.from, "from"), side(e.to, "to"), port].concat().join(" ")
}

/// Columns of a list: of its names, and of its verdicts; the rate has eight between them.
fn widths(w: u16) -> (u16, u16) {
    let mark_w = 8.min(w / 4);
    (w.saturating_sub(2 + 8 + 1 + mark_w + 1), mark_w)
}

/// Whether the list in this column is that of the calls, and by what a click on its head sorts.
pub fn sort_at(x: u16, width: u16, map: &Map) -> (bool, Sort) {
    let half = width / 2;
    let (out, from, w) = match width {
        0..NARROW => (map.out, 0, width),
        _ if x < half => (false, 0, half.saturating_sub(1)),
        _ => (true, half, width - half),
    };
    let names = 2 + widths(w).0;
    let sort = match x - from {
        x if x < names => Sort::Name,
        x if x < names + 8 => Sort::Count,
        _ => Sort::Drops,
    };
    (out, sort)
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, map: &Map, area: Rect) -> Option<Position> {
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if bar::error(pen, m, row(body, 0)) {
        return cursor;
    }
    let Some((view, tally)) = m.view().and_then(|v| Some((v, v.tally(engine)?))) else {
        super::nothing(pen, m, engine, body);
        return cursor;
    };
    let w = window(m, engine, view, tally);
    let Some(focus) = map.focus.as_deref().filter(|_| !(map.callers.lines.is_empty() && map.calls.lines.is_empty())) else {
        super::nothing(pen, m, engine, body);
        return cursor;
    };
    let look = m.look;
    // Lists, a line about the middle, and (with room) the busiest pairs.
    let longest = map.callers.lines.len().max(map.calls.lines.len());
    let tail = if body.height >= 16 { 4 + (body.height - 12) / 3 } else { 0 };
    let lists = body.height.saturating_sub(2 + tail).min(u16::try_from(longest).unwrap_or(u16::MAX).max(1) + 1).max(1);
    let fixed = fixed_namespace(view.text());
    let columns = Lists { w: &w, look, fixed };
    if area.width < NARROW {
        let (list, title) = if map.out { (&map.calls, "CALLS") } else { (&map.callers, "CALLERS") };
        let rest = if map.out { map.callers.lines.len() } else { map.calls.lines.len() };
        let title = format!("{title}   o: {rest} {}", if map.out { "callers" } else { "calls" });
        columns.draw(pen, list, &title, map.out, true, Rect { height: lists, ..body });
    } else {
        let half = area.width / 2;
        let left = Rect { width: half.saturating_sub(1), height: lists, ..body };
        let right = Rect { x: area.x + half, width: area.width - half, height: lists, ..body };
        columns.draw(pen, &map.callers, "CALLERS", false, !map.out, left);
        columns.draw(pen, &map.calls, "CALLS", true, map.out, right);
    }
    let y = body.y + lists + 1;
    if y < body.bottom() {
        let line = middle(look, &w, focus, usize::from(area.width));
        let x = usize::from(area.width).saturating_sub(length(&line)) / 2;
        pen.line(Rect { x: area.x + u16::try_from(x).unwrap_or(0), y, height: 1, width: area.width }, &line);
    }
    if tail > 0 && y + 3 < body.bottom() {
        let rest = Rect { y: y + 2, height: body.bottom().saturating_sub(y + 2), ..body };
        busiest_pairs(pen, &w, rest);
    }
    cursor
}

struct Lists<'a> {
    w: &'a Window<'a>,
    look: Look,
    fixed: Option<&'a str>,
}

impl Lists<'_> {
    fn draw(&self, pen: &mut Pen<'_>, list: &List<EdgeId>, title: &str, out: bool, focus: bool, area: Rect) {
        let look = self.look;
        let style = if focus { look.accent() } else { look.dim() };
        pen.put(area.x + 1, area.y, usize::from(area.width), title, style);
        let page = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        if list.lines.is_empty() && page.height > 0 {
            pen.put(page.x + 2, page.y, usize::from(page.width), if out { "calls nobody" } else { "nobody calls it" }, look.dim());
        }
        let height = usize::from(page.height);
        let at = list.at();
        let top = if at < height { 0 } else { at + 1 - height };
        foot(pen, area, list.lines.len().saturating_sub(top + height));
        for (y, (i, id)) in (page.y..page.bottom()).zip(list.lines.iter().enumerate().skip(top)) {
            let Some(e) = self.w.edges.get(*id) else { continue };
            let sum = self.w.sum(e);
            let name = self.w.edges.name(if out { e.to } else { e.from });
            let name = name.split_once('/').filter(|(ns, _)| self.fixed == Some(ns)).map_or(name, |(_, rest)| rest);
            let port =
                if e.port == 0 { e.l4.map_or(String::new(), |l| format!(" {}", l.word().to_lowercase())) } else { format!(" :{}", e.port) };
            let (mark, style) = verdict(look, sum);
            let (name_w, mark_w) = widths(page.width);
            let cut = usize::from(name_w).saturating_sub(width(&port));
            let name = narrowed(name, cut, look.g.gap);
            pen.put(page.x + 2, y, usize::from(name_w), &format!("{name}{port}"), look.plain());
            pen.number(page.x + 2 + name_w, y, 8, &format!("{}/s", per_second(u64::from(sum.calls), self.w.seconds)), look.strong());
            pen.cell(page.x + 2 + name_w + 9, y, mark_w, &mark, style);
            if i == at && focus {
                pen.put(page.x, y, 1, look.g.here, look.accent());
                pen.over(Rect { y, height: 1, ..page }, look.selected());
            }
        }
    }
}

/// `✓`, `✗ 412`, `~ 14`, and for what a proxy saw fail `! 3`.
fn verdict(look: Look, sum: Slot) -> (String, ratatui::style::Style) {
    let n = |n: u32| crate::tui::text::short(u64::from(n));
    match sum {
        Slot { dropped: 1.., .. } => (format!("{} {}", look.g.no, n(sum.dropped)), look.drop()),
        Slot { audited: 1.., .. } => (format!("{} {}", look.g.audit, n(sum.audited)), look.warn()),
        Slot { failed: 1.., .. } => (format!("{} {} err", look.g.ok, n(sum.failed)), look.warn()),
        _ => (look.g.ok.to_owned(), look.pass()),
    }
}

/// `842/s in ──► shop/cart ──► 417/s out   p50 3 ms · 0.4 % failed`.
fn middle(look: Look, w: &Window<'_>, focus: &str, room: usize) -> Vec<Seg> {
    let (mut sums, mut waits) = ([Slot::default(); 2], Waits::default());
    if let Some(node) = w.edges.find(focus) {
        for (_, e) in w.edges.iter() {
            if e.to == node {
                sums[0] = sums[0].plus(w.sum(e));
                waits = waits.plus(&e.waits(w.slot));
            }
            if e.from == node {
                sums[1] = sums[1].plus(w.sum(e));
            }
        }
    }
    let rate = |s: Slot| per_second(u64::from(s.calls), w.seconds);
    let whole = |arrow: String, focus: &str| {
        vec![
            seg(format!("{}/s in", rate(sums[0])), look.plain()),
            seg(arrow.clone(), look.dim()),
            seg(focus, look.accent()),
            seg(arrow, look.dim()),
            seg(format!("{}/s out", rate(sums[1])), look.plain()),
        ]
    };
    let mut line = whole(format!("  {0}{0}{1}  ", look.g.rule, look.g.arrow), focus);
    if length(&line) > room {
        // The rates stay; the name stands in the first line too.
        let arrow = format!(" {} ", look.g.arrow);
        let rest = length(&whole(arrow.clone(), ""));
        line = whole(arrow, &crate::tui::text::clip(focus, room.saturating_sub(rest), look.g.gap));
    }
    let mut notes = Vec::new();
    if let Some(us) = waits.median() {
        let time = if us < 1_000 { format!("{us} us") } else { span(i64::try_from(us).unwrap_or(0).saturating_mul(1_000)) };
        notes.push(format!("p50 {time}"));
    }
    if sums[0].answers > 0 {
        notes.push(match sums[0].failed {
            0 => "none failed".to_owned(),
            n => format!("{} % failed", percent(u64::from(n), u64::from(sums[0].answers))),
        });
    }
    let note = seg(format!("      {}", notes.join(look.g.sep)), look.dim());
    if length(&line) + width(&note.0) <= room {
        line.push(note);
    }
    line
}

fn busiest_pairs(pen: &mut Pen<'_>, w: &Window<'_>, area: Rect) {
    let look = pen.look;
    let minutes = span(w.seconds.saturating_mul(Nanos::SECOND));
    let over =
        if w.edges.overflow > 0 { format!("{} found no room here", many(w.edges.overflow, "flow")) } else { format!("over {minutes}") };
    pen.rule(row(area, 0), &[seg(" busiest of all", look.strong())], &over);
    let mut all: Vec<(&Edge, Slot)> = w.edges.iter().map(|(_, e)| (e, w.sum(e))).filter(|(_, s)| *s != Slot::default()).collect();
    let key = |(e, s): &(&Edge, Slot)| (std::cmp::Reverse(s.calls), e.from, e.to, e.port);
    let room = usize::from(area.height.saturating_sub(1));
    if all.len() > room && room > 0 {
        all.select_nth_unstable_by_key(room - 1, key);
        all.truncate(room);
    }
    all.sort_by_key(key);
    let spark_w: u16 = if area.width < NARROW { 0 } else { 11 };
    let name_w = area.width.saturating_sub(3 + 9 + 1 + spark_w + 9);
    for (y, (e, s)) in (area.y + 1..area.bottom()).zip(all) {
        let port = if e.port == 0 { String::new() } else { format!(":{}", e.port) };
        let name = crate::tui::widget::name::pair(look, (w.edges.name(e.from), w.edges.name(e.to)), &port, usize::from(name_w));
        let (mark, style) = verdict(look, s);
        pen.cell(area.x + 2, y, name_w, &name, look.plain());
        pen.number(area.x + 2 + name_w, y, 9, &format!("{}/s", per_second(u64::from(s.calls), w.seconds)), look.strong());
        if spark_w > 0 {
            let slots: Vec<u32> = e.slots(w.slot).map(|s| s.calls).collect();
            let bars: Vec<u32> = slots.chunks(3).map(|c| c.iter().sum()).collect();
            pen.put(area.x + 2 + name_w + 11, y, usize::from(spark_w), &spark(look, &bars), look.dim());
        }
        pen.cell(area.right().saturating_sub(8), y, 8, &mark, style);
    }
}
