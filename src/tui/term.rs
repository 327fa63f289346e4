//! The terminal: into raw mode and back, whatever happens. Owns the panic hook and the signals; draws nothing.
use crate::error::{Error, Kind};
use crate::model::text::acts;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, SetTitle, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::thread::ThreadId;

/// Whether the terminal is ours now; the panic hook asks.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// The thread that draws.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What other threads had to say when they panicked.
static LATE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct Guard(());

fn failed(what: &str, e: &io::Error) -> Error {
    Error::new(Kind::Output, what).cause(e.to_string()).hint("is this a terminal? `flowhy observe` needs none")
}

impl Guard {
    pub fn enter(title: &str, mouse: bool) -> Result<Self, Error> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // A task's panic is its own affair: the screen goes on, and the message waits until it can be read.
                if OURS.load(Ordering::SeqCst) && OWNER.lock().is_ok_and(|o| o.is_some_and(|id| id != std::thread::current().id())) {
                    if let Ok(mut late) = LATE.lock() {
                        late.push(info.to_string());
                    }
                    return;
                }
                // First the terminal, else the message is lost on the alternate screen.
                leave();
                before(info);
            }));
        });
        let guard = Self(());
        enter(title, mouse).map_err(|e| failed("cannot set up the terminal", &e))?;
        Ok(guard)
    }

    /// Gives the terminal back, stops the process until somebody says `fg`, and takes the terminal again.
    pub fn suspend(&self, title: &str, mouse: bool) -> Result<(), Error> {
        leave();
        stop();
        enter(title, mouse).map_err(|e| failed("cannot take the terminal back", &e))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

fn enter(title: &str, mouse: bool) -> io::Result<()> {
    if let Ok(mut owner) = OWNER.lock() {
        *owner = Some(std::thread::current().id());
    }
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let title: String = title.chars().filter(|c| !acts(*c)).collect();
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, SetTitle(title), cursor::Hide, Clear(ClearType::All))
}

/// Another title, as far as the terminal has one.
pub fn title(text: &str) {
    let text: String = text.chars().filter(|c| !acts(*c)).take(200).collect();
    let _ = execute!(io::stdout(), SetTitle(text));
}

/// Does nothing the second time. Errors do not matter: there is nobody left to tell.
fn leave() {
    if OURS.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(out, DisableMouseCapture, DisableBracketedPaste, SetTitle(""), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
        for late in LATE.lock().map(|mut l| std::mem::take(&mut *l)).unwrap_or_default() {
            let _ = writeln!(io::stderr(), "{late}");
        }
    }
}

/// SIGSTOP for the whole job, as a shell expects of Ctrl-Z: SIGTSTP itself is caught here.
#[cfg(unix)]
fn stop() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
}

#[cfg(not(unix))]
fn stop() {}

/// What the system asks of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Quit,
    Suspend,
}

/// Signals, as things that can be waited for. On other systems there are none but the keys.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    term: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let on = |kind| signal(kind).map_err(|e| failed("cannot listen for signals", &e));
        Ok(Self {
            term: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            stop: on(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
        })
    }

    pub async fn next(&mut self) -> Ask {
        tokio::select! {
            _ = self.term.recv() => Ask::Quit,
            _ = self.hangup.recv() => Ask::Quit,
            _ = self.interrupt.recv() => Ask::Quit,
            _ = self.stop.recv() => Ask::Suspend,
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals(());

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> Result<Self, Error> {
        Ok(Self(()))
    }

    pub async fn next(&mut self) -> Ask {
        std::future::pending().await
    }
}

/// Columns and rows of the terminal; none where there is none.
pub fn size() -> Option<(u16, u16)> {
    crossterm::terminal::size().ok()
}
