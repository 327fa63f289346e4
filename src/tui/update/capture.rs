//! `:capture`: what the servers are asked for, in the language of the filter bar.
//!
//! Owns what is sent and what is said of it. A server is asked for exactly what is said here, or not at all.
use super::{Tone, filter, toast};
use crate::engine::Engine;
use crate::query::{self, Filters};
use crate::tui::model::{Effect, Model};
use crate::wire::pb::flow::FlowFilter;

/// The word for no filter at all.
pub const ALL: &str = "all";
/// Where there is nobody to ask.
pub const NOBODY: &str = "no server is asked here: / chooses what is shown";
/// Letters for the first flow after a change, of which the first that is free is taken.
const LETTERS: &str = "capture";

pub fn ask(m: &mut Model, engine: &Engine, text: &str) {
    if m.options.capture.is_none() {
        return toast(m, Tone::Info, NOBODY);
    }
    let text = if text == ALL { "" } else { text };
    let any = match wish(m, engine, text) {
        Ok(any) => any,
        Err(why) => return toast(m, Tone::Error, why),
    };
    m.wish = Some(text.into());
    // A mark that somebody has set stays his.
    let letter = LETTERS.chars().chain('a'..='z').find(|l| !m.marks.contains_key(l));
    let back = letter.map_or_else(String::new, |l| format!("' {l} comes back here; "));
    m.marks.extend(letter.map(|l| (l, engine.store().seqs().end)));
    m.effects.push(Effect::Capture(any, text.to_owned()));
    let said = if text.is_empty() { "every flow is asked for again".to_owned() } else { format!("only DNS is asked for now, and {text}") };
    toast(m, Tone::Info, format!("{back}{said}"));
}

/// The filter as servers understand it. `Err`: why they cannot be asked for just that.
fn wish(m: &Model, engine: &Engine, text: &str) -> Result<Vec<FlowFilter>, String> {
    let ctx = filter::context(m, engine);
    // What is no filter here is none there.
    query::parse(text, &ctx).map_err(|e| e.to_string())?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let expr = query::parse_expr(text).map_err(|e| e.to_string())?;
    let p = query::push(&Filters::default(), &expr, true, &ctx);
    if p.whitelist.is_empty() {
        return Err(format!("no server can be asked for {text} alone: every flow has to come, and / filters it here"));
    }
    if !p.blacklist.is_empty() {
        return Err("servers are asked for what is wanted, which DNS is too: / leaves things out".to_owned());
    }
    if !p.exact {
        let rest = if p.there.is_empty() { String::new() } else { format!("; :capture {} asks for the rest", p.there.join(" ")) };
        return Err(format!("no server judges {} as it is meant, / does{rest}", p.here.join(" ")));
    }
    Ok(query::with_dns(p.whitelist))
}
