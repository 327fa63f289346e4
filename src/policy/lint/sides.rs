//! One side allows what the other denies: a connection needs both. Owns the two sentences about the other side.
use super::{Case, Diagnosis, Lint, Side};
use crate::model::observed::Direction;
use crate::model::why::{Outcome, PolicyRef};
use crate::policy::eval::{Cause, Decision, Judgement};

pub(super) struct Sides;

impl Lint for Sides {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if !c.dropped || !matches!(c.why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule) {
            return None;
        }
        let (direction, owner) = match s.ask.direction {
            Direction::Egress => (Direction::Ingress, s.ask.peer),
            Direction::Ingress => (Direction::Egress, s.ask.peer),
        };
        let who = format!("{} of {}", direction.word(), owner.display);
        match (s.other.decision, s.other.cause) {
            // Where both sides are shown already, it is said already.
            (Decision::Denied, _) if c.why.sides.is_empty() => {
                let by = denying(s.other)?;
                Some(Diagnosis {
                    id: "other-side-denies-too",
                    text: format!("{who} denies it too ({by}): mending one side alone only moves the drop"),
                })
            }
            (Decision::Allowed, Cause::AllowRule) if c.why.outcome == Outcome::DefaultDeny => {
                let by = s.other.allowing().first().map(named)?;
                let own = format!("{} of {}", s.ask.direction.word(), s.ask.subject.display);
                Some(Diagnosis {
                    id: "other-side-allows",
                    text: format!("{who} allows it ({by}), {own} has no such rule: a connection needs both"),
                })
            }
            _ => None,
        }
    }
}

fn named(p: &PolicyRef) -> String {
    format!("{} of {}", p.rule.as_deref().unwrap_or("a rule"), p.path())
}

fn denying(j: &Judgement) -> Option<String> {
    match j.cause {
        Cause::DefaultDeny if j.isolating.is_empty() => Some("it has no identity yet".to_owned()),
        Cause::DefaultDeny => Some(format!("isolated by {}", super::few(j.isolating.iter().map(|p| p.id.path())))),
        Cause::L7Deny => j.l7_rules.first().map(|p| format!("by the L7 rules of {}", named(p))),
        _ => j.attributed.first().map(|p| format!("by {}", named(p))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const OUT: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: cart}}\n  policyTypes: [Egress]\n  egress:\n  - to: [{podSelector: {matchLabels: {app: db}}}]\n";
    const IN: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: db}}\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: web}}}]\n";

    #[test]
    fn one_side_allows_and_the_other_does_not() {
        let s = scene(&[OUT, IN]);
        let (cart, db) = (pod("shop", "cart", "app=cart"), pod("shop", "db", "app=db"));
        let d = s.drop(cart.clone(), db.clone(), 5432, Some(D::Ingress));
        assert_eq!(ids(&d), ["other-side-allows"]);
        assert_eq!(
            d[0].text,
            "egress of shop/cart allows it (egress[0].to[0] of shop/out), ingress of shop/db has no such rule: a connection needs both"
        );
        // Without a policy there is no rule to copy: nothing selects the sender.
        assert!(scene(&[IN]).drop(cart.clone(), db.clone(), 5432, Some(D::Ingress)).is_empty());
        // Both deny.
        let d = s.drop(cart, pod("shop", "db2", "app=db,x=y"), 1, Some(D::Ingress));
        assert_eq!(ids(&d), ["other-side-allows"], "egress has no port condition");
        let narrow = OUT.replace("app: db}}}]", "app: x}}}]");
        let d = scene(&[&narrow, IN]).drop(pod("shop", "cart", "app=cart"), db, 5432, Some(D::Ingress));
        assert_eq!(ids(&d), ["other-side-denies-too"]);
        assert!(d[0].text.starts_with("egress of shop/cart denies it too (isolated by shop/out)"), "{}", d[0].text);
    }
}
