//! Label selectors in three-valued logic. Owns matching and its words; knows nothing of kinds.
use super::Engine;
use crate::world::Endpoint;
use crate::world::labels::{CLUSTER, Label, NAMESPACE_LABELS, POD_NAMESPACE};
use std::collections::BTreeMap;

/// Yes, no, or a fact is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tri {
    No,
    Unknown,
    Yes,
}

impl Tri {
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<bool> for Tri {
    fn from(b: bool) -> Self {
        if b { Self::Yes } else { Self::No }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// `None`: a label of any source.
    pub source: Option<String>,
    pub key: String,
    pub op: Op,
    pub values: Vec<String>,
    pub line: u32,
    /// Not written in the policy, but meant (the policy's own namespace).
    pub implied: bool,
}

/// All requirements hold. Empty: everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    pub all: Vec<Requirement>,
    /// The peer has to be of the subject's own cluster.
    pub local_cluster: bool,
    /// Cilium does not ask for a pod here, so that what is in no namespace at all meets `NotIn` and `DoesNotExist`.
    pub loose: bool,
    /// Never matches (an empty, non-nil list).
    pub lines: (u32, u32),
}

impl Requirement {
    pub fn implied(key: &str, op: Op, values: Vec<String>, line: u32) -> Self {
        Self { source: Some("k8s".into()), key: key.to_owned(), op, values, line, implied: true }
    }

    pub fn matches(&self, e: &Endpoint, missing: &mut Vec<String>) -> Tri {
        match self.value(e) {
            Found::Value(v) => Tri::from(match self.op {
                Op::In => self.values.iter().any(|w| w == v),
                Op::NotIn => !self.values.iter().any(|w| w == v),
                Op::Exists => true,
                Op::DoesNotExist => false,
            }),
            Found::Absent => Tri::from(matches!(self.op, Op::NotIn | Op::DoesNotExist)),
            Found::Unknown(fact) => {
                if !missing.contains(&fact) {
                    missing.push(fact);
                }
                Tri::Unknown
            }
        }
    }

    fn value<'a>(&self, e: &'a Endpoint) -> Found<'a> {
        if let Some(v) = e.labels.get(self.source.as_deref(), &self.key) {
            return Found::Value(v);
        }
        if !e.known {
            // Its namespace is certain even if nothing else is.
            if self.key.starts_with(NAMESPACE_LABELS) && e.namespace_labels && e.labels.is_pod() {
                return Found::Absent;
            }
            return Found::Unknown(format!("labels:{}", e.display));
        }
        if e.labels.is_pod() && !e.namespace_labels && self.key.starts_with(NAMESPACE_LABELS) {
            return Found::Unknown(format!("namespace-labels:{}", e.namespace));
        }
        if e.masked && self.source.as_deref().is_some_and(|s| s != "k8s") {
            return Found::Unknown(format!("labels:{}", e.display));
        }
        if self.key == CLUSTER && e.inferred {
            return Found::Unknown(format!("cluster:{}", e.display));
        }
        Found::Absent
    }

    /// Whether it speaks of the namespace rather than of the endpoint.
    pub fn on_namespace(&self) -> bool {
        self.key == POD_NAMESPACE || self.key.starts_with(NAMESPACE_LABELS)
    }

    /// The key as a person wrote it.
    pub fn shown_key(&self) -> &str {
        self.key.strip_prefix(NAMESPACE_LABELS).unwrap_or(&self.key)
    }

    /// `app=cart`, `app in (a, b)`, `!app`.
    pub fn wanted(&self) -> String {
        let key = match self.key.as_str() {
            POD_NAMESPACE => "namespace",
            _ => self.shown_key(),
        };
        match (self.op, self.values.as_slice()) {
            (Op::In, [one]) => format!("{key}={one}"),
            (Op::In, many) => format!("{key} in ({})", many.join(", ")),
            (Op::NotIn, [one]) => format!("{key}!={one}"),
            (Op::NotIn, many) => format!("{key} not in ({})", many.join(", ")),
            (Op::Exists, _) if self.key == POD_NAMESPACE => "a pod".to_owned(),
            (Op::Exists, _) => format!("{key} present"),
            (Op::DoesNotExist, _) => format!("{key} absent"),
        }
    }

    /// How far what the endpoint has lies from what is wanted: 1 a slip of the pen, 2 a label that may be meant, 3 another value, 4 no such label.
    pub fn apart(&self, e: &Endpoint) -> usize {
        match self.value(e) {
            Found::Value(v) if self.op == Op::In && self.values.iter().any(|w| slip(w, v)) => 1,
            Found::Value(_) => 3,
            Found::Absent if near(self, e).is_some() => 2,
            _ => 4,
        }
    }

    /// What the endpoint has instead.
    pub fn got(&self, e: &Endpoint) -> String {
        let key = match self.key.as_str() {
            POD_NAMESPACE => "namespace",
            _ => self.shown_key(),
        };
        match self.value(e) {
            Found::Value(v) => format!("{key}={v}"),
            Found::Absent if self.key == POD_NAMESPACE => format!("{}, not a pod", e.display),
            Found::Absent => match near(self, e) {
                Some(l) => format!("no label {key} (it has {}={})", l.key, l.value),
                None => format!("no label {key}"),
            },
            Found::Unknown(_) => "unknown".to_owned(),
        }
    }
}

/// A label of the endpoint that may be the one meant: its key ends alike (`app.kubernetes.io/name` for `name`, `k8s-app` for `app`), is
/// the same but for a slip, or it has the wanted value under another key.
fn near<'e>(r: &Requirement, e: &'e Endpoint) -> Option<&'e Label> {
    let key = r.key.as_str();
    let alike = |a: &str, b: &str| match (a.rsplit(['/', '-']).next(), b.rsplit(['/', '-']).next()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    let plain = |k: &str| !k.starts_with("io.cilium.k8s.") && !k.starts_with("io.kubernetes.");
    if !plain(key) {
        return None;
    }
    let rank = |l: &Label| {
        if l.key.eq_ignore_ascii_case(key) || alike(&l.key, key) {
            Some(0)
        } else if slip(&l.key, key) {
            Some(1)
        } else {
            (r.op == Op::In && r.values.contains(&l.value)).then_some(2)
        }
    };
    let others = e.labels.0.iter().filter(|l| l.source == "k8s" && plain(&l.key) && l.key != key);
    others.filter_map(|l| Some((rank(l)?, l))).min_by_key(|(rank, _)| *rank).map(|(_, l)| l)
}

/// Whether one word is the other but for a slip of the pen: a letter wrong, missing or too many, or two of them changed about.
pub fn slip(a: &str, b: &str) -> bool {
    // Most words are told apart by their lengths; a letter has four bytes at most.
    if a.len().abs_diff(b.len()) > 4 || a == b {
        return false;
    }
    if a.is_ascii() && b.is_ascii() {
        return slip_of(a.as_bytes(), b.as_bytes());
    }
    slip_of(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
}

fn slip_of<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() < 3 || long.len() - short.len() > 1 {
        return false;
    }
    let head = short.iter().zip(long.iter()).take_while(|(x, y)| x == y).count();
    let tail =
        |skip: usize| short.iter().rev().zip(long.iter().rev()).take(short.len().saturating_sub(skip)).take_while(|(x, y)| x == y).count();
    if short.len() != long.len() {
        return head + tail(head) == short.len();
    }
    let changed = short.get(head) == long.get(head + 1) && short.get(head + 1) == long.get(head);
    head + 1 + tail(head + 1) == short.len() || (changed && head + 2 + tail(head + 2) == short.len())
}

enum Found<'a> {
    Value(&'a str),
    Absent,
    Unknown(String),
}

impl Selector {
    /// The conditions that this engine asks for.
    pub fn conditions(&self, engine: Engine) -> impl Iterator<Item = &Requirement> {
        let loose = self.loose && engine == Engine::Cilium;
        self.all.iter().filter(move |r| !(loose && r.implied && r.op == Op::Exists))
    }

    /// `subject` is whose cluster is the local one; `None` if this selects a subject.
    pub fn matches(&self, engine: Engine, e: &Endpoint, subject: Option<&Endpoint>, missing: &mut Vec<String>) -> Tri {
        let mut answer = Tri::Yes;
        let mut lacks = Vec::new();
        for r in self.conditions(engine) {
            answer = answer.and(r.matches(e, &mut lacks));
        }
        if answer != Tri::No && !self.same_cluster(e, subject) {
            answer = Tri::No;
        }
        // A fact is only missing if it would have mattered.
        if answer == Tri::Unknown {
            for l in lacks {
                if !missing.contains(&l) {
                    missing.push(l);
                }
            }
        }
        answer
    }

    pub fn same_cluster(&self, e: &Endpoint, subject: Option<&Endpoint>) -> bool {
        let Some(subject) = subject.filter(|_| self.local_cluster) else { return true };
        e.same_cluster(subject)
    }

    /// Plain Kubernetes labels (of services, nodes, groups) against a selector.
    pub fn matches_map(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all.iter().all(|r| match (labels.get(&r.key), r.op) {
            (Some(v), Op::In) => r.values.contains(v),
            (Some(v), Op::NotIn) => !r.values.contains(v),
            (found, Op::Exists) => found.is_some(),
            (found, Op::DoesNotExist) => found.is_none(),
            (None, op) => op == Op::NotIn,
        })
    }

    /// How many conditions a person wrote.
    pub fn written(&self) -> usize {
        self.all.iter().filter(|r| !r.implied).count()
    }

    /// `app=cart, tier=db`.
    pub fn words(&self) -> String {
        let written: Vec<String> = self.all.iter().filter(|r| !r.implied).map(Requirement::wanted).collect();
        if !written.is_empty() {
            return written.join(", ");
        }
        match self.all.iter().find(|r| r.key == POD_NAMESPACE && r.op == Op::In) {
            Some(r) => format!("any pod of {}", r.values.join(", ")),
            None => "any pod".to_owned(),
        }
    }
}

/// Label of a namespace as it stands among a pod's labels.
pub fn namespace_key(key: &str) -> String {
    format!("{NAMESPACE_LABELS}{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen() {
        for (a, b) in [("cart", "card"), ("cart", "crat"), ("cart", "carts"), ("cart", "art"), ("app", "apq")] {
            assert!(slip(a, b) && slip(b, a), "{a} {b}");
        }
        for (a, b) in [("cart", "cart"), ("cart", "db"), ("cart", "mart1"), ("db", "dc"), ("prod", "prune"), ("abcd", "badc")] {
            assert!(!slip(a, b) && !slip(b, a), "{a} {b}");
        }
    }
}
