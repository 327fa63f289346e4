//! Numbers that an agent sends in `flow.extensions` for the policy that decided, and the entries of its dictionary that travel there.
use super::decode::{Decoded, decode_bytes};
use super::note::Notes;
use super::pb::flow::{Flow, TrafficDirection};
use super::pb::flowhy::agent;
use super::pb::observer::get_flows_response::ResponseTypes;
use crate::model::ids::{Ids, Meaning, Ruling};
use crate::model::input::{At, Change, Codec};
use crate::model::observed::Direction;
use crate::model::time::Nanos;
use crate::model::view::time_of;
use prost::Message as _;
use prost_types::Any;
use std::sync::Arc;
use std::sync::LazyLock;

/// The name of the message, which stands in the type of the extension in either form of a flow.
pub const NAME: &str = "flowhy.agent.Ruling";

/// What an extension says, if it is one of these.
pub fn read(any: &Any) -> Option<agent::Ruling> {
    any.type_url.strip_suffix(NAME)?.ends_with('/').then(|| agent::Ruling::decode(&*any.value).ok()).flatten()
}

/// Which policy decided, in numbers.
pub fn ruling(f: &Flow) -> Option<Ruling> {
    let m = read(f.extensions.as_ref()?).filter(|m| m.policy_id != 0)?;
    Some(Ruling { policy: m.policy_id, rule: m.rule_id, generation: m.policy_generation, instance: m.instance })
}

/// The entries that travel on a record, as the change that they are. Of a node that is not named nobody could find them again.
pub fn carried(codec: Codec, bytes: &[u8]) -> Option<At> {
    // Nearly every record has none, and of those that have the most name only numbers: nothing else of them is read here.
    if !may_carry_any(codec, bytes) {
        return None;
    }
    let Ok(Decoded::Response(r)) = decode_bytes(codec, bytes, &mut Notes::default()) else { return None };
    let Some(ResponseTypes::Flow(f)) = &r.response_types else { return None };
    let m = read(f.extensions.as_ref()?).filter(|m| !m.dictionary.is_empty())?;
    let node = if f.node_name.is_empty() { &r.node_name } else { &f.node_name };
    if node.is_empty() {
        return None;
    }
    let entries = m.dictionary.into_iter().map(meaning).collect();
    let ids = Ids { node: node.clone(), instance: m.instance, entries };
    let at = Some(time_of(&r)).filter(|at| *at != Nanos::default());
    Some(At { cluster: Arc::from(""), at, change: Change::Ids(Arc::new(ids)) })
}

fn may_carry_any(codec: Codec, bytes: &[u8]) -> bool {
    static FINDER: LazyLock<memchr::memmem::Finder<'static>> = LazyLock::new(|| memchr::memmem::Finder::new(NAME));
    FINDER.find_iter(bytes).any(|at| may_carry(codec, bytes.get(at + NAME.len()..).unwrap_or_default()))
}

/// Whether what follows the name of the extension may hold entries.
fn may_carry(codec: Codec, rest: &[u8]) -> bool {
    match (codec, rest.split_first()) {
        (Codec::HubbleJson, _) => memchr::memmem::find(rest, b"dictionary").is_some(),
        // The value follows the type, as nearly everybody writes it.
        (Codec::Hubble, Some((&VALUE, mut rest))) => {
            let len = prost::decode_length_delimiter(&mut rest).ok();
            let value = len.and_then(|len| rest.get(..len)).and_then(|value| agent::Ruling::decode(value).ok());
            value.is_none_or(|m| !m.dictionary.is_empty())
        }
        (Codec::Hubble, _) => true,
    }
}

/// How the second field of a message begins that is bytes.
const VALUE: u8 = 2 << 3 | 2;

fn meaning(m: agent::Meaning) -> Meaning {
    Meaning {
        policy: m.policy_id,
        rule: m.rule_id,
        generation: m.generation,
        direction: match TrafficDirection::try_from(m.direction) {
            Ok(TrafficDirection::Ingress) => Some(Direction::Ingress),
            Ok(TrafficDirection::Egress) => Some(Direction::Egress),
            _ => None,
        },
        kind: m.kind,
        namespace: m.namespace,
        name: m.name,
        uid: m.uid,
        rule_index: m.rule_index,
        rule_name: m.rule_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{read_line, write_response};

    const LINE: &str = r#"{"flow":{"time":"2026-04-13T14:02:00Z","verdict":"DROPPED","node_name":"n1","extensions":{"@type":"type.googleapis.com/flowhy.agent.Ruling","policy_id":"7","rule_id":"18446744073709551615","count":"9","instance":"3","dictionary":[{"policy_id":"7","kind":"NetworkPolicy","namespace":"shop","name":"db","direction":"INGRESS","rule_index":0}]}},"node_name":"n1","time":"2026-04-13T14:02:00Z"}"#;

    #[test]
    fn both_forms_of_a_flow_carry_the_same_and_it_is_written_as_it_was_read() {
        let Ok(Decoded::Response(r)) = read_line(LINE.as_bytes(), &mut Notes::default()) else { panic!() };
        let Some(ResponseTypes::Flow(f)) = &r.response_types else { panic!() };
        assert_eq!(ruling(f), Some(Ruling { policy: 7, rule: u64::MAX, generation: 0, instance: 3 }));
        let mut out = Vec::new();
        write_response(&r, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), LINE);
        let both = [(Codec::HubbleJson, LINE.as_bytes().to_vec()), (Codec::Hubble, r.encode_to_vec())];
        for (codec, bytes) in both {
            let at = carried(codec, &bytes).unwrap();
            let Change::Ids(ids) = at.change else { panic!() };
            assert_eq!((&*ids.node, ids.instance, ids.entries.len(), at.at.is_some()), ("n1", 3, 1, true));
            let e = &ids.entries[0];
            assert_eq!((e.policy().as_str(), e.direction, e.rule_index), ("NetworkPolicy shop/db", Some(Direction::Ingress), Some(0)));
        }
        assert!(carried(Codec::HubbleJson, LINE.replace("\"n1\"", "\"\"").as_bytes()).is_none(), "of no node");
    }
    #[test]
    fn entries_are_found_behind_another_word_of_that_name_and_numbers_alone_carry_none() {
        let forms = |line: &str| {
            let Ok(Decoded::Response(r)) = read_line(line.as_bytes(), &mut Notes::default()) else { panic!("{line}") };
            [(Codec::HubbleJson, line.as_bytes().to_vec()), (Codec::Hubble, r.encode_to_vec())]
        };
        let named = LINE.replace(r#""verdict""#, &format!(r#""source":{{"pod_name":"{NAME}"}},"verdict""#));
        assert!(forms(&named).iter().all(|(codec, bytes)| carried(*codec, bytes).is_some()));
        let (head, tail) = LINE.split_once(r#","dictionary":[{"#).unwrap();
        let numbers = format!("{head}{}", tail.split_once("}]").unwrap().1);
        assert!(forms(&numbers).iter().all(|(codec, bytes)| carried(*codec, bytes).is_none() && !may_carry_any(*codec, bytes)));
    }
}
