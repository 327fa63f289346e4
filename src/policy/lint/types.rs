//! `policyTypes` that do not match the sections: a direction that is closed because it is listed (or because nothing is), and a section
//! that one engine ignores. Owns what the list means where it says less or more than the rules.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::Engine;
use crate::policy::ir::{Policy, Section, Subject};

pub(super) struct Types;

fn word(d: Direction) -> &'static str {
    if d == Direction::Ingress { "Ingress" } else { "Egress" }
}

/// A direction without a rule in a policy that has rules for the other one: says why it is closed all the same.
fn closed(policy: &Policy, section: &Section) -> Option<String> {
    let other = policy.sections.iter().any(|s| s.direction != section.direction && !s.rules.is_empty());
    if policy.id.kind != "NetworkPolicy" || !section.rules.is_empty() || !section.declared || !other {
        return None;
    }
    let types = policy.doc.root.at(&["spec", "policyTypes"]).is_some_and(|n| !n.seq().is_empty());
    // A policy for every pod that lists a direction is a default deny, and meant.
    if types && matches!(&section.subject, Subject::Endpoints(s) if s.written() == 0) {
        return None;
    }
    let (path, d, at) = (policy.id.path(), section.direction, place(policy, section.line));
    // An empty list is there on purpose.
    let key = d.word();
    if policy.doc.root.at(&["spec", key]).is_some_and(|n| !n.is_null()) {
        return None;
    }
    Some(if types {
        format!(
            "policyTypes of {path} lists {} ({at}) and there is no {key} section, so all {key} is denied: take it off the list if the policy is only about the other direction",
            word(d)
        )
    } else {
        format!(
            "{path} has no policyTypes ({at}), and without them {key} is denied too: write policyTypes: [{}] if it is only about the other direction",
            word(opposite(d))
        )
    })
}

fn opposite(d: Direction) -> Direction {
    if d == Direction::Ingress { Direction::Egress } else { Direction::Ingress }
}

fn undeclared(policy: &Policy, section: &Section) -> String {
    format!(
        "policyTypes of {} does not list {}: the Kubernetes API ignores its {} rules, Cilium enforces them ({})",
        policy.id.path(),
        word(section.direction),
        section.direction.word(),
        place(policy, section.line)
    )
}

impl Lint for Types {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if c.why.outcome != Outcome::DefaultDeny {
            return None;
        }
        // Mending one policy helps only where every one that isolates is like this.
        let mut first = None;
        for policy in s.judgement.isolating.iter() {
            let section = policy.sections.iter().find(|x| x.direction == s.ask.direction)?;
            let found = match closed(policy, section) {
                Some(text) => Diagnosis { id: "policy-type-without-rules", text },
                None if !section.declared => Diagnosis { id: "policy-types-mismatch", text: undeclared(policy, section) },
                None => return None,
            };
            first.get_or_insert(found);
        }
        first
    }
}

impl SetLint for Types {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for policy in scope.set.iter() {
            for section in &policy.sections {
                if !section.declared {
                    let weight = if scope.opt.engine == Engine::Kubernetes { Weight::Broken } else { Weight::Note };
                    let f = Finding::new("policy-types-mismatch", weight, policy, section.line, undeclared(policy, section));
                    out.push(Finding { fault: true, ..f });
                } else if let Some(text) = closed(policy, section) {
                    out.push(Finding::new("policy-type-without-rules", Weight::Note, policy, section.line, text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  podSelector: {{matchLabels: {{app: a}}}}\n{spec}"
        )
    }

    #[test]
    fn a_direction_that_is_listed_and_has_no_rules() {
        let drop = |bodies: &[&str]| scene(bodies).drop(pod("shop", "a", "app=a"), outside("203.0.113.1"), 443, Some(D::Egress));
        let both = policy("both", "  policyTypes: [Ingress, Egress]\n  ingress: [{}]\n");
        let d = drop(&[&both]);
        assert_eq!(ids(&d), ["policy-type-without-rules"]);
        assert!(d[0].text.starts_with("policyTypes of shop/both lists Egress (f0.yaml:6) and there is no egress section"), "{}", d[0].text);
        // A default deny for every pod, a deny-all, an empty list, and another policy that isolates for itself.
        assert!(drop(&[&both.replace("matchLabels: {app: a}", "")]).is_empty());
        assert!(drop(&[&policy("deny", "  policyTypes: [Ingress, Egress]\n")]).is_empty());
        assert!(drop(&[&policy("empty", "  policyTypes: [Ingress, Egress]\n  ingress: [{}]\n  egress: []\n")]).is_empty());
        assert!(drop(&[&both, &policy("deny", "  policyTypes: [Egress]\n")]).is_empty());
    }

    #[test]
    fn no_list_closes_ingress_too() {
        let body = policy("out", "  egress:\n  - ports: [{port: 53}]\n");
        let d = scene(&[&body]).drop(pod("shop", "b", ""), pod("shop", "a", "app=a"), 80, Some(D::Ingress));
        assert!(ids(&d).contains(&"policy-type-without-rules"), "{d:?}");
        assert!(d.iter().any(|d| d.text.ends_with("write policyTypes: [Egress] if it is only about the other direction")), "{d:?}");
    }

    #[test]
    fn a_section_that_is_not_listed() {
        let body = policy("half", "  policyTypes: [Ingress]\n  ingress: [{}]\n  egress:\n  - ports: [{port: 53}, {port: 80}]\n");
        let d = scene(&[&body]).drop(pod("shop", "a", "app=a"), outside("203.0.113.1"), 443, Some(D::Egress));
        assert_eq!(ids(&d), ["policy-types-mismatch"]);
        assert_eq!(found(&[&body]), [("policy-types-mismatch", 8)]);
        assert_eq!(found(&[&body.replace("[Ingress]", "[Ingress, Egress]")]), []);
    }
}
