//! Default deny without a way to DNS: then whatever is called by name fails. Owns what counts as a rule that lets DNS out.
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, fit, place, scope};
use crate::model::observed::{Direction, L4};
use crate::model::why::Outcome;
use crate::policy::eval::{self, Traffic};
use crate::policy::ir::{PeerIs, Peers, Ports, Rule, Subject};
use crate::policy::selector::Tri;

const PORT: u16 = 53;

/// Where cluster DNS lives, in the distributions that are common.
const HOMES: &[&str] = &["kube-system", "openshift-dns"];

pub(super) struct Dns;

impl Lint for Dns {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let asks = c.traffic.port == Some(PORT) && matches!(c.traffic.l4, Some(L4::Udp | L4::Tcp));
        if c.why.outcome != Outcome::DefaultDeny || s.ask.direction != Direction::Egress || !asks {
            return None;
        }
        if s.rules().any(|a| lets_dns_out(a.rule)) {
            return other_transport(c, s);
        }
        let policy = s.judgement.isolating.first()?;
        let section = policy.sections.iter().find(|x| x.direction == Direction::Egress);
        let at = place(policy, section.map_or(policy.lines.0, |x| x.line));
        let peer = s.ask.peer;
        let label = ["k8s-app", "app.kubernetes.io/name"].iter().find_map(|k| Some(format!("{k}={}", peer.labels.get(Some("k8s"), k)?)));
        let to = match (peer.namespace.as_str(), label) {
            ("", _) => peer.display.clone(),
            (ns, Some(label)) => format!("{label} in {ns}"),
            (ns, None) => format!("namespace {ns}"),
        };
        let text = format!(
            "no policy lets {} ask for names, so whatever it calls by name fails too: allow egress to {to} on UDP and TCP port 53 ({at} isolates it)",
            s.ask.subject.display
        );
        Some(Diagnosis { id: "dns-not-allowed", text })
    }
}

/// DNS is let out to this very server, only not over this transport.
fn other_transport(c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
    let (l4, other) = if c.traffic.l4 == Some(L4::Tcp) { (L4::Tcp, L4::Udp) } else { (L4::Udp, L4::Tcp) };
    let swapped = Traffic { l4: Some(other), ..c.traffic.clone() };
    let ask = eval::Case { traffic: &swapped, ..s.ask };
    let at = s.rules().find(|a| fit::admits(a.rule, &ask) == Tri::Yes)?;
    let why = if l4 == L4::Tcp { "answers too large for one packet are asked for again over TCP" } else { "most questions go over UDP" };
    let text = format!("{} allows DNS over {} only ({}), and {why}: add {} port 53", at.words(), other.word(), at.place(), l4.word());
    Some(Diagnosis { id: "dns-one-transport", text })
}

/// Whether a rule may let a question out to some name server. One that names the port may; one for every port only if its peers
/// may be where name servers are.
fn lets_dns_out(rule: &Rule) -> bool {
    if fit::hopeless(rule) || !fit::may_cover(rule, PORT) {
        return false;
    }
    if fit::names(rule, PORT) {
        return true;
    }
    match &rule.peers {
        Peers::Any => true,
        Peers::Of(list) => list.iter().any(|p| match &p.is {
            PeerIs::Endpoints(s) => {
                scope::bound(s).is_none_or(|ns| ns.iter().any(|n| HOMES.contains(&n.as_str())) || matches!(rule.ports, Ports::Of(_)))
            }
            _ => true,
        }),
    }
}

impl SetLint for Dns {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for p in scope.parts(Direction::Egress) {
            if !p.section.default_deny || !matches!(p.section.subject, Subject::Endpoints(_)) {
                continue;
            }
            if scope.rules_around(Direction::Egress, &p.section.subject).any(|a: At<'_>| lets_dns_out(a.rule)) {
                continue;
            }
            let text = format!(
                "{} isolates egress, and no policy lets the pods it selects ask for names: allow UDP and TCP port 53 to kube-system, or all that they call by name fails",
                p.policy.id.path()
            );
            out.push(Finding::new("dns-not-allowed", Weight::Note, p.policy, p.section.line, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::{Direction as D, L4};

    const DENY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n";
    const ALLOW: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: dns, namespace: shop}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{namespaceSelector: {}}]\n    ports: [{protocol: UDP, port: 53}]\n";

    #[test]
    fn a_question_under_default_deny() {
        let dns = || pod("kube-system", "coredns", "k8s-app=kube-dns");
        let d = scene(&[DENY]).drop_l4(pod("shop", "cart", "app=cart"), dns(), L4::Udp, 53, Some(D::Egress));
        assert_eq!(ids(&d), ["dns-not-allowed"]);
        assert!(d[0].text.contains("to k8s-app=kube-dns in kube-system on UDP and TCP port 53 (f0.yaml:6"), "{}", d[0].text);
        // Another port is another matter.
        assert!(scene(&[DENY]).drop_l4(pod("shop", "cart", "app=cart"), dns(), L4::Udp, 54, Some(D::Egress)).is_empty());
        // DNS is let out, only not to this server.
        assert!(scene(&[DENY, ALLOW]).drop_l4(pod("shop", "cart", ""), outside("8.8.8.8"), L4::Udp, 53, Some(D::Egress)).is_empty());
        let d = scene(&[DENY, ALLOW]).drop_l4(pod("shop", "cart", ""), dns(), L4::Tcp, 53, Some(D::Egress));
        assert_eq!(ids(&d), ["dns-one-transport"]);
        assert!(d[0].text.starts_with("egress[0] of shop/dns allows DNS over UDP only (f1.yaml:8)"), "{}", d[0].text);
    }

    #[test]
    fn a_set_without_dns() {
        assert_eq!(found(&[DENY]), [("dns-not-allowed", 6)]);
        assert_eq!(found(&[DENY, ALLOW]), []);
        // Allowed for others only.
        assert_eq!(found(&[DENY, &ALLOW.replace("shop", "web")]), [("dns-not-allowed", 6)]);
        // A rule for every port of the own namespace reaches no name server; one for everybody does.
        let own = ALLOW.replace("    ports: [{protocol: UDP, port: 53}]\n", "").replace("namespaceSelector: {}", "podSelector: {}");
        assert_eq!(found(&[DENY, &own]).len(), 2);
        assert_eq!(found(&[DENY, &own.replace("podSelector: {}}]", "ipBlock: {cidr: 0.0.0.0/0}}]")]), []);
    }
}
