//! The field mask of a request: what of each flow a server is asked to send.
//!
//! Owns which formats may ask for what. A mask only saves the wire and the server: it must never change a line that is printed
//! or a filter's answer.
use crate::cli::{Format, Mask};
use crate::engine::Explain;
use crate::error::Error;
use crate::query::Predicate;
use crate::wire::{lean, reflect};
use std::collections::BTreeSet;

/// What text formats print: Hubble's own list, and what that lacks although its lines show it (names, direction, policies).
const PRINTED: &[&str] = &[
    "time",
    "verdict",
    "ethernet",
    "IP",
    "l4",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "Type",
    "node_name",
    "l7",
    "event_type",
    "source_service",
    "destination_service",
    "is_reply",
    "Summary",
    "ip_trace_id",
    "source.labels",
    "destination.labels",
    "source_names",
    "destination_names",
    "drop_reason",
    "drop_reason_desc",
    "traffic_direction",
    "policy_match_type",
    "auth_type",
    "debug_capture_point",
    "sock_xlate_point",
    "ingress_allowed_by",
    "egress_allowed_by",
    "ingress_denied_by",
    "egress_denied_by",
];

/// A mask of one's own is for JSON: other formats would print gaps as if they were facts.
pub fn format_can(mask: &Mask, format: Format) -> Result<(), Error> {
    if mask.field_mask.is_empty() || format == Format::Jsonpb {
        return Ok(());
    }
    let name = match format {
        Format::Dict => "dict",
        Format::Table => "table",
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

/// The request's mask; empty for whole flows.
pub fn paths(mask: &Mask, format: Format, explain: Explain, admit: &Predicate) -> Vec<String> {
    if !mask.field_mask.is_empty() {
        return mask.field_mask.clone();
    }
    let text = matches!(format, Format::Compact | Format::Dict | Format::Table);
    if !text
        || !mask.use_default_field_masks
        || explain != Explain::Nothing
        || admit.fields().needs_message()
        || admit.fields().needs_derived()
    {
        return Vec::new();
    }
    let all: BTreeSet<String> = PRINTED.iter().map(|p| (*p).to_owned()).chain(lean::paths(admit.fields())).collect();
    let whole = |p: &str| p.split_once('.').is_some_and(|(top, _)| all.contains(top));
    all.iter().filter(|p| !whole(p)).cloned().collect()
}
