//! One client's way through the ring: where it begins, what it gets, when it ends.
//!
//! Owns the meaning of `number`, `first`, `follow`, `since` and `until`. Is polled by the connection alone: when the client does not read, nothing
//! is read here, the ring runs on, and the client is told how much it has lost.
use super::ring::{Read, Ring};
use super::{Admit, Filters};
use crate::model::time::Nanos;
use crate::wire::lean::Mask;
use crate::wire::pb::flow::{LostEvent, LostEventSource};
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::observer::{GetFlowsRequest, GetFlowsResponse};
use prost::Message;
use prost_types::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// So many responses are looked at before others get a turn.
const TURN: u64 = 256;

/// A client in the middle of its answer.
pub struct Reader {
    ring: Arc<Ring>,
    wake: watch::Receiver<u64>,
    admit: Admit,
    /// What is sent of a flow; all of it where the mask is empty.
    mask: Mask,
    /// The next place to read.
    place: u64,
    /// The first place that does not belong to the answer; `None` with `follow`.
    end: Option<u64>,
    /// Flows still to be sent, where their number is limited.
    left: Option<u64>,
    since: Option<Nanos>,
    until: Option<Nanos>,
    node: String,
    stop: CancellationToken,
    ended: bool,
}

impl Reader {
    pub async fn new(
        ring: Arc<Ring>,
        filters: &dyn Filters,
        node: &str,
        stop: CancellationToken,
        request: &GetFlowsRequest,
    ) -> Result<Self, Status> {
        if request.first && request.follow {
            return Err(Status::invalid_argument("first and follow cannot be set together"));
        }
        let paths = request.field_mask.as_ref().map_or(&[][..], |m| &m.paths);
        let mask = Mask::new(paths).map_err(Status::invalid_argument)?;
        // As Hubble's servers say it: with this code its command line prints the words alone.
        let admit = filters.compile(&request.whitelist, &request.blacklist).map_err(Status::unknown)?;
        let wake = ring.watch();
        let (oldest, end) = ring.bounds();
        let (since, until) = (nanos(request.since.as_ref()), nanos(request.until.as_ref()));
        let mut reader = Self {
            ring,
            wake,
            admit,
            mask,
            place: oldest,
            end: (!request.follow).then_some(end),
            left: (request.number > 0 && !request.follow).then_some(request.number),
            since,
            until,
            node: node.to_owned(),
            stop,
            ended: false,
        };
        if request.follow && request.number == 0 && since.is_none() {
            reader.place = end;
        } else if request.number > 0 && !request.first {
            reader.place = reader.rewind(oldest, end, request.number).await;
        }
        Ok(reader)
    }

    /// The place from which `number` matching flows are left until `end`.
    async fn rewind(&self, oldest: u64, end: u64, number: u64) -> u64 {
        if number >= end - oldest {
            return oldest;
        }
        let (mut found, mut place) = (0, end);
        while place > oldest {
            let from = place.saturating_sub(TURN).max(oldest);
            for (at_place, entry) in self.ring.range(from, place).into_iter().rev() {
                if self.since.is_some_and(|s| entry.at < s) {
                    return at_place;
                }
                if self.until.is_none_or(|u| entry.at <= u) && self.wanted(entry.bytes).is_some_and(|r| is_flow(&r)) {
                    found += 1;
                    if found >= number {
                        return at_place;
                    }
                }
            }
            place = from;
            tokio::task::yield_now().await;
        }
        oldest
    }

    /// The response, if it is to be sent: flows by the filter, which sees them whole, everything else always.
    fn wanted(&self, bytes: bytes::Bytes) -> Option<GetFlowsResponse> {
        // What is held was encoded here; it always decodes.
        let response = GetFlowsResponse::decode(bytes.clone()).ok()?;
        if !is_flow(&response) {
            return Some(response);
        }
        if !(self.admit)(&response) {
            return None;
        }
        if self.mask.is_empty() { Some(response) } else { GetFlowsResponse::decode(&*self.mask.response(&bytes)?).ok() }
    }

    /// The next response; `None` at the end of the answer, an error once if the server stops.
    pub async fn next(&mut self) -> Option<Result<GetFlowsResponse, Status>> {
        let mut looked = 0;
        loop {
            if self.stop.is_cancelled() && !self.ended {
                self.ended = true;
                return Some(Err(Status::unavailable("the server stops")));
            }
            if self.ended || self.left == Some(0) || self.end.is_some_and(|e| self.place >= e) {
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
                    let Some(response) = self.wanted(entry.bytes) else { continue };
                    if let Some(left) = self.left.as_mut().filter(|_| is_flow(&response)) {
                        *left -= 1;
                    }
                    return Some(Ok(response));
                }
                Read::Behind { oldest } => {
                    let lost = oldest - self.place;
                    self.place = oldest;
                    return Some(Ok(self.lost(lost)));
                }
                Read::Closed => return None,
                Read::Empty => {
                    tokio::select! {
                        woken = self.wake.changed() => if woken.is_err() { return None },
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
    }

    fn lost(&self, num_events_lost: u64) -> GetFlowsResponse {
        let at = self.ring.span().map(|(oldest, _)| {
            let (seconds, nanos) = oldest.parts();
            Timestamp { seconds, nanos }
        });
        let lost = LostEvent { source: LostEventSource::HubbleRingBuffer.into(), num_events_lost, ..LostEvent::default() };
        GetFlowsResponse { response_types: Some(ResponseTypes::LostEvents(lost)), node_name: self.node.clone(), time: at }
    }
}

fn is_flow(response: &GetFlowsResponse) -> bool {
    matches!(response.response_types, Some(ResponseTypes::Flow(_)))
}

fn nanos(t: Option<&Timestamp>) -> Option<Nanos> {
    t.map(|t| Nanos::from_parts(t.seconds, t.nanos))
}
