//! How long it takes to be there: help, and a file of one line.
use crate::FLOWHY;
use crate::measure::once;
use std::path::Path;

/// Prints the table.
pub fn run() {
    let line = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-one-line.jsonl");
    std::fs::write(&line, "{\"flow\":{\"verdict\":\"DROPPED\"},\"time\":\"2026-01-31T14:00:00Z\"}\n").unwrap();
    let line = line.to_string_lossy().into_owned();
    println!("\nStart, median of 41 runs\n");
    for (name, args, goal) in [("--help", vec!["--help"], 10.0), ("observe, one line", vec!["observe", "--input-file", &line], 15.0)] {
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let mut walls: Vec<f64> = (0..41).map(|_| once(FLOWHY, &args).wall * 1e3).collect();
        walls.sort_by(f64::total_cmp);
        let ms = walls[walls.len() / 2];
        println!("{name:<26} {ms:>8.1} ms  goal < {goal} ms: {}", if ms < goal { "met" } else { "MISSED" });
    }
    let mb = std::fs::metadata(FLOWHY).unwrap().len() as f64 / 1e6;
    println!("{:<26} {mb:>8.1} MB  goal < 25 MB: {}", "binary", if mb < 25.0 { "met" } else { "MISSED" });
}
