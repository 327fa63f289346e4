//! Conformance: every filter case that the real `hubble` command line answered, twice: the library's predicate and the filters it
//! would send, and the whole program with its bytes on both streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what broke by panicking
use flowhy::model::time::Nanos;
use flowhy::model::view::{Field, View, in_window, time_of};
use flowhy::query::{self, Filters, Flag, Predicate};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, read_message};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::flow::FlowFilter;
use flowhy::wire::pb::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Everything that flowhy does otherwise, and why. The exit code is another matter: where Hubble's is 1 ours is 2 (usage), always.
const DIFFERENCES: &[Differs] = &[
    across("-n default --ip 1.1.1.1", 3),
    across("--pod x --ip 1.1.1.1", 0),
    same_side("--from-namespace default --from-ip 1.1.1.1"),
    same_side("--from-pod x --from-ip 1.1.1.1"),
    same_side("--to-pod x --to-fqdn y"),
    same_side("--to-pod /coredns --to-fqdn *"),
    same_side("--to-fqdn *.com --traffic-direction egress --traffic-direction egress --to-pod prod-eu/ --not --identity world"),
    Differs {
        args: "-n default --to-ip 192.168.0.0/16",
        ours: (0, 4),
        says: "",
        why: "a destination in that net, and either side in the namespace: both can be true",
    },
    Differs {
        args: "--pod /coredns --encrypted --encrypted --ip 192.168.0.0/16 --to-fqdn *.org",
        ours: (2, 0),
        says: "filters --to-fqdn and --ip cannot be combined",
        why: "--pod goes with --ip, so the error is the next one",
    },
    Differs {
        args: "--color sometimes",
        ours: (2, 0),
        says: "possible values: auto, always, never",
        why: "a misspelt word is told, not taken for auto",
    },
    Differs { args: "--port-forward", ours: (2, 0), says: "--port-forward", why: "refused as in Hubble, in other words" },
];

/// Refused by Hubble. An address on one side and an endpoint on the other.
const fn across(args: &'static str, lines: usize) -> Differs {
    Differs { args, ours: (0, lines), says: "", why: "the address is on one side and the endpoint on the other" }
}

/// Refused by Hubble. Nothing in the corpus happens to match.
const fn same_side(args: &'static str) -> Differs {
    Differs {
        args,
        ours: (0, 0),
        says: "",
        why: "a pod or a namespace of a side goes with an address or a name of the same side: both can be true",
    }
}

/// When the cases were made; only cases with relative times ask.
const NOW: Nanos = Nanos(1_795_000_000 * Nanos::SECOND);

fn main() {
    let args = Arguments::from_args();
    let file = |name: &str| {
        std::fs::read_to_string(format!("{}/tests/conformance/hubble/{name}", env!("CARGO_MANIFEST_DIR"))).expect("in the repository")
    };
    let lines: Arc<Vec<String>> = Arc::new(file("flows-a.jsonl").lines().map(str::to_owned).collect());
    let flows: Arc<Vec<GetFlowsResponse>> = Arc::new(lines.iter().map(|l| response(l)).collect());
    let mut trials = Vec::new();
    let mut differing = DIFFERENCES.to_vec();
    for line in file("filter-cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let words = strings(&case["args"]).join(" ");
        let name = format!("{} {} {}", case["id"].as_str().unwrap(), case["group"].as_str().unwrap(), words.escape_debug());
        let differs = DIFFERENCES.iter().copied().find(|d| d.args == words);
        differing.retain(|d| d.args != words);
        let case = Arc::new(case);
        if differs.is_none() && !is_the_programs(&case) {
            let (case, flows) = (case.clone(), flows.clone());
            trials.push(Trial::test(format!("library {name}"), move || run(&case, &flows)));
        }
        let lines = lines.clone();
        trials.push(Trial::test(format!("program {name}"), move || match differs {
            None => program(&case, &lines),
            Some(d) => d.holds(&case, &lines),
        }));
    }
    let held = flows.clone();
    trials.push(Trial::test("what is pushed down lets through all that the filter matches, and no more where it says so", move || {
        pushed(&held)
    }));
    assert!(differing.is_empty(), "no such cases: {:?}", differing.iter().map(|d| d.args).collect::<Vec<_>>());
    libtest_mimic::run(&args, trials).exit();
}

/// Atoms over values that the flows really have, so that filters match some and not all.
const ATOMS: &[&str] = &[
    "ns:default",
    "from.ns:default",
    "to.ns:kube-system,default",
    "ns:prod*",
    "pod:coredns*",
    "from.pod:default/cart*",
    "to.pod:kube-system/coredns-1",
    "pod:\"\"",
    "svc:default/web*",
    "to.svc:web",
    "workload:cart",
    "workload:prometheus-154a5dba,frontend",
    "from.workload:kafka",
    "to.workload:zookeeper",
    "workload~^front",
    "label:k8s-app=kube-dns",
    "from.label:app",
    "label:\"tier in (a,b)\"",
    "label:!app",
    "identity:world",
    "to.identity:2,1",
    "identity>100",
    "ip:10.0.0.0/8",
    "from.ip:fd00::1",
    "to.ip:1.1.1.1,8.8.8.8",
    "ip:10.*",
    "port:443",
    "to.port:53,80-90",
    "port:1-65535",
    "port>1024",
    "cluster:default",
    "from.cluster:*",
    "verdict:dropped",
    "verdict:forwarded,audit",
    "verdict:unknown",
    "drop:any",
    "drop:policy",
    "drop:POLICY_DENIED",
    "dir:ingress",
    "dir:unknown",
    "type:drop",
    "type:trace,l7",
    "type:trace:to-stack",
    "proto:tcp",
    "proto:dns,http",
    "proto:icmp",
    "reply:true",
    "reply:false",
    "encrypted:true",
    "encrypted:false",
    "node:k8s1",
    "node:default/k8s1",
    "node:prod*",
    "iface:eth0",
    "flags:syn",
    "flags:syn+ack,rst",
    "uuid:14964611-ea0b-7567-c733-89465ebe2ad7",
    "http.method:GET",
    "http.method:post",
    "http.path:/",
    "http.path:/api*",
    "http.path~/v1",
    "http.status:404",
    "http.status:5xx",
    "http.status:200-204",
    "http.status>=400",
    "http.host:api",
    "http.header:foo=bar",
    "dns.query:example.com",
    "dns.query:*.local",
    "dns.rcode:3",
    "kafka.topic:orders",
    "latency>1ms",
    "cart",
    "10.0.0.0/8",
    "since:2025-11-23T00:20:00Z",
    "until:2025-11-23T00:40:00Z",
    "until:2025-11-23T00:10Z,2025-11-23T00:30Z",
    "at:2025-11-23T00:25Z",
];

/// For any filter and any flags: the server's part lets through all that both match; where it is exact, nothing else.
fn pushed(flows: &[GetFlowsResponse]) -> Result<(), Failed> {
    use proptest::prelude::*;
    let atom = prop::sample::select(ATOMS).prop_map(str::to_owned);
    let words = atom.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("not ({e})")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|l| format!("({})", l.join(" or "))),
            prop::collection::vec(inner, 2..4).prop_map(|l| format!("({})", l.join(" "))),
        ]
    });
    let args = prop::sample::select(&[
        "",
        "-n default",
        "--pod coredns --not --verdict FORWARDED",
        "--type trace",
        "--http-method GET",
        "--label app --port 53",
        "--not --protocol tcp",
        "--verdict DROPPED",
    ]);
    let flags_of = |line: &str| {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        query::from_flags(&query::split_args(&args).unwrap().0).unwrap()
    };
    let (mut exact, mut helped, mut bounded) = (0u32, 0u32, 0u32);
    let counts = std::cell::RefCell::new((&mut exact, &mut helped, &mut bounded));
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&(words, args), |(words, args)| {
            let flags = flags_of(args);
            let local = query::compile(&flags).unwrap().and(query::parse(&words, &query::Context::at(NOW)).unwrap());
            let p = query::push(&flags, &query::parse_expr(&words).unwrap(), false, &query::Context::at(NOW));
            let sent = query::compile(&Filters { whitelist: p.whitelist.clone(), blacklist: p.blacklist.clone(), ..Filters::default() });
            let sent = sent.map_err(|e| TestCaseError::fail(format!("a server would refuse it: {e}: {p:?}")))?;
            let is_flow = |r: &&GetFlowsResponse| matches!(r.response_types, Some(ResponseTypes::Flow(_)));
            for r in flows.iter().filter(is_flow) {
                let got = sent.matches(r) && in_window(p.window, time_of(r));
                let wanted = local.matches(r);
                prop_assert!(got || !wanted, "withheld by {p:?}: {}", serde_json::to_string(&format!("{r:?}")).unwrap());
                prop_assert!(!p.exact || got == wanted, "not exact: {p:?}");
            }
            *counts.borrow_mut().0 += u32::from(p.exact);
            *counts.borrow_mut().1 += u32::from(p.whitelist != flags.whitelist || p.blacklist != flags.blacklist);
            *counts.borrow_mut().2 += u32::from(p.window != (None, None));
            Ok(())
        })
        .map_err(|e| Failed::from(e.to_string()))?;
    // A pushing that pushes nothing would be sound too. Random filters give about 400, 900 and 60: bounds that chance does not reach.
    if exact < 100 || helped < 300 || bounded < 15 {
        return Err(format!("only {exact} exact, {helped} helped, {bounded} bounded").into());
    }
    Ok(())
}

/// A case that flowhy answers otherwise, on purpose.
#[derive(Clone, Copy)]
struct Differs {
    args: &'static str,
    /// Exit code, and lines on stdout.
    ours: (i32, usize),
    /// Found on stderr.
    says: &'static str,
    why: &'static str,
}

impl Differs {
    fn holds(self, case: &Value, lines: &[String]) -> Result<(), Failed> {
        if program(case, lines).is_ok() {
            return Err("it no longer differs: take it off the list".into());
        }
        let (code, out, err) = observe(&strings(&case["args"]), "flows-a.jsonl");
        if (code, out.lines().count()) != self.ours || !err.contains(self.says) {
            return Err(format!(
                "exit {code}, {} lines, {err:?}; wanted {:?} with {:?} ({})",
                out.lines().count(),
                self.ours,
                self.says,
                self.why
            )
            .into());
        }
        Ok(())
    }
}

/// The program over a file of the corpus: exit code, stdout, stderr.
fn observe(args: &[String], file: &str) -> (i32, String, String) {
    let o = Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .env_clear()
        .stdin(Stdio::null())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble"))
        .args(["observe", "--input-file", file, "-o", "jsonpb"])
        .args(args)
        .output()
        .unwrap();
    (o.status.code().unwrap_or(-1), String::from_utf8(o.stdout).unwrap(), String::from_utf8(o.stderr).unwrap())
}

/// What the whole program does with a case: the very bytes, the exit code, the states of nodes, the error.
fn program(case: &Value, lines: &[String]) -> Result<(), Failed> {
    let args = strings(&case["args"]);
    let (code, out, err) = observe(&args, "flows-a.jsonl");
    if case["exit"] != 0 {
        let (prefix, whole) = (case["error_prefix"].as_str().unwrap(), case["error"].as_str().unwrap());
        let told = err.strip_prefix("error: ").unwrap_or_default();
        // A whole text that is no Go library's is ours to the end of the line.
        let same = told.starts_with(prefix) && (prefix != whole || told.get(prefix.len()..).is_some_and(|rest| rest.starts_with('\n')));
        return match (code, out.is_empty(), same) {
            (2, true, true) => Ok(()),
            _ => Err(format!("exit {code}, {} bytes of output, {err:?}; wanted {prefix:?}", out.len()).into()),
        };
    }
    let at = |v: &Value| -> String {
        v.as_array().into_iter().flatten().map(|n| format!("{}\n", lines[n.as_u64().unwrap() as usize])).collect()
    };
    if (code, &out) != (0, &at(&case["matches"])) {
        let want = case["matches"].as_array().unwrap().len();
        return Err(format!("exit {code}, {} lines; wanted {want}: {err:?}", out.lines().count()).into());
    }
    // Warnings and what --debug tells are ours; the states of nodes are Hubble's.
    let states: String = err.lines().filter(|l| l.starts_with('{')).map(|l| format!("{l}\n")).collect();
    let wanted = at(&case["node_status_on_stderr"]);
    let debugs = args.iter().any(|a| a == "--debug");
    if states != wanted && !debugs {
        return Err(format!("on stderr {states:?}, wanted {wanted:?}").into());
    }
    match err.lines().find(|l| !l.starts_with('{') && !l.starts_with("warning: ")) {
        Some(line) if !debugs => Err(format!("on stderr {line:?}").into()),
        _ => Ok(()),
    }
}

fn response(line: &str) -> GetFlowsResponse {
    let mut notes = Notes::default();
    match read_line(line.as_bytes(), &mut notes) {
        Ok(Decoded::Response(r)) => r,
        other => panic!("{other:?}: {line}"),
    }
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
}

/// Whether the answer needs more than the filter: counting, formats, sources. Those cases only the program can answer.
fn is_the_programs(case: &Value) -> bool {
    let args = strings(&case["args"]);
    let has = |names: &[&str]| args.iter().any(|a| names.contains(&a.split('=').next().unwrap_or_default()));
    has(&["--first", "--last", "--all", "--follow", "-f", "-o", "--field-mask", "--port-forward"])
}

fn flag<'a>(flags: &'a [Flag], name: &str) -> Option<&'a str> {
    flags.iter().rfind(|f| f.name == name).map(|f| f.value.as_str())
}

type Plan = (Filters, Predicate, Option<Nanos>, Option<Nanos>);

/// What the command line does, in its order: flags, times, then the filters themselves.
fn plan(args: &[String], filters: &mut Option<Filters>) -> Result<Plan, String> {
    let (flags, _) = query::split_args(args)?;
    let f = query::from_flags(&flags)?;
    let time = |name: &str| {
        let t = flag(&flags, name).map(|t| query::since(t, NOW)).transpose();
        t.map_err(|e| format!("failed to parse the {name} time: {e}"))
    };
    let since = time("since")?;
    let until = if flag(&flags, "follow") == Some("true") { None } else { time("until")? };
    *filters = Some(f.clone());
    let predicate = query::compile(&f)?;
    Ok((f, predicate, since, until))
}

fn run(case: &Value, flows: &[GetFlowsResponse]) -> Result<(), Failed> {
    let args = strings(&case["args"]);
    let mut filters = None;
    let plan = plan(&args, &mut filters);
    if let Some(want) = case.get("request_filters") {
        let got = filters.ok_or_else(|| format!("no filters: {:?}", plan.as_ref().err()))?;
        same("allowlist", &want["allowlist"], &got.whitelist)?;
        same("denylist", &want["denylist"], &got.blacklist)?;
    }
    if case["exit"] != 0 {
        let prefix = case["error_prefix"].as_str().unwrap();
        return match plan {
            Ok(_) => Err(format!("no error, but {prefix:?} was wanted").into()),
            Err(e) if e.starts_with(prefix) && (e == prefix || case["error"] != case["error_prefix"]) => Ok(()),
            Err(e) => Err(format!("error\n  {e:?}\nwanted\n  {prefix:?}").into()),
        };
    }
    let (_, predicate, since, until) = plan?;
    let passes = |r: &GetFlowsResponse| {
        // A response without a time counts as one of 1970.
        let at = Nanos(r.field(Field::Time).int().unwrap_or(0));
        since.is_none_or(|s| at >= s) && until.is_none_or(|u| at <= u) && predicate.matches(r)
    };
    let hits: Vec<usize> = (0..flows.len()).filter(|i| passes(&flows[*i])).collect();
    let state = |i: &usize| matches!(flows[*i].response_types, Some(ResponseTypes::NodeStatus(_)));
    let got: Vec<usize> = hits.iter().copied().filter(|i| !state(i)).collect();
    let want: Vec<usize> = case["matches"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    if got != want {
        let less: Vec<_> = want.iter().filter(|i| !got.contains(i)).take(5).collect();
        let more: Vec<_> = got.iter().filter(|i| !want.contains(i)).take(5).collect();
        return Err(format!("{} lines, wanted {}; missing {less:?}, too many {more:?}", got.len(), want.len()).into());
    }
    // Which node states are printed is the output's; those that are have passed the filter.
    let printed = case["node_status_on_stderr"].as_array().into_iter().flatten();
    match printed.map(|n| n.as_u64().unwrap() as usize).find(|i| !hits.contains(i)) {
        Some(i) => Err(format!("the node state of line {i} does not pass").into()),
        None => Ok(()),
    }
}

fn same(list: &str, want: &Value, got: &[FlowFilter]) -> Result<(), Failed> {
    let read = |v: &Value| -> FlowFilter { read_message(v.to_string().as_bytes(), &mut Notes::default()).unwrap() };
    let want: Vec<FlowFilter> = want.as_array().unwrap().iter().map(read).collect();
    if want == got { Ok(()) } else { Err(format!("{list}: sent\n  {got:?}\nwanted\n  {want:?}").into()) }
}
