//! Which policy, which rule, which condition. Every kind of policy is compiled into one intermediate form (`ir`), judged by
//! one evaluator (`eval`), and explained (`explain`).
//!
//! Owns the set of policies and how they are judged. Uses no wire format and no filter language; prints nothing.
pub mod eval;
pub mod explain;
mod index;
pub mod ir;
mod judging;
pub mod kind;
pub mod lazy;
pub mod lint;
pub mod ruling;
pub mod selector;
mod set;
pub mod suggest;
mod under;
mod unread;
pub mod valid;
pub mod versions;
mod written;

pub use eval::{End, Kin, Selected};
pub use explain::{Memory, evidence, explain, moment, why};
pub use judging::{Judging, Posture};
pub use ruling::{Ruling, ruling, ruling_between, ruling_of};
pub use set::{NotUnderstood, PolicySet, Standing, Turn};
pub use under::Which;
pub use unread::Unread;
pub use versions::{Step, Versions};
pub use written::Written;

/// Whose reading of the policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// As Cilium does it, which is what Hubble shows.
    #[default]
    Cilium,
    /// As the Kubernetes API says it.
    Kubernetes,
}

/// Cilium's `enable-policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforcement {
    #[default]
    Default,
    Always,
    Never,
}

/// How policies are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub engine: Engine,
    pub enforcement: Enforcement,
    /// Policies for nodes count, and the host is a subject.
    pub host_firewall: bool,
    /// The node a pod runs on may always reach it (`allow-localhost=always`).
    pub allow_localhost: bool,
    /// Minor version of Cilium 1.x: before 19 `fromRequires` and Kafka rules count.
    pub cilium: u32,
    /// Nothing is dropped: what policies deny is only recorded (`policy-audit-mode`).
    pub audit: bool,
    /// Address ranges match nodes too (`policy-cidr-match-mode: nodes`).
    pub cidr_nodes: bool,
    /// NetworkPolicies are not enforced (`enable-k8s-networkpolicy: false`).
    pub without_networkpolicy: bool,
    /// Policies of the admin tiers are not enforced (`enable-k8s-cluster-network-policy: false`).
    pub without_cluster_policy: bool,
    /// Policies with L7 rules are refused (`enable-l7-proxy: false`).
    pub without_l7: bool,
    /// Minor version of Cilium that the cluster's agents run, which may not be the one whose reading counts here.
    pub runs: Option<u32>,
    /// The cluster's network, where it enforces no policy.
    pub unenforced: Option<&'static str>,
    /// What somebody typed: the cluster's own settings do not change it.
    pub typed: Which,
    /// What was read from the cluster's own settings.
    pub read: Which,
}

/// Newest Cilium whose rules are known here.
pub const CILIUM: u32 = 20;

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::Cilium,
            enforcement: Enforcement::Default,
            host_firewall: false,
            allow_localhost: true,
            cilium: CILIUM,
            audit: false,
            cidr_nodes: false,
            without_networkpolicy: false,
            without_cluster_policy: false,
            without_l7: false,
            runs: None,
            unenforced: None,
            typed: Which::default(),
            read: Which::default(),
        }
    }
}

#[cfg(test)]
mod tests;
