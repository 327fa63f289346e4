//! What keys say of themselves: what a menu promises is done, and what changes nothing that is seen has a word for it.
use crate::kit::*;
use flowhy::tui::App;
use ratatui::style::Modifier;

fn shown(a: &mut App, w: u16, h: u16) -> String {
    text(&picture(a, w, h))
}

/// The lines of the causes, from the top.
fn causes(keys: &str) -> Vec<String> {
    let t = play_at(keys, 120, 36);
    let b = t.backend().buffer();
    let lines = (3..b.area.height).map(|y| row(b, y)).take_while(|l| !l.trim().is_empty() && !l.starts_with('─'));
    lines.map(|l| l.trim_start_matches([' ', '▌', '›']).to_owned()).collect()
}

#[test]
fn a_letter_of_the_sort_menu_does_as_it_says_and_only_s_turns_the_order_round() {
    let usual = causes("2");
    assert!(usual.len() > 3, "{usual:?}");
    assert_eq!(causes("2sc"), usual, "by count it was already");
    assert_eq!(causes("2scsc"), usual);
    let turned: Vec<String> = causes("2sS").into_iter().rev().collect();
    assert_eq!(turned.len(), usual.len());
    assert_ne!(causes("2sS"), usual);
    assert_eq!(causes("2sSsc"), usual, "a letter ends the other order");
    for (keys, said) in [("2", "by count"), ("2sS", "by count, reversed"), ("2sn", "by newest"), ("2sl", "by last seen")] {
        let t = play(keys);
        assert!(t.lines().nth(2).unwrap().contains(&format!(" {said} ")), "{keys}: {t}");
    }
    // The same of the other lists.
    for keys in ["9", "7", "3"] {
        let letter = if keys == "9" { "so" } else { "sc" };
        assert_eq!(play_at(&format!("{keys}{letter}"), 120, 36).backend().buffer(), play_at(keys, 120, 36).backend().buffer(), "{keys}");
    }
}

#[test]
fn following_and_holding_have_a_word() {
    assert!(play("f").contains("stays at this flow; f follows the newest again"));
    assert!(play("ff").contains("follows the newest flow"));
}

#[test]
fn what_tab_offers_is_never_cut_without_a_sign_and_begins_with_what_is_there() {
    let mut a = app(options());
    press(&mut a, "/verdict:<tab>", 40, 10);
    let offers = |a: &mut App| {
        let t = picture(a, 40, 10);
        row(t.backend().buffer(), 9).trim_end().to_owned()
    };
    let first = offers(&mut a);
    assert!(first.starts_with(" forwarded ") || first.starts_with(" dropped "), "{first}");
    assert!(first.ends_with('…'), "{first}");
    let words: Vec<&str> = first.trim_end_matches('…').split("   ").filter(|w| !w.trim().is_empty()).collect();
    assert!(words.iter().all(|w| w.trim().chars().last().unwrap().is_ascii_digit()), "those with a count come whole: {first}");
    // Whichever is taken is on the line.
    for _ in 0..12 {
        press(&mut a, "<tab>", 40, 10);
        let t = picture(&mut a, 40, 10);
        let b = t.backend().buffer();
        let taken = (0..40).filter(|x| b[(*x, 9)].modifier.contains(Modifier::REVERSED)).count();
        assert!(taken > 4, "{}", row(b, 9));
    }
}

#[test]
fn the_newest_flow_was_just_now() {
    let t = play("t");
    assert!(t.contains(" now ") && !t.contains("-0ms"), "{t}");
}

#[test]
fn a_mark_is_gone_to_without_empty_lines_below_and_its_letter_stays_to_be_seen() {
    let mut a = app(options());
    press(&mut a, "ma", 80, 16);
    press(&mut a, "g'a", 80, 16);
    let t = picture(&mut a, 80, 16);
    let b = t.backend().buffer();
    let marked: Vec<u16> = (2..16).filter(|y| row(b, *y).starts_with('a')).collect();
    let rule = find(b, &["drops by cause"]);
    assert_eq!(marked, [rule - 1], "the newest flow stands on the last line: {}", text(&t));
}

#[test]
fn wide_names_under_addresses_have_a_word() {
    assert!(play("rw").contains("names are whole now; addresses stand in their place until r"));
    assert!(play("rww").contains("names are short now"));
    assert!(!play("w").contains("names are"), "what is seen needs none");
}

#[test]
fn without_a_flow_help_says_what_can_do_nothing() {
    let mut a = app_of(bare(), options());
    let mut empty = App::new(bare(), options());
    press(&mut empty, "?", 120, 60);
    press(&mut a, "?", 120, 60);
    for what in ["only flows with the value under the finger", "mark the flow with a letter"] {
        let line = |a: &mut App| shown(a, 120, 60).lines().find(|l| l.contains(what)).unwrap().to_owned();
        assert!(line(&mut empty).contains("not now: no flow is selected"), "{}", line(&mut empty));
        assert!(!line(&mut a).contains("not now"), "{}", line(&mut a));
    }
    assert!(shown(&mut empty, 120, 60).contains("jump to a marked flow; not now: no flow is marked"));
    assert!(play("'").contains("no flow is marked"));
}
