//! The token reader under the generated readers: one pass over the bytes, keys borrowed, depth bounded.
//!
//! Owns the grammar of JSON as Go's protojson takes it: strict JSON, no duplicate fields, `null` = unset. Scalars are in
//! `scalar`, `Any` and `FieldMask` in `any`.
use crate::wire::note::{Bad, Notes};
use std::borrow::Cow;

/// How deep objects and lists may nest. Hubble's own messages stay under ten.
const DEPTH: u32 = 64;

/// A message that can be read from JSON.
pub trait ReadJson: Default + prost::Message {
    fn read_json(&mut self, r: &mut Reader<'_, '_>) -> Result<(), Bad>;
}

/// A place in one line.
pub struct Reader<'a, 'n> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: u32,
    /// Inside an `Any`, `@type` is no unknown key at this depth.
    pub(super) any_at: u32,
    /// How many `Any`s we are in.
    pub(super) anys: u32,
    pub(super) notes: &'n mut Notes,
}

impl<'a, 'n> Reader<'a, 'n> {
    /// Fails if `line` is not UTF-8.
    pub fn new(line: &'a [u8], notes: &'n mut Notes) -> Result<Self, Bad> {
        let text = std::str::from_utf8(line).map_err(|e| {
            let good = line.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
            Bad { column: good.chars().count() + 1, reason: "invalid UTF-8".into() }
        })?;
        Ok(Self { text, at: 0, depth: 0, any_at: 0, anys: 0, notes })
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The first byte of the next token.
    pub(super) fn token(&mut self) -> Option<u8> {
        self.blanks();
        self.peek()
    }

    pub(super) fn bad_at(&self, at: usize, reason: impl Into<String>) -> Bad {
        Bad { column: self.text.get(..at).unwrap_or(self.text).chars().count() + 1, reason: reason.into() }
    }

    pub(super) fn bad(&self, reason: impl Into<String>) -> Bad {
        self.bad_at(self.at, reason)
    }

    /// What stands here is not what was wanted.
    pub(super) fn not(&self, wanted: &str) -> Bad {
        match self.text.get(self.at..).and_then(|t| t.chars().next()) {
            None => self.bad(format!("the line ends where {wanted} was expected")),
            Some(c) => self.bad(format!("expected {wanted}, found {c:?}")),
        }
    }

    fn deeper(&mut self) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > DEPTH { Err(self.bad(format!("nested more than {DEPTH} deep"))) } else { Ok(()) }
    }

    /// `{`; the answer goes to [`Self::key`].
    pub fn object(&mut self) -> Result<bool, Bad> {
        if self.token() != Some(b'{') {
            return Err(self.not("an object"));
        }
        self.deeper()?;
        self.at += 1;
        Ok(true)
    }

    /// The next key with its colon, `None` at the object's end.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Bad> {
        match self.token() {
            Some(b'}') => {
                self.at += 1;
                self.depth -= 1;
                return Ok(None);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.blanks();
            }
            _ if !*first => return Err(self.not("`,` or `}`")),
            _ => {}
        }
        *first = false;
        if self.peek() != Some(b'"') {
            return Err(self.not("a key"));
        }
        let key = self.str()?;
        if self.token() != Some(b':') {
            return Err(self.not("`:`"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// `[`; the answer goes to [`Self::item`].
    pub fn list(&mut self) -> Result<bool, Bad> {
        if self.token() != Some(b'[') {
            return Err(self.not("a list"));
        }
        self.deeper()?;
        self.at += 1;
        Ok(true)
    }

    /// Whether another element follows.
    pub fn item(&mut self, first: &mut bool) -> Result<bool, Bad> {
        match self.token() {
            Some(b']') => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if !*first => self.at += 1,
            _ if !*first => return Err(self.not("`,` or `]`")),
            _ => {}
        }
        *first = false;
        Ok(true)
    }

    /// Whether field `n`, just named by `key`, is to be read: not if its value is `null`. An error if it was there before.
    pub fn fresh(&mut self, seen: &mut u64, n: u32, key: &str) -> Result<bool, Bad> {
        let bit = 1u64 << n;
        if *seen & bit != 0 {
            return Err(self.bad(format!("the field {key:?} is there twice")));
        }
        *seen |= bit;
        Ok(!self.null()?)
    }

    /// Takes a `null`, if there is one.
    pub(super) fn null(&mut self) -> Result<bool, Bad> {
        if self.token() != Some(b'n') {
            return Ok(false);
        }
        self.word("null")?;
        Ok(true)
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), Bad> {
        let after = self.at + word.len();
        let ends = !self.text.as_bytes().get(after).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if ends && self.text.get(self.at..).is_some_and(|t| t.starts_with(word)) {
            self.at = after;
            return Ok(());
        }
        Err(self.not("a value"))
    }

    pub(super) fn second_of(&self, key: &str) -> Bad {
        self.bad(format!("{key:?} is there beside another field that excludes it"))
    }

    /// A key that the message does not have: noted and passed over.
    pub fn unknown(&mut self, key: &str) -> Result<(), Bad> {
        if !(key == "@type" && self.any_at == self.depth) {
            self.notes.field(key);
        }
        self.skip()
    }

    pub fn message<T: ReadJson>(&mut self) -> Result<T, Bad> {
        let mut m = T::default();
        m.read_json(self)?;
        Ok(m)
    }

    /// An enum's number; `None` where its name is unknown, which is noted. Unknown numbers are kept.
    pub fn enumeration(&mut self, field: &str, number: impl Fn(&str) -> Option<i32>) -> Result<Option<i32>, Bad> {
        if self.token() != Some(b'"') {
            return self.int32().map(Some);
        }
        let name = self.str()?;
        let n = number(&name);
        if n.is_none() {
            self.notes.enumeration(field, &name);
        }
        Ok(n)
    }

    /// Any value, checked and passed over.
    pub(super) fn skip(&mut self) -> Result<(), Bad> {
        match self.token() {
            Some(b'{') => {
                let mut first = self.object()?;
                while self.key(&mut first)?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'[') => {
                let mut first = self.list()?;
                while self.item(&mut first)? {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'"') => self.str().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ => Err(self.not("a value")),
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<(), Bad> {
        match self.token() {
            None => Ok(()),
            Some(_) => Err(self.not("the end of the line")),
        }
    }
}
