//! An agent that knows the policies it enforces by numbers only, beside the same one that names them: both are explained alike.
use super::engine;
use super::minimal::{START, explaining, flow, objects, populate, recorded, stripped};
use flowhy::engine::Engine;
use flowhy::model::input::{Codec, Frame, Input};
use flowhy::model::why::Why;
use flowhy::wire::ids;
use flowhy::wire::pb::flow::{Flow, Policy, TrafficDirection};
use flowhy::wire::pb::flowhy::agent::{Meaning, Ruling};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// As a source hands a record on: what travels on it goes first.
fn fed(engine: &mut Engine, r: &GetFlowsResponse) -> Option<Why> {
    let bytes = r.encode_to_vec();
    if let Some(at) = ids::carried(Codec::Hubble, &bytes) {
        engine.feed(Input::World(at), &mut |_| {});
    }
    let mut why = None;
    let frame = Frame { codec: Codec::Hubble, from: "agent".into(), line: 0, bytes: bytes.into(), broken: None };
    engine.feed(Input::Frame(frame), &mut |e| why = e.why.map(|w| Why::clone(w)));
    why
}

fn with(r: &GetFlowsResponse, change: impl FnOnce(&mut Flow)) -> GetFlowsResponse {
    let mut r = r.clone();
    if let Some(ResponseTypes::Flow(f)) = &mut r.response_types {
        change(f);
    }
    r
}

/// What each node's agent has numbered so far.
#[derive(Default)]
struct Agents(BTreeMap<String, Vec<(String, String, String)>>);

impl Agents {
    /// The number of a policy on a node, and the entry that has to go with it the first time.
    fn number(&mut self, node: &str, policy: &(String, String, String)) -> (u64, Option<Meaning>) {
        let own = self.0.entry(node.to_owned()).or_default();
        let entry = |n: usize| Meaning {
            policy_id: n as u64 + 1,
            kind: policy.0.clone(),
            namespace: policy.1.clone(),
            name: policy.2.clone(),
            ..Meaning::default()
        };
        if let Some(n) = own.iter().position(|p| p == policy) {
            return (n as u64 + 1, None);
        }
        own.push(policy.clone());
        (own.len() as u64, Some(entry(own.len() - 1)))
    }
}

#[test]
fn an_agent_that_sends_numbers_is_explained_as_one_that_sends_names() {
    let all = recorded(11, 60);
    let objects = objects(&all);
    let [mut full, mut names, mut numbers, mut blind] = [(); 4].map(|()| {
        let mut e = engine(explaining());
        populate(&mut e, &objects);
        e
    });
    let (mut agents, mut seen, mut used) = (Agents::default(), 0, BTreeSet::new());
    for r in &all {
        let Some(f) = flow(r).filter(|f| f.l7.is_none()) else { continue };
        let Some(told) = fed(&mut full, r) else { continue };
        let (Some(p), Some(direction)) = (told.policies.first(), told.direction) else { continue };
        let policy = (p.kind.clone(), p.namespace.clone().unwrap_or_default(), p.name.clone());
        let ingress = direction == flowhy::model::observed::Direction::Ingress;
        assert_eq!(f.traffic_direction == TrafficDirection::Ingress as i32, ingress);
        let less = stripped(r);
        let named = with(&less, |f| {
            let (kind, namespace, name) = policy.clone();
            let list = if ingress { &mut f.ingress_denied_by } else { &mut f.egress_denied_by };
            list.push(Policy { kind, namespace, name, ..Policy::default() });
        });
        let (id, entry) = agents.number(&f.node_name, &policy);
        used.insert((f.node_name.clone(), id));
        let ruled = |dictionary: Vec<Meaning>| {
            let ruling = Ruling { policy_id: id, instance: 77, dictionary, ..Ruling::default() };
            let any = prost_types::Any { type_url: format!("type.googleapis.com/{}", ids::NAME), value: ruling.encode_to_vec() };
            with(&less, |f| f.extensions = Some(any))
        };
        let (by_name, mut by_number) = (fed(&mut names, &named).unwrap(), fed(&mut numbers, &ruled(entry.into_iter().collect())).unwrap());
        let said = by_number.reported.as_mut().unwrap_or_else(|| panic!("nothing reported: {f:?}"));
        assert!(said.details.iter().all(|d| d.numbers.is_some_and(|n| n.policy == id)) && said.details.len() == 1, "{said:?}");
        said.details.clear();
        assert_eq!(by_number, by_name);
        // Without the dictionary nobody is named, and what the policies say stands.
        let mut nobody = fed(&mut blind, &ruled(Vec::new())).unwrap();
        let because = format!("the agent names policy {id} by number, and no dictionary says what that is on {}", f.node_name);
        assert!(nobody.reported.is_none() && nobody.because.contains(&because), "{nobody:?}");
        nobody.because.retain(|b| *b != because);
        assert_eq!((nobody.outcome, &nobody.policies), (told.outcome, &told.policies));
        seen += 1;
    }
    assert!(seen > 300 && used.len() > 6, "{seen} drops, {used:?}");
    assert_eq!((numbers.ledger().ids_unnamed, blind.ledger().ids_unnamed), (0, seen));
    assert!(START < numbers.now() && names.causes().len() == numbers.causes().len());
    let of = |e: &Engine| e.causes().iter().map(|c| (c.from.clone(), c.to.clone(), c.port, c.records)).collect::<BTreeSet<_>>();
    assert_eq!(of(&names), of(&numbers));
}

/// Without policies nothing is decided; the number is one more fact that is missing, and takes no word away.
#[test]
fn a_number_that_names_nobody_is_a_missing_fact() {
    let all = recorded(11, 20);
    let drop = all.iter().find(|r| flow(r).is_some_and(|f| f.drop_reason_desc == 133 && f.l7.is_none())).unwrap();
    let why = |r: &GetFlowsResponse| fed(&mut Engine::new(explaining()), r).unwrap();
    let less = stripped(drop);
    let ruling = Ruling { policy_id: 7, ..Ruling::default() };
    let any = prost_types::Any { type_url: format!("type.googleapis.com/{}", ids::NAME), value: ruling.encode_to_vec() };
    let (plain, mut numbered) = (why(&less), why(&with(&less, |f| f.extensions = Some(any))));
    assert_eq!((numbered.missing.pop().as_deref(), numbered.because.len()), (Some("policy-number:7"), plain.because.len() + 1));
    numbered.because.clone_from(&plain.because);
    assert_eq!(numbered, plain);
}
