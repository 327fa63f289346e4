//! The members of a flow by name, for those who learn the names from a user: CEL expressions and field masks.
//!
//! The tables and the access come from `proto/gen`, so that they cannot differ from the messages.
mod generated;

pub use generated::{ENUMS, MESSAGES};

use crate::model::reflect::Holds;

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
    fn enums_have_their_values() {
        let verdict = ENUMS.iter().find(|(n, _)| *n == "flow.Verdict").unwrap();
        assert!(verdict.1.contains(&("DROPPED", 2)));
    }
}
