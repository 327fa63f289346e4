//! Recordings whose clusters have one name and are two: a recorder that runs in a pod calls each of them `in-cluster`, k3s each `default`.
//!
//! Owns what tells two clusters apart (the UID of kube-system, the name that Cilium was given, nodes of which not one is in both), which recordings
//! are of one, whatever their order, and what each is called then. Looks at the state that a recording begins with; where that tells nothing, one
//! name is one cluster.
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
    names: BTreeSet<String>,
    nodes: BTreeSet<String>,
}

impl Marks {
    fn note(&mut self, doc: &Doc) {
        match (doc.kind(), doc.name()) {
            ("Node", name) => _ = self.nodes.insert(name.to_owned()),
            ("Namespace", "kube-system") => self.uid = doc.live.as_ref().map(|l| l.uid.clone()).filter(|uid| !uid.is_empty()),
            ("ConfigMap", "cilium-config") => {
                self.names.extend(doc.root.at(&["data", "cluster-name"]).and_then(|n| n.str()).map(str::to_owned));
            }
            _ => {}
        }
    }

    fn is_another(&self, other: &Self) -> bool {
        if let (Some(a), Some(b)) = (&self.uid, &other.uid) {
            return a != b;
        }
        let another = |a: &BTreeSet<String>, b: &BTreeSet<String>| !a.is_empty() && !b.is_empty() && a.is_disjoint(b);
        another(&self.names, &other.names) || another(&self.nodes, &other.nodes)
    }
}

/// For recordings, each by its first file, what their clusters are to be called.
pub fn names(files: &[Option<Arc<str>>]) -> Vec<Names> {
    let all: Vec<BTreeMap<Arc<str>, Marks>> = files.iter().map(|f| f.as_deref().map(marks).unwrap_or_default()).collect();
    let mut out = vec![Names::new(); files.len()];
    let called: BTreeSet<&Arc<str>> = all.iter().flat_map(BTreeMap::keys).collect();
    for cluster in called {
        let named: Vec<(usize, &Marks)> = all.iter().enumerate().filter_map(|(i, m)| Some((i, m.get(cluster)?))).collect();
        let groups = groups(&named);
        if groups.len() < 2 {
            continue;
        }
        let first: Vec<&str> = groups.iter().map(|g| g.first().and_then(|i| files.get(*i)?.as_deref()).unwrap_or_default()).collect();
        for (places, file) in groups.iter().zip(paths(&first)) {
            let name: Arc<str> = if cluster.is_empty() { Arc::from(file) } else { Arc::from(format!("{cluster} ({file})")) };
            for i in places {
                out.get_mut(*i).into_iter().for_each(|names| _ = names.insert(cluster.clone(), name.clone()));
            }
        }
    }
    out
}

/// The recordings of each cluster, each by its place. One that may be of either of two that differ is nobody's but its own.
fn groups(all: &[(usize, &Marks)]) -> Vec<Vec<usize>> {
    // One UID is one cluster, whatever became of its nodes.
    let mut known: Vec<(Marks, Vec<usize>)> = Vec::new();
    for (place, marks) in all {
        match known.iter_mut().find(|(of, _)| marks.uid.is_some() && of.uid == marks.uid) {
            Some((of, places)) => {
                of.names.extend(marks.names.iter().cloned());
                of.nodes.extend(marks.nodes.iter().cloned());
                places.push(*place);
            }
            None => known.push((Marks::clone(marks), vec![*place])),
        }
    }
    let fits = |a: &Marks| known.iter().filter(|(of, _)| !of.is_another(a)).map(|(of, _)| of).collect::<Vec<_>>();
    let torn = |a: &Marks| {
        let near = fits(a);
        near.iter().any(|b| near.iter().any(|c| b.is_another(c)))
    };
    let mut out: Vec<(Option<&Marks>, Vec<usize>)> = Vec::new();
    for (marks, places) in &known {
        // Of those that are not torn, whoever fits one of a group fits all of it.
        let torn = torn(marks);
        match out.iter_mut().find(|(first, _)| !torn && first.is_some_and(|first| !first.is_another(marks))) {
            Some((_, all)) => all.extend(places),
            None => out.push(((!torn).then_some(marks), places.clone())),
        }
    }
    out.into_iter().map(|(_, places)| places).collect()
}

/// As much of the path of each file as tells it from the others.
fn paths(files: &[&str]) -> Vec<String> {
    let parts: Vec<Vec<_>> = files.iter().map(|f| Path::new(f).iter().map(|p| p.to_string_lossy()).collect()).collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or_default();
    for n in 1..longest {
        let ends: Vec<String> = parts.iter().map(|p| p.get(p.len().saturating_sub(n)..).unwrap_or_default().join("/")).collect();
        if ends.iter().collect::<BTreeSet<_>>().len() == files.len() {
            return ends;
        }
    }
    files.iter().map(|f| (*f).to_owned()).collect()
}

fn marks(file: &str) -> BTreeMap<Arc<str>, Marks> {
    let mut out: BTreeMap<Arc<str>, Marks> = BTreeMap::new();
    let Ok(mut recording) = Recording::open(file) else { return out };
    while let Ok(Some(frame)) = recording.next_frame() {
        let Some(text) = line::inside(&frame.bytes).filter(|_| frame.broken.is_none()) else { break };
        // That a kind is known names the cluster, where nothing else does.
        if ![&b"kind: Node"[..], b"kube-system", b"cilium-config", b"\"state\""].iter().any(|w| find(text, w).is_some()) {
            continue;
        }
        let Ok(Said::Changes(all)) = line::read(text) else { continue };
        for at in all.iter().filter(|at| at.at.is_some()) {
            let of = out.entry(at.cluster.clone()).or_default();
            if let Change::Apply(doc) = &at.change {
                of.note(doc);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uid: &str, name: &str, nodes: &[&str]) -> Marks {
        let own = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        Marks { uid: own(uid), names: own(name).into_iter().collect(), nodes: nodes.iter().map(|n| (*n).to_owned()).collect() }
    }

    /// Every order of the recordings, with the groups of their places in the first order.
    fn grouped(all: &[Marks]) -> Vec<Vec<usize>> {
        let told = |order: &[usize]| {
            let mut found = groups(&order.iter().map(|i| (*i, &all[*i])).collect::<Vec<_>>());
            found.iter_mut().for_each(|g| g.sort_unstable());
            found.sort();
            found
        };
        let mut order: Vec<usize> = (0..all.len()).collect();
        let first = told(&order);
        for _ in 0..all.len() {
            order.rotate_left(1);
            assert_eq!(told(&order), first, "{order:?}");
            let back: Vec<usize> = order.iter().rev().copied().collect();
            assert_eq!(told(&back), first, "{back:?}");
        }
        first
    }

    #[test]
    fn which_recordings_are_one_cluster_does_not_hang_on_their_order() {
        let (plain, east, west) = (of("", "", &["n1"]), of("", "east", &["n1"]), of("", "west", &["n1"]));
        assert_eq!(grouped(&[plain.clone(), east.clone(), west.clone()]), [[0], [1], [2]], "it may be of either");
        assert_eq!(grouped(&[plain.clone(), east.clone(), east]), [[0, 1, 2]]);
        // A chain: nodes that are replaced one after the other.
        let chain = [of("", "", &["a", "b"]), of("", "", &["b", "c"]), of("", "", &["c", "d"])];
        assert_eq!(grouped(&chain), [[0], [1], [2]], "the first and the last have nothing in common");
        let uid = [of("u", "", &["a"]), of("", "", &["a"]), of("u", "", &["z"]), of("v", "", &["y"])];
        assert_eq!(grouped(&uid), [vec![0, 1, 2], vec![3]], "one UID is one cluster, with the nodes of both");
    }

    #[test]
    fn two_files_of_one_name_are_called_by_as_much_of_their_paths_as_differs() {
        let of = |files: &[&str]| paths(files);
        assert_eq!(of(&["a/e.jsonl", "b/w.jsonl"]), ["e.jsonl", "w.jsonl"]);
        assert_eq!(of(&["east/rec.jsonl", "west/rec.jsonl", "x.jsonl"]), ["east/rec.jsonl", "west/rec.jsonl", "x.jsonl"]);
        assert_eq!(of(&["/m/east/a/r", "/m/west/a/r"]), ["east/a/r", "west/a/r"]);
        assert_eq!(of(&["r", "./r"]), ["r", "./r"]);
    }

    #[test]
    fn one_uid_is_one_cluster_and_without_it_nodes_of_which_none_is_in_both_are_two() {
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
