//! `flowhy check`: what a set of policies would do to conversations that were observed, or that another set ruled on.
//!
//! Owns the question and when the answer is no. `verdict` judges, `group` gathers by cause, `unseen` says what the traffic does not
//! prove, `text`, `markdown` and `json` write it down.
mod group;
mod json;
mod markdown;
pub mod propose;
mod propose_out;
mod text;
mod unseen;
mod verdict;

use crate::engine::Engine;
use crate::policy::PolicySet;
pub use group::{Change, Group};
use std::io::{self, Write};
pub use unseen::Unseen;

/// Which changes make the answer a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// Something that worked is denied.
    NewDrops,
    /// Or it cannot be decided whether it is.
    PossibleDrops,
    /// Or anything changes, or may.
    AnyChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Markdown,
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Glyphs outside ASCII.
    pub unicode: bool,
    pub color: bool,
}

/// What is checked: the policies of an engine that has folded the traffic.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub engine: &'a Engine,
    /// The set to compare with; without it, what was observed.
    pub before: Option<&'a PolicySet>,
    /// The filter as typed.
    pub filter: &'a str,
}

/// Conversations by what becomes of them, each under the worst of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Totals {
    /// All that were judged.
    pub conversations: u64,
    pub new_drops: u64,
    /// Those that worked, or were dropped at times, and cannot be decided.
    pub undecidable: u64,
    /// Those that never worked, and cannot be decided.
    pub undecidable_dropped: u64,
    pub admitted: u64,
    /// Allowed before and after.
    pub kept: u64,
    /// Denied before and after.
    pub still_dropped: u64,
}

/// The answer.
#[derive(Debug)]
pub struct Report {
    /// Whether two sets are compared; else one with what was observed.
    pub compared: bool,
    pub filter: String,
    pub totals: Totals,
    /// New drops first, then undecidable, then admitted; the largest first.
    pub groups: Vec<Group>,
    pub unseen: Unseen,
}

impl Report {
    pub fn fails(&self, threshold: Threshold) -> bool {
        let t = &self.totals;
        match threshold {
            Threshold::NewDrops => t.new_drops > 0,
            Threshold::PossibleDrops => t.new_drops + t.undecidable > 0,
            Threshold::AnyChange => t.new_drops + t.undecidable + t.undecidable_dropped + t.admitted > 0,
        }
    }
}

/// Every conversation with its fate.
#[derive(Debug)]
pub struct Judged<'a> {
    cast: verdict::Cast<'a>,
    found: verdict::Found<'a>,
}

/// Judges every conversation.
pub fn judge<'a>(subject: &Subject<'a>) -> Judged<'a> {
    let cast = verdict::Cast::new(subject);
    let found = verdict::all(subject, subject.engine.policies(), &cast);
    Judged { cast, found }
}

/// Gathers what changes.
pub fn report(subject: &Subject<'_>, judged: &Judged<'_>) -> Report {
    let groups = group::gather(subject, judged);
    let (totals, unseen) = (group::totals(&judged.found), unseen::of(subject, judged));
    Report { compared: subject.before.is_some(), filter: subject.filter.to_owned(), totals, groups, unseen }
}

/// Writes the report.
pub fn write(report: &Report, threshold: Threshold, format: Format, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text::write(report, threshold, paint, out),
        Format::Json => json::write(report, threshold, out),
        Format::Markdown => markdown::write(report, threshold, out),
    }
}
