//! What keys do: filtering live, following and holding, pausing, walking causes, leaving.
use crate::kit::*;
use flowhy::model::input::{Input, Link};
use flowhy::source::capture::Capture;
use flowhy::tui::{App, Effect, Keymap, Mouse, Options, Tone};
use ratatui::style::Modifier;
use std::sync::Arc;

fn selected(app: &mut App) -> String {
    let t = picture(app, 80, 24);
    let b = t.backend().buffer();
    row(b, find(b, &["▸"]))
}

/// A recording of `n` passed flows, one a second.
pub fn many(n: usize) -> String {
    let line = FLOWS.lines().next().unwrap();
    let stamp = |i: usize| line.replace("14:02:09.100000000", &format!("15:{:02}:{:02}.000000000", i / 60 % 60, i % 60));
    (0..n).map(|i| stamp(i) + "\n").collect()
}

pub fn live(text: &str) -> App {
    let mut app = App::new(engine(), Options { live: true, ..options() });
    app.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    app.feed(lines(text));
    app
}

#[test]
fn while_following_the_newest_is_selected() {
    let mut a = live(&many(100));
    assert!(selected(&mut a).contains("15:01:39"));
    a.feed(lines(&many(200)));
    assert!(selected(&mut a).contains("15:03:19"));
}

#[test]
fn new_rows_never_shift_a_held_view() {
    let mut a = live(&many(100));
    press(&mut a, "kkk", 80, 24);
    let before = picture(&mut a, 80, 24);
    a.feed(lines(&many(500)));
    let after = picture(&mut a, 80, 24);
    for y in 3..20 {
        assert_eq!(row(before.backend().buffer(), y), row(after.backend().buffer(), y), "line {y}");
    }
    press(&mut a, "G", 80, 24);
    a.feed(lines(&many(10)));
    assert!(selected(&mut a).contains("15:00:09"), "G follows again");
}

#[test]
fn moving_keeps_the_row_under_the_finger_and_scrolls_at_the_edges_only() {
    let mut a = live(&many(100));
    press(&mut a, "g", 80, 24);
    assert!(selected(&mut a).contains("15:00:00"));
    press(&mut a, "jj<c-d>k<pgdn><pgup>", 80, 24);
    let at = selected(&mut a);
    press(&mut a, "jk", 80, 24);
    assert_eq!(at, selected(&mut a));
}

#[test]
fn enter_freezes_what_is_looked_at() {
    let mut a = live(&many(50));
    press(&mut a, "<cr>", 80, 24);
    a.feed(lines(&many(90)));
    press(&mut a, "<esc>", 80, 24);
    assert!(selected(&mut a).contains("15:00:49"));
}

#[test]
fn pause_holds_the_picture_and_counts_what_waits() {
    let mut a = live(&many(30));
    press(&mut a, "<space>", 80, 24);
    a.feed(lines(&many(7)));
    let t = picture(&mut a, 80, 24);
    assert!(text(&t).contains("paused, 7 wait"), "{}", text(&t));
    assert!(selected(&mut a).contains("15:00:29"));
    press(&mut a, "p", 80, 24);
    assert!(selected(&mut a).contains("15:00:06"));
}

#[test]
fn the_table_shows_the_result_while_the_filter_is_typed() {
    let mut a = app(options());
    press(&mut a, "/port:5433", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("3 of 17"), "{t}");
    press(&mut a, "<esc>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("17 flows"), "Esc restores: {t}");
    press(&mut a, "/port:5433<cr>", 80, 24);
    press(&mut a, "/<c-u>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("17 flows"), "Ctrl-u clears");
    press(&mut a, "<esc>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("3 of 17"), "Esc restores what was kept");
}

#[test]
fn history_comes_back_with_the_arrows() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr>/<c-u>port:53<cr>/<c-u>half<up>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ port:53 "));
    press(&mut a, "<up>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ port:5433 "));
    press(&mut a, "<down><down>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ half "), "what was being written is not lost");
}

#[test]
fn a_filter_with_a_fault_is_not_kept() {
    let mut a = app(options());
    press(&mut a, "/prt:1<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("not a filter") && t.contains("Esc restores"), "{t}");
    press(&mut a, "<esc>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("17 flows"));
}

#[test]
fn a_first_filter_with_a_fault_can_be_mended_in_place() {
    let mut a = app(Options { filter: "prt:5433".to_owned(), ..options() });
    assert!(text(&picture(&mut a, 80, 24)).contains("not a filter"));
    press(&mut a, "<home><del><del><del>port<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("3 of 17"));
}

#[test]
fn n_walks_the_causes_on_every_screen() {
    let mut a = app(options());
    let mut seen = Vec::new();
    for _ in 0..6 {
        press(&mut a, "n", 80, 24);
        seen.push(selected(&mut a));
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 6, "{seen:#?}");
    assert!(seen.iter().all(|r| r.contains('✗') || r.contains('~')), "{seen:#?}");
    for screen in ["<cr>", "d", "2", "8"] {
        let mut a = app(options());
        press(&mut a, &format!("{screen}n"), 80, 24);
        let one = text(&picture(&mut a, 80, 24));
        press(&mut a, "n", 80, 24);
        assert_ne!(one, text(&picture(&mut a, 80, 24)), "n on {screen}");
        press(&mut a, "N", 80, 24);
        assert_eq!(one, text(&picture(&mut a, 80, 24)), "N goes back on {screen}");
    }
}

#[test]
fn from_the_start_to_the_policy_line_in_two_keys() {
    let t = play("n<cr>");
    assert!(t.contains("no policy allows DNS egress") && t.contains("web-egress") && t.contains("policies.yaml:"), "{t}");
    let t = play("nn<cr>");
    assert!(t.contains("db-ingress") && t.contains("port: 5432") && t.contains("flow has 5433"), "{t}");
}

#[test]
fn enter_on_why_shows_all_flows_of_the_cause() {
    let t = play("/port:5433<cr><cr><cr>");
    assert!(t.contains("cause:") && t.contains("3 of 17"), "{t}");
    let back = play("/port:5433<cr><cr><cr><esc><esc>");
    assert!(back.contains("port:5433") && !back.contains("cause:"), "{back}");
}

#[test]
fn a_policys_name_that_the_row_had_to_cut_stands_whole_on_the_last_line() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr>", 60, 24);
    let t = text(&picture(&mut a, 60, 24));
    assert!(!t.lines().last().unwrap().contains("db-ingress: "), "the row has room for it\n{t}");
    press(&mut a, "/<c-u>drop:l7<cr>", 60, 24);
    let t = text(&picture(&mut a, 60, 24));
    assert!(t.lines().last().unwrap().contains("shop/cart-api: no "), "{t}");
}

#[test]
fn a_table_that_lies_far_back_in_the_history_finds_again_what_it_had() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr><cr><cr>", 80, 24);
    let there = text(&picture(&mut a, 80, 24));
    press(&mut a, "2345678", 80, 24);
    assert!(!text(&picture(&mut a, 80, 24)).contains("cause:"));
    press(&mut a, "[[[[[[[", 80, 24);
    assert!(there.contains("cause:") && there.contains("5433"), "{there}");
    assert_eq!(there, text(&picture(&mut a, 80, 24)));
}

#[test]
fn tab_goes_to_the_pane_and_escape_back() {
    let mut a = app(options());
    press(&mut a, "<tab>j<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("› why"));
    press(&mut a, "<esc>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("drops by cause"));
}

#[test]
fn tab_completes_fields_and_values() {
    let mut a = app(options());
    press(&mut a, "/verd<tab>dropp<tab>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ verdict:dropped"));
    press(&mut a, "<c-u>from.ns:w<tab>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ from.ns:web"));
}

#[test]
fn q_leaves_and_quits_a_recording_at_once() {
    let mut a = app(options());
    press(&mut a, "<cr>q", 80, 24);
    assert!(!a.done());
    press(&mut a, "q", 80, 24);
    assert!(a.done());
}

#[test]
fn q_asks_once_where_flows_are_held_only_here() {
    let mut a = live(&many(3));
    press(&mut a, "q", 80, 24);
    assert!(!a.done());
    assert!(text(&picture(&mut a, 80, 24)).contains("q again leaves"));
    press(&mut a, "jq", 80, 24);
    assert!(!a.done(), "another key takes the question back");
    press(&mut a, "q", 80, 24);
    assert!(a.done());
}

#[test]
fn control_c_quits_from_anywhere() {
    for keys in ["<c-c>", "/abc<c-c>", "y<c-c>", "<cr><c-c>", "?<c-c>"] {
        let mut a = live(&many(3));
        press(&mut a, keys, 80, 24);
        assert!(a.done(), "{keys}");
    }
}

#[test]
fn the_change_to_try_is_shown_and_copied_as_a_patch() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr><cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains(" try ") && t.contains("policy?  add port TCP/5433") && t.contains("5433") && t.contains("admits these"), "{t}");
    a.effects();
    press(&mut a, "yp", 80, 24);
    let effects = a.effects();
    assert!(matches!(&effects[..], [Effect::Copy(t)] if t.starts_with("--- policies.yaml\n+++ policies.yaml\n@@ ")), "{effects:?}");
    assert!(text(&picture(&mut a, 80, 24)).contains("copied patch: "));
    // Its paths lead from where flowhy was started, as those of `flowhy why` do.
    let mut a = app_of(engine_at("/srv/repo/k8s/policies.yaml"), Options { here: "/srv/repo".into(), ..options() });
    press(&mut a, "/port:5433<cr><cr>", 80, 24);
    a.effects();
    press(&mut a, "yp", 80, 24);
    let effects = a.effects();
    assert!(matches!(&effects[..], [Effect::Copy(t)] if t.starts_with("--- k8s/policies.yaml\n+++ k8s/policies.yaml\n@@ ")), "{effects:?}");
    // A drop that no policy caused has none, and the menu offers none.
    let mut a = app(options());
    press(&mut a, "/drop:STALE_OR_UNROUTABLE_IP<cr><cr>y", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(!t.contains(" try ") && !t.contains("patch"), "{t}");
}

#[test]
fn one_key_goes_to_the_top_of_the_page_of_a_drop() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr><cr>", 80, 14);
    let top = text(&picture(&mut a, 80, 14));
    press(&mut a, "jjjjjjjjjjjjjjjjjjjjjjjjjjjj", 80, 14);
    assert_ne!(text(&picture(&mut a, 80, 14)), top);
    press(&mut a, "g", 80, 14);
    assert_eq!(text(&picture(&mut a, 80, 14)), top);
}

#[test]
fn on_the_least_terminal_an_error_of_the_filter_is_read_to_its_end_and_no_key_is_cut() {
    let mut a = app(options());
    press(&mut a, "/verdit:dropped", 40, 10);
    let t = text(&picture(&mut a, 40, 10)).replace("\"\n\"", " ");
    let said = t.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("unknown field \"verdit\" — did you mean verdict?") && t.contains("^^^"), "{t}");
    press(&mut a, "<c-u>port:25", 40, 10);
    let t = text(&picture(&mut a, 40, 10));
    assert!(t.contains("Enter keep   Esc restore   Tab complete") && !t.contains("Ctrl"), "{t}");
}

#[test]
fn where_there_is_no_room_the_name_of_the_screen_stays_and_is_clicked() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr><cr>", 40, 10);
    let t = picture(&mut a, 40, 10);
    let first = row(t.backend().buffer(), 0);
    assert!(first.starts_with(" … › why ") && first.contains("dropped 2×"), "{first}");
    press(&mut a, "<esc>2<cr>d", 60, 12);
    let t = picture(&mut a, 60, 12);
    let first = row(t.backend().buffer(), 0);
    assert!(first.contains("› describe"), "{first}");
    let x = column(t.backend().buffer(), 0, "why");
    a.mouse(Mouse::Click { x, y: 0 });
    assert!(row(picture(&mut a, 60, 12).backend().buffer(), 0).contains("why "), "the way back is there too");
}

#[test]
fn copying_says_what_was_copied() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr>", 80, 24);
    assert_eq!(a.effects(), [Effect::Remember("port:5433".to_owned())]);
    press(&mut a, "yc", 80, 24);
    assert_eq!(a.effects(), [Effect::Copy("flowhy replay flows.jsonl 'port:5433'".to_owned())]);
    assert!(text(&picture(&mut a, 80, 24)).contains("copied command line"));
    press(&mut a, "yr", 80, 24);
    let effects = a.effects();
    assert!(
        matches!(&effects[..], [Effect::Copy(t)] if t.contains("shop/db-0") && t.contains("5433") && t.contains("db-ingress")),
        "{effects:?}"
    );
}

#[test]
fn a_toast_ends_and_an_error_waits_for_a_key() {
    let mut a = app(options());
    press(&mut a, "yf", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("there is no filter"));
    assert!(!a.tick(3_900) && a.tick(4_000));
    assert!(!text(&picture(&mut a, 80, 24)).contains("there is no filter"));
}

#[test]
fn before_the_first_flow_the_screen_says_what_it_waits_for() {
    let mut a = App::new(engine(), Options { live: true, title: "prod".to_owned(), ..options() });
    a.feed(vec![Input::Link(Link::Connecting { server: Arc::from("relay:4245") })]);
    assert!(text(&picture(&mut a, 80, 24)).contains("connecting to relay:4245"));
    a.feed(vec![Input::Link(Link::Down {
        server: Arc::from("relay:4245"),
        cause: "connection refused".to_owned(),
        hint: Some("is the port right?".to_owned()),
        retry_ms: 2_000,
    })]);
    let t = text(&picture(&mut a, 80, 24));
    for part in ["cannot reach relay:4245", "connection refused", "is the port right?", "again in 2 s"] {
        assert!(t.contains(part), "{part}: {t}");
    }
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    assert!(text(&picture(&mut a, 80, 24)).contains("connected to relay:4245, waiting for flows"));
}

#[test]
fn a_stream_is_alive_even_where_nothing_would_be_lost() {
    // The demo's flows come from a server too, yet they are nobody's evidence.
    let mut a = App::new(engine(), options());
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("127.0.0.1:1") })]);
    a.feed(lines(&many(30)));
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("ev/s") && !t.contains("reading"), "{t}");
    press(&mut a, "q", 80, 24);
    assert!(a.done());
}

#[test]
fn relative_times_and_back() {
    let t = play("t");
    assert!(t.contains(" now ") && !t.contains("14:02:12 "), "{t}");
    assert!(play("tt").contains("14:02:12"));
}

#[test]
fn evicted_rows_leave_the_view_in_order() {
    use flowhy::engine::store::Limits;
    use flowhy::engine::{Engine, Explain, Options as Run};
    let run = Run { hold: Some(Limits { rows: 50, raw: 1 << 20 }), explain: Explain::Drops, ..Run::default() };
    let mut a = App::new(Engine::new(run), options());
    press(&mut a, "/ns:shop<cr>", 80, 24);
    for _ in 0..5 {
        a.feed(lines(&many(30)));
        press(&mut a, "kkg", 80, 24);
        assert!(text(&picture(&mut a, 80, 24)).contains("of "));
    }
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("50 of 50"), "{t}");
}

#[test]
fn what_can_do_nothing_now_says_so_in_help_and_palette() {
    let t = play("?slower");
    assert!(t.contains("in a replay: slower; not now: only a recording can be") && t.contains("played back"), "{t}");
    let t = play_at("/verdict:forwarded<cr>:cause-n", 120, 36);
    let b = t.backend().buffer();
    let y = find(b, &["cause-next", "not now: no drops in this filter"]);
    assert!(!b[(column(b, y, "cause-next"), y)].modifier.contains(Modifier::BOLD), "{}", text(&t));
}

#[test]
fn what_was_cut_stands_whole_on_the_last_line() {
    // The cause under the finger in the pane, a name in the table, and the page of a flow, whose arrow stays.
    let t = play("<tab>jj");
    assert!(t.lines().last().unwrap().contains("→"), "{t}");
    let t = play("/port:5433<cr>d");
    assert!(t.lines().nth(1).unwrap().contains(" → "), "{t}");
    // A prompt that is typed in is never covered by what can be pressed.
    let t = text(&play_at(":goto 13:57:40", 40, 10));
    assert!(t.contains(":goto 13:57:40"), "{t}");
    let t = text(&play_at("y", 40, 10));
    assert!(t.contains("c command line"), "{t}");
    let t = text(&play_at("/port:5433<cr><cr>y", 40, 10));
    assert!(t.contains("p patch") && t.contains("line"), "{t}");
    let t = text(&play_at("7s", 40, 10));
    assert!(t.contains("c count") && t.contains("reverse"), "{t}");
    assert!(play("9s").contains("S reverse"));
}

#[test]
fn the_screen_is_named_however_long_the_file_s_name_is() {
    let title = "policy-report-publisher-of-the-cluster-in-frankfurt.jsonl".to_owned();
    for (keys, name) in [("2", "› drops"), ("2<cr>", "› drops › why"), ("9", "› admitted")] {
        let mut a = app(Options { title: title.clone(), ..options() });
        press(&mut a, keys, 80, 24);
        let t = picture(&mut a, 80, 24);
        let first = row(t.backend().buffer(), 0);
        assert!(first.contains(name) && first.contains("policy") && first.contains("jsonl"), "{first}");
        // The crumbs are still where they are clicked.
        a.mouse(Mouse::Click { x: column(t.backend().buffer(), 0, "flows"), y: 0 });
        assert!(!row(picture(&mut a, 80, 24).backend().buffer(), 0).contains(name), "{keys}");
    }
}

#[test]
fn a_text_that_is_longer_than_the_last_line_is_read_to_its_end() {
    let mut a = app(options());
    let fault = "kept as it was: policies.yaml:101: not readable as YAML: while parsing a node, did not find expected node content";
    a.say(Tone::Error, fault.to_owned());
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("kept as it was") && t.contains("did not find") && t.contains("expected node content"), "{t}");
    // The lines above are there again with the next key.
    press(&mut a, "k", 80, 24);
    assert!(!text(&picture(&mut a, 80, 24)).contains("expected node content"));
    a.say(Tone::Error, "word ".repeat(200));
    for (w, h) in [(40, 10), (80, 24), (8, 2), (1, 1)] {
        let t = text(&picture(&mut a, w, h));
        assert!(w < 40 || t.contains('…'), "{t}");
    }
}

#[test]
fn a_drop_that_would_pass_now_says_so_in_any_list() {
    let t = text(&play_at("2", 120, 36));
    assert!(t.lines().any(|l| l.contains("now allowed?: ")) && !t.contains("in this filter"), "{t}");
}

#[test]
fn an_empty_list_says_what_is_missing() {
    // A filter on requests where no proxy told of any.
    let mut a = live(&many(3));
    press(&mut a, "/http.status:5xx<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("none of the newest 3 flows is a request: L7 visibility needs an L7 rule"), "{t}");
    assert!(!play("/http.status:404<cr>").contains("L7 visibility"), "here a proxy told of one");
    // A key that can do nothing says why, and is dim before it is pressed.
    for (keys, why) in
        [("/ns:nobody<cr>3<cr>", "no flows here"), ("/ns:nobody<cr>4<cr>", "no flows here"), ("/ns:nobody<cr>5+", "no flows here")]
    {
        assert!(play(keys).contains(why), "{keys}: {}", play(keys));
    }
    let mut a = App::new(bare(), options());
    press(&mut a, "7<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("no policies are known"));
    // Without a filter none has to be changed.
    a.feed(lines(FLOWS.lines().find(|l| l.contains("DROPPED")).unwrap()));
    press(&mut a, "9", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("nothing was seen to pass so far"));
    press(&mut a, "2", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("undecidable: no policies at hand"));
}

#[test]
fn how_many_came_since_never_covers_a_head() {
    for (w, said) in [(120, "29 newer, G follows"), (80, "29 newer, G"), (60, "29 newer, G"), (40, "29 newer, G")] {
        let mut a = live(&many(30));
        press(&mut a, "g", w, 24);
        let t = picture(&mut a, w, 24);
        let heads = row(t.backend().buffer(), 2);
        assert!(heads.contains("VERDICT ") && heads.contains(said), "{w}: {heads:?}");
    }
}

#[test]
fn typing_on_the_help_screen_searches_it() {
    let t = play("?osc");
    assert!(t.contains("keys on flows / osc") && t.contains("copy by OSC 52") && !t.contains("half a page"), "{t}");
    // What other screens have of it, by their names; also by the name of an action, and by a key.
    let t = play("?brush");
    assert!(t.contains("on other screens") && t.contains("(timeline)"), "{t}");
    assert!(play("?half-page").contains("half a page down") && play("?ctrl-z").contains("suspend"));
    // A letter that is a key elsewhere is a letter here.
    let t = play("?next");
    assert!(t.contains("/ next") && t.contains("next cause of drops") && !t.contains("› why"), "{t}");
    assert!(play("?zzz").contains("no key does that"));
    // What is typed goes first, then the screen; q and a digit do what they do everywhere, until something is typed.
    for back in ["?zzz<esc>", "?zzz<c-u>", "?zzz<bs><bs><bs>", "?/"] {
        assert_eq!(play(back), play("?"), "{back}");
    }
    for home in ["?zzz<esc><esc>", "?q", "??", "?zz?"] {
        assert_eq!(play(home), play(""), "{home}");
    }
    assert!(play("?2").contains("› drops") && play("?x2").contains("/ x2"));
    // Keys that somebody has bound to letters do what they are to do.
    let with = |change: &str, keys: &str| {
        let mut a = app(Options { keymap: Keymap::with(&[change.to_owned()]).unwrap(), ..options() });
        press(&mut a, keys, 80, 24);
        (a.done(), text(&picture(&mut a, 80, 24)))
    };
    for keys in ["?Q", "?zzQ"] {
        assert!(with("quit=Q", keys).0, "{keys}");
    }
    assert_eq!(with("back=B", "?B"), with("back=B", ""));
    assert!(with("back=B", "?xB").1.contains("/ xB"));
    // There is an end to it.
    assert!(play(&format!("?{}", "x".repeat(500))).contains("no key does that"));
}

#[test]
fn causes_of_the_kind_that_is_not_listed_are_named_wherever_the_list_is() {
    let t = play("2v");
    assert!(t.contains("1 audited not listed (v)") && !t.contains("in this filter"), "{t}");
    let t = play("2v1");
    assert!(t.contains("drops by cause, without audited ones") && t.contains("1 audited not listed (v on 2)"), "{t}");
    // Also where a filter leaves no cause, and with it no pane.
    let t = play("2vv1/verdict:forwarded<cr>");
    assert!(t.contains("dropped not listed (v on 2)"), "{t}");
    let t = play("2vv1/verdict:forwarded<cr>n");
    assert!(t.contains("v on 2 lists the others"), "{t}");
    // A list that leaves nothing out says nothing.
    assert!(!play("2vvv1").contains("not listed") && !play("").contains("not listed"));
}

/// Asked for less, the list has less in it: that stands on every screen, and under every conclusion.
#[test]
fn what_servers_are_asked_for_changes_at_once_and_is_never_hidden() {
    let mut a = App::new(engine(), Options { live: true, capture: Some(Capture::default()), ..options() });
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    a.feed(lines(FLOWS));
    let asked = |a: &mut App, keys: &str| -> Vec<usize> {
        press(a, keys, 120, 36);
        a.effects().into_iter().filter_map(|e| if let Effect::Capture(any, _) = e { Some(any.len()) } else { None }).collect()
    };
    // The verdict, and DNS besides.
    assert_eq!(asked(&mut a, ":capture verdict:dropped<cr>"), [2]);
    let shown = |a: &mut App| text(&picture(a, 120, 36));
    assert!(shown(&mut a).contains("' c comes back here; only DNS is asked for now, and verdict:dropped"), "{}", shown(&mut a));
    a.feed(lines(&many(3)));
    let t = picture(&mut a, 120, 36);
    let b = t.backend().buffer();
    assert!(row(b, find(b, &["15:00:00"])).trim_matches('"').starts_with('c'), "{}", shown(&mut a));
    for screen in ["2", "3", "4", "5", "6", "7", "9"] {
        press(&mut a, screen, 120, 36);
        assert!(shown(&mut a).contains("only verdict:dropped"), "{screen}: {}", shown(&mut a));
    }
    press(&mut a, "8", 120, 36);
    assert!(shown(&mut a).contains("asked for, and DNS besides, are only verdict:dropped"), "{}", shown(&mut a));
    press(&mut a, "1n<cr>", 120, 36);
    assert!(shown(&mut a).contains("captured with verdict:dropped,"), "{}", shown(&mut a));
    assert!(shown(&mut a).lines().next().unwrap().contains("only verdict:dropped"), "{}", shown(&mut a));
    // What no server can judge is not asked for; what is no filter neither.
    for (filter, why) in [
        ("fqdn:x.y", "no server can be asked for fqdn:x.y alone"),
        ("prt:5", "unknown field \"prt\""),
        ("verdict:dropped and not port:53", "/ leaves things out"),
        ("verdict:dropped since:5m", "no server judges since:5m as it is meant"),
        ("verdict:dropped fqdn:x.y", "no server judges fqdn:x.y as it is meant, / does; :capture verdict:dropped asks for the rest"),
    ] {
        assert_eq!(asked(&mut a, &format!(":capture {filter}<cr>")), [] as [usize; 0]);
        assert!(shown(&mut a).contains(why), "{}", shown(&mut a));
    }
    assert_eq!(asked(&mut a, ":capture all<cr>"), [0]);
    press(&mut a, "1", 120, 36);
    assert!(!shown(&mut a).contains("only verdict:dropped"));
    press(&mut a, "n<cr>", 120, 36);
    assert!(shown(&mut a).contains("captured with verdict:dropped for a while"), "{}", shown(&mut a));
    // A recording is not asked; that is said before anything is typed after it.
    let mut a = app(options());
    press(&mut a, ":captur", 120, 36);
    let t = picture(&mut a, 120, 36);
    let b = t.backend().buffer();
    let y = find(b, &["capture ", "not now: no server is asked here"]);
    assert!(!b[(column(b, y, "capture"), y)].modifier.contains(Modifier::BOLD) && shown(&mut a).contains(":captur"), "{}", shown(&mut a));
    press(&mut a, "<esc>", 120, 36);
    assert_eq!(asked(&mut a, ":capture verdict:dropped<cr>"), [] as [usize; 0]);
    assert!(shown(&mut a).contains("no server is asked here"));
}
