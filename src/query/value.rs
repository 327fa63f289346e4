//! The values that Hubble reads while it parses the flags: event types, TCP flags, identities and the like, with its error texts.
use super::flags::{parse_uint, quote};
use crate::model::monitor;
use crate::wire::pb::flow::{self, DropReason, IpVersion, TrafficDirection};

pub fn tcp_flags(value: &str) -> Result<flow::TcpFlags, String> {
    let mut f = flow::TcpFlags::default();
    for name in value.split(',') {
        let flag = match name.to_ascii_uppercase().as_str() {
            "SYN" => &mut f.syn,
            "FIN" => &mut f.fin,
            "RST" => &mut f.rst,
            "PSH" => &mut f.psh,
            "ACK" => &mut f.ack,
            "URG" => &mut f.urg,
            "ECE" => &mut f.ece,
            "CWR" => &mut f.cwr,
            "NS" => &mut f.ns,
            _ => return Err(format!("unknown tcp flag: {name}")),
        };
        *flag = true;
    }
    Ok(f)
}

const TYPES: [(&str, i32); 8] = [
    ("drop", monitor::DROP),
    ("debug", monitor::DEBUG),
    ("capture", monitor::CAPTURE),
    ("trace", monitor::TRACE),
    ("policy-verdict", monitor::POLICY_VERDICT),
    ("trace-sock", monitor::TRACE_SOCK),
    ("l7", monitor::L7),
    ("agent", monitor::AGENT),
];
const AGENT: [&str; 11] = [
    "unspecified",
    "message",
    "agent-started",
    "endpoint-regenerate-success",
    "endpoint-regenerate-failure",
    "policy-updated",
    "policy-deleted",
    "endpoint-created",
    "endpoint-deleted",
    "ipcache-upserted",
    "ipcache-deleted",
];

/// `TYPE[:SUBTYPE]`, names or numbers; names of sub-types only after the name of their type.
pub fn event_type(value: &str) -> Result<flow::EventTypeFilter, String> {
    let number = |s: &str| parse_uint(s, u64::from(u32::MAX)).map(|n| (n as u32).cast_signed());
    let (kind, sub) = value.split_once(':').map_or((value, None), |(k, s)| (k, Some(s)));
    let named = TYPES.iter().find(|(n, _)| *n == kind).map(|(_, t)| *t);
    let r#type = match named {
        Some(t) => t,
        None => number(kind)
            .map_err(|e| format!("unable to parse type '{kind}', not a known type name and unable to parse as numeric value: {e}"))?,
    };
    let Some(sub) = sub else { return Ok(flow::EventTypeFilter { r#type, ..Default::default() }) };
    let names: &[&str] = match kind {
        "trace" => &monitor::TRACE_POINTS,
        "agent" => &AGENT,
        _ => &[],
    };
    let sub_type = match names.iter().zip(0..).find(|(n, _)| **n == sub) {
        Some((_, i)) => i,
        None => number(sub).map_err(|e| {
            format!("unable to parse event sub-type '{sub}', not a known sub-type name and unable to parse as numeric value: {e}")
        })?,
    };
    Ok(flow::EventTypeFilter { r#type, match_sub_type: true, sub_type })
}

pub fn drop_reason(value: &str) -> Result<i32, String> {
    if value.is_empty() {
        return Err("empty --drop-reason-desc value".into());
    }
    DropReason::from_str_name(value).map(|r| r as i32).ok_or_else(|| format!("invalid --drop-reason-desc value: {value}"))
}

pub fn header(value: &str) -> Result<flow::HttpHeader, String> {
    let (key, v) = value.split_once(':').ok_or_else(|| format!("invalid http-header value {}, expected name:value", quote(value)))?;
    Ok(flow::HttpHeader { key: key.to_owned(), value: v.to_owned() })
}

pub fn ip_trace_id(value: &str) -> Result<u64, String> {
    if value == "0" {
        return Err("invalid --ip-trace-id value; must be greater than 0".into());
    }
    parse_uint(value, u64::MAX).map_err(|e| format!("invalid --ip-trace-id value: {e}"))
}

pub fn ip_version(value: &str) -> IpVersion {
    match value.to_ascii_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => IpVersion::IPv4,
        "6" | "v6" | "ipv6" | "ip6" => IpVersion::IPv6,
        _ => IpVersion::IpNotUsed,
    }
}

/// `Kind/name`, `name`, `Kind/`, `/name`.
pub fn workload(value: &str) -> flow::Workload {
    let (kind, name) = value.split_once('/').unwrap_or(("", value));
    flow::Workload { name: name.to_owned(), kind: kind.to_owned() }
}

pub fn direction(value: &str) -> Result<i32, String> {
    match value.to_lowercase().as_str() {
        "ingress" => Ok(TrafficDirection::Ingress as i32),
        "egress" => Ok(TrafficDirection::Egress as i32),
        v => Err(format!("{v}: invalid traffic direction, expected ingress or egress")),
    }
}

/// A reserved name, or a number as Go's base 0 reads it.
pub fn identity(value: &str) -> Result<u32, String> {
    // Hubble reads a twelfth name that it does not print, and no name for 0.
    let names = monitor::RESERVED.iter().chain(&["overlay-to-encrypt"]).zip(0..);
    let named = names.skip(1).find(|(n, _)| **n == value).map(|(_, i)| i);
    named.or_else(|| base0(value)).ok_or_else(|| {
        "invalid security identity, expected one of [host world unmanaged health init remote-node kube-apiserver ingress world-ipv4 world-ipv6 11] or a numeric value".into()
    })
}

/// `10`, `0x2`, `0b10`, `0o7`, `010`, with single underscores between digits or after the prefix.
fn base0(s: &str) -> Option<u32> {
    let lower = s.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let inner = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if inner.is_empty() || inner.split('_').any(str::is_empty) || inner.starts_with(['+', '-']) {
        return None;
    }
    u32::from_str_radix(&inner.replace('_', ""), radix).ok()
}

/// The language's flags, `syn+ack`, as bits of `Field::TcpFlags`.
pub fn flag_set(value: &str) -> Option<i64> {
    tcp_flags(&value.replace('+', ",")).ok().map(|t| super::hubble::flag_bits(&t))
}
