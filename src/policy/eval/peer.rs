//! Peer conditions: endpoints, address ranges, entities, names, services, nodes. Owns what each kind of peer can match at all.
use super::Case;
use crate::policy::Engine;
use crate::policy::ir::PeerIs;
use crate::policy::selector::{Selector, Tri};
use crate::world::labels::POD_NAMESPACE;
use crate::world::{CidrGroup, Endpoint, Key, Service};
use ipnet::IpNet;
use std::net::IpAddr;

/// The kind of which address groups are.
const GROUPS: &str = "ciliumcidrgroups";

/// What holds whichever it was of all that something may have been at the time of a flow, `None` in that: it was not there; where that
/// differs, or nothing is known of it, a fact is missing. Of what holds anyway nothing is missing.
fn either<'a, T: 'a>(
    about: Option<impl Iterator<Item = Option<&'a T>>>,
    missing: &mut Vec<String>,
    fact: impl Fn(&mut Vec<String>) -> Tri,
    is: impl Fn(Option<&T>, &mut Vec<String>) -> Tri,
) -> Tri {
    let mut facts = Vec::new();
    let held = {
        let mut all = about.into_iter().flatten().map(|one| is(one, &mut facts));
        all.next().filter(|first| all.all(|other| other == *first))
    };
    let Some(held) = held else { return fact(missing) };
    if held == Tri::Unknown {
        facts.into_iter().for_each(|fact| _ = note(missing, fact));
    }
    held
}

fn note(missing: &mut Vec<String>, fact: String) -> Tri {
    if !missing.contains(&fact) {
        missing.push(fact);
    }
    Tri::Unknown
}

/// Matches whoever it is, so the condition counts as none.
pub fn is_wildcard(p: &PeerIs) -> bool {
    matches!(p, PeerIs::Entity(e) if e == "all")
}

pub fn matches(p: &PeerIs, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let peer = case.peer;
    match p {
        PeerIs::Endpoints(s) => endpoints(s, case, missing),
        PeerIs::Cidr { net, except } => cidr(&[*net], except, case, missing),
        PeerIs::CidrGroup { name, except } => {
            let unknown = |missing: &mut Vec<String>| if_outside(case, missing, format!("cidr-group:{name}"));
            // Of a group whose watch is broken the ranges may be others by now.
            if case.world.lapsed(GROUPS, peer.at).is_some() {
                return unknown(missing);
            }
            either(case.world.group_about(name, peer.at), missing, unknown, |group, missing| match group {
                Some(g) => cidr(&g.cidrs, except, case, missing),
                None => unknown(missing),
            })
        }
        PeerIs::CidrGroups { selector, except } => {
            let unknown = |missing: &mut Vec<String>| if_outside(case, missing, "cidr-groups".to_owned());
            let mut facts = Vec::new();
            let of = |group: Option<&CidrGroup>, missing: &mut Vec<String>| match group {
                Some(g) if selector.matches_map(&g.labels) => cidr(&g.cidrs, except, case, missing),
                _ => Tri::No,
            };
            let found = case.world.groups_about(peer.at).map(|(_, group)| either(group, &mut facts, unknown, of)).reduce(Tri::or);
            match found.filter(|_| case.world.unread(GROUPS, peer.at).is_none()) {
                None => unknown(missing),
                Some(Tri::Unknown) => {
                    facts.into_iter().for_each(|fact| _ = note(missing, fact));
                    Tri::Unknown
                }
                Some(told) => told,
            }
        }
        PeerIs::Entity(e) => entity(e, case, missing),
        PeerIs::Fqdn(pattern) => {
            if peer.known && !peer.labels.is_world() {
                return Tri::No;
            }
            let by_label = peer.labels.0.iter().any(|l| l.source == "fqdn" && l.key == pattern.text);
            if by_label || peer.names.iter().any(|n| pattern.regex.is_match(n)) {
                return outside(case, missing);
            }
            let told = peer.known && !peer.masked;
            if told || peer.labels.is_pod() { Tri::No } else { note(missing, format!("labels:{}", peer.display)) }
        }
        PeerIs::Service { namespace: Some(namespace), name } => service(namespace, name, case, missing),
        PeerIs::Service { namespace: None, name } if case.world.lapsed("services", peer.at).is_some() => {
            note(missing, format!("service:{name}"))
        }
        PeerIs::Service { namespace: None, name } => match services(&|(_, n), _| n == name, case, missing) {
            Some(Tri::No) if case.world.unread("services", peer.at).is_none() => Tri::No,
            None | Some(Tri::No) => note(missing, format!("service:{name}")),
            Some(found) => found,
        },
        PeerIs::Services { namespace, selector } => {
            let chosen = |(ns, _): &Key, s: &Service| namespace.as_ref().is_none_or(|n| n == ns) && selector.matches_map(&s.labels);
            // Where none is known it is not known that there is none.
            let any = case.world.services_about(peer.at).any(|((ns, _), _)| namespace.as_ref().is_none_or(|n| n == ns));
            if !any || case.world.unread("services", peer.at).is_some() {
                return note(missing, "services".to_owned());
            }
            services(&chosen, case, missing).unwrap_or(Tri::No)
        }
        PeerIs::Nodes(s) => nodes(s, peer, case, missing),
        PeerIs::Undefined(fact) => if_outside(case, missing, (*fact).to_owned()),
        PeerIs::Groups => if_outside(case, missing, "cloud-groups".to_owned()),
    }
}

fn endpoints(s: &Selector, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let peer = case.peer;
    if peer.host_network && !peer.known {
        return Tri::No;
    }
    // A bare address nobody knows is a pod or is not; a selector for the world's labels is decided as the entity is.
    if !peer.known && !peer.labels.is_pod() && s.conditions(case.opt.engine).any(|r| r.key == POD_NAMESPACE) {
        return note(missing, format!("labels:{}", peer.display));
    }
    s.matches(case.opt.engine, peer, Some(case.subject), missing)
}

/// Whether the peer is one that address rules can speak of. Under Cilium these are never pods, hosts or nodes.
fn outside(case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let peer = case.peer;
    if case.opt.engine == Engine::Kubernetes {
        return Tri::Yes;
    }
    if peer.labels.is_world() {
        return Tri::Yes;
    }
    if case.opt.cidr_nodes && peer.labels.reserved("remote-node") {
        return Tri::Yes;
    }
    if peer.known || peer.labels.is_pod() || peer.host_network {
        return Tri::No;
    }
    note(missing, format!("labels:{}", peer.display))
}

/// A fact that only matters for a peer outside.
fn if_outside(case: &Case<'_>, missing: &mut Vec<String>, fact: String) -> Tri {
    if outside(case, &mut Vec::new()) == Tri::No { Tri::No } else { note(missing, fact) }
}

fn cidr(nets: &[IpNet], except: &[IpNet], case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let Some(ip) = case.peer.ip else {
        // Without an address only "everywhere" can be decided.
        let everywhere = nets.iter().any(|n| n.prefix_len() == 0) && except.is_empty();
        return match (everywhere, case.peer.known) {
            (true, _) => outside(case, missing),
            (false, true) if case.peer.labels.is_world() => match range_of(case.peer, nets, except) {
                Some(true) => outside(case, missing),
                Some(false) => Tri::No,
                None => note(missing, format!("address:{}", case.peer.display)),
            },
            // Where ranges match pods too, only the address would tell.
            (false, true) if case.opt.engine == Engine::Kubernetes => note(missing, format!("address:{}", case.peer.display)),
            (false, true) => Tri::No,
            // Who it is comes first: its address only matters for one outside.
            (false, false) => match outside(case, missing) {
                Tri::Yes => note(missing, format!("address:{}", case.peer.display)),
                not => not,
            },
        };
    };
    if !nets.iter().any(|n| covers(n, ip)) || except.iter().any(|n| covers(n, ip)) {
        return Tri::No;
    }
    outside(case, missing)
}

/// Whether the ranges cover the one that the peer's identity stands for; `None` if only its address would tell.
fn range_of(peer: &Endpoint, nets: &[IpNet], except: &[IpNet]) -> Option<bool> {
    // A label cannot hold a colon, so IPv6 is written with dashes.
    let labels = peer.labels.0.iter().filter(|l| l.source == "cidr");
    let own = labels.filter_map(|l| l.key.replace('-', ":").parse::<IpNet>().ok()).max_by_key(IpNet::prefix_len)?;
    let inside = |n: &IpNet| n.contains(&own);
    let apart = |n: &IpNet| !n.contains(&own) && !own.contains(n);
    if nets.iter().all(apart) || except.iter().any(inside) {
        return Some(false);
    }
    (nets.iter().any(inside) && except.iter().all(apart)).then_some(true)
}

fn covers(net: &IpNet, ip: IpAddr) -> bool {
    net.contains(&ip)
}

fn entity(name: &str, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let peer = case.peer;
    let l = &peer.labels;
    if name == "all" {
        return Tri::Yes;
    }
    if name == "none" {
        return Tri::No;
    }
    let reserved = |names: &[&str]| names.iter().any(|n| l.reserved(n));
    if !peer.known && !l.is_pod() {
        // A name that nobody could give: not even whether it is inside is certain.
        return note(missing, format!("labels:{}", peer.display));
    }
    if peer.maybe_apiserver && name == "kube-apiserver" && case.world.lapsed("endpointslices", peer.at).is_some() {
        return note(missing, "endpoints:default/kubernetes".to_owned());
    }
    if (peer.masked || peer.maybe_apiserver) && name == "kube-apiserver" {
        return note(missing, format!("labels:{}", peer.display));
    }
    let v6 = peer.ip.is_some_and(|ip| ip.is_ipv6());
    Tri::from(match name {
        "world" => l.is_world(),
        "world-ipv4" => l.reserved("world-ipv4") || (l.is_world() && !l.reserved("world-ipv6") && !v6),
        "world-ipv6" => l.reserved("world-ipv6") || (l.is_world() && !l.reserved("world-ipv4") && v6),
        "cluster" => {
            let pod_here = l.is_pod() && peer.same_cluster(case.subject);
            pod_here || reserved(&["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"])
        }
        other => reserved(&[other]),
    })
}

/// Any of the services that are meant; `None`: there was none of them. Where one is the peer's, what is not known of the others is nothing.
fn services(is_meant: &dyn Fn(&Key, &Service) -> bool, case: &Case<'_>, missing: &mut Vec<String>) -> Option<Tri> {
    let mut facts = Vec::new();
    let may_be = case.world.services_about(case.peer.at).filter(|(key, about)| {
        // What it was is not known, or it was one that is meant.
        about.as_ref().is_none_or(|all| all.clone().flatten().any(|s| is_meant(key, s)))
    });
    let meant = may_be.map(|(key, about)| {
        let unknown = |missing: &mut Vec<String>| note(missing, format!("service:{}/{}", key.0, key.1));
        either(about, &mut facts, unknown, |one, missing| match one {
            Some(s) if is_meant(key, s) => is_service(key, s, case, missing),
            _ => Tri::No,
        })
    });
    let found = meant.reduce(Tri::or);
    if found == Some(Tri::Unknown) {
        facts.into_iter().for_each(|fact| _ = note(missing, fact));
    }
    found
}

fn service(namespace: &str, name: &str, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let unknown = |missing: &mut Vec<String>| note(missing, format!("service:{namespace}/{name}"));
    // Of one whose watch is broken the selector may be another.
    if case.world.lapsed("services", case.peer.at).is_some() {
        return unknown(missing);
    }
    let key = (namespace.to_owned(), name.to_owned());
    either(case.world.service_about(namespace, name, case.peer.at), missing, unknown, |one, missing| match one {
        Some(s) => is_service(&key, s, case, missing),
        None => unknown(missing),
    })
}

/// Whether the peer is behind a service that was this.
fn is_service((namespace, name): &Key, s: &Service, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let peer = case.peer;
    if s.selector.is_empty() {
        let told = case.world.endpoints_about(namespace, name, peer.at);
        if told.is_empty() || case.world.lapsed("endpointslices", peer.at).is_some() {
            return if_outside(case, missing, format!("endpoints:{namespace}/{name}"));
        }
        let Some(ip) = peer.ip else {
            return if_outside(case, missing, format!("address:{}", peer.display));
        };
        let has = told.iter().filter(|ips| ips.contains(&ip)).count();
        return match has {
            0 => Tri::No,
            n if n == told.len() => outside(case, missing),
            _ => if_outside(case, missing, format!("endpoints:{namespace}/{name}")),
        };
    }
    if peer.labels.namespace().is_some_and(|ns| ns != namespace) || (peer.known && !peer.labels.is_pod()) {
        return Tri::No;
    }
    if !peer.known {
        return note(missing, format!("labels:{}", peer.display));
    }
    // Its selector is one of pods of the subject's own cluster.
    let here = peer.same_cluster(case.subject);
    Tri::from(here && s.selector.iter().all(|(k, v)| peer.labels.get(Some("k8s"), k) == Some(v)))
}

fn nodes(s: &Selector, peer: &Endpoint, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let node = peer.labels.is_host() || peer.labels.reserved("remote-node");
    if !node {
        return if peer.known || peer.labels.is_pod() { Tri::No } else { note(missing, format!("labels:{}", peer.display)) };
    }
    if s.all.is_empty() {
        return Tri::Yes;
    }
    of_node(s, peer, case, missing)
}

/// Whether the node with this side's address has such labels.
pub(super) fn of_node(s: &Selector, side: &Endpoint, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    let all = side.ip.map(|ip| case.world.nodes_at(ip, side.at)).unwrap_or_default();
    match all.iter().filter(|n| s.matches_map(&n.labels)).count() {
        n if all.is_empty() || 0 < n && n < all.len() => note(missing, format!("node-labels:{}", side.display)),
        n => Tri::from(n > 0),
    }
}
