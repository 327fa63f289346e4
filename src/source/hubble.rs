//! (hubble)
