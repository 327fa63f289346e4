//! The filter bar: every edit shows its result at once; a text that is no filter leaves the last valid picture and says why.
use super::{Tone, toast};
use crate::engine::Engine;
use crate::model::time::Nanos;
use crate::model::view::Field;
use crate::query;
use crate::tui::key::Key;
use crate::tui::model::{Effect, Model, Screen};
use crate::tui::prompt::{Did, Prompt};
use crate::tui::view::View;

/// Filters remembered.
const REMEMBERED: usize = 200;

pub fn context(m: &Model, engine: &Engine) -> query::Context {
    query::Context { now: m.now(engine), offset: m.options.offset }
}

/// The first filter; one that cannot be read is put into the prompt with its error, to be mended.
pub fn start(m: &mut Model, engine: &Engine, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    open(m);
    if let Some(p) = &mut m.prompt {
        p.text = text.to_owned();
        p.cursor = text.len();
    }
    apply(m, engine);
    if m.prompt.as_ref().is_some_and(|p| p.error.is_none()) {
        keep(m, engine);
    }
}

/// A text as a filter. Times that count back become the times they mean: `since:5m` on a screen that is left open would be hours, and the
/// bar would not say so. With it the text as it was typed, where that is another.
pub fn read(m: &Model, engine: &Engine, text: &str) -> Result<(query::Predicate, Option<String>), query::QueryError> {
    let ctx = context(m, engine);
    match query::fixed(text, &ctx) {
        Some(fixed) => Ok((query::parse(&fixed, &ctx)?, Some(text.trim().to_owned()))),
        None => Ok((query::parse(text, &ctx)?, None)),
    }
}

/// The view shows what a text asks for; the text it has in the bar then.
fn take(m: &mut Model, engine: &Engine, text: &str) -> Result<String, query::QueryError> {
    let (filter, typed) = read(m, engine, text)?;
    let shown = filter.text().to_owned();
    // Before the first flow nobody knows from when to count back.
    m.unbound = engine.now() == Nanos::default();
    show(m, engine, filter);
    if let (Some(v), Some(_)) = (m.view_mut(), &typed) {
        v.typed = typed;
    }
    Ok(shown)
}

/// A filter that was there before the first flow gets its times: of a file when it is read, else with the first flow.
pub fn bind_late(m: &mut Model, engine: &Engine) {
    let known = engine.now() != Nanos::default() && (m.closed || m.options.remote.is_some() || m.streams(engine));
    if m.unbound && known && m.prompt.is_none() {
        let text = m.view().map_or("", View::text).to_owned();
        m.unbound = false;
        if let (Ok((filter, typed)), Some(v)) = (read(m, engine, &text), m.view_mut())
            && filter.fields().contains(Field::Time)
        {
            *v = v.refilter(filter, engine);
            v.typed = typed;
        }
    }
}

pub fn open(m: &mut Model) {
    if let Some(v) = m.view() {
        m.prompt = Some(Prompt::new(v.text(), v.clone()));
    }
}

/// Text pasted into the prompt; elsewhere a paste is not keys.
pub fn paste(m: &mut Model, engine: &Engine, text: &str) {
    if let Some(p) = &mut m.prompt {
        p.insert(text);
        p.offers = None;
        apply(m, engine);
    } else {
        toast(m, Tone::Info, "press / first: a paste goes into the filter");
    }
}

pub fn key(m: &mut Model, engine: &Engine, key: Key) {
    let history = std::mem::take(&mut m.history);
    let did = m.prompt.as_mut().map_or(Did::Nothing, |p| p.key(key, &history));
    m.history = history;
    match did {
        Did::Nothing | Did::Moved => {}
        Did::Changed => apply(m, engine),
        Did::Keep => match m.prompt.as_ref().and_then(|p| p.error.as_ref()).map(ToString::to_string) {
            Some(e) => toast(m, Tone::Error, format!("{e}  (Esc restores the old filter)")),
            None => keep(m, engine),
        },
        Did::Restore => {
            if let Some(p) = m.prompt.take()
                && let Some(v) = m.view_mut()
            {
                *v = *p.old;
            }
        }
        Did::Complete(forward) => complete(m, engine, forward),
    }
}

/// Both of two filters at once.
pub fn both(old: &str, more: &str) -> String {
    let loose = old.split_whitespace().any(|w| w.eq_ignore_ascii_case("or"));
    match (old.is_empty(), more.is_empty()) {
        (true, _) => more.to_owned(),
        (_, true) => old.to_owned(),
        _ if loose => format!("({old}) {more}"),
        _ => format!("{old} {more}"),
    }
}

/// Adds to the filter of the view, or takes out, what is under the finger.
pub fn narrow(m: &mut Model, engine: &Engine, only: bool) {
    let Some(term) = super::board::term(m, engine) else {
        return toast(m, Tone::Info, "nothing to filter by is under the finger; h l choose a column");
    };
    let term = if only { term } else { format!("not ({term})") };
    let text = both(m.view().map_or("", View::text), &term);
    match take(m, engine, &text) {
        Ok(_) => {
            // Where the table is not in sight, what it shows now is said.
            if matches!(m.screen(), Some(Screen::Describe(_))) {
                toast(m, Tone::Info, format!("the table shows {text}"));
            }
            remember(m, text);
        }
        Err(e) => toast(m, Tone::Error, e.to_string()),
    }
}

/// `:filter NAME`.
pub fn named(m: &mut Model, engine: &Engine, name: &str) {
    let Some(text) = m.filters.iter().find(|f| f.0 == name).map(|f| f.1.clone()) else {
        return toast(m, Tone::Error, format!("no filter is named {name}: :keep {name} names the present one"));
    };
    match take(m, engine, &text) {
        Ok(shown) => {
            // Where no line shows the filter, what it is now is said.
            if !matches!(m.screen(), Some(Screen::Flows(_))) {
                toast(m, Tone::Info, format!("the table shows {shown}"));
            }
            remember(m, text);
        }
        Err(e) => toast(m, Tone::Error, format!("{name} is no filter: {e}")),
    }
}

/// `:keep NAME`: the present filter gets a name, here and in the configuration file.
pub fn christen(m: &mut Model, name: &str) {
    let text = m.view().map_or("", View::typed).to_owned();
    if text.is_empty() {
        return toast(m, Tone::Info, "there is no filter to keep: / writes one");
    }
    if by_number(&text) {
        return toast(m, Tone::Error, "a cause has its number for this run only: keep a filter by what its flows have in common");
    }
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
        return toast(m, Tone::Error, "a name has letters, digits, - and _ only");
    }
    m.filters.retain(|f| f.0 != name);
    m.filters.push((name.to_owned(), text.clone()));
    m.filters.sort();
    m.effects.push(Effect::Keep(name.to_owned(), text));
}

fn keep(m: &mut Model, engine: &Engine) {
    let Some(p) = m.prompt.take() else { return };
    let text = p.text.trim().to_owned();
    match take(m, engine, &text) {
        Ok(_) => remember(m, text),
        Err(e) => toast(m, Tone::Error, e.to_string()),
    }
}

/// Whether a filter names a cause by its number, which is another cause's when the engine begins anew.
pub fn by_number(text: &str) -> bool {
    !query::numbered(text).is_empty()
}

fn remember(m: &mut Model, text: String) {
    if !text.is_empty() {
        m.history.retain(|h| *h != text);
        if !by_number(&text) {
            m.effects.push(Effect::Remember(text.clone()));
        }
        m.history.push(text);
        if m.history.len() > REMEMBERED {
            m.history.remove(0);
        }
    }
}

/// Reads the text; if it is a filter, the view shows it.
fn apply(m: &mut Model, engine: &Engine) {
    let ctx = context(m, engine);
    let Some(p) = &mut m.prompt else { return };
    match query::parse(&p.text, &ctx) {
        Err(e) => {
            // What stands before the fault is shown, if it is a filter by itself; else the last valid one stays.
            let head = p.text.get(..e.span.start).and_then(|h| query::parse(h, &ctx).ok());
            p.error = Some(e);
            if let Some(filter) = head {
                show(m, engine, filter);
            }
        }
        Ok(filter) => {
            p.error = None;
            show(m, engine, filter);
        }
    }
}

fn show(m: &mut Model, engine: &Engine, filter: query::Predicate) {
    let page = m.page;
    if let Some(v) = m.view_mut()
        && v.text() != filter.text()
    {
        *v = View::refilter(v, filter, engine);
        v.fill(engine, page);
    }
}

fn complete(m: &mut Model, engine: &Engine, forward: bool) {
    if let Some(p) = &mut m.prompt {
        super::complete::tab(p, engine, forward);
    }
    apply(m, engine);
}
