//! What manifests that were written anew would change for what was seen: causes whose traffic would pass, conversations that passed and
//! would be stopped. Found in slices between pictures.
//!
//! Owns the walk over causes and conversations. A prediction is never booked as a drop: its cause says that it is foreseen. Judging is the
//! policy room's. Policies as they were before the first edit are the measure: where those already disagree with what was seen, an edit
//! has nothing to do with it.
use super::Engine;
use super::causes::Cause;
use crate::model::doc::Fault;
use crate::model::input::Edits;
use crate::model::observed::{Direction, Observed, Verdict};
use crate::model::row::CauseId;
use crate::model::talk::{Seen, Talk};
use crate::model::why::Outcome;
use crate::policy::eval::Decision;
use crate::policy::{self, PolicySet, ruling_of};
use std::sync::Arc;

/// Conversations judged between two questions whether time is up.
const SLICE: usize = 16;

/// How far the walk has come.
#[derive(Debug, Default)]
pub struct Outlook {
    /// There is something to find out.
    open: bool,
    /// Causes are looked at first; what is foreseen comes behind them in the list and is no part of this.
    cause: usize,
    /// A conversation of the cause that would still be stopped is looked for from here on.
    within: usize,
    talk: usize,
    before: Option<Box<PolicySet>>,
    found: Found,
}

/// What was found out about an edit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub files: Vec<String>,
    /// Causes whose traffic would pass now.
    pub mended: usize,
    /// Causes that would be new.
    pub foreseen: usize,
    /// The first thing in it that could not be used, and what is in force instead.
    pub fault: Option<String>,
}

impl Outlook {
    /// `faults`: what of it could be read and not used.
    pub fn begin(edits: &Edits, faults: &[&Fault]) -> Self {
        let unread = edits.files.iter().flat_map(|f| &f.faults).next().map(|f| format!("kept as it was: {f}"));
        let fault = unread.or_else(|| faults.first().map(ToString::to_string));
        let files = edits.files.iter().map(|f| f.file.clone()).collect();
        Self { open: true, found: Found { files, fault, ..Found::default() }, ..Self::default() }
    }
}

impl Engine {
    /// Takes manifests that were written anew; what they would change for what was seen is found by [`Engine::look_ahead`].
    pub(super) fn edit(&mut self, edits: Arc<Edits>) {
        let of_these = |f: &Fault| edits.files.iter().any(|e| e.file == f.file);
        let (old, others): (Vec<Fault>, Vec<Fault>) = std::mem::take(&mut self.faults).into_iter().partition(of_these);
        self.faults = others;
        let faults = self.clusters.edit(&edits);
        // What was so before, whatever its line, is no news.
        let news: Vec<&Fault> = faults.iter().filter(|f| old.iter().all(|o| o.what != f.what)).collect();
        self.outlook = Outlook::begin(&edits, &news);
        self.book(edits.files.iter().flat_map(|f| f.faults.iter().cloned()).chain(faults).collect());
        self.causes.look_again();
        self.edits.push(edits);
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
            if let Some((id, direction, talks)) = judged.map(|c| (c.id, c.why.direction, c.talks().collect::<Vec<usize>>())) {
                let mut stopped = talks.is_empty();
                for talk in talks.iter().skip(self.outlook.within) {
                    let passes = self.talks.get(*talk).is_some_and(|t| self.passes(t, direction));
                    self.outlook.within += 1;
                    if !passes {
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
            self.outlook.before = Some(Box::new(self.clusters.main().first_policies()));
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
        Some(Found { foreseen, ..std::mem::take(&mut self.outlook.found) })
    }

    /// A drop has come of a cause that an edit mends: it has to be so of this conversation too.
    pub(super) fn still_mended(&mut self, id: CauseId, talk: usize) {
        let Some(cause) = self.causes.get(id).filter(|c| c.is_mended() && c.foreseen.is_none()) else { return };
        let direction = cause.why.direction;
        if !self.talks.get(talk).is_some_and(|t| self.passes(t, direction)) {
            self.causes.mend(id, false);
        }
    }

    /// Whether the policies at hand let a conversation pass on the side that stopped it.
    fn passes(&self, talk: &Talk, direction: Option<Direction>) -> bool {
        let main = self.clusters.main();
        let ruling = ruling_of(&talk.flow, &main.world, main.policies(), main.judging());
        let allowed = |d| ruling.side(d).decision == Decision::Allowed;
        match direction {
            Some(d) => allowed(d),
            None => allowed(Direction::Egress) && allowed(Direction::Ingress),
        }
    }

    /// Books a conversation that passed and would be stopped.
    fn foresee(&mut self, number: usize) {
        let main = self.clusters.main();
        let Some(talk) = self.talks.get(number) else { return };
        let (world, set, opt) = (&main.world, main.policies(), main.judging());
        let sides = [(Direction::Egress, talk.egress), (Direction::Ingress, talk.ingress)];
        if talk.seen().forwarded == 0 && talk.replies == 0 {
            return;
        }
        let now = ruling_of(&talk.flow, world, set, opt);
        let Some(before) = self.outlook.before.as_deref().filter(|_| now.decision() == Decision::Denied) else { return };
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

    /// A conversation that a cause foresees, explained by the policies at hand.
    pub fn explain_foreseen(&self, id: CauseId) -> Option<crate::model::why::Explanation> {
        let flow = self.causes.get(id)?.foreseen.as_ref()?;
        let main = self.clusters.main();
        Some(policy::explain(flow, &main.world, main.policies(), main.judging()))
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
