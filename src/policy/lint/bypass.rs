//! L7 rules that refuse nothing: another rule opens the same port to the same peer without them, or the policy isolates nobody.
//!
//! Owns both views: of one request that passed, and of rules that can never refuse any.
use super::{Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, cover, place};
use crate::model::observed::Direction;
use crate::model::why::{Outcome, PolicyRef};
use crate::policy::eval::l7::{self, Request};
use crate::policy::ir::{Action, L7Rules, Port, Ports, Rule, Tier};
use crate::policy::selector::Tri;

pub(super) struct Bypass;

fn named(p: &PolicyRef) -> String {
    format!("{} of {}", p.rule.as_deref().unwrap_or("a rule"), p.path())
}

impl Lint for Bypass {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let j = s.judgement;
        let (Outcome::Allowed, Some(request), false) = (c.why.outcome, &c.traffic.request, j.l7_rules.is_empty()) else { return None };
        // Passed by rules that have no L7 rules at all.
        let by = j.passed_by.first().filter(|_| !j.passed_by.iter().any(|p| j.l7_rules.contains(p)))?;
        let all = |r: &PolicyRef| {
            let policy = c.set.find(r)?;
            policy.sections.iter().flat_map(|x| &x.rules).find(|x| Some(x.id.as_str()) == r.rule.as_deref())
        };
        let rules: Vec<&Rule> = j.l7_rules.iter().filter_map(all).collect();
        if rules.len() != j.l7_rules.len() || rules.iter().any(|r| lets_through(r, request)) {
            return None;
        }
        let text = format!(
            "the L7 rules of {} would refuse {}, but {} opens the same port without L7 rules, and then every request passes",
            j.l7_rules.first().map(named)?,
            request.words(),
            named(by)
        );
        Some(Diagnosis { id: "l7-rule-bypassed", text })
    }
}

fn lets_through(rule: &Rule, request: &Request) -> bool {
    let Ports::Of(list) = &rule.ports else { return true };
    list.iter().filter_map(|p| p.l7.as_ref()).any(|l| match (l, request) {
        (L7Rules::Http(rules), Request::Http(h)) => rules.iter().any(|r| l7::http(r, h, &mut Vec::new()) != Tri::No),
        (L7Rules::Dns(rules), Request::Dns(q)) => rules.iter().any(|r| r.pattern.regex.is_match(q)),
        _ => true,
    })
}

/// The ports that have L7 rules, or those that have none.
fn ports_with(rule: &Rule, l7: bool) -> Vec<&Port> {
    let Ports::Of(list) = &rule.ports else { return Vec::new() };
    list.iter().filter(|p| p.l7.is_some() == l7 && p.server_names.is_empty()).flat_map(|p| &p.ports).collect()
}

impl SetLint for Bypass {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            for p in scope.parts(direction).filter(|p| p.policy.tier == Tier::Normal) {
                for rule in p.section.rules.iter().filter(|r| r.action == Action::Allow) {
                    let filtered = ports_with(rule, true);
                    if filtered.is_empty() {
                        continue;
                    }
                    let line = rule.lines.0;
                    let whose = format!("the L7 rules of {} of {} refuse nothing", rule.id, p.policy.id.path());
                    if !p.section.default_deny {
                        let text = format!("{whose}: with enableDefaultDeny off every request passes");
                        out.push(Finding::new("l7-rules-refuse-nothing", Weight::Broken, p.policy, line, text));
                        continue;
                    }
                    let covers = |open: &Rule| {
                        let plain = ports_with(open, false);
                        let ports = matches!(open.ports, Ports::Any) || cover::all_within(filtered.iter().copied(), &plain);
                        ports && open.requires.is_empty() && cover::peers(&rule.peers, &open.peers)
                    };
                    let open = scope
                        .around(direction, &p.section.subject)
                        .filter(|q| q.policy.tier == Tier::Normal && cover::subject(&p.section.subject, &q.section.subject))
                        .find_map(|q| Some((q, q.section.rules.iter().find(|r| r.action == Action::Allow && covers(r))?)));
                    if let Some((q, open)) = open {
                        let at = place(q.policy, open.lines.0);
                        let text = format!(
                            "{whose}: {} of {} ({at}) opens the same port to the same peers without L7 rules",
                            open.id,
                            q.policy.id.path()
                        );
                        out.push(Finding::new("l7-rule-bypassed", Weight::Broken, p.policy, line, text));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::{Direction as D, L4, L7, Verdict};

    const GET: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: l7, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: b}}\n  ingress:\n  - fromEndpoints: [{matchLabels: {app: a}}]\n    toPorts:\n    - ports: [{port: '80', protocol: TCP}]\n      rules: {http: [{method: GET}]}\n";

    fn open(rule: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: open, namespace: shop}}\nspec:\n  podSelector: {{}}\n  ingress:\n  - {rule}\n"
        )
    }

    #[test]
    fn a_request_that_passed_beside_the_rule() {
        let passed = |bodies: &[&str], method: &str| {
            let mut o = dropped(pod("shop", "a", "app=a"), pod("shop", "b", "app=b"), L4::Tcp, 80, Some(D::Ingress));
            (o.verdict, o.drop_reason, o.event) = (Verdict::Forwarded, 0, Some((129, 0)));
            o.l7 = Some(L7::Http { method: method.into(), url: "http://b/x".into(), code: 0, headers: Vec::new() });
            scene(bodies).explain(&o)
        };
        let d = passed(&[GET, &open("ports: [{port: 80}]")], "PUT");
        assert_eq!(ids(&d), ["l7-rule-bypassed"]);
        assert_eq!(
            d[0].text,
            "the L7 rules of ingress[0] of shop/l7 would refuse PUT /x, but ingress[0] of shop/open opens the same port without L7 rules, and then every request passes"
        );
        assert!(passed(&[GET, &open("ports: [{port: 80}]")], "GET").is_empty(), "the rule allows it too");
        assert!(passed(&[GET], "GET").is_empty());
    }

    #[test]
    fn rules_that_never_refuse() {
        assert_eq!(found(&[GET, &open("ports: [{port: 80}]")]), [("l7-rule-bypassed", 7)]);
        assert_eq!(found(&[GET, &open("from: [{podSelector: {matchLabels: {app: a}}}]")]), [("l7-rule-bypassed", 7)]);
        assert_eq!(found(&[GET, &open("from: [{podSelector: {matchLabels: {app: c}}}]")]), []);
        assert_eq!(found(&[GET, &open("ports: [{port: 81}]")]), []);
        assert_eq!(found(&[GET, &open("ports: [{port: 80}]").replace("namespace: shop", "namespace: web")]), []);
        let off = GET.replace("spec:\n", "spec:\n  enableDefaultDeny: {ingress: false}\n");
        assert_eq!(found(&[&off]), [("l7-rules-refuse-nothing", 8)]);
        assert_eq!(found(&[GET]), []);
    }
}
