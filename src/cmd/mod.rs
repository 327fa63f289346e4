//! The commands that are not a stream. Each reads an engine that has been fed, and writes text or JSON.
pub mod audit;
pub mod check;
pub mod follow;
pub mod question;
pub mod why;
