//! The service `peer.Peer`: which other servers there are; and the way of a request to its service.
//!
//! Owns the list of peers and what is said about its changes. Must not ask whether they are reachable.
use super::health::Healthy;
use super::observer::Service as ObserverService;
use crate::wire::pb::health::health_server::HealthServer;
use crate::wire::pb::observer::observer_server::ObserverServer;
use crate::wire::pb::peer::peer_server::{Peer, PeerServer};
use crate::wire::pb::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest, Tls};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Request, Response, Status};

/// Name → (address, the name in its certificate; none without TLS).
type List = BTreeMap<String, (String, Option<String>)>;

/// The servers that are announced. Clones share one list.
#[derive(Debug, Clone)]
pub struct Peers(Arc<watch::Sender<List>>);

impl Default for Peers {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(List::new())))
    }
}

impl Peers {
    /// Adds a peer, or says that it changed.
    pub fn put(&self, name: &str, address: &str, tls: Option<&str>) {
        self.0.send_modify(|l| drop(l.insert(name.to_owned(), (address.to_owned(), tls.map(str::to_owned)))));
    }

    pub fn remove(&self, name: &str) {
        self.0.send_modify(|l| drop(l.remove(name)));
    }
}

/// What has to be said to one who knows `old`.
fn changes(old: &List, new: &List) -> VecDeque<ChangeNotification> {
    let say = |kind: ChangeNotificationType, name: &String, (address, tls): &(String, Option<String>)| ChangeNotification {
        name: name.clone(),
        address: address.clone(),
        r#type: kind.into(),
        tls: tls.clone().map(|server_name| Tls { server_name }),
    };
    let gone = old.iter().filter(|(n, _)| !new.contains_key(*n)).map(|(n, p)| say(ChangeNotificationType::PeerDeleted, n, p));
    let here = new.iter().filter_map(|(n, p)| match old.get(n) {
        None => Some(say(ChangeNotificationType::PeerAdded, n, p)),
        Some(before) if before != p => Some(say(ChangeNotificationType::PeerUpdated, n, p)),
        Some(_) => None,
    });
    gone.chain(here).collect()
}

/// The service.
pub struct Announcer {
    peers: Peers,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl Peer for Announcer {
    type NotifyStream = BoxStream<'static, Result<ChangeNotification, Status>>;

    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let mut seen = self.peers.0.subscribe();
        seen.mark_changed();
        let start = (seen, List::new(), VecDeque::new(), self.stop.clone());
        let said = stream::unfold(start, |(mut seen, mut known, mut next, stop)| async move {
            while next.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    changed = seen.changed() => changed.ok()?,
                }
                let new = seen.borrow_and_update().clone();
                next = changes(&known, &new);
                known = new;
            }
            let said: ChangeNotification = next.pop_front()?;
            Some((Ok(said), (seen, known, next, stop)))
        });
        Ok(Response::new(Box::pin(said)))
    }
}

/// All services of one port: the first part of a path says which.
#[derive(Clone)]
pub struct Routes {
    observer: ObserverServer<ObserverService>,
    peer: PeerServer<Announcer>,
    health: HealthServer<Healthy>,
}

impl Routes {
    pub fn new(observer: ObserverService) -> Self {
        let (peers, stop) = observer.announced();
        Self {
            observer: ObserverServer::new(observer),
            health: HealthServer::new(Healthy(stop.clone())),
            peer: PeerServer::new(Announcer { peers, stop }),
        }
    }
}

impl Service<http::Request<Body>> for Routes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Each answers a path that is not its own with Unimplemented.
        match request.uri().path().split('/').nth(1) {
            Some("peer.Peer") => self.peer.call(request),
            Some("grpc.health.v1.Health") => self.health.call(request),
            _ => self.observer.call(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_said_and_nothing_else() {
        let list = |names: &[(&str, &str)]| names.iter().map(|(n, a)| ((*n).to_owned(), ((*a).to_owned(), None))).collect::<List>();
        let (old, new) = (list(&[("a", "1"), ("b", "2"), ("c", "3")]), list(&[("b", "2"), ("c", "4"), ("d", "5")]));
        let said: Vec<_> = changes(&old, &new).iter().map(|c| (c.name.clone(), c.r#type())).collect();
        let kind = |n: &str, k| (n.to_owned(), k);
        use ChangeNotificationType::{PeerAdded, PeerDeleted, PeerUpdated};
        assert_eq!(said, [kind("a", PeerDeleted), kind("c", PeerUpdated), kind("d", PeerAdded)]);
        assert!(changes(&new, &new).is_empty());
    }
}
