//! A server as it is to be asked: where it is, how the connection is protected, who asks, how long things may take.
//!
//! Owns the making of a gRPC channel over a connection that stands, and questions with one answer. Does not come again.
use super::dial::{self, Conn, Greeting};
use super::status::{Sort, Trouble, clean, trouble};
use super::target::Target;
use super::tls::Secure;
use crate::error::Error;
use crate::wire::pb::observer;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codegen::{Service, http};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// To connect, and then to say the first word.
    pub connect: Duration,
    /// One question and its answer (`ask`).
    pub answer: Duration,
    /// The first pause before the next try, and the longest.
    pub first: Duration,
    pub cap: Duration,
    /// After so much silence the server is asked whether it is alive.
    pub keepalive: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { connect: s(5), answer: s(12), first: Duration::from_millis(500), cap: s(30), keepalive: s(30) }
    }
}

impl Timing {
    /// So long after a question whether it is alive a server is taken for dead.
    pub fn patience(&self) -> Duration {
        self.connect.max(Duration::from_secs(1)) * 2
    }
}

/// Who asks: the value of the header `authorization`.
#[derive(Debug, Clone)]
pub struct Basic(MetadataValue<Ascii>);

impl Basic {
    /// Name and password as HTTP's basic authentication has them (RFC 7617).
    pub fn new(name: &str, password: &str) -> Option<Self> {
        let mut value: MetadataValue<Ascii> = format!("Basic {}", base64(format!("{name}:{password}").as_bytes())).parse().ok()?;
        // No log and no debug output shows it.
        value.set_sensitive(true);
        Some(Self(value))
    }
}

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    pub target: Target,
    /// What it is called, if not by its address.
    pub label: Option<String>,
    /// None: plain text.
    pub tls: Option<Arc<Secure>>,
    /// Sent only where it is encrypted.
    pub auth: Option<Basic>,
    pub timing: Timing,
    /// What else may have been meant, told where nothing listens.
    pub instead: Option<String>,
}

impl Server {
    /// In plain text, and nobody says who asks.
    pub fn plain(target: Target) -> Self {
        Self { target, label: None, tls: None, auth: None, timing: Timing::default(), instead: None }
    }

    /// What it is called, harmless on a terminal.
    pub fn name(&self) -> String {
        match &self.label {
            // A cluster's flows and its changes come under one name: that of its context.
            Some(label) if matches!(self.target, Target::Relay(_)) => label.clone(),
            Some(label) => clean(&format!("{label} ({})", self.target)),
            None => clean(&self.target.to_string()),
        }
    }

    /// What could not be reached, where an error says so.
    pub fn place(&self) -> String {
        match &self.target {
            Target::Relay(_) => self.target.to_string(),
            _ => self.name(),
        }
    }

    /// Where nothing listens, the likelier mistake comes first.
    fn or_instead(&self, t: Trouble) -> Trouble {
        match &self.instead {
            Some(instead) if t.sort == Sort::Nobody => {
                let hint = t.hint.as_ref().map_or_else(|| instead.clone(), |h| format!("{instead}; {h}"));
                t.hint(hint)
            }
            _ => t,
        }
    }

    /// A channel over one connection, and what the server says first.
    pub async fn open(&self, keepalive: Duration) -> Result<(Channel, Greeting), Trouble> {
        let dialled = dial::dial(&self.target, self.tls.as_deref(), self.timing.connect).await;
        let (conn, greeting, encrypted) = dialled.map_err(|t| self.or_instead(t))?;
        let named = match &self.target {
            Target::Relay(_) => encrypted.as_ref(),
            _ => self.tls.as_ref().and_then(|t| t.server_name.as_ref()),
        };
        let authority = match (&self.target, named) {
            (_, Some(name)) => name.clone(),
            (Target::Tcp { .. }, None) => self.target.to_string(),
            // There is no name to speak of; this is what gRPC clients send.
            (Target::Unix(_) | Target::Relay(_), None) => "localhost".to_owned(),
        };
        let wrong = |e: &dyn std::error::Error| Trouble::new(format!("this is no address: {e}")).sort(Sort::Request);
        let scheme = if encrypted.is_some() { "https" } else { "http" };
        let origin: http::Uri = format!("{scheme}://{authority}").parse().map_err(|e: http::uri::InvalidUri| wrong(&e))?;
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .and_then(|e| e.user_agent(concat!("flowhy/", env!("CARGO_PKG_VERSION"))))
            .map_err(|e| wrong(&e))?
            .origin(origin)
            .http2_keep_alive_interval(keepalive)
            .keep_alive_timeout(self.timing.patience())
            .keep_alive_while_idle(true);
        let channel = endpoint.connect_with_connector(Given(Some(conn))).await;
        let channel = channel.map_err(|e| greeting.judge().err().unwrap_or_else(|| Trouble::new(clean(&e.to_string()))))?;
        Ok((channel, greeting))
    }

    /// A question, with our name on it where that is safe.
    pub fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let (Some(_), Some(Basic(value))) = (&self.tls, &self.auth) {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }

    /// One question and its answer over a connection of its own; `what` was not possible if that fails.
    pub async fn ask<T, F>(&self, what: &str, call: impl FnOnce(Channel) -> F) -> Result<Response<T>, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        // A cluster's API takes the time it takes; what then answers is measured.
        let opened = match self.target {
            Target::Relay(_) => Some(self.open(self.timing.keepalive).await.map_err(|t| t.error(what))?),
            _ => None,
        };
        let asked = async {
            let (channel, mut greeting) = match opened {
                Some(opened) => opened,
                None => self.open(self.timing.keepalive).await?,
            };
            greeted(call(channel), &mut greeting, self.timing.connect).await?.map_err(|s| trouble(&s, false))
        };
        match tokio::time::timeout(self.timing.answer, asked).await {
            Ok(answer) => answer.map_err(|t| t.error(what)),
            Err(_) => Err(Trouble::new(format!("no answer within {} s", self.timing.answer.as_secs_f64())).error(what)),
        }
    }

    /// Counters and nodes of the server.
    pub async fn status(&self) -> Result<observer::ServerStatusResponse, Error> {
        let what = format!("cannot ask {} for its status", self.target);
        let call = |channel| async move {
            let mut client = observer::observer_client::ObserverClient::new(channel);
            client.server_status(self.request(observer::ServerStatusRequest {})).await
        };
        self.ask(&what, call).await.map(Response::into_inner)
    }
}

/// The answer to `call`, or what the server says instead of HTTP/2.
pub async fn greeted<T>(
    call: impl Future<Output = Result<T, Status>>,
    greeting: &mut Greeting,
    limit: Duration,
) -> Result<Result<T, Status>, Trouble> {
    let mut call = std::pin::pin!(call);
    let answer = tokio::select! {
        answer = &mut call => answer,
        greeted = greeting.answered(limit) => { greeted?; call.await }
    };
    if answer.is_err() {
        greeting.judge()?;
    }
    Ok(answer)
}

/// Hands tonic the one connection that stands already: what went wrong with dialling is known first hand, and a second
/// connection is ours to make.
struct Given(Option<Conn>);

impl Service<http::Uri> for Given {
    type Response = TokioIo<Conn>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<Conn>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        std::future::ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("u:p", "dTpw")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_password_never_goes_out_in_plain_text_nor_into_a_log() {
        let auth = Basic::new("u", "p");
        assert!(!format!("{auth:?}").contains("dTpw"));
        let mut server = Server { auth, ..Server::plain(Target::default()) };
        assert!(server.request(()).metadata().get("authorization").is_none());
        server.tls = Some(Arc::new(super::super::tls::Options { insecure: true, ..Default::default() }.load().unwrap()));
        assert_eq!(server.request(()).metadata().get("authorization").unwrap(), "Basic dTpw");
    }
}
