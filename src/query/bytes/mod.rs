//! What the bytes of a JSON line must show for a filter to match it: a scan looks for that before it reads a line at all.
//!
//! Owns the derivation of necessary conditions, as a conjunction of clauses. Must never ask too much: a clause that a matching
//! line lacks would lose a flow, one too few only costs time. So whatever is not understood gives no clause.
//!
//! JSON may spell a thing in many ways. A clause speaks of the plain spelling; a line in which a character of a probe could be
//! spelt by an escape (see [`harmless`]) has to be looked at whatever the clauses say.
mod leaf;
mod text;

use super::leaf::Ranges;
use super::{Node, Predicate};
use crate::model::view::View;
use crate::wire::pb::flow::{Flow, LostEvent};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;

/// Clauses beyond the best few are not worth their search.
const MOST_CLAUSES: usize = 4;
/// A clause with more ways to be true than this is no help.
const MOST_PROBES: usize = 64;

/// One thing that may stand in a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Bytes, all of them ASCII that JSON leaves as it is. `fold`: letters in any case.
    Text { bytes: Vec<u8>, fold: bool },
    /// A member with one of these keys (in quotes) whose value passes.
    Member { keys: Vec<Vec<u8>>, test: Token },
}

/// A test of the value behind a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// No string: an enum may be a number.
    NoString,
    /// A number in one of these inclusive ranges, in quotes or not; also one in a spelling that has to be read to be known.
    Number(Ranges),
    /// `true`.
    True,
}

impl Token {
    /// Whether the text behind a key, from its colon on, passes; `false` where there is no colon, because then it was no key.
    pub fn passes(&self, after: &[u8]) -> bool {
        let blanks = |b: &[u8]| b.iter().take_while(|c| matches!(c, b' ' | b'\t' | b'\r')).count();
        let after = after.get(blanks(after)..).unwrap_or(&[]);
        let Some(value) = after.strip_prefix(b":") else { return false };
        let value = value.get(blanks(value)..).unwrap_or(&[]);
        match self {
            Self::NoString => value.first() != Some(&b'"'),
            Self::True => value.starts_with(b"true"),
            Self::Number(ranges) => {
                let quoted = value.strip_prefix(b"\"");
                let value = quoted.unwrap_or(value);
                let digits = value.iter().take_while(|c| c.is_ascii_digit()).count();
                let ends = match quoted {
                    Some(_) => value.get(digits) == Some(&b'"'),
                    None => value.get(digits).is_none_or(|c| matches!(c, b',' | b'}' | b' ')),
                };
                // Signs, fractions, exponents and escapes are for the reader.
                if !ends || !(1..=18).contains(&digits) {
                    return true;
                }
                let n = value.iter().take(digits).fold(0i128, |n, c| n * 10 + i128::from(c - b'0'));
                ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&n))
            }
        }
    }
}

/// One of these has to be there.
pub type Clause = Vec<Probe>;

/// Whether no escape `\uXXXX` with these digits spells a character of a probe: those are printable ASCII but `"`, `\`, `<`, `>`
/// and `&`, which a JSON writer has reasons to spell so.
pub fn harmless(digits: &[u8]) -> bool {
    let four = digits.first_chunk::<4>().and_then(|d| std::str::from_utf8(d).ok());
    let Some(n) = four.and_then(|d| u32::from_str_radix(d, 16).ok()) else { return false };
    n >= 0x80 || char::from_u32(n).is_none_or(|c| !text::plain(c))
}

impl Predicate {
    /// What every line that matches must show, the most telling clause first. Empty: every line has to be looked at.
    pub fn needs(&self) -> Vec<Clause> {
        // What is no flow passes as an empty one, and says nothing that could be looked for; nor does an empty flow.
        let empty = |kind| GetFlowsResponse { response_types: Some(kind), ..GetFlowsResponse::default() };
        let (none, flow) = (empty(ResponseTypes::LostEvents(LostEvent::default())), empty(ResponseTypes::Flow(Flow::default())));
        if [&none, &flow].into_iter().any(|r| self.matches(r as &dyn View)) {
            return Vec::new();
        }
        of(&self.node)
    }
}

fn of(node: &Node) -> Vec<Clause> {
    match node {
        Node::True | Node::Not(_) => Vec::new(),
        Node::And(all) => and(all.iter().map(of)),
        Node::Or(any) => or(any.iter().map(of)),
        Node::Leaf(l) => leaf::of(l),
    }
}

/// Both: the clauses of all, the best first.
fn and(all: impl IntoIterator<Item = Vec<Clause>>) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = all.into_iter().flatten().filter(|c| c.len() <= MOST_PROBES).collect();
    clauses.sort_by_cached_key(|c| (price(c), c.clone()));
    clauses.dedup();
    clauses.truncate(MOST_CLAUSES);
    clauses
}

/// Either: one clause of each side makes a clause together. The best go with the best.
fn or(any: impl IntoIterator<Item = Vec<Clause>>) -> Vec<Clause> {
    let sides: Vec<Vec<Clause>> = any.into_iter().collect();
    // A side that may match without showing anything.
    if sides.is_empty() || sides.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let most = sides.iter().map(Vec::len).max().unwrap_or(0);
    and([(0..most)
        .map(|n| {
            let mut clause: Clause = sides.iter().filter_map(|s| s.get(n).or(s.last())).flatten().cloned().collect();
            clause.sort();
            clause.dedup();
            clause
        })
        .collect()])
}

/// How much a clause costs to look for and how little it says, in no unit.
fn price(clause: &Clause) -> usize {
    let one = |p: &Probe| match p {
        // A key alone stands in many lines.
        Probe::Text { bytes, fold: false } if KEYS.iter().any(|k| *k == bytes) => 40,
        Probe::Text { bytes, fold } => 20 - bytes.len().min(16) + if *fold { 50 } else { 0 },
        Probe::Member { test: Token::NoString, .. } => 4,
        Probe::Member { .. } => 45,
    };
    clause.iter().map(one).sum()
}

/// Keys that are looked for as such, in quotes.
const KEYS: &[&[u8]] =
    &[b"\"url\"", b"\"dns\"", b"\"http\"", b"\"kafka\"", b"\"l7\"", b"\"TCP\"", b"\"UDP\"", b"\"query\"", b"\"method\"", b"\"headers\""];

#[cfg(test)]
mod tests;
