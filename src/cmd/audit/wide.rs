//! Rules that admit everybody: no `from`, no `to`, the whole world, every pod of every namespace.
//!
//! Owns how wide a rule is, and asks the evaluator whether it opens anything: what another policy denies is not open.
use super::isolation::{Judge, namespace_of};
use super::report::{Finding, Place, Severity, State};
use super::words;
use crate::model::observed::Direction;
use crate::policy::PolicySet;
use crate::policy::eval::{Decision, Traffic, judge, selects};
use crate::policy::ir::{Action, Peer, PeerIs, Peers, Policy, PortIs, PortRule, Ports, Protocol, Rule, Section};
use crate::policy::selector::{Op, Selector, Tri};
use crate::world::labels::POD_NAMESPACE;
use crate::world::{Endpoint, Label, Labels};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// A prefix this short is no network of anybody's: `0.0.0.0/0`, and its halves and quarters.
const WIDE: u8 = 7;
/// So many ports in one range are as good as all.
const MANY_PORTS: u16 = 60_000;

/// Whom a rule lets in besides those whom somebody named; the widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Everybody,
    World,
    /// Every pod of every namespace.
    Cluster,
}

impl Width {
    fn words(self) -> &'static str {
        match self {
            Self::Everybody => "everybody, inside and outside of the cluster",
            Self::World => "the whole world outside of the cluster",
            Self::Cluster => "every pod of every namespace",
        }
    }
}

fn of_peer(p: &Peer) -> Option<Width> {
    match &p.is {
        PeerIs::Entity(e) if e == "all" => Some(Width::Everybody),
        PeerIs::Entity(e) if matches!(e.as_str(), "world" | "world-ipv4" | "world-ipv6") => Some(Width::World),
        PeerIs::Entity(e) if e == "cluster" => Some(Width::Cluster),
        PeerIs::Cidr { net, .. } if net.prefix_len() <= WIDE => Some(Width::World),
        PeerIs::Endpoints(s) if any_pod(s) => Some(Width::Cluster),
        _ => None,
    }
}

/// Whether a selector names no condition but that it is a pod.
fn any_pod(s: &Selector) -> bool {
    s.all.iter().all(|r| r.implied && r.key == POD_NAMESPACE && r.op == Op::Exists)
}

/// How wide a rule is, and the line that makes it so.
fn of_rule(r: &Rule) -> Option<(Width, u32)> {
    match &r.peers {
        Peers::Any => Some((Width::Everybody, r.lines.0)),
        Peers::Of(list) => list.iter().filter_map(|p| Some((of_peer(p)?, p.lines.0))).min(),
    }
}

/// The ports of a rule in words; `None`: all of them.
fn of_ports(ports: &Ports) -> Option<String> {
    let Ports::Of(list) = ports else { return None };
    let mut out = Vec::new();
    for p in list.iter().flat_map(|l| &l.ports) {
        let protocol = match p.protocol {
            Protocol::Any => "",
            Protocol::One(l4) => l4.word(),
            Protocol::Other => "another protocol",
        };
        out.push(match &p.port {
            PortIs::All if p.protocol == Protocol::Any => return None,
            PortIs::All => format!("every {protocol} port"),
            PortIs::Range(a, b) if b.saturating_sub(*a) >= MANY_PORTS => format!("nearly every {protocol} port"),
            PortIs::Range(a, b) if a == b => words::port(*a, protocol),
            PortIs::Range(a, b) => format!("{a}-{}", words::port(*b, protocol)),
            PortIs::Named(n) => format!("port `{n}`"),
        });
    }
    out.sort();
    out.dedup();
    Some(words::list(&out, 4))
}

fn has_l7(ports: &Ports) -> bool {
    let asks = |p: &PortRule| p.l7.is_some() || !p.server_names.is_empty();
    matches!(ports, Ports::Of(list) if list.iter().all(asks))
}

/// Whether every port of some protocol is open.
fn all_ports(ports: &Ports) -> bool {
    let many = |p: &PortIs| match p {
        PortIs::All => true,
        PortIs::Range(a, b) => b.saturating_sub(*a) >= MANY_PORTS,
        PortIs::Named(_) => false,
    };
    match ports {
        Ports::Any => true,
        Ports::Of(list) => list.iter().any(|l| l.l7.is_none() && l.server_names.is_empty() && l.ports.iter().any(|p| many(&p.port))),
        Ports::Nothing | Ports::Icmp(_) => false,
    }
}

/// A subject that a policy may select: a group's pod, what it is called, and whether it is closed by (ingress, egress).
pub struct Candidate<'a> {
    pub endpoint: &'a Endpoint,
    pub called: Vec<String>,
    pub ingress: State,
    pub egress: State,
}

/// Every rule that opens a closed pod to whoever comes.
pub fn findings(judge: &Judge<'_>, candidates: &[Candidate<'_>]) -> Vec<Finding> {
    let mut out = Vec::new();
    for policy in judge.set.iter() {
        for section in &policy.sections {
            for rule in section.rules.iter().filter(|r| r.action == Action::Allow) {
                let Some((width, line)) = of_rule(rule) else { continue };
                if !matches!(rule.ports, Ports::Any | Ports::Of(_)) {
                    continue;
                }
                out.extend(finding(judge, candidates, policy, section, rule, (width, line)));
            }
        }
    }
    out
}

fn finding(
    ctx: &Judge<'_>,
    candidates: &[Candidate<'_>],
    policy: &Policy,
    section: &Section,
    rule: &Rule,
    (width, line): (Width, u32),
) -> Option<Finding> {
    let direction = section.direction;
    let peer = if width == Width::Cluster { &ctx.stranger } else { &ctx.outsider };
    let mut opened: Vec<String> = Vec::new();
    let only = namespace_of(section);
    for c in candidates.iter().filter(|c| only.is_none_or(|ns| c.endpoint.namespace == ns)) {
        let state = if direction == Direction::Ingress { c.ingress } else { c.egress };
        let none = Traffic::default();
        // What is open as a whole has a finding of its own.
        let selected =
            state == State::Closed && selects(section, &ctx.case(direction, c.endpoint, peer, &none), &mut Vec::new()) == Tri::Yes;
        if selected && probes(ctx, rule, c.endpoint).iter().any(|t| opens(ctx, direction, c.endpoint, peer, t)) {
            opened.extend(c.called.iter().cloned());
        }
    }
    if opened.is_empty() {
        return None;
    }
    opened.sort();
    opened.dedup();
    let (all, l7) = (all_ports(&rule.ports), has_l7(&rule.ports));
    let (id, word) = match width {
        Width::Cluster => ("any-pod", if direction == Direction::Ingress { "from" } else { "to" }),
        Width::Everybody if matches!(rule.peers, Peers::Any) => ("any-peer", if direction == Direction::Ingress { "from" } else { "to" }),
        Width::Everybody | Width::World => ("open-to-world", if direction == Direction::Ingress { "from" } else { "to" }),
    };
    let mine = policy.id.namespace.as_deref().is_some_and(words::of_the_cluster);
    let severity = if all && !l7 && width != Width::Cluster && !mine { Severity::Open } else { Severity::Note };
    let ports = of_ports(&rule.ports).unwrap_or_else(|| "every port".to_owned());
    let because = if matches!(rule.peers, Peers::Any) { format!(": it names nobody under `{word}`") } else { String::new() };
    let requests = if l7 { ", for the requests that its L7 rules name" } else { "" };
    let text = format!("{} allows {} {word} {} on {ports}{requests}{because}", rule.id, direction.word(), width.words());
    Some(Finding {
        severity,
        id,
        namespace: policy.id.namespace.clone(),
        direction: Some(direction),
        policy: Some(policy.rule(&rule.id)),
        place: Some(Place { file: policy.text.file.clone(), line }),
        text,
        pods: opened,
    })
}

fn opens(ctx: &Judge<'_>, direction: Direction, subject: &Endpoint, peer: &Endpoint, traffic: &Traffic) -> bool {
    judge(&ctx.case(direction, subject, peer, traffic), ctx.set).decision == Decision::Allowed
}

/// A packet for each port of the rule.
fn probes(ctx: &Judge<'_>, rule: &Rule, subject: &Endpoint) -> Vec<Traffic> {
    let Ports::Of(list) = &rule.ports else { return vec![ctx.traffic()] };
    let free = ctx.traffic().port.unwrap_or(1);
    let mut out = Vec::new();
    for p in list.iter().flat_map(|l| &l.ports) {
        let l4 = match p.protocol {
            Protocol::One(l4) => l4,
            Protocol::Any => crate::model::observed::L4::Tcp,
            Protocol::Other => continue,
        };
        let port = match &p.port {
            PortIs::All => free,
            PortIs::Range(a, b) if (*a..=*b).contains(&free) => free,
            PortIs::Range(a, _) => *a,
            PortIs::Named(name) => {
                let named = subject.named_ports.iter().flatten().find(|n| n.name.eq_ignore_ascii_case(name) && n.proto == l4);
                match named {
                    Some(n) => n.port,
                    None => continue,
                }
            }
        };
        out.push(Traffic { l4: Some(l4), port: Some(port), ..Traffic::default() });
    }
    out
}

fn rules(set: &PolicySet) -> impl Iterator<Item = &Rule> {
    set.iter().flat_map(|p| &p.sections).flat_map(|s| &s.rules)
}

/// An address of the world that no rule names, short of those that name all of it.
pub fn outsider(set: &PolicySet) -> Endpoint {
    let nets = |r: &Rule| -> Vec<IpNet> {
        let Peers::Of(list) = &r.peers else { return Vec::new() };
        let of = |p: &Peer| match &p.is {
            PeerIs::Cidr { net, except } => except.iter().copied().chain((net.prefix_len() > WIDE).then_some(*net)).collect(),
            _ => Vec::new(),
        };
        list.iter().flat_map(of).collect()
    };
    let named: Vec<IpNet> = rules(set).flat_map(nets).collect();
    // Addresses that are somebody's; the private ones and those of documentation are what policies like to name.
    let all = (0..=255u8).map(|n| IpAddr::V4(Ipv4Addr::new(93, 184, n, 215)));
    let ip = all.clone().find(|ip| !named.iter().any(|n| n.contains(ip))).or_else(|| all.clone().next());
    Endpoint {
        display: "the world".to_owned(),
        labels: Labels(vec![Label::new("reserved", "world", "")]),
        known: true,
        namespace_labels: true,
        ip,
        named_ports: Some(Vec::new()),
        ..Endpoint::default()
    }
}

/// A port that no deny rule names.
pub fn free_port(set: &PolicySet) -> u16 {
    let mut denied: Vec<(u16, u16)> = Vec::new();
    for r in rules(set).filter(|r| r.action != Action::Allow) {
        if let Ports::Of(list) = &r.ports {
            let of = |p: &PortIs| match p {
                PortIs::Range(a, b) => Some((*a, *b)),
                _ => None,
            };
            denied.extend(list.iter().flat_map(|l| &l.ports).filter_map(|p| of(&p.port)));
        }
    }
    (1..=u16::MAX).rev().skip(4_242).find(|p| !denied.iter().any(|(a, b)| (*a..=*b).contains(p))).unwrap_or(1)
}
