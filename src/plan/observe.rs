//! `flowhy observe` → a plan: what the server is asked, and what is left to do here.
//!
//! Owns the selectors' defaults and conflicts, and the split between server and client.
use super::{From, Front, Look, Pace, Plan, Stream, explain_of, filter_of, flags_of, servers, sound, texts};
use crate::cli::{self, Observe, Select, Source};
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::model::time::Nanos;
use crate::out;
use crate::plan::Env;
use crate::policy;
use crate::query;
use crate::scan;
use crate::source::hubble::Request;
use crate::wire::pb::flow::FlowFilter;

/// Hubble's number of flows when nothing else is said.
pub const DEFAULT_LAST: u64 = 20;
/// Hubble's limit for `--last` with a file.
const MOST_LAST: u64 = 1_000_000;
pub fn observe(source: &Source, judge: policy::Options, look: &Look<'_>, o: Observe) -> Result<Plan, Error> {
    sound(source)?;
    let env = look.env;
    let mut words = o.filter;
    if words.first().is_some_and(|w| w == "flows") {
        words.remove(0);
    }
    let (filters, by_flags) = flags_of(&o.flags.0)?;
    let by_words = filter_of(&words, env)?;
    let files = !source.input_file.is_empty();
    let window = window(&o.select, env)?;
    let explain = explain_of(o.print.why);
    let number = number(&o.select, files)?;
    table_can(o.print.output, o.select.follow, explain)?;
    let print = print_options(&o.print, look);
    // What comes through a pipe may come slowly.
    let piped = source.input_file.iter().any(|p| p.as_os_str() == "-");
    let prompt = o.select.follow || piped || env.stdout_tty;
    let mut stream = Stream { format: o.print.output, print, prompt, first: None, last: None, quiet: o.print.quiet };
    let mut warnings = filters.warnings.clone();
    let from = if files {
        stream.first = o.select.first.filter(|n| *n > 0);
        stream.last = o.select.last.filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
        From::Files { paths: texts(&source.input_file), pace: Pace::Max }
    } else {
        // Names and explanations need DNS answers that the filter would keep away: then those are asked for besides, and
        // the filter runs here alone. What the flags alone say, the server does.
        let derives = explain != Explain::Nothing || by_words.fields().needs_derived();
        let exact = !derives && by_words.is_all();
        if !exact && !o.select.follow {
            // The server would count flows that the rest of the filter refuses.
            stream.first = o.select.first.filter(|n| *n > 0);
            stream.last = last_of(&o.select).and_then(|n| usize::try_from(n).ok());
        }
        let bounded = o.select.since.is_some() || o.select.until.is_some();
        let request = Request {
            number: match number {
                _ if exact || o.select.follow => number.unwrap_or(0),
                _ if bounded => 0,
                _ => u64::MAX,
            },
            first: exact && o.select.first.is_some_and(|n| n > 0),
            follow: o.select.follow,
            since: window.0,
            until: window.1,
            whitelist: if derives { with_dns(&filters.whitelist) } else { filters.whitelist.clone() },
            blacklist: if derives { Vec::new() } else { filters.blacklist.clone() },
            field_mask: Vec::new(),
        };
        From::Live { servers: servers(&source.server, &mut warnings)?, request: Box::new(request) }
    };
    let engine = engine::Options {
        admit: by_flags.and(by_words),
        hold: None,
        explain,
        judge,
        filter_notices: files,
        window: if files { window } else { (None, None) },
        reads: out::format(o.print.output, print).fields(),
    };
    Ok(Plan { from, policies: texts(&source.policies), engine, front: Front::Stream(stream), warnings })
}

impl Plan {
    /// What is scanned and how, where a plain filter over files needs no engine: no explanation, nothing that only the engine
    /// knows, no policies whose faults somebody wants to hear of, no pace.
    pub fn scan(&self) -> Option<(Vec<String>, scan::Options, Stream)> {
        let (From::Files { paths, pace: Pace::Max }, Front::Stream(stream)) = (&self.from, &self.front) else { return None };
        let e = &self.engine;
        if !e.is_plain() || !self.policies.is_empty() {
            return None;
        }
        // These two look back at what they printed: the one at its separators, the other at its widest cell.
        let in_order = matches!(stream.format, cli::Format::Dict | cli::Format::Table);
        let (first, last) = (stream.first, stream.last);
        let options = scan::Options { admit: e.admit.clone(), reads: e.reads, window: e.window, first, last, in_order };
        Some((paths.clone(), options, stream.clone()))
    }
}

/// How lines are to look.
pub fn print_options(p: &cli::Print, look: &Look<'_>) -> out::Options {
    out::Options {
        color: look.color(),
        terminal: look.env.stdout_tty,
        time: out::TimeFormat::from_name(&p.time_format),
        node_name: p.print_node_name,
        policy_names: p.print_policy_names,
        translate_ip: p.ip_translation && !p.numeric,
        debug: look.debug,
        bare: p.output == cli::Format::Json && look.env.legacy_json,
        silent: p.silent_errors,
    }
}

/// A table is written at its end, and has no room for a sentence.
pub fn table_can(format: cli::Format, follow: bool, explain: Explain) -> Result<(), Error> {
    if format != cli::Format::Table {
        return Ok(());
    }
    if follow {
        return Err(Error::usage("table output format is not compatible with follow mode").hint("use -o compact"));
    }
    if explain != Explain::Nothing {
        return Err(Error::usage("a table has no room for --why").hint("use -o compact or -o json"));
    }
    Ok(())
}

/// The filters, and DNS besides. No filter already means everything.
fn with_dns(whitelist: &[FlowFilter]) -> Vec<FlowFilter> {
    let mut all = whitelist.to_vec();
    if !all.is_empty() {
        all.push(FlowFilter { protocol: vec!["dns".to_owned()], ..FlowFilter::default() });
    }
    all
}

/// How many of the last flows are wanted in the end; `None`: all of them.
fn last_of(s: &Select) -> Option<u64> {
    let unbounded = s.all || s.since.is_some() || s.until.is_some() || s.first.is_some_and(|n| n > 0);
    s.last.filter(|n| *n > 0).or((!unbounded).then_some(DEFAULT_LAST))
}

/// The request's number as Hubble's CLI makes it; `None` for files, which have no such limit.
pub fn number(s: &Select, files: bool) -> Result<Option<u64>, Error> {
    let conflict = |a: &str, b: &str| Err(Error::usage(format!("cannot set both --{a} and --{b}")).hint("leave one of them out"));
    let (first, last) = (s.first.filter(|n| *n > 0), s.last.filter(|n| *n > 0));
    if first.is_some() && last.is_some() {
        return conflict("first", "last");
    }
    if first.is_some() && s.all {
        return conflict("first", "all");
    }
    if first.is_some() && s.follow {
        return conflict("first", "follow");
    }
    if last.is_some() && s.all {
        return conflict("last", "all");
    }
    if files {
        if let Some(n) = last.filter(|n| *n > MOST_LAST) {
            return Err(Error::usage(format!("--last must be <= 1_000_000, got {n}")).hint("without --last, all of the file is printed"));
        }
        return Ok(None);
    }
    let bounded = s.since.is_some() || s.until.is_some() || first.is_some();
    Ok(Some(match (first, last) {
        (Some(n), _) | (None, Some(n)) => n,
        (None, None) if bounded => 0,
        (None, None) if s.all => u64::MAX,
        (None, None) if s.follow => 0,
        (None, None) => DEFAULT_LAST,
    }))
}

pub fn window(s: &Select, env: &Env) -> Result<(Option<Nanos>, Option<Nanos>), Error> {
    let at = |which: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(t) => query::since(t, env.now).map(Some).map_err(|e| {
            Error::usage(format!("failed to parse the {which} time: {e}")).hint("write 5m (before now), a date, or 2026-01-31T14:02:00Z")
        }),
    };
    Ok((at("since", &s.since)?, if s.follow { None } else { at("until", &s.until)? }))
}
