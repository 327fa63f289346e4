//! What a change is proposed on. Owns only that: what follows from it is the engine's business.
use std::path::Path;

/// What a change is proposed on: where it is to be applied, and what the flows held were limited to; the filter of a view limits nothing.
#[derive(Debug)]
pub struct Ground<'a> {
    pub here: &'a Path,
    pub limits: String,
}
