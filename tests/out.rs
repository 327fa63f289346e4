//! Our lines against Hubble's, byte for byte, with each set of flags.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#[allow(dead_code, reason = "each test uses its part of them")]
mod flows;

use flowhy::model::input::Codec;
use flowhy::out::{Compact, Dict, Format, Jsonpb, Lines, Options, Output, Table, TimeFormat};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::lean::{Lean, Walk};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::response::Response;
use proptest::prelude::*;
use prost::Message as _;
use std::collections::BTreeMap;
use std::path::Path;

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/hubble").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn responses(file: &str) -> Vec<GetFlowsResponse> {
    let read = |line: &str| match read_line(line.as_bytes(), &mut Notes::default()) {
        Ok(Decoded::Response(r)) => Some(r),
        _ => None,
    };
    file.lines().filter_map(read).collect()
}

/// The flags of Hubble that the variants use.
fn options(args: &[String]) -> Options {
    let mut o = Options::default();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "-o" => drop(args.next()),
            "--color" => o.color = args.next() == Some("always"),
            "--time-format" => o.time = TimeFormat::from_name(args.next().unwrap()),
            "--print-node-name" => o.node_name = true,
            "--print-policy-names" => o.policy_names = true,
            "--numeric" | "--ip-translation=false" => o.translate_ip = false,
            "--debug" | "-D" => o.debug = true,
            "-s" => o.silent = true,
            other => panic!("unknown flag {other}"),
        }
    }
    o
}

fn run(all: &[GetFlowsResponse], args: &[String]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut lines: Box<dyn Output + '_> = match &*args[1] {
        "compact" => Box::new(Lines::new(Compact::new(options(args)), &mut out, &mut err)),
        "dict" => Box::new(Lines::new(Dict::new(options(args)), &mut out, &mut err)),
        "table" => Box::new(Lines::new(Table::new(options(args)), &mut out, &mut err)),
        "jsonpb" => Box::new(Lines::new(Jsonpb::new(options(args)), &mut out, &mut err)),
        other => panic!("unknown format {other}"),
    };
    for r in all {
        lines.response(Response::Whole(r), None).unwrap();
    }
    lines.end().unwrap();
    drop(lines);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn same(what: &str, ours: &str, theirs: &str) {
    for (n, (a, b)) in ours.lines().zip(theirs.lines()).enumerate() {
        // The text form of an unknown state is not stable between builds of Hubble.
        if let Some((before, _)) = b.split_once("unknown node status event: ") {
            assert!(a.starts_with(before), "{what} line {n}");
            continue;
        }
        assert_eq!(a, b, "{what} line {n}");
    }
    assert_eq!(ours.matches('\n').count(), theirs.matches('\n').count(), "{what}: number of lines");
}

#[test]
fn every_set_of_flags() {
    let flows = data("print/flows.jsonl");
    let all = responses(&flows);
    assert_eq!(all.len(), 82);
    let variants: BTreeMap<String, Vec<String>> = serde_json::from_str(&data("print/variants.json")).unwrap();
    assert!(variants.len() >= 26, "{}", variants.len());
    for (name, args) in variants {
        let (out, err) = run(&all, &args);
        let theirs = if args[1] == "jsonpb" {
            flows.lines().filter(|l| !l.starts_with("{\"node_status\"")).map(|l| format!("{l}\n")).collect()
        } else {
            data(&format!("print/{name}.stdout"))
        };
        same(&format!("{name} stdout"), &out, &theirs);
        same(&format!("{name} stderr"), &err, &data(&format!("print/{name}.stderr")));
    }
}

#[test]
fn the_corpus_on_both_streams() {
    let flows = data("flows-a.jsonl");
    let (out, err) = run(&responses(&flows), &["-o".into(), "jsonpb".into(), "-D".into()]);
    assert_eq!((out.lines().count(), err.lines().count()), (510, 10));
    assert_eq!(out, flows.lines().filter(|l| !l.starts_with("{\"node_status\"")).map(|l| format!("{l}\n")).collect::<String>());
}

#[test]
fn unusual_input_in_compact() {
    let mut checked = 0;
    for case in data("edge/cases.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(case).unwrap();
        let args: Vec<String> = serde_json::from_value(case["args"].clone()).unwrap();
        let name = case["file"].as_str().unwrap();
        if args[1] != "compact" || ["bare-flow.jsonl", "export-result-wrapper.jsonl", "invalid-utf8.jsonl"].contains(&name) {
            continue;
        }
        checked += 1;
        let (out, _) = run(&responses(&data(&format!("edge/{name}"))), &args);
        same(name, &out, case["stdout"].as_str().unwrap());
    }
    assert!(checked >= 14, "{checked}");
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
        for r in responses(&data("print/flows.jsonl")).iter().chain(&responses(&data("flows-a.jsonl"))) {
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
