//! Records that say less than they seem to: a side that is always the same, an identity without its labels, an answer not marked as one.
use super::living::kind;
use super::reader::{self, Agreement, Direction, Outcome};
use super::scene::{Scene, drop, pod, world_ip};
use super::{CNP, SHOP, api, cart, db};
use flowhy::model::input::KindState;
use flowhy::model::observed::{Direction as D, L4, Party};

/// Retina writes INGRESS on every drop, and calls whatever netfilter drops a policy's.
#[test]
fn a_side_that_cannot_be_trusted_is_not_taken() {
    let retina = |src, dst, port| {
        let mut o = drop(src, dst, L4::Tcp, port, Some(D::Ingress));
        (o.event, o.is_reply, o.emitter) = (Some((1, 133)), None, "retina".into());
        o
    };
    let out = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress]}\n";
    let s = Scene::new(&[("p.yaml", SHOP), ("o.yaml", out)]);
    let sides = |w: &reader::Why| w.sides.iter().map(|x| (x.direction, x.outcome, reader::names(&x.policies))).collect::<Vec<_>>();
    let w = s.why(&retina(cart(), db(), 5433));
    assert_eq!((w.outcome, w.direction, w.names()), (Outcome::DefaultDeny, Some(Direction::Egress), vec!["shop/out".to_owned()]));
    assert_eq!(
        sides(&w),
        [
            (Direction::Egress, Outcome::DefaultDeny, vec!["shop/out".to_owned()]),
            (Direction::Ingress, Outcome::DefaultDeny, vec!["shop/db-ingress".to_owned()])
        ]
    );
    // The record says ingress, and only egress denies.
    let w = s.why(&retina(cart(), db(), 5432));
    assert_eq!((w.outcome, w.direction, w.subject.as_deref()), (Outcome::DefaultDeny, Some(Direction::Egress), Some("shop/cart-0")));
    // Neither does: then it need not have been a policy.
    let w = s.why(&retina(db(), pod("web", "x", "app=x"), 80));
    assert_eq!(w.outcome, Outcome::NowAllowed);
    assert!(w.because[0].contains("netfilter"), "{:?}", w.because);
    assert_eq!(w.text, "dropped by iptables, but no policy explains it");
    let mut windows = retina(cart(), db(), 5433);
    windows.drop_reason = 0;
    let w = s.why(&windows);
    assert_eq!(
        (w.outcome, w.missing, w.policies.len()),
        (Outcome::Undecidable, vec!["drop-reason".to_owned()], 0),
        "no rule of netfilter's"
    );
    // Its reason tells default deny and deny rules not apart.
    let s = Scene::new(&[("c.yaml", CNP)]);
    let w = s.why(&retina(pod("shop", "evil", "app=evil"), api(), 80));
    assert_eq!((w.outcome, w.agreement), (Outcome::DeniedByRule, Agreement::Agrees));
}

/// The number of a local identity says "outside"; which name or role it has besides, it does not say.
#[test]
fn a_local_identity_without_its_labels_is_not_plain_world() {
    let masked = |ip: &str, names: &[&str]| Party { identity: 16_777_217, labels: Vec::new(), ..world_ip(ip, names) };
    let s = Scene::new(&[("c.yaml", CNP)]);
    let why = |p: Party, port| s.why(&drop(api(), p, L4::Tcp, port, Some(D::Egress)));
    let w = why(masked("54.187.1.1", &[]), 443);
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["labels:54.187.1.1".to_owned()]));
    assert_eq!(why(masked("54.187.1.1", &[]), 80).outcome, Outcome::DefaultDeny, "no rule for the port, whatever it is");
    assert_eq!(why(world_ip("54.187.1.1", &[]), 443).outcome, Outcome::DefaultDeny, "plain world has no other label");
    let entity = CNP.replace("toFQDNs: [{matchName: api.stripe.com}]", "toEntities: [kube-apiserver]");
    let w = Scene::new(&[("c.yaml", &entity)]).why(&drop(api(), masked("10.0.0.1", &[]), L4::Tcp, 443, Some(D::Egress)));
    assert_eq!(w.outcome, Outcome::Undecidable);
    let cidr = CNP.replace("toFQDNs: [{matchName: api.stripe.com}]", "toCIDR: [54.0.0.0/8]");
    let w = Scene::new(&[("c.yaml", &cidr)]).why(&drop(api(), masked("54.187.1.1", &[]), L4::Tcp, 443, Some(D::Egress)));
    assert_eq!(w.outcome, Outcome::NowAllowed, "an address is enough for a range");
}

/// A SYN-ACK answers, whether the agent says so or not.
#[test]
fn a_syn_ack_is_judged_as_its_connection() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let mut o = drop(db(), cart(), L4::Tcp, 40_000, Some(D::Ingress));
    (o.src_port, o.is_reply, o.syn, o.syn_ack) = (5433, None, Some(false), true);
    let w = s.why(&o);
    assert_eq!((w.outcome, w.subject.as_deref(), w.agreement), (Outcome::DefaultDeny, Some("shop/db-0"), Agreement::Unknown));
}

/// A service that is meant in every namespace may stand where it has not been read.
#[test]
fn a_service_by_its_name_alone_is_no_no_where_services_are_not_known() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: cart}}, egress: [{toServices: [{k8sService: {serviceName: db}}]}]}\n";
    let service = |ns: &str, name: &str, selector: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {{{selector}}}\n")
    };
    let mut s = Scene::new(&[("p.yaml", policy)]);
    let why = |s: &Scene, to: Party| {
        let w = s.why(&drop(cart(), to, L4::Tcp, 5432, Some(D::Egress)));
        (w.outcome, w.missing)
    };
    let unknown = || (Outcome::Undecidable, vec!["service:db".to_owned()]);
    let told = |outcome| (outcome, Vec::<String>::new());
    assert_eq!(why(&s, db()), unknown(), "none of this name is known");
    s.add("s.yaml", &service("other", "db", "selector: {app: db}"));
    assert_eq!(why(&s, db()), told(Outcome::DefaultDeny), "the one of this name is of another namespace's pods");
    for state in [KindState::Loading, KindState::Forbidden("list".into())] {
        s.world.apply(&kind("", "Service", state));
        assert_eq!(why(&s, db()), unknown());
    }
    s.world.apply(&kind("", "Service", KindState::Stale("gone".into())));
    assert_eq!(why(&s, db()), (Outcome::Undecidable, vec!["service:db".to_owned(), "services stale".to_owned()]));
    s.world.apply(&kind("", "Service", KindState::Synced));
    assert_eq!(why(&s, db()), told(Outcome::DefaultDeny));
    // Of one of them the addresses are not known; the other one has this address.
    s.add("a.yaml", &service("a", "db", ""));
    s.add("b.yaml", &service("b", "db", ""));
    let outside = || world_ip("198.51.100.7", &[]);
    let missing = why(&s, outside());
    assert!(missing.0 == Outcome::Undecidable && missing.1.contains(&"endpoints:a/db".to_owned()), "{missing:?}");
    s.add("e.yaml", "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: db-1, namespace: b, labels: {kubernetes.io/service-name: db}}\nendpoints: [{addresses: [198.51.100.7]}]\n");
    assert_eq!(why(&s, outside()), told(Outcome::NowAllowed));
}
