//! (room out)
