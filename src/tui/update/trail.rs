//! The stack of screens and its history: every change of the stack goes through here, so that `[` and `]` can undo and redo it.
use crate::model::row::CauseId;
use crate::tui::model::{Model, Screen, Step};

/// Screens stacked at most; a walk through causes and flows in a circle does not grow for ever.
const DEEPEST: usize = 32;
/// Changes remembered; older ones cannot be undone.
const MOST: usize = 100;
/// The nearest of them keep what their tables have found, which may be many megabytes.
const WHOLE: usize = 4;

/// Before a move: the table remembers whether the keys went to its pane. Gives back the cause that was looked at.
fn leave(m: &mut Model) -> Option<CauseId> {
    let in_pane = m.in_pane;
    match m.stack.last_mut()? {
        Screen::Flows(v) => v.pane = in_pane,
        Screen::Why(c) => return c.cause,
        _ => {}
    }
    None
}

/// Every table of the stack stands still while the first one does: what lies on a paused picture is part of it.
pub fn pause_as_first(m: &mut Model) {
    if let Some((Screen::Flows(first), rest)) = m.stack.split_first_mut() {
        for s in rest {
            if let Screen::Flows(v) = s {
                v.pause_as(first);
            }
        }
    }
}

fn changed(m: &mut Model, undo: Step, looked_at: Option<CauseId>) {
    m.trail.flipped = false;
    m.trail.future.clear();
    remember(&mut m.trail.past, undo);
    moved(m, looked_at);
}

fn remember(steps: &mut Vec<Step>, step: Step) {
    if steps.len() >= MOST {
        steps.remove(0);
    }
    steps.push(step);
    let far = steps.len().checked_sub(WHOLE + 1).and_then(|i| steps.get_mut(i));
    let screens = match far {
        Some(Step::Push(screen)) => std::slice::from_mut(screen),
        Some(Step::Swap(tail)) => tail.as_mut_slice(),
        Some(Step::Pop) | None => &mut [],
    };
    for screen in screens {
        match screen {
            Screen::Flows(v) => v.shed(),
            Screen::Admitted(x) => x.found = Default::default(),
            _ => {}
        }
    }
}

/// The list of causes keeps its place as long as there is a way back to it, and takes over the cause that was looked at last.
fn moved(m: &mut Model, looked_at: Option<CauseId>) {
    pause_as_first(m);
    m.in_pane = matches!(m.screen(), Some(Screen::Flows(v)) if v.pane);
    let back = |s: &Screen| matches!(s, Screen::Drops) || matches!(s, Screen::Flows(v) if v.pane);
    if !m.stack.iter().any(back) {
        m.drops.selected = None;
    } else if m.in_pane || matches!(m.screen(), Some(Screen::Drops)) {
        let listed = looked_at.filter(|id| m.causes().any(|l| l.id == *id));
        m.drops.selected = listed.or(m.drops.selected);
    }
}

pub fn push(m: &mut Model, screen: Screen) {
    let looked_at = leave(m);
    if m.stack.len() >= DEEPEST {
        m.stack.remove(1);
        m.trail.past.clear();
    }
    m.stack.push(screen);
    changed(m, Step::Pop, looked_at);
}

pub fn pop(m: &mut Model) {
    let looked_at = leave(m);
    if m.stack.len() > 1
        && let Some(screen) = m.stack.pop()
    {
        changed(m, Step::Push(screen), looked_at);
    }
}

/// The first screen, and `then` upon it; where one is there already, nothing moves.
pub fn root(m: &mut Model, then: Option<Screen>) {
    let there = match (&then, m.stack.get(1..)) {
        (None, Some([])) => true,
        (Some(to), Some([only])) => to.bit() == only.bit(),
        _ => false,
    };
    if there {
        m.in_pane = false;
        return;
    }
    leave(m);
    let tail = m.stack.split_off(1);
    m.stack.extend(then);
    changed(m, Step::Swap(tail), None);
    // Asked for by its number, the table has the keys.
    m.in_pane = false;
}

/// Back or forward in the history. Returns whether there was any.
pub fn go(m: &mut Model, back: bool) -> bool {
    let step = if back { m.trail.past.pop() } else { m.trail.future.pop() };
    let Some(step) = step else { return false };
    let looked_at = leave(m);
    let Some(undo) = apply(m, step) else { return true };
    remember(if back { &mut m.trail.future } else { &mut m.trail.past }, undo);
    moved(m, looked_at);
    true
}

/// The screen before, and with the next call the one that was left for it.
pub fn flip(m: &mut Model) -> bool {
    let back = !m.trail.flipped;
    let done = go(m, back);
    m.trail.flipped = done && back;
    done
}

/// Does a step; gives back what undoes it.
fn apply(m: &mut Model, step: Step) -> Option<Step> {
    match step {
        Step::Pop if m.stack.len() < 2 => None,
        Step::Pop => m.stack.pop().map(Step::Push),
        Step::Push(screen) => {
            m.stack.push(screen);
            Some(Step::Pop)
        }
        Step::Swap(tail) => {
            let old = m.stack.split_off(1);
            m.stack.extend(tail);
            Some(Step::Swap(old))
        }
    }
}
