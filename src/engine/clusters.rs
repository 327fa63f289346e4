//! The clusters that flows come from: each with its own world, policies over time, and explanations remembered.
//!
//! Owns which cluster a flow is of, and which version of its policies it is judged by. What manifests say holds for every cluster; what
//! is watched or recorded, for its own only. Mixes nothing: a flow of a cluster that is not known, where several are, is judged by none.
use super::attribute::Attribution;
use crate::model::doc::Fault;
use crate::model::input::{At, Change, Edits, ObjectId};
use crate::model::observed::Observed;
use crate::model::time::Nanos;
use crate::model::why::{Explanation, Why};
use crate::policy::moment::{self, Settled, Window};
use crate::policy::{self, PolicySet, Step, Versions};
use crate::world::World;
use std::sync::Arc;

/// Older versions kept ready, and explanations remembered of each; a flow close to a change or late is judged by them.
const MOST_PAST: usize = 6;
const MOST_MEMOS: usize = 4_096;

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    pub world: World,
    /// How its policies are judged, with what its own settings say.
    judge: policy::Options,
    policies: Versions,
    memo: Attribution,
    /// The one used last comes last.
    past: Vec<Past>,
}

/// An older version of the policies.
#[derive(Debug)]
struct Past {
    number: u64,
    set: PolicySet,
    memo: Attribution,
}

impl Cluster {
    fn new(policies: PolicySet, judge: policy::Options) -> Self {
        let (name, world, memo) = (Arc::from(""), World::default(), Attribution::default());
        Self { name, world, judge, policies: Versions::new(policies), memo, past: Vec::new() }
    }

    /// How its policies are judged.
    pub fn judging(&self) -> &policy::Options {
        &self.judge
    }

    /// The policies as they are now.
    pub fn policies(&self) -> &PolicySet {
        self.policies.now()
    }

    /// The policies as they were before the first change that is remembered.
    pub fn first_policies(&self) -> PolicySet {
        self.policies.build(self.policies.number_at(Nanos(i64::MIN)))
    }

    /// The explanation of a flow by the policies of its time, without what only its own packet shows but for the changes near it.
    pub fn why(&mut self, o: &Observed) -> Arc<Why> {
        let opt = &self.judge;
        let Some(window) = o.at.and_then(|at| moment::window(at, &self.policies)) else {
            return self.memo.why(o, &self.world, self.policies.now(), opt);
        };
        let mut judged = Vec::with_capacity(window.versions.len());
        for n in &window.versions {
            judged.push(self.by(*n, o));
        }
        let today = window.today().map(|n| self.by(n, o));
        let set = window.versions.first().and_then(|n| self.past.iter().find(|p| p.number == *n)).map_or(self.policies.now(), |p| &p.set);
        match moment::settle(o, &window, &judged, today.as_ref(), &self.policies, set) {
            Some(Settled { why, .. }) => why,
            None => self.memo.why(o, &self.world, self.policies.now(), &self.judge),
        }
    }

    fn by(&mut self, number: u64, o: &Observed) -> Arc<Why> {
        let opt = &self.judge;
        if number == self.policies.number() {
            return self.memo.why(o, &self.world, self.policies.now(), opt);
        }
        let mut past = match self.past.iter().position(|p| p.number == number) {
            Some(i) => self.past.remove(i),
            None => {
                if self.past.len() >= MOST_PAST {
                    self.past.remove(0);
                }
                Past { number, set: self.policies.build(number), memo: Attribution::of(MOST_MEMOS) }
            }
        };
        let why = past.memo.why(o, &self.world, &past.set, opt);
        self.past.push(past);
        why
    }

    /// What speaks for a likely cause where policies and datapath differ.
    pub fn evidence(&self, o: &Observed, why: &Why) -> Vec<String> {
        policy::evidence(o, why, &self.world, self.policies.now())
    }

    /// The whole explanation of a flow by the policies of its time, made now.
    pub fn explain(&self, o: &Observed) -> Explanation {
        let plain = |set: &PolicySet| policy::explain(o, &self.world, set, &self.judge);
        let Some(window) = o.at.and_then(|at| moment::window(at, &self.policies)) else { return plain(self.policies.now()) };
        let made = |n: &u64| {
            let set = self.policies.build(*n);
            let e = plain(&set);
            (set, e)
        };
        let all: Vec<(PolicySet, Explanation)> = window.versions.iter().map(made).collect();
        let judged: Vec<Arc<Why>> = all.iter().map(|(_, e)| Arc::new(e.why.clone())).collect();
        let today = window.today().map(|_| Arc::new(plain(self.policies.now()).why));
        let settled = all.first().and_then(|(set, _)| moment::settle(o, &window, &judged, today.as_ref(), &self.policies, set));
        self.shown(&window, settled, all).unwrap_or_else(|| plain(self.policies.now()))
    }

    fn shown(&self, window: &Window, settled: Option<Settled>, all: Vec<(PolicySet, Explanation)>) -> Option<Explanation> {
        let settled = settled?;
        let place = window.versions.iter().position(|n| *n == settled.version)?;
        let (_, e) = all.into_iter().nth(place)?;
        let edits = moment::edits(&settled.why, window, &self.policies);
        Some(Explanation { why: Why::clone(&settled.why), edits, ..e })
    }
}

/// All clusters.
#[derive(Debug)]
pub struct Clusters {
    /// What was typed of how policies are judged.
    typed: policy::Options,
    /// What manifests say, of whichever cluster.
    base: Cluster,
    /// Those that are watched or recorded, in the order in which they were met.
    live: Vec<Cluster>,
    /// Policies were given by hand: they stand in for those of the clusters.
    given: bool,
}

/// A cluster's place among them.
pub type Home = usize;

impl Clusters {
    pub fn new(policies: PolicySet, typed: policy::Options) -> Self {
        Self { typed, base: Cluster::new(policies, typed), live: Vec::new(), given: false }
    }

    /// The cluster that a server or file speaks of: servers of several clusters are called as these are. Where there is only one, that.
    pub fn home(&self, from: &str) -> Home {
        match self.live.as_slice() {
            [] => 0,
            [_] => 1,
            all => all.iter().position(|c| *c.name == *from).map_or(0, |i| i + 1),
        }
    }

    pub fn get(&self, home: Home) -> &Cluster {
        home.checked_sub(1).and_then(|i| self.live.get(i)).unwrap_or(&self.base)
    }

    pub fn get_mut(&mut self, home: Home) -> &mut Cluster {
        match home.checked_sub(1).and_then(|i| self.live.get_mut(i)) {
            Some(live) => live,
            None => &mut self.base,
        }
    }

    /// The one that is meant where nobody says which.
    pub fn main(&self) -> &Cluster {
        self.live.first().unwrap_or(&self.base)
    }

    /// Names of the clusters that are watched or recorded.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.live.iter().map(|c| &c.name)
    }

    pub fn name(&self, home: Home) -> &str {
        &self.get(home).name
    }

    /// Every change of a policy that is remembered, with its cluster; of each cluster in the order of time.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Step)> {
        let all = if self.live.is_empty() { std::slice::from_ref(&self.base) } else { &self.live };
        all.iter().flat_map(|c| c.policies.steps().map(|s| (&*c.name, s)))
    }

    /// Takes in manifests that were written anew, and says what of them could not be used. What each cluster says of itself goes on.
    pub fn edit(&mut self, edits: &Edits) -> Vec<Fault> {
        let mut faults = Vec::new();
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            faults.clear();
            for (old, new) in edits.files.iter().flat_map(|f| &f.pairs) {
                match (old, new) {
                    (_, Some(new)) => c.world.apply_at(&Change::Apply(new.clone()), Some(edits.at)),
                    (Some(old), None) => c.world.apply_at(&Change::Remove(ObjectId::of(old)), Some(edits.at)),
                    (None, None) => {}
                }
                faults.extend(c.policies.edit(old.as_deref(), new.as_ref(), edits.at));
            }
            c.judge = self.typed.under(c.world.settings());
        }
        faults
    }

    /// Says that policies were given by hand, even if none: they are judged, and none of a cluster's own.
    pub fn given(&mut self) {
        self.given = true;
        self.base.policies.now_mut().set_given();
        self.live.iter_mut().for_each(|c| c.policies.now_mut().set_given());
    }

    /// Takes in a change, and says what of it could not be used.
    pub fn change(&mut self, at: &At) -> Vec<Fault> {
        let Some(time) = at.at else { return self.always(&at.change) };
        let (given, typed) = (self.given, self.typed);
        let c = self.live(&at.cluster);
        c.world.apply_at(&at.change, at.at);
        c.judge = typed.under(c.world.settings());
        if given {
            return Vec::new();
        }
        if matches!(at.change, Change::Kind(_)) {
            // How well a kind is known is known now, of every version.
            c.past.clear();
        }
        c.policies.turn(&at.change, time)
    }

    /// What has always been so, but for policies.
    pub fn describe(&mut self, change: &Change) {
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            c.world.apply(change);
            c.judge = self.typed.under(c.world.settings());
        }
    }

    /// What has always been so, as far as anybody knows.
    fn always(&mut self, change: &Change) -> Vec<Fault> {
        self.describe(change);
        let mut faults = Vec::new();
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            let told = c.policies.now_mut().apply(change);
            c.past.clear();
            faults = told;
        }
        faults
    }

    fn live(&mut self, name: &Arc<str>) -> &mut Cluster {
        let place = match self.live.iter().position(|c| c.name == *name) {
            Some(i) => i,
            None => {
                let (world, judge, policies) = (self.base.world.clone(), self.base.judge, self.base.policies.clone());
                self.live.push(Cluster { name: name.clone(), world, judge, policies, memo: Attribution::default(), past: Vec::new() });
                if self.live.len() > 1 {
                    self.live.iter_mut().for_each(|c| {
                        c.policies.now_mut().set_cluster(c.name.clone());
                        c.past.clear();
                    });
                }
                self.live.len() - 1
            }
        };
        match self.live.get_mut(place) {
            Some(c) => c,
            None => &mut self.base,
        }
    }
}
