//! A set of policies as it would be: edits tried on the files' own text and read again, new policies compiled as they would be.
//!
//! Owns that nothing is believed that was not parsed and compiled from the very text that is shown.
use super::build::New;
use super::diff::unified;
use super::text::Page;
use crate::model::doc::{Doc, Node, Value};
use crate::model::suggestion::Patch;
use crate::model::why::PolicyRef;
use crate::policy::PolicySet;
use crate::policy::ir::Policy;
use crate::policy::kind::{self, Verdict};
use crate::world::tree::{Style, Tree};
use crate::world::yaml;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step of a change.
#[derive(Debug, Clone)]
pub enum Step {
    /// One item more in a list of an existing policy.
    Append {
        policy: PolicyRef,
        file: String,
        /// From `spec` (or the object, for `specs[…]`) on: `ingress[0].toPorts[1]`; empty: `spec` itself.
        path: String,
        key: String,
        item: Tree,
    },
    /// A key of a map gives way: to another one with its value, or to nothing.
    Replace {
        policy: PolicyRef,
        file: String,
        path: String,
        key: String,
        by: Option<(String, Tree)>,
    },
    New(New),
}

/// The set after some steps.
#[derive(Debug, Clone)]
pub struct Sketch {
    pub set: PolicySet,
    /// Old and new text of every file that changes.
    files: BTreeMap<String, (String, String)>,
    /// What differs, in the old form and the new.
    pub changed: Vec<Arc<Policy>>,
    /// Existing policies that were edited.
    pub edited: Vec<PolicyRef>,
    pub new: Vec<(New, Arc<Policy>)>,
}

fn compile(doc: Doc, cilium: u32) -> Option<Policy> {
    match kind::compile(&Arc::new(doc), cilium, &mut Vec::new()) {
        Verdict::Policy(p) => Some(p),
        Verdict::Refused(..) | Verdict::NotUnderstood(_) | Verdict::NoPolicy => None,
    }
}

impl Sketch {
    pub fn new(set: &PolicySet) -> Self {
        Self { set: set.clone(), files: BTreeMap::new(), changed: Vec::new(), edited: Vec::new(), new: Vec::new() }
    }

    /// The set after these steps; `None` if one of them cannot be taken.
    pub fn after(&self, steps: &[Step]) -> Option<Self> {
        steps.iter().try_fold(self.clone(), |mut s, step| s.step(step).map(|()| s))
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::New(new) => {
                let (docs, faults) = yaml::read("", &new.yaml());
                let policy =
                    docs.into_iter().next().filter(|_| faults.is_empty()).and_then(|d| compile(d, self.set.cilium())).map(Arc::new)?;
                self.set = self.set.swapped(&|_| None, vec![policy.clone()]);
                self.changed.push(policy.clone());
                self.new.push((new.clone(), policy));
            }
            Step::Append { policy, file, path, key, item } => {
                let old = self.find(policy, file)?;
                let at = old.node(path)?;
                let body = Page::new(&old.doc).append(at, key, item)?;
                self.reread(&old, &body, at, &appended(at, key, item)?)?;
            }
            Step::Replace { policy, file, path, key, by } => {
                let old = self.find(policy, file)?;
                let by = by.as_ref().map(|(key, value)| (key.as_str(), value));
                let at = old.node(path)?;
                let body = Page::new(&old.doc).replace(at, key, by)?;
                self.reread(&old, &body, at, &replaced(at, key, by)?)?;
            }
        }
        Some(())
    }

    fn find(&self, policy: &PolicyRef, file: &str) -> Option<Arc<Policy>> {
        self.set.iter().find(|p| p.id == *policy && p.text.file == file).cloned()
    }

    /// Takes the changed text of a file for its policies. They have to say what they said before, but for what is `wanted` at `at`: a text
    /// with anchors says in other places too what is written in one.
    fn reread(&mut self, old: &Arc<Policy>, body: &str, at: &Node, wanted: &Tree) -> Option<()> {
        let file = &old.text.file;
        let (docs, _) = yaml::read(file, body);
        let before: Vec<Arc<Policy>> = self.set.iter().filter(|p| p.text.file == *file).cloned().collect();
        let after: Vec<Arc<Policy>> = docs.into_iter().filter_map(|d| compile(d, self.set.cilium())).map(Arc::new).collect();
        let same = |(a, b): (&Arc<Policy>, &Arc<Policy>)| a.id == b.id && same_but(&a.doc.root, &b.doc.root, at, wanted);
        if before.len() != after.len() || !before.iter().zip(&after).all(same) {
            return None;
        }
        let new_of = |p: &Arc<Policy>| before.iter().position(|b| Arc::ptr_eq(b, p)).and_then(|i| after.get(i)).cloned();
        let new = new_of(old)?;
        self.set = self.set.swapped(&new_of, Vec::new());
        // An older form of the same policy stays among what changed: it may have selected others.
        self.changed.extend([old.clone(), new]);
        self.files.entry(file.clone()).or_insert_with(|| (old.text.body.clone(), String::new())).1 = body.to_owned();
        if !self.edited.contains(&old.id) {
            self.edited.push(old.id.clone());
        }
        Some(())
    }

    /// The edits as one diff; what came from standard input has no file to patch.
    pub fn patch(&self) -> Option<Patch> {
        let files: Vec<String> = self.files.keys().filter(|f| !f.is_empty() && *f != "-").cloned().collect();
        let diff: String = files.iter().filter_map(|f| self.files.get(f).map(|(old, new)| unified(f, old, new))).collect();
        (!diff.is_empty()).then_some(Patch { files, diff })
    }

    /// Every changed and new object, whole.
    pub fn yaml(&self) -> String {
        let edited = self.edited.iter().filter_map(|id| {
            let changed = |p: &&Arc<Policy>| p.id == *id && self.files.contains_key(&p.text.file);
            self.set.iter().find(changed).map(|p| whole(p))
        });
        edited.chain(self.new.iter().map(|(n, _)| n.yaml())).collect::<Vec<_>>().join("---\n")
    }

    /// The new objects alone.
    pub fn fresh(&self) -> String {
        self.new.iter().map(|(n, _)| n.yaml()).collect::<Vec<_>>().join("---\n")
    }
}

/// What a map is to say with an item more in its list `key`.
fn appended(parent: &Node, key: &str, item: &Tree) -> Option<Tree> {
    let Tree::Map(mut entries) = Tree::from(parent) else { return None };
    match entries.iter_mut().find(|(k, _)| k == key) {
        Some((_, Tree::Seq(items))) => items.push(item.clone()),
        Some((_, value)) => *value = Tree::Seq(vec![item.clone()]),
        None => entries.push((key.to_owned(), Tree::Seq(vec![item.clone()]))),
    }
    Some(Tree::Map(entries))
}

/// What a map is to say with another entry, or none, in the place of `key`.
fn replaced(parent: &Node, key: &str, by: Option<(&str, &Tree)>) -> Option<Tree> {
    let Tree::Map(mut entries) = Tree::from(parent) else { return None };
    let i = entries.iter().position(|(k, _)| k == key)?;
    entries.splice(i..=i, by.map(|(key, value)| (key.to_owned(), value.clone())));
    Some(Tree::Map(entries))
}

/// Whether two trees say the same, but for the node `at` of the old one, which now says what is `wanted`.
fn same_but(old: &Node, new: &Node, at: &Node, wanted: &Tree) -> bool {
    if std::ptr::eq(old, at) {
        return Tree::from(new) == *wanted;
    }
    let same = |(a, b): (&Node, &Node)| same_but(a, b, at, wanted);
    match (&old.value, &new.value) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(same),
        (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same((&a.value, &b.value))),
        (a, b) => a == b,
    }
}

/// An object as it stands in its text where it stands there alone, else written anew.
fn whole(p: &Policy) -> String {
    let (first, last) = p.lines;
    let lines = p.text.body.lines().skip(first as usize - 1).take((last - first + 1) as usize);
    let body: String = lines.map(|l| format!("{l}\n")).collect();
    let (docs, faults) = yaml::read("", &body);
    match docs.as_slice() {
        [one] if p.doc.root.column == 1 && faults.is_empty() && Tree::from(&one.root) == Tree::from(&p.doc.root) => body,
        _ => Tree::from(&p.doc.root).document(Style::default()),
    }
}
