//! One question, one answer: a server's health, counters, nodes and namespaces; and the streams that carry no flows: agent events,
//! debug events, peers.
//!
//! Owns these calls and what their failures are called. Must not print, and reads no flow.
use super::hubble::{Timing, channel, greeted};
use super::status::{Sort, Trouble, clean, trouble};
use super::target::Target;
use crate::error::Error;
use crate::model::time::Nanos;
use crate::wire::pb::health::health_check_response::ServingStatus;
use crate::wire::pb::health::{HealthCheckRequest, health_client::HealthClient};
use crate::wire::pb::observer::observer_client::ObserverClient;
use crate::wire::pb::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse, GetNamespacesRequest,
    GetNamespacesResponse, GetNodesRequest, GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};
use crate::wire::pb::peer::{ChangeNotification, NotifyRequest, peer_client::PeerClient};
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

/// The name under which Hubble's servers register their health.
const HEALTH: &str = "hubble.server.Observer";

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Serving,
    /// The state's name, as the wire has it.
    Not(String),
    /// It has no health service: a minimal agent need not have one.
    NotOffered,
}

/// What a client may ask for when it wants events other than flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventRequest {
    /// Counted from the newest; 0 is no bound.
    pub number: u64,
    pub follow: bool,
    pub since: Option<Nanos>,
    pub until: Option<Nanos>,
}

/// The server's health.
pub async fn health(target: &Target, timing: &Timing) -> Result<Health, Error> {
    let what = format!("cannot ask {target} for its health");
    let asked = unary(target, timing, async |channel| {
        let request = HealthCheckRequest { service: HEALTH.to_owned() };
        match HealthClient::new(channel).check(request).await {
            Err(s) if s.code() == Code::Unimplemented => Ok(Response::new(Health::NotOffered)),
            answer => answer.map(|r| {
                r.map(|a| match a.status() {
                    ServingStatus::Serving => Health::Serving,
                    other => Health::Not(other.as_str_name().to_owned()),
                })
            }),
        }
    });
    asked.await.map_err(|t| t.error(what))
}

/// Counters and nodes of a server.
pub async fn server_status(target: &Target, timing: &Timing) -> Result<ServerStatusResponse, Error> {
    let asked = unary(target, timing, async |channel| ObserverClient::new(channel).server_status(ServerStatusRequest {}).await);
    asked.await.map_err(|t| t.error(format!("cannot ask {target} for its status")))
}

/// The nodes that a relay knows.
pub async fn nodes(target: &Target, timing: &Timing) -> Result<GetNodesResponse, Error> {
    let asked = unary(target, timing, async |channel| ObserverClient::new(channel).get_nodes(GetNodesRequest {}).await);
    asked.await.map_err(|t| t.error(format!("cannot ask {target} for its nodes")))
}

/// The namespaces with recent flows.
pub async fn namespaces(target: &Target, timing: &Timing) -> Result<GetNamespacesResponse, Error> {
    let asked = unary(target, timing, async |channel| ObserverClient::new(channel).get_namespaces(GetNamespacesRequest {}).await);
    asked.await.map_err(|t| t.error(format!("cannot ask {target} for its namespaces")))
}

/// Events of the agent, each given to `each` until it wants no more.
pub async fn agent_events(
    target: &Target,
    timing: &Timing,
    r: EventRequest,
    each: impl FnMut(GetAgentEventsResponse) -> Result<bool, Error>,
) -> Result<(), Error> {
    let request =
        GetAgentEventsRequest { number: r.number, first: false, follow: r.follow, since: r.since.map(stamp), until: r.until.map(stamp) };
    stream(target, timing, "agent events", async |channel| ObserverClient::new(channel).get_agent_events(request).await, each).await
}

/// Debug messages of the datapath, each given to `each` until it wants no more.
pub async fn debug_events(
    target: &Target,
    timing: &Timing,
    r: EventRequest,
    each: impl FnMut(GetDebugEventsResponse) -> Result<bool, Error>,
) -> Result<(), Error> {
    let request =
        GetDebugEventsRequest { number: r.number, first: false, follow: r.follow, since: r.since.map(stamp), until: r.until.map(stamp) };
    stream(target, timing, "debug events", async |channel| ObserverClient::new(channel).get_debug_events(request).await, each).await
}

/// The peers of a server, then each change, until `each` wants no more.
pub async fn peers(target: &Target, timing: &Timing, each: impl FnMut(ChangeNotification) -> Result<bool, Error>) -> Result<(), Error> {
    stream(target, timing, "peers", async |channel| PeerClient::new(channel).notify(NotifyRequest {}).await, each).await
}

/// A question over a connection of its own; `timing.answer` bounds all of it.
async fn unary<T>(target: &Target, timing: &Timing, call: impl AsyncFnOnce(Channel) -> Result<Response<T>, Status>) -> Result<T, Trouble> {
    let asked = async {
        let (channel, mut greeting) = channel(target, timing, timing.keepalive).await?;
        let answer = greeted(call(channel), &mut greeting, timing.connect).await?;
        answer.map(Response::into_inner).map_err(|s| trouble(&s, false))
    };
    match tokio::time::timeout(timing.answer, asked).await {
        Ok(answer) => answer,
        Err(_) => {
            Err(Trouble::new(format!("no answer within {} s", timing.answer.as_secs_f64())).hint("--request-timeout sets how long to wait"))
        }
    }
}

async fn stream<T>(
    target: &Target,
    timing: &Timing,
    noun: &str,
    call: impl AsyncFnOnce(Channel) -> Result<Response<Streaming<T>>, Status>,
    mut each: impl FnMut(T) -> Result<bool, Error>,
) -> Result<(), Error> {
    let cannot = |t: Trouble| t.error(format!("cannot read {noun} from {target}"));
    let meaning = |s: &Status| match s.code() {
        Code::Unimplemented => Trouble::new(format!("this server has no {noun}: {}", clean(s.message())))
            .hint("relay has none; a node's agent does, at unix:///var/run/cilium/hubble.sock")
            .sort(Sort::Passing),
        _ => trouble(s, false),
    };
    let (channel, mut greeting) = channel(target, timing, timing.keepalive).await.map_err(cannot)?;
    let answer = greeted(call(channel), &mut greeting, timing.connect).await.map_err(cannot)?;
    let mut stream = answer.map_err(|s| cannot(meaning(&s)))?.into_inner();
    while let Some(message) = stream.message().await.map_err(|s| cannot(meaning(&s)))? {
        if !each(message)? {
            break;
        }
    }
    Ok(())
}

fn stamp(at: Nanos) -> prost_types::Timestamp {
    let (seconds, nanos) = at.parts();
    prost_types::Timestamp { seconds, nanos }
}
