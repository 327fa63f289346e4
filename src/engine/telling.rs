//! What an engine tells of itself: what it holds, knows, has heard, and could not read. Changes nothing but what it was told of the time,
//! and what it has found out of what is asked for.
use super::causes::{Cause, Causes, State};
use super::clusters::{Home, Origin};
use super::cover::Cover;
use super::heard::Heard;
use super::held::Sieve;
use super::lapses::Lapses;
use super::store::Store;
use super::talks::Talks;
use super::tally::Tally;
use super::{Engine, Explain};
use crate::model::captures::Captures;
use crate::model::doc::Fault;
use crate::model::input::Link;
use crate::model::ledger::Ledger;
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::policy::{self, PolicySet, Posture, Step};
use crate::query::Predicate;
use crate::wire::note::Notes;
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn causes(&self) -> &Causes {
        &self.causes
    }

    /// What was admitted, as conversations, as far as they are held; empty unless [`super::Options::fold`].
    pub fn talks(&self) -> &Talks {
        &self.talks
    }

    /// Sums over everything that was ever held, unless nobody wants them ([`super::Options::tally`]).
    pub fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// When and where anything was recorded, whatever the filter says of it; empty unless [`super::Options::fold`].
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// The cluster as known now; of several the first.
    pub fn world(&self) -> &World {
        &self.clusters.main().world
    }

    /// Names of the clusters that are watched or recorded, in the order in which they were met.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.clusters.names()
    }

    /// Every change of a policy that is remembered, with its cluster and its number there; of each cluster in the order of time.
    pub fn changes(&self) -> impl Iterator<Item = (&str, u64, &Step)> {
        self.clusters.changes()
    }

    /// How policies are judged.
    pub fn judging(&self) -> &policy::Options {
        self.clusters.main().judging()
    }

    /// Why what policies deny may pass in this cluster all the same (it is in audit mode, enforces nothing), in a few words for a head
    /// line; `None`: nothing says so.
    pub fn posture(&self) -> Option<Posture> {
        self.clusters.posture()
    }

    /// Whether some flows come with a reason.
    pub fn explains(&self) -> bool {
        self.options.explain != Explain::Nothing
    }

    /// What is kept.
    pub fn admit(&self) -> &Predicate {
        &self.options.admit
    }

    /// What a recording holds of what there was, as it says itself.
    pub fn captures(&self) -> &Captures {
        &self.captures
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Times of which records may be lacking.
    pub fn lapses(&self) -> &Lapses {
        &self.lapses
    }

    /// The state of each live server.
    pub fn links(&self) -> &BTreeMap<Arc<str>, Link> {
        &self.links
    }

    /// How this machine's clock differs from those of clusters, where it does.
    pub fn clocks(&self) -> impl Iterator<Item = &str> {
        self.clocks.values().map(String::as_str)
    }

    /// Which nodes answer, as far as servers told.
    pub fn nodes(&self) -> &super::nodes::Nodes {
        &self.nodes
    }

    /// Who is listened to, and since when.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// How a cause fares at a time. The one place that says so: silence counts only where it would have been heard.
    pub fn state(&self, cause: &Cause, now: Nanos) -> State {
        // Drops that nobody is asked for stay away without being fixed, and what passed meanwhile proves nothing afterwards.
        let limited = || !self.captures.limits().is_empty();
        match cause.state(now) {
            // The time without a drop counts as far as one would have been heard.
            State::Fixed if !limited() && cause.state(self.heard.upto_of(cause.id, now)) == State::Fixed => State::Fixed,
            State::Fixed | State::Quiet if !self.heard.would_hear(cause.id, cause.last, now) => State::Unheard,
            State::Fixed => State::Quiet,
            state => state,
        }
    }

    /// Tells what time it is where that goes on without flows; it moves nothing but what is booked with it.
    pub fn is_now(&mut self, now: Nanos) {
        self.moment = now;
    }

    /// What time it is, as far as that was told.
    pub(super) fn moment(&self) -> Nanos {
        self.now.max(self.moment)
    }

    /// No source will send anything any more, where flows were of this moment.
    pub fn is_over(&mut self) {
        self.heard.over(self.moment());
    }

    /// Looks what is held through for what servers are asked for now, if that was not done yet: then it is known of which causes all
    /// flows would come. Returns whether something changed.
    pub fn look_through(&mut self) -> bool {
        let Some(filter) = self.heard.waits() else { return false };
        let mut held = vec![(0, 0); self.causes.len()];
        let mut count = |cause: Option<CauseId>, all: u64, of_it: u64| {
            if let Some(n) = cause.and_then(|c| held.get_mut(c.0.get() as usize - 1)) {
                *n = (n.0 + all, n.1 + of_it);
            }
        };
        self.store.seqs().for_each(|seq| count(self.store.cause(seq), 1, 0));
        self.sift(0..u64::MAX, &mut Sieve::new(filter), |_, cause| count(cause, 0, 1));
        self.heard.looked_through(&held);
        true
    }

    /// Sources that came to their end, and how.
    pub fn ended(&self) -> &[(Arc<str>, Result<(), String>)] {
        &self.ended
    }

    /// What could not be used of the manifests; the first [`super::MOST_FAULTS`] of it.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many faults there were, those not kept included.
    pub fn fault_count(&self) -> usize {
        self.faults.len() + self.more_faults
    }

    /// The policies as they are now; of several clusters those of the first.
    pub fn policies(&self) -> &PolicySet {
        self.clusters.main().policies()
    }

    /// The place of the cluster that an explanation is of; the first where there is only one.
    pub fn home_named(&self, cluster: Option<&str>) -> Home {
        cluster.map_or(self.clusters.main_home().0, |from| self.clusters.home(&Origin { from, ..Origin::default() }))
    }

    /// Those of the cluster at a place.
    pub fn policies_of(&self, home: Home) -> &PolicySet {
        self.clusters.get(home).policies()
    }

    /// What the reader met and passed over: unknown fields and enum names.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Time of the newest record, or of the recording's clock.
    pub fn now(&self) -> Nanos {
        self.now
    }
}
