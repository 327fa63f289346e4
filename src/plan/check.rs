//! `flowhy check` → a plan. Owns which flags go together; the traffic comes as for `why`.
use super::traffic::{Traffic, Typed, traffic};
use super::{From, Front, Look, Plan, sound, texts};
use crate::cli::Source;
use crate::cli::check::{Check as Args, CheckFormat, FailOn};
use crate::cmd::check::{Format, Paint, Threshold};
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::policy;

/// What is checked, and how it is told.
#[derive(Debug, Clone)]
pub struct Check {
    /// The policies to be checked.
    pub path: String,
    /// The policies before, where two sets are compared.
    pub against: Option<String>,
    pub threshold: Threshold,
    pub propose: bool,
    pub format: Format,
    pub paint: Paint,
    pub quiet: bool,
    /// The filter in words, flags included.
    pub filter: String,
}

pub(super) fn check(source: &Source, judge: policy::Options, look: &Look<'_>, c: Args) -> Result<Plan, Error> {
    let mut everything = source.clone();
    everything.policies.extend([Some(&c.path), c.against.as_ref()].into_iter().flatten().cloned());
    sound(&everything)?;
    let typed = Typed { flags: &c.flags.0, words: &c.filter, since: c.since, until: c.until };
    let Traffic { from, admit, window, filter, warnings } = traffic(source, look, typed)?;
    let format = match c.output {
        CheckFormat::Text => Format::Text,
        CheckFormat::Json => Format::Json,
        CheckFormat::Md => Format::Markdown,
    };
    let threshold = match c.fail_on {
        FailOn::NewDrops => Threshold::NewDrops,
        FailOn::PossibleDrops => Threshold::PossibleDrops,
        FailOn::AnyChange => Threshold::AnyChange,
    };
    let text = |p: &std::path::PathBuf| p.to_string_lossy().into_owned();
    let paint = Paint { unicode: !look.ascii(), color: format == Format::Text && !c.propose && look.color() };
    let front = Front::Check(Box::new(Check {
        path: text(&c.path),
        against: c.against.as_ref().map(text),
        threshold,
        propose: c.propose,
        format,
        paint,
        quiet: c.quiet,
        filter,
    }));
    let engine = engine::Options {
        admit,
        hold: None,
        explain: Explain::Nothing,
        fold: Some(engine::Fold::First),
        tally: false,
        judge,
        filter_notices: matches!(from, From::Files { .. }),
        window,
        ..engine::Options::default()
    };
    Ok(Plan { from, policies: texts(&source.policies), engine, front, warnings, notes: Vec::new() })
}
