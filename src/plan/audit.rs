//! `flowhy audit` → a plan. Owns what it needs at least, and that a filter without traffic is a mistake.
use super::traffic::{Traffic, Typed, traffic};
use super::{Look, server, sound, texts};
use crate::cli::Source;
use crate::cli::audit::{Audit as Args, AuditFormat};
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
    if server::asks(&source.server).is_some() {
        return Err(Error::usage("an audit asks no server").hint("its traffic: flowhy record FILE, then --from FILE; its policies: kubectl get netpol,cnp,ccnp,ns,pods -A -o yaml > DIR/all.yaml"));
    }
    if source.policies.is_empty() {
        return Err(Error::usage("no manifests to audit").hint("flowhy audit --policies FOLDER"));
    }
    let recordings = texts(&source.input_file);
    let chosen = !a.flags.0.is_empty() || !a.filter.is_empty() || a.since.is_some() || a.until.is_some();
    if recordings.is_empty() && chosen {
        return Err(Error::usage("a filter chooses traffic, and no recording is given").hint("add --from FILE, or leave the filter out"));
    }
    let Traffic { admit, window, filter, warnings, .. } = if recordings.is_empty() {
        Traffic::none()
    } else {
        traffic(source, look, Typed { flags: &a.flags.0, words: &a.filter, since: a.since, until: a.until })?
    };
    let color = a.output == AuditFormat::Text && look.color();
    Ok(Audit {
        recordings,
        policies: texts(&source.policies),
        engine: engine::Options { admit, fold: true, judge, window, ..engine::Options::default() },
        format: a.output,
        style: Style { unicode: !look.ascii(), color },
        filter,
        quiet: a.quiet,
        warnings,
    })
}
