//! Conformance: what the real `hubble` command line did against a server, one test a run. The same server is built here, and the
//! real binary is run with the same arguments: exit class, bytes on stdout, requests that arrived.
//!
//! Every run is repeated; what is not as Hubble has it stands in the table of differences with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
use flowhy::model::time::Nanos;
use flowhy::model::view::{Field, View};
use flowhy::serve::{self, ByQuery, Filters, Listen, Running, Tls};
use flowhy::source::Stop;
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, read_message, write_message};
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
use libtest_mimic::{Arguments, Failed, Trial};
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Code, Request, Response, Status};

/// What a run does otherwise than Hubble's, by its line in the corpus (from 0), and why.
const DIFFERENCES: &[(usize, Differs, &str)] = &[
    (12, Differs::Before, EARLY),
    (13, Differs::Before, EARLY),
    (20, Differs::Before, EARLY),
    (21, Differs::Before, EARLY),
    (23, Differs::Instead, "`list namespace` lists the namespaces, as `list node` lists the nodes; Hubble prints its help"),
    (24, Differs::EndsWell, "Ctrl-C ends `watch peers` as it ends any other stream; Hubble is killed by it"),
    (25, Differs::EndsWell, "Ctrl-C ends `watch peers` as it ends any other stream; Hubble is killed by it"),
    (47, Differs::Whole, WHOLE),
    (48, Differs::Whole, WHOLE),
    (49, Differs::Whole, WHOLE),
    (52, Differs::Whole, WHOLE),
    (54, Differs::Names, WHOLE),
    (57, Differs::Whole, WHOLE),
    (58, Differs::Whole, WHOLE),
    (59, Differs::Whole, WHOLE),
    (60, Differs::Whole, WHOLE),
    (61, Differs::Before, FILTER),
    (62, Differs::Before, FILTER),
    (63, Differs::Before, FILTER),
    (64, Differs::Whole, WHOLE),
    (65, Differs::Whole, WHOLE),
    (66, Differs::Whole, WHOLE),
    (67, Differs::Fields, WHOLE),
    (71, Differs::Whole, WHOLE),
    (72, Differs::Whole, WHOLE),
    (74, Differs::Whole, WHOLE),
    (75, Differs::Whole, WHOLE),
    (76, Differs::Whole, WHOLE),
    (77, Differs::Whole, WHOLE),
    (78, Differs::Whole, WHOLE),
    (79, Differs::Whole, WHOLE),
    (82, Differs::GoesOn, "with -f a server that fails is waited for, and what it had not sent yet is printed"),
    (87, Differs::Whole, WHOLE),
    (93, Differs::Whole, WHOLE),
    (108, Differs::Whole, WHOLE),
    (126, Differs::Before, "`reflect` is a hidden tool of Hubble's developers; grpcurl does the same"),
    (127, Differs::Before, FORWARD),
    (128, Differs::Before, FORWARD),
];

const WHOLE: &str = "flowhy asks for whole flows: match, direction and authentication of a policy verdict, names, and where a socket was translated are known; Hubble's default field mask leaves them out";
const FORWARD: &str = "without a kubeconfig there is no cluster to forward a port of: a mistake in the settings (2)";
const EARLY: &str = "a wrong format is found before the server is asked, and is a usage error (2)";
const FILTER: &str = "a wrong filter is found before the server is asked, and is a usage error (2)";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Differs {
    /// What Hubble's field mask leaves out.
    Whole,
    /// The same in JSON.
    Fields,
    /// The names of what has no pod, in place of its address.
    Names,
    /// More comes, and it ends when it is told to.
    GoesOn,
    /// A usage error before anything is asked.
    Before,
    /// Something useful instead of the help.
    Instead,
    /// An interrupt is a success.
    EndsWell,
}

/// A printed text without what only whole flows tell, and without columns, which are as wide as their widest cell.
fn masked(text: &str) -> String {
    let line = |l: &str| {
        let l = l.split("; Auth: ").next().unwrap_or_default().trim_end_matches(')');
        // The names of policies stand between the verdict and the summary.
        let l = match l.split_once(" BY ") {
            Some((before, after)) => format!("{before} ({}", after.rsplit(" (").next().unwrap_or_default()),
            None => l.to_owned(),
        };
        let mut words = Vec::new();
        let mut skip = false;
        for word in l.split_whitespace() {
            if std::mem::take(&mut skip) {
                continue;
            }
            skip = word.starts_with("policy-verdict:");
            words.push(match word {
                _ if skip => "policy-verdict".to_owned(),
                w if w.contains("-xlate-") || w == "SOCK_XLATE_POINT_UNKNOWN" => "xlate".to_owned(),
                w if w.chars().all(|c| c == '-') => "-".to_owned(),
                w => w.to_owned(),
            });
        }
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Time and summary of each line: what stands outside of the names.
fn ends(text: &str) -> Vec<(&str, &str)> {
    text.lines().map(|l| (l.get(..19).unwrap_or(l), l.rsplit(" (").next().unwrap_or_default())).collect()
}

/// Whether each object has all that Hubble's has.
fn has_fields(ours: &str, theirs: &str) -> bool {
    fn within(ours: &Value, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Value::Object(o), Value::Object(t)) => t.iter().all(|(k, t)| o.get(k).is_some_and(|o| within(o, t))),
            (o, t) => o == t,
        }
    }
    let read = |l: &str| serde_json::from_str::<Value>(l).unwrap();
    ours.lines().count() == theirs.lines().count() && ours.lines().zip(theirs.lines()).all(|(o, t)| within(&read(o), &read(t)))
}

/// What a run is about.
fn group(run: &Run) -> &'static str {
    let has = |words: &[&str]| run.args.iter().any(|a| words.iter().any(|w| a.starts_with(w)));
    match run.args[0].as_str() {
        _ if has(&["-P", "--port-forward"]) => "port-forward",
        _ if has(&["--field-mask", "--use-default-field-masks"]) => "field-mask",
        _ if !run.env.is_empty() => "env",
        _ if has(&["--basic-auth"]) => "auth",
        _ if has(&["--tls", "tls://"]) || run.server == "tls" => "tls",
        _ if has(&["--server"]) => "connect",
        "observe" if has(&["agent-events", "debug-events"]) => "events",
        "observe" if run.server.starts_with("kill") || run.server == "denied" => "kill",
        "observe" if run.server == "newer" => "version",
        "observe" if has(&["--timeout", "--request-timeout"]) => "timeout",
        "observe" if run.ended.starts_with("SIGINT") => "sigint",
        "observe" => "observe",
        "status" => "status",
        "list" => "list",
        _ => "watch",
    }
}

#[derive(Clone)]
struct Run {
    line: usize,
    server: String,
    flags: Vec<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    ended: String,
    exit: i64,
    stdout: String,
    stderr: String,
    requests: Vec<String>,
}

fn run_of(line: usize, text: &str) -> Run {
    let v: Value = serde_json::from_str(text).expect("a run is JSON");
    let text = |k: &str| v[k].as_str().unwrap().to_owned();
    let list = |k: &str| v[k].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
    Run {
        line,
        server: text("server"),
        flags: list("server_flags"),
        args: list("args"),
        env: v["env"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect(),
        ended: text("ended"),
        exit: v["exit"].as_i64().unwrap(),
        stdout: text("stdout"),
        stderr: text("stderr"),
        requests: list("requests_seen_by_server"),
    }
}

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble");

fn main() {
    let args = Arguments::from_args();
    let file = std::fs::read_to_string(format!("{DATA}/servers.jsonl")).expect("in the repository");
    let runs = file.lines().enumerate().map(|(line, text)| run_of(line, text));
    let name = |r: &Run| format!("{} {} {}: {} {}", r.line, group(r), r.server, r.args.join(" ").escape_debug(), r.ended);
    let trials = runs.map(|run| Trial::test(name(&run), move || check(&run))).collect();
    libtest_mimic::run(&args, trials).exit();
}

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

fn start(run: &Run, seen: Arc<Mutex<Vec<GetFlowsRequest>>>, asked: Arc<Mutex<Vec<String>>>) -> Running {
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

/// Our server's address, as the corpus names its own.
fn ours(address: &str) -> String {
    if address.starts_with("unix:") { address.to_owned() } else { format!("localhost:{}", address.rsplit(':').next().unwrap()) }
}

/// What Hubble printed, with our server's address.
fn wanted(run: &Run, address: &str) -> String {
    let via = run.stdout.split_once("(via ").and_then(|(_, after)| Some(after.split_once(')')?.0));
    match via {
        Some(theirs) => run.stdout.replace(theirs, &ours(address)),
        None => run.stdout.clone(),
    }
}

/// The arguments, with our server's address in place of the corpus' one.
fn words(run: &Run, address: &str) -> Vec<String> {
    let at = ours(address);
    let port = address.rsplit(':').next().unwrap();
    let theirs = |w: &String| w.replace("localhost:14304", &format!("localhost:{port}")).replace("certs/ca.key", KEY);
    let mut words: Vec<_> = run.args.iter().map(theirs).collect();
    if !words.iter().any(|w| w == "--server") && !run.env.contains_key("HUBBLE_SERVER") {
        words.extend(["--server".to_owned(), at]);
    }
    words
}

/// A key where a certificate should be; the authority's own is not part of the corpus.
const KEY: &str = "certs/client.key";

/// Runs the binary; with a signal as the corpus did, or when it has printed `enough`.
fn flowhy(run: &Run, args: &[String], interrupt: Option<Duration>) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    command.args(args).current_dir(DATA).envs(&run.env).env("TZ", "UTC").env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(after) = interrupt {
        std::thread::sleep(after);
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }
    child.wait_with_output().unwrap()
}

/// The exit code that Hubble's error becomes: 2 for what was typed wrongly, 3 for connections.
fn exit_class(run: &Run) -> i32 {
    const TYPED: &[&str] = &[
        "invalid flag(s)",
        "cannot load cert",
        "cannot process cert",
        "tls: private key",
        "failed to create gRPC client",
        "unknown flag",
        "invalid output format",
        "unknown output format",
    ];
    match run.exit {
        0 => 0,
        _ if run.stderr == "not healthy\n" => 1,
        _ if TYPED.iter().any(|t| run.stderr.starts_with(t)) => 2,
        _ => 3,
    }
}

/// Hubble's words for what was typed wrongly, with our server's address.
fn said(run: &Run, address: &str) -> String {
    let port = address.rsplit(':').next().unwrap();
    run.stderr.trim_end().replace("localhost:14300", &format!("localhost:{port}")).replace("certs/ca.key", KEY)
}

fn request(text: &str) -> Option<GetFlowsRequest> {
    let (json, _) =
        text.strip_prefix("GetFlows ")?.split_once("} field_mask=").map_or((text.strip_prefix("GetFlows ")?, ""), |(a, b)| (a, b));
    let json = if json.ends_with('}') { json.to_owned() } else { format!("{json}}}") };
    let mut request: GetFlowsRequest = read_message(json.as_bytes(), &mut Notes::default()).unwrap();
    request.field_mask = None;
    Some(request)
}

fn check(run: &Run) -> Result<(), Failed> {
    let seen = Arc::<Mutex<Vec<GetFlowsRequest>>>::default();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let server = start(run, seen.clone(), asked.clone());
    let wanted_out = wanted(run, &server.address);
    let differs = DIFFERENCES.iter().find(|(line, ..)| *line == run.line).map(|(_, d, _)| *d);
    let interrupted = run.ended.starts_with("SIGINT") || differs == Some(Differs::GoesOn);
    let wait = if differs == Some(Differs::GoesOn) { 3000 } else { 1500 };
    let began = Instant::now();
    let output = flowhy(run, &words(run, &server.address), interrupted.then(|| Duration::from_millis(wait)));
    let took = began.elapsed();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    let fail = |what: &str| Err(Failed::from(format!("{what}\nstdout:\n{stdout}\nstderr:\n{stderr}\nwanted stdout:\n{wanted_out}")));
    let want_exit = match differs {
        Some(Differs::GoesOn | Differs::EndsWell) => 0,
        Some(Differs::Before) => 2,
        _ => exit_class(run),
    };
    if output.status.code() != Some(want_exit) {
        return fail(&format!("exit {:?}, wanted {want_exit}", output.status.code()));
    }
    match differs {
        None if stdout != wanted_out => return fail("stdout"),
        Some(Differs::Instead) if !stdout.starts_with("NAMESPACE\n") => return fail("the list"),
        Some(Differs::EndsWell) if stdout != wanted_out => return fail("stdout"),
        Some(Differs::Before) if !stdout.is_empty() || !seen.lock().unwrap().is_empty() => {
            return fail("nothing is asked, nothing printed");
        }
        Some(Differs::Fields) if stdout == run.stdout || !has_fields(&stdout, &run.stdout) => {
            return fail("all fields of Hubble's, and more");
        }
        Some(Differs::Names) if stdout == run.stdout || ends(&stdout) != ends(&run.stdout) => return fail("the same flows with names"),
        Some(Differs::Whole) if stdout == run.stdout => return fail("it no longer differs: take it off the list"),
        Some(Differs::Whole) if masked(&stdout) != masked(&run.stdout) => return fail("stdout, its difference taken into account"),
        Some(Differs::GoesOn) => {
            let lines: std::collections::BTreeSet<_> = stdout.lines().collect();
            let twice = lines.len() < stdout.lines().count();
            if twice || stdout == run.stdout || !stdout.starts_with(&run.stdout) || !stderr.contains("trying again in") {
                return fail("stdout begins as Hubble's, and goes on");
            }
        }
        _ => {}
    }
    let want: Vec<_> = run.requests.iter().filter_map(|r| request(r)).collect();
    let got: Vec<_> = seen.lock().unwrap().iter().cloned().map(|r| GetFlowsRequest { field_mask: None, ..r }).collect();
    let same = match differs {
        Some(Differs::GoesOn) => got.first() == want.first(),
        Some(Differs::Before) => got.is_empty(),
        // Times count back from now.
        _ if run.args.iter().any(|a| a == "--since") => got.len() == want.len(),
        _ => got == want,
    };
    let events = |r: &&String| r.starts_with("GetAgentEvents") || r.starts_with("GetDebugEvents");
    let times = |r: &String| r.split("\"since\"").next().unwrap().to_owned();
    let (want_events, got_events): (Vec<_>, Vec<_>) =
        (run.requests.iter().filter(events).map(times).collect(), asked.lock().unwrap().iter().map(times).collect());
    if want_events != got_events {
        return fail(&format!("asked {got_events:?}, wanted {want_events:?}"));
    }
    if !same {
        return fail(&format!("requests\n  {got:?}\nwanted\n  {want:?}"));
    }
    if want_exit != 0 && (!stderr.starts_with("error: ") && !stderr.contains("\nerror: ")) {
        return fail("an error says so");
    }
    if want_exit == 2 && differs.is_none() && !stderr.contains(&said(run, &server.address)) {
        return fail(&format!("wanted Hubble's words: {}", run.stderr));
    }
    if took > Duration::from_secs(20) {
        return fail(&format!("took {took:?}"));
    }
    Ok(())
}
