//! A cluster that lives: objects that go, kinds of which not everything is known.
use super::reader::{Agreement, Outcome};
use super::scene::{Scene, drop, pod};
use super::{SHOP, cart, db};
use flowhy::model::input::{Change, Kind, KindState, ObjectId};
use flowhy::model::live::{Condition, Live};
use flowhy::model::observed::{Direction as D, L4, Verdict};
use flowhy::world::yaml;
use std::sync::Arc;

pub fn kind(group: &str, kind: &str, state: KindState) -> Change {
    Change::Kind(Kind { group: group.into(), kind: kind.into(), state })
}

pub fn id(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
    ObjectId { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

fn tell(s: &mut Scene, change: &Change) {
    s.world.apply(change);
    s.set.turn(change);
}

const CNP: (&str, &str) = ("cilium.io", "CiliumNetworkPolicy");

#[test]
fn a_policy_that_is_removed_is_no_more() {
    let mut s = Scene::new(&[("a.yaml", SHOP), ("b.yaml", SHOP)]);
    let o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    assert_eq!((s.set.len(), s.why(&o).outcome), (2, Outcome::DefaultDeny));
    tell(&mut s, &Change::Remove(id("cilium.io", "NetworkPolicy", "shop", "db-ingress")));
    assert_eq!(s.set.len(), 2, "another group's kind");
    tell(&mut s, &Change::Remove(id("networking.k8s.io", "NetworkPolicy", "shop", "db-ingress")));
    let w = s.why(&o);
    assert_eq!((s.set.len(), s.set.is_empty(), w.outcome, w.policies.len()), (0, true, Outcome::NowAllowed, 0));
    s.add("a.yaml", SHOP);
    assert_eq!((s.set.len(), s.why(&o).names()), (1, vec!["shop/db-ingress".to_owned()]));
}

#[test]
fn an_object_that_turns_bad_stands_once_and_leaves_for_good() {
    let good = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{}]}\n";
    let bad = good.replace("ingress: [{}]", "ingress: [{fromCIDR: [x]}]");
    let mut s = Scene::new(&[("p", good)]);
    let count = |s: &Scene| (s.set.len(), s.set.refused().len());
    assert_eq!(count(&s), (1, 0));
    s.add("p", &bad);
    s.add("p", &bad);
    assert_eq!(count(&s), (0, 1));
    s.add("p", good);
    assert_eq!(count(&s), (1, 0));
    s.add("p", &bad);
    tell(&mut s, &Change::Remove(id("cilium.io", "CiliumNetworkPolicy", "shop", "p")));
    assert_eq!(count(&s), (0, 0));
}

#[test]
fn what_the_world_loses_is_unknown_again() {
    let world = "kind: Namespace\napiVersion: v1\nmetadata: {name: jobs, labels: {team: data}}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: etl, namespace: jobs, labels: {app: etl}}\nspec: {}\nstatus: {podIP: 10.0.0.9}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.1}\n---\nkind: Node\napiVersion: v1\nmetadata: {name: n}\nstatus: {addresses: [{address: 192.168.0.1}]}\n---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}\nendpoints: [{addresses: [10.0.0.1]}]\n---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: db-2, namespace: shop, labels: {kubernetes.io/service-name: db}}\nendpoints: [{addresses: [10.0.0.2]}]\n";
    let mut s = Scene::new(&[("p.yaml", SHOP), ("w.yaml", world)]);
    let before = s.world.generation();
    s.add("w.yaml", world);
    assert_eq!(s.world.generation(), before, "nothing new");
    let bare = flowhy::model::observed::Party { labels: Vec::new(), ..pod("jobs", "etl", "") };
    let o = drop(bare, db(), L4::Tcp, 5432, Some(D::Ingress));
    assert_eq!(s.why(&o).outcome, Outcome::NowAllowed, "its namespace has team=data");
    let gone = |s: &mut Scene, group, kind, ns, name| tell(s, &Change::Remove(id(group, kind, ns, name)));
    gone(&mut s, "", "Pod", "jobs", "etl");
    gone(&mut s, "", "Namespace", "", "jobs");
    assert_eq!((s.why(&o).outcome, s.world.pod_at("10.0.0.9".parse().unwrap())), (Outcome::Undecidable, None));
    let ips = |s: &Scene| s.world.service_endpoints("shop", "db").map(<[_]>::len);
    assert_eq!(ips(&s), Some(2));
    gone(&mut s, "discovery.k8s.io", "EndpointSlice", "shop", "db-1");
    assert_eq!(ips(&s), Some(1));
    gone(&mut s, "discovery.k8s.io", "EndpointSlice", "shop", "db-2");
    gone(&mut s, "", "Service", "shop", "db");
    gone(&mut s, "", "Node", "", "n");
    let ip = |s: &str| s.parse().unwrap();
    assert!(ips(&s).is_none() && !s.world.is_service(ip("10.96.0.1"), None) && s.world.nodes_at(ip("192.168.0.1"), None).is_empty());
}

#[test]
fn a_kind_that_may_not_be_read_leaves_what_the_datapath_confirms() {
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    tell(&mut s, &kind(CNP.0, CNP.1, KindState::Forbidden("list ciliumnetworkpolicies".into())));
    let denied = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    let w = s.why(&denied);
    assert_eq!((w.outcome, w.agreement, w.names()), (Outcome::DefaultDeny, Agreement::Unknown, vec!["shop/db-ingress".to_owned()]));
    assert!(w.because[0].starts_with("by what can be read; ciliumnetworkpolicies may not be read"), "{:?}", w.because);
    let missing = vec!["policies:ciliumnetworkpolicies forbidden".to_owned()];
    // Which side it was depends on rules that nobody has read.
    let w = s.why(&flowhy::model::observed::Observed { direction: None, ..denied.clone() });
    assert_eq!((w.outcome, &w.missing), (Outcome::Undecidable, &missing));
    // That it is allowed now is what the policies at hand say, not the cluster.
    let allowed = drop(cart(), db(), L4::Tcp, 5432, Some(D::Ingress));
    let w = s.why(&allowed);
    assert_eq!((w.outcome, &w.missing, w.policies.len()), (Outcome::Undecidable, &missing, 0));
    // The datapath says that a deny rule matched: none that can be read.
    let w = s.why(&flowhy::model::observed::Observed { drop_reason: 181, ..denied.clone() });
    assert_eq!((w.outcome, &w.missing), (Outcome::Undecidable, &missing));
    // What passed, passed; only that nothing isolates is not known.
    let mut passed = flowhy::model::observed::Observed { verdict: Verdict::Forwarded, drop_reason: 0, ..allowed.clone() };
    assert_eq!((s.why(&passed).outcome, s.why(&passed).agreement), (Outcome::Allowed, Agreement::Agrees));
    passed.dst = pod("web", "x", "app=x");
    assert_eq!((s.why(&passed).outcome, s.why(&passed).agreement), (Outcome::Allowed, Agreement::Unknown));
    for state in [KindState::Loading, KindState::Stale("connection refused".into())] {
        tell(&mut s, &kind(CNP.0, CNP.1, state));
        assert_eq!(s.why(&allowed).outcome, Outcome::Undecidable);
    }
    for state in [KindState::Synced, KindState::Absent] {
        tell(&mut s, &kind(CNP.0, CNP.1, KindState::Loading));
        tell(&mut s, &kind(CNP.0, CNP.1, state));
        assert_eq!((s.why(&allowed).outcome, s.why(&denied).agreement), (Outcome::NowAllowed, Agreement::Agrees));
    }
    // Of a kind that is no policy nothing is said here: facts that it leaves out are named where they matter.
    tell(&mut s, &kind("", "Pod", KindState::Forbidden(String::new())));
    assert_eq!(s.why(&denied).agreement, Agreement::Agrees);
}

#[test]
fn a_broken_watch_keeps_nothing_for_the_named_policy_may_be_gone() {
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    let denied = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    tell(&mut s, &kind("networking.k8s.io", "NetworkPolicy", KindState::Stale("connection refused".into())));
    let w = s.why(&denied);
    assert_eq!((w.outcome, w.policies.len(), &w.missing), (Outcome::Undecidable, 0, &vec!["policies:networkpolicies stale".to_owned()]));
    // Nor is a rule that allowed it.
    let passed = flowhy::model::observed::Observed { verdict: Verdict::Forwarded, drop_reason: 0, dst_port: 5432, ..denied };
    assert_eq!((s.why(&passed).outcome, s.why(&passed).agreement), (Outcome::Allowed, Agreement::Unknown));
}

#[test]
fn sides_say_nothing_certain_where_policies_are_unread() {
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    let o = drop(cart(), db(), L4::Tcp, 5433, None);
    assert_eq!(s.why(&o).sides.len(), 2);
    tell(&mut s, &kind(CNP.0, CNP.1, KindState::Forbidden(String::new())));
    assert_eq!((s.why(&o).outcome, s.why(&o).sides.len()), (Outcome::Undecidable, 0));
}

#[test]
fn a_denial_by_a_policy_that_is_not_valid_is_no_agreement_wherever_its_status_is_kept() {
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}\n";
    let o = flowhy::model::observed::Observed { drop_reason: 181, ..drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress)) };
    let mut s = Scene::new(&[("p", deny)]);
    assert_eq!((s.why(&o).outcome, s.why(&o).agreement), (Outcome::DeniedByRule, Agreement::Agrees));
    let bad = |s: &Scene| {
        let w = s.why(&o);
        let told = w.because.iter().any(|b| b.starts_with("Cilium reports CiliumNetworkPolicy shop/p as not valid (bad)"));
        (w.outcome, w.agreement, told)
    };
    let wanted = (Outcome::DeniedByRule, Agreement::Unknown, true);
    // In a file.
    let written = Scene::new(&[("p", &format!("{deny}status: {{conditions: [{{type: Valid, status: 'False', message: bad}}]}}\n"))]);
    assert_eq!(bad(&written), wanted);
    // As the API has it.
    let condition = Condition { kind: "Valid".into(), status: "False".into(), reason: String::new(), message: "bad".into() };
    let live = Live { conditions: vec![condition], ..Live::default() };
    let doc = yaml::read("p", deny).0.remove(0);
    tell(&mut s, &Change::Apply(Arc::new(flowhy::model::doc::Doc { live: Some(Arc::new(live)), ..doc })));
    assert_eq!(bad(&s), wanted);
}

#[test]
fn a_question_is_not_answered_for_policies_that_nobody_has_read() {
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    let ask = |s: &Scene| {
        let (a, b) = (s.world.endpoint(&cart()), s.world.endpoint(&db()));
        let traffic = flowhy::policy::eval::Traffic { l4: Some(L4::Tcp), port: Some(5432), ..Default::default() };
        let a = flowhy::policy::explain::question::question(&a, &b, &traffic, &s.world, &s.set, &s.opt);
        (a.why.outcome.word(), a.why.missing)
    };
    assert_eq!(ask(&s).0, "allowed");
    tell(&mut s, &kind(CNP.0, CNP.1, KindState::Loading));
    assert_eq!(ask(&s), ("undecidable", vec!["policies:ciliumnetworkpolicies loading".to_owned()]));
}

/// A Cilium policy by which pods of `app: cart` may go outside, and a cluster with a pod and a node.
fn outward() -> Scene {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: cart}}, egress: [{toEntities: [world]}]}\n";
    let cluster = "kind: Pod\napiVersion: v1\nmetadata: {name: cart-0, namespace: shop, labels: {app: cart}}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.7}\n---\nkind: Node\napiVersion: v1\nmetadata: {name: n1}\nstatus: {addresses: [{address: 172.18.0.2}]}\n---\nkind: Node\napiVersion: v1\nmetadata: {name: n2}\nstatus: {addresses: [{address: 172.18.0.3}]}\n";
    Scene::new(&[("out.yaml", policy), ("w.yaml", cluster)])
}

fn to(ip: &str) -> flowhy::model::observed::Observed {
    let dst = flowhy::model::observed::Party { ip: ip.parse().ok(), ..Default::default() };
    drop(cart(), dst, L4::Tcp, 443, Some(D::Egress))
}

#[test]
fn while_pods_nodes_or_services_are_not_all_known_no_address_is_called_outside() {
    let mut s = outward();
    let o = to("198.51.100.7");
    assert_eq!(s.why(&o).outcome, Outcome::NowAllowed, "it is outside");
    for (name, fact) in [("Pod", "pods"), ("Node", "nodes"), ("Service", "services")] {
        for (state, how) in [
            (KindState::Loading, "loading"),
            (KindState::Forbidden("list".into()), "forbidden"),
            (KindState::Stale("gone".into()), "stale"),
        ] {
            tell(&mut s, &kind("", name, state));
            let w = s.why(&o);
            let wanted = vec!["labels:198.51.100.7".to_owned(), format!("{fact} {how}")];
            assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, wanted));
            assert!(w.because.iter().any(|b| b.starts_with("whose 198.51.100.7 was is not certain")), "{:?}", w.because);
        }
        tell(&mut s, &kind("", name, KindState::Synced));
        assert_eq!(s.why(&o).outcome, Outcome::NowAllowed);
    }
}

#[test]
fn a_pod_found_by_its_address_is_not_believed_against_node_or_name() {
    let mut s = outward();
    s.opt.engine = flowhy::policy::Engine::Cilium;
    let bare = |o: &flowhy::model::observed::Observed| {
        let src = flowhy::model::observed::Party { ip: "10.0.0.7".parse().ok(), ..Default::default() };
        flowhy::model::observed::Observed { src, dst_port: 80, ..o.clone() }
    };
    let o = flowhy::model::observed::Observed { node: "default/n1".into(), ..bare(&to("172.18.0.3")) };
    assert_eq!((s.why(&o).outcome, s.why(&o).names()), (Outcome::DefaultDeny, vec!["shop/out".to_owned()]));
    let o = flowhy::model::observed::Observed { node: "default/n2".into(), ..o };
    let w = s.why(&o);
    assert_eq!((w.outcome, w.policies.len()), (Outcome::Undecidable, 0));
    assert!(w.because.iter().any(|b| b.starts_with("10.0.0.7 was shop/cart-0's, on another node")), "{:?}", w.because);
    // The record names a pod that never had the address: both are said.
    let mut o = flowhy::model::observed::Observed { node: "default/n1".into(), ..o };
    (o.src.namespace, o.src.pod) = ("shop".into(), "mail-0".into());
    s.add("m.yaml", "kind: Pod\napiVersion: v1\nmetadata: {name: mail-0, namespace: shop, labels: {app: cart}}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.9}\n");
    let w = s.why(&o);
    let told = w.because.iter().any(|b| b == "the record names shop/mail-0 at 10.0.0.7, which was shop/cart-0's then");
    assert_eq!((w.outcome, w.agreement, told), (Outcome::DefaultDeny, Agreement::Unknown, true), "{:?}", w.because);
}

#[test]
fn a_namespaces_labels_are_those_of_the_flows_time() {
    use flowhy::model::time::Nanos;
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    let at = |n: i64| Some(Nanos(n * Nanos::SECOND));
    let labelled = |team: &str| {
        let text = format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: jobs, labels: {{team: {team}}}}}\n");
        Change::Apply(Arc::new(yaml::read("Namespace/jobs", &text).0.remove(0)))
    };
    let src = flowhy::model::observed::Party {
        labels: vec!["k8s:app=etl".into(), "k8s:io.kubernetes.pod.namespace=jobs".into()],
        ..pod("jobs", "etl", "")
    };
    let why = |s: &Scene, n| {
        let o = flowhy::model::observed::Observed { at: at(n), ..drop(src.clone(), db(), L4::Tcp, 5432, Some(D::Ingress)) };
        flowhy::policy::explain(&o, &s.world, &s.set, &s.opt).why.outcome.word()
    };
    s.world.apply_at(&labelled("data"), at(100));
    s.world.apply_at(&labelled("ops"), at(1_000));
    // By the first it may, by the second not, and about the change either may have been known.
    assert_eq!([why(&s, 500), why(&s, 1_000), why(&s, 2_000)], ["now-allowed", "undecidable", "default-deny"]);
    // Found so by a first list: what it was before its last write, nobody knows.
    let mut s = Scene::new(&[("p.yaml", SHOP)]);
    s.world.apply_at(&kind("", "Namespace", KindState::Loading), at(5_000));
    s.world.apply_at(&labelled("ops"), at(1_000));
    s.world.apply_at(&kind("", "Namespace", KindState::Synced), at(5_001));
    assert_eq!([why(&s, 500), why(&s, 2_000)], ["undecidable", "default-deny"]);
}

#[test]
fn a_balancer_that_is_a_proxy_is_outside() {
    let service = |mode: &str| {
        format!(
            "kind: Service\napiVersion: v1\nmetadata: {{name: db, namespace: shop}}\nspec: {{selector: {{app: cart}}}}\nstatus: {{loadBalancer: {{ingress: [{{ip: 198.51.100.7{mode}}}]}}}}\n"
        )
    };
    let stand = |mode: &str| {
        let mut s = outward();
        s.add("s.yaml", &service(mode));
        s.world.endpoints(&to("198.51.100.7"))[1].display.clone()
    };
    assert_eq!((stand(", ipMode: VIP"), stand(", ipMode: Proxy")), ("shop/db".to_owned(), "198.51.100.7".to_owned()));
}

#[test]
fn without_ciliums_proxy_a_policy_with_l7_rules_is_not_what_it_went_by() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: db}}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]}\n";
    let mut s = Scene::new(&[("p.yaml", policy)]);
    let o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    assert_eq!(s.why(&o).agreement, Agreement::Agrees);
    s.opt.without_l7 = true;
    let w = s.why(&o);
    assert_eq!((w.outcome, w.agreement), (Outcome::DefaultDeny, Agreement::Unknown));
    assert!(w.because[0].starts_with("enable-l7-proxy is off"), "{:?}", w.because);
}

#[test]
fn an_agent_that_went_by_another_version_or_rule_is_heard() {
    use flowhy::model::observed::Told;
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}\n";
    let mut s = Scene::new(&[]);
    let live = Live { generation: Some(4), uid: "u".into(), ..Live::default() };
    let doc = yaml::read("p", deny).0.remove(0);
    tell(&mut s, &Change::Apply(Arc::new(flowhy::model::doc::Doc { live: Some(Arc::new(live)), ..doc })));
    let named = flowhy::model::observed::Named { kind: "CiliumNetworkPolicy".into(), namespace: "shop".into(), name: "p".into() };
    let ask = |told: Told| {
        let told = Told { kind: named.kind.clone(), namespace: named.namespace.clone(), name: named.name.clone(), ..told };
        let mut o = flowhy::model::observed::Observed { drop_reason: 181, ..drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress)) };
        (o.reported.ingress_denied, o.reported.told) = (vec![named.clone()], vec![told]);
        let w = s.why(&o);
        (w.agreement, w.because.join("; "), w.reported.unwrap().details.unwrap()[0].clone())
    };
    let (agreement, _, details) = ask(Told { generation: Some(4), rule_index: Some(0), uid: "u".into(), ..Told::default() });
    assert_eq!((agreement, &details["generation"], &details["rule_index"]), (Agreement::Agrees, &4.into(), &0.into()));
    for (told, wanted) in [
        (
            Told { generation: Some(3), ..Told::default() },
            "the agent had generation 3 of CiliumNetworkPolicy shop/p, at hand is generation 4",
        ),
        (Told { rule_index: Some(2), ..Told::default() }, "the agent names rule 2 of CiliumNetworkPolicy shop/p"),
        (Told { uid: "v".into(), ..Told::default() }, "the agent went by another CiliumNetworkPolicy shop/p (uid v), at hand is uid u"),
    ] {
        let (agreement, because, _) = ask(told);
        assert_eq!(agreement, Agreement::Disagrees);
        assert!(because.contains(wanted), "{because}");
    }
}
