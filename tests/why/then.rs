//! What policies are judged by besides themselves, as it was when the flow happened: settings, labels, service backends, the cluster.
use super::living::id;
use super::reader::{Agreement, Outcome, Why};
use super::time::{dropped, engine, feed, held, policy, read, record, tell};
use flowhy::engine::Engine;
use flowhy::model::input::{Change, Kind, KindState, ObjectId};
use flowhy::world::yaml;
use std::sync::Arc;

/// How the agents of cluster `east` enforce.
fn config(mode: &str) -> Change {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {{enable-policy: {mode}, cluster-name: east}}\n"
    );
    Change::Apply(Arc::new(yaml::read("ConfigMap/kube-system/cilium-config", &text).0.remove(0)))
}

#[test]
fn settings_of_then_judge_flows_of_then() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 1, config("default"));
    tell(&mut e, "", 1_000, config("never"));
    let first = dropped(&mut e, 500, 5433);
    assert_eq!((first.outcome, first.names()), (Outcome::DefaultDeny, vec!["shop/db".to_owned()]), "it was enforced then");
    assert_eq!(held(&e, 0).0.outcome, Outcome::DefaultDeny);
    assert_eq!(dropped(&mut e, 1_500, 5433).outcome, Outcome::NowAllowed);
}

#[test]
fn a_cluster_that_does_not_enforce_is_named_beside_those_that_do() {
    let mut e = engine();
    assert_eq!(e.posture(), None);
    tell(&mut e, "a", 0, config("never"));
    assert_eq!(e.posture().map(|p| p.text).as_deref(), Some("policy enforcement is off"));
    tell(&mut e, "b", 0, config("default"));
    assert_eq!(e.posture().map(|p| p.text).as_deref(), Some("a: policy enforcement is off"));
    tell(&mut e, "b", 1, config("never"));
    assert_eq!(e.posture().map(|p| p.text).as_deref(), Some("policy enforcement is off"));
}

fn node(name: &str) -> Change {
    Change::Apply(Arc::new(yaml::read("n", &format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n")).0.remove(0)))
}

fn ask_of(e: &mut Engine, from: &str, node: &str) -> Why {
    let text = record(100, 5433, "DROPPED").replace(r#""node_name":"n""#, &format!(r#""node_name":"{node}""#));
    read(&feed(e, from, &text).unwrap())
}

#[test]
fn one_server_of_another_cluster_than_the_one_that_is_read_is_judged_by_none() {
    let mut e = engine();
    let nodes = |state| Change::Kind(Kind { group: String::new(), kind: "Node".into(), state });
    tell(&mut e, "prod", 0, policy("db", 5432));
    tell(&mut e, "prod", 0, nodes(KindState::Loading));
    let early = ask_of(&mut e, "stage:4245", "stage-7").outcome;
    tell(&mut e, "prod", 0, node("prod-1"));
    tell(&mut e, "prod", 0, node("prod-2"));
    tell(&mut e, "prod", 1, nodes(KindState::Synced));
    assert_eq!((early, held(&e, 0).0.outcome), (Outcome::DefaultDeny, Outcome::Undecidable), "asked again once the nodes are in");
    for strange in ["stage-7", "default/stage-7"] {
        let w = ask_of(&mut e, "stage:4245", strange);
        assert!(w.outcome == Outcome::Undecidable && w.because[0].contains("none of their policies is asked"), "{strange}: {w:?}");
    }
    assert_eq!(ask_of(&mut e, "stage:4245", "").names(), ["shop/db"], "nothing tells");
    assert_eq!(ask_of(&mut e, "stage:4245", "default/prod-1").names(), ["shop/db"]);
    tell(
        &mut e,
        "prod",
        50,
        Change::Remove(ObjectId { group: String::new(), kind: "Node".into(), namespace: String::new(), name: "prod-2".into() }),
    );
    assert_eq!(ask_of(&mut e, "stage:4245", "prod-2").names(), ["shop/db"], "it was there");
    tell(&mut e, "prod", 60, nodes(KindState::Stale("gone".into())));
    assert_eq!(ask_of(&mut e, "stage:4245", "prod-3").names(), ["shop/db"], "it may have come since");
}

#[test]
fn a_cluster_whose_own_name_could_not_be_read_has_its_nodes() {
    let mut e = engine();
    let config =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {cluster-name: default}\n";
    tell(&mut e, "a", 0, policy("of-a", 5432));
    tell(&mut e, "a", 0, Change::Apply(Arc::new(yaml::read("c", config).0.remove(0))));
    tell(&mut e, "b", 0, policy("of-b", 5432));
    assert_eq!(ask_of(&mut e, "file", "default/n7").names(), ["shop/of-a"], "of no cluster the nodes are known");
    tell(&mut e, "a", 0, node("n1"));
    tell(&mut e, "b", 0, node("n7"));
    let told = ["default/n1", "default/n7"].map(|node| ask_of(&mut e, "file", node).names());
    assert_eq!(told, [["shop/of-a"], ["shop/of-b"]]);
}

#[test]
fn with_one_cluster_known_a_flow_of_another_is_judged_by_none() {
    let mut e = engine();
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {cluster-name: east}\n";
    tell(&mut e, "kind-dev", 0, policy("db", 5432));
    tell(&mut e, "kind-dev", 0, Change::Apply(Arc::new(yaml::read("c", config).0.remove(0))));
    let ask = |e: &mut Engine, from: &str, node: &str| {
        let text = record(100, 5433, "DROPPED").replace(r#""node_name":"n""#, &format!(r#""node_name":"{node}""#));
        read(&feed(e, from, &text).unwrap())
    };
    for node in ["east/n", "n"] {
        assert_eq!(ask(&mut e, "file", node).names(), ["shop/db"], "{node}");
    }
    let w = ask(&mut e, "file", "west/n");
    assert_eq!((w.outcome, w.missing.as_slice(), w.policies.len()), (Outcome::Undecidable, &["policies".to_owned()][..], 0));
    assert!(w.because[0].starts_with("it is of cluster west, and no cluster that is known here is that one"), "{:?}", w.because);
    assert_eq!((held(&e, 0).0.because, e.cluster_of(e.store().seqs().end - 1)), (w.because, ""));
    // Two servers that say no cluster, and one cluster of which the nodes are known.
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: aks-1}\n";
    tell(&mut e, "kind-dev", 0, Change::Apply(Arc::new(yaml::read("n", node).0.remove(0))));
    assert_eq!(
        (ask(&mut e, "relay-a", "aks-1").outcome, ask(&mut e, "relay-b", "gke-1").outcome),
        (Outcome::DefaultDeny, Outcome::Undecidable)
    );
    // Both in one recording: the name before the node's tells.
    tell(&mut e, "kind-two", 0, policy("other", 80));
    tell(&mut e, "kind-two", 0, Change::Apply(Arc::new(yaml::read("c", &config.replace("east", "west")).0.remove(0))));
    assert_eq!(
        (ask(&mut e, "file", "east/n").names(), ask(&mut e, "file", "west/n").names()),
        (vec!["shop/db".into()], vec!["shop/other".into()])
    );
    assert_eq!(ask(&mut e, "file", "north/n").outcome, Outcome::Undecidable);
}

#[test]
fn policies_are_read_as_the_version_does_that_the_agents_run() {
    let mut e = engine();
    let requires = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromRequires: [{matchLabels: {team: x}}]}]}\n";
    let agents = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: cilium, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: cilium-agent, image: 'cilium:v1.17.4'}]}}}\n";
    let apply = |text: &str| Change::Apply(Arc::new(yaml::read("x", text).0.remove(0)));
    tell(&mut e, "", 0, apply(requires));
    assert_eq!((e.policies().refused().len(), dropped(&mut e, 100, 5433).outcome), (1, Outcome::NowAllowed), "1.19 and later refuse it");
    tell(&mut e, "", 0, apply(agents));
    assert_eq!((e.policies().refused().len(), e.policies().cilium()), (0, 17));
    assert_eq!(dropped(&mut e, 101, 5433).names(), ["shop/q"]);
    let gone = id("apps", "DaemonSet", "kube-system", "cilium");
    tell(&mut e, "", 200, Change::Remove(gone));
    assert_eq!(e.policies().refused().len(), 1, "nobody says it any more");
}

#[test]
fn a_flow_of_another_cluster_by_its_sides_alone_is_explained_again_by_no_policy() {
    let mut e = engine();
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {cluster-name: east}\n";
    tell(&mut e, "kind-dev", 0, policy("db", 5432));
    tell(&mut e, "kind-dev", 0, Change::Apply(Arc::new(yaml::read("c", config).0.remove(0))));
    let west = record(100, 5433, "DROPPED").replace(r#""identity":1000"#, r#""cluster_name":"west","identity":1000"#);
    let w = read(&feed(&mut e, "file", &west).unwrap());
    assert_eq!((w.outcome, w.policies.len()), (Outcome::Undecidable, 0));
    let again = held(&e, 0).0;
    assert_eq!((again.outcome, again.policies.len(), e.cluster_of(e.store().seqs().end - 1)), (Outcome::Undecidable, 0, ""));
}

/// Whether `role: primary`, then `role: standby` may not be reached: which of two policies is it?
fn by_role(e: &mut Engine, rule: &str) {
    for role in ["primary", "standby"] {
        let text = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: no-{role}, namespace: shop}}\nspec: {}\n",
            rule.replace("ROLE", role)
        );
        tell(e, "", 0, Change::Apply(Arc::new(yaml::read(&format!("CiliumNetworkPolicy/shop/no-{role}"), &text).0.remove(0))));
    }
}

#[test]
fn who_stood_behind_a_service_then_is_not_who_stands_there_now() {
    let mut e = engine();
    let apply = |text: &str| Change::Apply(Arc::new(yaml::read("x", text).0.remove(0)));
    let db = |role: &str| {
        apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: db-0, namespace: shop, labels: {{app: db, role: {role}}}}}\nspec: {{nodeName: n}}\nstatus: {{podIP: 10.1.0.8}}\n"
        ))
    };
    tell(&mut e, "", 0, db("primary"));
    tell(
        &mut e,
        "",
        0,
        apply(
            "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{port: 5432, protocol: TCP, targetPort: 5432}]}\n",
        ),
    );
    tell(
        &mut e,
        "",
        0,
        apply(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: db-x, namespace: shop, labels: {kubernetes.io/service-name: db}}\naddressType: IPv4\nendpoints: [{addresses: [10.1.0.8]}]\n",
        ),
    );
    by_role(
        &mut e,
        "{endpointSelector: {matchLabels: {app: cart}}, egress: [{toEntities: [all]}], egressDeny: [{toEndpoints: [{matchLabels: {role: ROLE}}]}]}",
    );
    tell(&mut e, "", 1_000, db("standby"));
    let to_service = |seconds| {
        let whom = r#""destination":{"namespace":"shop","pod_name":"db-0","identity":1000,"labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=shop"]}"#;
        let text = record(seconds, 5432, "DROPPED").replace(whom, r#""destination":{"identity":2,"labels":["reserved:world"]}"#);
        text.replace("10.0.0.2", "10.96.0.7")
            .replace("INGRESS", "EGRESS")
            .replace(r#"133,"drop_reason_desc":"POLICY_DENIED""#, r#"181,"drop_reason_desc":"POLICY_DENY""#)
    };
    for (seconds, name) in [(500, "shop/no-primary"), (1_500, "shop/no-standby"), (501, "shop/no-primary")] {
        let w = feed(&mut e, "relay", &to_service(seconds)).unwrap();
        for w in [&w, &e.explain(e.store().seqs().end - 1).unwrap().why] {
            let names: Vec<_> = w.policies.iter().map(|p| p.path()).collect();
            assert_eq!((w.outcome.word(), names), ("denied-by-rule", vec![name.to_owned()]), "{seconds} {:?}", w.because);
        }
    }
}

#[test]
fn a_namespace_that_only_labels_name_is_as_it_was_then() {
    let mut e = engine();
    let web = |role: &str| {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: web, labels: {{role: {role}}}}}\n");
        Change::Apply(Arc::new(yaml::read("Namespace/web", &text).0.remove(0)))
    };
    tell(&mut e, "", 0, web("primary"));
    by_role(
        &mut e,
        "{endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.role': ROLE, 'k8s:io.kubernetes.pod.namespace': web}}]}]}",
    );
    tell(&mut e, "", 1_000, web("standby"));
    for (seconds, name) in [(500, "shop/no-primary"), (1_500, "shop/no-standby")] {
        let text = record(seconds, 5432, "DROPPED").replace(
            r#"{"namespace":"shop","pod_name":"cart-0","identity":1000,"labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]}"#,
            r#"{"identity":1001,"labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=web"]}"#,
        );
        let text = text.replace(r#"133,"drop_reason_desc":"POLICY_DENIED""#, r#"181,"drop_reason_desc":"POLICY_DENY""#);
        let w = read(&feed(&mut e, "relay", &text).unwrap());
        assert_eq!((w.outcome, w.names()), (Outcome::DeniedByRule, vec![name.to_owned()]), "{seconds} {:?}", w.because);
    }
}

fn agents(version: &str) -> Change {
    let text = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: cilium, namespace: kube-system}}\nspec: {{template: {{spec: {{containers: [{{name: cilium-agent, image: 'cilium:v{version}'}}]}}}}}}\n"
    );
    Change::Apply(Arc::new(yaml::read("ds", &text).0.remove(0)))
}

#[test]
fn before_an_upgrade_policies_are_read_as_the_agents_of_then_did() {
    let mut e = engine();
    let db = |rule: &str| {
        let text = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: q, namespace: shop}}\nspec: {{endpointSelector: {{matchLabels: {{app: db}}}}, ingress: [{{{rule}}}]}}\n"
        );
        Change::Apply(Arc::new(yaml::read("q", &text).0.remove(0)))
    };
    tell(&mut e, "", 0, agents("1.18.2"));
    tell(&mut e, "", 0, db("fromRequires: [{matchLabels: {team: x}}]"));
    assert_eq!(dropped(&mut e, 500, 5433).names(), ["shop/q"]);
    tell(&mut e, "", 1_000, agents("1.19.0"));
    assert_eq!(e.policies().refused().len(), 1, "no agent takes it now");
    let asked = |e: &mut Engine| {
        for w in [dropped(e, 501, 5433), held(e, 0).0] {
            assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["shop/q".to_owned()]), "{:?}", w.because);
        }
    };
    asked(&mut e);
    assert_eq!(dropped(&mut e, 1_500, 5433).outcome, Outcome::NowAllowed);
    // What was refused in between is undone to what it was before that.
    tell(&mut e, "", 2_000, db("fromEndpoints: [{matchLabels: {app: cart}}]"));
    assert_eq!(e.policies().refused().len(), 0);
    asked(&mut e);
    assert_eq!(dropped(&mut e, 1_501, 5433).outcome, Outcome::NowAllowed);
}

#[test]
fn about_a_change_of_settings_the_node_may_have_gone_by_either() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 1, config("default"));
    tell(&mut e, "", 1_000, config("never"));
    let w = dropped(&mut e, 1_010, 5433);
    for w in [&w, &held(&e, 0).0] {
        assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Unknown));
        assert!(
            w.because[0].starts_with("the settings that policies are judged by changed 10 s before the packet: the node may"),
            "{:?}",
            w.because
        );
    }
    assert_eq!(dropped(&mut e, 1_040, 5433).outcome, Outcome::NowAllowed);
}
