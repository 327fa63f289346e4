//! `toPorts` and `icmps` of Cilium policies. Owns which L7 rules may stand on which port.
use super::cilium::SLIM;
use super::read::{Reader, key_line, transport};
use crate::model::doc::{Fault, Node, Value};
use crate::model::observed::{Direction, L4};
use crate::policy::ir::{Action, DnsRule, Header, HttpRule, IcmpField, L7Rules, Matcher, Port, PortIs, PortRule, Protocol};

/// Names of ICMP types, as the CRD spells them: IPv4, then IPv6.
const ICMP4: &[(&str, u8)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEcho Reply", 43),
];
const ICMP6: &[(&str, u8)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

pub(super) fn icmps(r: &mut Reader<'_>, items: &[Node], path: &str) -> Result<Vec<IcmpField>, Fault> {
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}.icmps[{i}]");
        r.fields(item, &path, &["fields"])?;
        for (j, f) in r.list(item, "fields", &path)?.items().iter().enumerate() {
            let path = format!("{path}.fields[{j}]");
            r.fields(f, &path, &["family", "type"])?;
            let v6 = match r.text(f, "family", &path)?.unwrap_or("IPv4") {
                "IPv4" | "" => false,
                "IPv6" => true,
                other => return Err(r.fault(f.line, format!("{path}.family `{other}` is neither IPv4 nor IPv6"))),
            };
            let Some(t) = f.get("type") else { return Err(r.fault(f.line, format!("{path} has no type"))) };
            let table = if v6 { ICMP6 } else { ICMP4 };
            let kind = match &t.value {
                Value::Int(n) => u8::try_from(*n).ok(),
                Value::Str(s) => s.parse().ok().or_else(|| table.iter().find(|(n, _)| n == s).map(|(_, k)| *k)),
                _ => None,
            };
            let kind = kind.ok_or_else(|| r.fault(t.line, format!("{path}.type is no ICMP type of this family")))?;
            out.push(IcmpField { v6, kind, line: key_line(f, "type") });
        }
    }
    Ok(out)
}

pub(super) fn ports(r: &mut Reader<'_>, items: &[Node], path: &str, direction: Direction, action: Action) -> Result<Vec<PortRule>, Fault> {
    let mut known = vec!["ports"];
    if action == Action::Allow {
        known.extend(["rules", "serverNames", "listener", "originatingTLS", "terminatingTLS"]);
    }
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}.toPorts[{i}]");
        r.fields(item, &path, &known)?;
        let mut ports = Vec::new();
        for (j, p) in r.list(item, "ports", &path)?.items().iter().enumerate() {
            ports.push(port(r, p, &format!("{path}.ports[{j}]"))?);
        }
        if ports.len() > 40 {
            return Err(r.fault(item.line, format!("{path} has more than 40 ports")));
        }
        let rules = item.get("rules").filter(|n| !n.is_null() && action == Action::Allow);
        let l7 = match rules {
            Some(rules) => l7(r, rules, &format!("{path}.rules"))?,
            None => None,
        };
        let bad = |p: &Port| match (&l7, p.protocol) {
            (None, _) => false,
            (Some(_), _) if p.port == PortIs::All => true,
            (Some(L7Rules::Http(_) | L7Rules::Kafka(_)), protocol) => protocol != Protocol::One(L4::Tcp),
            (Some(L7Rules::Other(_)), protocol) => !matches!(protocol, Protocol::Any | Protocol::One(L4::Udp | L4::Tcp)),
            (Some(L7Rules::Dns(_)), protocol) => !matches!(protocol, Protocol::Any | Protocol::One(L4::Udp | L4::Tcp)),
        };
        if let Some(p) = ports.iter().find(|p| bad(p)) {
            return Err(r.fault(p.line, format!("{path}: L7 rules of this kind cannot stand on this port and protocol")));
        }
        if matches!(l7, Some(L7Rules::Dns(_))) && direction == Direction::Ingress {
            return Err(r.fault(item.line, format!("{path}: DNS rules are for egress only")));
        }
        let mut server_names = Vec::new();
        for n in r.list(item, "serverNames", &path)?.items() {
            server_names.push(r.server_name(n, &format!("{path}.serverNames"))?);
        }
        out.push(PortRule { ports, l7, server_names, lines: (item.line, item.last) });
    }
    Ok(out)
}

fn port(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Port, Fault> {
    r.fields(node, path, &["port", "protocol", "endPort"])?;
    let protocol = match r.text(node, "protocol", path)?.unwrap_or("ANY").to_ascii_uppercase().as_str() {
        "ANY" | "" => Protocol::Any,
        "ICMP" => Protocol::One(L4::Icmp4),
        "ICMPV6" => Protocol::One(L4::Icmp6),
        "VRRP" => Protocol::One(L4::Vrrp),
        "IGMP" => Protocol::One(L4::Igmp),
        "GRE" | "IPIP" | "IPV6" | "ESP" | "AH" => Protocol::Other,
        word => transport(word).ok_or_else(|| r.fault(node.line, format!("{path}.protocol `{word}` is no protocol")))?,
    };
    let port = match r.text(node, "port", path)? {
        None | Some("" | "0") => PortIs::All,
        Some(p) => match p.parse::<u16>() {
            Ok(0) => PortIs::All,
            Ok(n) => r.range(node, n, path)?,
            Err(_) if p.bytes().all(|b| b.is_ascii_digit()) => return Err(r.fault(node.line, format!("{path}.port `{p}` is not a port"))),
            Err(_) => PortIs::Named(p.to_ascii_lowercase()),
        },
    };
    Ok(Port::at(node, protocol, port))
}

fn l7(r: &mut Reader<'_>, node: &Node, path: &str) -> Result<Option<L7Rules>, Fault> {
    r.fields(node, path, &["http", "dns", "kafka", "l7proto", "l7"])?;
    let slim = r.cilium >= SLIM;
    for gone in ["kafka", "l7proto", "l7"] {
        if slim && node.get(gone).is_some() {
            r.warn(
                key_line(node, gone),
                format!("`{gone}` rules are gone from Cilium 1.{SLIM} on: this is a plain port rule and lets every request pass"),
            );
        }
    }
    let (http, dns, kafka) =
        (r.list(node, "http", path)?.items(), r.list(node, "dns", path)?.items(), r.list(node, "kafka", path)?.items());
    let kafka = if slim { &[] } else { kafka };
    let other = r.text(node, "l7proto", path)?.filter(|n| !n.is_empty() && !slim);
    let kinds = [!http.is_empty(), !dns.is_empty(), !kafka.is_empty(), other.is_some()];
    if kinds.iter().filter(|k| **k).count() > 1 {
        return Err(r.fault(node.line, format!("{path}: rules of more than one protocol may not stand in one rule")));
    }
    if !http.is_empty() {
        let rules = http.iter().enumerate().map(|(i, n)| http_rule(r, n, i, path));
        return Ok(Some(L7Rules::Http(rules.collect::<Result<_, _>>()?)));
    }
    if !dns.is_empty() {
        let mut rules = Vec::new();
        for (i, n) in dns.iter().enumerate() {
            let id = format!("dns[{i}]");
            let pattern = r.name_pattern(n, &format!("{path}.{id}"))?;
            rules.push(DnsRule { id, pattern, line: n.line });
        }
        return Ok(Some(L7Rules::Dns(rules)));
    }
    if !kafka.is_empty() {
        let rules = kafka.iter().enumerate().map(|(i, n)| super::kafka::rule(r, n, i, path));
        return Ok(Some(L7Rules::Kafka(rules.collect::<Result<_, _>>()?)));
    }
    Ok(other.map(|n| L7Rules::Other(n.to_owned())))
}

fn http_rule(r: &mut Reader<'_>, node: &Node, i: usize, path: &str) -> Result<HttpRule, Fault> {
    let id = format!("http[{i}]");
    let path = format!("{path}.{id}");
    r.fields(node, &path, &["method", "path", "host", "headers", "headerMatches"])?;
    let matcher = |k: &str| -> Result<Option<Matcher>, Fault> {
        match r.text(node, k, &path)? {
            None | Some("") => Ok(None),
            Some(text) => {
                let line = key_line(node, k);
                Ok(Some(Matcher { text: text.to_owned(), regex: r.regex(text, line, &format!("{path}.{k}"))?, line }))
            }
        }
    };
    let (method, url, host) = (matcher("method")?, matcher("path")?, matcher("host")?);
    let mut headers = Vec::new();
    for h in r.list(node, "headers", &path)?.items() {
        let text = r.item(h, &format!("{path}.headers"))?;
        // `Name: value` is exact, `Name` means present. It is the blank that parts them: without one all of it is a name.
        let (name, value) = match text.split_once(' ') {
            Some((n, v)) => (n.trim_end_matches(':'), Some(v.to_owned())),
            None => (text, None),
        };
        if name.contains(':') {
            r.warn(h.line, format!("{path}.headers `{text}` has no blank behind the colon, so it is a name that no request has"));
        }
        headers.push(Header { name: name.to_owned(), value, line: h.line });
    }
    for (j, h) in r.list(node, "headerMatches", &path)?.items().iter().enumerate() {
        let path = format!("{path}.headerMatches[{j}]");
        r.fields(h, &path, &["mismatch", "name", "secret", "value"])?;
        // With a mismatch action the header is mended or logged; nothing is refused.
        if r.text(h, "mismatch", &path)?.is_some_and(|m| !m.is_empty()) {
            continue;
        }
        let name = r.text(h, "name", &path)?.unwrap_or("").to_owned();
        let value = r.text(h, "value", &path)?.filter(|v| !v.is_empty()).map(str::to_owned);
        headers.push(Header { name, value, line: h.line });
    }
    Ok(HttpRule { id, method, path: url, host, headers, lines: (node.line, node.last) })
}
