//! A cluster that lives: objects that go, kinds of which not everything is known.
use super::reader::{Agreement, Outcome};
use super::scene::{Scene, drop, pod};
use super::{SHOP, cart, db};
use flowhy::model::input::{Change, Kind, KindState, ObjectId};
use flowhy::model::observed::{Direction as D, L4, Verdict};

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
    assert!(ips(&s).is_none() && !s.world.is_service(ip("10.96.0.1")) && s.world.node_at(ip("192.168.0.1")).is_none());
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
