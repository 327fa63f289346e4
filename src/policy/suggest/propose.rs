//! The fewest policies that allow a set of conversations: one a workload and direction, one for DNS a namespace.
//!
//! Owns the merging; what a peer is called is `build`'s. Whether the result does what it should is for the caller to try out.
use super::build::{self, Kind, New, What, Who};
use super::labels::{Crowd, Pairs};
use crate::model::observed::Direction;
use crate::policy::Options;
use crate::policy::eval::Traffic;
use crate::world::Endpoint;
use std::collections::{BTreeMap, BTreeSet};

/// One side of a conversation that has to be allowed.
#[derive(Clone, Copy)]
pub struct Need<'a> {
    pub direction: Direction,
    pub subject: &'a Endpoint,
    pub peer: &'a Endpoint,
    pub traffic: &'a Traffic,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Proposal {
    /// By namespace, subject and direction.
    pub policies: Vec<New>,
    /// Needs (by their place in the input) that no rule can say, and why.
    pub unsaid: Vec<(usize, String)>,
}

/// What one subject needs in one direction: peers by the ports they share.
#[derive(Default)]
struct Wants {
    peers: BTreeMap<Who, BTreeSet<What>>,
    names: BTreeSet<String>,
}

/// A question to the cluster's DNS.
pub fn is_dns(what: What) -> bool {
    matches!(what, What::Port { proto: "UDP" | "TCP", port: 53 })
}

/// The fewest policies that allow all of `needs`. `crowd`: of every endpoint known, to tell workloads apart. `taken`: whether a policy
/// of this namespace and name exists.
pub fn propose(needs: &[Need<'_>], crowd: &Crowd, opt: &Options, taken: &dyn Fn(&str, &str) -> bool) -> Proposal {
    let mut out = Proposal::default();
    let mut wants: BTreeMap<(String, Pairs, bool), Wants> = BTreeMap::new();
    let mut dns: BTreeMap<String, BTreeSet<Who>> = BTreeMap::new();
    for (i, need) in needs.iter().enumerate() {
        let said = || -> Result<(String, Pairs, Who, What), String> {
            let what = What::of(need.traffic).ok_or("its port or type is not known, or is of a protocol that rules do not name")?;
            let peer = build::who(need.direction, need.peer, crowd, opt)?;
            match build::who(need.direction, need.subject, crowd, opt)? {
                Who::Pod { namespace, labels } => Ok((namespace, labels, peer, what)),
                _ => Err(format!("{} is no pod", need.subject.display)),
            }
        };
        match said() {
            Err(why) => out.unsaid.push((i, why)),
            Ok((namespace, _, peer @ Who::Pod { .. }, what)) if is_dns(what) && need.direction == Direction::Egress => {
                dns.entry(namespace).or_default().insert(peer);
            }
            Ok((namespace, labels, peer, what)) => {
                let w = wants.entry((namespace, labels, need.direction == Direction::Ingress)).or_default();
                if let Who::Fqdn(name) = &peer {
                    w.names.insert(name.clone());
                }
                w.peers.entry(peer).or_default().insert(what);
            }
        }
    }
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    let mut free = |namespace: &str, wanted: &str| {
        let name = build::free(wanted, &|n| taken(namespace, n) || used.contains(&(namespace.to_owned(), n.to_owned())));
        used.insert((namespace.to_owned(), name.clone()));
        name
    };
    for (namespace, servers) in &dns {
        let servers: Vec<Who> = servers.iter().cloned().collect();
        let rule = build::rule(Kind::NetworkPolicy, Direction::Egress, Some(namespace), &servers, &What::DNS);
        let rules: Vec<_> = rule.into_iter().collect();
        let name = free(namespace, "allow-dns");
        let (namespace, direction) = (namespace.clone(), Direction::Egress);
        out.policies.push(New { kind: Kind::NetworkPolicy, namespace, name, subject: Pairs::new(), direction, rules, isolates: true });
    }
    for ((namespace, subject, ingress), w) in wants {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let kind = if w.peers.iter().all(|(p, what)| plain(p, what, &namespace)) { Kind::NetworkPolicy } else { Kind::Cilium };
        let mut rules = rules(kind, direction, &namespace, &w);
        if let (false, Some(server)) = (w.names.is_empty(), dns.get(&namespace).and_then(BTreeSet::first)) {
            let names: Vec<String> = w.names.iter().cloned().collect();
            rules.push(build::dns_rule(Some(&namespace), server, &names));
        }
        let word = if ingress { "ingress" } else { "egress" };
        let name = free(&namespace, &format!("{}-{word}", subject.first().map_or("pods", |(_, v)| v)));
        out.policies.push(New { kind, namespace, name, subject, direction, rules, isolates: true });
    }
    out
}

/// Whether a NetworkPolicy can say it.
fn plain(peer: &Who, what: &BTreeSet<What>, own: &str) -> bool {
    peer.kubernetes(own).is_some() && what.iter().all(|w| matches!(w, What::Port { .. }))
}

/// Peers that share their ports share a rule.
fn rules(kind: Kind, direction: Direction, own: &str, w: &Wants) -> Vec<crate::world::tree::Tree> {
    let mut groups: BTreeMap<(Vec<What>, &'static str), Vec<Who>> = BTreeMap::new();
    for (peer, what) in &w.peers {
        let sort = if kind == Kind::Cilium { peer.cilium(Some(own)).0 } else { "" };
        let (icmp, ports): (Vec<What>, Vec<What>) = what.iter().partition(|w| matches!(w, What::Icmp { .. }));
        for what in [ports, icmp].into_iter().filter(|w| !w.is_empty()) {
            groups.entry((what, sort)).or_default().push(peer.clone());
        }
    }
    groups.into_iter().filter_map(|((what, _), peers)| build::rule(kind, direction, Some(own), &peers, &what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::L4;
    use crate::world::{Label, Labels};

    fn pod(ns: &str, app: &str) -> Endpoint {
        let labels =
            Labels(vec![Label::new("k8s", "app", app), Label::new("k8s", "io.kubernetes.pod.namespace", ns), Label::parse("k8s:h=1")]);
        Endpoint { display: app.into(), labels, namespace: ns.into(), known: true, ..Endpoint::default() }
    }

    #[test]
    fn conversations_fold_into_one_policy_a_workload_and_one_for_dns() {
        let (cart, web, db, dns) = (pod("shop", "cart"), pod("web", "web"), pod("shop", "db"), pod("kube-system", "coredns"));
        let world = Endpoint {
            display: "1.1.1.1".into(),
            labels: Labels(vec![Label::parse("reserved:world")]),
            known: true,
            names: vec!["api.stripe.com".into()],
            ..Endpoint::default()
        };
        let t = |l4, port| Traffic { l4: Some(l4), port: Some(port), ..Traffic::default() };
        let (sql, http, ask, tls, ping) =
            (t(L4::Tcp, 5432), t(L4::Tcp, 80), t(L4::Udp, 53), t(L4::Tcp, 443), Traffic { l4: Some(L4::Vrrp), ..Traffic::default() });
        let need = |direction, subject, peer, traffic| Need { direction, subject, peer, traffic };
        let (i, e) = (Direction::Ingress, Direction::Egress);
        let needs = [
            need(i, &db, &cart, &sql),
            need(i, &db, &web, &sql),
            need(i, &db, &web, &http),
            need(e, &cart, &db, &sql),
            need(e, &cart, &world, &tls),
            need(e, &cart, &dns, &ask),
            need(e, &db, &dns, &ask),
            need(i, &db, &web, &ping),
        ];
        let crowd = Crowd::new([&cart, &web, &db, &dns].into_iter());
        let p = propose(&needs, &crowd, &Options::default(), &|_, name| name == "allow-dns");
        let names: Vec<_> = p.policies.iter().map(|n| (n.kind.word(), n.name.as_str(), n.rules.len())).collect();
        assert_eq!(
            names,
            [("NetworkPolicy", "allow-dns-2", 1), ("CiliumNetworkPolicy", "cart-egress", 3), ("NetworkPolicy", "db-ingress", 2)],
            "{p:#?}"
        );
        assert_eq!(p.unsaid.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [7]);
        for n in &p.policies {
            let (docs, faults) = crate::world::yaml::read("p", &n.yaml());
            assert!(faults.is_empty() && docs.len() == 1, "{}", n.yaml());
            let mut set = crate::policy::PolicySet::new();
            let faults = set.apply(&crate::model::input::Change::Apply(std::sync::Arc::new(docs[0].clone())));
            assert!(faults.is_empty() && set.len() == 1, "{faults:?}{}", n.yaml());
        }
    }
}
