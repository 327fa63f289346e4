//! A recording played at the pace of its own clock, or as fast as it is read.
//!
//! Owns pacing, pause and step. It looks into a line only for its time, by a cheap scan; a line whose time it cannot find
//! goes out at once. A silence of more than [`SILENCE`] is played as [`SHORTENED`]: nobody watches a night of nothing.
use super::feed::{Feed, Gone};
use super::file::Recording;
use super::{Source, Stop};
use crate::error::{Error, Kind};
use crate::model::input::{Frame, Input, Link};
use crate::model::time::Nanos;
use crate::wire::clock::time_of;
use std::pin::Pin;
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

/// How to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// 2.0 is twice as fast as it was; infinite is as fast as it can be read.
    pub speed: f64,
    pub paused: bool,
    /// Lines to let through while paused, counted from the beginning.
    pub steps: u64,
}

/// Moves the player while it plays. When all remotes are dropped it goes on as it was told last, but not paused.
#[derive(Debug, Clone)]
pub struct Remote(watch::Sender<Pace>);

impl Remote {
    pub fn pause(&self, paused: bool) {
        self.0.send_modify(|p| p.paused = paused);
    }

    /// One line more, if paused.
    pub fn step(&self) {
        self.0.send_modify(|p| p.steps += 1);
    }

    pub fn speed(&self, speed: f64) {
        self.0.send_modify(|p| p.speed = sound(speed));
    }

    pub fn pace(&self) -> Pace {
        *self.0.borrow()
    }
}

/// A recording that is played.
pub struct Replay {
    recording: Recording,
    pace: watch::Receiver<Pace>,
}

impl Replay {
    /// `speed` 1.0 plays as it was; infinite as fast as it can be read. Not a number, 0 or less counts as infinite.
    pub fn new(recording: Recording, speed: f64) -> (Self, Remote) {
        let (tx, pace) = watch::channel(Pace { speed: sound(speed), paused: false, steps: 0 });
        (Self { recording, pace }, Remote(tx))
    }
}

impl Replay {
    /// The next recording on the same player.
    pub fn after(recording: Recording, remote: &Remote) -> Self {
        Self { recording, pace: remote.0.subscribe() }
    }
}

fn sound(speed: f64) -> f64 {
    if speed > 0.0 { speed.max(1e-3) } else { f64::INFINITY }
}

type Ahead = Result<Vec<Frame>, String>;

impl Source for Replay {
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let Self { mut recording, pace } = *self;
            let name = recording.name();
            let (tx, rx) = mpsc::channel::<Ahead>(2);
            std::thread::Builder::new()
                .name("read".to_owned())
                .spawn(move || read_ahead(&mut recording, &tx))
                .map_err(|e| Error::new(Kind::Input, format!("cannot read {name}")).cause(format!("no thread for it: {e}")))?;
            let mut player = Player { pace, due: Instant::now(), last: None, told: None, shown: None, steps: 0 };
            let play = async {
                let end = player.play(rx, &mut feed).await?;
                feed.send(Input::End(name, end)).await?;
                feed.flush().await
            };
            tokio::select! {
                // Gone means that nobody wants more: an end like any other.
                _ = play => {}
                () = stop.cancelled() => {}
            }
            Ok(())
        })
    }
}

fn read_ahead(recording: &mut Recording, tx: &mpsc::Sender<Ahead>) {
    let mut ahead = Vec::new();
    loop {
        let next = match recording.buffered_frame() {
            Some(frame) => Ok(Some(frame)),
            None => {
                if recording.is_live() && !ahead.is_empty() && tx.blocking_send(Ok(std::mem::take(&mut ahead))).is_err() {
                    return;
                }
                recording.next_frame()
            }
        };
        match next {
            Ok(Some(frame)) => {
                let large = frame.bytes.len() > super::feed::BATCH_BYTES;
                ahead.push(frame);
                if (large || ahead.len() >= AHEAD) && tx.blocking_send(Ok(std::mem::take(&mut ahead))).is_err() {
                    return;
                }
            }
            Ok(None) => {
                let _ = tx.blocking_send(Ok(ahead));
                return;
            }
            Err(why) => {
                let _ = tx.blocking_send(Ok(ahead));
                let _ = tx.blocking_send(Err(why));
                return;
            }
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
}

impl Player {
    async fn play(&mut self, mut rx: mpsc::Receiver<Ahead>, feed: &mut Feed) -> Result<Result<(), String>, Gone> {
        let mut end = Ok(());
        loop {
            // What is gathered is handed on before a wait for a slow pipe.
            let ahead = match rx.try_recv() {
                Ok(ahead) => Some(ahead),
                Err(_) => {
                    feed.flush().await?;
                    rx.recv().await
                }
            };
            match ahead {
                Some(Ok(frames)) => {
                    for frame in frames {
                        let at = time_of(&frame.bytes);
                        self.wait(at, feed).await?;
                        feed.send(Input::Frame(frame)).await?;
                        self.clock(at, feed).await?;
                    }
                }
                Some(Err(why)) => end = Err(why),
                None => break,
            }
        }
        if let Some(at) = self.last
            && self.shown != Some(at)
        {
            feed.send(Input::Link(Link::Clock { at })).await?;
        }
        Ok(end)
    }

    /// Waits until the line of time `at` is due.
    async fn wait(&mut self, at: Option<Nanos>, feed: &mut Feed) -> Result<(), Gone> {
        let gap = match (at, self.last) {
            (Some(at), Some(last)) => at.since(last).max(0),
            _ => 0,
        };
        let gap = if gap > SILENCE { SHORTENED } else { gap };
        let from = self.due;
        loop {
            let pace = *self.pace.borrow_and_update();
            let driven = self.pace.has_changed().is_ok();
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
        Ok(())
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
    use super::*;

    fn line(second: i64) -> String {
        format!("{{\"flow\":{{\"time\":\"x\"}},\"node_name\":\"n\",\"time\":\"{}\"}}\n", Nanos(second * Nanos::SECOND))
    }

    fn replay(text: String, speed: f64) -> (Replay, Remote) {
        let recording = Recording::reader("t", Box::new(std::io::Cursor::new(text.into_bytes())), false).unwrap();
        Replay::new(recording, speed)
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
        remote.step();
        let batch = inbox.recv().await.unwrap();
        assert_eq!(batch.iter().filter(|i| matches!(i, Input::Frame(_))).count(), 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(inbox.try_recv(), Ok(None)));
        remote.pause(false);
        assert_eq!(drain(&mut inbox).await.0, 9);
    }
}
