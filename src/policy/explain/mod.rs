//! The explanation of one flow. Owns the order of questions: was it a policy at all, which side, which policies, which rule.
use super::{Options, PolicySet};
use crate::model::observed::Observed;
use crate::model::why::{Agreement, Explanation, Outcome, Why};
use crate::world::World;

/// Why this happened to this flow.
pub fn explain(_o: &Observed, _world: &World, _set: &PolicySet, _opt: &Options) -> Explanation {
    let why = Why {
        outcome: Outcome::Undecidable,
        direction: None,
        subject: None,
        policies: Vec::new(),
        reported: None,
        nearest: None,
        agreement: Agreement::Unknown,
        because: Vec::new(),
        missing: vec!["policies".to_owned()],
        inferred: Vec::new(),
        sides: Vec::new(),
        diagnosis: Vec::new(),
        text: String::new(),
    };
    Explanation { why, lanes: Vec::new(), rules: Vec::new() }
}
