//! Addresses → other addresses, so that two share as many leading bits afterwards as before. Owns which ranges are left what they are.
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// (network, whether what is in it is kept as well): private stays private, and what has a meaning of its own stays itself.
const RANGES: &[(&str, bool)] = &[
    ("0.0.0.0/8", true),
    ("127.0.0.0/8", true),
    ("169.254.0.0/16", true),
    ("224.0.0.0/4", true),
    ("255.255.255.255/32", true),
    ("10.0.0.0/8", false),
    ("172.16.0.0/12", false),
    ("192.168.0.0/16", false),
    ("100.64.0.0/10", false),
    ("::/8", true),
    ("fe80::/10", true),
    ("ff00::/8", true),
    ("fc00::/7", false),
];

/// An address or a network, as a text; `None` if it is neither.
pub fn text(key: &[u8; 16], text: &str) -> Option<String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(address(key, ip).to_string());
    }
    let (ip, bits) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    Some(net(key, IpNet::new(ip, bits).ok()?).to_string())
}

/// A network as identity labels write it: `10.0.0.0/8`, `fd00--/8`.
pub fn label(key: &[u8; 16], written: &str) -> Option<String> {
    let v6 = written.contains('-');
    let new = text(key, &written.replace('-', ":"))?;
    // A label's key may begin with no dash.
    let new = if v6 && new.starts_with("::") { format!("0{new}") } else { new };
    Some(if v6 { new.replace(':', "-") } else { new })
}

fn net(key: &[u8; 16], net: IpNet) -> IpNet {
    let moved = address(key, net.network());
    IpNet::new(moved, net.prefix_len()).map_or(net, |n| n.trunc())
}

fn address(key: &[u8; 16], ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::try_from(scrambled(key, u128::from(u32::from(v4)), 32)).unwrap_or(0))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(scrambled(key, u128::from(v6), 128))),
    }
}

/// Turns each bit or leaves it, by the key and the bits before it: a permutation that keeps common prefixes.
fn scrambled(key: &[u8; 16], bits: u128, width: u32) -> u128 {
    let mut out = bits;
    for n in 0..width {
        let before = if n == 0 { 0 } else { bits >> (width - n) };
        if !fixed(before, n, width) && turns(key, before, n, width) {
            out ^= 1 << (width - 1 - n);
        }
    }
    out
}

/// Whether the bit after the first `n` must stay: the range it leads to is one that stays itself.
fn fixed(before: u128, n: u32, width: u32) -> bool {
    RANGES.iter().any(|(range, kept)| {
        let Ok(net) = range.parse::<IpNet>() else { return false };
        let (base, wide) = match net.network() {
            IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
            IpAddr::V6(a) => (u128::from(a), 128),
        };
        let length = u32::from(net.prefix_len());
        if wide != width {
            return false;
        }
        if n < length { n == 0 || base >> (width - n) == before } else { *kept && before >> (n - length) == base >> (width - length) }
    })
}

fn turns(key: &[u8; 16], before: u128, n: u32, width: u32) -> bool {
    let mut hash = Sha256::new_with_prefix(key);
    hash.update([u8::try_from(n).unwrap_or(0), u8::try_from(width).unwrap_or(0)]);
    hash.update(before.to_be_bytes());
    hash.finalize().first().is_some_and(|b| b & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 16] = b"0123456789abcdef";

    #[test]
    fn networks_hold_the_same_addresses_as_before() {
        let t = |s: &str| text(KEY, s).unwrap();
        for (net, inside, outside) in [
            ("10.2.0.0/16", "10.2.7.9", "10.3.0.1"),
            ("203.0.113.0/24", "203.0.113.77", "203.0.112.77"),
            ("192.0.0.0/4", "203.0.113.77", "172.16.0.1"),
            ("2001:db8::/32", "2001:db8::9", "2001:db9::9"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
        ] {
            let n: IpNet = t(net).parse().unwrap();
            assert!(n.contains(&t(inside).parse::<IpAddr>().unwrap()), "{net} → {n}, {}", t(inside));
            assert!(!n.contains(&t(outside).parse::<IpAddr>().unwrap()), "{net} → {n}, {}", t(outside));
            assert_eq!(n, n.trunc());
        }
        assert_ne!(t("203.0.113.77"), "203.0.113.77");
        assert_ne!(t("10.2.7.9"), "10.2.7.9");
    }

    #[test]
    fn ranges_with_a_meaning_stay_and_nothing_else_gets_into_them() {
        for same in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "224.0.0.26"] {
            assert_eq!(text(KEY, same).unwrap(), same);
        }
        let mut seen = std::collections::HashSet::new();
        for n in 0u32..4_000 {
            let ip = Ipv4Addr::from(n.wrapping_mul(1_074_177)).to_string();
            let new: Ipv4Addr = text(KEY, &ip).unwrap().parse().unwrap();
            let old: Ipv4Addr = ip.parse().unwrap();
            assert_eq!(
                (old.is_private(), old.is_loopback(), old.is_link_local()),
                (new.is_private(), new.is_loopback(), new.is_link_local())
            );
            assert!(seen.insert(new));
        }
        assert_eq!(text(KEY, "shop"), None);
        assert!(label(KEY, "fd00--1/128").unwrap().contains("--") || !label(KEY, "fd00--1/128").unwrap().contains(':'));
    }
}
