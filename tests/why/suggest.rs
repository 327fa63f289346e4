//! Every form of the smallest change: applied by a patcher of our own, read again, and judged again on every flow at hand.
use super::reader;
use super::scene::{Scene, drop, pod, world_ip};
use super::{SHOP, cart, db, patch};
use flowhy::engine::Fold;
use flowhy::engine::talks::Talks;
use flowhy::model::observed::{Direction as D, L4, L7, Observed, Party, Verdict};
use flowhy::model::suggestion::Suggestion;
use flowhy::model::time::Nanos;
use flowhy::policy::eval::Decision;
use flowhy::policy::suggest::{Ask, Ground, suggest};
use flowhy::policy::{Engine, ruling_of};
use flowhy::world::tree::{Style, Tree};
use std::collections::BTreeMap;

/// Manifests and flows; the first flow is the cause.
pub struct Case {
    pub files: BTreeMap<String, String>,
    pub engine: Engine,
    pub flows: Vec<Observed>,
}

pub fn case(files: &[(&str, &str)], flows: Vec<Observed>) -> Case {
    let files = files.iter().map(|(f, b)| ((*f).to_owned(), (*b).to_owned())).collect();
    Case { files, engine: Engine::Cilium, flows }
}

impl Case {
    pub fn scene(&self, files: &BTreeMap<String, String>) -> Scene {
        let mut s = Scene::new(&files.iter().map(|(f, b)| (f.as_str(), b.as_str())).collect::<Vec<_>>());
        s.opt.engine = self.engine;
        s
    }

    pub fn sure(&self) -> Suggestion {
        let s = self.scene(&self.files);
        let why = s.explain(&self.flows[0]).1.why;
        let mut talks = Talks::new(Fold::First);
        for f in &self.flows {
            talks.add(f, Nanos(Nanos::SECOND));
        }
        let ground = Ground::new(talks.iter(), &s.world, &s.set, &s.opt);
        let audit = self.flows[0].verdict == Verdict::Audit;
        let out = suggest(&Ask { why: &why, audit, talks: &[0], whole: true, lost: 0, filter: "", unheld: 0 }, &ground);
        reader::suggestion(&serde_json::to_string(&out).unwrap());
        if out.applies() {
            self.proves(&s, &talks, &out);
        } else {
            assert!(out.patch.is_none() && out.admits == 0 && out.title.starts_with("no edit: "), "{out:?}");
        }
        out
    }

    /// The change as a person would make it does what it says and nothing else.
    fn proves(&self, before: &Scene, talks: &Talks, s: &Suggestion) {
        let mut files = s.patch.as_ref().map_or_else(|| self.files.clone(), |p| patch::apply(&self.files, &p.diff));
        if s.patch.is_none() {
            files.insert("new.yaml".to_owned(), s.yaml.clone());
        } else {
            // What is new beside the patch: every object of the YAML that no file has.
            let (docs, _) = flowhy::world::yaml::read("y", &s.yaml);
            let known = |name: &str| before.set.iter().any(|p| p.id.name == name);
            let new: Vec<String> =
                docs.iter().filter(|d| !known(d.name())).map(|d| Tree::from(&d.root).document(Style::default())).collect();
            files.insert("new.yaml".to_owned(), new.join("---\n"));
        }
        let after = self.scene(&files);
        assert_eq!(after.faults.len(), before.faults.len(), "{:?}\n{files:?}", after.faults);
        let mut also = 0;
        let mut undecided = 0;
        for (i, t) in talks.iter().enumerate() {
            let was = ruling_of(&t.flow, &before.world, &before.set, &before.opt).decision();
            let is = ruling_of(&t.flow, &after.world, &after.set, &after.opt).decision();
            match (was, is) {
                (Decision::Denied, Decision::Allowed) if i > 0 => also += 1,
                (a, b) if i == 0 => assert_eq!((a, b), (Decision::Denied, Decision::Allowed), "{}\n{}", s.title, s.yaml),
                (Decision::Allowed, b) => assert_eq!(b, Decision::Allowed, "{} breaks\n{}", s.title, s.yaml),
                (a, b) => undecided += u64::from(a != b),
            }
        }
        let listed: u64 = s.also.len() as u64 + s.also_more;
        assert!(listed <= also && (also == 0) == (listed == 0), "{} of {also}: {s:?}", s.also.len());
        assert_eq!(s.undecided, undecided);
        assert_eq!(s.conversations, 1);
    }
}

/// Lines that come, without their sign.
fn added(s: &Suggestion) -> Vec<&str> {
    let lines = s.patch.as_ref().unwrap().diff.lines();
    lines.filter(|l| l.starts_with('+') && !l.starts_with("+++")).map(|l| &l[1..]).collect()
}

fn removed(s: &Suggestion) -> usize {
    s.patch.as_ref().unwrap().diff.lines().filter(|l| l.starts_with('-') && !l.starts_with("---")).count()
}

pub fn denied(src: Party, dst: Party, port: u16, d: D) -> Observed {
    drop(src, dst, L4::Tcp, port, Some(d))
}

#[test]
fn a_port_more_in_the_nearest_rule() {
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {selector: {app: db}, ports: [{port: 5432}]}\n";
    let s = case(&[("k8s/db.yaml", SHOP), ("svc.yaml", service)], vec![denied(cart(), db(), 5433, D::Ingress)]).sure();
    assert_eq!((s.title.as_str(), removed(&s)), ("add port TCP/5433 to ingress[0] of NetworkPolicy shop/db-ingress", 0));
    assert_eq!(added(&s), ["    - protocol: TCP", "      port: 5433"]);
    assert!(s.patch.as_ref().unwrap().diff.starts_with("--- k8s/db.yaml\n+++ k8s/db.yaml\n@@ -13,6 +13,8 @@\n"), "{s:?}");
    assert_eq!(s.client.as_deref(), Some("service shop/db exposes only 5432: is 5433 a typo in shop/cart-0?"));
    assert!(s.yaml.starts_with("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n") && s.yaml.contains("5433"));
    // Whoever asks for names there has not mistyped.
    let s = case(&[("k8s/db.yaml", SHOP), ("svc.yaml", service)], vec![drop(cart(), db(), L4::Udp, 53, Some(D::Ingress))]).sure();
    let client = "service shop/db exposes only TCP/5432, no DNS: is it the name server that shop/cart-0 is to ask?";
    assert_eq!(s.client.as_deref(), Some(client));
    // The pod's port stands behind the service's: no typing error.
    let service = service.replace("{port: 5432}", "{port: 5432}, {port: 80, targetPort: 5433}");
    let s = case(&[("k8s/db.yaml", SHOP), ("svc.yaml", &service)], vec![denied(cart(), db(), 5433, D::Ingress)]).sure();
    assert_eq!(s.client, None);
}

#[test]
fn a_peer_more_where_the_port_is_right() {
    let web = pod("shop", "web-7d9f8b6c4-x7k2p", "app=web,pod-template-hash=7d9f8b6c4");
    let s = case(&[("p.yaml", SHOP)], vec![denied(web, db(), 5432, D::Ingress)]).sure();
    assert_eq!(added(&s), ["    - podSelector:", "        matchLabels:", "          app: web"], "{s:?}");
    // Of another namespace: both selectors in one item, never the whole namespace.
    let s = case(&[("p.yaml", SHOP)], vec![denied(pod("web", "w", "app=web"), db(), 5432, D::Ingress)]).sure();
    assert_eq!(added(&s)[0], "    - namespaceSelector:");
    assert_eq!(added(&s)[3], "      podSelector:");
}

#[test]
fn an_edit_of_a_policy_that_selects_others_too_says_whom() {
    let p = SHOP.replace(
        "podSelector: {matchLabels: {app: db}}",
        "podSelector: {matchExpressions: [{key: app, operator: In, values: [db, cache]}]}",
    );
    let cache = denied(pod("shop", "cart-0", "app=cart"), pod("shop", "cache-0", "app=cache"), 5432, D::Ingress);
    let others = |s: &Suggestion| s.notes.iter().filter(|n| n.contains("selects other workloads too")).cloned().collect::<Vec<_>>();
    let s = case(&[("p.yaml", &p)], vec![denied(cart(), db(), 5433, D::Ingress), cache]).sure();
    assert_eq!(others(&s), ["shop/db-ingress selects other workloads too, and what it allows is allowed to them: shop/app=cache"], "{s:?}");
    let s = case(&[("p.yaml", SHOP)], vec![denied(cart(), db(), 5433, D::Ingress)]).sure();
    assert!(others(&s).is_empty(), "{s:?}");
}

#[test]
fn a_value_more_where_values_are_listed() {
    let p = SHOP.replace(
        "        matchLabels:\n          app: cart\n",
        "        matchExpressions:\n        - {key: app, operator: In, values: [cart, mail]}\n",
    );
    let s = case(&[("p.yaml", &p)], vec![denied(pod("shop", "w", "app=web"), db(), 5432, D::Ingress)]).sure();
    assert_eq!(added(&s), ["        - {key: app, operator: In, values: [cart, mail, web]}"], "{s:?}");
}

#[test]
fn a_value_more_where_one_pair_is_all_that_keeps_a_peer_out() {
    let card = || pod("shop", "card-0", "app=card,tier=front");
    let flow = |src| vec![denied(src, db(), 5432, D::Ingress)];
    let title = "add card to the values of app in ingress[0] of NetworkPolicy shop/db-ingress";
    let slip = "app=card may be a slip of the pen for app=cart: if the pod's label is what is wrong, mend that instead";
    // A letter wrong: the selector speaks of this pod.
    let s = case(&[("p.yaml", SHOP)], flow(card())).sure();
    assert_eq!((s.title.as_str(), s.notes.iter().any(|n| n == slip)), (title, true), "{s:?}");
    let lines = ["        matchExpressions:", "        - key: app", "          operator: In", "          values:"];
    assert_eq!(added(&s), [&lines[..], &["          - cart", "          - card"]].concat(), "{s:?}");
    assert_eq!(removed(&s), 2, "{s:?}");
    // Another word of as wide a meaning: a peer more takes no line away.
    let s = case(&[("p.yaml", SHOP)], flow(pod("shop", "w", "app=web"))).sure();
    assert!(s.title.starts_with("add peer app=web to "), "{s:?}");
    // The other pair stays, so the value is narrower than the peer by its own label would be.
    let two = SHOP.replace("          app: cart\n", "          app: cart\n          tier: front\n");
    let web = || pod("shop", "w", "app=web,tier=front");
    let s = case(&[("p.yaml", &two)], flow(web())).sure();
    assert_eq!((s.title.as_str(), removed(&s)), (title.replace("card", "web").as_str(), 1), "{s:?}");
    assert!(s.yaml.contains("          tier: front\n        matchExpressions:\n        - key: app\n"), "{}", s.yaml);
    let s = case(&[("p.yaml", &two)], [flow(web()), flow(pod("shop", "x", "app=web,tier=back"))].concat()).sure();
    assert!(s.title.contains("values of app") && s.also.is_empty(), "{s:?}");
    // Where another label tells the peer from its like, a value alone would let those in too.
    let like = [flow(pod("shop", "w2", "app=web,version=v2,tier=front")), flow(pod("shop", "w1", "app=web,version=v1,tier=front"))];
    let s = case(&[("p.yaml", &two)], like.concat()).sure();
    assert!(s.title.starts_with("add peer app=web,version=v2 to ") && s.also.is_empty(), "{s:?}");
    // In braces, and behind a dash.
    let flat = two
        .replace("        matchLabels:\n          app: cart\n          tier: front\n", "        matchLabels: {app: cart, tier: front}\n");
    let s = case(&[("p.yaml", &flat)], flow(web())).sure();
    assert_eq!(added(&s)[0], "        matchLabels: {tier: front}", "{s:?}");
    let cilium = CNP
        .replace("egress:", "ingress:")
        .replace("app: cart", "app: db")
        .replace("toFQDNs:\n        - matchName: api.stripe.com", "fromEndpoints:\n        - matchLabels:\n            \"k8s:app\": cart")
        .replace("443", "5432");
    let s = case(&[("p.yaml", &cilium)], flow(card())).sure();
    assert_eq!(added(&s)[..2], ["        - matchExpressions:", "            - key: \"k8s:app\""], "{s:?}");
    // A comment is about what stands there.
    let s = case(&[("p.yaml", &SHOP.replace("app: cart\n", "app: cart # the shop's\n"))], flow(card())).sure();
    assert!(s.title.starts_with("add peer app=card to "), "{s:?}");
}

#[test]
fn a_rule_of_its_own_rather_than_one_that_others_profit_from() {
    // The rule for the port has another port too; a peer more would reach that as well.
    let p = SHOP.replace("port: 5432\n", "port: 5432\n    - port: 80\n");
    let s = case(&[("p.yaml", &p)], vec![denied(pod("shop", "w", "app=web"), db(), 5432, D::Ingress)]).sure();
    assert!(s.title.starts_with("add a rule to NetworkPolicy shop/db-ingress: ingress from app=web on TCP/5432"), "{}", s.title);
    assert_eq!((added(&s).len(), removed(&s)), (7, 0), "{s:?}");
}

const DENY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";

#[test]
fn a_new_policy_where_only_the_namespace_is_isolated() {
    let s = case(&[("p.yaml", DENY)], vec![denied(pod("web", "w", "app=web"), db(), 5432, D::Ingress)]).sure();
    assert_eq!(s.title, "new NetworkPolicy shop/db-allow-from-web: ingress from app=web of namespace web");
    assert!(s.patch.is_none() && s.isolates.is_empty() && s.also.is_empty());
    assert!(s.yaml.contains("      app: db\n") && s.yaml.contains("kubernetes.io/metadata.name: web"), "{}", s.yaml);
}

#[test]
fn both_sides_are_opened_where_both_deny() {
    let s = case(&[("p.yaml", DENY)], vec![denied(cart(), db(), 5432, D::Egress)]).sure();
    assert_eq!(s.yaml.matches("kind: NetworkPolicy").count(), 2, "{}", s.yaml);
    assert!(s.notes.iter().any(|n| n.contains("both sides")), "{s:?}");
    // Both in one file, far apart: one diff with a hunk for each.
    let one = |name: &str, app: &str, types: &str| {
        DENY.replace("name: deny", &format!("name: {name}"))
            .replace("podSelector: {}", &format!("podSelector: {{matchLabels: {{app: {app}}}}}"))
            .replace("[Ingress, Egress]", types)
    };
    let file = [one("out", "cart", "[Egress]"), "# filler\n".repeat(20), one("in", "db", "[Ingress]")].join("---\n");
    let s = case(&[("p.yaml", &file)], vec![denied(cart(), db(), 5432, D::Egress)]).sure();
    let diff = &s.patch.as_ref().unwrap().diff;
    assert_eq!((diff.matches("--- p.yaml").count(), diff.matches("\n@@ ").count()), (1, 2), "{diff}");
}

#[test]
fn one_policy_for_dns_where_a_namespace_is_isolated_and_an_edit_where_one_workload_is() {
    let dns = || pod("kube-system", "coredns-x", "k8s-app=kube-dns,pod-template-hash=1");
    let ask = |src| drop(src, dns(), L4::Udp, 53, Some(D::Egress));
    let s = case(&[("p.yaml", DENY)], vec![ask(cart()), ask(db())]).sure();
    assert_eq!((s.also.len(), s.isolates.len()), (1, 0), "{s:?}");
    assert!(
        s.yaml.contains("name: allow-dns\n") && s.yaml.contains("podSelector: {}") && s.yaml.contains("k8s-app: kube-dns"),
        "{}",
        s.yaml
    );
    let one = DENY.replace("podSelector: {}", "podSelector: {matchLabels: {app: cart}}");
    let s = case(&[("p.yaml", &one)], vec![ask(cart()), ask(db())]).sure();
    assert!(s.title.starts_with("add a rule to NetworkPolicy shop/deny: egress to k8s-app=kube-dns of namespace kube-system"), "{s:?}");
    // The name is taken.
    let two = format!("{DENY}---\n{}", DENY.replace("name: deny", "name: allow-dns"));
    assert!(case(&[("p.yaml", &two)], vec![ask(cart())]).sure().yaml.contains("name: allow-dns-2\n"));
}

#[test]
fn a_cause_of_several_workloads_is_mended_in_the_policy_of_each() {
    let of = |app: &str| {
        DENY.replace("name: deny", &format!("name: {app}"))
            .replace("podSelector: {}", &format!("podSelector: {{matchLabels: {{app: {app}}}}}"))
    };
    let c = case(&[("p.yaml", &format!("{}---\n{}", of("cart"), of("db")))], Vec::new());
    let s = c.scene(&c.files);
    let dns = || pod("kube-system", "coredns-x", "k8s-app=kube-dns");
    let flows = [cart(), db()].map(|src| drop(src, dns(), L4::Udp, 53, Some(D::Egress)));
    let mut talks = Talks::new(Fold::First);
    for f in &flows {
        talks.add(f, Nanos(Nanos::SECOND));
    }
    let why = s.explain(&flows[0]).1.why;
    let ground = Ground::new(talks.iter(), &s.world, &s.set, &s.opt);
    let out = suggest(&Ask { why: &why, audit: false, talks: &[0, 1], whole: true, lost: 0, filter: "", unheld: 0 }, &ground);
    reader::suggestion(&serde_json::to_string(&out).unwrap());
    assert_eq!((out.conversations, out.of, out.also.len(), out.yaml.matches("kind: NetworkPolicy").count()), (2, 2, 0, 2), "{out:?}");
    assert_eq!(out.notes.len(), 1, "said once: {:?}", out.notes);
    patch::apply(&c.files, &out.patch.unwrap().diff);
}

pub const CNP: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: cart, namespace: shop}
spec:
  endpointSelector:
    matchLabels:
      app: cart
  egress:
    - toFQDNs:
        - matchName: api.stripe.com
      toPorts:
        - ports:
            - port: \"443\"
              protocol: TCP
";

#[test]
fn a_host_by_its_name_with_the_dns_rule_and_never_by_its_address() {
    let to = |names: &[&str]| denied(cart(), world_ip("1.2.3.4", names), 443, D::Egress);
    let s = case(&[("p.yaml", CNP)], vec![to(&["hooks.stripe.com"])]).sure();
    assert_eq!(added(&s)[0], "        - matchName: hooks.stripe.com");
    assert!(added(&s).iter().any(|l| l.contains("dns:")) && s.notes.iter().any(|n| n.contains("is assumed")), "{s:?}");
    assert!(!s.yaml.contains("1.2.3.4"));
    // Without a name it is the one address.
    let s = case(&[("p.yaml", CNP)], vec![to(&[])]).sure();
    assert!(s.yaml.contains("toCIDR:\n        - 1.2.3.4/32"), "{}", s.yaml);
    // A plain NetworkPolicy isolates, and Cilium enforces it: the name still counts.
    let s = case(&[("p.yaml", DENY)], vec![to(&["hooks.stripe.com"])]).sure();
    assert!(s.yaml.contains("kind: CiliumNetworkPolicy") && s.yaml.contains("matchName: hooks.stripe.com"), "{}", s.yaml);
    // Nobody but Cilium knows names: no edit, and the reason.
    let mut c = case(&[("p.yaml", DENY)], vec![to(&["hooks.stripe.com"])]);
    c.engine = Engine::Kubernetes;
    let s = c.sure();
    assert!(!s.applies() && s.title.contains("cannot name hosts"), "{s:?}");
}

#[test]
fn requests_and_names_as_they_were_asked() {
    let p = CNP.replace("toFQDNs:\n        - matchName: api.stripe.com", "toEndpoints:\n        - matchLabels: {app: db}").replace(
        "              protocol: TCP\n",
        "              protocol: TCP\n          rules:\n            http:\n              - {method: GET, path: /v1/.*, headers: [X-Key]}\n",
    );
    let l7 = L7::Http { method: "PUT".into(), url: "http://db/v1/a+b?x=1".into(), code: 0, headers: vec![("X-Key".into(), "1".into())] };
    let o = Observed { l7: Some(l7), event: Some((129, 0)), drop_reason: 0, ..denied(cart(), db(), 443, D::Egress) };
    // The fold keeps no headers, so whether the request has the one that the rules ask for is not known: that is said, and no edit made.
    let s = case(&[("p.yaml", &p)], vec![o.clone()]).sure();
    assert!(!s.applies() && s.title.contains("ask for headers or for different hosts"), "{s:?}");
    let s = case(&[("p.yaml", &p.replace(", headers: [X-Key]", ""))], vec![o]).sure();
    assert_eq!(added(&s), [r#"              - {method: PUT, path: "/v1/a\\+b(\\?.*)?"}"#], "{s:?}");
    assert!(s.notes.iter().any(|n| n.contains("query string")));

    let p = CNP
        .replace("toFQDNs:\n        - matchName: api.stripe.com", "toEndpoints:\n        - matchLabels: {app: db}")
        .replace("443", "53")
        .replace(
            "              protocol: TCP\n",
            "              protocol: ANY\n          rules:\n            dns:\n              - matchName: a.b\n",
        );
    let l7 = L7::Dns { query: "C.D.".into(), rcode: 5, ips: vec![], cnames: vec![], ttl: 0, qtypes: vec!["A".into()] };
    let o = Observed { l7: Some(l7), event: Some((129, 0)), drop_reason: 0, ..drop(cart(), db(), L4::Udp, 53, Some(D::Egress)) };
    let s = case(&[("p.yaml", &p)], vec![o]).sure();
    assert_eq!(added(&s), ["              - matchName: c.d"], "{s:?}");
}

#[test]
fn an_audit_an_owner_and_a_new_isolation_are_said() {
    let o = Observed { verdict: Verdict::Audit, drop_reason: 0, ..denied(cart(), db(), 5433, D::Ingress) };
    let owned = SHOP.replace("  namespace: shop\n", "  namespace: shop\n  annotations: {meta.helm.sh/release-name: shop-db}\n");
    let s = case(&[("p.yaml", &owned)], vec![o]).sure();
    assert!(s.notes[0].contains("audited") && s.notes.iter().any(|n| n.contains("the Helm release shop-db")), "{s:?}");
    // Whom the policy isolates no stable label says; the new one selects a pod more.
    let p = DENY.replace("podSelector: {}", "podSelector: {matchExpressions: [{key: pod-template-hash, operator: Exists}]}");
    let more = "apiVersion: v1\nkind: Pod\nmetadata: {name: db-9, namespace: shop, labels: {app: db}}\n";
    let mine = pod("shop", "db-0", "app=db,pod-template-hash=x");
    let s = case(&[("p.yaml", &p), ("pod.yaml", more)], vec![denied(pod("shop", "w", "app=web"), mine, 80, D::Ingress)]).sure();
    assert_eq!(s.isolates, ["shop/db-9"], "{s:?}");
    assert!(s.proof().contains("newly isolates 1"));
}

#[test]
fn the_text_keeps_its_style() {
    let flow = || vec![denied(cart(), db(), 5433, D::Ingress)];
    let crlf = SHOP.replace('\n', "\r\n");
    let s = case(&[("p.yaml", &crlf)], flow()).sure();
    assert_eq!(added(&s), ["    - protocol: TCP", "      port: 5433"], "lines() takes the returns off");
    assert!(s.patch.unwrap().diff.contains("+      port: 5433\r\n"));
    let json = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "cart"}}}], "ports": [{"port": 5432}]}]}}"#;
    let s = case(&[("p.json", json)], flow()).sure();
    assert!(added(&s)[0].contains(r#""ports": [{"port": 5432}, {"port": 5433}]"#), "{s:?}");
    // From standard input there is no file to patch, but the object.
    let c = case(&[("-", SHOP)], flow());
    let s = c.scene(&c.files);
    let why = s.explain(&c.flows[0]).1.why;
    let mut talks = Talks::new(Fold::First);
    talks.add(&c.flows[0], Nanos(0));
    let ground = Ground::new(talks.iter(), &s.world, &s.set, &s.opt);
    let out = suggest(&Ask { why: &why, audit: false, talks: &[0], whole: true, lost: 0, filter: "", unheld: 0 }, &ground);
    assert!(out.patch.is_none() && out.yaml.contains("port: 5433"));
}

#[test]
fn the_strict_reader_is_strict() {
    let s = case(&[("p.yaml", SHOP)], vec![denied(cart(), db(), 5433, D::Ingress)]).sure();
    let json = serde_json::to_string(&s).unwrap();
    assert!(std::panic::catch_unwind(|| reader::suggestion(&json.replacen("\"title\"", "\"titel\"", 1))).is_err());
}

#[test]
fn a_pod_that_lets_no_dns_in_is_not_taken_for_the_dns_server() {
    let to = denied(cart(), world_ip("1.2.3.4", &["hooks.stripe.com"]), 443, D::Egress);
    let ask = drop(cart(), db(), L4::Udp, 53, Some(D::Egress));
    let s = case(&[("p.yaml", CNP)], vec![to, ask]).sure();
    assert!(s.yaml.contains("k8s-app: kube-dns") && s.notes.iter().any(|n| n.contains("is assumed")), "{s:?}");
}

#[test]
fn a_query_string_on_one_path_opens_no_query_strings_on_the_others() {
    let p = CNP.replace("toFQDNs:\n        - matchName: api.stripe.com", "toEndpoints:\n        - matchLabels: {app: db}").replace(
        "              protocol: TCP\n",
        "              protocol: TCP\n          rules:\n            http:\n              - {method: GET, path: /v1/.*}\n",
    );
    let put = |url: &str| {
        let l7 = L7::Http { method: "PUT".into(), url: url.into(), code: 0, headers: vec![] };
        Observed { l7: Some(l7), event: Some((129, 0)), drop_reason: 0, ..denied(cart(), db(), 443, D::Egress) }
    };
    let c = case(&[("p.yaml", &p)], vec![put("http://db/plain"), put("http://db/find?x=1")]);
    let s = c.scene(&c.files);
    let why = s.explain(&c.flows[0]).1.why;
    let mut talks = Talks::new(Fold::First);
    for f in &c.flows {
        talks.add(f, Nanos(Nanos::SECOND));
    }
    let ground = Ground::new(talks.iter(), &s.world, &s.set, &s.opt);
    let all: Vec<usize> = (0..talks.iter().count()).collect();
    let out = suggest(&Ask { why: &why, audit: false, talks: &all, whole: true, lost: 0, filter: "", unheld: 0 }, &ground);
    assert_eq!(
        added(&out),
        ["              - {method: PUT, path: \"/find(\\\\?.*)?\"}", "              - {method: PUT, path: /plain}"],
        "{out:?}"
    );
    assert!(out.notes.iter().any(|n| n.starts_with("/find with any query string")), "{out:?}");
}

#[test]
fn a_value_more_is_not_offered_where_it_would_admit_its_namesakes_of_every_namespace() {
    let p = SHOP.replace(
        "    - podSelector:\n        matchLabels:\n          app: cart\n",
        "    - namespaceSelector: {}\n      podSelector:\n        matchExpressions:\n        - {key: app, operator: In, values: [cart, mail]}\n",
    );
    assert!(p.contains("namespaceSelector"), "{p}");
    let s = case(&[("p.yaml", &p)], vec![denied(pod("shop", "w", "app=web"), db(), 5432, D::Ingress)]).sure();
    assert!(s.title.starts_with("add peer app=web to ingress[0]"), "{s:?}");
}

#[test]
fn what_is_new_beside_a_patch_is_shown_with_it() {
    let closed = DENY.replace("deny", "all-out").replace("[Ingress, Egress]", "[Egress]");
    let flow = denied(pod("shop", "w", "app=web"), db(), 5432, D::Ingress);
    let s = case(&[("p.yaml", SHOP), ("d.yaml", &closed)], vec![flow]).sure();
    assert!(s.patch.is_some() && s.title.contains("; new "), "{s:?}");
    assert!(
        s.text().starts_with("--- p.yaml") && s.text().contains("\nkind: NetworkPolicy\n") && s.text().contains("- Egress"),
        "{}",
        s.text()
    );
}

/// What a text says in two places by an anchor is not changed for one of them.
#[test]
fn an_edit_that_an_alias_would_carry_to_another_rule_is_not_offered() {
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: db}}\n  ingress:\n";
    let rules = [
        "  - from:\n    - podSelector: &p\n        matchLabels:\n          app: cart\n    ports: [{port: 80}]\n  - from:\n    - podSelector: *p\n    ports: [{port: 9090}]\n",
        "  - from: [{podSelector: &p {matchLabels: {app: cart}}}]\n    ports: [{port: 80}]\n  - from: [{podSelector: *p}]\n    ports: [{port: 9090}]\n",
        "  - from: &f\n    - podSelector: {matchLabels: {app: cart}}\n    ports: [{port: 80}]\n  - from: *f\n    ports: [{port: 9090}]\n",
        "  - &r\n    from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [cart]}]}}]\n    ports: [{port: 80}]\n  - <<: *r\n    ports: [{port: 9090}]\n",
    ];
    let card = |port| denied(pod("shop", "card-0", "app=card"), db(), port, D::Ingress);
    for rules in rules {
        let c = case(&[("p.yaml", &format!("{head}{rules}"))], vec![card(80)]);
        let s = c.sure();
        assert!(s.applies(), "{s:?}");
        let files = s.patch.as_ref().map_or_else(|| c.files.clone(), |p| patch::apply(&c.files, &p.diff));
        let after = c.scene(&files);
        let other = ruling_of(&card(9090), &after.world, &after.set, &after.opt).decision();
        assert_eq!(other, Decision::Denied, "{}", s.text());
    }
}

#[test]
fn of_two_expressions_on_one_line_the_one_that_fails_gets_the_value() {
    let p = SHOP.replace(
        "        matchLabels:\n          app: cart\n",
        "        matchExpressions: [{key: tier, operator: In, values: [front]}, {key: app, operator: In, values: [cart]}]\n",
    );
    let s = case(&[("p.yaml", &p)], vec![denied(pod("shop", "w", "app=web,tier=front"), db(), 5432, D::Ingress)]).sure();
    assert!(s.title.starts_with("add web to the values of app in ingress[0]"), "{s:?}");
    assert!(added(&s)[0].contains("values: [front]}, {key: app, operator: In, values: [cart, web]}"), "{s:?}");
}

#[test]
fn a_foreign_label_that_ends_like_a_namespaces_name_is_no_namespace() {
    let key = "x.kubernetes.io/metadata.name";
    let selector = format!("    - namespaceSelector: {{matchLabels: {{{key}: shop}}}}\n      podSelector:\n        matchExpressions:\n");
    let p = SHOP.replace(
        "    - podSelector:\n        matchLabels:\n          app: cart\n",
        &format!("{selector}        - {{key: app, operator: In, values: [cart, mail]}}\n"),
    );
    let web = |key: &str| pod("shop", "w", &format!("app=web,io.cilium.k8s.namespace.labels.{key}=shop"));
    let title = |p: &str| case(&[("p.yaml", p)], vec![denied(web(key), db(), 5432, D::Ingress)]).sure().title;
    assert!(title(&p).starts_with("add peer app=web to ingress[0]"), "{}", title(&p));
    assert!(title(&p.replace("x.kube", "kube")).starts_with("add web to the values of app"), "that one is its name");
}

#[test]
fn a_value_of_another_source_than_kubernetes_does_not_name_a_pod() {
    let of = |source: &str| {
        CNP.replace("egress:", "ingress:")
            .replace("app: cart", "app: db")
            .replace(
                "toFQDNs:\n        - matchName: api.stripe.com",
                &format!("fromEndpoints:\n        - matchLabels:\n            \"{source}:app\": cart"),
            )
            .replace("443", "5432")
    };
    let mut card = pod("shop", "card-0", "app=card");
    card.labels.push("container:app=card".to_owned());
    let title = |source| case(&[("p.yaml", &of(source))], vec![denied(card.clone(), db(), 5432, D::Ingress)]).sure().title;
    assert!(["any", "k8s"].iter().all(|s| title(s).starts_with("add card to the values of app")), "{}", title("any"));
    assert!(!title("container").contains("to the values of"), "{}", title("container"));
}
