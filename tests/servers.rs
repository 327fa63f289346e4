//! Conformance: what the real `hubble` command line did against a server, one test a run. The same server is built here, and the
//! real binary is run with the same arguments: exit class, bytes on stdout, requests that arrived.
//!
//! Groups that are not handled yet are ignored and counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test says what broke by panicking")]
use flowhy::model::time::Nanos;
use flowhy::model::view::{Field, View};
use flowhy::serve::{self, ByQuery, Filters, Listen, Running, Tls};
use flowhy::source::Stop;
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, read_message};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::observer_server::{Observer, ObserverServer};
use flowhy::wire::pb::observer::{get_flows_response::ResponseTypes, *};
use futures::stream::{self, BoxStream, Empty, StreamExt};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tonic::{Code, Request, Response, Status};

/// Groups that are handled; the others are ignored.
const HANDLED: &[&str] = &["auth", "connect", "kill", "sigint", "timeout", "tls", "version"];

/// What a run does otherwise than Hubble's, by its line in the corpus (from 0), and why.
const DIFFERENCES: &[(usize, Differs, &str)] = &[
    (59, Differs::Whole, WHOLE),
    (60, Differs::Whole, WHOLE),
    (82, Differs::GoesOn, "with -f a server that fails is waited for, and what it had not sent yet is printed"),
    (87, Differs::Whole, WHOLE),
    (108, Differs::Whole, WHOLE),
];

const WHOLE: &str = "flowhy asks for whole flows: match, direction and authentication of a policy verdict are known; Hubble's default field mask leaves them out";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Differs {
    /// Match, direction and authentication of a policy verdict.
    Whole,
    /// More comes, and it ends when it is told to.
    GoesOn,
}

/// A printed text without what only whole flows tell.
fn masked(text: &str) -> String {
    let line = |l: &str| match l.split_once("policy-verdict:") {
        Some((before, after)) => {
            let after = after.splitn(3, ' ').nth(2).unwrap_or_default();
            format!("{before}policy-verdict:{}", after.split("; Auth: ").next().unwrap_or_default().trim_end_matches(')'))
        }
        None => l.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What a run is about.
fn group(run: &Run) -> &'static str {
    let has = |words: &[&str]| run.args.iter().any(|a| words.iter().any(|w| a.starts_with(w)));
    match run.args[0].as_str() {
        _ if has(&["-P", "--port-forward"]) => "port-forward",
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

/// What the connection does does not depend on the question: these groups ask for one flow in place of the status.
fn stands_in(run: &Run) -> bool {
    ["auth", "connect", "tls"].contains(&group(run)) && run.args[0] != "observe"
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
    let (mut trials, mut skipped) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for (line, text) in file.lines().enumerate() {
        let run = run_of(line, text);
        let group = group(&run);
        let name = format!("{line} {group} {}: {} {}", run.server, run.args.join(" ").escape_debug(), run.ended);
        let ours = HANDLED.contains(&group);
        if !ours {
            *skipped.entry(group).or_default() += 1;
        }
        trials.push(Trial::test(name, move || check(&run)).with_ignored_flag(!ours));
    }
    for (group, n) in &skipped {
        eprintln!("not handled yet: {n} runs of group {group}");
    }
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
        }
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
    type GetAgentEventsStream = Empty<Result<GetAgentEventsResponse, Status>>;
    type GetDebugEventsStream = Empty<Result<GetDebugEventsResponse, Status>>;

    async fn get_flows(&self, request: Request<GetFlowsRequest>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let request = request.into_inner();
        self.seen.lock().unwrap().push(request.clone());
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let found = stream::iter(self.answer(&request)?.into_iter().map(Ok));
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
        Err(Status::unimplemented("not part of these runs"))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("not part of these runs"))
    }

    async fn get_namespaces(&self, _: Request<GetNamespacesRequest>) -> Result<Response<GetNamespacesResponse>, Status> {
        Err(Status::unimplemented("not part of these runs"))
    }

    async fn get_agent_events(&self, _: Request<GetAgentEventsRequest>) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("not part of these runs"))
    }

    async fn get_debug_events(&self, _: Request<GetDebugEventsRequest>) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("not part of these runs"))
    }
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

fn start(run: &Run, seen: Arc<Mutex<Vec<GetFlowsRequest>>>) -> Running {
    let service = ObserverServer::new(Fake::new(&run.flags, seen));
    let file = |flag: &str| run.flags.iter().position(|f| f == flag).map(|i| PathBuf::from(DATA).join(&run.flags[i + 1]));
    let at = match (file("--tls-cert"), file("--tls-key")) {
        (Some(cert), Some(key)) => Listen::Tls(([127, 0, 0, 1], 0).into(), Tls { cert, key, client_ca: file("--client-ca") }),
        _ => Listen::loopback(),
    };
    RUNTIME.block_on(serve::on(service, at, Stop::new())).unwrap()
}

/// The arguments, with our server's address in place of the corpus' one.
fn words(run: &Run, address: &str) -> Vec<String> {
    let port = address.rsplit(':').next().unwrap();
    let theirs = |w: &String| w.replace("localhost:14304", &format!("localhost:{port}")).replace("certs/ca.key", KEY);
    let mut words: Vec<_> = run.args.iter().map(theirs).collect();
    if !words.iter().any(|w| w == "--server") {
        words.extend(["--server".to_owned(), format!("localhost:{port}")]);
    }
    if stands_in(run) {
        let rest = if run.args[0] == "list" { 2 } else { 1 };
        words.splice(..rest, ["observe".to_owned(), "--last".to_owned(), "1".to_owned()]);
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
    const TYPED: &[&str] =
        &["invalid flag(s)", "cannot load cert", "cannot process cert", "tls: private key", "failed to create gRPC client"];
    match run.exit {
        0 => 0,
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
    let server = start(run, seen.clone());
    let differs = DIFFERENCES.iter().find(|(line, ..)| *line == run.line).map(|(_, d, _)| *d);
    let interrupted = run.ended.starts_with("SIGINT") || differs == Some(Differs::GoesOn);
    let wait = if differs == Some(Differs::GoesOn) { 3000 } else { 1500 };
    let began = Instant::now();
    let output = flowhy(run, &words(run, &server.address), interrupted.then(|| Duration::from_millis(wait)));
    let took = began.elapsed();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    let fail = |what: &str| Err(Failed::from(format!("{what}\nstdout:\n{stdout}\nstderr:\n{stderr}\nwanted stdout:\n{}", run.stdout)));
    let want_exit = if differs == Some(Differs::GoesOn) { 0 } else { exit_class(run) };
    if output.status.code() != Some(want_exit) {
        return fail(&format!("exit {:?}, wanted {want_exit}", output.status.code()));
    }
    match differs {
        None if stands_in(run) && stdout.lines().count() != usize::from(run.exit == 0) => return fail("one flow, if any"),
        None if !stands_in(run) && stdout != run.stdout => return fail("stdout"),
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
    let want: Vec<_> = match stands_in(run) {
        true => run.requests.iter().map(|_| GetFlowsRequest { number: 1, ..GetFlowsRequest::default() }).collect(),
        false => run.requests.iter().filter_map(|r| request(r)).collect(),
    };
    let got: Vec<_> = seen.lock().unwrap().iter().cloned().map(|r| GetFlowsRequest { field_mask: None, ..r }).collect();
    let same = match differs {
        Some(Differs::GoesOn) => got.first() == want.first(),
        _ => got == want,
    };
    if !same {
        return fail(&format!("requests\n  {got:?}\nwanted\n  {want:?}"));
    }
    if want_exit != 0 && (!stderr.starts_with("error: ") && !stderr.contains("\nerror: ")) {
        return fail("an error says so");
    }
    if want_exit == 2 && !stderr.contains(&said(run, &server.address)) {
        return fail(&format!("wanted Hubble's words: {}", run.stderr));
    }
    if took > Duration::from_secs(20) {
        return fail(&format!("took {took:?}"));
    }
    Ok(())
}
