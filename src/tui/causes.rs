//! The list of causes as the screens show it: its lines, which of them are listed, in what order, and what is under the finger. Plain data,
//! kept while a picture is paused; `update` writes it, the engine has the causes themselves.
use super::board::Sort;
use crate::engine::causes::State;
use crate::engine::pulse::Rate;
use crate::model::row::CauseId;
use crate::model::time::Nanos;

/// A cause as the picture shows it; a paused picture keeps it.
#[derive(Debug, Clone, Copy)]
pub struct CauseLine {
    pub id: CauseId,
    /// All its drops.
    pub all: Seen,
    /// Those that pass the filter.
    pub seen: Seen,
    pub state: State,
    /// The policies at hand let it pass as they were written anew, and it was dropped since.
    pub defied: bool,
    /// Enforcement would stop it; nothing does yet.
    pub audit: bool,
    /// What was saved into the policies at hand would stop it.
    pub foreseen: bool,
    /// The view has flows that it would stop.
    pub foretold: bool,
    pub age: i64,
}

/// Drops, as the picture shows them.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub events: u64,
    pub first: Nanos,
    pub last: Nanos,
    pub rate: Rate,
}

impl CauseLine {
    /// What is foreseen no more never was.
    pub fn is_void(&self) -> bool {
        self.foreseen && self.state == State::Mended
    }
}

/// Which causes are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    #[default]
    All,
    Drops,
    /// What would break once policies are enforced.
    Audits,
}

/// The list of causes: order, selection, and since when it stands so.
#[derive(Debug, Default)]
pub struct Drops {
    pub lines: Vec<CauseLine>,
    pub sorted_ms: u64,
    pub sort: Sort,
    pub reverse: bool,
    pub only: Only,
    /// Causes for which the bell was rung.
    pub rung: usize,
    /// `None`: the first one, whichever that is.
    pub selected: Option<CauseId>,
    pub offset: usize,
    pub asked: Asked,
}

/// For what it was asked which foreseen causes the view shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AskedOf {
    /// The filter.
    pub text: String,
    pub lines: usize,
    pub generation: u64,
    /// It was not found out yet what an edit changes.
    pub looks: bool,
}

/// How far that has come.
#[derive(Debug, Default)]
pub struct Asked {
    pub of: AskedOf,
    pub rows: (u64, u64),
    pub ms: u64,
    /// Lines from here down have to be asked for.
    pub left: usize,
}

impl Drops {
    pub fn at(&self) -> usize {
        self.selected.and_then(|id| self.lines.iter().position(|l| l.id == id)).unwrap_or(0)
    }
}
