//! Which files are one recording: `FILE.0001`, `FILE.0002`, … belong together, in the order of their numbers.
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Digits of a segment's number at least.
const DIGITS: usize = 4;

/// The name of a segment.
pub fn segment(base: &Path, number: u32) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{number:0DIGITS$}"));
    PathBuf::from(name)
}

/// `FILE.0007` → (`FILE`, 7).
fn split(path: &str) -> Option<(&str, u32)> {
    let (base, digits) = path.rsplit_once('.')?;
    let numbered = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) && !base.is_empty();
    if numbered { Some((base, digits.parse().ok()?)) } else { None }
}

/// Whether a file is one of several, by its name.
pub fn is_segment(path: &str) -> bool {
    split(path).is_some()
}

/// The segments that lie on the disk, in order. What cannot be listed has none.
pub fn segments(base: &Path) -> BTreeMap<u32, PathBuf> {
    let folder = match base.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let Some(name) = base.file_name().and_then(OsStr::to_str) else { return BTreeMap::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let number = |file: &OsStr| split(file.to_str()?).filter(|(b, _)| *b == name).map(|(_, n)| n);
    entries.flatten().filter_map(|e| Some((number(&e.file_name())?, base.with_file_name(e.file_name())))).collect()
}

/// Whether the paths, by their names, can only mean one recording.
pub fn is_one(paths: &[String]) -> bool {
    let base = |p: &String| split(p).map_or_else(|| p.clone(), |(b, _)| b.to_owned());
    paths.first().map(base).is_some_and(|first| paths.len() == 1 || paths.iter().all(|p| split(p).is_some() && base(p) == first))
}

/// The recordings that are meant, each as its files in order. A path that is no file but has segments means those; segments that are
/// given one by one are brought together.
pub fn recordings(paths: &[String]) -> Vec<Vec<String>> {
    let mut out: Vec<(String, Vec<(u32, String)>)> = Vec::new();
    for path in paths {
        let text = |p: PathBuf| p.to_string_lossy().into_owned();
        let (base, files) = match split(path) {
            Some((base, number)) => (base.to_owned(), vec![(number, path.clone())]),
            None if path == "-" || Path::new(path).exists() => (path.clone(), vec![(0, path.clone())]),
            None => {
                let found: Vec<_> = segments(Path::new(path)).into_iter().map(|(n, p)| (n, text(p))).collect();
                // A name of nothing is told by whoever opens it.
                (path.clone(), if found.is_empty() { vec![(0, path.clone())] } else { found })
            }
        };
        match out.iter_mut().find(|(b, _)| *b == base && *b != "-") {
            Some((_, all)) => all.extend(files),
            None => out.push((base, files)),
        }
    }
    for (_, files) in &mut out {
        files.sort_by_key(|(n, _)| *n);
        files.dedup();
    }
    out.into_iter().map(|(_, files)| files.into_iter().map(|(_, p)| p).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_belong_together_whoever_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        for name in ["a.zst.0002", "a.zst.0010", "a.zst.0001", "b.jsonl", "b.jsonl.0001", "a.zst.1", "a.zst.0001.bak"] {
            std::fs::write(at(name), "").unwrap();
        }
        let all = vec![at("a.zst.0001"), at("a.zst.0002"), at("a.zst.0010")];
        assert_eq!(recordings(&[at("a.zst")]), vec![all.clone()]);
        assert_eq!(recordings(&[at("a.zst.0010"), at("a.zst.0001"), at("a.zst.0002"), at("a.zst.0002")]), vec![all]);
        assert_eq!(recordings(&[at("b.jsonl"), "-".into()]), [vec![at("b.jsonl")], vec!["-".to_owned()]]);
        assert_eq!(recordings(&[at("none")]), [vec![at("none")]]);
        assert_eq!(segment(Path::new("x/a.gz"), 12_345), Path::new("x/a.gz.12345"));
    }
}
