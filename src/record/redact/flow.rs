//! The fields of a response. Every field of a flow is named here, so that one which comes with a later version is not passed on by mistake.
use super::words::Words;
use crate::wire::ids;
use crate::wire::pb::flow::layer4::Protocol;
use crate::wire::pb::flow::layer7::Record;
use crate::wire::pb::flow::{Dns, Endpoint, Flow, Http, HttpHeader, Ip, Kafka, Layer4, Layer7, Policy, Service, Tunnel, Workload};
use crate::wire::pb::flowhy::agent::Ruling;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use prost::Message as _;
use prost_types::Any;

pub fn response(w: &mut Words, r: &mut GetFlowsResponse) {
    r.node_name = w.name(&r.node_name);
    match &mut r.response_types {
        Some(ResponseTypes::Flow(f)) => *f = flow(w, std::mem::take(f)),
        Some(ResponseTypes::NodeStatus(s)) => {
            s.node_names = s.node_names.iter().map(|n| w.name(n)).collect();
            s.message.clear();
        }
        Some(ResponseTypes::LostEvents(_)) | None => {}
    }
}

fn flow(w: &mut Words, f: Flow) -> Flow {
    #[expect(deprecated, reason = "old agents fill them, and they hold names")]
    Flow {
        time: f.time,
        uuid: f.uuid,
        emitter: f.emitter,
        verdict: f.verdict,
        drop_reason: f.drop_reason,
        auth_type: f.auth_type,
        ethernet: None,
        ip: f.ip.map(|i| ip(w, i)),
        l4: f.l4.map(|l| layer4(w, l)),
        tunnel: f.tunnel.map(|t| Tunnel { ip: t.ip.map(|i| ip(w, i)), l4: t.l4.map(|l| layer4(w, l)), ..t }),
        source: f.source.map(|e| endpoint(w, e)),
        destination: f.destination.map(|e| endpoint(w, e)),
        r#type: f.r#type,
        node_name: w.name(&f.node_name),
        node_labels: labels(w, &f.node_labels),
        source_names: names(w, &f.source_names),
        destination_names: names(w, &f.destination_names),
        // With L7 the summary repeats names and paths.
        summary: if f.l7.is_some() { String::new() } else { f.summary },
        l7: f.l7.map(|l| Layer7 { record: l.record.map(|r| record(w, r)), ..l }),
        reply: f.reply,
        event_type: f.event_type,
        source_service: f.source_service.map(|s| service(w, &s)),
        destination_service: f.destination_service.map(|s| service(w, &s)),
        traffic_direction: f.traffic_direction,
        policy_match_type: f.policy_match_type,
        trace_observation_point: f.trace_observation_point,
        trace_reason: f.trace_reason,
        file: f.file,
        ip_trace_id: None,
        drop_reason_desc: f.drop_reason_desc,
        is_reply: f.is_reply,
        debug_capture_point: f.debug_capture_point,
        interface: f.interface,
        proxy_port: f.proxy_port,
        trace_context: None,
        sock_xlate_point: f.sock_xlate_point,
        socket_cookie: f.socket_cookie,
        cgroup_id: f.cgroup_id,
        extensions: f.extensions.map(extension),
        egress_allowed_by: policies(w, &f.egress_allowed_by),
        ingress_allowed_by: policies(w, &f.ingress_allowed_by),
        egress_denied_by: policies(w, &f.egress_denied_by),
        ingress_denied_by: policies(w, &f.ingress_denied_by),
        policy_log: names(w, &f.policy_log),
        aggregate: f.aggregate,
    }
}

/// By its type an emitter is known; what it holds is not, but for numbers of policies. What these mean is said by a line of its own.
fn extension(a: Any) -> Any {
    let numbers = ids::read(&a).map(|m| Ruling { dictionary: Vec::new(), ..m }.encode_to_vec());
    Any { type_url: a.type_url, value: numbers.unwrap_or_default() }
}

fn names(w: &mut Words, all: &[String]) -> Vec<String> {
    all.iter().map(|n| w.name(n)).collect()
}

fn labels(w: &mut Words, all: &[String]) -> Vec<String> {
    all.iter().map(|l| w.label(l)).collect()
}

fn ip(w: &mut Words, i: Ip) -> Ip {
    Ip { source: w.name(&i.source), source_xlated: w.name(&i.source_xlated), destination: w.name(&i.destination), ..i }
}

fn layer4(w: &mut Words, mut l: Layer4) -> Layer4 {
    if let Some(Protocol::Igmp(i)) = &mut l.protocol {
        i.group_address = w.name(&i.group_address);
    }
    l
}

fn endpoint(w: &mut Words, e: Endpoint) -> Endpoint {
    Endpoint {
        id: e.id,
        identity: e.identity,
        cluster_name: w.name(&e.cluster_name),
        namespace: w.name(&e.namespace),
        labels: labels(w, &e.labels),
        pod_name: w.name(&e.pod_name),
        workloads: e.workloads.iter().map(|o| Workload { name: w.name(&o.name), kind: w.kind(&o.kind) }).collect(),
    }
}

fn service(w: &mut Words, s: &Service) -> Service {
    Service { name: w.name(&s.name), namespace: w.name(&s.namespace) }
}

fn policies(w: &mut Words, all: &[Policy]) -> Vec<Policy> {
    let one = |p: &Policy| Policy {
        name: w.name(&p.name),
        namespace: w.name(&p.namespace),
        labels: labels(w, &p.labels),
        revision: p.revision,
        kind: w.kind(&p.kind),
    };
    all.iter().map(one).collect()
}

#[expect(deprecated, reason = "old agents report Kafka")]
fn record(w: &mut Words, r: Record) -> Record {
    match r {
        Record::Dns(d) => Record::Dns(Dns {
            query: w.name(&d.query),
            ips: names(w, &d.ips),
            ttl: d.ttl,
            cnames: names(w, &d.cnames),
            observation_source: d.observation_source,
            rcode: d.rcode,
            qtypes: d.qtypes,
            rrtypes: d.rrtypes,
        }),
        Record::Http(h) => Record::Http(Http {
            code: h.code,
            method: h.method,
            url: w.url(&h.url),
            protocol: h.protocol,
            headers: h.headers.iter().map(|h| HttpHeader { key: h.key.clone(), value: w.header(&h.key, &h.value) }).collect(),
        }),
        Record::Kafka(k) => Record::Kafka(Kafka { topic: w.name(&k.topic), ..k }),
    }
}
