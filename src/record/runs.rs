//! Where one run of a recorder ends and the next begins: in one set of files, or in two recordings of one cluster; or none begins.
//!
//! Owns since when each kind of object is known, and the time between two runs or after the last, of which nothing is: it is said as the watch
//! of a kind is said to be broken, from the last that the former run wrote; and between two runs that flows are lacking. In a snapshot, a
//! list that is newer than the one before tells a new run. Reads no line.
use crate::model::input::{At, Change, Gap, Kind, KindState, ObjectId};
use crate::model::time::Nanos;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Cluster, group, kind.
pub type Of = (Arc<str>, String, String);

/// Why a kind is not known between two runs.
const LAPSE: &str = "nothing was recorded then";

/// How well a kind was known when it was said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Synced,
    Absent,
    /// Not every object is known.
    Open,
}

impl How {
    fn of(state: &KindState) -> Self {
        match state {
            KindState::Synced => Self::Synced,
            KindState::Absent => Self::Absent,
            KindState::Loading | KindState::Forbidden(_) | KindState::Stale(_) => Self::Open,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    kinds: BTreeMap<Of, (How, Option<Nanos>)>,
    /// The latest time of all that was read; and of what was read before the snapshot at hand.
    seen: Option<Nanos>,
    before: Option<Nanos>,
    /// Until when a kind was known to recordings that this one goes on after, as long as it says nothing of it itself.
    left: BTreeMap<Of, Option<Nanos>>,
    /// Recordings were joined here: whoever did that says what lies between them.
    joined: bool,
    /// The snapshot at hand is of a new run.
    new: bool,
    /// Objects of a former run of which the new one has no list yet.
    waiting: BTreeSet<(Arc<str>, ObjectId)>,
}

impl Runs {
    pub fn saw(&mut self, at: Option<Nanos>) {
        self.seen = self.seen.max(at);
    }

    /// What is known of one cluster, for a recording that goes on after this one.
    pub fn hand_over(&mut self, cluster: &Arc<str>) -> Self {
        let (kinds, others) = std::mem::take(&mut self.kinds).into_iter().partition(|((c, ..), _)| c == cluster);
        let (waiting, longer) = std::mem::take(&mut self.waiting).into_iter().partition(|(c, _)| c == cluster);
        (self.kinds, self.waiting) = (others, longer);
        Self { kinds, waiting, left: self.left.clone(), seen: self.seen, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.waiting.is_empty()
    }

    /// Takes over what recordings knew that are over.
    pub fn follow(&mut self, former: Self) {
        for (of, known) in former.kinds {
            let until = former.left.get(&of).copied().unwrap_or(former.seen);
            let left = self.left.entry(of.clone()).or_insert(until);
            *left = until.max(*left);
            let own = self.kinds.entry(of).or_insert(known);
            if own.1 < known.1 {
                *own = known;
            }
        }
        self.joined = true;
        self.waiting.extend(former.waiting);
        self.saw(former.seen);
    }

    /// A snapshot begins.
    pub fn begin(&mut self) {
        self.before = self.seen;
        self.new = false;
    }

    /// Takes in how well a kind is known. If a new run says so, that it was not for a while.
    pub fn kind(&mut self, at: &At, kind: &Kind, in_snapshot: bool) -> Option<At> {
        let (of, how) = ((at.cluster.clone(), kind.group.clone(), kind.kind.clone()), How::of(&kind.state));
        let old = self.kinds.insert(of.clone(), (how, at.at));
        let was_known = |was: How| was == How::Synced || was == How::Absent && how != How::Absent;
        let lapsed = old.filter(|(was, since)| in_snapshot && was_known(*was) && *since < at.at);
        self.new |= lapsed.is_some();
        let lapse = lapsed.and_then(|_| self.lapse(&of));
        self.left.remove(&of);
        lapse
    }

    /// That there is no record of the time between two runs: the later one's snapshot is dated by its first record.
    pub fn unrecorded(&mut self, first: Option<Nanos>) -> Option<At> {
        let told = std::mem::take(&mut self.joined);
        let (from, until) = self.before.zip(first).filter(|(from, until)| self.new && !told && from < until)?;
        let gap = Gap { server: Arc::from(""), node: String::new(), from, until };
        Some(At { cluster: Arc::from(""), at: Some(until), change: Change::Gap(Arc::new(gap)) })
    }

    fn lapse(&self, of: &Of) -> Option<At> {
        let until = self.left.get(of).copied().unwrap_or(self.before);
        let (cluster, group, kind) = of;
        let kind = Kind { group: group.clone(), kind: kind.clone(), state: KindState::Stale(LAPSE.to_owned()) };
        Some(At { cluster: cluster.clone(), at: Some(until?), change: Change::Kind(kind) })
    }

    /// A snapshot ends that has named these kinds: the others are not watched any more.
    pub fn end(&mut self, named: &BTreeSet<Of>) -> Vec<At> {
        let left = self.leave(|of| !named.contains(of));
        self.new |= !left.is_empty();
        left
    }

    /// The recording is over, and a record that is none of its own is of a later time than all that it saw. What it knew, unless it is `known`
    /// besides, is not known any more since then. `None`: the record is no later.
    pub fn outlived(&mut self, at: Nanos, known: impl Fn(&Of) -> bool) -> Option<Vec<At>> {
        self.before = Some(self.seen.filter(|seen| *seen < at)?);
        Some(self.leave(|of| !known(of)))
    }

    fn leave(&mut self, gone: impl Fn(&Of) -> bool) -> Vec<At> {
        let left: Vec<Of> = self.kinds.iter().filter(|(of, (how, _))| *how == How::Synced && gone(of)).map(|(of, _)| of.clone()).collect();
        for of in &left {
            self.kinds.insert(of.clone(), (How::Open, self.before));
        }
        let lapses = left.iter().filter_map(|of| self.lapse(of)).collect();
        self.left.retain(|of, _| !left.contains(of));
        lapses
    }

    /// Whether all objects of a kind are known.
    pub fn knows(&self, of: &Of) -> bool {
        self.kinds.get(of).is_some_and(|(how, _)| *how == How::Synced)
    }

    /// When an object went that a snapshot has not named; `None`: that is not known as long as there is no list of its kind.
    pub fn went(&self, cluster: &Arc<str>, id: &ObjectId, at: Option<Nanos>) -> Option<Option<Nanos>> {
        match self.kinds.get(&(cluster.clone(), id.group.clone(), id.kind.clone())) {
            None => Some(at),
            Some((How::Open, _)) => None,
            Some((_, listed)) => Some(at.max(*listed)),
        }
    }

    /// Keeps an object until there is a list.
    pub fn wait(&mut self, cluster: Arc<str>, id: ObjectId) {
        self.waiting.insert((cluster, id));
    }

    /// Something was said of an object.
    pub fn told(&mut self, cluster: &Arc<str>, id: &ObjectId) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&(cluster.clone(), id.clone()));
        }
    }

    /// Objects that a list of their kind has not named, once it is in.
    pub fn over(&mut self, at: &At, kind: &Kind) -> Vec<ObjectId> {
        if How::of(&kind.state) == How::Open || self.waiting.is_empty() {
            return Vec::new();
        }
        let is = |(cluster, id): &&(Arc<str>, ObjectId)| *cluster == at.cluster && id.group == kind.group && id.kind == kind.kind;
        let over: Vec<_> = self.waiting.iter().filter(is).cloned().collect();
        over.iter().for_each(|o| _ = self.waiting.remove(o));
        over.into_iter().map(|(_, id)| id).collect()
    }
}
