//! `--allowlist` and `--denylist`: FlowFilters as JSON, one after the other.
//!
//! A seam: the tolerant proto3 JSON reader belongs to `wire`; until it reads FlowFilters, the flags are refused in plain words.
use crate::wire::pb::flow::FlowFilter;

/// The filters of one value; the empty text holds none.
pub fn decode(text: &str) -> Result<Vec<FlowFilter>, String> {
    if text.trim().is_empty() { Ok(Vec::new()) } else { Err("filters as JSON are not supported yet".into()) }
}
