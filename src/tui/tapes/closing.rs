//! What became of a file that was written: in a sentence while the screen goes on, and in all when it is left. Writes a text by itself.
use crate::error::Error;
use crate::model::words::{count, many};
use crate::record::{Books, Recorder, files};
use crate::tui::model::Tone;
use std::path::Path;

/// A file that has been written but for what is on its way to the disk.
pub(super) struct Closing {
    pub done: &'static str,
    pub to: Recorder,
    /// Rows whose frames were not held any more.
    pub gone: u64,
}

impl Closing {
    /// Waits for the disk as long as its recorder does.
    pub fn finish(self) -> (Tone, String) {
        let Self { done, to, gone } = self;
        let path = to.path().display().to_string();
        let Books { flows, failed, unrecorded, missed, opened, .. } = to.finish();
        if let (false, Some(cause)) = (opened, &failed) {
            return (Tone::Error, if cause.contains(&path) { cause.clone() } else { format!("{path} was not written: {cause}") });
        }
        if let Some(cause) = failed {
            return (Tone::Error, format!("{path} ended early: {cause}; not in it: {}", many(unrecorded, "flow")));
        }
        let mut text = format!("{done} {} to {path}", many(flows, "flow"));
        if gone > 0 {
            text.push_str(&format!("; {} were not held any more", count(gone)));
        }
        if missed > 0 {
            text.push_str(&format!("; {} are not in it, the disk was behind", count(missed)));
        }
        (Tone::Info, text)
    }
}

/// What became of the files when the screen was left.
#[derive(Debug, Default)]
pub struct Left {
    /// What is whole, in sentences.
    pub done: Vec<String>,
    /// What lacks something.
    pub torn: Vec<String>,
    /// Why the screen could not go on, unless somebody left it.
    pub broken: Option<Error>,
}

impl Left {
    pub fn take(&mut self, (tone, text): (Tone, String)) {
        if tone == Tone::Error { self.torn.push(text) } else { self.done.push(text) }
    }
}

/// Writes a text to a file that is not there yet: nothing is written over.
pub fn write(path: &str, text: &str) -> (Tone, String) {
    match files::whole(Path::new(path), text) {
        Ok(()) => (Tone::Info, format!("saved {} to {path}", many(text.lines().count() as u64, "line"))),
        Err(e) => (Tone::Error, format!("cannot write {path}: {e}")),
    }
}
