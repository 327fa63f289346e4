//! `ids` of a line of the cluster's state: entries of an agent's dictionary, as JSON. Owns the spelling.
//!
//! Numbers of 64 bits are texts, as in Hubble's JSON, because readers in other languages round them; plain numbers are read too.
use crate::model::ids::{Ids, Meaning};
use crate::model::observed::Direction;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "String::is_empty", default, deserialize_with = "or_default")]
    node: String,
    #[serde(skip_serializing_if = "Number::is_zero", default, deserialize_with = "or_default")]
    instance: Number,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    policy_id: Number,
    #[serde(skip_serializing_if = "Number::is_zero", default, deserialize_with = "or_default")]
    rule_id: Number,
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty", default, deserialize_with = "or_default")]
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty", default, deserialize_with = "or_default")]
    uid: String,
    #[serde(skip_serializing_if = "Number::is_zero", default, deserialize_with = "or_default")]
    generation: Number,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    direction: Option<Way>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    rule_index: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty", default, deserialize_with = "or_default")]
    rule_name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Way {
    Egress,
    Ingress,
}

/// What others write of a thing that they have not is often `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

#[derive(Default)]
struct Number(u64);

impl Number {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(d)? {
            Either::Number(n) => Ok(Self(n)),
            Either::Text(t) => t.parse().map(Self).map_err(|_| D::Error::custom(format!("{t:?} is no number"))),
        }
    }
}

impl Said {
    pub fn of(ids: &Ids) -> Self {
        let entry = |m: &Meaning| Entry {
            policy_id: Number(m.policy),
            rule_id: Number(m.rule),
            kind: m.kind.clone(),
            namespace: m.namespace.clone(),
            name: m.name.clone(),
            uid: m.uid.clone(),
            generation: Number(m.generation),
            direction: m.direction.map(|d| if d == Direction::Egress { Way::Egress } else { Way::Ingress }),
            rule_index: m.rule_index,
            rule_name: m.rule_name.clone(),
        };
        Self { node: ids.node.clone(), instance: Number(ids.instance), entries: ids.entries.iter().map(entry).collect() }
    }

    pub fn ids(self) -> Ids {
        let meaning = |e: Entry| Meaning {
            policy: e.policy_id.0,
            rule: e.rule_id.0,
            generation: e.generation.0,
            kind: e.kind,
            namespace: e.namespace,
            name: e.name,
            uid: e.uid,
            direction: e.direction.map(|w| if matches!(w, Way::Egress) { Direction::Egress } else { Direction::Ingress }),
            rule_index: e.rule_index,
            rule_name: e.rule_name,
        };
        Ids { node: self.node, instance: self.instance.0, entries: self.entries.into_iter().map(meaning).collect() }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::input::{At, Change};
    use crate::world::line::{Said, inside, read, write};

    #[test]
    fn a_dictionary_comes_back_and_others_may_spell_it_with_blanks_and_numbers() {
        let line = r#" {"world": {"ids": {"node": "n1", "instance": 3, "entries": [{"policy_id": "18446744073709551615", "rule_id": 2, "kind": "NetworkPolicy", "namespace": "shop", "name": "db", "uid": null, "generation": null, "direction": "INGRESS", "rule_index": 0}]}}} "#;
        let of = |line: &[u8]| match read(inside(line).unwrap()).unwrap() {
            Said::Changes(mut all) => all.remove(0),
            _ => panic!(),
        };
        let at = of(line.as_bytes());
        let Change::Ids(ids) = &at.change else { panic!() };
        assert_eq!((ids.entries[0].policy, ids.entries[0].rule_index, ids.instance), (u64::MAX, Some(0), 3));
        let mut out = Vec::new();
        write(&at, &mut out);
        assert!(out.starts_with(br#"{"world":{"ids":{"node":"n1","instance":"3","entries":[{"policy_id":"18446744073709551615","#));
        assert!(matches!(&of(&out), At { change: Change::Ids(back), .. } if back == ids));
        for wrong in
            [r#"{"policy_id":-1,"kind":"k","name":"n"}"#, r#"{"policy_id":"x","kind":"k","name":"n"}"#, r#"{"kind":"k","name":"n"}"#]
        {
            assert!(read(format!(r#"{{"ids":{{"entries":[{wrong}]}}}}"#).as_bytes()).is_err(), "{wrong}");
        }
    }
}
