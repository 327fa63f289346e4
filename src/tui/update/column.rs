//! Which columns the flow table has: chosen by their names or in the menu, and kept in the configuration file when that is asked for.
use super::{Tone, toast, trail};
use crate::tui::column::{self, DEFAULT};
use crate::tui::model::{Choice, Effect, Model, Screen};

pub fn open(m: &mut Model) {
    let choice = Choice::of(&m.columns);
    trail::push(m, Screen::Columns(choice));
}

/// `:columns time,from,to`; `default` has the usual ones again.
pub fn named(m: &mut Model, text: &str) {
    match if text.trim() == "default" { Ok(DEFAULT.to_vec()) } else { column::parse(text) } {
        Ok(columns) => {
            toast(m, Tone::Info, format!("{}   (:write keeps them)", column::text(&columns)));
            m.columns = columns;
        }
        Err(e) => toast(m, Tone::Error, e),
    }
}

/// Up and down in the menu.
pub fn step(c: &mut Choice, by: isize) {
    c.at = c.at.saturating_add_signed(by).min(c.order.len().saturating_sub(1));
}

/// The column under the finger one place on; the finger goes with it.
pub fn shift(m: &mut Model, by: isize) {
    let Some(Screen::Columns(c)) = m.stack.last_mut() else { return };
    let to = c.at.saturating_add_signed(by).min(c.order.len().saturating_sub(1));
    c.order.swap(c.at, to);
    c.at = to;
    m.columns = c.shown();
}

pub fn toggle(m: &mut Model) {
    let Some(Screen::Columns(c)) = m.stack.last_mut() else { return };
    let last = c.shown().len() == 1;
    let Some(here) = c.order.get_mut(c.at) else { return };
    if here.1 && last {
        return toast(m, Tone::Info, "one column has to stay");
    }
    here.1 = !here.1;
    m.columns = c.shown();
}

/// `:write`: what the screen looks like goes to the configuration file.
pub fn write(m: &mut Model) {
    let columns = if m.columns == DEFAULT { Vec::new() } else { vec![column::text(&m.columns)] };
    let theme = vec![m.look.theme.name.to_owned()];
    let relative = vec![m.relative.to_string()];
    m.effects.push(Effect::Write(vec![("columns", columns), ("relative-time", relative), ("theme", theme)]));
}
