//! A blanket policy over kube-system: what runs there serves the cluster itself. Owns what counts as blanket, and what it cuts.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, fit, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::ir::{Section, Subject};
use crate::policy::selector::{Op, Requirement, Selector};
use crate::world::labels::POD_NAMESPACE;

const HOME: &str = "kube-system";

pub(super) struct KubeSystem;

/// It isolates every pod of kube-system.
fn blanket(s: &Section) -> bool {
    let here = |r: &Requirement| r.implied && r.key == POD_NAMESPACE && r.values.iter().all(|v| v == HOME);
    matches!(&s.subject, Subject::Endpoints(sel) if s.default_deny && sel.all.iter().all(here))
}

impl Lint for KubeSystem {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if c.why.outcome != Outcome::DefaultDeny || s.ask.subject.namespace != HOME {
            return None;
        }
        let direction = s.ask.direction;
        let found =
            s.judgement.isolating.iter().find_map(|p| Some((p, p.sections.iter().find(|x| x.direction == direction && blanket(x))?)));
        let (policy, section) = found?;
        let what = if direction == Direction::Ingress && c.traffic.port == Some(53) {
            "the name servers of the whole cluster among them: let UDP and TCP port 53 in from everywhere".to_owned()
        } else {
            format!(
                "which run the cluster itself: write a rule for what {} needs, or leave kube-system out of default deny",
                s.ask.subject.display
            )
        };
        let text = format!(
            "{} isolates {} of every pod of kube-system ({}), {what}",
            policy.id.path(),
            direction.word(),
            place(policy, section.line)
        );
        Some(Diagnosis { id: "kube-system-isolated", text })
    }
}

impl SetLint for KubeSystem {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        let pods = Requirement::implied(POD_NAMESPACE, Op::In, vec![HOME.to_owned()], 0);
        let home = Subject::Endpoints(Selector { all: vec![pods], ..Selector::default() });
        for (direction, ports, cuts) in [
            (Direction::Ingress, &[53][..], "nothing may ask its name servers (port 53), so no pod of the cluster resolves a name"),
            (Direction::Egress, &[443, 6443][..], "its pods cannot reach the API server (port 443 or 6443)"),
        ] {
            let open = |n: u16| scope.rules_around(direction, &home).any(|a| !fit::hopeless(a.rule) && fit::may_cover(a.rule, n));
            let mut isolating = scope.around(direction, &home).filter(|p| blanket(p.section)).peekable();
            if isolating.peek().is_none() || ports.iter().any(|n| open(*n)) {
                continue;
            }
            for p in isolating {
                let text =
                    format!("{} isolates {} of every pod of kube-system, and no rule helps: {cuts}", p.policy.id.path(), direction.word());
                out.push(Finding::new("kube-system-isolated", Weight::Note, p.policy, p.section.line, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::{Direction as D, L4};

    const DENY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: kube-system}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n";
    const DNS: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: dns, namespace: kube-system}\nspec:\n  podSelector: {matchLabels: {k8s-app: kube-dns}}\n  ingress:\n  - ports: [{protocol: UDP, port: 53}]\n";

    #[test]
    fn the_clusters_own_traffic() {
        let coredns = || pod("kube-system", "coredns", "k8s-app=kube-dns");
        let d = scene(&[DENY]).drop_l4(pod("shop", "a", ""), coredns(), L4::Udp, 53, Some(D::Ingress));
        assert_eq!(ids(&d), ["kube-system-isolated"]);
        assert!(d[0].text.contains("(f0.yaml:6), the name servers of the whole cluster among them"), "{}", d[0].text);
        // A policy for some pods of it was thought about; another namespace is not the cluster's.
        assert!(scene(&[DNS]).drop(pod("shop", "a", ""), coredns(), 9153, Some(D::Ingress)).is_empty());
        let d = scene(&[&DENY.replace("kube-system", "shop")]).drop(pod("web", "a", ""), pod("shop", "b", ""), 80, Some(D::Ingress));
        assert!(d.is_empty());
    }

    #[test]
    fn the_same_in_a_set() {
        assert_eq!(found(&[DENY]), [("kube-system-isolated", 6)]);
        assert_eq!(found(&[DENY, DNS]), []);
        assert_eq!(found(&[&DENY.replace("kube-system", "shop")]), []);
        let all = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: all}\nspec:\n  endpointSelector: {}\n  ingress: [{}]\n";
        assert_eq!(found(&[all]), [("kube-system-isolated", 6)]);
        assert_eq!(found(&[&all.replace("endpointSelector: {}", "endpointSelector: {matchLabels: {app: a}}")]), []);
    }
}
