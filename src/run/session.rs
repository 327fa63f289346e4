//! The rings of sessions: what the screen has seen, on the disk, so that `flowhy replay @last` has it.
//!
//! Owns where they lie and how many stay: this session's and the one before. Nothing here is ever an error: without a home, or with a
//! folder that cannot be written, there is no ring.
use super::record;
use crate::error::Error;
use crate::model::time::Nanos;
use crate::record::{self as tape, Ground, Keep, Recorder, set};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The name under which a person asks for it.
pub const LAST: &str = "@last";
const SIZE: u64 = 256 << 20;
const FILE: &str = "flows.jsonl.zst";
/// Locked while its session runs.
const LOCK: &str = "lock";

/// Where what is no setting lies: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn state() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    Some(var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")))?.join("flowhy"))
}

fn folder() -> Option<PathBuf> {
    Some(state()?.join("sessions"))
}

/// Sessions that have recorded something, oldest first.
fn sessions(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}

/// Begins this session's ring, on the thread that writes it, and removes those before the last one. Is called when there is a flow to
/// record: a session that saw none takes nobody's place.
pub fn begin(ground: Ground) -> Option<Recorder> {
    let folder = folder()?;
    let now: Nanos = SystemTime::now().into();
    let path = folder.join(format!("{}-{}", now.utc().format("%Y%m%dT%H%M%S%.3f"), std::process::id()));
    let file = path.join(FILE);
    let prepare = move |file: PathBuf| {
        let failed = |e: std::io::Error| Error::output("there is no ring of this session", &e);
        private(&folder).map_err(failed)?;
        clear(&folder);
        private(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|e| failed(e.into()))?;
        let options = record::options(file, Keep::Ring(SIZE), false);
        // The lock keeps others from it for as long as there is somebody to ask for the time.
        let clock = options.clock.clone();
        let held = move || {
            let _ = &lock;
            clock()
        };
        Ok(tape::Options { ground, waits: false, clock: Arc::new(held), ..options })
    };
    Some(Recorder::open(file, prepare))
}

/// Leaves the newest of the rings that are there, and those of sessions that still run.
fn clear(folder: &Path) {
    let old = sessions(folder);
    let (last, older) = old.split_last().map_or((None, &[][..]), |(l, o)| (Some(l), o));
    for path in older.iter().filter(|p| Some(*p) != last) {
        if File::open(path.join(LOCK)).is_ok_and(|f| f.try_lock().is_err()) {
            continue;
        }
        let _ = fs::remove_dir_all(path);
    }
}

pub fn private(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// `@last` among the paths becomes the newest session's ring.
pub fn resolve(paths: &mut [String]) -> Result<(), Error> {
    for path in paths.iter_mut().filter(|p| *p == LAST) {
        let newest = folder().into_iter().flat_map(|f| sessions(&f)).rev().map(|p| p.join(FILE)).find(|f| !set::segments(f).is_empty());
        *path = match newest {
            Some(file) => file.to_string_lossy().into_owned(),
            None => {
                return Err(Error::usage("there is no last session")
                    .cause("the screen records what it sees on a live server; nothing was recorded here yet")
                    .hint("flowhy replay FILE"));
            }
        };
    }
    Ok(())
}
