//! The last time of a recording, read from the file's end: what a player says it will come to.
//!
//! Owns that one look. Of a packed file it takes a member that begins near the end: a recorder of ours begins one each second, other packers
//! mostly make one of all. Then nobody knows until the file was read as a whole.
use super::file::{Packed, unpacked};
use crate::model::time::Nanos;
use crate::wire::clock::time_of;
use crate::world::line;
use std::fs::File;
use std::io::{Cursor, Read, Seek as _, SeekFrom};

/// How much of the end is looked at: lines of flows are shorter than a hundredth of it.
const TAIL: u64 = 256 << 10;
/// How much of that is looked at once it is unpacked: flows take a tenth of their room, seldom a thirtieth.
const MOST: u64 = 16 << 20;
/// Places tried: the bytes that begin a member may stand within one too.
const TRIES: usize = 16;

/// The latest time of the last lines of a file; `None` where it is no file, has none, or is packed as one.
pub fn last_time(path: &str, packed: Packed) -> Option<Nanos> {
    let mut file = File::open(path).ok()?;
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let from = meta.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let begin: &[u8] = match packed {
        Packed::Plain if from == 0 => return latest(&bytes),
        Packed::Plain => return latest(bytes.get(memchr::memchr(b'\n', &bytes)? + 1..)?),
        Packed::Gzip => &[0x1f, 0x8b, 8],
        Packed::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
    };
    let places = memchr::memmem::find_iter(&bytes, begin).take(TRIES);
    places.filter_map(|at| latest(&from_member(bytes.get(at..)?)?)).next()
}

/// What stands from a member's begin on; of a torn one what can be read. `None`: that is too much.
fn from_member(packed: &[u8]) -> Option<Vec<u8>> {
    let (from, _) = unpacked(Box::new(Cursor::new(packed.to_vec())), std::sync::Arc::default()).ok()?;
    let mut text = Vec::new();
    // What was read before an error is there all the same.
    let _ = from.take(MOST).read_to_end(&mut text);
    ((text.len() as u64) < MOST).then_some(text)
}

fn latest(lines: &[u8]) -> Option<Nanos> {
    // The state of a snapshot is as old as it is; where it stands says nothing of the time.
    lines.split(|b| *b == b'\n').filter(|l| line::inside(l).is_none()).filter_map(time_of).max()
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
        std::fs::write(&path, line(7)).unwrap();
        assert_eq!(last_time(name, Packed::Plain), at(7));
        for empty in ["", "no time\n"] {
            std::fs::write(&path, empty).unwrap();
            assert_eq!(last_time(name, Packed::Plain), None);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(last_time(name, Packed::Plain), None);
    }

    #[test]
    fn the_end_of_a_packed_recording_is_known_where_its_last_members_are_small() {
        let dir = tempfile::tempdir().unwrap();
        let line = |s: i64| format!("{{\"flow\":{{\"uuid\":\"{:x}\"}},\"time\":\"{}\"}}\n", s * 0x9e37_79b9_7f4a, Nanos(s * Nanos::SECOND));
        let gzip = |text: &str| {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut to, text.as_bytes()).unwrap();
            to.finish().unwrap()
        };
        for packed in [Packed::Gzip, Packed::Zstd] {
            let pack = |text: &str| if packed == Packed::Gzip { gzip(text) } else { zstd::bulk::compress(text.as_bytes(), 1).unwrap() };
            let path = dir.path().join("r");
            let name = path.to_str().unwrap();
            let parts = |n: i64| (0..n).map(|i| (i * 100..(i + 1) * 100).map(line).collect::<String>());
            let all: Vec<u8> = parts(400).flat_map(|text| pack(&text)).collect();
            assert!(all.len() as u64 > TAIL, "{}", all.len());
            std::fs::write(&path, &all).unwrap();
            assert_eq!(last_time(name, packed), Some(Nanos(39_999 * Nanos::SECOND)));
            // Torn in its last member: the whole ones before tell it.
            std::fs::write(&path, &all[..all.len() - 40]).unwrap();
            let torn = last_time(name, packed).unwrap().0 / Nanos::SECOND;
            assert!((39_899..39_999).contains(&torn), "{torn}");
            // All in one: nobody knows without reading all.
            let one = pack(&parts(400).collect::<String>());
            assert!(one.len() as u64 > TAIL);
            std::fs::write(&path, &one).unwrap();
            assert_eq!(last_time(name, packed), None);
            // But for a small one.
            std::fs::write(&path, pack(&line(7))).unwrap();
            assert_eq!(last_time(name, packed), Some(Nanos(7 * Nanos::SECOND)));
        }
    }
}
