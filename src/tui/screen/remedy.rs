//! The `try` part of the why screen: whether the client is what is wrong, the smallest change, and what it would do.
use crate::model::suggestion::Suggestion;
use crate::model::why::Why;
use crate::tui::model::Model;
use crate::tui::text::{many, width, wrap};
use crate::tui::widget::pen::{Pen, Seg, seg};
use ratatui::layout::Rect;

/// Height of the screen's text from which the part stands below the policy; on less it follows the evidence.
const APART: u16 = 16;
/// What has a place of its own keeps so many lines of it.
pub const LEAST: u16 = 5;
/// A change of no more lines stands above what it does.
const FEW: usize = 4;

/// Lines that the part takes at the bottom of a text of this height, its head line included; 0: it has no place of its own.
pub fn height(m: &Model, why: Option<&Why>, s: Option<&Suggestion>, area: Rect) -> u16 {
    match s {
        Some(s) if area.height >= APART => {
            let all = u16::try_from(lines(m, why, s, area.width, false).len() + 1).unwrap_or(u16::MAX);
            // What the change would do is not pushed out by what is likely.
            let likely = why.is_some_and(|w| !w.diagnosis.is_empty());
            all.min(if likely { area.height / 2 } else { area.height * 2 / 5 })
        }
        _ => 0,
    }
}

/// Whether not all of it has room.
pub fn is_tight(m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect) -> bool {
    area.height > 0 && lines(m, why, s, area.width, false).len() + 1 > usize::from(area.height)
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, why: Option<&Why>, s: &Suggestion, area: Rect) {
    let look = pen.look;
    pen.rule(Rect { height: 1.min(area.height), ..area }, &[seg(" try", look.dim())], "");
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let lines = lines(m, why, s, area.width, is_tight(m, why, s, area));
    let cut = lines.len() > usize::from(body.height);
    // The last line is left free, not drawn over: a colour below would show through.
    pen.lines(Rect { height: body.height.saturating_sub(u16::from(cut)), ..body }, &lines, 0);
    if cut && body.height > 0 {
        let last = Rect { y: body.bottom() - 1, height: 1, ..body };
        let more = lines.len() - usize::from(body.height) + 1;
        let copies = if s.text().is_empty() { "" } else { "; y p copies the change" };
        pen.line(last, &[seg(look.own(&format!("   … {}{copies}", many(more as u64, "more line"))), look.dim())]);
    }
}

/// What is said, wrapped to a width. What is likely wrong comes first: the smallest change to a policy may be the wrong one. Where room is
/// `tight` it is said in a line, and in full with the evidence.
pub fn lines(m: &Model, why: Option<&Why>, s: &Suggestion, w: u16, tight: bool) -> Vec<Vec<Seg>> {
    let look = m.look;
    let mut out = Vec::new();
    let mut say = |head: &str, text: &str, style| {
        let indent = 3 + width("policy?") + 2;
        let mut lines = wrap(text, usize::from(w).saturating_sub(indent + 1).max(10));
        if tight && head == "likely" && lines.len() > 1 {
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
        let harms = !s.isolates.is_empty() || !s.also.is_empty() || s.undecided > 0;
        let proof = wrap(&s.proof(), usize::from(w).saturating_sub(13).max(10));
        let proof = proof.into_iter().map(|l| vec![seg(format!("            {l}"), if harms { look.warn() } else { look.dim() })]);
        let changed: Vec<Vec<Seg>> = changed(s)
            .into_iter()
            .map(|l| {
                let style = if l.starts_with('-') { look.drop() } else { look.pass() };
                vec![seg(format!("            {l}"), style)]
            })
            .collect();
        // What it does matters more than its last lines, where there is no room for both.
        if changed.len() > FEW {
            out.extend(proof.chain(changed));
        } else {
            out.extend(changed.into_iter().chain(proof));
        }
        let mut say = |text: &str, style| {
            for l in wrap(text, usize::from(w).saturating_sub(13).max(10)) {
                out.push(vec![seg(format!("            {l}"), style)]);
            }
        };
        for a in &s.also {
            say(&format!("also {} {} {} {}", a.from, look.g.arrow, a.to, a.what), look.warn());
        }
        if !s.isolates.is_empty() {
            say(&format!("isolates {}", s.isolates.join(", ")), look.warn());
        }
    }
    for n in &s.notes {
        for l in wrap(n, usize::from(w).saturating_sub(13).max(10)) {
            out.push(vec![seg(format!("            {l}"), look.plain())]);
        }
    }
    out
}

/// The lines that go and come, with their numbers in the file; for a new policy all of it.
fn changed(s: &Suggestion) -> Vec<String> {
    let Some(patch) = &s.patch else { return s.yaml.lines().map(|l| format!("+ {l}")).collect() };
    let mut out = Vec::new();
    let (mut old, mut new) = (0u32, 0u32);
    for line in patch.diff.lines() {
        if let Some(head) = line.strip_prefix("@@ -") {
            let mut starts = head.split([' ', '+', ',']).filter_map(|n| n.parse::<u32>().ok());
            old = starts.next().unwrap_or(0);
            let after = head.split_once('+').map_or("", |(_, rest)| rest);
            new = after.split([' ', ',']).next().and_then(|n| n.parse().ok()).unwrap_or(0);
            continue;
        }
        match line.split_at_checked(1) {
            Some(("+", text)) if !line.starts_with("+++ ") => {
                out.push(format!("+{new:>4} {text}"));
                new += 1;
            }
            Some(("-", text)) if !line.starts_with("--- ") => {
                out.push(format!("-{old:>4} {text}"));
                old += 1;
            }
            Some((" ", _)) => {
                old += 1;
                new += 1;
            }
            _ => {}
        }
    }
    out
}
