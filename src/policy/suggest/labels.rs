//! By which labels a workload is told from others. Owns what counts as stable, and the order of preference.
use crate::world::labels::SERVICE_ACCOUNT;
use crate::world::{Endpoint, Labels};
use std::collections::{BTreeSet, HashMap};

/// Keys that name a workload, best first.
const NAMING: &[&str] = &["app.kubernetes.io/name", "app", "k8s-app", "name", "app.kubernetes.io/instance", "app.kubernetes.io/component"];

/// Labels that change with every rollout, or that a controller numbers pods by.
const UNSTABLE: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "rollouts-pod-template-hash",
    "controller-uid",
    "job-name",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "chart",
    "heritage",
    "release",
];
const UNSTABLE_UNDER: &[&str] = &[
    "io.cilium.",
    "io.kubernetes.",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "batch.kubernetes.io/",
    "topology.kubernetes.io/",
    "kubernetes.io/",
    "security.istio.io/",
    "service.istio.io/",
    "sidecar.istio.io/",
];

/// Key and value.
pub type Pairs = Vec<(String, String)>;

pub fn stable(key: &str) -> bool {
    !UNSTABLE.contains(&key) && !UNSTABLE_UNDER.iter().any(|p| key.starts_with(p))
}

/// Labels of a pod that a policy may go by, best first. `version` tells apart what nothing else does, and comes last.
fn candidates(labels: &Labels) -> Pairs {
    let rank = |k: &str| match NAMING.iter().position(|n| *n == k) {
        Some(i) => i,
        None if k == "version" => usize::MAX,
        None => NAMING.len(),
    };
    let mut out: Pairs =
        labels.0.iter().filter(|l| l.source == "k8s" && stable(&l.key)).map(|l| (l.key.clone(), l.value.clone())).collect();
    out.sort_by(|a, b| (rank(&a.0), &a.0).cmp(&(rank(&b.0), &b.0)));
    // Cluster DNS goes by this label in every distribution, whatever else it is called.
    if let Some(i) = out.iter().position(|(k, v)| k == "k8s-app" && v == "kube-dns") {
        let dns = out.remove(i);
        out.insert(0, dns);
    }
    out
}

/// The workloads of each namespace, as their stable labels tell them.
#[derive(Debug, Default)]
pub struct Crowd(HashMap<String, BTreeSet<Pairs>>);

impl Crowd {
    pub fn new<'a>(all: impl Iterator<Item = &'a Endpoint>) -> Self {
        let mut out: HashMap<String, BTreeSet<Pairs>> = HashMap::new();
        for e in all.filter(|e| e.labels.is_pod()) {
            out.entry(e.namespace.clone()).or_default().insert(candidates(&e.labels));
        }
        Self(out)
    }
}

/// The fewest stable labels that tell a pod's workload from every other workload of its namespace. Empty: it has no label to go by.
/// Where no label tells two workloads apart, both are meant.
pub fn telling(e: &Endpoint, crowd: &Crowd) -> Pairs {
    let all = candidates(&e.labels);
    let mut others: Vec<&Pairs> = crowd.0.get(&e.namespace).into_iter().flatten().filter(|theirs| **theirs != all).collect();
    let mut chosen: Pairs = Vec::new();
    for pair in all {
        if !chosen.is_empty() && others.is_empty() {
            break;
        }
        let left: Vec<&Pairs> = others.iter().copied().filter(|o| o.contains(&pair)).collect();
        if chosen.is_empty() || left.len() < others.len() {
            others = left;
            chosen.push(pair);
        }
    }
    chosen
}

/// The account a pod runs under, where its labels say nothing; the one that all pods have tells nothing.
pub fn account(e: &Endpoint) -> Option<&str> {
    e.labels.get(Some("k8s"), SERVICE_ACCOUNT).filter(|a| *a != "default" && !a.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Label;

    fn pod(labels: &str) -> Endpoint {
        let mut all: Vec<Label> = labels.split(',').map(Label::parse).collect();
        all.push(Label::parse("k8s:io.kubernetes.pod.namespace=shop"));
        Endpoint { labels: Labels(all), namespace: "shop".into(), known: true, ..Endpoint::default() }
    }

    fn chosen(of: &str, crowd: &[&str]) -> String {
        let crowd: Vec<Endpoint> = crowd.iter().map(|c| pod(c)).collect();
        let all: Vec<String> = telling(&pod(of), &Crowd::new(crowd.iter())).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        all.join(",")
    }

    #[test]
    fn the_best_known_key_first_and_never_a_hash() {
        assert_eq!(chosen("pod-template-hash=abc,tier=x,app=cart", &[]), "app=cart");
        assert_eq!(chosen("app=cart,app.kubernetes.io/name=c,app.kubernetes.io/version=1", &[]), "app.kubernetes.io/name=c");
        assert_eq!(chosen("pod-template-hash=abc", &[]), "");
        assert_eq!(chosen("app.kubernetes.io/name=coredns,k8s-app=kube-dns", &[]), "k8s-app=kube-dns");
    }

    #[test]
    fn as_many_labels_as_tell_workloads_apart() {
        assert_eq!(chosen("app=reviews,version=v2", &["app=reviews,version=v1"]), "app=reviews,version=v2");
        assert_eq!(chosen("app=reviews,version=v2", &["app=reviews,version=v2,pod-template-hash=z"]), "app=reviews", "a pod of its own");
        assert_eq!(chosen("class=xwing,org=alliance", &["class=ywing,org=alliance"]), "class=xwing");
        assert_eq!(chosen("app=a,x=1", &["app=a,x=1,y=2"]), "app=a", "no label would help");
        assert_eq!(chosen("name=web", &["app=other"]), "name=web");
    }
}
