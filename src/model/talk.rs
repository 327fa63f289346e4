//! Conversations: all records of one initiator, one peer and one port (and one request) as one thing. Owns the shape only; the
//! engine folds them, and `check`, `audit`, contrast and the proof of a suggestion go over them instead of over every record.
use super::observed::{Direction, Observed};
use super::time::Nanos;

/// What the datapath did with the records of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    pub forwarded: u64,
    /// Dropped by a policy, or for a reason that is not known.
    pub dropped: u64,
    pub audited: u64,
    /// Dropped or failed for a reason that is no policy's.
    pub other: u64,
}

impl Seen {
    pub fn records(&self) -> u64 {
        self.forwarded + self.dropped + self.audited + self.other
    }

    #[must_use]
    pub fn plus(self, o: Self) -> Self {
        Self {
            forwarded: self.forwarded + o.forwarded,
            dropped: self.dropped + o.dropped,
            audited: self.audited + o.audited,
            other: self.other + o.other,
        }
    }
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// Its first record as the initiator sends it (a reply is turned round), without what varies from packet to packet: time,
    /// node, source port, direction of the observation, policies that the agent named. `is_reply` is `Some(false)`, or `None` where
    /// nothing says who began.
    pub flow: Observed,
    /// At the sender's node (EGRESS), at the receiver's (INGRESS), and where the record does not say.
    pub egress: Seen,
    pub ingress: Seen,
    pub unsaid: Seen,
    /// Records of replies, which count nowhere above.
    pub replies: u64,
    /// The place, from 1, of the cluster that its records are of, among those that are watched or recorded; 0 where none tells, and
    /// [`Talk::SEVERAL`] where they differ.
    pub home: u8,
    /// Number in the store of its newest record that is no reply, where records are held.
    pub example: Option<u64>,
    pub first: Nanos,
    pub last: Nanos,
    /// How many had begun with it: its own for ever, and rising in the order in which they are held.
    pub serial: u64,
    /// How many records of whatever conversation had come with its newest: clocks differ, and this is in the order in which they came.
    pub heard: u64,
}

impl Talk {
    pub const SEVERAL: u8 = u8::MAX;

    /// All sides together.
    pub fn seen(&self) -> Seen {
        self.egress.plus(self.ingress).plus(self.unsaid)
    }

    pub fn side(&mut self, direction: Option<Direction>) -> &mut Seen {
        match direction {
            Some(Direction::Egress) => &mut self.egress,
            Some(Direction::Ingress) => &mut self.ingress,
            None => &mut self.unsaid,
        }
    }

    /// Whether the datapath let it pass this side: seen there, or further on, or answered.
    pub fn passed(&self, direction: Direction) -> bool {
        let there = self.arrived() || self.answered();
        match direction {
            Direction::Egress => there || self.egress.forwarded > 0,
            Direction::Ingress => there,
        }
    }

    /// Seen at its receiver, or where nobody says that it was not.
    pub fn arrived(&self) -> bool {
        self.ingress.forwarded + self.unsaid.forwarded > 0
    }

    /// Whether answers show that it came to its receiver. Where something was dropped they may be the proxy's refusal.
    pub fn answered(&self) -> bool {
        self.replies > 0 && self.seen().dropped == 0
    }

    /// A connection that worked: it was let through, or answered, and never dropped by a policy.
    pub fn worked(&self) -> bool {
        let s = self.seen();
        s.dropped == 0 && (s.forwarded > 0 || self.replies > 0)
    }
}
