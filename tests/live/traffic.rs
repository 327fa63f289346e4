//! One cluster and its drops, told twice: as an agent tells them that knows everything, and as one that knows addresses. Owns who is there,
//! which policies stand, and what was dropped; asserts nothing.
use super::START;
use super::api::Api;
use flowhy::model::time::Nanos;
use flowhy::wire::pb::flow as pb;
use flowhy::wire::pb::flow::layer4::Protocol;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;

/// (namespace, pod, label, node, IPv4, IPv6)
type Pod = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const PODS: &[Pod] = &[
    ("shop", "web", "app=web", "n1", "10.1.1.10", "fd00:1:1::10"),
    ("shop", "cart", "app=cart", "n1", "10.1.1.11", "fd00:1:1::11"),
    ("shop", "db", "app=db", "n2", "10.1.2.12", "fd00:1:2::12"),
    ("pay", "api", "app=api", "n2", "10.1.2.20", "fd00:1:2::20"),
    ("pay", "ledger", "app=ledger", "n1", "10.1.1.21", "fd00:1:1::21"),
    ("ops", "prometheus", "app=prometheus", "n2", "10.1.2.30", "fd00:1:2::30"),
    ("kube-system", "coredns", "k8s-app=kube-dns", "n1", "10.1.1.40", "fd00:1:1::40"),
];

/// Those that were there when the flows were, and are no more. The address of `late` has another pod by now.
const BEFORE: &[Pod] =
    &[("shop", "gone", "app=web", "n1", "10.1.1.90", "fd00:1:1::90"), ("shop", "late", "app=web", "n1", "10.1.1.91", "fd00:1:1::91")];

const NODES: &[(&str, &str)] = &[("control", "172.18.0.2"), ("n1", "172.18.0.3"), ("n2", "172.18.0.4")];
const NAMESPACES: &[(&str, &str)] = &[("shop", "team: store"), ("pay", "team: money"), ("ops", "tier: tools"), ("kube-system", "")];

/// What the agent says of who is no pod, by address: identity, labels, names.
const OTHERS: &[(&str, u32, &[&str], &[&str])] = &[
    ("203.0.113.7", 2, &["reserved:world"], &[]),
    ("203.0.113.9", 2, &["reserved:world"], &[]),
    ("198.51.100.20", 16_777_217, &["fqdn:api.stripe.com", "reserved:world"], &["api.stripe.com"]),
    ("198.51.100.99", 2, &["reserved:world"], &["hooks.stripe.com"]),
    ("192.0.2.10", 16_777_218, &["cidr:192.0.2.0/24", "reserved:world"], &[]),
    ("169.254.169.254", 16_777_219, &["cidr:169.254.169.254/32", "reserved:world"], &[]),
    ("172.18.0.2", 7, &["reserved:kube-apiserver", "reserved:remote-node"], &[]),
    ("172.18.0.3", 6, &["reserved:remote-node"], &[]),
    ("172.18.0.4", 6, &["reserved:remote-node"], &[]),
    ("2001:db8::7", 2, &["reserved:world-ipv6"], &[]),
];

/// What stands before the names of each kind of policy.
const NETWORK: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy";
const CILIUM: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy";
const CLUSTERWIDE: &str = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy";

/// (kind, metadata, what it says)
const POLICIES: &[(&str, &str, &str)] = &[
    (
        NETWORK,
        "namespace: shop, name: db-from-cart",
        "
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: pg}]}]",
    ),
    (
        NETWORK,
        "namespace: shop, name: web-out",
        "
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 53, protocol: UDP}]}
  - {to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}], ports: [{port: 443}]}
  - {to: [{namespaceSelector: {matchLabels: {team: ops}}}]}",
    ),
    (
        CILIUM,
        "namespace: pay, name: api-in",
        "
  endpointSelector: {matchLabels: {app: api}}
  ingress: [{fromEndpoints: [{matchLabels: {app: ledger}}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]",
    ),
    (
        CILIUM,
        "namespace: pay, name: api-not-cart",
        "
  endpointSelector: {matchLabels: {app: api}}
  ingressDeny: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': shop, app: cart}}]}]",
    ),
    (
        CILIUM,
        "namespace: pay, name: ledger-out",
        "
  endpointSelector: {matchLabels: {app: ledger}}
  egress:
  - {toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}], toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}
  - {toFQDNs: [{matchName: api.stripe.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}
  - {toEntities: [kube-apiserver], toPorts: [{ports: [{port: '6443', protocol: TCP}]}]}
  - {toServices: [{k8sService: {serviceName: db, namespace: shop}}]}",
    ),
    (
        CLUSTERWIDE,
        "name: no-metadata",
        "
  endpointSelector: {}
  enableDefaultDeny: {egress: false, ingress: false}
  egressDeny: [{toCIDR: [169.254.169.254/32]}]",
    ),
    (
        CILIUM,
        "namespace: ops, name: prometheus-in",
        "
  endpointSelector: {matchLabels: {app: prometheus}}
  ingress:
  - {fromEntities: [host], toPorts: [{ports: [{port: '9090', protocol: TCP}]}]}
  - {fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}], toPorts: [{ports: [{port: '9090', protocol: TCP}]}]}",
    ),
    (
        CILIUM,
        "namespace: kube-system, name: dns-in",
        "
  endpointSelector: {matchLabels: {k8s-app: kube-dns}}
  ingress: [{fromEntities: [cluster], toPorts: [{ports: [{port: '53', protocol: ANY}]}]}, {fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.team': store}}]}]",
    ),
];

/// What the cluster's API has of all this.
pub fn fill(api: &Api) {
    api.install("cilium.io");
    api.put("apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: kube-system, name: cilium-config}\ndata: {enable-policy: default, policy-audit-mode: 'false'}\n");
    for (name, labels) in NAMESPACES {
        api.put(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{kubernetes.io/metadata.name: {name}, {labels}}}}}\n"
        ));
    }
    for (name, ip) in NODES {
        api.put(&format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus: {{addresses: [{{type: InternalIP, address: {ip}}}]}}\n"
        ));
    }
    for (ns, name, label, node, v4, v6) in PODS {
        let (key, value) = label.split_once('=').unwrap();
        let port = if *name == "db" { "[{name: pg, containerPort: 5432}]" } else { "[]" };
        api.put(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: {ns}, name: {name}, labels: {{{key}: {value}}}}}\n\
             spec: {{nodeName: {node}, serviceAccountName: default, containers: [{{name: c, ports: {port}}}]}}\n\
             status: {{phase: Running, podIP: {v4}, podIPs: [{{ip: {v4}}}, {{ip: '{v6}'}}], startTime: '2025-12-01T00:00:00Z'}}\n"
        ));
        api.put(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumEndpoint\nmetadata: {{namespace: {ns}, name: {name}}}\nstatus: {{state: ready}}\n"
        ));
    }
    api.put(
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: pay, name: other, labels: {app: ledger}, creationTimestamp: '2026-02-01T00:00:00Z'}\n\
         spec: {nodeName: n1}\nstatus: {phase: Running, podIP: 10.1.1.91, podIPs: [{ip: 10.1.1.91}], startTime: '2026-02-01T00:00:00Z'}\n",
    );
    let service = |ns: &str, name: &str, ip: &str, port: u16, to: &str, target: u16| {
        let (slice, owner) = (format!("{name}-1"), format!("kubernetes.io/service-name: {name}"));
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{namespace: {ns}, name: {name}}}\n\
             spec: {{clusterIP: {ip}, clusterIPs: [{ip}], selector: {{app: {name}}}, ports: [{{port: {port}, targetPort: {target}, protocol: TCP}}]}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{namespace: {ns}, name: {slice}, labels: {{{owner}}}}}\n\
             addressType: IPv4\nports: [{{port: {target}, protocol: TCP}}]\nendpoints: [{{addresses: [{to}], conditions: {{ready: true}}}}]\n"
        )
    };
    api.put(&service("pay", "api", "10.96.0.20", 80, "10.1.2.20", 8080));
    api.put(&service("shop", "db", "10.96.0.12", 5432, "10.1.2.12", 5432));
    api.put(&service("default", "kubernetes", "10.96.0.1", 443, "172.18.0.2", 6443));
    for (kind, metadata, spec) in POLICIES {
        api.put(&format!("{kind}\nmetadata: {{{metadata}}}\nspec:{spec}\n"));
    }
}

/// A drop: who (`pod`, `pod/6` for its IPv6 address, or an address), to whom, what, and whether it came in.
pub struct Drop {
    pub from: &'static str,
    pub to: &'static str,
    pub what: &'static str,
    pub ingress: bool,
    /// A rule denied it.
    pub rule: bool,
    /// Where another agent's hook lies before the service's address is replaced: what it sees in place of `to`.
    pub before: Option<&'static str>,
}

const fn drop(from: &'static str, to: &'static str, what: &'static str, ingress: bool, rule: bool) -> Drop {
    Drop { from, to, what, ingress, rule, before: None }
}

/// Drops of which neither an agent that knows addresses nor its cluster knows all: who had an address that nobody has any more, or that
/// another has since.
pub const PAST: &[Drop] = &[
    drop("gone", "db", "tcp 5432", true, false),
    drop("gone", "198.51.100.99", "tcp 443", false, false),
    drop("late", "198.51.100.99", "tcp 443", false, false),
];

/// Connections to names: one that the policy of now would let through, one that it never does.
pub const NAMED: &[Drop] =
    &[drop("ledger", "198.51.100.20", "tcp 443", false, false), drop("ledger", "198.51.100.99", "tcp 443", false, false)];

pub const DROPS: &[Drop] = &[
    // NetworkPolicy at the one who is called: another label, another port, another address family, another protocol.
    drop("web", "db", "tcp 5432", true, false),
    drop("cart", "db", "tcp 6379", true, false),
    drop("web/6", "db/6", "tcp 5432", true, false),
    drop("cart", "db", "icmp 8", true, false),
    drop("prometheus", "db", "tcp 5432", true, false),
    drop("203.0.113.9", "db", "tcp 5432", true, false),
    drop("2001:db8::7", "db/6", "tcp 5432", true, false),
    // NetworkPolicy at the caller: a port, an exception of a block, a namespace without the label, a service.
    drop("web", "coredns", "udp 5353", false, false),
    drop("web", "203.0.113.7", "tcp 443", false, false),
    drop("web", "203.0.113.9", "tcp 80", false, false),
    drop("web", "192.0.2.10", "tcp 443", false, false),
    drop("web", "prometheus", "tcp 9090", false, false),
    Drop { before: Some("10.96.0.20 80"), ..drop("web", "api", "tcp 8080", false, false) },
    drop("web", "172.18.0.4", "tcp 10250", false, false),
    // Cilium's at the one who is called: a rule that denies, beside those that allow others.
    drop("cart", "api", "tcp 8080", true, true),
    drop("web", "api", "tcp 8080", true, false),
    drop("ledger", "api", "tcp 9000", true, false),
    drop("172.18.0.3", "api", "sctp 8080", true, false),
    // Names, entities, services and the cluster's own at the caller.
    drop("ledger", "198.51.100.99", "tcp 443", false, false),
    drop("ledger", "198.51.100.20", "tcp 80", false, false),
    drop("ledger", "172.18.0.2", "tcp 2379", false, false),
    drop("ledger", "172.18.0.3", "tcp 6443", false, false),
    drop("ledger", "169.254.169.254", "tcp 80", false, true),
    drop("cart", "169.254.169.254", "tcp 80", false, true),
    drop("ledger", "web", "tcp 8080", false, false),
    // Entities and blocks at the one who is called.
    drop("172.18.0.3", "prometheus", "tcp 9090", true, false),
    drop("203.0.113.7", "prometheus", "tcp 9090", true, false),
    drop("192.0.2.10", "prometheus", "tcp 8080", true, false),
    drop("ledger", "prometheus", "tcp 9090", true, false),
    drop("203.0.113.9", "coredns", "udp 53", true, false),
    drop("prometheus", "coredns", "tcp 9153", true, false),
];

struct End {
    address: String,
    node: Option<&'static str>,
    endpoint: pb::Endpoint,
    names: Vec<String>,
}

fn end(who: &str) -> End {
    let (name, six) = who.strip_suffix("/6").map_or((who, false), |n| (n, true));
    if let Some((ns, pod, label, node, v4, v6)) = PODS.iter().chain(BEFORE).find(|p| p.1 == name) {
        let (_, extra) = NAMESPACES.iter().find(|n| n.0 == *ns).unwrap();
        let mut labels = vec![
            format!("k8s:{label}"),
            format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={ns}"),
            "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
            "k8s:io.cilium.k8s.policy.serviceaccount=default".to_owned(),
            format!("k8s:io.kubernetes.pod.namespace={ns}"),
        ];
        labels.extend(extra.split_once(": ").map(|(k, v)| format!("k8s:io.cilium.k8s.namespace.labels.{k}={v}")));
        labels.sort();
        let identity = 2000 + u32::try_from(PODS.iter().chain(BEFORE).position(|p| p.1 == *pod).unwrap()).unwrap();
        let endpoint = pb::Endpoint {
            identity,
            namespace: (*ns).to_owned(),
            pod_name: (*pod).to_owned(),
            cluster_name: "default".to_owned(),
            labels,
            ..Default::default()
        };
        return End { address: (if six { *v6 } else { *v4 }).to_owned(), node: Some(node), endpoint, names: Vec::new() };
    }
    let (address, identity, labels, names) = OTHERS.iter().find(|o| o.0 == who).unwrap_or_else(|| panic!("nobody is {who}"));
    let own = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let endpoint = pb::Endpoint { identity: *identity, labels: own(labels), ..Default::default() };
    End { address: (*address).to_owned(), node: None, endpoint, names: own(names) }
}

/// Every drop as Cilium's agent tells it.
pub fn full(drops: &[Drop]) -> Vec<(Nanos, GetFlowsResponse)> {
    let reply = |(i, d): (usize, &Drop)| {
        let (mut from, mut to) = (end(d.from), end(d.to));
        let at = START.plus((i64::try_from(i).unwrap() + 1) * Nanos::SECOND);
        let (seconds, nanos) = at.parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        let node = (if d.ingress { to.node } else { from.node }).unwrap();
        // The agent's own node is its host.
        for e in [&mut from, &mut to] {
            if NODES.contains(&(node, &*e.address)) {
                (e.endpoint.identity, e.endpoint.labels) = (1, vec!["reserved:host".to_owned()]);
            }
        }
        let reason = if d.rule { pb::DropReason::PolicyDeny } else { pb::DropReason::PolicyDenied };
        let direction = if d.ingress { pb::TrafficDirection::Ingress } else { pb::TrafficDirection::Egress };
        let version = if from.address.contains(':') { pb::IpVersion::IPv6 } else { pb::IpVersion::IPv4 };
        #[expect(deprecated, reason = "agents still fill the old number beside the new enum")]
        let flow = pb::Flow {
            time,
            uuid: format!("drop-{i}"),
            emitter: Some(pb::Emitter { name: "Hubble".to_owned(), version: "1.19.4".to_owned() }),
            verdict: pb::Verdict::Dropped.into(),
            drop_reason: u32::try_from(i32::from(reason)).unwrap(),
            drop_reason_desc: reason.into(),
            ip: Some(pb::Ip { source: from.address, destination: to.address, ip_version: version.into(), ..Default::default() }),
            l4: Some(pb::Layer4 { protocol: Some(protocol(d.what)) }),
            source: Some(from.endpoint),
            destination: Some(to.endpoint),
            source_names: from.names,
            destination_names: to.names,
            r#type: pb::FlowType::L3L4.into(),
            node_name: node.to_owned(),
            event_type: Some(pb::CiliumEventType { r#type: 1, sub_type: reason.into() }),
            traffic_direction: direction.into(),
            ..Default::default()
        };
        (at, GetFlowsResponse { node_name: node.to_owned(), time, response_types: Some(ResponseTypes::Flow(flow)) })
    };
    drops.iter().enumerate().map(reply).collect()
}

/// The answers of DNS before all that, as Cilium's proxy tells them, or somebody who knows addresses only.
pub fn answers(full: bool) -> Vec<(Nanos, GetFlowsResponse)> {
    let answer = |(name, ip): (&str, &str)| {
        let (from, to) = (end("coredns"), end("ledger"));
        let (seconds, nanos) = START.parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        let own = |e: End| full.then_some(e.endpoint);
        let dns = pb::Dns {
            query: format!("{name}."),
            ips: vec![ip.to_owned()],
            ttl: 300,
            observation_source: "proxy".to_owned(),
            qtypes: vec!["A".to_owned()],
            rrtypes: vec!["A".to_owned()],
            ..Default::default()
        };
        let flow = pb::Flow {
            time,
            uuid: if full { format!("answer-{name}") } else { String::new() },
            verdict: pb::Verdict::Forwarded.into(),
            ip: Some(pb::Ip {
                source: from.address.clone(),
                destination: to.address.clone(),
                ip_version: pb::IpVersion::IPv4.into(),
                ..Default::default()
            }),
            l4: Some(pb::Layer4 { protocol: Some(Protocol::Udp(pb::Udp { source_port: 53, destination_port: 40_000 })) }),
            source: own(from),
            destination: own(to),
            r#type: pb::FlowType::L7.into(),
            l7: Some(pb::Layer7 {
                r#type: pb::L7FlowType::Response.into(),
                record: Some(pb::layer7::Record::Dns(dns)),
                ..Default::default()
            }),
            node_name: "n1".to_owned(),
            is_reply: Some(true),
            traffic_direction: pb::TrafficDirection::Egress.into(),
            ..Default::default()
        };
        (START, GetFlowsResponse { node_name: "n1".to_owned(), time, response_types: Some(ResponseTypes::Flow(flow)) })
    };
    [("api.stripe.com", "198.51.100.20"), ("hooks.stripe.com", "198.51.100.99")].into_iter().map(answer).collect()
}

/// The same as an agent tells it that knows time, node, addresses, ports, direction, verdict and reason.
pub fn minimal(drops: &[Drop]) -> Vec<(Nanos, GetFlowsResponse)> {
    let less = |((at, r), d): ((Nanos, GetFlowsResponse), &Drop)| {
        let Some(ResponseTypes::Flow(f)) = r.response_types else { unreachable!() };
        let (mut ip, mut l4) = (f.ip, f.l4);
        if let Some((address, port)) = d.before.map(|b| b.split_once(' ').unwrap()) {
            ip.iter_mut().for_each(|ip| ip.destination = address.to_owned());
            l4 = Some(pb::Layer4 { protocol: Some(protocol(&format!("tcp {port}"))) });
        }
        let flow = pb::Flow {
            time: f.time,
            node_name: f.node_name,
            ip,
            l4,
            traffic_direction: f.traffic_direction,
            verdict: f.verdict,
            drop_reason_desc: f.drop_reason_desc,
            ..Default::default()
        };
        (at, GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..r })
    };
    full(drops).into_iter().zip(drops).map(less).collect()
}

/// The address that somebody has.
pub fn address(who: &str) -> String {
    end(who).address
}

fn protocol(what: &str) -> Protocol {
    let (word, number) = what.split_once(' ').unwrap();
    let (source_port, destination_port) = (40_000, number.parse().unwrap());
    match word {
        "tcp" => Protocol::Tcp(pb::Tcp { source_port, destination_port, flags: None }),
        "udp" => Protocol::Udp(pb::Udp { source_port, destination_port }),
        "sctp" => Protocol::Sctp(pb::Sctp { source_port, destination_port }),
        _ => Protocol::IcmPv4(pb::IcmPv4 { r#type: destination_port, code: 0 }),
    }
}
