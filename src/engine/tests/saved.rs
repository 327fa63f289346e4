//! Saves of manifests that a recording tells of: what holds since when, and what could not be read of them. Tests only.
use super::*;
use crate::model::doc::Doc;
use crate::model::input::{Edited, Pair};

/// A save as a recording has it.
fn saved(e: &mut Engine, at: &str, pairs: Vec<Pair>, faults: Vec<Fault>) {
    let at = Nanos::from_utc(chrono::DateTime::parse_from_rfc3339(at).unwrap().to_utc());
    let files = vec![Edited { file: "a.yaml".to_owned(), pairs, faults }];
    e.feed(Input::World(Arc::new(Edits { at, files }).said().unwrap()), &mut |_| {});
}

fn namespace(env: &str) -> Arc<Doc> {
    let body = format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: shop, labels: {{env: {env}}}}}\n");
    Arc::new(yaml::read("a.yaml", &body).0.remove(0))
}

#[test]
fn labels_that_a_recording_saved_later_do_not_count_before_though_policies_are_given() {
    let mut e = engine(&POLICY.replace(
        "podSelector:\n        matchLabels:\n          app: cart",
        "namespaceSelector:\n        matchLabels:\n          env: prod",
    ));
    let always = |doc| At { cluster: Arc::from(""), at: None, change: Change::Apply(doc) };
    e.feed(Input::World(always(namespace("dev"))), &mut |_| {});
    saved(&mut e, "2026-04-13T14:02:59Z", vec![(Some(namespace("dev")), Some(namespace("prod")))], Vec::new());
    let why = line(&mut e, &flow(1.0, 40_000, 5432, "DROPPED", 5)).remove(0).unwrap();
    assert_eq!((why.outcome, why.agreement), (Outcome::DefaultDeny, Agreement::Agrees), "{why:?}");
}

#[test]
fn what_cannot_be_read_of_a_recording_is_told_though_policies_are_given() {
    let mut e = engine(POLICY);
    let fault = Fault { file: "a.yaml".to_owned(), line: 1, what: "old".to_owned() };
    e.feed(Input::from(Change::Fault(fault.clone())), &mut |_| {});
    assert_eq!(e.faults(), [fault]);
}

#[test]
fn what_cannot_be_read_of_a_file_goes_with_its_old_text_in_a_replay_too() {
    let mut e = Engine::new(Options::default());
    let fault = |file: &str, what: &str| Fault { file: file.to_owned(), line: 1, what: what.to_owned() };
    for old in [fault("a.yaml", "old"), fault("b.yaml", "other")] {
        e.feed(Input::from(Change::Fault(old)), &mut |_| {});
    }
    saved(&mut e, "2026-04-13T14:02:59Z", vec![(None, Some(namespace("dev")))], vec![fault("a.yaml", "new")]);
    assert_eq!(e.faults(), [fault("b.yaml", "other"), fault("a.yaml", "new")]);
}
