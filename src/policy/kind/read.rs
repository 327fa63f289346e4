//! Strict reading of a policy's tree, shared by all kinds: unknown fields are faults with a line, wrong types refuse the object.
use crate::model::doc::{Fault, Node, Value};
use crate::model::observed::L4;
use crate::policy::ir::{Pattern, Port, PortIs, Protocol};
use crate::policy::lazy::Lazy;
use crate::policy::selector::{Op, Requirement, Selector};
use crate::world::dns;
use ipnet::IpNet;

pub(crate) struct Reader<'a> {
    pub file: &'a str,
    /// Minor version of Cilium 1.x whose reading counts.
    pub cilium: u32,
    pub faults: &'a mut Vec<Fault>,
}

/// What was written where a list may stand.
pub(crate) enum List<'n> {
    /// Missing or null.
    Absent,
    Items(&'n [Node]),
}

impl<'n> List<'n> {
    pub fn items(&self) -> &'n [Node] {
        match self {
            Self::Absent => &[],
            Self::Items(i) => i,
        }
    }

    pub fn is_empty_list(&self) -> bool {
        matches!(self, Self::Items([]))
    }
}

impl Reader<'_> {
    pub fn fault(&self, line: u32, what: impl Into<String>) -> Fault {
        Fault { file: self.file.to_owned(), line, what: what.into() }
    }

    pub fn warn(&mut self, line: u32, what: impl Into<String>) {
        let fault = self.fault(line, what);
        self.faults.push(fault);
    }

    /// The node is a map (or null); fields that are not in `known` are reported and left out, as the API server does.
    pub fn fields(&mut self, node: &Node, path: &str, known: &[&str]) -> Result<(), Fault> {
        match &node.value {
            Value::Null => Ok(()),
            Value::Map(entries) => {
                for e in entries {
                    if !known.contains(&e.key.as_str()) {
                        self.warn(e.line, format!("unknown field `{}` in {path}; it has no effect", e.key));
                    }
                }
                Ok(())
            }
            _ => Err(self.fault(node.line, format!("{path} is not an object"))),
        }
    }

    pub fn list<'n>(&self, node: &'n Node, key: &str, path: &str) -> Result<List<'n>, Fault> {
        match node.get(key) {
            None => Ok(List::Absent),
            Some(n) => match &n.value {
                Value::Null => Ok(List::Absent),
                Value::Seq(s) => Ok(List::Items(s)),
                _ => Err(self.fault(n.line, format!("{path}.{key} is not a list"))),
            },
        }
    }

    /// A string; absent and null are `None`.
    pub fn text<'n>(&self, node: &'n Node, key: &str, path: &str) -> Result<Option<&'n str>, Fault> {
        match node.get(key) {
            None => Ok(None),
            Some(n) => match &n.value {
                Value::Null => Ok(None),
                Value::Str(s) => Ok(Some(s)),
                _ => Err(self.fault(n.line, format!("{path}.{key} is not a string"))),
            },
        }
    }

    pub fn boolean(&self, node: &Node, key: &str, path: &str) -> Result<Option<bool>, Fault> {
        match node.get(key).map(|n| (&n.value, n.line)) {
            None | Some((Value::Null, _)) => Ok(None),
            Some((Value::Bool(b), _)) => Ok(Some(*b)),
            Some((_, line)) => Err(self.fault(line, format!("{path}.{key} is neither true nor false"))),
        }
    }

    pub fn item<'n>(&self, node: &'n Node, path: &str) -> Result<&'n str, Fault> {
        node.str().ok_or_else(|| self.fault(node.line, format!("{path} is not a string")))
    }

    /// `matchLabels` and `matchExpressions`; `name` turns a written key into (source, key).
    pub fn selector(&mut self, node: &Node, path: &str, name: &dyn Fn(&str) -> (Option<String>, String)) -> Result<Selector, Fault> {
        self.fields(node, path, &["matchLabels", "matchExpressions"])?;
        let mut out = Selector { lines: (node.line, node.last), ..Selector::default() };
        if let Some(labels) = node.get("matchLabels") {
            if !matches!(labels.value, Value::Map(_) | Value::Null) {
                return Err(self.fault(labels.line, format!("{path}.matchLabels is not an object")));
            }
            for e in labels.map() {
                let value = self.item(&e.value, &format!("{path}.matchLabels.{}", e.key))?;
                let (source, key) = name(&e.key);
                out.all.push(Requirement { source, key, op: Op::In, values: vec![value.to_owned()], line: e.line, implied: false });
            }
        }
        for (i, e) in self.list(node, "matchExpressions", path)?.items().iter().enumerate() {
            let path = format!("{path}.matchExpressions[{i}]");
            self.fields(e, &path, &["key", "operator", "values"])?;
            let key = self.text(e, "key", &path)?.unwrap_or("");
            let (source, key) = name(key);
            let mut values = Vec::new();
            for v in self.list(e, "values", &path)?.items() {
                values.push(self.item(v, &format!("{path}.values"))?.to_owned());
            }
            let op = match self.text(e, "operator", &path)?.unwrap_or("") {
                "In" => Op::In,
                "NotIn" => Op::NotIn,
                "Exists" => Op::Exists,
                "DoesNotExist" => Op::DoesNotExist,
                other => return Err(self.fault(e.line, format!("{path}.operator `{other}` is none of In, NotIn, Exists, DoesNotExist"))),
            };
            if key.is_empty() {
                return Err(self.fault(e.line, format!("{path} has no key")));
            }
            match op {
                Op::In | Op::NotIn if values.is_empty() => return Err(self.fault(e.line, format!("{path}: this operator wants values"))),
                Op::Exists | Op::DoesNotExist if !values.is_empty() => {
                    return Err(self.fault(e.line, format!("{path}: this operator takes no values")));
                }
                _ => {}
            }
            out.all.push(Requirement { source, key, op, values, line: e.line, implied: false });
        }
        Ok(out)
    }

    pub fn cidr(&self, node: &Node, path: &str) -> Result<IpNet, Fault> {
        let text = self.item(node, path)?;
        crate::world::net(text).map(|n| n.trunc()).ok_or_else(|| self.fault(node.line, format!("{path} `{text}` is not an address range")))
    }

    /// A regular expression that has to match as a whole.
    pub fn regex(&self, text: &str, line: u32, path: &str) -> Result<Lazy, Fault> {
        Lazy::new(format!("\\A(?:{text})\\z")).ok_or_else(|| self.fault(line, format!("{path} `{text}` is not a regular expression")))
    }

    /// `matchName` or `matchPattern` of a DNS name.
    pub fn name_pattern(&mut self, node: &Node, path: &str) -> Result<Pattern, Fault> {
        self.fields(node, path, &["matchName", "matchPattern"])?;
        let (name, pattern) = (self.text(node, "matchName", path)?, self.text(node, "matchPattern", path)?);
        let (text, exact) = match (name.filter(|n| !n.is_empty()), pattern.filter(|p| !p.is_empty())) {
            (Some(n), None) => (n, true),
            (None, Some(p)) => (p, false),
            _ => return Err(self.fault(node.line, format!("{path} wants one of matchName and matchPattern"))),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || (c == '*' && !exact);
        if !text.chars().all(legal) {
            return Err(self.fault(node.line, format!("{path} `{text}` is not a DNS name")));
        }
        let regex = name_regex(text).ok_or_else(|| self.fault(node.line, format!("{path} `{text}` is too large")))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// A name in a TLS greeting: `*` stays inside one label, a leading `**.` is one or more.
    pub fn server_name(&self, node: &Node, path: &str) -> Result<Pattern, Fault> {
        let text = self.item(node, path)?;
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')) {
            return Err(self.fault(node.line, format!("{path} `{text}` is not a server name")));
        }
        let regex = name_regex(text).ok_or_else(|| self.fault(node.line, format!("{path} `{text}` is too large")))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// A domain name of an admin policy: a leading `*.` is one or more labels.
    pub fn domain(&self, node: &Node, path: &str) -> Result<Pattern, Fault> {
        let text = self.item(node, path)?;
        let rest = text.strip_prefix("*.").unwrap_or(text);
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !rest.contains('.') || !rest.chars().all(legal) {
            return Err(self.fault(node.line, format!("{path} `{text}` is not a domain name")));
        }
        let deep = if rest.len() < text.len() { format!("**.{rest}") } else { text.to_owned() };
        let regex = name_regex(&deep).ok_or_else(|| self.fault(node.line, format!("{path} `{text}` is too large")))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// One item of a `ports` list of a Cilium or Kubernetes policy has these in common.
    pub fn range(&self, node: &Node, first: u16, path: &str) -> Result<PortIs, Fault> {
        match node.get("endPort").map(|n| (&n.value, n.line)) {
            None | Some((Value::Null, _)) => Ok(PortIs::Range(first, first)),
            Some((Value::Int(end), line)) => match u16::try_from(*end) {
                Ok(0) => Ok(PortIs::Range(first, first)),
                Ok(end) if end >= first => Ok(PortIs::Range(first, end)),
                _ => Err(self.fault(line, format!("{path}.endPort {end} is not a port at or above {first}"))),
            },
            Some((_, line)) => Err(self.fault(line, format!("{path}.endPort is not a number"))),
        }
    }
}

/// `*` is any run inside one label, a leading `**.` one or more labels, a lone `*` any name.
fn name_regex(text: &str) -> Option<Lazy> {
    const INSIDE: &str = "[-a-zA-Z0-9_]*";
    let text = dns::normal(text);
    let mut out = String::from("\\A");
    if text == "*" {
        out.push_str(".*");
    } else {
        let rest = match text.strip_prefix("**.") {
            Some(r) => {
                out.push_str("(?:[-a-zA-Z0-9_]+\\.)+");
                r
            }
            None => text.as_str(),
        };
        let mut starred = false;
        for c in rest.chars() {
            match c {
                '*' if starred => {}
                '*' => out.push_str(INSIDE),
                c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
            starred = c == '*';
        }
    }
    out.push_str("\\z");
    Lazy::new(out)
}

/// TCP, UDP, SCTP as policies spell them.
pub(crate) fn transport(word: &str) -> Option<Protocol> {
    Some(match word {
        "TCP" => Protocol::One(L4::Tcp),
        "UDP" => Protocol::One(L4::Udp),
        "SCTP" => Protocol::One(L4::Sctp),
        _ => return None,
    })
}

impl Port {
    pub fn at(node: &Node, protocol: Protocol, port: PortIs) -> Self {
        let line = node.map().iter().find(|e| e.key == "port").map_or(node.line, |e| e.line);
        let protocol_line = node.map().iter().find(|e| e.key == "protocol").map(|e| e.line);
        Self { protocol, port, line, protocol_line }
    }
}

/// The line of a key of a map, else of the map.
pub(crate) fn key_line(node: &Node, key: &str) -> u32 {
    node.map().iter().find(|e| e.key == key).map_or(node.line, |e| e.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_inside_one_label() {
        let m = |p: &str, n: &str| name_regex(p).unwrap().is_match(n);
        assert!(m("*.amazonaws.com", "s3.amazonaws.com"));
        assert!(!m("*.amazonaws.com", "a.b.amazonaws.com") && !m("*.amazonaws.com", "amazonaws.com"));
        assert!(m("**.amazonaws.com", "a.b.amazonaws.com") && !m("**.amazonaws.com", "amazonaws.com"));
        assert!(m("*", "anything.at.all") && m("API.Stripe.com.", "api.stripe.com"));
        assert!(!m("api.stripe.com", "apixstripe.com"));
    }
}
