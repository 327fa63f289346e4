//! Read access to one flow, whatever it lies in: a decoded message, a stored row, later a line of JSON.
//!
//! Owns the list of fields a filter may ask for and the shape of the answers. Must not know who asks: one predicate
//! (`query`) runs over every implementation, so two views of the same flow have to answer alike.
use super::reflect::Message;
use super::time::Nanos;
use std::net::IpAddr;

/// One end of a flow, as the packet travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    Source,
    Destination,
}

impl End {
    pub const BOTH: [Self; 2] = [Self::Source, Self::Destination];

    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

/// What can be asked of a flow. The comment says the kind of the answer; *list* fields answer through [`View::any`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Bool: whether there is a flow at all. Lost events and node states are none, and answer `Missing` to all else but `Time` and `NodeName`.
    Flow,
    /// Int: nanoseconds since 1970 of the response, else of the flow.
    Time,
    /// Text.
    Uuid,
    /// Text: `node` or `cluster/node`.
    NodeName,
    /// List of Text.
    NodeLabels,
    /// Int: wire number.
    Verdict,
    /// Int: wire number of `drop_reason_desc` alone, 0 if not given.
    DropReasonDesc,
    /// Int: the reason of a drop: `drop_reason_desc`, else the old `drop_reason`, else a drop event's sub-type; 0 if none is given.
    DropCode,
    /// Int; Missing without `event_type`.
    EventType,
    /// Int; Missing without `event_type`.
    EventSubType,
    /// Int: wire number; 1 ingress, 2 egress.
    Direction,
    /// Bool; Missing where the flow does not say.
    IsReply,
    /// Int: the tag of the transport in `Layer4`: TCP 1, UDP 2, ICMPv4 3, ICMPv6 4, SCTP 5, VRRP 6, IGMP 7.
    Transport,
    /// Int: bits as in the TCP header (FIN 1 … NS 256); Missing without the flags message.
    TcpFlags,
    /// Int: wire number; 0 not used, 1 IPv4, 2 IPv6.
    IpVersion,
    /// Bool.
    Encrypted,
    /// Text or Addr: the source address after translation.
    SourceXlated,
    /// Text.
    TraceId,
    /// Uint.
    IpTraceId,
    /// Text; Missing without the interface message.
    InterfaceName,
    /// Uint; Missing without the interface message.
    InterfaceIndex,
    /// Int: the tag of the record in `Layer7`: DNS 100, HTTP 101, Kafka 102, 0 for a record of another kind; Missing without L7.
    L7Record,
    /// Uint; Missing without L7.
    LatencyNs,
    /// Uint; Missing without HTTP.
    HttpCode,
    /// Text; Missing without HTTP.
    HttpMethod,
    /// Text, as reported; Missing without HTTP.
    HttpUrl,
    /// List of Pair (key, value).
    HttpHeaders,
    /// Text, as reported; Missing without DNS.
    DnsQuery,
    /// Uint; Missing without DNS.
    DnsRcode,
    /// Text; Missing without Kafka.
    KafkaTopic,
    /// Bool: whether the record has this endpoint.
    Endpoint(End),
    /// Text.
    Namespace(End),
    /// Text.
    Pod(End),
    /// List of Text, `source:key=value`.
    Labels(End),
    /// List of Pair (kind, name), as the record has it.
    Workloads(End),
    /// List of Pair (kind, name): the same, else the owner of the pod as the cluster knows it or the pod's name shows it, without a kind.
    Owners(End),
    /// Text.
    Cluster(End),
    /// Uint; Missing without the endpoint.
    Identity(End),
    /// Text (as reported) or Addr.
    Ip(End),
    /// Uint; Missing where the transport has no ports.
    Port(End),
    /// Text.
    ServiceNamespace(End),
    /// Text.
    ServiceName(End),
    /// List of Text: DNS names the agent reports.
    Names(End),
    /// List of Text, derived: DNS names learnt from earlier answers.
    InferredNames(End),
    /// Text, derived: the sentence of the flow's cause.
    Cause,
    /// Uint, derived: the number of the flow's cause.
    CauseId,
    /// Text, derived: `Outcome::word`.
    Outcome,
    /// List of Policy: named by the agent and, where the view is the engine's, derived.
    Policies,
    /// Stamp: the flow's own time, which text formats print.
    FlowTime,
    /// Text: the sentence that the server made.
    Summary,
    /// Int: wire number.
    AuthType,
    /// Uint: what a policy verdict matched.
    PolicyMatchType,
    /// Int: wire number.
    CapturePoint,
    /// Int: wire number.
    XlatePoint,
    /// Int: wire number of request, response, sample; Missing without L7.
    L7Type,
    /// Text: who saw the DNS record; Missing without DNS.
    DnsSource,
    /// Text; Missing without the Ethernet message.
    Mac(End),
    /// List of Policy: what the agent says allowed it, at the sender's side (egress) or the receiver's (ingress).
    AllowedBy(End),
    /// List of Policy: what the agent says denied it.
    DeniedBy(End),
    /// No answer of [`View::field`]: the whole message is wanted, through [`View::message`].
    Message,
}

/// Fields of the flow as a whole, and fields of each end.
const SINGLE: u32 = 43;
const PAIRS: u32 = 17;

impl Field {
    /// The field's place in a [`FieldSet`].
    fn bit(self) -> u32 {
        let two = |n: u32, e: End| SINGLE + 2 * n + u32::from(e == End::Destination);
        match self {
            Self::Flow => 0,
            Self::Time => 1,
            Self::Uuid => 2,
            Self::NodeName => 3,
            Self::NodeLabels => 4,
            Self::Verdict => 5,
            Self::DropReasonDesc => 6,
            Self::DropCode => 7,
            Self::EventType => 8,
            Self::EventSubType => 9,
            Self::Direction => 10,
            Self::IsReply => 11,
            Self::Transport => 12,
            Self::TcpFlags => 13,
            Self::IpVersion => 14,
            Self::Encrypted => 15,
            Self::SourceXlated => 16,
            Self::TraceId => 17,
            Self::IpTraceId => 18,
            Self::InterfaceName => 19,
            Self::InterfaceIndex => 20,
            Self::L7Record => 21,
            Self::LatencyNs => 22,
            Self::HttpCode => 23,
            Self::HttpMethod => 24,
            Self::HttpUrl => 25,
            Self::HttpHeaders => 26,
            Self::DnsQuery => 27,
            Self::DnsRcode => 28,
            Self::KafkaTopic => 29,
            Self::Cause => 30,
            Self::CauseId => 31,
            Self::Outcome => 32,
            Self::Policies => 33,
            Self::FlowTime => 34,
            Self::Summary => 35,
            Self::AuthType => 36,
            Self::PolicyMatchType => 37,
            Self::CapturePoint => 38,
            Self::XlatePoint => 39,
            Self::L7Type => 40,
            Self::DnsSource => 41,
            Self::Message => 42,
            Self::Endpoint(e) => two(0, e),
            Self::Namespace(e) => two(1, e),
            Self::Pod(e) => two(2, e),
            Self::Labels(e) => two(3, e),
            Self::Workloads(e) => two(4, e),
            Self::Cluster(e) => two(5, e),
            Self::Identity(e) => two(6, e),
            Self::Ip(e) => two(7, e),
            Self::Port(e) => two(8, e),
            Self::ServiceNamespace(e) => two(9, e),
            Self::ServiceName(e) => two(10, e),
            Self::Names(e) => two(11, e),
            Self::InferredNames(e) => two(12, e),
            Self::Mac(e) => two(13, e),
            Self::AllowedBy(e) => two(14, e),
            Self::DeniedBy(e) => two(15, e),
            Self::Owners(e) => two(16, e),
        }
    }

    /// Every field there is.
    pub fn all() -> impl Iterator<Item = Self> {
        use Field as F;
        const SINGLES: [F; SINGLE as usize] = [
            F::Flow,
            F::Time,
            F::Uuid,
            F::NodeName,
            F::NodeLabels,
            F::Verdict,
            F::DropReasonDesc,
            F::DropCode,
            F::EventType,
            F::EventSubType,
            F::Direction,
            F::IsReply,
            F::Transport,
            F::TcpFlags,
            F::IpVersion,
            F::Encrypted,
            F::SourceXlated,
            F::TraceId,
            F::IpTraceId,
            F::InterfaceName,
            F::InterfaceIndex,
            F::L7Record,
            F::LatencyNs,
            F::HttpCode,
            F::HttpMethod,
            F::HttpUrl,
            F::HttpHeaders,
            F::DnsQuery,
            F::DnsRcode,
            F::KafkaTopic,
            F::Cause,
            F::CauseId,
            F::Outcome,
            F::Policies,
            F::Message,
            F::FlowTime,
            F::Summary,
            F::AuthType,
            F::PolicyMatchType,
            F::CapturePoint,
            F::XlatePoint,
            F::L7Type,
            F::DnsSource,
        ];
        const TWOS: [fn(End) -> F; PAIRS as usize] = [
            F::Endpoint,
            F::Namespace,
            F::Pod,
            F::Labels,
            F::Workloads,
            F::Cluster,
            F::Identity,
            F::Ip,
            F::Port,
            F::ServiceNamespace,
            F::ServiceName,
            F::Names,
            F::InferredNames,
            F::Mac,
            F::AllowedBy,
            F::DeniedBy,
            F::Owners,
        ];
        SINGLES.into_iter().chain(TWOS.into_iter().flat_map(|f| End::BOTH.map(f)))
    }
}

/// An answer, borrowed from the flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(&'a str),
    Addr(IpAddr),
    /// A protobuf timestamp as it is, also one that no calendar has.
    Stamp {
        seconds: i64,
        nanos: i32,
    },
}

impl<'a> Value<'a> {
    /// The text; empty where it is missing or no text.
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(s) => s,
            _ => "",
        }
    }

    /// The number, where it is one that fits.
    pub fn int(self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(n),
            Self::Uint(n) => i64::try_from(n).ok(),
            _ => None,
        }
    }

    pub fn uint(self) -> Option<u64> {
        match self {
            Self::Uint(n) => Some(n),
            Self::Int(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The address, parsed where the flow has it as text. A text with a zone is none.
    pub fn addr(self) -> Option<IpAddr> {
        match self {
            Self::Addr(ip) => Some(ip),
            Self::Text(s) => s.parse().ok(),
            _ => None,
        }
    }
}

/// One element of a list field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    Text(&'a str),
    Pair(&'a str, &'a str),
    /// `namespace` is empty for cluster-scoped kinds.
    Policy {
        kind: &'a str,
        namespace: &'a str,
        name: &'a str,
    },
}

impl<'a> Item<'a> {
    /// The text of a `Text`, the name of the others.
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(s) | Self::Pair(_, s) => s,
            Self::Policy { name, .. } => name,
        }
    }
}

/// Read access to one flow. Lists are visited, not returned, so that nobody has to build one.
pub trait View {
    /// A field that is no list. Lists answer `Missing`.
    fn field(&self, field: Field) -> Value<'_>;

    /// Calls `test` with the elements of a list field until one says yes; whether one did.
    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool;

    /// The whole flow, for questions whose words come from the user; an empty one for what is no flow. `None` where the view
    /// holds less, so who asks [`Field::Message`] has to be given a view that holds it.
    fn message(&self) -> Option<&dyn Message> {
        None
    }
}

/// Time of the response, else of its flow: what `--since` and `--until` go by. One without a time lies before everything.
pub fn time_of(flow: &dyn View) -> Nanos {
    match flow.field(Field::Time) {
        Value::Int(n) => Nanos(n),
        _ => Nanos::default(),
    }
}

/// Whether a time lies between two others, both inclusive where there are any.
pub fn in_window((since, until): (Option<Nanos>, Option<Nanos>), at: Nanos) -> bool {
    since.is_none_or(|t| at >= t) && until.is_none_or(|t| at <= t)
}

/// A set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u128);

impl FieldSet {
    pub const EMPTY: Self = Self(0);

    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field.bit();
    }

    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field.bit()) != 0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every field of `self` is in `other`: a store asks this to know that a row suffices.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::all().filter(move |f| self.contains(*f))
    }

    /// Whether the whole message is wanted: then a view that holds only some fields will not do.
    pub fn needs_message(self) -> bool {
        self.contains(Field::Message)
    }

    /// Whether a field is among them that only the engine can answer whole: a plain flow view says less.
    pub fn needs_derived(self) -> bool {
        const DERIVED: [Field; 6] = [
            Field::Cause,
            Field::CauseId,
            Field::Outcome,
            Field::Policies,
            Field::InferredNames(End::Source),
            Field::InferredNames(End::Destination),
        ];
        DERIVED.into_iter().any(|f| self.contains(f))
    }

    /// Whether it asks for the owner of a pod.
    pub fn asks_owners(self) -> bool {
        End::BOTH.into_iter().any(|e| self.contains(Field::Owners(e)))
    }

    /// Whether it asks who somebody is, beyond the address.
    pub fn asks_names(self) -> bool {
        use Field::*;
        let of = |e| [Namespace(e), Pod(e), Labels(e), Workloads(e), Owners(e), ServiceNamespace(e), ServiceName(e)];
        End::BOTH.into_iter().flat_map(of).any(|f| self.contains(f))
    }
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let mut set = Self::EMPTY;
        fields.into_iter().for_each(|f| set.insert(f));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_own_bit() {
        let bits: Vec<u32> = Field::all().map(Field::bit).collect();
        let unique: std::collections::BTreeSet<u32> = bits.iter().copied().collect();
        assert!(unique.len() == bits.len() && unique.iter().all(|b| *b < SINGLE + 2 * PAIRS));
        const { assert!(SINGLE + 2 * PAIRS <= u128::BITS) };
        assert_eq!(Field::all().collect::<FieldSet>().iter().count(), bits.len());
    }

    #[test]
    fn sets() {
        let set: FieldSet = [Field::Pod(End::Source), Field::Outcome].into_iter().collect();
        assert!(set.contains(Field::Outcome) && !set.contains(Field::Pod(End::Destination)));
        assert!(set.needs_derived());
        let row: FieldSet = [Field::Pod(End::Source), Field::Port(End::Source)].into_iter().collect();
        assert!(!set.is_subset(row) && !row.needs_derived());
    }
}
