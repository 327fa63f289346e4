//! Who was let in: only what is known is claimed, and what the audit of the same recording finds.
use crate::kit::*;
use flowhy::cmd::audit::{Evidence, audit};
use flowhy::engine::Engine;
use flowhy::model::doc::Doc;
use flowhy::model::input::{At, Change, Edited, Edits, Input, Kind, KindState};
use flowhy::model::observed::Direction;
use flowhy::model::time::Nanos;
use flowhy::tui::App;
use flowhy::world::yaml;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const SHOP: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}]}]}\n";

/// A record of a packet from one pod of the shop to another, as an agent with the point of observation writes it.
fn flow(second: u32, from: &str, to: &str, direction: &str, sub_type: u32) -> Value {
    let time = format!("2026-04-13T14:02:{second:02}Z");
    let side = |app: &str| json!({"identity": 1000 + u32::from(app.as_bytes()[0]), "namespace": "shop", "pod_name": format!("{app}-0"), "labels": [format!("k8s:app={app}"), "k8s:io.kubernetes.pod.namespace=shop"]});
    let ip = |app: &str| format!("10.0.0.{}", app.as_bytes()[0]);
    json!({"flow": {"time": time, "verdict": "FORWARDED", "IP": {"source": ip(from), "destination": ip(to), "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40_000 + second, "destination_port": 5432, "flags": {"SYN": true}}}, "source": side(from), "destination": side(to),
        "Type": "L3_L4", "node_name": "n1", "event_type": {"type": 4, "sub_type": sub_type}, "traffic_direction": direction, "is_reply": false},
        "node_name": "n1", "time": time})
}

fn changed(mut line: Value, keys: &[(&str, Value)]) -> Value {
    for (key, value) in keys {
        line["flow"][*key] = value.clone();
    }
    line
}

/// The answer to a packet, as the sender's node sees it.
fn answer(second: u32, from: &str, to: &str) -> Value {
    let back = flow(second, to, from, "EGRESS", TO_ENDPOINT);
    let l4 = json!({"TCP": {"source_port": 5432, "destination_port": 40_000 + second, "flags": {"SYN": true, "ACK": true}}});
    changed(back, &[("l4", l4), ("is_reply", json!(true))])
}

fn dropped(second: u32, from: &str, to: &str) -> Value {
    let denied =
        [("verdict", json!("DROPPED")), ("drop_reason_desc", json!("POLICY_DENIED")), ("event_type", json!({"type": 5, "sub_type": 0}))];
    changed(flow(second, from, to, "INGRESS", 0), &denied)
}

const TO_ENDPOINT: u32 = 0;
const TO_STACK: u32 = 3;
const TO_OVERLAY: u32 = 4;

fn knowing(policies: &str) -> Engine {
    let mut e = bare();
    for d in yaml::read("p.yaml", policies).0 {
        e.feed(Change::Apply(Arc::new(d)).into(), &mut |_| {});
    }
    e
}

fn reading(engine: Engine, flows: &[Value]) -> App {
    let mut app = App::new(engine, options());
    app.feed(lines(&flows.iter().map(|f| format!("{f}\n")).collect::<String>()));
    app.feed(vec![Input::End(Arc::from("flows.jsonl"), Ok(()))]);
    app.close();
    app
}

fn shown_of(mut app: App, keys: &str, w: u16) -> String {
    press(&mut app, keys, w, 24);
    text(&picture(&mut app, w, 24))
}

/// Its lines beyond the head, and the head.
fn nine(engine: Engine, flows: &[Value]) -> String {
    shown_of(reading(engine, flows), "9", 160)
}

/// Who was let in by the audit of the same: `peer>subject:port by`.
fn audited(engine: Engine, flows: &[Value]) -> Vec<String> {
    let mut engine = engine;
    for i in lines(&flows.iter().map(|f| format!("{f}\n")).collect::<String>()) {
        engine.feed(i, &mut |_| {});
    }
    let traffic = audit(&engine, Evidence { traffic: true, ..Evidence::default() }).traffic.unwrap();
    let entering = traffic.admitted.iter().filter(|a| a.direction == Direction::Ingress);
    entering.map(|a| format!("{}>{}/{}:{:?}", a.peer, a.namespace, a.subject, a.port.unwrap_or(0))).collect()
}

#[test]
fn where_no_policies_are_known_nothing_is_said_to_be_open_or_closed_to_anybody() {
    for (w, head) in
        [(40, "17 flows"), (80, "by what is not known: no policies at hand"), (120, "no policies at hand: --policies FILE|DIR")]
    {
        let mut app = app_of(bare(), options());
        press(&mut app, "9", w, 24);
        let all = text(&picture(&mut app, w, 24));
        assert!(all.contains(head), "{all}");
        assert!(!all.contains("no policy of its own") && !all.contains("of them open") && !all.contains("0 open"), "{all}");
        assert!(all.contains("no policies at hand"), "{all}");
    }
    // Whoever was seen at its receiver is counted, with policies or without.
    let flows = [flow(1, "cart", "db", "INGRESS", TO_ENDPOINT), flow(2, "cart", "db", "EGRESS", TO_STACK)];
    let [without, with] = [bare(), knowing(SHOP)].map(|e| nine(e, &flows));
    assert!(without.contains(" 1 flow; by what is not known"), "{without}");
    assert!(with.contains(" 1 flow, 0 of them open to everybody ") && with.contains("shop/db ingress[0]"), "{with}");
}

#[test]
fn a_flow_that_was_handed_to_its_receiver_was_let_in_though_its_direction_is_the_senders() {
    let flows = [flow(1, "cart", "db", "EGRESS", TO_ENDPOINT), flow(2, "cart", "web", "EGRESS", TO_ENDPOINT)];
    let all = nine(knowing(SHOP), &flows);
    assert!(all.contains(" 2 flows, 1 of them open to everybody "), "{all}");
    assert_eq!(audited(knowing(SHOP), &flows), ["shop/cart>shop/db:5432", "shop/cart>shop/web:5432"]);
    // Enter shows these flows.
    let inside = shown_of(reading(knowing(SHOP), &flows), "9<cr>", 160);
    assert!(inside.contains("1 of 2"), "{inside}");
}

#[test]
fn what_only_its_senders_node_shows_has_come_in_once_it_was_answered() {
    let sent = flow(1, "cart", "db", "EGRESS", TO_STACK);
    let on_the_way = changed(flow(1, "cart", "db", "TRAFFIC_DIRECTION_UNKNOWN", TO_OVERLAY), &[("is_reply", Value::Null)]);
    for flows in [vec![sent.clone()], vec![sent.clone(), on_the_way]] {
        let all = nine(knowing(SHOP), &flows);
        assert!(all.contains("left the sender, and nothing was seen at a receiver so far"), "{all}");
        assert!(!all.contains("nothing passed"), "{all}");
        assert_eq!(audited(knowing(SHOP), &flows), [""; 0]);
    }
    let answered = [sent.clone(), answer(1, "cart", "db")];
    let all = nine(knowing(SHOP), &answered);
    assert!(all.contains(" 1 flow, 0 of them open") && all.contains("shop/db ingress[0]"), "{all}");
    assert_eq!(audited(knowing(SHOP), &answered), ["shop/cart>shop/db:5432"]);
    // Where the receiver's node shows it too, it is counted once.
    let both = [sent, answer(1, "cart", "db"), flow(1, "cart", "db", "INGRESS", TO_ENDPOINT)];
    let all = nine(knowing(SHOP), &both);
    assert!(all.contains(" 1 flow, 0 of them open"), "{all}");
}

#[test]
fn nothing_is_open_to_everybody_where_policies_dropped_what_none_at_hand_explains() {
    let flows = [flow(1, "cart", "web", "INGRESS", TO_ENDPOINT), flow(2, "cart", "mail", "INGRESS", TO_ENDPOINT), dropped(3, "db", "web")];
    let all = nine(knowing(SHOP), &flows);
    assert!(all.contains(" 2 flows, 1 of them open to everybody, 1 not known "), "{all}");
    assert!(all.contains("1 drop into it that no policy at hand explains: not all"), "{all}");
    // The drop may stand outside the filter.
    let narrow = shown_of(reading(knowing(SHOP), &flows), "/verdict:forwarded to.workload:web<cr>9", 160);
    assert!(narrow.contains("by what is not known: 1 drop into it that no policy"), "{narrow}");
}

#[test]
fn nothing_is_open_to_everybody_near_a_change_of_its_policies() {
    let doc = |text: &str| -> Option<Arc<Doc>> { yaml::read("p.yaml", text).0.into_iter().next().map(Arc::new) };
    let at = Nanos::from_parts(1_776_088_950, 0);
    let edits = |at, before: &str, after: &str| Input::Edited(Arc::new(Edits { at, files: vec![rewritten(doc(before), doc(after))] }));
    let elsewhere = SHOP.replace("app: db", "app: other");
    let flows = [flow(38, "cart", "db", "INGRESS", TO_ENDPOINT)];
    let mut app = App::new(knowing(SHOP), options());
    app.feed(vec![edits(at, SHOP, &elsewhere)]);
    app.feed(lines(&flows.iter().map(|f| format!("{f}\n")).collect::<String>()));
    let all = shown_of(app, "9", 160);
    assert!(all.contains("changed within 30 s: shop/db; either version may have let it in"), "{all}");
    assert!(!all.contains("open to everybody:"), "{all}");
    // Long before, nobody asks.
    let mut app = App::new(knowing(SHOP), options());
    app.feed(vec![edits(at.plus(-100 * Nanos::SECOND), SHOP, &elsewhere)]);
    app.feed(lines(&flows.iter().map(|f| format!("{f}\n")).collect::<String>()));
    let all = shown_of(app, "9", 160);
    assert!(all.contains(" 1 flow, 1 of them open to everybody "), "{all}");
}

#[test]
fn what_passed_before_anything_is_known_of_policies_is_no_rules_doing() {
    let mut e = bare();
    let mut world = |second: i64, change: Change| {
        let at = Some(Nanos::from_parts(1_776_088_920 + second, 0));
        e.feed(Input::World(At { cluster: "c".into(), at, change }), &mut |_| {});
    };
    for (group, kind) in [("networking.k8s.io", "NetworkPolicy"), ("", "Pod"), ("", "Namespace")] {
        let (group, kind) = (group.to_owned(), kind.to_owned());
        world(900, Change::Kind(Kind { group, kind, state: KindState::Synced }));
    }
    yaml::read("p.yaml", SHOP).0.into_iter().for_each(|d| world(600, Change::Apply(Arc::new(d))));
    let all = nine(e, &[flow(38, "cart", "db", "INGRESS", TO_ENDPOINT)]);
    assert!(all.contains("shop/cart") && !all.contains("✓  shop/db") && !all.contains("open to everybody:"), "{all}");
}

fn rewritten(before: Option<Arc<Doc>>, after: Option<Arc<Doc>>) -> Edited {
    Edited { file: "p.yaml".into(), pairs: vec![(before, after)], faults: Vec::new() }
}

#[test]
fn what_is_judged_by_a_record_that_does_not_say_who_began_is_nobodys_rule() {
    let ack = json!({"TCP": {"source_port": 40_000, "destination_port": 5432, "flags": {"ACK": true}}});
    let flows = [changed(flow(1, "cart", "db", "INGRESS", TO_ENDPOINT), &[("is_reply", Value::Null), ("l4", ack)])];
    let all = nine(knowing(SHOP), &flows);
    assert!(all.contains("nothing says who began it") && !all.contains("shop/db ingress[0]"), "{all}");
    assert_eq!(audited(knowing(SHOP), &flows), [""; 0]);
}

#[test]
fn whole_names_stand_on_the_last_line_where_the_columns_cut_them_and_sums_that_grow_say_so() {
    let long = |mut f: Value| {
        f["flow"]["source"]["pod_name"] = json!("checkoutservice-of-the-shop-0");
        f
    };
    let flows = [long(flow(1, "cart", "db", "INGRESS", TO_ENDPOINT))];
    let all = shown_of(reading(knowing(SHOP), &flows), "9", 80);
    assert!(all.lines().last().unwrap_or_default().len() > 10 && all.contains("shop/checkoutservice-of-the-shop → shop/db"), "{all}");
    let mut app = app(options());
    press(&mut app, "1", 80, 24);
    for k in flowhy::tui::key::parse("9") {
        app.key(k);
    }
    let first = text(&picture(&mut app, 80, 24));
    assert!(first.contains("judging"), "{first}");
}

#[test]
fn screen_and_audit_agree_on_a_recording_of_a_node_that_translates_addresses() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/pairs/daithang59-allow-no-drops");
    let read = |name: &str| std::fs::read_to_string(dir.join(name));
    let (Ok(flows), Ok(policies), Ok(objects)) = (read("flows.jsonl"), read("policies.yaml"), read("app.yaml")) else {
        return println!("skipped: no shared/data/pairs");
    };
    let flows: Vec<Value> = flows.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let engine = || knowing(&format!("{policies}\n---\n{objects}"));
    let all = nine(engine(), &flows);
    assert!(all.contains(" 160 flows, 160 of them open to everybody "), "{all}");
    assert!(all.contains("kube-system/coredns"), "{all}");
    assert_eq!(audited(engine(), &flows), ["benchmark/fortio>kube-system/coredns:53"]);
}
