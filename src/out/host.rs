//! Who a side of a flow is, in Hubble's spelling: address or name, port, identity.
use super::paint::Paint;
use crate::model::monitor::RESERVED;
use crate::model::view::{End, Field, Value, View};

const CYAN: Option<u8> = Some(b'6');
const YELLOW: Option<u8> = Some(b'3');

/// One side.
pub struct Side<'a> {
    flow: &'a dyn View,
    end: End,
}

/// How a side is called.
enum Host<'a> {
    Text(&'a str),
    /// With a `/` between.
    Both(&'a str, &'a str),
    /// Both, where joining them is more than that.
    Cleaned(String),
    /// The DNS names, with commas.
    Names,
}

impl<'a> Side<'a> {
    pub fn new(flow: &'a dyn View, end: End) -> Self {
        Self { flow, end }
    }

    /// `host:port`, the port nested in the host's colour.
    pub fn paint(&self, translate: bool, p: &mut Paint<'_>) {
        let Some((host, port)) = self.host(translate) else { return };
        p.colored(CYAN, |p| {
            let bracketed = port != 0 && self.has_colon(&host);
            if bracketed {
                p.raw("[");
            }
            match host {
                Host::Text(s) => p.text(s),
                Host::Both(a, b) => {
                    p.text(a);
                    p.raw("/");
                    p.text(b);
                }
                Host::Cleaned(s) => p.text(&s),
                Host::Names => {
                    let mut before = "";
                    self.flow.any(Field::Names(self.end), &mut |name| {
                        p.raw(before);
                        p.text(name.text());
                        before = ",";
                        false
                    });
                }
            }
            if port != 0 {
                p.raw(if bracketed { "]:" } else { ":" });
                p.colored(YELLOW, |p| p.unsigned(port));
            }
        });
    }

    fn has_colon(&self, host: &Host<'_>) -> bool {
        match host {
            Host::Text(s) => s.contains(':'),
            Host::Both(a, b) => a.contains(':') || b.contains(':'),
            Host::Cleaned(s) => s.contains(':'),
            Host::Names => self.flow.any(Field::Names(self.end), &mut |name| name.text().contains(':')),
        }
    }

    /// Host and port (0 = none). `None`: the record has neither an IP nor an Ethernet header.
    fn host(&self, translate: bool) -> Option<(Host<'a>, u64)> {
        let Value::Text(address) = self.flow.field(Field::Ip(self.end)) else {
            return match self.flow.field(Field::Mac(self.end)) {
                Value::Text(mac) => Some((Host::Text(mac), 0)),
                _ => None,
            };
        };
        let name = if translate { self.name() } else { None };
        let port = self.flow.field(Field::Port(self.end)).uint().unwrap_or(0);
        Some((name.unwrap_or(Host::Text(address)), port))
    }

    /// Pod, else service, else DNS names. As in Hubble, a service's namespace stands even before a pod's name.
    fn name(&self) -> Option<Host<'a>> {
        let namespace = match self.flow.field(Field::ServiceNamespace(self.end)) {
            Value::Text(namespace) => namespace,
            _ => self.flow.field(Field::Namespace(self.end)).text(),
        };
        let names = [Field::Pod(self.end), Field::ServiceName(self.end)];
        if let Some(name) = names.into_iter().map(|f| self.flow.field(f).text()).find(|n| !n.is_empty()) {
            return Some(join(namespace, name));
        }
        self.flow.any(Field::Names(self.end), &mut |_| true).then_some(Host::Names)
    }

    /// `(world)`, `(ID:123)`; a missing endpoint counts as identity 0.
    pub fn identity(&self, p: &mut Paint<'_>) {
        let n = self.flow.field(Field::Identity(self.end)).uint().unwrap_or(0);
        match usize::try_from(n).ok().and_then(|n| RESERVED.get(n)) {
            Some(name) => {
                p.raw("(");
                p.raw(name);
            }
            None => {
                p.raw("(ID:");
                p.unsigned(n);
            }
        }
        p.raw(")");
    }
}

/// Go's `path.Join` of two parts.
fn join<'a>(a: &'a str, b: &'a str) -> Host<'a> {
    let plain = |s: &str| !s.is_empty() && !s.contains('/') && s != "." && s != "..";
    match (a, b) {
        (a, b) if plain(a) && plain(b) => Host::Both(a, b),
        ("", b) if plain(b) => Host::Text(b),
        ("", b) => Host::Cleaned(clean(b)),
        (a, b) => Host::Cleaned(clean(&format!("{a}/{b}"))),
    }
}

/// Go's `path.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, p) => format!("/{p}"),
        (false, p) if p.is_empty() => ".".to_owned(),
        (false, p) => p,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_as_go_does() {
        for (a, b, want) in [
            ("ns", "pod", "ns/pod"),
            ("", "pod", "pod"),
            ("ns", "", "ns"),
            ("ns", "../x", "x"),
            ("a//b", "./c/", "a/b/c"),
            ("/a", "../../x", "/x"),
            ("a", "../../x", "../x"),
            ("a", "..", "."),
        ] {
            let joined = match join(a, b) {
                Host::Both(a, b) => format!("{a}/{b}"),
                Host::Text(s) => s.to_owned(),
                Host::Cleaned(s) => s,
                Host::Names => panic!(),
            };
            assert_eq!(joined, want, "{a} {b}");
        }
    }
}
