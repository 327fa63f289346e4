//! A flow, flat and `Copy`: what tables, aggregates and folding need. Everything else is read from the raw frame.
use super::observed::{Direction, L4, Verdict};
use super::sym::Sym;
use super::time::Nanos;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

/// Number of a cause of drops, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CauseId(pub NonZeroU32);

/// An address in 16 bytes; v4 as v4-mapped, `::` = none reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ip([u8; 16]);

impl Ip {
    pub fn new(ip: Option<IpAddr>) -> Self {
        match ip {
            None => Self::default(),
            Some(IpAddr::V4(v4)) => Self(v4.to_ipv6_mapped().octets()),
            Some(IpAddr::V6(v6)) => Self(v6.octets()),
        }
    }

    pub fn get(self) -> Option<IpAddr> {
        let v6 = Ipv6Addr::from(self.0);
        if v6.is_unspecified() {
            return None;
        }
        Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
    }
}

/// One side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    pub ip: Ip,
    pub identity: u32,
    pub ns: Sym,
    pub pod: Sym,
    /// Name of the first owner, reported or inferred.
    pub workload: Sym,
    /// Reserved identity (`world`, `host` …) where there is no pod.
    pub reserved: Sym,
    /// First DNS name of the address, reported or learnt.
    pub name: Sym,
    pub port: u16,
    /// Whether the record has this endpoint at all.
    pub present: bool,
    /// The record had nothing but the address; who it is was looked up.
    pub inferred: bool,
}

/// What kind of proxy's record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proxy {
    Http,
    Dns,
    Kafka,
    Other,
}

/// One flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Time of the flow; of its response where the flow has none.
    pub at: Nanos,
    pub src: End,
    pub dst: End,
    pub node: Sym,
    /// The place, from 1, of its cluster among those that are watched or recorded; 0: none of them.
    pub cluster: u8,
    pub cause: Option<CauseId>,
    /// Of a drop: how many rows before it the record before it stands that tells of the same event, by its cause; 0: it is the first.
    pub before: u32,
    pub verdict: Verdict,
    /// Reason number as reported, 0 = none.
    pub drop: u16,
    /// Monitor event type; −1 = not reported.
    pub event: i16,
    pub l4: Option<L4>,
    pub dir: Option<Direction>,
    pub reply: Option<bool>,
    /// Of a record that comes from a proxy.
    pub l7: Option<Proxy>,
    /// What a proxy's response says: HTTP's status, DNS's rcode, Kafka's error (at most 65 534); [`Row::UNANSWERED`] for a request.
    pub status: u16,
    /// Microseconds until the response, 0 = not said; an hour and more saturates.
    pub wait: u32,
}

impl Row {
    pub const UNANSWERED: u16 = u16::MAX;

    /// Of a response: whether it is a server's failure (HTTP 5xx, a DNS answer that is none, a Kafka error).
    pub fn failed(&self) -> bool {
        match self.l7 {
            _ if self.status == Self::UNANSWERED => false,
            Some(Proxy::Http) => self.status >= 500,
            Some(Proxy::Dns | Proxy::Kafka) => self.status != 0,
            Some(Proxy::Other) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive() {
        for ip in ["10.0.0.1", "fd00::1", "255.255.255.255"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(Ip::new(Some(ip)).get(), Some(ip));
        }
        assert_eq!(Ip::new(None).get(), None);
    }
}
