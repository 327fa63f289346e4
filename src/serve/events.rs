//! One client's way through a ring of agent or debug events: where it begins, what it gets, when it ends.
//!
//! Owns the meaning of `number`, `follow`, `since` and `until` for events that have no filters.
use super::ring::{Read, Ring};
use crate::model::time::Nanos;
use futures::stream::{self, BoxStream, StreamExt as _};
use prost::Message;
use prost_types::Timestamp;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// So many events are passed over before others get a turn.
const TURN: u64 = 256;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub number: u64,
    pub first: bool,
    pub follow: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// The events as they are sent. Events that fell out of the ring before the client came to them are passed over: its messages have no
/// word for losses.
pub fn stream<M: Message + Default + 'static>(
    ring: &Arc<Ring>,
    wanted: Wanted,
    stop: CancellationToken,
) -> BoxStream<'static, Result<M, Status>> {
    let nanos = |t: Option<Timestamp>| t.map(|t| Nanos::from_parts(t.seconds, t.nanos));
    let (since, until) = (nanos(wanted.since), nanos(wanted.until));
    let (oldest, end) = ring.bounds();
    let place = match wanted.number {
        0 if wanted.follow && since.is_none() => end,
        0 => oldest,
        _ if wanted.first => oldest,
        n => end.saturating_sub(n).max(oldest),
    };
    let left = (wanted.number > 0 && !wanted.follow).then_some(wanted.number);
    let way = Way { wake: ring.watch(), ring: Arc::clone(ring), place, end: (!wanted.follow).then_some(end), left, since, until, stop };
    stream::unfold(way, |mut way| async move { way.next().await.map(|m| (m, way)) }).boxed()
}

struct Way {
    ring: Arc<Ring>,
    wake: tokio::sync::watch::Receiver<u64>,
    place: u64,
    end: Option<u64>,
    left: Option<u64>,
    since: Option<Nanos>,
    until: Option<Nanos>,
    stop: CancellationToken,
}

impl Way {
    async fn next<M: Message + Default>(&mut self) -> Option<Result<M, Status>> {
        let mut looked = 0;
        loop {
            if self.stop.is_cancelled() || self.left == Some(0) || self.end.is_some_and(|e| self.place >= e) {
                return None;
            }
            looked += 1;
            if looked % TURN == 0 {
                tokio::task::yield_now().await;
            }
            match self.ring.read(self.place) {
                Read::Entry(entry) => {
                    self.place += 1;
                    if self.until.is_some_and(|u| entry.at > u) {
                        return None;
                    }
                    if self.since.is_some_and(|s| entry.at < s) {
                        continue;
                    }
                    if let Some(left) = &mut self.left {
                        *left -= 1;
                    }
                    return Some(M::decode(entry.bytes).map_err(|e| Status::internal(e.to_string())));
                }
                Read::Behind { oldest } => self.place = oldest,
                Read::Closed => return None,
                Read::Empty => {
                    tokio::select! {
                        woken = self.wake.changed() => if woken.is_err() { return None },
                        () = self.stop.cancelled() => return None,
                    }
                }
            }
        }
    }
}
