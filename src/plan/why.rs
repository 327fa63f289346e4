//! `flowhy why` → a plan: a report of all causes, a line per cause as it opens and closes, or an answer about SRC and DST.
//!
//! Owns which of the three is meant, and from where flows come for it.
use super::traffic::{Traffic, Typed, traffic};
use super::{From, Front, Look, Plan, server, servers, sound, texts};
use crate::cli::{self, Source, WhyArgs};
use crate::cmd;
use crate::engine::store::Limits;
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::policy;

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
    let question = cmd::question::parse(&w.filter, w.http.as_deref())?;
    if question.is_some() && w.follow {
        return Err(Error::usage("a question about SRC and DST cannot be followed").hint("leave out -f, or SRC and DST"));
    }
    let files = !source.input_file.is_empty();
    let words: &[String] = if question.is_some() { &[] } else { &w.filter };
    // A question is answered from manifests alone, or from what is in the cluster, unless flows are asked for too.
    let Traffic { mut from, admit, window, filter, warnings } = if question.is_some() && !files && !server::asks_flows(&source.server) {
        sound(source)?;
        let asked = server::asks(&source.server).is_some();
        match source.policies.is_empty() || asked {
            false => Traffic::none(),
            true => {
                let mut warnings = Vec::new();
                let servers = servers(&source.server, false, &mut warnings)?;
                Traffic { from: From::Cluster { servers, asked }, warnings, ..Traffic::none() }
            }
        }
    } else {
        traffic(source, look, Typed { flags: &w.flags.0, words, since: w.since, until: w.until })?
    };
    if let From::Live { request, .. } = &mut from
        && w.follow
    {
        request.follow = true;
        // What is still to come, unless a time is said.
        request.number = 0;
    }
    let json = w.output == cli::TextFormat::Json;
    let style = cmd::why::Style { json, unicode: !look.ascii(), terminal: look.env.stdout_tty, color: !json && look.color() };
    let asked = question.is_some();
    let engine = engine::Options {
        admit,
        // Followed causes are told as they come; nothing is looked up again.
        hold: (!asked && !w.follow).then(Limits::default),
        explain: if asked { Explain::Nothing } else { Explain::Drops },
        fold: (!w.follow).then_some(engine::Fold::First),
        tally: false,
        judge,
        filter_notices: files,
        window,
        ..engine::Options::default()
    };
    let mode = match question {
        Some(q) => Mode::Question(Box::new(q)),
        None if w.follow => Mode::Follow,
        None => Mode::Report,
    };
    let front = Front::Why { style, quiet: w.quiet, filter, mode };
    Ok(Plan { from, policies: texts(&source.policies), engine, front, warnings, notes: Vec::new() })
}
