//! Why there is no edit, for every kind of cause, and which advice stands in its place.
use super::scene::{drop, pod, reserved, world_ip};
use super::suggest::{CNP, Case, case, denied};
use super::{SHOP, cart, db};
use flowhy::model::observed::{Direction as D, L4, L7, Observed, Verdict};
use flowhy::model::why::Outcome;

#[test]
fn why_there_is_no_edit_is_said_of_every_kind_of_cause() {
    let says = |c: Case, wanted: &str| {
        let s = c.sure();
        assert!(!s.applies() && s.title.contains(wanted), "{wanted}: {s:?}");
    };
    let one = |o: Observed| case(&[("p.yaml", SHOP)], vec![o]);
    says(one(Observed { drop_reason: 130, ..denied(cart(), db(), 5433, D::Ingress) }), "no policy stopped it");
    says(one(denied(cart(), db(), 5432, D::Ingress)), "the policies at hand let it through as they are");
    says(one(Observed { drop_reason: 181, ..denied(cart(), db(), 5433, D::Ingress) }), "the datapath gives another reason");
    let mut bare = pod("web", "x", "app=x");
    bare.labels.retain(|l| !l.contains("namespace.labels"));
    says(one(denied(bare.clone(), db(), 5432, D::Ingress)), "is not known without namespace-labels:web");
    says(case(&[], vec![denied(cart(), db(), 5432, D::Ingress)]), "is not known without policies");
    says(one(Observed { verdict: Verdict::Forwarded, drop_reason: 0, ..denied(cart(), db(), 5432, D::Ingress) }), "it passes");
    let reply = Observed { is_reply: Some(true), src_port: 5433, dst_port: 40_000, ..denied(db(), cart(), 1, D::Egress) };
    says(one(reply), "");
    let unsaid = Observed { is_reply: None, src_port: 5433, ..denied(cart(), db(), 40_000, D::Ingress) };
    says(case(&[("p.yaml", SHOP)], vec![unsaid, denied(db(), cart(), 5432, D::Egress)]), "its packets look like answers");
    let mut ping = drop(cart(), db(), L4::Icmp4, 0, Some(D::Ingress));
    ping.icmp = Some((0, 0));
    says(one(ping), "its packets look like answers");
    let auth = CNP.replace("toPorts:", "authentication: {mode: required}\n      toPorts:");
    let flow = Observed { drop_reason: 189, ..denied(cart(), world_ip("1.2.3.4", &["api.stripe.com"]), 443, D::Egress) };
    says(case(&[("p.yaml", &auth)], vec![flow]), "allows it once both sides have proved who they are");
    // The far side of which nothing is known may stop it as well.
    let shut = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: web}\nspec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}\n";
    let mut from = cart();
    from.labels.retain(|l| !l.contains("namespace.labels"));
    let out = SHOP.replace("app: db}}\n  ingress:", "app: cart}}\n  policyTypes: [Egress]\n  ingress:");
    let far = case(&[("p.yaml", &out), ("w.yaml", shut)], vec![denied(from, pod("web", "w", "app=web"), 80, D::Egress)]);
    says(far, "ingress of web/w may deny it too, and there what policies say is not known without namespace-labels:shop");
}

/// Every outcome there is, with what it comes to: an edit that was proved, or the sentence in its place.
#[test]
fn each_outcome_has_an_edit_that_proves_or_says_why_not() {
    let l7 = CNP
        .replace("toFQDNs:\n        - matchName: api.stripe.com", "toEndpoints:\n        - matchLabels: {app: db}")
        .replace("              protocol: TCP\n", "              protocol: TCP\n          rules: {http: [{method: GET}]}\n");
    let put = L7::Http { method: "PUT".into(), url: "http://db/a".into(), code: 0, headers: Vec::new() };
    let request = Observed { l7: Some(put), event: Some((129, 0)), drop_reason: 0, ..denied(cart(), db(), 443, D::Egress) };
    let headers = l7.replace("{method: GET}", "{method: GET, headers: [X]}");
    let dns = l7.replace("443", "53").replace("http: [{method: GET}]", "dns: [{matchName: a.b}]").replace("protocol: TCP", "protocol: ANY");
    let query = L7::Dns { query: "c.d.".into(), rcode: 5, ips: vec![], cnames: vec![], ttl: 0, qtypes: vec!["A".into()] };
    let name = Observed { l7: Some(query), event: Some((129, 0)), drop_reason: 0, ..drop(cart(), db(), L4::Udp, 53, Some(D::Egress)) };
    let node = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: nodes}\nspec: {nodeSelector: {}, ingress: [{fromEntities: [health]}]}\n";
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingressDeny: [{fromEndpoints: [{}]}]\n";
    let auth = CNP.replace("toPorts:", "authentication: {mode: required}\n      toPorts:");
    let away = || world_ip("1.2.3.4", &["api.stripe.com"]);
    let plain = || denied(cart(), db(), 5433, D::Ingress);
    let table: Vec<(Outcome, &str, Observed, bool)> = vec![
        (Outcome::DefaultDeny, SHOP, plain(), true),
        (Outcome::DeniedByRule, deny, Observed { drop_reason: 181, ..plain() }, false),
        (Outcome::L7Denied, &l7, request.clone(), true),
        (Outcome::L7Denied, &headers, request, false),
        (Outcome::DnsRefused, &dns, name, true),
        (Outcome::AuthRequired, &auth, Observed { drop_reason: 189, ..denied(cart(), away(), 443, D::Egress) }, false),
        (Outcome::HostFirewall, node, denied(cart(), reserved("host"), 22, D::Ingress), false),
        (Outcome::NotPolicy, SHOP, Observed { drop_reason: 130, ..plain() }, false),
        (Outcome::NowAllowed, SHOP, denied(cart(), db(), 5432, D::Ingress), false),
        (Outcome::Undecidable, "", plain(), false),
        (Outcome::Allowed, SHOP, Observed { verdict: Verdict::Forwarded, drop_reason: 0, ..denied(cart(), db(), 5432, D::Ingress) }, false),
    ];
    for (outcome, policy, flow, edit) in table {
        let c = case(&[("p.yaml", policy)], vec![flow]);
        assert_eq!(c.scene(&c.files).explain(&c.flows[0]).1.why.outcome, outcome);
        // An edit is applied and judged again on the way (`Case::proves`); without one the title begins with "no edit".
        let s = c.sure();
        assert_eq!(s.applies(), edit, "{outcome:?}: {s:?}");
        assert!(s.title.len() > "no edit: ".len() + 8, "{outcome:?}: {s:?}");
    }
}

#[test]
fn below_a_baseline_that_denies_a_policy_that_isolates_nobody_is_enough() {
    let floor = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: floor}\nspec:\n  tier: Baseline\n  priority: 1\n  subject: {namespaces: {}}\n  ingress:\n  - {action: Deny, from: [{namespaces: {}}]}\n";
    let flow = |src| Observed { drop_reason: 181, ..denied(src, db(), 5432, D::Ingress) };
    let s = case(&[("b.yaml", floor)], vec![flow(cart()), flow(pod("shop", "m", "app=mail"))]).sure();
    assert!(s.applies() && s.isolates.is_empty() && s.also.is_empty(), "{s:?}");
    assert!(s.yaml.contains("kind: CiliumNetworkPolicy") && s.yaml.contains("ingress: false"), "{}", s.yaml);
    // Of the tier above nothing but its own edit gets past, and that is a person's.
    let s = case(&[("b.yaml", &floor.replace("Baseline", "Admin"))], vec![flow(cart())]).sure();
    assert_eq!(s.title, "no edit: ingress[0].from[0] of ClusterNetworkPolicy floor has to give way");
}

#[test]
fn a_deny_is_named_and_never_widened() {
    let p = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: db}}\n  ingress: [{fromEndpoints: [{}]}]\n  ingressDeny:\n  - fromEndpoints:\n    - matchLabels: {app: cart}\n    - matchLabels: {app: mail}\n";
    let flow = |src| Observed { drop_reason: 181, ..denied(src, db(), 5432, D::Ingress) };
    let s = case(&[("p.yaml", p)], vec![flow(cart()), flow(pod("shop", "m", "app=mail"))]).sure();
    assert!(!s.applies() && s.title == "no edit: ingressDeny[0] of CiliumNetworkPolicy shop/q has to give way", "{s:?}");
    assert!(s.notes.iter().any(|n| n.contains("1 other conversation that it denies would too")), "{s:?}");
    // Without the allow it would not help.
    let s = case(&[("p.yaml", &p.replace("  ingress: [{fromEndpoints: [{}]}]\n", ""))], vec![flow(cart())]).sure();
    assert!(s.notes.iter().any(|n| n.contains("still be denied")), "{s:?}");
}

#[test]
fn what_cannot_be_named_narrowly_gets_advice() {
    let hash = pod("shop", "x", "pod-template-hash=1");
    let s = case(&[("p.yaml", SHOP)], vec![denied(hash, db(), 5432, D::Ingress)]).sure();
    assert!(!s.applies() && s.title.contains("no label that stays"), "{s:?}");
    // An entity is Cilium's.
    let s = case(&[("p.yaml", SHOP)], vec![denied(reserved("remote-node"), db(), 5432, D::Ingress)]).sure();
    assert!(s.yaml.contains("  - fromEntities:\n    - remote-node"), "{}", s.yaml);
    // A node is opened by nobody but a person.
    let p = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: nodes}\nspec: {nodeSelector: {}, ingress: [{fromEntities: [health]}]}\n";
    let s = case(&[("p.yaml", p)], vec![denied(cart(), reserved("host"), 22, D::Ingress)]).sure();
    assert!(!s.applies() && s.title.starts_with("no edit: CiliumClusterwideNetworkPolicy nodes closes the node itself"), "{s:?}");
    let mut ping = drop(cart(), db(), L4::Icmp4, 0, Some(D::Ingress));
    ping.icmp = Some((8, 0));
    let s = case(&[("p.yaml", SHOP)], vec![ping]).sure();
    assert!(s.yaml.contains("icmps:") && s.yaml.contains("type: 8"), "{}", s.yaml);
}

#[test]
fn a_deny_advice_says_only_what_is_true_of_both_sides_and_of_all_workloads() {
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: db}}\n  enableDefaultDeny: {ingress: false}\n  ingressDeny: [{fromEndpoints: [{matchLabels: {app: cart}}]}]\n";
    let closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shut, namespace: shop}\nspec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress]}\n";
    let cause = |side, reason| Observed { drop_reason: reason, ..denied(cart(), db(), 5432, side) };
    // The rule denies this peer and nobody else: there is nothing to narrow.
    let s = case(&[("p.yaml", deny)], vec![cause(D::Ingress, 181)]).sure();
    assert!(s.notes.iter().any(|n| n == "without that rule this traffic would pass"), "{s:?}");
    assert!(!s.notes.iter().any(|n| n.contains("the others")), "{s:?}");
    // The cause is egress; the deny of the other side is not it, and lifting it alone lets nothing through.
    let s = case(&[("p.yaml", deny), ("n.yaml", closed)], vec![cause(D::Egress, 133)]).sure();
    assert_eq!(
        s.title,
        "no edit: ingress of shop/db-0 denies it too, and there ingressDeny[0] of CiliumNetworkPolicy shop/q has to give way"
    );
    let yet = "without that rule ingress would let it pass, yet egress of shop/cart-0 would still deny it";
    assert!(s.notes.iter().any(|n| n == yet), "{s:?}");
    // Behind the deny stands another one.
    let two = format!("{deny}---\n{}", deny.replace("name: q", "name: r").replace("app: cart", "tier: x"));
    let mut flow = cause(D::Ingress, 181);
    flow.src.labels.push("k8s:tier=x".into());
    let both = case(&[("p.yaml", &two)], vec![flow]).sure();
    assert!(both.title.contains("shop/q") && both.title.contains("shop/r"), "{both:?}");
    // A rule on everybody is narrowed, not relieved of a peer that it does not list.
    let wide = deny.replace("{matchLabels: {app: cart}}]}]", "{}]}]");
    let s = case(&[("p.yaml", &wide)], vec![cause(D::Ingress, 181)]).sure();
    assert!(s.notes.iter().any(|n| n == "narrowed so that it leaves out app=cart, it would go on denying the others"), "{s:?}");
}

#[test]
fn what_stands_behind_a_deny_is_named_when_it_denies_too() {
    let rule = |name: &str, tier: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  tier: {tier}\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  ingress:\n  - {{action: Deny, from: [{{namespaces: {{}}}}]}}\n"
        )
    };
    let flow = Observed { drop_reason: 181, ..denied(cart(), db(), 5432, D::Ingress) };
    let s = case(&[("a.yaml", &rule("top", "Admin")), ("b.yaml", &rule("floor", "Baseline"))], vec![flow]).sure();
    let still = "without that rule it would still be denied, by ingress[0].from[0] of ClusterNetworkPolicy floor";
    assert!(s.notes.iter().any(|n| n == still), "{s:?}");
}
