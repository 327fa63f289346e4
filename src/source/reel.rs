//! A tape as fast as it can be read.
//!
//! Owns the thread: a read of standard input cannot be cancelled, and the runtime would wait at its end for a thread that it had lent.
use super::file::Recording;
use super::tape::Tape;
use super::{Feed, Source, Stop};
use crate::error::{Error, Kind};
use std::pin::Pin;

/// Recordings read together.
pub struct Reel(Tape);

impl Reel {
    pub fn new(tape: Tape) -> Self {
        Self(tape)
    }

    /// Recordings that are open already.
    pub fn of(recordings: Vec<Recording>) -> Self {
        Self(Tape::of(recordings))
    }
}

impl Source for Reel {
    fn run(self: Box<Self>, mut feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let (done, wait) = tokio::sync::oneshot::channel();
            let cancelled = stop.clone();
            let read = move || {
                // `Gone` means that nobody wants more: an end like any other.
                let _ = self.0.pump(&mut feed, &stop);
                drop(feed);
                let _ = done.send(());
            };
            std::thread::Builder::new()
                .name("read".to_owned())
                .spawn(read)
                .map_err(|e| Error::new(Kind::Input, "cannot read").cause(format!("no thread for it: {e}")))?;
            tokio::select! {
                _ = wait => Ok(()),
                () = cancelled.cancelled() => Ok(()),
            }
        })
    }
}
