//! A field that nobody knows is left out, and what is left may be wider than it reads, or void. Owns that judgement: it goes by what the
//! map is for and by what else stands in it, and is silent where the field was a condition of nothing.
use super::fields::{self, Role, Unknown as Found};
use super::{Finding, Scope, SetLint, Weight};
use crate::model::near::distance;
use crate::policy::ir::Policy;

pub(super) struct Unknown;

/// What is left without the field.
enum Left {
    Wider(&'static str),
    Void(&'static str),
}

/// Words that name a peer, in any kind of policy.
const PEERS: &[&str] = &[
    "from",
    "to",
    "fromEndpoints",
    "toEndpoints",
    "fromEntities",
    "toEntities",
    "fromCIDR",
    "toCIDR",
    "fromCIDRSet",
    "toCIDRSet",
    "toFQDNs",
    "toServices",
    "fromNodes",
    "toNodes",
    "podSelector",
    "namespaceSelector",
    "endpointSelector",
    "ipBlock",
];
const PORTS: &[&str] = &["ports", "toPorts", "port", "protocol", "icmps"];

/// The word of these that was probably meant.
fn like<'w>(key: &str, words: &[&'w str]) -> Option<&'w str> {
    let (lower, long) = (key.to_ascii_lowercase(), |w: &str| w.len() >= 4 && key.len() >= 4);
    // Short words are near too many others.
    let limit = |w: &str| if w.len() > 5 { 2 } else { 1 };
    let near = |w: &&&str| w.eq_ignore_ascii_case(key) || (long(w) && distance(&w.to_ascii_lowercase(), &lower) <= limit(w));
    words.iter().filter(near).min_by_key(|w| distance(w, key)).copied()
}

fn left(u: &Found<'_>, cilium: bool) -> Option<Left> {
    let has =
        |keys: &[&str]| keys.iter().any(|k| u.node.get(k).is_some_and(|n| !n.is_null()) && u.shape.fields.iter().any(|f| f.key == *k));
    let meant = |words: &[&str]| like(u.key, words).filter(|w| !has(&[w])).is_some();
    let deny = u.path.contains("Deny[");
    match u.shape.role {
        Role::Rule => {
            let (peer, port) = (has(PEERS), has(PORTS));
            let is_port = like(u.key, PORTS).is_some();
            let lost = if is_port { !port } else { like(u.key, PEERS).is_some() && !peer };
            let empty = cilium && !(if is_port { peer } else { port });
            match (lost, empty, is_port, deny) {
                (false, ..) => None,
                (_, true, _, false) => Some(Left::Void("admits nothing, and still isolates")),
                (_, true, _, true) => Some(Left::Void("denies nothing, and still isolates")),
                (_, _, true, false) => Some(Left::Wider("opens every port")),
                (_, _, true, true) => Some(Left::Wider("denies every port")),
                (_, _, false, false) => Some(Left::Wider("names no peer and admits everybody, from outside the cluster too")),
                (_, _, false, true) => Some(Left::Wider("names no peer and denies everybody")),
            }
        }
        Role::Port if meant(&["port"]) => Some(Left::Wider("is about every port")),
        Role::Port if cilium && meant(&["protocol"]) => Some(Left::Wider("is about TCP, UDP and SCTP alike")),
        Role::Port if meant(&["endPort"]) => Some(Left::Void("is about the first port only")),
        Role::Ports if meant(&["rules"]) => Some(Left::Wider("lets every request pass")),
        Role::Ports if meant(&["ports"]) => Some(Left::Void("is about no port")),
        Role::Rules if meant(&["http", "dns"]) && !has(&["http", "dns"]) => Some(Left::Wider("lets every request pass")),
        Role::Http if meant(&["method", "path", "host", "headers", "headerMatches"]) => Some(Left::Wider("has one condition fewer")),
        // Whatever it is, nothing is left to select by.
        Role::Selector if !has(&["matchLabels", "matchExpressions"]) => {
            Some(Left::Wider("selects everything (labels stand under matchLabels)"))
        }
        Role::Selector if meant(&["matchLabels", "matchExpressions"]) => Some(Left::Wider("has these conditions no more")),
        Role::Peer if meant(&["podSelector"]) && has(&["namespaceSelector"]) => Some(Left::Wider("is about every pod of these namespaces")),
        Role::Peer if meant(&["namespaceSelector"]) && has(&["podSelector"]) => {
            Some(Left::Void("is about the policy's own namespace only"))
        }
        Role::Block if meant(&["except"]) => Some(Left::Wider("has no exception")),
        Role::Spec if meant(&["enableDefaultDeny"]) => Some(Left::Wider("isolates all the same")),
        Role::Spec if meant(&["ingress", "egress", "ingressDeny", "egressDeny"]) => Some(Left::Void("does not have these rules")),
        Role::Spec if !cilium && meant(&["podSelector", "endpointSelector"]) && !has(&["podSelector"]) => {
            Some(Left::Wider("is for every pod of its namespace"))
        }
        Role::Spec if meant(&["policyTypes"]) => Some(Left::Void("has its directions by default")),
        _ => None,
    }
}

fn finding(policy: &Policy, u: &Found<'_>) -> Option<Finding> {
    let (id, what) = match left(u, policy.id.kind.starts_with("Cilium"))? {
        Left::Wider(what) => ("unknown-field-wider", what),
        Left::Void(what) => ("unknown-field-void", what),
    };
    let own: Vec<&str> = u.shape.fields.iter().map(|f| f.key).collect();
    let mean = like(u.key, &own).map(|w| format!("; did you mean `{w}`?")).unwrap_or_default();
    let text = format!("nobody knows the field `{}`, so {} of {} {what}{mean}", u.key, u.path, policy.id.path());
    Some(Finding::new(id, Weight::Broken, policy, u.line, text))
}

impl SetLint for Unknown {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for policy in scope.set.iter() {
            let Some(shape) = fields::of_kind(&policy.id.kind) else { continue };
            let root = &policy.doc.root;
            let mut found = Vec::new();
            for key in ["spec", "specs"] {
                if let Some(node) = root.get(key) {
                    fields::walk(node, shape, scope.opt.cilium, key, &mut found);
                }
            }
            out.extend(found.iter().filter_map(|u| finding(policy, u)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn of(kind: &str, spec: &str) -> Vec<(&'static str, u32, String)> {
        let api = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "cilium.io/v2" };
        let body = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\nspec:\n{spec}");
        let all = scene(&[&body]).findings().into_iter().filter(|f| f.id.starts_with("unknown"));
        all.map(|f| (f.id, f.line, f.text)).collect()
    }

    fn one(kind: &str, spec: &str) -> (&'static str, u32) {
        let all = of(kind, spec);
        assert_eq!(all.len(), 1, "{spec}{all:?}");
        (all[0].0, all[0].1)
    }

    #[test]
    fn what_is_left_is_wider() {
        for (kind, spec, line) in [
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - form: []\n    ports: [{port: 80}]\n", 7),
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - fromEndpoints: []\n", 7),
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - from: [{podSelector: {}}]\n    prots: [{port: 80}]\n", 8),
            ("NetworkPolicy", "  podSelector: {app: web}\n", 5),
            ("NetworkPolicy", "  podSelector: {}\n  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/8, exept: [10.1.0.0/16]}}]\n", 7),
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - ports: [{prot: 80}]\n", 7),
            (
                "CiliumNetworkPolicy",
                "  endpointSelector: {}\n  ingress:\n  - fromEndpoint: [{}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}]}]\n",
                7,
            ),
            (
                "CiliumNetworkPolicy",
                "  endpointSelector: {}\n  ingress:\n  - toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {htpp: [{}]}}]\n",
                7,
            ),
            (
                "CiliumNetworkPolicy",
                "  endpointSelector: {}\n  ingressDeny:\n  - fromCidr: [10.0.0.0/8]\n    toPorts: [{ports: [{port: '80'}]}]\n",
                7,
            ),
        ] {
            assert_eq!(one(kind, spec), ("unknown-field-wider", line), "{spec}");
        }
        let all = of("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - form: []\n");
        assert_eq!(
            all[0].2,
            "nobody knows the field `form`, so spec.ingress[0] of shop/p names no peer and admits everybody, from outside the cluster too; did you mean `from`?"
        );
    }

    #[test]
    fn what_is_left_is_void() {
        for (kind, spec, line) in [
            ("NetworkPolicy", "  podSelector: {}\n  ingres:\n  - {}\n", 6),
            ("CiliumNetworkPolicy", "  endpointSelector: {}\n  ingress:\n  - fromEndpoint: [{}]\n", 7),
            ("CiliumNetworkPolicy", "  endpointSelector: {}\n  ingress: [{}]\n  egres: [{}]\n", 7),
        ] {
            assert_eq!(one(kind, spec), ("unknown-field-void", line), "{spec}");
        }
    }

    #[test]
    fn what_was_a_condition_of_nothing_is_let_be() {
        for (kind, spec) in [
            // For everybody on purpose, with a note that nobody reads.
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - ports: [{port: 80}]\n    description: x\n"),
            // The peers are there all the same.
            ("NetworkPolicy", "  podSelector: {}\n  ingress:\n  - from: [{podSelector: {}}]\n    form: []\n"),
            ("CiliumNetworkPolicy", "  endpointSelector: {}\n  ingress: [{}]\n  owner: me\n"),
            ("CiliumNetworkPolicy", "  endpointSelector: {}\n  ingress: [{}]\n  log: {value: x}\n"),
        ] {
            assert!(of(kind, spec).is_empty(), "{spec}");
        }
    }
}
