//! Reading policies strictly, and what the two engines make of them.
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
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["service:default/db".to_owned()]));
    // A cloud group is of addresses outside, which a pod is not.
    let (set, _) = load(&cnp("  endpointSelector: {}\n  egress:\n  - toGroups: [{aws: {region: x}}]\n"));
    assert_eq!(ask(&set, Engine::Cilium, Direction::Egress, 80).decision, Decision::Denied);
}
