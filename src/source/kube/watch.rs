//! A cluster's state as a source: every kind that somebody reads, found by discovery, each listed and watched once.
//!
//! Owns which kinds are followed, and what is told of those that are not there. A kind that comes later (its CRDs are installed) is found
//! later. Knows no policy: which kinds those are is handed in.
use super::canon::Form;
use super::config::Cluster;
use super::discovery::{self, Answer, Found, Wanted};
pub use super::follow::Pace;
use super::follow::{Follow, Ticket, kind};
use super::refusal::{Right, trouble};
use crate::error::Error;
use crate::model::input::{Input, KindState, Link};
use crate::source::backoff::Backoff;
use crate::source::feed::{Feed, Gone};
use crate::source::{Source, Stop};
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// A kind of policy, as who reads policies names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKind {
    pub group: String,
    pub kind: String,
    /// Of the others only the names are asked for.
    pub understood: bool,
}

/// The source. It ends only when it is stopped or the reader is gone; a cluster that cannot be reached is waited for.
pub struct Watch {
    pub cluster: Cluster,
    /// None: policies come from elsewhere.
    pub policies: Vec<PolicyKind>,
    /// Where Cilium's settings are.
    pub cilium_namespace: String,
    pub pace: Pace,
    ticket: Ticket,
}

/// Whether the first words on every kind are in the feed.
pub struct Settled(mpsc::Receiver<Infallible>);

impl Settled {
    /// Returns when of every kind either all objects are in the feed, or why they are not.
    pub async fn wait(mut self) {
        // Nobody sends; the last ticket that is let go ends it.
        while self.0.recv().await.is_some() {}
    }
}

impl Watch {
    pub fn new(cluster: Cluster, policies: Vec<PolicyKind>, cilium_namespace: String) -> (Self, Settled) {
        let (ticket, settled) = mpsc::channel(1);
        (Self { cluster, policies, cilium_namespace, pace: Pace::default(), ticket }, Settled(settled))
    }

    fn wanted(&self) -> Vec<Wanted> {
        let policy = |p: &PolicyKind| Wanted {
            group: p.group.clone(),
            kind: p.kind.clone(),
            form: if p.understood { Form::Whole } else { Form::Named },
            only: None,
        };
        self.policies.iter().map(policy).chain(discovery::world(&self.cilium_namespace)).collect()
    }

    /// That nothing is known yet, before anything else: else an explanation would take what is not there yet for what is not there.
    fn loading(&self) -> Vec<Input> {
        self.wanted().iter().map(|w| Input::World(kind(w, &self.cluster, KindState::Loading))).collect()
    }
}

impl Source for Watch {
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let loading = self.loading();
            let round = Round::new(*self);
            tokio::select! {
                Err(Gone) = round.run(&mut feed, loading) => {}
                () = stop.cancelled() => {}
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), feed.flush()).await;
            Ok(())
        })
    }
}

/// The kinds on their way.
struct Round {
    cluster: Cluster,
    pace: Pace,
    wanted: Vec<Wanted>,
    /// What was said of each.
    said: Vec<KindState>,
    /// What was said of its clock.
    skew: Option<String>,
    tickets: Vec<Option<Ticket>>,
    running: Vec<Option<AbortHandle>>,
    follows: JoinSet<Result<(), Gone>>,
}

impl Round {
    fn new(watch: Watch) -> Self {
        let wanted = watch.wanted();
        Self {
            said: vec![KindState::Loading; wanted.len()],
            tickets: wanted.iter().map(|_| Some(watch.ticket.clone())).collect(),
            running: wanted.iter().map(|_| None).collect(),
            skew: None,
            cluster: watch.cluster,
            pace: watch.pace,
            wanted,
            follows: JoinSet::new(),
        }
    }

    async fn run(mut self, feed: &mut Feed, loading: Vec<Input>) -> Result<(), Gone> {
        for input in loading {
            feed.send(input).await?;
        }
        feed.flush().await?;
        let mut backoff = Backoff::new(self.pace.first, self.pace.cap, 0);
        // Before the first list is dated.
        self.ask_clock(feed).await?;
        // The core group needs no discovery, and what it has is the most.
        self.settle(&Found::default(), true, feed).await?;
        loop {
            let pause = match discovery::ask(&self.cluster.client, &self.wanted).await {
                Ok(found) => {
                    backoff.reset();
                    self.settle(&found, false, feed).await?;
                    self.pace.slow
                }
                Err(e) => {
                    let right = Right { verb: "get", resource: "the list of API groups", namespace: None };
                    let why = trouble(&e, right, &self.cluster.kubectl).cause;
                    for i in 0..self.wanted.len() {
                        self.say(i, KindState::Stale(why.clone()), feed).await?;
                    }
                    backoff.pause()
                }
            };
            self.wait(pause, feed).await?;
            self.ask_clock(feed).await?;
        }
    }

    /// Asks what time it is there, and says if that is another than here.
    async fn ask_clock(&mut self, feed: &mut Feed) -> Result<(), Gone> {
        self.cluster.clock.ask(&self.cluster.client).await;
        let told = self.cluster.clock.trouble(&self.cluster.name);
        if told != self.skew {
            self.skew.clone_from(&told);
            feed.send(Input::Link(Link::Skewed { cluster: self.cluster.name.clone(), told })).await?;
            feed.flush().await?;
        }
        Ok(())
    }

    /// Waits, and takes note of kinds that are not followed any more.
    async fn wait(&mut self, pause: Duration, feed: &mut Feed) -> Result<(), Gone> {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            let done = tokio::select! {
                () = &mut pause => return Ok(()),
                Some(done) = self.follows.join_next_with_id() => done,
            };
            let (id, state) = match done {
                // It has said itself that the kind is gone.
                Ok((id, Ok(()))) => (id, None),
                Ok((_, Err(gone))) => return Err(gone),
                Err(e) => (e.id(), Some(KindState::Stale(format!("the watch failed: {e}")))),
            };
            let Some(i) = self.running.iter().position(|r| r.as_ref().is_some_and(|r| r.id() == id)) else { continue };
            self.running.get_mut(i).into_iter().for_each(|r| *r = None);
            match state {
                Some(state) => self.say(i, state, feed).await?,
                None => self.said.get_mut(i).into_iter().for_each(|s| *s = KindState::Absent),
            }
        }
    }

    /// Follows what is there and says what is not.
    async fn settle(&mut self, found: &Found, core_only: bool, feed: &mut Feed) -> Result<(), Gone> {
        for i in 0..self.wanted.len() {
            let (Some(wanted), Some(None)) = (self.wanted.get(i), self.running.get(i)) else { continue };
            match found.of(wanted) {
                Answer::Here(place) => {
                    let what = (wanted.clone(), place);
                    self.say(i, KindState::Loading, feed).await?;
                    let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i as u64 + 1);
                    let ticket = self.tickets.get_mut(i).and_then(Option::take);
                    let follow = Follow::new(self.cluster.clone(), what, self.pace, feed.clone(), ticket, seed);
                    let handle = self.follows.spawn(follow.run());
                    self.running.get_mut(i).into_iter().for_each(|r| *r = Some(handle.clone()));
                }
                _ if core_only => {}
                Answer::Absent => self.say(i, KindState::Absent, feed).await?,
                Answer::Unclear(why) => self.say(i, KindState::Stale(why), feed).await?,
            }
        }
        Ok(())
    }

    /// Says the state of a kind that is not followed, if it is another one.
    async fn say(&mut self, i: usize, state: KindState, feed: &mut Feed) -> Result<(), Gone> {
        let (Some(wanted), Some(said), Some(None)) = (self.wanted.get(i), self.said.get_mut(i), self.running.get(i)) else {
            return Ok(());
        };
        if std::mem::discriminant(said) != std::mem::discriminant(&state) {
            *said = state.clone();
            feed.send(Input::World(kind(wanted, &self.cluster, state))).await?;
            feed.flush().await?;
            self.tickets.get_mut(i).into_iter().for_each(|t| *t = None);
        }
        Ok(())
    }
}
