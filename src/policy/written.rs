//! Policies that were met in a version whose text before is not known, and were written shortly before all is known.
//!
//! Owns which they are, and for how long after its write a node may have gone by what was so before. Of one that the log has in both versions
//! it is known what it said before; that is the business of `versions`.
use super::set::Standing;
use super::versions::DELAY;
use crate::model::time::Nanos;
use crate::model::why::PolicyRef;

/// Policies remembered. When full, what lies before the end of the oldest is not known.
const MOST: usize = 4_096;

/// A write that nobody saw happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub policy: PolicyRef,
    pub at: Nanos,
    /// It made the policy: before it there was none.
    pub made: bool,
}

impl Written {
    /// Of a policy as it was found: a text that was never changed is as old as the policy. `None`: when it was made is not known, so that
    /// `at` may be when it was seen.
    pub fn of(found: &Standing, at: Nanos) -> Option<Self> {
        let live = found.doc().live.as_deref()?;
        let created = live.created?;
        let made = live.generation == Some(1) || created >= at;
        Some(Self { policy: found.id().clone(), at: if made { created } else { at }, made })
    }

    pub fn is(&self, p: &PolicyRef) -> bool {
        (&self.policy.kind, &self.policy.namespace, &self.policy.name) == (&p.kind, &p.namespace, &p.name)
    }

    /// Until when a node may not have had it.
    fn until(&self) -> Nanos {
        self.at.plus(DELAY)
    }
}

/// Those that count, which are of half a minute before all is known.
#[derive(Debug, Clone, Default)]
pub struct AllWritten(Vec<Written>);

impl AllWritten {
    /// Notes a policy that was found as it is; `from`: since when every change is known. What that is now, if there was no room.
    pub fn note(&mut self, written: Written, from: Option<Nanos>) -> Option<Nanos> {
        self.0.push(written);
        // All is known since the latest write at the earliest.
        self.settle(self.0.iter().map(|w| w.at).max().max(from));
        if self.0.len() <= MOST {
            return from;
        }
        let oldest = self.0.iter().enumerate().min_by_key(|(_, w)| w.at).map(|(i, _)| i)?;
        from.max(Some(self.0.swap_remove(oldest).until()))
    }

    /// Every change is known from a time on: what had reached every node by then does not count any more.
    pub fn settle(&mut self, from: Option<Nanos>) {
        self.0.retain(|w| from.is_none_or(|from| w.until() > from));
    }

    /// Those that a node may not have had at a time.
    pub fn about(&self, at: Nanos) -> impl Iterator<Item = &Written> {
        self.0.iter().filter(move |w| w.at <= at && at < w.until())
    }

    /// Counts the moments until a time at which others than before are in doubt.
    pub fn era(&self, at: Nanos) -> u64 {
        self.0.iter().fold(0, |n, w| n + u64::from(w.at <= at) + u64::from(w.until() <= at))
    }
}
