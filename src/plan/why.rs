//! `flowhy why` → a plan: a report of all causes, a line per cause as it opens and closes, or an answer about SRC and DST.
//!
//! Owns which of the three is meant, and from where flows come for it.
use super::{From, Front, Look, Pace, Plan, compiled, filter_of, flags_of, observe, servers, sound, texts};
use crate::cli::{self, Select, Source, WhyArgs};
use crate::cmd;
use crate::engine::store::Limits;
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::policy;
use crate::source::hubble::Request;

/// What `flowhy why` is to make of the flows.
#[derive(Debug, Clone)]
pub enum Mode {
    /// One entry per cause, at the end.
    Report,
    /// One line per cause opened or closed, as it happens.
    Follow,
    /// No cause at all: would this connection be allowed?
    Question(Box<cmd::question::Question>),
}

pub(super) fn why(source: &Source, judge: policy::Options, look: &Look<'_>, w: WhyArgs) -> Result<Plan, Error> {
    sound(source)?;
    let question = cmd::question::parse(&w.filter, w.http.as_deref())?;
    if question.is_some() && w.follow {
        return Err(Error::usage("a question about SRC and DST cannot be followed").hint("leave out -f, or SRC and DST"));
    }
    let filters = flags_of(&w.flags.0)?;
    let by_flags = compiled(&filters)?;
    let by_words = if question.is_some() { filter_of(&[], look.env)? } else { filter_of(&w.filter, look.env)? };
    let select = Select { since: w.since, until: w.until, ..Select::default() };
    let window = observe::window(&select, look.env)?;
    let files = !source.input_file.is_empty();
    let mut warnings = filters.warnings;
    // A question is answered from manifests alone, unless flows are asked for too.
    let alone = question.is_some() && source.server.server.is_empty() && !source.server.agents;
    let from = if files || alone {
        From::Files { paths: texts(&source.input_file), pace: Pace::Max }
    } else {
        let number = if window == (None, None) && !w.follow { u64::MAX } else { 0 };
        let request = Request { number, follow: w.follow, since: window.0, until: window.1, ..Request::default() };
        let servers = servers(&source.server, look.env.stdin_piped, &mut warnings)?;
        From::Live { servers, request: Box::new(request) }
    };
    let json = w.output == cli::TextFormat::Json;
    let style = cmd::why::Style { json, unicode: !look.ascii(), terminal: look.env.stdout_tty, color: !json && look.color() };
    let filter = by_words.text().to_owned();
    let asked = question.is_some();
    let engine = engine::Options {
        admit: by_flags.and(by_words),
        // Followed causes are told as they come; nothing is looked up again.
        hold: (!asked && !w.follow).then(Limits::default),
        explain: if asked { Explain::Nothing } else { Explain::Drops },
        fold: !w.follow,
        judge,
        filter_notices: files,
        window: if files { window } else { (None, None) },
        reads: None,
    };
    let mode = match question {
        Some(q) => Mode::Question(Box::new(q)),
        None if w.follow => Mode::Follow,
        None => Mode::Report,
    };
    let front = Front::Why { style, quiet: w.quiet, filter, mode };
    Ok(Plan { from, policies: texts(&source.policies), engine, front, warnings, notes: Vec::new() })
}
