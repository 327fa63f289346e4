//! The door to the thread that writes a recording, and the books of what became of everything that was handed over.
//!
//! Owns what happens when the thread is behind. A recorder waits; a screen may not, so for it the door holds some, then leaves out records
//! and counts them. The cluster's state is never left out: without it what follows would be explained wrongly, so the recording ends first.
use super::files::Keep;
use super::ground::Ground;
use super::redact::Redact;
use super::writer::{Writer, words};
use crate::error::{Error, Kind};
use crate::model::input::{At, Frame};
use crate::model::time::Nanos;
use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Batches on their way to the thread.
const BATCHES: usize = 16;
/// Items of a batch, and bytes after which it goes.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// What waits here for a thread that is behind, where nobody may wait for it: records, their bytes, and changes of the cluster.
const HELD: usize = 16_384;
const HELD_BYTES: usize = 16 << 20;
const HELD_CHANGES: usize = 100_000;
/// So often and so long is a disk asked at the end whether it is done, where nobody may wait for it.
const ASKS: u32 = 200;
const ASK: Duration = Duration::from_millis(10);

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;

pub struct Options {
    /// `.gz` and `.zst` are compressed.
    pub path: PathBuf,
    pub keep: Keep,
    pub redact: Option<Redact>,
    /// What is known of the cluster already.
    pub ground: Ground,
    /// Whether who hands over may be made to wait for the disk.
    pub waits: bool,
    pub clock: Clock,
}

/// What became of everything that was handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Records on the disk: flows, and what else servers say.
    pub flows: u64,
    /// Lines of the cluster's state on the disk, repeated ones included.
    pub state: u64,
    /// Bytes on the disk, those that a ring has dropped since included.
    pub bytes: u64,
    /// Segments that a ring has dropped.
    pub dropped: u64,
    /// Records left out because the disk was behind.
    pub missed: u64,
    /// Records that came after the disk failed, or that were lost with it.
    pub unrecorded: u64,
    /// Records that cannot be written as JSON, or not without names.
    pub unwritable: u64,
    /// Entries of agents' dictionaries that have no room in the cluster's state: no later segment of a ring says them.
    pub forgotten: u64,
    /// Whether the file has been opened.
    pub opened: bool,
    /// Why the recording ended early, or could not begin.
    pub failed: Option<String>,
}

pub(super) enum Item {
    Frame(Frame),
    World(At),
    /// Only what it teaches is kept.
    Learnt(Frame),
    /// So many records were left out here.
    Missed(u64),
}

/// The door. Dropped, it waits until all is on the disk; where nobody may wait, not for ever.
pub struct Recorder {
    tx: Option<SyncSender<Vec<Item>>>,
    batch: Vec<Item>,
    bytes: usize,
    /// Left out since the last record that was not.
    gap: u64,
    /// Records that were not left out.
    handed: u64,
    waits: bool,
    books: Arc<Mutex<Books>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Opens the file; a path that cannot be written is an error now.
    pub fn start(options: Options) -> Result<Self, Error> {
        let (tx, rx) = mpsc::sync_channel(BATCHES);
        let (path, waits) = (options.path.clone(), options.waits);
        let books = Arc::new(Mutex::new(Books { opened: true, ..Books::default() }));
        let writer = Writer::open(options, books.clone())?;
        let thread = spawn(move || writer.run(&rx)).map_err(|e| cannot(&path, &e))?;
        Ok(Self { tx: Some(tx), batch: Vec::new(), bytes: 0, gap: 0, handed: 0, waits, books, thread: Some(thread), path })
    }

    /// The same on the thread that writes, for who may not wait even for that: the books say when the file is open, or why it is not.
    pub fn open(path: PathBuf, prepare: impl FnOnce(PathBuf) -> Result<Options, Error> + Send + 'static) -> Self {
        let (tx, rx) = mpsc::sync_channel(BATCHES);
        let books = Arc::new(Mutex::new(Books::default()));
        let (own, wanted) = (books.clone(), path.clone());
        let run = move || match prepare(wanted).and_then(|options| Writer::open(options, own.clone())) {
            Ok(writer) => {
                lock(&own).opened = true;
                writer.run(&rx);
            }
            Err(e) => lock(&own).failed = Some(e.line()),
        };
        let thread = spawn(run).map_err(|e| lock(&books).failed = Some(cannot(&path, &e).line())).ok();
        Self { tx: Some(tx), batch: Vec::new(), bytes: 0, gap: 0, handed: 0, waits: false, books, thread, path }
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub fn frame(&mut self, frame: Frame) {
        if self.batch.len() >= HELD || self.bytes >= HELD_BYTES {
            self.flush();
            if !self.has_room() {
                self.gap += 1;
                lock(&self.books).missed += 1;
                return;
            }
        }
        self.mark();
        self.bytes += frame.bytes.len();
        self.handed += 1;
        self.push(Item::Frame(frame));
    }

    /// Says in the file what was left out since the last record.
    fn mark(&mut self) {
        if self.gap > 0 {
            self.batch.push(Item::Missed(std::mem::take(&mut self.gap)));
        }
    }

    pub fn world(&mut self, at: &At) {
        if self.batch.len() >= HELD_CHANGES {
            self.flush();
            if !self.has_room() {
                self.give_up("the disk does not answer");
            }
        }
        self.push(Item::World(at.clone()));
    }

    /// A record that the filter left out, of which only what it teaches is kept, if anything. For those who wait.
    pub fn learnt(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.push(Item::Learnt(frame));
    }

    /// Whether the next record goes to the thread without being held here first.
    pub fn has_room(&self) -> bool {
        self.batch.len() < BATCH && self.bytes < BATCH_BYTES
    }

    /// Hands over what has been gathered. Whoever has nothing more to say for now calls it, or the last second gets longer.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let sent = match &self.tx {
            None => Err(batch),
            Some(tx) if self.waits => tx.send(batch).map_err(|mpsc::SendError(batch)| batch),
            Some(tx) => match tx.try_send(batch) {
                Err(TrySendError::Full(batch)) => {
                    self.batch = batch;
                    return;
                }
                Err(TrySendError::Disconnected(batch)) => Err(batch),
                Ok(()) => Ok(()),
            },
        };
        self.bytes = 0;
        // The thread is gone, which a panic or a disk that does not answer explains.
        if let Err(batch) = sent {
            lock(&self.books).unrecorded += flows(&batch);
        }
    }

    pub fn books(&self) -> Books {
        lock(&self.books).clone()
    }

    /// Everything onto the disk, and the closed books.
    pub fn finish(mut self) -> Books {
        self.close();
        self.books()
    }

    /// Asks for the same without waiting: whether the books are closed.
    pub fn ends(&mut self) -> bool {
        self.mark();
        self.flush();
        if self.batch.is_empty() {
            self.tx = None;
        }
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn push(&mut self, item: Item) {
        self.batch.push(item);
        if !self.has_room() {
            self.flush();
        }
    }

    /// Lets the thread go, whatever it still waits for.
    fn give_up(&mut self, why: &str) {
        (self.tx, self.thread, self.bytes) = (None, None, 0);
        self.batch.clear();
        let mut books = lock(&self.books);
        // What is on its way has not come to the disk either.
        books.unrecorded = self.handed.saturating_sub(books.flows + books.unwritable);
        books.failed.get_or_insert_with(|| why.to_owned());
    }

    fn close(&mut self) {
        if !self.waits {
            for _ in 0..ASKS {
                if self.ends() {
                    break;
                }
                std::thread::sleep(ASK);
            }
            if !self.ends() {
                return self.give_up("the disk does not answer");
            }
        }
        self.mark();
        self.flush();
        self.tx = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            lock(&self.books).failed.get_or_insert_with(|| "the writer failed".to_owned());
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("record".to_owned()).spawn(run)
}

fn cannot(path: &std::path::Path, e: &std::io::Error) -> Error {
    Error::new(Kind::Output, format!("cannot record to {}", path.display())).cause(words(e))
}

pub(super) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn flows(batch: &[Item]) -> u64 {
    batch.iter().filter(|i| matches!(i, Item::Frame(_))).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Change, Codec, Kind as Sort, KindState};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A disk that hangs while the lock is held, and the recorder that writes to it.
    fn hanging(dir: &std::path::Path) -> (Recorder, Arc<Mutex<()>>) {
        let disk = Arc::new(Mutex::new(()));
        let (hangs, begun) = (disk.clone(), AtomicBool::new(false));
        let clock = move || {
            if begun.swap(true, Ordering::Relaxed) {
                drop(hangs.lock());
            }
            Nanos(0)
        };
        let path = dir.join("r.jsonl");
        let ground = Ground::default();
        let options = Options { path, keep: Keep::One, redact: None, ground, waits: false, clock: Arc::new(clock) };
        (Recorder::start(options).unwrap(), disk)
    }

    fn frame(n: u64) -> Frame {
        let line = format!("{{\"flow\":{{\"uuid\":\"{n}\"}},\"time\":\"2026-01-31T14:00:00Z\"}}");
        Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes: line.into(), broken: None }
    }

    fn change(n: u64) -> At {
        let kind = Sort { group: String::new(), kind: format!("Kind{n}"), state: KindState::Synced };
        At { cluster: "c".into(), at: Some(Nanos(1)), change: Change::Kind(kind) }
    }

    #[test]
    fn a_disk_that_hangs_blocks_nobody_and_what_is_left_out_is_counted_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut r, disk) = hanging(dir.path());
        let held = disk.lock().unwrap();
        for n in 0..60_000 {
            r.frame(frame(n));
        }
        let missed = r.books().missed;
        // Where the thread begins late it takes one batch more, with all that was held.
        assert!(missed > 20_000, "{missed}");
        r.world(&change(0));
        assert!(!r.ends(), "it hangs");
        drop(held);
        while !r.has_room() {
            std::thread::yield_now();
            r.flush();
        }
        r.frame(frame(60_000));
        while !r.ends() {
            std::thread::yield_now();
        }
        let books = r.finish();
        assert_eq!((books.flows + missed, books.missed, books.unrecorded, books.failed), (60_001, missed, 0, None));
        let text = std::fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
        let lost: Vec<_> = text.lines().filter(|l| l.contains("lost_events")).collect();
        assert!(lost.len() == 1 && lost[0].contains(&missed.to_string()), "{lost:?}");
        assert!(text.contains("Kind0"), "the cluster's state is never left out");
    }

    #[test]
    fn a_gap_with_no_record_after_it_is_marked_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (mut r, disk) = hanging(dir.path());
        let held = disk.lock().unwrap();
        (0..60_000).for_each(|n| r.frame(frame(n)));
        let missed = r.books().missed;
        assert!(missed > 0);
        drop(held);
        while !r.ends() {
            std::thread::yield_now();
        }
        assert_eq!(r.finish().flows + missed, 60_000);
        let text = std::fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.contains("lost_events") && last.contains(&missed.to_string()), "{last}");
    }

    #[test]
    fn the_clusters_state_is_not_left_out_so_the_recording_ends_first() {
        let dir = tempfile::tempdir().unwrap();
        let (mut r, disk) = hanging(dir.path());
        let held = disk.lock().unwrap();
        let most = 2 * HELD_CHANGES as u64;
        let came = (0..most).find(|n| {
            r.world(&change(*n));
            r.books().failed.is_some()
        });
        assert!(came.is_some_and(|n| n >= HELD_CHANGES as u64), "{came:?}");
        assert_eq!(r.books().failed.as_deref(), Some("the disk does not answer"));
        drop(held);
    }
}
