//! A cluster's state as it comes into the feed: which kinds there are, every object once, every change, and what is said when the API
//! refuses, forgets or breaks.
use super::api::Api;
use flowhy::model::doc::Doc;
use flowhy::model::input::{At, Change, Input, KindState, Link};
use flowhy::model::time::Nanos;
use flowhy::source::kube::clock::Clock;
use flowhy::source::kube::config::Cluster;
use flowhy::source::kube::watch::{Pace, PolicyKind, Settled, Watch};
use flowhy::source::{Inbox, Source as _, Stop, channel};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::DropGuard;

const NETPOLS: &str = "/apis/networking.k8s.io/v1/networkpolicies";

fn policies() -> Vec<PolicyKind> {
    let kinds = flowhy::policy::kind::KINDS.iter();
    kinds.map(|k| PolicyKind { group: k.group.to_owned(), kind: k.kind.to_owned(), understood: k.understood() }).collect()
}

fn watch(api: &Api) -> Watch {
    settling(api).0
}

pub fn settling(api: &Api) -> (Watch, Settled) {
    let cluster = Cluster {
        client: api.client(),
        name: Arc::from("here"),
        namespace: "shop".to_owned(),
        kubectl: "kubectl".to_owned(),
        clock: Clock::default(),
    };
    // Fast where something comes back; a question that only an administrator answers differently is repeated when a test says so.
    let pace = Pace {
        first: Duration::from_millis(5),
        cap: Duration::from_millis(20),
        slow: Duration::from_secs(3600),
        quiet: Duration::from_secs(90),
    };
    let (mut watch, settled) = Watch::new(cluster, policies(), "kube-system".to_owned());
    watch.pace = pace;
    (watch, settled)
}

/// What came, in its order.
struct Seen {
    inbox: Inbox,
    waiting: VecDeque<At>,
    /// What was said last of the clock.
    skew: Option<String>,
    _stop: DropGuard,
}

impl Seen {
    fn of(watch: Watch) -> Self {
        let (feed, inbox) = channel(64);
        let stop = Stop::new();
        tokio::spawn(Box::new(watch).run(feed, stop.clone()));
        Self { inbox, waiting: VecDeque::new(), skew: None, _stop: stop.drop_guard() }
    }

    async fn next(&mut self) -> At {
        loop {
            if let Some(at) = self.waiting.pop_front() {
                assert_eq!(&*at.cluster, "here");
                return at;
            }
            let batch = tokio::time::timeout(Duration::from_secs(60), self.inbox.recv()).await.expect("something comes");
            for input in batch.expect("a watch does not end") {
                match input {
                    Input::World(at) => self.waiting.push_back(at),
                    Input::Link(Link::Skewed { told, .. }) => self.skew = told,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// The next that tells of this: an object as `KIND/NAMESPACE/NAME`, a kind as its name. As a word or two, with the document.
    async fn of_name(&mut self, name: &str) -> (String, Option<Arc<Doc>>) {
        loop {
            match self.next().await.change {
                Change::Apply(d) if d.text.file == name => return ("apply".to_owned(), Some(d)),
                Change::Remove(id) if format!("{}/{}/{}", id.kind, id.namespace, id.name) == name => return ("remove".to_owned(), None),
                Change::Kind(k) if k.kind == name => return (word(&k.state), None),
                _ => {}
            }
        }
    }

    async fn word(&mut self, name: &str) -> String {
        self.of_name(name).await.0
    }

    /// Everything until each kind is either known or known to be missing; the states by group and kind, and the objects' names.
    async fn settled(&mut self) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut states, mut objects) = (BTreeMap::new(), Vec::new());
        while states.is_empty() || states.values().any(|s| s == "loading") {
            match self.next().await.change {
                Change::Apply(d) => objects.push(d.text.file.clone()),
                Change::Kind(k) => {
                    states.insert(format!("{} {}", k.kind, k.group), word(&k.state));
                }
                other => panic!("{other:?}"),
            }
        }
        objects.sort();
        (states, objects)
    }
}

fn word(state: &KindState) -> String {
    match state {
        KindState::Loading => "loading".to_owned(),
        KindState::Synced => "synced".to_owned(),
        KindState::Absent => "absent".to_owned(),
        KindState::Forbidden(why) => format!("forbidden: {why}"),
        KindState::Stale(why) => format!("stale: {why}"),
    }
}

fn policy(name: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{namespace: shop, name: {name}}}\nspec: {{podSelector: {{}}, ingress: [{{ports: [{{port: {port}}}]}}]}}\n"
    )
}

fn pod(name: &str, phase: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: {name}}}\nspec: {{containers: []}}\nstatus: {{phase: {phase}}}\n"
    )
}

#[tokio::test]
async fn kinds_are_found_with_and_without_crds_by_new_and_old_discovery() {
    let api = Api::start().await;
    api.put(&policy("db", 5432));
    let (states, objects) = Seen::of(watch(&api)).settled().await;
    assert_eq!(objects, ["NetworkPolicy/shop/db"]);
    for (kind, state) in [
        ("NetworkPolicy networking.k8s.io", "synced"),
        ("NetworkPolicy extensions", "absent"),
        ("CiliumNetworkPolicy cilium.io", "absent"),
        ("Pod ", "synced"),
        ("EndpointSlice discovery.k8s.io", "synced"),
        ("DaemonSet apps", "synced"),
    ] {
        assert_eq!(states[kind], state, "{kind}");
    }
    for aggregated in [true, false] {
        api.change(|s| s.aggregated = aggregated);
        api.install("cilium.io");
        api.install("crd.projectcalico.org");
        if aggregated {
            api.put("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {namespace: shop, name: cache}\nspec: {endpointSelector: {}, ingress: [{}]}\n");
            api.put("apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {namespace: shop, name: calico}\nspec: {selector: all()}\n");
            api.put(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: kube-system, name: cilium-config}\ndata: {enable-policy: always}\n",
            );
            api.put("apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: kube-system, name: other}\ndata: {a: b}\n");
        }
        let (states, objects) = Seen::of(watch(&api)).settled().await;
        let wanted =
            ["CiliumNetworkPolicy/shop/cache", "ConfigMap/kube-system/cilium-config", "NetworkPolicy/shop/calico", "NetworkPolicy/shop/db"];
        assert_eq!(objects, wanted, "aggregated: {aggregated}");
        assert_eq!(states["CiliumClusterwideNetworkPolicy cilium.io"], "synced");
        assert_eq!(states["AdminNetworkPolicy policy.networking.k8s.io"], "absent");
    }
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_is_told_once_with_the_right_that_is_missing() {
    let api = Api::start().await;
    api.forbid("networkpolicies.networking.k8s.io", true);
    let mut watch = watch(&api);
    watch.pace.slow = Duration::from_millis(5);
    let mut seen = Seen::of(watch);
    assert_eq!(seen.word("NetworkPolicy").await, "loading");
    let told = loop {
        let told = seen.word("NetworkPolicy").await;
        if told != "loading" && told != "absent" {
            break told;
        }
    };
    assert!(told.starts_with("forbidden: the right to list networkpolicies.networking.k8s.io in all namespaces is missing"), "{told}");
    api.asked(NETPOLS, 5).await;
    api.put(&policy("db", 1));
    api.forbid("networkpolicies.networking.k8s.io", false);
    assert_eq!(seen.word("NetworkPolicy/shop/db").await, "apply", "and nothing was told twice in between");
    // The right may come between the question for all namespaces and the one for one.
    let told = loop {
        let told = seen.word("NetworkPolicy").await;
        if !told.ends_with("; only those in shop are read") {
            break told;
        }
    };
    assert_eq!(told, "synced");
}

#[tokio::test]
async fn who_may_read_one_namespace_only_gets_that_one_and_is_told_so() {
    let api = Api::start().await;
    api.put(&format!("{}---\n{}", policy("db", 1), policy("far", 1).replace("namespace: shop", "namespace: other")));
    api.put(&pod("a", "Running"));
    api.change(|s| s.only = Some("shop".to_owned()));
    let mut watch = watch(&api);
    watch.pace.slow = Duration::from_millis(5);
    let mut seen = Seen::of(watch);
    let (states, objects) = seen.settled().await;
    assert_eq!(objects, ["NetworkPolicy/shop/db", "Pod/shop/a"]);
    // As a whole the kind is one that may not be read: a policy of another namespace may be the one that matters.
    let policies = &states["NetworkPolicy networking.k8s.io"];
    assert!(
        policies.starts_with("forbidden: the right to list networkpolicies.networking.k8s.io in all namespaces is missing"),
        "{policies}"
    );
    assert!(policies.ends_with("; only those in shop are read"), "{policies}");
    assert!(states["Namespace "].starts_with("forbidden: ") && !states["Namespace "].contains("only those"), "{states:?}");
    api.put(&policy("db", 2));
    assert_eq!(seen.word("NetworkPolicy/shop/db").await, "apply", "its changes are followed");
    api.change(|s| s.only = None);
    assert_eq!(seen.word("NetworkPolicy/other/far").await, "apply");
    assert_eq!(seen.word("NetworkPolicy").await, "synced");
}

#[tokio::test]
async fn a_right_that_is_lost_in_mid_run_deletes_nothing_in_the_other_namespaces() {
    let api = Api::start().await;
    let far = policy("far", 1).replace("namespace: shop", "namespace: other");
    api.put(&format!("{}---\n{far}", policy("db", 1)));
    let mut seen = Seen::of(watch(&api));
    seen.settled().await;
    api.asked(&format!("{NETPOLS}?watch"), 1).await;
    // The watch that runs goes on; what is asked after it is refused.
    api.change(|s| s.only = Some("shop".to_owned()));
    api.put(&policy("db", 2));
    assert_eq!(seen.word("NetworkPolicy/shop/db").await, "apply");
    api.put(&pod("a", "Running"));
    api.forget();
    let mut told = Vec::new();
    while told.last().is_none_or(|t: &String| !t.ends_with("; only those in shop are read")) {
        match seen.next().await.change {
            Change::Remove(id) => told.push(format!("remove {}/{}", id.namespace, id.name)),
            // That changes were missed meanwhile is said as well.
            Change::Kind(k) if matches!(k.state, KindState::Stale(_)) => {}
            Change::Kind(k) if (k.kind.as_str(), k.group.as_str()) == ("NetworkPolicy", "networking.k8s.io") => told.push(word(&k.state)),
            _ => {}
        }
    }
    assert!(told.len() == 2 && told[0].starts_with("forbidden: "), "that the others may not be read, and nothing is gone: {told:?}");
    api.delete("networkpolicies.networking.k8s.io", "shop", "db");
    assert_eq!(seen.word("NetworkPolicy/shop/db").await, "remove", "its own namespace is followed");
}

#[tokio::test]
async fn every_change_comes_and_what_changes_nothing_does_not() {
    let api = Api::start().await;
    api.put(&format!("{}---\n{}", policy("db", 1), policy("web", 1)));
    api.put(&pod("a", "Running"));
    let mut seen = Seen::of(watch(&api));
    seen.settled().await;
    api.put(&policy("db", 2));
    let (word, doc) = seen.of_name("NetworkPolicy/shop/db").await;
    let body = &doc.unwrap().text.body;
    assert!(word == "apply" && body.contains("port: 2"), "{body}");
    // The same again, with a new version: nothing of it is news.
    api.put(&policy("db", 2));
    api.delete("networkpolicies.networking.k8s.io", "shop", "web");
    api.put(&policy("new", 1));
    let mut told = Vec::new();
    while told.last().is_none_or(|t| t != "apply NetworkPolicy/shop/new") {
        told.push(match seen.next().await.change {
            Change::Apply(d) => format!("apply {}", d.text.file),
            Change::Remove(id) => format!("remove {}/{}", id.kind, id.name),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(told, ["remove NetworkPolicy/web", "apply NetworkPolicy/shop/new"]);
    // A pod that has ended, and a status that nobody reads.
    api.put(&pod("a", "Succeeded"));
    assert_eq!(seen.word("Pod/shop/a").await, "apply");
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_and_lists_again_only_when_the_place_is_forgotten() {
    let api = Api::start().await;
    ["a", "b", "c"].iter().for_each(|n| api.put(&policy(n, 1)));
    let mut seen = Seen::of(watch(&api));
    seen.settled().await;
    let watched = format!("{NETPOLS}?watch");
    api.asked(&watched, 1).await;
    // A bookmark moves the place on: what is forgotten before it is not missed.
    api.change(|s| s.bookmark());
    api.put(&policy("a", 2));
    assert_eq!(seen.word("NetworkPolicy/shop/a").await, "apply");
    api.end_watches();
    api.asked(&watched, 2).await;
    api.cut();
    api.put(&policy("b", 2));
    assert_eq!(seen.word("NetworkPolicy/shop/b").await, "apply", "what happened while nobody listened");
    assert_eq!(api.requests(NETPOLS), 1, "nothing was listed again");

    for as_event in [false, true] {
        api.change(|s| s.gone_as_event = as_event);
        let lists = api.requests(NETPOLS);
        api.down();
        // Gone while nobody listened, and nothing that is left tells of it.
        api.delete("networkpolicies.networking.k8s.io", "shop", if as_event { "a" } else { "b" });
        api.put(&policy("d", if as_event { 2 } else { 1 }));
        api.forget();
        api.up();
        let mut told = Vec::new();
        while told.len() < 2 {
            match seen.next().await.change {
                Change::Apply(d) if d.kind() == "NetworkPolicy" => told.push(d.text.file.clone()),
                Change::Remove(id) => told.push(format!("no {}", id.name)),
                _ => {}
            }
        }
        assert_eq!(told, ["NetworkPolicy/shop/d", if as_event { "no a" } else { "no b" }]);
        assert_eq!(api.requests(NETPOLS), lists + 1);
    }
}

/// What is told of policies until their kind is known again, each with its time.
async fn mended(seen: &mut Seen) -> Vec<(String, Nanos)> {
    let mut told = Vec::new();
    while told.last().is_none_or(|(what, _)| what != "synced") {
        let At { at, change, .. } = seen.next().await;
        let what = match change {
            Change::Apply(d) if d.kind() == "NetworkPolicy" => "apply".to_owned(),
            Change::Remove(id) => format!("no {}", id.name),
            Change::Kind(k) if (k.kind.as_str(), k.group.as_str()) == ("NetworkPolicy", "networking.k8s.io") => word(&k.state),
            _ => continue,
        };
        told.push((what, at.unwrap()));
    }
    told
}

#[tokio::test]
async fn what_was_missed_since_the_last_word_is_told_as_a_gap_that_begins_there() {
    let api = Api::start().await;
    ["a", "b"].iter().for_each(|n| api.put(&policy(n, 1)));
    let mut seen = Seen::of(watch(&api));
    seen.settled().await;
    let watched = format!("{NETPOLS}?watch");
    api.asked(&watched, 1).await;
    let heard = Nanos::from(SystemTime::now());
    api.hold(NETPOLS);
    api.delete("networkpolicies.networking.k8s.io", "shop", "b");
    assert_eq!(seen.word("NetworkPolicy/shop/b").await, "remove");
    // It went on without us, and nobody says since when.
    api.change(|s| {
        s.bookmark();
        s.forget();
    });
    api.asked(NETPOLS, 2).await;
    let listed = Nanos::from(SystemTime::now());
    api.release(NETPOLS);
    let told = mended(&mut seen).await;
    let words: Vec<_> = told.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(words, ["stale: the Kubernetes API could not tell what has changed since", "synced"]);
    assert!(heard <= told[0].1 && told[0].1 <= listed && listed <= told[1].1, "{told:?}");
}

#[tokio::test]
async fn a_watch_that_is_heard_of_again_after_a_long_silence_was_not_watched_meanwhile() {
    let api = Api::start().await;
    api.put(&policy("a", 1));
    let mut watch = watch(&api);
    watch.pace.quiet = Duration::ZERO;
    let mut seen = Seen::of(watch);
    assert_eq!(mended(&mut seen).await.last().map(|(what, _)| what.as_str()), Some("synced"));
    // From the list to the watch it is as long as from one watch to the next.
    let told = mended(&mut seen).await;
    assert!(told.len() == 2 && told[0].0 == "stale: nothing was heard of the watch" && told[0].1 < told[1].1, "{told:?}");
    api.asked(&format!("{NETPOLS}?watch"), 1).await;
    // A connection that was silent and is not dead: its first word ends the silence.
    api.change(|s| s.bookmark());
    api.change(|s| s.bookmark());
    let told = mended(&mut seen).await;
    assert!(told.len() == 2 && told[0].0.starts_with("stale: ") && told[0].1 < told[1].1, "{told:?}");
}

#[tokio::test]
async fn an_api_that_is_slow_breaks_or_comes_late_is_told_and_waited_for() {
    let api = Api::start().await;
    api.put(&policy("db", 1));
    api.down();
    let (watch, settled) = settling(&api);
    let mut seen = Seen::of(watch);
    assert_eq!(seen.word("Pod").await, "loading");
    let told = seen.word("Pod").await;
    assert!(told.starts_with("stale: the Kubernetes API does not answer"), "{told}");
    tokio::time::timeout(Duration::from_secs(60), settled.wait()).await.expect("that it is not known is known of every kind");
    api.hold(NETPOLS);
    api.up();
    assert_eq!(seen.word("Pod").await, "synced");
    api.asked(NETPOLS, 1).await;
    // Slow: it is not known yet, whatever else is.
    api.release(NETPOLS);
    assert_eq!(seen.word("NetworkPolicy/shop/db").await, "apply");
    assert_eq!(seen.word("NetworkPolicy").await, "synced");
    api.asked(&format!("{NETPOLS}?watch"), 1).await;
    api.down();
    assert!(seen.word("NetworkPolicy").await.starts_with("stale: "));
    api.up();
    assert_eq!(seen.word("NetworkPolicy").await, "synced", "as soon as the watch is back, without a change to tell of it");
}

#[tokio::test]
async fn a_kind_comes_with_its_crds_and_goes_with_them() {
    let api = Api::start().await;
    let mut watch = watch(&api);
    watch.pace.slow = Duration::from_millis(20);
    let mut seen = Seen::of(watch);
    seen.settled().await;
    api.install("cilium.io");
    api.put(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {namespace: shop, name: cache}\nspec: {endpointSelector: {}}\n",
    );
    assert_eq!(seen.word("CiliumNetworkPolicy").await, "loading");
    assert_eq!(seen.word("CiliumNetworkPolicy/shop/cache").await, "apply");
    assert_eq!(seen.word("CiliumNetworkPolicy").await, "synced");
    api.change(|s| s.groups.remove("cilium.io"));
    api.cut();
    assert_eq!(seen.word("CiliumNetworkPolicy/shop/cache").await, "remove");
    assert_eq!(seen.word("CiliumNetworkPolicy").await, "absent");
}

#[tokio::test]
async fn a_change_has_the_time_of_its_write_and_a_removal_that_at_which_it_was_seen() {
    let api = Api::start().await;
    let written = |port: u16, time: &str| {
        policy("db", port).replace(
            "name: db}",
            &format!(
                "name: db, creationTimestamp: \"2026-01-01T00:00:00Z\", managedFields: [{{manager: kubectl-edit, time: \"{time}\"}}, \
                 {{manager: cilium, subresource: status, time: \"2026-03-01T00:00:00Z\"}}]}}"
            ),
        )
    };
    api.put(&written(1, "2026-01-02T00:00:00Z"));
    let mut seen = Seen::of(watch(&api));
    let mut apply = async |api: Option<String>, manifest: &Api| {
        api.iter().for_each(|m| manifest.put(m));
        loop {
            let at = seen.next().await;
            match at.change {
                Change::Apply(d) => return (at.at.unwrap().to_string(), d),
                Change::Remove(_) => return (at.at.unwrap().to_string(), Arc::new(flowhy::world::yaml::read("", "a: b").0.remove(0))),
                _ => {}
            }
        }
    };
    let (at, doc) = apply(None, &api).await;
    assert_eq!(at, "2026-01-02T00:00:00Z");
    assert_eq!(doc.live.as_ref().unwrap().changed.as_ref().unwrap().by, "kubectl-edit");
    api.asked(&format!("{NETPOLS}?watch"), 1).await;
    assert_eq!(apply(Some(written(2, "2026-04-01T00:00:00Z")), &api).await.0, "2026-04-01T00:00:00Z");
    // A write without a time of its own is not older than what it replaces.
    let (at, _) = apply(Some(written(3, "2026-02-01T00:00:00Z")), &api).await;
    assert!(at.as_str() > "2026-04-01", "{at}");
    api.delete("networkpolicies.networking.k8s.io", "shop", "db");
    assert!(apply(None, &api).await.0.as_str() > "2026-04-01");
}

#[tokio::test]
async fn lists_and_removals_are_dated_by_the_clusters_clock_where_this_machines_is_minutes_off() {
    for ahead in [-300, 300] {
        let api = Api::start().await;
        api.change(|s| s.ahead = ahead);
        api.put("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec: {podSelector: {}}\n");
        let watch = watch(&api);
        let clock = watch.cluster.clock.clone();
        let mut seen = Seen::of(watch);
        let off = |at: &At| at.at.unwrap().since(SystemTime::now().into()) / Nanos::SECOND - ahead;
        loop {
            let at = seen.next().await;
            if matches!(&at.change, Change::Kind(k) if k.kind == "NetworkPolicy" && k.group == "networking.k8s.io" && k.state == KindState::Synced)
            {
                assert!(off(&at).abs() < 100, "{ahead}: the list is {} s off", off(&at));
                break;
            }
        }
        api.delete("networkpolicies.networking.k8s.io", "shop", "a");
        loop {
            let at = seen.next().await;
            if matches!(at.change, Change::Remove(_)) {
                assert!(off(&at).abs() < 100, "{ahead}: the removal is {} s off", off(&at));
                break;
            }
        }
        let word = if ahead > 0 { "s behind that of here" } else { "s ahead of that of here" };
        assert!(clock.trouble("here").unwrap().contains(word), "{:?}", clock.trouble("here"));
        assert!(seen.skew.as_ref().is_some_and(|told| told.contains(word)), "the screen hears it too: {:?}", seen.skew);
    }
}
