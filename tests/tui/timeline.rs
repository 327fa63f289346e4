//! What stands along the time beside flows: changes of policies, causes, the newest flows; and where the finger goes.
use crate::kit::*;
use flowhy::model::doc::Doc;
use flowhy::model::input::{At, Change, Edited, Edits, Gap, Input, Kind, KindState, Link, ObjectId};
use flowhy::model::time::Nanos;
use flowhy::source::replay::Replay;
use flowhy::source::tape::Tape;
use flowhy::tui::{Effect, Options};
use flowhy::world::yaml;
use std::sync::Arc;

/// So many seconds after 14:02 of that day.
fn world_of(cluster: &str, second: i64, change: Change) -> Input {
    let at = Some(Nanos::from_parts(1_776_088_920 + second, 0));
    Input::World(At { cluster: Arc::from(cluster), at, change })
}

fn world(second: i64, change: Change) -> Input {
    world_of("prod", second, change)
}

fn kind(state: KindState) -> Change {
    Change::Kind(Kind { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into(), state })
}

/// A policy of a file of its own.
fn doc(name: &str, spec: &str) -> Arc<Doc> {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {spec}}}\n"
    );
    Arc::new(yaml::read(&format!("{name}.yaml"), &text).0.remove(0))
}

pub fn db(name: &str, port: u16) -> Arc<Doc> {
    doc(name, &format!("{{app: db}}}}, ingress: [{{ports: [{{port: {port}}}]}}]"))
}

pub fn save(old: &Arc<Doc>, new: &Arc<Doc>) -> Input {
    let pairs = vec![(Some(old.clone()), Some(new.clone()))];
    let file = Edited { file: old.text.file.clone(), pairs, faults: Vec::new() };
    Input::Edited(Arc::new(Edits { at: Nanos::from_parts(1_776_089_000, 0), files: vec![file] }))
}

/// The first flow of the recording, cart to db at 5432, otherwise.
pub fn like_the_first(change: &[(&str, &str)]) -> Input {
    let line = change.iter().fold(FLOWS.lines().next().unwrap().to_owned(), |l, (a, b)| l.replace(a, b));
    lines(&line).remove(0)
}

pub const DROPPED: (&str, &str) = (r#""verdict":"FORWARDED""#, r#""verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED""#);
pub const VERDICT: (&str, &str) = (r#""type":4"#, r#""type":5"#);

fn policy(port: u16) -> Change {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db-ingress, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{ports: [{{port: {port}}}]}}]}}\n"
    );
    Change::Apply(Arc::new(yaml::read("NetworkPolicy/shop/db-ingress", &text).0.remove(0)))
}

/// A cluster whose policy is changed twice while flows come.
fn changing(options: Options) -> flowhy::tui::App {
    let mut a = flowhy::tui::App::new(bare(), options);
    let flows = lines(FLOWS);
    a.feed(vec![world(8, kind(KindState::Loading)), world(8, policy(5432)), world(9, kind(KindState::Synced))]);
    a.feed(flows[..6].to_vec());
    a.feed(vec![world(10, policy(5433))]);
    a.feed(flows[6..].to_vec());
    a.feed(vec![world(12, policy(5432))]);
    a
}

#[test]
fn changes_of_policies_stand_under_the_drops_and_c_goes_from_one_to_the_next() {
    let mut a = changing(options());
    press(&mut a, "6", 80, 24);
    let picture = text(&picture(&mut a, 80, 24));
    assert_eq!(picture.matches('┬').count(), 2, "{picture}");
    assert!(picture.contains("policy") && picture.contains("db-ingress changed"), "{picture}");
    press(&mut a, "gc", 80, 24);
    let first = text(&crate::kit::picture(&mut a, 80, 24));
    press(&mut a, "c", 80, 24);
    let second = text(&crate::kit::picture(&mut a, 80, 24));
    assert!(first.contains("14:02:10 shop/db-ingress changed") || first.contains("14:02:10, "), "{first}");
    assert!(second.contains("14:02:12, ") && first != second, "{second}");
}

#[test]
fn at_now_stand_the_newest_flows_though_their_time_has_passed() {
    let mut a = changing(Options { live: true, ..options() });
    a.feed(vec![Input::Link(Link::Connected { server: Arc::from("relay:4245") })]);
    a.tick(90_000);
    press(&mut a, "6", 80, 24);
    let shown = text(&picture(&mut a, 80, 24));
    assert!(shown.contains("now") && shown.contains("14:02:12") && shown.contains("tcp 5432"), "{shown}");
}

#[test]
fn only_a_recording_is_played_from_the_finger() {
    let mut a = changing(options());
    press(&mut a, "6J", 80, 24);
    assert!(a.effects().iter().all(|e| !matches!(e, Effect::Seek(_))));
    assert!(text(&picture(&mut a, 80, 24)).contains("only a recording can be played back"));
}

#[test]
fn who_was_let_in_stands_with_its_rule_and_what_is_open_first() {
    insta::assert_snapshot!(play("9"));
}

#[test]
fn who_was_let_in_with_room() {
    insta::assert_snapshot!(text(&play_at("9", 120, 36)));
}

#[test]
fn who_was_let_in_on_the_least_terminal() {
    insta::assert_snapshot!(text(&play_at("9", 40, 10)));
}

#[test]
fn what_was_let_in_follows_the_filter_and_enter_shows_its_flows() {
    let mut a = app(options());
    press(&mut a, "9", 80, 24);
    let all = text(&picture(&mut a, 80, 24));
    press(&mut a, "/to.pod:shop/db-0<cr>", 80, 24);
    let some = text(&picture(&mut a, 80, 24));
    assert!(all.contains("shop/cart ") && all.contains("cart-api"), "{all}");
    assert!(!some.contains("cart-api") && some.contains("db-ingress"), "{some}");
    press(&mut a, "<cr>", 80, 24);
    let flows = text(&picture(&mut a, 80, 24));
    assert!(flows.contains("✓ 4 of 17") && !flows.contains("✗"), "{flows}");
}

#[test]
fn what_the_senders_node_lets_out_was_not_let_in() {
    let mut a = flowhy::tui::App::new(engine(), options());
    let port = ("5432", "5433");
    a.feed(vec![like_the_first(&[]), like_the_first(&[port, ("INGRESS", "EGRESS")]), like_the_first(&[port, DROPPED, VERDICT])]);
    press(&mut a, "9", 80, 24);
    let shown = text(&picture(&mut a, 80, 24));
    assert!(shown.contains("by what  1 flow,") && !shown.contains("5433"), "{shown}");
}

#[test]
fn each_flow_was_let_in_by_the_rule_of_its_time() {
    let mut a = flowhy::tui::App::new(bare(), options());
    a.feed(vec![
        world(0, kind(KindState::Loading)),
        world(0, Change::Apply(db("first", 5432))),
        world(1, kind(KindState::Synced)),
        like_the_first(&[]),
        world(300, Change::Remove(ObjectId::of(&db("first", 5432)))),
        world(300, Change::Apply(db("second", 5432))),
        like_the_first(&[("14:02:09", "14:12:09")]),
    ]);
    press(&mut a, "9", 80, 24);
    let shown = text(&picture(&mut a, 80, 24));
    assert!(shown.contains("shop/first ") && shown.contains("shop/second "), "{shown}");
}

#[test]
fn a_drop_is_not_fixed_by_a_save_while_the_other_side_still_denies() {
    let (shut, open) = (doc("cart", "{app: cart}}, policyTypes: [Egress]"), doc("cart", "{app: cart}}, egress: [{}]"));
    let (old, new) = (db("db", 5432), db("db", 5433));
    let mut a = flowhy::tui::App::new(bare(), options());
    a.feed(vec![Change::Apply(shut.clone()).into(), Change::Apply(old.clone()).into()]);
    a.feed(vec![like_the_first(&[("5432", "5433"), DROPPED, VERDICT, ("INGRESS", "EGRESS")])]);
    a.feed(vec![save(&shut, &open)]);
    press(&mut a, "2", 80, 24);
    let half = text(&picture(&mut a, 80, 24));
    a.feed(vec![save(&old, &new)]);
    press(&mut a, "2", 80, 24);
    let whole = text(&picture(&mut a, 80, 24));
    assert!(half.contains("cart: no policy") && !half.contains("fixed ?"), "{half}");
    assert!(whole.contains("fixed ?"), "{whole}");
}

#[test]
fn a_save_is_judged_by_the_policies_of_the_drops_own_cluster() {
    let shut = doc("cart", "{app: cart}}, policyTypes: [Egress]");
    let (old, new) = (db("db", 5432), db("db", 5433));
    let mut a = flowhy::tui::App::new(bare(), options());
    a.feed(vec![Change::Apply(old.clone()).into()]);
    for cluster in ["east", "prod"] {
        a.feed(vec![world_of(cluster, 0, kind(KindState::Loading)), world_of(cluster, 1, kind(KindState::Synced))]);
    }
    a.feed(vec![world_of("prod", 0, Change::Apply(shut.clone()))]);
    a.feed(vec![like_the_first(&[("5432", "5433"), DROPPED, VERDICT]), save(&old, &new)]);
    press(&mut a, "2", 80, 24);
    let own = text(&picture(&mut a, 80, 24));
    a.feed(vec![world_of("prod", 2, Change::Remove(ObjectId::of(&shut))), save(&new, &new)]);
    press(&mut a, "2", 80, 24);
    let free = text(&picture(&mut a, 80, 24));
    assert!(own.contains("5433") && !own.contains("fixed ?"), "{own}");
    assert!(free.contains("fixed ?"), "{free}");
}

#[test]
fn a_manifest_that_is_taken_away_fixes_nothing_and_is_said_to_be_removed() {
    let shut = doc("cart", "{app: cart}}, policyTypes: [Egress]");
    let mut a = flowhy::tui::App::new(bare(), options());
    a.feed(vec![Change::Apply(shut.clone()).into()]);
    a.feed(vec![like_the_first(&[DROPPED, VERDICT, ("INGRESS", "EGRESS")])]);
    let file = Edited { file: shut.text.file.clone(), pairs: vec![(Some(shut.clone()), None)], faults: Vec::new() };
    a.feed(vec![Input::Edited(Arc::new(Edits { at: Nanos::from_parts(1_776_089_000, 0), files: vec![file] }))]);
    let said = text(&picture(&mut a, 80, 24));
    assert!(said.contains("cart.yaml removed: 1 cause would pass without it") && !said.contains("saved"), "{said}");
}

#[test]
fn left_and_right_are_ten_seconds_along_the_time_and_up_is_a_slot() {
    let mut a = crate::behaviour::live(&crate::behaviour::many(60));
    press(&mut a, "6G", 80, 24);
    let line = |a: &mut flowhy::tui::App, keys: &str| {
        press(a, keys, 80, 24);
        let shown = text(&picture(a, 80, 24));
        shown.lines().find(|l| l.contains(", 1 s: ")).unwrap_or_else(|| panic!("{shown}"))[2..10].to_owned()
    };
    assert_eq!(line(&mut a, "h"), "15:00:49");
    assert_eq!(line(&mut a, "<left>"), "15:00:39");
    assert_eq!(line(&mut a, "k"), "15:00:38");
    assert_eq!(line(&mut a, "l"), "15:00:48");
    // Where a slot lasts longer it is one slot.
    let mut a = crate::behaviour::live(
        &(0..3_000)
            .map(|i| crate::behaviour::many(1).replace("15:00:00", &format!("{:02}:{:02}:00", 10 + i / 60 % 12, i % 60)))
            .collect::<String>(),
    );
    let slot = |a: &mut flowhy::tui::App, keys: &str| {
        press(a, keys, 80, 24);
        let shown = text(&picture(a, 80, 24));
        let line = shown.lines().find(|l| l.contains(" min: ")).unwrap_or_else(|| panic!("{shown}"));
        let time = line.split_once(" min: ").unwrap().0.rsplit_once(", ").unwrap().0;
        time[time.len() - 8..].split(':').fold(0, |sum, part| sum * 60 + part.trim().parse::<i64>().unwrap())
    };
    let (here, earlier) = (slot(&mut a, "6k"), slot(&mut a, "k"));
    let long = here - earlier;
    assert!(long > 10 && [slot(&mut a, "h"), slot(&mut a, "h"), slot(&mut a, "l")] == [2, 3, 2].map(|n| here - n * long), "{long}");
}

#[test]
fn a_replay_is_played_on_for_the_next_cause_and_stops_where_it_begins() {
    let (_player, remote) = Replay::new(Tape::of(Vec::new()), 4.0);
    let mut a = flowhy::tui::App::new(engine(), Options { remote: Some(remote), ..options() });
    let shown = |a: &mut flowhy::tui::App| text(&picture(a, 80, 24));
    a.feed(vec![like_the_first(&[])]);
    press(&mut a, "6n", 80, 24);
    assert_eq!(a.effects(), [Effect::Hold(true), Effect::Step(16)]);
    assert!(shown(&mut a).contains("seeking the next cause   Esc stops"), "{}", shown(&mut a));
    a.feed(vec![like_the_first(&[]); 15]);
    assert_eq!(a.effects(), [], "what was asked for has not all come");
    a.feed(vec![like_the_first(&[])]);
    assert_eq!(a.effects(), [Effect::Step(16)]);
    a.feed(vec![
        like_the_first(&[("5432", "5433"), DROPPED, VERDICT, ("14:02:09", "14:02:30")]),
        like_the_first(&[("14:02:09", "14:02:40")]),
    ]);
    let found = shown(&mut a);
    assert!(a.effects().is_empty() && !found.contains("seeking") && found.contains(" 14:02:30, 1 s: 1 flow, 1 dropped"), "{found}");
    // Further on, until a key says otherwise: Esc does nothing else.
    press(&mut a, "n", 80, 24);
    assert_eq!(a.effects(), [Effect::Hold(true), Effect::Step(16)]);
    press(&mut a, "<esc>", 80, 24);
    a.feed(vec![like_the_first(&[]); 16]);
    assert_eq!(a.effects(), []);
    assert!(shown(&mut a).contains("› timeline") && !shown(&mut a).contains("seeking"), "{}", shown(&mut a));
    // A change of a policy likewise, though none is known yet.
    press(&mut a, "c", 80, 24);
    assert_eq!(a.effects(), [Effect::Hold(true), Effect::Step(16)]);
    assert!(shown(&mut a).contains("seeking the next change of a policy"), "{}", shown(&mut a));
    a.feed(vec![Input::Reset]);
    assert!(a.effects().is_empty() && !shown(&mut a).contains("seeking"), "{}", shown(&mut a));
}

#[test]
fn a_change_of_the_first_of_several_clusters_is_found_though_the_last_one_changed_before() {
    let (_player, remote) = Replay::new(Tape::of(Vec::new()), 4.0);
    let mut a = flowhy::tui::App::new(bare(), Options { remote: Some(remote), ..options() });
    for cluster in ["east", "prod"] {
        a.feed(vec![world_of(cluster, 0, kind(KindState::Loading)), world_of(cluster, 1, kind(KindState::Synced))]);
    }
    a.feed(vec![world_of("east", 2, policy(1)), world_of("prod", 3, policy(1)), world_of("prod", 4, policy(2))]);
    a.feed(vec![like_the_first(&[])]);
    press(&mut a, "6c", 80, 24);
    assert_eq!(a.effects(), [Effect::Hold(true), Effect::Step(16)]);
    a.feed(vec![world_of("east", 30, policy(2)), like_the_first(&[("14:02:09", "14:02:40")])]);
    let found = text(&picture(&mut a, 80, 24));
    assert!(a.effects().is_empty() && !found.contains("seeking") && found.contains(" 14:02:30, 1 s: "), "{found}");
}

#[test]
fn what_of_a_recording_was_not_played_yet_lies_ahead_and_is_no_silence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    std::fs::write(&path, FLOWS).unwrap();
    let (_player, remote) = Replay::new(Tape::open(&[path.to_string_lossy().into_owned()]).unwrap(), 4.0);
    let mut a = flowhy::tui::App::new(engine(), Options { remote: Some(remote), ..options() });
    a.feed(lines(FLOWS)[..4].to_vec());
    press(&mut a, "6", 80, 24);
    let edge = text(&picture(&mut a, 80, 24));
    assert!(edge.contains("4× 14:02:10 of 14:02:12"), "{edge}");
    assert!(edge.lines().any(|l| l.contains(" drops ") && l.contains("····")), "{edge}");
    press(&mut a, "j", 80, 24);
    let ahead = text(&picture(&mut a, 80, 24));
    assert!(ahead.contains("not played yet; J plays on from here"), "{ahead}");
    press(&mut a, "G", 80, 24);
    assert_eq!(text(&picture(&mut a, 80, 24)), edge, "the end of what is known, not of the recording");
}

#[test]
fn the_ledger_says_what_of_a_cluster_may_not_be_read() {
    let mut a = flowhy::tui::App::new(bare(), options());
    let pods = Change::Kind(Kind { group: String::new(), kind: "Pod".into(), state: KindState::Forbidden("no right".into()) });
    a.feed(vec![world(0, kind(KindState::Forbidden("no right".into()))), world(0, pods)]);
    press(&mut a, "8", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("networkpolicies may not be read (no right)") && t.contains("pods forbidden"), "{t}");
}

#[test]
fn the_ledger_says_that_this_machines_clock_is_not_the_clusters() {
    let mut a = flowhy::tui::App::new(bare(), options());
    let skewed = |told: Option<&str>| Input::Link(Link::Skewed { cluster: "prod".into(), told: told.map(str::to_owned) });
    a.feed(vec![skewed(Some("the clock of this machine is 300 s behind that of prod"))]);
    press(&mut a, "8", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("is 300 s behind that of prod"));
    a.feed(vec![skewed(None)]);
    assert!(!text(&picture(&mut a, 80, 24)).contains("behind that of prod"));
}

/// The bars of a line, as many as there are on a screen of 80 columns.
pub fn bars(a: &mut flowhy::tui::App, head: &str) -> String {
    let t = text(&picture(a, 80, 24));
    let line = t.lines().map(|l| l.trim_matches('"')).find(|l| l.starts_with(head)).unwrap_or_else(|| panic!("{t}"));
    line.chars().skip(8).take(71).collect()
}

#[test]
fn a_time_of_which_flows_may_be_lacking_is_no_time_without_drops() {
    let at = |second: i64| Nanos::from_parts(1_776_088_920 + second, 0);
    let gap = |from: i64, until: i64| {
        world(until, Change::Gap(Arc::new(Gap { server: "relay:4245".into(), node: String::new(), from: at(from), until: at(until) })))
    };
    for (ascii, none) in [(false, '▁'), (true, '.')] {
        let mut a = flowhy::tui::App::new(engine(), Options { ascii, ..options() });
        // A flow a second from 14:02:09 on, of which half a minute is missing, and one drop within it came through.
        let flow = |s: i64| like_the_first(&[("14:02:09", &format!("14:{:02}:{:02}", 2 + s / 60, s % 60))]);
        a.feed((9..80).filter(|s| !(30..60).contains(s)).map(flow).collect());
        a.feed(vec![like_the_first(&[("5432", "5433"), DROPPED, VERDICT, ("14:02:09", "14:02:45")])]);
        press(&mut a, "6", 80, 24);
        assert_eq!(bars(&mut a, " drops ").matches('?').count(), 0, "nothing is known to be lacking");
        a.feed(vec![gap(30, 59)]);
        let (flows, drops) = (bars(&mut a, " flows "), bars(&mut a, " drops "));
        // A column a slot: what came is shown, and a nought beside it is none.
        let expected = |c: usize| (21..51).contains(&c) && c != 36;
        for (c, (f, d)) in flows.chars().zip(drops.chars()).enumerate() {
            assert_eq!((f == '?', d == '?'), (expected(c), expected(c)), "{c}: {flows}\n{drops}");
        }
        assert!(drops.starts_with(none) && drops.ends_with(none), "{drops}");
        let t = text(&picture(&mut a, 80, 24));
        assert!(t.contains("? not known (8)"), "{t}");
        press(&mut a, "hhh", 80, 24);
        let t = text(&picture(&mut a, 80, 24));
        assert!(t.contains("0 flows, 0 dropped; some may be lacking"), "{t}");
        press(&mut a, "?", 80, 24);
        let t = text(&picture(&mut a, 100, 90));
        assert!(t.contains("nothing came, but something may be lacking"), "{t}");
    }
}

#[test]
fn where_events_were_lost_no_drop_is_no_number() {
    let mut a = flowhy::tui::App::new(engine(), options());
    let flow = |s: i64| like_the_first(&[("14:02:09", &format!("14:02:{s:02}"))]);
    a.feed(vec![flow(10), flow(50)]);
    let lost = |extra: &str| {
        format!(
            r#"{{"lost_events":{{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"{extra}}},"node_name":"w","time":"2026-04-13T14:02:30Z"}}"#
        )
    };
    a.feed(lines(&lost("")));
    press(&mut a, "6", 80, 24);
    let one = bars(&mut a, " drops ").matches('?').count();
    assert!((2..=3).contains(&one), "a second of forty-one, in as many columns as it has of 71: {one}");
    a.feed(lines(&lost(r#","first":"2026-04-13T14:02:20Z","last":"2026-04-13T14:02:39Z""#)));
    let many = bars(&mut a, " drops ").matches('?').count();
    assert!((34..=36).contains(&many), "twenty seconds of forty-one in 71 columns: {many}");
}
