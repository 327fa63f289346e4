//! `networking.k8s.io/v1` NetworkPolicy → intermediate form. Owns its defaults: `policyTypes`, missing against empty, TCP.
use super::read::{Reader, key_line, transport};
use crate::model::doc::{Doc, Fault, Node, Value};
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::policy::ir::{Action, Peer, PeerIs, Peers, Policy, Port, PortIs, PortRule, Ports, Protocol, Rule, Section, Subject, Tier};
use crate::policy::selector::{Op, Requirement, Selector, namespace_key};
use crate::world::labels::POD_NAMESPACE;
use ipnet::IpNet;
use std::sync::Arc;

pub(super) fn compile(doc: &Arc<Doc>, id: PolicyRef, r: &mut Reader<'_>) -> Result<Policy, Fault> {
    r.fields(&doc.root, "NetworkPolicy", &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let empty = Node { value: Value::Null, line: doc.root.line, column: 1, last: doc.root.line };
    let spec = doc.root.get("spec").unwrap_or(&empty);
    r.fields(spec, "spec", &["podSelector", "ingress", "egress", "policyTypes"])?;
    let namespace = id.namespace.clone().unwrap_or_default();
    let subject = pods(r, spec.get("podSelector").unwrap_or(&empty), "spec.podSelector", &namespace)?;

    let mut types = Vec::new();
    for t in r.list(spec, "policyTypes", "spec")?.items() {
        types.push(match r.item(t, "spec.policyTypes")? {
            "Ingress" => (Direction::Ingress, t.line),
            "Egress" => (Direction::Egress, t.line),
            other => return Err(r.fault(t.line, format!("spec.policyTypes: `{other}` is neither Ingress nor Egress"))),
        });
    }
    let mut sections = Vec::new();
    for (direction, key, peers) in [(Direction::Ingress, "ingress", "from"), (Direction::Egress, "egress", "to")] {
        let items = r.list(spec, key, "spec")?.items();
        let listed = types.iter().find(|(d, _)| *d == direction).map(|(_, line)| *line);
        // Without `policyTypes`: ingress always, egress if there is a rule for it.
        let declared = if types.is_empty() { direction == Direction::Ingress || !items.is_empty() } else { listed.is_some() };
        if !declared && items.is_empty() {
            continue;
        }
        if !declared {
            let word = if direction == Direction::Ingress { "Ingress" } else { "Egress" };
            r.warn(key_line(spec, key), format!("policyTypes does not list {word}: the API ignores `spec.{key}`, Cilium enforces it"));
        }
        let mut rules = Vec::new();
        for (i, item) in items.iter().enumerate() {
            rules.push(rule(r, item, key, peers, i, &namespace)?);
        }
        let line = if items.is_empty() { listed.unwrap_or_else(|| key_line(&doc.root, "spec")) } else { key_line(spec, key) };
        sections.push(Section { direction, subject: Subject::Endpoints(subject.clone()), default_deny: true, declared, rules, line });
    }
    Ok(Policy {
        id,
        doc: doc.clone(),
        text: doc.text.clone(),
        lines: (doc.root.line, doc.root.last),
        tier: Tier::Normal,
        priority: 0,
        sections,
    })
}

fn k8s(key: &str) -> (Option<String>, String) {
    (Some("k8s".to_owned()), key.to_owned())
}

/// Pods of one namespace.
fn pods(r: &mut Reader<'_>, node: &Node, path: &str, namespace: &str) -> Result<Selector, Fault> {
    let mut s = r.selector(node, path, &k8s)?;
    s.all.push(Requirement::implied(POD_NAMESPACE, Op::In, vec![namespace.to_owned()], node.line));
    Ok(s)
}

fn rule(r: &mut Reader<'_>, node: &Node, key: &str, peers_key: &str, i: usize, namespace: &str) -> Result<Rule, Fault> {
    let id = format!("{key}[{i}]");
    let path = format!("spec.{id}");
    r.fields(node, &path, &[peers_key, "ports"])?;
    let items = r.list(node, peers_key, &path)?.items();
    let mut peers = Vec::new();
    for (j, item) in items.iter().enumerate() {
        let path = format!("{path}.{peers_key}[{j}]");
        let is = peer(r, item, &path, namespace)?;
        peers.push(Peer { id: format!("{peers_key}[{j}]"), is, lines: (item.line, item.last) });
    }
    let items = r.list(node, "ports", &path)?.items();
    let mut ports = Vec::new();
    for (j, item) in items.iter().enumerate() {
        ports.push(port(r, item, &format!("{path}.ports[{j}]"))?);
    }
    Ok(Rule {
        id,
        name: None,
        action: Action::Allow,
        peers: if peers.is_empty() { Peers::Any } else { Peers::Of(peers) },
        ports: if ports.is_empty() {
            Ports::Any
        } else {
            Ports::Of(vec![PortRule { ports, l7: None, server_names: Vec::new(), lines: (key_line(node, "ports"), node.last) }])
        },
        auth: None,
        requires: Vec::new(),
        lines: (node.line, node.last),
    })
}

fn peer(r: &mut Reader<'_>, node: &Node, path: &str, namespace: &str) -> Result<PeerIs, Fault> {
    r.fields(node, path, &["podSelector", "namespaceSelector", "ipBlock"])?;
    let some = |k: &str| node.get(k).filter(|n| !n.is_null());
    if let Some(block) = some("ipBlock") {
        if some("podSelector").or(some("namespaceSelector")).is_some() {
            return Err(r.fault(node.line, format!("{path}: ipBlock stands alone or not at all")));
        }
        let path = format!("{path}.ipBlock");
        r.fields(block, &path, &["cidr", "except"])?;
        let net = match block.get("cidr") {
            Some(c) => range(r, c, &format!("{path}.cidr"))?,
            None => return Err(r.fault(block.line, format!("{path} has no cidr"))),
        };
        let mut except = Vec::new();
        for e in r.list(block, "except", &path)?.items() {
            let hole = range(r, e, &format!("{path}.except"))?;
            if !net.contains(&hole) || hole == net {
                return Err(r.fault(e.line, format!("{path}.except {hole} is not a part of {net}")));
            }
            except.push(hole);
        }
        return Ok(PeerIs::Cidr { net, except });
    }
    let (pod, ns) = (some("podSelector"), some("namespaceSelector"));
    let mut s = match pod {
        Some(p) => r.selector(p, &format!("{path}.podSelector"), &k8s)?,
        None => Selector::default(),
    };
    match (pod, ns) {
        (None, None) => return Err(r.fault(node.line, format!("{path} names no peer"))),
        (_, Some(ns)) => {
            let of = r.selector(ns, &format!("{path}.namespaceSelector"), &|k| (Some("k8s".to_owned()), namespace_key(k)))?;
            s.all.extend(of.all);
            // All namespaces are still only pods.
            s.all.push(Requirement::implied(POD_NAMESPACE, Op::Exists, Vec::new(), ns.line));
        }
        (Some(p), None) => s.all.push(Requirement::implied(POD_NAMESPACE, Op::In, vec![namespace.to_owned()], p.line)),
    }
    s.local_cluster = true;
    s.lines = (node.line, node.last);
    Ok(PeerIs::Endpoints(s))
}

/// The API takes no bare address here; Cilium's policies do.
fn range(r: &Reader<'_>, node: &Node, path: &str) -> Result<IpNet, Fault> {
    match node.str() {
        Some(text) if !text.contains('/') => Err(r.fault(node.line, format!("{path} `{text}` has no prefix length"))),
        _ => r.cidr(node, path),
    }
}

fn port(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Port, Fault> {
    r.fields(node, path, &["protocol", "port", "endPort"])?;
    let word = r.text(node, "protocol", path)?.unwrap_or("TCP");
    let protocol = if word.is_empty() {
        Protocol::One(L4::Tcp)
    } else {
        transport(word).ok_or_else(|| r.fault(node.line, format!("{path}.protocol `{word}` is none of TCP, UDP, SCTP")))?
    };
    let ends = node.get("endPort").is_some_and(|n| !n.is_null());
    let port = match node.get("port").map(|n| (&n.value, n.line)) {
        None | Some((Value::Null, _)) if ends => return Err(r.fault(node.line, format!("{path}: endPort wants a port"))),
        None | Some((Value::Null, _)) => PortIs::All,
        Some((Value::Int(n), line)) => match u16::try_from(*n) {
            Ok(n) if n > 0 => r.range(node, n, path)?,
            _ => return Err(r.fault(line, format!("{path}.port {n} is not a port"))),
        },
        Some((Value::Str(s), line)) => {
            let letters = s.bytes().any(|b| b.is_ascii_alphabetic());
            if ends || !letters {
                return Err(r.fault(line, format!("{path}.port `{s}` is neither a number nor the name of a port")));
            }
            PortIs::Named(s.clone())
        }
        Some((_, line)) => return Err(r.fault(line, format!("{path}.port is neither a number nor a name"))),
    };
    Ok(Port::at(node, protocol, port))
}
