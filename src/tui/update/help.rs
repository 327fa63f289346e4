//! Typing on the help screen searches it. Owns which keys are text there; the others do what they do everywhere.
use crate::tui::action::{Action, HELP};
use crate::tui::key::Key;
use crate::tui::model::{Model, Screen};
use crossterm::event::KeyCode;

/// The longest text that is looked for; what is typed beyond it is not taken.
const LONGEST: usize = 40;

/// Whether the key was text, or changed it.
pub fn key(m: &mut Model, key: Key) -> bool {
    let action = m.keymap.get(key, HELP);
    let Some(Screen::Help { find, scroll, .. }) = m.stack.last_mut() else { return false };
    if action == Some(Action::Quit) {
        return false;
    }
    let away = matches!(action, Some(Action::Leave | Action::Help));
    let steps = away || action == Some(Action::Back);
    match key.typed() {
        // `?` and `q` leave, as they do everywhere, whatever key stands for one step out too, and a digit goes to its screen, until something is typed.
        Some('?') if away => return false,
        Some(c) if find.is_empty() && (steps || !(c.is_alphabetic() || c == '/')) => return false,
        Some('/') if find.is_empty() => {}
        Some(c) if find.chars().count() < LONGEST => find.push(c),
        Some(_) => {}
        None => match key {
            Key { code: KeyCode::Backspace, .. } if !find.is_empty() => {
                find.pop();
            }
            k if k == Key::ctrl('u') || (action == Some(Action::Back) && !find.is_empty()) => find.clear(),
            _ => return false,
        },
    }
    scroll.at = 0;
    true
}
