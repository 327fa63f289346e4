//! Model and engine together, driven from outside: keys, inputs, time and pictures. Has no terminal, so that tests can drive it.
use super::key::Key;
use super::model::{Effect, Model, Options, Screen, Tone};
use super::update::mouse::Mouse;
use super::view::View;
use super::{screen, update};
use crate::engine::Engine;
use crate::model::input::{self, At, Change, Input};
use crate::query::Predicate;
use crate::wire::pb::observer::GetFlowsResponse;
use ratatui::Frame;

#[derive(Debug)]
pub struct App {
    pub model: Model,
    pub engine: Engine,
}

impl App {
    pub fn new(engine: Engine, options: Options) -> Self {
        let filter = options.filter.clone();
        let view = View::new(Predicate::all(), &engine);
        let mut app = Self { model: Model::new(options, view), engine };
        update::start(&mut app.model, &app.engine, &filter);
        app
    }

    pub fn key(&mut self, key: Key) {
        update::key(&mut self.model, &self.engine, key);
        self.asked();
    }

    pub fn paste(&mut self, text: &str) {
        update::paste(&mut self.model, &self.engine, text);
    }

    pub fn mouse(&mut self, what: Mouse) {
        update::mouse::mouse(&mut self.model, &self.engine, what);
        self.asked();
    }

    /// Time since start; returns whether the picture changes by it.
    pub fn tick(&mut self, ms: u64) -> bool {
        update::tick(&mut self.model, &self.engine, ms)
    }

    /// Takes in one thing that happened; `keep` gets each record afterwards, with what was read of it.
    pub fn take(&mut self, input: Input, keep: &mut dyn FnMut(&input::Frame, Option<&GetFlowsResponse>)) {
        let frame = matches!(input, Input::Frame(_));
        let reset = matches!(input, Input::Reset);
        // That a recording ends and the next begins later is no news of a server.
        if let Input::World(At { change: Change::Gap(gap), .. }) = &input
            && !gap.server.is_empty()
        {
            self.say(Tone::Error, "flows may be lacking since a break: 8 says which".to_owned());
        }
        self.engine.is_now(self.model.now(&self.engine));
        self.engine.take(input, &mut |_| {}, keep);
        if reset {
            update::tape::reset(&mut self.model, &self.engine);
        }
        update::fed(&mut self.model, u64::from(frame));
    }

    /// What servers are asked for from now on is known to the engine before anything else comes.
    fn asked(&mut self) {
        if let Some(text) = self.model.wish.take() {
            self.take(Change::Asked(text).into(), &mut |_, _| {});
        }
    }

    /// Takes in everything at once and brings all views up to date, as a test wants it.
    pub fn feed(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.take(input, &mut |_, _| {});
        }
        self.scan(&mut || true);
    }

    /// Something to be read on the last line.
    pub fn say(&mut self, tone: Tone, text: String) {
        update::toast(&mut self.model, tone, text);
    }

    /// No source will send anything any more.
    pub fn close(&mut self) {
        (self.model.closed, self.model.gone) = (true, true);
        if self.model.options.live {
            self.engine.is_now(self.model.now(&self.engine));
            self.engine.is_over();
        }
    }

    /// Brings the views up to date while `more` allows. Returns whether something changed.
    pub fn scan(&mut self, more: &mut dyn FnMut() -> bool) -> bool {
        let mut changed = self.engine.looks_ahead() | self.engine.look_through();
        if let Some(found) = self.engine.look_ahead(more) {
            update::edited(&mut self.model, &found);
        }
        let engine = &self.engine;
        // The view on screen first; those below it have time.
        for s in self.model.stack.iter_mut().rev() {
            if let Screen::Flows(v) = s {
                changed |= v.scan(engine, more);
            }
        }
        let sums = self.model.screen().is_some_and(Screen::sums);
        if let Some(v) = self.model.view_mut().filter(|_| sums) {
            changed |= v.count(engine, more);
        }
        changed |= update::board::judge(&mut self.model, engine, more);
        changed |= update::foretell::foretell(&mut self.model, &self.engine, more);
        changed |= update::tape::follow(&mut self.model, &self.engine);
        changed | update::board::admit(&mut self.model, &self.engine, more)
    }

    /// Whether a view waits to be brought up to date.
    pub fn behind(&self) -> bool {
        let (m, engine) = (&self.model, &self.engine);
        let sums = m.screen().is_some_and(Screen::sums);
        engine.looks_ahead()
            || update::foretell::is_behind(m, engine)
            || m.stack.iter().any(|s| matches!(s, Screen::Flows(v) if v.behind(engine)))
            || m.view().is_some_and(|v| sums && v.counts_behind(engine))
            || update::board::judges(m, engine)
            || matches!(m.screen(), Some(Screen::Admitted(x)) if m.view().is_some_and(|v| !v.behind(engine) && x.found.behind(engine, v.last(engine))))
    }

    /// How many of the held flows pass the filter of the first screen.
    pub fn hits(&self) -> usize {
        match self.model.stack.first() {
            Some(Screen::Flows(v)) => v.len(&self.engine),
            _ => 0,
        }
    }

    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        update::settle(&mut self.model, &self.engine, area.width, area.height);
        screen::draw(&self.model, &self.engine, frame);
    }

    /// What the loop has to do.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.model.effects)
    }

    /// Whether the bell has to be rung; once.
    pub fn rings(&mut self) -> bool {
        std::mem::take(&mut self.model.ring)
    }

    /// What the title of the terminal has to say now; once.
    pub fn headline(&mut self) -> Option<String> {
        let usual = format!("flowhy {}", self.model.options.title);
        self.model.headline.take().map(|h| if h.is_empty() { usual } else { h })
    }

    pub fn done(&self) -> bool {
        self.model.done
    }
}
