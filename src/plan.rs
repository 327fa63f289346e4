//! What was typed → what is to be done. Pure: arguments and the environment in, a [`Plan`] or an error out.
//!
//! Owns every default and every conflict. Opens no file, makes no connection, reads no clock (the moment is in [`Env`]).
use crate::cli::{self, Cli, Command, Demo, Observe, Replay, Select, Source, When, WhyArgs, WhyMode};
use crate::engine::store::Limits;
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::model::time::Nanos;
use crate::out;
use crate::policy;
use crate::query::{self, Context, Filters, Flag, Predicate};
use crate::serve::Rate;
use crate::source::hubble::Request;
use crate::source::target::Target;
use crate::wire::pb::flow::FlowFilter;
use std::path::Path;

/// What the program finds around it.
#[derive(Debug, Clone, Default)]
pub struct Env {
    pub stdout_tty: bool,
    pub no_color: bool,
    pub force_color: bool,
    /// `$TERM`.
    pub term: String,
    pub utf8: bool,
    pub now: Nanos,
}

/// Where flows come from.
#[derive(Debug, Clone)]
pub enum From {
    Files { paths: Vec<String>, pace: Pace },
    Live { target: Target, request: Box<Request> },
    Demo { seed: u64, start: Option<Nanos>, rate: Rate, count: Option<u64> },
}

/// How fast a recording plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    Max,
    Times(f64),
}

/// What is made of the flows.
#[derive(Debug, Clone)]
pub enum Front {
    Tui {
        title: String,
        filter: String,
        color: bool,
        ascii: bool,
        /// What opens this picture again, without the filter.
        command: String,
    },
    Stream(Stream),
    Why {
        style: crate::cmd::why::Style,
        quiet: bool,
        filter: String,
    },
}

/// Headless output.
#[derive(Debug, Clone)]
pub struct Stream {
    pub format: cli::Format,
    pub print: out::Options,
    /// Stop after so many.
    pub first: Option<u64>,
    /// Print only the last so many, at the end.
    pub last: Option<usize>,
    pub quiet: bool,
}

/// Everything `run` needs.
#[derive(Debug, Clone)]
pub struct Plan {
    pub from: From,
    pub policies: Vec<String>,
    pub engine: engine::Options,
    pub front: Front,
    /// For stderr, before anything else.
    pub warnings: Vec<String>,
}

/// Hubble's limit for `--last` with a file.
const MOST_LAST: u64 = 1_000_000;
/// Hubble's number of flows when nothing else is said.
const DEFAULT_LAST: u64 = 20;
/// What the screen asks for at first.
const SCREEN_LAST: u64 = 1_000;

/// Makes sense of the arguments.
pub fn plan(cli: Cli, env: &Env) -> Result<Plan, Error> {
    let Cli { source, judge, display, filter, command } = cli;
    let judge = judge_options(&judge);
    let look = Look { env, when: display.color, ascii: display.ascii };
    match command {
        None => screen(&source, judge, &look, filter),
        Some(Command::Observe(o)) => observe(&source, judge, &look, *o),
        Some(Command::Replay(r)) => replay(&source, judge, &look, r),
        Some(Command::Why(w)) => why(&source, judge, &look, *w),
        Some(Command::Demo(d)) => demo(&source, judge, &look, d),
    }
}

struct Look<'a> {
    env: &'a Env,
    when: Option<When>,
    ascii: bool,
}

impl Look<'_> {
    /// `--color`, then `NO_COLOR`, then `CLICOLOR_FORCE`, then whether stdout is a terminal that can.
    fn color(&self) -> bool {
        match self.when {
            Some(When::Always) => true,
            Some(When::Never) => false,
            Some(When::Auto) | None if self.env.no_color => false,
            Some(When::Auto) | None if self.env.force_color => true,
            Some(When::Auto) | None => self.env.stdout_tty && self.env.term != "dumb",
        }
    }

    fn ascii(&self) -> bool {
        self.ascii || !self.env.utf8 || matches!(self.env.term.as_str(), "linux" | "dumb")
    }

    fn tui(&self, title: String, filter: String, command: String) -> Result<Front, Error> {
        if !self.env.stdout_tty {
            return Err(Error::usage("standard output is no terminal, and the screen needs one").hint("use \"flowhy observe\""));
        }
        Ok(Front::Tui { title, filter, color: self.color(), ascii: self.ascii(), command })
    }
}

fn judge_options(j: &cli::Judge) -> policy::Options {
    policy::Options {
        engine: match j.engine {
            cli::EngineName::Cilium => policy::Engine::Cilium,
            cli::EngineName::Kubernetes => policy::Engine::Kubernetes,
        },
        enforcement: match j.policy_enforcement {
            cli::Enforcement::Default => policy::Enforcement::Default,
            cli::Enforcement::Always => policy::Enforcement::Always,
            cli::Enforcement::Never => policy::Enforcement::Never,
        },
        host_firewall: j.host_firewall,
        allow_localhost: j.allow_localhost == cli::AllowLocalhost::Always,
    }
}

fn filter_of(words: &[String], env: &Env) -> Result<Predicate, Error> {
    let text = words.join(" ");
    query::parse(&text, &Context::at(env.now)).map_err(|e| e.to_error(&text))
}

/// Hubble's own words, then where to read on.
fn flag_error(text: String) -> Error {
    Error::usage(text).hint("`flowhy observe --help` lists the flags")
}

fn flags_of(flags: &[Flag]) -> Result<(Filters, Predicate), Error> {
    let filters = query::from_flags(flags).map_err(flag_error)?;
    let predicate = query::compile(&filters).map_err(flag_error)?;
    Ok((filters, predicate))
}

fn texts(paths: &[std::path::PathBuf]) -> Vec<String> {
    paths.iter().map(|p| p.to_string_lossy().into_owned()).collect()
}

fn target(source: &Source) -> Result<Target, Error> {
    source.server.as_deref().unwrap_or_default().parse()
}

fn sound(source: &Source) -> Result<(), Error> {
    let stdin = |paths: &[std::path::PathBuf]| paths.iter().filter(|p| p.as_os_str() == "-").count();
    if stdin(&source.input_file) + stdin(&source.policies) > 1 {
        return Err(Error::usage("standard input can be read only once").hint("give the flows or the policies as a file"));
    }
    if source.server.is_some() && !source.input_file.is_empty() {
        return Err(Error::usage("cannot use --server and --input-file together").hint("choose one place to read from"));
    }
    Ok(())
}

fn screen(source: &Source, judge: policy::Options, look: &Look<'_>, filter: Vec<String>) -> Result<Plan, Error> {
    sound(source)?;
    filter_of(&filter, look.env)?;
    if !source.input_file.is_empty() {
        let paths = texts(&source.input_file);
        let title = title_of(&paths);
        let command = command("flowhy replay", &paths, source);
        return Ok(held(From::Files { paths, pace: Pace::Max }, source, judge, look.tui(title, filter.join(" "), command)?));
    }
    let target = target(source)?;
    let title = target.to_string();
    let command = command("flowhy --server", std::slice::from_ref(&title), source);
    let request = Request { number: SCREEN_LAST, follow: true, ..Request::default() };
    Ok(held(From::Live { target, request: Box::new(request) }, source, judge, look.tui(title, filter.join(" "), command)?))
}

/// A plan that holds flows and explains drops.
fn held(from: From, source: &Source, judge: policy::Options, front: Front) -> Plan {
    let engine = engine::Options { hold: Some(Limits::default()), explain: Explain::Drops, judge, ..engine::Options::default() };
    Plan { from, policies: texts(&source.policies), engine, front, warnings: Vec::new() }
}

/// The words that open the same picture in a shell.
fn command(head: &str, args: &[String], source: &Source) -> String {
    let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,".contains(c));
    let word = |s: &str| if plain(s) { s.to_owned() } else { format!("'{}'", s.replace('\'', "'\\''")) };
    let mut line = head.to_owned();
    for arg in args {
        line.push(' ');
        line.push_str(&word(arg));
    }
    for path in texts(&source.policies) {
        line.push_str(" --policies ");
        line.push_str(&word(&path));
    }
    line
}

fn title_of(paths: &[String]) -> String {
    let name = |p: &String| Path::new(p).file_name().map_or_else(|| p.clone(), |n| n.to_string_lossy().into_owned());
    match paths {
        [one] => name(one),
        [first, rest @ ..] => format!("{} +{}", name(first), rest.len()),
        [] => String::new(),
    }
}

fn replay(source: &Source, judge: policy::Options, look: &Look<'_>, r: Replay) -> Result<Plan, Error> {
    // What looks like a file is one: a filter has a colon or no file of its name; `-` is standard input.
    let (paths, filter): (Vec<_>, Vec<_>) = r.args.into_iter().partition(|a| a == "-" || !looks_like_filter(a));
    sound(source)?;
    if paths.is_empty() {
        return Err(Error::usage("no recording to replay").hint("flowhy replay FILE"));
    }
    let pace = match r.speed.as_str() {
        "max" => Pace::Max,
        n => match n.trim_end_matches(['x', '×']).parse::<f64>() {
            Ok(x) if x > 0.0 && x.is_finite() => Pace::Times(x),
            _ => return Err(Error::usage(format!("--speed {n} is no speed")).hint("a number greater than 0, or max")),
        },
    };
    filter_of(&filter, look.env)?;
    let mut paths = paths;
    paths.extend(texts(&source.input_file));
    let title = title_of(&paths);
    let command = command("flowhy replay", &paths, source);
    Ok(held(From::Files { paths, pace }, source, judge, look.tui(title, filter.join(" "), command)?))
}

fn looks_like_filter(arg: &str) -> bool {
    let field = arg.split_once([':', '~', '<', '>', '!']).map(|(f, _)| f);
    match field {
        Some(f) => !arg.contains("://") && !f.contains('/') && !f.contains('\\'),
        None => matches!(arg, "and" | "or" | "not") || arg.starts_with('('),
    }
}

fn explain_of(why: Option<WhyMode>) -> Explain {
    match why {
        None => Explain::Nothing,
        Some(WhyMode::Drops) => Explain::Drops,
        Some(WhyMode::All) => Explain::All,
    }
}

fn observe(source: &Source, judge: policy::Options, look: &Look<'_>, o: Observe) -> Result<Plan, Error> {
    sound(source)?;
    let env = look.env;
    let mut words = o.filter;
    match words.first().map(String::as_str) {
        Some("flows") => drop(words.remove(0)),
        Some(other @ ("agent-events" | "debug-events")) => {
            return Err(Error::usage(format!("observe {other} is not built in yet")).hint("flows are: flowhy observe"));
        }
        _ => {}
    }
    let (filters, by_flags) = flags_of(&o.flags.0)?;
    let by_words = filter_of(&words, env)?;
    let files = !source.input_file.is_empty();
    let window = window(&o.select, env)?;
    let explain = explain_of(o.print.why);
    let number = number(&o.select, files)?;
    table_can(o.print.output, o.select.follow, explain)?;
    let print = out::Options {
        color: look.color(),
        terminal: env.stdout_tty,
        time: out::TimeFormat::from_name(&o.print.time_format),
        node_name: o.print.print_node_name,
        policy_names: o.print.print_policy_names,
        translate_ip: o.print.ip_translation && !o.print.numeric,
        debug: o.print.debug,
        silent: o.print.silent_errors,
    };
    let mut stream = Stream { format: o.print.output, print, first: None, last: None, quiet: o.print.quiet };
    let warnings = filters.warnings.clone();
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
        From::Live { target: target(source)?, request: Box::new(request) }
    };
    let engine = engine::Options {
        admit: by_flags.and(by_words),
        hold: None,
        explain,
        judge,
        filter_notices: files,
        window: if files { window } else { (None, None) },
    };
    Ok(Plan { from, policies: texts(&source.policies), engine, front: Front::Stream(stream), warnings })
}

/// A table is written at its end, and has no room for a sentence.
fn table_can(format: cli::Format, follow: bool, explain: Explain) -> Result<(), Error> {
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
fn number(s: &Select, files: bool) -> Result<Option<u64>, Error> {
    let conflict = |a: &str, b: &str| Err(Error::usage(format!("cannot set both --{a} and --{b}")));
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
            return Err(Error::usage(format!("--last must be <= 1_000_000, got {n}")));
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

fn window(s: &Select, env: &Env) -> Result<(Option<Nanos>, Option<Nanos>), Error> {
    let at = |which: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(t) => query::since(t, env.now).map(Some).map_err(|e| {
            Error::usage(format!("failed to parse the {which} time: {e}")).hint("write 5m (before now), a date, or 2026-01-31T14:02:00Z")
        }),
    };
    Ok((at("since", &s.since)?, if s.follow { None } else { at("until", &s.until)? }))
}

fn why(source: &Source, judge: policy::Options, look: &Look<'_>, w: WhyArgs) -> Result<Plan, Error> {
    sound(source)?;
    let (filters, by_flags) = flags_of(&w.flags.0)?;
    let by_words = filter_of(&w.filter, look.env)?;
    let select = Select { since: w.since, until: w.until, ..Select::default() };
    let window = window(&select, look.env)?;
    let files = !source.input_file.is_empty();
    let from = if files {
        From::Files { paths: texts(&source.input_file), pace: Pace::Max }
    } else {
        let number = if window == (None, None) { u64::MAX } else { 0 };
        let request = Request { number, since: window.0, until: window.1, ..Request::default() };
        From::Live { target: target(source)?, request: Box::new(request) }
    };
    let json = w.output == cli::TextFormat::Json;
    let style = crate::cmd::why::Style { json, unicode: !look.ascii(), terminal: look.env.stdout_tty, color: !json && look.color() };
    let filter = by_words.text().to_owned();
    let engine = engine::Options {
        admit: by_flags.and(by_words),
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        judge,
        filter_notices: files,
        window: if files { window } else { (None, None) },
    };
    let front = Front::Why { style, quiet: w.quiet, filter };
    Ok(Plan { from, policies: texts(&source.policies), engine, front, warnings: filters.warnings })
}

fn demo(source: &Source, judge: policy::Options, look: &Look<'_>, d: Demo) -> Result<Plan, Error> {
    if source.server.is_some() || !source.input_file.is_empty() {
        return Err(Error::usage("the demo has its own flows").hint("leave out --server and --input-file"));
    }
    let rate = match d.rate.as_deref() {
        None => Rate::Realtime,
        Some("max") => Rate::Max,
        Some(n) => match n.parse::<f64>() {
            Ok(x) if x > 0.0 && x.is_finite() => Rate::PerSecond(x),
            _ => return Err(Error::usage(format!("--rate {n} is no rate")).hint("records a second, or max")),
        },
    };
    let start = match &d.start {
        None => None,
        Some(t) => {
            Some(query::since(t, look.env.now).map_err(|e| Error::usage(format!("--start: {e}")).hint("write 2026-01-31T14:02:00Z"))?)
        }
    };
    let from = From::Demo { seed: d.seed, start, rate, count: d.count };
    if !d.headless {
        filter_of(&d.filter, look.env)?;
        return Ok(held(from, source, judge, look.tui("demo".to_owned(), d.filter.join(" "), format!("flowhy demo --seed {}", d.seed))?));
    }
    table_can(d.output, d.count.is_none(), explain_of(d.why))?;
    let print = out::Options { color: look.color(), terminal: look.env.stdout_tty, ..out::Options::default() };
    let engine =
        engine::Options { admit: filter_of(&d.filter, look.env)?, explain: explain_of(d.why), judge, ..engine::Options::default() };
    let stream = Stream { format: d.output, print, first: None, last: None, quiet: false };
    Ok(Plan { from, policies: texts(&source.policies), engine, front: Front::Stream(stream), warnings: Vec::new() })
}

#[cfg(test)]
mod tests;
