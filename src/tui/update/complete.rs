//! Completion in the filter bar: fields and fixed values from `query`, live values with counts from the flows held.
use crate::engine::Engine;
use crate::model::observed::{L7, Observed};
use crate::model::reason;
use crate::model::row::{End, Row};
use crate::model::sym::Sym;
use crate::query::fields::Name;
use crate::query::{CompletionKind, complete, quoted};
use crate::tui::prompt::{Offer, Offers, Prompt};
use crate::tui::widget::l7::path;
use std::collections::HashMap;

/// Newest flows whose values are counted.
const FLOWS: usize = 20_000;
/// The same of what has to be read from the raw record.
const WHOLE: usize = 1_000;
/// Offers held.
const MOST: usize = 50;

/// Tab: the first offer, then the next one, round and round.
pub fn tab(p: &mut Prompt, engine: &Engine, forward: bool) {
    let mut offers = match p.offers.take() {
        Some(o) => o,
        None => gather(p, engine),
    };
    let n = offers.items.len();
    if n == 0 {
        return;
    }
    let next = match offers.at {
        None if forward => 0,
        None => n - 1,
        Some(at) if forward => (at + 1) % n,
        Some(at) => (at + n - 1) % n,
    };
    let Some(item) = offers.items.get(next) else { return };
    p.splice(offers.start, p.cursor, &item.text.clone());
    offers.at = Some(next);
    // The only offer is taken; the next Tab completes what comes after it.
    if n > 1 {
        p.offers = Some(offers);
    }
}

fn gather(p: &Prompt, engine: &Engine) -> Offers {
    let found = complete(&p.text, p.cursor);
    let typed = p.text.get(found.start..p.cursor).unwrap_or("").trim_start_matches('"').to_ascii_lowercase();
    let mut items: Vec<Offer> = found.items.into_iter().map(|text| Offer { text, count: None }).collect();
    if let CompletionKind::Values(name, side) = found.kind {
        let side = side.map(|s| s == crate::model::view::End::Source);
        let live = values(engine, name, side);
        let matching = live.into_iter().filter(|(v, _)| v.to_ascii_lowercase().starts_with(&typed));
        for (v, n) in matching {
            let text = quoted(&v);
            // What is offered anyway is offered once, with how often it is seen.
            match items.iter_mut().find(|i| i.text.eq_ignore_ascii_case(&text)) {
                Some(known) => known.count = Some(n),
                None => items.push(Offer { text, count: Some(n) }),
            }
        }
    }
    // What is there comes before what might be.
    items.sort_by_key(|i| std::cmp::Reverse(i.count.unwrap_or(0)));
    items.truncate(MOST);
    Offers { start: found.start, items, at: None }
}

/// The newest flows with everything that they have.
fn whole(engine: &Engine) -> impl Iterator<Item = Observed> {
    engine.store().seqs().rev().take(WHOLE).filter_map(|s| engine.observed(s))
}

fn of_party(o: &Observed, name: Name, source: Option<bool>) -> Vec<String> {
    let sides = [(&o.src, source != Some(false)), (&o.dst, source != Some(true))];
    let mut out = Vec::new();
    for (party, _) in sides.into_iter().filter(|s| s.1) {
        match name {
            Name::Svc => out.extend(party.service.iter().map(|(ns, n)| if ns.is_empty() { n.clone() } else { format!("{ns}/{n}") })),
            Name::Cluster => out.extend(Some(party.cluster.clone()).filter(|c| !c.is_empty())),
            // What the cluster itself writes on every pod tells nothing apart.
            _ => out.extend(
                party
                    .labels
                    .iter()
                    .filter(|l| !l.contains("io.cilium.k8s") && !l.contains("io.kubernetes.pod") && !l.starts_with("reserved:"))
                    .map(|l| l.split_once(':').map_or(l.clone(), |(_, label)| label.to_owned())),
            ),
        }
    }
    // One flow counts once.
    out.sort();
    out.dedup();
    out
}

fn of_proxy(l7: L7, name: Name) -> Option<String> {
    let found = match (l7, name) {
        (L7::Http { method, .. }, Name::HttpMethod) => method,
        (L7::Http { url, .. }, Name::HttpPath) => path(&url).split(['?', '#']).next().unwrap_or("").to_owned(),
        (L7::Http { code, .. }, Name::HttpStatus) if code > 0 => code.to_string(),
        (L7::Dns { query, .. }, Name::DnsQuery) => query.trim_end_matches('.').to_owned(),
        (L7::Kafka { topic, .. }, Name::KafkaTopic) => topic,
        _ => return None,
    };
    Some(found).filter(|f| !f.is_empty())
}

/// Values of a field among the newest flows, most frequent first. `source`: only that side.
fn values(engine: &Engine, name: Name, source: Option<bool>) -> Vec<(String, u64)> {
    let store = engine.store();
    let rows = store.seqs().rev().take(FLOWS).filter_map(|s| store.row(s));
    let ends = move |r: &Row| -> Vec<End> {
        match source {
            Some(true) => vec![r.src],
            Some(false) => vec![r.dst],
            None => vec![r.src, r.dst],
        }
    };
    let pick = |get: fn(&End) -> Sym| {
        let mut counts: HashMap<Sym, u64> = HashMap::new();
        for r in rows.clone() {
            let mut last = None;
            for sym in ends(&r).iter().map(get).filter(|s| !s.is_empty()) {
                // One flow inside a namespace counts once.
                if last != Some(sym) {
                    *counts.entry(sym).or_default() += 1;
                }
                last = Some(sym);
            }
        }
        counts.into_iter().map(|(s, n)| (store.name(s).to_owned(), n)).collect::<Vec<_>>()
    };
    let tally = |values: Vec<String>| {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for v in values {
            *counts.entry(v).or_default() += 1;
        }
        counts.into_iter().collect::<Vec<_>>()
    };
    let mut out = match name {
        Name::Ns => pick(|e| e.ns),
        Name::Pod => pick(|e| e.pod),
        Name::Workload => pick(|e| e.workload),
        Name::Fqdn => pick(|e| e.name),
        Name::Node => tally(rows.map(|r| store.name(r.node).to_owned()).filter(|n| !n.is_empty()).collect()),
        // Only the ports that flows go to: the others are countless and mean nothing.
        Name::Port => tally(rows.map(|r| r.dst.port).filter(|p| *p > 0).map(|p| p.to_string()).collect()),
        Name::Ip => tally(rows.flat_map(|r| ends(&r)).filter_map(|e| e.ip.get()).map(|ip| ip.to_string()).collect()),
        Name::Identity => tally(rows.flat_map(|r| ends(&r)).map(|e| e.identity).filter(|i| *i > 0).map(|i| i.to_string()).collect()),
        Name::Drop => {
            tally(rows.filter_map(|r| reason::by_number(r.drop.into())).filter(|r| r.number > 0).map(|r| r.name.to_owned()).collect())
        }
        Name::Verdict => tally(rows.map(|r| format!("{:?}", r.verdict).to_lowercase()).filter(|v| !v.contains('(')).collect()),
        Name::Svc | Name::Label | Name::Cluster => tally(whole(engine).flat_map(|o| of_party(&o, name, source)).collect()),
        Name::HttpMethod | Name::HttpPath | Name::HttpStatus | Name::DnsQuery | Name::KafkaTopic => {
            tally(whole(engine).filter_map(|o| of_proxy(o.l7?, name)).collect())
        }
        Name::Cause => engine.causes().iter().map(|c| (c.id.0.to_string(), c.events)).collect(),
        Name::Policy => {
            let all = engine.causes().iter().flat_map(|c| c.why.policies.iter().map(|p| (p.path(), c.events)));
            let mut counts: HashMap<String, u64> = HashMap::new();
            all.for_each(|(p, n)| *counts.entry(p).or_default() += n);
            counts.into_iter().collect()
        }
        _ => Vec::new(),
    };
    out.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    out
}
