//! What the cluster's own settings make of the options of judging. Owns which setting means which option, and that what somebody typed
//! wins.
use super::{CILIUM, Enforcement, Engine, Options};
use crate::world::World;
use crate::world::settings::Settings;

/// Where options come from, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Which {
    pub engine: bool,
    pub enforcement: bool,
    pub host_firewall: bool,
    pub allow_localhost: bool,
    pub cilium: bool,
}

impl Options {
    /// The options under which this cluster judges.
    #[must_use]
    pub fn under(mut self, cluster: &Settings) -> Self {
        let typed = self.typed;
        if let (false, Some(cilium)) = (typed.engine, cluster.is_cilium()) {
            self.engine = if cilium { Engine::Cilium } else { Engine::Kubernetes };
            self.read.engine = true;
        }
        // Cilium reads it in any case.
        let enforcement = match cluster.config("enable-policy").map(str::to_ascii_lowercase).as_deref() {
            Some("default") => Some(Enforcement::Default),
            Some("always") => Some(Enforcement::Always),
            Some("never") => Some(Enforcement::Never),
            // Where nothing enforces policies, none of them decides anything.
            _ => cluster.unenforced().map(|_| Enforcement::Never),
        };
        self.unenforced = cluster.unenforced().filter(|_| !typed.enforcement);
        if let (false, Some(is)) = (typed.enforcement, enforcement) {
            (self.enforcement, self.read.enforcement) = (is, true);
        }
        if let (false, Some(is)) = (typed.host_firewall, cluster.flag("enable-host-firewall")) {
            (self.host_firewall, self.read.host_firewall) = (is, true);
        }
        if let (false, Some(is)) = (typed.allow_localhost, cluster.config("allow-localhost")) {
            (self.allow_localhost, self.read.allow_localhost) = (is != "policy", true);
        }
        self.runs = cluster.cilium_minor();
        if let (false, Some(runs)) = (typed.cilium, self.runs) {
            // Of a version that is newer than what is known here nothing is known that differs.
            (self.cilium, self.read.cilium) = (runs.min(CILIUM), true);
        }
        self.without_l7 = cluster.flag("enable-l7-proxy") == Some(false);
        self.audit = cluster.flag("policy-audit-mode") == Some(true);
        self.cidr_nodes = cluster.config("policy-cidr-match-mode").is_some_and(|modes| modes.split([',', ' ']).any(|m| m == "nodes"));
        self.without_networkpolicy = cluster.flag("enable-k8s-networkpolicy") == Some(false);
        self.without_cluster_policy = cluster.flag("enable-k8s-cluster-network-policy") == Some(false);
        self
    }

    /// The missing fact that would tell whether policies are enforced at all; none where somebody typed it.
    pub fn enforcement_unread(&self, world: &World) -> Option<String> {
        if self.typed.enforcement { None } else { world.enforcement_unread() }
    }

    /// Whether policies of this kind are enforced at all.
    pub fn enforces(&self, kind: &str) -> bool {
        match kind {
            "NetworkPolicy" => !self.without_networkpolicy,
            "ClusterNetworkPolicy" | "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy" => !self.without_cluster_policy,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Change;
    use crate::world::{World, yaml};
    use std::sync::Arc;

    fn world(body: &str) -> World {
        let mut w = World::new();
        let (docs, faults) = yaml::read("s.yaml", body);
        assert!(faults.is_empty(), "{faults:?}");
        docs.into_iter().for_each(|d| w.apply(&Change::Apply(Arc::new(d))));
        w
    }

    fn config(data: &str) -> World {
        world(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {{{data}}}\n"))
    }

    #[test]
    fn what_was_typed_wins_over_what_the_cluster_says() {
        let w = config("enable-policy: always, enable-host-firewall: 'true', allow-localhost: policy");
        let told = Options::default().under(w.settings());
        assert_eq!((told.enforcement, told.host_firewall, told.allow_localhost), (Enforcement::Always, true, false));
        assert!(told.read.enforcement && told.read.host_firewall && told.read.allow_localhost);
        let typed = Which { enforcement: true, allow_localhost: true, ..Which::default() };
        let told = Options { typed, ..Options::default() }.under(w.settings());
        assert_eq!((told.enforcement, told.host_firewall, told.allow_localhost), (Enforcement::Default, true, true));
        assert!(!told.read.enforcement && !told.read.allow_localhost);
        assert_eq!(Options::default().under(World::new().settings()), Options::default(), "nobody said anything");
    }

    #[test]
    fn a_network_that_enforces_nothing_decides_nothing() {
        let daemon =
            |name: &str| format!("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, namespace: kube-system}}\n---\n");
        let told = Options::default().under(world(&daemon("kube-flannel-ds")).settings());
        assert_eq!((told.unenforced, told.enforcement, told.engine), (Some("kube-flannel"), Enforcement::Never, Engine::Kubernetes));
        let told = Options::default().under(world(&(daemon("kube-flannel-ds") + &daemon("calico-node"))).settings());
        assert_eq!((told.unenforced, told.enforcement, told.engine), (None, Enforcement::Default, Engine::Kubernetes));
    }

    #[test]
    fn the_version_that_the_agents_run_is_read_unless_one_is_typed() {
        let w = world(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: cilium, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: cilium-agent, image: 'quay.io/cilium/cilium:v1.17.4'}]}}}\n",
        );
        assert_eq!(Options::default().under(w.settings()).cilium, 17);
        let typed = Options { typed: Which { cilium: true, ..Which::default() }, ..Options::default() }.under(w.settings());
        assert_eq!((typed.cilium, typed.runs), (CILIUM, Some(17)));
    }

    #[test]
    fn kinds_that_are_switched_off() {
        let told = Options::default().under(config("enable-k8s-networkpolicy: 'false'").settings());
        assert_eq!(["NetworkPolicy", "ClusterNetworkPolicy", "CiliumNetworkPolicy"].map(|k| told.enforces(k)), [false, true, true]);
        let told = Options::default().under(config("policy-cidr-match-mode: nodes, policy-audit-mode: 'true'").settings());
        assert!(told.cidr_nodes && told.audit);
        assert_eq!(Options::default().under(config("enable-policy: Always").settings()).enforcement, Enforcement::Always, "in any case");
    }
}
