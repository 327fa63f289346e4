//! Whether what came before a break comes again, node by node. A server that was asked for it and gives later flows only has lost it, and may
//! have lost what lies between.
//!
//! Owns the memory of each node's last flow. Knows nothing of connections; the times are the nodes' own.
use crate::model::ids::Ids;
use crate::model::time::Nanos;
use std::collections::HashMap;

/// Nodes whose last flow is remembered; of further ones, and of names that no node can have, nothing is claimed. The largest clusters have
/// 5 000.
const MOST: usize = 16_384;

#[derive(Debug, Default)]
pub struct Overlap {
    last: HashMap<Box<[u8]>, Nanos>,
    /// Nodes of which something was asked for again that has not come yet, and when their last flow was.
    awaited: HashMap<Box<[u8]>, Nanos>,
}

/// A node whose flows begin anew: its last one before, and its first one since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// Empty where the server does not say.
    pub node: String,
    pub from: Nanos,
    pub until: Nanos,
}

impl Overlap {
    /// It is asked again for everything since then.
    pub fn ask(&mut self, since: Nanos) {
        self.awaited = self.last.iter().filter(|(_, last)| **last >= since).map(|(node, last)| (node.clone(), *last)).collect();
    }

    /// Something else is asked for: that what was there does not come again says nothing.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A flow of a node came, which was there before or is new.
    pub fn came(&mut self, node: &[u8], at: Nanos, new: bool) -> Option<Lapse> {
        let awaited = if self.awaited.is_empty() { None } else { self.awaited.remove(node) };
        if let Some(last) = self.last.get_mut(node) {
            *last = (*last).max(at);
        } else if self.last.len() < MOST && node.len() <= Ids::LONGEST {
            self.last.insert(node.into(), at);
        }
        let from = awaited.filter(|_| new)?;
        // A node whose clock was set back is not known to lack anything.
        (from < at).then(|| Lapse { node: String::from_utf8_lossy(node).into_owned(), from, until: at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Nanos {
        Nanos(second * Nanos::SECOND)
    }

    #[test]
    fn a_node_whose_last_flows_come_again_lacks_nothing_and_another_does() {
        let mut o = Overlap::default();
        assert!((0..10).all(|n| o.came(b"a", at(n), true).is_none() && o.came(b"b", at(n), true).is_none()));
        assert_eq!(o.came(b"quiet", at(1), true), None);
        o.ask(at(8));
        assert_eq!(o.came(b"a", at(9), false), None);
        assert_eq!(o.came(b"a", at(20), true), None);
        assert_eq!(o.came(b"b", at(20), true), Some(Lapse { node: "b".to_owned(), from: at(9), until: at(20) }));
        assert_eq!(o.came(b"b", at(21), true), None, "once");
        assert_eq!(o.came(b"quiet", at(22), true), None, "nothing of it was asked for again");
    }

    #[test]
    fn what_is_still_awaited_when_it_breaks_again_is_awaited_further_and_nothing_for_another_filter() {
        let mut o = Overlap::default();
        o.came(b"", at(5), true);
        o.ask(at(3));
        o.ask(at(3));
        assert_eq!(o.came(b"", at(9), true).map(|l| (l.from, l.until)), Some((at(5), at(9))));
        o.ask(at(7));
        o.forget();
        assert_eq!(o.came(b"", at(30), true), None);
    }
    #[test]
    fn a_name_that_no_node_can_have_takes_no_room() {
        let mut o = Overlap::default();
        o.came(&[b'n'; 1 << 20], at(5), true);
        o.came(&[b'n'; Ids::LONGEST], at(5), true);
        assert_eq!(o.last.len(), 1);
    }
}
