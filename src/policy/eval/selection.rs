//! Which sections of which policies select an endpoint, or may. Owns that list: it depends on the subject alone, so whoever judges the
//! same subject against many peers finds it once.
use super::{Case, selects};
use crate::model::observed::Direction;
use crate::policy::ir::{Policy, Section};
use crate::policy::selector::Tri;
use crate::policy::{Engine, Options, PolicySet};
use crate::world::Endpoint;
use std::sync::{Arc, OnceLock};

/// A section that selects the subject, or may.
#[derive(Clone, Copy)]
pub struct Chosen<'p> {
    pub policy: &'p Arc<Policy>,
    pub section: &'p Section,
    pub is: Tri,
}

/// What selects one subject in one direction, in the order of arrival.
#[derive(Debug, Default)]
pub struct Selection {
    /// A section by its place in its policy.
    chosen: Vec<(Arc<Policy>, usize, Tri)>,
    /// Facts that would decide those of which it is not known.
    missing: Vec<String>,
    against: Hold,
    favour: Hold,
}

/// The policies that select, and those of them that isolate.
#[derive(Debug, Clone, Default)]
pub(super) struct Hold {
    pub selecting: Arc<[Arc<Policy>]>,
    pub isolating: Arc<[Arc<Policy>]>,
}

impl Selection {
    /// Of the case's subject in its direction; of the rest of the case only the reading of policies matters.
    pub fn of(case: &Case<'_>, set: &PolicySet) -> Self {
        let mut out = Self::default();
        for (policy, at, section) in set.candidates(case.direction, case.subject) {
            if !case.opt.enforces(&policy.id.kind) {
                continue;
            }
            match selects(section, case, &mut out.missing) {
                Tri::No => {}
                is => out.chosen.push((policy.clone(), at, is)),
            }
        }
        out.against = out.hold(|_| true);
        out.favour = if out.sections().all(|c| c.is == Tri::Yes) { out.against.clone() } else { out.hold(|c| c.is == Tri::Yes) };
        out
    }

    pub fn sections(&self) -> impl Iterator<Item = Chosen<'_>> {
        self.chosen.iter().filter_map(|(policy, at, is)| Some(Chosen { policy, section: policy.sections.get(*at)?, is: *is }))
    }

    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// With every doubt in favour of the flow, or against it.
    pub(super) fn held(&self, favour: bool) -> &Hold {
        if favour { &self.favour } else { &self.against }
    }

    fn hold(&self, counts: impl Fn(&Chosen<'_>) -> bool) -> Hold {
        let of = |isolates: bool| {
            let mut list: Vec<Arc<Policy>> = Vec::new();
            for c in self.sections().filter(|c| counts(c) && (c.section.default_deny || !isolates)) {
                if !list.last().is_some_and(|p| Arc::ptr_eq(p, c.policy)) {
                    list.push(c.policy.clone());
                }
            }
            list.into()
        };
        Hold { selecting: of(false), isolating: of(true) }
    }
}

/// What selects an endpoint, found when it is first asked for: by direction, and by whether policies for nodes count, since a drop may
/// show that they do, whatever the reading says.
#[derive(Debug, Default)]
pub struct Selected([[OnceLock<Arc<Selection>>; 2]; 2]);

/// What stands for everything that policies go by in an endpoint that is a pod and nothing else to them.
pub type Kin = (u64, u64);

/// An endpoint with what selects it. Good for one world, one set and one reading of policies.
#[derive(Debug, Default)]
pub struct End {
    pub endpoint: Endpoint,
    selected: Arc<Selected>,
    kin: Option<Kin>,
}

impl End {
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, ..Self::default() }
    }

    /// One of several that are the same to policies ([`End::is_by_labels`]): replicas of a workload.
    pub fn of(endpoint: Endpoint, kin: Kin, selected: Arc<Selected>) -> Self {
        Self { endpoint, selected, kin: Some(kin) }
    }

    pub fn kin(&self) -> Option<Kin> {
        self.kin
    }

    /// Whether an endpoint is a pod of which labels, namespace, cluster and the names of its ports are all that policies can see.
    /// Cilium's rules for addresses, names and nodes are never about such a pod; a NetworkPolicy as the API has it may go by its address.
    pub fn is_by_labels(e: &Endpoint, opt: &Options) -> bool {
        let whole = e.known && e.namespace_labels && !e.masked && !e.inferred && !e.maybe_apiserver;
        let other = e.host_network || e.labels.is_world() || e.labels.has_source("reserved") || e.frontend.is_some();
        opt.engine == Engine::Cilium && e.labels.is_pod() && whole && !other
    }

    /// `case` has this endpoint as its subject.
    pub(in crate::policy) fn selected(&self, case: &Case<'_>, set: &PolicySet) -> Arc<Selection> {
        let Selected([egress, ingress]) = &*self.selected;
        let [off, on] = if case.direction == Direction::Egress { egress } else { ingress };
        let slot = if case.opt.host_firewall { on } else { off };
        slot.get_or_init(|| Arc::new(Selection::of(case, set))).clone()
    }
}
