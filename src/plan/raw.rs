//! `--print-raw-filters`: the filters as a configuration file has them, each one a line of JSON.
use crate::query::Filters;
use crate::wire::json::write_message;
use crate::wire::pb::flow::FlowFilter;

/// `allowlist:` and `denylist:`, in YAML as Hubble prints it. Nothing to say is an empty document.
pub fn yaml(filters: &Filters) -> String {
    let mut out = String::new();
    for (name, list) in [("allowlist", &filters.whitelist), ("denylist", &filters.blacklist)] {
        if list.is_empty() {
            continue;
        }
        out.push_str(name);
        out.push_str(":\n");
        for f in list {
            out.push_str("    - '");
            out.push_str(&json(f).replace('\'', "''"));
            out.push_str("'\n");
        }
    }
    if out.is_empty() {
        out.push_str("{}\n");
    }
    out
}

fn json(f: &FlowFilter) -> String {
    let mut bytes = Vec::new();
    write_message(f, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
