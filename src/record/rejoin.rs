//! A recording's lines of state → changes: what a repeated snapshot says once more is no news, and what it does not say any more is gone.
//!
//! Owns what has been said so far. Without it every segment would give each policy once more, and an object that was deleted while nobody
//! recorded would stay for ever.
use crate::model::doc::Doc;
use crate::model::input::{At, Change, Edited, Edits, Kind, ObjectId, leave_twins, pairs};
use crate::model::time::Nanos;
use crate::world::line::{self, Said};
use crate::world::yaml;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum About {
    Object(Arc<str>, ObjectId),
    Kind(Arc<str>, String, String),
    /// A manifest, what became of it, or a fault: no snapshot takes it back.
    Text,
}

/// The state of one recording.
#[derive(Debug, Default)]
pub struct Rejoin {
    hasher: foldhash::fast::FixedState,
    /// The line that holds, by what it is about.
    holds: HashMap<About, u64>,
    /// What each line that was read is about.
    said: HashMap<u64, Vec<About>>,
    /// Since the beginning of a snapshot: what it has named.
    named: Option<HashSet<About>>,
    /// The objects of each manifest, as it stands.
    manifests: BTreeMap<String, Vec<Arc<Doc>>>,
}

impl Rejoin {
    /// What follows from a line: `text` is what stands after `{"world":`.
    pub fn take(&mut self, text: &[u8]) -> Result<Vec<At>, String> {
        let id = self.hasher.hash_one(text);
        // Most lines of a snapshot have been read before, and are not read again.
        if let Some(about) = self.said.get(&id)
            && about.iter().all(|a| *a == About::Text || self.holds.get(a) == Some(&id))
        {
            if let Some(named) = &mut self.named {
                named.extend(about.iter().cloned());
            }
            return Ok(Vec::new());
        }
        match line::read(text)? {
            Said::Changes(changes) => {
                let about: Vec<About> = changes.iter().map(about).collect();
                for (at, a) in changes.iter().zip(&about) {
                    match &at.change {
                        // Many texts, and none of them takes another's place.
                        Change::Apply(doc) if *a == About::Text => {
                            self.manifests.entry(doc.text.file.clone()).or_default().push(doc.clone());
                        }
                        _ if *a == About::Text => {}
                        Change::Remove(_) => {
                            let old = self.holds.remove(a);
                            self.forget(old, id);
                        }
                        _ => {
                            let old = self.holds.insert(a.clone(), id);
                            self.forget(old, id);
                        }
                    }
                    if let Some(named) = &mut self.named {
                        named.insert(a.clone());
                    }
                }
                // A removal may come twice, and means something each time.
                if !changes.iter().any(|c| matches!(c.change, Change::Remove(_))) {
                    self.said.insert(id, about);
                }
                Ok(changes)
            }
            Said::Edited(at, files) => {
                self.said.insert(id, vec![About::Text]);
                Ok(self.edited(at, files).said().into_iter().collect())
            }
            Said::Begin => {
                self.named = Some(HashSet::new());
                Ok(Vec::new())
            }
            Said::End(at) => Ok(self.end(at)),
        }
    }

    /// What the texts of files change.
    fn edited(&mut self, at: Nanos, files: Vec<(String, Option<String>)>) -> Arc<Edits> {
        let mut edited = Vec::new();
        for (file, body) in files {
            let docs: Vec<Arc<Doc>> = body.map(|body| yaml::read(&file, &body).0.into_iter().map(Arc::new).collect()).unwrap_or_default();
            if let Some(doc) = docs.first() {
                // A later snapshot may say that it has always been so.
                let mut line = Vec::new();
                line::write(&At { cluster: Arc::from(""), at: None, change: Change::Apply(Arc::clone(doc)) }, &mut line);
                let text = line::inside(&line).unwrap_or_default();
                self.said.insert(self.hasher.hash_one(text), vec![About::Text]);
            }
            let old = self.manifests.insert(file.clone(), docs).unwrap_or_default();
            let now = self.manifests.get(&file).map(Vec::as_slice).unwrap_or_default();
            edited.push(Edited { pairs: pairs(&old, now), file, faults: Vec::new() });
        }
        leave_twins(&mut edited, self.manifests.values().flatten());
        Arc::new(Edits { at, files: edited })
    }

    /// A line that holds no more; kept, they would grow with every pod that comes and goes.
    fn forget(&mut self, old: Option<u64>, new: u64) {
        if let Some(old) = old.filter(|o| *o != new) {
            self.said.remove(&old);
        }
    }

    /// What a whole snapshot has not named is gone; since when is not known better than by the snapshot's time.
    fn end(&mut self, at: Option<Nanos>) -> Vec<At> {
        let Some(named) = self.named.take() else { return Vec::new() };
        let mut gone: Vec<_> = self.holds.keys().filter(|a| matches!(a, About::Object(..)) && !named.contains(*a)).cloned().collect();
        gone.sort();
        let removed = |a: About| {
            let old = self.holds.remove(&a);
            if let Some(old) = old {
                self.said.remove(&old);
            }
            let About::Object(cluster, id) = a else { return None };
            Some(At { cluster, at, change: Change::Remove(id) })
        };
        gone.into_iter().filter_map(removed).collect()
    }
}

fn about(at: &At) -> About {
    let cluster = at.cluster.clone();
    match &at.change {
        Change::Apply(_) if at.at.is_none() => About::Text,
        Change::Apply(doc) => About::Object(cluster, ObjectId::of(doc)),
        Change::Remove(id) => About::Object(cluster, id.clone()),
        Change::Kind(Kind { group, kind, .. }) => About::Kind(cluster, group.clone(), kind.clone()),
        Change::Fault(_) | Change::Edited(_) => About::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::yaml;

    fn policy(name: &str, note: &str) -> At {
        let text = format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  uid: {note}\n");
        let doc = yaml::read(name, &text).0.remove(0);
        At { cluster: "c".into(), at: Some(Nanos(7)), change: Change::Apply(Arc::new(doc)) }
    }

    fn text(at: &At) -> Vec<u8> {
        let mut out = Vec::new();
        line::write(at, &mut out);
        inside(&out)
    }

    fn inside(line: &[u8]) -> Vec<u8> {
        line.strip_prefix(b"{\"world\":").unwrap().strip_suffix(b"}").unwrap().to_vec()
    }

    fn snapshot(all: &[&At], r: &mut Rejoin) -> Vec<String> {
        let mut edge = Vec::new();
        line::snapshot(true, Nanos(8), &mut edge);
        let mut out = r.take(&inside(&edge)).unwrap();
        for at in all {
            out.extend(r.take(&text(at)).unwrap());
        }
        edge.clear();
        line::snapshot(false, Nanos(9), &mut edge);
        out.extend(r.take(&inside(&edge)).unwrap());
        out.iter().map(words).collect()
    }

    fn words(at: &At) -> String {
        match &at.change {
            Change::Apply(d) => format!("+{}", d.name()),
            Change::Remove(id) => format!("-{} {}", id.name, at.at.map_or(0, |t| t.0)),
            _ => "?".to_owned(),
        }
    }

    #[test]
    fn a_snapshot_tells_only_what_is_news() {
        let (a, b, b2, c) = (policy("a", "1"), policy("b", "1"), policy("b", "2"), policy("c", "1"));
        let mut r = Rejoin::default();
        assert_eq!(snapshot(&[&a, &b], &mut r), ["+a", "+b"]);
        assert_eq!(snapshot(&[&a, &b], &mut r), [""; 0]);
        assert_eq!(r.take(&text(&b2)).unwrap().len(), 1);
        assert_eq!(snapshot(&[&a, &b2], &mut r), [""; 0]);
        // While nobody recorded, a went and c came; b is as it was at first.
        assert_eq!(snapshot(&[&b, &c], &mut r), ["+b", "+c", "-a 9"]);
        assert_eq!(snapshot(&[&b, &c], &mut r), [""; 0]);
        assert_eq!((r.said.len(), r.holds.len()), (2, 2));
    }

    #[test]
    fn a_snapshot_that_breaks_off_removes_nothing() {
        let (a, b) = (policy("a", "1"), policy("b", "1"));
        let mut r = Rejoin::default();
        snapshot(&[&a, &b], &mut r);
        let mut edge = Vec::new();
        line::snapshot(true, Nanos(8), &mut edge);
        r.take(&inside(&edge)).unwrap();
        r.take(&text(&a)).unwrap();
        assert_eq!(snapshot(&[&a, &b], &mut r), [""; 0]);
    }

    #[test]
    fn a_manifest_is_applied_once_and_stays() {
        let manifest = |name: &str| At { at: None, ..policy(name, "1") };
        let (m, n) = (manifest("m"), manifest("n"));
        let mut r = Rejoin::default();
        assert_eq!(snapshot(&[&m, &n], &mut r), ["+m", "+n"]);
        assert_eq!(snapshot(&[&m, &n], &mut r), [""; 0]);
        assert_eq!(snapshot(&[], &mut r), [""; 0]);
    }
}
