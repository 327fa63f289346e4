//! The README, followed word for word against a cluster in this process.
use super::way::Cluster;
use super::{Reaped, explained, serve_at, text};
use flowhy::serve::Listen;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::time::{Duration, Instant};

/// The lines of the README's first block under a heading.
fn block(heading: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let block = section.split("```").nth(1).unwrap();
    let words = |l: &str| l.split('#').next().unwrap().trim().to_owned();
    block.lines().map(words).filter(|l| !l.is_empty()).collect()
}

#[test]
fn what_the_readme_says_of_a_cluster_is_what_happens() {
    let (mut one, two) = (Cluster::usual(Listen::loopback(), 80), Cluster::usual(Listen::loopback(), 80));
    let stage = two.api.kubeconfig(two.dir.path(), "stage");
    let list = std::env::join_paths([&one.config, &stage]).unwrap();
    let socket = one.dir.path().join("hubble.sock");
    let agent = one.runtime.block_on(serve_at(&one.ring, Listen::Unix(socket.clone())));
    let taken = std::net::TcpStream::connect("localhost:4245").is_ok();
    let mut ran = 0;
    for line in block("On a cluster") {
        let line = line.replace("unix:///var/run/cilium/hubble.sock", &agent.address);
        let args: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(args[0], "flowhy", "{line}");
        // The screen is driven in a terminal (tests/pty.rs); a stranger's server on this machine would be asked instead of the cluster.
        if args.len() == 1 || taken && !line.contains("--kube-context") && !line.contains("--server") {
            continue;
        }
        ran += 1;
        let mut child = Reaped(one.command(&args[1..]).env("KUBECONFIG", &list).spawn().unwrap());
        let (mut out, mut first) = (BufReader::new(child.0.stdout.take().unwrap()), String::new());
        if args.contains(&"-f") {
            // Flows come as long as nobody has seen one.
            let (tx, rx) = std::sync::mpsc::sync_channel(1);
            let reader = std::thread::spawn(move || {
                out.read_line(&mut first).unwrap();
                let _ = tx.send(());
                first
            });
            while rx.recv_timeout(Duration::from_millis(20)).is_err() && !reader.is_finished() {
                one.push(20);
            }
            first = reader.join().unwrap();
            assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
        } else {
            out.read_to_string(&mut first).unwrap();
        }
        let mut err = String::new();
        child.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "{line}: {err}");
        assert!(!first.is_empty(), "{line} prints nothing: {err}");
    }
    assert!(ran >= 3, "{ran}");
}

#[test]
fn a_recording_of_a_cluster_holds_its_policies() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    cluster.api.put(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: deny-all}\n\
         spec: {podSelector: {}, policyTypes: [Ingress]}\n",
    );
    let file = cluster.dir.path().join("flows.jsonl");
    let path = file.to_str().unwrap();
    let mut child = Reaped(cluster.command(&["record", path, "-P", "--last", "5", "-q"]).spawn().unwrap());
    // The first lists come before the first flow.
    cluster.runtime.block_on(cluster.api.asked("/api/v1/namespaces/kube-system/pods/relay-1/portforward", 2));
    let end = Instant::now() + Duration::from_secs(60);
    let held = || std::fs::read_to_string(&file).unwrap_or_default();
    while held().matches("\"flow\":").count() < 5 {
        assert!(Instant::now() < end, "{}", held());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let (before, _) = held().split_once("\"flow\":").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(before.contains("deny-all"), "{before}");
}

/// Uuid, outcome and policies of each explained flow.
fn told(lines: &str) -> Vec<[Value; 3]> {
    let all = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    all.filter(|v| !v["why"].is_null())
        .map(|mut v| [v["flow"]["uuid"].take(), v["why"]["outcome"].take(), v["why"]["policies"].take()])
        .collect()
}

#[test]
fn what_the_readme_says_of_recordings_is_what_happens() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    explained::filled(&cluster.api);
    let run = |args: &[&str]| {
        let o = cluster.command(args).current_dir(cluster.dir.path()).output().unwrap();
        assert_eq!(o.status.code(), Some(0), "{args:?}: {}", text(&o.stderr));
        text(&o.stdout)
    };
    let drops = ["--verdict", "DROPPED", "--why", "-o", "jsonpb"];
    let explained = |from: &[&str]| told(&run(&[&["observe"], from, &drops].concat()));
    let mut ran = 0;
    for line in block("Recordings") {
        let args: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(args[0], "flowhy", "{line}");
        let read = || run(&["observe", "--from", args[2], "-o", "jsonpb"]);
        if args[1] == "replay" {
            // The screen is driven in a terminal (tests/pty.rs).
            assert!(read().lines().count() > 100, "{line}");
        } else if args.contains(&"--from") {
            run(&args[1..]);
        } else {
            // A stranger's server on this machine would be asked instead of the cluster.
            let asked = [&args[1..], &["-P", "--last", "300"]].concat();
            let mut child = Reaped(cluster.command(&asked).current_dir(cluster.dir.path()).spawn().unwrap());
            let end = Instant::now() + Duration::from_secs(60);
            let there = || [args[2].to_owned(), format!("{}.0001", args[2])].iter().any(|f| cluster.dir.path().join(f).exists());
            while !there() || read().lines().count() < 250 {
                assert!(Instant::now() < end, "{line}");
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
            assert_eq!(child.0.wait().unwrap().code(), Some(0), "{line}");
        }
        ran += 1;
    }
    assert!(ran >= 5, "{ran}");
    // Without the cluster each drop is explained as with it; and with other names by as many policies, which nobody recognises.
    let live = explained(&["-P", "--last", "1000"]);
    let recorded = explained(&["--from", "incident.jsonl.zst"]);
    assert!(recorded.len() > 5 && recorded.iter().any(|[_, outcome, _]| outcome == "default-deny"), "{recorded:#?}");
    assert!(recorded.iter().all(|r| live.contains(r)), "{recorded:#?}");
    let shared = explained(&["--from", "share.jsonl.zst"]);
    let shape = |all: &[[Value; 3]]| all.iter().map(|[_, o, p]| (o.clone(), p.as_array().map_or(0, Vec::len))).collect::<Vec<_>>();
    assert_eq!(shape(&shared), shape(&recorded));
    let of = |file: &str| run(&["observe", "--from", file, "-o", "jsonpb"]);
    assert!(of("incident.jsonl.zst").contains("cartservice") && !of("share.jsonl.zst").contains("cartservice"));
}
