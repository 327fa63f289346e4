//! Whether a break has cost flows, node by node. A node of which a flow comes again, or an older one, lacks nothing. Of the others the
//! server's memory speaks, as far as it was told how far back that goes; of a node that it says nothing of, the first flow that comes.
//!
//! Owns the memory of each node's last flow, and the judgement. Knows nothing of connections, and asks nobody. The times are the nodes'
//! own; that of the break is ours.
use super::oldest::Oldest;
use crate::model::ids::Ids;
use crate::model::time::Nanos;
use std::collections::HashMap;

/// Nodes whose last flow is remembered; of further ones, and of names that no node can have, nothing is claimed. The largest clusters have
/// 5 000.
pub const MOST: usize = 16_384;
/// Clocks that are further apart are not compared: a recording that is served tells of another day.
const SKEW: i64 = 60 * Nanos::SECOND;

#[derive(Debug, Default)]
pub struct Overlap {
    last: HashMap<Box<[u8]>, Nanos>,
    /// Nodes that may lack something since a break.
    open: HashMap<Box<[u8]>, Doubt>,
    /// What was found, and not told yet.
    lapses: Vec<Lapse>,
    /// How far back the server's memory goes would decide something.
    wants: bool,
}

/// A time of which a node may lack flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// Empty where the server does not say.
    pub node: String,
    pub from: Nanos,
    pub until: Nanos,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Its last flow before the break.
    last: Nanos,
    /// From where on all was asked for again.
    since: Nanos,
    /// Until then everything came, by our clock.
    whole: Option<Nanos>,
    /// The oldest flow of it that the server holds.
    oldest: Option<Nanos>,
    /// Its first flow since.
    first: Option<Nanos>,
    /// An answer that came after that flow did not name it.
    passed: bool,
}

impl Doubt {
    /// What it may lack, seen from a flow of it since the break.
    fn gap(&self, seen: Nanos) -> Option<(Nanos, Nanos)> {
        let from = self.last.max(self.near(seen).unwrap_or(self.since));
        let until = self.oldest.map_or(seen, |oldest| oldest.min(seen));
        (from < until).then_some((from, until))
    }

    /// Until when everything came, if the node's clock is about ours.
    fn near(&self, seen: Nanos) -> Option<Nanos> {
        self.whole.filter(|whole| seen >= whole.plus(-SKEW))
    }
}

impl Overlap {
    /// It is asked again for everything since then; until `whole` everything came. What was open before stays so.
    pub fn ask(&mut self, since: Nanos, whole: Option<Nanos>) {
        let before = std::mem::take(&mut self.open);
        let doubt = |node: &[u8], last: Nanos| match before.get(node) {
            // Nothing was said of it since the break before.
            Some(d) if d.oldest.is_none() => Doubt { first: None, passed: false, ..*d },
            _ => Doubt { last, since, whole, oldest: None, first: None, passed: false },
        };
        self.open = self.last.iter().map(|(node, last)| (node.clone(), doubt(node, *last))).collect();
        self.wants = !self.open.is_empty();
    }

    /// Something else is asked for: that what was there does not come again says nothing.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A flow of a node came.
    pub fn came(&mut self, node: &[u8], at: Nanos) {
        if let Some(last) = self.last.get_mut(node) {
            *last = (*last).max(at);
        } else if self.last.len() < MOST && node.len() <= Ids::LONGEST {
            self.last.insert(node.into(), at);
        }
        if self.open.is_empty() {
            return;
        }
        let Some(d) = self.open.get_mut(node) else { return };
        // So far back, and so to before the break, its flows are still held; or its clock was set back, and nothing is known.
        if at <= d.last {
            self.open.remove(node);
        } else if d.oldest.is_some() {
            let gap = d.gap(at);
            self.open.remove(node);
            self.lapses.extend(gap.map(|gap| lapse(node, gap)));
        } else if d.first.is_none() {
            (d.first, self.wants) = (Some(at), true);
        }
    }

    /// Whether it is time to ask how far back the server's memory goes.
    pub fn wants(&self) -> bool {
        self.wants
    }

    /// How far back it goes; `None`: the server did not say.
    pub fn answer(&mut self, oldest: Option<&Oldest>) {
        let (mut found, mut wants) = (Vec::new(), false);
        self.open.retain(|node, d| {
            d.oldest = oldest.and_then(|o| o.of(node));
            let seen = match (d.oldest, d.first) {
                (Some(_), Some(first)) => first,
                (Some(oldest), None) if oldest <= d.last || d.near(oldest).is_some() => oldest,
                // What that means its first flow shows: its clock may be another.
                (Some(_), None) => return true,
                // A server that merges nodes may not have reached it by then.
                (None, Some(_)) if oldest.is_some() && !d.passed => {
                    (d.passed, wants) = (true, true);
                    return true;
                }
                (None, Some(first)) => first,
                (None, None) => return true,
            };
            found.extend(d.gap(seen).map(|gap| lapse(node, gap)));
            false
        });
        found.sort_by(|a: &Lapse, b| a.node.cmp(&b.node));
        self.lapses.append(&mut found);
        self.wants = wants;
    }

    /// What was found to be lacking since this was asked last.
    pub fn lapses(&mut self) -> Vec<Lapse> {
        std::mem::take(&mut self.lapses)
    }
}

fn lapse(node: &[u8], (from, until): (Nanos, Nanos)) -> Lapse {
    Lapse { node: String::from_utf8_lossy(node).into_owned(), from, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Nanos {
        Nanos(second * Nanos::SECOND)
    }

    /// Seconds.
    fn told(o: &mut Overlap) -> Vec<(String, i64, i64)> {
        o.lapses().into_iter().map(|l| (l.node, l.from.0 / Nanos::SECOND, l.until.0 / Nanos::SECOND)).collect()
    }

    fn of(nodes: &[(&str, i64)]) -> Oldest {
        let mut oldest = Oldest::default();
        nodes.iter().for_each(|(node, second)| oldest.holds(node.as_bytes(), at(*second)));
        oldest
    }

    /// Two nodes that were heard until 1 000, when the connection broke, and one that was heard long before.
    fn broken() -> Overlap {
        let mut o = Overlap::default();
        for n in 990..=1_000 {
            o.came(b"a", at(n));
            o.came(b"b", at(n));
        }
        o.came(b"quiet", at(300));
        assert!(!o.wants(), "nothing has broken");
        o.ask(at(998), Some(at(998)));
        assert!(o.wants());
        o
    }

    #[test]
    fn a_node_whose_last_flows_come_again_lacks_nothing_and_another_does_from_the_break_to_its_oldest_flow() {
        let mut o = broken();
        o.came(b"a", at(1_000));
        o.came(b"a", at(1_500));
        o.came(b"b", at(1_500));
        assert_eq!(told(&mut o), [], "until the server has said how far back it goes");
        o.answer(Some(&of(&[("a", 900), ("b", 1_400), ("quiet", 900)])));
        assert_eq!(told(&mut o), [("b".to_owned(), 1_000, 1_400)]);
        o.came(b"b", at(1_501));
        o.came(b"quiet", at(1_502));
        assert_eq!((told(&mut o), o.wants()), (vec![], false), "once, and a quiet one had nothing to say");
    }

    #[test]
    fn a_node_that_was_quiet_before_the_break_and_says_nothing_afterwards_may_have_lost_all_of_it() {
        let mut o = broken();
        o.answer(Some(&of(&[("a", 900), ("b", 900), ("quiet", 4_600)])));
        assert_eq!(told(&mut o), [("quiet".to_owned(), 998, 4_600)]);
        o.came(b"quiet", at(4_700));
        assert_eq!(told(&mut o), []);
    }

    #[test]
    fn a_node_that_the_server_did_not_name_is_asked_for_once_more_when_it_comes() {
        let mut o = broken();
        o.answer(Some(&of(&[("a", 900), ("b", 900)])));
        assert!(!o.wants());
        o.came(b"quiet", at(1_300));
        assert!(o.wants());
        o.answer(Some(&of(&[("quiet", 800), ("b", 900)])));
        assert_eq!((told(&mut o), o.wants()), (vec![], false));
        // Named neither then: its own first flow is what is known.
        let mut o = broken();
        o.came(b"quiet", at(1_300));
        o.answer(Some(&of(&[("a", 900), ("b", 900)])));
        assert!(o.wants() && told(&mut o).is_empty());
        o.answer(Some(&of(&[("a", 900), ("b", 900)])));
        assert_eq!((told(&mut o), o.wants()), (vec![("quiet".to_owned(), 998, 1_300)], false));
        // A server that says nothing is not waited for again.
        let mut o = broken();
        o.came(b"b", at(1_300));
        o.answer(None);
        assert_eq!((told(&mut o), o.wants()), (vec![("b".to_owned(), 1_000, 1_300)], false));
    }

    #[test]
    fn what_is_open_when_it_breaks_again_is_so_since_the_first_break() {
        let mut o = broken();
        o.came(b"a", at(1_001));
        o.answer(Some(&of(&[("b", 900), ("quiet", 900)])));
        o.ask(at(2_000), Some(at(2_000)));
        o.answer(Some(&of(&[("a", 2_500), ("b", 2_500), ("quiet", 2_500)])));
        let own = |node: &str, from| (node.to_owned(), from, 2_500);
        assert_eq!(told(&mut o), [own("a", 1_000), own("b", 2_000), own("quiet", 2_000)]);
    }

    #[test]
    fn a_recording_that_is_served_is_judged_by_its_own_clock() {
        let mut o = Overlap::default();
        (0..10).for_each(|n| o.came(b"a", at(n)));
        o.came(b"b", at(1));
        o.ask(at(7), Some(at(1_000_000)));
        o.answer(Some(&of(&[("a", 20), ("b", 20)])));
        assert_eq!(told(&mut o), [], "by our clock that is long before the break");
        o.came(b"a", at(30));
        o.came(b"b", at(31));
        assert_eq!(told(&mut o), [("a".to_owned(), 9, 20), ("b".to_owned(), 7, 20)]);
    }

    #[test]
    fn nothing_is_said_for_another_filter() {
        let mut o = broken();
        o.forget();
        o.came(b"a", at(3_000));
        o.answer(None);
        assert_eq!((told(&mut o), o.wants()), (vec![], false));
    }

    #[test]
    fn a_name_that_no_node_can_have_takes_no_room() {
        let mut o = Overlap::default();
        o.came(&[b'n'; 1 << 20], at(5));
        o.came(&[b'n'; Ids::LONGEST], at(5));
        assert_eq!(o.last.len(), 1);
    }
}
