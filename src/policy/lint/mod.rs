//! Diagnoses: small patterns in policies and flows that turn into advice. One file each; a new one is a file and a line in a table.
//!
//! Owns the two tables and what a lint may look at. A lint is silent unless it is sure: it never contradicts the evaluator.
use super::{Options, PolicySet};
use crate::model::observed::Observed;
use crate::model::why::{Diagnosis, PolicyRef, Why};
use crate::world::{Endpoint, World};

/// What a lint of one explained flow may look at.
pub struct Case<'a> {
    pub flow: &'a Observed,
    pub src: &'a Endpoint,
    pub dst: &'a Endpoint,
    pub why: &'a Why,
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: &'a Options,
}

/// A pattern in the explanation of one flow.
pub trait Lint: Sync {
    fn check(&self, case: &Case<'_>) -> Option<Diagnosis>;
}

/// A pattern in the policies alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: &'static str,
    /// Whom it concerns; `None`: the set as a whole.
    pub policy: Option<PolicyRef>,
    pub file: String,
    pub line: u32,
    pub text: String,
}

/// A pattern in the policies alone, whatever flows.
pub trait SetLint: Sync {
    fn check(&self, world: &World, set: &PolicySet, opt: &Options, out: &mut Vec<Finding>);
}

static OF_FLOWS: &[&dyn Lint] = &[];
static OF_SETS: &[&dyn SetLint] = &[];

/// Every lint that fires on one explained flow, in the order of the table.
pub fn of_flow(case: &Case<'_>) -> Vec<Diagnosis> {
    OF_FLOWS.iter().filter_map(|l| l.check(case)).collect()
}

/// Every finding in a set of policies, in the order of file and line.
pub fn of_set(world: &World, set: &PolicySet, opt: &Options) -> Vec<Finding> {
    let mut out = Vec::new();
    for lint in OF_SETS {
        lint.check(world, set, opt, &mut out);
    }
    out.sort_by(|a, b| (&a.file, a.line, a.id).cmp(&(&b.file, b.line, b.id)));
    out.dedup();
    out
}
