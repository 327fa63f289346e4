//! The owner that the name of a pod shows. Owns this one rule: what reads a record alone and what knows the cluster besides name a pod's
//! owner alike where neither the record nor the cluster says it.

/// `cart-7d4b8c9f5-xk2mh` → `cart`, `db-0` → `db`; any other name is its own. Always a beginning of the name, and never empty.
pub fn shown_by(pod: &str) -> Option<&str> {
    Some(beginning(pod)).filter(|name| !name.is_empty())
}

fn beginning(pod: &str) -> &str {
    let generated = |s: &str, n: std::ops::RangeInclusive<usize>| {
        n.contains(&s.len()) && s.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let Some((rest, tail)) = pod.rsplit_once('-') else { return pod };
    if tail.len() <= 3 && !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if !generated(tail, 5..=5) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((owner, hash)) if generated(hash, 6..=10) => owner,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_generated_names() {
        for (pod, owner) in [
            ("cart-7d4b8c9f5-xk2mh", "cart"),
            ("deathstar-6fb5694d48-5hmds", "deathstar"),
            ("db-0", "db"),
            ("cilium-envoy-xk2mh", "cilium-envoy"),
            ("xwing", "xwing"),
            ("not-frontend-7db9747986-gktg6", "not-frontend"),
            ("my-own-name", "my-own-name"),
        ] {
            assert_eq!(shown_by(pod), Some(owner), "{pod}");
        }
        assert_eq!((shown_by("-0"), shown_by("")), (None, None));
    }
}
