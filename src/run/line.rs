//! The one line on a terminal that is rewritten in place: what servers have lost so far.
//!
//! Owns that line and its erasing: whoever writes to the terminal beside it writes through [`Beside`]. There is none where stderr is no
//! terminal; there the closing line tells.
use crate::model::ledger::Ledger;
use crate::model::text::clean;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether the line stands on the terminal now. One for the process, as the terminal is.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// To the beginning of the line, and away with it.
const ERASE: &[u8] = b"\r\x1b[2K";
/// At most so often: a line that flickers cannot be read.
const PAUSE: Duration = Duration::from_millis(200);
/// Nodes and sources named.
const MOST: usize = 6;

/// Erases the line if it stands there.
pub fn erase() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        let _ = io::stderr().lock().write_all(ERASE);
    }
}

/// A writer whose bytes may reach the same terminal.
pub struct Beside<W>(pub W);

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        erase();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Draws the line when there is something new to say.
#[derive(Debug)]
pub struct Line {
    on: bool,
    said: u64,
    next: Instant,
}

impl Line {
    /// None with `quiet`, and none where stderr is no terminal or one that cannot erase.
    pub fn new(quiet: bool) -> Self {
        let able = std::env::var("TERM").is_ok_and(|t| t != "dumb");
        Self { on: !quiet && able && io::stderr().is_terminal(), said: 0, next: Instant::now() }
    }

    /// Called when all that could be printed has been.
    pub fn draw(&mut self, ledger: &Ledger) {
        if !self.on || ledger.lost.is_empty() {
            return;
        }
        let (total, now) = (ledger.lost_total(), Instant::now());
        if SHOWN.load(Ordering::Relaxed) && (total == self.said || now < self.next) {
            return;
        }
        (self.said, self.next) = (total, now + PAUSE);
        // Without wrapping: a line of two rows could not be erased as one.
        let line = format!("\r\x1b[2K\x1b[?7l{}\x1b[?7h", clean(&text(ledger)));
        if io::stderr().lock().write_all(line.as_bytes()).is_ok() {
            SHOWN.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        erase();
    }
}

/// `lost 1,203 events: k8s1 HUBBLE_RING_BUFFER 1,200, …`, the largest first.
fn text(ledger: &Ledger) -> String {
    let mut per: Vec<_> = ledger.lost.iter().collect();
    per.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut out = format!("servers lost {} events:", ledger.lost_total());
    for (i, (who, n)) in per.iter().take(MOST).enumerate() {
        let _ = write!(out, "{}{who} {n}", if i == 0 { " " } else { ", " });
    }
    if per.len() > MOST {
        let _ = write!(out, ", {} more", per.len() - MOST);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_losses_stand_first_and_the_sum_before_them() {
        let mut l = Ledger::default();
        for n in 1..=8 {
            l.lose(&format!("n{n}"), "HUBBLE_RING_BUFFER", n);
        }
        assert_eq!(
            text(&l),
            "servers lost 36 events: n8 HUBBLE_RING_BUFFER 8, n7 HUBBLE_RING_BUFFER 7, n6 HUBBLE_RING_BUFFER 6, n5 HUBBLE_RING_BUFFER 5, n4 HUBBLE_RING_BUFFER 4, n3 HUBBLE_RING_BUFFER 3, 2 more"
        );
    }
}
