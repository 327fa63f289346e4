//! What lints of a whole set look at: its sections by namespace, and the pods at hand by their labels.
//!
//! Owns the two indexes, made once per question; without them every lint would hold every policy against every other.
use super::At;
use crate::model::observed::{Direction, Party};
use crate::policy::ir::{Action, Policy, Section, Subject};
use crate::policy::selector::{Op, Requirement, Selector};
use crate::policy::{Engine, Options, PolicySet};
use crate::world::labels::POD_NAMESPACE;
use crate::world::{Endpoint, PodLike, World};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of policies and the cluster it is for.
pub struct Scope<'a> {
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: &'a Options,
    egress: Sections<'a>,
    ingress: Sections<'a>,
    stock: OnceCell<Stock>,
}

/// A policy and what it says for one direction.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub policy: &'a Arc<Policy>,
    pub section: &'a Section,
}

#[derive(Default)]
struct Sections<'a> {
    all: Vec<Part<'a>>,
    /// Positions in `all` of those that are bound to a namespace, and of those that are not.
    of: BTreeMap<&'a str, Vec<usize>>,
    wide: Vec<usize>,
}

/// The pods that manifests describe, those with equal labels once.
#[derive(Default)]
pub struct Stock {
    /// By namespace: an example, and how many there are of it.
    pub pods: BTreeMap<String, Vec<(Endpoint, usize)>>,
    /// Some are known only by their workload's template.
    pub templates: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(world: &'a World, set: &'a PolicySet, opt: &'a Options) -> Self {
        let (mut egress, mut ingress) = (Sections::default(), Sections::default());
        for policy in set.iter() {
            for section in &policy.sections {
                if opt.engine == Engine::Kubernetes && !section.declared {
                    continue;
                }
                let to = if section.direction == Direction::Egress { &mut egress } else { &mut ingress };
                to.push(Part { policy, section });
            }
        }
        Self { world, set, opt, egress, ingress, stock: OnceCell::new() }
    }

    fn of(&self, direction: Direction) -> &Sections<'a> {
        if direction == Direction::Egress { &self.egress } else { &self.ingress }
    }

    /// Every section of a direction, in the order of arrival.
    pub fn parts(&self, direction: Direction) -> impl Iterator<Item = Part<'a>> + '_ {
        self.of(direction).all.iter().copied()
    }

    /// The sections of a direction that may select a pod that `subject` selects; itself among them.
    pub fn around<'s>(&'s self, direction: Direction, subject: &'s Subject) -> impl Iterator<Item = Part<'a>> + 's {
        let sections = self.of(direction);
        let chosen: Box<dyn Iterator<Item = usize> + 's> = match home(subject) {
            Some(names) => {
                let own = names.iter().filter_map(|n| sections.of.get(n.as_str())).flatten().copied();
                Box::new(own.chain(sections.wide.iter().copied()))
            }
            None => Box::new(0..sections.all.len()),
        };
        chosen.filter_map(|i| sections.all.get(i).copied()).filter(|p| may_overlap(subject, &p.section.subject))
    }

    /// The allow rules that may speak for a pod that `subject` selects.
    pub fn rules_around<'s>(&'s self, direction: Direction, subject: &'s Subject) -> impl Iterator<Item = At<'a>> + 's {
        let rules = |p: Part<'a>| p.section.rules.iter().map(move |rule| At { policy: p.policy, section: p.section, rule });
        self.around(direction, subject).flat_map(rules).filter(|a| a.rule.action == Action::Allow)
    }

    pub fn stock(&self) -> &Stock {
        self.stock.get_or_init(|| Stock::of(self.world))
    }
}

impl<'a> Sections<'a> {
    fn push(&mut self, part: Part<'a>) {
        let i = self.all.len();
        match home(&part.section.subject) {
            Some(names) => names.iter().for_each(|n| self.of.entry(n).or_default().push(i)),
            None => self.wide.push(i),
        }
        self.all.push(part);
    }
}

impl Stock {
    /// Those of the namespaces that a selector names, or of all.
    pub fn candidates<'s>(&'s self, s: &'s Selector) -> impl Iterator<Item = &'s (Endpoint, usize)> {
        let names = bound(s);
        self.pods.iter().filter(move |(ns, _)| names.is_none_or(|n| n.contains(ns))).flat_map(|(_, pods)| pods)
    }

    fn of(world: &World) -> Self {
        let mut parties: BTreeMap<(String, String), Party> = BTreeMap::new();
        let mut owned: BTreeMap<&str, Vec<&BTreeMap<String, String>>> = BTreeMap::new();
        for ((ns, name), p) in world.pods().into_iter().filter(|(_, p)| !p.host_network) {
            let party = Party { present: true, namespace: ns.clone(), pod: name.clone(), ip: p.ips.first().copied(), ..Party::default() };
            parties.insert((ns.clone(), name.clone()), party);
            owned.entry(ns).or_default().push(&p.labels);
        }
        let mut out = Self::default();
        // Where a pod of a template is at hand, the template says nothing that it does not; another workload's pods are no reason.
        let met = |ns: &str, t: &PodLike| {
            owned.get(ns).is_some_and(|pods| pods.iter().any(|pod| t.labels.iter().all(|(k, v)| pod.get(k) == Some(v))))
        };
        for (ns, kind, name, _) in world.workloads().into_iter().filter(|(ns, _, _, t)| !t.host_network && !met(ns, t)) {
            let workloads = vec![(kind.to_owned(), name.to_owned())];
            let party = Party { present: true, namespace: ns.to_owned(), workloads, ..Party::default() };
            parties.insert((ns.to_owned(), format!("{kind} {name}")), party);
            out.templates = true;
        }
        for ((ns, _), party) in parties {
            let e = world.endpoint(&party);
            let all = out.pods.entry(ns).or_default();
            match all.iter_mut().find(|(known, _)| known.labels == e.labels) {
                Some((_, n)) => *n += 1,
                None => all.push((e, 1)),
            }
        }
        out
    }
}

/// Whether all namespaces of a cluster are at hand: these two no cluster is without.
pub(super) fn complete(world: &World) -> bool {
    ["default", "kube-system"].iter().all(|ns| world.namespace_labels(ns).is_some())
}

/// The namespaces that a subject is bound to; `None`: pods of any, or nodes.
pub(super) fn home(subject: &Subject) -> Option<&[String]> {
    match subject {
        Subject::Endpoints(s) => bound(s),
        Subject::Nodes(_) => None,
    }
}

/// The namespaces that a selector names.
pub(super) fn bound(s: &Selector) -> Option<&[String]> {
    s.all.iter().find(|r| r.key == POD_NAMESPACE && r.op == Op::In).map(|r| r.values.as_slice())
}

/// Whether one endpoint may be selected by both.
pub(super) fn may_overlap(a: &Subject, b: &Subject) -> bool {
    match (a, b) {
        (Subject::Endpoints(a), Subject::Endpoints(b)) => !apart(a, b),
        (Subject::Nodes(_), Subject::Nodes(_)) => true,
        _ => false,
    }
}

/// One label would have to have two values.
fn apart(a: &Selector, b: &Selector) -> bool {
    let values = |r: &Requirement| r.op == Op::In;
    a.all.iter().filter(|r| values(r)).any(|x| {
        let same = |y: &&Requirement| values(y) && y.key == x.key && (y.source.is_none() || x.source.is_none() || y.source == x.source);
        b.all.iter().filter(same).any(|y| !y.values.iter().any(|v| x.values.contains(v)))
    })
}
