//! One filter text, the same flows: what the bar of the screen lets through, and what the same text as an argument does.
use crate::kit::*;
use flowhy::demo::{self, Simulation};
use flowhy::model::input::{Change, Input};
use flowhy::model::time::Nanos;
use flowhy::source::tape::{Next, Tape};
use flowhy::tui::App;
use flowhy::wire::json::write_response;
use flowhy::world::yaml;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn run(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_flowhy")).args(args).env("NO_COLOR", "1").output().unwrap();
    assert!(out.status.success(), "{args:?}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn observed(source: &[&str], filter: &str) -> usize {
    run(&[&["observe", "-o", "jsonpb"][..], source, &[filter]].concat()).lines().filter(|l| l.contains("\"flow\":")).count()
}

/// The screen on a recording, its own state included, with these manifests.
fn screen(file: &Path, manifests: &[(&str, &str)]) -> App {
    let mut engine = bare();
    if !manifests.is_empty() {
        engine.policies_given();
    }
    for doc in manifests.iter().flat_map(|(file, text)| yaml::read(file, text).0) {
        engine.give(Change::Apply(Arc::new(doc)));
    }
    let mut a = App::new(engine, options());
    for next in Tape::open(&[file.to_string_lossy().into_owned()]).unwrap() {
        match next {
            Next::Line(frame, _) => a.feed(vec![Input::Frame(frame)]),
            Next::Changes(all) => a.feed(all.into_iter().map(Input::World).collect()),
            _ => {}
        }
    }
    a.close();
    a
}

fn hits(a: &mut App, filter: &str) -> usize {
    press(a, "/<c-u>", 80, 24);
    a.paste(filter);
    press(a, "<cr>", 80, 24);
    assert!(!text(&picture(a, 80, 24)).contains("not a filter"), "{filter}");
    a.hits()
}

/// As agents write them: of the other side of a connection they often know the pod, and not who owns it.
fn demo_lines(count: usize) -> String {
    let mut simulation = Simulation::new(7, Nanos::from_parts(1_800_000_000, 0));
    let mut out = Vec::new();
    for _ in 0..count {
        write_response(&simulation.next().1, &mut out);
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn an_owner_that_only_the_pods_name_shows_counts_on_the_screen_and_in_a_pipe_alike() {
    let dir = tempfile::tempdir().unwrap();
    let (file, packed) = (dir.path().join("demo.jsonl"), dir.path().join("demo.jsonl.gz"));
    std::fs::write(&file, demo_lines(1_000)).unwrap();
    let gzip = std::fs::File::create(&packed).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, demo_lines(1_000).as_bytes()).unwrap();
    gzip.finish().unwrap();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo");
    let (from, packed) = (["--from", file.to_str().unwrap()], ["--from", packed.to_str().unwrap()]);
    let given = [from[0], from[1], "--policies", policies];
    let (mut plain, mut told) = (screen(&file, &[]), screen(&file, &demo::manifests()));
    for filter in [
        "workload:frontend",
        "from.workload:loadgenerator to.workload:frontend",
        "to.workload:frontend verdict:dropped",
        "not workload:frontend",
        "workload!=frontend,loadgenerator",
        "workload:shop/frontend",
        "workload:deployment/frontend",
        "from.workload:front*",
        "workload:*service",
        "workload~^front",
        "to.workload:\"\"",
        "workload:nobody",
        "workload:coredns or port:6379",
        "loadgenerator",
        "ns:shop",
        "from.pod:frontend*",
        "to.label:app=frontend",
        "drop:any workload:ratings-v1",
    ] {
        let shown = hits(&mut plain, filter);
        assert_eq!(observed(&from, filter), shown, "{filter}");
        assert_eq!(observed(&given, filter), hits(&mut told, filter), "{filter}, with manifests");
    }
    assert_eq!(observed(&packed, "workload:frontend"), hits(&mut plain, "workload:frontend"));
    // The names of pods are what it turns on: Hubble's own flag asks the record alone.
    let flag = run(&["observe", "-o", "jsonpb", "--from", from[1], "--workload", "frontend"]).lines().count();
    let word = hits(&mut plain, "workload:frontend");
    assert!(0 < flag && flag < word, "{flag} {word}");
    // Counted by it too, whether the record has a kind or not.
    let counts = run(&["observe", "--from", from[1], "-o", "json", "--count-by", "to.workload", "to.workload:frontend"]);
    let shown = hits(&mut plain, "to.workload:frontend");
    assert_eq!(counts.trim_end(), format!("{{\"count\":{shown},\"to.workload\":\"frontend\"}}"));
}

const PODS: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: runner-abc\n  namespace: ci\n  labels: {app: runner}\n  ownerReferences:\n  - {apiVersion: x/v1, kind: Fleet, name: fleet, uid: u, controller: true}\nspec:\n  nodeName: n1\nstatus:\n  podIP: 10.9.9.9\n  podIPs: [{ip: 10.9.9.9}]\n";

/// A pod whose owner no name shows, and an address of which the record says nothing.
fn fleet() -> String {
    let flow = |source: &str| {
        format!(
            r#"{{"flow":{{"time":"2027-01-15T08:00:00Z","verdict":"FORWARDED","IP":{{"source":"10.9.9.9","destination":"10.0.0.2"}},"l4":{{"TCP":{{"source_port":1,"destination_port":80}}}},"source":{source},"destination":{{"namespace":"web","labels":["k8s:app=web"],"pod_name":"web-0"}},"node_name":"n1","traffic_direction":"EGRESS"}},"node_name":"n1","time":"2027-01-15T08:00:00Z"}}"#
        ) + "\n"
    };
    let (named, bare) = (r#"{"namespace":"ci","labels":["k8s:app=runner"],"pod_name":"runner-abc"}"#, "{}");
    [named, named, bare].map(flow).concat()
}

#[test]
fn what_manifests_know_of_a_pod_counts_without_a_screen_too() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pods) = (dir.path().join("f.jsonl"), dir.path().join("pods.yaml"));
    std::fs::write(&file, fleet()).unwrap();
    std::fs::write(&pods, PODS).unwrap();
    let from = ["--from", file.to_str().unwrap()];
    let given = [from[0], from[1], "--policies", pods.to_str().unwrap()];
    let mut a = screen(&file, &[("pods.yaml", PODS)]);
    for (filter, knowing, unknowing) in [
        ("workload:fleet", 3, 0),
        ("from.workload:fleet/fleet", 1, 0),
        ("workload:runner-abc", 0, 2),
        ("workload:web", 3, 3),
        ("ns:ci", 3, 2),
        ("from.pod:runner-abc", 3, 2),
        ("label:app=runner", 3, 2),
        ("not ns:ci", 0, 1),
    ] {
        assert_eq!((hits(&mut a, filter), observed(&given, filter)), (knowing, knowing), "{filter}");
        assert_eq!(observed(&from, filter), unknowing, "{filter}, told nothing");
    }
    for flag in ["--workload", "--from-workload"] {
        let lines = |name: &str| run(&[&["observe", "-o", "jsonpb"][..], &given, &[flag, name]].concat()).lines().count();
        assert_eq!((lines("fleet"), lines("runner-abc")), (0, 0), "{flag} asks the record alone");
    }
}

#[test]
fn a_recordings_own_state_says_who_owns_a_pod_without_a_screen_too() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pods, kept) = (dir.path().join("f.jsonl"), dir.path().join("pods.yaml"), dir.path().join("kept.jsonl"));
    std::fs::write(&file, fleet()).unwrap();
    std::fs::write(&pods, PODS).unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    run(&["record", &path(&kept), "--from", &path(&file), "--policies", &path(&pods)]);
    let mut a = screen(&kept, &[]);
    for (filter, want) in [("workload:fleet", 3), ("workload:runner-abc", 0), ("from.workload:fleet ns:ci", 3), ("workload:web", 3)] {
        assert_eq!((hits(&mut a, filter), observed(&["--from", &path(&kept)], filter)), (want, want), "{filter}");
    }
}
