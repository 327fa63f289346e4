//! Identity labels (`source:key=value`) and the reserved identities. Owns their spelling; selects nothing.
use crate::model::monitor::RESERVED;
use std::fmt;

/// Where a pod's namespace stands among its identity labels.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Prefix of a namespace's own labels among a pod's identity labels.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
/// Set on every namespace by the API server.
pub const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// One identity label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    pub source: String,
    pub key: String,
    pub value: String,
}

impl Label {
    pub fn new(source: &str, key: &str, value: &str) -> Self {
        Self { source: source.to_owned(), key: key.to_owned(), value: value.to_owned() }
    }

    /// `source:key=value`; without a source it is `k8s`' (old agents), without a value the value is empty.
    pub fn parse(text: &str) -> Self {
        let (source, rest) = match text.split_once(':') {
            // A colon after the `=` or a slash belongs to the key or value, not to a source.
            Some((s, r)) if !s.contains(['=', '/', '.']) => (s, r),
            _ => ("k8s", text),
        };
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        Self::new(source, key, value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        Ok(())
    }
}

/// All labels of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(pub Vec<Label>);

impl Labels {
    pub fn parse<S: AsRef<str>>(labels: &[S]) -> Self {
        Self(labels.iter().map(|l| Label::parse(l.as_ref())).collect())
    }

    /// The value under `key`; `source` `None` is any source.
    pub fn get(&self, source: Option<&str>, key: &str) -> Option<&str> {
        self.0.iter().find(|l| l.key == key && source.is_none_or(|s| s == l.source)).map(|l| l.value.as_str())
    }

    pub fn has_source(&self, source: &str) -> bool {
        self.0.iter().any(|l| l.source == source)
    }

    pub fn reserved(&self, name: &str) -> bool {
        self.0.iter().any(|l| l.source == "reserved" && l.key == name)
    }

    pub fn push(&mut self, source: &str, key: &str, value: &str) {
        if self.get(Some(source), key).is_none() {
            self.0.push(Label::new(source, key, value));
        }
    }

    /// Outside the cluster, CIDR and FQDN identities included.
    pub fn is_world(&self) -> bool {
        self.0.iter().any(|l| match l.source.as_str() {
            "reserved" => matches!(l.key.as_str(), "world" | "world-ipv4" | "world-ipv6"),
            "cidr" | "fqdn" => true,
            _ => false,
        })
    }

    pub fn is_host(&self) -> bool {
        self.reserved("host")
    }

    /// The namespace of a pod's identity.
    pub fn namespace(&self) -> Option<&str> {
        self.get(Some("k8s"), POD_NAMESPACE)
    }

    /// A pod's identity: whatever carries a namespace.
    pub fn is_pod(&self) -> bool {
        self.namespace().is_some()
    }
}

/// The namespace that a record's labels tell; empty if none.
pub fn namespace_in(labels: &[String]) -> &str {
    labels.iter().find_map(|l| l.strip_prefix("k8s:").unwrap_or(l).strip_prefix(POD_NAMESPACE)?.strip_prefix('=')).unwrap_or("")
}

/// A number that a node gave by itself, to an address range or to another node. What else its labels say, the number does not tell.
pub fn is_local(number: u32) -> bool {
    matches!(number >> 24, 1 | 2)
}

/// Labels of a reserved or locally allocated identity number; `None` for the identities of pods.
pub fn of_identity(number: u32) -> Option<Labels> {
    let name = match number {
        7 => return Some(Labels(vec![Label::new("reserved", "kube-apiserver", ""), Label::new("reserved", "remote-node", "")])),
        1..=10 => RESERVED.get(number as usize)?,
        // Numbers that a node gives to address ranges by itself, and (the second scope) to other nodes.
        n if n >> 24 == 1 => "world",
        n if n >> 24 == 2 => "remote-node",
        _ => return None,
    };
    Some(Labels(vec![Label::new("reserved", name, "")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_agents_print() {
        let l = Label::parse("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop");
        assert_eq!((l.source.as_str(), l.value.as_str()), ("k8s", "shop"));
        assert_eq!(Label::parse("reserved:world"), Label::new("reserved", "world", ""));
        assert_eq!(Label::parse("app=a:b"), Label::new("k8s", "app", "a:b"));
        assert_eq!(Label::parse("cidr:10.0.0.0/8"), Label::new("cidr", "10.0.0.0/8", ""));
        assert_eq!(Label::parse("fqdn:*.x.com").to_string(), "fqdn:*.x.com");
    }

    #[test]
    fn local_identities_are_outside_or_nodes() {
        assert!(of_identity(16_777_217).is_some_and(|l| l.is_world()));
        assert!(of_identity(33_554_433).is_some_and(|l| l.reserved("remote-node")));
        assert!(of_identity(31_028).is_none());
    }
}
