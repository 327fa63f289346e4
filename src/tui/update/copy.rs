//! The copy menu: one letter after `y`. What is copied is said; what cannot be is said too.
use super::go::selected_flow;
use super::{Tone, board, link, toast};
use crate::engine::Engine;
use crate::model::suggestion::Suggestion;
use crate::tui::key::Key;
use crate::tui::model::{Effect, Model, Screen, mendable, suggestion};
use crate::tui::screen::flows;
use crate::tui::text::{clip, many};
use crate::wire::json::write_response;

/// (key, what).
const MENU: &[(char, &str)] =
    &[('p', "patch"), ('v', "value"), ('r', "row"), ('j', "JSON"), ('y', "YAML"), ('f', "filter"), ('c', "command line")];

/// The menu as the last line shows it: a patch, a flow and a policy's text only where there is one.
pub fn menu<'a>(m: &'a Model, engine: &'a Engine) -> impl Iterator<Item = &'static (char, &'static str)> + 'a {
    let flow = selected_flow(m, engine).is_some();
    let yaml = board::yaml_text(m, engine).is_some();
    MENU.iter().filter(move |(k, _)| match k {
        'p' => patched(m, engine),
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

/// The change to try, and what it does besides.
fn patch(m: &Model, engine: &Engine) -> Option<(String, String)> {
    let text = |s: &Suggestion| (s.text().into_owned(), s.besides());
    match m.screen()? {
        Screen::Why(c) => c.suggestion.as_ref().map(text),
        _ => suggestion(engine, link::cause(m)?, &m.ground(engine)).as_ref().map(text),
    }
}

/// Whether a patch is worth asking for. In a list it is only made when it is copied: that goes over every conversation at hand.
fn patched(m: &Model, engine: &Engine) -> bool {
    match m.screen() {
        Some(Screen::Why(c)) => c.suggestion.as_ref().is_some_and(|s| !s.text().is_empty()),
        _ => link::cause(m).and_then(|id| engine.causes().get(id)).is_some_and(|c| mendable(&c.why)),
    }
}

/// Of the field under the finger.
fn value(m: &Model) -> Option<&str> {
    let Some(Screen::Describe(d)) = m.screen() else { return None };
    d.here().map(|f| f.1)
}

pub fn choose(m: &mut Model, engine: &Engine, key: Key) {
    let Some(letter) = key.typed() else { return };
    let Some(what) = MENU.iter().find(|(k, _)| *k == letter).map(|(_, w)| *w) else {
        return toast(m, Tone::Info, format!("nothing is copied by {letter}; y shows what is"));
    };
    let (patch, besides) = if letter == 'p' { patch(m, engine).unzip() } else { (None, None) };
    let text = match letter {
        'r' => selected_flow(m, engine).and_then(|seq| flows::row_text(m, engine, seq)),
        'j' => selected_flow(m, engine).and_then(|seq| json(engine, seq)),
        'y' => board::yaml_text(m, engine),
        'p' => patch,
        'v' => value(m).map(str::to_owned),
        'f' => link::filter(m, engine),
        _ => link::command(m, engine),
    };
    match text.filter(|t| !t.is_empty()) {
        Some(t) => {
            // A patch has many lines, and a toast one.
            let said = if t.contains('\n') {
                format!("copied {what}: {}", many(t.lines().count() as u64, "line"))
            } else {
                format!("copied {what}: {}", clip(&t, 200, "…"))
            };
            // What it lets through besides is said wherever it is copied, also where no page showed it.
            match besides.filter(|b| !b.is_empty()) {
                Some(b) => toast(m, Tone::Error, format!("{said}; {b}")),
                None => toast(m, Tone::Info, said),
            }
            m.effects.push(Effect::Copy(t));
        }
        None => {
            let text = format!("there is no {what} to copy: {}", missing(m, engine, letter));
            toast(m, Tone::Info, text);
        }
    }
}

/// Why there is nothing to copy, and where there would be.
fn missing(m: &Model, engine: &Engine, letter: char) -> &'static str {
    let gone = m.view().is_some_and(link::only_here) || link::cause(m).is_some();
    match letter {
        'r' | 'j' if selected_flow(m, engine).is_some() => "the flow is not held any more",
        'r' | 'j' => "no flow is under the finger; Enter goes to flows",
        'y' => "no policy's text is at hand here; 7 lists policies",
        'p' if link::cause(m).is_some() => "no change of a policy would mend this",
        'p' => "a change is proposed for a cause; 2 lists them",
        'v' => "the fields of a flow have values; d shows them",
        _ if gone => "no flow of the cause is held any more, and its number is valid for this run only",
        'f' => "every flow is shown",
        _ => "what came through a pipe cannot be asked for again",
    }
}
