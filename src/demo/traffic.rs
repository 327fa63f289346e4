//! Who talks to whom in the demo, how often, and what Cilium does with it under the policies in `assets/demo`.
//!
//! Owns the table. Every outcome in it is written by hand from the policies; no evaluator is asked. Must not make flows.

/// A policy that decides, as an agent names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub kind: &'static str,
    /// Empty for cluster-wide kinds.
    pub namespace: &'static str,
    pub name: &'static str,
}

const fn np(namespace: &'static str, name: &'static str) -> Policy {
    Policy { kind: "NetworkPolicy", namespace, name }
}
const fn cnp(namespace: &'static str, name: &'static str) -> Policy {
    Policy { kind: "CiliumNetworkPolicy", namespace, name }
}
const fn ccnp(name: &'static str) -> Policy {
    Policy { kind: "CiliumClusterwideNetworkPolicy", namespace: "", name }
}

/// `policy_match_type`: what the deciding entry of the policy map named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    L3 = 1,
    L3L4 = 2,
}

/// What one side's policy says to the first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// No policy selects the subject in this direction, or the side has no policy of its own: no verdict is recorded.
    Open,
    /// Only policies without default deny select it, and none of them denies: everything else passes by the entry for all.
    Any,
    Allow(Policy, Match),
    /// Allowed, and sent through the proxy.
    Redirect(Policy, Match),
    /// Default deny: no rule allowed it.
    Deny,
    DenyRule(Policy, Match),
    /// Default deny, on an endpoint in audit mode: recorded, and let through.
    Audit,
}

/// One request of an HTTP conversation. `{id}` in the path is replaced.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub method: &'static str,
    pub path: &'static str,
    /// The answer; the proxy answers 403 itself where it refuses.
    pub code: u32,
    /// No rule of the proxy lists it.
    pub refused: bool,
}

const fn ok(method: &'static str, path: &'static str) -> Call {
    Call { method, path, code: 200, refused: false }
}
const fn answers(method: &'static str, path: &'static str, code: u32) -> Call {
    Call { method, path, code, refused: false }
}
const fn refused(method: &'static str, path: &'static str) -> Call {
    Call { method, path, code: 403, refused: true }
}

/// What is said on the connection.
#[derive(Debug, Clone, Copy)]
pub enum Talk {
    /// A TCP connection with some data.
    Tcp,
    /// Packets of a connection that was made before the policies came.
    Established,
    Http {
        host: &'static str,
        calls: &'static [Call],
    },
    /// One name is asked for: A and AAAA. `refused`: the DNS proxy does not list it.
    Dns {
        names: &'static [&'static str],
        refused: bool,
    },
    Ping,
    /// Dropped for a reason that is not policy; `egress` is `None` where the agent cannot say the direction.
    Fault {
        reason: u32,
        egress: Option<bool>,
    },
    /// As `Fault`, and the packet is not IP at all.
    NotIp {
        reason: u32,
    },
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// `namespace/workload`, a name that `cluster::outside` knows, or `host`.
    pub from: &'static str,
    pub to: &'static str,
    /// The port the pod listens on; policy is judged after the service's address is translated.
    pub port: u16,
    pub egress: Gate,
    pub ingress: Gate,
    pub talk: Talk,
    /// Mean time between conversations.
    pub every_ms: i64,
    /// The id in `mistakes`, where this line is dropped by policy.
    pub mistake: Option<&'static str>,
}

const fn edge(from: &'static str, to: &'static str, port: u16, egress: Gate, ingress: Gate, talk: Talk, every_ms: i64) -> Edge {
    Edge { from, to, port, egress, ingress, talk, every_ms, mistake: None }
}

const fn wrong(id: &'static str, e: Edge) -> Edge {
    Edge { mistake: Some(id), ..e }
}

use Gate::{Allow, Any, Audit, Deny, DenyRule, Open, Redirect};
use Match::{L3, L3L4};
use Talk::{Established, Fault, NotIp, Ping, Tcp};

const FRONTEND: Gate = Redirect(cnp("shop", "frontend"), L3L4);
const CHECKOUT: Gate = Allow(np("shop", "checkoutservice-egress"), L3L4);
const PAYMENT_OUT: Policy = cnp("shop", "paymentservice");
const CURRENCY_OUT: Policy = cnp("shop", "currencyservice-egress");
const REVIEWS: Gate = Redirect(cnp("bookinfo", "reviews"), L3L4);
const DEATHSTAR: Gate = Redirect(cnp("empire", "rule1"), L3L4);
const DNS: &str = "kube-system/coredns";

const fn dns(names: &'static [&'static str]) -> Talk {
    Talk::Dns { names, refused: false }
}

const SHOP_CALLS: Talk = Talk::Http {
    host: "frontend",
    calls: &[
        ok("GET", "/"),
        ok("GET", "/product/{id}"),
        ok("GET", "/product/{id}"),
        ok("GET", "/product/{id}"),
        answers("POST", "/setCurrency", 302),
        ok("GET", "/cart"),
        answers("GET", "/cart", 500),
        answers("POST", "/cart", 302),
        ok("POST", "/cart/checkout"),
        ok("GET", "/_healthz"),
    ],
};
const WORLD_CALLS: Talk = Talk::Http {
    host: "shop.example.com",
    calls: &[
        ok("GET", "/"),
        ok("GET", "/product/{id}"),
        ok("GET", "/static/styles/cart.css"),
        ok("GET", "/robots.txt"),
        answers("GET", "/.env", 404),
    ],
};

/// All lines.
pub const EDGES: &[Edge] = &[
    // shop: every pod is in default deny for ingress (NetworkPolicy default-deny-ingress); `frontend` is selected for egress only by
    // the cluster-wide block-cloud-metadata, which does not isolate.
    edge("shop/loadgenerator", "shop/frontend", 8080, Open, FRONTEND, SHOP_CALLS, 520),
    edge("clients", "shop/frontend", 8080, Open, FRONTEND, WORLD_CALLS, 2_100),
    edge("shop/frontend", "shop/productcatalogservice", 3550, Any, Allow(np("shop", "productcatalogservice"), L3L4), Tcp, 700),
    edge("shop/frontend", "shop/currencyservice", 7000, Any, Allow(np("shop", "currencyservice"), L3L4), Tcp, 700),
    edge("shop/frontend", "shop/cartservice", 7070, Any, Allow(np("shop", "cartservice"), L3L4), Tcp, 800),
    edge("shop/frontend", "shop/recommendationservice", 8080, Any, Allow(np("shop", "recommendationservice"), L3L4), Tcp, 1_300),
    edge("shop/frontend", "shop/shippingservice", 50051, Any, Allow(np("shop", "shippingservice"), L3L4), Tcp, 2_000),
    edge("shop/frontend", "shop/checkoutservice", 5050, Any, Allow(np("shop", "checkoutservice"), L3L4), Tcp, 1_900),
    edge("shop/frontend", "shop/adservice", 9555, Any, Allow(np("shop", "adservice"), L3L4), Tcp, 1_100),
    edge("shop/checkoutservice", "shop/cartservice", 7070, CHECKOUT, Allow(np("shop", "cartservice"), L3L4), Tcp, 2_000),
    edge(
        "shop/checkoutservice",
        "shop/productcatalogservice",
        3550,
        CHECKOUT,
        Allow(np("shop", "productcatalogservice"), L3L4),
        Tcp,
        2_000,
    ),
    edge("shop/checkoutservice", "shop/currencyservice", 7000, CHECKOUT, Allow(np("shop", "currencyservice"), L3L4), Tcp, 2_200),
    edge("shop/checkoutservice", "shop/paymentservice", 50051, CHECKOUT, Allow(cnp("shop", "paymentservice"), L3L4), Tcp, 2_300),
    edge("shop/recommendationservice", "shop/productcatalogservice", 3550, Open, Open, Established, 1_500),
    edge("shop/paymentservice", "api.stripe.com", 443, Allow(PAYMENT_OUT, L3L4), Open, Tcp, 2_400),
    edge("shop/currencyservice", "www.ecb.europa.eu", 443, Allow(CURRENCY_OUT, L3L4), Open, Tcp, 4_600),
    edge(
        "shop/frontend",
        DNS,
        53,
        Any,
        Open,
        dns(&["productcatalogservice.shop.svc.cluster.local.", "currencyservice.shop.svc.cluster.local."]),
        900,
    ),
    edge("shop/loadgenerator", DNS, 53, Open, Open, dns(&["frontend.shop.svc.cluster.local."]), 1_700),
    edge("shop/cartservice", DNS, 53, Open, Open, dns(&["redis-cart.shop.svc.cluster.local."]), 2_100),
    edge(
        "shop/checkoutservice",
        DNS,
        53,
        CHECKOUT,
        Open,
        dns(&["cartservice.shop.svc.cluster.local.", "emailservice.shop.svc.cluster.local."]),
        1_900,
    ),
    edge("shop/paymentservice", DNS, 53, Redirect(PAYMENT_OUT, L3L4), Open, dns(&["api.stripe.com.", "hooks.stripe.com."]), 2_600),
    edge("shop/currencyservice", DNS, 53, Redirect(CURRENCY_OUT, L3L4), Open, dns(&["www.ecb.europa.eu."]), 4_300),
    wrong("wrong-port", edge("shop/checkoutservice", "shop/emailservice", 8080, CHECKOUT, Deny, Tcp, 4_400)),
    wrong("wrong-label", edge("shop/cartservice", "shop/redis-cart", 6379, Open, Deny, Tcp, 2_900)),
    wrong("egress-without-ingress", edge("shop/checkoutservice", "shop/shippingservice", 50051, CHECKOUT, Deny, Tcp, 4_200)),
    wrong(
        "no-dns-egress",
        edge("shop/recommendationservice", DNS, 53, Deny, Open, dns(&["productcatalogservice.shop.svc.cluster.local."]), 3_600),
    ),
    wrong("fqdn-not-listed", edge("shop/paymentservice", "hooks.stripe.com", 443, Deny, Open, Tcp, 4_500)),
    wrong(
        "dns-name-not-listed",
        edge(
            "shop/currencyservice",
            DNS,
            53,
            Redirect(CURRENCY_OUT, L3L4),
            Open,
            Talk::Dns { names: &["api.exchangerate.host."], refused: true },
            4_100,
        ),
    ),
    wrong("denied-metadata", edge("shop/frontend", "169.254.169.254", 80, DenyRule(ccnp("block-cloud-metadata"), L3), Open, Tcp, 4_600)),
    // empire
    edge(
        "empire/tiefighter",
        "empire/deathstar",
        80,
        Open,
        DEATHSTAR,
        Talk::Http { host: "deathstar.empire.svc.cluster.local", calls: &[ok("POST", "/v1/request-landing")] },
        1_300,
    ),
    edge("empire/tiefighter", DNS, 53, Open, Open, dns(&["deathstar.empire.svc.cluster.local."]), 1_800),
    edge("empire/xwing", DNS, 53, Open, Open, dns(&["deathstar.empire.svc.cluster.local."]), 4_000),
    wrong(
        "http-path-not-listed",
        edge(
            "empire/tiefighter",
            "empire/deathstar",
            80,
            Open,
            DEATHSTAR,
            Talk::Http { host: "deathstar.empire.svc.cluster.local", calls: &[refused("PUT", "/v1/exhaust-port")] },
            4_300,
        ),
    ),
    wrong("other-org", edge("empire/xwing", "empire/deathstar", 80, Open, Deny, Tcp, 4_000)),
    // bookinfo
    edge("clients", "bookinfo/productpage-v1", 9080, Open, Open, Tcp, 1_700),
    edge("bookinfo/productpage-v1", "bookinfo/details-v1", 9080, Open, Allow(np("bookinfo", "details"), L3L4), Tcp, 1_100),
    edge(
        "bookinfo/productpage-v1",
        "bookinfo/reviews-v1",
        9080,
        Open,
        REVIEWS,
        Talk::Http { host: "reviews:9080", calls: &[ok("GET", "/reviews/0")] },
        1_900,
    ),
    edge(
        "bookinfo/productpage-v1",
        "bookinfo/reviews-v2",
        9080,
        Open,
        REVIEWS,
        Talk::Http { host: "reviews:9080", calls: &[ok("GET", "/reviews/0"), answers("GET", "/reviews/0", 503)] },
        2_000,
    ),
    edge(
        "bookinfo/productpage-v1",
        "bookinfo/reviews-v3",
        9080,
        Open,
        REVIEWS,
        Talk::Http { host: "reviews:9080", calls: &[ok("GET", "/reviews/0")] },
        1_900,
    ),
    edge("bookinfo/reviews-v3", "bookinfo/ratings-v1", 9080, Open, Allow(cnp("bookinfo", "ratings"), L3L4), Tcp, 1_900),
    edge("bookinfo/productpage-v1", "bookinfo/ratings-v1", 9080, Open, Allow(cnp("bookinfo", "ratings"), L3L4), Tcp, 3_100),
    edge(
        "bookinfo/productpage-v1",
        DNS,
        53,
        Open,
        Open,
        dns(&["details.bookinfo.svc.cluster.local.", "reviews.bookinfo.svc.cluster.local."]),
        1_300,
    ),
    wrong(
        "http-method-not-listed",
        edge(
            "bookinfo/productpage-v1",
            "bookinfo/reviews-v1",
            9080,
            Open,
            REVIEWS,
            Talk::Http { host: "reviews:9080", calls: &[refused("POST", "/reviews/0")] },
            4_400,
        ),
    ),
    wrong(
        "denied-by-leftover",
        edge("bookinfo/reviews-v2", "bookinfo/ratings-v1", 9080, Open, DenyRule(cnp("bookinfo", "ratings-quarantine"), L3), Tcp, 3_900),
    ),
    wrong("namespace-label-missing", edge("monitoring/prometheus", "bookinfo/details-v1", 9080, Open, Deny, Tcp, 4_500)),
    // monitoring
    edge("monitoring/prometheus", "bookinfo/productpage-v1", 9080, Open, Open, Tcp, 4_500),
    edge("monitoring/prometheus", DNS, 9153, Open, Open, Tcp, 3_700),
    edge("monitoring/prometheus", "monitoring/loki", 3100, Open, Open, Tcp, 4_900),
    edge("monitoring/grafana", "monitoring/prometheus", 9090, Allow(cnp("monitoring", "grafana-egress"), L3L4), Open, Tcp, 1_900),
    edge(
        "monitoring/grafana",
        DNS,
        53,
        Allow(cnp("monitoring", "grafana-egress"), L3L4),
        Open,
        dns(&["prometheus.monitoring.svc.cluster.local."]),
        2_900,
    ),
    wrong("audit-not-listed", edge("monitoring/grafana", "monitoring/loki", 3100, Audit, Open, Tcp, 4_000)),
    // kube-system, nodes
    edge(DNS, "upstream-dns", 53, Open, Open, dns(&["api.stripe.com.", "www.ecb.europa.eu."]), 1_900),
    edge(DNS, "kube-apiserver", 6443, Open, Open, Established, 2_300),
    edge("host", DNS, 8181, Open, Open, Tcp, 2_700),
    edge("host", "monitoring/prometheus", 9090, Open, Open, Tcp, 3_100),
    edge("host", "monitoring/loki", 3100, Open, Open, Ping, 2_900),
    // What no policy has to do with.
    edge("monitoring/prometheus", "gone-pod", 9090, Open, Open, Fault { reason: 151, egress: Some(true) }, 9_000),
    edge("clients", "bookinfo/productpage-v1", 9080, Open, Open, Fault { reason: 163, egress: None }, 13_000),
    edge("shop/loadgenerator", "shop/frontend", 8080, Open, Open, Fault { reason: 132, egress: Some(true) }, 29_000),
    edge("host", "kube-system/coredns", 0, Open, Open, NotIp { reason: 139 }, 23_000),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::cluster::{Cluster, outside};
    use crate::demo::rng::Rng;

    #[test]
    fn every_end_exists() {
        let (c, mut rng) = (Cluster::new(1), Rng::new(1));
        for e in EDGES {
            for end in [e.from, e.to] {
                let known = end == "host" || c.pod(end, &mut rng).is_some() || outside(end, &mut rng).is_some();
                assert!(known, "{end}");
            }
        }
    }

    /// A line is a mistake exactly if policy stops something on it: nothing is dropped without a reason written down.
    #[test]
    fn denied_means_mistake() {
        for e in EDGES {
            let gates = [e.egress, e.ingress].iter().any(|g| matches!(g, Gate::Deny | Gate::DenyRule(..) | Gate::Audit));
            let l7 = match e.talk {
                Talk::Http { calls, .. } => calls.iter().any(|c| c.refused),
                Talk::Dns { refused, .. } => refused,
                _ => false,
            };
            assert_eq!(gates || l7, e.mistake.is_some(), "{} -> {}", e.from, e.to);
            assert!(e.mistake.is_none() || e.every_ms <= 4_600, "{} must recur within five seconds", e.from);
        }
    }
}
