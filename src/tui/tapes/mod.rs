//! What is recorded while the screen is open: the session's ring, what `:record` asks for, what `:save` writes.
//!
//! Owns the writers, none of which is waited for. A disk that fails ends its recording with a message and nothing else, one that is behind
//! costs the recording some flows, which are counted. Draws nothing; the loop hands it everything that happens, and the messages that come
//! back go to the last line. Rows that are saved are `saving`'s; what became of a file is told by `closing`.
mod closing;
mod saving;

pub use closing::{Left, write};

use super::model::Tone;
use crate::engine::Engine;
use crate::model::input::{At, Change, Codec, Frame, Input};
use crate::model::time::Nanos;
use crate::model::words::{count, many};
use crate::query::Predicate;
use crate::record::{Ground, Recorder};
use crate::wire::json::write_response;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::world::line;
use bytes::Bytes;
use closing::Closing;
use saving::Saving;
use std::path::Path;
use std::sync::Arc;

/// Opens a file to record into, given what is known of the cluster. None of them waits for a disk.
pub type Start = Box<dyn Fn(&Path, Ground) -> Recorder>;

/// Begins the session's ring, given what is known of the cluster by then.
pub type Begin = Box<dyn FnOnce(Ground) -> Option<Recorder>>;

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
                self.saving.iter_mut().for_each(Saving::forget);
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
        Some(closed.finish())
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
        let to = (self.start)(Path::new(path), self.ground.clone());
        self.saving = Some(Saving::new(to, filter, engine));
        (Tone::Info, format!("saving to {path}"))
    }

    /// Whether a file that was asked for is not whole yet, and nothing more comes to it.
    pub fn saves(&self) -> bool {
        self.saving.is_some() || !self.closing.is_empty()
    }

    /// How far the saving is: rows, and what has come to the disk.
    pub fn saved(&self) -> Option<(u64, u64)> {
        self.saving.as_ref().map(Saving::progress)
    }

    /// Ends everything: what is on its way gets its time, and what does not come to the disk is named.
    pub fn end(mut self, left: &mut Left) {
        if let Some(saving) = self.saving.take() {
            left.torn.push(saving.torn());
            self.closing.push(saving.close());
        }
        self.stop(RECORDED);
        std::mem::take(&mut self.closing).into_iter().for_each(|c| left.take(c.finish()));
        if let Some(Running { to, .. }) = self.session.take() {
            let books = to.finish();
            // Nobody asked for the ring: that it ended early is no failure.
            left.done.extend(books.failed.map(|cause| format!("the session's ring ended early: {cause}")));
        }
    }

    /// Whether saving can go on at once.
    pub fn is_saving(&self) -> bool {
        self.saving.as_ref().is_some_and(Saving::has_room)
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
        let saving = self.saving.take_if(|s| s.advance(engine, more))?;
        self.closing.push(saving.close());
        None
    }
}

#[cfg(test)]
mod tests;
