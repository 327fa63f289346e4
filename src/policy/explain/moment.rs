//! One flow judged by the versions of the policies that may have been in force at its time.
//!
//! Owns what follows where they differ. A node learns of a change some time after the API does, so for a flow close to a change either
//! version may have been the one. The datapath is asked first: if by one version it did what it did and by the other it would not have,
//! that one was in force. If both fit, what both say stays, and where they name nobody in common it is undecidable whose drop it was.
use super::evidence::{lasted, moment, touched};
use crate::model::observed::{Observed, Party, Verdict};
use crate::model::time::Nanos;
use crate::model::why::{Agreement, AsOf, Changed, Edit, Nearest, Outcome, PolicyRef, Version, Why};
use crate::model::words::few;
use crate::policy::PolicySet;
use crate::policy::Written;
use crate::policy::ir::Policy;
use crate::policy::unread;
use crate::policy::versions::{DELAY, Step, Versions};
use crate::world::Turned;
use crate::world::labels::namespace_in;
use std::sync::Arc;

/// Versions judged for one flow. Between two that say the same, others may say another thing; with so many changes within a minute only
/// the nearest are asked, and the first and last.
const MOST: usize = 5;

/// Changes named in a sentence.
const NAMED: usize = 3;

/// Which versions a flow is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// In force at the flow's time, as the API has it; then the others that a node may have had, the nearest first.
    pub versions: Vec<u64>,
    /// The first and the last of those that a node may have had, judged or not.
    about: (u64, u64),
    now: u64,
}

/// `None`: today's version is the one, and nothing has changed about the flow's time.
pub fn window(at: Nanos, v: &Versions) -> Option<Window> {
    let old = v.from().is_some_and(|from| at < from);
    if !old && v.last().is_none_or(|last| at.since(last) > DELAY) && v.written(at).next().is_none() {
        return None;
    }
    let (here, about) = (v.number_at(at), (v.number_at(at.plus(-DELAY)), v.number_at(at.plus(DELAY))));
    let mut versions = vec![here];
    for n in [here.checked_sub(1), here.checked_add(1), Some(about.1), Some(about.0)].into_iter().flatten() {
        if (about.0..=about.1).contains(&n) && !versions.contains(&n) && versions.len() < MOST {
            versions.push(n);
        }
    }
    Some(Window { versions, about, now: v.number() })
}

impl Window {
    /// Besides, what today's policies say, if that is not among them.
    pub fn today(&self) -> Option<u64> {
        (!self.versions.contains(&self.now)).then_some(self.now)
    }
}

/// What a flow comes to, and by which version.
pub struct Settled {
    pub why: Arc<Why>,
    pub version: u64,
}

/// Makes one explanation of those by each version, in the order of the window. `today` is what it would come to now; `set` has the
/// policies of the version that was in force by the API.
pub fn settle(o: &Observed, w: &Window, judged: &[Arc<Why>], today: Option<&Arc<Why>>, v: &Versions, set: &PolicySet) -> Option<Settled> {
    let at = o.at?;
    let (here, first) = (judged.first()?, *w.versions.first()?);
    let today = today.unwrap_or_else(|| w.versions.iter().position(|n| *n == w.now).and_then(|i| judged.get(i)).unwrap_or(here));
    // Of thousands of changes in a minute few are about what decides here; the others are not looked at any closer.
    let concerns = |step: &&Step| {
        let Some(p) = step.policy() else { return false };
        let same = |q: &PolicyRef| q.name == p.name && q.namespace == p.namespace && q.kind == p.kind;
        let of = |w: &Why| w.policies.iter().chain(w.sides.iter().flat_map(|s| &s.policies)).any(same);
        of(today) || judged.iter().any(|j| of(j))
    };
    let near: Vec<Changed> = changed(v.between(w.about.0, w.about.1).filter(concerns));
    let since: Vec<Changed> = changed(v.between(first, w.now).filter(concerns));
    let mut settled = Settled { why: here.clone(), version: first };
    if judged.iter().any(|j| !same(j, here)) {
        let (why, i) = weigh(at, here, judged, &near);
        settled = Settled { why: Arc::new(why), version: w.versions.get(i).copied().unwrap_or(first) };
    }
    let unknown = v.from().filter(|from| at < *from);
    let concerned = of_their_namespaces(o);
    let mut fresh: Vec<&Written> = v.written(at).filter(|w| concerned(&w.policy)).collect();
    fresh.sort_by(|a, b| (&a.policy, a.at).cmp(&(&b.policy, b.at)));
    if since.is_empty() && near.is_empty() && unknown.is_none() && fresh.is_empty() {
        return Some(settled);
    }
    let mut why = Why::clone(&settled.why);
    if let Some(from) = unknown {
        unsure(&mut why, o, (at, from), set);
    }
    unsettled(&mut why, o, at, &fresh);
    if !near.is_empty() || unknown.is_some() {
        let as_of = why.as_of.get_or_insert_with(AsOf::default);
        (as_of.near, as_of.known_from) = (near, unknown);
    }
    why.changed_since = since;
    Some(Settled { why: Arc::new(why), ..settled })
}

/// Makes one explanation of those by each of the settings about a change of them, of which the first was in force by the API; and the
/// place of the one it rests on. `None`: they all say the same.
pub fn by_settings(o: &Observed, changed: Nanos, judged: &[Arc<Why>]) -> Option<(Why, usize)> {
    let (at, here) = (o.at?, judged.first()?);
    if judged.iter().all(|w| same(w, here)) {
        return None;
    }
    let by = at.since(changed);
    let side = if by < 0 { "after" } else { "before" };
    let told = format!("the settings that policies are judged by changed {} {side} the packet", lasted(by.saturating_abs()));
    let open = |w: &&Arc<Why>| w.outcome == Outcome::Undecidable;
    if let Some((place, first)) = judged.iter().enumerate().find(|(_, w)| open(w)) {
        let mut why = Why::clone(first);
        why.leave_open(judged.iter().filter(open).flat_map(|w| w.missing.clone()));
        why.because.insert(0, format!("{told}: by one of them it cannot be decided"));
        return Some((why, place));
    }
    let fitting: Vec<(usize, &Arc<Why>)> = judged.iter().enumerate().filter(|(_, w)| fits(w)).collect();
    let Some((place, first)) = fitting.first().copied() else {
        let mut why = Why::clone(here);
        why.because.push(format!("{told}: by none of them is it plainly so"));
        if why.agreement == Agreement::Agrees {
            why.agreement = Agreement::Unknown;
        }
        return Some((why, 0));
    };
    let mut why = Why::clone(first);
    if fitting.iter().any(|(_, w)| !same(w, first)) {
        let said: Vec<String> = fitting.iter().map(|(_, w)| format!("{} ({})", w.text, paths(w))).collect();
        why.because = vec![format!("{told}, and it comes to one thing or another: {}", few(said.into_iter(), NAMED))];
        why.leave_open(["settings".to_owned()]);
    } else if place > 0 {
        why.agreement = Agreement::Unknown;
        why.because.insert(0, format!("{told}: the node may have gone by the other ones; by those in force then, {}", here.text));
    }
    Some((why, place))
}

/// Names what else changed since the flow, where the explanation is another than today's.
pub fn since(why: &Arc<Why>, today: &Why, at: Nanos, turned: Vec<Turned>) -> Option<Arc<Why>> {
    if turned.is_empty() || same(why, today) {
        return None;
    }
    let mut why = Why::clone(why);
    for t in turned {
        let (kind, by, before, after) = (t.kind.to_owned(), None, None, None);
        let changed = Changed { kind, namespace: t.namespace, name: t.name, what: t.what, at: t.at, by, before, after };
        if at.since(changed.at).unsigned_abs() <= DELAY.unsigned_abs() {
            why.as_of.get_or_insert_with(AsOf::default).near.push(changed.clone());
        }
        if changed.at > at {
            why.changed_since.push(changed);
        }
    }
    Some(Arc::new(why))
}

/// What is missing where a record does not say when it was made.
const TIME: &str = "flow-time";

/// Makes one explanation of a record without a time, of what it comes to now, which is first, and at the other times of which it may be.
/// `None`: the first holds.
pub fn undated(judged: &[Arc<Why>]) -> Option<Why> {
    let (here, others) = judged.split_first()?;
    let differing: Vec<&Arc<Why>> = others.iter().filter(|w| !same(w, here)).collect();
    // Which version of a policy it was is not known.
    let versions = |w: &Why| w.as_of.as_ref().map(|a| a.policies.clone());
    let as_of = here.as_of.clone().filter(|_| others.iter().all(|w| versions(w) == versions(here)));
    let mut why = Why { as_of, ..Why::clone(here) };
    if differing.is_empty() {
        let unsure = here.agreement == Agreement::Agrees && others.iter().any(|w| w.agreement != Agreement::Agrees);
        if unsure {
            why.agreement = Agreement::Unknown;
            why.because.push(format!("{UNDATED}, and not of all the time that it may be of is it known that it was so"));
        }
        return (unsure || why.as_of != here.as_of).then_some(why);
    }
    let alike = |w: &&Arc<Why>| w.text == here.text && w.nearest == here.nearest;
    let named = in_common(&why, &differing).filter(|why| differing.iter().all(|w| w.sides == why.sides));
    let open = judged.iter().any(|w| w.outcome == Outcome::Undecidable);
    if let Some(mut why) = named.filter(|why| !open && (differing.iter().all(alike) || why.outcome == Outcome::DefaultDeny)) {
        if why.outcome != Outcome::NowAllowed {
            why.agreement = Agreement::Unknown;
        }
        if !differing.iter().all(alike) {
            (why.nearest, why.text) = (None, "no rule allows it".to_owned());
        }
        why.because.insert(0, format!("{UNDATED}, and policies have changed: named is what holds whenever it was"));
        return Some(why);
    }
    let mut said: Vec<String> = Vec::new();
    for w in judged.iter().filter(|w| w.outcome != Outcome::Undecidable) {
        let told = match paths(w) {
            none if none.is_empty() => w.text.clone(),
            paths => format!("{} ({paths})", w.text),
        };
        if !said.contains(&told) {
            said.push(told);
        }
    }
    let said = if said.is_empty() { String::new() } else { format!(": {}", few(said.into_iter(), NAMED)) };
    why.because = vec![format!("{UNDATED}, and what it comes to depends on when it was{said}")];
    why.missing.clear();
    // Which version it was follows from the time.
    let missing = judged.iter().flat_map(|w| &w.missing).filter(|m| !m.starts_with("version:")).cloned();
    why.leave_open(missing.chain([TIME.to_owned()]));
    Some(why)
}

/// The same where there was too much to ask about. `None`: policies do not matter to it.
pub fn undatable(here: &Why, o: &Observed, changes: usize) -> Option<Why> {
    let decision = matches!(o.verdict, Verdict::Forwarded | Verdict::Redirected) && o.reply() != Some(true);
    if here.outcome == Outcome::NotPolicy || here.outcome == Outcome::Allowed && !decision {
        return None;
    }
    let mut why = here.clone();
    why.because = vec![format!("{UNDATED}, and what it is judged by has changed {changes} times; by what is so now, {}", here.text)];
    why.leave_open([TIME.to_owned()]);
    Some(why)
}

const UNDATED: &str = "the record does not say when it was";

fn paths(w: &Why) -> String {
    few(w.policies.iter().map(PolicyRef::path), NAMED)
}

/// Whether two explanations say the same of the flow.
fn same(a: &Why, b: &Why) -> bool {
    let rule = |w: &Why| w.nearest.as_ref().map(|n| (n.kind.clone(), n.namespace.clone(), n.name.clone(), n.failed.clone()));
    (a.outcome, a.direction, &a.policies, &a.missing) == (b.outcome, b.direction, &b.policies, &b.missing)
        && rule(a) == rule(b)
        && a.sides == b.sides
}

/// By this version the datapath did what it had to.
fn fits(w: &Why) -> bool {
    w.agreement != Agreement::Disagrees && !matches!(w.outcome, Outcome::NowAllowed | Outcome::Undecidable)
}

/// Of explanations that differ; and the place of the one it rests on.
fn weigh(at: Nanos, here: &Why, judged: &[Arc<Why>], near: &[Changed]) -> (Why, usize) {
    let fitting: Vec<(usize, &Arc<Why>)> = judged.iter().enumerate().filter(|(_, w)| fits(w)).collect();
    let changes = match near {
        [] => format!("policies changed within {} of the packet", lasted(DELAY)),
        some => few(some.iter().map(|c| told(c, at)), NAMED),
    };
    if let Some((i, open)) = judged.iter().enumerate().find(|(_, w)| w.outcome == Outcome::Undecidable) {
        // What cannot be decided is not ruled out: whoever another version names may not have been there yet, or not any more.
        let mut why = Why::clone(open);
        why.leave_open(judged.iter().filter(|w| w.outcome == Outcome::Undecidable).flat_map(|w| w.missing.clone()));
        why.because.insert(0, format!("{changes}: by one of the versions about this time it cannot be decided"));
        return (why, i);
    }
    let Some(((i, first), rest)) = fitting.split_first().map(|((i, w), rest)| ((*i, *w), rest)) else {
        let mut why = Why::clone(here);
        why.because.push(format!("{changes}: by none of the versions about this time is it plainly so"));
        if why.agreement == Agreement::Agrees {
            why.agreement = Agreement::Unknown;
        }
        return (why, 0);
    };
    let mut why = Why::clone(first);
    let others: Vec<&Arc<Why>> = rest.iter().map(|(_, w)| *w).filter(|w| !same(w, first)).collect();
    if others.is_empty() {
        // One thing only fits. Where that is not what the API says was in force, it is an inference.
        if i > 0 {
            why.agreement = Agreement::Unknown;
            let instead = &here.text;
            why.because.insert(0, format!("{changes}: the node may have had the other version; by the one in force then, {instead}"));
        }
        return (why, i);
    }
    if let Some(mut why) = in_common(first, &others) {
        why.agreement = Agreement::Unknown;
        why.because.insert(0, format!("{changes}: named is what holds with or without it"));
        return (why, i);
    }
    let versions = std::iter::once(first).chain(others.iter().copied());
    let said: Vec<String> = versions.map(|w| format!("{} ({})", w.text, paths(w))).collect();
    why.because = vec![format!("{changes}, and the packet would be stopped either way: {}", said.join(", or "))];
    why.missing.clear();
    why.leave_open(versions_of(near.iter().map(|c| format!("version:{} {}", c.kind, path(c)))));
    (why, i)
}

/// What is the same by explanations that differ: which way it went, and who had to do with it by all of them. `None`: not enough is.
fn in_common(first: &Why, others: &[&Arc<Why>]) -> Option<Why> {
    let both: Vec<PolicyRef> = first.policies.iter().filter(|p| others.iter().all(|o| o.policies.contains(p))).cloned().collect();
    let alike = others.iter().all(|o| (o.outcome, o.direction) == (first.outcome, first.direction));
    if !alike || both.is_empty() && first.outcome != Outcome::Allowed && others.iter().any(|o| o.policies != first.policies) {
        return None;
    }
    let nearest = first.nearest.clone().filter(|n| is_of(n, &both));
    Some(Why { policies: both, nearest, ..first.clone() })
}

/// The flow is older than what is known. Policies that are gone by now may have decided it, so only what the datapath itself confirms
/// stays; and a policy that was written after it is not the one that decided then.
fn unsure(why: &mut Why, o: &Observed, (at, from): (Nanos, Nanos), set: &PolicySet) {
    if why.outcome == Outcome::NotPolicy || o.reply() == Some(true) && why.outcome == Outcome::Allowed {
        return;
    }
    let later = |p: &PolicyRef| {
        let (what, when) = touched(set.find(p)?)?;
        // Such times are whole seconds.
        (when.since(at) > 0)
            .then(|| format!("{} {} was {what} {}, {} after the packet", p.kind, p.path(), moment(when, at), lasted(when.since(at))))
    };
    let late: Vec<(PolicyRef, String)> = why.policies.iter().filter_map(|p| Some((p.clone(), later(p)?))).collect();
    let known = format!("policies are known from {} on, {} after the packet", moment(from, at), lasted(from.since(at)));
    let confirmed = why.agreement == Agreement::Agrees && why.sides.is_empty() && unread::told(o);
    if why.outcome == Outcome::Allowed || (late.is_empty() && confirmed && why.outcome != Outcome::Undecidable) {
        why.because.push(known);
        why.agreement = Agreement::Unknown;
        return;
    }
    // Nobody is blamed: that the policies at hand allow it stays true, and these are likely reasons.
    if why.outcome == Outcome::NowAllowed {
        why.because.extend(late.into_iter().map(|(_, told)| told).take(NAMED).chain([known]));
        return;
    }
    if why.outcome == Outcome::Undecidable {
        why.because.push(known);
        (why.sides, why.diagnosis) = (Vec::new(), Vec::new());
        return;
    }
    why.because.insert(0, why.text.clone());
    why.because.splice(0..0, late.iter().take(NAMED).map(|(_, told)| told.clone()).chain([known]));
    why.missing.clear();
    why.leave_open(versions_of(late.iter().map(|(p, _)| format!("version:{} {}", p.kind, p.path()))));
}

/// Policies were written so shortly before the flow that its node may have gone by what was so before, of which nothing is known. What
/// others do besides stays, and where nobody else could have done it, the one that was written did, whatever it said before.
fn unsettled(why: &mut Why, o: &Observed, at: Nanos, fresh: &[&Written]) {
    let Some(first) = fresh.first() else { return };
    if why.outcome == Outcome::NotPolicy || o.reply() == Some(true) && why.outcome == Outcome::Allowed {
        return;
    }
    let told = |w: &&Written| {
        let (what, more) = if w.made { ("created", "") } else { ("last changed", ", and what it said before is not known") };
        format!("{} {} was {what} {} before the packet{more}", w.policy.kind, w.policy.path(), lasted(at.since(w.at)))
    };
    let told = format!("{}: the node may not have had that yet", few(fresh.iter().map(told), NAMED));
    let confirmed = why.agreement == Agreement::Agrees && why.sides.is_empty() && unread::told(o);
    let named = |p: &PolicyRef| fresh.iter().any(|w| w.is(p));
    let others: Vec<PolicyRef> = why.policies.iter().filter(|p| !named(p)).cloned().collect();
    match why.outcome {
        Outcome::Allowed | Outcome::NowAllowed => why.because.push(told),
        Outcome::Undecidable => {
            why.because.push(told);
            (why.sides, why.diagnosis) = (Vec::new(), Vec::new());
        }
        _ if confirmed && (!others.is_empty() || fresh.iter().all(|w| w.is(&first.policy))) => {
            why.because.insert(0, told);
            if !others.is_empty() {
                why.nearest = why.nearest.take().filter(|n| is_of(n, &others));
                why.policies = others;
            }
        }
        _ => {
            why.because.splice(0..0, [told, why.text.clone()]);
            why.missing.clear();
            why.leave_open(versions_of(fresh.iter().map(|w| format!("version:{} {}", w.policy.kind, w.policy.path()))));
        }
    }
    if why.outcome != Outcome::NowAllowed {
        why.agreement = Agreement::Unknown;
    }
}

/// Whether a policy may concern a flow: one of another namespace than its two sides are of selects neither. Of a side that nothing but an
/// address tells it is not known which it is of.
pub fn of_their_namespaces(o: &Observed) -> impl Fn(&PolicyRef) -> bool {
    let of = |p: &Party| match p.namespace.as_str() {
        "" if p.labels.iter().all(|l| l == "reserved:unknown") => None,
        "" => Some(namespace_in(&p.labels).to_owned()),
        told => Some(told.to_owned()),
    };
    let sides = of(&o.src).zip(of(&o.dst));
    move |p| match (p.namespace.as_deref(), &sides) {
        (Some(namespace), Some((src, dst))) => namespace == src || namespace == dst,
        _ => true,
    }
}

/// Whether the nearest rule is one of these policies'.
fn is_of(n: &Nearest, all: &[PolicyRef]) -> bool {
    all.iter().any(|p| (&p.kind, &p.namespace, &p.name) == (&n.kind, &n.namespace, &n.name))
}

/// The facts that are missing where it is not known which version it was; of none that is known, of all.
fn versions_of(named: impl Iterator<Item = String>) -> Vec<String> {
    let named: Vec<String> = named.collect();
    if named.is_empty() { vec!["version:policies".to_owned()] } else { named }
}

/// The versions of the policies that decide, where they have one.
pub(super) fn as_of(why: &Why, set: &PolicySet) -> Option<AsOf> {
    let mut policies: Vec<Version> = why.policies.iter().filter_map(|p| version(set.find(p)?)).collect();
    policies.dedup();
    (!policies.is_empty()).then(|| AsOf { policies, ..AsOf::default() })
}

fn version(p: &Arc<Policy>) -> Option<Version> {
    let live = p.doc.live.as_ref()?;
    Some(Version {
        kind: p.id.kind.clone(),
        namespace: p.id.namespace.clone(),
        name: p.id.name.clone(),
        resource_version: (!live.resource_version.is_empty()).then(|| live.resource_version.clone()),
        generation: live.generation,
        since: touched(p).map(|(_, when)| when),
    })
}

/// Several changes of one policy are one, from the version before the first to that after the last.
fn changed<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<Changed> {
    let mut out: Vec<(Changed, bool, bool)> = Vec::new();
    for step in steps {
        let Some(p) = step.policy() else { continue };
        let (had, has) = (step.turn.before.is_some(), step.turn.after.is_some());
        let after = step.after().and_then(version);
        match out.iter_mut().find(|(c, _, _)| is(c, p)) {
            Some((c, _, now)) => {
                (c.at, c.by, c.after, *now) = (step.at, step.by().map(str::to_owned), after, has);
            }
            None => {
                let new = Changed {
                    kind: p.kind.clone(),
                    namespace: p.namespace.clone(),
                    name: p.name.clone(),
                    what: step.what(),
                    at: step.at,
                    by: step.by().map(str::to_owned),
                    before: step.before().and_then(version),
                    after,
                };
                out.push((new, had, has));
            }
        }
    }
    let what = |(c, had, has): (Changed, bool, bool)| {
        let what = match (had, has) {
            (false, true) => "added",
            (true, false) => "removed",
            _ => "changed",
        };
        Changed { what, ..c }
    };
    out.into_iter().map(what).collect()
}

/// The texts of the changes that an explanation names.
pub fn edits(why: &Why, w: &Window, v: &Versions) -> Vec<Edit> {
    let near = why.as_of.iter().flat_map(|a| &a.near);
    let mut out: Vec<Edit> = Vec::new();
    for (c, from, to) in near.map(|c| (c, w.about.0, w.about.1)).chain(why.changed_since.iter().map(|c| (c, w.about.0, w.now))) {
        let mut mine = v.between(from, to).filter(|s| s.policy().is_some_and(|p| is(c, p)));
        let Some(first) = mine.next() else { continue };
        let last = mine.last().unwrap_or(first);
        let Some(policy) = first.policy() else { continue };
        let text = |p: Option<&Arc<Policy>>| p.map(|p| p.text.clone());
        let edit = Edit { policy: policy.clone(), at: last.at, before: text(first.before()), after: text(last.after()) };
        if !out.contains(&edit) {
            out.push(edit);
        }
    }
    out
}

fn is(c: &Changed, p: &PolicyRef) -> bool {
    (&c.kind, &c.namespace, &c.name) == (&p.kind, &p.namespace, &p.name)
}

fn path(c: &Changed) -> String {
    c.namespace.as_ref().map_or_else(|| c.name.clone(), |ns| format!("{ns}/{}", c.name))
}

/// `NetworkPolicy shop/db was changed 4 s before the packet`.
fn told(c: &Changed, at: Nanos) -> String {
    let (by, side) = if c.at > at { (c.at.since(at), "after") } else { (at.since(c.at), "before") };
    format!("{} {} was {} {} {side} the packet", c.kind, path(c), c.what, lasted(by))
}
