//! One conversation, packet by packet: what the agents on both nodes record of it, and when.
//!
//! Owns the order and the pauses (handshakes, retransmits, proxy, answers). Must not choose who talks.
use super::cluster::{Actor, Cluster};
use super::record::{self, Flags, Packet, Pair};
use super::rng::Rng;
use super::traffic::{Call, Edge, Gate, Talk};
use crate::wire::pb::flow as pb;
use pb::{TraceObservationPoint as Point, TraceReason as Reason, TrafficDirection as Direction};

const US: i64 = 1_000;
const MS: i64 = 1_000_000;
const S: i64 = 1_000_000_000;

/// A record of a conversation: nanoseconds after its beginning, the node that makes it, the record.
pub struct Moment {
    pub after: i64,
    pub node: usize,
    pub flow: pb::Flow,
}

struct Scene<'a> {
    cluster: &'a Cluster,
    rng: &'a mut Rng,
    edge: &'a Edge,
    pair: Pair,
    src_node: Option<usize>,
    dst_node: Option<usize>,
    out: Vec<Moment>,
}

/// Everything that is recorded of one conversation over `edge`.
pub fn conversation(cluster: &Cluster, edge: &Edge, src: Actor, dst: Actor, rng: &mut Rng) -> Vec<Moment> {
    let pair = Pair { src, dst, sport: rng.port(), dport: edge.port, proxy_port: record::proxy_port(edge) };
    let (src_node, dst_node) = (cluster.node_of(&pair.src), cluster.node_of(&pair.dst));
    let mut scene = Scene { cluster, rng, edge, pair, src_node, dst_node, out: Vec::with_capacity(16) };
    match edge.talk {
        Talk::Tcp => scene.tcp(),
        Talk::Established => scene.established(),
        Talk::Http { host, calls } => scene.http(host, calls),
        Talk::Dns { names, refused } => scene.dns(names, refused),
        Talk::Ping => scene.ping(),
        Talk::Fault { reason, egress } => scene.fault(reason, egress),
        Talk::NotIp { reason } => scene.not_ip(reason),
    }
    scene.out
}

impl Scene<'_> {
    fn push(&mut self, after: i64, node: usize, flow: pb::Flow) {
        self.out.push(Moment { after, node, flow });
    }

    fn crosses(&self) -> bool {
        self.src_node != self.dst_node
    }

    /// One way over the wire.
    fn wire(&mut self) -> i64 {
        match (self.src_node, self.dst_node) {
            (Some(a), Some(b)) if a == b => self.rng.between(12 * US, 60 * US),
            (Some(_), Some(_)) => self.rng.between(90 * US, 400 * US),
            _ => self.rng.between(6 * MS, 28 * MS),
        }
    }

    fn step(&mut self) -> i64 {
        self.rng.between(6 * US, 25 * US)
    }

    /// A verdict and, where it denies, the drop after it. Says whether the packet goes on.
    fn judge(&mut self, at: i64, direction: Direction, packet: Packet) -> bool {
        let (gate, node) = match direction {
            Direction::Egress => (self.edge.egress, self.src_node),
            _ => (self.edge.ingress, self.dst_node),
        };
        let Some(node) = node else { return true };
        if let Some(f) = record::verdict(self.cluster, &self.pair, node, packet, direction, gate) {
            self.push(at, node, f);
        }
        match record::denied(self.cluster, &self.pair, node, packet, direction, gate) {
            Some(f) => {
                let after = at + self.step();
                self.push(after, node, f);
                false
            }
            None => true,
        }
    }

    fn trace(&mut self, at: i64, node: usize, direction: Direction, point: Point, reason: Reason, packet: Packet) {
        let f = record::trace(self.cluster, &self.pair, node, packet, direction, point, reason);
        self.push(at, node, f);
    }

    /// The packet leaves the sender's node, if it has to. Returns when it is at the receiver's.
    fn leave(&mut self, at: i64, reason: Reason, packet: Packet) -> i64 {
        if let Some(node) = self.src_node
            && self.crosses()
        {
            self.trace(at, node, Direction::Egress, Point::ToNetwork, reason, packet);
        }
        at + self.wire()
    }

    fn arrive(&mut self, at: i64, point: Point, reason: Reason, packet: Packet) {
        if let Some(node) = self.dst_node {
            self.trace(at, node, Direction::Ingress, point, reason, packet);
        }
    }

    /// A packet back to the sender. Returns when it is there.
    fn answer(&mut self, at: i64, packet: Packet) -> i64 {
        if let Some(node) = self.dst_node {
            let host = matches!(self.pair.src, Actor::Host(_));
            if self.crosses() || host {
                let point = if host { Point::ToStack } else { Point::ToNetwork };
                self.trace(at, node, Direction::Ingress, point, Reason::Reply, packet);
            }
        }
        let there = at + self.wire();
        if let (Some(node), Actor::Pod(_)) = (self.src_node, &self.pair.src) {
            self.trace(there, node, Direction::Egress, Point::ToEndpoint, Reason::Reply, packet);
        }
        there
    }

    /// The handshake, with the retransmits of a denied SYN. Returns when the sender is connected, `None` if it never is.
    fn connect(&mut self) -> Option<i64> {
        let syn = Packet::Tcp(Flags::Syn);
        // The kernel tries again after 1, 2 and 4 seconds.
        let retries = [0, S, 3 * S, 7 * S];
        let tries = 2 + usize::from(self.rng.chance(50)) + usize::from(self.rng.chance(15));
        if !self.judge(0, Direction::Egress, syn) {
            for at in retries.iter().take(tries).skip(1) {
                let at = at + self.rng.between(0, 4 * MS);
                self.judge(at, Direction::Egress, syn);
            }
            return None;
        }
        let sent = self.step();
        let there = self.leave(sent, Reason::New, syn);
        if !self.judge(there, Direction::Ingress, syn) {
            for at in retries.iter().take(tries).skip(1) {
                // The sender's node knows the connection by now: no new verdict there.
                let at = at + self.rng.between(0, 4 * MS);
                let there = self.leave(at, Reason::Established, syn);
                self.judge(there, Direction::Ingress, syn);
            }
            return None;
        }
        let to = if matches!(self.edge.ingress, Gate::Redirect(..)) { Point::ToProxy } else { Point::ToEndpoint };
        let seen = there + self.step();
        self.arrive(seen, to, Reason::New, syn);
        let back = seen + self.step();
        Some(self.answer(back, Packet::Tcp(Flags::SynAck)))
    }

    fn close(&mut self, at: i64) {
        let end = if self.rng.chance(6) { Flags::AckRst } else { Flags::AckFin };
        let there = self.leave(at, Reason::Established, Packet::Tcp(end));
        self.arrive(there, Point::ToEndpoint, Reason::Established, Packet::Tcp(end));
        if end == Flags::AckFin {
            let back = there + self.step();
            self.answer(back, Packet::Tcp(Flags::AckFin));
        } else if self.rng.chance(30) {
            let back = there + self.step();
            self.answer(back, Packet::Tcp(Flags::Rst));
        }
    }

    fn tcp(&mut self) {
        let Some(mut at) = self.connect() else { return };
        at += self.step();
        if self.rng.chance(70) {
            let there = self.leave(at, Reason::Established, Packet::Tcp(Flags::AckPsh));
            self.arrive(there, Point::ToEndpoint, Reason::Established, Packet::Tcp(Flags::AckPsh));
            at = there + self.rng.between(300 * US, 9 * MS);
            at = self.answer(at, Packet::Tcp(Flags::AckPsh));
        }
        at += self.rng.between(MS, 250 * MS);
        self.close(at);
    }

    fn established(&mut self) {
        let there = self.leave(0, Reason::Established, Packet::Tcp(Flags::AckPsh));
        self.arrive(there, Point::ToEndpoint, Reason::Established, Packet::Tcp(Flags::AckPsh));
        let at = there + self.rng.between(200 * US, 8 * MS);
        let flags = if self.rng.chance(50) { Flags::Ack } else { Flags::AckPsh };
        self.answer(at, Packet::Tcp(flags));
    }

    fn http(&mut self, host: &str, calls: &[Call]) {
        let Some(mut at) = self.connect() else { return };
        let Some(node) = self.dst_node else { return };
        let rounds = if calls.len() == 1 { 1 } else { self.rng.between(1, 3) };
        for _ in 0..rounds {
            let Some(call) = self.rng.pick(calls).copied() else { return };
            at += self.wire();
            self.trace(at, node, Direction::Ingress, Point::ToProxy, Reason::Established, Packet::Tcp(Flags::AckPsh));
            at += self.rng.between(80 * US, 300 * US);
            at = self.request(at, node, host, call);
        }
        at += self.rng.between(MS, 120 * MS);
        self.close(at);
    }

    /// One request through the proxy and its answer. Returns when the answer has gone.
    fn request(&mut self, at: i64, node: usize, host: &str, call: Call) -> i64 {
        const PRODUCTS: &[&str] = &["OLJCESPC7Z", "66VCHSJNUP", "1YMWWN1N4O", "L9ECAV7KIM", "2ZYFJ3GM2N", "0PUK6V6EV0", "LS4PSXUNUM"];
        let id = self.rng.pick(PRODUCTS).copied().unwrap_or_default();
        let url = format!("http://{host}{}", call.path.replace("{id}", id));
        let request_id = pb::HttpHeader { key: "X-Request-Id".to_owned(), value: self.rng.uuid() };
        let http = |code| pb::Http {
            code,
            method: call.method.to_owned(),
            url: url.clone(),
            protocol: "HTTP/1.1".to_owned(),
            headers: vec![request_id.clone()],
        };
        let said = |kind: pb::L7FlowType, latency_ns, code| pb::Layer7 {
            r#type: kind.into(),
            latency_ns,
            record: Some(pb::layer7::Record::Http(http(code))),
        };
        let tcp = Packet::Tcp(Flags::Ack);
        let summary = format!("HTTP/1.1 {} {url}", call.method);
        let mut request = record::l7(self.cluster, &self.pair, node, tcp, Direction::Ingress, said(pb::L7FlowType::Request, 0, 0), summary);
        if call.refused {
            request.verdict = pb::Verdict::Dropped.into();
        }
        self.push(at, node, request);
        let mut passed = at;
        if !call.refused {
            passed += self.step();
            self.arrive(passed, Point::ToEndpoint, Reason::Established, Packet::Tcp(Flags::AckPsh));
        }
        let slow = self.rng.chance(4);
        let latency = match (call.refused, slow) {
            (true, _) => self.rng.between(40 * US, 300 * US),
            (false, true) => self.rng.between(180 * MS, 900 * MS),
            (false, false) => self.rng.between(1_200 * US, 45 * MS),
        };
        let done = passed + latency;
        let ns = u64::try_from(latency).unwrap_or(0);
        let summary = format!("HTTP/1.1 {} {}ms ({} {url})", call.code, ns / 1_000_000, call.method);
        let said = said(pb::L7FlowType::Response, ns, call.code);
        let response = record::l7(self.cluster, &self.pair, node, tcp, Direction::Ingress, said, summary);
        self.push(done, node, response);
        let back = done + self.step();
        self.answer(back, Packet::Tcp(Flags::AckPsh))
    }

    /// A and AAAA of one name.
    fn dns(&mut self, names: &[&str], refused: bool) {
        let name = self.rng.pick(names).copied().unwrap_or_default().to_owned();
        for (n, qtype) in ["A", "AAAA"].into_iter().enumerate() {
            self.pair.sport = self.rng.port();
            let start = i64::try_from(n).unwrap_or(0) * self.rng.between(150 * US, 900 * US);
            self.query(start, &name, qtype, refused);
        }
    }

    fn query(&mut self, at: i64, name: &str, qtype: &str, refused: bool) {
        if !self.judge(at, Direction::Egress, Packet::Udp) {
            // The resolver's own timeout.
            let again = at + 5 * S + self.rng.between(0, 8 * MS);
            self.judge(again, Direction::Egress, Packet::Udp);
            return;
        }
        let proxied = matches!(self.edge.egress, Gate::Redirect(..));
        let mut at = at + self.step();
        if let (true, Some(node)) = (proxied, self.src_node) {
            self.trace(at, node, Direction::Egress, Point::ToProxy, Reason::New, Packet::Udp);
            at += self.rng.between(60 * US, 250 * US);
            let said = dns_record(pb::L7FlowType::Request, 0, name, qtype, &[]);
            let summary = format!("DNS Query {name} {qtype}");
            let mut query = record::l7(self.cluster, &self.pair, node, Packet::Udp, Direction::Egress, said, summary);
            if refused {
                query.verdict = pb::Verdict::Dropped.into();
            }
            self.push(at, node, query);
            if refused {
                return;
            }
        }
        let asked = at;
        let there = self.leave(at, Reason::New, Packet::Udp);
        self.arrive(there, Point::ToEndpoint, Reason::New, Packet::Udp);
        let answered = there + self.rng.between(100 * US, 4 * MS);
        if let (true, Some(node)) = (proxied, self.src_node) {
            let at = answered + self.wire();
            let ips = addresses(name, qtype);
            let latency = u64::try_from(at - asked).unwrap_or(0);
            let said = dns_record(pb::L7FlowType::Response, latency, name, qtype, &ips);
            let answer = if ips.is_empty() {
                format!("DNS Answer  TTL: 4294967295 (Proxy {name} {qtype})")
            } else {
                format!("DNS Answer \"{}\" TTL: 30 (Proxy {name} {qtype})", ips.join(","))
            };
            let f = record::l7(self.cluster, &self.pair, node, Packet::Udp, Direction::Egress, said, answer);
            self.push(at, node, f);
            let back = at + self.step();
            self.trace(back, node, Direction::Egress, Point::ToEndpoint, Reason::Reply, Packet::Udp);
        } else {
            self.answer(answered, Packet::Udp);
        }
    }

    fn ping(&mut self) {
        (self.pair.sport, self.pair.dport) = (0, 0);
        let there = self.leave(0, Reason::New, Packet::Ping);
        self.arrive(there, Point::ToEndpoint, Reason::New, Packet::Ping);
        let back = there + self.step();
        self.answer(back, Packet::Ping);
    }

    fn fault(&mut self, reason: u32, egress: Option<bool>) {
        let direction = match egress {
            None => Direction::Unknown,
            Some(true) => Direction::Egress,
            Some(false) => Direction::Ingress,
        };
        let node = if egress == Some(true) { self.src_node } else { self.dst_node };
        let (Some(node), Some(reason)) = (node, drop_reason(reason)) else { return };
        let flags = if reason == pb::DropReason::UnknownConnectionTrackingState { Flags::AckRst } else { Flags::Syn };
        for at in [0, S] {
            let mut f = record::base(self.cluster, &self.pair, node, Packet::Tcp(flags), false);
            record::dropped(&mut f, reason, direction);
            self.push(at, node, f);
            if flags != Flags::Syn {
                break;
            }
        }
    }

    fn not_ip(&mut self, reason: u32) {
        let (Some(node), Some(reason)) = (self.dst_node, drop_reason(reason)) else { return };
        let f = record::not_ip(self.cluster, node, self.rng, reason);
        self.push(0, node, f);
    }
}

fn drop_reason(number: u32) -> Option<pb::DropReason> {
    pb::DropReason::try_from(i32::try_from(number).ok()?).ok()
}

/// What the resolver answers; it has no IPv6 addresses.
fn addresses(name: &str, qtype: &str) -> Vec<String> {
    let block = match (qtype, name) {
        ("A", "api.stripe.com.") => "198.51.100.2",
        ("A", "hooks.stripe.com.") => "198.51.100.4",
        ("A", "www.ecb.europa.eu.") => "192.0.2.8",
        _ => return Vec::new(),
    };
    (0..3).map(|n| format!("{block}{n}")).collect()
}

fn dns_record(kind: pb::L7FlowType, latency_ns: u64, name: &str, qtype: &str, ips: &[String]) -> pb::Layer7 {
    let answer = kind == pb::L7FlowType::Response && !ips.is_empty();
    let dns = pb::Dns {
        query: name.to_owned(),
        ips: ips.to_vec(),
        // An answer without records has the largest ttl there is.
        ttl: match (kind, answer) {
            (_, true) => 30,
            (pb::L7FlowType::Response, false) => u32::MAX,
            _ => 0,
        },
        observation_source: "proxy".to_owned(),
        qtypes: vec![qtype.to_owned()],
        rrtypes: if answer { vec![qtype.to_owned(); ips.len()] } else { Vec::new() },
        ..pb::Dns::default()
    };
    pb::Layer7 { r#type: kind.into(), latency_ns, record: Some(pb::layer7::Record::Dns(dns)) }
}
