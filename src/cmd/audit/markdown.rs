//! The report for a ticket or an auditor: short, in tables, and it says what was not looked at.
//!
//! Owns the layout, and that no name from a file or the network can act as markup.
use super::report::{Content, Finding, InNamespace, Report, Severity, Traffic};
use super::text::{admits, coverage, judged, known, on_port, tally, verdict};
use super::words::{list, moment};
use crate::model::text::clean;
use std::io::{self, Write};

/// Rows of a table; the JSON has all.
const MOST_ROWS: usize = 100;
const MOST_PODS: usize = 5;

/// Writes the report.
pub fn markdown(r: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Network policy audit\n\n**{}**\n", verdict(r))?;
    writeln!(out, "- judged {}", safe(&judged(r)))?;
    let p = &r.policies;
    writeln!(out, "- policies: {} evaluated, {} refused, {} of kinds that are not evaluated", p.evaluated, p.refused, p.not_evaluated)?;
    writeln!(out, "- pods: {}", known(r))?;
    writeln!(out, "- ingress: {}\n- egress: {}\n- by {}\n", tally(&r.ingress), tally(&r.egress), r.program)?;
    let namespaces = r.namespaces.iter().map(|n| vec![n.name.clone(), side(&n.ingress), side(&n.egress)]);
    table(out, "Namespaces", &["Namespace", "Ingress", "Egress"], namespaces)?;
    for (severity, title) in [(Severity::Open, "Open"), (Severity::Unknown, "Not known"), (Severity::Note, "Notes")] {
        let rows = r.findings.iter().filter(|f| f.severity == severity).map(row);
        table(out, title, &["Where", "What", "Pods", "Place"], rows)?;
    }
    if let Some(t) = &r.traffic {
        traffic(t, out)?;
    }
    writeln!(out, "## Not looked at\n")?;
    r.not_looked_at.iter().try_for_each(|s| writeln!(out, "- {}", safe(s)))?;
    writeln!(out)?;
    let inputs = r.inputs.iter().map(|f| {
        vec![
            f.path.clone(),
            f.sha256.clone().unwrap_or_else(|| {
                if f.what == Content::Cluster { "its API was asked, not hashed" } else { "a stream, not hashed" }.to_owned()
            }),
        ]
    });
    table(out, "Read", &["File", "SHA-256"], inputs)
}

fn side(n: &InNamespace) -> String {
    if n.pods.total == 0 { format!("no pod at hand, a new one {}", n.new_pod.word()) } else { tally(&n.pods) }
}

fn row(f: &Finding) -> Vec<String> {
    let place = f.place.as_ref().map(ToString::to_string).unwrap_or_default();
    let policy = f.policy.as_ref().map(|p| p.path()).filter(|p| !f.text.contains(p)).map(|p| format!("{p}: ")).unwrap_or_default();
    let namespace = f.namespace.clone().unwrap_or_else(|| "the cluster".to_owned());
    vec![namespace, format!("{policy}{}", f.text), list(&f.pods, MOST_PODS), place]
}

fn traffic(t: &Traffic, out: &mut dyn Write) -> io::Result<()> {
    let rows = t.admitted.iter().map(|a| {
        let subject = if a.namespace.is_empty() { a.subject.clone() } else { format!("{}/{}", a.namespace, a.subject) };
        vec![
            subject,
            a.direction.word().to_owned(),
            a.peer.clone(),
            on_port(a),
            admits(a),
            a.records.to_string(),
            a.first.as_deref().map(moment).unwrap_or_default(),
            a.last.as_deref().map(moment).unwrap_or_default(),
        ]
    });
    table(out, "Let through", &["Subject", "Direction", "Peer", "Port", "By", "Records", "First", "Last"], rows)?;
    let idle = t.idle_rules.iter().flatten().map(|r| {
        let rule = r.policy.rule.clone().unwrap_or_default();
        vec![format!("{} {}", r.policy.kind, r.policy.path()), rule, r.place.to_string()]
    });
    table(out, "Allow rules without a hit", &["Policy", "Rule", "Place"], idle)?;
    writeln!(out, "## What the recording covers\n")?;
    coverage(t).iter().try_for_each(|s| writeln!(out, "- {}", safe(s)))?;
    writeln!(out)
}

/// A table, or nothing where there is no row.
fn table(out: &mut dyn Write, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let mut n = 0usize;
    for row in rows {
        if n == 0 {
            writeln!(out, "## {title}\n\n| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()))?;
        }
        if n < MOST_ROWS {
            writeln!(out, "| {} |", row.iter().map(|c| safe(c)).collect::<Vec<_>>().join(" | "))?;
        }
        n += 1;
    }
    if n > MOST_ROWS {
        writeln!(out, "\n+{} more; all of them with `-o json`", n - MOST_ROWS)?;
    }
    if n > 0 { writeln!(out) } else { Ok(()) }
}

/// Text that stands for itself in a cell.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        if matches!(c, '|' | '<' | '>' | '[' | ']' | '`' | '*' | '_' | '\\' | '&' | '#' | '~') {
            // An entity works inside and outside of tables, and no backslash of the text can undo it.
            out.push_str(&format!("&#{};", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_markup() {
        let mut out = Vec::new();
        let evil = "a|b`<img src=x>[x](y)\n| z".to_owned();
        table(&mut out, "T", &["A"], [vec![evil]].into_iter()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|l| l.starts_with('|')).count(), 3, "{text}");
        assert!(!text.contains('<') && !text.contains('`') && !text.contains("]("), "{text}");
    }

    #[test]
    fn a_long_table_says_how_many_are_left_out() {
        let mut out = Vec::new();
        table(&mut out, "T", &["A"], (0..MOST_ROWS + 3).map(|i| vec![i.to_string()])).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("+3 more"));
    }
}
