//! Several servers as one: the order of their flows, servers that fail beside others, agents that come and go, and whether the
//! counts are right when it gets rough.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
use flowhy::engine::{Engine, Options};
use flowhy::error::Error;
use flowhy::model::input::{Input, Link};
use flowhy::model::ledger::Ledger;
use flowhy::model::time::Nanos;
use flowhy::serve::{self, About, ByQuery, Listen, Peers, Ring, Running, Tls};
use flowhy::source::agents::Agents;
use flowhy::source::hubble::{Client, Request, Retry};
use flowhy::source::merge::Merge;
use flowhy::source::server::{Server, Timing};
use flowhy::source::tls;
use flowhy::source::{Inbox, Source, Stop, channel};
use flowhy::wire::pb::flow::{Flow, FlowFilter, LostEvent, Verdict};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use prost::Message;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MS: i64 = 1_000_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn now() -> Nanos {
    SystemTime::now().into()
}

fn put(ring: &Ring, at: Nanos, uuid: &str) {
    let (seconds, nanos) = at.parts();
    let time = Some(prost_types::Timestamp { seconds, nanos });
    let flow = Flow { uuid: uuid.to_owned(), time, ..Flow::default() };
    ring.push(at, &GetFlowsResponse { time, response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() });
}

async fn serve_at(ring: &Arc<Ring>, at: Listen) -> Running {
    serve::listen(serve::observer(Arc::clone(ring), Arc::new(ByQuery), About::default()), at, Stop::new()).await.unwrap()
}

async fn served(ring: &Arc<Ring>) -> Running {
    serve_at(ring, Listen::loopback()).await
}

fn at(address: &str) -> Server {
    let timing = Timing {
        connect: Duration::from_secs(1),
        first: Duration::from_millis(20),
        cap: Duration::from_millis(200),
        keepalive: Duration::from_millis(300),
        ..Timing::default()
    };
    Server { timing, ..Server::plain(address.parse().unwrap()) }
}

fn merged(addresses: &[&str], request: Request) -> Merge {
    Merge { servers: addresses.iter().map(|a| at(a)).collect(), agents: None, request, capture: None, patient: false }
}

fn follow() -> Request {
    Request { follow: true, number: 1_000_000, ..Request::default() }
}

/// The engine at the end of a source, as in a headless run.
struct Run {
    engine: Engine,
    /// Flows in the order of their coming: time and uuid.
    seen: Vec<(Nanos, String)>,
    links: Vec<Link>,
    inbox: Inbox,
    task: tokio::task::JoinHandle<Result<(), Error>>,
    stop: Stop,
}

impl Run {
    fn start(source: Box<dyn Source>) -> Self {
        let (feed, inbox) = channel(64);
        let stop = Stop::new();
        let task = tokio::spawn(source.run(feed, stop.clone()));
        Self { engine: Engine::new(Options::default()), seen: Vec::new(), links: Vec::new(), inbox, task, stop }
    }

    fn take(&mut self, batch: Vec<Input>) {
        for input in batch {
            if let Input::Link(l) = &input {
                self.links.push(l.clone());
            }
            if let Input::Frame(f) = &input
                && let Some(ResponseTypes::Flow(f)) = GetFlowsResponse::decode(f.bytes.clone()).unwrap().response_types
            {
                let at = f.time.map_or(Nanos::default(), |t| Nanos::from_parts(t.seconds, t.nanos));
                self.seen.push((at, f.uuid));
            }
            self.engine.feed(input, &mut |_| {});
        }
        assert!(self.engine.ledger().balanced(), "{:?}", self.engine.ledger());
    }

    async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !enough(self) {
            let left = limit.saturating_duration_since(Instant::now());
            let batch = tokio::time::timeout(left, self.inbox.recv()).await;
            match batch {
                Ok(Some(batch)) => self.take(batch),
                Ok(None) => panic!("{what}: ended with {:?}", self.links),
                Err(_) => panic!("{what}: too slow, {} flows, {:?}", self.seen.len(), self.links),
            }
        }
    }

    /// Ends it as Ctrl-C does.
    async fn stopped(self) {
        self.stop.cancel();
        assert_eq!(self.end().await.1, Ok(()));
    }

    /// To the end.
    async fn end(mut self) -> (Self, Result<(), Error>) {
        while let Some(batch) = tokio::time::timeout(Duration::from_secs(20), self.inbox.recv()).await.expect("it ends") {
            self.take(batch);
        }
        let result = (&mut self.task).await.unwrap();
        (self, result)
    }

    fn uuids(&self) -> Vec<&str> {
        self.seen.iter().map(|(_, u)| u.as_str()).collect()
    }

    fn ledger(&self) -> &Ledger {
        self.engine.ledger()
    }

    fn in_order(&self) -> bool {
        self.seen.windows(2).all(|w| w[0].0 <= w[1].0)
    }

    fn downs(&self) -> usize {
        self.links.iter().filter(|l| matches!(l, Link::Down { .. })).count()
    }
}

/// Rings of several nodes whose flows lie between each other's; `n` each, the last one now.
fn rings(nodes: usize, n: i64) -> Vec<Arc<Ring>> {
    let (start, count) = (now().plus(-n * 10 * MS), i64::try_from(nodes).unwrap());
    (0..count)
        .map(|node| {
            let ring = Ring::new(100_000);
            (0..n).for_each(|i| put(&ring, start.plus((i * 10 + node) * MS), &format!("{node}-{i}")));
            ring
        })
        .collect()
}

#[test]
fn answers_of_several_servers_come_in_the_order_of_time_and_all_of_them() {
    runtime().block_on(async {
        let rings = rings(3, 40_000);
        let mut servers = Vec::new();
        for ring in &rings {
            servers.push(served(ring).await);
        }
        let addresses: Vec<_> = servers.iter().map(|s| s.address.as_str()).collect();
        let (run, result) = Run::start(Box::new(merged(&addresses, Request { number: u64::MAX, ..Request::default() }))).end().await;
        assert_eq!(result, Ok(()));
        assert_eq!((run.seen.len(), run.in_order(), run.ledger().late_total()), (120_000, true, 0));
        assert_eq!(run.uuids().iter().collect::<BTreeSet<_>>().len(), 120_000);
        // The last of each server, as with Relay.
        let (run, _) = Run::start(Box::new(merged(&addresses, Request { number: 2, ..Request::default() }))).end().await;
        assert_eq!(run.uuids(), ["0-39998", "1-39998", "2-39998", "0-39999", "1-39999", "2-39999"]);
    });
}

#[test]
fn a_server_that_is_not_there_does_not_keep_the_others_from_being_read() {
    runtime().block_on(async {
        let rings = rings(2, 50);
        let (a, b) = (served(&rings[0]).await, served(&rings[1]).await);
        let request = || Request { number: u64::MAX, ..Request::default() };
        let (run, result) = Run::start(Box::new(merged(&[&a.address, "127.0.0.1:1", &b.address], request()))).end().await;
        assert_eq!((run.seen.len(), run.in_order()), (100, true));
        let e = result.unwrap_err();
        assert_eq!((e.what.as_str(), e.exit_code()), ("1 of 3 servers could not be read to their end", 3));
        assert!(
            run.links
                .iter()
                .any(|l| matches!(l, Link::Lost { server, cause, .. } if &**server == "127.0.0.1:1" && cause == "connection refused"))
        );
        let (_, result) = Run::start(Box::new(merged(&["127.0.0.1:1", "127.0.0.1:2"], request()))).end().await;
        assert_eq!(result.unwrap_err().exit_code(), 3);
        // A stream that goes on waits for the one that is away, unless all are.
        let (_, result) = Run::start(Box::new(merged(&["127.0.0.1:1", "127.0.0.1:2"], follow()))).end().await;
        assert_eq!(result.unwrap_err().what, "cannot reach any of 2 servers");
        let mut run = Run::start(Box::new(merged(&[&a.address, "127.0.0.1:1"], follow())));
        run.until("the one that is there", |r| r.seen.len() == 50 && r.downs() >= 3).await;
        run.stop.cancel();
        assert_eq!(run.end().await.1, Ok(()));
    });
}

#[test]
fn a_quiet_server_costs_a_second_and_one_that_is_late_is_shown_and_counted() {
    runtime().block_on(async {
        let (busy, quiet) = (Ring::new(1000), Ring::new(1000));
        let (a, b) = (served(&busy).await, served(&quiet).await);
        let mut run = Run::start(Box::new(merged(&[&a.address, &b.address], follow())));
        run.until("both are there", |r| r.links.iter().filter(|l| matches!(l, Link::Connected { .. })).count() == 2).await;
        let began = Instant::now();
        put(&busy, now().plus(-100 * MS), "first");
        run.until("the first", |r| r.seen.len() == 1).await;
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(900) && waited < Duration::from_secs(3), "{waited:?}");
        // What is older comes at once, and is counted.
        let began = Instant::now();
        let old = now().plus(-10 * Nanos::SECOND);
        (0..5).for_each(|n| put(&quiet, old.plus(n), &format!("late-{n}")));
        run.until("the late", |r| r.seen.len() == 6 && r.ledger().late_total() == 5).await;
        assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
        assert_eq!(run.ledger().late.get(&b.address), Some(&5));
        // When both go on saying newer things, nobody waits, and in order.
        for n in 0..200i64 {
            let t = now();
            put(&busy, t, &format!("a{n}"));
            put(&quiet, t.plus(1), &format!("b{n}"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // However long a busy machine takes to say them.
        let said = Instant::now();
        run.until("both", |r| r.seen.len() >= 6 + 398).await;
        assert!(said.elapsed() < Duration::from_millis(900), "{:?}", said.elapsed());
        assert!(run.seen[6..].windows(2).all(|w| w[0].0 <= w[1].0) && run.ledger().late_total() == 5);
        run.stopped().await;
    });
}

#[test]
fn one_clock_that_is_fast_does_not_make_all_others_late() {
    runtime().block_on(async {
        let (fast, right) = (Ring::new(1000), Ring::new(1000));
        let (a, b) = (served(&fast).await, served(&right).await);
        let mut run = Run::start(Box::new(merged(&[&a.address, &b.address], follow())));
        for n in 0..100i64 {
            put(&fast, now().plus(3600 * Nanos::SECOND), &format!("f{n}"));
            put(&right, now(), &format!("r{n}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        run.until("all", |r| r.seen.len() == 200).await;
        assert_eq!(run.ledger().late_total(), 0);
        run.stopped().await;
    });
}

#[test]
fn one_of_two_dies_and_returns_and_nothing_is_missing_or_twice() {
    runtime().block_on(async {
        let rings = [Ring::new(100_000), Ring::new(100_000)];
        let a = served(&rings[0]).await;
        let b = served(&rings[1]).await;
        let back = b.address.clone();
        let mut run = Run::start(Box::new(merged(&[&a.address, &b.address], follow())));
        let filling = Arc::new(AtomicBool::new(true));
        let (go, targets) = (filling.clone(), rings.clone());
        let filler = std::thread::spawn(move || {
            // A little history: what lies before the first flow of a stream was never asked for, and is not after a break either.
            (0..2).for_each(|i| put(&targets[i], now().plus(-5 * Nanos::SECOND), &format!("{i}-0")));
            let mut n = 1;
            while go.load(Ordering::SeqCst) {
                let t = now();
                // Equal times, and a clock that now and then runs backwards.
                let t = if n % 50 == 49 { t.plus(-400 * MS) } else { Nanos(t.0 / (20 * MS) * (20 * MS)) };
                (0..2).for_each(|i| put(&targets[i], t, &format!("{i}-{n}")));
                n += 1;
                std::thread::sleep(Duration::from_micros(500));
            }
            n
        });
        run.until("some", |r| r.seen.len() > 500).await;
        let mut b = Some(b);
        for _ in 0..3 {
            b.take().unwrap().stop().await.unwrap();
            let (downs, seen) = (run.downs(), run.seen.len());
            run.until("the other goes on", |r| r.downs() > downs && r.seen.len() > seen + 100).await;
            b = Some(serve_at(&rings[1], Listen::Tcp(back.parse().unwrap())).await);
            let seen = run.seen.len();
            run.until("both go on", |r| r.seen.len() > seen + 1000).await;
        }
        filling.store(false, Ordering::SeqCst);
        let n: usize = filler.join().unwrap();
        run.until("the rest", |r| r.seen.len() >= 2 * n).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        run.stop.cancel();
        let (run, _) = run.end().await;
        let once: BTreeSet<_> = run.uuids().into_iter().collect();
        assert_eq!((once.len(), run.seen.len()), (2 * n, 2 * n), "late: {:?}", run.ledger().late);
        assert!(run.ledger().reconnects >= 3);
    });
}

/// Forwards to `to` until it is frozen: then no byte and no end comes any more on connections that stand.
async fn proxy(to: String, frozen: Arc<AtomicBool>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let (to, frozen) = (to.clone(), frozen.clone());
            frozen.store(false, Ordering::SeqCst);
            tokio::spawn(async move {
                let far = tokio::net::TcpStream::connect(&to).await.unwrap();
                let ((mut near_r, mut near_w), (mut far_r, mut far_w)) = (near.into_split(), far.into_split());
                let mut dead = false;
                let (mut x, mut y) = (vec![0; 4096], vec![0; 4096]);
                loop {
                    tokio::select! {
                        n = near_r.read(&mut x) => {
                            let n = n.unwrap_or(0);
                            if n == 0 { return; }
                            dead |= frozen.load(Ordering::SeqCst);
                            if !dead && far_w.write_all(&x[..n]).await.is_err() { return; }
                        }
                        n = far_r.read(&mut y) => {
                            let n = n.unwrap_or(0);
                            dead |= frozen.load(Ordering::SeqCst);
                            if n == 0 { std::future::pending::<()>().await; }
                            if !dead && near_w.write_all(&y[..n]).await.is_err() { return; }
                        }
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_connection_that_is_dead_without_saying_so_is_noticed_and_nothing_is_missing() {
    runtime().block_on(async {
        let ring = Ring::new(100_000);
        let server = served(&ring).await;
        let frozen = Arc::new(AtomicBool::new(false));
        let address = proxy(server.address.clone(), frozen.clone()).await;
        let mut run = Run::start(Box::new(Client::new(at(&address), follow()).retry(Retry::OnceConnected)));
        for n in 0..50 {
            put(&ring, now(), &n.to_string());
        }
        run.until("the first", |r| r.seen.len() == 50).await;
        frozen.store(true, Ordering::SeqCst);
        for n in 50..100 {
            put(&ring, now(), &n.to_string());
        }
        run.until("the rest", |r| r.seen.len() >= 100).await;
        assert!(
            run.links.iter().any(|l| matches!(l, Link::Down { cause, .. } if cause == "the server no longer answers")),
            "{:?}",
            run.links
        );
        assert_eq!(run.uuids(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(run.ledger().gap_count, 0);
        run.stopped().await;
    });
}

/// A flow that is asked for, or one that is not.
fn judged(ring: &Ring, at: Nanos, verdict: Verdict) {
    let (seconds, nanos) = at.parts();
    let time = Some(prost_types::Timestamp { seconds, nanos });
    let flow = Flow { uuid: at.0.to_string(), time, verdict: verdict.into(), ..Flow::default() };
    ring.push(at, &GetFlowsResponse { time, response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() });
}

/// Of the few flows that are asked for the last one has left the server's ring; whether anything is lacking the others in it say.
#[test]
fn a_server_from_which_little_is_asked_lacks_nothing_if_its_ring_begins_before_the_break() {
    runtime().block_on(async {
        for (since, gaps) in [(50, 0), (0, 1)] {
            let ring = Ring::new(100);
            let server = served(&ring).await;
            let address = server.address.clone();
            let drops = vec![FlowFilter { verdict: vec![Verdict::Dropped.into()], ..FlowFilter::default() }];
            let mut run = Run::start(Box::new(merged(&[&address], Request { whitelist: drops, ..follow() })));
            let ago = |seconds: i64| now().plus(-seconds * Nanos::SECOND);
            judged(&ring, ago(60), Verdict::Dropped);
            run.until("the first", |r| r.seen.len() == 1).await;
            server.stop().await.unwrap();
            run.until("the break", |r| r.downs() > 0).await;
            let others = ago(since);
            (0..100).for_each(|n| judged(&ring, others.plus(n * MS), Verdict::Forwarded));
            let _back = serve_at(&ring, Listen::Tcp(address.parse().unwrap())).await;
            judged(&ring, now().plus(Nanos::SECOND), Verdict::Dropped);
            run.until("the last", |r| r.seen.len() == 2).await;
            assert_eq!(run.ledger().gap_count, gaps, "{:?}", run.ledger().gaps);
            // While it was connected everything came.
            let told = run.ledger().gaps.iter().map(|g| g.from);
            assert!(told.into_iter().all(|from| from > run.seen[0].0.plus(50 * Nanos::SECOND)));
            run.stopped().await;
        }
    });
}

#[test]
fn thirty_thousand_lost_events_a_second_are_all_counted() {
    runtime().block_on(async {
        let rings = [Ring::new(200_000), Ring::new(200_000)];
        let servers = [served(&rings[0]).await, served(&rings[1]).await];
        let mut run = Run::start(Box::new(merged(&[&servers[0].address, &servers[1].address], follow())));
        let began = Instant::now();
        for n in 0..45_000u64 {
            let (seconds, nanos) = now().parts();
            let time = Some(prost_types::Timestamp { seconds, nanos });
            let lost = LostEvent { source: 1, num_events_lost: 3, ..LostEvent::default() };
            let response = Some(ResponseTypes::LostEvents(lost));
            let node = (n % 2) as usize;
            rings[node].push(now(), &GetFlowsResponse { node_name: format!("n{node}"), time, response_types: response });
            if n % 30 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        put(&rings[0], now().plus(5 * MS), "end");
        put(&rings[1], now().plus(5 * MS), "end");
        run.until("the end", |r| r.seen.len() == 2).await;
        let took = began.elapsed();
        let l = run.ledger();
        assert_eq!((l.lost_total(), l.lost.len(), l.notices, l.frames), (135_000, 2, 45_000, 45_002));
        assert!(l.lost.values().all(|n| *n == 67_500), "{:?}", l.lost);
        assert!(took < Duration::from_secs(10), "{took:?}");
        run.stopped().await;
    });
}

#[test]
fn what_the_ring_has_run_over_is_counted_and_never_guessed() {
    runtime().block_on(async {
        let ring = Ring::new(100);
        let server = served(&ring).await;
        let address = server.address.clone();
        let mut run = Run::start(Box::new(merged(&[&address, "127.0.0.1:1"], follow())));
        (0..50).for_each(|n| put(&ring, now(), &n.to_string()));
        run.until("the first", |r| r.seen.len() == 50).await;
        server.stop().await.unwrap();
        (50..1000).for_each(|n| put(&ring, now(), &n.to_string()));
        let _back = serve_at(&ring, Listen::Tcp(address.parse().unwrap())).await;
        run.until("the last", |r| r.uuids().last() == Some(&"999")).await;
        // What is no more in the ring cannot be had; that the connection broke is booked, and which time may be lacking, and no flow is twice.
        let once: BTreeSet<_> = run.uuids().into_iter().collect();
        assert_eq!((once.len(), run.seen.len()), (150, 150));
        assert!(run.ledger().reconnects >= 1);
        let gaps: Vec<_> = run.ledger().gaps.iter().map(|g| (&*g.server, g.from, g.until)).collect();
        assert_eq!(gaps, [(address.as_str(), run.seen[49].0, run.seen[50].0)]);
        run.stopped().await;
    });
}

const CERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble/certs");

fn cert(name: &str) -> PathBuf {
    PathBuf::from(CERTS).join(name)
}

async fn announcing(peers: &Peers) -> Running {
    let service = serve::observer(Ring::new(10), Arc::new(ByQuery), About::default()).announcing(peers.clone());
    serve::listen(service, Listen::loopback(), Stop::new()).await.unwrap()
}

fn agents_of(address: &str, request: Request) -> Merge {
    let tls = tls::Options { ca: vec![cert("ca.crt")], ..tls::Options::default() }.load().unwrap();
    Merge { servers: Vec::new(), agents: Some(Agents { server: at(address), tls: Arc::new(tls) }), request, capture: None, patient: false }
}

#[test]
fn agents_are_asked_directly_with_tls_where_they_say_so_and_followed_as_they_come_and_go() {
    runtime().block_on(async {
        let rings = rings(3, 20);
        let tls = Tls { cert: cert("server.crt"), key: cert("server.key"), client_ca: None };
        let (a, b) = (served(&rings[0]).await, serve_at(&rings[1], Listen::Tls(([127, 0, 0, 1], 0).into(), tls)).await);
        let c = served(&rings[2]).await;
        let peers = Peers::default();
        peers.put("cluster/a", &a.address, None);
        peers.put("cluster/b", b.address.trim_start_matches("tls://"), Some("b.hubble-relay.cilium.io"));
        peers.put("cluster/away", "127.0.0.1:1", None);
        let relay = announcing(&peers).await;
        // Once: whoever is there answers, whoever is not is named, and that is a success.
        let (run, result) = Run::start(Box::new(agents_of(&relay.address, Request { number: 5, ..Request::default() }))).end().await;
        assert_eq!((result, run.seen.len(), run.in_order()), (Ok(()), 10, true));
        let lost: Vec<_> =
            run.links.iter().filter_map(|l| if let Link::Lost { server, .. } = l { Some(&**server) } else { None }).collect();
        assert_eq!(lost, ["cluster/away (127.0.0.1:1)"]);
        // Going on: one comes, one leaves.
        let mut run = Run::start(Box::new(agents_of(&relay.address, follow())));
        run.until("two agents", |r| r.seen.len() == 40).await;
        peers.put("cluster/c", &c.address, None);
        run.until("a third", |r| r.seen.len() == 60).await;
        peers.remove("cluster/c");
        run.until("it leaves", |r| r.links.iter().any(|l| matches!(l, Link::Left { server } if server.starts_with("cluster/c")))).await;
        put(&rings[2], now(), "unheard");
        put(&rings[0], now(), "heard");
        run.until("the rest goes on", |r| r.uuids().contains(&"heard")).await;
        assert!(!run.uuids().contains(&"unheard"));
        // The one who named them dies: the agents go on.
        relay.stop().await.unwrap();
        run.until("it is told", |r| r.links.iter().any(|l| matches!(l, Link::Down { server, .. } if server.contains("names the agents"))))
            .await;
        put(&rings[1], now(), "still heard");
        run.until("the agents go on", |r| r.uuids().contains(&"still heard")).await;
        run.stopped().await;
    });
}

#[test]
fn who_names_no_agents_is_said_at_once() {
    runtime().block_on(async {
        let (_, result) = Run::start(Box::new(agents_of("127.0.0.1:1", follow()))).end().await;
        assert_eq!(result.unwrap_err().exit_code(), 3);
        let lonely = announcing(&Peers::default()).await;
        let (_, result) = Run::start(Box::new(agents_of(&lonely.address, Request::default()))).end().await;
        let e = result.unwrap_err();
        assert!(e.what.ends_with("names no agents") && e.exit_code() == 3, "{e}");
    });
}

fn flowhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowhy")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_binary_merges_servers_and_says_which_one_failed() {
    let runtime = runtime();
    let rings = rings(2, 30);
    let (a, b) = runtime.block_on(async { (served(&rings[0]).await, served(&rings[1]).await) });
    let uuids = |o: &Output| {
        let lines = text(&o.stdout);
        lines
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["flow"]["uuid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let o = flowhy(&["observe", "-o", "jsonpb", "--last", "2", "--server", &a.address, "--server", &b.address]);
    assert_eq!((o.status.code(), text(&o.stderr)), (Some(0), String::new()));
    assert_eq!(uuids(&o), ["0-28", "1-28", "0-29", "1-29"]);
    // A filter that runs here keeps the last of each server too.
    let o = flowhy(&["observe", "-o", "jsonpb", "--last", "2", "--server", &a.address, "--server", &b.address, "not drop:any"]);
    assert_eq!(uuids(&o), ["0-28", "1-28", "0-29", "1-29"], "{}", text(&o.stderr));
    let o = flowhy(&["observe", "-o", "jsonpb", "--all", "--server", &a.address, "--server", "127.0.0.1:1"]);
    assert_eq!((o.status.code(), uuids(&o).len()), (Some(3), 30));
    let err = text(&o.stderr);
    assert!(err.contains("warning: cannot read from 127.0.0.1:1, going on without it\n  cause: connection refused"), "{err}");
    assert!(err.contains("error: 1 of 2 servers could not be read to their end"), "{err}");
    let peers = Peers::default();
    peers.put("n1", &a.address, None);
    peers.put("n2", &b.address, None);
    let relay = runtime.block_on(announcing(&peers));
    let o = flowhy(&["observe", "-o", "jsonpb", "--all", "--server", &relay.address, "--agents"]);
    assert_eq!((o.status.code(), uuids(&o).len()), (Some(0), 60), "{}", text(&o.stderr));
}

#[cfg(unix)]
#[test]
fn an_interrupt_prints_what_had_come_and_was_held_for_a_server_that_says_nothing() {
    let runtime = runtime();
    let ring = Ring::new(16);
    put(&ring, now(), "held");
    let good = runtime.block_on(served(&ring));
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().map(|a| (a.to_string(), mute)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    command.args(["observe", "--last", "5", "-ojson", "--server", &good.address, "--server", &mute.0]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && began.elapsed() < Duration::from_secs(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("held"), "{output:?}");
}
