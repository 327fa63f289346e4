//! The real binary in a real terminal, driven and read as a person would: what is seen, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test says what broke by panicking")]
#![cfg(unix)]
#[path = "live/api/mod.rs"]
mod api;
#[path = "pty/edits.rs"]
mod edits;
#[path = "pty/kit.rs"]
mod kit;
#[path = "pty/lost.rs"]
mod lost;
#[path = "pty/scenes.rs"]
mod scenes;
#[path = "pty/server.rs"]
mod server;
#[path = "pty/soak.rs"]
mod soak;
#[path = "pty/stories.rs"]
mod stories;
#[path = "pty/tapes.rs"]
mod tapes;

use kit::{FLOWS, POLICIES, Tui, limit};
use portable_pty::CommandBuilder;
use server::Observer;
use std::time::{Duration, Instant};

/// A second is what is promised of the build that people run. Unoptimised it took from 0.07 s to 1.7 s
/// on two cores that built at the same time, the latter when the program had to come from the disk.
const FIRST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 });

#[test]
fn the_first_picture_comes_within_a_second_and_q_leaves_a_clean_terminal() {
    let begin = Instant::now();
    let mut t = Tui::start(&["replay", FLOWS, "--policies", POLICIES], &[]);
    t.wait_text("VERDICT");
    println!("first picture after {:?}", begin.elapsed());
    assert!(begin.elapsed() < FIRST, "{:?}", begin.elapsed());
    t.wait_text("17 flows");
    assert!(t.screen(|s| s.alternate_screen()));
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn without_a_server_the_first_picture_says_so() {
    let begin = Instant::now();
    let mut t = Tui::start(&["--server", "127.0.0.1:1"], &[]);
    t.wait_text("cannot reach 127.0.0.1:1");
    t.wait_text("refused");
    t.wait_text("again in");
    assert!(begin.elapsed() < FIRST, "{:?}", begin.elapsed());
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
fn a_terminal_that_hangs_up_is_left() {
    let t = Tui::replay(&[]);
    t.signal("HUP");
    t.gone();
}

#[test]
fn a_terminal_that_is_gone_is_left_without_a_panic() {
    let pair = portable_pty::native_pty_system().openpty(kit::size(80, 24)).unwrap();
    let mut cmd = CommandBuilder::new(env!("CARGO_BIN_EXE_flowhy"));
    cmd.args(["replay", FLOWS]);
    cmd.env("TERM", "xterm-256color");
    cmd.env("FLOWHY_NO_HISTORY", "true");
    let mut child = pair.slave.spawn_command(cmd).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    until(&mut reader, "17 flows");
    drop((reader, pair.master));
    let status = ended(&mut *child);
    // The signal comes first, or the picture that cannot be drawn.
    assert!(status.exit_code() <= 1, "{status:?}");
}

#[test]
fn a_click_is_read_between_keys() {
    let mut t = Tui::replay(&[]);
    t.keys("j\x1b[<0;14;3M\x1b[<0;14;3m");
    t.wait_text("flows stand in the order of time");
    t.keys("+");
    t.wait_text("/ from.");
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn flows_come_through_a_pipe_while_keys_come_from_the_terminal() {
    let mut cmd = CommandBuilder::new("/bin/bash");
    cmd.args(["-c", &format!("cat {FLOWS} | {} - --policies {POLICIES}", env!("CARGO_BIN_EXE_flowhy"))]);
    let mut t = Tui::run(cmd, &[]);
    t.wait_text("17 flows");
    t.keys("/port:5433\r");
    t.wait_text("3 of 17");
    t.resize(120, 36);
    t.wait_text("NODE");
    t.keys("\r");
    t.wait_text("port: 5432");
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn a_server_that_dies_and_returns_leaves_no_gap_on_the_screen_and_no_flow_twice() {
    let mut o = Observer::start();
    ["one", "two"].into_iter().for_each(|pod| o.named(pod));
    let mut t = Tui::start(&["--server", &o.running.address], &[]);
    t.wait_text("2 flows");
    o.dies();
    t.wait_text("down, retry in");
    // What happens while nobody can be asked.
    ["three", "four", "five"].into_iter().for_each(|pod| o.named(pod));
    o.returns();
    t.wait_text("5 flows");
    o.named("six");
    t.wait_text("6 flows");
    t.keys("8");
    t.wait_text("every flow is asked for");
    t.keys("1");
    t.wait("each of them once, none lost, no trouble any more", |s| {
        let text = s.contents();
        let once = |pod: &str| text.matches(&format!("/{pod} ")).count() == 1;
        ["one", "two", "three", "four", "five", "six"].into_iter().all(once) && text.contains("0 lost") && !text.contains("down")
    });
    t.keys("\x03");
    assert!(t.gone().success());
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

/// The terminal goes away while the shell has it: what could not be taken back is said, and nobody waits for keys.
#[test]
fn a_terminal_that_cannot_be_taken_back_after_a_stop_is_an_error() {
    let pair = portable_pty::native_pty_system().openpty(kit::size(80, 24)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("stderr");
    let mut cmd = CommandBuilder::new("/bin/sh");
    cmd.args(["-c", &format!("exec {} replay {FLOWS} 2>{}", env!("CARGO_BIN_EXE_flowhy"), said.display())]);
    cmd.env("TERM", "xterm-256color");
    cmd.env("FLOWHY_NO_HISTORY", "true");
    let mut child = pair.slave.spawn_command(cmd).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    until(&mut reader, "17 flows");
    let pid = child.process_id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TSTP", &pid]).status().unwrap().success());
    let state = || {
        let out = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    let end = Instant::now() + limit();
    while !state().starts_with('T') {
        assert!(Instant::now() < end, "it did not stop: {}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
    // The hangup wakes it too.
    drop((reader, pair.master));
    let status = ended(&mut *child);
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(!status.success() && said.contains("error: cannot take the terminal back"), "{status:?}: {said}");
}

/// Reads what is drawn until a text stands there.
fn until(reader: &mut dyn std::io::Read, text: &str) {
    let mut parser = vt100::Parser::new(kit::lines(24), kit::lines(80), 0);
    let mut buf = [0; 8192];
    while !parser.screen().contents().contains(text) {
        let n = reader.read(&mut buf).unwrap();
        assert!(n > 0, "{}", parser.screen().contents());
        parser.process(&buf[..n]);
    }
}

fn ended(child: &mut dyn portable_pty::Child) -> portable_pty::ExitStatus {
    let end = Instant::now() + limit();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "it stayed");
        std::thread::sleep(Duration::from_millis(10));
    }
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

/// The first line that has a text, and the column where it stands there.
fn place(t: &Tui, text: &str) -> (u16, u16) {
    let cells = |y: u16| {
        (0..80).filter_map(move |x| t.screen(|s| s.cell(y, x).filter(|c| !c.is_wide_continuation()).map(|c| (x, c.contents().to_owned()))))
    };
    for y in 0..24 {
        let row: Vec<(u16, String)> = cells(y).map(|(x, c)| (x, if c.is_empty() { " ".to_owned() } else { c })).collect();
        for (i, (x, _)) in row.iter().enumerate() {
            if row[i..].iter().map(|c| c.1.as_str()).collect::<String>().starts_with(text) {
                return (y, *x);
            }
        }
    }
    panic!("no {text:?} in\n{}", t.screen(vt100::Screen::contents));
}

#[test]
fn wide_characters_push_nothing_out_of_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = scenes::Lines::on("2026-04-13");
    let (orders, plain) = (scenes::pod("shop", "注文サービス", 20), scenes::pod("shop", "cart", 21));
    lines.packet(0, false, "INGRESS", (&plain, &orders), ("TCP", 80), "");
    lines.packet(10, false, "INGRESS", (&orders, &plain), ("TCP", 80), "");
    let file = dir.path().join("wide.jsonl");
    lines.write(&file);
    let mut t = Tui::start(&["replay", file.to_str().unwrap()], &[]);
    t.wait_text("2 flows");
    t.wait_text("注文");
    let head = place(&t, "VERDICT").1;
    let (first, _) = place(&t, "tcp 80");
    for y in [first, first + 1] {
        let verdict = t.screen(|s| s.cell(y, head).map(|c| c.contents().to_owned()));
        assert_eq!(verdict.as_deref(), Some("✓"), "{}", t.screen(vt100::Screen::contents));
    }
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn whoever_reads_one_line_of_a_stream_and_leaves_is_no_error() {
    let o = Observer::start();
    o.flow("first");
    let script = format!("{} {} | head -1; echo \"exit ${{PIPESTATUS[0]}}\"", env!("CARGO_BIN_EXE_flowhy"), o.args().join(" "));
    let mut child =
        std::process::Command::new("/bin/bash").args(["-c", &script]).stdout(std::process::Stdio::piped()).spawn().expect("bash is there");
    let end = Instant::now() + limit();
    while child.try_wait().unwrap().is_none() {
        // The pipe is found broken when there is something to write.
        o.flow("further");
        assert!(Instant::now() < end, "it did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut out = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    assert!(out.starts_with("{\"flow\":") && out.ends_with("exit 0\n"), "{out}");
}
