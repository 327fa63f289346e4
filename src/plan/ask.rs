//! `status`, `list`, `watch`, and `observe agent-events|debug-events` → what is asked of whom.
//!
//! Owns how many events are asked for. They know no filters.
use super::server::Servers;
use super::{From, Look, observe, servers, sound, texts};
use crate::cli::ask::{ListFormat, ListWhat, StatusFormat};
use crate::cli::{self, Observe, Source};
use crate::engine::Explain;
use crate::error::Error;
use crate::model::time::Nanos;
use crate::out;
use crate::plan::Pace;
use crate::source::ask::EventRequest;

/// One question to a server.
#[derive(Debug, Clone)]
pub struct Ask {
    pub servers: Box<Servers>,
    pub question: Question,
    /// Stdout is a terminal: what acts on one is spelt out.
    pub terminal: bool,
    /// For stderr.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Status(StatusFormat),
    Nodes(ListFormat),
    Namespaces(ListFormat),
    Peers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Agent,
    Debug,
}

/// Events other than flows.
#[derive(Debug, Clone)]
pub struct Events {
    pub sort: Sort,
    pub from: EventsFrom,
    pub format: cli::Format,
    pub print: out::Options,
    pub quiet: bool,
    /// For stderr.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum EventsFrom {
    Live { servers: Box<Servers>, request: EventRequest },
    Files { from: From, first: Option<u64>, last: Option<usize>, window: (Option<Nanos>, Option<Nanos>) },
}

/// The one server that is meant.
fn one(source: &Source, piped: bool, warnings: &mut Vec<String>) -> Result<Box<Servers>, Error> {
    let servers = servers(&source.server, piped, warnings)?;
    if servers.several() {
        return Err(Error::usage("this is asked of one server at a time").hint("give one --server, without --agents"));
    }
    Ok(servers)
}

pub fn ask(source: &Source, look: &Look<'_>, question: Question) -> Result<Ask, Error> {
    if !source.input_file.is_empty() {
        return Err(Error::usage("a recording is no server").hint("leave out --input-file, or serve it: flowhy serve FILE"));
    }
    let mut warnings = Vec::new();
    // No file answers such a question.
    let servers = one(source, false, &mut warnings)?;
    Ok(Ask { servers, question, terminal: look.env.stdout_tty, warnings })
}

pub fn list(what: &ListWhat) -> Question {
    match what {
        ListWhat::Nodes(a) => Question::Nodes(a.output),
        ListWhat::Namespaces(a) => Question::Namespaces(a.output),
    }
}

pub fn events(source: &Source, look: &Look<'_>, sort: Sort, rest: &[String], o: Observe) -> Result<Events, Error> {
    sound(source)?;
    let name = match sort {
        Sort::Agent => "agent-events",
        Sort::Debug => "debug-events",
    };
    let none = || format!("observe {name} has no filters; leave it out");
    if let Some(flag) = o.flags.0.first() {
        return Err(Error::usage(format!("unknown flag: --{}", flag.name)).hint(none()));
    }
    if let Some(word) = rest.first() {
        return Err(Error::usage(format!("cannot filter {name} by {word:?}")).hint(none()));
    }
    if o.print.why.is_some() {
        return Err(Error::usage(format!("--why explains flows, and {name} are none")).hint("leave out --why"));
    }
    let s = &o.select;
    observe::table_can(o.print.output, s.follow, Explain::Nothing)?;
    let window = observe::window(s, look.env)?;
    let mut warnings = Vec::new();
    let from = if source.input_file.is_empty() {
        // `--first` is known to the command line and not to the request: so it is with Hubble, whose servers have few of them.
        let bounded = window != (None, None);
        let number = match s.last.unwrap_or(0) {
            _ if s.all && !bounded => u64::MAX,
            0 if !bounded => observe::DEFAULT_LAST,
            n => n,
        };
        let request = EventRequest { number, follow: s.follow, since: window.0, until: window.1 };
        EventsFrom::Live { servers: one(source, look.env.stdin_piped, &mut warnings)?, request }
    } else {
        observe::number(s, true)?;
        EventsFrom::Files {
            from: From::Files { paths: texts(&source.input_file), pace: Pace::Max },
            first: s.first.filter(|n| *n > 0),
            last: s.last.filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok()),
            window,
        }
    };
    Ok(Events { sort, from, format: o.print.output, print: observe::print_options(&o.print, look), quiet: o.print.quiet, warnings })
}
