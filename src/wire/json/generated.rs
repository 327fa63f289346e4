//! Readers and writers of all messages, as `proto/gen` writes them at build time.
#![allow(clippy::all, deprecated, unused_assignments, unused_variables, unused_mut, reason = "generated code")]
use super::read::{ReadJson, Reader};
use super::write::{WriteJson, Writer};
use crate::wire::note::Bad;

include!(concat!(env!("OUT_DIR"), "/json.rs"));
