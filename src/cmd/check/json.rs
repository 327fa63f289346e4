//! The report for programs: one object an entry, the summary last. Owns the shape of the summary.
use super::unseen::Unseen;
use super::{Group, Report, Threshold, Totals};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    group: &'a Group,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

#[derive(Serialize)]
struct Summary<'a> {
    /// `observed`: with what the datapath did; `set`: with the policies of `--against`.
    compared_with: &'static str,
    passes: bool,
    fail_on: &'static str,
    #[serde(flatten)]
    totals: Totals,
    filter: &'a str,
    unseen: &'a Unseen,
}

#[derive(Serialize)]
struct Last<'a> {
    summary: Summary<'a>,
}

pub fn write(report: &Report, threshold: Threshold, out: &mut dyn Write) -> io::Result<()> {
    for group in &report.groups {
        let time = |t: crate::model::time::Nanos| (t != crate::model::time::Nanos::default()).then(|| t.to_string());
        serde_json::to_writer(&mut *out, &Entry { group, first: time(group.first), last: time(group.last) })?;
        out.write_all(b"\n")?;
    }
    let summary = Summary {
        compared_with: if report.compared { "set" } else { "observed" },
        passes: report.totals.conversations > 0 && !report.fails(threshold),
        fail_on: match threshold {
            Threshold::NewDrops => "new-drops",
            Threshold::PossibleDrops => "possible-drops",
            Threshold::AnyChange => "any-change",
        },
        totals: report.totals,
        filter: &report.filter,
        unseen: &report.unseen,
    };
    serde_json::to_writer(&mut *out, &Last { summary })?;
    out.write_all(b"\n")
}
