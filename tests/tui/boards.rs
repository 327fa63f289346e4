//! What keys and the mouse do on the screens of sums, in lists, and in the palette; how a table is narrowed from the cell under the finger.
use crate::behaviour::{live, many};
use crate::kit::*;
use flowhy::model::input::{Change, ObjectId};
use flowhy::tui::{App, Effect, Keymap, Mouse, Options};
use ratatui::style::{Color, Modifier};
use std::sync::Arc;

#[test]
fn enter_on_the_map_walks_and_escape_walks_back() {
    let mut a = app(options());
    press(&mut a, "3", 80, 24);
    let first = text(&picture(&mut a, 80, 24));
    assert!(first.contains("› map › shop/cart "), "{first}");
    press(&mut a, "<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("› map › shop/cart › shop/db "), "{t}");
    press(&mut a, "<esc>", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), first);
    press(&mut a, "jF", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("from.ns:shop from.workload:cart") && t.contains("3 of 17"), "{t}");
}

#[test]
fn the_map_begins_with_whom_the_chosen_flow_called() {
    let mut a = app(options());
    press(&mut a, "/port:25<cr>k3", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("› map › shop/mail "));
}

#[test]
fn screens_of_sums_obey_the_filter() {
    for (screen, all, some) in
        [("3", "shop/mail", "shop/db"), ("4", "world", "shop"), ("5", "audit", "dropped"), ("6", "14:02:09", "drops")]
    {
        let t = play(&format!("/port:5433<cr>{screen}"));
        assert!(!t.contains(all) && t.contains(some) && t.contains("3 of 17"), "{screen}: {t}");
        let t = play(&format!("{screen}/port:5433<cr>"));
        assert!(!t.contains(all) && t.contains(some) && t.contains("3 of 17"), "{screen}: {t}");
        let t = play(&format!("/ns:nowhere<cr>{screen}"));
        assert!(t.contains("no flow matches"), "{screen}: {t}");
    }
}

#[test]
fn a_paused_picture_keeps_its_sums() {
    for filter in ["", "/ns:shop<cr>"] {
        let mut a = live(&many(30));
        press(&mut a, filter, 80, 24);
        press(&mut a, "5<space>", 80, 24);
        // The head tells what waits; the body stands.
        let body = |a: &mut App| text(&picture(a, 80, 24)).lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
        let before = body(&mut a);
        a.feed(lines(&many(70)));
        assert_eq!(before[..8], body(&mut a)[..8], "{filter}");
        press(&mut a, "<space>", 80, 24);
        assert_ne!(before[..8], body(&mut a)[..8], "{filter}");
    }
}

#[test]
fn a_filter_while_paused_and_a_table_upon_it_stand_still_too() {
    let body = |a: &mut App| text(&picture(a, 80, 24)).lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    // Paused first, filtered then, and back to all: the sums are those of the pause.
    let mut a = live(&many(30));
    press(&mut a, "5<space>", 80, 24);
    let before = body(&mut a);
    a.feed(lines(&many(70)));
    press(&mut a, "/ns:shop<cr>", 80, 24);
    a.feed(lines(&many(70)));
    press(&mut a, "/<c-u><cr>", 80, 24);
    assert_eq!(before[..8], body(&mut a)[..8]);
    // The list of causes behind a table that was opened meanwhile.
    let mut a = live(FLOWS);
    press(&mut a, "2", 80, 24);
    let before = body(&mut a);
    press(&mut a, "<space><cr><cr>", 80, 24);
    let upon = body(&mut a);
    a.feed(lines(FLOWS));
    assert_eq!(upon[..18], body(&mut a)[..18]);
    press(&mut a, "2", 80, 24);
    assert_eq!(before[..18], body(&mut a)[..18]);
    press(&mut a, "<space>", 80, 24);
    assert_ne!(before[..18], body(&mut a)[..18], "going on, all of them do");
}

#[test]
fn policies_stand_while_paused_and_the_ledger_says_that_it_does_not() {
    let body = |a: &mut App| text(&picture(a, 80, 24)).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let mut a = live(FLOWS);
    press(&mut a, "7<space>", 80, 24);
    let before = body(&mut a);
    a.feed(lines(FLOWS));
    a.tick(5_000);
    a.scan(&mut || true);
    assert_eq!(before[..21], body(&mut a)[..21]);
    assert!(!a.behind(), "nothing is judged for a picture that stands");
    // Opened in the pause it is filled once, and stands then.
    press(&mut a, "17", 80, 24);
    let opened = body(&mut a);
    assert!(!opened[0].contains("judging"), "{opened:#?}");
    a.feed(lines(FLOWS));
    a.tick(10_000);
    assert_eq!(opened[..21], body(&mut a)[..21]);
    press(&mut a, "8", 80, 24);
    assert!(body(&mut a)[0].contains("live, also while the picture is paused"), "{:#?}", body(&mut a));
    press(&mut a, "7<space>", 80, 24);
    a.tick(20_000);
    a.scan(&mut || true);
    assert_ne!(opened[..21], body(&mut a)[..21], "going on, it takes in what waited");
    press(&mut a, "8", 80, 24);
    assert!(!body(&mut a)[0].contains("live, also"), "{:#?}", body(&mut a));
}

#[test]
fn the_list_of_causes_keeps_its_line_for_the_way_back() {
    let here = |a: &mut App| text(&picture(a, 80, 24)).lines().position(|l| l.starts_with("\"▸")).unwrap();
    let mut a = app(options());
    press(&mut a, "2jjj", 80, 24);
    let line = here(&mut a);
    for way in ["<cr><esc>", "<cr>[", "<cr><cr><esc><esc>", "d<esc>"] {
        press(&mut a, way, 80, 24);
        assert_eq!(here(&mut a), line, "{way}");
    }
    press(&mut a, "<cr>N<esc>", 80, 24);
    assert_eq!(here(&mut a), line - 1, "the cause that was walked to");
    // In the pane below the table: its line, and the keys.
    let mut a = app(options());
    press(&mut a, "<tab>jj", 80, 24);
    let before = text(&picture(&mut a, 80, 24));
    press(&mut a, "<cr><esc>", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), before);
    press(&mut a, "1", 80, 24);
    assert_ne!(text(&picture(&mut a, 80, 24)), before, "1 asks for the table");
}

#[test]
fn a_time_that_counts_back_is_written_as_the_time_it_means() {
    let mut a = app(options());
    press(&mut a, "/since:1s<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("/ since:14:02:1") && !t.contains("since:1s"), "{t}");
    // What is kept for another day counts back from that day.
    press(&mut a, ":keep late<cr>", 80, 24);
    let kept: Vec<Effect> = a.effects();
    assert!(kept.contains(&Effect::Remember("since:1s".to_owned())), "{kept:?}");
    assert!(kept.contains(&Effect::Keep("late".to_owned(), "since:1s".to_owned())), "{kept:?}");
    // Given before there was any flow, it is bound when there is one; a time of day too.
    for (filter, shown) in [("since:1s", "/ since:14:02:1"), ("since:14:02:12", "8 of 17")] {
        let mut a = app(Options { filter: filter.to_owned(), ..options() });
        press(&mut a, "G", 80, 24);
        let t = text(&picture(&mut a, 80, 24));
        assert!(t.contains(shown) && !t.contains("17 of 17"), "{filter}: {t}");
    }
}

#[test]
fn a_cause_that_began_before_the_filter_is_not_new_in_the_timeline() {
    // Five causes have drops in that second, and two of them had some before.
    let t = play("/since:14:02:12<cr>6n");
    assert!(t.contains("8 flows, 5 dropped") && t.contains("new: cart-api: no HTTP rule") && t.contains(" and 2 more"), "{t}");
}

#[test]
fn a_brush_ends_with_enter() {
    let mut a = app(options());
    press(&mut a, "6bkk", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains(", 3 s: "), "{}", text(&picture(&mut a, 80, 24)));
    press(&mut a, "<cr><esc>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains(", 1 s: "), "{t}");
}

#[test]
fn a_cell_of_the_matrix_leads_to_its_flows() {
    let t = play("4<cr>");
    assert!(t.contains("from.ns:shop to.ns:shop"), "{t}");
    // The world is no namespace, and is found all the same.
    let t = play("4jjjjj<cr>");
    assert!(t.contains("reserved:world") && t.contains("1 of 17"), "{t}");
    let t = play("4jjjjjo");
    assert!(t.contains("shop/cart") && t.contains("connections/s"), "{t}");
}

#[test]
fn a_line_of_the_stats_leads_to_its_flows() {
    let t = play("5jjj<cr>");
    assert!(t.contains("drop:POLICY_DENIED"), "{t}");
    let t = play("5G<cr>");
    assert!(t.contains("node:prod/worker-1") && t.contains("3 of 17"), "{t}");
}

#[test]
fn the_timeline_walks_causes_and_shows_what_a_brush_covers() {
    let t = play("6n");
    assert!(t.contains("new: "), "{t}");
    let mut a = app(options());
    press(&mut a, "6kb", 80, 24);
    press(&mut a, "j<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("since:2026-04-13T14:02:11Z until:2026-04-13T14:02:12.999999999Z") && t.contains("11 of 17"), "{t}");
}

#[test]
fn a_policy_leads_to_what_it_stopped_and_to_its_text() {
    let t = play("7<cr>");
    assert!(t.contains("policy:NetworkPolicy/shop/db-ingr") && t.contains("of 17"), "{t}");
    // What stands on the list is what is behind it, and nothing of it passed: packets, and their records. One of them made two, at the drop
    // and as a verdict.
    let found: Vec<(String, usize, usize)> = (0..5)
        .map(|down| {
            let list = play_at(&format!("7{}", "j".repeat(down)), 80, 24);
            let line = row(list.backend().buffer(), 3 + down as u16);
            let name = line.split_whitespace().find(|w| w.contains('/')).unwrap().to_owned();
            let stopped = line.split_whitespace().rev().skip(1).take(2).filter_map(|n| n.parse::<usize>().ok()).sum();
            let t = play(&format!("7{}<cr>", "j".repeat(down)));
            let records = t.split(" of 17 ").next().and_then(|head| head.split_whitespace().last()).and_then(|n| n.parse().ok());
            (name, stopped, records.unwrap_or_else(|| panic!("{line}\n{t}")))
        })
        .collect();
    let expected = [("db-ingress", 3, 4), ("mail-out", 1, 1), ("cart-api", 1, 1), ("deny-all", 2, 2), ("web-egress", 2, 2)];
    let expected = expected.map(|(name, stopped, records)| (format!("shop/{name}"), stopped, records));
    assert_eq!(found, expected);
    let t = play("7e");
    assert!(t.contains("name: db-ingress"), "{t}");
    let t = play("n<cr>e");
    assert!(t.contains("› why › yaml") && t.contains("name: web-egress"), "{t}");
    let t = play("7snS");
    assert!(t.find("web-egress").unwrap() < t.find("cart-api").unwrap(), "by name, backwards: {t}");
}

#[test]
fn history_goes_back_and_forward_through_screens() {
    let mut a = app(options());
    press(&mut a, "n<cr>", 80, 24);
    let why = text(&picture(&mut a, 80, 24));
    press(&mut a, "4", 80, 24);
    let matrix = text(&picture(&mut a, 80, 24));
    press(&mut a, "[", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), why);
    press(&mut a, "]", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), matrix);
    press(&mut a, "<c-o>", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), why);
    press(&mut a, "<c-o>", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), matrix);
    press(&mut a, "[[[[", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("oldest screen"));
}

#[test]
fn the_palette_goes_to_screens_namespaces_and_times() {
    let t = play(":mtx<cr>");
    assert!(t.contains("› matrix"), "{t}");
    let t = play(":kube<cr>");
    assert!(t.contains("/ ns:kube-system"), "{t}");
    let t = play(":goto 14:02:12<cr>");
    assert!(t.contains("since:14:02:12") && t.contains("8 of 17"), "{t}");
    let t = play(":goto nonsense<cr>");
    assert!(t.contains("is no time"), "{t}");
    let t = play(":map<esc>q");
    assert!(!t.contains("go to or do"), "{t}");
    let t = play(":zzzz<cr>");
    assert!(t.contains("there is no zzzz"), "{t}");
}

#[test]
fn the_cell_under_the_finger_goes_into_the_filter() {
    let t = play("G+");
    assert!(t.contains("nothing to filter by"), "the time is no value: {t}");
    let t = play("Gl+");
    assert!(t.contains("/ from.ns:shop from.workload:cart"), "{t}");
    let t = play("Glll-");
    assert!(t.contains("/ not (to.port:5432)"), "{t}");
    let t = play("/ns:shop or ns:web<cr>Gllll+");
    assert!(t.contains("/ (ns:shop or ns:web) verdict:forwarded"), "{t}");
    let t = play("2+");
    assert!(t.contains("/ cause:1") && t.contains("1 of 7 in this filter"), "{t}");
    let t = text(&play_at("3+", 120, 36));
    assert!(t.contains("/ from.ns:shop from.workload:cart to.ns:shop"), "{t}");
}

#[test]
fn causes_are_sorted_and_audited_ones_are_a_list_of_their_own() {
    let first = |t: &str| t.lines().nth(3).unwrap().to_owned();
    assert!(first(&play("2")).contains("web-egress"));
    // The newest one is the drop that was let through since.
    assert!(first(&play("2sn")).contains("now allowed?"), "{}", play("2sn"));
    let t = play("2vv");
    assert!(t.contains("what enforcement would drop") && t.contains("mail-out") && !t.contains("db-ingress:"), "{t}");
    let t = play("2v");
    assert!(!t.contains("mail-out") && t.contains("db-ingress:"), "{t}");
}

#[test]
fn what_passed_is_fixed_once_it_was_not_dropped_for_ten_seconds() {
    let mut a = app(options());
    let drop = |a: &mut flowhy::tui::App| {
        let t = text(&picture(a, 80, 24));
        t.lines().find(|l| l.contains("now allowed?")).unwrap().to_owned()
    };
    press(&mut a, "2sn", 80, 24);
    assert!(drop(&mut a).contains("new"), "{}", drop(&mut a));
    let last = FLOWS.lines().rfind(|l| l.contains("FORWARDED")).unwrap();
    let at = last.find("14:02:").unwrap();
    a.feed(lines(&last.replace(&last[at..at + 8], "14:02:22")));
    assert!(drop(&mut a).contains("✓") && drop(&mut a).contains("fixed ✓"), "{}", drop(&mut a));
}

#[test]
fn a_mark_is_found_again() {
    let mut a = app(options());
    press(&mut a, "gmag", 80, 24);
    press(&mut a, "G'a", 80, 24);
    let t = picture(&mut a, 80, 24);
    let b = t.backend().buffer();
    let y = find(b, &["a14:02:09"]);
    assert!(b[(1, y)].modifier.contains(Modifier::REVERSED), "its letter, on the chosen row: {}", text(&t));
    assert!(play("ma'z").contains("no flow is marked z"));
    assert!(play("/port:53<cr>ma'").contains("jump to"));
    // Where a filter hides the flow, its letter stands dim where it would be, and the way to it is said.
    let mut a = app(options());
    press(&mut a, "jgma/verdict:dropped<cr>G'a", 80, 24);
    let t = picture(&mut a, 80, 24);
    assert!(text(&t).contains("the filter hides flow a; this is the nearest: / Ctrl-u Enter ' a goes to it"), "{}", text(&t));
    press(&mut a, "j", 80, 24);
    let t = picture(&mut a, 80, 24);
    let first = &t.backend().buffer()[(0, 3)];
    assert_eq!((first.symbol(), first.modifier.contains(Modifier::DIM)), ("a", true), "{}", text(&t));
    press(&mut a, "/<c-u><cr>'a", 80, 24);
    let t = picture(&mut a, 80, 24);
    let b = t.backend().buffer();
    assert_eq!((find(b, &["a14:02:09"]), b[(1, 3)].modifier.contains(Modifier::REVERSED)), (3, true), "{}", text(&t));
}

#[test]
fn a_flow_and_a_policy_are_copied_as_they_are() {
    let mut a = app(options());
    press(&mut a, "yj", 80, 24);
    assert!(matches!(&a.effects()[..], [Effect::Copy(t)] if t.starts_with("{\"flow\":{") && t.contains("\"node_name\"")));
    press(&mut a, "7yy", 80, 24);
    assert!(matches!(&a.effects()[..], [Effect::Copy(t)] if t.contains("name: db-ingress\n")));
}

#[test]
fn the_mouse_chooses_goes_in_and_goes_back() {
    let mut a = app(options());
    picture(&mut a, 80, 24);
    a.mouse(Mouse::Click { x: 20, y: 5 });
    let t = picture(&mut a, 80, 24);
    assert!(row(t.backend().buffer(), 5).starts_with('▸'), "{}", text(&t));
    a.mouse(Mouse::Click { x: 20, y: 5 });
    assert!(text(&picture(&mut a, 80, 24)).contains("› why"));
    // The second crumb: back to the table.
    a.mouse(Mouse::Click { x: 15, y: 0 });
    let t = text(&picture(&mut a, 80, 24));
    assert!(!t.contains("› why"), "{t}");
    a.mouse(Mouse::Up);
    let t = picture(&mut a, 80, 24);
    let b = t.backend().buffer();
    assert_ne!(find(b, &["▸"]), 5);
    for (x, y) in [(0, 0), (79, 23), (40, 2), (0, 19), (200, 200)] {
        for keys in ["1", "2", "3", "4", "5", "6", "7", "8", "?", ":"] {
            press(&mut a, keys, 80, 24);
            a.mouse(Mouse::Click { x, y });
            picture(&mut a, 80, 24);
            press(&mut a, "<esc>", 80, 24);
        }
    }
}

#[test]
fn other_keys_are_shown_and_obeyed() {
    let keymap = Keymap::with(&["describe=D".to_owned()]).unwrap();
    let mut a = app(Options { keymap, ..options() });
    press(&mut a, "?", 120, 60);
    let t = text(&picture(&mut a, 120, 60));
    assert!(t.contains("  D                every field"), "{t}");
    press(&mut a, "<esc>d", 80, 24);
    assert!(!text(&picture(&mut a, 80, 24)).contains("› describe"));
    press(&mut a, "D", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("› describe"));
}

#[test]
fn a_new_cause_rings_once_where_that_is_wanted() {
    let ringing = |bell: bool| {
        let mut a = App::new(engine(), Options { live: true, bell, ..options() });
        a.feed(lines(&many(3)));
        a.tick(10_000);
        picture(&mut a, 80, 24);
        let quiet = a.rings();
        a.feed(lines(FLOWS));
        picture(&mut a, 80, 24);
        (quiet, a.rings(), a.rings())
    };
    let mut a = App::new(engine(), Options { live: true, news: true, ..options() });
    a.feed(lines(&many(3)));
    a.tick(10_000);
    picture(&mut a, 80, 24);
    assert_eq!(a.headline(), None);
    a.feed(lines(FLOWS));
    picture(&mut a, 80, 24);
    assert!(a.headline().is_some_and(|h| h.starts_with("✗ ") || h.starts_with("~ ")) && a.headline().is_none() && !a.rings());
    press(&mut a, "j", 80, 24);
    assert_eq!(a.headline().as_deref(), Some("flowhy flows.jsonl"), "a key says that it was seen");
    assert_eq!(ringing(true), (false, true, false));
    assert_eq!(ringing(false), (false, false, false));
}

/// Numbers of a policy on its screen: allows, denies, isolates.
fn numbers(app: &mut flowhy::tui::App, policy: &str) -> Vec<String> {
    press(app, "17", 80, 24);
    let t = text(&picture(app, 80, 24));
    let line = t.lines().find(|l| l.contains(policy)).unwrap_or_else(|| panic!("no {policy} in {t}"));
    line.split_once(policy).unwrap().1.split_whitespace().take(3).map(str::to_owned).collect()
}

#[test]
fn what_a_policy_stopped_stays_with_it_when_its_text_changes_and_what_was_stopped_never_counts_as_let_through() {
    let mut a = app(options());
    let before = numbers(&mut a, "shop/db-ingress");
    let fixed = POLICIES.replace("port: 5432", "port: 5433");
    assert_ne!(fixed, POLICIES);
    let (docs, _) = flowhy::world::yaml::read("policies.yaml", &fixed);
    a.feed(docs.into_iter().map(|d| flowhy::model::input::Change::Apply(Arc::new(d)).into()).collect());
    let after = numbers(&mut a, "shop/db-ingress");
    assert_eq!((&after[1], &after[2]), (&before[1], &before[2]), "it stopped them all the same");
    assert_eq!(after[0], "·", "those to 5433 were stopped, those to 5432 it does not let through any more");
}

#[test]
fn a_node_that_relay_cannot_reach_is_said_on_every_screen_and_named_in_the_ledger() {
    let say = |state: &str, names: &str, message: &str| {
        format!(
            r#"{{"node_status":{{"state_change":"{state}","node_names":[{names}],"message":"{message}"}},"node_name":"relay","time":"2026-04-13T14:02:13Z"}}"#
        )
    };
    let mut a = app(options());
    a.feed(lines(&say("NODE_CONNECTED", r#""w1","w2","w3""#, "")));
    assert!(text(&picture(&mut a, 120, 24)).contains("nodes 3/3"));
    a.feed(lines(&say("NODE_UNAVAILABLE", r#""w2","w3""#, "no route to host")));
    for keys in ["1", "5", "8"] {
        press(&mut a, keys, 80, 24);
        let t = text(&picture(&mut a, 80, 24));
        assert!(t.contains("✗ 2 nodes away"), "{t}");
    }
    let t = text(&picture(&mut a, 120, 60));
    assert!(t.contains("✗ 2 of 3 nodes away") && t.contains("1 of 3 answer"), "{t}");
    assert!(t.contains("w2: unavailable, no route to host") && t.contains("w3: unavailable"), "{t}");
    a.feed(lines(&say("NODE_CONNECTED", r#""w2","w3""#, "")));
    assert!(!text(&picture(&mut a, 120, 60)).contains("away"));
}

#[test]
fn under_a_filter_the_causes_count_what_passes_it_and_agree_with_stats_and_matrix() {
    let mut a = app(options());
    // One of the two packets to 5433.
    press(&mut a, "/port:5433 until:2026-04-13T14:02:11Z<cr>", 80, 24);
    let pane = text(&picture(&mut a, 80, 24));
    assert!(pane.contains("✗    1 db-ingress: no rule allows port 5433"), "{pane}");
    press(&mut a, "2", 80, 24);
    let list = text(&picture(&mut a, 80, 24));
    assert!(list.contains("✗    1 db-ingress: no rule allows port 5433"), "{list}");
    assert!(list.contains("first 14:02:10, last 14:02:10"), "{list}");
    press(&mut a, "<cr>", 120, 36);
    let why = text(&picture(&mut a, 120, 36));
    assert!(why.contains("✗ dropped 1 of 2×"), "{why}");
    // Without it all count again.
    press(&mut a, "1/<c-u><cr>2", 80, 24);
    let list = text(&picture(&mut a, 80, 24));
    assert!(list.contains("✗    2 db-ingress: no rule allows port 5433"), "{list}");
}

#[test]
fn what_comes_behind_a_pause_is_counted_under_a_filter_when_it_ends() {
    let mut a = app(options());
    press(&mut a, "/port:5433<cr>2<space>", 80, 24);
    let drop = FLOWS.lines().nth(4).unwrap().replace("14:02:10.9", "14:02:13.9").replace("40005", "40099");
    a.feed(lines(&drop));
    let says = |a: &mut flowhy::tui::App, n: u32| {
        let t = text(&picture(a, 80, 24));
        assert!(t.contains(&format!("✗    {n} db-ingress: no rule allows port 5433")), "{t}");
    };
    says(&mut a, 2);
    press(&mut a, "<space>", 80, 24);
    says(&mut a, 3);
}

#[test]
fn one_is_one_and_not_several() {
    let mut a = app_of(bare(), options());
    a.feed(lines(FLOWS.lines().next().unwrap()));
    for keys in ["1", "3", "5", "6", "7", "8", "9"] {
        press(&mut a, keys, 120, 36);
        let t = text(&picture(&mut a, 120, 36));
        let wrong = ["flow", "cause", "policie", "drop", "node", "record", "line"];
        for what in wrong.map(|w| format!(" 1 {w}s")) {
            assert!(!t.contains(&what), "{what} on {keys}\n{t}");
        }
    }
}

#[test]
fn a_cluster_in_audit_mode_is_never_taken_for_a_closed_one() {
    let config =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {policy-audit-mode: 'true'}\n";
    let mut a = app(options());
    a.feed(flowhy::world::yaml::read("c.yaml", config).0.into_iter().map(|d| Change::Apply(Arc::new(d)).into()).collect());
    for keys in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "1<cr>"] {
        press(&mut a, keys, 80, 24);
        for (w, says) in [(40, "~ audit mode"), (80, "~ audit mode"), (120, "~ audit mode: nothing is dropped")] {
            let t = picture(&mut a, w, 24);
            let head = row(t.backend().buffer(), 0);
            assert!(head.contains(says), "{keys}: {head}");
            let at = column(t.backend().buffer(), 0, "~ audit");
            assert_eq!(t.backend().buffer()[(at, 0)].fg, Color::Yellow, "{head}");
        }
    }
}

#[test]
fn a_long_note_leaves_room_for_the_way_in() {
    let t = play_at("<tab>", 80, 24);
    let last = row(t.backend().buffer(), 23);
    assert!(last.contains("Enter why") && last.contains("? help") && last.contains("…"), "{last}");
}

#[test]
fn behind_a_line_of_the_statistics_stand_the_flows_it_counts() {
    let mut a = app(options());
    let late = FLOWS.lines().next().unwrap().replace("14:02:09", "14:03:40");
    assert_ne!(late, FLOWS.lines().next().unwrap());
    a.feed(lines(&late));
    press(&mut a, "5h", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("100.0 %"), "only the last minute: {t}");
    press(&mut a, "<cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("✓ 1 of 18 "), "{t}");
}

#[test]
fn a_policy_that_was_taken_away_keeps_what_it_stopped() {
    let mut a = app(options());
    let before = numbers(&mut a, "shop/db-ingress");
    let (docs, _) = flowhy::world::yaml::read("policies.yaml", POLICIES);
    let gone = docs.iter().map(ObjectId::of).find(|id| id.name == "db-ingress").unwrap();
    a.feed(vec![Change::Remove(gone).into()]);
    let after = numbers(&mut a, "shop/db-ingress");
    assert_eq!(after[1..], before[1..]);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("4 policies, 1 not at hand"), "{t}");
}

#[test]
fn a_policy_stopped_as_many_as_its_causes_count() {
    let mut a = app(options());
    press(&mut a, "2", 80, 24);
    let list = text(&picture(&mut a, 80, 24));
    let of_cause: u64 = list
        .lines()
        .filter(|l| l.contains(" db-ingress: "))
        .filter_map(|l| l.trim_matches('"').split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    assert_eq!(numbers(&mut a, "shop/db-ingress")[2], of_cause.to_string(), "{list}");
}

#[test]
fn a_policy_that_was_saved_says_when() {
    use crate::timeline::{db, like_the_first, save};
    let (old, new) = (db("db", 5432), db("db", 5433));
    let mut a = flowhy::tui::App::new(bare(), options());
    a.feed(vec![flowhy::model::input::Change::Apply(old.clone()).into(), save(&old, &new), like_the_first(&[("14:02:09", "14:05:20")])]);
    press(&mut a, "7", 120, 36);
    let t = text(&picture(&mut a, 120, 36));
    assert!(t.contains("2 min ago, db.yaml:1"), "{t}");
}

#[test]
fn on_sixty_columns_policies_keep_their_names() {
    let t = text(&play_at("7", 60, 24));
    assert!(t.contains("shop/db-ingress ") && t.contains("shop/web-egress ") && !t.contains("LAST CHANGE"), "{t}");
}

#[test]
fn behind_a_cell_of_the_matrix_stand_the_flows_of_its_window_only() {
    let mut a = app(options());
    // A quarter of an hour later, what was there has left the window.
    let last = FLOWS.lines().rfind(|l| l.contains("FORWARDED")).unwrap();
    let at = last.find("14:02:").unwrap();
    a.feed(lines(&last.replace(&last[at..at + 8], "14:17:30")));
    press(&mut a, "4<cr>", 120, 36);
    let t = text(&picture(&mut a, 120, 36));
    assert!(t.contains("since:2026-04-13T14:12:40Z"), "{t}");
}

#[test]
fn on_a_narrow_screen_it_is_seen_who_called_whom() {
    let mut a = app(options());
    press(&mut a, "1", 40, 10);
    let b = picture(&mut a, 40, 10).backend().buffer().clone();
    // Between the head and the line of keys.
    let flows: Vec<String> = (3..8).map(|y| row(&b, y)).collect();
    assert!(flows.iter().all(|l| l.contains('→')), "{flows:?}");
}
