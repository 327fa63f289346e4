//! A proposal written down: YAML whose comments say what it keeps and what it cannot, the same for programs, and for a pull request.
use super::markdown::plain;
use super::propose::{Line, Made, Proposal};
use super::text::unseen;
use super::{Paint, Report};
use crate::model::text::clean;
use serde::Serialize;
use std::io::{self, Write};

/// Lines of one sort shown; JSON has all.
const SHOWN: usize = 50;

/// What it keeps, in a sentence.
fn headline(p: &Proposal) -> String {
    if p.broken == 0 {
        return "nothing that worked would be dropped: no rule is needed".to_owned();
    }
    let s = if p.policies.len() == 1 { "policy keeps" } else { "policies keep" };
    format!("{} {s} {} of {} conversations that worked and would be dropped", p.policies.len(), p.kept, p.broken)
}

/// Title and lines of everything that has to be said, the empty left out.
fn told(p: &Proposal, arrow: &str) -> Vec<(&'static str, Vec<String>)> {
    let lines = |all: &[Line]| -> Vec<String> {
        let one = |l: &Line| {
            let why = if l.why.is_empty() { String::new() } else { format!(": {}", l.why) };
            let n = if l.conversations == 1 { String::new() } else { format!(" ({} conversations)", l.conversations) };
            format!("{} {arrow} {} {}{n}{why}", l.from, l.to, l.port)
        };
        let mut out: Vec<String> = all.iter().take(SHOWN).map(one).collect();
        if all.len() > SHOWN {
            out.push(format!("+{} more", all.len() - SHOWN));
        }
        out
    };
    let all = [
        ("cannot be kept", lines(&p.unsaid)),
        ("admits besides what was dropped so far", lines(&p.also)),
        ("would itself drop", lines(&p.breaks)),
        ("newly isolates", p.isolates.clone()),
        ("note", p.notes.clone()),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

pub fn text(p: &Proposal, report: &Report, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let mut comment = |line: &str| writeln!(out, "# {}", clean(line));
    comment(&format!("flowhy check --propose: {}", headline(p)))?;
    if p.broken > 0 {
        comment("tried on the same traffic: no conversation is newly dropped or admitted but those named here")?;
    }
    for (title, lines) in told(p, if paint.unicode { "→" } else { "->" }) {
        comment(&format!("{title}:"))?;
        for line in lines {
            comment(&format!("  {line}"))?;
        }
    }
    comment("what this does not show:")?;
    for line in unseen(&report.unseen, &report.filter) {
        comment(&format!("  {line}"))?;
    }
    for Made { yaml, .. } in &p.policies {
        write!(out, "---\n{yaml}")?;
    }
    Ok(())
}

pub fn json(p: &Proposal, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Summary<'a> {
        complete: bool,
        broken: u64,
        kept: u64,
        unsaid: &'a [Line],
        also: &'a [Line],
        breaks: &'a [Line],
        isolates: &'a [String],
        notes: &'a [String],
        filter: &'a str,
        unseen: &'a super::Unseen,
    }
    #[derive(Serialize)]
    struct Last<'a> {
        summary: Summary<'a>,
    }
    for made in &p.policies {
        serde_json::to_writer(&mut *out, made)?;
        out.write_all(b"\n")?;
    }
    let (filter, unseen) = (report.filter.as_str(), &report.unseen);
    let (unsaid, also, breaks, isolates, notes) = (&p.unsaid[..], &p.also[..], &p.breaks[..], &p.isolates[..], &p.notes[..]);
    let complete = report.totals.conversations > 0 && p.complete();
    let summary = Summary { complete, broken: p.broken, kept: p.kept, unsaid, also, breaks, isolates, notes, filter, unseen };
    serde_json::to_writer(&mut *out, &Last { summary })?;
    out.write_all(b"\n")
}

pub fn markdown(p: &Proposal, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "### flowhy check: rules that keep what worked\n\n{}.\n", plain(&headline(p)))?;
    for (title, lines) in told(p, "→") {
        writeln!(out, "#### {title}\n")?;
        for line in lines {
            writeln!(out, "- {}", plain(&line))?;
        }
        writeln!(out)?;
    }
    if !p.policies.is_empty() {
        let all: Vec<&str> = p.policies.iter().map(|m| m.yaml.as_str()).collect();
        writeln!(out, "```yaml\n{}```\n", all.join("---\n"))?;
    }
    writeln!(out, "<details><summary>What this does not show</summary>\n")?;
    for line in unseen(&report.unseen, &report.filter) {
        writeln!(out, "- {}", plain(&line))?;
    }
    writeln!(out, "\n</details>")
}
