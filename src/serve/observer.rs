//! The service `observer.Observer` over a ring: flows, status, nodes and namespaces.
//!
//! Owns the answers to requests. Must not make flows.
use super::archive::Archive;
use super::events::{self, Wanted};
use super::peer::Peers;
use super::reader::Reader;
use super::ring::Ring;
use super::{About, Filters};
use crate::wire::pb::observer::observer_server::Observer;
use crate::wire::pb::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse,
    GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse, Namespace, Node, ServerStatusRequest,
    ServerStatusResponse,
};
use crate::wire::pb::relay::NodeState;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The service.
pub struct Service {
    ring: Arc<Ring>,
    filters: Arc<dyn Filters>,
    about: About,
    since: Instant,
    stop: CancellationToken,
    peers: Peers,
    /// Whose flows these are, if they come from a recording.
    archive: Option<Arc<Archive>>,
}

impl Service {
    pub fn new(ring: Arc<Ring>, filters: Arc<dyn Filters>, about: About) -> Self {
        Self { ring, filters, about, since: Instant::now(), stop: CancellationToken::new(), peers: Peers::default(), archive: None }
    }

    /// An observer over what a recording holds.
    pub fn recorded(archive: Arc<Archive>, filters: Arc<dyn Filters>, about: About) -> Self {
        Self { archive: Some(Arc::clone(&archive)), ..Self::new(Arc::clone(&archive.flows), filters, about) }
    }

    /// The same service, whose streams end when `stop` says so.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// The same service, which announces these peers.
    #[must_use]
    pub fn announcing(mut self, peers: Peers) -> Self {
        self.peers = peers;
        self
    }

    /// Whom it announces, and until when.
    pub fn announced(&self) -> (Peers, CancellationToken) {
        (self.peers.clone(), self.stop.clone())
    }

    fn uptime_ns(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn nodes(&self) -> Vec<Node> {
        // The ring is one for all nodes: its counts belong to none of them.
        let node = |(name, address): &(String, String)| Node {
            name: name.clone(),
            version: self.about.version.clone(),
            address: address.clone(),
            state: NodeState::NodeConnected.into(),
            uptime_ns: self.uptime_ns(),
            ..Node::default()
        };
        let told = self.about.nodes.iter().map(node);
        told.chain(self.archive.iter().flat_map(|a| a.nodes(&self.about.version, self.uptime_ns()))).collect()
    }

    /// (held, capacity, seen) of the ring.
    fn counts(&self) -> (u64, u64, u64) {
        let (oldest, end) = self.ring.bounds();
        (end - oldest, self.ring.capacity() as u64, end)
    }

    /// Responses a second over what is held.
    fn rate(&self) -> f64 {
        let (oldest, end) = self.ring.bounds();
        let held = u32::try_from(end - oldest).unwrap_or(u32::MAX);
        match self.ring.span().map(|(a, b)| b.since(a)) {
            Some(ns) if ns > 0 => f64::from(held) * 1e9 / ns as f64,
            _ => 0.0,
        }
    }
}

#[tonic::async_trait]
impl Observer for Service {
    type GetFlowsStream = BoxStream<'static, Result<GetFlowsResponse, Status>>;
    type GetAgentEventsStream = BoxStream<'static, Result<GetAgentEventsResponse, Status>>;
    type GetDebugEventsStream = BoxStream<'static, Result<GetDebugEventsResponse, Status>>;

    async fn get_flows(&self, request: Request<GetFlowsRequest>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let request = request.into_inner();
        let reader = Reader::new(Arc::clone(&self.ring), &*self.filters, &self.about.name, self.stop.clone(), &request).await?;
        let flows = stream::unfold(reader, |mut reader| async move { reader.next().await.map(|r| (r, reader)) });
        Ok(Response::new(Box::pin(flows)))
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        let (num_flows, max_flows, seen_flows) = self.counts();
        Ok(Response::new(ServerStatusResponse {
            num_flows,
            max_flows,
            seen_flows,
            uptime_ns: self.uptime_ns(),
            num_connected_nodes: Some(u32::try_from(self.nodes().len()).unwrap_or(u32::MAX)),
            num_unavailable_nodes: Some(0),
            unavailable_nodes: Vec::new(),
            version: self.about.version.clone(),
            flows_rate: self.rate(),
        }))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Ok(Response::new(GetNodesResponse { nodes: self.nodes() }))
    }

    async fn get_namespaces(&self, _: Request<GetNamespacesRequest>) -> Result<Response<GetNamespacesResponse>, Status> {
        let namespace = |n: &String| Namespace { cluster: self.about.cluster.clone(), namespace: n.clone() };
        let mut namespaces: Vec<_> = self.about.namespaces.iter().map(namespace).collect();
        namespaces.extend(self.archive.iter().flat_map(|a| a.namespaces()));
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn get_agent_events(&self, r: Request<GetAgentEventsRequest>) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let Some(archive) = &self.archive else { return Err(Status::unimplemented("only flows are simulated")) };
        let r = r.into_inner();
        let wanted = Wanted { number: r.number, first: r.first, follow: r.follow, since: r.since, until: r.until };
        Ok(Response::new(events::stream(&archive.agent, wanted, self.stop.clone())))
    }

    async fn get_debug_events(&self, r: Request<GetDebugEventsRequest>) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let Some(archive) = &self.archive else { return Err(Status::unimplemented("only flows are simulated")) };
        let r = r.into_inner();
        let wanted = Wanted { number: r.number, first: r.first, follow: r.follow, since: r.since, until: r.until };
        Ok(Response::new(events::stream(&archive.debug, wanted, self.stop.clone())))
    }
}
