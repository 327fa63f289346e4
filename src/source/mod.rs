//! The rim: everything that makes [`Input`](crate::model::input::Input)s. Sources read the wall clock and wait; they never
//! decode a flow, evaluate a policy or drop anything silently.
//!
//! | file | what it is |
//! | --- | --- |
//! | `feed` | the bounded channel, and the only way into the core |
//! | `lines`, `file` | recordings and standard input |
//! | `tape` | several recordings and segments as one, in the order of time |
//! | `apart` | recordings whose clusters have one name and are two |
//! | `reel` | a tape as fast as it can be read |
//! | `replay` | a recording paced by its own clock |
//! | `manifests`, `edits` | files and folders of policies; what is saved into them later |
//! | `kube` | clusters through the Kubernetes API: port-forwards to Relay, and what is looked at there |
//! | `target`, `dial`, `tls` | where a server is; the connection to it; its protection |
//! | `server` | a server as it is to be asked, and questions with one answer |
//! | `hubble`, `status` | the live client; what its failures mean in words |
//! | `ask` | questions with one answer, and the streams that carry no flows |
//! | `merge`, `agents` | several servers as one; the agents of a cluster, as one of them names them |
//! | `backoff`, `resume` | when to try again; how to go on without a gap and without flows twice |
pub mod agents;
mod apart;
pub mod ask;
pub mod backoff;
pub mod capture;
pub mod dial;
pub mod edits;
pub mod feed;
pub mod file;
pub mod hubble;
pub mod kube;
pub mod lines;
pub mod manifests;
pub mod merge;
mod overlap;
pub mod reel;
pub mod replay;
pub mod resume;
pub mod server;
pub mod status;
pub mod tail;
pub mod tape;
pub mod target;
pub mod tls;

use crate::error::Error;
use std::pin::Pin;

pub use feed::{Feed, Gone, Inbox, channel};
/// Cancelled when the program ends.
pub use tokio_util::sync::CancellationToken as Stop;

/// A place flows come from.
pub trait Source: Send {
    /// Runs until the source ends, the reader is gone or `stop` is cancelled, all of which are `Ok`. What the source had to
    /// say by then is in the feed.
    fn run(self: Box<Self>, feed: Feed, stop: Stop) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
}
