//! The `try` part of the why screen: whether the client is what is wrong, the smallest change, and what it would do. It stands below the
//! policy, or with the evidence where there is no room for that, or alone on the page.
use crate::model::suggestion::Suggestion;
use crate::model::why::Why;
use crate::tui::action::ACTIONS;
use crate::tui::key::Key;
use crate::tui::model::{Model, Scroll};
use crate::tui::text::{many, width, wrap};
use crate::tui::theme::Look;
use crate::tui::widget::pen::{Pen, Seg, seg};
use ratatui::layout::Rect;

/// Height of the screen's text from which the part stands below the policy; on less it follows the evidence.
const APART: u16 = 16;
/// What has a place of its own keeps so many lines of it.
pub const LEAST: u16 = 5;
/// Columns before the text.
const INDENT: usize = 12;

/// In which company the part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Below the policy, with all that it says.
    Below,
    /// There, with less room: what is likely is said in a line, and in full with the evidence.
    Tight,
    /// After the evidence.
    Within,
}

/// Lines that the part takes at the bottom of a text of this height, its head line included; 0: it has no place of its own.
pub fn height(m: &Model, why: Option<&Why>, s: Option<&Suggestion>, area: Rect) -> u16 {
    match s {
        Some(s) if area.height >= APART => {
            let all = u16::try_from(lines(m, why, s, area.width, Place::Below).len() + 1).unwrap_or(u16::MAX);
            // What the change would do, and what it would do besides, is not pushed out by what is likely.
            let likely = why.is_some_and(|w| !w.diagnosis.is_empty());
            all.min(if likely || !s.besides().is_empty() { area.height / 2 } else { area.height * 2 / 5 })
        }
        _ => 0,
    }
}

/// Whether not all of it has room.
pub fn is_tight(m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect) -> bool {
    area.height > 0 && lines(m, why, s, area.width, Place::Below).len() + 1 > usize::from(area.height)
}

/// Below the policy.
pub fn draw(pen: &mut Pen<'_>, m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect) {
    let look = pen.look;
    let body = head(pen, s, area, "");
    let place = if is_tight(m, why, s, area) { Place::Tight } else { Place::Below };
    let lines = lines(m, why, s, area.width, place);
    let cut = lines.len() > usize::from(body.height);
    // The last line is left free, not drawn over: a colour below would show through.
    pen.lines(Rect { height: body.height.saturating_sub(u16::from(cut)), ..body }, &lines, 0);
    if cut && body.height > 0 {
        let last = Rect { y: body.bottom() - 1, height: 1, ..body };
        let more = lines.len() - usize::from(body.height) + 1;
        let key = ACTIONS.iter().find(|e| e.name == "change-whole").and_then(|e| m.keymap.keys(e).next()).map(Key::label);
        let key = key.map_or_else(String::new, |k| format!(": {k}"));
        pen.line(last, &[seg(look.own(&format!("   … {}{key}", many(more as u64, "more line"))), look.dim())]);
    }
}

/// How far the part scrolls where it stands alone.
pub fn measure(m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect, mut scroll: Scroll) -> Scroll {
    scroll.most = (lines(m, why, s, area.width, Place::Below).len() + 1).saturating_sub(usize::from(area.height));
    scroll.by(0);
    scroll
}

/// Alone on the page, with all its lines.
pub fn whole(pen: &mut Pen<'_>, m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect, scroll: Scroll) {
    let more = scroll.most.saturating_sub(scroll.at);
    let note = if more > 0 { format!("{}: j", many(more as u64, "more line")) } else { String::new() };
    let body = head(pen, s, area, &note);
    pen.lines(body, &lines(m, why, s, area.width, Place::Below), scroll.at);
}

/// The line above, with the file that is to be changed; what is left for the rest.
fn head(pen: &mut Pen<'_>, s: &Suggestion, area: Rect, note: &str) -> Rect {
    let room = usize::from(area.width).saturating_sub(width(note) + 12);
    let file = only_file(s).map(|f| format!("  {}", if width(f) <= room { f } else { f.rsplit('/').next().unwrap_or(f) }));
    let title = [seg(" try", pen.look.dim()), seg(file.unwrap_or_default(), pen.look.plain())];
    pen.rule(Rect { height: 1.min(area.height), ..area }, &title, note);
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// The file of a change to one.
fn only_file(s: &Suggestion) -> Option<&str> {
    match s.patch.as_ref()?.files.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// What is said, wrapped to a width. What is likely wrong comes first: the smallest change to a policy may be the wrong one. What the change
/// does, and does besides, comes before its lines: where there is not room for all, those are what can be copied unread.
pub fn lines(m: &Model, why: Option<&Why>, s: &Suggestion, w: u16, place: Place) -> Vec<Vec<Seg>> {
    let look = m.look;
    let room = usize::from(w).saturating_sub(INDENT + 1).max(10);
    let mut out = Vec::new();
    let mut say = |head: &str, text: &str, style| {
        let mut lines = wrap(text, room);
        if place == Place::Tight && head == "likely" && lines.len() > 1 {
            lines.truncate(1);
            lines.iter_mut().for_each(|l| *l = look.own(&format!("{l}…")));
        }
        for (i, l) in lines.into_iter().enumerate() {
            let head = if i == 0 { head } else { "" };
            out.push(vec![seg(format!("   {head:<9}"), look.dim()), seg(l, style)]);
        }
    };
    if let Some(d) = why.and_then(|w| w.diagnosis.first()) {
        say("likely", &d.text, look.warn());
    }
    if let Some(client) = &s.client {
        say("client?", client, look.plain());
    }
    say("policy?", &s.title, look.strong());
    if s.applies() {
        let tone = if s.besides().is_empty() { look.plain() } else { look.warn() };
        say("", &s.effect(), tone);
        for a in &s.also {
            say("", &format!("also {} {} {} {}", a.from, look.g.arrow, a.to, a.what), tone);
        }
        if !s.isolates.is_empty() {
            say("", &format!("isolates {}", s.isolates.join(", ")), tone);
        }
        say("", &format!("of {}", s.tried_on()), look.dim());
        out.extend(changed(s, look, only_file(s).is_none() || place == Place::Within));
    }
    for n in &s.notes {
        out.extend(wrap(n, room).into_iter().map(|l| vec![seg(format!("{:INDENT$}{l}", ""), look.plain())]));
    }
    out
}

/// The lines that go and come, with their numbers in the file, and where asked for its name above them; for a new policy all of it.
fn changed(s: &Suggestion, look: Look, named: bool) -> Vec<Vec<Seg>> {
    let line = |l: String, style| vec![seg(format!("{:INDENT$}{l}", ""), style)];
    let Some(patch) = &s.patch else { return s.yaml.lines().map(|l| line(format!("+ {l}"), look.pass())).collect() };
    let mut out = Vec::new();
    let (mut old, mut new) = (0u32, 0u32);
    for text in patch.diff.lines() {
        if let Some(head) = text.strip_prefix("@@ -") {
            let mut starts = head.split([' ', '+', ',']).filter_map(|n| n.parse::<u32>().ok());
            old = starts.next().unwrap_or(0);
            let after = head.split_once('+').map_or("", |(_, rest)| rest);
            new = after.split([' ', ',']).next().and_then(|n| n.parse().ok()).unwrap_or(0);
            continue;
        }
        match text.split_at_checked(1) {
            Some(("+", _)) if text.starts_with("+++ ") => {
                let file = text.trim_start_matches("+++ ");
                out.extend(named.then(|| line(file.to_owned(), look.dim())));
            }
            Some(("+", text)) => {
                out.push(line(format!("+{new:>4} {text}"), look.pass()));
                new += 1;
            }
            Some(("-", text)) if !text.starts_with("-- ") => {
                out.push(line(format!("-{old:>4} {text}"), look.drop()));
                old += 1;
            }
            Some((" ", _)) => {
                old += 1;
                new += 1;
            }
            _ => {}
        }
    }
    if !s.new.is_empty() {
        out.push(line("and besides, new:".to_owned(), look.plain()));
        out.extend(s.new.lines().map(|l| line(format!("+ {l}"), look.pass())));
    }
    out
}
