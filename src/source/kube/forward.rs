//! Relay behind a cluster's API: a port-forward as a connection, in plain text or TLS as the pod has it.
//!
//! Owns the way from a cluster to a connection that stands. Looks for a ready pod each time, listens on no port of this machine, and
//! never comes again by itself: that is the client's business.
use super::config::Cluster;
use super::refusal::{Right, trouble};
use super::relay::{self, Place};
use super::secrets;
use crate::source::dial::{self, Io, Speech, Stands};
use crate::source::status::{Sort, Trouble, clean};
use crate::source::tls::{Asked, Found, Options};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What Relay's certificate is made for; a wildcard stands for the first word.
pub const NAME: &str = "instance.hubble-relay.cilium.io";
/// So long may a cluster's API take for its part.
const API: Duration = Duration::from_secs(30);

/// Whether the flags want the connection encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// As Relay has it.
    #[default]
    Either,
    Plain,
    Tls,
}

/// The way to a cluster's Relay.
pub struct Door {
    pub cluster: Cluster,
    /// Where it is looked for first.
    pub namespace: String,
    pub wanted: Wanted,
    pub options: Options,
    /// What was found out about a pod: that does not change as long as it lives.
    known: Mutex<Option<(Place, Tongue)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    Plain,
    Tls,
}

impl Door {
    pub fn new(cluster: Cluster, namespace: String, wanted: Wanted, options: Options) -> Self {
        Self { cluster, namespace, wanted, options, known: Mutex::new(None) }
    }

    /// A connection to a pod that is ready now.
    pub(in crate::source) async fn open(&self, limit: Duration) -> Result<Stands, Trouble> {
        let place = self.api(relay::find(&self.cluster, &self.namespace)).await?;
        match self.tongue(&place, limit).await? {
            Tongue::Plain => Ok(Stands { io: self.forward(&place).await?, tls: None, asked: Asked::Nothing }),
            Tongue::Tls => self.encrypted(&place, limit).await,
        }
    }

    /// Plain text or TLS: what the flags want, else what answers.
    async fn tongue(&self, place: &Place, limit: Duration) -> Result<Tongue, Trouble> {
        match self.wanted {
            Wanted::Plain => return Ok(Tongue::Plain),
            Wanted::Tls => return Ok(Tongue::Tls),
            Wanted::Either => {}
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, tongue)) = known
            && at == *place
        {
            return Ok(tongue);
        }
        let mut io = self.forward(place).await?;
        let tongue = match tokio::time::timeout(limit, dial::speaks(&mut io)).await {
            Ok(Ok(Some(Speech::Http2))) => Tongue::Plain,
            // Go's servers hang up without a word if they are not spoken to in TLS; others say it in TLS.
            Ok(Ok(Some(Speech::Tls) | None)) => Tongue::Tls,
            Ok(Ok(Some(_))) => return Err(Trouble::new(format!("what answers in {} does not speak gRPC", name(place)))),
            Ok(Err(e)) => return Err(Trouble::new(clean(&e.to_string())).hint(self.look(place))),
            // It waits for more than was said, or hangs: the service's port says what it should speak.
            Err(_) if place.outer == 443 => Tongue::Tls,
            Err(_) => {
                return Err(Trouble::new(format!("{} accepts the port-forward, but says nothing", name(place))).hint(self.look(place)));
            }
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((place.clone(), tongue));
        Ok(tongue)
    }

    async fn encrypted(&self, place: &Place, limit: Duration) -> Result<Stands, Trouble> {
        let mut found = Found::default();
        // Without an authority of its own the system's are tried: Relay's certificate may be one that everybody believes.
        let mut missing = None;
        if self.options.ca.is_empty() && !self.options.insecure {
            match self.api(secrets::authority(&self.cluster, &place.namespace)).await {
                Ok(ca) => found.ca = Some(ca),
                Err(t) => missing = Some(t),
            }
        }
        let stands = self.handshake(place, &found, limit).await.map_err(|t| match missing {
            Some(m) => Trouble::new(format!("{}; its authority could not be looked up: {}", t.cause, m.cause))
                .hint(match &m.hint {
                    Some(hint) if hint.starts_with("--tls") => hint.clone(),
                    Some(hint) => format!("--tls-ca-cert-files FILE names its authority; or the right: {hint}"),
                    None => "--tls-ca-cert-files FILE names its authority".to_owned(),
                })
                .sort(m.sort),
            None => t,
        })?;
        if stands.asked != Asked::Unknown {
            return Ok(stands);
        }
        drop(stands);
        let pair = self.api(secrets::client(&self.cluster, &place.namespace)).await.map_err(|t| {
            let hint = match t.hint {
                Some(hint) if hint.contains("--tls-client") => hint,
                Some(hint) => format!("--tls-client-cert-file and --tls-client-key-file; or the right: {hint}"),
                None => "--tls-client-cert-file and --tls-client-key-file".to_owned(),
            };
            Trouble::new(format!("relay wants a client certificate, and {}", t.cause)).hint(hint).sort(Sort::Refused)
        })?;
        found.client = Some(pair);
        self.handshake(place, &found, limit).await
    }

    async fn handshake(&self, place: &Place, found: &Found, limit: Duration) -> Result<Stands, Trouble> {
        let secure = self.options.load_with(found).map_err(|e| Trouble::new(e.line()).sort(Sort::Request))?;
        let io = self.forward(place).await?;
        dial::encrypt(NAME, &secure, io, limit, limit).await
    }

    async fn forward(&self, place: &Place) -> Result<Io, Trouble> {
        let pods = Api::<Pod>::namespaced(self.cluster.client.clone(), &place.namespace);
        let opened = self.api(async {
            pods.portforward(&place.pod, &[place.port]).await.map_err(|e| {
                let right = Right { verb: "get", resource: "pods/portforward", namespace: Some(&place.namespace) };
                let t = trouble(&e, right, &self.cluster.kubectl);
                match t.hint.clone() {
                    // The request is a GET; from 1.35 on the API wants both rights for it.
                    Some(hint) if t.sort == Sort::Refused && hint.contains("portforward") => {
                        t.hint(format!("{hint} (from Kubernetes 1.35 on: create too)"))
                    }
                    _ => t,
                }
            })
        });
        let mut forwarder = opened.await?;
        let nothing = || Trouble::new(format!("the port-forward to {} has no stream", name(place)));
        let stream = forwarder.take_stream(place.port).ok_or_else(nothing)?;
        let fault = forwarder.take_error(place.port).ok_or_else(nothing)?.boxed();
        Ok(Io::Forward(Box::new(Forward { stream, fault: Some(fault), pod: name(place), forwarder })))
    }

    async fn api<T>(&self, asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        match tokio::time::timeout(API, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::new(format!("the Kubernetes API does not answer within {} s", API.as_secs()))
                .hint(format!("is the cluster up, and the right one? `{} cluster-info`", self.cluster.kubectl))),
        }
    }

    fn look(&self, place: &Place) -> String {
        format!("{} -n {} logs {}", self.cluster.kubectl, clean(&place.namespace), clean(&place.pod))
    }
}

fn name(place: &Place) -> String {
    format!("{}/{}:{}", clean(&place.namespace), clean(&place.pod), place.port)
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", relay::SERVICE, self.cluster.name)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({self}, {:?})", self.wanted)
    }
}

impl PartialEq for Door {
    fn eq(&self, other: &Self) -> bool {
        self.cluster.name == other.cluster.name && self.namespace == other.namespace
    }
}
impl Eq for Door {}

/// A forwarded port. Ends with the websocket under it.
pub(in crate::source) struct Forward {
    stream: DuplexStream,
    /// What the node says if it cannot reach the port.
    fault: Option<BoxFuture<'static, Option<String>>>,
    pod: String,
    forwarder: Portforwarder,
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl AsyncRead for Forward {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        // A fault tells more than an end without a word; what was read by then comes first.
        let silent = !matches!(&polled, Poll::Ready(Ok(()))) || buf.filled().len() == before;
        if silent && let Some(fault) = &mut self.fault {
            match fault.as_mut().poll(cx) {
                Poll::Ready(Some(said)) => {
                    self.fault = None;
                    return Poll::Ready(Err(io::Error::other(format!("the port-forward to {} failed: {}", self.pod, clean(&said)))));
                }
                Poll::Ready(None) => self.fault = None,
                Poll::Pending => {}
            }
        }
        polled
    }
}

impl AsyncWrite for Forward {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
