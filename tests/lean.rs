//! The lean readers against the full ones: what they take for canonical is, and what they answer is what the message answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]
#[allow(dead_code, reason = "each test uses its part of them")]
mod flows;

use flowhy::model::view::{Field, FieldSet, Item, View};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::lean::{Lean, Walk};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flows::{some_flow, some_response};
use proptest::prelude::*;
use prost::Message as _;
use std::path::{Path, PathBuf};

/// Everything that a view says of some fields.
fn said(view: &dyn View, fields: FieldSet) -> Vec<String> {
    let mut all = Vec::new();
    for field in fields.iter() {
        all.push(format!("{field:?} {:?}", view.field(field)));
        view.any(field, &mut |item| {
            all.push(match item {
                Item::Text(s) => format!("{field:?} {s:?}"),
                Item::Pair(a, b) => format!("{field:?} {a:?} {b:?}"),
                Item::Policy { kind, namespace, name } => format!("{field:?} {kind:?} {namespace:?} {name:?}"),
            });
            false
        });
    }
    all
}

fn every() -> FieldSet {
    Field::all().collect()
}

fn is_flow(r: &GetFlowsResponse) -> bool {
    matches!(r.response_types, Some(ResponseTypes::Flow(_)))
}

/// The law: what the walk takes is what the reader reads without a note and the writer writes, and both say the same of it.
fn law(line: &[u8]) -> Result<bool, String> {
    let mut lean = Lean::new(every(), Walk::Whole);
    let Some(view) = lean.json(line) else { return Ok(false) };
    let mut notes = Notes::default();
    let text = String::from_utf8_lossy(line);
    let Ok(Decoded::Response(r)) = read_line(line, &mut notes) else { return Err(format!("the reader refuses {text}")) };
    if !notes.is_empty() || !is_flow(&r) {
        return Err(format!("{notes:?} in {text}"));
    }
    let mut written = Vec::new();
    write_response(&r, &mut written);
    if written != line {
        return Err(format!("not canonical:\n{text}\n{}", String::from_utf8_lossy(&written)));
    }
    let (lean, full) = (said(&view, every()), said(&r, every()));
    if lean != full {
        let other = lean.iter().zip(&full).find(|(a, b)| a != b);
        return Err(format!("{text}\n{other:?}"));
    }
    Ok(true)
}

fn corpora() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![here.join("tests/conformance/hubble/print-cases/flows.jsonl")];
    let shared = std::env::var_os("FLOWHY_SHARED").map_or_else(|| here.join("../shared"), PathBuf::from).join("data/flows");
    if !shared.exists() {
        println!("skipped: {} is not here", shared.display());
    }
    for folder in [here.join("tests/conformance/hubble"), here.join("tests/conformance/hubble/edge"), shared] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path());
        files.extend(entries.filter(|p| p.extension().is_some_and(|e| e == "jsonl")));
    }
    files.sort();
    files
}

#[test]
fn every_line_of_the_corpora_keeps_the_law() {
    let (mut seen, mut taken) = (0, 0);
    for file in corpora() {
        for (n, line) in std::fs::read(&file).unwrap().split(|b| *b == b'\n').enumerate() {
            seen += 1;
            taken += u32::from(law(line).unwrap_or_else(|e| panic!("{}:{}: {e}", file.display(), n + 1)));
            // As our own writer has it, it must be taken.
            let Ok(Decoded::Response(r)) = read_line(line, &mut Notes::default()) else { continue };
            let mut written = Vec::new();
            write_response(&r, &mut written);
            let usual = matches!(&r.response_types, Some(ResponseTypes::Flow(f)) if f.extensions.is_none());
            assert_eq!(law(&written), Ok(usual), "{}:{}", file.display(), n + 1);
        }
    }
    println!("{taken} of {seen} lines are canonical flows");
    assert!(taken > 500, "{taken} of {seen}");
}

#[test]
fn what_is_not_canonical_is_left_to_the_reader() {
    let mut lean = Lean::new(every(), Walk::Whole);
    for line in [
        r#"{"flow":{"verdict":"DROPPED"}} "#,
        r#"{"flow":{"verdict": "DROPPED"}}"#,
        r#"{"flow":{"verdict":2}}"#,
        r#"{"flow":{"verdict":0}}"#,
        r#"{"flow":{"verdict":"VERDICT_UNKNOWN"}}"#,
        r#"{"flow":{"verdict":"BRAND_NEW"}}"#,
        r#"{"flow":{"uuid":""}}"#,
        r#"{"flow":{"uuid":null}}"#,
        r#"{"flow":{"uuid":"a","uuid":"b"}}"#,
        r#"{"flow":{"verdict":"DROPPED","uuid":"a"}}"#,
        r#"{"flow":{"nodeName":"a"}}"#,
        r#"{"flow":{"new_field":1}}"#,
        r#"{"flow":{"uuid":"<"}}"#,
        r#"{"flow":{"uuid":"\u003C"}}"#,
        r#"{"flow":{"uuid":"\u0041"}}"#,
        r#"{"flow":{"uuid":"\/"}}"#,
        r#"{"flow":{"uuid":"\u000a"}}"#,
        "{\"flow\":{\"uuid\":\"\u{2028}\"}}",
        r#"{"flow":{"l4":{"TCP":{},"UDP":{}}}}"#,
        r#"{"flow":{"l4":{"TCP":{"source_port":080}}}}"#,
        r#"{"flow":{"l4":{"TCP":{"source_port":0}}}}"#,
        r#"{"flow":{"l4":{"TCP":{"source_port":"80"}}}}"#,
        r#"{"flow":{"l4":{"TCP":{"source_port":4294967296}}}}"#,
        r#"{"flow":{"l4":{"TCP":{"flags":{"SYN":false}}}}}"#,
        r#"{"flow":{"l7":{"latency_ns":5}}}"#,
        r#"{"flow":{"l7":{"latency_ns":"18446744073709551616"}}}"#,
        r#"{"flow":{"source_names":[]}}"#,
        r#"{"flow":{"source_names":["a",]}}"#,
        r#"{"flow":{"time":"2025-11-23T08:53:20.1Z"}}"#,
        r#"{"flow":{"time":"2025-11-23T08:53:20.000Z"}}"#,
        r#"{"flow":{"time":"2025-11-23T08:53:20.100000Z"}}"#,
        r#"{"flow":{"time":"2025-11-23T08:53:20+00:00"}}"#,
        r#"{"flow":{"time":"2025-02-30T08:53:20Z"}}"#,
        r#"{"flow":{"extensions":{"@type":"x/flow.Workload"}}}"#,
        r#"{"flow":{},}"#,
        r#"{"flow":{"verdict":"DROPPED"},"node_name":"n""#,
        r#"{"lost_events":{"num_events_lost":"5"}}"#,
        r#"{"node_status":{"state_change":"NODE_ERROR"}}"#,
        r#"{"verdict":"DROPPED"}"#,
        "{}",
        "",
    ] {
        assert!(lean.json(line.as_bytes()).is_none(), "{line}");
    }
    assert!(lean.json(b"{\"flow\":{\"uuid\":\"\xff\"}}").is_none());
    for line in [
        r#"{"flow":{}}"#,
        r#"{"flow":{"verdict":99,"l7":{"dns":{"query":"a\"\\\n\r\t\b\f\u0000\u001b\u000b\u003c\u003e\u0026\u2028é한"}},"is_reply":false}}"#,
        r#"{"flow":{"time":"2025-11-23T08:53:20.000000001Z","destination":{}},"node_name":"n","time":"0001-01-01T00:00:00.100Z"}"#,
    ] {
        assert_eq!(law(line.as_bytes()), Ok(true), "{line}");
    }
}

#[test]
fn a_first_time_of_nineteen_zero_bytes_is_no_second() {
    for before in ["", r#"{"flow":{"time":"1970-01-01T00:00:00Z"}}"#] {
        let mut lean = Lean::new(every(), Walk::Whole);
        assert_eq!(lean.json(before.as_bytes()).is_some(), !before.is_empty());
        let line = format!(r#"{{"flow":{{"time":"{}Z","uuid":"a"}}}}"#, "\0".repeat(19));
        assert!(lean.json(line.as_bytes()).is_none(), "after {before:?}");
    }
    assert_eq!(law(br#"{"flow":{"time":"1970-01-01T00:00:00Z"}}"#), Ok(true));
}

fn written(r: &GetFlowsResponse) -> Vec<u8> {
    let mut out = Vec::new();
    write_response(r, &mut out);
    out
}

fn some_fields() -> impl Strategy<Value = FieldSet> {
    let all: Vec<Field> = Field::all().collect();
    prop::sample::subsequence(all, 0..6).prop_map(|f| f.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_flow_of_ours_is_taken(r in some_response()) {
        let usual = matches!(&r.response_types, Some(ResponseTypes::Flow(f)) if f.extensions.is_none());
        prop_assert_eq!(law(&written(&r)), Ok(usual));
    }

    #[test]
    fn a_damaged_line_keeps_the_law(r in some_response(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..4) {
        let mut line = written(&r);
        let at = at.index(line.len());
        match how {
            0 => line.truncate(at),
            1 => line[at] = byte,
            2 => line.insert(at, byte),
            _ => drop(line.remove(at)),
        }
        if let Err(e) = law(&line) { prop_assert!(false, "{}", e) }
    }

    /// Fewer fields, and a walk that stops as soon as it knows them: the answers are the same.
    #[test]
    fn an_early_end_changes_no_answer(flow in some_flow(), fields in some_fields(), node_name in "[a-z]{0,3}") {
        let r = GetFlowsResponse { node_name, time: flow.time, response_types: Some(ResponseTypes::Flow(flow)) };
        let line = written(&r);
        let want = said(&r, fields);
        for walk in [Walk::Whole, Walk::UntilKnown] {
            if let Some(view) = Lean::new(fields, walk).json(&line) {
                prop_assert_eq!(&said(&view, fields), &want);
            }
        }
        prop_assert_eq!(said(&Lean::new(fields, Walk::Whole).proto(&r.encode_to_vec()).unwrap(), fields), want);
    }

    #[test]
    fn a_frame_says_what_its_message_says(r in some_response()) {
        let frame = r.encode_to_vec();
        let mut lean = Lean::new(every(), Walk::Whole);
        let view = lean.proto(&frame);
        prop_assert_eq!(view.is_some(), is_flow(&r));
        if let Some(view) = view { prop_assert_eq!(said(&view, every()), said(&r, every())) }
    }

    /// Protobuf lets fields come in any order and repeatedly; a walk either does as prost does, or leaves it to prost.
    #[test]
    fn a_damaged_frame_says_what_its_message_says(
        r in some_response(), other in some_response(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..5
    ) {
        let mut frame = r.encode_to_vec();
        let at = at.index(frame.len() + 1);
        match how {
            0 => frame.truncate(at),
            1 => frame.extend(other.encode_to_vec()),
            2 if at < frame.len() => frame[at] = byte,
            3 => frame.insert(at, byte),
            _ => {
                // Two flows in one: their fields are merged.
                let bytes = |r: &GetFlowsResponse| match &r.response_types { Some(ResponseTypes::Flow(f)) => f.encode_to_vec(), _ => Vec::new() };
                let inner = [bytes(&r), bytes(&other)].concat();
                frame = vec![10];
                prost::encoding::encode_varint(inner.len() as u64, &mut frame);
                frame.extend(inner);
            }
        }
        let mut lean = Lean::new(every(), Walk::Whole);
        if let (Some(view), Ok(r)) = (lean.proto(&frame), GetFlowsResponse::decode(&*frame)) {
            prop_assert_eq!(said(&view, every()), said(&r, every()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut lean = Lean::new(every(), Walk::Whole);
        let _ = lean.proto(&bytes);
        let _ = lean.json(&bytes);
    }
}

/// `cargo test --release --test lean -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
fn speed() {
    let file: Vec<u8> = corpora()
        .into_iter()
        .filter(|p| p.to_string_lossy().contains("basic-sample-400") || p.to_string_lossy().contains("policy-on"))
        .flat_map(|p| std::fs::read(p).unwrap())
        .collect();
    let lines: Vec<Vec<u8>> = file
        .split(|b| *b == b'\n')
        .filter_map(|l| match read_line(l, &mut Notes::default()) {
            Ok(Decoded::Response(r)) if is_flow(&r) => Some(written(&r)),
            _ => None,
        })
        .collect();
    let frames: Vec<Vec<u8>> = lines
        .iter()
        .map(|l| match read_line(l, &mut Notes::default()) {
            Ok(Decoded::Response(r)) => r.encode_to_vec(),
            _ => Vec::new(),
        })
        .collect();
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let pods: FieldSet = [Field::Verdict].into_iter().collect();
    let late: FieldSet = [Field::Verdict, Field::DropCode, Field::Pod(flowhy::model::view::End::Source)].into_iter().collect();
    let rounds = 40;
    println!("{} flows of {} bytes", lines.len(), bytes / lines.len());
    for (name, fields, walk) in [
        ("whole, nothing kept", FieldSet::EMPTY, Walk::Whole),
        ("whole, all kept", every(), Walk::Whole),
        ("until the verdict", pods, Walk::UntilKnown),
        ("until the drop reason", late, Walk::UntilKnown),
    ] {
        let mut lean = Lean::new(fields, walk);
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let begin = std::time::Instant::now();
            for line in &lines {
                assert!(std::hint::black_box(lean.json(line)).is_some());
            }
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!("json {name}: {:.2} GB/s, {:.0} ns a flow", bytes as f64 / best / 1e9, best * 1e9 / lines.len() as f64);
    }
    for (name, fields) in [("all kept", every()), ("verdict", pods)] {
        let mut lean = Lean::new(fields, Walk::Whole);
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let begin = std::time::Instant::now();
            for frame in &frames {
                assert!(std::hint::black_box(lean.proto(frame)).is_some());
            }
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!("proto {name}: {:.0} ns a flow", best * 1e9 / lines.len() as f64);
    }
}
