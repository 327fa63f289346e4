//! Where a version of an object comes from: who wrote it and when, who keeps it so, what its status says.
//!
//! Owns reading `metadata` and `status.conditions` of the API's JSON. Every string is a stranger's.
use crate::model::live::{Changed, Condition, Live, Owner};
use crate::model::time::Nanos;
use serde_json::Value;

/// Conditions that are kept of one object.
const CONDITIONS: usize = 32;

/// What is known of this version.
pub fn live(object: &Value, conditions: bool) -> Live {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    Live {
        uid: text(metadata, "uid"),
        resource_version: text(metadata, "resourceVersion"),
        generation: metadata.get("generation").and_then(Value::as_i64),
        created: time(metadata, "creationTimestamp"),
        changed: newest(metadata, false).map(|w| Changed { by: text(w, "manager"), at: time(w, "time") }),
        owner: owner(metadata),
        conditions: if conditions { conditions_of(object) } else { Vec::new() },
    }
}

/// When this version came about, as the cluster's clock has it, which is nearer to the clocks of flows than ours: the time of the newest
/// write. `listed`: the object was found as it is; a later write of its status alone changed nothing of it, nor one of a pod that left its
/// labels alone, but a pod has had its addresses only since it was started.
pub fn since(object: &Value, listed: bool) -> Option<Nanos> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let started = object.get("status").and_then(|s| time(s, "startTime"));
    let written = if listed && started.is_some() { labelled(metadata) } else { newest(metadata, !listed).and_then(|w| time(w, "time")) };
    written.or_else(|| time(metadata, "creationTimestamp")).max(started)
}

/// When labels were last written; a write that does not say its fields may be of them.
fn labelled(metadata: &Value) -> Option<Nanos> {
    let all = metadata.get("managedFields").and_then(Value::as_array)?;
    let of_labels = |w: &&Value| {
        let own = w.get("fieldsV1").is_none_or(|f| f.get("f:metadata").is_some_and(|m| m.get("f:labels").is_some()));
        text(w, "subresource").is_empty() && own
    };
    all.iter().filter(of_labels).filter_map(|w| time(w, "time")).max()
}

/// The newest write; writes of a subresource (`status`) count only `with_status`.
fn newest(metadata: &Value, with_status: bool) -> Option<&Value> {
    let all = metadata.get("managedFields").and_then(Value::as_array)?;
    let counts = |w: &&Value| with_status || text(w, "subresource").is_empty();
    all.iter().filter(counts).max_by_key(|w| time(w, "time"))
}

fn conditions_of(object: &Value) -> Vec<Condition> {
    let all = object.get("status").and_then(|s| s.get("conditions")).and_then(Value::as_array);
    let read =
        |c: &Value| Condition { kind: text(c, "type"), status: text(c, "status"), reason: text(c, "reason"), message: text(c, "message") };
    all.map(|all| all.iter().take(CONDITIONS).map(read).collect()).unwrap_or_default()
}

/// Who makes the object so again when somebody edits it: the object that controls it, else the delivery tool whose marks it carries.
fn owner(metadata: &Value) -> Option<Owner> {
    let owners = metadata.get("ownerReferences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(o) = owners.iter().find(|o| o.get("controller").and_then(Value::as_bool) == Some(true)).or(owners.first()) {
        return Some(Owner { what: text(o, "kind"), name: text(o, "name") });
    }
    let mark = |of: &str, key: &str| metadata.get(of).map(|m| text(m, key)).filter(|t| !t.is_empty());
    let within = |namespace: Option<String>, name: String| namespace.map_or_else(|| name.clone(), |n| format!("{n}/{name}"));
    let owned = |what: &str, name: String| Some(Owner { what: what.to_owned(), name });
    if let Some(id) = mark("annotations", "argocd.argoproj.io/tracking-id") {
        return owned("Argo CD application", id.split(':').next().unwrap_or_default().to_owned());
    }
    if let Some(name) = mark("labels", "argocd.argoproj.io/instance") {
        return owned("Argo CD application", name);
    }
    if let Some(name) = mark("labels", "kustomize.toolkit.fluxcd.io/name") {
        return owned("Flux Kustomization", within(mark("labels", "kustomize.toolkit.fluxcd.io/namespace"), name));
    }
    if let Some(name) = mark("labels", "helm.toolkit.fluxcd.io/name") {
        return owned("Flux HelmRelease", within(mark("labels", "helm.toolkit.fluxcd.io/namespace"), name));
    }
    if let Some(name) = mark("annotations", "meta.helm.sh/release-name") {
        return owned("Helm release", within(mark("annotations", "meta.helm.sh/release-namespace"), name));
    }
    mark("labels", "app.kubernetes.io/managed-by").map(|tool| Owner { what: tool, name: String::new() })
}

fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn time(of: &Value, key: &str) -> Option<Nanos> {
    let t = of.get(key)?.as_str()?;
    chrono::DateTime::parse_from_rfc3339(t).ok().map(|t| Nanos::from_utc(t.to_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_writer_is_not_the_one_of_the_status() {
        let o = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [
            {"manager": "kubectl", "time": "2026-01-02T00:00:00Z"},
            {"manager": "argocd-controller", "time": "2026-01-03T00:00:00Z"},
            {"manager": "cilium-agent", "time": "2026-01-04T00:00:00Z", "subresource": "status"}]},
            "status": {"conditions": [{"type": "Valid", "status": "False", "reason": "Invalid", "message": "bad"}]}});
        let l = live(&o, true);
        let changed = l.changed.as_ref().unwrap();
        assert_eq!((changed.by.as_str(), changed.at.unwrap().to_string().as_str()), ("argocd-controller", "2026-01-03T00:00:00Z"));
        assert_eq!(l.condition("Valid").unwrap().status, "False");
        let since = |o: &Value, listed| since(o, listed).unwrap().to_string();
        assert_eq!((since(&o, true).as_str(), since(&o, false).as_str()), ("2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"));
        let pod = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"startTime": "2026-01-01T00:05:00Z"}});
        assert_eq!(since(&pod, true), "2026-01-01T00:05:00Z", "it waited for a node until then");
        let pod = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-label", "time": "2026-01-01T00:30:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}}},
            {"manager": "kubectl-annotate", "time": "2026-01-01T00:40:00Z", "fieldsV1": {"f:metadata": {"f:annotations": {}}}},
            {"manager": "kubelet", "time": "2026-01-01T00:50:00Z", "subresource": "status", "fieldsV1": {}}]},
            "status": {"startTime": "2026-01-01T00:05:00Z"}});
        assert_eq!(since(&pod, true), "2026-01-01T00:30:00Z", "who wrote anything but labels did not make it another");
        assert_eq!(live(&json!({"metadata": 7}), true), Live::default());
    }

    #[test]
    fn who_owns_an_object() {
        let of = |metadata: Value| owner(&metadata).map(|o| o.to_string());
        assert_eq!(of(json!({})), None);
        let marks = [
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:cilium.io/CiliumNetworkPolicy:shop/db"}}),
                "Argo CD application shop",
            ),
            (
                json!({"labels": {"argocd.argoproj.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm"}}),
                "Argo CD application shop",
            ),
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                "Flux Kustomization flux-system/apps",
            ),
            (json!({"labels": {"helm.toolkit.fluxcd.io/name": "db"}}), "Flux HelmRelease db"),
            (
                json!({"annotations": {"meta.helm.sh/release-name": "db"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}),
                "Helm release db",
            ),
            (json!({"labels": {"app.kubernetes.io/managed-by": "pulumi"}}), "pulumi"),
            (
                json!({"ownerReferences": [{"kind": "Tenant", "name": "a", "controller": true}], "labels": {"app.kubernetes.io/managed-by": "x"}}),
                "Tenant a",
            ),
        ];
        for (metadata, wanted) in marks {
            assert_eq!(of(metadata).as_deref(), Some(wanted));
        }
    }
}
