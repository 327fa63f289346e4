//! Who was let in, and by what: the flows of a view that passed, folded by who called whom at which port and by what let it pass at the
//! receiver. Judged once a conversation, in slices between pictures, each by the policies of its time.
//!
//! Owns the folding. Judging is the policy room's. What a sender's node lets out is not let in yet: where the receiver has policies of its
//! own, only what was seen there counts. What was let pass and cannot be explained is its own line, never anybody's rule.
use super::Engine;
use super::clusters::Home;
use crate::model::observed::{Direction, L4, Verdict};
use crate::model::row::{End, Ip, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use crate::model::why::{Explanation, LaneState, Outcome};
use foldhash::HashMap;

/// Rows looked at between two questions whether time is up; conversations that have to be judged count for as many.
const SLICE: usize = 128;
const JUDGED: usize = 16;
/// Lines held; flows of further ones are counted in `more`.
const MOST: usize = 10_000;

/// What let a flow pass at its receiver.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// Nothing isolates the receiver: whoever wants may come in.
    Open(String),
    /// Rules of policies, in words.
    Rule(String),
    /// A fact is missing, or policies and datapath differ.
    Unknown(String),
    /// The receiver has no policies of its own (world, a remote node).
    Outside,
}

/// Flows that passed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub from: String,
    pub to: String,
    pub l4: Option<L4>,
    pub port: u16,
    pub by: By,
    /// Records.
    pub flows: u64,
    pub first: Nanos,
    pub last: Nanos,
    /// The newest of its rows.
    pub example: u64,
}

/// What makes two rows one conversation for the judging, by the same versions of policies; symbols hold until the store's next sweep.
type Side = (Sym, Sym, Sym, Sym, u32, Ip);
type Talk = ((Home, ([u64; 4], u64)), Side, Side, Option<L4>, u16, Option<Direction>, bool);

/// Where rows of a conversation are booked.
#[derive(Debug, Clone, Copy)]
enum Place {
    Line(usize),
    /// There was no room.
    More,
    /// They are of the sender's side.
    Nowhere,
}

#[derive(Debug, Default)]
pub struct Admitted {
    pub lines: Vec<Line>,
    /// Flows that found no room among the lines.
    pub more: u64,
    places: HashMap<(String, String, Option<L4>, u16, By), usize>,
    known: HashMap<Talk, Place>,
    sweeps: u64,
    generation: Option<u64>,
    next: u64,
}

impl Admitted {
    /// Takes in rows not looked at yet while `more` allows, `rows` being those of the view from a number on. Returns whether something
    /// changed.
    pub fn advance<I: Iterator<Item = u64>>(
        &mut self,
        engine: &Engine,
        rows: impl FnOnce(u64) -> I,
        more: &mut dyn FnMut() -> bool,
    ) -> bool {
        let generation = Some(engine.clusters.generation());
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
        if self.sweeps != engine.store().sweeps() {
            self.known.clear();
            self.sweeps = engine.store().sweeps();
        }
        let (before, mut spent) = (self.next, 0);
        for seq in rows(self.next) {
            self.next = seq + 1;
            let judged = engine.store().row(seq).is_some_and(|row| self.add(engine, seq, &row));
            spent += if judged { SLICE / JUDGED } else { 1 };
            if spent >= SLICE {
                spent = 0;
                if !more() {
                    break;
                }
            }
        }
        before != self.next
    }

    /// Whether a row had to be judged.
    fn add(&mut self, engine: &Engine, seq: u64, row: &Row) -> bool {
        if !matches!(row.verdict, Verdict::Forwarded | Verdict::Redirected) || row.reply == Some(true) {
            return false;
        }
        // Outside the cluster every address is somebody else to a rule.
        let side = |e: &End| (e.ns, e.pod, e.workload, e.reserved, e.identity, if e.pod.is_empty() { e.ip } else { Ip::default() });
        let home = engine.home_of(seq);
        let era = (home, engine.clusters.get(home).era(row.at));
        let talk = (era, side(&row.src), side(&row.dst), row.l4, row.dst.port, row.dir, row.l7.is_some());
        let (place, judged) = match self.known.get(&talk) {
            Some(place) => (*place, false),
            None => {
                let place = self.place(engine, seq, row);
                self.known.insert(talk, place);
                (place, true)
            }
        };
        match place {
            Place::Line(i) => {
                if let Some(l) = self.lines.get_mut(i) {
                    (l.flows, l.first, l.last, l.example) = (l.flows + 1, l.first.min(row.at), l.last.max(row.at), seq);
                }
            }
            Place::More => self.more += 1,
            Place::Nowhere => {}
        }
        judged
    }

    fn place(&mut self, engine: &Engine, seq: u64, row: &Row) -> Place {
        let (from, to) = engine.parties(row);
        let by = engine.explain(seq).map_or_else(|| By::Unknown("its record is not held any more".to_owned()), |e| by(&e));
        if row.dir == Some(Direction::Egress) && by != By::Outside {
            return Place::Nowhere;
        }
        let key = (from, to, row.l4, row.dst.port, by);
        if let Some(place) = self.places.get(&key) {
            return Place::Line(*place);
        }
        if self.lines.len() >= MOST {
            return Place::More;
        }
        let place = self.lines.len();
        let (from, to, l4, port, by) = key.clone();
        self.lines.push(Line { from, to, l4, port, by, flows: 0, first: row.at, last: row.at, example: seq });
        self.places.insert(key, place);
        Place::Line(place)
    }

    /// Whether rows wait to be looked at, `last` being the newest of the view.
    pub fn behind(&self, engine: &Engine, last: Option<u64>) -> bool {
        self.generation != Some(engine.clusters.generation()) || last.is_some_and(|last| self.next <= last)
    }
}

impl Engine {
    /// Both sides of a row as the sums name them.
    pub fn parties(&self, row: &Row) -> (String, String) {
        let edges = self.tally.as_ref().map(|t| &t.edges);
        let name = |end| edges.and_then(|e| e.party(end, &self.store).map(|id| e.name(id).to_owned())).unwrap_or_else(|| "?".to_owned());
        (name(&row.src), name(&row.dst))
    }
}

fn by(e: &Explanation) -> By {
    let Some(lane) = e.lanes.iter().find(|l| l.direction == Direction::Ingress) else { return By::Outside };
    let rules: Vec<String> = match e.why.outcome {
        Outcome::Allowed if e.why.direction == Some(Direction::Ingress) => {
            let rule = |p: &crate::model::why::PolicyRef| p.rule.as_ref().map_or_else(|| p.path(), |r| format!("{} {r}", p.path()));
            e.why.policies.iter().map(rule).collect()
        }
        _ => Vec::new(),
    };
    match lane.state {
        LaneState::NotManaged => By::Outside,
        LaneState::Open => By::Open(lane.text.clone()),
        LaneState::Allowed if !rules.is_empty() => By::Rule(rules.join(", ")),
        // Policies select it, and none of them isolates.
        LaneState::Allowed if lane.text.ends_with("none isolates") => By::Open(lane.text.clone()),
        LaneState::Allowed => By::Rule(lane.text.rsplit_once("allowed by ").map_or(lane.text.as_str(), |(_, p)| p).to_owned()),
        LaneState::Denied => By::Unknown(format!("it passed, though: {}", lane.text)),
        LaneState::Undecidable => By::Unknown(lane.text.clone()),
    }
}
