//! What stderr hears: errors in three lines, warnings, what was lost. Nothing that came from the network or a file reaches it raw.
use super::line::Beside;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::model::captures::only;
use crate::model::input::{At, Change, Input, KindState, Link};
use crate::model::ledger::Ledger;
use crate::model::text::clean;
use crate::policy::lint;
use crate::query;
use crate::wire::note::Notes;
use clap::error::{ContextKind, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

/// Manifest faults printed; the rest is only counted.
const MOST_FAULTS: usize = 50;

/// Nodes named whose events were lost.
const MOST_LOSERS: usize = 10;

/// One message on stderr. What comes from the network or a file is made harmless first.
pub fn say(kind: &str, text: &str) {
    let mut err = Beside(io::stderr().lock());
    let safe: Vec<_> = text.split('\n').map(|l| clean(l).into_owned()).collect();
    let _ = writeln!(err, "{kind}: {}", safe.join("\n"));
}

pub fn error(e: &Error) {
    if e.kind != Kind::BrokenPipe {
        say("error", &e.to_string());
    }
}

/// Clap's finding in our three lines; for `observe` in Hubble's words, which are known and name the leftmost mistake.
pub fn misuse(e: &clap::Error, args: &[String]) -> Error {
    let ours = by_clap(e);
    let Some(at) = args.iter().position(|a| a == "observe") else { return ours };
    let value = |kind| e.get(kind).map(ToString::to_string).unwrap_or_default();
    if e.kind() == ErrorKind::InvalidValue && value(ContextKind::InvalidArg).contains("--output") {
        return Error { what: format!("invalid output format: {}", value(ContextKind::InvalidValue)), ..ours };
    }
    match query::split_args(args.get(at + 1..).unwrap_or_default()) {
        // What the table does not know may be a flag of another part.
        Err(text) if !text.starts_with("unknown") || e.kind() == ErrorKind::UnknownArgument => {
            let wanted = [("ParseUint", "write a number, for example 20"), ("ParseBool", "write true or false")];
            let number = wanted.iter().find(|(sort, _)| text.contains(sort)).map(|(_, hint)| (*hint).to_owned());
            // Clap may have stumbled over another flag: then its hint is about that one.
            let hint = number.or_else(|| text.starts_with("invalid argument").then(|| crate::plan::hint(&text))).or(ours.hint);
            Error { what: text, cause: None, hint, ..ours }
        }
        _ => ours,
    }
}

fn by_clap(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':').to_owned();
    // What follows are the missing arguments or the possible values, then a tip, then the usage.
    let (mut causes, mut tip, mut command) = (Vec::new(), None, None);
    for line in lines {
        if let Some(said) = line.strip_prefix("tip: ") {
            tip.get_or_insert(said);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            let words: Vec<_> = usage.split(' ').take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).collect();
            command = Some(format!("`{} --help` lists", words.join(" ")));
            break;
        } else if line.starts_with("For more information") {
            break;
        } else {
            causes.push(line.trim_matches(['[', ']']).to_owned());
        }
    }
    // The advice to write `-- -x` helps nobody who mistyped a flag.
    let meant = tip.filter(|t| !t.contains("as a value, use")).map(|t| match t.split('\'').collect::<Vec<_>>()[..] {
        [says, similar, ""] if says.contains("similar") => format!("did you mean {similar}?"),
        _ => t.to_owned(),
    });
    let lists = || command.unwrap_or_else(|| "`flowhy --help` and `flowhy COMMAND --help` list".to_owned());
    let (what, cause) = what.split_once("': ").map_or((what.as_str(), None), |(what, cause)| (what, Some(cause)));
    let what = if let Some(cause) = cause {
        causes.insert(0, cause.to_owned());
        format!("{what}'")
    } else {
        what.to_owned()
    };
    let mut error = Error::usage(what).hint(meant.unwrap_or_else(|| lists() + " what there is"));
    if !causes.is_empty() {
        error = error.cause(causes.join(" "));
    }
    error
}

pub fn faults(engine: &Engine) {
    for fault in engine.faults().iter().take(MOST_FAULTS) {
        say("warning", &fault.to_string());
    }
    let rest = engine.fault_count().saturating_sub(MOST_FAULTS);
    if rest > 0 {
        say("warning", &format!("{rest} more faults in the manifests"));
    }
}

/// The policies that do not do what they say, where reading them has not said it already.
pub fn findings(engine: &Engine) {
    let mut all = lint::of_set(engine.world(), engine.policies(), engine.judging());
    all.retain(|f| f.weight == lint::Weight::Broken && !f.fault);
    for f in all.iter().take(MOST_FAULTS) {
        say("warning", &format!("{}:{}: {}", f.file, f.line, f.text));
    }
    let rest = all.len().saturating_sub(MOST_FAULTS);
    if rest > 0 {
        say("warning", &format!("{rest} more policies that do not do what they say"));
    }
}

/// What was said last of each server, and of each kind of each cluster: news is what differs.
#[derive(Debug, Default)]
pub struct Health {
    down: BTreeMap<Arc<str>, String>,
    late: BTreeSet<Arc<str>>,
    /// (cluster, group, kind) that may not be read.
    refused: BTreeSet<(Arc<str>, String, String)>,
}

/// What a person is to know at once of what comes: connections, times of which flows may be lacking, kinds that may not be read.
pub fn news(input: &Input, health: &mut Health) {
    match input {
        Input::Link(l) => link(l, health),
        Input::World(At { change: Change::Gap(gap), .. }) => say("warning", &gap.to_string()),
        Input::World(At { change: Change::Kind(kind), cluster, .. }) => {
            let of = (cluster.clone(), kind.group.clone(), kind.kind.clone());
            match &kind.state {
                KindState::Forbidden(why) if health.refused.insert(of.clone()) => {
                    let cause = if why.is_empty() { String::new() } else { format!("\n  cause: {why}") };
                    say("warning", &format!("not every {} of {cluster} may be read: what depends on it is undecidable{cause}", kind.kind));
                }
                KindState::Synced | KindState::Absent if health.refused.remove(&of) => {
                    say("note", &format!("every {} of {cluster} may be read again", kind.kind));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// Bad news of a connection, and the good news that ends it; each once.
fn link(link: &Link, health: &mut Health) {
    let hinted = |hint: &Option<String>| hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
    match link {
        Link::Down { server, cause, hint, retry_ms } => {
            if health.down.insert(server.clone(), cause.clone()).is_some_and(|before| before == *cause) {
                return;
            }
            let again = format!("trying again in {:.1} s", *retry_ms as f64 / 1000.0);
            say("warning", &format!("lost {server}, {again}\n  cause: {cause}{}", hinted(hint)));
        }
        Link::Lost { server, cause, hint } => {
            health.down.insert(server.clone(), cause.clone());
            say("warning", &format!("cannot read from {server}, going on without it\n  cause: {cause}{}", hinted(hint)));
        }
        Link::Connected { server } if health.down.remove(server).is_some() => say("note", &format!("connected to {server} again")),
        Link::Late { server, .. } if health.late.insert(server.clone()) => {
            say("note", &format!("{server} is late: flows of it come after newer ones of others"));
        }
        Link::Left { server } => {
            health.down.remove(server);
            say("note", &format!("{server} is no longer one of the agents"));
        }
        _ => {}
    }
}

/// How many lines could not be read, and the first of them.
pub fn malformed(l: &Ledger) {
    if l.malformed > 0 {
        let s = if l.malformed == 1 { "line" } else { "lines" };
        say("warning", &format!("{} {s} could not be read", l.malformed));
        for e in &l.examples {
            say("  at", &format!("{}: {}", e.place, e.reason));
        }
    }
}

/// Failures of the filter that were not told yet.
pub fn trouble(t: &query::Trouble) {
    t.take().iter().for_each(|text| say("warning", text));
}

/// The failures of the filter that were only counted, at the end.
pub fn troubles(t: &query::Trouble) {
    trouble(t);
    if t.untold() > 0 {
        say("warning", &format!("the filter failed {} more times, and did not match there", t.untold()));
    }
}

/// That what is concluded is concluded from less than there was.
pub fn captures(engine: &Engine) {
    let limits = engine.captures().limits();
    if !limits.is_empty() {
        say("warning", &only(&limits));
    }
}

/// What was lost or passed over, in at most a few lines.
pub fn ledger(l: &Ledger, notes: &Notes) {
    malformed(l);
    if !notes.is_empty() {
        let names: Vec<_> = notes.fields.keys().chain(notes.enums.keys()).take(5).map(String::as_str).collect();
        say("note", &format!("{} unknown fields or values were passed over: {}", notes.total, names.join(", ")));
    }
    if io::stderr().is_terminal() && l.lost_total() > 0 {
        let mut per: Vec<_> = l.lost.iter().take(MOST_LOSERS).map(|(k, n)| format!("{k} {n}")).collect();
        if l.lost.len() > MOST_LOSERS {
            per.push(format!("{} more", l.lost.len() - MOST_LOSERS));
        }
        say("note", &format!("servers lost {} events: {}", l.lost_total(), per.join(", ")));
    }
    if l.late_total() > 0 {
        let per: Vec<_> = l.late.iter().take(MOST_LOSERS).map(|(k, n)| format!("{k} {n}")).collect();
        say("note", &format!("{} flows came late, out of their order: {}", l.late_total(), per.join(", ")));
    }
}
