//! A request's field mask: which fields of a flow are sent.
//!
//! Owns what a path means, and which paths there are. Filters come before the mask; what is no flow is sent whole.
use crate::wire::json::{read_message, write_message};
use crate::wire::note::Notes;
use crate::wire::pb::flow::Flow;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use prost_types::FieldMask;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Names of fields, and what of each is wanted; nothing below means all of it.
#[derive(Debug, Default, PartialEq)]
struct Tree(BTreeMap<String, Self>);

/// A mask that keeps only some fields.
#[derive(Debug)]
pub struct Mask(Tree);

impl Mask {
    /// `None` where everything is wanted; `Err` names a path that no flow has.
    pub fn new(mask: Option<&FieldMask>) -> Result<Option<Self>, String> {
        let paths = mask.map(|m| &m.paths[..]).unwrap_or_default();
        let mut root = Tree::default();
        for path in paths {
            if !exists(path) {
                return Err(format!("invalid path {path:?} for message \"flow.Flow\""));
            }
            root.add(path.split('.'));
        }
        Ok((!paths.is_empty()).then_some(Self(root)))
    }

    /// Takes away what is not wanted.
    pub fn apply(&self, response: &mut GetFlowsResponse) {
        let Some(ResponseTypes::Flow(flow)) = &mut response.response_types else { return };
        // By way of JSON, whose names are those of the paths: a reader of the descriptors would say the same once more.
        let mut text = Vec::new();
        write_message(flow, &mut text);
        let kept = serde_json::from_slice::<Map<String, Value>>(&text).ok().and_then(|all| {
            let text = serde_json::to_vec(&self.0.kept(all)).ok()?;
            read_message::<Flow>(&text, &mut Notes::default()).ok()
        });
        // Nothing rather than too much.
        *flow = kept.unwrap_or_default();
    }
}

impl Tree {
    fn add<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        let Some(name) = path.next() else { return self.0.clear() };
        let known = self.0.contains_key(name);
        let below = self.0.entry(name.to_owned()).or_default();
        // All of it is wanted already.
        if !(known && below.0.is_empty()) {
            below.add(path);
        }
    }

    fn kept(&self, all: Map<String, Value>) -> Map<String, Value> {
        let keep = |(name, value): (String, Value)| {
            let below = self.0.get(&name)?;
            Some(match value {
                Value::Object(inner) if !below.0.is_empty() => (name, Value::Object(below.kept(inner))),
                value => (name, value),
            })
        };
        all.into_iter().filter_map(keep).collect()
    }
}

/// Whether a flow has such a field: the reader of flows knows all their names, and `null` is a value for each.
fn exists(path: &str) -> bool {
    let mut text = String::new();
    let names: Vec<_> = path.split('.').collect();
    for name in &names {
        text.push_str(&format!("{{{}:", Value::from(*name)));
    }
    text.push_str("null");
    text.push_str(&"}".repeat(names.len()));
    let mut notes = Notes::default();
    read_message::<Flow>(text.as_bytes(), &mut notes).is_ok() && notes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::Decoded;
    use crate::wire::json::read_line;

    fn masked(paths: &[&str], flow: &str) -> String {
        let mask = FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() };
        let Decoded::Response(mut r) = read_line(format!("{{\"flow\":{flow}}}").as_bytes(), &mut Notes::default()).unwrap() else {
            panic!("no response")
        };
        if let Some(mask) = Mask::new(Some(&mask)).unwrap() {
            mask.apply(&mut r);
        }
        let mut out = Vec::new();
        crate::wire::json::write_response(&r, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let flow = r#"{"uuid":"u","verdict":"DROPPED","l4":{"TCP":{"source_port":1,"flags":{"SYN":true}}},"source":{"identity":7,"pod_name":"p"},"is_reply":false}"#;
        assert_eq!(
            masked(&["uuid", "l4", "is_reply"], flow),
            r#"{"flow":{"uuid":"u","l4":{"TCP":{"source_port":1,"flags":{"SYN":true}}},"is_reply":false}}"#
        );
        assert_eq!(
            masked(&["source.pod_name", "l4.TCP.flags"], flow),
            r#"{"flow":{"l4":{"TCP":{"flags":{"SYN":true}}},"source":{"pod_name":"p"}}}"#
        );
        assert_eq!(masked(&["source", "source.pod_name"], flow), r#"{"flow":{"source":{"identity":7,"pod_name":"p"}}}"#);
        assert_eq!(masked(&["source.pod_name", "source"], flow), r#"{"flow":{"source":{"identity":7,"pod_name":"p"}}}"#);
        assert_eq!(masked(&["IP"], flow), r#"{"flow":{}}"#);
        assert!(masked(&[], flow).contains("is_reply"));
    }

    #[test]
    fn a_path_that_no_flow_has_is_named() {
        for (path, there) in [
            ("source.identity", true),
            ("Type", true),
            ("ip_trace_id", true),
            ("nope", false),
            ("source.nope", false),
            ("uuid.x", false),
            ("", false),
            ("a\"b", false),
        ] {
            let mask = FieldMask { paths: vec![path.to_owned()] };
            assert_eq!(Mask::new(Some(&mask)).is_ok(), there, "{path}");
        }
    }
}
