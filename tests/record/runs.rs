//! Two runs of a recorder: what came and went between them nobody watched, and what the second does not name is gone. In one set of files, and in
//! two recordings of one cluster; those of two clusters stay apart.
use super::fine;
use flowhy::model::input::Change;
use flowhy::model::time::Nanos;
use flowhy::source::tape::{Next, Tape};
use serde_json::{Value, json};
use std::path::Path;

const DAY: i64 = 86_400;
const KINDS: &[(&str, &str)] = &[
    ("networking.k8s.io", "NetworkPolicy"),
    ("cilium.io", "CiliumNetworkPolicy"),
    ("cilium.io", "CiliumClusterwideNetworkPolicy"),
    ("", "Pod"),
    ("", "Node"),
    ("", "Service"),
    ("", "Namespace"),
];

fn time(second: i64) -> String {
    // 2026-01-31.
    Nanos((1_769_817_600 + second) * Nanos::SECOND).to_string()
}

/// A recording's lines.
#[derive(Default)]
pub struct Lines(pub String);

impl Lines {
    pub fn put(&mut self, line: &Value) {
        self.0.push_str(&format!("{line}\n"));
    }

    pub fn world(&mut self, at: i64, what: Value) {
        let mut world = json!({"time": time(at)});
        world.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        self.put(&json!({"world": world}));
    }

    pub fn object(&mut self, at: i64, cluster: &str, kind: &str, name: &str, body: &str) {
        let api = match kind {
            "NetworkPolicy" => "networking.k8s.io/v1",
            _ => "v1",
        };
        let body = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}{body}\n");
        self.world(at, json!({"cluster": cluster, "apply": {"file": format!("{kind}/{name}"), "body": body}}));
    }

    /// All that is known from a time on: two pods, and policies that let another app than the client's in.
    pub fn snapshot(&mut self, (said, listed): (i64, i64), (cluster, node): (&str, &str), policies: &[&str]) {
        self.world(said, json!({"snapshot": "begin"}));
        for (group, kind) in KINDS {
            self.world(listed, json!({"cluster": cluster, "kind": {"group": group, "kind": kind, "state": "synced"}}));
        }
        self.object(-DAY, cluster, "Namespace", "shop", "}");
        self.object(-DAY, cluster, "Node", node, "}\nstatus: {addresses: [{type: InternalIP, address: 172.18.0.2}]}");
        for (name, app, ip) in [("db-0", "db", "10.0.0.2"), ("cart-0", "cart", "10.0.0.1")] {
            let rest = format!(
                ", namespace: shop, labels: {{app: {app}}}}}\nspec: {{nodeName: {node}}}\nstatus: {{phase: Running, podIP: {ip}, startTime: '{}'}}",
                time(-DAY)
            );
            self.object(-DAY, cluster, "Pod", name, &rest);
        }
        for name in policies {
            let rest = format!(
                ", namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: {name}}}}}}}]}}]}}"
            );
            self.object(-DAY, cluster, "NetworkPolicy", name, &rest);
        }
        self.world(said, json!({"snapshot": "end"}));
    }

    pub fn drop(&mut self, at: i64, node: &str) {
        let party = |app: &str, name: &str| {
            json!({"namespace": "shop", "pod_name": name, "identity": 1000,
                "labels": [format!("k8s:app={app}"), "k8s:io.kubernetes.pod.namespace=shop"]})
        };
        self.put(&json!({"flow": {
            "time": time(at), "verdict": "DROPPED", "drop_reason": 133, "drop_reason_desc": "POLICY_DENIED", "Type": "L3_L4",
            "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40_000, "destination_port": 80, "flags": {"SYN": true}}},
            "source": party("cart", "cart-0"), "destination": party("db", "db-0"),
            "node_name": node, "event_type": {"type": 5}, "traffic_direction": "INGRESS", "is_reply": false,
        }, "node_name": node, "time": time(at)}));
    }

    pub fn save(self, dir: &Path, name: &str) -> String {
        let path = dir.join(name);
        std::fs::write(&path, self.0).unwrap();
        path.to_string_lossy().into_owned()
    }
}

/// Of each drop: outcome, and the policies named; nothing of others.
pub fn whys(files: &[&str]) -> Vec<String> {
    let mut args = vec!["observe", "-q", "--why", "-o", "jsonpb"];
    files.iter().for_each(|f| args.extend(["--input-file", f]));
    let said = |line: &str| {
        let v: Value = serde_json::from_str(line).unwrap();
        if v["why"].is_null() {
            return String::new();
        }
        let names: Vec<&str> = v["why"]["policies"].as_array().into_iter().flatten().map(|p| p["name"].as_str().unwrap()).collect();
        format!("{} {}", v["why"]["outcome"].as_str().unwrap(), names.join(","))
    };
    fine(&args).lines().map(said).collect()
}

#[test]
fn of_two_recordings_of_one_cluster_what_the_second_does_not_name_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let day = |day: i64, policy: &str, name: &str| {
        let mut l = Lines::default();
        l.snapshot((day * DAY, day * DAY), ("c", "n1"), &[policy]);
        l.drop(day * DAY + 600, "n1");
        l.save(dir.path(), name)
    };
    let (monday, tuesday) = (day(0, "old", "mon.jsonl"), day(1, "new", "tue.jsonl"));
    let both = ["default-deny old", "default-deny new"];
    assert_eq!(whys(&[&monday, &tuesday]), both);
    assert_eq!(whys(&[&tuesday, &monday]), both, "in whatever order they are named");
}

#[test]
fn a_drop_between_two_runs_is_not_blamed_on_what_either_of_them_saw() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = Lines::default();
    one.snapshot((0, 0), ("c", "n1"), &["old", "both"]);
    one.drop(300, "n1");
    one.save(dir.path(), "r.jsonl.0001");
    // Begun at 6000 with what the server had kept; its snapshot is dated by the first record.
    let mut two = Lines::default();
    two.snapshot((1_800, 6_000), ("c", "n1"), &["both"]);
    [1_800, 2_400, 6_100].into_iter().for_each(|at| two.drop(at, "n1"));
    two.save(dir.path(), "r.jsonl.0002");
    let all = whys(&[&dir.path().join("r.jsonl").to_string_lossy()]);
    assert_eq!(all[0], "default-deny both,old");
    assert!(all[1].starts_with("undecidable") && all[2].starts_with("undecidable"), "{all:?}");
    assert_eq!(all[3], "default-deny both");
}

#[test]
fn two_recorders_at_once_stay_merged() {
    let dir = tempfile::tempdir().unwrap();
    let of = |from: i64, policies: &[&str], name: &str| {
        let mut l = Lines::default();
        l.snapshot((from, from), ("c", "n1"), policies);
        l.drop(from + 100, "n1");
        l.drop(from + 200, "n1");
        l.save(dir.path(), name)
    };
    let all = whys(&[&of(0, &["a"], "a.jsonl"), &of(50, &["a"], "b.jsonl")]);
    assert!(all.len() == 4 && all.iter().all(|w| w == "default-deny a"), "{all:?}");
}

#[test]
fn two_clusters_of_one_name_are_told_apart_by_their_nodes_at_once_and_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let of = |from: i64, node: &str, policy: &str, name: &str| {
        let mut l = Lines::default();
        l.snapshot((from, from), ("in-cluster", node), &[policy]);
        l.drop(from + 100, node);
        l.drop(from + 200, node);
        l.save(dir.path(), name)
    };
    let (east, west, later) = (of(0, "e1", "east", "e.jsonl"), of(50, "w1", "west", "w.jsonl"), of(DAY, "l1", "late", "l.jsonl"));
    let own = ["default-deny east", "default-deny west", "default-deny east", "default-deny west"];
    assert_eq!(whys(&[&east, &west]), own);
    assert_eq!(whys(&[&east, &west, &later])[..4], own);
    assert_eq!(whys(&[&later, &east])[2..], ["default-deny late"; 2]);
}

#[test]
fn flows_of_after_a_recordings_end_are_not_judged_by_its_last_state() {
    let dir = tempfile::tempdir().unwrap();
    let of = |from: i64, until: i64, policy: &str, name: &str| {
        let mut l = Lines::default();
        l.snapshot((from, from), ("c", "n1"), &[policy]);
        l.drop(until, "n1");
        l.save(dir.path(), name)
    };
    let flows = |at: &[i64], name: &str| {
        let mut l = Lines::default();
        at.iter().for_each(|at| l.drop(*at, "n1"));
        l.save(dir.path(), name)
    };
    let (first, late) = (of(0, 300, "old", "r.jsonl"), flows(&[150, 290, 310, 5_000], "flows.json"));
    let told = ["default-deny old", "default-deny old", "default-deny old", "undecidable ", "undecidable "];
    assert_eq!(whys(&[&first, &late]), told);
    assert_eq!(whys(&[&late, &first]), told, "in whatever order they are named");
    assert_eq!(whys(&[&late]), ["undecidable "; 4]);
    // Another recorder of the cluster still ran; and one began again.
    let (second, next) = (of(10, 900, "old", "s.jsonl"), of(9_000, 9_100, "new", "n.jsonl"));
    let both = whys(&[&first, &second, &flows(&[310, 1_000], "more.json")]);
    assert_eq!(both, ["default-deny old", "default-deny old", "default-deny old", "undecidable "]);
    let all = whys(&[&first, &next, &flows(&[5_000, 9_050, 9_200], "last.json")]);
    assert_eq!(all, ["default-deny old", "undecidable ", "default-deny new", "default-deny new", "undecidable "]);
}

#[test]
fn what_is_missing_after_a_recordings_end_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut r, mut l) = (Lines::default(), Lines::default());
    r.snapshot((0, 0), ("c", "n1"), &["old"]);
    r.drop(300, "n1");
    l.drop(5_000, "n1");
    let out = fine(&["why", "--from", &r.save(dir.path(), "r.jsonl"), "--from", &l.save(dir.path(), "l.json"), "-o", "json"]);
    let all: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let open = all.iter().find(|w| w["outcome"] == "undecidable").unwrap_or_else(|| panic!("{out}"));
    assert!(open["missing"].as_array().unwrap().contains(&json!("policies:networkpolicies stale")), "{open}");
    assert!(open["because"].to_string().contains("nothing was recorded then"), "{open}");
}

/// The times that no recording covers, in seconds, as whoever reads the files is told.
fn uncovered(files: &[&str]) -> Vec<(i64, i64)> {
    let paths: Vec<String> = files.iter().map(|f| (*f).to_owned()).collect();
    let mut out = Vec::new();
    for next in Tape::open(&paths).unwrap() {
        let Next::Changes(all) = next else { continue };
        for at in all {
            if let Change::Gap(g) = at.change {
                assert!(g.server.is_empty() && g.node.is_empty());
                out.push((g.from, g.until));
            }
        }
    }
    let second = |t: Nanos| t.0 / Nanos::SECOND - 1_769_817_600;
    out.into_iter().map(|(from, until)| (second(from), second(until))).collect()
}

#[test]
fn between_two_recordings_and_two_runs_lies_a_time_that_is_not_covered_and_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let run = |from: i64, name: &str| {
        let mut l = Lines::default();
        l.snapshot((from, from), ("c", "n1"), &["old"]);
        [from, from + 600].into_iter().for_each(|at| l.drop(at, "n1"));
        l.save(dir.path(), name)
    };
    let (first, second) = (run(0, "a.jsonl"), run(DAY, "b.jsonl"));
    assert_eq!(uncovered(&[&second, &first]), [(600, DAY)], "two recordings");
    // Without any state it is so all the same.
    let bare = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let flows: String = text.lines().filter(|l| l.contains("\"flow\"")).map(|l| format!("{l}\n")).collect();
        std::fs::write(path, flows).unwrap();
    };
    [&first, &second].into_iter().for_each(|path| bare(path));
    assert_eq!(uncovered(&[&first, &second]), [(600, DAY)], "two files of flows");
    run(0, "r.jsonl.0001");
    run(DAY, "r.jsonl.0002");
    let set = dir.path().join("r.jsonl").to_string_lossy().into_owned();
    assert_eq!(uncovered(&[&set]), [(600, DAY)], "two runs into one set");
    // The second began within what the first recorded, or with what a server had kept of it.
    run(300, "s.jsonl");
    assert_eq!(uncovered(&[&dir.path().join("s.jsonl").to_string_lossy(), &first]), []);
    let mut two = Lines::default();
    two.snapshot((500, 6_000), ("c", "n1"), &["old"]);
    [500, 6_100].into_iter().for_each(|at| two.drop(at, "n1"));
    run(0, "k.jsonl.0001");
    two.save(dir.path(), "k.jsonl.0002");
    assert_eq!(uncovered(&[&dir.path().join("k.jsonl").to_string_lossy()]), [], "the first record is older than the lists");
}
