//! What DNS answers have taught, for the beginning of a segment: who reads that one alone must know the names too.
//!
//! Owns how many answers are kept: of one asker the last to each question and addresses, the newest of all where there is no room for more. What is older
//! than these a segment that is read alone does not know; who reads the whole set does.
use crate::model::observed::L7;
use crate::wire::observed::{is_dns, observed};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::world::dns::asker;
use crate::world::line;
use std::collections::{BTreeMap, HashMap};

/// Answers kept, and their bytes at most, however large a segment is.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 1 << 20;

/// What tells one answer from another.
pub(super) type Answer = String;

/// Which answer a record is; `None` of what teaches no name.
pub(super) fn answer(r: &GetFlowsResponse) -> Option<Answer> {
    if !is_dns(r) {
        return None;
    }
    let o = observed(r);
    let Some(L7::Dns { query, ips, cnames, rcode: 0, .. }) = &o.l7 else { return None };
    (!ips.is_empty() || !cnames.is_empty()).then(|| format!("{} {} {query} {ips:?} {cnames:?}", o.node, asker(&o.dst)))
}

#[derive(Debug, Default)]
pub(super) struct Names {
    /// By when they were said, the oldest first: the answer, and its line.
    lines: BTreeMap<u64, (Answer, Vec<u8>)>,
    said: HashMap<Answer, u64>,
    bytes: usize,
    next: u64,
}

impl Names {
    /// Takes in the record of an answer. `room`: bytes that a segment has for all of them.
    pub fn take(&mut self, answer: Answer, record: &[u8], room: usize) {
        let mut line = Vec::new();
        line::teach(record, &mut line);
        self.next += 1;
        self.bytes += line.len();
        if let Some((_, old)) = self.said.insert(answer.clone(), self.next).and_then(|n| self.lines.remove(&n)) {
            self.bytes -= old.len();
        }
        self.lines.insert(self.next, (answer, line));
        while (self.lines.len() > MOST || self.bytes > room.min(MOST_BYTES))
            && let Some((_, (answer, line))) = self.lines.pop_first()
        {
            self.bytes -= line.len();
            self.said.remove(&answer);
        }
    }

    /// In the order in which they were said.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.values().map(|(_, l)| l.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_answers_are_kept_and_one_that_is_repeated_once() {
        let mut names = Names::default();
        for n in 0..10 {
            names.take(format!("a{n}"), b"{\"n\":1}", 1 << 20);
        }
        names.take("a0".to_owned(), b"{\"n\":2}", 1 << 20);
        assert_eq!(names.lines().count(), 10);
        assert!(names.lines().last().is_some_and(|l| l == b"{\"world\":{\"learnt\":{\"n\":2}}}"));
        let one = names.lines().next().unwrap().len();
        names.take("b".to_owned(), b"{\"n\":3}", 3 * one);
        assert_eq!((names.lines().count(), names.said.len(), names.bytes), (3, 3, 3 * one));
    }
}
