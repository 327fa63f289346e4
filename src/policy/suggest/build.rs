//! New rules and policies out of conversations. Owns how a peer is named, and which kind of policy can say it; judges nothing.
use super::labels::{self, Crowd, Pairs};
use crate::model::observed::{Direction, L4};
use crate::policy::eval::Traffic;
use crate::policy::{Engine, Options};
use crate::world::Endpoint;
use crate::world::labels::{METADATA_NAME, POD_NAMESPACE, SERVICE_ACCOUNT};
use crate::world::tree::{Tree, map, text};
use ipnet::IpNet;

/// Which kind of object says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    NetworkPolicy,
    Cilium,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Cilium => "CiliumNetworkPolicy",
        }
    }
}

/// A peer as a rule names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    Pod { namespace: String, labels: Pairs },
    Fqdn(String),
    Address(IpNet),
    Entity(&'static str),
}

/// A port, or an ICMP type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    Port { proto: &'static str, port: u16 },
    Icmp { v6: bool, kind: u8 },
}

impl What {
    pub const DNS: [Self; 2] = [Self::Port { proto: "UDP", port: 53 }, Self::Port { proto: "TCP", port: 53 }];

    /// `None`: no rule can say it (port or type unknown, another protocol).
    pub fn of(t: &Traffic) -> Option<Self> {
        match (t.l4?, t.port, t.icmp) {
            (l4 @ (L4::Tcp | L4::Udp | L4::Sctp), Some(port), _) => Some(Self::Port { proto: l4.word(), port }),
            (l4 @ (L4::Icmp4 | L4::Icmp6), _, Some(kind)) => Some(Self::Icmp { v6: l4 == L4::Icmp6, kind }),
            _ => None,
        }
    }

    /// `TCP/5433`, `ICMP type 8`.
    pub fn words(&self) -> String {
        match self {
            Self::Port { proto, port } => format!("{proto}/{port}"),
            Self::Icmp { v6, kind } => format!("{} type {kind}", if *v6 { "ICMPv6" } else { "ICMP" }),
        }
    }
}

const ENTITIES: &[&str] = &["kube-apiserver", "host", "remote-node", "ingress", "health", "unmanaged", "init"];

/// How a rule should name this peer: a pod by labels that stay, the world by a name that DNS gave, else by its one address. `Err` says
/// in words why it cannot be named.
pub fn who(direction: Direction, peer: &Endpoint, crowd: &Crowd, opt: &Options) -> Result<Who, String> {
    if peer.host_network {
        return Err(format!("{} is on its node's network, which no label selects", peer.display));
    }
    if let Some(namespace) = peer.labels.namespace() {
        let mut labels = labels::telling(peer, crowd);
        if labels.is_empty()
            && opt.engine == Engine::Cilium
            && let Some(account) = labels::account(peer)
        {
            labels.push((SERVICE_ACCOUNT.to_owned(), account.to_owned()));
        }
        if labels.is_empty() {
            return Err(format!("{} has no label that stays, and its whole namespace would be too much", peer.display));
        }
        return Ok(Who::Pod { namespace: namespace.to_owned(), labels });
    }
    if let Some(entity) = ENTITIES.iter().find(|e| peer.labels.reserved(e)) {
        return match opt.engine {
            Engine::Cilium => Ok(Who::Entity(entity)),
            Engine::Kubernetes => Err(format!("a NetworkPolicy cannot name {entity}")),
        };
    }
    if !peer.known || !peer.labels.is_world() {
        return Err(format!("nothing is known of {}", peer.display));
    }
    // No rule lets in by name.
    let name = peer.names.first().filter(|_| direction == Direction::Egress);
    match (name, opt.engine, peer.ip) {
        (Some(name), Engine::Cilium, _) => Ok(Who::Fqdn(name.clone())),
        (Some(name), Engine::Kubernetes, _) => {
            let is = if peer.display == *name { String::new() } else { format!("{} is {name}, and ", peer.display) };
            Err(format!("{is}a NetworkPolicy cannot name hosts: its address may change with every answer"))
        }
        (None, _, Some(ip)) => Ok(Who::Address(IpNet::from(ip))),
        (None, _, None) => Err(format!("the address of {} is not known", peer.display)),
    }
}

impl Who {
    /// `app=cart`, `kube-system k8s-app=kube-dns`, `api.stripe.com`, `1.2.3.4/32`, `host`.
    pub fn words(&self, own: Option<&str>) -> String {
        match self {
            Self::Pod { namespace, labels } => {
                let all: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                if own == Some(namespace.as_str()) { all.join(",") } else { format!("{} of namespace {namespace}", all.join(",")) }
            }
            Self::Fqdn(n) => n.clone(),
            Self::Address(n) => n.to_string(),
            Self::Entity(e) => (*e).to_owned(),
        }
    }

    /// A word for the name of a policy.
    fn short(&self) -> String {
        match self {
            Self::Pod { labels, .. } => labels.first().map_or_else(|| "pods".to_owned(), |(_, v)| v.clone()),
            Self::Fqdn(n) => n.clone(),
            Self::Address(n) => n.addr().to_string(),
            Self::Entity(e) => (*e).to_owned(),
        }
    }

    /// The list of a Cilium rule where it stands (`Endpoints`, to follow `from` or `to`), and the item.
    pub fn cilium(&self, own: Option<&str>) -> (&'static str, Tree) {
        match self {
            Self::Pod { namespace, labels } => {
                let mut all: Vec<(String, Tree)> = Vec::new();
                if own != Some(namespace.as_str()) {
                    all.push((format!("k8s:{POD_NAMESPACE}"), text(namespace)));
                }
                all.extend(labels.iter().map(|(k, v)| (k.clone(), text(v))));
                ("Endpoints", map([("matchLabels", Tree::Map(all))]))
            }
            Self::Fqdn(n) => ("FQDNs", map([("matchName", text(n))])),
            Self::Address(n) => ("CIDR", text(n.to_string())),
            Self::Entity(e) => ("Entities", text(*e)),
        }
    }

    /// The item of `from` or `to` of a NetworkPolicy; `None` where it cannot say that.
    pub fn kubernetes(&self, own: &str) -> Option<Tree> {
        match self {
            // A NetworkPolicy has no account labels.
            Self::Pod { labels, .. } if labels.iter().any(|(k, _)| k == SERVICE_ACCOUNT) => None,
            Self::Pod { namespace, labels } => {
                let pods = ("podSelector", map([("matchLabels", pairs(labels))]));
                Some(if namespace == own {
                    map([pods])
                } else {
                    map([("namespaceSelector", map([("matchLabels", map([(METADATA_NAME, text(namespace))]))])), pods])
                })
            }
            Self::Address(n) => Some(map([("ipBlock", map([("cidr", text(n.to_string()))]))])),
            Self::Fqdn(_) | Self::Entity(_) => None,
        }
    }
}

fn pairs(labels: &[(String, String)]) -> Tree {
    Tree::Map(labels.iter().map(|(k, v)| (k.clone(), text(v))).collect())
}

/// The item of a list of ports; `None` where this kind of policy cannot say it.
pub fn port(kind: Kind, what: What) -> Option<Tree> {
    let What::Port { proto, port } = what else { return None };
    Some(match kind {
        Kind::NetworkPolicy => map([("protocol", text(proto)), ("port", Tree::Int(i64::from(port)))]),
        Kind::Cilium => map([("port", text(port.to_string())), ("protocol", text(proto))]),
    })
}

/// One rule: these peers on these ports. `own` is the namespace that the policy stands in. `None` where one rule of this kind cannot
/// say it: peers of several sorts, ICMP beside ports, a name or an entity in a NetworkPolicy.
pub fn rule(kind: Kind, direction: Direction, own: Option<&str>, peers: &[Who], ports: &[What]) -> Option<Tree> {
    let side = if direction == Direction::Ingress { "from" } else { "to" };
    let of_ports = || ports.iter().map(|w| port(kind, *w)).collect::<Option<Vec<Tree>>>();
    if kind == Kind::NetworkPolicy {
        let items: Vec<Tree> = peers.iter().map(|p| p.kubernetes(own.unwrap_or_default())).collect::<Option<_>>()?;
        return Some(map([(side, Tree::Seq(items)), ("ports", Tree::Seq(of_ports()?))]));
    }
    let items: Vec<(&str, Tree)> = peers.iter().map(|p| p.cilium(own)).collect();
    let (list, _) = items.first()?;
    // `toFQDNs` is for egress, and two sorts of peers in one rule void the policy.
    if items.iter().any(|(l, _)| l != list) || (*list == "FQDNs" && direction == Direction::Ingress) {
        return None;
    }
    let list = format!("{side}{list}");
    let peers = Tree::Seq(items.into_iter().map(|(_, t)| t).collect());
    let icmp = |w: &What| match w {
        What::Icmp { v6, kind } => Some(map([("family", text(if *v6 { "IPv6" } else { "IPv4" })), ("type", Tree::Int(i64::from(*kind)))])),
        What::Port { .. } => None,
    };
    let fields: Vec<Tree> = ports.iter().filter_map(icmp).collect();
    let how = if fields.is_empty() {
        ("toPorts", Tree::Seq(vec![map([("ports", Tree::Seq(of_ports()?))])]))
    } else if fields.len() == ports.len() {
        ("icmps", Tree::Seq(vec![map([("fields", Tree::Seq(fields))])]))
    } else {
        return None;
    };
    Some(map([(list.as_str(), peers), how]))
}

/// The rule that lets the agent learn addresses: these names may be asked for at this server.
pub fn dns_rule(own: Option<&str>, server: &Who, names: &[String]) -> Tree {
    let (list, item) = server.cilium(own);
    let ports = Tree::Seq(vec![map([("port", text("53")), ("protocol", text("ANY"))])]);
    let names = Tree::Seq(names.iter().map(|n| map([("matchName", text(n))])).collect());
    map([
        (format!("to{list}").as_str(), Tree::Seq(vec![item])),
        ("toPorts", Tree::Seq(vec![map([("ports", ports), ("rules", map([("dns", names)]))])])),
    ])
}

/// A policy that does not exist yet.
#[derive(Debug, Clone, PartialEq)]
pub struct New {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// Whom it selects; empty: every pod of the namespace.
    pub subject: Pairs,
    pub direction: Direction,
    pub rules: Vec<Tree>,
    /// Whether whom it selects is isolated by it. Only Cilium has policies that only allow.
    pub isolates: bool,
}

impl New {
    pub fn tree(&self) -> Tree {
        let (key, word) = match self.direction {
            Direction::Ingress => ("ingress", "Ingress"),
            Direction::Egress => ("egress", "Egress"),
        };
        let selector = if self.subject.is_empty() { Tree::Map(Vec::new()) } else { map([("matchLabels", pairs(&self.subject))]) };
        let metadata = map([("name", text(&self.name)), ("namespace", text(&self.namespace))]);
        let rules = (key, Tree::Seq(self.rules.clone()));
        let (version, spec) = match (self.kind, self.isolates) {
            (Kind::NetworkPolicy, _) => {
                ("networking.k8s.io/v1", map([("podSelector", selector), ("policyTypes", Tree::Seq(vec![text(word)])), rules]))
            }
            (Kind::Cilium, true) => ("cilium.io/v2", map([("endpointSelector", selector), rules])),
            (Kind::Cilium, false) => {
                ("cilium.io/v2", map([("endpointSelector", selector), ("enableDefaultDeny", map([(key, Tree::Bool(false))])), rules]))
            }
        };
        map([("apiVersion", text(version)), ("kind", text(self.kind.word())), ("metadata", metadata), ("spec", spec)])
    }

    /// As a file.
    pub fn yaml(&self) -> String {
        self.tree().document(crate::world::tree::Style::default())
    }
}

/// `db-allow-from-cart`, `cart-allow-to-api.stripe.com`: a name that objects may have, and that says what it is for.
pub fn name(direction: Direction, subject: &Who, peer: &Who, taken: &dyn Fn(&str) -> bool) -> String {
    let word = if direction == Direction::Ingress { "from" } else { "to" };
    free(&format!("{}-allow-{word}-{}", subject.short(), peer.short()), taken)
}

/// The name as objects may have it, and with a number behind it if another has it already.
pub fn free(wanted: &str, taken: &dyn Fn(&str) -> bool) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = wanted.chars().map(legal).take(240).collect();
    let name = name.trim_matches(['-', '.']).replace("..", ".").replace(".-", "-").replace("-.", "-");
    let mut out = name.clone();
    let mut n = 2;
    while taken(&out) {
        out = format!("{name}-{n}");
        n += 1;
    }
    out
}
