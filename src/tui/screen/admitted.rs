//! Who was let in, and by which rule; first of all what is open to everybody. Also the same as lines of CSV.
use super::row;
use crate::engine::Engine;
use crate::engine::admitted::{By, Line, NO_POLICIES};
use crate::tui::board::{Admitted, Sort};
use crate::tui::model::Model;
use crate::tui::text::{begin, clip, count, many, width, wrap};
use crate::tui::theme::Look;
use crate::tui::view::View;
use crate::tui::widget::bar;
use crate::tui::widget::name::pair;
use crate::tui::widget::pen::{Pen, Seg, length, seg};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// Places of the lines in the order they should have: what is open stands first, then what is not known.
pub fn order(x: &Admitted) -> Vec<usize> {
    let mut all: Vec<usize> = (0..x.found.lines.len()).filter(|i| x.found.lines.get(*i).is_some_and(|l| l.flows > 0)).collect();
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

/// What stands in the head: the sums, and on the right what they lack. Of several ways to say it the longest that has room.
fn head(pen: &mut Pen<'_>, area: Rect, titles: &[Vec<Seg>], notes: &[String]) {
    let room = usize::from(area.width);
    let fits = |title: &&Vec<Seg>, note: &str| length(title) + if note.is_empty() { 1 } else { width(note) + 5 } <= room;
    let found = notes.iter().find_map(|note| Some((titles.iter().find(|t| fits(t, note))?, note)));
    match (found, titles.last(), notes.last()) {
        (Some((title, note)), ..) => pen.rule(area, title, note),
        // What is lacking is said before what is there: that stands on the lines.
        (None, _, Some(note)) if !note.is_empty() => pen.rule(area, &[], note),
        (None, last, _) => pen.rule(area, last.map_or(&[], Vec::as_slice), ""),
    }
}

/// How much was let in, how much of it by nobody's rule, and how much nobody can say; the shortest last.
fn sums(look: Look, x: &Admitted, more: usize, width: u16) -> Vec<Vec<Seg>> {
    let sum = |of: fn(&By) -> bool| x.found.shown().filter(|l| of(&l.by)).map(|l| l.flows).sum::<u64>();
    let (all, open, unknown) = (sum(|_| true), sum(|by| matches!(by, By::Open(_))), sum(|by| matches!(by, By::Unknown(_))));
    let flows = many(all, "flow");
    if all > 0 && unknown == all {
        // Nothing is known to be open, and nothing not to be.
        let mut reasons = x.found.shown().filter_map(|l| if let By::Unknown(why) = &l.by { Some(why.as_str()) } else { None });
        let first = reasons.next().unwrap_or_default();
        let why = if reasons.all(|r| r == first) { first } else { "each line says why" };
        let given = if why == NO_POLICIES { ": --policies FILE|DIR" } else { "" };
        let said = |what: &str, given: &str| vec![seg(" who was let in", look.strong()), seg(format!("  {what}{why}{given}"), look.warn())];
        let all = [
            said(&format!("{flows}; by what is not known: "), given),
            said(&format!("{flows}; by what is not known: "), ""),
            vec![seg(format!(" {flows}: {why}"), look.warn())],
            vec![seg(format!(" {flows}, not known by what"), look.warn())],
            vec![seg(format!(" {flows}, unknown"), look.warn())],
        ];
        return all.into_iter().skip(if width < NARROW { 2 } else { 0 }).collect();
    }
    let not_known = if unknown > 0 { format!(", {} not known", count(unknown)) } else { String::new() };
    let of_them = format!("  {flows}, {} of them open to everybody{not_known}", count(open));
    let below = if more > 0 { format!(", +{more} more") } else { String::new() };
    let unsure = if unknown > 0 { format!(", {}?", count(unknown)) } else { String::new() };
    let short = format!(" {flows}, {} open{unsure}", count(open));
    let all = [
        vec![seg(" who was let in, and by what", look.strong()), seg(of_them.clone(), look.dim())],
        vec![seg(" who was let in", look.strong()), seg(of_them, look.dim())],
        vec![seg(format!(" {flows}, {} open to everybody{not_known}", count(open)), look.strong())],
        vec![seg(format!("{short}{below}"), look.strong())],
        vec![seg(short, look.strong())],
    ];
    all.into_iter().skip(if width < NARROW { 3 } else { 0 }).collect()
}

/// The cursor, and what has no room on the line under the finger.
pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, x: &Admitted, area: Rect) -> (Option<Position>, String) {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    if bar::error(pen, m, row(area, 1)) {
        return (cursor, String::new());
    }
    let behind = m.view().is_some_and(|v| x.found.behind(engine, v.last(engine)));
    let w = area.width;
    let page = area.height.saturating_sub(3);
    let more = x.list.lines.len().saturating_sub(top(x, usize::from(page)) + usize::from(page));
    // Whom nobody asked for may have been let in, too.
    let limits = engine.captures().limits();
    let notes = match (behind, x.found.more) {
        (true, _) => vec!["judging".to_owned()],
        // Whom only their own node shows came in if they were answered, which only a conversation that is held tells.
        (_, 0) if engine.talks().overflow > 0 && x.found.left > 0 => {
            let lacking = format!("of {} shown at their sender some may be lacking", many(x.found.left, "flow"));
            let whole = if limits.is_empty() { lacking.clone() } else { format!("{lacking}; captured with {limits}") };
            vec![whole, lacking, "some may be lacking".to_owned()]
        }
        (_, 0) if limits.is_empty() => vec![String::new()],
        (_, 0) => vec![format!("captured with {limits}"), "captured in part".to_owned()],
        (_, more) => vec![format!("{} found no room", many(more, "flow")), format!("+{} uncounted", count(more))],
    };
    head(pen, row(area, 1), &sums(look, x, more, w), &notes);
    let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    if x.found.is_empty() {
        let within = if m.view().is_none_or(View::is_all) { "so far" } else { "in this filter; / changes it" };
        let text = match x.found.left {
            _ if behind => "judging".to_owned(),
            _ if engine.store().is_empty() => "no flows yet; 1 shows what is waited for".to_owned(),
            0 => format!("nothing was seen to pass {within}"),
            left => format!("{} left the sender, and nothing was seen at a receiver {within}", many(left, "flow")),
        };
        for (y, line) in (body.y + 1..body.bottom()).zip(wrap(&text, usize::from(body.width).saturating_sub(4))) {
            pen.put(body.x + 2, y, usize::from(body.width), &line, look.dim());
        }
        return (cursor, String::new());
    }
    let mut note = String::new();
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
        let room = usize::from(w.saturating_sub(at_by + 3));
        // What a reason is about stands at its beginning.
        let reason = matches!(l.by, By::Unknown(_));
        let shown = if reason { begin(&by, room, look.g.gap) } else { clip(&by, room, look.g.gap) };
        pen.put(page.x + at_by + 3, y, room, &shown, style);
        if i == at {
            let whole = format!("{} {} {}", l.from, look.g.arrow, l.to);
            let cut = if w < NARROW { width(&whole) > usize::from(from) } else { width(&l.from) > from.into() || width(&l.to) > to.into() };
            note = match () {
                () if cut => whole,
                () if width(&by) > room => by.clone(),
                () => String::new(),
            };
            pen.put(page.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..page }, look.selected());
        }
    }
    (cursor, note)
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
