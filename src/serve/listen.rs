//! Listens on a TCP port or a unix socket and serves the observer there.
//!
//! Owns the socket and its end. Must not know what is served beyond the service type.
use super::observer::Service;
use crate::error::{Error, Kind};
use crate::wire::pb::observer::observer_server::ObserverServer;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 takes a free one.
    Tcp(SocketAddr),
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
    /// As a client wants it: `127.0.0.1:4245`, `unix:///run/x.sock`.
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

/// Binds and serves in a task of its own until `stop`.
pub async fn listen(service: Service, at: Listen, stop: CancellationToken) -> Result<Running, Error> {
    let cannot = |what: String| move |e: std::io::Error| Error::new(Kind::Connect, format!("cannot listen on {what}")).cause(e.to_string());
    // One service alone needs no router; it answers a path that is not its own with Unimplemented.
    let service = ObserverServer::new(service.until(stop.clone()));
    let server = Server::builder();
    let served =
        |r: Result<(), tonic::transport::Error>| r.map_err(|e| Error::new(Kind::Connect, "the server failed").cause(e.to_string()));
    // A client that does not read never ends its stream: it is waited for, but not for ever.
    let (until, late) = (stop.clone(), stop.clone());
    let patience = async move {
        late.cancelled().await;
        tokio::time::sleep(LEAVE).await;
    };
    match at {
        Listen::Tcp(address) => {
            let listener = tokio::net::TcpListener::bind(address).await.map_err(cannot(address.to_string()))?;
            let socket = listener.local_addr().map_err(cannot(address.to_string()))?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let task = tokio::spawn(async move {
                tokio::select! {
                    r = server.serve_with_incoming_shutdown(service, incoming, until.cancelled_owned()) => served(r),
                    () = patience => Ok(()),
                }
            });
            Ok(Running { address: socket.to_string(), stop, task })
        }
        #[cfg(unix)]
        Listen::Unix(path) => {
            let name = path.display().to_string();
            let listener = tokio::net::UnixListener::bind(&path).map_err(cannot(name.clone()))?;
            let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
            let task = tokio::spawn(async move {
                let ended = tokio::select! {
                    r = server.serve_with_incoming_shutdown(service, incoming, until.cancelled_owned()) => served(r),
                    () = patience => Ok(()),
                };
                // The file is ours; if somebody has removed it already, all the better.
                let _gone = std::fs::remove_file(&path);
                ended
            });
            Ok(Running { address: format!("unix://{name}"), stop, task })
        }
    }
}
