//! The stage: servers that answer as a test tells them, and a client of theirs with what it has got.
use bytes::{Buf, BufMut, Bytes};
use flowhy::error::Error;
use flowhy::model::input::{Frame, Input, Link};
use flowhy::source::hubble::{Client, Request, Retry};
use flowhy::source::server::{Server as At, Timing};
use flowhy::source::{Inbox, Source, Stop, channel};
use flowhy::wire::pb::{flow, observer};
use prost::Message;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_stream::Stream;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};

pub type Answer = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
pub type Handler = Arc<dyn Fn(observer::GetFlowsRequest) -> Result<Answer, Status> + Send + Sync>;

/// Requests decoded, answers as given: so that a server can say what no server should.
#[derive(Clone, Default)]
struct Raw;
struct RawEnd;
impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = RawEnd;
    type Decoder = RawEnd;
    fn encoder(&mut self) -> RawEnd {
        RawEnd
    }
    fn decoder(&mut self) -> RawEnd {
        RawEnd
    }
}
impl Encoder for RawEnd {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}
impl Decoder for RawEnd {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let n = from.remaining();
        Ok(Some(from.copy_to_bytes(n)))
    }
}

#[derive(Clone)]
pub struct Observer(pub Handler);

impl tonic::server::NamedService for Observer {
    const NAME: &'static str = "observer.Observer";
}

impl tonic::server::ServerStreamingService<Bytes> for Observer {
    type Response = Bytes;
    type ResponseStream = Answer;
    type Future = std::future::Ready<Result<tonic::Response<Answer>, Status>>;
    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let request = observer::GetFlowsRequest::decode(request.into_inner()).expect("a request");
        std::future::ready((self.0)(request).map(tonic::Response::new))
    }
}

impl Service<http::Request<tonic::body::Body>> for Observer {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;
    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let me = self.clone();
        Box::pin(async move {
            let status = request.uri().path().ends_with("/ServerStatus");
            let service = if status {
                let answer = observer::ServerStatusResponse { num_connected_nodes: Some(3), seen_flows: 77, ..Default::default() };
                Observer(Arc::new(move |_| Ok(list(vec![answer.encode_to_vec().into()]))))
            } else {
                me
            };
            Ok(tonic::server::Grpc::new(Raw).server_streaming(service, request).await)
        })
    }
}

/// A server in a runtime of its own: dropping that cuts every connection, as a dying process does.
pub struct Server {
    pub addr: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// On a thread of its own, because it is also called from within a runtime.
    pub fn start(addr: &str, handler: Handler) -> Self {
        std::thread::scope(|s| s.spawn(|| Self::start_here(addr, handler)).join().unwrap())
    }

    fn start_here(addr: &str, handler: Handler) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            for _ in 0..50 {
                match tokio::net::TcpListener::bind(addr).await {
                    Ok(l) => return l,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            panic!("cannot bind {addr}");
        });
        let addr = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        runtime.spawn(tonic::transport::Server::builder().serve_with_incoming(Observer(handler), incoming));
        Self { addr, runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(r) = self.runtime.take() {
            r.shutdown_background();
        }
    }
}

pub fn list(messages: Vec<Bytes>) -> Answer {
    Box::pin(tokio_stream::iter(messages.into_iter().map(Ok)))
}

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A flow of the given time in milliseconds.
pub fn message(at: i64, uuid: &str) -> Bytes {
    let nanos = i32::try_from(at.rem_euclid(1000) * 1_000_000).unwrap();
    let time = Some(prost_types::Timestamp { seconds: at.div_euclid(1000), nanos });
    let flow = flow::Flow { uuid: uuid.to_owned(), time, node_name: "n".to_owned(), ..Default::default() };
    let response_types = Some(observer::get_flows_response::ResponseTypes::Flow(flow));
    observer::GetFlowsResponse { node_name: "n".to_owned(), time, response_types }.encode_to_vec().into()
}

pub fn uuid(frame: &Frame) -> String {
    match observer::GetFlowsResponse::decode(frame.bytes.clone()).unwrap().response_types {
        Some(observer::get_flows_response::ResponseTypes::Flow(f)) => f.uuid,
        other => panic!("{other:?}"),
    }
}

pub fn timing() -> Timing {
    Timing { connect: Duration::from_millis(500), first: Duration::from_millis(20), cap: Duration::from_millis(100), ..Timing::default() }
}

pub fn at(target: &str) -> At {
    At { timing: timing(), ..At::plain(target.parse().unwrap()) }
}

pub fn client(target: &str, request: Request, retry: Retry) -> Client {
    Client { server: at(target), request, retry, capture: None }
}

pub fn follow() -> Request {
    Request { follow: true, ..Default::default() }
}

#[derive(Default)]
pub struct Got {
    pub frames: Vec<Frame>,
    pub links: Vec<Link>,
    pub ends: Vec<Result<(), String>>,
}

impl Got {
    pub fn take(&mut self, batch: Vec<Input>) {
        for input in batch {
            match input {
                Input::Frame(f) => self.frames.push(f),
                Input::Link(l) => self.links.push(l),
                Input::End(_, r) => self.ends.push(r),
                Input::World(_) | Input::Learnt(_) | Input::Reset | Input::Edited(_) => {
                    panic!("a source of flows knows no world, and no way back")
                }
            }
        }
    }

    /// Takes batches until `enough`.
    pub async fn until(&mut self, inbox: &mut Inbox, enough: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !enough(self) {
            let left = limit.saturating_duration_since(Instant::now());
            let batch = tokio::time::timeout(left, inbox.recv()).await;
            let batch = batch.unwrap_or_else(|_| panic!("too slow: {} frames, {:?}", self.frames.len(), self.links));
            match batch {
                Some(batch) => self.take(batch),
                None => panic!("ended: {:?} {:?}", self.links, self.ends),
            }
        }
    }

    pub fn downs(&self) -> Vec<&str> {
        self.links.iter().filter_map(|l| if let Link::Down { cause, .. } = l { Some(cause.as_str()) } else { None }).collect()
    }
}

/// Runs to the end.
pub async fn run(client: Client) -> (Got, Result<(), Error>) {
    let (feed, mut inbox) = channel(64);
    let task = tokio::spawn(Box::new(client).run(feed, Stop::new()));
    let mut got = Got::default();
    let drain = async {
        while let Some(batch) = inbox.recv().await {
            got.take(batch);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), drain).await.expect("it ends");
    (got, task.await.unwrap())
}
