//! Everything that happens, as sources make it and the engine eats it.
use super::doc::{Doc, Fault};
use super::ids::Ids;
use super::time::Nanos;
use bytes::Bytes;
use std::sync::Arc;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    Frame(Frame),
    World(At),
    Link(Link),
    /// A record that a player passed over on its way to another time: only what it teaches counts.
    Learnt(Frame),
    /// A player goes to another time: what came until now is to be forgotten, but for what was given before it.
    Reset,
    /// Manifests that were given are written anew, now: it outlives [`Input::Reset`].
    Edited(Arc<Edits>),
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

/// A change of a cluster, and when it came about.
#[derive(Debug, Clone)]
pub struct At {
    /// The context or cluster whose state this is; empty where there is only one.
    pub cluster: Arc<str>,
    /// `None`: it has always been so, as far as anybody knows (manifests).
    pub at: Option<Nanos>,
    pub change: Change,
}

impl std::convert::From<Change> for Input {
    /// A change without a time, of the only cluster there is.
    fn from(change: Change) -> Self {
        Self::World(At { cluster: Arc::from(""), at: None, change })
    }
}

/// What was written into manifests that had been given before, and when.
#[derive(Debug)]
pub struct Edits {
    pub at: Nanos,
    pub files: Vec<Edited>,
}

/// An object as it was and as it is.
pub type Pair = (Option<Arc<Doc>>, Option<Arc<Doc>>);

/// One file that was written anew.
#[derive(Debug)]
pub struct Edited {
    /// As its text calls it.
    pub file: String,
    /// Objects as they stood in it, and as they stand now; one of the two is `None` where an object came or went. Empty where the text
    /// cannot be used: then what stood there stays.
    pub pairs: Vec<Pair>,
    /// What of it cannot be read.
    pub faults: Vec<Fault>,
}

impl Edits {
    /// Files of which something can be used.
    pub fn used(&self) -> impl Iterator<Item = &Edited> {
        self.files.iter().filter(|f| !f.pairs.is_empty())
    }

    /// As a recording has it, of every cluster; `None` if there is nothing to say.
    pub fn said(self: &Arc<Self>) -> Option<At> {
        self.used().next()?;
        Some(At { cluster: Arc::from(""), at: Some(self.at), change: Change::Edited(self.clone()) })
    }
}

impl Edited {
    /// What stands in the file now; `None`: nothing that is an object, or the file is gone.
    pub fn text(&self) -> Option<&Arc<Doc>> {
        self.pairs.iter().filter_map(|(_, new)| new.as_ref()).find(|d| d.text.file == self.file)
    }
}

/// An object that went from one file and stands in another stands there still. `standing`: every object that stands anywhere now.
pub fn leave_twins<'a>(edited: &mut [Edited], standing: impl Iterator<Item = &'a Arc<Doc>> + Clone) {
    for e in edited {
        let gone = e.pairs.iter().filter(|(_, new)| new.is_none()).filter_map(|(old, _)| Some(ObjectId::of(old.as_deref()?)));
        let twin = |id: ObjectId| standing.clone().find(|d| ObjectId::of(d).same(&id));
        let twins: Vec<Pair> = gone.filter_map(twin).map(|d| (None, Some(d.clone()))).collect();
        e.pairs.extend(twins);
    }
}

/// Which object took whose place. Where one stands several times in a file they go by their order.
pub fn pairs(old: &[Arc<Doc>], new: &[Arc<Doc>]) -> Vec<Pair> {
    let mut left: Vec<Option<&Arc<Doc>>> = old.iter().map(Some).collect();
    let mut out = Vec::new();
    for doc in new {
        let id = ObjectId::of(doc);
        let place = left.iter_mut().find(|o| o.is_some_and(|o| ObjectId::of(o) == id));
        out.push((place.and_then(Option::take).cloned(), Some(doc.clone())));
    }
    let gone = left.into_iter().flatten().map(|old| (Some(old.clone()), None));
    gone.chain(out).collect()
}

/// A change of what the cluster looks like.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object as it stands now.
    Apply(Arc<Doc>),
    /// An object that is no more.
    Remove(ObjectId),
    /// A manifest, or a part of one, that could not be read.
    Fault(Fault),
    /// How well a kind of object is known.
    Kind(Kind),
    /// A recording says that manifests were written anew then.
    Edited(Arc<Edits>),
    /// What an agent's numbers of policies mean.
    Ids(Arc<Ids>),
    /// A server may have lost what it had.
    Gap(Arc<Gap>),
    /// From then on servers were asked only for what this filter lets through, and DNS, or no more was recorded; empty: every flow.
    Asked(Arc<str>),
}

/// A time of which a server may lack flows: when the connection came back it held only later ones. Or one that no recording covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Empty: nobody recorded.
    pub server: Arc<str>,
    /// Empty: the server does not say of which node.
    pub node: String,
    pub from: Nanos,
    pub until: Nanos,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, until) = (self.from.utc(), self.until.utc());
        let day = if from.date_naive() == until.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
        let (from, until) = (from.format("%Y-%m-%d %H:%M:%S"), until.format(day));
        if self.server.is_empty() {
            return write!(f, "no recording covers the time between {from} and {until}");
        }
        let of = if self.node.is_empty() { String::new() } else { format!(" of {}", self.node) };
        write!(f, "{} may lack flows{of} between {from} and {until}: after the break it held only later ones", self.server)
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Group of the API, empty for the core one; whatever the version.
    pub group: String,
    pub kind: String,
    /// Empty for objects of the whole cluster.
    pub namespace: String,
    pub name: String,
}

impl ObjectId {
    /// As the object itself has it.
    pub fn of(doc: &Doc) -> Self {
        let group = doc.api_version().split_once('/').map_or("", |(group, _)| group);
        Self { group: group.to_owned(), kind: doc.kind().to_owned(), namespace: doc.namespace().to_owned(), name: doc.name().to_owned() }
    }

    /// Whether both mean one object: what says no namespace stands in `default`, if its kind has namespaces.
    pub fn same(&self, other: &Self) -> bool {
        let namespace = |id: &Self| if id.namespace == "default" { String::new() } else { id.namespace.clone() };
        self.kind == other.kind && self.name == other.name && self.group == other.group && namespace(self) == namespace(other)
    }
}

/// A kind of object in a live cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub group: String,
    pub kind: String,
    pub state: KindState,
}

/// How well a kind is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindState {
    /// The first list is not in yet: what it would say is unknown, not absent.
    Loading,
    /// Every object is known, and every change comes.
    Synced,
    /// The cluster does not have the kind.
    Absent,
    /// We may not read it: why, and the right that is missing.
    Forbidden(String),
    /// The watch is broken; what is known may be old. Why.
    Stale(String),
}

/// Behind the name of a server that only names those who are asked.
pub const NAMES_AGENTS: &str = " (names the agents)";

/// Whether a server only names those who are asked: no flow comes from it.
pub fn names_agents(server: &str) -> bool {
    server.ends_with(NAMES_AGENTS)
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
    /// This machine's clock differs from a cluster's, in words; `None`: it does not any more.
    Skewed {
        cluster: Arc<str>,
        told: Option<String>,
    },
    /// Playback: the recording's clock stands here.
    Clock {
        at: Nanos,
    },
}
