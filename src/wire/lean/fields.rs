//! Which parts of a response answer which field: for the slots of a walk, and for the field mask of a request.
use super::generated::PATHS;
use crate::model::view::{End, Field, FieldSet};
use std::collections::BTreeSet;

/// The paths, from the response, of what a field is answered from. Of a message all that has a slot is meant.
fn of(field: Field) -> &'static [&'static str] {
    use End::{Destination as D, Source as S};
    match field {
        Field::Flow | Field::InferredNames(_) | Field::Cause | Field::CauseId | Field::Outcome | Field::Message => &[],
        Field::Time => &["time", "flow.time"],
        Field::FlowTime => &["flow.time"],
        Field::Uuid => &["flow.uuid"],
        Field::NodeName => &["flow.node_name"],
        Field::NodeLabels => &["flow.node_labels"],
        Field::Verdict => &["flow.verdict"],
        Field::DropReasonDesc => &["flow.drop_reason_desc"],
        Field::DropCode => &["flow.drop_reason_desc", "flow.drop_reason", "flow.event_type"],
        Field::EventType => &["flow.event_type.type"],
        Field::EventSubType => &["flow.event_type.sub_type"],
        Field::Direction => &["flow.traffic_direction"],
        Field::IsReply => &["flow.is_reply"],
        Field::Transport | Field::TcpFlags | Field::Port(_) => &["flow.l4"],
        Field::IpVersion => &["flow.IP.ipVersion"],
        Field::Encrypted => &["flow.IP.encrypted"],
        Field::SourceXlated => &["flow.IP.source_xlated"],
        Field::TraceId => &["flow.trace_context.parent.trace_id"],
        Field::IpTraceId => &["flow.ip_trace_id.trace_id"],
        Field::InterfaceName => &["flow.interface.name"],
        Field::InterfaceIndex => &["flow.interface.index"],
        Field::L7Record => &["flow.l7"],
        Field::L7Type => &["flow.l7.type"],
        Field::LatencyNs => &["flow.l7.latency_ns"],
        Field::HttpCode => &["flow.l7.http.code"],
        Field::HttpMethod => &["flow.l7.http.method"],
        Field::HttpUrl => &["flow.l7.http.url"],
        Field::HttpHeaders => &["flow.l7.http.headers"],
        Field::DnsQuery => &["flow.l7.dns.query"],
        Field::DnsRcode => &["flow.l7.dns.rcode"],
        Field::DnsSource => &["flow.l7.dns.observation_source"],
        Field::KafkaTopic => &["flow.l7.kafka.topic"],
        Field::Summary => &["flow.Summary"],
        Field::AuthType => &["flow.auth_type"],
        Field::PolicyMatchType => &["flow.policy_match_type"],
        Field::CapturePoint => &["flow.debug_capture_point"],
        Field::XlatePoint => &["flow.sock_xlate_point"],
        Field::Endpoint(S) => &["flow.source"],
        Field::Endpoint(D) => &["flow.destination"],
        Field::Namespace(S) => &["flow.source.namespace"],
        Field::Namespace(D) => &["flow.destination.namespace"],
        Field::Pod(S) => &["flow.source.pod_name"],
        Field::Pod(D) => &["flow.destination.pod_name"],
        Field::Labels(S) => &["flow.source.labels"],
        Field::Labels(D) => &["flow.destination.labels"],
        Field::Workloads(S) => &["flow.source.workloads"],
        Field::Workloads(D) => &["flow.destination.workloads"],
        Field::Owners(S) => &["flow.source.workloads", "flow.source.pod_name"],
        Field::Owners(D) => &["flow.destination.workloads", "flow.destination.pod_name"],
        Field::Cluster(S) => &["flow.source.cluster_name"],
        Field::Cluster(D) => &["flow.destination.cluster_name"],
        Field::Identity(S) => &["flow.source.identity"],
        Field::Identity(D) => &["flow.destination.identity"],
        Field::Ip(S) => &["flow.IP.source"],
        Field::Ip(D) => &["flow.IP.destination"],
        Field::ServiceNamespace(S) => &["flow.source_service.namespace"],
        Field::ServiceNamespace(D) => &["flow.destination_service.namespace"],
        Field::ServiceName(S) => &["flow.source_service.name"],
        Field::ServiceName(D) => &["flow.destination_service.name"],
        Field::Names(S) => &["flow.source_names"],
        Field::Names(D) => &["flow.destination_names"],
        Field::Mac(S) => &["flow.ethernet.source"],
        Field::Mac(D) => &["flow.ethernet.destination"],
        Field::AllowedBy(S) => &["flow.egress_allowed_by"],
        Field::AllowedBy(D) => &["flow.ingress_allowed_by"],
        Field::DeniedBy(S) => &["flow.egress_denied_by"],
        Field::DeniedBy(D) => &["flow.ingress_denied_by"],
        Field::Policies => &["flow.egress_denied_by", "flow.ingress_denied_by", "flow.egress_allowed_by", "flow.ingress_allowed_by"],
    }
}

/// The slots that the fields are answered from.
pub fn slots(fields: FieldSet) -> u128 {
    let under = |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let paths = || fields.iter().flat_map(of);
    PATHS.iter().filter(|(path, _)| paths().any(|of| under(path, of))).fold(0, |bits, (path, slot)| {
        // A time takes two.
        bits | if path.rsplit('.').next() == Some("time") { 3 } else { 1 } << slot
    })
}

/// The field mask, in paths of a flow, for which a server sends what the fields are answered from.
///
/// A server sets every message that it copies a part of, also where the flow has none. So messages whose absence says something
/// are asked for whole; an endpoint without anything in it prints as a missing one, and is asked for in parts, as Hubble's own
/// command line does. No path at all means the whole flow.
pub fn paths(fields: FieldSet) -> Vec<String> {
    if fields.needs_message() {
        return Vec::new();
    }
    let mut paths = BTreeSet::new();
    for field in fields.iter() {
        for path in of(field).iter().filter_map(|p| p.strip_prefix("flow.")) {
            let top = path.split('.').next().unwrap_or(path);
            paths.insert(if matches!(top, "source" | "destination") { path } else { top });
        }
    }
    let whole = |path: &str| path.split_once('.').is_some_and(|(top, _)| paths.contains(top));
    paths.iter().filter(|p| !whole(p)).map(|p| (*p).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_slot() {
        for path in Field::all().flat_map(of) {
            assert!(PATHS.iter().any(|(p, _)| p == path), "{path}");
        }
    }

    #[test]
    fn masks_ask_for_no_more_than_is_read() {
        let set = |fields: &[Field]| paths(fields.iter().copied().collect());
        assert_eq!(set(&[Field::Pod(End::Source), Field::Port(End::Source), Field::Time]), ["l4", "source.pod_name", "time"]);
        assert_eq!(set(&[Field::Pod(End::Source), Field::Endpoint(End::Source)]), ["source"]);
        assert_eq!(set(&[Field::Flow]), [""; 0]);
    }
}
