//! A recording that may be shown to others: names, label values, addresses, DNS names, paths and header values are replaced, each by the
//! same one everywhere, in flows as in policies and in the cluster's state.
//!
//! Owns which field is replaced how. Verdicts, policies' effect and explanations stay what they are, up to the names: words keep their
//! parts, and parts that begin alike begin alike afterwards (so owners are still found by their pods' names, and globs still match); an
//! address keeps its common prefixes with others (so CIDRs still match). Label keys, ports, protocols, times, kinds and reserved identities
//! are kept. What cannot be kept apart from its meaning is left out: MAC addresses, trace ids, extensions' contents, annotations,
//! descriptions. The numbers that agents give policies are kept. Names are hidden from who has not the key, not from who can guess and compare: it is for sharing, not for publishing.
mod address;
mod flow;
mod manifest;
mod spelled;
#[cfg(test)]
mod tests;
mod words;

use crate::model::doc::{Doc, Fault, Text};

use crate::model::ids::{Ids, Meaning};
use crate::model::input::{At, Change, Edited, Edits, Gap, Kind, KindState, ObjectId};
use crate::model::live::{Changed, Condition, Live, Owner};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::world::{line, yaml};
use std::sync::Arc;

/// A key, and what has been replaced with it so far.
pub struct Redact {
    words: words::Words,
}

impl Redact {
    /// The same key replaces alike.
    pub fn new(key: [u8; 16]) -> Self {
        Self { words: words::Words::new(key) }
    }

    /// What stands for a name of any kind.
    pub fn name(&mut self, name: &str) -> String {
        self.words.name(name)
    }

    pub(super) fn response(&mut self, r: &mut GetFlowsResponse) {
        flow::response(&mut self.words, r);
    }

    /// Appends the line of a change; nothing where nothing of it can be said without names.
    pub(super) fn change(&mut self, at: &At, out: &mut Vec<u8>) {
        let w = &mut self.words;
        let at = At { cluster: Arc::from(w.name(&at.cluster)), ..at.clone() };
        let change = match &at.change {
            Change::Apply(doc) => Change::Apply(Arc::new(document(w, doc))),
            Change::Remove(id) => {
                Change::Remove(ObjectId { kind: w.kind(&id.kind), namespace: w.name(&id.namespace), name: w.name(&id.name), ..id.clone() })
            }
            Change::Edited(edits) => Change::Edited(Arc::new(edited(w, edits))),
            Change::Kind(k) => Change::Kind(Kind { state: without_cause(&k.state), ..k.clone() }),
            // Its words are names; that there was one is not.
            Change::Asked(filter) => Change::Asked(Arc::from(if filter.is_empty() { "" } else { "a filter" })),
            Change::Gap(g) => {
                Change::Gap(Arc::new(Gap { server: Arc::from(w.name(&g.server)), node: w.name(&g.node), from: g.from, until: g.until }))
            }
            Change::Ids(ids) => Change::Ids(Arc::new(numbers(w, ids))),
            Change::Fault(f) => {
                let what = "a manifest that could not be used".to_owned();
                Change::Fault(Fault { file: w.name(&f.file), line: f.line, what })
            }
        };
        line::write(&At { change, ..at }, out);
    }
}

fn document(w: &mut words::Words, doc: &Doc) -> Doc {
    let (docs, _) = yaml::read(&doc.text.file, &doc.text.body);
    let body = manifest::body(w, &docs);
    let text = Arc::new(Text { file: w.name(&doc.text.file), body });
    let live = doc.live.as_deref().map(|l| Arc::new(live(w, l)));
    Doc { text, live, ..doc.clone() }
}

fn numbers(w: &mut words::Words, ids: &Ids) -> Ids {
    let mut meaning = |m: &Meaning| Meaning {
        kind: w.kind(&m.kind),
        namespace: w.name(&m.namespace),
        name: w.name(&m.name),
        rule_name: w.name(&m.rule_name),
        ..m.clone()
    };
    let entries = ids.entries.iter().map(&mut meaning).collect();
    Ids { node: w.name(&ids.node), instance: ids.instance, entries }
}

/// The text of each file is all that its line says.
fn edited(w: &mut words::Words, edits: &Edits) -> Edits {
    let file = |e: &Edited| Edited {
        pairs: vec![match e.text() {
            Some(doc) => (None, Some(Arc::new(document(w, doc)))),
            None => (e.pairs.iter().find_map(|(old, _)| old.clone()), None),
        }],
        file: w.name(&e.file),
        faults: Vec::new(),
    };
    Edits { at: edits.at, files: edits.used().map(file).collect() }
}

/// What was refused names the user who asked, what broke names servers.
fn without_cause(state: &KindState) -> KindState {
    let cause = || "its cause is left out".to_owned();
    match state {
        KindState::Forbidden(_) => KindState::Forbidden(cause()),
        KindState::Stale(_) => KindState::Stale(cause()),
        KindState::Loading | KindState::Synced | KindState::Absent => state.clone(),
    }
}

/// Who keeps an object is named by kinds and programs; what controllers write about it is free text.
fn live(w: &mut words::Words, l: &Live) -> Live {
    Live {
        uid: l.uid.clone(),
        resource_version: l.resource_version.clone(),
        generation: l.generation,
        created: l.created,
        changed: l.changed.as_ref().map(|c| Changed { by: w.name(&c.by), at: c.at }),
        owner: l.owner.as_ref().map(|o| Owner { what: o.what.clone(), name: w.name(&o.name) }),
        conditions: l.conditions.iter().map(|c| Condition { message: String::new(), ..c.clone() }).collect(),
    }
}
