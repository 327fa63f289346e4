//! The connection to a server, and a look at the first bytes it answers with.
//!
//! Owns sockets, and the knowledge of what HTTP/2, TLS and HTTP/1 look like at their beginning, so that a wrong port is
//! named as what it is. With TLS that look is taken twice: at what comes off the wire while a key is agreed on, and at what was in it.
use super::kube::forward::Forward;
use super::status::{Sort, Trouble, clean};
use super::target::Target;
use super::tls::{self, Asked, Secure};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;

/// A frame header of HTTP/2; the first one is all that is looked at.
const HEADER: usize = 9;

/// An open connection.
pub struct Conn {
    io: Io,
    first: watch::Sender<First>,
    looking: bool,
}

pub(super) enum Io {
    Forward(Box<Forward>),
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<TlsStream<Tap>>),
}

/// What lies below TLS: a plain connection, and the first bytes that came off it.
pub(super) struct Tap {
    io: Box<Io>,
    seen: Vec<u8>,
}

/// What a server answered first.
#[derive(Debug, Clone, Default)]
struct First {
    bytes: Vec<u8>,
    closed: bool,
    /// It said good-bye because we ping too often.
    calm: bool,
    /// It is encrypted.
    tls: bool,
    /// Whether the server wanted to know who we are.
    asked: Asked,
    /// What TLS said at last.
    trouble: Option<Trouble>,
    /// The connection ended by itself, or the other end ended it.
    ended: bool,
}

/// Watches what a server answers first.
#[derive(Debug, Clone)]
pub struct Greeting(watch::Receiver<First>);

/// A connection that stands, and how it does.
pub(super) struct Stands {
    pub io: Io,
    /// Encrypted, with this name in the server's certificate.
    pub tls: Option<String>,
    pub asked: Asked,
}

/// Connects within `limit`, name lookup and handshake included. What a cluster's API takes to find Relay comes on top of it.
/// The name is that of the server's certificate; none in plain text.
pub async fn dial(target: &Target, secure: Option<&Secure>, limit: Duration) -> Result<(Conn, Greeting, Option<String>), Trouble> {
    let Stands { io, tls, asked } = match target {
        Target::Relay(door) => door.open(limit).await?,
        Target::Tcp { .. } | Target::Unix(_) => direct(target, secure, limit).await?,
    };
    let (first, seen) = watch::channel(First { tls: tls.is_some(), asked, ..First::default() });
    Ok((Conn { io, first, looking: true }, Greeting(seen), tls))
}

async fn direct(target: &Target, secure: Option<&Secure>, limit: Duration) -> Result<Stands, Trouble> {
    let end = tokio::time::Instant::now() + limit;
    let io = match tokio::time::timeout_at(end, connect(target)).await {
        Ok(io) => io?,
        Err(_) => return Err(late(limit, "a firewall or a network policy may drop the packets; is the address right?")),
    };
    let Some(secure) = secure else { return Ok(Stands { io, tls: None, asked: Asked::Nothing }) };
    let host = match target {
        Target::Tcp { host, .. } => host.as_str(),
        Target::Unix(_) | Target::Relay(_) => "localhost",
    };
    encrypt(host, secure, io, end.saturating_duration_since(tokio::time::Instant::now()), limit).await
}

fn late(limit: Duration, hint: &str) -> Trouble {
    Trouble::new(format!("no answer within {} s", limit.as_secs_f64())).hint(hint)
}

/// The handshake, of which `left` of `limit` is left.
pub(super) async fn encrypt(host: &str, secure: &Secure, io: Io, left: Duration, limit: Duration) -> Result<Stands, Trouble> {
    match tokio::time::timeout(left, handshake(host, secure, io)).await {
        Ok(done) => {
            let (io, asked) = done?;
            Ok(Stands { io, tls: Some(secure.server_name.clone().unwrap_or_else(|| host.to_owned())), asked })
        }
        Err(_) => Err(late(limit, "it accepts connections, but does not answer the TLS handshake; does it speak TLS?")),
    }
}

/// Whether something listens there. Says nothing to it.
pub async fn listens(target: &Target, limit: Duration) -> bool {
    matches!(tokio::time::timeout(limit, connect(target)).await, Ok(Ok(_)))
}

/// What answers when it is spoken to in plain HTTP/2; `None` if it hangs up without a word, as Go's servers do that want TLS.
pub(super) async fn speaks(io: &mut Io) -> io::Result<Option<Speech>> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    io.write_all(PREFACE).await?;
    io.flush().await?;
    let mut seen = Vec::with_capacity(HEADER);
    loop {
        if let Some(speech) = verdict(&seen) {
            return Ok(Some(speech));
        }
        if io.read_buf(&mut seen).await? == 0 {
            return Ok(None);
        }
    }
}

async fn handshake(host: &str, secure: &Secure, io: Io) -> Result<(Io, Asked), Trouble> {
    match secure.handshake(host, Tap { io: Box::new(io), seen: Vec::new() }).await {
        Ok(shaken) => Ok((Io::Tls(Box::new(shaken.stream)), shaken.asked)),
        // A server that does not speak TLS answers something that is no TLS; what it is says more than the handshake can.
        Err((trouble, Some(tap))) => Err(match verdict(&tap.seen) {
            Some(Speech::Tls) => trouble,
            Some(Speech::Http2) => Trouble::new("the server speaks plain text, not TLS").hint("leave out --tls and tls://"),
            Some(Speech::Http1) => Trouble::new("an HTTP/1 server answers there in plain text, not gRPC with TLS").hint(IS_IT),
            Some(Speech::Other) => Trouble::new("what answers there does not speak TLS").hint(IS_IT),
            None => Trouble::new("it closes the connection when asked for TLS").hint("does it speak TLS? Try it without --tls and tls://"),
        }),
        Err((trouble, None)) => Err(trouble),
    }
}

async fn connect(target: &Target) -> Result<Io, Trouble> {
    match target {
        Target::Tcp { host, port } => {
            let found = tokio::net::lookup_host((host.as_str(), *port)).await;
            let addresses: Vec<_> = match found {
                Ok(addresses) => addresses.collect(),
                Err(_) => Vec::new(),
            };
            if addresses.is_empty() {
                return Err(Trouble::new(format!("the name {} is not known", clean(host))).hint(
                    "names of the cluster are known only inside of it; --port-forward (-P) reaches relay through the Kubernetes API",
                ));
            }
            let stream = TcpStream::connect(&addresses[..]).await.map_err(|e| refused(&e, target))?;
            // Small requests must not wait for more of them; a socket that refuses this works all the same.
            let _ = stream.set_nodelay(true);
            Ok(Io::Tcp(stream))
        }
        #[cfg(unix)]
        Target::Unix(path) => Ok(Io::Unix(UnixStream::connect(path).await.map_err(|e| refused(&e, target))?)),
        #[cfg(not(unix))]
        Target::Unix(_) => Err(Trouble::new("unix sockets do not exist on this system")),
        Target::Relay(door) => Err(Trouble::new(format!("{door} is reached through the Kubernetes API only"))),
    }
}

fn refused(e: &io::Error, target: &Target) -> Trouble {
    let unix = matches!(target, Target::Unix(_));
    let hint = match e.kind() {
        io::ErrorKind::ConnectionRefused if unix => "the socket is there, but nobody listens on it; does the agent run?",
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the port right? --port-forward (-P) reaches relay through the Kubernetes API"
        }
        io::ErrorKind::PermissionDenied => "only root may use an agent's socket; run as root, or ask relay",
        io::ErrorKind::NotFound => "there is no such socket; an agent's is /var/run/cilium/hubble.sock, on its node",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "is this machine on the cluster's network?",
        _ => return Trouble::new(super::file::words(e)),
    };
    let cause = match e.kind() {
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        _ => super::file::words(e),
    };
    let sort = if e.kind() == io::ErrorKind::ConnectionRefused { Sort::Nobody } else { Sort::Passing };
    Trouble::new(cause).hint(hint).sort(sort)
}

impl Greeting {
    /// Waits until the server has begun to speak HTTP/2; says in words what it does instead.
    pub async fn answered(&mut self, limit: Duration) -> Result<(), Trouble> {
        let heard = self.0.wait_for(|f| f.closed || verdict(&f.bytes).is_some());
        let in_time = tokio::time::timeout(limit, heard).await.is_ok();
        if !in_time {
            return Err(Trouble::new(format!("it accepts connections, but says nothing within {} s", limit.as_secs_f64())).hint(IS_IT));
        }
        // If the connection itself is gone meanwhile, its last word stands.
        self.judge()
    }

    /// Whether the server hung up because it was pinged too often. A server in Go says so in a GOAWAY and closes; of that only
    /// the closing reaches the stream.
    pub fn wants_calm(&self) -> bool {
        self.0.borrow().calm
    }

    /// Whether the connection has come to an end of its own. If it has not and is no more, we have given it up.
    pub fn has_ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// What is known now.
    pub fn judge(&self) -> Result<(), Trouble> {
        let first = self.0.borrow();
        if let Some(trouble) = &first.trouble {
            return Err(trouble.clone());
        }
        match verdict(&first.bytes) {
            Some(Speech::Http2) => Ok(()),
            Some(Speech::Tls) => Err(Trouble::new("the server speaks TLS").hint(
                "--tls, with --tls-ca-cert-files for its authority and, through a port-forward, --tls-server-name instance.hubble-relay.cilium.io",
            )),
            Some(Speech::Http1) => Err(Trouble::new("an HTTP/1 server answers there, not gRPC").hint(IS_IT)),
            Some(Speech::Other) => Err(Trouble::new("what answers there does not speak gRPC").hint(IS_IT)),
            None if first.bytes.is_empty() && first.tls => Err(tls::unwelcome(first.asked)
                .unwrap_or_else(|| Trouble::new("it closes the connection after the TLS handshake").hint(IS_IT))),
            None if first.bytes.is_empty() => {
                Err(Trouble::new("it closes the connection at once").hint("the server may want TLS, or the port-forward has lost its pod"))
            }
            None => Err(Trouble::new("it closes the connection in the middle of its first word").hint(IS_IT)),
        }
    }
}

const IS_IT: &str = "is this the port of relay (4245) or of an agent's Hubble (4244)?";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Http2,
    Tls,
    Http1,
    Other,
}

/// What a server speaks, by its first bytes; `None` while there are too few. An HTTP/2 server begins with SETTINGS on
/// stream 0; a TLS server answers our plain text with an alert.
fn verdict(bytes: &[u8]) -> Option<Speech> {
    const HTTP1: &[u8] = b"HTTP/1.";
    match bytes {
        [] => None,
        [0x15 | 0x16, 3, ..] => Some(Speech::Tls),
        _ if bytes.starts_with(HTTP1) => Some(Speech::Http1),
        [_, _, _, 4, 0, 0, 0, 0, 0, ..] => Some(Speech::Http2),
        _ if bytes.len() >= HEADER => Some(Speech::Other),
        _ => None,
    }
}

impl Conn {
    fn look(&mut self, new: &[u8], closed: bool) {
        self.first.send_modify(|f| {
            let room = HEADER.saturating_sub(f.bytes.len());
            f.bytes.extend_from_slice(&new[..new.len().min(room)]);
            f.closed |= closed;
        });
        self.looking = !closed && self.first.borrow().bytes.len() < HEADER;
    }
}

/// The same call on whichever it is.
macro_rules! on {
    ($io:expr, $s:ident => $call:expr) => {
        match $io {
            Io::Forward($s) => $call,
            Io::Tcp($s) => $call,
            #[cfg(unix)]
            Io::Unix($s) => $call,
            Io::Tls($s) => $call,
        }
    };
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Err(e)) = &polled
            && let Some(trouble) = tls::failed(e)
        {
            self.first.send_modify(|f| f.trouble = Some(trouble));
        }
        if polled.is_ready() {
            let new = &buf.filled()[before..];
            if new.is_empty() {
                self.first.send_modify(|f| f.ended = true);
            }
            if self.looking {
                self.look(new, new.is_empty());
            }
            // It comes on a quiet stream, so by itself; large reads are flows.
            if new.len() < 256 && memchr::memmem::find(new, b"too_many_pings").is_some() {
                self.first.send_modify(|f| f.calm = true);
            }
        }
        polled
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Err(_)) = &polled {
            self.first.send_modify(|f| f.ended = true);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on!(&mut *self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_shutdown(cx))
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut *self.io).poll_read(cx, buf);
        let new = &buf.filled()[before..];
        let room = HEADER.saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&new[..new.len().min(room)]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_who_answers() {
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[0, 0, 18, 4]), None);
        assert_eq!(verdict(&[0, 0, 18, 4, 0, 0, 0, 0, 0]), Some(Speech::Http2));
        assert_eq!(verdict(&[0x15, 3, 1]), Some(Speech::Tls));
        assert_eq!(verdict(b"HTTP/1.1 400"), Some(Speech::Http1));
        assert_eq!(verdict(b"SSH-2.0-OpenSSH"), Some(Speech::Other));
        assert_eq!(verdict(b"SSH"), None);
    }
}
