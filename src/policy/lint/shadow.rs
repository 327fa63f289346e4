//! An allow that a deny shadows: under Cilium a matching deny wins, however specific the allow is. Owns both views: of one flow, and of
//! rules that can never take effect.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, allowing, cover, fit};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::ir::{Action, Tier};
use crate::policy::selector::Tri;

pub(super) struct Shadow;

impl Lint for Shadow {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if c.why.outcome != Outcome::DeniedByRule {
            return None;
        }
        let deny = s.judgement.attributed.first()?;
        let normal = c.set.find(deny).is_some_and(|p| p.tier == Tier::Normal);
        let mut rules = allowing(s.judgement.sections());
        let at = rules.find(|a| normal && a.policy.tier == Tier::Normal && fit::admits(a.rule, &s.ask) == Tri::Yes)?;
        let text = format!(
            "{} would allow it ({}), but a deny always wins: only narrowing {} of {} lets it through",
            at.words(),
            at.place(),
            deny.rule.as_deref().unwrap_or("the rule"),
            deny.path()
        );
        Some(Diagnosis { id: "allow-shadowed", text })
    }
}

impl SetLint for Shadow {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            if !scope.parts(direction).any(|p| p.section.rules.iter().any(|r| r.action == Action::Deny)) {
                continue;
            }
            for p in scope.parts(direction).filter(|p| p.policy.tier == Tier::Normal) {
                let over: Vec<_> = scope
                    .around(direction, &p.section.subject)
                    .filter(|q| q.policy.tier == Tier::Normal && cover::subject(&p.section.subject, &q.section.subject))
                    .flat_map(|q| q.section.rules.iter().filter(|r| r.action == Action::Deny).map(move |r| (q, r)))
                    .collect();
                for allow in p.section.rules.iter().filter(|r| r.action == Action::Allow && !fit::hopeless(r)) {
                    let Some((q, deny)) = over.iter().find(|(_, d)| {
                        d.requires.is_empty() && cover::peers(&allow.peers, &d.peers) && cover::ports(&allow.ports, &d.ports)
                    }) else {
                        continue;
                    };
                    let text = format!(
                        "{} of {} never takes effect: {} of {} ({}) denies all that it allows",
                        allow.id,
                        p.policy.id.path(),
                        deny.id,
                        q.policy.id.path(),
                        super::place(q.policy, deny.lines.0)
                    );
                    out.push(Finding::new("allow-shadowed", Weight::Broken, p.policy, allow.lines.0, text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const ALLOW: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: db}}\n  ingress:\n  - ports: [{port: 80}, {port: 81}]\n";

    fn deny(subject: &str, rule: &str) -> String {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: deny}}\nspec:\n  endpointSelector: {{{subject}}}\n  ingressDeny:\n  - {rule}\n"
        )
    }

    #[test]
    fn the_flow_had_a_rule_of_its_own() {
        let drop = |bodies: &[&str], port| {
            let mut o =
                dropped(pod("web", "a", "app=a"), pod("shop", "db", "app=db"), crate::model::observed::L4::Tcp, port, Some(D::Ingress));
            o.drop_reason = 181;
            scene(bodies).explain(&o)
        };
        let all = deny("", "fromEntities: [all]");
        let d = drop(&[ALLOW, &all], 80);
        assert_eq!(ids(&d), ["allow-shadowed"]);
        assert_eq!(
            d[0].text,
            "ingress[0] of shop/in would allow it (f0.yaml:7), but a deny always wins: only narrowing ingressDeny[0] of deny lets it through"
        );
        assert!(drop(&[ALLOW, &all], 82).is_empty(), "nothing allows 82");
        assert!(drop(&[&all], 80).is_empty());
    }

    #[test]
    fn a_rule_that_never_takes_effect() {
        // A deny for every pod isolates kube-system besides, which is another finding.
        let shadowed = |bodies: &[&str]| found(bodies).into_iter().filter(|f| f.0 == "allow-shadowed").collect::<Vec<_>>();
        assert_eq!(shadowed(&[ALLOW, &deny("", "fromEntities: [all]")]), [("allow-shadowed", 7)]);
        assert_eq!(shadowed(&[ALLOW, &deny("matchLabels: {app: db}", "fromEntities: [all]")]), [("allow-shadowed", 7)]);
        // Of other pods, from some peers, on one of the ports: something is left of the allow.
        assert_eq!(shadowed(&[ALLOW, &deny("matchLabels: {app: web}", "fromEntities: [all]")]), []);
        assert_eq!(shadowed(&[ALLOW, &deny("", "fromEntities: [world]")]), []);
        assert_eq!(shadowed(&[ALLOW, &deny("", "fromEntities: [all]\n    toPorts: [{ports: [{port: '80', protocol: TCP}]}]")]), []);
        assert_eq!(
            shadowed(&[ALLOW, &deny("", "fromEntities: [all]\n    toPorts: [{ports: [{port: '1', endPort: 90}]}]")]),
            [("allow-shadowed", 7)]
        );
    }
}
