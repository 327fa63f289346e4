//! Questions with one answer, and the streams that carry no flows: asked, printed, ended.
//!
//! Owns the exit code of a server that is not well. The bytes belong to `out`.
use super::{headless, live, say, sources};
use crate::error::{Error, Kind};
use crate::model::input::Input;
use crate::model::ledger::Ledger;
use crate::model::time::Nanos;
use crate::out;
use crate::plan::{Ask, Events, EventsFrom, Question, Sort};
use crate::source::ask::{self, Health};
use crate::source::feed;
use crate::source::server::Server;
use crate::wire::decode::{Decoded, decode};
use crate::wire::note::Notes;
use std::collections::VecDeque;
use std::io::{self, Write};
use tokio_util::sync::CancellationToken;

/// Writes and hands on.
pub fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| Error::output("cannot write to standard output", &e))
}

pub async fn ask(a: &Ask) -> Result<u8, Error> {
    a.warnings.iter().for_each(|w| say::say("warning", w));
    let server = &live::one(&a.servers).await?;
    // Not locked: an answer may take its time, and nobody else writes.
    let mut stdout = io::stdout();
    match a.question {
        Question::Status(format) => return status(server, a.terminal, format).await,
        Question::Nodes(format) => put(&mut stdout, &out::server::nodes(&ask::nodes(server).await?, format, a.terminal))?,
        Question::Namespaces(format) => {
            put(&mut stdout, &out::server::namespaces(&ask::namespaces(server).await?, format, a.terminal))?;
        }
        Question::Peers => {
            let stop = CancellationToken::new();
            headless::heed_signals(&stop);
            let watch = ask::peers(server, |change| put(&mut stdout, out::server::peer(&change, a.terminal).as_bytes()).map(|()| true));
            tokio::select! {
                ended = watch => ended?,
                () = stop.cancelled() => {}
            }
        }
    }
    Ok(0)
}

async fn status(server: &Server, terminal: bool, format: crate::cli::ask::StatusFormat) -> Result<u8, Error> {
    let mut stdout = io::stdout();
    let health = ask::health(server).await?;
    let state = match &health {
        Health::Serving => "",
        Health::Not(state) => &format!("Unavailable: {state}"),
        Health::NotOffered => "not offered by this server",
    };
    if format == crate::cli::ask::StatusFormat::Compact {
        put(&mut stdout, out::server::health(&server.target.to_string(), state).as_bytes())?;
    }
    if let Health::Not(state) = health {
        say::error(
            &Error::new(Kind::Output, format!("{} is not healthy", server.target))
                .cause(format!("it says {state}"))
                .hint("for relay: does it reach its nodes? see: cilium status"),
        );
        return Ok(1);
    }
    let answer = server.status().await?;
    put(&mut stdout, &out::server::status(&answer, format, terminal))?;
    Ok(0)
}

/// Agent or debug events to stdout, until their end or an interrupt, both of which are a success.
pub async fn events(e: Events) -> Result<u8, Error> {
    let stop = CancellationToken::new();
    headless::heed_signals(&stop);
    e.warnings.iter().for_each(|w| say::say("warning", w));
    let printer = out::Events::new(e.format, e.print);
    let mut sink = Sink { printer, out: io::BufWriter::new(io::stdout()), line: Vec::new() };
    let result = match e.from {
        EventsFrom::Live { servers, request } => {
            let server = &live::one(&servers).await?;
            let live = async {
                match e.sort {
                    Sort::Agent => ask::agent_events(server, request, |r| sink.event(&Decoded::AgentEvent(r), request.follow)).await,
                    Sort::Debug => ask::debug_events(server, request, |r| sink.event(&Decoded::DebugEvent(r), request.follow)).await,
                }
            };
            tokio::select! {
                ended = live => ended,
                () = stop.cancelled() => Ok(()),
            }
        }
        EventsFrom::Files { from, first, last, window } => {
            let take = Take { sort: e.sort, first, last, window };
            recorded(from, take, &mut sink, &stop, e.quiet).await
        }
    };
    sink.end()?;
    result.map(|()| 0)
}

struct Sink {
    printer: out::Events,
    out: io::BufWriter<io::Stdout>,
    line: Vec<u8>,
}

impl Sink {
    fn event(&mut self, event: &Decoded, now: bool) -> Result<bool, Error> {
        self.line.clear();
        match event {
            Decoded::AgentEvent(r) => self.printer.agent(r, &mut self.line),
            Decoded::DebugEvent(r) => self.printer.debug(r, &mut self.line),
            _ => {}
        }
        let wrote = self.out.write_all(&self.line).and_then(|()| if now { self.out.flush() } else { Ok(()) });
        wrote.map_err(|e| Error::output("cannot write to standard output", &e)).map(|()| true)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.line.clear();
        self.printer.finish(&mut self.line);
        put(&mut self.out, &self.line)
    }
}

/// Which events of a recording are wanted.
struct Take {
    sort: Sort,
    first: Option<u64>,
    last: Option<usize>,
    window: (Option<Nanos>, Option<Nanos>),
}

impl Take {
    /// The bounds are inclusive; an event without a time is outside of every window.
    fn wants(&self, event: &Decoded) -> bool {
        let time = match (self.sort, event) {
            (Sort::Agent, Decoded::AgentEvent(r)) => &r.time,
            (Sort::Debug, Decoded::DebugEvent(r)) => &r.time,
            _ => return false,
        };
        let at = time.as_ref().map(|t| Nanos::from_parts(t.seconds, t.nanos));
        self.window.0.is_none_or(|since| at.is_some_and(|at| at >= since))
            && self.window.1.is_none_or(|until| at.is_some_and(|at| at <= until))
    }
}

async fn recorded(from: crate::plan::From, take: Take, sink: &mut Sink, stop: &CancellationToken, quiet: bool) -> Result<(), Error> {
    let (feed, mut inbox) = feed::channel(feed::SLOTS);
    let _sources = tokio::select! {
        biased;
        started = sources::start(from, sources::Reader { screen: false, quiet }, live::Look::Nothing, feed, stop) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let (mut ledger, mut notes) = (Ledger::default(), Notes::default());
    let (mut left, mut tail) = (take.first, VecDeque::new());
    let mut failed = None;
    'reading: loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            batch = inbox.recv() => batch,
        };
        let Some(batch) = batch else { break };
        for input in batch {
            let frame = match input {
                Input::Frame(frame) => frame,
                Input::End(name, Err(cause)) => {
                    failed = Some(Error::new(Kind::Input, format!("cannot read {name} to its end")).cause(cause));
                    continue;
                }
                _ => continue,
            };
            ledger.frames += 1;
            let event = match decode(&frame, &mut notes) {
                Ok(Decoded::Blank) => {
                    ledger.skipped += 1;
                    continue;
                }
                Ok(event) => event,
                Err(bad) => {
                    ledger.malformed(format!("{}:{}", frame.from, frame.line), bad.to_string());
                    continue;
                }
            };
            ledger.decoded += 1;
            if !take.wants(&event) {
                ledger.refused += 1;
                continue;
            }
            ledger.admitted += 1;
            ledger.held += 1;
            if let Some(most) = take.last {
                if tail.len() >= most {
                    tail.pop_front();
                    (ledger.held, ledger.evicted) = (ledger.held - 1, ledger.evicted + 1);
                }
                tail.push_back(event);
                continue;
            }
            sink.event(&event, inbox.is_idle())?;
            if let Some(n) = &mut left {
                *n -= 1;
                if *n == 0 {
                    break 'reading;
                }
            }
        }
    }
    for event in tail {
        sink.event(&event, false)?;
    }
    debug_assert!(ledger.balanced(), "{ledger:?}");
    if !quiet {
        say::malformed(&ledger);
    }
    failed.map_or(Ok(()), Err)
}
