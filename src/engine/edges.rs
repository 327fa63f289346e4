//! Who talks to whom: conversations between workloads in slots of time, with drops, failures and latency. Bounded in parties and in
//! pairs. Knows rows and names only; how a picture is made of it is the screen's business.
use super::store::Store;
use super::tally::Heard;
use crate::model::observed::L4;
use crate::model::row::{CauseId, End, Ip, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use foldhash::HashMap;

/// Width of a slot.
const SLOT: i64 = 10 * Nanos::SECOND;
/// Slots kept of each pair.
pub const SLOTS: usize = 30;
/// What the slots cover, in seconds.
pub const WINDOW: i64 = SLOTS as i64 * SLOT / Nanos::SECOND;
/// Pairs held. When full, those without a record in the window give way; flows of further ones are counted in `overflow`.
const MOST_EDGES: usize = 10_000;
/// Parties held; flows of further ones are counted in `overflow` too.
const MOST_NODES: usize = 20_000;
/// Parties remembered by the symbols of a row.
const MOST_KNOWN: usize = 100_000;

/// A party: a workload, an external name, a reserved identity, or an address that nobody knows more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

#[derive(Debug, Clone)]
pub struct Node {
    /// `shop/cart`, `api.stripe.com`, `world`, `10.0.0.1`.
    pub name: String,
    /// Its namespace; `world` outside the cluster, else the reserved identity.
    pub group: String,
    /// A filter that finds its flows: the atoms, without the side.
    pub atoms: Vec<String>,
}

impl Node {
    fn world() -> Self {
        let atoms = vec![WORLD.to_owned()];
        Self { name: "world".to_owned(), group: "world".to_owned(), atoms }
    }
}

/// The atom that finds what lies outside the cluster.
pub const WORLD: &str = "label:reserved:world,reserved:world-ipv4,reserved:world-ipv6";

/// A pair of parties and a port, for as long as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeId(u32, u64);

/// Sums of one slot, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Connections begun, dropped ones among them.
    pub calls: u32,
    pub dropped: u32,
    pub audited: u32,
    /// Responses that a proxy saw, and those that are a failure.
    pub answers: u32,
    pub failed: u32,
}

impl Slot {
    #[must_use]
    pub fn plus(self, o: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(o.calls),
            dropped: self.dropped.saturating_add(o.dropped),
            audited: self.audited.saturating_add(o.audited),
            answers: self.answers.saturating_add(o.answers),
            failed: self.failed.saturating_add(o.failed),
        }
    }
}

/// How long responses took, in powers of two of a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits([u32; 32]);

impl Waits {
    fn add(&mut self, micros: u32) {
        if let Some(n) = micros.checked_ilog2().and_then(|i| self.0.get_mut(i as usize)) {
            *n = n.saturating_add(1);
        }
    }

    #[must_use]
    pub fn plus(mut self, o: &Self) -> Self {
        self.0.iter_mut().zip(o.0).for_each(|(a, b)| *a = a.saturating_add(b));
        self
    }

    /// The middle one, within a factor of two, in microseconds.
    pub fn median(&self) -> Option<u64> {
        let all: u64 = self.0.iter().map(|n| u64::from(*n)).sum();
        let mut left = all.div_ceil(2);
        self.0.iter().enumerate().find_map(|(i, n)| {
            let here = u64::from(*n);
            if left > 0 && here >= left {
                return Some((1u64 << i) + (1u64 << i) / 2);
            }
            left -= here.min(left);
            None
        })
    }
}

/// One pair.
#[derive(Debug, Clone)]
pub struct Edge {
    pub from: NodeId,
    pub to: NodeId,
    pub l4: Option<L4>,
    pub port: u16,
    /// The newest cause that stopped something on it.
    pub cause: Option<CauseId>,
    serial: u64,
    slots: [Slot; SLOTS],
    /// Number of the newest slot; those more than [`SLOTS`] before it are gone.
    upto: i64,
    /// Of this half of the window and of the one before.
    waits: [Waits; 2],
}

impl Edge {
    /// The slots up to slot `now`, oldest first.
    pub fn slots(&self, now: i64) -> impl Iterator<Item = Slot> {
        (now - SLOTS as i64 + 1..=now).map(|n| {
            let held = n <= self.upto && n > self.upto - SLOTS as i64;
            if held { self.slots.get(place(n)).copied().unwrap_or_default() } else { Slot::default() }
        })
    }

    /// The whole window up to slot `now`.
    pub fn sum(&self, now: i64) -> Slot {
        // Most pairs of a long session lie still.
        if self.upto <= now - SLOTS as i64 {
            return Slot::default();
        }
        self.slots(now).fold(Slot::default(), Slot::plus)
    }

    pub fn waits(&self, now: i64) -> Waits {
        let behind = half(now) - half(self.upto);
        match behind {
            0 => self.waits[0].plus(&self.waits[1]),
            1 => self.waits[0],
            _ => Waits::default(),
        }
    }

    /// The slot of this number; `None` if it lies before the window.
    fn slot(&mut self, n: i64) -> Option<&mut Slot> {
        if n > self.upto {
            let from = (self.upto + 1).max(n - SLOTS as i64 + 1);
            for gone in from..=n {
                if let Some(s) = self.slots.get_mut(place(gone)) {
                    *s = Slot::default();
                }
            }
            match half(n) - half(self.upto) {
                0 => {}
                1 => self.waits = [Waits::default(), self.waits[0]],
                _ => self.waits = Default::default(),
            }
            self.upto = n;
        }
        if n <= self.upto - SLOTS as i64 { None } else { self.slots.get_mut(place(n)) }
    }
}

fn place(n: i64) -> usize {
    usize::try_from(n.rem_euclid(SLOTS as i64)).unwrap_or(0)
}

fn half(n: i64) -> i64 {
    n.div_euclid(SLOTS as i64 / 2)
}

/// What names a party, as a row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Workload(Sym, Sym),
    Name(Sym),
    Reserved(Sym),
    Namespace(Sym),
    Address(Ip),
}

impl Known {
    fn of(e: &End, store: &Store) -> Self {
        let addressed = || matches!(store.name(e.reserved), "" | "unknown" | "unmanaged");
        match () {
            () if !e.workload.is_empty() => Self::Workload(e.ns, e.workload),
            () if !e.pod.is_empty() => Self::Workload(e.ns, e.pod),
            () if !e.name.is_empty() => Self::Name(e.name),
            () if !e.ns.is_empty() => Self::Namespace(e.ns),
            () if addressed() && e.ip.get().is_some() => Self::Address(e.ip),
            () => Self::Reserved(e.reserved),
        }
    }

    fn node(self, store: &Store) -> Node {
        let text = |s: Sym| store.name(s).to_owned();
        let atom = |field: &str, value: &str| if value.is_empty() { Vec::new() } else { vec![format!("{field}:{value}")] };
        match self {
            Self::Workload(ns, w) => {
                let (ns, w) = (text(ns), text(w));
                let name = if ns.is_empty() { w.clone() } else { format!("{ns}/{w}") };
                Node { name, atoms: [atom("ns", &ns), atom("workload", &w)].concat(), group: ns }
            }
            Self::Name(n) => {
                let n = text(n).trim_end_matches('.').to_owned();
                Node { atoms: atom("fqdn", &n), name: n, group: "world".to_owned() }
            }
            Self::Namespace(ns) => {
                let ns = text(ns);
                Node { name: format!("{ns}/?"), atoms: atom("ns", &ns), group: ns }
            }
            Self::Address(ip) => {
                let ip = ip.get().map(|ip| ip.to_string()).unwrap_or_default();
                Node { atoms: atom("ip", &ip), name: ip, group: "unknown".to_owned() }
            }
            Self::Reserved(r) if r.is_empty() => Node { name: "unknown".to_owned(), atoms: Vec::new(), group: "unknown".to_owned() },
            Self::Reserved(r) => {
                let r = text(r);
                // IPv4 and IPv6 have a world each; to people it is one.
                if r.starts_with("world") {
                    return Node::world();
                }
                Node { group: r.clone(), atoms: atom("label", &format!("reserved:{r}")), name: r }
            }
        }
    }
}

type Key = (NodeId, NodeId, Option<L4>, u16);

/// All pairs.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    nodes: Vec<Node>,
    by_name: HashMap<String, NodeId>,
    /// By a row's symbols, which hold until the store's next sweep.
    known: HashMap<Known, NodeId>,
    sweeps: u64,
    edges: Vec<Option<Edge>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32>,
    newest: Option<i64>,
    /// The slot in which there was last looked for pairs that may give way.
    tidied: Option<i64>,
    serial: u64,
    /// Flows whose party or pair found no room.
    pub overflow: u64,
}

impl Edges {
    pub fn add(&mut self, heard: &Heard<'_>, store: &Store) {
        let n = heard.row.at.0.div_euclid(SLOT);
        self.newest = Some(self.newest.map_or(n, |old| old.max(n)));
        let (Some(from), Some(to)) = (self.node(heard.client, store), self.node(heard.server, store)) else {
            self.overflow += 1;
            return;
        };
        let Some(edge) = self.edge((from, to, heard.row.l4, heard.server.port), n) else {
            self.overflow += 1;
            return;
        };
        edge.cause = heard.row.cause.or(edge.cause);
        let Some(slot) = edge.slot(n) else { return };
        slot.calls = slot.calls.saturating_add(u32::from(heard.begins));
        slot.dropped = slot.dropped.saturating_add(u32::from(heard.dropped));
        slot.audited = slot.audited.saturating_add(u32::from(heard.audited));
        if heard.row.l7.is_some() && heard.row.status != Row::UNANSWERED {
            slot.answers = slot.answers.saturating_add(1);
            slot.failed = slot.failed.saturating_add(u32::from(heard.row.failed()));
            // One that comes late belongs to the half that is over.
            let late = usize::from(half(n) < half(edge.upto));
            if let Some(w) = edge.waits.get_mut(late) {
                w.add(heard.row.wait);
            }
        }
    }

    /// Whether a record that does not say who began answers a conversation that is known, and begins none that is.
    pub fn is_answer(&mut self, row: &Row, store: &Store) -> bool {
        let (Some(src), Some(dst)) = (self.node(&row.src, store), self.node(&row.dst, store)) else { return false };
        !self.by_key.contains_key(&(src, dst, row.l4, row.dst.port)) && self.by_key.contains_key(&(dst, src, row.l4, row.src.port))
    }

    fn node(&mut self, e: &End, store: &Store) -> Option<NodeId> {
        if self.sweeps != store.sweeps() || self.known.len() > MOST_KNOWN {
            self.known.clear();
            self.sweeps = store.sweeps();
        }
        let known = Known::of(e, store);
        if let Some(id) = self.known.get(&known) {
            return Some(*id);
        }
        let node = known.node(store);
        let id = match self.by_name.get(&node.name) {
            Some(id) => *id,
            None if self.nodes.len() >= MOST_NODES => return None,
            None => {
                let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
                self.by_name.insert(node.name.clone(), id);
                self.nodes.push(node);
                id
            }
        };
        self.known.insert(known, id);
        Some(id)
    }

    fn edge(&mut self, key: Key, n: i64) -> Option<&mut Edge> {
        if let Some(i) = self.by_key.get(&key) {
            return self.edges.get_mut(*i as usize)?.as_mut();
        }
        if self.by_key.len() >= MOST_EDGES {
            self.tidy();
        }
        if self.by_key.len() >= MOST_EDGES {
            return None;
        }
        self.serial += 1;
        let (from, to, l4, port) = key;
        let edge = Edge {
            from,
            to,
            l4,
            port,
            cause: None,
            serial: self.serial,
            slots: [Slot::default(); SLOTS],
            upto: n,
            waits: Default::default(),
        };
        let i = match self.free.pop() {
            Some(i) => i,
            None => {
                self.edges.push(None);
                u32::try_from(self.edges.len() - 1).ok()?
            }
        };
        self.by_key.insert(key, i);
        Some(self.edges.get_mut(i as usize)?.insert(edge))
    }

    /// Forgets pairs that are out of the window; once a slot, because it looks at all of them.
    fn tidy(&mut self) {
        if self.tidied == self.newest {
            return;
        }
        self.tidied = self.newest;
        let now = self.newest();
        for (i, place) in self.edges.iter_mut().enumerate() {
            if let Some(e) = place.take_if(|e| e.upto <= now - SLOTS as i64) {
                self.by_key.remove(&(e.from, e.to, e.l4, e.port));
                self.free.extend(u32::try_from(i));
            }
        }
    }

    /// Number of the newest slot.
    pub fn newest(&self) -> i64 {
        self.newest.unwrap_or(0)
    }

    /// Number of the slot that a time lies in; never before the newest one.
    pub fn slot_at(&self, at: Nanos) -> i64 {
        at.0.div_euclid(SLOT).max(self.newest())
    }

    /// When the window up to slot `now` begins.
    pub fn begin(&self, now: i64) -> Nanos {
        Nanos((now - SLOTS as i64 + 1).saturating_mul(SLOT))
    }

    /// Seconds that the window up to slot `now` covers, of which it can be said how much happened.
    pub fn seconds(&self, first: Option<Nanos>, now: Nanos) -> i64 {
        let since = first.map_or(WINDOW, |f| now.since(f) / Nanos::SECOND + 1);
        since.clamp(1, WINDOW)
    }

    pub fn iter(&self) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.edges.iter().enumerate().filter_map(|(i, e)| e.as_ref().map(|e| (EdgeId(i as u32, e.serial), e)))
    }

    pub fn get(&self, id: EdgeId) -> Option<&Edge> {
        self.edges.get(id.0 as usize)?.as_ref().filter(|e| e.serial == id.1)
    }

    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    pub fn node_of(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    pub fn name(&self, id: NodeId) -> &str {
        self.node_of(id).map_or("", |n| n.name.as_str())
    }

    /// The party at an end of a row, if it is known.
    pub fn party(&self, e: &End, store: &Store) -> Option<NodeId> {
        self.by_name.get(&Known::of(e, store).node(store).name).copied()
    }
}
