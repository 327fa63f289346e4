//! First, second and last line: where am I and is it alive; what am I looking at; what can I press.
use super::pen::{Pen, Seg, fitted, length, seg};
use crate::engine::Engine;
use crate::model::input::Link;
use crate::source::replay::Remote;
use crate::tui::action::{self, Action};
use crate::tui::key::Key;
use crate::tui::model::{Menu, Model, Screen, Tone, Wanted};
use crate::tui::prompt::{Offer, Offers, Prompt};
use crate::tui::text::{begin, clean, clip, count, many, short, span, width, wrap};
use crate::tui::update::{blocked, board, copy};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// Columns of the context that stay.
const LEAST_TITLE: usize = 12;
/// Columns of a filter that are worth more than words about its end.
const LEAST_FILTER: usize = 16;
/// From this width on a head says in full why nothing is enforced.
const WIDE: u16 = 110;
/// From this width on a long name on the last line leaves room for the way in.
const ROOMY: u16 = 80;

/// Line 1. The crumbs stay, then the loss, then the link; the rest goes first where there is no room.
pub fn header(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) {
    let (left, right) = first(m, engine, area.width);
    let left: Vec<Seg> = left.into_iter().map(|l| l.1).collect();
    pen.titled(area, &left, &right);
}

/// Where one is, each piece with its place in the stack, and what stands on the right.
fn first(m: &Model, engine: &Engine, w: u16) -> (Vec<(Option<usize>, Seg)>, Vec<Seg>) {
    let look = m.look;
    let mut left = vec![(None, seg(" ", look.plain())), (None, seg(title(m, w), look.strong()))];
    for (place, crumb) in crumbs(m) {
        left.push((None, seg(format!(" {} ", look.g.crumb), look.dim())));
        left.push((Some(place), crumb));
    }
    let long = |left: &[(Option<usize>, Seg)]| left.iter().map(|l| width(&crate::tui::text::clean(&l.1.0))).sum::<usize>();
    let right = state_of(m, engine, w, long(&left));
    let room = usize::from(w).saturating_sub(length(&right) + usize::from(!right.is_empty()));
    // The screen is worth more than the file, and than the way to it.
    if long(&left) > room && left.len() > 3 {
        left.splice(1..2, [(None, seg(look.g.gap, look.dim()))]);
        while long(&left) > room && left.len() > 4 {
            left.drain(2..4);
        }
        if long(&left) > room {
            left.drain(1..3);
        }
    }
    (left, right)
}

/// What the first line says on the right, of that width and beside so much on the left.
fn state_of(m: &Model, engine: &Engine, w: u16, left: usize) -> Vec<Seg> {
    let look = m.look;
    let state = state(m, engine);
    let lost = engine.ledger().lost_total();
    let lost_style = if lost > 0 { look.drop() } else { look.dim() };
    let held = engine.store().len() as u64;
    let since = engine.store().at(engine.store().seqs().start);
    let mut parts: Vec<(u8, Vec<Seg>)> = vec![(1, state)];
    if let Some(tape) = &m.tape {
        parts.insert(0, (1, vec![seg(tape.clone(), look.drop())]));
    }
    if let Some(Screen::Why(c)) = m.screen() {
        // What is read here is one case; the stream's state comes back with the next screen, a loss is said all the same.
        let mut right = super::super::screen::why::extent(m, engine, c);
        if lost > 0 {
            let sep = if right.is_empty() { " " } else { look.g.sep };
            right.splice(0..0, [seg(format!("{} lost{sep}", short(lost)), lost_style)]);
        }
        if let Some(only) = only(m, engine, w) {
            let sep = if right.is_empty() { " " } else { look.g.sep };
            right.splice(0..0, [only, seg(sep, look.dim())]);
        }
        if let Some(open) = posture(m, engine, w) {
            let sep = if right.is_empty() { " " } else { look.g.sep };
            right.splice(0..0, [open, seg(sep, look.dim())]);
        }
        return right;
    }
    // An open cluster is never taken for a closed one, and what is never collected is never hidden: both stay.
    parts.extend(posture(m, engine, w).map(|open| (0, vec![open])));
    parts.extend(only(m, engine, w).map(|only| (0, vec![only])));
    if let Some(at) = since {
        let local = at.plus(i64::from(m.options.offset) * 1_000_000_000);
        parts.push((4, vec![seg(format!("since {}", local.utc().format("%H:%M:%S")), look.dim())]));
    }
    parts.push((3, vec![seg(format!("{} held", short(held)), look.dim())]));
    parts.extend(nodes(m, engine, w));
    if engine.ledger().malformed > 0 {
        parts.push((2, vec![seg(format!("{} malformed", short(engine.ledger().malformed)), look.warn())]));
    }
    parts.push((0, vec![seg(format!("{} lost ", short(lost)), lost_style)]));
    // Trouble with a link is long; it goes before the crumbs only as far as there is room.
    let room = usize::from(w).saturating_sub(left.min(usize::from(w) / 2) + 2);
    for worst in (2..=4).rev() {
        if length(&join(m, &parts)) > room {
            parts.retain(|(p, _)| *p != worst);
        }
    }
    // Of a pause and of trouble the sign stays.
    if length(&join(m, &parts)) > room {
        for (_, part) in parts.iter_mut().filter(|(p, _)| *p == 1) {
            part.truncate(1);
            part.iter_mut().for_each(|(text, _)| *text = text.split_whitespace().next().unwrap_or_default().to_owned());
        }
        parts.retain(|(p, part)| *p != 1 || length(part) <= 2);
    }
    if length(&join(m, &parts)) > room {
        parts.retain(|(p, _)| *p != 1);
    }
    join(m, &parts)
}

/// What the servers are asked for, if not for every flow. The end goes where there is no room for all, since a filter that lacks its middle
/// may say the opposite.
fn only(m: &Model, engine: &Engine, width: u16) -> Option<Seg> {
    let (text, room) = (engine.captures().now(), usize::from(width) / 4);
    if text.is_empty() {
        return None;
    }
    let shown = begin(text, room, m.look.g.gap);
    Some(seg(format!("only {shown}"), m.look.warn()))
}

/// Where one is, screen by screen, each with its place in the stack; a walk on the map is one place with several parties.
fn crumbs(m: &Model) -> Vec<(usize, Seg)> {
    let look = m.look;
    let mut out: Vec<(usize, Seg)> = Vec::new();
    let mut on_map = false;
    for (i, s) in m.stack.iter().enumerate() {
        let style = if i + 1 == m.stack.len() { look.accent() } else { look.dim() };
        match s {
            Screen::Map(x) => {
                if !on_map {
                    out.push((i, seg(s.name(), if x.focus.is_none() { style } else { look.dim() })));
                }
                out.extend(x.focus.iter().map(|f| (i, seg(f.clone(), style))));
            }
            _ => out.push((i, seg(s.name(), style))),
        }
        on_map = matches!(s, Screen::Map(_));
    }
    if out.len() > 5 {
        let last = out.len() - 3;
        out.splice(1..last, [(0, seg(look.g.gap, look.plain()))]);
    }
    out
}

/// The context, or the file: its middle goes before the names of the screens do.
fn title(m: &Model, room: u16) -> String {
    let all = if m.options.title.is_empty() { "flowhy" } else { &m.options.title };
    let behind: usize = crumbs(m).iter().map(|(_, c)| 2 + width(m.look.g.crumb) + width(&crate::tui::text::clean(&c.0))).sum();
    let room = (usize::from(room) / 2).saturating_sub(1 + behind).max(LEAST_TITLE);
    clip(all, room, m.look.g.gap)
}

/// The place in the stack of the crumb in this column of the first line.
pub fn crumb_at(m: &Model, engine: &Engine, x: u16) -> Option<usize> {
    let mut from = 0;
    for (place, (text, _)) in first(m, engine, m.width).0 {
        let begin = from;
        from += width(&crate::tui::text::clean(&text));
        if (begin..from).contains(&usize::from(x)) {
            return place;
        }
    }
    None
}

fn join(m: &Model, parts: &[(u8, Vec<Seg>)]) -> Vec<Seg> {
    let mut out = Vec::new();
    for (i, (_, p)) in parts.iter().enumerate() {
        if i > 0 {
            out.push(seg(m.look.g.sep, m.look.dim()));
        }
        out.extend(p.iter().cloned());
    }
    out
}

/// Why what policies deny may pass here all the same.
fn posture(m: &Model, engine: &Engine, width: u16) -> Option<Seg> {
    let open = engine.posture()?;
    let text = if width < WIDE { open.short } else { open.text };
    Some(seg(format!("{} {text}", m.look.g.audit), m.look.warn()))
}

/// Which nodes answer, where a server tells; those that do not send nothing, and lose nothing either.
fn nodes(m: &Model, engine: &Engine, width: u16) -> Option<(u8, Vec<Seg>)> {
    let (look, all) = (m.look, engine.nodes().len());
    match engine.nodes().away().count() {
        _ if all == 0 => None,
        0 => Some((4, vec![seg(format!("nodes {all}/{all}"), look.dim())])),
        n => {
            let of = if width >= 100 && all > n { format!(" of {all}") } else { String::new() };
            let node = if n == 1 && of.is_empty() { "node" } else { "nodes" };
            Some((1, vec![seg(format!("{} {n}{of} {node} away", look.g.no), look.drop())]))
        }
    }
}

/// Is it alive?
fn state(m: &Model, engine: &Engine) -> Vec<Seg> {
    let look = m.look;
    let live = m.streams(engine);
    if let Some(v) = m.view().filter(|v| v.is_paused()) {
        return vec![seg(format!("{} paused, {} wait", look.g.pause, count(v.waiting(engine))), look.warn())];
    }
    if let Some(remote) = m.options.remote.as_ref().filter(|r| !r.ended()) {
        let pace = remote.pace();
        // How far it goes, where that is known and there is room.
        let of = m.played().and_then(Remote::end).filter(|_| m.width >= 60 && !m.relative);
        let clock = m.clock(engine.now(), engine) + &of.map_or_else(String::new, |end| format!(" of {}", m.clock(end, engine)));
        if pace.paused {
            return vec![seg(format!("{} {clock}", look.g.pause), look.warn())];
        }
        if pace.speed.is_finite() {
            return vec![seg(format!("{} {}× {clock}", look.g.live, pace.speed), look.pass())];
        }
    }
    let failed = engine.ended().iter().find_map(|(_, r)| r.as_ref().err());
    if let (Some(_), false) = (failed, live) {
        return vec![seg(format!("{} not read to its end", look.g.no), look.drop())];
    }
    let down = engine.links().values().find_map(|l| match l {
        Link::Down { retry_ms, .. } => Some(*retry_ms),
        _ => None,
    });
    // Of several servers it is said how many are away; one that is given up is away for good.
    let all = engine.links().len();
    let away = engine.links().values().filter(|l| matches!(l, Link::Down { .. } | Link::Lost { .. })).count();
    if live && all > 1 && away > 0 {
        return vec![seg(format!("{} {away} of {all} servers down", look.g.no), look.drop())];
    }
    let connecting = engine.links().values().any(|l| matches!(l, Link::Connecting { .. }));
    match (live, down) {
        (true, Some(ms)) => vec![seg(
            format!("{} down, retry in {}", look.g.no, span(i64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000))),
            look.drop(),
        )],
        (true, None) if connecting => vec![seg("connecting", look.warn())],
        (true, None) if m.closed => vec![seg("ended", look.warn())],
        (true, None) => {
            vec![seg(format!("{} ", look.g.live), look.pass()), seg(format!("{} ev/s", short(m.meter.per_second(m.ms))), look.plain())]
        }
        (false, _) if m.closed => vec![seg("read to the end", look.dim())],
        (false, _) => {
            let files = m.options.remote.as_ref().map_or(0, Remote::files);
            let of = if files > 1 { format!(", {} of {files} files ended", engine.ended().len()) } else { String::new() };
            vec![seg(format!("reading{of}"), look.warn())]
        }
    }
}

/// Line 2: the filter as it is or as it is being written, and what it finds. Returns where the cursor stands while writing.
pub fn filter(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) -> Option<Position> {
    let look = m.look;
    let view = m.view()?;
    let held = engine.store().len() as u64;
    let hits = view.len(engine) as u64;
    let all = view.is_all();
    let mut right = Vec::new();
    match m.prompt.as_ref().and_then(|p| p.error.as_ref()) {
        Some(_) => right.push(seg(format!("{} not a filter ", look.g.no), look.drop())),
        None if all => right.push(seg(format!("{} ", many(hits, "flow")), look.dim())),
        None => {
            let (glyph, style) = if view.behind(engine) { (look.g.gap, look.warn()) } else { (look.g.ok, look.pass()) };
            right.push(seg(format!("{glyph} "), style));
            right.push(seg(format!("{} of {} ", count(hits), count(held)), look.plain()));
            if view.behind(engine) {
                right.push(seg(format!("{} % ", view.progress(engine)), look.dim()));
            }
        }
    }
    let Some(p) = &m.prompt else {
        let left = match view.text() {
            "" => vec![seg(" / ", look.dim()), seg("every flow", look.dim())],
            text => stated(m, text, usize::from(area.width).saturating_sub(length(&right) + 1)),
        };
        pen.titled(area, &left, &right);
        return None;
    };
    let skip = skipped(m, p, usize::from(area.width));
    let shown: String = crate::tui::text::clean(&p.text)
        .chars()
        .scan(0, |w, c| {
            let at = *w;
            *w += width(c.encode_utf8(&mut [0; 4]));
            Some((at, c))
        })
        .filter(|(at, _)| *at >= skip)
        .map(|(_, c)| c)
        .collect();
    let style = if p.error.is_some() { look.drop() } else { look.plain() };
    let ghost = p.ghost(&m.history).unwrap_or("");
    pen.ends(area, &[seg(" / ", look.accent()), seg(shown, style), seg(ghost, look.dim())], &right);
    let x = area.x + 3 + u16::try_from(p.column(p.cursor) - skip).unwrap_or(0);
    Some(Position { x: x.min(area.right().saturating_sub(1)), y: area.y })
}

/// A filter that nobody is writing. Where it is too long its end goes, and it is said how much that is: one that lacks its middle may say
/// the opposite.
fn stated(m: &Model, text: &str, room: usize) -> Vec<Seg> {
    let (look, text) = (m.look, clean(text));
    let left = room.saturating_sub(3);
    let mut line = vec![seg(" / ", look.accent())];
    if width(&text) <= left {
        line.push(seg(text, look.plain()));
        return line;
    }
    let all = text.chars().count();
    // What is missing is told in at most as many columns as of everything.
    let [long, short] = [format!(" +{all} more, / shows it"), format!(" +{all}")].map(|s| width(&s));
    let told = if left >= long + LEAST_FILTER { long } else { short };
    let head = begin(&text, left.saturating_sub(told), look.g.gap);
    let missing = all.saturating_sub(head.trim_end_matches(look.g.gap).chars().count());
    let said = if told == long { format!(" +{missing} more, / shows it") } else { format!(" +{missing}") };
    line.extend([seg(head, look.plain()), seg(said, look.warn())]);
    line
}

/// What is wrong with the text in the prompt, as it stands on a line of a width.
struct Wrong {
    /// Under what it is about, and how many columns that takes.
    caret: usize,
    carets: usize,
    text: String,
    /// Behind the caret; before it where only that has the room; where neither has, the last lines have it.
    at: Option<usize>,
}

fn wrong(m: &Model, room: usize) -> Option<Wrong> {
    let p = m.prompt.as_ref()?;
    let e = p.error.as_ref()?;
    let skip = skipped(m, p, room);
    let (from, to) = (p.column(e.span.start).saturating_sub(skip), p.column(e.span.end).saturating_sub(skip));
    let caret = (3 + from).min(room.saturating_sub(1));
    let carets = to.saturating_sub(from).clamp(1, room.saturating_sub(caret).max(1));
    let text = m.look.own(&e.to_string());
    let behind = caret + carets + 1;
    let at = if behind + width(&text) <= room { Some(behind) } else { caret.checked_sub(width(&text) + 1) };
    Some(Wrong { caret, carets, text, at })
}

/// The line under the prompt while the text is no filter: a caret under the column, and what is wrong.
pub fn error(pen: &mut Pen<'_>, m: &Model, area: Rect) -> bool {
    let room = usize::from(area.width);
    let Some(w) = wrong(m, room) else { return false };
    let mut put = |x: usize, s: &str| {
        let x16 = area.x + u16::try_from(x).unwrap_or(u16::MAX).min(area.width);
        pen.put(x16, area.y, room.saturating_sub(x), s, m.look.drop());
    };
    put(w.caret, &"^".repeat(w.carets));
    if let Some(x) = w.at {
        put(x, &w.text);
    }
    true
}

/// Columns of the text that are scrolled out on the left, so that the cursor is in sight.
fn skipped(m: &Model, p: &Prompt, room: usize) -> usize {
    // Room for the hits on the right, at their longest.
    let right = if p.error.is_some() { width(m.look.g.no) + 15 } else { 34 };
    p.column(p.cursor).saturating_sub(room.saturating_sub(3 + right).max(8))
}

/// The last line: a toast, a menu, the prompt's keys, or what can be pressed on this screen.
pub fn hints(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect, note: &str) {
    let look = m.look;
    if let Some(hunt) = &m.hunt {
        let what = match hunt.wanted {
            Wanted::Cause => " seeking the next cause",
            Wanted::Change => " seeking the next change of a policy",
        };
        pen.line(area, &[seg(what, look.accent()), seg("   Esc", look.strong()), seg(" stops", look.dim())]);
        return;
    }
    if let Some(t) = &m.toast {
        let (style, most) = if t.tone == Tone::Error { (look.warn(), 3) } else { (look.accent(), 2) };
        return toast(pen, &look.own(&t.text), (style, most), area);
    }
    if let Some(which) = m.menu {
        let (head, items): (&str, Vec<(char, &str)>) = match which {
            Menu::Copy => (" copy: ", copy::menu(m, engine).copied().collect()),
            Menu::Sort => (" sort by: ", board::sorts(m).iter().map(|s| (s.0, s.1)).chain([('S', "reverse")]).collect()),
            Menu::Mark => (" mark: a letter   ", Vec::new()),
            Menu::Jump => (" jump to: ", m.marks.keys().map(|k| (*k, "")).collect()),
        };
        let line = |gap: &str, esc: bool, head: &str| {
            let mut line = vec![seg(head, look.accent())];
            for (key, what) in &items {
                line.extend([seg(key.to_string(), look.strong()), seg(format!(" {what}{gap}"), look.dim())]);
            }
            if esc {
                line.extend([seg("Esc", look.strong()), seg(" nothing", look.dim())]);
            }
            line
        };
        // What can be chosen is said in full; where one line has no room for it, on two.
        let lines = [line("   ", true, head), line("  ", true, head), line("  ", false, head), line(" ", false, " ")];
        match lines.iter().find(|l| length(l) <= usize::from(area.width)) {
            Some(fits) => pen.line(area, fits),
            None => {
                let all: Vec<String> = items.iter().map(|(key, what)| format!("{key} {what}")).collect();
                return toast(pen, &all.join("  "), (look.plain(), 2), area);
            }
        };
        return;
    }
    if let Some(p) = &m.prompt {
        match wrong(m, usize::from(area.width)).filter(|w| w.at.is_none()) {
            Some(w) => toast(pen, &w.text, (look.drop(), 2), area),
            None => {
                pen.line(area, &prompt(m, p, usize::from(area.width)));
            }
        }
        return;
    }
    if let Some(Screen::Help { find, .. }) = m.screen() {
        let esc = if find.is_empty() { "back" } else { "clear" };
        pen.line(area, &words(m, &[("a-z", "search"), ("Up Down", "scroll"), ("Esc", esc)], usize::from(area.width)));
        return;
    }
    let mut right: Vec<Seg> = Vec::new();
    if !note.is_empty() {
        // What can be pressed keeps its place, but for a name that would be cut: then only the way in, the way back and help do.
        let least = length(&keys(m, engine, 0));
        let most = if area.width < ROOMY { usize::from(area.width) * 3 / 5 } else { 0 };
        let room = most.max(usize::from(area.width).saturating_sub(least + 1));
        right.push(seg(format!("{} ", clip(note, room, look.g.gap)), look.plain()));
    }
    let room = usize::from(area.width).saturating_sub(length(&right) + 1);
    pen.ends(area, &keys(m, engine, room), &right);
}

/// Something to be read, on the last line; a longer text takes lines above it, so that what went wrong is read to its end.
fn toast(pen: &mut Pen<'_>, text: &str, (style, most): (Style, u16), area: Rect) {
    let room = usize::from(area.width).saturating_sub(2);
    let mut lines = wrap(text, room);
    let n = lines.len().min(usize::from(most));
    if lines.len() > n {
        let rest = lines.split_off(n.saturating_sub(1)).join(" ");
        lines.push(clip(&rest, room, pen.look.g.gap));
    }
    let above = u16::try_from(n).unwrap_or(1).saturating_sub(1).min(area.y);
    let all = Rect { y: area.y - above, height: above + 1, ..area };
    pen.clear(all);
    for (y, line) in (all.y..all.bottom()).zip(lines) {
        pen.put(all.x + 1, y, room, &line, style);
    }
}

fn prompt(m: &Model, p: &Prompt, room: usize) -> Vec<Seg> {
    if let Some(offers) = p.offers.as_ref().filter(|o| o.items.len() > 1) {
        return offered(m, offers, room);
    }
    words(m, &[("Enter", "keep"), ("Esc", "restore"), ("Tab", "complete"), ("Ctrl-u", "clear"), ("Up", "history")], room)
}

/// What Tab offers, each whole and with its count; a sign at the end says that there is more.
fn offered(m: &Model, offers: &Offers, room: usize) -> Vec<Seg> {
    let look = m.look;
    let item = |(i, o): (usize, &Offer)| {
        let style = if offers.at == Some(i) { look.selected() } else { look.plain() };
        let n = o.count.map(|n| seg(format!(" {}", count(n)), look.dim()));
        [seg(o.text.trim_end(), style)].into_iter().chain(n).collect::<Vec<_>>()
    };
    let items: Vec<Vec<Seg>> = offers.items.iter().enumerate().map(item).collect();
    let more = width(look.g.gap);
    let room = room.saturating_sub(1);
    let long = |items: &[Vec<Seg>]| items.iter().map(|i| length(i) + 3).sum::<usize>();
    // The one taken stands behind others as far as there is room for it, so that it never leaves the line.
    let at = offers.at.unwrap_or(0);
    let fits = |from: &usize| items.get(*from..=at).is_some_and(|before| long(before) + more <= room);
    let from = (at.saturating_sub(2)..=at).find(fits).unwrap_or(at);
    let mut line = vec![seg(" ", look.plain())];
    let mut left = room;
    for (i, item) in items.iter().enumerate().skip(from) {
        let need = length(item) + if i + 1 == items.len() { 0 } else { 3 + more };
        if need > left {
            // One that has no room even alone is cut, and says so itself.
            let cut = if line.len() == 1 { fitted(item, left, look.g.gap) } else { vec![seg(look.g.gap, look.dim())] };
            line.extend(cut);
            break;
        }
        left -= (length(item) + 3).min(left);
        line.extend(item.iter().cloned().chain([seg("   ", look.plain())]));
    }
    line
}

/// Keys and what they do, as far as there is room: none is cut.
fn words(m: &Model, keys: &[(&'static str, &str)], room: usize) -> Vec<Seg> {
    let mut line = vec![seg(" ", m.look.plain())];
    for (key, what) in keys {
        if length(&line) + width(key) + 1 + width(what) > room {
            break;
        }
        line.extend([seg(*key, m.look.strong()), seg(format!(" {what}   "), m.look.dim())]);
    }
    line
}

/// Hints as far as there is room; help and the way back are always among them, and the way in where that is not all there is room for.
fn keys(m: &Model, engine: &Engine, room: usize) -> Vec<Seg> {
    let look = m.look;
    let bit = m.screen().map_or(0, Screen::bit);
    let mut items: Vec<(bool, [Seg; 2])> = Vec::new();
    for e in action::on(bit).filter(|e| !e.hint.is_empty()) {
        if e.action == Action::Back && m.stack.len() < 2 {
            continue;
        }
        let word = match (e.action, m.view()) {
            (Action::Pause, Some(v)) if v.is_paused() => "resume",
            _ => e.hint,
        };
        let Some(label) = m.keymap.keys(e).next().map(Key::label) else { continue };
        let off = m.screen().is_some_and(|on| blocked(m, engine, e.action, on).is_some());
        let style: Style = if off { look.dim() } else { look.strong() };
        let needed = matches!(e.action, Action::Help | Action::Back) || (e.action == Action::Enter && !off && m.width >= ROOMY);
        items.push((needed, [seg(look.own(&label), style), seg(format!(" {word}   "), look.dim())]));
    }
    // A long word that has no room does not take that of those behind it.
    let mut left = (room + 1).saturating_sub(items.iter().filter(|i| i.0).map(|i| length(&i.1)).sum());
    items.retain(|(needed, item)| {
        let w = length(item);
        let fits = *needed || w <= left;
        left -= if fits && !needed { w } else { 0 };
        fits
    });
    std::iter::once(seg(" ", look.plain())).chain(items.into_iter().flat_map(|i| i.1)).collect()
}
