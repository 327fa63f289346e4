//! How one run of the engine differs from another. Owns what may be chosen, and does nothing.
use super::store::Limits;
use crate::model::time::Nanos;
use crate::model::view::FieldSet;
use crate::policy;
use crate::query::Predicate;

/// Which flows are explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Explain {
    #[default]
    Nothing,
    /// Dropped, audited and L7-denied flows.
    Drops,
    /// Forwarded flows too.
    All,
}

/// By whose names a filter goes where nothing but the filter asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Names {
    /// The record's own.
    #[default]
    Told,
    /// Also the cluster's where something of one is told.
    Known,
    /// The same, and a recording is searched for what it tells of one.
    Sought,
}

/// Which conversations are held where there is no room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Those that began first: a report says what it says of whole conversations, and how many records are of others.
    First,
    /// Those that were heard last: a screen is left open for days.
    Latest,
}

/// How one run differs from another.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is kept (and handed to the sink).
    pub admit: Predicate,
    /// `None`: nothing is held, as a plain filter needs it.
    pub hold: Option<Limits>,
    pub explain: Explain,
    /// How flows are folded into conversations, for what goes over all of them; `None`: they are not.
    pub fold: Option<Fold>,
    /// Whether what is held is counted too (who talks to whom, rates), for screens.
    pub tally: bool,
    pub judge: policy::Options,
    /// Whether records that are no flows go through the filter as an empty flow, as Hubble does with files (but not with servers).
    pub filter_notices: bool,
    /// Earliest and latest time of a response, both inclusive; servers do this themselves.
    pub window: (Option<Nanos>, Option<Nanos>),
    /// What the sink reads of a flow; `None`: the whole message.
    pub reads: Option<FieldSet>,
    /// By whose names a flow goes that is only filtered.
    pub names: Names,
}

impl Options {
    /// Whether a flow is only filtered and handed on: then nobody asks what lies beyond the filter's fields and the sink's.
    pub fn is_plain(&self) -> bool {
        self.explain == Explain::Nothing && self.fold.is_none() && self.hold.is_none() && !self.admit.fields().needs_derived()
    }
}
