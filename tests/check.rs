//! `flowhy check` from outside: recordings and manifests written by hand, the answer as a program and as a person reads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Flows and manifests in a folder of their own.
struct Place(tempfile::TempDir);

impl Place {
    fn new(flows: &[Value], files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = flows.iter().map(|f| format!("{f}\n")).collect();
        fs::write(dir.path().join("flows.jsonl"), lines).unwrap();
        for (name, body) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, body).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &str) -> Output {
        let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
        c.env_clear().current_dir(self.path()).stdin(Stdio::null()).arg("check").args(args.split_whitespace());
        c.output().unwrap()
    }

    /// The exit code, the entries and the summary.
    fn json(&self, args: &str) -> (i32, Vec<Value>, Value) {
        let o = self.run(&format!("{args} -o json"));
        let text = String::from_utf8(o.stdout).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let summary = lines.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&o.stderr)))["summary"].take();
        (o.status.code().unwrap(), lines, summary)
    }
}

fn text(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

fn pod(ns: &str, name: &str, app: &str) -> Value {
    let labels = [format!("k8s:app={app}"), format!("k8s:io.kubernetes.pod.namespace={ns}")];
    json!({"identity": 1000, "namespace": ns, "pod_name": name, "labels": labels})
}

fn cart(n: u8) -> Value {
    pod("shop", &format!("cart-7d4b8c9f5-xk2m{n}"), "cart")
}

fn db() -> Value {
    pod("shop", "db-0", "db")
}

fn world() -> Value {
    json!({"identity": 2, "labels": ["reserved:world"]})
}

/// A packet of a connection to a port.
fn flow(src: Value, dst: Value, port: u16, direction: &str, verdict: &str) -> Value {
    // What leaves its sender goes to the stack; what reaches its receiver to the endpoint.
    let point = if direction == "EGRESS" { 3 } else { 0 };
    let mut f = json!({
        "time": "2026-01-31T14:00:00Z", "verdict": verdict, "is_reply": false, "traffic_direction": direction,
        "l4": {"TCP": {"source_port": 40_000, "destination_port": port, "flags": {"SYN": true}}},
        "source": src, "destination": dst, "Type": "L3_L4", "event_type": {"type": 4, "sub_type": point},
    });
    if verdict == "DROPPED" {
        f["drop_reason_desc"] = json!("POLICY_DENIED");
    }
    json!({"flow": f, "node_name": "n1", "time": "2026-01-31T14:00:00Z"})
}

const DENY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: cart}}
    ports:
    - port: 5433
";

fn sql() -> Vec<Value> {
    let mut both = Vec::new();
    for n in [2, 4, 5, 6] {
        both.push(flow(cart(n), db(), 5432, "EGRESS", "FORWARDED"));
        both.push(flow(cart(n), db(), 5432, "INGRESS", "FORWARDED"));
    }
    both
}

#[test]
fn what_worked_and_is_denied_is_one_entry_a_missing_rule() {
    let mut flows = sql();
    flows.push(flow(pod("shop", "web-0", "web"), db(), 5432, "INGRESS", "FORWARDED"));
    let p = Place::new(&flows, &[("k8s/db.yaml", DENY)]);
    let (code, entries, summary) = p.json("k8s --from flows.jsonl");
    assert_eq!((code, entries.len()), (1, 2), "{entries:#?}");
    let e = &entries[0];
    assert_eq!((&e["change"], &e["from"], &e["to"]), (&json!("new-drop"), &json!("shop/cart"), &json!("shop/db")));
    assert_eq!((&e["port"], &e["direction"], &e["outcome"]), (&json!("TCP/5432"), &json!("INGRESS"), &json!("default-deny")));
    assert_eq!((&e["conversations"], &e["records"], &e["text"]), (&json!(4), &json!(8), &json!("no rule allows port 5432")));
    assert_eq!(e["policies"], json!([{"kind": "NetworkPolicy", "namespace": "shop", "name": "db", "file": "k8s/db.yaml", "line": 1}]));
    assert_eq!((&e["nearest"]["file"], &e["nearest"]["line"]), (&json!("k8s/db.yaml"), &json!(10)));
    assert_eq!((&summary["conversations"], &summary["new_drops"], &summary["passes"]), (&json!(5), &json!(5), &json!(false)));
    let o = p.run("k8s --from flows.jsonl");
    let out = text(&o);
    assert!(out.contains("✗ shop/cart → shop/db TCP/5432  new drop") && out.contains("(k8s/db.yaml:10)"), "{out}");
    assert!(out.contains("fails: 5 conversations: 5 newly dropped\n"), "{out}");
    assert_eq!(out, text(&p.run("k8s --from flows.jsonl")), "the same input, the same bytes");
    // A filter is a filter.
    let (_, entries, summary) = p.json("k8s --from flows.jsonl from.pod:web-0");
    assert_eq!((entries.len(), &summary["unseen"]["refused"]), (1, &json!(8)));
}

#[test]
fn what_the_receiver_dropped_never_worked_whatever_the_sender_forwarded() {
    let flows = [flow(cart(2), db(), 5432, "EGRESS", "FORWARDED"), flow(cart(2), db(), 5432, "INGRESS", "DROPPED")];
    let open = DENY.replace("5433", "5432");
    let p = Place::new(&flows, &[("deny.yaml", DENY), ("open.yaml", &open)]);
    let (code, entries, summary) = p.json("deny.yaml --from flows.jsonl");
    assert_eq!((code, entries.len(), &summary["still_dropped"]), (0, 0, &json!(1)));
    let (code, entries, _) = p.json("open.yaml --from flows.jsonl");
    assert_eq!((code, &entries[0]["change"]), (0, &json!("admitted")));
    assert_eq!(entries[0]["text"], json!("nothing isolates its egress; ingress[0].from[0] of shop/db allows its ingress"));
    assert_eq!(p.json("open.yaml --from flows.jsonl --fail-on any-change").0, 1);
    // Dropped at times is also forwarded at times.
    let mut flows = flows.to_vec();
    flows.push(flow(cart(2), db(), 5432, "INGRESS", "FORWARDED"));
    let p = Place::new(&flows, &[("deny.yaml", DENY)]);
    let (code, entries, _) = p.json("deny.yaml --from flows.jsonl");
    assert_eq!((code, &entries[0]["partly"]), (1, &json!(1)));
}

#[test]
fn audit_mode_let_it_through() {
    let p = Place::new(&[flow(cart(2), db(), 5432, "INGRESS", "AUDIT")], &[("deny.yaml", DENY)]);
    let (code, entries, _) = p.json("deny.yaml --from flows.jsonl");
    assert_eq!((code, &entries[0]["audited"]), (1, &json!(1)));
}

#[test]
fn two_sets_are_compared_whatever_was_observed() {
    let open = DENY.replace("5433", "5432");
    let p = Place::new(&sql(), &[("a/db.yaml", &open), ("b/db.yaml", DENY), ("c/db.yaml", &open)]);
    let (code, entries, summary) = p.json("b --against a --from flows.jsonl");
    assert_eq!((code, entries.len(), &summary["compared_with"]), (1, 1, &json!("set")));
    let before = &entries[0]["before"][0];
    assert_eq!((&before["file"], &before["line"], &before["rule"]), (&json!("a/db.yaml"), &json!(7), &json!("ingress[0].from[0]")));
    let (code, entries, _) = p.json("a --against b --from flows.jsonl --fail-on any-change");
    assert_eq!((code, &entries[0]["change"]), (1, &json!("admitted")));
    let (code, entries, _) = p.json("c --against a --from flows.jsonl --fail-on any-change");
    assert_eq!((code, entries.len()), (0, 0));
}

#[test]
fn the_set_lies_over_the_policies_that_are_there() {
    let open = DENY.replace("5433", "5432");
    let p = Place::new(&sql(), &[("cluster/old.yaml", DENY), ("pr/new.yaml", &open), ("pr2/x.yaml", "kind: ConfigMap\n")]);
    assert_eq!(p.json("pr --policies cluster --from flows.jsonl").0, 0, "the new object replaces the old one");
    assert_eq!(p.json("pr2 --policies cluster --from flows.jsonl").0, 1, "what is not replaced still counts");
}

/// Selects by a namespace's label, which no flow and no manifest tells.
const BY_TEAM: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: a}}
";

#[test]
fn what_cannot_be_decided_is_told_with_its_fact_and_never_passes_in_silence() {
    let namespace = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop, labels: {team: a}}\n";
    let p = Place::new(&sql(), &[("db.yaml", BY_TEAM), ("world/ns.yaml", namespace)]);
    let (code, entries, summary) = p.json("db.yaml --from flows.jsonl");
    assert_eq!((code, &entries[0]["change"], &summary["undecidable"]), (0, &json!("undecidable"), &json!(4)));
    assert_eq!(entries[0]["missing"], json!(["namespace-labels:shop"]));
    let o = p.run("db.yaml --from flows.jsonl");
    assert!(String::from_utf8_lossy(&o.stderr).contains("4 that worked could not be decided"));
    assert_eq!(p.json("db.yaml --from flows.jsonl --fail-on possible-drops").0, 1);
    let (code, entries, _) = p.json("db.yaml --from flows.jsonl --fail-on any-change --policies world");
    assert_eq!((code, entries.len()), (0, 0), "the world decides it");
    // Two sets that cannot decide it for the same reason do not differ.
    let q = Place::new(&sql(), &[("a/db.yaml", BY_TEAM), ("b/db.yaml", BY_TEAM)]);
    assert_eq!(q.json("a --against b --from flows.jsonl --fail-on any-change").0, 0);
}

const HTTP: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: cart}}]
    toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules: {http: [{method: GET, path: /ok}]}
";

#[test]
fn requests_are_judged_where_they_were_recorded_and_missed_where_not() {
    let packet = flow(cart(2), db(), 80, "INGRESS", "FORWARDED");
    let request = |path: &str| {
        let mut f = packet.clone();
        f["flow"]["Type"] = json!("L7");
        f["flow"]["event_type"] = json!({"type": 129});
        f["flow"]["l7"] = json!({"type": "REQUEST", "http": {"method": "GET", "url": format!("http://db{path}")}});
        f
    };
    let p = Place::new(&[packet.clone(), request("/ok"), request("/no")], &[("http.yaml", HTTP)]);
    let (code, entries, summary) = p.json("http.yaml --from flows.jsonl");
    assert_eq!((code, entries.len(), &summary["conversations"]), (1, 1, &json!(1)), "{entries:#?}");
    assert_eq!((&entries[0]["outcome"], &entries[0]["examples"][0]["request"]), (&json!("l7-denied"), &json!("GET http://db/no")));
    let p =
        Place::new(std::slice::from_ref(&packet), &[("http.yaml", HTTP), ("all.yaml", &HTTP.replace("{method: GET, path: /ok}", "{}"))]);
    let (code, entries, _) = p.json("http.yaml --from flows.jsonl");
    assert_eq!((code, &entries[0]["missing"]), (0, &json!(["requests:shop/db"])));
    let (code, entries, _) = p.json("all.yaml --from flows.jsonl --fail-on any-change");
    assert_eq!((code, entries.len()), (0, 0), "a rule that lets every request pass needs none of them");
}

#[test]
fn what_was_not_seen_is_said() {
    let manifests = "\
kind: Deployment
apiVersion: apps/v1
metadata: {name: mail, namespace: shop}
spec: {template: {metadata: {labels: {app: mail}}}}
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: cart, namespace: shop}
spec: {template: {metadata: {labels: {app: cart}}}}
---
kind: NetworkPolicy
apiVersion: projectcalico.org/v3
metadata: {name: calico, namespace: shop}
";
    let mut unknown = flow(pod("shop", "web-0", "web"), db(), 5432, "INGRESS", "FORWARDED");
    unknown["flow"].as_object_mut().unwrap().remove("is_reply");
    unknown["flow"]["l4"]["TCP"]["flags"] = json!({"ACK": true});
    let mut service = flow(cart(2), world(), 80, "EGRESS", "FORWARDED");
    service["flow"]["destination_service"] = json!({"namespace": "shop", "name": "api"});
    service["flow"]["IP"] = json!({"source": "10.0.0.1", "destination": "10.96.0.7"});
    let mut broken = flow(cart(4), world(), 443, "EGRESS", "DROPPED");
    broken["flow"]["drop_reason_desc"] = json!("CT_MAP_INSERTION_FAILED");
    let lost = json!({"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "7"}, "node_name": "n1"});
    let mut flows = sql();
    flows.extend([unknown, service, broken, lost]);
    let mail = DENY.replace("app: db", "app: mail").replace("name: db", "name: mail");
    let p = Place::new(&flows, &[("k8s/mail.yaml", &mail), ("world/w.yaml", manifests)]);
    let (code, entries, summary) = p.json("k8s --policies world --from flows.jsonl");
    assert_eq!((code, entries.len()), (0, 0), "{entries:#?}");
    let u = &summary["unseen"];
    assert_eq!((&u["initiator_unknown"], &u["frontends"], &u["failed"], &u["lost"]), (&json!(1), &json!(1), &json!(1), &json!(7)));
    assert_eq!((&u["silent"], &u["idle"][0]["name"]), (&json!(["Deployment shop/mail"]), &json!("mail")));
    assert_eq!(u["not_evaluated"][0]["name"], json!("calico"));
    let out = text(&p.run("k8s --policies world --from flows.jsonl"));
    for said in [
        "in the manifests, and never heard (1): Deployment shop/mail",
        "lost by the servers: 7 events",
        "nothing says who began: 1 conversation\n",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
}

#[test]
fn without_a_conversation_nothing_is_checked_and_that_is_a_no() {
    let p = Place::new(&sql(), &[("db.yaml", DENY)]);
    let o = p.run("db.yaml --from flows.jsonl ns:nowhere");
    assert_eq!(o.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&o.stderr).contains("no conversation to judge"));
    assert_eq!(p.run("nowhere.yaml --from flows.jsonl").status.code(), Some(4));
    assert_eq!(p.run("--from flows.jsonl").status.code(), Some(2));
    assert_eq!(p.run("- --from -").status.code(), Some(2), "standard input can be read only once");
}

#[test]
fn markdown_is_a_table_in_which_nothing_from_the_network_acts() {
    let mut flows = sql();
    flows.push(flow(pod("shop", "x|<b>@team", "x"), db(), 5432, "INGRESS", "FORWARDED"));
    let p = Place::new(&flows, &[("k8s/db.yaml", DENY)]);
    let out = text(&p.run("k8s --from flows.jsonl -o md"));
    assert!(
        out.starts_with(
            "### ❌ flowhy check fails\n\n5 conversations: 5 newly dropped.\n\n#### 2 new drops\n\n| new drop | why | policy | seen |\n"
        ),
        "{out}"
    );
    assert!(out.contains("| shop/x\\|&lt;b>\\@team → shop/db TCP/5432 |"), "{out}");
    assert!(out.contains("NetworkPolicy shop/db (k8s/db.yaml:1)<br>nearest: db ingress\\[0\\] (k8s/db.yaml:10)"), "{out}");
    assert!(out.trim_end().ends_with("</details>"));
}

#[test]
fn compressed_recordings_and_standard_input_are_read() {
    let p = Place::new(&sql(), &[("db.yaml", DENY)]);
    let plain = fs::read(p.path().join("flows.jsonl")).unwrap();
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&plain).unwrap();
    fs::write(p.path().join("flows.jsonl.gz"), zip.finish().unwrap()).unwrap();
    let mut c = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    c.env_clear().current_dir(p.path()).args(["check", "db.yaml", "--from", "-"]);
    let o = c.stdin(fs::File::open(p.path().join("flows.jsonl")).unwrap()).output().unwrap();
    assert_eq!((o.status.code(), text(&o)), (Some(1), text(&p.run("db.yaml --from flows.jsonl.gz"))));
    assert_eq!(p.json("db.yaml --from flows.jsonl --from flows.jsonl.gz").1[0]["records"], json!(16), "several files are one recording");
}

/// Nobody of the namespace may send or receive anything.
const NOTHING: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nothing, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

fn dns() -> Value {
    let labels = ["k8s:k8s-app=kube-dns", "k8s:io.kubernetes.pod.namespace=kube-system"];
    json!({"identity": 1001, "namespace": "kube-system", "pod_name": "coredns-0", "labels": labels})
}

fn query(src: Value) -> Value {
    let mut f = flow(src, dns(), 53, "EGRESS", "FORWARDED");
    f["flow"]["l4"] = json!({"UDP": {"source_port": 40_000, "destination_port": 53}});
    f
}

fn outside(src: Value, ip: &str, names: &[&str]) -> Value {
    let mut f = flow(src, world(), 443, "EGRESS", "FORWARDED");
    f["flow"]["IP"] = json!({"source": "10.0.0.1", "destination": ip});
    f["flow"]["destination_names"] = json!(names);
    f
}

/// Works: carts to the database and to a named host, both to DNS. Does not: web to the database.
fn shop() -> Vec<Value> {
    let mut flows = sql();
    flows.extend([query(cart(2)), query(db()), outside(cart(2), "203.0.113.7", &["api.stripe.com"])]);
    flows.push(flow(pod("shop", "web-0", "web"), db(), 5432, "EGRESS", "DROPPED"));
    flows
}

/// Writes the proposal beside the policies it is for.
fn propose(p: &Place, args: &str, into: &str) -> (i32, String) {
    let o = p.run(&format!("{args} --propose"));
    let yaml = text(&o);
    fs::write(p.path().join(into), &yaml).unwrap();
    (o.status.code().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&o.stderr))), yaml)
}

#[test]
fn a_proposal_keeps_what_worked_and_opens_nothing_else() {
    let p = Place::new(&shop(), &[("k8s/deny.yaml", NOTHING)]);
    assert_eq!(p.json("k8s --from flows.jsonl").2["new_drops"], json!(7));
    let (code, yaml) = propose(&p, "k8s --from flows.jsonl", "k8s/allow.yaml");
    assert_eq!(code, 0, "{yaml}");
    assert!(
        yaml.starts_with("# flowhy check --propose: 3 policies keep 7 of 7 conversations that worked and would be dropped\n"),
        "{yaml}"
    );
    let names: Vec<&str> = yaml.lines().filter_map(|l| l.strip_prefix("  name: ")).collect();
    assert_eq!(names, ["allow-dns", "cart-egress", "db-ingress"], "{yaml}");
    assert!(yaml.contains("matchName: api.stripe.com") && !yaml.contains("203.0.113.7") && !yaml.contains("web"), "{yaml}");
    let (code, entries, summary) = p.json("k8s --from flows.jsonl --fail-on any-change");
    assert_eq!((code, entries.len(), &summary["still_dropped"]), (0, 0, &json!(1)), "{entries:#?}");
    // What is kept already needs no rule.
    let (code, yaml) = propose(&p, "k8s --from flows.jsonl", "more.yaml");
    assert!(code == 0 && yaml.starts_with("# flowhy check --propose: nothing that worked would be dropped"), "{yaml}");
    assert!(!yaml.contains("---"));
}

#[test]
fn what_no_rule_can_say_is_told_with_its_reason_and_fails() {
    let mut flows = shop();
    flows.push(outside(cart(2), "203.0.113.9", &[]));
    flows.push(flow(world(), db(), 80, "INGRESS", "FORWARDED"));
    let mut vrrp = flow(cart(4), db(), 0, "INGRESS", "FORWARDED");
    vrrp["flow"]["l4"] = json!({"VRRP": {}});
    flows.push(vrrp);
    flows.push(flow(pod("shop", "web-0", "web"), pod("shop", "api-0", "api"), 80, "INGRESS", "FORWARDED"));
    let deny = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: web}}]
";
    let p = Place::new(&flows, &[("k8s/deny.yaml", NOTHING), ("k8s/api.yaml", deny)]);
    let o = p.run("k8s --from flows.jsonl --propose -o json");
    assert_eq!(o.status.code(), Some(1));
    let lines: Vec<Value> = text(&o).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let summary = &lines.last().unwrap()["summary"];
    let why: Vec<(String, String)> = summary["unsaid"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["from"].as_str().unwrap().to_owned(), l["why"].as_str().unwrap().to_owned()))
        .collect();
    let said = |from: &str, part: &str| assert!(why.iter().any(|(f, w)| f == from && w.contains(part)), "{from} {part}: {why:#?}");
    said("shop/cart", "no DNS answer names its address");
    said("world", "it comes from outside the cluster");
    said("shop/cart", "protocol that rules do not name");
    said("shop/web", "no allow rule outweighs that");
    assert_eq!((&summary["kept"], &summary["broken"], &summary["complete"]), (&json!(7), &json!(11), &json!(false)));
    assert!(lines.iter().all(|l| !l.to_string().contains("203.0.113.9")), "an address is no rule");
    let md = text(&p.run("k8s --from flows.jsonl --propose -o md"));
    assert!(md.contains("#### cannot be kept\n") && md.contains("```yaml\napiVersion: "), "{md}");
}

#[test]
fn a_rule_for_all_of_a_namespace_isolates_nobody_who_was_free() {
    let only_cart = NOTHING.replace("podSelector: {}", "podSelector: {matchLabels: {app: cart}}").replace("Ingress, Egress", "Egress");
    let mut flows = shop();
    flows.push(flow(pod("shop", "web-0", "web"), pod("shop", "api-0", "api"), 80, "EGRESS", "FORWARDED"));
    let p = Place::new(&flows, &[("k8s/deny.yaml", &only_cart)]);
    let (code, yaml) = propose(&p, "k8s --from flows.jsonl", "k8s/allow.yaml");
    assert!(code == 0 && yaml.contains("enableDefaultDeny:") && !yaml.contains("newly isolates"), "{yaml}");
    assert_eq!(p.json("k8s --from flows.jsonl").0, 0);
    // An engine without such policies says what its rules would do.
    let q = Place::new(&flows, &[("k8s/deny.yaml", &only_cart)]);
    let (code, yaml) = propose(&q, "k8s --from flows.jsonl --engine kubernetes", "k8s/allow.yaml");
    assert_eq!(code, 1, "{yaml}");
    assert!(
        yaml.contains(": a NetworkPolicy cannot name hosts") || yaml.contains(" is api.stripe.com, and a NetworkPolicy cannot name hosts"),
        "{yaml}"
    );
    assert!(
        !yaml.contains("api.stripe.com is api.stripe.com") && yaml.contains("# newly isolates:"),
        "a name is not explained by itself: {yaml}"
    );
}

#[test]
fn a_frame_that_names_neither_side_is_nobody_to_be_newly_isolated() {
    let mut flows = shop();
    // As an agent reports a frame of an EtherType that it does not know.
    let f = json!({"time": "2026-01-31T14:00:00Z", "verdict": "DROPPED", "drop_reason_desc": "UNSUPPORTED_L3_PROTOCOL",
        "ethernet": {"source": "06:b8:a2:f0:b4:61", "destination": "01:80:c2:00:00:0e"}, "Type": "L3_L4", "event_type": {"type": 1}});
    flows.push(json!({"flow": f, "node_name": "n1", "time": "2026-01-31T14:00:00Z"}));
    let p = Place::new(&flows, &[("k8s/deny.yaml", NOTHING)]);
    let (_, yaml) = propose(&p, "k8s --from flows.jsonl", "k8s/allow.yaml");
    assert!(yaml.contains("kind: NetworkPolicy") && !yaml.contains("newly isolates"), "{yaml}");
}

#[test]
fn a_rule_by_name_has_the_dns_rule_that_feeds_it() {
    // DNS itself is allowed already, past the proxy that would learn from the answers.
    let open = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{ports: [{port: 53, protocol: UDP}]}]
";
    let flows = [query(cart(2)), outside(cart(2), "203.0.113.7", &["api.stripe.com"])];
    let p = Place::new(&flows, &[("k8s/dns.yaml", open)]);
    let (code, yaml) = propose(&p, "k8s --from flows.jsonl", "k8s/allow.yaml");
    assert!(code == 0 && yaml.contains("dns:") && yaml.contains("matchName: api.stripe.com"), "{yaml}");
    let q = Place::new(&flows[1..], &[("k8s/dns.yaml", open)]);
    let (_, yaml) = propose(&q, "k8s --from flows.jsonl", "k8s/allow.yaml");
    assert!(yaml.contains("no query of it was seen"), "{yaml}");
}

const DENY_ALL: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nothing}
spec: {endpointSelector: {}, ingress: [{}], egress: [{}]}
";

/// What a proposal says of itself is what a second run over both finds.
fn holds(p: &Place, flows: &str) {
    let o = p.run(&format!("k8s --from {flows} --propose -o json"));
    let mut lines: Vec<Value> = text(&o).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].take();
    let yaml: Vec<&str> = lines.iter().map(|l| l["yaml"].as_str().unwrap()).collect();
    fs::write(p.path().join("k8s/allow.yaml"), yaml.join("---\n")).unwrap();
    let count = |list: &str| summary[list].as_array().unwrap().iter().map(|l| l["conversations"].as_u64().unwrap()).sum::<u64>();
    let number = |v: &Value| v.as_u64().unwrap();
    let (_, entries, after) = p.json(&format!("k8s --from {flows}"));
    assert_eq!(
        number(&after["new_drops"]),
        number(&summary["broken"]) - number(&summary["kept"]) + count("breaks"),
        "{flows}: {summary:#}"
    );
    let admitted: u64 = entries.iter().filter(|e| e["change"] == "admitted").map(|e| number(&e["conversations"])).sum();
    assert_eq!(admitted, count("also"), "{flows}: {entries:#?} {summary:#}");
    fs::remove_file(p.path().join("k8s/allow.yaml")).unwrap();
}

#[test]
fn proposals_for_the_demo_and_for_real_recordings_hold() {
    let p = Place::new(&[], &[("k8s/deny.yaml", DENY_ALL)]);
    let mut demo = Command::new(env!("CARGO_BIN_EXE_flowhy"));
    demo.env_clear().args("demo --headless -o jsonpb --count 4000 --rate max --seed 3 --start 2026-01-31T14:00:00Z".split(' '));
    fs::write(p.path().join("demo.jsonl"), demo.output().unwrap().stdout).unwrap();
    assert!(p.json("k8s --from demo.jsonl").2["new_drops"].as_u64().unwrap() > 20);
    holds(&p, "demo.jsonl");
    let shared = std::env::var("FLOWHY_SHARED").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
    let Ok(dir) = fs::read_dir(format!("{shared}/data/flows")) else { return eprintln!("skipped: no {shared}") };
    for file in dir.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "jsonl")) {
        holds(&p, file.to_str().unwrap());
    }
}

#[test]
fn the_examples_of_help_run() {
    let files = [
        ("k8s/db.yaml", DENY),
        ("main/k8s/db.yaml", DENY),
        ("cluster/ns.yaml", "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n"),
        ("deny.yaml", NOTHING),
    ];
    let p = Place::new(&shop(), &files);
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&fs::read(p.path().join("flows.jsonl")).unwrap()).unwrap();
    fs::write(p.path().join("flows.jsonl.gz"), zip.finish().unwrap()).unwrap();
    let help = text(&p.run("--help"));
    let examples: Vec<&str> = help.lines().skip(1).take_while(|l| !l.is_empty()).collect();
    assert!(examples.len() >= 4, "{help}");
    for example in examples {
        let o = p.run(example.split('>').next().unwrap().trim().strip_prefix("flowhy check ").unwrap());
        assert!(matches!(o.status.code(), Some(0 | 1)) && !o.stdout.is_empty(), "{example}: {}", String::from_utf8_lossy(&o.stderr));
    }
}
