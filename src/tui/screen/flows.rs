//! The flows table with the filter bar above and the drops pane below. Each drop stands beside the policy that caused it.
use super::{drops, row};
use crate::engine::Engine;
use crate::model::input::Link;
use crate::model::view::Field;
use crate::tui::column::{Column, Place, layout};
use crate::tui::model::{Model, Screen};
use crate::tui::text::{count, short, span, width, wrap};
use crate::tui::theme::{Depth, Look};
use crate::tui::view::View;
use crate::tui::widget::cell::Flow;
use crate::tui::widget::name::{name, port};
use crate::tui::widget::pen::{Pen, Seg, fitted, length, seg};
use crate::tui::widget::{bar, verdict};
use ratatui::layout::{Position, Rect};

/// Lines of causes in the pane; 0 = no pane.
pub fn pane_height(m: &Model) -> u16 {
    if !has_pane(m) {
        return 0;
    }
    let room = match m.height {
        0..12 => 1,
        12..18 => 2,
        h => h / 5,
    };
    u16::try_from(m.causes().take(usize::from(room)).count()).unwrap_or(0)
}

fn has_pane(m: &Model) -> bool {
    matches!(m.screen(), Some(Screen::Flows(_))) && !m.hide_pane && m.width >= 60
}

/// Lines of the pane with its rule. Where no cause is listed, the rule alone says which ones are not.
fn pane_lines(m: &Model) -> u16 {
    match pane_height(m) {
        0 => u16::from(has_pane(m) && !drops::left_out(m).is_empty()),
        n => n + 1,
    }
}

/// Lines of the table: without header, filter bar, heads, pane with its rule, hints.
pub fn table_height(m: &Model) -> u16 {
    m.height.saturating_sub(4 + pane_lines(m))
}

/// The columns that are shown in that width.
pub fn columns(m: &Model, width: u16) -> Vec<Place> {
    layout(&m.columns, width, m.wide)
}

/// The heads of the columns; that of the one under the finger stands out.
pub fn heads(pen: &mut Pen<'_>, m: &Model, places: &[Place], finger: bool, area: Rect) {
    for p in places {
        let spec = p.column.spec();
        let style = if finger && p.column == m.finger { pen.look.accent() } else { pen.look.dim() };
        if spec.right {
            pen.number(area.x + p.x, area.y, p.w, spec.head, style);
        } else {
            pen.put(area.x + p.x, area.y, usize::from(p.w), spec.head, style);
        }
    }
}

/// Draws the screen; gives back the cursor of the prompt and a note for the last line.
pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, v: &View, area: Rect) -> (Option<Position>, String) {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let cols = columns(m, area.width);
    let head = row(area, 1);
    if !bar::error(pen, m, head) {
        heads(pen, m, &cols, m.finger != Column::Time, head);
        if !m.in_pane && !v.follow && v.len(engine) > 0 && m.streams(engine) {
            let below = v.len(engine) - 1 - v.at(engine).unwrap_or(0);
            let (x, room) = free(&cols, area.width);
            pen.ends(Rect { x: area.x + x, width: room, ..head }, &[], &[seg(held(below as u64, room), look.dim())]);
        }
    }
    let page = table_height(m);
    let table = Rect { y: area.y + 2, height: page, ..area };
    let note = if v.len(engine) == 0 {
        empty(pen, m, engine, v, table);
        String::new()
    } else {
        rows(pen, m, engine, v, table, &cols)
    };
    let pane = pane_lines(m);
    if pane > 0 {
        let at = Rect { y: table.bottom(), height: pane, ..area };
        drops::pane(pen, m, engine, at);
    }
    let note = if m.in_pane { drops::spoken(m, engine) } else { note };
    (cursor, note)
}

/// The widest place between two heads, or behind the last one: where it begins, and its columns.
fn free(cols: &[Place], width: u16) -> (u16, u16) {
    let head = |p: &Place| u16::try_from(p.column.spec().head.len()).unwrap_or(p.w);
    let end = |p: &Place| p.x + if p.column.spec().right { p.w } else { head(p) } + 1;
    let next = cols.iter().skip(1).map(|p| if p.column.spec().right { p.x } else { p.x - 1 }).chain([width]);
    cols.iter().zip(next).map(|(p, next)| (end(p), next.saturating_sub(end(p)))).max_by_key(|g| g.1).unwrap_or((0, width))
}

/// How many flows have come below a held row, in as many words as there is room for.
fn held(below: u64, room: u16) -> String {
    let (all, some) = (count(below), short(below));
    let said = match below {
        0 => ["held, G follows ".to_owned(), "held, G ".to_owned(), String::new()],
        _ => [format!("{all} newer, G follows "), format!("{some} newer, G "), format!("+{some} ")],
    };
    said.into_iter().find(|s| width(s) <= usize::from(room)).unwrap_or_default()
}

/// The letter of a mark that stands on the `i`th row: one set on it, else one whose flow the filter hides behind it.
fn marked(m: &Model, engine: &Engine, v: &View, i: usize, seq: u64) -> Option<(char, bool)> {
    let next = v.seq(i + 1, engine).unwrap_or(engine.store().seqs().end);
    let from = if i == 0 { engine.store().seqs().start } else { seq };
    let here = m.marks.iter().find(|(_, at)| **at == seq);
    let near = || m.marks.iter().find(|(_, at)| (from..next).contains(*at));
    here.map(|(l, _)| (*l, true)).or_else(|| near().map(|(l, _)| (*l, false)))
}

fn rows(pen: &mut Pen<'_>, m: &Model, engine: &Engine, v: &View, area: Rect, cols: &[Place]) -> String {
    let top = v.top(engine, usize::from(area.height));
    let selected = v.at(engine);
    let mut note = String::new();
    for (y, i) in (area.y..area.bottom()).zip(top..) {
        let Some((seq, flow)) = v.seq(i, engine).and_then(|s| Some((s, Flow::of(m, engine, v, s)?))) else { break };
        let mark = marked(m, engine, v, i, seq);
        if let Some((letter, exact)) = mark {
            let style = if exact { m.look.accent() } else { m.look.dim() };
            pen.put(area.x, y, 1, letter.encode_utf8(&mut [0; 4]), style);
        }
        let whole = one(pen, &flow, Rect { y, height: 1, ..area }, cols);
        if selected == Some(i) {
            note = whole.unwrap_or_default();
            let style = if m.in_pane { m.look.strong() } else { m.look.selected() };
            // The bar says which row it is; its own letter stays readable on it.
            if mark.is_none_or(|(_, exact)| !exact) {
                pen.put(area.x, y, 1, m.look.g.here, m.look.accent());
            }
            pen.over(Rect { x: area.x, y, width: area.width, height: 1 }, style);
        }
    }
    note
}

/// Rows of a view from its `first` on, without a selection.
pub fn from(pen: &mut Pen<'_>, m: &Model, engine: &Engine, v: &View, first: usize, area: Rect) {
    let cols = columns(m, area.width);
    for (y, i) in (area.y..area.bottom()).zip(first..) {
        let Some(flow) = v.seq(i, engine).and_then(|s| Flow::of(m, engine, v, s)) else { break };
        one(pen, &flow, Rect { y, height: 1, ..area }, &cols);
    }
}

/// One row; gives back what had to be cut, whole: a drop's policy and what is wrong before the names.
fn one(pen: &mut Pen<'_>, flow: &Flow<'_>, area: Rect, cols: &[Place]) -> Option<String> {
    let look = pen.look;
    let (mut cut, mut policy) = (false, None);
    for p in cols {
        let cell = flow.cell(*p, cols);
        let (x, long) = (area.x + p.x, length(&cell));
        match (&cell[..], p.column) {
            (_, Column::Verdict) => {
                if put_verdict(pen, (x, area.y, p.w), &cell) {
                    policy = verdict::spoken(flow.engine, &flow.row);
                }
            }
            ([(text, style)], c) if c.spec().right => pen.number(x, area.y, p.w, text, *style),
            ([(text, style)], c) => {
                cut |= matches!(c, Column::From | Column::To | Column::Flow) && long > usize::from(p.w);
                pen.cell(x, area.y, p.w, text, *style);
            }
            _ => {
                pen.line(Rect { x, width: p.w, ..area }, &cell);
            }
        }
    }
    let (from, to) = flow.names();
    policy.or_else(|| cut.then(|| format!("{from} {} {to}", look.g.arrow)))
}

/// The name in the middle of the cell gives way, so that the side before and the count after stay. Says whether anything had to.
fn put_verdict(pen: &mut Pen<'_>, (x, y, w): (u16, u16, u16), cell: &[Seg]) -> bool {
    let area = Rect { x, y, width: w, height: 1 };
    let over = length(cell).saturating_sub(usize::from(w));
    if over == 0 || cell.len() < 3 {
        pen.line(area, &fitted(cell, usize::from(w), pen.look.g.gap));
        return over > 0;
    }
    let last = cell.last().map_or(0, |s| width(&s.0));
    // A long end (a path, a sentence) is cut itself.
    let which = if last > 8 { cell.len() - 1 } else { 2 };
    let cut: Vec<Seg> = cell
        .iter()
        .enumerate()
        .map(|(i, (s, style))| {
            let room = width(s).saturating_sub(over);
            if i == which { (crate::tui::text::clip(s, room.max(3), pen.look.g.gap), *style) } else { (s.clone(), *style) }
        })
        .collect();
    // Where that is not enough the end is marked as cut too.
    pen.line(area, &fitted(&cut, usize::from(w), pen.look.g.gap));
    true
}

/// One flow as a line of text, for the clipboard.
pub fn row_text(m: &Model, engine: &Engine, seq: u64) -> Option<String> {
    let r = &engine.store().row(seq)?;
    let look = Look::new(m.look.theme, Depth::None, false);
    let cell: String = verdict::cell(look, engine, seq, r, true, false).into_iter().map(|s| s.0).collect();
    let (from, to) = (name(engine.store(), &r.src, None, true), name(engine.store(), &r.dst, None, true));
    let text = format!("{} {from} -> {to} {} {cell}", r.at, port(r));
    Some(crate::tui::text::clean(&text).into_owned())
}

/// What only a proxy tells.
const REQUESTS: [Field; 8] = [
    Field::HttpCode,
    Field::HttpMethod,
    Field::HttpUrl,
    Field::HttpHeaders,
    Field::DnsQuery,
    Field::DnsRcode,
    Field::KafkaTopic,
    Field::LatencyNs,
];
/// Flows among which a request is looked for; there may be a million.
const LOOKED_AT: u64 = 2_000;

/// Whether a proxy told of any of the newest flows.
fn has_requests(engine: &Engine) -> bool {
    let mut newest = engine.store().seqs().rev().take(usize::try_from(LOOKED_AT).unwrap_or(usize::MAX));
    newest.any(|seq| engine.store().row(seq).is_some_and(|r| r.l7.is_some()))
}

/// Why there is nothing to see, and what to do about it.
fn empty(pen: &mut Pen<'_>, m: &Model, engine: &Engine, v: &View, area: Rect) {
    let look = m.look;
    let mut lines: Vec<Vec<Seg>> = vec![Vec::new()];
    let say = |s: String, style| vec![seg(format!("  {s}"), style)];
    if v.behind(engine) {
        lines.push(say(format!("looking: {} %", v.progress(engine)), look.dim()));
    } else if !engine.store().is_empty() && !v.is_all() {
        lines.push(say("no flow matches this filter".to_owned(), look.plain()));
        lines.push(say("/ changes it, Ctrl-u in it clears it".to_owned(), look.dim()));
        if [Field::Outcome, Field::Policies].into_iter().any(|f| v.filter().fields().contains(f)) {
            let text = v.text();
            let said = format!(
                "here flows that passed are not judged: no outcome or policy is known of them. 9 says who was let in by which rule; flowhy observe --why=all '{text}' judges every flow"
            );
            let said = wrap(&said, usize::from(area.width).saturating_sub(3));
            lines.extend(said.into_iter().map(|l| say(l, look.dim())));
        }
        let asks = REQUESTS.into_iter().any(|f| v.filter().fields().contains(f));
        if asks && !has_requests(engine) {
            let said = format!(
                "none of the newest {} flows is a request: L7 visibility needs an L7 rule, which also isolates",
                count(LOOKED_AT.min(engine.store().len() as u64))
            );
            let said = wrap(&said, usize::from(area.width).saturating_sub(3));
            lines.extend(said.into_iter().map(|l| say(l, look.dim())));
        }
    } else if m.streams(engine) {
        if engine.links().is_empty() {
            lines.push(say("starting".to_owned(), look.dim()));
        }
        for link in engine.links().values() {
            match link {
                Link::Connecting { server } => lines.push(say(format!("connecting to {server}"), look.plain())),
                Link::Connected { server } => lines.push(say(format!("connected to {server}, waiting for flows"), look.plain())),
                Link::Down { server, cause, hint, retry_ms } => {
                    lines.push(say(format!("cannot reach {server}"), look.drop()));
                    for (head, text) in std::iter::once(("cause: ", cause)).chain(hint.iter().map(|h| ("hint: ", h))) {
                        for (i, l) in wrap(text, usize::from(area.width).saturating_sub(width(head) + 5)).into_iter().enumerate() {
                            let head = if i == 0 { head.to_owned() } else { " ".repeat(width(head)) };
                            lines.push(say(format!("  {head}{l}"), look.plain()));
                        }
                    }
                    let wait = span(i64::try_from(*retry_ms).unwrap_or(0).saturating_mul(1_000_000));
                    lines.push(say(format!("  trying again in {wait}"), look.dim()));
                }
                Link::Lost { server, cause, .. } => lines.push(say(format!("{server} is given up: {cause}"), look.drop())),
                Link::Late { .. } | Link::Left { .. } | Link::Skewed { .. } | Link::Clock { .. } => {}
            }
        }
    } else if m.closed {
        lines.push(say("no flows in it".to_owned(), look.plain()));
        lines.push(say("8 shows where every line went".to_owned(), look.dim()));
    } else {
        lines.push(say("reading".to_owned(), look.dim()));
    }
    for (_, how) in engine.ended() {
        if let Err(e) = how {
            lines.push(say(e.clone(), look.drop()));
        }
    }
    pen.lines(area, &lines, 0);
}
