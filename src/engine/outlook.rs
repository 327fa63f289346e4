//! What manifests that were written anew would change for what was seen: causes whose traffic would pass, conversations that passed and
//! would be stopped. Found in slices between pictures.
//!
//! Owns the walk over causes and conversations. A prediction is never booked as a drop: its cause says that it is foreseen. Judging is the
//! policy room's. Policies as they were before the first edit are the measure: where those already disagree with what was seen, an edit
//! has nothing to do with it.
use super::Engine;
use super::causes::Cause;
use super::clusters::{Home, Origin};
use super::talks::Moved;
use crate::model::doc::Fault;
use crate::model::input::Edits;
use crate::model::observed::{Direction, Observed, Party, Verdict};
use crate::model::row::CauseId;
use crate::model::talk::{Seen, Talk};
use crate::model::why::Outcome;
use crate::policy::eval::Decision;
use crate::policy::{self, PolicySet, ruling_of};
use std::sync::Arc;

/// Conversations judged between two questions whether time is up.
const SLICE: usize = 16;
/// Conversations of a cause that are asked for whether a filter shows them.
const ASKED: usize = 100;

/// How far the walk has come.
#[derive(Debug, Default)]
pub struct Outlook {
    /// There is something to find out.
    open: bool,
    /// Causes are looked at first; what is foreseen comes behind them in the list and is no part of this.
    cause: usize,
    /// A conversation of the cause that would still be stopped is looked for from this number on.
    within: usize,
    talk: usize,
    /// Of each cluster.
    before: Option<Vec<PolicySet>>,
    found: Found,
}

/// What was found out about an edit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub files: Vec<String>,
    /// All of them are gone.
    pub removed: bool,
    /// Causes whose traffic would pass now.
    pub mended: usize,
    /// Causes that would be new.
    pub foreseen: usize,
    /// Records of conversations that are not held: what it would do to them nobody knows.
    pub unheld: u64,
    /// The first thing in it that could not be used, and what is in force instead.
    pub fault: Option<String>,
}

impl Outlook {
    /// Conversations have other numbers now.
    pub fn renumber(&mut self, moved: &Moved) {
        (self.within, self.talk) = (moved.held(self.within), moved.held(self.talk));
    }

    /// `faults`: what of it could be read and not used.
    pub fn begin(edits: &Edits, faults: &[&Fault]) -> Self {
        let unread = edits.files.iter().flat_map(|f| &f.faults).next().map(|f| format!("kept as it was: {f}"));
        let fault = unread.or_else(|| faults.first().map(ToString::to_string));
        let files = edits.files.iter().map(|f| f.file.clone()).collect();
        let removed = !edits.files.is_empty() && edits.files.iter().all(|f| !f.pairs.is_empty() && f.text().is_none());
        Self { open: true, found: Found { files, removed, fault, ..Found::default() }, ..Self::default() }
    }
}

impl Engine {
    /// Takes manifests that were written anew; what they would change for what was seen is found by [`Engine::look_ahead`].
    pub(super) fn edit(&mut self, edits: &Arc<Edits>) {
        let old = self.without_faults_of(edits);
        let faults = self.clusters.edit(edits);
        // What was so before, whatever its line, is no news.
        let news: Vec<&Fault> = faults.iter().filter(|f| old.iter().all(|o| o.what != f.what)).collect();
        self.outlook = Outlook::begin(edits, &news);
        self.saves.add(edits, faults.is_empty());
        self.book(edits.files.iter().flat_map(|f| f.faults.iter().cloned()).chain(faults).collect());
        self.causes.look_again(edits.at);
    }

    /// Whether it is not found out yet what an edit changes.
    pub fn looks_ahead(&self) -> bool {
        self.outlook.open
    }

    /// Finds out what the last edit would change, while `more` allows; says so once, at the end.
    pub fn look_ahead(&mut self, more: &mut dyn FnMut() -> bool) -> Option<Found> {
        if !self.outlook.open {
            return None;
        }
        let mut judged = 0;
        let mut more = move || {
            judged += 1;
            judged % SLICE != 0 || more()
        };
        while self.outlook.cause < self.causes.len() {
            let judged = self.causes.iter().nth(self.outlook.cause).filter(|c| c.foreseen.is_none() && is_a_policys(c));
            let from = self.outlook.within;
            if let Some((id, whole, talks)) = judged.map(|c| (c.id, c.holds_all_talks(), c.talks_from(from).collect::<Vec<usize>>())) {
                // Of those that are not held nobody can say that they would pass.
                let mut stopped = !whole;
                for talk in talks.into_iter().filter(|_| whole) {
                    self.outlook.within = talk + 1;
                    if !self.passes(talk) {
                        stopped = true;
                        break;
                    }
                    if !more() {
                        return None;
                    }
                }
                self.causes.mend(id, !stopped);
                self.outlook.found.mended += usize::from(!stopped);
            }
            (self.outlook.cause, self.outlook.within) = (self.outlook.cause + 1, 0);
        }
        if self.outlook.before.is_none() {
            self.outlook.before = Some(self.clusters.first_policies());
        }
        while self.outlook.talk < self.talks.len() {
            self.foresee(self.outlook.talk);
            self.outlook.talk += 1;
            if !more() {
                return None;
            }
        }
        self.outlook.open = false;
        self.outlook.before = None;
        let foreseen = self.causes.iter().filter(|c| c.foreseen.is_some() && !c.is_mended()).count();
        Some(Found { foreseen, unheld: self.talks.overflow, ..std::mem::take(&mut self.outlook.found) })
    }

    /// A drop has come of a conversation. Where an edit mends its cause, it has to be so of this one too; and where that is being found
    /// out, this one is not passed over.
    pub(super) fn stopped(&mut self, id: CauseId, talk: usize) {
        if self.causes.in_talk(id, talk) && self.causes.iter().nth(self.outlook.cause).is_some_and(|c| c.id == id) {
            self.outlook.within = self.outlook.within.min(talk);
        }
        let mends = self.causes.get(id).is_some_and(|c| c.is_mended() && c.foreseen.is_none());
        if mends && !self.passes(talk) {
            self.causes.mend(id, false);
        }
    }

    /// Whether the policies at hand let a conversation pass, on both its sides: past the one that stopped it the other may still do so.
    fn passes(&self, talk: usize) -> bool {
        let Some(talk) = self.talks.get(talk) else { return false };
        let Some(home) = self.home_of_talk(talk) else { return false };
        let c = self.clusters.get(home);
        ruling_of(&talk.flow, &c.world, c.policies(), c.judging()).decision() == Decision::Allowed
    }

    /// The cluster whose policies a conversation meets; `None` where there are several and nothing tells which.
    pub(super) fn home_of_talk(&self, talk: &Talk) -> Option<Home> {
        self.home(talk.home, [&talk.flow.src, &talk.flow.dst])
    }

    fn home(&self, said: u8, [src, dst]: [&Party; 2]) -> Option<Home> {
        let (main, others) = self.clusters.main_home();
        match said {
            _ if !others => Some(main),
            Talk::SEVERAL => None,
            0 if !src.cluster.is_empty() && src.cluster == dst.cluster => {
                Some(self.clusters.home(&Origin { cluster: &src.cluster, ..Origin::default() })).filter(|home| *home != 0)
            }
            0 => None,
            home => Some(usize::from(home)),
        }
    }

    /// Books a conversation that passed and would be stopped.
    fn foresee(&mut self, number: usize) {
        let Some(talk) = self.talks.get(number) else { return };
        let Some(home) = self.home_of_talk(talk) else { return };
        let c = self.clusters.get(home);
        let (world, set, opt) = (&c.world, c.policies(), c.judging());
        let sides = [(Direction::Egress, talk.egress), (Direction::Ingress, talk.ingress)];
        if talk.seen().forwarded == 0 && talk.replies == 0 {
            return;
        }
        let now = ruling_of(&talk.flow, world, set, opt);
        let before = self.outlook.before.as_ref().and_then(|all| all.get(home));
        let Some(before) = before.filter(|_| now.decision() == Decision::Denied) else { return };
        let then = ruling_of(&talk.flow, world, before, opt);
        let turned = |d: Direction| now.side(d).decision == Decision::Denied && then.side(d).decision == Decision::Allowed;
        let Some((direction, seen)) = sides.into_iter().find(|(d, _)| turned(*d)) else { return };
        let flow = as_if(talk, direction);
        let why = policy::explain(&flow, world, set, opt).why;
        // Where the whole judgement does not bear it out nothing is foretold.
        if !matches!(why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::L7Denied | Outcome::DnsRefused) {
            return;
        }
        let named = super::enrich::named(&flow, world).into_owned();
        let (from, to) = (super::who(&named.src, world).name, super::who(&named.dst, world).name);
        let records = count(seen, talk);
        self.causes.foresee(&Arc::new(named), (number, records), &Arc::new(why), &from, &to);
    }

    /// Whether the newest record of a conversation that a cause foresees is among those that are `shown`; of very many the first are asked.
    pub fn foresees(&self, id: CauseId, shown: impl Fn(u64) -> bool) -> bool {
        let cause = self.causes.get(id).filter(|c| c.foreseen.is_some());
        let mut asked = cause.into_iter().flat_map(Cause::talks).take(ASKED);
        asked.any(|n| self.talks.get(n).and_then(|t| t.example).is_some_and(&shown))
    }

    /// A conversation that a cause foresees, explained by the policies at hand.
    pub fn explain_foreseen(&self, id: CauseId) -> Option<crate::model::why::Explanation> {
        let cause = self.causes.get(id)?;
        let flow = cause.foreseen.as_ref()?;
        let said = cause.talks().next().and_then(|n| self.talks.get(n)).map_or(0, |t| t.home);
        let c = self.clusters.get(self.home(said, [&flow.src, &flow.dst])?);
        Some(policy::explain(flow, &c.world, c.policies(), c.judging()))
    }
}

/// A drop that policies decide.
fn is_a_policys(c: &Cause) -> bool {
    matches!(c.why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::L7Denied | Outcome::DnsRefused | Outcome::HostFirewall)
}

/// The conversation as if its side were only audited: what enforcement would do.
fn as_if(talk: &Talk, direction: Direction) -> Observed {
    Observed { verdict: Verdict::Audit, direction: Some(direction), at: Some(talk.last), ..talk.flow.clone() }
}

/// Records that would have been stopped; a conversation seen elsewhere only counts with all of them.
fn count(side: Seen, talk: &Talk) -> u64 {
    if side.forwarded > 0 { side.forwarded } else { talk.seen().forwarded.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Nanos;

    #[test]
    fn where_no_file_was_written_none_is_gone() {
        let edits = Edits { at: Nanos::default(), files: Vec::new() };
        assert_eq!(Outlook::begin(&edits, &[]).found, Found::default());
    }
}
