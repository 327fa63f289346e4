//! Every field of one flow, as the wire has it, one a line. Names are the wire's own, so that they can be looked up and filtered by.
use super::row;
use crate::engine::Engine;
use crate::tui::model::{Fields, Model};
use crate::tui::text::{width, wrap};
use crate::tui::widget::pen::{Pen, Seg, seg};
use crate::wire::json::write_response;
use ratatui::layout::Rect;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Fields of one flow shown at most.
const MOST: usize = 5_000;

/// Path and value of every field, in the order of the wire; `None` if the raw frame is not held any more.
pub fn fields(engine: &Engine, seq: u64) -> Option<Vec<(String, String)>> {
    let response = engine.store().response(seq)?;
    let mut json = Vec::new();
    write_response(&response, &mut json);
    let mut out = Vec::new();
    let mut de = serde_json::Deserializer::from_slice(&json);
    // What we wrote ourselves is JSON; if not, what was read so far is shown.
    let _ = Leaf { path: String::new(), out: &mut out }.deserialize(&mut de);
    Some(out)
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

pub fn lines(m: &Model, engine: &Engine, d: &Fields, w: u16) -> Vec<Vec<Seg>> {
    let look = m.look;
    let mut out = Vec::new();
    let w = usize::from(w);
    let Some(fields) = &d.fields else {
        out.push(vec![seg("  the raw record of this flow is not held any more; the table has all that is left", look.warn())]);
        return out;
    };
    let short = |p: &str| p.strip_prefix("flow.").map_or_else(|| p.to_owned(), str::to_owned);
    let column = fields.iter().map(|(p, _)| width(&short(p))).max().unwrap_or(0).min(w * 2 / 5);
    for (path, value) in fields {
        let path = crate::tui::text::clip(&short(path), column, look.g.gap);
        let pad = column.saturating_sub(width(&path));
        let value = if value.is_empty() { vec!["\"\"".to_owned()] } else { wrap(value, w.saturating_sub(column + 4)) };
        for (i, part) in value.into_iter().enumerate() {
            let head = if i == 0 { format!(" {path}{:pad$}  ", "") } else { " ".repeat(column + 3) };
            out.push(vec![seg(head, look.dim()), seg(part, look.plain())]);
        }
    }
    let cause = engine.store().row(d.seq).and_then(|r| r.cause).and_then(|id| engine.causes().get(id));
    if let Some(c) = cause {
        out.push(Vec::new());
        out.push(vec![seg(" why  ", look.dim()), seg(super::drops::sentence(c), look.strong())]);
    }
    out
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, d: &Fields, area: Rect) {
    let page = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let all = lines(m, engine, d, area.width);
    let place = if d.scroll.most == 0 { String::new() } else { format!("{} of {} ", d.scroll.at + usize::from(page.height), all.len()) };
    pen.ends(row(area, 0), &[seg(" ", pen.look.plain()), seg(d.title.clone(), pen.look.strong())], &[seg(place, pen.look.dim())]);
    pen.lines(page, &all, d.scroll.at);
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
}
