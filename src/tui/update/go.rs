//! Moving between screens: a stack that Esc pops, and `n`/`N` through the causes from anywhere.
use super::{Tone, board, tape, toast, trail};
use crate::engine::Engine;
use crate::model::observed::{Observed, Party};
use crate::model::row::CauseId;
use crate::tui::model::{Case, Fields, Model, Screen, Scroll, Wanted};
use crate::tui::screen::describe;
use crate::tui::text::many;
use crate::tui::view::View;

/// Rows looked through for a drop of a cause in the table.
const FAR: usize = 100_000;

pub(super) fn selected_cause(m: &Model) -> Option<CauseId> {
    m.drops.selected.filter(|id| m.causes().any(|l| l.id == *id)).or_else(|| m.causes().next().map(|l| l.id))
}

/// The flow that the screen is about.
pub(super) fn selected_flow(m: &Model, engine: &Engine) -> Option<u64> {
    match m.screen()? {
        Screen::Flows(_) if m.in_pane => example(engine, selected_cause(m)?),
        Screen::Flows(v) => v.selected(engine),
        Screen::Drops => example(engine, selected_cause(m)?),
        Screen::Why(c) => c.seq,
        Screen::Describe(d) => Some(d.seq),
        Screen::Admitted(x) => x.list.here().and_then(|i| x.found.lines.get(i)).map(|l| l.example),
        _ => None,
    }
}

fn example(engine: &Engine, id: CauseId) -> Option<u64> {
    let seq = engine.causes().get(id)?.example;
    (engine.store().cause(seq) == Some(id)).then_some(seq)
}

pub fn enter(m: &mut Model, engine: &Engine) {
    let case = match m.screen() {
        Some(Screen::Flows(v)) if !m.in_pane => v.selected(engine).map(|seq| Case::of_row(engine, seq, &m.ground(engine))),
        Some(Screen::Flows(_) | Screen::Drops) => selected_cause(m).and_then(|id| Case::of_cause(engine, id, &m.ground(engine))),
        Some(Screen::Why(c)) => {
            let id = c.cause;
            return flows_of(m, engine, id);
        }
        Some(s) if s.sums() || matches!(s, Screen::Policies(_) | Screen::Admitted(_)) => return board::enter(m, engine),
        _ => None,
    };
    let Some(case) = case else { return };
    // What is looked at stands still under the finger.
    if let Some(v) = m.view_mut() {
        v.freeze(engine);
    }
    trail::push(m, Screen::Why(Box::new(case)));
}

/// The flows of a cause, as a filter that the bar shows.
fn flows_of(m: &mut Model, engine: &Engine, id: Option<CauseId>) {
    let Some(id) = id else { return };
    match engine.causes().get(id).and_then(|c| c.foreseen.as_deref()) {
        // Of what is only foreseen no flow has that cause: these are the flows that would be stopped.
        Some(o) => show(m, engine, &conversation(o)),
        None => show(m, engine, &format!("cause:{}", id.0)),
    }
}

/// A filter for the records of one conversation.
pub(super) fn conversation(o: &Observed) -> String {
    let side = |p: &Party, side: &str| match p.ip {
        _ if !p.pod.is_empty() => format!("{side}.pod:{}/{}", p.namespace, p.pod),
        Some(ip) => format!("{side}.ip:{ip}"),
        None => String::new(),
    };
    let port = if o.dst_port > 0 { format!("to.port:{}", o.dst_port) } else { String::new() };
    [side(&o.src, "from"), side(&o.dst, "to"), port].join(" ").trim().to_owned()
}

/// A table of the flows that pass a filter.
pub(super) fn show(m: &mut Model, engine: &Engine, filter: &str) {
    match super::filter::read(m, engine, filter) {
        Ok((p, typed)) => {
            let mut view = View::new(p, engine);
            view.typed = typed;
            trail::push(m, Screen::Flows(Box::new(view)));
        }
        Err(e) => toast(m, Tone::Error, e.to_string()),
    }
}

/// The same with what the present filter asks for.
pub(super) fn show_within(m: &mut Model, engine: &Engine, filter: &str) {
    let old = m.view().map(|v| v.text().to_owned()).unwrap_or_default();
    show(m, engine, &super::filter::both(&old, filter));
}

pub fn describe(m: &mut Model, engine: &Engine) {
    let Some(seq) = selected_flow(m, engine) else { return toast(m, Tone::Info, "no flow of this cause is held any more") };
    if let Some(v) = m.view_mut() {
        v.freeze(engine);
    }
    let screen = fields(engine, seq);
    trail::push(m, screen);
}

fn fields(engine: &Engine, seq: u64) -> Screen {
    let names = engine.observed(seq).map(|o| (o.src.display().to_string(), o.dst.display().to_string())).unwrap_or_default();
    Screen::Describe(Box::new(Fields { seq, names, fields: describe::fields(engine, seq), at: 0, scroll: Scroll::default() }))
}

pub fn help(m: &mut Model) {
    let Some(s) = m.screen() else { return };
    if matches!(s, Screen::Help { .. }) {
        return back(m);
    }
    let (of, name) = (s.bit(), s.name());
    trail::push(m, Screen::Help { of, name, find: String::new(), scroll: Scroll::default() });
}

/// One step out; never quits, never drops a kept filter.
pub fn back(m: &mut Model) {
    if m.in_pane {
        m.in_pane = false;
        m.drops.selected = None;
        return;
    }
    match m.stack.last_mut() {
        Some(Screen::Why(c)) if c.whole.is_some() => c.whole = None,
        _ => trail::pop(m),
    }
}

/// Leaves the screen; from the first one the program, asking once where held flows of a server would be lost.
pub fn leave(m: &mut Model, engine: &Engine, asked: bool) {
    if m.stack.len() > 1 || m.in_pane {
        back(m);
    } else if let Some(tape) = m.tape.as_ref().filter(|_| !asked) {
        let text = format!("{tape} flows recorded: q again ends the recording and leaves, any other key stays");
        toast(m, Tone::Error, text);
        m.asked = true;
    } else if m.saving && !asked {
        toast(m, Tone::Error, "a file is being saved: q again finishes it and leaves, any other key stays");
        m.asked = true;
    } else if m.options.live && !m.kept && !engine.store().is_empty() && !asked {
        let n = many(engine.store().len() as u64, "flow");
        toast(m, Tone::Error, format!("{n} held only here: q again leaves, any other key stays"));
        m.asked = true;
    } else {
        m.done = true;
    }
}

pub fn maximise(m: &mut Model) {
    match m.screen() {
        Some(Screen::Flows(_)) if m.in_pane => trail::push(m, Screen::Drops),
        Some(Screen::Flows(_)) => m.hide_pane = !m.hide_pane,
        Some(Screen::Drops) => back(m),
        _ => {}
    }
}

/// Moves in the list of causes. Having moved, its order stands still until the list is left.
pub fn step_causes(m: &mut Model, by: isize) {
    let ids: Vec<CauseId> = m.causes().map(|l| l.id).collect();
    let Some(last) = ids.len().checked_sub(1) else { return };
    let at = selected_cause(m).and_then(|id| ids.iter().position(|i| *i == id)).unwrap_or(0);
    let to = at.saturating_add_signed(by).min(last);
    m.drops.selected = ids.get(to).copied();
    let page = m.page.max(1);
    let top = m.drops.offset.min(at);
    m.drops.offset = top.clamp(to.saturating_sub(page - 1), to);
}

/// The next or previous cause, round and round; in a replay that is not over there are more behind the last one, and it is played on for
/// the next of them.
pub fn cause(m: &mut Model, engine: &Engine, by: isize) {
    if matches!(m.screen(), Some(Screen::Timeline(_))) {
        return board::cause(m, engine, by);
    }
    let ids: Vec<CauseId> = m.causes().map(|l| l.id).collect();
    let more = by > 0 && m.played().is_some();
    let here = match m.screen() {
        Some(Screen::Flows(v)) if !m.in_pane => v.selected(engine).and_then(|s| engine.store().cause(s)),
        Some(Screen::Flows(_) | Screen::Drops) => selected_cause(m),
        Some(Screen::Why(c)) => c.cause,
        Some(Screen::Describe(d)) => engine.store().cause(d.seq),
        _ => None,
    };
    let n = ids.len();
    let at = here.and_then(|id| ids.iter().position(|i| *i == id));
    if n == 0 || at == n.checked_sub(1) {
        if more {
            return tape::hunt(m, engine, Wanted::Cause);
        }
        if n == 0 {
            return;
        }
    }
    let at = match at {
        Some(i) => (i + n).saturating_add_signed(by) % n,
        None if by < 0 => n - 1,
        None => 0,
    };
    if !matches!(m.screen(), Some(Screen::Flows(_))) || m.in_pane {
        ids.get(at).into_iter().for_each(|id| _ = to_cause(m, engine, *id));
        return;
    }
    // A cause whose drops the filter hides, or that are not held any more, is passed over; but not the recording's next one for it.
    let round = if more { n - at } else { n };
    for i in 0..round {
        let at = (at + n).saturating_add_signed(by * i as isize) % n;
        if ids.get(at).is_some_and(|id| to_cause(m, engine, *id)) {
            return;
        }
    }
    if more {
        return tape::hunt(m, engine, Wanted::Cause);
    }
    toast(m, Tone::Info, "no drop of any cause is held in this view");
}

/// To a cause: in the table to its newest drop, in the list to its line, elsewhere to its page. `false`: the table has no drop of it.
pub fn to_cause(m: &mut Model, engine: &Engine, id: CauseId) -> bool {
    match m.screen() {
        Some(Screen::Flows(_)) if !m.in_pane => {
            let Some(seq) = m.view().and_then(|v| newest(v, engine, id)) else { return false };
            let page = m.page;
            if let Some(v) = m.view_mut() {
                v.show(seq, page);
            }
        }
        Some(Screen::Flows(_) | Screen::Drops) => {
            let place = |id: CauseId| m.causes().position(|l| l.id == id);
            let from = selected_cause(m).and_then(place).unwrap_or(0);
            let to = place(id).unwrap_or(from);
            step_causes(m, to as isize - from as isize);
        }
        _ => {
            let Some(case) = Case::of_cause(engine, id, &m.ground(engine)) else { return false };
            let screen = match (m.screen(), case.seq) {
                (Some(Screen::Describe(_)), Some(seq)) => fields(engine, seq),
                _ => Screen::Why(Box::new(case)),
            };
            // Walking from page to page is one place in the history.
            match m.stack.last_mut() {
                Some(top @ (Screen::Why(_) | Screen::Describe(_))) => *top = screen,
                _ => trail::push(m, screen),
            }
        }
    }
    true
}

/// The newest row of a cause in a view.
fn newest(v: &View, engine: &Engine, id: CauseId) -> Option<u64> {
    if let Some(seq) = example(engine, id).filter(|s| v.contains(*s, engine)) {
        return Some(seq);
    }
    (0..v.len(engine)).rev().take(FAR).filter_map(|i| v.seq(i, engine)).find(|s| engine.store().cause(*s) == Some(id))
}
