//! The L7 rule that came nearest to letting a request pass.
use super::near::{Checked, check};
use crate::model::why::{Failed, Mark};
use crate::policy::eval::Case;
use crate::policy::eval::l7::{self, Http, Kafka, Request};
use crate::policy::eval::port;
use crate::policy::ir::{HttpRule, KafkaRule, L7Rules, Matcher, Policy, Ports, Rule};
use crate::policy::selector::Tri;
use std::sync::Arc;

/// One L7 rule held against a request.
pub struct NearL7<'p> {
    pub policy: &'p Arc<Policy>,
    pub rule: &'p Rule,
    /// `ingress[0].http[0]`.
    pub id: String,
    pub lines: (u32, u32),
    pub checked: Checked,
    /// Components of the request that fail, worst kind first, to rank equals.
    rank: (usize, usize, usize),
}

/// Every L7 rule of the given rules that stands on this flow's port, nearest first.
pub fn nearest<'p>(rules: &[(&'p Arc<Policy>, &'p Rule)], case: &Case<'_>) -> Vec<NearL7<'p>> {
    let Some(request) = &case.traffic.request else { return Vec::new() };
    let mut out = Vec::new();
    for (order, (policy, rule)) in rules.iter().enumerate() {
        let base = check(rule, case, &[]);
        let Ports::Of(list) = &rule.ports else { continue };
        let several = list.iter().filter(|p| p.l7.is_some()).count() > 1;
        for (i, pr) in list.iter().enumerate() {
            if !pr.ports.iter().any(|p| port::matches(p, case, &mut Vec::new()).0 != Tri::No) {
                continue;
            }
            let prefix = if several { format!("{}.toPorts[{i}]", rule.id) } else { rule.id.clone() };
            match (&pr.l7, request) {
                (Some(L7Rules::Http(https)), Request::Http(h)) => {
                    for r in https {
                        let (checked, wrong) = http(r, h, &base);
                        // A path that fits tells more than a method that does.
                        let path = usize::from(l7::path(r, h) != Tri::Yes);
                        out.push(NearL7 {
                            policy,
                            rule,
                            id: format!("{prefix}.{}", r.id),
                            lines: r.lines,
                            checked,
                            rank: (wrong, path, order),
                        });
                    }
                }
                (Some(L7Rules::Dns(names)), Request::Dns(q)) => {
                    for r in names {
                        let mut checked = base.clone();
                        let ok = r.pattern.regex.is_match(q);
                        checked.marks.push(Mark { line: r.line, ok, text: format!("query is {q}") });
                        if !ok {
                            checked.failed.push((Failed { on: "dns", wanted: r.pattern.text.clone(), got: q.clone() }, r.line));
                        }
                        // The longest common tail is the nearest name.
                        let apart = 255usize.saturating_sub(common_tail(&r.pattern.text, q));
                        let rank = (usize::from(!ok), apart, order);
                        out.push(NearL7 { policy, rule, id: format!("{prefix}.{}", r.id), lines: (r.line, r.line), checked, rank });
                    }
                }
                (Some(L7Rules::Kafka(list)), Request::Kafka(k)) => {
                    for r in list {
                        let (checked, wrong) = kafka(r, k, &base);
                        out.push(NearL7 {
                            policy,
                            rule,
                            id: format!("{prefix}.{}", r.id),
                            lines: r.lines,
                            checked,
                            rank: (wrong, 0, order),
                        });
                    }
                }
                _ => {}
            }
        }
    }
    out.sort_by_key(|n| n.rank);
    out
}

fn common_tail(a: &str, b: &str) -> usize {
    a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x.eq_ignore_ascii_case(y)).count()
}

/// Conditions of one Kafka rule; request and topic are one condition in words, and two in rank.
fn kafka(r: &KafkaRule, k: &Kafka, base: &Checked) -> (Checked, usize) {
    let mut c = base.clone();
    let bad = [l7::kafka_key(r, k, &mut Vec::new()), l7::kafka_topic(r, k)].iter().filter(|t| **t == Tri::No).count();
    let version = r.version.filter(|v| *v != k.version);
    let ok = bad == 0 && version.is_none();
    c.marks.push(Mark { line: r.lines.0, ok, text: format!("request is {}", Request::Kafka(k.clone()).words()) });
    if bad > 0 {
        let any = |t: &str, any: &str| if t.is_empty() { any.to_owned() } else { t.to_owned() };
        let wanted = format!("{} {}", any(&r.key, "any request"), any(r.topic.as_deref().unwrap_or(""), "any topic"));
        c.failed.push((Failed { on: "kafka", wanted, got: Request::Kafka(k.clone()).words() }, r.lines.0));
    }
    if let Some(v) = version {
        c.failed.push((Failed { on: "kafka", wanted: format!("version {v}"), got: format!("version {}", k.version) }, r.lines.0));
    }
    (c, bad + usize::from(version.is_some()))
}

fn shown(m: Option<&Matcher>, any: &str) -> String {
    m.map_or_else(|| any.to_owned(), |m| m.text.clone())
}

/// Conditions of one HTTP rule; method and path are one condition in words, and two in rank.
fn http(r: &HttpRule, h: &Http, base: &Checked) -> (Checked, usize) {
    let mut c = base.clone();
    let (method, path) = (l7::method(r, h), l7::path(r, h));
    let mut wrong = 0;
    for (m, t, what) in [(&r.method, method, &h.method), (&r.path, path, &h.path)] {
        if let Some(m) = m {
            c.marks.push(Mark { line: m.line, ok: t == Tri::Yes, text: format!("request has {what}") });
        }
        wrong += usize::from(t == Tri::No);
    }
    if method == Tri::No || path == Tri::No {
        let at = if method == Tri::No { &r.method } else { &r.path };
        let line = at.as_ref().map_or(r.lines.0, |m| m.line);
        let wanted = format!("{} {}", shown(r.method.as_ref(), "any method"), shown(r.path.as_ref(), "any path"));
        c.failed.push((Failed { on: "http", wanted, got: format!("{} {}", h.method, h.path) }, line));
    }
    if let (Some(m), Tri::No) = (&r.host, l7::host(r, h, &mut Vec::new())) {
        wrong += 1;
        let got = h.host.as_deref().unwrap_or("none");
        c.marks.push(Mark { line: m.line, ok: false, text: format!("request has host {got}") });
        c.failed.push((Failed { on: "http", wanted: format!("host {}", m.text), got: format!("host {got}") }, m.line));
    }
    for header in &r.headers {
        if l7::header(header, h, &mut Vec::new()) == Tri::No {
            wrong += 1;
            let wanted = match &header.value {
                Some(v) => format!("header {}: {v}", header.name),
                None => format!("header {}", header.name),
            };
            let got = h.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(&header.name));
            let got = got.map_or_else(|| format!("no header {}", header.name), |(k, v)| format!("header {k}: {v}"));
            c.marks.push(Mark { line: header.line, ok: false, text: format!("request has {got}") });
            c.failed.push((Failed { on: "http", wanted, got }, header.line));
        }
    }
    c.marks.sort_by_key(|m| m.line);
    (c, wrong)
}
