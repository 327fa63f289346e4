//! What asks the loop for a file or for another time: `:save`, `:record`, `:goto` in a replay, its steps and its speed; and the screens
//! after the engine has begun anew.
use super::{Tone, toast};
use crate::engine::Engine;
use crate::model::time::Nanos;
use crate::query::{self, Context, Predicate};
use crate::source::replay::{Remote, To};
use crate::tui::board::Timeline;
use crate::tui::causes::Drops;
use crate::tui::model::{Effect, Hunt, Model, Screen, Trail, Wanted};
use crate::tui::view::View;

/// Speeds of a replay; after the last comes as fast as it can be read.
const SPEEDS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0];
/// Lines let through at once while something is hunted for.
const LINES: u64 = 16;
const DAY: i64 = 86_400 * Nanos::SECOND;

/// Goes to a time where a recording is played; `false` where there is none.
pub fn goto(m: &mut Model, engine: &Engine, time: &str) -> bool {
    let Some(remote) = m.options.remote.clone() else { return false };
    let now = engine.now();
    let Some((at, _)) = query::moment(time, &Context { now, offset: m.options.offset }) else {
        toast(m, Tone::Error, format!("{time:?} is no time: 13:57, 13:57:02, or 2026-01-31T13:57:00Z"));
        return true;
    };
    // A time of day may lie ahead in a recording.
    let ahead = at.plus(DAY);
    let at = if time.len() <= 8 && ahead.since(now) < now.since(at) { ahead } else { at };
    // At full speed it would be gone before it is seen.
    if remote.pace().speed.is_infinite() {
        m.effects.push(Effect::Hold(true));
    }
    m.effects.push(Effect::Seek(To::Time(at)));
    true
}

/// Plays on from the time under the finger.
pub fn seek(m: &mut Model, engine: &Engine) {
    let Some(at) = super::board::under_finger(m, engine) else { return };
    if m.options.remote.as_ref().is_some_and(|r| r.pace().speed.is_infinite()) {
        m.effects.push(Effect::Hold(true));
    }
    m.effects.push(Effect::Seek(To::Time(at)));
}

/// A time behind the recording was asked for.
pub fn overshot(m: &mut Model) {
    let Some(end) = m.options.remote.as_ref().and_then(Remote::overshot) else { return };
    let local = end.plus(i64::from(m.options.offset) * Nanos::SECOND);
    toast(m, Tone::Info, format!("the recording ends at {}", local.utc().format("%H:%M:%S")));
}

/// One line back, or on. The clock stands then.
pub fn step(m: &mut Model, back: bool) {
    m.effects.push(Effect::Hold(true));
    m.effects.push(if back { Effect::Seek(To::Back) } else { Effect::Step(1) });
}

/// Plays on as fast as it goes until another cause, or change of a policy, appears behind those that are known. The clock stands meanwhile
/// and the lines are let through by some at a time: so it stops where that is, not where the pipe ends.
pub fn hunt(m: &mut Model, engine: &Engine, wanted: Wanted) {
    let frames = engine.ledger().frames;
    // Numbers, not places: old changes are forgotten while new ones come.
    let changes = engine.changes().map(|(cluster, number, _)| (cluster.to_owned(), number)).collect();
    m.hunt = Some(Hunt { wanted, known: (engine.causes().len(), changes), frames });
    m.effects.push(Effect::Hold(true));
}

/// What was hunted for is looked for among what has come; more is asked for while it has not. Returns whether something changed.
pub fn follow(m: &mut Model, engine: &Engine) -> bool {
    let Some(hunt) = &m.hunt else { return false };
    let Some((remote, view)) = m.options.remote.as_ref().zip(m.view()) else { return false };
    if view.behind(engine) {
        return false;
    }
    let found = match hunt.wanted {
        Wanted::Cause => engine.causes().iter().skip(hunt.known.0).find(|c| m.lists(c)).map(|c| (Some(c.id), c.first)),
        Wanted::Change => {
            let new = |cluster: &str, number| hunt.known.1.get(cluster).is_none_or(|known| number > *known);
            engine.changes().filter(|(cluster, number, _)| new(cluster, *number)).map(|c| (None, c.2.at)).min()
        }
    };
    let over = is_over(remote, engine);
    if found.is_none() && !over {
        let frames = engine.ledger().frames;
        if let Some(hunt) = m.hunt.as_mut().filter(|hunt| frames >= hunt.frames) {
            hunt.frames = frames + LINES;
            m.effects.push(Effect::Step(LINES));
        }
        return true;
    }
    let wanted = hunt.wanted;
    m.hunt = None;
    match (m.stack.last_mut(), found) {
        (Some(Screen::Timeline(t)), Some((_, at))) => t.at = Some(at),
        (Some(_), Some((Some(cause), _))) => {
            super::causes(m, engine);
            super::go::to_cause(m, engine, cause);
        }
        _ => {}
    }
    let what = if wanted == Wanted::Cause { "cause begins" } else { "change of a policy comes" };
    if found.is_none() {
        toast(m, Tone::Info, format!("no further {what} until the recording's end"));
    }
    true
}

/// Whether everything was played, and the end of each file has come.
pub fn is_over(remote: &Remote, engine: &Engine) -> bool {
    remote.ended() && engine.ended().len() >= remote.files().max(1)
}

/// Slower or faster by one speed.
pub fn speed(m: &mut Model, faster: bool) {
    let Some(remote) = &m.options.remote else { return };
    let now = remote.pace().speed;
    let next = if faster { SPEEDS.iter().find(|s| **s > now) } else { SPEEDS.iter().rev().find(|s| **s < now) };
    let next = next.copied().unwrap_or(if faster { f64::INFINITY } else { now });
    let over = remote.ended();
    m.effects.push(Effect::Speed(next));
    let speed = if next.is_infinite() { "as fast as it can be read".to_owned() } else { format!("{next}×") };
    toast(m, Tone::Info, if over { format!("the recording is at its end; played again: {speed}") } else { speed });
}

/// The engine has forgotten everything: rows and causes have other numbers now.
pub fn reset(m: &mut Model, engine: &Engine) {
    let filter = match m.stack.first() {
        Some(Screen::Flows(v)) if !super::filter::by_number(v.text()) => v.filter().clone(),
        _ => Predicate::all(),
    };
    // What lies along the time is looked at from where it was asked for.
    let along = matches!(m.screen(), Some(Screen::Timeline(_))).then(|| Screen::Timeline(Timeline::default()));
    m.stack = vec![Screen::Flows(Box::new(View::new(filter, engine)))];
    m.stack.extend(along);
    m.trail = Trail::default();
    m.drops = Drops::default();
    m.marks.clear();
    (m.prompt, m.menu, m.in_pane, m.hunt) = (None, None, false, None);
}
