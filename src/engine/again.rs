//! Causes that were opened before a cluster's first lists were in, explained again when they are.
//!
//! Owns that moment. A screen shows flows at once, so its first drops meet a cluster of which nothing is known yet: they are undecidable,
//! and would stay so for as long as their cause is shown.
use super::Engine;
use super::clusters::Home;
use crate::model::row::CauseId;
use crate::model::why::Outcome;
use crate::wire::observed::observed;

impl Engine {
    /// The cluster's first lists are complete.
    pub(super) fn reconsider(&mut self, home: Home) {
        let open = self.causes.iter().filter(|c| c.why.outcome == Outcome::Undecidable).map(|c| (c.id, c.example));
        for (id, seq) in open.collect::<Vec<(CauseId, u64)>>() {
            // Another cluster's, or not held any more.
            let ours = self.store.row(seq).is_some_and(|r| r.cause == Some(id)) && self.home_of(seq) == home;
            let Some(response) = ours.then(|| self.store.response(seq)).flatten() else { continue };
            let o = observed(&response);
            let why = self.why(&o, home);
            if why.outcome != Outcome::Undecidable {
                self.causes.reconsider(id, &o, &why);
            }
        }
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
}
