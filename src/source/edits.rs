//! Manifests that were given, watched for as long as the screen is open: what somebody saves in an editor counts at once.
//!
//! Owns when a file counts as saved, and what became of its objects. The files are looked at again and again: that works on every file
//! system, for editors that save by renaming, and for folders behind links. A file has to look the same twice before it is read, so that
//! one half written is left alone; and a text of which less can be read than before, or nothing is left, changes nothing, it is only told
//! of. Judges nothing.
use super::feed::Gone;
use super::{Feed, Source, Stop, manifests};
use crate::error::Error;
use crate::model::doc::{Doc, Fault};
use crate::model::input::{Edited, Edits, Input, leave_twins, pairs};
use crate::world::yaml;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Looking takes no more of the time than one part in so many: with many files it happens less often.
const SHARE: u32 = 200;

/// What a file looks like from outside. Another one with its name has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    number: u64,
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let number = 0;
    Some(Stamp { len: meta.len(), modified: meta.modified().ok(), number })
}

/// A file as it was taken in last.
#[derive(Debug, Default)]
struct Known {
    /// `None`: it was not looked at from outside yet.
    stamp: Option<Stamp>,
    docs: Vec<Arc<Doc>>,
    body: String,
    faults: usize,
}

/// The watch.
#[derive(Debug)]
pub struct Watched {
    paths: Vec<String>,
    known: BTreeMap<PathBuf, Known>,
    /// What the last look saw, unless it failed.
    seen: Option<BTreeMap<PathBuf, Stamp>>,
}

impl Watched {
    /// `docs`: every object that was read of the paths. What came through a pipe is not watched.
    pub fn new(paths: &[String], docs: impl IntoIterator<Item = Arc<Doc>>, faults: &[Fault]) -> Self {
        let paths: Vec<String> = paths.iter().filter(|p| *p != "-").cloned().collect();
        let mut known: BTreeMap<PathBuf, Known> = BTreeMap::new();
        for doc in docs {
            let k = known.entry(PathBuf::from(&doc.text.file)).or_default();
            if k.body.is_empty() {
                k.body.clone_from(&doc.text.body);
            }
            k.docs.push(doc);
        }
        for fault in faults.iter().filter(|f| !yaml::is_repetition(f)) {
            known.entry(PathBuf::from(&fault.file)).or_default().faults += 1;
        }
        known.remove(Path::new("-"));
        Self { paths, known, seen: None }
    }

    /// Whether there is anything to watch.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Looks at the files, and reads those that were saved since.
    fn look(&mut self) -> Vec<Edited> {
        // A path that somebody named and that is away for now keeps what it had.
        let Ok(listed) = manifests::list(&self.paths) else {
            self.seen = None;
            return Vec::new();
        };
        let now: BTreeMap<PathBuf, Stamp> = listed.files.iter().filter_map(|p| stamp(p).map(|s| (p.clone(), s))).collect();
        let mut edited = Vec::new();
        for (path, stamp) in &now {
            let settled = self.seen.as_ref().is_some_and(|seen| seen.get(path) == Some(stamp));
            if settled && self.known.get(path).and_then(|k| k.stamp) != Some(*stamp) {
                edited.extend(self.saved(path, *stamp));
            }
        }
        let away = |path: &PathBuf| !now.contains_key(path) && self.seen.as_ref().is_some_and(|seen| !seen.contains_key(path));
        let gone = |(path, k): &(&PathBuf, &Known)| k.stamp.is_some() && away(path) && !listed.may_hide(path);
        let gone = self.known.iter().filter(gone).map(|(path, _)| path.clone());
        for path in gone.collect::<Vec<PathBuf>>() {
            let Some(known) = self.known.remove(&path) else { continue };
            let pairs = known.docs.into_iter().map(|d| (Some(d), None)).collect();
            edited.push(Edited { file: path.display().to_string(), pairs, faults: Vec::new() });
        }
        self.seen = Some(now);
        leave_twins(&mut edited, self.known.values().flat_map(|k| &k.docs));
        edited
    }

    fn saved(&mut self, path: &Path, stamp: Stamp) -> Option<Edited> {
        let file = path.display().to_string();
        let known = self.known.entry(path.to_owned()).or_default();
        known.stamp = Some(stamp);
        let text = match manifests::read(path) {
            Ok(text) => text,
            Err(fault) => return Some(Edited { file, pairs: Vec::new(), faults: vec![fault] }),
        };
        if text.body == known.body {
            return None;
        }
        let (docs, mut faults) = yaml::read(&text.file, &text.body);
        faults.retain(|f| !yaml::is_repetition(f));
        known.body.clone_from(&text.body);
        if faults.len() > known.faults {
            return Some(Edited { file, pairs: Vec::new(), faults });
        }
        if docs.is_empty() && !known.docs.is_empty() {
            // A shell empties a file before the program that fills it has begun.
            let what = "nothing is left in it; what stood there counts until the file is deleted".to_owned();
            return Some(Edited { pairs: Vec::new(), faults: vec![Fault { file: file.clone(), line: 1, what }], file });
        }
        if docs.is_empty() && faults.is_empty() && known.faults == 0 {
            return None;
        }
        known.faults = faults.len();
        let docs: Vec<Arc<Doc>> = docs.into_iter().map(Arc::new).collect();
        let pairs = pairs(&known.docs, &docs);
        known.docs = docs;
        Some(Edited { file, pairs, faults })
    }
}

impl Source for Watched {
    fn run(mut self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let mut pause = LOOK;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return Ok(()),
                    () = feed.gone() => return Ok(()),
                }
                let looked = tokio::task::spawn_blocking(move || {
                    let begin = Instant::now();
                    let files = self.look();
                    (self, files, begin.elapsed())
                });
                let Ok((watched, files, took)) = looked.await else { return Ok(()) };
                self = watched;
                pause = LOOK.max(took * SHARE);
                if !files.is_empty() {
                    let edits = Edits { at: SystemTime::now().into(), files };
                    let sent = async {
                        feed.send(Input::Edited(Arc::new(edits))).await?;
                        feed.flush().await
                    };
                    if let Err(Gone) = sent.await {
                        return Ok(());
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn policy(name: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{}}}}\n"
        )
    }

    fn watched(root: &Path) -> Watched {
        let paths = [root.display().to_string()];
        let m = manifests::load(&paths).unwrap();
        let read: Vec<_> = m.texts.iter().map(|t| yaml::read(&t.file, &t.body)).collect();
        let faults: Vec<Fault> = read.iter().flat_map(|r| r.1.clone()).collect();
        let docs: Vec<_> = read.into_iter().flat_map(|r| r.0).map(Arc::new).collect();
        let mut w = Watched::new(&paths, docs, &faults);
        assert!(w.look().is_empty() && w.look().is_empty(), "what was read already is no news");
        w
    }

    fn told(all: &[Edited]) -> Vec<String> {
        let name = |d: &Option<Arc<Doc>>| d.as_ref().map_or("-".to_owned(), |d| d.name().to_owned());
        all.iter().flat_map(|e| e.pairs.iter().map(|(a, b)| format!("{} {}", name(a), name(b)))).collect()
    }

    #[test]
    fn a_saved_file_is_read_once_it_stands_still() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, policy("a") + "---\n" + &policy("b")).unwrap();
        let mut w = watched(dir.path());
        fs::write(&file, policy("b") + "---\n" + &policy("c")).unwrap();
        assert!(w.look().is_empty(), "it may be half written");
        assert_eq!(told(&w.look()), ["a -", "b b", "- c"]);
        assert!(w.look().is_empty());
        // By renaming, as many editors do.
        fs::write(dir.path().join(".p.swp"), policy("d")).unwrap();
        fs::rename(dir.path().join(".p.swp"), &file).unwrap();
        assert!(w.look().is_empty());
        assert_eq!(told(&w.look()), ["b -", "c -", "- d"]);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, policy("a")).unwrap();
        let mut w = watched(dir.path());
        fs::write(&file, "kind: [\n").unwrap();
        w.look();
        let found = w.look();
        assert!(told(&found).is_empty() && found[0].faults.len() == 1, "{found:?}");
        assert!(w.look().is_empty());
        fs::write(&file, policy("a") + "# mended\n").unwrap();
        w.look();
        assert_eq!(told(&w.look()), ["a a"]);
    }

    #[test]
    fn a_file_emptied_before_it_is_written_takes_nothing_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("all.yaml");
        fs::write(&file, policy("a") + "---\n" + &policy("b")).unwrap();
        let mut w = watched(&file);
        fs::write(&file, "").unwrap();
        w.look();
        let found = w.look();
        assert!(told(&found).is_empty() && found[0].faults[0].what.starts_with("nothing is left in it"), "{found:?}");
        assert!(w.look().is_empty(), "told once");
        fs::write(&file, policy("a")).unwrap();
        w.look();
        assert_eq!(told(&w.look()), ["b -", "a a"]);
        fs::write(dir.path().join("notes.yaml"), "# nothing yet\n").unwrap();
        let mut w = watched(dir.path());
        fs::write(dir.path().join("more.yaml"), "# nothing either\n").unwrap();
        assert!(w.look().is_empty() && w.look().is_empty(), "comments say nothing");
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let (file, set) = (dir.path().join("a.yaml"), dir.path().join("set"));
        fs::write(&set, policy("a")).unwrap();
        std::os::unix::fs::symlink(&set, &file).unwrap();
        let mut w = watched(dir.path());
        fs::rename(&set, dir.path().join("other")).unwrap();
        assert!(w.look().is_empty() && w.look().is_empty(), "its link leads nowhere for now");
        fs::remove_file(&file).unwrap();
        assert_eq!(told(&w.look()), ["a -"]);
    }

    #[test]
    fn files_come_and_go_and_a_named_one_that_is_away_keeps_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), policy("a")).unwrap();
        let mut w = watched(dir.path());
        fs::write(dir.path().join("b.yaml"), policy("b")).unwrap();
        w.look();
        assert_eq!(told(&w.look()), ["- b"]);
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        assert!(w.look().is_empty(), "an editor may be about to put it back");
        assert_eq!(told(&w.look()), ["a -"]);
        let mut w = watched(&dir.path().join("b.yaml"));
        fs::remove_file(dir.path().join("b.yaml")).unwrap();
        assert!(w.look().is_empty() && w.look().is_empty());
    }
}
