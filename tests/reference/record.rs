//! A direction of a case as the flow record that Cilium would have made of it, and the ways in which records say less.
use super::case::{Manifests, account, protocol};
use flowhy::model::observed::{Direction, L4, L7, Named, Observed, Party, Verdict};
use serde_json::Value;

pub const POLICY_DENIED: u32 = 133;
pub const POLICY_DENY: u32 = 181;

/// Which facts are taken away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Less {
    /// The drop or trace record instead of the policy's verdict: nobody is named.
    pub plain: bool,
    pub direction: bool,
    pub labels: bool,
    pub namespace_labels: bool,
    pub names: bool,
    pub namespaces: bool,
    pub pods_described: bool,
    pub namespaces_described: bool,
}

impl Less {
    pub fn manifests(self) -> Manifests {
        Manifests { pods: !self.pods_described, namespaces: !self.namespaces_described }
    }
}

fn direction(ingress: bool) -> Direction {
    if ingress { Direction::Ingress } else { Direction::Egress }
}

/// The whole record.
pub fn whole(case: &Value, ingress: bool) -> Observed {
    let want = &case["expect"][if ingress { "ingress" } else { "egress" }];
    let denied = want["decision"] == "denied";
    let proxied = want["reason"] == "l7-deny" || (case.get("l7").is_some() && !denied);
    let number = case["port"].as_u64().unwrap();
    let l4 = protocol::l4(case["protocol"].as_str().unwrap());
    let icmp = matches!(l4, L4::Icmp4 | L4::Icmp6);
    let mut o = Observed {
        verdict: if denied { Verdict::Dropped } else { Verdict::Forwarded },
        event: Some(if proxied { (129, 0) } else { (5, 0) }),
        direction: Some(direction(ingress)),
        is_reply: Some(false),
        l4: Some(l4),
        src_port: if icmp { 0 } else { 40_000 },
        dst_port: if icmp { 0 } else { number.try_into().unwrap() },
        icmp: icmp.then(|| (number.try_into().unwrap(), 0)),
        src: party("src", &case["src"], &case["namespaces"]),
        dst: party("dst", &case["dst"], &case["namespaces"]),
        ..Observed::default()
    };
    if proxied {
        o.l7 = case.get("l7").map(|l7| request(l7, denied));
    } else if denied {
        o.drop_reason = if want["reason"] == "deny-rule" { POLICY_DENY } else { POLICY_DENIED };
    }
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let named = want["attributed"].as_array().into_iter().flatten().map(|p| Named {
        kind: text(&p["kind"]),
        namespace: text(&p["namespace"]),
        name: text(&p["name"]),
    });
    let list = match (denied, ingress) {
        (true, true) => &mut o.reported.ingress_denied,
        (true, false) => &mut o.reported.egress_denied,
        (false, true) => &mut o.reported.ingress_allowed,
        (false, false) => &mut o.reported.egress_allowed,
    };
    if !proxied {
        list.extend(named);
    }
    o
}

fn request(l7: &Value, denied: bool) -> L7 {
    if let Some(dns) = l7.get("dns") {
        let query = format!("{}.", dns["query"].as_str().unwrap().trim_end_matches('.'));
        let rcode = if denied { 5 } else { 0 };
        return L7::Dns { query, rcode, ips: Vec::new(), cnames: Vec::new(), ttl: 0, qtypes: vec!["A".into()] };
    }
    let h = &l7["http"];
    let text = |k: &str| h[k].as_str().unwrap_or("").to_owned();
    let headers = h["headers"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    // The proxy reports an absolute address.
    let url = format!("http://{}{}", h["host"].as_str().unwrap_or("api"), text("path"));
    L7::Http { method: text("method"), url, code: if denied { 403 } else { 0 }, headers }
}

/// With all that an agent tells of it.
fn party(side: &str, p: &Value, namespaces: &Value) -> Party {
    let text = |k: &str| p[k].as_str().unwrap_or("").to_owned();
    match p["kind"].as_str() {
        Some("pod") => {
            let cluster = p["cluster"].as_str().unwrap_or("default").to_owned();
            let namespace = text("namespace");
            let mut labels: Vec<String> = Vec::new();
            for (k, v) in p["labels"].as_object().into_iter().flatten() {
                labels.push(format!("k8s:{k}={}", v.as_str().unwrap()));
            }
            let of = "io.cilium.k8s.namespace.labels";
            for (k, v) in namespaces[&namespace].as_object().into_iter().flatten().filter(|(k, _)| *k != "kubernetes.io/metadata.name") {
                labels.push(format!("k8s:{of}.{k}={}", v.as_str().unwrap()));
            }
            labels.push(format!("k8s:{of}.kubernetes.io/metadata.name={namespace}"));
            labels.push(format!("k8s:io.cilium.k8s.policy.cluster={cluster}"));
            labels.push(format!("k8s:io.cilium.k8s.policy.serviceaccount={}", account(p)));
            labels.push(format!("k8s:io.kubernetes.pod.namespace={namespace}"));
            Party {
                present: true,
                identity: if side == "src" { 11_111 } else { 22_222 },
                namespace,
                pod: side.into(),
                labels,
                cluster,
                ..Party::default()
            }
        }
        Some("ip") => Party {
            present: true,
            ip: Some(text("ip").parse().unwrap()),
            identity: 2,
            labels: vec!["reserved:world".into()],
            names: p["fqdns"].as_array().into_iter().flatten().map(|f| f.as_str().unwrap().to_owned()).collect(),
            ..Party::default()
        },
        _ => {
            let entity = text("entity");
            let numbers = ["", "host", "world", "unmanaged", "health", "init", "remote-node", "kube-apiserver", "ingress"];
            let identity = numbers.iter().position(|n| *n == entity).unwrap_or(0).try_into().unwrap();
            let mut labels = vec![format!("reserved:{entity}")];
            if entity == "kube-apiserver" {
                labels.push("reserved:remote-node".into());
            }
            Party { present: true, identity, labels, cluster: "default".into(), ..Party::default() }
        }
    }
}

/// The record with facts taken away.
pub fn degrade(o: &Observed, less: Less) -> Observed {
    let mut o = o.clone();
    if less.plain && o.l7.is_none() {
        let reason = i32::try_from(o.drop_reason).unwrap();
        o.event = Some(if o.verdict == Verdict::Dropped { (1, reason) } else { (4, 0) });
        o.reported = flowhy::model::observed::Reported::default();
    }
    if less.direction {
        o.direction = None;
    }
    for p in [&mut o.src, &mut o.dst] {
        if less.labels {
            p.labels.clear();
        }
        if less.namespace_labels {
            p.labels.retain(|l| !l.contains("io.cilium.k8s.namespace.labels."));
        }
        if less.names {
            p.pod.clear();
        }
        if less.namespaces {
            p.namespace.clear();
        }
    }
    o
}
