//! `flowhy audit` → a plan. Owns what it needs at least, and that a filter without traffic is a mistake.
use super::{Look, compiled, filter_of, flags_of, observe, sound, texts};
use crate::cli::audit::{Audit as Args, AuditFormat};
use crate::cli::{Select, Source};
use crate::cmd::audit::Style;
use crate::engine;
use crate::error::Error;
use crate::policy;

/// What an audit reads and how it is written.
#[derive(Debug, Clone)]
pub struct Audit {
    pub recordings: Vec<String>,
    pub policies: Vec<String>,
    pub engine: engine::Options,
    pub format: AuditFormat,
    pub style: Style,
    /// The filter as typed.
    pub filter: String,
    pub quiet: bool,
    pub warnings: Vec<String>,
}

pub fn audit(source: &Source, judge: policy::Options, look: &Look<'_>, a: Args) -> Result<Audit, Error> {
    sound(source)?;
    let filters = flags_of(&a.flags.0)?;
    let by_words = filter_of(&a.filter, look.env)?;
    let by_flags = compiled(&filters)?;
    let select = Select { since: a.since, until: a.until, ..Select::default() };
    let window = observe::window(&select, look.env)?;
    let recordings = texts(&source.input_file);
    if source.policies.is_empty() {
        return Err(Error::usage("no manifests to audit").hint("flowhy audit --policies FOLDER"));
    }
    let filter = [filters.text.as_str(), by_words.text()].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
    if recordings.is_empty() && (!filter.is_empty() || window != (None, None)) {
        return Err(Error::usage("a filter chooses traffic, and no recording is given").hint("add --from FILE, or leave the filter out"));
    }
    let engine =
        engine::Options { admit: by_flags.and(by_words), fold: true, judge, filter_notices: false, window, ..engine::Options::default() };
    Ok(Audit {
        recordings,
        policies: texts(&source.policies),
        engine,
        format: a.output,
        style: Style { unicode: !look.ascii(), terminal: look.env.stdout_tty, color: a.output == AuditFormat::Text && look.color() },
        filter,
        quiet: a.quiet,
        warnings: filters.warnings,
    })
}
