//! Samples of other systems' flows, where they are at hand: a recording of them counts and explains the same. Lines that are no flows of
//! Hubble's are counted as such both times.
use super::{DEMO, fine, flowhy, text};
use std::path::PathBuf;

fn samples() -> Option<Vec<PathBuf>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    let dir = std::env::var_os("FLOWHY_SHARED").map_or_else(beside, PathBuf::from).join("data/other");
    let mut ahead: Vec<PathBuf> = vec![dir.is_dir().then_some(dir)?];
    let mut found = Vec::new();
    while let Some(dir) = ahead.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            let ends = |ending: &str| path.extension().is_some_and(|e| e == ending);
            if path.is_dir() {
                ahead.push(path);
            } else if ["ndjson", "jsonl", "json", "log"].into_iter().any(ends) {
                found.push(path);
            }
        }
    }
    found.sort();
    Some(found)
}

#[test]
fn samples_of_others_are_recorded_and_replayed_with_the_same_counts_and_causes() {
    let Some(files) = samples() else {
        eprintln!("skipped: no shared/data/other");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut explained = 0;
    for (n, file) in files.iter().enumerate() {
        let (file, name) = (file.to_str().unwrap(), file.file_name().unwrap().to_string_lossy().into_owned());
        let recorded = dir.path().join(format!("{n}.jsonl.zst")).to_string_lossy().into_owned();
        let o = flowhy(&["record", &recorded, "--from", file, "--policies", DEMO]);
        assert!(o.status.success(), "{name}: {}", text(&o.stderr));
        let counted = |from: &str| fine(&["observe", "-q", "--from", from, "--count-by", "verdict,dir"]);
        assert_eq!(counted(&recorded), counted(file), "{name}");
        let why = |from: &str, more: &[&str]| fine(&[&["observe", "-q", "--from", from, "--why=all", "-o", "json"], more].concat());
        let before = why(file, &["--policies", DEMO]);
        assert!(why(&recorded, &[]) == before, "{name}: other explanations");
        explained += before.lines().filter(|l| l.contains("\"why\":{")).count();
        let retina = name.contains("retina") && before.contains("DROPPED");
        assert!(!retina || before.contains("Retina"), "{name}: {before}");
    }
    assert!(files.iter().any(|f| f.to_string_lossy().contains("retina")) && explained > 0, "{explained} of {files:?}");
}
