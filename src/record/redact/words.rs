//! Names → other names: letter by letter, each letter's stand-in depending on the key and on what stands before it in its part.
//!
//! Owns what a part is, and which parts say nothing about anybody and are kept.
use super::{address, spelled};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;

/// Parts remembered; when full, all are forgotten, which only costs time.
const MOST: usize = 100_000;
/// Parts that every cluster has, or whose meaning decides something.
const KEPT: &[&str] = &[
    "addr",
    "amd64",
    "any",
    "arm64",
    "arpa",
    "cilium",
    "cluster",
    "com",
    "config",
    "container",
    "coredns",
    "daemon",
    "default",
    "deployment",
    "dns",
    "enforce",
    "external",
    "false",
    "flannel",
    "gateway",
    "health",
    "hubble",
    "host",
    "ingress",
    "in",
    "init",
    "io",
    "ip6",
    "k8s",
    "kube",
    "kubernetes",
    "lease",
    "linux",
    "local",
    "master",
    "net",
    "node",
    "org",
    "plane",
    "pod",
    "proxy",
    "public",
    "remote",
    "reserved",
    "server",
    "svc",
    "system",
    "true",
    "unmanaged",
    "world",
    "yaml",
    "yml",
];
/// What stands before a CIDR group's name in the label of its members.
const CIDR_GROUP: &str = "io.cilium.policy.cidrgroupname/";
/// What Kubernetes makes the ends of generated names of.
const GENERATED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What a text is.
#[derive(Clone, Copy, Default)]
struct How {
    /// A name: its ordinal stays.
    name: bool,
    /// What stands in brackets, in braces and behind a backslash belongs to the expression.
    regex: bool,
    /// A host: its port stays.
    port: bool,
}

pub struct Words {
    key: [u8; 16],
    parts: HashMap<String, String>,
}

impl Words {
    pub fn new(key: [u8; 16]) -> Self {
        Self { key, parts: HashMap::new() }
    }

    /// A name, an address, a label's value, a DNS name, a file: parts between anything but letters and digits.
    pub fn name(&mut self, text: &str) -> String {
        // No part looks like an address, so both may stand in one table.
        if text.contains(['.', ':'])
            && let Some(known) = self.parts.get(text)
        {
            return known.clone();
        }
        if let Some(address) = address::text(&self.key, text) {
            self.remember(text, &address);
            return address;
        }
        self.mapped(text, How { name: true, ..How::default() })
    }

    /// A kind, which is one word of letters and digits and begins with a capital, as no name in a cluster does; else it is replaced as one.
    pub fn kind(&mut self, text: &str) -> String {
        let plain = text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric());
        if plain { text.to_owned() } else { self.name(text) }
    }

    /// A regular expression over paths: what matched still matches, where each word stands whole in it or is covered by a class. One
    /// that joins a word of pieces (`/x{1,3}y?`) does not match the new word.
    pub fn pattern(&mut self, text: &str) -> String {
        self.mapped(text, How { regex: true, ..How::default() })
    }

    /// The same over hosts with their ports.
    pub fn host_pattern(&mut self, text: &str) -> String {
        self.mapped(text, How { regex: true, port: true, ..How::default() })
    }

    /// `source:key=value`, as flows and policies write labels.
    pub fn label(&mut self, text: &str) -> String {
        let (source, rest) = text.split_once(':').unwrap_or(("", text));
        match source {
            "reserved" => text.to_owned(),
            "cidr" => match address::label(&self.key, rest) {
                Some(net) => format!("cidr:{net}"),
                None => text.to_owned(),
            },
            "fqdn" => format!("fqdn:{}", self.name(rest)),
            _ => match text.split_once('=') {
                Some((key, value)) => format!("{}={}", self.label_key(key), self.name(value)),
                None => self.label_key(text),
            },
        }
    }

    /// A label's key stays, but for the network or the name of a CIDR group that Cilium puts into one.
    pub fn label_key(&mut self, key: &str) -> String {
        for source in ["cidr:", "cidr."] {
            if let Some(net) = key.strip_prefix(source).and_then(|net| address::label(&self.key, net)) {
                return format!("{source}{net}");
            }
        }
        match key.split_once(CIDR_GROUP) {
            Some((source, name)) => format!("{source}{CIDR_GROUP}{}", self.name(name)),
            None => key.to_owned(),
        }
    }

    /// A URL, or its path: the scheme and the port stay.
    pub fn url(&mut self, text: &str) -> String {
        // In a path `://` says nothing about what stands before it.
        match text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric())) {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                format!("{scheme}://{}{}", self.host(host), self.mapped(path, How::default()))
            }
            None => self.mapped(text, How::default()),
        }
    }

    fn host(&mut self, text: &str) -> String {
        self.mapped(text, How { port: true, ..How::default() })
    }

    /// A header's value. The host that a request asks for is compared with the one in its URL, so it keeps its port, too.
    pub fn header(&mut self, name: &str, value: &str) -> String {
        if name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority") { self.host(value) } else { self.url(value) }
    }

    fn address(&mut self, ip: IpAddr) -> IpAddr {
        self.name(&ip.to_string()).parse().unwrap_or(ip)
    }

    fn mapped(&mut self, text: &str, how: How) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (before, _) = text.split_at(text.len() - rest.len());
            if let Some(found) = spelled::at(before, rest) {
                let after = rest.split_at(found.length).1;
                match found.prefix(after) {
                    Some((net, length)) => {
                        out.push_str(&self.name(&net.to_string()));
                        rest = after.split_at(length).1;
                    }
                    None => {
                        out.push_str(&found.like(self.address(found.ip)));
                        rest = after;
                    }
                }
                continue;
            }
            if let Some((mark, after)) = rest.split_at_checked(3).filter(|(mark, _)| spelled::is_mark(mark)) {
                out.push_str(mark);
                rest = after;
                continue;
            }
            if c.is_alphanumeric() {
                let (part, after) = rest.split_at(rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()));
                if kept(before, part, after, how) {
                    out.push_str(part);
                } else {
                    out.push_str(&self.part(part));
                }
                rest = after;
                continue;
            }
            let mut chars = rest.chars();
            out.extend(chars.next());
            if how.regex {
                // What stands in these is no text of anybody's.
                match c {
                    '\\' => out.extend(chars.next()),
                    '[' => until(&mut chars, ']', &mut out),
                    '{' => until(&mut chars, '}', &mut out),
                    _ => {}
                }
            }
            rest = chars.as_str();
        }
        out
    }

    fn part(&mut self, part: &str) -> String {
        if let Some(known) = self.parts.get(part) {
            return known.clone();
        }
        let mut before = Sha256::new_with_prefix(self.key);
        let mut new = String::with_capacity(part.len());
        for c in part.chars() {
            let turn = before.clone().finalize().first().copied().unwrap_or(0);
            new.push(turned(c, turn));
            before.update(c.to_string());
        }
        self.remember(part, &new);
        new
    }

    fn remember(&mut self, old: &str, new: &str) {
        if self.parts.len() >= MOST {
            self.parts.clear();
        }
        self.parts.insert(old.to_owned(), new.to_owned());
    }
}

fn until(chars: &mut std::str::Chars<'_>, end: char, out: &mut String) {
    for c in chars.by_ref() {
        out.push(c);
        if c == end {
            return;
        }
    }
}

/// Whether a part says nothing about anybody: common words, versions, a name's ordinal, a host's port, and the ends of generated
/// names, by which owners are found.
fn kept(before: &str, part: &str, after: &str, how: How) -> bool {
    let b = part.as_bytes();
    let version = b.len() <= 3 && b.first() == Some(&b'v') && b.get(1..).is_some_and(number);
    let port = how.port && b.len() <= 5 && number(b) && before.ends_with(':');
    // Digits alone may be anybody's number, where it is not a name.
    let generated = generated(b) && (how.name || !number(b));
    generated || version || port || how.name && number(b) && ordinal(before, part, after) || KEPT.contains(&part)
}

fn number(b: &[u8]) -> bool {
    !b.is_empty() && b.iter().all(u8::is_ascii_digit)
}

fn generated(b: &[u8]) -> bool {
    (b.len() == 5 || (8..=10).contains(&b.len())) && b.iter().all(|c| GENERATED.contains(c))
}

/// The number that a name ends with, before what is appended to it for its pods and jobs: so the names of both still begin alike.
fn ordinal(before: &str, part: &str, after: &str) -> bool {
    let word = before.strip_suffix('-').and_then(|b| b.rsplit(|c: char| !c.is_alphanumeric()).next());
    if part.len() > 3 || !word.is_some_and(|w| !w.is_empty() && !number(w.as_bytes())) {
        return false;
    }
    let (tail, more) = after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(after.len()));
    if more.strip_prefix('.').is_some_and(|m| m.starts_with(|c: char| c.is_ascii_digit())) {
        return false;
    }
    let Some(tail) = tail.strip_prefix('-') else { return true };
    // A pod of a StatefulSet, a job at its time, pods of both and of Deployments.
    let single = number(tail.as_bytes());
    single || tail.split('-').all(|t| generated(t.as_bytes()) || t.len() >= 8 && number(t.as_bytes()))
}

/// Another character of its class: a letter stays a letter, so that what is valid as a name stays so.
fn turned(c: char, by: u8) -> char {
    let turn = |base: u8, size: u8| char::from(base + ((c as u8 - base) + by % size) % size);
    match c {
        'a'..='z' => turn(b'a', 26),
        'A'..='Z' => turn(b'A', 26),
        '0'..='9' => turn(b'0', 10),
        // Rare in names; which one it was does not matter, that it is one does.
        other => char::from_u32(u32::from('\u{3b1}') + (u32::from(other) + u32::from(by)) % 17).unwrap_or('x'),
    }
}
