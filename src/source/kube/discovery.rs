//! Which of the kinds that we want the cluster has, and where they are served.
//!
//! Owns the question and its two answers (all at once since Kubernetes 1.27, group by group before). A kind is absent only if the cluster
//! said so: a group whose own server does not answer is unclear.
use super::canon::Form;
use kube::{Client, Error};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tonic::codegen::http;

/// A kind that somebody here reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    pub form: Form,
    /// Only the object of this namespace and name.
    pub only: Option<(String, String)>,
}

/// Kinds of the core group are where they always were; whether in namespaces.
const CORE: &[(&str, &str, bool)] = &[
    ("Namespace", "namespaces", false),
    ("Pod", "pods", true),
    ("Service", "services", true),
    ("Node", "nodes", false),
    ("ServiceAccount", "serviceaccounts", true),
    ("ConfigMap", "configmaps", true),
];

/// What the world is made of, and what says whether policies are enforced: the network plugins' DaemonSets, and Cilium's settings.
pub fn world(cilium_namespace: &str) -> Vec<Wanted> {
    let kind = |group: &str, kind: &str, form| Wanted { group: group.to_owned(), kind: kind.to_owned(), form, only: None };
    let settings = Some((cilium_namespace.to_owned(), "cilium-config".to_owned()));
    vec![
        kind("", "Namespace", Form::Named),
        kind("", "Pod", Form::Pod),
        kind("", "Service", Form::Service),
        kind("", "Node", Form::Node),
        kind("", "ServiceAccount", Form::Named),
        kind("discovery.k8s.io", "EndpointSlice", Form::Slice),
        kind("cilium.io", "CiliumCIDRGroup", Form::Whole),
        kind("cilium.io", "CiliumEndpoint", Form::There),
        kind("apps", "DaemonSet", Form::Agent),
        Wanted { only: settings, ..kind("", "ConfigMap", Form::Whole) },
    ]
}

/// Where a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub version: String,
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// What is known of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Here(Place),
    Absent,
    /// The group's own server does not answer.
    Unclear(String),
}

/// What the cluster says of the groups that were asked for.
#[derive(Debug, Default)]
pub struct Found {
    /// By group and kind; the version that the cluster prefers.
    places: BTreeMap<(String, String), Place>,
    unclear: BTreeMap<String, String>,
}

impl Found {
    pub fn of(&self, wanted: &Wanted) -> Answer {
        if let Some(place) = core(wanted) {
            return Answer::Here(place);
        }
        // Served under two groups for a while, each object in both.
        if wanted.group == "extensions" && self.places.contains_key(&("networking.k8s.io".to_owned(), wanted.kind.clone())) {
            return Answer::Absent;
        }
        match (self.places.get(&(wanted.group.clone(), wanted.kind.clone())), self.unclear.get(&wanted.group)) {
            (Some(place), _) => Answer::Here(place.clone()),
            (None, Some(why)) => Answer::Unclear(why.clone()),
            (None, None) => Answer::Absent,
        }
    }

    fn add(&mut self, (group, version): (&str, &str), kind: &str, plural: &str, namespaced: bool) {
        let place = || Place { version: version.to_owned(), plural: plural.to_owned(), namespaced };
        self.places.entry((group.to_owned(), kind.to_owned())).or_insert_with(place);
    }
}

/// A kind of the core group needs no question.
pub fn core(wanted: &Wanted) -> Option<Place> {
    let known = wanted.group.is_empty().then(|| CORE.iter().find(|(kind, ..)| *kind == wanted.kind)).flatten()?;
    Some(Place { version: "v1".to_owned(), plural: known.1.to_owned(), namespaced: known.2 })
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Asks the cluster. One request, or one more for each wanted group and version where the cluster is older.
pub async fn ask(client: &Client, wanted: &[Wanted]) -> Result<Found, Error> {
    let request = http::Request::get("/apis").header(http::header::ACCEPT, AGGREGATED).body(Vec::new()).map_err(Error::HttpError)?;
    let answer: Value = client.request(request).await?;
    let mut found = Found::default();
    if answer.get("kind").and_then(Value::as_str) == Some("APIGroupDiscoveryList") {
        let all = Aggregated::deserialize(&answer).map_err(Error::SerdeError)?;
        all.items.iter().for_each(|g| g.add_to(&mut found));
        return Ok(found);
    }
    let all = Groups::deserialize(&answer).map_err(Error::SerdeError)?;
    for group in all.groups.iter().filter(|g| wanted.iter().any(|w| w.group == g.name)) {
        for version in group.in_order() {
            let path = format!("/apis/{}/{version}", group.name);
            let request = http::Request::get(path).body(Vec::new()).map_err(Error::HttpError)?;
            match client.request::<Resources>(request).await {
                Ok(list) => list
                    .resources
                    .iter()
                    .filter(|r| !r.name.contains('/'))
                    .for_each(|r| found.add((&group.name, version), &r.kind, &r.name, r.namespaced)),
                // The others may still be known; what this one has is not.
                Err(e) => {
                    let why = format!("the cluster does not say what {}/{version} has: {}", group.name, super::refusal::deepest(&e));
                    found.unclear.insert(group.name.clone(), why);
                }
            }
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Aggregated {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    metadata: Name,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: String,
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<Served>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Served {
    resource: String,
    response_kind: Option<Kind>,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl Group {
    fn add_to(&self, found: &mut Found) {
        let group = &self.metadata.name;
        for v in &self.versions {
            let known = v.resources.iter().filter_map(|r| Some((r, r.response_kind.as_ref()?)));
            known.for_each(|(r, k)| found.add((group, &v.version), &k.kind, &r.resource, r.scope == "Namespaced"));
            if v.freshness == "Stale" {
                found.unclear.insert(group.clone(), format!("the server of {group}/{} does not answer the cluster", v.version));
            }
        }
    }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<OldGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldGroup {
    name: String,
    #[serde(default)]
    versions: Vec<OldVersion>,
    preferred_version: Option<OldVersion>,
}

#[derive(Deserialize)]
struct OldVersion {
    version: String,
}

impl OldGroup {
    /// The preferred version first.
    fn in_order(&self) -> impl Iterator<Item = &str> {
        let preferred = self.preferred_version.as_ref().map(|v| v.version.as_str());
        let others = self.versions.iter().map(|v| v.version.as_str()).filter(move |v| Some(*v) != preferred);
        preferred.into_iter().chain(others)
    }
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
}
