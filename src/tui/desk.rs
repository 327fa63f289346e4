//! What the screen keeps beyond its end: settings, filters with names, the history of filters, texts that are written to a file. Where the
//! first three lie is the caller's affair.
//!
//! Owns the thread that does it: a disk that hangs holds up nobody's keys. What it has no time for is named when the screen is left.
use super::model::Tone;
use super::tapes::{self, Left};
use crate::error::Error;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Wishes that wait for a disk; further ones are refused.
const MOST: usize = 64;
/// So long a disk is waited for when the screen is left.
const LAST: Duration = Duration::from_secs(2);

/// Keeps things for the next time. Nothing here ends the session: what cannot be kept is said.
pub trait Desk: Send {
    /// Settings with their values, none for what is as it is by itself. Gives back where they are now.
    fn write(&mut self, settings: &[(&'static str, Vec<String>)]) -> Result<String, Error>;
    /// A filter under a name. Gives back where it is now.
    fn keep(&mut self, name: &str, filter: &str) -> Result<String, Error>;
    /// A filter that was used.
    fn remember(&mut self, filter: &str);
}

/// What is to be kept.
#[derive(Debug)]
pub enum Wish {
    Write(Vec<(&'static str, Vec<String>)>),
    Keep(String, String),
    Remember(String),
    /// A text, to a file that is not there yet.
    Export(String, String),
}

impl Wish {
    /// What it is called while it has not come true; nothing where nobody asked for it.
    fn name(&self) -> Option<String> {
        match self {
            Self::Write(_) => Some("columns, theme and time".to_owned()),
            Self::Keep(name, _) => Some(format!("the filter {name}")),
            Self::Remember(_) => None,
            Self::Export(path, _) => Some(path.clone()),
        }
    }

    fn done(&self, desk: &mut dyn Desk) -> Option<(Tone, String)> {
        match self {
            Self::Write(settings) => Some(said("columns, theme and time are", desk.write(settings))),
            Self::Keep(name, filter) => Some(said(&format!("{name} is"), desk.keep(name, filter))),
            Self::Remember(filter) => {
                desk.remember(filter);
                None
            }
            Self::Export(path, text) => Some(tapes::write(path, text)),
        }
    }
}

/// Wishes on their way to the disk.
pub struct Clerk {
    wishes: SyncSender<Wish>,
    answers: Receiver<Option<(Tone, String)>>,
    waiting: VecDeque<Option<String>>,
}

impl Clerk {
    pub fn new(mut desk: Box<dyn Desk>) -> Self {
        let (wishes, asked) = sync_channel::<Wish>(MOST);
        let (answer, answers) = sync_channel(MOST);
        let run =
            move || asked.iter().map(|wish| wish.done(&mut *desk)).take_while(|said| answer.send(said.clone()).is_ok()).for_each(drop);
        // Without a thread nothing is kept, and the first wish says so.
        let _ = std::thread::Builder::new().name("desk".to_owned()).spawn(run);
        Self { wishes, answers, waiting: VecDeque::new() }
    }

    /// Something to be said at once: that it cannot be kept.
    pub fn ask(&mut self, wish: Wish) -> Option<(Tone, String)> {
        let name = wish.name();
        if self.waiting.len() < MOST && self.wishes.try_send(wish).is_ok() {
            self.waiting.push_back(name);
            return None;
        }
        name.map(|name| (Tone::Error, hangs(&name)))
    }

    /// What has become of wishes since: the next thing to be said.
    pub fn said(&mut self) -> Option<(Tone, String)> {
        while let Ok(answer) = self.answers.try_recv() {
            self.waiting.pop_front();
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    /// Whether a disk is waited for.
    pub fn awaits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is on its way gets its time.
    pub fn end(mut self, left: &mut Left) {
        while self.awaits() {
            let Ok(answer) = self.answers.recv_timeout(LAST) else { break };
            self.waiting.pop_front();
            answer.into_iter().filter(|(tone, _)| *tone == Tone::Error).for_each(|said| left.take(said));
        }
        left.torn.extend(self.waiting.iter().flatten().map(|name| hangs(name)));
    }
}

fn hangs(name: &str) -> String {
    format!("{name}: not kept, the disk does not answer")
}

/// What is to be said of something kept.
fn said(what: &str, kept: Result<String, Error>) -> (Tone, String) {
    match kept {
        Ok(place) => (Tone::Info, format!("{what} kept in {place}")),
        Err(e) => (Tone::Error, e.cause.map_or(e.what.clone(), |cause| format!("{}: {cause}", e.what))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A disk that hangs while the lock is held.
    struct Hanging(Arc<Mutex<Vec<String>>>);

    impl Desk for Hanging {
        fn write(&mut self, _: &[(&'static str, Vec<String>)]) -> Result<String, Error> {
            Err(Error::usage("no place"))
        }

        fn keep(&mut self, name: &str, _: &str) -> Result<String, Error> {
            self.0.lock().unwrap().push(name.to_owned());
            Ok("there".to_owned())
        }

        fn remember(&mut self, filter: &str) {
            self.0.lock().unwrap().push(filter.to_owned());
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_up_nobody_and_what_it_did_not_take_is_named_at_the_end() {
        let disk = Arc::new(Mutex::new(Vec::new()));
        let mut clerk = Clerk::new(Box::new(Hanging(disk.clone())));
        let held = disk.lock().unwrap();
        assert_eq!(clerk.ask(Wish::Remember("ns:a".into())), None);
        assert_eq!(clerk.ask(Wish::Keep("mine".into(), "ns:b".into())), None);
        assert!(clerk.said().is_none() && clerk.awaits());
        for n in 2..MOST {
            assert_eq!(clerk.ask(Wish::Remember(n.to_string())), None);
        }
        let refused = clerk.ask(Wish::Export("a.txt".into(), String::new()));
        assert_eq!(refused, Some((Tone::Error, "a.txt: not kept, the disk does not answer".to_owned())));
        drop(held);
        let mut first = None;
        while clerk.awaits() {
            first = first.or(clerk.said());
            std::thread::yield_now();
        }
        assert_eq!(first, Some((Tone::Info, "mine is kept in there".to_owned())));
        let kept = disk.lock().unwrap().clone();
        assert_eq!((kept.len(), &kept[..2]), (MOST, &["ns:a".to_owned(), "mine".to_owned()][..]));

        let held = disk.lock().unwrap();
        clerk.ask(Wish::Remember("ns:c".into()));
        clerk.ask(Wish::Keep("last".into(), "ns:c".into()));
        let mut left = Left::default();
        clerk.end(&mut left);
        drop(held);
        assert_eq!(left.torn, ["the filter last: not kept, the disk does not answer"]);
    }

    #[test]
    fn what_fails_while_the_screen_is_left_is_told() {
        let mut clerk = Clerk::new(Box::new(Hanging(Arc::default())));
        clerk.ask(Wish::Write(Vec::new()));
        clerk.ask(Wish::Remember("ns:a".into()));
        let mut left = Left::default();
        clerk.end(&mut left);
        assert_eq!((left.torn, left.done), (vec!["no place".to_owned()], Vec::new()));
    }
}
