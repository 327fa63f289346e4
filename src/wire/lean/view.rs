//! The answers of a lean record; the mirror of `wire::view`, which has them from the message.
use super::LeanView;
use super::generated as g;
use crate::model::owner;
use crate::model::time::Nanos;
use crate::model::view::{End, Field, Item, Value, View};

/// The slots of an endpoint, its service and so on, by side.
fn pick(e: End, source: usize, destination: usize) -> usize {
    if e == End::Source { source } else { destination }
}

impl<'a> LeanView<'a> {
    fn has(&self, slot: usize) -> bool {
        self.slots.has(1 << slot)
    }

    fn text(&self, slot: usize) -> &'a str {
        self.slots.text(slot, self.line)
    }

    fn int(&self, slot: usize) -> i64 {
        self.slots.number(slot).cast_signed()
    }

    /// An answer of a message, Missing without it.
    fn in_message(&self, message: usize, answer: impl FnOnce() -> Value<'a>) -> Value<'a> {
        if self.has(message) { answer() } else { Value::Missing }
    }

    fn text_of(&self, message: usize, slot: usize) -> Value<'a> {
        self.in_message(message, || Value::Text(self.text(slot)))
    }

    fn int_of(&self, message: usize, slot: usize) -> Value<'a> {
        self.in_message(message, || Value::Int(self.int(slot)))
    }

    fn uint_of(&self, message: usize, slot: usize) -> Value<'a> {
        self.in_message(message, || Value::Uint(self.slots.number(slot)))
    }

    fn transport(&self) -> Value<'static> {
        const TAGS: [(usize, i64); 7] = [
            (g::FLOW_L4_TCP, 1),
            (g::FLOW_L4_UDP, 2),
            (g::FLOW_L4_ICMPV4, 3),
            (g::FLOW_L4_ICMPV6, 4),
            (g::FLOW_L4_SCTP, 5),
            (g::FLOW_L4_VRRP, 6),
            (g::FLOW_L4_IGMP, 7),
        ];
        TAGS.into_iter().find(|(slot, _)| self.has(*slot)).map_or(Value::Missing, |(_, tag)| Value::Int(tag))
    }

    fn port(&self, e: End) -> Value<'static> {
        const PORTS: [(usize, usize, usize); 3] = [
            (g::FLOW_L4_TCP, g::FLOW_L4_TCP_SOURCE_PORT, g::FLOW_L4_TCP_DESTINATION_PORT),
            (g::FLOW_L4_UDP, g::FLOW_L4_UDP_SOURCE_PORT, g::FLOW_L4_UDP_DESTINATION_PORT),
            (g::FLOW_L4_SCTP, g::FLOW_L4_SCTP_SOURCE_PORT, g::FLOW_L4_SCTP_DESTINATION_PORT),
        ];
        let ports = PORTS.into_iter().find(|(message, ..)| self.has(*message));
        ports.map_or(Value::Missing, |(_, source, destination)| Value::Uint(self.slots.number(pick(e, source, destination))))
    }

    fn tcp_flags(&self) -> Value<'static> {
        const BITS: [usize; 9] = [
            g::FLOW_L4_TCP_FLAGS_FIN,
            g::FLOW_L4_TCP_FLAGS_SYN,
            g::FLOW_L4_TCP_FLAGS_RST,
            g::FLOW_L4_TCP_FLAGS_PSH,
            g::FLOW_L4_TCP_FLAGS_ACK,
            g::FLOW_L4_TCP_FLAGS_URG,
            g::FLOW_L4_TCP_FLAGS_ECE,
            g::FLOW_L4_TCP_FLAGS_CWR,
            g::FLOW_L4_TCP_FLAGS_NS,
        ];
        if !self.has(g::FLOW_L4_TCP_FLAGS) {
            return Value::Missing;
        }
        Value::Int(BITS.iter().enumerate().map(|(i, slot)| self.int(*slot) << i).sum())
    }

    fn time(&self) -> Option<Nanos> {
        let stamp = self.slots.stamp(g::TIME).or_else(|| self.slots.stamp(g::FLOW_TIME));
        stamp.map(|(seconds, nanos)| Nanos::from_parts(seconds, nanos))
    }

    fn drop_code(&self) -> i64 {
        let event = if self.int(g::FLOW_EVENT_TYPE_TYPE) == 1 { self.int(g::FLOW_EVENT_TYPE_SUB_TYPE) } else { 0 };
        [self.int(g::FLOW_DROP_REASON_DESC), self.int(g::FLOW_DROP_REASON), event].into_iter().find(|n| *n != 0).unwrap_or(0)
    }

    fn record(&self) -> i64 {
        const TAGS: [(usize, i64); 3] = [(g::FLOW_L7_DNS, 100), (g::FLOW_L7_HTTP, 101), (g::FLOW_L7_KAFKA, 102)];
        TAGS.into_iter().find(|(slot, _)| self.has(*slot)).map_or(0, |(_, tag)| tag)
    }

    fn texts(&self, slot: usize, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        self.slots.list(slot, self.line).any(|s| test(Item::Text(s)))
    }

    fn pairs(&self, slot: usize, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let mut parts = self.slots.list(slot, self.line);
        while let (Some(a), Some(b)) = (parts.next(), parts.next()) {
            if test(Item::Pair(a, b)) {
                return true;
            }
        }
        false
    }

    fn policies(&self, slot: usize, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let mut parts = self.slots.list(slot, self.line);
        while let (Some(kind), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) {
            if test(Item::Policy { kind, namespace, name }) {
                return true;
            }
        }
        false
    }
}

impl View for LeanView<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        if field == Field::Flow {
            return Value::Bool(true);
        }
        if !self.fields.contains(field) {
            return Value::Missing;
        }
        let endpoint = |e| pick(e, g::FLOW_SOURCE, g::FLOW_DESTINATION);
        let service = |e| pick(e, g::FLOW_SOURCE_SERVICE, g::FLOW_DESTINATION_SERVICE);
        match field {
            Field::Flow => Value::Bool(true),
            Field::Time => self.time().map_or(Value::Missing, |t| Value::Int(t.0)),
            Field::FlowTime => self.slots.stamp(g::FLOW_TIME).map_or(Value::Missing, |(seconds, nanos)| Value::Stamp { seconds, nanos }),
            Field::Uuid => Value::Text(self.text(g::FLOW_UUID)),
            Field::NodeName => Value::Text(self.text(g::FLOW_NODE_NAME)),
            Field::Verdict => Value::Int(self.int(g::FLOW_VERDICT)),
            Field::DropReasonDesc => Value::Int(self.int(g::FLOW_DROP_REASON_DESC)),
            Field::DropCode => Value::Int(self.drop_code()),
            Field::EventType => self.int_of(g::FLOW_EVENT_TYPE, g::FLOW_EVENT_TYPE_TYPE),
            Field::EventSubType => self.int_of(g::FLOW_EVENT_TYPE, g::FLOW_EVENT_TYPE_SUB_TYPE),
            Field::Direction => Value::Int(self.int(g::FLOW_TRAFFIC_DIRECTION)),
            Field::IsReply => self.in_message(g::FLOW_IS_REPLY, || Value::Bool(self.int(g::FLOW_IS_REPLY) != 0)),
            Field::Transport => self.transport(),
            Field::TcpFlags => self.tcp_flags(),
            Field::IpVersion => Value::Int(self.int(g::FLOW_IP_IPVERSION)),
            Field::Encrypted => Value::Bool(self.int(g::FLOW_IP_ENCRYPTED) != 0),
            Field::SourceXlated => self.text_of(g::FLOW_IP, g::FLOW_IP_SOURCE_XLATED),
            Field::TraceId => self.text_of(g::FLOW_TRACE_CONTEXT_PARENT, g::FLOW_TRACE_CONTEXT_PARENT_TRACE_ID),
            Field::IpTraceId => Value::Uint(self.slots.number(g::FLOW_IP_TRACE_ID_TRACE_ID)),
            Field::InterfaceName => self.text_of(g::FLOW_INTERFACE, g::FLOW_INTERFACE_NAME),
            Field::InterfaceIndex => self.uint_of(g::FLOW_INTERFACE, g::FLOW_INTERFACE_INDEX),
            Field::L7Record => self.in_message(g::FLOW_L7, || Value::Int(self.record())),
            Field::L7Type => self.int_of(g::FLOW_L7, g::FLOW_L7_TYPE),
            Field::LatencyNs => self.uint_of(g::FLOW_L7, g::FLOW_L7_LATENCY_NS),
            Field::HttpCode => self.uint_of(g::FLOW_L7_HTTP, g::FLOW_L7_HTTP_CODE),
            Field::HttpMethod => self.text_of(g::FLOW_L7_HTTP, g::FLOW_L7_HTTP_METHOD),
            Field::HttpUrl => self.text_of(g::FLOW_L7_HTTP, g::FLOW_L7_HTTP_URL),
            Field::DnsQuery => self.text_of(g::FLOW_L7_DNS, g::FLOW_L7_DNS_QUERY),
            Field::DnsRcode => self.uint_of(g::FLOW_L7_DNS, g::FLOW_L7_DNS_RCODE),
            Field::DnsSource => self.text_of(g::FLOW_L7_DNS, g::FLOW_L7_DNS_OBSERVATION_SOURCE),
            Field::KafkaTopic => self.text_of(g::FLOW_L7_KAFKA, g::FLOW_L7_KAFKA_TOPIC),
            Field::Summary => Value::Text(self.text(g::FLOW_SUMMARY)),
            Field::AuthType => Value::Int(self.int(g::FLOW_AUTH_TYPE)),
            Field::PolicyMatchType => Value::Uint(self.slots.number(g::FLOW_POLICY_MATCH_TYPE)),
            Field::CapturePoint => Value::Int(self.int(g::FLOW_DEBUG_CAPTURE_POINT)),
            Field::XlatePoint => Value::Int(self.int(g::FLOW_SOCK_XLATE_POINT)),
            Field::Endpoint(e) => Value::Bool(self.has(endpoint(e))),
            Field::Namespace(e) => self.text_of(endpoint(e), pick(e, g::FLOW_SOURCE_NAMESPACE, g::FLOW_DESTINATION_NAMESPACE)),
            Field::Pod(e) => self.text_of(endpoint(e), pick(e, g::FLOW_SOURCE_POD_NAME, g::FLOW_DESTINATION_POD_NAME)),
            Field::Cluster(e) => self.text_of(endpoint(e), pick(e, g::FLOW_SOURCE_CLUSTER_NAME, g::FLOW_DESTINATION_CLUSTER_NAME)),
            Field::Identity(e) => self.uint_of(endpoint(e), pick(e, g::FLOW_SOURCE_IDENTITY, g::FLOW_DESTINATION_IDENTITY)),
            Field::Ip(e) => self.text_of(g::FLOW_IP, pick(e, g::FLOW_IP_SOURCE, g::FLOW_IP_DESTINATION)),
            Field::Mac(e) => self.text_of(g::FLOW_ETHERNET, pick(e, g::FLOW_ETHERNET_SOURCE, g::FLOW_ETHERNET_DESTINATION)),
            Field::Port(e) => self.port(e),
            Field::ServiceNamespace(e) => {
                self.text_of(service(e), pick(e, g::FLOW_SOURCE_SERVICE_NAMESPACE, g::FLOW_DESTINATION_SERVICE_NAMESPACE))
            }
            Field::ServiceName(e) => self.text_of(service(e), pick(e, g::FLOW_SOURCE_SERVICE_NAME, g::FLOW_DESTINATION_SERVICE_NAME)),
            Field::NodeLabels | Field::HttpHeaders | Field::Labels(_) | Field::Workloads(_) | Field::Owners(_) | Field::Names(_) => {
                Value::Missing
            }
            Field::AllowedBy(_) | Field::DeniedBy(_) => Value::Missing,
            Field::InferredNames(_) | Field::Cause | Field::CauseId | Field::Outcome | Field::Policies | Field::Message => Value::Missing,
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        if !self.fields.contains(field) {
            return false;
        }
        match field {
            Field::NodeLabels => self.texts(g::FLOW_NODE_LABELS, test),
            Field::Names(e) => self.texts(pick(e, g::FLOW_SOURCE_NAMES, g::FLOW_DESTINATION_NAMES), test),
            Field::Labels(e) => self.texts(pick(e, g::FLOW_SOURCE_LABELS, g::FLOW_DESTINATION_LABELS), test),
            Field::Workloads(e) => self.pairs(pick(e, g::FLOW_SOURCE_WORKLOADS, g::FLOW_DESTINATION_WORKLOADS), test),
            Field::Owners(e) => {
                let workloads = pick(e, g::FLOW_SOURCE_WORKLOADS, g::FLOW_DESTINATION_WORKLOADS);
                if self.slots.list(workloads, self.line).next().is_some() {
                    return self.pairs(workloads, test);
                }
                let pod = self.text(pick(e, g::FLOW_SOURCE_POD_NAME, g::FLOW_DESTINATION_POD_NAME));
                owner::shown_by(pod).is_some_and(|name| test(Item::Pair("", name)))
            }
            Field::HttpHeaders => self.pairs(g::FLOW_L7_HTTP_HEADERS, test),
            Field::Policies => [g::FLOW_EGRESS_DENIED_BY, g::FLOW_INGRESS_DENIED_BY, g::FLOW_EGRESS_ALLOWED_BY, g::FLOW_INGRESS_ALLOWED_BY]
                .into_iter()
                .any(|slot| self.policies(slot, test)),
            Field::AllowedBy(e) => self.policies(pick(e, g::FLOW_EGRESS_ALLOWED_BY, g::FLOW_INGRESS_ALLOWED_BY), test),
            Field::DeniedBy(e) => self.policies(pick(e, g::FLOW_EGRESS_DENIED_BY, g::FLOW_INGRESS_DENIED_BY), test),
            _ => false,
        }
    }
}
