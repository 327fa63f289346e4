//! Leaves of a filter → what must stand in the line. Field by field, with the keys that the JSON of a flow has.
//!
//! A number or a text that is absent reads as 0 or as empty, so a leaf that takes those asks for nothing.
use super::text::{any, literal, of as text};
use super::{Clause, Probe, Token, and, of as node, or};
use crate::model::view::{End, Field};
use crate::query::leaf::{Leaf, Part, Ranges, Text};
use crate::query::selector::Selector;
use crate::wire::pb::flow::{DropReason, IpVersion, TrafficDirection, Verdict};
use ipnet::IpNet;
use std::net::IpAddr;

/// More numbers than this are not looked for one by one.
const MOST_NUMBERS: i128 = 64;

pub fn of(leaf: &Leaf) -> Vec<Clause> {
    match leaf {
        Leaf::Shared(n) => node(n),
        Leaf::Num { field, ranges, missing } => {
            let takes = |n: &i128| ranges.iter().any(|(lo, hi)| (lo..=hi).contains(&n));
            if missing.is_some_and(|n| takes(&n)) { Vec::new() } else { number(*field, ranges, takes(&0)) }
        }
        Leaf::Bool { field: Field::Encrypted, any, .. } if !any.contains(&false) => vec![member(&["encrypted"], Token::True)],
        Leaf::Text { test, .. } => filled(test),
        Leaf::Items(Field::Owners(_), test) => owner(test),
        Leaf::Items(_, test) => filled(test),
        Leaf::Labels(_, list) => or(list.iter().map(labels)),
        Leaf::Event(list) => or(list.iter().map(|(kind, sub)| event(*kind, *sub))),
        Leaf::TcpFlags(list) => or(list.iter().map(|bits| flags(*bits))),
        Leaf::Reply(any) if !any.contains(&false) => vec![member(&["is_reply", "isReply"], Token::True)],
        Leaf::NsPrefix { any: list, .. } => or(list.iter().map(|(ns, prefix)| {
            let part = |s: &str, ends| if s.is_empty() { None } else { literal(s, true, ends, false) };
            and([part(ns, true), part(prefix, false)].into_iter().flatten().map(|p| vec![vec![p]]))
        })),
        Leaf::Workload(_, list) => or(list.iter().map(|(kind, name)| {
            let part = |s: &str| if s.is_empty() { None } else { literal(s, true, true, false) };
            and([part(kind), part(name)].into_iter().flatten().map(|p| vec![vec![p]]))
        })),
        Leaf::Ip { texts, nets, .. } => {
            let texts = texts.iter().map(|(t, _)| literal(t, true, true, false));
            all_of(texts.chain(nets.iter().map(net)))
        }
        Leaf::Addr(_, nets) => all_of(nets.iter().map(net)),
        Leaf::Url(part, test) => and([key(&["url"]), url(*part, test)]),
        Leaf::Header(list) => {
            or(list.iter().map(|(name, value)| and([key(&["headers"]), filled(name), value.as_ref().map(filled).unwrap_or_default()])))
        }
        Leaf::Interface(list) => {
            let names = any(list, |(_, name)| literal(name, true, true, false).filter(|_| !name.is_empty()));
            and([key(&["interface"]), names])
        }
        Leaf::Pair { tests, .. } => or(tests.iter().map(|(a, b)| and([filled(a), filled(b)]))),
        Leaf::PairItems(Field::Owners(_), tests) => or(tests.iter().map(|(kind, name)| and([filled(kind), owner(name)]))),
        Leaf::PairItems(_, tests) => or(tests.iter().map(|(a, b)| and([filled(a), filled(b)]))),
        #[cfg(feature = "cel")]
        Leaf::Cel(_) => Vec::new(),
        // What only the engine knows, and what an absent field satisfies.
        Leaf::Bool { .. } | Leaf::Reply(_) | Leaf::Policy(_) | Leaf::PolicyRegex(_) | Leaf::Word(..) => Vec::new(),
    }
}

fn member(keys: &[&str], test: Token) -> Clause {
    vec![Probe::Member { keys: keys.iter().map(|k| format!("\"{k}\"").into_bytes()).collect(), test }]
}

/// A key that must be there, in one of its spellings.
fn key(keys: &[&str]) -> Vec<Clause> {
    let clause: Clause = keys.iter().map(|k| Probe::Text { bytes: format!("\"{k}\"").into_bytes(), fold: false }).collect();
    if clause.is_empty() { Vec::new() } else { vec![clause] }
}

/// One clause of all of them, if each says something.
fn all_of(probes: impl Iterator<Item = Option<Probe>>) -> Vec<Clause> {
    let clause: Option<Clause> = probes.collect();
    clause.filter(|c| !c.is_empty()).into_iter().collect()
}

/// A text is empty where it is absent, also in a pair of a list.
fn filled(test: &Text) -> Vec<Clause> {
    if test.matches("") { Vec::new() } else { text(test, true, true) }
}

/// The name of an owner may stand in that of its pod alone, which begins with it.
fn owner(test: &Text) -> Vec<Clause> {
    if test.matches("") { Vec::new() } else { text(test, true, false) }
}

/// `zero`: whether the number may be 0, which is what an absent one is.
fn number(field: Field, ranges: &Ranges, zero: bool) -> Vec<Clause> {
    let numbers = |keys: &[&str]| if zero { Vec::new() } else { vec![member(keys, Token::Number(ranges.clone()))] };
    let names = |keys: &[&str], name: fn(i32) -> Option<&'static str>| {
        let count = ranges.iter().fold(0i128, |n, (lo, hi)| n.saturating_add(hi.saturating_sub(*lo)).saturating_add(1));
        if zero || count > MOST_NUMBERS {
            return Vec::new();
        }
        let all = ranges.iter().flat_map(|(lo, hi)| *lo..=*hi).filter_map(|n| i32::try_from(n).ok().and_then(name));
        let mut clause = member(keys, Token::NoString);
        clause.extend(all.filter_map(|n| literal(n, true, true, false)));
        vec![clause]
    };
    // A oneof says what it is by the key of its member. 0 is a record of a kind that has no key.
    let tags = |keys: &[(i128, &str)]| {
        let wanted = keys.iter().filter(|(tag, _)| ranges.iter().any(|(lo, hi)| (lo..=hi).contains(&tag)));
        key(&wanted.map(|(_, k)| *k).collect::<Vec<_>>())
    };
    match field {
        Field::Verdict => names(&["verdict"], |n| Verdict::try_from(n).ok().map(|v| v.as_str_name())),
        Field::Direction => {
            names(&["traffic_direction", "trafficDirection"], |n| TrafficDirection::try_from(n).ok().map(|v| v.as_str_name()))
        }
        Field::DropReasonDesc => names(&["drop_reason_desc", "dropReasonDesc"], |n| DropReason::try_from(n).ok().map(|v| v.as_str_name())),
        Field::IpVersion => names(&["ipVersion", "ip_version"], |n| IpVersion::try_from(n).ok().map(|v| v.as_str_name())),
        Field::Port(End::Source) => numbers(&["source_port", "sourcePort"]),
        Field::Port(End::Destination) => numbers(&["destination_port", "destinationPort"]),
        Field::Identity(_) => numbers(&["identity"]),
        Field::HttpCode => numbers(&["code"]),
        Field::DnsRcode => numbers(&["rcode"]),
        Field::LatencyNs => numbers(&["latency_ns", "latencyNs"]),
        Field::IpTraceId => numbers(&["trace_id", "traceId"]),
        Field::Transport => tags(&[(1, "TCP"), (2, "UDP"), (3, "ICMPv4"), (4, "ICMPv6"), (5, "SCTP"), (6, "VRRP"), (7, "IGMP")]),
        Field::L7Record if zero => key(&["l7"]),
        Field::L7Record => tags(&[(100, "dns"), (101, "http"), (102, "kafka")]),
        _ => Vec::new(),
    }
}

/// The type is a number of its own member; 0 is any.
fn event(kind: i64, sub: Option<i64>) -> Vec<Clause> {
    let exactly = |n: i64| Token::Number(vec![(i128::from(n), i128::from(n))]);
    let kind = if kind == 0 { key(&["event_type", "eventType"]) } else { vec![member(&["type"], exactly(kind))] };
    let sub = sub.filter(|n| *n != 0).map(|n| vec![member(&["sub_type", "subType"], exactly(n))]);
    and([kind, sub.unwrap_or_default()])
}

/// Bits as in the TCP header. A flag that is not set is not there.
fn flags(bits: i64) -> Vec<Clause> {
    const NAMES: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"];
    let set = NAMES.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
    let all: Vec<Vec<Clause>> = set.map(|(_, name)| vec![member(&[name], Token::True)]).collect();
    if all.is_empty() { key(&["flags"]) } else { and(all) }
}

fn labels(s: &Selector) -> Vec<Clause> {
    and(s.asks().iter().map(|list| any(list, |(t, ends)| literal(t, false, *ends, false))))
}

/// The beginning that the text of every address in a prefix has; IPv6 has no such thing.
fn net(net: &IpNet) -> Option<Probe> {
    let IpAddr::V4(address) = net.network() else { return None };
    let whole = address.to_string();
    if net.prefix_len() == 32 {
        return literal(&whole, true, true, false);
    }
    let octets = usize::from(net.prefix_len() / 8);
    let begin: String = whole.split_inclusive('.').take(octets).collect();
    literal(&begin, true, false, false).filter(|_| octets > 0)
}

fn url(part: Part, test: &Text) -> Vec<Clause> {
    let clauses = text(test, false, false);
    match part {
        Part::Host => clauses,
        // A path may spell any character by `%` and its number.
        Part::Path => {
            let percent = Probe::Text { bytes: b"%".to_vec(), fold: false };
            clauses.into_iter().map(|c| c.into_iter().chain([percent.clone()]).collect()).collect()
        }
    }
}
