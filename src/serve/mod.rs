//! An Observer server over a ring of responses: what Hubble Relay speaks, for the demo and for tests.
//!
//! Owns the gRPC service, the ring and the pace of the demo. Every bounded place is the ring: a client that does not keep up is told by
//! `LostEvent{HUBBLE_RING_BUFFER, n}` how many it has missed, as a real server tells it.
mod archive;
mod demo;
mod events;
mod health;
mod listen;
mod observer;
mod peer;
mod reader;
mod ring;
mod tls;

pub use archive::{Archive, Taken, time};
pub use demo::{CAPACITY, HISTORY, Rate, demo, now};
pub use listen::{Listen, Running, on};
pub use observer::Service;
pub use peer::{Peers, Routes};
pub use ring::Ring;
pub use tls::Tls;

use crate::error::Error;
use crate::query;
use crate::wire::pb::flow::FlowFilter;
use crate::wire::pb::observer::GetFlowsResponse;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Whether a flow is sent to a client. Only asked about flows.
pub type Admit = Box<dyn Fn(&GetFlowsResponse) -> bool + Send + Sync>;

/// Makes a request's filters into one test.
pub trait Filters: Send + Sync + 'static {
    /// `Err` says what is wrong with the filters.
    fn compile(&self, whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Admit, String>;
}

/// Filters as the rest of flowhy understands them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByQuery;

impl Filters for ByQuery {
    fn compile(&self, whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Admit, String> {
        let filters = query::Filters { whitelist: whitelist.to_vec(), blacklist: blacklist.to_vec(), ..query::Filters::default() };
        let predicate = query::compile(&filters)?;
        Ok(Box::new(move |r| predicate.matches(r)))
    }
}

/// What a server says about itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Stands as node name on the server's own messages.
    pub name: String,
    pub version: String,
    pub cluster: String,
    /// (name, address).
    pub nodes: Vec<(String, String)>,
    pub namespaces: Vec<String>,
}

/// An observer over `ring`, to be given to `listen`.
pub fn observer(ring: Arc<Ring>, filters: Arc<dyn Filters>, about: About) -> Service {
    Service::new(ring, filters, about)
}

/// Serves an observer, which announces the peers it was given, until `stop`.
pub async fn listen(service: Service, at: Listen, stop: CancellationToken) -> Result<Running, Error> {
    on(Routes::new(service.until(stop.clone())), at, stop).await
}

/// An observer over `ring` on a free loopback port.
pub async fn loopback(ring: Arc<Ring>, filters: Arc<dyn Filters>, about: About) -> Result<Running, Error> {
    listen(observer(ring, filters, about), Listen::loopback(), CancellationToken::new()).await
}
