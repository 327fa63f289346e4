//! `flowhy observe` → a plan: what the server is asked, and what is left to do here.
//!
//! Owns the selectors' defaults and conflicts, and the split between server and client.
use super::{
    Count, From, Front, Job, Look, Pace, Plan, Stream, compiled, explain_of, filter_of, flags_of, mask, raw, servers, sound, texts,
};
use crate::cli::{self, Observe, Select, Source};
use crate::engine::{self, Explain, Names};
use crate::error::Error;
use crate::model::time::Nanos;
use crate::model::view::FieldSet;
use crate::out;
use crate::out::count::Style;
use crate::plan::Env;
use crate::policy;
use crate::query::ast::Expr;
use crate::query::fields::Name;
use crate::query::group::columns;
use crate::query::{self, Context, Filters, Predicate, Pushed};
use crate::record::set;
use crate::scan;
use crate::source::hubble::Request;

/// Hubble's number of flows when nothing else is said.
pub const DEFAULT_LAST: u64 = 20;
/// Hubble's limit for `--last` with a file.
const MOST_LAST: u64 = 1_000_000;

pub fn observe(source: &Source, judge: policy::Options, look: &Look<'_>, o: Observe) -> Result<Job, Error> {
    sound(source)?;
    let env = look.env;
    let mut words = o.filter;
    if words.first().is_some_and(|w| w == "flows") {
        words.remove(0);
    }
    // In Hubble's order: of two mistakes the same one is told.
    let filters = flags_of(&o.flags.0)?;
    let mut explain = explain_of(o.print.why);
    let count = count(&o.print, env)?;
    if count.is_none() {
        table_can(o.print.output, o.select.follow, explain)?;
    }
    mask::format_can(&o.mask, o.print.output)?;
    let files = !source.input_file.is_empty();
    let number = number(&o.select, files)?;
    let window = window(&o.select, env)?;
    mask::known(&o.mask)?;
    if o.mask.print_raw_filters {
        return Ok(Job::Say(raw::yaml(&filters)));
    }
    let by_flags = compiled(&filters)?;
    let by_words = filter_of(&words, env)?;
    let mut print = print_options(&o.print, look);
    let counted = count.as_ref().map(|c| c.by.iter().map(|c| c.fields()).fold(FieldSet::EMPTY, FieldSet::union));
    if counted.is_some_and(FieldSet::needs_derived) {
        explain = explain.max(Explain::Drops);
    }
    print.why = explain != Explain::Nothing;
    let reads = if counted.is_some() { counted } else { out::format(o.print.output, print).fields() };
    // What comes through a pipe may come slowly.
    let piped = source.input_file.iter().any(|p| p.as_os_str() == "-");
    let prompt = o.select.follow || piped || env.stdout_tty;
    let (quiet, exit_code) = (o.print.quiet, o.print.exit_code);
    let mut stream = Stream { format: o.print.output, print, prompt, first: None, last: None, quiet, count, exit_code };
    let mut admit = by_flags.clone().and(by_words.clone());
    let mut warnings = filters.warnings.clone();
    let mut notes = Vec::new();
    let from = if files {
        stream.first = o.select.first.filter(|n| *n > 0);
        // Hubble's word for "no bound".
        stream.last = o.select.last.filter(|n| *n > 0 && *n < u64::MAX).and_then(|n| usize::try_from(n).ok());
        From::Files { paths: texts(&source.input_file), pace: Pace::Max }
    } else {
        // Names and explanations need DNS answers that the filter would keep away: then those are asked for besides, and
        // the filter runs here. Else the server does all that can be said on the wire.
        let derives = explain != Explain::Nothing || by_words.fields().needs_derived();
        let words = query::parse_expr(by_words.text()).unwrap_or(Expr::All);
        let pushed = query::push(&filters, &words, derives, &Context::at(env.now));
        let exact = !derives && pushed.exact;
        notes.extend(look.debug.then(|| split(&filters, &pushed, derives)));
        if !exact && !o.select.follow {
            // The server would count flows that the rest of the filter refuses.
            stream.first = o.select.first.filter(|n| *n > 0);
            stream.last = last_of(&o.select).and_then(|n| usize::try_from(n).ok());
        }
        let since = window.0.max(pushed.window.0);
        // Who follows wants no end.
        let until = if o.select.follow { None } else { window.1.into_iter().chain(pushed.window.1).min() };
        let bounded = since.is_some() || until.is_some();
        let field_mask = mask::paths(&o.mask, reads, explain, &admit);
        if !o.mask.field_mask.is_empty() {
            // What the mask leaves out cannot be asked for again here.
            mask::leaves_enough(&o.mask, explain, &by_words, pushed.exact)?;
            admit = if pushed.exact { Predicate::all() } else { by_words.clone() };
        }
        let request = Request {
            number: match number {
                _ if exact || o.select.follow => number.unwrap_or(0),
                _ if bounded => 0,
                _ => u64::MAX,
            },
            first: exact && o.select.first.is_some_and(|n| n > 0),
            follow: o.select.follow,
            since,
            until,
            whitelist: if derives { query::with_dns(pushed.whitelist) } else { pushed.whitelist },
            blacklist: if derives { Vec::new() } else { pushed.blacklist },
            field_mask,
        };
        From::Live { servers: servers(&source.server, env.stdin_piped, &mut warnings)?, request: Box::new(request) }
    };
    // Hubble's flags ask the record alone. What a server withholds by its own names nobody can look up here.
    let names = match &by_words {
        words if !files || !words.fields().asks_names() => Names::Told,
        words if query::parse_expr(words.text()).is_ok_and(|e| e.asks(Name::Workload)) => Names::Sought,
        _ => Names::Known,
    };
    let window = if files { window } else { (None, None) };
    let filter_notices = files;
    let engine = engine::Options { admit, hold: None, explain, judge, filter_notices, window, reads, names, ..engine::Options::default() };
    let front = Front::Stream(stream);
    Ok(Job::Flows(Plan { from, policies: texts(&source.policies), engine, front, warnings, notes }))
}

/// Which part of the filter is judged where.
fn split(flags: &Filters, pushed: &Pushed, derives: bool) -> String {
    let list = |parts: Vec<&str>| if parts.is_empty() { "nothing".to_owned() } else { parts.join(" ") };
    let flags = Some(flags.text.as_str()).filter(|t| !t.is_empty());
    let there = pushed.there.iter().map(String::as_str);
    let here = pushed.here.iter().map(String::as_str);
    if derives {
        let all = flags.into_iter().chain(there).chain(here).collect();
        return format!("filtered here: {}; the server is asked for DNS answers besides, which names and explanations need", list(all));
    }
    format!("filtered by the server: {}; here: {}", list(flags.into_iter().chain(there).collect()), list(here.collect()))
}

impl Plan {
    /// What is scanned and how, where a plain filter over files needs no engine: no explanation, nothing that only the engine
    /// knows, no policies whose faults somebody wants to hear of, no pace.
    pub fn scan(&self) -> Option<(Vec<String>, scan::Options, Stream)> {
        let (From::Files { paths, pace: Pace::Max }, Front::Stream(stream)) = (&self.from, &self.front) else { return None };
        let e = &self.engine;
        // Several recordings are merged by time, which blocks of lines cannot be.
        if !set::is_one(paths) || stream.count.is_some() || !e.is_plain() || e.admit.fields().needs_message() || !self.policies.is_empty() {
            return None;
        }
        // These two look back at what they printed: the one at its separators, the other at its widest cell.
        let in_order = matches!(stream.format, cli::Format::Dict | cli::Format::Table | cli::Format::Csv);
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
        why: false,
    }
}

/// What `--count-by` says.
fn count(p: &cli::Print, env: &Env) -> Result<Option<Count>, Error> {
    if p.count_by.is_empty() {
        return Ok(None);
    }
    let by = columns(&p.count_by).map_err(|e| {
        Error::usage(format!("--count-by: {e}")).hint("fields are those of the filter language: verdict,drop,from.ns,to.pod")
    })?;
    let style = match p.output {
        cli::Format::Json | cli::Format::Jsonpb => Style::Json,
        cli::Format::Csv => Style::Csv,
        cli::Format::Compact | cli::Format::Dict | cli::Format::Table => Style::Table,
    };
    Ok(Some(Count { by, style, live: env.stdout_tty && style == Style::Table }))
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
        if let Some(n) = last.filter(|n| *n > MOST_LAST && *n < u64::MAX) {
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
