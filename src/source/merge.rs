//! Several servers as one source: their flows in the order of their times, as far as that can be had.
//!
//! Owns the order and the patience for it. A flow is held until every server that is connected has said something newer, but not
//! longer than a second. What comes later than that is let through at once, and counted. Drops nothing.
use super::agents::{Agents, Change};
use super::capture::Capture;
use super::feed::{self, Feed, Gone, Inbox};
use super::hubble::{Client, Request, Retry};
use super::resume;
use super::server::Server;
use super::{Source, Stop};
use crate::error::{Error, Kind};
use crate::model::input::{Input, Link};
use crate::model::time::Nanos;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a flow of a stream that goes on is held.
pub const HOLD: Duration = Duration::from_secs(1);
/// The same for answers that end: there the last flow of a slow server is worth more than a second.
const FINITE: Duration = Duration::from_secs(10);
/// So many of one server are held at most.
const LANE: usize = 16_384;
/// Batches that wait between a server and us.
const SLOTS: usize = 4;

/// Servers to merge.
#[derive(Debug)]
pub struct Merge {
    pub servers: Vec<Server>,
    /// Who names more of them.
    pub agents: Option<Agents>,
    pub request: Request,
    /// Who may want something else while it runs.
    pub capture: Option<Capture>,
    /// Wait for servers however long, as a screen does; else one of them must be there at the beginning.
    pub patient: bool,
}

/// One server at work.
struct Lane {
    id: u64,
    name: Arc<str>,
    inbox: Inbox,
    task: JoinHandle<Result<(), Error>>,
    stop: Stop,
    /// The newest time it has said.
    newest: Option<Nanos>,
    held: usize,
    late: u64,
    /// It is connected, or its first try is under way.
    live: bool,
    /// It has failed at least once.
    failed: bool,
    end: Option<String>,
}

/// A flow that waits for its turn.
struct Held {
    at: Nanos,
    /// Equal times keep the order of their coming.
    seq: u64,
    lane: u64,
    input: Input,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

impl Source for Merge {
    /// `Err` when a server that was named could not be read to its end; the others were.
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let mut merger = Merger::new(*self, stop.child_token());
            let result = tokio::select! {
                result = merger.drive(&mut feed) => result.unwrap_or(Ok(())),
                () = stop.cancelled() => Ok(()),
            };
            merger.stop.cancel();
            // Asked to stop, we do not wait for a reader that has stopped reading; what is held goes out as it is.
            let _ = tokio::time::timeout(Duration::from_millis(100), async {
                merger.release_all(&mut feed).await?;
                feed.flush().await
            })
            .await;
            result
        })
    }
}

struct Merger {
    plan: Merge,
    /// The servers were named by another one.
    by_agents: bool,
    stop: Stop,
    lanes: Vec<Lane>,
    next: u64,
    seq: u64,
    heap: BinaryHeap<Reverse<Held>>,
    /// When which time came: what has come so long ago waits no more.
    came: VecDeque<(Instant, Nanos)>,
    hold: Duration,
    /// The newest time that was let through.
    through: Option<Nanos>,
    changes: Option<mpsc::Receiver<Change>>,
    reached: bool,
    lost: Vec<Error>,
    ended: usize,
}

impl Merger {
    fn new(mut plan: Merge, stop: Stop) -> Self {
        let hold = if plan.request.follow { HOLD } else { FINITE };
        let by_agents = plan.agents.is_some();
        let changes = plan.agents.take().map(|a| a.watch(plan.request.follow, plan.patient, stop.clone()));
        let mut me = Self {
            stop,
            lanes: Vec::new(),
            next: 0,
            seq: 0,
            heap: BinaryHeap::new(),
            came: VecDeque::new(),
            hold,
            through: None,
            changes,
            reached: false,
            lost: Vec::new(),
            ended: 0,
            by_agents,
            plan,
        };
        for server in std::mem::take(&mut me.plan.servers) {
            me.add(server);
        }
        me
    }

    fn add(&mut self, server: Server) {
        let retry = if self.plan.request.follow { Retry::Forever } else { Retry::Never };
        let name: Arc<str> = server.name().into();
        let (feed, inbox) = feed::channel(SLOTS);
        let stop = self.stop.child_token();
        let client = Client::new(server, self.plan.request.clone()).retry(retry).capture(self.plan.capture.clone());
        let task = tokio::spawn(Box::new(client).run(feed, stop.clone()));
        let id = self.next;
        self.next += 1;
        self.lanes.push(Lane { id, name, inbox, task, stop, newest: None, held: 0, late: 0, live: true, failed: false, end: None });
    }

    async fn drive(&mut self, feed: &mut Feed) -> Result<Result<(), Error>, Gone> {
        loop {
            if self.lanes.is_empty() && self.changes.is_none() {
                self.release_all(feed).await?;
                return self.over(feed).await;
            }
            let due = self.came.front().map(|(came, _)| *came + self.hold);
            let (lanes, changes) = (&mut self.lanes, &mut self.changes);
            tokio::select! {
                (index, batch) = batch(lanes, self.seq) => match batch {
                    Some(batch) => {
                        for input in batch {
                            self.take(index, input, feed).await?;
                        }
                    }
                    None => self.closed(index, feed).await?,
                },
                change = change(changes) => {
                    if let Some(error) = self.change(change, feed).await? {
                        return self.failed(error, feed).await;
                    }
                }
                () = until(due) => {}
                () = feed.due() => feed.flush().await?,
                () = feed.gone() => return Err(Gone),
            }
            self.release(feed).await?;
            if let Some(error) = self.nobody() {
                return self.failed(error, feed).await;
            }
        }
    }

    async fn take(&mut self, index: usize, input: Input, feed: &mut Feed) -> Result<(), Gone> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        match input {
            Input::Frame(frame) => {
                // A message without a time stays behind what its server said before.
                let at = resume::time(&frame.bytes).or(lane.newest).or(self.through).unwrap_or_default();
                lane.newest = lane.newest.max(Some(at));
                if self.through.is_some_and(|t| at < t) {
                    lane.late += 1;
                    return feed.send(Input::Frame(frame)).await;
                }
                lane.held += 1;
                self.seq += 1;
                self.came.push_back((Instant::now(), at));
                self.heap.push(Reverse(Held { at, seq: self.seq, lane: lane.id, input: Input::Frame(frame) }));
                Ok(())
            }
            // Why a server ended is told when its task has ended too.
            Input::End(_, how) => {
                lane.end = how.err();
                Ok(())
            }
            Input::Link(link) => {
                match &link {
                    Link::Connected { .. } => (lane.live, self.reached) = (true, true),
                    Link::Down { cause, .. } => (lane.live, lane.failed, lane.end) = (false, true, Some(cause.clone())),
                    _ => {}
                }
                feed.send(Input::Link(link)).await?;
                feed.flush().await
            }
            other => feed.send(other).await,
        }
    }

    /// A server has come to its end, or was given up.
    async fn closed(&mut self, index: usize, feed: &mut Feed) -> Result<(), Gone> {
        let lane = self.lanes.swap_remove(index);
        self.tell_late(&lane.name, lane.late, feed).await?;
        self.ended += 1;
        if lane.stop.is_cancelled() && !self.stop.is_cancelled() {
            // It was taken off the list.
            self.ended -= 1;
            return feed.send(Input::Link(Link::Left { server: lane.name })).await;
        }
        let ended =
            lane.task.await.unwrap_or_else(|e| Err(Error::new(Kind::Connect, format!("{} failed", lane.name)).cause(e.to_string())));
        if let Err(e) = ended {
            let cause = lane.end.or_else(|| e.cause.clone()).unwrap_or_else(|| e.what.clone());
            feed.send(Input::Link(Link::Lost { server: lane.name, cause, hint: e.hint.clone() })).await?;
            feed.flush().await?;
            self.lost.push(e);
        }
        Ok(())
    }

    /// What whoever names the servers says. An error ends everything.
    async fn change(&mut self, change: Option<Change>, feed: &mut Feed) -> Result<Option<Error>, Gone> {
        match change {
            Some(Change::Put(server)) => {
                let name: Arc<str> = server.name().into();
                if !self.lanes.iter().any(|l| l.name == name && !l.stop.is_cancelled()) {
                    self.add(*server);
                }
            }
            Some(Change::Gone(name)) => self.lanes.iter().filter(|l| *l.name == *name).for_each(|l| l.stop.cancel()),
            Some(Change::Link(link)) => {
                feed.send(Input::Link(link)).await?;
                feed.flush().await?;
            }
            Some(Change::Failed(error)) => return Ok(Some(error)),
            None => self.changes = None,
        }
        Ok(None)
    }

    /// Lets through what needs to wait no more.
    async fn release(&mut self, feed: &mut Feed) -> Result<(), Gone> {
        let now = Instant::now();
        let mut horizon = None;
        let waiting = self.heap.peek().map(|Reverse(top)| top.at);
        while let Some((came, at)) = self.came.front() {
            let gone = waiting.is_none_or(|w| *at < w);
            if !gone && *came + self.hold > now {
                break;
            }
            horizon = horizon.max(Some(*at));
            self.came.pop_front();
        }
        // What all have passed.
        if !self.lanes.iter().any(|l| l.live && l.newest.is_none()) {
            horizon = horizon.max(self.lanes.iter().filter(|l| l.live).filter_map(|l| l.newest).min());
        }
        let nobody = !self.lanes.iter().any(|l| l.live);
        while let Some(Reverse(top)) = self.heap.peek()
            && (nobody && self.changes.is_none() || horizon.is_some_and(|h| top.at <= h) || self.crowded())
        {
            self.let_through(feed).await?;
        }
        let late: Vec<_> = self.lanes.iter_mut().filter(|l| l.late > 0).map(|l| (l.name.clone(), std::mem::take(&mut l.late))).collect();
        for (name, n) in late {
            self.tell_late(&name, n, feed).await?;
        }
        Ok(())
    }

    /// A stream that goes on is not held up by another one's silence.
    fn crowded(&self) -> bool {
        self.plan.request.follow && self.lanes.iter().any(|l| l.held >= LANE)
    }

    async fn release_all(&mut self, feed: &mut Feed) -> Result<(), Gone> {
        while !self.heap.is_empty() {
            self.let_through(feed).await?;
        }
        self.came.clear();
        Ok(())
    }

    async fn let_through(&mut self, feed: &mut Feed) -> Result<(), Gone> {
        let Some(Reverse(held)) = self.heap.pop() else { return Ok(()) };
        if let Some(lane) = self.lanes.iter_mut().find(|l| l.id == held.lane) {
            lane.held -= 1;
        }
        // One clock that is fast must not make all others late.
        let now: Nanos = SystemTime::now().into();
        if held.at <= now.plus(Nanos::SECOND) {
            self.through = self.through.max(Some(held.at));
        }
        feed.send(held.input).await
    }

    async fn tell_late(&self, name: &Arc<str>, count: u64, feed: &mut Feed) -> Result<(), Gone> {
        if count == 0 {
            return Ok(());
        }
        feed.send(Input::Link(Link::Late { server: name.clone(), count })).await
    }

    /// Whether it is hopeless: nobody was ever reached, and everybody has failed.
    fn nobody(&self) -> Option<Error> {
        let hopeless = !self.reached && !self.plan.patient && self.changes.is_none() && !self.lanes.is_empty();
        let all = hopeless && self.lanes.iter().all(|l| l.failed);
        let first = self.lanes.first().filter(|_| all)?;
        let what = format!("cannot reach any of {} servers", self.lanes.len());
        let error = Error::new(Kind::Connect, what).hint("are the addresses and the TLS flags right?");
        Some(error.cause(format!("{}: {}", first.name, first.end.as_deref().unwrap_or("no answer"))))
    }

    async fn failed(&mut self, error: Error, feed: &mut Feed) -> Result<Result<(), Error>, Gone> {
        self.release_all(feed).await?;
        let cause = error.cause.clone().unwrap_or_else(|| error.what.clone());
        feed.send(Input::End("the servers".into(), Err(cause))).await?;
        feed.flush().await?;
        Ok(Err(error))
    }

    /// All have ended.
    async fn over(&mut self, feed: &mut Feed) -> Result<Result<(), Error>, Gone> {
        let (lost, all) = (self.lost.len(), self.ended);
        // Of agents that were named by another some may be away, as with Relay; a server that was named by hand was meant.
        let Some(first) = self.lost.first().filter(|_| lost == all || !self.by_agents) else {
            feed.send(Input::End("the servers".into(), Ok(()))).await?;
            feed.flush().await?;
            return Ok(Ok(()));
        };
        let error = if all == 1 {
            first.clone()
        } else {
            Error::new(first.kind, format!("{lost} of {all} servers could not be read to their end")).cause(first.line())
        };
        let error = match &first.hint {
            Some(hint) => error.hint(hint),
            None => error,
        };
        self.failed(error, feed).await
    }
}

/// The next batch of any server that is not too far ahead.
async fn batch(lanes: &mut [Lane], turn: u64) -> (usize, Option<Vec<Input>>) {
    poll_fn(|cx| {
        let n = lanes.len();
        // Each begins in turn, so that one who always has something to say does not keep the others out.
        let from = usize::try_from(turn).unwrap_or(0) % n.max(1);
        for i in (from..n).chain(0..from) {
            let lane = &mut lanes[i];
            if lane.held < LANE
                && let Poll::Ready(batch) = lane.inbox.poll_recv(cx)
            {
                return Poll::Ready((i, batch));
            }
        }
        Poll::Pending
    })
    .await
}

async fn change(changes: &mut Option<mpsc::Receiver<Change>>) -> Option<Change> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
