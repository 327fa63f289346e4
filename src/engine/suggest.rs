//! The smallest change for a cause, on everything the engine holds. Owns the handing over; judging and editing are the policy room's.
use super::Engine;
use super::causes::Cause;
use crate::model::suggestion::Suggestion;
use crate::policy::suggest::{Ask, Ground, suggest};

impl Engine {
    /// What suggestions are tried on: every conversation at hand. Made once for many causes.
    pub fn ground(&self) -> Ground<'_> {
        Ground::new(self.talks().iter(), self.world(), self.policies(), self.judging())
    }

    /// The smallest change that lets a cause's traffic through, or why there is none. `filter`: what the capture was limited to.
    pub fn suggest(&self, cause: &Cause, ground: &Ground<'_>, filter: &str) -> Suggestion {
        let talks: Vec<usize> = cause.talks().collect();
        let whole = cause.holds_all_talks();
        let (lost, unheld) = (self.ledger().lost_total(), self.talks().overflow);
        suggest(&Ask { why: &cause.why, audit: cause.audit, talks: &talks, whole, lost, filter, unheld }, ground)
    }
}
