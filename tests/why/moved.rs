//! Address groups, nodes and services that were others when a flow happened than when it is read.
use super::gaps::{CART, DB, DEFAULT_DENY, DENY_RULE, apply, dropped, watched};
use super::living::id;
use super::time::{feed, tell};
use flowhy::engine::Engine;
use flowhy::model::input::Change;
use flowhy::model::why::{Outcome, Why};

const WORLD: &str = r#"{"identity":2,"labels":["reserved:world"]}"#;
const BARE: &str = "{}";

/// What a drop comes to, told at once and explained again.
fn told(e: &mut Engine, text: &str) -> Why {
    let first = feed(e, "relay", text).unwrap();
    let again = e.explain(e.store().seqs().end - 1).unwrap().why;
    assert_eq!((first.outcome, &first.missing, &first.policies), (again.outcome, &again.missing, &again.policies));
    Why::clone(&first)
}

/// Of a drop from an address, or to it.
fn from(e: &mut Engine, seconds: i64, side: &str, ip: &str) -> Why {
    told(e, &dropped(seconds, "INGRESS", [side, DB], [ip, "10.0.0.2"]).replace(DEFAULT_DENY, DENY_RULE))
}

fn to(e: &mut Engine, seconds: i64, side: &str, ip: &str) -> Why {
    told(e, &dropped(seconds, "EGRESS", [CART, side], ["10.0.0.1", ip]).replace(DEFAULT_DENY, DENY_RULE))
}

fn group(name: &str, role: &str, cidr: &str) -> String {
    format!(
        "kind: CiliumCIDRGroup\napiVersion: cilium.io/v2\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\nspec: {{externalCIDRs: [{cidr}]}}\n"
    )
}

/// What drops come to before a change at 1000 s and after it; about it that is not certain, and `fact` is missing.
fn about(fact: &str, mut at: impl FnMut(i64) -> Why) -> [Outcome; 2] {
    let [early, late] = [900, 1_100].map(&mut at);
    for seconds in [980, 1_020] {
        let w = at(seconds);
        assert!(w.outcome == Outcome::Undecidable && w.missing.iter().any(|m| m == fact), "{seconds}: {w:#?}");
    }
    let again = [901, 1_101].map(at).map(|w| w.outcome);
    assert_eq!(again, [early.outcome, late.outcome]);
    again
}

/// What changed about a flow or since, where the answer is another by it.
fn since(w: &Why) -> Vec<String> {
    let all = w.as_of.iter().flat_map(|a| a.near.iter().map(|c| ("near", c))).chain(w.changed_since.iter().map(|c| ("since", c)));
    all.map(|(how, c)| format!("{how} {} {} {}", c.kind, c.name, c.what)).collect()
}

/// By the deny rule of `p`; or for want of a rule, which is not what the datapath says.
const BY: Outcome = Outcome::DeniedByRule;
const NOT: Outcome = Outcome::DefaultDeny;

#[test]
fn an_address_that_moved_from_one_group_to_another_is_blamed_on_the_one_that_had_it_then() {
    for rule in ["cidrGroupRef: g", "cidrGroupSelector: {matchLabels: {role: bad}}"] {
        let spec = format!("{{endpointSelector: {{matchLabels: {{app: db}}}}, ingressDeny: [{{fromCIDRSet: [{{{rule}}}]}}]}}");
        let fact = if rule.contains("Ref") { "cidr-group:g" } else { "cidr-groups" };
        let mut e = watched(&spec);
        assert_eq!(from(&mut e, 899, WORLD, "203.0.113.9").outcome, BY);
        apply(&mut e, 1_000, &group("g", "bad", "198.51.100.0/24"));
        assert_eq!(about(fact, |s| from(&mut e, s, WORLD, "203.0.113.9")), [BY, NOT], "{rule}: the address that left");
        assert_eq!(about(fact, |s| from(&mut e, s, WORLD, "198.51.100.9")), [NOT, BY], "{rule}: the address that came");
        // What holds by both is certain.
        apply(&mut e, 2_000, &group("g", "bad", "198.51.100.0/25"));
        assert_eq!([1_990, 2_010].map(|s| from(&mut e, s, WORLD, "198.51.100.9").outcome), [BY, BY]);
    }
}

#[test]
fn a_group_that_came_after_a_flow_is_not_what_dropped_it() {
    let mut e = watched(
        "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {role: late}}}]}]}",
    );
    apply(&mut e, 1_000, &group("late", "late", "203.0.113.0/24"));
    assert_eq!(about("cidr-groups", |s| from(&mut e, s, WORLD, "203.0.113.9")), [NOT, BY]);
}

#[test]
fn what_changed_since_is_named_where_the_answer_is_another_by_it() {
    let mut e = watched("{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromCIDRSet: [{cidrGroupRef: g}]}]}");
    apply(&mut e, 1_000, &group("g", "bad", "203.0.113.0/25"));
    assert!(since(&from(&mut e, 900, WORLD, "203.0.113.9")).is_empty(), "it is the same by both");
    assert_eq!(since(&from(&mut e, 900, WORLD, "203.0.113.200")), ["since CiliumCIDRGroup g changed"]);
    apply(&mut e, 2_000, &group("other", "bad", "198.51.100.0/24"));
    apply(&mut e, 2_000, &group("g", "bad", "192.0.2.0/24"));
    assert_eq!(since(&from(&mut e, 1_500, WORLD, "203.0.113.9")), ["since CiliumCIDRGroup g changed"], "not the other one");
    let told = [1_980, 2_020, 2_100].map(|s| since(&from(&mut e, s, WORLD, "203.0.113.9")).join(", "));
    assert_eq!(told, ["near CiliumCIDRGroup g changed, since CiliumCIDRGroup g changed", "near CiliumCIDRGroup g changed", ""]);
}

#[test]
fn an_address_of_a_node_that_is_gone_was_the_nodes_then_and_is_the_worlds_now() {
    for (entity, then) in [("world", [NOT, BY]), ("remote-node", [BY, NOT])] {
        let mut e = watched(&format!("{{endpointSelector: {{matchLabels: {{app: db}}}}, ingressDeny: [{{fromEntities: [{entity}]}}]}}"));
        apply(&mut e, -900, "kind: Node\napiVersion: v1\nmetadata: {name: n2}\nstatus: {addresses: [{address: 172.18.0.9}]}\n");
        assert_eq!(from(&mut e, 899, BARE, "172.18.0.9").outcome, then[0]);
        tell(&mut e, "", 1_000, Change::Remove(id("", "Node", "", "n2")));
        assert_eq!(about("version:Node n2", |s| from(&mut e, s, BARE, "172.18.0.9")), then, "{entity}");
        let told = [500, 980, 1_500].map(|s| since(&from(&mut e, s, BARE, "172.18.0.9")).join(", "));
        assert_eq!(told, ["since Node n2 removed", "near Node n2 removed, since Node n2 removed", ""]);
    }
}

#[test]
fn what_a_node_was_labelled_is_asked_of_the_time_of_the_flow() {
    let mut e = watched("{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromNodes: [{matchLabels: {zone: a}}]}]}");
    let node = |zone: &str| {
        format!(
            "kind: Node\napiVersion: v1\nmetadata: {{name: n2, labels: {{zone: {zone}}}}}\nstatus: {{addresses: [{{address: 172.18.0.9}}]}}\n"
        )
    };
    apply(&mut e, -900, &node("a"));
    apply(&mut e, 1_000, &node("b"));
    let side = r#"{"identity":6,"labels":["reserved:remote-node"]}"#;
    assert_eq!(about("node-labels:remote-node", |s| from(&mut e, s, side, "172.18.0.9")), [BY, NOT]);
}

fn service(name: &str, ip: &str, app: &str, port: u16) -> String {
    format!(
        "kind: Service\napiVersion: v1\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{clusterIP: {ip}, selector: {{app: {app}}}, ports: [{{port: 5432, protocol: TCP, targetPort: {port}}}]}}\n---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {{name: {name}-x, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\nendpoints: [{{addresses: [10.0.0.2]}}]\n"
    )
}

#[test]
fn a_service_that_led_to_another_port_is_judged_by_the_port_of_then() {
    let mut e = watched(
        "{endpointSelector: {matchLabels: {app: cart}}, egressDeny: [{toEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: '5432', protocol: TCP}]}]}]}",
    );
    apply(&mut e, 1_000, &service("db", "10.96.0.7", "db", 9_999));
    assert_eq!(about("version:Service shop/db", |s| to(&mut e, s, WORLD, "10.96.0.7")), [BY, NOT]);
}

#[test]
fn an_address_that_another_service_got_was_the_firsts_before() {
    let mut e = watched("{endpointSelector: {matchLabels: {app: cart}}, egressDeny: [{toEndpoints: [{matchLabels: {app: db}}]}]}");
    tell(&mut e, "", 1_000, Change::Remove(id("", "Service", "shop", "db")));
    apply(&mut e, 1_000, &service("other", "10.96.0.7", "db", 5_432).replace("10.0.0.2", "10.0.0.1"));
    assert_eq!(about("version:Service shop/db", |s| to(&mut e, s, WORLD, "10.96.0.7")), [BY, NOT]);
}

#[test]
fn whom_a_rule_means_by_a_service_is_asked_of_the_time_of_the_flow() {
    for (rule, fact) in [
        ("k8sService: {serviceName: web, namespace: shop}", "service:shop/web"),
        ("k8sService: {serviceName: web}", "service:shop/web"),
        ("k8sServiceSelector: {namespace: shop, selector: {matchLabels: {tier: x}}}", "service:shop/web"),
    ] {
        let mut e = watched(&format!("{{endpointSelector: {{matchLabels: {{app: cart}}}}, egress: [{{toServices: [{{{rule}}}]}}]}}"));
        let web = |app: &str| {
            format!(
                "kind: Service\napiVersion: v1\nmetadata: {{name: web, namespace: shop, labels: {{tier: x}}}}\nspec: {{clusterIP: 10.96.0.8, selector: {{app: {app}}}}}\n"
            )
        };
        apply(&mut e, -900, &web("web"));
        let at = |e: &mut Engine, s| told(e, &dropped(s, "EGRESS", [CART, DB], ["10.0.0.1", "10.0.0.2"]));
        assert_eq!(at(&mut e, 899).outcome, NOT, "{rule}");
        apply(&mut e, 1_000, &web("db"));
        assert_eq!(about(fact, |s| at(&mut e, s)), [NOT, Outcome::NowAllowed], "{rule}");
    }
}

#[test]
fn the_addresses_behind_a_service_without_a_selector_are_those_of_the_time_of_the_flow() {
    let mut e = watched(
        "{endpointSelector: {matchLabels: {app: cart}}, egress: [{toServices: [{k8sService: {serviceName: ext, namespace: shop}}]}]}",
    );
    let ext = |ip: &str| {
        format!(
            "kind: Service\napiVersion: v1\nmetadata: {{name: ext, namespace: shop}}\nspec: {{clusterIP: 10.96.0.8}}\n---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {{name: ext-x, namespace: shop, labels: {{kubernetes.io/service-name: ext}}}}\nendpoints: [{{addresses: [{ip}]}}]\n"
        )
    };
    apply(&mut e, -900, &ext("203.0.113.1"));
    let at = |e: &mut Engine, s| told(e, &dropped(s, "EGRESS", [CART, WORLD], ["10.0.0.1", "203.0.113.9"]));
    assert_eq!(at(&mut e, 899).outcome, NOT);
    apply(&mut e, 1_000, &ext("203.0.113.9"));
    assert_eq!(about("endpoints:shop/ext", |s| at(&mut e, s)), [NOT, Outcome::NowAllowed]);
}

#[test]
fn what_a_namespace_was_that_is_forgotten_is_missing_and_not_taken_from_the_one_that_has_its_name_now() {
    let mut e = watched(
        "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.env': dev}}]}]}",
    );
    let namespace =
        |name: &str, env: &str| format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: {name}, labels: {{env: {env}}}}}\n");
    let far = CART.replace("shop", "far");
    apply(&mut e, 100, &namespace("far", "prod"));
    tell(&mut e, "", 500, Change::Remove(id("", "Namespace", "", "far")));
    assert_eq!(from(&mut e, 300, &far, "10.0.0.1").outcome, NOT);
    for n in 0..5_000 {
        let name = format!("preview-{n}");
        apply(&mut e, 600 + n, &namespace(&name, "dev"));
        tell(&mut e, "", 601 + n, Change::Remove(id("", "Namespace", "", &name)));
    }
    apply(&mut e, 10_000, &namespace("far", "dev"));
    let w = from(&mut e, 301, &far, "10.0.0.1");
    assert_eq!((w.outcome, w.missing.as_slice()), (Outcome::Undecidable, &["namespace-labels:far".to_owned()][..]));
    assert!(e.ledger().addresses_forgotten > 800, "{}", e.ledger().addresses_forgotten);
    assert_eq!(from(&mut e, 10_100, &far, "10.0.0.1").outcome, BY);
}

#[test]
fn who_stood_behind_a_service_that_is_forgotten_is_missing_and_not_taken_from_the_pods_of_now() {
    let mut e = watched("{endpointSelector: {matchLabels: {app: cart}}, egressDeny: [{toEndpoints: [{matchLabels: {app: db}}]}]}");
    let slice = |name: &str, ip: &str| {
        format!(
            "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {{name: {name}-x, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\nendpoints: [{{addresses: [{ip}]}}]\n"
        )
    };
    let gone = |name: &str| Change::Remove(id("discovery.k8s.io", "EndpointSlice", "shop", &format!("{name}-x")));
    assert_eq!(to(&mut e, 100, BARE, "10.96.0.7").outcome, BY);
    tell(&mut e, "", 500, gone("db"));
    for n in 0..5_000 {
        let name = format!("preview-{n}");
        apply(&mut e, 600 + n, &slice(&name, "10.0.0.99"));
        tell(&mut e, "", 601 + n, gone(&name));
    }
    apply(&mut e, 10_000, &slice("db", "10.0.0.1"));
    let w = to(&mut e, 101, BARE, "10.96.0.7");
    assert_eq!(w.outcome, Outcome::Undecidable, "{w:#?}");
    assert!(!w.missing.is_empty() && e.ledger().addresses_forgotten > 800, "{:?}", w.missing);
}
