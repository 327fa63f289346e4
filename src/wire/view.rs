//! The decoded message as a view.
//!
//! Must not derive anything: a response that is no flow (lost events, a node's state) is an empty one, and what only the
//! engine knows is missing. Policies that the agent names on the flow are part of the record, so they are told.
#![allow(deprecated, reason = "old agents and recordings still fill the deprecated fields")]
use super::pb::flow::{self, layer4::Protocol, layer7::Record};
use super::pb::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use crate::model::owner;
use crate::model::reflect::Message;
use crate::model::time::Nanos;
use crate::model::view::{End, Field, Item, Value, View};
use std::sync::LazyLock;

impl View for GetFlowsResponse {
    fn field(&self, field: Field) -> Value<'_> {
        let flow = flow_of(self);
        match field {
            Field::Flow => Value::Bool(flow.is_some()),
            Field::Time => match self.time.as_ref().or(flow.and_then(|f| f.time.as_ref())) {
                Some(t) => Value::Int(Nanos::from_parts(t.seconds, t.nanos).0),
                None => Value::Missing,
            },
            // Filters speak of the flow's own node; a response that is no flow has none there.
            _ => flow.map_or(Value::Missing, |f| f.field(field)),
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        flow_of(self).is_some_and(|f| f.any(field, test))
    }

    fn message(&self) -> Option<&dyn Message> {
        static EMPTY: LazyLock<flow::Flow> = LazyLock::new(flow::Flow::default);
        Some(flow_of(self).unwrap_or(&EMPTY))
    }
}

fn flow_of(r: &GetFlowsResponse) -> Option<&flow::Flow> {
    match &r.response_types {
        Some(ResponseTypes::Flow(f)) => Some(f),
        _ => None,
    }
}

fn text(s: Option<&str>) -> Value<'_> {
    s.map_or(Value::Missing, Value::Text)
}

fn int(n: i32) -> Value<'static> {
    Value::Int(i64::from(n))
}

fn uint(n: impl Into<u64>) -> Value<'static> {
    Value::Uint(n.into())
}

fn endpoint(f: &flow::Flow, end: End) -> Option<&flow::Endpoint> {
    match end {
        End::Source => f.source.as_ref(),
        End::Destination => f.destination.as_ref(),
    }
}

fn service(f: &flow::Flow, end: End) -> Option<&flow::Service> {
    match end {
        End::Source => f.source_service.as_ref(),
        End::Destination => f.destination_service.as_ref(),
    }
}

fn transport(f: &flow::Flow) -> Option<&Protocol> {
    f.l4.as_ref().and_then(|l| l.protocol.as_ref())
}

fn record(f: &flow::Flow) -> Option<&Record> {
    f.l7.as_ref().and_then(|l| l.record.as_ref())
}

fn http(f: &flow::Flow) -> Option<&flow::Http> {
    match record(f) {
        Some(Record::Http(h)) => Some(h),
        _ => None,
    }
}

fn dns(f: &flow::Flow) -> Option<&flow::Dns> {
    match record(f) {
        Some(Record::Dns(d)) => Some(d),
        _ => None,
    }
}

fn port(f: &flow::Flow, end: End) -> Value<'static> {
    let ports = match transport(f) {
        Some(Protocol::Tcp(t)) => (t.source_port, t.destination_port),
        Some(Protocol::Udp(u)) => (u.source_port, u.destination_port),
        Some(Protocol::Sctp(s)) => (s.source_port, s.destination_port),
        _ => return Value::Missing,
    };
    uint(if end == End::Source { ports.0 } else { ports.1 })
}

fn tcp_flags(f: &flow::Flow) -> Value<'static> {
    let Some(Protocol::Tcp(flow::Tcp { flags: Some(t), .. })) = transport(f) else { return Value::Missing };
    let set = [t.fin, t.syn, t.rst, t.psh, t.ack, t.urg, t.ece, t.cwr, t.ns];
    Value::Int(set.iter().enumerate().filter(|(_, on)| **on).map(|(i, _)| 1i64 << i).sum())
}

fn drop_code(f: &flow::Flow) -> i64 {
    let event = f.event_type.as_ref().filter(|e| e.r#type == 1).map_or(0, |e| i64::from(e.sub_type));
    [i64::from(f.drop_reason_desc), i64::from(f.drop_reason), event].into_iter().find(|n| *n != 0).unwrap_or(0)
}

impl View for flow::Flow {
    fn field(&self, field: Field) -> Value<'_> {
        match field {
            Field::Flow => Value::Bool(true),
            Field::Time => self.time.as_ref().map_or(Value::Missing, |t| Value::Int(Nanos::from_parts(t.seconds, t.nanos).0)),
            Field::Uuid => Value::Text(&self.uuid),
            Field::NodeName => Value::Text(&self.node_name),
            Field::Verdict => int(self.verdict),
            Field::DropReasonDesc => int(self.drop_reason_desc),
            Field::DropCode => Value::Int(drop_code(self)),
            Field::EventType => self.event_type.as_ref().map_or(Value::Missing, |e| int(e.r#type)),
            Field::EventSubType => self.event_type.as_ref().map_or(Value::Missing, |e| int(e.sub_type)),
            Field::Direction => int(self.traffic_direction),
            Field::IsReply => self.is_reply.map_or(Value::Missing, Value::Bool),
            Field::Transport => transport(self).map_or(Value::Missing, |p| int(transport_tag(p))),
            Field::TcpFlags => tcp_flags(self),
            Field::IpVersion => int(self.ip.as_ref().map_or(0, |ip| ip.ip_version)),
            Field::Encrypted => Value::Bool(self.ip.as_ref().is_some_and(|ip| ip.encrypted)),
            Field::SourceXlated => text(self.ip.as_ref().map(|ip| ip.source_xlated.as_str())),
            Field::TraceId => text(self.trace_context.as_ref().and_then(|t| t.parent.as_ref()).map(|p| p.trace_id.as_str())),
            Field::IpTraceId => uint(self.ip_trace_id.as_ref().map_or(0, |t| t.trace_id)),
            Field::InterfaceName => text(self.interface.as_ref().map(|i| i.name.as_str())),
            Field::InterfaceIndex => self.interface.as_ref().map_or(Value::Missing, |i| uint(i.index)),
            Field::L7Record => self.l7.as_ref().map_or(Value::Missing, |l| int(record_tag(l.record.as_ref()))),
            Field::LatencyNs => self.l7.as_ref().map_or(Value::Missing, |l| uint(l.latency_ns)),
            Field::HttpCode => http(self).map_or(Value::Missing, |h| uint(h.code)),
            Field::HttpMethod => text(http(self).map(|h| h.method.as_str())),
            Field::HttpUrl => text(http(self).map(|h| h.url.as_str())),
            Field::DnsQuery => text(dns(self).map(|d| d.query.as_str())),
            Field::DnsRcode => dns(self).map_or(Value::Missing, |d| uint(d.rcode)),
            Field::KafkaTopic => match record(self) {
                Some(Record::Kafka(k)) => Value::Text(&k.topic),
                _ => Value::Missing,
            },
            Field::Endpoint(e) => Value::Bool(endpoint(self, e).is_some()),
            Field::Namespace(e) => text(endpoint(self, e).map(|p| p.namespace.as_str())),
            Field::Pod(e) => text(endpoint(self, e).map(|p| p.pod_name.as_str())),
            Field::Cluster(e) => text(endpoint(self, e).map(|p| p.cluster_name.as_str())),
            Field::Identity(e) => endpoint(self, e).map_or(Value::Missing, |p| uint(p.identity)),
            Field::Ip(End::Source) => text(self.ip.as_ref().map(|ip| ip.source.as_str())),
            Field::Ip(End::Destination) => text(self.ip.as_ref().map(|ip| ip.destination.as_str())),
            Field::Port(e) => port(self, e),
            Field::ServiceNamespace(e) => text(service(self, e).map(|s| s.namespace.as_str())),
            Field::ServiceName(e) => text(service(self, e).map(|s| s.name.as_str())),
            Field::FlowTime => self.time.as_ref().map_or(Value::Missing, |t| Value::Stamp { seconds: t.seconds, nanos: t.nanos }),
            Field::Summary => Value::Text(&self.summary),
            Field::AuthType => int(self.auth_type),
            Field::PolicyMatchType => uint(self.policy_match_type),
            Field::CapturePoint => int(self.debug_capture_point),
            Field::XlatePoint => int(self.sock_xlate_point),
            Field::L7Type => self.l7.as_ref().map_or(Value::Missing, |l| int(l.r#type)),
            Field::DnsSource => text(dns(self).map(|d| d.observation_source.as_str())),
            Field::Mac(End::Source) => text(self.ethernet.as_ref().map(|e| e.source.as_str())),
            Field::Mac(End::Destination) => text(self.ethernet.as_ref().map(|e| e.destination.as_str())),
            Field::NodeLabels | Field::HttpHeaders | Field::Labels(_) | Field::Workloads(_) | Field::Owners(_) | Field::Names(_) => {
                Value::Missing
            }
            Field::AllowedBy(_) | Field::DeniedBy(_) => Value::Missing,
            Field::InferredNames(_) | Field::Cause | Field::CauseId | Field::Outcome | Field::Policies | Field::Message => Value::Missing,
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let mut texts = |list: &[String]| list.iter().any(|s| test(Item::Text(s)));
        match field {
            Field::NodeLabels => texts(&self.node_labels),
            Field::Names(End::Source) => texts(&self.source_names),
            Field::Names(End::Destination) => texts(&self.destination_names),
            Field::Labels(e) => endpoint(self, e).is_some_and(|p| texts(&p.labels)),
            Field::Workloads(e) => endpoint(self, e).is_some_and(|p| p.workloads.iter().any(|w| test(Item::Pair(&w.kind, &w.name)))),
            Field::Owners(e) => match endpoint(self, e) {
                Some(p) if p.workloads.is_empty() => owner::shown_by(&p.pod_name).is_some_and(|name| test(Item::Pair("", name))),
                _ => self.any(Field::Workloads(e), test),
            },
            Field::HttpHeaders => http(self).is_some_and(|h| h.headers.iter().any(|x| test(Item::Pair(&x.key, &x.value)))),
            Field::Policies => {
                [Field::DeniedBy, Field::AllowedBy].into_iter().any(|by| End::BOTH.into_iter().any(|e| self.any(by(e), test)))
            }
            Field::AllowedBy(End::Source) => policies(&self.egress_allowed_by, test),
            Field::AllowedBy(End::Destination) => policies(&self.ingress_allowed_by, test),
            Field::DeniedBy(End::Source) => policies(&self.egress_denied_by, test),
            Field::DeniedBy(End::Destination) => policies(&self.ingress_denied_by, test),
            _ => false,
        }
    }
}

fn policies(list: &[flow::Policy], test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
    list.iter().any(|p| test(Item::Policy { kind: &p.kind, namespace: &p.namespace, name: &p.name }))
}

fn transport_tag(p: &Protocol) -> i32 {
    match p {
        Protocol::Tcp(_) => 1,
        Protocol::Udp(_) => 2,
        Protocol::IcmPv4(_) => 3,
        Protocol::IcmPv6(_) => 4,
        Protocol::Sctp(_) => 5,
        Protocol::Vrrp(_) => 6,
        Protocol::Igmp(_) => 7,
    }
}

fn record_tag(r: Option<&Record>) -> i32 {
    match r {
        Some(Record::Dns(_)) => 100,
        Some(Record::Http(_)) => 101,
        Some(Record::Kafka(_)) => 102,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(kind: ResponseTypes) -> GetFlowsResponse {
        GetFlowsResponse { response_types: Some(kind), ..Default::default() }
    }

    #[test]
    fn a_flow_answers_and_an_empty_message_has_defaults() {
        let flow = flow::Flow {
            verdict: 2,
            event_type: Some(flow::CiliumEventType { r#type: 1, sub_type: 133 }),
            destination: Some(flow::Endpoint { namespace: "shop".into(), labels: vec!["k8s:app=db".into()], ..Default::default() }),
            l4: Some(flow::Layer4 { protocol: Some(Protocol::Tcp(flow::Tcp { source_port: 4, destination_port: 5432, flags: None })) }),
            ..Default::default()
        };
        let r = response(ResponseTypes::Flow(flow));
        assert_eq!(r.field(Field::Namespace(End::Destination)), Value::Text("shop"));
        assert_eq!(r.field(Field::Namespace(End::Source)), Value::Missing);
        assert_eq!(r.field(Field::Port(End::Destination)), Value::Uint(5432));
        assert_eq!(r.field(Field::DropCode), Value::Int(133));
        assert_eq!(r.field(Field::TcpFlags), Value::Missing);
        assert_eq!(r.field(Field::Outcome), Value::Missing);
        assert!(r.any(Field::Labels(End::Destination), &mut |l| l == Item::Text("k8s:app=db")));
        assert_eq!(response(ResponseTypes::Flow(flow::Flow::default())).field(Field::Verdict), Value::Int(0));
    }

    #[test]
    fn lost_events_are_no_flow() {
        let r = response(ResponseTypes::LostEvents(flow::LostEvent::default()));
        assert_eq!(r.field(Field::Flow), Value::Bool(false));
        assert_eq!(r.field(Field::Verdict), Value::Missing);
        assert!(!r.any(Field::NodeLabels, &mut |_| true));
    }
}
