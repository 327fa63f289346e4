//! What the world keeps of each kind of object. Owns reading them out of a document's tree.
use super::{Key, NamedPort};
use crate::model::doc;
use crate::model::observed::L4;
use crate::model::time::Nanos;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A pod, or what a workload's template says its pods are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodLike {
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
    pub host_network: bool,
    pub node: String,
    pub ips: Vec<IpAddr>,
    pub named_ports: Vec<NamedPort>,
    /// (kind, name) of the object that controls the pod, or the workload that has this template.
    pub owner: Option<Key>,
    /// How many pods a workload wants; `None` where the kind does not say it (one a node, one a run).
    pub replicas: Option<u64>,
    /// Ran to its end: it has no network any more.
    pub finished: bool,
    /// It was told to end.
    pub leaving: bool,
    /// When its node took it up, else when it was made.
    pub started: Option<Nanos>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    pub labels: BTreeMap<String, String>,
    /// Empty: its addresses come from elsewhere.
    pub selector: BTreeMap<String, String>,
    /// Inside the cluster.
    pub ips: Vec<IpAddr>,
    /// Outside of it: external addresses, and those of its load balancer.
    pub outer: Vec<IpAddr>,
    pub ports: Vec<ServicePort>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    pub name: String,
    pub port: u16,
    pub protocol: L4,
    pub target: Target,
}

/// Where the pods behind a service listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Number(u16),
    /// The name of a container port.
    Named(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub labels: BTreeMap<String, String>,
    pub ips: Vec<IpAddr>,
    /// The ranges from which it gives addresses to pods.
    pub pods: Vec<IpNet>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrGroup {
    pub labels: BTreeMap<String, String>,
    pub cidrs: Vec<IpNet>,
}

/// String values of a map; others are left out.
pub(super) fn string_map(node: Option<&doc::Node>) -> BTreeMap<String, String> {
    let entries = node.map(doc::Node::map).unwrap_or(&[]);
    entries.iter().filter_map(|e| Some((e.key.clone(), scalar(&e.value)?))).collect()
}

fn scalar(node: &doc::Node) -> Option<String> {
    match &node.value {
        doc::Value::Str(s) => Some(s.clone()),
        // The API server would refuse these; a person means the word.
        doc::Value::Bool(b) => Some(b.to_string()),
        doc::Value::Int(i) => Some(i.to_string()),
        _ => None,
    }
}

fn text(node: Option<&doc::Node>) -> String {
    node.and_then(doc::Node::str).unwrap_or("").to_owned()
}

pub(super) fn port_number(node: Option<&doc::Node>) -> Option<u16> {
    match &node?.value {
        doc::Value::Int(i) => u16::try_from(*i).ok(),
        doc::Value::Str(s) => s.parse().ok(),
        _ => None,
    }
}

fn moment(node: Option<&doc::Node>) -> Option<Nanos> {
    let t: DateTime<Utc> = node?.str()?.parse().ok()?;
    Some(Nanos::from_utc(t))
}

fn protocol(node: Option<&doc::Node>) -> Option<L4> {
    match node.and_then(doc::Node::str).unwrap_or("TCP").to_ascii_uppercase().as_str() {
        "TCP" => Some(L4::Tcp),
        "UDP" => Some(L4::Udp),
        "SCTP" => Some(L4::Sctp),
        _ => None,
    }
}

/// The owner that controls an object; an object of one owner is controlled by it.
fn controller(metadata: Option<&doc::Node>) -> Option<Key> {
    let owners = metadata.and_then(|m| m.get("ownerReferences")).map(doc::Node::seq).unwrap_or(&[]);
    let controls = |o: &&doc::Node| o.get("controller").is_some_and(|c| c.value == doc::Value::Bool(true));
    let one = owners.iter().find(controls).or(if let [one] = owners { Some(one) } else { None })?;
    Some((text(one.get("kind")), text(one.get("name"))))
}

fn ips<'a>(nodes: impl Iterator<Item = &'a doc::Node>) -> Vec<IpAddr> {
    let mut out: Vec<IpAddr> = nodes.filter_map(|n| n.str()?.parse().ok()).collect();
    out.dedup();
    out
}

impl PodLike {
    /// Whether nothing that policies ask about has changed.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let facts = |p: &Self| (p.host_network, p.service_account.clone(), p.node.clone());
        self.labels == other.labels && self.named_ports == other.named_ports && facts(self) == facts(other)
    }

    pub(super) fn read(metadata: Option<&doc::Node>, spec: Option<&doc::Node>, status: Option<&doc::Node>) -> Self {
        let field = |k| spec.and_then(|s| s.get(k));
        // An init container with `restartPolicy: Always` runs beside the others and its ports count.
        let sidecars =
            field("initContainers").map(doc::Node::seq).unwrap_or(&[]).iter().filter(|c| text(c.get("restartPolicy")) == "Always");
        let mut named_ports: Vec<NamedPort> = Vec::new();
        for c in field("containers").map(doc::Node::seq).unwrap_or(&[]).iter().chain(sidecars) {
            for p in c.get("ports").map(doc::Node::seq).unwrap_or(&[]) {
                let name = text(p.get("name"));
                if let (false, Some(port), Some(proto)) =
                    (name.is_empty(), port_number(p.get("containerPort")), protocol(p.get("protocol")))
                {
                    named_ports.push(NamedPort { name, port, proto });
                }
            }
        }
        let account = [text(field("serviceAccountName")), text(field("serviceAccount"))].into_iter().find(|a| !a.is_empty());
        let pod_ips = status.and_then(|s| s.get("podIPs")).map(doc::Node::seq).unwrap_or(&[]).iter().filter_map(|p| p.get("ip"));
        let finished = matches!(text(status.and_then(|s| s.get("phase"))).as_str(), "Succeeded" | "Failed");
        Self {
            labels: string_map(metadata.and_then(|m| m.get("labels"))),
            service_account: account.unwrap_or_else(|| "default".to_owned()),
            host_network: field("hostNetwork").is_some_and(|n| n.value == doc::Value::Bool(true)),
            node: text(field("nodeName")),
            // A finished pod keeps its address in its status, while another may have it.
            ips: if finished { Vec::new() } else { ips(status.and_then(|s| s.get("podIP")).into_iter().chain(pod_ips)) },
            named_ports,
            owner: controller(metadata),
            replicas: None,
            finished,
            leaving: metadata.is_some_and(|m| m.get("deletionTimestamp").is_some()),
            started: [status.and_then(|s| s.get("startTime")), metadata.and_then(|m| m.get("creationTimestamp"))]
                .into_iter()
                .find_map(moment),
        }
    }

    /// What a workload of this kind makes; `None` if the object has no template.
    pub(super) fn of_workload(kind: &str, root: &doc::Node) -> Option<Self> {
        let spec = if kind == "CronJob" { root.at(&["spec", "jobTemplate", "spec"]) } else { root.get("spec") };
        let template = spec.and_then(|s| s.get("template"))?;
        let wanted = match spec.and_then(|s| s.get("replicas")).map(|n| &n.value) {
            Some(doc::Value::Int(n)) => u64::try_from(*n).ok(),
            _ => Some(1),
        };
        let replicas = wanted.filter(|_| matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"));
        let pod = Self::read(template.get("metadata"), template.get("spec"), None);
        Some(Self { owner: controller(root.get("metadata")), replicas, ..pod })
    }
}

impl Service {
    pub(super) fn read(root: &doc::Node) -> Self {
        let spec = root.get("spec");
        let field = |k| spec.and_then(|s| s.get(k));
        let ports = field("ports").map(doc::Node::seq).unwrap_or(&[]).iter();
        let cluster_ips = field("clusterIPs").map(doc::Node::seq).unwrap_or(&[]).iter();
        let direct = |b: &&doc::Node| b.get("ipMode").and_then(doc::Node::str) != Some("Proxy");
        let balancers = root.at(&["status", "loadBalancer", "ingress"]).map(doc::Node::seq).unwrap_or(&[]).iter();
        Self {
            labels: string_map(root.at(&["metadata", "labels"])),
            selector: string_map(field("selector")),
            ips: ips(field("clusterIP").into_iter().chain(cluster_ips)),
            // To a balancer that is a proxy pods go as they go to anybody outside; who comes from there is the proxy's business.
            outer: ips(field("externalIPs")
                .map(doc::Node::seq)
                .unwrap_or(&[])
                .iter()
                .chain(balancers.filter(direct).filter_map(|b| b.get("ip")))),
            ports: ports.filter_map(ServicePort::read).collect(),
        }
    }
}

impl ServicePort {
    fn read(node: &doc::Node) -> Option<Self> {
        let port = port_number(node.get("port"))?;
        let target = match node.get("targetPort") {
            None => Target::Number(port),
            some => match (port_number(some), text(some)) {
                (Some(0), _) => Target::Number(port),
                (Some(n), _) => Target::Number(n),
                (None, name) if name.is_empty() => Target::Number(port),
                (None, name) => Target::Named(name),
            },
        };
        Some(Self { name: text(node.get("name")), port, protocol: protocol(node.get("protocol"))?, target })
    }
}

impl Node {
    pub(super) fn read(root: &doc::Node) -> Self {
        let addresses = root.at(&["status", "addresses"]).map(doc::Node::seq).unwrap_or(&[]);
        let ranges = root.at(&["spec", "podCIDRs"]).map(doc::Node::seq).unwrap_or(&[]).iter().chain(root.at(&["spec", "podCIDR"]));
        Self {
            labels: string_map(root.at(&["metadata", "labels"])),
            ips: ips(addresses.iter().filter_map(|a| a.get("address"))),
            pods: ranges.filter_map(|r| net(r.str()?)).collect(),
        }
    }
}

impl CidrGroup {
    pub(super) fn read(root: &doc::Node) -> Self {
        let cidrs = root.at(&["spec", "externalCIDRs"]).map(doc::Node::seq).unwrap_or(&[]);
        Self { labels: string_map(root.at(&["metadata", "labels"])), cidrs: cidrs.iter().filter_map(|c| net(c.str()?)).collect() }
    }
}

/// A prefix, or a bare address as a prefix of full length.
pub fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The service's name and the addresses behind it, of Endpoints or an EndpointSlice.
pub(super) fn endpoints(root: &doc::Node, name: &str) -> (String, Vec<IpAddr>) {
    let service = root.at(&["metadata", "labels", "kubernetes.io/service-name"]).and_then(doc::Node::str).unwrap_or(name);
    let slices =
        root.get("endpoints").map(doc::Node::seq).unwrap_or(&[]).iter().flat_map(|e| e.get("addresses").map(doc::Node::seq).unwrap_or(&[]));
    let subsets = root.get("subsets").map(doc::Node::seq).unwrap_or(&[]).iter();
    let addresses = subsets.flat_map(|s| s.get("addresses").map(doc::Node::seq).unwrap_or(&[])).filter_map(|a| a.get("ip"));
    (service.to_owned(), ips(slices.chain(addresses)))
}

/// Whether a pod's name is one that this kind of controller makes from its own name: StatefulSet `web` makes `web-0`, Deployment
/// `web` makes `web-7d9f8b6c4-x7k2p`, DaemonSet `web` makes `web-x7k2p`. `cart-db-0` and `cart-cache2-x7k2p` are none of Deployment `cart`.
pub(super) fn generated_from(pod: &str, kind: &str, owner: &str) -> bool {
    let Some(rest) = pod.strip_prefix(owner) else { return false };
    if rest.is_empty() {
        return true;
    }
    let Some(rest) = rest.strip_prefix('-') else { return false };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    // The API server makes names up from these alone, so that no word comes out; a suffix with another letter is somebody's name.
    let made_up = |s: &str| s.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let random = |s: &str| s.len() == 5 && made_up(s);
    let hash = |s: &str| (6..=10).contains(&s.len()) && (made_up(s) || digits(s));
    match (kind, rest.split('-').collect::<Vec<_>>().as_slice()) {
        ("StatefulSet", [one]) => digits(one),
        ("Deployment", [first, last]) => hash(first) && random(last),
        ("DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job", [one]) => random(one),
        // A Job of a CronJob is named after its minute, a pod of an indexed Job after its index.
        ("CronJob" | "Job", [first, last]) => digits(first) && random(last),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_controllers_make() {
        let made = generated_from;
        assert!(made("web-0", "StatefulSet", "web") && made("web-x7k2p", "DaemonSet", "web"));
        assert!(made("web-7d9f8b6c4-x7k2p", "Deployment", "web") && made("cronjob-1623329400-8mg2z", "CronJob", "cronjob"));
        assert!(!made("cart-db-x7k2p", "Deployment", "cart") && !made("web-proxy", "DaemonSet", "web"), "another's pod");
        assert!(!made("cart-db-0", "StatefulSet", "cart") && !made("website", "Deployment", "web") && !made("web-a-b-c", "Job", "web"));
        assert!(!made("web-0", "Deployment", "web") && !made("web-x7k2p", "StatefulSet", "web"), "another kind's way");
    }
}
