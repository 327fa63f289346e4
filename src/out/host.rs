//! Who a side of a flow is, in Hubble's spelling: address or name, port, identity.
use super::paint::Paint;
use crate::model::monitor::RESERVED;
use crate::wire::pb::flow::layer4::Protocol;
use crate::wire::pb::flow::{Endpoint, Flow, Service};

const CYAN: Option<u8> = Some(b'6');
const YELLOW: Option<u8> = Some(b'3');

/// One side.
pub struct Side<'a> {
    flow: &'a Flow,
    endpoint: Option<&'a Endpoint>,
    service: Option<&'a Service>,
    names: &'a [String],
    source: bool,
}

impl<'a> Side<'a> {
    pub fn source(f: &'a Flow) -> Self {
        Self { flow: f, endpoint: f.source.as_ref(), service: f.source_service.as_ref(), names: &f.source_names, source: true }
    }

    pub fn destination(f: &'a Flow) -> Self {
        let (endpoint, service) = (f.destination.as_ref(), f.destination_service.as_ref());
        Self { flow: f, endpoint, service, names: &f.destination_names, source: false }
    }

    fn pick<T>(&self, source: T, destination: T) -> T {
        if self.source { source } else { destination }
    }

    /// `host:port`, the port nested in the host's colour.
    pub fn paint(&self, translate: bool, p: &mut Paint<'_>) {
        let Some((host, port)) = self.host(translate) else { return };
        p.colored(CYAN, |p| {
            let bracketed = port != 0 && host.contains(':');
            if bracketed {
                p.raw("[");
            }
            p.text(&host);
            if port != 0 {
                p.raw(if bracketed { "]:" } else { ":" });
                p.colored(YELLOW, |p| p.raw(&port.to_string()));
            }
        });
    }

    /// Host and port (0 = none). `None`: the record has neither an IP nor an Ethernet header.
    fn host(&self, translate: bool) -> Option<(String, u32)> {
        let Some(ip) = &self.flow.ip else {
            let e = self.flow.ethernet.as_ref()?;
            return Some((self.pick(&e.source, &e.destination).clone(), 0));
        };
        let address = self.pick(&ip.source, &ip.destination).clone();
        let host = if translate { self.name().unwrap_or(address) } else { address };
        Some((host, self.port()))
    }

    /// Pod, else service, else DNS names. As in Hubble, a service's namespace stands even before a pod's name.
    fn name(&self) -> Option<String> {
        let namespace = match (self.service, self.endpoint) {
            (Some(s), _) => &*s.namespace,
            (None, Some(e)) => &*e.namespace,
            (None, None) => "",
        };
        let name = [self.endpoint.map(|e| &*e.pod_name), self.service.map(|s| &*s.name)].into_iter().flatten().find(|n| !n.is_empty());
        match name {
            Some(name) => Some(join(namespace, name)),
            None if self.names.is_empty() => None,
            None => Some(self.names.join(",")),
        }
    }

    fn port(&self) -> u32 {
        match self.flow.l4.as_ref().and_then(|l| l.protocol.as_ref()) {
            Some(Protocol::Tcp(p)) => self.pick(p.source_port, p.destination_port),
            Some(Protocol::Udp(p)) => self.pick(p.source_port, p.destination_port),
            Some(Protocol::Sctp(p)) => self.pick(p.source_port, p.destination_port),
            _ => 0,
        }
    }

    /// `(world)`, `(ID:123)`; a missing endpoint counts as identity 0.
    pub fn identity(&self) -> String {
        let n = self.endpoint.map_or(0, |e| e.identity);
        match RESERVED.get(n as usize) {
            Some(name) => format!("({name})"),
            None => format!("(ID:{n})"),
        }
    }
}

/// Go's `path.Join` of two parts.
fn join(a: &str, b: &str) -> String {
    let plain = |s: &str| !s.is_empty() && !s.contains('/') && s != "." && s != "..";
    match (a, b) {
        (a, b) if plain(a) && plain(b) => format!("{a}/{b}"),
        ("", b) if plain(b) => b.to_owned(),
        ("", b) => clean(b),
        (a, b) => clean(&format!("{a}/{b}")),
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
            assert_eq!(join(a, b), want, "{a} {b}");
        }
    }
}
