//! What Cilium itself reports of a policy: one that it calls not valid may not be enforced, whatever it says. Owns reading that; what
//! follows for an answer is the business of who asks.
use super::ir::Policy;
use crate::model::doc::{Node, Value};

/// That Cilium reports a policy as not valid, in a sentence. Of a live one the status is kept beside the object, in a file it stands in
/// it.
pub fn not_valid(p: &Policy) -> Option<String> {
    let live = p.doc.live.as_ref().and_then(|l| l.condition("Valid")).filter(|c| c.status == "False").map(|c| c.message.clone());
    let written = || {
        let conditions = p.doc.root.at(&["status", "conditions"])?.seq();
        let bad = conditions.iter().find(|c| {
            let no = |n: &Node| n.str() == Some("False") || n.value == Value::Bool(false);
            c.get("type").and_then(Node::str) == Some("Valid") && c.get("status").is_some_and(no)
        })?;
        Some(bad.get("message").and_then(Node::str).unwrap_or_default().to_owned())
    };
    let message = live.or_else(written)?;
    let message = if message.is_empty() { message } else { format!(" ({message})") };
    Some(format!("Cilium reports {} {} as not valid{message}, so it may not be enforced", p.id.kind, p.id.path()))
}
