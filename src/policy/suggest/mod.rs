//! The smallest change that lets a cause's traffic through.
//!
//! Owns which causes get one, the order in which edits are preferred, and that none is shown whose proof fails. A suggestion that is
//! wrong is worse than none, so whatever is not certain ends in a sentence that says why there is none (`none`).
mod advice;
pub mod build;
pub mod diff;
mod forms;
pub mod labels;
mod none;
pub mod proof;
pub mod propose;
mod requests;
mod sketch;
mod text;
mod values;

pub use proof::Ground;

use crate::model::observed::{Direction, L4, L7, Observed};
use crate::model::suggestion::{Also, Ground as Basis, Suggestion};
use crate::model::talk::Talk;
use crate::model::why::{Outcome, Why};
use crate::model::words::few;
use crate::policy::eval::{Cause, Decision, Judgement, judge};
use crate::policy::ir::Tier;
use build::What;
use forms::{Draft, Side};
use none::Advice;
use proof::Proof;
use sketch::Sketch;
use std::collections::{BTreeMap, BTreeSet};

/// Conversations and endpoints listed in one suggestion; the others are counted.
const LISTED: usize = 10;
/// Workloads named in one note.
const NAMED: usize = 3;
/// Workloads that one suggestion mends; further ones are said to need their own.
const MOST_SUBJECTS: usize = 4;

const AUDITED: &str = "nothing is dropped now: this was only audited, and enforcement would drop it";

/// What a suggestion is asked for.
pub struct Ask<'a> {
    /// The explanation of the cause.
    pub why: &'a Why,
    /// Nothing was dropped; enforcement would.
    pub audit: bool,
    /// Its conversations, by their numbers in the ground.
    pub talks: &'a [usize],
    /// They are all that were met: none gave way.
    pub whole: bool,
    /// Events that servers lost, and what the capture was limited to: what the proof cannot have seen.
    pub lost: u64,
    pub filter: &'a str,
    /// Records of conversations that found no room.
    pub unheld: u64,
}

/// The smallest change for one cause, proved on everything at hand; without one, why there is none.
pub fn suggest(ask: &Ask<'_>, ground: &Ground<'_>) -> Suggestion {
    match (none::of(ask), ask.why.direction) {
        (None, Some(direction)) => on_side(ask, ground, direction),
        (None, None) => without(ask, ground, Advice::because("on which side it is stopped is not known")),
        (Some(advice), _) => without(ask, ground, advice),
    }
}

fn on_side(ask: &Ask<'_>, ground: &Ground<'_>, direction: Direction) -> Suggestion {
    let begun: Vec<usize> = ask.talks.iter().copied().filter(|id| ground.begins(*id)).collect();
    let ids: Vec<usize> = begun.iter().copied().filter(|id| ground.before(*id, direction) == Decision::Denied).collect();
    let Some(first) = ids.first().copied() else {
        return without(ask, ground, none_of_its(ask, &begun));
    };
    let mut plan = Plan { ground, ids: &ids, first, sketch: Sketch::new(ground.set), titles: Vec::new(), notes: Vec::new() };
    let sides = [direction, other(direction)];
    for side in sides {
        if let Err(mut advice) = plan.open(side) {
            if side != direction {
                // The cause was found on one side: that the other one is what stops here has to be said.
                let of = ground.sides(first, side).map_or_else(String::new, |(subject, _)| format!(" of {}", subject.display));
                let rest = advice.title.strip_prefix("no edit: ").unwrap_or(&advice.title);
                let does = if ground.before(first, side) == Decision::Denied { "denies it too" } else { "may deny it too" };
                advice.title = format!("no edit: {}{of} {does}, and there {rest}", side.word());
            }
            return finish(ask, ground, &plan, Some(advice));
        }
    }
    if plan.titles.len() > 1 {
        plan.notes.push("both sides deny it, so both have to be changed".to_owned());
    }
    // A cause may stop several workloads, each by a policy of its own.
    for _ in 1..MOST_SUBJECTS {
        let admitted = ground.compare(&plan.sketch.set, &plan.sketch.changed, direction).admitted;
        let Some(next) = ids.iter().find(|id| !admitted.contains(id)) else { break };
        let mut more = Plan { first: *next, sketch: plan.sketch.clone(), titles: plan.titles.clone(), notes: plan.notes.clone(), ..plan };
        if !sides.into_iter().all(|side| more.open(side).is_ok()) || more.titles == plan.titles {
            break;
        }
        plan = more;
    }
    let done = finish(ask, ground, &plan, None);
    // The proof is on both sides together.
    if done.conversations > 0 {
        return done;
    }
    without(ask, ground, Advice::because("what opens one side of it does not open both together"))
}

/// Why none of a cause's conversations can be tried.
fn none_of_its(ask: &Ask<'_>, begun: &[usize]) -> Advice {
    Advice::because(match (ask.talks, begun) {
        ([], _) => "none of its conversations is held, so there is nothing to try an edit on",
        (_, []) => "its packets look like answers, and whoever began is let through or stopped elsewhere",
        _ => "what is held of its conversations is not enough to say that these policies stop them",
    })
}

fn without(ask: &Ask<'_>, ground: &Ground<'_>, advice: Advice) -> Suggestion {
    let mut out = Suggestion { title: advice.title, basis: basis(ask, ground), of: ask.talks.len() as u64, ..Suggestion::default() };
    out.notes = advice.notes;
    if ask.audit {
        out.notes.push(AUDITED.to_owned());
    }
    out
}

fn other(d: Direction) -> Direction {
    if d == Direction::Egress { Direction::Ingress } else { Direction::Egress }
}

struct Plan<'a> {
    ground: &'a Ground<'a>,
    ids: &'a [usize],
    first: usize,
    sketch: Sketch,
    titles: Vec<String>,
    notes: Vec<String>,
}

impl Plan<'_> {
    /// Opens one side, or says why not.
    fn open(&mut self, direction: Direction) -> Result<(), Advice> {
        let unknown = |missing: &[String]| Advice::because(format!("what policies say is not known without {}", none::facts(missing)));
        let judged = self.ground.judge(self.first, direction, &|case| judge(case, &self.sketch.set)).ok_or_else(|| unknown(&[]))?;
        match (judged.decision, judged.cause) {
            (Decision::Allowed | Decision::NotManaged, _) => return Ok(()),
            (Decision::Denied, Cause::DenyRule) => {
                // Whatever the other tiers allow is never asked of a baseline; of any other deny rule it is no help.
                let baseline = judged.attributed.iter().filter_map(|r| self.sketch.set.find(r)).all(|p| p.tier == Tier::Baseline);
                if baseline && self.tried_best(direction, &judged).is_ok() {
                    return Ok(());
                }
                return Err(self.deny(direction, &judged).unwrap_or_else(|| unknown(&[])));
            }
            (Decision::Denied, _) => {}
            (Decision::Unknown, _) => return Err(unknown(&judged.missing)),
        }
        self.tried_best(direction, &judged)
    }

    /// Takes the best of all edits that prove.
    fn tried_best(&mut self, direction: Direction, judged: &Judgement) -> Result<(), Advice> {
        let mine = self.of_subject(direction);
        let drafts = self.ground.judge(self.first, direction, &|case| {
            let side = Side { ground: self.ground, sketch: &self.sketch, case, judgement: judged, ids: &mine };
            if judged.cause == Cause::L7Deny { requests::drafts(&side) } else { forms::drafts(&side) }
        });
        let drafts = drafts.unwrap_or_else(|| Ok(Vec::new())).map_err(Advice::because)?;
        let many = drafts.len();
        let mut tried: Vec<_> = drafts.into_iter().filter_map(|d| self.tried(d, direction, &mine)).collect();
        tried.sort_by_key(|t| t.0);
        let Some((_, draft, sketch)) = tried.into_iter().next() else {
            return Err(Advice::because(match many {
                0 => "no rule that is as narrow as this traffic can be written".to_owned(),
                1 => "the one edit that is as narrow as this traffic does not prove: it would not let it through, or stop something else"
                    .to_owned(),
                n => format!("none of {n} edits as narrow as this traffic proves: they would not let it through, or stop something else"),
            }));
        };
        self.sketch = sketch;
        self.titles.push(draft.title);
        self.notes.extend(draft.notes);
        Ok(())
    }

    /// The cause's conversations whose subject is the same workload as the first one's.
    fn of_subject(&self, direction: Direction) -> Vec<usize> {
        let who = |id: usize| {
            let (subject, _) = self.ground.sides(id, direction)?;
            Some((&subject.namespace, labels::telling(subject, &self.ground.crowd)))
        };
        let wanted = who(self.first);
        self.ids.iter().copied().filter(|id| who(*id) == wanted).collect()
    }

    fn deny(&self, direction: Direction, judged: &Judgement) -> Option<Advice> {
        self.ground.judge(self.first, direction, &|case| {
            let peer = build::who(direction, case.peer, &self.ground.crowd, self.ground.opt);
            let far = other(direction);
            let denied = self.ground.before(self.first, far) == Decision::Denied;
            let elsewhere = self.ground.sides(self.first, far).filter(|_| denied).map(|(s, _)| format!("{} of {}", far.word(), s.display));
            let d = advice::deny(self.ground, &self.sketch, case, judged, peer, self.ids, elsewhere);
            Advice { title: d.title, notes: d.notes }
        })
    }

    /// A draft with its set, and how well it does; `None` if it does not do what it is for, or does harm.
    fn tried(&self, draft: Draft, direction: Direction, mine: &[usize]) -> Option<(Rank, Draft, Sketch)> {
        let sketch = self.sketch.after(&draft.steps)?;
        let proof = self.ground.compare(&sketch.set, &sketch.changed, direction);
        if proof.broken > 0 || !proof.opened.contains(&self.first) {
            return None;
        }
        let left = mine.iter().filter(|id| !proof.opened.contains(id)).count();
        let also = proof.opened.iter().filter(|id| !self.ids.contains(id)).count();
        let isolates = isolated(self.ground, &sketch).len();
        Some(((left, isolates, !draft.preferred, also, proof.undecided, draft.rank), draft, sketch))
    }
}

/// Left out of the cause, newly isolated, not preferred, opened besides, undecided, size of the edit: less is better.
type Rank = (usize, usize, bool, usize, u64, u8);

fn isolated(ground: &Ground<'_>, sketch: &Sketch) -> BTreeSet<String> {
    sketch.new.iter().flat_map(|(_, p)| ground.newly_isolated(p)).collect()
}

fn finish(ask: &Ask<'_>, ground: &Ground<'_>, plan: &Plan<'_>, advice: Option<Advice>) -> Suggestion {
    let mut out = Suggestion { basis: basis(ask, ground), of: ask.talks.len() as u64, ..Suggestion::default() };
    if let (Some((src, dst)), Some(talk)) =
        (plan.ids.first().and_then(|id| ground.sides(*id, Direction::Egress)), plan.ids.first().and_then(|id| ground.talk(*id)))
    {
        let what = What::of(&crate::policy::ruling::traffic(&talk.flow));
        out.client = what.filter(|_| ask.why.outcome == Outcome::DefaultDeny).and_then(|w| advice::client(src, dst, w, ground.world));
    }
    if ask.audit {
        out.notes.push(AUDITED.to_owned());
    }
    if let Some(advice) = advice {
        out.title = advice.title;
        out.notes.extend(advice.notes);
        return out;
    }
    let proof = ground.compare(&plan.sketch.set, &plan.sketch.changed, Direction::Egress);
    out.title = plan.titles.join("; ");
    out.patch = plan.sketch.patch();
    out.yaml = plan.sketch.yaml();
    if out.patch.is_some() {
        out.new = plan.sketch.fresh();
    }
    count(&mut out, ask, ground, &proof);
    let isolates = isolated(ground, &plan.sketch);
    out.isolates_more = isolates.len().saturating_sub(LISTED) as u64;
    out.isolates = isolates.into_iter().take(LISTED).collect();
    for n in &plan.notes {
        if !out.notes.contains(n) {
            out.notes.push(n.clone());
        }
    }
    for p in plan.sketch.set.iter().filter(|p| plan.sketch.edited.contains(&p.id)) {
        let besides = ground.selected_besides(p, plan.ids);
        if !besides.is_empty() {
            let named = few(besides.iter().cloned(), NAMED);
            out.notes.push(format!("{} selects other workloads too, and what it allows is allowed to them: {named}", p.id.path()));
        }
    }
    if out.conversations < out.of {
        out.notes.push("the others of this cause need a change of their own: ask again once this one is made".to_owned());
    }
    if !ask.whole {
        out.notes.push("not every conversation of this cause is held: whether it admits the others too is not known".to_owned());
    }
    let unsaid = plan.ids.iter().filter_map(|id| ground.talk(*id)).any(|t| t.flow.is_reply.is_none());
    if unsaid {
        out.notes.push("the records do not say who began: it is taken to be the sender".to_owned());
    }
    out.notes.extend(plan.sketch.set.iter().filter(|p| plan.sketch.edited.contains(&p.id)).filter_map(|p| advice::owner(p)));
    out
}

fn basis(ask: &Ask<'_>, ground: &Ground<'_>) -> Basis {
    Basis { lost: ask.lost, filter: ask.filter.to_owned(), unheld: ask.unheld, ..ground.span().clone() }
}

/// Records of the conversation that the cause counts.
fn stopped(t: &Talk, audit: bool) -> u64 {
    let seen = t.seen();
    if audit { seen.audited } else { seen.dropped }
}

fn count(out: &mut Suggestion, ask: &Ask<'_>, ground: &Ground<'_>, proof: &Proof) {
    let mut also: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for id in &proof.admitted {
        let Some(t) = ground.talk(*id) else { continue };
        if ask.talks.contains(id) {
            out.admits += stopped(t, ask.audit);
            out.conversations += 1;
        } else {
            *also.entry((end(&t.flow, true), end(&t.flow, false), asked(&t.flow))).or_default() += t.seen().records();
        }
    }
    out.also_more = also.len().saturating_sub(LISTED) as u64;
    out.also = also.into_iter().take(LISTED).map(|((from, to, what), records)| Also { from, to, what, records }).collect();
    out.undecided = proof.undecided;
}

/// A side by its owner, else as it is called.
fn end(o: &Observed, source: bool) -> String {
    let p = if source { &o.src } else { &o.dst };
    match p.workloads.first() {
        Some((_, name)) if !p.namespace.is_empty() => format!("{}/{name}", p.namespace),
        _ => p.display(),
    }
}

fn asked(o: &Observed) -> String {
    let what = What::of(&crate::policy::ruling::traffic(o)).map_or_else(|| o.l4.map_or("", L4::word).to_owned(), |w| w.words());
    match &o.l7 {
        Some(L7::Http { method, url, .. }) => format!("{what} {method} {url}"),
        Some(L7::Dns { query, .. }) => format!("{what} {query}"),
        _ => what,
    }
}
