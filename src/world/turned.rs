//! What changed in the cluster since a flow, and concerns its addresses. Owns which objects these are; whether the answer is another by it
//! is for who judges to say.
use super::World;
use crate::model::observed::Observed;
use crate::model::time::Nanos;

/// A node, a service or an address group that is not what it was when a flow happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    pub kind: &'static str,
    pub namespace: Option<String>,
    pub name: String,
    /// `added`, `changed`, `removed`.
    pub what: &'static str,
    /// Of several changes the last.
    pub at: Nanos,
}

impl World {
    /// Those that had one of a flow's addresses at its time, or have it now, and changed in that or shortly before it.
    pub fn turned(&self, o: &Observed) -> Vec<Turned> {
        let Some(at) = o.at.filter(|at| self.era_of_peers(Some(*at)) != 0) else { return Vec::new() };
        let mut out: Vec<Turned> = Vec::new();
        for ip in [o.src.ip, o.dst.ip].into_iter().flatten() {
            let nodes = self.nodes.turned(self.nodes.met_at(ip), at, |node| node.ips.contains(&ip));
            let services = self.services.turned(self.services.met_at(ip), at, |s| s.ips.contains(&ip) || s.outer.contains(&ip));
            let groups = self.groups.turned(self.groups.names(), at, |group| group.cidrs.iter().any(|net| net.contains(&ip)));
            let plain = |kind, (name, what, at): (&String, _, _)| Turned { kind, namespace: None, name: name.clone(), what, at };
            let services = services.into_iter().map(|((namespace, name), what, at)| Turned {
                kind: "Service",
                namespace: Some(namespace.clone()),
                name: name.clone(),
                what,
                at,
            });
            let nodes = nodes.into_iter().map(|n| plain("Node", n));
            for turned in services.chain(nodes).chain(groups.into_iter().map(|g| plain("CiliumCIDRGroup", g))) {
                if !out.contains(&turned) {
                    out.push(turned);
                }
            }
        }
        out
    }
}
