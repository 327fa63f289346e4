//! The members of a flow by name, for those who learn the names from a user: CEL expressions and field masks.
//!
//! The tables and the access come from `proto/gen`, so that they cannot differ from the messages.
mod generated;

pub use generated::{ENUMS, MESSAGES};

use crate::model::reflect::Holds;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A field mask as a tree; one without branches is the whole of what it stands at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// The tree of some paths of the flow. A path that leads nowhere is the error.
    pub fn new(paths: &[String]) -> Result<Self, &str> {
        let mut root = Self::default();
        for path in paths {
            if !is_path(path) {
                return Err(path);
            }
            let mut at = &mut root;
            let mut parts = path.split('.').peekable();
            while let Some(part) = parts.next() {
                // A branch that is wanted whole already stays so.
                let last = parts.peek().is_none();
                match at.0.entry(part.to_owned()) {
                    Entry::Occupied(e) if e.get().is_whole() => break,
                    Entry::Occupied(mut e) if last => {
                        e.insert(Self::default());
                        break;
                    }
                    e => at = e.or_default(),
                }
            }
        }
        Ok(root)
    }

    /// What is wanted of a member; none if nothing is.
    fn of(&self, member: &str) -> Option<&Self> {
        if self.is_whole() { Some(self) } else { self.0.get(member) }
    }

    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }
}

/// A message of which a part can be kept.
pub trait Keep {
    #[must_use]
    fn keep(&self, mask: &Mask) -> Self;
}

/// Whether a path of names, `a.b.c`, leads somewhere from the flow: each but the last is a message, and no list, that holds the next.
pub fn is_path(path: &str) -> bool {
    let mut at = MESSAGES.first();
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let Some(member) = at.and_then(|s| s.find(name)).map(|(_, m)| m) else { return false };
        let rest: Vec<&str> = names.clone().collect();
        match member.holds {
            _ if rest.is_empty() => return true,
            _ if member.repeated => return false,
            Holds::Message(next) => at = MESSAGES.get(next),
            Holds::Time => return matches!(*rest, ["seconds" | "nanos"]),
            Holds::MaybeBool | Holds::MaybeInt | Holds::MaybeUint => return matches!(*rest, ["value"]),
            Holds::Any => return matches!(*rest, ["type_url" | "value"]),
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reflect::{Got, Message};
    use crate::wire::pb::flow;

    #[test]
    fn paths_are_those_of_the_flow() {
        for path in
            ["time", "IP.source", "l4", "l4.TCP.flags.SYN", "source.labels", "Type", "l7.http.code", "time.seconds", "is_reply.value"]
        {
            assert!(is_path(path), "{path}");
        }
        for path in ["", "nope", "source.nope", "source.labels.x", "time.hours", "source.", ".source", "verdict.x", "policy.name"] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn members_are_read_by_the_tables_numbers() {
        let f = flow::Flow {
            verdict: 2,
            source: Some(flow::Endpoint { pod_name: "a".into(), labels: vec!["x".into()], identity: 7, ..Default::default() }),
            is_reply: Some(false),
            ..Default::default()
        };
        let get = |m: &'static str| f.get(MESSAGES[0].find(m).unwrap().0);
        assert!(matches!(get("verdict"), Got::Int(2)) && matches!(get("is_reply"), Got::Bool(false)));
        assert!(matches!(get("destination"), Got::Unset) && matches!(get("time"), Got::Unset));
        let Got::Message(source) = get("source") else { panic!("no source") };
        assert!(matches!(source.get(source.shape().find("identity").unwrap().0), Got::Uint(7)));
        assert!(matches!(source.get(source.shape().find("labels").unwrap().0), Got::Texts(l) if l == ["x"]));
    }

    #[test]
    fn a_mask_keeps_what_it_names() {
        let f = flow::Flow {
            verdict: 2,
            uuid: "u".into(),
            source: Some(flow::Endpoint { pod_name: "a".into(), identity: 7, ..Default::default() }),
            l4: Some(flow::Layer4 {
                protocol: Some(flow::layer4::Protocol::Tcp(flow::Tcp { source_port: 1, destination_port: 2, flags: None })),
            }),
            ..Default::default()
        };
        let mask = |paths: &[&str]| Mask::new(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap();
        let kept = f.keep(&mask(&["verdict", "source.pod_name", "destination.labels", "l4.TCP.destination_port"]));
        assert_eq!((kept.verdict, kept.uuid.as_str()), (2, ""));
        assert_eq!(kept.source, Some(flow::Endpoint { pod_name: "a".into(), ..Default::default() }));
        assert_eq!(kept.destination, Some(flow::Endpoint::default()), "a part of what is not there");
        let flow::layer4::Protocol::Tcp(tcp) = kept.l4.unwrap().protocol.unwrap() else { panic!("no TCP") };
        assert_eq!((tcp.source_port, tcp.destination_port), (0, 2));
        assert_eq!(f.keep(&mask(&["source.pod_name", "source"])).source, f.source);
        assert_eq!(f.keep(&mask(&["source", "source.pod_name"])).source, f.source);
        assert_eq!(f.keep(&Mask::default()), f);
        assert_eq!(Mask::new(&["nope".to_owned()]), Err("nope"));
    }

    #[test]
    fn enums_have_their_values() {
        let verdict = ENUMS.iter().find(|(n, _)| *n == "flow.Verdict").unwrap();
        assert!(verdict.1.contains(&("DROPPED", 2)));
    }
}
