//! Everything that happens, as sources make it and the engine eats it.
use super::doc::{Doc, Fault};
use super::time::Nanos;
use bytes::Bytes;
use std::sync::Arc;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    Frame(Frame),
    World(Change),
    Link(Link),
    /// A source came to its end; `Err` if it could not be read to its end.
    End(Arc<str>, Result<(), String>),
}

/// How the bytes of a frame are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// `observer.GetFlowsResponse` in protobuf's binary form.
    Hubble,
    /// One line of Hubble JSON, without its newline.
    HubbleJson,
}

/// Undecoded bytes of one response.
#[derive(Debug, Clone)]
pub struct Frame {
    pub codec: Codec,
    /// The file or server it came from.
    pub from: Arc<str>,
    /// Line number in a file, counted from 1; 0 on a stream.
    pub line: u64,
    pub bytes: Bytes,
    /// Why a source could not even hand over the whole line (too long, say); `bytes` is then its beginning.
    pub broken: Option<String>,
}

/// A change of what the cluster looks like.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object as it stands now.
    Apply(Arc<Doc>),
    /// A manifest, or a part of one, that could not be read.
    Fault(Fault),
}

/// How a live connection fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Connecting {
        server: Arc<str>,
    },
    Connected {
        server: Arc<str>,
    },
    /// The connection failed or ended; the next try comes after `retry_ms`.
    Down {
        server: Arc<str>,
        cause: String,
        hint: Option<String>,
        retry_ms: u64,
    },
    /// The server is given up; others go on.
    Lost {
        server: Arc<str>,
        cause: String,
        hint: Option<String>,
    },
    /// The server is no longer one of those that are asked.
    Left {
        server: Arc<str>,
    },
    /// So many more flows of the server are older than what others had already been let through; they come all the same.
    Late {
        server: Arc<str>,
        count: u64,
    },
    /// Playback: the recording's clock stands here.
    Clock {
        at: Nanos,
    },
}
