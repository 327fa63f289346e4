//! Nodes, now and before. Owns which node an address was of at a time; pods on a node's network are not its business.
use super::World;
use super::kept::{Addressed, Claim, Own, Reach};
use super::objects::Node;
use crate::model::doc;
use crate::model::time::Nanos;
use std::net::IpAddr;

impl Addressed for Node {
    fn addresses(&self) -> impl Iterator<Item = Own> {
        self.ips.iter().map(|ip| (*ip, Reach::Outer))
    }
}

impl World {
    pub(super) fn take_node(&mut self, name: &str, root: &doc::Node, at: Option<Nanos>) -> bool {
        let first = at.is_some_and(|at| self.kinds.is_first("nodes", at));
        self.nodes.set(&name.to_owned(), Some(Node::read(root)), at, first)
    }

    /// Every node that there is, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter()
    }

    /// What the node with this address was at a time, `None` asks for now: more than one thing close to a change, or where several nodes have
    /// it, and none where that is not certain.
    pub fn nodes_at(&self, ip: IpAddr, at: Option<Nanos>) -> Vec<&Node> {
        match self.node_claim(ip, at) {
            Claim::One(_) | Claim::Several(_) => self.nodes.having((ip, Reach::Outer), at).collect(),
            Claim::Unsure(_) | Claim::Nobody => Vec::new(),
        }
    }

    /// Whether there is a node of this name, or was.
    pub(super) fn knows_node(&self, name: &str) -> bool {
        self.nodes.is_known(name)
    }

    pub(super) fn node_claim(&self, ip: IpAddr, at: Option<Nanos>) -> Claim<'_, String> {
        // Before it came its address may have been anybody's outside.
        self.nodes.claim((ip, Reach::Outer), at, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Change;
    use crate::model::observed::{Direction, Observed, Party, Verdict};
    use crate::world::yaml;
    use std::sync::Arc;

    const SHARED: &str = "172.18.0.2";

    fn take(w: &mut World, name: &str, role: &str, ip: &str, at: Option<i64>) {
        let text = format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\nspec: {{}}\nstatus: {{addresses: [{{address: {ip}}}]}}\n"
        );
        for doc in yaml::read("nodes.yaml", &text).0 {
            w.apply_at(&Change::Apply(Arc::new(doc)), at.map(|s| Nanos(s * Nanos::SECOND)));
        }
    }

    fn to(ip: &str, at: Option<i64>) -> Observed {
        let party = |ip: &str| Party { ip: ip.parse().ok(), ..Party::default() };
        let at = at.map(|s| Nanos(s * Nanos::SECOND));
        let (src, dst) = (party("10.0.0.9"), party(ip));
        Observed { verdict: Verdict::Dropped, node: "n1".into(), direction: Some(Direction::Egress), at, src, dst, ..Observed::default() }
    }

    #[test]
    fn of_an_address_that_two_nodes_have_the_labels_of_both_are_told_and_neither_is_named() {
        let mut w = World::new();
        take(&mut w, "n1", "db", SHARED, None);
        take(&mut w, "n2", "web", SHARED, None);
        take(&mut w, "n3", "db", "172.18.0.3", None);
        let roles = |ip: &str| w.nodes_at(ip.parse().unwrap(), None).iter().map(|n| n.labels["role"].as_str()).collect::<Vec<_>>();
        assert_eq!((roles(SHARED), roles("172.18.0.3")), (vec!["db", "web"], vec!["db"]));
        let told = |ip| w.endpoints(&to(ip, None))[1].labels.0.first().map(ToString::to_string);
        assert_eq!((told(SHARED), told("172.18.0.3")), (None, Some("reserved:remote-node".to_owned())));
    }

    #[test]
    fn who_had_an_address_that_a_node_has_forgotten_is_not_taken_for_somebody_outside() {
        let mut w = World::new();
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.9}\n";
        yaml::read("pod.yaml", pod).0.into_iter().for_each(|doc| w.apply(&Change::Apply(Arc::new(doc))));
        take(&mut w, "n1", "db", SHARED, None);
        take(&mut w, "n2", "r", "203.0.113.7", Some(0));
        for n in 1..20 {
            take(&mut w, "n2", &format!("r{n}"), "203.0.113.8", Some(1_000 * n));
        }
        let of = |w: &World, at| w.stands(&to("203.0.113.7", Some(at)))[1].outside;
        assert_eq!((of(&w, 500), of(&w, 50_000)), (false, true));
        let [_, then] = w.stands(&to("203.0.113.7", Some(500)));
        assert_eq!(then.doubt(&Party::default()).and_then(|(_, fact)| fact), Some("version:Node n2".to_owned()));
    }
}
