//! What goes wrong while a compiled filter runs: counted, and the first few kept to be told.
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Failures told with their text; the rest is only counted.
const TOLD: u64 = 3;

/// Failures of a filter, over all clones of it.
#[derive(Debug, Default)]
pub struct Trouble {
    count: AtomicU64,
    texts: Mutex<Vec<String>>,
}

impl Trouble {
    /// Books one failure; `false`, because then the flow does not match.
    pub fn add(&self, text: impl FnOnce() -> String) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) < TOLD
            && let Ok(mut texts) = self.texts.lock()
        {
            texts.push(text());
        }
        false
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The texts that were not taken yet.
    pub fn take(&self) -> Vec<String> {
        self.texts.lock().map(|mut t| std::mem::take(&mut *t)).unwrap_or_default()
    }

    /// Failures whose texts were not kept.
    pub fn untold(&self) -> u64 {
        self.count().saturating_sub(TOLD)
    }
}
