//! The report for a person at a terminal or in the log of a CI run. Owns layout only.
use super::group::{Change, Group, Place};
use super::unseen::{Unjudged, Unseen};
use super::{Paint, Report, Threshold};
use crate::cmd::why::nearest;
use crate::model::captures::only;
use crate::model::text::clean;
use crate::model::time::Nanos;
use crate::model::why::{Outcome, PolicyRef};
use crate::model::words::few;
use std::io::{self, Write};

/// Entries and names shown; JSON has all of them.
const SHOWN: usize = 100;
const NAMES: usize = 10;

pub fn write(report: &Report, threshold: Threshold, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    for group in report.groups.iter().take(SHOWN) {
        entry(group, paint, out)?;
        writeln!(out)?;
    }
    if report.groups.len() > SHOWN {
        writeln!(out, "+{} more entries; -o json has all\n", report.groups.len() - SHOWN)?;
    }
    let verdict = if report.totals.conversations == 0 || report.fails(threshold) { ("31", "fails") } else { ("32", "passes") };
    let word = if paint.color { format!("\x1b[{}m{}\x1b[0m", verdict.0, verdict.1) } else { verdict.1.to_owned() };
    writeln!(out, "{word}: {}", sentence(report))?;
    writeln!(out, "\nwhat this does not show")?;
    for line in unseen(&report.unseen, &report.filter) {
        writeln!(out, "  {}", clean(&line))?;
    }
    Ok(())
}

/// `2 of 412 conversations would be newly dropped; …`
pub fn sentence(report: &Report) -> String {
    let t = &report.totals;
    if t.conversations == 0 {
        return "no conversation was judged".to_owned();
    }
    let mut parts = Vec::new();
    for (count, what) in [
        (t.new_drops, "newly dropped"),
        (t.undecidable, if report.compared { "undecidable" } else { "undecidable, which worked" }),
        (t.undecidable_dropped, "undecidable, which were dropped"),
        (t.admitted, "newly admitted"),
        (t.kept, if report.compared { "allowed as before" } else { "still allowed" }),
        (t.still_dropped, "still dropped"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    format!("{}: {}", many(t.conversations, "conversation"), parts.join(", "))
}

/// `k8s/db.yaml:12`, or nothing.
pub fn stands(p: &Place) -> String {
    if p.file.is_empty() { String::new() } else { format!("{}:{}", p.file, p.line) }
}

pub fn named(p: &PolicyRef) -> String {
    match &p.rule {
        Some(rule) => format!("{} {} {rule}", p.kind, p.path()),
        None => format!("{} {}", p.kind, p.path()),
    }
}

fn listed(places: &[Place]) -> String {
    let one = |p: &Place| match stands(p).as_str() {
        "" => named(&p.policy),
        at => format!("{} ({at})", named(&p.policy)),
    };
    few(places.iter().map(one), NAMES)
}

/// What the policies of an entry do.
pub fn role(g: &Group) -> &'static str {
    match g.outcome {
        None => "admitted by",
        Some(Outcome::DefaultDeny | Outcome::HostFirewall) => "isolated by",
        Some(Outcome::L7Denied | Outcome::DnsRefused) => "L7 rules of",
        Some(_) => "denied by",
    }
}

/// `new drop`, `admitted`, `undecidable`.
pub fn word(c: Change) -> &'static str {
    match c {
        Change::NewDrop => "new drop",
        Change::Undecidable => "undecidable",
        Change::Admitted => "admitted",
    }
}

/// `egress of shop/cart: no rule allows port 5432`
pub fn why(g: &Group) -> String {
    match g.direction {
        Some(d) => format!("{} of {}: {}", d.word(), if d.word() == "egress" { &g.from } else { &g.to }, g.text),
        None => g.text.clone(),
    }
}

/// `3 conversations (1 dropped at times), 40 records, 2026-01-31 14:00:00 to 14:05:10`
pub fn tally(g: &Group) -> String {
    let mut notes = Vec::new();
    for (n, what) in [(g.partly, "dropped at times"), (g.audited, "let through by audit mode"), (g.dropped, "dropped so far")] {
        // Of what is admitted everything was dropped so far.
        if n > 0 && !(g.change == Change::Admitted && n == g.dropped && n == g.conversations) {
            notes.push(format!("{n} {what}"));
        }
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    let when = match (g.first, g.last) {
        (first, _) if first == Nanos::default() => String::new(),
        (first, last) if first == last => format!(", {}", first.utc().format("%F %T")),
        (first, last) if first.utc().date_naive() == last.utc().date_naive() => {
            format!(", {} to {}", first.utc().format("%F %T"), last.utc().format("%T"))
        }
        (first, last) => format!(", {} to {}", first.utc().format("%F %T"), last.utc().format("%F %T")),
    };
    format!("{}{notes}, {}{when}", many(g.conversations, "conversation"), many(g.records, "record"))
}

fn entry(g: &Group, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let (bad, good, arrow) = if paint.unicode { ("✗", "✓", "→") } else { ("x", "+", "->") };
    let (code, glyph) = match g.change {
        Change::NewDrop => ("31", bad),
        Change::Undecidable => ("33", "?"),
        Change::Admitted => ("36", good),
    };
    let color = |code: &str, s: &str| if paint.color { format!("\x1b[{code}m{s}\x1b[0m") } else { s.to_owned() };
    let head = clean(&format!("{} {arrow} {} {}", g.from, g.to, g.port)).into_owned();
    writeln!(out, "{} {}  {}", color(code, glyph), color("1", &head), word(g.change))?;
    let mut row = |label: &str, value: &str| writeln!(out, "  {label:<12} {}", clean(value));
    row("why", &why(g))?;
    if !g.policies.is_empty() {
        row(role(g), &listed(&g.policies))?;
    }
    if !g.also.is_empty() {
        row("and also", &format!("ingress of {} denies it: {}", g.to, listed(&g.also)))?;
    }
    if let Some(n) = &g.nearest {
        nearest(n, bad, &mut row)?;
    }
    if !g.before.is_empty() {
        row("before", &listed(&g.before))?;
    }
    row("seen", &tally(g))?;
    let mut said: Vec<String> = Vec::new();
    for e in &g.examples {
        let request = e.request.as_ref().map(|r| format!("  {r}")).unwrap_or_default();
        let example = format!("{} {arrow} {} {}{request}", e.from, e.to, e.port);
        // Two record types asked for one name read the same.
        if !said.contains(&example) {
            row("for example", &example)?;
            said.push(example);
        }
    }
    Ok(())
}

fn some(names: &[String]) -> String {
    let mut all: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = format!("+{} more", names.len().saturating_sub(NAMES));
    if names.len() > NAMES {
        all.push(&more);
    }
    all.join(", ")
}

fn many(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What lies behind the answer and what does not, a line each.
pub fn unseen(u: &Unseen, filter: &str) -> Vec<String> {
    let mut out = Vec::new();
    let span = match (&u.from, &u.to) {
        (Some(a), Some(b)) => format!("{a} to {b}"),
        _ => "at unknown times".to_owned(),
    };
    out.push(format!("seen: {} of {}, {span}; judged as {}", many(u.records, "record"), many(u.nodes as u64, "node"), u.judged));
    match &u.gaps {
        Some(gaps) if gaps.is_empty() => {}
        Some(gaps) => {
            let all: Vec<String> = gaps.iter().map(|g| format!("{} to {}", g.from, g.to)).collect();
            out.push(format!("nothing was recorded for more than a minute at: {}", some(&all)));
        }
        None => out.push("the times of the records are too many to tell gaps".to_owned()),
    }
    if !u.may_lack.is_empty() {
        out.push(some(&u.may_lack));
    }
    if !u.made_with.is_empty() {
        out.push(only(&u.made_with));
    }
    if !filter.is_empty() {
        out.push(format!("the filter {filter:?} left {} records out", u.refused));
    } else if u.refused > 0 {
        out.push(format!("{} records lie outside the times asked for", u.refused));
    }
    for (n, what, of) in [
        (u.lost, "lost by the servers", "event"),
        (u.malformed, "not readable", "line"),
        (u.overflow, "of conversations beyond the number that can be held", "record"),
        (u.initiator_unknown, "not judged, because nothing says who began", "conversation"),
        (
            u.frontends,
            "not judged, because the address is a service's own (the packet to the pod behind it is its own record)",
            "conversation",
        ),
        (u.failed, "not judged, because it failed for a reason that is no policy's, or no verdict is told", "conversation"),
    ] {
        if n > 0 {
            out.push(format!("{what}: {}", many(n, of)));
        }
    }
    if !u.silent.is_empty() {
        out.push(format!("in the manifests, and never heard ({}): {}", u.silent.len(), some(&u.silent)));
    }
    if !u.idle.is_empty() {
        let all: Vec<String> = u.idle.iter().map(named).collect();
        out.push(format!("policies that select nobody who appears ({}): {}", all.len(), some(&all)));
    }
    let places = |list: &[Unjudged]| -> Vec<String> {
        list.iter().map(|p| format!("{} {} ({}:{})", p.policy.kind, p.policy.path(), p.file, p.line)).collect()
    };
    if !u.not_evaluated.is_empty() {
        out.push(format!("policies of kinds that are not evaluated ({}): {}", u.not_evaluated.len(), some(&places(&u.not_evaluated))));
    }
    if !u.refused_policies.is_empty() {
        let all = places(&u.refused_policies);
        out.push(format!("policies that would be refused, and enforce nothing ({}): {}", all.len(), some(&all)));
    }
    out.push("a conversation that did not happen while this was recorded is not in it".to_owned());
    out
}
