//! The real binary in a real terminal, driven and read as a person would: what is seen, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test says what broke by panicking")]
#![cfg(unix)]
#[path = "live/api/mod.rs"]
mod api;
#[path = "pty/tapes.rs"]
mod tapes;

use flowhy::serve::{self, Ring};
use flowhy::source::Stop;
use flowhy::wire::pb::flow::{Endpoint, Flow, LostEvent};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
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

/// An observer whose ring the test fills: each push is followed by whoever asked with `-f`.
struct Observer {
    ring: Arc<Ring>,
    running: serve::Running,
    runtime: tokio::runtime::Runtime,
}

impl Observer {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ring = Ring::new(1024);
        let service = serve::observer(ring.clone(), Arc::new(serve::ByQuery), serve::About::default());
        let running = runtime.block_on(serve::listen(service, serve::Listen::loopback(), Stop::new())).unwrap();
        Self { ring, running, runtime }
    }

    fn push(&self, what: ResponseTypes) {
        let at = serve::now();
        let (seconds, nanos) = at.parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        self.ring.push(at, &GetFlowsResponse { time, node_name: "k8s1".to_owned(), response_types: Some(what) });
    }

    fn lose(&self, n: u64) {
        self.push(ResponseTypes::LostEvents(LostEvent { source: 2, num_events_lost: n, ..LostEvent::default() }));
    }

    fn flow(&self, uuid: &str) {
        let (seconds, nanos) = serve::now().parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        self.push(ResponseTypes::Flow(Flow { uuid: uuid.to_owned(), time, ..Flow::default() }));
    }

    /// A flow that a screen shows by this name.
    fn named(&self, pod: &str) {
        let (seconds, nanos) = serve::now().parts();
        let end = |pod: &str| Some(Endpoint { namespace: "shop".to_owned(), pod_name: pod.to_owned(), ..Endpoint::default() });
        self.push(ResponseTypes::Flow(Flow {
            uuid: pod.to_owned(),
            time: Some(prost_types::Timestamp { seconds, nanos }),
            verdict: 1,
            source: end(pod),
            destination: end("db"),
            ..Flow::default()
        }));
    }

    /// With the last flow first: when it is printed, what comes is followed.
    fn args(&self) -> [&str; 7] {
        ["observe", "-f", "--last", "1", "--server", &self.running.address, "-ojson"]
    }
}

const LINE: &str = "servers lost ";
const ERASE: &str = "\r\x1b[2K";

#[test]
fn the_line_of_lost_events_is_rewritten_in_place_and_makes_way_for_every_other_line() {
    let o = Observer::start();
    o.flow("before");
    let t = Tui::start(&o.args(), &[]);
    t.wait_text("before");
    // What is on the screen is JSON and that line; a flow's own line is longer than the screen is wide.
    let rows = |s: &vt100::Screen| s.contents().matches(LINE).count();
    o.lose(3);
    t.wait_text("servers lost 3 events");
    o.lose(4);
    t.wait_text("servers lost 7 events");
    assert_eq!(t.screen(rows), 1, "the old line is gone");
    o.flow("between-1");
    t.wait_text("between-1");
    // It makes way, and comes again below.
    t.wait_text("servers lost 7 events");
    o.lose(1);
    t.wait_text("servers lost 8 events");
    o.flow("between-2");
    t.wait_text("between-2");
    t.wait_text("servers lost 8 events");
    assert_eq!(t.screen(rows), 1, "{}", t.screen(vt100::Screen::contents));
    t.signal("INT");
    let raw = t.raw.clone();
    assert!(t.gone().success());
    let raw = String::from_utf8_lossy(&raw.lock().unwrap()).into_owned();
    // Each drawing begins by clearing the line, and the next thing that is written begins by clearing it too.
    let parts: Vec<_> = raw.split(LINE).collect();
    assert!(parts.len() > 4, "{raw:?}");
    for (n, pair) in parts.windows(2).enumerate() {
        let closing = pair[0].ends_with("note: ");
        assert!(closing || pair[0].ends_with("\r\x1b[2K\x1b[?7l"), "drawing {n}: {raw:?}");
        let after = pair[1].split_once("\x1b[?7h").map_or(pair[1], |(_, after)| after);
        assert!(closing || n + 2 == parts.len() || after.starts_with(ERASE), "after drawing {n}: {raw:?}");
    }
    // At the end a line that stays says the same, once.
    assert!(raw.trim_end().rsplit("\r\n").next().unwrap().contains("note: servers lost 8 events"), "{raw:?}");
}

#[test]
fn nothing_of_the_line_of_lost_events_gets_into_a_pipe() {
    let o = Observer::start();
    o.flow("one");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flowhy"));
    command.args(o.args()).env("TERM", "xterm-256color").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut read = String::new();
    let mut until = |word: &str| {
        while !read.contains(word) {
            assert!(std::io::BufRead::read_line(&mut out, &mut read).unwrap() > 0, "{read}");
        }
    };
    until("one");
    o.lose(5);
    o.flow("two");
    until("two");
    o.lose(6);
    o.flow("three");
    until("three");
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!err.contains('\x1b') && !err.contains('\r') && !err.contains("servers lost"), "{err:?}");
    assert!(!read.contains('\x1b') && !read.contains('\r'), "{read:?}");
}

#[test]
fn with_nothing_but_a_kubeconfig_the_screen_shows_the_clusters_flows() {
    let o = Observer::start();
    o.named("before");
    let api = o.runtime.block_on(api::Api::start());
    api.put(
        "apiVersion: v1\nkind: Service\nmetadata: {namespace: kube-system, name: hubble-relay}\n\
         spec: {selector: {k8s-app: hubble-relay}, ports: [{port: 80, targetPort: 4245}]}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {namespace: kube-system, name: relay-1, labels: {k8s-app: hubble-relay}}\nspec: {containers: []}\n\
         status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}\n",
    );
    api.listen("kube-system/relay-1:4245", o.running.address.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(dir.path(), "prod");
    let t = Tui::start(&["-P"], &[("KUBECONFIG", kubeconfig.to_str().unwrap())]);
    t.wait_text("prod › flows");
    t.wait_text("before");
    // The port-forward breaks, and what comes then is seen all the same, once.
    api.cut();
    o.named("after");
    t.wait_text("after");
    assert_eq!(t.screen(|s| s.contents().matches("before").count()), 1, "{}", t.screen(vt100::Screen::contents));
    t.signal("TERM");
    t.gone();
}
