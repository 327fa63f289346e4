//! Who was let in, and by which rule; first of all what is open to everybody. Also the same as lines of CSV.
use super::row;
use crate::engine::Engine;
use crate::engine::admitted::{By, Line};
use crate::tui::board::{Admitted, Sort};
use crate::tui::model::Model;
use crate::tui::text::{count, many};
use crate::tui::theme::Look;
use crate::tui::view::View;
use crate::tui::widget::bar;
use crate::tui::widget::name::pair;
use crate::tui::widget::pen::{Pen, seg};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// Places of the lines in the order they should have: what is open stands first, then what is not known.
pub fn order(x: &Admitted) -> Vec<usize> {
    let mut all: Vec<usize> = (0..x.found.lines.len()).collect();
    let line = |i: &usize| x.found.lines.get(*i);
    let rank = |l: &Line| match l.by {
        By::Open(_) => 0,
        By::Unknown(_) => 1,
        By::Rule(_) => 2,
        By::Outside => 3,
    };
    match x.sort {
        Sort::Name => all.sort_by_key(|i| line(i).map(|l| (l.to.clone(), l.port, l.from.clone()))),
        Sort::New => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.first.0))),
        Sort::Drops => all.sort_by_key(|i| (line(i).map_or(9, rank), std::cmp::Reverse(line(i).map_or(0, |l| l.flows)))),
        Sort::Last => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.last.0))),
        Sort::Count | Sort::Allows => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.flows))),
    }
    if x.reverse {
        all.reverse();
    }
    all
}

/// Where the columns begin, and how wide they are.
struct Places {
    /// Of the number of flows, which stands first.
    num: u16,
    from: (u16, u16),
    to: (u16, u16),
    port: (u16, u16),
    by: u16,
}

/// Below this width sender, receiver and port are one column.
const NARROW: u16 = 60;

fn places(w: u16) -> Places {
    if w < NARROW {
        let (num, by) = (6, w.saturating_sub(11));
        return Places { num, from: (num + 2, by.saturating_sub(num + 3)), to: (by, 0), port: (by, 0), by };
    }
    let (num, port): (u16, u16) = (8, 10);
    let names = w.saturating_sub(num + port + 8) / 2;
    let from = names / 2;
    let (at_from, at_to) = (num + 2, num + 3 + from);
    let at_port = at_to + (names - from) + 1;
    Places { num, from: (at_from, from), to: (at_to, names - from), port: (at_port, port), by: at_port + port + 1 }
}

/// By what a click on the head in this column sorts.
pub fn sort_at(x: u16, width: u16) -> Sort {
    let p = places(width);
    match x {
        x if x < p.from.0 => Sort::Count,
        x if x < p.by => Sort::Name,
        _ => Sort::Drops,
    }
}

/// The first line on the screen.
pub fn top(x: &Admitted, height: usize) -> usize {
    let at = x.list.at();
    if at < height { 0 } else { at + 1 - height }
}

fn words(look: Look, by: &By, wide: bool) -> (&'static str, Style, String) {
    match by {
        By::Open(how) if wide => ("!", look.warn(), format!("open to everybody: {how}")),
        By::Open(_) => ("!", look.warn(), "open to everybody".to_owned()),
        By::Rule(rule) if wide => (look.g.ok, look.pass(), rule.clone()),
        // Which peer of the rule it was stands on the flow's own page.
        By::Rule(rule) => {
            (look.g.ok, look.pass(), rule.split(", ").map(|r| r.split_once(".from").map_or(r, |(r, _)| r)).collect::<Vec<_>>().join(", "))
        }
        By::Unknown(what) => ("?", look.warn(), what.clone()),
        By::Outside => (look.g.dot, look.dim(), "no policy of its own".to_owned()),
    }
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, x: &Admitted, area: Rect) -> Option<Position> {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    if bar::error(pen, m, row(area, 1)) {
        return cursor;
    }
    let open: u64 = x.found.lines.iter().filter(|l| matches!(l.by, By::Open(_))).map(|l| l.flows).sum();
    let all: u64 = x.found.lines.iter().map(|l| l.flows).sum();
    let behind = m.view().is_some_and(|v| x.found.behind(engine, v.last(engine)));
    let w = area.width;
    let page = area.height.saturating_sub(3);
    let more = x.found.lines.len().saturating_sub(top(x, usize::from(page)) + usize::from(page));
    let title = if w < NARROW {
        let more = if more > 0 { format!(", +{more} more") } else { String::new() };
        vec![seg(format!(" {}, {} open{more}", many(all, "flow"), count(open)), look.strong())]
    } else {
        vec![
            seg(" who was let in, and by what", look.strong()),
            seg(format!("  {}, {} of them open to everybody", many(all, "flow"), count(open)), look.dim()),
        ]
    };
    // Whom nobody asked for may have been let in, too.
    let limits = engine.captures().limits();
    let note = match (behind, x.found.more) {
        (true, _) => "judging".to_owned(),
        (_, 0) if limits.is_empty() => String::new(),
        (_, 0) => format!("captured with {limits}"),
        (_, more) => format!("{} found no room", many(more, "flow")),
    };
    pen.rule(row(area, 1), &title, &note);
    let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    if x.found.lines.is_empty() {
        let text = match () {
            () if behind => "judging",
            () if engine.store().is_empty() => "no flows yet; 1 shows what is waited for",
            () if m.view().is_none_or(View::is_all) => "nothing passed so far",
            () => "nothing passed in this filter; / changes it",
        };
        pen.put(body.x + 2, body.y + 1, usize::from(body.width), text, look.dim());
        return cursor;
    }
    let Places { num, from: (at_from, from), to: (at_to, to), port: (at_port, port), by: at_by } = places(w);
    let style = |by: &[Sort]| if by.contains(&x.sort) { look.accent() } else { look.dim() };
    let heads: &[(u16, &str, &[Sort])] = if w < NARROW {
        &[(at_from, "FLOW", &[Sort::Name]), (at_by, "LET IN BY", &[Sort::Drops])]
    } else {
        &[(at_from, "FROM", &[]), (at_to, "TO", &[Sort::Name]), (at_port, "PORT", &[]), (at_by, "LET IN BY", &[Sort::Drops])]
    };
    for (at, head, by) in heads.iter().copied() {
        pen.put(body.x + at, body.y, usize::from(w.saturating_sub(at)), head, style(by));
    }
    pen.number(body.x + 1, body.y, num - 1, "FLOWS", style(&[Sort::Count, Sort::Allows]));
    let page = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    let (at, height) = (x.list.at(), usize::from(page.height));
    let top = top(x, height);
    if w >= NARROW {
        super::foot(pen, Rect { height: 1, ..body }, more);
    }
    for (y, (i, place)) in (page.y..page.bottom()).zip(x.list.lines.iter().enumerate().skip(top)) {
        let Some(l) = x.found.lines.get(*place) else { continue };
        let (glyph, style, mut by) = words(look, &l.by, w >= 110);
        if w < NARROW && matches!(l.by, By::Open(_)) {
            by.truncate("open".len());
        }
        pen.number(page.x + 1, y, num - 1, &count(l.flows), look.plain());
        if w < NARROW {
            let port = if l.port == 0 { String::new() } else { format!(":{}", l.port) };
            pen.put(page.x + at_from, y, usize::from(from), &pair(look, (&l.from, &l.to), &port, usize::from(from)), look.plain());
        } else {
            pen.cell(page.x + at_from, y, from, &l.from, look.plain());
        }
        pen.cell(page.x + at_to, y, to, &l.to, look.plain());
        pen.cell(page.x + at_port, y, port, &what(l), look.plain());
        pen.put(page.x + at_by, y, 2, glyph, style);
        pen.cell(page.x + at_by + 3, y, w.saturating_sub(at_by + 3), &by, style);
        if i == at {
            pen.put(page.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..page }, look.selected());
        }
    }
    cursor
}

fn what(l: &Line) -> String {
    let l4 = l.l4.map_or(String::new(), |p| p.word().to_ascii_lowercase());
    if l.port == 0 { l4 } else { format!("{l4} {}", l.port).trim_start().to_owned() }
}

/// As it is sorted, for a spreadsheet. `limits`: what the flows held were limited to; empty: nothing.
pub fn csv(x: &Admitted, limits: &str) -> String {
    // Text that a spreadsheet would take for a formula is kept text.
    let quoted = |s: &str| {
        let s = if s.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{s}") } else { s.to_owned() };
        format!("\"{}\"", s.replace('"', "\"\""))
    };
    let mut out = "from,to,protocol,port,flows,first,last,access,by".to_owned();
    // What stands in a file is read without the screen.
    let captured = if limits.is_empty() { String::new() } else { format!(",{}", quoted(limits)) };
    out.push_str(if limits.is_empty() { "\n" } else { ",captured with\n" });
    for l in order(x).into_iter().filter_map(|i| x.found.lines.get(i)) {
        let (access, by) = match &l.by {
            By::Open(how) => ("open", how.as_str()),
            By::Rule(rule) => ("rule", rule.as_str()),
            By::Unknown(what) => ("unknown", what.as_str()),
            By::Outside => ("outside", ""),
        };
        let l4 = l.l4.map_or("", |p| p.word());
        let line = [
            quoted(&l.from),
            quoted(&l.to),
            l4.to_owned(),
            l.port.to_string(),
            l.flows.to_string(),
            l.first.to_string(),
            l.last.to_string(),
            access.to_owned(),
            quoted(by),
        ];
        out.push_str(&line.join(","));
        out.push_str(&captured);
        out.push('\n');
    }
    out
}
