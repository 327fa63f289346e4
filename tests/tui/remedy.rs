//! The change to try: what it does besides is read before it is copied, on every size of screen; and what stands above the text of a rule.
use crate::kit::*;
use crate::timeline::{DROPPED, VERDICT, like_the_first};
use flowhy::model::input::{Change, Input};
use flowhy::tui::{App, Effect};
use flowhy::world::yaml;
use std::sync::Arc;

/// Who carries the label `cart` without being it: whatever lets cart through lets this one through as well.
const STRANGER: [(&str, &str); 4] = [
    ("cart-5c8d7f9b6-x7k2p", "stranger-7d9f-abcde"),
    (r#"{"name":"cart""#, r#"{"name":"stranger""#),
    ("10.0.1.11", "10.0.1.77"),
    ("40001", "40077"),
];

fn dropped(change: &[(&str, &str)]) -> Input {
    like_the_first(&[&[("5432", "5433"), DROPPED, VERDICT][..], change].concat())
}

/// A screen on a policy and flows.
fn given(policy: &str, flows: Vec<Input>) -> App {
    let (docs, faults) = yaml::read("k8s/db.yaml", policy);
    assert!(faults.is_empty(), "{faults:?}");
    let mut a = App::new(bare(), options());
    a.feed(docs.into_iter().map(|d| Change::Apply(Arc::new(d)).into()).collect());
    a.feed(flows);
    a
}

/// A change of many lines, so that not all has room on 80×24.
fn admits_others() -> App {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: db-ingress\n  namespace: shop\nspec:\n  podSelector:\n    matchLabels:\n      app: db\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: backup\n    ports:\n    - port: 9999\n";
    given(policy, vec![dropped(&[]), dropped(&STRANGER), dropped(&STRANGER)])
}

fn shown(a: &mut App, w: u16, h: u16) -> String {
    text(&picture(a, w, h))
}

/// The page of the cause that is not the stranger's.
fn page_of_cart(w: u16, h: u16) -> App {
    let mut a = admits_others();
    press(&mut a, "/from.workload:cart<cr>2<cr>", w, h);
    assert!(shown(&mut a, w, h).contains("why"), "{}", shown(&mut a, w, h));
    a
}

#[test]
fn what_a_change_lets_through_besides_stands_before_its_lines_at_eighty_columns() {
    for (w, h) in [(80, 24), (100, 30), (120, 36)] {
        let mut a = page_of_cart(w, h);
        let t = shown(&mut a, w, h);
        let line = |part: &str| t.lines().position(|l| l.contains(part)).unwrap_or_else(|| panic!("no {part} at {w}×{h} in\n{t}"));
        assert!(line("and also 1 other conversation") < line("also shop/stranger"), "{t}");
        assert!(
            t.lines().position(|l| l.contains("+  1") || l.contains("+ 1")).is_none_or(|diff| line("also shop/stranger") < diff),
            "{t}"
        );
    }
}

#[test]
fn a_change_that_is_cut_is_read_to_its_end_by_one_key_and_esc_goes_back_to_the_page() {
    for (w, h) in [(80, 24), (40, 10)] {
        let mut a = page_of_cart(w, h);
        let page = shown(&mut a, w, h);
        if h > 20 {
            assert!(page.contains("more lines: Tab"), "{page}");
        }
        press(&mut a, "<tab>", w, h);
        let mut seen = String::new();
        for _ in 0..60 {
            seen.push_str(&shown(&mut a, w, h));
            press(&mut a, "j", w, h);
        }
        let said: String = seen.split_whitespace().filter(|w| *w != "\"").collect::<Vec<_>>().join(" ");
        for part in ["also shop/stranger", "k8s/db.yaml", "port: 5433", "no capture filter"] {
            assert!(said.contains(part), "{part} at {w}×{h}:\n{seen}");
        }
        press(&mut a, "<esc>", w, h);
        assert_eq!(shown(&mut a, w, h), page);
        press(&mut a, "<tab><tab>", w, h);
        assert_eq!(shown(&mut a, w, h), page);
        press(&mut a, "<esc>", w, h);
        assert_ne!(shown(&mut a, w, h), page);
    }
    let mut a = app(options());
    press(&mut a, "/drop:STALE_OR_UNROUTABLE_IP<cr><cr><tab>", 80, 24);
    assert!(shown(&mut a, 80, 24).contains("no change is proposed here"), "{}", shown(&mut a, 80, 24));
}

#[test]
fn copying_a_patch_says_what_it_admits_besides_also_where_no_page_was_opened() {
    for keys in ["/from.workload:cart<cr>2yp", "/from.workload:cart<cr>2<cr>yp"] {
        let mut a = admits_others();
        press(&mut a, keys, 40, 24);
        assert!(a.effects().iter().any(|e| matches!(e, Effect::Copy(_))));
        let t = shown(&mut a, 80, 24);
        assert!(t.contains("copied patch: ") && t.contains("also admits 1 other"), "{t}");
        a.tick(60_000);
        assert!(shown(&mut a, 80, 24).contains("also admits 1 other"), "it stays until a key");
    }
    let mut a = app(options());
    press(&mut a, "/port:5433<cr><cr>yp", 80, 24);
    let t = shown(&mut a, 80, 24);
    assert!(t.contains("copied patch: ") && !t.contains("also admits"), "{t}");
}

#[test]
fn a_long_kind_of_policy_does_not_push_the_file_of_the_line_to_change_off_the_page() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: block-cloud-metadata-service}\nspec:\n  endpointSelector: {}\n  ingress:\n  - fromEndpoints:\n    - matchLabels: {app: backup}\n";
    for w in [40, 60, 80, 100, 120, 160] {
        let mut a = given(policy, vec![dropped(&[])]);
        press(&mut a, "2<cr>", w, 24);
        let t = shown(&mut a, w, 24);
        assert!(t.contains("  db.yaml:8"), "{w}\n{t}");
    }
}

#[test]
fn a_rule_that_a_flow_meets_is_not_said_to_mention_neither_its_peer_nor_its_port() {
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open, namespace: shop}\nspec:\n  podSelector: {}\n  ingress: [{}]\n";
    let mut a = given(open, vec![dropped(&[])]);
    press(&mut a, "2<cr>", 120, 36);
    let t = shown(&mut a, 120, 36);
    assert!(t.contains("this flow meets all of it") && !t.contains("no rule mentions"), "{t}");
}

#[test]
fn a_rule_of_which_it_is_not_known_whether_it_matches_is_not_said_to_be_for_others() {
    let out = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec:\n  endpointSelector:\n    matchLabels: {app: db}\n  ingress:\n  - fromCIDR: [0.0.0.0/0]\n";
    // Neither labels nor an identity: whether the sender is a pod, which no address matches, is not known.
    let line = FLOWS.lines().next().unwrap();
    let source = &line[line.find(r#""source":{"ID""#).unwrap()..line.find(r#","destination":{"ID""#).unwrap()];
    let nameless = [(source, r#""source":{}"#)];
    let mut a = given(out, vec![dropped(&nameless)]);
    press(&mut a, "2<cr>", 120, 36);
    let t = shown(&mut a, 120, 36);
    assert!(t.contains("whether it is for this flow is not known") && !t.contains("no rule mentions"), "{t}");
}

#[test]
fn what_a_rule_for_others_wants_takes_one_line_above_its_text() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: db-ingress\n  namespace: shop\nspec:\n  podSelector:\n    matchLabels:\n      app: db\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: backup\n      namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: a-namespace-with-a-long-name\n    ports:\n    - port: 9999\n";
    for (w, h) in [(80, 24), (40, 10)] {
        let mut a = given(policy, vec![dropped(&[])]);
        press(&mut a, "2<cr>", w, h);
        let t = shown(&mut a, w, h);
        let at = t.lines().position(|l| l.contains("differs in label, namespace, port")).unwrap_or_else(|| panic!("{t}"));
        let next = t.lines().nth(at + 1).unwrap();
        assert!(next.trim_start_matches(['"', ' ']).starts_with(|c: char| c.is_ascii_digit()), "the text follows: {t}");
    }
    let mut a = given(policy, vec![dropped(&[])]);
    press(&mut a, "2<cr>jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj", 80, 36);
    assert!(shown(&mut a, 80, 60).contains("unmet  ingress[0] "), "{}", shown(&mut a, 80, 60));
}
