//! AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy: tiers in which the first rule that matches decides.
use super::{Ask, Side, cilium, path, select};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The rule that is the first to match, and what it does.
pub struct First {
    /// `Allow`, `Deny`, `Pass`.
    pub action: &'static str,
    /// One for each of its peers that matches.
    pub rules: BTreeSet<String>,
}

/// `Admin`, `Baseline`; `None`: another kind.
pub fn tier(p: &Value) -> Option<&str> {
    match p["kind"].as_str()? {
        "AdminNetworkPolicy" => Some("Admin"),
        "BaselineAdminNetworkPolicy" => Some("Baseline"),
        "ClusterNetworkPolicy" => p["spec"]["tier"].as_str(),
        _ => None,
    }
}

pub fn refused(p: &Value) -> bool {
    let of_all = p["kind"] == "BaselineAdminNetworkPolicy";
    let place = &p["spec"]["priority"];
    if of_all { p["metadata"]["name"] != "default" } else { place.as_u64().is_none_or(|n| n > 1000) }
}

fn rules(p: &Value, ingress: bool) -> &[Value] {
    p["spec"][if ingress { "ingress" } else { "egress" }].as_array().map_or(&[], Vec::as_slice)
}

pub fn selects(p: &Value, ask: &Ask<'_>) -> bool {
    let who = ask.subject;
    !rules(p, ask.ingress).is_empty() && !who.is("host") && somebody(&p["spec"]["subject"], who, ask)
}

/// `{namespaces}` or `{pods}` of a subject or a peer.
fn somebody(it: &Value, who: &Side, ask: &Ask<'_>) -> bool {
    let null = Value::Null;
    let (mut namespaces, mut pods) = (it.get("namespaces"), &null);
    if let Some(p) = it.get("pods") {
        (namespaces, pods) = (p.get("namespaceSelector").or(p.get("namespaces")), &p["podSelector"]);
    }
    // The first versions of the API wrapped it once more.
    let namespaces = namespaces.map_or(&null, |n| n.get("namespaceSelector").unwrap_or(n));
    // Cilium asks for a pod only where it is asked for nothing of the namespace.
    let pod = who.pod() || (!ask.kubernetes() && select::mentions(namespaces, |_| true));
    pod && select::labels(namespaces, who, "k8s:io.cilium.k8s.namespace.labels.") && select::labels(pods, who, "k8s:")
}

/// What the first match of a tier is, by priority and place.
pub fn first(tier_: &str, ask: &Ask<'_>) -> Option<First> {
    let mut all: Vec<&Value> = ask.case["policies"].as_array()?.iter().filter(|p| tier(p) == Some(tier_) && !refused(p)).collect();
    all.sort_by_key(|p| p["spec"]["priority"].as_u64());
    let side = if ask.ingress { ("ingress", "from") } else { ("egress", "to") };
    for p in all.into_iter().filter(|p| selects(p, ask)) {
        for (i, rule) in rules(p, ask.ingress).iter().enumerate() {
            let peers = rule[side.1].as_array().into_iter().flatten().enumerate();
            let named = peers.filter(|(_, peer)| is_peer(peer, ask));
            let rules: BTreeSet<String> = named.map(|(j, _)| format!("{}/{}[{i}].{}[{j}]", path(p), side.0, side.1)).collect();
            if rules.is_empty() || !on_port(rule, ask) {
                continue;
            }
            let action = match rule["action"].as_str() {
                Some("Pass") => "Pass",
                Some("Deny") => "Deny",
                _ => "Allow",
            };
            return Some(First { action, rules });
        }
    }
    None
}

fn is_peer(peer: &Value, ask: &Ask<'_>) -> bool {
    let who = ask.peer;
    if peer.get("namespaces").is_some() || peer.get("pods").is_some() {
        return who.local() && somebody(peer, who, ask);
    }
    if let Some(nodes) = peer.get("nodes") {
        return cilium::node(nodes, who);
    }
    if let Some(list) = peer["networks"].as_array() {
        return list.iter().any(|n| cilium::within(n, who, ask));
    }
    peer["domainNames"].as_array().into_iter().flatten().filter_map(Value::as_str).any(|name| {
        let rule = match name.strip_prefix("*.") {
            Some(rest) => json!({"matchPattern": format!("**.{rest}")}),
            None => json!({"matchName": name}),
        };
        who.names.iter().any(|n| select::dns(&rule, n))
    })
}

fn on_port(rule: &Value, ask: &Ask<'_>) -> bool {
    let list = rule.get("ports").or(rule.get("protocols")).and_then(Value::as_array).filter(|l| !l.is_empty());
    let Some(list) = list else { return true };
    let transport = ["TCP", "UDP", "SCTP"].contains(&ask.protocol());
    let between = |a: &Value, b: &Value| ask.range(a.as_u64().unwrap_or(0), b.as_u64().unwrap_or(0)).is_some();
    let fits = |p: &Value| {
        if let Some(name) = p.get("namedPort").or(p.get("destinationNamedPort")) {
            return transport && ask.pinned(ask.protocol(), name, &Value::Null).is_some();
        }
        for key in ["portNumber", "portRange"] {
            let Some(n) = p.get(key) else { continue };
            let (first, last) = if key == "portNumber" { (&n["port"], &n["port"]) } else { (&n["start"], &n["end"]) };
            return n["protocol"].as_str().unwrap_or("TCP") == ask.protocol() && between(first, last);
        }
        let Some(of) = p.get(ask.protocol().to_lowercase()) else { return false };
        let port = &of["destinationPort"];
        match (port.get("number"), port.get("range")) {
            (Some(n), _) => between(n, n),
            (None, Some(r)) => between(&r["start"], &r["end"]),
            (None, None) => true,
        }
    };
    list.iter().any(fits)
}
