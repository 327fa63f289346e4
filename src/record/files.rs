//! The files of a recording on the disk: one, or segments with numbers, of which a ring drops the oldest.
//!
//! Owns names, sizes and modes. Must not know what is written. Nothing that is there already is overwritten.
use super::set;
use crate::error::{Error, Kind};
use crate::model::time::Nanos;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How much is kept, in which files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// One file, as large as it gets.
    #[default]
    One,
    /// `FILE.0001` and on: the next begins when one has so many bytes, or spans so many nanoseconds.
    Segments { size: Option<u64>, age: Option<i64> },
    /// Segments of at most so many bytes together.
    Ring(u64),
}

/// A ring is cut into so many segments: that much of it is lost at once when its tail is dropped.
const PARTS: u64 = 16;
/// Lines that are packed together at most.
const MEMBER: u64 = 4 << 20;
/// A segment is so many times as large as the cluster's state that it begins with, and in a segment the state is said again only after
/// so many times its size: else a large cluster's recording would be little but its state.
pub const DEAR: u64 = 4;

#[derive(Debug)]
pub struct Files {
    base: PathBuf,
    keep: Keep,
    file: File,
    path: PathBuf,
    number: u32,
    /// Of the file that is being written.
    size: u64,
    /// How much of a segment is the cluster's state that it begins with.
    state: u64,
    began: Nanos,
    older: VecDeque<(PathBuf, u64)>,
    /// Of all that were written.
    pub written: u64,
    /// Segments that the ring has dropped.
    pub dropped: u64,
}

impl Files {
    pub fn open(base: &Path, keep: Keep, now: Nanos) -> Result<Self, Error> {
        let failed = |path: &Path, e: &io::Error| {
            let error = Error::new(Kind::Output, format!("cannot record to {}", path.display())).cause(super::writer::words(e));
            match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    error.hint("choose another name, or remove it; --ring and --max-size go on after what is there")
                }
                io::ErrorKind::NotFound => error.hint("is there such a folder?"),
                _ => error,
            }
        };
        let taken = || {
            Error::new(Kind::Output, format!("cannot record to {}", base.display()))
                .cause("another flowhy records to it")
                .hint("choose another name, or end the other one")
        };
        let (mut number, mut older) = (0, VecDeque::new());
        if keep != Keep::One {
            for (n, path) in set::segments(base) {
                let size = std::fs::metadata(&path).map_or(0, |m| m.len());
                older.push_back((path, size));
                number = n;
            }
            if older.back().is_some_and(|(path, _)| is_being_written(path)) {
                return Err(taken());
            }
            number += 1;
        }
        let path = if keep == Keep::One { base.to_owned() } else { set::segment(base, number) };
        let file = create(&path).map_err(|e| match e.kind() {
            // It was not there a moment ago.
            io::ErrorKind::AlreadyExists if keep != Keep::One => taken(),
            _ => failed(&path, &e),
        })?;
        Ok(Self { base: base.to_owned(), keep, file, path, number, size: 0, state: 0, began: now, older, written: 0, dropped: 0 })
    }

    /// Whether how large the cluster's state is decides where a segment ends: then it is put by itself, as [`Files::put_state`] has it.
    pub fn weighs(&self) -> bool {
        matches!(self.keep, Keep::Ring(_))
    }

    /// Whether segments may follow each other.
    pub fn is_one_of_many(&self) -> bool {
        self.keep != Keep::One
    }

    /// The cluster's state, at the beginning of a segment.
    pub fn put_state(&mut self, member: &[u8]) -> io::Result<()> {
        self.state = member.len() as u64;
        if let Keep::Ring(most) = self.keep
            && self.state > most / 4
        {
            let (state, room) = (bytes(self.state), bytes(2 * DEAR * self.state));
            return Err(io::Error::other(format!(
                "the cluster's state alone takes {state} of each segment; a ring of {room} has room for flows, too"
            )));
        }
        self.put(member, |_| 0).map_err(|(e, _)| e)
    }

    /// Bytes of lines after which a member is closed.
    pub fn member(&self) -> usize {
        let most = match self.keep {
            Keep::Ring(size) => (size / PARTS).min(MEMBER),
            Keep::Segments { size: Some(size), .. } => size.min(MEMBER),
            _ => MEMBER,
        };
        usize::try_from(most).unwrap_or(usize::MAX).max(4096)
    }

    /// Appends; of a ring, the oldest segments make room first. Of a write that breaks off only as many bytes stay as `whole` says of those
    /// that were written, so that the file does not end in the middle of something; the error comes with their number.
    pub fn put(&mut self, member: &[u8], whole: fn(&[u8]) -> usize) -> Result<(), (io::Error, usize)> {
        let more = member.len() as u64;
        if let Keep::Ring(most) = self.keep {
            let mut held = self.size + more + self.older.iter().map(|(_, n)| n).sum::<u64>();
            while held > most
                && let Some((path, size)) = self.older.pop_front()
            {
                match std::fs::remove_file(&path) {
                    Ok(()) => self.dropped += 1,
                    // Somebody tidied up.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err((e, 0)),
                }
                held -= size;
            }
        }
        let (done, ended) = self.write(member);
        let kept = if ended.is_ok() { done } else { whole(member.get(..done).unwrap_or_default()) };
        self.size += kept as u64;
        self.written += kept as u64;
        ended.map_err(|e| {
            let _ = self.file.set_len(self.size);
            (e, kept)
        })
    }

    /// How many bytes went to the disk, and why not all.
    fn write(&mut self, member: &[u8]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while let Some(rest) = member.get(done..).filter(|r| !r.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (done, Err(e)),
            }
        }
        (done, Ok(()))
    }

    /// Whether what comes next belongs into the next segment.
    pub fn is_full(&self, now: Nanos) -> bool {
        match self.keep {
            Keep::One => false,
            Keep::Segments { size, age } => {
                size.is_some_and(|most| self.size >= most) || age.is_some_and(|most| now.since(self.began) >= most)
            }
            Keep::Ring(most) => self.size >= (most / PARTS).max(DEAR * self.state).min(most / 2),
        }
    }

    /// Begins the next segment.
    pub fn turn(&mut self, now: Nanos) -> io::Result<()> {
        let path = set::segment(&self.base, self.number + 1);
        self.file = create(&path)?;
        self.older.push_back((std::mem::replace(&mut self.path, path), self.size));
        (self.number, self.size, self.state, self.began) = (self.number + 1, 0, 0, now);
        Ok(())
    }
}

/// A file that was not there before, for its owner alone; locked as long as it is written.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // Elsewhere a lock would keep readers out; and a disk that knows none is written all the same.
    if cfg!(unix) {
        let _ = file.try_lock();
    }
    Ok(file)
}

/// `~/x` as a shell has it: what is typed on the screen passes none.
pub fn expanded(path: &Path) -> PathBuf {
    let home = || std::env::var_os("HOME").filter(|h| !h.is_empty());
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// A text as a new file: whole or not at all. An error in a person's words.
pub fn whole(path: &Path, text: &str) -> Result<(), String> {
    let path = expanded(path);
    let said = |e: &io::Error| super::writer::words(e);
    let mut file = create(&path).map_err(|e| said(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| {
        let _ = std::fs::remove_file(&path);
        said(&e)
    })
}

fn is_being_written(path: &Path) -> bool {
    cfg!(unix) && File::open(path).is_ok_and(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock)))
}

/// `1.2 MiB`.
pub fn bytes(n: u64) -> String {
    let mut size = n as f64;
    let mut unit = "bytes";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "bytes" { format!("{n} bytes") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut all: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_ring_stays_within_its_size_and_goes_on_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("r");
        let put = |n: usize| {
            let mut f = Files::open(&base, Keep::Ring(16_000), Nanos(0)).unwrap();
            for _ in 0..n {
                f.put(&[b'x'; 400], |_| 0).unwrap();
                if f.is_full(Nanos(0)) {
                    f.turn(Nanos(0)).unwrap();
                }
                let held: u64 = names(dir.path()).iter().map(|n| dir.path().join(n).metadata().unwrap().len()).sum();
                assert!(held <= 16_000, "{held}");
            }
            f.dropped
        };
        assert_eq!(put(10), 0);
        let before = names(dir.path());
        assert_eq!((before.first().unwrap().as_str(), before.len()), ("r.0001", 4));
        assert!(put(100) > 0);
        let after = names(dir.path());
        assert!(after.first().unwrap().as_str() > "r.0004" && after.len() <= 16, "{after:?}");
    }

    #[test]
    fn segments_of_a_ring_are_worth_the_state_that_they_begin_with() {
        let dir = tempfile::tempdir().unwrap();
        let mut f = Files::open(&dir.path().join("r"), Keep::Ring(16_000), Nanos(0)).unwrap();
        f.put_state(&[b'x'; 900]).unwrap();
        for _ in 0..27 {
            assert!(!f.is_full(Nanos(0)), "{}", f.size);
            f.put(&[b'x'; 100], |_| 0).unwrap();
        }
        assert!(f.is_full(Nanos(0)));
        f.turn(Nanos(0)).unwrap();
        // A state that would be half of every segment is refused, and the ring keeps what it has.
        let e = f.put_state(&[b'x'; 4_001]).unwrap_err().to_string();
        assert_eq!(e, "the cluster's state alone takes 3.9 KiB of each segment; a ring of 31.3 KiB has room for flows, too");
        assert_eq!(f.dropped, 0);
    }

    #[cfg(unix)]
    #[test]
    fn two_do_not_write_one_ring() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("r");
        let mut first = Files::open(&base, Keep::Ring(16_000), Nanos(0)).unwrap();
        let refused = || Files::open(&base, Keep::Ring(16_000), Nanos(0)).unwrap_err().cause.unwrap();
        assert_eq!(refused(), "another flowhy records to it");
        first.turn(Nanos(0)).unwrap();
        assert_eq!(refused(), "another flowhy records to it");
        drop(first);
        assert_eq!(Files::open(&base, Keep::Ring(16_000), Nanos(0)).unwrap().number, 3);
    }

    #[cfg(unix)]
    #[test]
    fn an_exported_text_is_the_owners_alone_and_nothing_is_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        whole(&path, "a,b\n").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(whole(&path, "c"), Err("the file exists".to_owned()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n");
        assert_eq!(whole(&dir.path().join("none/x.csv"), "c"), Err("no such file or folder".to_owned()));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_the_owners_alone_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("one.jsonl");
        Files::open(&base, Keep::One, Nanos(0)).unwrap();
        assert_eq!(base.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = Files::open(&base, Keep::One, Nanos(0)).unwrap_err();
        assert!(again.hint.unwrap().contains("another name"));
        let aged = Files::open(&base, Keep::Segments { size: None, age: Some(5) }, Nanos(0)).unwrap();
        assert!(!aged.is_full(Nanos(4)) && aged.is_full(Nanos(5)));
    }
}
