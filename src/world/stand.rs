//! Where the two sides of a record stand: which pod, node or service has an address, at the record's time and seen from its node.
//!
//! Owns what is looked up for a side that its record leaves nameless. What the agent itself says is never doubted here, and labels
//! are made elsewhere (`endpoint`).
use super::addresses::{Hold, Holder, Named, can_be_outside, is_private};
use super::kept::Claim;
use super::objects::PodLike;
use super::{Key, World, labels};
use crate::model::observed::{Direction, Observed, Party, Verdict};
use crate::model::time::Nanos;
use std::net::IpAddr;

/// Steps from a pod to its topmost owner.
const MOST_OWNERS: usize = 4;

/// Why it is not certain who a side is, though its address is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doubt<'w> {
    /// Several pods had it about then.
    Several,
    /// The pod that has it is on another node than the one whose policy was asked.
    Elsewhere(&'w Hold),
    /// The record names a pod that never had it; this one had.
    Another(&'w Hold),
    /// It was this pod, and which labels it had then is not certain; a number for what they may have been.
    Labels(&'w Hold, u64),
    /// The address may be one of another cluster of the mesh.
    Mesh,
    /// The record names this pod, and whether it was the one of now is not certain.
    Namesake(&'w Key),
    /// Which kind is not known, and how: somebody of it may have the address.
    Unread(&'static str, &'static str),
    /// What this object was then is not certain: its kind, namespace and name; without a name nobody of the kind is remembered.
    Turned(&'static str, &'w str, &'w str),
}

/// What the world knows of a side beyond its record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stand<'w> {
    pub(super) hold: Option<&'w Hold>,
    /// The record names nobody: who it is was found by the address.
    pub(super) by_address: bool,
    /// A node, or a pod on a node's network.
    pub(super) host: bool,
    /// Where it is; empty: not known.
    pub(super) node: &'w str,
    /// How many pods share the node's address.
    pub(super) pods: usize,
    /// Of a node: whether it is the other side's own; `None`: not known.
    pub(super) home: Option<bool>,
    pub(super) frontend: Option<&'w Key>,
    /// No address of the cluster.
    pub(super) outside: bool,
    pub(super) doubt: Option<Doubt<'w>>,
}

impl<'w> Stand<'w> {
    /// Numbers and words that differ wherever what was found differs; `None`: nothing was found.
    pub fn told(&self) -> Option<([u64; 3], [&'w str; 5])> {
        if !self.is_some() && self.doubt.is_none() {
            return None;
        }
        let home = self.home.map_or(2, u64::from);
        let flags = [self.by_address, self.host, self.outside].into_iter().fold(0, |n, b| n * 2 + u64::from(b));
        let (mut namespace, mut name) = self.frontend.map_or(("", ""), |(ns, n)| (ns.as_str(), n.as_str()));
        match self.doubt {
            Some(Doubt::Turned(_, of, object)) => (namespace, name) = (of, object),
            Some(Doubt::Namesake((of, object))) => (namespace, name) = (of, object),
            _ => {}
        }
        let (doubt, kind, how) = match self.doubt {
            None => (0, "", ""),
            Some(Doubt::Several) => (1, "", ""),
            Some(Doubt::Elsewhere(h)) => (4 * h.id + 2, "", ""),
            Some(Doubt::Another(h)) => (4 * h.id + 3, "", ""),
            Some(Doubt::Unread(kind, how)) => (4, kind, how),
            Some(Doubt::Turned(kind, ..)) => (5, kind, ""),
            Some(Doubt::Labels(_, which)) => (which, "Pod", "labels"),
            Some(Doubt::Namesake(_)) => (5, "Pod", "name"),
            Some(Doubt::Mesh) => (5, "", "mesh"),
        };
        let numbers = [self.hold.map_or(0, |h| h.id + 1), (self.pods as u64) << 8 | home << 4 | flags, doubt];
        Some((numbers, [self.node, namespace, name, kind, how]))
    }

    /// Who it is, or what, cannot be looked up.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self.doubt, Some(Doubt::Unread(..) | Doubt::Turned(..) | Doubt::Namesake(_)))
    }

    /// The pod that it was, where not all labels are certain that it had.
    pub(super) fn half_known(&self) -> Option<&'w Hold> {
        if let Some(Doubt::Labels(hold, _)) = self.doubt { Some(hold) } else { None }
    }

    /// The service that the record shows.
    pub(super) fn frontend(&self) -> Option<&'w Key> {
        self.frontend
    }

    /// Whether the record names another pod than the one that had its address.
    pub fn contradicts(&self) -> bool {
        matches!(self.doubt, Some(Doubt::Another(_)))
    }

    /// Why it is not certain who this is: a sentence, and the fact that would tell.
    pub fn doubt(&self, p: &Party) -> Option<(String, Option<String>)> {
        let ip = p.ip.map_or_else(|| "its address".to_owned(), |ip| ip.to_string());
        let path = |h: &Hold| format!("{}/{}", h.key.0, h.key.1);
        Some(match self.doubt? {
            Doubt::Several => (format!("more than one pod had {ip} about then, and which it was is not told"), None),
            Doubt::Elsewhere(h) => {
                (format!("{ip} was {}'s, on another node than the one that made the record: one of the two is not so", path(h)), None)
            }
            Doubt::Another(h) => (format!("the record names {} at {ip}, which was {}'s then", p.display(), path(h)), None),
            Doubt::Labels(h, _) => {
                let told =
                    format!("which labels {} had then is not certain: they changed about then, or what they were is not known", path(h));
                (told, Some(format!("version:Pod {}", path(h))))
            }
            Doubt::Namesake((namespace, name)) => {
                let at = p.ip.map_or_else(String::new, |ip| format!(": {ip} is none that it had then"));
                let told = format!("whether {namespace}/{name} was then the pod that has this name now is not known{at}");
                (told, Some(format!("version:Pod {namespace}/{name}")))
            }
            Doubt::Mesh => {
                (format!("{ip} may be outside, or of another cluster that this one is joined to"), Some(format!("cluster:{ip}")))
            }
            Doubt::Unread(kind, how) => {
                let fact = format!("{kind} {how}");
                (format!("whose {ip} was is not certain: not all {kind} are known ({how})"), Some(fact))
            }
            Doubt::Turned(kind, _, "") => {
                (format!("whose {ip} was is not certain: what there was of {kind}s then is forgotten"), Some(format!("version:{kind}")))
            }
            Doubt::Turned(kind, namespace, name) => {
                let object = if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") };
                let told = format!("whose {ip} was is not certain: {object} changed about then, or what it was then is not known");
                (told, Some(format!("version:{object}")))
            }
        })
    }

    /// Whether anything was found.
    pub fn is_some(&self) -> bool {
        self.hold.is_some() || self.host || self.frontend.is_some() || self.outside
    }

    /// Whether it gives a name to a side that had nothing but an address.
    pub fn names(&self) -> bool {
        self.by_address && self.is_some()
    }

    /// The pod, as it was then.
    pub fn pod_like(&self) -> Option<&PodLike> {
        self.hold.map(|h| &*h.pod)
    }

    /// (namespace, name) of the pod, where the record names none.
    pub fn pod(&self) -> Option<(&str, &str)> {
        let (namespace, name) = &*self.hold.filter(|_| self.by_address)?.key;
        Some((namespace, name))
    }
}

/// How one side is seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    pub at: Option<Nanos>,
    /// The node that asked this side's policy; empty: not known.
    pub here: &'a str,
    /// This side's policy was asked.
    pub subject: bool,
    /// It was called, it did not begin.
    pub called: bool,
    /// That its policy was asked there is certain: of what passes an agent may tell the connection's direction.
    pub local: bool,
}

/// The other side, as far as it tells a node from another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Other<'a> {
    pub node: &'a str,
    pub outside: bool,
}

/// Whether the record says nothing of who this is. `reserved:unknown` is how an agent says that it does not know either.
pub(super) fn is_silent(p: &Party) -> bool {
    p.labels.iter().all(|l| l == "reserved:unknown")
}

impl World {
    /// A number that differs wherever what was so at a time differs from what is so now, for all that this side is judged by.
    pub fn era(&self, p: &Party, s: &Stand<'_>, at: Option<Nanos>) -> u64 {
        let own = || if p.namespace.is_empty() { labels::namespace_in(&p.labels) } else { p.namespace.as_str() };
        let namespace = s.pod().map_or_else(own, |(namespace, _)| namespace);
        // What the record says itself is not looked up.
        let told = p.labels.iter().any(|l| l.strip_prefix("k8s:").is_some_and(|l| l.starts_with(labels::NAMESPACE_LABELS)));
        let of_namespace = |ns: &str| if told { 0 } else { self.namespaces.era(ns, at) };
        let of_service = |key: &Key| self.backends.era(key, at);
        let behind = |key: &Key| [of_namespace(&key.0), of_service(key), self.behind_era(key, at)].into_iter().fold(0, mixed);
        let backends = s.frontend().map_or(0, behind);
        let (api, name) = super::endpoint::API;
        let servers = if s.host || s.outside || s.frontend.is_some() { of_service(&(api.to_owned(), name.to_owned())) } else { 0 };
        let pod = s.pod().map_or(p.pod.as_str(), |(_, pod)| pod);
        let asks = is_silent(p) || p.labels.iter().any(|l| l == "reserved:unmanaged");
        let ward = if asks && !pod.is_empty() { self.ward(s.hold, namespace, pod, at) as u64 } else { 0 };
        [of_namespace(namespace), backends, servers, ward, self.era_of_peers(at)].into_iter().fold(0, mixed)
    }

    /// The same of what rules ask about their peers besides who these are, and of whose addresses are.
    pub fn era_of_peers(&self, at: Option<Nanos>) -> u64 {
        let objects = [self.groups.era(at), self.nodes.era(at), self.services.era(at), self.backends.era_of_peers(at)];
        objects.into_iter().fold(self.kinds.era(at), mixed)
    }

    /// Where both sides of a record stand.
    pub fn stands<'w>(&'w self, o: &Observed) -> [Stand<'w>; 2] {
        let [seen_src, seen_dst] = seen(o);
        let (mut src, mut dst) = (self.stand(&o.src, seen_src), self.stand(&o.dst, seen_dst));
        if src.host || dst.host {
            let (of_src, of_dst) = (self.other(&o.src, &src, seen_src), self.other(&o.dst, &dst, seen_dst));
            src.home = home(&src, seen_src, of_dst);
            dst.home = home(&dst, seen_dst, of_src);
        }
        [src, dst]
    }

    /// What one side is to the other.
    pub(super) fn other<'a>(&'a self, p: &Party, s: &Stand<'a>, seen: Seen<'a>) -> Other<'a> {
        let named = || self.template(p, s).map_or("", |t| t.node.as_str());
        let node = [seen.here, s.node].into_iter().find(|n| !n.is_empty()).unwrap_or_else(named);
        Other { node, outside: s.outside }
    }

    /// The pod that is known to be this side.
    pub(super) fn template<'w>(&'w self, p: &Party, s: &Stand<'w>) -> Option<&'w PodLike> {
        match s.hold {
            Some(hold) => Some(&hold.pod),
            None if p.pod.is_empty() || s.is_unread() => None,
            None => self.pod(&p.namespace, &p.pod),
        }
    }

    pub(super) fn stand(&self, p: &Party, seen: Seen<'_>) -> Stand<'_> {
        let none = Stand::default();
        let frontend = p.ip.is_some_and(|ip| self.is_service(ip, seen.at));
        if !is_silent(p) && !frontend {
            return none;
        }
        let doubtful = |doubt| Stand { doubt: Some(doubt), ..none };
        // What is at hand may be another by now, or have been then.
        let behind = |kind| self.kinds.behind(kind, seen.at).map(|how| doubtful(Doubt::Unread(kind, how)));
        if !p.pod.is_empty() {
            if let Some(doubtful) = behind("pods") {
                return doubtful;
            }
            return self.named(p, seen.at);
        }
        // An identity that no pod has says more than an address that a pod once had.
        if !p.namespace.is_empty() || (labels::of_identity(p.identity).is_some() && !frontend) {
            return none;
        }
        let Some(ip) = p.ip else { return none };
        let found = Stand { by_address: true, ..none };
        let unread = |kind| self.kinds.missing(kind, seen.at).map(|how| Doubt::Unread(kind, how));
        let holder = self.addresses.holder(ip, seen.at, seen.here);
        // Whoever has it by what is at hand may have lost it to another since.
        if let (Holder::Pod(_) | Holder::Labelled(_), Some(doubtful)) = (&holder, behind("pods")) {
            return doubtful;
        }
        match holder {
            Holder::Pod(hold) | Holder::Labelled(hold) if seen.local && self.is_elsewhere(hold, seen.here) => {
                return doubtful(Doubt::Elsewhere(hold));
            }
            Holder::Pod(hold) => return Stand { hold: Some(hold), node: &hold.pod.node, ..found },
            Holder::Labelled(hold) => {
                let doubt = Some(self.labels_doubt(ip, hold, seen.at));
                return Stand { hold: Some(hold), node: &hold.pod.node, doubt, ..found };
            }
            Holder::Host(node, pods) => return Stand { host: true, node, pods, ..found },
            Holder::Several => return doubtful(Doubt::Several),
            Holder::Nobody => {}
        }
        match self.node_claim(ip, seen.at) {
            Claim::One(node) => return behind("nodes").unwrap_or(Stand { host: true, node, ..found }),
            // Which of them it was is not known.
            Claim::Several(_) => return behind("nodes").unwrap_or(Stand { host: true, ..found }),
            Claim::Unsure(name) => return doubtful(Doubt::Turned("Node", "", name.map_or("", |n| n))),
            Claim::Nobody => {}
        }
        match self.service_claim(ip, seen.at) {
            Claim::One(one) if seen.called => {
                ["services", "endpointslices"].into_iter().find_map(behind).unwrap_or(Stand { frontend: Some(one), ..found })
            }
            Claim::One(_) | Claim::Several(_) => none,
            Claim::Unsure(key) => doubtful(key.map_or(Doubt::Turned("Service", "", ""), |(ns, n)| Doubt::Turned("Service", ns, n))),
            Claim::Nobody => match ["pods", "nodes", "services"].into_iter().find_map(unread) {
                Some(doubt) => doubtful(doubt),
                None if self.settings.is_meshed() && is_private(ip) && self.is_outside(ip) => doubtful(Doubt::Mesh),
                None => Stand { outside: self.is_outside(ip), ..found },
            },
        }
    }

    /// Where a pod stands that the record names without its labels. A name says nothing of a time when another pod may have had it, nor
    /// where the address is one that this pod did not have.
    fn named<'w>(&'w self, p: &Party, at: Option<Nanos>) -> Stand<'w> {
        let none = Stand::default();
        let of = |hold: Option<&'w Hold>, t: &'w PodLike| match t.host_network {
            true => Stand { hold, host: true, node: &t.node, pods: 1, ..none },
            false => Stand { hold, node: &t.node, ..none },
        };
        let now = self.pods.get_key_value(&(p.namespace.clone(), p.pod.clone()));
        // Without an address it is the pod that had one of today's.
        let ip = p.ip.or_else(|| now.and_then(|(_, t)| t.ips.first().copied()));
        let found = ip.and_then(|ip| Some((ip, self.addresses.named(ip, &p.namespace, &p.pod, at)?)));
        match found {
            Some((_, Named::Then(hold))) => return of(Some(hold), &hold.pod),
            Some((ip, Named::Labelled(hold))) => {
                return Stand { doubt: Some(self.labels_doubt(ip, hold, at)), ..of(Some(hold), &hold.pod) };
            }
            Some((_, Named::Once)) | None => {}
        }
        let other = p.ip.map(|ip| self.addresses.holder(ip, at, ""));
        if let Some(Holder::Pod(h) | Holder::Labelled(h)) = other {
            let node = now.map_or("", |(_, t)| t.node.as_str());
            return Stand { doubt: Some(Doubt::Another(h)), node, ..none };
        }
        let Some((key, t)) = now else { return none };
        // One that has no address yet, or none any more, may have had this one.
        let may = t.ips.is_empty() && t.started.is_none_or(|started| at.is_none_or(|at| started <= at));
        if may || at.is_none() { of(None, t) } else { Stand { doubt: Some(Doubt::Namesake(key)), ..none } }
    }

    fn labels_doubt<'w>(&'w self, ip: IpAddr, hold: &'w Hold, at: Option<Nanos>) -> Doubt<'w> {
        Doubt::Labels(hold, self.addresses.about(ip, hold, at).fold(7, |all, h| mixed(mixed(all, h.id), u64::from(h.is_known(at)))))
    }

    /// Whether a pod is not on the node that asked its policy. Of a node that nobody describes the name may be spelt another way.
    fn is_elsewhere(&self, hold: &Hold, here: &str) -> bool {
        let node = hold.pod.node.as_str();
        !here.is_empty() && !node.is_empty() && node != here && self.knows_node(here) && self.knows_node(node)
    }

    /// The workload that a pod belongs to, as (kind, name), by its owners and theirs.
    pub fn owner(&self, namespace: &str, pod: &PodLike) -> Option<Key> {
        let mut owner = pod.owner.clone()?;
        for _ in 0..MOST_OWNERS {
            let list = self.workloads.get(namespace).map(Vec::as_slice).unwrap_or_default();
            let known = list.iter().find(|(kind, name, _)| *kind == owner.0 && *name == owner.1);
            match known {
                Some((_, _, workload)) => match &workload.owner {
                    Some(next) => owner = next.clone(),
                    None => break,
                },
                None => {
                    // A ReplicaSet that nobody describes carries its Deployment's name and the hash that its pods have as a label.
                    let hash = pod.labels.get("pod-template-hash").filter(|_| owner.0 == "ReplicaSet");
                    let of = hash.and_then(|h| owner.1.strip_suffix(h.as_str())?.strip_suffix('-').map(str::to_owned));
                    return Some(of.map_or(owner, |name| ("Deployment".to_owned(), name)));
                }
            }
        }
        Some(owner)
    }

    /// Whether an address that no pod, node or service has is certainly none of the cluster's: its pods and nodes are known, and none of
    /// their neighbours has it.
    fn is_outside(&self, ip: IpAddr) -> bool {
        !self.pods.is_empty()
            && self.nodes.iter().next().is_some()
            && can_be_outside(ip)
            && !self.addresses.is_near(ip)
            && !self.nodes.ever().flat_map(|n| &n.pods).any(|range| range.contains(&ip))
    }
}

/// How a record sees its sides.
pub(super) fn seen(o: &Observed) -> [Seen<'_>; 2] {
    // Names of nodes carry the cluster's before them.
    let node = o.node.rsplit('/').next().unwrap_or("");
    let reply = o.reply() == Some(true);
    let denied = matches!(o.verdict, Verdict::Dropped | Verdict::Audit) && !reply;
    let of = |direction, called| {
        let subject = o.side() == Some(direction);
        Seen { at: o.at, here: if subject { node } else { "" }, subject, called, local: subject && denied }
    };
    [of(Direction::Egress, reply), of(Direction::Ingress, !reply)]
}

/// Whether a node is the other side's own; a node whose own policy was asked is its own.
pub(super) fn home(s: &Stand<'_>, seen: Seen<'_>, other: Other<'_>) -> Option<bool> {
    if !s.host || s.node.is_empty() {
        return None;
    }
    match (seen.subject, seen.here, other.node) {
        (true, here, _) => (here.is_empty() || here == s.node).then_some(true),
        // Only its own node asks for somebody who talks with the outside.
        (false, _, _) if other.outside => Some(true),
        (false, _, "") => None,
        (false, _, node) => Some(node == s.node),
    }
}

fn mixed(n: u64, e: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Change, ObjectId};
    use crate::model::observed::L4;
    use crate::world::yaml;
    use std::sync::Arc;

    const CLUSTER: &str = "kind: Node\napiVersion: v1\nmetadata: {name: n1}\nspec: {podCIDR: 10.9.0.0/24}\nstatus: {addresses: [{address: 172.18.0.2}]}\n---\nkind: Node\napiVersion: v1\nmetadata: {name: n2}\nspec: {}\nstatus: {addresses: [{address: 172.18.0.3}, {address: 'fd12::3'}]}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: cart-75d-x, namespace: shop, labels: {app: cart, pod-template-hash: 75d}, ownerReferences: [{kind: ReplicaSet, name: cart-75d}]}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.7}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: db-0, namespace: shop, labels: {app: db}}\nspec: {nodeName: n2, containers: [{ports: [{name: pg, containerPort: 5433}]}]}\nstatus: {podIP: 10.0.0.8}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: agent, namespace: mon}\nspec: {nodeName: n2, hostNetwork: true}\nstatus: {podIP: 172.18.0.3}\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: proxy, namespace: mon}\nspec: {nodeName: n2, hostNetwork: true}\nstatus: {podIP: 172.18.0.3}\n---\nkind: Service\napiVersion: v1\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.7, externalIPs: [198.51.100.7], selector: {app: db}, ports: [{port: 5432, targetPort: pg}]}\n";

    fn world(more: &str) -> World {
        let mut w = World::new();
        let (docs, faults) = yaml::read("w.yaml", &format!("{CLUSTER}---\n{more}"));
        assert!(faults.is_empty(), "{faults:?}");
        docs.into_iter().for_each(|d| w.apply(&Change::Apply(Arc::new(d))));
        w
    }

    fn bare(ip: &str) -> Party {
        Party { ip: Some(ip.parse().unwrap()), ..Party::default() }
    }

    fn record(src: &str, dst: &str, node: &str, direction: Option<Direction>) -> Observed {
        let (src, dst, node, l4) = (bare(src), bare(dst), node.to_owned(), Some(L4::Tcp));
        Observed { verdict: Verdict::Dropped, src, dst, node, direction, l4, dst_port: 5432, ..Observed::default() }
    }

    fn labels(w: &World, o: &Observed) -> [String; 2] {
        w.endpoints(o).map(|e| e.labels.0.first().map_or_else(|| "-".to_owned(), ToString::to_string))
    }

    #[test]
    fn a_node_is_host_to_its_own_pods_and_remote_to_others() {
        let w = world("");
        let told = |src, dst, node, d| labels(&w, &record(src, dst, node, d));
        let egress = Some(Direction::Egress);
        assert_eq!(told("10.0.0.7", "172.18.0.3", "default/n1", egress)[1], "reserved:remote-node");
        assert_eq!(told("10.0.0.8", "fd12::3", "n2", egress)[1], "reserved:host");
        assert_eq!(told("10.0.0.7", "172.18.0.3", "", None)[1], "reserved:remote-node", "by the pod's own node");
        assert_eq!(told("172.18.0.3", "10.0.0.8", "", None)[0], "reserved:host");
        assert_eq!(told("172.18.0.2", "172.18.0.3", "n1", egress), ["reserved:host", "reserved:remote-node"], "its own policy was asked");
        assert_eq!(told("10.0.0.99", "172.18.0.3", "", None), ["-", "-"], "whose node is not known");
        let [_, e] = w.endpoints(&record("10.0.0.7", "172.18.0.3", "n1", egress));
        assert_eq!((e.display.as_str(), e.host_network, e.maybe_apiserver), ("node n2 (one of 2)", true, true));
        let api =
            "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: kubernetes}\nendpoints: [{addresses: [172.18.0.3]}]\n";
        let [_, e] = world(api).endpoints(&record("10.0.0.7", "172.18.0.3", "n1", egress));
        assert_eq!((e.labels.reserved("kube-apiserver"), e.maybe_apiserver), (true, false));
    }

    #[test]
    fn only_what_cannot_be_the_clusters_is_outside() {
        let w = world("");
        for (ip, outside) in [
            ("1.2.3.4", true),
            ("192.168.7.7", true),
            ("2001:db8::1", true),
            ("169.254.169.254", true),
            ("10.0.200.1", false),
            ("10.9.0.200", false),
            ("10.96.200.1", false),
            ("169.254.20.10", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(w.is_outside(ip.parse().unwrap()), outside, "{ip}");
        }
        assert!(!World::new().is_outside("1.2.3.4".parse().unwrap()), "a cluster that nobody described");
    }

    #[test]
    fn a_private_address_may_be_another_clusters_of_the_mesh() {
        let meshed = |id: &str| {
            let of = format!(
                "kind: ConfigMap\napiVersion: v1\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {{cluster-id: '{id}'}}\n"
            );
            let w = world(&of);
            ["10.200.1.5", "100.64.0.9", "fd77::1", "1.2.3.4"].map(|ip| labels(&w, &record(ip, "10.0.0.8", "n2", None))[0].clone())
        };
        assert_eq!(meshed("1"), ["-", "-", "-", "reserved:world"]);
        assert_eq!(meshed("0"), ["reserved:world"; 4]);
    }

    #[test]
    fn behind_a_service_stands_what_policies_judge() {
        let w = world("");
        for ip in ["10.96.0.7", "198.51.100.7"] {
            let [_, e] = w.endpoints(&record("10.0.0.7", ip, "n1", Some(Direction::Egress)));
            assert_eq!((e.labels.get(None, "app"), e.display.as_str(), e.namespace.as_str()), (Some("db"), "shop/db", "shop"));
            assert_eq!(
                (e.listens(Some(L4::Tcp), 5432), e.listens(Some(L4::Tcp), 1), e.listens(Some(L4::Udp), 5432)),
                (Some(5433), None, None)
            );
        }
        let other = "kind: Pod\napiVersion: v1\nmetadata: {name: db-1, namespace: shop, labels: {app: db, role: standby}}\nspec: {}\nstatus: {podIP: 10.0.0.9}\n";
        let [_, e] = world(other).endpoints(&record("10.0.0.7", "10.96.0.7", "n1", Some(Direction::Egress)));
        assert!(!e.known && e.frontend.is_none(), "which of two kinds it was, nobody knows");
    }

    #[test]
    fn what_a_record_says_of_itself_is_not_doubted() {
        let w = world("");
        let mut o = record("10.0.0.7", "10.0.0.8", "n1", Some(Direction::Egress));
        o.dst.labels = vec!["reserved:world".into()];
        o.src.identity = 2;
        assert!(w.stands(&o).iter().all(|s| !s.names()));
        assert_eq!(labels(&w, &o), ["reserved:world", "reserved:world"]);
    }

    #[test]
    fn a_pods_owner_is_the_topmost() {
        let w = world("");
        let pod = w.pod("shop", "cart-75d-x").unwrap();
        assert_eq!(w.owner("shop", pod), Some(("Deployment".into(), "cart".into())), "by the hash, where nobody describes the ReplicaSet");
        let sets = "kind: ReplicaSet\napiVersion: apps/v1\nmetadata: {name: cart-75d, namespace: shop, ownerReferences: [{kind: Rollout, name: canary}]}\nspec: {template: {}}\n";
        assert_eq!(world(sets).owner("shop", pod), Some(("Rollout".into(), "canary".into())));
    }

    #[test]
    fn a_pod_that_is_gone_is_still_who_it_was() {
        let mut w = world("");
        let at = |s: i64| Some(Nanos(s * Nanos::SECOND));
        let gone = ObjectId { group: String::new(), kind: "Pod".into(), namespace: "shop".into(), name: "db-0".into() };
        w.apply_at(&Change::Remove(gone), at(100));
        let of = |w: &World, s| w.endpoints(&Observed { at: at(s), ..record("10.0.0.7", "10.0.0.8", "n1", None) })[1].pod.clone();
        assert_eq!([of(&w, 50), of(&w, 150)], ["db-0", ""]);
    }
}
