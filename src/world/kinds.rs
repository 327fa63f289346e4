//! How well each kind of object that the world is made of is known, now and at the time of a flow.
//!
//! Owns the states of kinds and the times in which they were not watched. What follows from it for an answer is the business of who asks.
use super::World;
use crate::model::input::{Kind, KindState};
use crate::model::time::Nanos;
use std::collections::{BTreeMap, VecDeque};

/// By so much a node's clock and what is seen of the API may be apart.
const SLACK: i64 = 30 * Nanos::SECOND;

/// Times remembered of one kind in which it was not watched; the oldest go, and what they end is not known any more.
const MOST_GAPS: usize = 64;

/// Kinds whose state is followed, and what they are called.
const FOLLOWED: &[(&str, &str, &str)] = &[
    ("", "Pod", "pods"),
    ("", "Node", "nodes"),
    ("", "Service", "services"),
    ("", "Namespace", "namespaces"),
    ("", "ConfigMap", "configmaps"),
    ("apps", "DaemonSet", "daemonsets"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    ("cilium.io", "CiliumCIDRGroup", "ciliumcidrgroups"),
    ("cilium.io", "CiliumEndpoint", super::managed::ENDPOINTS),
];

/// One kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    /// `loading`, `forbidden`, `stale`; `None`: every object is known.
    how: Option<&'static str>,
    /// Since when that is so.
    since: Option<Nanos>,
    /// When its first list was in.
    listed: Option<Nanos>,
    /// From and to when it was not watched, after it had been.
    gaps: VecDeque<(Nanos, Nanos)>,
}

/// All kinds of which anything was said. Of the others everything is taken for known: manifests say what there is.
#[derive(Debug, Clone, Default)]
pub(super) struct Kinds {
    kinds: BTreeMap<&'static str, Known>,
    /// One of them was not known for a while, after it had been.
    broken: bool,
}

impl Kinds {
    /// Takes in how well a kind is known; `true` if that changes anything.
    pub fn note(&mut self, kind: &Kind, at: Option<Nanos>) -> bool {
        let Some((_, _, name)) = FOLLOWED.iter().find(|(g, k, _)| *g == kind.group && *k == kind.kind) else { return false };
        let how = match kind.state {
            KindState::Synced | KindState::Absent => None,
            KindState::Loading => Some("loading"),
            KindState::Forbidden(_) => Some("forbidden"),
            KindState::Stale(_) => Some("stale"),
        };
        let known = self.kinds.entry(name).or_default();
        self.broken |= how.is_some() && known.listed.is_some();
        let before = (known.how, known.listed);
        match (how, known.listed) {
            (None, None) => known.listed = at,
            (None, Some(_)) => {
                if let (Some(_), Some(from), Some(to)) = (known.how, known.since, at) {
                    known.gaps.push_back((from, to.max(from)));
                    if known.gaps.len() > MOST_GAPS {
                        let gone = known.gaps.pop_front().map(|(_, to)| to);
                        known.listed = known.listed.max(gone);
                    }
                }
            }
            // From one way of not being known to another: it is not known since the first.
            (Some(_), _) if known.how.is_some() => {
                known.how = how;
                return before.0 != how;
            }
            (Some(_), _) => {}
        }
        (known.how, known.since) = (how, at);
        before != (known.how, known.listed)
    }

    /// How a kind was not known at a time: `stale`, `stale then`. `at`: `None` asks for now.
    pub fn missing(&self, name: &str, at: Option<Nanos>) -> Option<&'static str> {
        let known = self.kinds.get(name)?;
        let near = |from: Nanos, to: Option<Nanos>| {
            let before_end = |at| to.is_none_or(|to: Nanos| at <= to.plus(SLACK));
            at.is_none_or(|at| from.plus(-SLACK) <= at && before_end(at))
        };
        if let Some(how) = known.how {
            // Before the watch broke all was known.
            let was = known.listed.is_some() && known.since.is_some_and(|since| !near(since, None));
            if !was {
                return Some(how);
            }
        }
        let then = at.is_some() && known.gaps.iter().any(|(from, to)| near(*from, Some(*to)));
        then.then_some("stale then")
    }

    /// How a kind that was known was not at a time: what is at hand of it may have been other. `at`: `None` asks for now.
    pub fn behind(&self, name: &str, at: Option<Nanos>) -> Option<&'static str> {
        let listed = self.kinds.get(name).is_some_and(|k| k.listed.is_some());
        self.missing(name, at).filter(|how| listed || how.starts_with("stale"))
    }

    /// A number that differs wherever one of the kinds was known otherwise at a time than now.
    pub fn era(&self, at: Option<Nanos>) -> u64 {
        if !self.broken || at.is_none() {
            return 0;
        }
        let told = |name: &str| self.missing(name, at).map_or(0, |how| how.len() as u64 + 1);
        FOLLOWED.iter().fold(0, |all, (_, _, name)| all << 5 | told(name))
    }

    /// Whether every object of a kind was known once, though it may be old by now.
    pub fn was_listed(&self, name: &str) -> bool {
        self.kinds.get(name).is_none_or(|k| k.how.is_none() || k.listed.is_some())
    }

    /// When the first list of a kind was in; `None` also where nobody speaks of it.
    pub fn listed(&self, name: &str) -> Option<Nanos> {
        self.kinds.get(name)?.listed
    }

    /// When the first list of all was in.
    pub fn from(&self) -> Option<Nanos> {
        self.kinds.values().filter_map(|k| k.listed).min()
    }

    /// When kinds that had been known were not any more, and when they were again.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        let open = |k: &Known| k.since.filter(|_| k.how.is_some() && k.listed.is_some());
        self.kinds.values().flat_map(move |k| k.gaps.iter().flat_map(|(from, to)| [*from, *to]).chain(open(k)))
    }

    /// Whether a change of that time is what the first list of a kind says: it has been so before.
    pub fn is_first(&self, name: &str, at: Nanos) -> bool {
        self.kinds.get(name).is_some_and(|k| match k.listed {
            Some(listed) => at <= listed,
            None => k.how.is_some(),
        })
    }
}

impl World {
    /// How this kind (`pods`) was not known at a time, as a fact that is missing; `None` asks for now.
    pub fn unread(&self, kind: &str, at: Option<Nanos>) -> Option<String> {
        Some(format!("{kind} {}", self.kinds.missing(kind, at)?))
    }

    /// Every kind that is not known now, each as the fact that is missing.
    pub fn all_unread(&self) -> impl Iterator<Item = String> {
        FOLLOWED.iter().filter_map(|(_, _, name)| self.unread(name, None))
    }

    /// Whether all objects of this kind were listed and are followed.
    pub fn lists(&self, kind: &str) -> bool {
        self.kinds.listed(kind).is_some() && self.kinds.missing(kind, None).is_none()
    }

    /// How a kind that was known was not at a time, `stale`, `forbidden`, `stale then`: what is at hand of it may have been other.
    pub fn lapsed(&self, kind: &str, at: Option<Nanos>) -> Option<&'static str> {
        self.kinds.behind(kind, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: i64) -> Option<Nanos> {
        Some(Nanos(n * Nanos::SECOND))
    }

    fn note(k: &mut Kinds, state: KindState, at: i64) -> bool {
        k.note(&Kind { group: String::new(), kind: "Pod".into(), state }, s(at))
    }

    #[test]
    fn whatever_ends_the_watch_of_what_was_listed_leaves_it_behind() {
        for (state, how) in
            [(KindState::Forbidden("no".into()), "forbidden"), (KindState::Loading, "loading"), (KindState::Stale("gone".into()), "stale")]
        {
            let mut k = Kinds::default();
            note(&mut k, KindState::Loading, 0);
            note(&mut k, KindState::Forbidden("not yet".into()), 1);
            assert_eq!(k.behind("pods", s(5)), None, "nothing is at hand that could be old");
            note(&mut k, KindState::Synced, 10);
            note(&mut k, state, 1_000);
            let told = [900, 990, 2_000].map(|at| k.behind("pods", s(at)));
            assert_eq!((told, k.behind("pods", None)), ([None, Some(how), Some(how)], Some(how)));
            note(&mut k, KindState::Synced, 3_000);
            assert_eq!((k.behind("pods", s(2_000)), k.behind("pods", None)), (Some("stale then"), None));
        }
    }

    #[test]
    fn what_was_not_watched_stays_unknown_of_that_time() {
        let mut k = Kinds::default();
        assert_eq!(k.missing("pods", None), None, "nobody speaks of kinds");
        assert!(note(&mut k, KindState::Loading, 0) && k.is_first("pods", Nanos(1)));
        assert_eq!((k.missing("pods", None), k.was_listed("pods")), (Some("loading"), false));
        assert!(note(&mut k, KindState::Synced, 10) && !note(&mut k, KindState::Synced, 11));
        assert!(k.missing("pods", None).is_none() && k.is_first("pods", Nanos(5 * Nanos::SECOND)) && !k.is_first("pods", s(20).unwrap()));
        note(&mut k, KindState::Stale("gone".into()), 1_000);
        assert!(k.was_listed("pods"));
        note(&mut k, KindState::Forbidden("no".into()), 1_100);
        assert_eq!((k.missing("pods", s(1_050)), k.missing("pods", s(900))), (Some("forbidden"), None));
        note(&mut k, KindState::Synced, 2_000);
        let then = [900, 980, 1_500, 2_020, 2_040].map(|at| k.missing("pods", s(at)));
        assert_eq!(then, [None, Some("stale then"), Some("stale then"), Some("stale then"), None]);
        assert_eq!(k.missing("pods", None), None);
        note(&mut k, KindState::Stale("gone again".into()), 3_000);
        let then = [900, 1_500, 2_040, 3_500].map(|at| k.missing("pods", s(at)));
        assert_eq!(then, [None, Some("stale then"), None, Some("stale")], "a watch that breaks later mends no earlier time");
        let other = Kind { group: String::new(), kind: "Secret".into(), state: KindState::Loading };
        assert!(!k.note(&other, s(1)));
    }
}
