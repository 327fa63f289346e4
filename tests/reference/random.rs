//! Cases in the form of the corpus, made from a row of choices: policies that meet their traffic more often than chance would have
//! them. Small alphabets on purpose, so that selectors match, ranges overlap and rules compete.
use serde_json::{Map, Value, json};

/// Where choices come from.
pub trait Dice {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize;
}

pub const NAMESPACES: [&str; 3] = ["shop", "pay", "kube-system"];
pub const PORTS: [u64; 7] = [80, 8080, 443, 53, 9000, 9090, 1];
pub const NAMES: [&str; 6] =
    ["api.stripe.com", "a.b.s3.amazonaws.com", "s3.amazonaws.com", "Example.ORG.", "x.example.org", "amazonaws.com"];
pub const PATTERNS: [&str; 9] =
    ["*.stripe.com", "*.amazonaws.com", "**.amazonaws.com", "*", "s3.*.com", "*example.org", "**.example.org", "a*.com", "*.*.org"];
const ADDRESSES: [&str; 6] = ["10.1.2.3", "10.200.0.1", "52.216.1.3", "192.168.1.10", "2001:db8::1", "fd00::7"];
pub const RANGES: [(&str, &[&str]); 9] = [
    ("10.0.0.0/8", &["10.1.0.0/16", "10.200.0.0/24"]),
    ("0.0.0.0/0", &["10.0.0.0/8", "52.216.0.0/15", "10.1.2.0/24"]),
    ("52.216.0.0/15", &["52.216.1.0/24"]),
    ("192.168.0.0/16", &["192.168.1.10/32"]),
    ("10.1.2.3/32", &[]),
    ("::/0", &["2001:db8::/32"]),
    ("2001:db8::/32", &["2001:db8::/64"]),
    ("192.168.1.8/29", &[]),
    ("128.0.0.0/1", &["192.168.0.0/16"]),
];
/// Without `world`: whoever is outside has an address.
const ENTITIES: [(&str, &str); 7] = [
    ("host", "10.9.0.1"),
    ("remote-node", "10.9.0.2"),
    ("kube-apiserver", "10.9.0.3"),
    ("health", "10.8.0.1"),
    ("init", "10.8.0.2"),
    ("ingress", "10.8.0.3"),
    ("unmanaged", "10.8.0.4"),
];
const METHODS: [&str; 5] = ["GET", "POST", "DELETE", "GET|POST", ".*"];
const PATHS: [&str; 6] = ["/api/v1/.*", "/api", "/api/v1/orders", "/", "/api/v1/orders/[0-9]+", "/.*x=1"];

pub struct Maker<'d, D: Dice>(pub &'d mut D);

impl<D: Dice> Maker<'_, D> {
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.below(of.len())]
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.0.below(n) == 0
    }

    pub fn some(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> Value) -> Vec<Value> {
        (0..=self.0.below(most)).map(|_| make(self)).collect()
    }

    /// A case with one flow, which `flow` replaces.
    pub fn policies(&mut self) -> Value {
        let mut namespaces = Map::new();
        for n in NAMESPACES {
            let mut l = json!({"kubernetes.io/metadata.name": n});
            for (key, values) in [("env", ["prod", "dev"]), ("team", ["a", "b"])] {
                if !self.one_in(3) {
                    l[key] = json!(self.pick(&values));
                }
            }
            namespaces.insert(n.into(), l);
        }
        let count = self.0.below(5);
        let policies: Vec<Value> = (0..count).map(|i| self.policy(i)).collect();
        let mut case = json!({"id": "random", "policies": policies, "namespaces": namespaces, "cidr_groups": {
            "g": {"cidrs": ["10.1.0.0/16", "2001:db8::/32"], "labels": {"tier": "front"}}, "h": {"cidrs": ["52.216.0.0/15"], "labels": {"tier": "back"}}}});
        self.places(&mut case);
        self.flow(&mut case);
        case
    }

    /// Another flow under the same policies, and how they are enforced.
    pub fn flow(&mut self, case: &mut Value) {
        let (protocol, port) = self.l4();
        (case["src"], case["dst"]) = (self.side(), self.side());
        (case["protocol"], case["port"]) = (json!(protocol), json!(port));
        for left in ["l7", "options"] {
            case.as_object_mut().and_then(|c| c.remove(left));
        }
        if protocol == "TCP" && self.one_in(3) {
            let mut http = json!({"method": self.pick(&METHODS[..3]), "path": self.pick(&["/api/v1/orders", "/api", "/", "/api/v1/orders/7", "/api?x=1"])});
            if self.one_in(2) {
                http["host"] = json!(self.pick(&["shop.example.org", "api"]));
            }
            if self.one_in(2) {
                http["headers"] = json!({"X-Token": self.pick(&["1", "2"])});
            }
            case["l7"] = json!({"http": http});
        } else if port == 53 && !self.one_in(3) {
            case["l7"] = json!({"dns": {"query": self.pick(&NAMES)}});
        }
        if self.one_in(8) {
            case["options"] = match self.0.below(7) {
                4..7 => json!({"engine": "kubernetes"}),
                0 => json!({"policy_enforcement": "always"}),
                1 => json!({"policy_enforcement": "never"}),
                2 => json!({"allow_localhost": "policy"}),
                _ => json!({"host_firewall": true}),
            };
        }
    }

    fn l4(&mut self) -> (&'static str, u64) {
        match self.0.below(12) {
            0 | 1 => ("UDP", self.pick(&[53, 80, 8080])),
            2 => ("SCTP", self.pick(&[80, 8080])),
            3 => ("ICMP", self.pick(&[8, 3])),
            4 => ("ICMPv6", self.pick(&[128, 1])),
            _ => ("TCP", self.pick(&PORTS)),
        }
    }

    fn side(&mut self) -> Value {
        match self.0.below(10) {
            0 | 1 => {
                let mut ip = json!({"kind": "ip", "ip": self.pick(&ADDRESSES)});
                if self.one_in(2) {
                    ip["fqdns"] = json!([self.pick(&NAMES)]);
                }
                ip
            }
            2 => {
                let (entity, ip) = self.pick(&ENTITIES);
                json!({"kind": "entity", "entity": entity, "ip": ip})
            }
            _ => {
                let mut labels = json!({"app": self.pick(&["web", "api", "db"])});
                if !self.one_in(3) {
                    labels["tier"] = json!(self.pick(&["front", "back"]));
                }
                let ip = self.pick(&["10.1.7.1", "10.200.0.7"]);
                let mut pod = json!({"kind": "pod", "namespace": self.pick(&NAMESPACES), "labels": labels, "ip": ip});
                if self.one_in(3) {
                    pod["service_account"] = json!(self.pick(&["robot", "default"]));
                }
                if self.one_in(15) {
                    pod["cluster"] = json!("other");
                }
                if !self.one_in(3) {
                    let mut ports = vec![json!({"name": "http", "port": self.pick(&[80, 8080]), "protocol": "TCP"})];
                    if self.one_in(2) {
                        ports.push(json!({"name": "dns", "port": 53, "protocol": self.pick(&["UDP", "TCP"])}));
                    }
                    pod["named_ports"] = json!(ports);
                }
                pod
            }
        }
    }

    fn policy(&mut self, i: usize) -> Value {
        match self.0.below(8) {
            0 | 1 => self.network(i),
            5..8 => self.of_tier(i),
            2 => self.cilium("CiliumClusterwideNetworkPolicy", json!({"name": format!("ccnp{i}")})),
            _ => {
                let metadata = json!({"name": format!("cnp{i}"), "namespace": self.pick(&NAMESPACES)});
                self.cilium("CiliumNetworkPolicy", metadata)
            }
        }
    }

    /// Requirements over these keys, each with the values it may have.
    pub fn selector(&mut self, keys: &[(&str, &[&str])], style: bool) -> Value {
        let mut s = json!({});
        for _ in 0..self.0.below(3) {
            let (key, values) = self.pick(keys);
            let key = match self.0.below(4) {
                0 if style && !key.contains(':') => format!("k8s:{key}"),
                1 if style && !key.contains(':') => format!("any:{key}"),
                _ => key.to_owned(),
            };
            let value = self.pick(values);
            match self.0.below(7) {
                0 => Self::expression(&mut s, json!({"key": key, "operator": "Exists"})),
                1 => Self::expression(&mut s, json!({"key": key, "operator": "DoesNotExist"})),
                2 => Self::expression(&mut s, json!({"key": key, "operator": "NotIn", "values": [value]})),
                3 => {
                    let values = json!([value, self.pick(values)]);
                    Self::expression(&mut s, json!({"key": key, "operator": "In", "values": values}));
                }
                _ => s["matchLabels"][key] = json!(value),
            }
        }
        s
    }

    fn expression(s: &mut Value, e: Value) {
        match s["matchExpressions"].as_array_mut() {
            Some(list) => list.push(e),
            None => s["matchExpressions"] = json!([e]),
        }
    }

    pub fn pods(&mut self, style: bool) -> Value {
        self.selector(&[("app", &["web", "api", "db"]), ("tier", &["front", "back"]), ("app", &["web", "api"])], style)
    }

    fn network(&mut self, i: usize) -> Value {
        let mut spec = json!({"podSelector": self.pods(false)});
        match self.0.below(5) {
            0 => {}
            1 => spec["policyTypes"] = json!(["Ingress"]),
            2 => spec["policyTypes"] = json!(["Egress"]),
            _ => spec["policyTypes"] = json!(["Ingress", "Egress"]),
        }
        for (section, peers) in [("ingress", "from"), ("egress", "to")] {
            match self.0.below(6) {
                0 => {}
                1 => spec[section] = json!([]),
                _ => spec[section] = json!(self.some(2, |m| m.network_rule(peers))),
            }
        }
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("np{i}"), "namespace": self.pick(&NAMESPACES)}, "spec": spec})
    }

    fn network_rule(&mut self, peers: &str) -> Value {
        let mut rule = json!({});
        match self.0.below(6) {
            0 => {}
            1 => rule[peers] = json!([]),
            _ => {
                rule[peers] = json!(self.some(2, |m| match m.0.below(5) {
                    0 => json!({"ipBlock": m.range("cidr")}),
                    1 => json!({"namespaceSelector": m.namespaces("")}),
                    2 => json!({"namespaceSelector": m.namespaces(""), "podSelector": m.pods(false)}),
                    _ => json!({"podSelector": m.pods(false)}),
                }));
            }
        }
        match self.0.below(4) {
            0 => {}
            1 if self.one_in(3) => rule["ports"] = json!([]),
            _ => {
                rule["ports"] = json!(self.some(2, |m| {
                    let mut p = json!({});
                    if !m.one_in(4) {
                        p["protocol"] = json!(m.pick(&["TCP", "TCP", "UDP", "SCTP"]));
                    }
                    match m.0.below(8) {
                        0 => {}
                        1 | 2 => p["port"] = json!(m.pick(&["http", "dns"])),
                        3 => {
                            p["port"] = json!(m.pick(&[1, 80, 8000]));
                            p["endPort"] = json!(m.pick(&[8080, 9000, 65535]));
                        }
                        _ => p["port"] = json!(m.pick(&PORTS)),
                    }
                    p
                }));
            }
        }
        rule
    }

    pub fn namespaces(&mut self, prefix: &str) -> Value {
        let (env, team, name) = (format!("{prefix}env"), format!("{prefix}team"), format!("{prefix}kubernetes.io/metadata.name"));
        self.selector(&[(&env, &["prod", "dev"]), (&team, &["a", "b"]), (&name, &NAMESPACES)], !prefix.is_empty())
    }

    fn range(&mut self, key: &str) -> Value {
        let (cidr, inside) = self.pick(&RANGES);
        let mut r = json!({key: cidr});
        if !inside.is_empty() && self.one_in(2) {
            r["except"] = json!([self.pick(inside)]);
        }
        r
    }

    fn cilium(&mut self, kind: &str, metadata: Value) -> Value {
        let mut p = json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata});
        if self.one_in(10) {
            p["specs"] = json!(self.some(2, |m| m.cilium_spec(kind)));
        } else {
            p["spec"] = self.cilium_spec(kind);
        }
        p
    }

    fn cilium_spec(&mut self, kind: &str) -> Value {
        let mut spec = json!({});
        if kind.contains("Clusterwide") && self.one_in(12) {
            spec["nodeSelector"] = self.nodes();
        } else if kind.contains("Clusterwide") && self.one_in(12) {
            spec["endpointSelector"] = json!({"matchLabels": {"reserved:init": ""}});
        } else {
            spec["endpointSelector"] = self.pods(true);
        }
        for (section, stem) in [("ingress", "from"), ("egress", "to")] {
            if !self.one_in(3) {
                spec[section] = json!(self.some(2, |m| m.cilium_rule(stem, false)));
            }
            if self.one_in(4) {
                spec[format!("{section}Deny")] = json!(self.some(2, |m| m.cilium_rule(stem, true)));
            }
            if self.one_in(5) {
                spec["enableDefaultDeny"][section] = json!(self.one_in(2));
            }
        }
        spec
    }

    fn cilium_rule(&mut self, stem: &str, deny: bool) -> Value {
        let mut rule = json!({});
        let key = |k: &str| format!("{stem}{k}");
        match self.0.below(match (deny, stem) {
            (_, "from") => 11,
            (true, _) => 13,
            (false, _) => 16,
        }) {
            0 => {}
            1 => rule[key("Endpoints")] = json!([]),
            2 | 3 => {
                let all =
                    ["all", "world", "cluster", "host", "remote-node", "kube-apiserver", "health", "init", "ingress", "unmanaged", "none"];
                rule[key("Entities")] = json!(self.some(2, |m| json!(m.pick(&all))));
            }
            4 => {
                rule[key("CIDR")] = json!(self.some(2, |m| json!(m.pick(&RANGES).0)));
                if self.one_in(3) {
                    rule[key("CIDRSet")] = json!(self.some(2, |m| m.range("cidr")));
                }
            }
            5 => {
                rule[key("CIDRSet")] = json!(self.some(2, |m| match m.0.below(8) {
                    0 => json!({"cidrGroupRef": m.pick(&["g", "h"])}),
                    1 => json!({"cidrGroupSelector": m.selector(&[("tier", &["front", "back"])], false)}),
                    _ => m.range("cidr"),
                }));
            }
            10 => rule[key("Nodes")] = json!(self.some(2, Self::nodes)),
            11 | 12 => rule[key("Services")] = json!(self.some(2, Self::service)),
            n if n >= 13 => {
                rule[key("FQDNs")] = json!(self.some(2, Self::name));
            }
            _ => rule[key("Endpoints")] = json!(self.some(2, Self::endpoints)),
        }
        if !deny && self.one_in(10) {
            rule["authentication"] = json!({"mode": self.pick(&["required", "disabled"])});
        }
        match self.0.below(8) {
            0 | 1 => {}
            2 => {
                let field = |m: &mut Self| match m.0.below(5) {
                    0 => json!({"type": 8}),
                    1 => json!({"family": "IPv4", "type": "EchoRequest"}),
                    2 => json!({"family": "IPv6", "type": 128}),
                    3 => json!({"family": "IPv6", "type": "EchoRequest"}),
                    _ => json!({"type": "DestinationUnreachable"}),
                };
                rule["icmps"] = json!([{"fields": self.some(2, field)}]);
            }
            _ => rule["toPorts"] = json!(self.some(2, |m| m.cilium_ports(deny))),
        }
        rule
    }

    fn endpoints(&mut self) -> Value {
        match self.0.below(6) {
            0 => json!({}),
            1 => self.namespaces("io.cilium.k8s.namespace.labels."),
            2 => self.selector(
                &[
                    ("io.kubernetes.pod.namespace", &NAMESPACES),
                    ("app", &["web", "api", "db"]),
                    ("io.cilium.k8s.policy.cluster", &["default", "other"]),
                    ("io.cilium.k8s.policy.serviceaccount", &["robot", "default"]),
                    ("reserved:host", &[""]),
                    ("reserved:world", &[""]),
                ],
                true,
            ),
            _ => self.pods(true),
        }
    }

    fn cilium_ports(&mut self, deny: bool) -> Value {
        let l7 = if deny { 9 } else { self.0.below(6) };
        let mut one = |m: &mut Self| {
            let mut p = json!({});
            match m.0.below(8) {
                0 if l7 > 1 => p["port"] = json!("0"),
                1 => p["port"] = json!(m.pick(&["http", "dns"])),
                2 if l7 > 1 => {
                    p["port"] = json!(m.pick(&["1", "80", "8000"]));
                    p["endPort"] = json!(m.pick(&[8080, 9000, 65535]));
                }
                _ => p["port"] = json!(m.pick(&PORTS).to_string()),
            }
            match (l7, m.0.below(6)) {
                (0, _) => p["protocol"] = json!("TCP"),
                (1, 0) | (_, 1) => p["protocol"] = json!("UDP"),
                (1, _) | (_, 0) => p["protocol"] = json!("ANY"),
                (_, 2) => {}
                (_, 3) => p["protocol"] = json!("SCTP"),
                _ => p["protocol"] = json!("TCP"),
            }
            p
        };
        let mut item = json!({"ports": self.some(2, &mut one)});
        match l7 {
            0 => item["rules"] = json!({"http": self.some(2, Self::http)}),
            1 => item["rules"] = json!({"dns": self.some(2, Self::name)}),
            _ => {}
        }
        item
    }

    fn http(&mut self) -> Value {
        let mut r = json!({});
        if !self.one_in(3) {
            r["method"] = json!(self.pick(&METHODS));
        }
        if !self.one_in(3) {
            r["path"] = json!(self.pick(&PATHS));
        }
        if self.one_in(5) {
            r["host"] = json!(self.pick(&[".*example.org", "api", "shop"]));
        }
        if self.one_in(5) {
            r["headers"] = json!([self.pick(&["X-Token: 1", "X-Token", "x-token: 2", "X-Token:1", "X-Token 1"])]);
        }
        r
    }
}
