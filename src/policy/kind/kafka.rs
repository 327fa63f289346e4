//! Kafka rules of Cilium policies, as they were up to 1.18. Owns the numbers of Kafka's requests and what a role stands for.
use super::read::{Reader, key_line};
use crate::model::doc::{Fault, Node};
use crate::policy::ir::KafkaRule;

/// Requests by number, in lower case.
const KEYS: [&str; 34] = [
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];
const PRODUCE: &[i16] = &[0, 3, 18];
const CONSUME: &[i16] = &[1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18];

/// Longest topic that Kafka takes.
const TOPIC: usize = 255;

/// Number of a request by its name, in any case, or by its number in digits; `None` if it has none here.
pub fn key(name: &str) -> Option<i16> {
    if let Ok(n) = name.parse::<i16>() {
        return Some(n);
    }
    let name = name.to_ascii_lowercase();
    let name = match name.as_str() {
        // What some agents and older Kafka call them.
        "listoffsets" => "offsets",
        "consumermetadata" | "groupcoordinator" => "findcoordinator",
        other => other,
    };
    KEYS.iter().position(|k| *k == name).and_then(|i| i16::try_from(i).ok())
}

pub(super) fn rule(r: &mut Reader<'_>, node: &Node, i: usize, path: &str) -> Result<KafkaRule, Fault> {
    let id = format!("kafka[{i}]");
    let path = format!("{path}.{id}");
    r.fields(node, &path, &["role", "apiKey", "apiVersion", "clientID", "topic"])?;
    let text = |k: &str| -> Result<Option<String>, Fault> { Ok(r.text(node, k, &path)?.filter(|t| !t.is_empty()).map(str::to_owned)) };
    let (role, api_key, version) = (text("role")?, text("apiKey")?, text("apiVersion")?);
    let (topic, client) = (text("topic")?, text("clientID")?);
    let (keys, written) = match (role, api_key) {
        (Some(_), Some(_)) => return Err(r.fault(node.line, format!("{path}: role and apiKey exclude each other"))),
        (None, None) => (Vec::new(), String::new()),
        (Some(role), None) => match role.to_ascii_lowercase().as_str() {
            "produce" => (PRODUCE.to_vec(), role),
            "consume" => (CONSUME.to_vec(), role),
            _ => return Err(r.fault(key_line(node, "role"), format!("{path}.role `{role}` is neither produce nor consume"))),
        },
        (None, Some(k)) => match key(&k) {
            Some(n) => (vec![n], k),
            None => return Err(r.fault(key_line(node, "apiKey"), format!("{path}.apiKey `{k}` is no request of Kafka"))),
        },
    };
    let version = match version {
        None => None,
        Some(v) => match v.parse::<i16>() {
            Ok(n) => Some(i32::from(n)),
            Err(_) => return Err(r.fault(key_line(node, "apiVersion"), format!("{path}.apiVersion `{v}` is not a number"))),
        },
    };
    let legal = |t: &String| t.len() <= TOPIC && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if let Some(t) = topic.as_ref().filter(|t| !legal(t)) {
        return Err(r.fault(key_line(node, "topic"), format!("{path}.topic `{t}` is not a topic")));
    }
    Ok(KafkaRule { id, keys, key: written, topic, client, version, lines: (node.line, node.last) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_by_name_and_number() {
        assert_eq!((key("produce"), key("Fetch"), key("ListOffsets"), key("apiversions")), (Some(0), Some(1), Some(2), Some(18)));
        assert_eq!((key("alterconfigs"), key("42"), key("brew")), (Some(33), Some(42), None));
    }
}
