//! Whether one rule admits a flow, its peers and its ports apart. Owns no judgement: a rule that fits may still lose to another.
use crate::policy::eval::{self, Case, port};
use crate::policy::ir::{Peer, Peers, Port, PortIs, Ports, Protocol, Rule};
use crate::policy::selector::Tri;

pub(super) fn peer(p: &Peer, ask: &Case<'_>) -> Tri {
    eval::peer::matches(&p.is, ask, &mut Vec::new())
}

pub(super) fn peers(rule: &Rule, ask: &Case<'_>) -> Tri {
    let t = match &rule.peers {
        Peers::Any => Tri::Yes,
        Peers::Of(list) => list.iter().fold(Tri::No, |t, p| t.or(peer(p, ask))),
    };
    // What other rules demand is not looked at here.
    if rule.requires.is_empty() { t } else { t.and(Tri::Unknown) }
}

pub(super) fn ports(rule: &Rule, ask: &Case<'_>) -> Tri {
    match &rule.ports {
        Ports::Any => Tri::Yes,
        Ports::Nothing => Tri::No,
        Ports::Icmp(fields) => fields.iter().fold(Tri::No, |t, f| t.or(port::icmp(f, ask, &mut Vec::new()).0)),
        Ports::Of(list) => list.iter().fold(Tri::No, |t, r| {
            // The server's name decides too, and comes only with the request.
            let named = if r.server_names.is_empty() { Tri::Yes } else { Tri::Unknown };
            let any = r.ports.iter().fold(Tri::No, |t, p| t.or(port::matches(p, ask, &mut Vec::new()).0));
            t.or(any.and(named))
        }),
    }
}

pub(super) fn admits(rule: &Rule, ask: &Case<'_>) -> Tri {
    peers(rule, ask).and(ports(rule, ask))
}

/// Whether the rule names this port, or all ports; a port with a name may be any.
pub(super) fn may_cover(rule: &Rule, number: u16) -> bool {
    let one = |p: &Port| match &p.port {
        PortIs::All | PortIs::Named(_) => p.protocol != Protocol::Other,
        PortIs::Range(a, b) => (*a..=*b).contains(&number),
    };
    match &rule.ports {
        Ports::Any => true,
        Ports::Nothing | Ports::Icmp(_) => false,
        Ports::Of(list) => list.iter().flat_map(|r| &r.ports).any(one),
    }
}

/// Whether the rule names this very port, alone or within a range.
pub(super) fn names(rule: &Rule, number: u16) -> bool {
    let one = |p: &Port| matches!(&p.port, PortIs::Range(a, b) if (*a..=*b).contains(&number));
    matches!(&rule.ports, Ports::Of(list) if list.iter().flat_map(|r| &r.ports).any(one))
}

/// Whether it can admit anybody at all.
pub(super) fn hopeless(rule: &Rule) -> bool {
    let no_port = |p: &Ports| match p {
        Ports::Nothing => true,
        Ports::Of(list) => list.iter().all(|r| r.ports.is_empty()),
        Ports::Any | Ports::Icmp(_) => false,
    };
    no_port(&rule.ports) || matches!(&rule.peers, Peers::Of(list) if list.is_empty())
}
