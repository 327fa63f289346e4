//! The real binary without a screen: exit codes, stdout against stderr, pipes, torn and hostile input, the article's commands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]
#[path = "cli/assets.rs"]
mod assets;
#[path = "cli/ends.rs"]
mod ends;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn flowhy() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    c.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    c
}

fn run(args: &[&str]) -> Output {
    flowhy().args(args).output().unwrap()
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

fn file(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path: PathBuf = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_string_lossy().into_owned()
}

/// One flow of now; `more` are further members of the flow.
fn flow(ns: &str, app: &str, verdict: &str, more: &str) -> String {
    let time = flowhy::model::time::Nanos::from(std::time::SystemTime::now());
    format!(
        r#"{{"flow":{{"time":"{time}","verdict":"{verdict}","IP":{{"source":"10.0.0.1","destination":"10.0.0.2"}},"source":{{"namespace":"{ns}","labels":["k8s:app={app}"],"pod_name":"{app}-0"}},"destination":{{"namespace":"kube-system","pod_name":"dns-0"}},"node_name":"n1"{more}}},"node_name":"n1","time":"{time}"}}"#
    )
}

#[test]
fn the_articles_commands_run_verbatim() {
    let dir = tempfile::tempdir().unwrap();
    let http = |m: &str, path: &str| {
        format!(r#","Type":"L7","event_type":{{"type":129}},"l7":{{"type":"REQUEST","http":{{"method":"{m}","url":"http://api{path}"}}}}"#)
    };
    let lines = [
        flow("production", "api", "FORWARDED", r#","event_type":{"type":4}"#),
        flow("production", "api", "DROPPED", r#","event_type":{"type":1,"sub_type":133},"drop_reason_desc":"POLICY_DENIED""#),
        flow("production", "web", "FORWARDED", &http("GET", "/api/v1/x")),
        flow("production", "web", "FORWARDED", &http("POST", "/api/v1/x")),
        flow(
            "production",
            "web",
            "FORWARDED",
            r#","Type":"L7","event_type":{"type":129},"l7":{"type":"RESPONSE","dns":{"query":"api.stripe.com."}}"#,
        ),
        flow("production", "web", "FORWARDED", r#","event_type":{"type":4},"destination_names":["api.stripe.com"]"#),
        flow("staging", "api", "DROPPED", r#","event_type":{"type":1,"sub_type":133}"#),
    ];
    let numbered: Vec<_> =
        lines.iter().enumerate().map(|(n, l)| l.replacen(r#""verdict""#, &format!(r#""uuid":"{n}","verdict""#), 1)).collect();
    let recording = file(dir.path(), "f.jsonl", numbered.join("\n"));
    let commands: &[(&str, &[usize])] = &[
        ("observe --namespace production --since 1m", &[0, 1, 2, 3, 4, 5]),
        ("observe --namespace production --label app=api --verdict DROPPED", &[1]),
        (r#"observe --namespace production --http-path /api/v1/.* --method GET"#, &[2]),
        ("observe --dns --namespace production", &[4]),
        ("observe --fqdn api.stripe.com --namespace production", &[5]),
        ("observe --namespace production --type trace --type drop", &[0, 1, 5]),
        ("observe --verdict DROPPED --since 5m --namespace production", &[1]),
    ];
    for (command, wanted) in commands {
        let o = flowhy().args(command.split(' ')).args(["--input-file", &recording, "-o", "jsonpb"]).output().unwrap();
        assert_eq!(o.status.code(), Some(0), "{command}: {}", err(&o));
        let uuid = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["flow"]["uuid"].as_str().unwrap().parse().unwrap();
        assert_eq!(out(&o).lines().map(uuid).collect::<Vec<usize>>(), *wanted, "{command}");
        assert_eq!(err(&o), "", "{command}");
    }
}

#[test]
fn exit_codes_and_three_lines() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["observe", "--nope"], 2, "--nope"),
        (&["observe", "--verdict", "WRONG", "--input-file", "-"], 2, "invalid --verdict value: WRONG"),
        (&["observe", "prt:80", "--input-file", "-"], 2, "did you mean port"),
        (&["observe", "--first", "1", "--last", "1", "--input-file", "-"], 2, "cannot set both --first and --last"),
        (&["observe", "--since", "yesterday", "--input-file", "-"], 2, "failed to parse the since time"),
        (&["observe", "--input-file", "/no/such/file"], 4, "/no/such/file"),
        (&["observe", "--input-file", "-", "--policies", "/no/such/dir"], 4, "/no/such/dir"),
        (&["observe", "--server", "127.0.0.1:1"], 3, "127.0.0.1:1"),
        (&["observe", "--server", "unix:///no/such/socket"], 3, "/no/such/socket"),
        (&["why", "--from", "-"], 1, "nothing to explain"),
        (&["replay", "-"], 2, "use \"flowhy observe\""),
        (&[], 2, "use \"flowhy observe\""),
        (&["demo"], 2, "use \"flowhy observe\""),
        (&["observe", "--input-file", "-", "--since", "noon"], 2, "hint: write 5m"),
    ];
    for (args, code, words) in cases {
        let o = run(args);
        assert_eq!(o.status.code(), Some(*code), "{args:?}: {}", err(&o));
        assert!(err(&o).contains(words), "{args:?}: {}", err(&o));
        assert_eq!(out(&o), "", "{args:?}");
        assert!(err(&o).lines().count() <= 6, "{args:?}: {}", err(&o));
    }
}

#[test]
fn flows_piped_to_nobody_are_told_of_the_flag_that_reads_them() {
    if std::net::TcpStream::connect("localhost:4245").is_ok() {
        println!("skipped: something listens at the default server");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let recording = file(dir.path(), "f.jsonl", flow("a", "b", "FORWARDED", ""));
    let asked = |args: &[&str], stdin: Stdio| {
        let o = flowhy().args(args).stdin(stdin).output().unwrap();
        assert_eq!((o.status.code(), out(&o)), (Some(3), String::new()), "{args:?}: {}", err(&o));
        err(&o).lines().find(|l| l.starts_with("  hint: ")).unwrap_or_default().to_owned()
    };
    // A pipe that is open and says nothing is no reason to wait.
    for stdin in [Stdio::piped(), fs::File::open(&recording).unwrap().into()] {
        let hint = asked(&["observe", "ns:a"], stdin);
        assert!(hint.contains("--input-file -") && hint.contains("port-forward"), "{hint}");
    }
    assert!(asked(&["why"], Stdio::piped()).contains("--input-file -"));
    for (args, stdin) in
        [(&["observe"][..], Stdio::null()), (&["observe", "--server", "127.0.0.1:1"], Stdio::piped()), (&["status"], Stdio::piped())]
    {
        let hint = asked(args, stdin);
        assert!(hint.contains("port-forward") && !hint.contains("--input-file"), "{args:?}: {hint}");
    }
}

#[test]
fn help_fits_a_screen_and_goes_to_stdout() {
    for command in [
        "",
        "observe",
        "replay",
        "why",
        "audit",
        "check",
        "demo",
        "serve",
        "status",
        "list",
        "list nodes",
        "list namespaces",
        "watch",
        "watch peers",
        "version",
        "config",
        "config view",
        "config get",
        "config set",
        "config reset",
        "completions",
    ] {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("-h");
        let o = run(&args);
        assert_eq!((o.status.code(), err(&o).as_str()), (Some(0), ""));
        let text = out(&o);
        let widest = text.lines().map(|l| l.chars().count()).max().unwrap();
        assert!(widest <= 79, "{command} -h is {widest} wide:\n{text}");
        assert!(text.lines().count() <= 64, "{command} -h has {} lines:\n{text}", text.lines().count());
    }
    let commands = [
        "",
        "observe",
        "replay",
        "why",
        "audit",
        "check",
        "demo",
        "serve",
        "status",
        "list",
        "list nodes",
        "watch peers",
        "config",
        "config set",
        "completions",
    ];
    for command in commands {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let text = out(&run(&args));
        let widest = text.lines().map(|l| l.chars().count()).max().unwrap();
        assert!(widest <= 79, "{command} --help is {widest} wide:\n{text}");
        assert!(text.starts_with("Examples:\n  flowhy "), "{args:?}: {text}");
        // One that is too wide for a terminal would be broken in two and could not be copied.
        assert!(
            text.lines().take_while(|l| !l.is_empty()).skip(1).all(|l| l.starts_with("  flowhy ") || l.starts_with("  zcat ")),
            "{text}"
        );
        assert!(!text.contains("As in hubble"), "{args:?} sends the reader elsewhere");
    }
}

/// The examples of the commands that need no server are run as they stand; of the others the shape is checked.
#[test]
fn the_examples_of_help_run() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["config", "completions", "status", "list", "watch", "serve"] {
        let text = out(&run(&[command, "--help"]));
        let examples: Vec<_> = text.lines().skip(1).take_while(|l| !l.is_empty()).collect();
        assert!(!examples.is_empty(), "{command}");
        for example in examples {
            let words: Vec<&str> = example.split('|').next_back().unwrap().split_whitespace().skip(1).collect();
            let home = dir.path();
            let mut flowhy = flowhy();
            flowhy.args(&words).env("XDG_CONFIG_HOME", home).current_dir(home);
            // Nobody listens at port 1, and there is no such recording: what remains is that the words are understood.
            if !matches!(command, "config" | "completions") {
                flowhy.env("FLOWHY_SERVER", "localhost:1").env("FLOWHY_TIMEOUT", "1s");
            }
            if command == "serve" && words.contains(&"-") {
                continue;
            }
            let o = flowhy.output().unwrap();
            let wanted = match command {
                "config" | "completions" => 0,
                "serve" => 4,
                _ => 3,
            };
            assert_eq!(o.status.code(), Some(wanted), "{example}: {}", err(&o));
        }
    }
}

#[test]
fn settings_come_from_the_first_place_that_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("flowhy/config.toml");
    let at = |vars: &[(&str, &str)], args: &[&str]| {
        flowhy().args(args).env("XDG_CONFIG_HOME", dir.path()).envs(vars.iter().copied()).output().unwrap()
    };
    assert_eq!(at(&[], &["config", "set", "server", "own:1"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&own).unwrap(), "server = \"own:1\"\n");
    let get = |vars: &[(&str, &str)]| out(&at(vars, &["config", "get", "server"]));
    assert_eq!(get(&[]), "own:1\n");
    fs::create_dir(dir.path().join("hubble")).unwrap();
    fs::write(dir.path().join("hubble/config.yaml"), "server: theirs:1\n").unwrap();
    assert_eq!(get(&[("HUBBLE_SERVER", "h:1")]), "own:1\n", "ours win");
    assert_eq!(at(&[], &["config", "reset", "server"]).status.code(), Some(0));
    assert_eq!(get(&[]), "theirs:1\n");
    assert_eq!(get(&[("HUBBLE_SERVER", "h:1")]), "h:1\n");
    assert_eq!(get(&[("HUBBLE_SERVER", "h:1"), ("FLOWHY_SERVER", "f:1")]), "f:1\n");
    // The setting is what is asked, unless the flag says otherwise; a recording asks nobody.
    let closed = [("FLOWHY_SERVER", "127.0.0.1:1")];
    assert!(err(&at(&closed, &["status", "-D"])).contains("debug: server = 127.0.0.1:1 (FLOWHY_SERVER)"));
    assert!(err(&at(&closed, &["status", "--server", "127.0.0.1:2"])).contains("127.0.0.1:2"));
    assert_eq!(at(&closed, &["observe", "--input-file", "-"]).status.code(), Some(0));
    // What was typed is blamed on nobody else, and a setting that is overruled is no news.
    let both = err(&at(&closed, &["observe", "--server", "x:1", "--input-file", "-", "-D"]));
    assert!(both.contains("cannot use --server and --input-file together") && !both.contains("FLOWHY_SERVER"), "{both}");
    assert!(err(&at(&[("HUBBLE_SERVER", "a b"), ("HUBBLE_TLS_CLIENT_KEY_FILE", "k")], &["status"])).contains("go together"));
    assert_eq!(at(&[], &["config", "set", "timeout", "soon"]).status.code(), Some(2), "what no run could use is not written");
    // A file that is a link stays one, with the mode and the header that somebody gave it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let dot = dir.path().join("dot.toml");
        fs::write(&dot, "# mine\n").unwrap();
        fs::set_permissions(&dot, fs::Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(&own).unwrap();
        std::os::unix::fs::symlink(&dot, &own).unwrap();
        assert_eq!(at(&[], &["config", "set", "server", "own:1"]).status.code(), Some(0));
        assert!(own.is_symlink());
        assert_eq!(fs::read_to_string(&dot).unwrap(), "# mine\nserver = \"own:1\"\n");
        assert_eq!(dot.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }
    // Only what is known is taken.
    fs::write(&own, "sever = 1\n").unwrap();
    let o = at(&[], &["status"]);
    assert!(o.status.code() == Some(2) && err(&o).contains("did you mean server?"), "{}", err(&o));
    assert_eq!(at(&[], &["status", "--help"]).status.code(), Some(0), "help needs no settings");
    // Neither a home nor a configuration folder.
    assert_eq!(run(&["config", "view"]).status.code(), Some(0));
    assert_eq!(run(&["config", "set", "tls", "true"]).status.code(), Some(2));
}

#[test]
fn a_mistyped_command_is_no_filter() {
    for (word, meant) in
        [("obsrve", "observe"), ("statu", "status"), ("serv", "serve"), ("replya", "replay"), ("completion-s", "completions")]
    {
        let o = run(&[word]);
        assert!(o.status.code() == Some(2) && err(&o).contains(&format!("did you mean {meant}?")), "{word}: {}", err(&o));
    }
    let o = run(&["--color", "never", "demo"]);
    assert!(o.status.code() == Some(2) && err(&o).contains("the command comes first: flowhy demo"), "{}", err(&o));
    for filter in ["web", "ns:shop", "cart", "\"obsrve\"", "frontend"] {
        assert!(err(&run(&[filter])).contains("use \"flowhy observe\""), "{filter}");
    }
}

#[test]
fn hubbles_boolean_flags_take_a_value_and_the_last_of_a_flag_counts() {
    for line in [
        "observe --input-file - --follow=false --all=0 --print-node-name=T --numeric=true -s=false",
        "observe --input-file - -fq --last 1 --last 2 -o dict -o json",
        "observe --input-file - --debug=false --tls=0 --print-policy-names=1",
    ] {
        let o = run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(o.status.code(), Some(0), "{line}: {}", err(&o));
    }
    let o = run(&["observe", "--follow=maybe"]);
    assert!(
        o.status.code() == Some(2) && err(&o).contains("parsing \"maybe\": invalid syntax\n  hint: write true or false"),
        "{}",
        err(&o)
    );
}

#[test]
fn a_group_of_commands_alone_prints_its_help_as_hubble_does() {
    for command in ["list", "config", "watch"] {
        let o = run(&[command]);
        assert_eq!((o.status.code(), err(&o).as_str()), (Some(0), ""), "{command}");
        assert!(out(&o).contains(&format!("Usage: flowhy {command}")), "{}", out(&o));
    }
}

#[test]
fn a_misuse_names_the_help_of_its_command_and_the_word_that_was_meant() {
    for (line, hint) in [
        ("list foo", "`flowhy list --help` lists what there is"),
        ("observe -x", "`flowhy observe --help` lists what there is"),
        ("observe --lats 3", "did you mean --last?"),
        ("observe agent-event", "did you mean agent-events?"),
        ("observe flow", "did you mean flows?"),
        ("observe --verdict dropped", "did you mean DROPPED?"),
    ] {
        let o = run(&line.split(' ').collect::<Vec<_>>());
        assert!(o.status.code() == Some(2) && err(&o).contains(&format!("\n  hint: {hint}")), "{line}: {}", err(&o));
    }
}

#[test]
fn the_demos_stream_repeats_to_the_byte() {
    let args = ["demo", "--headless", "-o", "jsonpb", "--seed", "7", "--count", "500", "--rate", "max", "--start", "2026-01-02T03:04:05Z"];
    let (a, b) = (run(&args), run(&args));
    assert_eq!(out(&a).lines().count(), 500);
    assert_eq!(a.stdout, b.stdout);
    let other: Vec<_> = args.iter().map(|a| if *a == "7" { "8" } else { a }).collect();
    assert_ne!(run(&other).stdout, a.stdout);
}

#[test]
fn why_adds_one_object_and_changes_nothing_else() {
    let plain = ["demo", "--headless", "-o", "jsonpb", "--count", "3000", "--rate", "max", "--start", "2026-01-02T03:04:05Z"];
    let mut with = plain.to_vec();
    with.push("--why");
    let (plain, with) = (out(&run(&plain)), out(&run(&with)));
    let mut explained = 0;
    for (p, w) in plain.lines().zip(with.lines()) {
        if p != w {
            let (head, tail) = w.split_once(r#","why":{"#).expect(w);
            assert_eq!(format!("{head}}}"), p);
            assert!(tail.ends_with("}}"));
            explained += 1;
        }
    }
    assert!(explained > 20, "{explained}");
}

#[test]
fn a_pipe_has_no_colour_and_always_has() {
    let dir = tempfile::tempdir().unwrap();
    let f = file(dir.path(), "f.jsonl", flow("a", "b", "DROPPED", ""));
    assert!(!out(&run(&["observe", "--input-file", &f])).contains('\x1b'));
    assert!(out(&run(&["observe", "--input-file", &f, "--color", "always"])).contains('\x1b'));
    let o = flowhy().args(["observe", "--input-file", &f]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output().unwrap();
    assert!(!out(&o).contains('\x1b'));
}

#[test]
fn manifests_with_faults_warn_with_their_place_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let f = file(dir.path(), "f.jsonl", flow("a", "b", "DROPPED", r#","traffic_direction":"EGRESS","drop_reason_desc":"POLICY_DENIED""#));
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: a}\nspec: {podSelector: {}, policyTypes: [Egress], sepc: 1}\n---\nkind: [NetworkPolicy\n---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n";
    let p = file(dir.path(), "p.yaml", text);
    let o = run(&["why", "--from", &f, "--policies", &p, "-o", "json"]);
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    let why: serde_json::Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!((why["outcome"].as_str(), why["policies"][0]["name"].as_str()), (Some("default-deny"), Some("deny")), "{why}");
    for place in ["p.yaml:4: ", "p.yaml:7: ", "GlobalNetworkPolicy"] {
        assert!(err(&o).contains(place), "{place} in {}", err(&o));
    }
}

/// The README is run, not only read: its example, its filters, its `why` object.
#[test]
fn what_the_readme_shows_is_true() {
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = fs::read_to_string(Path::new(root).join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let dir = tempfile::tempdir().unwrap();

    let example = blocks.iter().find(|b| b.contains("$ flowhy why")).unwrap();
    let typed = example.lines().find_map(|l| l.strip_prefix("$ flowhy demo ")).unwrap();
    let made = run(&[&["demo"], &typed.split(' ').take_while(|w| *w != ">").collect::<Vec<_>>()[..]].concat());
    let flows = file(dir.path(), "flows.jsonl", &made.stdout);
    let o = flowhy().args(["why", "--from", &flows, "--policies", "assets/demo", "from.pod:xwing"]).current_dir(root).output().unwrap();
    let shown: String = example.lines().filter(|l| !l.is_empty() && !l.starts_with('$')).map(|l| format!("{l}\n")).collect();
    assert_eq!(out(&o), shown, "{}", err(&o));

    let filters = blocks.iter().find(|b| b.contains("ns:shop drop:policy")).unwrap();
    let filters: Vec<_> = filters.lines().filter(|l| !l.is_empty()).map(|l| l.split("   ").next().unwrap().trim()).collect();
    assert!(filters.len() >= 6);
    for filter in filters {
        let o = run(&["observe", "--input-file", &flows, filter]);
        assert_eq!(o.status.code(), Some(0), "{filter}: {}", err(&o));
    }
    let object = blocks.iter().find_map(|b| b.strip_prefix("json\n")).unwrap();
    serde_json::from_str::<serde_json::Value>(object).unwrap();
    for command in ["observe", "replay", "why", "demo"] {
        assert!(readme.contains(&format!("`flowhy {command}")), "{command}");
    }
}

#[test]
fn flows_are_counted_and_printed_as_rows() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble/flows-a.jsonl");
    let o = run(&["observe", "--from", corpus, "--count-by", "verdict", "-o", "json"]);
    let counts: Vec<serde_json::Value> = out(&o).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let all: u64 = counts.iter().map(|c| c["count"].as_u64().unwrap()).sum();
    assert_eq!((all, counts[0]["verdict"].as_str(), o.status.code()), (497, Some("FORWARDED"), Some(0)), "{}", out(&o));
    assert!(counts.windows(2).all(|w| w[0]["count"].as_u64() >= w[1]["count"].as_u64()));
    let o = run(&["observe", "--from", corpus, "--count-by", "drop,outcome", "drop:policy"]);
    assert!(out(&o).starts_with("COUNT   DROP ") && out(&o).contains("undecidable"), "{}", out(&o));
    let o = run(&["observe", "--from", corpus, "--count-by", "proto", "--last", "7", "-o", "csv"]);
    let sum: u64 = out(&o).lines().skip(1).map(|l| l.split(',').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((out(&o).lines().next(), sum), (Some("count,proto"), 7));
    let o = run(&["observe", "--from", corpus, "-o", "csv", "--why", "drop:policy"]);
    let text = out(&o);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().ends_with(",protocol,summary,outcome,policies,text"));
    assert!(lines.next().unwrap().contains(",DROPPED,"), "{text}");
    let o = run(&["observe", "--from", corpus, "--count-by", "vrdict"]);
    assert!(o.status.code() == Some(2) && err(&o).contains("did you mean verdict?"), "{}", err(&o));
}

#[test]
fn finding_nothing_is_told_to_scripts_that_ask() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble/flows-a.jsonl");
    for more in [&[][..], &["-o", "csv"], &["--count-by", "verdict"], &["--why"]] {
        let with = |filter: &str| {
            let args: Vec<&str> = ["observe", "--from", corpus, "--exit-code", filter].iter().chain(more).copied().collect();
            run(&args).status.code()
        };
        assert_eq!((with("uuid:none"), with("verdict:dropped")), (Some(1), Some(0)), "{more:?}");
    }
}

#[test]
fn raw_filters_are_printed_before_they_are_checked() {
    let o = run(&["observe", "-n", "a", "--print-raw-filters", "--not", "--ip", "it's"]);
    let want = "allowlist:\n    - '{\"source_pod\":[\"a/\"]}'\n    - '{\"destination_pod\":[\"a/\"]}'\n\
                denylist:\n    - '{\"source_ip\":[\"it''s\"]}'\n    - '{\"destination_ip\":[\"it''s\"]}'\n";
    assert_eq!((out(&o).as_str(), o.status.code()), (want, Some(0)));
}

#[test]
fn a_cel_expression_that_fails_on_flows_is_told_three_times_and_summed() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hubble/flows-a.jsonl");
    for more in [&[][..], &["--why"]] {
        let args: Vec<&str> =
            ["observe", "--from", corpus, "--cel-expression", "_flow.destination_names[3] == 'a'"].iter().chain(more).copied().collect();
        let o = run(&args);
        assert_eq!((out(&o).as_str(), o.status.code()), ("", Some(0)), "{more:?}");
        assert_eq!(err(&o).matches("failed: ").count(), 3, "{}", err(&o));
        assert!(err(&o).contains("the filter failed "), "{}", err(&o));
    }
}
