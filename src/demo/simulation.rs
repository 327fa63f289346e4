//! The endless stream: conversations begin, their records come out in the order of time.
//!
//! Owns the schedule. Memory is bounded: what waits is the records of the conversations of the last few seconds.
use super::cluster::{Actor, Cluster, outside};
use super::rng::Rng;
use super::talk::{self, Moment};
use super::traffic::{EDGES, Edge};
use crate::model::time::Nanos;
use crate::wire::pb::flow::{Flow, LostEvent, LostEventSource};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use prost_types::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const MS: i64 = 1_000_000;
/// The whole cluster's pace, as a percentage of the table's pauses: five minutes of it have to fit into a server's ring.
const PACE: i64 = 172;

/// What is due.
enum Due {
    /// A conversation over this line of the table begins.
    Begin(usize),
    Record {
        node: usize,
        flow: Box<Flow>,
    },
    /// A node's perf buffer ran over.
    Lost,
}

/// Ordered by time, then by the order of making: two things at one moment come out the same way every time.
struct Item {
    at: i64,
    serial: u64,
    due: Due,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// The simulated cluster in motion.
pub struct Simulation {
    cluster: Cluster,
    rng: Rng,
    heap: BinaryHeap<Reverse<Item>>,
    serial: u64,
    start: i64,
    last: i64,
}

impl Simulation {
    pub fn new(seed: u64, start: Nanos) -> Self {
        let mut sim = Self {
            cluster: Cluster::new(seed),
            rng: Rng::fork(seed, "traffic"),
            heap: BinaryHeap::new(),
            serial: 0,
            start: start.0,
            last: start.0.saturating_sub(1),
        };
        let wrong = i64::try_from(EDGES.iter().filter(|e| e.mistake.is_some()).count()).unwrap_or(1).max(1);
        let mut turn = 0;
        for (i, e) in EDGES.iter().enumerate() {
            // Mistakes one after the other over the first three and a half seconds, so that each shows soon; the rest anywhere in its period.
            let first = if e.mistake.is_some() {
                turn += 1;
                turn * 3_500 * MS / wrong
            } else {
                sim.rng.between(0, e.every_ms * MS)
            };
            sim.later(start.0.saturating_add(first), Due::Begin(i));
        }
        let lost = sim.rng.between(15_000, 40_000) * MS;
        sim.later(start.0.saturating_add(lost), Due::Lost);
        sim
    }

    /// The next record. Times never go back; they are strictly later than the one before.
    #[expect(clippy::should_implement_trait, reason = "the stream has no end, so an Option would be a lie")]
    pub fn next(&mut self) -> (Nanos, GetFlowsResponse) {
        loop {
            let Some(Reverse(item)) = self.heap.pop() else {
                // Every Begin schedules its next one, so this is only reached if the table is empty.
                return (Nanos(self.last), GetFlowsResponse::default());
            };
            match item.due {
                Due::Begin(i) => self.begin(item.at, i),
                Due::Record { node, flow } => return self.record(item.at, node, *flow),
                Due::Lost => {
                    let next = self.rng.between(25_000, 60_000) * MS;
                    self.later(item.at.saturating_add(next), Due::Lost);
                    return self.lost(item.at);
                }
            }
        }
    }

    fn later(&mut self, at: i64, due: Due) {
        self.serial += 1;
        self.heap.push(Reverse(Item { at, serial: self.serial, due }));
    }

    fn begin(&mut self, at: i64, index: usize) {
        let Some(edge) = EDGES.get(index) else { return };
        let pause = self.pause(at, edge);
        self.later(at.saturating_add(pause), Due::Begin(index));
        let Some((src, dst)) = self.ends(edge) else { return };
        for Moment { after, node, flow } in talk::conversation(&self.cluster, edge, src, dst, &mut self.rng) {
            self.later(at.saturating_add(after), Due::Record { node, flow: Box::new(flow) });
        }
    }

    /// Until the next conversation of the same kind: mistakes keep their time, the rest comes in waves.
    fn pause(&mut self, at: i64, edge: &Edge) -> i64 {
        let mean = edge.every_ms * MS;
        if edge.mistake.is_some() {
            return self.rng.between(mean * 92 / 100, mean * 105 / 100);
        }
        // A rush of a second and a half every twelve.
        let rush = at.saturating_sub(self.start).rem_euclid(12_000 * MS) > 10_500 * MS;
        let mean = mean * PACE / 100 / if rush { 3 } else { 1 };
        self.rng.between(mean * 3 / 10, mean * 17 / 10).max(MS)
    }

    fn ends(&mut self, edge: &Edge) -> Option<(Actor, Actor)> {
        let dst = self.actor(edge.to)?;
        let src = match edge.from {
            "host" => Actor::Host(self.cluster.node_of(&dst)?),
            name => self.actor(name)?,
        };
        Some((src, dst))
    }

    fn actor(&mut self, name: &str) -> Option<Actor> {
        match self.cluster.pod(name, &mut self.rng) {
            Some(pod) => Some(Actor::Pod(pod)),
            None => outside(name, &mut self.rng).map(Actor::Outside),
        }
    }

    /// The moment, later than every one before.
    fn stamp(&mut self, at: i64) -> Timestamp {
        self.last = at.max(self.last.saturating_add(1));
        let (seconds, nanos) = Nanos(self.last).parts();
        Timestamp { seconds, nanos }
    }

    fn node_name(&self, node: usize) -> String {
        self.cluster.nodes.get(node).map(|n| n.name.to_owned()).unwrap_or_default()
    }

    fn record(&mut self, at: i64, node: usize, mut flow: Flow) -> (Nanos, GetFlowsResponse) {
        let time = self.stamp(at);
        flow.time = Some(time);
        flow.uuid = self.rng.uuid();
        let node_name = self.node_name(node);
        (Nanos(self.last), GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), node_name, time: Some(time) })
    }

    fn lost(&mut self, at: i64) -> (Nanos, GetFlowsResponse) {
        let time = self.stamp(at);
        let node = usize::try_from(self.rng.below(self.cluster.nodes.len() as u64)).unwrap_or(0);
        let lost = LostEvent {
            source: LostEventSource::PerfEventRingBuffer.into(),
            num_events_lost: 1 + self.rng.below(24),
            cpu: Some(i32::try_from(self.rng.below(4)).unwrap_or(0)),
            ..LostEvent::default()
        };
        let node_name = self.node_name(node);
        (Nanos(self.last), GetFlowsResponse { response_types: Some(ResponseTypes::LostEvents(lost)), node_name, time: Some(time) })
    }
}
