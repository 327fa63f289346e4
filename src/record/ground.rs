//! The cluster's state as the lines that say it, for the beginning of each file. Owns which change makes which line void.
//!
//! Lines, not objects: of ten thousand pods they take a tenth of the room.
use crate::model::doc::Text;
use crate::model::input::{At, Change, ObjectId};
use crate::model::time::Nanos;
use crate::world::line;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Faults kept; further ones stand once in the file in which they came.
const MOST_FAULTS: usize = 1_000;

#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// Manifests: they have always been so, and are never taken back.
    manifests: Vec<(Arc<str>, Arc<Text>, Vec<u8>)>,
    objects: BTreeMap<(Arc<str>, ObjectId), Vec<u8>>,
    /// (cluster, group, kind).
    kinds: BTreeMap<(Arc<str>, String, String), Vec<u8>>,
    faults: Vec<Vec<u8>>,
}

impl Ground {
    /// Takes in a change. Its line, unless that was said before.
    pub fn take(&mut self, at: &At, written: impl FnOnce(&At, &mut Vec<u8>)) -> Option<Vec<u8>> {
        if let (Change::Apply(doc), None) = (&at.change, at.at)
            && self.manifests.iter().rev().any(|(c, t, _)| *c == at.cluster && (Arc::ptr_eq(t, &doc.text) || *t == doc.text))
        {
            // Another object of a text that was taken as a whole.
            return None;
        }
        let mut line = Vec::new();
        written(at, &mut line);
        let cluster = at.cluster.clone();
        match &at.change {
            Change::Apply(doc) if at.at.is_none() => self.manifests.push((cluster, doc.text.clone(), line.clone())),
            Change::Apply(doc) => {
                let old = self.objects.insert((cluster, ObjectId::of(doc)), line.clone());
                if old.as_ref() == Some(&line) {
                    return None;
                }
            }
            Change::Remove(id) => {
                self.objects.remove(&(cluster, id.clone()));
            }
            Change::Kind(k) => {
                self.kinds.insert((cluster, k.group.clone(), k.kind.clone()), line.clone());
            }
            Change::Fault(_) if self.faults.len() < MOST_FAULTS => self.faults.push(line.clone()),
            Change::Fault(_) => {}
        }
        Some(line)
    }

    /// A manifest of this name was written anew: what it said before is void.
    pub fn forget(&mut self, file: &str) {
        self.manifests.retain(|(_, text, _)| text.file != file);
    }

    /// Appends everything that is known, and returns how many lines that are.
    pub fn snapshot(&self, now: Nanos, out: &mut Vec<u8>) -> u64 {
        line::snapshot(true, now, out);
        out.push(b'\n');
        let manifests = self.manifests.iter().map(|(_, _, l)| l);
        let mut lines = 2;
        for l in manifests.chain(&self.faults).chain(self.kinds.values()).chain(self.objects.values()) {
            out.extend_from_slice(l);
            out.push(b'\n');
            lines += 1;
        }
        line::snapshot(false, now, out);
        out.push(b'\n');
        lines
    }
}
