//! Sides judged before. To policies the replicas of a workload are one and the same, so what one of them may do all of them may.
//!
//! Owns what a judgement is found again by. Only what is decided without a missing fact is kept, since a fact that is missing is named
//! after the one endpoint that lacks it; words are made for every flow anew.
use super::side::{Ask, Shared};
use crate::model::observed::{Direction, L4};
use crate::model::recent::Recent;
use crate::policy::eval::Kin;
use std::sync::Arc;

/// Everything that a judgement between two such endpoints depends on, within one world, one set and one reading of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Between {
    subject: Kin,
    peer: Kin,
    direction: Direction,
    host_firewall: bool,
    l4: Option<L4>,
    port: Option<u16>,
    icmp: Option<u8>,
}

impl Between {
    /// `None`: it has to be judged by itself.
    pub fn of(ask: &Ask<'_>) -> Option<Self> {
        let t = ask.traffic;
        if ask.whole || t.request.is_some() || t.server_name.is_some() {
            return None;
        }
        Some(Self {
            subject: ask.subject.kin()?,
            peer: ask.peer.kin()?,
            direction: ask.direction,
            host_firewall: ask.opt.host_firewall,
            l4: t.l4,
            port: t.port,
            icmp: t.icmp,
        })
    }
}

/// Judgements remembered.
#[derive(Debug)]
pub struct Memory(Recent<Between, Arc<Shared>>);

impl Memory {
    /// One that holds no more than so many.
    pub fn of(most: usize) -> Self {
        Self(Recent::new(most))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What was judged before of the same, else what `judge` comes to.
    pub(super) fn side(&mut self, ask: &Ask<'_>, judge: impl FnOnce() -> Shared) -> Arc<Shared> {
        let Some(between) = Between::of(ask) else { return Arc::new(judge()) };
        if let Some(shared) = self.0.get(&between) {
            return shared;
        }
        let shared = Arc::new(judge());
        if shared.judgement.missing.is_empty() {
            self.0.insert(between, shared.clone());
        }
        shared
    }
}
