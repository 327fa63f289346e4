//! One side of a flow with all that is known of it. Owns how labels are filled in from manifests, and what counts as unknown.
use super::aged::Then;
use super::labels::{self, CLUSTER, Labels, METADATA_NAME, NAMESPACE_LABELS, POD_NAMESPACE, SERVICE_ACCOUNT};
use super::managed::Ward;
use super::objects::{PodLike, Service, ServicePort, Target};
use super::stand::{self, Other, Seen, Stand};
use super::{Key, NamedPort, World};
use crate::model::observed::{L4, Observed, Party, Verdict};
use crate::model::time::Nanos;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// The service whose endpoints are the API servers.
pub(super) const API: (&str, &str) = ("default", "kubernetes");

/// A service whose address stands in a record that was made before it was translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    pub service: Key,
    pub ports: Vec<ServicePort>,
}

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
    /// A pod on the host's network, per its manifest, or the node itself: it has no policy of its own.
    pub host_network: bool,
    /// Nothing but its address was told: who it is was looked up.
    pub by_address: bool,
    /// Whether an API server has this address is not known.
    pub maybe_apiserver: bool,
    /// Of which time all this is; `None`: of now.
    pub at: Option<Nanos>,
    /// The service that the record shows instead of this, its backend.
    pub frontend: Option<Frontend>,
}

impl Endpoint {
    /// The port on which it listens, for one that the record shows.
    pub fn listens(&self, l4: Option<L4>, port: u16) -> Option<u16> {
        let Some(f) = &self.frontend else { return Some(port) };
        let led = f.ports.iter().find(|p| p.port == port && Some(p.protocol) == l4)?;
        match &led.target {
            Target::Number(n) => Some(*n),
            Target::Named(name) => self.named_ports.iter().flatten().find(|n| n.name == *name && n.proto == led.protocol).map(|n| n.port),
        }
    }

    /// An address of which nothing else is known, not even whether it is a pod's.
    pub fn is_stranger(&self) -> bool {
        !self.known && !self.host_network && self.ip.is_some() && self.labels.0.is_empty() && self.pod.is_empty()
    }

    /// Unless both clusters are known to differ.
    pub fn same_cluster(&self, other: &Self) -> bool {
        self.cluster.is_empty() || other.cluster.is_empty() || self.cluster == other.cluster
    }
}

impl World {
    /// All that is known about one side, whatever the record around it.
    pub fn endpoint(&self, p: &Party) -> Endpoint {
        self.endpoint_of(p, &self.stand(p, Seen { called: true, ..Seen::default() }), Other::default(), None)
    }

    /// All that is known about both sides of a record, at its time and seen from its node.
    pub fn endpoints(&self, o: &Observed) -> [Endpoint; 2] {
        let [src, dst] = self.stands(o);
        let [seen_src, seen_dst] = stand::seen(o);
        let (of_src, of_dst) = (self.other(&o.src, &src, seen_src), self.other(&o.dst, &dst, seen_dst));
        let mut ends = [self.endpoint_of(&o.src, &src, of_dst, o.at), self.endpoint_of(&o.dst, &dst, of_src, o.at)];
        // What rules by name allow was not dropped for want of a rule: then it has no name that they know.
        let dropped = matches!(o.verdict, Verdict::Dropped | Verdict::Audit);
        ends.iter_mut().zip([src, dst]).filter(|(_, s)| s.outside).for_each(|(e, _)| e.masked = !dropped);
        ends
    }

    fn endpoint_of(&self, p: &Party, s: &Stand<'_>, other: Other<'_>, at: Option<Nanos>) -> Endpoint {
        if let Some(backend) = s.frontend.and_then(|key| self.backend(p, key, other, at)) {
            return backend;
        }
        let (mut namespace, mut pod) = (p.namespace.clone(), p.pod.clone());
        // A service's own address is called world where the agent sees it before it is translated; policy is judged on the
        // backend, and which one that was the record does not say.
        let frontend = p.ip.is_some_and(|ip| self.is_service(ip, at));
        let own = (!stand::is_silent(p) && !frontend).then(|| Labels::parse(&p.labels));
        let by_identity = || if frontend { None } else { labels::of_identity(p.identity) };
        if let Some((of, name)) = s.pod() {
            (namespace, pod) = (of.to_owned(), name.to_owned());
        }
        let (template, inferred) = match self.template(p, s) {
            Some(t) => (Some(t), false),
            None if s.is_unread() || (pod.is_empty() && p.workloads.is_empty()) => (None, false),
            None => (self.workload_of(&namespace, &pod, &p.workloads).map(|w| w.2), true),
        };
        let contradicts = |t: &PodLike, own: &Labels| t.labels.iter().any(|(k, v)| own.get(Some("k8s"), k).is_some_and(|has| has != v));
        let template = template.filter(|t| !(inferred && own.as_ref().is_some_and(|own| contradicts(t, own))));
        let host_network = own.is_none() && (s.host || template.is_some_and(|t| t.host_network));
        let asks = own.is_none() && template.is_some() && !host_network && !inferred && p.identity == 0;
        let ward = if asks { self.ward(s.hold, &namespace, &pod, at) } else { Ward::Managed };
        let mut e = Endpoint {
            display: display(p, s, &namespace, &pod),
            ip: p.ip,
            names: self.names(p),
            named_ports: template.map(|t| t.named_ports.clone()),
            service: p.service.clone(),
            host_network,
            by_address: s.by_address && s.is_some(),
            at,
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
            (None, Some(_)) if ward == Ward::Unmanaged => {
                e.labels.push("reserved", "unmanaged", "");
                e.known = true;
            }
            // To policies it was a pod with these labels or none at all.
            (None, Some(_)) if ward == Ward::Unknown => e.labels.push("k8s", POD_NAMESPACE, &namespace),
            (None, Some(t)) if !host_network => {
                e.labels = match s.half_known() {
                    None => self.labels_from(t, t.labels.iter(), (&namespace, &p.cluster)),
                    Some(hold) => {
                        let ip = p.ip.or_else(|| t.ips.first().copied());
                        let certain = ip.into_iter().flat_map(|ip| self.addresses.certain(ip, hold, at));
                        self.labels_from(t, certain, (&namespace, &p.cluster))
                    }
                };
                (e.known, e.inferred) = (s.half_known().is_none(), inferred);
            }
            (None, _) => {
                let reserved = match (s.home, s.outside) {
                    (Some(true), _) => "host",
                    (Some(false), _) => "remote-node",
                    (None, true) => "world",
                    (None, false) => "",
                };
                if let Some(l) = by_identity() {
                    (e.labels, e.known) = (l, true);
                    e.masked = labels::is_local(p.identity);
                } else if !reserved.is_empty() {
                    e.labels.push("reserved", reserved, "");
                    e.known = true;
                    match self.endpoints_at(API.0, API.1, at) {
                        // Others may be servers by now, or have been then.
                        Then::Known(_) if self.kinds.behind("endpointslices", at).is_some() => e.maybe_apiserver = true,
                        Then::Known(all) if p.ip.is_some_and(|ip| all.contains(&ip)) => e.labels.push("reserved", "kube-apiserver", ""),
                        Then::Known(_) => {}
                        Then::Nothing | Then::Forgotten => e.maybe_apiserver = true,
                    }
                } else if !namespace.is_empty() && !host_network {
                    // A pod nobody describes: its namespace at least is certain.
                    e.labels.push("k8s", POD_NAMESPACE, &namespace);
                }
            }
        }
        if e.labels.is_pod() {
            self.complete_namespace(&mut e, &namespace, at);
        } else {
            e.namespace_labels = true;
        }
        e.cluster = e.labels.get(Some("k8s"), CLUSTER).unwrap_or(&p.cluster).to_owned();
        e.namespace = namespace;
        e.pod = pod;
        e
    }

    /// The one that stands for whatever is behind a service, if that is all of one kind: policies judge the backend.
    fn backend(&self, p: &Party, key: &Key, other: Other<'_>, at: Option<Nanos>) -> Option<Endpoint> {
        let service = self.service_then(key, at)?;
        let ips = self.behind(service, key, at)?;
        let mut all = ips.iter().map(|ip| {
            let one = Party { present: p.present, ip: Some(*ip), ..Party::default() };
            let mut s = self.stand(&one, Seen { at, ..Seen::default() });
            s.home = stand::home(&s, Seen { at, ..Seen::default() }, other);
            self.endpoint_of(&one, &s, other, at)
        });
        let first = all.next()?;
        let facts = |e: &Endpoint| {
            let mut labels = e.labels.0.clone();
            labels.sort_unstable();
            (labels, e.known, e.host_network, e.namespace_labels, e.named_ports.clone())
        };
        let told = facts(&first);
        if !first.known || all.any(|e| facts(&e) != told) {
            return None;
        }
        Some(Endpoint {
            display: format!("{}/{}", key.0, key.1),
            // Which of them it was, nobody knows.
            pod: String::new(),
            ip: first.ip.filter(|_| ips.len() == 1),
            by_address: true,
            frontend: Some(Frontend { service: key.clone(), ports: service.ports.clone() }),
            ..first
        })
    }

    /// Addresses behind a service at a time; `None`: which they were is not known.
    fn behind(&self, service: &Service, key: &Key, at: Option<Nanos>) -> Option<Cow<'_, [IpAddr]>> {
        match self.endpoints_at(&key.0, &key.1, at) {
            Then::Known(ips) => Some(Cow::Borrowed(ips)),
            // Behind it may have stood others then.
            Then::Forgotten => None,
            Then::Nothing if service.selector.is_empty() => None,
            Then::Nothing => {
                let fits = |t: &PodLike| service.selector.iter().all(|(k, v)| t.labels.get(k) == Some(v));
                let mine = self.in_namespace.get(&key.0).into_iter().flatten().filter_map(|name| self.pods.get(name));
                Some(mine.filter(|t| !t.finished && fits(t)).filter_map(|t| t.ips.first().copied()).collect())
            }
        }
    }

    /// A number that differs wherever others stood behind a service at a time than now: an address stays, and whose it is changes.
    pub(super) fn behind_era(&self, key: &Key, at: Option<Nanos>) -> u64 {
        let ips = self.service_then(key, at).and_then(|service| self.behind(service, key, at)).unwrap_or_default();
        // Pods come in no order.
        let told = |ip: &IpAddr| {
            let mut hasher = DefaultHasher::new();
            let one = Party { ip: Some(*ip), ..Party::default() };
            let stand = self.stand(&one, Seen { at, ..Seen::default() });
            let ward = stand.pod().map(|(namespace, name)| self.ward(stand.hold, namespace, name, at));
            (ip, stand.told(), ward).hash(&mut hasher);
            hasher.finish()
        };
        ips.iter().fold(0, |all, ip| all.wrapping_add(told(ip)))
    }

    /// Labels of a pod with these of its own.
    fn labels_from<'a>(
        &self,
        t: &PodLike,
        own: impl Iterator<Item = (&'a String, &'a String)>,
        (namespace, cluster): (&str, &str),
    ) -> Labels {
        let mut l = Labels::default();
        for (k, v) in own {
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
    fn complete_namespace(&self, e: &mut Endpoint, namespace: &str, at: Option<Nanos>) {
        e.namespace_labels = e.labels.0.iter().any(|l| l.key.starts_with(NAMESPACE_LABELS));
        if !e.namespace_labels
            && self.kinds.behind("namespaces", at).is_none()
            && let Some(known) = self.namespace_labels_at(namespace, at)
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

fn display(p: &Party, s: &Stand<'_>, namespace: &str, pod: &str) -> String {
    if s.host && s.by_address && !s.node.is_empty() {
        return match s.pods {
            0 | 1 => format!("node {}", s.node),
            n => format!("node {} (one of {n})", s.node),
        };
    }
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
