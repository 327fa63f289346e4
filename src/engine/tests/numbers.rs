//! Numbers that stand for policies, where several clusters are read. Tests only.
use super::*;
use crate::model::ids::{Ids, Meaning};

#[test]
fn a_number_of_a_node_whose_name_two_clusters_share_names_nobody() {
    let world = |e: &mut Engine, cluster: &str, node: &str| {
        let text = format!("kind: Node\napiVersion: v1\nmetadata: {{name: {node}}}\n");
        for doc in yaml::read("n.yaml", &text).0 {
            e.feed(Input::World(At { cluster: cluster.into(), at: Some(Nanos(1)), change: Change::Apply(Arc::new(doc)) }), &mut |_| {});
        }
    };
    let named = |second: &str| {
        let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        world(&mut e, "a", "n1");
        world(&mut e, "b", second);
        let entries = vec![Meaning { policy: 7, name: "db".into(), ..Default::default() }];
        let ids = Ids { node: "n1".into(), instance: 0, entries };
        e.feed(Input::World(At { cluster: "".into(), at: None, change: Change::Ids(Arc::new(ids)) }), &mut |_| {});
        line(
            &mut e,
            r#"{"flow":{"time":"2026-04-13T14:02:00Z","verdict":"DROPPED","node_name":"n1","traffic_direction":"INGRESS","extensions":{"@type":"type.googleapis.com/flowhy.agent.Ruling","policy_id":"7"}},"node_name":"n1","time":"2026-04-13T14:02:00Z"}"#,
        );
        let r = e.observed(0).unwrap().reported;
        (r.ingress_denied.len(), r.unnamed, e.ledger.ids_unnamed)
    };
    assert_eq!(named("n2"), (1, String::new(), 0));
    assert_eq!(named("n1"), (0, "the agent names policy 7 by number, and more than one cluster may have a node n1".to_owned(), 1));
}
