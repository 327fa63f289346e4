//! The runs of `flowhy why`: the report at the end, a line per cause as it opens and closes, the answer to a question.
//!
//! Owns when each is written and the exit code; the layout belongs to `cmd`.
use super::headless::{finish, pump};
use super::say;
use crate::cmd;
use crate::engine::Engine;
use crate::error::Error;
use crate::model::input::{Input, Link};
use crate::model::time::Nanos;
use crate::plan::why::Mode;
use crate::source::feed::Inbox;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// How often silence is noticed: a cause turns quiet although nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// What is asked.
pub struct Ask {
    pub style: cmd::why::Style,
    pub quiet: bool,
    pub filter: String,
    pub mode: Mode,
    /// The flows are of this moment: when none come, time passes all the same.
    pub live: bool,
    /// A cluster alone is asked: when it does not answer there is none.
    pub asks: bool,
}

fn failed(e: &io::Error) -> Error {
    Error::output("cannot write to standard output", e)
}

pub async fn why(mut engine: Engine, mut inbox: Inbox, ask: Ask, stop: &CancellationToken) -> Result<u8, Error> {
    if let Mode::Follow = ask.mode {
        return follow(engine, inbox, &ask, stop).await;
    }
    let feed = |engine: &mut Engine, input| {
        engine.feed(input, &mut |_| {});
        Ok(true)
    };
    pump(&mut engine, &mut inbox, stop, ask.quiet, feed, || Ok(())).await?;
    if ask.asks {
        finish(engine.ended())?;
    }
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    if let Mode::Question(q) = &ask.mode {
        super::one_cluster(&engine, "a question")?;
        if let Some(absent) = cmd::question::absent(&engine, q) {
            return Err(absent);
        }
        let allowed = cmd::question::answer(&engine, q, ask.style, &mut stdout);
        let allowed = allowed.and_then(|a| stdout.flush().map(|()| a)).map_err(|e| failed(&e))?;
        if !engine.policies().given() && engine.clusters().next().is_none() && !ask.quiet {
            say::say("hint", "--policies PATH gives the policies to judge by, --kube-context NAME reads those of a cluster");
        }
        return finish(engine.ended()).map(|code| if code == 0 && !allowed { 1 } else { code });
    }
    let first = engine.store().at(engine.store().seqs().start);
    let named = |t: Nanos| (t != Nanos::default()).then(|| t.to_string());
    let lost = engine.ledger().lost_total();
    let basis = cmd::why::Basis { from: first.and_then(named), to: named(engine.now()), lost, filter: ask.filter, judged: None };
    engine.look_through();
    let n = cmd::why::report(&engine, &basis, ask.style, &mut stdout).and_then(|n| stdout.flush().map(|()| n)).map_err(|e| failed(&e))?;
    if !ask.quiet {
        say::ledger(engine.ledger(), engine.notes());
        say::captures(&engine);
    }
    let over = engine.causes().overflow;
    if over > 0 {
        say::say("warning", &format!("{over} more drops have causes beyond the {n} above"));
    }
    let code = finish(engine.ended())?;
    if n == 0 && code == 0 {
        let l = engine.ledger();
        say::say("note", &format!("nothing to explain: no dropped flow among {} ({} refused by the filter)", l.decoded, l.refused));
        return Ok(1);
    }
    Ok(code)
}

async fn follow(mut engine: Engine, mut inbox: Inbox, ask: &Ask, stop: &CancellationToken) -> Result<u8, Error> {
    let mut told = cmd::follow::Follow::default();
    let mut health = say::Health::default();
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            batch = inbox.recv() => batch,
            () = tokio::time::sleep(TICK), if ask.live => {
                engine.feed(Input::Link(Link::Clock { at: SystemTime::now().into() }), &mut |_| {});
                let mut stdout = io::stdout().lock();
                told.step(&engine, ask.style, &mut stdout).and_then(|()| stdout.flush()).map_err(|e| failed(&e))?;
                continue;
            }
        };
        let Some(batch) = batch else { break };
        if !ask.quiet {
            batch.iter().for_each(|input| say::news(input, &mut health));
        }
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        for input in batch {
            engine.feed(input, &mut |_| {});
            told.step(&engine, ask.style, &mut stdout).map_err(|e| failed(&e))?;
        }
        stdout.flush().map_err(|e| failed(&e))?;
    }
    if !ask.quiet {
        say::ledger(engine.ledger(), engine.notes());
        say::captures(&engine);
    }
    finish(engine.ended())
}
