//! `:capture`: what the servers are asked for, in the language of the filter bar.
//!
//! Owns what is sent and what is said of it. What a server cannot judge is never left to it: it is asked for more, and told so.
use super::{Tone, filter, toast};
use crate::engine::Engine;
use crate::query::{self, Filters, Pushed};
use crate::tui::model::{Effect, Model};

/// The word for no filter at all.
pub const ALL: &str = "all";
/// Letters for the first flow after a change, of which the first that is free is taken.
const LETTERS: &str = "capture";

pub fn ask(m: &mut Model, engine: &Engine, text: &str) {
    if m.options.capture.is_none() {
        return toast(m, Tone::Info, "no server is asked here: / chooses what is shown");
    }
    let text = if text == ALL { "" } else { text };
    let (any, said) = match wish(m, engine, text) {
        Ok(_) if text.is_empty() => (Vec::new(), "every flow is asked for again".to_owned()),
        Ok(p) if p.exact => (query::with_dns(p.whitelist), format!("from now on only {text} is asked for, and DNS")),
        Ok(p) => {
            let here = p.here.join(" ");
            (query::with_dns(p.whitelist), format!("asked for {text}, but more comes: no server judges {here} exactly, / does"))
        }
        Err(why) => return toast(m, Tone::Error, why),
    };
    m.captures.ask(text);
    let letter = LETTERS.chars().find(|l| !m.marks.contains_key(l)).unwrap_or('c');
    m.marks.insert(letter, engine.store().seqs().end);
    m.effects.push(Effect::Capture(any));
    toast(m, Tone::Info, format!("{said}; ' {letter} comes back here"));
}

/// The filter as far as servers understand it. `Err`: why that is nothing.
fn wish(m: &Model, engine: &Engine, text: &str) -> Result<Pushed, String> {
    let ctx = filter::context(m, engine);
    // What is no filter here is none there.
    query::parse(text, &ctx).map_err(|e| e.to_string())?;
    let expr = query::parse_expr(text).map_err(|e| e.to_string())?;
    let pushed = query::push(&Filters::default(), &expr, true, &ctx);
    if pushed.whitelist.is_empty() && !text.is_empty() {
        return Err(format!("no server can be asked for {text} alone: every flow has to come, and / filters it here"));
    }
    Ok(pushed)
}
