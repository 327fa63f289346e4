//! Which of the foreseen causes are listed: they have no drops that a filter could find, so they stand where the flows are that would be
//! stopped.
//!
//! Owns how often and how much is asked: with thousands of foreseen causes the answer is found in slices, anew when the filter or the list
//! changes, and for flows that came meanwhile once a second. A picture pays for few of them.
use crate::engine::Engine;
use crate::tui::causes::{Asked, AskedOf};
use crate::tui::model::Model;
use crate::tui::view::View;

/// Causes asked for between two questions whether time is up.
const SLICE: usize = 16;
/// Slices that a picture waits for: that many foreseen causes are never listed late.
const AT_ONCE: usize = 4;
/// Flows that come are asked for at most this often.
const AGAIN_MS: u64 = 1_000;

/// As far as a picture waits for it.
pub fn at_once(m: &mut Model, engine: &Engine) {
    let mut slices = 0;
    foretell(m, engine, &mut || {
        slices += 1;
        slices < AT_ONCE
    });
}

/// Asks on while `more` allows. Returns whether something may have changed.
pub fn foretell(m: &mut Model, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
    let Some(view) = m.view() else { return false };
    let (of, rows) = (of(m, view, engine), view.seen(engine));
    let filtered = of.text != m.drops.asked.of.text;
    if is_due(m, &of, rows) {
        let left = if m.drops.lines.iter().any(|l| l.foreseen) { m.drops.lines.len() } else { 0 };
        m.drops.asked = Asked { of, rows, ms: m.ms, left };
    }
    let mut lines = std::mem::take(&mut m.drops.lines);
    if filtered {
        // What another filter showed is not so any more.
        lines.iter_mut().for_each(|l| l.foretold = false);
    }
    let (mut left, mut n) = (m.drops.asked.left.min(lines.len()), 0);
    let began = left > 0;
    if let Some(v) = m.view().filter(|v| !v.behind(engine)) {
        while let Some(l) = left.checked_sub(1).and_then(|i| lines.get_mut(i)) {
            left -= 1;
            if l.foreseen {
                l.foretold = engine.foresees(l.id, |seq| v.contains(seq, engine));
                n += 1;
                if n % SLICE == 0 && !more() {
                    break;
                }
            }
        }
        m.drops.asked.left = left;
    }
    m.drops.lines = lines;
    began || filtered
}

/// Whether there is something to ask.
pub fn is_behind(m: &Model, engine: &Engine) -> bool {
    m.view().is_some_and(|v| !v.behind(engine) && (m.drops.asked.left > 0 || is_due(m, &of(m, v, engine), v.seen(engine))))
}

fn of(m: &Model, view: &View, engine: &Engine) -> AskedOf {
    let (lines, generation, looks) = (m.drops.lines.len(), engine.policies().generation(), engine.looks_ahead());
    AskedOf { text: view.text().to_owned(), lines, generation, looks }
}

fn is_due(m: &Model, of: &AskedOf, rows: (u64, u64)) -> bool {
    let asked = &m.drops.asked;
    asked.of != *of || (asked.rows != rows && m.ms >= asked.ms.saturating_add(AGAIN_MS))
}
