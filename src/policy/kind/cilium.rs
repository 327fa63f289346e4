//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy → intermediate form, as of Cilium 1.20.
//!
//! Owns what makes them valid (an invalid one is not enforced at all), the scope that a policy's namespace gives to its
//! selectors, and missing against empty lists.
use super::cilium_ports::{icmps, ports};
use super::read::{List, Reader, key_line};
use crate::model::doc::{Doc, Fault, Node};
use crate::model::observed::Direction;
use crate::model::why::PolicyRef;
use crate::policy::ir::{Action, Auth, Peer, PeerIs, Peers, Policy, Ports, Rule, Section, Subject, Tier};
use crate::policy::selector::{Op, Requirement, Selector};
use crate::world::labels::{CLUSTER, NAMESPACE_LABELS, POD_NAMESPACE};
use std::sync::Arc;

const SPEC: &[&str] = &[
    "description",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "endpointSelector",
    "ingress",
    "ingressDeny",
    "labels",
    "log",
    "nodeSelector",
];
/// First minor version without `fromRequires`, `toRequires`, and rules for Kafka and parsers of one's own.
pub(super) const SLIM: u32 = 19;

const ENTITIES: &[&str] = &[
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
];

pub(super) fn compile(doc: &Arc<Doc>, id: PolicyRef, r: &mut Reader<'_>) -> Result<Policy, Fault> {
    r.fields(&doc.root, &id.kind, &["apiVersion", "kind", "metadata", "spec", "specs", "status"])?;
    let mut sections = Vec::new();
    let (spec, specs) = (doc.root.get("spec").filter(|n| !n.is_null()), r.list(&doc.root, "specs", &id.kind)?);
    if spec.is_none() && specs.items().is_empty() {
        return Err(r.fault(doc.root.line, "it has neither spec nor specs"));
    }
    let namespace = id.namespace.as_deref();
    if let Some(s) = spec {
        compile_spec(r, s, "", namespace, &mut sections)?;
    }
    for (i, s) in specs.items().iter().enumerate() {
        compile_spec(r, s, &format!("specs[{i}]."), namespace, &mut sections)?;
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

/// A label key as Cilium writes them: `source:key`, or a key of any source.
pub(super) fn key(written: &str) -> (Option<String>, String) {
    match written.split_once(':') {
        Some(("any", k)) => (None, k.to_owned()),
        Some((source, k)) => (Some(source.to_owned()), k.to_owned()),
        None => (None, written.to_owned()),
    }
}

fn kubernetes(source: Option<&str>) -> bool {
    source.is_none_or(|s| s == "k8s")
}

fn compile_spec(r: &mut Reader<'_>, spec: &Node, prefix: &str, namespace: Option<&str>, out: &mut Vec<Section>) -> Result<(), Fault> {
    let path = if prefix.is_empty() { "spec".to_owned() } else { prefix.trim_end_matches('.').to_owned() };
    r.fields(spec, &path, SPEC)?;
    let subject = subject(r, spec, &path, namespace)?;
    let (mut explicit_in, mut explicit_out) = (None, None);
    if let Some(d) = spec.get("enableDefaultDeny") {
        let path = format!("{path}.enableDefaultDeny");
        r.fields(d, &path, &["ingress", "egress"])?;
        (explicit_in, explicit_out) = (r.boolean(d, "ingress", &path)?, r.boolean(d, "egress", &path)?);
    }
    let init =
        matches!(&subject, Subject::Endpoints(s) if s.all.iter().any(|q| q.source.as_deref() == Some("reserved") && q.key == "init"));
    let scope = Scope { namespace, init };
    let mut any = false;
    for (direction, allow, deny, explicit) in
        [(Direction::Ingress, "ingress", "ingressDeny", explicit_in), (Direction::Egress, "egress", "egressDeny", explicit_out)]
    {
        let mut rules = Vec::new();
        for (key, action) in [(allow, Action::Allow), (deny, Action::Deny)] {
            for (i, item) in r.list(spec, key, &path)?.items().iter().enumerate() {
                rules.push(rule(r, item, format!("{prefix}{key}[{i}]"), direction, action, scope)?);
            }
        }
        any |= !rules.is_empty();
        let default_deny = explicit.unwrap_or(!rules.is_empty());
        if !rules.is_empty() || default_deny {
            let key = if spec.get(allow).is_some() { allow } else { deny };
            let subject = subject.clone();
            out.push(Section { direction, subject, default_deny, declared: true, rules, line: key_line(spec, key) });
        }
    }
    if !any {
        return Err(r.fault(spec.line, format!("{path} has no rule in ingress, ingressDeny, egress or egressDeny")));
    }
    Ok(())
}

fn subject(r: &mut Reader<'_>, spec: &Node, path: &str, namespace: Option<&str>) -> Result<Subject, Fault> {
    let some = |k: &str| spec.get(k).filter(|n| !n.is_null());
    match (some("endpointSelector"), some("nodeSelector")) {
        (Some(e), None) => {
            let mut s = r.selector(e, &format!("{path}.endpointSelector"), &key)?;
            if let Some(ns) = namespace {
                // The policy's own namespace takes the place of whatever the selector says.
                let names =
                    |q: &Requirement| q.key == POD_NAMESPACE && kubernetes(q.source.as_deref()) && q.op == Op::In && q.values.len() == 1;
                if let Some(other) = s.all.iter().find(|q| names(q) && q.values != [ns]) {
                    let what = format!("the policy's own namespace {ns} counts, not {}", other.values.join(", "));
                    r.warn(other.line, what);
                }
                s.all.retain(|q| !names(q));
                s.all.push(Requirement::implied(POD_NAMESPACE, Op::In, vec![ns.to_owned()], e.line));
            }
            Ok(Subject::Endpoints(s))
        }
        (None, Some(n)) if namespace.is_none() => Ok(Subject::Nodes(r.selector(n, &format!("{path}.nodeSelector"), &key)?)),
        (None, Some(n)) => Err(r.fault(n.line, "a CiliumNetworkPolicy may not use nodeSelector")),
        (Some(_), Some(n)) => Err(r.fault(n.line, "endpointSelector and nodeSelector exclude each other")),
        (None, None) => Err(r.fault(spec.line, format!("{path} has neither endpointSelector nor nodeSelector"))),
    }
}

/// Where the peers of a policy may be if they do not say it themselves.
#[derive(Clone, Copy)]
struct Scope<'a> {
    namespace: Option<&'a str>,
    /// It is for endpoints that have no labels yet, whose peers are not asked to be pods.
    init: bool,
}

impl Scope<'_> {
    /// What it adds to the selector of a peer.
    fn of_peer(self, mut s: Selector, line: u32) -> Selector {
        if s.all.iter().any(|q| q.source.as_deref() == Some("reserved")) {
            return s;
        }
        let cluster = s.all.iter().any(|q| kubernetes(q.source.as_deref()) && q.key == CLUSTER);
        self.place(&mut s, line);
        s.local_cluster = !cluster;
        s
    }

    /// The policy's own namespace, where the selector names none; of a clusterwide policy any pod, also where labels of namespaces are
    /// asked for: who is in no namespace at all would meet `NotIn`.
    fn place(self, s: &mut Selector, line: u32) {
        let mentions = |f: &dyn Fn(&str) -> bool| s.all.iter().any(|q| kubernetes(q.source.as_deref()) && f(&q.key));
        let by_labels = mentions(&|k| k.starts_with(NAMESPACE_LABELS));
        let own = match self.namespace {
            _ if mentions(&|k| k == POD_NAMESPACE) => return,
            Some(_) if by_labels => return,
            None if self.init => return,
            Some(ns) => Requirement::implied(POD_NAMESPACE, Op::In, vec![ns.to_owned()], line),
            None => Requirement::implied(POD_NAMESPACE, Op::Exists, Vec::new(), line),
        };
        s.all.push(own);
    }
}

fn rule(r: &mut Reader<'_>, node: &Node, id: String, direction: Direction, action: Action, scope: Scope<'_>) -> Result<Rule, Fault> {
    let path = if id.starts_with("specs") { id.clone() } else { format!("spec.{id}") };
    let side = if direction == Direction::Ingress { "from" } else { "to" };
    let field = |f: &str| format!("{side}{f}");
    let [endpoints, cidr, cidr_set, entities, groups, nodes, requires, services, fqdns] =
        ["Endpoints", "CIDR", "CIDRSet", "Entities", "Groups", "Nodes", "Requires", "Services", "FQDNs"].map(field);
    let mut known = vec![endpoints.as_str(), &cidr, &cidr_set, &entities, &groups, &nodes, &requires, "toPorts", "icmps"];
    if direction == Direction::Egress {
        known.push(&services);
        if action == Action::Allow {
            known.push(&fqdns);
        }
    }
    if action == Action::Allow {
        known.push("authentication");
    }
    r.fields(node, &path, &known)?;
    let mut required = Vec::new();
    for (j, item) in r.list(node, &requires, &path)?.items().iter().enumerate() {
        if r.cilium >= SLIM {
            return Err(r.fault(item.line, format!("{path}.{requires} is gone from Cilium 1.{SLIM} on, and a policy with it is rejected")));
        }
        let mut selector = r.selector(item, &format!("{path}.{requires}[{j}]"), &key)?;
        scope.place(&mut selector, item.line);
        required.push(selector);
    }

    let mut peers: Vec<Peer> = Vec::new();
    // Kinds of peers that stand in this rule: only one may have items, and one that is there but empty means nobody.
    let (mut filled, mut nobody, mut present) = (Vec::new(), false, false);
    for k in [&endpoints, &cidr, &cidr_set, &entities, &groups, &nodes, &services, &fqdns] {
        if !known.contains(&k.as_str()) {
            continue;
        }
        let list = r.list(node, k, &path)?;
        present |= matches!(list, List::Items(_));
        nobody |= list.is_empty_list();
        if !list.items().is_empty() {
            filled.push(if *k == cidr_set { cidr.clone() } else { k.clone() });
        }
        for (j, item) in list.items().iter().enumerate() {
            let path = format!("{path}.{k}[{j}]");
            let is = match k.strip_prefix(side).unwrap_or("") {
                "Endpoints" => PeerIs::Endpoints(scope.of_peer(r.selector(item, &path, &key)?, item.line)),
                "CIDR" => PeerIs::Cidr { net: r.cidr(item, &path)?, except: Vec::new() },
                "CIDRSet" => cidr_peer(r, item, &path)?,
                "Entities" => {
                    let entity = r.item(item, &path)?;
                    if !ENTITIES.contains(&entity) {
                        return Err(r.fault(item.line, format!("{path}: `{entity}` is no entity")));
                    }
                    PeerIs::Entity(entity.to_owned())
                }
                "Nodes" => PeerIs::Nodes(r.selector(item, &path, &key)?),
                "Services" => service(r, item, &path)?,
                "FQDNs" => PeerIs::Fqdn(r.name_pattern(item, &path)?),
                _ => PeerIs::Groups,
            };
            if matches!(is, PeerIs::Service { .. } | PeerIs::Services { .. }) && action == Action::Deny {
                r.warn(item.line, format!("{path}: services are looked up for allow rules only, so this denies nobody"));
                continue;
            }
            peers.push(Peer { id: String::new(), is, lines: (item.line, item.last) });
        }
    }
    filled.dedup();
    if let [a, b, ..] = filled.as_slice() {
        return Err(r.fault(node.line, format!("{path}: {a} and {b} may not stand in one rule")));
    }
    let peers = match (nobody, present) {
        (true, _) => Peers::Of(Vec::new()),
        (false, false) => Peers::Any,
        (false, true) => Peers::Of(peers),
    };

    let (to_ports, icmp) = (r.list(node, "toPorts", &path)?, r.list(node, "icmps", &path)?);
    if let (false, Some(first)) = (to_ports.items().is_empty(), icmp.items().first()) {
        return Err(r.fault(first.line, format!("{path}: icmps and toPorts may not stand in one rule")));
    }
    let ports = if !to_ports.items().is_empty() {
        Ports::Of(ports(r, to_ports.items(), &path, direction, action)?)
    } else if !icmp.items().is_empty() {
        Ports::Icmp(icmps(r, icmp.items(), &path)?)
    } else if matches!(peers, Peers::Any) {
        Ports::Nothing
    } else {
        Ports::Any
    };
    let auth = match node.get("authentication").filter(|_| action == Action::Allow) {
        None => None,
        Some(a) => {
            let path = format!("{path}.authentication");
            r.fields(a, &path, &["mode"])?;
            match r.text(a, "mode", &path)? {
                Some("disabled") => Some(Auth::Disabled),
                Some("required") => Some(Auth::Required),
                Some("test-always-fail") => Some(Auth::AlwaysFail),
                _ => return Err(r.fault(a.line, format!("{path}.mode is none of disabled, required, test-always-fail"))),
            }
        }
    };
    Ok(Rule { id, name: None, action, peers, ports, auth, requires: required, lines: (node.line, node.last) })
}

fn cidr_peer(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<PeerIs, Fault> {
    r.fields(node, path, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
    let mut except = Vec::new();
    for e in r.list(node, "except", path)?.items() {
        except.push(r.cidr(e, &format!("{path}.except"))?);
    }
    let some = |k: &str| node.get(k).filter(|n| !n.is_null());
    match (some("cidr"), some("cidrGroupRef"), some("cidrGroupSelector")) {
        (Some(c), None, None) => {
            let net = r.cidr(c, &format!("{path}.cidr"))?;
            if let Some(e) = except.iter().find(|e| !net.contains(*e)) {
                return Err(r.fault(node.line, format!("{path}: except {e} is not inside {net}")));
            }
            Ok(PeerIs::Cidr { net, except })
        }
        (None, Some(g), None) => Ok(PeerIs::CidrGroup { name: r.item(g, &format!("{path}.cidrGroupRef"))?.to_owned(), except }),
        (None, None, Some(s)) => {
            let selector = r.selector(s, &format!("{path}.cidrGroupSelector"), &key)?;
            Ok(PeerIs::CidrGroups { selector, except })
        }
        _ => Err(r.fault(node.line, format!("{path} wants one of cidr, cidrGroupRef, cidrGroupSelector"))),
    }
}

/// A service whose namespace is not written is meant in every namespace, whatever the policy's own is.
fn service(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<PeerIs, Fault> {
    r.fields(node, path, &["k8sService", "k8sServiceSelector"])?;
    if let Some(s) = node.get("k8sService").filter(|n| !n.is_null()) {
        let path = format!("{path}.k8sService");
        r.fields(s, &path, &["namespace", "serviceName"])?;
        let namespace = r.text(s, "namespace", &path)?.filter(|n| !n.is_empty()).map(str::to_owned);
        let name = r.text(s, "serviceName", &path)?.unwrap_or("").to_owned();
        return Ok(PeerIs::Service { namespace, name });
    }
    let Some(s) = node.get("k8sServiceSelector").filter(|n| !n.is_null()) else {
        return Err(r.fault(node.line, format!("{path} names no service")));
    };
    let path = format!("{path}.k8sServiceSelector");
    r.fields(s, &path, &["namespace", "selector"])?;
    let namespace = r.text(s, "namespace", &path)?.filter(|n| !n.is_empty()).map(str::to_owned);
    let Some(selector) = s.get("selector") else { return Err(r.fault(s.line, format!("{path} has no selector"))) };
    Ok(PeerIs::Services { namespace, selector: r.selector(selector, &path, &key)? })
}
