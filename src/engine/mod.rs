//! The one pipeline: `feed(Input)` → decode → enrich → admit → attribute → store. Plain, synchronous, one owner, no clock.
//!
//! Screens, headless output, replay, tests and benches all call [`Engine::feed`]; what differs is only [`Options`].
pub mod causes;
pub mod raw;
pub mod store;
