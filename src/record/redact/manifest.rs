//! Manifests: the objects of a text, written anew as JSON, one a line, with their names replaced.
//!
//! Owns which strings of an object are names, which are words of Kubernetes and Cilium, and which are left out.
use super::words::Words;
use crate::model::doc::{Doc, Node, Value};
use serde_json::{Map, Value as Json};

/// Values of these keys are words of the API, or numbers as strings.
const KEPT: &[&str] = &[
    "action",
    "apiVersion",
    "controller",
    "creationTimestamp",
    "dnsPolicy",
    "effect",
    "family",
    "generation",
    "hostNetwork",
    "key",
    "kind",
    "method",
    "mode",
    "operator",
    "phase",
    "policyTypes",
    "port",
    "portName",
    "priority",
    "protocol",
    "resourceVersion",
    "restartPolicy",
    "role",
    "status",
    "targetPort",
    "tier",
    "time",
    "type",
    "uid",
    "lastTransitionTime",
    "blockOwnerDeletion",
];
/// What nobody needs for an explanation, and what may hold anything.
const DROPPED: &[&str] =
    &["annotations", "args", "command", "description", "env", "envFrom", "log", "managedFields", "volumes", "volumeMounts", "image"];
/// Lists of words of the API.
const WORDS: &[&str] = &["fromEntities", "toEntities", "policyTypes", "entities", "methods"];
/// Regular expressions.
const PATTERNS: &[&str] = &["path", "host"];
/// Maps whose keys are kept and whose values are names.
const LABELS: &[&str] = &["labels", "matchLabels", "selector", "nodeSelector"];

/// The objects as the body of a text.
pub fn body(w: &mut Words, docs: &[Doc]) -> String {
    let mut out = String::new();
    for doc in docs {
        let settings = doc.kind() == "ConfigMap" && doc.name() == "cilium-config";
        let json = value(w, &doc.root, "", settings);
        out.push_str(&json.to_string());
        out.push('\n');
    }
    out
}

fn value(w: &mut Words, node: &Node, key: &str, settings: bool) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::from(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(f) => Json::from(*f),
        Value::Str(s) => Json::from(text(w, s, key)),
        Value::Seq(items) => Json::from(items.iter().map(|i| value(w, i, key, settings)).collect::<Vec<_>>()),
        Value::Map(entries) => {
            let labels = LABELS.contains(&key);
            // A port's name is what policies call it by, and says as much as its number.
            let port = entries.iter().any(|e| matches!(e.key.as_str(), "containerPort" | "targetPort" | "port") && key == "ports");
            let mut map = Map::new();
            for e in entries {
                if !labels && DROPPED.contains(&e.key.as_str()) {
                    continue;
                }
                let new = match (&e.value.value, e.key.as_str()) {
                    (Value::Str(s), _) if labels => Json::from(label_value(w, &e.key, s)),
                    (Value::Map(_), "data") if settings => kept(w, &e.value),
                    (_, "data" | "binaryData" | "stringData") => continue,
                    (Value::Str(s), "name") if port => Json::from(s.clone()),
                    _ => value(w, &e.value, &e.key, settings),
                };
                map.insert(e.key.clone(), new);
            }
            Json::Object(map)
        }
    }
}

/// `reserved:` stands in the key of a selector; what it selects has no name of anybody's.
fn label_value(w: &mut Words, key: &str, value: &str) -> String {
    if key.starts_with("reserved") { value.to_owned() } else { w.name(value) }
}

fn text(w: &mut Words, s: &str, key: &str) -> String {
    match key {
        _ if KEPT.contains(&key) || WORDS.contains(&key) => s.to_owned(),
        _ if PATTERNS.contains(&key) => w.pattern(s),
        _ if s.starts_with("reserved:") => s.to_owned(),
        "headers" => match s.split_once(' ') {
            Some((name, value)) => format!("{name} {}", w.url(value)),
            None => s.to_owned(),
        },
        _ => w.name(s),
    }
}

/// Settings of Cilium: words, numbers and networks; the networks are replaced.
fn kept(w: &mut Words, node: &Node) -> Json {
    let mut map = Map::new();
    for e in node.map() {
        let old = e.value.str().unwrap_or_default();
        map.insert(e.key.clone(), Json::from(super::address::text(w.key(), old).unwrap_or_else(|| old.to_owned())));
    }
    Json::Object(map)
}
