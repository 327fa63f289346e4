//! What can be reached by typing: screens, actions by their names, namespaces, times. Owns the offers and how they look; `update`
//! does what is chosen.
use crate::engine::Engine;
use crate::tui::action::{self, Action};
use crate::tui::key::Key;
use crate::tui::model::{Model, Screen};
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
}

pub struct Offer {
    pub name: String,
    pub help: String,
    pub go: Go,
}

/// Everything that fits what is typed, best first.
pub fn offers(m: &Model, engine: &Engine, text: &str) -> Vec<Offer> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("goto ") {
        let time = rest.trim().to_owned();
        return vec![Offer { name: format!("goto {time}"), help: "the flows from this time on".to_owned(), go: Go::Time(time) }];
    }
    if let Some(rest) = text.strip_prefix("save ") {
        let path = rest.trim().to_owned();
        let help = if matches!(m.screen(), Some(Screen::Admitted(_))) { "this list, as CSV" } else { "what is held and passes the filter" };
        return vec![Offer { name: format!("save {path}"), help: help.to_owned(), go: Go::Save(path) }];
    }
    if let Some(rest) = text.strip_prefix("record ") {
        let path = rest.trim().to_owned();
        return vec![Offer { name: format!("record {path}"), help: "what comes from now on".to_owned(), go: Go::Record(path) }];
    }
    let bit = m.screen().map_or(0, Screen::bit);
    let mut all = Vec::new();
    for e in action::on(bit).filter(|e| !matches!(e.action, Action::Palette | Action::Down | Action::Up | Action::Left | Action::Right)) {
        let keys: Vec<String> = m.keymap.keys(e).map(Key::label).collect();
        all.push(Offer { name: e.name.to_owned(), help: format!("{}  {}", keys.join(" "), e.help), go: Go::Act(e.action) });
    }
    all.push(Offer { name: "save ".to_owned(), help: "what is held, to a file: save FILE".to_owned(), go: Go::Save(String::new()) });
    let help = if m.tape.is_some() { "end the recording" } else { "what comes from now on, to a file: record FILE" };
    all.push(Offer { name: "record ".to_owned(), help: help.to_owned(), go: Go::Record(String::new()) });
    all.push(Offer { name: "goto ".to_owned(), help: "a time: goto 13:57".to_owned(), go: Go::Time(String::new()) });
    if let Some(t) = engine.tally() {
        let mut names: Vec<&str> =
            t.edges.nodes().filter(|n| n.atoms.iter().any(|a| a.starts_with("ns:"))).map(|n| n.group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        all.extend(names.into_iter().map(|n| Offer { name: n.to_owned(), help: "namespace".to_owned(), go: Go::Namespace(n.to_owned()) }));
    }
    let mut fitting: Vec<(u32, usize, Offer)> =
        all.into_iter().enumerate().filter_map(|(i, o)| score(text, &o.name).map(|s| (s, i, o))).collect();
    fitting.sort_by_key(|f| (f.0, f.1));
    fitting.into_iter().take(MOST).map(|f| f.2).collect()
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
    let blank = " ".repeat(usize::from(area.width));
    let title = format!(" go to or do {} ", look.g.rule.repeat(usize::from(area.width).saturating_sub(14)));
    pen.put(area.x, first.saturating_sub(1), usize::from(area.width), &title, look.dim());
    let name_w = (area.width / 3).clamp(16, 26);
    for (y, (i, o)) in (first..last).zip(offers.iter().enumerate().skip(top)) {
        pen.put(area.x, y, usize::from(area.width), &blank, look.plain());
        pen.cell(area.x + 2, y, name_w, &o.name, look.strong());
        pen.cell(area.x + 3 + name_w, y, area.width.saturating_sub(4 + name_w), &look.own(&o.help), look.dim());
        if i == at {
            pen.put(area.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..area }, look.selected());
        }
    }
    pen.put(area.x, last, usize::from(area.width), &blank, look.plain());
    let note = if offers.is_empty() { "nothing of that name   Esc leaves" } else { "Enter goes   Tab completes   Esc leaves" };
    let typed = crate::tui::text::clean(&p.text).into_owned();
    let x = area.x + 2 + u16::try_from(crate::tui::text::width(&typed)).unwrap_or(u16::MAX).min(area.width);
    pen.ends(
        Rect { y: last, height: 1, ..area },
        &[seg(" :", look.accent()), seg(typed, look.plain())],
        &[seg(format!("{note} "), look.dim())],
    );
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
