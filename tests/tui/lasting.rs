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
    assert!(flows.contains("          ") && !flows.contains('—'), "{flows}");
    press(&mut a, "2", 80, 24);
    assert!(line_of(&mut a, "5433").contains("unheard"), "it has been listened for ten seconds only");
    a.tick(95_000);
    assert!(line_of(&mut a, "5433").contains("quiet"), "{}", shown(&mut a));
}

#[test]
fn what_the_capture_leaves_out_is_not_quiet() {
    let mut a = live(Some(Capture::default()));
    press(&mut a, "2:capture port:80<cr>", 80, 24);
    a.tick(60_000);
    let line = line_of(&mut a, "5433");
    assert!(line.contains("unheard") && !line.contains("quiet"), "{line}");
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
    let mut a = app(options());
    press(&mut a, "5", 200, 60);
    let t = text(&picture(&mut a, 200, 60));
    let flows = t.lines().find(|l| l.contains("flows/s")).unwrap();
    assert!(flows.contains("▁ max") || flows.contains("▇ max") || !flows.contains("     max"), "{flows}");
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
