//! A tape played at the pace of its own clock, or as fast as it is read; there and back.
//!
//! Owns pacing, pause, step, and going to another time: then the engine is told to forget everything, and the tape is read again from its
//! beginning. What lies far before the time that is asked for is passed over, but for what it teaches (the cluster's state, DNS answers):
//! an explanation is the same however one got there. It looks into a line only for its time, by a cheap scan; a line whose time it cannot
//! find goes out at once. A silence of more than [`SILENCE`] is played as [`SHORTENED`]: nobody watches a night of nothing.
use super::feed::{Feed, Gone};
use super::tape::{Next, Tape};
use super::{Source, Stop};
use crate::error::{Error, Kind};
use crate::model::input::{Input, Link};
use crate::model::time::Nanos;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

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
struct State {
    ended: AtomicBool,
    /// The recording's end, where a time behind it was asked for.
    overshot: Mutex<Option<Nanos>>,
    /// Its end, where that is known.
    end: Mutex<Option<Nanos>>,
    /// How many files there are to come to their ends.
    files: usize,
}

fn lock(time: &Mutex<Option<Nanos>>) -> MutexGuard<'_, Option<Nanos>> {
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Remote {
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

    /// The recording's last time: of plain files known from the beginning, else once it was played to its end.
    pub fn end(&self) -> Option<Nanos> {
        *lock(&self.state.end)
    }

    /// How many files come to their ends before everything has been played.
    pub fn files(&self) -> usize {
        self.state.files
    }
}

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
        let (tx, pace) = watch::channel(Pace { speed: sound(speed), paused: false, steps: 0, sought: (0, To::Back) });
        let state = Arc::new(State { end: Mutex::new(tape.last_time()), files: tape.names().len(), ..State::default() });
        (Self { tape, again: None, pace, state: state.clone() }, Remote { pace: tx, state })
    }

    /// With a way to read it again, so that one can go back, and after its end too: it ends with its remotes.
    #[must_use]
    pub fn again(self, open: impl Fn() -> Result<Tape, Error> + Send + Sync + 'static) -> Self {
        Self { again: Some(Box::new(open)), ..self }
    }
}

fn sound(speed: f64) -> f64 {
    if speed > 0.0 { speed.max(1e-3) } else { f64::INFINITY }
}

/// Where to go on playing, as a line's number or a time.
#[derive(Debug, Clone, Copy)]
enum Until {
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
    fn far(self, line: u64, at: Option<Nanos>) -> bool {
        match self {
            Self::Line(n) => line + LINES < n,
            Self::Time(t) => at.is_some_and(|at| t.since(at) > CONTEXT),
        }
    }
}

impl Source for Replay {
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let Self { mut tape, again, pace, state } = *self;
            let sought = pace.borrow().sought.0;
            let mut player = Player {
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
                movable: again.is_some(),
            };
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
                        let mut end = lock(&state.end);
                        *end = player.latest.max(*end);
                    }
                    if to.is_none()
                        && let Some(end) = player.overshot()
                    {
                        *lock(&state.overshot) = Some(end);
                        to = Some(To::Time(end));
                    }
                    if to.is_none() {
                        state.ended.store(true, Ordering::Relaxed);
                        to = player.wait_for_another(&mut feed).await?;
                    }
                    let (Some(to), Some(again)) = (to, &again) else { return Ok(Ok(())) };
                    state.ended.store(false, Ordering::Relaxed);
                    tape = match again() {
                        Ok(tape) => tape,
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

struct Player {
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
    latest: Option<Nanos>,
    /// Another place was gone to, and nothing was played since.
    empty: bool,
    /// Until there it goes as fast as it can be read.
    until: Option<Until>,
    movable: bool,
}

impl Player {
    /// Plays to the end, or until another place is asked for.
    async fn play(&mut self, mut rx: mpsc::Receiver<Vec<Next>>, feed: &mut Feed) -> Result<Option<To>, Gone> {
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
    fn overshot(&self) -> Option<Nanos> {
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
    async fn wait_for_another(&mut self, feed: &mut Feed) -> Result<Option<To>, Gone> {
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
    fn turn(&mut self, to: To) {
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

#[cfg(test)]
mod tests {
    use super::super::file::Recording;
    use super::*;

    fn line(second: i64) -> String {
        format!("{{\"flow\":{{\"time\":\"x\"}},\"node_name\":\"n\",\"time\":\"{}\"}}\n", Nanos(second * Nanos::SECOND))
    }

    fn replay(text: String, speed: f64) -> (Replay, Remote) {
        let recording = Recording::reader("t", Box::new(std::io::Cursor::new(text.into_bytes())), false).unwrap();
        Replay::new(Tape::of(vec![recording]), speed)
    }

    async fn drain(inbox: &mut super::super::Inbox) -> (usize, Vec<i64>, bool) {
        let (mut frames, mut clocks, mut ended) = (0, Vec::new(), false);
        while let Some(batch) = inbox.recv().await {
            for input in batch {
                match input {
                    Input::Frame(_) => frames += 1,
                    Input::Link(Link::Clock { at }) => clocks.push(at.0 / Nanos::SECOND),
                    Input::End(_, r) => ended = r.is_ok(),
                    _ => {}
                }
            }
        }
        (frames, clocks, ended)
    }

    #[tokio::test]
    async fn full_speed_does_not_wait() {
        let (player, _remote) = replay((0..1000).map(|n| line(n * 5)).collect(), f64::INFINITY);
        let (feed, mut inbox) = super::super::channel(64);
        let began = Instant::now();
        let task = tokio::spawn(Box::new(player).run(feed, Stop::new()));
        let (frames, clocks, ended) = drain(&mut inbox).await;
        assert_eq!((frames, clocks.last(), ended), (1000, Some(&4995), true));
        assert!(began.elapsed() < Duration::from_secs(5));
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn gaps_are_played_scaled_and_long_silence_shortened() {
        // 4 s, then a night (played as 1 s): 5 s at 20× is 0.25 s.
        let (player, _remote) = replay([line(0), line(4), line(30_000)].concat(), 20.0);
        let (feed, mut inbox) = super::super::channel(64);
        let began = Instant::now();
        tokio::spawn(Box::new(player).run(feed, Stop::new()));
        let (frames, clocks, _) = drain(&mut inbox).await;
        let took = began.elapsed();
        assert_eq!((frames, clocks.last()), (3, Some(&30_000)));
        assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test]
    async fn pause_holds_and_a_step_lets_one_line_through() {
        let (player, remote) = replay((0..10).map(line).collect(), f64::INFINITY);
        remote.pause(true);
        let (feed, mut inbox) = super::super::channel(64);
        tokio::spawn(Box::new(player).run(feed, Stop::new()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(matches!(inbox.try_recv(), Ok(None)));
        remote.step(1);
        let batch = inbox.recv().await.unwrap();
        assert_eq!(batch.iter().filter(|i| matches!(i, Input::Frame(_))).count(), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(inbox.try_recv(), Ok(None)));
        remote.pause(false);
        assert_eq!(drain(&mut inbox).await.0, 9);
    }

    /// Flows by their second since the last reset, and whether that was learnt only.
    async fn until_clock(inbox: &mut super::super::Inbox, second: i64, seen: &mut Vec<(i64, bool)>) {
        loop {
            for input in inbox.recv().await.unwrap() {
                match input {
                    Input::Reset => seen.clear(),
                    Input::Frame(f) => seen.push((crate::wire::clock::time_of(&f.bytes).unwrap().0 / Nanos::SECOND, true)),
                    Input::Learnt(f) => seen.push((crate::wire::clock::time_of(&f.bytes).unwrap().0 / Nanos::SECOND, false)),
                    Input::Link(Link::Clock { at }) if at.0 / Nanos::SECOND == second => return,
                    _ => {}
                }
            }
        }
    }

    #[tokio::test]
    async fn one_goes_back_and_to_a_time_and_what_lies_far_before_only_teaches() {
        let text = || {
            let dns = "{\"flow\":{\"time\":\"x\",\"l7\":{\"dns\":{}}},\"time\":\"1970-01-01T00:00:00Z\"}\n".to_owned();
            dns + &(0..1000).map(line).collect::<String>()
        };
        let open = move || {
            let r = Recording::reader("t", Box::new(std::io::Cursor::new(text().into_bytes())), false)?;
            Ok(Tape::of(vec![r]))
        };
        let (player, remote) = Replay::new(open().unwrap(), f64::INFINITY);
        let (feed, mut inbox) = super::super::channel(64);
        tokio::spawn(Box::new(player.again(open)).run(feed, Stop::new()));
        let mut seen = Vec::new();
        until_clock(&mut inbox, 999, &mut seen).await;
        assert_eq!((seen.len(), seen.last()), (1001, Some(&(999, true))));
        remote.pause(true);
        remote.seek(To::Time(Nanos(500 * Nanos::SECOND)));
        until_clock(&mut inbox, 499, &mut seen).await;
        // The answer, and the five minutes before.
        assert_eq!((seen[0], seen[1], seen.last(), seen.len()), ((0, false), (200, true), Some(&(499, true)), 301));
        remote.step(1);
        until_clock(&mut inbox, 500, &mut seen).await;
        remote.seek(To::Back);
        until_clock(&mut inbox, 499, &mut seen).await;
        assert_eq!(seen.last(), Some(&(499, true)));
        remote.pause(false);
        until_clock(&mut inbox, 999, &mut seen).await;
        assert_eq!((seen.last(), seen.iter().filter(|s| **s == (500, true)).count()), (Some(&(999, true)), 1));
        // Outside of the recording lies its nearest line, and the clock stands there.
        remote.pause(true);
        remote.seek(To::Time(Nanos(5_000 * Nanos::SECOND)));
        until_clock(&mut inbox, 998, &mut seen).await;
        assert_eq!((seen.last(), seen.len(), remote.overshot()), (Some(&(998, true)), 301, Some(Nanos(999 * Nanos::SECOND))));
        assert_eq!((remote.overshot(), remote.ended()), (None, false));
        remote.seek(To::Time(Nanos(-5 * Nanos::SECOND)));
        until_clock(&mut inbox, 0, &mut seen).await;
        assert_eq!(seen, [(0, true)]);
    }
}
