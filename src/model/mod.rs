//! The vocabulary of flowhy. Depends on nothing of ours, does no I/O, reads no clock.
pub mod doc;
pub mod input;
pub mod ledger;
pub mod line;
pub mod monitor;
pub mod near;
pub mod observed;
pub mod reason;
pub mod reflect;
pub mod row;
pub mod sym;
pub mod talk;
pub mod text;
pub mod time;
pub mod view;
pub mod why;
