//! What a flow record says, in the terms that attribution needs: who, whom, how, and what the datapath did.
//!
//! Owned strings, because only drops (and what somebody asks about) come this far. Nothing here is derived.
use super::ids::Ruling;
use super::monitor;
use super::time::Nanos;
use std::net::IpAddr;

/// What the datapath did (`flow.Verdict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verdict {
    #[default]
    Unknown,
    Forwarded,
    Dropped,
    Error,
    Audit,
    Redirected,
    Traced,
    Translated,
    /// A number newer than our table.
    Other(i32),
}

impl Verdict {
    /// As the API counts them.
    pub fn number(self) -> i32 {
        match self {
            Self::Unknown => 0,
            Self::Forwarded => 1,
            Self::Dropped => 2,
            Self::Error => 3,
            Self::Audit => 4,
            Self::Redirected => 5,
            Self::Traced => 6,
            Self::Translated => 7,
            Self::Other(n) => n,
        }
    }
}

impl From<i32> for Verdict {
    fn from(n: i32) -> Self {
        match n {
            0 => Self::Unknown,
            1 => Self::Forwarded,
            2 => Self::Dropped,
            3 => Self::Error,
            4 => Self::Audit,
            5 => Self::Redirected,
            6 => Self::Traced,
            7 => Self::Translated,
            n => Self::Other(n),
        }
    }
}

/// Whose policy was asked (`flow.TrafficDirection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Direction {
    #[serde(rename = "EGRESS")]
    Egress,
    #[serde(rename = "INGRESS")]
    Ingress,
}

impl Direction {
    pub fn word(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum L4 {
    Tcp,
    Udp,
    Sctp,
    Icmp4,
    Icmp6,
    Vrrp,
    Igmp,
}

impl L4 {
    /// As policies spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp4 => "ICMP",
            Self::Icmp6 => "ICMPv6",
            Self::Vrrp => "VRRP",
            Self::Igmp => "IGMP",
        }
    }
}

/// What the proxy saw.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum L7 {
    /// `url` as reported (usually absolute); headers in order.
    Http {
        method: String,
        url: String,
        code: u32,
        headers: Vec<(String, String)>,
    },
    /// `query` with its trailing dot as reported. rcode 5 = REFUSED, 3 = NXDOMAIN.
    Dns {
        query: String,
        rcode: u32,
        ips: Vec<String>,
        cnames: Vec<String>,
        ttl: u32,
        qtypes: Vec<String>,
    },
    Kafka {
        topic: String,
        api_key: String,
        api_version: i32,
        error_code: i32,
    },
    Other,
}

/// One side of a flow. Empty strings and lists: not reported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Party {
    /// Whether the record has this endpoint at all.
    pub present: bool,
    pub ip: Option<IpAddr>,
    /// Numeric security identity; 0 = unknown.
    pub identity: u32,
    pub namespace: String,
    pub pod: String,
    /// `source:key=value`, as the agent reports them.
    pub labels: Vec<String>,
    /// (kind, name) of the owners.
    pub workloads: Vec<(String, String)>,
    /// DNS names the agent knows for the address.
    pub names: Vec<String>,
    /// (namespace, name) of the service behind the address.
    pub service: Option<(String, String)>,
    pub cluster: String,
}

impl Party {
    /// `ns/pod`, else a DNS name, else a reserved identity's name, else `ns/app=cart` by a label, else the address, else `?`.
    pub fn display(&self) -> String {
        if !self.pod.is_empty() {
            return if self.namespace.is_empty() { self.pod.clone() } else { format!("{}/{}", self.namespace, self.pod) };
        }
        if let Some(n) = self.names.first() {
            return n.clone();
        }
        let reserved = self.labels.iter().find_map(|l| l.strip_prefix("reserved:"));
        if let (None, Some(label)) = (reserved, self.telling_label()) {
            return if self.namespace.is_empty() { label } else { format!("{}/{label}", self.namespace) };
        }
        match (reserved, self.ip) {
            (Some(r), Some(ip)) if r.starts_with("world") => ip.to_string(),
            (Some(r), _) => r.to_owned(),
            (None, Some(ip)) => ip.to_string(),
            (None, None) => "?".to_owned(),
        }
    }
}

impl Party {
    /// The label that says most about what it is, `app=cart`.
    fn telling_label(&self) -> Option<String> {
        let plain = |l: &String| l.split_once(':').map_or(l.clone(), |(_, rest)| rest.to_owned());
        let labels: Vec<String> =
            self.labels.iter().filter(|l| !l.contains("io.cilium.k8s") && !l.contains("io.kubernetes.pod")).map(plain).collect();
        let keys = ["app.kubernetes.io/name=", "app=", "k8s-app=", "name=", ""];
        keys.iter().find_map(|k| labels.iter().find(|l| l.starts_with(k)).cloned())
    }
}

/// A policy that the agent itself names (`flow.Policy`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// What the agent itself says about the cause; kept apart from what we derive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Reported {
    pub egress_denied: Vec<Named>,
    pub ingress_denied: Vec<Named>,
    pub egress_allowed: Vec<Named>,
    pub ingress_allowed: Vec<Named>,
    pub log: Vec<String>,
    /// Of those that it says more of.
    pub told: Vec<Told>,
    /// Why the number that it gives in place of a name names nobody; empty if it does, or if there is none.
    pub unnamed: String,
}

/// What an agent says of a policy beyond its name, in labels that agents other than Cilium set: `rule-index=3`, `rule-name=…`, `tier=…`,
/// `policy-uid=…`, `policy-generation=…`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, serde::Serialize)]
pub struct Told {
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_index: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tier: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The name is not the agent's: it gave numbers, and its dictionary the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// Numbers that stood in place of a policy's name, and of its rule; 0: of no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Numbers {
    pub policy: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub rule: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(rule: &u64) -> bool {
    *rule == 0
}

impl Told {
    /// Takes in a label; `false` if it says nothing that is known here.
    pub fn label(&mut self, label: &str) -> bool {
        let Some((key, value)) = label.split_once('=') else { return false };
        match key {
            "rule-index" => self.rule_index = value.parse().ok(),
            "rule-name" => value.clone_into(&mut self.rule_name),
            "tier" => value.clone_into(&mut self.tier),
            "policy-uid" => value.clone_into(&mut self.uid),
            "policy-generation" => self.generation = value.parse().ok(),
            _ => return false,
        }
        true
    }

    /// `rule 3 (allow-dns), generation 2, by its number 7`.
    pub fn words(&self) -> String {
        let rule = match (self.rule_index, self.rule_name.as_str()) {
            (Some(n), "") => format!("rule {n}"),
            (Some(n), name) => format!("rule {n} ({name})"),
            (None, "") => String::new(),
            (None, name) => format!("rule {name}"),
        };
        let tier = if self.tier.is_empty() { String::new() } else { format!("tier {}", self.tier) };
        let generation = self.generation.map(|n| format!("generation {n}")).unwrap_or_default();
        let number = self.numbers.map(|n| format!("by its number {}", n.policy)).unwrap_or_default();
        [rule, tier, generation, number].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Whose policy a packet has passed that was seen at this point of the datapath (the sub-type of a trace event). The direction of a record
/// is the connection's as its node sees it: what was handed to its receiver has passed that one's policy, too, and what goes to the
/// network or comes from there has passed none but the sender's.
pub fn reached(direction: Option<Direction>, point: Option<i32>, reply: Option<bool>) -> Option<Direction> {
    match (direction, point) {
        (Some(Direction::Egress), Some(monitor::TO_ENDPOINT)) if reply == Some(false) => Some(Direction::Ingress),
        (None, Some(point)) if point > monitor::TO_HOST => Some(Direction::Egress),
        (said, _) => said,
    }
}

/// Emitter of records made by Retina, which names itself only by how it fills them.
pub const RETINA: &str = "retina";

/// One flow record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Observed {
    pub at: Option<Nanos>,
    pub node: String,
    pub verdict: Verdict,
    /// Drop reason number: `drop_reason_desc`, else the old `drop_reason`, else a drop event's sub-type. 0 = none given.
    pub drop_reason: u32,
    /// Monitor event type and sub-type (1 drop, 4 trace, 5 policy verdict, 129 L7); `None` = not reported.
    pub event: Option<(i32, i32)>,
    /// `None`: unknown or not reported.
    pub direction: Option<Direction>,
    pub is_reply: Option<bool>,
    pub l4: Option<L4>,
    /// 0 = none.
    pub src_port: u16,
    pub dst_port: u16,
    /// (type, code).
    pub icmp: Option<(u8, u8)>,
    /// Whether TCP flags were reported, and SYN without ACK is set: the first packet of a connection.
    pub syn: Option<bool>,
    /// SYN and ACK are both set: an answer, even where `is_reply` is not said.
    pub syn_ack: bool,
    pub src: Party,
    pub dst: Party,
    pub l7: Option<L7>,
    /// The L7 record is a response, not a request.
    pub l7_response: bool,
    pub auth_type: i32,
    /// The program that made the record (`flow.Emitter.name`), empty on older agents.
    pub emitter: String,
    pub reported: Reported,
    /// Numbers in place of the name of the policy that decided.
    pub ruling: Option<Ruling>,
}

impl Observed {
    /// Whether it answers the one who began: as the agent says, else as the flags of TCP show.
    pub fn reply(&self) -> Option<bool> {
        self.is_reply.or(self.syn_ack.then_some(true))
    }

    /// Retina made the record: it sees what netfilter drops, whoever's rule that was.
    pub fn of_retina(&self) -> bool {
        self.emitter.eq_ignore_ascii_case(RETINA)
    }

    /// Whose policy was asked, where the record can be trusted with it: Retina calls every drop ingress.
    pub fn side(&self) -> Option<Direction> {
        self.direction.filter(|_| !(self.of_retina() && self.verdict == Verdict::Dropped))
    }

    /// Whose policy it has passed, if it was let pass.
    pub fn reached(&self) -> Option<Direction> {
        let point = self.event.filter(|(kind, _)| *kind == monitor::TRACE).map(|(_, point)| point);
        reached(self.side(), point, self.is_reply)
    }
}
