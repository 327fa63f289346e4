//! What the screen keeps from one session to the next: settings and named filters in the configuration file, used filters in the state
//! folder. Without a place for them nothing is kept; that is an error only where somebody asked for it.
use super::{config, session};
use crate::config as settings;
use crate::error::Error;
use crate::tui;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Whose history is that of every recording and of the demo.
pub const RECORDINGS: &str = "recordings";
/// Filters of a history; older ones are forgotten.
const MOST: usize = 200;
/// Of a history that has grown beyond this many bytes the newest are read, and it is written anew.
const LONGEST: u64 = 1 << 20;
/// Histories of contexts; the ones used least recently go.
const CONTEXTS: usize = 50;

pub struct Desk {
    /// The configuration file, where another one is named.
    file: Option<PathBuf>,
    history: Option<PathBuf>,
}

impl Desk {
    /// `of`: whose history it is; `None`: none is kept.
    pub fn new(file: Option<PathBuf>, of: Option<&str>) -> Self {
        let history = of.and_then(|of| Some(session::state()?.join("history").join(name(of))));
        Self { file, history }
    }

    /// Filters of earlier sessions, the newest last, each once.
    pub fn history(&self) -> Vec<String> {
        let Some(path) = &self.history else { return Vec::new() };
        let (text, cut) = tail(path).unwrap_or_default();
        let kept = newest(&text);
        if cut || kept.len() < text.lines().count() {
            // Nothing is lost but repetitions and what is too old.
            let _ = whole(path, &kept);
        }
        kept
    }
}

/// The last [`LONGEST`] bytes of a file, from the first whole line on, and whether there are more.
fn tail(path: &Path) -> std::io::Result<(String, bool)> {
    let mut file = fs::File::open(path)?;
    let over = file.metadata()?.len().saturating_sub(LONGEST);
    file.seek(SeekFrom::Start(over))?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if over > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Ok((whole.to_owned(), over > 0))
}

/// A file's name for a context, which may be any text.
fn name(of: &str) -> String {
    of.chars().take(100).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}

/// Each line once, where it stands last; the newest [`MOST`].
fn newest(text: &str) -> Vec<String> {
    let mut out: Vec<&str> = Vec::new();
    for line in text.lines().rev().map(str::trim).filter(|l| !l.is_empty() && !l.contains(char::is_control)) {
        if out.len() == MOST {
            break;
        }
        if !out.contains(&line) {
            out.push(line);
        }
    }
    out.into_iter().rev().map(str::to_owned).collect()
}

/// What somebody looked for is nobody else's business.
fn open(path: &Path, options: &mut fs::OpenOptions) -> std::io::Result<fs::File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

fn whole(path: &Path, lines: &[String]) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}", std::process::id()));
    let mut file = open(&beside, fs::OpenOptions::new().write(true).truncate(true))?;
    file.write_all(lines.iter().map(|l| format!("{l}\n")).collect::<String>().as_bytes())?;
    fs::rename(beside, path)
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent()
        && !path.exists()
    {
        session::private(folder)?;
        forget(folder, CONTEXTS - 1);
    }
    let mut file = open(path, fs::OpenOptions::new().append(true))?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// Leaves the histories that were used last.
fn forget(folder: &Path, most: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut all: Vec<_> = entries.flatten().filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect();
    all.sort();
    let over = all.len().saturating_sub(most);
    for (_, path) in all.into_iter().take(over) {
        let _ = fs::remove_file(path);
    }
}

impl tui::Desk for Desk {
    fn write(&mut self, all: &[(&'static str, Vec<String>)]) -> Result<String, Error> {
        let path = config::write(self.file.as_deref(), |path, text| {
            all.iter().try_fold(text.to_owned(), |text, (key, values)| settings::changed(path, &text, settings::Spec::named(key)?, values))
        })?;
        Ok(path.display().to_string())
    }

    fn keep(&mut self, name: &str, filter: &str) -> Result<String, Error> {
        let path = config::write(self.file.as_deref(), |path, text| settings::with_filter(path, text, name, filter))?;
        Ok(path.display().to_string())
    }

    fn remember(&mut self, filter: &str) {
        if let Some(path) = &self.history {
            // A disk that is full takes the history, not the session.
            let _ = append(path, filter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::Desk as _;

    #[test]
    fn filters_are_found_again_newest_last_each_once_and_by_nobody_else() {
        let folder = std::env::temp_dir().join(format!("flowhy-desk-{}", std::process::id()));
        let path = folder.join("history").join(name("gke_a/b:c"));
        assert!(path.ends_with("gke_a_b_c"));
        let mut desk = Desk { file: None, history: Some(path.clone()) };
        assert!(desk.history().is_empty());
        for f in ["ns:a", "ns:b", "ns:a"] {
            desk.remember(f);
        }
        assert_eq!(desk.history(), ["ns:b", "ns:a"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        (0..300).for_each(|i| desk.remember(&format!("port:{i}")));
        let kept = desk.history();
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (MOST, Some("port:299")));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MOST, "what is too old is gone from the disk too");
        // However long it has become, its end is read and the rest goes.
        fs::write(&path, format!("ns:old\n{}\nns:new\n", "x".repeat(2 * LONGEST as usize))).unwrap();
        assert_eq!(desk.history(), ["ns:new"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "ns:new\n");
        forget(&folder.join("history"), 0);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn without_a_place_nothing_is_kept_and_nothing_fails() {
        let mut desk = Desk { file: None, history: None };
        desk.remember("ns:a");
        assert!(desk.history().is_empty());
    }

    #[test]
    fn settings_go_to_the_file_that_is_named() {
        let path = std::env::temp_dir().join(format!("flowhy-desk-{}.toml", std::process::id()));
        let mut desk = Desk { file: Some(path.clone()), history: None };
        desk.write(&[("columns", vec!["time,to".to_owned()]), ("theme", vec!["dark".to_owned()])]).unwrap();
        desk.keep("dns", "port:53").unwrap();
        desk.write(&[("columns", Vec::new())]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "theme = \"dark\"\n\n[filters]\ndns = \"port:53\"\n");
        fs::remove_file(&path).unwrap();
    }
}
