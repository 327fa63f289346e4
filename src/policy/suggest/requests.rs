//! What could let a refused request pass: a method and path more, a name more in the DNS rule.
//!
//! Owns the forms for L7. The exact request is listed, never a pattern that lets more pass.
use super::forms::{Draft, Side};
use super::sketch::Step;
use crate::policy::eval::l7::Request;
use crate::policy::eval::{port, selects};
use crate::policy::explain::near;
use crate::policy::ir::{HttpRule, L7Rules, PeerIs, Peers, Policy, Ports, Rule};
use crate::policy::selector::Tri;
use crate::world::tree::{Tree, map, text};
use std::collections::{BTreeMap, BTreeSet};

/// Requests listed in one change; where there are more, a pattern is wanted, and that is no machine's choice.
const MOST_REQUESTS: usize = 8;

/// Every edit worth trying; `Err` says why there is none.
pub fn drafts(s: &Side<'_>) -> Result<Vec<Draft>, String> {
    let (mut out, mut unsure) = (Vec::new(), None);
    for policy in s.judgement.selecting.iter() {
        let sections = policy.sections.iter().filter(|x| selects(x, s.case, &mut Vec::new()) == Tri::Yes);
        for rule in sections.flat_map(|x| &x.rules) {
            let asked = s
                .judgement
                .l7_rules
                .iter()
                .any(|r| r.name == policy.id.name && r.namespace == policy.id.namespace && r.rule.as_deref() == Some(&rule.id));
            let (true, Ports::Of(list)) = (asked && near::check(rule, s.case, &[]).peer, &rule.ports) else { continue };
            for (i, ports) in list.iter().enumerate() {
                if !ports.ports.iter().any(|p| port::matches(p, s.case, &mut Vec::new()).0 == Tri::Yes) {
                    continue;
                }
                match (&ports.l7, &s.case.traffic.request) {
                    (Some(L7Rules::Http(rules)), Some(Request::Http(_))) => match http(s, policy, rule, i, rules)? {
                        Some(draft) => out.push(draft),
                        None => unsure = unsure.or_else(|| Some(unsure_of(policy, rule))),
                    },
                    (Some(L7Rules::Dns(_)), Some(Request::Dns(_))) => out.extend(dns(s, policy, rule, i)?),
                    _ => {}
                }
            }
        }
    }
    // One rule that can be written is enough.
    unsure.filter(|_| out.is_empty()).map_or(Ok(out), Err)
}

fn unsure_of(policy: &Policy, rule: &Rule) -> String {
    format!(
        "the HTTP rules of {} of {} {} ask for headers or for different hosts, and conversations are kept without the headers of their \
         requests: what a rule for this one has to ask for is for a person to say",
        rule.id,
        policy.id.kind,
        policy.id.path()
    )
}

fn requests(s: &Side<'_>) -> Vec<Request> {
    s.ids.iter().filter_map(|id| Request::of(&s.ground.talk(*id)?.flow)).collect()
}

fn step(policy: &Policy, rule: &Rule, i: usize, key: &str, item: Tree) -> Step {
    let path = format!("{}.toPorts[{i}].rules", rule.id);
    Step::Append { policy: policy.id.clone(), file: policy.text.file.clone(), path, key: key.to_owned(), item }
}

/// The characters that mean something in a regular expression, made to mean themselves.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// `None`: it is not certain what such a rule has to ask for.
fn http(s: &Side<'_>, policy: &Policy, rule: &Rule, i: usize, rules: &[HttpRule]) -> Result<Option<Draft>, String> {
    // By method and path, and whether one of them came with a query string.
    let mut wanted: BTreeMap<(String, String), bool> = BTreeMap::new();
    for r in requests(s) {
        let Request::Http(h) = r else { continue };
        let (path, query) = h.path.split_once('?').map_or((h.path.as_str(), false), |(p, _)| (p, true));
        *wanted.entry((h.method.clone(), path.to_owned())).or_default() |= query;
    }
    if wanted.len() > MOST_REQUESTS {
        return Err(format!("{} different requests were refused; the pattern that covers them is for a person to choose", wanted.len()));
    }
    // What else the rules ask of a request, they ask of every one. No header of it is known here, so a rule that asks for one could not
    // be tried; and where hosts differ, it is not known which would hold.
    let node = policy.node(&format!("{}.toPorts[{i}].rules", rule.id)).and_then(|n| n.get("http"));
    let secret = node.is_some_and(|n| n.seq().iter().any(|r| r.get("headerMatches").is_some()));
    let host_of = |r: &HttpRule| r.host.as_ref().map(|h| h.text.clone());
    let host = rules.first().and_then(host_of);
    if secret || rules.is_empty() || rules.iter().any(|r| !r.headers.is_empty() || host_of(r) != host) {
        return Ok(None);
    }
    let item = |((method, path), query): (&(String, String), &bool)| {
        let path = if *query { format!("{}(\\?.*)?", escaped(path)) } else { escaped(path) };
        let mut entries = vec![("method".to_owned(), text(escaped(method))), ("path".to_owned(), text(path))];
        entries.extend(host.clone().map(|h| ("host".to_owned(), text(h))));
        Tree::Map(entries)
    };
    let words: Vec<String> = wanted.keys().map(|(m, p)| format!("{m} {p}")).collect();
    let queries: Vec<&str> = wanted.iter().filter(|(_, query)| **query).map(|((_, path), _)| path.as_str()).collect();
    let notes = match queries.len() {
        0 => Vec::new(),
        n if n == wanted.len() => vec!["with any query string, because the path is matched with it".to_owned()],
        _ => vec![format!("{} with any query string, because the path is matched with it", queries.join(", "))],
    };
    Ok(Some(Draft {
        title: format!("allow {} in {} of {} {}", words.join(", "), rule.id, policy.id.kind, policy.id.path()),
        steps: wanted.iter().map(|w| step(policy, rule, i, "http", item(w))).collect(),
        preferred: false,
        rank: 0,
        notes,
    }))
}

fn dns(s: &Side<'_>, policy: &Policy, rule: &Rule, i: usize) -> Result<Option<Draft>, String> {
    let names: BTreeSet<String> = requests(s).into_iter().filter_map(|r| if let Request::Dns(q) = r { Some(q) } else { None }).collect();
    if names.len() > MOST_REQUESTS {
        return Err(format!("{} different names were refused; the pattern that covers them is for a person to choose", names.len()));
    }
    let by_name = |n: &str| {
        let rules = s.judgement.selecting.iter().flat_map(|p| &p.sections).flat_map(|x| &x.rules);
        rules.into_iter().any(|r| match &r.peers {
            Peers::Of(list) => list.iter().any(|p| matches!(&p.is, PeerIs::Fqdn(f) if f.regex.is_match(n))),
            Peers::Any => false,
        })
    };
    let closed: Vec<&str> = names.iter().map(String::as_str).filter(|n| !by_name(n)).collect();
    let mut notes = Vec::new();
    if !closed.is_empty() {
        notes.push(format!("this lets the name be asked for; a connection to {} needs a rule of its own (toFQDNs)", closed.join(", ")));
    }
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(Some(Draft {
        title: format!("allow the name {} in {} of {} {}", words.join(", "), rule.id, policy.id.kind, policy.id.path()),
        steps: names.iter().map(|n| step(policy, rule, i, "dns", map([("matchName", text(n))]))).collect(),
        preferred: false,
        rank: 0,
        notes,
    }))
}
