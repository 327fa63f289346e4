//! A manifest document as a tree whose every node knows its line. Policies are compiled from it, and the marked lines
//! of an explanation hang on these spans. Knows neither YAML (see `world/yaml`) nor any kind of object.
use super::live::Live;
use std::sync::Arc;

/// The text a document came from.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// Path as given, `-` for standard input; for live objects the object's own name.
    pub file: String,
    pub body: String,
}

impl Text {
    /// Line `n`, counted from 1.
    pub fn line(&self, n: u32) -> Option<&str> {
        self.body.lines().nth((n as usize).checked_sub(1)?)
    }
}

/// A value and where it stands. Lines count from 1, columns from 1; `last` is the line on which the node ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub line: u32,
    pub column: u32,
    pub last: u32,
}

/// Scalars are resolved as Kubernetes' YAML reader does (`true`, `yes`, `on` and their opposites are booleans; a bare `y` is a string).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map, in document order.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// Line of the key.
    pub line: u32,
    pub value: Node,
}

/// A key that stands twice in one map; the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twice {
    pub key: String,
    /// Of the one that is lost, and of the one that counts.
    pub lines: (u32, u32),
}

/// One Kubernetes object. `List` objects are split up before they come here.
#[derive(Debug, Clone)]
pub struct Doc {
    pub text: Arc<Text>,
    pub root: Node,
    pub twice: Vec<Twice>,
    /// Which version this is and who wrote it, if it came from a cluster's API; `None` of a manifest.
    pub live: Option<Arc<Live>>,
}

impl Node {
    /// The value under `key` of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// `get` along a path.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |n, k| n.get(k))
    }

    pub fn str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    pub fn seq(&self) -> &[Node] {
        match &self.value {
            Value::Seq(s) => s,
            _ => &[],
        }
    }

    pub fn map(&self) -> &[Entry] {
        match &self.value {
            Value::Map(m) => m,
            _ => &[],
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }
}

impl Doc {
    pub fn kind(&self) -> &str {
        self.root.get("kind").and_then(Node::str).unwrap_or("")
    }

    pub fn api_version(&self) -> &str {
        self.root.get("apiVersion").and_then(Node::str).unwrap_or("")
    }

    pub fn name(&self) -> &str {
        self.root.at(&["metadata", "name"]).and_then(Node::str).unwrap_or("")
    }

    /// `metadata.namespace`, empty if there is none.
    pub fn namespace(&self) -> &str {
        self.root.at(&["metadata", "namespace"]).and_then(Node::str).unwrap_or("")
    }
}

/// Something in a manifest that could not be used; the rest goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub line: u32,
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}
