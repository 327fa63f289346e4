//! What a server says about itself, in Hubble's layouts: `status`, `list nodes`, `list namespaces`, `watch peers`.
//!
//! Owns these texts. Asks nobody; a string from the network reaches a terminal spelt out, a pipe as it is.
use super::number::{NONE, age, duration, per_second, percent, thousands};
use super::tabs;
use crate::cli::ask::{ListFormat, StatusFormat};
use crate::model::text::clean;
use crate::wire::json::{WriteJson, write_message};
use crate::wire::pb::observer::{GetNamespacesResponse, GetNodesResponse, Node, ServerStatusResponse};
use crate::wire::pb::peer::ChangeNotification;
use crate::wire::pb::relay::NodeState;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A string from the network, as its reader may have it.
fn shown(s: &str, terminal: bool) -> Cow<'_, str> {
    if terminal { clean(s) } else { Cow::Borrowed(s) }
}

/// The line about a server's health, which stands before the compact status; `state` is empty if all is well.
pub fn health(target: &str, state: &str) -> String {
    let state = if state.is_empty() { "Ok" } else { state };
    format!("Healthcheck (via {target}): {state}\n")
}

/// `flowhy status`, without the line about its health.
pub fn status(s: &ServerStatusResponse, format: StatusFormat, terminal: bool) -> Vec<u8> {
    match format {
        StatusFormat::Compact => compact(s, terminal).into_bytes(),
        StatusFormat::Dict => {
            let names = [
                "NUM FLOWS",
                "MAX FLOWS",
                "SEEN FLOWS",
                "FLOWS PER SECOND",
                "UPTIME",
                "NUM CONNECTED NODES",
                "NUM UNAVAIL. NODES",
                "VERSION",
            ];
            let lines = names.iter().zip(values(s, terminal)).map(|(name, value)| format!("{name:>19}: {value}\n"));
            lines.collect::<String>().into_bytes()
        }
        StatusFormat::Table => {
            let head = "NUM FLOWS\tMAX FLOWS\tSEEN FLOWS\tFLOWS PER SECOND\tUPTIME\tNUM CONNECTED NODES\tNUM UNAVAILABLE NODES\tVERSION";
            let mut out = Vec::new();
            tabs::layout(&format!("{head}\n{}\n", values(s, terminal).join("\t")), &mut out);
            out
        }
        StatusFormat::Json => {
            let mut out = Vec::new();
            write_message(s, &mut out);
            safe(&mut out, terminal);
            out.push(b'\n');
            out
        }
    }
}

fn compact(s: &ServerStatusResponse, terminal: bool) -> String {
    let mut text = format!("Current/Max Flows: {}/{}", thousands(s.num_flows), thousands(s.max_flows));
    if s.max_flows > 0 {
        let _ = write!(text, " ({:.2}%)", percent(s.num_flows, s.max_flows));
    }
    let rate = if s.flows_rate > 0.0 { format!("{:.2}", s.flows_rate) } else { per_second(s.seen_flows, s.uptime_ns) };
    let _ = write!(text, "\nFlows/s: {rate}\n");
    if let Some(connected) = s.num_connected_nodes {
        let total = s.num_unavailable_nodes.map(|n| format!("/{}", u64::from(n) + u64::from(connected))).unwrap_or_default();
        let _ = writeln!(text, "Connected Nodes: {connected}{total}");
    }
    if let Some(n) = s.num_unavailable_nodes.filter(|n| *n > 0) {
        let _ = writeln!(text, "Unavailable Nodes: {n}");
        let mut names = s.unavailable_nodes.clone();
        names.sort();
        for name in &names {
            let _ = writeln!(text, "  - {}", shown(name, terminal));
        }
        let more = (n as usize).saturating_sub(names.len());
        if more > 0 {
            let _ = writeln!(text, "  - and {more} more...");
        }
    }
    text
}

/// The cells of dict and table.
fn values(s: &ServerStatusResponse, terminal: bool) -> Vec<String> {
    let or_none = |n: Option<u32>| n.map_or_else(|| NONE.to_owned(), |n| n.to_string());
    vec![
        thousands(s.num_flows),
        thousands(s.max_flows),
        thousands(s.seen_flows),
        if s.flows_rate > 0.0 { format!("{:.2}", s.flows_rate) } else { NONE.to_owned() },
        duration(s.uptime_ns),
        or_none(s.num_connected_nodes),
        or_none(s.num_unavailable_nodes),
        shown(&s.version, terminal).into_owned(),
    ]
}

/// `flowhy list nodes`, sorted by name.
pub fn nodes(answer: &GetNodesResponse, format: ListFormat, terminal: bool) -> Vec<u8> {
    let mut nodes: Vec<&Node> = answer.nodes.iter().collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let wide = match format {
        ListFormat::Json => return array(&nodes, terminal),
        ListFormat::Wide => true,
        ListFormat::Table => false,
    };
    let mut text = String::from("NAME\tSTATUS\tAGE\tFLOWS/S\tCURRENT/MAX-FLOWS");
    text.push_str(if wide { "\tVERSION\tADDRESS\tTLS\n" } else { "\n" });
    for n in nodes {
        let held = if n.max_flows > 0 {
            format!("{}/{} ({:6.2}%)", n.num_flows, n.max_flows, percent(n.num_flows, n.max_flows))
        } else {
            NONE.to_owned()
        };
        let (name, rate) = (shown(&n.name, terminal), per_second(n.seen_flows, n.uptime_ns));
        let _ = write!(text, "{name}\t{}\t{}\t{rate}\t{held}", state(n), age(n.uptime_ns));
        if wide {
            let or_none = |s| if str::is_empty(s) { Cow::Borrowed(NONE) } else { shown(s, terminal) };
            let tls = match &n.tls {
                None => NONE,
                Some(t) if t.enabled => "Enabled",
                Some(_) => "Disabled",
            };
            let _ = write!(text, "\t{}\t{}\t{tls}", or_none(&n.version), or_none(&n.address));
        }
        text.push('\n');
    }
    let mut out = Vec::new();
    tabs::layout(&text, &mut out);
    out
}

fn state(n: &Node) -> &'static str {
    match NodeState::try_from(n.state) {
        Ok(NodeState::NodeConnected) => "Connected",
        Ok(NodeState::NodeUnavailable) => "Unavailable",
        Ok(NodeState::NodeGone) => "Gone",
        Ok(NodeState::NodeError) => "Error",
        Ok(NodeState::UnknownNodeState) | Err(_) => "Unknown",
    }
}

/// `flowhy list namespaces`, in the server's order.
pub fn namespaces(answer: &GetNamespacesResponse, format: ListFormat, terminal: bool) -> Vec<u8> {
    let wide = match format {
        ListFormat::Json => return array(&answer.namespaces.iter().collect::<Vec<_>>(), terminal),
        ListFormat::Wide => true,
        ListFormat::Table => false,
    };
    let mut text = String::from(if wide { "NAMESPACE\tCLUSTER\n" } else { "NAMESPACE\n" });
    for n in &answer.namespaces {
        text.push_str(&shown(&n.namespace, terminal));
        if wide && !n.cluster.is_empty() {
            let _ = write!(text, "\t{}", shown(&n.cluster, terminal));
        }
        text.push('\n');
    }
    let mut out = Vec::new();
    tabs::layout(&text, &mut out);
    out
}

/// A line of `flowhy watch peers`.
pub fn peer(change: &ChangeNotification, terminal: bool) -> String {
    let (address, name) = (shown(&change.address, terminal), shown(&change.name, terminal));
    let mut line = format!("{:<12} {address} {name}", change.r#type().as_str_name());
    if let Some(tls) = change.tls.as_ref().filter(|t| !t.server_name.is_empty()) {
        let _ = write!(line, " (TLS.ServerName: {})", shown(&tls.server_name, terminal));
    }
    line.push('\n');
    line
}

fn safe(out: &mut Vec<u8>, terminal: bool) {
    if terminal {
        super::safe::spelt_json(out, 0);
    }
}

/// An array laid out with two blanks; `null` when empty, as Go writes a list that was never made.
fn array<T: WriteJson>(items: &[&T], terminal: bool) -> Vec<u8> {
    if items.is_empty() {
        return b"null\n".to_vec();
    }
    let mut flat = vec![b'['];
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            flat.push(b',');
        }
        write_message(*item, &mut flat);
    }
    flat.push(b']');
    safe(&mut flat, terminal);
    let mut out = indented(&flat);
    out.push(b'\n');
    out
}

/// JSON without blanks, laid out as Go's `json.Indent` does with two blanks.
fn indented(flat: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(flat.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let newline = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + depth * 2, b' ');
    };
    for (n, b) in flat.iter().enumerate() {
        if quoted {
            out.push(*b);
            (quoted, escaped) = (escaped || *b != b'"', !escaped && *b == b'\\');
            continue;
        }
        match b {
            b'{' | b'[' => {
                out.push(*b);
                depth += 1;
                if !matches!(flat.get(n + 1), Some(b'}' | b']')) {
                    newline(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                if !matches!(n.checked_sub(1).and_then(|n| flat.get(n)), Some(b'{' | b'[')) {
                    newline(&mut out, depth);
                }
                out.push(*b);
            }
            b',' => {
                out.push(b',');
                newline(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                quoted = *b == b'"';
                out.push(*b);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::observer::Namespace;

    #[test]
    fn unknown_numbers_are_not_made_up() {
        let s = ServerStatusResponse { num_flows: 5, ..Default::default() };
        assert_eq!(compact(&s, false), "Current/Max Flows: 5/0\nFlows/s: N/A\n");
        let s = ServerStatusResponse { num_unavailable_nodes: Some(3), unavailable_nodes: vec!["b".into(), "a".into()], ..s };
        assert!(compact(&s, false).ends_with("Unavailable Nodes: 3\n  - a\n  - b\n  - and 1 more...\n"));
    }

    #[test]
    fn json_is_indented_as_go_does() {
        let flat = br#"[{"a":"x,{\"}\\","b":{},"c":[],"d":[1,{"e":true}]}]"#;
        let wanted = "[\n  {\n    \"a\": \"x,{\\\"}\\\\\",\n    \"b\": {},\n    \"c\": [],\n    \"d\": [\n      1,\n      {\n        \"e\": true\n      }\n    ]\n  }\n]";
        assert_eq!(String::from_utf8(indented(flat)).unwrap(), wanted);
    }

    #[test]
    fn a_hostile_name_reaches_a_pipe_and_no_terminal() {
        let answer = GetNamespacesResponse { namespaces: vec![Namespace { namespace: "a\u{1b}[2J".into(), cluster: String::new() }] };
        let text = |terminal, format| String::from_utf8(namespaces(&answer, format, terminal)).unwrap();
        assert_eq!(text(false, ListFormat::Wide), "NAMESPACE   CLUSTER\na\u{1b}[2J\n");
        assert_eq!(text(true, ListFormat::Table), "NAMESPACE\na^[[2J\n");
        assert_eq!(String::from_utf8(namespaces(&GetNamespacesResponse::default(), ListFormat::Json, true)).unwrap(), "null\n");
    }
}
