//! How the cluster enforces policies: Cilium's configuration, and which agents its DaemonSets run. Owns reading them; what follows
//! for a judgement is the policy room's business.
use super::objects::string_map;
use super::{Key, World};
use crate::model::doc::{Doc, Node};
use std::collections::BTreeMap;

/// Cilium's own configuration.
const CONFIG: &str = "cilium-config";

/// Its home where nothing shows another.
const HOME: &str = "kube-system";

/// The keys of it that anybody asks for. Whoever hands the configuration on needs to keep no others.
pub const READ: &[&str] = &[
    "allow-localhost",
    "cluster-id",
    "disable-endpoint-crd",
    "enable-cilium-endpoint-slice",
    "enable-host-firewall",
    "enable-k8s-cluster-network-policy",
    "enable-k8s-networkpolicy",
    "enable-l7-proxy",
    "enable-policy",
    "policy-audit-mode",
    "policy-cidr-match-mode",
];

/// The key of it by which flows call the cluster: a name, not a word.
pub const CLUSTER: &str = "cluster-name";

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

/// What stands in the names of DaemonSets that may enforce policies, though none of those above: distributions name them their own way.
/// An agent that only watches the network has other names.
const MAYBE: &[&str] = &[
    "antrea",
    "calico",
    "canal",
    "cilium",
    "cni",
    "firewall",
    "netpol",
    "network-polic",
    "networkpolic",
    "npm",
    "nsx",
    "ovn",
    "ovs",
    "policy",
    "romana",
    "router",
    "weave",
];

/// What such a DaemonSet is called.
const UNKNOWN: &str = "another network";

/// A network's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    word: &'static str,
    enforces: Option<bool>,
    /// Minor version of Cilium 1.x, by its image.
    minor: Option<u32>,
}

/// What the cluster's own objects say about enforcement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// By namespace: anybody may call a ConfigMap so. `true`: read from the API, where somebody said that Cilium is.
    configs: BTreeMap<String, (BTreeMap<String, String>, bool)>,
    networks: BTreeMap<Key, Network>,
    /// Further DaemonSets may be there.
    partial: bool,
}

impl Settings {
    /// Takes in an object; `true` if it changes anything.
    pub(super) fn take(&mut self, doc: &Doc) -> bool {
        match doc.kind() {
            "ConfigMap" if doc.name() == CONFIG => {
                let config = (string_map(doc.root.get("data")), doc.live.is_some());
                self.configs.insert(doc.namespace().to_owned(), config.clone()) != Some(config)
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
            "ConfigMap" if name == CONFIG => self.configs.remove(namespace).is_some(),
            "DaemonSet" => self.networks.remove(&(namespace.to_owned(), name.to_owned())).is_some(),
            _ => false,
        }
    }

    /// Whether all DaemonSets are known.
    pub(super) fn complete(&mut self, complete: bool) {
        self.partial = !complete;
    }

    /// Cilium's own configuration: where its agents run, else where somebody said that Cilium is, else at its usual home.
    fn own(&self) -> Option<&BTreeMap<String, String>> {
        let agents = self.networks.iter().filter(|(_, n)| n.word == CILIUM).map(|((namespace, _), _)| namespace.as_str());
        let live = self.configs.iter().filter(|(_, (_, live))| *live).map(|(namespace, _)| namespace.as_str());
        // A manifest may leave the namespace to who applies it.
        let places = agents.chain(live).chain([HOME, ""]);
        places.filter_map(|namespace| self.configs.get(namespace)).map(|(config, _)| config).next()
    }

    /// A value of Cilium's configuration; its key is one of `READ`.
    pub fn config(&self, key: &str) -> Option<&str> {
        debug_assert!(READ.contains(&key), "{key} would be missing in redacted recordings");
        self.own()?.get(key).map(String::as_str)
    }

    /// By which name flows of this cluster call it.
    pub fn cluster(&self) -> Option<&str> {
        self.own()?.get(CLUSTER).map(String::as_str).filter(|name| !name.is_empty())
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
        if self.own().is_some() || self.networks.values().any(|n| n.word == CILIUM) {
            return Some(true);
        }
        // A DaemonSet that is still to come may be Cilium's, or one of another name.
        let known = !self.partial && self.networks.values().any(|n| n.word != UNKNOWN);
        known.then_some(false)
    }

    /// Whether other clusters may be joined to this one: only then it needs a number of its own.
    pub fn is_meshed(&self) -> bool {
        self.config("cluster-id").is_some_and(|id| id != "0")
    }

    /// Whether one of the networks is known to enforce NetworkPolicy.
    fn enforces(&self) -> bool {
        self.networks.values().any(|n| n.enforces == Some(true))
    }

    /// Minor version of Cilium 1.x, where its agents say it and all say the same.
    pub fn cilium_minor(&self) -> Option<u32> {
        let mut all = self.networks.values().filter(|n| n.word == CILIUM).map(|n| n.minor);
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    /// The network that enforces no policy, where no other is there to do it.
    pub fn unenforced(&self) -> Option<&'static str> {
        if self.partial || self.own().is_some() || self.networks.values().any(|n| n.enforces != Some(false)) {
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

impl World {
    /// What would tell whether policies are enforced at all, where it could not be read: a fact that is missing.
    pub fn enforcement_unread(&self) -> Option<String> {
        if self.settings.own().is_some() || self.settings.unenforced().is_some() {
            return None;
        }
        // Of all that there is none is known to enforce them.
        if self.lists("daemonsets") && !self.settings.enforces() {
            return Some(UNENFORCING.to_owned());
        }
        let cilium = self.settings.is_cilium();
        if cilium == Some(false) {
            return None;
        }
        // That its agents run is not yet how they are told to judge.
        let agents = if cilium.is_none() { self.unread("daemonsets", None) } else { None };
        self.unread("configmaps", None).or(agents)
    }
}

/// What nobody has said where no known network of the cluster is one that enforces policies in any case.
const UNENFORCING: &str = "network-policy-enforcement unknown";

/// What Cilium is called here.
const CILIUM: &str = "Cilium";

fn network(doc: &Doc) -> Option<Network> {
    let name = doc.name();
    let fits = |begin: &str| name.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with("-ds"));
    let Some((_, word, enforces)) = NETWORKS.iter().find(|(begin, _, _)| fits(begin)) else {
        // Cilium's proxies and its operator's helpers judge nothing by themselves.
        let maybe = MAYBE.iter().any(|part| name.contains(part)) && !name.starts_with("cilium-");
        return maybe.then_some(Network { word: UNKNOWN, enforces: None, minor: None });
    };
    let enforces = if *word == "aws-node" { aws(&doc.root) } else { *enforces };
    Some(Network { word, enforces, minor: if *word == CILIUM { minor(&doc.root) } else { None } })
}

fn containers(root: &Node) -> &[Node] {
    root.at(&["spec", "template", "spec", "containers"]).map(Node::seq).unwrap_or(&[])
}

/// Amazon's network enforces policies where its policy agent runs beside it and is told to.
fn aws(root: &Node) -> Option<bool> {
    let named = |name: &str| containers(root).iter().find(|c| c.get("name").and_then(Node::str) == Some(name));
    // Without its main container it is not the whole object, or one whose names were taken away.
    named("aws-node")?;
    let Some(agent) = named("aws-eks-nodeagent") else { return Some(false) };
    let args = agent.get("args").map(Node::seq).unwrap_or(&[]).iter().filter_map(Node::str);
    args.filter_map(|a| a.strip_prefix("--enable-network-policy=")).next().map(|v| v == "true")
}

/// `quay.io/cilium/cilium:v1.17.4@sha256:…` → 17; of an image without such a tag nothing.
fn minor(root: &Node) -> Option<u32> {
    let image = containers(root).iter().find(|c| c.get("name").and_then(Node::str) == Some("cilium-agent"))?.get("image")?.str()?;
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    let mut parts = tag.strip_prefix('v').unwrap_or(tag).split('.');
    if parts.next() != Some("1") {
        return None;
    }
    // `1.17-gke.3` is a version like any other.
    let digits: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
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
        assert_eq!(told(&["kube-flannel-ds", "acme-netpol-agent"]), (None, Some(false)), "who may enforce them, by its name");
        let mut s = of(&["kube-flannel-ds"]);
        s.complete(false);
        assert_eq!((s.unenforced(), s.is_cilium()), (None, None), "the list is not in yet");
    }

    #[test]
    fn a_cluster_without_a_network_that_enforces_is_not_known_to_enforce() {
        use crate::model::input::{Change, Kind, KindState};
        use crate::model::time::Nanos;
        let told = |names: &[&str]| {
            let mut w = World::new();
            let (group, kind) = ("apps".to_owned(), "DaemonSet".to_owned());
            let note = |w: &mut World, state, at| {
                let kind = Kind { group: group.clone(), kind: kind.clone(), state };
                w.apply_at(&Change::Kind(kind), Some(Nanos(at)));
            };
            note(&mut w, KindState::Loading, 1);
            for doc in names.iter().flat_map(|n| yaml::read("s.yaml", &daemon(n, "")).0) {
                w.apply_at(&Change::Apply(doc.into()), Some(Nanos(2)));
            }
            note(&mut w, KindState::Synced, 3);
            w.enforcement_unread()
        };
        let open = Some(UNENFORCING.to_owned());
        for names in [&["kube-proxy"][..], &["kindnet"], &["acme-netpol-agent", "kube-flannel-ds"], &[]] {
            assert_eq!(told(names), open, "{names:?}");
        }
        for names in [&["calico-node"][..], &["kindnet", "kube-network-policies"], &["kube-flannel-ds"], &["cilium"]] {
            assert_eq!(told(names), None, "{names:?}");
        }
    }

    #[test]
    fn amazons_network_enforces_if_its_agent_does() {
        let of = |containers: &str| {
            settings(&daemon("aws-node", &format!("spec: {{template: {{spec: {{containers: [{containers}]}}}}}}\n"))).unenforced()
        };
        assert_eq!(of("{name: aws-node}"), Some("aws-node"));
        assert_eq!(of("{name: renamed}"), None);
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

    #[test]
    fn another_namespaces_configuration_is_not_ciliums() {
        let config = |namespace: &str, policy: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: {namespace}}}\ndata: {{enable-policy: {policy}}}\n---\n"
            )
        };
        let agents = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: cilium, namespace: net}\n---\n";
        let told = |body: &str| settings(body).config("enable-policy").map(str::to_owned);
        assert_eq!(told(&config("shop", "never")), None, "anybody's");
        assert_eq!(told(&(config("shop", "never") + &config("kube-system", "always"))), Some("always".into()));
        assert_eq!(told(&(config("net", "default") + &config("kube-system", "always") + agents)), Some("default".into()));
        assert_eq!(told(&config("''", "default")), Some("default".into()));
    }

    #[test]
    fn ciliums_version_is_its_images() {
        let of = |image: &str| {
            let spec = format!("spec: {{template: {{spec: {{containers: [{{name: cilium-agent, image: '{image}'}}]}}}}}}\n");
            settings(&daemon("cilium", &spec)).cilium_minor()
        };
        assert_eq!(of("quay.io/cilium/cilium:v1.17.4@sha256:abc"), Some(17));
        assert_eq!((of("reg:5000/cilium:1.18-gke.3"), of("reg:5000/cilium:latest"), of("reg:5000/cilium")), (Some(18), None, None));
    }
}
