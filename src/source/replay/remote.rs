//! What moves a player from outside, and what the player says of itself there. Plays nothing.
use crate::model::time::Nanos;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// 2.0 is twice as fast as it was; infinite is as fast as it can be read.
    pub speed: f64,
    pub paused: bool,
    /// Lines to let through while paused, counted from the beginning.
    pub steps: u64,
    /// How often another place was asked for, and which.
    pub sought: (u64, To),
}

/// Another place of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Before the first line of this time.
    Time(Nanos),
    /// One line back.
    Back,
}

/// Moves the player while it plays. When all remotes are dropped it goes on as it was told last, but not paused.
#[derive(Debug, Clone)]
pub struct Remote {
    pace: watch::Sender<Pace>,
    state: Arc<State>,
}

/// What the player says of itself.
#[derive(Debug, Default)]
pub(super) struct State {
    ended: AtomicBool,
    /// The recording's end, where a time behind it was asked for.
    overshot: Mutex<Option<Nanos>>,
    /// Its end, where that is known.
    end: Mutex<Option<Nanos>>,
    /// How many files there are to come to their ends.
    files: AtomicUsize,
}

impl State {
    pub fn ends(&self, ended: bool) {
        self.ended.store(ended, Ordering::Relaxed);
    }

    /// So far the recording goes at least.
    pub fn reaches(&self, at: Option<Nanos>) {
        let mut end = lock(&self.end);
        *end = at.max(*end);
    }

    /// A time behind this one, the last, was asked for.
    pub fn overshoots(&self, end: Nanos) {
        *lock(&self.overshot) = Some(end);
    }

    /// The files were opened: a ring may have dropped some of them since it was looked at before.
    pub fn reads(&self, files: usize) {
        self.files.store(files, Ordering::Relaxed);
    }
}

fn lock(time: &Mutex<Option<Nanos>>) -> MutexGuard<'_, Option<Nanos>> {
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Remote {
    /// With what the player follows, and where it says how it stands.
    pub(super) fn new(speed: f64) -> (Self, watch::Receiver<Pace>, Arc<State>) {
        let (pace, told) = watch::channel(Pace { speed: sound(speed), paused: false, steps: 0, sought: (0, To::Back) });
        let state = Arc::<State>::default();
        (Self { pace, state: state.clone() }, told, state)
    }

    pub fn pause(&self, paused: bool) {
        self.pace.send_modify(|p| p.paused = paused);
    }

    /// So many lines more, if paused.
    pub fn step(&self, lines: u64) {
        self.pace.send_modify(|p| p.steps += lines);
    }

    pub fn speed(&self, speed: f64) {
        self.pace.send_modify(|p| p.speed = sound(speed));
    }

    /// Goes to another place. A recording that cannot be read again (standard input) stays where it is.
    pub fn seek(&self, to: To) {
        self.pace.send_modify(|p| p.sought = (p.sought.0 + 1, to));
    }

    pub fn pace(&self) -> Pace {
        *self.pace.borrow()
    }

    /// Whether everything has been played.
    pub fn ended(&self) -> bool {
        self.state.ended.load(Ordering::Relaxed)
    }

    /// The recording's last time, if since the last question one behind it was asked for: then it was gone there.
    pub fn overshot(&self) -> Option<Nanos> {
        lock(&self.state.overshot).take()
    }

    /// The recording's last time: known from the beginning where every file tells it at its end, else once it was played to there.
    pub fn end(&self) -> Option<Nanos> {
        *lock(&self.state.end)
    }

    /// How many files come to their ends before everything has been played.
    pub fn files(&self) -> usize {
        self.state.files.load(Ordering::Relaxed)
    }
}

fn sound(speed: f64) -> f64 {
    if speed > 0.0 { speed.max(1e-3) } else { f64::INFINITY }
}
