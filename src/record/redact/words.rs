//! Names → other names: letter by letter, each letter's stand-in depending on the key and on what stands before it in its part.
//!
//! Owns what a part is, and which parts say nothing about anybody and are kept.
use super::address;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Parts remembered; when full, all are forgotten, which only costs time.
const MOST: usize = 100_000;
/// Parts that every cluster has, or whose meaning decides something.
const KEPT: &[&str] = &[
    "any",
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
    "init",
    "io",
    "k8s",
    "kube",
    "kubernetes",
    "lease",
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
/// What Kubernetes makes the ends of generated names of.
const GENERATED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

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
        if let Some(address) = address::text(&self.key, text) {
            return address;
        }
        self.mapped(text, false)
    }

    /// A regular expression over names: what matched still matches, where it is made of literal parts, classes and repetitions of them.
    pub fn pattern(&mut self, text: &str) -> String {
        self.mapped(text, true)
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
                Some((key, value)) => format!("{key}={}", self.name(value)),
                None => text.to_owned(),
            },
        }
    }

    /// A URL, or its path: the scheme stays.
    pub fn url(&mut self, text: &str) -> String {
        match text.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", self.mapped(rest, false)),
            None => self.mapped(text, false),
        }
    }

    fn mapped(&mut self, text: &str, regex: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut part = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c.is_alphanumeric() {
                part.push(c);
                continue;
            }
            self.flush(&mut part, &mut out);
            out.push(c);
            if !regex {
                continue;
            }
            // What stands in these is no text of anybody's.
            match c {
                '\\' => out.extend(chars.next()),
                '[' => until(&mut chars, ']', &mut out),
                '{' => until(&mut chars, '}', &mut out),
                _ => {}
            }
        }
        self.flush(&mut part, &mut out);
        out
    }

    fn flush(&mut self, part: &mut String, out: &mut String) {
        if !part.is_empty() {
            out.push_str(&self.part(part));
            part.clear();
        }
    }

    fn part(&mut self, part: &str) -> String {
        if kept(part) {
            return part.to_owned();
        }
        if let Some(known) = self.parts.get(part) {
            return known.clone();
        }
        if self.parts.len() >= MOST {
            self.parts.clear();
        }
        let mut before = Sha256::new_with_prefix(self.key);
        let mut new = String::with_capacity(part.len());
        for c in part.chars() {
            let turn = before.clone().finalize().first().copied().unwrap_or(0);
            new.push(turned(c, turn));
            before.update(c.to_string());
        }
        self.parts.insert(part.to_owned(), new.clone());
        new
    }

    pub fn key(&self) -> &[u8; 16] {
        &self.key
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

/// Whether a part says nothing about anybody: common words, ordinals, and the ends of generated names, by which owners are found.
fn kept(part: &str) -> bool {
    let b = part.as_bytes();
    let generated = (b.len() == 5 || (8..=10).contains(&b.len())) && b.iter().all(|c| GENERATED.contains(c));
    let number = b.len() <= 3 && b.iter().all(u8::is_ascii_digit);
    let version = b.len() <= 3 && b.first() == Some(&b'v') && b.get(1..).is_some_and(|r| !r.is_empty() && r.iter().all(u8::is_ascii_digit));
    generated || number || version || KEPT.contains(&part)
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
