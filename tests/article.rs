//! The article's policies, one by one: flows with the verdict that its text gives, its pitfalls, and those lines of its troubleshooting
//! table that manifests and flows can show. The policies in `tests/article` are test input only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
#[path = "why/reader.rs"]
mod reader;
#[path = "why/scene.rs"]
mod scene;

use flowhy::model::observed::{Direction as D, L4, L7, Observed, Party, Verdict};
use flowhy::policy::lint::{self, Finding};
use reader::{Direction, On, Outcome, Why};
use scene::{Scene, drop, pod, world_ip};
use std::path::{Path, PathBuf};

/// The article's policies by number.
fn article(numbers: &[&str]) -> Scene {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/article");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let number = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap()[..2].to_owned();
    // In the order asked for, which one test is about.
    let chosen: Vec<PathBuf> = numbers.iter().map(|n| files.iter().find(|p| number(p) == *n).unwrap().clone()).collect();
    Scene::files(&chosen)
}

fn findings(s: &Scene) -> Vec<Finding> {
    lint::of_set(&s.world, &s.set, &s.opt)
}

fn ids(s: &Scene) -> Vec<&'static str> {
    findings(s).iter().map(|f| f.id).collect()
}

fn told(w: &Why) -> Vec<&str> {
    w.diagnosis.iter().map(|d| d.id.as_str()).collect()
}

/// What passed on both sides.
fn passed(src: &Party, dst: &Party, l4: L4, port: u16) -> Observed {
    Observed { verdict: Verdict::Forwarded, drop_reason: 0, ..drop(src.clone(), dst.clone(), l4, port, None) }
}

#[track_caller]
fn allowed(s: &Scene, src: &Party, dst: &Party, l4: L4, port: u16, by: &[&str]) {
    let w = s.why(&passed(src, dst, l4, port));
    assert_eq!(w.outcome, Outcome::Allowed, "{}", w.text);
    assert_eq!(w.names(), by, "{}", w.text);
}

/// A drop on that side, which these policies and no others isolate; (rule, what failed) of the nearest.
#[track_caller]
fn denied(s: &Scene, src: &Party, dst: &Party, l4: L4, port: u16, side: D, by: &[&str]) -> Why {
    let w = s.why(&drop(src.clone(), dst.clone(), l4, port, Some(side)));
    let direction = if side == D::Egress { Direction::Egress } else { Direction::Ingress };
    assert_eq!((w.outcome, w.direction), (Outcome::DefaultDeny, Some(direction)), "{}", w.text);
    assert_eq!(w.names(), by, "{}", w.text);
    w
}

#[track_caller]
fn nearest(w: &Why, rule: &str, failed: &[(On, &str, &str)]) {
    assert_eq!(w.nearest.as_ref().map(|n| n.rule.as_str()), Some(rule), "{}", w.text);
    assert_eq!(w.failed(), failed, "{}", w.text);
}

fn web() -> Party {
    pod("production", "web-0", "app=web,tier=frontend")
}
fn api() -> Party {
    pod("production", "api-0", "app=api,tier=backend")
}
fn postgres() -> Party {
    pod("production", "postgres-0", "app=postgres,tier=database")
}
fn coredns() -> Party {
    pod("kube-system", "coredns-0", "k8s-app=kube-dns")
}
fn staging() -> Party {
    pod("staging", "web-0", "app=web,tier=frontend")
}
fn internet() -> Party {
    world_ip("203.0.113.7", &[])
}

/// With a label on the pod's namespace.
fn of(mut p: Party, label: &str) -> Party {
    p.labels.push(format!("k8s:io.cilium.k8s.namespace.labels.{label}"));
    p
}

fn prometheus(label: &str) -> Party {
    let p = pod("monitoring", "prometheus-0", "app=prometheus");
    if label.is_empty() { p } else { of(p, label) }
}

const NOBODY: &[&str] = &[];

#[test]
fn policy_01_denies_all_ingress_and_no_egress() {
    let s = article(&["01"]);
    let w = denied(&s, &staging(), &api(), L4::Tcp, 8080, D::Ingress, &["production/default-deny-ingress"]);
    assert!(w.nearest.is_none() && w.text == "no policy has an ingress rule that allows anything", "{}", w.text);
    denied(&s, &web(), &api(), L4::Tcp, 8080, D::Ingress, &["production/default-deny-ingress"]);
    allowed(&s, &api(), &internet(), L4::Tcp, 443, NOBODY);
    allowed(&s, &web(), &staging(), L4::Tcp, 80, NOBODY);
}

#[test]
fn policy_02_denies_all_egress_and_no_ingress() {
    let s = article(&["02"]);
    assert!(denied(&s, &api(), &internet(), L4::Tcp, 443, D::Egress, &["production/default-deny-egress"]).nearest.is_none());
    denied(&s, &api(), &coredns(), L4::Udp, 53, D::Egress, &["production/default-deny-egress"]);
    allowed(&s, &staging(), &api(), L4::Tcp, 8080, NOBODY);
}

#[test]
fn policies_03_and_22_deny_both_directions() {
    for number in ["03", "22"] {
        let s = article(&[number]);
        denied(&s, &staging(), &api(), L4::Tcp, 8080, D::Ingress, &["production/default-deny-all"]);
        denied(&s, &api(), &internet(), L4::Tcp, 443, D::Egress, &["production/default-deny-all"]);
        allowed(&s, &staging(), &pod("web", "x", "app=x"), L4::Tcp, 80, NOBODY);
    }
}

#[test]
fn policy_04_lets_dns_out_and_nothing_else() {
    let s = article(&["03", "04"]);
    for l4 in [L4::Udp, L4::Tcp] {
        allowed(&s, &api(), &coredns(), l4, 53, &["production/allow-dns-egress"]);
    }
    let both = ["production/allow-dns-egress", "production/default-deny-all"];
    let w = denied(&s, &api(), &coredns(), L4::Tcp, 9153, D::Egress, &both);
    nearest(&w, "egress[0]", &[(On::Port, "UDP/53, TCP/53", "TCP/9153")]);
    let w = denied(&s, &api(), &internet(), L4::Udp, 53, D::Egress, &both);
    nearest(&w, "egress[0]", &[(On::Peer, "a pod with kubernetes.io/metadata.name=kube-system", "203.0.113.7 (world)")]);
    assert!(!told(&w).contains(&"dns-not-allowed"), "DNS is allowed, only not there");
}

/// The article's loop fills the name in.
#[test]
fn policy_05_is_a_template_for_every_namespace() {
    let body =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/article/05-NetworkPolicy-default-deny-all.yaml")).unwrap();
    let s = Scene::new(&[("staging.yaml", &body.replace("$ns", "staging"))]);
    denied(&s, &web(), &staging(), L4::Tcp, 80, D::Ingress, &["staging/default-deny-all"]);
    denied(&s, &staging(), &web(), L4::Tcp, 80, D::Egress, &["staging/default-deny-all"]);
    allowed(&s, &web(), &api(), L4::Tcp, 80, NOBODY);
    // As it stands it is for no namespace that can exist.
    allowed(&article(&["05"]), &staging(), &web(), L4::Tcp, 80, NOBODY);
}

#[test]
fn policies_06_to_08_isolate_three_tiers() {
    let s = article(&["06", "07", "08"]);
    let nginx = of(pod("ingress", "nginx-0", "app=ingress-nginx"), "env=production");
    for port in [8080, 8443] {
        allowed(&s, &nginx, &web(), L4::Tcp, port, &["production/frontend-policy"]);
    }
    let w = denied(&s, &nginx, &web(), L4::Tcp, 80, D::Ingress, &["production/frontend-policy"]);
    nearest(&w, "ingress[0]", &[(On::Port, "TCP/8080, TCP/8443", "TCP/80")]);
    let other = of(pod("ingress", "nginx-0", "app=ingress-nginx"), "env=staging");
    let w = denied(&s, &other, &web(), L4::Tcp, 8080, D::Ingress, &["production/frontend-policy"]);
    nearest(&w, "ingress[0]", &[(On::Namespace, "env=production", "env=staging")]);

    allowed(&s, &web(), &api(), L4::Tcp, 8080, &["production/backend-policy", "production/frontend-policy"]);
    allowed(&s, &api(), &postgres(), L4::Tcp, 5432, &["production/backend-policy", "production/database-policy"]);
    allowed(&s, &api(), &pod("production", "redis-0", "app=redis,tier=cache"), L4::Tcp, 6379, &["production/backend-policy"]);
    for from in [web(), api(), postgres()] {
        let who = if from == web() {
            "frontend"
        } else if from == api() {
            "backend"
        } else {
            "database"
        };
        let by = format!("production/{who}-policy");
        allowed(&s, &from, &coredns(), L4::Udp, 53, &[&by]);
        // The article opens UDP only here.
        let w = denied(&s, &from, &coredns(), L4::Tcp, 53, D::Egress, &[&by]);
        assert_eq!(told(&w), ["dns-one-transport"], "{who}");
    }
    // The frontend never reaches the database, whichever side is asked.
    let w = denied(&s, &web(), &postgres(), L4::Tcp, 5432, D::Egress, &["production/frontend-policy"]);
    assert_eq!(told(&w), ["other-side-denies-too"]);
    let w = denied(&s, &web(), &postgres(), L4::Tcp, 5432, D::Ingress, &["production/database-policy"]);
    nearest(&w, "ingress[0]", &[(On::Label, "app=api", "app=web"), (On::Label, "tier=backend", "tier=frontend")]);
    let w = denied(&s, &api(), &postgres(), L4::Tcp, 3306, D::Ingress, &["production/database-policy"]);
    nearest(&w, "ingress[0]", &[(On::Port, "TCP/5432", "TCP/3306")]);
}

#[test]
fn policy_09_lets_monitoring_scrape() {
    let s = article(&["09"]);
    allowed(&s, &prometheus("purpose=monitoring"), &api(), L4::Tcp, 9090, &["production/allow-from-monitoring"]);
    let by = ["production/allow-from-monitoring"];
    let w = denied(&s, &prometheus("purpose=other"), &api(), L4::Tcp, 9090, D::Ingress, &by);
    nearest(&w, "ingress[0]", &[(On::Namespace, "purpose=monitoring", "purpose=other")]);
    let w = denied(&s, &prometheus("purpose=monitoring"), &api(), L4::Tcp, 8080, D::Ingress, &by);
    nearest(&w, "ingress[0]", &[(On::Port, "TCP/9090", "TCP/8080")]);
    let grafana = of(pod("monitoring", "grafana-0", "app=grafana"), "purpose=monitoring");
    let w = denied(&s, &grafana, &api(), L4::Tcp, 9090, D::Ingress, &by);
    nearest(&w, "ingress[0]", &[(On::Label, "app=prometheus", "app=grafana")]);
}

fn request(verdict: Verdict, method: &str, url: &str) -> Observed {
    let l7 = Some(L7::Http { method: method.into(), url: url.into(), code: 0, headers: Vec::new() });
    Observed { verdict, drop_reason: 0, event: Some((129, 0)), l7, ..drop(web(), api(), L4::Tcp, 8080, Some(D::Ingress)) }
}

#[test]
fn policy_10_filters_requests() {
    let s = article(&["10"]);
    for (method, path) in [("GET", "/api/v1/users"), ("POST", "/api/v1/orders"), ("PUT", "/api/v1/orders/7")] {
        let w = s.why(&request(Verdict::Forwarded, method, &format!("http://api:8080{path}")));
        assert_eq!((w.outcome, w.names()), (Outcome::Allowed, vec!["production/l7-http-policy".to_owned()]), "{method} {path}");
    }
    for (method, path) in [("DELETE", "/api/v1/orders/7"), ("POST", "/api/v1/users"), ("PUT", "/api/v1/orders"), ("GET", "/metrics")] {
        let w = s.why(&request(Verdict::Dropped, method, &format!("http://api:8080{path}")));
        assert_eq!((w.outcome, w.names()), (Outcome::L7Denied, vec!["production/l7-http-policy".to_owned()]), "{method} {path}");
        assert_eq!(w.text, format!("no HTTP rule allows {method} {path}"));
    }
    denied(&s, &staging(), &api(), L4::Tcp, 8080, D::Ingress, &["production/l7-http-policy"]);
    // Its HTTP rules close every other port.
    let w = denied(&s, &web(), &api(), L4::Tcp, 9090, D::Ingress, &["production/l7-http-policy"]);
    assert_eq!(told(&w), ["http-rule-only-isolates"]);
}

#[test]
fn policy_11_has_kafka_rules_that_are_gone() {
    let s = article(&["11"]);
    let kafka = pod("production", "kafka-0", "app=kafka");
    let f = findings(&s);
    assert_eq!(f.iter().map(|f| (f.id, f.line)).collect::<Vec<_>>(), [("kafka-rules-pruned", 19), ("kafka-rules-pruned", 32)]);
    for app in ["order-service", "payment-service"] {
        let from = pod("production", "client-0", &format!("app={app}"));
        allowed(&s, &from, &kafka, L4::Tcp, 9092, &["production/kafka-policy"]);
        let w = s.why(&Observed { direction: Some(D::Ingress), ..passed(&from, &kafka, L4::Tcp, 9092) });
        assert_eq!(told(&w), ["kafka-rules-pruned"], "{app} may write to every topic");
    }
    denied(&s, &web(), &kafka, L4::Tcp, 9092, D::Ingress, &["production/kafka-policy"]);
}

#[test]
fn policies_12_and_13_allow_by_name() {
    let pay = pod("production", "pay-0", "app=payment-service");
    for (number, from, policy, names, others) in [
        (
            "12",
            api(),
            "production/external-api-egress",
            &["api.stripe.com", "api.sendgrid.com", "sqs.amazonaws.com"][..],
            &["a.b.amazonaws.com"][..],
        ),
        (
            "13",
            pay,
            "production/allow-external-services",
            &["api.paypal.com", "s3.amazonaws.com", "x.s3.amazonaws.com"][..],
            &["sqs.amazonaws.com"][..],
        ),
    ] {
        let s = article(&[number]);
        for name in names {
            allowed(&s, &from, &world_ip("203.0.113.7", &[name]), L4::Tcp, 443, &[policy]);
        }
        for name in others {
            let w = denied(&s, &from, &world_ip("203.0.113.7", &[name]), L4::Tcp, 443, D::Egress, &[policy]);
            assert!(w.failed().iter().any(|(on, _, got)| *on == On::Fqdn && got == name), "{:?}", w.failed());
        }
        let w = denied(&s, &from, &world_ip("203.0.113.7", &[names[0]]), L4::Tcp, 80, D::Egress, &[policy]);
        nearest(&w, "egress[0]", &[(On::Port, "TCP/443", "TCP/80")]);
        allowed(&s, &from, &coredns(), L4::Udp, 53, &[policy]);
        denied(&s, &from, &internet(), L4::Tcp, 443, D::Egress, &[policy]);
        assert!(!ids(&s).contains(&"fqdn-without-dns-rule"), "its own DNS rule feeds it");
    }
}

#[test]
fn policy_18_loses_its_first_ingress() {
    let s = article(&["18"]);
    let f = findings(&s);
    let twice = f.iter().find(|f| f.id == "duplicate-key").unwrap();
    assert_eq!((twice.line, twice.text.contains("all that stands under line 7 is lost")), (15, true), "{}", twice.text);
    let account = |ns: &str, name: &str, account: &str| pod(ns, name, &format!("io.cilium.k8s.policy.serviceaccount={account}"));
    allowed(&s, &account("monitoring", "p", "monitoring"), &api(), L4::Tcp, 9090, &["allow-mtls-traffic"]);
    // What the lost section was for.
    denied(&s, &account("production", "web-0", "frontend"), &api(), L4::Tcp, 8080, D::Ingress, &["allow-mtls-traffic"]);
}

#[test]
fn policy_19_is_for_its_own_namespace_and_dns() {
    let s = article(&["19"]);
    let by = ["production/zero-trust-foundation"];
    let w = denied(&s, &staging(), &api(), L4::Tcp, 8080, D::Ingress, &by);
    nearest(&w, "ingress[0]", &[(On::Namespace, "namespace=production", "namespace=staging")]);
    allowed(&s, &api(), &coredns(), L4::Udp, 53, &by);
    allowed(&s, &api(), &coredns(), L4::Tcp, 53, &by);
    // Ingress within the namespace is open, but its pods may send nothing but DNS: nobody gets there.
    let w = denied(&s, &web(), &api(), L4::Tcp, 8080, D::Egress, &by);
    assert_eq!(told(&w), ["other-side-allows"]);
    denied(&s, &api(), &internet(), L4::Tcp, 443, D::Egress, &by);
}

#[test]
fn policy_20_is_refused_and_enforces_nothing() {
    let s = article(&["20"]);
    assert!(s.set.is_empty());
    let f = findings(&s);
    assert_eq!((f.len(), f[0].id), (1, "policy-refused"));
    assert!(f[0].text.contains("fromRequires is gone from Cilium 1.19 on") && f[0].text.contains("as fromEndpoints"), "{}", f[0].text);
    allowed(&s, &staging(), &api(), L4::Tcp, 8080, NOBODY);
    let w = s.why(&drop(staging(), api(), L4::Tcp, 8080, Some(D::Ingress)));
    assert_eq!(w.outcome, Outcome::NowAllowed);
    assert!(
        w.because.iter().any(|b| b.contains("refused, so not judged: CiliumNetworkPolicy production/identity-based-policy")),
        "{:?}",
        w.because
    );
}

#[test]
fn policies_23_and_29_deny_all_but_dns() {
    for number in ["23", "29"] {
        let s = article(&[number]);
        let by = ["production/default-deny-all"];
        allowed(&s, &api(), &coredns(), L4::Udp, 53, &by);
        allowed(&s, &api(), &coredns(), L4::Tcp, 53, &by);
        denied(&s, &web(), &api(), L4::Tcp, 8080, D::Ingress, &by);
        denied(&s, &api(), &internet(), L4::Tcp, 443, D::Egress, &by);
        assert_eq!(ids(&s), NOBODY);
    }
}

#[test]
fn policies_24_and_25_let_monitoring_in() {
    let db = pod("default", "db-0", "app=db");
    let grafana = of(pod("monitoring", "grafana-0", "app=grafana"), "purpose=monitoring");
    let s = article(&["24"]);
    allowed(&s, &grafana, &db, L4::Tcp, 9090, &["default/allow-monitoring"]);
    denied(&s, &staging(), &db, L4::Tcp, 9090, D::Ingress, &["default/allow-monitoring"]);
    let s = article(&["25"]);
    allowed(&s, &prometheus("purpose=monitoring"), &db, L4::Tcp, 9090, &["default/allow-monitoring"]);
    let w = denied(&s, &grafana, &db, L4::Tcp, 9090, D::Ingress, &["default/allow-monitoring"]);
    nearest(&w, "ingress[0]", &[(On::Label, "app=prometheus", "app=grafana")]);
    // Both selectors are one item; what two would do is said.
    assert_eq!(told(&w), ["selectors-anded"]);
}

#[test]
fn policy_28_lets_everybody_ask_for_names() {
    let s = article(&["27", "28"]);
    let both = ["kube-system/default-deny-all", "kube-system/kube-system-allow"];
    for from in [api(), staging()] {
        allowed(&s, &from, &coredns(), L4::Udp, 53, &[both[1]]);
        allowed(&s, &from, &coredns(), L4::Tcp, 53, &[both[1]]);
    }
    let w = denied(&s, &api(), &coredns(), L4::Tcp, 9153, D::Ingress, &both);
    nearest(&w, "ingress[0]", &[(On::Port, "UDP/53, TCP/53", "TCP/9153")]);
    let metrics = pod("kube-system", "metrics-server-0", "k8s-app=metrics-server");
    denied(&s, &api(), &metrics, L4::Tcp, 443, D::Ingress, &both[..1]);
}

/// Calico, Istio, the audit log's policy.
#[test]
fn policies_14_to_17_21_and_26_are_not_evaluated_yet() {
    for number in ["14", "15", "16", "17", "21", "26"] {
        let s = article(&[number]);
        assert_eq!((s.set.len(), s.set.not_understood().len(), s.faults.len()), (0, 1, 1), "{number} {:?}", s.faults);
        assert!(s.faults[0].contains("is not understood yet"), "{:?}", s.faults);
        let w = s.why(&drop(staging(), api(), L4::Tcp, 8080, Some(D::Ingress)));
        assert!(
            w.policies.is_empty() && w.because.iter().any(|b| b.starts_with("1 policy is not understood yet")),
            "{number} {:?}",
            w.because
        );
    }
}

#[test]
fn pitfall_1_dns_was_forgotten() {
    let s = article(&["22"]);
    let w = denied(&s, &api(), &coredns(), L4::Udp, 53, D::Egress, &["production/default-deny-all"]);
    assert_eq!((told(&w), w.text.as_str()), (vec!["dns-not-allowed"], "no policy allows DNS egress"));
    assert!(
        w.diagnosis[0].text.contains("allow egress to k8s-app=kube-dns in kube-system on UDP and TCP port 53"),
        "{}",
        w.diagnosis[0].text
    );
    assert_eq!(ids(&s), ["dns-not-allowed"]);
    assert_eq!(ids(&article(&["23"])), NOBODY, "the article's own remedy");
    assert_eq!(ids(&article(&["22", "04"])), NOBODY);
}

#[test]
fn pitfall_2_the_namespace_has_no_such_label() {
    let namespaces = |label: &str| {
        let one =
            |name: &str, labels: &str| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n");
        one("monitoring", label) + &one("default", "")
    };
    let db = pod("default", "db-0", "app=db");
    for number in ["24", "25"] {
        let mut s = article(&[number]);
        s.add("namespaces.yaml", &namespaces(""));
        let w = denied(&s, &prometheus(""), &db, L4::Tcp, 9090, D::Ingress, &["default/allow-monitoring"]);
        assert_eq!(told(&w), ["selector-matches-no-namespace"], "{number}");
        assert!(w.diagnosis[0].text.ends_with(": kubectl label namespace monitoring purpose=monitoring"), "{}", w.diagnosis[0].text);
        assert_eq!(ids(&s), ["selector-matches-no-namespace"]);
        // Once it has the label, the same policy lets it in.
        let mut s = article(&[number]);
        s.add("namespaces.yaml", &namespaces("purpose: monitoring"));
        allowed(&s, &prometheus("purpose=monitoring"), &db, L4::Tcp, 9090, &["default/allow-monitoring"]);
        assert_eq!(ids(&s), NOBODY);
    }
}

/// The NetworkPolicy half: policies add up, and a later deny takes nothing back.
#[test]
fn pitfall_4_no_order_and_no_deny_override() {
    let scrape = prometheus("purpose=monitoring");
    for order in [["09", "03"], ["03", "09"]] {
        let s = article(&order);
        allowed(&s, &scrape, &api(), L4::Tcp, 9090, &["production/allow-from-monitoring"]);
        let both = ["production/allow-from-monitoring", "production/default-deny-all"];
        denied(&s, &staging(), &api(), L4::Tcp, 9090, D::Ingress, &both);
    }
}

#[test]
fn pitfall_5_kube_system_is_isolated() {
    let s = article(&["27"]);
    let w = denied(&s, &api(), &coredns(), L4::Udp, 53, D::Ingress, &["kube-system/default-deny-all"]);
    assert_eq!(told(&w), ["kube-system-isolated"]);
    assert!(w.diagnosis[0].text.contains("name servers of the whole cluster"), "{}", w.diagnosis[0].text);
    let kube: Vec<&str> = ids(&s).into_iter().filter(|i| *i == "kube-system-isolated").collect();
    assert_eq!(kube.len(), 2, "both directions");
    // The article's remedy opens the name servers; what they and the others send is still cut.
    let kube: Vec<Finding> = findings(&article(&["27", "28"])).into_iter().filter(|f| f.id == "kube-system-isolated").collect();
    assert!(kube.len() == 1 && kube[0].text.contains("cannot reach the API server"), "{kube:?}");
    assert!(!ids(&article(&["28"])).contains(&"kube-system-isolated"));
}

#[test]
fn table_pods_cannot_talk_under_a_strict_default_deny() {
    let s = article(&["03", "06", "07"]);
    let by = ["production/default-deny-all", "production/frontend-policy"];
    let w = denied(&s, &web(), &api(), L4::Tcp, 9000, D::Egress, &by);
    nearest(&w, "egress[0]", &[(On::Port, "TCP/8080", "TCP/9000")]);
    allowed(&s, &web(), &api(), L4::Tcp, 8080, &["production/backend-policy", "production/frontend-policy"]);
}

#[test]
fn table_service_discovery_fails_where_dns_egress_is_cut() {
    let s = article(&["02"]);
    let query = L7::Dns {
        query: "api-service.production.svc.cluster.local.".into(),
        rcode: 0,
        ips: vec![],
        cnames: vec![],
        ttl: 0,
        qtypes: vec!["A".into()],
    };
    let w = s.why(&Observed { l7: None, ..drop(web(), coredns(), L4::Udp, 53, Some(D::Egress)) });
    assert_eq!(told(&w), ["dns-not-allowed"]);
    // With the rule the same question is answered.
    let mut s = article(&["02", "04"]);
    let answer = Observed { l7: Some(query), ..passed(&web(), &coredns(), L4::Udp, 53) };
    s.world.observe(&answer);
    assert_eq!(s.why(&answer).outcome, Outcome::Allowed);
}

#[test]
fn table_access_across_namespaces_is_denied_for_a_missing_label() {
    let mut s = article(&["09"]);
    s.add("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: monitoring, labels: {team: obs}}\n");
    let mut bare = prometheus("");
    // As a flow without its namespace's labels: the manifest supplies them.
    bare.labels.retain(|l| !l.contains("namespace.labels"));
    let w = denied(&s, &bare, &api(), L4::Tcp, 9090, D::Ingress, &["production/allow-from-monitoring"]);
    assert_eq!(told(&w), ["selector-matches-no-namespace"]);
    assert!(w.diagnosis[0].text.contains("monitoring has team=obs"), "{}", w.diagnosis[0].text);
}

#[test]
fn table_l7_policy_without_effect() {
    // Another policy opens the port: the HTTP rules refuse nothing any more.
    let s = article(&["07", "10"]);
    let f = findings(&s).into_iter().find(|f| f.id == "l7-rule-bypassed").unwrap();
    assert!(f.text.contains("l7-http-policy refuse nothing: ingress[0] of production/backend-policy"), "{}", f.text);
    let w = s.why(&request(Verdict::Forwarded, "DELETE", "http://api:8080/api/v1/orders/7"));
    assert_eq!((w.outcome, told(&w)), (Outcome::Allowed, vec!["l7-rule-bypassed"]));
    assert!(!ids(&article(&["10"])).contains(&"l7-rule-bypassed"));
}

#[test]
fn table_dns_policy_without_effect() {
    let body =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/article/12-CiliumNetworkPolicy-external-api-egress.yaml"))
            .unwrap();
    // Without the DNS rule nothing feeds the names.
    let cut = body.split("    - toEndpoints:").next().unwrap();
    let s = Scene::new(&[("12.yaml", cut)]);
    assert!(ids(&s).contains(&"fqdn-without-dns-rule"));
    let w = denied(&s, &api(), &internet(), L4::Tcp, 443, D::Egress, &["production/external-api-egress"]);
    assert_eq!(told(&w), ["fqdn-without-dns-rule"]);
}
