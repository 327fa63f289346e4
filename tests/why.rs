//! The `why` object held to its description by an independent reader: every outcome by hand, and every case of the corpus as a flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
#[path = "why/advice.rs"]
mod advice;
#[path = "why/corpus.rs"]
mod corpus;
#[path = "why/gaps.rs"]
mod gaps;
#[path = "why/likely.rs"]
mod likely;
#[path = "why/living.rs"]
mod living;
#[path = "why/moved.rs"]
mod moved;
#[path = "why/outcomes.rs"]
mod outcomes;
#[path = "why/reader.rs"]
mod reader;
#[path = "why/scene.rs"]
mod scene;
#[path = "why/then.rs"]
mod then;
#[path = "why/tiers.rs"]
mod tiers;
#[path = "why/time.rs"]
mod time;
#[path = "why/undated.rs"]
mod undated;
#[path = "why/unsure.rs"]
mod unsure;
#[path = "why/written.rs"]
mod written;

use flowhy::model::observed::{Direction as D, L4, L7, Named, Observed, Party, Verdict};
use flowhy::model::reason::{self, REASONS};
use flowhy::model::why::LaneState;
use flowhy::policy::Enforcement;
use reader::{Agreement, Direction, On, Outcome};
use scene::{Scene, drop, pod, reserved, world_ip};

#[path = "why/patch.rs"]
mod patch;
#[path = "why/suggest.rs"]
mod suggest;
#[path = "why/suggest_random.rs"]
mod suggest_random;

/// Three namespaces' worth of what people write; line numbers are part of the tests.
const SHOP: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db-ingress
  namespace: shop
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: cart
    ports:
    - protocol: TCP
      port: 5432
  - from:
    - namespaceSelector:
        matchLabels:
          team: data
    ports:
    - port: 5432
";

fn cart() -> Party {
    pod("shop", "cart-0", "app=cart")
}

fn db() -> Party {
    pod("shop", "db-0", "app=db")
}

#[test]
fn the_object_of_the_interface_to_the_letter() {
    let s = Scene::new(&[("k8s/db.yaml", SHOP)]);
    let o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    let (_, e) = s.explain(&o);
    let json = serde_json::to_string(&e.why).unwrap();
    let wanted = concat!(
        r#"{"outcome":"default-deny","direction":"INGRESS","subject":"shop/db-0","policies":[{"kind":"NetworkPolicy","namespace":"shop","name":"db-ingress"}],"#,
        r#""nearest":{"kind":"NetworkPolicy","namespace":"shop","name":"db-ingress","rule":"ingress[0]","file":"k8s/db.yaml","line":15,"#,
        r#""failed":[{"on":"port","wanted":"TCP/5432","got":"TCP/5433"}]},"agreement":"agrees","text":"no rule allows port 5433"}"#
    );
    assert_eq!(json, wanted);
    // The lines of the screen: label ✓, protocol ✓, port ✗.
    let marks: Vec<_> = e.rules[0].marks.iter().map(|m| (m.line, m.ok, m.text.as_str())).collect();
    assert_eq!(marks, [(12, true, "sender has app=cart"), (14, true, ""), (15, false, "flow has 5433")]);
    assert_eq!((e.lanes[0].state, e.lanes[0].text.as_str()), (LaneState::Open, "no policy selects it"));
    assert_eq!((e.lanes[1].state, e.lanes[1].text.as_str()), (LaneState::Denied, "1 policy selects it; 2 rules, none match"));
}

#[test]
fn near_misses_in_words() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let why = |src| s.why(&drop(src, db(), L4::Tcp, 5432, Some(D::Ingress)));
    let w = why(pod("shop", "x", "app=card"));
    assert_eq!(w.failed(), [(On::Label, "app=cart", "app=card")]);
    assert_eq!((w.nearest.as_ref().unwrap().line, w.text.as_str()), (Some(12), "the nearest rule wants app=cart, sender has app=card"));
    let w = why(pod("shop", "x", "app.kubernetes.io/app=cart"));
    assert_eq!(w.failed(), [(On::Label, "app=cart", "no label app (it has app.kubernetes.io/app=cart)")]);
    // The right label in another namespace: the policy's own namespace is what fails.
    let mut other = pod("web", "x", "app=cart");
    other.labels.push("k8s:io.cilium.k8s.namespace.labels.team=web".into());
    let w = why(other);
    assert_eq!(w.failed(), [(On::Namespace, "namespace=shop", "namespace=web")]);
    let w = why(world_ip("203.0.113.9", &[]));
    assert_eq!(w.failed(), [(On::Peer, "a pod with app=cart", "203.0.113.9 (world)")]);
}

/// Which label may be the one meant, in words; and which of two rules with as many failed conditions lies nearer.
#[test]
fn what_lies_nearest_in_meaning_comes_first() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let got = |labels: &str| s.why(&drop(pod("shop", "x", labels), db(), L4::Tcp, 5432, Some(D::Ingress))).failed()[0].2.to_owned();
    assert_eq!(got("apps=cart"), "no label app (it has apps=cart)");
    assert_eq!(got("component=cart,k8s-app=x"), "no label app (it has k8s-app=x)");
    assert_eq!(got("component=cart"), "no label app (it has component=cart)");
    assert_eq!(got("team=x"), "no label app");
    let rule = |app: &str| format!("  - from: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}]\n    ports: [{{port: 5432}}]\n");
    let policy = format!("{}{}{}{}", SHOP.split("  - from:").next().unwrap(), rule("web"), rule("cart"), rule("mail"));
    let w = Scene::new(&[("p.yaml", &policy)]).why(&drop(pod("shop", "x", "app=card"), db(), L4::Tcp, 5432, Some(D::Ingress)));
    assert_eq!((w.failed(), w.nearest.as_ref().unwrap().rule.as_str()), (vec![(On::Label, "app=cart", "app=card")], "ingress[1]"));
}

/// The DNS rule that stands in every policy fails on few conditions, and is on another errand.
#[test]
fn the_dns_rule_is_not_the_nearest_of_what_is_no_dns() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: front, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]\n    ports: [{protocol: UDP, port: 53}]\n  - to: [{podSelector: {matchLabels: {app: api, tier: backend}}}]\n    ports: [{port: 8080}]\n";
    let s = Scene::new(&[("p.yaml", policy)]);
    let near =
        |dst: Party, l4, port| s.why(&drop(pod("shop", "web-0", "app=web,tier=frontend"), dst, l4, port, Some(D::Egress))).nearest.unwrap();
    let n = near(pod("shop", "db-0", "app=db,tier=data"), L4::Tcp, 5432);
    assert_eq!((n.rule.as_str(), n.line, n.failed.len()), ("egress[1]", None, 3), "and no line is marked");
    assert_eq!(near(pod("other", "dns-0", "k8s-app=kube-dns"), L4::Udp, 53).rule, "egress[0]");
    // Where its peer is the flow's, the rule does speak of it.
    assert_eq!(near(pod("kube-system", "dns-0", "k8s-app=kube-dns"), L4::Tcp, 9153).rule, "egress[0]");
    // A rule that speaks of the port beats one that fails on less and speaks of nothing.
    let n = near(pod("shop", "db-0", "app=db,tier=data"), L4::Tcp, 8080);
    assert_eq!((n.rule.as_str(), n.line.is_some()), ("egress[1]", true));
}

#[test]
fn neither_peer_nor_port() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let (w, e) = s.explain(&drop(pod("shop", "x", "app=web"), db(), L4::Tcp, 80, Some(D::Ingress)));
    assert_eq!(w.text, "no rule mentions this peer or port");
    assert!(e.rules.iter().all(|r| r.marks.is_empty()), "no line is marked where nothing fits");
    assert_eq!(w.failed().len(), 2);
    let ping = Observed { icmp: Some((8, 0)), ..drop(pod("shop", "x", "app=web"), db(), L4::Icmp4, 0, Some(D::Ingress)) };
    assert_eq!(s.why(&ping).text, "no rule mentions this peer or ICMP", "it has no port");
}

#[test]
fn protocol_and_icmp() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let w = s.why(&drop(cart(), db(), L4::Udp, 5432, Some(D::Ingress)));
    assert_eq!(w.failed(), [(On::Protocol, "TCP/5432", "UDP/5432")]);
    let mut ping = drop(cart(), db(), L4::Icmp4, 0, Some(D::Ingress));
    ping.icmp = Some((8, 0));
    assert_eq!(s.why(&ping).failed(), [(On::Protocol, "TCP/5432", "ICMP type 8")]);
}

#[test]
fn namespace_labels_matter_only_where_they_decide() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let bare = |app: &str, port| {
        let mut p = pod("web", "x", app);
        p.labels.retain(|l| !l.contains("namespace.labels"));
        s.why(&drop(p, db(), L4::Tcp, port, Some(D::Ingress)))
    };
    let w = bare("app=x", 5432);
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["namespace-labels:web".to_owned()]));
    // The port excludes every rule whatever the namespace is labelled.
    assert_eq!(bare("app=x", 1).outcome, Outcome::DefaultDeny);
    // A manifest supplies them.
    let ns = "kind: Namespace\napiVersion: v1\nmetadata: {name: web, labels: {team: web}}\n";
    let s2 = Scene::new(&[("p.yaml", SHOP), ("ns.yaml", ns)]);
    let mut p = pod("web", "x", "app=x");
    p.labels.retain(|l| !l.contains("namespace.labels"));
    let w = s2.why(&drop(p, db(), L4::Tcp, 5432, Some(D::Ingress)));
    assert_eq!((w.outcome, w.failed()), (Outcome::DefaultDeny, vec![(On::Namespace, "team=data", "team=web")]));
}

#[test]
fn the_namespaces_own_name_is_always_known() {
    let policy = SHOP.replace("team: data", "kubernetes.io/metadata.name: kube-system");
    let s = Scene::new(&[("p.yaml", &policy)]);
    let mut p = pod("web", "x", "app=x");
    p.labels.retain(|l| !l.contains("namespace.labels"));
    let w = s.why(&drop(p, db(), L4::Tcp, 5432, Some(D::Ingress)));
    assert_eq!(w.failed(), [(On::Namespace, "kubernetes.io/metadata.name=kube-system", "kubernetes.io/metadata.name=web")]);
}

#[test]
fn unknown_labels_are_missing_facts() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let nobody = |ns: &str, pod: &str| Party { present: true, namespace: ns.into(), pod: pod.into(), ..Party::default() };
    let w = s.why(&drop(nobody("shop", "cart-0"), db(), L4::Tcp, 5432, Some(D::Ingress)));
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["labels:shop/cart-0".to_owned()]));
    let w = s.why(&drop(cart(), nobody("shop", "db-0"), L4::Tcp, 5433, Some(D::Ingress)));
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["labels:shop/db-0".to_owned()]));
    // In another namespace no policy can select it, labels or not.
    let w = s.why(&drop(cart(), nobody("web", "db-0"), L4::Tcp, 5433, Some(D::Ingress)));
    assert_eq!(w.outcome, Outcome::NowAllowed);
    // A policy for all pods of a namespace needs no labels.
    let all = SHOP.replace("{matchLabels: {app: db}}", "{}");
    let w = Scene::new(&[("p.yaml", &all)]).why(&drop(cart(), nobody("shop", "db-0"), L4::Tcp, 5433, Some(D::Ingress)));
    assert_eq!((w.outcome, w.text.as_str()), (Outcome::DefaultDeny, "no rule allows port 5433"));
}

#[test]
fn named_ports_come_from_the_manifest_or_are_missing() {
    let policy = SHOP.replace("port: 5432", "port: pg");
    let s = Scene::new(&[("p.yaml", &policy)]);
    let o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    assert!(s.why(&o).missing.contains(&"named-port:pg@shop/db-0".to_owned()));
    let app = "kind: Pod\napiVersion: v1\nmetadata: {name: db-0, namespace: shop, labels: {app: db}}\nspec: {containers: [{ports: [{name: pg, containerPort: 5432}]}]}\n";
    let s = Scene::new(&[("p.yaml", &policy), ("app.yaml", app)]);
    assert_eq!(s.why(&o).failed(), [(On::Port, "TCP/pg (5432)", "TCP/5433")]);
}

const CNP: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: evil}}]
  ingress:
  - fromEndpoints: [{matchLabels: {app: secure}}]
    authentication: {mode: required}
  egress:
  - toFQDNs: [{matchName: api.stripe.com}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  - toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: '53', protocol: UDP}]
      rules:
        dns:
        - matchName: api.stripe.com
";

fn api() -> Party {
    pod("shop", "api-0", "app=api")
}

#[test]
fn denied_by_rule() {
    let s = Scene::new(&[("c.yaml", CNP)]);
    let mut o = drop(pod("shop", "evil", "app=evil"), api(), L4::Tcp, 80, Some(D::Ingress));
    o.drop_reason = 181;
    let w = s.why(&o);
    assert_eq!(
        (w.outcome, w.agreement, w.text.as_str()),
        (Outcome::DeniedByRule, Agreement::Agrees, "denied by ingressDeny[0] of shop/api")
    );
    assert_eq!(w.policies[0].rule.as_deref(), Some("ingressDeny[0]"));
    // The datapath's reason does not fit: the outcome stays ours, the agreement goes.
    o.drop_reason = 133;
    assert_eq!((s.why(&o).outcome, s.why(&o).agreement), (Outcome::DeniedByRule, Agreement::Disagrees));
    // So does an agent that names somebody else.
    o.drop_reason = 181;
    o.reported.ingress_denied = vec![Named { kind: "CiliumNetworkPolicy".into(), namespace: "shop".into(), name: "other".into() }];
    let w = s.why(&o);
    assert_eq!((w.agreement, w.reported.unwrap().policies[0].name.as_str()), (Agreement::Disagrees, "other"));
}

#[test]
fn auth_required() {
    let s = Scene::new(&[("c.yaml", CNP)]);
    let mut o = drop(pod("shop", "x", "app=secure"), api(), L4::Tcp, 80, Some(D::Ingress));
    o.drop_reason = 189;
    let w = s.why(&o);
    assert_eq!((w.outcome, w.agreement, w.policies[0].rule.as_deref()), (Outcome::AuthRequired, Agreement::Agrees, Some("ingress[0]")));
    o.drop_reason = 133;
    assert_eq!(s.why(&o).outcome, Outcome::NowAllowed);
}

fn query(name: &str) -> Observed {
    let mut o = drop(api(), pod("kube-system", "dns-1", "k8s-app=kube-dns"), L4::Udp, 53, Some(D::Egress));
    (o.drop_reason, o.event) = (0, Some((129, 0)));
    o.l7 = Some(L7::Dns { query: name.into(), rcode: 5, ips: vec![], cnames: vec![], ttl: 0, qtypes: vec!["A".into()] });
    o
}

#[test]
fn dns_refused() {
    let s = Scene::new(&[("c.yaml", CNP)]);
    let w = s.why(&query("api.sendgrid.com."));
    assert_eq!((w.outcome, w.agreement, w.text.as_str()), (Outcome::DnsRefused, Agreement::Agrees, "no DNS rule allows api.sendgrid.com"));
    let n = w.nearest.as_ref().unwrap();
    assert_eq!((n.rule.as_str(), n.line), ("egress[1].dns[0]", Some(19)));
    assert_eq!(w.failed(), [(On::Dns, "api.stripe.com", "api.sendgrid.com")]);
    assert_eq!(s.why(&query("API.stripe.com.")).outcome, Outcome::NowAllowed);
}

#[test]
fn fqdn_of_the_world() {
    let mut s = Scene::new(&[("c.yaml", CNP)]);
    let to = |names: &[&str]| drop(api(), world_ip("54.187.1.1", names), L4::Tcp, 443, Some(D::Egress));
    assert_eq!(s.why(&to(&[])).failed(), [(On::Fqdn, "api.stripe.com", "54.187.1.1, no name known")]);
    assert_eq!(s.why(&to(&["api.paypal.com"])).failed(), [(On::Fqdn, "api.stripe.com", "api.paypal.com")]);
    // The name fits and it was dropped all the same: an answer the agent did not see, or one that had expired.
    let w = s.why(&to(&["api.stripe.com"]));
    assert_eq!(w.outcome, Outcome::NowAllowed);
    assert!(w.because.iter().any(|b| b.contains("expired")), "{:?}", w.because);
    let answer = L7::Dns {
        query: "Api.PayPal.com.".into(),
        rcode: 0,
        ips: vec!["54.187.1.1".into()],
        cnames: Vec::new(),
        ttl: 30,
        qtypes: vec!["A".into()],
    };
    s.world.observe(&Observed { l7: Some(answer), at: Some(flowhy::model::time::Nanos(0)), ..Observed::default() });
    let w = s.why(&to(&[]));
    assert_eq!(
        (w.failed(), w.inferred.clone()),
        (vec![(On::Fqdn, "api.stripe.com", "api.paypal.com")], vec!["names:54.187.1.1".to_owned()])
    );
}

#[test]
fn dns_egress_in_words() {
    let s = Scene::new(&[("c.yaml", CNP)]);
    let w = s.why(&drop(api(), world_ip("8.8.8.8", &[]), L4::Udp, 53, Some(D::Egress)));
    assert_eq!(w.text, "no policy allows DNS egress to 8.8.8.8");
    let only = CNP.split("  - toEndpoints: [{matchLabels: {'k8s").next().unwrap();
    let w = Scene::new(&[("c.yaml", only)]).why(&drop(api(), pod("kube-system", "d", "k8s-app=kube-dns"), L4::Udp, 53, Some(D::Egress)));
    assert_eq!((w.outcome, w.text.as_str()), (Outcome::DefaultDeny, "no policy allows DNS egress"));
}

/// NodeLocal DNS listens on a link-local address, name servers in pods on other ports than 53.
#[test]
fn dns_on_other_addresses_and_ports_is_dns() {
    let only = CNP.split("  - toEndpoints: [{matchLabels: {'k8s").next().unwrap();
    let dns = "kind: Pod\napiVersion: v1\nmetadata: {name: named, namespace: dns, labels: {app: bind}}\nspec: {containers: [{ports: [{name: dns-udp, containerPort: 1153, protocol: UDP}]}]}\n";
    let s = Scene::new(&[("c.yaml", only), ("d.yaml", dns)]);
    let text = |dst: Party, port| s.why(&drop(api(), dst, L4::Udp, port, Some(D::Egress))).text;
    for (dst, port) in [
        (world_ip("169.254.20.10", &[]), 53),
        (pod("openshift-dns", "dns-default-x", "dns.operator.openshift.io/daemonset-dns=default"), 5353),
        (pod("kube-system", "coredns-0", "k8s-app=kube-dns"), 8053),
        (pod("dns", "named", "app=bind"), 1153),
    ] {
        assert_eq!(text(dst, port), "no policy allows DNS egress");
    }
    assert_ne!(text(pod("kube-system", "coredns-0", "k8s-app=kube-dns"), 9153), "no policy allows DNS egress", "its metrics");
    assert_ne!(text(pod("shop", "mdns", "app=x"), 5353), "no policy allows DNS egress");
}

#[test]
fn no_other_reason_blames_a_policy() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let mut others = 0;
    for r in REASONS.iter().filter(|r| reason::cause(r.number) == reason::Cause::Other) {
        let mut o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
        o.drop_reason = r.number;
        let (w, e) = s.explain(&o);
        assert_eq!((w.outcome, w.text.as_str()), (Outcome::NotPolicy, r.words));
        assert!(e.rules.is_empty() && e.lanes.is_empty());
        assert_eq!(Scene::default().why(&o).outcome, Outcome::NotPolicy, "known without any policy at hand");
        others += 1;
    }
    assert!(others > 50);
    let mut o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    o.drop_reason = 9999;
    assert_eq!(s.why(&o).missing, ["drop-reason:9999"]);
}

#[test]
fn now_allowed_names_what_was_not_judged() {
    let gnp = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: block}\nspec: {}\n";
    let s = Scene::new(&[("p.yaml", SHOP), ("a.yaml", gnp)]);
    let w = s.why(&drop(cart(), db(), L4::Tcp, 5432, Some(D::Ingress)));
    assert_eq!((w.outcome, w.agreement, w.names()), (Outcome::NowAllowed, Agreement::Disagrees, vec!["shop/db-ingress".to_owned()]));
    assert!(w.because.iter().any(|b| b == "1 policy is not understood yet: GlobalNetworkPolicy block"), "{:?}", w.because);
    // Nothing isolates: nobody is named.
    let w = s.why(&drop(db(), cart(), L4::Tcp, 1, Some(D::Ingress)));
    assert_eq!((w.outcome, w.policies.len()), (Outcome::NowAllowed, 0));
    // An empty set is a set; none at all is not.
    assert_eq!(
        Scene::new(&[("e.yaml", "kind: ConfigMap\napiVersion: v1\n")]).why(&drop(cart(), db(), L4::Tcp, 1, None)).outcome,
        Outcome::NowAllowed
    );
    assert_eq!(Scene::default().why(&drop(cart(), db(), L4::Tcp, 1, None)).missing, ["policies"]);
}

#[test]
fn direction_that_nobody_gives() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let w = s.why(&drop(cart(), db(), L4::Tcp, 5433, None));
    assert_eq!(
        (w.outcome, w.direction, w.inferred.clone()),
        (Outcome::DefaultDeny, Some(Direction::Ingress), vec!["direction".to_owned()])
    );
    assert_eq!(
        w.sides.iter().map(|x| (x.direction, x.outcome)).collect::<Vec<_>>(),
        [(Direction::Egress, Outcome::Allowed), (Direction::Ingress, Outcome::DefaultDeny)]
    );
    // Egress cannot be decided, ingress denies: which of the two it was is what is missing.
    let out = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: pg}]}, {to: [{podSelector: {}}], ports: [{port: pg}]}]}\n";
    let s = Scene::new(&[("p.yaml", SHOP), ("o.yaml", out)]);
    let w = s.why(&drop(cart(), db(), L4::Tcp, 5433, None));
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["direction".to_owned(), "named-port:pg@shop/db-0".to_owned()]));
}

#[test]
fn a_reply_is_not_judged_as_given() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    // db answers cart: as given, cart's ingress would be asked. The connection is cart → db:5433.
    let mut o = drop(db(), cart(), L4::Tcp, 40_000, Some(D::Ingress));
    (o.src_port, o.is_reply) = (5433, Some(true));
    let w = s.why(&o);
    assert_eq!((w.outcome, w.subject.as_deref(), w.agreement), (Outcome::DefaultDeny, Some("shop/db-0"), Agreement::Unknown));
    assert!(w.because[0].contains("reply"));
    o.verdict = Verdict::Forwarded;
    o.drop_reason = 0;
    assert_eq!(s.why(&o).outcome, Outcome::Allowed);
}

#[test]
fn audit_gets_what_enforcement_would_give() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let mut o = drop(cart(), db(), L4::Tcp, 5433, Some(D::Ingress));
    (o.verdict, o.drop_reason) = (Verdict::Audit, 0);
    assert_eq!((s.why(&o).outcome, s.why(&o).agreement), (Outcome::DefaultDeny, Agreement::Agrees));
}

#[test]
fn forwarded_flows_are_allowed_or_contradict() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let mut o = drop(cart(), db(), L4::Tcp, 5432, Some(D::Ingress));
    (o.verdict, o.drop_reason) = (Verdict::Forwarded, 0);
    let w = s.why(&o);
    assert_eq!((w.outcome, w.agreement, w.policies[0].rule.as_deref()), (Outcome::Allowed, Agreement::Agrees, Some("ingress[0].from[0]")));
    o.dst_port = 5433;
    assert_eq!((s.why(&o).outcome, s.why(&o).agreement), (Outcome::DefaultDeny, Agreement::Disagrees));
}

#[test]
fn the_host_has_its_firewall() {
    let ccnp = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: nodes}\nspec:\n  nodeSelector: {}\n  ingress:\n  - fromEntities: [cluster]\n";
    let s = Scene::new(&[("h.yaml", ccnp)]);
    let w = s.why(&drop(world_ip("203.0.113.9", &[]), reserved("host"), L4::Tcp, 22, Some(D::Ingress)));
    assert_eq!(
        (w.outcome, w.names(), w.failed()),
        (Outcome::HostFirewall, vec!["nodes".to_owned()], vec![(On::Entity, "cluster", "203.0.113.9 (world)")])
    );
}

#[test]
fn a_pod_without_identity_is_in_default_deny_by_itself() {
    let s = Scene::new(&[("p.yaml", SHOP)]);
    let w = s.why(&drop(reserved("init"), world_ip("1.1.1.1", &[]), L4::Tcp, 443, Some(D::Egress)));
    assert_eq!((w.outcome, w.policies.len()), (Outcome::DefaultDeny, 0));
    let mut s = s;
    s.opt.enforcement = Enforcement::Always;
    let w = s.why(&drop(pod("free", "x", "a=b"), world_ip("1.1.1.1", &[]), L4::Tcp, 443, Some(D::Egress)));
    assert_eq!((w.outcome, w.policies.len()), (Outcome::DefaultDeny, 0));
}

#[test]
fn http_rules() {
    let cnp = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules:
        http:
        - method: GET
          path: /v1/.*
        - method: POST
          path: /v1/orders
          headers: ['X-Token: s']
";
    let s = Scene::new(&[("w.yaml", cnp)]);
    let ask = |method: &str, url: &str| {
        let mut o = drop(cart(), api(), L4::Tcp, 80, Some(D::Ingress));
        (o.drop_reason, o.event) = (0, Some((129, 0)));
        o.l7 = Some(L7::Http { method: method.into(), url: url.into(), code: 403, headers: vec![] });
        s.why(&o)
    };
    let w = ask("PUT", "http://api/v1/orders?x=1");
    assert_eq!((w.outcome, w.nearest.as_ref().unwrap().rule.as_str()), (Outcome::L7Denied, "ingress[0].http[0]"));
    assert_eq!((w.failed(), w.nearest.as_ref().unwrap().line), (vec![(On::Http, "GET /v1/.*", "PUT /v1/orders?x=1")], Some(11)));
    assert_eq!((w.text.as_str(), w.policies[0].rule.as_deref()), ("no HTTP rule allows PUT /v1/orders?x=1", Some("ingress[0]")));
    // The agent reports few headers: one that a rule asks for may have been there.
    let w = ask("POST", "http://api/v1/orders");
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["http-header:X-Token".to_owned()]));
    assert_eq!(ask("GET", "http://api/v1/x").outcome, Outcome::NowAllowed);
}

/// "no policy allows DNS egress" would be false where one does, over UDP only.
#[test]
fn dns_over_tcp_where_only_udp_is_allowed_says_so() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: dns, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{namespaceSelector: {}}]\n    ports: [{protocol: UDP, port: 53}]\n";
    let s = Scene::new(&[("dns.yaml", policy)]);
    let to = || pod("kube-system", "coredns-0", "k8s-app=kube-dns");
    let w = s.why(&drop(pod("shop", "cart-0", "app=cart"), to(), L4::Tcp, 53, Some(D::Egress)));
    assert_eq!((w.outcome, w.text.as_str()), (Outcome::DefaultDeny, "no rule allows TCP/53; the nearest allows UDP/53"));
    assert_eq!(w.failed(), [(On::Protocol, "UDP/53", "TCP/53")]);
}

/// L7 rules are a union: a rule without them for the same peer and port lets every request pass, and it is the one to name.
#[test]
fn a_request_is_allowed_by_the_rule_that_lets_requests_pass() {
    let rule = |name: &str, rules: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  endpointSelector: {{matchLabels: {{app: db}}}}\n  ingress:\n  - fromEndpoints: [{{matchLabels: {{app: cart}}}}]\n    toPorts:\n    - ports: [{{port: '80', protocol: TCP}}]\n{rules}---\n"
        )
    };
    let narrow = rule("narrow", "      rules: {http: [{method: GET}]}\n");
    let s = Scene::new(&[("p.yaml", &format!("{narrow}{}", rule("wide", "")))]);
    let mut o = drop(pod("shop", "cart-0", "app=cart"), db(), L4::Tcp, 80, Some(D::Ingress));
    (o.drop_reason, o.event) = (0, Some((129, 0)));
    o.l7 = Some(L7::Http { method: "PUT".into(), url: "http://db/z".into(), code: 0, headers: vec![] });
    let w = s.why(&o);
    assert_eq!((w.outcome, w.names()), (Outcome::NowAllowed, vec!["shop/wide".to_owned()]));
}

/// A cluster IP seen before its translation is `world` to the agent, and no policy is judged on it.
#[test]
fn a_service_address_called_world_is_not_judged_as_world() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: eg, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{podSelector: {matchLabels: {app: db}}}]\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 5432}]}\n";
    let s = Scene::new(&[("p.yaml", policy), ("svc.yaml", service)]);
    let why = |ip: &str| s.why(&drop(pod("shop", "cart-0", "app=cart"), world_ip(ip, &[]), L4::Tcp, 5432, Some(D::Egress)));
    assert_eq!((why("10.96.0.10").outcome, why("10.96.0.10").missing), (Outcome::Undecidable, vec!["labels:10.96.0.10".to_owned()]));
    assert_eq!(why("10.96.0.11").outcome, Outcome::DefaultDeny);
}

/// Egress of the sender and ingress of the receiver both deny: whoever mends the side that was told must hear of the other.
#[test]
fn the_side_that_would_be_met_next_is_told() {
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";
    let s = Scene::new(&[("deny.yaml", deny)]);
    let e = s.explain(&drop(pod("shop", "cart-0", "app=cart"), db(), L4::Tcp, 5432, Some(D::Egress))).1;
    assert_eq!(e.why.direction, Some(D::Egress));
    let told: Vec<_> = e.why.diagnosis.iter().map(|d| (d.id, d.text.starts_with("ingress of shop/db"))).collect();
    assert_eq!(told, [("other-side-denies-too", true)]);
}
