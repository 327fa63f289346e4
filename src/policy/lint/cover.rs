//! Whether one rule covers all of another: what a shadow and a bypass have in common. Owns comparison of what is written, without
//! any endpoint; where it cannot tell, the answer is no.
use crate::policy::ir::{Peer, PeerIs, Peers, Port, PortIs, Ports, Protocol, Subject};
use crate::policy::selector::{Requirement, Selector};
use ipnet::IpNet;

/// Every pod that the inner one selects is one that the outer one selects.
pub(super) fn subject(inner: &Subject, outer: &Subject) -> bool {
    match (inner, outer) {
        (Subject::Endpoints(i), Subject::Endpoints(o)) | (Subject::Nodes(i), Subject::Nodes(o)) => selector(i, o),
        _ => false,
    }
}

/// Each condition of the outer stands in the inner.
fn selector(inner: &Selector, outer: &Selector) -> bool {
    // A pod's labels are Kubernetes' own, whatever source a selector leaves open.
    let source = |i: &Requirement, o: &Requirement| o.source.is_none() || o.source.as_deref() == i.source.as_deref().or(Some("k8s"));
    let has = |o: &Requirement| {
        let same = |i: &Requirement| source(i, o) && o.key == i.key && o.op == i.op && o.values == i.values;
        inner.all.iter().any(same)
    };
    (inner.local_cluster || !outer.local_cluster) && outer.all.iter().all(has)
}

pub(super) fn peers(inner: &Peers, outer: &Peers) -> bool {
    let everybody = |p: &Peer| matches!(&p.is, PeerIs::Entity(e) if e == "all");
    match (inner, outer) {
        (_, Peers::Any) => true,
        (Peers::Any, Peers::Of(o)) => o.iter().any(everybody),
        (Peers::Of(i), Peers::Of(o)) => !i.is_empty() && i.iter().all(|i| o.iter().any(|o| everybody(o) || peer(&i.is, &o.is))),
    }
}

fn peer(inner: &PeerIs, outer: &PeerIs) -> bool {
    match (inner, outer) {
        (PeerIs::Endpoints(i), PeerIs::Endpoints(o)) => selector(i, o),
        (PeerIs::Cidr { net, except }, PeerIs::Cidr { net: wide, except: holes }) => {
            let filled = |h: &IpNet| except.iter().any(|e| e.contains(h)) || !(net.contains(h) || h.contains(net));
            wide.contains(net) && holes.iter().all(filled)
        }
        (PeerIs::Entity(i), PeerIs::Entity(o)) => i == o,
        (PeerIs::Fqdn(i), PeerIs::Fqdn(o)) => i.text.eq_ignore_ascii_case(&o.text),
        // Cilium's address and name rules are about the world only.
        (PeerIs::Cidr { .. } | PeerIs::Fqdn(_), PeerIs::Entity(o)) => o == "world",
        _ => false,
    }
}

pub(super) fn ports(inner: &Ports, outer: &Ports) -> bool {
    match (inner, outer) {
        (Ports::Nothing, _) | (_, Ports::Nothing) => false,
        (_, Ports::Any) => true,
        (Ports::Of(i), Ports::Of(o)) => {
            let all: Vec<&Port> = o.iter().filter(|r| r.server_names.is_empty()).flat_map(|r| &r.ports).collect();
            all_within(i.iter().flat_map(|r| &r.ports), &all)
        }
        (Ports::Icmp(i), Ports::Icmp(o)) => !i.is_empty() && i.iter().all(|i| o.iter().any(|o| (o.v6, o.kind) == (i.v6, i.kind))),
        _ => false,
    }
}

/// There are inner ones, and each is covered.
pub(super) fn all_within<'a>(inner: impl Iterator<Item = &'a Port>, outer: &[&Port]) -> bool {
    let mut any = false;
    for i in inner {
        any = true;
        if !outer.iter().any(|o| port(i, o)) {
            return false;
        }
    }
    any
}

fn port(inner: &Port, outer: &Port) -> bool {
    let protocol = inner.protocol != Protocol::Other && (outer.protocol == Protocol::Any || outer.protocol == inner.protocol);
    protocol
        && match (&inner.port, &outer.port) {
            (_, PortIs::All) => true,
            (PortIs::Range(a, b), PortIs::Range(x, y)) => x <= a && b <= y,
            (PortIs::Named(a), PortIs::Named(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
}
