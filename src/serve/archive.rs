//! What a recording holds, ready to be served: its flows, its events, and the nodes and namespaces it names.
//!
//! Owns what is learnt from a recording. Must not read one: what is served is handed in, line by line.
use super::ring::Ring;
use crate::model::time::Nanos;
use crate::wire::decode::Decoded;
use crate::wire::pb::flow::Flow;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::observer::{GetFlowsResponse, Namespace, Node};
use crate::wire::pb::relay::NodeState;
use prost_types::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are kept: they come from the file, and a hostile one has more of them than the largest cluster (5 000 nodes).
const MOST_NAMES: usize = 16_384;

/// Three rings, and the names in them.
#[derive(Debug)]
pub struct Archive {
    pub flows: Arc<Ring>,
    pub agent: Arc<Ring>,
    pub debug: Arc<Ring>,
    names: Mutex<Names>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Held,
    /// Held, and the oldest fell out for it.
    Evicting,
    /// Nothing that an observer is asked for.
    Nothing,
}

#[derive(Debug, Default)]
struct Names {
    /// Node → how many flows it has reported.
    nodes: BTreeMap<String, u64>,
    /// (cluster, namespace).
    namespaces: BTreeSet<(String, String)>,
}

impl Archive {
    /// Holds at most `capacity` responses, and as many events of either other sort.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { flows: Ring::new(capacity), agent: Ring::new(capacity), debug: Ring::new(capacity), names: Mutex::default() })
    }

    /// Takes in a line, its times moved on by `later` ns.
    pub fn take(&self, line: Decoded, later: i64) -> Taken {
        let evicting = match line {
            Decoded::Response(mut r) => {
                self.learn(&r);
                shift(&mut r.time, later);
                if let Some(ResponseTypes::Flow(f)) = &mut r.response_types {
                    shift(&mut f.time, later);
                }
                self.flows.push(time(r.time.as_ref()), &r)
            }
            Decoded::AgentEvent(mut r) => {
                shift(&mut r.time, later);
                self.agent.push(time(r.time.as_ref()), &r)
            }
            Decoded::DebugEvent(mut r) => {
                shift(&mut r.time, later);
                self.debug.push(time(r.time.as_ref()), &r)
            }
            Decoded::World(_) | Decoded::Blank => return Taken::Nothing,
        };
        if evicting { Taken::Evicting } else { Taken::Held }
    }

    fn learn(&self, r: &GetFlowsResponse) {
        let Some(ResponseTypes::Flow(flow)) = &r.response_types else { return };
        // A poisoned lock only means that another thread died between two whole steps.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let node = if flow.node_name.is_empty() { &r.node_name } else { &flow.node_name };
        if let Some(n) = names.nodes.get_mut(node) {
            *n += 1;
        } else if !node.is_empty() && names.nodes.len() < MOST_NAMES {
            names.nodes.insert(node.clone(), 1);
        }
        for (cluster, namespace) in sides(flow) {
            if names.namespaces.len() < MOST_NAMES {
                names.namespaces.insert((cluster.to_owned(), namespace.to_owned()));
            }
        }
    }

    /// The nodes that have reported flows. Where they are is not known, nor what their own rings hold.
    pub fn nodes(&self, version: &str, uptime_ns: u64) -> Vec<Node> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let node = |(name, seen): (&String, &u64)| Node {
            name: name.clone(),
            version: version.to_owned(),
            state: NodeState::NodeConnected.into(),
            uptime_ns,
            seen_flows: *seen,
            ..Node::default()
        };
        names.nodes.iter().map(node).collect()
    }

    pub fn namespaces(&self) -> Vec<Namespace> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.namespaces.iter().map(|(c, n)| Namespace { cluster: c.clone(), namespace: n.clone() }).collect()
    }
}

fn sides(flow: &Flow) -> impl Iterator<Item = (&str, &str)> {
    [&flow.source, &flow.destination]
        .into_iter()
        .flatten()
        .map(|e| (e.cluster_name.as_str(), e.namespace.as_str()))
        .filter(|(_, namespace)| !namespace.is_empty())
}

/// When a line was said; 1970 where it does not say.
pub fn time(t: Option<&Timestamp>) -> Nanos {
    t.map_or_else(Nanos::default, |t| Nanos::from_parts(t.seconds, t.nanos))
}

fn shift(t: &mut Option<Timestamp>, later: i64) {
    if later != 0
        && let Some(t) = t
    {
        let (seconds, nanos) = Nanos::from_parts(t.seconds, t.nanos).plus(later).parts();
        *t = Timestamp { seconds, nanos };
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Read;
    use super::*;
    use crate::wire::json::read_line;
    use crate::wire::note::Notes;
    use prost::Message as _;

    fn line(text: &str) -> Decoded {
        read_line(text.as_bytes(), &mut Notes::default()).unwrap()
    }

    #[test]
    fn names_are_learnt_and_times_moved() {
        let a = Archive::new(10);
        let flow = r#"{"flow":{"time":"2026-01-01T00:00:00Z","node_name":"c/n1","source":{"namespace":"b","cluster_name":"c"},"destination":{"namespace":"a"}},"node_name":"c/n1","time":"2026-01-01T00:00:00Z"}"#;
        let taken = |text: &str, later| a.take(line(text), later);
        assert_eq!((taken(flow, 0), taken(flow, 1_500_000_000)), (Taken::Held, Taken::Held));
        let agent = r#"{"agent_event":{},"time":"2026-01-01T00:00:00Z"}"#;
        assert_eq!((taken(agent, 0), taken(r#"{"debug_event":{}}"#, 0)), (Taken::Held, Taken::Held));
        assert_eq!((taken(r#"{"world":{}}"#, 0), a.take(Decoded::Blank, 0)), (Taken::Nothing, Taken::Nothing));
        let nodes = a.nodes("v", 5);
        assert_eq!((nodes.len(), nodes[0].name.as_str(), nodes[0].seen_flows, nodes[0].max_flows), (1, "c/n1", 2, 0));
        let namespaces: Vec<_> = a.namespaces().into_iter().map(|n| (n.cluster, n.namespace)).collect();
        assert_eq!(namespaces, [(String::new(), "a".to_owned()), ("c".to_owned(), "b".to_owned())]);
        assert_eq!((a.flows.bounds(), a.agent.bounds(), a.debug.bounds()), ((0, 2), (0, 1), (0, 1)));
        let Read::Entry(second) = a.flows.read(1) else { panic!("no second flow") };
        let r = GetFlowsResponse::decode(second.bytes).unwrap();
        let Some(ResponseTypes::Flow(f)) = r.response_types else { panic!("no flow") };
        let full = Archive::new(1);
        assert_eq!((full.take(line(flow), 0), full.take(line(flow), 0)), (Taken::Held, Taken::Evicting));
        assert_eq!((second.at.to_string().as_str(), time(f.time.as_ref())), ("2026-01-01T00:00:01.500Z", second.at));
    }
}
