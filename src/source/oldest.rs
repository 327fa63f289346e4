//! How far back the memory of a server goes, of each of its nodes: asked once a connection stands again, beside what else it carries.
//!
//! Owns the question and the reading of its answer. What that means for what was missed belongs to `overlap`.
use super::hubble::get_flows;
use super::overlap::MOST;
use super::resume;
use super::server::Server;
use crate::model::ids::Ids;
use crate::model::time::Nanos;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::observer::{GetFlowsRequest, GetFlowsResponse};
use crate::wire::pb::relay::NodeState;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// The oldest flow held of each node.
#[derive(Debug, Default)]
pub struct Oldest {
    nodes: HashMap<Box<[u8]>, Nanos>,
    flows: usize,
    /// The nodes that a server which merges some says it has reached.
    reached: HashSet<String>,
    /// The answer came to its end.
    whole: bool,
}

impl Oldest {
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// A flow of a node is held; names that no node can have are passed over.
    pub fn holds(&mut self, node: &[u8], at: Nanos) {
        self.flows += 1;
        if node.len() > Ids::LONGEST {
            return;
        }
        let oldest = self.nodes.entry(node.into()).or_insert(at);
        *oldest = at.min(*oldest);
    }

    fn take(&mut self, message: &[u8]) {
        if let Some((node, at)) = resume::flow_of(message) {
            self.holds(node, at);
        } else if let Ok(GetFlowsResponse { response_types: Some(ResponseTypes::NodeStatus(s)), .. }) = GetFlowsResponse::decode(message)
            && s.state_change() == NodeState::NodeConnected
        {
            self.reached.extend(s.node_names);
        }
    }

    /// The oldest of a node; `None`: nothing was said of it.
    pub fn of(&self, node: &[u8]) -> Option<Nanos> {
        let own = self.nodes.get(node);
        // Relay answers with one flow of each node. Who answers with one alone keeps one memory for all that it has reached.
        let shared = || self.nodes.values().next().filter(|_| self.whole && self.flows == 1 && self.has_reached(node));
        own.or_else(shared).copied()
    }

    fn has_reached(&self, node: &[u8]) -> bool {
        // A node's flows carry the cluster's name before its own; a list of nodes leaves that out for the cluster `default`.
        let is = |name: &String| node.strip_suffix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"));
        self.reached.is_empty() || self.reached.iter().any(is)
    }
}

/// The questions of one connection, one at a time.
pub struct Inquiry {
    server: Server,
    channel: Channel,
    running: JoinSet<Option<Oldest>>,
    pause: Duration,
}

impl Inquiry {
    pub fn new(server: Server, channel: Channel) -> Self {
        Self { server, channel, running: JoinSet::new(), pause: Duration::ZERO }
    }

    /// Asks, if no answer is waited for; what comes up soon after a question is gathered for the next.
    pub fn ask(&mut self) {
        if !self.running.is_empty() {
            return;
        }
        let pause = std::mem::replace(&mut self.pause, self.server.timing.connect);
        let (server, channel) = (self.server.clone(), self.channel.clone());
        // A task of its own: a reader that holds us up makes no answer late.
        self.running.spawn(async move {
            tokio::time::sleep(pause).await;
            ask(&server, channel).await
        });
    }

    /// The answer, if it is there. `Some(None)`: there is none.
    pub fn ready(&mut self) -> Option<Option<Oldest>> {
        if self.running.is_empty() {
            return None;
        }
        self.running.try_join_next().map(|answer| answer.ok().flatten())
    }

    /// The answer, once it is there; never while nothing is asked.
    pub async fn answer(&mut self) -> Option<Oldest> {
        match self.running.join_next().await {
            Some(answer) => answer.ok().flatten(),
            None => std::future::pending().await,
        }
    }
}

/// A node that does not answer must not make the others' answers void: what has come by then is taken.
async fn ask(server: &Server, channel: Channel) -> Option<Oldest> {
    let mut oldest = Oldest::default();
    let wire = GetFlowsRequest { number: 1, first: true, ..Default::default() };
    let reading = async {
        let mut stream = get_flows(channel, server.request(wire)).await?;
        // Of each node a flow, and what is said besides; a server that sends more has not understood.
        for _ in 0..2 * MOST {
            match stream.message().await? {
                Some(message) => oldest.take(&message),
                None => {
                    oldest.whole = true;
                    break;
                }
            }
        }
        Ok::<_, tonic::Status>(())
    };
    // Whether it failed or took too long shows in what there is.
    let _ = tokio::time::timeout(server.timing.connect, reading).await;
    (oldest.whole || oldest.flows > 0).then_some(oldest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::{flow, relay};

    fn flow(node: &str, second: i64) -> Vec<u8> {
        let time = Some(prost_types::Timestamp { seconds: second, nanos: 0 });
        let response_types = Some(ResponseTypes::Flow(flow::Flow::default()));
        GetFlowsResponse { node_name: node.to_owned(), time, response_types }.encode_to_vec()
    }

    fn status(state: NodeState, nodes: &[&str]) -> Vec<u8> {
        let node_names = nodes.iter().map(|&n| n.to_owned()).collect();
        let status = relay::NodeStatusEvent { state_change: state.into(), node_names, ..Default::default() };
        GetFlowsResponse { response_types: Some(ResponseTypes::NodeStatus(status)), ..Default::default() }.encode_to_vec()
    }

    fn answer(messages: &[Vec<u8>]) -> Oldest {
        let mut oldest = Oldest { whole: true, ..Oldest::default() };
        messages.iter().for_each(|m| oldest.take(m));
        oldest
    }

    fn seconds(o: &Oldest, nodes: &[&str]) -> Vec<Option<i64>> {
        nodes.iter().map(|n| o.of(n.as_bytes()).map(|at| at.parts().0)).collect()
    }

    #[test]
    fn who_answers_with_several_flows_speaks_of_these_nodes_alone() {
        let o = answer(&[flow("a", 5), flow("b", 9), flow("b", 7), b"\xff\xff".to_vec()]);
        assert_eq!(seconds(&o, &["a", "b", "c"]), [Some(5), Some(7), None]);
    }

    #[test]
    fn one_memory_of_several_nodes_speaks_of_all_of_them() {
        let o = answer(&[flow("a", 5)]);
        assert_eq!(seconds(&o, &["a", "b", ""]), [Some(5), Some(5), Some(5)]);
        assert_eq!(seconds(&Oldest { whole: false, ..o }, &["a", "b"]), [Some(5), None], "others may have been cut off");
    }

    #[test]
    fn a_relay_that_has_reached_one_node_speaks_of_no_other() {
        let o = answer(&[status(NodeState::NodeConnected, &["a", "c"]), status(NodeState::NodeUnavailable, &["b"]), flow("default/a", 5)]);
        assert_eq!(seconds(&o, &["default/a", "default/b", "b", "c", "ac"]), [Some(5), None, None, Some(5), None]);
    }
}
