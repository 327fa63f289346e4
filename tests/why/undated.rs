//! Records that do not say when they were made, while what they are judged by changes.
use super::gaps::{CART, DB, apply, dropped as of_sides, watched};
use super::reader::{Agreement, Outcome, Why};
use super::time::{engine, feed, policy, read, record, tell};
use flowhy::engine::Engine;
use flowhy::model::input::{At, Change, Input, KindState};

/// Takes its times from a record.
fn undated(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(r#""time":""#) {
        out += before.trim_end_matches(',');
        rest = after.split_once('"').unwrap().1;
        rest = if before.ends_with('{') { rest.trim_start_matches(',') } else { rest };
    }
    out + rest
}

/// What such a record comes to, told at once and explained again.
fn asked(e: &mut Engine, text: &str) -> Why {
    let text = undated(text);
    assert!(!text.contains("time\":"), "{text}");
    let first = read(&feed(e, "relay", &text).unwrap());
    let again = e.explain(e.store().seqs().end - 1).unwrap().why;
    let again = read(&again);
    assert_eq!(
        (first.outcome, first.agreement, &first.missing, &first.policies),
        (again.outcome, again.agreement, &again.missing, &again.policies)
    );
    first
}

fn on(e: &mut Engine, port: u16) -> Why {
    asked(e, &record(0, port, "DROPPED"))
}

#[test]
fn a_flow_without_a_time_is_judged_by_policies_that_never_changed() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    let w = on(&mut e, 5433);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees));
    // What changes elsewhere is no matter, however often.
    for i in 0..100 {
        apply(
            &mut e,
            100 * i,
            &format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{i}, namespace: other}}\nspec: {{podSelector: {{}}}}\n"
            ),
        );
    }
    let w = on(&mut e, 5433);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees));
}

#[test]
fn fifty_changes_within_a_minute_are_one_to_a_flow_without_a_time() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    for i in 0..50 {
        let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME, namespace: shop}\nspec: {podSelector: {matchLabels: {app: web}}}\n";
        apply(&mut e, 500 + i, &text.replace("NAME", &format!("web-{i}")));
    }
    let w = on(&mut e, 5433);
    assert_eq!(
        (w.outcome, w.names(), w.agreement),
        (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees),
        "{:?}",
        w.because
    );
    tell(&mut e, "", 1_000, policy("db", 5433));
    assert_eq!(on(&mut e, 5433).outcome, Outcome::Undecidable);
}

#[test]
fn a_flow_without_a_time_is_not_blamed_on_the_policy_that_took_the_place_of_another() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("a", 5432));
    tell(&mut e, "", 1_000, Change::Remove(super::living::id("networking.k8s.io", "NetworkPolicy", "shop", "a")));
    tell(&mut e, "", 1_001, policy("b", 5432));
    let w = on(&mut e, 5433);
    assert_eq!(
        (w.outcome, w.agreement, w.policies.len(), w.missing.as_slice()),
        (Outcome::Undecidable, Agreement::Unknown, 0, &["flow-time".to_owned()][..])
    );
    assert!(
        w.because[0].contains("does not say when") && w.because[0].contains("shop/a") && w.because[0].contains("shop/b"),
        "{:?}",
        w.because
    );
}

#[test]
fn a_flow_without_a_time_that_one_version_lets_pass_is_undecidable() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 1_000, policy("db", 5433));
    for port in [5432, 5433] {
        let w = on(&mut e, port);
        assert_eq!((w.outcome, w.missing, w.policies.len()), (Outcome::Undecidable, vec!["flow-time".to_owned()], 0), "{port}");
    }
    // By both it is dropped, and which rule came nearest is not told.
    let w = on(&mut e, 80);
    assert_eq!(
        (w.outcome, w.names(), w.agreement, w.text.as_str()),
        (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Unknown, "no rule allows it")
    );
    assert!(w.nearest.is_none(), "{w:?}");
    // A third closes: what holds by all of them is named.
    tell(&mut e, "", 2_000, policy("more", 5434));
    assert_eq!((on(&mut e, 80).names(), on(&mut e, 80).outcome), (vec!["shop/db".to_owned()], Outcome::DefaultDeny));
    // With a time each is judged by its own.
    let w = read(&feed(&mut e, "relay", &record(500, 5433, "DROPPED")).unwrap());
    assert_eq!((w.outcome, w.agreement), (Outcome::DefaultDeny, Agreement::Agrees));
}

#[test]
fn a_flow_without_a_time_may_be_of_a_version_that_was_in_force_for_seconds() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5433));
    tell(&mut e, "", 1_000, policy("db", 5432));
    tell(&mut e, "", 1_004, policy("db", 5433));
    let w = on(&mut e, 5433);
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["flow-time".to_owned()]), "{:?}", w.because);
}

#[test]
fn of_more_changes_than_can_be_asked_about_nothing_is_said() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    for i in 1..40 {
        tell(&mut e, "", 100 * i, policy("other", 6_000 + u16::try_from(i).unwrap()));
    }
    let w = on(&mut e, 5433);
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["flow-time".to_owned()]));
    assert!(w.because[0].contains("has changed 39 times"), "{:?}", w.because);
}

#[test]
fn what_a_kind_said_while_it_was_not_watched_may_have_dropped_a_flow_without_a_time() {
    let mut e = engine();
    let of = |state| super::living::kind("networking.k8s.io", "NetworkPolicy", state);
    tell(&mut e, "", 0, of(KindState::Loading));
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 1, of(KindState::Synced));
    assert_eq!(on(&mut e, 5433).agreement, Agreement::Agrees);
    tell(&mut e, "", 1_000, of(KindState::Stale("gone".into())));
    tell(&mut e, "", 2_000, of(KindState::Synced));
    let w = on(&mut e, 5433);
    assert_eq!(
        (w.outcome, w.missing),
        (Outcome::Undecidable, vec!["policies:networkpolicies stale then".to_owned(), "flow-time".to_owned()])
    );
}

#[test]
fn labels_that_changed_leave_a_flow_without_a_time_open() {
    let by_namespace = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.env': dev}}]}]}";
    let from = |src: &str, ip: &str| {
        of_sides(0, "INGRESS", [src, DB], [ip, "10.0.0.2"]).replace(super::gaps::DEFAULT_DENY, super::gaps::DENY_RULE)
    };
    let namespace = |env: &str| format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: shop, labels: {{env: {env}}}}}\n");
    let mut e = watched(by_namespace);
    assert_eq!(asked(&mut e, &from(CART, "10.0.0.1")).agreement, Agreement::Agrees);
    apply(&mut e, 1_000, &namespace("prod").replace("shop", "elsewhere"));
    assert_eq!(asked(&mut e, &from(CART, "10.0.0.1")).agreement, Agreement::Agrees);
    apply(&mut e, 1_000, &namespace("prod"));
    let w = asked(&mut e, &from(CART, "10.0.0.1"));
    assert_eq!((w.outcome, w.missing.last().map(String::as_str)), (Outcome::Undecidable, Some("flow-time")), "{:?}", w.because);
    // A pod that nothing but its address tells.
    let mut e = watched("{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]}");
    assert_eq!(asked(&mut e, &from("{}", "10.0.0.1")).names(), ["shop/p"]);
    apply(
        &mut e,
        1_000,
        "kind: Pod\napiVersion: v1\nmetadata: {name: cart-0, namespace: shop, labels: {app: web}}\nspec: {nodeName: n}\nstatus: {podIP: 10.0.0.1}\n",
    );
    let w = asked(&mut e, &from("{}", "10.0.0.1"));
    assert_eq!((w.outcome, w.missing.last().map(String::as_str)), (Outcome::Undecidable, Some("flow-time")), "{:?}", w.because);
}

#[test]
fn a_flow_without_a_time_is_judged_by_plain_manifests_whenever_their_pods_were_started() {
    let mut e = engine();
    let pod = |name: &str, ip: &str| {
        format!(
            "kind: Pod\napiVersion: v1\nmetadata: {{name: {name}-0, namespace: shop, labels: {{app: {name}}}}}\nspec: {{nodeName: n}}\nstatus: {{podIP: {ip}, startTime: '2026-01-01T00:00:00Z'}}\n---\n"
        )
    };
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]}\n";
    for doc in flowhy::world::yaml::read("all.yaml", &(pod("cart", "10.0.0.1") + &pod("db", "10.0.0.2") + policy)).0 {
        let change = Change::Apply(std::sync::Arc::new(doc));
        e.feed(Input::World(At { cluster: "".into(), at: None, change }), &mut |_| {});
    }
    let text = of_sides(0, "INGRESS", ["{}", "{}"], ["10.0.0.1", "10.0.0.2"]).replace(super::gaps::DEFAULT_DENY, super::gaps::DENY_RULE);
    let w = asked(&mut e, &text);
    assert_eq!(
        (w.outcome, w.names(), w.agreement),
        (Outcome::DeniedByRule, vec!["shop/p".to_owned()], Agreement::Agrees),
        "{:?}",
        w.because
    );
}

/// Numbers that look like chance, the same ones each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn what_is_said_of_a_flow_without_a_time_is_said_of_it_at_any_time() {
    let (mut decided, mut open) = (0, 0);
    for seed in 0..150 {
        let mut chance = Chance(seed);
        let mut e = engine();
        tell(&mut e, "", 0, policy("a", 5432));
        let mut at = 0;
        for _ in 0..=chance.below(5) {
            at += i64::try_from(chance.below(2)).unwrap() * 300 + i64::try_from(chance.below(40)).unwrap() + 1;
            let name = ["a", "b", "c"][usize::try_from(chance.below(3)).unwrap()];
            let change = match chance.below(3) {
                0 => Change::Remove(super::living::id("networking.k8s.io", "NetworkPolicy", "shop", name)),
                n => policy(name, 5431 + u16::try_from(n).unwrap()),
            };
            tell(&mut e, "", at, change);
        }
        let port = [5432, 5433, 80][usize::try_from(chance.below(3)).unwrap()];
        let said = on(&mut e, port);
        if said.outcome == Outcome::Undecidable {
            open += 1;
            continue;
        }
        decided += 1;
        for seconds in (1..at + 200).step_by(7) {
            let dated = read(&feed(&mut e, "relay", &record(seconds, port, "DROPPED")).unwrap());
            if dated.outcome != Outcome::Undecidable {
                assert_eq!(dated.outcome, said.outcome, "{seed}: at {seconds} s of {at}");
                assert!(
                    said.names().iter().all(|name| dated.names().contains(name)),
                    "{seed}: {:?} at {seconds} s: {:?}",
                    said.names(),
                    dated.names()
                );
            }
        }
    }
    assert!(decided > 20 && open > 20, "{decided} {open}");
}
