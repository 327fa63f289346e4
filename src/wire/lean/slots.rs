//! The table that a walk fills: one number or text a slot, lists beside it. Reused for the next flow; allocates only to grow.
//!
//! Texts are places: in the line, or, where they had escapes or came from protobuf, in the side buffer.
use super::generated::COUNT;

/// Set in a place that lies in the side buffer.
const SIDE: u64 = 1 << 63;

/// What has been read of one flow.
#[derive(Debug)]
pub struct Slots {
    value: [u64; COUNT],
    /// Slots that have a value.
    set: u128,
    /// Slots that somebody asked for.
    wanted: u128,
    /// Wanted slots of which it is not known yet what they hold.
    pub(super) missing: u128,
    /// Texts of lists.
    parts: Vec<u64>,
    side: String,
}

impl Slots {
    pub fn new(wanted: u128) -> Self {
        Self { value: [0; COUNT], set: 0, wanted, missing: 0, parts: Vec::new(), side: String::new() }
    }

    /// Forgets the last flow. `missing`: what has to be found before a walk may stop.
    pub fn clear(&mut self, missing: u128) {
        self.set = 0;
        self.missing = missing;
        self.parts.clear();
        self.side.clear();
    }

    /// Whether some of these slots are set.
    pub fn has(&self, bits: u128) -> bool {
        self.set & bits != 0
    }

    /// Whether somebody asked for some of these.
    pub fn wants(&self, bits: u128) -> bool {
        self.wanted & bits != 0
    }

    pub fn wanted(&self) -> u128 {
        self.wanted
    }

    /// Says that the slot's message is there.
    pub fn mark(&mut self, slot: usize) {
        self.set |= 1 << slot;
    }

    pub fn put(&mut self, slot: usize, value: u64) {
        self.set |= 1 << slot;
        if let Some(v) = self.value.get_mut(slot) {
            *v = value;
        }
    }

    pub fn put_stamp(&mut self, slot: usize, (seconds, nanos): (i64, i32)) {
        self.put(slot, seconds.cast_unsigned());
        self.put(slot + 1, i64::from(nanos).cast_unsigned());
    }

    /// The number in a slot; 0 where there is none.
    pub fn number(&self, slot: usize) -> u64 {
        if self.has(1 << slot) { self.value.get(slot).copied().unwrap_or(0) } else { 0 }
    }

    pub fn stamp(&self, slot: usize) -> Option<(i64, i32)> {
        let nanos = i32::try_from(self.number(slot + 1).cast_signed()).unwrap_or(0);
        self.has(1 << slot).then(|| (self.number(slot).cast_signed(), nanos))
    }

    /// The text in a slot, `""` where there is none. `line` is what was walked over.
    pub fn text<'a>(&'a self, slot: usize, line: &'a str) -> &'a str {
        if self.has(1 << slot) { self.at(self.number(slot), line) } else { "" }
    }

    /// The texts of a list, one element's after the other's.
    pub fn list<'a>(&'a self, slot: usize, line: &'a str) -> impl Iterator<Item = &'a str> + Clone {
        let (first, count) = unpacked(self.number(slot));
        self.parts.iter().skip(first).take(count).map(move |p| self.at(*p, line))
    }

    fn at<'a>(&'a self, place: u64, line: &'a str) -> &'a str {
        let (begin, length) = unpacked(place & !SIDE);
        let text = if place & SIDE == 0 { line } else { &self.side };
        text.get(begin..begin + length).unwrap_or("")
    }

    /// A row of `columns` empty texts at the end of a list; `None` if the list was interrupted by another.
    pub fn row(&mut self, slot: usize, columns: usize) -> Option<usize> {
        let row = self.parts.len();
        let (first, count) = if self.has(1 << slot) { unpacked(self.number(slot)) } else { (row, 0) };
        if first + count != row {
            return None;
        }
        self.parts.resize(row + columns, 0);
        self.put(slot, packed(first, count + columns));
        Some(row)
    }

    /// Says where a text of a list stands.
    pub fn put_part(&mut self, part: usize, place: u64) {
        if let Some(p) = self.parts.get_mut(part) {
            *p = place;
        }
    }

    /// Where the side buffer ends now; hand it to [`Self::sided`] after writing.
    pub fn side(&mut self) -> &mut String {
        &mut self.side
    }

    /// The place of what has been written to the side buffer since it was `begin` long.
    pub fn sided(&self, begin: usize) -> u64 {
        packed(begin, self.side.len() - begin) | SIDE
    }

    fn copied(&mut self, bytes: &[u8]) -> Option<u64> {
        let begin = self.side.len();
        self.side.push_str(std::str::from_utf8(bytes).ok()?);
        Some(self.sided(begin))
    }

    /// A text from protobuf, kept if it is wanted. The last one wins.
    pub fn pb_text(&mut self, slot: usize, bytes: &[u8]) -> Option<()> {
        if self.wants(1 << slot) {
            let place = self.copied(bytes)?;
            self.put(slot, place);
        }
        Some(())
    }

    pub fn pb_part(&mut self, part: usize, bytes: &[u8]) -> Option<()> {
        let place = self.copied(bytes)?;
        self.put_part(part, place);
        Some(())
    }

    pub fn pb_stamp(&mut self, slot: usize, bytes: &[u8]) -> Option<()> {
        let stamp = super::pb::timestamp(bytes)?;
        self.put_stamp(slot, stamp);
        Some(())
    }
}

/// Two numbers of which neither reaches 2³¹: walks refuse longer input.
pub fn packed(a: usize, b: usize) -> u64 {
    (a as u64) << 32 | b as u64
}

fn unpacked(n: u64) -> (usize, usize) {
    ((n >> 32) as usize, (n & 0xffff_ffff) as usize)
}
