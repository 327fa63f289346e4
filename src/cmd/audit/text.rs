//! The report for a person at a terminal: at most 100 columns, by namespace, the worst first, long lists cut with "+n more".
//!
//! Owns the layout and the bounds of lists. Every string passes `clean`: names come from files and from the network.
use super::Style;
use super::report::{Admitted, By, Content, Finding, InNamespace, Report, Severity, Tally, Traffic};
use super::words::{count, list, moment, port, span};
use crate::model::captures::only;
use crate::model::text::clean;
use std::io::{self, Write};

const WIDTH: usize = 100;
const MOST_NAMESPACES: usize = 60;
const MOST_FINDINGS: usize = 12;
const MOST_PODS: usize = 6;
const MOST_SUBJECTS: usize = 40;
const MOST_PEERS: usize = 6;
const MOST_LISTED: usize = 10;

/// Writes the report.
pub fn text(r: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut p = Pen { style, out };
    head(r, &mut p)?;
    namespaces(r, &mut p)?;
    if let Some(t) = &r.traffic {
        traffic(t, &mut p)?;
    }
    p.title("not looked at")?;
    for sentence in &r.not_looked_at {
        p.block("  ", "  ", sentence)?;
    }
    if !r.inputs.is_empty() {
        p.title("read (SHA-256)")?;
    }
    for f in &r.inputs {
        p.line(&format!(
            "  {}  {}",
            f.sha256.as_deref().unwrap_or(match f.what {
                Content::Cluster => "not hashed, its API was asked",
                Content::Manifest | Content::Recording => "not hashed, it was a stream",
            }),
            f.path
        ))?;
    }
    Ok(())
}

struct Pen<'a> {
    style: Style,
    out: &'a mut dyn Write,
}

impl Pen<'_> {
    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", clean(text).trim_end())
    }

    fn title(&mut self, text: &str) -> io::Result<()> {
        let text = clean(text);
        if self.style.color { writeln!(self.out, "\n\x1b[1m{text}\x1b[0m") } else { writeln!(self.out, "\n{text}") }
    }

    /// Words wrapped at the width; a word that is wider, as paths may be, stays whole.
    fn block(&mut self, first: &str, rest: &str, text: &str) -> io::Result<()> {
        let text = clean(text);
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                writeln!(self.out, "{}", line.trim_end())?;
                line = rest.to_owned();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    fn glyph(&self, s: Severity) -> String {
        let (glyph, code) = match (s, self.style.unicode) {
            (Severity::Open, true) => ("✗", "31"),
            (Severity::Open, false) => ("x", "31"),
            (Severity::Unknown, _) => ("?", "33"),
            (Severity::Note, true) => ("·", "2"),
            (Severity::Note, false) => ("-", "2"),
        };
        let word = format!("{:<9}", s.word());
        if self.style.color { format!("\x1b[{code}m{glyph} {word}\x1b[0m") } else { format!("{glyph} {word}") }
    }
}

/// `3 open, 1 not known, 2 notes`
pub(super) fn verdict(r: &Report) -> String {
    let c = r.counts;
    let open = if c.open == 0 { "nothing open".to_owned() } else { format!("{} open", c.open) };
    format!("{open}, {} not known, {}", c.unknown, count(c.note, "note"))
}

pub(super) fn judged(r: &Report) -> String {
    let j = &r.judged;
    let engine = match &j.cilium_version {
        Some(version) => format!("Cilium {version}"),
        None => "the Kubernetes API says".to_owned(),
    };
    let firewall = if j.host_firewall { "on" } else { "off" };
    format!("as {engine}; policy enforcement {}, host firewall {firewall}, allow-localhost {}", j.policy_enforcement, j.allow_localhost)
}

/// Where the pods are known from: `3 by their manifests, 22 by the templates of workloads, which want 31`.
pub(super) fn known(r: &Report) -> String {
    let k = &r.known_from;
    let mut all = Vec::new();
    if k.manifests > 0 {
        all.push(format!("{} by their manifests", k.manifests));
    }
    if k.templates > 0 {
        all.push(format!("{} by the templates of workloads, which want {} replicas", k.templates, k.replicas));
    }
    if k.traffic > 0 {
        all.push(format!("{} by the recording alone", k.traffic));
    }
    if all.is_empty() { "none at hand".to_owned() } else { all.join("; ") }
}

/// `12 of 17 pods closed, 3 open, 2 not known`
pub(super) fn tally(t: &Tally) -> String {
    if t.total == 0 {
        return "no pod at hand".to_owned();
    }
    let mut text = format!("{} of {} closed", t.closed, count(t.total, "pod"));
    for (n, word) in [(t.open, "open"), (t.unknown, "not known"), (t.uncovered, "not covered")] {
        if n > 0 {
            text.push_str(&format!(", {n} {word}"));
        }
    }
    text
}

fn head(r: &Report, p: &mut Pen<'_>) -> io::Result<()> {
    p.line(&format!("audit: {}", verdict(r)))?;
    p.block("  judged     ", "             ", &judged(r))?;
    let policies = &r.policies;
    let more = [(policies.refused, "refused"), (policies.not_evaluated, "of kinds that are not evaluated")];
    let more: String = more.iter().filter(|(n, _)| *n > 0).map(|(n, w)| format!(", {n} {w}")).collect();
    p.line(&format!("  policies   {} evaluated{more}", policies.evaluated))?;
    p.block("  pods       ", "             ", &known(r))?;
    p.line(&format!("  ingress    {}", tally(&r.ingress)))?;
    p.line(&format!("  egress     {}", tally(&r.egress)))
}

/// `ingress 2 of 5 pods closed`, or what a new pod would be where there is none.
fn side(word: &str, n: &InNamespace) -> String {
    if n.pods.total == 0 { format!("{word}: no pod at hand, a new one {}", n.new_pod.word()) } else { format!("{word} {}", tally(&n.pods)) }
}

fn namespaces(r: &Report, p: &mut Pen<'_>) -> io::Result<()> {
    let of = |ns: Option<&str>| r.findings.iter().filter(|f| f.namespace.as_deref() == ns).collect::<Vec<_>>();
    let mut quiet = Vec::new();
    let mut shown = 0;
    let mut more = Vec::new();
    let mut by_namespace: std::collections::HashMap<Option<&str>, Vec<&Finding>> = std::collections::HashMap::new();
    for f in &r.findings {
        by_namespace.entry(f.namespace.as_deref()).or_default().push(f);
    }
    for n in &r.namespaces {
        match by_namespace.get(&Some(n.name.as_str())) {
            None => quiet.push(n.name.as_str()),
            Some(_) if shown >= MOST_NAMESPACES => more.push(n.name.as_str()),
            Some(list) => {
                shown += 1;
                p.title(&n.name)?;
                p.block("  ", "  ", &format!("{}; {}", side("ingress", &n.ingress), side("egress", &n.egress)))?;
                findings(list, p)?;
            }
        }
    }
    if !more.is_empty() {
        p.title(&format!("+{} more with findings", count(more.len(), "namespace")))?;
        p.block("  ", "  ", &list(&more, MOST_LISTED))?;
    }
    if !quiet.is_empty() {
        p.title("nothing found in")?;
        p.block("  ", "  ", &list(&quiet, MOST_LISTED))?;
    }
    // Those of policies of the whole cluster, and of namespaces that only a finding names.
    let known: std::collections::HashSet<&str> = r.namespaces.iter().map(|n| n.name.as_str()).collect();
    let mut others: Vec<_> = r.findings.iter().filter_map(|f| f.namespace.as_deref()).filter(|ns| !known.contains(ns)).collect();
    others.dedup();
    for ns in others.into_iter().take(MOST_NAMESPACES) {
        p.title(ns)?;
        findings(&of(Some(ns)), p)?;
    }
    let cluster = of(None);
    if !cluster.is_empty() {
        p.title("the cluster as a whole")?;
        findings(&cluster, p)?;
    }
    Ok(())
}

fn findings(all: &[&Finding], p: &mut Pen<'_>) -> io::Result<()> {
    let indent = " ".repeat(14);
    for f in all.iter().take(MOST_FINDINGS) {
        let glyph = p.glyph(f.severity);
        write!(p.out, "  {glyph} ")?;
        let text = match &f.policy {
            Some(policy) if !f.text.contains(&policy.path()) => format!("{}: {}", policy.path(), f.text),
            _ => f.text.clone(),
        };
        let mut first = true;
        for line in wrapped(&clean(&text), WIDTH - indent.len()) {
            if first {
                writeln!(p.out, "{line}")?
            } else {
                writeln!(p.out, "{indent}{line}")?
            }
            first = false;
        }
        if let Some(place) = f.place.as_ref().filter(|l| !f.text.contains(&l.to_string())) {
            p.line(&format!("{indent}{place}"))?;
        }
        if !f.pods.is_empty() {
            p.block(&indent, &indent, &list(&f.pods, MOST_PODS))?;
        }
    }
    if all.len() > MOST_FINDINGS {
        p.line(&format!("  +{} more; all of them with -o json", all.len() - MOST_FINDINGS))?;
    }
    Ok(())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// What admits it, in words.
pub(super) fn admits(a: &Admitted) -> String {
    match a.by {
        By::Rule => {
            let rule = |r: &super::report::Rule| {
                let id = r.policy.rule.as_deref().unwrap_or("");
                format!("{} {} {id} ({})", r.policy.kind, r.policy.path(), r.place)
            };
            list(&a.rules.iter().map(rule).collect::<Vec<_>>(), 2)
        }
        By::Unknown => format!("not known without {}", list(&a.missing, 3)),
        by => by.words().to_owned(),
    }
}

pub(super) fn on_port(a: &Admitted) -> String {
    match (a.port, a.protocol) {
        (Some(n), p) => port(n, p.unwrap_or("")),
        (None, Some(p)) => p.to_owned(),
        (None, None) => "any".to_owned(),
    }
}

fn traffic(t: &Traffic, p: &mut Pen<'_>) -> io::Result<()> {
    p.title("let through")?;
    let mut subjects: Vec<&[Admitted]> =
        t.admitted.chunk_by(|a, b| (&a.namespace, &a.subject, a.direction) == (&b.namespace, &b.subject, b.direction)).collect();
    if subjects.is_empty() {
        p.line("  nothing that was recorded")?;
    }
    // Those first that no rule admits.
    subjects.sort_by_key(|s| s.iter().map(|a| a.by).min());
    for all in subjects.iter().take(MOST_SUBJECTS) {
        let Some(first) = all.first() else { continue };
        let subject = if first.namespace.is_empty() { first.subject.clone() } else { format!("{}/{}", first.namespace, first.subject) };
        p.line(&format!("  {} {subject}", if first.direction.word() == "ingress" { "into" } else { "out of" }))?;
        let mut peers: Vec<&Admitted> = all.iter().collect();
        peers.sort_by_key(|a| (a.by, std::cmp::Reverse(a.records)));
        for a in peers.iter().take(MOST_PEERS) {
            p.block("    ", "      ", &format!("{} on {}: {}", a.peer, on_port(a), admits(a)))?;
            let times = match (&a.first, &a.last) {
                (Some(f), Some(l)) if f != l => format!(", {} to {}", moment(f), moment(l)),
                (Some(f), _) => format!(", {}", moment(f)),
                _ => String::new(),
            };
            p.line(&format!("      {}{times}", records(a.records)))?;
        }
        if peers.len() > MOST_PEERS {
            p.line(&format!("    +{} more", peers.len() - MOST_PEERS))?;
        }
    }
    if subjects.len() > MOST_SUBJECTS {
        p.line(&format!("  +{} more subjects; all of them with -o json", subjects.len() - MOST_SUBJECTS))?;
    }
    if let Some(idle) = &t.idle_rules {
        p.title("allow rules without a hit")?;
        if idle.is_empty() {
            p.line("  none: each decided something that was recorded")?;
        }
        for r in idle.iter().take(MOST_LISTED) {
            p.line(&format!("  {} {} {} ({})", r.policy.kind, r.policy.path(), r.policy.rule.as_deref().unwrap_or(""), r.place))?;
        }
        if idle.len() > MOST_LISTED {
            p.line(&format!("  +{} more; all of them with -o json", idle.len() - MOST_LISTED))?;
        }
    }
    p.title("what the recording covers")?;
    for sentence in coverage(t) {
        p.block("  ", "    ", &sentence)?;
    }
    Ok(())
}

fn records(n: u64) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), "record")
}

/// The coverage of the evidence, in sentences.
pub(super) fn coverage(t: &Traffic) -> Vec<String> {
    let c = &t.coverage;
    let mut out = Vec::new();
    out.push(match (&c.from, &c.to) {
        (Some(from), Some(to)) => format!("{} to {}, {} of {}", moment(from), moment(to), records(c.records), count(c.nodes.len(), "node")),
        _ => format!("{}, none with a time", records(c.records)),
    });
    match &c.gaps {
        None => out.push("gaps: too long a time to keep them".to_owned()),
        Some(gaps) if gaps.is_empty() => out.push("gaps: none of a minute or more".to_owned()),
        Some(gaps) => {
            let all: Vec<_> = gaps.iter().map(|g| format!("{} from {}", span(g.seconds), moment(&g.from))).collect();
            out.push(format!("gaps: {}", list(&all, 4)));
        }
    }
    if !c.may_lack.is_empty() {
        out.push(list(&c.may_lack, 4));
    }
    if !c.made_with.is_empty() {
        out.push(only(&c.made_with));
    }
    if !c.silent_nodes.is_empty() {
        out.push(format!("nodes without a record: {}", list(&c.silent_nodes, MOST_LISTED)));
    }
    let lost: u64 = c.lost.values().fold(0, |a, n| a.saturating_add(*n));
    let per: Vec<_> = c.lost.iter().map(|(who, n)| format!("{who} {n}")).collect();
    out.push(if lost == 0 { "lost events: none reported".to_owned() } else { format!("lost events: {lost} ({})", list(&per, 4)) });
    if !c.filter.is_empty() {
        out.push(format!("filter of this run: {}; it left out {}", c.filter, records(c.refused)));
    }
    for (n, what) in [
        (c.malformed, "lines could not be read"),
        (c.timeless, "records have no time"),
        (c.without_initiator, "conversations do not say who began them, and are left out above"),
        (c.overflow, "records are of conversations beyond what is held, and are left out above"),
        (c.unknown_fields, "fields or values of flows are not known here"),
    ] {
        if n > 0 {
            out.push(format!("{n} {what}"));
        }
    }
    out
}
