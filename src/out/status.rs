//! Node states on stderr, as `-o compact` and `-o table` have them.
use super::paint::Paint;
use super::{Options, safe};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::relay::{NodeState, NodeStatusEvent};
use std::fmt::Write as _;

/// How many bytes of names a line shows, each with its `, `.
const NAMES: usize = 50;

/// Whether a state is worth a line: trouble always, the rest when debugging.
pub fn shown(s: &NodeStatusEvent, o: &Options) -> bool {
    !o.silent && (o.debug || matches!(s.state_change(), NodeState::NodeUnavailable | NodeState::NodeError))
}

/// Appends the line, if the response is a node's state that is worth one.
pub fn line(r: &GetFlowsResponse, o: &Options, out: &mut Vec<u8>) {
    let Some(ResponseTypes::NodeStatus(s)) = &r.response_types else { return };
    if !shown(s, o) {
        return;
    }
    let begin = out.len();
    let mut p = Paint::new(out, o);
    p.time(r.time.as_ref());
    p.raw(" [");
    p.text(&r.node_name);
    p.raw("]: ");
    let n = s.node_names.len();
    match NodeState::try_from(s.state_change) {
        Ok(NodeState::NodeConnected) => p.raw(&format!("Receiving flows from {n} nodes: ")),
        Ok(NodeState::NodeUnavailable) => p.raw(&format!("{n} nodes are unavailable: ")),
        Ok(NodeState::NodeGone) => p.raw(&format!("{n} nodes removed from cluster: ")),
        Ok(NodeState::NodeError) => {
            p.raw("Error ");
            p.text(&quoted(&s.message));
            p.raw(&format!(" on {n} nodes: "));
        }
        Ok(NodeState::UnknownNodeState) | Err(_) => p.raw("unknown node status event: "),
    }
    p.text(&cut(&s.node_names));
    p.raw("\n");
    safe::hubble(out, begin, o.color);
}

/// As many names as fit, at least one, and how many more there are.
pub fn cut(names: &[String]) -> String {
    let mut length = 0;
    let mut fit = names.len();
    for (n, name) in names.iter().enumerate() {
        length += name.len() + 2;
        if length > NAMES && n > 0 {
            fit = n;
            break;
        }
    }
    let mut text = names.get(..fit).unwrap_or(names).join(", ");
    if fit < names.len() {
        let _ = write!(text, " (and {} more)", names.len() - fit);
    }
    text
}

/// Go's `%q`.
pub fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c == ' ' || printable(c) => out.push(c),
            c if u32::from(c) < 0x10000 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Rust's table of printable characters, without its exception for combining marks, which it makes only for the first character.
fn printable(c: char) -> bool {
    !c.is_whitespace() && format!("a{c}").escape_debug().nth(2).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_fifty() {
        let names = |n: usize, length: usize| (0..n).map(|_| "x".repeat(length)).collect::<Vec<_>>();
        assert_eq!(cut(&names(5, 8)).len(), 5 * 10 - 2);
        assert!(cut(&names(6, 8)).ends_with(" (and 1 more)"));
        assert_eq!(cut(&names(1, 80)).len(), 80);
        assert_eq!(cut(&[]), "");
    }

    #[test]
    fn quoted_as_go_does() {
        assert_eq!(
            quoted("a\"\\\n\u{1b}\u{7f}\u{202e}\u{a0}é한e\u{301}\u{e0041}"),
            "\"a\\\"\\\\\\n\\x1b\\x7f\\u202e\\u00a0é한e\u{301}\\U000e0041\""
        );
    }
}
