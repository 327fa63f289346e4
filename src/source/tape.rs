//! Several recordings as one: the segments of each one after the other, the recordings merged by the time of their lines.
//!
//! Owns the order, and the cluster's state that stands between the flows: it comes out as changes, what a snapshot repeats left out; and that
//! no recording covers the time between one that ends and the next. Must not decode a flow. A line without a time keeps its place behind the one before it; a recording is not sorted in itself.
use super::Stop;
use super::apart;
use super::feed::{Feed, Gone};
use super::file::Recording;
use crate::error::Error;
use crate::model::input::{At, Change, Frame, Gap, Input};
use crate::model::time::Nanos;
use crate::record::rejoin::Rejoin;
use crate::record::set;
use crate::wire::clock::time_of;
use crate::wire::ids;
use crate::world::line;
use std::collections::VecDeque;
use std::sync::Arc;

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// A line, and its time where it has one.
    Line(Frame, Option<Nanos>),
    /// A line of which only what it teaches counts: a player makes it of one that it passes over.
    Learnt(Frame),
    /// The same where a recording has it of a record that is not in it: no line of its own.
    Taught(Frame),
    /// Not even that, but for its time.
    Passed(Option<Nanos>),
    /// What a line of the cluster's state says that is news.
    Changes(Vec<At>),
    /// A file came to its end; `Err` if it could not be read to it. Others go on.
    End(Arc<str>, Result<(), String>),
}

/// Recordings to be read together.
pub struct Tape {
    tracks: Vec<Track>,
    /// The latest time of a record that was handed out.
    upto: Option<Nanos>,
}

/// One recording: its files in order.
struct Track {
    files: VecDeque<Recording>,
    state: Rejoin,
    head: Option<(Frame, Option<Nanos>)>,
    /// How a file ended that has not been told yet.
    ended: Option<(Arc<str>, Result<(), String>)>,
    /// The time of the line before.
    at: Option<Nanos>,
    /// Its first line was read for its time only; the file is opened again when its turn comes.
    waits: bool,
    /// What travels on the record at hand has been handed out.
    taught: bool,
    /// A line of its state was read.
    begun: bool,
    /// A record of it, with a time, was handed out.
    told: bool,
    /// It is over, and that nothing is known since has been said.
    outlived: bool,
}

impl Tape {
    /// Looks at everything at once: a wrong name is told before the first flow, not after an hour. But only those are open at a time
    /// whose times meet.
    pub fn open(paths: &[String]) -> Result<Self, Error> {
        let open = |files: Vec<String>| files.iter().map(|f| Recording::open(f)).collect::<Result<_, _>>();
        let mut tracks: Vec<_> = set::recordings(paths).into_iter().map(|f| open(f).map(Track::new)).collect::<Result<_, _>>()?;
        if tracks.len() > 1 {
            tracks.iter_mut().try_for_each(Track::put_by)?;
            let first: Vec<_> = tracks.iter().map(|t| t.files.front().filter(|f| !f.is_live()).map(Recording::name)).collect();
            for (track, names) in tracks.iter_mut().zip(apart::names(&first)) {
                track.state.call(names);
            }
        }
        Ok(Self { tracks, upto: None })
    }

    /// Recordings that are open already, each by itself.
    pub fn of(recordings: Vec<Recording>) -> Self {
        Self { tracks: recordings.into_iter().map(|r| Track::new(VecDeque::from([r]))).collect(), upto: None }
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.tracks.iter().flat_map(|t| t.files.iter().map(Recording::name)).collect()
    }

    /// The latest time of all, where every recording tells it before it is read.
    pub fn last_time(&self) -> Option<Nanos> {
        let each = self.tracks.iter().map(|t| t.files.back().filter(|f| !f.is_live()).and_then(Recording::last_time));
        each.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Whether reading may block for long.
    pub fn is_live(&self) -> bool {
        self.tracks.iter().any(|t| t.files.front().is_some_and(Recording::is_live))
    }

    /// Whether the next one is there without reading.
    pub fn is_ready(&mut self) -> bool {
        self.tracks.iter_mut().all(Track::is_ready)
    }

    /// The next of a recording; before its first record, whether the recordings before ended a while ago: of the time between there is none.
    fn next_of(&mut self, place: usize) -> Option<Next> {
        let (before, rest) = self.tracks.split_at_mut(place);
        let (track, after) = rest.split_first_mut()?;
        // It goes on after those of its clusters that are over. Others, of the same time, are merged.
        let mut over = |cluster: &Arc<str>| {
            let over = before.iter_mut().chain(&mut *after).filter(|t| t.is_over());
            over.filter_map(|t| t.state.hand_over(cluster)).collect()
        };
        let next = track.next(&mut over);
        let Some(Next::Line(_, Some(at))) = next else { return next };
        let (first, from) = (!std::mem::replace(&mut track.told, true), self.upto);
        self.upto = from.max(Some(at));
        let after = from.filter(|from| first && at.since(*from) >= Nanos::SECOND);
        let alone = |(i, t): (usize, &Track)| i == place || !t.told || t.is_over();
        let Some(from) = after.filter(|_| self.tracks.iter().enumerate().all(alone)) else { return next };
        let track = self.tracks.get_mut(place)?;
        if let Some(Next::Line(frame, at)) = next {
            // What travels on it is out already.
            (track.head, track.taught) = (Some((frame, at)), true);
        }
        let gap = Gap { server: Arc::from(""), node: String::new(), from, until: at };
        Some(Next::Changes(vec![At { cluster: Arc::from(""), at: Some(at), change: Change::Gap(Arc::new(gap)) }]))
    }

    /// A record of a file without any state, as far as it was read, that is of a later time than recordings that are over: what these knew
    /// is not known of it.
    fn outlive(&mut self, place: usize) -> Option<Vec<At>> {
        if !self.tracks.iter().any(|t| t.begun && !t.outlived && t.is_over()) {
            return None;
        }
        let at = self.tracks.get(place).filter(|t| !t.begun && !t.waits && !t.is_state()).and_then(|t| t.head.as_ref()?.1)?;
        let (mut over, others): (Vec<&mut Track>, Vec<&mut Track>) =
            self.tracks.iter_mut().filter(|t| t.begun && !t.outlived).partition(|t| t.is_over());
        let mut out = Vec::new();
        for track in &mut over {
            if let Some(lapses) = track.state.outlived(at, |of| others.iter().any(|t| t.state.knows(of))) {
                track.outlived = true;
                out.extend(lapses);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// Everything into the feed, on the calling thread.
    pub fn pump(mut self, feed: &mut Feed, stop: &Stop) -> Result<(), Gone> {
        let live = self.is_live();
        loop {
            if stop.is_cancelled() {
                return feed.blocking_flush();
            }
            if live && !self.is_ready() {
                feed.blocking_flush()?;
            }
            match self.next() {
                Some(Next::Line(frame, _)) => feed.blocking_send(Input::Frame(frame))?,
                Some(Next::Changes(all)) => {
                    for at in all {
                        feed.blocking_send(Input::World(at))?;
                    }
                }
                Some(Next::End(name, how)) => feed.blocking_send(Input::End(name, how))?,
                Some(Next::Taught(frame)) => feed.blocking_send(Input::Learnt(frame))?,
                Some(Next::Learnt(_) | Next::Passed(_)) => {}
                None => return feed.blocking_flush(),
            }
        }
    }
}

impl Iterator for Tape {
    type Item = Next;

    /// The next one of all; `None` when everything has been read.
    fn next(&mut self) -> Option<Next> {
        loop {
            let mut first: Option<(usize, Option<Nanos>)> = None;
            for (i, track) in self.tracks.iter_mut().enumerate() {
                track.fill();
                if track.ended.is_some() {
                    first = Some((i, None));
                    break;
                }
                // Of equal times the recording that was named first; what has no time yet goes at once.
                if (track.waits || track.head.is_some()) && first.is_none_or(|(_, at)| track.at < at) {
                    first = Some((i, track.at));
                }
            }
            let place = first?.0;
            if let Some(lapses) = self.outlive(place) {
                return Some(Next::Changes(lapses));
            }
            let track = self.tracks.get_mut(place)?;
            if !std::mem::take(&mut track.waits) {
                return self.next_of(place);
            }
        }
    }
}

impl Track {
    fn new(files: VecDeque<Recording>) -> Self {
        Self {
            files,
            state: Rejoin::default(),
            head: None,
            ended: None,
            at: None,
            waits: false,
            taught: false,
            begun: false,
            told: false,
            outlived: false,
        }
    }

    /// Whether the next line is one of state.
    fn is_state(&self) -> bool {
        self.head.as_ref().is_some_and(|(frame, _)| line::inside(&frame.bytes).is_some())
    }

    /// Whether it was read to its end.
    fn is_over(&self) -> bool {
        self.files.is_empty() && self.head.is_none() && self.ended.is_none()
    }

    /// Closes the file again, now that the time of its first line is known.
    fn put_by(&mut self) -> Result<(), Error> {
        if self.files.front().is_none_or(Recording::is_live) {
            return Ok(());
        }
        self.fill();
        if let (Some(_), Some(file)) = (self.head.take(), self.files.front_mut()) {
            *file = Recording::open(&file.name())?;
            self.waits = true;
        }
        Ok(())
    }

    fn is_ready(&mut self) -> bool {
        if self.head.is_none()
            && !self.waits
            && let Some(frame) = self.files.front_mut().and_then(Recording::buffered_frame)
        {
            self.take(frame);
        }
        self.waits || self.head.is_some() || self.ended.is_some() || self.files.is_empty()
    }

    /// Reads on until there is a line, or an end to be told.
    fn fill(&mut self) {
        if self.waits || self.head.is_some() || self.ended.is_some() {
            return;
        }
        let Some(file) = self.files.front_mut() else { return };
        let how = match file.buffered_frame().map_or_else(|| file.next_frame(), |f| Ok(Some(f))) {
            Ok(Some(frame)) => return self.take(frame),
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        self.ended = Some((file.name(), how));
        self.files.pop_front();
    }

    fn take(&mut self, frame: Frame) {
        let at = time_of(&frame.bytes);
        // The state of a snapshot is as old as it is, but stands where it stands.
        self.at = if line::inside(&frame.bytes).is_some() { self.at.max(at) } else { at.or(self.at) };
        self.head = Some((frame, at));
    }

    fn next(&mut self, over: &mut dyn FnMut(&Arc<str>) -> Vec<Rejoin>) -> Option<Next> {
        if let Some((name, how)) = self.ended.take() {
            return Some(Next::End(name, how));
        }
        let (mut frame, at) = self.head.take()?;
        let text = line::inside(&frame.bytes);
        let Some(text) = text.filter(|_| frame.broken.is_none()) else {
            // What travels on a record comes before it, also where a player passes over the record.
            let carried = if self.taught { None } else { ids::carried(frame.codec, &frame.bytes) };
            if let Some(carried) = carried {
                (self.head, self.taught) = (Some((frame, at)), true);
                return Some(Next::Changes(vec![carried]));
            }
            self.taught = false;
            self.state.saw(at);
            return Some(Next::Line(frame, at));
        };
        self.begun = true;
        if let Some(record) = line::learnt(text) {
            let bytes = frame.bytes.slice_ref(record);
            return Some(if self.state.teaches() { Next::Taught(Frame { bytes, ..frame }) } else { Next::Changes(Vec::new()) });
        }
        match self.state.take(text, over) {
            Ok(changes) => Some(Next::Changes(changes)),
            Err(why) => {
                frame.broken = Some(why);
                Some(Next::Line(frame, at))
            }
        }
    }
}
