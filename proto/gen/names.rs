//! The Rust names that prost gives to messages, fields and modules, and the JSON names of proto3.
//!
//! Must agree with prost; where it does not, the generated code does not compile.

/// Words of an identifier, as prost splits them: at `_`, before a capital after a small letter, and before the last capital of
/// a row of capitals that a small letter follows. Digits belong to what is before them.
fn words(ident: &str) -> Vec<String> {
    let mut out = Vec::new();
    for part in ident.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()) {
        let chars: Vec<char> = part.chars().collect();
        let (mut word, mut upper) = (String::new(), false);
        for (i, c) in chars.iter().copied().enumerate() {
            let next = chars.get(i + 1).copied().unwrap_or(' ');
            if upper && c.is_uppercase() && next.is_lowercase() && !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
            word.push(c);
            if c.is_uppercase() {
                upper = true;
            } else if c.is_lowercase() {
                upper = false;
            }
            if !upper && next.is_uppercase() && chars.iter().take(i + 1).any(|c| c.is_lowercase()) {
                out.push(std::mem::take(&mut word));
            }
        }
        if !word.is_empty() {
            out.push(word);
        }
    }
    out
}

pub fn snake(ident: &str) -> String {
    words(ident).iter().map(|w| w.to_lowercase()).collect::<Vec<_>>().join("_")
}

pub fn upper_camel(ident: &str) -> String {
    let capital = |w: &String| {
        let mut chars = w.chars();
        chars.next().map_or(String::new(), |c| c.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase())
    };
    words(ident).iter().map(capital).collect()
}

/// A struct member.
pub fn field(ident: &str) -> String {
    match snake(ident).as_str() {
        w @ ("type" | "match" | "ref" | "use" | "loop" | "move" | "where" | "in" | "for" | "if" | "fn" | "mod") => format!("r#{w}"),
        w => w.to_owned(),
    }
}

/// `flow.FlowFilter.Experimental` → `crate::wire::pb::flow::flow_filter::Experimental`
pub fn path(full: &str) -> String {
    let (outer, own) = full.rsplit_once('.').unwrap_or(("", full));
    format!("{}::{}", module(outer), upper_camel(own))
}

/// The module in which prost puts what belongs to a message: `flow.Layer4` → `crate::wire::pb::flow::layer4`
pub fn module_of(full: &str) -> String {
    module(full)
}

fn module(full: &str) -> String {
    let parts: Vec<String> = full.split('.').map(snake).collect();
    format!("crate::wire::pb::{}", parts.join("::"))
}

/// proto3's lowerCamelCase: drop each `_` and raise the letter after it.
pub fn json_camel(ident: &str) -> String {
    let (mut out, mut raise) = (String::new(), false);
    for c in ident.chars() {
        match c {
            '_' => raise = true,
            c if raise => {
                out.extend(c.to_uppercase());
                raise = false;
            }
            c => out.push(c),
        }
    }
    out
}
