//! The thread that writes a recording.
//!
//! Owns the order of lines in a file, when a member is closed (each second, so that a kill loses no more), when the cluster's state is said
//! again, and what becomes of a disk error: the recording ends, what comes is counted, everybody else goes on. What is handed over, and what is left
//! out when this thread is behind, belongs to `door`. Reads no clock: it asks the one it was given.
use super::door::{Books, Clock, Item, Options, flows, lock};
use super::files::{DEAR, Files};
use super::ground::Ground;
use super::names::{self, Names};
use super::pack::Pack;
use super::redact::Redact;
use super::taught::Taught;
use crate::error::Error;
use crate::model::input::{Codec, Frame};
use crate::model::time::Nanos;
use crate::wire::clock::time_of;
use crate::wire::decode::{Decoded, decode_bytes};
use crate::wire::json::write_response;
use crate::wire::note::Notes;
use crate::wire::pb::flow::LostEvent;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::world::line;
use memchr::memmem::Finder;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// What a kill loses at most.
const MEMBER: i64 = Nanos::SECOND;
/// How often the thread looks at the clock while lines wait.
const NAP: Duration = Duration::from_millis(100);
/// The cluster's state is said again after so long, by the clock or by the recorded time, but not before [`DEAR`] times its size was written.
const REPEAT: i64 = 300 * Nanos::SECOND;
/// What stands in every line of a DNS answer, and in hardly any other.
static DNS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"dns\""));

/// The thread's own.
pub(super) struct Writer {
    files: Files,
    pack: Pack,
    redact: Option<Redact>,
    clock: Clock,
    ground: Ground,
    names: Names,
    taught: Taught,
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
    /// Opens the file.
    pub(super) fn open(options: Options, books: Arc<Mutex<Books>>) -> Result<Self, Error> {
        let pack = Pack::by_ending(&options.path)?;
        let now = (options.clock)();
        Ok(Self {
            files: Files::open(&options.path, options.keep, now)?,
            pack,
            redact: options.redact,
            clock: options.clock,
            ground: options.ground,
            names: Names::default(),
            taught: Taught::default(),
            taken: 0,
            lines: Vec::new(),
            waiting: Books::default(),
            since: None,
            fresh: true,
            said: (now, None, 0, 0),
            latest: None,
            notes: Notes::default(),
            books,
        })
    }

    pub(super) fn run(mut self, rx: &Receiver<Vec<Item>>) {
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
        let taught = self.taught.all();
        if let Err(e) = self.teach(taught) {
            return self.stopped(&e, rx);
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
                    let mut redact = self.redact.as_mut();
                    let line = self.ground.take(&at, |at, out| match &mut redact {
                        None => line::write(at, out),
                        Some(r) => r.change(at, out),
                    });
                    self.since.get_or_insert(now);
                    // The beginning of a file says it with all the rest.
                    if let Some(line) = line.filter(|l| !self.fresh && !l.is_empty()) {
                        self.line(&line, now);
                        self.waiting.state += 1;
                    }
                }
                Item::Frame(f) => self.frame(&f, now)?,
                Item::Learnt(f) => self.learnt(&f, now)?,
                Item::Missed(count) => self.missed(count, now)?,
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
        match (f.codec, &mut self.redact) {
            (Codec::HubbleJson, None) => {
                self.before(time_of(&f.bytes), now)?;
                self.lines.extend_from_slice(&f.bytes);
                if let Some((answer, _)) = self.files.is_one_of_many().then(|| self.answer(f)).flatten() {
                    self.names.take(answer, &f.bytes, self.files.member() / 2);
                }
            }
            (codec, redact) => {
                let Ok(Decoded::Response(mut r)) = decode_bytes(codec, &f.bytes, &mut self.notes) else {
                    self.waiting.unwritable += 1;
                    return Ok(());
                };
                if let Some(redact) = redact {
                    redact.response(&mut r);
                }
                self.before(r.time.map(|t| Nanos::from_parts(t.seconds, t.nanos)), now)?;
                let from = self.lines.len();
                write_response(&r, &mut self.lines);
                if let Some(answer) = self.files.is_one_of_many().then(|| names::answer(&r)).flatten() {
                    self.names.take(answer, self.lines.get(from..).unwrap_or_default(), self.files.member() / 2);
                }
            }
        }
        self.lines.push(b'\n');
        self.waiting.flows += 1;
        Ok(())
    }

    /// What a record teaches that is not to be kept itself.
    fn learnt(&mut self, f: &Frame, now: Nanos) -> io::Result<()> {
        let Some((answer, record)) = self.answer(f) else { return Ok(()) };
        if self.files.is_one_of_many() {
            self.names.take(answer.clone(), &record, self.files.member() / 2);
        }
        let at = time_of(&record).or(self.latest).unwrap_or(now);
        let full = self.taught.take(answer, at, record);
        let taught = if full { self.taught.all() } else { Vec::new() };
        self.teach(taught)
    }

    /// Writes what DNS answers teach.
    fn teach(&mut self, records: Vec<Vec<u8>>) -> io::Result<()> {
        if !records.is_empty() {
            self.begin()?;
        }
        for record in records {
            let mut line = Vec::new();
            line::teach(&record, &mut line);
            self.line(&line, (self.clock)());
            self.waiting.state += 1;
        }
        Ok(())
    }

    /// A DNS answer as it may be written; `None` of what teaches no name.
    fn answer(&mut self, f: &Frame) -> Option<(names::Answer, Vec<u8>)> {
        if f.codec == Codec::HubbleJson && DNS.find(&f.bytes).is_none() {
            return None;
        }
        let Ok(Decoded::Response(mut r)) = decode_bytes(f.codec, &f.bytes, &mut self.notes) else { return None };
        names::answer(&r)?;
        if let Some(redact) = &mut self.redact {
            redact.response(&mut r);
        }
        let mut record = Vec::new();
        write_response(&r, &mut record);
        Some((names::answer(&r)?, record))
    }

    /// What has to be written before a record of that time.
    fn before(&mut self, at: Option<Nanos>, now: Nanos) -> io::Result<()> {
        self.latest = self.latest.max(at);
        self.begin()?;
        self.repeat(at, now);
        let taught = self.taught.before(at.or(self.latest).unwrap_or(now));
        self.teach(taught)?;
        self.since.get_or_insert(now);
        Ok(())
    }

    fn line(&mut self, line: &[u8], now: Nanos) {
        self.since.get_or_insert(now);
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
    }

    /// A gap, as Hubble says that events were lost.
    fn missed(&mut self, count: u64, now: Nanos) -> io::Result<()> {
        let at = self.latest.unwrap_or(now).parts();
        let lost = LostEvent { num_events_lost: count, ..LostEvent::default() };
        let time = Some(prost_types::Timestamp { seconds: at.0, nanos: at.1 });
        let response = GetFlowsResponse { time, response_types: Some(ResponseTypes::LostEvents(lost)), ..GetFlowsResponse::default() };
        let mut line = Vec::new();
        write_response(&response, &mut line);
        self.begin()?;
        self.line(&line, now);
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
            self.snapshot(true);
            if self.files.weighs() {
                self.files.put_state(self.pack.member(&self.lines)?)?;
                self.clear();
            }
        }
        Ok(())
    }

    /// The cluster's state again, where it was said long ago.
    fn repeat(&mut self, at: Option<Nanos>, now: Nanos) {
        let (clock, recorded, bytes, size) = self.said;
        let long = |a: Nanos, b: Nanos| a.since(b) >= REPEAT;
        let cheap = self.files.written + self.lines.len() as u64 >= bytes + DEAR * size;
        let played = at.zip(recorded).is_some_and(|(at, r)| long(at, r));
        if (long(now, clock) || played) && cheap {
            self.snapshot(false);
        }
    }

    /// `names`: with what DNS taught before.
    fn snapshot(&mut self, names: bool) {
        let now = (self.clock)();
        let from = self.lines.len();
        let names: Vec<&[u8]> = if names { self.names.lines().collect() } else { Vec::new() };
        self.waiting.state += self.ground.snapshot(self.latest.unwrap_or(now), &names, &mut self.lines);
        let size = (self.lines.len() - from) as u64;
        self.said = (now, self.latest.or(Some(now)), self.files.written + self.lines.len() as u64, size);
    }

    /// Books what of a member came to the disk before the disk failed.
    fn torn(&self, lines: &[u8]) {
        let all = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let (state, flows): (Vec<_>, Vec<_>) = all.partition(|l| l.starts_with(b"{\"world\":"));
        let mut books = lock(&self.books);
        books.flows += flows.len() as u64;
        books.state += state.len() as u64;
        books.bytes = self.files.written;
    }

    /// Room for the next member; what one that was much larger has taken is given back.
    fn clear(&mut self) {
        let most = 2 * self.files.member();
        self.lines.clear();
        self.lines.shrink_to(most);
        self.pack.shrink(most);
    }

    /// What has been gathered goes to the disk as one member, and is booked.
    fn cut(&mut self) -> io::Result<()> {
        self.since = None;
        if !self.lines.is_empty() {
            let whole = self.pack.whole();
            if let Err((e, kept)) = self.files.put(self.pack.member(&self.lines)?, whole) {
                // Of what is packed nothing is kept, and what is not packed stands there as it is.
                self.torn(self.lines.get(..kept).unwrap_or_default());
                return Err(e);
            }
            self.clear();
        }
        let done = std::mem::take(&mut self.waiting);
        let mut books = lock(&self.books);
        books.flows += done.flows;
        books.state += done.state;
        books.unwritable += done.unwritable;
        (books.bytes, books.dropped, books.forgotten) = (self.files.written, self.files.dropped, self.ground.forgotten);
        Ok(())
    }
}

/// An I/O error as a person would say it, without the number.
pub(super) fn words(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::AlreadyExists => "the file exists".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "the user's share of the disk is used up".to_owned(),
        io::ErrorKind::FileTooLarge => "the file may not grow any more".to_owned(),
        _ if e.raw_os_error().is_none() => e.to_string(),
        _ => e.to_string().split(" (os error").next().unwrap_or_default().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{At, Change, Kind, KindState};
    use crate::record::Keep;

    #[test]
    fn a_large_record_or_state_does_not_keep_its_room() {
        let large = "x".repeat(1 << 20);
        let kind = Kind { group: String::new(), kind: large.clone(), state: KindState::Synced };
        let world = || Item::World(At { cluster: "c".into(), at: Some(Nanos(1)), change: Change::Kind(kind.clone()) });
        let line = format!("{{\"flow\":{{\"Summary\":\"{large}\"}},\"time\":\"2026-01-31T14:00:00Z\"}}");
        let flow = || Item::Frame(Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes: line.clone().into(), broken: None });
        let dir = tempfile::tempdir().unwrap();
        for ending in ["jsonl", "gz", "zst"] {
            let (path, ground) = (dir.path().join(format!("r.{ending}")), Ground::default());
            let options = Options { path, keep: Keep::Ring(5 << 20), redact: None, ground, waits: false, clock: Arc::new(|| Nanos(0)) };
            let mut w = Writer::open(options, Arc::default()).unwrap();
            let room = |w: &Writer| match &w.pack {
                Pack::Plain => w.lines.capacity(),
                Pack::Gzip(packed) | Pack::Zstd(_, packed) => w.lines.capacity().max(packed.capacity()),
            };
            let most = 2 * w.files.member();
            // Said at the beginning of the file, apart from what follows.
            w.work(vec![world()]).unwrap();
            w.begin().unwrap();
            assert!(w.files.written > 0 && room(&w) <= most, "{ending}: {} of {most}", room(&w));
            let state = w.files.written;
            w.work(vec![flow()]).unwrap();
            assert!(w.files.written > state && room(&w) <= most, "{ending}: {} of {most}", room(&w));
        }
    }
}
