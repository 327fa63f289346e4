//! What the screen keeps beyond its end: settings, filters with names, the history of filters. Where that lies is the caller's affair.
use super::model::Tone;
use crate::error::Error;

/// Keeps things for the next time. Nothing here ends the session: what cannot be kept is said.
pub trait Desk {
    /// Settings with their values, none for what is as it is by itself. Gives back where they are now.
    fn write(&mut self, settings: &[(&'static str, Vec<String>)]) -> Result<String, Error>;
    /// A filter under a name. Gives back where it is now.
    fn keep(&mut self, name: &str, filter: &str) -> Result<String, Error>;
    /// A filter that was used.
    fn remember(&mut self, filter: &str);
}

/// What is to be said of something kept.
pub fn said(what: &str, kept: Result<String, Error>) -> (Tone, String) {
    match kept {
        Ok(place) => (Tone::Info, format!("{what} kept in {place}")),
        Err(e) => (Tone::Error, e.cause.map_or(e.what.clone(), |cause| format!("{}: {cause}", e.what))),
    }
}
