//! Addresses inside texts: where one stands in a URL, a header's value or a name, and how it is spelled there.
//!
//! Owns finding and spelling; which address stands for which belongs to `address`.
use ipnet::IpNet;
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
        by: &'static str,
        upper: bool,
    },
    /// Before `ip6.arpa`.
    Nibbles {
        upper: bool,
    },
}

/// What stands between octets: dots, dashes (as in nodes' names), and dots as expressions and URLs escape them.
const BETWEEN: &[&str] = &[".", "-", r"\.", "%2E", "%2e"];
/// What stands between groups: colons, and as the names of pods and URLs have them.
const COLONS: &[&str] = &[":", "-", "%3A", "%3a"];

/// The address that `rest` begins with; `before` is what stands before it.
pub fn at(before: &str, rest: &str) -> Option<Found> {
    let inside = before.ends_with(char::is_alphanumeric) && !before.get(before.len().saturating_sub(3)..).is_some_and(is_mark);
    if inside || !rest.starts_with(|c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '%')) {
        return None;
    }
    nibbles(rest)
        .or_else(|| COLONS.iter().find_map(|by| groups(rest, by)))
        .or_else(|| BETWEEN.iter().find_map(|by| octets(before, rest, by)))
}

/// Whether a text is an escaped character of a URL that is neither letter nor digit: it parts words as the character itself does.
pub fn is_mark(text: &str) -> bool {
    let code = text.strip_prefix('%').filter(|h| h.len() == 2 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    code.and_then(|h| u8::from_str_radix(h, 16).ok()).is_some_and(|b| b.is_ascii() && !b.is_ascii_alphanumeric())
}

impl Found {
    /// The bits of the network whose address this is, if `after` goes on with `/BITS`, and the bytes that takes.
    pub fn prefix(&self, after: &str) -> Option<(IpNet, usize)> {
        if !matches!(self.spelling, Spelling::Octets { by: ".", reversed: false } | Spelling::Groups { by: ":", .. }) {
            return None;
        }
        let rest = after.strip_prefix('/')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (bits, more) = rest.split_at(digits);
        let net = IpNet::new(self.ip, bits.parse().ok()?).ok()?;
        // What is no network's own address is the first part of a path.
        (net.trunc() == net && !more.starts_with(char::is_alphanumeric)).then_some((net, 1 + digits))
    }

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
            (Spelling::Groups { by, upper }, _) => cased(new.to_string(), *upper).replace(':', by),
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

fn groups(rest: &str, by: &'static str) -> Option<Found> {
    let mut end = 0;
    loop {
        let tail = rest.get(end..).unwrap_or_default();
        end += match tail.chars().next() {
            _ if tail.starts_with(by) => by.len(),
            Some(c) if c.is_ascii_hexdigit() || c == '.' && by == ":" => 1,
            _ => break,
        };
    }
    let (run, after) = rest.split_at(end);
    let parts = run.matches(by).count();
    // Names have dashes, too: with them only what is whole, or has a gap, is an address.
    if parts < 2 || after.starts_with(char::is_alphanumeric) || by == "-" && parts != 7 && !run.contains("--") {
        return None;
    }
    if by == "-" && !run.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    // A sentence may go on behind it.
    let read = |run: &str| run.replace(by, ":").parse::<Ipv6Addr>().ok();
    let (run, ip) = [run, run.trim_end_matches(['.', ':'])].into_iter().find_map(|r| Some((r, read(r)?)))?;
    let upper = run.replace(by, "").bytes().any(|b| b.is_ascii_uppercase());
    Some(Found { length: run.len(), ip: IpAddr::V6(ip), spelling: Spelling::Groups { by, upper } })
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
