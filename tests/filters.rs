//! Conformance: every filter case that the real `hubble` command line answered, twice: the library's predicate and the filters it
//! would send, and the whole program with its bytes on both streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what broke by panicking
use flowhy::model::time::Nanos;
use flowhy::model::view::{Field, View};
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
const DIFFERENCES: &[Differs] = &[];

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
    assert!(differing.is_empty(), "no such cases: {:?}", differing.iter().map(|d| d.args).collect::<Vec<_>>());
    libtest_mimic::run(&args, trials).exit();
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
            return Err(format!("exit {code}, {} lines, {err:?}; wanted {:?} with {:?} ({})", out.lines().count(), self.ours, self.says, self.why).into());
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
