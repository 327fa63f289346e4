//! Plan → tasks + engine + front: the only place where things are wired together.
//!
//! Owns the runtime, signals, stderr and the exit code. Decides nothing that `plan` could have decided.
use crate::cli::Cli;
use crate::engine::{Engine, Names};
use crate::error::{Error, Kind};
use crate::model::doc::Doc;
use crate::model::input::{At, Change};
use crate::plan::{self, Env, From, Front, Job, Plan};
use crate::record::{Keep, Recorder};
use crate::source::edits::Watched;
use crate::source::feed;
use crate::source::manifests::{self, Manifests};
use crate::source::{self, Source as _};
use crate::world::yaml;
use crate::{demo, model, tui};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

mod ask;
mod audit;
mod called;
mod check;
mod config;
mod counting;
mod desk;
mod headless;
mod line;
mod live;
mod record;
mod say;
mod scan;
mod serve;
mod session;
mod sources;
mod why;

/// How long a source may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the program; returns the exit code.
pub fn main() -> u8 {
    let cli = match called::parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help goes to stdout with 0, mistakes to stderr with 2; a closed pipe changes neither. A group of commands without
            // one of them asks for help, as with Hubble.
            if !e.use_stderr() {
                let _ = e.print();
                return 0;
            }
            if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                let _ = ask::put(&mut io::stdout().lock(), e.render().to_string().as_bytes());
                return 0;
            }
            let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
            say::error(&say::misuse(&e, &args));
            return 2;
        }
    };
    match config::applied(cli).and_then(|(cli, settings)| {
        let debug = cli.display.debug;
        if debug {
            config::tell(&settings);
        }
        let file = cli.display.config.clone();
        let job = plan::plan(cli, &Env { filters: settings.filters.clone(), ..env() }).map_err(|e| settings.blame(e))?;
        if debug && let Some(line) = job.asks() {
            say::say("debug", &line);
        }
        work(job, file)
    }) {
        Ok(code) => code,
        Err(e) => {
            say::error(&e);
            e.exit_code()
        }
    }
}

fn env() -> Env {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let locale = [var("LC_ALL"), var("LC_CTYPE"), var("LANG")].into_iter().find(|v| !v.is_empty()).unwrap_or_default().to_lowercase();
    Env {
        stdout_tty: io::stdout().is_terminal(),
        stdin_piped: stdin_piped(),
        no_color: !var("NO_COLOR").is_empty(),
        force_color: !matches!(var("CLICOLOR_FORCE").as_str(), "" | "0"),
        term: var("TERM"),
        colorterm: var("COLORTERM"),
        // No locale at all is what containers have, and their terminals are UTF-8.
        filters: Vec::new(),
        utf8: locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8"),
        legacy_json: var("HUBBLE_COMPAT").split(',').any(|w| w.trim() == "legacy-json-output"),
        now: SystemTime::now().into(),
    }
}

/// Whether standard input is a pipe or a file: a terminal, `/dev/null` and what services start with bring no flows.
#[cfg(unix)]
fn stdin_piped() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileTypeExt as _;
    let Ok(same) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    std::fs::File::from(same).metadata().is_ok_and(|m| m.is_file() || m.file_type().is_fifo())
}

#[cfg(not(unix))]
fn stdin_piped() -> bool {
    !io::stdin().is_terminal()
}

/// `file`: flowhy's own settings file, where another one is named.
fn work(job: Job, file: Option<PathBuf>) -> Result<u8, Error> {
    match job {
        Job::Flows(plan) => go(plan, file),
        Job::Ask(a) => small()?.block_on(ask::ask(&a)),
        Job::Events(e) => {
            let runtime = small()?;
            let result = runtime.block_on(ask::events(e));
            runtime.shutdown_background();
            result
        }
        Job::Serve(s) => {
            let runtime = rim()?;
            let result = runtime.block_on(serve::serve(s));
            runtime.shutdown_background();
            result
        }
        Job::Demo { seed, start, rate, at } => {
            let runtime = rim()?;
            let result = runtime.block_on(serve::demo(seed, start, rate, &at));
            runtime.shutdown_background();
            result
        }
        Job::Audit(a) => audit::run(a),
        Job::Config { what, file } => config::command(what, file.as_deref()),
        Job::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "flowhy", &mut script);
            ask::put(&mut io::stdout().lock(), &script).map(|()| 0)
        }
        Job::Man => {
            let mut page = Vec::new();
            let made = clap_mangen::Man::new(Cli::command()).render(&mut page);
            made.map_err(|e| Error::output("cannot write the page", &e))?;
            ask::put(&mut io::stdout().lock(), &page).map(|()| 0)
        }
        Job::Say(text) => ask::put(&mut io::stdout().lock(), text.as_bytes()).map(|()| 0),
    }
}

/// A runtime on this thread alone: one question needs no more.
fn small() -> Result<tokio::runtime::Runtime, Error> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Error::new(Kind::Output, "cannot start").cause(e.to_string()))
}

/// The runtime of everything that streams.
fn rim() -> Result<tokio::runtime::Runtime, Error> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|e| Error::new(Kind::Output, "cannot start").cause(e.to_string()))
}

fn go(plan: Plan, file: Option<PathBuf>) -> Result<u8, Error> {
    let mut plan = plan;
    if let From::Files { paths, .. } = &mut plan.from {
        session::resolve(paths)?;
    }
    // Who owns a pod a recording's own state may know better than a pod's name.
    let scanned = plan.scan().filter(|(paths, ..)| plan.engine.names < Names::Sought || !source::file::tell_of_a_cluster(paths));
    let Plan { from, policies, engine, front, warnings, notes } = plan;
    for w in &warnings {
        say::say("warning", w);
    }
    for n in &notes {
        say::say("debug", n);
    }
    let runtime = rim()?;
    let stop = CancellationToken::new();
    if let Some((paths, options, stream)) = scanned {
        let result = runtime.block_on(async {
            headless::heed_signals(&stop);
            scan::run(paths, options, stream, &stop).await
        });
        // A thread that waits for standard input cannot be waited for.
        runtime.shutdown_background();
        return result;
    }
    let mut engine = Engine::new(engine);
    let mut given = Vec::new();
    let before = match &front {
        Front::Check(c) => check::load(&mut engine, &policies, c)?,
        _ => {
            given = load(&mut engine, &policies, matches!(from, From::Demo { .. }))?.1;
            None
        }
    };
    let quiet = match &front {
        Front::Tui { .. } => true,
        Front::Stream(s) => s.quiet,
        Front::Why { quiet, .. } => *quiet,
        Front::Check(c) => c.quiet,
        Front::Record(r) => r.quiet,
    };
    if !quiet {
        say::faults(&engine);
        if engine.explains() {
            say::findings(&engine);
        }
    }
    let live = matches!(from, From::Live { .. });
    let asks = matches!(from, From::Cluster { .. });
    let look = match &front {
        // What is recorded is explained later.
        Front::Record(_) if policies.is_empty() => live::Look::Policies,
        Front::Record(_) => live::Look::World,
        // A question is answered by what is in the cluster, with flows or without.
        Front::Why { mode: plan::why::Mode::Question(_), .. } if policies.is_empty() => live::Look::Policies,
        Front::Why { mode: plan::why::Mode::Question(_), .. } => live::Look::World,
        _ if !engine.explains() => live::Look::Nothing,
        // What is checked stands in place of what the cluster has, as policies that are given do.
        Front::Check(_) => live::Look::World,
        _ if !policies.is_empty() => live::Look::World,
        _ => live::Look::Policies,
    };
    let result = runtime.block_on(async {
        let (feed, inbox) = feed::channel(feed::SLOTS);
        let screen = matches!(front, Front::Tui { .. });
        if !screen {
            headless::heed_signals(&stop);
        }
        let watched = Watched::new(&policies, docs_of(&given), engine.faults());
        // What is saved while a recording runs is true from then on; of an old recording nobody can say since when.
        let saves = stop.child_token();
        if (screen || live && matches!(front, Front::Record(_))) && !watched.is_empty() {
            tokio::spawn(Box::new(watched).run(feed.clone(), saves.clone()));
        }
        let mut sources = tokio::select! {
            biased;
            started = sources::start(from, sources::Reader { screen, quiet }, look, feed, &stop) => started?,
            () = stop.cancelled() => return Ok(0),
        };
        if !screen {
            // The end of the flows is the end.
            let task = sources.task;
            sources.task = tokio::spawn(async move {
                let _watch = saves.drop_guard();
                sources::joined(task.await)
            });
        }
        let result = match front {
            Front::Tui { screen, ring, history } => {
                let title = sources.title.unwrap_or(screen.title);
                let desk = desk::Desk::new(file, history.then_some(if live { title.as_str() } else { desk::RECORDINGS }));
                let here = std::env::current_dir().unwrap_or_default();
                let options = tui::Options {
                    title,
                    live,
                    here,
                    remote: sources.remote,
                    capture: sources.capture,
                    history: desk.history(),
                    ..*screen
                };
                // The demo comes again whenever it is asked to.
                let session: Option<tui::Begin> = if ring && live { Some(Box::new(session::begin)) } else { None };
                let given: Vec<_> = given.into_iter().map(|change| At { cluster: Arc::from(""), at: None, change }).collect();
                let start: tui::Start = Box::new(|path, ground| {
                    let path = crate::record::files::expanded(path);
                    Recorder::open(path, |path| Ok(record::Options { ground, waits: false, ..record::options(path, Keep::One, false) }))
                });
                let left = tui::run(engine, inbox, options, tui::Tapes::new(start, session, &given), Box::new(desk)).await?;
                record::left(&left).map(|()| 0)
            }
            Front::Stream(s) => headless::stream(engine, inbox, s, &stop).await,
            Front::Why { style, quiet, filter, mode } => {
                why::why(engine, inbox, why::Ask { style, quiet, filter, mode, live, asks }, &stop).await
            }
            Front::Check(c) => check::check(engine, inbox, *c, before, &stop).await,
            Front::Record(r) => record::record(engine, inbox, *r, given, &stop).await,
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

/// What judges by one cluster's policies mixes no others in, and leaves none out without a word.
fn one_cluster(engine: &Engine, what: &str) -> Result<(), Error> {
    let mut names: Vec<String> = engine.clusters().map(|name| model::text::clean(name).into_owned()).collect();
    if names.len() < 2 {
        return Ok(());
    }
    // They are met in no order that means anything.
    names.sort();
    Err(Error::new(Kind::Usage, format!("{what} is of one cluster, and here are {}", names.join(", ")))
        .cause("each has policies of its own")
        .hint("name one: --kube-context NAME, or its recordings only; flowhy record FILE --kube-context NAME writes one cluster alone"))
}

fn docs_of(given: &[Change]) -> impl Iterator<Item = Arc<Doc>> {
    given.iter().filter_map(|change| if let Change::Apply(doc) = change { Some(doc.clone()) } else { None })
}

/// Loads the manifests before the first flow, so that the same files give the same answers. Returns what was read, and what of it
/// could not be; and what the engine was told.
fn load(engine: &mut Engine, paths: &[String], demo: bool) -> Result<(Manifests, Vec<Change>), Error> {
    let mut changes = Vec::new();
    if demo {
        for (file, text) in demo::manifests() {
            changes.extend(yaml::read(file, text).0.into_iter().map(|d| Change::Apply(Arc::new(d))));
        }
    }
    let mut found = manifests::load(paths)?;
    changes.extend(found.faults.iter().cloned().map(Change::Fault));
    for text in &found.texts {
        let (docs, faults) = yaml::read(&text.file, &text.body);
        changes.extend(docs.into_iter().map(|d| Change::Apply(Arc::new(d))));
        changes.extend(faults.iter().cloned().map(Change::Fault));
        found.faults.extend(faults.into_iter().filter(|f| !yaml::is_repetition(f)));
    }
    if demo || !paths.is_empty() {
        engine.policies_given();
    }
    for change in &changes {
        engine.give(change.clone());
    }
    Ok((found, changes))
}
