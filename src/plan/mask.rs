//! The field mask of a request: what of each flow a server is asked to send.
//!
//! Owns which formats may ask for what. A mask only saves the wire and the server: it must never change a line that is printed
//! or a filter's answer.
use crate::cli::{Format, Mask};
use crate::engine::Explain;
use crate::error::Error;
use crate::model::view::FieldSet;
use crate::query::Predicate;
use crate::wire::{lean, reflect};

/// A mask of one's own is for JSON: other formats would print gaps as if they were facts.
pub fn format_can(mask: &Mask, format: Format) -> Result<(), Error> {
    if mask.field_mask.is_empty() || matches!(format, Format::Json | Format::Jsonpb) {
        return Ok(());
    }
    let name = match format {
        Format::Dict => "dict",
        Format::Table => "table",
        Format::Csv => "csv",
        _ => "compact",
    };
    Err(Error::usage(format!("{name} output format is not compatible with custom field mask")).hint("use -o json"))
}

/// Whether all paths lead somewhere.
pub fn known(mask: &Mask) -> Result<(), Error> {
    match mask.field_mask.iter().find(|p| !reflect::is_path(p)) {
        Some(p) => Err(Error::usage(format!("failed to construct field mask: invalid path \"{p}\" for message \"flow.Flow\""))
            .hint("fields are named as in the JSON, for example source.pod_name,verdict")),
        None => Ok(()),
    }
}

/// What the rest of a filter and an explanation need is not behind a mask of one's own.
pub fn leaves_enough(mask: &Mask, explain: Explain, words: &Predicate, exact: bool) -> Result<(), Error> {
    let has =
        |path: &String| mask.field_mask.iter().any(|m| path == m || path.strip_prefix(m.as_str()).is_some_and(|r| r.starts_with('.')));
    if explain != Explain::Nothing {
        return Err(Error::usage("--why needs whole flows").hint("leave out --field-mask"));
    }
    let wanted = lean::paths(words.fields());
    match wanted.iter().find(|p| !has(p)) {
        Some(missing) if !exact => Err(Error::usage(format!("the filter needs {missing}, which the field mask leaves out"))
            .hint(format!("add it to --field-mask: {},{missing}", mask.field_mask.join(",")))),
        _ => Ok(()),
    }
}

/// The request's mask; empty for whole flows. Hubble's own lacks names, direction and policies although its lines have them; ours
/// is what the format reads and what the filter asks.
pub fn paths(mask: &Mask, reads: Option<FieldSet>, explain: Explain, admit: &Predicate) -> Vec<String> {
    if !mask.field_mask.is_empty() {
        return mask.field_mask.clone();
    }
    match reads {
        Some(reads) if mask.use_default_field_masks && explain == Explain::Nothing && !admit.fields().needs_derived() => {
            lean::paths(reads.union(admit.fields()))
        }
        _ => Vec::new(),
    }
}
