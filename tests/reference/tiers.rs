//! Random policies of the admin tiers, and random rules for nodes and services. Small alphabets, as everywhere in the maker.
use super::random::{Dice, Maker, NAMES, NAMESPACES, PORTS, RANGES};
use serde_json::{Value, json};

impl<D: Dice> Maker<'_, D> {
    /// Nodes by their addresses, services by their paths: what rules may go by.
    pub fn places(&mut self, case: &mut Value) {
        case["nodes"] = json!({"10.9.0.1": {"zone": "a"}, "10.9.0.2": {"zone": self.pick(&["a", "b"])}, "10.9.0.3": {}});
        case["services"] = json!({
            "shop/api": {"selector": {"app": "api"}, "labels": {"tier": "back"}},
            "pay/api": {"selector": {"app": self.pick(&["api", "web"]), "tier": "front"}, "labels": {"tier": "front"}},
            "pay/out": {"ips": ["192.168.1.10"], "labels": {"tier": "front"}},
            "shop/out": {"ips": ["52.216.1.3", self.pick(&["10.1.2.3", "192.168.1.10"])], "labels": {"tier": "back"}},
        });
    }

    /// A policy of one of the admin kinds; of the one that there is at most one of, only as the first.
    pub fn of_tier(&mut self, i: usize) -> Value {
        let old = "policy.networking.k8s.io/v1alpha1";
        let (kind, version, allow, name) = match self.0.below(5) {
            0 | 1 => ("AdminNetworkPolicy", old, "Allow", format!("anp{i}")),
            2 if i == 0 => ("BaselineAdminNetworkPolicy", old, "Allow", "default".to_owned()),
            _ => ("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2", "Accept", format!("kcnp{i}")),
        };
        let mut spec = json!({"subject": self.somebody()});
        if kind != "BaselineAdminNetworkPolicy" {
            // Which of equals goes first is nowhere laid down.
            spec["priority"] = json!(i + 1);
        }
        if allow == "Accept" {
            spec["tier"] = json!(self.pick(&["Admin", "Baseline"]));
        }
        for (section, peers) in [("ingress", "from"), ("egress", "to")] {
            if !self.one_in(3) {
                spec[section] = json!(self.some(3, |m| m.tier_rule(kind, allow, peers)));
            }
        }
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    }

    /// By namespace, or by pod and namespace.
    fn somebody(&mut self) -> Value {
        match self.0.below(3) {
            0 => json!({"namespaces": self.namespaces("")}),
            1 => json!({"namespaces": {}}),
            _ => json!({"pods": {"namespaceSelector": self.namespaces(""), "podSelector": self.pods(false)}}),
        }
    }

    fn tier_rule(&mut self, kind: &str, allow: &str, peers: &str) -> Value {
        let action = match self.0.below(3) {
            0 if kind != "BaselineAdminNetworkPolicy" => "Pass",
            1 => "Deny",
            _ => allow,
        };
        let nameless = peers == "to" && self.one_in(3);
        let list = self.some(2, |m| match m.0.below(3) {
            _ if !nameless => m.somebody(),
            0 => json!({"nodes": m.nodes()}),
            1 if action == allow => json!({"domainNames": [m.pick(&["api.stripe.com", "*.amazonaws.com", "*.example.org"])]}),
            _ => json!({"networks": [m.pick(&RANGES).0]}),
        });
        let mut rule = json!({"action": action, peers: list});
        if !self.one_in(3) {
            let key = if allow == "Accept" { "protocols" } else { "ports" };
            rule[key] = json!(self.some(2, |m| if key == "ports" { m.numbered(nameless) } else { m.by_protocol(nameless) }));
        }
        rule
    }

    /// Only pods have ports with names.
    fn numbered(&mut self, nameless: bool) -> Value {
        let protocol = self.pick(&["TCP", "TCP", "UDP", "SCTP"]);
        match self.0.below(4) {
            0 if !nameless => json!({"namedPort": self.pick(&["http", "dns"])}),
            1 => json!({"portRange": {"protocol": protocol, "start": self.pick(&[1, 80, 8000]), "end": self.pick(&[8080, 9000, 65535])}}),
            2 => json!({"portNumber": {"port": self.pick(&PORTS)}}),
            _ => json!({"portNumber": {"protocol": protocol, "port": self.pick(&PORTS)}}),
        }
    }

    fn by_protocol(&mut self, nameless: bool) -> Value {
        let protocol = self.pick(&["tcp", "tcp", "udp", "sctp"]);
        match self.0.below(4) {
            0 if !nameless => json!({"destinationNamedPort": self.pick(&["http", "dns"])}),
            1 => json!({protocol: {"destinationPort": {"range": {"start": self.pick(&[1, 80, 8000]), "end": self.pick(&[8080, 9000])}}}}),
            2 => json!({protocol: {}}),
            _ => json!({protocol: {"destinationPort": {"number": self.pick(&PORTS)}}}),
        }
    }

    pub fn nodes(&mut self) -> Value {
        if self.one_in(3) { json!({}) } else { self.selector(&[("zone", &["a", "b"])], false) }
    }

    /// One item of `toServices`.
    pub fn service(&mut self) -> Value {
        let key = if self.one_in(2) { "k8sService" } else { "k8sServiceSelector" };
        let mut of = match key {
            "k8sService" => json!({"serviceName": self.pick(&["api", "api", "out"])}),
            _ => json!({"selector": self.selector(&[("tier", &["front", "back"])], false)}),
        };
        // Left out it is whatever namespace has it.
        if self.one_in(2) {
            of["namespace"] = json!(self.pick(&NAMESPACES[..2]));
        }
        json!({key: of})
    }

    /// One item of `toFQDNs` or of DNS rules.
    pub fn name(&mut self) -> Value {
        if self.one_in(2) { json!({"matchName": self.pick(&NAMES)}) } else { json!({"matchPattern": self.pick(&super::random::PATTERNS)}) }
    }
}
