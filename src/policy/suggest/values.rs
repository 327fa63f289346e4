//! A value more for one label of a peer selector, where that value is all that keeps the peer out.
//!
//! Owns this form, and when it goes before a peer more. It is offered only where what it admits beyond the peer is nothing that naming
//! the peer by its own labels would not admit too: the other conditions of the selector stay, so it can only be narrower.
use super::build::Who;
use super::forms::{Draft, MOST_PEERS, Side, append, kind_of, named};
use super::labels;
use super::sketch::Step;
use crate::model::doc::Node;
use crate::model::observed::Direction;
use crate::model::words::few;
use crate::policy::ir::{PeerIs, Peers, Policy, Rule};
use crate::policy::selector::{Op, Requirement, Selector, Tri, slip};
use crate::world::Endpoint;
use crate::world::labels::{METADATA_NAME, NAMESPACE_LABELS, POD_NAMESPACE};
use crate::world::tree::{Tree, map, text};
use std::collections::BTreeSet;

/// Before a peer more: it touches less, or is narrower, or says what was meant.
const BEFORE: u8 = 1;
/// Behind a peer more, which is as narrow and takes away no line that a person wrote; before a rule of its own all the same.
const BEHIND: u8 = 3;

/// Where a selector's label is written.
enum Written<'a> {
    /// In `matchExpressions`, by its place there.
    Listed(usize),
    /// In `matchLabels`, by its key as it stands there.
    Plain { key: &'a str, alone: bool },
}

/// One value more; for several peers as many as they have.
pub fn add(s: &Side<'_>, policy: &Policy, rule: &Rule, peers: &[Who]) -> Option<Draft> {
    let Peers::Of(list) = &rule.peers else { return None };
    let side = if s.case.direction == Direction::Ingress { "from" } else { "to" };
    list.iter().enumerate().find_map(|(j, peer)| {
        let PeerIs::Endpoints(selector) = &peer.is else { return None };
        let at = match kind_of(policy)? {
            super::build::Kind::NetworkPolicy => format!("{}.{side}[{j}].podSelector", rule.id),
            super::build::Kind::Cilium => format!("{}.{side}Endpoints[{j}]", rule.id),
        };
        let one = only_failing(selector, s.case.peer)?;
        let values = values(s, selector, one)?;
        if !peers.iter().all(|who| is_no_wider(selector, one, who)) {
            return None;
        }
        let node = policy.node(&at)?;
        let how = written(node, one)?;
        let all = || Tree::Seq(one.values.iter().chain(&values).map(text).collect());
        let expression = |key: &str| map([("key", text(key)), ("operator", text("In")), ("values", all())]);
        let replace = |path: String, key: &str, by| {
            let (policy, file) = (policy.id.clone(), policy.text.file.clone());
            Step::Replace { policy, file, path, key: key.to_owned(), by }
        };
        let steps = match how {
            Written::Listed(i) => values.iter().map(|v| append(policy, format!("{at}.matchExpressions[{i}]"), "values", text(v))).collect(),
            // The list of conditions stands where the pairs stood.
            Written::Plain { key, alone: true } => {
                let by = ("matchExpressions".to_owned(), Tree::Seq(vec![expression(key)]));
                vec![replace(at, "matchLabels", Some(by))]
            }
            Written::Plain { key, alone: false } => {
                vec![append(policy, at.as_str(), "matchExpressions", expression(key)), replace(format!("{at}.matchLabels"), key, None)]
            }
        };
        let slips: Vec<&String> = values.iter().filter(|v| one.values.iter().any(|w| slip(w, v))).collect();
        // The selector asks for more than the peer's own labels would: naming the peer beside it would drop that.
        let narrower = selector.all.iter().filter(|r| !r.implied && !r.on_namespace()).count() > 1;
        let first = matches!(how, Written::Listed(_)) || narrower || !slips.is_empty();
        let key = one.shown_key();
        let slip_note = |v: &String| {
            format!("{key}={v} may be a slip of the pen for {}: if the pod's label is what is wrong, mend that instead", one.wanted())
        };
        let notes = slips.into_iter().map(slip_note).collect();
        let title = format!("add {} to the values of {key} in {} of {}", few(values.iter().cloned(), MOST_PEERS), rule.id, named(policy));
        Some(Draft { title, steps, preferred: false, rank: if first { BEFORE } else { BEHIND }, notes })
    })
}

/// The one requirement that the peer does not meet, if it is on the value of a label that may be edited.
fn only_failing<'s>(selector: &'s Selector, peer: &Endpoint) -> Option<&'s Requirement> {
    let mut failing = selector.all.iter().filter(|r| r.matches(peer, &mut Vec::new()) != Tri::Yes);
    let (Some(one), None) = (failing.next(), failing.next()) else { return None };
    let editable = one.op == Op::In && !one.implied && !one.on_namespace() && labels::stable(&one.key);
    // Where any namespace will do, a value more would let in its namesakes everywhere.
    let home = peer.labels.namespace()?;
    (editable && selector.all.iter().any(|r| pins(r, home))).then_some(one)
}

/// The values that the peers of the cause have; `None` where one of them fails for another reason too.
fn values(s: &Side<'_>, selector: &Selector, one: &Requirement) -> Option<BTreeSet<String>> {
    let of = |peer: &Endpoint| {
        only_failing(selector, peer).filter(|r| *r == one)?;
        peer.labels.get(one.source.as_deref(), &one.key).map(str::to_owned)
    };
    let values: BTreeSet<String> =
        s.ids.iter().filter_map(|id| s.ground.sides(*id, s.case.direction)).map(|(_, peer)| of(peer)).collect::<Option<_>>()?;
    (!values.is_empty()).then_some(values)
}

/// Whether every label by which the peer is told from others is one that the selector asks for too, or the value that is added.
fn is_no_wider(selector: &Selector, one: &Requirement, who: &Who) -> bool {
    let Who::Pod { labels, .. } = who else { return false };
    let asked = |k: &str, v: &str| selector.all.iter().any(|r| r.key == k && is_of_pods(r) && r.op == Op::In && r.values.as_slice() == [v]);
    is_of_pods(one) && labels.iter().all(|(k, v)| *k == one.key || asked(k, v))
}

/// Whether a requirement is on labels that Kubernetes gives, by which peers are named; `any:` is read as no source.
fn is_of_pods(r: &Requirement) -> bool {
    r.source.as_deref().is_none_or(|s| s == "k8s")
}

fn written<'a>(node: &'a Node, one: &Requirement) -> Option<Written<'a>> {
    let listed = node.get("matchExpressions").map(Node::seq).unwrap_or_default();
    let bare = |k: &str| k.split_once(':').map_or_else(|| k == one.key, |(_, name)| name == one.key);
    let says = |e: &Node, key: &str, is: &dyn Fn(&str) -> bool| e.get(key).and_then(Node::str).is_some_and(is);
    // Several may stand on one line.
    let is = |e: &Node| {
        let values = e.get("values").map(Node::seq).unwrap_or_default();
        let same = values.iter().map(Node::str).eq(one.values.iter().map(|v| Some(v.as_str())));
        e.line == one.line && same && says(e, "key", &bare) && says(e, "operator", &|o| o == "In")
    };
    if let Some(i) = listed.iter().position(is) {
        return Some(Written::Listed(i));
    }
    let [value] = one.values.as_slice() else { return None };
    let pairs = node.get("matchLabels")?.map();
    let entry = pairs.iter().find(|e| bare(&e.key) && e.value.str() == Some(value))?;
    Some(Written::Plain { key: &entry.key, alone: pairs.len() == 1 && listed.is_empty() })
}

/// Whether a requirement admits one namespace only, this one.
pub fn pins(r: &Requirement, namespace: &str) -> bool {
    let by_name = r.key == POD_NAMESPACE || r.key.strip_prefix(NAMESPACE_LABELS) == Some(METADATA_NAME);
    by_name && is_of_pods(r) && r.op == Op::In && r.values.as_slice() == [namespace]
}
