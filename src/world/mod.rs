//! What the cluster looks like: namespaces, pods, workloads, services, nodes, address groups, and names learnt from DNS.
//!
//! Owns the state that `apply` builds from manifests and the answer to "whose labels are these" (`endpoint`). Judges nothing.
mod addresses;
mod aged;
pub mod dns;
pub mod endpoint;
mod groups;
mod histories;
pub mod ids;
mod json;
mod kept;
mod kinds;
pub mod labels;
pub mod line;
mod managed;
mod moments;
mod nodes;
mod numbers;
mod objects;
mod services;
pub mod settings;
mod stand;
pub mod tree;
mod turned;
mod turns;
pub mod yaml;

pub use endpoint::{Endpoint, Frontend};
pub use labels::{Label, Labels};
pub use objects::{CidrGroup, Node, PodLike, Service, ServicePort, Target, net};
pub use stand::Stand;
pub use turned::Turned;

use crate::model::doc::Doc;
use crate::model::input::{Change, ObjectId};
use crate::model::observed::L4;
use crate::model::time::Nanos;
use addresses::{Addresses, Holder};
use aged::Then;
use histories::Histories;
use kept::Kept;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Objects without a namespace stand here.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A container port with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPort {
    pub name: String,
    pub port: u16,
    pub proto: L4,
}

/// (namespace, name).
pub type Key = (String, String);

/// The cluster as known.
#[derive(Debug, Clone, Default)]
pub struct World {
    namespaces: Histories<String, BTreeMap<String, String>>,
    pods: HashMap<Arc<Key>, Arc<PodLike>>,
    /// The names of its pods, by namespace.
    in_namespace: HashMap<String, BTreeSet<Arc<Key>>>,
    addresses: Addresses,
    /// By namespace: (kind, name, template).
    workloads: HashMap<String, Vec<(String, String, PodLike)>>,
    services: Kept<Key, Service>,
    nodes: Kept<String, Node>,
    service_accounts: HashMap<Key, ()>,
    groups: Kept<String, CidrGroup>,
    backends: services::Backends,
    managed: managed::Managed,
    dns: dns::Names,
    settings: settings::Settings,
    /// How well each kind is known.
    kinds: kinds::Kinds,
    generation: u64,
}

impl World {
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts what has been applied; an explanation made under an older number may be stale.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes in an object of a kind that the world is made of, or lets it go; others are left alone. A kind that may not be read or is
    /// not in yet leaves facts out, which are named where one of them would decide.
    pub fn apply(&mut self, change: &Change) {
        self.apply_at(change, None);
    }

    /// The same for a change that came about at a time; `None`: it has always been so.
    pub fn apply_at(&mut self, change: &Change, at: Option<Nanos>) {
        let changed = match change {
            Change::Apply(doc) => self.settings.take(doc) | self.take(doc, at),
            Change::Remove(id) => self.settings.remove(&id.kind, &id.namespace, &id.name) | self.remove(id, at),
            Change::Kind(kind) => {
                let changed = self.kinds.note(kind, at);
                self.settings.complete(self.kinds.was_listed("daemonsets"));
                changed
            }
            Change::Edited(edits) => {
                for (old, new) in edits.used().flat_map(|f| &f.pairs) {
                    match (old, new) {
                        (_, Some(new)) => self.apply_at(&Change::Apply(new.clone()), at),
                        (Some(old), None) => self.apply_at(&Change::Remove(ObjectId::of(old)), at),
                        (None, None) => {}
                    }
                }
                false
            }
            Change::Fault(_) | Change::Ids(_) | Change::Asked(_) | Change::Gap(_) => false,
        };
        self.generation += u64::from(changed);
    }

    /// Whether anything changes by it: what comes again as it was (a heartbeat, a list made anew) makes no explanation old.
    fn take(&mut self, doc: &Doc, at: Option<Nanos>) -> bool {
        let name = doc.name().to_owned();
        let namespace = match doc.namespace() {
            "" => DEFAULT_NAMESPACE.to_owned(),
            ns => ns.to_owned(),
        };
        let key = (namespace, name);
        match (group(doc.api_version()), doc.kind()) {
            ("", "Namespace") => {
                let mut labels = objects::string_map(doc.root.at(&["metadata", "labels"]));
                // The API server sets it, whatever the manifest says.
                labels.insert(labels::METADATA_NAME.to_owned(), key.1.clone());
                let first = at.is_some_and(|at| self.kinds.is_first("namespaces", at));
                self.namespaces.set(&key.1, Some(labels), at, first)
            }
            ("", "Pod") => {
                let pod = PodLike::read(doc.root.get("metadata"), doc.root.get("spec"), doc.root.get("status"));
                if self.pods.get(&key).is_some_and(|old| **old == pod) {
                    return false;
                }
                // What it is shows when it ends. One of the same name that was started since says nothing of the one before it.
                let ends = |old: &&Arc<PodLike>| old.started == pod.started && old.ips.iter().any(|ip| !pod.ips.contains(ip));
                let ward = self.pods.get(&key).filter(ends).and_then(|old| self.last_ward(&key, old, at));
                let (key, pod) = (Arc::new(key), Arc::new(pod));
                let old = self.pods.insert(key.clone(), pod.clone());
                if old.is_none() {
                    self.in_namespace.entry(key.0.clone()).or_default().insert(key.clone());
                }
                let first = at.is_some_and(|at| self.kinds.is_first("pods", at));
                self.addresses.change(&key, (old.as_ref(), ward), Some(&pod), (at, first));
                true
            }
            ("", "Service") => self.take_service(&key, &doc.root, at),
            ("", "Endpoints") | ("discovery.k8s.io", "EndpointSlice") => self.take_slice(doc.kind(), key, &doc.root, at),
            ("", "Node") => self.take_node(&key.1, &doc.root, at),
            // Before all of them are known none says anything.
            ("cilium.io", "CiliumEndpoint") => self.managed.take(key) && self.kinds.listed(managed::ENDPOINTS).is_some(),
            ("", "ServiceAccount") => self.service_accounts.insert(key, ()).is_none(),
            ("apps" | "batch" | "extensions", kind @ ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob"))
            | ("", kind @ "ReplicationController") => {
                // Of a watched DaemonSet only the names of its containers are kept, which is no template.
                let Some(pod) = PodLike::of_workload(kind, &doc.root).filter(|_| doc.live.is_none()) else { return false };
                let list = self.workloads.entry(key.0).or_default();
                let same = |(k, n, t): &(String, String, PodLike)| k == kind && *n == key.1 && *t == pod;
                if list.iter().any(same) {
                    return false;
                }
                list.retain(|(k, n, _)| !(k == kind && *n == key.1));
                list.push((kind.to_owned(), key.1, pod));
                true
            }
            ("cilium.io", "CiliumCIDRGroup") => self.take_group(&key.1, &doc.root, at),
            _ => false,
        }
    }

    fn remove(&mut self, id: &ObjectId, at: Option<Nanos>) -> bool {
        let namespace = if id.namespace.is_empty() { DEFAULT_NAMESPACE } else { id.namespace.as_str() };
        let key = (namespace.to_owned(), id.name.clone());
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Namespace") => self.namespaces.set(&id.name, None, at, false),
            ("", "Pod") => self.remove_pod(key, at),
            ("", "Service") => self.services.set(&key, None, at, false),
            ("", "Endpoints") | ("discovery.k8s.io", "EndpointSlice") => self.remove_slice(&id.kind, key, at),
            ("", "Node") => self.nodes.set(&id.name, None, at, false),
            ("cilium.io", "CiliumEndpoint") => {
                self.managed.remove(&key, self.pods.contains_key(&key));
                false
            }
            ("", "ServiceAccount") => self.service_accounts.remove(&key).is_some(),
            ("apps" | "batch" | "extensions", kind @ ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob"))
            | ("", kind @ "ReplicationController") => {
                let Some(list) = self.workloads.get_mut(&key.0) else { return false };
                let before = list.len();
                list.retain(|(k, n, _)| !(k == kind && *n == key.1));
                before > list.len()
            }
            ("cilium.io", "CiliumCIDRGroup") => self.groups.set(&id.name, None, at, false),
            _ => false,
        }
    }

    /// A pod is no more; whose address it was until then is remembered for a while.
    fn remove_pod(&mut self, key: Key, at: Option<Nanos>) -> bool {
        let Some(old) = self.pods.remove(&key) else { return false };
        if let Some(all) = self.in_namespace.get_mut(&key.0) {
            all.remove(&key);
            if all.is_empty() {
                self.in_namespace.remove(&key.0);
            }
        }
        let ward = self.last_ward(&key, &old, at);
        self.managed.pod_went(&key);
        self.addresses.change(&Arc::new(key), (Some(&old), ward), None, (at, false));
        true
    }

    /// Labels of a namespace, `kubernetes.io/metadata.name` among them; `None` if no manifest speaks of it.
    pub fn namespace_labels(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.now(namespace)
    }

    /// The same as they were at a time; `None` also where that is not known.
    fn namespace_labels_at(&self, namespace: &str, at: Option<Nanos>) -> Option<&BTreeMap<String, String>> {
        match self.namespaces.at(namespace, at) {
            Then::Known(labels) => Some(labels),
            Then::Nothing | Then::Forgotten => None,
        }
    }

    /// Every namespace that a manifest speaks of, by name.
    pub fn namespaces(&self) -> Vec<&str> {
        sorted(self.namespaces.names().map(String::as_str))
    }

    /// Every pod that a manifest speaks of, by namespace and name.
    pub fn pods(&self) -> Vec<(&Key, &PodLike)> {
        let mut all: Vec<_> = self.pods.iter().map(|(k, p)| (&**k, &**p)).collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }

    /// Every workload, as (namespace, kind, name, template), in that order.
    pub fn workloads(&self) -> Vec<(&str, &str, &str, &PodLike)> {
        let all = self.workloads.iter().flat_map(|(ns, list)| list.iter().map(move |(k, n, t)| (ns.as_str(), k.as_str(), n.as_str(), t)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(ns, kind, name, _)| (*ns, *kind, *name));
        all
    }

    pub fn pod(&self, namespace: &str, name: &str) -> Option<&PodLike> {
        self.pods.get(&(namespace.to_owned(), name.to_owned())).map(|p| &**p)
    }

    /// The pod with this address, as (namespace, name); `None` where several claim it (a node's pods on the host's network).
    pub fn pod_at(&self, ip: IpAddr) -> Option<&Key> {
        match self.addresses.holder(ip, None, "") {
            Holder::Pod(hold) => Some(&hold.key),
            _ => None,
        }
    }

    /// How the cluster enforces policies, as far as its own objects say it.
    pub fn settings(&self) -> &settings::Settings {
        &self.settings
    }

    /// Pods that once had an address, older versions of nodes, services and address groups, and namespaces that are gone, that were forgotten
    /// for want of room.
    pub fn forgotten(&self) -> u64 {
        let objects = self.nodes.forgotten() + self.services.forgotten() + self.groups.forgotten() + self.backends.forgotten();
        self.addresses.forgotten + objects + self.namespaces.forgotten()
    }

    /// The workload whose template a pod comes from: by the owners the flow names, else by the shape of the pod's name
    /// (longest owner name wins; two that fit equally are none).
    pub fn workload_of(&self, namespace: &str, pod: &str, owners: &[(String, String)]) -> Option<(&str, &str, &PodLike)> {
        let list = self.workloads.get(namespace)?;
        let named = list.iter().find(|(k, n, _)| owners.iter().any(|(ok, on)| on == n && (ok.is_empty() || ok == k)));
        let by_name = || {
            let fits = || list.iter().filter(|(k, n, _)| objects::generated_from(pod, k, n));
            let longest = fits().map(|(_, n, _)| n.len()).max()?;
            let mut found = fits().filter(|(_, n, _)| n.len() == longest);
            let first = found.next()?;
            found.all(|(_, _, t)| t.labels == first.2.labels).then_some(first)
        };
        // Where the flow names its owner, a look-alike is not it.
        let found = named.or_else(|| if owners.is_empty() { by_name() } else { None })?;
        Some((&found.0, &found.1, &found.2))
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<_> = names.collect();
    all.sort_unstable();
    all
}

/// `apps/v1` → `apps`, `v1` → ``.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(g, _)| g)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::Party;
    use std::sync::Arc;

    fn world(yaml: &str) -> World {
        let mut w = World::new();
        let (docs, faults) = yaml::read("w.yaml", yaml);
        assert!(faults.is_empty(), "{faults:?}");
        docs.into_iter().for_each(|d| w.apply(&Change::Apply(Arc::new(d))));
        w
    }

    fn party(ns: &str, pod: &str) -> Party {
        Party { present: true, namespace: ns.into(), pod: pod.into(), ..Party::default() }
    }

    /// The labels of one side, and whether they were filled in from a workload's template.
    fn labels_of(w: &World, party: &Party) -> Option<(Labels, bool)> {
        let e = w.endpoint(party);
        e.known.then_some((e.labels, e.inferred))
    }

    const APP: &str = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: cart}\nspec: {template: {metadata: {labels: {app: cart}}}}\n---\nkind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: cart-db}\nspec: {template: {metadata: {labels: {app: db}}, spec: {serviceAccountName: dba}}}\n";

    #[test]
    fn labels_by_owner_prefix_are_inferred_and_the_longest_wins() {
        let w = world(APP);
        let (l, inferred) = labels_of(&w, &party("default", "cart-7d9f8b6c4-x7k2p")).unwrap();
        assert_eq!((l.get(Some("k8s"), "app"), inferred), (Some("cart"), true));
        let (l, _) = labels_of(&w, &party("default", "cart-db-0")).unwrap();
        assert_eq!(l.get(None, "app"), Some("db"));
        assert_eq!(l.get(None, labels::SERVICE_ACCOUNT), Some("dba"));
        assert!(labels_of(&w, &party("default", "cart-proxy-front-0")).is_none(), "another's pod");
        assert!(labels_of(&w, &party("shop", "cart-db-0")).is_none(), "another namespace");
    }

    #[test]
    fn the_flows_own_labels_are_the_identity() {
        let w = world(APP);
        let mut p = party("default", "cart-db-0");
        p.labels = vec!["k8s:app=new".into()];
        let (l, inferred) = labels_of(&w, &p).unwrap();
        assert_eq!((l.get(None, "app"), l.namespace(), inferred), (Some("new"), Some("default"), false));
    }

    #[test]
    fn a_pods_address_is_enough() {
        let w = world(
            "kind: Pod\napiVersion: v1\nmetadata: {name: p, namespace: a, labels: {x: y}}\nspec: {containers: [{ports: [{name: web, containerPort: 80}]}]}\nstatus: {podIP: 10.0.0.7}\n",
        );
        let e = w.endpoint(&Party { present: true, ip: Some("10.0.0.7".parse().unwrap()), ..Party::default() });
        assert_eq!((e.labels.get(None, "x"), e.namespace.as_str(), e.known), (Some("y"), "a", true));
        assert_eq!(e.named_ports.unwrap()[0].port, 80);
    }

    #[test]
    fn an_address_is_a_services_as_long_as_one_has_it() {
        let of = |name: &str, ip: &str| format!("kind: Service\napiVersion: v1\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {ip}}}\n");
        let is = |all: &[String]| world(&all.join("---\n")).is_service("10.96.0.1".parse().unwrap(), None);
        assert!(is(&[of("a", "10.96.0.1")]) && !is(&[of("a", "10.96.0.2")]) && !is(&[of("a", "None")]));
        assert!(is(&[of("a", "10.96.0.1"), of("a", "10.96.0.1")]), "the same service read again");
        assert!(!is(&[of("a", "10.96.0.1"), of("a", "10.96.0.2")]), "it has another address now");
        assert!(is(&[of("a", "10.96.0.1"), of("b", "10.96.0.1"), of("b", "10.96.0.3")]));
    }

    #[test]
    fn who_controls_whom_and_how_many_there_are_to_be() {
        let w = world(
            "kind: ReplicaSet\napiVersion: apps/v1\nmetadata: {name: web-1, ownerReferences: [{kind: Other, name: x}, {kind: Deployment, name: web, controller: true}]}\nspec: {replicas: 3, template: {}}\n---\nkind: DaemonSet\napiVersion: apps/v1\nmetadata: {name: agent}\nspec: {template: {}}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec: {}\nstatus: {phase: Failed}\n",
        );
        let all: Vec<_> = w.workloads().into_iter().map(|(ns, k, n, t)| (ns, k, n, t.replicas, t.owner.clone())).collect();
        let web = Some(("Deployment".to_owned(), "web".to_owned()));
        assert_eq!(all, [("default", "DaemonSet", "agent", None, None), ("default", "ReplicaSet", "web-1", Some(3), web)]);
        assert!(w.pods().iter().all(|(_, p)| p.finished && p.owner.is_none()));
    }

    #[test]
    fn an_address_that_two_pods_claim_or_a_finished_one_had_is_nobodys() {
        let pod = |name: &str, phase: &str| {
            format!(
                "kind: Pod\napiVersion: v1\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec: {{}}\nstatus: {{podIP: 10.0.0.7, phase: {phase}}}\n"
            )
        };
        let at = |pods: [String; 2]| world(&pods.join("---\n")).pod_at("10.0.0.7".parse().unwrap()).map(|k| k.1.clone());
        assert_eq!(at([pod("a", "Running"), pod("b", "Succeeded")]), Some("a".into()), "finished pods keep their address in status");
        assert_eq!(at([pod("a", "Running"), pod("b", "Running")]), None);
        assert_eq!(at([pod("a", "Pending"), pod("a", "Running")]), Some("a".into()), "the same pod read again");
    }

    #[test]
    fn a_name_that_no_controller_makes_has_no_owner() {
        let of = |kind: &str, labels: &str| {
            format!(
                "kind: {kind}\napiVersion: apps/v1\nmetadata: {{name: web}}\nspec: {{template: {{metadata: {{labels: {{app: {labels}}}}}}}}}\n"
            )
        };
        let w = world(&format!("{}---\n{}", of("StatefulSet", "db"), of("Deployment", "web")));
        let app = |pod: &str| w.endpoint(&party("default", pod)).labels.get(None, "app").map(str::to_owned);
        assert_eq!((app("web-0"), app("web-7d9f8b6c4-x7k2p")), (Some("db".into()), Some("web".into())), "each kind names its own way");
        assert_eq!((app("web-cache2-x7k2p"), app("web-auth1")), (None, None), "of an unknown DaemonSet, and a bare pod");
        let w = world(&format!("{}---\n{}", of("DaemonSet", "a"), of("ReplicaSet", "b")));
        assert!(!w.endpoint(&party("default", "web-x7k2p")).known, "either may be the owner");
    }

    #[test]
    fn a_template_that_contradicts_the_flows_labels_is_not_its_own() {
        let w = world(
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: cart}\nspec: {template: {metadata: {labels: {app: cart}}, spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}}}\n",
        );
        let ports = |app: &str| {
            let labels = vec![format!("k8s:app={app}"), "k8s:io.kubernetes.pod.namespace=default".into()];
            w.endpoint(&Party { labels, ..party("default", "cart-7d9f8b6c4-x7k2p") }).named_ports.map(|p| p.len())
        };
        assert_eq!((ports("cart"), ports("other")), (Some(1), None));
    }

    #[test]
    fn labels_without_a_namespace_are_not_a_whole_identity() {
        let p = Party { present: true, labels: vec!["k8s:app=cart".into()], ..Party::default() };
        let e = World::new().endpoint(&p);
        assert!(!e.known && e.labels.get(None, "app") == Some("cart"));
        assert!(World::new().endpoint(&Party { labels: vec!["cidr:1.0.0.0/8".into()], ..Party::default() }).known);
    }

    #[test]
    fn namespace_labels_are_known_only_from_flow_or_manifest() {
        let w = world(&format!("{APP}---\nkind: Namespace\napiVersion: v1\nmetadata: {{name: default, labels: {{env: prod}}}}\n"));
        let e = w.endpoint(&party("default", "cart-db-0"));
        assert!(e.namespace_labels);
        assert_eq!(e.labels.get(None, "io.cilium.k8s.namespace.labels.env"), Some("prod"));
        let mut p = party("other", "x");
        p.labels = vec!["k8s:app=x".into()];
        let e = w.endpoint(&p);
        assert!(!e.namespace_labels);
        assert_eq!(e.labels.get(None, "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name"), Some("other"));
    }
}
