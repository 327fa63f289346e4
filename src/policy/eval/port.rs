//! Protocol and port conditions. Owns named ports and how specific a condition is.
use super::Case;
use crate::model::observed::L4;
use crate::policy::ir::{IcmpField, Port, PortIs, Protocol};
use crate::policy::selector::Tri;

/// How specific the part of a condition is that covers the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// One protocol rather than all.
    pub proto: bool,
    /// Bits of the port that are fixed: 0 all ports, 16 one port.
    pub prefix: u8,
    /// The ports as written.
    pub range: (u16, u16),
    /// Written by name: an entry of its own, even if the number is another's.
    pub named: bool,
}

impl Key {
    pub const ALL: Self = Self { proto: false, prefix: 0, range: (0, u16::MAX), named: false };

    pub fn is_all_ports(&self) -> bool {
        self.prefix == 0
    }
}

/// TCP, UDP, SCTP.
pub fn has_ports(l4: L4) -> bool {
    matches!(l4, L4::Tcp | L4::Udp | L4::Sctp)
}

fn note(missing: &mut Vec<String>, fact: String) -> Tri {
    if !missing.contains(&fact) {
        missing.push(fact);
    }
    Tri::Unknown
}

pub fn protocol(wanted: Protocol, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    match (wanted, case.traffic.l4) {
        (Protocol::Other, _) => Tri::No,
        (_, None) => note(missing, "protocol".to_owned()),
        (Protocol::Any, Some(l4)) => Tri::from(has_ports(l4)),
        (Protocol::One(p), Some(l4)) => Tri::from(p == l4),
    }
}

/// Whether the port condition holds, and how specific it is.
pub fn matches(p: &Port, case: &Case<'_>, missing: &mut Vec<String>) -> (Tri, Key) {
    let all = Key { proto: true, prefix: 0, range: (0, u16::MAX), named: false };
    let proto = protocol(p.protocol, case, missing);
    if proto == Tri::No {
        return (Tri::No, all);
    }
    if case.traffic.l4.is_some_and(|l4| !has_ports(l4)) {
        return (proto, all);
    }
    match &p.port {
        PortIs::All => (proto, all),
        PortIs::Range(a, b) => match case.traffic.port {
            None => (note(missing, "port".to_owned()), all),
            Some(port) if (*a..=*b).contains(&port) => {
                (proto, Key { proto: true, prefix: prefix(port, *a, *b), range: (*a, *b), named: false })
            }
            Some(_) => (Tri::No, all),
        },
        PortIs::Named(name) => {
            let to = case.destination();
            let Some(ports) = &to.named_ports else {
                // Only pods have named ports.
                let pod = to.labels.is_pod() || !to.known;
                return (if pod { note(missing, format!("named-port:{name}@{}", to.display)) } else { Tri::No }, all);
            };
            let fits = |proto: L4| case.traffic.l4.is_none_or(|l4| l4 == proto);
            let mut found = ports.iter().filter(|n| n.name.eq_ignore_ascii_case(name) && fits(n.proto));
            match (case.traffic.port, found.next()) {
                (_, None) => (Tri::No, all),
                (None, Some(_)) => (note(missing, "port".to_owned()), all),
                (Some(port), Some(n)) => {
                    (proto.and(Tri::from(n.port == port)), Key { proto: true, prefix: 16, range: (port, port), named: true })
                }
            }
        }
    }
}

pub fn icmp(f: &IcmpField, case: &Case<'_>, missing: &mut Vec<String>) -> (Tri, Key) {
    let kind = u16::from(f.kind);
    let key = Key { proto: true, prefix: 16, range: (kind, kind), named: false };
    let family = if f.v6 { L4::Icmp6 } else { L4::Icmp4 };
    let t = match (case.traffic.l4, case.traffic.icmp) {
        (None, _) => note(missing, "protocol".to_owned()),
        (Some(l4), _) if l4 != family => Tri::No,
        (_, None) => note(missing, "icmp-type".to_owned()),
        (_, Some(t)) => Tri::from(t == f.kind),
    };
    (t, key)
}

/// Length of the largest aligned block around `port` that lies inside the range.
fn prefix(port: u16, first: u16, last: u16) -> u8 {
    for bits in 0..16u8 {
        let size = 1u32 << (16 - bits);
        let base = u32::from(port) & !(size - 1);
        if base >= u32::from(first) && base + size - 1 <= u32::from(last) {
            return bits;
        }
    }
    16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_range() {
        assert_eq!(prefix(80, 80, 80), 16);
        assert_eq!(prefix(5, 0, u16::MAX), 0);
        assert_eq!(prefix(1024, 1024, 2047), 6);
        assert_eq!(prefix(8001, 8000, 8003), 14);
        assert_eq!(prefix(8004, 8000, 8004), 16);
    }
}
