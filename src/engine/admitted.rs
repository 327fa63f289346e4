//! Who was let in, and by what: the flows of a view that passed, folded by who called whom at which port and by what let it pass at the
//! receiver. Judged once a conversation, in slices between pictures, each by the policies of its time.
//!
//! Owns the folding, and what is not claimed. Judging is the policy room's. What a sender's node lets out is not let in yet: where the
//! receiver has policies of its own, only what was seen there counts, or what was answered. What was let pass and cannot be explained is
//! its own line, never anybody's rule; and nothing is open to everybody that something known speaks against.
use super::clusters::Home;
use super::store::part;
use super::talks::Talks;
use super::{Engine, enrich};
use crate::model::monitor;
use crate::model::observed::{Direction, L4, Observed, Verdict, reached};
use crate::model::row::{End, Ip, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use crate::model::view::{Field, Value};
use crate::model::why::{Agreement, Explanation, LaneState, Outcome, PolicyRef, Why};
use crate::model::words::{few, many};
use crate::policy::eval::Decision;
use crate::policy::ruling_of;
use crate::policy::versions::DELAY;
use foldhash::HashMap;
use std::collections::BTreeMap;

/// Rows looked at between two questions whether time is up; conversations that have to be judged count for as many.
const SLICE: usize = 128;
const JUDGED: usize = 16;
/// Lines held; flows of further ones are counted in `more`.
const MOST: usize = 10_000;
/// Conversations remembered that only their sender's node has shown so far; flows of further ones are not seen at their receivers.
const MOST_SENT: usize = 10_000;
/// Conversations remembered with where they are booked, by each version of the policies; a full memory begins anew, and each is judged
/// once more.
const MOST_KNOWN: usize = 100_000;
/// Missing facts named on a line.
const NAMED: usize = 2;

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

/// How it is known that flows came to their receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    /// They say that the receiver's policy was asked, or do not say whose.
    Told,
    /// Their direction is the sender's, and they were handed to the receiver.
    Delivered,
    /// Only the sender's node shows them, and there were answers.
    Answered,
}

/// How many flows, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    flows: u64,
    first: Nanos,
    last: Nanos,
    example: u64,
}

impl Sum {
    const NONE: Self = Self { flows: 0, first: Nanos(i64::MAX), last: Nanos(i64::MIN), example: 0 };

    fn plus(self, o: Self) -> Self {
        let (first, last) = (self.first.min(o.first), self.last.max(o.last));
        Self { flows: self.flows + o.flows, first, last, example: self.example.max(o.example) }
    }
}

/// Flows that passed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub from: String,
    pub to: String,
    pub l4: Option<L4>,
    pub port: u16,
    pub by: By,
    /// Records; none as long as nothing shows that one came to its receiver.
    pub flows: u64,
    pub first: Nanos,
    pub last: Nanos,
    /// The newest of its rows.
    pub example: u64,
    pub sight: Sight,
    /// As it was judged, whatever else speaks against it.
    judged: By,
    /// The receiver as causes of drops call it.
    receiver: String,
    /// Of those that were seen at their receiver.
    seen: Sum,
    seen_as: Sight,
    /// Of those that were answered, whose conversations are not held any more.
    answered: Sum,
}

/// Flows of a conversation that only its sender's node has shown.
#[derive(Debug)]
struct Sent {
    talk: u64,
    line: usize,
    sum: Sum,
    /// Whether its receiver's node has shown it, and whether it was answered, when it was held last.
    arrived: bool,
    answered: bool,
}

/// What makes two rows one conversation for the judging, by the same versions of policies; symbols hold until the store's next sweep.
type Side = (Sym, Sym, Sym, Sym, u32, Ip);
type Talk = ((Home, ([u64; 4], u64)), Side, Side, Option<L4>, u16, (Option<Sight>, Option<bool>), bool);

/// Where rows of a conversation are booked.
#[derive(Debug, Clone, Copy)]
enum Place {
    Line(usize),
    Sent(usize),
    /// There was no room.
    More,
    /// Nothing shows that they came to their receiver.
    Left,
    /// It is an answer.
    Nowhere,
}

/// What tells two lines apart.
type Key = (String, String, Option<L4>, u16, By, String);

#[derive(Debug, Default)]
pub struct Admitted {
    pub lines: Vec<Line>,
    /// Flows that found no room among the lines.
    pub more: u64,
    /// Flows that were let out, and that nothing shows at their receivers.
    pub left: u64,
    places: HashMap<Key, usize>,
    known: HashMap<Talk, Place>,
    sent: Vec<Sent>,
    sent_of: HashMap<(u64, usize), usize>,
    /// Of `left`, those of no conversation in `sent`.
    gone: u64,
    sweeps: u64,
    talk_sweeps: u64,
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
        self.let_go(engine);
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
        self.sum_up(engine) | (before != self.next)
    }

    /// What is known of conversations that are not held any more stays as it is; one that is heard again is another one.
    fn let_go(&mut self, engine: &Engine) {
        if std::mem::replace(&mut self.talk_sweeps, engine.talks().sweeps()) == engine.talks().sweeps() {
            return;
        }
        let mut places = Vec::with_capacity(self.sent.len());
        for s in std::mem::take(&mut self.sent) {
            if engine.talks().by_serial(s.talk).is_some() {
                places.push(Some(self.sent.len()));
                self.sent.push(s);
                continue;
            }
            places.push(None);
            match self.lines.get_mut(s.line) {
                _ if s.arrived => {}
                Some(l) if s.answered => l.answered = l.answered.plus(s.sum),
                _ => self.gone += s.sum.flows,
            }
        }
        self.sent_of = self.sent.iter().enumerate().map(|(i, s)| ((s.talk, s.line), i)).collect();
        self.known.retain(|_, place| match place {
            Place::Sent(i) => places.get(*i).copied().flatten().map(|now| *i = now).is_some(),
            // There may be room for it now.
            Place::Left => false,
            _ => true,
        });
    }

    /// The lines of which something was let in.
    pub fn shown(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|l| l.flows > 0)
    }

    pub fn is_empty(&self) -> bool {
        self.shown().next().is_none()
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
        let sight = sight(engine, seq, row);
        let talk = (era, side(&row.src), side(&row.dst), row.l4, row.dst.port, (sight, row.reply), row.l7.is_some());
        let (place, judged) = match self.known.get(&talk) {
            Some(place) => (*place, false),
            None => {
                let place = self.place(engine, seq, row, sight);
                if self.known.len() >= MOST_KNOWN {
                    self.known.clear();
                }
                // What nothing shows may be shown as soon as its conversation is held again.
                let may_come = row.l7.is_none() && row.reply == Some(false) && self.sent.len() < MOST_SENT;
                if !matches!(place, Place::Left) || engine.talks().overflow == 0 || !may_come {
                    self.known.insert(talk, place);
                }
                (place, true)
            }
        };
        let one = Sum { flows: 1, first: row.at, last: row.at, example: seq };
        match place {
            Place::Line(i) => {
                if let Some(l) = self.lines.get_mut(i) {
                    (l.seen, l.seen_as) = (l.seen.plus(one), l.seen_as.max(sight.unwrap_or(Sight::Told)));
                }
            }
            Place::Sent(i) => {
                if let Some(s) = self.sent.get_mut(i) {
                    s.sum = s.sum.plus(one);
                }
            }
            Place::More => self.more += 1,
            Place::Left => self.gone += 1,
            Place::Nowhere => {}
        }
        judged
    }

    fn place(&mut self, engine: &Engine, seq: u64, row: &Row, sight: Option<Sight>) -> Place {
        let (from, to) = engine.parties(row);
        let judged = engine.judge_entry(seq, sight);
        if judged.reply {
            return Place::Nowhere;
        }
        // A proxy at the sender answers by itself.
        let talk = judged.talk.filter(|_| row.l7.is_none());
        let key = (from, to, row.l4, row.dst.port, judged.by, judged.receiver);
        let met = || talk.zip(self.places.get(&key).copied()).is_some_and(|sent| self.sent_of.contains_key(&sent));
        if sight.is_none() && !judged.outside && (talk.is_none() || self.sent.len() >= MOST_SENT && !met()) {
            return Place::Left;
        }
        let line = match self.places.get(&key) {
            Some(line) => *line,
            None if self.lines.len() >= MOST => return Place::More,
            None => {
                let (from, to, l4, port, by, receiver) = key.clone();
                let Sum { flows, first, last, example } = Sum::NONE;
                let (judged, seen, sight) = (by.clone(), Sum::NONE, Sight::Told);
                self.lines.push(Line {
                    from,
                    to,
                    l4,
                    port,
                    by,
                    flows,
                    first,
                    last,
                    example,
                    sight,
                    judged,
                    receiver,
                    seen,
                    seen_as: sight,
                    answered: Sum::NONE,
                });
                self.places.insert(key, self.lines.len() - 1);
                self.lines.len() - 1
            }
        };
        match talk {
            Some(talk) if sight.is_none() && !judged.outside => {
                let next = self.sent.len();
                let i = *self.sent_of.entry((talk, line)).or_insert(next);
                if i == next {
                    self.sent.push(Sent { talk, line, sum: Sum::NONE, arrived: false, answered: false });
                }
                Place::Sent(i)
            }
            _ => Place::Line(line),
        }
    }

    /// Adds up what is known by now: what was sent has come in once it is answered, and drops may speak against what was taken to be open.
    /// Returns whether something changed.
    fn sum_up(&mut self, engine: &Engine) -> bool {
        let known = |l: &Line| match l.answered.flows {
            0 => (l.seen, l.seen_as),
            _ => (l.seen.plus(l.answered), Sight::Answered),
        };
        let mut sums: Vec<(Sum, Sight)> = self.lines.iter().map(known).collect();
        let mut left = self.gone;
        for s in &mut self.sent {
            if let Some(talk) = engine.talks().by_serial(s.talk) {
                (s.arrived, s.answered) = (talk.arrived(), talk.answered());
            }
            match sums.get_mut(s.line) {
                // It is counted there.
                _ if s.arrived => {}
                Some((sum, sight)) if s.answered => (*sum, *sight) = (sum.plus(s.sum), Sight::Answered),
                _ => left += s.sum.flows,
            }
        }
        let against = unexplained(engine);
        let mut changed = std::mem::replace(&mut self.left, left) != left;
        for (l, (Sum { flows, first, last, example }, sight)) in self.lines.iter_mut().zip(sums) {
            if (l.flows, l.first, l.last, l.example, l.sight) != (flows, first, last, example, sight) {
                (l.flows, l.first, l.last, l.example, l.sight) = (flows, first, last, example, sight);
                changed = true;
            }
            if !matches!(l.judged, By::Open(_)) {
                continue;
            }
            let spoken = against.get(l.receiver.as_str()).map(|drops| {
                By::Unknown(format!("{} into it that no policy at hand explains: not all that select it are known", many(*drops, "drop")))
            });
            let by = spoken.as_ref().unwrap_or(&l.judged);
            if *by != l.by {
                (l.by, changed) = (by.clone(), true);
            }
        }
        changed
    }

    /// Whether rows wait to be looked at, `last` being the newest of the view.
    pub fn behind(&self, engine: &Engine, last: Option<u64>) -> bool {
        self.generation != Some(engine.clusters.generation()) || last.is_some_and(|last| self.next <= last)
    }
}

/// How a row shows that its flow came to its receiver; `None`: it does not.
fn sight(engine: &Engine, seq: u64, row: &Row) -> Option<Sight> {
    let point = || match engine.store.told(seq, part::KIND).map(|(group, spelled)| group.field(spelled, Field::EventSubType)) {
        Some(Value::Int(point)) => i32::try_from(point).ok(),
        Some(Value::Uint(point)) => i32::try_from(point).ok(),
        // What is left out is a zero.
        Some(_) => Some(0),
        None => None,
    };
    let point = (row.dir != Some(Direction::Ingress) && i32::from(row.event) == monitor::TRACE).then(point).flatten();
    match reached(row.dir, point, row.reply) {
        Some(Direction::Egress) => None,
        _ if row.dir == Some(Direction::Egress) => Some(Sight::Delivered),
        _ => Some(Sight::Told),
    }
}

/// Receivers at which the datapath dropped what the policies at hand allow, with how often: what they say of them is not all.
fn unexplained(engine: &Engine) -> BTreeMap<&str, u64> {
    let mut out: BTreeMap<&str, u64> = BTreeMap::new();
    let speaks =
        |w: &Why| w.direction != Some(Direction::Egress) && (w.outcome, w.agreement) == (Outcome::NowAllowed, Agreement::Disagrees);
    for c in engine.causes.iter().filter(|c| c.foreseen.is_none() && speaks(&c.why)) {
        for to in c.called() {
            *out.entry(to).or_insert(0) += c.events;
        }
    }
    out
}

/// What let one flow in.
struct Entry {
    by: By,
    /// The receiver as causes of drops call it.
    receiver: String,
    /// It has no policies of its own: what is let out is let in.
    outside: bool,
    /// The packet shows that it is an answer.
    reply: bool,
    talk: Option<u64>,
}

impl Engine {
    /// Both sides of a row as the sums name them.
    pub fn parties(&self, row: &Row) -> (String, String) {
        let edges = self.tally.as_ref().map(|t| &t.edges);
        let name = |end| edges.and_then(|e| e.party(end, &self.store).map(|id| e.name(id).to_owned())).unwrap_or_else(|| "?".to_owned());
        (name(&row.src), name(&row.dst))
    }

    /// Judges a held flow as its receiver's node would have seen it. `sight`: how it is known that it came there.
    fn judge_entry(&self, seq: u64, sight: Option<Sight>) -> Entry {
        let Some(response) = self.store.response(seq) else {
            let by = By::Unknown("its record is not held any more".to_owned());
            return Entry { by, receiver: String::new(), outside: sight.is_none(), reply: false, talk: None };
        };
        let reported = self.reported(&response);
        let home = self.home_of(seq);
        let cluster = self.clusters.get(home);
        let named = enrich::named(&reported, &cluster.world);
        let receiver = enrich::who(&named.dst, &cluster.world).name;
        let reply = reported.reply() == Some(true);
        // Only a record that says who began is of a conversation that can be waited for.
        let sent = sight.is_none() && reported.is_reply == Some(false);
        let talk = if sent { self.talks.of_sent(&enrich::behind(&reported, &cluster.world)) } else { None };
        // The node that made the record is the receiver's only where it came there.
        let node = if sight.is_some() { reported.node.clone() } else { String::new() };
        let begun = Talks::begins(&reported);
        let entering = Observed { direction: Some(Direction::Ingress), node, ..reported };
        let e = cluster.explain(&entering);
        let outside = match e.lanes.iter().find(|l| l.direction == Direction::Ingress) {
            Some(lane) => lane.state == LaneState::NotManaged,
            None => {
                let ruling = ruling_of(&entering, &cluster.world, cluster.policies(), cluster.judging());
                ruling.side(Direction::Ingress).decision == Decision::NotManaged
            }
        };
        let by = match by(&e) {
            By::Outside => By::Outside,
            _ if self.clusters.is_foreign(home) => By::Unknown("it is of a cluster that is not known here".to_owned()),
            _ if !begun => By::Unknown("nothing says who began it".to_owned()),
            by => by,
        };
        Entry { by, receiver, outside, reply, talk }
    }
}

fn by(e: &Explanation) -> By {
    let why = &e.why;
    let Some(lane) = e.lanes.iter().find(|l| l.direction == Direction::Ingress) else {
        return By::Unknown(match why.missing.iter().any(|m| m == "policies") {
            true => NO_POLICIES.to_owned(),
            false => why.text.clone(),
        });
    };
    let rule = |p: &PolicyRef| p.rule.as_ref().map_or_else(|| p.path(), |r| format!("{} {r}", p.path()));
    let rules: Vec<String> = if why.outcome == Outcome::Allowed { why.policies.iter().map(rule).collect() } else { Vec::new() };
    // What is named near a change is so by either version; what is older than all that is known, or was only just written, need not be.
    let stands = why.agreement == Agreement::Agrees || why.as_of.as_ref().is_some_and(|a| a.known_from.is_none() && !a.near.is_empty());
    match lane.state {
        LaneState::NotManaged => By::Outside,
        LaneState::Denied => By::Unknown(format!("it passed, though: {}", lane.text)),
        LaneState::Undecidable => By::Unknown(lane.text.clone()),
        _ if why.outcome == Outcome::Undecidable => {
            By::Unknown(doubt(why).unwrap_or_else(|| format!("not known without {}", few(why.missing.iter().cloned(), NAMED))))
        }
        LaneState::Allowed if stands && !rules.is_empty() => By::Rule(rules.join(", ")),
        LaneState::Allowed | LaneState::Open => match doubt(why) {
            Some(doubt) => By::Unknown(doubt),
            // Policies select it, and none of them isolates.
            None if lane.state == LaneState::Open || lane.text.ends_with("none isolates") => By::Open(lane.text.clone()),
            None => By::Rule(lane.text.rsplit_once("allowed by ").map_or(lane.text.as_str(), |(_, p)| p).to_owned()),
        },
    }
}

/// Of flows that nobody can judge.
pub const NO_POLICIES: &str = "no policies at hand";

/// Why it is not certain which policies were in force, or who it was.
fn doubt(why: &Why) -> Option<String> {
    let as_of = why.as_of.as_ref();
    let near: Vec<&crate::model::why::Changed> = as_of.iter().flat_map(|a| &a.near).collect();
    if let [first, more @ ..] = near.as_slice() {
        let path = first.namespace.as_ref().map_or_else(|| first.name.clone(), |ns| format!("{ns}/{}", first.name));
        let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
        let within = DELAY / Nanos::SECOND;
        return Some(format!("{} within {within} s: {path}{more}; either version may have let it in", first.what));
    }
    if let Some(from) = as_of.and_then(|a| a.known_from) {
        return Some(format!("it is older than what is known of policies, from {from} on"));
    }
    let said = || why.because.first().cloned().unwrap_or_else(|| why.text.clone());
    (why.agreement != Agreement::Agrees).then(said)
}

#[cfg(test)]
mod tests {
    use super::super::store::Limits;
    use super::super::{Explain, Fold, Options};
    use super::*;
    use crate::model::input::{Codec, Frame, Input};

    /// What the sender's node saw of a conversation with a port: the request, or its answer.
    fn record(port: u16, reply: bool) -> Input {
        seen(port, reply, if reply { "INGRESS" } else { "EGRESS" })
    }

    fn seen(port: u16, reply: bool, direction: &str) -> Input {
        let side =
            |name: &str, id: u32| format!(r#"{{"identity":{id},"namespace":"pay","pod_name":"{name}-0","labels":["k8s:app={name}"]}}"#);
        let (mut ends, mut ports) = ([side("web", 1000), side("db", 1001)], [40_000, port]);
        if reply {
            ends.reverse();
            ports.reverse();
        }
        let [src, dst] = ends;
        let [from, to] = ports;
        let line = format!(
            r#"{{"flow":{{"time":"2026-04-13T14:02:00Z","verdict":"FORWARDED","is_reply":{reply},"traffic_direction":"{direction}","IP":{{"source":"10.0.0.{}","destination":"10.0.0.{}"}},"l4":{{"TCP":{{"source_port":{from},"destination_port":{to}}}}},"source":{src},"destination":{dst}}},"time":"2026-04-13T14:02:00Z"}}"#,
            1 + u8::from(reply),
            2 - u8::from(reply),
        );
        Input::Frame(Frame { codec: Codec::HubbleJson, from: "s".into(), line: 0, bytes: line.into_bytes().into(), broken: None })
    }

    #[test]
    fn who_was_let_in_stays_on_the_list_when_its_conversation_gives_way_and_is_counted_on() {
        let fold = Some(Fold::Latest);
        let mut engine = Engine::new(Options { explain: Explain::Drops, fold, hold: Some(Limits::default()), ..Options::default() });
        let mut found = Admitted::default();
        let mut look = |engine: &Engine| {
            let end = engine.store().seqs().end;
            found.advance(engine, |from| from..end, &mut || true);
            (found.shown().map(|l| (l.port, l.flows, l.sight)).collect::<Vec<_>>(), found.left)
        };
        [false, true].into_iter().for_each(|reply| engine.feed(record(1, reply), &mut |_| {}));
        let answered = |flows| vec![(1, flows, Sight::Answered)];
        assert_eq!(look(&engine), (answered(1), 0));
        (100..140).for_each(|port| engine.feed(record(port, false), &mut |_| {}));
        assert_eq!(look(&engine), (answered(1), 40));
        assert!(engine.talks().by_serial(1).is_none(), "it gave way");
        [false, true, false].into_iter().for_each(|reply| engine.feed(record(1, reply), &mut |_| {}));
        assert_eq!(look(&engine), (answered(3), 40));
        // What the receiver's node shows is counted there, once, whether or not it was answered.
        ["EGRESS", "INGRESS"].into_iter().for_each(|direction| engine.feed(seen(3, false, direction), &mut |_| {}));
        assert_eq!(look(&engine), (vec![(1, 3, Sight::Answered), (3, 1, Sight::Told)], 40));
        // Many between two looks: what nobody looked at while it was held was never seen to be answered.
        [false, true].into_iter().for_each(|reply| engine.feed(record(2, reply), &mut |_| {}));
        (200..260).for_each(|port| engine.feed(record(port, false), &mut |_| {}));
        let (lines, left) = look(&engine);
        assert_eq!((lines.iter().map(|l| l.1).sum::<u64>() + left, lines[0]), (3 + 40 + 1 + 1 + 60, (1, 3, Sight::Answered)));
    }
}
