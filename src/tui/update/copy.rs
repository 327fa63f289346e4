//! The copy menu: one letter after `y`. What is copied is said; what cannot be is said too.
use super::go::selected_flow;
use super::{Tone, toast};
use crate::engine::Engine;
use crate::tui::key::Key;
use crate::tui::model::{Effect, Model};
use crate::tui::screen::flows;

/// (key, what): the menu as the last line shows it.
pub const MENU: &[(char, &str)] = &[('r', "row"), ('f', "filter"), ('c', "command line")];

pub fn choose(m: &mut Model, engine: &Engine, key: Key) {
    let filter = m.view().map(|v| v.text().to_owned()).unwrap_or_default();
    let text = match key.typed() {
        Some('r') => selected_flow(m, engine).and_then(|seq| flows::row_text(m, engine, seq)),
        Some('f') => Some(filter),
        Some('c') => Some(if filter.is_empty() { m.options.command.clone() } else { format!("{} {}", m.options.command, quote(&filter)) }),
        _ => return,
    };
    let Some(what) = MENU.iter().find(|(k, _)| key.typed() == Some(*k)).map(|(_, w)| *w) else { return };
    match text.filter(|t| !t.is_empty()) {
        Some(t) => {
            toast(m, Tone::Info, format!("copied {what}: {t}"));
            m.effects.push(Effect::Copy(t));
        }
        None => toast(m, Tone::Info, format!("there is no {what} to copy")),
    }
}

/// For a shell: in single quotes.
fn quote(s: &str) -> String {
    format!("'{}'", s.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_filter_survives_the_shell() {
        assert_eq!(super::quote("label:\"app in (a)\" x:'y'"), r#"'label:"app in (a)" x:'\''y'\'''"#);
    }
}
