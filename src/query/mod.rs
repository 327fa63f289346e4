//! One predicate from two front ends: the filter language and Hubble's flags.
//!
//! Owns both grammars, their checking, and the compiled [`Predicate`] that runs over any [`View`]. Must not read a clock (the
//! moment is in the [`Context`]), a file or the network, and must not know in what kind of view a flow lies.
//!
//! ```text
//!   text  → lex → parse → ast  → compile ┐
//!                                        ├→ Node (leaves + and/or/not) → Predicate
//!   flags → split → track → FlowFilter → hubble ┘
//! ```
pub mod ast;
pub mod bytes;
#[cfg(feature = "cel")]
mod cel;
mod check;
mod compile;
mod complete;
pub mod fields;
mod fixed;
pub mod flags;
pub mod group;
mod hubble;
mod leaf;
mod lex;
mod numbered;
mod parse;
mod pattern;
mod push;
mod raw;
mod re2;
pub mod recall;
mod selector;
mod track;
mod trouble;
mod url;
mod value;
mod when;

pub use complete::{Completions, Kind as CompletionKind, complete, quoted};
pub use fixed::fixed;
pub use flags::{Arg, FLAGS, Flag, FlagSpec, Group, split_args};
pub use hubble::compile;
pub use numbered::{numbered, spelled};
pub use parse::parse_expr;
pub use push::{Pushed, push, with_dns};
pub use track::{Filters, from_flags};
pub use trouble::Trouble;
pub use when::{duration, moment, since};

use crate::error::Error;
use crate::model::time::Nanos;
use crate::model::view::{Field, FieldSet, View};
use leaf::Leaf;
use std::fmt;
use std::sync::Arc;

/// What a filter means "now" and "today" by. Nothing here reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// `since:5m` counts back from here.
    pub now: Nanos,
    /// Seconds east of UTC for times of day without a zone; 0 = UTC.
    pub offset: i32,
}

impl Context {
    pub fn at(now: Nanos) -> Self {
        Self { now, offset: 0 }
    }
}

/// A part of the text, in bytes, always at character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// What is wrong with a filter, where, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    pub span: Span,
    pub message: String,
    /// What to write in place of the span.
    pub suggestion: Option<String>,
}

impl QueryError {
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), suggestion: None }
    }

    #[must_use]
    pub fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// The column of the error, counted in characters from 1.
    pub fn column(&self, text: &str) -> usize {
        text.char_indices().take_while(|(i, _)| *i < self.span.start).count() + 1
    }

    /// As the commands report it.
    pub fn to_error(&self, text: &str) -> Error {
        let what = format!("cannot read the filter at column {}: {}", self.column(text), self.message);
        match &self.suggestion {
            Some(s) => Error::usage(what).hint(format!("did you mean {s}?")),
            None => Error::usage(what),
        }
    }
}

/// `unknown field "prt" — did you mean port?`
impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |s| write!(f, " — did you mean {s}?"))
    }
}

/// The compiled tree.
#[derive(Debug)]
pub(crate) enum Node {
    True,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

impl Node {
    fn matches(&self, v: &dyn View) -> bool {
        match self {
            Self::True => true,
            Self::And(all) => all.iter().all(|n| n.matches(v)),
            Self::Or(any) => any.iter().any(|n| n.matches(v)),
            Self::Not(n) => !n.matches(v),
            Self::Leaf(l) => l.matches(v),
        }
    }

    fn fields(&self, out: &mut FieldSet) {
        match self {
            Self::True => {}
            Self::And(list) | Self::Or(list) => list.iter().for_each(|n| n.fields(out)),
            Self::Not(n) => n.fields(out),
            Self::Leaf(l) => l.fields(out),
        }
    }
}

/// A filter, compiled once, cheap to clone and to share between threads.
#[derive(Debug, Clone)]
pub struct Predicate {
    node: Arc<Node>,
    fields: FieldSet,
    text: Arc<str>,
    trouble: Arc<Trouble>,
}

impl Default for Predicate {
    fn default() -> Self {
        Self::all()
    }
}

impl Predicate {
    /// Matches everything, also what is no flow.
    pub fn all() -> Self {
        Self::new(Node::True, "")
    }

    pub(crate) fn new(node: Node, text: &str) -> Self {
        let mut fields = FieldSet::EMPTY;
        node.fields(&mut fields);
        Self { node: Arc::new(node), fields, text: Arc::from(text), trouble: Arc::default() }
    }

    /// Where the leaves book what fails.
    pub(crate) fn with_trouble(self, trouble: Arc<Trouble>) -> Self {
        Self { trouble, ..self }
    }

    /// What failed while it ran; shared by all clones.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    pub fn is_all(&self) -> bool {
        matches!(*self.node, Node::True)
    }

    /// Both. The texts are joined for show; each stays what it was.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_all() {
            return other;
        }
        if other.is_all() {
            return self;
        }
        let text = format!("({}) ({})", self.text, other.text);
        // The dear questions last. Only Hubble's filters ask such, so only one of two can fail.
        let (first, last) = if self.fields.contains(Field::Message) { (other, self) } else { (self, other) };
        let fields = first.fields.union(last.fields);
        let node = Node::And(vec![Node::Leaf(Leaf::Shared(first.node)), Node::Leaf(Leaf::Shared(last.node))]);
        Self { node: Arc::new(node), fields, text: Arc::from(text.as_str()), trouble: last.trouble }
    }

    pub fn matches(&self, flow: &dyn View) -> bool {
        self.node.matches(flow)
    }

    /// What it asks of a flow; `needs_derived()` tells whether a view without the engine's knowledge can answer.
    pub fn fields(&self) -> FieldSet {
        self.fields
    }

    /// The filter as it was written; empty for the one that matches everything.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A filter of the language. The empty text matches everything.
pub fn parse(text: &str, ctx: &Context) -> Result<Predicate, QueryError> {
    let expr = parse_expr(text)?;
    Ok(Predicate::new(compile::node(&expr, ctx)?, text.trim()))
}

#[cfg(test)]
mod tests;
