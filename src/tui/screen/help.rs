//! What each key does on one screen: the action table, printed, or what of it a typed text finds; then also what keys do elsewhere.
use crate::engine::Engine;
use crate::tui::action::{self, Entry, SCREENS, STATS, TIMELINE};
use crate::tui::key::Key;
use crate::tui::model::Model;
use crate::tui::text::wrap;
use crate::tui::update::blocked;
use crate::tui::widget::name::INFERRED;
use crate::tui::widget::pen::{Seg, seg};

/// The lines of one entry; one that can do nothing now is dim, and says why.
fn entry(m: &Model, e: &Entry, (text, off): (&str, Option<&str>), room: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let (style, text) = match off {
        Some(reason) => (look.dim(), format!("{text}; not now: {reason}")),
        None => (look.plain(), text.to_owned()),
    };
    let keys: Vec<String> = m.keymap.keys(e).map(Key::label).collect();
    let keys = look.own(&keys.join(" "));
    let line = |(i, text): (usize, String)| {
        let keys = if i == 0 { keys.as_str() } else { "" };
        vec![seg(format!("   {keys:<16} "), if off.is_some() { look.dim() } else { look.accent() }), seg(text, style)]
    };
    wrap(&text, room).into_iter().enumerate().map(line).collect()
}

/// Whether what is typed stands in its keys, its name or its help.
fn has(m: &Model, e: &Entry, find: &str) -> bool {
    let find = find.to_lowercase();
    let keys: Vec<String> = m.keymap.keys(e).map(Key::label).collect();
    e.help.to_lowercase().contains(&find) || e.name.contains(&find) || keys.iter().any(|k| k.to_lowercase() == find)
}

/// Why an entry can do nothing now on the screen that this is the help of.
fn off(m: &Model, engine: &Engine, e: &Entry, of: u16) -> Option<&'static str> {
    let on = m.stack.iter().rev().find(|s| s.bit() == of)?;
    blocked(m, engine, e.action, on)
}

pub fn lines(m: &Model, engine: &Engine, of: u16, find: &str, w: u16) -> Vec<Vec<Seg>> {
    let room = usize::from(w).saturating_sub(22);
    if find.is_empty() { all(m, engine, of, room) } else { found(m, engine, of, find.trim(), room) }
}

/// What is found: first on the screen in question, then on the others, with their names.
fn found(m: &Model, engine: &Engine, of: u16, find: &str, room: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let mut out = vec![Vec::new()];
    for e in action::on(of).filter(|e| has(m, e, find)) {
        out.extend(entry(m, e, (e.help, off(m, engine, e, of)), room));
    }
    let elsewhere: Vec<&Entry> = action::ACTIONS.iter().filter(|e| e.on & of == 0 && has(m, e, find)).collect();
    if !elsewhere.is_empty() {
        out.push(Vec::new());
        out.push(vec![seg(" on other screens", look.strong())]);
    }
    for e in elsewhere {
        let screens: Vec<&str> = SCREENS.iter().filter(|(bit, _)| e.on & bit != 0).map(|s| s.1).collect();
        out.extend(entry(m, e, (&format!("{} ({})", e.help, screens.join(", ")), None), room));
    }
    if out.len() == 1 {
        out.push(vec![seg("  no key does that; : finds commands, Ctrl-u clears what is typed", look.dim())]);
    }
    out
}

fn all(m: &Model, engine: &Engine, of: u16, room: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let mut out = vec![Vec::new()];
    for e in action::on(of) {
        out.extend(entry(m, e, (e.help, off(m, engine, e, of)), room));
    }
    out.push(Vec::new());
    let glyphs = [
        (look.g.ok, look.pass(), "passed"),
        (look.g.no, look.drop(), "dropped"),
        (look.g.audit, look.warn(), "audited: enforcement would drop it"),
    ];
    for (glyph, style, word) in glyphs {
        out.push(vec![seg(format!("   {glyph:<16} "), style), seg(word, look.plain())]);
    }
    // What stands in place of a bar.
    let signs = [
        (
            look.g.unknown,
            STATS | TIMELINE,
            "in place of a bar: nothing came, but something may be lacking (lost, not listened for, in no recording); the ledger says more",
        ),
        (look.g.dot, TIMELINE, "in place of a bar: this part of the recording was not played yet"),
    ];
    for (glyph, _, text) in signs.into_iter().filter(|s| s.1 & of != 0) {
        for (i, text) in wrap(text, room).into_iter().enumerate() {
            let mark = if i == 0 { glyph } else { " " };
            out.push(vec![seg(format!("   {mark:<16} "), look.dim()), seg(text, look.plain())]);
        }
    }
    let inferred = "before a name: the flow does not say it, it follows from the cluster's state or a DNS answer";
    for (i, text) in wrap(inferred, room).into_iter().enumerate() {
        let mark = if i == 0 { INFERRED } else { ' ' };
        out.push(vec![seg(format!("   {mark:<16} "), look.dim()), seg(text, look.plain())]);
    }
    out
}
