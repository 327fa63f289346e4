//! The live client against servers that are well, that die and return, and that are something else altogether.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

#[path = "grpc_client/breaks.rs"]
mod breaks;
#[path = "grpc_client/stage.rs"]
mod stage;

use bytes::Bytes;
use flowhy::error::Kind;
use flowhy::model::input::{Codec as Form, Input, Link};
use flowhy::source::hubble::{Request, Retry};
use flowhy::source::target::Target;
use flowhy::source::{Inbox, Source, Stop, channel};
use flowhy::wire::pb::{flow, observer};
use prost::Message;
use stage::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

fn many(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

#[test]
fn a_finished_answer_ends_and_the_request_arrives_as_asked() {
    let asked = Arc::new(Mutex::new(None));
    let seen = asked.clone();
    let server = Server::start(
        "127.0.0.1:0",
        Arc::new(move |r| {
            *seen.lock().unwrap() = Some(r);
            Ok(list((0..1000).map(|n| message(n, &n.to_string())).collect()))
        }),
    );
    let request = Request {
        number: 1000,
        since: Some(flowhy::model::time::Nanos::from_parts(5, 6)),
        whitelist: vec![flow::FlowFilter { source_pod: vec!["a/".to_owned()], ..Default::default() }],
        field_mask: vec!["time".to_owned()],
        ..Default::default()
    };
    let (got, result) = many(1).block_on(run(client(&server.addr.to_string(), request, Retry::Never)));
    assert_eq!(result, Ok(()));
    assert_eq!(got.ends, [Ok(())]);
    let name: Arc<str> = server.addr.to_string().into();
    assert_eq!(got.links, [Link::Connecting { server: name.clone() }, Link::Connected { server: name.clone() }]);
    assert_eq!(got.frames.iter().map(uuid).collect::<Vec<_>>(), (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(got.frames.iter().all(|f| f.codec == Form::Hubble && f.from == name && f.line == 0 && f.broken.is_none()));
    let asked = asked.lock().unwrap().take().unwrap();
    assert_eq!((asked.number, asked.follow, asked.since.map(|t| (t.seconds, t.nanos))), (1000, false, Some((5, 6))));
    assert_eq!(asked.whitelist[0].source_pod, ["a/"]);
    assert_eq!(asked.field_mask.unwrap().paths, ["time"]);
}

/// Flows and their times in milliseconds.
type Ring = Arc<Mutex<Vec<(i64, Bytes)>>>;

/// A ring that goes on filling while servers come and go, as a node's does when only Relay dies.
fn ring(stop: Arc<AtomicBool>, with_uuid: bool) -> (Ring, Handler) {
    let ring = Ring::default();
    let fill = ring.clone();
    std::thread::spawn(move || {
        let mut n = 0u64;
        while !stop.load(Ordering::SeqCst) {
            let at = now_ms();
            let node = format!("{n}");
            let bytes = if with_uuid {
                message(at, &node)
            } else {
                // No uuid: told apart by their bytes alone. The counter hides in the summary.
                let mut m = observer::GetFlowsResponse::decode(message(at, "")).unwrap();
                m.node_name = node;
                m.encode_to_vec().into()
            };
            fill.lock().unwrap().push((at, bytes));
            n += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let source = ring.clone();
    let handler: Handler = Arc::new(move |r| {
        let ring = source.clone();
        let since = r.since.map_or(i64::MAX, |t| t.seconds * 1000 + i64::from(t.nanos) / 1_000_000);
        let mut next = {
            let held = ring.lock().unwrap();
            held.iter().position(|(at, _)| *at >= since).unwrap_or(held.len())
        };
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(2)));
        let flows = ticks.map(move |_| {
            let held = ring.lock().unwrap();
            let new: Vec<_> = held[next..].iter().map(|(_, m)| Ok(m.clone())).collect();
            next = held.len();
            tokio_stream::iter(new)
        });
        Ok(Box::pin(futures::StreamExt::flatten(flows)))
    });
    (ring, handler)
}

fn dies_and_returns(with_uuid: bool) {
    let quiet = Arc::new(AtomicBool::new(false));
    let (held, handler) = ring(quiet.clone(), with_uuid);
    let mut server = Some(Server::start("127.0.0.1:0", handler.clone()));
    let addr = server.as_ref().unwrap().addr.to_string();
    let (feed, mut inbox) = channel(64);
    let stop = Stop::new();
    many(1).block_on(async {
        let task = tokio::spawn(Box::new(client(&addr, follow(), Retry::Forever)).run(feed, stop.clone()));
        let mut got = Got::default();
        for round in 1..=3 {
            let before = got.frames.len();
            got.until(&mut inbox, |g| g.frames.len() > before + 200).await;
            server.take();
            got.until(&mut inbox, |g| g.downs().len() >= round).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            server = Some(Server::start(&addr, handler.clone()));
        }
        let before = got.frames.len();
        got.until(&mut inbox, |g| g.frames.len() > before + 200).await;
        quiet.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        while let Ok(Some(batch)) = inbox.try_recv() {
            got.take(batch);
        }
        stop.cancel();
        task.await.unwrap().unwrap();
        // Exactly what the ring holds, from the first that was seen to the last: no gap, nothing twice, in order.
        let held = held.lock().unwrap();
        let first = held.iter().position(|(_, m)| *m == got.frames[0].bytes).unwrap();
        assert_eq!(got.frames.len(), held.len() - first);
        assert!(got.frames.iter().zip(&held[first..]).all(|(f, (_, m))| f.bytes == *m));
        assert!(got.links.iter().filter(|l| matches!(l, Link::Connected { .. })).count() >= 4);
        assert!(got.links.iter().all(|l| !matches!(l, Link::Down { retry_ms, .. } if *retry_ms > 100)));
        assert!(got.ends.is_empty());
    });
    drop(server);
}

#[test]
fn a_server_that_dies_and_returns_leaves_no_gap_and_no_flow_twice() {
    dies_and_returns(true);
}

#[test]
fn nor_does_one_whose_flows_have_no_uuid() {
    dies_and_returns(false);
}

#[test]
fn a_half_answer_is_an_error_and_not_asked_for_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let handler: Handler = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let half = vec![Ok(message(1, "a")), Err(Status::unavailable("relay\u{1b}[31m is going"))];
        Ok(Box::pin(tokio_stream::iter(half)))
    });
    let server = Server::start("127.0.0.1:0", handler);
    let (got, result) = many(1).block_on(run(client(&server.addr.to_string(), Request::default(), Retry::Forever)));
    let error = result.unwrap_err();
    assert_eq!((error.kind, got.frames.len(), calls.load(Ordering::SeqCst)), (Kind::Connect, 1, 1));
    assert_eq!(error.cause.as_deref(), Some("the server is not available: relay\u{fffd}[31m is going"));
    assert!(matches!(&got.ends[..], [Err(_)]));
}

#[test]
fn statuses_become_errors_in_words() {
    let cases = [
        (Code::Unimplemented, "unknown service", Kind::Connect, "it answers, but is no Hubble Observer"),
        (Code::Unknown, "invalid source port filter: x", Kind::Usage, "invalid source port filter: x"),
        (Code::InvalidArgument, "bad", Kind::Usage, "the server refuses the request: bad"),
        (Code::PermissionDenied, "", Kind::Connect, "the server does not allow it"),
    ];
    for (code, said, kind, cause) in cases {
        let server = Server::start("127.0.0.1:0", Arc::new(move |_| Err(Status::new(code, said))));
        let request = Request { whitelist: vec![flow::FlowFilter::default()], ..Default::default() };
        let (got, result) = many(1).block_on(run(client(&server.addr.to_string(), request, Retry::Never)));
        let error = result.unwrap_err();
        // What a server says with code Unknown stands first, as with Hubble.
        let said = if code == Code::Unknown { Some(&*error.what) } else { error.cause.as_deref() };
        assert_eq!((error.kind, said), (kind, Some(cause)));
        assert!(got.frames.is_empty());
    }
}

#[test]
fn what_is_no_protobuf_arrives_as_it_is() {
    let odd: Vec<Bytes> = vec![Bytes::from_static(b"\xff\xff\xff\xff"), Bytes::new(), Bytes::from(vec![0x0a; 5000]), message(1, "good")];
    let want = odd.clone();
    let server = Server::start("127.0.0.1:0", Arc::new(move |_| Ok(list(odd.clone()))));
    let (got, result) = many(1).block_on(run(client(&server.addr.to_string(), Request::default(), Retry::Never)));
    assert_eq!(result, Ok(()));
    assert_eq!(got.frames.iter().map(|f| f.bytes.clone()).collect::<Vec<_>>(), want);
}

#[test]
fn a_message_that_is_too_large_is_one_broken_frame_and_not_met_again_and_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let handler: Handler = Arc::new(move |r| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            return Ok(list(vec![message(now_ms() - 1000, "a"), Bytes::from(vec![0u8; (64 << 20) + 1]), message(now_ms(), "b")]));
        }
        if r.first {
            return Ok(list(vec![message(now_ms() - 2000, "oldest")]));
        }
        // A ring with the large message in it gives it to anyone who asks from before it.
        assert!(r.since.is_some_and(|t| t.seconds * 1000 + i64::from(t.nanos) / 1_000_000 > now_ms() - 900), "{:?}", r.since);
        Ok(Box::pin(list(vec![message(now_ms(), "c")]).chain(futures::stream::pending())))
    });
    let server = Server::start("127.0.0.1:0", handler);
    let (feed, mut inbox) = channel(64);
    many(1).block_on(async {
        tokio::spawn(Box::new(client(&server.addr.to_string(), follow(), Retry::Forever)).run(feed, Stop::new()));
        let mut got = Got::default();
        got.until(&mut inbox, |g| g.frames.len() >= 3).await;
        assert_eq!(got.frames[1].broken.as_deref(), Some("message larger than 64 MiB"));
        assert_eq!((uuid(&got.frames[0]), uuid(&got.frames[2])), ("a".to_owned(), "c".to_owned()));
        assert_eq!(got.downs(), ["it sent a message larger than 64 MiB; going on from now"]);
    });
}

#[test]
fn a_quiet_server_is_connected_and_a_full_reader_holds_the_stream() {
    // Quiet: no header ever comes, which is what Hubble does before its first flow.
    let server = Server::start("127.0.0.1:0", Arc::new(|_| Ok(Box::pin(futures::stream::pending()))));
    many(1).block_on(async {
        let (feed, mut inbox) = channel(4);
        tokio::spawn(Box::new(client(&server.addr.to_string(), follow(), Retry::Never)).run(feed, Stop::new()));
        let mut got = Got::default();
        got.until(&mut inbox, |g| g.links.len() == 2).await;
        assert!(matches!(got.links[1], Link::Connected { .. }));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(matches!(inbox.try_recv(), Ok(None)), "silence is no failure");
    });
    // Full: nobody reads, so the server cannot send all.
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let endless: Handler = Arc::new(move |_| {
        let count = count.clone();
        let large = Bytes::from(vec![0u8; 100_000]);
        Ok(Box::pin(tokio_stream::iter(0..600).map(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(large.clone())
        })))
    });
    let server = Server::start("127.0.0.1:0", endless);
    many(1).block_on(async {
        let (feed, mut inbox) = channel(4);
        tokio::spawn(Box::new(client(&server.addr.to_string(), Request::default(), Retry::Never)).run(feed, Stop::new()));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let held = sent.load(Ordering::SeqCst);
        assert!(held < 300, "{held} × 100 kB without a reader");
        let mut got = Got::default();
        got.until(&mut inbox, |g| !g.ends.is_empty()).await;
        assert_eq!((got.frames.len(), &got.ends[..]), (600, &[Ok(())][..]));
    });
}

/// A server that sends `words` to whoever comes, having read a little if `listens`.
fn rude(words: Vec<u8>, hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 24]);
            let _ = stream.write_all(&words);
            if hold {
                kept.push(stream);
            } else {
                // Closing with unread bytes would be a reset, which takes back what was written.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    });
    addr
}

#[test]
fn what_is_no_observer_is_named_as_what_it_is() {
    let noise: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let settings = [0u8, 0, 0, 4, 0, 0, 0, 0, 0];
    let then_noise = [&settings[..], &noise].concat();
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let cases = [
        ("noise", rude(noise.clone(), false), "what answers there does not speak gRPC"),
        ("noise, open", rude(noise, true), "what answers there does not speak gRPC"),
        ("http/1", rude(http, false), "an HTTP/1 server answers there, not gRPC"),
        ("tls alert", rude(vec![0x15, 3, 1, 0, 2, 2, 70], false), "the server speaks TLS"),
        ("tls hello", rude(vec![0x16, 3, 3, 0, 100, 2, 0, 0, 96, 3, 3], true), "the server speaks TLS"),
        ("hangs up", rude(Vec::new(), false), "it closes the connection at once"),
        ("silent", rude(Vec::new(), true), "it accepts connections, but says nothing within 0.5 s"),
        ("settings, then noise", rude(then_noise, true), "the connection broke: "),
    ];
    for (name, addr, cause) in cases {
        let (got, result) = many(1).block_on(run(client(&addr.to_string(), follow(), Retry::Never)));
        let error = result.expect_err(name);
        assert_eq!(error.kind, Kind::Connect, "{name}");
        assert!(error.cause.as_deref().is_some_and(|c| c.starts_with(cause)), "{name}: {error:?}");
        assert!(cause.starts_with("the connection broke") || error.hint.is_some(), "{name}: {error:?}");
        assert!(got.frames.is_empty(), "{name}");
        assert_eq!(got.ends, [Err(error.cause.unwrap())], "{name}");
        let status = many(1).block_on(at(&addr.to_string()).status());
        assert_eq!(status.expect_err(name).kind, Kind::Connect);
    }
}

#[test]
fn a_server_that_falls_silent_is_noticed_and_one_that_wants_calm_gets_it() {
    let settings = [0u8, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut silent = client(&rude(settings.to_vec(), true).to_string(), follow(), Retry::Never);
    silent.server.timing.keepalive = Duration::from_millis(100);
    let (got, result) = many(1).block_on(run(silent));
    assert_eq!(result.unwrap_err().cause.as_deref(), Some("the server no longer answers"));
    assert!(matches!(got.links.last(), Some(Link::Connected { .. })));
    // As servers in Go do it: a GOAWAY that lets our stream live, with these words, and then the connection closes.
    let mut goaway = vec![0, 0, 22, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11];
    goaway.extend_from_slice(b"too_many_pings");
    let refused = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    for goaway in [goaway, refused] {
        let addr = rude([&settings[..], &goaway].concat(), false);
        let (_, result) = many(1).block_on(run(client(&addr.to_string(), follow(), Retry::Never)));
        assert_eq!(result.unwrap_err().cause.as_deref(), Some("the server finds that we ask too often whether it is alive"));
    }
}

#[test]
fn a_server_that_refuses_us_from_the_first_is_not_asked_for_ever() {
    for code in [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented] {
        let server = Server::start("127.0.0.1:0", Arc::new(move |_| Err(Status::new(code, "no"))));
        let (_, result) = many(1).block_on(run(client(&server.addr.to_string(), follow(), Retry::OnceConnected)));
        let e = result.unwrap_err();
        assert!(e.kind == Kind::Connect && e.hint.is_some(), "{code:?}: {e}");
    }
}

#[test]
fn who_is_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = |target: &str| many(1).block_on(run(client(target, follow(), Retry::OnceConnected))).1.unwrap_err();
    let e = error(&free);
    assert_eq!((e.kind, e.what, e.cause.as_deref()), (Kind::Connect, format!("cannot reach {free}"), Some("connection refused")));
    let e = error("no-such-host.invalid:4245");
    // Some networks answer for names that do not exist; then it is another failure to connect.
    assert_eq!(e.kind, Kind::Connect);
    let dir = tempfile::tempdir().unwrap();
    let e = error(&format!("unix://{}/none.sock", dir.path().display()));
    assert_eq!(e.cause.as_deref(), Some("no such socket"));
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(error(&format!("unix://{}/file", dir.path().display())).kind, Kind::Connect);
    // With `Forever` it is said, again and again, and waited for.
    let (feed, mut inbox) = channel(8);
    many(1).block_on(async {
        let task = tokio::spawn(Box::new(client(&free, follow(), Retry::Forever)).run(feed, Stop::new()));
        let mut got = Got::default();
        got.until(&mut inbox, |g| g.downs().len() >= 4).await;
        assert!(got.downs().iter().all(|c| *c == "connection refused"));
        let pauses: Vec<u64> =
            got.links.iter().filter_map(|l| if let Link::Down { retry_ms, .. } = l { Some(*retry_ms) } else { None }).collect();
        assert!(pauses[0] <= 24 && pauses[3] >= 80 && pauses[3] <= 100, "{pauses:?}");
        drop(inbox);
        tokio::time::timeout(Duration::from_secs(5), task).await.expect("it stops when nobody listens").unwrap().unwrap();
    });
}

#[cfg(unix)]
#[test]
fn over_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hubble.sock");
    let runtime = many(1);
    let listener = runtime.block_on(async { tokio::net::UnixListener::bind(&path).unwrap() });
    let handler: Handler = Arc::new(|_| Ok(list(vec![message(1, "a")])));
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    runtime.spawn(tonic::transport::Server::builder().serve_with_incoming(Observer(handler), incoming));
    let target = Target::Unix(path);
    let (got, result) = runtime.block_on(run(client(&target.to_string(), Request::default(), Retry::Never)));
    assert_eq!((result, got.frames.len()), (Ok(()), 1));
    let status = runtime.block_on(at(&target.to_string()).status()).unwrap();
    assert_eq!((status.num_connected_nodes, status.seen_flows), (Some(3), 77));
    runtime.shutdown_background();
}
