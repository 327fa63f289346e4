//! Files filtered without the engine: opened, scanned on threads of their own, told about on stderr.
//!
//! Owns the wiring of `scan` to `out`, and the line of progress.
use super::say;
use crate::error::{Error, Kind};
use crate::out;
use crate::plan::Stream;
use crate::record::set;
use crate::scan::{Ending, Options, Outcome, Part, Print, Scan, Sink};
use crate::source::file::{How, Opened};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::response::Response;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// More workers than this only wait for each other: one reader feeds them.
const MOST_WORKERS: usize = 8;
/// A file that is read sooner needs no line of progress.
const PATIENCE: Duration = Duration::from_secs(1);
const REDRAW: Duration = Duration::from_millis(200);

/// Scans the files and prints what matches. The exit code.
pub async fn run(paths: Vec<String>, options: Options, s: Stream, stop: &CancellationToken) -> Result<u8, Error> {
    // All files are opened first: a wrong name is told before the first flow, not after an hour. Standard input may take its
    // time to say a first word, and an interrupt is not to wait for it.
    let opening = tokio::task::spawn_blocking(move || {
        set::recordings(&paths).iter().flatten().map(|p| Opened::open(p)).collect::<Result<Vec<_>, _>>()
    });
    let opened = tokio::select! {
        biased;
        opened = opening => opened.map_err(|e| Error::new(Kind::Input, "cannot open the recordings").cause(e.to_string()))??,
        () = stop.cancelled() => return Ok(0),
    };
    let progress = Arc::new(Progress::new(&opened, s.quiet));
    let why = |how: How| move |e: &io::Error| if how.is_loss(e) { Ending::Torn(how.why(e)) } else { Ending::Failed(how.why(e)) };
    let parts = opened.into_iter().map(|o| Part { name: o.name, from: o.from, live: o.live, why: Box::new(why(o.how)) }).collect();
    let (format, print) = (s.format, s.print);
    let admit = options.admit.clone();
    let scan = Arc::new(Scan::new(
        options,
        parts,
        move || Box::new(Printer(out::format(format, print))),
        Box::new(Std { progress: progress.clone() }),
    ));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_WORKERS) + 1;
    let (done, mut wait) = tokio::sync::oneshot::channel();
    let running = scan.clone();
    // A thread that nobody waits for: a read of standard input cannot be cancelled.
    std::thread::Builder::new()
        .name("scan".to_owned())
        .spawn(move || {
            running.run(workers);
            let _ = done.send(());
        })
        .map_err(|e| Error::new(Kind::Input, "cannot read").cause(format!("no thread for it: {e}")))?;
    let began = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = &mut wait => break,
            () = tokio::time::sleep(REDRAW) => progress.draw(scan.scanned(), began.elapsed()),
        }
    }
    let Outcome { ledger, notes, ended, failed } = scan.finish();
    progress.erase();
    if let Some(e) = failed {
        return Err(Error::output("cannot write to standard output", &e));
    }
    if !s.quiet {
        say::troubles(admit.trouble());
        say::ledger(&ledger, &notes);
    }
    super::headless::finish(&ended).map(|code| super::headless::answer(code, s.exit_code, ledger.admitted))
}

/// A format of `out` for the scan.
struct Printer(Box<dyn out::Format>);

impl Print for Printer {
    fn line(&mut self, r: Response<'_>, out: &mut Vec<u8>) {
        self.0.line(r, None, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, err: &mut Vec<u8>) {
        self.0.status(r, err);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.0.finish(out);
    }
}

/// Standard output and standard error; a line of progress gives way to both.
struct Std {
    progress: Arc<Progress>,
}

impl Sink for Std {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let _held = self.progress.erase();
        io::stdout().lock().write_all(bytes)
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let _held = self.progress.erase();
        io::stderr().lock().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// The line that says how far a long scan has come. Only a terminal gets it.
struct Progress {
    /// Whether it is on the screen.
    shown: Mutex<bool>,
    wanted: bool,
    /// Of the files as they lie on the disk; 0 where one has no size.
    size: u64,
    taken: Vec<Arc<AtomicU64>>,
}

impl Progress {
    fn new(opened: &[Opened], quiet: bool) -> Self {
        let size = opened.iter().try_fold(0u64, |n, o| Some(n.saturating_add(o.size?))).unwrap_or(0);
        let taken = opened.iter().map(|o| o.taken.clone()).collect();
        Self { shown: Mutex::new(false), wanted: !quiet && size > 0 && io::stderr().is_terminal(), size, taken }
    }

    /// `scanned`: bytes of lines. Does nothing while something else is being written.
    fn draw(&self, scanned: u64, after: Duration) {
        if !self.wanted || after < PATIENCE {
            return;
        }
        let Ok(mut shown) = self.shown.try_lock() else { return };
        let taken: u64 = self.taken.iter().map(|t| t.load(Ordering::Relaxed)).sum();
        let mut err = io::stderr().lock();
        *shown = write!(err, "\r\x1b[K{}", words(taken, self.size, scanned, after)).and_then(|()| err.flush()).is_ok();
    }

    /// Takes the line away, and keeps it away for as long as the guard lives.
    fn erase(&self) -> impl Drop + '_ {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *shown) {
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r\x1b[K").and_then(|()| err.flush());
        }
        shown
    }
}

fn words(taken: u64, size: u64, scanned: u64, after: Duration) -> String {
    let percent = taken.saturating_mul(100).checked_div(size).unwrap_or(0).min(100);
    let speed = scanned as f64 / after.as_secs_f64().max(0.001);
    let speed = if speed >= 1e9 { format!("{:.1} GB/s", speed / 1e9) } else { format!("{:.0} MB/s", speed / 1e6) };
    format!("reading {percent} %  {speed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        assert_eq!(words(41, 100, 2_100_000_000, Duration::from_secs(1)), "reading 41 %  2.1 GB/s");
        assert_eq!(words(200, 100, 50_000_000, Duration::from_secs(2)), "reading 100 %  25 MB/s");
        assert_eq!(words(0, 0, 0, Duration::ZERO), "reading 0 %  0 MB/s");
    }
}
