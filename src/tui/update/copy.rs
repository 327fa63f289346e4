//! The copy menu: one letter after `y`. What is copied is said; what cannot be is said too.
use super::go::selected_flow;
use super::{Tone, board, toast};
use crate::engine::Engine;
use crate::model::suggestion::Suggestion;
use crate::tui::key::Key;
use crate::tui::model::{Effect, Model, Screen};
use crate::tui::screen::flows;
use crate::tui::text::{clip, many};
use crate::wire::json::write_response;
use std::borrow::Cow;

/// (key, what).
const MENU: &[(char, &str)] =
    &[('p', "patch"), ('v', "value"), ('r', "row"), ('j', "JSON"), ('y', "YAML"), ('f', "filter"), ('c', "command line")];

/// The menu as the last line shows it: a patch, a flow and a policy's text only where there is one.
pub fn menu<'a>(m: &'a Model, engine: &'a Engine) -> impl Iterator<Item = &'static (char, &'static str)> + 'a {
    let flow = selected_flow(m, engine).is_some();
    let yaml = board::yaml_text(m, engine).is_some();
    MENU.iter().filter(move |(k, _)| match k {
        'p' => patch(m).is_some(),
        'v' => value(m).is_some(),
        'r' | 'j' => flow,
        'y' => yaml,
        _ => true,
    })
}

/// The flow as Hubble's JSON has it.
fn json(engine: &Engine, seq: u64) -> Option<String> {
    let mut out = Vec::new();
    write_response(&engine.store().response(seq)?, &mut out);
    String::from_utf8(out).ok()
}

fn patch(m: &Model) -> Option<Cow<'_, str>> {
    let Some(Screen::Why(c)) = m.screen() else { return None };
    c.suggestion.as_ref().map(Suggestion::text).filter(|t| !t.is_empty())
}

/// Of the field under the finger.
fn value(m: &Model) -> Option<&str> {
    let Some(Screen::Describe(d)) = m.screen() else { return None };
    d.here().map(|f| f.1)
}

pub fn choose(m: &mut Model, engine: &Engine, key: Key) {
    let filter = m.view().map(|v| v.text().to_owned()).unwrap_or_default();
    let text = match key.typed() {
        Some('r') => selected_flow(m, engine).and_then(|seq| flows::row_text(m, engine, seq)),
        Some('j') => selected_flow(m, engine).and_then(|seq| json(engine, seq)),
        Some('y') => board::yaml_text(m, engine),
        Some('p') => patch(m).map(Cow::into_owned),
        Some('v') => value(m).map(str::to_owned),
        Some('f') => Some(filter),
        Some('c') => Some(if filter.is_empty() { m.options.command.clone() } else { format!("{} {}", m.options.command, quote(&filter)) }),
        _ => return,
    };
    let Some(what) = MENU.iter().find(|(k, _)| key.typed() == Some(*k)).map(|(_, w)| *w) else { return };
    match text.filter(|t| !t.is_empty()) {
        Some(t) => {
            // A patch has many lines, and a toast one.
            let said = if t.contains('\n') {
                format!("copied {what}: {}", many(t.lines().count() as u64, "line"))
            } else {
                format!("copied {what}: {}", clip(&t, 200, "…"))
            };
            toast(m, Tone::Info, said);
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
