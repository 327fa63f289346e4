//! Rates over a minute, five, or an hour; verdicts, reasons of drops and nodes as shares; and the balance of the ledger.
use super::row;
use crate::engine::Engine;
use crate::engine::series::{Rate, SLOTS, WIDTHS};
use crate::model::reason;
use crate::model::time::Nanos;
use crate::tui::board::Stats;
use crate::tui::model::Model;
use crate::tui::text::{count, short};
use crate::tui::theme::Look;
use crate::tui::widget::bar;
use crate::tui::widget::pen::{Pen, Seg, seg};
use crate::tui::widget::spark::{gaps, per_second, percent, spark, stretch};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// The windows as people call them.
pub const NAMES: [&str; 3] = ["1 min", "5 min", "1 h"];
/// A line of bars: what it is called, what of a slot it shows, how it looks.
pub type Curve = (&'static str, fn(&Rate) -> u32, Style);

/// Lines of a panel.
const MOST: usize = 12;

/// A line that stands for flows: what is said, how much, and the filter that finds them.
pub struct Line {
    panel: usize,
    text: String,
    n: u64,
    all: u64,
    /// How much, in the words of its panel.
    said: String,
    style: Style,
    pub filter: String,
}

/// All lines, panel by panel: verdicts, reasons, nodes.
pub fn lines(m: &Model, engine: &Engine, s: &Stats) -> Vec<Line> {
    let Some((view, tally)) = m.view().and_then(|v| Some((v, v.tally(engine)?))) else { return Vec::new() };
    let look = m.look;
    let now = m.upto(view, tally, engine);
    let sum = tally.series.window(s.window, now).fold(Rate::default(), Rate::plus);
    let all = u64::from(sum.flows);
    let width = WIDTHS.get(s.window).copied().unwrap_or(1);
    let since = tally.series.span().map_or(0, |first| now.since(first.0) / Nanos::SECOND + 1);
    let seconds = since.clamp(1, width * SLOTS as i64);
    let other = sum.flows.saturating_sub(sum.passed.saturating_add(sum.stopped).saturating_add(sum.audited));
    let mut out = Vec::new();
    let verdicts = [
        (look.g.ok, "forwarded", sum.passed, look.pass(), "verdict:forwarded,redirected"),
        (look.g.no, "dropped", sum.stopped, look.drop(), "verdict:dropped,error"),
        (look.g.audit, "audit", sum.audited, look.warn(), "verdict:audit"),
        (look.g.dot, "other", other, look.dim(), "not verdict:forwarded,redirected,dropped,error,audit"),
    ];
    for (glyph, word, n, style, filter) in verdicts {
        if n > 0 || word == "forwarded" || word == "dropped" {
            let (n, text, filter) = (u64::from(n), format!("{glyph} {word}"), filter.to_owned());
            out.push(Line { panel: 0, text, n, all, said: format!("{} %", percent(n, all)), style, filter });
        }
    }
    let reasons = tally.series.reasons(s.window, now);
    let dropped: u64 = reasons.iter().map(|r| r.1).sum();
    for (number, n) in reasons.into_iter().take(MOST) {
        let known = reason::by_number(u32::from(number));
        let text =
            if number == 0 { "no reason given".to_owned() } else { known.map_or(format!("reason {number}"), |r| r.printed.to_owned()) };
        let filter = match known {
            Some(r) if !r.name.is_empty() && number != 0 => format!("drop:{}", r.name),
            _ => "verdict:dropped,error".to_owned(),
        };
        out.push(Line { panel: 1, text, n, all: dropped, said: short(n), style: look.drop(), filter });
    }
    for (name, n) in tally.series.nodes(s.window, now).into_iter().take(MOST) {
        let filter = format!("node:{name}");
        let said = format!("{}/s", per_second(n, seconds));
        out.push(Line { panel: 2, text: name.to_owned(), n, all, said, style: look.plain(), filter });
    }
    // Behind a line stand the flows it counts.
    if let Some(begin) = tally.series.cut(s.window, now) {
        out.iter_mut().for_each(|l| l.filter.push_str(&format!(" since:{begin}")));
    }
    out
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, s: &Stats, area: Rect) -> Option<Position> {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if bar::error(pen, m, row(body, 0)) {
        return cursor;
    }
    let Some((view, tally)) = m.view().and_then(|v| Some((v, v.tally(engine)?))).filter(|(_, t)| t.series.span().is_some()) else {
        super::nothing(pen, m, engine, body);
        return cursor;
    };
    let now = m.upto(view, tally, engine);
    let mut windows = vec![seg(" window ", look.dim())];
    for (i, name) in NAMES.iter().enumerate() {
        windows.push(seg(format!(" {name} "), if i == s.window { look.selected() } else { look.dim() }));
    }
    pen.line(row(body, 0), &windows);
    let slots: Vec<Rate> = tally.series.window(s.window, now).collect();
    let times = Times::of(m, engine, WIDTHS.get(s.window).copied().unwrap_or(1), tally.series.span().map_or(now, |s| s.0), now);
    let rates: [Curve; 3] =
        [("flows/s", |r| r.flows, look.plain()), ("drops/s", |r| r.dropped, look.drop()), ("dns err/s", |r| r.dns, look.warn())];
    let mut y = body.y + 1;
    for (name, get, style) in rates {
        if y >= body.bottom() {
            break;
        }
        rate(pen, Rect { y, height: 1, ..body }, (name, style), &slots.iter().map(get).collect::<Vec<_>>(), &times);
        y += 1;
    }
    let lines = lines(m, engine, s);
    // The ledger has its place as long as the panels have theirs.
    let ledger: u16 = if body.bottom().saturating_sub(y) >= 12 { 4 } else { 0 };
    let panels = Rect { y: y + 1, height: body.bottom().saturating_sub(y + 1 + ledger), ..body };
    draw_panels(pen, look, &lines, s.at.min(lines.len().saturating_sub(1)), panels);
    if ledger > 0 {
        self::ledger(pen, engine, Rect { y: body.bottom() - ledger, height: ledger, ..body });
    }
    cursor
}

/// What of a window there was to hear.
struct Times {
    /// The slot that says how it is now, counted from the newest one, and for how many seconds of it there were flows.
    here: (usize, i64),
    /// Seconds of a slot.
    width: i64,
    /// Slots of which something may be lacking, oldest first.
    missed: Vec<bool>,
    deaf: bool,
}

impl Times {
    fn of(m: &Model, engine: &Engine, width: i64, first: Nanos, now: Nanos) -> Self {
        let slot = |at: Nanos| at.0.div_euclid(width.max(1).saturating_mul(Nanos::SECOND));
        let begin = |n: i64| Nanos(n.saturating_mul(width).saturating_mul(Nanos::SECOND));
        // The newest slot is not over yet; where there is no other it has to do.
        let back = i64::from(slot(first) < slot(now));
        let end = if back > 0 { begin(slot(now)) } else { now.plus(Nanos::SECOND) };
        let seconds = end.since(first).div_euclid(Nanos::SECOND).clamp(1, width);
        let missed = (slot(now) - SLOTS as i64 + 1..=slot(now)).map(|n| m.lacks(begin(n), begin(n + 1), engine)).collect();
        Self { here: (usize::try_from(back).unwrap_or(0), seconds), width, missed, deaf: engine.heard().is_deaf() }
    }
}

fn rate(pen: &mut Pen<'_>, area: Rect, (name, style): (&str, Style), slots: &[u32], times: &Times) {
    let look = pen.look;
    let (back, seconds) = times.here;
    let here = slots.iter().rev().nth(back).copied().unwrap_or(0);
    // A slot of which little was heard is no measure for the others.
    let most = slots.iter().copied().max().unwrap_or(0);
    let most = if most == here { (most, seconds) } else { (most, times.width) };
    pen.put(area.x + 1, area.y, 10, name, look.dim());
    let said = if times.deaf { look.g.dash.to_owned() } else { per_second(u64::from(here), seconds) };
    pen.number(area.x + 11, area.y, 6, &said, look.strong());
    let end: u16 = 12;
    let room = usize::from(area.width.saturating_sub(19 + end));
    pen.put(area.x + 19, area.y, room, &spark(look, &stretch(slots, room)), style);
    for i in gaps(slots, &times.missed, room) {
        pen.put(area.x + 19 + u16::try_from(i).unwrap_or(0), area.y, 1, look.g.unknown, look.dim());
    }
    pen.number(area.right().saturating_sub(end), area.y, end - 1, &format!("max {:>5}", per_second(u64::from(most.0), most.1)), look.dim());
}

fn draw_panels(pen: &mut Pen<'_>, look: Look, lines: &[Line], at: usize, area: Rect) {
    let titles = ["verdicts", "drop reasons", "nodes"];
    // Side by side from 70 columns on, else one below the other, as far as they go.
    let wide = area.width >= 70;
    // The reasons are sentences, the others words.
    let part = |of: u16| area.width / 80 * of + area.width % 80 * of / 80;
    let places = if wide { [(0, part(23)), (part(23), part(34)), (part(57), area.width - part(57))] } else { [(0, area.width); 3] };
    let mut y = area.y;
    for (p, (title, (x, w))) in titles.into_iter().zip(places).enumerate() {
        let mine: Vec<(usize, &Line)> = lines.iter().enumerate().filter(|(_, l)| l.panel == p).collect();
        if mine.is_empty() {
            continue;
        }
        let x = area.x + x;
        if wide {
            y = area.y;
        }
        // One below the other they are scrolled to the line under the finger.
        let room = usize::from(area.bottom().saturating_sub(y + 1));
        let here = mine.iter().position(|(i, _)| *i == at);
        let skip = here.map_or(0, |h| (h + 1).saturating_sub(room));
        if y < area.bottom() {
            pen.put(x + 1, y, usize::from(w), title, look.strong());
        }
        y += 1;
        for (i, l) in mine.into_iter().skip(skip) {
            if y >= area.bottom() {
                break;
            }
            line(pen, l, i == at, Rect { x, y, width: w.saturating_sub(1), height: 1 });
            y += 1;
        }
        y += u16::from(!wide);
    }
}

fn line(pen: &mut Pen<'_>, l: &Line, here: bool, area: Rect) {
    let look = pen.look;
    // A reason is read, then compared.
    let (said_w, least) = if l.panel == 1 { (5, 44) } else { (7, 33) };
    let bar_w = if area.width < least { 0 } else { (area.width / 4).min(12) };
    let text_w = area.width.saturating_sub(2 + said_w + if bar_w > 0 { 2 + bar_w } else { 0 });
    pen.cell(area.x + 2, area.y, text_w, &l.text, l.style);
    pen.number(area.x + 2 + text_w, area.y, said_w, &l.said, look.strong());
    let full = usize::try_from(l.n.saturating_mul(u64::from(bar_w)) / l.all.max(1)).unwrap_or(0);
    pen.put(area.x + 4 + text_w + said_w, area.y, usize::from(bar_w), &look.g.shades[3].repeat(full), l.style);
    if here {
        pen.put(area.x, area.y, 1, look.g.here, look.accent());
        pen.over(area, look.selected());
    }
}

/// The laws of the ledger in three lines; the ledger's own screen says more.
fn ledger(pen: &mut Pen<'_>, engine: &Engine, area: Rect) {
    let look = pen.look;
    let l = engine.ledger();
    pen.rule(row(area, 0), &[seg(" ledger", look.strong())], "8 says more");
    let loss = l.lost_total();
    let bad = |n: u64| if n > 0 { look.warn() } else { look.plain() };
    let texts: [Vec<Seg>; 3] = [
        vec![
            seg(format!(" frames   {} = decoded {}", count(l.frames), count(l.decoded)), look.plain()),
            seg(format!(" + malformed {}", count(l.malformed)), bad(l.malformed)),
            seg(format!(" + skipped {}", count(l.skipped)), look.plain()),
        ],
        vec![seg(
            format!(" decoded  = admitted {} + refused {} + notices {}", count(l.admitted), count(l.refused), count(l.notices)),
            look.plain(),
        )],
        vec![
            seg(format!(" admitted = held {} + evicted {}", count(l.held), count(l.evicted)), look.plain()),
            seg(format!("      lost {}", count(loss)), if loss > 0 { look.drop() } else { look.dim() }),
        ],
    ];
    for (y, t) in (area.y + 1..area.bottom()).zip(&texts) {
        pen.line(Rect { y, height: 1, ..area }, t);
    }
}
