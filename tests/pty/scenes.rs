//! Recordings of three incidents, written as agents send their flows, and the policies that belong to them.
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One side of a flow.
#[derive(Clone)]
pub struct Side {
    json: String,
    ip: String,
}

pub fn pod(namespace: &str, app: &str, number: u8) -> Side {
    let (key, owner) = if app == "kube-dns" { ("k8s-app", "coredns") } else { ("app", app) };
    let labels = format!(
        "\"k8s:{key}={app}\",\"k8s:io.kubernetes.pod.namespace={namespace}\",\"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}\""
    );
    let json = format!(
        "{{\"ID\":{number},\"identity\":{},\"cluster_name\":\"prod\",\"namespace\":\"{namespace}\",\"labels\":[{labels}],\"pod_name\":\"{owner}-7d9c5b6f4-h2x8q\",\"workloads\":[{{\"name\":\"{owner}\",\"kind\":\"Deployment\"}}]}}",
        2_000 + u32::from(number)
    );
    Side { json, ip: format!("10.0.1.{number}") }
}

/// The same as an agent writes it that does not know who owns the pod: it is on another node.
fn afar(side: Side) -> Side {
    let end = side.json.find(",\"workloads\"").unwrap();
    Side { json: format!("{}}}", &side.json[..end]), ..side }
}

/// An address outside: as the world, or as what a DNS answer made of it.
pub fn outside(ip: &str, name: Option<&str>) -> Side {
    let json = match name {
        None => "{\"identity\":2,\"labels\":[\"reserved:world\"]}".to_owned(),
        Some(name) => {
            let number = 16_777_216 + u32::from(ip.as_bytes()[ip.len() - 1]);
            format!("{{\"identity\":{number},\"labels\":[\"cidr:{ip}/32\",\"fqdn:{name}\",\"reserved:world\"]}}")
        }
    };
    Side { json, ip: ip.to_owned() }
}

/// Lines of a recording.
#[derive(Default)]
pub struct Lines {
    text: String,
    n: u16,
    pub day: &'static str,
}

impl Lines {
    pub fn on(day: &'static str) -> Self {
        Self { day, ..Self::default() }
    }

    fn time(&self, ms: u64) -> String {
        let s = ms / 1_000;
        format!("{}T{:02}:{:02}:{:02}.{:03}000000Z", self.day, 14 + s / 3_600, s / 60 % 60, s % 60, ms % 1_000)
    }

    /// The first packet of a connection, seen at its sender's (`EGRESS`) or its receiver's node, so many milliseconds after 14:00.
    pub fn packet(&mut self, ms: u64, dropped: bool, direction: &str, (from, to): (&Side, &Side), (proto, port): (&str, u16), more: &str) {
        self.n += 1;
        let time = self.time(ms);
        let flags = if proto == "TCP" { ",\"flags\":{\"SYN\":true}" } else { "" };
        let (verdict, event, reason) = match dropped {
            true => ("DROPPED", "{\"type\":1,\"sub_type\":133}", ",\"drop_reason\":133,\"drop_reason_desc\":\"POLICY_DENIED\""),
            false => ("FORWARDED", "{\"type\":4}", ""),
        };
        let _ = writeln!(
            self.text,
            "{{\"flow\":{{\"time\":\"{time}\",\"uuid\":\"u-{n}\",\"verdict\":\"{verdict}\"{reason},\"IP\":{{\"source\":\"{}\",\"destination\":\"{}\",\"ipVersion\":\"IPv4\"}},\"l4\":{{\"{proto}\":{{\"source_port\":{},\"destination_port\":{port}{flags}}}}},\"source\":{},\"destination\":{},\"Type\":\"L3_L4\",\"node_name\":\"prod/worker-1\",\"event_type\":{event},\"traffic_direction\":\"{direction}\",\"is_reply\":false{more}}},\"node_name\":\"prod/worker-1\",\"time\":\"{time}\"}}",
            from.ip,
            to.ip,
            30_000 + self.n,
            from.json,
            to.json,
            n = self.n
        );
    }

    /// What the DNS proxy answered.
    pub fn answer(&mut self, ms: u64, to: &Side, (name, ip, ttl): (&str, &str, u32)) {
        self.n += 1;
        let (time, dns) = (self.time(ms), pod("kube-system", "kube-dns", 9));
        let _ = writeln!(
            self.text,
            "{{\"flow\":{{\"time\":\"{time}\",\"uuid\":\"u-{n}\",\"verdict\":\"FORWARDED\",\"IP\":{{\"source\":\"{}\",\"destination\":\"{}\",\"ipVersion\":\"IPv4\"}},\"l4\":{{\"UDP\":{{\"source_port\":53,\"destination_port\":{}}}}},\"source\":{},\"destination\":{},\"Type\":\"L7\",\"node_name\":\"prod/worker-1\",\"l7\":{{\"type\":\"RESPONSE\",\"dns\":{{\"query\":\"{name}.\",\"ips\":[\"{ip}\"],\"ttl\":{ttl},\"observation_source\":\"proxy\",\"qtypes\":[\"A\"],\"rrtypes\":[\"A\"]}}}},\"event_type\":{{\"type\":129}},\"traffic_direction\":\"INGRESS\",\"is_reply\":true}},\"node_name\":\"prod/worker-1\",\"time\":\"{time}\"}}",
            dns.ip,
            to.ip,
            30_000 + self.n,
            dns.json,
            to.json,
            n = self.n
        );
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, &self.text).unwrap();
    }
}

/// Fourteen workloads that may not leave their namespace any more, not even for DNS.
pub const WORKLOADS: [&str; 14] = [
    "cart", "catalog", "checkout", "currency", "email", "frontend", "gift", "ledger", "mail", "orders", "payment", "ratings", "search",
    "shipping",
];

pub fn rollout(dir: &Path) {
    let mut lines = Lines::on("2026-04-13");
    let dns = afar(pod("kube-system", "kube-dns", 9));
    for s in 0..60 {
        for (i, app) in (0u8..).zip(WORKLOADS) {
            let from = pod("shop", app, 20 + i);
            let ms = s * 1_000 + u64::from(i) * 50;
            match s {
                0..20 => lines.packet(ms, false, "EGRESS", (&from, &dns), ("UDP", 53), ""),
                _ if s % 3 == 0 => lines.packet(ms, true, "EGRESS", (&from, &dns), ("UDP", 53), ""),
                _ => {}
            }
        }
    }
    lines.write(&dir.join("rollout.jsonl"));
    fs::create_dir_all(dir.join("k8s")).unwrap();
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: default-deny\n  namespace: shop\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n";
    fs::write(dir.join("k8s/default-deny.yaml"), policy).unwrap();
}

/// A name whose addresses change: connections long after the last answer go to an address that nobody knows any more.
pub fn rotation(dir: &Path) {
    let mut lines = Lines::on("2026-04-13");
    let payment = pod("shop", "payment", 20);
    let name = "api.stripe.com";
    for (k, ip) in (0u64..).zip(["54.187.174.169", "54.187.205.235", "54.187.216.72"]) {
        let begin = k * 240_000;
        lines.answer(begin, &payment, (name, ip, 30));
        for s in (2..30).step_by(4) {
            let to = outside(ip, Some(name));
            lines.packet(
                begin + s * 1_000,
                false,
                "EGRESS",
                (&payment, &to),
                ("TCP", 443),
                &format!(",\"destination_names\":[\"{name}\"]"),
            );
        }
        for s in (160..200).step_by(8) {
            lines.packet(begin + s * 1_000, true, "EGRESS", (&payment, &outside(ip, None)), ("TCP", 443), "");
        }
    }
    lines.write(&dir.join("rotation.jsonl"));
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: stripe-out\n  namespace: shop\nspec:\n  endpointSelector:\n    matchLabels:\n      app: payment\n  egress:\n  - toEndpoints:\n    - matchLabels:\n        k8s:io.kubernetes.pod.namespace: kube-system\n        k8s-app: kube-dns\n    toPorts:\n    - ports:\n      - port: \"53\"\n        protocol: ANY\n      rules:\n        dns:\n        - matchPattern: \"*\"\n  - toFQDNs:\n    - matchName: api.stripe.com\n    toPorts:\n    - ports:\n      - port: \"443\"\n        protocol: TCP\n";
    fs::write(dir.join("stripe.yaml"), policy).unwrap();
}

/// A day of a namespace: one service behind a policy, one that nobody guards, one stranger who is kept out.
pub fn yesterday(dir: &Path) {
    let mut lines = Lines::on("2026-04-12");
    let (front, cart, redis) = (pod("web", "frontend", 20), pod("shop", "cart", 21), pod("shop", "redis", 22));
    let (stranger, batch) = (outside("203.0.113.9", None), pod("jobs", "batch", 23));
    for i in 0..40 {
        let ms = i * 20_000;
        lines.packet(ms, false, "INGRESS", (&front, &cart), ("TCP", 8080), "");
        lines.packet(ms + 5, false, "INGRESS", (&cart, &redis), ("TCP", 6379), "");
        if i % 4 == 0 {
            lines.packet(ms + 9, false, "INGRESS", (&batch, &redis), ("TCP", 6379), "");
            lines.packet(ms + 12, true, "INGRESS", (&stranger, &cart), ("TCP", 8080), "");
            lines.packet(ms + 15, false, "INGRESS", (&batch, &front), ("TCP", 80), "");
        }
    }
    lines.write(&dir.join("yesterday.jsonl"));
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: cart-in\n  namespace: shop\nspec:\n  podSelector:\n    matchLabels:\n      app: cart\n  policyTypes: [Ingress]\n  ingress:\n  - from:\n    - namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: web\n    ports:\n    - port: 8080\n";
    fs::write(dir.join("shop.yaml"), policy).unwrap();
}
