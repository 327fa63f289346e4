//! `flowhy record` → a plan: what is asked for, what is kept of it, in which files.
use super::observe::window;
use super::{From, Front, Look, Pace, Plan, compiled, filter_of, flags_of, servers, sound, texts};
use crate::cli::record::Record as Args;
use crate::cli::{Select, Source};
use crate::engine;
use crate::error::Error;
use crate::model::time::Nanos;
use crate::model::view::{Field, FieldSet};
use crate::policy;
use crate::query::ast::Expr;
use crate::query::{self, Context};
use crate::record::Keep;
use crate::source::hubble::Request;
use std::path::PathBuf;

/// Before and after a drop, unless said otherwise.
const AROUND: i64 = 30_000_000_000;
/// A smaller ring would hold next to nothing but the cluster's state.
const LEAST_RING: u64 = 1 << 20;

/// What is written where.
#[derive(Debug, Clone)]
pub struct Record {
    pub path: PathBuf,
    pub keep: Keep,
    pub redact: bool,
    /// Only so long before and after drops, in nanoseconds.
    pub around: Option<(i64, i64)>,
    /// Of what is no flow too.
    pub window: (Option<Nanos>, Option<Nanos>),
    pub quiet: bool,
}

pub(super) fn record(source: &Source, judge: policy::Options, look: &Look<'_>, r: Args) -> Result<Plan, Error> {
    sound(source)?;
    let env = look.env;
    if r.file.as_os_str() == "-" {
        return Err(Error::usage("cannot record to standard output").hint("flowhy observe -o jsonpb writes flows into a pipe"));
    }
    let keep = match (&r.ring, &r.max_size, &r.max_age) {
        (Some(text), ..) => match size("--ring", text)? {
            n if n < LEAST_RING => return Err(Error::usage(format!("--ring {text} is too small")).hint("at least 1MiB")),
            n => Keep::Ring(n),
        },
        (None, None, None) => Keep::One,
        (None, bytes, age) => Keep::Segments {
            size: bytes.as_deref().map(|t| size("--max-size", t)).transpose()?,
            age: age.as_deref().map(|t| span("--max-age", t)).transpose()?,
        },
    };
    let spans = |text: &Option<String>, flag: &str| text.as_deref().map_or(Ok(AROUND), |t| span(flag, t));
    let around = match r.on {
        None => None,
        Some(_) => Some((spans(&r.before, "--before")?, spans(&r.after, "--after")?)),
    };
    let filters = flags_of(&r.flags.0)?;
    let (by_flags, by_words) = (compiled(&filters)?, filter_of(&r.filter, env)?);
    let select = Select { since: r.since, until: r.until, last: r.last, ..Select::default() };
    let window = window(&select, env)?;
    let mut warnings = filters.warnings.clone();
    let files = !source.input_file.is_empty();
    let from = if files {
        if r.last.is_some() {
            return Err(Error::usage("--last is for servers").hint("of a file, take --since"));
        }
        From::Files { paths: texts(&source.input_file), pace: Pace::Max }
    } else {
        // A name that the filter asks for comes from DNS answers, which it must not keep away.
        let derives = by_words.fields().needs_derived();
        let words = query::parse_expr(by_words.text()).unwrap_or(Expr::All);
        let pushed = query::push(&filters, &words, derives, &Context::at(env.now));
        let until = window.1.into_iter().chain(pushed.window.1).min();
        let request = Request {
            number: r.last.unwrap_or(0),
            first: false,
            follow: until.is_none(),
            since: window.0.max(pushed.window.0),
            until,
            whitelist: if derives { Vec::new() } else { pushed.whitelist },
            blacklist: if derives { Vec::new() } else { pushed.blacklist },
            field_mask: Vec::new(),
        };
        From::Live { servers: servers(&source.server, env.stdin_piped, &mut warnings)?, request: Box::new(request) }
    };
    let reads = if around.is_some() { FieldSet::from_iter([Field::Verdict, Field::L7Record]) } else { FieldSet::EMPTY };
    let open = (None, None);
    let engine = engine::Options {
        admit: by_flags.and(by_words),
        judge,
        // What servers say they have lost, and of whom nothing comes, passes every filter: without it a copy would look whole.
        filter_notices: false,
        window: if files { window } else { open },
        reads: Some(reads),
        ..engine::Options::default()
    };
    let front = Front::Record(Box::new(Record { path: r.file, keep, redact: r.redact, around, window, quiet: r.quiet }));
    Ok(Plan { from, policies: texts(&source.policies), engine, front, warnings, notes: Vec::new() })
}

/// `2GiB`, `500MB`, `1048576`; as with most tools a bare `G` is GiB.
pub fn size(flag: &str, text: &str) -> Result<u64, Error> {
    let wrong = || Error::usage(format!("{flag} {text} is no size")).hint("a number of bytes, or as in 512MiB, 2GiB, 500MB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number * unit as f64;
    if (1.0..=1e18).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

fn span(flag: &str, text: &str) -> Result<i64, Error> {
    query::duration(text)
        .filter(|n| *n > 0)
        .ok_or_else(|| Error::usage(format!("{flag} {text} is no span of time")).hint("as in 30s, 5m, 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let s = |t: &str| size("--ring", t).ok();
        assert_eq!((s("2GiB"), s("500MB"), s("1048576")), (Some(2 << 30), Some(500_000_000), Some(1 << 20)));
        assert_eq!((s("1.5G"), s("64 MiB"), s("1k")), (Some(3 << 29), Some(64 << 20), Some(1024)));
        assert_eq!([s(""), s("GiB"), s("2 XB"), s("0"), s("-1"), s("1e9999")], [None; 6]);
    }
}
