//! The live client: `observer.Observer/GetFlows` of Relay or of a node's agent, over TCP or a unix socket.
//!
//! Owns the call, its reconnection and what is said about both. Messages go into the feed undecoded. It never gives up on a
//! `follow` unless told to, and never asks again for an answer that was finished.
use super::backoff::Backoff;
use super::capture::{Capture, Wishes};
use super::feed::{Feed, Gone};
use super::oldest::{Inquiry, Oldest};
use super::resume::{OVERLAP, Resume};
use super::server::Server;
use super::status::{Sort, Trouble, trouble};
use super::{Source, Stop};
use crate::error::Error;
use crate::model::input::{self, At, Change, Frame, Gap, Input, Link};
use crate::model::time::Nanos;
use crate::wire::ids;
use crate::wire::pb::{flow::FlowFilter, observer};
use bytes::{Buf, Bytes};
use futures::FutureExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder};
use tonic::codegen::http;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_prost::{ProstCodec, ProstEncoder};

/// The largest message that is taken.
pub const LARGEST: usize = 64 << 20;
/// Servers in Go refuse pings more often than every five minutes unless they were told otherwise.
const CALM: Duration = Duration::from_secs(330);
/// The way out of a wish that the server refuses.
const WIDEN: &str = ":capture all asks for every flow";

/// What to ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// Flows to begin with, counted from the end, or from the beginning with `first`; 0 is no bound with a time, else none.
    pub number: u64,
    pub first: bool,
    pub follow: bool,
    pub since: Option<Nanos>,
    pub until: Option<Nanos>,
    pub whitelist: Vec<FlowFilter>,
    pub blacklist: Vec<FlowFilter>,
    /// Fields of a flow to send; all if empty.
    pub field_mask: Vec<String>,
}

/// When to come again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// Any failure ends it, as with `hubble observe`.
    #[default]
    Never,
    /// A server that was never reached is an error; one that was is waited for.
    OnceConnected,
    /// For a screen: wait for the server, however long.
    Forever,
}

/// A live source.
#[derive(Debug, Clone)]
pub struct Client {
    pub server: Server,
    pub request: Request,
    pub retry: Retry,
    /// Who may want something else while it runs.
    pub capture: Option<Capture>,
}

/// How a call ended.
enum Ended {
    /// The server has sent all.
    Done,
    Gone,
    /// Something else is wished for.
    Anew,
    Failed(Trouble),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Trouble> for Ended {
    fn from(t: Trouble) -> Self {
        Self::Failed(t)
    }
}

impl Client {
    pub fn new(server: Server, request: Request) -> Self {
        Self { server, request, retry: Retry::default(), capture: None }
    }

    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    #[must_use]
    pub fn capture(mut self, capture: Option<Capture>) -> Self {
        self.capture = capture;
        self
    }
}

impl Source for Client {
    /// `Err` when it gives up, after `End` with the same cause went into the feed.
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let mut session = Session::new(*self);
            let result = tokio::select! {
                result = session.drive(&mut feed) => result,
                () = stop.cancelled() => Ok(()),
            };
            // Asked to stop, we do not wait for a reader that has stopped reading.
            let _ = tokio::time::timeout(Duration::from_millis(100), feed.flush()).await;
            result
        })
    }
}

/// All connections of one run.
struct Session {
    client: Client,
    server: Arc<str>,
    resume: Resume,
    backoff: Backoff,
    keepalive: Duration,
    /// When the server was reached first: a `follow` that has seen nothing yet goes on from here.
    reached: Option<Nanos>,
    /// When the connection broke: until then everything came.
    broke: Option<Nanos>,
    /// New messages on this connection; any on any.
    news: bool,
    /// The server has answered a question on this connection.
    spoke: bool,
    seen: bool,
    /// A message came for the filter that is asked for now.
    proven: bool,
    wishes: Wishes,
    /// What is asked for was wished while it ran.
    wished: bool,
}

impl Session {
    fn new(client: Client) -> Self {
        let server: Arc<str> = client.server.name().into();
        let seed = u64::try_from(now().0).unwrap_or(1) ^ u64::from(std::process::id()) << 32;
        let backoff = Backoff::new(client.server.timing.first, client.server.timing.cap, seed);
        let keepalive = client.server.timing.keepalive;
        let wishes = Wishes::of(client.capture.as_ref());
        let resume = Resume::default();
        Self {
            client,
            server,
            resume,
            backoff,
            keepalive,
            reached: None,
            broke: None,
            news: false,
            spoke: false,
            seen: false,
            proven: false,
            wishes,
            wished: false,
        }
    }

    async fn drive(&mut self, feed: &mut Feed) -> Result<(), Error> {
        loop {
            (self.news, self.spoke) = (false, false);
            if let Some(any) = self.wishes.take() {
                (self.client.request.whitelist, self.client.request.blacklist) = (any, Vec::new());
                (self.proven, self.wished) = (false, true);
                self.resume.changes();
            }
            let ended = match self.once(feed).await {
                Ok(done) | Err(done) => done,
            };
            let trouble = match ended {
                Ended::Gone => return Ok(()),
                Ended::Done if !self.client.request.follow || self.client.retry == Retry::Never => {
                    // Gone is an end like any other.
                    let _ = feed.send(Input::End(self.server.clone(), Ok(()))).await;
                    let _ = feed.flush().await;
                    return Ok(());
                }
                Ended::Anew => continue,
                Ended::Done => Trouble::new("the server ended the stream"),
                Ended::Failed(t) => t,
            };
            let again = match self.client.retry {
                // Who has wished is told what is wrong with it, and can wish for something else.
                _ if trouble.sort == Sort::Request && !self.wished && !self.wishes.waits() => false,
                // Half an answer cannot be gone on with: asking again would give its first half twice.
                _ if self.seen && !self.client.request.follow => false,
                Retry::Never => false,
                // That it speaks HTTP/2 is not enough to be waited for.
                Retry::OnceConnected if trouble.sort == Sort::Refused && !self.seen => false,
                Retry::OnceConnected => self.reached.is_some(),
                Retry::Forever => true,
            };
            if !again {
                let _ = feed.send(Input::End(self.server.clone(), Err(trouble.cause.clone()))).await;
                let _ = feed.flush().await;
                let what = if self.reached.is_some() { "cannot read flows from" } else { "cannot reach" };
                return Err(trouble.error(format!("{what} {}", self.client.server.place())));
            }
            match trouble.sort {
                Sort::Pings => self.keepalive = self.keepalive.max(CALM),
                // It would come again for ever. What else lies between is lost with it, and `cause` says so.
                Sort::TooLarge => self.resume.skip_to(now()),
                _ => {}
            }
            if self.news || trouble.sort == Sort::Pings {
                self.backoff.reset();
            }
            if self.news || self.spoke {
                // How long a server was silent before that was noticed nobody knows: at the longest from the last ping that was answered.
                let silent =
                    if trouble == Trouble::silent() { self.keepalive + self.client.server.timing.patience() } else { Duration::ZERO };
                let silent = i64::try_from(silent.as_nanos()).unwrap_or(i64::MAX);
                self.broke = Some(now().plus(-silent));
            }
            let pause = self.backoff.pause();
            let cause = match trouble.sort {
                Sort::TooLarge => format!("{}; going on from now", trouble.cause),
                _ => trouble.cause,
            };
            let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let hint = match trouble.sort {
                Sort::Request if self.wished && !self.client.request.whitelist.is_empty() => {
                    Some(trouble.hint.map_or_else(|| WIDEN.to_owned(), |hint| format!("{hint}; {WIDEN}")))
                }
                _ => trouble.hint,
            };
            let down = Link::Down { server: self.server.clone(), cause, hint, retry_ms };
            if feed.send(Input::Link(down)).await.is_err() || feed.flush().await.is_err() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wishes.come() => {}
                () = feed.gone() => return Ok(()),
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn once(&mut self, feed: &mut Feed) -> Result<Ended, Ended> {
        feed.send(Input::Link(Link::Connecting { server: self.server.clone() })).await?;
        feed.flush().await?;
        let wire = self.wire_request();
        let filtered = !wire.whitelist.is_empty() || !wire.blacklist.is_empty();
        let timing = self.client.server.timing;
        let opening = async {
            let (channel, mut greeting) = self.client.server.open(self.keepalive).await?;
            let mut call = Box::pin(get_flows(channel.clone(), self.client.server.request(wire)));
            // A quiet server may send no header before its first flow, hours later; that it speaks HTTP/2 is enough.
            let early = tokio::select! {
                answer = &mut call => Some(answer),
                greeted = greeting.answered(timing.connect) => { greeted?; None }
            };
            if matches!(early, Some(Err(_))) {
                greeting.judge()?;
            }
            Ok::<_, Trouble>((early, call, greeting, channel))
        };
        let (early, mut call, greeting, channel) = tokio::select! {
            opened = opening => opened?,
            () = feed.gone() => return Err(Ended::Gone),
        };
        self.reached.get_or_insert_with(now);
        feed.send(Input::Link(Link::Connected { server: self.server.clone() })).await?;
        feed.flush().await?;
        let mut inquiry = Inquiry::new(self.client.server.clone(), channel);
        if self.resume.wants_oldest() {
            inquiry.ask();
        }
        let answer = match early {
            Some(answer) => answer,
            None => loop {
                tokio::select! {
                    answer = &mut call => break answer,
                    oldest = inquiry.answer() => {
                        self.answered(oldest, feed).await?;
                        feed.flush().await?;
                    }
                    () = self.wishes.come() => return Ok(Ended::Anew),
                    () = feed.gone() => return Err(Ended::Gone),
                }
            },
        };
        let ended = match answer {
            Ok(stream) => self.read(stream, inquiry, feed, filtered).await,
            Err(status) => Err(self.failed(&status, filtered, feed).await),
        };
        match ended {
            Err(Ended::Failed(t)) if matches!(t.sort, Sort::Passing | Sort::Broken) && greeting.wants_calm() => Err(Trouble::calm().into()),
            // The pings remained unanswered; of that the stream learns only that its connection is gone.
            Err(Ended::Failed(t)) if t.sort == Sort::Broken && !greeting.has_ended() => Err(Trouble::silent().into()),
            ended => ended,
        }
    }

    async fn read(&mut self, mut stream: Streaming<Bytes>, mut inquiry: Inquiry, feed: &mut Feed, filtered: bool) -> Result<Ended, Ended> {
        loop {
            if self.wishes.waits() {
                feed.flush().await?;
                return Ok(Ended::Anew);
            }
            if let Some(oldest) = inquiry.ready() {
                self.answered(oldest, feed).await?;
            }
            if self.resume.wants_oldest() {
                inquiry.ask();
            }
            // What is there already is taken without asking the clock; the runtime's budget sees to it that others run.
            let message = match stream.message().now_or_never() {
                Some(message) => message,
                None => tokio::select! {
                    message = stream.message() => message,
                    () = feed.due() => {
                        feed.flush().await?;
                        continue;
                    }
                    oldest = inquiry.answer() => {
                        self.answered(oldest, feed).await?;
                        continue;
                    }
                    () = self.wishes.come() => continue,
                    () = feed.gone() => return Err(Ended::Gone),
                },
            };
            match message {
                Ok(Some(bytes)) => {
                    (self.seen, self.proven) = (true, true);
                    if let Some(at) = ids::carried(input::Codec::Hubble, &bytes) {
                        feed.send(Input::World(at)).await?;
                    }
                    // An answer that ends is never gone on with, so there is nothing to remember.
                    if !self.client.request.follow || self.resume.is_new(&bytes) {
                        self.news = true;
                        self.lacks(feed).await?;
                        feed.send(self.frame(bytes, None)).await?;
                    }
                }
                Ok(None) => {
                    feed.flush().await?;
                    return Ok(Ended::Done);
                }
                Err(status) => return Err(self.failed(&status, filtered, feed).await),
            }
        }
    }

    /// How far back the server's memory goes, if it has said so.
    async fn answered(&mut self, oldest: Option<Oldest>, feed: &mut Feed) -> Result<(), Ended> {
        self.spoke |= oldest.as_ref().is_some_and(Oldest::is_whole);
        self.resume.oldest(oldest.as_ref());
        self.lacks(feed).await
    }

    /// Says which nodes may lack something.
    async fn lacks(&mut self, feed: &mut Feed) -> Result<(), Ended> {
        for lapse in self.resume.lapses() {
            let (server, until) = (self.server.clone(), lapse.until);
            let gap = Gap { server, node: lapse.node, from: lapse.from, until };
            feed.send(Input::World(At { cluster: Arc::from(""), at: Some(until), change: Change::Gap(Arc::new(gap)) })).await?;
        }
        Ok(())
    }

    async fn failed(&self, status: &Status, filtered: bool, feed: &mut Feed) -> Ended {
        // A filter that was good once has not become wrong.
        let trouble = trouble(status, filtered && !self.proven);
        if trouble.sort == Sort::TooLarge {
            let why = format!("message larger than {} MiB", LARGEST >> 20);
            if feed.send(self.frame(Bytes::new(), Some(why))).await.is_err() {
                return Ended::Gone;
            }
        }
        Ended::Failed(trouble)
    }

    fn frame(&self, bytes: Bytes, broken: Option<String>) -> Input {
        Input::Frame(Frame { codec: input::Codec::Hubble, from: self.server.clone(), line: 0, bytes, broken })
    }

    fn wire_request(&mut self) -> observer::GetFlowsRequest {
        let r = &self.client.request;
        let mut wire = observer::GetFlowsRequest {
            number: r.number,
            first: r.first,
            follow: r.follow,
            blacklist: r.blacklist.clone(),
            whitelist: r.whitelist.clone(),
            since: r.since.map(stamp),
            until: r.until.map(stamp),
            field_mask: (!r.field_mask.is_empty()).then(|| prost_types::FieldMask { paths: r.field_mask.clone() }),
            ..Default::default()
        };
        if r.follow {
            let fresh = r.number == 0 && r.since.is_none();
            let since = self.resume.since().or(if fresh && !self.seen { self.reached } else { None });
            if let Some(since) = since {
                (wire.number, wire.first, wire.since) = (0, false, Some(stamp(since)));
            }
            // The node's clock may be a little apart from ours.
            self.resume.look_for_duplicates(now(), self.broke.map(|at| at.plus(-OVERLAP)));
        }
        wire
    }
}

pub(super) async fn get_flows(channel: Channel, request: tonic::Request<observer::GetFlowsRequest>) -> Result<Streaming<Bytes>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel)
        .max_decoding_message_size(LARGEST)
        .accept_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Gzip);
    grpc.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
    let path = http::uri::PathAndQuery::from_static("/observer.Observer/GetFlows");
    Ok(grpc.server_streaming(request, path, Raw).await?.into_inner())
}

/// Requests as protobuf, answers as the bytes they are.
struct Raw;

struct RawDecoder;

impl Codec for Raw {
    type Encode = observer::GetFlowsRequest;
    type Decode = Bytes;
    type Encoder = ProstEncoder<observer::GetFlowsRequest>;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<observer::GetFlowsRequest, ()>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        RawDecoder
    }
}

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let n = from.remaining();
        Ok(Some(from.copy_to_bytes(n)))
    }
}

fn stamp(at: Nanos) -> prost_types::Timestamp {
    let (seconds, nanos) = at.parts();
    prost_types::Timestamp { seconds, nanos }
}

fn now() -> Nanos {
    SystemTime::now().into()
}
