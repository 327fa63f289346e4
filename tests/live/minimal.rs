//! An agent that knows addresses, and the cluster's API beside it: the real binary attributes every drop as it does for an agent that tells
//! all, over gRPC, through a port-forward, and from a recording; where the fact cannot be known it says so.
use super::api::Api;
use super::traffic::{self, DROPS, Drop, NAMED, PAST};
use super::way::{at, relay};
use super::{flowhy, runtime, serve_at, text};
use flowhy::serve::{Listen, Ring, Running};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Two agents that tell of the same drops, and the API of their cluster, whose Relay is the one that knows less.
struct Both {
    _runtime: tokio::runtime::Runtime,
    api: Api,
    full: Running,
    minimal: Running,
    dir: tempfile::TempDir,
    config: PathBuf,
    drops: &'static [Drop],
}

impl Both {
    fn of(drops: &'static [Drop]) -> Self {
        Self::taught(drops, false)
    }

    /// With the answers of DNS, or without.
    fn taught(drops: &'static [Drop], answers: bool) -> Self {
        let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
        let (full, minimal) = (Ring::new(256), Ring::new(256));
        for (ring, all) in [(&full, traffic::answers(true)), (&minimal, traffic::answers(false))] {
            all.iter().filter(|_| answers).for_each(|(at, r)| assert!(!ring.push(*at, r)));
        }
        traffic::full(drops).iter().for_each(|(at, r)| assert!(!full.push(*at, r)));
        traffic::minimal(drops).iter().for_each(|(at, r)| assert!(!minimal.push(*at, r)));
        let (api, full, minimal) = runtime.block_on(async {
            (Api::start().await, serve_at(&full, Listen::loopback()).await, serve_at(&minimal, Listen::loopback()).await)
        });
        traffic::fill(&api);
        api.put(&relay("kube-system", "hubble-relay", 80, &[("relay-1", true)]));
        api.listen("kube-system/relay-1:4245", at(&minimal));
        let config = api.kubeconfig(dir.path(), "prod");
        Self { _runtime: runtime, api, full, minimal, dir, config, drops }
    }

    /// The lines that it prints, as JSON.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let home = self.dir.path();
        let o = flowhy(args).env("HOME", home).env("XDG_CONFIG_HOME", home).env("KUBECONFIG", &self.config).output().unwrap();
        assert_eq!(o.status.code(), Some(0), "{args:?}: {}", text(&o.stderr));
        text(&o.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// The explanation of every drop, but for when the policies were read.
    fn whys(&self, from: &[&str]) -> Vec<Value> {
        let all: Vec<&str> = ["observe"].iter().chain(from).chain(&["--verdict", "DROPPED", "--why", "-o", "jsonpb"]).copied().collect();
        let whys: Vec<_> = self.lines(&all).into_iter().map(|mut v| bare(v["why"].take())).collect();
        assert_eq!(whys.len(), self.drops.len(), "{all:?}");
        whys
    }

    fn told(&self, server: &Running) -> Vec<Value> {
        self.whys(&["--server", &server.address, "--kube-context", "prod", "--all"])
    }

    fn about(&self, i: usize) -> String {
        let d = &self.drops[i];
        format!("{} -> {} {} {}", d.from, d.to, d.what, if d.ingress { "in" } else { "out" })
    }
}

fn bare(mut why: Value) -> Value {
    let all = why.as_object_mut().unwrap();
    ["as_of", "because"].iter().for_each(|key| _ = all.remove(*key));
    why
}

/// Which policies are to blame, of what, on which side.
fn blamed(why: &Value) -> String {
    let policy = |p: &Value| {
        let word = |key: &str| p[key].as_str().unwrap_or("").to_owned();
        format!("{} {}/{}", word("kind"), word("namespace"), word("name"))
    };
    let policies: Vec<_> = why["policies"].as_array().into_iter().flatten().map(policy).collect();
    let side = why["direction"].as_str().unwrap_or("-");
    format!("{} {side} {}", why["outcome"].as_str().unwrap(), policies.join("+"))
}

fn counted(whys: &[Value]) -> BTreeMap<String, usize> {
    whys.iter().fold(BTreeMap::new(), |mut all, w| {
        *all.entry(blamed(w)).or_default() += 1;
        all
    })
}

#[test]
fn an_agent_that_knows_addresses_and_the_clusters_api_blame_the_same_policies_as_a_full_flow() {
    let both = Both::of(DROPS);
    let (full, minimal) = (both.told(&both.full), both.told(&both.minimal));
    let mut wrong = Vec::new();
    for (i, (told, got)) in full.iter().zip(&minimal).enumerate() {
        let outcome = if both.drops[i].rule { "denied-by-rule" } else { "default-deny" };
        let names = got["inferred"].as_array().is_some_and(|all| !all.is_empty());
        if blamed(told) != blamed(got) || told["outcome"] != outcome || !names || got["policies"][0].is_null() {
            wrong.push(format!("{}: {} | {} {} {}", both.about(i), blamed(told), blamed(got), got["missing"], got["text"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counted(&full).len() > 7, "{:#?}", counted(&full));

    // The way that Relay is found and reached; a recording of it, replayed without any cluster; and each by `why`.
    assert!(both.whys(&["-P", "--all"]) == minimal, "through the port-forward");
    let file = both.dir.path().join("yesterday.jsonl.zst").to_string_lossy().into_owned();
    both.lines(&["record", "-q", &file, "-P", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z"]);
    assert!(both.whys(&["--from", &file]) == minimal, "replayed");
    let asked = |from: &[&str]| counted(&both.lines(&[&["why", "-o", "json"], from, &["verdict:dropped"]].concat()));
    let server = |s: &Running| asked(&["--server", &s.address, "--kube-context", "prod"]);
    assert_eq!(server(&both.full), server(&both.minimal));
    assert_eq!(asked(&["--from", &file]), server(&both.minimal));
}

#[test]
fn a_name_that_dns_has_answered_with_is_known_for_an_agent_that_knows_addresses() {
    let both = Both::taught(NAMED, true);
    let (full, minimal) = (both.told(&both.full), both.told(&both.minimal));
    assert_eq!(counted(&full), counted(&minimal), "{full:#?} {minimal:#?}");
    assert_eq!([&full[0]["outcome"], &full[1]["outcome"]], ["now-allowed", "default-deny"], "{full:#?}");
    let nearest = |w: &Value| w["nearest"]["failed"][0]["got"].as_str().unwrap_or_default().to_owned();
    assert!(nearest(&minimal[1]).contains("hooks.stripe.com"), "{minimal:#?}");
    // Without the answers nobody knows the name: the drop itself says that no rule let it through, and whose rules those are is the same.
    let both = Both::of(NAMED);
    let unnamed = both.told(&both.minimal);
    assert!(unnamed.iter().all(|w| w["outcome"] == "default-deny" && w["policies"][0]["name"] == "ledger-out"), "{unnamed:#?}");
    assert!(unnamed.iter().all(|w| nearest(w).contains("no name known")), "{unnamed:#?}");
}

#[test]
fn whose_an_address_was_that_no_pod_has_now_is_undecidable_and_never_another_policy() {
    let both = Both::of(PAST);
    let (full, minimal) = (both.told(&both.full), both.told(&both.minimal));
    for (i, (told, got)) in full.iter().zip(&minimal).enumerate() {
        assert_eq!(told["outcome"], "default-deny", "{}: {told}", both.about(i));
        let missing = format!("labels:{}", traffic::address(both.drops[i].from));
        assert_eq!((&got["outcome"], &got["missing"][0]), (&"undecidable".into(), &missing.into()), "{}: {got}", both.about(i));
        assert!(got["policies"].as_array().is_none_or(Vec::is_empty), "{}: {got}", both.about(i));
    }
}

#[test]
fn what_of_a_cluster_may_not_be_read_is_told_once_without_a_screen() {
    let both = Both::of(PAST);
    both.api.forbid("ciliumnetworkpolicies.cilium.io", true);
    let heard = |more: &[&str]| {
        let args =
            [&["observe", "--server", &both.full.address, "--kube-context", "prod", "--all", "--why", "-o", "jsonpb"], more].concat();
        let home = both.dir.path();
        let o = flowhy(&args).env("HOME", home).env("XDG_CONFIG_HOME", home).env("KUBECONFIG", &both.config).output().unwrap();
        text(&o.stderr).to_owned()
    };
    let told = heard(&[]);
    assert_eq!(told.matches("warning: not every CiliumNetworkPolicy of prod may be read").count(), 1, "{told}");
    assert!(told.contains("cause: the right to list ciliumnetworkpolicies.cilium.io in all namespaces is missing"), "{told}");
    assert!(!heard(&["-q"]).contains("may be read"));
}
