//! The Observer server in process, asked by the generated client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
use flowhy::demo::Simulation;
use flowhy::model::input::{Input, Link};
use flowhy::model::time::Nanos;
use flowhy::serve::{self, About, Admit, ByQuery, Filters, Listen, Rate, Ring, Running};
use flowhy::source::capture::Capture;
use flowhy::source::hubble::{Client, Request, Retry};
use flowhy::source::server::Server;
use flowhy::source::{self, Inbox, Source as _, Stop};
use flowhy::wire::pb::flow::layer7::Record;
use flowhy::wire::pb::flow::{Flow, FlowFilter, LostEventSource, flow_filter};
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::wire::pb::observer::observer_client::ObserverClient;
use flowhy::wire::pb::observer::*;
use prost::Message as _;
use prost_types::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

const START: Nanos = Nanos(1_767_225_600_000_000_000);

/// Knows one field, which is enough to see that the server asks.
struct ByVerdict;

impl Filters for ByVerdict {
    fn compile(&self, whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Admit, String> {
        if whitelist.iter().chain(blacklist).any(|f| !f.experimental.clone().unwrap_or_default().cel_expression.is_empty()) {
            return Err("no CEL expression here".to_owned());
        }
        let (white, black) = (whitelist.to_vec(), blacklist.to_vec());
        let fits = |f: &FlowFilter, flow: &Flow| f.verdict.is_empty() || f.verdict.contains(&flow.verdict);
        Ok(Box::new(move |r| match &r.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                (white.is_empty() || white.iter().any(|f| fits(f, flow))) && !black.iter().any(|f| fits(f, flow))
            }
            _ => panic!("only flows are asked about"),
        }))
    }
}

fn flow(n: i64, verdict: i32) -> (Nanos, GetFlowsResponse) {
    let at = START.plus(n * Nanos::SECOND);
    let (seconds, nanos) = at.parts();
    let time = Some(Timestamp { seconds, nanos });
    let flow = Flow { time, uuid: n.to_string(), verdict, ..Flow::default() };
    (at, GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), node_name: "n".to_owned(), time })
}

/// Flows 0…n, one a second, every third dropped.
fn fill(ring: &Ring, from: i64, to: i64) {
    for n in from..to {
        let (at, r) = flow(n, if n % 3 == 0 { 2 } else { 1 });
        ring.push(at, &r);
    }
}

async fn server(ring: &Arc<Ring>) -> (Running, ObserverClient<Channel>) {
    let about = About { name: "here".to_owned(), version: "1".to_owned(), cluster: "c".to_owned(), ..About::default() };
    let running = serve::loopback(Arc::clone(ring), Arc::new(ByVerdict), about).await.unwrap();
    let client = ObserverClient::connect(format!("http://{}", running.address)).await.unwrap();
    (running, client)
}

async fn all(client: &mut ObserverClient<Channel>, request: GetFlowsRequest) -> Vec<i64> {
    let mut stream = client.get_flows(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(r) = stream.message().await.unwrap() {
        found.push(number(&r).unwrap_or(-1));
    }
    found
}

fn number(r: &GetFlowsResponse) -> Option<i64> {
    match &r.response_types {
        Some(ResponseTypes::Flow(f)) => f.uuid.parse().ok(),
        _ => None,
    }
}

async fn more(stream: &mut Streaming<GetFlowsResponse>) -> GetFlowsResponse {
    tokio::time::timeout(Duration::from_secs(10), stream.message()).await.expect("in time").unwrap().expect("a response")
}

fn time(n: i64) -> Option<Timestamp> {
    let (seconds, nanos) = START.plus(n * Nanos::SECOND).parts();
    Some(Timestamp { seconds, nanos })
}

#[tokio::test]
async fn first_last_since_until() {
    let ring = Ring::new(10_000);
    fill(&ring, 0, 1_000);
    let (running, mut c) = server(&ring).await;
    let ask = GetFlowsRequest::default;
    let range = |a, b| (a..b).collect::<Vec<i64>>();
    assert_eq!(all(&mut c, ask()).await, range(0, 1_000));
    assert_eq!(all(&mut c, GetFlowsRequest { number: 5, ..ask() }).await, range(995, 1_000));
    assert_eq!(all(&mut c, GetFlowsRequest { number: 5, first: true, ..ask() }).await, range(0, 5));
    assert_eq!(all(&mut c, GetFlowsRequest { number: u64::MAX, ..ask() }).await, range(0, 1_000));
    // Both ends included.
    assert_eq!(all(&mut c, GetFlowsRequest { since: time(990), ..ask() }).await, range(990, 1_000));
    assert_eq!(all(&mut c, GetFlowsRequest { until: time(3), ..ask() }).await, range(0, 4));
    assert_eq!(all(&mut c, GetFlowsRequest { since: time(10), until: time(12), ..ask() }).await, range(10, 13));
    assert_eq!(all(&mut c, GetFlowsRequest { until: time(500), number: 2, ..ask() }).await, range(499, 501));
    assert_eq!(all(&mut c, GetFlowsRequest { since: time(998), number: 50, ..ask() }).await, range(998, 1_000));
    assert_eq!(all(&mut c, GetFlowsRequest { since: time(10), number: 3, first: true, ..ask() }).await, range(10, 13));
    assert_eq!(all(&mut c, GetFlowsRequest { since: time(5_000), ..ask() }).await, [] as [i64; 0]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_mask_leaves_of_flows_what_it_names() {
    let ring = Ring::new(100);
    fill(&ring, 0, 4);
    let (running, mut c) = server(&ring).await;
    let masked = |paths: &[&str]| GetFlowsRequest {
        field_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        // The filter sees the whole flow.
        whitelist: vec![FlowFilter { verdict: vec![2], ..FlowFilter::default() }],
        ..GetFlowsRequest::default()
    };
    assert_eq!(all(&mut c, masked(&["uuid"])).await, [0, 3]);
    let mut stream = c.get_flows(masked(&["uuid", "source.pod_name"])).await.unwrap().into_inner();
    let first = more(&mut stream).await;
    assert_eq!((&*first.node_name, first.time), ("n", time(0)));
    // What is missing stays missing, as with Hubble's servers.
    let want = Flow { uuid: "0".to_owned(), ..Flow::default() };
    assert_eq!(first.response_types, Some(ResponseTypes::Flow(want)));
    let refused = c.get_flows(masked(&["uuid", "nope"])).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "invalid path \"nope\" for message \"flow.Flow\""));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn filters_are_the_servers() {
    let ring = Ring::new(10_000);
    fill(&ring, 0, 1_000);
    let (running, mut c) = server(&ring).await;
    let dropped = || vec![FlowFilter { verdict: vec![2], ..FlowFilter::default() }];
    let ask = GetFlowsRequest::default;
    let found = all(&mut c, GetFlowsRequest { whitelist: dropped(), ..ask() }).await;
    assert_eq!(found, (0..1_000).filter(|n| n % 3 == 0).collect::<Vec<_>>());
    // The last N are the last N that match.
    assert_eq!(all(&mut c, GetFlowsRequest { whitelist: dropped(), number: 3, ..ask() }).await, [993, 996, 999]);
    assert_eq!(all(&mut c, GetFlowsRequest { blacklist: dropped(), number: 3, first: true, ..ask() }).await, [1, 2, 4]);
    let cel = flowhy::wire::pb::flow::flow_filter::Experimental { cel_expression: vec!["true".to_owned()] };
    let bad = GetFlowsRequest { whitelist: vec![FlowFilter { experimental: Some(cel), ..FlowFilter::default() }], ..ask() };
    let refused = c.get_flows(bad).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "no CEL expression here"));
    assert_eq!(c.get_flows(GetFlowsRequest { first: true, follow: true, ..ask() }).await.unwrap_err().code(), Code::InvalidArgument);
    running.stop().await.unwrap();
}

/// The filters of the command line, at the demo's server: the count is that of the same simulation counted by hand.
#[tokio::test]
async fn real_filters_at_the_demo() {
    let demo = serve::demo(9, Some(START), Rate::Realtime, Listen::loopback(), Arc::new(ByQuery)).await.unwrap();
    let mut c = ObserverClient::connect(format!("http://{}", demo.address)).await.unwrap();
    let mut count = async |white: Vec<FlowFilter>, black: Vec<FlowFilter>| {
        let until = time(60);
        let request = GetFlowsRequest { whitelist: white, blacklist: black, until, ..GetFlowsRequest::default() };
        let mut stream = c.get_flows(request).await.unwrap().into_inner();
        let mut n = 0;
        while let Some(r) = stream.message().await.unwrap() {
            n += u32::from(matches!(r.response_types, Some(ResponseTypes::Flow(_))));
        }
        n
    };
    let by_hand = |fits: &dyn Fn(&Flow) -> bool| {
        let mut sim = Simulation::new(9, START);
        let first_minute = std::iter::from_fn(|| Some(sim.next())).take_while(|(at, _)| *at <= START.plus(60 * Nanos::SECOND));
        first_minute.filter(|(_, r)| matches!(&r.response_types, Some(ResponseTypes::Flow(f)) if fits(f))).count() as u32
    };
    let dropped = || FlowFilter { verdict: vec![2], ..FlowFilter::default() };
    let shop = || FlowFilter { source_pod: vec!["shop/".to_owned()], ..FlowFilter::default() };
    let put = || FlowFilter { http_method: vec!["PUT".to_owned()], ..FlowFilter::default() };
    let from_shop = |f: &Flow| f.source.as_ref().is_some_and(|s| s.namespace == "shop");
    assert_eq!(count(vec![], vec![]).await, by_hand(&|_| true));
    assert_eq!(count(vec![dropped()], vec![]).await, by_hand(&|f| f.verdict == 2));
    assert_eq!(count(vec![dropped()], vec![shop()]).await, by_hand(&|f| f.verdict == 2 && !from_shop(f)));
    let is_put = |f: &Flow| f.l7.as_ref().is_some_and(|l| matches!(&l.record, Some(Record::Http(h)) if h.method == "PUT"));
    let puts = count(vec![put()], vec![]).await;
    assert!(puts > 10);
    assert_eq!(puts, by_hand(&is_put));
    assert_eq!(count(vec![put(), dropped()], vec![]).await, by_hand(&|f| f.verdict == 2 || is_put(f)));
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn follow_gives_what_comes() {
    let ring = Ring::new(10_000);
    fill(&ring, 0, 100);
    let (running, mut c) = server(&ring).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut new = c.get_flows(follow.clone()).await.unwrap().into_inner();
    let mut some = c.get_flows(GetFlowsRequest { number: 2, ..follow.clone() }).await.unwrap().into_inner();
    let mut since = c.get_flows(GetFlowsRequest { since: time(97), ..follow }).await.unwrap().into_inner();
    fill(&ring, 100, 103);
    for n in 100..103 {
        assert_eq!(number(&more(&mut new).await), Some(n));
    }
    for n in 98..103 {
        assert_eq!(number(&more(&mut some).await), Some(n));
    }
    for n in 97..103 {
        assert_eq!(number(&more(&mut since).await), Some(n));
    }
    // A server that stops says so; a client can tell it from an end.
    running.stop.cancel();
    let end = tokio::time::timeout(Duration::from_secs(5), new.message()).await.expect("in time");
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    running.stop().await.unwrap();
    assert!(c.server_status(ServerStatusRequest {}).await.is_err());
}

#[tokio::test]
async fn a_slow_client_is_told_what_it_lost() {
    let ring = Ring::new(64);
    let (running, mut c) = server(&ring).await;
    let mut stream = c.get_flows(GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }).await.unwrap().into_inner();
    fill(&ring, 0, 1);
    assert_eq!(number(&more(&mut stream).await), Some(0));
    // Nobody reads; the window fills, the ring runs over.
    let total = 60_000;
    for from in (1..total).step_by(500) {
        fill(&ring, from, (from + 500).min(total));
        tokio::task::yield_now().await;
    }
    let (mut next, mut lost) = (1, 0);
    while next < total {
        let r = more(&mut stream).await;
        match &r.response_types {
            Some(ResponseTypes::Flow(f)) => {
                assert_eq!(f.uuid.parse(), Ok(next), "nothing is missing without a word");
                next += 1;
            }
            Some(ResponseTypes::LostEvents(l)) => {
                assert_eq!((l.source, r.node_name.as_str()), (i32::from(LostEventSource::HubbleRingBuffer), "here"));
                assert!(l.num_events_lost > 0 && r.time.is_some());
                next += i64::try_from(l.num_events_lost).unwrap();
                lost += l.num_events_lost;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, total);
    assert!(lost > 1_000, "only {lost} lost: the client was not slow");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn status_nodes_namespaces() {
    let ring = Ring::new(50);
    fill(&ring, 0, 80);
    let (running, mut c) = server(&ring).await;
    let s = c.server_status(ServerStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((s.num_flows, s.max_flows, s.seen_flows), (50, 50, 80));
    assert!((s.flows_rate - 1.0).abs() < 0.1, "{}", s.flows_rate);
    assert_eq!(c.get_agent_events(GetAgentEventsRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(c.get_debug_events(GetDebugEventsRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    running.stop().await.unwrap();

    let demo = serve::demo(1, None, Rate::Realtime, Listen::loopback(), Arc::new(ByVerdict)).await.unwrap();
    let mut c = ObserverClient::connect(format!("http://{}", demo.address)).await.unwrap();
    let nodes = c.get_nodes(GetNodesRequest {}).await.unwrap().into_inner().nodes;
    assert_eq!(nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["worker-1", "worker-2", "worker-3"]);
    let namespaces = c.get_namespaces(GetNamespacesRequest {}).await.unwrap().into_inner().namespaces;
    let namespaces: Vec<&str> = namespaces.iter().map(|n| n.namespace.as_str()).collect();
    assert_eq!(namespaces, ["bookinfo", "empire", "kube-system", "monitoring", "shop"]);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn the_demo_has_a_past_and_goes_on() {
    let demo = serve::demo(1, None, Rate::Realtime, Listen::loopback(), Arc::new(ByVerdict)).await.unwrap();
    let mut c = ObserverClient::connect(format!("http://{}", demo.address)).await.unwrap();
    let s = c.server_status(ServerStatusRequest {}).await.unwrap().into_inner();
    assert!(s.num_flows > 50_000 && s.num_flows == s.seen_flows, "five minutes, all of them: {s:?}");
    let first = GetFlowsRequest { number: 1, first: true, ..GetFlowsRequest::default() };
    let at = |r: &GetFlowsResponse| r.time.as_ref().map(|t| Nanos::from_parts(t.seconds, t.nanos)).unwrap();
    let mut oldest = c.get_flows(first).await.unwrap().into_inner();
    let age = serve::now().since(at(&more(&mut oldest).await)) / Nanos::SECOND;
    assert!((299..=330).contains(&age), "{age} s");
    let mut live = c.get_flows(GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }).await.unwrap().into_inner();
    for _ in 0..50 {
        let off = serve::now().since(at(&more(&mut live).await)).abs();
        assert!(off < 5 * Nanos::SECOND, "live records are of now, not {off} ns away");
    }
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn the_demo_keeps_the_rate_it_is_told() {
    // A start long ago does not make real time any faster.
    let cases = [(None, Rate::PerSecond(2_000.0), 600, 2_600), (None, Rate::Max, 3_000, u64::MAX), (Some(START), Rate::Realtime, 20, 900)];
    for (start, rate, low, high) in cases {
        let demo = serve::demo(1, start, rate, Listen::loopback(), Arc::new(ByVerdict)).await.unwrap();
        let mut c = ObserverClient::connect(format!("http://{}", demo.address)).await.unwrap();
        let before = c.server_status(ServerStatusRequest {}).await.unwrap().into_inner().seen_flows;
        let began = std::time::Instant::now();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let seen = c.server_status(ServerStatusRequest {}).await.unwrap().into_inner().seen_flows - before;
        let a_second = (seen as f64 / began.elapsed().as_secs_f64()) as u64;
        assert!((low..=high).contains(&a_second), "{rate:?}: {a_second} a second");
        demo.stop().await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let ring = Ring::new(100);
    let mut sim = Simulation::new(1, START);
    for _ in 0..10 {
        let (at, r) = sim.next();
        ring.push(at, &r);
    }
    let service = serve::observer(Arc::clone(&ring), Arc::new(ByVerdict), About::default());
    let running = serve::listen(service, Listen::Unix(path.clone()), tokio_util::sync::CancellationToken::new()).await.unwrap();
    assert_eq!(running.address, format!("unix://{}", path.display()));
    let mut c = ObserverClient::connect(running.address.clone()).await.unwrap();
    let mut stream = c.get_flows(GetFlowsRequest::default()).await.unwrap().into_inner();
    let mut again = Simulation::new(1, START);
    for _ in 0..10 {
        assert_eq!(more(&mut stream).await, again.next().1, "what was put in comes out");
    }
    let taken = serve::observer(ring, Arc::new(ByVerdict), About::default());
    let refused = serve::listen(taken, Listen::Unix(path.clone()), tokio_util::sync::CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.exit_code(), 3);
    running.stop().await.unwrap();
    assert!(!path.exists(), "the socket's file is cleared away");
}

/// Numbers of the flows that come until there are `n`.
async fn come(inbox: &mut Inbox, n: usize) -> Vec<i64> {
    let mut got = Vec::new();
    while got.len() < n {
        for input in inbox.recv().await.unwrap() {
            if let Input::Frame(f) = input {
                got.extend(number(&GetFlowsResponse::decode(f.bytes).unwrap()));
            }
        }
    }
    got
}

async fn connected(inbox: &mut Inbox) {
    loop {
        for input in inbox.recv().await.unwrap() {
            match input {
                Input::Link(Link::Connected { .. }) => return,
                Input::Link(Link::Connecting { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A stream is asked for something else while it runs: nothing of the old kind comes any more, nothing comes twice, and it goes on from
/// where it was.
#[tokio::test]
async fn a_stream_that_runs_is_asked_for_something_else() {
    let ring = Ring::new(100);
    fill(&ring, 0, 3);
    let (running, _) = server(&ring).await;
    let capture = Capture::default();
    let server = Server::plain(running.address.parse().unwrap());
    let client = Client::new(server, Request { number: 10, follow: true, ..Request::default() }).retry(Retry::Forever);
    let (feed, mut inbox) = source::channel(64);
    let stop = Stop::new();
    tokio::spawn(Box::new(client.capture(Some(capture.clone()))).run(feed, stop.clone()));
    let limit = Duration::from_secs(20);
    let all = async {
        assert_eq!(come(&mut inbox, 3).await, [0, 1, 2]);
        capture.ask(vec![FlowFilter { verdict: vec![2], ..FlowFilter::default() }]);
        connected(&mut inbox).await;
        fill(&ring, 3, 7);
        assert_eq!(come(&mut inbox, 2).await, [3, 6]);
        capture.ask(Vec::new());
        connected(&mut inbox).await;
        fill(&ring, 7, 8);
        // From two seconds before the last one on, without those that are known.
        assert_eq!(come(&mut inbox, 3).await, [4, 5, 7]);
    };
    tokio::time::timeout(limit, all).await.expect("in time");
    stop.cancel();
    running.stop().await.unwrap();
}

/// A filter that the server refuses.
fn cel() -> Vec<FlowFilter> {
    let experimental = Some(flow_filter::Experimental { cel_expression: vec!["true".to_owned()] });
    vec![FlowFilter { experimental, ..FlowFilter::default() }]
}

#[tokio::test]
async fn a_refused_request_ends_unless_it_was_wished_and_a_refused_wish_names_the_way_out() {
    let ring = Ring::new(100);
    fill(&ring, 0, 3);
    let (running, _) = server(&ring).await;
    let capture = Capture::default();
    let client = |whitelist| {
        let request = Request { number: 10, follow: true, whitelist, ..Request::default() };
        Client::new(Server::plain(running.address.parse().unwrap()), request).retry(Retry::Forever).capture(Some(capture.clone()))
    };
    let all = async {
        // Nobody has wished: the same request would fail for ever.
        let (feed, _inbox) = source::channel(64);
        let error = Box::new(client(cel())).run(feed, Stop::new()).await.unwrap_err();
        assert_eq!(error.what, "no CEL expression here");
        let (feed, mut inbox) = source::channel(64);
        let stop = Stop::new();
        tokio::spawn(Box::new(client(Vec::new())).run(feed, stop.clone()));
        assert_eq!(come(&mut inbox, 3).await, [0, 1, 2]);
        capture.ask(cel());
        let hint = 'down: loop {
            for input in inbox.recv().await.unwrap() {
                if let Input::Link(Link::Down { hint, .. }) = input {
                    break 'down hint.unwrap();
                }
            }
        };
        assert!(hint.ends_with("; :capture all asks for every flow"), "{hint}");
        capture.ask(Vec::new());
        fill(&ring, 3, 4);
        assert_eq!(come(&mut inbox, 1).await, [3]);
        stop.cancel();
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("in time");
    running.stop().await.unwrap();
}
