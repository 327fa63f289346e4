//! AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1), ClusterNetworkPolicy (v1alpha2) → intermediate form.
//!
//! Owns their limits, the two shapes that a peer of namespaces has had, and failing closed where a peer is of a kind that is
//! newer than this reader. They never isolate; what their tiers mean is `eval`'s.
use super::admin_ports;
use super::read::{Reader, key_line};
use crate::model::doc::{Doc, Fault, Node, Value};
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use crate::policy::ir::{Action, Peer, PeerIs, Peers, Policy, Ports, Rule, Section, Subject, Tier};
use crate::policy::selector::{Op, Requirement, Selector, namespace_key};
use crate::world::labels::POD_NAMESPACE;
use std::sync::Arc;

/// What the versions of the API do not have in common.
struct Dialect {
    spec: &'static [&'static str],
    allow: &'static str,
    pass: bool,
    ports: &'static str,
    /// Rules in a direction, peers in a rule, ports in a rule.
    most: usize,
    /// Peers may still be written as v0.1.0 of the API had them.
    nested: bool,
}

const ADMIN: Dialect =
    Dialect { spec: &["priority", "subject", "ingress", "egress"], allow: "Allow", pass: true, ports: "ports", most: 100, nested: true };
const BASELINE: Dialect = Dialect { spec: &["subject", "ingress", "egress"], pass: false, ..ADMIN };
const CLUSTER: Dialect = Dialect {
    spec: &["tier", "priority", "subject", "ingress", "egress"],
    allow: "Accept",
    pass: true,
    ports: "protocols",
    most: 25,
    nested: false,
};

/// Highest priority number.
const LAST: i64 = 1000;
/// Characters that a rule's name may have.
const NAME: usize = 100;

pub(super) fn admin(doc: &Arc<Doc>, id: PolicyRef, r: &mut Reader<'_>) -> Result<Policy, Fault> {
    compile(doc, id, r, &ADMIN, |r, spec| Ok((Tier::Admin, priority(r, spec)?)))
}

pub(super) fn baseline(doc: &Arc<Doc>, id: PolicyRef, r: &mut Reader<'_>) -> Result<Policy, Fault> {
    let named = id.name == "default";
    compile(doc, id, r, &BASELINE, |r, _| {
        if named {
            Ok((Tier::Baseline, 0))
        } else {
            Err(r.fault(doc.root.line, "there is only one of its kind, and its name is `default`"))
        }
    })
}

pub(super) fn cluster(doc: &Arc<Doc>, id: PolicyRef, r: &mut Reader<'_>) -> Result<Policy, Fault> {
    compile(doc, id, r, &CLUSTER, |r, spec| {
        let tier = match r.text(spec, "tier", "spec")? {
            Some("Admin") => Tier::Admin,
            Some("Baseline") => Tier::Baseline,
            _ => return Err(r.fault(key_line(spec, "tier"), "spec.tier is neither Admin nor Baseline")),
        };
        Ok((tier, priority(r, spec)?))
    })
}

fn compile(
    doc: &Arc<Doc>,
    id: PolicyRef,
    r: &mut Reader<'_>,
    dialect: &Dialect,
    place: impl Fn(&Reader<'_>, &Node) -> Result<(Tier, u32), Fault>,
) -> Result<Policy, Fault> {
    r.fields(&doc.root, &id.kind, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let Some(spec) = doc.root.get("spec").filter(|n| !n.is_null()) else { return Err(r.fault(doc.root.line, "it has no spec")) };
    r.fields(spec, "spec", dialect.spec)?;
    let (tier, priority) = place(r, spec)?;
    let subject = subject(r, spec)?;
    let mut sections = Vec::new();
    for (direction, key, peers) in [(Direction::Ingress, "ingress", "from"), (Direction::Egress, "egress", "to")] {
        let items = r.list(spec, key, "spec")?.items();
        if items.len() > dialect.most {
            return Err(r.fault(key_line(spec, key), format!("spec.{key} has more than {} rules", dialect.most)));
        }
        let mut rules = Vec::new();
        for (i, item) in items.iter().enumerate() {
            rules.push(rule(r, item, &format!("{key}[{i}]"), peers, dialect)?);
        }
        // Without a rule it has nothing to do with the direction.
        if !rules.is_empty() {
            let subject = Subject::Endpoints(subject.clone());
            sections.push(Section { direction, subject, default_deny: false, declared: true, rules, line: key_line(spec, key) });
        }
    }
    Ok(Policy { id, doc: doc.clone(), text: doc.text.clone(), lines: (doc.root.line, doc.root.last), tier, priority, sections })
}

fn priority(r: &Reader<'_>, spec: &Node) -> Result<u32, Fault> {
    let Some(node) = spec.get("priority").filter(|n| !n.is_null()) else { return Err(r.fault(spec.line, "spec.priority is missing")) };
    match node.value {
        Value::Int(n @ 0..=LAST) => Ok(u32::try_from(n).unwrap_or_default()),
        _ => Err(r.fault(node.line, format!("spec.priority is not a number of 0 to {LAST}"))),
    }
}

/// The one field of a map that is set; `Err` names what is wrong with the others.
fn only<'n>(r: &Reader<'_>, node: &'n Node, path: &str, known: &[&str]) -> Result<Option<(&'n str, &'n Node)>, Fault> {
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        return Err(r.fault(node.line, format!("{path} is not an object")));
    }
    if node.map().is_empty() {
        return Err(r.fault(node.line, format!("{path} is empty; it wants one of {}", known.join(", "))));
    }
    let mut set = node.map().iter().filter(|e| known.contains(&e.key.as_str()));
    match (set.next(), set.next()) {
        (Some(_), Some(e)) => Err(r.fault(e.line, format!("{path} has more than one of {}", known.join(", ")))),
        (Some(e), None) => Ok(Some((&e.key, &e.value))),
        (None, _) => Ok(None),
    }
}

fn k8s(key: &str) -> (Option<String>, String) {
    (Some("k8s".to_owned()), key.to_owned())
}

fn of_namespace(key: &str) -> (Option<String>, String) {
    (Some("k8s".to_owned()), namespace_key(key))
}

/// All pods of the namespaces that a selector means.
fn namespaces(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Selector, Fault> {
    let mut s = r.selector(node, path, &of_namespace)?;
    // Cilium, which knows the newest kind only, asks for a pod where nothing else is asked for.
    s.loose = !s.all.is_empty();
    s.all.push(Requirement::implied(POD_NAMESPACE, Op::Exists, Vec::new(), node.line));
    Ok(s)
}

/// Pods by their own labels and those of their namespaces; a missing selector of namespaces is all of them.
fn pods(r: &mut Reader<'_>, node: &Node, path: &str, nested: bool) -> Result<Selector, Fault> {
    let old = node.get("namespaces").filter(|_| nested);
    r.fields(node, path, if old.is_some() { &["namespaces", "podSelector"] } else { &["namespaceSelector", "podSelector"] })?;
    let empty = Node { value: Value::Null, line: node.line, column: node.column, last: node.line };
    let mut s = match old {
        Some(old) => nest(r, old, &format!("{path}.namespaces"))?,
        None => namespaces(r, node.get("namespaceSelector").unwrap_or(&empty), &format!("{path}.namespaceSelector"))?,
    };
    s.all.extend(r.selector(node.get("podSelector").unwrap_or(&empty), &format!("{path}.podSelector"), &k8s)?.all);
    s.lines = (node.line, node.last);
    Ok(s)
}

/// `{namespaceSelector: …}`, as v0.1.0 of the API wrapped it.
fn nest(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Selector, Fault> {
    let Some(selector) = node.get("namespaceSelector") else { return namespaces(r, node, path) };
    let what = format!(
        "{path}.namespaceSelector is of v0.1.0 of the API and read as such; a newer API server drops it, and then all namespaces are meant"
    );
    r.warn(key_line(node, "namespaceSelector"), what);
    r.fields(node, path, &["namespaceSelector"])?;
    namespaces(r, selector, &format!("{path}.namespaceSelector"))
}

fn subject(r: &mut Reader<'_>, spec: &Node) -> Result<Selector, Fault> {
    let Some(node) = spec.get("subject").filter(|n| !n.is_null()) else { return Err(r.fault(spec.line, "spec.subject is missing")) };
    match only(r, node, "spec.subject", &["namespaces", "pods"])? {
        Some(("namespaces", n)) => namespaces(r, n, "spec.subject.namespaces"),
        Some((_, n)) => pods(r, n, "spec.subject.pods", false),
        None => Err(r.fault(node.line, "spec.subject names neither namespaces nor pods")),
    }
}

fn rule(r: &mut Reader<'_>, node: &Node, id: &str, peers_key: &str, dialect: &Dialect) -> Result<Rule, Fault> {
    let path = format!("spec.{id}");
    r.fields(node, &path, &["name", "action", peers_key, dialect.ports])?;
    let name = r.text(node, "name", &path)?.filter(|n| !n.is_empty()).map(str::to_owned);
    if name.as_ref().is_some_and(|n| n.chars().count() > NAME) {
        return Err(r.fault(key_line(node, "name"), format!("{path}.name is longer than {NAME} characters")));
    }
    let action = match r.text(node, "action", &path)? {
        Some(a) if a == dialect.allow => Action::Allow,
        Some("Deny") => Action::Deny,
        Some("Pass") if dialect.pass => Action::Pass,
        _ => {
            let last = if dialect.pass { "Deny, Pass" } else { "Deny" };
            return Err(r.fault(key_line(node, "action"), format!("{path}.action is none of {}, {last}", dialect.allow)));
        }
    };
    let items = r.list(node, peers_key, &path)?.items();
    let ports = r.list(node, dialect.ports, &path)?;
    for (key, items) in [(peers_key, items), (dialect.ports, ports.items())] {
        if items.len() > dialect.most {
            return Err(r.fault(key_line(node, key), format!("{path}.{key} has more than {} items", dialect.most)));
        }
    }
    if items.is_empty() {
        return Err(r.fault(node.line, format!("{path}.{peers_key} is empty, and nobody is meant by that")));
    }
    let (mut peers, mut closed, mut nameless) = (Vec::new(), false, false);
    for (j, item) in items.iter().enumerate() {
        let own = format!("{peers_key}[{j}]");
        let Some(found) = peer(r, item, &format!("{path}.{own}"), peers_key == "to", action, dialect)? else {
            closed = true;
            continue;
        };
        nameless |= !matches!(found.first(), Some(PeerIs::Endpoints(_)));
        peers.extend(found.into_iter().map(|is| Peer { id: own.clone(), is, lines: (item.line, item.last) }));
    }
    let (ports, unknown) = match ports.items() {
        [] => (Ports::Any, false),
        items => admin_ports::ports(r, items, &format!("{path}.{}", dialect.ports), dialect.nested)?,
    };
    if nameless && admin_ports::named(&ports) {
        return Err(r.fault(node.line, format!("{path}: named ports are of pods, not of networks, nodes and domain names")));
    }
    let mut rule = Rule {
        id: id.to_owned(),
        name,
        action,
        peers: Peers::Of(peers),
        ports,
        auth: None,
        requires: Vec::new(),
        lines: (node.line, node.last),
    };
    if closed || unknown {
        fail_closed(r, &mut rule, &path);
    }
    Ok(rule)
}

/// What somebody newer wrote cannot be understood; the API says to err on the safe side.
fn fail_closed(r: &mut Reader<'_>, rule: &mut Rule, path: &str) {
    let what = match rule.action {
        Action::Allow => "it matches nothing",
        Action::Deny | Action::Pass => "it denies everything",
    };
    r.warn(rule.lines.0, format!("{path} has a peer or protocol that is not known here, so it fails closed: {what}"));
    if rule.action == Action::Allow {
        rule.peers = Peers::Of(Vec::new());
    } else {
        (rule.action, rule.peers, rule.ports) = (Action::Deny, Peers::Any, Ports::Any);
    }
}

/// The conditions of one peer, any of which will do; `None` if its kind is not known.
fn peer(
    r: &mut Reader<'_>,
    node: &Node,
    path: &str,
    egress: bool,
    action: Action,
    dialect: &Dialect,
) -> Result<Option<Vec<PeerIs>>, Fault> {
    let known: &[&str] = if egress { &["namespaces", "pods", "nodes", "networks", "domainNames"] } else { &["namespaces", "pods"] };
    r.fields(node, path, known)?;
    let Some((key, value)) = only(r, node, path, known)? else { return Ok(None) };
    let path = format!("{path}.{key}");
    let list = || match &value.value {
        Value::Seq(items) if (1..=25).contains(&items.len()) => Ok(items),
        _ => Err(r.fault(value.line, format!("{path} is not a list of 1 to 25 items"))),
    };
    Ok(Some(match key {
        "namespaces" if dialect.nested => vec![PeerIs::Endpoints(local(nest(r, value, &path)?, value))],
        "namespaces" => vec![PeerIs::Endpoints(local(namespaces(r, value, &path)?, value))],
        "pods" => vec![PeerIs::Endpoints(local(pods(r, value, &path, dialect.nested)?, value))],
        "nodes" => vec![PeerIs::Nodes(r.selector(value, &path, &k8s)?)],
        "networks" => {
            let range = |n: &Node| match n.str() {
                Some(text) if !text.contains('/') => Err(r.fault(n.line, format!("{path} `{text}` has no prefix length"))),
                _ => Ok(PeerIs::Cidr { net: r.cidr(n, &path)?, except: Vec::new() }),
            };
            list()?.iter().map(range).collect::<Result<_, _>>()?
        }
        _ => {
            let names = list()?.iter().map(|n| Ok(PeerIs::Fqdn(r.domain(n, &path)?))).collect::<Result<Vec<_>, _>>()?;
            if action == Action::Allow {
                names
            } else {
                r.warn(value.line, format!("{path} is defined for {} rules only", dialect.allow));
                vec![PeerIs::Undefined("domain-names-that-deny")]
            }
        }
    }))
}

/// A peer is of the subject's own cluster.
fn local(mut s: Selector, node: &Node) -> Selector {
    s.local_cluster = true;
    s.lines = (node.line, node.last);
    s
}
