//! Speed as a ratio to tools that people use, measured in one run over the same flows.
//!
//! `cargo bench` prints the tables. `FLOWHY_BENCH_MB` sets the size of the recording (500 by default),
//! `HUBBLE` names a real Hubble CLI to measure beside the others; `rg`, `jq` and `jaq` are measured where they are installed.
//! `cargo bench -- attribution` measures only how fast drops are explained, `cargo bench -- record` only recording, and
//! `cargo bench -- dashboard` only the screen (with `held`, `load` or `idle` only that part).
//! Goals stand beside the figures: a missed one is printed as missed. Those of the screen fail the run at its end; the others do not,
//! because machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench says what broke by panicking")]
#![allow(clippy::print_stdout, reason = "the tables are its data")]

mod attribution;
mod dashboard;
mod measure;
mod record;
mod recordings;
mod start;
mod streams;

use mimalloc::MiMalloc;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const FLOWHY: &str = env!("CARGO_BIN_EXE_flowhy");

/// Bytes of a demo record, about; the recording is made a little larger than asked.
const BYTES_EACH: u64 = 1_760;

fn main() {
    // `cargo test --benches` only wants to know whether it builds.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    if std::env::args().any(|a| a == "dashboard") {
        let parts = ["held", "load", "idle"];
        let met = dashboard::run(parts.into_iter().find(|p| std::env::args().any(|a| a == *p)));
        std::process::exit(i32::from(!met));
    }
    // First and by itself, so that the peak of memory is its own.
    if !std::env::args().any(|a| a == "record") {
        attribution::run();
    }
    if std::env::args().any(|a| a == "attribution") {
        return;
    }
    let mb: u64 = std::env::var("FLOWHY_BENCH_MB").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let file = recording(mb);
    if std::env::args().any(|a| a == "record") {
        return record::run(&file);
    }
    println!("flowhy {}, {} cores", env!("CARGO_PKG_VERSION"), std::thread::available_parallelism().map_or(1, usize::from));
    for tool in ["rg", "jq", "jaq"] {
        println!("{tool}: {}", version(tool).unwrap_or_else(|| "not installed".to_owned()));
    }
    start::run();
    recordings::run(&file);
    streams::run(&file);
    record::run(&file);
    std::process::exit(i32::from(!dashboard::run(None)));
}

/// A recording of the demo cluster, made once and kept.
fn recording(mb: u64) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{mb}.jsonl"));
    let wanted = mb * 1_000_000;
    if std::fs::metadata(&path).is_ok_and(|m| m.len() >= wanted) {
        return path;
    }
    let out = std::fs::File::create(&path).unwrap();
    let count = (wanted / BYTES_EACH + 1_000) * 21 / 20;
    let args = ["demo", "--headless", "--rate", "max", "-o", "jsonpb", "--start", "2026-01-31T14:00:00Z", "--count"];
    let status = Command::new(FLOWHY).args(args).arg(count.to_string()).stdout(out).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let len = std::fs::metadata(&path).unwrap().len();
    assert!(len >= wanted, "{len} bytes are less than {wanted}");
    path
}

/// The first line that `tool --version` prints.
pub fn version(tool: &str) -> Option<String> {
    let out = Command::new(tool).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&out.stdout).lines().next()?.to_owned())
}
