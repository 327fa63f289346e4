//! Values of the language's fields, checked: numbers and ranges, enums, drop reasons, times. Every error says where and what is wanted.
use super::ast::{Atom, Op, Text as Val};
use super::fields::{Name, nearest};
use super::leaf::{Leaf, Ranges};
use super::{Context, Node, QueryError, when};
use crate::model::reason;
use crate::model::view::Field;

pub type Result<T> = std::result::Result<T, QueryError>;

const MAX: i128 = i128::MAX;

pub fn any(mut list: Vec<Node>) -> Node {
    match list.len() {
        1 => list.pop().unwrap_or(Node::True),
        _ => Node::Or(list),
    }
}

pub fn bad(v: &Val, message: impl Into<String>) -> QueryError {
    QueryError::new(v.at.0, message)
}

/// A value that is not in the field's list.
pub fn unknown(a: &Atom, v: &Val) -> QueryError {
    let values = a.name.spec().values;
    let e = bad(v, format!("{} has no value {:?}; it takes {}", a.name.word(), v.text, values.join(" ")));
    e.suggest(nearest(&v.text, values.iter().copied()))
}

/// Every value through `one`.
pub fn each<T>(a: &Atom, one: impl FnMut(&Val) -> Result<T>) -> Result<Vec<T>> {
    a.values.iter().map(one).collect()
}

/// Ranges of the numbers, turned by the operator. `least` is the least number that means something.
pub fn numbers(a: &Atom, known: impl Fn(&str) -> Option<(i128, i128)>, say: &str, least: i128) -> Result<Ranges> {
    each(a, |v| {
        let (lo, hi) = known(&v.text).ok_or_else(|| {
            let e = bad(v, format!("{:?}: {say}", v.text));
            e.suggest(nearest(&v.text, a.name.spec().values.iter().copied()))
        })?;
        Ok(match a.op {
            Op::Less => (least, lo - 1),
            Op::AtMost => (least, hi),
            Op::Greater => (hi + 1, MAX),
            Op::AtLeast => (lo, MAX),
            _ => (lo, hi),
        })
    })
}

pub fn range(s: &str, max: u32) -> Option<(i128, i128)> {
    let number = |s: &str| s.parse::<u32>().ok().filter(|n| *n <= max && !s.starts_with('+')).map(i128::from);
    match s.split_once('-') {
        Some((lo, hi)) => Some((number(lo)?, number(hi)?)).filter(|(lo, hi)| lo <= hi),
        None => number(s).map(|n| (n, n)),
    }
}

pub fn status(s: &str) -> Option<(i128, i128)> {
    let lower = s.to_ascii_lowercase();
    match lower.strip_suffix("xx") {
        Some(c) => range(c, 9).map(|(lo, hi)| (lo * 100, hi * 100 + 99)),
        None => range(s, 999),
    }
}

pub fn rcode(s: &str) -> Option<(i128, i128)> {
    const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let named = CODES.iter().zip(0..).find(|(n, _)| n.eq_ignore_ascii_case(s)).map(|(_, i)| (i, i));
    named.or_else(|| range(s, 65535))
}

pub fn enumerated(a: &Atom, field: Field, known: impl Fn(&str) -> Option<i128>) -> Result<Node> {
    let ranges = each(a, |v| known(&v.text.to_ascii_lowercase()).map(|n| (n, n)).ok_or_else(|| unknown(a, v)))?;
    Ok(Node::Leaf(Leaf::num(field, ranges)))
}

pub fn truth(a: &Atom, v: &Val) -> Result<bool> {
    match v.text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(unknown(a, v)),
    }
}

/// `drop:` asks for dropped flows of a kind, or with a reason.
pub fn dropped(a: &Atom, v: &Val) -> Result<Node> {
    let code = |codes: &[u32]| Node::Leaf(Leaf::num(Field::DropCode, codes.iter().map(|c| (i128::from(*c), i128::from(*c))).collect()));
    let l7 = || Node::Leaf(Leaf::num(Field::L7Record, vec![(0, MAX)]));
    let kind = match v.text.to_ascii_lowercase().as_str() {
        "any" => Node::True,
        // Whatever a policy does: refuses, denies, demands authentication, or has the proxy refuse.
        "policy" => any(vec![code(&policy_codes()), l7()]),
        "deny" => code(&[181]),
        "auth" => code(&[189]),
        "l7" => l7(),
        // Connection tracking: no entry, no map, no room, no sense.
        "state" => code(&[135, 137, 138, 155, 163, 190]),
        s => match reason::by_name(s).or_else(|| s.parse().ok().and_then(reason::by_number)) {
            Some(r) => code(&[r.number]),
            None => {
                let names = reason::REASONS.iter().map(|r| r.name).filter(|n| !n.is_empty());
                let say = nearest(s, a.name.spec().values.iter().copied().chain(names));
                return Err(bad(v, format!("no drop reason {:?}; kinds are {}", v.text, a.name.spec().values.join(" "))).suggest(say));
            }
        },
    };
    Ok(Node::And(vec![Node::Leaf(Leaf::num(Field::Verdict, vec![(2, 2)])), kind]))
}

fn policy_codes() -> Vec<u32> {
    let policy = |r: &&reason::Reason| !matches!(reason::cause(r.number), reason::Cause::Other | reason::Cause::None);
    reason::REASONS.iter().filter(policy).map(|r| r.number).collect()
}

/// The times of each value, in nanoseconds, both ends inclusive.
pub fn times(a: &Atom, ctx: &Context) -> Result<Ranges> {
    each(a, |v| {
        let say = || bad(v, format!("{:?} is no time; write 5m, 13:57, 2025-11-23 or 2025-11-23T13:57:00Z", v.text));
        let (at, lasts) = when::moment(&v.text, ctx).ok_or_else(say)?;
        let (at, end) = (i128::from(at.0), i128::from(at.0) + i128::from(lasts) - 1);
        Ok(match a.name {
            Name::Since => (at, MAX),
            Name::Until => (i128::MIN, at),
            _ => (at, end),
        })
    })
}

pub fn time(a: &Atom, ctx: &Context) -> Result<Node> {
    Ok(Node::Leaf(Leaf::num(Field::Time, times(a, ctx)?)))
}
