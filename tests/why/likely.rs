//! Where policies and datapath differ: which likely causes are named, and that each stands only where a fact supports it.
use super::reader::{On, Outcome};
use super::scene::{Scene, drop, pod, world_ip};
use super::{CNP, SHOP, api, cart, db};
use flowhy::model::observed::{Direction as D, L4, L7, Observed, Party};

fn nanos(time: &str) -> flowhy::model::time::Nanos {
    flowhy::model::time::Nanos::from_utc(format!("2026-04-13T{time}Z").parse().unwrap())
}

/// What the DNS proxy recorded: an answer for `to`.
fn answer(query: &str, ips: &[&str], cnames: &[&str], ttl: u32, to: Party, at: &str) -> Observed {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let l7 = L7::Dns { query: query.into(), rcode: 0, ips: own(ips), cnames: own(cnames), ttl, qtypes: vec!["A".into()] };
    // NodeLocal DNS, on its own port: whatever carried it, it is an answer.
    let src = world_ip("169.254.20.10", &[]);
    Observed { l7: Some(l7), l7_response: true, src, dst: to, src_port: 1053, at: Some(nanos(at)), ..Observed::default() }
}

/// A rule allows by name and the packet was dropped: what the pod had been answered, and when.
#[test]
fn a_name_that_had_expired_or_was_given_to_another_pod_is_evidence() {
    let mut s = Scene::new(&[("c.yaml", CNP)]);
    let syn = |at: &str| {
        let mut o = drop(api(), world_ip("54.187.1.1", &[]), L4::Tcp, 443, Some(D::Egress));
        (o.syn, o.at) = (Some(true), Some(nanos(at)));
        o
    };
    let first = |s: &Scene, at: &str| {
        let w = s.why(&syn(at));
        assert_eq!((w.outcome, w.inferred.clone()), (Outcome::NowAllowed, vec!["names:54.187.1.1".to_owned()]));
        w.because[0].clone()
    };
    s.world.observe(&answer("Api.Stripe.com.", &["54.187.1.1"], &[], 30, pod("shop", "other-0", "app=other"), "01:50:00"));
    assert_eq!(
        first(&s, "01:55:00"),
        "api.stripe.com: answered to shop/other-0 01:50:00, and to this pod no such answer was seen before · SYN 01:55:00 · identity world"
    );
    s.world.observe(&answer("api.stripe.com.", &["54.187.1.1"], &[], 30, api(), "01:57:02"));
    assert_eq!(
        first(&s, "01:59:40"),
        "api.stripe.com: answered to this pod 01:57:02, ttl 30 · SYN 01:59:40, 128 s after expiry · identity world"
    );
    assert_eq!(
        first(&s, "01:57:12"),
        "api.stripe.com: answered to this pod 01:57:02, ttl 30 · SYN 01:57:12, 20 s before expiry · identity world"
    );
    // An answer after the packet helps nobody before it.
    s.world.observe(&answer("api.stripe.com.", &["54.187.1.1"], &[], 30, api(), "02:10:00"));
    assert!(first(&s, "01:59:40").contains("answered to this pod 01:57:02"));
    // The record itself names the address, and no answer was ever seen.
    let s = Scene::new(&[("c.yaml", CNP)]);
    let mut o = drop(api(), world_ip("54.187.1.1", &["api.stripe.com"]), L4::Tcp, 443, Some(D::Egress));
    o.at = Some(nanos("01:00:00"));
    assert_eq!(s.why(&o).because[0], "api.stripe.com: no DNS answer with 54.187.1.1 was seen · packet 01:00:00 · identity world");
    assert!(s.why(&o).because.iter().any(|b| b.contains("egress[0] of shop/api allows it by name: it was world to the agent")));
}

/// A rule allows by a port's name that pods do not agree about.
#[test]
fn a_port_name_with_several_numbers_is_evidence_on_the_way_out_only() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: all, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: sql}]}], egress: [{ports: [{port: sql}]}]}\n";
    let pod = |name: &str, port: u16| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: db}}}}\nspec: {{containers: [{{ports: [{{name: sql, containerPort: {port}}}]}}]}}\n"
        )
    };
    let because = |other: u16, d: D| {
        let s = Scene::new(&[("p.yaml", &[policy.to_owned(), pod("db-0", 5432), pod("db-1", other)].concat())]);
        let w = s.why(&Observed { at: Some(nanos("01:00:00")), ..drop(cart(), db(), L4::Tcp, 5432, Some(d)) });
        assert_eq!(w.outcome, Outcome::NowAllowed);
        w.because
    };
    let told = "pods call several ports sql (3306, 5432), and where they do not agree Cilium passes over an egress rule with it";
    assert_eq!(because(3306, D::Egress)[0], told);
    assert!(because(5432, D::Egress).iter().chain(&because(3306, D::Ingress)).all(|b| !b.contains("several ports")));
}

/// Answers were seen, and none with this address.
#[test]
fn an_address_that_was_no_answer_is_said_to_be_none() {
    let mut s = Scene::new(&[("c.yaml", CNP)]);
    let ids = |s: &Scene, ip: &str| {
        let e = s.explain(&drop(api(), world_ip(ip, &[]), L4::Tcp, 443, Some(D::Egress))).1;
        e.why.diagnosis.iter().map(|d| d.id).filter(|id| *id == "no-dns-answer").count()
    };
    assert_eq!(ids(&s, "54.187.1.1"), 0, "no DNS was recorded at all");
    s.world.observe(&answer("pay.example.", &["54.187.1.2"], &[], 30, api(), "01:00:00"));
    assert_eq!((ids(&s, "54.187.1.1"), ids(&s, "54.187.1.2")), (1, 0));
}

/// The datapath knows an address by the name that was asked for; what stands inside the chain is for people.
#[test]
fn a_name_inside_a_chain_is_no_name_for_a_rule() {
    let mut s = Scene::new(&[("c.yaml", CNP)]);
    let to = || drop(api(), world_ip("54.187.1.1", &[]), L4::Tcp, 443, Some(D::Egress));
    s.world.observe(&answer("pay.example.", &["54.187.1.1"], &["api.stripe.com."], 30, api(), "01:00:00"));
    assert_eq!(s.why(&to()).failed(), [(On::Fqdn, "api.stripe.com", "pay.example")]);
    s.world.observe(&answer("api.stripe.com.", &["54.187.1.1"], &[], 30, api(), "01:00:01"));
    assert_eq!(s.why(&to()).outcome, Outcome::NowAllowed);
}

/// Each likely cause stands only where a fact supports it.
#[test]
fn now_allowed_has_its_likely_causes() {
    let dated = |meta: &str| SHOP.replace("  namespace: shop\nspec", &format!("  namespace: shop\n{meta}\nspec"));
    let at = |o: &Observed, time: &str| Observed { at: Some(nanos(time)), ..o.clone() };
    let o = drop(cart(), db(), L4::Tcp, 5432, Some(D::Ingress));
    let because = |s: &Scene, o: &Observed| {
        let w = s.why(o);
        assert_eq!(w.outcome, Outcome::NowAllowed, "{w:?}");
        w.because
    };
    // Policy newer than the drop.
    let s = Scene::new(&[("p.yaml", &dated("  creationTimestamp: 2026-04-13T02:00:00Z"))]);
    assert_eq!(because(&s, &at(&o, "01:59:00"))[0], "NetworkPolicy shop/db-ingress was created 02:00:00, 60 s after the packet");
    assert!(!because(&s, &at(&o, "02:00:01")).iter().any(|b| b.contains("created")));
    let managed = "  creationTimestamp: 2026-04-01T00:00:00Z\n  managedFields:\n  - {manager: kubectl, operation: Apply, time: 2026-04-13T02:00:00Z}\n  - {manager: cilium, operation: Update, subresource: status, time: 2026-04-13T03:00:00Z}";
    let s = Scene::new(&[("p.yaml", &dated(managed))]);
    assert_eq!(because(&s, &at(&o, "01:00:00"))[0], "NetworkPolicy shop/db-ingress was last changed 02:00:00, 60 min after the packet");
    assert!(!because(&s, &at(&o, "02:30:00")).iter().any(|b| b.contains("changed 0")), "its status is not the policy");
    // Nothing speaks for anything: then only that.
    let s = Scene::new(&[("p.yaml", SHOP)]);
    assert_eq!(because(&s, &o), ["allowed by ingress[0].from[0] of shop/db-ingress", "the policies may have changed since"]);
    // Not the first packet; a reply.
    let mut mid = o.clone();
    mid.syn = Some(false);
    assert!(because(&s, &mid)[0].starts_with("the packet is not the first of its connection"));
    let mut reply = drop(db(), cart(), L4::Tcp, 40_000, Some(D::Ingress));
    (reply.src_port, reply.is_reply) = (5432, Some(true));
    assert!(because(&s, &reply)[0].starts_with("the packet is a reply"));
    // An identity that was not resolved.
    let pods = "kind: Pod\napiVersion: v1\nmetadata: {name: cart-0, namespace: shop, labels: {app: cart}}\nstatus: {podIP: 10.0.0.7}\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n";
    let s = Scene::new(&[("p.yaml", SHOP), ("pods.yaml", pods)]);
    let nobody = |labels: &[&str]| Party {
        present: true,
        ip: "10.0.0.7".parse().ok(),
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        ..Party::default()
    };
    let from = |p: Party| drop(p, Party { identity: 4711, ..db() }, L4::Tcp, 5432, Some(D::Ingress));
    let told = "10.0.0.7 is shop/cart-0 here and had identity unknown to the agent: it may not have been resolved yet";
    assert_eq!(because(&s, &from(nobody(&["reserved:unknown"])))[0], told);
    assert_eq!(because(&s, &from(nobody(&[])))[0], told);
    let masked = drop(nobody(&[]), db(), L4::Tcp, 5432, Some(D::Ingress));
    assert!(!because(&s, &masked).iter().any(|b| b.contains("identity")), "a record without any identity says nothing");
    // The policies do deny the world: it stays a denial, with a word on who it is.
    let e = s.explain(&from(nobody(&["reserved:world"]))).1;
    let ids: Vec<_> = e.why.diagnosis.iter().map(|d| d.id).collect();
    assert!(e.why.outcome == flowhy::model::why::Outcome::DefaultDeny && ids.contains(&"identity-not-resolved"), "{ids:?}");
    // What Cilium itself does not accept.
    let bad = CNP.replace("spec:\n", "status:\n  conditions:\n  - {type: Valid, status: 'False', message: no such thing}\nspec:\n");
    let s = Scene::new(&[("c.yaml", &bad)]);
    let w = because(&s, &drop(pod("shop", "x", "app=secure"), api(), L4::Tcp, 80, Some(D::Ingress)));
    assert_eq!(w[0], "Cilium reports CiliumNetworkPolicy shop/api as not valid (no such thing), so it may not be enforced");
    // The host's network.
    let host = pods.replace("status: {podIP: 10.0.0.7}", "spec: {hostNetwork: true}");
    let s = Scene::new(&[("p.yaml", SHOP), ("pods.yaml", &host)]);
    let cart = Party { present: true, namespace: "shop".into(), pod: "cart-0".into(), ..Party::default() };
    let w = because(&s, &drop(db(), cart, L4::Tcp, 1, Some(D::Ingress)));
    assert!(w[0].starts_with("shop/cart-0 is on the host's network"), "{w:?}");
}
