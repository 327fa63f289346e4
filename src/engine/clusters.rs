//! The clusters that flows come from: each with its own world, policies over time, and explanations remembered.
//!
//! Owns which cluster a flow is of, and which version of its policies it is judged by. What manifests say holds for every cluster; what
//! is watched or recorded, for its own only. Mixes nothing: a flow of a cluster that is not known, where several are, is judged by none.
mod undated;

use super::attribute::Attribution;
use crate::model::doc::Fault;
use crate::model::input::{At, Change, Edits, KindState};
use crate::model::observed::Observed;
use crate::model::time::Nanos;
use crate::model::why::{Explanation, Outcome, Why};
use crate::policy::moment::{self, Settled, Window};
use crate::policy::versions::DELAY;
use crate::policy::{self, PolicySet, Posture, Step, Unread, Versions};
use crate::world::World;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Older versions kept ready, and explanations remembered of each; a flow close to a change or late is judged by them. A version shares
/// with today's what did not change since, so that it is the explanations that weigh.
const MOST_PAST: usize = 48;
const MOST_MEMOS: usize = 512;

/// Older settings remembered of one cluster; with the oldest it was judged before that too.
const MOST_JUDGED: usize = 64;

/// Names of nodes remembered of one cluster, those that are gone among them.
const MOST_NODES: usize = 16_384;

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    pub world: World,
    /// How its policies are judged, with what its own settings say.
    judge: policy::Options,
    /// How they were judged, and until when; the oldest first.
    judged: VecDeque<(Nanos, policy::Options)>,
    policies: Versions,
    memo: Attribution,
    /// The one used last comes last.
    past: Vec<Past>,
    /// Kinds whose first list is on its way: (group, kind).
    loading: BTreeSet<(String, String)>,
    /// Kinds of which no list could be had yet.
    lacking: BTreeSet<(String, String)>,
    /// Nodes that were here; some may be gone.
    nodes: BTreeSet<String>,
}

/// What policies are judged with, where that is not as it is now.
#[derive(Debug, Clone, PartialEq)]
struct Under {
    /// Kinds of which not everything was known; `None`: the same as now.
    unread: Option<Vec<Unread>>,
    judge: policy::Options,
}

/// An older version of the policies, or today's judged as it was once.
#[derive(Debug)]
struct Past {
    number: u64,
    under: Under,
    set: PolicySet,
    memo: Attribution,
}

impl Cluster {
    fn new(policies: PolicySet, judge: policy::Options) -> Self {
        let (name, world, memo, nodes) = (Arc::from(""), World::default(), Attribution::default(), BTreeSet::new());
        Self {
            name,
            world,
            judge,
            judged: VecDeque::new(),
            policies: Versions::new(policies),
            memo,
            past: Vec::new(),
            loading: BTreeSet::new(),
            lacking: BTreeSet::new(),
            nodes,
        }
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
    fn first_policies(&self) -> PolicySet {
        self.policies.build(self.policies.number_at(Nanos(i64::MIN)), None, self.judge.cilium)
    }

    /// Which versions of the policies a flow of this time is judged by, and in which cluster; flows of two times with the same ones are
    /// judged alike.
    pub fn era(&self, at: Nanos) -> ([u64; 4], u64) {
        if at == Nanos::default() {
            // Without a time it may come to something else whenever anything changes.
            return ([self.policies.number(), self.policies.renumbered(), u64::MAX, 0], self.world.generation());
        }
        let [before, here, after] = [at.plus(-DELAY), at, at.plus(DELAY)].map(|at| self.policies.number_at(at));
        ([before, here, after, self.policies.era(at)], self.world.era_of_peers(Some(at)))
    }

    /// What a flow of this time is judged with.
    fn under(&self, at: Option<Nanos>) -> Under {
        let was = at.and_then(|at| self.judged.iter().find(|(until, _)| at < *until));
        Under { unread: at.and_then(|at| self.policies.unread_at(at)), judge: was.map_or(self.judge, |(_, judge)| *judge) }
    }

    /// How a node may have judged besides, where settings changed about that time: it learns of that some time after the API does. With
    /// the time of the nearest change.
    fn besides(&self, at: Option<Nanos>, judge: policy::Options) -> Option<(Nanos, Vec<policy::Options>)> {
        let at = at?;
        let away = |until: &Nanos| at.since(*until).unsigned_abs();
        let near = self.judged.iter().enumerate().filter(|(_, (until, _))| away(until) <= DELAY.unsigned_abs());
        let changed = near.clone().map(|(_, (until, _))| *until).min_by_key(away)?;
        let mut others = Vec::new();
        for (i, (_, before)) in near {
            for other in [*before, self.judged.get(i + 1).map_or(self.judge, |(_, after)| *after)] {
                if other != judge && !others.contains(&other) {
                    others.push(other);
                }
            }
        }
        Some((changed, others))
    }

    /// Takes in that the cluster's own settings say something else; what of the policies another version of Cilium would not take.
    fn rejudge(&mut self, judge: policy::Options, at: Option<Nanos>) -> Vec<Fault> {
        let before = std::mem::replace(&mut self.judge, judge);
        let faults = self.policies.now_mut().set_cilium(judge.cilium);
        if before.cilium != judge.cilium {
            self.past.clear();
        }
        // Before anything was read of them, nothing was known of how it was; it has been so before.
        if let (Some(at), true) = (at, before != judge && before.read != policy::Which::default()) {
            let at = self.judged.back().map_or(at, |(last, _)| at.max(*last));
            self.judged.push_back((at, before));
            if self.judged.len() > MOST_JUDGED {
                self.judged.pop_front();
            }
        }
        faults
    }

    /// Whether a node is none of its own, though all of its own are known; one that is gone remains known.
    fn disowns(&self, node: &str) -> bool {
        let full = self.nodes.is_empty() || self.nodes.len() >= MOST_NODES;
        !node.is_empty() && !full && self.world.lists("nodes") && !self.nodes.contains(node)
    }

    /// The explanation of a flow by the policies of its time; without one, by those of now.
    fn why_at(&mut self, o: &Observed) -> Arc<Why> {
        let under = self.under(o.at);
        let here = self.why_then(o, &under);
        let Some((changed, others)) = self.besides(o.at, under.judge) else { return here };
        let mut all = vec![here];
        for judge in others {
            all.push(self.why_under(o, &Under { judge, ..under.clone() }));
        }
        let settled = moment::by_settings(o, changed, &all);
        settled.map_or_else(|| all.swap_remove(0), |(why, _)| Arc::new(why))
    }

    /// With what else changed since.
    fn why_then(&mut self, o: &Observed, under: &Under) -> Arc<Why> {
        let here = self.why_under(o, under);
        let (Some(at), turned) = (o.at, self.world.turned(o)) else { return here };
        if turned.is_empty() {
            return here;
        }
        let today = self.memo.why(&Observed { at: None, ..o.clone() }, &self.world, self.policies.now(), &self.judge);
        moment::since(&here, &today, at, turned).unwrap_or(here)
    }

    fn why_under(&mut self, o: &Observed, under: &Under) -> Arc<Why> {
        let Some(window) = o.at.and_then(|at| moment::window(at, &self.policies)) else {
            return self.by(self.policies.number(), under, o);
        };
        let mut judged = Vec::with_capacity(window.versions.len());
        for n in &window.versions {
            judged.push(self.by(*n, under, o));
        }
        let today = window.today().map(|n| self.by(n, under, o));
        let first = window.versions.first().and_then(|n| self.past.iter().find(|p| p.number == *n && p.under == *under));
        let set = first.map_or(self.policies.now(), |p| &p.set);
        match moment::settle(o, &window, &judged, today.as_ref(), &self.policies, set) {
            Some(Settled { why, .. }) => why,
            None => self.memo.why(o, &self.world, self.policies.now(), &self.judge),
        }
    }

    fn by(&mut self, number: u64, under: &Under, o: &Observed) -> Arc<Why> {
        if number == self.policies.number() && under.unread.is_none() && under.judge == self.judge {
            return self.memo.why(o, &self.world, self.policies.now(), &self.judge);
        }
        let mut past = match self.past.iter().position(|p| p.number == number && p.under == *under) {
            Some(i) => self.past.remove(i),
            None => {
                if self.past.len() >= MOST_PAST {
                    self.past.remove(0);
                }
                let set = self.policies.build(number, under.unread.as_deref(), under.judge.cilium);
                Past { number, under: under.clone(), set, memo: Attribution::of(MOST_MEMOS) }
            }
        };
        let why = past.memo.why(o, &self.world, &past.set, &under.judge);
        self.past.push(past);
        why
    }

    /// What speaks for a likely cause where policies and datapath differ.
    pub fn evidence(&self, o: &Observed, why: &Why) -> Vec<String> {
        policy::evidence(o, why, &self.world, self.policies.now())
    }

    /// The same, whole.
    fn explain_at(&self, o: &Observed) -> Explanation {
        let under = self.under(o.at);
        let here = self.explain_then(o, &under);
        let Some((changed, others)) = self.besides(o.at, under.judge) else { return here };
        let others = others.into_iter().map(|judge| self.explain_under(o, &Under { judge, ..under.clone() }));
        let mut others: Vec<Explanation> = others.collect();
        let whys: Vec<Arc<Why>> = std::iter::once(&here).chain(&others).map(|e| Arc::new(e.why.clone())).collect();
        match moment::by_settings(o, changed, &whys) {
            None => here,
            Some((why, 0)) => Explanation { why, ..here },
            Some((why, place)) => Explanation { why, ..others.swap_remove(place - 1) },
        }
    }

    /// With what else changed since.
    fn explain_then(&self, o: &Observed, under: &Under) -> Explanation {
        let here = self.explain_under(o, under);
        let (Some(at), turned) = (o.at, self.world.turned(o)) else { return here };
        if turned.is_empty() {
            return here;
        }
        let today = policy::explain(&Observed { at: None, ..o.clone() }, &self.world, self.policies.now(), &self.judge).why;
        match moment::since(&Arc::new(here.why.clone()), &today, at, turned) {
            Some(why) => Explanation { why: Why::clone(&why), ..here },
            None => here,
        }
    }

    /// By one version of the policies.
    fn made(&self, number: u64, under: &Under, o: &Observed) -> (Cow<'_, PolicySet>, Explanation) {
        let today = number == self.policies.number() && under.unread.is_none() && under.judge.cilium == self.policies.now().cilium();
        let set = match today {
            true => Cow::Borrowed(self.policies.now()),
            false => Cow::Owned(self.policies.build(number, under.unread.as_deref(), under.judge.cilium)),
        };
        let e = policy::explain(o, &self.world, &set, &under.judge);
        (set, e)
    }

    fn explain_under(&self, o: &Observed, under: &Under) -> Explanation {
        let made = |n: &u64| self.made(*n, under, o);
        let now = || made(&self.policies.number()).1;
        let Some(window) = o.at.and_then(|at| moment::window(at, &self.policies)) else { return now() };
        let all: Vec<(Cow<'_, PolicySet>, Explanation)> = window.versions.iter().map(made).collect();
        let judged: Vec<Arc<Why>> = all.iter().map(|(_, e)| Arc::new(e.why.clone())).collect();
        let today = window.today().map(|_| Arc::new(now().why));
        let settled = all.first().and_then(|(set, _)| moment::settle(o, &window, &judged, today.as_ref(), &self.policies, set));
        self.shown(&window, settled, all).unwrap_or_else(now)
    }

    fn shown(&self, window: &Window, settled: Option<Settled>, all: Vec<(Cow<'_, PolicySet>, Explanation)>) -> Option<Explanation> {
        let settled = settled?;
        let place = window.versions.iter().position(|n| *n == settled.version)?;
        let (_, e) = all.into_iter().nth(place)?;
        let edits = moment::edits(&settled.why, window, &self.policies);
        Some(Explanation { why: Why::clone(&settled.why), edits, ..e })
    }
}

/// Of a flow of another cluster than those that are known: that it is judged by none of them.
pub fn foreign(why: &Why, node: &str) -> Why {
    let mut why = why.clone();
    if why.outcome != Outcome::Undecidable {
        return why;
    }
    let of = node.rsplit_once('/').map_or_else(|| format!("node {node}"), |(cluster, _)| format!("cluster {cluster}"));
    why.because.insert(0, format!("it is of {of}, and no cluster that is known here is that one: none of their policies is asked"));
    why
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
    /// The first source of flows, and whether there are others.
    sources: (Option<Arc<str>>, bool),
}

/// A cluster's place among them.
pub type Home = usize;

/// What a record says of the cluster that it is of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The server or file it came from.
    pub from: &'a str,
    /// Its node, perhaps with the cluster's name before it: `east/node-1`.
    pub node: &'a str,
    /// The cluster that both its sides are said to be of.
    pub cluster: &'a str,
}

impl Clusters {
    pub fn new(policies: PolicySet, typed: policy::Options) -> Self {
        Self { typed, base: Cluster::new(policies, typed), live: Vec::new(), given: false, sources: (None, false) }
    }

    /// Notes a source of flows.
    pub fn heard(&mut self, from: &Arc<str>) {
        match &self.sources.0 {
            None => self.sources.0 = Some(from.clone()),
            Some(first) => self.sources.1 |= first != from,
        }
    }

    /// The cluster that a record is of; 0 if that is none of those that are watched or recorded. Servers of several clusters are called as
    /// these are; else the name before the node's tells, or the node itself. Where nothing tells and there is only one, it is meant.
    pub fn home(&self, of: &Origin<'_>) -> Home {
        if let Some(i) = self.live.iter().position(|c| *c.name == *of.from) {
            return i + 1;
        }
        let (said, node) = of.node.rsplit_once('/').unwrap_or((of.cluster, of.node));
        let mut all: Vec<(usize, &Cluster)> = self.live.iter().enumerate().collect();
        let own = |c: &Cluster| c.world.settings().cluster().map(|name| name == said);
        let named = |c: &Cluster| !said.is_empty() && (*c.name == *said || own(c) == Some(true));
        if !said.is_empty() {
            // Of a cluster that is called otherwise it is not; one whose own name could not be read may be called so too.
            all.retain(|(_, c)| named(c) || own(c).is_none());
        }
        let knows = |c: &Cluster| c.nodes.contains(node);
        if let [one] = all.iter().filter(|(_, c)| knows(c)).collect::<Vec<_>>().as_slice() {
            return one.0 + 1;
        }
        // Several servers, and one cluster of which some nodes are known.
        let apart = said.is_empty() && self.sources.1 && !node.is_empty();
        match all.as_slice() {
            [(_, one)] if one.disowns(node) || apart && !one.nodes.is_empty() => 0,
            [(i, _)] => i + 1,
            // No node tells: then the name does, where only one has it.
            several if node.is_empty() || several.iter().all(|(_, c)| c.nodes.is_empty()) => {
                match several.iter().filter(|(_, c)| named(c)).collect::<Vec<_>>().as_slice() {
                    [one] => one.0 + 1,
                    _ => 0,
                }
            }
            _ => 0,
        }
    }

    /// Whether a flow that was taken for one of a cluster's while its nodes were not known yet shows itself to be another's.
    pub fn disowned(&self, home: Home, node: &str) -> bool {
        let node = node.rsplit_once('/').map_or(node, |(_, node)| node);
        let (Some(from), false) = &self.sources else { return false };
        home != 0 && *self.get(home).name != **from && self.get(home).disowns(node)
    }

    /// Whether more than one of the clusters may have the node that a record names so.
    pub fn share(&self, node: &str) -> bool {
        let (said, node) = node.rsplit_once('/').unwrap_or(("", node));
        let called = |c: &Cluster| said.is_empty() || *c.name == *said || c.world.settings().cluster().is_none_or(|name| name == said);
        let has = |c: &Cluster| c.nodes.is_empty() || c.nodes.contains(node);
        self.live.iter().filter(|c| called(c) && has(c)).nth(1).is_some()
    }

    /// Whether a record of no known cluster is one of another than those that are known.
    pub fn is_foreign(&self, home: Home) -> bool {
        home == 0 && !self.live.is_empty() && !self.base.policies().given()
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

    /// Its place, and whether there are others.
    pub fn main_home(&self) -> (Home, bool) {
        (usize::from(!self.live.is_empty()), self.live.len() > 1)
    }

    /// Places of those that flows are judged by.
    pub fn homes(&self) -> Range<Home> {
        if self.live.is_empty() { 0..1 } else { 1..self.live.len() + 1 }
    }

    fn all(&self) -> impl Iterator<Item = &Cluster> {
        std::iter::once(&self.base).chain(&self.live)
    }

    /// The policies as they were before the first change that is remembered, of each cluster, by its place.
    pub fn first_policies(&self) -> Vec<PolicySet> {
        self.all().map(Cluster::first_policies).collect()
    }

    /// Counts changes of policies, whichever cluster's, and clusters that come.
    pub fn generation(&self) -> u64 {
        self.all().fold(self.live.len() as u64, |n, c| n + c.policies.now().generation())
    }

    /// Names of the clusters that are watched or recorded.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.live.iter().map(|c| &c.name)
    }

    pub fn name(&self, home: Home) -> &str {
        &self.get(home).name
    }

    /// Why what policies deny may pass all the same, in a few words; of several clusters each that differs says it by its name.
    pub fn posture(&self) -> Option<Posture> {
        let all = self.judged();
        let told: Vec<(&str, Posture)> = all.iter().filter_map(|c| Some((&*c.name, c.judge.posture(&c.world)?))).collect();
        let (_, first) = told.first()?;
        if told.len() == all.len() && told.iter().all(|(_, said)| said == first) {
            return Some(first.clone());
        }
        let text = told.iter().map(|(name, said)| format!("{name}: {}", said.text)).collect::<Vec<_>>().join(", ");
        Some(Posture { short: format!("{} of {} open", told.len(), all.len()), text })
    }

    /// Those that flows are judged by: manifests alone, or the clusters.
    fn judged(&self) -> &[Cluster] {
        if self.live.is_empty() { std::slice::from_ref(&self.base) } else { &self.live }
    }

    /// Every change of a policy that is remembered, with its cluster and its number there; of each cluster in the order of time.
    pub fn changes(&self) -> impl Iterator<Item = (&str, u64, &Step)> {
        self.judged().iter().flat_map(|c| c.policies.numbered().map(|(n, s)| (&*c.name, n, s)))
    }

    /// Takes in manifests that were written anew, and says what of them could not be used. What each cluster says of itself goes on.
    pub fn edit(&mut self, edits: &Arc<Edits>) -> Vec<Fault> {
        let (mut faults, said) = (Vec::new(), Change::Edited(edits.clone()));
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            faults.clear();
            let before = c.policies.renumbered();
            c.world.apply_at(&said, Some(edits.at));
            for (old, new) in edits.used().flat_map(|f| &f.pairs) {
                faults.extend(c.policies.edit(old.as_deref(), new.as_ref(), edits.at));
            }
            if c.policies.renumbered() != before {
                c.past.clear();
            }
            c.rejudge(self.typed.under(c.world.settings()), Some(edits.at));
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
        if let Change::Edited(edits) = &at.change {
            return self.edit(edits);
        }
        let Some(time) = at.at else { return self.always(&at.change) };
        let (given, typed) = (self.given, self.typed);
        let c = self.live(&at.cluster);
        c.world.apply_at(&at.change, at.at);
        // How well a kind is known changes what is known, not how it has been.
        let since = at.at.filter(|_| !matches!(at.change, Change::Kind(_)));
        let mut faults = c.rejudge(typed.under(c.world.settings()), since);
        if let Change::Apply(doc) = &at.change
            && doc.kind() == "Node"
            && c.nodes.len() < MOST_NODES
            && !c.nodes.contains(doc.name())
        {
            c.nodes.insert(doc.name().to_owned());
        }
        if given {
            return faults;
        }
        let before = c.policies.renumbered();
        faults.extend(c.policies.turn(&at.change, time));
        if matches!(at.change, Change::Kind(_)) || c.policies.renumbered() != before {
            // How well a kind is known is known now, of every version; and a number may mean another than before.
            c.past.clear();
        }
        faults
    }

    /// Older versions of policies, and pods that once had an address, that were forgotten for want of room.
    pub fn forgotten(&self) -> [u64; 2] {
        self.live.iter().fold([0, 0], |[v, p], c| [v + c.policies.forgotten(), p + c.world.forgotten()])
    }

    /// Books how well a kind of a cluster is known; the cluster, if that ends the waiting for lists, or brings one that could not be had.
    pub fn complete(&mut self, at: &At) -> Option<Home> {
        let (Change::Kind(kind), true) = (&at.change, at.at.is_some()) else { return None };
        let of = (kind.group.clone(), kind.kind.clone());
        let c = self.live(&at.cluster);
        if matches!(kind.state, KindState::Loading) {
            c.loading.insert(of);
            return None;
        }
        // A list that comes after tries that failed is the first one too.
        let first = c.loading.remove(&of) | c.lacking.remove(&of);
        if first && matches!(kind.state, KindState::Stale(_) | KindState::Forbidden(_)) {
            c.lacking.insert(of);
        }
        (first && c.loading.is_empty()).then(|| self.home(&Origin { from: &at.cluster, ..Origin::default() }))
    }

    /// What has been so since a time, or always, but for policies.
    pub fn describe(&mut self, change: &Change, at: Option<Nanos>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            c.world.apply_at(change, at);
            faults = c.rejudge(self.typed.under(c.world.settings()), at);
        }
        faults
    }

    /// What has always been so, as far as anybody knows.
    fn always(&mut self, change: &Change) -> Vec<Fault> {
        let mut faults = self.describe(change, None);
        let mut told = Vec::new();
        for c in std::iter::once(&mut self.base).chain(&mut self.live) {
            told = c.policies.now_mut().apply(change);
            c.past.clear();
        }
        faults.extend(told);
        faults
    }

    fn live(&mut self, name: &Arc<str>) -> &mut Cluster {
        let place = match self.live.iter().position(|c| c.name == *name) {
            Some(i) => i,
            None => {
                let (world, policies) = (self.base.world.clone(), self.base.policies.clone());
                let new = Cluster { name: name.clone(), world, policies, ..Cluster::new(PolicySet::default(), self.base.judge) };
                self.live.push(new);
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
