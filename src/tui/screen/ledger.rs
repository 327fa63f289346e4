//! Where every frame went: the balance law, losses, what could not be read and why, manifests' faults, links.
use crate::engine::Engine;
use crate::model::input::Link;
use crate::policy::Unread;
use crate::tui::model::Model;
use crate::tui::text::{count, many, span, width, wrap};
use crate::tui::widget::pen::{Seg, length, seg};

/// Faults listed; further ones are counted.
const MOST: usize = 200;

/// What is lost or cannot be read is never held back: here a pause stops nothing, and that is said.
pub fn title(m: &Model) -> &'static str {
    if m.is_paused() { " live, also while the picture is paused" } else { "" }
}

pub fn lines(m: &Model, engine: &Engine, w: u16) -> Vec<Vec<Seg>> {
    let look = m.look;
    let l = engine.ledger();
    let w = usize::from(w);
    let mut out: Vec<Vec<Seg>> = Vec::new();
    let head = |out: &mut Vec<Vec<Seg>>, text: &str| {
        if !out.is_empty() {
            out.push(Vec::new());
        }
        let rule = look.g.rule.repeat(w.saturating_sub(width(text) + 2));
        out.push(vec![seg(format!(" {text} "), look.strong()), seg(rule, look.dim())]);
    };
    head(&mut out, "where every frame went");
    let widest = [l.frames, l.decoded, l.admitted].iter().map(|n| count(*n).len()).max().unwrap_or(1);
    let mut law = |name: &str, all: u64, parts: [(&str, u64, bool); 3]| {
        let mut line = vec![seg(format!("   {name:<9}{:>widest$}  =", count(all)), look.plain())];
        for (i, (part, n, bad)) in parts.into_iter().filter(|p| !p.0.is_empty()).enumerate() {
            let style = if bad && n > 0 { look.warn() } else { look.plain() };
            line.push(seg(format!("{} {part} {}", if i == 0 { "" } else { " +" }, count(n)), style));
        }
        // On a narrow screen each part has its own line: no number of a balance is cut.
        if length(&line) > w {
            let parts = line.split_off(1);
            out.push(line);
            out.extend(parts.into_iter().map(|p| vec![seg("     ", look.plain()), p]));
        } else {
            out.push(line);
        }
    };
    law("frames", l.frames, [("decoded", l.decoded, false), ("malformed", l.malformed, true), ("skipped", l.skipped, false)]);
    law("decoded", l.decoded, [("admitted", l.admitted, false), ("refused", l.refused, false), ("notices", l.notices, false)]);
    law("admitted", l.admitted, [("held", l.held, false), ("evicted", l.evicted, false), ("", 0, false)]);
    if l.events() > 0 {
        let text = format!("   of the notices: {} of agents, {} of their debugging", many(l.agent_events, "event"), count(l.debug_events));
        out.push(vec![seg(text, look.dim())]);
    }
    out.push(if l.balanced() {
        vec![seg(format!("   {} ", look.g.ok), look.pass()), seg("it balances: nothing was lost here", look.plain())]
    } else {
        vec![seg(format!("   {} it does not balance: please report this", look.g.no), look.drop())]
    });
    if l.raw_evicted > 0 {
        out.push(vec![seg(
            format!("   {} of the flows held are without their raw record (byte budget)", count(l.raw_evicted)),
            look.warn(),
        )]);
    }
    if m.missed > 0 {
        let text = format!("not on the disk, which was behind or failed: {}, held only here", many(m.missed, "flow"));
        out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]));
    }
    if let Some(cause) = &m.ringless {
        let text = format!("what is seen is kept only here: {cause}");
        out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]));
    }
    let streams = m.streams(engine);
    if streams || !engine.captures().limits().is_empty() {
        // No filter is hidden.
        let (text, style) = match (engine.captures().now(), &*engine.captures().limits()) {
            ("", "") => ("every flow is asked for: a filter chooses what is shown, never what is collected".to_owned(), look.dim()),
            ("", before) if streams => (format!("every flow is asked for; before that only {before}"), look.warn()),
            (_, limits) if streams => {
                (format!("asked for, and DNS besides, are only {limits}: what else there was never came (:capture all)"), look.warn())
            }
            (_, limits) => (format!("recorded was only {limits}: what else there was is not here"), look.warn()),
        };
        out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), style)]));
    }
    head(&mut out, "lost before it came here");
    if l.lost.is_empty() {
        out.push(vec![seg("   0 lost: no server reported a loss", look.plain())]);
    }
    for (place, n) in l.lost.iter().take(MOST) {
        out.push(vec![seg(format!("   {:>9}  ", count(*n)), look.drop()), seg(place.clone(), look.plain())]);
    }
    if l.lost.len() > MOST {
        let rest = l.lost.values().skip(MOST).fold(0u64, |a, n| a.saturating_add(*n));
        out.push(vec![seg(format!("   and {} more of {}", count(rest), many((l.lost.len() - MOST) as u64, "other")), look.dim())]);
    }
    // Nobody can count them.
    for gap in l.gaps.iter().rev().take(MOST) {
        out.extend(wrap(&gap.to_string(), w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]));
    }
    if l.gap_count > l.gaps.len() as u64 {
        out.push(vec![seg(format!("   and {} earlier such times", count(l.gap_count - l.gaps.len() as u64)), look.dim())]);
    }
    let nodes = engine.nodes();
    if !nodes.is_empty() {
        head(&mut out, "nodes");
        let away = nodes.away().count();
        let text = format!("   {} of {} answer", count((nodes.len() - away) as u64), count(nodes.len() as u64));
        out.push(vec![seg(text, if away > 0 { look.warn() } else { look.plain() })]);
        for (name, a) in nodes.away().take(MOST) {
            let what = if a.failed { "failed" } else { "unavailable" };
            let tail = if a.message.is_empty() { String::new() } else { format!(", {}", a.message) };
            let text = format!("{name}: {what}{tail}");
            out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.drop())]));
        }
        if away > MOST {
            out.push(vec![seg(format!("   and {} more", count((away - MOST) as u64)), look.dim())]);
        }
        if away > 0 {
            let text = "what the pods of such a node do does not come here, and nobody counts it as lost";
            out.extend(wrap(text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.dim())]));
        }
        if nodes.left_out > 0 {
            out.push(vec![seg(format!("   {} on further nodes found no room", many(nodes.left_out, "word")), look.warn())]);
        }
    }
    if l.malformed > 0 {
        head(&mut out, "could not be read");
        for e in &l.examples {
            for (i, part) in wrap(&format!("{}: {}", e.place, e.reason), w.saturating_sub(5)).into_iter().enumerate() {
                out.push(vec![seg(format!("   {}{part}", if i == 0 { "" } else { "  " }), look.warn())]);
            }
        }
        if l.malformed > l.examples.len() as u64 {
            out.push(vec![seg(format!("   and {} more", count(l.malformed - l.examples.len() as u64)), look.dim())]);
        }
    }
    head(&mut out, "policies and manifests");
    let p = engine.policies();
    let unknown = match p.not_understood().len() {
        0 => String::new(),
        n => format!(", {n} not understood yet"),
    };
    let text = format!("   {} judged, {} refused{unknown}", many(p.len() as u64, "policy"), p.refused().len());
    out.push(vec![seg(text, look.plain())]);
    if !p.given() {
        out.push(vec![seg("   none were given: --policies FILE|DIR", look.warn())]);
    }
    let unread: Vec<_> = p.unread().iter().map(Unread::words).chain(engine.world().all_unread()).collect();
    for what in unread {
        out.extend(wrap(&what, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]));
    }
    let forgotten = [
        (l.versions_forgotten, "older versions of policies are forgotten, for want of room: what is older is not judged by them"),
        (
            l.addresses_forgotten,
            "pods, services and namespaces of once are forgotten, for want of room: flows of then may lack their names and labels",
        ),
        (l.ids_left_out, "entries of agents' dictionaries are left out, for want of room or of a name: their numbers name nobody"),
        (l.ids_unnamed, "flows name their policy by a number that names nobody here"),
    ];
    for (n, what) in forgotten.into_iter().filter(|(n, _)| *n > 0) {
        out.extend(
            wrap(&format!("{} {what}", count(n)), w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]),
        );
    }
    for f in engine.faults().iter().take(MOST) {
        for (i, part) in wrap(&f.to_string(), w.saturating_sub(5)).into_iter().enumerate() {
            out.push(vec![seg(format!("   {}{part}", if i == 0 { "" } else { "  " }), look.warn())]);
        }
    }
    if engine.fault_count() > MOST {
        out.push(vec![seg(format!("   and {} more", count((engine.fault_count() - MOST) as u64)), look.dim())]);
    }
    if !engine.links().is_empty() || !engine.ended().is_empty() || engine.clocks().next().is_some() {
        head(&mut out, "sources");
    }
    for told in engine.clocks() {
        out.extend(wrap(told, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), look.warn())]));
    }
    for link in engine.links().values() {
        let (text, style) = match link {
            Link::Connecting { server } => (format!("{server}: connecting"), look.warn()),
            Link::Connected { server } => (format!("{server}: connected"), look.plain()),
            Link::Down { server, cause, hint, retry_ms } => {
                let hint = hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
                let wait = span(i64::try_from(*retry_ms).unwrap_or(0).saturating_mul(1_000_000));
                (format!("{server}: down, {cause}{hint}, next try in {wait}"), look.drop())
            }
            Link::Lost { server, cause, hint } => {
                let hint = hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
                (format!("{server}: given up, {cause}{hint}"), look.drop())
            }
            Link::Late { .. } | Link::Left { .. } | Link::Skewed { .. } | Link::Clock { .. } => continue,
        };
        out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), style)]));
    }
    for (name, how) in engine.ended() {
        let (text, style) = match how {
            Ok(()) => (format!("{name}: read to its end"), look.plain()),
            Err(e) => (format!("{name}: {e}"), look.drop()),
        };
        out.extend(wrap(&text, w.saturating_sub(5)).into_iter().map(|t| vec![seg(format!("   {t}"), style)]));
    }
    for (server, n) in l.late.iter().take(MOST) {
        out.push(vec![seg(format!("   {server}: {} came late, out of order", many(*n, "flow")), look.warn())]);
    }
    if l.reconnects > 0 {
        out.push(vec![seg(format!("   tried anew {}", many(l.reconnects, "time")), look.warn())]);
    }
    out
}
