//! The leaves of a compiled filter: one test each over a view.
//!
//! Both front ends build these, so Hubble's exact rules and the language's share one evaluator. Must not allocate on the way,
//! but for a path with escapes and for addresses that a view keeps as numbers.
use super::Node;
use super::pattern::{Glob, NodePattern};
use super::selector::Selector;
use super::url;
use crate::model::view::{End, Field, FieldSet, Item, Value, View};
use ipnet::IpNet;
use regex::Regex;
use std::net::IpAddr;
use std::sync::Arc;

/// Inclusive ranges; a number is in one of them.
pub type Ranges = Vec<(i128, i128)>;

/// A test of one text.
#[derive(Debug)]
pub enum Text {
    OneOf(Vec<String>),
    /// Equal under Unicode case folding, and not empty.
    Fold(Vec<String>),
    /// The empty text matches only the empty pattern: `pod:*` is "has a pod".
    Glob(Vec<Glob>),
    /// Hubble's DNS names: no such rule.
    Dns(Vec<Glob>),
    Node(Vec<NodePattern>),
    /// Some of these is found in the text.
    Regex(Vec<Regex>),
    /// The same, and the text is not empty.
    RegexSome(Vec<Regex>),
}

impl Text {
    pub fn matches(&self, s: &str) -> bool {
        match self {
            Self::OneOf(list) => list.iter().any(|x| x == s),
            Self::Fold(list) => !s.is_empty() && list.iter().any(|x| fold_eq(x, s)),
            Self::Glob(list) => list.iter().any(|g| if s.is_empty() { g.is_empty() } else { g.matches(s) }),
            Self::Dns(list) => list.iter().any(|g| g.matches(s)),
            Self::Node(list) => list.iter().any(|p| p.matches(s)),
            Self::Regex(list) => list.iter().any(|r| r.is_match(s)),
            Self::RegexSome(list) => !s.is_empty() && list.iter().any(|r| r.is_match(s)),
        }
    }
}

/// What part of a URL is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Path,
    Host,
}

#[derive(Debug)]
pub enum Leaf {
    /// A predicate inside another one.
    Shared(Arc<Node>),
    Num {
        field: Field,
        ranges: Ranges,
        /// What a missing number is.
        missing: Option<i128>,
    },
    Bool {
        field: Field,
        any: Vec<bool>,
        missing: Option<bool>,
    },
    Text {
        field: Field,
        test: Text,
        /// Whether a missing text is the empty one; else it does not match.
        missing: bool,
    },
    /// Some text of a list.
    Items(Field, Text),
    Labels(Field, Vec<Selector>),
    /// (type, sub-type); type 0 is any.
    Event(Vec<(i64, Option<i64>)>),
    /// All bits of one value are set.
    TcpFlags(Vec<i64>),
    Reply(Vec<bool>),
    /// Hubble's pods and services: (namespace, prefix of the name); the empty namespace is any.
    NsPrefix {
        namespace: Field,
        name: Field,
        any: Vec<(String, String)>,
    },
    /// (kind, name); empty is any.
    Workload(End, Vec<(String, String)>),
    /// Texts as the flow has them, their addresses, and prefixes.
    Ip {
        field: Field,
        texts: Vec<(String, Option<IpAddr>)>,
        nets: Vec<IpNet>,
    },
    /// Addresses by value, and prefixes.
    Addr(Field, Vec<IpNet>),
    Url(Part, Text),
    Header(Vec<(Text, Option<Text>)>),
    /// (index, name); 0 and empty are any.
    Interface(Vec<(u64, String)>),
    /// `a/b` in the language: both fields.
    Pair {
        first: Field,
        second: Field,
        tests: Vec<(Text, Text)>,
    },
    /// Some pair of a list.
    PairItems(Field, Vec<(Text, Text)>),
    Policy(Vec<Glob>),
    PolicyRegex(Vec<Regex>),
    /// A bare word, asked of one end.
    Word(End, Arc<Word>),
    #[cfg(feature = "cel")]
    Cel(super::cel::Programs),
}

impl Leaf {
    pub fn num(field: Field, ranges: Ranges) -> Self {
        Self::Num { field, ranges, missing: None }
    }

    pub fn matches(&self, v: &dyn View) -> bool {
        match self {
            Self::Shared(n) => n.matches(v),
            Self::Num { field, ranges, missing } => number(v.field(*field)).or(*missing).is_some_and(|n| ranges.iter().any(|(a, b)| (a..=b).contains(&&n))),
            Self::Bool { field, any, missing } => v.field(*field).bool().or(*missing).is_some_and(|b| any.contains(&b)),
            Self::Text { field, test, missing } => match v.field(*field) {
                Value::Text(s) => test.matches(s),
                Value::Addr(ip) => test.matches(&ip.to_string()),
                _ => *missing && test.matches(""),
            },
            Self::Items(field, test) => v.any(*field, &mut |i| test.matches(i.text())),
            Self::Labels(field, any) => any.iter().any(|s| s.matches(v, *field)),
            Self::Event(any) => event(v, any),
            Self::TcpFlags(any) => v.field(Field::TcpFlags).int().is_some_and(|n| any.iter().any(|bits| n & bits == *bits)),
            Self::Reply(any) => reply(v).is_some_and(|r| any.contains(&r)),
            Self::NsPrefix { namespace, name, any } => {
                let (ns, name) = (v.field(*namespace).text(), v.field(*name).text());
                !(ns.is_empty() && name.is_empty()) && any.iter().any(|(n, prefix)| (n.is_empty() || n == ns) && name.starts_with(prefix.as_str()))
            }
            Self::Workload(end, any) => {
                let same = |want: &str, is: &str| want.is_empty() || want == is;
                v.any(Field::Workloads(*end), &mut |i| matches!(i, Item::Pair(k, n) if any.iter().any(|(kind, name)| same(kind, k) && same(name, n))))
            }
            Self::Ip { field, texts, nets } => match v.field(*field) {
                Value::Text("") => false,
                Value::Text(s) => texts.iter().any(|(t, _)| t == s) || (!nets.is_empty() && within(s.parse().ok(), nets)),
                Value::Addr(ip) => texts.iter().any(|(_, a)| *a == Some(ip)) || within(Some(ip), nets),
                _ => false,
            },
            Self::Addr(field, nets) => within(v.field(*field).addr(), nets),
            Self::Url(part, test) => url_part(v.field(Field::HttpUrl).text(), *part, test),
            Self::Header(any) => v.any(Field::HttpHeaders, &mut |i| {
                matches!(i, Item::Pair(k, x) if any.iter().any(|(key, value)| key.matches(k) && value.as_ref().is_none_or(|t| t.matches(x))))
            }),
            Self::Interface(any) => match (v.field(Field::InterfaceName), v.field(Field::InterfaceIndex)) {
                (Value::Missing, Value::Missing) => false,
                (name, index) => any.iter().any(|(i, n)| (*i == 0 || index.uint() == Some(*i)) && (n.is_empty() || name.text() == n)),
            },
            Self::Pair { first, second, tests } => {
                let (a, b) = (v.field(*first).text(), v.field(*second).text());
                tests.iter().any(|(x, y)| x.matches(a) && y.matches(b))
            }
            Self::PairItems(field, tests) => v.any(*field, &mut |i| matches!(i, Item::Pair(a, b) if tests.iter().any(|(x, y)| x.matches(a) && y.matches(b)))),
            Self::Policy(globs) => v.any(Field::Policies, &mut |i| matches!(i, Item::Policy { kind, namespace, name } if policy(kind, namespace, name, globs))),
            Self::PolicyRegex(list) => v.any(Field::Policies, &mut |i| match i {
                Item::Policy { kind, namespace, name } => list.iter().any(|r| r.is_match(&format!("{kind}/{namespace}/{name}"))),
                _ => false,
            }),
            Self::Word(e, w) => w.side(v, *e),
            #[cfg(feature = "cel")]
            Self::Cel(p) => p.matches(v.message()),
        }
    }

    pub fn fields(&self, out: &mut FieldSet) {
        let mut add = |list: &[Field]| list.iter().for_each(|f| out.insert(*f));
        match self {
            Self::Shared(n) => n.fields(out),
            Self::Num { field, .. } | Self::Bool { field, .. } | Self::Text { field, .. } | Self::Ip { field, .. } => add(&[*field]),
            Self::Items(f, _) | Self::Labels(f, _) | Self::Addr(f, _) | Self::PairItems(f, _) => add(&[*f]),
            Self::Event(_) => add(&[Field::EventType, Field::EventSubType]),
            Self::TcpFlags(_) => add(&[Field::TcpFlags]),
            Self::Reply(_) => add(&[Field::IsReply, Field::Verdict]),
            Self::NsPrefix { namespace: a, name: b, .. } | Self::Pair { first: a, second: b, .. } => add(&[*a, *b]),
            Self::Workload(e, _) => add(&[Field::Workloads(*e)]),
            Self::Url(..) => add(&[Field::HttpUrl]),
            Self::Header(_) => add(&[Field::HttpHeaders]),
            Self::Interface(_) => add(&[Field::InterfaceName, Field::InterfaceIndex]),
            Self::Policy(_) | Self::PolicyRegex(_) => add(&[Field::Policies]),
            #[cfg(feature = "cel")]
            Self::Cel(_) => add(&[Field::Message]),
            Self::Word(e, _) => add(&Word::fields(*e)),
        }
    }
}

fn number(v: Value<'_>) -> Option<i128> {
    match v {
        Value::Int(n) => Some(i128::from(n)),
        Value::Uint(n) => Some(i128::from(n)),
        _ => None,
    }
}

fn event(v: &dyn View, any: &[(i64, Option<i64>)]) -> bool {
    let Some(kind) = v.field(Field::EventType).int() else { return false };
    let sub = v.field(Field::EventSubType).int().unwrap_or(0);
    any.iter().any(|(t, s)| (*t == 0 || *t == kind) && s.is_none_or(|s| s == sub))
}

/// A flow that does not say is no reply if it was dropped, and neither one nor the other else.
fn reply(v: &dyn View) -> Option<bool> {
    v.field(Field::IsReply).bool().or_else(|| (v.field(Field::Verdict).int() == Some(2)).then_some(false))
}

fn within(ip: Option<IpAddr>, nets: &[IpNet]) -> bool {
    ip.is_some_and(|ip| nets.iter().any(|n| n.contains(&ip)))
}

fn url_part(u: &str, part: Part, test: &Text) -> bool {
    match part {
        _ if u.is_empty() => false,
        Part::Path => url::path(u).is_some_and(|p| test.matches(&p)),
        Part::Host => test.matches(url::host(u)),
    }
}

/// `kind/namespace/name`, `namespace/name` or `name`, any part with gaps.
fn policy(kind: &str, namespace: &str, name: &str, globs: &[Glob]) -> bool {
    let path = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    globs.iter().any(|g| {
        g.matches(name)
            || g.matches(&path)
            || g.matches(&format!("{kind}/{path}"))
            || (!namespace.is_empty() && g.matches(&format!("{kind}/{name}")))
    })
}

/// Go's `strings.EqualFold`.
fn fold_eq(a: &str, b: &str) -> bool {
    /// The character itself where the mapping gives several.
    fn one(mut to: impl Iterator<Item = char>, c: char) -> char {
        match (to.next(), to.next()) {
            (Some(x), None) => x,
            _ => c,
        }
    }
    fn fold(c: char) -> char {
        // The dotless i has a capital that is not its own: `I` folds to `i` only.
        if c.is_ascii() || c == 'ı' {
            return c.to_ascii_lowercase();
        }
        let up = one(c.to_uppercase(), c);
        one(up.to_lowercase(), up)
    }
    a.chars().map(fold).eq(b.chars().map(fold))
}

/// A bare word: part of any name on the row, in any case. Names that DNS gave an address later are a question of their own.
#[derive(Debug)]
pub struct Word {
    whole: Glob,
    /// For a word with a slash: the end of a namespace and the beginning of a name.
    halves: Option<(Glob, Glob)>,
}

impl Word {
    pub fn new(word: &str) -> Self {
        let halves = word.split_once('/').map(|(a, b)| (Glob::ends(a, true), Glob::starts(b, true)));
        Self { whole: Glob::inside(word, true), halves }
    }

    fn fields(e: End) -> [Field; 8] {
        use Field::*;
        [Namespace(e), Pod(e), ServiceNamespace(e), ServiceName(e), Owners(e), Names(e), Ip(e), Labels(e)]
    }

    fn side(&self, v: &dyn View, e: End) -> bool {
        let hit = |s: &str| !s.is_empty() && self.whole.matches(s);
        let both =
            |a: &str, b: &str| self.halves.as_ref().is_some_and(|(x, y)| !a.is_empty() && !b.is_empty() && x.matches(a) && y.matches(b));
        let (ns, pod) = (v.field(Field::Namespace(e)).text(), v.field(Field::Pod(e)).text());
        let (sns, svc) = (v.field(Field::ServiceNamespace(e)).text(), v.field(Field::ServiceName(e)).text());
        if [ns, pod, sns, svc].into_iter().any(hit) || both(ns, pod) || both(sns, svc) {
            return true;
        }
        let address = match v.field(Field::Ip(e)) {
            Value::Addr(ip) => hit(&ip.to_string()),
            ip => hit(ip.text()),
        };
        address
            || v.any(Field::Owners(e), &mut |i| matches!(i, Item::Pair(kind, name) if hit(name) || both(kind, name) || both(ns, name)))
            || v.any(Field::Names(e), &mut |i| hit(i.text()))
            || v.any(Field::Labels(e), &mut |i| i.text().strip_prefix("reserved:").is_some_and(hit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotless_i_is_no_i_in_any_case() {
        for (a, b, same) in [
            ("OPTIONS", "options", true),
            ("OPTIONS", "opt\u{131}ons", false),
            ("opt\u{131}ons", "opt\u{131}ons", true),
            ("k\u{17f}", "\u{212a}S", true),
            ("\u{130}", "i", false),
            ("Ä", "ä", true),
            ("ß", "ss", false),
        ] {
            assert_eq!(fold_eq(a, b), same, "{a} {b}");
        }
    }
}
