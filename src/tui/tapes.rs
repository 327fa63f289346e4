//! What is recorded while the screen is open: the session's ring, what `:record` asks for, what `:save` writes.
//!
//! Owns the writers. A disk that fails ends its recording with a message and nothing else. Draws nothing; the loop hands it everything
//! that happens, and the messages that come back go to the last line.
use super::model::Tone;
use crate::engine::Engine;
use crate::error::Error;
use crate::model::input::{At, Change, Codec, Edited, Frame, Input};
use crate::model::words::count;
use crate::query::Predicate;
use crate::record::{Books, Ground, Recorder};
use crate::world::line;
use prost::Message as _;
use std::path::Path;
use std::sync::Arc;

/// Opens a file to record into, given what is known of the cluster.
pub type Start = Box<dyn Fn(&Path, Ground) -> Result<Recorder, Error>>;

/// Begins the session's ring, given what is known of the cluster by then.
pub type Begin<'a> = Box<dyn FnOnce(Ground) -> Option<Recorder> + 'a>;

/// Rows of a saving between two questions whether time is up.
const SLICE: u64 = 128;

pub struct Tapes<'a> {
    start: Start,
    /// Until the first flow.
    begin: Option<Begin<'a>>,
    session: Option<Recorder>,
    named: Option<Recorder>,
    saving: Option<Saving>,
    ground: Ground,
}

/// What is held goes to a file, a little at a time.
struct Saving {
    to: Recorder,
    next: u64,
    end: u64,
    filter: Predicate,
    /// Rows whose frames are not held any more.
    gone: u64,
}

impl<'a> Tapes<'a> {
    /// `begin`: begins the ring of this session, if there is to be one. `given`: what the engine was told before any source.
    pub fn new(start: Start, begin: Option<Begin<'a>>, given: &[At]) -> Self {
        let mut all = Self { start, begin, session: None, named: None, saving: None, ground: Ground::default() };
        given.iter().for_each(|at| all.world(at));
        all
    }

    /// Whether what is seen is kept beyond the screen.
    pub fn keeps(&self) -> bool {
        self.session.is_some()
    }

    /// What line 1 says.
    pub fn state(&self) -> Option<String> {
        let books = self.named.as_ref()?.books();
        Some(format!("rec {}", count(books.flows)))
    }

    /// One thing that happened, before the engine takes it.
    pub fn see(&mut self, input: &Input) {
        match input {
            Input::Frame(f) if f.broken.is_none() => {
                if let Some(begin) = self.begin.take() {
                    self.session = begin(self.ground.clone());
                }
                for r in [&mut self.session, &mut self.named].into_iter().flatten() {
                    r.frame(f.clone());
                }
            }
            Input::World(at) => self.world(at),
            // A recording keeps the manifests that were given at its begin; one that begins later has those of then.
            Input::Edited(edits) => edits.files.iter().filter(|f| !f.pairs.is_empty()).for_each(|f| self.edited(f)),
            _ => {}
        }
    }

    fn edited(&mut self, file: &Edited) {
        self.ground.forget(&file.file);
        for doc in file.pairs.iter().filter_map(|(_, new)| new.as_ref()) {
            self.ground.take(&At { cluster: Arc::from(""), at: None, change: Change::Apply(doc.clone()) }, line::write);
        }
    }

    fn world(&mut self, at: &At) {
        self.ground.take(at, line::write);
        for r in [&mut self.session, &mut self.named].into_iter().flatten() {
            r.world(at);
        }
    }

    /// Hands over what has been gathered; a recording that has failed ends here.
    pub fn flush(&mut self) -> Option<(Tone, String)> {
        let mut said = None;
        for (r, session) in [(&mut self.session, true), (&mut self.named, false)] {
            let Some(recorder) = r else { continue };
            recorder.flush();
            let books = recorder.books();
            if let Some(cause) = &books.failed {
                let what = if session { "the session's ring" } else { "the recording" };
                let path = recorder.path().display().to_string();
                said = Some((Tone::Error, format!("{what} ended: {cause}; {} can be read, the rest is held only here", path)));
                *r = None;
            }
        }
        said
    }

    /// Begins to record, or ends what is being recorded.
    pub fn toggle(&mut self, path: Option<&str>) -> (Tone, String) {
        if let Some(r) = self.named.take() {
            return finished("recorded", r, 0);
        }
        let Some(path) = path else { return (Tone::Info, "nothing is being recorded".to_owned()) };
        match (self.start)(Path::new(path), self.ground.clone()) {
            Ok(r) => {
                self.named = Some(r);
                (Tone::Info, format!("recording to {path}; :record ends it"))
            }
            Err(e) => (Tone::Error, e.line()),
        }
    }

    /// Begins to write what is held and passes the filter.
    pub fn save(&mut self, path: &str, filter: Predicate, engine: &Engine) -> (Tone, String) {
        if self.saving.is_some() {
            return (Tone::Info, "another file is being saved".to_owned());
        }
        match (self.start)(Path::new(path), self.ground.clone()) {
            Ok(to) => {
                let seqs = engine.store().seqs();
                self.saving = Some(Saving { to, next: seqs.start, end: seqs.end, filter, gone: 0 });
                (Tone::Info, format!("saving to {path}"))
            }
            Err(e) => (Tone::Error, e.line()),
        }
    }

    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Goes on saving while `more` allows; says so at the end.
    pub fn advance(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> Option<(Tone, String)> {
        let s = self.saving.as_mut()?;
        let from: Arc<str> = Arc::from("");
        // What fell out meanwhile is not there any more.
        let first = engine.store().seqs().start;
        s.gone += first.saturating_sub(s.next).min(s.end.saturating_sub(s.next));
        s.next = s.next.max(first);
        while s.next < s.end && s.to.books().failed.is_none() {
            let seq = s.next;
            s.next += 1;
            if engine.matches(seq, &s.filter) {
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
        self.saving.take().map(|s| finished("saved", s.to, s.gone))
    }
}

/// Writes a text to a file that is not there yet: nothing is written over.
pub fn write(path: &str, text: &str) -> (Tone, String) {
    let made = std::fs::File::create_new(path).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()));
    match made {
        Ok(()) => (Tone::Info, format!("saved {} lines to {path}", count(text.lines().count() as u64))),
        Err(e) => (Tone::Error, format!("cannot write {path}: {e}")),
    }
}

fn finished(done: &str, r: Recorder, gone: u64) -> (Tone, String) {
    let path = r.path().display().to_string();
    let Books { flows, failed, unrecorded, .. } = r.finish();
    if let Some(cause) = failed {
        return (Tone::Error, format!("{path} ended early: {cause}; {} flows are not in it", count(unrecorded)));
    }
    let mut text = format!("{done} {} flows to {path}", count(flows));
    if gone > 0 {
        text.push_str(&format!("; {} were not held any more", count(gone)));
    }
    (Tone::Info, text)
}
