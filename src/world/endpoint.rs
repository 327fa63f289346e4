//! One side of a flow with all that is known of it. Owns how labels are filled in from manifests, and what counts as unknown.
use super::labels::{self, CLUSTER, Labels, METADATA_NAME, NAMESPACE_LABELS, POD_NAMESPACE, SERVICE_ACCOUNT};
use super::objects::PodLike;
use super::{NamedPort, World};
use crate::model::observed::Party;
use std::net::IpAddr;

/// One side of a flow, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// How a person would name it.
    pub display: String,
    pub labels: Labels,
    /// Whether `labels` is its identity. If not, a selector that needs labels cannot be decided.
    pub known: bool,
    /// Where it is, its number told (outside, another node); which ranges, names and roles its identity has besides was not.
    pub masked: bool,
    /// The labels come from a workload's template, found by name.
    pub inferred: bool,
    /// All labels of its namespace are among `labels`.
    pub namespace_labels: bool,
    pub namespace: String,
    pub pod: String,
    /// The cluster it is of; empty: not told.
    pub cluster: String,
    pub ip: Option<IpAddr>,
    /// DNS names of the address: the flow's own first, then what was learnt.
    pub names: Vec<String>,
    /// `None`: unknown.
    pub named_ports: Option<Vec<NamedPort>>,
    /// (namespace, name) of the service the flow names.
    pub service: Option<(String, String)>,
    /// A pod on the host's network, per its manifest: it has no policy of its own.
    pub host_network: bool,
}

impl Endpoint {
    /// Unless both clusters are known to differ.
    pub fn same_cluster(&self, other: &Self) -> bool {
        self.cluster.is_empty() || other.cluster.is_empty() || self.cluster == other.cluster
    }
}

impl World {
    /// All that is known about one side of a flow.
    pub fn endpoint(&self, p: &Party) -> Endpoint {
        let (mut namespace, mut pod) = (p.namespace.clone(), p.pod.clone());
        // `reserved:unknown` is how an agent says that it does not know either.
        let told = Labels::parse(&p.labels);
        // A service's own address is called world where the agent sees it before it is translated; policy is judged on the
        // backend, and which one that was the record does not say.
        let frontend = p.ip.is_some_and(|ip| self.is_service(ip));
        let own = (!told.0.is_empty() && !told.reserved("unknown") && !frontend).then_some(told);
        let by_identity = || if frontend { None } else { labels::of_identity(p.identity) };
        if own.is_none()
            && pod.is_empty()
            && namespace.is_empty()
            // An identity that no pod has says more than an address that a pod once had.
            && by_identity().is_none()
            && let Some(key) = p.ip.and_then(|ip| self.pod_at(ip))
        {
            (namespace, pod) = key.clone();
        }
        let (template, inferred) = match self.pod(&namespace, &pod) {
            Some(t) if !pod.is_empty() => (Some(t), false),
            _ if pod.is_empty() && p.workloads.is_empty() => (None, false),
            _ => (self.workload_of(&namespace, &pod, &p.workloads).map(|w| w.2), true),
        };
        let contradicts = |t: &PodLike, own: &Labels| t.labels.iter().any(|(k, v)| own.get(Some("k8s"), k).is_some_and(|has| has != v));
        let template = template.filter(|t| !(inferred && own.as_ref().is_some_and(|own| contradicts(t, own))));
        let host_network = own.is_none() && template.is_some_and(|t| t.host_network);
        let mut e = Endpoint {
            display: display(p, &namespace, &pod),
            ip: p.ip,
            names: self.names(p),
            named_ports: template.map(|t| t.named_ports.clone()),
            service: p.service.clone(),
            host_network,
            ..Endpoint::default()
        };
        match (own, template) {
            (Some(own), _) => {
                if namespace.is_empty() {
                    namespace = own.namespace().unwrap_or("").to_owned();
                }
                e.labels = own;
                let outside = e.labels.is_world() || e.labels.has_source("reserved");
                if !outside && !namespace.is_empty() {
                    e.labels.push("k8s", POD_NAMESPACE, &namespace);
                }
                // A pod's labels of which the namespace was cut off are not all of its identity.
                e.known = outside || e.labels.is_pod();
            }
            (None, Some(t)) if !host_network => {
                e.labels = self.labels_from(t, &namespace, &p.cluster);
                (e.known, e.inferred) = (true, inferred);
            }
            (None, _) => {
                if let Some(l) = by_identity() {
                    (e.labels, e.known) = (l, true);
                    e.masked = labels::is_local(p.identity);
                } else if !namespace.is_empty() && !host_network {
                    // A pod nobody describes: its namespace at least is certain.
                    e.labels.push("k8s", POD_NAMESPACE, &namespace);
                }
            }
        }
        if e.labels.is_pod() {
            self.complete_namespace(&mut e, &namespace);
        } else {
            e.namespace_labels = true;
        }
        e.cluster = e.labels.get(Some("k8s"), CLUSTER).unwrap_or(&p.cluster).to_owned();
        e.namespace = namespace;
        e.pod = pod;
        e
    }

    fn labels_from(&self, t: &PodLike, namespace: &str, cluster: &str) -> Labels {
        let mut l = Labels::default();
        for (k, v) in &t.labels {
            l.push("k8s", k, v);
        }
        l.push("k8s", POD_NAMESPACE, namespace);
        l.push("k8s", SERVICE_ACCOUNT, &t.service_account);
        if !cluster.is_empty() {
            l.push("k8s", CLUSTER, cluster);
        }
        l
    }

    /// Adds the namespace's labels where the flow lacks them.
    fn complete_namespace(&self, e: &mut Endpoint, namespace: &str) {
        e.namespace_labels = e.labels.0.iter().any(|l| l.key.starts_with(NAMESPACE_LABELS));
        if !e.namespace_labels
            && let Some(known) = self.namespace_labels(namespace)
        {
            for (k, v) in known {
                e.labels.push("k8s", &format!("{NAMESPACE_LABELS}{k}"), v);
            }
            e.namespace_labels = true;
        }
        if !e.namespace_labels {
            e.labels.push("k8s", &format!("{NAMESPACE_LABELS}{METADATA_NAME}"), namespace);
        }
    }

    fn names(&self, p: &Party) -> Vec<String> {
        let mut names: Vec<String> = p.names.iter().map(|n| super::dns::normal(n)).collect();
        if let Some(ip) = p.ip {
            // What stands inside a chain of CNAMEs is no name that the datapath knows.
            for l in self.names_of(ip).iter().filter(|l| !l.alias) {
                if !names.contains(&l.name) {
                    names.push(l.name.clone());
                }
            }
        }
        names
    }
}

fn display(p: &Party, namespace: &str, pod: &str) -> String {
    if pod.is_empty() && !namespace.is_empty() && p.names.is_empty() {
        if let Some((_, name)) = p.workloads.first() {
            return format!("{namespace}/{name}");
        }
        let app = Labels::parse(&p.labels);
        if let Some(app) = ["app.kubernetes.io/name", "k8s-app", "app"].iter().find_map(|k| app.get(Some("k8s"), k)) {
            return format!("{namespace}/{app}");
        }
    }
    if p.pod.is_empty() && !pod.is_empty() { format!("{namespace}/{pod}") } else { p.display() }
}
