//! Recordings that strangers made, where they are at hand: each opens, every screen draws, and the screen's count is the file's.
use crate::kit::*;
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options as Run};
use flowhy::model::input::{At, Change, Gap, Input};
use flowhy::model::time::Nanos;
use flowhy::source::file::Recording;
use flowhy::source::tape::{Next, Tape};
use flowhy::tui::{App, Effect};
use flowhy::world::line;
use std::path::PathBuf;
use std::sync::Arc;

fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    let dir = std::env::var_os("FLOWHY_SHARED").map_or_else(beside, PathBuf::from).join("data/flows");
    dir.is_dir().then_some(dir)
}

#[test]
fn every_recording_opens_and_all_its_flows_are_accounted_for() {
    let Some(dir) = shared() else {
        println!("skipped: no shared/data/flows");
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "jsonl" || e == "gz" || e == "zst"));
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let run = Run { hold: Some(Limits::default()), explain: Explain::Drops, ..Run::default() };
        let mut a = App::new(Engine::new(run), options());
        let mut recording = Recording::open(file.to_str().unwrap()).unwrap();
        while let Some(frame) = recording.next_frame().unwrap() {
            a.take(Input::Frame(frame), &mut |_, _| {});
        }
        a.close();
        let ledger = a.engine.ledger().clone();
        assert!(ledger.balanced(), "{}: {ledger:?}", file.display());
        let first = text(&picture(&mut a, 100, 30));
        let count = flowhy::model::words::many(ledger.held, "flow");
        assert!(first.contains(&count), "{}: {count}\n{first}", file.display());
        for keys in [
            "<cr><esc>",
            "d<esc>",
            "g<cr><esc>",
            "<c-d>d<pgdn><esc>",
            "n<cr>)<esc>",
            "2j<cr><esc>",
            "8G<esc>",
            "1wt",
            "/verdict:dropped<cr>",
        ] {
            press(&mut a, keys, 80, 24);
        }
    }
}

/// What was never asked for is missing in the recording too: its replay says so wherever the live screen did.
#[test]
fn a_replay_says_what_was_asked_for_while_it_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    let asked = |filter: &str, at: i64| {
        let mut out = Vec::new();
        line::write(&At { cluster: "".into(), at: Some(Nanos(at)), change: Change::Asked(filter.into()) }, &mut out);
        String::from_utf8(out).unwrap()
    };
    let all: Vec<&str> = FLOWS.lines().collect();
    let (first, rest) = all.split_at(all.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let (begin, end) = (asked("verdict:dropped", 1), asked("", 2));
    std::fs::write(&path, [&first.join("\n"), &begin, &second.join("\n"), &end, &third.join("\n")].map(|l| format!("{l}\n")).concat())
        .unwrap();
    let mut a = App::new(engine(), options());
    let (mut lines, mut seen) = (0, Vec::new());
    let shown = |a: &mut App, keys: &str| {
        press(a, keys, 120, 30);
        text(&picture(a, 120, 30))
    };
    for next in Tape::open(&[path.to_string_lossy().into_owned()]).unwrap() {
        let input = match next {
            Next::Line(frame, _) => Input::Frame(frame),
            Next::Changes(mut all) => Input::World(all.remove(0)),
            _ => continue,
        };
        lines += 1;
        a.feed(vec![input]);
        if [first.len(), first.len() + 1 + second.len(), all.len() + 2].contains(&lines) {
            let header = shown(&mut a, "1").lines().next().unwrap().contains("only verdict:dropped");
            let (policies, ledger, admitted) = (shown(&mut a, "7"), shown(&mut a, "8"), shown(&mut a, "9"));
            let captured = policies.contains("captured with verdict:dropped");
            assert_eq!(
                (captured, admitted.contains("captured with verdict:dropped")),
                (lines > first.len(), captured),
                "{policies}\n{admitted}"
            );
            assert_eq!(ledger.contains("recorded was only verdict:dropped"), captured, "{ledger}");
            seen.push(header);
            press(&mut a, ":save who.csv<cr>", 120, 30);
            let text = a.effects().into_iter().find_map(|e| if let Effect::Export(_, text) = e { Some(text) } else { None }).unwrap();
            assert_eq!(text.lines().next().unwrap().ends_with(",captured with"), captured, "{text}");
        }
    }
    assert_eq!(seen, [false, true, false]);
    // From the beginning nothing was asked for yet.
    a.feed(vec![Input::Reset]);
    assert!(!shown(&mut a, "8").contains("recorded was only"));
}

/// A server that was gone and has only later flows, or a recording of one.
#[test]
fn that_flows_may_be_lacking_is_told_at_once_and_stays_in_the_ledger() {
    let mut a = App::new(engine(), options());
    let gap = |node: &str| {
        let (from, until) = (Nanos(0), Nanos(9 * Nanos::SECOND));
        let gap = Gap { server: "relay".into(), node: node.to_owned(), from, until };
        Input::World(At { cluster: "".into(), at: Some(until), change: Change::Gap(Arc::new(gap)) })
    };
    a.feed(lines(FLOWS).into_iter().take(5).chain([gap("n1"), gap("n\u{1b}[2J2")]).collect());
    assert!(text(&picture(&mut a, 80, 24)).contains("flows may be lacking since a break: 8 says which"));
    press(&mut a, "8", 120, 30);
    let t = text(&picture(&mut a, 120, 30));
    assert!(t.contains("relay may lack flows of n1 between 1970-01-01 00:00:00 and 00:00:09 UTC") && !t.contains('\u{1b}'), "{t}");
}
