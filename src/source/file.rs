//! Recorded flows from files and standard input: plain, gzip or zstd, told apart by their first bytes, not by their names.
//!
//! Owns opening and decompression: a file is looked at when it is named, and opened again when its turn comes, because a set may have more
//! files than a process may hold open. Must not decode a line.
use super::lines::Lines;
use crate::error::{Error, Kind};
use crate::model::input::{Codec, Frame};
use crate::model::time::Nanos;
use crate::record::set;
use crate::world::line;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A zstd frame may ask for a window of 2 GiB; zstd's own tool refuses more than 128 MiB, and so do we.
const ZSTD_WINDOW_LOG: u32 = 27;

/// So much of a recording is looked into for what it tells of a cluster: a state comes first, or after the first flows.
const LOOKED_INTO: u64 = 64 << 10;

/// The bytes of a recording, unpacked, before they are cut into lines.
pub struct Opened {
    /// The path as given, `-` for standard input.
    pub name: Arc<str>,
    pub from: Box<dyn Read + Send>,
    /// Whether a read may block for long: then what has been read is handed on first.
    pub live: bool,
    pub how: How,
    /// The bytes of the file as it lies on the disk, where that is known.
    pub size: Option<u64>,
    /// How many of them have been read.
    pub taken: Arc<AtomicU64>,
}

/// An opened recording, line by line.
pub struct Recording {
    name: Arc<str>,
    lines: Lines<Box<dyn Read + Send>>,
    live: bool,
    how: How,
    /// The last line was one that cannot be handed over.
    broken: bool,
}

/// What an error of reading means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    pub packed: Packed,
    /// One of the files of a recording.
    pub segment: bool,
}

impl How {
    /// Why the end was not reached, in words.
    pub fn why(self, e: &io::Error) -> String {
        self.packed.why(e)
    }

    /// Whether the others are read on as if this one ended here: a recorder that was killed leaves a torn segment and begins the next one,
    /// and a ring drops its oldest while it is read.
    pub fn is_loss(self, e: &io::Error) -> bool {
        self.segment && matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
    }
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    Plain,
    Gzip,
    Zstd,
}

impl Packed {
    /// Why the end was not reached, in words.
    pub fn why(self, e: &io::Error) -> String {
        match (self, e.kind()) {
            (Self::Gzip, io::ErrorKind::UnexpectedEof) => "unexpected end of file: the gzip data is cut off".to_owned(),
            (Self::Zstd, io::ErrorKind::UnexpectedEof) => "unexpected end of file: the zstd data is cut off".to_owned(),
            (Self::Gzip, _) => format!("damaged gzip data: {}", words(e)),
            (Self::Zstd, _) => format!("damaged zstd data: {}", words(e)),
            (Self::Plain, _) => words(e),
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(to)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl Opened {
    /// Opens a file, or standard input for `-`. A missing file or a folder is an error at once; damage is found on reading.
    pub fn open(path: &str) -> Result<Self, Error> {
        if path == "-" {
            return Self::reader("-", Box::new(io::stdin()), true);
        }
        let failed = |e: &io::Error| {
            let error = Error::new(Kind::Input, format!("cannot read {path}")).cause(words(e));
            match e.kind() {
                io::ErrorKind::NotFound => error.hint("is the path right? relative paths start at the current folder"),
                io::ErrorKind::PermissionDenied => error.hint("may this user read it? see ls -l"),
                _ => error,
            }
        };
        let file = File::open(path).map_err(|e| failed(&e))?;
        let meta = file.metadata().map_err(|e| failed(&e))?;
        if meta.is_dir() {
            return Err(Error::new(Kind::Input, format!("cannot read {path}"))
                .cause("it is a folder, not a recording")
                .hint("give the file itself; folders are for --policies"));
        }
        if !meta.is_file() {
            return Self::reader(path, Box::new(file), true);
        }
        let taken = Arc::new(AtomicU64::new(0));
        let packed = sniffed(&mut &file).map_err(|e| failed(&e))?.0;
        let how = How { packed, segment: set::is_segment(path) };
        let from = Box::new(Later { path: path.to_owned(), taken: taken.clone(), from: None });
        Ok(Self { name: path.into(), from, live: false, how, size: Some(meta.len()), taken })
    }

    /// A recording from any reader.
    pub fn reader(name: &str, from: Box<dyn Read + Send>, live: bool) -> Result<Self, Error> {
        let taken = Arc::new(AtomicU64::new(0));
        let (from, packed) =
            unpacked(from, taken.clone()).map_err(|e| Error::new(Kind::Input, format!("cannot read {name}")).cause(words(&e)))?;
        Ok(Self { name: name.into(), from, live, how: How { packed, segment: false }, size: None, taken })
    }
}

/// Whether recordings begin with what a cluster had at the time, as a recorder writes it. A pipe cannot be looked into beforehand.
pub fn tell_of_a_cluster(paths: &[String]) -> bool {
    let first = set::recordings(paths).into_iter().filter_map(|files| files.into_iter().next());
    first.filter(|p| std::fs::metadata(p).is_ok_and(|m| m.is_file())).any(|p| {
        let mut begin = Vec::new();
        let read = Opened::open(&p).map(|o| o.from.take(LOOKED_INTO).read_to_end(&mut begin));
        read.is_ok() && begin.split(|b| *b == b'\n').any(|l| l.starts_with(line::BEGIN))
    })
}

/// A file that is opened when its first byte is asked for.
struct Later {
    path: String,
    taken: Arc<AtomicU64>,
    from: Option<Box<dyn Read + Send>>,
}

impl Read for Later {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let from = match &mut self.from {
            Some(from) => from,
            none => none.insert(unpacked(Box::new(File::open(&self.path)?), self.taken.clone())?.0),
        };
        from.read(to)
    }
}

/// The first bytes, and what they say.
fn sniffed(from: &mut dyn Read) -> io::Result<(Packed, Vec<u8>)> {
    let mut magic = [0; 4];
    let mut n = 0;
    // A plain pipe's first line may be shorter than any magic number; it tells by its first byte already.
    while n < magic.len() && looks_packed(&magic[..n]) {
        match from.read(&mut magic[n..]) {
            Ok(0) => break,
            Ok(k) => n = (n + k).min(magic.len()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((packed(&magic[..n]), magic[..n].to_vec()))
}

pub(super) fn unpacked(from: Box<dyn Read + Send>, taken: Arc<AtomicU64>) -> io::Result<(Box<dyn Read + Send>, Packed)> {
    let mut from = Counted { from, taken };
    let (packed, begin) = sniffed(&mut from)?;
    let whole = io::Cursor::new(begin).chain(from);
    let from: Box<dyn Read + Send> = match packed {
        Packed::Plain => Box::new(whole),
        Packed::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(128 << 10, whole))),
        Packed::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok((from, packed))
}

impl Recording {
    /// Opens a file, or standard input for `-`, as [`Opened::open`] does.
    pub fn open(path: &str) -> Result<Self, Error> {
        Opened::open(path).map(Self::of)
    }

    /// A recording from any reader.
    pub fn reader(name: &str, from: Box<dyn Read + Send>, live: bool) -> Result<Self, Error> {
        Opened::reader(name, from, live).map(Self::of)
    }

    /// The latest time that stands at its end, where that can be known before it is read.
    pub fn last_time(&self) -> Option<Nanos> {
        super::tail::last_time(&self.name, self.how.packed)
    }

    fn of(o: Opened) -> Self {
        Self { name: o.name, lines: Lines::new(o.from), live: o.live, how: o.how, broken: false }
    }

    /// The path as given, `-` for standard input.
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The next line as a frame; a line that is there already does not block. `Ok(None)` at the end; `Err` says in words
    /// why the end was not reached. Of a torn segment the last frame is a broken one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        match self.lines.next_line() {
            Ok(line) => Ok(line.map(|l| self.frame(l))),
            Err(e) if self.how.is_loss(&e) && self.broken => Ok(None),
            Err(e) if self.how.is_loss(&e) => {
                let line = self.lines.number() + 1;
                let broken = Some(self.how.why(&e));
                Ok(Some(Frame { codec: Codec::HubbleJson, from: self.name.clone(), line, bytes: Bytes::new(), broken }))
            }
            Err(e) => Err(self.how.why(&e)),
        }
    }

    /// The next line if it has been read already.
    pub fn buffered_frame(&mut self) -> Option<Frame> {
        self.lines.buffered().map(|l| self.frame(l))
    }

    /// The most bytes of lines held at once so far; what a decompressor holds comes on top.
    pub fn peak(&self) -> usize {
        self.lines.peak()
    }

    /// Whether reading may block for long (a pipe, a terminal).
    pub fn is_live(&self) -> bool {
        self.live
    }

    fn frame(&mut self, line: super::lines::Line) -> Frame {
        self.broken = line.broken.is_some();
        Frame { codec: Codec::HubbleJson, from: self.name.clone(), line: line.number, bytes: line.bytes, broken: line.broken }
    }
}

fn looks_packed(start: &[u8]) -> bool {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
    let meet = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a == b);
    meet(start, GZIP)
        || meet(start, ZSTD)
        || start.first().is_none_or(|b| b & 0xf0 == 0x50) && meet(start.get(1..).unwrap_or(&[]), SKIPPABLE)
}

fn packed(start: &[u8]) -> Packed {
    match start {
        [0x1f, 0x8b, ..] => Packed::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Packed::Zstd,
        [skippable, 0x2a, 0x4d, 0x18] if skippable & 0xf0 == 0x50 => Packed::Zstd,
        _ => Packed::Plain,
    }
}

/// An I/O error as a person would say it, without the number.
pub(super) fn words(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::UnexpectedEof => "unexpected end of file".to_owned(),
        _ => {
            let text = e.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_formats_by_first_bytes() {
        assert_eq!(packed(&[0x1f, 0x8b]), Packed::Gzip);
        assert_eq!(packed(&[0x28, 0xb5, 0x2f, 0xfd]), Packed::Zstd);
        assert_eq!(packed(&[0x54, 0x2a, 0x4d, 0x18]), Packed::Zstd);
        assert_eq!(packed(b"{\"fl"), Packed::Plain);
        assert_eq!(packed(b""), Packed::Plain);
        assert!(looks_packed(b"") && looks_packed(&[0x28, 0xb5]) && !looks_packed(b"{") && !looks_packed(&[0x28, 0x29]));
    }

    #[test]
    fn a_short_plain_line_is_not_waited_on() {
        // `{` cannot be packed: one read must do, or a slow pipe's first line would wait for its second.
        struct Once(bool);
        impl Read for Once {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                assert!(!std::mem::replace(&mut self.0, true), "read twice");
                to[0] = b'{';
                Ok(1)
            }
        }
        assert!(Recording::reader("t", Box::new(Once(false)), true).is_ok());
    }

    #[test]
    fn a_folder_and_a_missing_file_are_errors_in_words() {
        let folder = Recording::open("/").err().unwrap();
        assert_eq!((folder.kind, folder.cause.as_deref()), (Kind::Input, Some("it is a folder, not a recording")));
        let missing = Recording::open("/no/such/file").err().unwrap();
        assert_eq!(missing.cause.as_deref(), Some("no such file or folder"));
        assert!(missing.hint.is_some());
    }
}
