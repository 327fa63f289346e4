//! One recording, three ways to run it: as a filter, on the screen, replayed at a pace. The counts are the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]
use flowhy::engine::{Engine, Explain, Options, store::Limits};
use flowhy::model::ledger::Ledger;
use flowhy::source::file::Recording;
use flowhy::source::reel::Reel;
use flowhy::source::replay::Replay;
use flowhy::source::tape::Tape;
use flowhy::source::{Source, Stop, channel};
use flowhy::tui::{self, App};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn engine() -> Engine {
    Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() })
}

/// Everything the source says, through the channel into `take`.
fn drain(source: Box<dyn Source>, mut take: impl FnMut(flowhy::model::input::Input)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (feed, mut inbox) = channel(64);
        let task = tokio::spawn(source.run(feed, Stop::new()));
        while let Some(batch) = inbox.recv().await {
            batch.into_iter().for_each(&mut take);
        }
        task.await.unwrap().unwrap();
    });
}

/// (ledger, flows that pass the filter) of the screen.
fn on_screen(file: &str, filter: &str) -> (Ledger, usize) {
    let options = tui::Options { filter: filter.to_owned(), ..tui::Options::default() };
    let mut app = App::new(engine(), options);
    drain(Box::new(Reel::of(vec![Recording::open(file).unwrap()])), |i| app.feed(vec![i]));
    while app.behind() {
        app.scan(&mut || true);
    }
    let hits = app.hits();
    (app.engine.ledger().clone(), hits)
}

fn replayed(file: &str) -> Ledger {
    let mut engine = engine();
    // So fast that silence costs nothing, but through the pacing player.
    let (replay, _remote) = Replay::new(Tape::of(vec![Recording::open(file).unwrap()]), 1e9);
    drain(Box::new(replay), |i| engine.feed(i, &mut |_| {}));
    engine.ledger().clone()
}

/// (lines of flows, lines of other records) of the filter.
fn headless(file: &str, filter: &str) -> (usize, usize) {
    let o = Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .args(["observe", "-q", "-o", "jsonpb", "--debug", "--input-file", file])
        .args(if filter.is_empty() { vec![] } else { vec![filter] })
        .output()
        .unwrap();
    assert!(o.status.success(), "{file}: {}", String::from_utf8_lossy(&o.stderr));
    let all = [String::from_utf8(o.stdout).unwrap(), String::from_utf8(o.stderr).unwrap()].concat();
    let flows = all.lines().filter(|l| l.starts_with(r#"{"flow""#)).count();
    (flows, all.lines().count() - flows)
}

fn recordings() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo.jsonl");
    let o = Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .args(["demo", "--headless", "-o", "jsonpb", "--rate", "max", "--count", "4000", "--start", "2026-01-02T03:04:05Z"])
        .output()
        .unwrap();
    let noisy = [o.stdout, b"\nno flow at all\n{\"lost_events\":{\"source\":\"HUBBLE_RING_BUFFER\",\"num_events_lost\":\"3\"}}\n".to_vec()]
        .concat();
    fs::write(&demo, noisy).unwrap();
    let mut all = vec![demo.to_string_lossy().into_owned()];
    let shared =
        std::env::var_os("FLOWHY_SHARED").map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    match fs::read_dir(shared.join("data/flows")) {
        Ok(entries) => {
            let mut found: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
            found.sort();
            all.extend(found.into_iter().map(|p| p.to_string_lossy().into_owned()));
        }
        Err(_) => println!("skipped: no recordings of real clusters at {}", shared.display()),
    }
    (dir, all)
}

#[test]
fn screen_filter_and_replay_count_alike() {
    let (_dir, files) = recordings();
    for file in &files {
        let (screen, hits) = on_screen(file, "");
        let (flows, others) = headless(file, "");
        assert!(screen.balanced(), "{file}: {screen:?}");
        assert_eq!((screen.held as usize, hits), (flows, flows), "{file}");
        assert_eq!(screen.notices as usize, others, "{file}");
        let played = replayed(file);
        assert_eq!(screen, played, "{file}");
        let lines = fs::read(file).unwrap().split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() as u64;
        assert_eq!(screen.decoded + screen.malformed, lines, "{file}: every line is accounted for");
    }
}

#[test]
fn a_filter_means_the_same_on_the_screen_and_in_a_pipe() {
    let (_dir, files) = recordings();
    for file in &files {
        for filter in ["verdict:dropped", "pod:c* port:53", "from.ns:default or proto:udp", "not type:l7"] {
            let (_, hits) = on_screen(file, filter);
            assert_eq!(hits, headless(file, filter).0, "{file}: {filter}");
        }
    }
}
