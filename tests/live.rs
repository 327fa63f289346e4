//! The real binary against a live Observer: what it asks, what it prints, and what it does when the server dies and returns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#[path = "live/api/mod.rs"]
mod api;
#[path = "live/explained.rs"]
mod explained;
#[path = "live/kube.rs"]
mod kube_api;
#[path = "live/load.rs"]
mod load;
#[path = "live/minimal.rs"]
mod minimal;
#[path = "live/readme.rs"]
mod readme;
#[path = "live/traffic.rs"]
mod traffic;
#[path = "live/watch.rs"]
mod watch;
#[path = "live/way.rs"]
mod way;

use flowhy::demo::{self, Simulation};
use flowhy::model::time::Nanos;
use flowhy::serve::{self, About, ByQuery, Listen, Ring, Running};
use flowhy::source::Stop;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const START: Nanos = Nanos(1_767_225_600_000_000_000);

/// A ring with the demo's first records, and the simulation to go on with.
fn ring(records: usize) -> (Arc<Ring>, Simulation) {
    let ring = Ring::new(4096);
    let mut simulation = Simulation::new(1, START);
    for _ in 0..records {
        let (at, r) = simulation.next();
        ring.push(at, &r);
    }
    (ring, simulation)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn serve_at(ring: &Arc<Ring>, at: Listen) -> Running {
    let about = About { name: "here".to_owned(), ..About::default() };
    serve::listen(serve::observer(Arc::clone(ring), Arc::new(ByQuery), about), at, Stop::new()).await.unwrap()
}

fn flowhy(args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    c.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

fn run(args: &[&str]) -> Output {
    flowhy(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ends by itself if a test fails.
struct Reaped(Child);
impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn history_over_tcp_and_a_socket_with_filters_at_the_server_and_here() {
    let runtime = runtime();
    let (ring, _) = ring(3000);
    let tcp = runtime.block_on(serve_at(&ring, Listen::loopback()));
    let at = tcp.address.as_str();
    let lines = |o: &Output| text(&o.stdout).lines().filter(|l| l.starts_with(r#"{"flow""#)).count();

    let o = run(&["observe", "--server", at, "-o", "jsonpb"]);
    assert_eq!((o.status.code(), lines(&o)), (Some(0), 20), "{}", text(&o.stderr));
    let o = run(&["observe", "--server", at, "-o", "jsonpb", "--last", "7", "--verdict", "DROPPED"]);
    assert_eq!(lines(&o), 7);
    assert!(text(&o.stdout).lines().all(|l| l.contains(r#""verdict":"DROPPED""#)));
    // The language filters here, and the last seven are still the last seven that match.
    let here = run(&["observe", "--server", at, "-o", "jsonpb", "--last", "7", "verdict:dropped"]);
    assert_eq!(text(&here.stdout), text(&o.stdout));
    // An explanation changes nothing but the object it adds.
    let why = run(&["observe", "--server", at, "-o", "jsonpb", "--last", "7", "--verdict", "DROPPED", "--why"]);
    let bare: Vec<_> = text(&why.stdout).lines().map(|l| format!("{}}}", l.split(r#","why":"#).next().unwrap())).collect();
    assert_eq!(bare, text(&o.stdout).lines().collect::<Vec<_>>());
    let all = run(&["observe", "--server", at, "-o", "jsonpb", "--all"]);
    assert!(lines(&all) > 2900, "{}", lines(&all));

    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().unwrap();
        let unix = runtime.block_on(serve_at(&ring, Listen::Unix(dir.path().join("hubble.sock"))));
        let o = run(&["observe", "--server", &unix.address, "-o", "jsonpb", "--first", "3"]);
        assert_eq!(text(&o.stdout).lines().collect::<Vec<_>>(), text(&all.stdout).lines().take(3).collect::<Vec<_>>());
    }
}

#[test]
fn why_explains_a_live_server() {
    let runtime = runtime();
    let (ring, _) = ring(4000);
    let server = runtime.block_on(serve_at(&ring, Listen::loopback()));
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo");
    let o = run(&["why", "--server", &server.address, "--policies", policies, "-o", "json", "drop:policy"]);
    assert_eq!(o.status.code(), Some(0), "{}", text(&o.stderr));
    let outcomes: BTreeSet<_> = text(&o.stdout)
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert!(outcomes.contains("default-deny") && outcomes.contains("denied-by-rule") && outcomes.contains("l7-denied"), "{outcomes:?}");
    assert!(demo::mistakes().len() >= outcomes.len());
}

/// Killed, and back with a ring that has only what came later: on standard error, in the recording, and where that is read again.
#[test]
fn a_server_that_returns_with_later_flows_only_is_said_to_lack_some_and_so_is_the_recording() {
    let runtime = runtime();
    let (first, mut simulation) = ring(200);
    let server = runtime.block_on(serve_at(&first, Listen::loopback()));
    let address = server.address.clone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flows.jsonl").to_string_lossy().into_owned();
    let mut child = Reaped(flowhy(&["record", &file, "--server", &address, "--last", "100"]).spawn().unwrap());
    let held = || std::fs::read_to_string(&file).unwrap_or_default();
    let wait = |what: &str, enough: &dyn Fn(&str) -> bool| {
        let limit = Instant::now() + Duration::from_secs(30);
        while !enough(&held()) {
            assert!(Instant::now() < limit, "{what}: {}", held());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("the first flows", &|text| text.matches("{\"flow\"").count() >= 90);
    runtime.block_on(server.stop()).unwrap();
    // Another ring, as after a restart.
    (0..300).for_each(|_| _ = simulation.next());
    let second = Ring::new(4096);
    for _ in 0..50 {
        let (at, r) = simulation.next();
        second.push(at, &r);
    }
    let back = runtime.block_on(serve_at(&second, Listen::Tcp(address.parse().unwrap())));
    wait("the gap", &|text| text.contains(r#""gap":{"server":"#));
    assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let mut err = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let told =
        |err: &str| err.lines().filter(|l| l.contains(&format!("{address} may lack flows of "))).map(str::to_owned).collect::<Vec<_>>();
    assert!(!told(&err).is_empty() && told(&err)[0].contains("between 2026-01-01 00:0"), "{err}");
    let again = run(&["observe", "--from", &file, "--why", "-o", "jsonpb"]);
    assert_eq!(told(&text(&again.stderr)), told(&err));
    drop(back);
}

#[test]
fn a_server_that_dies_and_returns_leaves_no_gap_and_no_flow_twice() {
    let runtime = runtime();
    let (ring, mut simulation) = ring(500);
    let server = runtime.block_on(serve_at(&ring, Listen::loopback()));
    let address = server.address.clone();
    let mut child = Reaped(flowhy(&["observe", "--server", &address, "-f", "--last", "10", "-o", "jsonpb"]).spawn().unwrap());
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    let mut seen: Vec<String> = Vec::new();
    let mut read = |n: usize, seen: &mut Vec<String>| {
        while seen.len() < n {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "ended after {}", seen.len());
            let v: serde_json::Value = serde_json::from_str(&line).unwrap();
            if let Some(uuid) = v["flow"]["uuid"].as_str() {
                seen.push(uuid.to_owned());
            }
        }
    };
    read(10, &mut seen);
    let mut wanted = Vec::new();
    let mut push = |n: usize, wanted: &mut Vec<String>| {
        for _ in 0..n {
            let (at, r) = simulation.next();
            ring.push(at, &r);
            if let Some(flowhy::wire::pb::observer::get_flows_response::ResponseTypes::Flow(f)) = r.response_types {
                wanted.push(f.uuid);
            }
        }
    };
    push(50, &mut wanted);
    read(10 + wanted.len(), &mut seen);
    runtime.block_on(server.stop()).unwrap();
    // What happens while nobody listens is in the ring when the server is back.
    push(50, &mut wanted);
    let back = runtime.block_on(serve_at(&ring, Listen::Tcp(address.parse().unwrap())));
    push(50, &mut wanted);
    read(10 + wanted.len(), &mut seen);
    assert_eq!(seen[10..], wanted);
    let began = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut err = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("trying again in") && !err.contains("may lack"), "{err}");
    assert!(err.trim_end().ends_with(&format!("note: connected to {address} again")), "{err}");
    drop(back);
}
