//! Kinds that could not be watched for a while: what they would have said of flows of that time is missing, and named.
use super::living::kind;
use super::time::{engine, feed, record, tell};
use flowhy::engine::Engine;
use flowhy::model::input::{Change, KindState, ObjectId};
use flowhy::model::why::Outcome;
use flowhy::world::yaml;
use std::sync::Arc;

pub(super) fn apply(e: &mut Engine, seconds: i64, text: &str) {
    let (docs, faults) = yaml::read("x", text);
    assert!(faults.is_empty(), "{faults:?}");
    docs.into_iter().for_each(|doc| tell(e, "", seconds, Change::Apply(Arc::new(doc))));
}

/// A drop of which nothing is told but what is given of both sides.
pub(super) fn dropped(seconds: i64, way: &str, [src, dst]: [&str; 2], [from, to]: [&str; 2]) -> String {
    let text = record(seconds, 5432, "DROPPED").replace(CART, src).replace(DB, dst);
    text.replace("10.0.0.1", from).replace("10.0.0.2", to).replace("INGRESS", way)
}

pub(super) const DEFAULT_DENY: &str = r#"133,"drop_reason_desc":"POLICY_DENIED""#;
pub(super) const DENY_RULE: &str = r#"181,"drop_reason_desc":"POLICY_DENY""#;
pub(super) const CART: &str =
    r#"{"namespace":"shop","pod_name":"cart-0","identity":1000,"labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]}"#;
pub(super) const DB: &str =
    r#"{"namespace":"shop","pod_name":"db-0","identity":1000,"labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=shop"]}"#;

/// Each kind that the world is made of.
const KINDS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "Node"),
    ("", "Service"),
    ("", "Namespace"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("cilium.io", "CiliumCIDRGroup"),
];

const CLUSTER: &str = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop, labels: {env: dev}}\n---\nkind: Node\napiVersion: v1\nmetadata: {name: n}\nstatus: {addresses: [{address: 172.18.0.2}]}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: cart-0, namespace: shop, labels: {app: cart}}\nspec: {nodeName: n}\nstatus: {podIP: 10.0.0.1}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: db-0, namespace: shop, labels: {app: db}}\nspec: {nodeName: n}\nstatus: {podIP: 10.0.0.2}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{port: 5432, protocol: TCP, targetPort: 5432}]}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.96.0.8, selector: {app: web}}\n---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: db-x, namespace: shop, labels: {kubernetes.io/service-name: db}}\nendpoints: [{addresses: [10.0.0.2]}]\n---\nkind: CiliumCIDRGroup\napiVersion: cilium.io/v2\nmetadata: {name: g, labels: {role: bad}}\nspec: {externalCIDRs: [203.0.113.0/24]}\n";

/// A cluster with one policy, all of it known since long ago.
pub(super) fn watched(spec: &str) -> Engine {
    let mut e = engine();
    KINDS.iter().for_each(|(g, k)| tell(&mut e, "", -3, kind(g, k, KindState::Loading)));
    apply(&mut e, -1_000, CLUSTER);
    apply(
        &mut e,
        -1_000,
        &format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"),
    );
    KINDS.iter().for_each(|(g, k)| tell(&mut e, "", -1, kind(g, k, KindState::Synced)));
    e
}

/// What a flow comes to, told at once and explained again: whether `p` is blamed, and what is missing.
fn told(e: &mut Engine, text: &str) -> (bool, Vec<String>) {
    let first = feed(e, "relay", text).unwrap();
    let again = e.explain(e.store().seqs().end - 1).unwrap().why;
    assert_eq!((first.outcome, &first.missing, &first.policies), (again.outcome, &again.missing, &again.policies));
    assert_eq!(first.outcome == Outcome::Undecidable, first.policies.is_empty(), "{first:?}");
    (first.policies.iter().any(|p| p.path() == "shop/p"), first.missing)
}

#[test]
fn of_a_time_in_which_a_kind_was_not_watched_nobody_is_blamed_by_it() {
    let from_cart = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]}";
    let by_namespace = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.env': dev}}]}]}";
    let to_db = "{endpointSelector: {matchLabels: {app: cart}}, egressDeny: [{toEndpoints: [{matchLabels: {app: db}}]}]}";
    let group = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromCIDRSet: [{cidrGroupRef: g}]}]}";
    let groups =
        "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {role: bad}}}]}]}";
    // A rule of which it is known that it allows something else.
    let service =
        "{endpointSelector: {matchLabels: {app: cart}}, egress: [{toServices: [{k8sService: {serviceName: web, namespace: shop}}]}]}";
    let any = "{endpointSelector: {matchLabels: {app: cart}}, egress: [{toServices: [{k8sService: {serviceName: web}}]}]}";
    let services = "{endpointSelector: {matchLabels: {app: cart}}, egress: [{toServices: [{k8sServiceSelector: {namespace: shop, selector: {matchLabels: {tier: x}}}}]}]}";
    let nodes = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEntities: [host]}]}";
    let (named, bare, world) = (r#"{"namespace":"shop","pod_name":"cart-0"}"#, "{}", r#"{"identity":2,"labels":["reserved:world"]}"#);
    let (pod, vip, out) = (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.96.0.7"], ["203.0.113.9", "10.0.0.2"]);
    for (what, way, spec, sides, ips, (group, name), fact) in [
        ("a label of a namespace", "INGRESS", by_namespace, [CART, DB], pod, KINDS[3], "namespaces"),
        ("a pod by its address", "INGRESS", from_cart, [bare, DB], pod, KINDS[0], "pods"),
        ("a pod by its name", "INGRESS", from_cart, [named, DB], pod, KINDS[0], "pods"),
        ("who is behind a service", "EGRESS", to_db, [CART, world], vip, KINDS[4], "endpointslices"),
        ("a service by its address", "EGRESS", to_db, [CART, world], vip, KINDS[2], "services"),
        ("an address group", "INGRESS", group, [world, DB], out, KINDS[5], "ciliumcidrgroups"),
        ("address groups", "INGRESS", groups, [world, DB], out, KINDS[5], "ciliumcidrgroups"),
        ("a service by its name", "EGRESS", service, [CART, DB], pod, KINDS[2], "services"),
        ("a service by half its name", "EGRESS", any, [CART, DB], pod, KINDS[2], "services"),
        ("services", "EGRESS", services, [CART, DB], pod, KINDS[2], "services"),
        ("a node", "INGRESS", nodes, [bare, DB], ["172.18.0.2", "10.0.0.2"], KINDS[1], "nodes"),
    ] {
        let mut e = watched(spec);
        let reason = if spec.contains("Deny") { DENY_RULE } else { DEFAULT_DENY };
        let at = |e: &mut Engine, seconds| told(e, &dropped(seconds, way, sides, ips).replace(DEFAULT_DENY, reason));
        let (blamed, open) = ((true, Vec::new()), |how: &str| format!("{fact} {how}"));
        assert_eq!(at(&mut e, 500), blamed, "{what}");
        for (state, how) in [
            (KindState::Forbidden("the right was taken away".into()), "forbidden"),
            (KindState::Loading, "loading"),
            (KindState::Stale("connection refused".into()), "stale"),
        ] {
            tell(&mut e, "", 1_000, kind(group, name, state));
            let (p, missing) = at(&mut e, 1_499);
            assert!(!p && missing.contains(&open(how)), "{what}: {missing:?}");
        }
        let (p, missing) = at(&mut e, 1_500);
        assert!(!p && missing.contains(&open("stale")), "{what}: {missing:?}");
        assert_eq!(at(&mut e, 501), blamed, "{what}: before it broke all was known");
        tell(&mut e, "", 2_000, kind(group, name, KindState::Synced));
        assert_eq!((at(&mut e, 502), at(&mut e, 2_500)), (blamed.clone(), blamed.clone()), "{what}");
        let (p, missing) = at(&mut e, 1_501);
        assert!(!p && missing.contains(&open("stale then")), "{what}: {missing:?}");
        assert_eq!(at(&mut e, 2_501), blamed, "{what}");
    }
}

#[test]
fn a_pods_name_or_address_is_no_proof_of_the_labels_that_it_had_then() {
    let from_cart = "{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]}";
    let pod = |started: &str, ip: &str, app: &str| {
        format!(
            "kind: Pod\napiVersion: v1\nmetadata: {{name: cart-0, namespace: shop, labels: {{app: {app}, team: shop}}}}\nspec: {{nodeName: n}}\nstatus: {{podIP: {ip}, startTime: '2026-01-01T{started}Z'}}\n"
        )
    };
    let (named, bare) = (r#"{"namespace":"shop","pod_name":"cart-0"}"#, "{}");
    let at = |e: &mut Engine, seconds, src: &str, ip: &str| {
        told(e, &dropped(seconds, "INGRESS", [src, DB], [ip, "10.0.0.2"]).replace(DEFAULT_DENY, DENY_RULE))
    };
    let (blamed, open) =
        ((true, Vec::new()), |(p, missing): (bool, Vec<String>)| !p && missing.contains(&"version:Pod shop/cart-0".to_owned()));
    // Found with labels that were written ten minutes after it was started.
    let mut e = engine();
    KINDS.iter().for_each(|(g, k)| tell(&mut e, "", -3, kind(g, k, KindState::Loading)));
    apply(&mut e, -1_000, CLUSTER);
    tell(&mut e, "", -900, gone_pod());
    apply(&mut e, 600, &pod("10:00:00", "10.0.0.1", "cart"));
    apply(
        &mut e,
        -1_000,
        &format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {from_cart}\n"),
    );
    KINDS.iter().for_each(|(g, k)| tell(&mut e, "", 900, kind(g, k, KindState::Synced)));
    for src in [named, bare] {
        for seconds in [300, 625] {
            let found = at(&mut e, seconds, src, "10.0.0.1");
            assert!(open(found.clone()), "{src} {seconds}: {found:?}");
        }
        assert_eq!(at(&mut e, 631, src, "10.0.0.1"), blamed, "{src}");
    }
    // Another one of its name had another address then.
    for seconds in [-300, 1_000] {
        let found = at(&mut e, seconds, named, "10.0.0.77");
        assert!(open(found.clone()), "{seconds}: {found:?}");
    }
    assert_eq!(at(&mut e, 1_000, named, "10.0.0.1"), blamed);
    // Its labels change while it is watched: a node may go by either for a while.
    apply(&mut e, 2_000, &pod("10:00:00", "10.0.0.1", "old"));
    for src in [named, bare] {
        assert_eq!(at(&mut e, 1_960, src, "10.0.0.1"), blamed, "{src}");
        for seconds in [1_980, 2_020] {
            let found = at(&mut e, seconds, src, "10.0.0.1");
            assert!(open(found.clone()), "{src} {seconds}: {found:?}");
        }
        assert!(!open(at(&mut e, 2_040, src, "10.0.0.1")), "{src}: by then every node has the new ones");
    }
    let by_team = from_cart.replace("app: cart", "team: shop");
    apply(
        &mut e,
        2_000,
        &format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {by_team}\n"),
    );
    apply(&mut e, 3_000, &pod("10:00:00", "10.0.0.1", "cart"));
    assert_eq!(at(&mut e, 3_010, bare, "10.0.0.1"), blamed, "that label it had before and after");
}

fn gone_pod() -> Change {
    let (group, kind, namespace, name) = (String::new(), "Pod".to_owned(), "shop".to_owned(), "cart-0".to_owned());
    Change::Remove(ObjectId { group, kind, namespace, name })
}

#[test]
fn what_a_record_says_itself_needs_no_watch() {
    let mut e = watched("{endpointSelector: {matchLabels: {app: db}}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]}");
    KINDS.iter().for_each(|(g, k)| tell(&mut e, "", 1_000, kind(g, k, KindState::Stale("connection refused".into()))));
    let text = dropped(1_500, "INGRESS", [CART, DB], ["10.0.0.1", "10.0.0.2"]).replace(DEFAULT_DENY, DENY_RULE);
    assert_eq!(told(&mut e, &text), (true, Vec::new()), "labels that stand in the record are the record's own");
}
