//! What a screen leaves on the disk: the session's ring and `@last`, `:save`, `:record`.
use super::{Observer, Tui, scenes};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home of its own, and a server.
struct Place {
    home: tempfile::TempDir,
    server: Observer,
}

impl Place {
    fn new() -> Self {
        let server = Observer::start();
        server.named("before");
        Self { home: tempfile::tempdir().unwrap(), server }
    }

    fn screen(&self, more: &[&str]) -> Tui {
        let home = self.home.path().to_str().unwrap();
        Tui::start(&[&["--server", &self.server.running.address], more].concat(), &[("HOME", home)])
    }

    /// The pods that the flows of a recording come from.
    fn pods(&self, file: &str) -> Result<Vec<String>, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowhy"));
        let o = command.args(["observe", "--from", file, "-o", "jsonpb"]).env("HOME", self.home.path()).output().unwrap();
        if !o.status.success() {
            return Err(String::from_utf8(o.stderr).unwrap());
        }
        let pod = |l: &str| {
            let line: serde_json::Value = serde_json::from_str(l).unwrap();
            line["flow"]["source"]["pod_name"].as_str().unwrap_or_default().to_owned()
        };
        Ok(String::from_utf8(o.stdout).unwrap().lines().map(pod).collect())
    }

    fn sessions(&self) -> Vec<PathBuf> {
        let folder = self.home.path().join(".local/state/flowhy/sessions");
        let mut all: Vec<_> = std::fs::read_dir(folder).map(|d| d.map(|e| e.unwrap().path()).collect()).unwrap_or_default();
        all.sort();
        all
    }
}

fn leave(mut t: Tui) {
    t.keys("q");
    assert!(t.gone().success());
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn what_the_last_screen_saw_is_replayed_as_last() {
    let p = Place::new();
    assert!(p.pods("@last").unwrap_err().contains("there is no last session"));
    let t = p.screen(&[]);
    t.wait_text("before");
    p.server.named("after");
    t.wait_text("after");
    leave(t);
    assert_eq!(p.pods("@last").unwrap(), ["before", "after"]);
    // It is the user's alone.
    let sessions = p.sessions();
    assert_eq!((sessions.len(), mode(&sessions[0])), (1, 0o700));
    assert_eq!(mode(&sessions[0].join("flows.jsonl.zst.0001")), 0o600);
    // A screen that reaches nobody, and one whose ring is switched off, take nobody's place.
    let t = Tui::start(&["--server", "127.0.0.1:1"], &[("HOME", p.home.path().to_str().unwrap())]);
    t.wait_text("cannot reach");
    leave(t);
    assert_eq!(p.sessions(), sessions);
    // Of the sessions before it the newest one stays.
    for _ in 0..3 {
        let t = p.screen(&[]);
        t.wait_text("after");
        leave(t);
    }
    assert_eq!(p.sessions().len(), 2);
    assert_eq!(p.pods("@last").unwrap(), ["before", "after"]);
}

#[test]
fn a_ring_that_cannot_be_opened_is_told_in_the_ledger() {
    let p = Place::new();
    let home = p.home.path().to_str().unwrap();
    let mut t = Tui::start(&["--server", &p.server.running.address], &[("HOME", home), ("XDG_STATE_HOME", "/dev/null")]);
    t.wait_text("before");
    t.keys("8");
    t.wait_text("what is seen is kept only here: there is no ring of this session");
    // Back to the list; and leaving asks first, for nothing else has what is seen.
    t.keys("qqq");
    assert!(t.gone().success());
}

#[test]
fn what_is_held_is_saved_and_what_comes_is_recorded() {
    let p = Place::new();
    p.server.named("other");
    let mut t = p.screen(&[]);
    t.wait_text("other");
    t.keys("/from.pod:before\r");
    t.wait_text("1 of 2");
    t.keys(":save ~/one.jsonl.gz\r");
    t.wait_text("saved 1 flow");
    let home = |name: &str| p.home.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(p.pods(&home("one.jsonl.gz")).unwrap(), ["before"]);
    // Nothing is overwritten, nothing is written under a wrong name.
    t.keys(":save ~/one.jsonl.gz\r");
    t.wait_text("the file exists");
    t.keys(":save ~/one.jsonl.xz\r");
    t.wait_text("does not write .xz");
    t.keys(":record ~/two.jsonl\r");
    t.wait_text("recording to ~/two.jsonl");
    p.server.named("before");
    t.wait_text("2 of 3");
    t.keys(":record\r");
    t.wait_text("recorded 1 flow");
    assert_eq!(p.pods(&home("two.jsonl")).unwrap(), ["before"]);
    leave(t);
}

#[test]
fn leaving_while_a_file_is_being_saved_finishes_it() {
    let home = tempfile::tempdir().unwrap();
    let big = home.path().join("big.jsonl");
    let line = |n: u32| format!("{{\"flow\":{{\"uuid\":\"{n}\",\"verdict\":\"FORWARDED\"}},\"time\":\"2026-01-31T14:00:00Z\"}}\n");
    std::fs::write(&big, (0..20_000).map(line).collect::<String>()).unwrap();
    let mut t = Tui::start(&["replay", big.to_str().unwrap()], &[("HOME", home.path().to_str().unwrap())]);
    t.wait_text("20 000 flows");
    // Whether it is still being saved when the keys come or not, all of it is there.
    t.keys(":save ~/sv.jsonl\rqq");
    assert!(t.gone().success());
    let saved = std::fs::read_to_string(home.path().join("sv.jsonl")).unwrap();
    // Besides the flows stands what is known of the cluster.
    assert_eq!(saved.lines().filter(|l| l.starts_with("{\"flow\":")).count(), 20_000);
}

#[test]
fn a_time_outside_of_a_recording_leads_to_its_nearest_line() {
    let mut t = Tui::replay(&[]);
    t.keys(":goto 2031-01-01T00:00:00Z\r");
    t.wait_text("the recording ends at ");
    t.wait("its flows", |s| s.contents().contains("16 flows") || s.contents().contains("17 flows"));
    t.keys(":goto 2001-01-01T00:00:00Z\r");
    t.wait_text("1 flow");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn a_slow_replay_says_where_it_ends_and_seeks_the_next_cause_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = scenes::Lines::on("2026-04-13");
    let (cart, db) = (scenes::pod("shop", "cart", 20), scenes::pod("shop", "db", 21));
    for n in 0..300 {
        lines.packet(n * 1_000, n == 200, "INGRESS", (&cart, &db), ("TCP", 5432), "");
    }
    let file = dir.path().join("slow.jsonl");
    lines.write(&file);
    let mut t = Tui::start(&["replay", file.to_str().unwrap(), "--speed", "0.01"], &[]);
    t.wait_text("14:00:00 of 14:04:59");
    t.keys("6n");
    t.wait("the cause under the finger", |s| s.contents().lines().any(|l| l.starts_with(" 14:03:20, ") && l.contains(", 1 dropped ")));
    t.keys("n");
    t.wait_text("no further cause begins until the recording's end");
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn a_step_back_in_a_replay_writes_no_flow_twice_into_what_is_recorded() {
    let home = tempfile::tempdir().unwrap();
    let mut t = Tui::replay(&[("HOME", home.path().to_str().unwrap())]);
    t.keys(":goto 2001-01-01T00:00:00Z\r");
    t.wait_text("1 flow");
    t.keys(":record ~/r.jsonl\r");
    t.wait_text("recording to ~/r.jsonl");
    t.keys(" ");
    t.wait_text("17 flows");
    t.keys(",");
    t.wait_text("going to another time of the replay ended the recording: recorded 1");
    assert!(!t.screen(vt100::Screen::contents).contains(" rec "));
    t.keys(" ");
    t.wait_text("17 flows");
    // There is nothing to be played faster, which is said.
    t.wait_text("read to the end");
    t.keys(">");
    t.wait_text("the recording is at its end; played again: as fast as it can be read");
    leave(t);
    let text = std::fs::read_to_string(home.path().join("r.jsonl")).unwrap();
    let mut flows: Vec<&str> = text.lines().filter(|l| l.contains("\"uuid\"")).collect();
    let all = flows.len();
    flows.sort();
    flows.dedup();
    assert!(all > 10 && flows.len() == all, "{} of {all} are different", flows.len());
}
