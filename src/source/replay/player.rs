//! The player: when each line is due, and until where it hurries. Opens and reads nothing.
use super::super::feed::{Feed, Gone};
use super::super::tape::Next;
use super::{CONTEXT, LINES, Pace, SHORTENED, SILENCE, TICK, To};
use crate::model::input::{Input, Link};
use crate::model::time::Nanos;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Where to go on playing, as a line's number or a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Line(u64),
    Time(Nanos),
}

impl Until {
    /// Whether the next line, of this number, is the first to be played.
    fn reached(self, line: u64, at: Option<Nanos>) -> bool {
        match self {
            Self::Line(n) => line >= n,
            Self::Time(t) => at.is_some_and(|at| at >= t),
        }
    }

    /// Whether a line lies so far before that only what it teaches counts.
    pub fn far(self, line: u64, at: Option<Nanos>) -> bool {
        match self {
            Self::Line(n) => line + LINES < n,
            Self::Time(t) => at.is_some_and(|at| t.since(at) > CONTEXT),
        }
    }
}

pub(super) struct Player {
    pace: watch::Receiver<Pace>,
    /// When the line played last stood on the wall clock.
    due: Instant,
    /// Its time.
    last: Option<Nanos>,
    told: Option<Instant>,
    /// The time told last.
    shown: Option<Nanos>,
    steps: u64,
    /// Which wish for another place has been fulfilled.
    sought: u64,
    /// Lines that have been played, those passed over included.
    lines: u64,
    /// The latest time of them.
    pub latest: Option<Nanos>,
    /// Another place was gone to, and nothing was played since.
    empty: bool,
    /// Until there it goes as fast as it can be read.
    pub until: Option<Until>,
    movable: bool,
}

impl Player {
    /// At the beginning. `movable`: the tape can be read again.
    pub fn new(pace: watch::Receiver<Pace>, movable: bool) -> Self {
        let sought = pace.borrow().sought.0;
        Self {
            pace,
            due: Instant::now(),
            last: None,
            told: None,
            shown: None,
            steps: 0,
            sought,
            lines: 0,
            latest: None,
            empty: false,
            until: None,
            movable,
        }
    }

    /// Plays to the end, or until another place is asked for.
    pub async fn play(&mut self, mut rx: mpsc::Receiver<Vec<Next>>, feed: &mut Feed) -> Result<Option<To>, Gone> {
        loop {
            // What is gathered is handed on before a wait for a slow pipe.
            let ahead = match rx.try_recv() {
                Ok(ahead) => Some(ahead),
                Err(_) => {
                    feed.flush().await?;
                    rx.recv().await
                }
            };
            let Some(ahead) = ahead else { break };
            for next in ahead {
                if let Some(to) = self.another() {
                    return Ok(Some(to));
                }
                match next {
                    Next::Line(frame, at) => {
                        if self.until.is_some_and(|u| u.reached(self.lines, at)) {
                            self.until = None;
                            self.due = Instant::now();
                        }
                        // Where nothing lies before the place that was asked for, its first line is shown all the same.
                        if self.until.is_none()
                            && !self.empty
                            && let Some(to) = self.wait(at, feed).await?
                        {
                            return Ok(Some(to));
                        }
                        self.passed(at);
                        self.empty = false;
                        feed.send(Input::Frame(frame)).await?;
                        self.clock(at, feed).await?;
                    }
                    Next::Learnt(frame) => {
                        self.lines += 1;
                        feed.send(Input::Learnt(frame)).await?;
                    }
                    Next::Taught(frame) => feed.send(Input::Learnt(frame)).await?,
                    Next::Passed(at) => self.passed(at),
                    Next::Changes(all) => {
                        for at in all {
                            feed.send(Input::World(at)).await?;
                        }
                    }
                    Next::End(name, how) => feed.send(Input::End(name, how)).await?,
                }
            }
        }
        if let Some(at) = self.last
            && self.shown != Some(at)
        {
            feed.send(Input::Link(Link::Clock { at })).await?;
        }
        feed.flush().await?;
        Ok(None)
    }

    fn passed(&mut self, at: Option<Nanos>) {
        self.lines += 1;
        self.latest = self.latest.max(at);
    }

    /// The recording's end, where a time behind it was asked for.
    pub fn overshot(&self) -> Option<Nanos> {
        match self.until {
            Some(Until::Time(t)) => self.latest.filter(|end| *end < t),
            _ => None,
        }
    }

    /// Another place that is asked for and was not gone to yet.
    fn another(&mut self) -> Option<To> {
        if !self.movable {
            return None;
        }
        let (n, to) = self.pace.borrow().sought;
        let asked = n != self.sought;
        self.sought = n;
        asked.then_some(to)
    }

    /// After the end: until another place is asked for, or nobody can ask any more.
    pub async fn wait_for_another(&mut self, feed: &mut Feed) -> Result<Option<To>, Gone> {
        if !self.movable {
            return Ok(None);
        }
        loop {
            self.pace.borrow_and_update();
            if let Some(to) = self.another() {
                return Ok(Some(to));
            }
            tokio::select! {
                changed = self.pace.changed() => if changed.is_err() {
                    return Ok(None);
                },
                () = feed.gone() => return Err(Gone),
            }
        }
    }

    /// Everything as at the beginning, and where to stop hurrying.
    pub fn turn(&mut self, to: To) {
        self.until = Some(match to {
            To::Time(at) => Until::Time(at),
            To::Back => Until::Line(self.lines.saturating_sub(1)),
        });
        (self.lines, self.last, self.told, self.shown, self.latest, self.empty) = (0, None, None, None, None, true);
        self.steps = self.pace.borrow().steps;
    }

    /// Waits until the line of time `at` is due, or until another place is asked for.
    async fn wait(&mut self, at: Option<Nanos>, feed: &mut Feed) -> Result<Option<To>, Gone> {
        let gap = match (at, self.last) {
            (Some(at), Some(last)) => at.since(last).max(0),
            _ => 0,
        };
        let gap = if gap > SILENCE { SHORTENED } else { gap };
        let from = self.due;
        loop {
            let pace = *self.pace.borrow_and_update();
            let driven = self.pace.has_changed().is_ok();
            if let Some(to) = self.another() {
                return Ok(Some(to));
            }
            let now = Instant::now();
            if pace.paused && driven {
                if pace.steps > self.steps {
                    self.steps += 1;
                    self.due = now;
                    break;
                }
                feed.flush().await?;
                tokio::select! {
                    _ = self.pace.changed() => {}
                    () = feed.gone() => return Err(Gone),
                }
                // The pause itself is no part of the gap.
                self.due = Instant::now();
                if !self.pace.borrow().paused {
                    break;
                }
                continue;
            }
            // Steps taken while it plays mean nothing.
            self.steps = pace.steps;
            let scaled = gap as f64 / 1e9 / pace.speed;
            let due = from + Duration::try_from_secs_f64(scaled).unwrap_or(Duration::ZERO);
            if due <= now {
                // A reader that is slower than the recording is not chased for ever.
                self.due = if now.duration_since(due) > Duration::from_secs(1) { now } else { due };
                break;
            }
            feed.flush().await?;
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                _ = self.pace.changed(), if driven => {}
                () = feed.gone() => return Err(Gone),
            }
        }
        Ok(None)
    }

    async fn clock(&mut self, at: Option<Nanos>, feed: &mut Feed) -> Result<(), Gone> {
        let Some(at) = at else { return Ok(()) };
        // Nodes' clocks differ a little; ours does not run backwards for it, but a file joined of two may begin anew.
        self.last = Some(self.last.map_or(at, |last| if last.since(at) < SILENCE { last.max(at) } else { at }));
        let now = Instant::now();
        if self.told.is_none_or(|t| now.duration_since(t) >= TICK) || self.pace.borrow().paused {
            self.told = Some(now);
            self.shown = self.last;
            feed.send(Input::Link(Link::Clock { at: self.last.unwrap_or(at) })).await?;
        }
        Ok(())
    }
}
