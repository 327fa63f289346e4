//! Records that do not say when they were made.
//!
//! Owns the times that such a record may be of, as far as what it is judged by was not the same at all of them. It is asked of each, and what
//! holds by all of them is said. Where nothing has changed since it is watched, or manifests stand for all times, there is one answer.
use super::Cluster;
use crate::model::observed::Observed;
use crate::model::time::Nanos;
use crate::model::why::{Explanation, Why};
use crate::policy::versions::DELAY;
use crate::policy::{Step, moment};
use std::sync::Arc;

/// Changes that one record is asked about. Of one that may be of before or after so many nothing is said.
const MOST: usize = 32;

/// Where there are more, those so close to each other are asked about at once: a node may have gone by either anyway.
const APART: i64 = 2 * DELAY;

/// Before the first change, where nobody knows since when it was watched.
const BEFORE: i64 = 3_600 * Nanos::SECOND;

/// When a record may have been made, but for now.
enum Times {
    Alike,
    Each(Vec<Time>),
    /// So many changes lie between.
    TooMany(usize),
}

#[derive(Debug, Clone, Copy)]
enum Time {
    /// What was in force then is asked.
    Exactly(Nanos),
    /// All that may have been, close to several changes.
    About(Nanos),
}

impl Time {
    fn of(self, o: &Observed) -> Observed {
        let (Self::Exactly(at) | Self::About(at)) = self;
        Observed { at: Some(at), ..o.clone() }
    }
}

impl Cluster {
    /// The explanation of a flow by the policies of its time, without what only its own packet shows but for the changes near it.
    pub fn why(&mut self, o: &Observed) -> Arc<Why> {
        let here = self.why_at(o);
        match self.times(o) {
            Times::Alike => here,
            Times::TooMany(changes) => moment::undatable(&here, o, changes).map_or(here, Arc::new),
            Times::Each(all) => {
                let mut judged = vec![here];
                for time in all {
                    let o = time.of(o);
                    judged.push(match self.version(time) {
                        Some(number) => {
                            let under = self.under(o.at);
                            self.by(number, &under, &o)
                        }
                        None => self.why_at(&o),
                    });
                }
                moment::undated(&judged).map_or_else(|| judged.swap_remove(0), Arc::new)
            }
        }
    }

    /// The whole explanation of a flow by the policies of its time, made now.
    pub fn explain(&self, o: &Observed) -> Explanation {
        let here = self.explain_at(o);
        let why = match self.times(o) {
            Times::Alike => None,
            Times::TooMany(changes) => moment::undatable(&here.why, o, changes),
            Times::Each(all) => {
                let others = all.into_iter().map(|time| {
                    let o = time.of(o);
                    match self.version(time) {
                        Some(number) => self.made(number, &self.under(o.at), &o).1.why,
                        None => self.explain_at(&o).why,
                    }
                });
                let judged: Vec<Arc<Why>> = std::iter::once(here.why.clone()).chain(others).map(Arc::new).collect();
                moment::undated(&judged)
            }
        };
        match why {
            Some(why) => Explanation { why, ..here },
            None => here,
        }
    }

    /// The version of the policies that was in force, where that is known and one is asked for.
    fn version(&self, time: Time) -> Option<u64> {
        match time {
            Time::Exactly(at) if self.policies.from().is_none_or(|from| from <= at) => Some(self.policies.number_at(at)),
            Time::Exactly(_) | Time::About(_) => None,
        }
    }

    /// Times between the changes that concern a record without one, so that each of what it may be judged by is asked.
    fn times(&self, o: &Observed) -> Times {
        if o.at.is_some() {
            return Times::Alike;
        }
        let begin = [self.policies.from(), self.world.watched_from()].into_iter().flatten().min();
        let theirs = moment::of_their_namespaces(o);
        let concerns = |step: &Step| step.policy().is_none_or(&theirs);
        let mut all: Vec<Nanos> = self.policies.moments(concerns).chain(self.judged.iter().map(|(until, _)| *until)).collect();
        self.world.moments(o, &mut all);
        all.retain(|at| begin.is_none_or(|begin| *at > begin));
        all.sort_unstable();
        all.dedup();
        let apart = if all.len() > MOST { APART } else { 0 };
        let mut groups: Vec<(Nanos, Nanos)> = Vec::new();
        for at in all {
            match groups.last_mut() {
                Some((first, last)) if at.since(*first) <= apart => *last = at,
                _ => groups.push((at, at)),
            }
        }
        match groups.len() {
            0 => Times::Alike,
            n if n > MOST => Times::TooMany(n),
            _ => Times::Each(between(&groups, begin)),
        }
    }
}

fn between(groups: &[(Nanos, Nanos)], begin: Option<Nanos>) -> Vec<Time> {
    let mut out = Vec::with_capacity(2 * groups.len());
    let mut before = begin;
    for (first, last) in groups {
        let from = before.unwrap_or(first.plus(-2 * BEFORE));
        out.push(Time::Exactly(middle(from, *first)));
        if first != last {
            out.push(Time::About(middle(*first, *last)));
        }
        before = Some(*last);
    }
    out
}

/// A moment before `to`, were they but one apart.
fn middle(from: Nanos, to: Nanos) -> Nanos {
    from.plus(to.since(from) / 2)
}
