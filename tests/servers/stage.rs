//! The server of the corpus, built here: flows, nodes, health, peers and events as the real test server gave them.
use super::{DATA, Run, run_of};
use flowhy::model::time::Nanos;
use flowhy::model::view::{Field, View};
use flowhy::serve::{self, ByQuery, Filters, Listen, Running, Tls};
use flowhy::source::Stop;
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_message};
use flowhy::wire::lean::Mask;
use flowhy::wire::note::Notes;
use flowhy::wire::pb::health::health_check_response::ServingStatus;
use flowhy::wire::pb::health::health_server::{Health, HealthServer};
use flowhy::wire::pb::health::{HealthCheckRequest, HealthCheckResponse};
use flowhy::wire::pb::observer::observer_server::{Observer, ObserverServer};
use flowhy::wire::pb::observer::{get_flows_response::ResponseTypes, *};
use flowhy::wire::pb::peer::peer_server::{Peer, PeerServer};
use flowhy::wire::pb::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest};
use flowhy::wire::pb::relay::{NodeState, NodeStatusEvent};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Empty, StreamExt};
use prost::Message as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Code, Request, Response, Status};

/// The server of the corpus.
struct Fake {
    flows: Vec<(Nanos, GetFlowsResponse)>,
    /// End every stream with this status after so many flows.
    kill: Option<(usize, Code)>,
    delay: Option<Duration>,
    version: Option<String>,
    seen: Arc<Mutex<Vec<GetFlowsRequest>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// It speaks for several nodes, and tells of them.
    relay: bool,
}

static FLOWS: LazyLock<Vec<GetFlowsResponse>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(format!("{DATA}/flows-a.jsonl")).expect("in the repository");
    text.lines()
        .map(|l| match read_line(l.as_bytes(), &mut Notes::default()) {
            Ok(Decoded::Response(r)) => r,
            other => panic!("{other:?}"),
        })
        .collect()
});

impl Fake {
    fn new(flags: &[String], seen: Arc<Mutex<Vec<GetFlowsRequest>>>) -> Self {
        let value = |name: &str| flags.iter().position(|f| f == name).map(|i| flags[i + 1].clone());
        // What the corpus' server was given are the flows; losses and node states of the file were asked for apart.
        let recorded = flags.iter().any(|f| f == "--recorded-events");
        let wanted = |r: &&GetFlowsResponse| matches!(r.response_types, Some(ResponseTypes::Flow(_))) || recorded;
        let timed = |r: &GetFlowsResponse| (Nanos(r.field(Field::Time).int().unwrap_or(0)), r.clone());
        let code = match value("--kill-code").as_deref() {
            None => Code::Unavailable,
            Some("UNKNOWN") => Code::Unknown,
            Some("PERMISSION_DENIED") => Code::PermissionDenied,
            Some(other) => panic!("{other}"),
        };
        Self {
            flows: FLOWS.iter().filter(wanted).map(timed).collect(),
            kill: value("--kill-after").map(|n| (n.parse().unwrap(), code)),
            delay: value("--delay").map(|d| Duration::from_secs(d.trim_end_matches('s').parse().unwrap())),
            version: value("--server-version-header"),
            seen,
            asked: Arc::default(),
            relay: flags.iter().any(|f| f == "--node-status"),
        }
    }

    /// What relay says of its nodes before the first flow.
    fn states(&self) -> Vec<GetFlowsResponse> {
        let state = |state: NodeState, names: &[&str]| GetFlowsResponse {
            node_name: "relay".to_owned(),
            time: Some(prost_types::Timestamp { seconds: 1_764_000_000, nanos: 0 }),
            response_types: Some(ResponseTypes::NodeStatus(NodeStatusEvent {
                state_change: state.into(),
                node_names: names.iter().map(|n| (*n).to_owned()).collect(),
                message: String::new(),
            })),
        };
        if self.relay { vec![state(NodeState::NodeConnected, &NODES), state(NodeState::NodeUnavailable, &[GONE])] } else { Vec::new() }
    }

    fn answer(&self, r: &GetFlowsRequest) -> Result<Vec<GetFlowsResponse>, Status> {
        // A server that is Hubble says every error of a filter with code Unknown.
        let admit = ByQuery.compile(&r.whitelist, &r.blacklist).map_err(Status::unknown)?;
        let at = |t: &Option<prost_types::Timestamp>| t.map(|t| Nanos::from_parts(t.seconds, t.nanos));
        let (since, until) = (at(&r.since), at(&r.until));
        let in_time = |t: &Nanos| since.is_none_or(|s| *t >= s) && until.is_none_or(|u| *t <= u);
        let flow = |r: &GetFlowsResponse| matches!(r.response_types, Some(ResponseTypes::Flow(_)));
        let fits = |(t, m): &&(Nanos, GetFlowsResponse)| in_time(t) && (!flow(m) || admit(m));
        let found: Vec<_> = self.flows.iter().filter(fits).map(|(_, m)| m.clone()).collect();
        let n = match usize::try_from(r.number).unwrap_or(usize::MAX) {
            // The corpus' server answers a bare --follow with all that it holds.
            0 => usize::MAX,
            n => n,
        };
        Ok(if r.first { found.into_iter().take(n).collect() } else { found[found.len().saturating_sub(n)..].to_vec() })
    }
}

#[tonic::async_trait]
impl Observer for Fake {
    type GetFlowsStream = BoxStream<'static, Result<GetFlowsResponse, Status>>;
    type GetAgentEventsStream = BoxStream<'static, Result<GetAgentEventsResponse, Status>>;
    type GetDebugEventsStream = BoxStream<'static, Result<GetDebugEventsResponse, Status>>;

    async fn get_flows(&self, request: Request<GetFlowsRequest>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let request = request.into_inner();
        self.seen.lock().unwrap().push(request.clone());
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let paths = request.field_mask.as_ref().map_or(&[][..], |m| &m.paths);
        let mask = Mask::new(paths).map_err(Status::invalid_argument)?;
        let masked = move |r: GetFlowsResponse| match r.response_types {
            Some(ResponseTypes::Flow(_)) if !mask.is_empty() => {
                GetFlowsResponse::decode(&*mask.response(&r.encode_to_vec()).unwrap()).unwrap()
            }
            _ => r,
        };
        let found = stream::iter(self.states().into_iter().chain(self.answer(&request)?).map(move |r| Ok(masked(r))));
        let flows = match self.kill {
            Some((n, code)) => {
                let killed = Status::new(code, format!("test-server: killed after {n} flows"));
                found.take(n).chain(stream::once(std::future::ready(Err(killed)))).boxed()
            }
            None if request.follow => found.chain(stream::pending()).boxed(),
            None => found.boxed(),
        };
        let mut response = Response::new(flows);
        if let Some(version) = &self.version {
            response.metadata_mut().insert("hubble-server-version", version.parse().unwrap());
        }
        Ok(response)
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let relay = self.relay;
        Ok(Response::new(ServerStatusResponse {
            num_flows: 520,
            max_flows: 1023,
            seen_flows: 520,
            uptime_ns: UPTIME,
            version: VERSION.to_owned(),
            flows_rate: if relay { 12.345 } else { 0.0 },
            num_connected_nodes: relay.then_some(5),
            num_unavailable_nodes: relay.then_some(1),
            unavailable_nodes: relay.then(|| GONE.to_owned()).into_iter().collect(),
        }))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        let node = |(n, name): (usize, &&str)| {
            let enabled = n % 2 == 0;
            // What the flows say of the node; its own ring is larger.
            let flows =
                FLOWS.iter().filter(|f| f.node_name == **name && matches!(f.response_types, Some(ResponseTypes::Flow(_)))).count() as u64;
            Node {
                name: (*name).to_owned(),
                version: VERSION.to_owned(),
                address: format!("192.168.1.{}:4244", n + 1),
                state: NodeState::NodeConnected.into(),
                tls: Some(flowhy::wire::pb::observer::Tls {
                    enabled,
                    server_name: if enabled { server_name(name) } else { String::new() },
                }),
                uptime_ns: UPTIME,
                num_flows: flows,
                max_flows: 4095,
                seen_flows: flows * 2,
            }
        };
        let gone = Node {
            name: GONE.to_owned(),
            address: "192.168.9.9:4244".to_owned(),
            state: NodeState::NodeUnavailable.into(),
            ..Node::default()
        };
        // Not in their order: a client sorts them.
        let nodes = NODES.iter().enumerate().map(node).rev().chain(self.relay.then_some(gone)).collect();
        Ok(Response::new(GetNodesResponse { nodes }))
    }

    async fn get_namespaces(&self, _: Request<GetNamespacesRequest>) -> Result<Response<GetNamespacesResponse>, Status> {
        let names = ["default", "kube-system", "monitoring", "prod", "prod-eu", "tenant-jobs"];
        let all = ["", "default", "prod-eu-1", "test-cluster"].into_iter().flat_map(|c| names.map(|n| (c.to_owned(), n.to_owned())));
        Ok(Response::new(GetNamespacesResponse { namespaces: all.map(|(cluster, namespace)| Namespace { cluster, namespace }).collect() }))
    }

    async fn get_agent_events(&self, r: Request<GetAgentEventsRequest>) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let mut text = Vec::new();
        write_message(r.get_ref(), &mut text);
        self.asked.lock().unwrap().push(format!("GetAgentEvents {}", String::from_utf8(text).unwrap()));
        let event = |d: Decoded| if let Decoded::AgentEvent(e) = d { Ok(e) } else { panic!("{d:?}") };
        Ok(Response::new(stream::iter(recorded("agent-events").into_iter().map(event)).boxed()))
    }

    async fn get_debug_events(&self, r: Request<GetDebugEventsRequest>) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let mut text = Vec::new();
        write_message(r.get_ref(), &mut text);
        self.asked.lock().unwrap().push(format!("GetDebugEvents {}", String::from_utf8(text).unwrap()));
        let event = |d: Decoded| if let Decoded::DebugEvent(e) = d { Ok(e) } else { panic!("{d:?}") };
        Ok(Response::new(stream::iter(recorded("debug-events").into_iter().map(event)).boxed()))
    }
}

const UPTIME: u64 = 90_061_500_000_000;
const VERSION: &str = "cilium v1.19.4+gdeadbeef";
const GONE: &str = "unreachable-node-1";
const NODES: [&str; 5] = ["k8s1", "k8s2", "prod-eu-1/worker_7", "test-cluster/node-1.company.com", "test-cluster/node-2.company.com"];

fn server_name(node: &str) -> String {
    format!("{}.hubble-grpc.cilium.io", node.replace('/', "."))
}

/// The events of the corpus' server, which are printed whole in one of its runs.
fn recorded(what: &str) -> Vec<Decoded> {
    let file = std::fs::read_to_string(format!("{DATA}/servers.jsonl")).unwrap();
    let runs: Vec<_> = file.lines().enumerate().map(|(n, l)| run_of(n, l)).collect();
    let run = runs.iter().find(|r| r.args == ["observe", what, "-o", "jsonpb"]).unwrap();
    run.stdout.lines().map(|l| read_line(l.as_bytes(), &mut Notes::default()).unwrap()).collect()
}

struct Healthy(bool);

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn check(&self, r: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        assert_eq!(r.get_ref().service, "hubble.server.Observer");
        let status = if self.0 { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not part of these runs"))
    }
}

struct Announcer;

#[tonic::async_trait]
impl Peer for Announcer {
    type NotifyStream = BoxStream<'static, Result<ChangeNotification, Status>>;

    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let peer = |(n, name): (usize, &&str)| ChangeNotification {
            name: (*name).to_owned(),
            address: format!("192.168.1.{}:4244", n + 1),
            r#type: ChangeNotificationType::PeerAdded.into(),
            tls: (n % 2 == 0).then(|| flowhy::wire::pb::peer::Tls { server_name: server_name(name) }),
        };
        let all: Vec<_> = NODES.iter().enumerate().map(peer).map(Ok).collect();
        Ok(Response::new(stream::iter(all).chain(stream::pending()).boxed()))
    }
}

/// The services of the corpus' server on one port.
#[derive(Clone)]
struct All(ObserverServer<Fake>, HealthServer<Healthy>, PeerServer<Announcer>);

impl Service<http::Request<Body>> for All {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path().split('/').nth(1) {
            Some("grpc.health.v1.Health") => self.1.call(request),
            Some("peer.Peer") => self.2.call(request),
            _ => self.0.call(request),
        }
    }
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

pub fn start(run: &Run, seen: Arc<Mutex<Vec<GetFlowsRequest>>>, asked: Arc<Mutex<Vec<String>>>) -> Running {
    let healthy = HealthServer::new(Healthy(!run.flags.iter().any(|f| f == "--unhealthy")));
    let fake = Fake { asked, ..Fake::new(&run.flags, seen) };
    let service = All(ObserverServer::new(fake), healthy, PeerServer::new(Announcer));
    if run.server == "unix" {
        let path = std::env::temp_dir().join(format!("flowhy-servers-{}-{}.sock", std::process::id(), run.line));
        return RUNTIME.block_on(serve::on(service, Listen::Unix(path), Stop::new())).unwrap();
    }
    let file = |flag: &str| run.flags.iter().position(|f| f == flag).map(|i| PathBuf::from(DATA).join(&run.flags[i + 1]));
    let at = match (file("--tls-cert"), file("--tls-key")) {
        (Some(cert), Some(key)) => Listen::Tls(([127, 0, 0, 1], 0).into(), Tls { cert, key, client_ca: file("--client-ca") }),
        _ => Listen::loopback(),
    };
    RUNTIME.block_on(serve::on(service, at, Stop::new())).unwrap()
}
