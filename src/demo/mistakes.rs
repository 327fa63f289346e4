//! What is wrong in the demo, written by hand: the answer that an explanation is compared with.
//!
//! Owns the list. Must not be derived from anything: it is the measure, not the measured.
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::wire::pb::flow::{self as pb, Flow};

/// A policy by kind, namespace (empty where the kind has none) and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyName {
    pub kind: &'static str,
    pub namespace: &'static str,
    pub name: &'static str,
}

/// The rule that comes nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearestRule {
    pub policy: PolicyName,
    /// `ingress[0]`.
    pub rule: &'static str,
}

/// One condition of the nearest rule that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// As in `why.nearest.failed[].on`.
    pub on: &'static str,
    /// What the rule says; the explanation's `wanted` has to contain it.
    pub wanted: &'static str,
    /// What the flow has; the explanation's `got` has to contain it. Empty: the thing is absent.
    pub got: &'static str,
}

/// One mistake, or one thing that is meant to be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Mistake {
    pub id: &'static str,
    /// What somebody got wrong, for a person.
    pub says: &'static str,
    /// The side that is judged: `namespace/workload`.
    pub subject: &'static str,
    /// The other side: `namespace/workload`, a DNS name, or an address.
    pub peer: &'static str,
    pub direction: Direction,
    /// `TCP`, `UDP`.
    pub protocol: &'static str,
    /// Where the flow goes.
    pub port: u16,
    /// What the proxy saw: `PUT /v1/exhaust-port`, or the name that was asked for.
    pub l7: Option<&'static str>,
    pub verdict: pb::Verdict,
    /// 0 where the record gives none (proxy, audit).
    pub drop_reason: u32,
    pub outcome: Outcome,
    /// `why.policies`: default-deny → all that isolate; denied-by-rule → those that deny; l7-denied, dns-refused → whose rules apply.
    pub policies: &'static [PolicyName],
    /// `None`: no rule mentions this peer or this port, or a deny rule decides.
    pub nearest: Option<NearestRule>,
    pub failed: &'static [Condition],
}

const fn np(namespace: &'static str, name: &'static str) -> PolicyName {
    PolicyName { kind: "NetworkPolicy", namespace, name }
}
const fn cnp(namespace: &'static str, name: &'static str) -> PolicyName {
    PolicyName { kind: "CiliumNetworkPolicy", namespace, name }
}
const fn rule(policy: PolicyName, rule: &'static str) -> Option<NearestRule> {
    Some(NearestRule { policy, rule })
}
const fn on(on: &'static str, wanted: &'static str, got: &'static str) -> Condition {
    Condition { on, wanted, got }
}

const SHOP_INGRESS: PolicyName = np("shop", "default-deny-ingress");
const DNS: &str = "kube-system/coredns";

/// Every mistake in `assets/demo`.
pub const MISTAKES: &[Mistake] = &[
    Mistake {
        id: "no-dns-egress",
        says: "recommendationservice is isolated for egress and nothing lets it ask DNS",
        subject: "shop/recommendationservice",
        peer: DNS,
        direction: Direction::Egress,
        protocol: "UDP",
        port: 53,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[np("shop", "recommendationservice-egress")],
        nearest: None,
        failed: &[],
    },
    Mistake {
        id: "wrong-port",
        says: "the policy of emailservice lists 5000, the port of the Service; the pod listens on 8080",
        subject: "shop/emailservice",
        peer: "shop/checkoutservice",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 8080,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[SHOP_INGRESS, np("shop", "emailservice")],
        nearest: rule(np("shop", "emailservice"), "ingress[0]"),
        failed: &[on("port", "5000", "8080")],
    },
    Mistake {
        id: "wrong-label",
        says: "the policy of redis-cart lets app=card in; the caller is app=cartservice",
        subject: "shop/redis-cart",
        peer: "shop/cartservice",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 6379,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[SHOP_INGRESS, np("shop", "redis-cart")],
        nearest: rule(np("shop", "redis-cart"), "ingress[0]"),
        failed: &[on("label", "app=card", "app=cartservice")],
    },
    Mistake {
        id: "egress-without-ingress",
        says: "checkoutservice may call shippingservice, and shippingservice does not let it in",
        subject: "shop/shippingservice",
        peer: "shop/checkoutservice",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 50051,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[SHOP_INGRESS, np("shop", "shippingservice")],
        nearest: rule(np("shop", "shippingservice"), "ingress[0]"),
        failed: &[on("label", "app=frontend", "app=checkoutservice")],
    },
    Mistake {
        id: "namespace-label-missing",
        says: "the policy of details lets namespaces with purpose=monitoring in; the namespace monitoring has no such label",
        subject: "bookinfo/details-v1",
        peer: "monitoring/prometheus",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 9080,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[np("bookinfo", "details")],
        nearest: rule(np("bookinfo", "details"), "ingress[1]"),
        failed: &[on("namespace", "purpose=monitoring", "")],
    },
    Mistake {
        id: "http-method-not-listed",
        says: "reviews may only be read: GET is listed, POST is not",
        subject: "bookinfo/reviews-v1",
        peer: "bookinfo/productpage-v1",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 9080,
        l7: Some("POST /reviews/0"),
        verdict: pb::Verdict::Dropped,
        drop_reason: 0,
        outcome: Outcome::L7Denied,
        policies: &[cnp("bookinfo", "reviews")],
        nearest: rule(cnp("bookinfo", "reviews"), "ingress[0]"),
        failed: &[on("http", "GET", "POST")],
    },
    Mistake {
        id: "http-path-not-listed",
        says: "ships of the empire may POST /v1/request-landing and nothing else",
        subject: "empire/deathstar",
        peer: "empire/tiefighter",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 80,
        l7: Some("PUT /v1/exhaust-port"),
        verdict: pb::Verdict::Dropped,
        drop_reason: 0,
        outcome: Outcome::L7Denied,
        policies: &[cnp("empire", "rule1")],
        nearest: rule(cnp("empire", "rule1"), "ingress[0]"),
        failed: &[on("http", "POST /v1/request-landing", "PUT /v1/exhaust-port")],
    },
    Mistake {
        id: "other-org",
        says: "only org=empire may call the deathstar; xwing is org=alliance",
        subject: "empire/deathstar",
        peer: "empire/xwing",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 80,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[cnp("empire", "rule1")],
        nearest: rule(cnp("empire", "rule1"), "ingress[0]"),
        failed: &[on("label", "org=empire", "org=alliance")],
    },
    Mistake {
        id: "fqdn-not-listed",
        says: "paymentservice may call api.stripe.com; the webhooks go to hooks.stripe.com",
        subject: "shop/paymentservice",
        peer: "hooks.stripe.com",
        direction: Direction::Egress,
        protocol: "TCP",
        port: 443,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 133,
        outcome: Outcome::DefaultDeny,
        policies: &[cnp("shop", "paymentservice")],
        nearest: rule(cnp("shop", "paymentservice"), "egress[1]"),
        failed: &[on("fqdn", "api.stripe.com", "hooks.stripe.com")],
    },
    Mistake {
        id: "dns-name-not-listed",
        says: "currencyservice may ask for names under ecb.europa.eu; api.exchangerate.host is refused",
        subject: "shop/currencyservice",
        peer: DNS,
        direction: Direction::Egress,
        protocol: "UDP",
        port: 53,
        l7: Some("api.exchangerate.host."),
        verdict: pb::Verdict::Dropped,
        drop_reason: 0,
        outcome: Outcome::DnsRefused,
        policies: &[cnp("shop", "currencyservice-egress")],
        nearest: rule(cnp("shop", "currencyservice-egress"), "egress[0]"),
        failed: &[on("dns", "*.ecb.europa.eu", "api.exchangerate.host")],
    },
    Mistake {
        id: "denied-by-leftover",
        says: "a policy left over from an incident denies what another allows: ratings refuses reviews v2",
        subject: "bookinfo/ratings-v1",
        peer: "bookinfo/reviews-v2",
        direction: Direction::Ingress,
        protocol: "TCP",
        port: 9080,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 181,
        outcome: Outcome::DeniedByRule,
        policies: &[cnp("bookinfo", "ratings-quarantine")],
        nearest: None,
        failed: &[],
    },
    Mistake {
        id: "denied-metadata",
        says: "a cluster-wide policy denies the address of the cloud's metadata to the frontend",
        subject: "shop/frontend",
        peer: "169.254.169.254",
        direction: Direction::Egress,
        protocol: "TCP",
        port: 80,
        l7: None,
        verdict: pb::Verdict::Dropped,
        drop_reason: 181,
        outcome: Outcome::DeniedByRule,
        policies: &[PolicyName { kind: "CiliumClusterwideNetworkPolicy", namespace: "", name: "block-cloud-metadata" }],
        nearest: None,
        failed: &[],
    },
    Mistake {
        id: "audit-not-listed",
        says: "grafana may call prometheus and DNS; loki is not listed, and audit mode lets it through for now",
        subject: "monitoring/grafana",
        peer: "monitoring/loki",
        direction: Direction::Egress,
        protocol: "TCP",
        port: 3100,
        l7: None,
        verdict: pb::Verdict::Audit,
        drop_reason: 0,
        outcome: Outcome::DefaultDeny,
        policies: &[cnp("monitoring", "grafana-egress")],
        nearest: None,
        failed: &[],
    },
];

/// Every mistake.
pub fn mistakes() -> &'static [Mistake] {
    MISTAKES
}

impl Mistake {
    /// Whether this record shows the mistake.
    pub fn shows_in(&self, flow: &Flow) -> bool {
        let (src, dst) = match self.direction {
            Direction::Egress => (self.subject, self.peer),
            Direction::Ingress => (self.peer, self.subject),
        };
        let direction = match self.direction {
            Direction::Egress => pb::TrafficDirection::Egress,
            Direction::Ingress => pb::TrafficDirection::Ingress,
        };
        let ip = flow.ip.as_ref();
        flow.verdict == i32::from(self.verdict)
            && flow.traffic_direction == i32::from(direction)
            && flow.drop_reason_desc == i32::try_from(self.drop_reason).unwrap_or(-1)
            && to_port(flow) == Some((self.protocol, self.port))
            && is(src, flow.source.as_ref(), &flow.source_names, ip.map_or("", |i| &i.source))
            && is(dst, flow.destination.as_ref(), &flow.destination_names, ip.map_or("", |i| &i.destination))
            && said(flow).as_deref() == self.l7
    }
}

/// By names alone: on another node than its own a pod is reported without its owner.
fn is(wanted: &str, end: Option<&pb::Endpoint>, names: &[String], ip: &str) -> bool {
    match (wanted.split_once('/'), end) {
        (Some((ns, workload)), Some(e)) => {
            e.namespace == ns && e.pod_name.strip_prefix(workload).is_some_and(|r| r.is_empty() || r.starts_with('-'))
        }
        _ => ip == wanted || names.iter().any(|n| n == wanted),
    }
}

fn to_port(flow: &Flow) -> Option<(&'static str, u16)> {
    let (name, port) = match flow.l4.as_ref()?.protocol.as_ref()? {
        pb::layer4::Protocol::Tcp(t) => ("TCP", t.destination_port),
        pb::layer4::Protocol::Udp(u) => ("UDP", u.destination_port),
        _ => return None,
    };
    Some((name, u16::try_from(port).ok()?))
}

fn said(flow: &Flow) -> Option<String> {
    match flow.l7.as_ref()?.record.as_ref()? {
        pb::layer7::Record::Dns(d) => Some(d.query.clone()),
        pb::layer7::Record::Http(h) => {
            let path =
                h.url.split_once("://").map_or(h.url.as_str(), |(_, rest)| rest.find('/').and_then(|i| rest.get(i..)).unwrap_or("/"));
            Some(format!("{} {path}", h.method))
        }
        _ => None,
    }
}
