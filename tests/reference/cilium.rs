//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, newest meaning.
use super::{Ask, Hit, Port, Says, Side, path, select, written};
use serde_json::{Value, json};

/// Kinds of peer; a rule may have one of them, address ranges in both spellings together.
const PEERS: [(&str, &str); 8] = [
    ("Endpoints", "l3"),
    ("Entities", "entity"),
    ("CIDR", "cidr"),
    ("CIDRSet", "cidr"),
    ("FQDNs", "fqdn"),
    ("Services", "service"),
    ("Nodes", "node"),
    ("Requires", "requires"),
];
const SECTIONS: [&str; 4] = ["ingress", "ingressDeny", "egress", "egressDeny"];

fn specs(p: &Value) -> Vec<(String, &Value)> {
    let one = p.get("spec").filter(|s| !s.is_null()).map(|s| (String::new(), s));
    let many = p["specs"].as_array().into_iter().flatten().enumerate().map(|(k, s)| (format!("specs[{k}]."), s));
    one.into_iter().chain(many).collect()
}

fn rules<'a>(spec: &'a Value, section: &str) -> &'a [Value] {
    spec[section].as_array().map_or(&[], Vec::as_slice)
}

fn stem(section: &str) -> &'static str {
    if section.starts_with("ingress") { "from" } else { "to" }
}

pub fn refused(p: &Value) -> bool {
    let bad = |spec: &Value| {
        let node = spec.get("nodeSelector").is_some();
        let mixed = SECTIONS.iter().any(|s| {
            rules(spec, s).iter().any(|r| {
                let mut kinds: Vec<&str> = PEERS
                    .iter()
                    .filter(|(k, _)| r.get(format!("{}{k}", stem(s))).is_some_and(|v| !v.is_null()))
                    .map(|(_, kind)| *kind)
                    .collect();
                kinds.dedup();
                kinds.len() > 1 || kinds.contains(&"requires")
            })
        });
        // The proxy of names stands on the way out only.
        let dns_in = rules(spec, "ingress")
            .iter()
            .any(|r| r["toPorts"].as_array().into_iter().flatten().any(|p| p["rules"]["dns"].as_array().is_some_and(|d| !d.is_empty())));
        dns_in
            || node == spec.get("endpointSelector").is_some()
            || (node && p["kind"] == "CiliumNetworkPolicy")
            || SECTIONS.iter().all(|s| rules(spec, s).is_empty())
            || mixed
    };
    let all = specs(p);
    all.is_empty() || all.iter().any(|(_, s)| bad(s))
}

pub fn ask(policy: &Value, ask: &Ask<'_>) -> Says {
    let mut says = Says::default();
    let namespace = (policy["kind"] == "CiliumNetworkPolicy").then(|| policy["metadata"]["namespace"].as_str().unwrap_or("default"));
    for (prefix, spec) in specs(policy) {
        if !subject(spec, namespace, ask) {
            continue;
        }
        let init = select::mentions(&spec["endpointSelector"], |k| k == "reserved:init");
        let (allow, deny, key) = if ask.ingress { ("ingress", "ingressDeny", "ingress") } else { ("egress", "egressDeny", "egress") };
        let told = spec["enableDefaultDeny"][key].as_bool();
        let isolates = told.unwrap_or(true);
        if rules(spec, allow).is_empty() && rules(spec, deny).is_empty() && told != Some(true) {
            continue;
        }
        says.selects = true;
        says.isolates |= isolates;
        for section in [allow, deny] {
            for (i, rule) in rules(spec, section).iter().enumerate() {
                let deny = section.ends_with("Deny");
                let Some(names_peer) = peers(rule, stem(section), (namespace, init), deny, ask) else { continue };
                for p in ports(rule, names_peer, isolates, ask) {
                    let (pins, port, request, redirects) = (p.pins, p.written, p.request, p.redirects);
                    let auth = rule["authentication"]["mode"].as_str().unwrap_or("").to_owned();
                    let rule = format!("{}/{prefix}{section}[{i}]", path(policy));
                    says.hits.push(Hit { rule, deny, names_peer: names_peer == Some(true), pins, port, auth, request, redirects });
                }
            }
        }
    }
    says
}

fn subject(spec: &Value, namespace: Option<&str>, ask: &Ask<'_>) -> bool {
    let who = ask.subject;
    if let Some(nodes) = spec.get("nodeSelector") {
        return who.is("host") && node(nodes, who);
    }
    if who.is("host") {
        return false;
    }
    let of_namespace = |k: &str| k.rsplit(':').next() == Some("io.kubernetes.pod.namespace");
    match namespace {
        Some(ns) if who.namespace != ns => false,
        // A namespace that the selector names itself is overwritten by the policy's.
        Some(_) => {
            let mut own = spec["endpointSelector"].clone();
            if let Some(l) = own["matchLabels"].as_object_mut() {
                l.retain(|k, _| !of_namespace(k));
            }
            select::labels(&own, who, "")
        }
        None => select::labels(&spec["endpointSelector"], who, ""),
    }
}

/// `None`: does not match. Else whether the rule names a peer at all (`None`: neither peers nor a word about them).
fn peers(rule: &Value, stem: &str, (namespace, init): (Option<&str>, bool), deny: bool, ask: &Ask<'_>) -> Option<Option<bool>> {
    let who = ask.peer;
    let list = |kind: &str| rule.get(format!("{stem}{kind}")).and_then(Value::as_array);
    let mut named = false;
    let mut wide = false;
    let mut found = false;
    if let Some(l) = list("Endpoints") {
        named = true;
        found |= l.iter().any(|s| endpoints(s, namespace, init, who));
    }
    if let Some(l) = list("Entities") {
        named = true;
        for e in l.iter().filter_map(Value::as_str) {
            wide |= e == "all";
            found |= entity(e, who);
        }
    }
    if let Some(l) = list("CIDR") {
        named = true;
        found |= l.iter().any(|c| within(c, who, ask));
    }
    if let Some(l) = list("CIDRSet") {
        named = true;
        found |= l.iter().any(|c| {
            let groups = &ask.case["cidr_groups"];
            let of = |g: &Value| g["cidrs"].as_array().into_iter().flatten().any(|c| within(c, who, ask));
            let inside = match (c["cidrGroupRef"].as_str(), c.get("cidrGroupSelector")) {
                (Some(g), _) => of(&groups[g]),
                (None, Some(s)) => groups.as_object().into_iter().flatten().any(|(_, g)| select::plain(s, &g["labels"]) && of(g)),
                (None, None) => within(&c["cidr"], who, ask),
            };
            inside && !c["except"].as_array().into_iter().flatten().any(|e| within(e, who, ask))
        });
    }
    if let Some(l) = list("Nodes") {
        named = true;
        found |= l.iter().any(|s| node(s, who));
    }
    if let Some(l) = list("Services") {
        named = true;
        // Nobody looks services up for what denies.
        found |= !deny && l.iter().any(|s| service(s, ask));
    }
    if let Some(l) = list("FQDNs") {
        named = true;
        found |= !deny && l.iter().any(|f| who.names.iter().any(|n| select::dns(f, n)));
    }
    match (named, found) {
        (false, _) => Some(None),
        (true, false) => None,
        (true, true) => Some(Some(!wide)),
    }
}

/// A node, this one or another, by the labels of its object.
pub fn node(selector: &Value, who: &Side) -> bool {
    let all = !select::mentions(selector, |_| true);
    let labels = || who.node.as_ref().is_some_and(|own| select::has_all(selector, own, ""));
    (who.is("host") || who.is("remote-node")) && (all || labels())
}

/// The pods behind a service, or its addresses where it has no selector; without a namespace it is meant wherever it is.
fn service(item: &Value, ask: &Ask<'_>) -> bool {
    let who = ask.peer;
    ask.case["services"].as_object().into_iter().flatten().any(|(path, s)| {
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        let (by_name, by_labels) = (&item["k8sService"], &item["k8sServiceSelector"]);
        let there = |of: &Value| of["namespace"].as_str().is_none_or(|n| n.is_empty() || n == namespace);
        let meant = if by_labels.is_null() {
            by_name["serviceName"] == name && there(by_name)
        } else {
            there(by_labels) && select::plain(&by_labels["selector"], &s["labels"])
        };
        let behind = match s["selector"].as_object() {
            Some(_) => who.namespace == namespace && who.local() && select::labels(&json!({"matchLabels": s["selector"]}), who, "k8s:"),
            None => s["ips"].as_array().into_iter().flatten().any(|ip| within(ip, who, ask)),
        };
        meant && behind
    })
}

/// Addresses outside the cluster only; as the API has it, whoever's they are.
pub fn within(range: &Value, who: &Side, ask: &Ask<'_>) -> bool {
    let range = range.as_str().unwrap_or("");
    if !who.is("world") && !ask.kubernetes() {
        return false;
    }
    match who.ip {
        Some(ip) => select::cidr(range, ip),
        None => who.is("world") && range.ends_with("/0"),
    }
}

fn endpoints(selector: &Value, namespace: Option<&str>, init: bool, who: &Side) -> bool {
    if !select::labels(selector, who, "") {
        return false;
    }
    let name = |k: &str| k.split_once(':').map_or(k, |(_, n)| n).to_owned();
    if select::mentions(selector, |k| k.starts_with("reserved:")) {
        return true;
    }
    let local = who.local() || select::mentions(selector, |k| name(k) == "io.cilium.k8s.policy.cluster");
    let scoped = select::mentions(selector, |k| name(k) == "io.kubernetes.pod.namespace");
    let by_labels = select::mentions(selector, |k| name(k).starts_with("io.cilium.k8s.namespace.labels."));
    let here = match namespace {
        _ if scoped => true,
        Some(ns) => by_labels || who.namespace == ns,
        // Whoever has no labels yet is spoken of by a policy whose peers need not be pods either.
        None => init || who.pod(),
    };
    here && local
}

fn entity(name: &str, who: &Side) -> bool {
    let cluster = ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"];
    match name {
        "all" => true,
        "world" => who.is("world"),
        "cluster" => (who.pod() && who.local()) || cluster.iter().any(|e| who.is(e)),
        "none" => false,
        other => who.is(other),
    }
}

fn ports(rule: &Value, peers: Option<bool>, isolates: bool, ask: &Ask<'_>) -> Vec<Port> {
    if let Some(icmps) = rule["icmps"].as_array() {
        let fits = |f: &&Value| {
            let six = f["family"] == "IPv6";
            ask.protocol() == if six { "ICMPv6" } else { "ICMP" } && icmp(&f["type"], six) == Some(ask.port())
        };
        return icmps
            .iter()
            .flat_map(|i| i["fields"].as_array().into_iter().flatten())
            .filter(fits)
            .map(|f| Port { pins: 24, written: f["type"].to_string(), ..Port::default() })
            .collect();
    }
    let Some(list) = rule["toPorts"].as_array().filter(|l| !l.is_empty()) else {
        // Neither peer nor port: it isolates and allows nothing.
        return if peers.is_some() { vec![Port::default()] } else { Vec::new() };
    };
    let mut out = Vec::new();
    for item in list {
        let redirects = ["http", "dns"].iter().any(|k| item["rules"][*k].is_array());
        let request = if isolates { request(&item["rules"], ask) } else { None };
        for p in item["ports"].as_array().into_iter().flatten() {
            let any = ["TCP", "UDP", "SCTP"];
            let fits = match p["protocol"].as_str() {
                None | Some("ANY") => any.contains(&ask.protocol()),
                Some(named) => named == ask.protocol(),
            };
            if fits && let Some(n) = ask.pinned(ask.protocol(), &p["port"], &p["endPort"]) {
                out.push(Port { pins: n + 8, written: written(&p["port"], &p["endPort"]), request, redirects });
            }
        }
    }
    out
}

fn icmp(kind: &Value, six: bool) -> Option<u64> {
    let names: &[(&str, u64)] = if six {
        &[("EchoRequest", 128), ("EchoReply", 129), ("DestinationUnreachable", 1)]
    } else {
        &[("EchoReply", 0), ("DestinationUnreachable", 3), ("EchoRequest", 8)]
    };
    match kind.as_str() {
        Some(text) => text.parse().ok().or_else(|| names.iter().find(|(n, _)| *n == text).map(|(_, k)| *k)),
        None => kind.as_u64(),
    }
}

/// What L7 rules say of the request; `None`: there are none of its kind, or there is no request.
fn request(rules: &Value, ask: &Ask<'_>) -> Option<bool> {
    let l7 = ask.case.get("l7")?;
    if let Some(list) = rules["dns"].as_array() {
        let query = l7["dns"]["query"].as_str()?;
        return Some(list.iter().any(|r| select::dns(r, query)));
    }
    let list = rules["http"].as_array()?;
    let http = l7.get("http")?;
    let word = |k: &str| http[k].as_str().unwrap_or("");
    let header = |name: &str| {
        http["headers"].as_object().into_iter().flatten().find(|(k, _)| k.eq_ignore_ascii_case(name)).and_then(|(_, v)| v.as_str())
    };
    let fits = |r: &Value| {
        let written = r["headers"].as_array().into_iter().flatten().filter_map(Value::as_str).all(|h| match h.split_once(' ') {
            Some((name, value)) => header(name.trim_end_matches(':')) == Some(value),
            None => header(h).is_some(),
        });
        let matched = r["headerMatches"].as_array().into_iter().flatten().all(|m| {
            // Any other mismatch is only logged or mended.
            !m["mismatch"].is_null() || header(m["name"].as_str().unwrap_or("")) == m["value"].as_str()
        });
        ["method", "path", "host"].iter().all(|k| select::whole(&r[*k], word(k))) && written && matched
    };
    Some(list.is_empty() || list.iter().any(fits))
}
