//! What becomes of a cause: after a manifest was saved, and while nobody listens. What was not heard is neither quiet nor 0.
use crate::kit::*;
use crate::timeline::{DROPPED, VERDICT, db, like_the_first, save};
use flowhy::model::input::{Change, Input, Link};
use flowhy::source::capture::Capture;
use flowhy::tui::{App, Options};
use std::sync::Arc;

/// A drop of cart on its way to db at 5433.
fn drop_at(clock: &str) -> Input {
    like_the_first(&[("5432", "5433"), DROPPED, VERDICT, ("14:02:09", clock)])
}

fn shown(a: &mut App) -> String {
    text(&picture(a, 80, 24))
}

fn line_of(a: &mut App, part: &str) -> String {
    let t = shown(a);
    t.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("no {part} in {t}")).to_owned()
}

#[test]
fn what_is_still_dropped_after_a_save_is_not_called_fixed() {
    let (old, new) = (db("db", 5432), db("db", 5433));
    let mut a = App::new(bare(), options());
    a.feed(vec![Change::Apply(old.clone()).into(), drop_at("14:02:09"), save(&old, &new)]);
    assert!(shown(&mut a).contains("1 cause would be fixed"), "{}", shown(&mut a));
    press(&mut a, "2", 80, 24);
    let saved = line_of(&mut a, "no rule allows port 5433");
    assert!(saved.contains("fixed ?") && !saved.contains('~'), "{saved}");
    press(&mut a, "<cr>", 80, 24);
    let page = shown(&mut a);
    assert!(page.contains("the saved text already lets all of it pass") && !page.contains("no edit"), "{page}");
    // The save was at 14:03:20. Soon after, the policies from before may still be in force; later they should not be.
    for clock in ["14:03:25", "14:05:00"] {
        a.feed(vec![drop_at(clock)]);
        press(&mut a, "2", 80, 24);
        let after = line_of(&mut a, "no rule allows port 5433");
        assert!(after.contains("still ✗") && !after.contains("fixed") && !after.contains("ongoing"), "{clock}: {after}");
        assert!(shown(&mut a).contains("the saved text lets it pass; dropped since"), "{}", shown(&mut a));
    }
    press(&mut a, "gg<cr>", 80, 24);
    assert!(!shown(&mut a).contains("no flow has shown it yet"), "{}", shown(&mut a));
}

#[test]
fn the_page_of_what_is_dropped_after_a_save_asks_whether_the_text_is_in_force() {
    let (old, new) = (db("db", 5432), db("db", 5433));
    let mut a = App::new(bare(), options());
    a.feed(vec![Change::Apply(old.clone()).into(), drop_at("14:02:09"), save(&old, &new), drop_at("14:03:25")]);
    press(&mut a, "2<cr>", 80, 24);
    assert!(shown(&mut a).contains("not in force?"), "{}", shown(&mut a));
}

/// A live screen that has heard the recording.
fn live(capture: Option<Capture>) -> App {
    let mut a = App::new(engine(), Options { live: true, capture, ..options() });
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    a.feed(lines(FLOWS));
    a
}

fn down() -> Input {
    Input::Link(Link::Down { server: Arc::from("relay:4245"), cause: "gone".to_owned(), hint: None, retry_ms: 2_000 })
}

#[test]
fn while_the_link_is_down_no_cause_is_quiet_and_no_rate_is_zero() {
    let mut a = live(None);
    press(&mut a, "2", 80, 24);
    a.feed(vec![down()]);
    assert!(shown(&mut a).contains("5433"));
    a.tick(60_000);
    let line = line_of(&mut a, "5433");
    assert!(line.contains("unheard") && !line.contains("quiet"), "{line}");
    press(&mut a, "5", 80, 24);
    let (flows, drops) = (line_of(&mut a, "flows/s"), line_of(&mut a, "drops/s"));
    assert!(flows.contains(" — ") && drops.contains(" — ") && flows.contains('▇'), "{flows}\n{drops}");
    // What is missing between is a gap, not a row of zeroes.
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    press(&mut a, "5h", 80, 24);
    a.tick(70_000);
    let flows = line_of(&mut a, "flows/s");
    let bars: String = flows.trim_matches('"').chars().skip(19).take(49).collect();
    // Sixty seconds in 49 columns: of fifty of them nobody heard anything, and then ten passed without a flow.
    assert_eq!(bars, format!("{}{}", "?".repeat(41), "▁".repeat(8)), "{flows}");
    assert!(!flows.contains('—'), "{flows}");
    press(&mut a, "2", 80, 24);
    assert!(line_of(&mut a, "5433").contains("unheard"), "it has been listened for ten seconds only");
    a.tick(95_000);
    assert!(line_of(&mut a, "5433").contains("quiet"), "{}", shown(&mut a));
}

#[test]
fn while_the_link_is_down_nothing_becomes_fixed() {
    let mut a = live(None);
    press(&mut a, "2", 80, 24);
    assert!(line_of(&mut a, "now allowed?").contains("new"));
    a.feed(vec![down()]);
    a.tick(60_000);
    let line = line_of(&mut a, "now allowed?");
    assert!(line.contains("unheard") && !line.contains("fixed"), "{line}");
}

#[test]
fn what_the_capture_leaves_out_is_not_quiet() {
    let mut a = live(Some(Capture::default()));
    press(&mut a, "2:capture port:80<cr>", 80, 24);
    a.tick(60_000);
    let line = line_of(&mut a, "5433");
    assert!(line.contains("unheard") && !line.contains("quiet"), "{line}");
}

/// A live screen on two servers: a drop at 5433 of the first, one at 5434 of the second.
fn of_two() -> App {
    let mut a = App::new(engine(), Options { live: true, ..options() });
    for (server, port) in [("one:4245", "5433"), ("two:4245", "5434")] {
        let server: Arc<str> = Arc::from(server);
        let mut drop = like_the_first(&[("5432", port), DROPPED, VERDICT, ("14:02:09", "14:02:40")]);
        if let Input::Frame(frame) = &mut drop {
            frame.from = server.clone();
        }
        a.feed(vec![Input::Link(Link::Connected { server }), drop]);
    }
    a
}

#[test]
fn one_server_of_two_that_is_down_hides_neither_the_rate_nor_the_silence_of_the_other() {
    let mut a = of_two();
    a.feed(vec![Input::Link(Link::Down { server: Arc::from("one:4245"), cause: "gone".to_owned(), hint: None, retry_ms: 2_000 })]);
    a.tick(60_000);
    press(&mut a, "2", 80, 24);
    let (of_one, of_other) = (line_of(&mut a, "5433"), line_of(&mut a, "5434"));
    assert!(of_one.contains("unheard") && of_other.contains("quiet"), "{of_one}\n{of_other}");
    press(&mut a, "5", 80, 24);
    let (head, flows) = (shown(&mut a), line_of(&mut a, "flows/s"));
    assert!(flows.contains(" 0 ") && !flows.contains('—') && head.contains("1 of 2 servers down"), "{head}");
}

#[test]
fn a_node_that_is_away_sends_nothing_so_its_drops_are_not_quiet() {
    let mut a = of_two();
    let status =
        r#"{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["prod/worker-2"],"message":"refused"},"node_name":"relay"}"#;
    let mut word = lines(status).remove(0);
    if let Input::Frame(frame) = &mut word {
        frame.from = Arc::from("one:4245");
    }
    a.feed(vec![word]);
    a.tick(60_000);
    press(&mut a, "2", 80, 24);
    let (of_one, of_other) = (line_of(&mut a, "5433"), line_of(&mut a, "5434"));
    assert!(of_one.contains("unheard") && of_other.contains("quiet"), "{of_one}\n{of_other}");
}

/// What servers sent before they were asked for less comes for a while yet.
#[test]
fn what_was_underway_when_less_was_asked_for_makes_nothing_quiet() {
    let mut a = live(Some(Capture::default()));
    press(&mut a, "2:capture port:80<cr>", 80, 24);
    a.feed(vec![drop_at("14:02:13")]);
    a.tick(90_000);
    let line = line_of(&mut a, "5433");
    assert!(line.contains("unheard") && !line.contains("quiet"), "{line}");
    // What is asked for is heard, though, and with it that it has ended.
    let mut a = live(Some(Capture::default()));
    press(&mut a, "2:capture port:5433<cr>", 80, 24);
    a.feed(vec![drop_at("14:02:13")]);
    a.tick(90_000);
    let line = line_of(&mut a, "allows port 5433");
    assert!(line.contains("quiet"), "{line}");
}

#[test]
fn a_list_of_causes_that_goes_on_below_says_so() {
    let mut a = App::new(bare(), options());
    let drops = (0..30).map(|n| like_the_first(&[("5432", &format!("{}", 6_000 + n)), DROPPED, VERDICT]));
    a.feed(drops.collect());
    press(&mut a, "2", 80, 24);
    assert!(shown(&mut a).contains("more below"), "{}", shown(&mut a));
    press(&mut a, "G", 80, 24);
    assert!(!shown(&mut a).contains("more below"), "{}", shown(&mut a));
}

#[test]
fn a_window_with_one_slot_says_the_rate_of_that_slot() {
    // A few seconds of flows in a window of slots of a minute, and in one of slots of a second.
    let rate = |keys: &str| {
        let mut a = app(options());
        press(&mut a, keys, 80, 24);
        line_of(&mut a, "flows/s").split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_ne!((rate("5l"), rate("5")), ("0".to_owned(), "0".to_owned()));
    assert_ne!(rate("5l"), "0");
    // However wide it is, the bars go from one end of their room to the other.
    for w in [80, 120, 200] {
        let mut a = app(options());
        press(&mut a, "5", w, 60);
        let t = text(&picture(&mut a, w, 60));
        let flows = t.lines().find(|l| l.contains("flows/s")).unwrap().trim_matches('"');
        let bars: String = flows.chars().skip(19).take(usize::from(w) - 31).collect();
        assert!(bars.chars().all(|c| "▁▂▃▄▅▆▇".contains(c)) && bars.contains('▇'), "{w}: {flows}");
        let rest: String = flows.chars().skip(usize::from(w) - 12).collect();
        assert!(rest.trim_start().starts_with("max ") && rest.starts_with("  "), "{w}: {flows}");
    }
}

#[test]
fn all_lanes_of_a_drop_are_on_its_first_page() {
    let t = play("n<cr>");
    for lane in ["egress", "ingress", "datapath"] {
        assert!(t.lines().any(|l| l.trim_matches(['"', ' ']).starts_with(lane)), "{lane}: {t}");
    }
    assert!(t.contains("our evaluation") && t.contains(" try "), "{t}");
}

#[test]
fn a_filter_by_outcome_that_finds_nothing_says_that_what_passed_is_not_judged() {
    let t = play("/outcome:allowed<cr>");
    assert!(t.contains("no flow matches") && t.contains("flows that passed are not judged") && t.contains("--why=all"), "{t}");
    assert!(!play("/port:1<cr>").contains("--why=all"));
}
