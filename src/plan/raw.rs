//! `--print-raw-filters`: the filters as a configuration file has them, each one a line of JSON.
use crate::query::Filters;
use crate::source::hubble::Request;
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

/// A request in a line, for those who debug: its filters are as [`yaml`] prints them.
pub fn line(r: &Request) -> String {
    let mut parts = vec![match r.number {
        u64::MAX | 0 => "all".to_owned(),
        n if r.first => format!("the first {n}"),
        n => format!("the last {n}"),
    }];
    parts.extend(r.follow.then(|| "and what follows".to_owned()));
    parts.extend(r.since.map(|t| format!("since {t}")));
    parts.extend(r.until.map(|t| format!("until {t}")));
    for (name, list) in [("allowlist", &r.whitelist), ("denylist", &r.blacklist)] {
        parts.extend(list.iter().map(|f| format!("{name} {}", json(f))));
    }
    if !r.field_mask.is_empty() {
        parts.push(format!("fields {}", r.field_mask.join(",")));
    }
    parts.join(", ")
}

fn json(f: &FlowFilter) -> String {
    let mut bytes = Vec::new();
    write_message(f, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_without_the_names_of_our_types() {
        let f = FlowFilter { source_pod: vec!["shop/".into()], ..FlowFilter::default() };
        let r = Request { number: 5, follow: true, whitelist: vec![f], field_mask: vec!["time".into()], ..Request::default() };
        assert_eq!(line(&r), r#"the last 5, and what follows, allowlist {"source_pod":["shop/"]}, fields time"#);
        assert_eq!(line(&Request { number: u64::MAX, ..Request::default() }), "all");
    }
}
