//! Objects that are not what they look like: refused as a whole, or with a key that stands twice. Owns what to do about each reason.
use super::{Finding, Scope, SetLint, Weight};
use crate::policy::valid::not_valid;

pub(super) struct Refused;

/// What mends it, by a word of the reason.
const MEND: &[(&str, &str)] = &[
    ("Requires", "write the peers as fromEndpoints or toEndpoints, with all the labels they must have"),
    ("no rule in", "write `ingress: [{}]` (or egress) for a default deny; an empty list is no rule"),
    ("may not stand in one rule", "make it two rules"),
];

impl SetLint for Refused {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        for r in scope.set.refused() {
            let mend = MEND.iter().find(|(word, _)| r.what.contains(word)).map_or(String::new(), |(_, mend)| format!("; {mend}"));
            let text = format!("{} {} is refused and enforces nothing: {}{mend}", r.policy.kind, r.policy.path(), r.what);
            let (file, policy) = (r.file.clone(), Some(r.policy.clone()));
            out.push(Finding { id: "policy-refused", weight: Weight::Broken, policy, file, line: r.line, text, fault: true });
        }
        for policy in scope.set.iter() {
            if let Some(text) = not_valid(policy) {
                out.push(Finding::new("policy-not-valid", Weight::Broken, policy, policy.lines.0, text));
            }
            for t in &policy.doc.twice {
                let text = format!(
                    "`{}` stands twice in {}: kubectl refuses that, and where it is taken all that stands under line {} is lost; join the two",
                    t.key,
                    policy.id.path(),
                    t.lines.0
                );
                let f = Finding::new("duplicate-key", Weight::Broken, policy, t.lines.1, text);
                out.push(Finding { fault: true, ..f });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn cnp(spec: &str) -> String {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: c, namespace: shop}}\nspec:\n  endpointSelector: {{}}\n{spec}"
        )
    }

    #[test]
    fn a_refused_policy_says_what_mends_it() {
        for (spec, mend) in [
            ("  ingress:\n  - fromRequires: [{matchLabels: {app: a}}]\n", "write the peers as fromEndpoints"),
            ("  ingress: []\n", "write `ingress: [{}]`"),
            ("  ingress:\n  - fromEndpoints: [{}]\n    fromEntities: [world]\n", "make it two rules"),
        ] {
            let f = scene(&[&cnp(spec)]).findings();
            assert_eq!((f.len(), f[0].id, f[0].fault), (1, "policy-refused", true), "{spec}");
            assert!(f[0].text.contains("enforces nothing") && f[0].text.contains(mend), "{}", f[0].text);
        }
        assert_eq!(found(&[&cnp("  ingress: [{}]\n")]).iter().filter(|f| f.0 == "policy-refused").count(), 0);
    }

    #[test]
    fn what_cilium_itself_calls_not_valid() {
        let status =
            |word: &str| format!("{}status: {{conditions: [{{type: Valid, status: '{word}', message: bad}}]}}\n", cnp("  ingress: [{}]\n"));
        let of = |word: &str| found(&[&status(word)]).into_iter().filter(|f| f.0 == "policy-not-valid").count();
        assert_eq!((of("False"), of("True")), (1, 0));
    }

    #[test]
    fn a_key_that_stands_twice() {
        let twice = cnp("  ingress: [{fromEntities: [host]}]\n  ingress: [{fromEntities: [world]}]\n");
        assert_eq!(found(&[&twice]), [("duplicate-key", 7)]);
        // As JSON, and in one item of a list only.
        let json = r#"{"kind":"List","apiVersion":"v1","items":[{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"a"},"spec":{"endpointSelector":{},"ingress":[{"fromEntities":["host"]}]}},
{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"b"},"spec":{"endpointSelector":{},"ingress":[{"fromEntities":["host"]}],"ingress":[{"fromEntities":["world"]}]}}]}"#;
        let f = scene(&[json]).findings();
        assert_eq!(
            f.iter().map(|f| (f.id, f.policy.as_ref().unwrap().name.as_str(), f.line)).collect::<Vec<_>>(),
            [("duplicate-key", "b", 2)]
        );
    }
}
