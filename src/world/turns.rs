//! When anything of a kind changed. Owns how many of these times are kept, and which times are alike to all that is known; what changed is
//! not its business.
use super::aged::SLACK;
use crate::model::time::Nanos;
use std::collections::VecDeque;

/// Times of changes kept of one kind; when the oldest goes, what was before it is not known any more.
const MOST_TURNS: usize = 1 << 16;

/// When anything of a kind changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    /// Each time once; the oldest first.
    all: VecDeque<Nanos>,
    /// What was before is not known any more.
    from: Option<Nanos>,
    /// Changes that were forgotten for want of room.
    pub forgotten: u64,
}

impl Turns {
    pub fn note(&mut self, at: Nanos) {
        let place = self.all.partition_point(|t| *t < at);
        if self.all.get(place) == Some(&at) {
            return;
        }
        self.all.insert(place, at);
        if self.all.len() > MOST_TURNS {
            let oldest = self.all.pop_front();
            self.forget(oldest);
        }
    }

    /// What was until a time finds no room.
    pub fn forget(&mut self, until: Option<Nanos>) {
        self.from = self.from.max(until);
        self.forgotten += 1;
    }

    /// All of these times that are remembered, and before when nothing is.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        self.all.iter().copied().chain(self.from)
    }

    /// Whether anything changed since a time, or shortly before.
    pub fn any_since(&self, at: Nanos) -> bool {
        self.all.back().is_some_and(|last| *last >= at.plus(-SLACK))
    }

    /// Whether what was at a time may be forgotten.
    pub fn forget_of(&self, at: Option<Nanos>) -> bool {
        at.zip(self.from).is_some_and(|(at, from)| at < from.plus(SLACK))
    }

    /// Another number for two times of which not the same is known; 0 where all is as it is now.
    pub fn era(&self, at: Option<Nanos>) -> u64 {
        let Some(at) = at else { return 0 };
        if self.forget_of(Some(at)) {
            return u64::MAX;
        }
        if !self.any_since(at) {
            return 0;
        }
        let (begin, end) = (at.plus(-SLACK), at.plus(SLACK));
        let [before, at_begin, at_end] =
            [self.all.partition_point(|t| *t < begin), self.all.partition_point(|t| *t <= begin), self.all.partition_point(|t| *t <= end)]
                .map(|n| (self.all.len() - n) as u64);
        before << 42 | at_begin << 21 | at_end
    }
}
