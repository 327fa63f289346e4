//! The simulated cluster behind an observer: fills the ring with history, then goes on in time.
//!
//! Owns the pace. Must not change what the simulation says.
use super::listen::{Listen, Running};
use super::observer::Service;
use super::ring::Ring;
use super::{About, Filters, listen};
use crate::demo::{self, Simulation};
use crate::error::{Error, Kind};
use crate::model::time::Nanos;
use crate::wire::pb::observer::GetFlowsResponse;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// What the server holds: as many as a Hubble server can be told to hold.
pub const CAPACITY: usize = 65_536;
/// How far back the demo begins.
pub const HISTORY: i64 = 300 * Nanos::SECOND;
/// The longest and the shortest sleep between two looks at the clock.
const TICK: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(100));
/// So many records are made before others get a turn.
const TURN: usize = 256;

/// How fast the simulation goes on after its history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// A simulated second takes a second.
    Realtime,
    /// So many records a second, whatever time they say.
    PerSecond(f64),
    /// As fast as it goes.
    Max,
}

/// Now, as the wire has it.
pub fn now() -> Nanos {
    SystemTime::now().into()
}

/// Serves the simulated cluster of `seed`: five minutes of history from `start` on (without one: ending now), then on at `rate`
/// until the server is stopped.
pub async fn demo(seed: u64, start: Option<Nanos>, rate: Rate, at: Listen, filters: Arc<dyn Filters>) -> Result<Running, Error> {
    let ring = Ring::new(CAPACITY);
    let (began, start) = (Instant::now(), start.unwrap_or_else(|| now().plus(-HISTORY)));
    let past = start.plus(HISTORY);
    let filled = Arc::clone(&ring);
    // A second of work in a debug build: not on a thread that others wait for.
    let history = tokio::task::spawn_blocking(move || {
        let mut sim = Simulation::new(seed, start);
        let next = fill(&mut sim, &filled, past);
        (sim, next)
    });
    let (sim, next) = history.await.map_err(|e| Error::new(Kind::Input, "the demo's history could not be made").cause(e.to_string()))?;
    let about = About {
        name: "demo".to_owned(),
        version: demo::VERSION.to_owned(),
        cluster: demo::CLUSTER.to_owned(),
        nodes: demo::nodes().into_iter().map(|(n, ip)| (n.to_owned(), format!("{ip}:4244"))).collect(),
        namespaces: demo::namespaces().into_iter().map(str::to_owned).collect(),
    };
    let stop = CancellationToken::new();
    let service = Service::new(Arc::clone(&ring), filters, about);
    let running = listen(service, at, stop.clone()).await?;
    tokio::spawn(async move {
        tokio::select! {
            () = feed(sim, next, past, began, &ring, rate) => {}
            () = stop.cancelled() => {}
        }
        ring.close();
    });
    Ok(running)
}

/// Writes everything before `until`; returns the first record after it.
fn fill(sim: &mut Simulation, ring: &Ring, until: Nanos) -> (Nanos, GetFlowsResponse) {
    loop {
        let (at, response) = sim.next();
        if at >= until {
            return (at, response);
        }
        ring.push(at, &response);
    }
}

async fn feed(mut sim: Simulation, mut next: (Nanos, GetFlowsResponse), past: Nanos, began: Instant, ring: &Ring, rate: Rate) {
    let (mut written, fed) = (0_u64, Instant::now());
    loop {
        let mut turn = 0;
        while turn < TURN && due(rate, simulated(next.0, past), written, began, fed) {
            ring.push(next.0, &next.1);
            next = sim.next();
            written += 1;
            turn += 1;
        }
        if turn == TURN {
            tokio::task::yield_now().await;
            continue;
        }
        let pause = match rate {
            Rate::Realtime => simulated(next.0, past).saturating_sub(began.elapsed()),
            Rate::PerSecond(_) | Rate::Max => TICK.0,
        };
        tokio::time::sleep(pause.clamp(TICK.0, TICK.1)).await;
    }
}

/// How long after its past the simulation says this. Its clock need not be ours: it may have been told to start at any time.
fn simulated(at: Nanos, past: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(at.since(past)).unwrap_or(0))
}

/// `began`: when its past ended by our clock; `fed`: when the first record after it could be written.
fn due(rate: Rate, at: Duration, written: u64, began: Instant, fed: Instant) -> bool {
    match rate {
        Rate::Realtime => at <= began.elapsed(),
        Rate::PerSecond(n) => (written as f64) < fed.elapsed().as_secs_f64() * n,
        Rate::Max => true,
    }
}
