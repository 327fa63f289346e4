//! The tables, and the access to the members, as `proto/gen` writes them at build time.
#![allow(clippy::all, deprecated, reason = "generated code")]
use crate::model::reflect::{Got, Holds, Member, Message, Shape};

include!(concat!(env!("OUT_DIR"), "/reflect.rs"));
