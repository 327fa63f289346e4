//! What stands along the time beside flows: changes of policies, causes, the newest flows; and where the finger goes.
use crate::kit::*;
use flowhy::model::input::{At, Change, Input, Kind, KindState, Link};
use flowhy::model::time::Nanos;
use flowhy::tui::{Effect, Options};
use flowhy::world::yaml;
use std::sync::Arc;

/// So many seconds after 14:02 of that day.
fn world(second: i64, change: Change) -> Input {
    let at = Some(Nanos::from_parts(1_776_088_920 + second, 0));
    Input::World(At { cluster: Arc::from("prod"), at, change })
}

fn policy(port: u16) -> Change {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db-ingress, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{ports: [{{port: {port}}}]}}]}}\n"
    );
    Change::Apply(Arc::new(yaml::read("NetworkPolicy/shop/db-ingress", &text).0.remove(0)))
}

/// A cluster whose policy is changed twice while flows come.
fn changing(options: Options) -> flowhy::tui::App {
    let kind = |state| Change::Kind(Kind { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into(), state });
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
