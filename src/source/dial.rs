//! (dial)
