//! Files → blocks of whole lines.
//!
//! Owns reading and where a block is cut. Holds at most one unfinished line besides the block it fills. Must not look into a line.
use crate::model::line::{BREAKS_OFF, LONGEST, MARK, too_long};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a block, unless a line is longer: large enough that handing over costs nothing, small enough for a core's cache.
const BLOCK: usize = 512 << 10;

/// One file to scan.
pub struct Part {
    /// The path as given.
    pub name: Arc<str>,
    /// Its bytes, unpacked.
    pub from: Box<dyn Read + Send>,
    /// Whether a read may block for long: then lines are handed on as they come.
    pub live: bool,
    /// What an error of reading means.
    pub why: Box<dyn Fn(&io::Error) -> Ending + Send>,
}

/// How a file ended before its end, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It could not be read.
    Failed(String),
    /// It is torn there, which counts as one line that could not be read.
    Torn(String),
}

/// Whole lines of one file. The buffer is longer than they are, so that it can be filled again without clearing it.
#[derive(Debug, Default)]
pub struct Block {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Place among all blocks.
    pub number: u64,
    /// After the lines: one that could not be handed over, and why.
    pub broken: Option<String>,
    /// After all that: the file ends here, and how.
    pub last: Option<Result<(), String>>,
}

impl Block {
    /// The lines, each with its end but perhaps the last.
    pub fn lines(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or(&[])
    }
}

/// The files, one after the other.
pub struct Blocks {
    parts: VecDeque<Part>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// The rest of a line that was too long is passed over.
    skipping: bool,
    /// Whether something of this file was handed over.
    begun: bool,
    number: u64,
}

impl Blocks {
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts: parts.into(), rest: Vec::new(), skipping: false, begun: false, number: 0 }
    }

    /// Fills `block` with the next lines; `false` after the last file, and once `stop` is set. Blocks as long as the file does.
    pub fn next(&mut self, block: &mut Block, stop: &AtomicBool) -> bool {
        let Some(part) = self.parts.front_mut() else { return false };
        (block.number, block.broken, block.last) = (self.number, None, None);
        // One long line must not keep its memory for ever.
        if block.buffer.len() != BLOCK && self.rest.len() < BLOCK {
            block.buffer = vec![0; BLOCK];
        }
        let mut end = self.rest.len();
        if block.buffer.len() < end + BLOCK / 2 && end >= BLOCK {
            block.buffer = vec![0; end + BLOCK];
        }
        if let Some(to) = block.buffer.get_mut(..end) {
            to.copy_from_slice(&self.rest);
        }
        self.rest.clear();
        let mut newline = None;
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            if end == block.buffer.len() {
                if newline.is_some() {
                    break;
                }
                if end > LONGEST {
                    block.broken = Some(too_long(LONGEST));
                    self.skipping = true;
                    end = 0;
                    break;
                }
                let more = (end * 2).min(LONGEST + BLOCK).max(end + BLOCK);
                block.buffer.reserve_exact(more - end);
                block.buffer.resize(more, 0);
            }
            let room = block.buffer.get_mut(end..).unwrap_or_default();
            let asked = room.len();
            let read = match part.from.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            let n = match read {
                // A reader that claims more than it was given room for is broken; do not believe it.
                Ok(n) if n > 0 => n.min(asked),
                ended => {
                    let failed = ended.err().map(|e| (part.why)(&e));
                    self.finish(block, newline, end, failed);
                    return true;
                }
            };
            let mut from = end;
            if self.skipping {
                // Nothing but the long line's rest is in the buffer.
                let fresh = block.buffer.get(end..end + n).unwrap_or(&[]);
                let Some(at) = memchr::memchr(b'\n', fresh) else { continue };
                block.buffer.copy_within(end + at + 1..end + n, 0);
                self.skipping = false;
                (from, end) = (0, n - at - 1);
            } else {
                end += n;
            }
            if let Some(at) = block.buffer.get(from..end).and_then(|t| memchr::memrchr(b'\n', t)) {
                newline = Some(from + at + 1);
            }
            if part.live && n < asked && newline.is_some() {
                break;
            }
        }
        let cut = newline.unwrap_or(0);
        self.rest.extend_from_slice(block.buffer.get(cut..end).unwrap_or(&[]));
        self.hand_over(block, cut);
        true
    }

    fn hand_over(&mut self, block: &mut Block, end: usize) {
        let marked = !self.begun && block.buffer.get(..end).is_some_and(|b| b.starts_with(MARK));
        (block.begin, block.end) = (if marked { MARK.len() } else { 0 }, end);
        self.begun = true;
        self.number += 1;
    }

    /// The file's last block.
    fn finish(&mut self, block: &mut Block, newline: Option<usize>, end: usize, failed: Option<Ending>) {
        let cut = newline.unwrap_or(0);
        let mut whole = end;
        if end > cut && !self.skipping {
            let alone = !self.begun && cut == 0 && block.buffer.get(..end) == Some(MARK);
            if end - cut > LONGEST {
                block.broken = Some(too_long(LONGEST));
            } else if failed.is_some() && !alone {
                block.broken = Some(BREAKS_OFF.to_owned());
            }
            if block.broken.is_some() {
                whole = cut;
            }
        }
        self.hand_over(block, whole);
        block.last = Some(match failed {
            None => Ok(()),
            Some(Ending::Failed(why)) => Err(why),
            Some(Ending::Torn(why)) => {
                block.broken.get_or_insert(why);
                Ok(())
            }
        });
        self.parts.pop_front();
        (self.skipping, self.begun) = (false, false);
    }
}
