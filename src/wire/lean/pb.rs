//! Protobuf's tokens: keys, varints, lengths. What prost would refuse is `None` here, and so is what it takes but nobody sends.

/// The rest of a message.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// Number and wire type of the next field; `Some(None)` at the end.
    #[inline]
    pub fn key(&mut self) -> Option<Option<(u32, u8)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = u32::try_from(self.varint()?).ok()?;
        let wire = u8::try_from(key & 7).ok()?;
        (key >> 3 != 0).then_some(Some((key >> 3, wire)))
    }

    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        if *first < 0x80 {
            self.0 = rest;
            return Some(u64::from(*first));
        }
        let mut value = 0;
        for (n, byte) in self.0.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if n == 9 && *byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * n);
            if *byte < 0x80 {
                self.0 = self.0.get(n + 1..)?;
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Passes over a field. Groups are prost's business.
    #[inline]
    pub fn skip(&mut self, wire: u8) -> Option<()> {
        let length = match wire {
            0 => return self.varint().map(|_| ()),
            2 => return self.bytes().map(|_| ()),
            1 => 8,
            5 => 4,
            _ => return None,
        };
        self.0 = self.0.get(length..)?;
        Some(())
    }
}

/// Seconds and nanoseconds of a `Timestamp`.
pub fn timestamp(bytes: &[u8]) -> Option<(i64, i32)> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields(bytes);
    while let Some((n, wire)) = fields.key()? {
        match (n, wire) {
            (1, 0) => seconds = fields.varint()?.cast_signed(),
            // An int32 is sent as 64 bits, of which the lower 32 count.
            (2, 0) => nanos = u32::try_from(fields.varint()? & 0xffff_ffff).ok()?.cast_signed(),
            (1 | 2, _) => return None,
            _ => fields.skip(wire)?,
        }
    }
    Some((seconds, nanos))
}

/// The value of a `BoolValue`, as a number.
pub fn wrapped(bytes: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut fields = Fields(bytes);
    while let Some((n, wire)) = fields.key()? {
        match (n, wire) {
            (1, 0) => value = u64::from(fields.varint()? != 0),
            (1, _) => return None,
            _ => fields.skip(wire)?,
        }
    }
    Some(value)
}
