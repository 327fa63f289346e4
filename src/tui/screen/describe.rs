//! Every field of one flow, as the wire has it, one a line, below a summary. Names are the wire's own, so that they can be looked up;
//! the one under the finger can be copied and filtered by.
use super::row;
use crate::engine::Engine;
use crate::model::observed::Verdict;
use crate::query::quoted;
use crate::tui::model::{Fields, Model};
use crate::tui::text::{width, wrap};
use crate::tui::widget::pen::{Pen, Seg, length, seg};
use crate::tui::widget::{l7, verdict};
use crate::wire::json::write_response;
use ratatui::layout::Rect;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Fields of one flow shown at most.
const MOST: usize = 5_000;

/// Path and value of every field, part by part and in the order of the wire; `None` if the raw frame is not held any more.
pub fn fields(engine: &Engine, seq: u64) -> Option<Vec<(String, String)>> {
    let response = engine.store().response(seq)?;
    let mut json = Vec::new();
    write_response(&response, &mut json);
    let mut out = Vec::new();
    let mut de = serde_json::Deserializer::from_slice(&json);
    // What we wrote ourselves is JSON; if not, what was read so far is shown.
    let _ = Leaf { path: String::new(), out: &mut out }.deserialize(&mut de);
    Some(in_parts(out))
}

/// Walks JSON in document order and notes each leaf with its path.
struct Leaf<'a> {
    path: String,
    out: &'a mut Vec<(String, String)>,
}

impl Leaf<'_> {
    fn push(&mut self, value: String) {
        if self.out.len() < MOST {
            self.out.push((std::mem::take(&mut self.path), value));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Leaf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(mut self, v: bool) -> Result<(), E> {
        self.push(v.to_string());
        Ok(())
    }

    fn visit_i64<E>(mut self, v: i64) -> Result<(), E> {
        self.push(v.to_string());
        Ok(())
    }

    fn visit_u64<E>(mut self, v: u64) -> Result<(), E> {
        self.push(v.to_string());
        Ok(())
    }

    fn visit_f64<E>(mut self, v: f64) -> Result<(), E> {
        self.push(v.to_string());
        Ok(())
    }

    fn visit_str<E>(mut self, v: &str) -> Result<(), E> {
        self.push(v.to_owned());
        Ok(())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.push("null".to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut n = 0;
        while seq.next_element_seed(Leaf { path: format!("{}[{n}]", self.path), out: &mut *self.out })?.is_some() {
            n += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
            map.next_value_seed(Leaf { path, out: &mut *self.out })?;
        }
        Ok(())
    }
}

/// A part of the record: its title, and how the paths begin that belong to it. What no other has is the last one's.
const PARTS: &[(&str, &[&str])] = &[
    ("what happened", &["verdict", "drop_reason", "traffic_direction", "is_reply", "Summary", "event_type", "trace_", "auth_type"]),
    ("policies", &["egress_", "ingress_", "policy_"]),
    ("request", &["l7."]),
    ("source", &["source.", "source_"]),
    ("destination", &["destination.", "destination_"]),
    ("network", &["l4.", "IP.", "ethernet.", "interface", "proxy_port", "tunnel", "ip_trace"]),
    ("record", &[]),
];

/// A path as it is shown: without what every one of them begins with.
fn short(path: &str) -> &str {
    path.strip_prefix("flow.").unwrap_or(path)
}

fn part(path: &str) -> usize {
    let path = short(path);
    PARTS.iter().position(|(_, heads)| heads.iter().any(|h| path.starts_with(h))).unwrap_or(PARTS.len() - 1)
}

/// Part by part; within one the order of the wire stays.
fn in_parts(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    fields.sort_by_key(|(path, _)| part(path));
    fields
}

/// A line of the page, and the field that begins there.
pub struct Line {
    segs: Vec<Seg>,
    field: Option<usize>,
}

/// What happened in a few words, before the fields that say it in full.
fn summary(m: &Model, engine: &Engine, d: &Fields, w: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let Some(row) = engine.store().row(d.seq) else { return Vec::new() };
    let mut out = Vec::new();
    let mut first: Vec<Seg> = vec![seg(" ", look.plain())];
    first.extend(verdict::cell(look, engine, d.seq, &row, false, false));
    if row.verdict == Verdict::Forwarded {
        first.push(seg("forwarded", look.plain()));
    }
    for said in [verdict::side(row.dir).trim_end().to_owned(), engine.store().name(row.node).to_owned(), m.clock(row.at, engine)] {
        let said_too = first.iter().any(|s| s.0.trim_end() == said);
        let more = format!("{}{said}", look.g.sep);
        // Half a time says nothing.
        if !said.is_empty() && !said_too && length(&first) + width(&more) <= w {
            first.push(seg(more, look.dim()));
        }
    }
    out.push(first);
    if row.l7.is_some() {
        let (text, bad) = l7::whole(look, engine, d.seq);
        let took = if row.wait > 0 { format!("  in {}", l7::took(row.wait)) } else { String::new() };
        let style = if bad { look.warn() } else { look.strong() };
        let lines = wrap(&format!("{text}{took}"), w.saturating_sub(3));
        out.extend(lines.into_iter().map(|l| vec![seg(format!("   {l}"), style)]));
    }
    if let Some(c) = row.cause.and_then(|id| engine.causes().get(id)) {
        let lines = wrap(&super::drops::sentence(c), w.saturating_sub(3));
        out.extend(lines.into_iter().map(|l| vec![seg(format!("   {l}"), look.strong())]));
    }
    out
}

pub fn lines(m: &Model, engine: &Engine, d: &Fields, w: u16) -> Vec<Line> {
    let look = m.look;
    let w = usize::from(w);
    let mut out: Vec<Line> = summary(m, engine, d, w).into_iter().map(|segs| Line { segs, field: None }).collect();
    let Some(fields) = &d.fields else {
        let text = "  the raw record of this flow is not held any more; the table has all that is left";
        out.push(Line { segs: vec![seg(text, look.warn())], field: None });
        return out;
    };
    let column = fields.iter().map(|(p, _)| width(short(p))).max().unwrap_or(0).min(w * 2 / 5);
    let mut last = None;
    for (i, (path, value)) in fields.iter().enumerate() {
        let of = part(path);
        if last.replace(of) != Some(of) {
            let title = PARTS.get(of).map_or("", |p| p.0);
            let rule = look.g.rule.repeat(w.saturating_sub(width(title) + 3));
            out.push(Line { segs: vec![seg(format!(" {title} "), look.strong()), seg(rule, look.dim())], field: None });
        }
        let path = crate::tui::text::clip(short(path), column, look.g.gap);
        let pad = column.saturating_sub(width(&path));
        let value = if value.is_empty() { vec!["\"\"".to_owned()] } else { wrap(value, w.saturating_sub(column + 6)) };
        for (k, text) in value.into_iter().enumerate() {
            let head = if k == 0 { format!("   {path}{:pad$}  ", "") } else { " ".repeat(column + 5) };
            out.push(Line { segs: vec![seg(head, look.dim()), seg(text, look.plain())], field: (k == 0).then_some(i) });
        }
    }
    out
}

/// The first line on the page, so that the field under the finger is among them; at the first one the summary is too.
fn top(lines: &[Line], d: &Fields, page: usize) -> usize {
    let most = lines.len().saturating_sub(page);
    let here = lines.iter().position(|l| l.field == Some(d.at)).unwrap_or(0);
    let least = (here + 2).saturating_sub(page).min(here);
    if d.at == 0 { 0 } else { d.scroll.at.clamp(least, here).min(most) }
}

/// Keeps the page where the finger is.
pub fn measure(m: &Model, engine: &Engine, d: &mut Fields, area: Rect) {
    let lines = lines(m, engine, d, area.width);
    let page = usize::from(area.height.saturating_sub(1));
    d.scroll.at = top(&lines, d, page);
    d.scroll.most = lines.len().saturating_sub(page);
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, d: &Fields, area: Rect) {
    let look = pen.look;
    let page = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let all = lines(m, engine, d, area.width);
    let n = d.fields.as_ref().map_or(0, Vec::len);
    let place = if n == 0 { String::new() } else { format!("{} of {n} fields ", d.at + 1) };
    let room = usize::from(area.width).saturating_sub(width(&place) + 2);
    let title = crate::tui::widget::name::pair(look, (&d.names.0, &d.names.1), "", room);
    pen.titled(row(area, 0), &[seg(" ", look.plain()), seg(title, look.strong())], &[seg(place, look.dim())]);
    for (y, l) in (page.y..page.bottom()).zip(all.iter().skip(d.scroll.at)) {
        pen.line(Rect { y, height: 1, ..page }, &l.segs);
        if l.field == Some(d.at) {
            pen.put(page.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..page }, look.selected());
        }
    }
}

/// A filter for a field of a flow: `source.namespace` and `shop` → `from.ns:shop`. None where no field of the language is meant.
pub fn term(path: &str, value: &str) -> Option<String> {
    let path = short(path);
    let sided = |rest: &str, side: &str| {
        let name = match rest {
            "namespace" => "ns",
            "pod_name" => "pod",
            "cluster_name" => "cluster",
            "identity" => "identity",
            r if r.starts_with("workloads[") && r.ends_with("name") => "workload",
            r if r.starts_with("labels[") => "label",
            _ => return None,
        };
        let value = if name == "label" {
            let (source, label) = value.split_once(':').unwrap_or(("", value));
            if source == "reserved" {
                return Some(format!("{side}.identity:{label}"));
            }
            label
        } else {
            value
        };
        Some(format!("{side}.{name}:{}", quoted(value)))
    };
    if value.is_empty() {
        return None;
    }
    for (head, side) in [("source.", "from"), ("destination.", "to")] {
        if let Some(rest) = path.strip_prefix(head) {
            return sided(rest, side);
        }
    }
    let name = match path {
        "IP.source" => "from.ip",
        "IP.destination" => "to.ip",
        "verdict" => return Some(format!("verdict:{}", value.to_lowercase())),
        "drop_reason_desc" => "drop",
        "traffic_direction" => return Some(format!("dir:{}", value.to_lowercase())),
        "is_reply" => "reply",
        "node_name" => "node",
        "uuid" => "uuid",
        "l7.http.method" => "http.method",
        "l7.http.code" => "http.status",
        "l7.dns.query" => "dns.query",
        "l7.kafka.topic" => "kafka.topic",
        "source_service.name" => "from.svc",
        "destination_service.name" => "to.svc",
        p if p.starts_with("source_names[") => "from.fqdn",
        p if p.starts_with("destination_names[") => "to.fqdn",
        p if p.starts_with("l4.") && p.ends_with(".source_port") => "from.port",
        p if p.starts_with("l4.") && p.ends_with(".destination_port") => "to.port",
        _ => return None,
    };
    Some(format!("{name}:{}", quoted(value.trim_end_matches('.'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_in_document_order() {
        let mut out = Vec::new();
        let json = br#"{"flow":{"z":1,"a":{"b":["x","y"]},"t":true,"n":null},"time":"now"}"#;
        Leaf { path: String::new(), out: &mut out }.deserialize(&mut serde_json::Deserializer::from_slice(json)).unwrap();
        let flat: Vec<String> = out.iter().map(|(p, v)| format!("{p}={v}")).collect();
        assert_eq!(flat, ["flow.z=1", "flow.a.b[0]=x", "flow.a.b[1]=y", "flow.t=true", "flow.n=null", "time=now"]);
    }

    #[test]
    fn a_field_is_a_filter_where_the_language_has_one() {
        let term = |path, value| term(path, value).unwrap_or_default();
        assert_eq!(term("flow.source.namespace", "shop"), "from.ns:shop");
        assert_eq!(term("flow.destination.labels[2]", "k8s:app=cart"), "to.label:app=cart");
        assert_eq!(term("flow.source.labels[0]", "reserved:world"), "from.identity:world");
        assert_eq!(term("flow.l4.TCP.destination_port", "5433"), "to.port:5433");
        assert_eq!(term("flow.l7.dns.query", "api.stripe.com."), "dns.query:api.stripe.com");
        assert_eq!(term("flow.verdict", "DROPPED"), "verdict:dropped");
        assert_eq!(term("flow.source.pod_name", "a (b)"), "from.pod:\"a (b)\"");
        assert_eq!((term("flow.ethernet.source", "aa:bb"), term("flow.source.namespace", "")), (String::new(), String::new()));
    }
}
