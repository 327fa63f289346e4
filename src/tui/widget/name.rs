//! Who stands at an end of a flow, in one word: workload (or pod), reserved identity, DNS name or address. What the flow itself does not
//! say has `~` before it.
use crate::engine::store::Store;
use crate::model::row::{End, Row};
use crate::tui::text::{clean, clip, width};
use crate::tui::theme::Look;

/// Before a name that was looked up, not reported.
pub const INFERRED: char = '~';

/// `ns/name`; without the namespace where the filter fixes it to `fixed`. `pods`: the pod rather than its workload.
pub fn name(store: &Store, end: &End, fixed: Option<&str>, pods: bool) -> String {
    let name = plain(store, end, fixed, pods);
    if end.inferred { format!("{INFERRED}{name}") } else { name }
}

fn plain(store: &Store, end: &End, fixed: Option<&str>, pods: bool) -> String {
    let (pod, workload, ns) = (store.name(end.pod), store.name(end.workload), store.name(end.ns));
    let first = if pods { [pod, workload] } else { [workload, pod] };
    if let Some(n) = first.into_iter().find(|n| !n.is_empty()) {
        return if ns.is_empty() || fixed == Some(ns) { n.to_owned() } else { format!("{ns}/{n}") };
    }
    let (dns, reserved) = (store.name(end.name), store.name(end.reserved));
    if !dns.is_empty() {
        return dns.trim_end_matches('.').to_owned();
    }
    match end.ip.get() {
        Some(ip) if reserved.is_empty() || reserved.starts_with("world") => ip.to_string(),
        Some(ip) if reserved == "unknown" || reserved == "unmanaged" => ip.to_string(),
        _ if !reserved.is_empty() => reserved.to_owned(),
        _ if !ns.is_empty() => format!("{ns}/?"),
        _ => "?".to_owned(),
    }
}

/// `ns/name` in its room: the namespace gives way before the name is cut, for what tells two of them apart is the name.
pub fn narrowed(path: &str, room: usize, gap: &str) -> String {
    let Some((ns, name)) = path.split_once('/').filter(|_| width(path) > room) else { return clip(path, room, gap) };
    match room.saturating_sub(width(name) + 1) {
        // One letter of it and the sign that it was cut.
        left if left > width(gap) => {
            let head: String = ns.chars().take(left - width(gap)).collect();
            clip(&format!("{head}{gap}/{name}"), room, gap)
        }
        _ => clip(name, room, gap),
    }
}

/// A name without its namespace; what is behind the slash of a range of addresses is none.
fn last(name: &str) -> &str {
    let ns = |s: &str| !s.contains(['.', ':']);
    name.rsplit_once('/').filter(|(head, _)| ns(head)).map_or(name, |(_, rest)| rest)
}

/// `from → to`, each cut for itself: the shorter one is left whole where that is enough.
pub fn pair(look: Look, (from, to): (&str, &str), port: &str, w: usize) -> String {
    let room = w.saturating_sub(width(look.g.arrow) + 2 + width(port));
    let (a, b) = (width(&clean(from)), width(&clean(to)));
    let half = room / 2;
    // How many are hit is the point.
    let counts = |name: &str| name.ends_with(" workloads");
    // Half of each name says less than the names without their namespaces.
    let (from, to) = if a + b > room { (last(from), last(to)) } else { (from, to) };
    let (a, b) = (width(&clean(from)), width(&clean(to)));
    let (fa, fb) = if a + b <= room {
        (a, b)
    } else if counts(from) {
        (a.min(room), room.saturating_sub(a))
    } else if counts(to) {
        (room.saturating_sub(b), b.min(room))
    } else if a <= half {
        (a, room - a)
    } else if b <= half {
        (room - b, b)
    } else {
        (half, room - half)
    };
    format!("{} {} {}{port}", clip(from, fa, look.g.gap), look.g.arrow, clip(to, fb, look.g.gap))
}

/// `tcp 5432`, `icmp`.
pub fn port(row: &Row) -> String {
    let proto = row.l4.map_or(String::new(), |l| l.word().to_ascii_lowercase());
    match row.dst.port {
        0 => proto,
        p if proto.is_empty() => p.to_string(),
        p => format!("{proto} {p}"),
    }
}

/// The namespace that a filter fixes for certain: one `ns:` atom with one plain value, and nothing that could undo it.
pub fn fixed_namespace(filter: &str) -> Option<&str> {
    let mut found = None;
    for word in filter.split_whitespace() {
        if matches!(word.to_ascii_lowercase().as_str(), "or" | "not") || word.contains(['(', ')', '!', '"']) {
            return None;
        }
        if let Some(ns) = word.strip_prefix("ns:").or_else(|| word.strip_prefix("namespace:")) {
            if ns.is_empty() || ns.contains(['*', ',']) || found.is_some() {
                return None;
            }
            found = Some(ns);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{fixed_namespace, narrowed};

    #[test]
    fn the_namespace_gives_way_before_the_name() {
        let cut = |room| narrowed("production/checkout", room, "…");
        assert_eq!(["production/checkout", "produ…/checkout", "p…/checkout"].map(str::to_owned), [cut(19), cut(15), cut(11)]);
        assert_eq!(["checkout", "ch…ut"].map(str::to_owned), [cut(10), cut(5)]);
    }

    #[test]
    fn only_a_certain_namespace_is_left_out() {
        assert_eq!(fixed_namespace("ns:shop port:5432"), Some("shop"));
        for not in ["", "port:1", "ns:shop or ns:web", "not ns:shop", "!ns:shop", "ns:sh*", "ns:a,b", "(ns:shop)", "ns:a ns:b"] {
            assert_eq!(fixed_namespace(not), None, "{not}");
        }
    }
}
