//! Drops explained by the policies that a cluster has: the same as by the manifests they were made from, changed when they change, and
//! undecidable where they may not be read.
use super::api::Api;
use super::{START, ring, runtime, serve_at, text, watch};
use flowhy::demo::{self, Simulation};
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{Change, Codec, Frame, Input};
use flowhy::model::time::Nanos;
use flowhy::model::why::{Outcome, Why};
use flowhy::serve::Listen;
use flowhy::source::{Inbox, Source as _, Stop, channel};
use flowhy::wire::pb::observer::GetFlowsResponse;
use prost::Message as _;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::DropGuard;

/// The demo's manifests that a cluster's API serves as they are: policies and namespaces.
fn manifests() -> Vec<(&'static str, &'static str)> {
    demo::manifests().into_iter().filter(|(file, _)| file.contains("policies") || file.contains("namespaces")).collect()
}

pub fn filled(api: &Api) {
    ["cilium.io", "policy.networking.k8s.io"].iter().for_each(|g| api.install(g));
    manifests().iter().for_each(|(_, manifest)| api.put(manifest));
}

#[test]
fn a_cluster_explains_what_its_manifests_explain() {
    let runtime = runtime();
    let (ring, _) = ring(4000);
    let dir = tempfile::tempdir().unwrap();
    for (file, manifest) in manifests() {
        std::fs::write(dir.path().join(file.rsplit('/').next().unwrap()), manifest).unwrap();
    }
    let (api, server) = runtime.block_on(async { (Api::start().await, serve_at(&ring, Listen::loopback()).await) });
    filled(&api);
    let kubeconfig = api.kubeconfig(dir.path(), "prod");
    let drops = |more: &[&str]| {
        let mut all =
            vec!["observe", "--server", server.address.as_str(), "--last", "3000", "--verdict", "DROPPED", "--why", "-o", "jsonpb"];
        all.extend_from_slice(more);
        let o = super::flowhy(&all).env("HOME", dir.path()).env_remove("KUBECONFIG").output().unwrap();
        assert_eq!(o.status.code(), Some(0), "{}", text(&o.stderr));
        let told = |l: &str| {
            let v: Value = serde_json::from_str(l).unwrap();
            let why = &v["why"];
            format!("{} {} {} {} {}", v["flow"]["uuid"], why["outcome"], why["policies"], why["nearest"]["rule"], why["missing"])
        };
        text(&o.stdout).lines().map(told).collect::<Vec<_>>()
    };
    let files = drops(&["--policies", dir.path().to_str().unwrap()]);
    assert!(files.len() > 50 && files.iter().any(|l| l.contains("default-deny")), "{files:#?}");
    let config = kubeconfig.to_str().unwrap();
    let cluster = drops(&["--kubeconfig", config, "--kube-context", "prod"]);
    assert_eq!(cluster, files);
    // Policies that are given stand in place of the cluster's.
    std::fs::write(dir.path().join("none.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: none}\n").unwrap();
    let none = dir.path().join("none.yaml");
    let given = drops(&["--kubeconfig", config, "--kube-context", "prod", "--policies", none.to_str().unwrap()]);
    assert!(given.iter().all(|l| !l.contains("default-deny")), "{given:#?}");
}

/// An engine that a cluster is watched for, in this thread.
struct Watched {
    engine: Engine,
    inbox: Inbox,
    _stop: DropGuard,
}

impl Watched {
    async fn of(api: &Api) -> Self {
        let (feed, inbox) = channel(64);
        let stop = Stop::new();
        let (watch, settled) = watch::settling(api);
        tokio::spawn(Box::new(watch).run(feed, stop.clone()));
        let engine = Engine::new(Options { explain: Explain::Drops, ..Options::default() });
        let mut me = Self { engine, inbox, _stop: stop.drop_guard() };
        let settled = settled.wait();
        tokio::pin!(settled);
        loop {
            tokio::select! {
                batch = me.inbox.recv() => me.take(batch),
                () = &mut settled => break,
            }
        }
        while let Ok(batch) = tokio::time::timeout(Duration::ZERO, me.inbox.recv()).await {
            me.take(batch);
        }
        me
    }

    fn take(&mut self, batch: Option<Vec<Input>>) {
        for input in batch.expect("a watch does not end") {
            self.engine.feed(input, &mut |_| {});
        }
    }

    /// Reads until an object of this name has come.
    async fn told(&mut self, file: &str) {
        loop {
            let batch = tokio::time::timeout(Duration::from_secs(60), self.inbox.recv()).await.expect("it comes");
            let found = batch
                .iter()
                .flatten()
                .any(|i| matches!(i, Input::World(at) if matches!(&at.change, Change::Apply(d) if d.text.file == file)));
            self.take(batch);
            if found {
                return;
            }
        }
    }

    fn explain(&mut self, response: &GetFlowsResponse) -> Option<Arc<Why>> {
        let frame = Frame { codec: Codec::Hubble, from: Arc::from("here"), line: 0, bytes: response.encode_to_vec().into(), broken: None };
        let mut why = None;
        self.engine.feed(Input::Frame(frame), &mut |e| why = e.why.cloned());
        why
    }
}

/// Drops of a simulation that begins then, until one is found.
fn drop_of(start: Nanos, mut found: impl FnMut(&GetFlowsResponse) -> bool) -> GetFlowsResponse {
    let mut simulation = Simulation::new(1, start);
    let all = std::iter::repeat_with(move || simulation.next().1).take(20_000);
    all.into_iter().find(|r| found(r)).expect("the demo has such a drop")
}

#[tokio::test]
async fn an_explanation_changes_when_the_policy_changes() {
    let api = Api::start().await;
    filled(&api);
    let mut watched = Watched::of(&api).await;
    let mut policy = None;
    let before = drop_of(START, |r| {
        let why = watched
            .explain(r)
            .filter(|w| w.outcome == Outcome::DefaultDeny && w.direction == Some(flowhy::model::observed::Direction::Ingress));
        policy = why.and_then(|w| w.policies.first().cloned()).filter(|p| p.kind == "NetworkPolicy");
        policy.is_some()
    });
    let policy = policy.unwrap();
    let (namespace, name) = (policy.namespace.unwrap(), policy.name);
    // Two hours later by the cluster's clock somebody takes away all its rules but one, which allows everything.
    let key = ("networkpolicies.networking.k8s.io".to_owned(), namespace.clone(), name.clone());
    api.change(|s| {
        let mut object = Value::clone(&s.objects[&key]);
        object["spec"]["ingress"] = serde_json::json!([{}]);
        let later = START.plus(7200 * Nanos::SECOND).to_string();
        object["metadata"]["managedFields"] = serde_json::json!([{"manager": "kubectl-edit", "operation": "Update", "time": later}]);
        s.put(object);
    });
    watched.told(&format!("NetworkPolicy/{namespace}/{name}")).await;
    let mut later = before;
    let time = |n: i64| {
        let (seconds, nanos) = START.plus(n * Nanos::SECOND).parts();
        Some(prost_types::Timestamp { seconds, nanos })
    };
    later.time = time(10_000);
    if let Some(flowhy::wire::pb::observer::get_flows_response::ResponseTypes::Flow(f)) = &mut later.response_types {
        f.time = time(10_000);
        f.uuid = "later".to_owned();
    }
    assert_eq!(watched.explain(&later).unwrap().outcome, Outcome::NowAllowed);
    // Whose the policy is stands beside what it does.
    api.change(|s| {
        let mut object = Value::clone(&s.objects[&key]);
        object["spec"]["ingress"] = serde_json::json!([]);
        object["metadata"]["labels"] = serde_json::json!({"argocd.argoproj.io/instance": "shop"});
        let later = START.plus(7300 * Nanos::SECOND).to_string();
        object["metadata"]["managedFields"] = serde_json::json!([{"manager": "argocd-controller", "operation": "Update", "time": later}]);
        s.put(object);
    });
    watched.told(&format!("NetworkPolicy/{namespace}/{name}")).await;
    let why = watched.explain(&later).unwrap();
    let said = format!("NetworkPolicy {namespace}/{name} was last changed by argocd-controller at ");
    let said = why.because.iter().any(|b| b.starts_with(&said) && b.ends_with(" and is kept by Argo CD application shop"));
    assert!(why.outcome == Outcome::DefaultDeny && said, "{why:#?}");
}

#[tokio::test]
async fn an_old_drop_still_cites_the_version_that_dropped_it() {
    let api = Api::start().await;
    filled(&api);
    let mut watched = Watched::of(&api).await;
    // After the lists, since when every change is known.
    let begin = Nanos::from(std::time::SystemTime::now()).plus(3_600 * Nanos::SECOND);
    let mut first = None;
    let drop = drop_of(begin, |r| {
        first = watched.explain(r).filter(|w| {
            w.outcome == Outcome::DefaultDeny
                && w.direction == Some(flowhy::model::observed::Direction::Ingress)
                && w.policies.first().is_some_and(|p| p.kind == "NetworkPolicy")
        });
        first.is_some()
    });
    let first = first.unwrap();
    let policy = first.policies[0].clone();
    let (namespace, name) = (policy.namespace.unwrap(), policy.name);
    let key = ("networkpolicies.networking.k8s.io".to_owned(), namespace.clone(), name.clone());
    api.change(|s| {
        let mut object = Value::clone(&s.objects[&key]);
        object["spec"]["ingress"] = serde_json::json!([{}]);
        let later = begin.plus(7_200 * Nanos::SECOND).to_string();
        object["metadata"]["managedFields"] = serde_json::json!([{"manager": "kubectl-edit", "operation": "Update", "time": later}]);
        s.put(object);
    });
    watched.told(&format!("NetworkPolicy/{namespace}/{name}")).await;
    let old = watched.explain(&drop).unwrap();
    assert_eq!((old.outcome, &old.policies, &old.nearest), (Outcome::DefaultDeny, &first.policies, &first.nearest), "{old:#?}");
    assert!(old.changed_since.iter().any(|c| c.name == name && c.what == "changed"), "{old:#?}");
    // The same packet after the change is another matter.
    let mut new = drop;
    let (seconds, nanos) = begin.plus(10_000 * Nanos::SECOND).parts();
    new.time = Some(prost_types::Timestamp { seconds, nanos });
    if let Some(flowhy::wire::pb::observer::get_flows_response::ResponseTypes::Flow(f)) = &mut new.response_types {
        f.time = new.time;
        f.uuid = "new".to_owned();
    }
    assert_eq!(watched.explain(&new).unwrap().outcome, Outcome::NowAllowed);
}

#[tokio::test]
async fn what_may_not_be_read_makes_undecidable_what_depends_on_it() {
    let api = Api::start().await;
    filled(&api);
    api.forbid("ciliumnetworkpolicies.cilium.io", true);
    let mut watched = Watched::of(&api).await;
    let drop = drop_of(START, |r| {
        watched
            .explain(r)
            .is_some_and(|w| w.outcome == Outcome::Undecidable && w.missing.iter().any(|m| m == "policies:ciliumnetworkpolicies forbidden"))
    });
    let why = watched.explain(&drop).unwrap();
    let said = why.because.iter().any(|b| b.contains("the right to list ciliumnetworkpolicies.cilium.io in all namespaces is missing"));
    assert!(said, "{:#?}", why.because);
}

#[tokio::test]
async fn a_pod_that_cilium_does_not_manage_is_no_peer_by_its_labels() {
    let api = Api::start().await;
    filled(&api);
    let pods = [("cart", "10.0.0.1"), ("old", "10.0.0.2"), ("db", "10.0.0.3")];
    for (name, ip) in pods {
        api.put(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: store, labels: {{app: {name}, part: store}}, creationTimestamp: '2026-01-01T00:00:00Z'}}\nspec: {{nodeName: n1}}\nstatus: {{phase: Running, podIP: {ip}, startTime: '2026-01-01T00:00:00Z'}}\n"));
    }
    for name in ["cart", "db"] {
        api.put(&format!("apiVersion: cilium.io/v2\nkind: CiliumEndpoint\nmetadata: {{name: {name}, namespace: store, labels: {{app: {name}}}}}\nstatus: {{state: ready}}\n"));
    }
    api.put("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: store, creationTimestamp: '2026-01-01T00:00:00Z'}\nspec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {part: store}}}]}]}\n");
    // An agent that knows addresses only.
    let drop_from = |ip: &str| {
        let line = format!(
            r#"{{"flow":{{"time":"{}","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","drop_reason":133,"traffic_direction":"INGRESS","node_name":"n1","Type":"L3_L4","IP":{{"source":"{ip}","destination":"10.0.0.3","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":5432,"flags":{{"SYN":true}}}}}}}}}}"#,
            START.plus(7200 * Nanos::SECOND)
        );
        Input::Frame(Frame { codec: Codec::HubbleJson, from: Arc::from("here"), line: 0, bytes: line.into_bytes().into(), broken: None })
    };
    let explain = |watched: &mut Watched, ip: &str| {
        let mut why = None;
        watched.engine.feed(drop_from(ip), &mut |e| why = e.why.cloned());
        why.unwrap()
    };
    let said = |why: &Why| why.diagnosis.iter().any(|d| d.id == "unmanaged-pod" && d.text.contains("store/old (it had no CiliumEndpoint)"));
    let mut watched = Watched::of(&api).await;
    let old = explain(&mut watched, "10.0.0.2");
    assert!(old.outcome == Outcome::DefaultDeny && said(&old), "{old:#?}");
    let cart = explain(&mut watched, "10.0.0.1");
    assert!(cart.outcome == Outcome::Undecidable || cart.agreement == flowhy::model::why::Agreement::Disagrees, "{cart:#?}");
    assert!(!said(&cart));
    // Where the list may not be read, nothing is claimed.
    api.forbid("ciliumendpoints.cilium.io", true);
    let mut watched = Watched::of(&api).await;
    assert!(!said(&explain(&mut watched, "10.0.0.2")));
}
