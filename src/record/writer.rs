//! The thread that writes a recording, and the door to it.
//!
//! Owns the order of lines in a file, when a member is closed (each second, so that a kill loses no more), when the cluster's state is said
//! again, and what becomes of a disk error: the recording ends, what comes is counted, everybody else goes on. The door holds
//! [`BATCHES`] batches and blocks when they are full. Reads no clock: it asks the one it was given.
use super::files::{Files, Keep};
use super::ground::Ground;
use super::pack::Pack;
use super::redact::Redact;
use crate::error::{Error, Kind};
use crate::model::input::{At, Codec, Frame};
use crate::model::time::Nanos;
use crate::wire::clock::time_of;
use crate::wire::decode::{Decoded, decode_bytes};
use crate::wire::json::write_response;
use crate::wire::note::Notes;
use crate::world::line;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Batches on their way to the thread.
pub const BATCHES: usize = 16;
/// Items of a batch, and bytes after which it goes.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// What a kill loses at most.
const MEMBER: i64 = Nanos::SECOND;
/// How often the thread looks at the clock while lines wait.
const NAP: Duration = Duration::from_millis(100);
/// The cluster's state is said again after so long, by the clock or by the recorded time,
const REPEAT: i64 = 300 * Nanos::SECOND;
/// but, where recorded time runs faster than the clock, not before so many times its size was written.
const DEAR: u64 = 4;

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;

pub struct Options {
    /// `.gz` and `.zst` are compressed.
    pub path: PathBuf,
    pub keep: Keep,
    pub redact: Option<Redact>,
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
    /// Records that came after the disk failed, or that were lost with it.
    pub unrecorded: u64,
    /// Records that cannot be written as JSON, or not without names.
    pub unwritable: u64,
    /// Why the recording ended early.
    pub failed: Option<String>,
}

enum Item {
    Frame(Frame),
    World(At),
}

/// The door. Dropped, it waits until all is on the disk.
pub struct Recorder {
    tx: Option<SyncSender<Vec<Item>>>,
    batch: Vec<Item>,
    bytes: usize,
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
        let cannot = |cause: String| Error::new(Kind::Output, format!("cannot record to {}", options.path.display())).cause(cause);
        let pack = Pack::by_ending(&options.path).map_err(|e| cannot(words(&e)))?;
        let now = (options.clock)();
        let files = Files::open(&options.path, options.keep, now)?;
        let (tx, rx) = mpsc::sync_channel(BATCHES);
        let books = Arc::new(Mutex::new(Books::default()));
        let writer = Writer {
            files,
            pack,
            redact: options.redact,
            clock: options.clock,
            ground: Ground::default(),
            taken: 0,
            lines: Vec::new(),
            waiting: Books::default(),
            since: None,
            fresh: true,
            said: (now, None, 0, 0),
            latest: None,
            notes: Notes::default(),
            books: books.clone(),
        };
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(move || writer.run(&rx)).map_err(|e| cannot(words(&e)))?;
        Ok(Self { tx: Some(tx), batch: Vec::new(), bytes: 0, books, thread: Some(thread), path: options.path })
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub fn frame(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.push(Item::Frame(frame));
    }

    pub fn world(&mut self, at: &At) {
        self.push(Item::World(at.clone()));
    }

    /// Hands over what has been gathered. Whoever has nothing more to say for now calls it, or the last second gets longer.
    pub fn flush(&mut self) {
        self.bytes = 0;
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        if let Some(tx) = &self.tx
            && let Err(mpsc::SendError(batch)) = tx.send(batch)
        {
            // The thread is gone, which a panic alone explains.
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

    fn push(&mut self, item: Item) {
        self.batch.push(item);
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    fn close(&mut self) {
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

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flows(batch: &[Item]) -> u64 {
    batch.iter().filter(|i| matches!(i, Item::Frame(_))).count() as u64
}

struct Writer {
    files: Files,
    pack: Pack,
    redact: Option<Redact>,
    clock: Clock,
    ground: Ground,
    /// Records that came.
    taken: u64,
    /// Of the member that is not closed yet.
    lines: Vec<u8>,
    /// What stands in `lines`: booked when it is on the disk.
    waiting: Books,
    /// When the first of `lines` came.
    since: Option<Nanos>,
    /// Nothing was written to this file yet: it begins with the cluster's state.
    fresh: bool,
    /// When the state was said last: by the clock, in recorded time, at how many bytes of lines, and its own size.
    said: (Nanos, Option<Nanos>, u64, u64),
    /// The latest recorded time.
    latest: Option<Nanos>,
    notes: Notes,
    books: Arc<Mutex<Books>>,
}

impl Writer {
    fn run(mut self, rx: &Receiver<Vec<Item>>) {
        loop {
            let batch = if self.since.is_none() {
                match rx.recv() {
                    Ok(batch) => batch,
                    Err(_) => break,
                }
            } else {
                match rx.recv_timeout(NAP) {
                    Ok(batch) => batch,
                    Err(RecvTimeoutError::Timeout) => Vec::new(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            };
            self.taken += flows(&batch);
            if let Err(e) = self.work(batch) {
                return self.stopped(&e, rx);
            }
        }
        // A recording of nothing says so.
        let empty = self.files.written == 0;
        if (self.since.is_some() || empty)
            && let Err(e) = self.begin().and_then(|()| self.cut())
        {
            self.stopped(&e, rx);
        }
    }

    /// The disk failed: nothing more is written, because what follows a torn line would be lost with it.
    fn stopped(self, e: &io::Error, rx: &Receiver<Vec<Item>>) {
        {
            let mut books = lock(&self.books);
            books.failed = Some(words(e));
            books.unrecorded = self.taken.saturating_sub(books.flows + books.unwritable);
        }
        for batch in rx {
            lock(&self.books).unrecorded += flows(&batch);
        }
    }

    fn work(&mut self, batch: Vec<Item>) -> io::Result<()> {
        let now = (self.clock)();
        for item in batch {
            match item {
                Item::World(at) => {
                    let redact = self.redact.as_mut();
                    let line = self.ground.take(&at, |at, out| match redact {
                        None => line::write(at, out),
                        Some(r) => r.change(at, out),
                    });
                    self.since.get_or_insert(now);
                    // The beginning of a file says it with all the rest.
                    if let Some(line) = line.filter(|l| !self.fresh && !l.is_empty()) {
                        self.lines.extend_from_slice(&line);
                        self.lines.push(b'\n');
                        self.waiting.state += 1;
                    }
                }
                Item::Frame(f) => self.frame(&f, now)?,
            }
            if self.lines.len() >= self.files.member() {
                self.cut()?;
            }
        }
        // A clock that is set back must not keep a second open for an hour.
        if self.since.is_some_and(|s| !(0..MEMBER).contains(&now.since(s))) {
            self.begin()?;
            self.cut()?;
        }
        Ok(())
    }

    fn frame(&mut self, f: &Frame, now: Nanos) -> io::Result<()> {
        self.since.get_or_insert(now);
        let mut line = Vec::new();
        let at = match (f.codec, &mut self.redact) {
            (Codec::HubbleJson, None) => {
                line.extend_from_slice(&f.bytes);
                time_of(&f.bytes)
            }
            (codec, redact) => {
                let Ok(Decoded::Response(mut r)) = decode_bytes(codec, &f.bytes, &mut self.notes) else {
                    self.waiting.unwritable += 1;
                    return Ok(());
                };
                if let Some(redact) = redact {
                    redact.response(&mut r);
                }
                write_response(&r, &mut line);
                r.time.map(|t| Nanos::from_parts(t.seconds, t.nanos))
            }
        };
        self.latest = self.latest.max(at);
        self.begin()?;
        self.repeat(at, now);
        self.lines.extend_from_slice(&line);
        self.lines.push(b'\n');
        self.waiting.flows += 1;
        Ok(())
    }

    /// The next segment where this one is full, and the cluster's state at the beginning of each.
    fn begin(&mut self) -> io::Result<()> {
        let now = (self.clock)();
        if self.lines.is_empty() && self.files.is_full(now) {
            self.files.turn(now)?;
            self.fresh = true;
        }
        if std::mem::take(&mut self.fresh) {
            self.snapshot();
        }
        Ok(())
    }

    /// The cluster's state again, where it was said long ago.
    fn repeat(&mut self, at: Option<Nanos>, now: Nanos) {
        let (clock, recorded, bytes, size) = self.said;
        let long = |a: Nanos, b: Nanos| a.since(b) >= REPEAT;
        let cheap = self.files.written + self.lines.len() as u64 >= bytes + DEAR * size;
        let played = at.zip(recorded).is_some_and(|(at, r)| long(at, r));
        if long(now, clock) || (played && cheap) {
            self.snapshot();
        }
    }

    fn snapshot(&mut self) {
        let now = (self.clock)();
        let from = self.lines.len();
        self.waiting.state += self.ground.snapshot(self.latest.unwrap_or(now), &mut self.lines);
        let size = (self.lines.len() - from) as u64;
        self.said = (now, self.latest.or(Some(now)), self.files.written + self.lines.len() as u64, size);
    }

    /// What has been gathered goes to the disk as one member, and is booked.
    fn cut(&mut self) -> io::Result<()> {
        self.since = None;
        if !self.lines.is_empty() {
            let member = self.pack.member(std::mem::take(&mut self.lines))?;
            self.files.put(&member)?;
        }
        let done = std::mem::take(&mut self.waiting);
        let mut books = lock(&self.books);
        books.flows += done.flows;
        books.state += done.state;
        books.unwritable += done.unwritable;
        (books.bytes, books.dropped) = (self.files.written, self.files.dropped);
        Ok(())
    }
}

/// An I/O error as a person would say it, without the number.
pub(super) fn words(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::AlreadyExists => "the file exists".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::FileTooLarge => "the file may not grow any more".to_owned(),
        _ => e.to_string().split(" (os error").next().unwrap_or_default().to_lowercase(),
    }
}
