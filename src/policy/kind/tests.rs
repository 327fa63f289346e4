//! The admin kinds as they are written: what is refused, what fails closed, both shapes of peers, and lines.
use crate::policy::PolicySet;
use crate::policy::ir::{Action, PeerIs, Peers, PortIs, Ports, Tier};
use crate::policy::tests::load;

const SUBJECT: &str = "  subject: {namespaces: {}}\n";

fn anp(spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: a}}\nspec:\n  priority: 7\n{SUBJECT}{spec}"
    )
}

fn cluster(spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: k}}\nspec:\n  tier: Admin\n  priority: 7\n{SUBJECT}{spec}"
    )
}

fn only(set: &PolicySet) -> &crate::policy::ir::Rule {
    &set.iter().next().unwrap().sections[0].rules[0]
}

#[test]
fn what_the_api_refuses_of_the_admin_kinds() {
    let all = "from: [{namespaces: {}}]";
    for (body, what) in [
        (anp("  ingress: [{action: Accept, from: [{namespaces: {}}]}]\n"), "none of Allow, Deny, Pass"),
        (cluster("  ingress: [{action: Allow, from: [{namespaces: {}}]}]\n"), "none of Accept, Deny, Pass"),
        (anp("  ingress: [{action: Deny, from: []}]\n"), "from is empty"),
        (anp("  ingress: [{action: Deny, from: [{}]}]\n"), "is empty; it wants one of namespaces, pods"),
        (anp("  ingress: [{action: Deny, from: [{namespaces: {}, pods: {}}]}]\n"), "more than one of"),
        (anp(&format!("  ingress: [{{action: Deny, {all}, ports: [{{portNumber: {{port: 0}}}}]}}]\n")), "is not a port"),
        (anp(&format!("  ingress: [{{action: Deny, {all}, ports: [{{portRange: {{start: 9, end: 9}}}}]}}]\n")), "not below end"),
        (anp(&format!("  ingress: [{{action: Deny, {all}, ports: [{{portNumber: {{port: 9}}, namedPort: x}}]}}]\n")), "more than one of"),
        (anp("  egress: [{action: Deny, to: [{networks: [zc00::/8]}]}]\n"), "not an address range"),
        (anp("  egress: [{action: Deny, to: [{networks: [10.0.0.1]}]}]\n"), "no prefix length"),
        (anp("  egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], ports: [{namedPort: web}]}]\n"), "named ports are of pods"),
        (anp("").replace("priority: 7", "priority: 1001"), "not a number of 0 to 1000"),
        (anp("").replace("  priority: 7\n", ""), "priority is missing"),
        (anp("").replace(SUBJECT, ""), "subject is missing"),
        (cluster("").replace("tier: Admin", "tier: Top"), "neither Admin nor Baseline"),
        (anp("").replace("AdminNetworkPolicy", "BaselineAdminNetworkPolicy").replace("  priority: 7\n", ""), "its name is `default`"),
    ] {
        let (set, faults) = load(&body);
        assert!(set.is_empty() && set.refused().len() == 1, "{body}{faults:?}");
        let last = faults.last().unwrap();
        assert!(last.contains(what) && last.contains("refused, so it isolates nothing"), "{what}: {last}");
    }
    let (set, faults) = load(&anp(&format!("  ingress: [{}]\n", vec![format!("{{action: Pass, {all}}}"); 101].join(", "))));
    assert!(set.is_empty() && faults[0].contains("more than 100 rules"), "{faults:?}");
    let (set, faults) = load(&cluster(&format!("  ingress: [{}]\n", vec![format!("{{action: Pass, {all}}}"); 26].join(", "))));
    assert!(set.is_empty() && faults[0].contains("more than 25 rules"), "{faults:?}");
}

#[test]
fn what_a_newer_api_has_fails_closed_and_says_so() {
    for (action, becomes) in [("Accept", Action::Allow), ("Deny", Action::Deny), ("Pass", Action::Deny)] {
        for rule in ["from: [{mesh: {}}]", "from: [{namespaces: {}}], protocols: [{quic: {}}]"] {
            let (set, faults) = load(&cluster(&format!("  ingress: [{{action: {action}, {rule}}}]\n")));
            let r = only(&set);
            assert_eq!(r.action, becomes);
            match becomes {
                Action::Allow => assert!(matches!(&r.peers, Peers::Of(list) if list.is_empty())),
                _ => assert!(matches!((&r.peers, &r.ports), (Peers::Any, Ports::Any))),
            }
            assert!(faults.iter().any(|f| f.starts_with("p.yaml:8: ") && f.contains("fails closed")), "{faults:?}");
        }
    }
}

#[test]
fn peers_of_both_generations_are_read_and_the_old_shape_is_told() {
    let new = anp("  ingress:\n  - action: Deny\n    name: no-dev\n    from:\n    - namespaces: {matchLabels: {env: dev}}\n");
    let old = new.replace("namespaces: {matchLabels: {env: dev}}", "namespaces: {namespaceSelector: {matchLabels: {env: dev}}}");
    let selector = |set: &PolicySet| match &only(set).peers {
        Peers::Of(list) => match &list[0].is {
            PeerIs::Endpoints(s) => (list[0].id.clone(), s.all[0].wanted(), s.all.len()),
            other => panic!("{other:?}"),
        },
        Peers::Any => panic!(),
    };
    let ((a, quiet), (b, told)) = (load(&new), load(&old));
    assert_eq!(selector(&a), ("from[0]".to_owned(), "env=dev".to_owned(), 2));
    assert_eq!((selector(&a), only(&a).name.as_deref()), (selector(&b), Some("no-dev")));
    assert!(quiet.is_empty() && told[0].starts_with("p.yaml:11: ") && told[0].contains("v0.1.0"), "{told:?}");
}

#[test]
fn tier_priority_ports_and_names() {
    let body = cluster(
        "  egress:\n  - action: Accept\n    to:\n    - domainNames: ['*.example.com', api.test.]\n    protocols:\n    - tcp:\n        destinationPort:\n          number: 443\n    - udp: {destinationPort: {range: {start: 1, end: 9}}}\n    - sctp: {}\n",
    );
    let (set, faults) = load(&body.replace("tier: Admin", "tier: Baseline"));
    assert!(faults.is_empty(), "{faults:?}");
    let p = set.iter().next().unwrap();
    assert_eq!((p.tier, p.priority, p.sections.len(), p.sections[0].default_deny), (Tier::Baseline, 7, 1, false));
    let r = &p.sections[0].rules[0];
    let Ports::Of(list) = &r.ports else { panic!() };
    let ports: Vec<_> = list[0].ports.iter().map(|p| (p.port.clone(), p.line)).collect();
    assert_eq!(ports, [(PortIs::Range(443, 443), 15), (PortIs::Range(1, 9), 16), (PortIs::All, 17)]);
    let Peers::Of(peers) = &r.peers else { panic!() };
    let matches = |name: &str| peers.iter().any(|p| matches!(&p.is, PeerIs::Fqdn(x) if x.regex.is_match(name)));
    assert!(matches("www.example.com") && matches("a.b.example.com") && matches("api.test"));
    assert!(!matches("example.com") && !matches("wikipedia.org"));
    // The API defines domain names for rules that accept; what others mean by them nobody can know.
    let (set, faults) = load(&body.replace("Accept", "Deny"));
    assert!(faults[0].contains("for Accept rules only"), "{faults:?}");
    assert!(matches!(&only(&set).peers, Peers::Of(list) if matches!(list[0].is, PeerIs::Undefined(_))));
}
