//! The service `grpc.health.v1.Health`: whether the observer serves. Until it stops, it does.
use crate::wire::pb::health::health_check_response::ServingStatus;
use crate::wire::pb::health::health_server::Health;
use crate::wire::pb::health::{HealthCheckRequest, HealthCheckResponse};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The names that clients ask for: the server as a whole, and those of Hubble's servers.
const NAMES: [&str; 3] = ["", "hubble.server.Observer", "observer.Observer"];

/// Says `SERVING` until `stop`.
#[derive(Debug, Clone)]
pub struct Healthy(pub CancellationToken);

impl Healthy {
    fn answer(&self, request: &HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
        if !NAMES.contains(&&*request.service) {
            return Err(Status::not_found("unknown service"));
        }
        let status = if self.0.is_cancelled() { ServingStatus::NotServing } else { ServingStatus::Serving };
        Ok(HealthCheckResponse { status: status.into() })
    }
}

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.answer(request.get_ref()).map(Response::new)
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (first, me) = (self.answer(request.get_ref())?, self.clone());
        let last = stream::once(async move {
            me.0.cancelled().await;
            me.answer(request.get_ref())
        });
        Ok(Response::new(stream::iter([Ok(first)]).chain(last).boxed()))
    }
}
