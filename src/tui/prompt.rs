//! The line editor of the filter bar: text, cursor, history, completion. Owns no meaning of the text; `update` asks `query`.
use super::key::Key;
use super::text;
use super::view::View;
use crate::query::QueryError;
use crossterm::event::KeyCode;

/// Longest filter that can be typed or pasted.
const LONGEST: usize = 4096;

#[derive(Debug)]
pub struct Prompt {
    pub text: String,
    /// Byte offset, at a character boundary.
    pub cursor: usize,
    /// The view as it was, for Esc.
    pub old: Box<View>,
    /// Why the text is not a filter; the table then shows the last valid one.
    pub error: Option<QueryError>,
    /// Place in the history; `None` = the text being written.
    recall: Option<usize>,
    /// What was being written before the history was opened.
    draft: String,
    /// Offers for the word under the cursor, and which one Tab took last.
    pub offers: Option<Offers>,
}

/// What could stand in place of the word under the cursor.
#[derive(Debug)]
pub struct Offers {
    /// Where that word begins, in bytes.
    pub start: usize,
    pub items: Vec<Offer>,
    /// Which one stands there now.
    pub at: Option<usize>,
}

#[derive(Debug)]
pub struct Offer {
    pub text: String,
    /// Flows with that value, among the newest.
    pub count: Option<u64>,
}

/// What a key did to the prompt.
#[derive(Debug, PartialEq, Eq)]
pub enum Did {
    Nothing,
    Moved,
    Changed,
    Keep,
    Restore,
    /// Tab, forwards or backwards.
    Complete(bool),
}

impl Prompt {
    pub fn new(text: &str, old: View) -> Self {
        Self {
            text: text.to_owned(),
            cursor: text.len(),
            old: Box::new(old),
            error: None,
            recall: None,
            draft: String::new(),
            offers: None,
        }
    }

    pub fn key(&mut self, key: Key, history: &[String]) -> Did {
        let did = self.edit(key, history);
        if !matches!(did, Did::Complete(_) | Did::Nothing) {
            self.offers = None;
        }
        did
    }

    fn edit(&mut self, key: Key, history: &[String]) -> Did {
        if let Some(c) = key.typed() {
            self.insert(c.encode_utf8(&mut [0; 4]));
            return Did::Changed;
        }
        match (key.code, key.ctrl) {
            (KeyCode::Enter, _) => Did::Keep,
            (KeyCode::Esc, _) => Did::Restore,
            (KeyCode::Tab, _) => Did::Complete(true),
            (KeyCode::BackTab, _) => Did::Complete(false),
            (KeyCode::Char('u'), true) => self.replace(String::new()),
            (KeyCode::Char('w'), true) => {
                let head = self.text.get(..self.cursor).unwrap_or("").trim_end();
                let from = head.rfind(' ').map_or(0, |i| i + 1);
                self.cut(from, self.cursor)
            }
            (KeyCode::Char('k'), true) => self.cut(self.cursor, self.text.len()),
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.go(0),
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.go(self.text.len()),
            (KeyCode::Left, _) | (KeyCode::Char('b'), true) => self.go(self.before()),
            (KeyCode::Right, _) | (KeyCode::Char('f'), true) if self.ghost(history).is_some() => {
                let rest = self.ghost(history).unwrap_or("").to_owned();
                self.insert(&rest);
                Did::Changed
            }
            (KeyCode::Right, _) | (KeyCode::Char('f'), true) => self.go(self.after()),
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => self.cut(self.before(), self.cursor),
            (KeyCode::Delete, _) | (KeyCode::Char('d'), true) => self.cut(self.cursor, self.after()),
            (KeyCode::Up, _) | (KeyCode::Char('p'), true) => self.older(history),
            (KeyCode::Down, _) | (KeyCode::Char('n'), true) => self.newer(history),
            _ => Did::Nothing,
        }
    }

    /// How the newest filter goes on that began like this; it is shown behind the cursor, and the right arrow takes it.
    pub fn ghost<'a>(&self, history: &'a [String]) -> Option<&'a str> {
        if self.text.is_empty() || self.cursor < self.text.len() || self.recall.is_some() {
            return None;
        }
        history.iter().rev().find_map(|h| h.strip_prefix(self.text.as_str())).filter(|rest| !rest.is_empty())
    }

    /// Adds text at the cursor, as far as there is room; line breaks become blanks.
    pub fn insert(&mut self, s: &str) {
        for c in s.chars().map(|c| if c == '\n' || c == '\r' || c == '\t' { ' ' } else { c }) {
            if c.is_control() || self.text.len() + c.len_utf8() > LONGEST {
                continue;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
        self.recall = None;
    }

    /// Puts `new` in place of a part of the text; the cursor goes behind it.
    pub fn splice(&mut self, from: usize, to: usize, new: &str) {
        if self.text.is_char_boundary(from) && self.text.is_char_boundary(to) && from <= to && to <= self.text.len() {
            self.text.replace_range(from..to, new);
            self.cursor = from + new.len();
        }
    }

    fn before(&self) -> usize {
        self.text.get(..self.cursor).and_then(|s| s.char_indices().next_back()).map_or(0, |(i, _)| i)
    }

    fn after(&self) -> usize {
        self.text.get(self.cursor..).and_then(|s| s.chars().next()).map_or(self.text.len(), |c| self.cursor + c.len_utf8())
    }

    fn go(&mut self, to: usize) -> Did {
        self.cursor = to;
        Did::Moved
    }

    fn cut(&mut self, from: usize, to: usize) -> Did {
        if from >= to {
            return Did::Nothing;
        }
        self.splice(from, to, "");
        Did::Changed
    }

    fn replace(&mut self, text: String) -> Did {
        self.cursor = text.len();
        self.text = text;
        Did::Changed
    }

    fn older(&mut self, history: &[String]) -> Did {
        let Some(to) = self.recall.unwrap_or(history.len()).checked_sub(1) else { return Did::Nothing };
        if self.recall.is_none() {
            self.draft = self.text.clone();
        }
        self.recall = Some(to);
        self.replace(history.get(to).cloned().unwrap_or_default())
    }

    fn newer(&mut self, history: &[String]) -> Did {
        let Some(at) = self.recall else { return Did::Nothing };
        let next = history.get(at + 1).cloned();
        self.recall = next.is_some().then_some(at + 1);
        let text = next.unwrap_or_else(|| std::mem::take(&mut self.draft));
        self.replace(text)
    }

    /// Columns before a byte offset.
    pub fn column(&self, at: usize) -> usize {
        self.text.get(..at.min(self.text.len())).map_or(0, |s| text::width(&text::clean(s)))
    }
}
