//! The screen without a terminal: keys in, a picture out. Flows and policies go through the real engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test says what broke by panicking")]
mod admitted;
mod alike;
mod behaviour;
mod boards;
mod copies;
mod hostile;
mod kit;
mod lasting;
mod pictures;
mod recordings;
mod remedy;
mod replays;
mod screens;
mod speed;
mod tables;
mod timeline;
mod words;
