//! Numbers in place of policies' names: their dictionary is recorded, also where a ring has dropped the record that it travelled on, and
//! replayed with the same names; a recording without names keeps the numbers and what they mean.
use super::{DEMO, Place, fine, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The demo's drops as an agent tells them that has numbers only, and how many there are. `entries`: whether the first record of each node
/// brings its dictionary; else it stands by itself, in the lines that come first.
fn numbered(p: &Place, entries: bool) -> (String, String, usize) {
    let whys = p.why("in.jsonl", true);
    let mut of: BTreeMap<String, Value> = BTreeMap::new();
    for line in whys.lines() {
        let v: Value = serde_json::from_str(line).unwrap();
        if let Some(policy) = v["why"]["policies"].get(0).filter(|_| v["why"]["outcome"] != "l7-denied") {
            of.insert(v["flow"]["uuid"].as_str().unwrap().to_owned(), policy.clone());
        }
    }
    let mut nodes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut lines: Vec<Value> = p.read("in.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for v in lines.iter_mut().filter(|v| v["flow"]["uuid"].is_string()) {
        let (uuid, node) = (v["flow"]["uuid"].as_str().unwrap().to_owned(), v["flow"]["node_name"].as_str().unwrap().to_owned());
        let Some(policy) = of.get(&uuid) else { continue };
        let own = nodes.entry(node).or_default();
        let id = own.iter().position(|p| p == policy).unwrap_or_else(|| {
            own.push(policy.clone());
            own.len() - 1
        });
        let flow = v["flow"].as_object_mut().unwrap();
        flow.retain(|k, _| !k.ends_with("_denied_by"));
        let url = "type.googleapis.com/flowhy.agent.Ruling";
        flow.insert("extensions".into(), json!({"@type": url, "policy_id": (id + 1).to_string(), "instance": "9"}));
    }
    let entry = |(i, p): (usize, &Value)| json!({"policy_id": (i + 1).to_string(), "kind": p["kind"], "namespace": p["namespace"], "name": p["name"]});
    let dictionary = |own: &[Value]| own.iter().enumerate().map(entry).collect::<Vec<_>>();
    let mut first = String::new();
    for (node, own) in &nodes {
        if entries {
            let at = |v: &&mut Value| v["flow"]["node_name"] == json!(node) && v["flow"].get("extensions").is_some();
            lines.iter_mut().find(at).unwrap()["flow"]["extensions"]["dictionary"] = json!(dictionary(own));
        } else {
            // As another program's writer of JSON spells it.
            let ids = json!({"node": node, "instance": 9, "entries": dictionary(own)});
            first.push_str(&format!("{{\"world\": {{\"ids\": {ids}}}}}\n"));
        }
    }
    let flows = lines.iter().map(|l| format!("{l}\n")).collect();
    (first, flows, of.len())
}

/// By uuid: what is reported, and the policies that were found out.
fn reported(whys: &str) -> BTreeMap<String, (Value, Value)> {
    let of = |line: &str| {
        let v: Value = serde_json::from_str(line).unwrap();
        let reported = v["why"]["reported"].clone();
        reported.is_object().then(|| (v["flow"]["uuid"].as_str().unwrap().to_owned(), (reported, v["why"]["policies"].clone())))
    };
    whys.lines().filter_map(of).collect()
}

#[test]
fn what_numbers_mean_is_recorded_and_replayed() {
    let p = Place::new(3_000);
    let (_, flows, drops) = numbered(&p, true);
    std::fs::write(p.at("ids.jsonl"), &flows).unwrap();
    let whys = p.why("ids.jsonl", true);
    let all = reported(&whys);
    assert!(drops > 100 && all.len() == drops, "{drops} drops, {} of them reported", all.len());
    for (uuid, (reported, policies)) in &all {
        let (said, detail) = (&reported["policies"][0], &reported["details"][0]);
        let named = |p: &Value| ["kind", "namespace", "name"].iter().all(|k| p[k] == said[k]);
        assert!(policies.as_array().unwrap().iter().any(named) && detail["numbers"]["policy"].is_u64(), "{uuid}: {reported} {policies}");
    }
    fine(&["record", "-q", &p.at("out.jsonl.zst"), "--from", &p.at("ids.jsonl"), "--policies", DEMO]);
    assert!(p.why("out.jsonl.zst", false) == whys, "other explanations");
    assert!(fine(&["observe", "--from", &p.at("out.jsonl.zst"), "-o", "jsonpb"]) == p.observed("ids.jsonl"), "the record is what it was");

    // The dictionary as lines of its own, on standard input.
    let (dictionary, flows, _) = numbered(&p, false);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowhy"))
        .args(["observe", "-q", "--input-file", "-", "--policies", DEMO, "--why", "-o", "json", "drop:any"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let both = dictionary + &flows;
    let writer = std::thread::spawn(move || stdin.write_all(both.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(reported(&text(&out.stdout)) == all, "from standard input");
}

#[test]
fn a_ring_that_has_dropped_its_beginning_still_knows_what_numbers_mean() {
    let p = Place::new(6_000);
    let (_, flows, _) = numbered(&p, true);
    std::fs::write(p.at("ids.jsonl"), &flows).unwrap();
    let all = reported(&p.why("ids.jsonl", true));
    fine(&["record", "-q", &p.at("ring.jsonl"), "--from", &p.at("ids.jsonl"), "--ring", "1MiB"]);
    let kept: String = p.files("ring").iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let first = flows.lines().find(|l| l.contains("\"dictionary\"")).unwrap();
    assert!(!kept.contains(first) && kept.contains("\"ids\":{\"node\""), "the beginning is gone");
    let ring = reported(&p.why("ring.jsonl", true));
    let left = kept.lines().filter(|l| l.starts_with("{\"flow\"") && l.contains("flowhy.agent.Ruling")).count();
    assert!(ring.len() > 20 && ring.len() < all.len() && ring.len() == left, "{} of {left}, {} before", ring.len(), all.len());
    assert!(ring.iter().all(|(uuid, said)| all.get(uuid) == Some(said)), "other names");
}

#[test]
fn without_names_the_numbers_mean_what_stands_for_the_names() {
    let p = Place::new(3_000);
    let (_, flows, drops) = numbered(&p, true);
    std::fs::write(p.at("ids.jsonl"), &flows).unwrap();
    fine(&["record", "-q", &p.at("red.jsonl"), "--from", &p.at("ids.jsonl"), "--policies", DEMO, "--redact"]);
    let plain = reported(&p.why("ids.jsonl", true));
    let red = reported(&p.why("red.jsonl", false));
    assert_eq!((red.len(), plain.len()), (drops, drops));
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (uuid, (reported, policies)) in &red {
        let (said, was) = (&reported["policies"][0], &plain[uuid].0["policies"][0]);
        let same = |p: &Value| ["kind", "namespace", "name"].iter().all(|k| p[k] == said[k]);
        assert!(policies.as_array().unwrap().iter().any(same), "{uuid}: {reported} {policies}");
        assert_eq!(reported["details"][0]["numbers"], plain[uuid].0["details"][0]["numbers"]);
        names.insert(was["name"].as_str().unwrap(), said["name"].as_str().unwrap());
    }
    let text = p.read("red.jsonl");
    assert!(names.values().all(|n| text.contains(*n)) && !text.contains("\"dictionary\""));
    assert!(names.iter().filter(|(was, is)| was == is).count() * 4 < names.len(), "{names:?}");
}
