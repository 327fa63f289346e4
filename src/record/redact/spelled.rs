//! Addresses inside texts: where one stands in a URL, a header's value or a name, and how it is spelled there.
//!
//! Owns finding and spelling; which address stands for which belongs to `address`.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address at the beginning of a text.
pub struct Found {
    /// Bytes it takes.
    pub length: usize,
    pub ip: IpAddr,
    spelling: Spelling,
}

enum Spelling {
    /// What stands between the octets; whether the last comes first, as before `in-addr.arpa`.
    Octets {
        by: &'static str,
        reversed: bool,
    },
    Groups {
        upper: bool,
    },
    /// Before `ip6.arpa`.
    Nibbles {
        upper: bool,
    },
}

/// What stands between octets: dots, dashes (as in nodes' names), and dots as expressions escape them.
const BETWEEN: &[&str] = &[".", "-", r"\."];

/// The address that `rest` begins with; `before` is what stands before it.
pub fn at(before: &str, rest: &str) -> Option<Found> {
    if before.ends_with(char::is_alphanumeric) || !rest.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
        return None;
    }
    nibbles(rest).or_else(|| groups(rest)).or_else(|| BETWEEN.iter().find_map(|by| octets(before, rest, by)))
}

impl Found {
    /// Another address, spelled as this one was.
    pub fn like(&self, new: IpAddr) -> String {
        let cased = |text: String, upper: bool| if upper { text.to_ascii_uppercase() } else { text };
        match (&self.spelling, new) {
            (Spelling::Octets { by, reversed }, IpAddr::V4(v4)) => {
                let mut octets = v4.octets();
                if *reversed {
                    octets.reverse();
                }
                octets.map(|o| o.to_string()).join(by)
            }
            (Spelling::Nibbles { upper }, IpAddr::V6(v6)) => {
                let nibbles: Vec<String> = format!("{:032x}", u128::from(v6)).chars().rev().map(String::from).collect();
                cased(nibbles.join("."), *upper)
            }
            (Spelling::Groups { upper }, _) => cased(new.to_string(), *upper),
            _ => new.to_string(),
        }
    }
}

fn octets(before: &str, rest: &str, by: &'static str) -> Option<Found> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // More than four are no address.
    let prior = before.strip_suffix(by).and_then(|b| b.rsplit(|c: char| !c.is_alphanumeric()).next());
    if prior.is_some_and(number) {
        return None;
    }
    let mut octets = [0u8; 4];
    let mut tail = rest;
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            tail = tail.strip_prefix(by)?;
        }
        let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (digits, after) = tail.split_at(digits);
        *octet = digits.parse().ok()?;
        tail = after;
    }
    let next = tail.strip_prefix(by).and_then(|t| t.split(|c: char| !c.is_alphanumeric()).next());
    if tail.starts_with(char::is_alphanumeric) || next.is_some_and(number) {
        return None;
    }
    let reversed = tail.to_ascii_lowercase().starts_with(&format!("{by}in-addr{by}arpa"));
    if reversed {
        octets.reverse();
    }
    let ip = IpAddr::V4(Ipv4Addr::from(octets));
    Some(Found { length: rest.len() - tail.len(), ip, spelling: Spelling::Octets { by, reversed } })
}

fn groups(rest: &str) -> Option<Found> {
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').unwrap_or(rest.len());
    let (run, after) = rest.split_at(end);
    if run.matches(':').count() < 2 || after.starts_with(char::is_alphanumeric) {
        return None;
    }
    // A sentence may go on behind it.
    let found = [run, run.trim_end_matches(['.', ':'])].into_iter().find_map(|r| r.parse::<Ipv6Addr>().ok().map(|ip| (r, ip)));
    let (run, ip) = found?;
    let upper = run.bytes().any(|b| b.is_ascii_uppercase());
    Some(Found { length: run.len(), ip: IpAddr::V6(ip), spelling: Spelling::Groups { upper } })
}

fn nibbles(rest: &str) -> Option<Found> {
    const LENGTH: usize = 32 * 2 - 1;
    let (run, after) = rest.split_at_checked(LENGTH)?;
    if !after.to_ascii_lowercase().starts_with(".ip6.arpa") {
        return None;
    }
    let mut digits = String::with_capacity(32);
    for nibble in run.rsplit('.') {
        if nibble.len() != 1 {
            return None;
        }
        digits.push_str(nibble);
    }
    let ip = IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(&digits, 16).ok()?));
    let upper = digits.bytes().any(|b| b.is_ascii_uppercase());
    Some(Found { length: LENGTH, ip, spelling: Spelling::Nibbles { upper } })
}
