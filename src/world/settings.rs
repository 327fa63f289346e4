//! How the cluster enforces policies: Cilium's configuration, and which agents its DaemonSets run. Owns reading them; what follows
//! for a judgement is the policy room's business.
use super::Key;
use super::objects::string_map;
use crate::model::doc::{Doc, Node};
use std::collections::BTreeMap;

/// Cilium's own configuration.
const CONFIG: &str = "cilium-config";

/// The keys of it that anybody asks for. Whoever hands the configuration on needs to keep no others.
pub const READ: &[&str] = &[
    "allow-localhost",
    "enable-host-firewall",
    "enable-k8s-cluster-network-policy",
    "enable-k8s-networkpolicy",
    "enable-policy",
    "policy-audit-mode",
    "policy-cidr-match-mode",
];

/// DaemonSets of networks, by how their names begin: what they are called, and whether they enforce NetworkPolicy; `None`: that
/// depends, and the object does not tell.
const NETWORKS: &[(&str, &str, Option<bool>)] = &[
    ("cilium", "Cilium", Some(true)),
    ("anetd", "Cilium", Some(true)),
    ("calico-node", "Calico", Some(true)),
    ("canal", "Calico", Some(true)),
    ("antrea-agent", "Antrea", Some(true)),
    ("kube-router", "kube-router", Some(true)),
    ("weave-net", "Weave", Some(true)),
    ("ovnkube-node", "OVN-Kubernetes", Some(true)),
    ("azure-npm", "azure-npm", Some(true)),
    ("kube-network-policies", "kube-network-policies", Some(true)),
    ("kindnet", "kindnet", None),
    ("kube-flannel", "kube-flannel", Some(false)),
    ("azure-cns", "azure-cns", Some(false)),
    ("aws-node", "aws-node", None),
];

/// A network's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    word: &'static str,
    enforces: Option<bool>,
}

/// What the cluster's own objects say about enforcement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `None`: nobody has shown it.
    config: Option<BTreeMap<String, String>>,
    networks: BTreeMap<Key, Network>,
}

impl Settings {
    /// Takes in an object; `true` if it changes anything.
    pub(super) fn take(&mut self, doc: &Doc) -> bool {
        match doc.kind() {
            "ConfigMap" if doc.name() == CONFIG => {
                let config = Some(string_map(doc.root.get("data")));
                std::mem::replace(&mut self.config, config.clone()) != config
            }
            "DaemonSet" => {
                let Some(network) = network(doc) else { return false };
                let key = (doc.namespace().to_owned(), doc.name().to_owned());
                self.networks.insert(key, network.clone()) != Some(network)
            }
            _ => false,
        }
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, kind: &str, namespace: &str, name: &str) -> bool {
        match kind {
            "ConfigMap" if name == CONFIG => self.config.take().is_some(),
            "DaemonSet" => self.networks.remove(&(namespace.to_owned(), name.to_owned())).is_some(),
            _ => false,
        }
    }

    /// A value of Cilium's configuration; its key is one of `READ`.
    pub fn config(&self, key: &str) -> Option<&str> {
        debug_assert!(READ.contains(&key), "{key} would be missing in redacted recordings");
        self.config.as_ref()?.get(key).map(String::as_str)
    }

    /// The same as yes or no.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.config(key)? {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Some(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    /// Whether Cilium is the network, as far as anybody has said.
    pub fn is_cilium(&self) -> Option<bool> {
        if self.config.is_some() || self.networks.values().any(|n| n.word == "Cilium") {
            return Some(true);
        }
        (!self.networks.is_empty()).then_some(false)
    }

    /// The network that enforces no policy, where no other is there to do it.
    pub fn unenforced(&self) -> Option<&'static str> {
        if self.config.is_some() || self.networks.values().any(|n| n.enforces != Some(false)) {
            return None;
        }
        self.networks.values().map(|n| n.word).next()
    }

    /// What the networks are called, each once.
    pub fn networks(&self) -> Vec<&'static str> {
        let mut all: Vec<_> = self.networks.values().map(|n| n.word).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn network(doc: &Doc) -> Option<Network> {
    let name = doc.name();
    let fits = |begin: &str| name.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with("-ds"));
    let (_, word, enforces) = NETWORKS.iter().find(|(begin, _, _)| fits(begin))?;
    let enforces = if *word == "aws-node" { aws(&doc.root) } else { *enforces };
    Some(Network { word, enforces })
}

/// Amazon's network enforces policies where its policy agent runs beside it and is told to.
fn aws(root: &Node) -> Option<bool> {
    let containers = root.at(&["spec", "template", "spec", "containers"])?.seq();
    let agent = containers.iter().find(|c| c.get("name").and_then(Node::str) == Some("aws-eks-nodeagent"));
    let Some(agent) = agent else { return Some(false) };
    let args = agent.get("args").map(Node::seq).unwrap_or(&[]).iter().filter_map(Node::str);
    args.filter_map(|a| a.strip_prefix("--enable-network-policy=")).next().map(|v| v == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::yaml;

    fn settings(body: &str) -> Settings {
        let mut s = Settings::default();
        let (docs, faults) = yaml::read("s.yaml", body);
        assert!(faults.is_empty(), "{faults:?}");
        docs.iter().for_each(|d| _ = s.take(d));
        s
    }

    fn daemon(name: &str, spec: &str) -> String {
        format!("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, namespace: kube-system}}\n{spec}---\n")
    }

    #[test]
    fn which_network_enforces() {
        let of = |names: &[&str]| settings(&names.iter().map(|n| daemon(n, "")).collect::<String>());
        let told = |names: &[&str]| (of(names).unenforced(), of(names).is_cilium());
        assert_eq!(told(&["kube-flannel-ds", "kube-proxy", "retina-agent"]), (Some("kube-flannel"), Some(false)));
        assert_eq!(told(&["kube-flannel-ds", "kube-router"]), (None, Some(false)), "flannel moves the packets, another judges them");
        assert_eq!(told(&["kube-flannel-ds", "cilium"]), (None, Some(true)));
        assert_eq!(told(&["kube-proxy", "cilium-envoy"]), (None, None), "nobody's network");
        assert_eq!(told(&["aws-node"]), (None, Some(false)), "without its containers nobody knows");
    }

    #[test]
    fn amazons_network_enforces_if_its_agent_does() {
        let of = |containers: &str| {
            settings(&daemon("aws-node", &format!("spec: {{template: {{spec: {{containers: [{containers}]}}}}}}\n"))).unenforced()
        };
        assert_eq!(of("{name: aws-node}"), Some("aws-node"));
        assert_eq!(of("{name: aws-node}, {name: aws-eks-nodeagent, args: ['--enable-network-policy=false']}"), Some("aws-node"));
        assert_eq!(of("{name: aws-node}, {name: aws-eks-nodeagent, args: ['--enable-network-policy=true']}"), None);
    }

    #[test]
    fn ciliums_configuration_comes_and_goes() {
        let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {enable-policy: always, policy-audit-mode: 'true'}\n";
        let mut s = settings(config);
        assert_eq!((s.config("enable-policy"), s.flag("policy-audit-mode"), s.flag("enable-policy")), (Some("always"), Some(true), None));
        assert!(!s.take(&yaml::read("s.yaml", config).0[0]), "the same again");
        assert!(s.remove("ConfigMap", "kube-system", "cilium-config") && s == Settings::default());
    }
}
