//! What can be reached by typing: screens, actions by their names, namespaces, times. Owns the offers and how they look; `update`
//! does what is chosen.
use crate::engine::Engine;
use crate::tui::action::{self, Action};
use crate::tui::column::SPECS;
use crate::tui::key::Key;
use crate::tui::model::{Model, Screen};
use crate::tui::theme::THEMES;
use crate::tui::update::blocked;
use crate::tui::update::capture::{ALL, NOBODY};
use crate::tui::view::View;
use crate::tui::widget::pen::{Pen, seg};
use ratatui::layout::{Position, Rect};

/// Offers shown at once.
const SHOWN: u16 = 8;
/// Offers held.
const MOST: usize = 100;

/// What a chosen line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Go {
    Act(Action),
    /// The flows of a namespace.
    Namespace(String),
    /// The flows around a time.
    Time(String),
    /// What is held, to a file.
    Save(String),
    /// What comes, to a file; once more ends it.
    Record(String),
    /// Other colours.
    Theme(String),
    Columns(String),
    /// The filter of this name.
    Filter(String),
    /// Only such flows are asked for from now on.
    Capture(String),
    /// The present filter gets this name.
    Keep(String),
    /// Columns, theme and time go to the configuration file.
    Write,
}

pub struct Offer {
    pub name: String,
    pub help: String,
    pub go: Go,
    /// Why it can do nothing now.
    pub off: Option<&'static str>,
}

/// Commands that take a word: how they begin, what they do, and what they are for.
type Command = (&'static str, fn(String) -> Go, &'static str);
const COMMANDS: &[Command] = &[
    ("goto", Go::Time, "the flows from this time on: goto 13:57"),
    ("save", Go::Save, "what is held and passes the filter (or who was let in, as CSV), to a file: save FILE"),
    ("record", Go::Record, "what comes from now on, to a file: record FILE; once more ends it"),
    ("filter", Go::Filter, "a filter with a name: filter NAME"),
    ("capture", Go::Capture, "ask servers for these flows only: capture FILTER; capture all ends it"),
    ("keep", Go::Keep, "this filter under a name, in the configuration file: keep NAME"),
    ("columns", Go::Columns, "the columns of the flow table: columns time,from,to"),
    ("theme", Go::Theme, "other colours: theme NAME"),
];

/// Why a command can do nothing now.
fn off(m: &Model, command: &str) -> Option<&'static str> {
    (command == "capture" && m.options.capture.is_none()).then_some(NOBODY)
}

/// What can stand behind a command, with a word on each; none where it is anything.
fn words(m: &Model, engine: &Engine, command: &str, typed: &str) -> Option<Vec<(String, String)>> {
    Some(match command {
        "filter" => m.filters.clone(),
        "columns" => {
            // Behind those that are named already.
            let head = typed.rfind(',').map_or("", |i| typed.get(..=i).unwrap_or(""));
            let known = |name: &str| head.split(',').any(|h| h.trim() == name);
            let rest = SPECS.iter().filter(|s| !known(s.name));
            let all = rest.map(|s| (format!("{head}{}", s.name), s.help.to_owned()));
            all.chain(head.is_empty().then(|| ("default".to_owned(), "the usual ones".to_owned()))).collect()
        }
        "capture" => {
            let shown = m.view().map_or("", View::text);
            let shown =
                (!shown.is_empty() && shown != engine.captures().now()).then(|| (shown.to_owned(), "what the filter shows now".to_owned()));
            shown.into_iter().chain([(ALL.to_owned(), "every flow".to_owned())]).collect()
        }
        "theme" => THEMES.iter().map(|t| (t.name.to_owned(), t.help.to_owned())).collect(),
        _ => return None,
    })
}

/// The offers behind a command that is written out.
fn behind(m: &Model, engine: &Engine, text: &str) -> Option<Vec<Offer>> {
    let (word, rest) = text.split_once(' ')?;
    let (name, go, help) = COMMANDS.iter().find(|c| c.0 == word)?;
    let rest = rest.trim();
    let off = off(m, name);
    let typed = || Offer { name: format!("{name} {rest}"), help: (*help).to_owned(), go: go(rest.to_owned()), off };
    let Some(known) = words(m, engine, name, rest) else { return Some(vec![typed()]) };
    let offer = |(word, help): (String, String)| Offer { name: format!("{name} {word}"), help, go: go(word), off };
    let fitting = best(rest, known.into_iter().map(|w| (w.0.clone(), offer(w))));
    // A list of columns that is complete is meant, even where more could follow; one that fits nothing is told what is wrong with it.
    let whole = match *name {
        "columns" => fitting.is_empty() || crate::tui::column::parse(rest).is_ok(),
        // Any filter can be meant.
        "capture" => !rest.is_empty(),
        _ => false,
    };
    if whole {
        let typed = typed();
        let others: Vec<Offer> = fitting.into_iter().filter(|o| o.name != typed.name).collect();
        return Some(std::iter::once(typed).chain(others).collect());
    }
    Some(fitting)
}

/// Those whose names fit, the best first.
fn best(typed: &str, all: impl Iterator<Item = (String, Offer)>) -> Vec<Offer> {
    let mut fitting: Vec<(u32, usize, Offer)> =
        all.enumerate().filter_map(|(i, (name, o))| score(typed, &name).map(|s| (s, i, o))).collect();
    fitting.sort_by_key(|f| (f.0, f.1));
    fitting.into_iter().take(MOST).map(|f| f.2).collect()
}

/// Everything that fits what is typed, best first.
pub fn offers(m: &Model, engine: &Engine, text: &str) -> Vec<Offer> {
    if let Some(offers) = behind(m, engine, text.trim_start()) {
        return offers;
    }
    let text = text.trim();
    let bit = m.screen().map_or(0, Screen::bit);
    let mut all = Vec::new();
    for e in action::on(bit).filter(|e| !matches!(e.action, Action::Palette | Action::Down | Action::Up | Action::Left | Action::Right)) {
        let keys: Vec<String> = m.keymap.keys(e).map(Key::label).collect();
        all.push(Offer {
            name: e.name.to_owned(),
            help: format!("{}  {}", keys.join(" "), e.help),
            go: Go::Act(e.action),
            off: m.screen().and_then(|on| blocked(m, engine, e.action, on)),
        });
    }
    for (name, go, help) in COMMANDS {
        let help = if *name == "record" && m.tape.is_some() { "end the recording" } else { help };
        all.push(Offer { name: format!("{name} "), help: help.to_owned(), go: go(String::new()), off: off(m, name) });
    }
    all.push(Offer {
        name: "write".to_owned(),
        help: "keep columns, theme and time in the configuration file".to_owned(),
        go: Go::Write,
        off: None,
    });
    if let Some(t) = engine.tally() {
        let mut names: Vec<&str> =
            t.edges.nodes().filter(|n| n.atoms.iter().any(|a| a.starts_with("ns:"))).map(|n| n.group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        all.extend(names.into_iter().map(|n| Offer {
            name: n.to_owned(),
            help: "namespace".to_owned(),
            go: Go::Namespace(n.to_owned()),
            off: None,
        }));
    }
    best(text, all.into_iter().map(|o| (o.name.clone(), o)))
}

/// How badly a name fits: 0 is the name itself, then what begins so, then what has it, then what has its letters in this order.
fn score(typed: &str, name: &str) -> Option<u32> {
    let (typed, name) = (typed.to_lowercase(), name.to_lowercase());
    if typed.is_empty() || name == typed {
        return Some(0);
    }
    if name.starts_with(&typed) {
        return Some(1);
    }
    if name.split(['-', '/', '.']).any(|part| part.starts_with(&typed)) {
        return Some(2);
    }
    if name.contains(&typed) {
        return Some(3);
    }
    let (mut at, mut gaps) = (0, 4);
    for c in typed.chars() {
        let gap = name.get(at..)?.find(c)?;
        gaps += u32::try_from(gap).unwrap_or(u32::MAX / 2);
        at += gap + c.len_utf8();
    }
    Some(gaps)
}

/// The offers above the last line, and what is typed on it.
pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) -> Option<Position> {
    let p = m.palette.as_ref()?;
    let look = m.look;
    let offers = offers(m, engine, &p.text);
    let height = SHOWN.min(area.height.saturating_sub(4)).min(u16::try_from(offers.len()).unwrap_or(SHOWN));
    let last = area.bottom().saturating_sub(1);
    let at = p.at.min(offers.len().saturating_sub(1));
    let top = if at < usize::from(height) { 0 } else { at + 1 - usize::from(height) };
    let first = last.saturating_sub(height);
    let top_edge = first.saturating_sub(1);
    pen.clear(Rect { y: top_edge, height: last - top_edge + 1, ..area });
    let title = format!(" go to or do {} ", look.g.rule.repeat(usize::from(area.width).saturating_sub(14)));
    pen.put(area.x, top_edge, usize::from(area.width), &title, look.dim());
    let name_w = (area.width / 3).clamp(16, 26);
    for (y, (i, o)) in (first..last).zip(offers.iter().enumerate().skip(top)) {
        pen.cell(area.x + 2, y, name_w, &o.name, if o.off.is_some() { look.dim() } else { look.strong() });
        let help = o.off.map_or_else(|| o.help.clone(), |reason| format!("not now: {reason}"));
        pen.cell(area.x + 3 + name_w, y, area.width.saturating_sub(4 + name_w), &look.own(&help), look.dim());
        if i == at {
            pen.put(area.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..area }, look.selected());
        }
    }
    let note = if offers.is_empty() { "nothing of that name   Esc leaves" } else { "Enter goes   Tab completes   Esc leaves" };
    let typed = crate::tui::text::clean(&p.text).into_owned();
    let taken = 2 + crate::tui::text::width(&typed);
    let x = area.x + u16::try_from(taken).unwrap_or(u16::MAX).min(area.width);
    // What is typed is the point: the keys are said beside it where there is room.
    let room = usize::from(area.width).saturating_sub(taken + 2);
    let note = [note, "Esc leaves"].into_iter().find(|n| n.len() < room).map_or_else(String::new, |n| format!("{n} "));
    pen.ends(Rect { y: last, height: 1, ..area }, &[seg(" :", look.accent()), seg(typed, look.plain())], &[seg(note, look.dim())]);
    Some(Position { x: x.min(area.right().saturating_sub(1)), y: last })
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["matrix", "map", "maximise", "timeline", "last-screen"];
        let best = |typed: &str| {
            let mut fit: Vec<_> = names.iter().filter_map(|n| score(typed, n).map(|s| (s, *n))).collect();
            fit.sort();
            fit.first().map(|f| f.1)
        };
        for (typed, name) in [("map", "map"), ("mtx", "matrix"), ("tl", "timeline"), ("scr", "last-screen"), ("max", "maximise")] {
            assert_eq!(best(typed), Some(name), "{typed}");
        }
        assert_eq!((best("zz"), best("pam")), (None, None));
    }
}
