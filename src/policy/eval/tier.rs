//! The order in which tiers are asked, and the tiers in which the first rule that matches decides.
//!
//! Owns that order as data of the engine, and what a tier may come to where a match or the order of two policies is not known.
use super::winner::Origin;
use super::{Case, Chosen, entry};
use crate::model::why::PolicyRef;
use crate::policy::Engine;
use crate::policy::ir::{Action, Tier};
use crate::policy::selector::Tri;

/// One question on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// By priority and place; the first rule that matches decides, or passes on.
    FirstMatch(Tier),
    /// All rules at once, deny before allow.
    Union(Tier),
    /// What the policies that isolate leave over.
    DefaultDeny,
}

/// As the API has it: whom a policy of the normal tier isolates, Baseline never sees.
const KUBERNETES: &[Step] =
    &[Step::FirstMatch(Tier::Admin), Step::Union(Tier::Normal), Step::DefaultDeny, Step::FirstMatch(Tier::Baseline)];
/// As Cilium has it: default deny stands below everything, so a Baseline rule may still allow.
const CILIUM: &[Step] = &[Step::FirstMatch(Tier::Admin), Step::Union(Tier::Normal), Step::FirstMatch(Tier::Baseline), Step::DefaultDeny];

pub(super) fn order(engine: Engine) -> &'static [Step] {
    match engine {
        Engine::Cilium => CILIUM,
        Engine::Kubernetes => KUBERNETES,
    }
}

/// A rule that may be the one that decides.
pub(super) struct Hit {
    pub action: Action,
    pub rules: Vec<PolicyRef>,
    certain: bool,
}

/// All that a tier may come to.
pub(super) struct First {
    /// In order; more than one if a fact is missing.
    pub hits: Vec<Hit>,
    /// The next tier may be asked.
    pub falls: bool,
}

pub(super) fn first_match(case: &Case<'_>, chosen: &[Chosen<'_>], tier: Tier, missing: &mut Vec<String>) -> First {
    let mut of_tier: Vec<&Chosen<'_>> = chosen.iter().filter(|c| c.policy.tier == tier).collect();
    of_tier.sort_by_key(|c| c.policy.priority);
    let mut hits: Vec<Hit> = Vec::new();
    for level in of_tier.chunk_by(|a, b| a.policy.priority == b.policy.priority) {
        let before = hits.len();
        let (mut sure, mut who) = (false, Vec::new());
        for c in level {
            let found = hits_of(case, c, missing);
            if !found.is_empty() {
                who.push(c.policy.id.name.as_str());
            }
            for hit in found {
                sure |= hit.certain;
                match hits.iter_mut().skip(before).find(|h| h.certain && hit.certain && h.action == hit.action) {
                    // Of equals that say the same, both say it.
                    Some(same) => same.rules.extend(hit.rules),
                    None => hits.push(hit),
                }
            }
        }
        // The API leaves open which of equal priority goes first.
        let level = hits.get(before..).unwrap_or_default();
        if who.len() > 1 && level.iter().any(|h| level.first().is_some_and(|f| f.action != h.action)) {
            missing.push(format!("order:{}", who.join("+")));
        }
        if sure {
            let falls = hits.iter().any(|h| h.action == Action::Pass);
            return First { hits, falls };
        }
    }
    First { hits, falls: true }
}

/// The rules of one policy that may be its first to match, up to the one that does for certain.
fn hits_of(case: &Case<'_>, c: &Chosen<'_>, missing: &mut Vec<String>) -> Vec<Hit> {
    let mut out = Vec::new();
    for rule in &c.section.rules {
        let mut named = |maybe: bool| {
            let mut entries = Vec::new();
            entry::of_rule(case, c, rule, &[], maybe, missing, &mut entries);
            let mut rules: Vec<PolicyRef> = Vec::new();
            for e in entries {
                if let Origin::Rule(r) = e.origin
                    && !rules.contains(&r)
                {
                    rules.push(r);
                }
            }
            rules
        };
        let possible = named(true);
        if possible.is_empty() {
            continue;
        }
        let sure = if c.is == Tri::Yes { named(false) } else { Vec::new() };
        let certain = !sure.is_empty();
        if possible != sure {
            // It matches or not, or matches by more of its peers than is certain.
            out.push(Hit { action: rule.action, rules: possible, certain: false });
        }
        if certain {
            out.push(Hit { action: rule.action, rules: sure, certain });
        }
        if certain {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_deny_stands_above_baseline_in_the_api_and_below_it_in_cilium() {
        let place = |e: Engine, s: Step| order(e).iter().position(|x| *x == s);
        for engine in [Engine::Cilium, Engine::Kubernetes] {
            assert_eq!(place(engine, Step::FirstMatch(Tier::Admin)), Some(0));
        }
        let below = |e| place(e, Step::DefaultDeny) > place(e, Step::FirstMatch(Tier::Baseline));
        assert_eq!((below(Engine::Cilium), below(Engine::Kubernetes)), (true, false));
    }
}
