//! `toFQDNs` without the DNS rule that feeds it: Cilium learns addresses only from answers that pass its DNS proxy, and only a DNS
//! rule sends them there. Owns what counts as such a rule for a name.
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, allowing, fit, place};
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::ir::{L7Rules, Pattern, Peer, PeerIs, Peers, Ports, Rule};
use crate::policy::selector::Tri;
use crate::world::dns;

pub(super) struct Fqdn;

fn names(rule: &Rule) -> impl Iterator<Item = (&Peer, &Pattern)> {
    let list = if let Peers::Of(list) = &rule.peers { list.as_slice() } else { &[] };
    list.iter().filter_map(|p| if let PeerIs::Fqdn(pattern) = &p.is { Some((p, pattern)) } else { None })
}

/// Whether a DNS rule lets through questions for this name; for a pattern any DNS rule may.
fn feeds(rule: &Rule, name: &Pattern) -> bool {
    let Ports::Of(list) = &rule.ports else { return false };
    let exact = !name.text.contains('*');
    list.iter().any(|p| match &p.l7 {
        Some(L7Rules::Dns(rules)) => rules.iter().any(|r| !exact || r.pattern.regex.is_match(&dns::normal(&name.text))),
        _ => false,
    })
}

const ADVICE: &str = "add egress to kube-dns on port 53 with rules.dns (matchPattern \"*\" for any name)";

impl Lint for Fqdn {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let may_have_name = s.ask.peer.labels.is_world() || !s.ask.peer.known;
        if c.why.outcome != Outcome::DefaultDeny || s.ask.direction != Direction::Egress || !may_have_name {
            return None;
        }
        // A rule by name whose port fits, of which the name cannot.
        let at = s.rules().find(|a| names(a.rule).next().is_some() && fit::ports(a.rule, &s.ask) == Tri::Yes)?;
        let all: Vec<At<'_>> = allowing(s.judgement.sections()).collect();
        let (peer, pattern) = names(at.rule).next()?;
        if names(at.rule).any(|(_, n)| all.iter().any(|a| feeds(a.rule, n))) {
            return None;
        }
        let text = format!(
            "{} allows {} by name ({}), and no DNS rule for {} lets Cilium learn the addresses of that name: {ADVICE}",
            at.words(),
            pattern.text,
            place(at.policy, peer.lines.0),
            s.ask.subject.display
        );
        Some(Diagnosis { id: "fqdn-without-dns-rule", text })
    }
}

impl SetLint for Fqdn {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for p in scope.parts(Direction::Egress) {
            for rule in &p.section.rules {
                let Some((peer, pattern)) = names(rule).next() else { continue };
                let fed = |n: &Pattern| scope.rules_around(Direction::Egress, &p.section.subject).any(|a: At<'_>| feeds(a.rule, n));
                if names(rule).any(|(_, n)| fed(n)) {
                    continue;
                }
                let text = format!(
                    "{} of {} allows {} by name, and no DNS rule for the same pods lets Cilium learn its addresses, so it admits nothing: {ADVICE}",
                    rule.id,
                    p.policy.id.path(),
                    pattern.text
                );
                out.push(Finding::new("fqdn-without-dns-rule", Weight::Broken, p.policy, peer.lines.0, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const NAME: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec:\n  endpointSelector: {}\n  egress:\n  - toFQDNs: [{matchName: api.stripe.com}]\n    toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n";
    const DNS: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: dns, namespace: shop}\nspec:\n  endpointSelector: {}\n  egress:\n  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]\n    toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchPattern: '*'}]}}]\n";

    #[test]
    fn a_name_that_nothing_feeds() {
        let drop = |bodies: &[&str], port| scene(bodies).drop(pod("shop", "a", "app=a"), outside("203.0.113.9"), port, Some(D::Egress));
        let d = drop(&[NAME], 443);
        assert_eq!(ids(&d), ["fqdn-without-dns-rule"]);
        assert!(
            d[0].text.starts_with("egress[0] of shop/out allows api.stripe.com by name (f0.yaml:7), and no DNS rule for shop/a"),
            "{}",
            d[0].text
        );
        assert!(drop(&[NAME, DNS], 443).is_empty());
        assert!(drop(&[NAME], 80).is_empty(), "the port would not fit anyway");
        // A plain rule to the name server feeds nothing; neither does a rule for another name.
        let plain = DNS.replace(", rules: {dns: [{matchPattern: '*'}]}", "");
        assert_eq!(ids(&drop(&[NAME, &plain], 443)), ["fqdn-without-dns-rule"]);
        assert_eq!(ids(&drop(&[NAME, &DNS.replace("matchPattern: '*'", "matchName: x.org")], 443)), ["fqdn-without-dns-rule"]);
    }

    #[test]
    fn the_same_in_a_set() {
        let ids = |bodies: &[&str]| found(bodies).into_iter().filter(|(id, _)| *id == "fqdn-without-dns-rule").collect::<Vec<_>>();
        assert_eq!(ids(&[NAME]), [("fqdn-without-dns-rule", 7)]);
        assert_eq!(ids(&[NAME, DNS]), []);
        assert_eq!(ids(&[NAME, &DNS.replace("namespace: shop", "namespace: web")]), [("fqdn-without-dns-rule", 7)]);
        assert_eq!(
            ids(&[NAME, &DNS.replace("endpointSelector: {}", "endpointSelector: {matchLabels: {app: a}}")]),
            [],
            "for some of its pods at least"
        );
    }
}
