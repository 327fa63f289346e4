//! The wire against the real thing: what Hubble's command line reads and writes, on synthetic corpora and on recordings of others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]
#[allow(dead_code, reason = "each test uses its part of them")]
mod flows;

use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flows::some_response;
use proptest::prelude::*;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/hubble").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn lines(file: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = file.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    lines
}

/// A file through reader and writer, as a pipe would have it.
#[derive(Default)]
struct Through {
    stdout: Vec<u8>,
    lines_out: usize,
    states: usize,
    bad: Vec<(usize, String)>,
    blank: usize,
    notes: Notes,
}

fn through(file: &[u8]) -> Through {
    let mut t = Through::default();
    for (n, line) in lines(file).into_iter().enumerate() {
        match read_line(line, &mut t.notes) {
            Ok(Decoded::Response(r)) if matches!(r.response_types, Some(ResponseTypes::NodeStatus(_))) => t.states += 1,
            Ok(Decoded::Response(r)) => {
                write_response(&r, &mut t.stdout);
                t.stdout.push(b'\n');
                t.lines_out += 1;
            }
            Ok(Decoded::Blank) => t.blank += 1,
            Ok(other) => panic!("line {n}: {other:?}"),
            Err(e) => t.bad.push((n, e.to_string())),
        }
    }
    t
}

#[test]
fn every_line_of_the_corpus_comes_out_as_it_went_in() {
    let file = data("flows-a.jsonl");
    let (mut seen, mut states) = (0, 0);
    for (n, line) in lines(&file).into_iter().enumerate() {
        let mut notes = Notes::default();
        let Ok(Decoded::Response(r)) = read_line(line, &mut notes) else { panic!("line {n}") };
        assert!(notes.is_empty(), "line {n}: {notes:?}");
        states += usize::from(matches!(r.response_types, Some(ResponseTypes::NodeStatus(_))));
        seen += 1;
        let again = GetFlowsResponse::decode(&*r.encode_to_vec()).unwrap();
        assert_eq!(again, r, "line {n} through protobuf");
        let mut out = Vec::new();
        write_response(&again, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(line), "line {n}");
    }
    assert_eq!((seen, states), (520, 10));
}

#[test]
fn what_was_passed_over_is_noted() {
    let t = through(&data("edge/unknown-enum.jsonl"));
    assert_eq!(t.notes.enums.get("verdict \"BRAND_NEW_VERDICT\""), Some(&2));
    let t = through(&data("edge/unknown-field.jsonl"));
    assert!(t.notes.fields.contains_key("brand_new_field"));
    assert!(through(&data("edge/camelcase.jsonl")).notes.is_empty());
}

fn shared(path: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("FLOWHY_SHARED").map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

/// Recordings whose output is not Hubble's: the file, lines that come out, lines that cannot be read, and why.
const DIFFERENT: [(&str, usize, usize, &str); 7] = [
    ("accuknox__auto-policy-discovery__multiubuntu-a.jsonl", 65, 0, "bare flows"),
    ("cilium__cilium__exporter-basic-export.jsonl", 1, 0, "bare flows"),
    ("cilium__cilium__exporter-filters.jsonl", 9, 0, "bare flows"),
    ("datadog__the-monitor__bare-drop-elided.jsonl", 1, 0, "bare flows"),
    (
        "prabhakaran-jm__cilium-policypilot__hipstershop-foreign.jsonl",
        8,
        0,
        "bare flows of a foreign shape: verdict ALLOWED is left unset, `ip` passed over",
    ),
    ("unknown__flink-bare-2022.jsonl", 1, 0, "bare flows"),
    ("unknown__deathstar-l7-drop-elided.jsonl", 1, 0, "bare flows"),
];

/// Lines that nobody can read, in files whose other lines come out as Hubble's do.
const UNREADABLE: [(&str, &[(usize, &str)]); 1] = [("SoulKyu__cpg__malformed.jsonl", &[(1, "column 1: expected an object, found 't'")])];

#[test]
fn recordings_come_out_as_hubble_writes_them() {
    let Some(table) = shared("data/flows/cli-output.tsv") else { return };
    let folder = table.parent().unwrap().to_owned();
    let mut report = String::new();
    let mut files = 0;
    for row in std::fs::read_to_string(&table).unwrap().lines().skip(1) {
        let [name, lines_in, lines_out, sha] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let file = std::fs::read(folder.join(name)).unwrap();
        files += 1;
        let t = through(&file);
        assert_eq!(t.lines_out + t.states + t.blank + t.bad.len(), lines(&file).len(), "{name}: every line is accounted for");
        if let Some((_, out, bad, why)) = DIFFERENT.iter().find(|(f, ..)| *f == name) {
            if (t.lines_out, t.bad.len(), lines_out) != (*out, *bad, "0") {
                writeln!(report, "{name}: {} lines, {:?}, expected {out} ({why})", t.lines_out, t.bad).unwrap();
            }
            // What we wrote is Hubble's form: it reads back to itself.
            assert_eq!(through(&t.stdout).stdout, t.stdout, "{name}");
            continue;
        }
        let ours = Sha256::digest(&t.stdout).iter().fold(String::new(), |mut s, b| {
            let _ = write!(s, "{b:02x}");
            s
        });
        let unreadable: Vec<(usize, String)> =
            UNREADABLE.iter().filter(|(f, _)| *f == name).flat_map(|(_, l)| l.iter().map(|(n, e)| (*n, (*e).to_owned()))).collect();
        if ours != sha || t.lines_out.to_string() != lines_out || t.bad != unreadable {
            writeln!(report, "{name}: {lines_in} in, {} out, {:?}, {:?}", t.lines_out, t.bad, t.notes).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(files >= 31, "{files}");
}

proptest! {
    #[test]
    fn any_response_goes_both_ways(r in some_response()) {
        let mut text = Vec::new();
        write_response(&r, &mut text);
        prop_assert!(!text.contains(&b'\n'));
        let mut notes = Notes::default();
        let back = read_line(&text, &mut notes);
        prop_assert_eq!(back, Ok(Decoded::Response(r.clone())));
        prop_assert!(notes.is_empty());
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
        prop_assert_eq!(GetFlowsResponse::decode(&*r.encode_to_vec()).unwrap(), r);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_line(&bytes, &mut Notes::default());
        if let Ok(r) = GetFlowsResponse::decode(&*bytes) {
            write_response(&r, &mut Vec::new());
            let _ = flowhy::wire::observed::observed(&r);
        }
    }

    /// What we take for a flow is JSON; nothing laxer.
    #[test]
    fn damaged_lines_never_panic(r in some_response(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = Vec::new();
        write_response(&r, &mut text);
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if read_line(&text, &mut Notes::default()).is_ok_and(|d| d != Decoded::Blank) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok(), "{}", String::from_utf8_lossy(&text));
        }
    }
}

/// `cargo test --release --test wire -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
fn speed() {
    let file = data("flows-a.jsonl");
    let lines = lines(&file);
    let rounds = 100;
    let bytes = (file.len() * rounds) as f64 / 1e6;
    let mut notes = Notes::default();
    let begin = std::time::Instant::now();
    for _ in 0..rounds {
        for line in &lines {
            std::hint::black_box(read_line(line, &mut notes).unwrap());
        }
    }
    let read = begin.elapsed();
    let all: Vec<_> = lines.iter().map(|l| read_line(l, &mut notes).unwrap()).collect();
    let mut out = Vec::new();
    let begin = std::time::Instant::now();
    for _ in 0..rounds {
        out.clear();
        for d in &all {
            let Decoded::Response(r) = d else { panic!() };
            write_response(r, &mut out);
        }
    }
    let write = begin.elapsed();
    println!("read {:.0} MB/s, write {:.0} MB/s", bytes / read.as_secs_f64(), bytes / write.as_secs_f64());
}
