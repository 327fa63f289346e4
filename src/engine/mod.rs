//! The one pipeline: `feed(Input)` → decode → enrich → admit → attribute → store. Plain, synchronous, one owner, no clock.
//!
//! Screens, headless output, replay, tests and benches all call [`Engine::feed`]; what differs is only [`Options`].
pub mod admitted;
mod again;
pub mod attribute;
pub mod causes;
mod clusters;
pub mod contrast;
pub mod cover;
pub mod edges;
mod enrich;
mod events;
mod facts;
mod fold;
pub mod heard;
mod held;
pub mod lapses;
pub mod nodes;
mod options;
mod outlook;
mod pool;
pub mod pulse;
pub mod raw;
pub mod recent;
mod saves;
pub mod series;
mod spell;
pub mod store;
mod suggest;
pub mod talks;
pub mod tally;
mod telling;
#[cfg(test)]
mod tests;
pub mod usage;

use crate::model::captures::Captures;
use crate::model::doc::Fault;
use crate::model::input::{At, Change, Codec, Edits, Frame, Input, Link};
use crate::model::ledger::Ledger;
use crate::model::observed::{Observed, Verdict};
use crate::model::row::Row;
use crate::model::time::Nanos;
use crate::model::view::{Field, FieldSet, View, in_window, time_of};
use crate::model::why::{Agreement, Why};
use crate::policy::PolicySet;
use crate::wire::decode::{Decoded, decode};
use crate::wire::lean::{Lean, Walk};
use crate::wire::note::Notes;
use crate::wire::observed::{is_dns, observed};
use crate::wire::pb::flow::Endpoint;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::response::Response;
use crate::world::ids::Dictionary;
use causes::{Causes, Traffic};
use clusters::{Clusters, Home, Origin};
use cover::Cover;
pub use enrich::{Who, who};
use heard::Heard;
use held::Full;
pub use held::Sieve;
use lapses::Lapses;
use nodes::Nodes;
pub use options::{Explain, Fold, Names, Options};
pub use outlook::Found;
use outlook::Outlook;
use prost::Message as _;
use saves::Saves;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Limits, Store};
use talks::Talks;
use tally::Tally;

/// Manifest faults kept for the screen; further ones are only counted.
const MOST_FAULTS: usize = 10_000;

const DAY: i64 = 24 * 3600 * Nanos::SECOND;

/// One admitted response on its way out.
pub struct Event<'a> {
    pub response: Response<'a>,
    pub why: Option<&'a Arc<Why>>,
}

/// What a response says of the cluster that it is of.
fn origin<'a>(from: &'a str, response: &'a GetFlowsResponse) -> Origin<'a> {
    let Some(ResponseTypes::Flow(f)) = &response.response_types else { return Origin { from, node: &response.node_name, cluster: "" } };
    let cluster = |e: &'a Option<Endpoint>| e.as_ref().map_or("", |e| e.cluster_name.as_str());
    let (src, dst) = (cluster(&f.source), cluster(&f.destination));
    let node = if f.node_name.is_empty() { &response.node_name } else { &f.node_name };
    Origin { from, node, cluster: if src == dst { src } else { "" } }
}

/// World, policies, store, causes and ledger, with one way in.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    /// The reader of plain runs.
    lean: Option<Lean>,
    /// Something of a cluster was told, and its names count for the filter.
    named: bool,
    clusters: Clusters,
    /// What agents' numbers of policies mean.
    ids: Dictionary,
    /// What a recording holds of what there was.
    captures: Captures,
    store: Store,
    causes: Causes,
    talks: Talks,
    cover: Cover,
    tally: Option<Box<Tally>>,
    names: enrich::Names,
    ledger: Ledger,
    lapses: Lapses,
    links: BTreeMap<Arc<str>, Link>,
    /// Clusters whose clock is not this machine's, and how it differs.
    clocks: BTreeMap<Arc<str>, String>,
    nodes: Nodes,
    heard: Heard,
    ended: Vec<(Arc<str>, Result<(), String>)>,
    faults: Vec<Fault>,
    /// Faults that found no room in `faults`.
    more_faults: usize,
    notes: Notes,
    now: Nanos,
    /// Where time goes on without flows: what it was when that was told last.
    moment: Nanos,
    /// Flows in a row whose time lies more than a day ahead.
    ahead: u8,
    /// What was there before any source, and whether it was said that it holds the policies.
    given: Vec<Change>,
    given_policies: bool,
    /// What was written into it since.
    saves: Saves,
    outlook: Outlook,
}

impl Engine {
    pub fn new(options: Options) -> Self {
        let wanted = options.admit.fields().union(options.reads.unwrap_or_default()).union(FieldSet::from_iter([Field::Time]));
        let lean = (options.is_plain() && !options.admit.fields().needs_message()).then(|| Lean::new(wanted, Walk::Whole));
        let store = Store::new(options.hold.unwrap_or(Limits { rows: 0, raw: 0 }));
        let policies = PolicySet::for_cilium(options.judge.cilium);
        let tally = options.tally.then(Box::<Tally>::default);
        Self {
            clusters: Clusters::new(policies, options.judge),
            ids: Dictionary::default(),
            captures: Captures::default(),
            talks: Talks::new(options.fold.unwrap_or(Fold::First)),
            options,
            lean,
            named: false,
            store,
            causes: Causes::default(),
            cover: Cover::default(),
            tally,
            names: enrich::Names::default(),
            ledger: Ledger::default(),
            lapses: Lapses::default(),
            links: BTreeMap::new(),
            clocks: BTreeMap::new(),
            nodes: Nodes::default(),
            heard: Heard::default(),
            ended: Vec::new(),
            faults: Vec::new(),
            more_faults: 0,
            notes: Notes::default(),
            now: Nanos::default(),
            moment: Nanos::default(),
            ahead: 0,
            given: Vec::new(),
            given_policies: false,
            saves: Saves::default(),
            outlook: Outlook::default(),
        }
    }

    /// Takes one thing that happened; `sink` gets what is admitted, in order.
    pub fn feed(&mut self, input: Input, sink: &mut dyn FnMut(Event<'_>)) {
        self.take(input, sink, &mut |_, _| {});
    }

    /// The same; every record goes to `then` afterwards, with what was read of it where it was read as a whole.
    pub fn take(&mut self, input: Input, sink: &mut dyn FnMut(Event<'_>), then: &mut dyn FnMut(&Frame, Option<&GetFlowsResponse>)) {
        match input {
            Input::Frame(frame) => self.frame(&frame, sink, then),
            Input::World(At { change: Change::Ids(ids), .. }) => {
                self.ids.take(&ids);
                self.ledger.ids_left_out = self.ids.left_out();
            }
            Input::World(At { change: Change::Asked(filter), at, .. }) => {
                self.captures.ask(&filter);
                self.heard.asked(&filter, at.unwrap_or_else(|| self.moment()));
            }
            Input::World(At { change: Change::Gap(gap), .. }) => {
                self.heard.gap(&gap);
                self.lapses.add(gap.from, gap.until);
                self.ledger.gap(gap);
            }
            // Manifests of a recording: those that are given stand in for them.
            Input::World(at) if self.given_policies && (at.at.is_none() || matches!(at.change, Change::Edited(_))) => {
                let mut faults = self.told_faults(&at.change);
                self.named |= self.options.names >= Names::Known;
                faults.extend(self.clusters.describe(&at.change, at.at));
                self.book(faults);
            }
            Input::World(at) => self.change(&at),
            Input::Link(link) => self.link(link),
            Input::Learnt(frame) => self.learnt(&frame),
            Input::Reset => self.reset(),
            Input::Edited(edits) => self.edit(&edits),
            Input::End(name, how) => self.ended.push((name, how)),
        }
    }

    /// Takes what was there before any source (manifests); it outlives [`Input::Reset`].
    pub fn give(&mut self, change: Change) {
        self.given.push(change.clone());
        self.change(&At { cluster: Arc::from(""), at: None, change });
    }

    /// As at the beginning: what was given stays.
    fn reset(&mut self) {
        let given = std::mem::take(&mut self.given);
        let empty = std::mem::take(&mut self.given_policies);
        let saves = std::mem::take(&mut self.saves);
        *self = Self::new(self.options.clone());
        if empty {
            self.policies_given();
        }
        given.into_iter().for_each(|change| self.give(change));
        saves.again().into_iter().for_each(|edit| self.edit(&Arc::new(edit)));
    }

    /// Whether what the world knows counts for the filter.
    fn knows(&self) -> bool {
        self.named || !self.options.is_plain()
    }

    /// A DNS answer of a time that was passed over.
    fn learnt(&mut self, frame: &Frame) {
        match decode(frame, &mut self.notes) {
            Ok(Decoded::Response(response)) => {
                let home = self.clusters.home(&origin(&frame.from, &response));
                self.learn(&response, home, None);
            }
            Ok(_) => {}
            Err(bad) => self.ledger.malformed(format!("{}:{}", frame.from, frame.line), bad.to_string()),
        }
    }

    fn change(&mut self, at: &At) {
        self.named |= self.options.names >= Names::Known;
        let mut faults = self.told_faults(&at.change);
        faults.extend(self.clusters.change(at));
        if let Some(home) = self.clusters.complete(at) {
            self.reconsider(home);
        }
        [self.ledger.versions_forgotten, self.ledger.addresses_forgotten] = self.clusters.forgotten();
        self.book(faults);
    }

    /// What a change itself says could not be used; of files that were written anew, in place of what was said of them before.
    fn told_faults(&mut self, change: &Change) -> Vec<Fault> {
        match change {
            Change::Edited(edits) => {
                self.without_faults_of(edits);
                edits.files.iter().flat_map(|f| f.faults.iter().cloned()).collect()
            }
            Change::Fault(f) => vec![f.clone()],
            _ => Vec::new(),
        }
    }

    /// Lets go what could not be used of files as they stood before, and hands it out.
    fn without_faults_of(&mut self, edits: &Edits) -> Vec<Fault> {
        let of_these = |f: &Fault| edits.files.iter().any(|e| e.file == f.file);
        let (old, others) = std::mem::take(&mut self.faults).into_iter().partition(of_these);
        self.faults = others;
        old
    }

    fn book(&mut self, faults: Vec<Fault>) {
        let room = MOST_FAULTS.saturating_sub(self.faults.len());
        self.more_faults += faults.len().saturating_sub(room);
        self.faults.extend(faults.into_iter().take(room));
    }

    fn link(&mut self, link: Link) {
        self.nodes.link(&link);
        self.heard.link(&link, self.moment());
        let server = match &link {
            Link::Connecting { server } | Link::Connected { server } => server.clone(),
            Link::Down { server, .. } => {
                self.ledger.reconnects += 1;
                server.clone()
            }
            Link::Lost { server, .. } => server.clone(),
            Link::Left { server } => {
                self.links.remove(server);
                return;
            }
            Link::Late { server, count } => {
                // Of a server that is late the connection stands all the same.
                *self.ledger.late.entry(server.to_string()).or_default() += count;
                return;
            }
            Link::Skewed { cluster, told } => {
                match told {
                    Some(told) => _ = self.clocks.insert(cluster.clone(), told.clone()),
                    None => _ = self.clocks.remove(cluster),
                }
                return;
            }
            Link::Clock { at } => {
                self.now = self.now.max(*at);
                return;
            }
        };
        self.links.insert(server, link);
    }

    /// `then` is called within: a message that was read is two kilobytes, and handing it out would move it.
    fn frame(&mut self, frame: &Frame, sink: &mut dyn FnMut(Event<'_>), then: &mut dyn FnMut(&Frame, Option<&GetFlowsResponse>)) {
        self.ledger.frames += 1;
        let place = || if frame.line == 0 { frame.from.to_string() } else { format!("{}:{}", frame.from, frame.line) };
        if let Some(reason) = &frame.broken {
            self.ledger.malformed(place(), reason);
            return then(frame, None);
        }
        if self.plain(frame, sink) {
            return then(frame, None);
        }
        match decode(frame, &mut self.notes) {
            Ok(Decoded::Blank) => self.ledger.skipped += 1,
            Ok(Decoded::Response(response)) => {
                self.ledger.decoded += 1;
                self.clusters.heard(&frame.from);
                let home = self.clusters.home(&origin(&frame.from, &response));
                self.response(frame, &response, home, sink);
                return then(frame, Some(&response));
            }
            // What it says came as a change of the cluster already, if its source reads such lines.
            Ok(other) => {
                self.ledger.decoded += 1;
                self.ledger.notices += 1;
                self.ledger.agent_events += u64::from(matches!(other, Decoded::AgentEvent(_)));
                self.ledger.debug_events += u64::from(matches!(other, Decoded::DebugEvent(_)));
            }
            Err(bad) => self.ledger.malformed(place(), bad.to_string()),
        }
        then(frame, None);
    }

    /// Handles a flow of which a part suffices; `false` if it has to be decoded.
    fn plain(&mut self, frame: &Frame, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        let whole = frame.codec == Codec::Hubble && self.options.reads.is_none();
        let admit = &self.options.admit;
        // All of it is wanted: looking first would only cost.
        let Some(lean) = self.lean.as_mut().filter(|_| !(whole && admit.is_all() || self.named)) else { return false };
        let view = match frame.codec {
            Codec::Hubble => lean.proto(&frame.bytes),
            Codec::HubbleJson => lean.json(&frame.bytes),
        };
        let Some(view) = view else { return false };
        let at = time_of(&view);
        let admitted = in_window(self.options.window, at) && admit.matches(&view);
        if admitted && whole {
            return false;
        }
        self.ledger.decoded += 1;
        if admitted {
            self.ledger.admitted += 1;
            self.ledger.held += 1;
            sink(Event { response: Response::Part { view, codec: frame.codec, bytes: &frame.bytes }, why: None });
        } else {
            self.ledger.refused += 1;
        }
        self.tell(at);
        true
    }

    fn response(&mut self, frame: &Frame, response: &GetFlowsResponse, home: Home, sink: &mut dyn FnMut(Event<'_>)) {
        let at = time_of(response);
        let in_window = in_window(self.options.window, at);
        if !matches!(response.response_types, Some(ResponseTypes::Flow(_))) {
            match &response.response_types {
                Some(ResponseTypes::LostEvents(lost)) => {
                    self.ledger.lose(&response.node_name, lost.source().as_str_name(), lost.num_events_lost);
                    self.lapses.lost(lost, at);
                    let when = if at == Nanos::default() { self.moment() } else { at.min(self.moment()) };
                    self.heard.lost(&frame.from, &response.node_name, when);
                }
                Some(ResponseTypes::NodeStatus(status)) => {
                    self.nodes.take(&frame.from, status);
                    self.heard.nodes(&frame.from, status, self.moment());
                }
                _ => {}
            }
            self.ledger.notices += 1;
            if in_window && (!self.options.filter_notices || self.options.admit.matches(response)) {
                sink(Event { response: Response::Whole(response), why: None });
            }
            return;
        }
        // What the filter refuses still tells the time.
        self.tell(at);
        if self.options.fold.is_some() && in_window {
            self.cover.add(&response.node_name, at);
        }
        let asked = self.options.admit.fields();
        let derives = asked.needs_derived();
        // A name that is asked for and not told may be known to us.
        let wants_derived = derives || (self.knows() && enrich::lacks_names(response, asked));
        // The cheap question first: most flows of a filtered stream end here.
        if !in_window || (!wants_derived && !self.options.admit.matches(response)) {
            // What a refused DNS answer teaches is still true.
            self.learn(response, home, None);
            self.ledger.refused += 1;
            return;
        }
        let explains = self.options.explain;
        let holds = self.options.hold.is_some();
        if self.options.is_plain() && !wants_derived {
            self.ledger.admitted += 1;
            self.ledger.held += 1;
            return sink(Event { response: Response::Whole(response), why: None });
        }

        let reported = self.reported(response);
        self.ledger.ids_unnamed += u64::from(!reported.reported.unnamed.is_empty());
        self.learn(response, home, Some(&reported));
        // What we fill in is for people and filters; attribution sees what was reported, and marks its own inferences.
        let o = enrich::named(&reported, &self.clusters.get(home).world);
        let o = &*o;
        let denied = matches!(o.verdict, Verdict::Dropped | Verdict::Audit);
        let why = (explains == Explain::All || (denied && (explains == Explain::Drops || derives))).then(|| self.why(&reported, home));
        let (from, to) = {
            let world = &self.clusters.get(home).world;
            (self.names.who(&o.src, home, world), self.names.who(&o.dst, home, world))
        };
        if wants_derived {
            let owners = [from.workload.as_str(), to.workload.as_str()];
            let full = Full { response, observed: o, why: why.as_deref(), cause: None, owners };
            if !self.options.admit.matches(&full) {
                self.ledger.refused += 1;
                return;
            }
        }
        self.ledger.admitted += 1;
        self.ledger.held += 1;
        let talk = if self.options.fold.is_some() { self.talk(&reported, home, at) } else { None };
        let (mut cause, mut before) = (None, None);
        let seq = self.store.seqs().end;
        if let (true, Some(why)) = (denied, &why) {
            (cause, before) = self.causes.add(o, at, seq, why, &from.name, &to.name).unzip();
            if let Some(id) = cause {
                let owners = [from.workload.as_str(), to.workload.as_str()];
                let full = Full { response, observed: o, why: Some(why), cause, owners };
                self.heard.dropped(id, &frame.from, &o.node, (&full, at));
            }
            if let (Some(id), Some(talk)) = (cause, talk) {
                self.stopped(id, talk);
            }
        } else if self.causes.watches()
            && matches!(o.verdict, Verdict::Forwarded | Verdict::Redirected)
            && o.reply() != Some(true)
            && let Some(direction) = o.direction
        {
            let cluster = self.clusters.get(home).policies().cluster().map(str::to_owned);
            let traffic = Traffic { cluster, from: from.name.clone(), to: to.name.clone(), direction, l4: o.l4, port: o.dst_port };
            self.causes.forwarded(&traffic, at);
        }
        // Without a store there is no row either: its strings would be interned for nobody, and never swept.
        if holds {
            let cluster = u8::try_from(home).unwrap_or(0);
            let latency = response.field(Field::LatencyNs).uint().unwrap_or(0);
            let before = before.flatten().and_then(|b: u64| u32::try_from(seq.checked_sub(b)?).ok()).unwrap_or(0);
            let row = Row { cause, before, cluster, ..enrich::row(o, &reported, [&from, &to], at, latency, &mut self.store) };
            let owners = [from.workload.as_str(), to.workload.as_str()];
            let full = Full { response, observed: o, why: None, cause, owners };
            match frame.codec {
                Codec::Hubble => self.store.push(&row, &full, &frame.bytes),
                Codec::HubbleJson => self.store.push(&row, &full, &response.encode_to_vec()),
            };
            // Asked back: what the row is made of may have been numbered anew.
            if let (Some(tally), Some(row)) = (&mut self.tally, self.store.row(seq)) {
                tally.add(&row, &self.store, self.now);
            }
            if let Some(id) = cause {
                self.causes.shown_by(id, seq);
            }
            if let Some(talk) = talk.filter(|_| o.reply() != Some(true)) {
                self.talks.shown_by(talk, seq);
            }
            let evicted = self.store.evicted();
            self.ledger.held -= evicted - self.ledger.evicted;
            self.ledger.evicted = evicted;
            self.ledger.raw_evicted = self.store.raw_evicted();
        }
        sink(Event { response: Response::Whole(response), why: why.as_ref().filter(|_| explains >= Explain::Drops) });
    }

    /// Books a record with its conversation; returns that one's number.
    fn talk(&mut self, reported: &Observed, home: Home, at: Nanos) -> Option<usize> {
        if self.talks.is_full() {
            let moved = self.talks.make_room(&self.causes.in_talks());
            self.causes.renumber(&moved);
            self.outlook.renumber(&moved);
        }
        let talk = self.talks.add(&enrich::behind(reported, &self.clusters.get(home).world), at)?;
        self.talks.of(talk, home);
        Some(talk)
    }

    /// What a record says, its policy by the name that its number means.
    fn reported(&self, response: &GetFlowsResponse) -> Observed {
        let mut o = observed(response);
        let shared = o.ruling.is_some() && self.clusters.share(&o.node);
        self.ids.resolve(&mut o, shared);
        o
    }

    /// Takes a flow's time for now, unless it lies more than a day ahead: then only when three flows in a row say so, because one
    /// node with a wrong clock must not turn every cause quiet.
    fn tell(&mut self, at: Nanos) {
        if self.now == Nanos::default() || at.since(self.now) <= DAY {
            self.ahead = 0;
            self.now = self.now.max(at);
        } else {
            self.ahead += 1;
            if self.ahead >= 3 {
                self.ahead = 0;
                self.now = at;
            }
        }
    }

    /// DNS answers teach names for addresses, whatever the filter says of the flow itself. Where nobody can ask for a name,
    /// nothing is learnt.
    fn learn(&mut self, response: &GetFlowsResponse, home: Home, observation: Option<&Observed>) {
        if !is_dns(response) || self.options.is_plain() {
            return;
        }
        match observation {
            Some(o) => self.clusters.get_mut(home).world.observe(o),
            None => self.clusters.get_mut(home).world.observe(&observed(response)),
        }
    }

    /// The explanation of a flow, with what the records show about this one packet where policies and datapath differ.
    fn why(&mut self, reported: &Observed, home: Home) -> Arc<Why> {
        let foreign = self.clusters.is_foreign(home);
        let cluster = self.clusters.get_mut(home);
        let why = cluster.why(reported);
        if foreign {
            return Arc::new(clusters::foreign(&why, &reported.node));
        }
        if why.agreement != Agreement::Disagrees {
            return why;
        }
        let evidence = cluster.evidence(reported, &why);
        if evidence.is_empty() {
            return why;
        }
        let mut whole = Why::clone(&why);
        whole.because.splice(0..0, evidence);
        Arc::new(whole)
    }

    /// Says that a set of policies was given, even if it is empty: then nothing isolates, instead of nothing being known.
    pub fn policies_given(&mut self) {
        self.given_policies = true;
        self.clusters.given();
    }
}
