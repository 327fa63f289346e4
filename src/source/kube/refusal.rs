//! What a failed question to the Kubernetes API means, in plain words, with the right that is missing.
//!
//! Owns the translation of the client's errors. Asks nothing itself.
use crate::source::status::{Sort, Trouble, clean};
use kube::Error;
use std::fmt;

/// A right that a question needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right<'a> {
    pub verb: &'a str,
    /// As RBAC has it: `pods/portforward`.
    pub resource: &'a str,
    /// None: in all namespaces.
    pub namespace: Option<&'a str>,
}

impl fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{} {} in {namespace}", self.verb, self.resource),
            None => write!(f, "{} {} in all namespaces", self.verb, self.resource),
        }
    }
}

impl Right<'_> {
    /// What shows a user whether the right is there. `kubectl` may carry a context.
    pub fn check(&self, kubectl: &str) -> String {
        let place = self.namespace.map_or_else(|| "-A".to_owned(), |n| format!("-n {n}"));
        format!("{kubectl} auth can-i {} {} {place}", self.verb, self.resource)
    }
}

/// Whether the object or the kind is simply not there.
pub fn is_absent(e: &Error) -> bool {
    matches!(e, Error::Api(s) if s.code == 404)
}

pub fn is_forbidden(e: &Error) -> bool {
    matches!(e, Error::Api(s) if s.code == 403)
}

/// The meaning of an error. `kubectl`: how the user reaches this cluster from a shell.
pub fn trouble(e: &Error, right: Right<'_>, kubectl: &str) -> Trouble {
    match e {
        Error::Api(s) if s.code == 403 => {
            Trouble::new(format!("the right to {right} is missing{}", said(&s.message))).hint(right.check(kubectl)).sort(Sort::Refused)
        }
        Error::Api(s) if s.code == 401 => Trouble::new(format!("the cluster does not know who asks{}", said(&s.message)))
            .hint(format!("the credentials may have expired; does `{kubectl} get pods` work?"))
            .sort(Sort::Refused),
        Error::Api(s) => Trouble::new(format!("the Kubernetes API fails to {right} (HTTP {}){}", s.code, said(&s.message))),
        Error::Auth(e) => Trouble::new(format!("no credentials for the cluster: {}", deepest(e)))
            .hint(format!("does `{kubectl} get pods` work? It uses the same login"))
            .sort(Sort::Refused),
        Error::Service(_) | Error::HyperError(_) => Trouble::new(format!("the Kubernetes API does not answer: {}", deepest(e)))
            .hint(format!("is the cluster up, and the right one? `{kubectl} cluster-info`")),
        Error::SerdeError(_) => Trouble::new("what answers is no Kubernetes API").hint("is the address in the kubeconfig right?"),
        e => Trouble::new(format!("the Kubernetes API fails to {right}: {}", deepest(e))),
    }
}

/// In the API's own words, which name who asked.
fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {}", clean(message)) }
}

/// The innermost cause: the outer ones only say that there is one.
pub fn deepest(e: &(dyn std::error::Error + 'static)) -> String {
    let mut at = e;
    // Chains are short; the bound is against one that bites its tail.
    for _ in 0..16 {
        match at.source() {
            Some(next) => at = next,
            None => break,
        }
    }
    clean(at.to_string().split(" (os error").next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, message: &str) -> Error {
        let mut status = Status::failure(message, "");
        status.code = code;
        Error::Api(Box::new(status))
    }

    #[test]
    fn a_missing_right_is_named_and_can_be_looked_up() {
        let right = Right { verb: "get", resource: "pods/portforward", namespace: Some("kube-system") };
        let t = trouble(&api(403, "pods \"x\" is forbidden\u{1b}"), right, "kubectl --context prod");
        assert_eq!(t.cause, "the right to get pods/portforward in kube-system is missing: pods \"x\" is forbidden\u{fffd}");
        assert_eq!(t.hint.as_deref(), Some("kubectl --context prod auth can-i get pods/portforward -n kube-system"));
        assert_eq!(t.sort, Sort::Refused);
        let everywhere = Right { namespace: None, verb: "list", resource: "services" };
        assert_eq!(trouble(&api(403, ""), everywhere, "kubectl").cause, "the right to list services in all namespaces is missing");
        assert_eq!(everywhere.check("kubectl"), "kubectl auth can-i list services -A");
        assert_eq!(trouble(&api(500, "etcd"), right, "kubectl").sort, Sort::Passing);
        assert!(is_absent(&api(404, "")) && is_forbidden(&api(403, "")) && !is_absent(&api(403, "")));
    }
}
