//! The Kubernetes API of the tests is one: kube's own watcher finds in it what it expects of a cluster.
use super::api::Api;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api as Of, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};

fn pod(name: &str, color: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: {name}, labels: {{color: {color}}}}}\nspec: {{containers: []}}\n"
    )
}

/// The next event that changes something, as a word.
async fn next(events: &mut (impl futures::Stream<Item = watcher::Result<Event<PartialObjectMeta<Pod>>>> + Unpin)) -> String {
    loop {
        let name = |p: &PartialObjectMeta<Pod>| p.metadata.name.clone().unwrap();
        match events.try_next().await.unwrap().unwrap() {
            Event::Init => return "list".to_owned(),
            Event::InitApply(p) => return format!("listed {}", name(&p)),
            Event::InitDone => {}
            Event::Apply(p) => return format!("applied {}", name(&p)),
            Event::Delete(p) => return format!("deleted {}", name(&p)),
        }
    }
}

#[tokio::test]
async fn lists_watches_and_their_ends_are_those_of_a_real_api() {
    let api = Api::start().await;
    ["a", "b", "c"].iter().for_each(|n| api.put(&pod(n, "red")));
    let pods: Of<Pod> = Of::all(api.client());
    let page = pods.list(&ListParams::default().limit(2)).await.unwrap();
    let token = page.metadata.continue_.unwrap();
    // A page that is still to come is of the version of the first.
    api.put(&pod("d", "blue"));
    let rest = pods.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.metadata.continue_), (2, 1, None));
    let red = pods.list(&ListParams::default().labels("color=blue")).await.unwrap();
    assert_eq!(red.items[0].metadata.name.as_deref(), Some("d"));

    let config = watcher::Config::default().page_size(3);
    let mut events = Box::pin(watcher::watcher(Of::<PartialObjectMeta<Pod>>::all(api.client()), config));
    for wanted in ["list", "listed a", "listed b", "listed c", "listed d"] {
        assert_eq!(next(&mut events).await, wanted);
    }
    api.put(&pod("a", "blue"));
    assert_eq!(next(&mut events).await, "applied a");
    api.end_watches();
    api.delete("pods", "shop", "b");
    assert_eq!(next(&mut events).await, "deleted b", "resumed where it was");
    api.change(|s| s.gone_as_event = true);
    api.end_watches();
    api.put(&pod("e", "red"));
    api.forget();
    // The watch that ended may have carried the last change or not; what is forgotten is listed again.
    loop {
        match events.try_next().await {
            Ok(Some(Event::InitApply(p))) if p.metadata.name.as_deref() == Some("e") => break,
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => panic!("a watcher does not end"),
        }
    }
}

#[tokio::test]
async fn discovery_tells_groups_and_refusals_name_what_is_refused() {
    let api = Api::start().await;
    let client = api.client();
    let groups = |g: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList| g.groups.into_iter().map(|g| g.name).collect::<Vec<_>>();
    let before = groups(client.list_api_groups().await.unwrap());
    api.install("cilium.io");
    let after = groups(client.list_api_groups().await.unwrap());
    assert!(!before.contains(&"cilium.io".to_owned()) && after.contains(&"cilium.io".to_owned()), "{before:?} {after:?}");
    let all = client.list_api_groups_aggregated().await.unwrap();
    assert_eq!(all.items.len(), after.len());
    let resources = client.list_api_group_resources("cilium.io/v2").await.unwrap().resources;
    assert!(resources.iter().any(|r| r.kind == "CiliumNetworkPolicy" && r.namespaced));

    api.forbid("pods", true);
    let e = Of::<Pod>::all(client.clone()).list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&e, kube::Error::Api(s) if s.code == 403), "{e:?}");
    api.down();
    assert!(Of::<Pod>::all(client.clone()).list(&ListParams::default()).await.is_err());
    api.up();
    api.forbid("pods", false);
    assert!(Of::<Pod>::all(client).list(&ListParams::default()).await.unwrap().items.is_empty());
    assert_eq!(api.requests("/api/v1/pods"), 2);
}
