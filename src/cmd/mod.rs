//! (room cmd)
