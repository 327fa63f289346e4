//! A Kubernetes API in this process: discovery, lists in pages, watches, and the faults of real ones, over HTTP/1.1 on loopback.
//!
//! Owns the server and what a test can do to it. It has no clock: what takes time in a cluster (a watch that ends, versions that are
//! forgotten, an API that does not answer) happens when the test says so.
#![allow(dead_code, reason = "each test uses its part of the API")]
mod answer;
mod forward;
mod kinds;
mod state;
mod stream;

use flowhy::model::doc::{Node, Value as Yaml};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use state::State;
pub use state::{Count, Inner};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A running API; it ends when this is dropped.
pub struct Api {
    pub address: SocketAddr,
    state: Arc<State>,
    _stop: DropGuard,
}

/// How long a test waits for what must come: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Api {
    /// A cluster without CRDs and without objects.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, stop) = (Arc::new(State::new()), CancellationToken::new());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&state), stop.clone())));
        Self { address, state, _stop: stop.drop_guard() }
    }

    /// A client without a kubeconfig.
    pub fn client(&self) -> kube::Client {
        let config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        kube::Client::try_from(config).unwrap()
    }

    /// Writes a kubeconfig whose only context has this name.
    pub fn kubeconfig(&self, dir: &Path, context: &str) -> PathBuf {
        let path = dir.join(format!("{context}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\ncontexts:\n- name: {context}\n  context: {{cluster: {context}, user: {context}}}\n\
             clusters:\n- name: {context}\n  cluster: {{server: \"http://{}\"}}\nusers:\n- name: {context}\n  user: {{token: secret}}\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Changes whatever there is, and wakes all who wait.
    pub fn change<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        self.state.change(f)
    }

    /// Creates or updates the objects of a manifest.
    pub fn put(&self, manifest: &str) {
        let (docs, faults) = flowhy::world::yaml::read("manifest", manifest);
        assert!(faults.is_empty(), "{faults:?}");
        self.change(|s| docs.iter().for_each(|d| s.put(json(&d.root))));
    }

    /// `resource` is the plural with its group: `pods`, `networkpolicies.networking.k8s.io`. The namespace is empty where there is none.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) {
        self.change(|s| s.delete(resource, namespace, name));
    }

    /// The CRDs of a group come.
    pub fn install(&self, group: &str) {
        self.change(|s| s.groups.insert(group.to_owned()));
    }

    /// Nobody may read the resource any more, or everybody again.
    pub fn forbid(&self, resource: &str, yes: bool) {
        self.change(|s| if yes { s.forbidden.insert(resource.to_owned()) } else { s.forbidden.remove(resource) });
    }

    /// Old versions are forgotten: who resumes from one is told 410.
    pub fn forget(&self) {
        self.change(Inner::forget);
    }

    /// All watches end well, as after their `timeoutSeconds`.
    pub fn end_watches(&self) {
        self.change(|s| s.ended += 1);
    }

    /// All connections break, in the middle of whatever they carry.
    pub fn cut(&self) {
        self.change(|s| std::mem::take(&mut s.connections).cancel());
    }

    /// All connections break and no new one is served, until `up`.
    pub fn down(&self) {
        self.change(|s| s.down = true);
        self.cut();
    }

    pub fn up(&self) {
        self.change(|s| s.down = false);
    }

    /// Requests of paths that begin so wait, until `release`.
    pub fn hold(&self, path: &str) {
        self.change(|s| s.held.insert(path.to_owned()));
    }

    pub fn release(&self, path: &str) {
        self.change(|s| s.held.remove(path));
    }

    /// Something listens in a pod: `namespace/pod:port`.
    pub fn listen(&self, place: &str, at: SocketAddr) {
        self.change(|s| s.ports.insert(place.to_owned(), at));
    }

    /// What was asked so far, by path; watches as `PATH?watch`.
    pub fn counts(&self) -> BTreeMap<String, Count> {
        self.state.lock().counts.clone()
    }

    pub fn requests(&self, path: &str) -> u64 {
        self.counts().get(path).map_or(0, |c| c.requests)
    }

    /// Waits until a path was asked for so many times.
    pub async fn asked(&self, path: &str, times: u64) {
        let wait = self.state.until(|s| s.counts.get(path).is_some_and(|c| c.requests >= times).then_some(()));
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{path} was not asked for {times} times: {:#?}", self.counts());
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, state: Arc<State>, stop: CancellationToken) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (down, cut) = {
            let s = state.lock();
            (s.down, s.connections.clone())
        };
        if down {
            continue;
        }
        let state = Arc::clone(&state);
        let serve = async move {
            let service = hyper::service::service_fn(move |request| serve(Arc::clone(&state), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = serve => {}
                () = cut.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let path = request.uri().path().to_owned();
    let query = answer::query(request.uri().query().unwrap_or(""));
    let watch = query.get("watch").is_some_and(|w| w == "1" || w == "true");
    state.change(|s| {
        s.count(&path, watch).requests += 1;
        s.waiting += 1;
    });
    state.until(|s| (!s.held.iter().any(|h| path.starts_with(h.as_str()))).then_some(())).await;
    state.change(|s| s.waiting -= 1);
    if path.ends_with("/portforward") {
        return Ok(forward::answer(&state, &path, &query, request));
    }
    let accept = request.headers().get("accept").and_then(|a| a.to_str().ok()).unwrap_or("").to_owned();
    let mut answer = answer::answer(&state, &path, &query, watch, &accept);
    let date = chrono::Utc::now() + chrono::Duration::seconds(state.lock().ahead);
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().insert("date", date.parse().map_err(std::io::Error::other)?);
    Ok(answer)
}

/// A manifest's tree as JSON.
fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::from(*b),
        Yaml::Int(i) => Value::from(*i),
        Yaml::Float(f) => Value::from(*f),
        Yaml::Str(s) => Value::from(s.as_str()),
        Yaml::Seq(items) => items.iter().map(json).collect(),
        Yaml::Map(entries) => Value::Object(entries.iter().map(|e| (e.key.clone(), json(&e.value))).collect()),
    }
}
