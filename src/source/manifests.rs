//! Policies and other objects from files, folders and standard input.
//!
//! Owns finding and reading them, in an order that does not depend on the file system. Must not parse them: that is
//! `world::yaml`. What cannot be read is a fault and the rest goes on; only a path that a person named and that is not there
//! is an error.
use super::file::words;
use crate::error::{Error, Kind};
use crate::model::doc::{Fault, Text};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest manifest that is read.
pub const LARGEST: u64 = 64 << 20;
/// All manifests together: somebody's `--policies /` must not fill the memory.
const ALL: u64 = 512 << 20;
/// Entries of folders looked at.
const ENTRIES: usize = 200_000;
/// Folders within folders.
const DEPTH: usize = 64;
const NO_MANIFEST: &str = "no manifest (*.yaml, *.yml, *.json) is in this folder or below";

/// What was found.
#[derive(Debug, Default)]
pub struct Manifests {
    pub texts: Vec<Arc<Text>>,
    pub faults: Vec<Fault>,
}

/// Reads files, folders (`*.yaml`, `*.yml`, `*.json` in them and below, sorted by path; hidden ones are left out) and `-`.
/// A file that is reached twice is read once.
pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Manifests, Error> {
    let Listed { files, mut faults } = list(paths)?;
    let mut reader = Reader::default();
    for path in &files {
        match path == Path::new("-") {
            true => reader.read("-".to_owned(), io::stdin().lock()),
            false => reader.file(path),
        }
    }
    faults.append(&mut reader.found.faults);
    Ok(Manifests { faults, ..reader.found })
}

/// The text of one file, or why there is none.
pub fn read(path: &Path) -> Result<Arc<Text>, Fault> {
    let mut reader = Reader::default();
    reader.file(path);
    let nothing = || Fault { file: path.display().to_string(), line: 1, what: "nothing can be read".to_owned() };
    reader.found.texts.pop().ok_or_else(|| reader.found.faults.pop().unwrap_or_else(nothing))
}

/// Which files there are, in the order in which they are read.
#[derive(Debug, Default)]
pub struct Listed {
    pub files: Vec<PathBuf>,
    faults: Vec<Fault>,
}

impl Listed {
    /// Whether a file may be there all the same: it, or a folder above it, could not be looked at.
    pub fn may_hide(&self, path: &Path) -> bool {
        self.faults.iter().any(|f| f.what != NO_MANIFEST && path.starts_with(&f.file))
    }
}

/// Finds the files without opening them.
pub fn list<P: AsRef<Path>>(paths: &[P]) -> Result<Listed, Error> {
    let mut walk = Walk::default();
    for path in paths {
        walk.named(path.as_ref())?;
    }
    Ok(walk.found)
}

#[derive(Default)]
struct Walk {
    found: Listed,
    /// Real paths of files and folders seen, against links that lead in circles or twice to one file.
    seen: HashSet<PathBuf>,
    entries: usize,
}

#[derive(Default)]
struct Reader {
    found: Manifests,
    bytes: u64,
}

impl Walk {
    fn named(&mut self, path: &Path) -> Result<(), Error> {
        if path == Path::new("-") {
            if self.seen.insert(path.to_owned()) {
                self.found.files.push(path.to_owned());
            }
            return Ok(());
        }
        let meta = fs::metadata(path).map_err(|e| {
            let error = Error::new(Kind::Input, format!("cannot read policies from {}", path.display())).cause(words(&e));
            if e.kind() == io::ErrorKind::NotFound { error.hint("--policies takes a file, a folder or -") } else { error }
        })?;
        if !meta.is_dir() {
            self.file(path);
            return Ok(());
        }
        let before = self.found.files.len() + self.found.faults.len();
        let new = self.folder(path, 0);
        if new && before == self.found.files.len() + self.found.faults.len() {
            self.fault(path, 1, NO_MANIFEST);
        }
        Ok(())
    }

    /// `false` if the folder was read before.
    fn folder(&mut self, path: &Path, depth: usize) -> bool {
        match fs::canonicalize(path) {
            Ok(real) => {
                if !self.seen.insert(real) {
                    return false;
                }
            }
            Err(e) => {
                self.fault(path, 1, words(&e));
                return true;
            }
        }
        if depth > DEPTH {
            self.fault(path, 1, format!("folders deeper than {DEPTH} are not read"));
            return true;
        }
        let listed = fs::read_dir(path).and_then(|entries| {
            let mut paths = Vec::new();
            for entry in entries {
                paths.push(entry?.path());
                if self.entries + paths.len() > ENTRIES {
                    break;
                }
            }
            Ok(paths)
        });
        let mut paths = match listed {
            Ok(paths) => paths,
            Err(e) => {
                self.fault(path, 1, words(&e));
                return true;
            }
        };
        paths.sort();
        for path in paths {
            self.entries += 1;
            if self.entries > ENTRIES {
                if self.entries == ENTRIES + 1 {
                    self.fault(&path, 1, format!("more than {ENTRIES} files and folders; the rest is not read"));
                }
                return true;
            }
            // Hidden: `.git`, editors' copies, and `..data`, through which a mounted ConfigMap shows each file twice.
            if path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    self.folder(&path, depth + 1);
                }
                // A pipe or device in a folder would block us, or never end.
                Ok(meta) if is_manifest(&path) && meta.is_file() => self.file(&path),
                Ok(_) => {}
                Err(e) if is_manifest(&path) => self.fault(&path, 1, words(&e)),
                Err(_) => {}
            }
        }
        true
    }

    fn file(&mut self, path: &Path) {
        if let Ok(real) = fs::canonicalize(path)
            && !self.seen.insert(real)
        {
            return;
        }
        self.found.files.push(path.to_owned());
    }

    fn fault(&mut self, path: &Path, line: u32, what: impl Into<String>) {
        self.found.faults.push(Fault { file: path.display().to_string(), line, what: what.into() });
    }
}

impl Reader {
    fn file(&mut self, path: &Path) {
        match fs::File::open(path) {
            Ok(file) => self.read(path.display().to_string(), file),
            Err(e) => self.found.faults.push(Fault { file: path.display().to_string(), line: 1, what: words(&e) }),
        }
    }

    fn read(&mut self, name: String, from: impl Read) {
        let mut bytes = Vec::new();
        if let Err(e) = from.take(LARGEST + 1).read_to_end(&mut bytes) {
            self.found.faults.push(Fault { file: name, line: 1, what: words(&e) });
            return;
        }
        let size = bytes.len() as u64;
        if size > LARGEST {
            let what = format!("larger than {} MiB; not read", LARGEST >> 20);
            self.found.faults.push(Fault { file: name, line: 1, what });
            return;
        }
        if self.bytes + size > ALL {
            let what = format!("more than {} MiB of manifests; this one is not read", ALL >> 20);
            self.found.faults.push(Fault { file: name, line: 1, what });
            return;
        }
        match String::from_utf8(bytes) {
            Ok(body) => {
                self.bytes += size;
                self.found.texts.push(Arc::new(Text { file: name, body }));
            }
            Err(e) => {
                let (bytes, good) = (e.as_bytes(), e.utf8_error().valid_up_to());
                let line = 1 + memchr::memchr_iter(b'\n', &bytes[..good]).count();
                let what = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
                    "UTF-16 text; manifests are UTF-8"
                } else {
                    "not UTF-8 text"
                };
                self.found.faults.push(Fault { file: name, line: u32::try_from(line).unwrap_or(u32::MAX), what: what.to_owned() });
            }
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["yaml", "yml", "json"].iter().any(|x| e.eq_ignore_ascii_case(x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(m: &Manifests, root: &Path) -> Vec<String> {
        m.texts.iter().map(|t| t.file.trim_start_matches(&format!("{}/", root.display())).to_owned()).collect()
    }

    #[test]
    fn folders_are_read_sorted_and_other_files_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for name in ["z.yaml", "a.yml", "b/1.json", "b/c/2.YAML", "b/README.md", ".git/x.yaml", "notes.yaml.bak"] {
            fs::write(root.join(name), name).unwrap();
        }
        let m = load(&[root]).unwrap();
        assert_eq!(names(&m, root), ["a.yml", "b/1.json", "b/c/2.YAML", "z.yaml"]);
        assert_eq!(m.texts[0].body, "a.yml");
        assert!(m.faults.is_empty());
        let twice = load(&[root.join("z.yaml"), root.to_owned(), root.join("b")]).unwrap();
        assert_eq!(names(&twice, root), ["z.yaml", "a.yml", "b/1.json", "b/c/2.YAML"]);
        assert_eq!(load(&[root.join("b/README.md")]).unwrap().texts.len(), 1, "a named file is read whatever its name");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/p.yaml"), "x").unwrap();
        std::os::unix::fs::symlink(root, root.join("a/up")).unwrap();
        std::os::unix::fs::symlink("gone.yaml", root.join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink(root.join("a/p.yaml"), root.join("z.yaml")).unwrap();
        let m = load(&[root]).unwrap();
        assert_eq!(names(&m, root), ["a/p.yaml"]);
        assert_eq!(m.faults.len(), 1);
        assert!(m.faults[0].file.ends_with("dangling.yaml"), "{:?}", m.faults);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("latin.yaml"), b"a: 1\nb: 2\nc: \xe9\n").unwrap();
        fs::write(root.join("wide.yaml"), b"\xff\xfea\0").unwrap();
        let big = fs::File::create(root.join("big.yaml")).unwrap();
        big.set_len(LARGEST + 1).unwrap();
        fs::write(root.join("good.yaml"), "kind: X").unwrap();
        let m = load(&[root]).unwrap();
        assert_eq!(names(&m, root), ["good.yaml"]);
        let faults: Vec<_> = m.faults.iter().map(|f| (f.line, f.what.as_str())).collect();
        assert_eq!(faults, [(1, "larger than 64 MiB; not read"), (3, "not UTF-8 text"), (1, "UTF-16 text; manifests are UTF-8")]);
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error_and_an_empty_folder_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let e = load(&[dir.path().join("none")]).unwrap_err();
        assert_eq!((e.kind, e.cause.as_deref()), (Kind::Input, Some("no such file or folder")));
        assert_eq!(load(&[dir.path()]).unwrap().faults.len(), 1);
    }
}
