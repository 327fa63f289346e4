//! What was typed → what is to be done. Pure: arguments and the environment in, a [`Plan`] or an error out.
//!
//! Owns every default and every conflict. Opens no file, makes no connection, reads no clock (the moment is in [`Env`]).
use crate::cli::{self, Cli, Command, Demo, Source, When, WhyMode};
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::model::near::distance;
use crate::model::time::Nanos;
use crate::out;
use crate::policy;
use crate::query::group::Column;
use crate::query::{self, Context, Filters, Flag, Predicate};
use crate::serve::Rate;
use crate::source::hubble::Request;
use crate::tui::{self, Depth, Keymap, THEMES, Theme, column};
use server::Servers;

pub use ask::{Ask, Events, EventsFrom, Question, Sort};
pub use audit::Audit;
pub use hint::hint;
pub use serve::{Address, Arrival, Serve};

/// What the program finds around it.
#[derive(Debug, Clone, Default)]
pub struct Env {
    pub stdout_tty: bool,
    /// Standard input is a pipe or a file: flows may come through it.
    pub stdin_piped: bool,
    pub no_color: bool,
    pub force_color: bool,
    /// `$TERM` and `$COLORTERM`.
    pub term: String,
    pub colorterm: String,
    pub utf8: bool,
    /// Filters with names, from the settings.
    pub filters: Vec<(String, String)>,
    /// `HUBBLE_COMPAT` asks for bare objects in JSON.
    pub legacy_json: bool,
    pub now: Nanos,
}

/// Where flows come from.
#[derive(Debug, Clone)]
pub enum From {
    Files {
        paths: Vec<String>,
        pace: Pace,
    },
    Live {
        servers: Box<Servers>,
        request: Box<Request>,
    },
    /// No flows: what is in the clusters behind the servers. `asked`: a flag names one, else only if a kubeconfig does.
    Cluster {
        servers: Box<Servers>,
        asked: bool,
    },
    Demo {
        seed: u64,
        start: Option<Nanos>,
        rate: Rate,
        count: Option<u64>,
    },
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
        screen: Box<tui::Options>,
        /// What a server says is kept on the disk as well.
        ring: bool,
        /// Filters are remembered from one session to the next.
        history: bool,
    },
    Stream(Stream),
    Why {
        style: crate::cmd::why::Style,
        quiet: bool,
        filter: String,
        mode: why::Mode,
    },
    Check(Box<check::Check>),
    Record(Box<record::Record>),
}

/// Headless output.
#[derive(Debug, Clone)]
pub struct Stream {
    pub format: cli::Format,
    pub print: out::Options,
    /// Somebody waits for each line; else they may go out in large blocks.
    pub prompt: bool,
    /// Stop after so many.
    pub first: Option<u64>,
    /// Print only the last so many, at the end.
    pub last: Option<usize>,
    pub quiet: bool,
    /// Counted by these, in place of lines.
    pub count: Option<Count>,
    /// Whether finding nothing is a failure.
    pub exit_code: bool,
}

/// What is counted, and how it is written.
#[derive(Debug, Clone)]
pub struct Count {
    pub by: Vec<Column>,
    pub style: out::count::Style,
    /// Drawn again and again while flows come.
    pub live: bool,
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
    /// What `--debug` tells, after them.
    pub notes: Vec<String>,
}

/// What the command is.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a run")]
pub enum Job {
    /// Flows through the engine.
    Flows(Plan),
    /// A question to a server.
    Ask(Ask),
    /// Events other than flows.
    Events(Events),
    /// A recording as a server.
    Serve(Serve),
    /// The demo cluster as a server.
    Demo { seed: u64, start: Option<Nanos>, rate: Rate, at: Address },
    /// Manifests, and what a recording proves of them.
    Audit(Audit),
    /// The settings.
    Config { what: cli::config::What, file: Option<std::path::PathBuf> },
    /// The script that completes our words in a shell.
    Completions(clap_complete::Shell),
    /// The manual page.
    Man,
    /// A text for stdout that needs nobody.
    Say(String),
}

impl Job {
    /// What will be asked of which server, in a line for those who debug.
    pub fn asks(&self) -> Option<String> {
        match self {
            Self::Flows(Plan { from: From::Live { servers, request }, .. }) => {
                Some(format!("asking {} for flows: {}", servers.title(), raw::line(request)))
            }
            Self::Ask(a) => Some(format!("asking {}: {:?}", a.servers.title(), a.question)),
            Self::Events(Events { from: EventsFrom::Live { servers, request }, .. }) => {
                Some(format!("asking {} for events: {request:?}", servers.title()))
            }
            _ => None,
        }
    }
}

/// A first word that is nearly a command is no filter: who types `obsrve` does not look for such a pod.
fn mistyped(filter: &[String]) -> Result<(), Error> {
    let commands = <Cli as clap::CommandFactory>::command();
    let names: Vec<&str> = commands.get_subcommands().flat_map(|c| std::iter::once(c.get_name()).chain(c.get_all_aliases())).collect();
    if let Some(word) = filter.first().filter(|w| names.contains(&w.as_str())) {
        return Err(Error::usage(format!("{word} stands behind an option")).hint(format!("the command comes first: flowhy {word} --…")));
    }
    like(filter, names.into_iter(), "flowhy")
}

/// A first word that is nearly one of `names`, which follow `before`.
fn like<'a>(filter: &[String], names: impl Iterator<Item = &'a str>, before: &str) -> Result<(), Error> {
    let Some(word) = filter.first().filter(|w| w.len() > 2 && w.chars().all(|c| c.is_ascii_alphabetic() || c == '-')) else {
        return Ok(());
    };
    // A short word is soon like another one.
    let near =
        |name: &&str| (word.len() > 3 && name.starts_with(word.as_str())) || distance(word, name) <= if word.len() > 5 { 2 } else { 1 };
    let Some(meant) = names.filter(near).min_by_key(|name| distance(word, name)) else { return Ok(()) };
    Err(Error::usage(format!("there is no command {word:?}"))
        .hint(format!("did you mean {meant}? to look for it as a name: {before} '\"{word}\"'")))
}

/// Makes sense of the arguments.
pub fn plan(cli: Cli, env: &Env) -> Result<Job, Error> {
    let Cli { source, judge, display, filter, command } = cli;
    let judge = judge_options(&judge);
    let look = Look { env, when: display.color, ascii: display.ascii, debug: display.debug, display: &display };
    Ok(match command {
        None => {
            mistyped(&filter)?;
            Job::Flows(screen::screen(&source, judge, &look, filter)?)
        }
        Some(Command::Observe(mut o)) => match o.filter.first().map(String::as_str) {
            Some(word @ ("agent-events" | "debug-events")) => {
                let sort = if word == "agent-events" { Sort::Agent } else { Sort::Debug };
                let rest = o.filter.split_off(1);
                Job::Events(ask::events(&source, &look, sort, &rest, *o)?)
            }
            word => {
                if word != Some("flows") {
                    like(&o.filter, ["flows", "agent-events", "debug-events"].into_iter(), "flowhy observe")?;
                }
                observe::observe(&source, judge, &look, *o)?
            }
        },
        Some(Command::Replay(r)) => Job::Flows(screen::replay(&source, judge, &look, r)?),
        Some(Command::Why(w)) => Job::Flows(why::why(&source, judge, &look, *w)?),
        Some(Command::Audit(a)) => Job::Audit(audit::audit(&source, judge, &look, *a)?),
        Some(Command::Check(c)) => Job::Flows(check::check(&source, judge, &look, *c)?),
        Some(Command::Record(r)) => Job::Flows(record::record(&source, judge, &look, *r)?),
        Some(Command::Demo(d)) => demo(&source, judge, &look, d)?,
        Some(Command::Serve(s)) => Job::Serve(serve::serve(&source, s)?),
        Some(Command::Status(s)) => Job::Ask(ask::ask(&source, &look, Question::Status(s.output))?),
        Some(Command::List(l)) => Job::Ask(ask::ask(&source, &look, ask::list(&l.what))?),
        Some(Command::Watch(w)) => match w.what {
            cli::ask::WatchWhat::Peers => Job::Ask(ask::ask(&source, &look, Question::Peers)?),
        },
        Some(Command::Config(c)) => Job::Config { what: c.what, file: display.config },
        Some(Command::Keys) => Job::Say(look.keymap()?.table()),
        Some(Command::Completions(c)) => Job::Completions(c.shell),
        Some(Command::Man) => Job::Man,
        Some(Command::Version) => Job::Say(concat!("flowhy ", env!("CARGO_PKG_VERSION"), "\n").to_owned()),
    })
}

struct Look<'a> {
    env: &'a Env,
    when: Option<When>,
    ascii: bool,
    debug: bool,
    display: &'a cli::Display,
}

impl Look<'_> {
    fn keymap(&self) -> Result<Keymap, Error> {
        Keymap::with(&self.display.key).map_err(|e| Error::usage(format!("--key: {e}")).hint("`flowhy keys` lists the actions"))
    }

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

    fn theme(&self) -> Result<&'static Theme, Error> {
        let Some(name) = self.display.theme.as_deref() else { return Ok(Default::default()) };
        Theme::named(name).ok_or_else(|| {
            let known: Vec<_> = THEMES.iter().map(|t| t.name).collect();
            Error::usage(format!("--theme {name} is no theme")).hint(format!("one of {}", known.join(", ")))
        })
    }

    fn ascii(&self) -> bool {
        self.ascii || !self.env.utf8 || matches!(self.env.term.as_str(), "linux" | "dumb")
    }

    fn tui(&self, title: String, filter: String, words: screen::Words) -> Result<Front, Error> {
        if !self.env.stdout_tty {
            return Err(Error::usage("standard output is no terminal, and the screen needs one").hint("use \"flowhy observe\""));
        }
        let (keymap, bell, mouse) = (self.keymap()?, self.display.bell, !self.display.no_mouse);
        let depth = if self.color() { Depth::of(&self.env.colorterm, &self.env.term) } else { Depth::None };
        let columns = self.display.columns.as_deref().map(column::parse).transpose();
        let screen = tui::Options {
            title,
            filter,
            command: words.command,
            source: words.source,
            theme: self.theme()?,
            depth,
            ascii: self.ascii(),
            keymap,
            bell,
            news: self.display.title,
            mouse,
            columns: columns.map_err(|e| Error::usage(format!("--columns: {e}")))?.unwrap_or_default(),
            relative: self.display.relative_time,
            filters: self.env.filters.clone(),
            ..tui::Options::default()
        };
        let (ring, history) = (!self.display.no_session_ring, !self.display.no_history);
        Ok(Front::Tui { screen: Box::new(screen), ring, history })
    }
}

fn judge_options(j: &cli::Judge) -> policy::Options {
    policy::Options {
        engine: match j.engine.unwrap_or_default() {
            cli::EngineName::Cilium => policy::Engine::Cilium,
            cli::EngineName::Kubernetes => policy::Engine::Kubernetes,
        },
        enforcement: match j.policy_enforcement.unwrap_or_default() {
            cli::Enforcement::Default => policy::Enforcement::Default,
            cli::Enforcement::Always => policy::Enforcement::Always,
            cli::Enforcement::Never => policy::Enforcement::Never,
        },
        host_firewall: j.host_firewall,
        allow_localhost: j.allow_localhost.unwrap_or_default() == cli::AllowLocalhost::Always,
        cilium: j.cilium_version.unwrap_or(policy::CILIUM),
        typed: policy::Which {
            engine: j.engine.is_some(),
            enforcement: j.policy_enforcement.is_some(),
            host_firewall: j.host_firewall,
            allow_localhost: j.allow_localhost.is_some(),
            cilium: j.cilium_version.is_some(),
        },
        ..policy::Options::default()
    }
}

fn filter_of(words: &[String], env: &Env) -> Result<Predicate, Error> {
    let text = words.join(" ");
    query::parse(&text, &Context::at(env.now)).map_err(|e| e.to_error(&text))
}

/// Hubble's own words, then what helps.
fn flag_error(text: String) -> Error {
    let hint = hint(&text);
    Error::usage(text).hint(hint)
}

fn flags_of(flags: &[Flag]) -> Result<Filters, Error> {
    query::from_flags(flags).map_err(flag_error)
}

fn compiled(filters: &Filters) -> Result<Predicate, Error> {
    query::compile(filters).map_err(flag_error)
}

fn texts(paths: &[std::path::PathBuf]) -> Vec<String> {
    paths.iter().map(|p| p.to_string_lossy().into_owned()).collect()
}

/// The servers that are meant; what is to be said about them joins `warnings`. `piped`: what is asked for might as well come
/// through standard input.
fn servers(flags: &cli::server::Server, piped: bool, warnings: &mut Vec<String>) -> Result<Box<Servers>, Error> {
    let mut servers = server::servers(flags)?;
    if piped && flags.server.is_empty() {
        servers.instead = Some("what comes through standard input is read with --input-file -".to_owned());
    }
    warnings.append(&mut servers.warnings);
    Ok(Box::new(servers))
}

fn sound(source: &Source) -> Result<(), Error> {
    let stdin = |paths: &[std::path::PathBuf]| paths.iter().filter(|p| p.as_os_str() == "-").count();
    if stdin(&source.input_file) + stdin(&source.policies) > 1 {
        return Err(Error::usage("standard input can be read only once").hint("give the flows or the policies as a file"));
    }
    if let Some(flag) = server::asks(&source.server)
        && !source.input_file.is_empty()
    {
        return Err(Error::usage(format!("cannot use {flag} and --input-file together")).hint("choose one place to read from"));
    }
    Ok(())
}

fn explain_of(why: Option<WhyMode>) -> Explain {
    match why {
        None => Explain::Nothing,
        Some(WhyMode::Drops) => Explain::Drops,
        Some(WhyMode::All) => Explain::All,
    }
}

fn demo(source: &Source, judge: policy::Options, look: &Look<'_>, d: Demo) -> Result<Job, Error> {
    if server::asks(&source.server).is_some() || !source.input_file.is_empty() {
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
    if let Some(listen) = &d.listen {
        return Ok(Job::Demo { seed: d.seed, start, rate, at: serve::address(listen)? });
    }
    let from = From::Demo { seed: d.seed, start, rate, count: d.count };
    if !d.headless {
        filter_of(&d.filter, look.env)?;
        let words = screen::Words { command: format!("flowhy demo --seed {}", d.seed), source: String::new() };
        let front = look.tui("demo".to_owned(), d.filter.join(" "), words)?;
        return Ok(Job::Flows(screen::held(from, source, judge, front)));
    }
    observe::table_can(d.output, d.count.is_none(), explain_of(d.why))?;
    let print = out::Options { color: look.color(), terminal: look.env.stdout_tty, ..out::Options::default() };
    let engine = engine::Options {
        admit: filter_of(&d.filter, look.env)?,
        explain: explain_of(d.why),
        judge,
        reads: out::format(d.output, print).fields(),
        ..engine::Options::default()
    };
    let stream = Stream { format: d.output, print, prompt: true, first: None, last: None, quiet: false, count: None, exit_code: false };
    Ok(Job::Flows(Plan {
        from,
        policies: texts(&source.policies),
        engine,
        front: Front::Stream(stream),
        warnings: Vec::new(),
        notes: Vec::new(),
    }))
}

mod ask;
mod audit;
pub mod check;
mod hint;
mod mask;
mod observe;
mod raw;
pub mod record;
mod screen;
mod serve;
pub mod server;
#[cfg(test)]
mod tests;
mod traffic;
pub mod why;
