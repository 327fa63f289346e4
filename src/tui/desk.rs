//! What the screen keeps beyond its end: settings, filters with names, the history of filters, texts that are written to a file. Where the
//! first three lie is the caller's affair.
//!
//! Owns the thread that does it: a disk that hangs holds up nobody's keys. What it has no time for is named when the screen is left.
use super::model::Tone;
use super::tapes::{self, Left};
use crate::error::Error;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

/// Wishes that wait for a disk; further ones are refused.
const MOST: usize = 64;

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
        if self.waiting.len() >= MOST {
            return name.map(|name| (Tone::Error, hangs(&name)));
        }
        match self.wishes.try_send(wish) {
            Ok(()) => {
                self.waiting.push_back(name);
                None
            }
            Err(TrySendError::Full(_)) => name.map(|name| (Tone::Error, hangs(&name))),
            Err(TrySendError::Disconnected(_)) => name.map(|name| (Tone::Error, gone(&name))),
        }
    }

    /// What has become of wishes since: the next thing to be said.
    pub fn said(&mut self) -> Option<(Tone, String)> {
        loop {
            match self.answers.try_recv() {
                Ok(answer) => {
                    self.waiting.pop_front();
                    if answer.is_some() {
                        return answer;
                    }
                }
                Err(TryRecvError::Empty) => return None,
                // Nobody is left to answer: what waits is told of once, and waited for no more.
                Err(TryRecvError::Disconnected) => {
                    let lost: Vec<String> = self.waiting.drain(..).flatten().collect();
                    return (!lost.is_empty()).then(|| (Tone::Error, gone(&lost.join(", "))));
                }
            }
        }
    }

    /// Whether a disk is waited for.
    pub fn awaits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is on its way gets its time: all of it together what `rest` says that there is yet.
    pub fn end(mut self, left: &mut Left, rest: &mut dyn FnMut() -> Duration) {
        let mut words: fn(&str) -> String = hangs;
        while self.awaits() {
            match self.answers.recv_timeout(rest()) {
                Ok(answer) => {
                    self.waiting.pop_front();
                    answer.into_iter().filter(|(tone, _)| *tone == Tone::Error).for_each(|said| left.take(said));
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    words = gone;
                    break;
                }
            }
        }
        left.torn.extend(self.waiting.iter().flatten().map(|name| words(name)));
    }
}

fn hangs(name: &str) -> String {
    format!("{name}: not kept, the disk does not answer")
}

fn gone(name: &str) -> String {
    format!("{name}: not kept, the thread that writes to the disk has ended")
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

    const LONG: Duration = Duration::from_secs(60);

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
        clerk.end(&mut left, &mut || Duration::from_millis(10));
        drop(held);
        assert_eq!(left.torn, ["the filter last: not kept, the disk does not answer"]);
    }

    #[test]
    fn what_fails_while_the_screen_is_left_is_told() {
        let mut clerk = Clerk::new(Box::new(Hanging(Arc::default())));
        clerk.ask(Wish::Write(Vec::new()));
        clerk.ask(Wish::Remember("ns:a".into()));
        let mut left = Left::default();
        clerk.end(&mut left, &mut || LONG);
        assert_eq!((left.torn, left.done), (vec!["no place".to_owned()], Vec::new()));
    }

    #[test]
    fn all_answers_together_get_one_time() {
        let disk = Arc::new(Mutex::new(Vec::new()));
        let mut clerk = Clerk::new(Box::new(Hanging(disk.clone())));
        let held = disk.lock().unwrap();
        // The first is answered without the disk; with it all time is gone.
        clerk.ask(Wish::Write(Vec::new()));
        clerk.ask(Wish::Keep("mine".into(), "ns:b".into()));
        clerk.ask(Wish::Keep("other".into(), "ns:b".into()));
        let (mut left, mut rest) = (Left::default(), vec![Duration::ZERO, LONG]);
        clerk.end(&mut left, &mut || rest.pop().unwrap());
        drop(held);
        assert_eq!(left.torn, ["no place".to_owned(), hangs("the filter mine"), hangs("the filter other")]);
    }

    /// One whose thread ends with the first filter that was used.
    struct Ending;

    impl Desk for Ending {
        fn write(&mut self, _: &[(&'static str, Vec<String>)]) -> Result<String, Error> {
            Ok("there".to_owned())
        }

        fn keep(&mut self, _: &str, _: &str) -> Result<String, Error> {
            Ok("there".to_owned())
        }

        fn remember(&mut self, _: &str) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_told_in_its_own_words_and_waited_for_no_more() {
        let ended = || {
            let mut clerk = Clerk::new(Box::new(Ending));
            // Both are on their way, or the second is refused at once: it is the other thread's affair when it ends.
            clerk.ask(Wish::Remember("ns:a".into()));
            let refused = clerk.ask(Wish::Keep("mine".into(), "ns:b".into()));
            (clerk, refused)
        };
        let (mut clerk, refused) = ended();
        let mut said = refused;
        while clerk.awaits() {
            said = said.or(clerk.said());
            std::thread::yield_now();
        }
        let words = "the filter mine: not kept, the thread that writes to the disk has ended".to_owned();
        assert_eq!((said, clerk.said()), (Some((Tone::Error, words.clone())), None));
        assert_eq!(clerk.ask(Wish::Keep("mine".into(), "ns:b".into())), Some((Tone::Error, words.clone())));
        let (clerk, refused) = ended();
        let mut left = Left::default();
        clerk.end(&mut left, &mut || LONG);
        left.torn.extend(refused.map(|(_, text)| text));
        assert_eq!(left.torn, [words]);
    }
}
