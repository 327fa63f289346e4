//! `flowhy record`: what a source says goes to the disk, until it ends or somebody has had enough.
//!
//! Owns the wiring of the engine's filter to the writer, and the closing words. What a recording is belongs to `record`.
use super::{headless, say};
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::model::input::{At, Change, Frame, Input};
use crate::model::ledger::Ledger;
use crate::model::time::Nanos;
use crate::model::view::{Field, Value, in_window, time_of};
use crate::model::words::count;
use crate::plan::record::Record;
pub use crate::record::Options;
use crate::record::files::bytes;
use crate::record::redact::Redact;
use crate::record::{Around, Books, Ground, Keep, Recorder, set};
use crate::source::feed::Inbox;
use crate::tui::Left;
use crate::wire::clock::time_of as time_of_line;
use crate::wire::response::Response;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// The wire's number of a dropped flow, and the tag of a DNS record.
const DROPPED: i64 = 2;
const DNS: i64 = 100;

/// `given`: the manifests that the engine has been told of already.
pub async fn record(mut engine: Engine, mut inbox: Inbox, r: Record, given: Vec<Change>, stop: &CancellationToken) -> Result<u8, Error> {
    let goes_on = r.keep != Keep::One && !set::segments(&r.path).is_empty();
    let mut recorder = Recorder::start(options(r.path.clone(), r.keep, r.redact))?;
    let mut around = r.around.map(|(before, after)| Around::new(before, after));
    for change in given {
        let Input::World(at) = change.into() else { continue };
        recorder.world(&at);
    }
    let limits = limits(engine.admit().text(), around.is_some());
    // What lies before may have held less, or other things.
    if goes_on || !limits.is_empty() {
        recorder.world(&At { cluster: Arc::from(""), at: None, change: Change::Asked(Arc::from(&*limits)) });
    }
    let (recorder, mut notices) = (std::cell::RefCell::new(recorder), 0);
    let result = headless::pump(
        &mut engine,
        &mut inbox,
        stop,
        r.quiet,
        |engine, input| {
            let mut recorder = recorder.borrow_mut();
            let frame = match &input {
                Input::Frame(f) => Some(f.clone()),
                // Of what was left out once already more is left out now.
                Input::World(At { change: Change::Asked(filter), cluster, at }) if !limits.is_empty() => {
                    let both = [filter, limits.as_str()].into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>().join(" and ");
                    recorder.world(&At { cluster: cluster.clone(), at: *at, change: Change::Asked(Arc::from(both)) });
                    None
                }
                Input::World(at) => {
                    recorder.world(at);
                    None
                }
                // Of what was left out before it was recorded.
                Input::Learnt(f) => {
                    recorder.learnt(f.clone());
                    None
                }
                Input::Edited(edits) => {
                    edits.said().iter().for_each(|at| recorder.world(at));
                    None
                }
                _ => None,
            };
            let (mut admitted, events) = (None, engine.ledger().events());
            engine.feed(input, &mut |e| admitted = Some(Seen::of(&e.response)));
            // Events of agents pass no filter of flows, and are kept where there is none.
            if let Some(f) = frame.as_ref().filter(|_| engine.ledger().events() > events && engine.admit().is_all()) {
                admitted = Some(Seen { at: time_of_line(&f.bytes), drop: false, dns: false, notice: false })
                    .filter(|s| s.at.is_none_or(|at| in_window(r.window, at)));
            }
            match (frame, admitted) {
                (Some(frame), Some(seen)) => {
                    notices += u64::from(seen.notice);
                    put(frame, &seen, &mut around, &mut recorder);
                }
                // A DNS answer that the filter refuses names the addresses of what it lets through.
                (Some(frame), None) => recorder.learnt(frame),
                (None, _) => {}
            }
            Ok(recorder.books().failed.is_none())
        },
        || {
            recorder.borrow_mut().flush();
            Ok(())
        },
    )
    .await;
    let books = recorder.into_inner().finish();
    let ended = result.and_then(|()| headless::finish(engine.ended()));
    if let Some(cause) = &books.failed {
        return Err(Error::new(Kind::Output, format!("the recording {} ended early", r.path.display()))
            .cause(format!("{cause}; {} of what had come is not in it", count(books.unrecorded)))
            .hint("what was written before can be read"));
    }
    // A file in which nothing could be recorded, because there was no source, is not left lying about.
    if ended.is_err() && books.flows == 0 {
        if r.keep == Keep::One {
            let _ = std::fs::remove_file(&r.path);
        }
        return ended;
    }
    if !r.quiet {
        say::ledger(engine.ledger(), engine.notes());
        say::say("note", &closing(&r.path, &books, notices, around.as_ref(), engine.ledger()));
    }
    ended
}

/// What is recorded of what there is, in words; empty: all of it.
fn limits(filter: &str, around: bool) -> String {
    let around = if around { "what surrounds drops" } else { "" };
    [filter, around].into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join(", ")
}

fn put(frame: Frame, seen: &Seen, around: &mut Option<Around>, recorder: &mut Recorder) {
    match around {
        // Names and explanations need DNS answers, however long ago they were; what was lost is lacking wherever that was.
        Some(around) if !seen.dns && !seen.notice => around.take(seen.at, seen.drop, frame, &mut |f| recorder.frame(f)),
        _ => recorder.frame(frame),
    }
}

/// What decides whether a record is kept.
struct Seen {
    at: Option<Nanos>,
    drop: bool,
    dns: bool,
    /// Lost events, or how a node fares.
    notice: bool,
}

impl Seen {
    fn of(r: &Response<'_>) -> Self {
        let Some(flow) = r.flow() else { return Self { at: None, drop: false, dns: false, notice: true } };
        let is = |f, n| matches!(flow.field(f), Value::Int(i) if i == n);
        Self { at: Some(time_of(flow)), drop: is(Field::Verdict, DROPPED), dns: is(Field::L7Record, DNS), notice: false }
    }
}

/// The options of a writer that is waited for, with the world's clock, and with a key of its own where names are replaced.
pub fn options(path: std::path::PathBuf, keep: Keep, redact: bool) -> Options {
    let key = || {
        let mut key = [0; 16];
        for half in key.chunks_mut(8) {
            half.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
        }
        Redact::new(key)
    };
    Options { path, keep, redact: redact.then(key), ground: Ground::default(), waits: true, clock: Arc::new(|| SystemTime::now().into()) }
}

/// What the screen has left on the disk, and whether all of it is there.
pub fn left(left: &Left) -> Result<(), Error> {
    left.done.iter().for_each(|done| say::say("note", done));
    if left.torn.is_empty() {
        return left.broken.clone().map_or(Ok(()), Err);
    }
    let all: Vec<String> = left.broken.iter().map(Error::line).chain(left.torn.iter().cloned()).collect();
    Err(Error::new(Kind::Output, "not everything is on the disk")
        .cause(all.join("; "))
        .hint("what was written before can be read: flowhy replay FILE"))
}

/// `notices`: records that are no flows, and stand among them.
fn closing(path: &Path, books: &Books, notices: u64, around: Option<&Around>, ledger: &Ledger) -> String {
    let besides = if notices > 0 { format!(", and {} records of lost events or of nodes,", count(notices)) } else { String::new() };
    let flows = count(books.flows.saturating_sub(notices));
    let mut text = format!("recorded {flows} flows{besides} to {}, {}", path.display(), bytes(books.bytes));
    if ledger.events() > 0 {
        text.push_str(&format!(
            "; there were {} events of agents and {} of their debugging",
            count(ledger.agent_events),
            count(ledger.debug_events)
        ));
    }
    if let Some(a) = around {
        text.push_str(&format!("; {} left out, which no drop was near", count(a.left_out())));
        if a.crowded() > 0 {
            text.push_str(&format!(" ({} of them for want of memory)", count(a.crowded())));
        }
    }
    if books.dropped > 0 {
        text.push_str(&format!("; {} old segments of the ring are gone", count(books.dropped)));
    }
    if books.unwritable > 0 {
        text.push_str(&format!("; {} could not be written", count(books.unwritable)));
    }
    if books.forgotten > 0 {
        text.push_str(&format!(
            "; {} entries of agents' dictionaries stand only in the segment in which they came",
            count(books.forgotten)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_broke_and_a_recording_that_is_torn_are_both_told() {
        let broken = Some(Error::new(Kind::Output, "cannot draw on the terminal").cause("gone"));
        let alone = left(&Left { broken: broken.clone(), ..Left::default() }).unwrap_err();
        assert_eq!(Some(&alone), broken.as_ref());
        let both = left(&Left { broken, torn: vec!["a.jsonl is not whole".to_owned()], ..Left::default() }).unwrap_err();
        assert_eq!(both.cause.as_deref(), Some("cannot draw on the terminal: gone; a.jsonl is not whole"));
        assert!(left(&Left::default()).is_ok());
    }
}
