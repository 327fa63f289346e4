//! Policies that were written shortly before all is known: a node may still have gone by what was so before, and nobody knows what that was.
use super::living::kind;
use super::reader::{Agreement, Outcome, Why};
use super::time::{dropped, engine, feed, held, policy, record, tell};
use flowhy::engine::Engine;
use flowhy::model::doc::Doc;
use flowhy::model::input::{Change, KindState};
use flowhy::model::live::Live;
use flowhy::model::time::Nanos;
use std::sync::Arc;

const NP: [&str; 2] = ["networking.k8s.io", "NetworkPolicy"];

/// A policy as an API server tells of it, made at a second.
fn live(name: &str, made: i64, generation: i64) -> Change {
    let live = Live { created: Some(Nanos::from_parts(1_767_261_600 + made, 0)), generation: Some(generation), ..Live::default() };
    let Change::Apply(doc) = policy(name, 5432) else { panic!() };
    Change::Apply(Arc::new(Doc { live: Some(Arc::new(live)), ..Doc::clone(&doc) }))
}

/// Watched since a time, with these policies in the first list: name, when made, when written, how often its text was.
fn watched(from: i64, policies: &[(&str, [i64; 2], i64)]) -> Engine {
    let mut e = engine();
    tell(&mut e, "", from - 1, kind(NP[0], NP[1], KindState::Loading));
    for (name, times, generation) in policies {
        tell(&mut e, "", times[1], live(name, times[0], *generation));
    }
    tell(&mut e, "", from, kind(NP[0], NP[1], KindState::Synced));
    e
}

/// What a drop comes to at once, and the same when it is explained again.
fn drop_at(e: &mut Engine, seconds: i64) -> Why {
    let first = dropped(e, seconds, 5433);
    let again = held(e, 0).0;
    assert_eq!((first.outcome, first.names(), first.agreement), (again.outcome, again.names(), again.agreement));
    first
}

fn told(w: &Why) -> (Outcome, Vec<String>, Agreement) {
    (w.outcome, w.names(), w.agreement)
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_policy_met_in_a_later_version_is_not_blamed_until_that_has_reached_every_node() {
    let mut e = watched(0, &[("a", [-9_000, -9_000], 1)]);
    // A ring whose beginning is gone has p only as it was written last.
    tell(&mut e, "", 1_000, live("p", -5_000, 2));
    let w = drop_at(&mut e, 1_002);
    assert_eq!(told(&w), (Outcome::DefaultDeny, own(&["shop/a"]), Agreement::Unknown));
    let because = "NetworkPolicy shop/p was last changed 2 s before the packet, and what it said before is not known: the node may not have had that yet";
    assert_eq!(w.because[0], because);
    assert_eq!(drop_at(&mut e, 1_029).agreement, Agreement::Unknown);
    assert_eq!(told(&drop_at(&mut e, 1_031)), (Outcome::DefaultDeny, own(&["shop/a", "shop/p"]), Agreement::Agrees));
    // A flow that passed says nothing against policies that its node may not have had.
    feed(&mut e, "relay", &record(1_003, 5433, "FORWARDED"));
    let w = held(&e, 0).0;
    assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, own(&["version:NetworkPolicy shop/p"])));
}

#[test]
fn a_policy_that_was_written_shortly_before_the_first_list_is_not_blamed_until_it_has_reached_every_node() {
    let mut e = watched(1_000, &[("a", [-9_000, -9_000], 1), ("p", [-5_000, 998], 2)]);
    assert_eq!(told(&drop_at(&mut e, 1_001)), (Outcome::DefaultDeny, own(&["shop/a"]), Agreement::Unknown));
    assert_eq!(told(&drop_at(&mut e, 1_029)), (Outcome::DefaultDeny, own(&["shop/a", "shop/p"]), Agreement::Agrees));
    // Its labels were written, not its text.
    let mut e = watched(1_000, &[("a", [-9_000, -9_000], 1), ("p", [-5_000, 998], 1)]);
    assert_eq!(told(&drop_at(&mut e, 1_001)), (Outcome::DefaultDeny, own(&["shop/a", "shop/p"]), Agreement::Agrees));
}

#[test]
fn where_nobody_else_could_have_done_it_the_policy_just_made_did() {
    let mut e = watched(1_000, &[("p", [998, 998], 1)]);
    let w = drop_at(&mut e, 1_001);
    assert_eq!(told(&w), (Outcome::DefaultDeny, own(&["shop/p"]), Agreement::Unknown));
    assert_eq!(w.because[0], "NetworkPolicy shop/p was created 3 s before the packet: the node may not have had that yet");
    // Of two it may have been either.
    let mut e = watched(1_000, &[("p", [998, 998], 1), ("q", [-9_000, 999], 4)]);
    let w = drop_at(&mut e, 1_001);
    let mut missing = w.missing.clone();
    missing.sort();
    assert_eq!((w.outcome, missing), (Outcome::Undecidable, own(&["version:NetworkPolicy shop/p", "version:NetworkPolicy shop/q"])));
    assert_eq!(told(&drop_at(&mut e, 1_030)), (Outcome::DefaultDeny, own(&["shop/p", "shop/q"]), Agreement::Agrees));
}
