//! Which nodes answer, as Relay says it. Owns the last word on each node and the bound; a node that is away sends no flows, so what
//! its pods did is missing without any loss being reported.
use crate::model::ids::Ids;
use crate::model::input::Link;
use crate::wire::pb::relay::{NodeState, NodeStatusEvent};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes remembered: names come from the network, and the largest clusters have 5 000. Words on further ones are counted.
const MOST_NODES: usize = 16_384;

/// Characters of what is said of a node; the rest is left out.
const MOST_SAID: usize = 500;

/// A node that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Relay has an error of it, instead of no connection to it.
    pub failed: bool,
    /// What Relay says of it, or the beginning of that; may be empty.
    pub message: Arc<str>,
}

/// Nodes by who told of them and their names.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: BTreeMap<(Arc<str>, String), Option<Away>>,
    /// Words on nodes that found no room, or that no node can be called by.
    pub left_out: u64,
}

impl Nodes {
    /// Takes a word of a server, or of a file.
    pub fn take(&mut self, from: &Arc<str>, event: &NodeStatusEvent) {
        let state = event.state_change();
        let message: Arc<str> = Arc::from(beginning(&event.message));
        for name in &event.node_names {
            if name.len() > Ids::LONGEST {
                self.left_out += 1;
                continue;
            }
            let key = (from.clone(), name.clone());
            let away = match state {
                NodeState::UnknownNodeState => continue,
                NodeState::NodeGone => {
                    // It is no part of the cluster any more: nobody waits for it.
                    self.nodes.remove(&key);
                    continue;
                }
                NodeState::NodeConnected => None,
                NodeState::NodeUnavailable | NodeState::NodeError => {
                    Some(Away { failed: state == NodeState::NodeError, message: message.clone() })
                }
            };
            if self.nodes.len() >= MOST_NODES && !self.nodes.contains_key(&key) {
                self.left_out += 1;
                continue;
            }
            self.nodes.insert(key, away);
        }
    }

    /// A connection that is made anew tells of all nodes again.
    pub fn link(&mut self, link: &Link) {
        if let Link::Connecting { server } | Link::Down { server, .. } | Link::Lost { server, .. } | Link::Left { server } = link {
            self.nodes.retain(|(from, _), _| from != server);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Those that do not answer, by name.
    pub fn away(&self) -> impl Iterator<Item = (&str, &Away)> {
        self.nodes.iter().filter_map(|((_, name), away)| Some((name.as_str(), away.as_ref()?)))
    }
}

/// As much of what is said as is kept.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(MOST_SAID) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(state: NodeState, names: &[&str], message: &str) -> NodeStatusEvent {
        NodeStatusEvent {
            state_change: state.into(),
            node_names: names.iter().map(|n| (*n).to_owned()).collect(),
            message: message.to_owned(),
        }
    }

    fn away(n: &Nodes) -> Vec<&str> {
        n.away().map(|a| a.0).collect()
    }

    #[test]
    fn the_last_word_on_a_node_stands_and_one_that_is_gone_is_not_missed() {
        let (mut n, relay) = (Nodes::default(), Arc::from("relay"));
        n.take(&relay, &word(NodeState::NodeConnected, &["a", "b", "c"], ""));
        n.take(&relay, &word(NodeState::NodeUnavailable, &["b", "c"], "no route"));
        assert_eq!((n.len(), away(&n)), (3, vec!["b", "c"]));
        n.take(&relay, &word(NodeState::NodeConnected, &["b"], ""));
        n.take(&relay, &word(NodeState::NodeGone, &["c"], ""));
        n.take(&relay, &word(NodeState::NodeError, &["a"], "EOF"));
        assert_eq!((n.len(), away(&n)), (2, vec!["a"]));
        assert!(n.away().all(|(_, a)| a.failed && &*a.message == "EOF"));
    }

    #[test]
    fn a_connection_made_anew_forgets_what_its_server_said_alone() {
        let (mut n, one, two) = (Nodes::default(), Arc::from("one"), Arc::from("two"));
        n.take(&one, &word(NodeState::NodeUnavailable, &["a"], ""));
        n.take(&two, &word(NodeState::NodeUnavailable, &["b"], ""));
        n.link(&Link::Connected { server: one.clone() });
        assert_eq!(away(&n), ["a", "b"], "what came first is not lost");
        n.link(&Link::Connecting { server: one });
        assert_eq!(away(&n), ["b"]);
    }

    #[test]
    fn invented_nodes_do_not_fill_the_memory_and_are_counted() {
        let (mut n, relay) = (Nodes::default(), Arc::from("relay"));
        let names: Vec<String> = (0..MOST_NODES + 10).map(|i| format!("n{i}")).collect();
        n.take(&relay, &word(NodeState::NodeUnavailable, &names.iter().map(String::as_str).collect::<Vec<_>>(), ""));
        assert_eq!((n.len(), n.left_out), (MOST_NODES, 10));
    }
    #[test]
    fn of_words_on_nodes_only_so_much_is_kept_as_a_name_or_a_reason_has() {
        let (mut n, relay) = (Nodes::default(), Arc::from("relay"));
        let long = "é".repeat(1 << 20);
        n.take(&relay, &word(NodeState::NodeError, &["a", &long], &long));
        assert_eq!((away(&n), n.left_out), (vec!["a"], 1));
        assert!(n.away().all(|(_, a)| a.message.chars().count() == MOST_SAID + 1 && a.message.ends_with("é…")));
    }
}
