//! Types of CEL expressions, and what operators and functions make of them: the standard library's overloads.
//!
//! Knows nothing of expressions. `check` asks, because the interpreter itself looks at types only when it is too late.
use crate::model::reflect::{Holds, Member};
use crate::wire::reflect::MESSAGES;
use std::fmt;

/// The type of an expression, as far as it can be known before the first flow.
#[derive(Debug, Clone, PartialEq)]
pub enum T {
    /// Anything; known only at run time.
    Dyn,
    /// The element of a list that is empty so far: becomes what it meets.
    Open,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Time,
    Span,
    Type,
    List(Box<T>),
    Map(Box<T>, Box<T>),
    /// The message with this place in the table.
    Message(usize),
    /// The value or null.
    Maybe(Box<T>),
}

impl fmt::Display for T {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn | Self::Open => f.write_str("dyn"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Null => f.write_str("null"),
            Self::Time => f.write_str("timestamp"),
            Self::Span => f.write_str("duration"),
            Self::Type => f.write_str("type"),
            Self::List(t) => write!(f, "list({t})"),
            Self::Map(k, v) => write!(f, "map({k}, {v})"),
            Self::Message(i) => f.write_str(MESSAGES.get(*i).map_or("message", |s| s.name)),
            Self::Maybe(t) => write!(f, "wrapper({t})"),
        }
    }
}

impl T {
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// The type of a message's member.
    pub fn of(member: &Member) -> Self {
        let one = match member.holds {
            Holds::Bool => Self::Bool,
            Holds::Int => Self::Int,
            Holds::Uint => Self::Uint,
            Holds::Double => Self::Double,
            Holds::Text => Self::Text,
            Holds::Message(i) => Self::Message(i),
            Holds::Time => Self::Time,
            Holds::MaybeBool => Self::Maybe(Box::new(Self::Bool)),
            Holds::MaybeInt => Self::Maybe(Box::new(Self::Int)),
            Holds::MaybeUint => Self::Maybe(Box::new(Self::Uint)),
            Holds::Any => Self::Dyn,
        };
        if member.repeated { Self::list(one) } else { one }
    }

    /// The type that both are, if one of them can stand where the other is wanted.
    pub fn join(a: &Self, b: &Self) -> Option<Self> {
        Some(match (a, b) {
            (Self::Open, x) | (x, Self::Open) => x.clone(),
            (Self::Dyn, _) | (_, Self::Dyn) => Self::Dyn,
            (Self::Maybe(x), Self::Null) | (Self::Null, Self::Maybe(x)) => Self::Maybe(x.clone()),
            (Self::Maybe(x), Self::Maybe(y)) => Self::Maybe(Box::new(Self::join(x, y)?)),
            (Self::Maybe(x), y) | (y, Self::Maybe(x)) => Self::Maybe(Box::new(Self::join(x, y)?)),
            (m @ (Self::Message(_) | Self::Time | Self::Span), Self::Null)
            | (Self::Null, m @ (Self::Message(_) | Self::Time | Self::Span)) => m.clone(),
            (Self::List(x), Self::List(y)) => Self::list(Self::join(x, y)?),
            (Self::Map(k, v), Self::Map(l, w)) => Self::Map(Box::new(Self::join(k, l)?), Box::new(Self::join(v, w)?)),
            (x, y) if x == y => x.clone(),
            _ => return None,
        })
    }

    /// The value inside: what an operator sees of a wrapper.
    fn bare(&self) -> &Self {
        match self {
            Self::Maybe(t) => t,
            t => t,
        }
    }

    fn is(&self, wanted: &Self) -> bool {
        Self::join(self.bare(), wanted).is_some() && !matches!((self.bare(), wanted), (Self::Null, Self::Time | Self::Span))
    }
}

/// The result of a call; none if no overload takes these arguments. A method's target is the first of them.
pub fn call(name: &str, method: bool, args: &[T]) -> Option<T> {
    use T::{Bool, Bytes, Double, Dyn, Int, Span, Text, Time, Uint};
    let one = |a: &T, list: &[T]| list.iter().any(|t| a.is(t));
    let pairs = |a: &T, b: &T, list: &[(T, T, T)]| list.iter().find(|(x, y, _)| a.is(x) && b.is(y)).map(|(_, _, r)| r.clone());
    let same = |a: &T, b: &T, list: &[T]| list.iter().find(|t| a.is(t) && b.is(t)).cloned();
    let numbers = [Int, Uint, Double];
    if args.iter().any(|t| t.bare() == &Dyn) && !matches!(name, "_?_:_" | "_==_" | "_!=_" | "dyn" | "type") {
        // What is known only later is judged then; the functions have to exist.
        return known(name, method, args.len()).then(|| match name {
            "_&&_"
            | "_||_"
            | "!_"
            | "_<_"
            | "_<=_"
            | "_>_"
            | "_>=_"
            | "@in"
            | "@not_strictly_false"
            | "contains"
            | "startsWith"
            | "endsWith"
            | "matches"
            | "bool" => Bool,
            "size" | "int" => Int,
            "uint" => Uint,
            "double" => Double,
            "string" => Text,
            "bytes" => Bytes,
            "timestamp" => Time,
            "duration" => Span,
            n if n.starts_with("get") => Int,
            _ => Dyn,
        });
    }
    match (name, method, args) {
        ("_&&_" | "_||_", _, [a, b]) => (a.is(&Bool) && b.is(&Bool)).then_some(Bool),
        ("!_" | "@not_strictly_false", _, [a]) => a.is(&Bool).then_some(Bool),
        ("-_", _, [a]) => [Int, Double].into_iter().find(|t| a.is(t)),
        ("_==_" | "_!=_", _, [a, b]) => T::join(a, b).map(|_| Bool),
        ("_<_" | "_<=_" | "_>_" | "_>=_", _, [a, b]) => same(a, b, &[Bool, Int, Uint, Double, Text, Bytes, Time, Span]).map(|_| Bool),
        ("_+_", _, [T::List(a), T::List(b)]) => Some(T::list(T::join(a, b).unwrap_or(Dyn))),
        ("_+_", _, [a, b]) => {
            same(a, b, &[Int, Uint, Double, Text, Bytes, Span]).or_else(|| pairs(a, b, &[(Time, Span, Time), (Span, Time, Time)]))
        }
        ("_-_", _, [a, b]) => same(a, b, &[Int, Uint, Double, Span]).or_else(|| pairs(a, b, &[(Time, Time, Span), (Time, Span, Time)])),
        ("_*_" | "_/_", _, [a, b]) => same(a, b, &numbers),
        ("_%_", _, [a, b]) => same(a, b, &[Int, Uint]),
        ("_?_:_", _, [c, a, b]) => c.is(&Bool).then(|| T::join(a, b))?,
        ("@in", _, [a, T::List(of) | T::Map(of, _)]) => T::join(a.bare(), of).map(|_| Bool),
        ("_[_]", _, [T::List(of), i]) => i.is(&Int).then(|| (**of).clone()),
        ("_[_]", _, [T::Map(key, of), i]) => T::join(key, i).map(|_| (**of).clone()),
        ("size", _, [T::List(_) | T::Map(..)]) => Some(Int),
        ("size", _, [a]) => one(a, &[Text, Bytes]).then_some(Int),
        ("contains" | "startsWith" | "endsWith", true, [a, b]) | ("matches", _, [a, b]) => (a.is(&Text) && b.is(&Text)).then_some(Bool),
        ("int", false, [a]) => one(a, &[Int, Uint, Double, Text, Time]).then_some(Int),
        ("uint", false, [a]) => one(a, &[Int, Uint, Double, Text]).then_some(Uint),
        ("double", false, [a]) => one(a, &[Int, Uint, Double, Text]).then_some(Double),
        ("string", false, [a]) => one(a, &[Bool, Int, Uint, Double, Text, Bytes, Time, Span]).then_some(Text),
        ("bytes", false, [a]) => one(a, &[Text, Bytes]).then_some(Bytes),
        ("bool", false, [a]) => one(a, &[Text, Bool]).then_some(Bool),
        ("timestamp", false, [a]) => one(a, &[Text, Int, Time]).then_some(Time),
        ("duration", false, [a]) => one(a, &[Text, Span]).then_some(Span),
        ("type", false, [_]) => Some(T::Type),
        ("dyn", false, [_]) => Some(Dyn),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", true, [a]) if a.is(&Span) => Some(Int),
        (part, true, [a]) if PARTS.contains(&part) => a.is(&Time).then_some(Int),
        (part, true, [a, zone]) if PARTS.contains(&part) => (a.is(&Time) && zone.is(&Text)).then_some(Int),
        _ => None,
    }
}

/// Parts of a time, with or without a time zone.
const PARTS: [&str; 10] = [
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// Whether there is a function of this name that can take so many arguments.
pub fn known(name: &str, method: bool, args: usize) -> bool {
    match name {
        "contains" | "startsWith" | "endsWith" => method && args == 2,
        "matches" => args == 2,
        "size" => args == 1,
        "int" | "uint" | "double" | "string" | "bytes" | "bool" | "timestamp" | "duration" | "type" | "dyn" => !method && args == 1,
        "@not_strictly_false" => args == 1,
        "@in" => args == 2,
        n if PARTS.contains(&n) => method && matches!(args, 1 | 2),
        n => n.contains('_') && !n.chars().any(char::is_alphanumeric),
    }
}

/// The names of types, which stand for themselves.
pub fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "null_type"
            | "type"
            | "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
    )
}
