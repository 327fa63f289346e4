//! How a stretch of lines is compressed: as a member that stands for itself, so that what was written before a kill can be read, and a
//! reader can begin at any of them. Owns the choice by the file's ending.
use super::writer::words;
use crate::error::{Error, Kind};
use std::io::{self, Write as _};
use std::path::Path;

/// The fastest: flows are so much alike that the usual level takes 1.7 times the time for a twentieth less.
const ZSTD_LEVEL: i32 = 1;

/// Endings that promise what we do not write.
const OTHERS: &[&str] = &["7z", "br", "bz2", "lz", "lz4", "lzma", "rar", "sz", "tar", "tgz", "xz", "z", "zip"];

pub enum Pack {
    Plain,
    /// With the member that was packed last; its room is used again.
    Gzip(Vec<u8>),
    Zstd(zstd::bulk::Compressor<'static>, Vec<u8>),
}

impl Pack {
    /// `.gz` and `.zst` are packed; an ending of another packer is refused, everything else is written plain.
    pub fn by_ending(path: &Path) -> Result<Self, Error> {
        let cannot = || Error::new(Kind::Output, format!("cannot record to {}", path.display()));
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).unwrap_or_default();
        Ok(match ending.as_str() {
            "gz" => Self::Gzip(Vec::new()),
            "zst" | "zstd" => Self::Zstd(zstd().map_err(|e| cannot().cause(words(&e)))?, Vec::new()),
            other if OTHERS.contains(&other) => {
                return Err(cannot()
                    .cause(format!("flowhy does not write .{other}"))
                    .hint("end the name on .zst or .gz to have it compressed, on .jsonl to have it plain"));
            }
            _ => Self::Plain,
        })
    }

    /// How much of what was written of a member can be read without the rest: whole lines, or nothing.
    pub fn whole(&self) -> fn(&[u8]) -> usize {
        match self {
            Self::Plain => |written| memchr::memrchr(b'\n', written).map_or(0, |end| end + 1),
            Self::Gzip(_) | Self::Zstd(..) => |_| 0,
        }
    }

    /// Gives back the room of a member that was larger than most.
    pub fn shrink(&mut self, most: usize) {
        if let Self::Gzip(packed) | Self::Zstd(_, packed) = self {
            packed.clear();
            packed.shrink_to(most);
        }
    }

    /// The lines as they go to the disk.
    pub fn member<'a>(&'a mut self, lines: &'a [u8]) -> io::Result<&'a [u8]> {
        match self {
            Self::Plain => Ok(lines),
            Self::Gzip(packed) => {
                packed.clear();
                let mut encoder = flate2::write::GzEncoder::new(&mut *packed, flate2::Compression::fast());
                encoder.write_all(lines)?;
                encoder.finish()?;
                Ok(packed)
            }
            Self::Zstd(compressor, packed) => {
                packed.clear();
                packed.reserve(zstd::zstd_safe::compress_bound(lines.len()));
                compressor.compress_to_buffer(lines, packed)?;
                Ok(packed)
            }
        }
    }
}

fn zstd() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    compressor.include_checksum(true)?;
    Ok(compressor)
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(..) => "Zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_that_promises_another_packer_is_refused() {
        let pack = |name: &str| Pack::by_ending(Path::new(name)).map(|p| format!("{p:?}"));
        assert_eq!(["a.GZ", "a.zst", "a.jsonl", "a", "a.json"].map(|n| pack(n).unwrap()), ["Gzip", "Zstd", "Plain", "Plain", "Plain"]);
        for name in ["a.bz2", "a.jsonl.xz", "a.XZ", "a.lz4", "a.zip"] {
            let e = pack(name).unwrap_err();
            assert!(e.cause.unwrap().starts_with("flowhy does not write .") && e.hint.unwrap().contains(".zst"), "{name}");
        }
    }
}
