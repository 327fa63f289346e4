//! The agents of a cluster, as one of their servers names them: for when Relay is down.
//!
//! Owns the question who there is, and how one who is named is reached. Dials nobody but the one who names them.
use super::Stop;
use super::ask;
use super::backoff::Backoff;
use super::server::Server;
use super::status::clean;
use super::target::Address;
use super::tls::Secure;
use crate::error::{Error, Kind};
use crate::model::input::{Link, NAMES_AGENTS};
use crate::wire::pb::peer::{ChangeNotification, ChangeNotificationType};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Changes that wait to be read: more than the largest cluster has nodes.
const WAITING: usize = 16_384;
/// After so much silence the list is taken to be whole, where it has to end: the protocol does not say when it is.
const QUIET: Duration = Duration::from_millis(500);

/// Who names the agents, and with which keys they are spoken to.
#[derive(Debug)]
pub struct Agents {
    pub server: Server,
    /// For agents that speak TLS.
    pub tls: Arc<Secure>,
}

/// What is said about the list.
#[derive(Debug)]
pub enum Change {
    Put(Box<Server>),
    /// By the name of its connection.
    Gone(String),
    /// How the one fares who names them, and what is wrong with an address.
    Link(Link),
    /// There is no list.
    Failed(Error),
}

impl Agents {
    /// Asks in a task of its own. With `follow` it goes on until `stop`, and comes again; else it ends when the list is whole.
    /// `patient`: also where the first question fails.
    pub fn watch(self, follow: bool, patient: bool, stop: Stop) -> mpsc::Receiver<Change> {
        let (tx, rx) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = self.drive(follow, patient, &tx) => {}
                () = stop.cancelled() => {}
                () = tx.closed() => {}
            }
        });
        rx
    }

    async fn drive(&self, follow: bool, patient: bool, tx: &mpsc::Sender<Change>) {
        let name: Arc<str> = format!("{}{NAMES_AGENTS}", self.server.name()).into();
        let timing = self.server.timing;
        let seed = u64::from(std::process::id());
        let mut backoff = Backoff::new(timing.first, timing.cap, seed);
        let mut known = BTreeMap::new();
        let mut told = false;
        loop {
            let heard = Mutex::new(None);
            let asked = ask::peers(&self.server, |change| {
                let first = lock(&heard).replace(Instant::now()).is_none();
                if first {
                    send(tx, Change::Link(Link::Connected { server: name.clone() }))?;
                }
                self.changes(&change, &mut known).into_iter().try_for_each(|c| send(tx, c)).map(|()| true)
            });
            let ended = if follow { Some(asked.await) } else { quiet(asked, &heard, timing.connect).await };
            let news = lock(&heard).is_some();
            told |= news;
            if told && !follow {
                return;
            }
            let error = match ended {
                Some(Err(e)) => e,
                Some(Ok(())) => Error::new(Kind::Connect, format!("{} names no more agents", self.server.name())),
                None => Error::new(Kind::Connect, format!("{} names no agents", self.server.name()))
                    .cause(format!("nothing came within {} s", timing.connect.as_secs_f64()))
                    .hint("is it an agent's server or the service hubble-peer? Relay has no list"),
            };
            if !told && !patient {
                let _ = tx.send(Change::Failed(error)).await;
                return;
            }
            if news {
                backoff.reset();
            }
            let pause = backoff.pause();
            let (cause, hint) = (error.line(), error.hint);
            let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            if tx.send(Change::Link(Link::Down { server: name.clone(), cause, hint, retry_ms })).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What a notification changes. One that repeats what is known changes nothing: after a break all are named anew.
    fn changes(&self, n: &ChangeNotification, known: &mut BTreeMap<String, (String, Option<String>, String)>) -> Vec<Change> {
        let mut out = Vec::new();
        if n.r#type() == ChangeNotificationType::PeerDeleted {
            out.extend(known.remove(&n.name).map(|(_, _, name)| Change::Gone(name)));
            return out;
        }
        let tls = n.tls.as_ref().map(|t| t.server_name.clone());
        if known.get(&n.name).is_some_and(|(address, name, _)| *address == n.address && *name == tls) {
            return out;
        }
        match self.server_of(n, tls.clone()) {
            Ok(server) => {
                let name = server.name();
                let before = known.insert(n.name.clone(), (n.address.clone(), tls, name));
                out.extend(before.map(|(_, _, name)| Change::Gone(name)));
                out.push(Change::Put(Box::new(server)));
            }
            Err(e) => {
                let server = clean(&format!("{} ({})", n.name, n.address)).into();
                out.push(Change::Link(Link::Lost { server, cause: e.cause.unwrap_or(e.what), hint: None }));
            }
        }
        out
    }

    fn server_of(&self, n: &ChangeNotification, tls: Option<String>) -> Result<Server, Error> {
        let address: Address = n.address.parse()?;
        let secure = tls.map(|name| self.tls.named(&name));
        Ok(Server {
            target: address.target,
            label: (!n.name.is_empty()).then(|| n.name.clone()),
            tls: secure.map(Arc::new),
            // Whom an unprotected list names may be anybody.
            auth: self.server.auth.clone().filter(|_| self.server.tls.is_some()),
            timing: self.server.timing,
            instead: None,
        })
    }
}

fn lock(heard: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    // It holds one whole value at any time.
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of `asked`, or `None` when nothing comes any more; `limit` is for the first word.
async fn quiet<T>(asked: impl Future<Output = T>, heard: &Mutex<Option<Instant>>, limit: Duration) -> Option<T> {
    let began = Instant::now();
    let silence = async {
        loop {
            let end = (*lock(heard)).map_or(began + limit, |last| last + QUIET);
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    };
    tokio::select! {
        ended = asked => Some(ended),
        () = silence => None,
    }
}

fn send(tx: &mpsc::Sender<Change>, change: Change) -> Result<(), Error> {
    tx.try_send(change).map_err(|_| Error::new(Kind::Connect, "more agents are named than any cluster has"))
}
