//! Listens on a TCP port or a unix socket, with TLS if asked, and serves there.
//!
//! Owns the socket and its end. Must not know what is served beyond the service type.
use super::tls::Tls;
use crate::error::{Error, Kind};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 takes a free one.
    Tcp(SocketAddr),
    /// The same, encrypted.
    Tls(SocketAddr, Tls),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Listen {
    /// A free port that only this machine can reach.
    pub fn loopback() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

/// A server that runs. Dropping it leaves it running until the runtime ends; `stop` ends it.
#[derive(Debug)]
pub struct Running {
    /// As a client wants it: `127.0.0.1:4245`, `tls://127.0.0.1:4245`, `unix:///run/x.sock`.
    pub address: String,
    pub stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Ends the server, and with it every stream.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits for the server to end by itself or by its stop token.
    pub async fn ended(self) -> Result<(), Error> {
        self.task.await.unwrap_or_else(|e| Err(Error::new(Kind::Connect, "the server ended before its time").cause(e.to_string())))
    }
}

/// How long clients may take to leave after `stop`.
const LEAVE: Duration = Duration::from_secs(1);
/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that wait to be served. When it is full, the kernel's queue fills.
const WAITING: usize = 64;

/// Binds and serves in a task of its own until `stop`.
pub async fn on<S>(service: S, at: Listen, stop: CancellationToken) -> Result<Running, Error>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (door, address) = Door::open(at).await?;
    let (tx, rx) = mpsc::channel(WAITING);
    let incoming = tokio_stream::wrappers::ReceiverStream::new(rx);
    let until = stop.clone();
    let late = stop.clone();
    let task = tokio::spawn(async move {
        let accepting = tokio::spawn(door.accept(tx, until.clone()));
        // A client that does not read never ends its stream: it is waited for, but not for ever.
        let patience = async move {
            late.cancelled().await;
            tokio::time::sleep(LEAVE).await;
        };
        let ended = tokio::select! {
            r = Server::builder().serve_with_incoming_shutdown(service, incoming, until.clone().cancelled_owned()) => {
                r.map_err(|e| Error::new(Kind::Connect, "the server failed").cause(e.to_string()))
            }
            () = patience => Ok(()),
        };
        until.cancel();
        // The address is free when the server has ended.
        let _ = accepting.await;
        ended
    });
    Ok(Running { address, stop, task })
}

/// The listening socket.
enum Door {
    Tcp(TcpListener, Option<TlsAcceptor>),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl Door {
    async fn open(at: Listen) -> Result<(Self, String), Error> {
        let cannot = |what: String| {
            move |e: io::Error| {
                let error = Error::new(Kind::Connect, format!("cannot listen on {what}"));
                match e.kind() {
                    io::ErrorKind::AddrInUse => error
                        .cause("it is taken")
                        .hint("another server runs there, or a file lies there; --listen localhost:0 takes a free port"),
                    io::ErrorKind::AddrNotAvailable => {
                        error.cause("this machine has no such address").hint("0.0.0.0 is every interface, localhost this machine alone")
                    }
                    io::ErrorKind::PermissionDenied => error.cause("not allowed").hint("ports below 1024 and most folders belong to root"),
                    _ => error.cause(e.to_string()),
                }
            }
        };
        let (address, tls) = match at {
            Listen::Tcp(address) => (address, None),
            Listen::Tls(address, tls) => (address, Some(TlsAcceptor::from(tls.config()?))),
            #[cfg(unix)]
            Listen::Unix(path) => {
                let name = path.display().to_string();
                let listener = UnixListener::bind(&path).map_err(cannot(name.clone()))?;
                return Ok((Self::Unix(listener, path), format!("unix://{name}")));
            }
        };
        let listener = TcpListener::bind(address).await.map_err(cannot(address.to_string()))?;
        let socket = listener.local_addr().map_err(cannot(address.to_string()))?;
        let scheme = if tls.is_some() { "tls://" } else { "" };
        Ok((Self::Tcp(listener, tls), format!("{scheme}{socket}")))
    }

    async fn accept(self, tx: mpsc::Sender<io::Result<Stream>>, stop: CancellationToken) {
        loop {
            let stream = tokio::select! {
                stream = self.next() => stream,
                () = stop.cancelled() => break,
            };
            match (stream, &self) {
                (Ok(Stream::Tcp(tcp)), Self::Tcp(_, Some(tls))) => {
                    // In a task of its own: one client that is slow to agree on a key holds nobody up.
                    let (tls, tx) = (tls.clone(), tx.clone());
                    tokio::spawn(async move {
                        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
                            let _ = tx.send(Ok(Stream::Tls(Box::new(stream)))).await;
                        }
                    });
                }
                (Ok(stream), _) => {
                    if tx.send(Ok(stream)).await.is_err() {
                        break;
                    }
                }
                // Out of file descriptors, say: others may leave.
                (Err(_), _) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        #[cfg(unix)]
        if let Self::Unix(_, path) = &self {
            // The file is ours; if somebody has removed it already, all the better.
            let _gone = std::fs::remove_file(path);
        }
    }

    async fn next(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait for more of them; a socket that refuses this works all the same.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// A client's connection.
enum Stream {
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Connected for Stream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// The same call on whichever it is.
macro_rules! on {
    ($me:expr, $s:ident => $call:expr) => {
        match $me {
            Stream::Tcp($s) => $call,
            Stream::Tls($s) => $call,
            #[cfg(unix)]
            Stream::Unix($s) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on!(&mut *self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut *self, s => Pin::new(s).poll_shutdown(cx))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        on!(&mut *self, s => Pin::new(s).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on!(self, s => s.is_write_vectored())
    }
}
