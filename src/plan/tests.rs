use super::*;
use crate::source::ask::EventRequest;
use clap::Parser as _;

fn env() -> Env {
    Env { stdout_tty: true, utf8: true, term: "xterm".into(), now: Nanos::from_parts(1_800_000_000, 0), ..Env::default() }
}

fn planned(line: &str) -> Result<Plan, Error> {
    let args = std::iter::once("flowhy").chain(line.split_whitespace());
    match plan(Cli::try_parse_from(args).map_err(|e| Error::usage(e.to_string()))?, &env())? {
        Job::Flows(plan) => Ok(plan),
        other => panic!("{line}: {other:?}"),
    }
}

fn request(line: &str) -> Request {
    match planned(line).unwrap().from {
        From::Live { request, .. } => *request,
        other => panic!("{line}: {other:?}"),
    }
}

fn stream(line: &str) -> Stream {
    match planned(line).unwrap().front {
        Front::Stream(s) => s,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn numbers_are_hubbles() {
    for (line, number) in [
        ("observe", 20),
        ("observe -f", 0),
        ("observe --last 5 -f", 5),
        ("observe --all", u64::MAX),
        ("observe --first 3", 3),
        ("observe --since 1m", 0),
        ("observe --last 7 --since 1m", 7),
        ("observe --last 0", 20),
    ] {
        assert_eq!(request(line).number, number, "{line}");
    }
    assert!(request("observe --first 3").first);
}

#[test]
fn what_the_server_cannot_filter_is_filtered_here() {
    let r = request("observe -n shop");
    assert_eq!((r.number, r.whitelist.len()), (20, 2));
    let r = request("observe -n shop policy:db-*");
    assert_eq!((r.number, r.whitelist.len()), (u64::MAX, 3), "DNS is asked for besides");
    assert_eq!(stream("observe -n shop policy:db-*").last, Some(20));
    let r = request("observe --not --verdict FORWARDED --why");
    assert!(r.blacklist.is_empty() && r.whitelist.is_empty());
    assert_eq!(stream("observe --why --since 5m").last, None);
    assert_eq!(stream("observe --why --first 4").first, Some(4));
}

#[test]
fn times_count_back_from_now_and_until_is_ignored_when_following() {
    let r = request("observe --since 5m --until 1m");
    assert_eq!((r.since, r.until), (Some(Nanos::from_parts(1_799_999_700, 0)), Some(Nanos::from_parts(1_799_999_940, 0))));
    assert_eq!(request("observe -f --until nonsense").until, None);
}

#[test]
fn conflicts_are_usage_errors() {
    for line in [
        "observe --first 1 --last 1",
        "observe --first 1 -f",
        "observe --last 1 --all",
        "observe -o table -f",
        "observe -o table --why",
        "observe --from f --server s",
        "observe --from - --policies -",
        "observe --from f --last 1000001",
        "observe debug-events --port 53",
        "replay ns:shop",
        "replay f --speed 0",
        "demo --rate -3",
        "demo --headless --start never",
    ] {
        let e = planned(line).unwrap_err();
        assert_eq!(e.exit_code(), 2, "{line}: {e}");
    }
}

#[test]
fn replay_tells_files_from_filters() {
    let p = planned("replay a.jsonl dir/b.gz ns:shop not port:53 --speed 4x").unwrap();
    assert!(matches!(&p.from, From::Files { paths, pace: Pace::Times(4.0) } if *paths == ["a.jsonl", "dir/b.gz"]), "{:?}", p.from);
    assert!(matches!(&p.front, Front::Tui { screen, .. } if screen.command == "flowhy replay a.jsonl dir/b.gz"));
    assert!(matches!(&p.front, Front::Tui { screen, .. } if screen.filter == "ns:shop not port:53" && screen.title == "a.jsonl +1"));
}

#[test]
fn a_lone_dash_is_standard_input_and_no_filter() {
    let p = planned("- ns:shop").unwrap();
    assert!(matches!(&p.from, From::Files { paths, .. } if *paths == ["-"]), "{:?}", p.from);
    assert!(matches!(&p.front, Front::Tui { screen, .. } if screen.filter == "ns:shop"));
    for line in ["- --policies -", "- --input-file -", "- --server localhost:4245"] {
        assert_eq!(planned(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_screen_needs_a_terminal_and_color_follows_its_order() {
    let cli = |l: &str| Cli::try_parse_from(l.split(' ')).unwrap();
    let piped = Env { stdout_tty: false, ..env() };
    assert_eq!(plan(cli("flowhy demo"), &piped).unwrap_err().exit_code(), 2);
    let flows = |job| if let Job::Flows(p) = job { p } else { panic!("no flows") };
    let color = |line: &str, env: &Env| match flows(plan(cli(line), env).unwrap()).front {
        Front::Stream(s) => s.print.color,
        other => panic!("{other:?}"),
    };
    assert!(color("flowhy observe", &env()) && !color("flowhy observe", &piped));
    assert!(color("flowhy observe --color always", &Env { no_color: true, ..piped.clone() }));
    assert!(!color("flowhy observe", &Env { no_color: true, force_color: true, ..env() }));
    assert!(color("flowhy observe", &Env { force_color: true, ..piped }));
}

#[test]
fn events_are_asked_for_as_hubble_does() {
    let asked = |line: &str| match plan(Cli::try_parse_from(line.split(' ')).unwrap(), &env()) {
        Ok(Job::Events(Events { from: EventsFrom::Live { request, .. }, sort, .. })) => (sort, request),
        other => panic!("{line}: {other:?}"),
    };
    let number = |line: &str| asked(line).1.number;
    assert_eq!(asked("flowhy observe agent-events -f"), (Sort::Agent, EventRequest { number: 20, follow: true, ..Default::default() }));
    assert_eq!((number("flowhy observe debug-events --last 7"), asked("flowhy observe debug-events").0), (7, Sort::Debug));
    assert_eq!(number("flowhy observe agent-events --all"), u64::MAX);
    assert_eq!(number("flowhy observe agent-events --first 2"), 20);
    assert_eq!(number("flowhy observe agent-events --since 1h --all"), 0);
    let refused = |line: &str| plan(Cli::try_parse_from(line.split(' ')).unwrap(), &env()).unwrap_err().what;
    assert_eq!(refused("flowhy observe agent-events --verdict DROPPED"), "unknown flag: --verdict");
    assert!(refused("flowhy observe --last 3 debug-events ns:shop").contains("ns:shop"));
    assert!(refused("flowhy observe agent-events -f -o table").contains("follow"));
}

#[test]
fn what_a_filter_says_on_the_wire_is_asked_of_the_server() {
    let r = request("observe -n shop verdict:dropped not port:53");
    assert_eq!((r.number, r.whitelist.len(), r.blacklist.len()), (20, 2, 2), "all of it is exact, so the server also counts");
    assert!(r.whitelist.iter().all(|f| f.verdict == [2]) && r.whitelist[0].source_pod == ["shop/"]);
    let r = request("observe pod:cart http.host:api");
    assert_eq!((r.number, r.whitelist[0].source_pod[0].as_str()), (u64::MAX, "/cart"), "a prefix there, the name itself here");
    let r = request("observe --why ns:shop");
    assert_eq!(r.whitelist.last().unwrap().protocol, ["dns"], "explanations get their DNS answers");
    let said = match plan(Cli::try_parse_from(["flowhy", "observe", "-D", "ns:shop", "latency>1s"]).unwrap(), &env()).unwrap() {
        Job::Flows(p) => p.notes.concat(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said, "filtered by the server: ns:shop; here: latency>1s");
}

#[test]
fn times_of_the_filter_bound_the_request() {
    let at = |s: i64| Some(Nanos::from_parts(1_800_000_000 + s, 0));
    let bounds = |line: &str| {
        let r = request(line);
        (r.since, r.until, r.number)
    };
    // Two seconds wider than asked, and judged here: what comes is counted here too.
    assert_eq!(bounds("observe since:5m"), (at(-302), None, 0));
    assert_eq!(stream("observe since:5m").last, Some(20));
    assert_eq!(bounds("observe verdict:dropped since:5m until:1m since:3m"), (at(-182), at(-58), 0));
    assert_eq!(bounds("observe --since 4m --until 2m since:5m until:1m"), (at(-240), at(-120), 0), "of two bounds the narrower one");
    assert_eq!(bounds("observe since:5m,10m"), (at(-602), None, 0), "any of them");
    assert_eq!(bounds("observe at:5m"), (at(-302), at(-300 + 62).map(|t| t.plus(-1)), 0));
    assert_eq!(bounds("observe -f since:5m until:1m"), (at(-302), None, 0), "who follows wants no end");
    for other in ["observe since:5m or verdict:dropped", "observe not since:5m", "observe not (since:5m verdict:dropped)"] {
        assert_eq!(bounds(other), (None, None, u64::MAX), "{other}");
    }
    // Names are learnt from answers that came earlier.
    assert_eq!(bounds("observe since:5m fqdn:x.com"), (None, None, u64::MAX));
    assert_eq!(bounds("observe --why since:5m"), (None, None, u64::MAX));
}

#[test]
fn who_pipes_flows_in_and_names_no_server_is_told_of_the_flag() {
    let piped = Env { stdin_piped: true, ..env() };
    let told = |line: &str, env: &Env| match plan(Cli::try_parse_from(line.split(' ')).unwrap(), env).unwrap() {
        Job::Flows(Plan { from: From::Live { servers, .. }, .. }) => servers.instead,
        Job::Events(Events { from: EventsFrom::Live { servers, .. }, .. }) => servers.instead,
        Job::Ask(a) => a.servers.instead,
        other => panic!("{line}: {other:?}"),
    };
    for line in ["flowhy observe", "flowhy observe ns:shop -f", "flowhy why", "flowhy observe agent-events", "flowhy"] {
        assert!(told(line, &piped).is_some_and(|t| t.contains("--input-file -")), "{line}");
        assert_eq!(told(line, &env()), None, "{line}");
    }
    for line in ["flowhy observe --server relay", "flowhy status", "flowhy list nodes"] {
        assert_eq!(told(line, &piped), None, "{line}");
    }
}

#[test]
fn a_mask_asks_for_what_is_printed_and_what_is_filtered() {
    let has = |r: &Request, path: &str| r.field_mask.iter().any(|m| m == path);
    let r = request("observe --label app=x");
    assert!(
        has(&r, "traffic_direction") && has(&r, "destination_names") && has(&r, "source.labels") && !has(&r, "uuid"),
        "{:?}",
        r.field_mask
    );
    for whole in
        ["observe -o json", "observe --why", "observe --use-default-field-masks=false", "observe --cel-expression true", "observe fqdn:x"]
    {
        assert!(request(whole).field_mask.is_empty(), "{whole}");
    }
    assert_eq!(request("observe -o json --field-mask uuid,source.pod_name").field_mask, ["uuid", "source.pod_name"]);
    for bad in [
        "observe --field-mask uuid",
        "observe -o json --field-mask nope",
        "observe -o json --field-mask uuid --why",
        "observe -o json --field-mask uuid latency>1s",
    ] {
        assert_eq!(planned(bad).unwrap_err().exit_code(), 2, "{bad}");
    }
}

#[test]
fn plain_filters_over_files_need_no_engine() {
    for (line, scans) in [
        ("observe --input-file f", true),
        ("observe --input-file - -n shop -o table --last 3 --since 5m", true),
        ("observe --input-file f.0001 --input-file f.0002", true),
        // Merged by time.
        ("observe --input-file f --input-file - -n shop", false),
        ("observe --input-file f verdict:dropped", true),
        ("observe --input-file f --why", false),
        // Names that DNS answers taught, and what a bare word may name.
        ("observe --input-file f fqdn:x.com", false),
        ("observe --input-file f cart", false),
        ("observe --input-file f --policies p", false),
        ("observe", false),
        ("why --input-file f", false),
    ] {
        assert_eq!(planned(line).unwrap().scan().is_some(), scans, "{line}");
    }
    let (_, options, _) = planned("observe --input-file f -o dict --first 3").unwrap().scan().unwrap();
    assert_eq!((options.in_order, options.first, options.last), (true, Some(3), None));
}
