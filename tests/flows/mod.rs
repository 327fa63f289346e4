//! Any flow, and any response, for property tests.
use flowhy::wire::pb::flow;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use proptest::prelude::*;
use prost::Message as _;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9./:-]{1,12}", any::<String>(), Just("<&>\u{2028}\u{2029}\u{1b}\"\\\u{0}\u{7f}😀".to_owned())]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..3)
}

fn time() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000, (0..1_000_000).prop_map(|n| n * 1000)];
    prop::option::of((-62_135_596_800i64..=253_402_300_799, nanos).prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }))
}

fn endpoint() -> impl Strategy<Value = Option<flow::Endpoint>> {
    let workload = (text(), text()).prop_map(|(name, kind)| flow::Workload { name, kind });
    prop::option::of((any::<u32>(), any::<u32>(), text(), text(), texts(), text(), prop::collection::vec(workload, 0..3)).prop_map(
        |(id, identity, cluster_name, namespace, labels, pod_name, workloads)| flow::Endpoint {
            id,
            identity,
            cluster_name,
            namespace,
            labels,
            pod_name,
            workloads,
        },
    ))
}

fn layer4() -> impl Strategy<Value = Option<flow::Layer4>> {
    use flow::layer4::Protocol as P;
    let tcp =
        (any::<u32>(), any::<u32>(), prop::option::of((any::<bool>(), any::<bool>()))).prop_map(|(source_port, destination_port, f)| {
            P::Tcp(flow::Tcp { source_port, destination_port, flags: f.map(|(syn, ns)| flow::TcpFlags { syn, ns, ..Default::default() }) })
        });
    let rest = (any::<u32>(), any::<u32>(), 0..6, text()).prop_map(|(a, b, which, group_address)| match which {
        0 => P::Udp(flow::Udp { source_port: a, destination_port: b }),
        1 => P::Sctp(flow::Sctp { source_port: a, destination_port: b }),
        2 => P::IcmPv4(flow::IcmPv4 { r#type: a, code: b }),
        3 => P::IcmPv6(flow::IcmPv6 { r#type: a, code: b }),
        4 => P::Vrrp(flow::Vrrp { r#type: a, vrid: b, priority: a }),
        _ => P::Igmp(flow::Igmp { r#type: a, group_address }),
    });
    prop::option::of(prop::option::of(prop_oneof![tcp, rest]).prop_map(|protocol| flow::Layer4 { protocol }))
}

#[allow(deprecated, reason = "old fields are still on the wire")]
fn layer7() -> impl Strategy<Value = Option<flow::Layer7>> {
    use flow::layer7::Record as R;
    let record = (0..4, any::<u32>(), any::<i32>(), text(), text(), texts()).prop_map(|(which, u, i, a, b, list)| match which {
        0 => None,
        1 => Some(R::Dns(flow::Dns { query: a, ips: list.clone(), ttl: u, qtypes: list, observation_source: b, ..Default::default() })),
        2 => {
            let headers = list.iter().map(|k| flow::HttpHeader { key: k.clone(), value: b.clone() }).collect();
            Some(R::Http(flow::Http { code: u, method: a, url: b, headers, ..Default::default() }))
        }
        _ => Some(R::Kafka(flow::Kafka { error_code: i, api_version: i, api_key: a, topic: b, ..Default::default() })),
    });
    prop::option::of((any::<i32>(), any::<u64>(), record).prop_map(|(r#type, latency_ns, record)| flow::Layer7 {
        r#type,
        latency_ns,
        record,
    }))
}

/// What only few flows have.
fn rare() -> impl Strategy<Value = flow::Flow> {
    let policies = || {
        let policy = (text(), text(), text(), texts(), any::<u64>());
        prop::collection::vec(policy, 0..3).prop_map(|all| {
            let policy = |(name, namespace, kind, labels, revision)| flow::Policy { name, namespace, kind, labels, revision };
            all.into_iter().map(policy).collect::<Vec<_>>()
        })
    };
    let service = || prop::option::of((text(), text()).prop_map(|(name, namespace)| flow::Service { name, namespace }));
    let messages = (
        prop::option::of((text(), text()).prop_map(|(source, destination)| flow::Ethernet { source, destination })),
        prop::option::of((any::<u32>(), text()).prop_map(|(index, name)| flow::NetworkInterface { index, name })),
        prop::option::of(
            prop::option::of(text()).prop_map(|id| flow::TraceContext { parent: id.map(|trace_id| flow::TraceParent { trace_id }) }),
        ),
        prop::option::of(any::<u64>().prop_map(|trace_id| flow::IpTraceId { trace_id, ip_option_type: 3 })),
        prop::option::of((text(), any::<u32>()).prop_map(|(name, line)| flow::FileInfo { name, line })),
        prop::option::of((text(), text()).prop_map(|(name, version)| flow::Emitter { name, version })),
        prop::option::of(layer4().prop_map(|l4| flow::Tunnel { protocol: 1, ip: None, l4, vni: 7 })),
    );
    let numbers = (0i32..4, 0u32..9, -1i32..12, -1i32..6, 0i32..16, 0i32..16, any::<u32>());
    let policies = (policies().boxed(), policies().boxed(), policies().boxed(), policies().boxed());
    (messages.boxed(), numbers, (service(), service()), policies, (texts(), texts(), text())).prop_map(
        |((ethernet, interface, trace_context, ip_trace_id, file, emitter, tunnel), n, services, by, (node_labels, names, node_name))| {
            flow::Flow {
                ethernet,
                interface,
                trace_context,
                ip_trace_id,
                file,
                emitter,
                tunnel,
                auth_type: n.0,
                policy_match_type: n.1,
                debug_capture_point: n.2,
                sock_xlate_point: n.3,
                trace_observation_point: n.4,
                trace_reason: n.5,
                proxy_port: n.6,
                source_service: services.0,
                destination_service: services.1,
                egress_allowed_by: by.0,
                ingress_allowed_by: by.1,
                egress_denied_by: by.2,
                ingress_denied_by: by.3,
                node_labels,
                destination_names: names,
                node_name,
                ..Default::default()
            }
        },
    )
}

prop_compose! {
    pub fn some_flow()(
        (time, source, destination, l4, l7) in (time(), endpoint().boxed(), endpoint().boxed(), layer4().boxed(), layer7().boxed()),
        (uuid, summary, names, log) in (text(), text(), texts(), texts()),
        (verdict, reason, direction, r#type, sub) in (-3i32..12, prop_oneof![any::<i32>(), 130..206], 0i32..4, prop_oneof![0i32..9, any::<i32>()], prop_oneof![0i32..210, any::<i32>()]),
        (is_reply, reply, drop_reason, cookie, revision) in (any::<Option<bool>>(), any::<bool>(), any::<u32>(), any::<u64>(), any::<u64>()),
        ip in prop::option::of((text(), text(), any::<bool>())),
        extension in prop::option::weighted(0.1, (text(), text())),
        rare in prop_oneof![Just(flow::Flow::default()), rare().boxed()].boxed(),
    ) -> flow::Flow {
        #[allow(deprecated, reason = "old fields are still on the wire")]
        flow::Flow {
            time, source, destination, l4, l7, uuid, summary, verdict, is_reply, reply, drop_reason,
            source_names: names,
            policy_log: log,
            drop_reason_desc: reason,
            traffic_direction: direction,
            event_type: Some(flow::CiliumEventType { r#type, sub_type: sub }),
            socket_cookie: cookie,
            cgroup_id: revision,
            ip: ip.map(|(source, destination, encrypted)| flow::Ip { source, destination, encrypted, ip_version: 1, ..Default::default() }),
            extensions: extension.map(|(name, kind)| prost_types::Any {
                type_url: "type.googleapis.com/flow.Workload".into(),
                value: flow::Workload { name, kind }.encode_to_vec(),
            }),
            ..rare
        }
    }
}

prop_compose! {
    pub fn some_response()(
        flow in some_flow().boxed(),
        (time, first, last) in (time(), time(), time()),
        (node_name, message, node_names) in (text(), text(), texts()),
        (which, state, lost, cpu) in (0..4, any::<i32>(), any::<u64>(), any::<Option<i32>>()),
    ) -> GetFlowsResponse {
        let response_types = Some(match which {
            0 => ResponseTypes::LostEvents(flow::LostEvent { source: state, num_events_lost: lost, cpu, first, last }),
            1 => ResponseTypes::NodeStatus(flowhy::wire::pb::relay::NodeStatusEvent { state_change: state, node_names, message }),
            _ => ResponseTypes::Flow(flow),
        });
        GetFlowsResponse { node_name, time, response_types }
    }
}
