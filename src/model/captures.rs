//! What servers are asked for, or a recording holds, and what it was before: what was never asked for proves nothing, and that is told
//! wherever something is concluded from what is held. Asks nobody itself.
use std::collections::VecDeque;

/// That what is concluded is concluded from less than there was.
pub fn only(limits: &str) -> String {
    format!("the recording was made with {limits}: what else there was is not in it, and proves nothing")
}

/// What the servers are asked for, and what they were asked for before.
#[derive(Debug, Default)]
pub struct Captures {
    now: String,
    /// Each once, the latest last.
    before: VecDeque<String>,
}

impl Captures {
    /// Earlier ones that are remembered; of further ones it is only known that there were some.
    const MOST: usize = 3;

    /// Empty: every flow.
    pub fn now(&self) -> &str {
        &self.now
    }

    pub fn ask(&mut self, text: &str) {
        let old = std::mem::replace(&mut self.now, text.to_owned());
        if old.is_empty() || old == text {
            return;
        }
        self.before.retain(|b| *b != old);
        if self.before.len() == Self::MOST {
            // The word for all that are forgotten keeps its place.
            self.before.pop_front();
            if let Some(first) = self.before.front_mut() {
                *first = "other filters".to_owned();
            }
        }
        self.before.push_back(old);
    }

    /// What the flows held were limited to, in words; empty: nothing.
    pub fn limits(&self) -> String {
        let before: Vec<&str> = self.before.iter().map(String::as_str).filter(|b| *b != self.now).collect();
        match (self.now.is_empty(), before.is_empty()) {
            (_, true) => self.now.clone(),
            (true, false) => format!("{} for a while", before.join(", then ")),
            (false, false) => format!("{}, before that with {} for a while", self.now, before.join(", then ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Captures;

    #[test]
    fn what_was_asked_for_is_remembered_and_the_oldest_in_one_word() {
        let mut c = Captures::default();
        assert_eq!((c.now(), c.limits().as_str()), ("", ""));
        c.ask("ns:a");
        assert_eq!((c.now(), c.limits().as_str()), ("ns:a", "ns:a"));
        c.ask("");
        assert_eq!((c.now(), c.limits().as_str()), ("", "ns:a for a while"));
        c.ask("ns:b");
        assert_eq!(c.limits(), "ns:b, before that with ns:a for a while");
        // Again, and nothing twice.
        c.ask("ns:a");
        assert_eq!(c.limits(), "ns:a, before that with ns:b for a while");
        for text in ["ns:c", "ns:d", "ns:e", "ns:f", ""] {
            c.ask(text);
        }
        assert_eq!(c.limits(), "other filters, then ns:e, then ns:f for a while");
    }
}
