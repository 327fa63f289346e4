//! Filters and formats over one recording: flowhy beside `rg`, `jq`, `jaq` and, where given, Hubble's own CLI.
use crate::FLOWHY;
use crate::measure::{Run, median};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a case is held to.
enum Goal {
    /// At most so many times the wall time of `rg`.
    TimesRg(f64),
    /// At least so many MB of recording a second of wall time.
    MbPerSecond(f64),
    None,
}

struct Case {
    name: &'static str,
    flowhy: &'static [&'static str],
    /// Arguments of `rg` for the same text; empty: it has no answer.
    rg: &'static [&'static str],
    jq: &'static str,
    zst: bool,
    goal: Goal,
}

/// Peak of anonymous memory that every case is held to.
const MOST_ANON: u64 = 200_000_000;

const CASES: &[Case] = &[
    Case {
        name: "--verdict DROPPED",
        flowhy: &["--verdict", "DROPPED", "-o", "jsonpb"],
        rg: &["-c", "\"verdict\":\"DROPPED\""],
        jq: "select(.flow.verdict==\"DROPPED\")",
        zst: false,
        goal: Goal::TimesRg(3.0),
    },
    Case {
        name: "namespace + port",
        flowhy: &["-n", "empire", "--port", "6379", "-o", "jsonpb"],
        rg: &["-c", "_port\":6379[,}].*\"namespace\":\"empire\""],
        jq: "select((.flow.source.namespace==\"empire\" and .flow.l4.TCP.source_port==6379) or (.flow.destination.namespace==\"empire\" and .flow.l4.TCP.destination_port==6379))",
        zst: false,
        goal: Goal::TimesRg(3.0),
    },
    Case {
        name: "label",
        flowhy: &["--label", "app=checkoutservice", "-o", "jsonpb"],
        rg: &["-c", "k8s:app=checkoutservice"],
        jq: "select([.flow.source.labels[]?,.flow.destination.labels[]?]|any(.==\"k8s:app=checkoutservice\"))",
        zst: false,
        goal: Goal::TimesRg(3.0),
    },
    Case {
        name: "HTTP path, a regex",
        flowhy: &["--http-path", "^/product/[0-9A-Z]+$", "-o", "jsonpb"],
        rg: &["-c", "\"url\":\"[^\"]*/product/[0-9A-Z]+\""],
        jq: "select((.flow.l7.http.url // \"\")|test(\"/product/[0-9A-Z]+$\"))",
        zst: false,
        goal: Goal::TimesRg(3.0),
    },
    Case {
        name: "no match",
        flowhy: &["--uuid", "no-such-uuid", "-o", "jsonpb"],
        rg: &["-c", "no-such-uuid"],
        jq: "select(.flow.uuid==\"no-such-uuid\")",
        zst: false,
        goal: Goal::TimesRg(3.0),
    },
    Case {
        name: "every line looked into",
        flowhy: &["--not", "--traffic-direction", "ingress", "--not", "--traffic-direction", "egress", "-o", "jsonpb"],
        rg: &[],
        jq: "select(.flow.traffic_direction==null)",
        zst: false,
        goal: Goal::MbPerSecond(2_000.0),
    },
    Case {
        name: "everything as compact",
        flowhy: &["-o", "compact"],
        rg: &[],
        jq: "\"\\(.flow.time): \\(.flow.source.pod_name) -> \\(.flow.destination.pod_name) \\(.flow.verdict) (\\(.flow.Summary))\"",
        zst: false,
        goal: Goal::MbPerSecond(500.0),
    },
    Case { name: "everything as jsonpb", flowhy: &["-o", "jsonpb"], rg: &[], jq: ".", zst: false, goal: Goal::MbPerSecond(1_000.0) },
    Case {
        name: "--verdict DROPPED, .zst",
        flowhy: &["--verdict", "DROPPED", "-o", "jsonpb"],
        rg: &["-z", "-c", "\"verdict\":\"DROPPED\""],
        jq: "",
        zst: true,
        goal: Goal::None,
    },
];

/// Prints the table.
pub fn run(file: &Path) {
    let mb = std::fs::metadata(file).unwrap().len() as f64 / 1e6;
    let packed = packed(file);
    let (rg, jq, jaq) = (crate::version("rg").is_some(), crate::version("jq").is_some(), crate::version("jaq").is_some());
    let hubble = std::env::var("HUBBLE").ok().filter(|h| !h.is_empty());
    println!("\nRecording of {mb:.0} MB, whole processes, page cache warm; MB/s are those of the unpacked recording\n");
    println!("{:<26} {:<8} {:>8} {:>9} {:>8} {:>9} {:>8}  goal", "case", "tool", "wall s", "MB/s", "cpu s", "anon MB", "vs rg");
    for case in CASES {
        let input = if case.zst { &packed } else { file };
        let path = input.to_string_lossy().into_owned();
        let with = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).chain([path.clone()]).collect::<Vec<_>>();
        let mut observe = vec!["observe"];
        observe.extend_from_slice(case.flowhy);
        observe.push("--input-file");
        let theirs = (rg && !case.rg.is_empty()).then(|| median("rg", &with(case.rg), 5));
        let ours = median(FLOWHY, &with(&observe), 5);
        let (met, goal) = judge(case, &ours, theirs.as_ref(), mb);
        let ratio = |r: &Run| theirs.map_or_else(|| "-".to_owned(), |t| format!("{:.1}", r.wall / t.wall));
        let row = |tool: &str, r: &Run, goal: &str| {
            let (speed, anon) = (mb / r.wall, r.anon as f64 / 1e6);
            println!("{:<26} {tool:<8} {:>8.3} {speed:>9.0} {:>8.2} {anon:>9.0} {:>8}  {goal}", case.name, r.wall, r.cpu, ratio(r));
        };
        row("flowhy", &ours, &format!("{goal}: {}", if met { "met" } else { "MISSED" }));
        if let Some(t) = &theirs {
            row("rg", t, "");
        }
        if !case.jq.is_empty() {
            for tool in [("jq", jq), ("jaq", jaq)].into_iter().filter(|(_, there)| *there).map(|(t, _)| t) {
                row(tool, &median(tool, &with(&["-c", case.jq]), 1), "");
            }
        }
        if let Some(hubble) = &hubble
            && !case.zst
        {
            row("hubble", &median(hubble, &with(&observe), 1), "");
        }
    }
}

fn judge(case: &Case, ours: &Run, rg: Option<&Run>, mb: f64) -> (bool, String) {
    let lean = ours.anon < MOST_ANON;
    match (&case.goal, rg) {
        (Goal::TimesRg(n), Some(rg)) => (lean && ours.wall <= n * rg.wall, format!("≤ {n} × rg, < 200 MB")),
        (Goal::MbPerSecond(n), _) => (lean && mb / ours.wall >= *n, format!("≥ {n} MB/s, < 200 MB")),
        _ => (lean, "< 200 MB".to_owned()),
    }
}

/// The recording, compressed once by flowhy's own library.
fn packed(file: &Path) -> PathBuf {
    let path = file.with_extension("jsonl.zst");
    let made = |p: &Path| std::fs::metadata(p).and_then(|m| m.modified()).ok();
    if made(&path).is_none_or(|t| made(file).is_none_or(|f| t < f)) {
        let (from, to) = (std::fs::File::open(file).unwrap(), std::fs::File::create(&path).unwrap());
        zstd::stream::copy_encode(from, to, 3).unwrap();
    }
    // `rg -z` asks the tool zstd, where there is one.
    if Command::new("zstd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("zstd: not installed, so rg cannot read the .zst");
    }
    path
}
