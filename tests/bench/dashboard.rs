//! The screen with a million flows: what a picture costs, a new filter, the memory; and the program in a terminal under fifty thousand
//! flows a second, and with nothing to do.
#[path = "../pty/kit.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod kit;

use crate::measure::own_time;
use flowhy::demo::{self, Simulation};
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{Change, Codec, Frame, Input};
use flowhy::model::time::Nanos;
use flowhy::tui::{self, App, key};
use flowhy::world::yaml;
use kit::{Demo, Tui};
use prost::Message as _;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const HELD: u64 = 1_000_000;
const RATE: &str = "50000";
/// Seconds under load; `FLOWHY_BENCH_LOAD` sets another number.
const LOAD: u64 = 60;
/// Of the flows that are due so many have to come at least.
const COME: f64 = 0.95;
const IDLE: Duration = Duration::from_secs(20);

/// Whether any goal was missed so far.
static MISSED: AtomicBool = AtomicBool::new(false);

fn verdict(met: bool) -> &'static str {
    MISSED.fetch_or(!met, Ordering::Relaxed);
    if met { "met" } else { "MISSED" }
}

/// Filters, and whether the demo has flows that pass.
const FILTERS: [(&str, bool); 7] = [
    ("port:6379", true),
    ("ns:shop", true),
    ("verdict:dropped", true),
    ("ns:shop port:50051 verdict:forwarded", true),
    ("workload:shippingservice", true),
    ("http.status:5xx", true),
    ("port:5432", false),
];

/// Filters are measured so often, and the least stands in the table: whatever else the machine does only adds to it.
const ROUNDS: usize = 5;

/// Prints the tables; `part` is one of them, or none for all. Returns whether every goal was met.
pub fn run(part: Option<&str>) -> bool {
    let all: [(&str, fn()); 3] = [("held", held), ("load", load), ("idle", idle)];
    all.into_iter().filter(|(name, _)| part.is_none_or(|p| p == *name)).for_each(|(_, f)| f());
    !MISSED.load(Ordering::Relaxed)
}

fn held() {
    println!("\nDashboard: {HELD} flows held, 200×60; time of one core\n");
    let run = Options {
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        fold: Some(flowhy::engine::Fold::Latest),
        tally: true,
        ..Options::default()
    };
    let mut engine = Engine::new(run);
    for (file, text) in demo::manifests() {
        yaml::read(file, text).0.into_iter().for_each(|d| engine.give(Change::Apply(Arc::new(d))));
    }
    engine.policies_given();
    let mut app = App::new(engine, tui::Options { depth: tui::Depth::True, title: "bench".to_owned(), ..tui::Options::default() });
    let mut simulation = Simulation::new(1, Nanos::from_parts(1_800_000_000, 0));
    let from: Arc<str> = Arc::from("demo");
    let mut feeding = Duration::ZERO;
    for _ in 0..HELD / 1_000 {
        let next = |_| {
            Input::Frame(Frame {
                codec: Codec::Hubble,
                from: from.clone(),
                line: 0,
                bytes: simulation.next().1.encode_to_vec().into(),
                broken: None,
            })
        };
        let block: Vec<Input> = (0..1_000).map(next).collect();
        let begin = own_time();
        block.into_iter().for_each(|i| app.take(i, &mut |_, _| {}));
        feeding += own_time() - begin;
    }
    let each = feeding.as_secs_f64() * 1e6 / HELD as f64;
    println!("{:<40} {each:>9.2} µs", "taking in a flow");
    let rss = resident(std::process::id());
    println!("{:<40} {:>9.1} MB  goal < 350 MB: {}", "memory of the whole bench", mb(rss), verdict(rss < 350 << 20));
    let without = app.engine.ledger().raw_evicted;
    println!("{:<40} {without:>9}     goal 0: {}", "flows held without their detail", verdict(without == 0));
    let mut t = Terminal::new(TestBackend::new(200, 60)).unwrap();
    t.draw(|f| app.draw(f)).unwrap();
    for (name, keys) in [
        ("flows", "1"),
        ("flows, at the oldest", "1g"),
        ("drops", "2"),
        ("map", "3"),
        ("matrix", "4"),
        ("stats", "5"),
        ("timeline", "6"),
        ("policies", "7"),
        ("ledger", "8"),
        ("admitted", "9"),
        ("why", "1n<cr>"),
        ("describe", "1d"),
        ("help", "1?"),
    ] {
        for k in key::parse(keys) {
            app.key(k);
            t.draw(|f| app.draw(f)).unwrap();
        }
        app.scan(&mut || true);
        let mut times: Vec<Duration> = (0..21)
            .map(|_| {
                let begin = own_time();
                t.draw(|f| app.draw(f)).unwrap();
                own_time() - begin
            })
            .collect();
        times.sort();
        let (middle, worst) = (times[10], times[20]);
        println!(
            "{:<40} {:>9.2} ms  worst {:.2} ms  goal < 4 ms: {}",
            format!("a picture of {name}"),
            ms(middle),
            ms(worst),
            verdict(ms(middle) < 4.0)
        );
        key::parse("<esc><esc><esc>").into_iter().for_each(|k| app.key(k));
    }
    for (filter, hits_some) in FILTERS {
        let round = |app: &mut App, t: &mut Terminal<TestBackend>| {
            key::parse("1/<c-u>").into_iter().for_each(|k| app.key(k));
            let begin = own_time();
            app.paste(filter);
            t.draw(|f| app.draw(f)).unwrap();
            let first = own_time() - begin;
            app.scan(&mut || true);
            let times = (own_time() - begin, first, app.hits());
            key::parse("<esc>").into_iter().for_each(|k| app.key(k));
            times
        };
        let (all, first, hits) = (0..ROUNDS).map(|_| round(&mut app, &mut t)).min().unwrap();
        assert_eq!(hits > 0, hits_some, "{filter} finds {hits} flows: it measures something else");
        println!(
            "{:<40} {:>9.2} ms  its first picture {:.2} ms, {} hits  goal < 25 ms: {}",
            format!("filter {filter}"),
            ms(all),
            ms(first),
            hits,
            verdict(ms(all) < 25.0)
        );
    }
}

/// A key to be seen on the screen, as often as that.
fn keys(t: &mut Tui, until: Instant) -> Vec<Duration> {
    let mut out = Vec::new();
    while Instant::now() < until {
        for (key, seen) in [("?", "keys on"), ("\x1b", "drops by cause")] {
            let begin = Instant::now();
            t.keys(key);
            while !t.screen(|s| s.contents().contains(seen)) && begin.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_micros(300));
            }
            out.push(begin.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    out.sort();
    out
}

fn load() {
    let seconds = std::env::var("FLOWHY_BENCH_LOAD").ok().and_then(|s| s.parse().ok()).unwrap_or(LOAD);
    println!("\nDashboard in a terminal: {RATE} flows a second for {seconds} s, from a server in another process\n");
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), RATE);
    let mut t = Tui::start(&["--server", &demo.address], &[("HOME", &dir.path().to_string_lossy())]);
    t.wait_text("drops by cause");
    let (before_all, _) = frames(&mut t);
    let (pid, begin) = (t.child.process_id().unwrap(), Instant::now());
    let before = cpu(pid);
    let times = keys(&mut t, begin + Duration::from_secs(seconds));
    let used = (cpu(pid) - before) / begin.elapsed().as_secs_f64();
    let at = |share: usize| ms(times[(times.len() * share / 100).min(times.len() - 1)]);
    println!(
        "{:<40} {:>9.1} ms  middle {:.1} ms, {} keys  goal < 50 ms: {}",
        "a key, 99 of 100",
        at(99),
        at(50),
        times.len(),
        verdict(at(99) < 50.0)
    );
    println!("{:<40} {:>9.2} cores  goal ≤ 1: {}", "processor", used, verdict(used <= 1.0));
    println!("{:<40} {:>9.1} MB", "memory", mb(resident(pid)));
    let (come, ledger) = frames(&mut t);
    // A stream that is slower than it says would make every other figure worth nothing.
    let due = RATE.parse::<f64>().unwrap() * begin.elapsed().as_secs_f64();
    let share = (come - before_all) / due;
    println!(
        "{:<40} {:>9.0} %   goal ≥ {:.0} %: {}",
        "flows that came, of those that were due",
        share * 1e2,
        COME * 1e2,
        verdict(share >= COME)
    );
    println!(
        "{:<40} {:>9}     goal: {}",
        "nothing lost by a slow reader",
        "",
        verdict(ledger.contains("it balances") && !ledger.contains("HUBBLE_RING_BUFFER"))
    );
    t.keys("\x03");
}

fn idle() {
    println!("\nDashboard with nothing to do, for {} s\n", IDLE.as_secs());
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), "0.001");
    let mut t = Tui::start(&["--server", &demo.address], &[("HOME", &dir.path().to_string_lossy())]);
    t.wait_text("drops by cause");
    let pid = t.child.process_id().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu(pid);
    std::thread::sleep(IDLE);
    let used = (cpu(pid) - before) / IDLE.as_secs_f64() * 100.0;
    println!("{:<40} {used:>9.2} %   goal < 1 %: {}", "processor", verdict(used < 1.0));
    t.keys("\x03");
}

/// How many frames have come so far, and the ledger that says so; the screen is as before.
fn frames(t: &mut Tui) -> (f64, String) {
    t.keys("8");
    t.wait_text("where every frame went");
    let ledger = t.screen(vt100::Screen::contents);
    let line = ledger.lines().find_map(|l| l.trim_start().strip_prefix("frames")).unwrap_or_default();
    // Thousands are set apart by one blank, figures by more.
    let figure = line.trim_start().split("  ").next().unwrap_or_default();
    let come = figure.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0.0);
    t.keys("1");
    t.wait_text("drops by cause");
    (come, ledger)
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

#[allow(clippy::cast_precision_loss, reason = "a figure for a table")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Bytes of a process's memory; 0 where the system does not tell.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Seconds of processor time of a process so far, all its threads together.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
