//! Conformance: what the real `hubble` command line did against a server, one test a run. The same server is built here, and the
//! real binary is run with the same arguments: exit class, bytes on stdout, requests that arrived.
//!
//! Every run is repeated; what is not as Hubble has it stands in the table of differences with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
#[path = "servers/stage.rs"]
mod stage;

use flowhy::wire::json::read_message;
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsRequest;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
    let server = stage::start(run, seen.clone(), asked.clone());
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
