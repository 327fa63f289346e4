//! Typing in the palette, and doing what is chosen there.
use super::{Tone, board, capture, column, filter, go, toast};
use crate::engine::Engine;
use crate::tui::key::Key;
use crate::tui::model::{Effect, Model, Palette, Screen};
use crate::tui::screen::admitted;
use crate::tui::screen::palette::{Go, offers};
use crate::tui::theme::{Depth, Theme};
use crossterm::event::KeyCode;

/// Longest text that can be typed.
const LONGEST: usize = 200;

pub fn open(m: &mut Model) {
    m.palette = Some(Palette::default());
}

pub fn key(m: &mut Model, engine: &Engine, key: Key) {
    let Some(mut p) = m.palette.take() else { return };
    let found = offers(m, engine, &p.text);
    let last = found.len().saturating_sub(1);
    match (key.code, key.ctrl) {
        (KeyCode::Esc, _) => return,
        (KeyCode::Enter, _) => {
            let Some(chosen) = found.into_iter().nth(p.at.min(last)) else {
                return toast(m, Tone::Info, format!("there is no {}", p.text.trim()));
            };
            // A command without its word waits for it.
            if chosen.name.ends_with(' ') && !matches!(chosen.go, Go::Record(_) if m.tape.is_some()) {
                m.palette = Some(Palette { text: chosen.name, at: 0 });
                return;
            }
            return choose(m, engine, chosen.go);
        }
        (KeyCode::Down, _) | (KeyCode::Char('n'), true) => p.at = (p.at + 1).min(last),
        (KeyCode::Up, _) | (KeyCode::Char('p'), true) => p.at = p.at.min(last).saturating_sub(1),
        (KeyCode::Tab, _) => {
            if let Some(o) = found.into_iter().nth(p.at.min(last)) {
                (p.text, p.at) = (o.name, 0);
            }
        }
        (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => {
            // Rubbing out what is not there leaves, as in vim.
            if p.text.pop().is_none() {
                return;
            }
            p.at = 0;
        }
        (KeyCode::Char('u'), true) => p = Palette::default(),
        _ => {
            if let Some(c) = key.typed().filter(|c| !c.is_control() && p.text.len() < LONGEST) {
                p.text.push(c);
                p.at = 0;
            }
        }
    }
    m.palette = Some(p);
}

fn choose(m: &mut Model, engine: &Engine, go: Go) {
    match go {
        Go::Act(action) => super::run(m, engine, action),
        Go::Namespace(ns) => go::show(m, engine, &format!("ns:{ns}")),
        Go::Theme(name) => theme(m, &name),
        Go::Columns(names) => column::named(m, &names),
        Go::Filter(name) => filter::named(m, engine, &name),
        Go::Capture(text) => capture::ask(m, engine, &text),
        Go::Keep(name) => filter::christen(m, &name),
        Go::Write => column::write(m),
        Go::Time(time) if super::tape::goto(m, engine, &time) => {}
        Go::Time(time) => board::goto(m, engine, &time),
        Go::Save(path) => match m.screen() {
            Some(Screen::Admitted(x)) => {
                let text = admitted::csv(x, &engine.captures().limits());
                m.effects.push(Effect::Export(path, text));
            }
            _ => m.effects.push(Effect::Save(path)),
        },
        Go::Record(_) if m.tape.is_some() => m.effects.push(Effect::Record(None)),
        Go::Record(path) => m.effects.push(Effect::Record(Some(path))),
    }
}

/// Other colours, from the next picture on.
fn theme(m: &mut Model, name: &str) {
    let Some(theme) = Theme::named(name) else { return toast(m, Tone::Error, format!("there is no theme {name}")) };
    m.look.theme = theme;
    let why = if m.look.depth == Depth::None { ", but there are no colours here: --color always" } else { "" };
    toast(m, Tone::Info, format!("{name}: {}{why}", theme.help));
}
