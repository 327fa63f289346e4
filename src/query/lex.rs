//! Text → tokens with their places. Knows what ends a word and what a quote is; not which fields exist.
use super::ast::{At, Op, Text, ends_bare, is_address};
use super::{QueryError, Span};

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// Bare or quoted text that is no field.
    Word(Text),
    /// `name op value,…`; the name as written.
    Atom {
        name: Text,
        op: Op,
        values: Vec<Text>,
    },
    End,
}

/// Reads one token after another.
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn text(&self, s: impl Into<String>, start: usize) -> Text {
        Text { text: s.into(), at: At(Span { start, end: self.at }) }
    }

    /// The next token and where it begins.
    pub fn token(&mut self) -> Result<(Token, usize), QueryError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let (rest, start) = (self.rest(), self.at);
        let Some(first) = rest.chars().next() else { return Ok((Token::End, start)) };
        let one = |t: Token, n: usize| (t, n);
        let (token, len) = match first {
            '(' => one(Token::Open, 1),
            ')' => one(Token::Close, 1),
            '!' => one(Token::Not, 1),
            '"' => {
                let s = self.quoted()?;
                return Ok((Token::Word(self.text(s, start)), start));
            }
            ',' => return Err(QueryError::new(Span { start, end: start + 1 }, "a comma stands only between the values of a field")),
            _ => return self.bare(),
        };
        self.at += len;
        Ok((token, start))
    }

    /// A word, a keyword, or a field with its values.
    fn bare(&mut self) -> Result<(Token, usize), QueryError> {
        let (rest, start) = (self.rest(), self.at);
        let word = &rest[..rest.find(ends_bare).unwrap_or(rest.len())];
        let name_len = word.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(word.len());
        let op = Op::ALL.into_iter().find(|o| word[name_len..].starts_with(o.sign()));
        if let Some(op) = op.filter(|_| name_len > 0 && word.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_address(word)) {
            self.at += name_len;
            let name = self.text(&word[..name_len], start);
            self.at += op.sign().len();
            return Ok((Token::Atom { name, op, values: self.values(start)? }, start));
        }
        self.at += word.len();
        let span = Span { start, end: self.at };
        let keyword = match word.to_ascii_lowercase().as_str() {
            "and" | "&&" => Some(Token::And),
            "or" | "||" => Some(Token::Or),
            "not" => Some(Token::Not),
            _ => None,
        };
        if let Some(k) = keyword {
            return Ok((k, start));
        }
        if let Some(op) = Op::ALL.into_iter().find(|o| word.starts_with(o.sign()) && !is_address(word)) {
            return Err(QueryError::new(span, format!("a field is missing before {:?}", op.sign())));
        }
        if word.contains('=') {
            return Err(QueryError::new(span, format!("{word:?} is no name; a label is asked for with label:"))
                .suggest(Some(format!("label:{word}"))));
        }
        Ok((Token::Word(self.text(word, start)), start))
    }

    fn values(&mut self, atom: usize) -> Result<Vec<Text>, QueryError> {
        let mut values = Vec::new();
        loop {
            let (rest, start) = (self.rest(), self.at);
            let value = if rest.starts_with('"') {
                self.quoted()?
            } else {
                let len = rest.find(ends_bare).unwrap_or(rest.len());
                self.at += len;
                if len == 0 {
                    let what = if values.is_empty() { "a value is missing" } else { "a value is missing after the comma" };
                    return Err(QueryError::new(Span { start: atom, end: start }, what));
                }
                rest[..len].to_owned()
            };
            values.push(self.text(value, start));
            if !self.rest().starts_with(',') {
                return Ok(values);
            }
            self.at += 1;
        }
    }

    /// Quoted text: `\"` and `\\` are escapes, any other backslash is itself, so that patterns need not be doubled.
    fn quoted(&mut self) -> Result<String, QueryError> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => out.push(chars.next_if(|(_, n)| matches!(n, '"' | '\\')).map_or('\\', |(_, n)| n)),
                c => out.push(c),
            }
        }
        Err(QueryError::new(Span { start, end: self.text.len() }, "the quote is not closed"))
    }
}
