//! The fields of the language as things to count by: what a flow's value of a field is, as a text that the language takes back.
use super::fields::{FIELDS, Name, nearest};
use super::url;
use crate::model::monitor;
use crate::model::reason;
use crate::model::time::Nanos;
use crate::model::view::{End, Field, FieldSet, Item, Value, View};
use crate::wire::pb::flow::Verdict;
use std::fmt::Write as _;

/// One field, of one side where it has sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    name: Name,
    end: End,
}

/// The columns of `verdict,drop,from.ns`. A field with sides and none named is counted by both. The error says what there is.
pub fn columns(list: &[String]) -> Result<Vec<Column>, String> {
    let mut out = Vec::new();
    for word in list.iter().map(|w| w.trim()) {
        let (end, bare) = match word.split_once('.') {
            Some(("from", rest)) => (Some(End::Source), rest),
            Some(("to", rest)) => (Some(End::Destination), rest),
            _ => (None, word),
        };
        let Some(name) = Name::find(bare) else {
            let near = nearest(bare, FIELDS.iter().flat_map(|s| s.words.iter().copied()));
            return Err(format!("unknown field {word:?}{}", near.map(|n| format!("; did you mean {n}?")).unwrap_or_default()));
        };
        let sided = name.spec().sided;
        match (name, end) {
            (Name::Since | Name::Until, _) => return Err(format!("{word} is a bound, nothing to count by; at counts by the minute")),
            (_, Some(_)) if !sided => return Err(format!("{bare} has no sides; write {bare}")),
            (_, Some(end)) => out.push(Column { name, end }),
            (_, None) if sided => out.extend(End::BOTH.map(|end| Column { name, end })),
            (_, None) => out.push(Column { name, end: End::Source }),
        }
    }
    if out.is_empty() { Err("no field to count by".into()) } else { Ok(out) }
}

impl Column {
    /// As it is written: `from.ns`, `verdict`.
    pub fn word(self) -> String {
        match (self.name.spec().sided, self.end) {
            (false, _) => self.name.word().to_owned(),
            (true, End::Source) => format!("from.{}", self.name.word()),
            (true, End::Destination) => format!("to.{}", self.name.word()),
        }
    }

    /// What it reads of a flow.
    pub fn fields(self) -> FieldSet {
        let e = self.end;
        let list: &[Field] = match self.name {
            Name::Ns => &[Field::Namespace(e)],
            Name::Pod => &[Field::Namespace(e), Field::Pod(e)],
            Name::Workload => &[Field::Owners(e)],
            Name::Svc => &[Field::ServiceNamespace(e), Field::ServiceName(e)],
            Name::Label => &[Field::Labels(e)],
            Name::Identity => &[Field::Identity(e)],
            Name::Ip => &[Field::Ip(e)],
            Name::Port => &[Field::Port(e)],
            Name::Fqdn => &[Field::Names(e)],
            Name::Cluster => &[Field::Cluster(e)],
            Name::Verdict => &[Field::Verdict],
            Name::Drop => &[Field::Verdict, Field::DropCode],
            Name::Dir => &[Field::Direction],
            Name::Type => &[Field::EventType],
            Name::Proto => &[Field::Transport, Field::L7Record],
            Name::Reply => &[Field::IsReply],
            Name::Node => &[Field::NodeName],
            Name::Iface => &[Field::InterfaceName],
            Name::Flags => &[Field::TcpFlags],
            Name::Encrypted => &[Field::Encrypted],
            Name::Uuid => &[Field::Uuid],
            Name::Policy => &[Field::Policies],
            Name::Cause => &[Field::Cause],
            Name::Outcome => &[Field::Outcome],
            Name::HttpMethod => &[Field::HttpMethod],
            Name::HttpPath | Name::HttpHost => &[Field::HttpUrl],
            Name::HttpStatus => &[Field::HttpCode],
            Name::HttpHeader => &[Field::HttpHeaders],
            Name::DnsQuery => &[Field::DnsQuery],
            Name::DnsRcode => &[Field::DnsRcode],
            Name::KafkaTopic => &[Field::KafkaTopic],
            Name::Latency => &[Field::LatencyNs],
            Name::Since | Name::Until | Name::At => &[Field::Time],
        };
        list.iter().copied().collect()
    }

    /// The flow's value; empty where it has none.
    pub fn value(self, v: &dyn View) -> String {
        let e = self.end;
        match self.name {
            Name::Ns => plain(v, Field::Namespace(e)),
            Name::Pod => path(v, Field::Namespace(e), Field::Pod(e)),
            Name::Svc => path(v, Field::ServiceNamespace(e), Field::ServiceName(e)),
            Name::Workload => owners(v, e),
            Name::Label => list(v, Field::Labels(e)),
            Name::Identity => plain(v, Field::Identity(e)),
            Name::Ip => plain(v, Field::Ip(e)),
            Name::Port => plain(v, Field::Port(e)),
            Name::Fqdn => list(v, Field::Names(e)),
            Name::Cluster => plain(v, Field::Cluster(e)),
            Name::Verdict => verdict(v),
            Name::Drop => drop_reason(v),
            Name::Dir => direction(v),
            Name::Type => event_type(v),
            Name::Proto => protocol(v),
            Name::Reply => plain(v, Field::IsReply),
            Name::Node => plain(v, Field::NodeName),
            Name::Iface => plain(v, Field::InterfaceName),
            Name::Flags => flags(v),
            Name::Encrypted => plain(v, Field::Encrypted),
            Name::Uuid => plain(v, Field::Uuid),
            Name::Policy => list(v, Field::Policies),
            Name::Cause => plain(v, Field::Cause),
            Name::Outcome => plain(v, Field::Outcome),
            Name::HttpMethod => plain(v, Field::HttpMethod),
            Name::HttpPath => url::path(v.field(Field::HttpUrl).text()).map(|p| p.to_string()).unwrap_or_default(),
            Name::HttpHost => url::host(v.field(Field::HttpUrl).text()).to_owned(),
            Name::HttpStatus => v.field(Field::HttpCode).uint().filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default(),
            Name::HttpHeader => list(v, Field::HttpHeaders),
            Name::DnsQuery => plain(v, Field::DnsQuery),
            Name::DnsRcode => plain(v, Field::DnsRcode),
            Name::KafkaTopic => plain(v, Field::KafkaTopic),
            Name::Latency => {
                v.field(Field::LatencyNs).uint().filter(|n| *n > 0).map(|n| format!("{}ms", n.div_ceil(1_000_000))).unwrap_or_default()
            }
            Name::Since | Name::Until | Name::At => minute(v),
        }
    }
}

fn plain(v: &dyn View, field: Field) -> String {
    match v.field(field) {
        Value::Text(s) => s.to_owned(),
        Value::Addr(ip) => ip.to_string(),
        Value::Bool(b) => b.to_string(),
        other => other.int().map(|n| n.to_string()).or_else(|| other.uint().map(|n| n.to_string())).unwrap_or_default(),
    }
}

fn path(v: &dyn View, first: Field, second: Field) -> String {
    match (v.field(first).text(), v.field(second).text()) {
        (_, "") => String::new(),
        ("", name) => name.to_owned(),
        (ns, name) => format!("{ns}/{name}"),
    }
}

fn list(v: &dyn View, field: Field) -> String {
    let mut out = String::new();
    v.any(field, &mut |item| {
        if !out.is_empty() {
            out.push(',');
        }
        // Writing to a text cannot fail.
        let _ = match item {
            Item::Text(s) | Item::Pair("", s) => out.write_str(s),
            Item::Pair(a, b) => write!(out, "{a}/{b}"),
            Item::Policy { kind: _, namespace: "", name } => out.write_str(name),
            Item::Policy { kind: _, namespace, name } => write!(out, "{namespace}/{name}"),
        };
        false
    });
    out
}

/// By name alone: of an owner that only the pod's name shows the kind is not known, and it is the same owner.
fn owners(v: &dyn View, e: End) -> String {
    let mut out = String::new();
    v.any(Field::Owners(e), &mut |item| {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(item.text());
        false
    });
    out
}

pub fn verdict(v: &dyn View) -> String {
    let Some(n) = v.field(Field::Verdict).int() else { return String::new() };
    let known = i32::try_from(n).ok().and_then(|n| Verdict::try_from(n).ok());
    known.map_or_else(|| n.to_string(), |v| if v == Verdict::Unknown { "UNKNOWN".to_owned() } else { v.as_str_name().to_owned() })
}

/// The reason of a drop; empty for what was not dropped.
pub fn drop_reason(v: &dyn View) -> String {
    if v.field(Field::Verdict).int() != Some(i64::from(Verdict::Dropped as i32)) {
        return String::new();
    }
    match v.field(Field::DropCode).int().and_then(|n| u32::try_from(n).ok()) {
        None | Some(0) => String::new(),
        Some(n) => reason::by_number(n).filter(|r| !r.name.is_empty()).map_or_else(|| n.to_string(), |r| r.name.to_owned()),
    }
}

pub fn direction(v: &dyn View) -> String {
    match v.field(Field::Direction).int() {
        Some(1) => "INGRESS".to_owned(),
        Some(2) => "EGRESS".to_owned(),
        _ => String::new(),
    }
}

pub fn event_type(v: &dyn View) -> String {
    let Some(n) = v.field(Field::EventType).int() else { return String::new() };
    let known = [
        ("drop", monitor::DROP),
        ("debug", monitor::DEBUG),
        ("capture", monitor::CAPTURE),
        ("trace", monitor::TRACE),
        ("policy-verdict", monitor::POLICY_VERDICT),
        ("trace-sock", monitor::TRACE_SOCK),
        ("l7", monitor::L7),
        ("agent", monitor::AGENT),
    ];
    known.iter().find(|(_, k)| i64::from(*k) == n).map_or_else(|| n.to_string(), |(name, _)| (*name).to_owned())
}

/// The L7 protocol where there is a record of one, else the transport.
pub fn protocol(v: &dyn View) -> String {
    let l7 = match v.field(Field::L7Record).int() {
        Some(100) => "dns",
        Some(101) => "http",
        Some(102) => "kafka",
        _ => "",
    };
    let transport = ["", "tcp", "udp", "icmpv4", "icmpv6", "sctp", "vrrp", "igmp"];
    let l4 = v.field(Field::Transport).int().and_then(|n| usize::try_from(n).ok()).and_then(|n| transport.get(n)).copied();
    if l7.is_empty() { l4.unwrap_or_default() } else { l7 }.to_owned()
}

/// `SYN+ACK`, as the language takes it.
pub fn flags(v: &dyn View) -> String {
    let bits = v.field(Field::TcpFlags).int().unwrap_or(0);
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"];
    let set: Vec<&str> = names.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, n)| n).collect();
    set.join("+")
}

fn minute(v: &dyn View) -> String {
    const MINUTE: i64 = 60 * Nanos::SECOND;
    let at = v.field(Field::Time).int().map(|t| Nanos(t.div_euclid(MINUTE) * MINUTE).to_string());
    at.map(|t| format!("{}Z", t.trim_end_matches(":00Z"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &str) -> Result<Vec<String>, String> {
        let list: Vec<String> = list.split(',').map(str::to_owned).collect();
        columns(&list).map(|c| c.into_iter().map(Column::word).collect())
    }

    #[test]
    fn a_side_that_is_not_named_is_both() {
        assert_eq!(words("verdict,from.ns,pod").unwrap(), ["verdict", "from.ns", "from.pod", "to.pod"]);
        assert_eq!(words("namespace, status").unwrap(), ["from.ns", "to.ns", "http.status"]);
    }

    #[test]
    fn mistakes_are_told() {
        for (list, text) in [
            ("verdit", "did you mean verdict?"),
            ("from.verdict", "has no sides"),
            ("since", "at counts by the minute"),
            ("", "unknown field"),
        ] {
            let e = words(list).unwrap_err();
            assert!(e.contains(text), "{list}: {e}");
        }
    }

    #[test]
    fn every_field_has_its_value() {
        use crate::wire::json::read_line;
        let line = r#"{"flow":{"time":"2025-11-23T13:57:31.5Z","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":9,"destination_port":80,"flags":{"SYN":true,"ACK":true}}},"source":{"namespace":"a","pod_name":"p","identity":7},"event_type":{"type":1,"sub_type":133},"traffic_direction":"INGRESS"},"time":"2025-11-23T13:57:31.5Z"}"#;
        let Ok(crate::wire::decode::Decoded::Response(r)) = read_line(line.as_bytes(), &mut crate::wire::note::Notes::default()) else {
            panic!("not read")
        };
        let list: Vec<String> =
            "verdict,drop,dir,type,proto,flags,from.pod,to.pod,to.port,from.identity,from.ip,at".split(',').map(str::to_owned).collect();
        let got: Vec<_> = columns(&list).unwrap().into_iter().map(|c| c.value(&r)).collect();
        let want = ["DROPPED", "POLICY_DENIED", "INGRESS", "drop", "tcp", "SYN+ACK", "a/p", "", "80", "7", "10.0.0.1", "2025-11-23T13:57Z"];
        assert_eq!(got, want);
    }
}
