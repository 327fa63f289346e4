//! Kinds of policy of which not everything is known, and what that leaves certain.
//!
//! Owns the words for such a kind, and the rule: a policy nobody has read may isolate, allow or deny. What the datapath itself confirms
//! stays (it dropped the packet on this side, and by what can be read just that follows), with the kind named beside it and the list of
//! policies not called complete. Everything else (that nothing stands against it, which of two sides it was, whatever the datapath
//! contradicts) depends on what was not read, and is undecidable.
use super::eval::{Decision, Judgement};
use super::kind::{KINDS, is_policy};
use super::{Options, PolicySet};
use crate::model::input::{Kind, KindState};
use crate::model::observed::Observed;
use crate::model::reason::{self, Cause as Reason};
use crate::model::time::Nanos;
use crate::model::why::{Agreement, Outcome, Why};
use crate::model::words::few;
use crate::world::World;

/// Kinds named in a sentence.
const NAMED: usize = 3;

/// Of a watch that is mended, for a flow of the time when it was not.
const STALE_THEN: &str = "stale then";

/// A kind of policy, and why not all of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    group: String,
    kind: String,
    /// `networkpolicies`, and the group where several have the kind.
    pub name: String,
    /// `loading`, `forbidden`, `stale`; `stale then` of a watch that is mended.
    pub how: &'static str,
    /// The right that is missing, how the watch broke, or when; empty while loading.
    pub cause: String,
    /// All of it was known before: what is at hand may be old.
    behind: bool,
}

impl Unread {
    /// As `missing[]` has it: `policies:networkpolicies forbidden`.
    pub fn fact(&self) -> String {
        format!("policies:{} {}", self.name, self.how)
    }

    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What was not known of a kind from one time to another.
    pub(super) fn then(group: &str, kind: &str, from: Nanos, to: Nanos) -> Self {
        let (name, cause) = (plural(group, kind), format!("from {from} to {to}"));
        Self { group: group.to_owned(), kind: kind.to_owned(), name, how: STALE_THEN, cause, behind: true }
    }

    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// What is known of it may be old, so that a policy at hand may have been gone.
    fn is_stale(&self) -> bool {
        self.behind || self.how == "stale"
    }

    /// Books that all of a kind was known before.
    pub(super) fn fall_behind(list: &mut [Self], group: &str, kind: &str) {
        list.iter_mut().filter(|u| u.is(group, kind)).for_each(|u| u.behind = true);
    }

    /// The same for a person, with the cause.
    pub fn words(&self) -> String {
        match (self.how, self.cause.as_str()) {
            ("loading", _) => format!("{} are still being listed", self.name),
            ("forbidden", "") => format!("{} may not be read", self.name),
            ("forbidden", cause) => format!("{} may not be read ({cause})", self.name),
            (STALE_THEN, cause) => format!("the watch of {} was broken then ({cause})", self.name),
            (_, "") => format!("the watch of {} is broken", self.name),
            (_, cause) => format!("the watch of {} is broken ({cause})", self.name),
        }
    }

    /// Books how well a kind is known; `false` if it is no kind of policy, or nothing changes.
    pub(super) fn note(list: &mut Vec<Self>, kind: &Kind) -> bool {
        if !is_policy(&kind.group, &kind.kind) {
            return false;
        }
        let at = list.iter().position(|u| u.group == kind.group && u.kind == kind.kind);
        let (how, cause) = match &kind.state {
            KindState::Synced | KindState::Absent => {
                at.map(|i| list.remove(i));
                return true;
            }
            KindState::Loading => ("loading", String::new()),
            KindState::Forbidden(cause) => ("forbidden", cause.clone()),
            KindState::Stale(cause) => ("stale", cause.clone()),
        };
        let behind = at.and_then(|i| list.get(i)).is_some_and(|old| old.behind);
        let new = Self { group: kind.group.clone(), kind: kind.kind.clone(), name: plural(&kind.group, &kind.kind), how, cause, behind };
        match at.and_then(|i| list.get_mut(i)) {
            Some(old) if *old == new => return false,
            Some(old) => *old = new,
            None => {
                let place = list.partition_point(|u| (&u.group, &u.kind) < (&new.group, &new.kind));
                list.insert(place, new);
            }
        }
        true
    }
}

/// `NetworkPolicy` → `networkpolicies`; with its group where it is not the one that everybody means.
fn plural(group: &str, kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    let name = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    let first = KINDS.iter().find(|k| k.kind.eq_ignore_ascii_case(&kind));
    if first.is_some_and(|k| k.group == group) { name } else { format!("{name}.{group}") }
}

/// Of an explanation: what is left of it where kinds are not known.
pub(super) fn qualify(why: &mut Why, o: &Observed, set: &PolicySet) {
    let list = set.unread();
    if list.is_empty() || why.outcome == Outcome::NotPolicy || o.reply() == Some(true) && why.outcome == Outcome::Allowed {
        return;
    }
    let sentence = format!("{}: further policies may isolate, allow or deny", few(list.iter().map(Unread::words), NAMED));
    let confirmed = why.agreement == Agreement::Agrees && why.sides.is_empty() && told(o);
    // Of a kind whose watch is broken the policy that is named may itself be gone.
    let stale = list.iter().any(Unread::is_stale);
    match why.outcome {
        // It passed, and a rule that allows it is at hand.
        Outcome::Allowed if !stale && why.agreement == Agreement::Agrees && !why.policies.is_empty() => return,
        Outcome::Allowed => {}
        Outcome::NowAllowed | Outcome::Undecidable => undecidable(why, list),
        _ if confirmed && !stale => {}
        _ => undecidable(why, list),
    }
    why.agreement = Agreement::Unknown;
    why.because.insert(0, format!("by what can be read; {sentence}"));
}

/// Of a question that no datapath has answered: with policies that nobody has read, neither yes nor no is certain.
pub(super) fn doubt(why: &mut Why, set: &PolicySet) {
    let list = set.unread();
    if set.given() && !list.is_empty() {
        undecidable(why, list);
        why.because.insert(0, format!("by what can be read; {}", few(list.iter().map(Unread::words), NAMED)));
    }
}

/// The same where nobody could read whether policies are enforced: what they deny may pass all the same.
pub(super) fn unenforced(why: &mut Why, world: &World, opt: &Options) {
    if matches!(why.outcome, Outcome::Allowed | Outcome::NotPolicy) {
        return;
    }
    if let Some(fact) = opt.enforcement_unread(world) {
        open_up(why, [fact]);
        why.because.insert(0, UNENFORCED.to_owned());
    }
}

/// What follows for a denial.
const UNENFORCED: &str = "this holds only where policies are enforced, which is not known; --policy-enforcement says it";

/// Whether the record itself says that a policy did it, and how.
pub(super) fn told(o: &Observed) -> bool {
    matches!(reason::cause(o.drop_reason), Reason::DefaultDeny | Reason::DenyRule | Reason::Auth) && !o.of_retina() || o.l7.is_some()
}

fn undecidable(why: &mut Why, list: &[Unread]) {
    open_up(why, list.iter().map(Unread::fact));
}

fn open_up(why: &mut Why, facts: impl IntoIterator<Item = String>) {
    if why.outcome != Outcome::Undecidable {
        let policies = few(why.policies.iter().map(|p| p.path()), NAMED);
        why.because.insert(0, if policies.is_empty() { why.text.clone() } else { format!("{} ({policies})", why.text) });
        why.outcome = Outcome::Undecidable;
    }
    // Nor is anything certain that one side by itself says.
    why.leave_open(facts);
}

/// Of a side that no datapath has judged: with a policy that nobody has read, nothing about it is certain.
pub(super) fn leave_open(j: &mut Judgement, set: &PolicySet) {
    if set.unread().is_empty() || j.decision == Decision::NotManaged {
        return;
    }
    j.decision = Decision::Unknown;
    j.missing.extend(set.unread().iter().map(Unread::fact));
}
