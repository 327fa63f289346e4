//! Selectors that match nothing because of a label. Owns the finder for namespaces and the one for pods; both speak only of what is
//! at hand, and are silent where the one that is meant may simply not be among it.
use super::scope::{Stock, complete};
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, few, fit, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::ir::{Peer, PeerIs, Peers, Subject};
use crate::policy::selector::{Op, Requirement, Selector, Tri};
use crate::world::labels::{CLUSTER, METADATA_NAME, POD_NAMESPACE};
use crate::world::{Endpoint, World};
use std::collections::{BTreeMap, BTreeSet};

/// Labels that controllers put on their pods: no manifest has them.
const MADE: &[&str] = &["pod-template-hash", "controller-revision-hash", "pod-template-generation", "job-name", "controller-uid"];
const MADE_UNDER: &[&str] = &["statefulset.kubernetes.io/", "apps.kubernetes.io/", "batch.kubernetes.io/"];

pub(super) struct NoMatch;

/// A condition that no namespace at hand meets.
struct NoNamespace<'s> {
    failing: &'s Requirement,
    /// `none of the 5 namespaces at hand has purpose=monitoring`.
    text: String,
    /// The one that is probably meant.
    meant: Option<String>,
}

fn no_namespace<'s>(world: &World, s: &'s Selector) -> Option<NoNamespace<'s>> {
    let conditions: Vec<&Requirement> = s.all.iter().filter(|r| !r.implied && r.on_namespace()).collect();
    if conditions.is_empty() || conditions.iter().any(|r| r.source.as_deref().is_some_and(|s| s != "k8s")) {
        return None;
    }
    let all: Vec<(&str, &BTreeMap<String, String>)> =
        world.namespaces().into_iter().filter_map(|ns| Some((ns, world.namespace_labels(ns)?))).collect();
    // Each has to fail everywhere by itself: what fails only together is not one label's fault.
    let failing = *conditions.iter().find(|r| !all.iter().any(|(name, labels)| holds(r, name, labels)))?;
    let by_name = |r: &Requirement| r.key == POD_NAMESPACE || r.shown_key() == METADATA_NAME;
    if all.is_empty() || (conditions.iter().any(|r| by_name(r)) && !complete(world)) {
        return None;
    }
    let n = all.len();
    let count =
        if n == 1 { "the one namespace at hand does not have".to_owned() } else { format!("none of the {n} namespaces at hand has") };
    let meant = all.iter().find(|(name, _)| failing.values.iter().any(|v| v == name)).copied();
    let key = failing.shown_key();
    let same_key = all.iter().find(|(_, labels)| labels.contains_key(key)).copied();
    let hint = match (meant, same_key) {
        (Some((name, labels)), _) => format!("{name} has {}", written(labels)),
        (None, Some((name, labels))) => format!("{name} has {key}={}", labels.get(key).map_or("", String::as_str)),
        (None, None) => {
            let keys: BTreeSet<&str> = all.iter().flat_map(|(_, l)| l.keys()).map(String::as_str).filter(|k| *k != METADATA_NAME).collect();
            if keys.is_empty() {
                "they have no labels of their own".to_owned()
            } else {
                format!("their labels are {}", few(keys.into_iter().map(str::to_owned)))
            }
        }
    };
    let meant = meant.map(|(name, _)| name.to_owned());
    Some(NoNamespace { failing, text: format!("{count} {}; {hint}", failing.wanted()), meant })
}

fn holds(r: &Requirement, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let value = if r.key == POD_NAMESPACE { Some(name) } else { labels.get(r.shown_key()).map(String::as_str) };
    match r.op {
        Op::In => value.is_some_and(|v| r.values.iter().any(|w| w == v)),
        Op::NotIn => value.is_none_or(|v| r.values.iter().all(|w| w != v)),
        Op::Exists => value.is_some(),
        Op::DoesNotExist => value.is_none(),
    }
}

fn written(labels: &BTreeMap<String, String>) -> String {
    // What somebody gave it says more than its name.
    let own = labels.iter().filter(|(k, _)| *k != METADATA_NAME);
    let name = labels.iter().filter(|(k, _)| *k == METADATA_NAME);
    few(own.chain(name).map(|(k, v)| format!("{k}={v}")))
}

impl Lint for NoMatch {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if c.why.outcome != Outcome::DefaultDeny || !s.ask.peer.labels.is_pod() {
            return None;
        }
        // The label of a namespace is all that is missing.
        let lacks = c.why.nearest.as_ref()?.failed.iter().all(|f| f.on == "namespace");
        if !lacks {
            return None;
        }
        let at = s.nearest(c.why).filter(|a| fit::ports(a.rule, &s.ask) == Tri::Yes)?;
        let Peers::Of(list) = &at.rule.peers else { return None };
        let found = list.iter().find_map(|p| match &p.is {
            PeerIs::Endpoints(sel) => no_namespace(c.world, sel).filter(|_| only_namespace_fails(sel, s.ask.peer)),
            _ => None,
        })?;
        let advice = match (&found.meant, found.failing.op, found.failing.values.as_slice()) {
            (Some(ns), Op::In, [value]) if *ns == s.ask.peer.namespace => {
                format!(": kubectl label namespace {ns} {}={value}", found.failing.shown_key())
            }
            _ => String::new(),
        };
        let text = format!("{} can match nobody ({}): {}{advice}", at.words(), place(at.policy, found.failing.line), found.text);
        Some(Diagnosis { id: "selector-matches-no-namespace", text })
    }
}

fn only_namespace_fails(s: &Selector, peer: &Endpoint) -> bool {
    s.all.iter().all(|r| r.on_namespace() || r.matches(peer, &mut Vec::new()) == Tri::Yes)
}

/// Says that no pod at hand meets the conditions on labels.
fn no_pod(stock: &Stock, s: &Selector) -> Option<String> {
    let own = || s.all.iter().filter(|r| !r.implied && !r.on_namespace());
    let strange = |r: &Requirement| {
        r.source.as_deref().is_some_and(|s| s != "k8s")
            || r.key == CLUSTER
            || MADE.contains(&r.key.as_str())
            || MADE_UNDER.iter().any(|p| r.key.starts_with(p))
    };
    if own().next().is_none() || s.all.iter().any(strange) {
        return None;
    }
    let fails = |r: &Requirement, e: &Endpoint| r.matches(e, &mut Vec::new()) == Tri::No;
    let there = |e: &&(Endpoint, usize)| !s.all.iter().any(|r| r.on_namespace() && fails(r, &e.0));
    let candidates: Vec<&(Endpoint, usize)> = stock.candidates(s).filter(there).collect();
    let lacking = |e: &Endpoint| own().filter(|r| fails(r, e)).count();
    let (nearest, least) = candidates.iter().map(|(e, _)| (e, lacking(e))).min_by_key(|(_, n)| *n)?;
    if least == 0 {
        return None;
    }
    let namespaces: BTreeSet<&str> = candidates.iter().map(|(e, _)| e.namespace.as_str()).collect();
    let n: usize = candidates.iter().map(|(_, n)| n).sum();
    let what = if stock.templates { "workload" } else { "pod" };
    let count = if n == 1 { format!("the one {what} at hand in") } else { format!("none of the {n} {what}s at hand in") };
    let first = own().find(|r| fails(r, nearest))?;
    let not = if n == 1 { "does not have" } else { "has" };
    Some(format!(
        "{count} {} {not} {}; {} has {}",
        few(namespaces.into_iter().map(str::to_owned)),
        own().map(Requirement::wanted).collect::<Vec<_>>().join(", "),
        nearest.display,
        first.got(nearest)
    ))
}

impl SetLint for NoMatch {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        let whole = complete(scope.world);
        let weight = |sure: bool| if sure { Weight::Broken } else { Weight::Note };
        for direction in [Direction::Ingress, Direction::Egress] {
            for p in scope.parts(direction) {
                let sure = whole && !scope.stock().templates;
                if let Subject::Endpoints(s) = &p.section.subject
                    && let Some(what) = no_pod(scope.stock(), s)
                {
                    let text = format!("{} selects no pod: {what}", p.policy.id.path());
                    out.push(Finding::new("selects-no-pod", weight(sure), p.policy, s.lines.0, text));
                }
                for rule in &p.section.rules {
                    let at = At { policy: p.policy, section: p.section, rule };
                    let Peers::Of(list) = &rule.peers else { continue };
                    for Peer { is, lines, .. } in list {
                        let PeerIs::Endpoints(s) = is else { continue };
                        if let Some(found) = no_namespace(scope.world, s) {
                            let text = format!("{} can match nobody: {}", at.words(), found.text);
                            out.push(Finding::new("selector-matches-no-namespace", weight(whole), p.policy, found.failing.line, text));
                        } else if let Some(what) = no_pod(scope.stock(), s) {
                            let text = format!("{} matches no pod: {what}", at.words());
                            out.push(Finding::new("selector-matches-no-pod", weight(sure), p.policy, lines.0, text));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const POLICY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec:\n  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector:\n        matchLabels:\n          purpose: monitoring\n";

    fn namespace(name: &str, labels: &str) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
    }

    #[test]
    fn a_namespace_without_its_label() {
        let (bare, shop) = (namespace("monitoring", "team: ops"), namespace("shop", ""));
        let d =
            scene(&[POLICY, &bare, &shop]).drop(pod("monitoring", "prom", "app=prometheus"), pod("shop", "db", ""), 9090, Some(D::Ingress));
        assert_eq!(ids(&d), ["selector-matches-no-namespace"]);
        assert_eq!(
            d[0].text,
            "ingress[0] of shop/in can match nobody (f0.yaml:10): none of the 2 namespaces at hand has purpose=monitoring; monitoring has team=ops, kubernetes.io/metadata.name=monitoring: kubectl label namespace monitoring purpose=monitoring"
        );
        assert_eq!(found(&[POLICY, &bare, &shop]), [("selector-matches-no-namespace", 10)]);
        // Another namespace is not told to take the label.
        let d = scene(&[POLICY, &bare, &shop]).drop(pod("web", "x", ""), pod("shop", "db", ""), 9090, Some(D::Ingress));
        assert!(d[0].text.ends_with("kubernetes.io/metadata.name=monitoring"), "{}", d[0].text);
        // Somebody has the label: then the others are kept out on purpose.
        let good = namespace("monitoring", "purpose: monitoring");
        assert!(scene(&[POLICY, &good, &shop]).drop(pod("web", "x", ""), pod("shop", "db", ""), 9090, Some(D::Ingress)).is_empty());
        assert_eq!(found(&[POLICY, &good, &shop]), []);
        // No namespaces at hand: nothing is known.
        assert_eq!(found(&[POLICY]), []);
    }

    #[test]
    fn a_name_may_stand_for_a_namespace_that_is_not_at_hand() {
        let by_name = POLICY.replace("purpose: monitoring", "kubernetes.io/metadata.name: obs");
        let (a, b) = (namespace("default", ""), namespace("kube-system", ""));
        assert_eq!(found(&[&by_name, &a]), []);
        assert_eq!(found(&[&by_name, &a, &b]), [("selector-matches-no-namespace", 10)], "a whole cluster is at hand");
    }

    #[test]
    fn pods_that_nobody_has() {
        let p = "apiVersion: v1\nkind: Pod\nmetadata: {name: cart-0, namespace: shop, labels: {app: cart}}\n";
        let policy = |subject: &str, peer: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: in, namespace: shop}}\nspec:\n  podSelector: {{{subject}}}\n  ingress:\n  - from: [{{podSelector: {{matchLabels: {{{peer}}}}}}}]\n"
            )
        };
        let s = scene(&[&policy("matchLabels: {app: card}", "app: cart"), p]);
        let f = s.findings();
        assert_eq!((f.len(), f[0].id, f[0].line), (1, "selects-no-pod", 5));
        assert_eq!(f[0].text, "shop/in selects no pod: the one pod at hand in shop does not have app=card; shop/cart-0 has app=cart");
        assert_eq!(found(&[&policy("", "k8s-app: cart"), p]), [("selector-matches-no-pod", 7)]);
        assert_eq!(found(&[&policy("", "app: cart"), p]), []);
        // Pods of another namespace say nothing about this one; a controller's label is in no manifest.
        assert_eq!(found(&[&policy("", "k8s-app: cart"), &p.replace("shop", "web")]), []);
        assert_eq!(found(&[&policy("", "pod-template-hash: abc"), p]), []);
    }

    #[test]
    fn a_bare_pod_in_the_namespace_does_not_hide_the_templates_of_others() {
        let ship = "apiVersion: v1\nkind: Pod\nmetadata: {name: ship, namespace: shop, labels: {app: ship}}\n";
        let cart = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: shop}\nspec:\n  selector: {matchLabels: {app: cart}}\n  template: {metadata: {labels: {app: cart}}}\n";
        let policy = |app: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: in, namespace: shop}}\nspec:\n  podSelector: {{matchLabels: {{app: {app}}}}}\n"
            )
        };
        assert_eq!(found(&[&policy("cart"), ship, cart]), []);
        let f = scene(&[&policy("card"), ship, cart]).findings();
        assert_eq!(f.len(), 1, "{f:?}");
        assert!(f[0].text.contains("none of the 2 workloads at hand in shop has app=card"), "{}", f[0].text);
        // A pod of its own stands for the template.
        let own = ship.replace("name: ship", "name: cart-7d4b8c9f5-xk2mh").replace("app: ship", "app: cart");
        let f = scene(&[&policy("card"), &own, cart]).findings();
        assert!(f[0].text.contains("the one pod at hand in shop does not have app=card"), "{}", f[0].text);
    }
}
