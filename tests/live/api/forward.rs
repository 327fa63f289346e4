//! Port-forwards: a websocket whose channels are a pod's port and what the node says if it cannot be reached.
//!
//! Owns the channels as a kubelet speaks them (`v4.channel.k8s.io`), and the ways in which they break.
use super::Body;
use super::answer::{Query, status};
use super::state::State;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// `/api/v1/namespaces/NAMESPACE/pods/POD/portforward?ports=PORT`.
pub fn answer(state: &Arc<State>, path: &str, query: &Query, request: Request<Incoming>) -> Response<Body> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (namespace, pod) = (parts[3].to_owned(), parts[5].to_owned());
    let port: u16 = query["ports"].parse().unwrap();
    let refusal = {
        let s = state.lock();
        let key = ("pods".to_owned(), namespace.clone(), pod.clone());
        match () {
            () if s.forbidden.contains("pods/portforward") => {
                let what = format!(
                    "pods \"{pod}\" is forbidden: User \"tester\" cannot get resource \"pods/portforward\" in API group \"\" in the namespace \"{namespace}\""
                );
                Some((403, status(403, "Forbidden", &what)))
            }
            () if !s.objects.contains_key(&key) => Some((404, status(404, "NotFound", &format!("pods \"{pod}\" not found")))),
            () => None,
        }
    };
    if let Some((code, value)) = refusal {
        let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed_unsync();
        return Response::builder().status(code).header("content-type", "application/json").body(body).unwrap();
    }
    let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
    let cut = state.lock().connections.clone();
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        tokio::select! {
            // What was sent and not read by then is lost with the connection, as with any that breaks.
            () = cut.cancelled() => {}
            () = forward(state, socket, format!("{namespace}/{pod}:{port}"), port) => {}
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(&key))
        .header("sec-websocket-protocol", "v4.channel.k8s.io")
        .body(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

fn on(channel: u8, bytes: &[u8]) -> Message {
    let mut message = vec![channel];
    message.extend_from_slice(bytes);
    Message::binary(message)
}

async fn forward(state: Arc<State>, mut socket: Socket, place: String, port: u16) {
    for channel in [0, 1] {
        socket.send(on(channel, &port.to_le_bytes())).await.unwrap();
    }
    let at = state.lock().ports.get(&place).copied();
    let connected = match at {
        Some(at) => TcpStream::connect(at).await.ok(),
        None => None,
    };
    let Some(mut pod) = connected else {
        let _ = socket.send(on(1, format!("error forwarding port {port} to pod: connection refused\n").as_bytes())).await;
        let _ = socket.close(None).await;
        return;
    };
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            read = pod.read(&mut buffer) => {
                let n = read.unwrap_or(0);
                if n == 0 {
                    let _ = socket.close(None).await;
                    return;
                }
                let left = state.change(|s| {
                    let left = s.forwards_break;
                    s.forwards_break = left.filter(|left| *left > n).map(|left| left - n);
                    left.filter(|left| *left <= n)
                });
                let sent = socket.send(on(0, &buffer[..left.unwrap_or(n)])).await;
                if left.is_some() || sent.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&0) => {
                    if pod.write_all(&bytes[1..]).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}
