//! One file a screen. Drawing is a pure function of the model and the engine; nothing here writes either.
//!
//! ```text
//!  line 1   where am I, is it alive          (widget/bar)
//!  line 2   what am I looking at             (widget/bar, or the screen)
//!  body     the screen
//!  last     hints, prompt keys, menu or toast (widget/bar)
//! ```
pub mod admitted;
pub mod columns;
pub mod describe;
pub mod drops;
pub mod flows;
pub mod help;
pub mod ledger;
pub mod map;
pub mod matrix;
pub mod palette;
pub mod policies;
mod remedy;
mod rule;
pub mod stats;
pub mod timeline;
pub mod why;

use super::model::{Model, Screen};
use super::widget::bar;
use super::widget::pen::{Pen, Seg, seg};
use crate::engine::Engine;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The least terminal on which a picture makes sense.
pub const LEAST: (u16, u16) = (40, 10);

fn row(area: Rect, y: u16) -> Rect {
    Rect { y: area.y + y, height: 1, ..area }
}

/// Everything between the first and the last line.
fn body(width: u16, height: u16) -> Rect {
    Rect { x: 0, y: 1, width, height: height.saturating_sub(2) }
}

pub fn draw(m: &Model, engine: &Engine, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut cursor = None;
    {
        let mut pen = Pen::new(frame.buffer_mut(), m.look);
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return too_small(&mut pen, area);
        }
        bar::header(&mut pen, m, engine, row(area, 0));
        let body = body(area.width, area.height);
        let mut note = String::new();
        match m.screen() {
            Some(Screen::Flows(v)) => (cursor, note) = flows::draw(&mut pen, m, engine, v, body),
            Some(Screen::Drops) => cursor = drops::draw(&mut pen, m, engine, body),
            Some(Screen::Why(c)) => why::draw(&mut pen, m, engine, c, body),
            Some(Screen::Describe(d)) => describe::draw(&mut pen, m, engine, d, body),
            Some(Screen::Map(x)) => cursor = map::draw(&mut pen, m, engine, x, body),
            Some(Screen::Matrix(x)) => cursor = matrix::draw(&mut pen, m, engine, x, body),
            Some(Screen::Stats(x)) => cursor = stats::draw(&mut pen, m, engine, x, body),
            Some(Screen::Timeline(x)) => cursor = timeline::draw(&mut pen, m, engine, x, body),
            Some(Screen::Policies(x)) => policies::draw(&mut pen, m, engine, x, body),
            Some(Screen::Admitted(x)) => (cursor, note) = admitted::draw(&mut pen, m, engine, x, body),
            Some(Screen::Yaml(y)) => text(&mut pen, &format!(" {}", y.title), &numbered(m, y), y.scroll.at, body),
            Some(Screen::Columns(c)) => columns::draw(&mut pen, m, engine, c, body),
            Some(Screen::Ledger(s)) => text(&mut pen, ledger::title(m), &ledger::lines(m, engine, body.width), s.at, body),
            Some(Screen::Help { of, name, find, scroll }) => {
                let title = if find.is_empty() { format!(" keys on {name}") } else { format!(" keys on {name} / {find}") };
                text(&mut pen, &title, &help::lines(m, engine, *of, find, body.width), scroll.at, body)
            }
            None => {}
        }
        bar::hints(&mut pen, m, engine, row(area, area.height - 1), &note);
        cursor = palette::draw(&mut pen, m, engine, area).or(cursor);
    }
    if let Some(c) = cursor {
        frame.set_cursor_position(c);
    }
}

fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let text = format!("too small: {}{}{} needed", LEAST.0, pen.look.g.times, LEAST.1);
    let x = area.width.saturating_sub(u16::try_from(super::text::width(&text)).unwrap_or(0)) / 2;
    pen.put(area.x + x, area.y + area.height / 2, usize::from(area.width), &text, pen.look.plain());
}

/// What a screen of sums says before there are any.
fn nothing(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) {
    let text = match m.view() {
        _ if engine.tally().is_none() => "nothing is counted in this session",
        Some(v) if v.behind(engine) || v.counts_behind(engine) => "counting",
        Some(v) if !engine.store().is_empty() && !v.is_all() => "no flow matches this filter; / changes it",
        _ if engine.store().is_empty() => "no flows yet; 1 shows what is waited for",
        _ => "nothing in this window",
    };
    pen.put(area.x + 2, area.y + 1, usize::from(area.width), text, m.look.dim());
}

/// On the first line of a list that goes on below its room: how many more there are.
fn foot(pen: &mut Pen<'_>, area: Rect, more: usize) {
    if more > 0 {
        let text = format!("+{more} more ");
        let x = area.right().saturating_sub(u16::try_from(super::text::width(&text)).unwrap_or(0));
        pen.put(x, area.y, usize::from(area.width), &text, pen.look.dim());
    }
}

fn numbered(m: &Model, y: &super::board::Yaml) -> Vec<Vec<Seg>> {
    let look = m.look;
    let line = |(n, l): (u32, &String)| vec![seg(format!("{n:>5}  "), look.dim()), seg(l.clone(), look.plain())];
    (y.first..).zip(&y.lines).map(line).collect()
}

/// A page of text with a title line and a place in it.
fn text(pen: &mut Pen<'_>, title: &str, lines: &[Vec<Seg>], from: usize, area: Rect) {
    let page = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let n = lines.len();
    let most = n.saturating_sub(usize::from(page.height));
    let from = from.min(most);
    let place = if most == 0 { String::new() } else { format!("{}-{} of {n} ", from + 1, (from + usize::from(page.height)).min(n)) };
    pen.titled(row(area, 0), &[seg(title, pen.look.strong())], &[seg(place, pen.look.dim())]);
    pen.lines(page, lines, from);
}

/// After a change of model or size: how far each text can be scrolled.
pub fn measure(m: &mut Model, engine: &Engine) {
    let area = body(m.width, m.height);
    let page = usize::from(area.height.saturating_sub(1));
    let mut top = m.stack.pop();
    match &mut top {
        Some(Screen::Why(c)) => why::measure(m, engine, c, area),
        Some(Screen::Describe(d)) => describe::measure(m, engine, d, area),
        Some(Screen::Ledger(s)) => s.most = ledger::lines(m, engine, area.width).len().saturating_sub(page),
        Some(Screen::Help { of, find, scroll, .. }) => {
            scroll.most = help::lines(m, engine, *of, find, area.width).len().saturating_sub(page)
        }
        Some(Screen::Yaml(y)) => y.scroll.most = y.lines.len().saturating_sub(page),
        Some(Screen::Flows(_) | Screen::Drops | Screen::Map(_) | Screen::Matrix(_) | Screen::Stats(_)) | None => {}
        Some(Screen::Timeline(_) | Screen::Policies(_) | Screen::Columns(_) | Screen::Admitted(_)) => {}
    }
    m.stack.extend(top);
}
