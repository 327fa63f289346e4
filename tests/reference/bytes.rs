//! One case made of arbitrary bytes: what the fuzzer tries, and the tests with bytes of their own.
use super::random::{Dice, Maker};
use super::{case, ours};
use flowhy::model::observed::{Direction, Observed, Verdict};
use flowhy::policy::explain;

/// Every byte is one choice; once they are used up it is always the first.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Dice for Bytes<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n
    }
}

/// Panics where evaluator and reference differ, or where an explanation is not sound.
pub fn one(bytes: &[u8]) {
    let mut dice = Bytes(bytes.iter());
    let case = Maker(&mut dice).policies();
    let read = case::Read::of(&case);
    if let Some(difference) = ours::differences(&case, &read) {
        panic!("{difference}");
    }
    let directions = [None, Some(Direction::Egress), Some(Direction::Ingress)];
    let record = Observed {
        verdict: if dice.below(4) == 0 { Verdict::Forwarded } else { Verdict::Dropped },
        drop_reason: [0, 133, 181, 189][dice.below(4)],
        direction: directions[dice.below(3)],
        is_reply: [None, Some(false), Some(true)][dice.below(3)],
        l4: read.traffic.l4,
        dst_port: read.traffic.port.unwrap_or(0),
        icmp: read.traffic.icmp.map(|kind| (kind, 0)),
        src: read.src.clone(),
        dst: read.dst.clone(),
        ..Observed::default()
    };
    let e = explain(&record, &read.world, &read.set, &read.opt);
    assert!(e.rules.iter().all(|r| r.marks.iter().all(|m| (r.lines.0..=r.lines.1).contains(&m.line))), "a mark outside its rule");
}
