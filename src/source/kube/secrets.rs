//! Relay's certificates, as Cilium's chart leaves them in secrets.
//!
//! Owns which secrets are looked at, and in which order. Reads no more of them than is needed, and keeps nothing.
use super::config::Cluster;
use super::refusal::{Right, is_absent, trouble};
use crate::source::status::Trouble;
use crate::source::tls::Pair;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

/// Where the authority that has signed Relay's certificate stands, as `ca.crt`.
const AUTHORITY: &[&str] = &["hubble-relay-server-certs", "cilium-ca"];
/// A client's certificate that Relay accepts: that of the UI.
const CLIENT: &str = "hubble-ui-client-certs";

/// The certificates of Relay's authority, in PEM.
pub async fn authority(cluster: &Cluster, namespace: &str) -> Result<Vec<u8>, Trouble> {
    for name in AUTHORITY {
        if let Some(secret) = get(cluster, namespace, name).await?
            && let Some(ca) = part(&secret, "ca.crt")
        {
            return Ok(ca);
        }
    }
    Err(Trouble::new(format!("no secret in {namespace} holds the authority of its certificate ({})", AUTHORITY.join(", ")))
        .hint("--tls-ca-cert-files FILE names it"))
}

/// A certificate that Relay accepts, and its key.
pub async fn client(cluster: &Cluster, namespace: &str) -> Result<Pair, Trouble> {
    let secret = get(cluster, namespace, CLIENT).await?;
    let pair = secret.and_then(|s| Some(Pair { certificate: part(&s, "tls.crt")?, key: part(&s, "tls.key")? }));
    pair.ok_or_else(|| {
        Trouble::new(format!("no secret in {namespace} holds one that relay accepts ({CLIENT})"))
            .hint("the chart makes it with the UI; or --tls-client-cert-file and --tls-client-key-file")
    })
}

async fn get(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Secret>, Trouble> {
    match Api::<Secret>::namespaced(cluster.client.clone(), namespace).get(name).await {
        Ok(secret) => Ok(Some(secret)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(trouble(&e, Right { verb: "get", resource: "secrets", namespace: Some(namespace) }, &cluster.kubectl)),
    }
}

fn part(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    secret.data.as_ref()?.get(key).map(|b| b.0.clone()).filter(|b| !b.is_empty())
}
