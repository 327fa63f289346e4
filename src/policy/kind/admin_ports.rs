//! Ports of the admin kinds, both generations: `ports` with protocol and number, `protocols` with the number under the protocol.
use super::read::{Reader, transport};
use crate::model::doc::{Fault, Node, Value};
use crate::model::observed::L4;
use crate::policy::ir::{Port, PortIs, PortRule, Ports, Protocol};

/// Whether a port is meant by its name.
pub(super) fn named(ports: &Ports) -> bool {
    matches!(ports, Ports::Of(list) if list.iter().flat_map(|r| &r.ports).any(|p| matches!(p.port, PortIs::Named(_))))
}

/// The ports, and whether one of them is of a kind that is not known.
pub(super) fn ports(r: &mut Reader<'_>, items: &[Node], path: &str, first_generation: bool) -> Result<(Ports, bool), Fault> {
    let (mut out, mut unknown) = (Vec::new(), false);
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        match if first_generation { by_number(r, item, &path)? } else { by_protocol(r, item, &path)? } {
            Some(port) => out.push(port),
            None => unknown = true,
        }
    }
    let lines = (items.first().map_or(0, |n| n.line), items.last().map_or(0, |n| n.last));
    Ok((Ports::Of(vec![PortRule { ports: out, l7: None, server_names: Vec::new(), lines }]), unknown))
}

/// The one field that is set.
fn only<'n>(r: &mut Reader<'_>, node: &'n Node, path: &str, known: &[&str]) -> Result<Option<(&'n str, &'n Node)>, Fault> {
    r.fields(node, path, known)?;
    let set: Vec<_> = node.map().iter().filter(|e| known.contains(&e.key.as_str())).collect();
    match set.as_slice() {
        [] if node.map().is_empty() => Err(r.fault(node.line, format!("{path} is empty; it wants one of {}", known.join(", ")))),
        [] => Ok(None),
        [one] => Ok(Some((&one.key, &one.value))),
        [_, second, ..] => Err(r.fault(second.line, format!("{path} has more than one of {}", known.join(", ")))),
    }
}

fn by_number(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Option<Port>, Fault> {
    let Some((key, value)) = only(r, node, path, &["portNumber", "portRange", "namedPort"])? else { return Ok(None) };
    let path = format!("{path}.{key}");
    if key == "namedPort" {
        return Ok(Some(Port::at(node, Protocol::Any, name(r, value, &path)?)));
    }
    let fields: &[&str] = if key == "portNumber" { &["protocol", "port"] } else { &["protocol", "start", "end"] };
    r.fields(value, &path, fields)?;
    let word = r.text(value, "protocol", &path)?.filter(|w| !w.is_empty()).unwrap_or("TCP");
    let protocol = transport(word).ok_or_else(|| r.fault(value.line, format!("{path}.protocol `{word}` is none of TCP, UDP, SCTP")))?;
    let is = if key == "portNumber" {
        let port = number(r, value, "port", &path)?;
        PortIs::Range(port, port)
    } else {
        range(r, value, &path)?
    };
    Ok(Some(Port::at(value, protocol, is)))
}

fn by_protocol(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Option<Port>, Fault> {
    let Some((key, value)) = only(r, node, path, &["tcp", "udp", "sctp", "destinationNamedPort"])? else { return Ok(None) };
    let path = format!("{path}.{key}");
    let protocol = match key {
        "tcp" => Protocol::One(L4::Tcp),
        "udp" => Protocol::One(L4::Udp),
        "sctp" => Protocol::One(L4::Sctp),
        _ => return Ok(Some(Port::at(node, Protocol::Any, name(r, value, &path)?))),
    };
    let plain = value.map().is_empty();
    let (port, line) = match if plain { None } else { only(r, value, &path, &["destinationPort"])? } {
        // `tcp: {}` is every port of it; with a field of a newer API it is not known what.
        None if plain => (PortIs::All, value.line),
        None => return Ok(None),
        Some((_, port)) => {
            let path = format!("{path}.destinationPort");
            match only(r, port, &path, &["number", "range"])? {
                Some(("number", node)) => {
                    let port = number(r, port, "number", &path)?;
                    (PortIs::Range(port, port), node.line)
                }
                Some((_, node)) => {
                    r.fields(node, &format!("{path}.range"), &["start", "end"])?;
                    (range(r, node, &format!("{path}.range"))?, node.line)
                }
                None => return Ok(None),
            }
        }
    };
    Ok(Some(Port { protocol, port, line, protocol_line: Some(node.line) }))
}

fn name(r: &Reader<'_>, node: &Node, path: &str) -> Result<PortIs, Fault> {
    Ok(PortIs::Named(r.item(node, path)?.to_owned()))
}

fn number(r: &Reader<'_>, node: &Node, key: &str, path: &str) -> Result<u16, Fault> {
    match node.get(key).map(|n| &n.value) {
        Some(Value::Int(n)) => u16::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    }
    .ok_or_else(|| r.fault(node.line, format!("{path}.{key} is not a port")))
}

fn range(r: &Reader<'_>, node: &Node, path: &str) -> Result<PortIs, Fault> {
    let (start, end) = (number(r, node, "start", path)?, number(r, node, "end", path)?);
    if start >= end {
        return Err(r.fault(node.line, format!("{path}: start {start} is not below end {end}")));
    }
    Ok(PortIs::Range(start, end))
}
