//! Recordings of several clusters together: each goes on after those of its own, is told apart from those of others whatever it is called
//! and in whatever order it is named, and no question is put to the wrong one.
use super::runs::{Lines, whys};
use super::{flowhy, text};
use std::path::Path;

const DAY: i64 = 86_400;

/// A recording from a second on, with one policy and two drops, in a folder of its own.
fn recording(dir: &Path, name: &str, from: i64, (cluster, node): (&str, &str), policy: &str, called: Option<&str>) -> String {
    let mut l = Lines::default();
    l.snapshot((from, from), (cluster, node), &[policy]);
    if let Some(name) = called {
        let end = l.0.split_off(l.0.trim_end().rfind('\n').unwrap() + 1);
        let body = format!(", namespace: kube-system}}\ndata: {{cluster-name: {name}}}");
        l.object(from - DAY, cluster, "ConfigMap", "cilium-config", &body);
        l.0.push_str(&end);
    }
    l.drop(from + 100, node);
    l.drop(from + 200, node);
    std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    l.save(dir, name)
}

#[test]
fn recordings_of_two_clusters_in_turn_each_go_on_after_their_own_only() {
    let dir = tempfile::tempdir().unwrap();
    let of = |from, cluster, node, policy: &str| recording(dir.path(), &format!("{policy}.jsonl"), from, (cluster, node), policy, None);
    let (east, west) = (of(0, "east", "e1", "e-old"), of(50, "west", "w1", "w-old"));
    let (east2, west2) = (of(DAY, "east", "e1", "e-new"), of(DAY + 50, "west", "w1", "w-new"));
    let all = ["e-old", "w-old", "e-old", "w-old", "e-new", "w-new", "e-new", "w-new"].map(|p| format!("default-deny {p}"));
    assert_eq!(whys(&[&east, &west, &east2, &west2]), all);
    assert_eq!(whys(&[&west2, &east2, &west, &east]), all, "in whatever order they are named");
}

#[test]
fn two_clusters_of_one_name_in_files_of_one_name_stay_two() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name, from, node, policy| recording(dir.path(), name, from, ("in-cluster", node), policy, None);
    let (east, west) = (of("east/rec.jsonl", 0, "e1", "east"), of("west/rec.jsonl", 50, "w1", "west"));
    assert_eq!(whys(&[&east, &west]), ["default-deny east", "default-deny west", "default-deny east", "default-deny west"]);
}

#[test]
fn a_recording_that_may_be_of_either_of_two_clusters_makes_them_no_one() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name, from, policy, called| recording(dir.path(), name, from, ("in-cluster", "n1"), policy, called);
    let (plain, east, west) =
        (of("a.jsonl", 0, "plain", None), of("b.jsonl", 30, "east", Some("east")), of("c.jsonl", 60, "west", Some("west")));
    for files in [[&plain, &east, &west], [&east, &plain, &west], [&west, &east, &plain]] {
        let all = whys(&files.map(String::as_str));
        assert!(all.len() == 6 && all.iter().all(|w| w.trim() == "undecidable"), "{files:?}: {all:?}");
    }
}

#[test]
fn a_question_is_not_put_to_the_first_of_two_clusters() {
    let dir = tempfile::tempdir().unwrap();
    let east = recording(dir.path(), "e.jsonl", 0, ("east", "e1"), "p", None);
    let west = recording(dir.path(), "w.jsonl", 0, ("west", "w1"), "p", None);
    let written = std::fs::read_to_string(&west).unwrap();
    std::fs::write(&west, written.replace("shop", "pay")).unwrap();
    for (src, dst) in [("pay:app=cart", "pay:app=db:80"), ("pay/cart-0", "pay/db-0:80")] {
        let o = flowhy(&["why", "--from", &east, "--from", &west, src, dst]);
        let said = text(&o.stderr);
        assert_eq!((o.status.code(), text(&o.stdout).as_str()), (Some(2), ""), "{said}");
        assert!(said.contains("a question is of one cluster, and here are east, west") && said.contains("hint"), "{said}");
        let o = flowhy(&["why", "--from", &west, src, dst]);
        assert!(o.status.code() == Some(1) && text(&o.stdout).contains("default-deny"), "{}", text(&o.stderr));
    }
}
