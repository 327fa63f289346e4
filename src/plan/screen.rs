//! The screen on a server or on recordings → a plan.
//!
//! Owns what is a file and what a filter among the arguments, and the words that open the same picture again.
use super::{From, Front, Look, Pace, Plan, filter_of, servers, sound, texts};
use crate::cli::{Replay, Source};
use crate::engine::store::Limits;
use crate::engine::{self, Explain};
use crate::error::Error;
use crate::plan::server::{Servers, Way};
use crate::policy;
use crate::source::hubble::Request;
use crate::source::kube::forward::Wanted;
use crate::source::kube::relay::NAMESPACE;
use std::path::Path;

/// What the screen asks for at first.
const SCREEN_LAST: u64 = 1_000;

pub fn screen(source: &Source, judge: policy::Options, look: &Look<'_>, filter: Vec<String>) -> Result<Plan, Error> {
    // `-` is no filter: it is what comes through standard input, as `--input-file -` says it.
    let (piped, filter): (Vec<_>, Vec<_>) = filter.into_iter().partition(|a| a == "-");
    let mut all = source.clone();
    all.input_file.extend(piped.into_iter().map(Into::into));
    let source = &all;
    sound(source)?;
    filter_of(&filter, look.env)?;
    if !source.input_file.is_empty() {
        let paths = texts(&source.input_file);
        let title = title_of(&paths);
        let words = Words::of_files(&paths, source);
        return Ok(held(From::Files { paths, pace: Pace::Max }, source, judge, look.tui(title, filter.join(" "), words)?));
    }
    let mut warnings = Vec::new();
    let servers = servers(&source.server, look.env.stdin_piped, &mut warnings)?;
    let title = servers.title();
    let flags = flags(&servers);
    let words = Words { command: line("flowhy", &flags, source), source: line("", &flags, source) };
    let request = Request { number: SCREEN_LAST, follow: true, ..Request::default() };
    let front = look.tui(title, filter.join(" "), words)?;
    Ok(Plan { warnings, ..held(From::Live { servers, request: Box::new(request) }, source, judge, front) })
}

/// The flags that find these servers again. A password does not stand among them.
fn flags(servers: &Servers) -> Vec<String> {
    let mut out = Vec::new();
    let mut add = |flag: &str, value: String| out.extend([flag.to_owned(), value]);
    let forwarded = servers.kube.as_ref().filter(|k| k.way != Way::World);
    for address in servers.addresses.iter().filter(|_| forwarded.is_none()) {
        add("--server", address.to_string());
    }
    if let Some(kube) = &servers.kube {
        for context in &kube.wish.contexts {
            add("--kube-context", context.clone());
        }
        if let Some(file) = &kube.wish.kubeconfig {
            add("--kubeconfig", file.to_string_lossy().into_owned());
        }
        if kube.namespace != NAMESPACE {
            add("--kube-namespace", kube.namespace.clone());
        }
    }
    for ca in &servers.tls.ca {
        add("--tls-ca-cert-files", ca.to_string_lossy().into_owned());
    }
    if let Some((cert, key)) = &servers.tls.client {
        add("--tls-client-cert-file", cert.to_string_lossy().into_owned());
        add("--tls-client-key-file", key.to_string_lossy().into_owned());
    }
    if let Some(name) = &servers.tls.server_name {
        add("--tls-server-name", name.clone());
    }
    out.extend(servers.tls.insecure.then(|| "--tls-allow-insecure".to_owned()));
    out.extend(servers.agents.then(|| "--agents".to_owned()));
    if let Some(kube) = forwarded {
        out.extend((kube.way == Way::Forward).then(|| "--port-forward".to_owned()));
        match kube.wanted {
            Wanted::Either => {}
            Wanted::Plain => out.push("--tls=false".to_owned()),
            Wanted::Tls => out.push("--tls".to_owned()),
        }
    }
    out
}

/// A plan that holds flows and explains drops.
pub fn held(from: From, source: &Source, judge: policy::Options, front: Front) -> Plan {
    let engine = engine::Options {
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        fold: Some(engine::Fold::Latest),
        tally: true,
        judge,
        ..engine::Options::default()
    };
    Plan { from, policies: texts(&source.policies), engine, front, warnings: Vec::new(), notes: Vec::new() }
}

/// What a screen is in a shell.
pub struct Words {
    /// Opens the same picture.
    pub command: String,
    /// The flags by which other commands ask the same source; empty where none can.
    pub source: String,
}

impl Words {
    fn of_files(paths: &[String], source: &Source) -> Self {
        let from: Vec<String> = paths.iter().flat_map(|p| ["--from".to_owned(), p.clone()]).collect();
        // What came through a pipe is not there a second time.
        let piped = paths.iter().any(|p| p == "-");
        let flags = if piped { String::new() } else { line("", &from, source) };
        Self { command: line("flowhy replay", paths, source), source: flags }
    }
}

fn line(head: &str, args: &[String], source: &Source) -> String {
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
    line.trim_start().to_owned()
}

fn title_of(paths: &[String]) -> String {
    let name = |p: &String| Path::new(p).file_name().map_or_else(|| p.clone(), |n| n.to_string_lossy().into_owned());
    match paths {
        [one] => name(one),
        [first, rest @ ..] => format!("{} +{}", name(first), rest.len()),
        [] => String::new(),
    }
}

pub fn replay(source: &Source, judge: policy::Options, look: &Look<'_>, r: Replay) -> Result<Plan, Error> {
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
    let words = Words::of_files(&paths, source);
    Ok(held(From::Files { paths, pace }, source, judge, look.tui(title, filter.join(" "), words)?))
}

fn looks_like_filter(arg: &str) -> bool {
    let field = arg.split_once([':', '~', '<', '>', '!']).map(|(f, _)| f);
    match field {
        Some(f) => !arg.contains("://") && !f.contains('/') && !f.contains('\\'),
        None => matches!(arg, "and" | "or" | "not") || arg.starts_with('('),
    }
}
