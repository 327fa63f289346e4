//! The one sentence of an explanation. Owns wording only.
use super::near::{Checked, check, flow_port, role};
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::policy::eval::l7::Request;
use crate::policy::eval::{Case, Cause, Decision, Judgement};
use crate::policy::ir::{PortIs, Ports, Rule};
use crate::world::Endpoint;

/// Ports on which name servers in pods listen where it is not 53: behind a service, or beside a cache of the node.
const DNS_PORTS: [u16; 4] = [1053, 5353, 8053, 10_053];

/// A query to a name server.
pub fn is_dns(case: &Case<'_>) -> bool {
    if matches!(case.traffic.request, Some(Request::Dns(_))) {
        return true;
    }
    let (Some(port), Some(l4 @ (L4::Udp | L4::Tcp))) = (case.traffic.port, case.traffic.l4) else { return false };
    let to = case.destination();
    let named =
        || to.named_ports.iter().flatten().any(|p| p.port == port && p.proto == l4 && p.name.to_ascii_lowercase().starts_with("dns"));
    port == 53 || named() || (DNS_PORTS.contains(&port) && is_name_server(to))
}

/// By the labels that name servers of clusters carry.
fn is_name_server(e: &Endpoint) -> bool {
    let is = |key: &str, names: &[&str]| e.labels.get(Some("k8s"), key).is_some_and(|v| names.contains(&v));
    let names = ["kube-dns", "coredns", "node-local-dns"];
    is("k8s-app", &names)
        || is("app.kubernetes.io/name", &names)
        || e.labels.get(Some("k8s"), "dns.operator.openshift.io/daemonset-dns").is_some()
}

/// What a rule says of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Nothing,
    Listed,
    Other,
}

impl Sort {
    pub fn of(ports: &Ports) -> Self {
        match ports {
            Ports::Nothing => Self::Nothing,
            Ports::Of(_) => Self::Listed,
            Ports::Any | Ports::Icmp(_) => Self::Other,
        }
    }
}

/// Why this side denies, or that it does not. `rules`: each as it was held against the flow, nearest first; `rule` is the one at a place.
pub fn sentence<'p>(case: &Case<'_>, j: &Judgement, rules: &[(Sort, &Checked)], rule: &dyn Fn(usize) -> Option<&'p Rule>) -> String {
    match (j.decision, j.cause) {
        (Decision::Unknown, _) => format!("cannot be decided without {}", j.missing.join(", ")),
        (Decision::NotManaged, _) if case.subject.labels.reserved("unmanaged") => {
            format!("{} has no policy of its own: Cilium does not manage it", case.subject.display)
        }
        (Decision::NotManaged, _) => format!("{} has no policy of its own", case.subject.display),
        (Decision::Allowed, Cause::NoPolicy) => format!("no policy selects {} for {}", case.subject.display, case.direction.word()),
        (Decision::Allowed, Cause::DefaultAllow) => format!("no policy isolates {} for {}", case.subject.display, case.direction.word()),
        (Decision::Allowed, Cause::AllowLocalhost) => "a pod's own node may always reach it".to_owned(),
        (Decision::Allowed, _) => match j.allowing().first() {
            Some(p) => format!("allowed by {}", rule_of(p, j)),
            None => "allowed".to_owned(),
        },
        (Decision::Denied, Cause::DenyRule) => match j.attributed.first() {
            Some(p) => format!("denied by {}", rule_of(p, j)),
            None => "denied by a rule".to_owned(),
        },
        (Decision::Denied, Cause::L7Deny) => match &case.traffic.request {
            Some(r) => format!("no {} rule allows {}", r.protocol(), r.words()),
            None => match &case.traffic.server_name {
                Some(name) => format!("no rule allows the TLS server name {name}"),
                None => "no L7 rule allows this request".to_owned(),
            },
        },
        (Decision::Denied, _) => default_deny(case, j, rules, rule),
    }
}

/// `ingress[0] of shop/db`, and what its author calls the rule if anything.
fn rule_of(p: &PolicyRef, j: &Judgement) -> String {
    let rule = p.rule.as_deref().unwrap_or("a rule");
    let policy = j.selecting.iter().find(|s| s.id.kind == p.kind && s.id.namespace == p.namespace && s.id.name == p.name);
    match policy.and_then(|s| s.find_rule(rule)).and_then(|r| r.name.as_deref()) {
        Some(name) => format!("{rule} ({name}) of {}", p.path()),
        None => format!("{rule} of {}", p.path()),
    }
}

fn default_deny<'p>(case: &Case<'_>, j: &Judgement, rules: &[(Sort, &Checked)], rule: &dyn Fn(usize) -> Option<&'p Rule>) -> String {
    let peer = &case.peer.display;
    let real: Vec<&Checked> = rules.iter().filter(|(sort, _)| *sort != Sort::Nothing).map(|(_, c)| *c).collect();
    if case.direction == Direction::Egress && is_dns(case) {
        // Where DNS is allowed there, only not over this transport, that is the point.
        let one = rules.iter().position(|(_, c)| c.only("protocol"));
        if let Some((wanted, _)) = one.and_then(|i| check(rule(i)?, case, &[]).failed.pop()) {
            return format!("no rule allows {}; the nearest allows {}", flow_port(case), wanted.wanted);
        }
        // Where DNS is allowed to somebody, say to whom it is not.
        let elsewhere = rules.iter().any(|(sort, c)| *sort == Sort::Listed && c.port);
        return if elsewhere { format!("no policy allows DNS egress to {peer}") } else { "no policy allows DNS egress".to_owned() };
    }
    if j.isolating.is_empty() && case.subject.labels.reserved("init") {
        return "the pod has no identity yet, and until then everything is denied".to_owned();
    }
    if real.is_empty() {
        return format!("no policy has an {} rule that allows anything", case.direction.word());
    }
    // The nearest rule tells what is wrong; if it speaks of neither, another may still.
    let (peer_ok, port_ok) = match real.first() {
        Some(c) if c.speaks() => (c.peer, c.port),
        _ => (real.iter().any(|c| c.peer), real.iter().any(|c| c.port)),
    };
    match (peer_ok, port_ok) {
        (true, _) => {
            let port = match (case.traffic.port, case.traffic.l4) {
                (Some(p), Some(L4::Tcp)) => format!("port {p}"),
                (Some(p), Some(l4)) => format!("port {p}/{}", l4.word()),
                _ => flow_port(case),
            };
            // Somebody else may be allowed there.
            let elsewhere = rules.iter().any(|(sort, c)| *sort == Sort::Listed && c.port);
            if elsewhere { format!("no rule allows {peer} on {port}") } else { format!("no rule allows {port}") }
        }
        (false, true) => one_label(case, real.first()).unwrap_or_else(|| {
            let way = if case.direction == Direction::Ingress { "from" } else { "to" };
            format!("no rule allows traffic {way} {peer}")
        }),
        (false, false) if matches!(case.traffic.l4, Some(L4::Icmp4 | L4::Icmp6)) => "no rule mentions this peer or ICMP".to_owned(),
        (false, false) => "no rule mentions this peer or port".to_owned(),
    }
}

/// Where one label is all that the nearest rule lacks, the sentence says which: it is true of every replica, not of one pod.
fn one_label(case: &Case<'_>, nearest: Option<&&Checked>) -> Option<String> {
    let [(f, _)] = nearest?.failed.as_slice() else { return None };
    let who = match f.on {
        "label" => role(case).to_owned(),
        "namespace" => format!("{}'s namespace", role(case)),
        "fqdn" => return Some(format!("the nearest rule wants {}, {} is {}", f.wanted, role(case), f.got)),
        _ => return None,
    };
    match (f.wanted.strip_prefix("namespace="), f.got.strip_prefix("namespace=")) {
        (Some(wanted), Some(got)) => Some(format!("the nearest rule wants namespace {wanted}, {} is in {got}", role(case))),
        _ => Some(format!("the nearest rule wants {}, {who} has {}", f.wanted, f.got)),
    }
}

/// `port 53`, where a rule is about one port only.
pub fn ports_only(rule: &Rule) -> Option<String> {
    let Ports::Of(list) = &rule.ports else { return None };
    let mut ports: Vec<u16> = Vec::new();
    for p in list.iter().flat_map(|l| &l.ports) {
        match p.port {
            PortIs::Range(a, b) if a == b => ports.push(a),
            _ => return None,
        }
    }
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        [one] => Some(format!("port {one}")),
        _ => None,
    }
}
