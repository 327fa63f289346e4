//! Every size, random keys, and strings that want to be more than text: never a panic, never a raw control character.
use crate::kit::*;
use flowhy::source::replay::Replay;
use flowhy::source::tape::Tape;
use flowhy::tui::{Options, key};
use proptest::prelude::*;

const SCREENS: &[&str] = &[
    "",
    "/ns:shop prt",
    "/ns:<tab>",
    "n<cr>",
    "n<cr>)",
    "d",
    "2j",
    "8",
    "?",
    "y",
    "<tab>",
    "\\",
    "w",
    "/http.method:PUT<cr><cr>",
    "3",
    "4",
    "4o",
    "4v",
    "5",
    "6",
    "6b",
    "7",
    "7e",
    "9",
    "9s",
    "n<cr>c",
    "6gcJ",
    ":",
    ":ma",
    "3s",
    "C",
    "Cjjlh",
    ":theme ",
    ":filter ",
    ":columns time,l7,latency,policy,dir,reason,cluster,from-ip,from-port,from-id,to-ip,to-id<cr>",
    "rw",
    "djj",
    "7e",
];

#[test]
fn every_size_draws_on_every_screen() {
    for (n, keys) in SCREENS.iter().enumerate() {
        let mut a = app(options());
        press(&mut a, keys, 80, 24);
        // Of all sizes each is drawn on some screen; the edges below on every one.
        for size in (0..201 * 61).skip(n).step_by(SCREENS.len()) {
            picture(&mut a, size / 61, size % 61);
        }
        for w in [0, 1, 2, 3, 39, 40, 59, 60, 61, 79, 80, 81, 99, 100, 119, 120, 121, 200] {
            for h in [0, 1, 2, 3, 9, 10, 11, 12, 18, 24, 60] {
                picture(&mut a, w, h);
            }
        }
    }
}

#[test]
fn too_small_says_how_small_is_too_small() {
    let t = text(&play_at("", 39, 24));
    assert!(t.contains("40×10 needed"), "{t}");
    let t = text(&play_at("", 80, 9));
    assert!(t.contains("40×10 needed"), "{t}");
}

fn evil() -> String {
    let names = [
        "\\u001b[31m\\u001b]0;owned\\u0007",
        "\\u202eevil\\u2066",
        "漢字漢字漢字漢字漢字",
        "\\u0000\\r\\n\\t\\u0085\\u009b",
        "e\\u0301\\u200b\\ufe0f👩‍👩‍👧",
    ];
    let long = "x".repeat(10_000);
    let one =
        |name: &str| FLOWS.replace("cart-5c8d7f9b6-x7k2p", name).replace("\"cart\"", &format!("\"{name}\"")).replace("/v1/items", name);
    names.iter().map(|n| one(n)).chain([one(&long)]).collect()
}

#[test]
fn nothing_from_the_network_reaches_the_terminal_raw() {
    let text = evil();
    for keys in ["", "w", "n<cr>", "<cr>", "d", "dG", "2", "8", "yr", "3", "3<cr>", "4", "4o", "5", "6", "7", "7e", "9", "9s", ":ns"] {
        for (w, h) in [(80, 24), (41, 10), (200, 60)] {
            let mut a = app(options());
            a.feed(lines(&text));
            press(&mut a, keys, w, h);
            let t = picture(&mut a, w, h);
            for c in t.backend().buffer().content() {
                for c in c.symbol().chars() {
                    let bad = c.is_control()
                        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
                    assert!(!bad, "{c:?} on screen after {keys:?}");
                }
            }
            for e in a.effects() {
                assert!(!format!("{e:?}").contains("\\u{1b}"), "{e:?}");
            }
        }
    }
}

#[test]
fn a_paste_is_text_and_bounded() {
    let mut a = app(options());
    a.paste("q");
    assert!(!a.done(), "outside the prompt a paste is not keys");
    press(&mut a, "/", 80, 24);
    a.paste(&"ns:shop\n\u{1b}[31m".repeat(2_000));
    picture(&mut a, 80, 24);
    press(&mut a, "<esc>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("17 flows"));
}

fn any_key() -> impl Strategy<Value = String> {
    let named = [
        "<cr>",
        "<esc>",
        "<tab>",
        "<s-tab>",
        "<up>",
        "<down>",
        "<left>",
        "<right>",
        "<home>",
        "<end>",
        "<pgup>",
        "<pgdn>",
        "<bs>",
        "<del>",
        "<c-d>",
        "<c-b>",
        "<c-u>",
        "<c-w>",
        "<c-k>",
        "<c-a>",
        "<c-e>",
        "<c-l>",
        "<c-o>",
        "<space>",
        "<lt>",
        ">",
        "ns:shop",
        "port:5433",
        "cause:1",
        "verdict:dropped",
        ":theme dark<cr>",
        ":columns to,l7,latency<cr>",
    ];
    prop_oneof![
        3 => prop::sample::select(named.to_vec()).prop_map(str::to_owned),
        4 => prop::sample::select("jkgGnN()dfptwy/\\?123456789hlSsovebFm'[],.+-:CrcuMJ".chars().collect::<Vec<_>>()).prop_map(|c| c.to_string()),
        1 => any::<char>().prop_filter("a key", |c| *c != '<').prop_map(|c| c.to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_keys_never_panic_and_escape_leads_home(keys in prop::collection::vec(any_key(), 200), sizes in prop::collection::vec((0u16..130, 0u16..45), 4)) {
        // What is played can be played slower and faster.
        let (_player, remote) = Replay::new(Tape::of(Vec::new()), 4.0);
        let fresh = || app(Options { remote: Some(remote.clone()), ..options() });
        let mut a = fresh();
        for (i, k) in keys.iter().enumerate() {
            for k in key::parse(k) {
                a.key(k);
                // Left with `q`: the next keys are for somebody who comes back.
                if a.done() {
                    a = fresh();
                }
            }
            a.tick(i as u64 * 97);
            a.scan(&mut || true);
            if i % 20 == 0 {
                a.feed(lines(FLOWS));
            }
            let (w, h) = sizes[i % sizes.len()];
            if i % 3 == 0 {
                picture(&mut a, w, h);
            }
        }
        prop_assert!(!a.done());
        press(&mut a, &"<esc>".repeat(40), 80, 24);
        let home = text(&picture(&mut a, 80, 24));
        prop_assert!(!a.done() && home.contains("› flows  ") && !home.contains("flows ›"), "{home}");
    }
}
