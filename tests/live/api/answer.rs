//! Answers with an end: discovery, lists and their pages, single objects, refusals. Owns what they look like on the wire.
use super::kinds::Kind;
use super::state::{Inner, State};
use super::{Body, stream};
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub type Query = BTreeMap<String, String>;

/// The parameters of a request.
pub fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|p| p.split_once('='));
    pairs.map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = |b: Option<u8>| char::from(b.unwrap_or(b'0')).to_digit(16).unwrap_or(0) as u8;
        out.push(match b {
            b'%' => hex(bytes.next()) << 4 | hex(bytes.next()),
            b'+' => b' ',
            b => b,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a path below `/api/v1` or `/apis/GROUP/VERSION` asks for.
struct Wanted {
    kind: Kind,
    namespace: String,
    name: Option<String>,
}

fn wanted(s: &Inner, path: &str) -> Option<Wanted> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (*namespace, *plural, None),
        ["namespaces", namespace, plural, name] => (*namespace, *plural, Some((*name).to_owned())),
        [plural] => ("", *plural, None),
        [plural, name] => ("", *plural, Some((*name).to_owned())),
        _ => return None,
    };
    let kind = *s.kinds().find(|k| k.group == group && k.version == version && k.plural == plural)?;
    Some(Wanted { kind, namespace: namespace.to_owned(), name })
}

pub fn answer(state: &Arc<State>, path: &str, query: &Query, watch: bool, accept: &str) -> Response<Body> {
    let mut s = state.lock();
    let (code, value) = match path {
        "/api" => (200, json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" if s.aggregated && accept.contains("as=APIGroupDiscoveryList") => (200, aggregated(&s)),
        "/apis" => (200, groups(&s)),
        _ => match (resources(&s, path), wanted(&s, path)) {
            (Some(list), _) => (200, list),
            (None, None) => (404, status(404, "NotFound", "the server could not find the requested resource")),
            (None, Some(w)) if s.forbidden.contains(&w.kind.resource()) || s.only.as_ref().is_some_and(|n| *n != w.namespace) => {
                let verb = if watch { "watch" } else { "list" };
                let what = format!(
                    "{} is forbidden: User \"tester\" cannot {verb} resource \"{}\" in API group \"{}\" at the cluster scope",
                    w.kind.resource(),
                    w.kind.plural,
                    w.kind.group
                );
                (403, status(403, "Forbidden", &what))
            }
            (None, Some(w)) if watch => {
                let from = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
                if from < s.floor && !s.gone_as_event {
                    (410, gone())
                } else {
                    let (partial, ended) = (accept.contains("as=PartialObjectMetadata"), s.ended);
                    let bookmarks = query.get("allowWatchBookmarks").is_some_and(|b| b == "true");
                    drop(s);
                    let watch =
                        stream::Watch { kind: w.kind, namespace: w.namespace, from, partial, bookmarks, query: query.clone(), ended };
                    return stream::answer(Arc::clone(state), path.to_owned(), watch);
                }
            }
            (None, Some(Wanted { kind, namespace, name: Some(name) })) => {
                match s.objects.get(&(kind.resource(), namespace, name.clone())) {
                    Some(object) => (200, Value::clone(object)),
                    None => (404, status(404, "NotFound", &format!("{} \"{name}\" not found", kind.resource()))),
                }
            }
            (None, Some(w)) => list(&mut s, &w, query, accept),
        },
    };
    let body = value.to_string();
    s.count(path, watch).bytes += body.len() as u64;
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "message": message, "code": code})
}

pub fn gone() -> Value {
    status(410, "Expired", "too old resource version")
}

/// Only what says which object it is.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

fn list(s: &mut Inner, w: &Wanted, query: &Query, accept: &str) -> (u16, Value) {
    let (revision, mut all) = match query.get("continue").filter(|c| !c.is_empty()) {
        Some(token) => match s.pages.remove(token) {
            Some(page) => page,
            None => return (410, gone()),
        },
        None => {
            let of_kind =
                s.objects.iter().filter(|((r, ns, _), _)| *r == w.kind.resource() && (w.namespace.is_empty() || *ns == w.namespace));
            (s.revision, of_kind.map(|(_, o)| Arc::clone(o)).filter(|o| selected(o, query)).collect::<Vec<_>>())
        }
    };
    let limit = query.get("limit").and_then(|l| l.parse().ok()).unwrap_or(usize::MAX);
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if all.len() > limit {
        let rest = all.split_off(limit);
        s.page += 1;
        let token = format!("page/{}+1", s.page);
        metadata["continue"] = Value::from(token.as_str());
        metadata["remainingItemCount"] = Value::from(rest.len());
        s.pages.insert(token, (revision, rest));
    }
    if accept.contains("as=PartialObjectMetadataList") {
        let items: Vec<Value> = all.iter().map(|o| partial(o)).collect();
        return (200, json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}));
    }
    // Items of a typed list do not say their kind.
    let bare = |o: &Arc<Value>| {
        let mut o = Value::clone(o);
        if let Some(map) = o.as_object_mut() {
            map.remove("kind");
            map.remove("apiVersion");
        }
        o
    };
    let items: Vec<Value> = all.iter().map(bare).collect();
    (200, json!({"kind": format!("{}List", w.kind.kind), "apiVersion": w.kind.api_version(), "metadata": metadata, "items": items}))
}

/// `labelSelector` with equalities, and `fieldSelector` of a name.
pub fn selected(object: &Value, query: &Query) -> bool {
    let terms = |k: &str| query.get(k).cloned().unwrap_or_default();
    let labels = terms("labelSelector").split(',').filter(|t| !t.is_empty()).all(|t| {
        let (key, value) = t.split_once('=').unwrap_or((t, ""));
        object["metadata"]["labels"][key] == *value.trim_start_matches('=')
    });
    let name = terms("fieldSelector");
    labels && name.strip_prefix("metadata.name=").is_none_or(|n| object["metadata"]["name"] == *n)
}

fn groups(s: &Inner) -> Value {
    let group = |g: &String| {
        let mut versions: Vec<&str> = s.kinds().filter(|k| k.group == g).map(|k| k.version).collect();
        versions.dedup();
        let version = |v: &&str| json!({"groupVersion": format!("{g}/{v}"), "version": v});
        let all: Vec<Value> = versions.iter().map(version).collect();
        json!({"name": g, "versions": all, "preferredVersion": all[0]})
    };
    let all: Vec<Value> = s.groups.iter().filter(|g| !g.is_empty()).map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

fn resources(s: &Inner, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    let of = s.kinds().filter(|k| k.group == group && k.version == version);
    let all: Vec<Value> = of
        .map(|k| json!({"name": k.plural, "singularName": "", "namespaced": k.namespaced, "kind": k.kind, "verbs": ["get", "list", "watch"]}))
        .collect();
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!all.is_empty()).then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": all}))
}

fn aggregated(s: &Inner) -> Value {
    let group = |g: &String| {
        let resource = |k: &Kind| {
            json!({"resource": k.plural, "responseKind": {"group": k.group, "version": k.version, "kind": k.kind},
                "scope": if k.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": "", "verbs": ["get", "list", "watch"]})
        };
        let mut versions: Vec<&str> = s.kinds().filter(|k| k.group == g).map(|k| k.version).collect();
        versions.dedup();
        let version = |v: &&str| {
            let of: Vec<Value> = s.kinds().filter(|k| k.group == g && k.version == *v).map(resource).collect();
            json!({"version": v, "freshness": "Current", "resources": of})
        };
        json!({"metadata": {"name": g, "creationTimestamp": null}, "versions": versions.iter().map(version).collect::<Vec<_>>()})
    };
    let all: Vec<Value> = s.groups.iter().filter(|g| !g.is_empty()).map(group).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": all})
}
