//! The one form that every kind of policy is compiled into. Owns shapes; every condition knows its line.
use super::lazy::Lazy;
use super::selector::Selector;
use crate::model::doc::{Doc, Node, Text};
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use ipnet::IpNet;
use std::sync::Arc;

/// One compiled object.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Without `rule`.
    pub id: PolicyRef,
    /// The object as written: what lints read and suggestions edit.
    pub doc: Arc<Doc>,
    pub text: Arc<Text>,
    /// First and last line of the object.
    pub lines: (u32, u32),
    pub tier: Tier,
    /// Within the tiers that decide by first match: lower goes first.
    pub priority: u32,
    pub sections: Vec<Section>,
}

/// Where a policy stands among the others; how a tier decides and in which order they are asked is data of the engine (`eval`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// AdminNetworkPolicy, ClusterNetworkPolicy of tier Admin.
    Admin,
    /// NetworkPolicy and Cilium's policies.
    Normal,
    /// BaselineAdminNetworkPolicy, ClusterNetworkPolicy of tier Baseline.
    Baseline,
}

/// What one policy says for one direction (of one of its `specs`).
#[derive(Debug, Clone)]
pub struct Section {
    pub direction: Direction,
    pub subject: Subject,
    /// Whether selecting a subject isolates it.
    pub default_deny: bool,
    /// `policyTypes` names this direction; if not, only Cilium enforces it.
    pub declared: bool,
    pub rules: Vec<Rule>,
    /// The line of the section's key, or of `policyTypes`, or of the object.
    pub line: u32,
}

#[derive(Debug, Clone)]
pub enum Subject {
    Endpoints(Selector),
    /// Host firewall.
    Nodes(Selector),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Allow,
    Deny,
    /// On to the next tier; only where tiers decide by first match.
    Pass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Disabled,
    Required,
    AlwaysFail,
}

/// One list item under `ingress`, `egress`, `ingressDeny`, `egressDeny`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `ingress[0]`, `specs[1].egressDeny[0]`.
    pub id: String,
    /// What its author calls it, where the kind gives rules names.
    pub name: Option<String>,
    pub action: Action,
    pub peers: Peers,
    pub ports: Ports,
    pub auth: Option<Auth>,
    /// `fromRequires`, `toRequires`: what every selector of a peer, of whatever rule for the same subject and action, has to meet too.
    pub requires: Vec<Selector>,
    pub lines: (u32, u32),
}

#[derive(Debug, Clone)]
pub enum Peers {
    /// No peer condition.
    Any,
    /// Any of these; none of an empty list.
    Of(Vec<Peer>),
}

#[derive(Debug, Clone)]
pub struct Peer {
    /// `from[0]` where the kind counts peers as rules of their own, else empty.
    pub id: String,
    pub is: PeerIs,
    pub lines: (u32, u32),
}

#[derive(Debug, Clone)]
pub enum PeerIs {
    Endpoints(Selector),
    Cidr {
        net: IpNet,
        except: Vec<IpNet>,
    },
    CidrGroup {
        name: String,
        except: Vec<IpNet>,
    },
    CidrGroups {
        selector: Selector,
        except: Vec<IpNet>,
    },
    Entity(String),
    Fqdn(Pattern),
    Service {
        /// `None`: of whatever namespace.
        namespace: Option<String>,
        name: String,
    },
    Services {
        namespace: Option<String>,
        selector: Selector,
    },
    Nodes(Selector),
    /// Cloud provider groups: their addresses are not in any manifest.
    Groups,
    /// Of a rule whose action no peer of this kind is defined for; what would be missing.
    Undefined(&'static str),
}

/// `matchName` or `matchPattern`.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    pub regex: Lazy,
}

#[derive(Debug, Clone)]
pub enum Ports {
    /// No port condition: every protocol.
    Any,
    /// Neither peer nor port in a Cilium rule: it isolates and allows nothing.
    Nothing,
    Of(Vec<PortRule>),
    Icmp(Vec<IcmpField>),
}

#[derive(Debug, Clone)]
pub struct PortRule {
    pub ports: Vec<Port>,
    pub l7: Option<L7Rules>,
    /// `serverNames`: TLS SNI; empty: any.
    pub server_names: Vec<Pattern>,
    pub lines: (u32, u32),
}

#[derive(Debug, Clone)]
pub struct Port {
    pub protocol: Protocol,
    pub port: PortIs,
    pub line: u32,
    /// Line of `protocol`, if it is written.
    pub protocol_line: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP, UDP, SCTP.
    Any,
    One(L4),
    /// A protocol no flow record can name (GRE, ESP, …).
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortIs {
    All,
    Range(u16, u16),
    Named(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpField {
    pub v6: bool,
    pub kind: u8,
    pub line: u32,
}

#[derive(Debug, Clone)]
pub enum L7Rules {
    Http(Vec<HttpRule>),
    Dns(Vec<DnsRule>),
    Kafka(Vec<KafkaRule>),
    /// A parser of its own (`l7proto`), whose rules nobody but it can read.
    Other(String),
}

#[derive(Debug, Clone)]
pub struct HttpRule {
    /// `http[0]`.
    pub id: String,
    pub method: Option<Matcher>,
    pub path: Option<Matcher>,
    pub host: Option<Matcher>,
    pub headers: Vec<Header>,
    pub lines: (u32, u32),
}

/// A regular expression that has to match as a whole.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub text: String,
    pub regex: Lazy,
    pub line: u32,
}

#[derive(Debug, Clone)]
pub struct Header {
    pub name: String,
    /// `None`: present is enough.
    pub value: Option<String>,
    pub line: u32,
}

#[derive(Debug, Clone)]
pub struct DnsRule {
    /// `dns[0]`.
    pub id: String,
    pub pattern: Pattern,
    pub line: u32,
}

/// Empty fields are no condition.
#[derive(Debug, Clone)]
pub struct KafkaRule {
    /// `kafka[0]`.
    pub id: String,
    /// The requests that a role stands for, or the one of `apiKey`; by number.
    pub keys: Vec<i16>,
    /// The role or key as written.
    pub key: String,
    pub topic: Option<String>,
    pub client: Option<String>,
    pub version: Option<i32>,
    pub lines: (u32, u32),
}

impl Policy {
    /// Reference to one of its rules.
    pub fn rule(&self, rule: &str) -> PolicyRef {
        PolicyRef { rule: Some(rule.to_owned()), ..self.id.clone() }
    }

    /// Whether a reference is to this object, whatever its rule.
    pub fn is(&self, r: &PolicyRef) -> bool {
        r.kind == self.id.kind && r.namespace == self.id.namespace && r.name == self.id.name
    }

    /// Whether a reference is to this rule of it.
    pub fn means(&self, r: &PolicyRef, rule: &Rule) -> bool {
        self.is(r) && r.rule.as_deref().and_then(|id| self.find_rule(id)).is_some_and(|found| std::ptr::eq(found, rule))
    }

    /// The node that a rule's id and what follows it name: `ingress[0].toPorts[1]`, `specs[1].egressDeny[0]`.
    pub fn node(&self, path: &str) -> Option<&Node> {
        let root = &self.doc.root;
        let base = if path.starts_with("specs[") { root } else { root.get("spec")? };
        path.split('.').filter(|s| !s.is_empty()).try_fold(base, |node, segment| match segment.split_once('[') {
            None => node.get(segment),
            Some((key, index)) => node.get(key)?.seq().get(index.strip_suffix(']')?.parse::<usize>().ok()?),
        })
    }

    /// The rule that a reference means (`ingress[0].from[1]` is of `ingress[0]`).
    pub fn find_rule(&self, reference: &str) -> Option<&Rule> {
        let of = |r: &&Rule| reference.strip_prefix(r.id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.sections.iter().flat_map(|s| &s.rules).find(of)
    }

    pub fn rules(&self) -> usize {
        self.sections.iter().map(|s| s.rules.len()).sum()
    }
}
