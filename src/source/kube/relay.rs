//! Where Hubble Relay is in a cluster: its service, one of its ready pods, the port there.
//!
//! Owns how it is looked for. Asks anew each time: pods come and go.
use super::config::Cluster;
use super::refusal::{Right, is_absent, is_forbidden, trouble};
use crate::source::status::{Sort, Trouble, clean};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::ListParams;

/// Its service's name, in Cilium's and in Retina's chart.
pub const SERVICE: &str = "hubble-relay";
/// What its service is marked with, whatever its name and namespace.
const LABEL: &str = "k8s-app=hubble-relay";
/// The namespace that is looked at first.
pub const NAMESPACE: &str = "kube-system";

/// A pod of Relay, and the port it listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub namespace: String,
    pub pod: String,
    pub port: u16,
    /// The service's port: 443 where the chart has switched TLS on.
    pub outer: i32,
}

/// Looks for it: by name in `namespace`, then by label everywhere.
pub async fn find(cluster: &Cluster, namespace: &str) -> Result<Place, Trouble> {
    let service = service(cluster, namespace).await?;
    let namespace = service.metadata.namespace.clone().unwrap_or_else(|| namespace.to_owned());
    let name = clean(service.metadata.name.as_deref().unwrap_or(SERVICE));
    let spec = service.spec.unwrap_or_default();
    let port = spec.ports.unwrap_or_default().into_iter().next();
    let port = port.ok_or_else(|| Trouble::new(format!("the service {name} in {} has no port", clean(&namespace))))?;
    let selector: Vec<_> = spec.selector.unwrap_or_default().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    if selector.is_empty() {
        return Err(Trouble::new(format!("the service {name} in {} selects no pods", clean(&namespace)))
            .hint("it leads elsewhere; name that place: --server ADDR"));
    }
    let selector = selector.join(",");
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &namespace).list(&ListParams::default().labels(&selector)).await;
    let right = Right { verb: "list", resource: "pods", namespace: Some(&namespace) };
    let pods = pods.map_err(|e| trouble(&e, right, &cluster.kubectl))?.items;
    let Some(pod) = ready(&pods) else {
        return Err(Trouble::new(match pods.len() {
            0 => format!("the service {name} in {} has no pod", clean(&namespace)),
            n => format!("none of the {n} pods of {name} in {} is ready", clean(&namespace)),
        })
        .hint(format!("{} -n {} get pods -l {}", cluster.kubectl, clean(&namespace), clean(&selector))));
    };
    let inner = inner(pod, port.target_port.as_ref(), port.port).ok_or_else(|| {
        let wanted = match &port.target_port {
            Some(IntOrString::String(name)) => clean(name),
            _ => port.port.to_string(),
        };
        Trouble::new(format!("no container of the pod {} has the port {wanted} that the service names", label(pod)))
    })?;
    Ok(Place { pod: pod.metadata.name.clone().unwrap_or_default(), namespace, port: inner, outer: port.port })
}

async fn service(cluster: &Cluster, namespace: &str) -> Result<Service, Trouble> {
    let named = Api::<Service>::namespaced(cluster.client.clone(), namespace).get(SERVICE).await;
    let here = Right { verb: "get", resource: "services", namespace: Some(namespace) };
    match named {
        Ok(service) => return Ok(service),
        Err(e) if is_absent(&e) => {}
        Err(e) => return Err(trouble(&e, here, &cluster.kubectl)),
    }
    let everywhere = Right { verb: "list", resource: "services", namespace: None };
    let found = Api::<Service>::all(cluster.client.clone()).list(&ListParams::default().labels(LABEL)).await;
    let mut found = match found {
        Ok(found) => found.items,
        Err(e) if is_forbidden(&e) => {
            let t = trouble(&e, everywhere, &cluster.kubectl);
            return Err(Trouble::new(format!("there is no service {SERVICE} in {}, and {}", clean(namespace), t.cause))
                .hint(format!("--kube-namespace NAME says where it is; or: {}", everywhere.check(&cluster.kubectl)))
                .sort(Sort::Refused));
        }
        Err(e) => return Err(trouble(&e, everywhere, &cluster.kubectl)),
    };
    if found.iter().any(|s| s.metadata.namespace.as_deref() == Some(namespace)) {
        found.retain(|s| s.metadata.namespace.as_deref() == Some(namespace));
    }
    let mut places: Vec<_> = found.iter().map(|s| clean(s.metadata.namespace.as_deref().unwrap_or_default())).collect();
    places.sort();
    places.dedup();
    match places.len() {
        0 => Err(Trouble::new("the cluster has no Hubble Relay: no service is labelled k8s-app=hubble-relay")
            .hint("cilium hubble enable; an agent's own server is asked with --server ADDR")
            .sort(Sort::Refused)),
        // Of several in one namespace the first by name, each time the same.
        1 => found.into_iter().min_by(|a, b| a.metadata.name.cmp(&b.metadata.name)).ok_or_else(|| Trouble::new("no service")),
        _ => Err(Trouble::new(format!("there are several Hubble Relays: in {}", places.join(", ")))
            .hint("--kube-namespace NAME says which one")
            .sort(Sort::Refused)),
    }
}

/// The pod that has been ready for longest, as kubectl would choose.
fn ready(pods: &[Pod]) -> Option<&Pod> {
    let since = |pod: &Pod| {
        let status = pod.status.as_ref()?;
        let running = status.phase.as_deref() == Some("Running") && pod.metadata.deletion_timestamp.is_none();
        let condition = status.conditions.iter().flatten().find(|c| c.type_ == "Ready" && c.status == "True")?;
        running.then(|| condition.last_transition_time.clone().map(|t| t.0))
    };
    let all = pods.iter().filter_map(|p| Some((since(p)?, p)));
    // One that does not say since when comes last.
    all.min_by_key(|(since, p)| (since.is_none(), *since, p.metadata.name.clone())).map(|(_, p)| p)
}

/// The pod's port behind the service's: by number, or by the name that a container gives it.
fn inner(pod: &Pod, target: Option<&IntOrString>, outer: i32) -> Option<u16> {
    match target {
        None => u16::try_from(outer).ok(),
        Some(IntOrString::Int(n)) => u16::try_from(*n).ok(),
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|s| &s.containers);
            let mut ports = containers.flat_map(|c| c.ports.iter().flatten());
            ports.find(|p| p.name.as_deref() == Some(name)).and_then(|p| u16::try_from(p.container_port).ok())
        }
    }
}

fn label(pod: &Pod) -> String {
    clean(pod.metadata.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, phase: &str, ready: &str, since: &str) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "grpc", "containerPort": 4245}]}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_pod_that_is_ready_for_longest_is_taken() {
        let pods = [
            pod("new", "Running", "True", "2026-01-03T00:00:00Z"),
            pod("old", "Running", "True", "2026-01-02T00:00:00Z"),
            pod("sick", "Running", "False", "2026-01-01T00:00:00Z"),
            pod("done", "Succeeded", "True", "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(ready(&pods).map(label).as_deref(), Some("old"));
        assert!(ready(&pods[2..]).is_none());
        let mut going = pods[1].clone();
        going.metadata.deletion_timestamp = serde_json::from_value(serde_json::json!("2026-01-04T00:00:00Z")).unwrap();
        assert!(ready(&[going]).is_none());
    }

    #[test]
    fn ports_by_number_and_by_name() {
        let pod = pod("p", "Running", "True", "2026-01-03T00:00:00Z");
        assert_eq!(inner(&pod, None, 80), Some(80));
        assert_eq!(inner(&pod, Some(&IntOrString::Int(4245)), 80), Some(4245));
        assert_eq!(inner(&pod, Some(&IntOrString::String("grpc".to_owned())), 80), Some(4245));
        assert_eq!(inner(&pod, Some(&IntOrString::String("http".to_owned())), 80), None);
        assert_eq!(inner(&pod, Some(&IntOrString::Int(70_000)), 80), None);
    }
}
