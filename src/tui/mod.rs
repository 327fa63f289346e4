//! The screen: keys in, pictures out. Owns the loop and, alone in this room, time and async; everything below is synchronous.
//!
//! ```text
//!   keys ─► action ─► update ─► model ─┐
//!   inputs ─► engine ──────────────────┴─► screen (a pure function) ─► cells
//! ```
pub mod action;
mod app;
mod board;
mod causes;
pub mod column;
mod desk;
mod glyph;
mod ground;
pub mod key;
mod model;
mod prompt;
mod screen;
mod tapes;
mod term;
mod text;
mod theme;
mod update;
mod view;
mod widget;

pub use term::size;

pub use action::Keymap;
pub use app::App;
pub use desk::Desk;
pub use model::{Effect, Options, Tone};
pub use tapes::{Begin, Left, Start, Tapes};
pub use theme::{Depth, THEMES, Theme};
pub use update::mouse::Mouse;

use crate::engine::Engine;
use crate::error::Error;
use crate::model::input::Input;
use crate::query::Predicate;
use crate::source::capture::Capture;
use crate::source::feed::Inbox;
use crate::source::replay::Remote;
use crossterm::event::{Event, EventStream, MouseButton, MouseEventKind};
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use desk::{Clerk, Wish};
use futures::StreamExt;
use key::Key;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use std::collections::VecDeque;
use std::io::{self, Stdout};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// Pictures a second at most; a key is answered at once.
const FRAME: Duration = Duration::from_millis(33);
/// How long the loop works on data before it looks at the keys again.
const SLICE: Duration = Duration::from_millis(4);
/// Ages and rates move without data too.
const TICK: Duration = Duration::from_secs(1);
/// How often a disk is looked at that something waits for.
const NAP: Duration = Duration::from_millis(10);
/// So long a file that is being saved is waited for when the screen is left: without a step, and in all. The first is also the time of
/// whatever else is to be kept.
const STILL: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(30);
/// Set by the tests: panic after the first picture. Not in a user's build.
const TEST_PANIC: &str = "FLOWHY_TEST_PANIC";

type Screen = Terminal<CrosstermBackend<Stdout>>;

/// Runs the screen until somebody leaves it, and says what became of the files that were being written.
pub async fn run(engine: Engine, mut inbox: Inbox, options: Options, mut tapes: Tapes, desk: Box<dyn Desk>) -> Result<Left, Error> {
    let mut signals = term::Signals::new()?;
    let title = format!("flowhy {}", options.title);
    let mouse = options.mouse;
    let guard = term::Guard::enter(&title, mouse)?;
    // Never dropped: it would tell of a cursor that it cannot show on a stderr that is as gone as the terminal. The guard shows it.
    let mut terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(io::stdout())).map_err(|e| drawing(&e))?);
    let mut keys = EventStream::new();
    let (remote, capture) = (options.remote.clone(), options.capture.clone());
    let mut app = App::new(engine, options);
    app.model.kept = tapes.keeps();
    let mut clerk = Clerk::new(desk);
    let mut queue: VecDeque<Input> = VecDeque::new();
    let mut closed = false;
    let start = Instant::now();
    draw(&mut terminal, &mut app)?;
    let mut drawn = Instant::now();
    let mut dirty = false;
    // Why nothing can be drawn any more. The recordings are finished all the same.
    let mut broken = None;
    if cfg!(debug_assertions) && std::env::var_os(TEST_PANIC).is_some() {
        on_purpose();
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !app.done() {
        let due = tokio::time::Instant::from_std(drawn + FRAME);
        let mut asked = None;
        // The order is the order of importance: the hand, the picture, the data.
        tokio::select! {
            biased;
            key = keys.next() => {
                time(&mut app, start);
                match key {
                    Some(Ok(Event::Key(k))) => {
                        let Some(k) = Key::from_event(&k) else { continue };
                        app.key(k);
                    }
                    Some(Ok(Event::Paste(text))) => app.paste(&text),
                    Some(Ok(Event::Mouse(e))) => match e.kind {
                        MouseEventKind::ScrollUp => app.mouse(Mouse::Up),
                        MouseEventKind::ScrollDown => app.mouse(Mouse::Down),
                        MouseEventKind::Down(MouseButton::Left) => app.mouse(Mouse::Click { x: e.column, y: e.row }),
                        _ => continue,
                    },
                    Some(Ok(Event::Resize(..))) => {}
                    Some(Ok(_)) => continue,
                    // The terminal is gone.
                    Some(Err(_)) | None => break,
                }
                // What a key changes is looked up before the picture, as far as that is quick.
                let until = Instant::now() + SLICE;
                app.scan(&mut || Instant::now() < until);
                let hands = Hands { tapes: &mut tapes, clerk: &mut clerk, remote: &remote, capture: &capture, terminal: &mut terminal };
                (asked, broken) = obey(&mut app, hands);
                if asked.is_none() && !app.done() {
                    broken = broken.or(draw(&mut terminal, &mut app).err());
                    (drawn, dirty) = (Instant::now(), false);
                }
            }
            ask = signals.next() => asked = Some(ask),
            () = tokio::time::sleep_until(due), if dirty => {
                time(&mut app, start);
                broken = draw(&mut terminal, &mut app).err();
                (drawn, dirty) = (Instant::now(), false);
            }
            batch = inbox.recv(), if !closed && queue.is_empty() => {
                match batch {
                    Some(batch) => queue.extend(batch),
                    None => {
                        closed = true;
                        app.close();
                        dirty = true;
                    }
                }
            }
            _ = tick.tick() => {
                time(&mut app, start);
                if let Some((tone, text)) = tapes.flush() {
                    app.say(tone, text);
                }
                (app.model.tape, app.model.kept, app.model.missed) = (tapes.state(), tapes.keeps(), tapes.missed());
                dirty = true;
            }
            () = tokio::time::sleep(NAP), if tapes.awaits() || clerk.awaits() => {}
            () = std::future::ready(()), if !queue.is_empty() || app.behind() || tapes.is_saving() => {}
        }
        if broken.is_some() {
            break;
        }
        dirty |= work(&mut app, &mut queue, &mut tapes, start);
        // What a replay is played on for asks for more of it.
        let hands = Hands { tapes: &mut tapes, clerk: &mut clerk, remote: &remote, capture: &capture, terminal: &mut terminal };
        let (late, failed) = obey(&mut app, hands);
        (asked, broken) = (asked.or(late), broken.or(failed));
        match asked {
            Some(term::Ask::Quit) => break,
            Some(term::Ask::Suspend) => {
                // The reader of keys must not hold the terminal while the shell has it.
                drop(keys);
                let mut again = || anew(&mut terminal).and_then(|()| draw(&mut terminal, &mut app));
                broken = broken.or_else(|| guard.suspend(&title, mouse).and_then(|()| again()).err());
                keys = EventStream::new();
            }
            None => {}
        }
        if broken.is_some() {
            break;
        }
        while let Some((tone, text)) = clerk.said() {
            app.say(tone, text);
            dirty = true;
        }
        if let Some(cause) = tapes.without() {
            app.model.ringless = Some(cause);
            dirty = true;
        }
        // The ring begins with a flow: from then on leaving loses nothing.
        (app.model.kept, app.model.saving) = (tapes.keeps(), tapes.saves());
    }
    drop(guard);
    let mut left = end(tapes, &app.engine);
    let begin = Instant::now();
    clerk.end(&mut left, &mut || STILL.saturating_sub(begin.elapsed()));
    left.broken = broken;
    Ok(left)
}

/// What effects are carried out with.
struct Hands<'a> {
    tapes: &'a mut Tapes,
    clerk: &'a mut Clerk,
    remote: &'a Option<Remote>,
    capture: &'a Option<Capture>,
    terminal: &'a mut Screen,
}

/// Carries out what the model asks for; gives back what only the loop can do, and why nothing can be drawn any more.
fn obey(app: &mut App, hands: Hands<'_>) -> (Option<term::Ask>, Option<Error>) {
    let Hands { tapes, clerk, remote, capture, terminal } = hands;
    let (mut asked, mut broken) = (None, None);
    for effect in app.effects() {
        match effect {
            Effect::Save(path) => {
                let filter = app.model.view().map_or_else(Predicate::all, |v| v.filter().clone());
                let (tone, text) = tapes.save(&path, filter, &app.engine);
                app.say(tone, text);
            }
            Effect::Record(path) => {
                let (tone, text) = tapes.toggle(path.as_deref());
                app.say(tone, text);
                app.model.tape = tapes.state();
            }
            Effect::Export(path, text) => keep(app, clerk, Wish::Export(path, text)),
            Effect::Write(settings) => keep(app, clerk, Wish::Write(settings)),
            Effect::Keep(name, filter) => keep(app, clerk, Wish::Keep(name, filter)),
            Effect::Remember(filter) => keep(app, clerk, Wish::Remember(filter)),
            Effect::Seek(to) => remote.iter().for_each(|r| r.seek(to)),
            Effect::Step(lines) => remote.iter().for_each(|r| r.step(lines)),
            Effect::Speed(speed) => remote.iter().for_each(|r| r.speed(speed)),
            Effect::Hold(held) => remote.iter().for_each(|r| r.pause(held)),
            Effect::Copy(text) => copy(&text),
            Effect::Capture(any, text) => {
                capture.iter().for_each(|c| c.ask(any.clone()));
                tapes.asked(&text, app.engine.now());
            }
            Effect::Redraw => broken = anew(terminal).err(),
            Effect::Suspend => asked = Some(term::Ask::Suspend),
        }
    }
    (asked, broken)
}

fn keep(app: &mut App, clerk: &mut Clerk, wish: Wish) {
    if let Some((tone, text)) = clerk.ask(wish) {
        app.say(tone, text);
    }
}

/// What is being saved is finished, as long as the disk goes along.
fn end(mut tapes: Tapes, engine: &Engine) -> Left {
    let (mut left, begin) = (Left::default(), Instant::now());
    let (mut seen, mut moved) = (tapes.saved(), begin);
    while tapes.saved().is_some() {
        let now = Instant::now();
        if tapes.saved() != seen {
            (seen, moved) = (tapes.saved(), now);
        }
        if now - moved > STILL || now - begin > LAST {
            break;
        }
        if let Some(said) = tapes.advance(engine, &mut || now.elapsed() < STILL / 2) {
            left.take(said);
        }
        if tapes.awaits() {
            std::thread::sleep(NAP);
        }
    }
    tapes.end(&mut left);
    left
}

/// Data, for a slice of time. Returns whether the picture may have changed.
fn work(app: &mut App, queue: &mut VecDeque<Input>, tapes: &mut Tapes, start: Instant) -> bool {
    let until = Instant::now() + SLICE;
    let mut changed = false;
    if !queue.is_empty() {
        time(app, start);
    }
    while let Some(input) = queue.pop_front() {
        tapes.see(&input);
        app.take(input, &mut |frame, read| tapes.keep(frame, read));
        changed = true;
        if Instant::now() >= until {
            return true;
        }
    }
    if let Some((tone, text)) = tapes.advance(&app.engine, &mut || Instant::now() < until) {
        app.say(tone, text);
        app.model.tape = tapes.state();
        changed = true;
    }
    app.scan(&mut || Instant::now() < until) || changed
}

fn time(app: &mut App, start: Instant) {
    app.tick(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
}

fn draw(terminal: &mut Screen, app: &mut App) -> Result<(), Error> {
    let mut paint = || {
        crossterm::queue!(io::stdout(), BeginSynchronizedUpdate)?;
        terminal.draw(|f| app.draw(f))?;
        crossterm::execute!(io::stdout(), EndSynchronizedUpdate)
    };
    paint().map_err(|e| drawing(&e))?;
    if app.rings() {
        bell();
    }
    if let Some(title) = app.headline() {
        term::title(&title);
    }
    Ok(())
}

/// The next picture is drawn in full. `Terminal::clear` would ask the terminal for its cursor, and not every one answers.
fn anew(terminal: &mut Screen) -> Result<(), Error> {
    let size = terminal.size().map_err(|e| drawing(&e))?;
    terminal.resize(Rect::from((Position::ORIGIN, size))).map_err(|e| drawing(&e))
}

fn drawing(e: &io::Error) -> Error {
    Error::output("cannot draw on the terminal", e)
}

/// What the terminal makes of it, a sound or a flash, is its user's choice.
fn bell() {
    let _ = crossterm::execute!(io::stdout(), crossterm::style::Print('\u{7}'));
}

/// OSC 52 works over ssh too; whether the terminal obeys cannot be known.
fn copy(text: &str) {
    let _ = crossterm::execute!(io::stdout(), crossterm::clipboard::CopyToClipboard::to_clipboard_from(text));
}

#[expect(clippy::panic, reason = "how the tests see that a panic gives the terminal back")]
fn on_purpose() {
    panic!("{TEST_PANIC} is set");
}
