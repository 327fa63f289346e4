//! The runs without a screen: a stream of flows.
//!
//! Owns pumping, interrupts and exit codes. The bytes of a line belong to `out`.
use super::line::{Beside, Line};
use super::say;
use crate::engine::{Engine, Event};
use crate::error::{Error, Kind};
use crate::model::input::{Codec, Input};
use crate::model::why::Why;
use crate::out::{self, Output};
use crate::plan::Stream;
use crate::source::feed::Inbox;
use crate::wire::decode::{Decoded, decode_bytes};
use crate::wire::note::Notes;
use crate::wire::response::Response;
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the sources may take to hand over what they hold when they are stopped.
const LAST_FLOWS: Duration = Duration::from_millis(300);

/// Feeds batches to the engine until the sources end, `stop` is called, or `each` says it has enough.
pub async fn pump(
    engine: &mut Engine,
    inbox: &mut Inbox,
    stop: &CancellationToken,
    quiet: bool,
    mut each: impl FnMut(&mut Engine, Input) -> Result<bool, Error>,
    mut idle: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let mut line = Line::new(quiet);
    let mut health = say::Health::default();
    let mut end = None;
    loop {
        let batch = match end {
            None => tokio::select! {
                biased;
                () = stop.cancelled() => {
                    end = Some(tokio::time::Instant::now() + LAST_FLOWS);
                    continue;
                }
                batch = inbox.recv() => batch,
            },
            // What had come by then, but was held for the sake of order, is not lost.
            Some(end) => tokio::time::timeout_at(end, inbox.recv()).await.unwrap_or(None),
        };
        let Some(batch) = batch else { return Ok(()) };
        for input in batch {
            if !quiet {
                say::news(&input, &mut health);
            }
            if !each(engine, input)? {
                return Ok(());
            }
        }
        if inbox.is_idle() {
            idle()?;
        }
        line.draw(engine.ledger());
    }
}

/// Bytes of output written at once: about a batch of lines.
const BLOCK: usize = 256 * 1024;

/// How long the last lines may take once the user has had enough.
const GRACE: Duration = Duration::from_secs(2);

/// From here on the first Ctrl-C or SIGTERM cancels `stop`. A writer whose reader sleeps never sees that, and nothing may hold a
/// Unix filter up: a second signal, or the end of the grace, ends the process whatever it waits for.
pub fn heed_signals(stop: &CancellationToken) {
    let Ok(mut signals) = Signals::new() else { return };
    let stop = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        stop.cancel();
        let _ = tokio::time::timeout(GRACE, signals.next()).await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {} }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub async fn stream(mut engine: Engine, mut inbox: Inbox, s: Stream, stop: &CancellationToken) -> Result<u8, Error> {
    if let Some(by) = &s.count {
        return super::counting::count(engine, inbox, by, &s, stop).await;
    }
    let buffered = io::BufWriter::with_capacity(BLOCK, Beside(io::stdout().lock()));
    let mut output = out::Lines::new(out::format(s.format, s.print), buffered, Beside(io::stderr()));
    let failed = |e: &io::Error| Error::output("cannot write to standard output", e);
    let mut tail = s.last.map(Tail::new);
    let mut left = s.first;
    let quiet = s.quiet;
    let admit = engine.admit().clone();
    let recording: Arc<str> = Arc::from("");
    let output = std::cell::RefCell::new(&mut output);
    let result = pump(
        &mut engine,
        &mut inbox,
        stop,
        quiet,
        |engine, input| {
            let mut wrote = Ok(());
            // Of servers each has its own last ones; recordings, whose lines are numbered, are one.
            let from = match &input {
                Input::Frame(f) if f.line == 0 && tail.is_some() => f.from.clone(),
                _ => recording.clone(),
            };
            engine.feed(input, &mut |event: Event<'_>| {
                if left == Some(0) || wrote.is_err() {
                    return;
                }
                if let Some(tail) = &mut tail {
                    return tail.push(&from, &event);
                }
                wrote = output.borrow_mut().response(event.response, event.why.map(|w| &**w));
                if let Some(n) = &mut left {
                    *n -= 1;
                }
            });
            wrote.map_err(|e| failed(&e))?;
            Ok(left != Some(0))
        },
        || {
            if !quiet {
                say::trouble(admit.trouble());
            }
            if s.prompt { output.borrow_mut().flush().map_err(|e| failed(&e)) } else { Ok(()) }
        },
    )
    .await;
    let output = output.into_inner();
    if let (Ok(()), Some(tail)) = (&result, tail) {
        for Kept { codec, bytes, why, .. } in tail.all() {
            let Ok(Decoded::Response(r)) = decode_bytes(codec, &bytes, &mut Notes::default()) else {
                // Of a frame of protobuf only the fields of the filter and the format had been looked at.
                say::say("warning", "a flow is malformed beyond what was printed of it, and is left out");
                continue;
            };
            output.response(Response::Whole(&r), why.as_deref()).map_err(|e| failed(&e))?;
        }
    }
    output.end().map_err(|e| failed(&e))?;
    result?;
    if !quiet {
        say::troubles(admit.trouble());
        say::ledger(engine.ledger(), engine.notes());
    }
    let admitted = engine.ledger().admitted;
    finish(engine.ended()).map(|code| answer(code, s.exit_code, admitted))
}

/// With `--exit-code` nothing found is a 1.
pub fn answer(code: u8, asked: bool, found: u64) -> u8 {
    if asked && code == 0 && found == 0 { 1 } else { code }
}

/// The last so many responses of each server, undecoded: a million decoded ones would take gigabytes.
pub struct Tail {
    most: usize,
    /// The next one's number.
    next: u64,
    kept: BTreeMap<Arc<str>, VecDeque<Kept>>,
}

pub struct Kept {
    number: u64,
    pub codec: Codec,
    pub bytes: Vec<u8>,
    pub why: Option<Arc<Why>>,
}

impl Tail {
    pub fn new(most: usize) -> Self {
        Self { most, next: 0, kept: BTreeMap::new() }
    }

    pub fn push(&mut self, from: &Arc<str>, event: &Event<'_>) {
        if !self.kept.contains_key(from) {
            self.kept.insert(from.clone(), VecDeque::new());
        }
        let Some(kept) = self.kept.get_mut(from) else { return };
        if kept.len() >= self.most {
            kept.pop_front();
        }
        let (codec, bytes) = match event.response {
            Response::Whole(r) => (Codec::Hubble, r.encode_to_vec()),
            Response::Part { codec, bytes, .. } => (codec, bytes.to_vec()),
        };
        kept.push_back(Kept { number: self.next, codec, bytes, why: event.why.cloned() });
        self.next += 1;
    }

    /// In the order of their coming.
    pub fn all(self) -> Vec<Kept> {
        let mut all: Vec<_> = self.kept.into_values().flatten().collect();
        all.sort_by_key(|k| k.number);
        all
    }
}

/// The exit code of a run that came to its end.
pub fn finish(ended: &[(Arc<str>, Result<(), String>)]) -> Result<u8, Error> {
    for (name, how) in ended {
        if let Err(cause) = how {
            return Err(Error::new(Kind::Input, format!("cannot read {name} to its end")).cause(cause));
        }
    }
    Ok(0)
}
