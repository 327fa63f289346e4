//! What a cluster says of its enforcement is recorded with its flows: pods that Cilium does not manage, those that were there once among
//! them, and its audit mode. A replay explains each drop with the same words.
use crate::change::{engine, kinds, whys};
use crate::saved::played;
use flowhy::engine::Engine;
use flowhy::model::input::{At, Change, Codec, Frame, Input, Kind, KindState, ObjectId};
use flowhy::model::time::Nanos;
use flowhy::policy::Judging;
use flowhy::world::yaml;
use serde_json::{Value, json};
use std::sync::Arc;

/// 2026-01-31T14:00:00Z.
const BEGIN: i64 = 1_769_868_000;

fn moment(second: i64) -> Nanos {
    Nanos((BEGIN + second) * Nanos::SECOND)
}

fn world(second: i64, change: Change) -> Input {
    Input::World(At { cluster: "".into(), at: Some(moment(second)), change })
}

fn put(second: i64, object: &Value) -> Input {
    let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
    let doc = yaml::read(&name, &serde_json::to_string_pretty(object).unwrap()).0.remove(0);
    world(second, Change::Apply(Arc::new(doc)))
}

fn gone(second: i64, group: &str, kind: &str, name: &str) -> Input {
    world(second, Change::Remove(ObjectId { group: group.into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }))
}

fn pod(name: &str, ip: &str, started: i64) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}, "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "podIP": ip, "startTime": moment(started).to_string()}})
}

fn endpoint(name: &str) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint", "metadata": {"name": name, "namespace": "shop"}})
}

/// As an agent tells it that knows addresses only.
fn flow(second: i64, from: &str, verdict: &str) -> Input {
    let time = moment(second).to_string();
    let line = json!({"flow": {"time": time, "uuid": format!("{second} {from}"), "verdict": verdict, "IP": {"source": from, "destination": "10.0.0.3"},
        "l4": {"TCP": {"source_port": 40_000, "destination_port": 5432}}, "traffic_direction": "INGRESS", "drop_reason_desc": "POLICY_DENIED",
        "node_name": "n1"}, "node_name": "n1", "time": time});
    Input::Frame(Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes: line.to_string().into(), broken: None })
}

fn inputs() -> Vec<Input> {
    let kinds = [
        ("", "Pod"),
        ("", "Node"),
        ("", "Namespace"),
        ("", "Service"),
        ("", "ConfigMap"),
        ("cilium.io", "CiliumEndpoint"),
        ("networking.k8s.io", "NetworkPolicy"),
    ];
    let state = |state: &KindState| -> Vec<Input> {
        let kind = |(group, kind): (&str, &str)| Kind { group: group.into(), kind: kind.into(), state: state.clone() };
        kinds.into_iter().map(|k| world(0, Change::Kind(kind(k)))).collect()
    };
    let rule = json!({"from": [{"podSelector": {"matchLabels": {"app": "old"}}}]});
    let mut all = state(&KindState::Loading);
    all.extend(
        [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"policy-audit-mode": "true"}}),
            pod("old", "10.0.0.2", -3_600),
            pod("db", "10.0.0.3", -3_600),
            pod("web", "10.0.0.4", -3_600),
            endpoint("db"),
            endpoint("web"),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db", "namespace": "shop"},
                "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [rule]}}),
        ]
        .iter()
        .map(|o| put(0, o)),
    );
    all.extend(state(&KindState::Synced));
    all.extend([flow(100, "10.0.0.2", "DROPPED"), flow(101, "10.0.0.4", "AUDIT"), flow(102, "10.0.0.2", "AUDIT")]);
    // It is started anew, and managed from then on.
    all.extend([gone(600, "", "Pod", "old"), put(600, &pod("old", "10.0.0.2", 600)), put(605, &endpoint("old"))]);
    all.extend([flow(1_500, "10.0.0.2", "DROPPED"), flow(1_501, "10.0.0.2", "AUDIT"), flow(300, "10.0.0.2", "DROPPED")]);
    all
}

fn judged(e: &Engine) -> Vec<String> {
    Judging::of(e.judging(), e.policies()).unusual()
}

#[test]
fn unmanaged_pods_and_audit_mode_are_explained_alike_after_a_replay() {
    let all = inputs();
    let (mut live, mut direct) = (engine(), Vec::new());
    all.iter().cloned().for_each(|i| whys(&mut live, i, &mut direct));
    let told: Vec<Value> = direct.iter().map(|(_, why)| serde_json::from_str(why).unwrap()).collect();
    let unmanaged = |w: &Value| w["diagnosis"].to_string().contains("Cilium does not manage shop/old (it had no CiliumEndpoint)");
    assert_eq!(told.iter().map(unmanaged).collect::<Vec<_>>(), [true, false, true, false, false, true], "{told:#?}");
    let outcomes: Vec<&str> = told.iter().map(|w| w["outcome"].as_str().unwrap()).collect();
    let (deny, now) = ("default-deny", "now-allowed");
    assert_eq!(outcomes, [deny, deny, deny, now, now, deny], "{told:#?}");
    assert!(told[4]["text"].as_str().unwrap().starts_with("it would be dropped, yet"), "{}", told[4]);
    let words = ["policy-audit-mode on: nothing is dropped (from cilium-config)"];
    assert_eq!(judged(&live), words);
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in kinds(&all, dir.path()) {
        let (e, got) = played(&path);
        assert!(got == direct, "{name}: {got:#?}");
        assert_eq!(judged(&e), words, "{name}");
    }
}
