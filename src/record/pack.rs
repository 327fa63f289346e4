//! How a stretch of lines is compressed: as a member that stands for itself, so that what was written before a kill can be read, and a
//! reader can begin at any of them. Owns the choice by the file's ending.
use std::io::{self, Write as _};
use std::path::Path;

/// Fast, and half as large again as the best.
const ZSTD_LEVEL: i32 = 3;

pub enum Pack {
    Plain,
    Gzip,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Pack {
    /// `.gz` and `.zst` are packed, everything else is not.
    pub fn by_ending(path: &Path) -> io::Result<Self> {
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                Self::Zstd(compressor)
            }
            _ => Self::Plain,
        })
    }

    /// The lines as they go to the disk.
    pub fn member(&mut self, lines: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(lines),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(lines.len() / 6), flate2::Compression::fast());
                encoder.write_all(&lines)?;
                encoder.finish()
            }
            Self::Zstd(compressor) => compressor.compress(&lines),
        }
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}
