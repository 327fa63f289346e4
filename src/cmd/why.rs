//! `flowhy why`: one explanation per distinct drop, as text for a person or one JSON object a line.
//!
//! Owns the layout of that report. Judges nothing: every word comes from the engine's causes.
use crate::engine::Engine;
use crate::engine::causes::{Cause, State};
use crate::engine::contrast::Contrast;
use crate::model::suggestion::Suggestion;
use crate::model::text::clean;
use crate::model::time::Nanos;
use crate::model::why::{Agreement, Nearest, Outcome, PolicyRef, Why};
use crate::policy::Judging;
use crate::wire::json;
use serde::Serialize;
use std::io::{self, Write};

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub json: bool,
    /// Glyphs outside ASCII.
    pub unicode: bool,
    /// Colour, and escaping of control characters: the reader is a terminal.
    pub terminal: bool,
    pub color: bool,
}

/// What the report is based on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Basis {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Events that servers said they lost.
    pub lost: u64,
    pub filter: String,
    /// How policies were judged; filled in by [`report`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judging>,
}

/// Names in one line of text; JSON has them all.
const NAMED: usize = 6;

/// Writes one entry per cause, oldest first; returns how many.
pub fn report(engine: &Engine, basis: &Basis, style: Style, out: &mut dyn Write) -> io::Result<usize> {
    let judged = Judging::of(engine.judging(), engine.policies());
    let words = judged.words();
    let basis = &Basis { judged: Some(judged), ..basis.clone() };
    let ground = engine.ground();
    let here = std::env::current_dir().unwrap_or_default();
    let mut n = 0;
    let contrasts = engine.contrast();
    for cause in engine.causes().iter() {
        let suggestion = engine.suggest(cause, &ground, &basis.filter).seen_from(&here);
        let contrast = contrasts.get(&cause.id).map(Vec::as_slice).unwrap_or_default();
        let state = engine.state(cause, engine.now());
        if style.json {
            entry_json(engine, cause, (contrast, &suggestion), basis, state, out)?;
        } else {
            if n > 0 {
                writeln!(out)?;
            }
            entry_text(cause, (contrast, &suggestion), state, style, out)?;
        }
        n += 1;
    }
    if let (false, true, Some(words)) = (style.json, n > 0, words) {
        let words = if style.terminal { clean(&words).into_owned() } else { words };
        writeln!(out, "\njudged {words}")?;
    }
    Ok(n)
}

/// What is found besides the explanation: what sets the dropped flows apart, and what would let them through.
type Besides<'a> = (&'a [Contrast], &'a Suggestion);

fn entry_json(
    engine: &Engine,
    cause: &Cause,
    (contrast, suggestion): Besides<'_>,
    basis: &Basis,
    state: State,
    out: &mut dyn Write,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(flatten)]
        why: &'a Why,
        count: u64,
        events: u64,
        first: String,
        last: String,
        state: &'static str,
        flows: Vec<Box<serde_json::value::RawValue>>,
        /// The workloads it hits, where there are several; the first hundred pairs' of them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        workloads: Vec<&'a str>,
        /// The requests that were refused, where there are several; the first twenty.
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        requests: &'a [String],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        contrast: &'a [Contrast],
        suggestion: &'a Suggestion,
        basis: &'a Basis,
    }
    let mut flow = Vec::new();
    if let Some(response) = engine.store().response(cause.example) {
        json::write_response(&response, &mut flow);
    }
    let flows = String::from_utf8(flow).ok().and_then(|s| serde_json::value::RawValue::from_string(s).ok()).into_iter().collect();
    let several = |n: usize| n > 1;
    let workloads = Some(cause.workloads().0).filter(|w| cause.is_shared() && several(w.len())).unwrap_or_default();
    let requests = Some(cause.requests().0).filter(|r| several(r.len())).unwrap_or_default();
    let entry = Entry {
        why: &cause.why,
        count: cause.records,
        events: cause.events,
        first: cause.first.to_string(),
        last: cause.last.to_string(),
        state: state.word(),
        flows,
        workloads,
        requests,
        contrast,
        suggestion,
        basis,
    };
    serde_json::to_writer(&mut *out, &entry)?;
    out.write_all(b"\n")
}

/// The first few of a list, and how many more there are.
fn some<'a>(items: impl ExactSizeIterator<Item = std::borrow::Cow<'a, str>>, or_more: bool) -> String {
    let n = items.len();
    let mut out: Vec<_> = items.take(NAMED).collect();
    if n > NAMED || or_more {
        let left = n.saturating_sub(NAMED);
        out.push(if or_more { format!("{left} or more").into() } else { format!("{left} more").into() });
    }
    out.join(", ")
}

pub(super) fn names(policies: &[PolicyRef]) -> String {
    let name = |p: &PolicyRef| match &p.rule {
        Some(rule) => format!("{} {} {rule}", p.kind, p.path()),
        None => format!("{} {}", p.kind, p.path()),
    };
    some(policies.iter().map(|p| name(p).into()), false)
}

pub(super) fn policies_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DefaultDeny | Outcome::HostFirewall => "isolated by",
        Outcome::DeniedByRule => "denied by",
        Outcome::L7Denied | Outcome::DnsRefused => "L7 rules of",
        Outcome::AuthRequired => "demanded by",
        Outcome::NowAllowed | Outcome::Allowed => "allowed by",
        Outcome::NotPolicy | Outcome::Undecidable => "policies",
    }
}

/// `5 drops (10 records), 12:53:39 to 12:53:48 on 2026-02-07, ongoing`
fn tally(cause: &Cause, state: State) -> String {
    let what = if cause.audit { "audited packet" } else { "drop" };
    let s = if cause.events == 1 { "" } else { "s" };
    let records = if cause.records == cause.events { String::new() } else { format!(" ({} records)", cause.records) };
    let (first, last) = (cause.first.utc(), cause.last.utc());
    let when = if cause.first == Nanos::default() {
        "time unknown".to_owned()
    } else if cause.first == cause.last {
        first.format("%F %T").to_string()
    } else if first.date_naive() == last.date_naive() {
        format!("{} to {}", first.format("%F %T"), last.format("%T"))
    } else {
        format!("{} to {}", first.format("%F %T"), last.format("%F %T"))
    };
    format!("{} {what}{s}{records}, {when}, {}", cause.events, state.word())
}

/// The rule that came nearest, and under it each condition that failed.
pub(super) fn nearest(n: &Nearest, bad: &str, row: &mut dyn FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    let place = match (&n.file, n.line) {
        (Some(f), Some(l)) => format!("  ({f}:{l})"),
        (Some(f), None) => format!("  ({f})"),
        _ => String::new(),
    };
    let path = n.namespace.as_ref().map_or_else(|| n.name.clone(), |ns| format!("{ns}/{}", n.name));
    row("nearest", &format!("{} {path} {}{place}", n.kind, n.rule))?;
    n.failed.iter().try_for_each(|f| row("", &format!("{bad} {}: wanted {}, got {}", f.on, f.wanted, f.got)))
}

/// `shop/cart → shop/db:5433/TCP`
pub(super) fn head(cause: &Cause, style: Style) -> String {
    let arrow = if style.unicode { "→" } else { "->" };
    let port = match (cause.port, cause.l4) {
        (0, None) => String::new(),
        (0, Some(l4)) => format!(" {}", l4.word()),
        (p, l4) => format!(":{p}{}", l4.map(|l| format!("/{}", l.word())).unwrap_or_default()),
    };
    format!("{} {arrow} {}{port}", cause.from, cause.to)
}

fn entry_text(cause: &Cause, (contrast, suggestion): Besides<'_>, state: State, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let why = &*cause.why;
    let (bad, audit, dot) = if style.unicode { ("✗", "~", "·") } else { ("x", "~", "-") };
    let glyph = match (cause.audit, why.outcome) {
        (true, _) => audit,
        (_, Outcome::NotPolicy) => dot,
        _ => bad,
    };
    let paint = |code: &str, s: &str| if style.color { format!("\x1b[{code}m{s}\x1b[0m") } else { s.to_owned() };
    let text = |s: &str| if style.terminal { clean(s).into_owned() } else { s.to_owned() };
    let red = if cause.audit || why.outcome == Outcome::NotPolicy { "33" } else { "31" };

    let head = text(&head(cause, style));
    writeln!(out, "{} {}", paint(red, glyph), paint("1", &head))?;
    let mut row = |label: &str, value: &str| writeln!(out, "  {label:<12} {}", text(value));
    let side = match (why.direction, &why.subject) {
        (Some(d), Some(s)) => format!("{} of {s}: ", d.word()),
        (Some(d), None) => format!("{}: ", d.word()),
        _ => String::new(),
    };
    row(why.outcome.word(), &format!("{side}{}", why.text))?;
    if !why.policies.is_empty() {
        row(policies_label(why.outcome), &names(&why.policies))?;
    }
    let (workloads, more) = cause.workloads();
    if cause.is_shared() && workloads.len() > 1 {
        row("workloads", &some(workloads.iter().map(|w| (*w).into()), more))?;
    }
    let (requests, more) = cause.requests();
    if requests.len() > 1 {
        row("requests", &some(requests.iter().map(|r| r.as_str().into()), more))?;
    }
    for side in &why.sides {
        let also = if side.policies.is_empty() { String::new() } else { format!(", {}", names(&side.policies)) };
        row("", &format!("{} of {}: {}{also}", side.direction.word(), side.subject, side.outcome.word()))?;
    }
    if let Some(n) = &why.nearest {
        nearest(n, bad, &mut row)?;
    }
    if let Some(r) = &why.reported {
        let log = if r.log.is_empty() { String::new() } else { format!(" log: {}", r.log.join("; ")) };
        row("reported", &format!("{}{log}", names(&r.policies)))?;
        for (p, detail) in r.policies.iter().map(|p| (p, r.detail(p))).filter(|(_, d)| !d.is_empty()) {
            row("", &format!("{}: {detail}", p.path()))?;
        }
    }
    for m in &why.missing {
        row("missing", m)?;
    }
    if why.agreement == Agreement::Disagrees {
        let did = if cause.audit { "would have dropped" } else { "dropped" };
        match why.outcome {
            Outcome::NowAllowed => row("but", &format!("the datapath {did} it, and our evaluation does not"))?,
            _ => row("but", "the datapath gives another reason than our evaluation")?,
        }
    }
    // A fact is said once.
    for b in why.because.iter().filter(|b| !why.text.contains(b.as_str())) {
        row("because", b)?;
    }
    for c in why.changes() {
        row("changed", &c)?;
    }
    for d in &why.diagnosis {
        row("note", &d.text)?;
    }
    if !why.inferred.is_empty() {
        row("inferred", &why.inferred.join(", "))?;
    }
    for c in contrast {
        let forwarded = format!("{} of {} forwarded", c.forwarded, c.of_forwarded);
        row("contrast", &format!("{} {}: {} of {} dropped, {forwarded}", c.on, c.value, c.dropped, c.of_dropped))?;
    }
    row("seen", &tally(cause, state))?;
    try_text(suggestion, style, out)
}

/// What to try: the change as it would be applied, and what it would do to the traffic at hand.
fn try_text(s: &Suggestion, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let text = |s: &str| if style.terminal { clean(s).into_owned() } else { s.to_owned() };
    let mut row = |label: &str, value: &str| writeln!(out, "  {label:<12} {}", text(value));
    if let Some(client) = &s.client {
        row("client?", client)?;
    }
    row("try", &s.title)?;
    if s.applies() {
        row("", &s.proof())?;
        for a in &s.also {
            row("", &format!("also admits {} {} {} {}", a.from, if style.unicode { "→" } else { "->" }, a.to, a.what))?;
        }
        if s.also_more > 0 {
            row("", &format!("also admits {} more", s.also_more))?;
        }
        if !s.isolates.is_empty() {
            let more = if s.isolates_more > 0 { format!(" and {} more", s.isolates_more) } else { String::new() };
            row("isolates", &format!("{}{more}", s.isolates.join(", ")))?;
        }
    }
    for n in &s.notes {
        row("note", n)?;
    }
    for line in s.text().lines() {
        let code = match line.as_bytes().first() {
            _ if s.patch.is_none() || !style.color => "",
            Some(b'+') => "32",
            Some(b'-') => "31",
            _ => "2",
        };
        let line = text(line);
        if code.is_empty() {
            writeln!(out, "    {line}")?;
        } else {
            writeln!(out, "    \x1b[{code}m{line}\x1b[0m")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let policy = |i: usize| PolicyRef { kind: "NetworkPolicy".into(), namespace: Some("a".into()), name: format!("p{i}"), rule: None };
        let of = |n: usize| names(&(0..n).map(policy).collect::<Vec<_>>());
        assert_eq!(of(2), "NetworkPolicy a/p0, NetworkPolicy a/p1");
        assert!(of(6).ends_with("NetworkPolicy a/p5"));
        assert!(of(2000).ends_with("NetworkPolicy a/p5, 1994 more"), "{}", of(2000));
        let words = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(some(words.iter().map(|w| (*w).into()), true), "a, b, c, d, e, f, 1 or more");
    }
}
