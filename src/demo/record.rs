//! One record, with every field as an agent of the 1.19 line fills it.
//!
//! Owns the fields. Must not decide what happens: `talk` says which records there are and when.
use super::cluster::{Actor, Cluster};
use super::rng::Rng;
use super::traffic::{Edge, Gate, Policy};
use crate::wire::pb::flow as pb;
use pb::{TraceObservationPoint as Point, TraceReason, TrafficDirection as Direction};

/// `Emitter.version`.
pub const VERSION: &str = "1.19.4+g2c1f0d3b";
/// Monitor event types.
const DROP: i32 = 1;
const TRACE: i32 = 4;
const VERDICT: i32 = 5;
const L7: i32 = 129;
/// Policy revision that the agents have realised.
const REVISION: u64 = 41;

/// Transport header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    Tcp(Flags),
    Udp,
    /// Echo request, or reply where the record is a reply.
    Ping,
}

/// The TCP flags that occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    Syn,
    SynAck,
    Ack,
    AckPsh,
    AckFin,
    AckRst,
    Rst,
}

impl Flags {
    fn bits(self) -> pb::TcpFlags {
        let none = pb::TcpFlags::default();
        match self {
            Self::Syn => pb::TcpFlags { syn: true, ..none },
            Self::SynAck => pb::TcpFlags { syn: true, ack: true, ..none },
            Self::Ack => pb::TcpFlags { ack: true, ..none },
            Self::AckPsh => pb::TcpFlags { ack: true, psh: true, ..none },
            Self::AckFin => pb::TcpFlags { ack: true, fin: true, ..none },
            Self::AckRst => pb::TcpFlags { ack: true, rst: true, ..none },
            Self::Rst => pb::TcpFlags { rst: true, ..none },
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Syn => "TCP Flags: SYN",
            Self::SynAck => "TCP Flags: SYN, ACK",
            Self::Ack => "TCP Flags: ACK",
            Self::AckPsh => "TCP Flags: ACK, PSH",
            Self::AckFin => "TCP Flags: ACK, FIN",
            Self::AckRst => "TCP Flags: ACK, RST",
            Self::Rst => "TCP Flags: RST",
        }
    }
}

/// Who talks in a conversation, and over which ports.
#[derive(Debug, Clone)]
pub struct Pair {
    pub src: Actor,
    pub dst: Actor,
    pub sport: u16,
    pub dport: u16,
    /// Of the proxy that the connection is sent to; 0 = none.
    pub proxy_port: u32,
}

/// A record without its time and uuid; those come when it is sent.
pub fn base(c: &Cluster, pair: &Pair, node: usize, packet: Packet, reply: bool) -> pb::Flow {
    let (from, to) = if reply { (&pair.dst, &pair.src) } else { (&pair.src, &pair.dst) };
    let (sport, dport) = if reply { (pair.dport, pair.sport) } else { (pair.sport, pair.dport) };
    let (source_port, destination_port) = (u32::from(sport), u32::from(dport));
    let (l4, summary) = match packet {
        Packet::Tcp(f) => (pb::layer4::Protocol::Tcp(pb::Tcp { source_port, destination_port, flags: Some(f.bits()) }), f.words()),
        Packet::Udp => (pb::layer4::Protocol::Udp(pb::Udp { source_port, destination_port }), "UDP"),
        Packet::Ping if reply => (pb::layer4::Protocol::IcmPv4(pb::IcmPv4 { r#type: 0, code: 0 }), "ICMPv4 EchoReply"),
        Packet::Ping => (pb::layer4::Protocol::IcmPv4(pb::IcmPv4 { r#type: 8, code: 0 }), "ICMPv4 EchoRequest"),
    };
    let at = c.nodes.get(node);
    #[expect(deprecated, reason = "agents still fill the old summary, and Hubble's own printer needs it")]
    pb::Flow {
        emitter: Some(pb::Emitter { name: "Hubble".to_owned(), version: VERSION.to_owned() }),
        verdict: pb::Verdict::Forwarded.into(),
        ethernet: ethernet(c, from, to, node),
        ip: Some(pb::Ip {
            source: c.ip(from).to_owned(),
            destination: c.ip(to).to_owned(),
            ip_version: pb::IpVersion::IPv4.into(),
            ..pb::Ip::default()
        }),
        l4: Some(pb::Layer4 { protocol: Some(l4) }),
        source: Some(c.endpoint(from, node)),
        destination: Some(c.endpoint(to, node)),
        r#type: pb::FlowType::L3L4.into(),
        node_name: at.map(|n| n.name.to_owned()).unwrap_or_default(),
        node_labels: at.map(|n| n.labels.clone()).unwrap_or_default(),
        source_names: c.names(from),
        destination_names: c.names(to),
        summary: summary.to_owned(),
        ..pb::Flow::default()
    }
}

fn ethernet(c: &Cluster, from: &Actor, to: &Actor, node: usize) -> Option<pb::Ethernet> {
    let here = |a: &Actor| if let Actor::Pod(i) = a { c.pods.get(*i).filter(|p| p.node == node) } else { None };
    let (source, destination) = match (here(from), here(to)) {
        (Some(p), _) => (p.mac.clone(), p.host_mac.clone()),
        (None, Some(p)) => (p.host_mac.clone(), p.mac.clone()),
        (None, None) => return None,
    };
    Some(pb::Ethernet { source, destination })
}

/// A trace record: the packet was seen at `point`.
pub fn trace(c: &Cluster, pair: &Pair, node: usize, packet: Packet, direction: Direction, point: Point, reason: TraceReason) -> pb::Flow {
    let reply = reason == TraceReason::Reply;
    let mut f = base(c, pair, node, packet, reply);
    // The datapath numbers "to endpoint" 0, the API 101.
    let sub_type = if point == Point::ToEndpoint { 0 } else { point.into() };
    f.event_type = Some(pb::CiliumEventType { r#type: TRACE, sub_type });
    f.traffic_direction = direction.into();
    f.trace_observation_point = point.into();
    f.trace_reason = reason.into();
    f.is_reply = Some(reply);
    #[expect(deprecated, reason = "agents still fill the old field beside the new one")]
    {
        f.reply = reply;
    }
    match point {
        Point::ToEndpoint => {
            let to = if reply { &pair.src } else { &pair.dst };
            if let Actor::Pod(i) = to
                && let Some(p) = c.pods.get(*i)
            {
                f.interface = Some(pb::NetworkInterface { index: p.interface.0, name: p.interface.1.clone() });
            }
        }
        Point::ToNetwork => f.interface = Some(pb::NetworkInterface { index: 2, name: "eth0".to_owned() }),
        Point::ToProxy => f.proxy_port = pair.proxy_port,
        _ => {}
    }
    f
}

/// A policy verdict on the first packet; `None` where the gate records none.
pub fn verdict(c: &Cluster, pair: &Pair, node: usize, packet: Packet, direction: Direction, gate: Gate) -> Option<pb::Flow> {
    let mut f = base(c, pair, node, packet, false);
    f.event_type = Some(pb::CiliumEventType { r#type: VERDICT, sub_type: 0 });
    f.traffic_direction = direction.into();
    f.is_reply = Some(false);
    let egress = direction == Direction::Egress;
    match gate {
        Gate::Open => return None,
        Gate::Any => {
            let label = if egress { "allow-any-egress" } else { "allow-any-ingress" };
            let by = pb::Policy {
                labels: vec![format!("reserved:io.cilium.policy.derived-from={label}")],
                revision: REVISION,
                ..pb::Policy::default()
            };
            f.policy_match_type = 4;
            if egress { f.egress_allowed_by = vec![by] } else { f.ingress_allowed_by = vec![by] }
        }
        Gate::Allow(p, m) | Gate::Redirect(p, m) => {
            f.policy_match_type = m as u32;
            if egress {
                f.egress_allowed_by = vec![named(p)]
            } else {
                f.ingress_allowed_by = vec![named(p)]
            }
            if matches!(gate, Gate::Redirect(..)) {
                f.verdict = pb::Verdict::Redirected.into();
                f.proxy_port = pair.proxy_port;
            }
        }
        Gate::Deny => refuse(&mut f, pb::DropReason::PolicyDenied),
        Gate::DenyRule(p, m) => {
            refuse(&mut f, pb::DropReason::PolicyDeny);
            f.policy_match_type = m as u32;
            if egress { f.egress_denied_by = vec![named(p)] } else { f.ingress_denied_by = vec![named(p)] }
        }
        Gate::Audit => f.verdict = pb::Verdict::Audit.into(),
    }
    Some(f)
}

/// The drop record that follows a denying verdict: it names neither the match nor a policy.
pub fn denied(c: &Cluster, pair: &Pair, node: usize, packet: Packet, direction: Direction, gate: Gate) -> Option<pb::Flow> {
    let reason = match gate {
        Gate::Deny => pb::DropReason::PolicyDenied,
        Gate::DenyRule(..) => pb::DropReason::PolicyDeny,
        _ => return None,
    };
    let mut f = base(c, pair, node, packet, false);
    dropped(&mut f, reason, direction);
    Some(f)
}

/// Makes a drop record of a packet.
pub fn dropped(f: &mut pb::Flow, reason: pb::DropReason, direction: Direction) {
    refuse(f, reason);
    f.event_type = Some(pb::CiliumEventType { r#type: DROP, sub_type: reason.into() });
    f.traffic_direction = direction.into();
    let (name, line) = match reason {
        pb::DropReason::PolicyDenied | pb::DropReason::PolicyDeny if direction == Direction::Ingress => ("bpf_lxc.c", 2_132),
        pb::DropReason::PolicyDenied | pb::DropReason::PolicyDeny => ("bpf_lxc.c", 1_389),
        pb::DropReason::InvalidSourceIp => ("bpf_lxc.c", 1_507),
        pb::DropReason::UnsupportedL3Protocol => ("bpf_host.c", 1_218),
        _ => ("bpf_lxc.c", 967),
    };
    f.file = Some(pb::FileInfo { name: name.to_owned(), line });
}

fn refuse(f: &mut pb::Flow, reason: pb::DropReason) {
    f.verdict = pb::Verdict::Dropped.into();
    // Whether a dropped packet was a reply, an agent cannot say.
    f.is_reply = None;
    f.drop_reason_desc = reason.into();
    #[expect(deprecated, reason = "agents still fill the old number beside the new enum")]
    {
        f.drop_reason = u32::try_from(i32::from(reason)).unwrap_or(0);
    }
}

/// A packet that is not IP: nothing but Ethernet.
pub fn not_ip(c: &Cluster, node: usize, rng: &mut Rng, reason: pb::DropReason) -> pb::Flow {
    let at = c.nodes.get(node);
    let mut f = pb::Flow {
        emitter: Some(pb::Emitter { name: "Hubble".to_owned(), version: VERSION.to_owned() }),
        ethernet: Some(pb::Ethernet { source: rng.mac(), destination: "01:80:c2:00:00:0e".to_owned() }),
        r#type: pb::FlowType::L3L4.into(),
        node_name: at.map(|n| n.name.to_owned()).unwrap_or_default(),
        node_labels: at.map(|n| n.labels.clone()).unwrap_or_default(),
        ..pb::Flow::default()
    };
    dropped(&mut f, reason, Direction::Unknown);
    f
}

/// A record of the proxy: no frame, no TCP flags; ends, ports and direction of the connection.
pub fn l7(c: &Cluster, pair: &Pair, node: usize, packet: Packet, direction: Direction, said: pb::Layer7, summary: String) -> pb::Flow {
    let reply = said.r#type == i32::from(pb::L7FlowType::Response);
    let mut f = base(c, pair, node, packet, reply);
    f.ethernet = None;
    if let Some(pb::Layer4 { protocol: Some(pb::layer4::Protocol::Tcp(t)) }) = &mut f.l4 {
        t.flags = None;
    }
    f.r#type = pb::FlowType::L7.into();
    f.event_type = Some(pb::CiliumEventType { r#type: L7, sub_type: 0 });
    f.traffic_direction = direction.into();
    f.is_reply = Some(reply);
    f.l7 = Some(said);
    #[expect(deprecated, reason = "agents still fill the old fields beside the new ones")]
    {
        f.reply = reply;
        f.summary = summary;
    }
    f
}

fn named(p: Policy) -> pb::Policy {
    let label = |k: &str, v: &str| format!("k8s:io.cilium.k8s.policy.{k}={v}");
    let mut labels = vec![label("derived-from", p.kind), label("name", p.name)];
    if !p.namespace.is_empty() {
        labels.push(label("namespace", p.namespace));
    }
    labels.push(label("uid", &Rng::fork(0, p.name).uuid()));
    pb::Policy { name: p.name.to_owned(), namespace: p.namespace.to_owned(), labels, revision: REVISION, kind: p.kind.to_owned() }
}

/// Whether the edge goes through the proxy at all, and its port then.
pub fn proxy_port(edge: &Edge) -> u32 {
    match (edge.egress, edge.ingress) {
        (Gate::Redirect(..), _) => 10_053,
        (_, Gate::Redirect(..)) => 11_324,
        _ => 0,
    }
}
