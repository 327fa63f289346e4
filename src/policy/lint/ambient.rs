//! Istio's ambient mesh carries what its pods say to each other through one tunnel port: a policy that opens only the application's
//! port closes it. Owns the port and how a namespace says that it takes part.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, fit, scope};
use crate::model::observed::{Direction, L4};
use crate::model::why::Outcome;
use crate::world::World;

/// HBONE.
const TUNNEL: u16 = 15008;
const MODE: &str = "istio.io/dataplane-mode";

pub(super) struct Ambient;

impl Lint for Ambient {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let tunnel = c.traffic.port == Some(TUNNEL) && c.traffic.l4 == Some(L4::Tcp);
        if c.why.outcome != Outcome::DefaultDeny || !tunnel || !s.ask.destination().labels.is_pod() {
            return None;
        }
        let to = if s.ask.direction == Direction::Ingress { "let it in" } else { "let it out" };
        let by = super::few(s.judgement.isolating.iter().map(|p| p.id.path()));
        let text = format!(
            "TCP port {TUNNEL} is the tunnel of Istio's ambient mesh: whatever one pod of the mesh sends to another comes through it, not on its own port; {to} beside the ports that {by} already opens"
        );
        Some(Diagnosis { id: "ambient-port", text })
    }
}

fn takes_part(world: &World, namespace: &str) -> bool {
    world.namespace_labels(namespace).and_then(|l| l.get(MODE)).is_some_and(|m| m == "ambient")
}

impl SetLint for Ambient {
    fn check(&self, all: &Scope<'_>, out: &mut Vec<Finding>) {
        for p in all.parts(Direction::Ingress) {
            let Some([ns]) = scope::home(&p.section.subject) else { continue };
            // Who opens nothing at all means it.
            let opens = p.section.rules.iter().any(|r| !fit::hopeless(r));
            let tunnel = || all.rules_around(Direction::Ingress, &p.section.subject).any(|a| fit::may_cover(a.rule, TUNNEL));
            if !p.section.default_deny || !opens || !takes_part(all.world, ns) || tunnel() {
                continue;
            }
            let text = format!(
                "{} isolates pods of {ns}, which is in Istio's ambient mesh ({MODE}=ambient), and no rule opens its tunnel, TCP port {TUNNEL}: nothing that the mesh carries gets in",
                p.policy.id.path()
            );
            out.push(Finding::new("ambient-port", Weight::Broken, p.policy, p.section.line, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const WEB: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec:\n  podSelector: {}\n  ingress:\n  - ports: [{port: 8080}]\n";
    const MESH: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}\n";

    #[test]
    fn the_tunnel_is_closed() {
        let drop = |port| scene(&[WEB]).drop(pod("shop", "a", "app=a"), pod("shop", "b", "app=b"), port, Some(D::Ingress));
        assert_eq!(ids(&drop(15008)), ["ambient-port"]);
        assert!(drop(15009).is_empty());
        assert!(scene(&[WEB]).drop(pod("shop", "b", "app=b"), outside("203.0.113.1"), 15008, Some(D::Egress)).is_empty());
    }

    #[test]
    fn the_same_in_a_set() {
        assert_eq!(found(&[WEB, MESH]), [("ambient-port", 6)]);
        assert_eq!(found(&[WEB]), [], "not known to be in a mesh");
        assert_eq!(found(&[WEB, &MESH.replace("ambient", "none")]), []);
        assert_eq!(found(&[&WEB.replace("8080}", "8080}, {port: 15008}"), MESH]), []);
        assert_eq!(found(&[&WEB.replace("  - ports: [{port: 8080}]\n", "  []\n"), MESH]), [], "closed on purpose");
    }
}
