//! A served recording read over gRPC: CPU of the client for each flow, beside `jq -c .` over the same flows as lines.
use crate::FLOWHY;
use crate::measure::{Run, median};
use flowhy::model::time::Nanos;
use flowhy::serve::{self, About, ByQuery, Ring};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json;
use flowhy::wire::note::Notes;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

/// Flows that are served at most.
const MOST: usize = 100_000;

/// Prints the table.
pub fn run(file: &Path) {
    let part = file.with_extension("part.jsonl");
    let ring = Ring::new(MOST.next_power_of_two());
    let mut lines = std::io::BufWriter::new(std::fs::File::create(&part).unwrap());
    let mut flows = 0u32;
    for line in BufReader::new(std::fs::File::open(file).unwrap()).lines().take(MOST) {
        let line = line.unwrap();
        writeln!(lines, "{line}").unwrap();
        let Decoded::Response(r) = json::read_line(line.as_bytes(), &mut Notes::default()).unwrap() else { panic!("{line}") };
        let at = r.time.as_ref().map_or(Nanos::default(), |t| Nanos::from_parts(t.seconds, t.nanos));
        ring.push(at, &r);
        flows += 1;
    }
    drop(lines);
    ring.close();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(serve::loopback(Arc::clone(&ring), Arc::new(ByQuery), About::default())).unwrap();
    println!("\nStream of {flows} flows over loopback; CPU of the client's process\n");
    println!("{:<26} {:<8} {:>8} {:>12} {:>8}  goal", "case", "tool", "cpu s", "µs a flow", "vs jq");
    let args = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let jq = crate::version("jq").map(|_| median("jq", &args(&["-c", ".", &part.to_string_lossy()]), 3));
    let hubble = std::env::var("HUBBLE").ok().filter(|h| !h.is_empty());
    for (format, most) in [("compact", 1.0 / 7.0), ("jsonpb", 2.0 / 5.0)] {
        let observe = args(&["observe", "--server", &server.address, "--all", "-o", format]);
        // A client that gave up early would be the quickest of all.
        let seen = std::process::Command::new(FLOWHY).args(&observe).output().unwrap().stdout;
        assert_eq!(seen.iter().filter(|b| **b == b'\n').count(), flows as usize, "{format}");
        let ours = median(FLOWHY, &observe, 5);
        let row = |tool: &str, r: &Run, goal: &str| {
            let ratio = jq.map_or_else(|| "-".to_owned(), |j| format!("{:.2}", r.cpu / j.cpu));
            println!("{:<26} {tool:<8} {:>8.2} {:>12.2} {ratio:>8}  {goal}", format!("-o {format}"), r.cpu, r.cpu * 1e6 / f64::from(flows));
        };
        let met = jq.map_or("no jq here", |j| if ours.cpu <= most * j.cpu { "met" } else { "MISSED" });
        row("flowhy", &ours, &format!("≤ {most:.2} × jq: {met}"));
        if let Some(j) = &jq {
            row("jq -c .", j, "");
        }
        if let Some(hubble) = &hubble {
            row("hubble", &median(hubble, &observe, 3), "");
        }
    }
    runtime.shutdown_background();
}
