//! The kinds of policy objects. Owns the table of kinds and the strict reading that they share; a new kind is a file and a line.
mod admin;
mod admin_ports;
mod cilium;
mod cilium_ports;
pub(crate) mod kafka;
mod networkpolicy;
pub(crate) mod read;

use super::ir::Policy;
use crate::model::doc::{Doc, Fault};
use crate::model::why::PolicyRef;
use crate::world::{DEFAULT_NAMESPACE, group};
use read::Reader;
use std::sync::Arc;

/// What became of an object.
pub enum Verdict {
    Policy(Policy),
    /// The object is not enforced.
    Refused(PolicyRef, Fault),
    NotUnderstood(PolicyRef),
    NoPolicy,
}

type Compile = fn(&Arc<Doc>, PolicyRef, &mut Reader<'_>) -> Result<Policy, Fault>;

/// One kind of policy.
pub struct Kind {
    pub group: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// `None`: a policy, but not understood yet.
    compile: Option<Compile>,
}

impl Kind {
    /// Whether its policies can be judged, and not only named.
    pub fn understood(&self) -> bool {
        self.compile.is_some()
    }
}

const fn known(group: &'static str, kind: &'static str, namespaced: bool, compile: Compile) -> Kind {
    Kind { group, kind, namespaced, compile: Some(compile) }
}

const fn later(group: &'static str, kind: &'static str, namespaced: bool) -> Kind {
    Kind { group, kind, namespaced, compile: None }
}

/// Every kind that is a policy.
pub const KINDS: &[Kind] = &[
    known("networking.k8s.io", "NetworkPolicy", true, networkpolicy::compile),
    known("extensions", "NetworkPolicy", true, networkpolicy::compile),
    known("cilium.io", "CiliumNetworkPolicy", true, cilium::compile),
    known("cilium.io", "CiliumClusterwideNetworkPolicy", false, cilium::compile),
    known("policy.networking.k8s.io", "AdminNetworkPolicy", false, admin::admin),
    known("policy.networking.k8s.io", "BaselineAdminNetworkPolicy", false, admin::baseline),
    known("policy.networking.k8s.io", "ClusterNetworkPolicy", false, admin::cluster),
    later("crd.projectcalico.org", "NetworkPolicy", true),
    later("crd.projectcalico.org", "GlobalNetworkPolicy", false),
    later("projectcalico.org", "NetworkPolicy", true),
    later("projectcalico.org", "GlobalNetworkPolicy", false),
    later("projectcalico.org", "StagedNetworkPolicy", true),
    later("projectcalico.org", "StagedGlobalNetworkPolicy", false),
    later("projectcalico.org", "StagedKubernetesNetworkPolicy", true),
    later("crd.projectcalico.org", "StagedNetworkPolicy", true),
    later("crd.projectcalico.org", "StagedGlobalNetworkPolicy", false),
    later("crd.projectcalico.org", "StagedKubernetesNetworkPolicy", true),
    later("crd.antrea.io", "NetworkPolicy", true),
    later("crd.antrea.io", "ClusterNetworkPolicy", false),
    later("security.antrea.tanzu.vmware.com", "NetworkPolicy", true),
    later("security.antrea.tanzu.vmware.com", "ClusterNetworkPolicy", false),
    later("security.istio.io", "AuthorizationPolicy", true),
    later("security.istio.io", "PeerAuthentication", true),
    // The audit log's own policy: no traffic depends on it, but who put it here expects a word.
    later("audit.k8s.io", "Policy", false),
];

/// Whether objects of this kind are policies.
pub fn is_policy(group: &str, kind: &str) -> bool {
    KINDS.iter().any(|k| k.group == group && k.kind == kind)
}

/// Compiles an object if it is a policy, as this minor version of Cilium would read it.
pub fn compile(doc: &Arc<Doc>, cilium: u32, faults: &mut Vec<Fault>) -> Verdict {
    let Some(kind) = KINDS.iter().find(|k| k.kind == doc.kind() && k.group == group(doc.api_version())) else {
        // A look-alike of an unknown group, or a vendor's own: never passed over in silence.
        if doc.kind().ends_with("NetworkPolicy") || KINDS.iter().any(|k| k.kind == doc.kind()) {
            let namespace = (!doc.namespace().is_empty()).then(|| doc.namespace().to_owned());
            let kind = format!("{} of {}", doc.kind(), if doc.api_version().is_empty() { "no apiVersion" } else { doc.api_version() });
            return Verdict::NotUnderstood(PolicyRef { kind, namespace, name: doc.name().to_owned(), rule: None });
        }
        return Verdict::NoPolicy;
    };
    let namespace = match (kind.namespaced, doc.namespace()) {
        (false, _) => None,
        (true, "") => Some(DEFAULT_NAMESPACE.to_owned()),
        (true, ns) => Some(ns.to_owned()),
    };
    let id = PolicyRef { kind: kind.kind.to_owned(), namespace, name: doc.name().to_owned(), rule: None };
    let Some(compile) = kind.compile else { return Verdict::NotUnderstood(id) };
    match compile(doc, id.clone(), &mut Reader { file: &doc.text.file, cilium, faults }) {
        Ok(p) => Verdict::Policy(p),
        Err(f) => Verdict::Refused(id, f),
    }
}

#[cfg(test)]
mod tests;
