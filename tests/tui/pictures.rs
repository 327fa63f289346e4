//! What each screen looks like. The name of a picture is the sentence it proves; styles are asserted where a meaning hangs on them.
use crate::kit::*;
use insta::assert_snapshot;
use ratatui::style::{Color, Modifier};

#[test]
fn flows_beside_their_policies() {
    assert_snapshot!(play(""));
}

#[test]
fn flows_with_room_show_the_node() {
    assert_snapshot!(text(&play_at("", 120, 36)));
}

#[test]
fn flows_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("", 40, 10)));
}

#[test]
fn flows_between_sixty_and_eighty() {
    assert_snapshot!(text(&play_at("", 66, 20)));
}

#[test]
fn flows_in_wide_columns_name_pods() {
    assert_snapshot!(text(&play_at("w", 140, 20)));
}

#[test]
fn a_filter_leaves_its_namespace_out_of_the_names() {
    assert_snapshot!(play("/ns:shop<cr>"));
}

#[test]
fn a_filter_with_a_fault_has_a_caret_and_keeps_the_last_picture() {
    assert_snapshot!(play("/ns:shop prt:5432"));
}

#[test]
fn a_filter_that_finds_nothing_says_so() {
    assert_snapshot!(play("/ns:nowhere<cr>"));
}

#[test]
fn tab_offers_fields_and_live_values() {
    assert_snapshot!(play("/ns:<tab>"));
}

#[test]
fn why_names_the_nearest_rule_and_both_ports() {
    assert_snapshot!(play("/port:5433<cr><cr>"));
}

#[test]
fn why_has_verdict_left_and_yaml_right() {
    assert_snapshot!(text(&play_at("/port:5433<cr><cr>", 120, 36)));
}

#[test]
fn why_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("/port:5433<cr><cr>", 40, 10)));
}

#[test]
fn why_lists_all_policies_that_isolate() {
    assert_snapshot!(play("/port:53<cr><cr>"));
}

#[test]
fn why_walks_to_the_next_rule() {
    assert_snapshot!(play("/port:5433<cr><cr>)"));
}

#[test]
fn why_of_a_refused_request() {
    assert_snapshot!(text(&play_at("/http.method:PUT<cr><cr>", 120, 36)));
}

#[test]
fn why_of_an_audited_flow() {
    assert_snapshot!(play("/verdict:audit<cr><cr>"));
}

#[test]
fn why_of_what_no_policy_caused_shows_no_yaml() {
    assert_snapshot!(play("/drop:STALE_OR_UNROUTABLE_IP<cr><cr>"));
}

#[test]
fn why_of_a_passed_flow() {
    assert_snapshot!(play("/verdict:forwarded<cr><cr>"));
}

#[test]
fn why_says_when_the_policies_at_hand_allow_it() {
    let picture = play_at("/port:5432 from.workload:cart verdict:dropped<cr><cr>", 80, 24);
    let b = picture.backend().buffer();
    let y = find(b, &["disagrees"]);
    assert_eq!(b[(column(b, y, "disagrees"), y)].fg, Color::Yellow);
    assert_snapshot!(text(&picture));
}

#[test]
fn why_without_policies_names_what_is_missing() {
    let run = flowhy::engine::Options { hold: Some(Default::default()), explain: flowhy::engine::Explain::Drops, ..Default::default() };
    let mut a = flowhy::tui::App::new(flowhy::engine::Engine::new(run), options());
    a.feed(lines(FLOWS));
    press(&mut a, "/port:5433<cr><cr>", 80, 24);
    assert_snapshot!(text(&picture(&mut a, 80, 24)));
}

#[test]
fn why_keeps_what_the_agent_names_apart_from_what_we_derive() {
    let named = r#""ingress_denied_by":[{"name":"other-policy","namespace":"shop","kind":"CiliumNetworkPolicy"}],"policy_log":["ticket 42"],"Type""#;
    let flow = FLOWS.lines().find(|l| l.contains("5433")).unwrap().replace(r#""Type""#, named);
    let mut a = app(options());
    a.feed(lines(&flow));
    press(&mut a, "<cr>", 100, 36);
    let t = text(&picture(&mut a, 100, 36));
    assert!(t.contains("agent names") && t.contains("shop/other-policy") && t.contains("ticket 42"), "{t}");
    assert!(t.contains("networkpolicy shop/db-ingress"), "{t}");
}

#[test]
fn describe_has_every_field() {
    assert_snapshot!(play("/port:5433<cr>d"));
}

#[test]
fn drops_by_cause() {
    assert_snapshot!(text(&play_at("2", 120, 36)));
}

#[test]
fn drops_at_eighty_columns() {
    assert_snapshot!(play("2j"));
}

#[test]
fn ledger_balances_and_names_what_could_not_be_read() {
    assert_snapshot!(play("8"));
}

#[test]
fn map_has_one_service_in_the_middle() {
    assert_snapshot!(play("3"));
}

#[test]
fn map_with_room() {
    assert_snapshot!(text(&play_at("3", 120, 36)));
}

#[test]
fn map_on_the_least_terminal_shows_one_list() {
    assert_snapshot!(text(&play_at("3", 40, 10)));
}

#[test]
fn matrix_of_namespaces() {
    assert_snapshot!(play("4"));
}

#[test]
fn matrix_of_workloads_with_room() {
    assert_snapshot!(text(&play_at("4o", 120, 36)));
}

#[test]
fn matrix_of_drops_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("4v", 40, 10)));
}

#[test]
fn stats_have_rates_shares_and_the_balance() {
    assert_snapshot!(play("5"));
}

#[test]
fn stats_with_room() {
    assert_snapshot!(text(&play_at("5", 120, 36)));
}

#[test]
fn stats_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("5", 40, 10)));
}

#[test]
fn timeline_has_causes_under_drops() {
    assert_snapshot!(play("6k"));
}

#[test]
fn timeline_with_room() {
    assert_snapshot!(text(&play_at("6", 120, 36)));
}

#[test]
fn timeline_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("6", 40, 10)));
}

#[test]
fn policies_say_what_each_one_does() {
    assert_snapshot!(play("7"));
}

#[test]
fn policies_with_room() {
    assert_snapshot!(text(&play_at("7", 120, 36)));
}

#[test]
fn policies_on_the_least_terminal() {
    assert_snapshot!(text(&play_at("7", 40, 10)));
}

#[test]
fn the_text_of_a_policy_with_its_line_numbers() {
    assert_snapshot!(play("7e"));
}

#[test]
fn the_palette_offers_what_fits_best_first() {
    assert_snapshot!(play(":ma"));
}

#[test]
fn help_is_of_this_screen() {
    assert_snapshot!(play("?"));
}

#[test]
fn the_copy_menu() {
    assert_snapshot!(play("y"));
}

#[test]
fn ascii_has_no_other_character() {
    let o = || flowhy::tui::Options { ascii: true, ..options() };
    for keys in ["", "<cr>", "n<cr>", "2", "8", "?", "d", "/prt:1", "/ns:<tab>", "y", "3", "4", "5", "6", "7", ":", "3s"] {
        let mut a = app(o());
        press(&mut a, keys, 100, 30);
        let t = picture(&mut a, 100, 30);
        for (i, c) in t.backend().buffer().content().iter().enumerate() {
            assert!(c.symbol().is_ascii(), "{keys}: {:?} at {},{}\n{}", c.symbol(), i % 100, i / 100, text(&t));
        }
    }
    let mut a = app(o());
    assert_snapshot!(text(&picture(&mut a, 80, 24)));
}

#[test]
fn a_drop_is_red_an_audit_yellow_and_the_selection_reversed() {
    let t = play_at("", 80, 24);
    let b = t.backend().buffer();
    let drop = find(b, &["tcp 5433", "db-ingress"]);
    assert_eq!(b[(column(b, drop, "✗"), drop)].fg, Color::LightRed);
    let audit = find(b, &["tcp 25", "mail-out"]);
    assert_eq!(b[(column(b, audit, "~"), audit)].fg, Color::Yellow);
    let here = find(b, &["▸"]);
    for x in 0..80 {
        assert!(b[(x, here)].modifier.contains(Modifier::REVERSED), "column {x}");
    }
    assert_eq!((0..24).filter(|y| b[(40, *y)].modifier.contains(Modifier::REVERSED)).count(), 1);
}

#[test]
fn the_line_to_change_is_marked_and_red() {
    let t = play_at("/port:5433<cr><cr>", 80, 24);
    let b = t.backend().buffer();
    let y = find(b, &["▸", "port: 5432"]);
    assert_eq!(b[(column(b, y, "✗"), y)].fg, Color::LightRed);
    assert!(row(b, y).contains("5433"), "both values on one line: {}", row(b, y));
}

#[test]
fn without_colour_no_cell_is_coloured_and_nothing_is_lost() {
    for keys in ["", "<cr>", "n<cr>", "2", "8", "9", "?", "d", "/prt:1", "3", "4", "5", "6", "7", ":"] {
        let mut plain = app(flowhy::tui::Options { depth: flowhy::tui::Depth::None, ..options() });
        press(&mut plain, keys, 100, 30);
        let plain = picture(&mut plain, 100, 30);
        for c in plain.backend().buffer().content() {
            assert_eq!((c.fg, c.bg), (Color::Reset, Color::Reset), "{keys}");
        }
        assert_eq!(text(&plain), text(&play_at(keys, 100, 30)), "{keys}: the same words with and without colour");
    }
}
