//! The stack of screens and its history: every change of the stack goes through here, so that `[` and `]` can undo and redo it.
use crate::tui::model::{Model, Screen, Step};

/// Screens stacked at most; a walk through causes and flows in a circle does not grow for ever.
const DEEPEST: usize = 32;
/// Changes remembered; older ones cannot be undone.
const MOST: usize = 100;

fn changed(m: &mut Model, undo: Step) {
    m.trail.flipped = false;
    m.trail.future.clear();
    remember(&mut m.trail.past, undo);
    moved(m);
}

fn remember(steps: &mut Vec<Step>, step: Step) {
    if steps.len() >= MOST {
        steps.remove(0);
    }
    steps.push(step);
}

fn moved(m: &mut Model) {
    m.in_pane = false;
    m.drops.selected = None;
}

pub fn push(m: &mut Model, screen: Screen) {
    // The list of causes keeps its place for the way back.
    let selected = m.drops.selected;
    if m.stack.len() >= DEEPEST {
        m.stack.remove(1);
        m.trail.past.clear();
    }
    m.stack.push(screen);
    changed(m, Step::Pop);
    m.drops.selected = selected;
}

pub fn pop(m: &mut Model) {
    if m.stack.len() > 1
        && let Some(screen) = m.stack.pop()
    {
        changed(m, Step::Push(screen));
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
    let tail = m.stack.split_off(1);
    m.stack.extend(then);
    changed(m, Step::Swap(tail));
}

/// Back or forward in the history. Returns whether there was any.
pub fn go(m: &mut Model, back: bool) -> bool {
    let step = if back { m.trail.past.pop() } else { m.trail.future.pop() };
    let Some(step) = step else { return false };
    let Some(undo) = apply(m, step) else { return true };
    remember(if back { &mut m.trail.future } else { &mut m.trail.past }, undo);
    moved(m);
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
