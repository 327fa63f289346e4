//! Explanations where tiers decide, and where older Cilium's rules count.
use super::reader::{Agreement, Direction, On, Outcome};
use super::scene::{Scene, drop, pod};
use flowhy::model::observed::{Direction as D, L4, L7, Observed};
use flowhy::policy::{Engine, PolicySet};

const ISOLATED: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n";

fn admin(name: &str, tier: &str, priority: u32, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  tier: {tier}\n  priority: {priority}\n  subject:\n    namespaces: {{}}\n  ingress:\n{rules}"
    )
}

/// POLICY_DENY, as the datapath says where an entry of its map denied it.
fn denied(port: u16) -> Observed {
    let mut o = drop(pod("shop", "cart-0", "app=cart"), pod("shop", "db-0", "app=db"), L4::Tcp, port, Some(D::Ingress));
    o.drop_reason = 181;
    o
}

#[test]
fn an_admin_deny_is_named_with_its_rule() {
    let rules = "  - action: Deny\n    name: nobody-to-http\n    from:\n    - namespaces: {}\n    protocols:\n    - tcp: {destinationPort: {number: 80}}\n";
    let s = Scene::new(&[("k.yaml", &admin("block", "Admin", 1, rules)), ("np.yaml", ISOLATED)]);
    let (w, e) = s.explain(&denied(80));
    assert_eq!((w.outcome, w.direction, w.agreement), (Outcome::DeniedByRule, Some(Direction::Ingress), Agreement::Agrees));
    assert_eq!(w.names(), ["block"]);
    assert_eq!(w.policies[0].rule.as_deref(), Some("ingress[0].from[0]"));
    assert_eq!(w.text, "denied by ingress[0].from[0] (nobody-to-http) of block");
    assert_eq!((e.rules[0].policy.name.as_str(), e.rules[0].lines), ("block", (11, 16)));
    // Another port is not its business: the pod is isolated, and by whom.
    let mut other = denied(81);
    other.drop_reason = 133;
    let w = s.why(&other);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/closed".to_owned()], Agreement::Agrees));
}

#[test]
fn what_is_passed_on_and_then_denied_by_default_names_who_isolates() {
    let rules = "  - action: Pass\n    from:\n    - namespaces: {}\n  - action: Accept\n    from:\n    - namespaces: {}\n    protocols:\n    - tcp: {destinationPort: {number: 81}}\n";
    let s = Scene::new(&[("k.yaml", &admin("pass", "Admin", 1, rules)), ("np.yaml", ISOLATED)]);
    // Cilium writes default deny down as a rule then, and says that a rule denied it.
    for reason in [181, 133] {
        let (w, e) = s.explain(&Observed { drop_reason: reason, ..denied(80) });
        assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/closed".to_owned()], Agreement::Agrees));
        assert!(w.nearest.is_none(), "what stands behind a pass is not asked");
        let note = e.lanes[1].policies.iter().find(|(p, _)| p.name == "pass").map(|(_, n)| n.as_str());
        assert_eq!(note, Some("does not isolate, ingress[0].from[0] passes it on"));
    }
}

#[test]
fn a_baseline_deny_is_named_unless_somebody_isolates() {
    let rules = "  - action: Deny\n    from:\n    - namespaces: {}\n";
    let baseline = admin("floor", "Baseline", 1, rules);
    let s = Scene::new(&[("k.yaml", &baseline)]);
    let w = s.why(&denied(80));
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DeniedByRule, vec!["floor".to_owned()], Agreement::Agrees));
    // As the API has it, default deny comes first; as Cilium has it, last.
    let mut s = Scene::new(&[("k.yaml", &baseline), ("np.yaml", ISOLATED)]);
    assert_eq!(s.why(&denied(80)).names(), ["floor"]);
    s.opt.engine = Engine::Kubernetes;
    assert_eq!(s.why(&Observed { drop_reason: 133, ..denied(80) }).names(), ["shop/closed"]);
}

#[test]
fn the_nearest_rule_may_be_an_admins() {
    let rules = "  - action: Accept\n    from:\n    - namespaces: {}\n    protocols:\n    - tcp:\n        destinationPort:\n          number: 443\n";
    for (tier, engine, near) in [
        ("Admin", Engine::Cilium, true),
        ("Admin", Engine::Kubernetes, true),
        ("Baseline", Engine::Cilium, true),
        ("Baseline", Engine::Kubernetes, false),
    ] {
        let mut s = Scene::new(&[("k.yaml", &admin("open", tier, 1, rules)), ("np.yaml", ISOLATED)]);
        s.opt.engine = engine;
        let w = s.why(&Observed { drop_reason: 133, ..denied(80) });
        assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["shop/closed".to_owned()]));
        let n = w.nearest.as_ref().map(|n| (n.name.as_str(), n.rule.as_str(), n.line));
        assert_eq!(n, near.then_some(("open", "ingress[0]", Some(17))), "{tier} {engine:?}");
        if near {
            assert_eq!(w.failed(), [(On::Port, "TCP/443", "TCP/80")]);
        }
    }
}

/// Manifests as Cilium 1.18 reads them.
fn older(manifests: &[(&str, &str)]) -> Scene {
    let mut s = Scene { set: PolicySet::for_cilium(18), ..Scene::default() };
    s.opt.cilium = 18;
    manifests.iter().for_each(|(file, body)| s.add(file, body));
    s
}

const KAFKA: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: topics, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: cart}}]
    toPorts:
    - ports: [{port: '9092', protocol: TCP}]
      rules:
        kafka:
        - role: consume
          topic: orders
        - role: produce
          topic: orders
";

#[test]
fn a_refused_kafka_request_names_the_rule_that_came_nearest() {
    let s = older(&[("k.yaml", KAFKA)]);
    let mut o = Observed { drop_reason: 0, event: Some((129, 0)), ..denied(9092) };
    o.l7 = Some(L7::Kafka { topic: "payments".into(), api_key: "produce".into(), api_version: 3, error_code: 29 });
    let w = s.why(&o);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::L7Denied, vec!["shop/topics".to_owned()], Agreement::Agrees));
    assert_eq!(w.text, "no Kafka rule allows produce payments");
    let n = w.nearest.as_ref().unwrap();
    assert_eq!((n.rule.as_str(), n.line), ("ingress[0].kafka[1]", Some(14)));
    assert_eq!(w.failed(), [(On::Kafka, "produce orders", "produce payments")]);
}

#[test]
fn a_constraint_of_another_rule_is_the_condition_that_fails() {
    let requires = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: prod-only, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - fromRequires: [{matchLabels: {env: prod}}]\n";
    let s = older(&[("k.yaml", KAFKA), ("r.yaml", requires)]);
    let w = s.why(&Observed { drop_reason: 133, ..denied(9092) });
    assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["shop/prod-only".to_owned(), "shop/topics".to_owned()]));
    assert_eq!(w.nearest.as_ref().map(|n| n.name.as_str()), Some("topics"));
    assert_eq!(w.failed(), [(On::Label, "env=prod", "no label env")]);
}
