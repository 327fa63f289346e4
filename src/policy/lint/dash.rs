//! The dash mistake: `namespaceSelector` and `podSelector` in one list item both have to hold, in two items either is enough.
//!
//! Owns both spellings of a pair and what the other one would do to the flow; says which, never that it was a mistake for certain.
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, fit, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::Engine;
use crate::policy::ir::{Peer, PeerIs, Peers};
use crate::policy::selector::{Op, Requirement, Selector, Tri};
use crate::world::Endpoint;
use crate::world::labels::POD_NAMESPACE;

pub(super) struct Dash;

/// A selector of a NetworkPolicy's peer, taken apart.
struct Parts {
    /// As `namespaceSelector` alone.
    namespaces: Option<Selector>,
    /// As `podSelector` alone, in the policy's own namespace.
    pods: Option<Selector>,
}

/// Only NetworkPolicy has the two selectors.
fn parts(at: &At<'_>, p: &Peer) -> Option<Parts> {
    let (PeerIs::Endpoints(s), "NetworkPolicy", Some(own)) = (&p.is, at.policy.id.kind.as_str(), &at.policy.id.namespace) else {
        return None;
    };
    let pick = |f: &dyn Fn(&Requirement) -> bool| Selector { all: s.all.iter().filter(|r| f(r)).cloned().collect(), ..s.clone() };
    // Every pod of any namespace: what `namespaceSelector` leaves behind, be it empty.
    let any = s.all.iter().any(|r| r.implied && r.key == POD_NAMESPACE && r.op == Op::Exists);
    let namespaces = any.then(|| pick(&|r| r.on_namespace()));
    let pods = s.all.iter().any(|r| !r.implied && !r.on_namespace()).then(|| {
        let mut pods = pick(&|r| !r.on_namespace());
        pods.all.push(Requirement::implied(POD_NAMESPACE, Op::In, vec![own.clone()], s.lines.0));
        pods
    });
    Some(Parts { namespaces, pods })
}

/// One item that is namespaces only, with the next one that is pods only.
fn pair<'a>(at: &At<'_>, list: &'a [Peer], i: usize) -> Option<(&'a Peer, &'a Peer, Selector, Selector)> {
    let (first, second) = (list.get(i)?, list.get(i + 1)?);
    match (parts(at, first)?, parts(at, second)?) {
        (Parts { namespaces: Some(ns), pods: None }, Parts { namespaces: None, pods: Some(pods) }) => Some((first, second, ns, pods)),
        _ => None,
    }
}

/// Both conditions on one pod.
fn both(namespaces: &Selector, pods: &Selector) -> Selector {
    let mut s = namespaces.clone();
    s.all.extend(pods.all.iter().filter(|r| !r.on_namespace()).cloned());
    s
}

impl Lint for Dash {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        match c.why.outcome {
            Outcome::DefaultDeny => anded(c, s),
            Outcome::Allowed => ored(c, s),
            _ => None,
        }
    }
}

fn matches(s: &Selector, e: &Endpoint, engine: Engine) -> Tri {
    s.matches(engine, e, None, &mut Vec::new())
}

/// One item, and two would have let it in.
fn anded(c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
    // Where the port is wrong too, two items instead of one would not help.
    if c.why.nearest.as_ref()?.failed.iter().any(|f| f.on == "port" || f.on == "protocol") {
        return None;
    }
    let at = s.nearest(c.why).filter(|a| fit::ports(a.rule, &s.ask) == Tri::Yes)?;
    let Peers::Of(list) = &at.rule.peers else { return None };
    for p in list {
        let Some(Parts { namespaces: Some(ns), pods: Some(pods) }) = parts(&at, p) else { continue };
        let peer = s.ask.peer;
        let because = match (matches(&ns, peer, c.opt.engine), matches(&pods, peer, c.opt.engine)) {
            (Tri::Yes, _) => format!("{} is in a namespace that namespaceSelector matches", peer.display),
            (_, Tri::Yes) => format!("{} is a pod of {} that podSelector matches", peer.display, peer.namespace),
            _ => continue,
        };
        let text = format!(
            "namespaceSelector and podSelector are one item of {} ({}), so both must hold; as two items, each with its dash, either would be enough and the rule would admit this flow, since {because}",
            at.words(),
            place(at.policy, p.lines.0)
        );
        return Some(Diagnosis { id: "selectors-anded", text });
    }
    None
}

/// Two items, and one would have kept it out.
fn ored(c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
    let [by] = s.judgement.attributed.as_slice() else { return None };
    let policy = c.set.find(by).filter(|p| p.id.kind == "NetworkPolicy")?;
    let (rule_id, index) = by.rule.as_deref()?.split_once('.')?;
    let (section, rule) = policy.sections.iter().find_map(|x| Some((x, x.rules.iter().find(|r| r.id == rule_id)?)))?;
    let at = At { policy, section, rule };
    let Peers::Of(list) = &rule.peers else { return None };
    let i = list.iter().position(|p| p.id == index)?;
    let (first, second, ns, pods) = pair(&at, list, i).or_else(|| pair(&at, list, i.checked_sub(1)?))?;
    // Where another peer of the rule admits it, the pair does not matter.
    let others = list.iter().enumerate().any(|(j, p)| j != i && p.id != first.id && p.id != second.id && fit::peer(p, &s.ask) != Tri::No);
    if others || matches(&both(&ns, &pods), s.ask.peer, c.opt.engine) != Tri::No {
        return None;
    }
    let text = format!(
        "{} and {} of {} are two items ({}), so one is enough, and {index} alone admits this flow; as one item, without the second dash, both must hold and the rule would not",
        first.id,
        second.id,
        at.words(),
        place(policy, second.lines.0)
    );
    Some(Diagnosis { id: "selectors-ored", text })
}

impl SetLint for Dash {
    /// Only where the pods show it: the second item matches none of the own namespace, and together they would match some.
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            for part in scope.parts(direction) {
                for rule in &part.section.rules {
                    let at = At { policy: part.policy, section: part.section, rule };
                    let Peers::Of(list) = &rule.peers else { continue };
                    for i in 0..list.len() {
                        let Some((first, second, ns, pods)) = pair(&at, list, i) else { continue };
                        let any = |s: &Selector| scope.stock().candidates(s).any(|(e, _)| matches(s, e, scope.opt.engine) != Tri::No);
                        if any(&pods) || !any(&both(&ns, &pods)) {
                            continue;
                        }
                        let text = format!(
                            "{} of {} admits every pod of its namespaces, since {} is an item of its own and matches no pod at hand in {}; without its dash both must hold",
                            first.id,
                            at.words(),
                            second.id,
                            part.policy.id.namespace.as_deref().unwrap_or_default()
                        );
                        out.push(Finding::new("selectors-ored", Weight::Broken, part.policy, second.lines.0, text));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::{Direction as D, Verdict};

    const AND: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: db}}\n  ingress:\n  - from:\n    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: obs}}\n      podSelector: {matchLabels: {app: prom}}\n";

    fn or() -> String {
        AND.replace("      podSelector", "    - podSelector")
    }

    fn db() -> crate::model::observed::Party {
        pod("shop", "db", "app=db")
    }

    #[test]
    fn one_item_where_two_would_admit() {
        let d = scene(&[AND]).drop(pod("shop", "p", "app=prom"), db(), 80, Some(D::Ingress));
        assert_eq!(ids(&d), ["selectors-anded"]);
        assert!(
            d[0].text.contains("(f0.yaml:8)") && d[0].text.ends_with("shop/p is a pod of shop that podSelector matches"),
            "{}",
            d[0].text
        );
        let d = scene(&[AND]).drop(pod("obs", "g", "app=grafana"), db(), 80, Some(D::Ingress));
        assert!(d[0].text.ends_with("obs/g is in a namespace that namespaceSelector matches"), "{}", d[0].text);
        // Neither half matches: the spelling makes no difference.
        assert!(scene(&[AND]).drop(pod("web", "x", "app=web"), db(), 80, Some(D::Ingress)).is_empty());
        // Two items already.
        assert!(scene(&[&or()]).drop(pod("web", "x", "app=prom"), db(), 80, Some(D::Ingress)).is_empty());
    }

    #[test]
    fn two_items_where_one_would_refuse() {
        let passed = |body: &str, src| {
            let mut o = dropped(src, db(), crate::model::observed::L4::Tcp, 80, Some(D::Ingress));
            (o.verdict, o.drop_reason) = (Verdict::Forwarded, 0);
            scene(&[body]).explain(&o)
        };
        let d = passed(&or(), pod("obs", "g", "app=grafana"));
        assert_eq!(ids(&d), ["selectors-ored"]);
        assert!(d[0].text.starts_with("from[0] and from[1] of ingress[0] of shop/in are two items (f0.yaml:9)"), "{}", d[0].text);
        assert!(passed(&or(), pod("obs", "p", "app=prom")).is_empty(), "both hold");
        assert!(passed(AND, pod("obs", "p", "app=prom")).is_empty());
    }

    #[test]
    fn pods_at_hand_show_it() {
        let p = |ns: &str, app: &str| {
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {app}, namespace: {ns}, labels: {{app: {app}}}}}\n")
        };
        let all = [or(), p("obs", "prom"), p("shop", "db")];
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(found(&all), [("selector-matches-no-pod", 9), ("selectors-ored", 9)]);
        // The own namespace has such a pod: two items make sense.
        let with = p("shop", "prom");
        assert_eq!(found(&[all[0], all[1], all[2], &with]), []);
    }
}
