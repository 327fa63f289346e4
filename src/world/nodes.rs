//! Nodes, now and before. Owns which node an address was of at a time; pods on a node's network are not its business.
use super::World;
use super::kept::{Addressed, Claim};
use super::objects::Node;
use crate::model::doc;
use crate::model::time::Nanos;
use std::net::IpAddr;

impl Addressed for Node {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ips.iter().copied()
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

    /// The node with this address at a time, `None` asks for now: more than one thing close to a change, and none where that is not certain.
    pub fn nodes_at(&self, ip: IpAddr, at: Option<Nanos>) -> Vec<&Node> {
        match self.node_claim(ip, at) {
            Claim::One(name) | Claim::Several(name) => self.nodes.about(name, at).into_iter().flatten().flatten().collect(),
            Claim::Unsure(_) | Claim::Nobody => Vec::new(),
        }
    }

    /// Whether there is a node of this name, or was.
    pub(super) fn knows_node(&self, name: &str) -> bool {
        self.nodes.is_known(name)
    }

    pub(super) fn node_claim(&self, ip: IpAddr, at: Option<Nanos>) -> Claim<'_, String> {
        // Before it came its address may have been anybody's outside.
        self.nodes.claim(ip, at, false, |node| node.ips.contains(&ip))
    }
}
