//! Recordings that strangers made, where they are at hand: each opens, every screen draws, and the screen's count is the file's.
use crate::kit::*;
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options as Run};
use flowhy::model::input::Input;
use flowhy::source::file::Recording;
use flowhy::tui::App;
use std::path::PathBuf;

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
        let count = flowhy::tui::count(ledger.held);
        assert!(first.contains(&format!("{count} flows")), "{}: {count}\n{first}", file.display());
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
