//! Recordings that are played: when all of them have ended, how far they go, what they do not cover, and the next cause from any screen.
use crate::kit::*;
use crate::timeline::{DROPPED, VERDICT, bars, like_the_first};
use flowhy::model::input::Input;
use flowhy::source::file::Recording;
use flowhy::source::replay::{Remote, Replay};
use flowhy::source::tape::Tape;
use flowhy::source::{Source, Stop, channel};
use flowhy::tui::{App, Effect, Options};
use std::io::Cursor;

fn shown(a: &mut App) -> String {
    text(&picture(a, 80, 24))
}

/// What a player hands on of these files, played to its end.
fn played(texts: &[String]) -> (Vec<Input>, Remote) {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..texts.len()).map(|i| dir.path().join(format!("{i}.jsonl")).to_string_lossy().into_owned()).collect();
    for (path, text) in paths.iter().zip(texts) {
        std::fs::write(path, text).unwrap();
    }
    let (player, remote) = Replay::new(Tape::open(&paths).unwrap(), f64::INFINITY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = runtime.block_on(async {
        let (feed, mut inbox) = channel(64);
        let task = tokio::spawn(Box::new(player).run(feed, Stop::new()));
        let mut all = Vec::new();
        while let Some(batch) = inbox.recv().await {
            all.extend(batch);
        }
        task.await.unwrap().unwrap();
        all
    });
    (all, remote)
}

/// The recording as it would have been on another hour.
fn at_hour(hour: &str) -> String {
    FLOWS.replace("T14:", &format!("T{hour}:"))
}

#[test]
fn several_files_are_read_to_the_end_when_the_last_of_them_has_ended_not_the_first() {
    let (mut all, remote) = played(&[FLOWS.to_owned(), at_hour("15"), at_hour("16")]);
    let mut a = App::new(engine(), Options { remote: Some(remote), ..options() });
    let mut said = vec![line_1(&mut a)];
    while let Some(end) = all.iter().position(|i| matches!(i, Input::End(..))) {
        a.feed(all.drain(..=end).collect());
        said.push(line_1(&mut a));
    }
    let told = said.iter().map(|l| l.contains("read to the end")).collect::<Vec<_>>();
    assert_eq!(told, [false, false, false, true], "{said:#?}");
    for n in 0..3 {
        assert!(said[n].contains(&format!("reading, {n} of 3 files ended")), "{said:#?}");
    }
}

fn line_1(a: &mut App) -> String {
    a.tick(1_000);
    shown(a).lines().next().unwrap().to_owned()
}

#[test]
fn what_lies_between_two_recordings_is_not_known_and_not_a_time_without_drops() {
    let (all, remote) = played(&[FLOWS.to_owned(), at_hour("15")]);
    let mut a = App::new(engine(), Options { remote: Some(remote), ..options() });
    a.feed(all);
    press(&mut a, "6", 80, 24);
    let t = shown(&mut a);
    for head in [" flows ", " drops "] {
        let bars = bars(&mut a, head);
        let middle: String = bars.chars().skip(3).take(65).collect();
        assert!(middle.chars().all(|c| c == '?') && !bars.starts_with('?') && !bars.ends_with('?'), "{head}: {t}");
    }
    assert!(t.contains("? not known (8)"), "{t}");
    press(&mut a, "8G", 80, 24);
    let t = text(&picture(&mut a, 120, 60));
    assert!(t.contains("no recording covers the time between 2026-04-13 14:02:12 and 15:02:09 UTC"), "{t}");
}

#[test]
fn while_the_end_of_a_recording_is_not_known_the_axis_says_so() {
    let recording = || Recording::reader("t", Box::new(Cursor::new(FLOWS.as_bytes())), false).unwrap();
    let (_player, remote) = Replay::new(Tape::of(vec![recording()]), 4.0);
    let mut a = App::new(engine(), Options { remote: Some(remote), ..options() });
    a.feed(lines(FLOWS)[..4].to_vec());
    press(&mut a, "6", 80, 24);
    assert!(shown(&mut a).contains(", end not known yet"), "{}", shown(&mut a));
    let mut a = app(options());
    press(&mut a, "6", 80, 24);
    assert!(!shown(&mut a).contains("end not known"), "it was read to its end: {}", shown(&mut a));
}

/// A replay at a pace of which one flow was played.
fn paced() -> App {
    let (_player, remote) = Replay::new(Tape::of(Vec::new()), 4.0);
    let mut a = App::new(engine(), Options { remote: Some(remote), ..options() });
    a.feed(vec![like_the_first(&[])]);
    a
}

fn drop_on(port: &str, clock: &str) -> Input {
    like_the_first(&[("5432", port), DROPPED, VERDICT, ("14:02:09", clock)])
}

const SEEKS: [Effect; 2] = [Effect::Hold(true), Effect::Step(16)];

#[test]
fn the_next_cause_of_a_replay_is_sought_from_the_table_too_when_none_is_known_yet() {
    let mut a = paced();
    press(&mut a, "n", 80, 24);
    assert_eq!(a.effects(), SEEKS);
    assert!(shown(&mut a).contains("seeking the next cause   Esc stops"), "{}", shown(&mut a));
    a.feed(vec![drop_on("5433", "14:02:30"), like_the_first(&[("14:02:09", "14:02:40")])]);
    assert!(a.effects().is_empty());
    let t = shown(&mut a);
    let here = t.lines().find(|l| l.contains('▸')).unwrap();
    assert!(here.contains("14:02:30") && here.contains("5433") && !t.contains("seeking"), "{t}");
    // From the last one that is known it goes on, and not round.
    press(&mut a, "n", 80, 24);
    assert_eq!(a.effects(), SEEKS);
    press(&mut a, "<esc>N", 80, 24);
    assert_eq!(a.effects(), [], "what lies before is known");
}

#[test]
fn the_next_cause_of_a_replay_is_sought_from_the_list_and_from_the_page_behind_the_last_one() {
    for (open, crumb) in [("2", "› drops"), ("<tab>", "flows.jsonl › flows"), ("<cr>", "› why")] {
        let mut a = paced();
        a.feed(vec![drop_on("5433", "14:02:30")]);
        press(&mut a, open, 80, 24);
        assert_eq!(a.effects(), [], "{open}");
        press(&mut a, "n", 80, 24);
        assert_eq!(a.effects(), SEEKS, "{open}");
        a.feed(vec![drop_on("5434", "14:02:50")]);
        let t = shown(&mut a);
        assert!(a.effects().is_empty() && t.contains(crumb) && !t.contains("seeking"), "{open}: {t}");
        let here = if open == "<cr>" { t.lines().find(|l| l.contains("Dropped on")) } else { t.lines().find(|l| l.contains('▸')) };
        assert!(here.is_some_and(|l| l.contains("5434")), "{open}: {t}");
    }
}

#[test]
fn a_list_of_audits_only_does_not_stop_at_the_first_drop() {
    let mut a = paced();
    press(&mut a, "2vv", 80, 24);
    assert!(shown(&mut a).contains("audited: what enforcement"), "{}", shown(&mut a));
    press(&mut a, "n", 80, 24);
    assert_eq!(a.effects(), SEEKS);
    a.feed(vec![drop_on("5433", "14:02:30")]);
    assert!(shown(&mut a).contains("seeking the next cause"), "{}", shown(&mut a));
    a.feed(vec![like_the_first(&[
        ("5432", "5434"),
        (r#""verdict":"FORWARDED""#, r#""verdict":"AUDIT""#),
        VERDICT,
        ("14:02:09", "14:02:50"),
    ])]);
    let t = shown(&mut a);
    assert!(!t.contains("seeking") && t.lines().any(|l| l.contains('▸') && l.contains("5434")), "{t}");
}
