//! A simulated cluster: three applications, policies with the mistakes people make, and the flows that agents would record.
//!
//! Owns who talks to whom, what becomes of it, and what each mistake is. Knows nothing of gRPC, reads no clock, asks no evaluator: the outcomes
//! are written by hand, so that they can be compared with ours. The same seed and start give the same bytes.
mod cluster;
mod mistakes;
mod record;
mod rng;
mod simulation;
mod talk;
mod traffic;

pub use cluster::CLUSTER;
pub use mistakes::{Condition, MISTAKES, Mistake, NearestRule, PolicyName, mistakes};
pub use record::VERSION;
pub use simulation::Simulation;

macro_rules! manifest {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../../assets/demo/", $name)))),+] };
}

/// (file name, text) of everything that stands in the simulated cluster.
const MANIFESTS: &[(&str, &str)] = manifest![
    "bookinfo-policies.yaml",
    "bookinfo-workloads.yaml",
    "cluster-policies.yaml",
    "empire-policies.yaml",
    "empire-workloads.yaml",
    "kube-system-workloads.yaml",
    "monitoring-policies.yaml",
    "monitoring-workloads.yaml",
    "namespaces.yaml",
    "shop-policies.yaml",
    "shop-workloads.yaml",
];

/// The manifests: file name and text.
pub fn manifests() -> Vec<(&'static str, &'static str)> {
    MANIFESTS.to_vec()
}

/// The names of the simulated cluster's nodes, with their addresses.
pub fn nodes() -> Vec<(&'static str, &'static str)> {
    cluster::Cluster::new(0).nodes.iter().map(|n| (n.name, n.ip)).collect()
}

/// The namespaces of the simulated cluster.
pub fn namespaces() -> Vec<&'static str> {
    let mut all: Vec<_> = cluster::WORKLOADS.iter().map(|w| w.namespace).collect();
    all.sort_unstable();
    all.dedup();
    all
}
