//! Tokens → [`Expr`]. Knows precedence (`or` weakest, then `and` or nothing, then `not`) and which fields exist; bounded in
//! depth and length, so that no text is too bad to be refused.
use super::ast::{At, Atom, Expr, is_selector_word};
use super::fields::{FIELDS, Name, nearest};
use super::lex::{Lexer, Token};
use super::{QueryError, Span};
use crate::model::view::End;

/// Deepest nesting of parentheses and `not`.
const DEPTH: usize = 64;
/// Longest filter, in bytes.
const LONGEST: usize = 16 << 10;

/// Parses a filter without compiling it.
pub fn parse_expr(text: &str) -> Result<Expr, QueryError> {
    if text.len() > LONGEST {
        return Err(QueryError::new(Span::default(), format!("the filter is longer than {LONGEST} bytes")));
    }
    let mut p = Parser { lexer: Lexer::new(text), token: Token::End, start: 0, end: 0, depth: 0 };
    p.advance()?;
    if p.token == Token::End {
        return Ok(Expr::All);
    }
    let expr = p.or()?;
    match p.token {
        Token::End => Ok(expr),
        Token::Close => Err(p.error("a closing parenthesis without an opening one")),
        _ => Err(p.error("this is not expected here")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    /// Where the token begins, and where the one before it began.
    start: usize,
    end: usize,
    depth: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, QueryError> {
        let (next, at) = self.lexer.token()?;
        self.end = std::mem::replace(&mut self.start, at);
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn error(&self, message: &str) -> QueryError {
        let len = match &self.token {
            Token::Word(t) => t.at.0.end - t.at.0.start,
            Token::End => 0,
            _ => 1,
        };
        QueryError::new(Span { start: self.start, end: self.start + len }, message)
    }

    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut items = vec![self.and()?];
        while self.token == Token::Or {
            self.advance()?;
            items.push(self.and()?);
        }
        Ok(one_or(items, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let mut items = vec![self.not()?];
        loop {
            match &self.token {
                Token::And => {
                    self.advance()?;
                }
                Token::Or | Token::Close | Token::End => return Ok(one_or(items, Expr::And)),
                // `label:env in (prod)` without quotes is three things to the grammar and one to the hand.
                Token::Word(w) if is_selector_word(&w.text) && w.at.0.end - w.at.0.start == w.text.len() => {
                    if let Some(Expr::Atom(Atom { name: Name::Label, values, .. })) = items.last() {
                        let key = values.last().map_or("", |v| v.text.as_str());
                        let say = format!("label:\"{key} {} (…)\"", w.text);
                        return Err(self.error("a label selector with blanks needs quotes").suggest(Some(say)));
                    }
                }
                _ => {}
            }
            items.push(self.not()?);
        }
    }

    fn not(&mut self) -> Result<Expr, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let expr = match self.token {
            Token::Not => {
                self.advance()?;
                Expr::Not(Box::new(self.not()?))
            }
            _ => self.atom()?,
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn atom(&mut self) -> Result<Expr, QueryError> {
        match &self.token {
            Token::Open => {
                let open = self.start;
                self.advance()?;
                let inner = self.or()?;
                if self.token != Token::Close {
                    return Err(QueryError::new(Span { start: open, end: open + 1 }, "the parenthesis is not closed"));
                }
                self.advance()?;
                Ok(inner)
            }
            Token::Word(w) if w.text.is_empty() => Err(self.error("an empty word says nothing")),
            Token::Word(_) | Token::Atom { .. } => match self.advance()? {
                Token::Atom { name, op, values } => {
                    let (side, field) = field(&name.text, name.at.0, values.first().map_or("", |v| &v.text))?;
                    let end = values.last().map_or(name.at.0.end, |v| v.at.0.end);
                    let at = At(Span { start: name.at.0.start, end });
                    if !field.spec().shape.allows(op) {
                        let message = format!("{:?} does not fit {}, which takes {}", op.sign(), field.word(), field.spec().shape.ops());
                        return Err(QueryError::new(at.0, message));
                    }
                    Ok(Expr::Atom(Atom { side, name: field, op, values, at }))
                }
                Token::Word(w) => Ok(Expr::Word(w)),
                _ => Err(self.error("a filter is missing here")),
            },
            Token::End => Err(self.error("a filter is missing at the end")),
            Token::Close => Err(self.error("a filter is missing before the closing parenthesis")),
            _ => Err(self.error("a filter is missing before this word")),
        }
    }
}

fn one_or(mut items: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match items.len() {
        1 => items.pop().unwrap_or(Expr::All),
        _ => many(items),
    }
}

/// Side and field of a name as written.
fn field(word: &str, span: Span, value: &str) -> Result<(Option<End>, Name), QueryError> {
    let lower = word.to_ascii_lowercase();
    let (side, bare) = match lower.split_once('.') {
        Some(("from", rest)) => (Some(End::Source), rest),
        Some(("to", rest)) => (Some(End::Destination), rest),
        _ => (None, lower.as_str()),
    };
    if let Some(name) = Name::find(bare) {
        if side.is_some() && !name.spec().sided {
            return Err(QueryError::new(span, format!("{} has no sides", name.word())).suggest(Some(name.word())));
        }
        return Ok((side, name));
    }
    if matches!(bare, "rate" | "bytes" | "packets" | "count") {
        return Err(QueryError::new(
            span,
            format!("{bare} is not a field of a flow: a flow is one event; rates are on the stats and map screens"),
        ));
    }
    let prefix = match side {
        Some(End::Source) => "from.",
        Some(End::Destination) => "to.",
        None => "",
    };
    let words = FIELDS.iter().filter(|s| side.is_none() || s.sided).flat_map(|s| s.words.iter().copied());
    let other_spelling = [("src.", "from."), ("source.", "from."), ("dst.", "to."), ("dest.", "to."), ("destination.", "to.")]
        .into_iter()
        .find_map(|(theirs, ours)| lower.strip_prefix(theirs).map(|rest| format!("{ours}{rest}")));
    let host_port = || value.parse::<u16>().ok().map(|p| format!("{word} port:{p}"));
    let say = other_spelling.or_else(|| nearest(bare, words).map(|w| format!("{prefix}{w}"))).or_else(host_port);
    Err(QueryError::new(span, format!("unknown field {word:?}")).suggest(say))
}
