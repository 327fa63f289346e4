//! Recordings: what is recorded is replayed with the same counts and the same explanations, by whatever way one gets there; rings, rotated
//! sets, several files; a kill, a full disk; names replaced.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it does"
)]
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "record/change.rs"]
mod change;
#[path = "record/clusters.rs"]
mod clusters;
#[path = "record/files.rs"]
mod files;
#[path = "record/ids.rs"]
mod ids;
#[path = "record/managed.rs"]
mod managed;
#[path = "record/names.rs"]
mod names;
#[path = "record/others.rs"]
mod others;
#[path = "record/retina.rs"]
mod retina;
#[path = "record/runs.rs"]
mod runs;
#[path = "record/saved.rs"]
mod saved;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo");
const LONG: Duration = Duration::from_secs(60);

fn flowhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowhy")).args(args).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fine(args: &[&str]) -> String {
    let o = flowhy(args);
    assert!(o.status.success(), "{args:?}: {}", text(&o.stderr));
    text(&o.stdout)
}

fn demo(count: u32) -> String {
    let count = count.to_string();
    fine(&["demo", "--headless", "--seed", "7", "--count", &count, "--rate", "max", "--start", "2026-01-31T14:00:00Z", "-o", "jsonpb"])
}

/// A folder with `in.jsonl`: so many records of the demo.
struct Place(tempfile::TempDir);

impl Place {
    fn new(count: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("in.jsonl"), demo(count)).unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap()
    }

    fn files(&self, begin: &str) -> Vec<PathBuf> {
        let mut all: Vec<_> = std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
        all.retain(|p| p.file_name().unwrap().to_string_lossy().starts_with(begin));
        all.sort();
        all
    }

    fn observed(&self, name: &str) -> String {
        fine(&["observe", "--from", &self.at(name), "-o", "jsonpb"])
    }

    fn why(&self, name: &str, policies: bool) -> String {
        let (file, mut more) = (self.at(name), Vec::new());
        if policies {
            more.extend(["--policies", DEMO]);
        }
        fine(&[&["observe", "-q", "--from", &file, "--why", "-o", "json", "drop:any"], &more[..]].concat())
    }
}

#[test]
fn a_recording_holds_the_same_bytes_and_explains_without_the_manifests() {
    let p = Place::new(3_000);
    let why = p.why("in.jsonl", true);
    assert!(why.lines().count() > 100 && why.contains("\"outcome\":\"default-deny\""));
    for name in ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"] {
        let o = flowhy(&["record", &p.at(name), "--from", &p.at("in.jsonl"), "--policies", DEMO]);
        assert!(o.status.success() && text(&o.stderr).contains("recorded 3 000 flows"), "{}", text(&o.stderr));
        assert!(p.observed(name) == p.read("in.jsonl"), "{name}: other flows");
        assert!(p.why(name, false) == why, "{name}: other explanations");
        // A recording of a recording is one, too.
        let again = format!("again.{name}");
        fine(&["record", "-q", &p.at(&again), "--from", &p.at(name)]);
        assert!(p.why(&again, false) == why, "{again}: other explanations");
    }
    assert!(p.at("out.jsonl.zst").len() < p.read("in.jsonl").len() / 4);
}

#[test]
fn events_of_agents_are_kept_as_they_are_and_passed_over_by_who_wants_flows() {
    let p = Place::new(100);
    let agent = r#"{"agent_event":{"type":"AGENT_STARTED","agent_start":{"time":"2026-01-31T14:00:00.5Z"}},"node_name":"n1","time":"2026-01-31T14:00:00.500Z"}"#;
    let debug =
        r#"{"debug_event":{"type":"DBG_CT_VERDICT","message":"CT verdict: New"},"node_name":"n1","time":"2026-01-31T14:00:00.600Z"}"#;
    let flows = p.read("in.jsonl");
    let (first, rest) = flows.split_once('\n').unwrap();
    std::fs::write(p.at("mixed.jsonl"), format!("{first}\n{agent}\n{debug}\n{rest}")).unwrap();
    let o = flowhy(&["record", &p.at("out.jsonl.zst"), "--from", &p.at("mixed.jsonl")]);
    let said = text(&o.stderr);
    assert!(o.status.success() && said.contains("1 events of agents and 1 of their debugging"), "{said}");
    assert!(p.observed("out.jsonl.zst") == flows, "who wants flows passes them over");
    let printed = |sort: &str, file: &str| fine(&["observe", sort, "--from", &p.at(file), "-o", "json"]);
    for sort in ["agent-events", "debug-events"] {
        let all = printed(sort, "out.jsonl.zst");
        assert!(all.lines().count() == 1 && all == printed(sort, "mixed.jsonl"), "{sort}: {all}");
    }
    fine(&["record", "-q", &p.at("plain.jsonl"), "--from", &p.at("mixed.jsonl")]);
    assert!(p.read("plain.jsonl").contains(&format!("{agent}\n{debug}\n")), "as they came");
    // A filter of flows matches none of them, and what cannot be said without names is left out.
    fine(&["record", "-q", &p.at("drops.jsonl"), "--from", &p.at("mixed.jsonl"), "drop:any"]);
    fine(&["record", "-q", &p.at("late.jsonl"), "--from", &p.at("mixed.jsonl"), "--since", "2026-01-31T14:00:00.550Z"]);
    let o = flowhy(&["record", &p.at("red.jsonl"), "--from", &p.at("mixed.jsonl"), "--redact"]);
    assert!(text(&o.stderr).contains("2 could not be written"), "{}", text(&o.stderr));
    let events = |name: &str| p.read(name).lines().filter(|l| l.contains("_event\":{")).count();
    assert_eq!((events("drops.jsonl"), events("late.jsonl"), events("red.jsonl")), (0, 1, 0));
}

#[test]
fn what_was_lost_passes_the_filter_and_is_told_apart_from_flows() {
    let p = Place::new(100);
    let lost = r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"77"},"node_name":"n1","time":"2026-01-31T14:00:01Z"}"#;
    let flows = p.read("in.jsonl");
    let flows: Vec<&str> = flows.lines().filter(|l| l.starts_with("{\"flow\"")).collect();
    let drops = flows.iter().filter(|l| l.contains(r#""verdict":"DROPPED""#)).count();
    std::fs::write(p.at("mixed.jsonl"), format!("{}\n{lost}\n{}\n", flows[..10].join("\n"), flows[10..].join("\n"))).unwrap();
    for (name, more) in [("drops.jsonl", &["drop:any"][..]), ("around.jsonl", &["--on", "drop", "--before", "1ms", "--after", "1ms"])] {
        let o = flowhy(&[&["record", &p.at(name), "--from", &p.at("mixed.jsonl")], more].concat());
        assert!(o.status.success() && text(&o.stderr).contains(", and 1 records of lost events or of nodes,"), "{}", text(&o.stderr));
        assert!(p.read(name).lines().any(|l| l == lost), "{name}");
    }
    assert!(drops > 0 && p.read("drops.jsonl").lines().filter(|l| l.starts_with("{\"flow\"")).count() == drops);
}

#[test]
fn other_readers_find_only_lines_that_they_pass_over() {
    let p = Place::new(200);
    fine(&["record", "-q", &p.at("out.jsonl"), "--from", &p.at("in.jsonl"), "--policies", DEMO]);
    let written = p.read("out.jsonl");
    let (world, flows): (Vec<_>, Vec<_>) = written.lines().partition(|l| l.starts_with("{\"world\":"));
    assert!(world.len() > 10 && flows.join("\n") == p.read("in.jsonl").trim_end());
    assert!(world.iter().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    let o = flowhy(&["observe", "--from", &p.at("out.jsonl"), "-o", "jsonpb", "--last", "1"]);
    assert_eq!((text(&o.stdout).trim_end(), text(&o.stderr).as_str()), (flows[199], ""));
}

#[test]
fn a_file_that_is_there_is_not_overwritten_and_one_without_a_source_is_not_left() {
    let p = Place::new(1);
    let o = flowhy(&["record", &p.at("in.jsonl"), "--from", &p.at("in.jsonl")]);
    assert!(!o.status.success() && text(&o.stderr).contains("the file exists"), "{}", text(&o.stderr));
    let o = flowhy(&["record", &p.at("none"), "--server", "unix:///no/such/socket"]);
    assert_eq!(o.status.code(), Some(3), "{}", text(&o.stderr));
    assert!(p.files("none").is_empty());
}

#[test]
fn rings_and_rotated_sets_are_read_as_one_recording() {
    let p = Place::new(3_000);
    let input = p.read("in.jsonl");
    fine(&["record", "-q", &p.at("set.jsonl.zst"), "--from", &p.at("in.jsonl"), "--policies", DEMO, "--max-size", "96KiB"]);
    let segments = p.files("set.jsonl.zst.");
    assert!(segments.len() > 3, "{segments:?}");
    assert!(p.observed("set.jsonl.zst") == input);
    assert!(p.why("set.jsonl.zst", false) == p.why("in.jsonl", true));
    // As a shell's glob gives them, and one alone: each begins with all that is known.
    let names: Vec<String> = segments.iter().map(|s| s.to_string_lossy().into_owned()).collect();
    let mut args = vec!["observe", "-o", "jsonpb"];
    names.iter().rev().for_each(|n| args.extend(["--from", n]));
    assert!(fine(&args) == input);
    let all = p.why("in.jsonl", true);
    let alone: Vec<String> = segments.iter().map(|s| p.why(s.file_name().unwrap().to_str().unwrap(), false)).collect();
    assert!(alone.iter().all(|a| all.contains(a.as_str())) && alone.concat() == all, "a segment alone explains otherwise");

    let o = flowhy(&["record", &p.at("ring.jsonl"), "--from", &p.at("in.jsonl"), "--ring", "1MiB"]);
    assert!(text(&o.stderr).contains("old segments of the ring are gone"), "{}", text(&o.stderr));
    let size: u64 = p.files("ring.jsonl.").iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20, "{size}");
    let kept = p.observed("ring.jsonl");
    assert!(kept.len() > 500_000 && input.ends_with(&kept));
}

#[test]
fn several_recordings_are_merged_by_time() {
    let p = Place::new(900);
    let input = p.read("in.jsonl");
    let part = |k: usize| input.lines().enumerate().filter(|(n, _)| n / 7 % 3 == k).map(|(_, l)| format!("{l}\n")).collect::<String>();
    let names: Vec<String> = (0..3).map(|k| p.at(&format!("node{k}.jsonl"))).collect();
    names.iter().enumerate().for_each(|(k, n)| std::fs::write(n, part(k)).unwrap());
    let times = |all: &str| -> Vec<_> { all.lines().map(|l| flowhy::wire::clock::time_of(l.as_bytes()).unwrap()).collect() };
    let merged = fine(&["observe", "-o", "jsonpb", "--from", &names[2], "--from", &names[0], "--from", &names[1]]);
    assert_eq!(merged.lines().count(), 900);
    assert!(times(&merged).is_sorted());
}

#[test]
fn only_what_surrounds_drops_is_kept() {
    let p = Place::new(3_000);
    let o = flowhy(&["record", &p.at("on.jsonl"), "--from", &p.at("in.jsonl"), "--on", "drop", "--before", "1ms", "--after", "1ms"]);
    let said = text(&o.stderr);
    let kept = p.observed("on.jsonl");
    let lines = kept.lines().count();
    let left = flowhy::model::words::count(3_000 - lines as u64);
    assert!(said.contains(&format!("; {left} left out, which no drop was near")), "{said}");
    let drops = |s: &str| s.lines().filter(|l| l.contains("\"verdict\":\"DROPPED\"")).count();
    assert_eq!(drops(&kept), drops(&p.read("in.jsonl")));
    assert!(lines < 3_000 && lines > drops(&kept), "{lines}");
}

#[test]
fn replaced_names_give_the_same_verdicts_and_policies() {
    let p = Place::new(3_000);
    fine(&["record", "-q", &p.at("red.jsonl"), "--from", &p.at("in.jsonl"), "--policies", DEMO, "--redact"]);
    let written = p.read("red.jsonl");
    for name in ["emailservice", "checkoutservice", "online-boutique", "bookinfo", "deathstar", "10.244.", "request-landing", "ecb.europa"]
    {
        assert!(!written.contains(name), "{name} is still there");
    }
    // Equal up to the names: whatever is named alike in one is named alike in the other.
    let (old, new) = (p.why("in.jsonl", true), p.why("red.jsonl", false));
    let mut names = std::collections::BTreeMap::new();
    assert_eq!(old.lines().count(), new.lines().count());
    for (old, new) in old.lines().zip(new.lines()) {
        let parse = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["why"].clone();
        let (old, new) = (parse(old), parse(new));
        for key in ["outcome", "direction", "agreement"] {
            assert_eq!(old[key], new[key], "{old}\n{new}");
        }
        assert_eq!(old["nearest"]["rule"], new["nearest"]["rule"], "{old}\n{new}");
        let policies = |w: &serde_json::Value| -> Vec<String> {
            w["policies"]
                .as_array()
                .map(|a| a.iter().map(|p| format!("{} {} {}", p["kind"], p["namespace"], p["name"])).collect())
                .unwrap_or_default()
        };
        let (old, new) = (policies(&old), policies(&new));
        assert_eq!(old.len(), new.len());
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        old.iter().for_each(|o| match names.get(o) {
            Some(n) => known.push(String::clone(n)),
            None => unknown.push(o.clone()),
        });
        assert!(known.iter().all(|k| new.contains(k)), "{old:?} {new:?} {names:?}");
        if let [one] = &unknown[..] {
            names.insert(one.clone(), new.iter().find(|n| !known.contains(n)).unwrap().clone());
        }
    }
    assert!(names.len() > 5, "{names:?}");
}

/// A recorder that reads what it is given through a pipe.
fn piped(file: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .args(["record", "-q", file, "--from", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the recording holds so many bytes of lines.
fn grown(file: &Path, lines: usize) {
    let until = Instant::now() + LONG;
    loop {
        let o = flowhy(&["observe", "-q", "--from", file.to_str().unwrap(), "-o", "jsonpb"]);
        if text(&o.stdout).lines().count() >= lines {
            return;
        }
        assert!(Instant::now() < until, "{}", text(&o.stderr));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was there a second ago is there after a kill, whole; what came since may be there or not, and nothing is garbled.
fn killed(n: u64, name: &str) {
    let p = Place::new(1_500);
    let input = p.read("in.jsonl");
    let lines: Vec<&str> = input.lines().collect();
    let file = p.at(name);
    let mut child = piped(&file);
    let mut pipe = child.stdin.take().unwrap();
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        usize::try_from(x >> 33).unwrap() % below
    };
    let safe = 1 + random(700);
    let more = random(700);
    pipe.write_all(lines[..safe].join("\n").as_bytes()).unwrap();
    pipe.write_all(b"\n").unwrap();
    grown(Path::new(&file), safe);
    pipe.write_all(lines[safe..safe + more].join("\n").as_bytes()).unwrap();
    pipe.flush().unwrap();
    std::thread::sleep(Duration::from_micros(random(1_200_000) as u64));
    child.kill().unwrap();
    child.wait().unwrap();
    let o = flowhy(&["observe", "-q", "--from", &file, "-o", "jsonpb"]);
    let kept = text(&o.stdout);
    assert!(matches!(o.status.code(), Some(0 | 4)), "{n}: {:?} {}", o.status, text(&o.stderr));
    assert!(kept.lines().count() >= safe && input.starts_with(&kept), "{n}: {} of {safe} + {more}", kept.lines().count());
}

#[test]
fn a_kill_loses_the_last_second_at_most() {
    for n in 0..5 {
        killed(n, ["k.jsonl", "k.jsonl.zst", "k.jsonl.gz"][n as usize % 3]);
    }
}

#[test]
#[ignore = "a hundred kills: cargo test --test record -- --ignored"]
fn a_hundred_kills_lose_the_last_second_at_most() {
    for n in 0..100 {
        killed(n, ["k.jsonl", "k.jsonl.zst", "k.jsonl.gz"][n as usize % 3]);
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_recording_with_a_message_and_leaves_it_readable() {
    let p = Place::new(2_000);
    // The shell ignores the signal, so that the write fails as on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 1024; exec {} record {} --from {}",
        env!("CARGO_BIN_EXE_flowhy"),
        p.at("full.jsonl"),
        p.at("in.jsonl")
    );
    let o = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = text(&o.stderr);
    assert_eq!(o.status.code(), Some(1), "{said}");
    assert!(said.contains("ended early") && said.contains("may not grow") && said.contains("can be read"), "{said}");
    let o = flowhy(&["observe", "-q", "--from", &p.at("full.jsonl"), "-o", "jsonpb"]);
    let kept = text(&o.stdout);
    let whole = kept.lines().count();
    assert!(p.read("in.jsonl").starts_with(&kept), "{whole}");
    // The line that found no room is gone, not torn: what was counted is what is there.
    let written = p.read("full.jsonl");
    assert!(whole > 100 && written.len() <= 1 << 20);
    assert!(written.ends_with('\n') && !text(&o.stderr).contains("could not be read"), "{}", text(&o.stderr));
    assert!(written.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    let lost: String = said.split("; ").nth(1).unwrap().chars().take_while(|c| *c != 'o').filter(char::is_ascii_digit).collect();
    assert!((1..=2_000 - whole as u64).contains(&lost.parse().unwrap()), "{said}");
}
