//! One kind of object: listed in pages, then watched from there; resumed when the watch ends, listed again when the cluster has
//! forgotten the place.
//!
//! Owns what is told of the kind and of its objects, each once. Who may read one namespace only gets that one's objects, and is told that the
//! kind as a whole may not be read: what is certain without the others stays certain, and nothing else is. A version whose kept text is the same as before is not told again: pods
//! and policies get new statuses all day. Must not guess: what could not be read is said to be unknown.
use super::canon::{self, Type};
use super::config::Cluster;
use super::discovery::{Place, Wanted};
use super::origin;
use super::refusal::{Right, is_absent, is_forbidden, trouble};
use crate::model::doc::Fault;
use crate::model::input::{At, Change, Input, Kind, KindState, ObjectId};
use crate::model::text::clean;
use crate::model::time::Nanos;
use crate::source::backoff::Backoff;
use crate::source::feed::{Feed, Gone};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::Error;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Objects in one answer.
const PAGE: u32 = 500;
/// The cluster ends a watch after so many seconds; we come again from where we were.
const WATCH_SECONDS: u32 = 290;
/// Bookmarks come every minute; a watch without a word for so long may be a connection that is no more.
const SILENCE: Duration = Duration::from_secs(150);
/// An answer to a question takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a kind is listed again.
const FORGOTTEN: &str = "the Kubernetes API could not tell what has changed since";

/// How fast questions are repeated.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause after a failure, and the longest.
    pub first: Duration,
    pub cap: Duration,
    /// Between questions whose answer only an administrator changes: a missing right, a kind that is not installed.
    pub slow: Duration,
    /// Bookmarks come every minute: who hears nothing for so long did not see what happened meanwhile.
    pub quiet: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            slow: Duration::from_secs(300),
            quiet: Duration::from_secs(90),
        }
    }
}

/// Follows one kind.
pub struct Follow {
    cluster: Cluster,
    wanted: Wanted,
    place: Place,
    /// The only namespace that may be read, and what was said of the others.
    within: Option<(String, String)>,
    pace: Pace,
    backoff: Backoff,
    feed: Feed,
    said: KindState,
    /// When the cluster said anything of the kind last: until then everything is known.
    heard: Nanos,
    /// This cluster sends bookmarks.
    bookmarks: bool,
    /// It was said of all but one namespace.
    narrowed: bool,
    /// Let go when something is known of the kind, or known to be missing.
    ticket: Option<Ticket>,
    known: HashMap<(String, String), Known>,
    /// Counts lists; an object that the last one did not have is gone.
    round: u32,
}

/// Held by each kind of which nothing is known yet.
pub type Ticket = tokio::sync::mpsc::Sender<std::convert::Infallible>;

/// What was told of an object.
struct Known {
    digest: [u8; 16],
    at: Nanos,
    round: u32,
}

/// A list that came from the cluster, or one page of it. Items stay text until it is their turn.
#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: Page,
    #[serde(default)]
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// Why a question has no answer.
enum Failed {
    Gone,
    /// Longer than our patience.
    Silent,
    Api(Error),
}

impl From<Gone> for Failed {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// How a watch ended.
enum Ended {
    /// To be resumed at this version.
    At(String),
    /// The version is forgotten, or what came could not be read: list again.
    Forgotten,
}

/// The change that tells of a kind.
pub fn kind(wanted: &Wanted, cluster: &Cluster, state: KindState) -> At {
    let kind = Kind { group: wanted.group.clone(), kind: wanted.kind.clone(), state };
    At { cluster: cluster.name.clone(), at: Some(cluster.clock.now()), change: Change::Kind(kind) }
}

impl Follow {
    /// `seed`: kinds that failed together do not come again together.
    pub fn new(cluster: Cluster, (wanted, place): (Wanted, Place), pace: Pace, feed: Feed, ticket: Option<Ticket>, seed: u64) -> Self {
        let backoff = Backoff::new(pace.first, pace.cap, seed);
        let (said, known) = (KindState::Loading, HashMap::new());
        let (within, heard, bookmarks, narrowed, round) = (None, cluster.clock.now(), false, false, 0);
        Self { cluster, wanted, place, within, pace, backoff, feed, said, heard, bookmarks, narrowed, ticket, known, round }
    }

    /// Ends when the cluster does not have the kind any more; with what is known of it being gone. The kind was said to be loading.
    pub async fn run(mut self) -> Result<(), Gone> {
        loop {
            let version = match self.list().await {
                Ok(version) => version,
                Err(Failed::Gone) => return Err(Gone),
                Err(Failed::Api(e)) if is_absent(&e) => {
                    self.round += 1;
                    self.within = None;
                    self.forget_others().await?;
                    return self.say(KindState::Absent).await;
                }
                Err(Failed::Api(e)) if is_forbidden(&e) && self.place.namespaced && self.namespace().is_none() => {
                    self.narrow(&e).await?;
                    continue;
                }
                Err(failed) => {
                    self.failed(failed, "list").await?;
                    continue;
                }
            };
            self.say(self.readable()).await?;
            self.watch(version).await?;
            self.within = None;
        }
    }

    fn path(&self) -> String {
        let (group, place) = (&self.wanted.group, &self.place);
        let base = if group.is_empty() { format!("/api/{}", place.version) } else { format!("/apis/{group}/{}", place.version) };
        match self.namespace() {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", place.plural),
            None => format!("{base}/{}", place.plural),
        }
    }

    /// The one that is asked for.
    fn namespace(&self) -> Option<&str> {
        let only = self.wanted.only.as_ref().map(|(namespace, _)| namespace.as_str());
        only.or(self.within.as_ref().map(|(namespace, _)| namespace.as_str()))
    }

    /// Asks for the context's own namespace from now on. Where all were read before, that they are not any more is said first: what is
    /// told from here on is not of them.
    async fn narrow(&mut self, e: &Error) -> Result<(), Gone> {
        let resource = self.resource();
        let right = Right { verb: "list", resource: &resource, namespace: None };
        let why = trouble(e, right, &self.cluster.kubectl).cause;
        if matches!(self.said, KindState::Synced | KindState::Stale(_)) {
            self.say(KindState::Forbidden(why.clone())).await?;
        }
        self.within = Some((self.cluster.namespace.clone(), why));
        Ok(())
    }

    /// What is known of the kind when a list of it is in.
    fn readable(&self) -> KindState {
        match &self.within {
            None => KindState::Synced,
            Some((namespace, why)) => KindState::Forbidden(format!("{why}; only those in {} are read", clean(namespace))),
        }
    }

    fn resource(&self) -> String {
        match self.wanted.group.as_str() {
            "" => self.place.plural.clone(),
            group => format!("{}.{group}", self.place.plural),
        }
    }

    fn fields(&self) -> Option<String> {
        self.wanted.only.as_ref().map(|(_, name)| format!("metadata.name={name}"))
    }

    /// Tells everything that is there, and what is no more. The version from which to watch.
    async fn list(&mut self) -> Result<String, Failed> {
        self.round += 1;
        let begun = self.now();
        let mut params = ListParams { limit: Some(PAGE), field_selector: self.fields(), ..ListParams::default() };
        loop {
            let request = Request::new(self.path());
            let request = if self.wanted.form.metadata_only() { request.list_metadata(&params) } else { request.list(&params) };
            let request = request.map_err(|e| Failed::Api(Error::BuildRequest(e)))?;
            let answer = tokio::time::timeout(PATIENCE, self.cluster.client.request::<List>(request)).await;
            let list = answer.map_err(|_| Failed::Silent)?.map_err(Failed::Api)?;
            for item in list.items.unwrap_or_default() {
                match serde_json::from_str(item.get()) {
                    Ok(object) => self.apply(object, true).await?,
                    Err(e) => self.fault(&e).await?,
                }
            }
            self.feed.flush().await?;
            match list.metadata.next.filter(|n| !n.is_empty()) {
                Some(next) => params.continue_token = Some(next),
                None => {
                    self.forget_others().await?;
                    self.heard = begun;
                    return Ok(list.metadata.resource_version);
                }
            }
        }
    }

    /// Objects that the last list did not have. A list of one namespace says nothing of the others.
    async fn forget_others(&mut self) -> Result<(), Gone> {
        let (round, within) = (self.round, self.within.as_ref().map(|(namespace, _)| namespace));
        let listed = |namespace: &String| within.is_none_or(|within| within == namespace);
        let others = self.known.iter().filter(|((namespace, _), k)| k.round != round && listed(namespace));
        let mut gone: Vec<(String, String)> = others.map(|(key, _)| key.clone()).collect();
        gone.sort();
        for (namespace, name) in gone {
            let (group, kind) = (self.wanted.group.clone(), self.wanted.kind.clone());
            self.remove(ObjectId { group, kind, namespace, name }).await?;
        }
        self.feed.flush().await
    }

    /// Tells every change from a version on, until all has to be listed again.
    async fn watch(&mut self, mut version: String) -> Result<(), Gone> {
        loop {
            let params = WatchParams { timeout: Some(WATCH_SECONDS), field_selector: self.fields(), ..WatchParams::default() };
            let request = Request::new(self.path());
            let named = self.wanted.form.metadata_only();
            let request = if named { request.watch_metadata(&params, &version) } else { request.watch(&params, &version) };
            let Ok(request) = request else { return Ok(()) };
            let client = self.cluster.client.clone();
            let failed = match tokio::time::timeout(PATIENCE, client.request_events::<Value>(request)).await {
                Err(_) => Failed::Silent,
                Ok(Err(e)) => Failed::Api(e),
                Ok(Ok(events)) => {
                    self.hear().await?;
                    self.say(self.readable()).await?;
                    match self.events(events.boxed(), version).await? {
                        Ended::At(next) if self.within.is_none() => version = next,
                        // The right to read all may have come meanwhile.
                        Ended::At(_) => return Ok(()),
                        Ended::Forgotten => return self.lost(FORGOTTEN).await,
                    }
                    continue;
                }
            };
            match failed {
                Failed::Api(Error::Api(s)) if s.code == 410 => {
                    self.lost(FORGOTTEN).await?;
                    return self.pause().await;
                }
                Failed::Api(Error::Api(s)) if s.code == 404 => return self.pause().await,
                failed => self.failed(failed, "watch").await?,
            }
        }
    }

    /// What comes on one connection.
    async fn events(&mut self, mut events: BoxStream<'_, Result<WatchEvent<Value>, Error>>, mut version: String) -> Result<Ended, Gone> {
        let mut heard = false;
        let again = tokio::time::sleep(self.pace.slow);
        tokio::pin!(again);
        loop {
            let next = tokio::select! {
                next = events.next() => next,
                () = self.feed.due() => {
                    self.feed.flush().await?;
                    continue;
                }
                () = &mut again, if self.within.is_some() => {
                    self.feed.flush().await?;
                    return Ok(Ended::At(version));
                }
                () = tokio::time::sleep(SILENCE) => {
                    self.feed.flush().await?;
                    return Ok(Ended::At(version));
                }
            };
            // Without bookmarks a watch without a word may be one without a change.
            match next {
                Some(Ok(WatchEvent::Error(_)) | Err(_)) => {}
                _ if self.bookmarks => {
                    self.hear().await?;
                    self.say(self.readable()).await?;
                }
                _ => self.heard = self.now(),
            }
            let ended = match next {
                Some(Ok(WatchEvent::Added(o) | WatchEvent::Modified(o))) => {
                    version_of(&o, &mut version);
                    self.apply(o, false).await?;
                    None
                }
                Some(Ok(WatchEvent::Deleted(o))) => {
                    version_of(&o, &mut version);
                    if let Some(id) = canon::id(self.of(), &o) {
                        self.remove(id).await?;
                    }
                    None
                }
                Some(Ok(WatchEvent::Bookmark(b))) => {
                    version = b.metadata.resource_version;
                    self.bookmarks = true;
                    None
                }
                Some(Ok(WatchEvent::Error(s))) if s.code == 410 => Some(Ended::Forgotten),
                Some(Err(Error::Api(s))) if s.code == 410 => Some(Ended::Forgotten),
                // What cannot be read would come again from the same version.
                Some(Err(Error::SerdeError(_))) => Some(Ended::Forgotten),
                // It broke; whether the cluster is still there is seen at the next try.
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => Some(Ended::At(version.clone())),
            };
            let Some(ended) = ended else {
                heard = true;
                self.backoff.reset();
                continue;
            };
            self.feed.flush().await?;
            // A watch that only ever ends is no reason to ask without a pause.
            if !heard || matches!(ended, Ended::Forgotten) {
                self.pause().await?;
            }
            return Ok(ended);
        }
    }

    /// The cluster speaks. After a long silence, of which nobody knows when the connection broke or this machine slept, what happened since
    /// its last word was not seen when it was so.
    async fn hear(&mut self) -> Result<(), Gone> {
        let (now, quiet) = (self.now(), i64::try_from(self.pace.quiet.as_nanos()).unwrap_or(i64::MAX));
        if now.since(self.heard) > quiet {
            self.lost("nothing was heard of the watch").await?;
        }
        self.heard = now;
        Ok(())
    }

    /// Says that what happened since the cluster's last word is not known. The next state says how it goes on.
    async fn lost(&mut self, why: &str) -> Result<(), Gone> {
        match self.said {
            KindState::Synced => self.say(KindState::Stale(why.to_owned())).await,
            _ => Ok(()),
        }
    }

    async fn pause(&mut self) -> Result<(), Gone> {
        let pause = self.backoff.pause();
        self.wait(pause).await
    }

    async fn wait(&mut self, pause: Duration) -> Result<(), Gone> {
        self.feed.flush().await?;
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.feed.gone() => Err(Gone),
        }
    }

    /// Says why nothing is known, or nothing new, and waits.
    async fn failed(&mut self, failed: Failed, verb: &str) -> Result<(), Gone> {
        let resource = self.resource();
        let namespace = self.namespace().map(str::to_owned);
        let right = Right { verb, resource: &resource, namespace: namespace.as_deref() };
        let pause = match failed {
            Failed::Gone => return Err(Gone),
            Failed::Silent => {
                let why = format!("the Kubernetes API does not answer to {right} for {} s", PATIENCE.as_secs());
                self.say(KindState::Stale(why)).await?;
                self.backoff.pause()
            }
            Failed::Api(e) => {
                let why = trouble(&e, right, &self.cluster.kubectl).cause;
                if is_forbidden(&e) {
                    // Of both refusals the one of all namespaces says more, and is tried again first.
                    let all = if verb == "list" { self.within.take() } else { None };
                    self.say(KindState::Forbidden(all.map_or(why, |(_, all)| all))).await?;
                    self.pace.slow
                } else {
                    self.say(KindState::Stale(why)).await?;
                    self.backoff.pause()
                }
            }
        };
        self.wait(pause).await
    }

    /// Tells the state of the kind if it is another one. The words of a failure may change from try to try; the first ones stand, unless
    /// one namespace can be read now, or cannot any more.
    async fn say(&mut self, state: KindState) -> Result<(), Gone> {
        let narrowed = self.within.is_some();
        if std::mem::discriminant(&self.said) == std::mem::discriminant(&state) && self.narrowed == narrowed {
            return Ok(());
        }
        // Nobody knows how long it was broken before that was seen.
        let ends = !matches!(state, KindState::Synced | KindState::Absent);
        let at = (self.said == KindState::Synced && ends).then_some(self.heard);
        self.narrowed = narrowed;
        self.said = state.clone();
        let ticket = self.ticket.take();
        let told = kind(&self.wanted, &self.cluster, state);
        self.feed.send(Input::World(At { at: at.or(told.at), ..told })).await?;
        self.feed.flush().await?;
        drop(ticket);
        Ok(())
    }

    /// By the cluster's clock.
    fn now(&self) -> Nanos {
        self.cluster.clock.now()
    }

    fn of(&self) -> Type<'_> {
        Type { group: &self.wanted.group, version: &self.place.version, kind: &self.wanted.kind }
    }

    async fn tell(&mut self, at: Nanos, change: Change) -> Result<(), Gone> {
        let at = At { cluster: self.cluster.name.clone(), at: Some(at), change };
        self.feed.send(Input::World(at)).await
    }

    /// Tells an object if what is kept of it is new. Its time is that of the write that made it so, by the cluster's clock (see
    /// [`origin::since`]), never before the version that was told last; where the cluster does not say it, when we saw it.
    async fn apply(&mut self, object: Value, listed: bool) -> Result<(), Gone> {
        let Some(id) = canon::id(self.of(), &object) else { return Ok(()) };
        let since = origin::since(&object, listed);
        let doc = match canon::doc(self.of(), self.wanted.form, &id, object) {
            Ok(doc) => doc,
            Err(fault) => return self.tell(self.now(), Change::Fault(fault)).await,
        };
        let mut sum = Sha256::new();
        sum.update(doc.text.body.as_bytes());
        for c in doc.live.iter().flat_map(|l| &l.conditions) {
            [&c.kind, &c.status, &c.reason, &c.message].into_iter().for_each(|t| sum.update(t.as_bytes()));
        }
        let mut digest = [0; 16];
        digest.iter_mut().zip(sum.finalize()).for_each(|(to, from)| *to = from);
        let (round, now) = (self.round, self.now());
        let key = (id.namespace, id.name);
        let at = match self.known.get_mut(&key) {
            Some(known) if known.digest == digest => {
                known.round = round;
                return Ok(());
            }
            // A write that took something away may leave no time of its own.
            Some(known) => since.filter(|t| *t > known.at).unwrap_or(now),
            None => since.unwrap_or(now),
        };
        self.known.insert(key, Known { digest, at, round });
        self.tell(at, Change::Apply(Arc::new(doc))).await
    }

    /// The cluster does not say when an object went: it is the time at which we saw that it is gone.
    async fn remove(&mut self, id: ObjectId) -> Result<(), Gone> {
        match self.known.remove(&(id.namespace.clone(), id.name.clone())) {
            Some(_) => self.tell(self.now(), Change::Remove(id)).await,
            None => Ok(()),
        }
    }

    async fn fault(&mut self, e: &serde_json::Error) -> Result<(), Gone> {
        let what = format!("the API sent an object that is not readable: {}", clean(&e.to_string()));
        self.tell(self.now(), Change::Fault(Fault { file: self.place.plural.clone(), line: 1, what })).await
    }
}

fn version_of(object: &Value, version: &mut String) {
    if let Some(v) = object.get("metadata").and_then(|m| m.get("resourceVersion")).and_then(Value::as_str) {
        v.clone_into(version);
    }
}
