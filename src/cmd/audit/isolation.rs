//! Which pods are closed, per direction: by what selects and isolates each of them, never by a policy's name.
//!
//! Owns that answer and its reasons. A kind of policy that is not evaluated makes the answer "not known" wherever it may speak.
use super::report::{Side, State};
use super::words;
use crate::model::observed::{Direction, L4};
use crate::model::why::PolicyRef;
use crate::policy::eval::{Case, Decision, Traffic, judge, managed, selects};
use crate::policy::ir::{Policy, Section, Subject, Tier};
use crate::policy::selector::{Op, Tri};
use crate::policy::valid::not_valid;
use crate::policy::{Enforcement, Options, PolicySet};
use crate::world::labels::{METADATA_NAME, NAMESPACE_LABELS, POD_NAMESPACE};
use crate::world::{Endpoint, Label, Labels, World};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// Kinds that can only forbid more, whether they are not evaluated or not read, so that what the others close stays closed.
const ONLY_NARROW: &[&str] = &["AuthorizationPolicy", "PeerAuthentication"];

/// Sections that isolate whom they select.
type Isolating<'a> = Vec<(&'a Policy, &'a Section)>;

/// All that the question needs, looked up once.
pub struct Judge<'a> {
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: &'a Options,
    /// By the one namespace that they can select in.
    of_namespace: HashMap<&'a str, Isolating<'a>>,
    anywhere: Isolating<'a>,
    /// Whether some tier decides without isolating anybody.
    tiers: bool,
    /// A pod and an address that no policy was written for.
    pub stranger: Endpoint,
    pub outsider: Endpoint,
    /// A port that no rule denies by its number.
    port: u16,
}

/// The one namespace in which a section selects.
pub fn namespace_of(s: &Section) -> Option<&str> {
    let Subject::Endpoints(selector) = &s.subject else { return None };
    selector.all.iter().find_map(|r| match (r.key.as_str(), r.op, r.values.as_slice()) {
        (POD_NAMESPACE, Op::In, [one]) => Some(one.as_str()),
        _ => None,
    })
}

impl<'a> Judge<'a> {
    pub fn new(world: &'a World, set: &'a PolicySet, opt: &'a Options) -> Self {
        let mut of_namespace: HashMap<&str, Isolating<'_>> = HashMap::new();
        let mut anywhere = Vec::new();
        for policy in set.iter().filter(|p| opt.enforces(&p.id.kind)) {
            for section in policy.sections.iter().filter(|s| s.default_deny) {
                match namespace_of(section) {
                    Some(ns) => of_namespace.entry(ns).or_default().push((&**policy, section)),
                    None => anywhere.push((&**policy, section)),
                }
            }
        }
        let tiers = set.iter().any(|p| p.tier != Tier::Normal);
        let (stranger, outsider, port) = (stranger(world), super::wide::outsider(set), super::wide::free_port(set));
        Self { world, set, opt, of_namespace, anywhere, tiers, stranger, outsider, port }
    }

    pub fn case<'c>(&'c self, direction: Direction, subject: &'c Endpoint, peer: &'c Endpoint, traffic: &'c Traffic) -> Case<'c> {
        Case { direction, subject, peer, traffic, world: self.world, opt: self.opt }
    }

    /// A packet that no rule was written for.
    pub fn traffic(&self) -> Traffic {
        Traffic { l4: Some(L4::Tcp), port: Some(self.port), ..Traffic::default() }
    }

    /// One direction of one pod.
    pub fn side(&self, direction: Direction, subject: &Endpoint) -> Side {
        let side = self.enforced(direction, subject);
        match self.opt.enforcement_unread(self.world).filter(|_| side.state == State::Closed) {
            Some(fact) => Side { state: State::Unknown, because: format!("whether policies are enforced is not known ({fact})"), ..side },
            None => side,
        }
    }

    /// The same where policies are enforced.
    fn enforced(&self, direction: Direction, subject: &Endpoint) -> Side {
        let open = |because: &str| Side { state: State::Open, by: Vec::new(), because: because.to_owned() };
        let unknown = |because: String| Side { state: State::Unknown, by: Vec::new(), because };
        match managed(subject, self.opt) {
            Tri::No => {
                let unmanaged = subject.labels.reserved("unmanaged");
                let because = if unmanaged { "Cilium does not manage it" } else { "it is on the host's network" };
                return Side { state: State::Uncovered, by: Vec::new(), because: because.to_owned() };
            }
            Tri::Unknown => return unknown("whether it is on the host's network is not known".to_owned()),
            Tri::Yes => {}
        }
        if self.opt.enforcement == Enforcement::Never {
            let words = self.opt.unenforced.map(|network| format!("{network} enforces no NetworkPolicy"));
            return open(words.as_deref().unwrap_or("policy enforcement is off"));
        }
        let (by, missing) = self.isolating(direction, subject);
        let forced = self.opt.enforcement == Enforcement::Always;
        if forced || !by.is_empty() {
            if let Some(kind) = self.not_evaluated(&subject.namespace, false) {
                return unknown(format!("{kind} is not evaluated, and may allow what the others close"));
            }
            if let Some(kind) = self.set.unread().iter().find(|u| !ONLY_NARROW.contains(&u.kind())) {
                return unknown(format!("not all {} are known ({}), and one may allow what the others close", kind.name, kind.how));
            }
            let because = if by.is_empty() { "policy enforcement is `always`".to_owned() } else { String::new() };
            return Side { state: State::Closed, by, because };
        }
        if !missing.is_empty() {
            return unknown(format!("it depends on {}", missing.join(", ")));
        }
        if let Some(kind) = self.not_evaluated(&subject.namespace, true) {
            return unknown(format!("{kind} is not evaluated, and may close it"));
        }
        if let Some(kind) = self.set.unread().first() {
            return unknown(format!("not all {} are known ({}), and one may close it", kind.name, kind.how));
        }
        if self.tiers { self.by_tiers(direction, subject) } else { open("") }
    }

    /// The policies that isolate it; if none does for certain, the facts that would decide it.
    fn isolating(&self, direction: Direction, subject: &Endpoint) -> (Vec<PolicyRef>, Vec<String>) {
        let (mut by, mut missing) = (BTreeSet::new(), Vec::new());
        let traffic = Traffic::default();
        let case = self.case(direction, subject, &self.stranger, &traffic);
        let own = self.of_namespace.get(subject.namespace.as_str()).map_or(&[][..], Vec::as_slice);
        for (policy, section) in own.iter().chain(&self.anywhere) {
            let mut lacks = Vec::new();
            match selects(section, &case, &mut lacks) {
                // Cilium says itself that it may not be enforced.
                Tri::Yes if not_valid(policy).is_some() => missing.push(format!("whether {} is enforced", policy.id.path())),
                Tri::Yes => {
                    by.insert(&policy.id);
                }
                Tri::Unknown => missing.extend(lacks),
                Tri::No => {}
            }
        }
        missing.sort();
        missing.dedup();
        (by.into_iter().cloned().collect(), missing)
    }

    /// Where nothing isolates, rules of an admin tier may deny everybody all the same.
    fn by_tiers(&self, direction: Direction, subject: &Endpoint) -> Side {
        let traffic = self.traffic();
        let ask = |peer: &Endpoint| judge(&self.case(direction, subject, peer, &traffic), self.set);
        let (pod, world) = (ask(&self.stranger), ask(&self.outsider));
        let mut missing: Vec<String> = pod.missing.iter().chain(&world.missing).cloned().collect();
        missing.sort();
        missing.dedup();
        let (state, because) = match (pod.decision, world.decision) {
            (Decision::Denied, Decision::Denied) => (State::Closed, String::new()),
            (Decision::Unknown, _) | (_, Decision::Unknown) => (State::Unknown, format!("it depends on {}", missing.join(", "))),
            (Decision::Denied, _) => (State::Open, "a tier closes it to other pods, and nothing to the world".to_owned()),
            (_, Decision::Denied) => (State::Open, "a tier closes it to the world, and nothing to other pods".to_owned()),
            _ => (State::Open, String::new()),
        };
        let mut by = if state == State::Closed { [pod.attributed, world.attributed].concat() } else { Vec::new() };
        by.sort();
        by.dedup();
        Side { state, by, because }
    }

    /// A policy that is not evaluated and may speak of this namespace. `narrow`: those count too that only forbid more.
    fn not_evaluated(&self, namespace: &str, narrow: bool) -> Option<String> {
        let concerns = |p: &PolicyRef| p.namespace.as_deref().is_none_or(|ns| ns == namespace);
        let counts = |p: &PolicyRef| narrow || !ONLY_NARROW.contains(&p.kind.as_str());
        self.set.not_understood().iter().map(|n| &n.policy).find(|p| concerns(p) && counts(p)).map(|p| words::kind(&p.kind, true))
    }
}

/// A pod of a namespace that nobody has, with no label that anybody gave.
fn stranger(world: &World) -> Endpoint {
    let mut namespace = "nobodys-namespace".to_owned();
    while world.namespace_labels(&namespace).is_some() {
        namespace.push('-');
    }
    let labels = Labels(vec![
        Label::new("k8s", POD_NAMESPACE, &namespace),
        Label::new("k8s", &format!("{NAMESPACE_LABELS}{METADATA_NAME}"), &namespace),
    ]);
    Endpoint {
        display: "a pod of another namespace".to_owned(),
        labels,
        known: true,
        namespace_labels: true,
        namespace,
        ip: Some(IpAddr::V4(Ipv4Addr::new(10, 255, 255, 254))),
        named_ports: Some(Vec::new()),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Change, Kind, KindState};
    use crate::world::yaml;
    use std::sync::Arc;

    #[test]
    fn a_kind_that_nobody_may_read_may_allow_what_the_others_close() {
        let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: d, namespace: a}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n";
        let (world, opt) = (World::new(), Options::default());
        let side = |unread: Option<(&str, &str)>| {
            let mut set = PolicySet::new();
            yaml::read("d.yaml", deny).0.into_iter().for_each(|d| assert!(set.apply(&Change::Apply(Arc::new(d))).is_empty()));
            if let Some((group, kind)) = unread {
                let state = KindState::Forbidden("list".to_owned());
                set.apply(&Change::Kind(Kind { group: group.to_owned(), kind: kind.to_owned(), state }));
                assert_eq!(set.unread().len(), 1);
            }
            let judge = Judge::new(&world, &set, &opt);
            let labels = Labels(vec![Label::new("k8s", POD_NAMESPACE, "a")]);
            let pod = Endpoint { labels, namespace: "a".to_owned(), ..stranger(&world) };
            judge.side(Direction::Ingress, &pod)
        };
        assert_eq!(side(None).state, State::Closed);
        for kind in [("cilium.io", "CiliumNetworkPolicy"), ("policy.networking.k8s.io", "AdminNetworkPolicy")] {
            let side = side(Some(kind));
            assert_eq!(side.state, State::Unknown);
            assert!(side.because.ends_with("(forbidden), and one may allow what the others close"), "{}", side.because);
        }
        assert_eq!(side(Some(("security.istio.io", "AuthorizationPolicy"))).state, State::Closed, "it can only forbid more");
    }
}
