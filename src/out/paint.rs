//! The brush under the text formats: colours on or off, and strings from the network made safe.
use super::{Options, safe};
use crate::model::view::{Field, Value, View};
use crate::wire::json::Writer;
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

    /// The flow's own time.
    pub fn flow_time(&mut self, f: &dyn View) {
        match f.field(Field::FlowTime) {
            Value::Stamp { seconds, nanos } => self.time(Some(&Timestamp { seconds, nanos })),
            _ => self.time(None),
        }
    }

    pub fn number(&mut self, n: i64) {
        Writer::new(self.out).signed(n);
    }

    pub fn unsigned(&mut self, n: u64) {
        Writer::new(self.out).unsigned(n);
    }

    /// Our own words in small letters.
    pub fn lower(&mut self, s: &str) {
        self.out.extend(s.bytes().map(|b| b.to_ascii_lowercase()));
    }

    pub fn colored(&mut self, color: Option<u8>, inner: impl FnOnce(&mut Self)) {
        let Some(digit) = color.filter(|_| self.options.color) else { return inner(self) };
        self.out.extend_from_slice(&[0x1b, b'[', b'3', digit, b'm']);
        inner(self);
        self.out.extend_from_slice(b"\x1b[0m");
    }
}
