//! The one door from the rim to the core: a bounded channel of batches.
//!
//! Owns batching and back-pressure. When the channel is full the source waits, so that whoever can count its losses (the
//! server's ring, the pipe's writer) does the dropping. Must not drop anything, and must not look into a frame.
use crate::model::input::Input;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Inputs in one batch at most.
pub const BATCH: usize = 256;
/// Bytes of frames after which a batch goes out; also what one slot of the channel stands for.
pub const BATCH_BYTES: usize = 1 << 20;
/// The longest a live flow waits for company.
pub const LINGER: Duration = Duration::from_millis(10);
/// Slots of the channel if nobody asks for another number: 64 × 256 inputs, and 64 × 1 MiB.
pub const SLOTS: usize = 64;

/// The reader is gone: stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of the flows is gone")
    }
}

impl std::error::Error for Gone {}

/// The sending half. Each clone fills a batch of its own; what is still in it when it is dropped is lost, so a source
/// ends with [`Feed::flush`].
#[derive(Debug)]
pub struct Feed {
    tx: mpsc::Sender<Vec<Input>>,
    slots: usize,
    batch: Vec<Input>,
    bytes: usize,
    first: Option<Instant>,
}

/// The receiving half.
#[derive(Debug)]
pub struct Inbox {
    rx: mpsc::Receiver<Vec<Input>>,
}

/// A channel of `batches` slots.
pub fn channel(batches: usize) -> (Feed, Inbox) {
    let slots = batches.max(1);
    let (tx, rx) = mpsc::channel(slots);
    (Feed { tx, slots, batch: Vec::new(), bytes: 0, first: None }, Inbox { rx })
}

impl Clone for Feed {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone(), slots: self.slots, batch: Vec::new(), bytes: 0, first: None }
    }
}

impl Feed {
    /// Adds one input; waits while the channel is full.
    pub async fn send(&mut self, input: Input) -> Result<(), Gone> {
        if self.push(input) { self.flush().await } else { Ok(()) }
    }

    /// `send` for a thread outside the runtime.
    pub fn blocking_send(&mut self, input: Input) -> Result<(), Gone> {
        if self.push(input) { self.blocking_flush() } else { Ok(()) }
    }

    /// Sends what has been gathered.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        let Some((fillers, batch)) = self.take() else { return Ok(()) };
        for _ in 0..fillers {
            self.tx.send(Vec::new()).await.map_err(|_| Gone)?;
        }
        self.tx.send(batch).await.map_err(|_| Gone)
    }

    /// `flush` for a thread outside the runtime.
    pub fn blocking_flush(&mut self) -> Result<(), Gone> {
        let Some((fillers, batch)) = self.take() else { return Ok(()) };
        for _ in 0..fillers {
            self.tx.blocking_send(Vec::new()).map_err(|_| Gone)?;
        }
        self.tx.blocking_send(batch).map_err(|_| Gone)
    }

    /// Resolves when the gathered batch has waited for [`LINGER`]; never while there is none.
    pub async fn due(&self) {
        match self.first {
            Some(first) => tokio::time::sleep_until(first + LINGER).await,
            None => std::future::pending().await,
        }
    }

    /// Resolves when the reader is gone.
    pub async fn gone(&self) {
        self.tx.closed().await;
    }

    pub fn is_gone(&self) -> bool {
        self.tx.is_closed()
    }

    /// Adds an input; `true` when the batch is full.
    fn push(&mut self, input: Input) -> bool {
        if self.batch.is_empty() {
            self.batch.reserve_exact(BATCH);
            self.first = Some(Instant::now());
        }
        if let Input::Frame(f) = &input {
            self.bytes += f.bytes.len();
        }
        self.batch.push(input);
        self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// The batch, and the number of empty batches to send before it. A batch of n MiB takes n slots, so that the channel
    /// is bounded in bytes too: a file of 50 MB lines would fill 64 slots with 3 GB otherwise. Empty batches stand before
    /// the full one, because slots are freed from the front.
    fn take(&mut self) -> Option<(usize, Vec<Input>)> {
        self.first = None;
        let bytes = std::mem::take(&mut self.bytes);
        if self.batch.is_empty() {
            return None;
        }
        Some(((bytes / BATCH_BYTES).min(self.slots - 1), std::mem::take(&mut self.batch)))
    }
}

impl Inbox {
    /// The next batch; `None` when all sources are done.
    pub async fn recv(&mut self) -> Option<Vec<Input>> {
        loop {
            match self.rx.recv().await {
                Some(batch) if batch.is_empty() => {}
                other => return other,
            }
        }
    }

    /// `recv` for one who waits for several at once.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<Input>>> {
        loop {
            match self.rx.poll_recv(cx) {
                Poll::Ready(Some(batch)) if batch.is_empty() => {}
                other => return other,
            }
        }
    }

    /// The next batch if there is one now. `Ok(None)` when there is none yet, `Err` when all sources are done.
    pub fn try_recv(&mut self) -> Result<Option<Vec<Input>>, Gone> {
        loop {
            match self.rx.try_recv() {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => return Ok(Some(batch)),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(None),
                Err(mpsc::error::TryRecvError::Disconnected) => return Err(Gone),
            }
        }
    }

    /// Whether no batch is waiting: time to hand on what has been printed so far.
    pub fn is_idle(&self) -> bool {
        self.rx.is_empty()
    }

    /// `recv` for a thread outside the runtime.
    pub fn blocking_recv(&mut self) -> Option<Vec<Input>> {
        loop {
            match self.rx.blocking_recv() {
                Some(batch) if batch.is_empty() => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Codec, Frame};
    use bytes::Bytes;

    fn frame(line: u64, len: usize) -> Input {
        let bytes = Bytes::from(vec![b'x'; len]);
        Input::Frame(Frame { codec: Codec::HubbleJson, from: "t".into(), line, bytes, broken: None })
    }

    #[test]
    fn batches_are_full_and_in_order() {
        let (mut feed, mut inbox) = channel(8);
        for n in 0..600 {
            feed.blocking_send(frame(n, 10)).unwrap();
        }
        feed.blocking_flush().unwrap();
        drop(feed);
        let mut sizes = Vec::new();
        let mut next = 0;
        while let Some(batch) = inbox.blocking_recv() {
            sizes.push(batch.len());
            for i in batch {
                let Input::Frame(f) = i else { panic!() };
                assert_eq!(f.line, next);
                next += 1;
            }
        }
        assert_eq!(sizes, [256, 256, 88]);
    }

    #[test]
    fn a_full_channel_blocks_and_loses_nothing() {
        let (mut feed, mut inbox) = channel(2);
        let writer = std::thread::spawn(move || {
            for n in 0..5_000 {
                feed.blocking_send(frame(n, 1)).unwrap();
            }
            feed.blocking_flush().unwrap();
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished(), "5 000 inputs do not fit 2 batches");
        let mut n = 0;
        while let Some(batch) = inbox.blocking_recv() {
            n += batch.len();
        }
        assert_eq!(n, 5_000);
        writer.join().unwrap();
    }

    #[test]
    fn large_frames_take_more_slots() {
        let (mut feed, mut inbox) = channel(8);
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = sent.clone();
        let writer = std::thread::spawn(move || {
            for n in 0..8 {
                feed.blocking_send(frame(n, 4 * BATCH_BYTES)).unwrap();
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let waiting = sent.load(std::sync::atomic::Ordering::SeqCst);
        assert!(waiting <= 2, "8 slots hold 8 MiB, not {waiting} × 4 MiB");
        let mut n = 0;
        while let Some(batch) = inbox.blocking_recv() {
            n += batch.len();
        }
        assert_eq!(n, 8);
        writer.join().unwrap();
    }

    #[test]
    fn a_frame_larger_than_the_channel_still_passes() {
        let (mut feed, mut inbox) = channel(2);
        let writer = std::thread::spawn(move || feed.blocking_send(frame(1, 5 * BATCH_BYTES)));
        assert_eq!(inbox.blocking_recv().map(|b| b.len()), Some(1));
        writer.join().unwrap().unwrap();
        assert!(inbox.blocking_recv().is_none());
    }

    #[test]
    fn knows_when_the_reader_is_gone() {
        let (mut feed, inbox) = channel(2);
        assert!(!feed.is_gone());
        drop(inbox);
        assert!(feed.is_gone());
        let r: Result<Vec<()>, Gone> = (0..300).map(|n| feed.blocking_send(frame(n, 1))).collect();
        assert_eq!(r, Err(Gone));
    }

    #[tokio::test]
    async fn a_lonely_flow_does_not_wait_long() {
        let (mut feed, mut inbox) = channel(2);
        feed.send(frame(1, 1)).await.unwrap();
        assert_eq!(inbox.try_recv().map(|b| b.is_some()), Ok(false));
        let began = std::time::Instant::now();
        feed.due().await;
        feed.flush().await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(500));
        assert_eq!(inbox.recv().await.map(|b| b.len()), Some(1));
    }
}
