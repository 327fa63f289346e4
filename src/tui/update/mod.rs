//! The only writer of the model: what each action does, and what follows from new data and a new size.
pub mod board;
pub mod capture;
mod column;
mod complete;
pub mod copy;
mod filter;
pub mod foretell;
mod go;
mod help;
mod link;
pub mod mouse;
mod palette;
pub mod tape;
mod trail;

use super::action::Action;
use super::board::Sort;
use super::causes::{CauseLine, Seen};
use super::key::Key;
use super::model::{Effect, Menu, Model, Screen, Scroll, Toast, Tone};
use super::screen::{drops, flows};
use super::text::many;
use crate::engine::causes::State;
use crate::engine::{Engine, Found};
use crossterm::event::KeyCode;

pub use filter::{paste, start};

/// How long a toast stays.
const TOAST_MS: u64 = 4_000;
/// Causes that come before are those of the flows that were asked for at first.
const QUIET_MS: u64 = 3_000;
/// The newest flows that a contrast looks at: a key is answered at once.
pub const CONTRASTED: u64 = 200_000;
/// The order of causes changes at most this often.
const RESORT_MS: u64 = 1_000;

/// One key.
pub fn key(m: &mut Model, engine: &Engine, key: Key) {
    m.toast = None;
    if std::mem::take(&mut m.titled) {
        m.headline = Some(String::new());
    }
    let asked = std::mem::take(&mut m.asked);
    if key == Key::ctrl('c') {
        m.done = true;
        return;
    }
    // Any key is the hand's again; Esc does nothing else.
    if m.hunt.take().is_some() && key == Key::new(KeyCode::Esc) {
        return;
    }
    if m.prompt.is_some() {
        match key {
            k if k == Key::ctrl('z') => m.effects.push(Effect::Suspend),
            k if k == Key::ctrl('l') => m.effects.push(Effect::Redraw),
            k => filter::key(m, engine, k),
        }
        return;
    }
    if m.palette.is_some() {
        return palette::key(m, engine, key);
    }
    match m.menu.take() {
        Some(Menu::Copy) => return copy::choose(m, engine, key),
        Some(Menu::Sort) => return board::sort(m, key),
        Some(which @ (Menu::Mark | Menu::Jump)) => return mark(m, engine, which, key),
        None => {}
    }
    if help::key(m, key) {
        return;
    }
    let bit = m.screen().map_or(0, Screen::bit);
    if let Some(action) = m.keymap.get(key, bit) {
        m.asked = asked;
        run(m, engine, action);
    }
}

/// An action, unless it can do nothing now.
fn run(m: &mut Model, engine: &Engine, action: Action) {
    let asked = std::mem::take(&mut m.asked);
    match m.screen().and_then(|on| blocked(m, engine, action, on)) {
        Some(reason) => toast(m, Tone::Info, reason),
        None => act(m, engine, action, asked),
    }
}

/// Why an action can do nothing now on a screen.
pub fn blocked(m: &Model, engine: &Engine, action: Action, on: &Screen) -> Option<&'static str> {
    let nothing = "no flow is selected";
    match (action, on) {
        (Action::StepBack | Action::StepOn | Action::Slower | Action::Faster | Action::Seek, _) if m.options.remote.is_none() => {
            Some("only a recording can be played back")
        }
        (Action::Enter | Action::Describe, Screen::Flows(_)) if m.in_pane => None,
        (Action::Enter | Action::Describe, Screen::Flows(v)) if v.selected(engine).is_none() => Some(nothing),
        (Action::Plus | Action::Minus, Screen::Flows(_)) if m.in_pane => None,
        (Action::Plus | Action::Minus | Action::Mark, Screen::Flows(v)) if v.selected(engine).is_none() => Some(nothing),
        (Action::Jump, _) if m.marks.is_empty() => Some("no flow is marked"),
        (Action::Plus | Action::Minus | Action::Enter | Action::Describe, Screen::Drops) if m.causes().next().is_none() => {
            Some("no drops here")
        }
        (Action::Enter, Screen::Why(c)) if c.cause.is_none() => Some("this flow has no cause of drops"),
        (Action::Contrast, Screen::Why(c)) if c.cause.is_none() => Some("this flow has no cause of drops"),
        (Action::NextChange, Screen::Timeline(_)) | (Action::NextCause, _) if m.played().is_some() => None,
        (Action::NextChange | Action::PrevChange, _) if engine.changes().next().is_none() => Some("no policy changed so far"),
        (Action::Describe, Screen::Why(c)) if c.seq.is_none() => Some("no flow of this cause is held any more"),
        (Action::Whole, Screen::Why(c)) if c.suggestion.is_none() => Some("no change is proposed here"),
        (Action::NextRule | Action::PrevRule, Screen::Why(c)) if c.rules().len() < 2 => Some("there is no other rule"),
        (Action::NextCause | Action::PrevCause, _) if m.causes().next().is_none() => {
            Some(match (engine.causes().is_empty(), m.unlisted().0) {
                (true, _) => "no drops so far",
                (_, 1..) => "no cause of the kind that is listed; v on 2 lists the others",
                _ => "no drops in this filter",
            })
        }
        (Action::Enter | Action::FlowsOf | Action::Plus | Action::Minus | Action::Sort | Action::Reverse, s)
            if s.sums() && m.view().is_some_and(|v| v.len(engine) == 0) =>
        {
            Some("no flows here")
        }
        (Action::Enter | Action::Yaml | Action::Sort | Action::Reverse, Screen::Policies(p)) if p.usage.lines.is_empty() => {
            Some("no policies are known")
        }
        (Action::Enter | Action::Sort | Action::Reverse, Screen::Admitted(x)) if x.found.is_empty() => Some("nobody was let in here"),
        (Action::NextPane, Screen::Flows(_)) if flows::pane_height(m) == 0 => Some("there is no other pane"),
        _ => None,
    }
}

fn act(m: &mut Model, engine: &Engine, action: Action, asked: bool) {
    match action {
        Action::Down => step(m, engine, 1),
        Action::Up => step(m, engine, -1),
        Action::PageDown => step(m, engine, page(m, engine)),
        Action::PageUp => step(m, engine, -page(m, engine)),
        Action::HalfDown => step(m, engine, (page(m, engine) / 2).max(1)),
        Action::First => step(m, engine, isize::MIN),
        Action::Last => step(m, engine, isize::MAX),
        Action::Filter => filter::open(m),
        Action::NextCause => go::cause(m, engine, 1),
        Action::PrevCause => go::cause(m, engine, -1),
        Action::NextRule => rule(m, 1),
        Action::PrevRule => rule(m, -1),
        Action::Enter => go::enter(m, engine),
        Action::Describe => go::describe(m, engine),
        Action::Back => go::back(m),
        Action::Leave => go::leave(m, engine, asked),
        Action::Quit => m.done = true,
        Action::NextPane => m.in_pane = !m.in_pane,
        Action::Pause => pause(m, engine),
        Action::Follow => follow(m, engine),
        Action::Time => m.relative = !m.relative,
        Action::Wide => wide(m),
        Action::Maximise => go::maximise(m),
        Action::Copy => m.menu = Some(Menu::Copy),
        Action::Addresses => m.addresses = !m.addresses,
        Action::Columns => column::open(m),
        Action::Toggle => column::toggle(m),
        Action::Reverse => board::reverse(m),
        Action::Sort => m.menu = Some(Menu::Sort),
        Action::Left => board::sideways(m, engine, -1),
        Action::Right => board::sideways(m, engine, 1),
        Action::Other => board::other(m),
        Action::Show => board::show(m),
        Action::FlowsOf => board::flows_of_pair(m, engine),
        Action::Yaml => board::yaml(m, engine),
        Action::Brush => board::brush(m, engine),
        Action::Plus => filter::narrow(m, engine, true),
        Action::Minus => filter::narrow(m, engine, false),
        Action::Mark => m.menu = Some(Menu::Mark),
        Action::Jump => m.menu = Some(Menu::Jump),
        Action::Palette => palette::open(m),
        Action::StepBack => tape::step(m, true),
        Action::StepOn => tape::step(m, false),
        Action::Slower => tape::speed(m, false),
        Action::Faster => tape::speed(m, true),
        Action::Older => history(m, true),
        Action::Newer => history(m, false),
        Action::LastScreen => {
            if !trail::flip(m) {
                toast(m, Tone::Info, "there is no screen before this one");
            }
        }
        Action::Help => go::help(m),
        Action::Flows => trail::root(m, None),
        Action::Drops => trail::root(m, Some(Screen::Drops)),
        Action::Map | Action::Matrix | Action::Stats | Action::Timeline | Action::Policies => board::open(m, engine, action),
        Action::Admitted => trail::root(m, Some(Screen::Admitted(Box::default()))),
        Action::NextChange => board::change(m, engine, 1),
        Action::PrevChange => board::change(m, engine, -1),
        Action::Seek => tape::seek(m, engine),
        Action::Contrast => contrast(m, engine),
        Action::Whole => whole(m),
        Action::Ledger => trail::root(m, Some(Screen::Ledger(Default::default()))),
        Action::Suspend => m.effects.push(Effect::Suspend),
        Action::Redraw => m.effects.push(Effect::Redraw),
    }
}

/// The letter after `m` or `'`.
fn mark(m: &mut Model, engine: &Engine, which: Menu, key: Key) {
    let Some(letter) = key.typed().filter(|c| c.is_alphanumeric()) else { return };
    let selected = m.view().and_then(|v| v.selected(engine));
    match (which, m.marks.get(&letter).copied()) {
        (Menu::Mark, _) => {
            let Some(seq) = selected else { return };
            m.marks.insert(letter, seq);
            toast(m, Tone::Info, format!("marked: ' {letter} comes back here"));
        }
        (_, None) => toast(m, Tone::Info, format!("no flow is marked {letter}")),
        (_, Some(seq)) if seq >= engine.store().seqs().end => toast(m, Tone::Info, "no flow has come since"),
        (_, Some(seq)) if engine.store().row(seq).is_none() => toast(m, Tone::Info, "the marked flow is not held any more"),
        (_, Some(seq)) => {
            let page = usize::from(flows::table_height(m));
            let Some(v) = m.view_mut() else { return };
            v.show(seq, page);
            v.fill(engine, page);
            if !v.contains(seq, engine) {
                toast(m, Tone::Info, format!("the filter hides flow {letter}; this is the nearest: / Ctrl-u Enter ' {letter} goes to it"));
            }
        }
    }
}

fn history(m: &mut Model, back: bool) {
    if !trail::go(m, back) {
        toast(m, Tone::Info, if back { "this is the oldest screen remembered" } else { "this is the newest screen" });
    }
}

pub(super) fn toast(m: &mut Model, tone: Tone, text: impl Into<String>) {
    m.toast = Some(Toast { text: text.into(), tone, until_ms: m.ms.saturating_add(TOAST_MS) });
}

fn page(m: &Model, _engine: &Engine) -> isize {
    isize::try_from(m.page.saturating_sub(1).max(1)).unwrap_or(1)
}

/// Moves the selection, or scrolls; the least and greatest number mean the ends.
fn step(m: &mut Model, engine: &Engine, by: isize) {
    let page = m.page;
    if m.in_pane || matches!(m.screen(), Some(Screen::Drops)) {
        return go::step_causes(m, by);
    }
    if board::step(m, engine, by) {
        return;
    }
    match m.stack.last_mut() {
        Some(Screen::Flows(v)) => {
            let at = v.at(engine).unwrap_or(0);
            if by == isize::MAX {
                v.follow = true;
            } else {
                v.select(at.saturating_add_signed(by), engine, page);
            }
        }
        Some(Screen::Why(c)) if c.whole.is_some() => c.whole.iter_mut().for_each(|s| s.by(by)),
        // The evidence scrolls to its end, then the YAML; and back in the other order.
        // At its top the page is as it was opened: the YAML at its line.
        Some(Screen::Why(c)) if by == isize::MIN => (c.scroll.at, c.placed) = (0, None),
        Some(Screen::Why(c)) if by == isize::MAX => {
            c.scroll.by(by);
            c.yaml.by(by);
        }
        Some(Screen::Why(c)) => {
            let evidence = if by > 0 { c.scroll.at < c.scroll.most } else { c.yaml.at == 0 };
            if evidence { c.scroll.by(by) } else { c.yaml.by(by) }
        }
        Some(Screen::Describe(d)) => d.step(by),
        Some(Screen::Columns(c)) => column::step(c, by),
        Some(Screen::Ledger(s) | Screen::Help { scroll: s, .. }) => s.by(by),
        _ => {}
    }
}

fn rule(m: &mut Model, by: isize) {
    if let Some(Screen::Why(c)) = m.stack.last_mut() {
        let n = c.rules().len().max(1);
        c.whole = None;
        c.rule = (c.rule + n).saturating_add_signed(by) % n;
    }
}

/// What tells the dropped from the forwarded flows; once more puts it away.
fn contrast(m: &mut Model, engine: &Engine) {
    if let Some(Screen::Why(c)) = m.stack.last_mut() {
        c.contrast = match (c.contrast.take(), c.cause) {
            (None, Some(id)) => Some((engine.store().len() as u64, engine.contrast_of(id, CONTRASTED))),
            _ => None,
        };
        (c.scroll.at, c.placed, c.whole) = (0, None, None);
    }
}

/// The change to try, alone on the page; and back.
fn whole(m: &mut Model) {
    if let Some(Screen::Why(c)) = m.stack.last_mut() {
        c.whole = if c.whole.is_some() { None } else { Some(Scroll::default()) };
    }
}

fn pause(m: &mut Model, engine: &Engine) {
    // Of a recording the clock stops, and with it the picture.
    if let Some(remote) = m.options.remote.as_ref().filter(|r| !r.ended()) {
        let held = !remote.pace().paused;
        return m.effects.push(Effect::Hold(held));
    }
    let (held, now) = (!m.is_paused(), m.now(engine));
    if let (true, Some(Screen::Flows(v))) = (held, m.stack.first_mut()) {
        v.pause(engine, now);
        trail::pause_as_first(m);
    }
    for s in m.stack.iter_mut().filter(|_| !held) {
        if let Screen::Flows(v) = s {
            v.resume(engine);
        }
    }
    m.effects.push(Effect::Hold(held));
}

fn follow(m: &mut Model, engine: &Engine) {
    let Some(v) = m.view_mut() else { return };
    let on = !v.follow;
    if on {
        v.follow = true
    } else {
        v.freeze(engine)
    }
    toast(m, Tone::Info, if on { "follows the newest flow" } else { "stays at this flow; f follows the newest again" });
}

/// Whole names, or short ones. Addresses have but one form.
fn wide(m: &mut Model) {
    m.wide = !m.wide;
    if m.addresses {
        let names = if m.wide { "whole" } else { "short" };
        toast(m, Tone::Info, format!("names are {names} now; addresses stand in their place until r"));
    }
}

/// New data came in.
pub fn fed(m: &mut Model, frames: u64) {
    let ms = m.ms;
    if frames > 0 {
        m.fed_ms = ms;
    }
    m.meter.add(ms, frames);
}

/// What somebody saved into the policies at hand has been looked through.
pub fn edited(m: &mut Model, found: &Found) {
    let names: Vec<&str> = found.files.iter().map(|f| f.rsplit('/').next().unwrap_or(f)).collect();
    if let Some(fault) = &found.fault {
        // The name is enough where there is but one line.
        let short = found.files.iter().zip(&names).fold(fault.clone(), |text, (file, name)| text.replace(file.as_str(), name));
        return toast(m, Tone::Error, short);
    }
    let files = match names.as_slice() {
        [one] => (*one).to_owned(),
        all => format!("{} files", all.len()),
    };
    let causes = |n: usize| many(n as u64, "cause");
    let mut said = Vec::new();
    // Taking a policy away is no repair: it only judges nothing any more.
    match found.mended {
        0 => {}
        n if found.removed => {
            said.push(format!("{} would pass without {}", causes(n), if files.ends_with(" files") { "them" } else { "it" }))
        }
        n => said.push(format!("{} would be fixed", causes(n))),
    }
    if found.foreseen > 0 {
        said.push(format!("{} foreseen: {} would be stopped", causes(found.foreseen), "what passed"));
    }
    match (said.is_empty(), found.unheld) {
        (true, 0) => said.push("it changes nothing for what was seen".to_owned()),
        (true, _) => said.push("of what is held it changes nothing that is sure".to_owned()),
        _ => {}
    }
    if found.unheld > 0 {
        said.push(format!("not asked: {} of conversations not held any more", many(found.unheld, "flow")));
    }
    let did = if found.removed { "removed" } else { "saved" };
    toast(m, Tone::Info, format!("{files} {did}: {}", said.join(", ")));
}

/// Time goes on: toasts end. Returns whether the picture changes.
pub fn tick(m: &mut Model, engine: &Engine, ms: u64) -> bool {
    m.ms = ms;
    if let Some(remote) = &m.options.remote {
        // What was played to its end may still be on its way here; the end of each file comes last.
        m.closed = m.gone || tape::is_over(remote, engine);
    }
    tape::overshot(m);
    let over = m.toast.as_ref().is_some_and(|t| t.tone == Tone::Info && t.until_ms <= ms);
    if over {
        m.toast = None;
    }
    over
}

/// Before a picture: causes, size, and what follows from both.
pub fn settle(m: &mut Model, engine: &Engine, width: u16, height: u16) {
    filter::bind_late(m, engine);
    causes(m, engine);
    foretell::at_once(m, engine);
    let grown = (m.width, m.height) != (width, height);
    (m.width, m.height) = (width, height);
    let in_pane = m.in_pane && flows::pane_height(m) > 0;
    m.in_pane = in_pane;
    m.page = match m.screen() {
        Some(Screen::Flows(_)) if in_pane => usize::from(flows::pane_height(m)),
        Some(Screen::Flows(_)) => usize::from(flows::table_height(m)),
        Some(Screen::Drops) => usize::from(drops::list_height(m)),
        _ => usize::from(height.saturating_sub(4)),
    };
    let page = usize::from(flows::table_height(m));
    if let Some(Screen::Flows(v)) = m.stack.last_mut() {
        if grown || v.behind(engine) { v.fill(engine, page) } else { v.settle(engine, page) }
    }
    board::settle(m, engine);
    super::screen::measure(m, engine);
}

/// Brings the list of causes up to date; order changes only where nothing is under the finger.
fn causes(m: &mut Model, engine: &Engine) {
    if m.is_paused() {
        return count_in_view(m, engine);
    }
    let now = m.now(engine);
    let known = m.drops.lines.len();
    let line = |c: &crate::engine::causes::Cause| {
        let all = Seen { events: c.events, first: c.first, last: c.last, rate: c.rate(engine.heard().upto_of(c.id, now)) };
        CauseLine {
            id: c.id,
            all,
            seen: all,
            state: engine.state(c, now),
            defied: c.is_defied(),
            audit: c.audit,
            foreseen: c.foreseen.is_some(),
            foretold: false,
            age: now.since(c.first),
        }
    };
    for l in &mut m.drops.lines {
        if let Some(c) = engine.causes().get(l.id) {
            *l = CauseLine { foretold: l.foretold, ..line(c) };
        }
    }
    m.drops.lines.extend(engine.causes().iter().skip(known).map(line));
    count_in_view(m, engine);
    // What is there at once when a recording is opened is no news.
    if (m.options.bell || m.options.news) && m.streams(engine) && m.drops.rung < engine.causes().len() {
        if m.drops.rung > 0 || m.ms > QUIET_MS {
            m.ring = m.options.bell;
            if let Some(c) = engine.causes().iter().last().filter(|_| m.options.news) {
                let glyph = if c.audit { m.look.g.audit } else { m.look.g.no };
                m.headline = Some(format!("{glyph} {}", drops::sentence(c)));
                m.titled = true;
            }
        }
        m.drops.rung = engine.causes().len();
    }
    let due = m.ms >= m.drops.sorted_ms.saturating_add(RESORT_MS) || known == 0;
    if due && m.drops.selected.is_none() {
        m.drops.sorted_ms = m.ms;
        sort_causes(m);
    }
}

/// Under a filter the drops that pass it count.
fn count_in_view(m: &mut Model, engine: &Engine) {
    let now = m.view().and_then(crate::tui::view::View::paused_at).unwrap_or_else(|| m.now(engine));
    let mut lines = std::mem::take(&mut m.drops.lines);
    let view = m.view().filter(|v| !v.is_all());
    for l in &mut lines {
        let pulse = view.and_then(|v| v.pulse(l.id));
        l.seen = pulse.map_or(l.all, |p| Seen {
            events: p.events,
            first: p.first,
            last: p.last,
            rate: p.rate(engine.heard().upto_of(l.id, now)),
        });
    }
    m.drops.lines = lines;
}

/// Brings the causes into the order that is asked for.
fn sort_causes(m: &mut Model) {
    // Half asked in another order some would be passed over.
    if m.drops.asked.left > 0 {
        m.drops.asked.left = m.drops.lines.len();
    }
    let rank = |s: State| match s {
        State::New | State::Ongoing => 0,
        State::Unheard => 1,
        State::Quiet => 2,
        State::Mended => 3,
        State::Fixed => 4,
    };
    match m.drops.sort {
        Sort::New => m.drops.lines.sort_by_key(|l| (std::cmp::Reverse(l.seen.first), l.id)),
        Sort::Last => m.drops.lines.sort_by_key(|l| (std::cmp::Reverse(l.seen.last), l.id)),
        _ => m.drops.lines.sort_by_key(|l| (rank(l.state), std::cmp::Reverse(l.seen.events), l.id)),
    }
    if m.drops.reverse {
        m.drops.lines.reverse();
    }
}
