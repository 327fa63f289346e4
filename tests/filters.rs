//! Conformance: every filter case that the real `hubble` command line answered, one test a line.
//!
//! What belongs to the command line as a whole (first/last, output formats, field masks) is skipped, counted and said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
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
use std::collections::BTreeMap;
use std::sync::Arc;

/// Cases that ours answers otherwise, by arguments, and why.
const KNOWN_DIFFERENCES: &[(&str, &str)] = &[];

/// When the cases were made; only cases with relative times ask.
const NOW: Nanos = Nanos(1_795_000_000 * Nanos::SECOND);

fn main() {
    let args = Arguments::from_args();
    let file = |name: &str| {
        std::fs::read_to_string(format!("{}/tests/conformance/hubble/{name}", env!("CARGO_MANIFEST_DIR"))).expect("in the repository")
    };
    let flows: Arc<Vec<GetFlowsResponse>> = Arc::new(file("flows-a.jsonl").lines().map(response).collect());
    let (mut trials, mut skipped) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for line in file("filter-cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        if let Some(why) = skip(&case) {
            *skipped.entry(why).or_default() += 1;
            continue;
        }
        let name = format!("{} {} {}", case["id"], case["group"].as_str().unwrap(), strings(&case["args"]).join(" ").escape_debug());
        let known = KNOWN_DIFFERENCES.iter().find(|(a, _)| *a == strings(&case["args"]).join(" "));
        let flows = flows.clone();
        trials.push(match known {
            Some((_, why)) => Trial::test(format!("{name} (differs: {why})"), move || match run(&case, &flows) {
                Ok(()) => Err(Failed::from("it no longer differs: take it off the list")),
                Err(_) => Ok(()),
            }),
            None => Trial::test(name, move || run(&case, &flows)),
        });
    }
    for (why, n) in &skipped {
        eprintln!("skipped {n}: {why}");
    }
    libtest_mimic::run(&args, trials).exit();
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

/// Why a case is not ours to answer here.
fn skip(case: &Value) -> Option<&'static str> {
    let args = strings(&case["args"]);
    let has = |names: &[&str]| args.iter().any(|a| names.contains(&a.split('=').next().unwrap_or_default()));
    let ok = case["exit"] == 0;
    if args.iter().any(|a| a.contains("cel_expression") || a == "--cel-expression") {
        return Some("CEL expressions are not supported yet");
    }
    if has(&["--first", "--last"]) && (ok || !case["error"].as_str().unwrap().starts_with("invalid argument")) {
        return Some("--first and --last are the command line's");
    }
    if !ok
        && has(&["--first", "--all", "--follow"])
        && case["group"] == "selectors-err"
        && !case["error"].as_str().unwrap().starts_with("invalid argument")
    {
        return Some("selectors that exclude each other are the command line's");
    }
    if !ok && has(&["-o", "--field-mask", "--port-forward"]) {
        return Some("output formats, field masks and sources are the command line's");
    }
    None
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
