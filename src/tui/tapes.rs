//! What is recorded while the screen is open: the session's ring, what `:record` asks for, what `:save` writes.
//!
//! Owns the writers, none of which is waited for. A disk that fails ends its recording with a message and nothing else, one that is behind
//! costs the recording some flows, which are counted. Draws nothing; the loop hands it everything that happens, and the messages that come
//! back go to the last line.
use super::model::Tone;
use crate::engine::{Engine, Sieve};
use crate::error::Error;
use crate::model::input::{At, Change, Codec, Frame, Input};
use crate::model::time::Nanos;
use crate::model::words::{count, many};
use crate::query::Predicate;
use crate::record::{Books, Ground, Recorder, files};
use crate::wire::json::write_response;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::world::line;
use bytes::Bytes;
use prost::Message as _;
use std::path::Path;
use std::sync::Arc;

/// Opens a file to record into, given what is known of the cluster. None of them waits for a disk.
pub type Start = Box<dyn Fn(&Path, Ground) -> Recorder>;

/// Begins the session's ring, given what is known of the cluster by then.
pub type Begin = Box<dyn FnOnce(Ground) -> Option<Recorder>>;

/// Rows of a saving between two questions whether time is up.
const SLICE: u64 = 128;

/// What became of a recording that was to end, and of one whose flows do not go on.
const RECORDED: &str = "recorded";
const TURNED: &str = "going to another time of the replay ended the recording: recorded";

/// Room that is kept for the next line.
const ROOM: usize = 64 << 10;

pub struct Tapes {
    start: Start,
    /// Until the first flow.
    begin: Option<Begin>,
    session: Option<Running>,
    named: Option<Running>,
    saving: Option<Saving>,
    closing: Vec<Closing>,
    ground: Ground,
    /// What of it was given before any source: a player that goes to another time begins with that again.
    given: Ground,
    /// Flows that are not in recordings that have ended, because the disk was behind or failed.
    missed: u64,
    /// Why there is no ring of this session.
    without: Option<String>,
    /// The line that is being made; its room is used again.
    line: Vec<u8>,
}

/// A recording, how many flows it was said to lack, and whether it was said that it has begun.
struct Running {
    to: Recorder,
    /// As it was typed.
    name: String,
    said: u64,
    opened: bool,
}

impl Running {
    fn new(to: Recorder, name: &str) -> Self {
        Self { to, name: name.to_owned(), said: 0, opened: false }
    }
}

/// A file that has been written but for what is on its way to the disk.
struct Closing {
    done: &'static str,
    to: Recorder,
    /// Rows whose frames were not held any more.
    gone: u64,
}

/// What is held goes to a file, a little at a time.
struct Saving {
    to: Recorder,
    next: u64,
    end: u64,
    filter: Sieve,
    /// Rows whose frames are not held any more.
    gone: u64,
}

impl Tapes {
    /// `begin`: begins the ring of this session, if there is to be one. `given`: what the engine was told before any source.
    pub fn new(start: Start, begin: Option<Begin>, given: &[At]) -> Self {
        let mut all = Self {
            start,
            begin,
            session: None,
            named: None,
            saving: None,
            closing: Vec::new(),
            ground: Ground::default(),
            given: Ground::default(),
            missed: 0,
            without: None,
            line: Vec::new(),
        };
        given.iter().for_each(|at| all.outlasting(at));
        all
    }

    /// Whether what is seen is kept beyond the screen.
    pub fn keeps(&self) -> bool {
        self.session.as_ref().is_some_and(|r| r.to.books().opened)
    }

    /// Why what is seen is not kept although it was to be; until that is asked.
    pub fn without(&mut self) -> Option<String> {
        self.without.take()
    }

    /// How many flows are not in the recordings that were to have them.
    pub fn missed(&self) -> u64 {
        let running = [&self.session, &self.named].into_iter().flatten().map(|r| &r.to);
        running.chain(self.closing.iter().map(|c| &c.to)).fold(self.missed, |n, to| n + to.books().missed)
    }

    /// What line 1 says.
    pub fn state(&self) -> Option<String> {
        let books = self.named.as_ref()?.to.books();
        Some(format!("rec {}", count(books.flows)))
    }

    /// A record, and what the engine has read of it.
    pub fn keep(&mut self, frame: &Frame, read: Option<&GetFlowsResponse>) {
        if frame.broken.is_some() {
            return;
        }
        if let Some(begin) = self.begin.take() {
            self.session = begin(self.ground.clone()).map(|to| Running::new(to, ""));
        }
        let mut kept = [&mut self.session, &mut self.named].into_iter().flatten().peekable();
        if kept.peek().is_none() {
            return;
        }
        // The line is made here, where the message lies read: to read it again where it is written costs more than all of this.
        let line = read.filter(|_| frame.codec == Codec::Hubble).map(|read| {
            write_response(read, &mut self.line);
            let bytes = Bytes::copy_from_slice(&self.line);
            self.line.clear();
            self.line.shrink_to(ROOM);
            Frame { codec: Codec::HubbleJson, bytes, ..frame.clone() }
        });
        kept.for_each(|r| r.to.frame(line.as_ref().unwrap_or(frame).clone()));
    }

    /// Anything else that happened, before the engine takes it.
    pub fn see(&mut self, input: &Input) {
        match input {
            Input::World(at) => self.world(at),
            // What was held goes, and with it what was still to be saved. What is played from now on was recorded before, or does not follow
            // on it: a flow stands once in a recording, beside the policies of its time.
            Input::Reset => {
                if let Some(s) = &mut self.saving {
                    s.gone += s.end.saturating_sub(s.next);
                    s.next = s.end;
                }
                self.stop(TURNED);
                self.ground = self.given.clone();
            }
            Input::Edited(edits) => edits.said().iter().for_each(|at| self.outlasting(at)),
            _ => {}
        }
    }

    /// The servers are asked for this from now on: what is recorded says so.
    pub fn asked(&mut self, text: &str, now: Nanos) {
        let at = Some(now).filter(|now| *now != Nanos::default());
        self.world(&At { cluster: Arc::from(""), at, change: Change::Asked(Arc::from(text)) });
    }

    /// What stays true wherever a player goes.
    fn outlasting(&mut self, at: &At) {
        self.given.take(at, line::write);
        self.world(at);
    }

    fn world(&mut self, at: &At) {
        self.ground.take(at, line::write);
        for r in [&mut self.session, &mut self.named].into_iter().flatten() {
            r.to.world(at);
        }
    }

    /// Hands over what has been gathered; a recording that has failed ends here.
    pub fn flush(&mut self) -> Option<(Tone, String)> {
        let mut said = None;
        for (r, session) in [(&mut self.session, true), (&mut self.named, false)] {
            let Some(running) = r else { continue };
            running.to.flush();
            let books = running.to.books();
            if !books.opened {
                continue;
            }
            let what = if session { "the session's ring" } else { "the recording" };
            if let Some(cause) = &books.failed {
                let path = running.to.path().display().to_string();
                said = Some((Tone::Error, format!("{what} ended: {cause}; {} can be read, the rest is held only here", path)));
                self.missed += books.missed + books.unrecorded;
                *r = None;
            } else if books.missed > running.said && (running.said == 0 || running.to.has_room()) {
                // Once when it begins, and once what it came to.
                running.said = books.missed;
                said = Some((Tone::Error, format!("the disk is behind: {what} lacks {}", many(books.missed, "flow"))));
            }
        }
        said.or_else(|| self.closed())
    }

    /// What has come to the disk since, one at a time.
    fn closed(&mut self) -> Option<(Tone, String)> {
        let i = self.closing.iter_mut().position(|c| c.to.ends())?;
        let closed = self.closing.remove(i);
        let books = closed.to.books();
        self.missed += books.missed + books.unrecorded;
        Some(finished(closed))
    }

    /// Begins to record, or ends what is being recorded.
    pub fn toggle(&mut self, path: Option<&str>) -> (Tone, String) {
        if let Some(path) = self.stop(RECORDED) {
            return self.closed().unwrap_or((Tone::Info, format!("closing {path}")));
        }
        let Some(path) = path else { return (Tone::Info, "nothing is being recorded".to_owned()) };
        self.named = Some(Running::new((self.start)(Path::new(path), self.ground.clone()), path));
        (Tone::Info, format!("opening {path}"))
    }

    /// Ends what was asked for, in such words. Its path, if there was any.
    fn stop(&mut self, done: &'static str) -> Option<String> {
        let Running { to, .. } = self.named.take()?;
        let path = to.path().display().to_string();
        self.closing.push(Closing { done, to, gone: 0 });
        Some(path)
    }

    /// What has come of opening files.
    fn opened(&mut self) -> Option<(Tone, String)> {
        // Nobody asked for the ring: without a place for it there is none, and the ledger says why.
        if let Some(r) = self.session.take_if(|r| !r.to.books().opened && r.to.books().failed.is_some()) {
            self.without = r.to.books().failed.clone();
        }
        let r = self.named.as_mut().filter(|r| !r.opened)?;
        let books = r.to.books();
        r.opened = books.opened;
        if books.opened {
            return Some((Tone::Info, format!("recording to {}; :record ends it", r.name)));
        }
        let failed = (Tone::Error, books.failed?);
        self.named = None;
        Some(failed)
    }

    /// Begins to write what is held and passes the filter.
    pub fn save(&mut self, path: &str, filter: Predicate, engine: &Engine) -> (Tone, String) {
        if self.saving.is_some() {
            return (Tone::Info, "another file is being saved".to_owned());
        }
        let (to, seqs) = ((self.start)(Path::new(path), self.ground.clone()), engine.store().seqs());
        self.saving = Some(Saving { to, next: seqs.start, end: seqs.end, filter: Sieve::new(filter), gone: 0 });
        (Tone::Info, format!("saving to {path}"))
    }

    /// Whether a file that was asked for is not whole yet, and nothing more comes to it.
    pub fn saves(&self) -> bool {
        self.saving.is_some() || !self.closing.is_empty()
    }

    /// How far the saving is: rows, and what has come to the disk.
    pub fn saved(&self) -> Option<(u64, u64)> {
        self.saving.as_ref().map(|s| (s.next, s.to.books().flows))
    }

    /// Ends everything: what is on its way gets its time, and what does not come to the disk is named.
    pub fn end(mut self, left: &mut Left) {
        if let Some(Saving { to, next, end, gone, .. }) = self.saving.take() {
            left.torn.push(format!("{} is not whole: {} not looked at", to.path().display(), many(end.saturating_sub(next), "row")));
            self.closing.push(Closing { done: "saved", to, gone });
        }
        self.stop(RECORDED);
        std::mem::take(&mut self.closing).into_iter().for_each(|c| left.take(finished(c)));
        if let Some(Running { to, .. }) = self.session.take() {
            let books = to.finish();
            // Nobody asked for the ring: that it ended early is no failure.
            left.done.extend(books.failed.map(|cause| format!("the session's ring ended early: {cause}")));
        }
    }

    /// Whether saving can go on at once.
    pub fn is_saving(&self) -> bool {
        self.saving.as_ref().is_some_and(|s| s.to.has_room())
    }

    /// Whether a disk is waited for.
    pub fn awaits(&self) -> bool {
        let opening = [&self.session, &self.named].into_iter().flatten().any(|r| !r.to.books().opened);
        opening || !self.closing.is_empty() || self.saving.is_some() && !self.is_saving()
    }

    /// Goes on saving while `more` allows; says so at the end.
    pub fn advance(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> Option<(Tone, String)> {
        if let Some(said) = self.opened().or_else(|| self.closed()) {
            return Some(said);
        }
        let s = self.saving.as_mut()?;
        s.to.flush();
        let from: Arc<str> = Arc::from("");
        // What fell out meanwhile is not there any more.
        let first = engine.store().seqs().start;
        s.gone += first.saturating_sub(s.next).min(s.end.saturating_sub(s.next));
        s.next = s.next.max(first);
        while s.next < s.end && s.to.books().failed.is_none() {
            if !s.to.has_room() {
                return None;
            }
            let seq = s.next;
            s.next += 1;
            if engine.matches(seq, &mut s.filter) {
                match engine.store().response(seq) {
                    Some(r) => {
                        let bytes = r.encode_to_vec().into();
                        s.to.frame(Frame { codec: Codec::Hubble, from: from.clone(), line: 0, bytes, broken: None });
                    }
                    None => s.gone += 1,
                }
            }
            if s.next.is_multiple_of(SLICE) && !more() {
                return None;
            }
        }
        let Saving { to, gone, .. } = self.saving.take()?;
        self.closing.push(Closing { done: "saved", to, gone });
        None
    }
}

/// What became of the files when the screen was left.
#[derive(Debug, Default)]
pub struct Left {
    /// What is whole, in sentences.
    pub done: Vec<String>,
    /// What lacks something.
    pub torn: Vec<String>,
    /// Why the screen could not go on, unless somebody left it.
    pub broken: Option<Error>,
}

impl Left {
    pub fn take(&mut self, (tone, text): (Tone, String)) {
        if tone == Tone::Error { self.torn.push(text) } else { self.done.push(text) }
    }
}

/// Writes a text to a file that is not there yet: nothing is written over.
pub fn write(path: &str, text: &str) -> (Tone, String) {
    match files::whole(Path::new(path), text) {
        Ok(()) => (Tone::Info, format!("saved {} to {path}", many(text.lines().count() as u64, "line"))),
        Err(e) => (Tone::Error, format!("cannot write {path}: {e}")),
    }
}

fn finished(Closing { done, to, gone }: Closing) -> (Tone, String) {
    let path = to.path().display().to_string();
    let Books { flows, failed, unrecorded, missed, opened, .. } = to.finish();
    if let (false, Some(cause)) = (opened, &failed) {
        return (Tone::Error, if cause.contains(&path) { cause.clone() } else { format!("{path} was not written: {cause}") });
    }
    if let Some(cause) = failed {
        return (Tone::Error, format!("{path} ended early: {cause}; not in it: {}", many(unrecorded, "flow")));
    }
    let mut text = format!("{done} {} to {path}", many(flows, "flow"));
    if gone > 0 {
        text.push_str(&format!("; {} were not held any more", count(gone)));
    }
    if missed > 0 {
        text.push_str(&format!("; {} are not in it, the disk was behind", count(missed)));
    }
    (Tone::Info, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Nanos;
    use crate::record::{Keep, Options};
    use crate::wire::pb::flow::Flow;
    use crate::wire::pb::observer::get_flows_response::ResponseTypes;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_recording_that_a_hanging_disk_tears_is_named_when_the_screen_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Mutex::new(()));
        let mut t = Tapes::new(hanging(&disk), None, &[]);
        let path = dir.path().join("r.jsonl");
        assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
        let held = disk.lock().unwrap();
        (0..300).for_each(|_| t.keep(&flow(), None));
        let mut left = Left::default();
        t.end(&mut left);
        drop(held);
        let said = format!("{} ended early: the disk does not answer; not in it: 300 flows", path.display());
        assert_eq!((left.torn, left.done), (vec![said], Vec::new()));
    }

    /// A disk that hangs while the lock is held.
    fn hanging(disk: &Arc<Mutex<()>>) -> Start {
        let disk = disk.clone();
        Box::new(move |path, ground| {
            let (hangs, begun) = (disk.clone(), AtomicBool::new(false));
            let clock = move || {
                if begun.swap(true, Ordering::Relaxed) {
                    drop(hangs.lock());
                }
                Nanos(0)
            };
            opened(path, move |path| Options { path, keep: Keep::One, redact: None, ground, waits: false, clock: Arc::new(clock) })
        })
    }

    /// A recorder with its file open.
    fn opened(path: &Path, options: impl FnOnce(std::path::PathBuf) -> Options + Send + 'static) -> Recorder {
        let to = Recorder::open(path.to_owned(), |path| Ok(options(path)));
        while !to.books().opened {
            std::thread::yield_now();
        }
        to
    }

    #[test]
    fn a_disk_that_hangs_while_a_file_is_opened_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Mutex::new(()));
        let hangs = disk.clone();
        let start: Start = Box::new(move |path, ground| {
            let hangs = hangs.clone();
            Recorder::open(path.to_owned(), move |path| {
                drop(hangs.lock());
                Ok(Options { path, keep: Keep::One, redact: None, ground, waits: false, clock: Arc::new(|| Nanos(0)) })
            })
        });
        let mut t = Tapes::new(start, None, &[]);
        let engine = Engine::new(crate::engine::Options::default());
        let path = dir.path().join("r.jsonl");
        let held = disk.lock().unwrap();
        assert_eq!(t.toggle(path.to_str()), (Tone::Info, format!("opening {}", path.display())));
        (0..300).for_each(|_| t.keep(&flow(), None));
        assert!(t.advance(&engine, &mut || true).is_none() && t.flush().is_none() && t.awaits());
        drop(held);
        let wait = |t: &mut Tapes| loop {
            if let Some((tone, said)) = t.advance(&engine, &mut || true) {
                break (tone, said);
            }
            std::thread::yield_now();
        };
        assert_eq!(wait(&mut t), (Tone::Info, format!("recording to {}; :record ends it", path.display())));
        let (_, mut said) = t.toggle(None);
        if !said.starts_with("recorded ") {
            said = wait(&mut t).1;
        }
        assert_eq!(said, format!("recorded 300 flows to {}", path.display()), "nothing that came meanwhile is lost");
        // What cannot be opened is told, and nothing is recorded.
        assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
        let (tone, said) = wait(&mut t);
        assert!(tone == Tone::Error && said.contains("the file exists") && t.state().is_none(), "{said}");
    }

    #[test]
    fn what_was_asked_for_stands_where_it_changed_and_at_the_beginning_of_what_is_recorded_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut t = Tapes::new(hanging(&Arc::default()), None, &[]);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        t.toggle(dir.path().join("one.jsonl").to_str());
        t.keep(&flow(), None);
        t.asked("ns:shop", Nanos(1));
        t.keep(&flow(), None);
        t.toggle(None);
        t.toggle(dir.path().join("two.jsonl").to_str());
        t.keep(&flow(), None);
        t.end(&mut Left::default());
        let asked = r#"{"world":{"time":"1970-01-01T00:00:00.000000001Z","asked":"ns:shop"}}"#;
        let (one, two) = (read("one.jsonl"), read("two.jsonl"));
        let lines: Vec<&str> = one.lines().filter(|l| !l.contains("snapshot")).collect();
        assert!(lines.len() == 3 && lines[1] == asked, "{one}");
        assert_eq!(two.lines().position(|l| l == asked), Some(1), "{two}");
    }

    #[test]
    fn a_step_back_in_a_replay_ends_the_recording_so_that_no_flow_is_in_it_twice() {
        let dir = tempfile::tempdir().unwrap();
        let policy = |name: &str| {
            let yaml = format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{}}}}\n"
            );
            Arc::new(crate::world::yaml::read(name, &yaml).0.remove(0))
        };
        let said = |at, name: &str| At { cluster: Arc::from(""), at, change: Change::Apply(policy(name)) };
        let mut t = Tapes::new(hanging(&Arc::default()), None, &[said(None, "given")]);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        t.toggle(dir.path().join("one.jsonl").to_str());
        let played = |t: &mut Tapes, upto: usize| {
            t.keep(&flow(), None);
            if upto > 1 {
                t.see(&Input::World(said(Some(Nanos(9)), "later")));
                t.keep(&flow(), None);
            }
        };
        played(&mut t, 2);
        t.see(&Input::Reset);
        played(&mut t, 1);
        assert_eq!(t.state(), None, "line 1 does not say that it goes on");
        let (tone, text) = loop {
            if let Some(said) = t.flush() {
                break said;
            }
            std::thread::yield_now();
        };
        let path = dir.path().join("one.jsonl");
        assert_eq!((tone, text), (Tone::Info, format!("{TURNED} 2 flows to {}", path.display())));
        t.toggle(dir.path().join("two.jsonl").to_str());
        played(&mut t, 2);
        t.end(&mut Left::default());
        let flows = |text: &str| text.lines().filter(|l| l.contains("\"flow\"")).count();
        let (one, two) = (read("one.jsonl"), read("two.jsonl"));
        assert_eq!((flows(&one), flows(&two)), (2, 2));
        // What is not there yet at that time stands where it comes, behind the first flow.
        let at = |text: &str, what: &str| text.lines().position(|l| l.contains(what));
        assert!(at(&two, "given") < at(&two, "\"flow\"") && at(&two, "\"flow\"") < at(&two, "later"), "{two}");
    }

    fn flow() -> Frame {
        let bytes = r#"{"flow":{},"time":"2026-01-31T14:00:00Z"}"#.into();
        Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes, broken: None }
    }

    #[test]
    fn a_large_line_does_not_keep_its_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut t = Tapes::new(hanging(&Arc::default()), None, &[]);
        t.toggle(dir.path().join("r.jsonl").to_str());
        let response = |uuid: String| {
            let flow = Flow { uuid, ..Flow::default() };
            GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() }
        };
        let frame = Frame { codec: Codec::Hubble, ..flow() };
        t.keep(&frame, Some(&response("x".to_owned())));
        assert!((1..=ROOM).contains(&t.line.capacity()), "used again");
        t.keep(&frame, Some(&response("x".repeat(1 << 20))));
        assert!(t.line.capacity() <= ROOM, "{}", t.line.capacity());
        let mut left = Left::default();
        t.end(&mut left);
        assert_eq!((left.done.len(), left.torn), (1, Vec::new()), "both are there");
        let text = std::fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
        assert_eq!(text.lines().filter(|l| l.contains("\"flow\"")).map(|l| l.len() >> 20).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn what_a_hanging_disk_costs_is_said_once_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Mutex::new(()));
        let mut t = Tapes::new(hanging(&disk), None, &[]);
        let path = dir.path().join("r.jsonl");
        assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
        let held = disk.lock().unwrap();
        for _ in 0..40_000 {
            t.keep(&flow(), None);
        }
        let missed = t.missed();
        // Where the thread begins late it takes one batch more, with all that was held.
        assert!(missed > 1_000, "{missed}");
        assert_eq!(t.flush().unwrap().1, format!("the disk is behind: the recording lacks {}", many(missed, "flow")));
        assert_eq!(t.flush(), None);
        drop(held);
        let (_, mut said) = t.toggle(None);
        while !said.starts_with("recorded ") {
            std::thread::yield_now();
            said = t.flush().map_or(said, |(_, text)| text);
        }
        assert!(said.ends_with(&format!("; {} are not in it, the disk was behind", count(missed))), "{said}");
        assert_eq!((t.missed(), t.awaits()), (missed, false));
    }
}
