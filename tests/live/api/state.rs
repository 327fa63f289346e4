//! What the Kubernetes API of the tests knows: objects, their versions, its faults, and who asked for what.
//!
//! Every change wakes whoever waits for one; nothing here reads a clock.
use super::kinds::{BUILT_IN, KINDS, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// When objects were created that do not say it: before all flows.
const CREATED: &str = "2025-12-01T00:00:00Z";

/// One thing that happened to an object; of every kind if it is a bookmark.
#[derive(Clone)]
pub struct Event {
    pub revision: u64,
    pub what: &'static str,
    pub kind: Option<Kind>,
    pub object: Arc<Value>,
}

/// What was asked of a path. Watches of a path are counted apart, under `PATH?watch`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub requests: u64,
    /// Sent, without HTTP's own headers.
    pub bytes: u64,
}

pub struct Inner {
    pub revision: u64,
    /// What happened up to here is forgotten.
    pub floor: u64,
    pub groups: BTreeSet<String>,
    /// By plural and group, namespace, name.
    pub objects: BTreeMap<(String, String, String), Arc<Value>>,
    pub history: Vec<Event>,
    /// The rest of lists that are being paged: the version of the list and what is still to come.
    pub pages: BTreeMap<String, (u64, Vec<Arc<Value>>)>,
    pub page: u64,
    /// Resources that nobody may read.
    pub forbidden: BTreeSet<String>,
    /// Nobody may read anything but what is in this namespace.
    pub only: Option<String>,
    /// Beginnings of paths whose requests wait.
    pub held: BTreeSet<String>,
    /// Requests that wait.
    pub waiting: u64,
    pub counts: BTreeMap<String, Count>,
    /// Watches that began before this number have ended, as after `timeoutSeconds`.
    pub ended: u64,
    /// Nobody is served.
    pub down: bool,
    /// Forgotten versions are told as an event of a watch, not as its status.
    pub gone_as_event: bool,
    /// `/apis` answers with all resources where the client asks for it.
    pub aggregated: bool,
    /// The connections of now.
    pub connections: CancellationToken,
    /// What listens in pods: `namespace/pod:port`.
    pub ports: BTreeMap<String, SocketAddr>,
    /// After so many more bytes out of pods the port-forwards of then break.
    pub forwards_break: Option<usize>,
    /// By so many seconds its clock is ahead of this machine's.
    pub ahead: i64,
}

pub struct State {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl State {
    pub fn new() -> Self {
        let inner = Inner {
            revision: 1000,
            floor: 0,
            groups: BUILT_IN.iter().map(|g| (*g).to_owned()).collect(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            pages: BTreeMap::new(),
            page: 0,
            forbidden: BTreeSet::new(),
            only: None,
            held: BTreeSet::new(),
            waiting: 0,
            counts: BTreeMap::new(),
            ended: 0,
            down: false,
            gone_as_event: false,
            aggregated: true,
            connections: CancellationToken::new(),
            ports: BTreeMap::new(),
            forwards_break: None,
            ahead: 0,
        };
        Self { inner: Mutex::new(inner), changed: watch::Sender::new(0) }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes something and wakes all who wait.
    pub fn change<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        let out = f(&mut self.lock());
        self.changed.send_modify(|n| *n += 1);
        out
    }

    /// Waits until `f` finds what it looks for.
    pub async fn until<T>(&self, mut f: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(found) = f(&mut self.lock()) {
                return found;
            }
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }
}

impl Inner {
    /// The kinds that the cluster has now.
    pub fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().filter(|k| self.groups.contains(k.group))
    }

    pub fn put(&mut self, mut object: Value) {
        let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let (api, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let found = KINDS.iter().find(|k| k.kind == kind && k.api_version() == api);
        let kind = *found.unwrap_or_else(|| panic!("the API of the tests has no {kind} of {api}"));
        self.revision += 1;
        let key = (kind.resource(), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        assert_eq!(kind.namespaced, !key.1.is_empty(), "{key:?}");
        object["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        let old = self.objects.get(&key);
        let uid = old.map_or_else(|| Value::from(format!("uid-{}", self.revision)), |o| o["metadata"]["uid"].clone());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = uid;
        }
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = Value::from(CREATED);
        }
        let what = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let object = Arc::new(object);
        self.objects.insert(key, Arc::clone(&object));
        self.history.push(Event { revision: self.revision, what, kind: Some(kind), object });
    }

    pub fn delete(&mut self, resource: &str, namespace: &str, name: &str) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = Value::clone(&self.objects.remove(&key).unwrap_or_else(|| panic!("no {key:?}")));
        self.revision += 1;
        object["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        let kind = KINDS.iter().find(|k| k.resource() == resource).copied();
        self.history.push(Event { revision: self.revision, what: "DELETED", kind, object: Arc::new(object) });
    }

    pub fn bookmark(&mut self) {
        self.revision += 1;
        self.history.push(Event { revision: self.revision, what: "BOOKMARK", kind: None, object: Arc::new(Value::Null) });
    }

    pub fn forget(&mut self) {
        self.floor = self.revision;
        self.history.clear();
        self.pages.clear();
    }

    pub fn count(&mut self, path: &str, watch: bool) -> &mut Count {
        let key = if watch { format!("{path}?watch") } else { path.to_owned() };
        self.counts.entry(key).or_default()
    }
}
