//! JSON text → nodes that know their lines. Owns nothing else; flow-style YAML that is no JSON is refused here and read as YAML.
use super::yaml::DEPTH;
use crate::model::doc::{Entry, Node, Twice, Value};

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    twice: &'a mut Vec<Twice>,
}

/// All values of a text, one after the other. `Err`: this is not JSON.
pub(super) fn read(text: &str, twice: &mut Vec<Twice>) -> Result<Vec<Node>, ()> {
    let mut r = Reader { bytes: text.as_bytes(), text, at: 0, line: 1, line_start: 0, twice };
    let mut out = Vec::new();
    loop {
        r.space();
        if r.at >= r.bytes.len() {
            return Ok(out);
        }
        out.push(r.value(0)?);
    }
}

impl Reader<'_> {
    fn space(&mut self) {
        while let Some(b) = self.bytes.get(self.at) {
            match b {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.line_start = self.at + 1;
                }
                b' ' | b'\t' | b'\r' => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    fn eat(&mut self, b: u8) -> Result<(), ()> {
        self.space();
        if self.bytes.get(self.at) == Some(&b) {
            self.at += 1;
            return Ok(());
        }
        Err(())
    }

    fn next_is(&mut self, b: u8) -> bool {
        self.eat(b).is_ok()
    }

    fn value(&mut self, depth: usize) -> Result<Node, ()> {
        if depth > DEPTH {
            return Err(());
        }
        self.space();
        let (line, column) = (self.line, u32::try_from(self.at - self.line_start).unwrap_or(u32::MAX).saturating_add(1));
        let value = match self.bytes.get(self.at).ok_or(())? {
            b'{' => {
                self.at += 1;
                Value::Map(self.map(depth)?)
            }
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                if !self.next_is(b']') {
                    loop {
                        items.push(self.value(depth + 1)?);
                        if !self.next_is(b',') {
                            self.eat(b']')?;
                            break;
                        }
                    }
                }
                Value::Seq(items)
            }
            b'"' => Value::Str(self.string()?),
            _ => self.word()?,
        };
        Ok(Node { value, line, column, last: self.line })
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, ()> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        if self.next_is(b'}') {
            return Ok(entries);
        }
        loop {
            self.space();
            let line = self.line;
            let key = self.string()?;
            self.eat(b':')?;
            let value = self.value(depth + 1)?;
            match seen.get(&key).copied() {
                Some(i) => {
                    if let Some(old) = entries.get_mut(i) {
                        self.twice.push(Twice { key: key.clone(), lines: (old.line, line) });
                        *old = Entry { key, line, value };
                    }
                }
                None => {
                    seen.insert(key.clone(), entries.len());
                    entries.push(Entry { key, line, value });
                }
            }
            if !self.next_is(b',') {
                self.eat(b'}')?;
                return Ok(entries);
            }
        }
    }

    /// A string literal; its escapes are resolved by serde.
    fn string(&mut self) -> Result<String, ()> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'"') {
            return Err(());
        }
        let mut i = start + 1;
        loop {
            match self.bytes.get(i).ok_or(())? {
                b'"' => break,
                b'\\' => i += 2,
                b'\n' => return Err(()),
                _ => i += 1,
            }
        }
        self.at = i + 1;
        serde_json::from_str(self.text.get(start..self.at).ok_or(())?).map_err(|_| ())
    }

    fn word(&mut self) -> Result<Value, ()> {
        let rest = self.bytes.get(self.at..).ok_or(())?;
        let len = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))).unwrap_or(rest.len());
        let word = self.text.get(self.at..self.at + len).ok_or(())?;
        self.at += len;
        Ok(match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match (word.parse::<i64>(), serde_json::from_str::<f64>(word)) {
                (Ok(i), Ok(_)) => Value::Int(i),
                (Err(_), Ok(f)) => Value::Float(f),
                _ => return Err(()),
            },
        })
    }
}
