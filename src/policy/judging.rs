//! How policies were judged, in words and for JSON: whose reading, and what could not be read. Decides nothing.
use super::{CILIUM, Enforcement, Engine, Options, PolicySet};
use crate::model::why::PolicyRef;
use crate::model::words::few;
use crate::world::World;
use serde::Serialize;

/// Policies named in a sentence.
const NAMED: usize = 5;

/// What an answer rests on besides the flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judging {
    pub engine: &'static str,
    /// Minor version of Cilium: `1.20`.
    pub cilium: String,
    pub enforcement: &'static str,
    pub host_firewall: bool,
    pub allow_localhost: &'static str,
    /// The cluster's network, where it enforces no policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unenforced: Option<&'static str>,
    /// Nothing is dropped, denials are only recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub audit: bool,
    /// Policies with L7 rules are refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_l7: bool,
    /// Minor version of Cilium that the agents run: `1.17`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    /// What was read from the cluster's own settings.
    #[serde(skip)]
    read: super::Which,
    /// Policies that were judged.
    pub policies: usize,
    /// Policies that were not: of a kind that is not understood, or refused.
    pub not_read: Vec<PolicyRef>,
}

impl Judging {
    pub fn of(opt: &Options, set: &PolicySet) -> Self {
        Self {
            engine: match opt.engine {
                Engine::Cilium => "cilium",
                Engine::Kubernetes => "kubernetes",
            },
            cilium: format!("1.{}", opt.cilium),
            enforcement: match opt.enforcement {
                Enforcement::Default => "default",
                Enforcement::Always => "always",
                Enforcement::Never => "never",
            },
            host_firewall: opt.host_firewall,
            unenforced: opt.unenforced,
            audit: opt.audit,
            without_l7: opt.without_l7,
            runs: opt.runs.map(|minor| format!("1.{minor}")),
            read: opt.read,
            allow_localhost: if opt.allow_localhost { "always" } else { "policy" },
            policies: set.len(),
            not_read: set.not_understood().iter().chain(set.refused()).map(|n| n.policy.clone()).collect(),
        }
    }

    /// What is not as it is by default; empty if all is.
    pub fn unusual(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.engine != "cilium" {
            out.push("as the Kubernetes API says".to_owned());
        } else if self.cilium != format!("1.{CILIUM}") {
            let from = if self.read.cilium { " (from the agents' image)" } else { "" };
            out.push(format!("as Cilium {} does{from}", self.cilium));
        }
        // Before 1.19 some rules meant another thing; of the later versions all are read alike.
        let differs =
            self.runs.as_ref().filter(|runs| self.engine == "cilium" && **runs != self.cilium && (old(runs) || old(&self.cilium)));
        if let Some(runs) = differs {
            out.push(format!("the agents run Cilium {runs} and policies are read as {} does (--cilium-version {runs})", self.cilium));
        }
        let from = |read: bool| if read { " (from cilium-config)" } else { "" };
        match self.unenforced {
            Some(network) => out.push(format!("{network} enforces no NetworkPolicy")),
            None if self.enforcement == "default" => {}
            None => out.push(format!("enforcement {}{}", self.enforcement, from(self.read.enforcement))),
        }
        if self.audit {
            out.push("policy-audit-mode on: nothing is dropped (from cilium-config)".to_owned());
        }
        if self.without_l7 {
            out.push("enable-l7-proxy off: policies with L7 rules are refused (from cilium-config)".to_owned());
        }
        if self.host_firewall {
            out.push(format!("host firewall on{}", from(self.read.host_firewall)));
        }
        if self.allow_localhost != "always" {
            out.push(format!("the local host by policy{}", from(self.read.allow_localhost)));
        }
        out
    }

    /// One line, where something is unusual or was not read.
    pub fn words(&self) -> Option<String> {
        let mut parts = self.unusual();
        if parts.is_empty() && self.not_read.is_empty() {
            return None;
        }
        parts.push(if self.policies == 1 { "with 1 policy".to_owned() } else { format!("with {} policies", self.policies) });
        if !self.not_read.is_empty() {
            let names = few(self.not_read.iter().map(|p| format!("{} {}", p.kind, p.path())), NAMED);
            parts.push(format!("not read: {names}"));
        }
        Some(parts.join(", "))
    }
}

/// Why what policies deny may pass all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posture {
    /// In two words.
    pub short: String,
    /// In a few.
    pub text: String,
}

impl Posture {
    fn of(short: &str, text: impl Into<String>) -> Option<Self> {
        Some(Self { short: short.to_owned(), text: text.into() })
    }
}

impl Options {
    /// Why what policies deny may pass in this cluster all the same, in a few words for a head line; `None`: nothing says so.
    pub fn posture(&self, world: &World) -> Option<Posture> {
        if let Some(network) = self.unenforced {
            return Posture::of("not enforced", format!("{network} enforces no policy"));
        }
        if self.enforcement == Enforcement::Never {
            return Posture::of("not enforced", "policy enforcement is off");
        }
        // What is on its way says nothing yet.
        if self.enforcement_unread(world).is_some_and(|fact| !fact.ends_with("loading")) {
            return Posture::of("enforced?", "enforcement is not known");
        }
        match (self.audit, self.enforces("NetworkPolicy")) {
            (true, _) => Posture::of("audit mode", "audit mode: nothing is dropped"),
            (false, false) => Posture::of("not enforced", "NetworkPolicy is not enforced"),
            (false, true) => None,
        }
    }
}

/// Whether a version of Cilium still has the rules that were taken out later.
fn old(version: &str) -> bool {
    version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor < 19)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Change, Kind, KindState};
    use crate::model::time::Nanos;
    use crate::world::yaml;
    use std::sync::Arc;

    #[test]
    fn a_cluster_that_lets_pass_what_policies_deny_says_so() {
        let of = |body: &str| {
            let mut w = World::new();
            yaml::read("s.yaml", body).0.into_iter().for_each(|d| w.apply(&Change::Apply(Arc::new(d))));
            Options::default().under(w.settings()).posture(&w).map(|p| p.text)
        };
        let config = |data: &str| {
            of(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {{{data}}}\n"))
        };
        assert_eq!((of(""), config("enable-policy: default")), (None, None));
        assert_eq!(config("policy-audit-mode: 'true'").as_deref(), Some("audit mode: nothing is dropped"));
        assert_eq!(config("enable-policy: never, policy-audit-mode: 'true'").as_deref(), Some("policy enforcement is off"));
        assert_eq!(config("enable-k8s-networkpolicy: 'false'").as_deref(), Some("NetworkPolicy is not enforced"));
        let flannel = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: kube-flannel-ds, namespace: kube-system}\n";
        assert_eq!(of(flannel).as_deref(), Some("kube-flannel enforces no policy"));
        let mut w = World::new();
        let mut note = |state| {
            w.apply_at(&Change::Kind(Kind { group: String::new(), kind: "ConfigMap".into(), state }), Some(Nanos(1)));
            Options::default().posture(&w).map(|p| p.text)
        };
        assert_eq!(note(KindState::Loading), None);
        assert_eq!(note(KindState::Forbidden("no".into())).as_deref(), Some("enforcement is not known"));
        let typed = super::super::Which { enforcement: true, ..Default::default() };
        assert_eq!(Options { typed, ..Options::default() }.posture(&w), None, "somebody said it");
    }

    #[test]
    fn what_is_as_usual_is_not_said() {
        let mut set = PolicySet::new();
        assert_eq!(Judging::of(&Options::default(), &set).words(), None);
        let calico: String = (0..7)
            .map(|i| format!("apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: g{i}}}\n---\n"))
            .collect();
        for d in yaml::read("p.yaml", &calico).0 {
            set.apply(&Change::Apply(Arc::new(d)));
        }
        let names = "not read: GlobalNetworkPolicy g0, GlobalNetworkPolicy g1, GlobalNetworkPolicy g2, GlobalNetworkPolicy g3, GlobalNetworkPolicy g4, 2 more";
        assert_eq!(Judging::of(&Options::default(), &set).words(), Some(format!("with 0 policies, {names}")));
        let opt =
            Options { cilium: 18, enforcement: Enforcement::Always, host_firewall: true, allow_localhost: false, ..Options::default() };
        let told = Judging::of(&opt, &PolicySet::new()).words();
        assert_eq!(
            told.as_deref(),
            Some("as Cilium 1.18 does, enforcement always, host firewall on, the local host by policy, with 0 policies")
        );
    }
}
