//! The scan against the full reader and against the engine: no flow is lost, no byte differs, every line is in the books, and memory
//! stays bounded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]
#[path = "scan/spell.rs"]
mod spell;

use flowhy::model::ledger::Ledger;
use flowhy::model::time::Nanos;
use flowhy::query::{self, Context, Predicate};
use flowhy::scan::{Ending, Options, Outcome, Part, Print, Scan, Sink};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::read_line;
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::response::Response;
use serde_json::Value;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;

/// When the filter cases were made; only cases with relative times ask.
const NOW: Nanos = Nanos(1_795_000_000 * Nanos::SECOND);

fn corpus(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/conformance/hubble/{name}", env!("CARGO_MANIFEST_DIR"))).expect("in the repository")
}

/// Prints responses so that two of them differ where the messages do.
struct Exactly;

impl Print for Exactly {
    fn line(&mut self, r: Response<'_>, out: &mut Vec<u8>) {
        flowhy::wire::json::write_response(&r.message().unwrap(), out);
        out.push(b'\n');
    }
    fn status(&mut self, r: &GetFlowsResponse, err: &mut Vec<u8>) {
        self.line(r.into(), err);
    }
    fn finish(&mut self, _: &mut Vec<u8>) {}
}

/// Keeps both streams in the order of writing.
#[derive(Clone, Default)]
struct Both(Arc<Mutex<Vec<u8>>>);

impl Sink for Both {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn part(name: &str, bytes: &[u8]) -> Part {
    reading(name, Cursor::new(bytes.to_vec()))
}

fn reading(name: &str, from: impl Read + Send + 'static) -> Part {
    Part { name: name.into(), from: Box::new(from), live: false, why: Box::new(|e| Ending::Failed(e.kind().to_string())) }
}

fn scan(options: Options, parts: Vec<Part>) -> (String, Outcome) {
    let both = Both::default();
    let scan = Arc::new(Scan::new(options, parts, || Box::new(Exactly), Box::new(both.clone())));
    scan.run(3);
    let outcome = scan.finish();
    assert!(outcome.ledger.balanced(), "{:?}", outcome.ledger);
    let bytes = both.0.lock().unwrap().clone();
    (String::from_utf8(bytes).unwrap(), outcome)
}

/// What reading everything gives: each response and its line.
fn read_all(text: &[u8]) -> Vec<(GetFlowsResponse, String)> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut all = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Ok(Decoded::Response(r)) = read_line(line, &mut Notes::default()) {
            let mut out = Vec::new();
            Exactly.line((&r).into(), &mut out);
            all.push((r, String::from_utf8(out).unwrap()));
        }
    }
    all
}

fn wanted(admit: &Predicate, all: &[(GetFlowsResponse, String)]) -> String {
    all.iter().filter(|(r, _)| admit.matches(r)).map(|(_, line)| line.as_str()).collect()
}

fn scanned(admit: &Predicate, text: &[u8]) -> (String, Ledger) {
    let (out, outcome) = scan(Options { admit: admit.clone(), ..Options::default() }, vec![part("f", text)]);
    (out, outcome.ledger)
}

/// Every filter of the corpus that compiles.
fn cases() -> Vec<(String, Predicate)> {
    let mut all = Vec::new();
    for line in String::from_utf8(corpus("filter-cases.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let args: Vec<String> = case["args"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
        let Ok((flags, _)) = query::split_args(&args) else { continue };
        if let Some(p) = query::from_flags(&flags).ok().and_then(|f| query::compile(&f).ok()) {
            all.push((args.join(" "), p));
        }
    }
    assert!(all.len() > 500, "{}", all.len());
    all
}

fn language() -> Vec<(String, Predicate)> {
    let texts = [
        "verdict:dropped",
        "verdict:forwarded port:443",
        "!verdict:forwarded",
        "port<1000",
        "port>=8000 port<9000",
        "to.port:80 or to.port:53",
        "ns:default",
        "pod:*a*",
        "pod~\"(?i)FRONT\"",
        "label:app",
        "label:\"app=web\"",
        "ip:10.0.0.0/8",
        "from.ip:10.0.0.1 or to.ip:fd00::1",
        "proto:udp",
        "proto:dns or proto:http",
        "http.method:get",
        "http.path~\"/api|/v1\"",
        "http.status:5xx",
        "dns.query:*.com",
        "reply:true",
        "reply:false",
        "flags:syn+ack",
        "type:drop or type:l7",
        "drop:any",
        "drop:policy",
        "dir:egress",
        "identity:2",
        "identity:world or identity:host",
        "workload:*",
        "workload:prometheus-154a5dba",
        "from.workload:frontend",
        "workload:front*",
        "to.workload:*end",
        "workload~^front",
        "workload:deployment/frontend or workload:*/kafka",
        "not workload:frontend",
        "node:*1",
        "latency>1ms",
        "iface:eth0",
        "encrypted:true",
        "uuid:*",
        "(verdict:dropped or verdict:audit) !ns:kube-system",
        "svc:*/web",
        "since:2000-01-01",
    ];
    texts.map(|t| (t.to_owned(), query::parse(t, &Context::at(NOW)).unwrap_or_else(|e| panic!("{t}: {e}")))).to_vec()
}

/// All filters that a scan answers.
static FILTERS: LazyLock<Vec<(String, Predicate)>> = LazyLock::new(|| {
    let mut all = cases();
    all.extend(language());
    all.retain(|(_, p)| !p.fields().needs_derived() && !p.fields().needs_message());
    all
});

#[test]
fn every_filter_of_the_corpus_finds_what_full_reading_finds() {
    let mut searched = 0;
    let mut files = vec![("flows-a.jsonl".to_owned(), corpus("flows-a.jsonl"))];
    let edge = format!("{}/tests/conformance/hubble/edge", env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(edge).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()));
    }
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, read_all(&text), text)).collect();
    for (n, (what, admit)) in FILTERS.iter().enumerate() {
        searched += usize::from(!admit.needs().is_empty());
        // The edge files turn on how a line is spelt, not on which filter asks.
        for (name, all, text) in files.iter().take(if n % 10 == 0 { files.len() } else { 1 }) {
            let (got, ledger) = scanned(admit, text);
            assert!(got == wanted(admit, all), "{what} over {name}: {got}");
            let mark = usize::from(text.as_slice() == b"\xef\xbb\xbf");
            let lines = text.split(|b| *b == b'\n').count() - usize::from(text.ends_with(b"\n") || text.is_empty()) - mark;
            assert_eq!(ledger.frames, lines as u64, "{what} over {name}");
        }
    }
    assert!(searched > FILTERS.len() / 2, "only {searched} of {} filters have something to search for", FILTERS.len());
}

#[test]
fn blocks_of_any_size_give_the_same() {
    // Lines of all lengths around the size of a block, and files one after the other.
    let flow = |n: usize, fill: usize| {
        format!("{{\"flow\":{{\"uuid\":\"u{n}\",\"verdict\":\"DROPPED\",\"Summary\":\"{}\"}}}}\n", "x".repeat(fill))
    };
    let mut text = String::new();
    for (n, fill) in [10, 600_000, 1, 524_000, 524_288, 1_100_000, 3, 2_000_000].into_iter().cycle().take(40).enumerate() {
        text.push_str(&flow(n, fill));
    }
    let admit = query::parse("verdict:dropped", &Context::default()).unwrap();
    for admit in [admit, Predicate::all()] {
        let options = Options { admit: admit.clone(), ..Options::default() };
        let (got, outcome) = scan(options, vec![part("a", text.as_bytes()), part("b", b""), part("c", flow(99, 5).trim().as_bytes())]);
        assert!(got == format!("{text}{}", flow(99, 5)));
        assert_eq!((outcome.ledger.frames, outcome.ledger.admitted), (41, 41));
        let ended: Vec<_> = outcome.ended.iter().map(|(n, how)| (&**n, how.is_ok())).collect();
        assert_eq!(ended, [("a", true), ("b", true), ("c", true)]);
    }
}

#[test]
fn first_and_last_count_alike_with_any_number_of_blocks() {
    let text: String = (0..5000).map(|n| format!("{{\"flow\":{{\"uuid\":\"u{n}\",\"Summary\":\"{}\"}}}}\n", "x".repeat(1000))).collect();
    let lines: Vec<&str> = text.lines().collect();
    for n in [1, 2, 499, 523, 2500, 4999, 5000, 6000] {
        let (got, outcome) = scan(Options { first: Some(n as u64), ..Options::default() }, vec![part("f", text.as_bytes())]);
        assert!(got.lines().eq(lines.iter().take(n).copied()), "--first {n}");
        // What comes after the last one wanted was not read.
        assert_eq!(outcome.ledger.frames, n.min(5000) as u64);
        let (got, _) = scan(Options { last: Some(n), ..Options::default() }, vec![part("f", text.as_bytes())]);
        assert!(got.lines().eq(lines.iter().skip(5000usize.saturating_sub(n)).copied()), "--last {n}");
    }
}

#[test]
fn bad_lines_have_their_place_and_what_cannot_match_is_not_read() {
    let filler = format!("{{\"flow\":{{\"uuid\":\"{}\"}}}}\n", "x".repeat(1000)).repeat(2000);
    let text = format!("{filler}nonsense\n{filler}\n{{\"flow\":{{\n{{\"flow\":{{\"verdict\":\"DROPPED\"\n{{\"world\":{{}}}}\n");
    let (_, all) = scan(Options::default(), vec![part("f", text.as_bytes())]);
    let places: Vec<_> = all.ledger.examples.iter().map(|e| e.place.as_str()).collect();
    assert_eq!(places, ["f:2001", "f:4003", "f:4004"]);
    assert_eq!((all.ledger.frames, all.ledger.malformed, all.ledger.skipped, all.ledger.notices), (4005, 3, 1, 1));
    let admit = query::parse("verdict:dropped", &Context::default()).unwrap();
    let (_, some) = scan(Options { admit, ..Options::default() }, vec![part("f", text.as_bytes())]);
    assert_eq!((some.ledger.frames, some.ledger.malformed, some.ledger.skipped), (4005, 1, 4004));
    assert_eq!(some.ledger.examples[0].place, "f:4004");
}

#[test]
fn what_servers_lost_is_booked_even_where_the_filter_does_not_ask() {
    let text = b"{\"flow\":{}}\n{\"lost_events\":{\"source\":\"HUBBLE_RING_BUFFER\",\"num_events_lost\":\"7\"},\"node_name\":\"n1\"}\n";
    let admit = query::parse("verdict:dropped", &Context::default()).unwrap();
    let (out, outcome) = scan(Options { admit, ..Options::default() }, vec![part("f", text)]);
    assert_eq!((out.as_str(), outcome.ledger.lost_total()), ("", 7));
}

/// Gives its bytes, then fails.
struct Torn(Cursor<Vec<u8>>);

impl Read for Torn {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

/// A pipe on which nothing comes after the first read; says when it is waited on.
struct Silent(Option<Vec<u8>>, mpsc::SyncSender<()>, mpsc::Receiver<()>);

impl Read for Silent {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(first) = self.0.take() else {
            self.1.send(()).unwrap();
            let _ = self.2.recv();
            return Ok(0);
        };
        to[..first.len()].copy_from_slice(&first);
        Ok(first.len())
    }
}

/// Writes only when somebody waits on the pipe again.
struct Late(mpsc::Receiver<()>);

impl Sink for Late {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.0.recv().unwrap();
        }
        Ok(())
    }
    fn err(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn enough_is_enough_even_while_another_worker_waits_on_a_silent_pipe() {
    let (waits, waited_on) = mpsc::sync_channel(1);
    let (hold, held) = mpsc::sync_channel(1);
    let text = b"{\"flow\":{\"uuid\":\"u\"}}\n".repeat(3);
    let part = Part { live: true, ..reading("-", Silent(Some(text), waits, held)) };
    let options = Options { first: Some(3), ..Options::default() };
    let scan = Arc::new(Scan::new(options, vec![part], || Box::new(Exactly), Box::new(Late(waited_on))));
    let (done, ended) = mpsc::sync_channel(1);
    let running = scan.clone();
    std::thread::spawn(move || {
        running.run(3);
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("the run ends although a read does not");
    assert_eq!(scan.finish().ledger.held, 3);
    drop(hold);
}

#[test]
fn a_torn_file_gives_its_lines_and_the_next_one_is_read() {
    let torn = Torn(Cursor::new(b"{\"flow\":{\"uuid\":\"a\"}}\n{\"flow\":{\"uu".to_vec()));
    let (out, outcome) = scan(Options::default(), vec![reading("t", torn), part("f", b"{\"flow\":{\"uuid\":\"b\"}}")]);
    assert_eq!(out, "{\"flow\":{\"uuid\":\"a\"}}\n{\"flow\":{\"uuid\":\"b\"}}\n");
    assert_eq!(outcome.ledger.examples[0].reason, "the file breaks off in this line");
    assert!(outcome.ended[0].1.is_err() && outcome.ended[1].1.is_ok());
}

#[test]
fn a_line_of_seventy_mebibytes_is_one_bad_line() {
    let long = io::repeat(b'x').take(70 << 20);
    let (out, outcome) = scan(
        Options::default(),
        vec![reading("f", (&b"{\"flow\":{\"uuid\":\"a\"}}\n"[..]).chain(long).chain(&b"\n{\"flow\":{\"uuid\":\"b\"}}\n"[..]))],
    );
    assert_eq!(out.lines().count(), 2);
    assert_eq!(outcome.ledger.examples[0].reason, "line longer than 64 MiB");
    assert_eq!((outcome.ledger.frames, outcome.ledger.examples[0].place.as_str()), (3, "f:2"));
}

fn flowhy() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    c.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    c
}

/// What the scan gives, and the engine, which runs where there are policies.
fn both_ways(policies: &Path, file: &Path, args: &[&str]) -> [(Option<i32>, Vec<u8>, String); 2] {
    let run = |more: &[&std::ffi::OsStr]| {
        let o = flowhy().arg("observe").arg("--input-file").arg(file).args(args).args(more).output().unwrap();
        (o.status.code(), o.stdout, String::from_utf8_lossy(&o.stderr).into_owned())
    };
    [run(&[]), run(&["--policies".as_ref(), policies.as_os_str()])]
}

#[test]
fn the_scan_prints_what_the_engine_prints() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("p.yaml");
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: a}\nspec: {podSelector: {}}\n";
    fs::write(&policies, policy).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = vec![root.join("tests/conformance/hubble/flows-a.jsonl")];
    let folders = [root.join("tests/conformance/hubble/edge"), root.join("../shared/data/flows")];
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else {
            println!("skipped: no {}", folder.display());
            continue;
        };
        files.extend(entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "jsonl")));
    }
    files.sort();
    for file in &files {
        for format in ["jsonpb", "compact", "dict", "table"] {
            let [scan, engine] = both_ways(&policies, file, &["-o", format]);
            assert!(scan == engine, "{} -o {format}: {:?} {}\nagainst {:?} {}", file.display(), scan.0, scan.2, engine.0, engine.2);
        }
        for args in [
            &["-o", "jsonpb", "--last", "7"][..],
            &["--first", "3", "-o", "dict"],
            &["--since", "2000-01-01", "--until", "2024-06-01"],
            &["--not", "--verdict", "FORWARDED"],
            &["--verdict", "DROPPED"],
        ] {
            let [scan, engine] = both_ways(&policies, file, args);
            assert!((scan.0, &scan.1) == (engine.0, &engine.1), "{} {args:?}", file.display());
        }
    }
}

#[test]
fn a_bare_flow_is_wanted_of_a_canonical_line_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.jsonl");
    let line = r#"{"flow":{"uuid":"u","verdict":"DROPPED"},"node_name":"n","time":"2025-11-23T08:53:20Z"}"#;
    // The second is no canonical line, but says the same.
    fs::write(&file, format!("{line}\n {line}\n")).unwrap();
    for (format, want) in [("json", r#"{"uuid":"u","verdict":"DROPPED"}"#), ("jsonpb", line)] {
        let o = flowhy()
            .env("HUBBLE_COMPAT", "legacy-json-output")
            .args(["observe", "-o", format, "--input-file"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&o.stdout), format!("{want}\n{want}\n"), "{format}");
    }
}

/// Bytes of memory that are not a file's, where /proc says.
fn anonymous(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("RssAnon:")).and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[test]
fn three_hundred_megabytes_stay_bounded() {
    let flows = corpus("flows-a.jsonl");
    for args in [&["-o", "jsonpb"][..], &["--verdict", "DROPPED"], &["--last", "1000"]] {
        let mut child = flowhy()
            .args(["observe", "--input-file", "-"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (mut sent, mut peak) = (0, 0);
        while sent < 300 << 20 {
            stdin.write_all(&flows).unwrap();
            sent += flows.len();
            peak = peak.max(anonymous(child.id()));
        }
        drop(stdin);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        // A third of what goes through: the allocator keeps back what one thread has got and another gave away.
        assert!(peak < 128 << 20, "{args:?}: {} MiB", peak >> 20);
    }
}
