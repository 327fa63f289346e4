//! The brush under the text formats: colours on or off, and strings from the network made safe.
use super::{Options, safe};
use prost_types::Timestamp;

/// Appends to a line, with colours or without, and strings from the network as the reader may have them.
pub struct Paint<'a> {
    out: &'a mut Vec<u8>,
    options: &'a Options,
}

impl<'a> Paint<'a> {
    pub fn new(out: &'a mut Vec<u8>, options: &'a Options) -> Self {
        Self { out, options }
    }

    /// Our own words.
    pub fn raw(&mut self, s: &str) {
        self.out.extend_from_slice(s.as_bytes());
    }

    /// A string from the network.
    pub fn text(&mut self, s: &str) {
        if self.options.terminal {
            safe::spelt(s, self.out);
        } else {
            self.out.extend_from_slice(s.as_bytes());
        }
    }

    pub fn time(&mut self, t: Option<&Timestamp>) {
        self.options.time.write(t, self.out);
    }

    pub fn colored(&mut self, color: Option<u8>, inner: impl FnOnce(&mut Self)) {
        let Some(digit) = color.filter(|_| self.options.color) else { return inner(self) };
        self.out.extend_from_slice(&[0x1b, b'[', b'3', digit, b'm']);
        inner(self);
        self.out.extend_from_slice(b"\x1b[0m");
    }
}
