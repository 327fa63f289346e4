//! `flowhy audit` → a plan. Owns what it needs at least, that a filter without traffic is a mistake, and what does not go together.
use super::server::Servers;
use super::traffic::{Traffic, Typed, traffic};
use super::{Look, server, servers, sound, texts};
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
    /// The cluster that is asked for what is in it.
    pub cluster: Option<Box<Servers>>,
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
    if server::asks_flows(&source.server) {
        return Err(Error::usage("an audit asks no server for flows")
            .hint("its traffic: flowhy record FILE, then --from FILE; what is in a cluster: --kube-context NAME"));
    }
    let recordings = texts(&source.input_file);
    let live = server::asks(&source.server).is_some();
    if source.policies.is_empty() && recordings.is_empty() && !live {
        let hint = "flowhy audit --policies FOLDER; of a cluster: --kube-context NAME; of a recording that holds its policies: --from FILE";
        return Err(Error::usage("no manifests to audit").hint(hint));
    }
    if live && !recordings.is_empty() {
        return Err(Error::usage("a recording and a cluster are two clusters to an audit, or two times of one")
            .hint("flowhy record FILE writes the cluster's policies too: audit --from FILE, or leave it out"));
    }
    let mut told = Vec::new();
    let cluster = live.then(|| servers(&source.server, false, &mut told)).transpose()?;
    let chosen = !a.flags.0.is_empty() || !a.filter.is_empty() || a.since.is_some() || a.until.is_some();
    if recordings.is_empty() && chosen {
        return Err(Error::usage("a filter chooses traffic, and no recording is given").hint("add --from FILE, or leave the filter out"));
    }
    let Traffic { admit, window, filter, mut warnings, .. } = if recordings.is_empty() {
        Traffic::none()
    } else {
        traffic(source, look, Typed { flags: &a.flags.0, words: &a.filter, since: a.since, until: a.until })?
    };
    warnings.append(&mut told);
    let color = a.output == AuditFormat::Text && look.color();
    Ok(Audit {
        recordings,
        cluster,
        policies: texts(&source.policies),
        engine: engine::Options { admit, fold: Some(engine::Fold::First), judge, window, ..engine::Options::default() },
        format: a.output,
        style: Style { unicode: !look.ascii(), color },
        filter,
        quiet: a.quiet,
        warnings,
    })
}
