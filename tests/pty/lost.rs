//! The line of lost events on a terminal, and nothing of it in a pipe.
use crate::kit::Tui;
use crate::server::Observer;
use std::io::Read;

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
    t.wait_text("note: servers lost 8 events");
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
