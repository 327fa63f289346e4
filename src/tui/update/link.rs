//! What a screen is in other words: a filter that finds the same on another day, and the command line that says the same without a screen.
use super::go::{conversation, selected_cause};
use crate::engine::Engine;
use crate::engine::edges::WORLD;
use crate::model::row::{CauseId, End};
use crate::model::why::PolicyRef;
use crate::query;
use crate::tui::column::Column;
use crate::tui::model::{Fields, Model, Screen};
use crate::tui::screen::timeline::Axis;
use crate::tui::view::View;
use crate::tui::widget::cell::Flow;
use std::num::NonZeroU32;

/// What did not pass, or would not if policies were enforced.
pub const STOPPED: &str = "verdict:dropped,error,audit";

/// What a policy has to do with: this one, and none of another kind that bears its name.
pub fn policy(p: &PolicyRef) -> String {
    format!("policy:{}", query::quoted(&format!("{}/{}", p.kind, p.path())))
}

/// The flows of a cause by what they have in common: its number is valid for this run only. `None` where nobody knows any more.
pub fn of_cause(engine: &Engine, id: CauseId) -> Option<String> {
    let cause = engine.causes().get(id)?;
    if let Some(o) = &cause.foreseen {
        return Some(conversation(o));
    }
    let (store, edges) = (engine.store(), &engine.tally()?.edges);
    let row = store.row(cause.example).filter(|_| store.cause(cause.example) == Some(id))?;
    let side = |end: &End, name: &str, side: &str| {
        // It stands for every workload of the namespace, or for every address outside.
        let atoms = match name {
            "world" => vec![WORLD.to_owned()],
            many if cause.is_shared() && many.ends_with(" workloads") => vec![format!("ns:{}", query::quoted(store.name(end.ns)))],
            _ => edges.node_of(edges.party(end, store)?)?.atoms.clone(),
        };
        Some(atoms.iter().map(|a| format!("{side}.{a} ")).collect::<String>())
    };
    let port = match (cause.port, cause.l4) {
        (0, Some(l4)) => format!("proto:{} ", l4.word().to_lowercase()),
        (0, None) => String::new(),
        (port, _) => format!("to.port:{port} "),
    };
    let policy = cause.why.policies.first().map(|p| policy(p) + " ").unwrap_or_default();
    let verdict = if cause.audit { "audit" } else { "dropped,error" };
    let (from, to) = (side(&row.src, &cause.from, "from")?, side(&row.dst, &cause.to, "to")?);
    Some(format!("{from}{to}{port}{policy}outcome:{} verdict:{verdict}", cause.why.outcome.word()))
}

/// The filter of the table, with no number in it.
fn of_view(m: &Model, engine: &Engine) -> Option<String> {
    query::spelled(m.view()?.text(), |n| of_cause(engine, CauseId(NonZeroU32::new(n)?)))
}

/// Sender, receiver and port of a flow.
fn of_flow(m: &Model, engine: &Engine, seq: u64) -> Option<String> {
    Flow::of(m, engine, m.view()?, seq)?.term(Column::Flow)
}

/// The cause that the screen is about, or that is under the finger in a list of them.
pub fn cause(m: &Model) -> Option<CauseId> {
    match m.screen()? {
        Screen::Flows(_) if m.in_pane => selected_cause(m),
        Screen::Drops => selected_cause(m),
        Screen::Why(c) => c.cause,
        _ => None,
    }
}

/// The filter that finds what the screen shows.
pub fn filter(m: &Model, engine: &Engine) -> Option<String> {
    if let Some(id) = cause(m) {
        return of_cause(engine, id);
    }
    let view = of_view(m, engine)?;
    match m.screen() {
        Some(Screen::Why(c)) => of_flow(m, engine, c.seq?),
        Some(Screen::Timeline(t)) if t.at.is_some() || t.brush.is_some() => {
            let axis = m.view().and_then(|v| Axis::of(m, engine, v, v.tally(engine)?));
            Some(super::filter::both(&view, &axis?.filter(t)))
        }
        _ => Some(view),
    }
}

/// The command line that says without a screen what this one shows; where there is none, the one that opens this picture.
pub fn command(m: &Model, engine: &Engine) -> Option<String> {
    let view = || of_view(m, engine);
    let (source, live) = (m.options.source.as_str(), m.options.live);
    let ask = |head: &str, args: &str, filter: Option<String>| {
        if source.is_empty() { picture(m, filter?) } else { Some(line(&[head, source, args], &filter?)) }
    };
    // Of a server's flows not only the last twenty.
    let counted = |by: &str, filter| ask("flowhy observe", &format!("{}--count-by {by}", if live { "--all " } else { "" }), filter);
    let shown = m.stack.iter().rev().find(|s| !matches!(s, Screen::Yaml(_)))?;
    match shown {
        Screen::Flows(_) if !m.in_pane => ask("flowhy observe", if live { "--all" } else { "" }, view()),
        Screen::Flows(_) | Screen::Drops => ask("flowhy why", "", view()),
        Screen::Why(c) => match c.cause {
            Some(id) => ask("flowhy why", "", of_cause(engine, id)),
            None => ask("flowhy observe", "--why=all", of_flow(m, engine, c.seq?)),
        },
        Screen::Describe(d) => ask("flowhy observe", "-o jsonpb", uuid(d).or_else(|| of_flow(m, engine, d.seq))),
        Screen::Map(x) => {
            // Only a workload of a namespace has a word for itself on either side.
            let focus = x.focus.as_deref().filter(|f| f.split('/').count() == 2 && !f.ends_with("/?"));
            let focus = focus.map_or_else(String::new, |f| format!("workload:{}", query::quoted(f)));
            counted("from.workload,to.workload,to.port", view().map(|v| super::filter::both(&v, &focus)))
        }
        Screen::Matrix(x) => {
            let by = if x.workloads { "from.workload,to.workload" } else { "from.ns,to.ns" };
            let drops = if x.drops { STOPPED } else { "" };
            counted(by, view().map(|v| super::filter::both(&v, drops)))
        }
        Screen::Stats(_) => counted("verdict,drop,node", view()),
        Screen::Timeline(_) => picture(m, filter(m, engine)?),
        Screen::Policies(p) => {
            let here = p.list.here().and_then(|i| p.usage.lines.get(i)).filter(|l| l.stopped() > 0);
            match here {
                Some(l) => ask("flowhy why", "", Some(policy(&l.policy))),
                // An audit asks no server for flows.
                None if live => picture(m, String::new()),
                None => ask("flowhy audit", "", Some(String::new())),
            }
        }
        Screen::Admitted(_) if live => picture(m, view()?),
        Screen::Admitted(_) => ask("flowhy audit", "", view()),
        _ => picture(m, view()?),
    }
}

fn uuid(d: &Fields) -> Option<String> {
    let (_, uuid) = d.fields.as_ref()?.iter().find(|f| f.0 == "uuid")?;
    Some(format!("uuid:{}", query::quoted(uuid)))
}

fn picture(m: &Model, filter: String) -> Option<String> {
    Some(line(&[&m.options.command], &filter)).filter(|l| !l.is_empty())
}

/// For a shell.
fn line(words: &[&str], filter: &str) -> String {
    let words = words.iter().filter(|w| !w.is_empty()).copied();
    if filter.is_empty() {
        words.collect::<Vec<_>>().join(" ")
    } else {
        words.chain([quote(filter).as_str()]).collect::<Vec<_>>().join(" ")
    }
}

/// In single quotes.
fn quote(s: &str) -> String {
    format!("'{}'", s.replace('\'', r"'\''"))
}

/// Whether the text of a view names what only this run knows.
pub fn only_here(view: &View) -> bool {
    !query::numbered(view.text()).is_empty()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_filter_survives_the_shell() {
        assert_eq!(super::quote("x:'y' z"), r"'x:'\''y'\'' z'");
        assert_eq!(super::line(&["flowhy why", "", "--from a"], ""), "flowhy why --from a");
    }
}
