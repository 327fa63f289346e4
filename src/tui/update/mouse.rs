//! What the mouse does: the wheel moves, a click chooses, a second one on the same line goes in, a click on a crumb goes back.
use super::{Tone, board, go, step, toast, trail};
use crate::engine::Engine;
use crate::tui::model::{Model, Screen};
use crate::tui::screen::{admitted, drops, flows, map, matrix, policies};
use crate::tui::widget::bar;

/// Lines of one notch of the wheel.
const NOTCH: isize = 3;
/// The first line of tables and lists, below the header, the filter and the heads. Where a rule stands before the heads it is one more.
const FIRST: u16 = 3;

/// What was done where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    Up,
    Down,
    Click { x: u16, y: u16 },
}

pub fn mouse(m: &mut Model, engine: &Engine, what: Mouse) {
    // What is being typed or chosen is not left by a slip of the hand.
    if m.prompt.is_some() || m.palette.is_some() || m.menu.is_some() {
        return;
    }
    m.toast = None;
    match what {
        Mouse::Up => step(m, engine, -NOTCH),
        Mouse::Down => step(m, engine, NOTCH),
        Mouse::Click { x, y: 0 } => {
            if let Some(place) = bar::crumb_at(m, engine, x) {
                while m.stack.len() > place + 1 {
                    trail::pop(m);
                }
            }
        }
        Mouse::Click { x, y } => click(m, engine, x, y),
    }
}

fn click(m: &mut Model, engine: &Engine, x: u16, y: u16) {
    match m.screen() {
        Some(Screen::Matrix(of)) => {
            let hit = matrix::cell_at(m, engine, of, (x, y));
            return cell(m, engine, hit);
        }
        Some(Screen::Timeline(_)) => return board::point(m, engine, x),
        _ => {}
    }
    let ruled = u16::from(matches!(m.screen(), Some(Screen::Admitted(_))));
    if y + 1 == FIRST + ruled {
        return head(m, x);
    }
    let Some(line) = y.checked_sub(FIRST).map(usize::from) else { return };
    let height = usize::from(m.height.saturating_sub(FIRST + 1));
    let scrolled = |at: usize, page: usize| if at < page { 0 } else { at + 1 - page };
    let pane = flows::pane_height(m);
    let table = usize::from(flows::table_height(m));
    if matches!(m.screen(), Some(Screen::Flows(_))) && pane > 0 && line > table {
        // Below the rule of the pane.
        return cause(m, engine, line - table - 1, true);
    }
    let again = match m.stack.last_mut() {
        Some(Screen::Flows(v)) => {
            if line >= table {
                return;
            }
            m.in_pane = false;
            let (top, before) = (v.top(engine, table), v.at(engine));
            let place = top + line;
            if v.seq(place, engine).is_none() {
                return;
            }
            v.select(place, engine, table);
            before == Some(place)
        }
        Some(Screen::Drops) => {
            if line >= usize::from(drops::list_height(m)) {
                return;
            }
            let top = m.drops.offset;
            return cause(m, engine, top + line, false);
        }
        Some(Screen::Policies(p)) => {
            let (before, place) = (p.list.at(), scrolled(p.list.at(), height) + line);
            if place >= p.list.lines.len() {
                return;
            }
            p.list.step(place as isize - before as isize);
            before == place
        }
        Some(Screen::Admitted(a)) => {
            let Some(line) = line.checked_sub(1) else { return };
            let (before, place) = (a.list.at(), admitted::top(a, height.saturating_sub(1)) + line);
            if place >= a.list.lines.len() {
                return;
            }
            a.list.step(place as isize - before as isize);
            before == place
        }
        Some(Screen::Map(map)) => {
            let out = if m.width < 60 { map.out } else { x >= m.width / 2 };
            let same = map.out == out;
            map.out = out;
            let list = map.list_mut();
            let before = list.at();
            if line >= list.lines.len() {
                return;
            }
            list.step(line as isize - before as isize);
            same && before == line
        }
        _ => return,
    };
    if again {
        go::enter(m, engine);
    }
}

/// A click on the heads: the finger goes to that column of the flows, which stand in the order of time; another list is sorted by it.
fn head(m: &mut Model, x: u16) {
    match m.screen() {
        Some(Screen::Flows(_)) => {
            let hit = flows::columns(m, m.width).into_iter().find(|p| (p.x..p.x + p.w).contains(&x));
            let Some(place) = hit else { return };
            m.finger = place.column;
            toast(m, Tone::Info, "flows stand in the order of time; + and - filter by this column");
        }
        Some(Screen::Policies(_)) => match policies::sort_at(x, m.width) {
            Some(by) => board::sort_by(m, by),
            None => toast(m, Tone::Info, "policies are not sorted by this column"),
        },
        Some(Screen::Admitted(_)) => {
            let by = admitted::sort_at(x, m.width);
            board::sort_by(m, by);
        }
        Some(Screen::Map(of)) => {
            let (out, by) = map::sort_at(x, m.width, of);
            if let Some(Screen::Map(of)) = m.stack.last_mut() {
                of.out = out;
            }
            board::sort_by(m, by);
        }
        _ => {}
    }
}

/// Chooses a cell of the matrix.
fn cell(m: &mut Model, engine: &Engine, hit: Option<((String, String), bool)>) {
    let Some((names, again)) = hit else { return };
    if let Some(Screen::Matrix(x)) = m.stack.last_mut() {
        x.selected = Some(names);
    }
    if again {
        go::enter(m, engine);
    }
}

/// Chooses a line of the causes.
fn cause(m: &mut Model, engine: &Engine, place: usize, pane: bool) {
    let Some(id) = m.causes().nth(place).map(|l| l.id) else { return };
    let again = m.drops.selected == Some(id) && m.in_pane == pane;
    m.in_pane = pane;
    m.drops.selected = Some(id);
    if again {
        go::enter(m, engine);
    }
}
