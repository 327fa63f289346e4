//! Causes that were opened before a cluster's first lists were in, explained again when they are.
//!
//! Owns that moment. A screen shows flows at once, so its first drops meet a cluster of which nothing is known yet: they are undecidable,
//! and would stay so for as long as their cause is shown. Every record of a cause is asked again: what was undecidable alike may differ
//! once more is known, and then the cause stays as it is.
use super::clusters::Home;
use super::events::is_one_packet;
use super::fold::Key;
use super::{Engine, enrich};
use crate::model::observed::Observed;
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::model::view::time_of;
use crate::model::why::{Outcome, Why};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Between two records of one packet lie so many others at most.
const APART: usize = 64;

/// A held record, explained again.
struct Again {
    o: Observed,
    at: Nanos,
    why: Arc<Why>,
    from: String,
    to: String,
}

impl Engine {
    /// The cluster's first lists are complete.
    pub(super) fn reconsider(&mut self, home: Home) {
        let open = self.causes.iter().filter(|c| c.why.outcome == Outcome::Undecidable && c.foreseen.is_none());
        let mut open: BTreeMap<CauseId, (u64, Vec<u64>)> = open.map(|c| (c.id, (c.records, Vec::new()))).collect();
        if open.is_empty() {
            return;
        }
        for seq in self.store.seqs() {
            if let Some((_, held)) = self.store.cause(seq).and_then(|c| open.get_mut(&c)) {
                held.push(seq);
            }
        }
        for (id, (records, held)) in open {
            // Of what is not held any more nobody can say that it was the same.
            if held.len() as u64 == records {
                self.reconsider_one(id, &held, home);
            }
        }
    }

    /// If all of its records come to one thing.
    fn reconsider_one(&mut self, id: CauseId, held: &[u64], home: Home) {
        let mut found: Option<(Key, Again)> = None;
        // Those that lack what decides, unless another record of the same packet has it.
        let (mut lacking, mut last): (Vec<Observed>, Vec<Observed>) = (Vec::new(), Vec::new());
        for seq in held {
            let Some(again) = self.again(*seq, home) else { return };
            if again.why.outcome == Outcome::Undecidable {
                if !last.iter().any(|o| is_one_packet(&again.o, o)) {
                    lacking.push(again.o);
                }
            } else {
                let key = Key::of(&again.o, &again.why, &again.from, &again.to);
                if found.as_ref().is_some_and(|(first, _)| *first != key) {
                    return;
                }
                lacking.retain(|o| !is_one_packet(o, &again.o));
                if last.len() >= APART {
                    last.remove(0);
                }
                last.push(again.o.clone());
                found.get_or_insert((key, again));
            }
            if lacking.len() > APART {
                return;
            }
        }
        let Some((_, first)) = found.filter(|_| lacking.is_empty()) else { return };
        self.causes.reconsider(id, &first.o, &first.why, &first.from, &first.to);
        for seq in held {
            if let Some(again) = self.again(*seq, home).filter(|a| a.why.outcome != Outcome::Undecidable) {
                self.causes.again(id, &again.o, again.at, &again.why, &again.from, &again.to);
            }
        }
    }

    /// `None`: it is another cluster's, or not held any more.
    fn again(&mut self, seq: u64, home: Home) -> Option<Again> {
        let response = self.store.response(seq)?;
        if self.home_of(seq) != home {
            return None;
        }
        let reported = self.reported(&response);
        let why = self.why(&reported, home);
        let world = &self.clusters.get(home).world;
        let o = enrich::named(&reported, world).into_owned();
        let (from, to) = (enrich::who(&o.src, world).name, enrich::who(&o.dst, world).name);
        Some(Again { at: time_of(&response), why, from, to, o })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::store::Limits;
    use crate::engine::{Explain, Options};
    use crate::model::input::{At, Change, Codec, Frame, Input, Kind, KindState};
    use crate::model::time::Nanos;
    use crate::world::yaml;
    use std::sync::Arc;

    fn change(e: &mut Engine, change: Change) {
        e.feed(Input::World(At { cluster: "c".into(), at: Some(Nanos(1)), change }), &mut |_| {});
    }

    fn kind(e: &mut Engine, name: &str, state: KindState) {
        let group = if name == "Pod" { String::new() } else { "networking.k8s.io".to_owned() };
        change(e, Change::Kind(Kind { group, kind: name.to_owned(), state }));
    }

    #[test]
    fn what_was_undecidable_while_lists_were_on_their_way_is_decided_when_they_are_in() {
        let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        kind(&mut e, "Pod", KindState::Loading);
        kind(&mut e, "NetworkPolicy", KindState::Loading);
        let flow = r#"{"flow":{"time":"2026-04-13T14:02:00Z","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","l4":{"TCP":{"source_port":1,"destination_port":80,"flags":{"SYN":true}}},"source":{"identity":1001,"namespace":"shop","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"cart-0"},"destination":{"identity":1002,"namespace":"shop","labels":["k8s:app=db","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"db-0"},"node_name":"n","event_type":{"type":1},"traffic_direction":"INGRESS","is_reply":false},"node_name":"n","time":"2026-04-13T14:02:00Z"}"#;
        let drop = |e: &mut Engine| {
            let frame = Frame { codec: Codec::HubbleJson, from: "c".into(), line: 1, bytes: flow.into(), broken: None };
            e.feed(Input::Frame(frame), &mut |_| {});
            e.causes().iter().map(|c| c.why.outcome).collect::<Vec<_>>()
        };
        assert_eq!(drop(&mut e), [Outcome::Undecidable]);
        let policy =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {podSelector: {}}\n";
        change(&mut e, Change::Apply(Arc::new(yaml::read("db.yaml", policy).0.remove(0))));
        kind(&mut e, "NetworkPolicy", KindState::Synced);
        assert_eq!(e.causes().iter().next().unwrap().why.outcome, Outcome::Undecidable, "pods are still on their way");
        kind(&mut e, "Pod", KindState::Synced);
        let cause = e.causes().iter().next().unwrap();
        assert_eq!((cause.why.outcome, cause.records), (Outcome::DefaultDeny, 1));
        assert_eq!(cause.why.policies.iter().map(|p| p.path()).collect::<Vec<_>>(), ["shop/db"]);
        // The next one is of the same cause; a list that is made anew later changes nothing.
        kind(&mut e, "Pod", KindState::Loading);
        kind(&mut e, "Pod", KindState::Synced);
        assert_eq!(drop(&mut e), [Outcome::DefaultDeny]);
    }

    #[test]
    fn a_list_that_comes_after_a_try_that_failed_is_a_first_list_too() {
        let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        kind(&mut e, "Pod", KindState::Loading);
        kind(&mut e, "NetworkPolicy", KindState::Loading);
        let text = flow(0, "", "cart-0", "DROPPED");
        let frame = Frame { codec: Codec::HubbleJson, from: "c".into(), line: 1, bytes: text.into(), broken: None };
        e.feed(Input::Frame(frame), &mut |_| {});
        kind(&mut e, "NetworkPolicy", KindState::Stale("500".to_owned()));
        kind(&mut e, "Pod", KindState::Synced);
        assert_eq!(e.causes().iter().next().unwrap().why.outcome, Outcome::Undecidable, "policies could not be read");
        let policy =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {podSelector: {}}\n";
        change(&mut e, Change::Apply(Arc::new(yaml::read("db.yaml", policy).0.remove(0))));
        kind(&mut e, "NetworkPolicy", KindState::Synced);
        assert_eq!(e.causes().iter().next().unwrap().why.outcome, Outcome::DefaultDeny);
    }

    fn flow(seconds: u32, more: &str, pod: &str, verdict: &str) -> String {
        let reason = if verdict == "DROPPED" { r#""drop_reason_desc":"POLICY_DENIED","# } else { "" };
        format!(
            r#"{{"flow":{{"time":"2026-04-13T14:02:{seconds:02}Z","verdict":"{verdict}",{reason}"l4":{{"TCP":{{"source_port":4000{seconds},"destination_port":80}}}},"source":{{"identity":1001,"namespace":"shop","labels":["k8s:app=cart","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"cart-0"}},"destination":{{"identity":1002,"namespace":"shop","labels":["k8s:app={pod}","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"db-0"}},"node_name":"n",{more}"traffic_direction":"INGRESS","is_reply":false}},"node_name":"n","time":"2026-04-13T14:02:{seconds:02}Z"}}"#
        )
    }

    /// What is undecidable while lists are on their way, then `policies`.
    fn loaded(flows: &[String], policies: &str) -> Engine {
        let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        kind(&mut e, "Pod", KindState::Loading);
        kind(&mut e, "NetworkPolicy", KindState::Loading);
        flows.iter().for_each(|f| tell(&mut e, f));
        assert!(e.causes().iter().all(|c| c.why.outcome == Outcome::Undecidable) && e.causes().len() == 1);
        for doc in yaml::read("p.yaml", policies).0 {
            change(&mut e, Change::Apply(Arc::new(doc)));
        }
        kind(&mut e, "NetworkPolicy", KindState::Synced);
        kind(&mut e, "Pod", KindState::Synced);
        e
    }

    fn tell(e: &mut Engine, flow: &str) {
        let frame = Frame { codec: Codec::HubbleJson, from: "c".into(), line: 1, bytes: flow.to_owned().into(), broken: None };
        e.feed(Input::Frame(frame), &mut |_| {});
    }

    #[test]
    fn one_record_of_a_cause_does_not_speak_for_another_that_comes_to_something_else() {
        let of = |name: &str, app: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: {app}}}}}}}\n---\n"
            )
        };
        let event = r#""event_type":{"type":1},"#;
        let two = [flow(0, event, "db", "DROPPED"), flow(5, event, "cache", "DROPPED")];
        let e = loaded(&two, &(of("db", "db") + &of("cache", "cache")));
        assert_eq!(e.causes().iter().next().unwrap().why.outcome, Outcome::Undecidable);
        let e = loaded(&two, &of("all", "db").replace("{matchLabels: {app: db}}", "{}"));
        let cause = e.causes().iter().next().unwrap();
        assert_eq!((cause.why.outcome, cause.records), (Outcome::DefaultDeny, 2));
    }

    #[test]
    fn what_turns_out_to_be_refused_at_l7_is_not_fixed_by_a_connection() {
        let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {app: cart}}], toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET, path: /public}]}}]}]}\n";
        let l7 = r#""l7":{"type":"REQUEST","http":{"method":"GET","url":"http://db/secret","protocol":"HTTP/1.1"}},"Type":"L7","event_type":{"type":129},"#;
        let mut e = loaded(&[flow(0, l7, "db", "DROPPED")], policy);
        tell(&mut e, &flow(5, r#""event_type":{"type":4},"#, "db", "FORWARDED"));
        let cause = e.causes().iter().next().unwrap();
        assert_eq!((cause.why.outcome, cause.requests().0.len()), (Outcome::L7Denied, 1));
        assert_ne!(cause.state(e.now()), crate::engine::causes::State::Fixed);
    }
}
