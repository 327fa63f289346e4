//! What keys do on the screens of sums, and how their lists follow the data.
use super::{Tone, go, link, toast, trail};
use crate::engine::Engine;
use crate::engine::admitted::{By, Sight};
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;
use crate::policy::PolicySet;
use crate::tui::action::Action;
use crate::tui::board::{Admitted, Map, Matrix, Policies, Sort, Stats, Timeline, Yaml};
use crate::tui::causes::Only;
use crate::tui::column::Column;
use crate::tui::key::Key;
use crate::tui::model::{Model, Screen, Scroll, Wanted};
use crate::tui::screen::timeline::Axis;
use crate::tui::screen::{admitted, describe, flows, map, matrix, policies, stats, timeline};
use crate::tui::widget::cell::Flow;
use crate::tui::widget::yaml::Sheet;

const SECOND_MS: u64 = 1_000;
/// Conversations that are counted in no time.
const FEW: usize = 20_000;

/// How far left and right go along the time.
const STEP: i64 = 10 * Nanos::SECOND;

type Sorts = &'static [(char, &'static str, Sort)];

/// The sort menu: (key, what, by what).
pub fn sorts(m: &Model) -> Sorts {
    match m.screen() {
        Some(Screen::Drops) => &[('c', "count", Sort::Count), ('n', "newest", Sort::New), ('l', "last seen", Sort::Last)],
        Some(Screen::Policies(_)) => {
            &[('c', "count", Sort::Count), ('a', "allows", Sort::Allows), ('d', "drops", Sort::Drops), ('n', "name", Sort::Name)]
        }
        Some(Screen::Admitted(_)) => {
            &[('o', "open first", Sort::Drops), ('c', "count", Sort::Count), ('n', "name", Sort::Name), ('f', "first seen", Sort::New)]
        }
        _ => &[('c', "count", Sort::Count), ('d', "drops", Sort::Drops), ('n', "name", Sort::Name)],
    }
}

/// A screen of its own kind, as it is opened.
pub fn open(m: &mut Model, engine: &Engine, action: Action) {
    let screen = match action {
        Action::Map => Screen::Map(Box::new(Map::on(focus(m, engine)))),
        Action::Matrix => Screen::Matrix(Box::<Matrix>::default()),
        Action::Stats => Screen::Stats(Stats { window: 1, ..Stats::default() }),
        Action::Timeline => Screen::Timeline(Timeline::default()),
        _ => Screen::Policies(Box::<Policies>::default()),
    };
    trail::root(m, Some(screen));
}

/// Whoever is called by the flow under the finger, where one was chosen; else the map looks for itself.
fn focus(m: &Model, engine: &Engine) -> Option<String> {
    let chosen = match m.screen()? {
        Screen::Flows(v) => !v.follow && !m.in_pane,
        Screen::Why(_) | Screen::Describe(_) => true,
        _ => false,
    };
    let row = engine.store().row(go::selected_flow(m, engine).filter(|_| chosen)?)?;
    let edges = &engine.tally()?.edges;
    let end = if row.reply == Some(true) { &row.src } else { &row.dst };
    edges.party(end, engine.store()).map(|id| edges.name(id).to_owned())
}

/// Whether a recording is being read as fast as it goes: what is there now is a part.
fn reads(m: &Model) -> bool {
    m.options.remote.as_ref().is_some_and(|r| !r.ended() && !r.pace().paused && r.pace().speed.is_infinite())
}

/// Before a picture: lists take in what is new.
pub fn settle(m: &mut Model, engine: &Engine) {
    let ms = m.ms;
    let Some(mut top) = m.stack.pop() else { return };
    match &mut top {
        Screen::Map(x) => {
            if let Some((view, tally)) = m.view().and_then(|v| Some((v, v.tally(engine)?))) {
                let w = map::window(m, engine, view, tally);
                if x.focus.is_none() {
                    x.focus = map::busiest(&w);
                }
                let (callers, calls) = (map::pairs(&w, x, false), map::pairs(&w, x, true));
                let whole = !view.behind(engine) && !view.counts_behind(engine) && !reads(m);
                x.callers.renew(callers, ms, whole);
                x.calls.renew(calls, ms, whole);
                if x.list().lines.is_empty() && !(x.callers.lines.is_empty() && x.calls.lines.is_empty()) {
                    x.out = !x.out;
                }
            }
        }
        Screen::Stats(x) => {
            x.most = stats::lines(m, engine, x).len();
            x.at = x.at.min(x.most.saturating_sub(1));
        }
        Screen::Admitted(x) => {
            let order = admitted::order(x);
            let whole = m.view().is_some_and(|v| !v.behind(engine) && !x.found.behind(engine, v.last(engine)));
            x.list.renew(order, ms, whole && !reads(m));
        }
        Screen::Policies(p) if p.whole && m.is_paused() => {}
        Screen::Policies(p) => {
            // Counting goes over every conversation: with many of them once a second is enough.
            let judged = p.usage.judged();
            // What was judged last is counted at once: without it a policy may seem to be of no use.
            let whole = !p.usage.behind(engine);
            if p.counted.is_none_or(|(at, n)| ms >= at + SECOND_MS || (n != judged && (judged < FEW || whole && !p.whole))) {
                p.usage.count(engine);
                p.counted = Some((ms, p.usage.judged()));
            }
            p.whole = whole;
            let order = policies::order(p);
            p.list.renew(order, ms, p.whole && !reads(m));
        }
        _ => {}
    }
    m.stack.push(top);
}

/// Judges conversations for the list of policies. A picture that is paused stands, once it is whole.
pub fn judge(m: &mut Model, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
    let paused = m.is_paused();
    match m.stack.last_mut() {
        Some(Screen::Policies(p)) if !(p.whole && paused) => p.usage.advance(engine, more),
        _ => false,
    }
}

/// Whether conversations wait to be judged for it.
pub fn judges(m: &Model, engine: &Engine) -> bool {
    matches!(m.screen(), Some(Screen::Policies(p)) if !(p.whole && m.is_paused()) && p.usage.behind(engine))
}

/// Up and down; the least and greatest number mean the ends. Returns whether the screen is one of these.
pub fn step(m: &mut Model, engine: &Engine, by: isize) -> bool {
    match m.stack.last_mut() {
        Some(Screen::Map(x)) => x.list_mut().step(by),
        Some(Screen::Policies(p)) => p.list.step(by),
        Some(Screen::Admitted(x)) => x.list.step(by),
        Some(Screen::Stats(s)) => s.at = s.at.saturating_add_signed(by).min(s.most.saturating_sub(1)),
        Some(Screen::Matrix(_)) => walk(m, engine, by, 0),
        // Up and down are earlier and later too: there is but one line.
        Some(Screen::Timeline(_)) => along(m, engine, by),
        Some(Screen::Yaml(y)) => y.scroll.by(by),
        _ => return false,
    }
    true
}

/// Left and right.
pub fn sideways(m: &mut Model, engine: &Engine, by: isize) {
    match m.stack.last_mut() {
        Some(Screen::Flows(_)) => {
            let shown = flows::columns(m, m.width);
            let here = shown.iter().position(|p| p.column == m.finger).unwrap_or(0);
            if let Some(to) = shown.get(here.saturating_add_signed(by).min(shown.len().saturating_sub(1))) {
                m.finger = to.column;
            }
        }
        Some(Screen::Columns(_)) => super::column::shift(m, by),
        Some(Screen::Map(x)) => x.out = by > 0,
        Some(Screen::Stats(s)) => s.window = s.window.saturating_add_signed(by).min(stats::NAMES.len() - 1),
        Some(Screen::Matrix(_)) => walk(m, engine, 0, by),
        Some(Screen::Timeline(_)) => {
            // A slot may be shorter than a column, and may last longer than the step.
            let slots = axis(m, engine).map_or(1, |a| (STEP / a.slot.max(1)).max(1));
            along(m, engine, by.saturating_mul(isize::try_from(slots).unwrap_or(1)));
        }
        _ => {}
    }
}

fn walk(m: &mut Model, engine: &Engine, down: isize, right: isize) {
    let Some(Screen::Matrix(x)) = m.screen() else { return };
    let Some(t) = matrix::table(m, engine, x) else { return };
    let Some(last) = t.names.len().checked_sub(1) else { return };
    let (row, col) = t.at(x);
    let to = (row.saturating_add_signed(down).min(last), col.saturating_add_signed(right).min(last));
    let name = |i: usize| t.names.get(i).cloned().unwrap_or_default();
    let selected = Some((name(to.0), name(to.1)));
    if let Some(Screen::Matrix(x)) = m.stack.last_mut() {
        x.selected = selected;
    }
}

fn axis(m: &Model, engine: &Engine) -> Option<Axis> {
    let view = m.view()?;
    Axis::of(m, engine, view, view.tally(engine)?)
}

fn along(m: &mut Model, engine: &Engine, by: isize) {
    let Some(axis) = axis(m, engine) else { return };
    let Some(Screen::Timeline(t)) = m.stack.last_mut() else { return };
    let last = axis.rates.len().saturating_sub(1);
    let to = axis.here(t).saturating_add_signed(by).min(last);
    // At the newest it stays with what is new.
    t.at = (to != axis.edge && by != isize::MAX).then(|| axis.begin(to));
}

/// To the begin of the next or previous cause along the time.
pub fn cause(m: &mut Model, engine: &Engine, by: isize) {
    let Some(axis) = axis(m, engine) else { return };
    let Some(Screen::Timeline(t)) = m.screen() else { return };
    let here = axis.here(t);
    let places: Vec<usize> = timeline::causes(m, engine, &axis).iter().map(|c| axis.place(c.first)).collect();
    if by > 0 && m.played().is_some() && !places.iter().any(|p| *p > here) {
        return super::tape::hunt(m, engine, Wanted::Cause);
    }
    let to = match by {
        0.. => places.iter().find(|p| **p > here).or(places.first()),
        _ => places.iter().rev().find(|p| **p < here).or(places.last()),
    };
    let Some(to) = to.copied() else { return toast(m, Tone::Info, "no cause begins within this time") };
    if let Some(Screen::Timeline(t)) = m.stack.last_mut() {
        t.at = Some(axis.begin(to));
    }
}

/// To the next or previous change of a policy.
pub fn change(m: &mut Model, engine: &Engine, by: isize) {
    let Some(axis) = axis(m, engine) else { return };
    let Some(Screen::Timeline(t)) = m.screen() else { return };
    let here = axis.here(t);
    let places: Vec<usize> = timeline::changes(engine, &axis).iter().map(|c| c.0).collect();
    if by > 0 && m.played().is_some() && !places.iter().any(|p| *p > here) {
        return super::tape::hunt(m, engine, Wanted::Change);
    }
    let to = match by {
        0.. => places.iter().find(|p| **p > here).or(places.first()),
        _ => places.iter().rev().find(|p| **p < here).or(places.last()),
    };
    let Some(to) = to.copied() else { return toast(m, Tone::Info, "no policy changed within this time") };
    if let Some(Screen::Timeline(t)) = m.stack.last_mut() {
        t.at = Some(axis.begin(to));
    }
}

/// Begin of what is under the finger, or brushed.
pub fn under_finger(m: &Model, engine: &Engine) -> Option<Nanos> {
    let Some(Screen::Timeline(t)) = m.screen() else { return None };
    let axis = axis(m, engine)?;
    Some(axis.begin(axis.brushed(t).0))
}

/// Takes in rows that the list of who was let in has not seen; a filter that changed begins it anew.
pub fn admit(m: &mut Model, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
    let Some(Screen::Admitted(mut x)) = m.stack.pop_if(|s| matches!(s, Screen::Admitted(_))) else { return false };
    let mut changed = false;
    if let Some(v) = m.view().filter(|v| !v.behind(engine)) {
        if x.filter != v.text() {
            *x = Admitted { filter: v.text().to_owned(), sort: x.sort, reverse: x.reverse, ..Admitted::default() };
        }
        changed = x.found.advance(engine, |from| v.rows_from(from, engine), more);
    }
    m.stack.push(Screen::Admitted(x));
    changed
}

/// Puts the finger on the time that stands in a column.
pub fn point(m: &mut Model, engine: &Engine, x: u16) {
    let Some(at) = axis(m, engine).and_then(|a| a.at_column(x, m.width)) else { return };
    if let Some(Screen::Timeline(t)) = m.stack.last_mut() {
        t.at = Some(at);
    }
}

/// Begins a brush at the finger, or gives it up.
pub fn brush(m: &mut Model, engine: &Engine) {
    let Some(axis) = axis(m, engine) else { return };
    if let Some(Screen::Timeline(t)) = m.stack.last_mut() {
        let here = axis.begin(axis.here(t));
        t.brush = if t.brush.is_some() { None } else { Some(here) };
    }
}

/// A filter for what is under the finger.
pub fn term(m: &Model, engine: &Engine) -> Option<String> {
    let tally = m.view().and_then(|v| v.tally(engine));
    let term = match m.screen()? {
        Screen::Flows(_) if m.in_pane => format!("cause:{}", go::selected_cause(m)?.0),
        Screen::Drops => format!("cause:{}", go::selected_cause(m)?.0),
        Screen::Flows(v) => return Flow::of(m, engine, v, v.selected(engine)?)?.term(m.finger),
        Screen::Describe(d) => d.here().and_then(|(path, value)| describe::term(path, value))?,
        Screen::Map(x) => {
            let edges = &tally?.edges;
            map::filter_of(edges, edges.get(x.list().here()?)?)
        }
        Screen::Matrix(x) => {
            let t = matrix::table(m, engine, x)?;
            t.filter(t.at(x))
        }
        Screen::Stats(s) => stats::lines(m, engine, s).into_iter().nth(s.at)?.filter,
        _ => return None,
    };
    Some(term).filter(|t| !t.is_empty())
}

/// Goes in: map walks, the others show flows.
pub fn enter(m: &mut Model, engine: &Engine) {
    match m.screen() {
        Some(Screen::Map(x)) => {
            let Some(edges) = m.view().and_then(|v| v.tally(engine)).map(|t| &t.edges) else { return };
            let Some(e) = x.list().here().and_then(|id| edges.get(id)) else { return };
            let name = edges.name(if x.out { e.to } else { e.from }).to_owned();
            let next = Map { out: x.out, sort: x.sort, reverse: x.reverse, ..Map::on(Some(name)) };
            trail::push(m, Screen::Map(Box::new(next)));
        }
        Some(Screen::Matrix(x)) => {
            let Some(t) = matrix::table(m, engine, x).filter(|t| !t.names.is_empty()) else { return };
            let mut filter = t.filter(t.at(x));
            if x.drops {
                filter = format!("{filter} {}", link::STOPPED);
            }
            let Some(w) = m.view().and_then(|v| Some(map::window(m, engine, v, v.tally(engine)?))) else { return };
            let filter = w.within(filter.trim());
            go::show_within(m, engine, &filter);
        }
        Some(Screen::Stats(s)) => {
            let Some(filter) = stats::lines(m, engine, s).into_iter().nth(s.at).map(|l| l.filter) else { return };
            go::show_within(m, engine, &filter);
        }
        Some(Screen::Timeline(t)) => {
            let Some(filter) = axis(m, engine).map(|a| a.filter(t)) else { return };
            // What was brushed is gone into: back here, the finger walks by itself again.
            if let Some(Screen::Timeline(t)) = m.stack.last_mut() {
                t.brush = None;
            }
            go::show_within(m, engine, &filter);
        }
        Some(Screen::Admitted(x)) => {
            let Some(line) = x.list.here().and_then(|i| x.found.lines.get(i)) else { return };
            let flow = m.view().and_then(|v| Flow::of(m, engine, v, line.example));
            let Some(term) = flow.and_then(|f| f.term(Column::Flow)) else { return };
            // What the sender's node let out was not counted, unless nothing else shows it.
            let side = match line.sight {
                _ if line.by == By::Outside => "",
                Sight::Told => " dir:ingress,unknown",
                Sight::Delivered => " (dir:ingress,unknown or type:trace:to-endpoint)",
                Sight::Answered => "",
            };
            go::show_within(m, engine, &format!("{} verdict:forwarded,redirected{side}", term.trim()));
        }
        Some(Screen::Policies(p)) => {
            let Some(line) = p.list.here().and_then(|i| p.usage.lines.get(i)) else { return };
            if line.stopped() == 0 {
                let text = match (line.allows, p.usage.forgotten) {
                    (1.., _) => "it stopped nothing: 9 says who was let in by it",
                    (0, 0) => "it decided on no flow so far",
                    (0, _) => "it stopped nothing, and let pass nothing that is still held",
                };
                return toast(m, Tone::Info, text);
            }
            let filter = format!("{} {} outcome!=now-allowed", link::policy(&line.policy), link::STOPPED);
            go::show(m, engine, &filter);
        }
        _ => {}
    }
}

/// The flows of the pair under the finger.
pub fn flows_of_pair(m: &mut Model, engine: &Engine) {
    let Some(Screen::Map(x)) = m.screen() else { return };
    let Some(w) = m.view().and_then(|v| Some(map::window(m, engine, v, v.tally(engine)?))) else { return };
    let Some(filter) = x.list().here().and_then(|id| w.edges.get(id)).map(|e| map::filter_of(w.edges, e)) else { return };
    let filter = w.within(&filter);
    go::show_within(m, engine, &filter);
}

/// `o` and Tab.
pub fn other(m: &mut Model) {
    match m.stack.last_mut() {
        Some(Screen::Map(x)) => x.out = !x.out,
        Some(Screen::Matrix(x)) => (x.workloads, x.selected) = (!x.workloads, None),
        _ => {}
    }
}

/// `v`.
pub fn show(m: &mut Model) {
    match m.stack.last_mut() {
        Some(Screen::Matrix(x)) => x.drops = !x.drops,
        Some(Screen::Drops) => {
            m.drops.selected = None;
            m.drops.only = match m.drops.only {
                Only::All => Only::Drops,
                Only::Drops => Only::Audits,
                Only::Audits => Only::All,
            };
        }
        _ => {}
    }
}

/// A letter of the sort menu sorts as it says, whatever the order was; `S` turns the order round.
pub fn sort(m: &mut Model, key: Key) {
    let Some(c) = key.typed() else { return };
    match sorts(m).iter().find(|s| s.0 == c) {
        Some(s) => order(m, |sort, reverse| (*sort, *reverse) = (s.2, false)),
        None if c == 'S' => reverse(m),
        None => {}
    }
}

/// A click on a head sorts by it; one more turns the order round.
pub fn sort_by(m: &mut Model, to: Sort) {
    order(m, |sort, reverse| (*sort, *reverse) = (to, to == *sort && !*reverse));
}

/// The same the other way round.
pub fn reverse(m: &mut Model) {
    order(m, |_, reverse| *reverse = !*reverse);
}

/// By what the causes are sorted, in the words of the menu.
pub fn sorted(m: &Model) -> String {
    let by = sorts(m).iter().find(|s| s.2 == m.drops.sort).map_or("count", |s| s.1);
    format!("by {by}{}", if m.drops.reverse { ", reversed" } else { "" })
}

fn order(m: &mut Model, set: impl Fn(&mut Sort, &mut bool)) {
    match m.stack.last_mut() {
        Some(Screen::Drops) => {
            set(&mut m.drops.sort, &mut m.drops.reverse);
            (m.drops.selected, m.drops.offset) = (None, 0);
            super::sort_causes(m);
        }
        Some(Screen::Map(x)) => {
            set(&mut x.sort, &mut x.reverse);
            x.callers.unsettle();
            x.calls.unsettle();
        }
        Some(Screen::Admitted(x)) => {
            set(&mut x.sort, &mut x.reverse);
            x.list.unsettle();
        }
        Some(Screen::Policies(p)) => {
            set(&mut p.sort, &mut p.reverse);
            p.list.unsettle();
        }
        _ => {}
    }
}

/// The policy in question, among those of its cluster.
fn policy_here<'a>(m: &Model, engine: &'a Engine) -> Option<(PolicyRef, &'a PolicySet)> {
    match m.screen() {
        Some(Screen::Policies(p)) => {
            p.list.here().and_then(|i| p.usage.lines.get(i)).map(|l| (l.policy.clone(), engine.policies_of(l.home)))
        }
        Some(Screen::Why(c)) => {
            let why = c.why.as_ref()?;
            let policy = c.rules().get(c.rule).map(|r| r.policy.clone()).or_else(|| why.policies.first().cloned())?;
            Some((policy, engine.policies_of(engine.home_named(why.cluster.as_deref()))))
        }
        _ => None,
    }
}

/// Its text, with its title.
fn sheet(m: &Model, engine: &Engine) -> Option<(String, Sheet)> {
    let (policy, set) = policy_here(m, engine)?;
    let (text, (line, _)) = set.text(&policy).zip(set.lines(&policy))?;
    Some((format!("{} {}  {}:{line}", policy.kind, policy.path(), text.file), Sheet::cut(&text, line)))
}

/// The text of the policy in question, for the clipboard.
pub fn yaml_text(m: &Model, engine: &Engine) -> Option<String> {
    let lines = match m.screen() {
        Some(Screen::Yaml(y)) => y.lines.clone(),
        _ => sheet(m, engine)?.1.lines,
    };
    Some(lines.join("\n") + "\n")
}

/// Opens it.
pub fn yaml(m: &mut Model, engine: &Engine) {
    let Some((title, Sheet { first, lines })) = sheet(m, engine) else {
        return toast(m, Tone::Info, "no policy's text is at hand here");
    };
    trail::push(m, Screen::Yaml(Box::new(Yaml { title, first, lines, scroll: Scroll::default() })));
}

/// The flows from a time on, as `:goto` wants it.
pub fn goto(m: &mut Model, engine: &Engine, time: &str) {
    let ctx = crate::query::Context { now: m.now(engine), offset: m.options.offset };
    if let Err(e) = crate::query::parse(&format!("since:{time}"), &ctx) {
        return toast(m, Tone::Error, e.to_string());
    }
    go::show_within(m, engine, &format!("since:{time}"));
}
