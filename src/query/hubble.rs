//! FlowFilters → one predicate, by Hubble's rules: fields of a filter are ANDed, values of a field ORed, filters of a list ORed;
//! a flow passes if the allow list is empty or matches, and the deny list does not.
//!
//! The order of the checks is Hubble's, because the first error is the one that is told.
use super::flags::{parse_uint, quote};
use super::leaf::{Leaf, Part, Ranges, Text};
use super::pattern::{Glob, NodePattern};
use super::selector::Selector;
use super::track::Filters;
use super::{Node, Predicate, Trouble, re2};
use crate::model::monitor;
use crate::model::view::{End, Field};
use crate::wire::pb::flow::{self, FlowFilter};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Most filters, and most regular expressions in them: a server compiles what strangers send.
const MOST: usize = 1000;

/// The predicate of the flags. The error is Hubble's text.
pub fn compile(filters: &Filters) -> Result<Predicate, String> {
    let cel = |f: &FlowFilter| f.experimental.as_ref().map_or(0, |e| e.cel_expression.len());
    let expressions = |f: &FlowFilter| f.http_path.len() + f.http_url.len() + f.dns_query.len() + cel(f);
    let all = || filters.whitelist.iter().chain(&filters.blacklist);
    if all().count() > MOST || all().map(expressions).sum::<usize>() > MOST {
        return Err(format!("more than {MOST} filters or regular expressions"));
    }
    let trouble = Arc::<Trouble>::default();
    let list = |l: &[FlowFilter]| l.iter().map(|f| filter(f, &trouble)).collect::<Result<Vec<_>, _>>();
    let (allow, deny) = (list(&filters.whitelist)?, list(&filters.blacklist)?);
    let deny = (!deny.is_empty()).then(|| Node::Not(Box::new(Node::Or(deny))));
    let node = match (allow.is_empty(), deny) {
        (true, None) => return Ok(Predicate::all()),
        (true, Some(deny)) => deny,
        (false, None) => Node::Or(allow),
        (false, Some(deny)) => Node::And(vec![Node::Or(allow), deny]),
    };
    Ok(Predicate::new(node, &filters.text).with_trouble(trouble))
}

/// The leaves of one filter, with the values of a field that is not empty.
struct Build(Vec<Node>);

impl Build {
    fn leaf(&mut self, leaf: Leaf) {
        self.0.push(Node::Leaf(leaf));
    }

    fn ints(&mut self, field: Field, values: &[i32]) {
        if !values.is_empty() {
            self.leaf(Leaf::num(field, values.iter().map(|v| (i128::from(*v), i128::from(*v))).collect()));
        }
    }

    /// One value after the other through `one`; nothing if there are none.
    fn each<T, U>(
        &mut self,
        values: &[T],
        one: impl FnMut(&T) -> Result<U, String>,
        leaf: impl FnOnce(Vec<U>) -> Leaf,
    ) -> Result<(), String> {
        if !values.is_empty() {
            let list = values.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            self.leaf(leaf(list));
        }
        Ok(())
    }
}

fn filter(f: &FlowFilter, trouble: &Arc<Trouble>) -> Result<Node, String> {
    let (src, dst) = (End::Source, End::Destination);
    let mut b = Build(Vec::new());
    b.each(&f.uuid, |s| Ok(s.clone()), |l| Leaf::Text { field: Field::Uuid, test: Text::OneOf(l), missing: false })?;
    b.each(&f.event_type, |e| Ok((i64::from(e.r#type), e.match_sub_type.then_some(i64::from(e.sub_type)))), Leaf::Event)?;
    b.ints(Field::Verdict, &f.verdict);
    if !f.drop_reason_desc.is_empty() {
        b.ints(Field::Verdict, &[2]);
        b.ints(Field::DropReasonDesc, &f.drop_reason_desc);
    }
    b.each(&f.reply, |r| Ok(*r), Leaf::Reply)?;
    b.each(&f.encrypted, |e| Ok(*e), |any| Leaf::Bool { field: Field::Encrypted, any, missing: Some(false) })?;
    for (end, list) in [(src, &f.source_identity), (dst, &f.destination_identity)] {
        b.each(list, |n| Ok((i128::from(*n), i128::from(*n))), |l| Leaf::num(Field::Identity(end), l))?;
    }
    if !f.protocol.is_empty() {
        let known =
            f.protocol.iter().map(|p| protocol(p).ok_or_else(|| format!("invalid protocol filter: unknown protocol: {}", quote(p))));
        b.0.push(Node::Or(known.collect::<Result<_, _>>()?));
    }
    for (field, list) in [(Field::Ip(src), &f.source_ip), (Field::Ip(dst), &f.destination_ip), (Field::SourceXlated, &f.source_ip_xlated)] {
        if !list.is_empty() {
            b.leaf(ips(field, list)?);
        }
    }
    for (end, list) in [(src, &f.source_pod), (dst, &f.destination_pod)] {
        b.each(list, |n| name(n), |any| Leaf::NsPrefix { namespace: Field::Namespace(end), name: Field::Pod(end), any })?;
    }
    for (end, list) in [(src, &f.source_workload), (dst, &f.destination_workload)] {
        b.each(list, |w| Ok((w.kind.clone(), w.name.clone())), |l| Leaf::Workload(end, l))?;
    }
    for (end, list, side) in [(src, &f.source_service, "source"), (dst, &f.destination_service, "destination")] {
        let one = |n: &String| name(n).map_err(|e| format!("invalid {side} service filter: {e}"));
        b.each(list, one, |any| Leaf::NsPrefix { namespace: Field::ServiceNamespace(end), name: Field::ServiceName(end), any })?;
    }
    for (end, list) in [(src, &f.source_fqdn), (dst, &f.destination_fqdn)] {
        b.each(list, |p| Glob::dns(p), |l| Leaf::Items(Field::Names(end), Text::Dns(l)))?;
    }
    for (end, list, side) in [(src, &f.source_label, "source"), (dst, &f.destination_label, "destination")] {
        b.each(
            list,
            |s| Selector::parse(s).map_err(|e| format!("invalid {side} label filter: {e}")),
            |l| Leaf::Labels(Field::Labels(end), l),
        )?;
    }
    for (end, list, side) in [(src, &f.source_port, "source"), (dst, &f.destination_port, "destination")] {
        let one = |p: &String| match parse_uint(p, 65535) {
            Ok(n) => Ok((i128::from(n), i128::from(n))),
            Err(e) => Err(format!("invalid {side} port filter: invalid port {}: {e}", quote(p))),
        };
        b.each(list, one, |l| Leaf::num(Field::Port(end), l))?;
    }
    b.each(
        &f.dns_query,
        |p| re2::compile(p).map_err(|e| format!("invalid DNS query filter: failed to compile regexp: {e}")),
        |l| Leaf::Text { field: Field::DnsQuery, test: Text::Regex(l), missing: false },
    )?;
    http(&mut b, f)?;
    b.each(&f.tcp_flags, |t| Ok(flag_bits(t)), Leaf::TcpFlags)?;
    b.each(&f.node_name, |p| NodePattern::new(p), |l| Leaf::Text { field: Field::NodeName, test: Text::Node(l), missing: false })?;
    for (end, list) in [(src, &f.source_cluster_name), (dst, &f.destination_cluster_name)] {
        let one = |n: &String| if n.is_empty() { Err("invalid filter, name must not be empty".into()) } else { Ok(n.clone()) };
        b.each(list, one, |l| Leaf::Text { field: Field::Cluster(end), test: Text::OneOf(l), missing: false })?;
    }
    let selector = |s: &String| Selector::parse(s).map_err(|e| format!("invalid node label filter: {e}"));
    b.each(&f.node_labels, selector, |l| Leaf::Labels(Field::NodeLabels, l))?;
    b.ints(Field::IpVersion, &f.ip_version);
    b.each(&f.trace_id, |s| Ok(s.clone()), |l| Leaf::Text { field: Field::TraceId, test: Text::OneOf(l), missing: true })?;
    let id = |n: &u64| Ok((i128::from(*n), i128::from(*n)));
    b.each(&f.ip_trace_id, id, |ranges| Leaf::Num { field: Field::IpTraceId, ranges, missing: Some(0) })?;
    b.ints(Field::Direction, &f.traffic_direction);
    let expressions = f.experimental.as_ref().map(|e| e.cel_expression.as_slice()).unwrap_or_default();
    let cel = if expressions.is_empty() { None } else { Some(cel(expressions, trouble)?) };
    b.each(&f.interface, |i| Ok((u64::from(i.index), i.name.clone())), Leaf::Interface)?;
    // Compiled in Hubble's order, asked last: it is the dearest question.
    b.0.extend(cel);
    Ok(Node::And(b.0))
}

#[cfg(feature = "cel")]
fn cel(expressions: &[String], trouble: &Arc<Trouble>) -> Result<Node, String> {
    super::cel::compile(expressions, trouble).map(|p| Node::Leaf(Leaf::Cel(p))).map_err(|e| format!("error compiling CEL expression: {e}"))
}

#[cfg(not(feature = "cel"))]
fn cel(_: &[String], _: &Arc<Trouble>) -> Result<Node, String> {
    Err("error compiling CEL expression: this program was built without CEL".into())
}

fn http(b: &mut Build, f: &FlowFilter) -> Result<(), String> {
    let l7_only = |what: &str| {
        if f.event_type.is_empty() || f.event_type.iter().any(|e| e.r#type == monitor::L7) {
            Ok(())
        } else {
            Err(format!("filtering by http {what} requires the event type filter to only match 'l7' events"))
        }
    };
    if !f.http_status_code.is_empty() {
        l7_only("status code")?;
        let known = f
            .http_status_code
            .iter()
            .map(|s| status(s).ok_or_else(|| format!("invalid http status code filter: invalid status code prefix: {}", quote(s))));
        let ranges = known.collect::<Result<Vec<_>, _>>()?.concat();
        b.leaf(Leaf::num(Field::HttpCode, ranges));
    }
    if !f.http_method.is_empty() {
        l7_only("method")?;
        b.leaf(Leaf::Text { field: Field::HttpMethod, test: Text::Fold(f.http_method.clone()), missing: false });
    }
    let regex = |what: &'static str| move |p: &String| re2::compile(p).map_err(|e| format!("invalid http {what} filter: {p}: {e}"));
    if !f.http_path.is_empty() {
        l7_only("path")?;
        b.each(&f.http_path, regex("path"), |l| Leaf::Url(Part::Path, Text::Regex(l)))?;
    }
    if !f.http_url.is_empty() {
        l7_only("url")?;
        b.each(&f.http_url, regex("url"), |l| Leaf::Text { field: Field::HttpUrl, test: Text::RegexSome(l), missing: false })?;
    }
    if !f.http_header.is_empty() {
        l7_only("headers")?;
        let one = |h: &flow::HttpHeader| Ok((Text::OneOf(vec![h.key.clone()]), Some(Text::OneOf(vec![h.value.clone()]))));
        b.each(&f.http_header, one, Leaf::Header)?;
    }
    Ok(())
}

/// `404`, `4+`, `40+`: the prefix of a code that is printed with three digits at least.
fn status(s: &str) -> Option<Ranges> {
    let digits = s.strip_suffix('+').unwrap_or(s);
    let ok = digits.bytes().all(|b| b.is_ascii_digit()) && matches!(digits.as_bytes().first(), Some(b'1'..=b'5'));
    let n: i128 = digits.parse().ok().filter(|_| ok)?;
    match (s.ends_with('+'), digits.len()) {
        (false, 3) => Some(vec![(n, n)]),
        (true, len @ (1 | 2)) => Some(
            (3..=10usize)
                .filter_map(|total| u32::try_from(total - len).ok())
                .map(|zeros| (n * 10i128.pow(zeros), (n + 1) * 10i128.pow(zeros) - 1))
                .collect(),
        ),
        _ => None,
    }
}

/// The flows of a protocol, by its name in any case.
pub fn protocol(name: &str) -> Option<Node> {
    let (field, lo, hi) = match name.to_ascii_lowercase().as_str() {
        "tcp" => (Field::Transport, 1, 1),
        "udp" => (Field::Transport, 2, 2),
        "icmp" => (Field::Transport, 3, 4),
        "icmpv4" => (Field::Transport, 3, 3),
        "icmpv6" => (Field::Transport, 4, 4),
        "sctp" => (Field::Transport, 5, 5),
        "vrrp" => (Field::Transport, 6, 6),
        "igmp" => (Field::Transport, 7, 7),
        "dns" => (Field::L7Record, 100, 100),
        "http" => (Field::L7Record, 101, 101),
        "kafka" => (Field::L7Record, 102, 102),
        _ => return None,
    };
    Some(Node::Leaf(Leaf::num(field, vec![(lo, hi)])))
}

/// The bits of [`Field::TcpFlags`].
pub fn flag_bits(t: &flow::TcpFlags) -> i64 {
    let set = [t.fin, t.syn, t.rst, t.psh, t.ack, t.urg, t.ece, t.cwr, t.ns];
    set.iter().enumerate().filter(|(_, on)| **on).map(|(i, _)| 1i64 << i).sum()
}

/// `name` (namespace default), `ns/name`, `ns/`, `/name`; what follows a second slash is ignored.
fn name(s: &str) -> Result<(String, String), String> {
    if s.is_empty() {
        return Err("invalid filter, name must not be empty".into());
    }
    let mut parts = s.split('/');
    let first = parts.next().unwrap_or_default();
    Ok(match parts.next() {
        Some(name) => (first.to_owned(), name.to_owned()),
        None => ("default".to_owned(), first.to_owned()),
    })
}

fn ips(field: Field, list: &[String]) -> Result<Leaf, String> {
    let (mut texts, mut nets) = (Vec::new(), Vec::new());
    for s in list {
        if s.contains('/') {
            nets.push(prefix(s).ok_or_else(|| format!("invalid IP prefix {} in filter: not an address and a number of bits", quote(s)))?);
            continue;
        }
        // A zone may stand behind an IPv6 address; then only the same text matches.
        let (bare, zone) = s.split_once('%').map_or((s.as_str(), None), |(a, z)| (a, Some(z)));
        match (bare.parse::<IpAddr>(), zone) {
            (Ok(ip), None) => texts.push((s.clone(), Some(ip))),
            (Ok(IpAddr::V6(_)), Some(z)) if !z.is_empty() => texts.push((s.clone(), None)),
            _ => return Err(format!("invalid IP address {} in filter: unable to parse IP", quote(s))),
        }
    }
    Ok(Leaf::Ip { field, texts, nets })
}

/// `addr/bits`; bits without sign or leading zero.
pub fn prefix(s: &str) -> Option<IpNet> {
    let (addr, bits) = s.rsplit_once('/')?;
    let plain = bits == "0" || (!bits.starts_with('0') && bits.bytes().all(|b| b.is_ascii_digit()));
    IpNet::new(addr.parse().ok()?, bits.parse().ok().filter(|_| plain)?).ok()
}
