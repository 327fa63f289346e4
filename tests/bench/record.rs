//! How fast recordings are written and redacted: flowhy beside the tools that do the same to the same bytes without looking into them.
use crate::FLOWHY;
use crate::measure::{Run, median};
use std::path::Path;

/// Flows a second: several times what Relay of a large cluster gives.
const GOAL: f64 = 50_000.0;
/// Redacting is done once, when a recording is passed on.
const GOAL_REDACTED: f64 = 10_000.0;

/// Prints the table.
pub fn run(file: &Path) {
    let mb = std::fs::metadata(file).unwrap().len() as f64 / 1e6;
    let lines = mb * 1e6 / crate::BYTES_EACH as f64;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (from, to) = (file.display(), folder.join("bench-recorded"));
    let zstd = crate::version("zstd").is_some();
    println!("\nRecording what a recording of {mb:.0} MB says, whole processes, to the same disk\n");
    println!("{:<26} {:<8} {:>8} {:>9} {:>9} {:>8}  goal", "case", "tool", "wall s", "MB/s", "flows/s", "ratio");
    let cases = [
        ("plain", "jsonl", "", Some(format!("cat {from} >")), GOAL),
        (".zst", "zst", "", zstd.then(|| format!("zstd -3 -q -c {from} >")), GOAL),
        (".zst, redacted", "zst", "--redact", zstd.then(|| format!("zstd -3 -q -c {from} >")), GOAL_REDACTED),
    ];
    for (name, ending, flag, theirs, goal) in cases {
        let to = to.with_extension(ending);
        let shell = |line: String| median("sh", &["-c".to_owned(), line], 3);
        // A recording is never overwritten.
        let ours = shell(format!("rm -f {to}; exec {FLOWHY} record -q {to} {flag} --from {from}", to = to.display()));
        let theirs = theirs.map(|t| shell(format!("{t} {}", to.display())));
        let row = |tool: &str, r: &Run, goal: &str| {
            let ratio = theirs.map_or_else(|| "-".to_owned(), |t| format!("{:.1}", r.wall / t.wall));
            println!("{name:<26} {tool:<8} {:>8.3} {:>9.0} {:>9.0} {ratio:>8}  {goal}", r.wall, mb / r.wall, lines / r.wall);
        };
        let met = if lines / ours.wall >= goal { "met" } else { "MISSED" };
        row("flowhy", &ours, &format!("≥ {goal:.0} flows/s: {met}"));
        if let Some(t) = &theirs {
            row(if ending == "zst" { "zstd" } else { "cat" }, t, "");
        }
        let _ = std::fs::remove_file(to);
    }
}
