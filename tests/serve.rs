//! A recording served by the real binary, and read back by it: what comes out is what went in.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble/flows-a.jsonl");
const EVENTS: &str = r#"{"agent_event":{"type":"AGENT_STARTED","agent_start":{"time":"2025-11-13T02:13:20.123Z"}},"node_name":"k8s1","time":"2025-11-13T02:13:20.123Z"}
{"debug_event":{"type":"DBG_DECAP"},"node_name":"k8s1","time":"2025-11-13T02:13:20.123Z"}
{"debug_event":{"type":"DBG_DECAP","message":"second"},"node_name":"k8s1","time":"2025-11-13T02:13:21Z"}
{"world":{}}
no json
"#;

struct Server {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

fn flowhy() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    c.env_clear().stdin(Stdio::null());
    c
}

fn serve(args: &[&str]) -> Server {
    let mut child = flowhy().arg("serve").args(args).args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {said}");
        said.push_str(&line);
        if let Some((_, after)) = line.split_once(" on ") {
            break after.split(';').next().unwrap().to_owned();
        }
    };
    Server { child, address, stderr }
}

impl Server {
    fn ask(&self, args: &[&str]) -> Output {
        flowhy().args(args).args(["--server", &self.address]).output().unwrap()
    }

    fn says(&self, args: &[&str]) -> String {
        let o = self.ask(args);
        assert_eq!(o.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
        String::from_utf8(o.stdout).unwrap()
    }

    /// Ends it as a user would; the exit code and what it said meanwhile.
    fn end(mut self) -> (Option<i32>, String) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        for line in self.stderr.by_ref().lines() {
            rest.push_str(&line.unwrap());
            rest.push('\n');
        }
        (code, rest)
    }
}

/// A test that fails leaves no server behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_line_comes_back_in_its_place() {
    let server = serve(&[FLOWS]);
    let text = std::fs::read_to_string(FLOWS).unwrap();
    let stdout: String = text.lines().filter(|l| !l.starts_with("{\"node_status\"")).map(|l| format!("{l}\n")).collect();
    assert!(server.says(&["observe", "--all", "-o", "jsonpb"]) == stdout);
    let dropped = server.says(&["observe", "--all", "--verdict", "AUDIT", "-o", "jsonpb"]);
    let wanted = |l: &&str| l.contains("\"verdict\":\"AUDIT\"") || l.starts_with("{\"lost_events\"");
    assert!(dropped.lines().eq(stdout.lines().filter(wanted)), "losses are told whatever the filter");
    assert!(server.says(&["status"]).contains("Current/Max Flows: 520/1,000,000 (0.05%)"));
    assert_eq!(server.says(&["list", "nodes"]).lines().count(), 6);
    assert!(server.says(&["list", "namespaces", "-o", "wide"]).contains("tenant-jobs   prod-eu-1"));
    assert_eq!(server.end(), (Some(0), String::new()));
}

#[test]
fn that_clients_get_numbers_without_their_names_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let (file, quiet) = (dir.path().join("ids.jsonl"), dir.path().join("none.jsonl"));
    let ids = |n: u32| {
        format!(
            "{{\"world\":{{\"ids\":{{\"node\":\"n1\",\"entries\":[{{\"policy_id\":{n},\"kind\":\"NetworkPolicy\",\"name\":\"db\"}}]}}}}}}\n"
        )
    };
    let flows = std::fs::read_to_string(FLOWS).unwrap();
    std::fs::write(&file, ids(7) + &flows + &ids(8)).unwrap();
    std::fs::write(&quiet, flows).unwrap();
    let said = |path: &std::path::Path| {
        // All of it is read before a client is served: what is said stands before the address.
        let mut child = flowhy().arg("serve").arg(path).args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut all = String::new();
        while !all.contains("serving ") {
            assert!(err.read_line(&mut all).unwrap() > 0, "{all}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        all.matches("has the names").count()
    };
    assert_eq!((said(&file), said(&quiet)), (1, 0));
}

#[test]
fn events_of_a_recording_are_served_and_read_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.jsonl");
    std::fs::write(&path, EVENTS).unwrap();
    let path = path.to_str().unwrap();
    let lines: Vec<_> = EVENTS.lines().collect();
    let server = serve(&[path]);
    let from_file = |args: &[&str]| {
        let o = flowhy().args(args).args(["--input-file", path]).output().unwrap();
        assert!(String::from_utf8_lossy(&o.stderr).contains("e.jsonl:5"), "{args:?}");
        String::from_utf8(o.stdout).unwrap()
    };
    for (args, wanted) in [
        (&["observe", "agent-events", "-o", "jsonpb"][..], &lines[..1]),
        (&["observe", "debug-events", "-o", "jsonpb"], &lines[1..3]),
        (&["observe", "debug-events", "-o", "jsonpb", "--last", "1"], &lines[2..3]),
        (&["observe", "debug-events", "-o", "json", "--since", "2025-11-13T02:13:20.5Z"], &lines[2..3]),
        (&["observe", "debug-events", "-o", "json", "--until", "2025-11-13T02:13:20.5Z"], &lines[1..2]),
    ] {
        let wanted: String = wanted.iter().map(|l| format!("{l}\n")).collect();
        assert_eq!(server.says(args), wanted, "{args:?}");
        assert_eq!(from_file(args), wanted, "{args:?}");
    }
    server.end();
}

#[test]
fn what_falls_out_is_counted() {
    let server = serve(&[FLOWS, "--capacity", "100"]);
    assert_eq!(server.says(&["observe", "--all", "-o", "jsonpb"]).lines().count() + 2, 100, "two of them are node states");
    assert!(server.says(&["status"]).contains("Current/Max Flows: 100/100 (100.00%)"));
    server.end();
    let mut loud = flowhy().args(["serve", FLOWS, "--capacity", "100", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(loud.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "note: 420 of 520 responses fell out, the oldest first; --capacity says how many are held\n");
    loud.kill().unwrap();
    loud.wait().unwrap();
}

#[test]
fn a_loop_goes_on_in_time_and_followers_get_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.jsonl");
    let mut file = std::fs::File::create(&path).unwrap();
    for n in 0..5 {
        writeln!(file, r#"{{"flow":{{"time":"2026-01-01T00:00:0{n}Z","uuid":"{n}"}},"time":"2026-01-01T00:00:0{n}Z"}}"#).unwrap();
    }
    let server = serve(&[path.to_str().unwrap(), "--loop", "--rate", "100"]);
    let mut follow = flowhy()
        .args(["observe", "--since", "2026-01-01T00:00:00Z", "-f", "-o", "jsonpb", "--server", &server.address])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines().take(23);
    let flows: Vec<serde_json::Value> = lines.map(|l| serde_json::from_str(&l.unwrap()).unwrap()).collect();
    follow.kill().unwrap();
    follow.wait().unwrap();
    let time = |f: &serde_json::Value| flowhy::wire::json::time::parse(f["time"].as_str().unwrap()).map(|t| (t.seconds, t.nanos)).unwrap();
    assert!(flows.is_sorted_by(|a, b| time(a) < time(b)), "time goes on from round to round: {flows:?}");
    assert!(
        flows.iter().enumerate().all(|(n, f)| f["flow"]["uuid"].as_str() == Some(&*(n % 5).to_string()) && f["flow"]["time"] == f["time"])
    );
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    for (args, code, words) in [
        (&["serve"][..], 2, "no recording to serve"),
        (&["serve", "/no/such/file"], 4, "no such file"),
        (&["serve", FLOWS, "--listen", "nowhere"], 2, "the port is missing"),
        (&["serve", FLOWS, "--loop", "--rate", "max"], 2, "never rest"),
        (&["serve", "-", "--loop"], 2, "only once"),
        (&["serve", FLOWS, "--server", "x:1"], 2, "leave out --server"),
        (&["serve", FLOWS, "--tls-cert-file", "x"], 2, "--tls-key-file"),
        (&["serve", FLOWS, "--tls-cert-file", FLOWS, "--tls-key-file", FLOWS], 2, "PEM"),
        (&["serve", FLOWS, "--listen", "unix:///no/such/folder/x"], 3, "cannot listen on"),
    ] {
        let o = flowhy().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn what_fell_out_of_a_loop_is_booked_and_told_at_its_interrupt_and_a_loop_without_time_rests() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.jsonl");
    let flow = r#"{"flow":{"uuid":"u"},"time":"2026-01-01T00:00:00Z"}"#;
    std::fs::write(&file, format!("{flow}\n{flow}\nbroken\n")).unwrap();
    let server = serve(&[file.to_str().unwrap(), "--loop", "--capacity", "2"]);
    std::thread::sleep(std::time::Duration::from_millis(700));
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    let fell: u64 = said.split("note: ").last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((2..=40).contains(&fell) && said.contains(&format!("{fell} of {} responses fell out", fell + 2)), "{said}");
    assert!(said.contains("could not be read"), "{said}");
}

#[test]
fn a_recording_that_breaks_off_is_served_as_far_as_it_goes_and_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cut.jsonl.gz");
    let whole = "{\"flow\":{\"uuid\":\"u\"},\"time\":\"2026-01-01T00:00:00Z\"}\n".repeat(2000);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut gz, whole.as_bytes()).unwrap();
    let bytes = gz.finish().unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let mut child = flowhy().arg("serve").arg(&file).args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("; Ctrl-C ends it") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let (code, rest) = Server { child, address: String::new(), stderr }.end();
    assert_eq!((code, (said + &rest).matches("to its end").count()), (Some(4), 1), "{rest}");
}
