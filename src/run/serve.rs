//! `flowhy serve`: a recording into the rings of a server, at its pace, until an interrupt.
//!
//! Owns the reading and the clock. What is served, and how, belongs to `serve`.
use super::{LAST_WORDS, headless, say};
use crate::error::{Error, Kind};
use crate::model::input::Change;
use crate::model::ledger::Ledger;
use crate::model::time::Nanos;
use crate::plan::{Address, Arrival, Serve};
use crate::record::set;
use crate::serve::{self, About, Archive, ByQuery, Listen, Rate, Service, Taken, Tls};
use crate::source::file::Recording;
use crate::wire::decode::{Decoded, decode};
use crate::wire::note::Notes;
use crate::world::line::{self, Said};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The longest sleep before a look at whether we are to stop.
const NAP: Duration = Duration::from_millis(100);
/// Between the last flow of a recording and the first of its repetition.
const GAP: i64 = 1_000_000;

pub async fn serve(s: Serve) -> Result<u8, Error> {
    let stop = CancellationToken::new();
    headless::heed_signals(&stop);
    let at = listen(&s.at, s.tls.clone()).await?;
    let archive = Archive::new(s.capacity);
    let about = About { name: "flowhy".to_owned(), version: concat!("flowhy ", env!("CARGO_PKG_VERSION")).to_owned(), ..About::default() };
    let service = Service::recorded(Arc::clone(&archive), Arc::new(ByQuery), about);
    let before = s.pace == Arrival::Before && !s.files.iter().any(|f| f == "-");
    let (done, mut wait) = tokio::sync::oneshot::channel();
    let (to, until, quiet) = (Arc::clone(&archive), stop.clone(), s.quiet);
    // Opened here: a wrong name is told before anybody connects.
    let opened = open(&s.files)?;
    let reader = Reader { files: s.files.clone(), pace: s.pace, again: s.again, archive: to, stop: until, quiet: Cell::new(quiet) };
    std::thread::Builder::new()
        .name("read".to_owned())
        .spawn(move || {
            let _ = done.send(reader.run(opened));
        })
        .map_err(|e| Error::new(Kind::Input, "cannot read").cause(format!("no thread for it: {e}")))?;
    let mut read = None;
    if before {
        tokio::select! {
            ended = &mut wait => read = Some(told(ended, quiet)?),
            () = stop.cancelled() => return Ok(0),
        }
    }
    let running = serve::listen(service, at, stop.clone()).await?;
    if !quiet {
        let held: u64 = [&archive.flows, &archive.agent, &archive.debug].iter().map(|r| r.bounds()).map(|(a, b)| b - a).sum();
        let what = if before { format!("{held} responses of {}", s.files.join(", ")) } else { s.files.join(", ") };
        say::say("note", &format!("serving {what} on {}; Ctrl-C ends it", running.address));
    }
    if read.is_none() {
        tokio::select! {
            ended = &mut wait => read = Some(told(ended, quiet)?),
            () = stop.cancelled() => {}
        }
    }
    running.ended().await?;
    // What was lost so far is told after an interrupt too; only a reader that waits for standard input is not waited for.
    if read.is_none()
        && let Ok(ended) = tokio::time::timeout(LAST_WORDS, wait).await
    {
        return told(ended, quiet);
    }
    Ok(read.unwrap_or(0))
}

/// The demo cluster, until an interrupt.
pub async fn demo(seed: u64, start: Option<Nanos>, rate: Rate, at: &Address) -> Result<u8, Error> {
    let stop = CancellationToken::new();
    headless::heed_signals(&stop);
    let running = serve::demo(seed, start, rate, listen(at, None).await?, Arc::new(ByQuery)).await?;
    say::say("note", &format!("serving the demo cluster on {}; Ctrl-C ends it", running.address));
    stop.cancelled().await;
    running.stop().await.map(|()| 0)
}

/// Says what could not be read, and what found no room; returns the exit code.
fn told(ended: Result<(Ledger, Result<(), Error>), tokio::sync::oneshot::error::RecvError>, quiet: bool) -> Result<u8, Error> {
    let Ok((ledger, result)) = ended else { return Err(Error::new(Kind::Input, "the reader of the recording failed")) };
    if !quiet {
        say::malformed(&ledger);
        if ledger.evicted > 0 {
            let text = format!(
                "{} of {} responses fell out, the oldest first; --capacity says how many are held",
                ledger.evicted, ledger.admitted
            );
            say::say("note", &text);
        }
    }
    // What could be read is served all the same, so this is said now, and not once more at the end.
    Ok(match result {
        Ok(()) => 0,
        Err(e) => {
            say::error(&e);
            e.exit_code()
        }
    })
}

async fn listen(at: &Address, tls: Option<Tls>) -> Result<Listen, Error> {
    let (host, port) = match at {
        #[cfg(unix)]
        Address::Unix(path) => return Ok(Listen::Unix(path.clone())),
        #[cfg(not(unix))]
        Address::Unix(_) => return Err(Error::usage("unix sockets do not exist on this system")),
        Address::Tcp(host, port) => (host, *port),
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let address = found.ok().and_then(|mut all| all.next());
    let address = address.ok_or_else(|| Error::new(Kind::Connect, format!("cannot listen on {host}")).cause("this name is not known"))?;
    Ok(match tls {
        None => Listen::Tcp(address),
        Some(tls) => Listen::Tls(address, tls),
    })
}

fn open(files: &[String]) -> Result<Vec<Recording>, Error> {
    set::recordings(files).iter().flatten().map(|f| Recording::open(f)).collect()
}

/// Reads on a thread of its own, because reading may block.
struct Reader {
    files: Vec<String>,
    pace: Arrival,
    again: bool,
    archive: Arc<Archive>,
    stop: CancellationToken,
    /// Also once it was said what clients do not get.
    quiet: Cell<bool>,
}

impl Reader {
    fn run(self, opened: Vec<Recording>) -> (Ledger, Result<(), Error>) {
        let mut ledger = Ledger::default();
        let mut round = Round::default();
        let mut recordings = opened;
        loop {
            for recording in recordings {
                if let Err(e) = self.one(recording, &mut round, &mut ledger) {
                    return (ledger, Err(e));
                }
            }
            let Some(next) = round.next().filter(|_| self.again && !self.stop.is_cancelled()) else { return (ledger, Ok(())) };
            // Recorded times that all are the same, or go back, leave nothing to wait for: it would go round at full speed.
            if self.pace == Arrival::Recorded {
                std::thread::sleep(NAP.saturating_sub(round.began.elapsed()));
            }
            round = Round { began: Instant::now(), ..next };
            recordings = match open(&self.files) {
                Ok(recordings) => recordings,
                Err(e) => return (ledger, Err(e)),
            };
        }
    }

    fn one(&self, mut recording: Recording, round: &mut Round, ledger: &mut Ledger) -> Result<(), Error> {
        let name = recording.name();
        let mut notes = Notes::default();
        loop {
            let frame = match recording.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(cause) => return Err(Error::new(Kind::Input, format!("cannot read {name} to its end")).cause(cause)),
            };
            ledger.frames += 1;
            let line = match decode(&frame, &mut notes) {
                Ok(line) => line,
                Err(bad) => {
                    ledger.malformed(format!("{}:{}", frame.from, frame.line), bad.to_string());
                    continue;
                }
            };
            if let Decoded::World(text) = &line
                && !self.quiet.get()
                && numbers(text)
            {
                self.quiet.set(true);
                let text = "agents name policies by number in it, and what the numbers mean stands beside the flows, where no client asks";
                say::say("note", &format!("{text}: flowhy replay {name} has the names"));
            }
            let at = match &line {
                Decoded::Response(r) => &r.time,
                Decoded::AgentEvent(r) => &r.time,
                Decoded::DebugEvent(r) => &r.time,
                Decoded::World(_) | Decoded::Blank => &None,
            };
            let at = at.as_ref().map(|t| serve::time(Some(t)));
            round.saw(at);
            if !self.due(at, round) {
                return Ok(());
            }
            match self.archive.take(line, round.later) {
                // One in, one out: as many are held as before.
                Taken::Evicting => ledger.evicted += 1,
                Taken::Held => ledger.held += 1,
                Taken::Nothing => {
                    ledger.skipped += 1;
                    continue;
                }
            }
            ledger.decoded += 1;
            ledger.admitted += 1;
            round.written += 1;
        }
    }

    /// Waits until it is time; false if we are to stop.
    fn due(&self, at: Option<Nanos>, round: &Round) -> bool {
        let due = match (self.pace, at, round.first) {
            (Arrival::PerSecond(n), ..) => Duration::try_from_secs_f64(round.written as f64 / n).unwrap_or(Duration::MAX),
            (Arrival::Recorded, Some(at), Some(first)) => Duration::from_nanos(u64::try_from(at.since(first)).unwrap_or(0)),
            _ => Duration::ZERO,
        };
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            let wait = due.saturating_sub(round.began.elapsed());
            if wait.is_zero() {
                return true;
            }
            std::thread::sleep(wait.min(NAP));
        }
    }
}

/// Whether a line of state says what agents' numbers mean.
fn numbers(text: &[u8]) -> bool {
    // A state is large, and few lines of it speak of numbers.
    memchr::memmem::find(text, b"\"ids\"").is_some()
        && matches!(line::read(text), Ok(Said::Changes(all)) if all.iter().any(|at| matches!(at.change, Change::Ids(_))))
}

/// One time through the recordings.
struct Round {
    began: Instant,
    written: u64,
    /// The first time said, and the latest.
    first: Option<Nanos>,
    latest: Option<Nanos>,
    /// So much later than recorded everything is said in this round.
    later: i64,
}

impl Default for Round {
    fn default() -> Self {
        Self { began: Instant::now(), written: 0, first: None, latest: None, later: 0 }
    }
}

impl Round {
    fn saw(&mut self, at: Option<Nanos>) {
        self.first = self.first.or(at);
        self.latest = self.latest.max(at);
    }

    /// The next round; none where this one had nothing in it, which would go round for ever.
    fn next(&self) -> Option<Self> {
        let span = self.latest.zip(self.first).map_or(0, |(b, a)| b.since(a));
        (self.written > 0).then(|| Self { later: self.later.saturating_add(span).saturating_add(GAP), ..Self::default() })
    }
}
