//! The cluster's state as the lines that say it, for the beginning of each file. Owns which change makes which line void.
//!
//! Lines, not objects: of ten thousand pods they take a tenth of the room.
use crate::model::doc::{Doc, Text};
use crate::model::input::{At, Change, ObjectId};
use crate::model::time::Nanos;
use crate::world::line;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Faults kept; further ones stand once in the file in which they came.
const MOST_FAULTS: usize = 1_000;
/// Savings of manifests kept, with their texts. Of older ones the next file says that they have always been so.
const MOST_EDITS: usize = 256;
const MOST_EDITED: usize = 4 << 20;

#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// Manifests: they have always been so, until they were written anew.
    manifests: Vec<(Arc<str>, Arc<Text>, Vec<u8>)>,
    edits: VecDeque<Edit>,
    edited: usize,
    objects: BTreeMap<(Arc<str>, ObjectId), Vec<u8>>,
    /// (cluster, group, kind).
    kinds: BTreeMap<(Arc<str>, String, String), Vec<u8>>,
    faults: Vec<Vec<u8>>,
}

/// A text, and the line that says that it has always been so.
type Always = (Arc<Text>, Vec<u8>);

/// Manifests that were written anew, all at one time.
#[derive(Debug, Clone)]
struct Edit {
    line: Vec<u8>,
    /// Each file, and its text; none where it is gone.
    files: Vec<(String, Option<Always>)>,
}

impl Edit {
    fn weight(&self) -> usize {
        self.line.len() + self.files.iter().filter_map(|(_, text)| Some(text.as_ref()?.1.len())).sum::<usize>()
    }
}

impl Ground {
    /// Takes in a change. Its line, unless that was said before.
    pub fn take(&mut self, at: &At, mut written: impl FnMut(&At, &mut Vec<u8>)) -> Option<Vec<u8>> {
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
            Change::Edited(edits) => {
                let mut always = |doc: &Arc<Doc>| {
                    let mut line = Vec::new();
                    written(&At { cluster: cluster.clone(), at: None, change: Change::Apply(doc.clone()) }, &mut line);
                    (doc.text.clone(), line)
                };
                let files = edits.used().map(|f| (f.file.clone(), f.text().map(&mut always))).collect();
                self.edit(Edit { line: line.clone(), files }, &cluster);
            }
        }
        Some(line)
    }

    fn edit(&mut self, edit: Edit, cluster: &Arc<str>) {
        self.edited += edit.weight();
        self.edits.push_back(edit);
        while self.edits.len() > MOST_EDITS || self.edited > MOST_EDITED {
            let Some(old) = self.edits.pop_front() else { return };
            self.edited -= old.weight();
            for (file, text) in old.files {
                self.manifests.retain(|(_, text, _)| text.file != file);
                self.manifests.extend(text.map(|(text, line)| (cluster.clone(), text, line)));
            }
        }
    }

    /// Appends everything that is known, and returns how many lines that are.
    pub fn snapshot(&self, now: Nanos, out: &mut Vec<u8>) -> u64 {
        line::snapshot(true, now, out);
        out.push(b'\n');
        let manifests = self.manifests.iter().map(|(_, _, l)| l);
        let edits = self.edits.iter().map(|e| &e.line);
        let mut lines = 2;
        for l in manifests.chain(edits).chain(&self.faults).chain(self.kinds.values()).chain(self.objects.values()) {
            out.extend_from_slice(l);
            out.push(b'\n');
            lines += 1;
        }
        line::snapshot(false, now, out);
        out.push(b'\n');
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Edited, Edits};
    use crate::world::yaml;

    #[test]
    fn of_a_thousand_saves_the_newest_are_kept_with_their_times_and_the_rest_has_always_been_so() {
        let doc =
            |n: usize| Arc::new(yaml::read("a.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: v{n}}}\n")).0.remove(0));
        let mut ground = Ground::default();
        ground.take(&At { cluster: Arc::from(""), at: None, change: Change::Apply(doc(0)) }, line::write);
        for n in 1..=1_000 {
            let pairs = vec![(Some(doc(n - 1)), Some(doc(n)))];
            let edits = Edits { at: Nanos(n as i64), files: vec![Edited { file: "a.yaml".to_owned(), pairs, faults: Vec::new() }] };
            let line = ground.take(&Arc::new(edits).said().unwrap(), line::write).unwrap();
            assert!(line.starts_with(b"{\"world\":{\"time\":"));
        }
        let mut out = Vec::new();
        assert_eq!(ground.snapshot(Nanos(5_000), &mut out), 2 + 1 + MOST_EDITS as u64);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("\"apply\"") && lines[1].contains("v744}"), "{}", lines[1]);
        assert!(lines[2].contains("\"edited\"") && lines[2].contains("v745}") && lines[257].contains("v1000}"));
        assert_eq!(ground.edited, ground.edits.iter().map(Edit::weight).sum::<usize>());
    }
}
