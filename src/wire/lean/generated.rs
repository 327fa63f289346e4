//! The walkers of a flow's JSON and protobuf, as `proto/gen` writes them at build time.
#![allow(clippy::all, deprecated, unused, reason = "generated code")]
use super::json::{Step, Stop, Walker};
use super::pb;
use super::slots::Slots;

/// A member of a message.
pub struct Member {
    pub number: u32,
    /// Full name of the message it holds; empty for scalars and lists.
    pub of: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/lean.rs"));
