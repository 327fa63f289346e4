//! The real binary in a real terminal, driven and read as a person would: what is seen, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test says what broke by panicking")]
#![cfg(unix)]
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tui/flows.jsonl");
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tui/policies.yaml");

fn limit() -> Duration {
    let ms = std::env::var("FLOWHY_TEST_WAIT_MS").ok().and_then(|v| v.parse().ok()).unwrap_or(10_000);
    Duration::from_millis(ms)
}

struct Tui {
    parser: Arc<Mutex<vt100::Parser>>,
    /// Everything that was written to the terminal.
    raw: Arc<Mutex<Vec<u8>>>,
    writer: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn lines(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Tui {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut cmd = CommandBuilder::new(env!("CARGO_BIN_EXE_flowhy"));
        cmd.args(args);
        Self::run(cmd, env)
    }

    fn run(mut cmd: CommandBuilder, env: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        let home = std::env::temp_dir();
        cmd.env_clear();
        for (k, v) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")] {
            cmd.env(k, v);
        }
        cmd.env("HOME", &home);
        cmd.cwd(&home);
        env.iter().for_each(|(k, v)| cmd.env(k, v));
        let child = pair.slave.spawn_command(cmd).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(lines(24), lines(80), 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (p, r) = (parser.clone(), raw.clone());
        std::thread::spawn(move || {
            let mut buf = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                p.lock().unwrap().process(&buf[..n]);
                r.lock().unwrap().extend_from_slice(&buf[..n]);
            }
        });
        Self { parser, raw, writer: pair.master.take_writer().unwrap(), master: pair.master, child }
    }

    fn replay(env: &[(&str, &str)]) -> Self {
        let tui = Self::start(&["replay", FLOWS, "--policies", POLICIES], env);
        tui.wait_text("17 flows");
        tui
    }

    fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    fn screen<T>(&self, f: impl FnOnce(&vt100::Screen) -> T) -> T {
        f(self.parser.lock().unwrap().screen())
    }

    /// Waits for a condition; shows the screen if it does not come.
    fn wait(&self, what: &str, ok: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + limit();
        while !self.screen(&ok) {
            if Instant::now() > end {
                panic!("waited for {what}; the screen was\n{}", self.screen(vt100::Screen::contents));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_text(&self, text: &str) {
        self.wait(text, |s| s.contents().contains(text));
    }

    fn resize(&self, cols: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(lines(rows), lines(cols));
        self.master.resize(size(cols, rows)).unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end, and for a terminal as it was before.
    fn gone(mut self) -> ExitStatus {
        self.wait("the alternate screen to be left", |s| !s.alternate_screen() && !s.hide_cursor() && !s.bracketed_paste());
        let end = Instant::now() + limit();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(self.cooked(), "raw mode is off again");
                return status;
            }
            assert!(Instant::now() < end, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the terminal echoes and reads lines, as a shell left it.
    fn cooked(&self) -> bool {
        let t = self.master.get_termios().unwrap();
        let flags = format!("{:?}", t.local_flags);
        flags.contains("ECHO") && flags.contains("ICANON")
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_first_picture_comes_within_a_second_and_q_leaves_a_clean_terminal() {
    let begin = Instant::now();
    let mut t = Tui::start(&["replay", FLOWS, "--policies", POLICIES], &[]);
    t.wait_text("VERDICT");
    // Four times a second's worth on a machine that builds and tests at the same time.
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    t.wait_text("17 flows");
    assert!(t.screen(|s| s.alternate_screen()));
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn without_a_server_the_first_picture_says_so() {
    let mut t = Tui::start(&["--server", "127.0.0.1:1"], &[]);
    t.wait_text("cannot reach 127.0.0.1:1");
    t.wait_text("refused");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn filter_live_wrong_filter_and_escape() {
    let mut t = Tui::replay(&[]);
    t.keys("/port:5433");
    t.wait_text("3 of 17");
    t.keys("\x15prt:1");
    t.wait_text("unknown field");
    t.keys("\x1b");
    t.wait_text("17 flows");
    t.keys("/port:5433\r");
    t.wait_text("3 of 17");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn three_keys_to_the_policy_and_its_line() {
    let mut t = Tui::replay(&[]);
    t.keys("/port:5433\r");
    t.wait_text("3 of 17");
    t.keys("\r");
    t.wait_text("db-ingress");
    t.wait_text("port: 5432");
    t.keys("\x1b");
    t.wait_text("VERDICT");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn resize_to_the_least_terminal_and_back() {
    let mut t = Tui::replay(&[]);
    t.resize(40, 10);
    t.wait_text("FLOW");
    t.resize(20, 5);
    t.wait_text("too small");
    t.resize(120, 36);
    t.wait_text("NODE");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn control_c_quits_from_the_prompt() {
    let mut t = Tui::replay(&[]);
    t.keys("/ns:sh");
    t.wait_text("Esc restore");
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let t = Tui::replay(&[]);
    t.signal("TERM");
    t.gone();
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_afterwards() {
    let t = Tui::start(&["replay", FLOWS], &[("FLOWHY_TEST_PANIC", "1")]);
    t.wait_text("FLOWHY_TEST_PANIC");
    let raw = t.raw.clone();
    assert!(!t.gone().success());
    let raw = String::from_utf8_lossy(&raw.lock().unwrap()).into_owned();
    let left = raw.find("\x1b[?1049l").unwrap();
    assert!(raw[left..].contains("panicked"), "the message comes after the alternate screen is left");
}

#[test]
fn suspended_to_a_shell_and_back() {
    let mut cmd = CommandBuilder::new("/bin/bash");
    cmd.args(["--norc", "--noprofile", "-i"]);
    let mut t = Tui::run(cmd, &[("PS1", "ready> ")]);
    t.wait_text("ready>");
    t.keys(&format!("{} replay {FLOWS}\r", env!("CARGO_BIN_EXE_flowhy")));
    t.wait_text("17 flows");
    t.keys("\x1a");
    t.wait("the shell", |s| !s.alternate_screen() && s.contents().trim_end().ends_with("ready>"));
    t.keys("echo in-$((40+2))\r");
    t.wait_text("in-42");
    t.keys("fg\r");
    t.wait("the screen again", |s| s.alternate_screen() && s.contents().contains("17 flows"));
    t.keys("\x0c/port:5433");
    t.wait_text("3 of 17");
    t.keys("\x1b");
    t.wait_text("17 flows");
    t.keys("q");
    t.wait("the shell", |s| !s.alternate_screen());
    t.keys("exit\r");
}

#[test]
fn no_color_has_no_coloured_cell() {
    let colours = |t: &Tui| {
        t.screen(|s| {
            let cells = (0..24).flat_map(|y| (0..80).map(move |x| (y, x)));
            cells
                .filter_map(|(y, x)| s.cell(y, x))
                .filter(|c| c.fgcolor() != vt100::Color::Default || c.bgcolor() != vt100::Color::Default)
                .count()
        })
    };
    let mut t = Tui::replay(&[("NO_COLOR", "1")]);
    assert_eq!(colours(&t), 0);
    t.keys("q");
    t.gone();
    let mut t = Tui::replay(&[]);
    assert!(colours(&t) > 5);
    t.keys("q");
    t.gone();
}

#[test]
fn a_paste_goes_into_the_filter_only() {
    let mut t = Tui::replay(&[]);
    t.keys("\x1b[200~qqqqq\x1b[201~");
    t.wait_text("press / first");
    t.keys("/");
    t.keys(&format!("\x1b[200~port:5433 {}\x1b[201~", "x".repeat(10_000)));
    t.wait_text("0 of 17");
    t.keys("\x15\x1b");
    t.wait_text("17 flows");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn the_demo_shows_explained_drops() {
    let mut t = Tui::start(&["demo"], &[]);
    t.wait_text("drops by cause");
    t.keys("n\r");
    t.wait_text("› why");
    t.keys("\x03");
    assert!(t.gone().success());
}
