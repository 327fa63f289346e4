//! What a filter says, before it is checked. Printing an [`Expr`] and parsing it again gives the same one.
use super::Span;
use super::fields::Name;
use crate::model::view::End;
use std::fmt;
use std::net::IpAddr;

/// A place in the text. All places are equal: two filters that say the same are the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct At(pub Span);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// The empty filter.
    All,
    /// Two or more.
    And(Vec<Expr>),
    /// Two or more.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Atom(Atom),
    /// Bare text: part of any name on the row.
    Word(Text),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Atom {
    /// `from.` or `to.`; none: either side.
    pub side: Option<End>,
    pub name: Name,
    pub op: Op,
    /// One or more; any of them.
    pub values: Vec<Text>,
    pub at: At,
}

/// A value or a word, without its quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub text: String,
    pub at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Is,
    Not,
    Regex,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

impl Expr {
    /// Whether one of its atoms asks for this field.
    pub fn asks(&self, name: Name) -> bool {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().any(|e| e.asks(name)),
            Self::Not(e) => e.asks(name),
            Self::Atom(a) => a.name == name,
            Self::All | Self::Word(_) => false,
        }
    }
}

impl Op {
    /// Longest first, as they are looked for.
    pub const ALL: [Self; 7] = [Self::Not, Self::AtMost, Self::AtLeast, Self::Is, Self::Regex, Self::Less, Self::Greater];

    pub fn sign(self) -> &'static str {
        match self {
            Self::Is => ":",
            Self::Not => "!=",
            Self::Regex => "~",
            Self::Less => "<",
            Self::Greater => ">",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[Self], between: &str, in_and: bool| {
            for (i, e) in items.iter().enumerate() {
                f.write_str(if i == 0 { "" } else { between })?;
                match e {
                    Self::Or(_) => write!(f, "({e})")?,
                    Self::And(_) if in_and => write!(f, "({e})")?,
                    e => write!(f, "{e}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::All => Ok(()),
            Self::And(items) => list(f, items, " ", true),
            Self::Or(items) => list(f, items, " or ", false),
            Self::Not(e) if matches!(**e, Self::And(_) | Self::Or(_)) => write!(f, "not ({e})"),
            Self::Not(e) => write!(f, "not {e}"),
            Self::Atom(a) => write!(f, "{a}"),
            Self::Word(w) if bare_word(&w.text) => f.write_str(&w.text),
            Self::Word(w) => quoted(f, &w.text),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.side {
            None => "",
            Some(End::Source) => "from.",
            Some(End::Destination) => "to.",
        })?;
        write!(f, "{}{}", self.name.word(), self.op.sign())?;
        for (i, v) in self.values.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            if bare_value(&v.text) { f.write_str(&v.text)? } else { quoted(f, &v.text)? }
        }
        Ok(())
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, s: &str) -> fmt::Result {
    write!(f, "\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What ends bare text.
pub fn ends_bare(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | '(' | ')')
}

fn bare_value(s: &str) -> bool {
    // Behind `<` an equals sign would belong to the operator.
    !s.is_empty() && !s.starts_with(['"', '=']) && !s.contains(ends_bare)
}

/// Words that mean something to the grammar.
pub fn is_keyword(s: &str) -> bool {
    ["and", "or", "not"].iter().any(|k| s.eq_ignore_ascii_case(k)) || matches!(s, "&&" | "||")
}

/// Bare, these behind a label look like a selector that lacks its quotes.
pub fn is_selector_word(s: &str) -> bool {
    matches!(s, "in" | "notin")
}

fn bare_word(s: &str) -> bool {
    is_address(s)
        || (!s.is_empty() && !is_keyword(s) && !is_selector_word(s) && s.chars().all(|c| c.is_alphanumeric() || "._/*@%+-".contains(c)))
}

/// An address or a prefix, the one bare word that may have colons.
pub fn is_address(s: &str) -> bool {
    let addr = s.split_once('/').map_or(s, |(a, bits)| if bits.parse::<u8>().is_ok() { a } else { "" });
    addr.parse::<IpAddr>().is_ok()
}
