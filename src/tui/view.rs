//! A filtered list of flows with a selection in it. Holds numbers of rows, never rows.
//!
//! Owns: which rows match (kept up as rows arrive, found anew in slices when the filter changes, newest first), what is
//! selected, following and pausing. A held view never moves: the selection is a row, and its place on the screen stays.
use crate::engine::pulse::Pulse;
use crate::engine::tally::Tally;
use crate::engine::{Engine, Sieve};
use crate::model::row::CauseId;
use crate::model::time::Nanos;
use crate::query::Predicate;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Rows looked at between two questions whether time is up.
const SLICE: u64 = 128;
/// So many rows a table keeps even where nobody may come back to it.
const FEW: usize = 10_000;

#[derive(Debug, Clone)]
pub struct View {
    filter: Sieve,
    /// Matching rows, ascending; unused while the filter matches everything.
    hits: VecDeque<u64>,
    /// Rows from `lo` to `hi` have been looked at.
    lo: u64,
    hi: u64,
    /// The matching drops, counted by cause; those that wait behind a pause are not counted yet.
    causes: BTreeMap<CauseId, Pulse>,
    /// Those that wait.
    waiting: BTreeMap<CauseId, Pulse>,
    /// Time of the oldest row that was looked at.
    since: Option<Nanos>,
    /// The row the finger chose; the selection is the match nearest to it.
    anchor: u64,
    /// Lines above the selection on the screen.
    pub offset: usize,
    pub follow: bool,
    paused: Option<Paused>,
    /// The keys went to the pane below the table when it was left.
    pub pane: bool,
    /// The filter as it was typed, where times that count back became fixed ones.
    pub typed: Option<String>,
    /// Sums over the rows of the view, where they are others than those over all rows.
    counted: Option<Box<Counted>>,
}

/// Where a picture stands still.
#[derive(Debug, Clone)]
struct Paused {
    /// Rows from here on are not shown.
    from: u64,
    at: Nanos,
    /// The sums over all rows go on; these are those of that moment, for whatever filter comes while it lasts.
    tally: Option<Arc<Tally>>,
}

/// Sums over the matching rows from `lo` to `hi`.
#[derive(Debug, Clone)]
struct Counted {
    tally: Tally,
    lo: u64,
    hi: u64,
}

impl View {
    pub fn new(filter: Predicate, engine: &Engine) -> Self {
        let end = engine.store().seqs().end;
        Self {
            filter: Sieve::new(filter),
            hits: VecDeque::new(),
            lo: end,
            hi: end,
            causes: BTreeMap::new(),
            waiting: BTreeMap::new(),
            since: None,
            anchor: end.saturating_sub(1),
            offset: usize::MAX,
            follow: true,
            paused: None,
            pane: false,
            typed: None,
            counted: None,
        }
    }

    /// Lets go what takes much room: it is found again when somebody looks, and whoever is paused first tells all others.
    pub fn shed(&mut self) {
        self.counted = None;
        if let Some(p) = &mut self.paused {
            p.tally = None;
        }
        if self.hits.len() > FEW {
            (self.hits, self.causes, self.waiting) = Default::default();
            (self.lo, self.since) = (self.hi, None);
        }
    }

    /// The same place under another filter: selection, following and pause stay.
    pub fn refilter(&self, filter: Predicate, engine: &Engine) -> Self {
        let anchor = self.selected(engine).unwrap_or(self.anchor);
        let paused = self.paused.clone();
        Self { anchor, offset: self.offset, follow: self.follow, pane: self.pane, paused, ..Self::new(filter, engine) }
    }

    /// Stands still where another one does, or runs as it does.
    pub fn pause_as(&mut self, other: &Self) {
        let from = |v: &Self| v.paused.as_ref().map(|p| p.from);
        if from(self) != from(other) {
            self.let_in();
        }
        self.paused.clone_from(&other.paused);
    }

    pub fn text(&self) -> &str {
        self.filter().text()
    }

    /// The filter as it is kept for another day: times that count back do so then too.
    pub fn typed(&self) -> &str {
        self.typed.as_deref().unwrap_or(self.text())
    }

    pub fn filter(&self) -> &Predicate {
        self.filter.predicate()
    }

    pub fn is_all(&self) -> bool {
        self.filter().is_all()
    }

    /// Looks at rows not yet seen while `more` allows, new ones first. Returns whether something changed.
    pub fn scan(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
        if self.is_all() {
            return false;
        }
        let held = engine.store().seqs();
        let before = (self.lo, self.hi);
        while self.hits.front().is_some_and(|s| *s < held.start) {
            self.hits.pop_front();
        }
        if self.hi < held.start {
            (self.lo, self.hi) = (held.start, held.start);
        }
        let mut hits = Vec::new();
        while self.hi < held.end {
            let to = held.end.min(self.hi + SLICE);
            self.look(engine, self.hi..to, &mut hits);
            self.hits.extend(&hits);
            self.hi = to;
            if !more() {
                return true;
            }
        }
        while self.lo > held.start {
            let from = held.start.max(self.lo.saturating_sub(SLICE));
            self.look(engine, from..self.lo, &mut hits);
            hits.iter().rev().for_each(|seq| self.hits.push_front(*seq));
            self.lo = from;
            if !more() {
                return true;
            }
        }
        before != (self.lo, self.hi)
    }

    /// Finds what matches among some rows, and counts its drops.
    fn look(&mut self, engine: &Engine, rows: Range<u64>, hits: &mut Vec<u64>) {
        hits.clear();
        let mut drops = Vec::new();
        let from = rows.start;
        engine.sift(rows, &mut self.filter, |seq, cause| {
            hits.push(seq);
            drops.extend(cause.map(|id| (seq, id)));
        });
        if let Some(at) = engine.store().at(from).filter(|_| engine.store().has_time(from)) {
            self.since = Some(self.since.map_or(at, |s| s.min(at)));
        }
        for (seq, id) in drops {
            self.book(engine, seq, id, |seq| (seq >= from).then(|| hits.binary_search(&seq).is_ok()));
        }
    }

    /// Counts a drop. What passes is known of some rows.
    fn book(&mut self, engine: &Engine, seq: u64, id: CauseId, known: impl Fn(u64) -> Option<bool>) {
        let store = engine.store();
        let Some(at) = store.at(seq) else { return };
        // An event is told by the first of its records that matches, in whatever order they are looked at.
        let mut before = store.before(seq);
        while let Some(seq) = before.filter(|seq| !known(*seq).unwrap_or_else(|| engine.matches(*seq, &mut self.filter))) {
            before = store.before(seq);
        }
        let waits = self.paused.as_ref().is_some_and(|p| seq >= p.from);
        let causes = if waits { &mut self.waiting } else { &mut self.causes };
        causes.entry(id).or_insert_with(|| Pulse::from(at)).add(at, before.is_none());
    }

    /// From when on the drops are counted; `None` where all are.
    pub fn since(&self) -> Option<Nanos> {
        self.since
    }

    /// The drops of a cause in this view; `None` where there are none, or all flows are in it.
    pub fn pulse(&self, cause: CauseId) -> Option<&Pulse> {
        self.causes.get(&cause)
    }

    /// Sums over the rows of the view; `None` where nothing is counted yet.
    pub fn tally<'a>(&'a self, engine: &'a Engine) -> Option<&'a Tally> {
        match &self.counted {
            Some(c) => Some(&c.tally),
            None if !self.is_all() => None,
            None => match &self.paused {
                Some(p) => p.tally.as_deref(),
                None => engine.tally(),
            },
        }
    }

    /// Counts matching rows that were not counted yet while `more` allows, new ones first. Returns whether something changed.
    pub fn count(&mut self, engine: &Engine, more: &mut dyn FnMut() -> bool) -> bool {
        if !self.counts_behind(engine) {
            return false;
        }
        let end = self.end(engine).min(self.hi);
        let c = self.counted.get_or_insert_with(|| Box::new(Counted { tally: Tally::default(), lo: end, hi: end }));
        let (store, now) = (engine.store(), engine.now());
        let mut n = 0;
        let mut add = |seq: &u64| {
            if let Some(row) = store.row(*seq) {
                c.tally.add(&row, store, now);
            }
            n += 1;
            n % SLICE != 0 || more()
        };
        let from = self.hits.partition_point(|s| *s < c.hi);
        for seq in self.hits.range(from..).take_while(|s| **s < end) {
            c.hi = seq + 1;
            if !add(seq) {
                return true;
            }
        }
        c.hi = c.hi.max(end);
        let to = self.hits.partition_point(|s| *s < c.lo);
        for seq in self.hits.range(..to).rev() {
            c.lo = *seq;
            if !add(seq) {
                return true;
            }
        }
        c.lo = c.lo.min(self.lo);
        true
    }

    /// Whether matching rows wait to be counted.
    pub fn counts_behind(&self, engine: &Engine) -> bool {
        let end = self.end(engine).min(self.hi);
        !self.is_all() && self.counted.as_ref().is_none_or(|c| c.hi < end || c.lo > self.lo)
    }

    /// Whether rows wait to be looked at.
    pub fn behind(&self, engine: &Engine) -> bool {
        let held = engine.store().seqs();
        !self.is_all() && (self.hi < held.end || self.lo > held.start)
    }

    /// From which to which row it has been looked for what passes.
    pub fn seen(&self, engine: &Engine) -> (u64, u64) {
        if self.is_all() { (engine.store().seqs().start, self.end(engine)) } else { (self.lo, self.hi) }
    }

    /// Rows looked at, of those held, in percent.
    pub fn progress(&self, engine: &Engine) -> u64 {
        let held = engine.store().seqs();
        let all = held.end - held.start;
        let seen = self.hi.min(held.end).saturating_sub(self.lo.max(held.start));
        if self.is_all() || all == 0 { 100 } else { seen * 100 / all }
    }

    /// Whether the cause has a drop in this view.
    pub fn has_cause(&self, cause: CauseId) -> bool {
        self.is_all() || self.causes.contains_key(&cause)
    }

    fn end(&self, engine: &Engine) -> u64 {
        let held = engine.store().seqs();
        self.paused.as_ref().map_or(held.end, |p| p.from.clamp(held.start, held.end))
    }

    /// Rows of the view, without those that wait behind a pause.
    pub fn len(&self, engine: &Engine) -> usize {
        let end = self.end(engine);
        if self.is_all() {
            return usize::try_from(end - engine.store().seqs().start).unwrap_or(usize::MAX);
        }
        self.upto(end) - self.gone(engine)
    }

    /// Hits evicted since the last scan.
    fn gone(&self, engine: &Engine) -> usize {
        self.upto(engine.store().seqs().start)
    }

    fn upto(&self, end: u64) -> usize {
        self.hits.partition_point(|s| *s < end)
    }

    /// Number of the `i`th row of the view.
    pub fn seq(&self, i: usize, engine: &Engine) -> Option<u64> {
        let seq = if self.is_all() {
            engine.store().seqs().start.checked_add(u64::try_from(i).ok()?)?
        } else {
            *self.hits.get(i.checked_add(self.gone(engine))?)?
        };
        (seq < self.end(engine)).then_some(seq)
    }

    /// Place of a row in the view: its own, else of the nearest one before it.
    fn place(&self, seq: u64, engine: &Engine) -> usize {
        let start = engine.store().seqs().start;
        if self.is_all() {
            return usize::try_from(seq.saturating_sub(start)).unwrap_or(usize::MAX);
        }
        self.upto(seq.saturating_add(1)).saturating_sub(1 + self.gone(engine))
    }

    /// Whether the row is in the view.
    pub fn contains(&self, seq: u64, engine: &Engine) -> bool {
        self.seq(self.place(seq, engine), engine) == Some(seq)
    }

    /// The newest row of the view.
    pub fn last(&self, engine: &Engine) -> Option<u64> {
        self.seq(self.len(engine).checked_sub(1)?, engine)
    }

    /// The rows of the view from a number on.
    pub fn rows_from<'a>(&'a self, seq: u64, engine: &'a Engine) -> impl Iterator<Item = u64> + 'a {
        let start = engine.store().seqs().start;
        let first = match self.is_all() {
            true => usize::try_from(seq.saturating_sub(start)).unwrap_or(usize::MAX),
            false => self.upto(seq).saturating_sub(self.gone(engine)),
        };
        (first..).map_while(move |i| self.seq(i, engine))
    }

    /// Place of the selection; `None` in an empty view.
    pub fn at(&self, engine: &Engine) -> Option<usize> {
        let last = self.len(engine).checked_sub(1)?;
        Some(if self.follow { last } else { self.place(self.anchor, engine).min(last) })
    }

    pub fn selected(&self, engine: &Engine) -> Option<u64> {
        self.seq(self.at(engine)?, engine)
    }

    /// Selects the row at a place, and holds the view.
    pub fn select(&mut self, i: usize, engine: &Engine, page: usize) {
        let Some(from) = self.at(engine) else { return };
        let to = i.min(self.len(engine).saturating_sub(1));
        let Some(seq) = self.seq(to, engine) else { return };
        let last = page.saturating_sub(1);
        self.offset =
            if to >= from { self.offset.min(last).saturating_add(to - from) } else { self.offset.min(last).saturating_sub(from - to) }
                .min(last)
                .min(to);
        self.anchor = seq;
        self.follow = false;
    }

    /// Selects a certain row and shows it in the middle of the page.
    pub fn show(&mut self, seq: u64, page: usize) {
        self.anchor = seq;
        self.follow = false;
        self.offset = page / 2;
    }

    /// Holds the view where it is.
    pub fn freeze(&mut self, engine: &Engine) {
        if let Some(seq) = self.selected(engine) {
            self.anchor = seq;
        }
        self.follow = false;
    }

    /// The first place on a page of that many lines. While following, the newest row stands on the last line.
    pub fn top(&self, engine: &Engine, page: usize) -> usize {
        let Some(at) = self.at(engine) else { return 0 };
        let last = page.saturating_sub(1);
        at.saturating_sub(if self.follow { last } else { self.offset.min(last) })
    }

    /// Brings the selection's place on the page into bounds after following or a change of size.
    pub fn settle(&mut self, engine: &Engine, page: usize) {
        let last = page.saturating_sub(1);
        let at = self.at(engine).unwrap_or(0);
        self.offset = if self.follow { last } else { self.offset.min(last) }.min(at);
    }

    /// Fills a page that has grown, or a list that has shrunk: no blank lines at the end while rows stand above the top.
    pub fn fill(&mut self, engine: &Engine, page: usize) {
        self.settle(engine, page);
        if let Some(at) = self.at(engine) {
            let below = self.len(engine) - 1 - at;
            let need = page.saturating_sub(1).saturating_sub(below).min(at);
            self.offset = self.offset.max(need);
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// When it was that the picture began to stand.
    pub fn paused_at(&self) -> Option<Nanos> {
        self.paused.as_ref().map(|p| p.at)
    }

    pub fn pause(&mut self, engine: &Engine, now: Nanos) {
        let tally = engine.tally().map(|t| Arc::new(t.clone()));
        self.paused = Some(Paused { from: engine.store().seqs().end, at: now, tally });
    }

    pub fn resume(&mut self, engine: &Engine) {
        if !self.follow {
            self.freeze(engine);
        }
        self.paused = None;
        self.let_in();
    }

    /// What waited is shown.
    fn let_in(&mut self) {
        for (id, more) in std::mem::take(&mut self.waiting) {
            self.causes.entry(id).and_modify(|p| p.merge(&more)).or_insert(more);
        }
    }

    /// Rows that wait behind a pause, matching or not.
    pub fn waiting(&self, engine: &Engine) -> u64 {
        self.paused.as_ref().map_or(0, |p| engine.store().seqs().end.saturating_sub(p.from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{self, Simulation};
    use crate::engine::store::Limits;
    use crate::engine::{Explain, Options};
    use crate::model::input::{Change, Codec, Frame, Input};
    use crate::query::{Context, parse};
    use crate::world::yaml;
    use prost::Message as _;

    fn view(filter: &str, engine: &Engine) -> View {
        View::new(parse(filter, &Context::default()).unwrap(), engine)
    }

    #[test]
    fn an_event_counts_once_with_whichever_of_its_records_passes_in_whatever_order_they_are_looked_at() {
        let mut e = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        for (file, text) in demo::manifests() {
            yaml::read(file, text).0.into_iter().for_each(|d| e.give(Change::Apply(Arc::new(d))));
        }
        e.policies_given();
        let filters = ["verdict:dropped or verdict:audit", "type:drop", "type:policy-verdict"];
        let mut forth = filters.map(|f| view(f, &e));
        let mut simulation = Simulation::new(7, Nanos::from_parts(1_800_000_000, 0));
        for _ in 0..5_000 {
            let bytes = simulation.next().1.encode_to_vec().into();
            e.feed(Input::Frame(Frame { codec: Codec::Hubble, from: Arc::from("t"), line: 0, bytes, broken: None }), &mut |_| {});
        }
        let mut back = filters.map(|f| view(f, &e));
        // A slice at a time: an event's records lie in two of them here and there.
        forth.iter_mut().chain(&mut back).for_each(|v| while v.scan(&e, &mut || false) {});
        let (mut twice, mut alone) = (0, [0, 0]);
        for c in e.causes().iter() {
            let events = |v: &View| v.pulse(c.id).map_or(0, |p| p.events);
            let counted = forth.each_ref().map(events);
            assert_eq!(back.each_ref().map(events), counted, "{}", c.why.text);
            assert_eq!(counted[0], c.events, "{}", c.why.text);
            // Each record by itself, where there are two of one packet.
            let records = |v: &View| v.hits.iter().filter(|seq| e.store().cause(**seq) == Some(c.id)).count() as u64;
            assert_eq!([&back[1], &back[2]].map(records), [counted[1], counted[2]], "{}", c.why.text);
            twice += c.records - c.events;
            (alone[0], alone[1]) = (alone[0] + counted[1], alone[1] + counted[2]);
        }
        assert!(twice > 100 && alone.iter().all(|n| *n >= twice), "{twice} packets told twice, {alone:?}");
    }
}
