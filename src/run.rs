//! Plan → tasks + engine + front: the only place where things are wired together.
//!
//! Owns the runtime, signals, stderr and the exit code. Decides nothing that `plan` could have decided.
use crate::cli::{Cli, Format};
use crate::cmd;
use crate::engine::{Engine, Event};
use crate::error::{Error, Kind};
use crate::model::input::{Change, Input, Link};
use crate::model::ledger::Ledger;
use crate::model::text::clean;
use crate::model::time::Nanos;
use crate::out::{self, Output};
use crate::plan::{self, Env, From, Front, Plan, Stream};
use crate::source::feed::{self, Inbox};
use crate::source::manifests;
use crate::world::yaml;
use crate::{demo, tui};
use clap::Parser as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

mod sources;

/// How long a source may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Manifest faults printed; the rest is only counted.
const MOST_FAULTS: usize = 50;

/// Runs the program; returns the exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help goes to stdout with 0, mistakes to stderr with 2; a closed pipe changes neither.
            if !e.use_stderr() {
                let _ = e.print();
                return 0;
            }
            say_error(&misuse(&e));
            return 2;
        }
    };
    match plan::plan(cli, &env()).and_then(go) {
        Ok(code) => code,
        Err(e) => {
            say_error(&e);
            e.exit_code()
        }
    }
}

/// Clap's finding in our three lines.
fn misuse(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // What follows are the missing arguments or the possible values, then a tip, then the usage.
    let (mut causes, mut hint) = (Vec::new(), None);
    for line in lines {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint.get_or_insert(tip.to_owned());
        } else if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        } else {
            causes.push(line.trim_matches(['[', ']']).to_owned());
        }
    }
    let mut error =
        Error::usage(what).hint(hint.unwrap_or_else(|| "`flowhy --help` and `flowhy COMMAND --help` list what there is".to_owned()));
    if !causes.is_empty() {
        error = error.cause(causes.join(" "));
    }
    error
}

fn env() -> Env {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let locale = [var("LC_ALL"), var("LC_CTYPE"), var("LANG")].into_iter().find(|v| !v.is_empty()).unwrap_or_default().to_lowercase();
    Env {
        stdout_tty: io::stdout().is_terminal(),
        no_color: !var("NO_COLOR").is_empty(),
        force_color: !matches!(var("CLICOLOR_FORCE").as_str(), "" | "0"),
        term: var("TERM"),
        // No locale at all is what containers have, and their terminals are UTF-8.
        utf8: locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8"),
        now: SystemTime::now().into(),
    }
}

/// One message on stderr. What comes from the network or a file is made harmless first.
fn say(kind: &str, text: &str) {
    let mut err = io::stderr().lock();
    let safe: Vec<_> = text.split('\n').map(|l| clean(l).into_owned()).collect();
    let _ = writeln!(err, "{kind}: {}", safe.join("\n"));
}

fn say_error(e: &Error) {
    if e.kind != Kind::BrokenPipe {
        say("error", &e.to_string());
    }
}

fn go(plan: Plan) -> Result<u8, Error> {
    let Plan { from, policies, engine, front, warnings } = plan;
    for w in &warnings {
        say("warning", w);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Output, "cannot start").cause(e.to_string()))?;
    let mut engine = Engine::new(engine);
    load(&mut engine, &policies, matches!(from, From::Demo { .. }))?;
    let quiet = match &front {
        Front::Tui { .. } => true,
        Front::Stream(s) => s.quiet,
        Front::Why { quiet, .. } => *quiet,
    };
    if !quiet {
        say_faults(&engine);
    }
    let stop = CancellationToken::new();
    let live = matches!(from, From::Live { .. });
    let result = runtime.block_on(async {
        let (feed, inbox) = feed::channel(feed::SLOTS);
        let screen = matches!(front, Front::Tui { .. });
        let sources = sources::start(from, screen, feed, &stop).await?;
        let result = match front {
            Front::Tui { title, filter, color, ascii, command } => {
                let options =
                    tui::Options { filter, color, ascii, title, live, command, remote: sources.remote, ..tui::Options::default() };
                tui::run(engine, inbox, options).await.map(|_| 0)
            }
            Front::Stream(s) => stream(engine, inbox, s, &stop).await,
            Front::Why { style, quiet, filter } => why(engine, inbox, style, quiet, filter, &stop).await,
        };
        match result {
            // The source knows better than we do why it ended early.
            Err(e) if e.kind == Kind::Input => match tokio::time::timeout(LAST_WORDS, sources.task).await {
                Ok(said) => sources::joined(said).and(Err(e)),
                Err(_) => Err(e),
            },
            other => other,
        }
    });
    stop.cancel();
    // A thread that waits for standard input cannot be waited for.
    runtime.shutdown_background();
    result
}

/// Loads the manifests before the first flow, so that the same files give the same answers.
fn load(engine: &mut Engine, paths: &[String], demo: bool) -> Result<(), Error> {
    let mut changes = Vec::new();
    if demo {
        for (file, text) in demo::manifests() {
            changes.extend(yaml::read(file, text).0.into_iter().map(|d| Change::Apply(Arc::new(d))));
        }
    }
    let found = manifests::load(paths)?;
    changes.extend(found.faults.into_iter().map(Change::Fault));
    for text in &found.texts {
        let (docs, faults) = yaml::read(&text.file, &text.body);
        changes.extend(docs.into_iter().map(|d| Change::Apply(Arc::new(d))));
        changes.extend(faults.into_iter().map(Change::Fault));
    }
    if demo || !paths.is_empty() {
        engine.policies_given();
    }
    for change in changes {
        engine.feed(Input::World(change), &mut |_| {});
    }
    Ok(())
}

fn say_faults(engine: &Engine) {
    for fault in engine.faults().iter().take(MOST_FAULTS) {
        say("warning", &fault.to_string());
    }
    let rest = engine.fault_count().saturating_sub(MOST_FAULTS);
    if rest > 0 {
        say("warning", &format!("{rest} more faults in the manifests"));
    }
}

/// Feeds batches to the engine until the sources end, the user interrupts, or `each` says it has enough.
async fn pump(
    engine: &mut Engine,
    inbox: &mut Inbox,
    stop: &CancellationToken,
    mut each: impl FnMut(&mut Engine, Input) -> Result<bool, Error>,
    mut idle: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let mut interrupt = std::pin::pin!(interrupted());
    loop {
        let batch = tokio::select! {
            biased;
            () = &mut interrupt => return Ok(()),
            () = stop.cancelled() => return Ok(()),
            batch = inbox.recv() => batch,
        };
        let Some(batch) = batch else { return Ok(()) };
        for input in batch {
            if !each(engine, input)? {
                return Ok(());
            }
        }
        if inbox.is_idle() {
            idle()?;
        }
    }
}

/// Resolves on Ctrl-C or SIGTERM; a second one ends the process at once, for a writer that hangs.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return std::future::pending().await;
        };
        tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            std::process::exit(130);
        });
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn stream(mut engine: Engine, mut inbox: Inbox, s: Stream, stop: &CancellationToken) -> Result<u8, Error> {
    let buffered = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut output: Box<dyn Output> = match s.format {
        Format::Dict => Box::new(out::Lines::new(out::Dict::new(s.print), buffered, io::stderr())),
        Format::Table => Box::new(out::Lines::new(out::Table::new(s.print), buffered, io::stderr())),
        Format::Jsonpb => Box::new(out::Lines::new(out::Jsonpb::new(s.print), buffered, io::stderr())),
        Format::Compact => Box::new(out::Lines::new(out::Compact::new(s.print), buffered, io::stderr())),
    };
    let failed = |e: &io::Error| Error::output("cannot write to standard output", e);
    let mut tail = s.last.map(Tail::new);
    let mut left = s.first;
    let quiet = s.quiet;
    let mut fatal = None;
    let output = std::cell::RefCell::new(&mut output);
    let result = pump(
        &mut engine,
        &mut inbox,
        stop,
        |engine, input| {
            say_link(&input, quiet);
            if let Input::End(_, Err(cause)) = &input {
                fatal = Some(cause.clone());
            }
            let mut wrote = Ok(());
            engine.feed(input, &mut |event: Event<'_>| {
                if left == Some(0) || wrote.is_err() {
                    return;
                }
                if let Some(tail) = &mut tail {
                    return tail.push(&event);
                }
                wrote = output.borrow_mut().response(event.response, &[], event.why);
                if let Some(n) = &mut left {
                    *n -= 1;
                }
            });
            wrote.map_err(|e| failed(&e))?;
            Ok(left != Some(0))
        },
        || output.borrow_mut().flush().map_err(|e| failed(&e)),
    )
    .await;
    let output = output.into_inner();
    if let (Ok(()), Some(tail)) = (&result, tail) {
        for (response, why) in tail.kept {
            output.response(&response, &[], why.as_ref()).map_err(|e| failed(&e))?;
        }
    }
    output.end().map_err(|e| failed(&e))?;
    result?;
    if !quiet {
        say_ledger(&engine);
    }
    finish(&engine)
}

/// The last so many responses.
struct Tail {
    most: usize,
    kept: std::collections::VecDeque<(crate::wire::pb::observer::GetFlowsResponse, Option<crate::model::why::Why>)>,
}

impl Tail {
    fn new(most: usize) -> Self {
        Self { most, kept: std::collections::VecDeque::new() }
    }

    fn push(&mut self, event: &Event<'_>) {
        if self.kept.len() >= self.most {
            self.kept.pop_front();
        }
        self.kept.push_back((event.response.clone(), event.why.cloned()));
    }
}

async fn why(
    mut engine: Engine,
    mut inbox: Inbox,
    style: cmd::why::Style,
    quiet: bool,
    filter: String,
    stop: &CancellationToken,
) -> Result<u8, Error> {
    let mut first: Option<Nanos> = None;
    pump(
        &mut engine,
        &mut inbox,
        stop,
        |engine, input| {
            say_link(&input, quiet);
            engine.feed(input, &mut |_| {});
            Ok(true)
        },
        || Ok(()),
    )
    .await?;
    let seqs = engine.store().seqs();
    if let Some(row) = engine.store().row(seqs.start) {
        first = Some(row.at);
    }
    let named = |t: Nanos| (t != Nanos::default()).then(|| t.to_string());
    let basis = cmd::why::Basis { from: first.and_then(named), to: named(engine.now()), lost: engine.ledger().lost_total(), filter };
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let failed = |e: &io::Error| Error::output("cannot write to standard output", e);
    let n = cmd::why::report(&engine, &basis, style, &mut stdout).and_then(|n| stdout.flush().map(|()| n)).map_err(|e| failed(&e))?;
    if !quiet {
        say_ledger(&engine);
    }
    let over = engine.causes().overflow;
    if over > 0 {
        say("warning", &format!("{over} more drops have causes beyond the {n} above"));
    }
    let code = finish(&engine)?;
    if n == 0 && code == 0 {
        let l = engine.ledger();
        say("note", &format!("nothing to explain: no dropped flow among {} ({} refused by the filter)", l.decoded, l.refused));
        return Ok(1);
    }
    Ok(code)
}

/// A lost connection, for somebody who waits.
fn say_link(input: &Input, quiet: bool) {
    if let (Input::Link(Link::Down { server, cause, hint, retry_ms }), false) = (input, quiet) {
        let hint = hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
        let again = format!("trying again in {:.1} s", *retry_ms as f64 / 1000.0);
        say("warning", &format!("lost {server}, {again}\n  cause: {cause}{hint}"));
    }
}

/// What was lost or passed over, in at most a few lines.
fn say_ledger(engine: &Engine) {
    let l: &Ledger = engine.ledger();
    if l.malformed > 0 {
        let s = if l.malformed == 1 { "line" } else { "lines" };
        say("warning", &format!("{} {s} could not be read", l.malformed));
        for e in &l.examples {
            say("  at", &format!("{}: {}", e.place, e.reason));
        }
    }
    let notes = engine.notes();
    if !notes.is_empty() {
        let names: Vec<_> = notes.fields.keys().chain(notes.enums.keys()).take(5).map(String::as_str).collect();
        say("note", &format!("{} unknown fields or values were passed over: {}", notes.total, names.join(", ")));
    }
    if io::stderr().is_terminal() && l.lost_total() > 0 {
        let per: Vec<_> = l.lost.iter().map(|(k, n)| format!("{k} {n}")).collect();
        say("note", &format!("servers lost {} events: {}", l.lost_total(), per.join(", ")));
    }
}

/// The exit code of a run that came to its end.
fn finish(engine: &Engine) -> Result<u8, Error> {
    for (name, how) in engine.ended() {
        if let Err(cause) = how {
            return Err(Error::new(Kind::Input, format!("cannot read {name} to its end")).cause(cause));
        }
    }
    Ok(0)
}
