//! Reading policies strictly, and what the two engines make of them.
use super::eval::l7::{Http, Request};
use super::eval::{Case, Cause, Decision, Judgement, Traffic, judge};
use super::*;
use crate::model::input::Change;
use crate::model::observed::{Direction, L4, Party};
use crate::world::{World, yaml};
use std::sync::Arc;

pub(super) fn load(body: &str) -> (PolicySet, Vec<String>) {
    let mut set = PolicySet::new();
    let (docs, faults) = yaml::read("p.yaml", body);
    let mut all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for d in docs {
        all.extend(set.apply(&Change::Apply(Arc::new(d))).iter().map(ToString::to_string));
    }
    (set, all)
}

pub(super) fn np(spec: &str) -> String {
    format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}")
}

pub(super) fn cnp(spec: &str) -> String {
    format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: c}}\nspec:\n{spec}")
}

#[test]
fn an_unknown_field_is_a_fault_with_its_line_and_the_rest_goes_on() {
    let (set, faults) = load(&np("  podSelector: {}\n  ingress:\n  - form: []\n    ports: [{port: 80}]\n"));
    assert_eq!(set.len(), 1);
    assert_eq!(faults, ["p.yaml:7: unknown field `form` in spec.ingress[0]; it has no effect"]);
}

#[test]
fn what_the_api_refuses_isolates_nothing() {
    for (body, line) in [
        (np("  podSelector: {}\n  ingress:\n  - ports: [{port: 80000}]\n"), 7),
        (np("  podSelector: {matchLabels: {a: 1}}\n"), 5),
        (np("  podSelector: {}\n  policyTypes: [ingress]\n"), 6),
        (np("  podSelector: {}\n  ingress:\n  - from:\n    - {}\n"), 8),
        (np("  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/99}\n"), 8),
        (cnp("  endpointSelector: {}\n  ingress: []\n"), 5),
        (cnp("  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{}]\n    fromEntities: [world]\n"), 7),
        (cnp("  endpointSelector: {}\n  ingress:\n  - fromRequires: [{}]\n"), 7),
        (cnp("  nodeSelector: {}\n  ingress: [{}]\n"), 5),
        (
            cnp(
                "  endpointSelector: {}\n  egress:\n  - toPorts:\n    - ports: [{port: '80', protocol: TCP}]\n      rules: {http: [{path: '('}]}\n",
            ),
            9,
        ),
        (
            cnp(
                "  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: '53', protocol: UDP}]\n      rules: {dns: [{matchPattern: '*'}]}\n",
            ),
            8,
        ),
    ] {
        let (set, faults) = load(&body);
        assert!(set.is_empty() && set.refused().len() == 1 && set.given(), "{body}");
        assert!(faults.last().unwrap().starts_with(&format!("p.yaml:{line}: ")), "{body}{faults:?}");
        assert!(faults.last().unwrap().contains("refused, so it isolates nothing"), "{faults:?}");
    }
}

#[test]
fn kinds_for_later_are_remembered_and_strangers_are_not() {
    let (set, faults) = load(
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n---\napiVersion: v1\nkind: ConfigMap\n---\nkind: NetworkPolicy\nmetadata: {name: n}\n",
    );
    assert_eq!(set.not_understood().len(), 2);
    assert_eq!(faults[0], "p.yaml:1: kind GlobalNetworkPolicy is not understood yet");
    assert_eq!(faults[1], "p.yaml:8: kind NetworkPolicy of no apiVersion is not understood yet");
}

#[test]
fn twins_are_both_judged_and_named() {
    let one = np("  podSelector: {}\n");
    let (set, faults) = load(&format!("{one}---\n{one}"));
    assert_eq!(set.len(), 2);
    assert_eq!(faults, ["p.yaml:7: NetworkPolicy default/p stands here and at p.yaml:1; both are judged"]);
}

pub(super) fn pod(labels: &[&str]) -> Party {
    let labels = labels.iter().map(|l| format!("k8s:{l}")).collect();
    Party { present: true, namespace: "default".into(), pod: "x".into(), ip: Some("10.0.0.9".parse().unwrap()), labels, ..Party::default() }
}

pub(super) fn ask(set: &PolicySet, engine: Engine, direction: Direction, port: u16) -> Judgement {
    let world = World::new();
    let (subject, peer) = (world.endpoint(&pod(&["app=a"])), world.endpoint(&pod(&["app=b"])));
    let opt = Options { engine, ..Options::default() };
    let traffic = Traffic { l4: Some(L4::Tcp), port: Some(port), ..Traffic::default() };
    judge(&Case { direction, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt }, set)
}

#[test]
fn policy_types_silence_a_section_in_kubernetes_and_not_in_cilium() {
    let (set, faults) = load(&np("  podSelector: {}\n  policyTypes: [Ingress]\n  egress:\n  - ports: [{port: 80}]\n"));
    assert!(faults[0].contains("the API ignores `spec.egress`, Cilium enforces it"), "{faults:?}");
    assert_eq!(ask(&set, Engine::Cilium, Direction::Egress, 81).cause, Cause::DefaultDeny);
    assert_eq!(ask(&set, Engine::Kubernetes, Direction::Egress, 81).cause, Cause::NoPolicy);
    assert_eq!(ask(&set, Engine::Kubernetes, Direction::Ingress, 81).cause, Cause::DefaultDeny);
}

#[test]
fn address_rules_match_pods_in_kubernetes_and_never_in_cilium() {
    let (set, _) = load(&np("  podSelector: {}\n  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8}}]\n"));
    assert_eq!(ask(&set, Engine::Cilium, Direction::Ingress, 80).decision, Decision::Denied);
    assert_eq!(ask(&set, Engine::Kubernetes, Direction::Ingress, 80).decision, Decision::Allowed);
}

#[test]
fn a_missing_fact_that_changes_nothing_is_not_missed() {
    // The named port may or may not be 80; the other rule allows 80 anyway.
    let (set, _) = load(&np("  podSelector: {}\n  ingress:\n  - ports: [{port: 80}]\n"));
    assert_eq!(ask(&set, Engine::Cilium, Direction::Ingress, 80).decision, Decision::Allowed);
    let (set, _) =
        load(&np("  podSelector: {}\n  ingress:\n  - ports: [{port: web}]\n    from: [{podSelector: {matchLabels: {app: z}}}]\n"));
    let j = ask(&set, Engine::Cilium, Direction::Ingress, 80);
    assert_eq!((j.decision, j.missing.len()), (Decision::Denied, 0), "the peer excludes the rule whatever the port is called");
    let (set, _) = load(&np("  podSelector: {}\n  ingress:\n  - ports: [{port: web}]\n"));
    let j = ask(&set, Engine::Cilium, Direction::Ingress, 80);
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["named-port:web@default/x".to_owned()]));
}

#[test]
fn services_and_groups_that_nobody_describes_are_missing_facts() {
    let (set, _) = load(&cnp("  endpointSelector: {}\n  egress:\n  - toServices: [{k8sService: {serviceName: db}}]\n"));
    let j = ask(&set, Engine::Cilium, Direction::Egress, 80);
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["service:db".to_owned()]));
    // A cloud group is of addresses outside, which a pod is not.
    let (set, _) = load(&cnp("  endpointSelector: {}\n  egress:\n  - toGroups: [{aws: {region: x}}]\n"));
    assert_eq!(ask(&set, Engine::Cilium, Direction::Egress, 80).decision, Decision::Denied);
}

#[test]
fn a_header_is_parted_from_its_value_by_the_blank() {
    let of = |header: &str| {
        let rule = format!("ports: [{{port: '80', protocol: TCP}}]\n      rules: {{http: [{{headers: ['{header}']}}]}}\n");
        let (set, faults) = load(&cnp(&format!("  endpointSelector: {{}}\n  ingress:\n  - toPorts:\n    - {rule}")));
        let world = World::new();
        let (subject, peer) = (world.endpoint(&pod(&["app=a"])), world.endpoint(&pod(&["app=b"])));
        let http = Http { headers: vec![("X-Key".into(), "1".into())], all_headers: true, ..Http::default() };
        let traffic = Traffic { l4: Some(L4::Tcp), port: Some(80), request: Some(Request::Http(http)), ..Traffic::default() };
        let opt = Options::default();
        let case = Case { direction: Direction::Ingress, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt };
        (judge(&case, &set).decision, faults.len())
    };
    assert_eq!([of("X-Key: 1"), of("X-Key 1"), of("x-key")], [(Decision::Allowed, 0); 3]);
    assert_eq!(of("X-Key: 2"), (Decision::Denied, 0));
    assert_eq!(of("X-Key:1"), (Decision::Denied, 1), "a name with a colon in it");
    assert_eq!(of("X-Key:  1"), (Decision::Denied, 0), "the second blank is part of the value");
}

/// Who egress to a pod of another namespace is judged by, with the services of that namespace at hand.
fn to_another_namespace(spec: &str) -> (Judgement, Vec<String>) {
    let (set, faults) = load(&cnp(spec));
    let mut world = World::new();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: far}\nspec: {selector: {app: db}}\n";
    yaml::read("w.yaml", service).0.into_iter().for_each(|d| world.apply(&Change::Apply(Arc::new(d))));
    let far = Party { namespace: "far".into(), ..pod(&["app=db", "io.kubernetes.pod.namespace=far"]) };
    let (subject, peer) = (world.endpoint(&pod(&["app=a"])), world.endpoint(&far));
    let (traffic, opt) = (Traffic { l4: Some(L4::Tcp), port: Some(80), ..Traffic::default() }, Options::default());
    let case = Case { direction: Direction::Egress, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt };
    (judge(&case, &set), faults)
}

#[test]
fn a_service_without_a_namespace_is_meant_in_every_namespace() {
    for item in ["k8sService: {serviceName: db}", "k8sServiceSelector: {selector: {}}"] {
        let (j, _) = to_another_namespace(&format!("  endpointSelector: {{}}\n  egress:\n  - toServices: [{{{item}}}]\n"));
        assert_eq!((j.decision, j.cause), (Decision::Allowed, Cause::AllowRule), "{item}");
    }
    let (j, _) =
        to_another_namespace("  endpointSelector: {}\n  egress:\n  - toServices: [{k8sService: {serviceName: db, namespace: default}}]\n");
    assert_eq!(j.missing, ["service:default/db"]);
}

#[test]
fn services_are_looked_up_for_allow_rules_only() {
    let (j, faults) = to_another_namespace("  endpointSelector: {}\n  egressDeny:\n  - toServices: [{k8sService: {serviceName: db}}]\n");
    assert_eq!((j.decision, j.cause), (Decision::Denied, Cause::DefaultDeny), "it isolates, and denies nobody by name");
    assert!(faults.iter().any(|f| f.contains("services are looked up for allow rules only")), "{faults:?}");
}

#[test]
fn of_a_clusterwide_policy_peers_are_pods_whatever_is_asked_of_their_namespaces() {
    let not = "[{matchExpressions: [{key: k8s:io.cilium.k8s.namespace.labels.env, operator: NotIn, values: [prod]}]}]";
    let of = |subject: &str, peers: &str| {
        let (set, _) = load(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: c}}\nspec:\n  endpointSelector: {subject}\n  ingress: [{{fromEndpoints: {peers}}}]\n"
        ));
        let world = World::new();
        let init = Party { present: true, labels: vec!["reserved:init".into()], ..Party::default() };
        let subject = if subject == "{}" { pod(&["app=a"]) } else { init };
        let outside = Party { present: true, labels: vec!["reserved:world".into()], ..Party::default() };
        let (subject, peer) = (world.endpoint(&subject), world.endpoint(&outside));
        let (traffic, opt) = (Traffic { l4: Some(L4::Tcp), port: Some(80), ..Traffic::default() }, Options::default());
        judge(&Case { direction: Direction::Ingress, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt }, &set)
            .decision
    };
    assert_eq!(of("{}", not), Decision::Denied, "the world is in no namespace, and in none that is not prod");
    // Whoever has no labels yet has peers that are not asked to be pods.
    assert_eq!(of("{matchLabels: {'reserved:init': ''}}", "[{}]"), Decision::Allowed);
}

#[test]
fn a_port_by_name_and_the_same_by_number_are_two_entries() {
    let (set, _) = load(&np(
        "  podSelector: {}\n  ingress:\n  - ports: [{port: 80}]\n  - from: [{podSelector: {matchLabels: {app: b}}}]\n    ports: [{port: web}]\n",
    ));
    let mut world = World::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{ports: [{name: web, containerPort: 80}]}]}\n";
    yaml::read("w.yaml", pod).0.into_iter().for_each(|d| world.apply(&Change::Apply(Arc::new(d))));
    let (subject, peer) = (world.endpoint(&self::pod(&["app=a"])), world.endpoint(&self::pod(&["app=b"])));
    let (traffic, opt) = (Traffic { l4: Some(L4::Tcp), port: Some(80), ..Traffic::default() }, Options::default());
    let j =
        judge(&Case { direction: Direction::Ingress, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt }, &set);
    let rules: Vec<_> = j.attributed.iter().filter_map(|p| p.rule.as_deref()).collect();
    assert_eq!(rules, ["ingress[1].from[0]"], "the rule for this peer is the narrower one");
}

/// A tier that decides by first match, asked about a peer of whom nothing but the namespace is known.
fn of_a_stranger(rules: &str) -> Judgement {
    let (set, faults) = load(&format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: k}}\nspec:\n  tier: Admin\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  ingress:\n{rules}---\n{}",
        np("  podSelector: {}\n")
    ));
    assert!(faults.is_empty(), "{faults:?}");
    let world = World::new();
    let stranger = Party { present: true, namespace: "b".into(), pod: "y".into(), ..Party::default() };
    let (subject, peer) = (world.endpoint(&pod(&["app=a"])), world.endpoint(&stranger));
    let (traffic, opt) = (Traffic { l4: Some(L4::Tcp), port: Some(80), ..Traffic::default() }, Options::default());
    judge(&Case { direction: Direction::Ingress, subject: &subject, peer: &peer, traffic: &traffic, world: &world, opt: &opt }, &set)
}

#[test]
fn two_rules_of_a_tier_that_may_be_first_are_not_taken_for_one() {
    let labelled = "pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: b}}}";
    let j = of_a_stranger(&format!(
        "  - {{name: r0, action: Deny, from: [{{{labelled}}}]}}\n  - {{name: r1, action: Deny, from: [{{namespaces: {{}}}}]}}\n"
    ));
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["labels:b/y".to_owned()]), "either rule may have denied it");
    let j = of_a_stranger(&format!("  - {{name: r0, action: Deny, from: [{{{labelled}}}, {{namespaces: {{}}}}]}}\n"));
    assert_eq!(j.decision, Decision::Unknown, "one peer of the rule or both");
}

#[test]
fn a_pass_that_may_come_first_leaves_the_deny_after_it_open() {
    let j = of_a_stranger(
        "  - {name: r0, action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: b}}}}]}\n  - {name: r1, action: Deny, from: [{namespaces: {}}]}\n",
    );
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["labels:b/y".to_owned()]), "default deny may have been what denied it");
}
