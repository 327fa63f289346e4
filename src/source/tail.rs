//! The last time of a recording, read from the file's end: what a player says it will come to.
//!
//! Owns that one look. A packed file has to be read as a whole to know it: then nobody knows until that was done.
use super::file::Packed;
use crate::model::time::Nanos;
use crate::wire::clock::time_of;
use crate::world::line;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

/// How much of the end is looked at: lines of flows are shorter than a hundredth of it.
const TAIL: u64 = 256 << 10;

/// The latest time of the last lines of a plain file; `None` where it is packed, no file, or has none.
pub fn last_time(path: &str, packed: Packed) -> Option<Nanos> {
    if packed != Packed::Plain {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let from = meta.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let whole = if from == 0 { &bytes[..] } else { bytes.get(memchr::memchr(b'\n', &bytes)? + 1..)? };
    // The state of a snapshot is as old as it is; where it stands says nothing of the time.
    whole.split(|b| *b == b'\n').filter(|l| line::inside(l).is_none()).filter_map(time_of).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_plain_recording_is_known_before_it_is_read() {
        let path = std::env::temp_dir().join(format!("flowhy-tail-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let line = |s: i64| format!("{{\"flow\":{{}},\"time\":\"{}\"}}\n", Nanos(s * Nanos::SECOND));
        let at = |s: i64| Some(Nanos(s * Nanos::SECOND));
        // Longer than what is looked at; lines of several nodes are not quite in order, and the last one is torn.
        let all: String = (0..20_000).map(line).collect();
        std::fs::write(&path, all + &line(20_001) + &line(20_000) + "{\"flow\":{},\"ti").unwrap();
        assert_eq!(last_time(name, Packed::Plain), at(20_001));
        assert_eq!(last_time(name, Packed::Gzip), None);
        std::fs::write(&path, line(7)).unwrap();
        assert_eq!(last_time(name, Packed::Plain), at(7));
        for empty in ["", "no time\n"] {
            std::fs::write(&path, empty).unwrap();
            assert_eq!(last_time(name, Packed::Plain), None);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(last_time(name, Packed::Plain), None);
    }
}
