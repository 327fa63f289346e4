//! Which sections may select an endpoint, found by its labels instead of by asking all of them.
//!
//! Owns where a section is filed. It leaves out only what certainly does not select the endpoint; whether the rest does is the
//! evaluator's question.
use super::ir::{Policy, Section, Subject};
use super::selector::{Op, Requirement};
use crate::model::observed::Direction;
use crate::world::Endpoint;
use crate::world::labels::{CLUSTER, NAMESPACE_LABELS, POD_NAMESPACE};
use foldhash::HashMap;
use std::sync::Arc;

/// A section by its policy's place in the set and its own in the policy. Their order is that of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub policy: usize,
    pub section: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    egress: Side,
    ingress: Side,
}

#[derive(Debug, Clone, Default)]
struct Side {
    /// Shared with older states of the set in which the same stood there.
    namespaces: HashMap<Arc<str>, Arc<Bucket>>,
    /// Bound to no namespace by name.
    anywhere: Arc<Bucket>,
}

#[derive(Debug, Clone, Default)]
struct Bucket {
    /// key → value.
    labels: HashMap<String, HashMap<String, Vec<Place>>>,
    /// Bound to no label by value.
    open: Vec<Place>,
}

impl Index {
    /// Files the sections of the policy that stands at this place of the set.
    pub fn add(&mut self, policy: usize, p: &Policy) {
        for (section, s) in p.sections.iter().enumerate() {
            self.filed(s, &mut |list| list.push(Place { policy, section }));
        }
    }

    /// Takes out what `add` has filed; nothing of another policy that stands there now may be in it.
    pub fn remove(&mut self, policy: usize, p: &Policy) {
        for s in &p.sections {
            self.filed(s, &mut |list| list.retain(|place| place.policy != policy));
        }
    }

    /// Sections that may select the endpoint, in the order of arrival.
    pub fn of(&self, direction: Direction, e: &Endpoint) -> Vec<Place> {
        let side = if direction == Direction::Egress { &self.egress } else { &self.ingress };
        let mut out = Vec::new();
        side.anywhere.collect(e, &mut out);
        if e.known || e.labels.namespace().is_some() {
            for ns in e.labels.0.iter().filter(|l| l.key == POD_NAMESPACE) {
                if let Some(bucket) = side.namespaces.get(ns.value.as_str()) {
                    bucket.collect(e, &mut out);
                }
            }
        } else {
            side.namespaces.values().for_each(|b| b.collect(e, &mut out));
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Its parts, each by where it lies: two sets that share one have it at one place.
    #[cfg(test)]
    pub fn parts(&self) -> std::collections::HashSet<*const ()> {
        let of = |side: &Side| side.namespaces.values().chain([&side.anywhere]).map(|b| Arc::as_ptr(b).cast()).collect::<Vec<_>>();
        [of(&self.egress), of(&self.ingress)].concat().into_iter().collect()
    }

    fn filed(&mut self, section: &Section, f: &mut dyn FnMut(&mut Vec<Place>)) {
        let side = if section.direction == Direction::Egress { &mut self.egress } else { &mut self.ingress };
        let Subject::Endpoints(s) = &section.subject else { return f(&mut Arc::make_mut(&mut side.anywhere).open) };
        let named = |r: &&Requirement| r.op == Op::In;
        let kubernetes = |r: &&Requirement| r.source.as_deref().is_none_or(|s| s == "k8s");
        let namespace = s.all.iter().filter(named).filter(kubernetes).find(|r| r.key == POD_NAMESPACE);
        // What an endpoint lacks of these keys may be unknown, so that it cannot be looked up by what it has.
        let settled = |r: &&Requirement| r.key != POD_NAMESPACE && r.key != CLUSTER && !r.key.starts_with(NAMESPACE_LABELS);
        let label = s.all.iter().filter(named).filter(settled).min_by_key(|r| r.values.len());
        match namespace {
            Some(r) => each(&r.values, |ns| {
                let bucket = Arc::make_mut(side.namespaces.entry(Arc::from(ns.as_str())).or_default());
                bucket.filed(label, f);
                if bucket.is_empty() {
                    side.namespaces.remove(ns.as_str());
                }
            }),
            None => Arc::make_mut(&mut side.anywhere).filed(label, f),
        }
    }
}

impl Bucket {
    fn filed(&mut self, label: Option<&Requirement>, f: &mut dyn FnMut(&mut Vec<Place>)) {
        let Some(r) = label else { return f(&mut self.open) };
        let values = self.labels.entry(r.key.clone()).or_default();
        // Values come and go with the policies that name them; what is empty must not stay, or a year of them would.
        each(&r.values, |v| {
            let list = values.entry(v.clone()).or_default();
            f(list);
            if list.is_empty() {
                values.remove(v);
            }
        });
        if values.is_empty() {
            self.labels.remove(&r.key);
        }
    }

    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.open.is_empty()
    }

    fn collect(&self, e: &Endpoint, out: &mut Vec<Place>) {
        out.extend(&self.open);
        if e.known && !e.masked {
            let lists = e.labels.0.iter().filter_map(|l| self.labels.get(&l.key)?.get(&l.value));
            lists.for_each(|list| out.extend(list));
        } else {
            self.labels.values().flat_map(HashMap::values).for_each(|list| out.extend(list));
        }
    }
}

/// Each value once.
fn each(values: &[String], mut f: impl FnMut(&String)) {
    for (i, v) in values.iter().enumerate() {
        if !values.iter().take(i).any(|before| before == v) {
            f(v);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::input::Change;
    use crate::model::observed::{Direction, Party};
    use crate::policy::eval::{Case, Traffic, selects};
    use crate::policy::selector::Tri;
    use crate::policy::{Options, PolicySet};
    use crate::world::{Endpoint, World, yaml};
    use std::sync::Arc;

    const SUBJECTS: &[&str] = &[
        "{}",
        "{matchLabels: {app: a}}",
        "{matchLabels: {'any:app': a, tier: x}}",
        "{matchLabels: {'k8s:app': b}}",
        "{matchLabels: {'reserved:init': ''}}",
        "{matchLabels: {'k8s:io.kubernetes.pod.namespace': shop}}",
        "{matchLabels: {'other:io.kubernetes.pod.namespace': shop}}",
        "{matchLabels: {io.cilium.k8s.namespace.labels.env: prod}}",
        "{matchLabels: {io.cilium.k8s.policy.cluster: one, app: a}}",
        "{matchLabels: {io.cilium.k8s.policy.cluster: one}}",
        "{matchExpressions: [{key: app, operator: In, values: [a, b, a]}]}",
        "{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}",
        "{matchExpressions: [{key: app, operator: Exists}, {key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [shop, bank]}]}",
        "{matchExpressions: [{key: app, operator: DoesNotExist}]}",
    ];

    fn set() -> PolicySet {
        let mut body = String::new();
        let mut add = |kind: &str, meta: String, rest: String| {
            body.push_str(&format!("---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {meta}\nspec:\n{rest}"));
        };
        for (i, s) in SUBJECTS.iter().enumerate() {
            let rest = format!("  endpointSelector: {s}\n  ingress: [{{}}]\n  egress: [{{}}]\n");
            add("CiliumClusterwideNetworkPolicy", format!("{{name: p{i}}}"), rest.clone());
            add("CiliumNetworkPolicy", format!("{{name: p{i}, namespace: shop}}"), rest);
        }
        add("CiliumClusterwideNetworkPolicy", "{name: nodes}".into(), "  nodeSelector: {}\n  ingress: [{}]\n".into());
        let mut set = PolicySet::new();
        yaml::read("p.yaml", &body).0.into_iter().for_each(|d| drop(set.apply(&Change::Apply(Arc::new(d)))));
        assert_eq!((set.len(), set.refused()), (2 * SUBJECTS.len() + 1, &[][..]));
        set
    }

    #[test]
    fn a_policy_that_goes_leaves_nothing_behind_in_the_index() {
        let (set, mut index) = (set(), super::Index::default());
        set.iter().enumerate().for_each(|(i, p)| index.add(i, p));
        assert!(!index.ingress.namespaces.is_empty() && !index.egress.anywhere.is_empty());
        set.iter().enumerate().for_each(|(i, p)| index.remove(i, p));
        for side in [&index.egress, &index.ingress] {
            assert!(side.namespaces.is_empty() && side.anywhere.is_empty(), "{side:?}");
        }
    }

    fn endpoints() -> Vec<Endpoint> {
        let mut world = World::new();
        let (docs, _) = yaml::read(
            "w.yaml",
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web, namespace: shop}\nspec: {template: {metadata: {labels: {app: a}}}}\n",
        );
        docs.into_iter().for_each(|d| world.apply(&Change::Apply(Arc::new(d))));
        let of = |ns: &str, pod: &str, labels: &[&str]| {
            let labels = labels.iter().map(|l| (*l).to_owned()).collect();
            world.endpoint(&Party { present: true, namespace: ns.into(), pod: pod.into(), labels, ..Party::default() })
        };
        let ns = "k8s:io.kubernetes.pod.namespace=shop";
        vec![
            of("", "", &[]),
            of("shop", "", &[]),
            of("bank", "x", &[]),
            of("shop", "web-7d9f8b6c4-x7k2p", &[]),
            of("shop", "x", &["k8s:app=a", ns]),
            of("shop", "x", &["k8s:app=b", "k8s:tier=x", ns, "k8s:io.cilium.k8s.namespace.labels.env=prod"]),
            of("", "", &["k8s:app=a"]),
            of("", "", &["other:app=b", "k8s:app=a", "other:io.kubernetes.pod.namespace=shop"]),
            of("bank", "x", &["k8s:app=c", "k8s:io.kubernetes.pod.namespace=bank", "k8s:io.cilium.k8s.policy.cluster=one"]),
            of("", "", &["reserved:init"]),
            of("", "", &["reserved:host"]),
            of("", "", &["reserved:world"]),
            world.endpoint(&Party { present: true, identity: 16_777_217, ..Party::default() }),
        ]
    }

    #[test]
    fn nothing_that_may_select_is_left_out_and_the_order_is_that_of_arrival() {
        let (set, world, opt, traffic) = (set(), World::new(), Options::default(), Traffic::default());
        let (mut passed_over, mut all) = (0, 0);
        for e in &endpoints() {
            for direction in [Direction::Egress, Direction::Ingress] {
                let case = Case { direction, subject: e, peer: e, traffic: &traffic, world: &world, opt: &opt };
                let sections = set.iter().flat_map(|p| p.sections.iter());
                let wanted: Vec<_> = sections.filter(|s| selects(s, &case, &mut Vec::new()) != Tri::No).map(std::ptr::from_ref).collect();
                let found: Vec<_> = set.candidates(direction, e).into_iter().map(|(_, _, s)| s).collect();
                let kept = found.iter().filter(|s| selects(s, &case, &mut Vec::new()) != Tri::No);
                assert_eq!(kept.map(|s| std::ptr::from_ref(*s)).collect::<Vec<_>>(), wanted, "{e:?}");
                all += set.len();
                passed_over += set.len() - found.len();
            }
        }
        assert!(passed_over * 3 > all, "{passed_over} of {all}");
    }

    #[test]
    fn an_object_read_again_is_filed_anew() {
        let mut set = set();
        let (e, before) = (&endpoints()[4], set.len());
        let count = |set: &PolicySet| set.candidates(Direction::Ingress, e).len();
        let all = count(&set);
        let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: LABEL}}, ingress: [{}]}\n";
        for (label, more) in [("a", 1), ("b", 0), ("a", 1)] {
            let docs = yaml::read("q.yaml", &text.replace("LABEL", label)).0;
            docs.into_iter().for_each(|d| drop(set.apply(&Change::Apply(Arc::new(d)))));
            assert_eq!((count(&set), set.len()), (all + more, before + 1), "{label}");
        }
    }
}
