//! A tape played at the pace of its own clock, or as fast as it is read; there and back.
//!
//! Owns the order of it: the engine is told to forget everything when another time is gone to, and the tape is read again from its
//! beginning. What lies far before the time that is asked for is passed over, but for what it teaches (the cluster's state, DNS answers):
//! an explanation is the same however one got there. It looks into a line only for its time, by a cheap scan; a line whose time it cannot
//! find goes out at once. A silence of more than [`SILENCE`] is played as [`SHORTENED`]: nobody watches a night of nothing. When a line is
//! due is the business of `player`, what one asks of it from outside that of `remote`.
mod player;
mod remote;

pub use remote::{Pace, Remote, To};

use super::feed::{Feed, Gone};
use super::tape::{Next, Tape};
use super::{Source, Stop};
use crate::error::{Error, Kind};
use crate::model::input::Input;
use crate::model::time::Nanos;
use player::{Player, Until};
use remote::State;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The longest silence that is played as it was.
pub const SILENCE: i64 = 10 * Nanos::SECOND;
/// What a longer one is played as.
pub const SHORTENED: i64 = Nanos::SECOND;
/// How often the clock is told at most.
const TICK: Duration = Duration::from_millis(100);
/// Lines read ahead at once.
const AHEAD: usize = 256;
/// What is held of the time before the one that is asked for.
const CONTEXT: i64 = 300 * Nanos::SECOND;
/// The same in lines, where a line is asked for.
const LINES: u64 = 50_000;

type Again = Box<dyn Fn() -> Result<Tape, Error> + Send + Sync>;

/// A recording that is played.
pub struct Replay {
    tape: Tape,
    again: Option<Again>,
    pace: watch::Receiver<Pace>,
    state: Arc<State>,
}

impl Replay {
    /// `speed` 1.0 plays as it was; infinite as fast as it can be read. Not a number, 0 or less counts as infinite. Ends with the tape.
    pub fn new(tape: Tape, speed: f64) -> (Self, Remote) {
        let (remote, pace, state) = Remote::new(speed);
        state.reaches(tape.last_time());
        state.reads(tape.names().len());
        (Self { tape, again: None, pace, state }, remote)
    }

    /// With a way to read it again, so that one can go back, and after its end too: it ends with its remotes.
    #[must_use]
    pub fn again(self, open: impl Fn() -> Result<Tape, Error> + Send + Sync + 'static) -> Self {
        Self { again: Some(Box::new(open)), ..self }
    }
}

impl Source for Replay {
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let Self { mut tape, again, pace, state } = *self;
            let mut player = Player::new(pace, again.is_some());
            let play = async {
                loop {
                    let (tx, rx) = mpsc::channel(2);
                    let until = player.until;
                    let spawned = std::thread::Builder::new().name("read".to_owned()).spawn(move || read_ahead(tape, until, &tx));
                    if let Err(e) = spawned {
                        return Ok(Err(Error::new(Kind::Input, "cannot read").cause(format!("no thread for it: {e}"))));
                    }
                    let mut to = player.play(rx, &mut feed).await?;
                    if to.is_none() {
                        state.reaches(player.latest);
                    }
                    if to.is_none()
                        && let Some(end) = player.overshot()
                    {
                        state.overshoots(end);
                        to = Some(To::Time(end));
                    }
                    if to.is_none() {
                        state.ends(true);
                        to = player.wait_for_another(&mut feed).await?;
                    }
                    let (Some(to), Some(again)) = (to, &again) else { return Ok(Ok(())) };
                    state.ends(false);
                    tape = match again() {
                        Ok(tape) => {
                            state.reads(tape.names().len());
                            tape
                        }
                        Err(e) => return Ok(Err(e)),
                    };
                    player.turn(to);
                    feed.send(Input::Reset).await?;
                }
            };
            tokio::select! {
                // Gone means that nobody wants more: an end like any other.
                played = play => match played {
                    Ok(done) => done,
                    Err(Gone) => Ok(()),
                },
                () = stop.cancelled() => Ok(()),
            }
        })
    }
}

/// Reads the tape on its own thread; what lies far before `until` is passed over but for what it teaches.
fn read_ahead(mut tape: Tape, until: Option<Until>, tx: &mpsc::Sender<Vec<Next>>) {
    let live = tape.is_live();
    let mut ahead = Vec::new();
    let mut lines = 0;
    loop {
        if live && !ahead.is_empty() && !tape.is_ready() && tx.blocking_send(std::mem::take(&mut ahead)).is_err() {
            return;
        }
        let Some(mut next) = tape.next() else {
            let _ = tx.blocking_send(ahead);
            return;
        };
        let mut large = false;
        if let Next::Line(frame, at) = next {
            let far = until.is_some_and(|u| u.far(lines, at));
            lines += 1;
            large = frame.bytes.len() > super::feed::BATCH_BYTES;
            next = match far {
                false => Next::Line(frame, at),
                true if memchr::memmem::find(&frame.bytes, b"\"dns\":").is_some() => Next::Learnt(frame),
                true => Next::Passed(at),
            };
        }
        ahead.push(next);
        if (large || ahead.len() >= AHEAD) && tx.blocking_send(std::mem::take(&mut ahead)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
