//! NetworkPolicy v1 as Cilium enforces it: `policyTypes` decides who isolates, a section that is written is enforced all the same.
use super::{Ask, Hit, Port, Says, path, select, written};
use serde_json::Value;

pub fn ask(p: &Value, ask: &Ask<'_>) -> Says {
    let mut says = Says::default();
    let spec = &p["spec"];
    let namespace = p["metadata"]["namespace"].as_str().unwrap_or("default");
    if ask.subject.namespace != namespace || !select::labels(&spec["podSelector"], ask.subject, "k8s:") {
        return says;
    }
    let (section, types, peers) = if ask.ingress { ("ingress", "Ingress", "from") } else { ("egress", "Egress", "to") };
    let rules = spec[section].as_array().map_or(&[][..], Vec::as_slice);
    let declared = match spec["policyTypes"].as_array().filter(|t| !t.is_empty()) {
        Some(listed) => listed.iter().any(|t| t == types),
        None => ask.ingress || !rules.is_empty(),
    };
    // The API ignores a section that `policyTypes` does not name.
    if !declared && (rules.is_empty() || ask.kubernetes()) {
        return says;
    }
    (says.selects, says.isolates) = (true, true);
    for (i, rule) in rules.iter().enumerate() {
        let mut hit = |id: String, names_peer| {
            let rule = format!("{}/{id}", path(p));
            for p in ports(&rules[i], ask) {
                let (pins, port, rule) = (p.pins, p.written, rule.clone());
                says.hits.push(Hit { rule, deny: false, names_peer, pins, port, auth: String::new(), request: None, redirects: false });
            }
        };
        match rule[peers].as_array().filter(|l| !l.is_empty()) {
            None => hit(format!("{section}[{i}]"), false),
            Some(list) => {
                for (j, _) in list.iter().enumerate().filter(|(_, peer)| matches(peer, namespace, ask)) {
                    hit(format!("{section}[{i}].{peers}[{j}]"), true);
                }
            }
        }
    }
    says
}

fn ports(rule: &Value, ask: &Ask<'_>) -> Vec<Port> {
    let Some(list) = rule["ports"].as_array().filter(|l| !l.is_empty()) else { return vec![Port::default()] };
    let one = |p: &Value| {
        let protocol = p["protocol"].as_str().unwrap_or("TCP");
        if protocol != ask.protocol() {
            return None;
        }
        let bits = if p["port"].is_null() { 0 } else { ask.pinned(protocol, &p["port"], &p["endPort"])? };
        Some(Port { pins: bits + 8, written: written(&p["port"], &p["endPort"]), ..Port::default() })
    };
    list.iter().filter_map(one).collect()
}

fn matches(peer: &Value, namespace: &str, ask: &Ask<'_>) -> bool {
    let who = ask.peer;
    if let Some(block) = peer["ipBlock"].as_object() {
        let inside = |v: &Value| super::cilium::within(v, who, ask);
        return inside(&block["cidr"]) && !peer["ipBlock"]["except"].as_array().into_iter().flatten().any(inside);
    }
    let there = match peer.get("namespaceSelector").filter(|s| !s.is_null()) {
        Some(s) => select::labels(s, who, "k8s:io.cilium.k8s.namespace.labels."),
        None => who.namespace == namespace,
    };
    who.pod() && who.local() && there && select::labels(&peer["podSelector"], who, "k8s:")
}
