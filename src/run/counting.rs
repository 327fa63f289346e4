//! The run that counts flows in place of printing them.
//!
//! Owns when the table is drawn: at the end, and on a terminal also while flows come, at most twice a second.
use super::headless::{Kept, Tail, answer, finish, pump};
use super::say;
use crate::engine::{Engine, Event};
use crate::error::Error;
use crate::model::input::Input;
use crate::out::count::{Counts, Explained};
use crate::plan::{Count, Stream};
use crate::source::feed::Inbox;
use crate::tui;
use crate::wire::decode::{Decoded, decode_bytes};
use crate::wire::note::Notes;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const REDRAW: Duration = Duration::from_millis(500);

/// Counts what is admitted until the sources end, and writes the counts.
pub async fn count(mut engine: Engine, mut inbox: Inbox, by: &Count, s: &Stream, stop: &CancellationToken) -> Result<u8, Error> {
    let counts = std::cell::RefCell::new(Counts::new(by.by.clone()));
    let screen = std::cell::RefCell::new(Screen { lines: 0, drawn: Instant::now() });
    let mut tail = s.last.map(Tail::new);
    let mut left = s.first;
    let admit = engine.admit().clone();
    let recording: Arc<str> = Arc::from("");
    let draw = |now: bool| {
        if by.live && s.last.is_none() && (now || screen.borrow().drawn.elapsed() >= REDRAW) {
            return screen.borrow_mut().draw(&counts.borrow(), by);
        }
        Ok(())
    };
    let result = pump(
        &mut engine,
        &mut inbox,
        stop,
        s.quiet,
        |engine, input| {
            // Of servers each has its own last ones; recordings, whose lines are numbered, are one.
            let from = match &input {
                Input::Frame(f) if f.line == 0 => f.from.clone(),
                _ => recording.clone(),
            };
            engine.feed(input, &mut |event: Event<'_>| {
                let Some(flow) = event.response.flow().filter(|_| left != Some(0)) else { return };
                match &mut tail {
                    Some(tail) => tail.push(&from, &event),
                    None => counts.borrow_mut().add(&Explained { flow, why: event.why.map(|w| &**w) }),
                }
                if let Some(n) = &mut left {
                    *n -= 1;
                }
            });
            draw(false).map_err(|e| failed(&e))?;
            Ok(left != Some(0))
        },
        || {
            if !s.quiet {
                say::trouble(admit.trouble());
            }
            draw(false).map_err(|e| failed(&e))
        },
    )
    .await;
    let mut counts = counts.into_inner();
    for Kept { codec, bytes, why, .. } in tail.into_iter().flat_map(Tail::all) {
        let Ok(Decoded::Response(r)) = decode_bytes(codec, &bytes, &mut Notes::default()) else {
            say::say("warning", "a flow is malformed beyond what was counted of it, and is left out");
            continue;
        };
        counts.add(&Explained { flow: &r, why: why.as_deref() });
    }
    let mut text = Vec::new();
    screen.into_inner().erase(&mut text);
    counts.write(by.style, None, &mut text);
    let mut out = io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).map_err(|e| failed(&e))?;
    drop(out);
    result?;
    if !s.quiet {
        if counts.other() > 0 {
            say::say("warning", &format!("{} flows found no group of their own: there are too many", counts.other()));
        }
        say::troubles(admit.trouble());
        say::ledger(engine.ledger(), engine.notes());
    }
    let admitted = engine.ledger().admitted;
    finish(engine.ended()).map(|code| answer(code, s.exit_code, admitted))
}

fn failed(e: &io::Error) -> Error {
    Error::output("cannot write to standard output", e)
}

/// The table as it stands on the terminal.
struct Screen {
    lines: usize,
    drawn: Instant,
}

impl Screen {
    /// Goes back to where the table began.
    fn erase(&mut self, out: &mut Vec<u8>) {
        if self.lines > 0 {
            out.extend_from_slice(format!("\x1b[{}A\r\x1b[J", self.lines).as_bytes());
            self.lines = 0;
        }
    }

    fn draw(&mut self, counts: &Counts, by: &Count) -> io::Result<()> {
        let (width, height) = tui::size().unwrap_or((80, 24));
        let mut table = Vec::new();
        // The line of names, the line of what is left out, and the cursor's own.
        counts.write(by.style, Some(usize::from(height).saturating_sub(3).max(1)), &mut table);
        let mut text = Vec::new();
        self.erase(&mut text);
        for line in String::from_utf8_lossy(&table).lines() {
            // A line that wraps would not be erased whole.
            text.extend(line.chars().take(usize::from(width).saturating_sub(1)).collect::<String>().into_bytes());
            text.push(b'\n');
            self.lines += 1;
        }
        self.drawn = Instant::now();
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }
}
