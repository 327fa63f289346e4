//! The simulated cluster as it stands: nodes, namespaces, pods with their addresses and identities, and the world outside.
//!
//! Owns who exists and what an agent says about it. Knows nothing of traffic or policies.
use super::rng::Rng;
use crate::wire::pb::flow as pb;

pub const CLUSTER: &str = "default";

/// A node of the cluster.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: &'static str,
    pub ip: &'static str,
    pub labels: Vec<String>,
}

/// What the manifests say of a workload; the pods follow from it.
pub struct Workload {
    pub namespace: &'static str,
    pub name: &'static str,
    /// Kind of the owner as an agent reports it; `Pod` = a bare pod, which has none.
    pub kind: &'static str,
    pub labels: &'static [(&'static str, &'static str)],
    pub service_account: &'static str,
    pub replicas: usize,
}

const fn work(
    namespace: &'static str,
    name: &'static str,
    kind: &'static str,
    labels: &'static [(&'static str, &'static str)],
    service_account: &'static str,
    replicas: usize,
) -> Workload {
    Workload { namespace, name, kind, labels, service_account, replicas }
}

/// The labels of the namespaces beside `kubernetes.io/metadata.name`. `monitoring` has none: that is one of the mistakes.
const NAMESPACE_LABELS: &[(&str, &[(&str, &str)])] = &[
    ("shop", &[("team", "storefront")]),
    ("empire", &[("team", "empire")]),
    ("bookinfo", &[("team", "books")]),
    ("monitoring", &[]),
    ("kube-system", &[]),
];

/// Must say the same as the manifests in `assets/demo` (a test compares them).
pub const WORKLOADS: &[Workload] = &[
    work("shop", "frontend", "Deployment", &[("app", "frontend")], "frontend", 2),
    work("shop", "adservice", "Deployment", &[("app", "adservice")], "adservice", 1),
    work("shop", "cartservice", "Deployment", &[("app", "cartservice")], "cartservice", 1),
    work("shop", "checkoutservice", "Deployment", &[("app", "checkoutservice")], "checkoutservice", 1),
    work("shop", "currencyservice", "Deployment", &[("app", "currencyservice")], "currencyservice", 1),
    work("shop", "emailservice", "Deployment", &[("app", "emailservice")], "emailservice", 1),
    work("shop", "paymentservice", "Deployment", &[("app", "paymentservice")], "paymentservice", 1),
    work("shop", "productcatalogservice", "Deployment", &[("app", "productcatalogservice")], "productcatalogservice", 1),
    work("shop", "recommendationservice", "Deployment", &[("app", "recommendationservice")], "recommendationservice", 1),
    work("shop", "shippingservice", "Deployment", &[("app", "shippingservice")], "shippingservice", 1),
    work("shop", "redis-cart", "Deployment", &[("app", "redis-cart")], "default", 1),
    work("shop", "loadgenerator", "Deployment", &[("app", "loadgenerator")], "loadgenerator", 1),
    work(
        "empire",
        "deathstar",
        "Deployment",
        &[("app.kubernetes.io/name", "deathstar"), ("class", "deathstar"), ("org", "empire")],
        "default",
        2,
    ),
    work(
        "empire",
        "tiefighter",
        "Pod",
        &[("app.kubernetes.io/name", "tiefighter"), ("class", "tiefighter"), ("org", "empire")],
        "default",
        1,
    ),
    work("empire", "xwing", "Pod", &[("app.kubernetes.io/name", "xwing"), ("class", "xwing"), ("org", "alliance")], "default", 1),
    work("bookinfo", "productpage-v1", "Deployment", &[("app", "productpage"), ("version", "v1")], "bookinfo-productpage", 1),
    work("bookinfo", "details-v1", "Deployment", &[("app", "details"), ("version", "v1")], "bookinfo-details", 1),
    work("bookinfo", "ratings-v1", "Deployment", &[("app", "ratings"), ("version", "v1")], "bookinfo-ratings", 1),
    work("bookinfo", "reviews-v1", "Deployment", &[("app", "reviews"), ("version", "v1")], "bookinfo-reviews", 1),
    work("bookinfo", "reviews-v2", "Deployment", &[("app", "reviews"), ("version", "v2")], "bookinfo-reviews", 1),
    work("bookinfo", "reviews-v3", "Deployment", &[("app", "reviews"), ("version", "v3")], "bookinfo-reviews", 1),
    work("monitoring", "prometheus", "StatefulSet", &[("app.kubernetes.io/name", "prometheus")], "prometheus", 1),
    work("monitoring", "grafana", "Deployment", &[("app.kubernetes.io/name", "grafana")], "grafana", 1),
    work("monitoring", "loki", "StatefulSet", &[("app.kubernetes.io/name", "loki")], "loki", 1),
    work("kube-system", "coredns", "Deployment", &[("k8s-app", "kube-dns")], "coredns", 2),
];

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    pub namespace: &'static str,
    pub name: String,
    /// Index into `Cluster::nodes`.
    pub node: usize,
    pub ip: String,
    pub mac: String,
    /// The other end of its veth pair, on the node.
    pub host_mac: String,
    pub interface: (u32, String),
    /// Endpoint number on its node.
    pub endpoint: u32,
    pub identity: u32,
    pub labels: Vec<String>,
    /// (kind, name) of the owner.
    pub owner: Option<(&'static str, &'static str)>,
}

/// An address outside, or one of the reserved identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    pub ip: String,
    pub identity: u32,
    pub labels: Vec<String>,
    /// Names that the agent learnt from DNS answers.
    pub names: Vec<String>,
}

impl Outside {
    fn new(ip: &str, identity: u32, labels: &[&str], names: &[&str]) -> Self {
        let own = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        Self { ip: ip.to_owned(), identity, labels: own(labels), names: own(names) }
    }
}

/// One end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Index into `Cluster::pods`.
    Pod(usize),
    Outside(Outside),
    /// The node itself, as it looks from that very node (identity `host`).
    Host(usize),
}

/// Everything that exists.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub pods: Vec<Pod>,
}

impl Cluster {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::fork(seed, "cluster");
        let nodes = vec![
            node("worker-1", "172.18.0.3", "eu-central-1a"),
            node("worker-2", "172.18.0.4", "eu-central-1b"),
            node("worker-3", "172.18.0.5", "eu-central-1c"),
        ];
        let mut pods = Vec::new();
        let mut turn = 0;
        for (number, w) in WORKLOADS.iter().enumerate() {
            let identity = 1_024 + u32::try_from(number).unwrap_or(0) * 1_361 + u32::try_from(rng.below(1_300)).unwrap_or(0);
            let hash = format!("{}{}", rng.suffix(9), if rng.chance(50) { "x" } else { "" });
            for replica in 0..w.replicas {
                let at = turn % nodes.len();
                turn += 1;
                let name = match w.kind {
                    "Pod" => w.name.to_owned(),
                    "StatefulSet" => format!("{}-{replica}", w.name),
                    _ => format!("{}-{hash}-{}", w.name, rng.suffix(5)),
                };
                pods.push(Pod {
                    namespace: w.namespace,
                    name,
                    node: at,
                    // 24 addresses apart by node, never twice the same.
                    ip: format!("10.244.{}.{}", at + 1, 10 + pods.len() * 5 + usize::try_from(rng.below(5)).unwrap_or(0)),
                    mac: rng.mac(),
                    host_mac: rng.mac(),
                    interface: (10 + u32::try_from(pods.len() * 2).unwrap_or(0), format!("lxc{:012x}", rng.next_u64() >> 16)),
                    endpoint: 20 + u32::try_from(pods.len() * 117).unwrap_or(0) + u32::try_from(rng.below(100)).unwrap_or(0),
                    identity,
                    labels: identity_labels(w),
                    owner: (w.kind != "Pod").then_some((w.kind, w.name)),
                });
            }
        }
        Self { nodes, pods }
    }

    /// One of the pods of `namespace/workload`.
    pub fn pod(&self, workload: &str, rng: &mut Rng) -> Option<usize> {
        let of = |p: &Pod| workload.split_once('/').is_some_and(|(ns, name)| p.namespace == ns && p.workload() == name);
        let found: Vec<usize> = self.pods.iter().enumerate().filter(|(_, p)| of(p)).map(|(i, _)| i).collect();
        rng.pick(&found).copied()
    }

    /// The node an actor lives on; `None` outside the cluster.
    pub fn node_of(&self, actor: &Actor) -> Option<usize> {
        match actor {
            Actor::Pod(i) => self.pods.get(*i).map(|p| p.node),
            Actor::Host(n) => Some(*n),
            Actor::Outside(_) => None,
        }
    }

    pub fn ip<'a>(&'a self, actor: &'a Actor) -> &'a str {
        match actor {
            Actor::Pod(i) => self.pods.get(*i).map_or("", |p| &p.ip),
            Actor::Host(n) => self.nodes.get(*n).map_or("", |n| n.ip),
            Actor::Outside(o) => &o.ip,
        }
    }

    pub fn names(&self, actor: &Actor) -> Vec<String> {
        if let Actor::Outside(o) = actor { o.names.clone() } else { Vec::new() }
    }

    /// What the agent on `node` says of an actor: of its own pods it knows the endpoint and the owner, of others what the identity says.
    pub fn endpoint(&self, actor: &Actor, node: usize) -> pb::Endpoint {
        match actor {
            Actor::Pod(i) => self.pods.get(*i).map_or_else(pb::Endpoint::default, |p| {
                let local = p.node == node;
                let owner = p.owner.filter(|_| local).map(|(kind, name)| pb::Workload { name: name.to_owned(), kind: kind.to_owned() });
                pb::Endpoint {
                    id: if local { p.endpoint } else { 0 },
                    identity: p.identity,
                    cluster_name: CLUSTER.to_owned(),
                    namespace: p.namespace.to_owned(),
                    labels: p.labels.clone(),
                    pod_name: p.name.clone(),
                    workloads: owner.into_iter().collect(),
                }
            }),
            Actor::Host(n) if *n == node => {
                pb::Endpoint { identity: 1, labels: vec!["reserved:host".to_owned()], ..pb::Endpoint::default() }
            }
            Actor::Host(_) => pb::Endpoint { identity: 6, labels: vec!["reserved:remote-node".to_owned()], ..pb::Endpoint::default() },
            Actor::Outside(o) => pb::Endpoint { identity: o.identity, labels: o.labels.clone(), ..pb::Endpoint::default() },
        }
    }
}

impl Pod {
    pub fn workload(&self) -> &str {
        self.owner.map_or(self.name.as_str(), |(_, name)| name)
    }
}

fn node(name: &'static str, ip: &'static str, zone: &str) -> Node {
    let labels = vec![
        "kubernetes.io/arch=amd64".to_owned(),
        format!("kubernetes.io/hostname={name}"),
        "kubernetes.io/os=linux".to_owned(),
        format!("topology.kubernetes.io/zone={zone}"),
    ];
    Node { name, ip, labels }
}

/// The labels that make the identity of a workload's pods, sorted as agents report them.
fn identity_labels(w: &Workload) -> Vec<String> {
    let mut labels: Vec<String> = w.labels.iter().map(|(k, v)| format!("k8s:{k}={v}")).collect();
    labels.push(format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={}", w.namespace));
    let extra = NAMESPACE_LABELS.iter().find(|(ns, _)| *ns == w.namespace).map_or(&[][..], |(_, l)| *l);
    labels.extend(extra.iter().map(|(k, v)| format!("k8s:io.cilium.k8s.namespace.labels.{k}={v}")));
    labels.push(format!("k8s:io.cilium.k8s.policy.cluster={CLUSTER}"));
    labels.push(format!("k8s:io.cilium.k8s.policy.serviceaccount={}", w.service_account));
    labels.push(format!("k8s:io.kubernetes.pod.namespace={}", w.namespace));
    labels.sort();
    labels
}

/// An outside party by the name that the traffic table uses. Addresses are those reserved for documentation.
pub fn outside(name: &str, rng: &mut Rng) -> Option<Outside> {
    const WORLD: &[&str] = &["reserved:world"];
    let last = rng.below(3);
    Some(match name {
        "api.stripe.com" => {
            Outside::new(&format!("198.51.100.{}", 20 + last), 16_777_217, &["fqdn:api.stripe.com", "reserved:world"], &["api.stripe.com"])
        }
        "hooks.stripe.com" => Outside::new(&format!("198.51.100.{}", 40 + last), 2, WORLD, &["hooks.stripe.com"]),
        "www.ecb.europa.eu" => Outside::new(
            &format!("192.0.2.{}", 80 + last),
            16_777_218,
            &["fqdn:www.ecb.europa.eu", "reserved:world"],
            &["www.ecb.europa.eu"],
        ),
        "upstream-dns" => Outside::new("192.0.2.53", 2, WORLD, &[]),
        "169.254.169.254" => Outside::new("169.254.169.254", 16_777_219, &["cidr:169.254.169.254/32", "reserved:world"], &[]),
        "kube-apiserver" => Outside::new("172.18.0.2", 7, &["reserved:kube-apiserver", "reserved:remote-node"], &[]),
        // The address of a pod that was deleted a moment ago: nothing answers for it, and the agent calls it world.
        "gone-pod" => Outside::new("10.244.2.251", 2, WORLD, &[]),
        "clients" => Outside::new(&format!("203.0.113.{}", 1 + rng.below(254)), 2, WORLD, &[]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_shares_an_address_or_a_name() {
        for seed in 0..50 {
            let c = Cluster::new(seed);
            assert_eq!(c.pods.iter().map(|p| &p.ip).collect::<BTreeSet<_>>().len(), c.pods.len());
            assert_eq!(c.pods.iter().map(|p| &p.name).collect::<BTreeSet<_>>().len(), c.pods.len());
            assert_eq!(c.pods.iter().map(|p| p.endpoint).collect::<BTreeSet<_>>().len(), c.pods.len());
            assert_eq!(c.pods.iter().map(|p| p.identity).collect::<BTreeSet<_>>().len(), WORKLOADS.len());
            assert!(c.pods.iter().all(|p| p.ip.parse::<std::net::Ipv4Addr>().is_ok()), "seed {seed}");
            assert!(c.pods.iter().all(|p| p.endpoint < 65_536 && p.identity < 65_536));
        }
    }

    #[test]
    fn only_the_own_node_knows_the_owner() {
        let c = Cluster::new(1);
        let at = c.pods[0].node;
        let here = c.endpoint(&Actor::Pod(0), at);
        let there = c.endpoint(&Actor::Pod(0), (at + 1) % 3);
        assert!(here.id > 0 && here.workloads.len() == 1);
        assert!(there.id == 0 && there.workloads.is_empty() && there.labels == here.labels);
    }
}
