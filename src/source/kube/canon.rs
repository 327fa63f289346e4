//! An object as the API sends it → the document that explanations cite: canonical YAML, and of it only what somebody reads.
//!
//! Owns what is kept of which kind, and its order: `apiVersion`, `kind`, `metadata` (name, namespace, labels, annotations), then the rest
//! by name, as kubectl prints it. Left out: what only the API's own bookkeeping needs, and the copy that `kubectl apply` keeps. What is
//! left out of the text but is known of the version goes into [`Live`](crate::model::live::Live).
use super::origin;
use crate::model::doc::{Doc, Fault};
use crate::model::input::ObjectId;
use crate::world::tree::{Style, Tree};
use crate::world::yaml;
use serde_json::{Map, Value};
use std::sync::Arc;

/// How much of a kind's objects is kept. Ten thousand pods have to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All but status: policies, of which every line may be cited.
    Whole,
    /// Name and labels; nothing else is asked for.
    Named,
    /// That it is there.
    There,
    Pod,
    Service,
    Slice,
    Node,
    /// A network's agent, of which version and arguments may matter.
    Agent,
}

impl Form {
    pub fn metadata_only(self) -> bool {
        matches!(self, Self::Named | Self::There)
    }
}

/// Where an object belongs; the API's lists do not say it of each item.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
}

/// The copy of the manifest that `kubectl apply` keeps in the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What of a pod's container the world reads.
const CONTAINER: &[&str] = &["name", "ports", "restartPolicy"];

/// The identity of an object; `None` if it has no name.
pub fn id(of: Type<'_>, object: &Value) -> Option<ObjectId> {
    let text = |k: &str| object.get("metadata").and_then(|m| m.get(k)).and_then(Value::as_str).unwrap_or("").to_owned();
    let name = text("name");
    let id = ObjectId { group: of.group.to_owned(), kind: of.kind.to_owned(), namespace: text("namespace"), name };
    (!id.name.is_empty()).then_some(id)
}

/// The object's document. Its text is called `KIND/NAMESPACE/NAME`.
pub fn doc(of: Type<'_>, form: Form, id: &ObjectId, object: Value) -> Result<Doc, Fault> {
    let live = origin::live(&object, form == Form::Whole);
    let file = match id.namespace.as_str() {
        "" => format!("{}/{}", id.kind, id.name),
        namespace => format!("{}/{namespace}/{}", id.kind, id.name),
    };
    let body = tree(of, form, object).document(Style::default());
    let (docs, faults) = yaml::read(&file, &body);
    match (docs.into_iter().next(), faults.into_iter().next()) {
        (Some(doc), None) => Ok(Doc { live: Some(Arc::new(live)), ..doc }),
        (_, Some(fault)) => Err(fault),
        (None, None) => Err(Fault { file, line: 1, what: "the API sent an object that says nothing".to_owned() }),
    }
}

fn tree(of: Type<'_>, form: Form, object: Value) -> Tree {
    let Value::Object(mut object) = object else { return Tree::Null };
    let api = if of.group.is_empty() { of.version.to_owned() } else { format!("{}/{}", of.group, of.version) };
    let mut out = vec![("apiVersion".to_owned(), Tree::Str(api)), ("kind".to_owned(), Tree::Str(of.kind.to_owned()))];
    out.push(("metadata".to_owned(), metadata(object.remove("metadata"), form)));
    for key in ["apiVersion", "kind", "metadata"] {
        object.remove(key);
    }
    let rest = match form {
        Form::Named | Form::There => Map::new(),
        Form::Whole => {
            object.remove("status");
            object
        }
        Form::Pod => pod(object),
        Form::Service => {
            let keys = &["clusterIP", "clusterIPs", "externalIPs", "ports", "selector", "type"];
            together([("spec", picked(object.remove("spec"), keys)), ("status", picked(object.remove("status"), &["loadBalancer"]))])
        }
        Form::Slice => {
            let endpoint = |e: Value| picked(Some(e), &["addresses", "nodeName", "targetRef"]).unwrap_or_default();
            let endpoints = items(object.remove("endpoints")).map(endpoint).collect::<Vec<_>>();
            together([("endpoints", Some(Value::from(endpoints))), ("ports", object.remove("ports"))])
        }
        Form::Agent => agent(object),
        Form::Node => {
            let status = picked(object.remove("status"), &["addresses"]);
            together([("spec", picked(object.remove("spec"), &["podCIDR", "podCIDRs"])), ("status", status)])
        }
    };
    out.extend(sorted(rest));
    Tree::Map(out)
}

fn metadata(metadata: Option<Value>, form: Form) -> Tree {
    let Some(Value::Object(mut all)) = metadata else { return Tree::Map(Vec::new()) };
    let mut out = Vec::new();
    for key in ["name", "namespace", "labels", "annotations", "ownerReferences", "deletionTimestamp"] {
        let value = match (key, all.remove(key), form) {
            (_, None, _)
            | ("annotations", _, Form::Named | Form::Pod | Form::Service | Form::Slice | Form::Node | Form::Agent)
            | ("labels" | "annotations", _, Form::There) => continue,
            ("annotations", Some(Value::Object(mut notes)), _) => {
                notes.remove(LAST_APPLIED);
                Value::Object(notes)
            }
            ("ownerReferences", Some(owners), Form::Pod) => {
                items(Some(owners)).filter_map(|o| picked(Some(o), &["controller", "kind", "name"])).collect()
            }
            // Who owns a policy stands in `Live`.
            ("ownerReferences", _, _) => continue,
            ("deletionTimestamp", Some(_), form) if form != Form::Pod => continue,
            (_, Some(value), _) => value,
        };
        let empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if !empty && !value.is_null() {
            out.push((key.to_owned(), from(value)));
        }
    }
    Tree::Map(out)
}

fn pod(mut object: Map<String, Value>) -> Map<String, Value> {
    let mut spec = object.remove("spec").unwrap_or_default();
    let containers = |list: Option<Value>, keep: fn(&Value) -> bool| -> Option<Value> {
        let all: Vec<Value> = items(list).filter(keep).filter_map(|c| picked(Some(c), CONTAINER)).collect();
        (!all.is_empty()).then(|| Value::from(all))
    };
    let main = containers(spec.get_mut("containers").map(Value::take), |_| true);
    // Those that run beside the others; the rest has ended before any traffic.
    let init = containers(spec.get_mut("initContainers").map(Value::take), |c| c.get("restartPolicy").is_some());
    let keys = &["hostNetwork", "nodeName", "serviceAccount", "serviceAccountName"];
    let mut kept = match picked(Some(spec), keys) {
        Some(Value::Object(kept)) => kept,
        _ => Map::new(),
    };
    kept.extend([("containers", main), ("initContainers", init)].into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))));
    together([("spec", Some(Value::Object(kept))), ("status", picked(object.remove("status"), &["phase", "podIP", "podIPs", "startTime"]))])
}

/// The names of a DaemonSet's containers; of those that somebody asks for, what is asked. Arguments of others may hold anything.
fn agent(mut object: Map<String, Value>) -> Map<String, Value> {
    let list = object.get_mut("spec").and_then(|s| s.pointer_mut("/template/spec/containers")).map(Value::take);
    let kept = |c: Value| {
        let keys: &[&str] = match c.get("name").and_then(Value::as_str) {
            Some("cilium-agent") => &["name", "image"],
            Some("aws-eks-nodeagent") => &["name", "args"],
            _ => &["name"],
        };
        picked(Some(c), keys)
    };
    let containers: Vec<Value> = items(list).filter_map(kept).collect();
    together([("spec", Some(serde_json::json!({"template": {"spec": {"containers": containers}}})))])
}

/// Some keys of a map; `None` if it has none of them.
fn picked(value: Option<Value>, keys: &[&str]) -> Option<Value> {
    let Some(Value::Object(all)) = value else { return None };
    let kept: Map<String, Value> = all.into_iter().filter(|(k, v)| keys.contains(&k.as_str()) && !v.is_null()).collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

fn together<const N: usize>(parts: [(&str, Option<Value>); N]) -> Map<String, Value> {
    parts.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect()
}

fn items(value: Option<Value>) -> impl Iterator<Item = Value> {
    match value {
        Some(Value::Array(items)) => items.into_iter(),
        _ => Vec::new().into_iter(),
    }
}

/// By name, whatever order the JSON reader keeps.
fn sorted(map: Map<String, Value>) -> Vec<(String, Tree)> {
    let mut all: Vec<(String, Value)> = map.into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.into_iter().map(|(k, v)| (k, from(v))).collect()
}

fn from(value: Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(b) => Tree::Bool(b),
        Value::Number(n) => n.as_i64().map_or_else(|| Tree::Float(n.as_f64().unwrap_or(f64::NAN)), Tree::Int),
        Value::String(s) => Tree::Str(s),
        Value::Array(items) => Tree::Seq(items.into_iter().map(from).collect()),
        Value::Object(map) => Tree::Map(sorted(map)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(group: &str, kind: &str, form: Form, object: Value) -> Doc {
        let of = Type { group, version: "v1", kind };
        doc(of, form, &id(of, &object).unwrap(), object).unwrap()
    }

    #[test]
    fn a_policy_is_written_as_kubectl_prints_it_without_bookkeeping() {
        let d = read(
            "networking.k8s.io",
            "NetworkPolicy",
            Form::Whole,
            json!({"spec": {"policyTypes": ["Ingress"], "podSelector": {"matchLabels": {"app": "db", "yes": "no"}}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 5432}]}]},
                "status": {"conditions": []},
                "metadata": {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "7", "generation": 2, "name": "db", "namespace": "shop",
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "why": "db\nonly"},
                    "managedFields": [{"manager": "kubectl"}], "labels": {"team": "data"}}}),
        );
        assert_eq!(
            d.text.body,
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: db\n  namespace: shop\n  labels:\n    team: data\n  annotations:\n    why: \"db\\nonly\"\n\
             spec:\n  ingress:\n  - from:\n    - podSelector: {}\n    ports:\n    - port: 5432\n  podSelector:\n    matchLabels:\n      app: db\n      \"yes\": \"no\"\n  policyTypes:\n  - Ingress\n"
        );
        assert_eq!(d.text.file, "NetworkPolicy/shop/db");
        assert_eq!(d.root.at(&["spec", "ingress"]).unwrap().seq()[0].get("ports").unwrap().line, 15);
        let live = d.live.unwrap();
        assert_eq!((live.uid.as_str(), live.resource_version.as_str(), live.generation), ("u", "7", Some(2)));
    }

    #[test]
    fn of_a_pod_only_what_the_world_reads_is_kept() {
        let d = read(
            "",
            "Pod",
            Form::Pod,
            json!({"metadata": {"name": "a", "namespace": "ns", "annotations": {"x": "y"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "a-1", "uid": "u", "controller": true}]},
                "spec": {"nodeName": "n1", "hostNetwork": true, "volumes": [], "initContainers": [{"name": "once"}, {"name": "mesh", "restartPolicy": "Always", "image": "i"}],
                    "containers": [{"name": "c", "image": "i", "env": [1], "ports": [{"containerPort": 80, "name": "http"}]}]},
                "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "containerStatuses": [1]}}),
        );
        assert_eq!(
            d.text.body,
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: ns\n  ownerReferences:\n  - controller: true\n    kind: ReplicaSet\n    name: a-1\n\
             spec:\n  containers:\n  - name: c\n    ports:\n    - containerPort: 80\n      name: http\n  hostNetwork: true\n  initContainers:\n  - name: mesh\n    restartPolicy: Always\n  nodeName: n1\n\
             status:\n  phase: Running\n  podIP: \"10.0.0.1\"\n  podIPs:\n  - ip: \"10.0.0.1\"\n"
        );
    }

    #[test]
    fn what_somebody_else_made_of_an_object_is_a_fault_and_no_end() {
        let of = Type { group: "cilium.io", version: "v2", kind: "CiliumNetworkPolicy" };
        assert_eq!(id(of, &json!({"metadata": {"namespace": "n"}})), None);
        let deep = (0..120).fold(json!(1), |v, _| json!([v]));
        let object = json!({"metadata": {"name": "deep"}, "spec": deep});
        let fault = doc(of, Form::Whole, &id(of, &object).unwrap(), object).unwrap_err();
        assert_eq!((fault.file.as_str(), fault.what.as_str()), ("CiliumNetworkPolicy/deep", "nested more than 100 deep"));
        let odd = read("", "Namespace", Form::Named, json!({"metadata": {"name": "n", "labels": {"k": "a\n---\nb"}}}));
        assert_eq!(odd.root.at(&["metadata", "labels", "k"]).unwrap().str(), Some("a\n---\nb"));
    }
}
