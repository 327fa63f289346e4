//! Our lines against Hubble's, byte for byte, with each set of flags; and what is made of broken and unusual files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#[allow(dead_code, reason = "each test uses its part of them")]
mod flows;

use clap::Parser as _;
use flowhy::cli::Cli;
use flowhy::engine::Engine;
use flowhy::model::input::{Codec, Frame, Input};
use flowhy::out::{self, Compact, Dict, Format, Jsonpb, Lines, Options, Output as _, Table};
use flowhy::plan::{self, Env, Front, Job, Plan};
use flowhy::scan::{Part, Print, Scan, Sink};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::lean::{Lean, Walk};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::response::Response;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/hubble").join(name)
}

fn data(name: &str) -> String {
    let path = folder(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn response(line: &str) -> Option<GetFlowsResponse> {
    match read_line(line.as_bytes(), &mut Notes::default()) {
        Ok(Decoded::Response(r)) => Some(r),
        _ => None,
    }
}

fn responses(file: &str) -> Vec<GetFlowsResponse> {
    file.lines().filter_map(response).collect()
}

/// stdout and stderr.
type Streams = [String; 2];

fn streams(out: Vec<u8>, err: Vec<u8>) -> Streams {
    [String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()]
}

/// stderr of Hubble that can be compared: without its log, whose lines bear the wall clock, and without the text form of a state
/// it does not know, which differs between its builds.
fn comparable(text: &str) -> String {
    let unknown = "unknown node status event: ";
    let stable = |l: &str| l.split_once(unknown).map_or_else(|| format!("{l}\n"), |(before, _)| format!("{before}{unknown}\n"));
    text.lines().filter(|l| !l.starts_with("time=")).map(stable).collect()
}

/// What the command line of a case means.
fn planned(args: &[String]) -> Plan {
    let words = ["flowhy", "observe", "--input-file", "f"].into_iter().chain(args.iter().map(String::as_str));
    match plan::plan(Cli::try_parse_from(words).unwrap(), &Env::default()).unwrap() {
        Job::Flows(plan) => plan,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn format_of(plan: &Plan) -> Box<dyn Format + Send> {
    match &plan.front {
        Front::Stream(s) => out::format(s.format, s.print),
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Sink for Kept {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        Ok(())
    }
    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Printer(Box<dyn Format + Send>);

impl Print for Printer {
    fn line(&mut self, r: Response<'_>, out: &mut Vec<u8>) {
        self.0.line(r, None, out);
    }
    fn status(&mut self, r: &GetFlowsResponse, err: &mut Vec<u8>) {
        self.0.status(r, err);
    }
    fn finish(&mut self, out: &mut Vec<u8>) {
        self.0.finish(out);
    }
}

/// As files are read: by the scan.
fn by_scan(plan: &Plan, line: &str) -> Streams {
    let (_, options, _) = plan.scan().expect("no case needs the engine");
    let kept = Kept::default();
    let from = Box::new(Cursor::new(line.as_bytes().to_vec()));
    let part = Part { name: "f".into(), from, live: false, why: Box::new(|e| flowhy::scan::Ending::Failed(e.to_string())) };
    let plan = plan.clone();
    let scan = Arc::new(Scan::new(options, vec![part], move || Box::new(Printer(format_of(&plan))), Box::new(kept.clone())));
    scan.run(1);
    scan.finish();
    let (out, err) = std::mem::take(&mut *kept.0.lock().unwrap());
    streams(out, err)
}

/// As the flows of a server are: by the engine, which reads of a flow what filter and format ask.
fn by_engine(plan: &Plan, codec: Codec, bytes: Vec<u8>) -> Streams {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut lines = Lines::new(format_of(plan), &mut out, &mut err);
    let frame = Frame { codec, from: "f".into(), line: 1, bytes: bytes.into(), broken: None };
    Engine::new(plan.engine.clone()).feed(Input::Frame(frame), &mut |e| lines.response(e.response, None).unwrap());
    lines.end().unwrap();
    streams(out, err)
}

/// As explained flows are: from the whole message.
fn by_message(plan: &Plan, all: &[GetFlowsResponse]) -> Streams {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut lines = Lines::new(format_of(plan), &mut out, &mut err);
    all.iter().for_each(|r| lines.response(Response::Whole(r), None).unwrap());
    lines.end().unwrap();
    streams(out, err)
}

/// The real binary in a folder of the corpus: its exit code and both streams.
fn flowhy(dir: &str, args: &[&str], stdin: &str) -> (Option<i32>, Streams) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .env_clear()
        .env("TZ", "UTC")
        .current_dir(folder(dir))
        .arg("observe")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = stdin.to_owned();
    let writer = std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    let o = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (o.status.code(), streams(o.stdout, o.stderr))
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn args_of(case: &Value) -> Vec<String> {
    serde_json::from_value(case["args"].clone()).unwrap()
}

#[test]
fn every_flow_with_every_set_of_flags_by_scan_engine_and_message() {
    let flows = data("print-cases/flows.jsonl");
    let lines: Vec<&str> = flows.lines().collect();
    let (mut cases, mut variants, mut colored) = (0, BTreeSet::new(), 0);
    for case in data("print-cases/cases.jsonl").lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let line = lines[usize::try_from(case["flow_line"].as_u64().unwrap()).unwrap()];
        let plan = planned(&args_of(&case));
        let r = response(line).unwrap();
        let theirs = [text(&case, "stdout").to_owned(), comparable(text(&case, "stderr"))];
        cases += 1;
        variants.insert(text(&case, "variant").to_owned());
        colored += usize::from(theirs[0].contains('\u{1b}'));
        assert_eq!(case["exit"], 0);
        for (way, [out, err]) in [
            ("scan", by_scan(&plan, line)),
            ("engine, JSON", by_engine(&plan, Codec::HubbleJson, line.into())),
            ("engine, protobuf", by_engine(&plan, Codec::Hubble, r.encode_to_vec())),
            ("message", by_message(&plan, std::slice::from_ref(&r))),
        ] {
            assert_eq!([out, comparable(&err)], theirs, "{way}: {} of {line}", case["args"]);
        }
    }
    assert_eq!((cases, variants.len()), (656, 8));
    assert!(colored > 100, "{colored}");
}

#[test]
fn the_whole_file_with_every_set_of_flags_by_the_binary() {
    let variants: BTreeMap<String, Vec<String>> = serde_json::from_str(&data("print-cases/variants.json")).unwrap();
    assert_eq!(variants.len(), 26);
    for (name, args) in variants {
        let args: Vec<&str> = ["--input-file", "flows.jsonl"].into_iter().chain(args.iter().map(String::as_str)).collect();
        let (code, [out, err]) = flowhy("print-cases", &args, "");
        assert_eq!((code, out), (Some(0), data(&format!("print-cases/all.{name}.stdout"))), "{name}");
        assert_eq!(comparable(&err), comparable(&data(&format!("print-cases/all.{name}.stderr"))), "{name}");
    }
}

#[test]
fn the_corpus_on_both_streams() {
    let flows = data("flows-a.jsonl");
    let [out, err] = by_message(&planned(&["-o".into(), "jsonpb".into(), "-D".into()]), &responses(&flows));
    assert_eq!((out.lines().count(), err.lines().count()), (510, 10));
    assert_eq!(out, flows.lines().filter(|l| !l.starts_with("{\"node_status\"")).map(|l| format!("{l}\n")).collect::<String>());
}

/// Where a file is read otherwise than by Hubble, on purpose.
struct Otherwise {
    file: &'static str,
    /// Lines of the file, from 1, whose flows are printed here and not by Hubble. None is printed by Hubble and not here.
    more: &'static [usize],
    /// All that stderr says once such a line was read; Hubble logs a line of its own there.
    says: &'static [&'static str],
    why: &'static str,
}

const OTHERWISE: [Otherwise; 11] = [
    Otherwise {
        file: "blank-lines.jsonl",
        more: &[],
        says: &[],
        why: "an empty line is the end of a file or of a part of it; Hubble warns of each as of a flow that cannot be read",
    },
    Otherwise {
        file: "malformed.jsonl",
        more: &[],
        says: &[
            "warning: 7 lines could not be read",
            "  at: malformed.jsonl:2: column 1: expected an object, found 'n'",
            "  at: malformed.jsonl:3: column 9: the line ends where an object was expected",
            "  at: malformed.jsonl:5: column 13: expected the end of the line, found 't'",
        ],
        why: "a count and the first places, at the end, in place of a log line with the whole text for each; `{}`, which holds nothing, \
              is one of the seven, where Hubble passes over it without a word",
    },
    Otherwise {
        file: "unknown-field.jsonl",
        more: &[],
        says: &["note: 2 unknown fields or values were passed over: brand_new_field"],
        why: "all of them are counted and named, at the end; Hubble tells of the first alone",
    },
    Otherwise {
        file: "unknown-enum.jsonl",
        more: &[],
        says: &["note: 2 unknown fields or values were passed over: verdict \"BRAND_NEW_VERDICT\""],
        why: "as for unknown fields",
    },
    Otherwise {
        file: "any-extension.jsonl",
        more: &[],
        says: &[
            "warning: 1 line could not be read",
            "  at: any-extension.jsonl:2: column 1055: an extension of a type that is not known here: \"type.googleapis.com/unknown.Msg\"",
        ],
        why: "the place in place of the text",
    },
    Otherwise {
        file: "line-over-64k.jsonl",
        more: &[2, 3],
        says: &[],
        why: "a line may have 64 MiB; Hubble ends with 1 at the first one over 64 KiB, and drops what it held for --last",
    },
    Otherwise {
        file: "bare-flow.jsonl",
        more: &[1],
        says: &[],
        why: "exporters and other tools write flows without the response around them; Hubble reads nothing in such a line",
    },
    Otherwise {
        file: "export-result-wrapper.jsonl",
        more: &[1],
        says: &[],
        why: "a gRPC gateway wraps each response in a result; Hubble reads nothing in it",
    },
    Otherwise {
        file: "bom.jsonl",
        more: &[1],
        says: &[],
        why: "Windows programs put a byte order mark before the first line; Hubble loses that line",
    },
    Otherwise {
        file: "duplicate-key.jsonl",
        more: &[],
        says: &["warning: 1 line could not be read", "  at: duplicate-key.jsonl:1: column 1423: the field \"node_name\" is there twice"],
        why: "the place in place of the text",
    },
    Otherwise {
        file: "invalid-utf8.jsonl",
        more: &[],
        says: &["warning: 1 line could not be read", "  at: invalid-utf8.jsonl:1: column 55: invalid UTF-8"],
        why: "the place in place of the text",
    },
];

/// The flow of a line in whatever it is wrapped.
fn bare(line: &str) -> Value {
    let mut v: Value = serde_json::from_str(line.trim_start_matches('\u{feff}')).unwrap();
    for wrapper in ["result", "flow"] {
        if let Some(inner) = v.get_mut(wrapper) {
            v = inner.take();
        }
    }
    v
}

/// What the file gives as JSON, by what Hubble gives and the lines it does not read.
fn with_more(file: &str, theirs: &str, more: &[usize], ours: &str) -> String {
    let name = format!("edge/{file}");
    let lines = data(&name);
    let lines: Vec<&str> = lines.lines().collect();
    let mut theirs = theirs.lines();
    let mut all = String::new();
    for (n, line) in ours.lines().enumerate() {
        // In these files each line gives one.
        if more.contains(&(n + 1)) {
            assert_eq!(bare(line), bare(lines[n]), "{file}:{}", n + 1);
            all += line;
        } else {
            all += theirs.next().unwrap_or_else(|| panic!("{file}: a line too many: {line}"));
        }
        all.push('\n');
    }
    assert_eq!((theirs.next(), all.lines().count()), (None, lines.len()), "{file}");
    all
}

#[test]
fn broken_and_unusual_files_by_the_binary() {
    let cases: Vec<Value> = data("edge/cases.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut differ = BTreeSet::new();
    for case in &cases {
        let (file, args) = (text(case, "file"), args_of(case));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let what = format!("{file} {}", args.join(" "));
        let (code, [out, err]) = flowhy("edge", &[&["--input-file", file], &args[..]].concat(), "");
        let theirs = (case["exit"].as_i64(), text(case, "stdout"), text(case, "stderr"));
        let Some(o) = OTHERWISE.iter().find(|o| o.file == file) else {
            assert_eq!((code.map(i64::from), &*out, &*err), theirs, "{what}");
            continue;
        };
        // What flowhy reads on from or tells is a success; only where it gives up a file does it fail.
        assert_eq!(code, Some(0), "{what}: {}", o.why);
        let told: String = if theirs.2.is_empty() { String::new() } else { o.says.iter().map(|l| format!("{l}\n")).collect() };
        assert_eq!(err, told, "{what}: {}", o.why);
        if (code.map(i64::from), &*out, &*err) != theirs {
            differ.insert(file);
        }
        if o.more.is_empty() {
            assert_eq!(out, theirs.1, "{what}: {}", o.why);
            continue;
        }
        let whole = cases.iter().find(|c| c["file"] == file && c["args"] == serde_json::json!(["-o", "jsonpb"])).unwrap();
        let (_, [json, _]) = flowhy("edge", &["--input-file", file, "-o", "jsonpb"], "");
        assert_eq!(json, with_more(file, text(whole, "stdout"), o.more, &json), "{what}: {}", o.why);
        let wanted = match args[2..] {
            [] => json,
            ["--first", "1"] => json.lines().take(1).map(|l| format!("{l}\n")).collect(),
            ["--last", "1"] => json.lines().last().map(|l| format!("{l}\n")).unwrap(),
            // The same flows, once they stand as Hubble writes them.
            _ => {
                let [lines, _] = flowhy("edge", &[&["--input-file", "-"], &args[..]].concat(), &json).1;
                assert!(theirs.1.lines().all(|l| lines.lines().any(|ours| ours == l)), "{what}: a line of Hubble's is missing");
                lines
            }
        };
        assert_eq!(out, wanted, "{what}: {}", o.why);
    }
    assert_eq!(cases.len(), 84);
    assert_eq!(differ, OTHERWISE.iter().map(|o| o.file).collect(), "the table names what differs, and nothing else");
}

fn formats(o: Options) -> [Box<dyn Format>; 4] {
    [Box::new(Compact::new(o)), Box::new(Dict::new(o)), Box::new(Table::new(o)), Box::new(Jsonpb::new(o))]
}

/// What each format prints of one response, its columns laid out.
fn printed(r: Response<'_>, o: Options) -> Vec<String> {
    let lines = formats(o).into_iter().map(|mut f| {
        let mut out = Vec::new();
        f.line(r, None, &mut out);
        f.finish(&mut out);
        String::from_utf8(out).unwrap()
    });
    lines.collect()
}

/// A flow of which only the format's fields were read, from either form, prints as the whole message does.
fn the_same_in_part(r: &GetFlowsResponse, o: Options) {
    let mut line = Vec::new();
    write_response(r, &mut line);
    let frame = r.encode_to_vec();
    let whole = printed(Response::Whole(r), o);
    for (n, format) in formats(o).iter().enumerate() {
        let mut lean = Lean::new(format.fields().unwrap_or_default(), Walk::Whole);
        if let Some(view) = lean.proto(&frame) {
            assert_eq!(printed(Response::Part { view, codec: Codec::Hubble, bytes: &frame }, o)[n], whole[n]);
        }
        if let Some(view) = lean.json(&line) {
            assert_eq!(printed(Response::Part { view, codec: Codec::HubbleJson, bytes: &line }, o)[n], whole[n]);
        }
    }
}

#[test]
fn a_part_prints_as_the_whole() {
    for variant in [
        Options::default(),
        Options { node_name: true, policy_names: true, color: true, ..Options::default() },
        Options { translate_ip: false, terminal: true, ..Options::default() },
    ] {
        for r in responses(&data("print-cases/flows.jsonl")).iter().chain(&responses(&data("flows-a.jsonl"))) {
            the_same_in_part(r, variant);
        }
    }
}

proptest! {
    #[test]
    fn any_part_prints_as_the_whole(r in flows::some_response(), policy_names in any::<bool>(), terminal in any::<bool>()) {
        the_same_in_part(&r, Options { node_name: true, policy_names, terminal, ..Options::default() });
    }
}
