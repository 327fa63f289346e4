//! The walkers of a flow's JSON and protobuf, as `proto/gen` writes them at build time.
#![allow(clippy::all, deprecated, unused, reason = "generated code")]
use super::json::{Step, Stop, Walker};
use super::pb;
use super::slots::Slots;

include!(concat!(env!("OUT_DIR"), "/lean.rs"));
