//! All state of the screen, plain data. Only `update` writes it; it knows nothing of terminals, cells or clocks. What stands on the stack is
//! in `page`, what is told from and to outside in `options`.
mod options;
mod page;

pub use options::{Effect, Options};
pub use page::{Case, Choice, Fields, Screen, Scroll, mendable, suggestion};

use super::action::Keymap;
use super::causes::{CauseLine, Drops, Only};
use super::column::{Column, DEFAULT};
use super::ground::Ground;
use super::prompt::Prompt;
use super::theme::Look;
use super::view::View;
use crate::engine::Engine;
use crate::engine::causes::Cause;
use crate::engine::tally::Tally;
use crate::model::time::Nanos;
use crate::source::replay::Remote;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a replay is played on for, as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Cause,
    Change,
}

/// A replay that is played on until something appears.
#[derive(Debug, Clone)]
pub struct Hunt {
    pub wanted: Wanted,
    /// How many causes were there already, and the number of each cluster's last change.
    pub known: (usize, BTreeMap<String, u64>),
    /// So many frames have come when the lines that were asked for are played.
    pub frames: u64,
}

/// A menu on the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Menu {
    Copy,
    Sort,
    Mark,
    Jump,
}

/// The palette: what is typed, and which of the offers Enter takes.
#[derive(Debug, Default)]
pub struct Palette {
    pub text: String,
    pub at: usize,
}

/// What has to be done to the stack of screens to be back at an earlier one, or forward again.
#[derive(Debug)]
pub enum Step {
    Pop,
    Push(Screen),
    /// All but the first screen in place of the present ones.
    Swap(Vec<Screen>),
}

/// The history of screens.
#[derive(Debug, Default)]
pub struct Trail {
    pub past: Vec<Step>,
    pub future: Vec<Step>,
    /// The last move was to the screen before: the next one goes back.
    pub flipped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Info,
    /// Stays until a key.
    Error,
}

#[derive(Debug, Clone)]
pub struct Toast {
    pub text: String,
    pub tone: Tone,
    pub until_ms: u64,
}

/// Events per second over the last few seconds.
#[derive(Debug, Default)]
pub struct Meter(VecDeque<(u64, u64)>);

impl Meter {
    const WINDOW: u64 = 3;

    pub fn add(&mut self, ms: u64, n: u64) {
        let s = ms / 1_000;
        match self.0.back_mut() {
            Some((at, sum)) if *at == s => *sum += n,
            _ => self.0.push_back((s, n)),
        }
        while self.0.len() > Self::WINDOW as usize + 1 {
            self.0.pop_front();
        }
    }

    /// Over the whole seconds before this one.
    pub fn per_second(&self, ms: u64) -> u64 {
        let s = ms / 1_000;
        self.0.iter().filter(|(at, _)| *at < s && *at + Self::WINDOW >= s).map(|(_, n)| n).sum::<u64>() / Self::WINDOW
    }
}

#[derive(Debug)]
pub struct Model {
    pub options: Options,
    pub look: Look,
    pub keymap: Keymap,
    /// Milliseconds since start; the only time the model knows.
    pub ms: u64,
    /// When something came in last.
    pub fed_ms: u64,
    pub width: u16,
    pub height: u16,
    /// Lines of the list on screen.
    pub page: usize,
    /// Never empty; the first is the flows table.
    pub stack: Vec<Screen>,
    pub drops: Drops,
    pub prompt: Option<Prompt>,
    pub toast: Option<Toast>,
    /// The next key chooses from a menu on the last line.
    pub menu: Option<Menu>,
    /// What is typed after `:`.
    pub palette: Option<Palette>,
    /// Where one was, for the way back.
    pub trail: Trail,
    /// `q` was pressed once where it throws evidence away.
    pub asked: bool,
    /// The keys go to the drops pane, not to the table.
    pub in_pane: bool,
    pub hide_pane: bool,
    pub relative: bool,
    pub wide: bool,
    /// Columns of the flows table, as they are chosen.
    pub columns: Vec<Column>,
    /// The one that the finger is in.
    pub finger: Column,
    /// Addresses instead of names.
    pub addresses: bool,
    /// Marked flows by their letters.
    pub marks: BTreeMap<char, u64>,
    /// Servers are to be asked for this from now on; the engine is to know it at once.
    pub wish: Option<Arc<str>>,
    /// Filters that were used, the newest last.
    pub history: Vec<String>,
    /// The filter was read before the first flow: times that count back are bound when one is there.
    pub unbound: bool,
    /// Filters with names.
    pub filters: Vec<(String, String)>,
    pub meter: Meter,
    pub effects: Vec<Effect>,
    /// The bell has to be rung.
    pub ring: bool,
    /// What the title of the terminal has to say now; empty: the usual.
    pub headline: Option<String>,
    /// It says a new cause.
    pub titled: bool,
    pub done: bool,
    /// All sources are done.
    pub closed: bool,
    /// And none of them will begin again.
    pub gone: bool,
    /// A replay is played on for something.
    pub hunt: Option<Hunt>,
    /// What is being recorded on demand, in a few words.
    pub tape: Option<String>,
    /// Flows that are not in the recordings that were to have them.
    pub missed: u64,
    /// Why there is no ring of this session.
    pub ringless: Option<String>,
    /// What is held is kept on the disk as well.
    pub kept: bool,
    /// A file that was asked for is not whole yet.
    pub saving: bool,
}

impl Model {
    pub fn new(options: Options, view: View) -> Self {
        Self {
            look: Look::new(options.theme, options.depth, options.ascii),
            keymap: options.keymap.clone(),
            ms: 0,
            fed_ms: 0,
            width: 80,
            height: 24,
            page: 10,
            stack: vec![Screen::Flows(Box::new(view))],
            drops: Drops::default(),
            prompt: None,
            toast: None,
            menu: None,
            palette: None,
            trail: Trail::default(),
            asked: false,
            in_pane: false,
            hide_pane: false,
            relative: options.relative,
            columns: if options.columns.is_empty() { DEFAULT.to_vec() } else { options.columns.clone() },
            wide: false,
            finger: Column::Time,
            addresses: false,
            marks: BTreeMap::new(),
            wish: None,
            history: options.history.clone(),
            unbound: false,
            filters: options.filters.clone(),
            meter: Meter::default(),
            effects: Vec::new(),
            ring: false,
            headline: None,
            titled: false,
            done: false,
            closed: false,
            gone: false,
            hunt: None,
            tape: None,
            missed: 0,
            ringless: None,
            kept: false,
            saving: false,
            options,
        }
    }

    pub fn screen(&self) -> Option<&Screen> {
        self.stack.last()
    }

    /// The nearest flows table on the stack: what filter and pause belong to.
    pub fn view(&self) -> Option<&View> {
        self.stack.iter().rev().find_map(|s| if let Screen::Flows(v) = s { Some(&**v) } else { None })
    }

    pub fn view_mut(&mut self) -> Option<&mut View> {
        self.stack.iter_mut().rev().find_map(|s| if let Screen::Flows(v) = s { Some(&mut **v) } else { None })
    }

    /// Whether the picture stands still.
    pub fn is_paused(&self) -> bool {
        self.view().is_some_and(View::is_paused)
    }

    /// What "now" is for ages and `since:`: the time of the newest flow, and on a live source what has passed since it came.
    pub fn now(&self, engine: &Engine) -> Nanos {
        let idle = if self.streams(engine) { self.ms.saturating_sub(self.fed_ms) } else { 0 };
        engine.now().plus(i64::try_from(idle).unwrap_or(0).saturating_mul(1_000_000))
    }

    /// Up to when the sums of a view speak: now, or since when nobody listens, or where a paused picture stands.
    pub fn upto(&self, view: &View, tally: &Tally, engine: &Engine) -> Nanos {
        let newest = tally.series.span().map_or(Nanos::default(), |s| s.1);
        if view.is_paused() || !self.streams(engine) { newest } else { engine.heard().upto(self.now(engine)).max(newest) }
    }

    /// Whether something may be lacking of a time: nobody listened or recorded, or events were lost. That nothing came then says nothing.
    pub fn lacks(&self, begin: Nanos, end: Nanos, engine: &Engine) -> bool {
        engine.heard().misses(begin, end) || engine.lapses().touch(begin, end)
    }

    /// Whether flows come from a server (a demo's too), not from a file.
    pub fn streams(&self, engine: &Engine) -> bool {
        self.options.live || !engine.links().is_empty()
    }

    /// What changes are proposed on.
    pub fn ground(&self, engine: &Engine) -> Ground<'_> {
        Ground { here: &self.options.here, limits: engine.captures().limits() }
    }

    /// A recording that is played at a pace, or stands, and is not over.
    pub fn played(&self) -> Option<&Remote> {
        let paced = |r: &&Remote| !r.ended() && (r.pace().paused || r.pace().speed.is_finite());
        self.options.remote.as_ref().filter(paced)
    }

    /// Whether more may come: no source has ended for good.
    pub fn streams_now(&self) -> bool {
        self.options.live && !self.closed
    }

    /// The causes of the current view, in the order of the pane.
    pub fn causes(&self) -> impl Iterator<Item = &CauseLine> {
        let view = self.view();
        let only = self.drops.only;
        let listed = move |l: &&CauseLine| !l.is_void() && (only == Only::All || l.audit == (only == Only::Audits));
        self.drops.lines.iter().filter(listed).filter(move |l| l.foretold || view.is_none_or(|v| v.has_cause(l.id)))
    }

    /// Whether a cause of what has come belongs to the current view.
    pub fn lists(&self, c: &Cause) -> bool {
        let kind = self.drops.only == Only::All || c.audit == (self.drops.only == Only::Audits);
        kind && c.foreseen.is_none() && self.view().is_none_or(|v| v.has_cause(c.id))
    }

    /// How many causes there are, whatever the filter.
    pub fn known(&self) -> usize {
        self.drops.lines.iter().filter(|l| !l.is_void()).count()
    }

    /// Causes that are not listed though no flow of a filter says so: those of the other kind, and foreseen ones that would stop no flow
    /// of the view.
    pub fn unlisted(&self) -> (usize, usize) {
        let (view, only) = (self.view(), self.drops.only);
        let alive = || self.drops.lines.iter().filter(|l| !l.is_void());
        let other = alive().filter(|l| only != Only::All && l.audit != (only == Only::Audits)).count();
        let outside = alive().filter(|l| l.foreseen && !l.foretold && view.is_some_and(|v| !v.has_cause(l.id))).count();
        (other, outside)
    }

    /// A point in time as the tables show it.
    pub fn clock(&self, at: Nanos, engine: &Engine) -> String {
        if self.relative {
            return match self.now(engine).since(at) {
                ..1_000_000 => "now".to_owned(),
                ago => format!("-{}", super::text::span(ago).replace(' ', "")),
            };
        }
        let local = at.plus(i64::from(self.options.offset) * Nanos::SECOND);
        local.utc().format("%H:%M:%S").to_string()
    }
}
