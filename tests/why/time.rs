//! Policies that change while flows come: each flow is explained by what was in force when it happened.
use super::living::{id, kind};
use super::reader::{self, Agreement, Outcome};
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{At, Change, Codec, Frame, Input, KindState};
use flowhy::model::time::Nanos;
use flowhy::model::why::{Explanation, Why};
use flowhy::world::{line, yaml};
use std::sync::Arc;

/// 2026-01-01T10:00:00Z and so many seconds.
fn t(seconds: i64) -> Nanos {
    Nanos::from_parts(1_767_261_600 + seconds, 0)
}

pub(super) fn engine() -> Engine {
    Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() })
}

pub(super) fn tell(e: &mut Engine, cluster: &str, seconds: i64, change: Change) {
    e.feed(Input::World(At { cluster: cluster.into(), at: Some(t(seconds)), change }), &mut |_| {});
}

/// Ingress to `app: db` of shop, to a port.
pub(super) fn policy(name: &str, port: u16) -> Change {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  podSelector:\n    matchLabels:\n      app: db\n  ingress:\n  - ports:\n    - port: {port}\n"
    );
    Change::Apply(Arc::new(yaml::read(&format!("NetworkPolicy/shop/{name}"), &text).0.remove(0)))
}

fn gone(name: &str) -> Change {
    Change::Remove(id("networking.k8s.io", "NetworkPolicy", "shop", name))
}

pub(super) fn record(seconds: i64, port: u16, verdict: &str) -> String {
    let at = t(seconds);
    let side = |pod: &str, app: &str| {
        format!(
            r#"{{"namespace":"shop","pod_name":"{pod}","identity":1000,"labels":["k8s:app={app}","k8s:io.kubernetes.pod.namespace=shop"]}}"#
        )
    };
    let reason = if verdict == "DROPPED" { r#""drop_reason":133,"drop_reason_desc":"POLICY_DENIED","# } else { "" };
    format!(
        r#"{{"flow":{{"time":"{at}","verdict":"{verdict}",{reason}"IP":{{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"}},"l4":{{"TCP":{{"source_port":40000,"destination_port":{port}}}}},"source":{},"destination":{},"Type":"L3_L4","node_name":"n","event_type":{{"type":5}},"traffic_direction":"INGRESS","is_reply":false}},"node_name":"n","time":"{at}"}}"#,
        side("cart-0", "cart"),
        side("db-0", "db")
    )
}

pub(super) fn feed(e: &mut Engine, from: &str, text: &str) -> Option<Why> {
    let frame = Frame { codec: Codec::HubbleJson, from: from.into(), line: 1, bytes: text.to_owned().into(), broken: None };
    let mut out = None;
    // As the reader of recordings does it.
    if let Some(inside) = text.strip_prefix("{\"world\":").and_then(|t| t.strip_suffix('}')) {
        let line::Said::Changes(all) = line::read(inside.as_bytes()).unwrap() else { panic!("{text}") };
        all.into_iter().for_each(|at| e.feed(Input::World(at), &mut |_| {}));
        return None;
    }
    e.feed(Input::Frame(frame), &mut |event| out = event.why.map(|w| Why::clone(w)));
    out
}

pub(super) fn read(why: &Why) -> reader::Why {
    reader::read(&serde_json::to_string(why).unwrap())
}

/// A dropped packet: what the stream says of it.
pub(super) fn dropped(e: &mut Engine, seconds: i64, port: u16) -> reader::Why {
    read(&feed(e, "relay", &record(seconds, port, "DROPPED")).unwrap())
}

/// The newest held flow, explained now. The stream said the same at once where nothing has changed since.
pub(super) fn held(e: &Engine, back: u64) -> (reader::Why, Explanation) {
    let x = e.explain(e.store().seqs().end - 1 - back).unwrap();
    (read(&x.why), x)
}

fn changed(why: &reader::Why) -> Vec<String> {
    let all = why.changed_since.iter().flat_map(|v| v.as_array().unwrap());
    all.map(|c| format!("{} {} {}", c["name"].as_str().unwrap(), c["what"].as_str().unwrap(), c["at"].as_str().unwrap())).collect()
}

#[test]
fn an_old_drop_cites_the_version_of_its_time() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    let first = dropped(&mut e, 100, 5433);
    assert_eq!((first.outcome, first.names(), first.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees));
    assert!(first.changed_since.is_none());
    tell(&mut e, "", 200, policy("db", 5433));
    // The held row, and one that comes late.
    let late = dropped(&mut e, 101, 5433);
    for w in [&held(&e, 1).0, &held(&e, 0).0, &late] {
        assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees));
        assert_eq!(w.failed(), first.failed(), "by the rule as it was");
        assert_eq!(changed(w), ["db changed 2026-01-01T10:03:20Z"]);
    }
    let (_, x) = held(&e, 1);
    let port = |text: &Option<Arc<flowhy::model::doc::Text>>| text.as_ref().and_then(|t| t.line(12)).map(str::to_owned);
    assert_eq!(x.edits.len(), 1);
    assert_eq!(x.why.changes(), ["since then NetworkPolicy shop/db was changed at 2026-01-01T10:03:20Z"]);
    assert_eq!((port(&x.edits[0].before), port(&x.edits[0].after)), (Some("    - port: 5432".into()), Some("    - port: 5433".into())));
    assert_eq!(x.rules[0].text.line(12), Some("    - port: 5432"), "the screen shows the text of the time");
    // What happens now is judged by what is now.
    let now = dropped(&mut e, 300, 5433);
    assert_eq!((now.outcome, now.changed_since), (Outcome::NowAllowed, None));
    assert_eq!(dropped(&mut e, 301, 5432).outcome, Outcome::DefaultDeny);
    assert_eq!(e.changes().map(|(_, _, s)| s.what()).collect::<Vec<_>>(), ["added", "changed"]);
}

#[test]
fn a_removed_policy_still_explains_what_it_dropped() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    dropped(&mut e, 100, 5433);
    tell(&mut e, "", 200, gone("db"));
    let (w, x) = held(&e, 0);
    assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["shop/db".to_owned()]));
    assert_eq!(changed(&w), ["db removed 2026-01-01T10:03:20Z"]);
    assert!(x.edits[0].before.is_some() && x.edits[0].after.is_none() && !x.rules.is_empty());
    assert_eq!(dropped(&mut e, 240, 5433).outcome, Outcome::NowAllowed);
    // Made again and gone again: the versions between are told apart.
    tell(&mut e, "", 300, policy("db", 5432));
    tell(&mut e, "", 400, gone("db"));
    assert_eq!(dropped(&mut e, 250, 5433).outcome, Outcome::NowAllowed);
    assert_eq!(dropped(&mut e, 350, 5433).outcome, Outcome::DefaultDeny);
    assert_eq!(dropped(&mut e, 450, 5433).outcome, Outcome::NowAllowed);
}

#[test]
fn about_a_change_the_datapath_says_which_version_it_had() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 200, policy("db", 5433));
    // Just opened, and still dropped: the node did not have it yet.
    let w = dropped(&mut e, 204, 5433);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Unknown));
    assert!(
        w.because[0].starts_with("NetworkPolicy shop/db was changed 4 s before the packet: the node may have had the other version"),
        "{:?}",
        w.because
    );
    assert_eq!(w.failed().len(), 1, "by the rule as the node had it");
    // Just closed, and dropped before we heard of it.
    let w = dropped(&mut e, 198, 5432);
    assert_eq!((w.outcome, w.agreement), (Outcome::DefaultDeny, Agreement::Unknown));
    // In force by the API, and it fits: nothing to wonder about, but it is told.
    let w = dropped(&mut e, 204, 5432);
    assert_eq!((w.outcome, w.agreement), (Outcome::DefaultDeny, Agreement::Agrees));
    assert_eq!(w.as_of.unwrap()["near"][0]["what"], "changed");
    // By neither, and long after.
    assert_eq!(dropped(&mut e, 240, 5433).outcome, Outcome::NowAllowed);
    let w = dropped(&mut e, 260, 5432);
    assert_eq!((w.outcome, w.agreement, w.as_of), (Outcome::DefaultDeny, Agreement::Agrees, None));
}

#[test]
fn where_both_versions_drop_it_only_what_both_name_is_named() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("a", 5432));
    tell(&mut e, "", 200, policy("b", 5432));
    let w = dropped(&mut e, 205, 5433);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/a".to_owned()], Agreement::Unknown));
    assert_eq!(dropped(&mut e, 300, 5433).names(), ["shop/a", "shop/b"]);
    // One for another: nobody can say whose drop it was.
    tell(&mut e, "", 400, gone("b"));
    tell(&mut e, "", 600, gone("a"));
    tell(&mut e, "", 601, policy("c", 5432));
    let w = dropped(&mut e, 605, 5433);
    assert_eq!(
        (w.outcome, &w.missing),
        (Outcome::Undecidable, &vec!["version:NetworkPolicy shop/a".to_owned(), "version:NetworkPolicy shop/c".into()])
    );
    assert!(w.because[0].contains("shop/a") && w.because[0].contains("shop/c"), "{:?}", w.because);
    assert_eq!(dropped(&mut e, 700, 5433).names(), ["shop/c"]);
    // What comes late is not undecidable for that: long before, it was a.
    assert_eq!(dropped(&mut e, 500, 5433).names(), ["shop/a"]);
}

#[test]
fn a_flood_of_other_changes_is_no_matter() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    for i in 0..3_000 {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{i}, namespace: other}}\nspec: {{podSelector: {{}}}}\n"
        );
        let doc = yaml::read("NetworkPolicy/other", &text).0.remove(0);
        tell(&mut e, "", 100, Change::Apply(Arc::new(doc)));
    }
    for _ in 0..1_000 {
        let w = dropped(&mut e, 101, 5433);
        assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees));
        assert!(w.as_of.is_none() && w.changed_since.is_none());
    }
}

#[test]
fn what_is_older_than_the_first_list_is_not_taken_for_known() {
    let mut e = engine();
    let made = |seconds: i64| {
        let Change::Apply(doc) = policy("db", 5432) else { panic!() };
        let live = flowhy::model::live::Live {
            created: Some(t(seconds)),
            resource_version: "7".into(),
            generation: Some(2),
            ..Default::default()
        };
        Change::Apply(Arc::new(flowhy::model::doc::Doc { live: Some(Arc::new(live)), ..(*doc).clone() }))
    };
    let of = |state| kind("networking.k8s.io", "NetworkPolicy", state);
    tell(&mut e, "", 998, of(KindState::Loading));
    let w = dropped(&mut e, 997, 5433);
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["policies:networkpolicies loading".to_owned()]));
    tell(&mut e, "", 999, made(500));
    tell(&mut e, "", 1000, of(KindState::Synced));
    assert_eq!(e.changes().count(), 0, "a first list is no change");
    // It stood there as it is, says its own metadata.
    let w = dropped(&mut e, 900, 5433);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Unknown));
    let as_of = w.as_of.unwrap();
    assert_eq!((&as_of["known_from"], &as_of["policies"][0]["resource_version"]), (&"2026-01-01T10:16:40Z".into(), &"7".into()));
    // It was not there yet.
    let w = dropped(&mut e, 400, 5433);
    assert_eq!((w.outcome, &w.missing), (Outcome::Undecidable, &vec!["version:NetworkPolicy shop/db".to_owned()]));
    assert!(w.because[0].contains("created 10:08:20, 100 s after the packet"), "{:?}", w.because);
    assert_eq!((held(&e, 2).0.outcome, held(&e, 0).0.outcome), (Outcome::DefaultDeny, Outcome::Undecidable));
}

#[test]
fn a_version_that_cannot_be_decided_is_not_ruled_out_by_a_policy_written_after_the_packet() {
    let mut e = engine();
    let cnp = |name: &str, rules: &str| {
        let text = format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{endpointSelector: {{matchLabels: {{app: db}}}}, {rules}}}\n"
        );
        Change::Apply(Arc::new(yaml::read(&format!("CiliumNetworkPolicy/shop/{name}"), &text).0.remove(0)))
    };
    tell(&mut e, "", 0, cnp("q", "ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]"));
    tell(&mut e, "", 120, cnp("all", "ingressDeny: [{fromEntities: [all]}]"));
    let nobody = record(100, 5432, "DROPPED")
        .replace(r#""labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"]"#, r#""labels":[]"#)
        .replace(r#"133,"drop_reason_desc":"POLICY_DENIED""#, r#"181,"drop_reason_desc":"POLICY_DENY""#);
    let w = read(&feed(&mut e, "relay", &nobody).unwrap());
    assert_eq!((w.outcome, w.agreement, w.policies.len()), (Outcome::Undecidable, Agreement::Unknown, 0), "{:?}", w.because);
    assert!(w.missing.iter().all(|m| !m.starts_with("version:")), "what is not known of the peer: {:?}", w.missing);
    assert!(w.because[0].contains("by one of the versions about this time it cannot be decided"), "{:?}", w.because);
}

#[test]
fn what_is_older_than_the_history_stays_only_where_the_datapath_confirms_it() {
    let mut e = engine();
    let of = |state| kind("networking.k8s.io", "NetworkPolicy", state);
    tell(&mut e, "", 998, of(KindState::Loading));
    tell(&mut e, "", 999, policy("db", 5432));
    tell(&mut e, "", 1000, of(KindState::Synced));
    let reaches = |w: &reader::Why| w.because.iter().any(|b| b.starts_with("policies are known from 10:16:40 on, 100 s after the packet"));
    let w = dropped(&mut e, 900, 5433);
    assert_eq!((w.outcome, w.names(), reaches(&w)), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], true), "{:?}", w.because);
    // Allowed today: nobody is blamed, and the reason is near.
    let w = dropped(&mut e, 900, 5432);
    assert_eq!((w.outcome, w.agreement, reaches(&w)), (Outcome::NowAllowed, Agreement::Disagrees, true), "{:?}", w.because);
    // Which side it was is not told: policies that are gone may have decided it.
    let aside = record(900, 5433, "DROPPED").replace(r#","traffic_direction":"INGRESS""#, "").replace(r#","event_type":{"type":5}"#, "");
    let w = read(&feed(&mut e, "relay", &aside).unwrap());
    assert_eq!((w.outcome, &w.missing), (Outcome::Undecidable, &vec!["version:policies".to_owned()]), "{:?}", w.because);
    assert!(reaches(&w) && w.policies.is_empty() && w.sides.is_empty(), "{:?}", w.because);
}

#[test]
fn clusters_never_mix() {
    let mut e = engine();
    tell(&mut e, "east", 0, policy("db", 5432));
    // As long as there is one, it is meant.
    let w = dropped(&mut e, 90, 5433);
    assert_eq!(w.names(), ["shop/db"]);
    tell(&mut e, "west", 0, policy("other", 5433));
    let ask = |e: &mut Engine, from: &str, port| read(&feed(e, from, &record(100, port, "DROPPED")).unwrap());
    for (from, port, outcome, names) in [
        ("east", 5433, Outcome::DefaultDeny, vec!["shop/db".to_owned()]),
        ("east", 5432, Outcome::NowAllowed, vec!["shop/db".to_owned()]),
        ("west", 5432, Outcome::DefaultDeny, vec!["shop/other".to_owned()]),
        ("west", 5433, Outcome::NowAllowed, vec!["shop/other".to_owned()]),
        ("somewhere", 5432, Outcome::Undecidable, vec![]),
    ] {
        let w = ask(&mut e, from, port);
        assert_eq!((w.outcome, w.names()), (outcome, names.clone()), "{from} {port}");
        let (again, _) = held(&e, 0);
        assert_eq!((again.outcome, again.names(), again.cluster.as_deref()), (outcome, names, w.cluster.as_deref()), "{from} {port}");
        assert_eq!(e.cluster_of(e.store().seqs().end - 1), if from == "somewhere" { "" } else { from });
        assert_eq!(w.cluster.as_deref(), (from != "somewhere").then_some(from));
    }
    let clusters: Vec<_> = e.clusters().map(|c| c.to_string()).collect();
    assert_eq!(
        (clusters, e.changes().map(|(c, _, _)| c.to_owned()).collect::<Vec<_>>()),
        (vec!["east".into(), "west".into()], vec!["east".into(), "west".into()])
    );
    // The same drop in both is two causes.
    tell(&mut e, "west", 0, policy("db", 5432));
    tell(&mut e, "west", 0, gone("other"));
    let before = e.causes().len();
    ask(&mut e, "west", 5433);
    assert_eq!(e.causes().len(), before + 1);
}

#[test]
fn a_recording_explains_with_the_policies_of_that_moment_unless_others_are_given() {
    let mut lines = Vec::new();
    let mut tells = |at: i64, change: Change| {
        let mut text = Vec::new();
        line::write(&At { cluster: "".into(), at: Some(t(at)), change }, &mut text);
        lines.push(String::from_utf8(text).unwrap());
        lines.push(record(at + 60, 5433, "DROPPED"));
    };
    tells(0, policy("db", 5432));
    tells(100, policy("db", 5433));
    tells(200, gone("db"));
    tells(300, policy("db", 1));
    let outcomes = |e: &mut Engine| -> Vec<(Outcome, Vec<String>)> {
        let said: Vec<_> = lines.iter().filter_map(|l| feed(e, "file", l)).map(|w| read(&w)).collect();
        for (i, w) in said.iter().enumerate() {
            let (again, _) = held(e, (said.len() - 1 - i) as u64);
            assert_eq!((again.outcome, again.names()), (w.outcome, w.names()), "explained again at the end");
        }
        said.iter().map(|w| (w.outcome, w.names())).collect()
    };
    let db = || vec!["shop/db".to_owned()];
    let wanted = [(Outcome::DefaultDeny, db()), (Outcome::NowAllowed, db()), (Outcome::NowAllowed, vec![]), (Outcome::DefaultDeny, db())];
    let mut e = engine();
    assert_eq!(outcomes(&mut e), wanted);
    assert!(e.ledger().balanced());
    // Read again from its beginning: nothing of the first time is left.
    e.feed(Input::Reset, &mut |_| {});
    assert_eq!(outcomes(&mut e), wanted);
    let mut e = engine();
    e.policies_given();
    e.give(policy("mine", 80));
    // A manifest that was recorded.
    let mut text = Vec::new();
    line::write(&At { cluster: "".into(), at: None, change: policy("theirs", 1) }, &mut text);
    feed(&mut e, "file", std::str::from_utf8(&text).unwrap());
    let mine = (Outcome::DefaultDeny, vec!["shop/mine".to_owned()]);
    assert_eq!(outcomes(&mut e), [mine.clone(), mine.clone(), mine.clone(), mine]);
}

#[test]
fn a_laptops_clock_on_one_object_does_not_move_the_changes_of_others() {
    let mut e = engine();
    tell(&mut e, "", 0, policy("db", 5432));
    tell(&mut e, "", 0, policy("other", 5433));
    // That it is gone was seen by a clock that is an hour ahead; when `db` was written the cluster says.
    tell(&mut e, "", 3_600, gone("other"));
    tell(&mut e, "", 200, policy("db", 5433));
    let w = dropped(&mut e, 300, 5432);
    assert_eq!((w.outcome, w.agreement, w.names().contains(&"shop/db".to_owned())), (Outcome::DefaultDeny, Agreement::Agrees, true));
    assert_eq!(dropped(&mut e, 100, 5433).outcome, Outcome::NowAllowed, "the other allowed it then");
    let order: Vec<_> = e.changes().map(|(_, _, s)| format!("{} {}", s.policy().unwrap().name, s.what())).collect();
    assert_eq!(order, ["db added", "other added", "db changed", "other removed"]);
}

#[test]
fn what_a_broken_watch_did_not_see_stays_unknown_after_it_is_mended() {
    let mut e = engine();
    let of = |state| kind("networking.k8s.io", "NetworkPolicy", state);
    tell(&mut e, "", -3, of(KindState::Loading));
    tell(&mut e, "", -2, policy("db", 5432));
    tell(&mut e, "", -1, of(KindState::Synced));
    for (state, how) in [
        (KindState::Stale("connection refused".into()), "stale"),
        (KindState::Loading, "loading"),
        (KindState::Forbidden("no".into()), "forbidden"),
    ] {
        tell(&mut e, "", 1_000, of(state));
        let w = dropped(&mut e, 1_500, 5433);
        assert_eq!((w.outcome, &w.missing), (Outcome::Undecidable, &vec![format!("policies:networkpolicies {how}")]));
        assert_eq!(dropped(&mut e, 500, 5433).agreement, Agreement::Agrees, "before it broke all was known");
    }
    tell(&mut e, "", 2_000, of(KindState::Synced));
    for w in [held(&e, 1).0, dropped(&mut e, 1_500, 5433)] {
        assert_eq!(
            (w.outcome, &w.missing, w.policies.len()),
            (Outcome::Undecidable, &vec!["policies:networkpolicies stale then".to_owned()], 0)
        );
        assert!(w.because[0].contains("the watch of networkpolicies was broken then (from 2026-01-01T10:16:40Z"), "{:?}", w.because);
    }
    for at in [500, 2_500] {
        let w = dropped(&mut e, at, 5433);
        assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["shop/db".to_owned()], Agreement::Agrees), "{at}");
    }
}

#[test]
fn forgotten_versions_are_in_the_ledger() {
    let mut e = engine();
    for i in 0..4_200u16 {
        tell(&mut e, "", i64::from(i), policy("db", i + 1));
    }
    assert!(e.ledger().versions_forgotten > 90, "{:?}", e.ledger());
}
