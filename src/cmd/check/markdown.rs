//! The report as the comment of a pull request: a headline, a table, and what was not seen folded away. Owns layout, and that nothing
//! from the network acts as markup.
use super::group::{Change, Group};
use super::text::{named, sentence, stands, tally, unseen, why, word};
use super::{Report, Threshold};
use crate::model::text::clean;
use std::io::{self, Write};

/// Rows shown: a comment has an end.
const SHOWN: usize = 50;
const NAMES: usize = 3;

/// A text that is only a text, in a cell or a line.
pub fn plain(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 8);
    for c in clean(s).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

pub fn write(report: &Report, threshold: Threshold, out: &mut dyn Write) -> io::Result<()> {
    let fails = report.totals.conversations == 0 || report.fails(threshold);
    let (mark, word) = if fails { ("❌", "fails") } else { ("✅", "passes") };
    writeln!(out, "### {mark} flowhy check {word}\n\n{}.\n", plain(&sentence(report)))?;
    for change in [Change::NewDrop, Change::Undecidable, Change::Admitted] {
        table(report, change, out)?;
    }
    writeln!(out, "<details><summary>What this does not show</summary>\n")?;
    for line in unseen(&report.unseen, &report.filter) {
        writeln!(out, "- {}", plain(&line))?;
    }
    writeln!(out, "\n</details>")
}

fn table(report: &Report, change: Change, out: &mut dyn Write) -> io::Result<()> {
    let groups: Vec<&Group> = report.groups.iter().filter(|g| g.change == change).collect();
    if groups.is_empty() {
        return Ok(());
    }
    let s = if groups.len() == 1 { "" } else { "s" };
    let title = match change {
        Change::NewDrop => format!("{} new drop{s}", groups.len()),
        Change::Undecidable => format!("{} thing{s} that cannot be decided", groups.len()),
        Change::Admitted => format!("{} thing{s} newly admitted", groups.len()),
    };
    writeln!(out, "#### {title}\n\n| {} | why | policy | seen |\n| --- | --- | --- | --- |", word(change))?;
    for g in groups.iter().take(SHOWN) {
        let mut policies: Vec<String> = g.policies.iter().take(NAMES).map(|p| cell(&named(&p.policy), &stands(p))).collect();
        if g.policies.len() > NAMES {
            policies.push(format!("+{} more", g.policies.len() - NAMES));
        }
        if let Some(n) = &g.nearest {
            let at = match (&n.file, n.line) {
                (Some(f), Some(l)) => format!("{f}:{l}"),
                (Some(f), None) => f.clone(),
                _ => String::new(),
            };
            policies.push(format!("nearest: {}", cell(&format!("{} {}", n.name, n.rule), &at)));
        }
        policies.extend(g.before.iter().take(NAMES).map(|p| format!("before: {}", cell(&named(&p.policy), &stands(p)))));
        let head = plain(&format!("{} → {} {}", g.from, g.to, g.port));
        writeln!(out, "| {head} | {} | {} | {} |", plain(&why(g)), policies.join("<br>"), plain(&tally(g)))?;
    }
    if groups.len() > SHOWN {
        writeln!(out, "\n+{} more; `-o json` has all", groups.len() - SHOWN)?;
    }
    writeln!(out)
}

fn cell(what: &str, at: &str) -> String {
    if at.is_empty() { plain(what) } else { format!("{} ({})", plain(what), plain(at)) }
}
