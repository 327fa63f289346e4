//! HTTP rules that isolate more than they filter. Owns two patterns: a policy that was meant to filter requests and closes every other
//! port, and HTTP rules without a port, which admit nothing.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, few, fit, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::ir::{L7Rules, Ports, Rule};
use crate::policy::selector::Tri;

pub(super) struct Http;

/// Every port of the rule has HTTP rules.
fn filters(rule: &Rule) -> bool {
    matches!(&rule.ports, Ports::Of(list) if !list.is_empty() && list.iter().all(|p| matches!(p.l7, Some(L7Rules::Http(_)))))
}

impl Lint for Http {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let isolating = &s.judgement.isolating;
        let first = s.rules().next()?;
        if c.why.outcome != Outcome::DefaultDeny || !s.rules().all(|a| filters(a.rule)) {
            return None;
        }
        // Each that isolates does it by such rules; a port that one of them speaks of is closed to this peer on purpose.
        let by_rules = isolating.iter().all(|p| s.rules().any(|a| std::sync::Arc::ptr_eq(a.policy, p)));
        if !by_rules || s.rules().any(|a| fit::ports(a.rule, &s.ask) != Tri::No) {
            return None;
        }
        let text = format!(
            "only HTTP rules isolate {} ({}, {}): besides filtering requests on their port they close every other one; add a rule for this port",
            s.ask.subject.display,
            few(isolating.iter().map(|p| p.id.path())),
            first.place()
        );
        Some(Diagnosis { id: "http-rule-only-isolates", text })
    }
}

impl SetLint for Http {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            for p in scope.parts(direction) {
                for rule in p.section.rules.iter().filter(|r| fit::hopeless(r)) {
                    let Ports::Of(list) = &rule.ports else { continue };
                    if let Some(r) = list.iter().find(|r| r.ports.is_empty() && r.l7.is_some()) {
                        let text = format!(
                            "{} of {} has L7 rules and no port they are for: it admits nothing and only isolates; add `ports` ({})",
                            rule.id,
                            p.policy.id.path(),
                            place(p.policy, r.lines.0)
                        );
                        out.push(Finding::new("http-rule-without-port", Weight::Broken, p.policy, r.lines.0, text));
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

    const GET: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: '80', protocol: TCP}]\n      rules: {http: [{method: GET}]}\n";

    #[test]
    fn a_filter_that_closes_the_other_ports() {
        let drop = |bodies: &[&str], port| scene(bodies).drop(pod("shop", "a", "app=a"), pod("shop", "b", "app=b"), port, Some(D::Ingress));
        let d = drop(&[GET], 9090);
        assert_eq!(ids(&d), ["http-rule-only-isolates"]);
        assert!(d[0].text.starts_with("only HTTP rules isolate shop/b (shop/l7, f0.yaml:7)"), "{}", d[0].text);
        // Who wrote a plain rule or a default deny beside it knows that the rest is closed.
        let plain = GET.replace("name: l7", "name: plain").replace("      rules: {http: [{method: GET}]}\n", "");
        assert!(drop(&[GET, &plain], 9090).is_empty());
        let deny =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n";
        assert!(drop(&[GET, deny], 9090).is_empty());
        let of_b = GET.replace("- toPorts", "- fromEndpoints: [{matchLabels: {app: c}}]\n    toPorts");
        assert!(drop(&[&of_b], 80).is_empty(), "its own port, another peer");
    }

    #[test]
    fn http_rules_without_a_port() {
        let none = GET.replace("    - ports: [{port: '80', protocol: TCP}]\n      rules", "    - rules");
        assert_eq!(found(&[&none]), [("http-rule-without-port", 8)]);
        assert_eq!(found(&[GET]), []);
    }
}
