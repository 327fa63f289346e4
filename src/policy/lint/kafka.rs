//! Kafka (and generic L7) rules that newer Cilium prunes: what is left is a plain port rule. Owns the names of what is gone.
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight};
use crate::model::doc::Node;
use crate::model::observed::Direction;
use crate::model::why::Outcome;
use crate::policy::Options;

/// The first minor version without them.
const GONE_SINCE: u32 = 19;
const GONE: &[&str] = &["kafka", "l7proto", "l7"];

pub(super) struct Kafka;

/// Key and line of what is pruned from a rule.
fn pruned(at: &At<'_>, opt: &Options) -> Option<(&'static str, u32)> {
    if opt.cilium < GONE_SINCE || !at.policy.id.kind.starts_with("Cilium") {
        return None;
    }
    let ports = at.policy.node(&at.rule.id)?.get("toPorts").map(Node::seq).unwrap_or_default();
    let rules = ports.iter().filter_map(|p| p.get("rules")).flat_map(Node::map);
    rules.filter_map(|e| Some((*GONE.iter().find(|g| **g == e.key)?, e.line))).next()
}

fn words(at: &At<'_>, key: &str, line: u32) -> String {
    format!(
        "`{key}` rules of {} ({}) are gone from Cilium 1.{GONE_SINCE} on: what is left opens the port, and every request passes",
        at.words(),
        super::place(at.policy, line)
    )
}

impl Lint for Kafka {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        if c.why.outcome != Outcome::Allowed || c.opt.cilium < GONE_SINCE {
            return None;
        }
        s.judgement.attributed.iter().find_map(|r| {
            let policy = c.set.find(r)?;
            let (section, rule) =
                policy.sections.iter().find_map(|x| Some((x, x.rules.iter().find(|y| Some(y.id.as_str()) == r.rule.as_deref())?)))?;
            let at = At { policy, section, rule };
            let (key, line) = pruned(&at, c.opt)?;
            Some(Diagnosis { id: "kafka-rules-pruned", text: words(&at, key, line) })
        })
    }
}

impl SetLint for Kafka {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            for p in scope.parts(direction) {
                for rule in &p.section.rules {
                    let at = At { policy: p.policy, section: p.section, rule };
                    if let Some((key, line)) = pruned(&at, scope.opt) {
                        let f = Finding::new("kafka-rules-pruned", Weight::Broken, p.policy, line, words(&at, key, line));
                        out.push(Finding { fault: true, ..f });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::{Direction as D, L4, Verdict};

    const RULES: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: '9092', protocol: TCP}]\n      rules:\n        kafka: [{role: produce, topic: orders}]\n";

    #[test]
    fn what_is_left_is_a_plain_rule() {
        let passed = |body: &str| {
            let mut o = dropped(pod("shop", "a", "app=a"), pod("shop", "b", "app=b"), L4::Tcp, 9092, Some(D::Ingress));
            (o.verdict, o.drop_reason) = (Verdict::Forwarded, 0);
            scene(&[body]).explain(&o)
        };
        assert_eq!(ids(&passed(RULES)), ["kafka-rules-pruned"]);
        assert_eq!(found(&[RULES]), [("kafka-rules-pruned", 10)]);
        let http = RULES.replace("kafka: [{role: produce, topic: orders}]", "http: [{}]");
        assert!(passed(&http).is_empty() && found(&[&http]).is_empty());
        let old = scene_of(&[RULES], crate::policy::Options { cilium: 18, ..Default::default() });
        assert!(old.findings().is_empty(), "1.18 still has them");
    }
}
