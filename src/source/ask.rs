//! One question, one answer: a server's health, nodes and namespaces; and the streams that carry no flows: agent events,
//! debug events, peers.
//!
//! Owns these calls and what their failures are called. Must not print, and reads no flow.
use super::server::{Server, greeted};
use super::status::{Sort, Trouble, clean, trouble};
use crate::error::Error;
use crate::model::time::Nanos;
use crate::wire::pb::health::health_check_response::ServingStatus;
use crate::wire::pb::health::{HealthCheckRequest, health_client::HealthClient};
use crate::wire::pb::observer::observer_client::ObserverClient;
use crate::wire::pb::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse, GetNamespacesRequest,
    GetNamespacesResponse, GetNodesRequest, GetNodesResponse,
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
pub async fn health(server: &Server) -> Result<Health, Error> {
    let call = |channel| async move {
        let request = server.request(HealthCheckRequest { service: HEALTH.to_owned() });
        match HealthClient::new(channel).check(request).await {
            Err(s) if s.code() == Code::Unimplemented => Ok(Response::new(Health::NotOffered)),
            answer => answer.map(|r| {
                r.map(|a| match a.status() {
                    ServingStatus::Serving => Health::Serving,
                    other => Health::Not(other.as_str_name().to_owned()),
                })
            }),
        }
    };
    server.ask(&format!("cannot ask {} for its health", server.target), call).await.map(Response::into_inner)
}

/// The nodes that a relay knows.
pub async fn nodes(server: &Server) -> Result<GetNodesResponse, Error> {
    let call = |channel| async move { ObserverClient::new(channel).get_nodes(server.request(GetNodesRequest {})).await };
    server.ask(&format!("cannot ask {} for its nodes", server.target), call).await.map(Response::into_inner)
}

/// The namespaces with recent flows.
pub async fn namespaces(server: &Server) -> Result<GetNamespacesResponse, Error> {
    let call = |channel| async move { ObserverClient::new(channel).get_namespaces(server.request(GetNamespacesRequest {})).await };
    server.ask(&format!("cannot ask {} for its namespaces", server.target), call).await.map(Response::into_inner)
}

/// Events of the agent, each given to `each` until it wants no more.
pub async fn agent_events(
    server: &Server,
    r: EventRequest,
    each: impl FnMut(GetAgentEventsResponse) -> Result<bool, Error>,
) -> Result<(), Error> {
    let request =
        GetAgentEventsRequest { number: r.number, first: false, follow: r.follow, since: r.since.map(stamp), until: r.until.map(stamp) };
    stream(server, "agent events", async |channel| ObserverClient::new(channel).get_agent_events(server.request(request)).await, each).await
}

/// Debug messages of the datapath, each given to `each` until it wants no more.
pub async fn debug_events(
    server: &Server,
    r: EventRequest,
    each: impl FnMut(GetDebugEventsResponse) -> Result<bool, Error>,
) -> Result<(), Error> {
    let request =
        GetDebugEventsRequest { number: r.number, first: false, follow: r.follow, since: r.since.map(stamp), until: r.until.map(stamp) };
    stream(server, "debug events", async |channel| ObserverClient::new(channel).get_debug_events(server.request(request)).await, each).await
}

/// The peers of a server, then each change, until `each` wants no more.
pub async fn peers(server: &Server, each: impl FnMut(ChangeNotification) -> Result<bool, Error>) -> Result<(), Error> {
    stream(server, "peers", async |channel| PeerClient::new(channel).notify(server.request(NotifyRequest {})).await, each).await
}

async fn stream<T>(
    server: &Server,
    noun: &str,
    call: impl AsyncFnOnce(Channel) -> Result<Response<Streaming<T>>, Status>,
    mut each: impl FnMut(T) -> Result<bool, Error>,
) -> Result<(), Error> {
    let cannot = |t: Trouble| t.error(format!("cannot read {noun} from {}", server.target));
    let meaning = |s: &Status| match s.code() {
        Code::Unimplemented => Trouble::new(format!("this server has no {noun}: {}", clean(s.message())))
            .hint("relay has none; a node's agent does, at unix:///var/run/cilium/hubble.sock")
            .sort(Sort::Passing),
        _ => trouble(s, false),
    };
    let (channel, mut greeting) = server.open(server.timing.keepalive).await.map_err(cannot)?;
    let answer = greeted(call(channel), &mut greeting, server.timing.connect).await.map_err(cannot)?;
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
