//! The lean record: of a flow only the fields that somebody wants, read without allocating and without making a message.
//!
//! Two readers fill one table of slots: a walk over a *canonical* JSON line (the bytes that our own writer would write after
//! reading it) and a walk over a protobuf frame. Both answer `None` to anything unusual; then the full decoder decides. Must
//! answer exactly as the decoded message does.
mod fields;
mod generated;
mod json;
mod mask;
mod pb;
mod slots;
mod view;

pub use fields::paths;
pub use mask::Mask;

use crate::model::view::FieldSet;
use json::{Second, Stop, Walker};
use slots::Slots;

/// How far a line is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// To its end: `Some` proves that the line is canonical.
    Whole,
    /// Until all wanted fields are found. What follows was not looked at, so the line may still be malformed; where it is not,
    /// the answers are right.
    UntilKnown,
}

/// Longer input is for the full decoder: a place has 31 bits.
const LONGEST: usize = i32::MAX as usize;

/// A reader of some fields, used for one flow after the other.
#[derive(Debug)]
pub struct Lean {
    slots: Slots,
    second: Second,
    fields: FieldSet,
    walk: Walk,
}

impl Lean {
    pub fn new(wanted: FieldSet, walk: Walk) -> Self {
        Self { slots: Slots::new(fields::slots(wanted)), second: Second::default(), fields: wanted, walk }
    }

    /// The flow of a canonical line; `None` for a line of any other form, and for one that is no flow.
    pub fn json<'a>(&'a mut self, line: &'a [u8]) -> Option<LeanView<'a>> {
        if line.len() > LONGEST {
            return None;
        }
        self.slots.clear(match self.walk {
            Walk::Whole => u128::MAX,
            Walk::UntilKnown => self.slots.wanted(),
        });
        let mut walker = Walker::new(line, &mut self.slots, &mut self.second);
        let ended = generated::response(&mut walker);
        let at = walker.at;
        match ended {
            Ok(()) if at == line.len() => {}
            Err(Stop::Known) => {}
            _ => return None,
        }
        let line = std::str::from_utf8(line.get(..at)?).ok()?;
        self.slots.has(1 << generated::FLOW).then_some(LeanView { slots: &self.slots, line, fields: self.fields })
    }

    /// The flow of a protobuf frame. What nobody wants is passed over unseen, so a frame that prost would refuse for a text in
    /// it may be taken here; of every frame that prost takes, the answers are those of its message.
    pub fn proto<'a>(&'a mut self, frame: &[u8]) -> Option<LeanView<'a>> {
        if frame.len() > LONGEST {
            return None;
        }
        self.slots.clear(u128::MAX);
        generated::pb_response(frame, &mut self.slots)?;
        self.slots.has(1 << generated::FLOW).then_some(LeanView { slots: &self.slots, line: "", fields: self.fields })
    }
}

/// What was read of one flow. Answers `Missing` to what was not wanted.
#[derive(Debug, Clone, Copy)]
pub struct LeanView<'a> {
    slots: &'a Slots,
    line: &'a str,
    fields: FieldSet,
}

impl LeanView<'_> {
    /// Whether the walk has seen all of this line, and found it canonical.
    pub fn is_whole(&self, line: &[u8]) -> bool {
        !line.is_empty() && self.line.len() == line.len()
    }
}
