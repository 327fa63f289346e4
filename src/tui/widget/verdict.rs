//! The VERDICT cell: what happened, and for a drop which side and which policy. Pairs flow and policy in 24 columns.
use super::l7::application;
use super::pen::{Seg, seg};
use crate::engine::Engine;
use crate::model::observed::{Direction, Verdict};
use crate::model::reason;
use crate::model::row::Row;
use crate::model::why::{Outcome, PolicyRef, Why};
use crate::tui::theme::Look;
use ratatui::style::Style;

/// The policy that stands for the set: the one whose rule came nearest, else the first.
pub fn chief(why: &Why) -> Option<&str> {
    let nearest = why.nearest.as_ref().map(|n| n.name.as_str());
    nearest.filter(|n| why.policies.iter().any(|p| p.name == *n)).or_else(|| why.policies.first().map(|p| p.name.as_str()))
}

/// ` +n` for the policies besides the one that is named.
pub fn more(policies: &[PolicyRef]) -> String {
    // Several rules of one object are one policy.
    let mut names: Vec<_> = policies.iter().map(|p| (&p.kind, &p.namespace, &p.name)).collect();
    names.sort();
    names.dedup();
    if names.len() > 1 { format!(" +{}", names.len() - 1) } else { String::new() }
}

pub fn side(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Egress) => "egress ",
        Some(Direction::Ingress) => "ingress",
        None => "",
    }
}

/// Glyph and style of a verdict.
pub fn sign(look: Look, verdict: Verdict) -> (&'static str, Style) {
    match verdict {
        Verdict::Forwarded | Verdict::Redirected => (look.g.ok, look.pass()),
        Verdict::Dropped | Verdict::Error => (look.g.no, look.drop()),
        Verdict::Audit => (look.g.audit, look.warn()),
        _ => (look.g.dot, look.dim()),
    }
}

/// The cell of a row. `l7`: there is room for what the proxy saw. `short`: only the policy's name.
pub fn cell(look: Look, engine: &Engine, seq: u64, row: &Row, l7: bool, short: bool) -> Vec<Seg> {
    let (glyph, style) = sign(look, row.verdict);
    let mut out = vec![seg(format!("{glyph} "), style)];
    let why = row.cause.and_then(|id| engine.causes().get(id)).map(|c| &*c.why);
    match (row.verdict, why) {
        (Verdict::Dropped | Verdict::Audit | Verdict::Error, Some(why)) => denied(&mut out, look, engine, seq, row, why, short),
        (Verdict::Dropped, None) => out.push(seg(printed(row.drop), look.plain())),
        (Verdict::Error, None) => out.push(seg("error", style)),
        (Verdict::Audit, None) => out.push(seg("audit", style)),
        (Verdict::Redirected, _) => out.push(seg("to proxy", look.dim())),
        (Verdict::Traced, _) => out.push(seg("traced", look.dim())),
        (Verdict::Translated, _) => out.push(seg("translated", look.dim())),
        (Verdict::Unknown, _) => out.push(seg("unknown", look.dim())),
        // Numbers of Retina's own.
        (Verdict::Other(15), _) => out.push(seg("sent again", look.dim())),
        (Verdict::Other(16), _) => out.push(seg("dns", look.dim())),
        (Verdict::Other(n), _) => out.push(seg(format!("verdict {n}"), look.dim())),
        (Verdict::Forwarded, _) => {}
    }
    if row.verdict == Verdict::Forwarded && row.l7.is_some() && l7 {
        let (text, bad) = application(engine, seq);
        out.push(seg(text, if bad { look.warn() } else { look.dim() }));
    }
    out
}

fn denied(out: &mut Vec<Seg>, look: Look, engine: &Engine, seq: u64, row: &Row, why: &Why, short: bool) {
    let dim = look.dim();
    let name = chief(why).unwrap_or("").to_owned();
    let side = side(why.direction);
    if short && !name.is_empty() {
        out.push(seg(name, look.strong()));
        return;
    }
    match why.outcome {
        Outcome::L7Denied | Outcome::DnsRefused => {
            out.push(seg(if why.outcome == Outcome::DnsRefused { "dns " } else { "l7 " }, look.plain()));
            out.push(seg(format!("{name} "), look.strong()));
            out.push(seg(application(engine, seq).0, dim));
        }
        Outcome::NotPolicy => {
            let text = if row.drop == 0 { why.text.clone() } else { printed(row.drop) };
            out.push(seg(if short { "" } else { "not policy: " }, look.plain()));
            out.push(seg(text, dim));
        }
        Outcome::Undecidable => match why.reported.as_ref().and_then(|r| r.policies.first()) {
            // What the agent named is worth more in this cell than what we could not find out.
            Some(p) => out.extend([seg(format!("{side} "), look.plain()), seg(p.name.clone(), look.strong()), seg(" (agent)", dim)]),
            None => {
                out.push(seg("undecidable", look.plain()));
                out.push(seg(why.missing.first().map_or(String::new(), |m| format!(": {m}")), dim));
            }
        },
        Outcome::NowAllowed => out.extend([seg(format!("{side} "), look.plain()), seg("now allowed?", look.warn())]),
        Outcome::AuthRequired => out.extend([seg(format!("{side} "), look.plain()), seg(name, look.strong()), seg(" auth", dim)]),
        Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::HostFirewall | Outcome::Allowed => {
            out.push(seg(format!("{side} "), look.plain()));
            if name.is_empty() {
                out.push(seg(why.text.clone(), dim));
            } else {
                out.push(seg(name, look.strong()));
                out.push(seg(more(&why.policies), dim));
            }
        }
    }
}

/// What the cell of a denied flow says, in full: whose policy, and what is wrong. `shop/db-ingress: no rule allows port 5433`.
pub fn spoken(engine: &Engine, row: &Row) -> Option<String> {
    let why = row.cause.and_then(|id| engine.causes().get(id)).map(|c| &*c.why)?;
    let derived = chief(why).and_then(|name| why.policies.iter().find(|p| p.name == name)).map(PolicyRef::path);
    let named = || why.reported.as_ref().and_then(|r| r.policies.first()).map(|p| format!("{} (agent)", p.path()));
    Some(derived.or_else(named).map_or_else(|| why.text.clone(), |whose| format!("{whose}: {}", why.text)))
}

/// A reason as Hubble prints it, in running text.
pub fn printed(drop: u16) -> String {
    match reason::by_number(u32::from(drop)) {
        _ if drop == 0 => "no reason given".to_owned(),
        Some(r) => {
            let mut c = r.printed.chars();
            // `CT: …` stays as it is.
            match (c.next(), c.as_str()) {
                (Some(f), rest) if !rest.starts_with(|c: char| c.is_uppercase()) => f.to_lowercase().chain(rest.chars()).collect(),
                _ => r.printed.to_owned(),
            }
        }
        None => format!("reason {drop}"),
    }
}
