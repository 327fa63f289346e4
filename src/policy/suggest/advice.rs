//! What is said beside an edit, or in its place: who owns the policy, whether the client is what is wrong, which deny stands in the way.
//!
//! Owns sentences; changes nothing.
use super::build::{What, Who};
use super::proof::Ground;
use super::sketch::Sketch;
use super::values::pins;
use crate::model::doc::Node;
use crate::model::observed::Direction;
use crate::policy::eval::{Case, Cause, Decision, Judgement, judge};
use crate::policy::ir::{PeerIs, Peers, Policy, Rule, Tier};
use crate::policy::selector::{Op, Requirement};
use crate::world::{Endpoint, Service, ServicePort, Target, World};
use std::sync::Arc;

/// What every client asks its name server at.
const DNS: u16 = 53;

/// Marks of tools that write objects, and what they are called.
const WRITERS: &[(&str, &str)] = &[
    ("meta.helm.sh/release-name", "the Helm release"),
    ("helm.toolkit.fluxcd.io/name", "the Flux HelmRelease"),
    ("kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization"),
    ("argocd.argoproj.io/tracking-id", "the Argo CD application"),
    ("argocd.argoproj.io/instance", "the Argo CD application"),
    ("olm.owner", "the operator"),
    ("objectset.rio.cattle.io/owner-name", "the Rancher object set of"),
];

/// That an edit of this object would be taken back, if something else writes it.
pub fn owner(p: &Policy) -> Option<String> {
    let meta = p.doc.root.get("metadata")?;
    let by_reference = meta.get("ownerReferences").and_then(|n| n.seq().first()).map(|o| {
        let field = |k: &str| o.get(k).and_then(Node::str).unwrap_or("?").to_owned();
        format!("{} {}", field("kind"), field("name"))
    });
    let marked = |key: &str| ["labels", "annotations"].iter().find_map(|k| meta.at(&[k, key]).and_then(Node::str));
    let by_mark = || {
        WRITERS.iter().find_map(|(key, what)| {
            let value = marked(key)?;
            Some(format!("{what} {}", value.split(':').next().unwrap_or(value)))
        })
    };
    let managed = || {
        let by = marked("app.kubernetes.io/managed-by")?;
        Some(if by == "Helm" { "a Helm chart".to_owned() } else { by.to_owned() })
    };
    let who = by_reference.or_else(by_mark).or_else(managed)?;
    Some(format!("{} {} is written by {who}: change it at its source, or the next sync takes the edit back", p.id.kind, p.id.path()))
}

/// That the destination's services expose another port than the one asked for: the client may be what is wrong.
pub fn client(src: &Endpoint, dst: &Endpoint, what: What, world: &World) -> Option<String> {
    let What::Port { proto, port } = what else { return None };
    let named = dst.named_ports.as_deref().unwrap_or_default();
    // A port that the pod itself gives a name is no typing error.
    if !dst.labels.is_pod() || named.iter().any(|n| n.port == port) {
        return None;
    }
    let selects = |s: &Service| !s.selector.is_empty() && s.selector.iter().all(|(k, v)| dst.labels.get(Some("k8s"), k) == Some(v));
    let services: Vec<_> = world.services().filter(|((ns, _), s)| *ns == dst.namespace && selects(s) && !s.ports.is_empty()).collect();
    let exposes = |s: &Service| {
        s.ports.iter().any(|p| match &p.target {
            Target::Number(n) => *n == port || p.port == port,
            // What cannot be resolved may be this port.
            Target::Named(name) => named.iter().find(|n| n.name == *name).is_none_or(|n| n.port == port) || p.port == port,
        })
    };
    let ((ns, name), service) = services.first()?;
    if services.iter().any(|(_, s)| exposes(s)) {
        return None;
    }
    let words = |p: &ServicePort| if p.protocol.word() == proto { p.port.to_string() } else { format!("{}/{}", p.protocol.word(), p.port) };
    let ports: Vec<String> = service.ports.iter().map(words).collect();
    let (ports, client) = (ports.join(", "), &src.display);
    Some(if port == DNS {
        // Nobody types that port: a resolver is set to the wrong server.
        format!("service {ns}/{name} exposes only {ports}, no DNS: is it the name server that {client} is to ask?")
    } else {
        format!("service {ns}/{name} exposes only {ports}: is {port} a typo in {client}?")
    })
}

/// Which deny has to give way, and what would follow.
pub struct Deny {
    pub title: String,
    pub notes: Vec<String>,
}

pub fn deny(
    ground: &Ground<'_>,
    sketch: &Sketch,
    case: &Case<'_>,
    judgement: &Judgement,
    peer: Result<Who, String>,
    ids: &[usize],
    elsewhere: Option<String>,
) -> Deny {
    let denying: Vec<String> =
        judgement.attributed.iter().map(|r| format!("{} of {} {}", r.rule.as_deref().unwrap_or("a rule"), r.kind, r.path())).collect();
    let title = format!("no edit: {} has to give way", denying.join(" and "));
    let baseline = judgement.attributed.iter().filter_map(|r| sketch.set.find(r)).all(|p| p.tier == Tier::Baseline);
    let mut notes = vec![if baseline {
        "it is a baseline: any NetworkPolicy that selects the pod is asked before it".to_owned()
    } else {
        "a deny rule wins over the allow rules of every NetworkPolicy and CiliumNetworkPolicy, so none of them helps".to_owned()
    }];
    let denied_by = |p: &Policy, rule: &Rule| {
        let own = p.find_rule(&rule.id);
        own.is_some_and(|own| judgement.attributed.iter().any(|r| p.means(r, own)))
    };
    let mut changed: Vec<Arc<Policy>> = Vec::new();
    let without = |p: &Arc<Policy>| {
        let mut new = Policy::clone(p);
        new.sections.iter_mut().for_each(|s| s.rules.retain(|r| !denied_by(p, r)));
        (new.rules() < p.rules()).then(|| Arc::new(new))
    };
    changed.extend(sketch.set.iter().filter(|p| without(p).is_some()).cloned());
    let set = sketch.set.swapped(&without, Vec::new());
    let proof = ground.compare(&set, &changed, case.direction);
    let others = proof.opened.iter().filter(|id| !ids.contains(id)).count();
    let freed = ids.iter().filter(|id| proof.opened.contains(id)).count();
    let mut more = match others {
        0 => String::new(),
        1 => ", and 1 other conversation that it denies would too".to_owned(),
        n => format!(", and {n} other conversations that it denies would too"),
    };
    let after = judge(case, &set);
    match after.decision {
        // A cause may stop several workloads, of which not all are stopped by this rule alone.
        _ if freed > 0 && freed < ids.len() => {
            notes.push(format!("without that rule {freed} of the {} conversations of this cause would pass, the others not", ids.len()));
        }
        Decision::Allowed | Decision::NotManaged => {
            if let Some(still) = elsewhere {
                let side = case.direction.word();
                more.insert_str(0, &format!("without that rule {side} would let it pass, yet {still} would still deny it"));
                notes.push(more);
            } else {
                notes.push(format!("without that rule this traffic would pass{more}"));
            }
            if let Ok(peer) = peer
                && let Some(how) = narrower(sketch, judgement, &peer)
            {
                let own = judgement.attributed.first().and_then(|r| r.namespace.as_deref());
                notes.push(format!("{how} {}, it would go on denying the others", peer.words(own)));
            }
        }
        Decision::Denied if after.cause == Cause::DenyRule => {
            let by: Vec<String> =
                after.attributed.iter().map(|r| format!("{} of {} {}", r.rule.as_deref().unwrap_or("a rule"), r.kind, r.path())).collect();
            notes.push(format!("without that rule it would still be denied, by {}", by.join(" and ")));
        }
        Decision::Denied => notes.push("without that rule it would still be denied: nothing allows it".to_owned()),
        Decision::Unknown => notes.push("whether it would pass without that rule is not known".to_owned()),
    }
    notes.push(match case.direction {
        Direction::Ingress => "somebody meant this peer not to come in: ask why before changing it".to_owned(),
        Direction::Egress => "somebody meant this not to go out: ask why before changing it".to_owned(),
    });
    Deny { title, notes }
}

/// How the denying rule could leave this peer alone; `None` if it denies nobody else.
fn narrower(sketch: &Sketch, judgement: &Judgement, peer: &Who) -> Option<&'static str> {
    let mut exact = None;
    for r in &judgement.attributed {
        let id = r.rule.as_deref()?;
        let policy = sketch.set.find(r)?;
        let mut rules = policy.sections.iter().flat_map(|s| &s.rules);
        let (rule, item) = rules.find_map(|rule| match id.strip_prefix(rule.id.as_str())? {
            "" => Some((rule, None)),
            rest => Some((rule, Some(rest.strip_prefix('.')?))),
        })?;
        let Peers::Of(all) = &rule.peers else { return Some(BROAD) };
        let list: Vec<_> = all.iter().filter(|p| item.is_none_or(|i| p.id == i)).collect();
        if !list.iter().any(|p| is_just(&p.is, peer)) {
            return Some(BROAD);
        }
        exact = exact.max(Some(all.len() > 1));
    }
    exact?.then_some("without its peer")
}

const BROAD: &str = "narrowed so that it leaves out";

/// Whether an item of the rule's list means this peer and nobody else.
fn is_just(is: &PeerIs, peer: &Who) -> bool {
    match (is, peer) {
        (PeerIs::Cidr { net, .. }, Who::Address(a)) => net == a,
        (PeerIs::Entity(e), Who::Entity(p)) => e == p,
        (PeerIs::Endpoints(s), Who::Pod { namespace, labels }) => {
            let (place, own): (Vec<_>, Vec<_>) = s.all.iter().partition(|r| r.implied || r.on_namespace());
            let is = |r: &Requirement, v: &str| r.op == Op::In && r.values.as_slice() == [v];
            place.iter().any(|r| pins(r, namespace))
                && own.len() == labels.len()
                && own.iter().all(|r| labels.iter().any(|(k, v)| *k == r.key && is(r, v)))
        }
        _ => false,
    }
}
