//! Manifests that are saved while the screen is open.
use crate::kit::{FLOWS, POLICIES, Tui};
use std::fs;

/// The screen on the recording, with a copy of its policies that can be written.
fn open(dir: &std::path::Path) -> (Tui, std::path::PathBuf, String) {
    let file = dir.join("policies.yaml");
    let body = fs::read_to_string(POLICIES).unwrap();
    fs::write(&file, &body).unwrap();
    let t = Tui::start(&["replay", FLOWS, "--policies", dir.to_str().unwrap()], &[]);
    t.wait_text("17 flows");
    t.wait_text("db-ingress");
    (t, file, body)
}

#[test]
fn saving_a_policy_fixes_its_cause_at_once_and_foretells_what_it_would_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (mut t, file, body) = open(dir.path());
    t.keys("2");
    t.wait_text("port 5433");
    // As editors do it: another file, renamed.
    let mended = body.replacen("port: 5432", "port: 5433", 1);
    fs::write(dir.path().join(".policies.yaml.swp"), &mended).unwrap();
    fs::rename(dir.path().join(".policies.yaml.swp"), &file).unwrap();
    t.wait_text("policies.yaml saved: 1 cause would be fixed, 1 cause foreseen");
    t.wait("the old cause fixed, the new one foreseen", |s| {
        let line = |parts: [&str; 2]| s.contents().lines().any(|l| parts.iter().all(|p| l.contains(p)));
        line(["5433", "fixed ?"]) && line(["5432", "foreseen"])
    });
    // What is foretold for flows that the filter hides is not left out in silence.
    t.keys("/port:5433\r");
    t.wait_text("1 foreseen cause outside the filter");
    // A filter that shows the flows that would be stopped shows what is foreseen of them.
    t.keys("/\x15port:5432 verdict:forwarded\r");
    t.wait("the foreseen cause alone", |s| {
        let causes: Vec<String> = s.contents().lines().filter(|l| l.contains("db-ingress:")).map(str::to_owned).collect();
        causes.len() == 1 && causes[0].contains("foreseen") && !s.contents().contains("outside the filter")
    });
    t.keys("/\x15\r");
    t.wait("all of it again", |s| s.contents().contains("foreseen") && !s.contents().contains("outside the filter"));
    // Half a file takes nothing away.
    fs::write(&file, mended[..mended.find("deny-all").unwrap() + 4].replace("policyTypes: [Ingress]", "policyTypes: [Ingress")).unwrap();
    t.wait_text("kept as it was: policies.yaml:");
    t.wait("nothing changed", |s| s.contents().contains("fixed ?") && s.contents().contains("foreseen"));
    // As it was: what was foretold is no more, and the drop stands.
    fs::write(&file, &body).unwrap();
    t.wait("the old picture", |s| !s.contents().contains("fixed ?") && !s.contents().contains("foreseen"));
    t.keys("q");
    t.wait_text("VERDICT");
    t.keys("q");
    assert!(t.gone().success());
}

#[test]
fn the_page_of_a_drop_says_what_was_saved_since() {
    let dir = tempfile::tempdir().unwrap();
    let (mut t, file, body) = open(dir.path());
    fs::write(&file, body.replacen("port: 5432", "port: 5433", 1)).unwrap();
    t.wait_text("1 cause would be fixed");
    t.keys("/port:5433\r");
    t.wait_text("3 of 17");
    t.keys("\r");
    t.wait_text("the saved text already lets all of it pass");
    // On a small screen the lanes come first; what changed stands below the fold, which is announced.
    t.wait_text("more lines: j");
    t.keys("jjjjjj");
    t.wait_text("NetworkPolicy shop/db-ingress was changed");
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn a_new_file_counts_and_one_that_is_deleted_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut t, _, _) = open(dir.path());
    let more = dir.path().join("more.yaml");
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: cart-shut, namespace: shop}\nspec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Ingress]}\n";
    fs::write(&more, policy).unwrap();
    t.wait_text("more.yaml saved");
    t.keys("7");
    t.wait_text("cart-shut");
    fs::remove_file(&more).unwrap();
    t.wait("the policy gone", |s| !s.contents().contains("cart-shut"));
    t.keys("\x03");
    assert!(t.gone().success());
}
