//! Every policy: how many flows it lets through, stops, or isolates from everything; which ones do nothing. All conversations of the
//! session count here: no filter of flows makes a policy useful or useless.
use super::row;
use crate::engine::Engine;
use crate::engine::usage::Used;
use crate::tui::board::{Policies, Sort};
use crate::tui::model::Model;
use crate::tui::text::{count, short};
use crate::tui::widget::pen::{Pen, seg};
use ratatui::layout::Rect;

/// Places of the lines in the order they should have.
pub fn order(p: &Policies) -> Vec<usize> {
    let mut all: Vec<usize> = (0..p.usage.lines.len()).collect();
    let line = |i: &usize| p.usage.lines.get(*i);
    match p.sort {
        // By name they stand already.
        Sort::Name => {}
        Sort::Count => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.allows + l.denies + l.isolates))),
        Sort::Drops => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.denies + l.isolates))),
    }
    if p.reverse {
        all.reverse();
    }
    all
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, p: &Policies, area: Rect) {
    let look = m.look;
    let set = engine.policies();
    let idle = p.usage.lines.iter().filter(|l| l.is_idle()).count();
    let mut title = vec![seg(format!(" {} policies", count(p.usage.lines.len() as u64)), look.strong())];
    if !p.usage.behind(engine) && idle > 0 {
        title.push(seg(format!(", {} without a flow", count(idle as u64)), look.dim()));
    }
    let right = match () {
        () if p.usage.behind(engine) => seg("judging ", look.warn()),
        () if p.usage.unknown > 0 => seg(format!("{} flows undecidable ", count(p.usage.unknown)), look.dim()),
        () if area.width < 80 => seg("of the whole session ", look.dim()),
        () => seg("every flow of the session; filters do not count here ", look.dim()),
    };
    pen.ends(row(area, 0), &title, &[right]);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if p.usage.lines.is_empty() {
        let text = match (set.given(), p.usage.behind(engine)) {
            (_, true) => "looking",
            (true, _) => "no policy among what was given; 8 shows what was refused",
            (false, _) => "no policies were given: --policies FILE|DIR",
        };
        pen.put(body.x + 2, body.y + 1, usize::from(body.width), text, look.dim());
        return;
    }
    let w = area.width;
    let kind_w: u16 = if w >= 100 { 24 } else { 0 };
    let place_w: u16 = match w {
        0..60 => 0,
        60..100 => 18,
        _ => 28,
    };
    let num: u16 = if w < 60 { 6 } else { 9 };
    let name_w = w.saturating_sub(2 + kind_w + 3 * (num + 1) + place_w + 1);
    let at_num = 2 + name_w;
    let at_kind = at_num + 3 * (num + 1) + 1;
    pen.put(2, body.y, usize::from(name_w), "POLICY", look.dim());
    let heads = if w < 60 { ["ALLOW", "DENY", "ISOL"] } else { ["ALLOWS", "DENIES", "ISOLATES"] };
    for (i, h) in heads.into_iter().enumerate() {
        pen.number(at_num + (num + 1) * u16::try_from(i).unwrap_or(0), body.y, num, h, look.dim());
    }
    if kind_w > 0 {
        pen.put(at_kind, body.y, usize::from(kind_w), "KIND", look.dim());
    }
    if place_w > 0 {
        pen.put(at_kind + kind_w, body.y, usize::from(place_w), "FROM", look.dim());
    }
    let page = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    let (at, height) = (p.list.at(), usize::from(page.height));
    let top = if at < height { 0 } else { at + 1 - height };
    super::foot(pen, Rect { height: 1, ..body }, p.list.lines.len().saturating_sub(top + height));
    for (y, (i, place)) in (page.y..page.bottom()).zip(p.list.lines.iter().enumerate().skip(top)) {
        let Some(l) = p.usage.lines.get(*place) else { continue };
        let name_style = if l.is_idle() { look.dim() } else { look.plain() };
        pen.cell(2, y, name_w.saturating_sub(1), &l.policy.path(), name_style);
        let numbers = [(l.allows, look.pass()), (l.denies, look.drop()), (l.isolates, look.drop())];
        if l.is_idle() && !p.usage.behind(engine) {
            pen.number(at_num, y, 3 * num + 2, "unused", look.warn());
        }
        for (k, (n, style)) in numbers.into_iter().enumerate().filter(|_| !l.is_idle()) {
            let style = if n == 0 { look.dim() } else { style };
            let text = if n == 0 {
                look.g.dot.to_owned()
            } else if num < 9 {
                short(n)
            } else {
                count(n)
            };
            pen.number(at_num + (num + 1) * u16::try_from(k).unwrap_or(0), y, num, &text, style);
        }
        if kind_w > 0 {
            pen.cell(at_kind, y, kind_w - 1, &l.policy.kind, look.dim());
        }
        if place_w > 0 {
            pen.cell(at_kind + kind_w, y, place_w, &place_of(engine, l), look.dim());
        }
        if i == at {
            pen.put(page.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..page }, look.selected());
        }
    }
}

/// `policies.yaml:12`.
fn place_of(engine: &Engine, l: &Used) -> String {
    let set = engine.policies();
    let Some(text) = set.text(&l.policy) else { return String::new() };
    let file = text.file.rsplit('/').next().unwrap_or(&text.file);
    set.lines(&l.policy).map_or_else(|| file.to_owned(), |(line, _)| format!("{file}:{line}"))
}
