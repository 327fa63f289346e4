//! Saves of manifests, folded: of each object how it stood before the first of them and how it stands now, so that a day of saving takes no
//! more room than the files do.
//!
//! Owns the folding, and how everything is said again once what came since the beginning is forgotten. Judges nothing: it is told whether all
//! of a save could be used.
use crate::model::doc::{Doc, Fault};
use crate::model::input::{Edited, Edits, Pair};
use crate::model::time::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Saves {
    /// The time of the last one.
    at: Nanos,
    objects: Vec<Object>,
    /// What cannot be read of each file, as it stands now.
    faults: BTreeMap<String, Vec<Fault>>,
}

#[derive(Debug)]
struct Object {
    file: String,
    first: Option<Arc<Doc>>,
    /// As it stood when all of a save could be used: what is refused takes nobody's place.
    used: Option<Arc<Doc>>,
    last: Option<Arc<Doc>>,
}

fn same(a: Option<&Arc<Doc>>, b: Option<&Arc<Doc>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

impl Saves {
    /// Takes in a save; `whole`: all of it could be used.
    pub fn add(&mut self, edits: &Edits, whole: bool) {
        self.at = edits.at;
        for f in &edits.files {
            self.faults.insert(f.file.clone(), f.faults.clone());
            for (old, new) in &f.pairs {
                self.fold(&f.file, old.as_ref(), new.as_ref(), whole);
            }
        }
        self.faults.retain(|_, all| !all.is_empty());
        self.objects.retain(|o| o.first.is_some() || o.last.is_some());
    }

    fn fold(&mut self, file: &str, old: Option<&Arc<Doc>>, new: Option<&Arc<Doc>>, whole: bool) {
        // One that stands in another file too is said again with the one that went there.
        let before = if old.is_some() { old } else { new };
        let mut met = false;
        for o in self.objects.iter_mut().filter(|o| o.last.is_some() && same(o.last.as_ref(), before)) {
            met |= o.file == file;
            o.last = new.cloned();
            if whole || new.is_none() {
                o.used = new.cloned();
            }
        }
        if !met {
            let used = if whole || new.is_none() { new } else { old };
            self.objects.push(Object { file: file.to_owned(), first: old.cloned(), used: used.cloned(), last: new.cloned() });
        }
    }

    /// Everything once more: what went, what came in its place, and what was refused last.
    pub fn again(&self) -> Vec<Edits> {
        let went = |o: &Object| (o.first.is_some() && o.used.is_none() && o.last.is_none()).then(|| (o.first.clone(), None));
        let came = |o: &Object| (o.used.is_some() && !same(o.first.as_ref(), o.used.as_ref())).then(|| (o.first.clone(), o.used.clone()));
        let last = |o: &Object| (!same(o.used.as_ref(), o.last.as_ref())).then(|| (o.used.clone(), o.last.clone()));
        let rounds = [self.round(went, false), self.round(came, true), self.round(last, false)];
        rounds.into_iter().filter(|files| !files.is_empty()).map(|files| Edits { at: self.at, files }).collect()
    }

    /// `all`: with files of which nothing can be used, too.
    fn round(&self, pair: impl Fn(&Object) -> Option<Pair>, all: bool) -> Vec<Edited> {
        let mut files: BTreeMap<&str, Vec<Pair>> = BTreeMap::new();
        if all {
            files.extend(self.faults.keys().map(|file| (file.as_str(), Vec::new())));
        }
        for o in &self.objects {
            if let Some(pair) = pair(o) {
                files.entry(&o.file).or_default().push(pair);
            }
        }
        let faults = |file: &str| self.faults.get(file).cloned().unwrap_or_default();
        files.into_iter().map(|(file, pairs)| Edited { file: file.to_owned(), pairs, faults: faults(file) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::yaml;

    fn doc(body: &str) -> Arc<Doc> {
        Arc::new(yaml::read("a.yaml", body).0.remove(0))
    }

    fn save(saves: &mut Saves, pairs: Vec<Pair>, whole: bool) {
        saves.add(&Edits { at: Nanos(1), files: vec![Edited { file: "a.yaml".to_owned(), pairs, faults: Vec::new() }] }, whole);
    }

    fn names(saves: &Saves) -> Vec<Vec<String>> {
        let name = |d: &Option<Arc<Doc>>| d.as_ref().map_or("-".to_owned(), |d| d.name().to_owned());
        let of = |e: &Edits| e.files.iter().flat_map(|f| f.pairs.iter().map(|(a, b)| format!("{} {}", name(a), name(b)))).collect();
        saves.again().iter().map(of).collect()
    }

    #[test]
    fn a_thousand_saves_keep_the_first_text_and_the_last_and_what_was_refused() {
        let version = |n: usize| doc(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: v{n}}}\n"));
        let (mut saves, first) = (Saves::default(), version(0));
        let mut now = first.clone();
        for n in 1..=1_000 {
            let next = version(n);
            save(&mut saves, vec![(Some(now), Some(next.clone()))], true);
            now = next;
        }
        assert_eq!((saves.objects.len(), names(&saves)), (1, vec![vec!["v0 v1000".to_owned()]]));
        let refused = version(1_001);
        save(&mut saves, vec![(Some(now), Some(refused.clone()))], false);
        assert_eq!(names(&saves), [["v0 v1000"], ["v1000 v1001"]]);
        save(&mut saves, vec![(Some(refused), None)], true);
        assert_eq!(names(&saves), [["v0 -"]]);
        let (came, mut none) = (version(1), Saves::default());
        save(&mut none, vec![(None, Some(came.clone()))], true);
        save(&mut none, vec![(Some(came), None)], true);
        assert!(none.objects.is_empty());
    }
}
