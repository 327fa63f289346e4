//! Manifests: the objects of a text, written anew as JSON, one a line, with their names replaced.
//!
//! Owns which strings of an object are names, which are words of Kubernetes and Cilium, and which are left out.
use super::words::Words;
use crate::model::doc::{Doc, Node, Value};
use crate::world::settings;
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
    "kind",
    "method",
    "mismatch",
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
                    // As flows have it: under another name nobody could tell whether a request carries it.
                    (Value::Str(s), "name") if key == "headerMatches" => Json::from(s.clone()),
                    (Value::Str(s), "value") if key == "headerMatches" => {
                        let header = entries.iter().find(|e| e.key == "name").and_then(|e| e.value.str());
                        Json::from(w.header(header.unwrap_or_default(), s))
                    }
                    (Value::Str(s), "name") if port => Json::from(s.clone()),
                    _ => value(w, &e.value, &e.key, settings),
                };
                let name = if labels { w.label_key(&e.key) } else { e.key.clone() };
                map.insert(name, new);
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
        "key" => w.label_key(s),
        _ if KEPT.contains(&key) || WORDS.contains(&key) => s.to_owned(),
        "path" => w.pattern(s),
        "host" => w.host_pattern(s),
        _ if s.starts_with("reserved:") => s.to_owned(),
        "headers" => {
            // `Name value` as well as `Name:value`.
            let (name, rest) = s.split_at(s.find([':', ' ']).unwrap_or(s.len()));
            let value = rest.trim_start_matches([':', ' ']);
            let between = rest.strip_suffix(value).unwrap_or_default();
            format!("{name}{between}{}", w.header(name, value))
        }
        _ => w.name(s),
    }
}

/// Settings of Cilium that decide something; they are words, but for the cluster's name, which is called as in flows. The others name
/// servers and networks.
fn kept(w: &mut Words, node: &Node) -> Json {
    let mut kept = Map::new();
    for e in node.map() {
        let value = e.value.str().unwrap_or_default();
        match e.key.as_str() {
            settings::CLUSTER => _ = kept.insert(e.key.clone(), Json::from(w.name(value))),
            key if settings::READ.contains(&key) => _ = kept.insert(e.key.clone(), Json::from(value)),
            _ => {}
        }
    }
    Json::Object(kept)
}
