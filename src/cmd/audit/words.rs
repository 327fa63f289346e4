//! Words that text, Markdown and findings share.

/// Namespaces of the cluster itself: what is open there is told and counts as a note, because closing it may stop the cluster.
const OF_THE_CLUSTER: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];

pub fn of_the_cluster(namespace: &str) -> bool {
    OF_THE_CLUSTER.contains(&namespace)
}

/// A policy's kind. One that is `foreign` may be called as Kubernetes' own is.
pub fn kind(name: &str, foreign: bool) -> String {
    let twin = foreign && matches!(name, "NetworkPolicy" | "ClusterNetworkPolicy");
    if twin { format!("{name} (not Kubernetes' own)") } else { name.to_owned() }
}

/// `a, b, c +2 more`; all of them where one more would not save a word.
pub fn list<S: AsRef<str>>(names: &[S], most: usize) -> String {
    let shown = if names.len() == most + 1 { names.len() } else { most };
    let mut text = names.iter().take(shown).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > shown {
        text.push_str(&format!(" +{} more", names.len() - shown));
    }
    text
}

/// `1 pod`, `2 pods`.
pub fn count(n: usize, one: &str) -> String {
    match (n, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        _ => format!("{n} {one}s"),
    }
}

/// `443/TCP`, or the number alone.
pub fn port(number: u16, protocol: &str) -> String {
    if protocol.is_empty() { number.to_string() } else { format!("{number}/{protocol}") }
}

/// A time to the second, `2026-01-31T14:00:00Z`: a person wants no more, and the JSON has the rest.
pub fn moment(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// `3 min 20 s`
pub fn span(seconds: i64) -> String {
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers() {
        assert_eq!((list(&["a", "b", "c"], 2), list(&["a", "b", "c", "d"], 2)), ("a, b, c".to_owned(), "a, b +2 more".to_owned()));
        assert_eq!((count(1, "policy"), count(2, "policy"), count(0, "pod")), ("1 policy".into(), "2 policies".into(), "0 pods".into()));
        assert_eq!(
            (moment("2026-01-31T14:00:00.5Z"), moment("2026-01-31T14:00:00Z")),
            ("2026-01-31T14:00:00Z".into(), "2026-01-31T14:00:00Z".into())
        );
        assert_eq!((span(59), span(200), span(7_320)), ("59 s".into(), "3 min 20 s".into(), "2 h 2 min".into()));
    }
}
