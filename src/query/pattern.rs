//! Patterns with `*`: the language's globs, and Hubble's patterns for DNS names and nodes.
//!
//! Matches without allocation and in time linear in the text for each part. Must not know of fields.

/// What a `*` may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Any,
    /// Hubble's: letters, digits, `-` and `.`, but not `_`.
    Dns,
}

/// A text with gaps; the whole has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// Literal parts between the gaps; never empty, one part = no gap.
    parts: Vec<String>,
    fold: bool,
    gap: Gap,
}

impl Glob {
    /// The language's: `*` is anything, `\*` a star. `fold` ignores the case of ASCII letters.
    pub fn new(pattern: &str, fold: bool) -> Self {
        let mut parts = vec![String::new()];
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' => parts.push(String::new()),
                c => {
                    let c = if c == '\\' { chars.next_if_eq(&'*').unwrap_or(c) } else { c };
                    if let Some(last) = parts.last_mut() {
                        last.push(c);
                    }
                }
            }
        }
        Self { parts, fold, gap: Gap::Any }
    }

    /// A glob that may begin and end anywhere.
    pub fn inside(pattern: &str, fold: bool) -> Self {
        let mut glob = Self::new(pattern, fold);
        glob.parts.insert(0, String::new());
        glob.parts.push(String::new());
        glob
    }

    pub fn ends(pattern: &str, fold: bool) -> Self {
        let mut glob = Self::new(pattern, fold);
        glob.parts.insert(0, String::new());
        glob
    }

    pub fn starts(pattern: &str, fold: bool) -> Self {
        let mut glob = Self::new(pattern, fold);
        glob.parts.push(String::new());
        glob
    }

    /// Hubble's pattern of a DNS name; its own error texts.
    pub fn dns(pattern: &str) -> Result<Self, String> {
        let p = pattern.trim();
        let p = p.strip_suffix('.').unwrap_or(p).to_lowercase();
        if p.is_empty() {
            return Err("empty pattern".into());
        }
        if p.ends_with('.') {
            return Err("multiple trailing dots in pattern".into());
        }
        let bad = |c: &char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.*".contains(*c));
        if let Some(c) = p.chars().find(bad) {
            return Err(format!("{}: invalid rune in pattern", super::flags::quote_rune(c)));
        }
        Ok(Self { parts: p.split('*').map(str::to_owned).collect(), fold: false, gap: Gap::Dns })
    }

    /// The texts between the gaps, and whether letters stand for both their cases.
    pub fn parts(&self) -> (&[String], bool) {
        (&self.parts, self.fold)
    }

    /// Whether the pattern is the empty text.
    pub fn is_empty(&self) -> bool {
        matches!(self.parts.as_slice(), [p] if p.is_empty())
    }

    pub fn matches(&self, text: &str) -> bool {
        let t = text.as_bytes();
        let [first, rest @ ..] = self.parts.as_slice() else { return t.is_empty() };
        let [middle @ .., last] = rest else { return self.same(first.as_bytes(), t) };
        let (first, last) = (first.as_bytes(), last.as_bytes());
        if t.len() < first.len() + last.len() || !self.same(first, &t[..first.len()]) || !self.same(last, &t[t.len() - last.len()..]) {
            return false;
        }
        // The leftmost place for each part is enough: a later one only widens the gap before it.
        let mut t = &t[first.len()..t.len() - last.len()];
        for part in middle {
            let part = part.as_bytes();
            let Some(at) = self.find(part, t) else { return false };
            if !self.gap_ok(&t[..at]) {
                return false;
            }
            t = &t[at + part.len()..];
        }
        self.gap_ok(t)
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        if self.fold { a.eq_ignore_ascii_case(b) } else { a == b }
    }

    fn find(&self, part: &[u8], t: &[u8]) -> Option<usize> {
        if part.is_empty() {
            return Some(0);
        }
        if self.fold { t.windows(part.len()).position(|w| w.eq_ignore_ascii_case(part)) } else { memchr::memmem::find(t, part) }
    }

    fn gap_ok(&self, gap: &[u8]) -> bool {
        self.gap == Gap::Any || gap.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    }
}

/// Hubble's pattern of a node: `node` or `cluster/node`; an empty half is any name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePattern {
    cluster: Option<Glob>,
    node: Option<Glob>,
}

impl NodePattern {
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("empty pattern".into());
        }
        let half = |p: &str| if p.is_empty() { Ok(None) } else { Glob::dns(p).map(Some) };
        match pattern.split_once('/') {
            None => Ok(Self { cluster: None, node: half(pattern)? }),
            Some((_, node)) if node.contains('/') => {
                // The halves are looked at in order, before they are counted.
                if pattern.split('/').take(2).any(|p| p.ends_with("..")) {
                    return Err("multiple trailing dots in pattern".into());
                }
                Err("too many slashes in pattern".into())
            }
            Some((cluster, node)) => Ok(Self { cluster: half(cluster)?, node: half(node)? }),
        }
    }

    /// What the name has to be like, if it is not any.
    pub fn node(&self) -> Option<&Glob> {
        self.node.as_ref()
    }

    /// `name` as the flow has it; a name without a cluster belongs to `default`.
    pub fn matches(&self, name: &str) -> bool {
        if name.is_empty() {
            return false;
        }
        let (cluster, node) = name.split_once('/').unwrap_or(("default", name));
        let half = |p: &Option<Glob>, s: &str| p.as_ref().map_or_else(|| dotted(s), |g| g.matches(s));
        half(&self.cluster, cluster) && half(&self.node, node)
    }
}

/// `[-0-9_a-z]+(\.[-0-9_a-z]+)*`
fn dotted(s: &str) -> bool {
    s.split('.').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (p, t, want) in [
            ("cart", "cart", true),
            ("cart", "cart-1", false),
            ("cart*", "cart-1", true),
            ("*cart*", "a-cart-b", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
            ("a*a", "a", false),
            (r"\*.com", "*.com", true),
            (r"\*.com", "x.com", false),
            ("*", "", true),
        ] {
            assert_eq!(Glob::new(p, false).matches(t), want, "{p} {t}");
        }
        assert!(Glob::new("CART", true).matches("cart") && Glob::inside("RT", true).matches("cart-1"));
    }

    #[test]
    fn dns_gaps_do_not_cross_underscores() {
        let g = |p: &str| Glob::dns(p).unwrap();
        assert!(g("*.com").matches("api.example.com") && !g("*.com").matches("a_b.com") && g("*_b.com").matches("a_b.com"));
        assert!(g("Example.COM.").matches("example.com") && !g("example.com").matches("Example.com"));
        assert!(g("example.*").matches("example.com.") && !g("*.com").matches("example.com."));
        assert_eq!(Glob::dns("foo?").unwrap_err(), "'?': invalid rune in pattern");
        assert_eq!(Glob::dns(" . ").unwrap_err(), "empty pattern");
    }

    #[test]
    fn nodes() {
        let m = |p: &str, n: &str| NodePattern::new(p).unwrap().matches(n);
        assert!(m("k8s1", "k8s1") && m("k8s1", "prod/k8s1") && m("default/", "k8s1") && m("/", "prod/n") && !m("prod/", "k8s1"));
        assert!(!m("/", "a/b/c") && !m("/", ""));
        assert_eq!(NodePattern::new("a/b/c").unwrap_err(), "too many slashes in pattern");
    }
}
