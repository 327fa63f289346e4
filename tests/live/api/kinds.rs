//! The kinds that the Kubernetes API of the tests can serve. Owns names and versions, nothing of their contents.

/// One kind as the API serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

impl Kind {
    /// `pods`, `networkpolicies.networking.k8s.io`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

const fn kind(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str, namespaced: bool) -> Kind {
    Kind { group, version, plural, kind, namespaced }
}

pub const KINDS: &[Kind] = &[
    kind("", "v1", "namespaces", "Namespace", false),
    kind("", "v1", "pods", "Pod", true),
    kind("", "v1", "services", "Service", true),
    kind("", "v1", "nodes", "Node", false),
    kind("", "v1", "serviceaccounts", "ServiceAccount", true),
    kind("", "v1", "configmaps", "ConfigMap", true),
    kind("", "v1", "secrets", "Secret", true),
    kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true),
    kind("apps", "v1", "daemonsets", "DaemonSet", true),
    kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true),
    kind("cilium.io", "v2", "ciliumnetworkpolicies", "CiliumNetworkPolicy", true),
    kind("cilium.io", "v2", "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", false),
    kind("cilium.io", "v2", "ciliumcidrgroups", "CiliumCIDRGroup", false),
    kind("cilium.io", "v2", "ciliumendpoints", "CiliumEndpoint", true),
    kind("policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", false),
    kind("policy.networking.k8s.io", "v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy", false),
    kind("crd.projectcalico.org", "v1", "networkpolicies", "NetworkPolicy", true),
    kind("crd.projectcalico.org", "v1", "globalnetworkpolicies", "GlobalNetworkPolicy", false),
];

/// Groups that every cluster has; the others come with their CRDs.
pub const BUILT_IN: &[&str] = &["", "apps", "discovery.k8s.io", "networking.k8s.io"];
