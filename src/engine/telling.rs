//! What an engine tells of itself: what it holds, knows, and could not read. Changes nothing.
use super::causes::Causes;
use super::clusters::{Home, Origin};
use super::cover::Cover;
use super::lapses::Lapses;
use super::store::Store;
use super::talks::Talks;
use super::tally::Tally;
use super::{Engine, Explain};
use crate::model::captures::Captures;
use crate::model::doc::Fault;
use crate::model::input::Link;
use crate::model::ledger::Ledger;
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

    /// Everything that was admitted, as conversations; empty unless [`super::Options::fold`].
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
