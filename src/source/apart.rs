//! Recordings whose clusters have one name and are two: a recorder that runs in a pod calls each of them `in-cluster`, k3s each `default`.
//!
//! Owns what tells two clusters apart (the UID of kube-system, the name that Cilium was given, nodes of which not one is in both) and what each is called
//! then. Looks at the state that a recording begins with; where that tells nothing, one name is one cluster.
use super::file::Recording;
use crate::model::doc::Doc;
use crate::model::input::Change;
use crate::world::line::{self, Said};
use memchr::memmem::find;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Cluster → what it is called instead.
pub type Names = BTreeMap<Arc<str>, Arc<str>>;

/// What a cluster is known by.
#[derive(Debug, Clone, Default)]
struct Marks {
    uid: Option<String>,
    name: Option<String>,
    nodes: BTreeSet<String>,
}

impl Marks {
    fn note(&mut self, doc: &Doc) {
        match (doc.kind(), doc.name()) {
            ("Node", name) => _ = self.nodes.insert(name.to_owned()),
            ("Namespace", "kube-system") => self.uid = doc.live.as_ref().map(|l| l.uid.clone()).filter(|uid| !uid.is_empty()),
            ("ConfigMap", "cilium-config") => {
                self.name = doc.root.at(&["data", "cluster-name"]).and_then(|n| n.str()).map(str::to_owned);
            }
            _ => {}
        }
    }

    fn is_another(&self, other: &Self) -> bool {
        if let (Some(a), Some(b)) = (&self.uid, &other.uid) {
            return a != b;
        }
        let named = matches!((&self.name, &other.name), (Some(a), Some(b)) if a != b);
        let nodes = !self.nodes.is_empty() && !other.nodes.is_empty() && self.nodes.is_disjoint(&other.nodes);
        named || nodes
    }
}

/// For recordings, each by its first file, what their clusters are to be called.
pub fn names(files: &[Option<Arc<str>>]) -> Vec<Names> {
    let all: Vec<BTreeMap<Arc<str>, Marks>> = files.iter().map(|f| f.as_deref().map(marks).unwrap_or_default()).collect();
    let mut out = vec![Names::new(); files.len()];
    let called: BTreeSet<&Arc<str>> = all.iter().flat_map(BTreeMap::keys).collect();
    for cluster in called {
        // Recordings of one cluster, by the first of them.
        let mut groups: Vec<(&Marks, Vec<usize>)> = Vec::new();
        for (place, marks) in all.iter().enumerate().filter_map(|(i, m)| Some((i, m.get(cluster)?))) {
            match groups.iter_mut().find(|(first, _)| !first.is_another(marks)) {
                Some((_, places)) => places.push(place),
                None => groups.push((marks, vec![place])),
            }
        }
        if groups.len() < 2 {
            continue;
        }
        for (_, places) in groups {
            let first = places.first().and_then(|i| files.get(*i)?.as_deref()).unwrap_or_default();
            let file = Path::new(first).file_name().map_or_else(|| first.into(), |f| f.to_string_lossy());
            let name: Arc<str> = if cluster.is_empty() { Arc::from(&*file) } else { Arc::from(format!("{cluster} ({file})")) };
            for i in places {
                out.get_mut(i).into_iter().for_each(|names| _ = names.insert(cluster.clone(), name.clone()));
            }
        }
    }
    out
}

fn marks(file: &str) -> BTreeMap<Arc<str>, Marks> {
    let mut out: BTreeMap<Arc<str>, Marks> = BTreeMap::new();
    let Ok(mut recording) = Recording::open(file) else { return out };
    while let Ok(Some(frame)) = recording.next_frame() {
        let Some(text) = line::inside(&frame.bytes).filter(|_| frame.broken.is_none()) else { break };
        if ![&b"kind: Node"[..], b"kube-system", b"cilium-config"].iter().any(|w| find(text, w).is_some()) {
            continue;
        }
        let Ok(Said::Changes(all)) = line::read(text) else { continue };
        for at in all.iter().filter(|at| at.at.is_some()) {
            if let Change::Apply(doc) = &at.change {
                out.entry(at.cluster.clone()).or_default().note(doc);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_uid_is_one_cluster_and_without_it_nodes_of_which_none_is_in_both_are_two() {
        let of = |uid: &str, name: &str, nodes: &[&str]| {
            let own = |s: &str| (!s.is_empty()).then(|| s.to_owned());
            Marks { uid: own(uid), name: own(name), nodes: nodes.iter().map(|n| (*n).to_owned()).collect() }
        };
        for (a, b, another) in [
            (of("u", "", &["a"]), of("u", "", &["b"]), false),
            (of("u", "", &["a"]), of("v", "", &["a"]), true),
            (of("", "east", &["a"]), of("", "west", &["a"]), true),
            (of("", "", &["a", "b"]), of("", "", &["b", "c"]), false),
            (of("u", "", &["a"]), of("", "", &["b"]), true),
            (of("", "", &[]), of("", "", &["b"]), false),
        ] {
            assert_eq!((a.is_another(&b), b.is_another(&a)), (another, another), "{a:?} {b:?}");
        }
    }
}
