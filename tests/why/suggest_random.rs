//! Random policies and flows: a proposed change does what it says and nothing else.
use super::scene::pod;
use super::suggest::{case, denied};
use flowhy::model::observed::{Direction as D, Observed};
use flowhy::policy::eval::Decision;
use flowhy::policy::ruling_of;
use flowhy::world::tree::{Style, Tree};
use proptest::prelude::*;

const APPS: [&str; 4] = ["cart", "db", "web", "mail"];

/// A rule of a random policy: peers (none: anybody) and ports (none: any).
type RandomRule = (Vec<(usize, bool)>, Vec<u16>);
/// Kind, subject (4: all), direction, rules, block style.
type RandomPolicy = (bool, usize, bool, Vec<RandomRule>, bool);

fn random_policy() -> impl Strategy<Value = RandomPolicy> {
    let rule = (prop::collection::vec((0usize..4, any::<bool>()), 0..3), prop::collection::vec(80u16..83, 0..3));
    (any::<bool>(), 0usize..5, any::<bool>(), prop::collection::vec(rule, 0..3), any::<bool>())
}

fn written(i: usize, p: &RandomPolicy) -> String {
    let (cilium, subject, ingress, rules, block) = p;
    let selector = APPS.get(*subject).map_or("{}".to_owned(), |a| format!("{{matchLabels: {{app: {a}}}}}"));
    let (key, side) = if *ingress { ("ingress", "from") } else { ("egress", "to") };
    let rule = |(peers, ports): &RandomRule| {
        let peer = |(a, far): &(usize, bool)| match (cilium, far) {
            (true, false) => format!("{{matchLabels: {{app: {}}}}}", APPS[*a]),
            (true, true) => format!("{{matchLabels: {{app: {}, \"k8s:io.kubernetes.pod.namespace\": web}}}}", APPS[*a]),
            (false, false) => format!("{{podSelector: {{matchLabels: {{app: {}}}}}}}", APPS[*a]),
            (false, true) => format!("{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: {}}}}}}}", APPS[*a]),
        };
        let list = if *cilium { format!("{side}Endpoints") } else { side.to_owned() };
        let peers: Vec<String> = peers.iter().map(peer).collect();
        let ports: Vec<String> =
            ports.iter().map(|p| if *cilium { format!("{{port: \"{p}\", protocol: TCP}}") } else { format!("{{port: {p}}}") }).collect();
        let mut parts = Vec::new();
        if !peers.is_empty() {
            parts.push(format!("{list}: [{}]", peers.join(", ")));
        }
        if !ports.is_empty() {
            let ports = format!("ports: [{}]", ports.join(", "));
            parts.push(if *cilium { format!("toPorts: [{{{ports}}}]") } else { ports });
        }
        format!("{{{}}}", parts.join(", "))
    };
    let rules: Vec<String> = rules.iter().map(rule).collect();
    let (version, kind, spec) = if *cilium {
        // Without a rule it would be refused.
        let rules = if rules.is_empty() { "{}".to_owned() } else { rules.join(", ") };
        ("cilium.io/v2", "CiliumNetworkPolicy", format!("{{endpointSelector: {selector}, {key}: [{rules}]}}"))
    } else {
        let word = if *ingress { "Ingress" } else { "Egress" };
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            format!("{{podSelector: {selector}, policyTypes: [{word}], {key}: [{}]}}", rules.join(", ")),
        )
    };
    let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p{i}, namespace: shop}}\nspec: {spec}\n");
    if !block {
        return text;
    }
    let (docs, _) = flowhy::world::yaml::read("r", &text);
    Tree::from(&docs[0].root).document(Style { list_indent: i % 2 * 2 })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any flow that the suggestion admits is admitted after the edit and was not before; everything else keeps its verdict but for
    /// what the suggestion says. (`Case::proves` holds it against the patched files, read anew.)
    #[test]
    fn a_suggestion_does_what_it_says_and_nothing_else(
        policies in prop::collection::vec(random_policy(), 1..6),
        flows in prop::collection::vec((0usize..4, any::<bool>(), 0usize..4, 80u16..84), 1..12),
    ) {
        let file: Vec<String> = policies.iter().enumerate().map(|(i, p)| written(i, p)).collect();
        let party = |app: usize, far: bool| pod(if far { "web" } else { "shop" }, APPS[app], &format!("app={}", APPS[app]));
        let flows: Vec<Observed> =
            flows.iter().map(|(a, far, b, port)| denied(party(*a, *far), party(*b, false), *port, D::Ingress)).collect();
        for i in 0..flows.len() {
            let mut flows = flows.clone();
            flows.swap(0, i);
            // The side that denies is where the datapath says it is.
            let mut c = case(&[("p.yaml", &file.join("---\n"))], flows);
            let s = c.scene(&c.files);
            let ruling = ruling_of(&c.flows[0], &s.world, &s.set, &s.opt);
            prop_assert!(s.faults.iter().all(|f| !f.contains("refused")), "{:?}", s.faults);
            if ruling.egress.decision == Decision::Denied {
                c.flows[0].direction = Some(D::Egress);
            }
            let denied = ruling.decision() == Decision::Denied;
            let got = c.sure();
            prop_assert_eq!(got.applies(), denied, "{:?}\n{}", got, file.join("---\n"));
        }
    }
}
