//! A slow, obvious evaluator of policies, against which the real one is held. Written from what the systems document and do, not
//! from the code it judges: plain JSON objects in, complete facts only, no index, no unknowns.
mod admin;
mod cilium;
mod network;
mod select;

use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Who a side is, with everything that can be known of it.
pub struct Side {
    /// (source, key, value).
    pub labels: Vec<(String, String, String)>,
    /// Not empty for pods.
    pub namespace: String,
    pub ip: Option<IpAddr>,
    /// Of a node: the labels of its object.
    pub node: Option<Vec<(String, String, String)>>,
    pub names: Vec<String>,
    /// (name, protocol, number).
    pub ports: Vec<(String, String, u64)>,
}

impl Side {
    fn of(p: &Value, case: &Value) -> Self {
        let namespaces = &case["namespaces"];
        let ip = p["ip"].as_str().and_then(|t| t.parse().ok());
        let node = p["ip"].as_str().and_then(|ip| case["nodes"].get(ip)).and_then(Value::as_object);
        let node = node.map(|l| l.iter().map(|(k, v)| (String::new(), k.clone(), v.as_str().unwrap_or("").to_owned())).collect());
        let mut side = Self { labels: Vec::new(), namespace: String::new(), ip, node, names: Vec::new(), ports: Vec::new() };
        let mut add = |source: &str, key: &str, value: &str| side.labels.push((source.into(), key.into(), value.into()));
        match p["kind"].as_str() {
            Some("pod") => {
                let text = |k: &str, default: &'static str| p[k].as_str().unwrap_or(default).to_owned();
                let namespace = text("namespace", "default");
                for (k, v) in p["labels"].as_object().into_iter().flatten() {
                    add("k8s", k, v.as_str().unwrap_or(""));
                }
                for (k, v) in namespaces[&namespace].as_object().into_iter().flatten() {
                    add("k8s", &format!("io.cilium.k8s.namespace.labels.{k}"), v.as_str().unwrap_or(""));
                }
                add("k8s", "io.kubernetes.pod.namespace", &namespace);
                add("k8s", "io.cilium.k8s.policy.cluster", &text("cluster", "default"));
                add("k8s", "io.cilium.k8s.policy.serviceaccount", &text("service_account", "default"));
                side.namespace = namespace;
                for n in p["named_ports"].as_array().into_iter().flatten() {
                    let word = |k: &str| n[k].as_str().unwrap_or("").to_owned();
                    side.ports.push((word("name"), word("protocol"), n["port"].as_u64().unwrap_or(0)));
                }
            }
            Some("ip") => {
                add("reserved", "world", "");
                side.names = p["fqdns"].as_array().into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect();
            }
            _ => {
                let entity = p["entity"].as_str().unwrap_or("");
                add("reserved", entity, "");
                if entity == "kube-apiserver" {
                    add("reserved", "remote-node", "");
                }
            }
        }
        side
    }

    pub fn is(&self, reserved: &str) -> bool {
        self.labels.iter().any(|(s, k, _)| s == "reserved" && k == reserved)
    }

    pub fn pod(&self) -> bool {
        !self.namespace.is_empty()
    }

    /// Of this cluster, as far as pods are concerned.
    pub fn local(&self) -> bool {
        !self.labels.iter().any(|(_, k, v)| k == "io.cilium.k8s.policy.cluster" && v != "default")
    }
}

/// One rule that matches the peer and the port.
#[derive(Debug, Clone)]
pub struct Hit {
    /// `kind/namespace/name/rule`, `-` for what is absent.
    pub rule: String,
    pub deny: bool,
    /// It names a peer; a rule for anybody is less specific.
    pub names_peer: bool,
    /// How much of protocol and port it pins: 0, 8 for the protocol, up to 24 for one port.
    pub pins: u32,
    /// The port as written, with its end; empty without.
    pub port: String,
    pub auth: String,
    /// What its L7 rules say of the request; `None`: there are none, or nobody asks.
    pub request: Option<bool>,
    /// It has L7 rules, so that the proxy is in the way.
    pub redirects: bool,
}

impl Hit {
    fn terms(&self) -> (bool, &str, bool) {
        (self.deny, &self.auth, self.redirects)
    }
}

/// One way in which the ports of a rule match.
#[derive(Debug, Default)]
pub struct Port {
    pub pins: u32,
    pub written: String,
    pub request: Option<bool>,
    pub redirects: bool,
}

/// `80-90`, `http`; empty for all ports.
pub fn written(port: &Value, end: &Value) -> String {
    let text = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
    match (text.as_str(), end.as_u64().filter(|e| *e > 0)) {
        ("0" | "null", _) => String::new(),
        (_, None) => text,
        (_, Some(end)) => format!("{text}-{end}"),
    }
}

/// What a policy says for one direction of the case.
#[derive(Debug, Default)]
pub struct Says {
    pub selects: bool,
    pub isolates: bool,
    pub hits: Vec<Hit>,
}

/// The question put to one policy.
pub struct Ask<'a> {
    pub case: &'a Value,
    pub ingress: bool,
    pub subject: &'a Side,
    pub peer: &'a Side,
    /// The owner of the port names.
    pub destination: &'a Side,
}

impl Ask<'_> {
    /// Whether the API's own meaning counts, not Cilium's.
    pub fn kubernetes(&self) -> bool {
        self.case["options"]["engine"] == "kubernetes"
    }

    pub fn protocol(&self) -> &str {
        self.case["protocol"].as_str().unwrap_or("")
    }

    pub fn port(&self) -> u64 {
        self.case["port"].as_u64().unwrap_or(0)
    }

    /// Bits pinned by a range of ports around ours, as a table of prefixes would hold it; `None`: outside.
    pub fn range(&self, first: u64, last: u64) -> Option<u32> {
        let port = self.port();
        if !(first..=last).contains(&port) {
            return None;
        }
        // The largest aligned block around the port that lies inside the range.
        (0..=16u32).find(|bits| {
            let size = 1u64 << (16 - bits);
            let start = port / size * size;
            start >= first && start + size - 1 <= last
        })
    }

    /// A port by name or number (`"0"`: all); bits pinned.
    pub fn pinned(&self, protocol: &str, port: &Value, end: &Value) -> Option<u32> {
        let text = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
        match text.parse::<u64>() {
            Ok(0) => Some(0),
            Ok(n) => self.range(n, end.as_u64().filter(|e| *e > 0).unwrap_or(n)),
            Err(_) => {
                let named = self.destination.ports.iter().find(|(n, p, _)| *n == text && p == protocol);
                named.filter(|(_, _, n)| *n == self.port()).map(|_| 16)
            }
        }
    }
}

/// One direction, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `allowed`, `denied`, `n/a`.
    pub decision: &'static str,
    pub reason: &'static str,
    pub default_deny: bool,
    /// `kind/namespace/name/-`.
    pub isolating: BTreeSet<String>,
    pub selecting: BTreeSet<String>,
    /// `kind/namespace/name/rule`.
    pub attributed: BTreeSet<String>,
}

impl Answer {
    /// Without the rules that decided.
    pub fn plain(&self) -> Self {
        Self { attributed: BTreeSet::new(), ..self.clone() }
    }
}

/// `kind/namespace/name`, `-` without a namespace.
fn path(p: &Value) -> String {
    let word = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let kind = word(&p["kind"]);
    let namespace = match kind.as_str() {
        "NetworkPolicy" | "CiliumNetworkPolicy" => p["metadata"]["namespace"].as_str().unwrap_or("default").to_owned(),
        _ => "-".to_owned(),
    };
    format!("{kind}/{namespace}/{}", word(&p["metadata"]["name"]))
}

/// Whether the API or Cilium refuses the object, so that it enforces nothing.
pub fn refused(policy: &Value) -> bool {
    match policy["kind"].as_str() {
        Some("NetworkPolicy") => false,
        _ if admin::tier(policy).is_some() => admin::refused(policy),
        _ => cilium::refused(policy),
    }
}

/// Judges one direction of a case of the corpus.
pub fn judge(case: &Value, ingress: bool) -> Answer {
    let (src, dst) = (Side::of(&case["src"], case), Side::of(&case["dst"], case));
    let (subject, peer) = if ingress { (&dst, &src) } else { (&src, &dst) };
    let ask = Ask { case, ingress, subject, peer, destination: &dst };
    let option = &case["options"];
    let mut out = Answer {
        decision: "n/a",
        reason: "not-a-managed-endpoint",
        default_deny: false,
        isolating: BTreeSet::new(),
        selecting: BTreeSet::new(),
        attributed: BTreeSet::new(),
    };
    let firewall = option["host_firewall"] == true && !ask.kubernetes();
    if !(subject.pod() || ["ingress", "health", "init"].iter().any(|e| subject.is(e)) || (firewall && subject.is("host"))) {
        return out;
    }
    (out.decision, out.reason) = ("allowed", "no-policy");
    if option["policy_enforcement"] == "never" {
        return out;
    }
    let mut hits = Vec::new();
    for p in case["policies"].as_array().into_iter().flatten().filter(|p| !refused(p)) {
        let says = match p["kind"].as_str() {
            Some("NetworkPolicy") => network::ask(p, &ask),
            _ if admin::tier(p).is_some() => Says { selects: admin::selects(p, &ask), ..Says::default() },
            _ => cilium::ask(p, &ask),
        };
        if says.selects {
            out.selecting.insert(format!("{}/-", path(p)));
        }
        if says.isolates {
            out.isolating.insert(format!("{}/-", path(p)));
        }
        hits.extend(says.hits);
    }
    out.default_deny = !out.isolating.is_empty() || subject.is("init") || option["policy_enforcement"] == "always";
    if !out.selecting.is_empty() || out.default_deny {
        out.reason = "default-allow";
    }
    // Below the tiers of whoever rules the cluster stands what isolates; Cilium puts it below its Baseline too.
    let localhost = ingress && peer.is("host") && option["allow_localhost"] != "policy" && !subject.is("host");
    let steps = if ask.kubernetes() { ["Admin", "", "deny", "Baseline"] } else { ["Admin", "", "Baseline", "deny"] };
    for step in steps {
        let done = match step {
            "" => union(&hits, localhost, &mut out),
            "deny" if out.default_deny => {
                (out.decision, out.reason) = ("denied", "default-deny");
                true
            }
            "deny" => false,
            tier => first(tier, &ask, &mut out),
        };
        if done {
            break;
        }
    }
    out
}

/// Whether the tier decides.
fn first(tier: &str, ask: &Ask<'_>, out: &mut Answer) -> bool {
    let Some(first) = admin::first(tier, ask).filter(|f| f.action != "Pass") else { return false };
    (out.decision, out.reason) = if first.action == "Deny" { ("denied", "deny-rule") } else { ("allowed", "allow-rule") };
    out.attributed = first.rules;
    true
}

/// Whether the rules that all count together decide.
fn union(hits: &[Hit], localhost: bool, out: &mut Answer) -> bool {
    let denies: Vec<&Hit> = hits.iter().filter(|h| h.deny).collect();
    let allows: Vec<&Hit> = hits.iter().filter(|h| !h.deny).collect();
    if !denies.is_empty() {
        (out.decision, out.reason) = ("denied", "deny-rule");
        out.attributed = winners(&denies);
    } else if !allows.is_empty() {
        out.reason = "allow-rule";
        out.attributed = winners(&allows);
        if allows.iter().all(|h| h.request == Some(false)) {
            (out.decision, out.reason) = ("denied", "l7-deny");
        }
    } else if localhost && out.default_deny {
        out.reason = "allow-localhost";
    } else {
        return false;
    }
    true
}

/// The rules at the place in Cilium's table that decides: a redirect goes before a plain allow, then the most specific place wins.
fn winners(hits: &[&Hit]) -> BTreeSet<String> {
    let place = |h: &Hit| (h.redirects, h.pins, h.names_peer);
    let made = |h: &&&Hit| {
        // Whatever a broader deny covers is not put into the table.
        let covered = |by: &Hit| by.deny && by.pins < h.pins && (!by.names_peer || h.names_peer);
        // Nor is one peer on a port that everybody has on the same terms; those who write another port have another entry.
        let same = |by: &Hit| !by.names_peer && h.names_peer && !h.port.is_empty() && by.port == h.port && by.terms() == h.terms();
        !(h.deny && hits.iter().any(|by| covered(by))) && (h.redirects || !hits.iter().any(|by| same(by)))
    };
    let made: Vec<&&Hit> = hits.iter().filter(made).collect();
    let best = made.iter().map(|h| place(h)).max();
    made.into_iter().filter(|h| Some(place(h)) == best).map(|h| h.rule.clone()).collect()
}
