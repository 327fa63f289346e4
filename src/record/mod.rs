//! Recordings: what is written, and what several files of one recording are to a reader.
//!
//! A recording is Hubble JSON Lines, as every tool reads them, with lines `{"world":…}` between the flows (`world::line`). Each file begins
//! with all that is known of the cluster, so that any of them can be read alone.
//!
//! | file | what it is |
//! | --- | --- |
//! | `door` | what is handed over to the thread that writes: bounded, it waits, or leaves out and counts |
//! | `writer` | that thread; after a disk error it only counts |
//! | `files` | one file, numbered segments, or a ring of them, on the disk |
//! | `pack` | how a stretch of lines is compressed, so that it can be read without the one before |
//! | `ground` | the cluster's state as lines, for the beginning of a file |
//! | `names` | what DNS answers have taught, for the beginning of a segment |
//! | `taught` | DNS answers that the filter refuses, until a record may need them |
//! | `around` | only what surrounds drops |
//! | `redact` | names and addresses replaced, alike everywhere |
//! | `set` | which files are one recording |
//! | `rejoin` | the reader's side of repeated state: what is news, and what is gone |
//! | `runs` | where one run of a recorder ends and the next begins |
//!
//! Knows neither policies nor filters, reads no clock (one is handed in), and decodes no flow but to write it.
pub mod around;
mod door;
pub mod files;
mod ground;
mod names;
mod pack;
pub mod redact;
pub mod rejoin;
mod runs;
pub mod set;
mod taught;
mod writer;

pub use around::Around;
pub use door::{Books, Clock, Options, Recorder};
pub use files::Keep;
pub use ground::Ground;
