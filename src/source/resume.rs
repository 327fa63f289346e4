//! (resume)
