//! From → running sources. Owns which task or thread each source runs on.
use super::live::{self, Look, Wait};
use crate::demo::Simulation;
use crate::error::{Error, Kind};
use crate::model::input::{Codec, Frame, Input};
use crate::model::time::Nanos;
use crate::plan::{From, Pace};
use crate::serve::{self, Listen, Rate};
use crate::source::agents::Agents;
use crate::source::capture::Capture;
use crate::source::hubble::{Client, Request, Retry};
use crate::source::merge::Merge;
use crate::source::reel::Reel;
use crate::source::replay::{Remote, Replay};
use crate::source::server::Server;
use crate::source::tape::Tape;
use crate::source::{Feed, Source, Stop};
use prost::Message as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What the screen asks the demo's server for at first: its whole ring.
const RING: u64 = 65_536;

/// Sources at work.
pub struct Running {
    /// Ends with the sources, and with the error that ended them.
    pub task: JoinHandle<Result<(), Error>>,
    /// Where a recording is played at a pace.
    pub remote: Option<Remote>,
    /// Where servers can be asked for something else.
    pub capture: Option<Capture>,
    /// What the servers are called, where that was not known before.
    pub title: Option<String>,
}

/// Who reads what comes.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub screen: bool,
    /// Nothing on stderr.
    pub quiet: bool,
}

/// Starts the sources.
pub async fn start(from: From, Reader { screen, quiet }: Reader, look: Look, feed: Feed, stop: &Stop) -> Result<Running, Error> {
    let stop = stop.clone();
    let (mut remote, mut capture, mut title) = (None, None, None);
    let task = match from {
        From::Files { paths, pace } => {
            // Standard input may take its time to say a first word, and an interrupt is not to wait for it.
            let again = paths.clone();
            let opened = tokio::task::spawn_blocking(move || Tape::open(&paths));
            let tape = opened.await.map_err(|e| Error::new(Kind::Input, "cannot open the recordings").cause(e.to_string()))??;
            let speed = match pace {
                Pace::Max if !screen => {
                    let task = tokio::spawn(Box::new(Reel::new(tape)).run(feed, stop));
                    return Ok(Running { task, remote, capture, title });
                }
                Pace::Max => f64::INFINITY,
                Pace::Times(speed) => speed,
            };
            let (player, handle) = Replay::new(tape, speed);
            // What came through a pipe is not there a second time.
            let player = if again.iter().any(|p| p == "-") || !screen { player } else { player.again(move || Tape::open(&again)) };
            remote = Some(handle);
            tokio::spawn(Box::new(player).run(feed, stop))
        }
        From::Live { servers, request } => {
            let retry = match (screen, request.follow) {
                (true, _) => Retry::Forever,
                (false, true) => Retry::OnceConnected,
                (false, false) => Retry::Never,
            };
            let reach = live::reach(&servers).await?;
            capture = screen.then(Capture::default);
            title = reach.title();
            // Flows that end end the watches: their reader waits for both.
            let watching = stop.child_token();
            let namespace = servers.kube.as_ref().map_or_else(String::new, |k| k.namespace.clone());
            let wait = if screen { Wait::No } else { Wait::Lists { quiet } };
            let (clusters, own) = (reach.clusters, feed.clone());
            let mut all = reach.servers.into_iter();
            let flows = match (all.next(), servers.agents) {
                (Some(server), true) => {
                    let agents = Some(Agents { server, tls: Arc::new(servers.tls.load()?) });
                    let merge = Merge { servers: Vec::new(), agents, request: *request, capture: capture.clone(), patient: screen };
                    Box::new(merge).run(feed, stop)
                }
                (Some(one), false) if all.len() == 0 => {
                    let client = Client::new(one, *request).retry(retry).capture(capture.clone());
                    Box::new(client).run(feed, stop)
                }
                (first, _) => {
                    let servers = first.into_iter().chain(all).collect();
                    let merge = Merge { servers, agents: None, request: *request, capture: capture.clone(), patient: screen };
                    Box::new(merge).run(feed, stop)
                }
            };
            tokio::spawn(async move {
                // Not before somebody reads: the lists of a large cluster are longer than the feed.
                live::look(&clusters, look, &namespace, wait, &own, &watching).await;
                drop(own);
                let watched = watching.drop_guard();
                let result = flows.await;
                drop(watched);
                result
            })
        }
        From::Cluster { servers, asked } => tokio::spawn(async move { live::read(&servers, asked, look, quiet, feed, &stop).await }),
        From::Demo { seed, start, rate, .. } if screen => {
            let server = serve::demo(seed, start, rate, Listen::loopback(), Arc::new(serve::ByQuery)).await?;
            let target = Server::plain(server.address.parse()?);
            let request = Request { number: RING, follow: true, ..Request::default() };
            capture = Some(Capture::default());
            let client = Client::new(target, request).retry(Retry::Forever).capture(capture.clone());
            tokio::spawn(async move {
                let result = Box::new(client).run(feed, stop).await;
                server.stop.cancel();
                result
            })
        }
        From::Demo { seed, start, rate, count } => {
            let begin = start.unwrap_or_else(|| serve::now().plus(-serve::HISTORY));
            let simulation = Simulation::new(seed, begin);
            tokio::task::spawn_blocking(move || simulate(simulation, begin, rate, count, feed, &stop))
        }
    };
    Ok(Running { task, remote, capture, title })
}

/// The simulation straight into the feed: five minutes of history at once, then at its pace.
fn simulate(mut simulation: Simulation, begin: Nanos, rate: Rate, count: Option<u64>, mut feed: Feed, stop: &Stop) -> Result<(), Error> {
    let name: Arc<str> = Arc::from("demo");
    let began = Instant::now();
    let mut n = 0u64;
    while count.is_none_or(|most| n < most) && !stop.is_cancelled() {
        let (at, response) = simulation.next();
        let due = match rate {
            Rate::Max => Duration::ZERO,
            Rate::PerSecond(per) => Duration::try_from_secs_f64(n as f64 / per).unwrap_or(Duration::MAX),
            Rate::Realtime => Duration::from_nanos(u64::try_from(at.since(begin) - serve::HISTORY).unwrap_or(0)),
        };
        let wait = due.saturating_sub(began.elapsed());
        if wait > Duration::from_millis(1) {
            if feed.blocking_flush().is_err() {
                return Ok(());
            }
            // In short naps, so that an interrupt is not waited for.
            let until = Instant::now() + wait.min(Duration::from_secs(3600));
            while Instant::now() < until && !stop.is_cancelled() && !feed.is_gone() {
                std::thread::sleep((until - Instant::now()).min(Duration::from_millis(100)));
            }
        }
        let bytes = response.encode_to_vec().into();
        let frame = Frame { codec: Codec::Hubble, from: name.clone(), line: 0, bytes, broken: None };
        if feed.blocking_send(Input::Frame(frame)).is_err() {
            return Ok(());
        }
        n += 1;
    }
    let _ = feed.blocking_send(Input::End(name, Ok(())));
    let _ = feed.blocking_flush();
    Ok(())
}

/// What a task that panicked leaves behind.
pub fn joined(result: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    match result {
        Ok(r) => r,
        Err(e) => Err(Error::new(Kind::Output, "a source failed").cause(e.to_string())),
    }
}
