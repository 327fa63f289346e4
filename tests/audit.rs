//! `flowhy audit`: what it finds in manifests, what a recording proves, and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn run(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("FLOWHY_") || n.starts_with("HUBBLE_")) {
        c.env_remove(name);
    }
    c.env("XDG_CONFIG_HOME", "/nonexistent").args(args).output().unwrap()
}

fn out(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

/// A folder with one manifest file and one recording.
fn scene(manifests: &str, flows: &[Value]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k8s.yaml"), manifests).unwrap();
    let lines: String = flows.iter().map(|f| format!("{f}\n")).collect();
    std::fs::write(dir.path().join("flows.jsonl"), lines).unwrap();
    dir
}

fn at(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

/// The report as JSON, and the exit code.
fn report(manifests: &str, more: &[&str]) -> (Value, i32) {
    let dir = scene(manifests, &[]);
    json_of(&[&["audit", "--policies", &at(&dir, "k8s.yaml"), "-o", "json", "-q"], more].concat())
}

fn json_of(args: &[&str]) -> (Value, i32) {
    let o = run(args);
    let text = out(&o);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&o.stderr)));
    (value, o.status.code().unwrap())
}

/// `severity id namespace direction`, each once.
fn found(r: &Value) -> BTreeSet<String> {
    let word = |f: &Value, k: &str| f[k].as_str().unwrap_or("-").to_lowercase();
    let all = r["findings"].as_array().unwrap().iter();
    all.map(|f| format!("{} {} {} {}", word(f, "severity"), word(f, "id"), word(f, "namespace"), word(f, "direction"))).collect()
}

fn text_of(r: &Value, id: &str) -> String {
    let all = r["findings"].as_array().unwrap();
    all.iter().find(|f| f["id"] == id).unwrap_or_else(|| panic!("no {id}: {r:#}"))["text"].as_str().unwrap().to_owned()
}

fn namespace(name: &str) -> String {
    format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: {name}}}\n---\n")
}

fn pod(ns: &str, name: &str, app: &str) -> String {
    format!(
        "kind: Pod\napiVersion: v1\nmetadata: {{name: {name}, namespace: {ns}, labels: {{app: {app}}}}}\nspec: {{containers: []}}\n---\n"
    )
}

/// A NetworkPolicy with this `spec`, in YAML's flow style.
fn policy(ns: &str, name: &str, spec: &str) -> String {
    format!("kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {spec}\n---\n")
}

const DENY_ALL: &str = "{podSelector: {}, policyTypes: [Ingress, Egress]}";

fn tally(r: &Value, direction: &str) -> Value {
    json!([r[direction]["closed"], r[direction]["open"], r[direction]["unknown"], r[direction]["uncovered"], r[direction]["total"]])
}

#[test]
fn default_deny_is_what_isolates_and_not_what_is_called_so() {
    // Called default-deny and closes one pod; called whatever and closes all of another namespace.
    let yaml = [
        namespace("shop") + &namespace("pay"),
        pod("shop", "web", "web") + &pod("shop", "db", "db") + &pod("pay", "api", "api"),
        policy("shop", "default-deny", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}"),
        policy("pay", "whatever", DENY_ALL),
    ]
    .concat();
    let (r, code) = report(&yaml, &[]);
    assert_eq!(code, 1);
    assert_eq!((tally(&r, "ingress"), tally(&r, "egress")), (json!([2, 1, 0, 0, 3]), json!([1, 2, 0, 0, 3])));
    let all = found(&r);
    assert!(all.contains("open not-isolated shop ingress") && all.contains("open not-isolated shop egress"), "{all:?}");
    assert!(!all.iter().any(|f| f.contains("not-isolated pay") || f.contains("no-default-deny pay")), "{all:?}");
    assert_eq!(r["findings"][0]["pods"], json!(["shop/web"]), "the namespace with the most open comes first, ingress before egress");
    assert_eq!(r["namespaces"][0]["name"], "shop");
    let by = &r["namespaces"][1]["pods"][0]["egress"]["by"];
    assert_eq!(by, &json!([{"kind": "NetworkPolicy", "namespace": "pay", "name": "whatever"}]));
}

#[test]
fn nothing_open_is_exit_0_and_a_namespace_without_pods_is_judged_by_a_new_one() {
    let (r, code) = report(&(namespace("pay") + &policy("pay", "all", DENY_ALL)), &[]);
    assert_eq!((code, &r["counts"]["open"]), (0, &json!(0)), "{r:#}");
    assert_eq!((&r["namespaces"][0]["ingress"]["new_pod"], &r["schema"]), (&json!("closed"), &json!(1)));
    // Selecting some pods is no default for the others.
    let some = policy("pay", "db", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}");
    let (r, code) = report(&(namespace("pay") + &some), &[]);
    assert_eq!(code, 1);
    assert!(found(&r).contains("open no-default-deny pay ingress"), "{r:#}");
    // With all pods at hand and closed it is only worth a note.
    let (r, code) = report(&(namespace("pay") + &some + &pod("pay", "db-0", "db")), &[]);
    assert_eq!(code, 0, "{r:#}");
    assert!(found(&r).contains("note no-default-deny pay ingress"), "{r:#}");
}

#[test]
fn pods_are_counted_once_and_workloads_stand_for_those_that_are_not_at_hand() {
    let owned = |kind: &str, name: &str, owner: &str, rest: &str| {
        format!(
            "kind: {kind}\napiVersion: apps/v1\nmetadata: {{name: {name}, namespace: a{owner}}}\nspec: {{{rest}template: {{metadata: {{labels: {{app: x}}}}}}}}\n---\n"
        )
    };
    let by = |kind: &str, name: &str| format!(", ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]");
    let yaml = [
        owned("Deployment", "web", "", "replicas: 3, "),
        owned("ReplicaSet", "web-7d9f8b6c4", &by("Deployment", "web"), "replicas: 3, "),
        format!(
            "kind: Pod\napiVersion: v1\nmetadata: {{name: web-7d9f8b6c4-x7k2p, namespace: a{}}}\nspec: {{}}\n---\n",
            by("ReplicaSet", "web-7d9f8b6c4")
        ),
        owned("Deployment", "api", "", "replicas: 4, "),
        owned("ReplicaSet", "api-5c5c5c5c5c", &by("Deployment", "api"), "replicas: 0, "),
        "kind: Pod\napiVersion: v1\nmetadata: {name: done, namespace: a}\nspec: {}\nstatus: {phase: Succeeded}\n".to_owned(),
    ]
    .concat();
    let (r, _) = report(&yaml, &[]);
    let pods: Vec<_> = r["namespaces"][0]["pods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| json!([p["kind"], p["name"], p["replicas"], p["known_from"]]))
        .collect();
    assert_eq!(r["known_from"], json!({"manifests": 1, "templates": 1, "replicas": 4, "traffic": 0}));
    assert_eq!(pods, [json!(["Deployment", "api", 4, "template"]), json!(["Pod", "web-7d9f8b6c4-x7k2p", null, "manifest"])]);
}

#[test]
fn a_pod_on_the_hosts_network_is_covered_by_no_policy_of_pods() {
    let yaml =
        policy("a", "all", DENY_ALL) + "kind: Pod\napiVersion: v1\nmetadata: {name: agent, namespace: a}\nspec: {hostNetwork: true}\n";
    let (r, code) = report(&yaml, &[]);
    assert_eq!((code, tally(&r, "ingress")), (0, json!([0, 0, 0, 1, 1])));
    assert!(text_of(&r, "not-coverable").contains("host's network"), "{r:#}");
    let (r, _) = report(&yaml, &["--host-firewall"]);
    assert_eq!(tally(&r, "ingress"), json!([0, 1, 0, 0, 1]), "the host firewall has no policy for it");
}

#[test]
fn kinds_that_are_not_evaluated_make_their_part_unknown() {
    let calico = "kind: GlobalNetworkPolicy\napiVersion: projectcalico.org/v3\nmetadata: {name: g}\nspec: {}\n---\n";
    let istio = "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: deny, namespace: a}\nspec: {}\n---\n";
    let pods = pod("a", "p", "p") + &policy("a", "all", DENY_ALL) + &pod("b", "p", "p");
    // It may allow what the others close, and close what they leave open.
    let (r, code) = report(&(pods.clone() + calico), &[]);
    assert_eq!((code, tally(&r, "ingress")), (0, json!([0, 0, 2, 0, 2])), "{r:#}");
    assert!(found(&r).contains("unknown kind-not-evaluated - -"), "{r:#}");
    // It can only forbid more, and speaks of its namespace.
    let (r, _) = report(&(pods + istio), &[]);
    assert_eq!(tally(&r, "ingress"), json!([1, 1, 0, 0, 2]));
    assert!(r["not_looked_at"][0].as_str().unwrap().contains("AuthorizationPolicy"), "{r:#}");
}

#[test]
fn a_refused_policy_counts_as_absent_and_is_named_with_its_place() {
    let refused = "kind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {name: closed, namespace: a}\nspec: {endpointSelector: {}, ingress: []}\n";
    let (r, code) = report(&(pod("a", "p", "p") + refused), &[]);
    assert_eq!((code, tally(&r, "ingress")), (1, json!([0, 1, 0, 0, 1])));
    let f = r["findings"].as_array().unwrap().iter().find(|f| f["id"] == "refused").unwrap();
    assert_eq!((&f["severity"], &f["place"]["line"]), (&json!("open"), &json!(6)), "{f}");
    assert_eq!(r["policies"], json!({"evaluated": 0, "refused": 1, "not_evaluated": 0}));
}

#[test]
fn a_policy_that_cilium_calls_not_valid_closes_nothing_for_certain() {
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{}], egress: [{}]}\n";
    let manifests = |status: &str| {
        format!("{}{}{deny}status: {{conditions: [{{type: Valid, status: '{status}'}}]}}\n", namespace("shop"), pod("shop", "db", "db"))
    };
    let (good, _) = report(&manifests("True"), &[]);
    assert_eq!((good["ingress"]["closed"].as_u64(), good["ingress"]["unknown"].as_u64()), (Some(1), Some(0)));
    let (bad, _) = report(&manifests("False"), &[]);
    assert_eq!((bad["ingress"]["closed"].as_u64(), bad["ingress"]["unknown"].as_u64()), (Some(0), Some(1)));
    assert!(text_of(&bad, "policy-not-valid").contains("so it may not be enforced"));
}

#[test]
fn a_rule_for_everybody_is_open_unless_something_denies_it() {
    let base = pod("a", "p", "p") + &policy("a", "all", DENY_ALL);
    let ids = |rule: &str| {
        let (r, code) = report(&(base.clone() + rule), &[]);
        let wide: BTreeSet<String> = found(&r).into_iter().filter(|f| f.contains("any-") || f.contains("open-to-world")).collect();
        (wide.into_iter().collect::<Vec<_>>().join("; "), code)
    };
    let np = |spec: &str| policy("a", "wide", spec);
    assert_eq!(ids(&np("{podSelector: {}, ingress: [{}]}")), ("open any-peer a ingress".into(), 1));
    assert_eq!(ids(&np("{podSelector: {}, ingress: [{from: []}]}")), ("open any-peer a ingress".into(), 1));
    assert_eq!(
        ids(&np("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}")),
        ("open open-to-world a egress".into(), 1)
    );
    assert_eq!(
        ids(&np("{podSelector: {}, ingress: [{ports: [{port: 443}]}]}")),
        ("note any-peer a ingress".into(), 0),
        "one port for all is what a website is"
    );
    assert_eq!(ids(&np("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}")), ("note any-pod a ingress".into(), 0));
    assert_eq!(
        ids(&np("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")),
        (String::new(), 0),
        "the pods of one namespace are named"
    );
    assert_eq!(ids(&np("{podSelector: {matchLabels: {app: other}}, ingress: [{}]}")), (String::new(), 0), "it selects nobody");
    let cnp = |name: &str, spec: &str| {
        format!(
            "kind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {{name: {name}, namespace: a}}\nspec: {{endpointSelector: {{}}, {spec}}}\n---\n"
        )
    };
    let world = cnp("w", "ingress: [{fromEntities: [world]}]");
    assert_eq!(ids(&world), ("open open-to-world a ingress".into(), 1));
    assert_eq!(ids(&(world + &cnp("d", "ingressDeny: [{fromEntities: [world]}]"))), (String::new(), 0), "another policy denies all of it");
    assert_eq!(ids(&cnp("e", "ingress: [{}]")), (String::new(), 0), "in a Cilium policy this allows nothing");
}

#[test]
fn the_clusters_own_namespaces_and_switched_off_enforcement() {
    let (r, code) = report(&pod("kube-system", "dns", "dns"), &[]);
    assert_eq!(code, 0, "{r:#}");
    assert!(found(&r).contains("note not-isolated kube-system ingress"), "{r:#}");
    let closed = pod("a", "p", "p") + &policy("a", "all", DENY_ALL);
    let (r, code) = report(&closed, &["--policy-enforcement", "never"]);
    assert_eq!((code, tally(&r, "egress")), (1, json!([0, 1, 0, 0, 1])));
    assert!(found(&r).contains("open enforcement-off - -"));
    let (r, code) = report(&pod("a", "p", "p"), &["--policy-enforcement", "always", "--engine", "kubernetes"]);
    assert_eq!((code, &r["judged"]["engine"], &r["judged"]["policy_enforcement"]), (0, &json!("kubernetes"), &json!("always")), "{r:#}");
}

#[test]
fn an_open_cluster_is_never_called_closed() {
    let closed = namespace("shop") + &pod("shop", "cart", "cart") + &policy("shop", "deny", DENY_ALL);
    let daemon = |name: &str| format!("kind: DaemonSet\napiVersion: apps/v1\nmetadata: {{name: {name}, namespace: kube-system}}\n---\n");
    let config = |data: &str| {
        format!("kind: ConfigMap\napiVersion: v1\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {{{data}}}\n---\n")
    };
    assert_eq!(report(&closed, &[]).1, 0);
    let (r, code) = report(&(closed.clone() + &daemon("kube-flannel-ds")), &[]);
    assert!(code == 1 && text_of(&r, "enforcement-off").starts_with("kube-flannel enforces no NetworkPolicy"), "{r:#}");
    assert_eq!(r["ingress"]["closed"], 0, "{r:#}");
    assert_eq!(report(&(closed.clone() + &daemon("kube-flannel-ds") + &daemon("kube-router")), &[]).1, 0);
    for (data, id) in [("policy-audit-mode: 'true'", "audit-mode"), ("enable-policy: never", "enforcement-off")] {
        let (r, code) = report(&(closed.clone() + &config(data)), &[]);
        assert!(code == 1 && !text_of(&r, id).is_empty(), "{data}: {r:#}");
        let (r, _) = report(&(closed.clone() + &config(data)), &["--policy-enforcement", "default"]);
        assert_eq!(r["judged"]["policy_enforcement"], "default", "what is typed wins");
    }
    let (r, code) = report(&(closed + &config("enable-k8s-networkpolicy: 'false'")), &[]);
    assert!(code == 1 && r["ingress"]["closed"] == 0, "{r:#}");
}

#[test]
fn a_tier_that_denies_everybody_closes_without_isolating() {
    let admin = |deny: &str| {
        format!(
            "kind: ClusterNetworkPolicy\napiVersion: policy.networking.k8s.io/v1alpha2\nmetadata: {{name: base}}\nspec: {{tier: Baseline, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{deny}]}}\n---\n"
        )
    };
    let (r, _) = report(&(pod("a", "p", "p") + &admin("{name: d, action: Deny, from: [{namespaces: {}}]}")), &[]);
    assert_eq!(tally(&r, "ingress"), json!([0, 1, 0, 0, 1]), "the world still comes in: {r:#}");
    assert!(text_of(&r, "not-isolated").contains("closes it to other pods"), "{r:#}");
}

#[test]
fn what_depends_on_a_missing_fact_is_not_known() {
    let ccnp = "kind: CiliumClusterwideNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {name: c}\nspec: {endpointSelector: {matchLabels: {k8s:io.cilium.k8s.namespace.labels.env: prod}}, ingress: [{}]}\n---\n";
    let (r, code) = report(&(pod("a", "p", "p") + ccnp), &[]);
    assert_eq!((code, tally(&r, "ingress")), (1, json!([0, 0, 1, 0, 1])), "egress is open for certain: {r:#}");
    assert!(text_of(&r, "isolation-not-known").contains("namespace-labels:a"), "{r:#}");
    let labelled = "kind: Namespace\napiVersion: v1\nmetadata: {name: a, labels: {env: prod}}\n---\n";
    assert_eq!(tally(&report(&(pod("a", "p", "p") + ccnp + labelled), &[]).0, "ingress"), json!([1, 0, 0, 0, 1]));
}

/// One record of a connection from `web` to `db`, in namespace `a`.
fn flow(from: &str, to: &str, port: u16, time: &str, verdict: &str) -> Value {
    let side = |name: &str| json!({"namespace": "a", "pod_name": name, "identity": 1000, "labels": [format!("k8s:app={name}"), "k8s:io.kubernetes.pod.namespace=a"]});
    let desc = if verdict == "DROPPED" { json!("POLICY_DENIED") } else { json!("DROP_REASON_UNKNOWN") };
    json!({"flow": {"time": time, "verdict": verdict, "drop_reason_desc": desc, "source": side(from), "destination": side(to),
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40_000, "destination_port": port, "flags": {"SYN": true}}},
        "Type": "L3_L4", "node_name": "n1", "is_reply": false, "traffic_direction": "INGRESS", "event_type": {"type": 5}}, "node_name": "n1", "time": time})
}

fn traffic_scene() -> TempDir {
    let yaml = pod("a", "web", "web")
        + &pod("a", "db", "db")
        + "kind: Node\napiVersion: v1\nmetadata: {name: n2}\n---\n"
        + &policy(
            "a",
            "db",
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}, {from: [{podSelector: {matchLabels: {app: backup}}}]}]}",
        );
    scene(
        &yaml,
        &[
            flow("web", "db", 5432, "2026-01-31T14:00:00Z", "FORWARDED"),
            flow("web", "db", 5432, "2026-01-31T14:00:05Z", "FORWARDED"),
            flow("web", "db", 5433, "2026-01-31T14:00:06Z", "DROPPED"),
            flow("db", "web", 80, "2026-01-31T14:10:00Z", "FORWARDED"),
            json!({"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "7"}, "node_name": "n1", "time": "2026-01-31T14:10:01Z"}),
        ],
    )
}

#[test]
fn a_recording_proves_who_was_let_in_and_by_which_rule() {
    let dir = traffic_scene();
    let (k8s, flows) = (at(&dir, "k8s.yaml"), at(&dir, "flows.jsonl"));
    let (r, code) = json_of(&["audit", "--policies", &k8s, "--from", &flows, "-o", "json", "-q"]);
    assert_eq!(code, 1);
    let admitted = r["traffic"]["admitted"].as_array().unwrap();
    let into_db = admitted.iter().find(|a| a["subject"] == "db" && a["direction"] == "INGRESS").unwrap();
    assert_eq!(
        json!([
            into_db["peer"],
            into_db["port"],
            into_db["protocol"],
            into_db["by"],
            into_db["records"],
            into_db["first"],
            into_db["last"]
        ]),
        json!(["a/web", 5432, "TCP", "rule", 2, "2026-01-31T14:00:00Z", "2026-01-31T14:00:05Z"])
    );
    assert_eq!(into_db["rules"][0]["rule"], "ingress[0].from[0]");
    assert!(into_db["rules"][0]["line"].as_u64().unwrap() > 1 && into_db["rules"][0]["file"] == json!(k8s), "{into_db}");
    assert!(!admitted.iter().any(|a| a["port"] == 5433), "what was dropped was not let in");
    assert!(found(&r).contains("open forwarded-unselected a ingress"), "web took a connection and no policy selects it: {r:#}");
    let idle: Vec<_> = r["traffic"]["idle_rules"].as_array().unwrap().iter().map(|i| i["rule"].as_str().unwrap().to_owned()).collect();
    assert_eq!(idle, ["ingress[1].from[0]"]);
}

#[test]
fn the_coverage_of_the_evidence_is_told() {
    use sha2::Digest as _;
    let dir = traffic_scene();
    let (k8s, flows) = (at(&dir, "k8s.yaml"), at(&dir, "flows.jsonl"));
    let (r, _) = json_of(&["audit", "--policies", &k8s, "--from", &flows, "-o", "json", "-q"]);
    let c = &r["traffic"]["coverage"];
    assert_eq!((&c["from"], &c["to"], &c["records"]), (&json!("2026-01-31T14:00:00Z"), &json!("2026-01-31T14:10:00Z"), &json!(4)));
    assert_eq!((&c["gaps"][0]["seconds"], &c["silent_nodes"], &c["nodes"][0]["name"]), (&json!(590), &json!(["n2"]), &json!("n1")));
    assert_eq!(c["lost"].as_object().unwrap().values().next(), Some(&json!(7)));
    let hex: String = sha2::Sha256::digest(std::fs::read(&flows).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(r["inputs"][1], json!({"path": flows, "what": "recording", "sha256": hex}));
    assert_eq!(r["inputs"][0]["what"], "manifest");

    // A filter narrows what is listed, not what was seen; and then no rule can be called idle.
    let (r, _) = json_of(&["audit", "--policies", &k8s, "--from", &flows, "-o", "json", "-q", "to.pod:db"]);
    assert_eq!((&r["traffic"]["coverage"]["records"], &r["traffic"]["coverage"]["filter"]), (&json!(4), &json!("to.pod:db")));
    assert!(r["traffic"].get("idle_rules").is_none());
    let mut answer = flow("db", "web", 40_000, "2026-01-31T14:00:01Z", "FORWARDED");
    answer["flow"]["is_reply"] = json!(true);
    std::fs::write(dir.path().join("answer.jsonl"), format!("{answer}\n")).unwrap();
    let (answers, _) = json_of(&["audit", "--policies", &k8s, "--from", &at(&dir, "answer.jsonl"), "-o", "json", "-q", "to.pod:web"]);
    assert_eq!(answers["traffic"]["admitted"], json!([]), "nobody connected to web");
    assert!(r["traffic"]["admitted"].as_array().unwrap().iter().all(|a| a["port"] == 5432), "{r:#}");
}

#[test]
fn pods_that_only_a_recording_shows_are_judged_too() {
    let dir = scene(&policy("a", "all", DENY_ALL), &[flow("web", "db", 80, "2026-01-31T14:00:00Z", "FORWARDED")]);
    let (r, _) = json_of(&["audit", "--policies", &at(&dir, "k8s.yaml"), "--from", &at(&dir, "flows.jsonl"), "-o", "json", "-q"]);
    assert_eq!(tally(&r, "ingress"), json!([2, 0, 0, 0, 2]));
    assert_eq!(r["namespaces"][0]["pods"][0]["known_from"], "traffic");
    assert!(found(&r).contains("unknown forwarded-though-denied a ingress"), "nothing allows it: {r:#}");
}

#[test]
fn what_is_only_audited_is_open() {
    let dir = scene(&policy("a", "all", DENY_ALL), &[flow("web", "db", 80, "2026-01-31T14:00:00Z", "AUDIT")]);
    let (r, code) = json_of(&["audit", "--policies", &at(&dir, "k8s.yaml"), "--from", &at(&dir, "flows.jsonl"), "-o", "json", "-q"]);
    assert_eq!(code, 1);
    assert!(found(&r).contains("open only-audited a ingress") && r["traffic"]["admitted"][0]["by"] == "audited", "{r:#}");
}

#[test]
fn the_proxys_refusal_is_no_admission() {
    let mut asked = flow("web", "db", 80, "2026-01-31T14:00:00Z", "DROPPED");
    let mut refused = flow("db", "web", 40_000, "2026-01-31T14:00:01Z", "FORWARDED");
    for (f, reply, kind) in [(&mut asked, false, "REQUEST"), (&mut refused, true, "RESPONSE")] {
        let http = json!({"code": if reply { 403 } else { 0 }, "method": "GET", "url": "http://db/secret", "protocol": "HTTP/1.1"});
        f["flow"]["l7"] = json!({"type": kind, "http": http});
        f["flow"]["Type"] = json!("L7");
        f["flow"]["event_type"] = json!({"type": 129});
        f["flow"]["is_reply"] = json!(reply);
    }
    refused["flow"]["l4"]["TCP"]["source_port"] = json!(80);
    refused["flow"]["IP"] = json!({"source": "10.0.0.2", "destination": "10.0.0.1", "ipVersion": "IPv4"});
    let dir = scene(&policy("a", "all", DENY_ALL), &[asked, refused]);
    let (r, _) = json_of(&["audit", "--policies", &at(&dir, "k8s.yaml"), "--from", &at(&dir, "flows.jsonl"), "-o", "json", "-q"]);
    assert_eq!(r["traffic"]["admitted"], json!([]), "{r:#}");
}

#[test]
fn exit_codes_and_what_could_not_be_read() {
    assert_eq!(run(&["audit"]).status.code(), Some(2));
    assert_eq!(run(&["audit", "--policies", "x", "--server", "localhost:1"]).status.code(), Some(2));
    let dir = scene(&policy("a", "all", DENY_ALL), &[]);
    let k8s = at(&dir, "k8s.yaml");
    assert_eq!(run(&["audit", "--policies", &k8s, "ns:a"]).status.code(), Some(2), "a filter without traffic");
    assert_eq!(run(&["audit", "--policies", "/nonexistent"]).status.code(), Some(4));
    assert_eq!(run(&["audit", "--policies", &k8s, "--from", "/nonexistent"]).status.code(), Some(4));
    std::fs::write(dir.path().join("broken.yaml"), "kind: [\n").unwrap();
    let o = run(&["audit", "--policies", dir.path().to_str().unwrap(), "-o", "json"]);
    assert_eq!(o.status.code(), Some(4), "a broken manifest may be the one that opens something");
    let r: Value = serde_json::from_str(&out(&o)).unwrap();
    assert!(found(&r).contains("unknown unread - -"), "{r:#}");
    // A key that stands twice is read, and said on stderr.
    std::fs::write(dir.path().join("broken.yaml"), "kind: ConfigMap\nkind: ConfigMap\napiVersion: v1\n").unwrap();
    assert_eq!(run(&["audit", "--policies", dir.path().to_str().unwrap(), "-o", "json"]).status.code(), Some(0));
}

#[test]
fn text_and_markdown_are_bounded_and_repeat_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let many: String = (0..300).map(|i| pod(&format!("ns{}", i % 90), &format!("p{i}"), &format!("a{i}"))).collect();
    std::fs::write(dir.path().join("k8s.yaml"), many).unwrap();
    for format in ["text", "md", "json"] {
        let args = ["audit", "--policies", dir.path().to_str().unwrap(), "-o", format];
        let (a, b) = (run(&args), run(&args));
        assert_eq!((a.status.code(), &a.stdout), (Some(1), &b.stdout), "{format}");
        let text = out(&a);
        match format {
            "json" => assert_eq!(text.lines().count(), 1),
            "md" => assert!(text.starts_with("# Network policy audit\n") && text.contains("more; all of them with `-o json`"), "{text}"),
            _ => {
                let widest = text.lines().filter(|l| !l.contains("k8s.yaml")).map(|l| l.chars().count()).max().unwrap();
                assert!(widest <= 100 && text.contains("+30 namespaces more"), "{widest}\n{text}");
            }
        }
    }
}

#[test]
fn the_demo_is_audited_in_all_formats() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let demo = demo.to_str().unwrap();
    let (r, _) = json_of(&["audit", "--policies", demo, "-o", "json", "-q"]);
    let (ingress, pods) =
        (&r["ingress"], r["namespaces"].as_array().unwrap().iter().map(|n| n["pods"].as_array().unwrap().len()).sum::<usize>());
    assert_eq!(ingress["total"], json!(pods));
    assert!(pods > 10 && ingress["closed"].as_u64().unwrap() > 0 && ingress["open"].as_u64().unwrap() > 0, "{ingress}");
    for format in ["text", "md"] {
        let o = run(&["audit", "--policies", demo, "-o", format]);
        assert!(out(&o).contains("shop") && out(&o).to_lowercase().contains("not looked at"), "{}", out(&o));
    }
}
